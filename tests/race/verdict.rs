//! Judges a race from outside: the records that users see and the lines that commands wrote, against the times that were due.
//!
//! It knows nothing of how upbeat works, so a law that is broken on purpose must show here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Evenly spaced fire times, the first at `start_ms`.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub start_ms: i64,
    pub count: i64,
}

pub const EVERY_MS: i64 = 1_000;

impl Window {
    pub fn times(&self) -> impl Iterator<Item = i64> {
        let start_ms = self.start_ms;
        (0..self.count).map(move |k| start_ms + k * EVERY_MS)
    }

    pub fn end_ms(&self) -> i64 {
        self.start_ms + self.count * EVERY_MS
    }
}

/// What a command wrote when it began.
#[derive(Debug, Clone)]
pub struct Line {
    pub run_id: String,
    pub fire_at: i64,
    pub attempt: u64,
    pub entry: String,
    /// By the clock of the machine, not of the node.
    pub at_ms: i64,
}

impl Line {
    pub fn read(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let [run_id, fire_at, attempt, entry, micros] = words[..] else { panic!("a torn line: {text:?}") };
        Self {
            run_id: run_id.to_owned(),
            fire_at: instant(fire_at),
            attempt: attempt.parse().unwrap(),
            entry: entry.to_owned(),
            at_ms: micros.parse::<i64>().unwrap() / 1_000,
        }
    }
}

/// What a race may do to attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deaths {
    /// Nodes die: an attempt may be lost with its node and repeated.
    Some,
    /// No node dies: every run has exactly one attempt.
    None,
}

/// What went wrong, a line each; empty where every law held.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Fire times without a run that succeeded.
    pub missing: Vec<String>,
    /// Fire times with more than one run.
    pub doubled: Vec<String>,
    /// Runs that began before their fire time.
    pub early: Vec<String>,
    /// Attempts beyond the first that no lost node explains.
    pub repeated: Vec<String>,
}

impl Verdict {
    /// Every due time is exactly one run that succeeded, begun in time, repeated only where its node was lost.
    pub fn on(window: Window, entries: &[String], runs: &[Value], lines: &[Line], deaths: Deaths) -> Self {
        let mut verdict = Self::default();
        let mut of_pair: BTreeMap<(&str, i64), Vec<&Value>> = BTreeMap::new();
        for run in runs {
            of_pair.entry((text(run, "entry_id"), instant(text(run, "fire_at")))).or_default().push(run);
        }
        let mut run_ids: BTreeMap<(&str, i64), BTreeSet<&str>> = BTreeMap::new();
        for line in lines {
            run_ids.entry((&line.entry, line.fire_at)).or_default().insert(&line.run_id);
        }
        for entry in entries {
            for time in window.times() {
                let what = format!("{entry} at +{} ms", time - window.start_ms);
                let runs = of_pair.remove(&(entry.as_str(), time)).unwrap_or_default();
                let ids = run_ids.remove(&(entry.as_str(), time)).unwrap_or_default();
                if runs.len() > 1 || ids.len() > 1 {
                    verdict.doubled.push(format!("{what}: {} runs, {} of them executed", runs.len(), ids.len()));
                }
                if !runs.iter().any(|run| run["state"] == "succeeded" && ids.contains(text(run, "run_id"))) {
                    let states: Vec<_> = runs.iter().map(|run| format!("{} {}", run["state"], run["reason"])).collect();
                    verdict.missing.push(format!("{what}: {states:?}, executed: {}", !ids.is_empty()));
                }
            }
        }
        verdict.doubled.extend(of_pair.keys().map(|pair| format!("{pair:?} has a run and was never due")));
        verdict.doubled.extend(run_ids.keys().map(|pair| format!("{pair:?} was executed and was never due")));
        for run in runs.iter().filter(|run| !run["started_at"].is_null()) {
            let (fire_at, started_at) = (instant(text(run, "fire_at")), instant(text(run, "started_at")));
            if started_at < fire_at {
                verdict.early.push(format!("{} began {} ms early", text(run, "run_id"), fire_at - started_at));
            }
        }
        for line in lines.iter().filter(|line| line.at_ms < line.fire_at) {
            verdict.early.push(format!("{} was executed {} ms early", line.run_id, line.fire_at - line.at_ms));
        }
        verdict.count_attempts(runs, lines, deaths);
        verdict
    }

    fn count_attempts(&mut self, runs: &[Value], lines: &[Line], deaths: Deaths) {
        for run in runs.iter().filter(|run| run["state"] != "skipped" && run["state"] != "missed") {
            let (attempt, lost) = (run["attempt"].as_u64().unwrap(), run["lost"].as_u64().unwrap());
            if attempt > lost + 1 || (deaths == Deaths::None && attempt > 1) {
                self.repeated.push(format!("{}: attempt {attempt}, {lost} lost", text(run, "run_id")));
            }
        }
        let mut seen = BTreeSet::new();
        for line in lines {
            if !seen.insert((&line.run_id, line.attempt)) {
                self.repeated.push(format!("{}: attempt {} was executed twice", line.run_id, line.attempt));
            }
        }
    }

    pub fn is_clean(&self) -> bool {
        let Self { missing, doubled, early, repeated } = self;
        [missing, doubled, early, repeated].iter().all(|found| found.is_empty())
    }

    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.is_clean(), "{self:#?}");
    }
}

/// A field that is a text.
#[track_caller]
pub fn text<'a>(run: &'a Value, field: &str) -> &'a str {
    run[field].as_str().unwrap_or_else(|| panic!("{field} of {run}"))
}

/// An instant in ms.
#[track_caller]
pub fn instant(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text).unwrap_or_else(|why| panic!("{text:?}: {why}")).timestamp_millis()
}

/// The records of each entry: every due time stands in exactly one, alone or in a range; nothing else does, and each has ended.
#[track_caller]
pub fn assert_on_record(times: &[i64], entry: &str, runs: &[Value]) {
    let mut stands: BTreeMap<i64, usize> = times.iter().map(|&time| (time, 0)).collect();
    let mut sum = 0;
    for run in runs.iter().filter(|run| run["entry_id"] == entry && run["trigger"] != "manual") {
        let state = text(run, "state");
        assert!(["succeeded", "failed", "cancelled", "skipped", "missed"].contains(&state), "not ended: {run:#}");
        assert!(state == "succeeded" || !run["reason"].is_null(), "no reason: {run:#}");
        let (first, last) = (instant(text(run, "fire_at")), instant(text(run, "last_fire_at")));
        let inside: Vec<i64> = times.iter().copied().filter(|time| (first..=last).contains(time)).collect();
        let fires = run["fires"].as_u64().unwrap();
        assert_eq!(fires, inside.len() as u64, "a record stands for other times than were due: {run:#}");
        sum += fires;
        inside.iter().for_each(|time| *stands.get_mut(time).unwrap() += 1);
    }
    let off: Vec<_> = stands.iter().filter(|(_, count)| **count != 1).collect();
    assert!(off.is_empty(), "{entry}: times and how many records stand for them: {off:?}");
    assert_eq!(sum, times.len() as u64, "{entry}: the sum of fires");
}
