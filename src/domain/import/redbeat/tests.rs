//! Whatever stands in a namespace, it becomes an entry or a line; where an entry goes on, and how it goes back.

#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use super::*;
use crate::domain::entry::Entry;
use crate::domain::import::celery::{BeatDefaults, BeatEntry, Instant};
use crate::domain::ledger::Stretch;
use crate::domain::run::State;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;

/// As RedBeat 2.4.2 wrote them.
const DEFINITIONS: [&str; 4] = [
    r#"{"name": "e", "task": "tasks.noop", "args": ["\u00e4rg", 1], "kwargs": {"k": null}, "options": {"queue": "other", "priority": 5, "expires": 60}, "schedule": {"__type__": "crontab", "minute": "*/15", "hour": "0-6,22", "day_of_week": "mon-fri", "day_of_month": "1,15", "month_of_year": "*/3"}, "enabled": true}"#,
    r#"{"name": "e", "task": "tasks.noop", "args": null, "kwargs": {}, "options": {}, "schedule": {"__type__": "interval", "every": 1.0, "relative": false}, "enabled": true}"#,
    r#"{"name": "e", "task": "t", "args": null, "kwargs": {}, "options": {}, "schedule": {"__type__": "rrule", "freq": 2, "interval": 2, "wkst": null, "count": 10, "bysetpos": null, "bymonth": null, "bymonthday": null, "byyearday": null, "byeaster": null, "byweekno": null, "byweekday": [0, {"__type__": "weekday", "wkday": 4}], "byhour": 9, "byminute": null, "bysecond": null, "dtstart": 1767225600, "dtstart_tz": 0, "until": null}, "enabled": true}"#,
    r#"{"name": "e", "task": "t", "args": null, "kwargs": {}, "options": {"exchange": "ex1", "routing_key": "rk1"}, "schedule": {"__type__": "interval", "every": 3600.0, "relative": true}, "enabled": false}"#,
];
const META: &str = r#"{"last_run_at": {"__type__": "datetime", "year": 2026, "month": 11, "day": 20, "hour": 11, "minute": 17, "second": 20, "microsecond": 378915, "timezone": "UTC"}, "total_run_count": 5}"#;

fn entry(key: &str, definition: &[u8], meta: &[u8]) -> Stored {
    let held = Held::Entry { definition: Field::Text(definition.to_vec()), meta: Field::Text(meta.to_vec()) };
    Stored { key: key.as_bytes().to_vec(), score: Some(1.0), held }
}

fn of(stored: Vec<Stored>) -> Carried {
    let defaults = BeatDefaults { tz: Some(Zone::utc()), ..BeatDefaults::default() };
    carried(&Picture { stored, is_all: true, ..Picture::default() }, &Place::default(), &defaults)
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse("at", text, None).unwrap()
}

fn every(every: &str, anchor: &str) -> Entry {
    let fields = json!({"every": every, "anchor": anchor, "shell": "true"});
    Entry::parse(fields.as_object().unwrap().clone()).unwrap()
}

fn instant(text: &str) -> Option<Instant> {
    Some(Instant { us: at(text).ms() * 1000 })
}

#[test]
fn a_place_is_read_as_redbeat_reads_it() {
    let place = Place::default();
    assert_eq!((place.schedule().as_str(), place.lock.as_deref()), ("redbeat::schedule", Some("redbeat::lock")));
    assert_eq!(Place::new("prod:", Some("mutex"), true).lock.as_deref(), Some("prod:mutex"));
    assert_eq!(Place::new("prod:", Some("prod:mutex"), true).lock.as_deref(), Some("prod:mutex"));
    assert_eq!(Place::new("prod:", None, false).lock, None);
    assert!(place.is_own(b"redbeat::statics") && place.is_own(b"redbeat::upbeat:metas"));
    assert!(!place.is_own(b"redbeat:statics"));
    assert_eq!(place.name(b"redbeat:tick"), b"tick");
}

#[test]
fn what_redbeat_wrote_is_carried_over() {
    let stored = DEFINITIONS.iter().map(|text| entry("redbeat:e", text.as_bytes(), META.as_bytes())).collect();
    let carried = of(stored);
    assert_eq!((carried.entries.len(), carried.import.refused.len()), (4, 1), "{:?}", carried.import.refused);
    assert!(carried.import.refused[0].reason.contains("no binding"), "{:?}", carried.import.refused);
    assert!(carried.lost().is_empty(), "the one that can't be is disabled");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_stands_there_makes_it_panic(
        which in 0usize..4,
        cut in any::<Index>(),
        is_cut in any::<bool>(),
        changes in vec((any::<Index>(), any::<u8>(), 0u8..3), 0..6),
        meta_changes in vec((any::<Index>(), any::<u8>(), 0u8..3), 0..4),
        score in any::<f64>(),
    ) {
        let changed = |text: &str, changes: &[(Index, u8, u8)]| {
            let mut bytes = text.as_bytes().to_vec();
            for (index, byte, how) in changes {
                let at = index.index(bytes.len());
                match how {
                    0 => bytes[at] = *byte,
                    1 => bytes.insert(at, b"0123456789eE-+.\"\\{}[],:nul\xff"[usize::from(*byte) % 27]),
                    _ => { bytes.remove(at); }
                }
            }
            bytes
        };
        let mut definition = changed(DEFINITIONS[which], &changes);
        if is_cut {
            definition.truncate(cut.index(definition.len()));
        }
        let mut stored = entry("redbeat:e", &definition, &changed(META, &meta_changes));
        stored.score = Some(score);
        let carried = of(vec![stored]);
        prop_assert_eq!(carried.import.file.entries.len() + carried.import.refused.len(), 1);
        for one in &carried.entries {
            let Some(entry) = one.id.as_ref().and_then(|id| carried.file_entry(id)) else { continue };
            let taken = at("2026-11-21T00:00:00Z");
            let goes_on = goes_on(&entry.entry, one.beat.last_run_at, taken).unwrap();
            prop_assert!(one.beat.last_run_at.is_none_or(|last| goes_on.from > last.timestamp()));
        }
    }
}

