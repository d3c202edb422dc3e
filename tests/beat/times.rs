//! Fire times of imported entries beside those of Celery and RedBeat, as their own code computes them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use upbeat::domain::file::FileEntry;
use upbeat::domain::import::Import;
use upbeat::domain::import::celery::import_export;
use upbeat::domain::timestamp::Timestamp;
use upbeat::domain::zone::Zone;

use crate::support::celery;

/// 2026-11-21T20:07:12.345678Z
const NOW_US: i64 = 1_795_291_632_345_678;
/// 2060
const END_S: i64 = 2_840_140_800;

/// One schedule, and when it fired last.
struct Case {
    schedule: Value,
    tz: &'static str,
    last_us: i64,
    lag_us: i64,
    count: usize,
}

impl Case {
    fn new(schedule: Value, tz: &'static str) -> Self {
        Self { schedule, tz, last_us: NOW_US, lag_us: 5_000, count: 40 }
    }
}

/// What Celery says: instants in microseconds, or why it refuses the schedule.
fn judged(python: &Path, cases: &[Case]) -> Vec<Result<Vec<i64>, String>> {
    let script = celery::data_dir().join("beat_times.py");
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines: String = cases
        .iter()
        .map(|case| {
            let line = json!({"schedule": case.schedule, "tz": case.tz, "last_us": case.last_us, "lag_us": case.lag_us,
                "count": case.count, "end_s": END_S});
            format!("{line}\n")
        })
        .collect();
    let writing = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answers = text.lines().map(|line| match serde_json::from_str(line).unwrap() {
        Value::Array(times) => Ok(times.iter().map(|time| time.as_i64().unwrap()).collect()),
        refused => Err(refused["error"].as_str().unwrap().to_owned()),
    });
    let answers: Vec<_> = answers.collect();
    assert_eq!(answers.len(), cases.len(), "Python answers each case");
    answers
}

/// The same schedule, imported; what fired last is in it.
fn imported(case: &Case) -> Import {
    let at = Timestamp(case.last_us.div_euclid(1000)).to_utc();
    let last = json!({"__type__": "datetime", "year": at.format("%Y").to_string().parse::<i64>().unwrap(),
        "month": at.format("%-m").to_string().parse::<i64>().unwrap(), "day": at.format("%-d").to_string().parse::<i64>().unwrap(),
        "hour": at.format("%-H").to_string().parse::<i64>().unwrap(), "minute": at.format("%-M").to_string().parse::<i64>().unwrap(),
        "second": at.format("%-S").to_string().parse::<i64>().unwrap(), "microsecond": case.last_us.rem_euclid(1_000_000)});
    let document = json!({"upbeat_export": 1, "timezone": case.tz, "broker": "redis://redis:6379/0", "entries": [
        {"definition": {"name": "e", "task": "t", "schedule": case.schedule}, "meta": {"last_run_at": last}},
    ]});
    import_export("beat.json", &document.to_string(), None, None).unwrap()
}

fn entry(case: &Case) -> Result<FileEntry, String> {
    let mut import = imported(case);
    match import.file.entries.pop() {
        Some(entry) => Ok(entry),
        None => Err(import.refused[0].reason.clone()),
    }
}

/// Whether the clocks of the zone change within a day and a bit of `at`.
fn is_near_change(zone: &Zone, at: Timestamp) -> bool {
    const NEAR_MS: i64 = 26 * 3_600_000;
    zone.offset_seconds(Timestamp(at.ms() - NEAR_MS)) != zone.offset_seconds(Timestamp(at.ms() + NEAR_MS))
}

