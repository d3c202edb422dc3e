"""When Celery and RedBeat fire: reads cases from standard input, a JSON object a line, and answers each with a line.

A case is {"schedule": as RedBeat stores it, "tz": the app's timezone, "last_us": when it fired last, "lag_us": how much
later than due the beat fires, "count": how many times, "end_s": none at or after it}. The answer is a list of
microseconds since 1970, or {"error": ...} where they refuse it.
"""

import json
import sys
from datetime import datetime, timedelta, timezone

from celery import Celery
from redbeat.decoder import RedBeatJSONDecoder

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)
apps = {}


def app_of(tz):
    if tz not in apps:
        apps[tz] = Celery(set_as_current=False)
        apps[tz].conf.timezone = tz
    return apps[tz]


def fires(case):
    schedule = json.loads(json.dumps(case["schedule"]), cls=RedBeatJSONDecoder)
    schedule.app = app_of(case["tz"])
    schedule.__dict__.pop("tz", None)
    # As app.now() says it: relative intervals are cut to the clock of that zone.
    zone = schedule.app.timezone
    now = (EPOCH + case["last_us"] * MICROSECOND).astimezone(zone)
    schedule.nowfun = lambda: now
    end = EPOCH + timedelta(seconds=case["end_s"])
    times = []
    while len(times) < case["count"]:
        # As a beat: the last time is when it did fire, now is the same.
        remaining = schedule.remaining_estimate(now)
        if remaining is None or now + remaining >= end:
            break
        due = now.astimezone(timezone.utc) + remaining
        times.append((due - EPOCH) // MICROSECOND)
        now = (due + case["lag_us"] * MICROSECOND).astimezone(zone)
    return times


for line in sys.stdin:
    try:
        answer = fires(json.loads(line))
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))
