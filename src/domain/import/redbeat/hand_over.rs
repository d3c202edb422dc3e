//! What is written into RedBeat's keys when a schedule is given back: metas and scores as RedBeat itself writes them.

use chrono::{Datelike, Timelike};
use serde_json::{Map, Value, json};

use super::json as read;
use crate::domain::import::celery::{BeatEntry, Instant};
use crate::domain::ledger::Stretch;
use crate::domain::run::State;
use crate::domain::timestamp::Timestamp;

/// Until then nothing is due of what stands still, days.
const PARKED_DAYS: i64 = 50 * 365;
/// The same of rules by the hour, the minute and the second: dateutil walks through all of their times on the way.
const PARKED_RULES_DAYS: [(u64, i64); 3] = [(4, 365), (5, 30), (6, 1)];
const DAY_MS: i64 = 86_400_000;
/// The place of what a tick does not look at.
const NEVER: f64 = -1.0;

/// What is known of an entry that was taken over.
#[derive(Debug, Clone)]
pub struct Kept<'k> {
    /// Its definition, where it can be read.
    pub beat: Option<&'k BeatEntry>,
    /// Its meta as it was; empty where it had none.
    pub meta: &'k [u8],
    /// Its score as it was.
    pub score: f64,
}

/// What an entry goes on with.
#[derive(Debug, Clone, PartialEq)]
pub struct Resumes {
    /// For `meta`; empty where it has none.
    pub meta: Vec<u8>,
    /// Its place in the schedule, s.
    pub score: f64,
    /// What upbeat fired of it since the take-over.
    pub fired: u64,
    /// The last of them.
    pub last: Option<Timestamp>,
}

impl Kept<'_> {
    /// When RedBeat fired it last.
    fn last(&self) -> Option<Instant> {
        let meta = read("meta", self.meta).ok()?;
        let last = meta.get("last_run_at").filter(|last| !last.is_null())?;
        Instant::read("last_run_at", last).ok()
    }

    fn runs(&self) -> u64 {
        read("meta", self.meta).ok().and_then(|meta| meta.get("total_run_count")?.as_u64()).unwrap_or(0)
    }

    fn kind(&self) -> &str {
        self.beat.and_then(|beat| beat.schedule.get("__type__")?.as_str()).unwrap_or_default()
    }

    fn every_ms(&self) -> Option<i64> {
        let schedule = &self.beat?.schedule;
        let is_relative = schedule.get("relative").is_some_and(|relative| *relative == Value::Bool(true));
        let every = schedule.get("every").and_then(Value::as_f64).filter(|_| self.kind() == "interval")?;
        (!is_relative).then_some((every * 1000.0) as i64)
    }
}

/// How an entry goes on in RedBeat that `ledger` says all of since its take-over at `at`: counted from its last fire,
/// so that RedBeat fires next what upbeat would have. `now` is the time of RedBeat's server.
pub fn resumes(kept: &Kept<'_>, ledger: &[Stretch], at: Timestamp, now: Timestamp) -> Resumes {
    // What it fired last was RedBeat's own fire; an entry that never ran counts from the take-over.
    let own = kept.last().map_or(Timestamp(at.0 - 1), Instant::timestamp);
    let since = ledger.iter().filter(|one| one.outcome == State::Succeeded && one.first > own);
    let (mut fired, mut last) = (0, None);
    for stretch in since {
        fired += stretch.count;
        last = last.max(Some(stretch.last));
    }
    let Some(at) = last else {
        return Resumes { meta: kept.meta.to_vec(), score: kept.score, fired, last };
    };
    let meta = meta(at, kept.runs() + fired);
    let due = kept.every_ms().map(|every_ms| Timestamp(at.0 + every_ms));
    // Of the others RedBeat finds the time itself when it looks at them.
    let score = due.unwrap_or(now).0.div_euclid(1000) as f64;
    Resumes { meta, score, fired, last }
}

/// Meta and score of an entry of which nothing may be due, so that a beat may run.
pub fn parked(kept: &Kept<'_>, now: Timestamp) -> (Vec<u8>, f64) {
    let is_reckoned = matches!(kept.kind(), "crontab" | "interval");
    let frequency = kept.beat.and_then(|beat| beat.schedule.get("freq")?.as_u64());
    let days = match frequency {
        _ if is_reckoned => PARKED_DAYS,
        Some(frequency) => {
            PARKED_RULES_DAYS.iter().find(|(of, _)| *of == frequency).map_or(PARKED_DAYS, |(_, days)| *days)
        }
        None => 1,
    };
    let until = Timestamp(now.0 + days * DAY_MS);
    // Of a rule a tick takes no notice at all; only a beat that starts reckons those anew that stand in its own schedule.
    let score = if is_reckoned && kept.score >= 0.0 { (until.0 / 1000) as f64 } else { NEVER };
    (meta(until, kept.runs()), score)
}

/// Definition and meta of an entry that is disabled: a beat that finds it due looks again in 5 s, and never fires it.
pub fn waker(name: &str, now: Timestamp) -> (String, String) {
    let definition = json!({
        "name": name,
        "task": "upbeat.never_sent",
        "args": null,
        "kwargs": {},
        "options": {},
        "schedule": { "__type__": "interval", "every": 86_400.0, "relative": false },
        "enabled": false,
    });
    (definition.to_string(), String::from_utf8_lossy(&meta(now, 0)).into_owned())
}

/// As RedBeat writes it.
fn meta(last: Timestamp, runs: u64) -> Vec<u8> {
    let at = last.to_utc();
    let mut meta = Map::new();
    let last = json!({
        "__type__": "datetime",
        "year": at.year(),
        "month": at.month(),
        "day": at.day(),
        "hour": at.hour(),
        "minute": at.minute(),
        "second": at.second(),
        "microsecond": at.nanosecond() / 1000,
        "timezone": "UTC",
    });
    meta.insert("last_run_at".to_owned(), last);
    meta.insert("total_run_count".to_owned(), Value::from(runs));
    Value::Object(meta).to_string().into_bytes()
}