/// Compares each case; how many were refused though Celery takes them, and how many fire times were compared.
#[track_caller]
fn compare(python: &Path, cases: &[Case]) -> (Vec<String>, usize) {
    let (mut refused, mut compared) = (Vec::new(), 0);
    for (case, judged) in cases.iter().zip(judged(python, cases)) {
        let shown = format!("{} in {}, last {}", case.schedule, case.tz, case.last_us);
        let (entry, judged) = match (entry(case), judged) {
            (Err(_), Err(_)) => continue,
            (Err(why), Ok(_)) => {
                refused.push(format!("{why}: {shown}"));
                continue;
            }
            (Ok(entry), Err(why)) => panic!("{shown}: Celery refuses it, {why}; here {}", entry.entry.schedule_json()),
            (Ok(entry), Ok(judged)) => (entry, judged),
        };
        let zone = Zone::parse("tz", case.tz).unwrap();
        let kept = |times: Vec<Timestamp>| -> Vec<String> {
            times.into_iter().filter(|at| !is_near_change(&zone, *at)).map(Timestamp::to_rfc3339).collect()
        };
        let theirs: Vec<Timestamp> = judged.iter().map(|us| Timestamp(us.div_euclid(1000))).collect();
        let last = theirs.last().copied().unwrap_or(Timestamp(case.last_us / 1000));
        let schedule = &entry.entry.schedule;
        let ours = schedule.times_after(Timestamp(case.last_us / 1000)).take_while(|at| *at <= last);
        let (ours, theirs) = (kept(ours.collect()), kept(theirs));
        assert_eq!(ours, theirs, "{shown}: ours and Celery's, by {}", entry.entry.schedule_json());
        compared += ours.len();
    }
    (refused, compared)
}

/// Numbers from a seed: the same cases in each run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn one<'o>(&mut self, of: &[&'o str]) -> &'o str {
        of[self.below(of.len() as u64) as usize]
    }

    fn number(&mut self, min: u64, max: u64) -> u64 {
        min + self.below(max - min + 1)
    }

    /// One word of a crontab, mostly a good one.
    fn word(&mut self, min: u64, max: u64, names: &[&str]) -> Value {
        let mut parts = Vec::new();
        match self.below(20) {
            0..=5 => return json!("*"),
            6 => return json!(self.number(min, max)),
            7 => return (0..=self.below(4)).map(|_| self.number(min, max)).collect(),
            // What Celery refuses, or reads in ways of its own.
            8 => {
                let odd = [
                    "", "*/0", "5/2", "*/15-3", "1-3 /2", "61", "-1", "1,,2", "mon", "jan-mar", "*,1", "? ", "1-",
                    "0-0",
                ];
                return json!(self.one(&odd));
            }
            _ => {}
        }
        for _ in 0..=self.below(3) {
            let (a, b) = (self.number(min, max), self.number(min, max));
            parts.push(match self.below(8) {
                0 => "*".to_owned(),
                1 => format!("*/{}", self.number(1, max)),
                2 => format!("{a}-{b}/{}", self.number(1, 5)),
                3 | 4 => format!("{a}-{b}"),
                5 if !names.is_empty() => self.one(names).to_owned(),
                6 if !names.is_empty() => format!("{}-{}", self.one(names), self.one(names)),
                _ => a.to_string(),
            });
        }
        json!(parts.join(","))
    }
}

const ZONES: [&str; 6] =
    ["UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"];
const DAYS: [&str; 6] = ["sun", "mon", "Tuesday", "WED", "fri", "sat"];
const MONTHS: [&str; 5] = ["jan", "feb", "June", "OCT", "december"];

#[test]
fn drawn_crontabs_fire_at_the_instants_of_celery() {
    let Some(python) = celery::python() else { return };
    let mut draw = Draw(0x5eed_0001);
    let cases: Vec<Case> = (0..400)
        .map(|_| {
            let schedule = json!({"__type__": "crontab", "minute": draw.word(0, 59, &[]), "hour": draw.word(0, 23, &[]),
                "day_of_month": draw.word(1, 31, &[]), "month_of_year": draw.word(1, 12, &MONTHS), "day_of_week": draw.word(0, 6, &DAYS)});
            let tz = draw.one(&ZONES);
            let last_us = NOW_US + draw.below(400) as i64 * 86_400_000_000 + draw.below(86_400_000_000) as i64;
            Case { last_us, ..Case::new(schedule, tz) }
        })
        .collect();
    let (refused, compared) = compare(&python, &cases);
    assert!(refused.is_empty(), "Celery takes them: {refused:#?}");
    assert!(compared > 4_000, "{compared} fire times were compared");
}