#[test]
fn an_entry_owes_what_came_since_its_last_run_and_of_what_is_long_overdue_the_newest() {
    let entry = every("2s", "2026-11-21T10:00:00.500Z");
    let from = |last: &str, taken: &str| goes_on(&entry, instant(last), at(taken)).unwrap().from;
    assert_eq!(from("2026-11-21T10:00:00.500Z", "2026-11-21T10:00:02.600Z"), at("2026-11-21T10:00:00.501Z"));
    assert_eq!(from("2026-11-21T10:00:00.500Z", "2026-11-22T10:00:03Z"), at("2026-11-22T10:00:02.500Z"));
    // Its clock was ahead.
    assert_eq!(from("2026-11-21T10:00:04.500Z", "2026-11-21T10:00:03Z"), at("2026-11-21T10:00:04.501Z"));
    let cron = json!({"cron": "0 9 1 1 *", "shell": "true"});
    let cron = Entry::parse(cron.as_object().unwrap().clone()).unwrap();
    let yearly = goes_on(&cron, instant("2025-01-01T09:00:00.300Z"), at("2026-11-21T10:00:00Z")).unwrap().from;
    assert_eq!(yearly, at("2026-01-01T09:00:00Z"));
}

#[test]
fn one_that_never_ran_fires_at_once_as_in_redbeat() {
    let fields = json!({"every": "1h", "shell": "true"});
    let entry = Entry::parse(fields.as_object().unwrap().clone()).unwrap();
    let taken = at("2026-11-21T10:00:00.123Z");
    let goes_on = goes_on(&entry, None, taken).unwrap();
    assert_eq!((goes_on.from, goes_on.entry.schedule.times_after(Timestamp(taken.0 - 1)).next()), (taken, Some(taken)));
}

fn fired(first: &str, last: &str, count: u64) -> Stretch {
    let (first, last) = (at(first), at(last));
    Stretch { first, last, count, sum: 0, revision: 1, outcome: State::Succeeded, reason: None }
}

#[test]
fn an_entry_goes_back_with_the_last_fire_and_the_number_of_all() {
    let definition = json("definition", DEFINITIONS[1].as_bytes()).unwrap();
    let beat = BeatEntry::read(&definition, None).unwrap();
    let kept = Kept { beat: Some(&beat), meta: META.as_bytes(), score: 7.0 };
    let (taken, now) = (at("2026-11-20T11:17:21Z"), at("2026-11-20T11:18:00Z"));
    let before = fired("2026-11-20T11:17:00Z", "2026-11-20T11:17:20.378Z", 20);
    let missed = Stretch { outcome: State::Missed, ..fired("2026-11-20T11:17:31.378Z", "2026-11-20T11:17:31.378Z", 1) };
    let ledger = [before, fired("2026-11-20T11:17:21.378Z", "2026-11-20T11:17:30.378Z", 10), missed];
    let resumed = resumes(&kept, &ledger, taken, now);
    assert_eq!((resumed.fired, resumed.last), (10, Some(at("2026-11-20T11:17:30.378Z"))));
    let read = BeatEntry::read(&definition, Some(&json("meta", &resumed.meta).unwrap())).unwrap();
    assert_eq!((read.last_run_at, read.total_run_count), (instant("2026-11-20T11:17:30.378Z"), 15));
    assert_eq!(resumed.score, at("2026-11-20T11:17:31Z").0 as f64 / 1000.0, "whole seconds, as RedBeat floors them");
    let untouched = resumes(&kept, &[before], taken, now);
    assert_eq!((untouched.meta.as_slice(), untouched.score, untouched.fired), (META.as_bytes(), 7.0, 0));
}

#[test]
fn nothing_is_due_of_what_is_parked() {
    let now = at("2026-11-20T11:18:00Z");
    for (definition, least_days) in DEFINITIONS.iter().zip([18_000, 18_000, 18_000, 18_000]) {
        let beat = BeatEntry::read(&json("definition", definition.as_bytes()).unwrap(), None).unwrap();
        let kept = Kept { beat: Some(&beat), meta: META.as_bytes(), score: 7.0 };
        let (meta, score) = parked(&kept, now);
        let read = BeatEntry::read(
            &json("definition", DEFINITIONS[1].as_bytes()).unwrap(),
            Some(&json("meta", &meta).unwrap()),
        );
        let read = read.unwrap();
        let until = read.last_run_at.unwrap().timestamp();
        assert!(until.0 > now.0 + least_days * 86_400_000, "{definition}");
        assert!(score < 0.0 || score * 1000.0 > now.0 as f64, "{definition}");
        assert_eq!(read.total_run_count, 5);
    }
}
