"""Makes tests/data/rrule.jsonl with python-dateutil 2.9.0: rules, a first possible time, a time to ask from, the next ten.

Local times without a zone. BYSETPOS with WEEKLY is asked for from the second week on: dateutil chooses among what is left of
the first week, upbeat among the whole of it.
"""
import json, random, signal
from datetime import datetime, timedelta
from dateutil.rrule import rrulestr

random.seed(5545)
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]

def some(values, most=3):
    return ",".join(str(v) for v in sorted(random.sample(values, random.randint(1, min(most, len(values))))))

def rule():
    freq = random.choice(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"])
    parts = ["FREQ=" + freq]
    within = freq in ("HOURLY", "MINUTELY", "SECONDLY")
    day = {"HOURLY": [1, 2, 3, 4, 6, 8, 12], "MINUTELY": [1, 5, 15, 30, 60, 90, 480], "SECONDLY": [1, 10, 45, 3600]}
    intervals = day.get(freq, [1, 1, 1, 2, 3, 4, 7])
    has_by = False
    p = random.random
    if p() < .4:
        parts.append("BYMONTH=" + some(range(1, 13))); has_by = True
    if freq == "YEARLY" and p() < .2:
        parts.append("BYWEEKNO=" + some([1, 2, 20, 52, 53, -1, -20])); has_by = True
        if p() < .7: parts.append("BYDAY=" + ",".join(random.sample(DAYS, 2)))
    elif (freq == "YEARLY" or within) and p() < .15:
        parts.append("BYYEARDAY=" + some([1, 60, 100, 200, 365, 366, -1, -100])); has_by = True
    else:
        if freq != "WEEKLY" and p() < .35:
            parts.append("BYMONTHDAY=" + some([1, 2, 13, 15, 28, 29, 30, 31, -1, -2, -31])); has_by = True
        if p() < .45:
            if freq in ("MONTHLY", "YEARLY") and p() < .6:
                n = [1, 2, 3, 5, -1, -2] if freq == "MONTHLY" else [1, 20, 53, -1, -20]
                if freq == "YEARLY" and any(x.startswith("BYMONTH=") for x in parts): n = [1, 2, 4, -1]
                parts.append("BYDAY=" + ",".join(str(random.choice(n)) + d for d in random.sample(DAYS, 2)))
            else:
                parts.append("BYDAY=" + ",".join(random.sample(DAYS, random.randint(1, 4))))
            has_by = True
    if p() < .4: parts.append("BYHOUR=" + some(range(24))); has_by = True
    if p() < .3: parts.append("BYMINUTE=" + some(range(0, 60, 5))); has_by = True
    if p() < .2: parts.append("BYSECOND=" + some(range(0, 60, 15))); has_by = True
    if not within and has_by and p() < .25:
        parts.append("BYSETPOS=" + some([1, 2, 3, -1, -2], 2))
    interval = random.choice(intervals if has_by or not within else intervals + [7, 25, 100])
    if interval > 1 or p() < .1: parts.append("INTERVAL=%d" % interval)
    if p() < .2: parts.append("WKST=" + random.choice(DAYS))
    end = p()
    if end < .1: parts.append("COUNT=%d" % random.choice([1, 3, 10, 40]))
    elif end < .2: parts.append("UNTIL=%d0615T120000" % random.randint(2027, 2035))
    random.shuffle(parts)
    return ";".join(parts)

seen = 0
with open("rrule.jsonl", "w") as out:
    while seen < 500:
        begin = datetime(2026, 1, 1) + timedelta(seconds=random.randint(0, 3 * 365 * 86400))
        text = rule()
        if random.random() < .5: begin = begin.replace(second=0)
        far = random.choice([0, 0, 10, 400, 4000])
        start = begin + timedelta(days=far, seconds=random.randint(-1, 100000))
        if "BYSETPOS" in text and "WEEKLY" in text: start = max(start, begin + timedelta(days=8))
        if "COUNT" in text and "WEEKLY" in text and "BYSETPOS" in text: continue
        if "SECONDLY" in text or ("MINUTELY" in text and far > 400): start = min(start, begin + timedelta(days=3))
        try: r = rrulestr(text, dtstart=begin)
        except ValueError: continue
        times, it = [], r.xafter(start - timedelta(seconds=0), count=10)
        signal.alarm(2)
        try:
            signal.signal(signal.SIGALRM, lambda *a: (_ for _ in ()).throw(TimeoutError()))
            times = [t for t in it if t.year <= 2100]
        except (TimeoutError, ValueError):
            signal.alarm(0); continue
        signal.alarm(0)
        never = not times and "COUNT" not in text and "UNTIL" not in text
        out.write(json.dumps({"rule": text, "begin": begin.isoformat(), "from": start.isoformat(), "next": [t.isoformat() for t in times]}) + "\n")
        seen += 1