#[test]
fn drawn_intervals_fire_at_the_instants_of_celery() {
    let Some(python) = celery::python() else { return };
    let mut draw = Draw(0x5eed_0002);
    let cases: Vec<Case> = (0..150)
        .map(|at| {
            let is_relative = at % 2 == 0;
            let unit = [1.0, 60.0, 3600.0, 86_400.0][draw.below(4) as usize];
            let every = match draw.below(3) {
                0 => draw.number(1, 30) as f64 * unit,
                1 => draw.number(1, 30) as f64 * unit + draw.number(0, 59) as f64,
                _ => draw.number(100, 90_000) as f64 / 1000.0,
            };
            // A relative one is cut to the clock of the zone.
            let every = if is_relative && every < 1.0 { every + 1.0 } else { every };
            let schedule = json!({"__type__": "interval", "every": every, "relative": is_relative});
            let last_us = NOW_US + draw.below(400) as i64 * 86_400_000_000 + draw.below(86_400_000_000) as i64;
            // Not relative ones move by what a beat is late; the phase is that of the last time.
            let lag_us = if is_relative { 5_000 } else { 0 };
            Case { last_us, lag_us, ..Case::new(schedule, draw.one(&["UTC", "Asia/Shanghai", "Asia/Kolkata"])) }
        })
        .collect();
    let (refused, compared) = compare(&python, &cases);
    assert!(refused.is_empty(), "Celery takes them: {refused:#?}");
    assert!(compared > 4_000, "{compared} fire times were compared");
}

#[test]
fn drawn_rules_fire_at_the_instants_of_redbeat() {
    let Some(python) = celery::python() else { return };
    let mut draw = Draw(0x5eed_0003);
    let list = |draw: &mut Draw, min: u64, max: u64| -> Value {
        match draw.below(3) {
            0 => Value::Null,
            1 => json!(draw.number(min, max)),
            _ => (0..=draw.below(3)).map(|_| draw.number(min, max)).collect(),
        }
    };
    let cases: Vec<Case> = (0..120)
        .map(|_| {
            let freq = draw.below(7);
            let begin_s = 1_767_225_600 + draw.below(300 * 86_400);
            let offset = [0.0, 60.0, 120.0, 480.0, 330.0, -300.0][draw.below(6) as usize];
            let mut schedule = json!({"__type__": "rrule", "freq": freq, "interval": draw.number(1, 3),
                "dtstart": begin_s, "dtstart_tz": offset});
            if draw.below(2) == 0 {
                schedule["wkst"] = json!(6);
            }
            if freq >= 4 {
                schedule["interval"] = json!(1);
            }
            for (key, min, max) in [("bymonth", 1, 12), ("bymonthday", 1, 28), ("byhour", 0, 23), ("byminute", 0, 59)] {
                // Dateutil tries each minute and second of the days that do not match.
                let is_slow = freq >= 5 && key != "byminute";
                if draw.below(2) == 0 && !(key == "bymonthday" && freq == 2) && !is_slow {
                    schedule[key] = list(&mut draw, min, max);
                }
            }
            if draw.below(3) == 0 && freq < 5 {
                schedule["byweekday"] = json!([draw.below(7), {"__type__": "weekday", "wkday": draw.below(7)}]);
            }
            match draw.below(5) {
                4 => {
                    schedule["count"] = json!(draw.number(1, 30));
                    schedule["until"] = json!(begin_s + draw.below(90 * 86_400));
                }
                0 => schedule["count"] = json!(draw.number(1, 30)),
                1 => {
                    schedule["until"] = json!(begin_s + draw.below(900 * 86_400));
                    schedule["until_tz"] = json!(120.0);
                }
                _ => {}
            }
            // Dateutil counts from the beginning each time that it is asked.
            let last_us = match freq {
                0..=4 => (begin_s as i64 - 86_400) * 1_000_000 + draw.below(400 * 86_400_000_000) as i64,
                _ => (begin_s as i64 - 1_800) * 1_000_000 + draw.below(7_200_000_000) as i64,
            };
            Case { last_us, ..Case::new(schedule, "UTC") }
        })
        .collect();
    let (refused, compared) = compare(&python, &cases);
    // A rule that is over, or that never fires, is none here; RedBeat keeps it and is silent.
    let reasons = ["it ends before its first time", "it would never fire", "no fire time lies between start"];
    let odd: Vec<_> = refused.iter().filter(|why| !reasons.iter().any(|reason| why.contains(reason))).collect();
    assert!(odd.is_empty(), "RedBeat takes them: {odd:#?}");
    assert!(compared > 1_200, "{compared} fire times were compared");
}

/// Celery's fire times and ours after an instant in the hours in which Berlin's clocks change, as `MM-DD HH:MM` in UTC.
#[track_caller]
fn when_clocks_change(python: &Path, after: &str, schedule: Value) -> (Vec<String>, Vec<String>) {
    let mut schedule = schedule;
    schedule["__type__"] = json!("crontab");
    let last_us = Timestamp::parse("after", after, None).unwrap().ms() * 1000;
    let case = Case { last_us, count: 4, ..Case::new(schedule, "Europe/Berlin") };
    let import = imported(&case);
    assert!(
        import.notes.iter().any(|note| note.starts_with("where clocks change Celery is odd")),
        "{:?}",
        import.notes
    );
    let shown = |at: Timestamp| at.to_utc().format("%m-%d %H:%M").to_string();
    let theirs = judged(python, &[case]).remove(0).unwrap().into_iter().map(|us| shown(Timestamp(us / 1000))).collect();
    let schedule = &import.file.entries[0].entry.schedule;
    (theirs, schedule.times_after(Timestamp(last_us / 1000)).take(4).map(shown).collect())
}

#[test]
fn in_nights_in_which_clocks_change_celery_is_odd_and_the_note_says_how() {
    let Some(python) = celery::python() else { return };
    let python = &python;
    let at = |schedule: Value, after: &str| when_clocks_change(python, after, schedule);
    // 02:00 CET is 03:00 CEST, at 01:00 UTC. 02:30 is left out: Celery is late by the length of the gap.
    let (theirs, ours) = at(json!({"minute": "30", "hour": "2"}), "2027-03-27T12:00:00Z");
    assert_eq!(
        (&theirs[..2], &ours[..2]),
        (&["03-28 01:30", "03-29 00:30"].map(String::from)[..], &["03-28 01:00", "03-29 00:30"].map(String::from)[..])
    );
    let (theirs, ours) = at(json!({"minute": "15", "hour": "*/2"}), "2027-03-28T00:16:00Z");
    assert_eq!((theirs[0].as_str(), ours[0].as_str()), ("03-28 01:15", "03-28 02:15"));
    // What comes each hour or more often is the same.
    for schedule in [json!({"minute": "15"}), json!({"minute": "*/20"})] {
        let (theirs, ours) = at(schedule, "2027-03-28T00:16:00Z");
        assert_eq!(theirs, ours);
    }
    // 03:00 CEST is 02:00 CET, at 01:00 UTC. A time of day is the first of the two.
    let (theirs, ours) = at(json!({"minute": "30", "hour": "2"}), "2027-10-30T12:00:00Z");
    assert_eq!(theirs, ours);
    // Celery is silent for an hour.
    let (theirs, ours) = at(json!({"minute": "*/20"}), "2027-10-31T00:21:00Z");
    assert_eq!(theirs, ["10-31 00:40", "10-31 02:00", "10-31 02:20", "10-31 02:40"]);
    assert_eq!(ours, ["10-31 00:40", "10-31 01:00", "10-31 01:20", "10-31 01:40"]);
}
