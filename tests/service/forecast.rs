//! forecast: counted from the entries as they stand, with the lengths that were measured.

use serde_json::{Value, json};
use upbeat::domain::entry::Entry;
use upbeat::domain::id::QueueName;
use upbeat::domain::span::Span;
use upbeat::domain::timestamp::Timestamp;
use upbeat::error::Error;
use upbeat::service::{ForecastOptions, ForecastView, Select};

use crate::bed::{Bed, id, object, request};
use crate::story::Story;

const HOUR: u64 = 3_600_000;

fn next(ms: u64) -> ForecastOptions {
    ForecastOptions { select: None, from: None, next: Span(ms) }
}

async fn forecast(bed: &Bed, ms: u64) -> ForecastView {
    bed.service.forecast(&next(ms)).await.unwrap()
}

/// Runs by minute, of all queues.
fn by_minute(view: &ForecastView) -> Vec<(Timestamp, u64)> {
    let mut runs: Vec<(Timestamp, u64)> = Vec::new();
    for minute in view.minutes.iter().filter(|minute| minute.runs > 0) {
        match runs.last_mut().filter(|(at, _)| *at == minute.at.0) {
            Some((_, runs)) => *runs += minute.runs,
            None => runs.push((minute.at.0, minute.runs)),
        }
    }
    runs
}

/// The same told fire time by fire time.
fn told(entries: &[(&str, Value)], view: &ForecastView) -> Vec<(Timestamp, u64)> {
    let mut runs = std::collections::BTreeMap::new();
    for (name, fields) in entries {
        let entry = Entry::parse_for(&id(name), object(fields.clone())).unwrap();
        let times = entry.schedule.times_after(Timestamp(view.from.0.0 - 1));
        for at in times.take_while(|at| *at < view.to.0) {
            *runs.entry(Timestamp(at.0.div_euclid(60_000) * 60_000)).or_default() += 1;
        }
    }
    runs.into_iter().collect()
}

#[tokio::test]
async fn every_fire_time_of_the_window_is_counted_in_its_minute() {
    let bed = Bed::new().await;
    let entries = [
        ("minutely", json!({"cron": "* * * * *", "shell": "true"})),
        ("listed", json!({"cron": "0,7,41 * * * *", "shell": "true"})),
        ("berlin", json!({"cron": "30 9-17 * * mon-fri", "tz": "Europe/Berlin", "shell": "true", "queue": "work"})),
        ("hashed", json!({"cron": "H H * * *", "shell": "true", "queue": "work"})),
        (
            "rule",
            json!({"rrule": "FREQ=HOURLY;INTERVAL=2;BYMINUTE=5;BYSECOND=0", "start": "2026-01-01T00:00:00Z", "shell": "true"}),
        ),
        ("message", json!({"every": "10s", "anchor": "2026-01-01T00:00:03Z", "list": "app:ticks"})),
    ];
    for (name, fields) in &entries {
        let entry = Entry::parse_for(&id(name), object(fields.clone())).unwrap();
        bed.service.add(&request(), id(name), entry, crate::bed::new()).await.unwrap();
    }
    let view = forecast(&bed, 48 * HOUR).await;
    assert_eq!(view.to.0.0 - view.from.0.0, 48 * 3_600_000);
    let told = told(&entries, &view);
    assert_eq!(by_minute(&view), told);
    assert_eq!(view.runs, told.iter().map(|(_, runs)| runs).sum::<u64>());
    assert_eq!((view.entries, view.counted_to, view.running_to), (6, view.to, view.to));
    let queues: Vec<Option<&str>> = view.queues.iter().map(|queue| queue.queue.as_deref()).collect();
    assert_eq!(queues, [Some("default"), Some("work"), None], "messages last");
    assert_eq!(view.queues[2].concurrency_p95, 0, "they take no slot");
    let most = told.iter().map(|(_, runs)| *runs).max().unwrap();
    let first = told.iter().find(|(_, runs)| *runs == most).unwrap().0;
    let worst = view.worst.unwrap();
    assert_eq!((worst.at.0, worst.runs), (first, most));
    assert_eq!(worst.entries.iter().map(|entry| entry.runs).sum::<u64>(), most);
}

#[tokio::test]
async fn spread_end_max_fires_skips_calendars_and_pauses_count_as_they_stand() {
    let bed = Bed::new().await;
    bed.turn_to(Timestamp::parse("t", "2026-11-22T00:00:30Z", None).unwrap());
    let count = async |name: &str| {
        let select = Some(Select::Ids(vec![id(name)]));
        bed.service.forecast(&ForecastOptions { select, ..next(24 * HOUR) }).await.unwrap()
    };
    let hourly = |more: Value| {
        let mut fields = object(json!({"cron": "0 * * * *", "shell": "true"}));
        fields.extend(object(more));
        Value::Object(fields)
    };
    bed.add("plain", hourly(json!({}))).await;
    assert_eq!(count("plain").await.runs, 24);
    bed.add("ends", hourly(json!({"end": "2026-11-22T03:00:00Z"}))).await;
    assert_eq!(count("ends").await.runs, 2);
    bed.add("starts", hourly(json!({"start": "2026-11-22T22:00:00Z"}))).await;
    assert_eq!(count("starts").await.runs, 3);
    bed.add("few", hourly(json!({"max_fires": 5}))).await;
    assert_eq!(count("few").await.runs, 5);
    let late = ForecastOptions {
        select: Some(Select::Ids(vec![id("few")])),
        from: Some(Timestamp::parse("t", "2026-11-22T03:30:00Z", None).unwrap()),
        ..next(24 * HOUR)
    };
    assert_eq!(bed.service.forecast(&late).await.unwrap().runs, 2, "three of the five come before");
    bed.add("excluded", hourly(json!({"exclude": ["2026-11-22"]}))).await;
    assert_eq!(count("excluded").await.runs, 1);
    bed.add("skipping", hourly(json!({}))).await;
    let at = Timestamp::parse("t", "2026-11-22T05:00:00Z", None).unwrap();
    bed.service.skip(&request(), &id("skipping"), Some(&at.into()), false).await.unwrap();
    assert_eq!(count("skipping").await.runs, 23);
    bed.add("later", hourly(json!({"spread": "30m"}))).await;
    let due = count("later").await.minutes[0].at.0.0;
    assert!(due > Timestamp::parse("t", "2026-11-22T00:00:30Z", None).unwrap().0 && due % 3_600_000 < 1_800_000);
    bed.pause("plain").await;
    let paused = count("plain").await;
    assert_eq!((paused.runs, paused.left_out.paused, paused.left_out.paused_ids), (0, 1, vec!["plain".to_owned()]));
    let until = Timestamp::parse("t", "2026-11-22T20:30:00Z", None).unwrap();
    bed.service.pause_until(&request(), &[id("ends"), id("skipping")], &until.into()).await.unwrap();
    assert_eq!((count("skipping").await.runs, count("ends").await.runs), (4, 0), "from the end of the pause on");
}

#[tokio::test]
async fn measured_lengths_decide_what_runs_at_once_and_who_skips() {
    let story = Story::at("2026-11-18T12:00").await;
    story.nightly(json!({"cron": "0 2,3 * * *"})).await;
    story.succeed("2026-11-19T02:00", 20).await;
    story.succeed("2026-11-20T02:00", 90).await;
    let view = forecast(&story.bed, 24 * HOUR).await;
    assert_eq!((view.runs, view.unmeasured), (2, 0));
    assert_eq!((view.concurrency_p50, view.concurrency_p95, view.slots), (1, 1, 0));
    let [skip] = &view.skips[..] else { panic!("{:?}", view.skips) };
    assert_eq!((skip.id.as_str(), skip.runs, skip.skipped), ("nightly", 2, 1), "90 min is longer than an hour");
    assert_eq!(skip.p95_ms / 60_000, 90);
    let busy = view.minutes.iter().filter(|minute| minute.busy > 0).count();
    assert!((90..=92).contains(&busy), "minutes in which it runs: {busy}");
    let warning = &view.warnings[0];
    assert!(
        warning.starts_with("queue default: at ")
            && warning.contains(" there are 1 exec run at once; ")
            && warning.contains("no live node"),
        "{warning}"
    );
    assert!(warning.ends_with("upbeat node --allow exec --concurrency 1"), "{warning}");
}

#[tokio::test]
async fn spreading_says_what_to_type_and_typing_it_gives_the_minute_it_promised() {
    let bed = Bed::new().await;
    bed.turn_to(Timestamp::parse("t", "2026-11-22T00:30:00Z", None).unwrap());
    for number in 0..20 {
        bed.add(&format!("e{number}"), json!({"cron": "0 2 * * *", "shell": "true", "queue": "batch"})).await;
    }
    bed.add("aside", json!({"cron": "10 2 * * *", "shell": "true"})).await;
    let before = forecast(&bed, 24 * HOUR).await;
    assert_eq!(before.worst.as_ref().map(|worst| (worst.runs, worst.entries_total)), Some((20, 20)));
    assert_eq!((before.concurrency_p95, before.unmeasured), (20, 21), "unmeasured runs are taken to last a minute");
    let spread = before.spread.expect("it helps");
    assert_eq!(spread.changes[0].command, "upbeat set e0 --cron 'H 2 * * *'");
    assert!(spread.changes.iter().all(|change| change.id != "aside") && spread.entries <= 20);
    assert!(spread.worst.runs < 10);
    for change in &spread.changes {
        bed.set(&change.id, json!({"cron": "H 2 * * *"})).await;
    }
    let after = forecast(&bed, 24 * HOUR).await;
    let worst = after.worst.unwrap();
    assert_eq!((worst.at, worst.runs), (spread.worst.at, spread.worst.runs));
    assert_eq!((after.concurrency_p50, after.concurrency_p95), (spread.concurrency_p50, spread.concurrency_p95));
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_and_what_is_selected_is_counted_alone() {
    let bed = Bed::new().await;
    for (ms, words) in [(59_999, "59s999ms is not between 1m and 366d"), (367 * 24 * HOUR, "367d is not between")] {
        let error = bed.service.forecast(&next(ms)).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)) && error.to_string().contains(words), "{error}");
    }
    let past = ForecastOptions { from: Some(Timestamp(bed.now().await.0 - 60_000)), ..next(HOUR) };
    let error = bed.service.forecast(&past).await.unwrap_err();
    assert!(error.to_string().contains("is in the past"), "{error}");
    let missing = ForecastOptions { select: Some(Select::Ids(vec![id("nobody")])), ..next(HOUR) };
    assert!(matches!(bed.service.forecast(&missing).await, Err(Error::NotFound(_))));
    let empty = forecast(&bed, HOUR).await;
    assert!(empty.worst.is_none() && empty.spread.is_none() && empty.minutes.is_empty() && empty.warnings.is_empty());
    bed.add("a", json!({"every": "1m", "shell": "true"})).await;
    bed.add("b", json!({"every": "1m", "shell": "true", "queue": "batch"})).await;
    // Not at a fire time: an hour has 60 of them then, whichever end is counted.
    bed.pass(1).await;
    let queue = Select::Queue(QueueName::parse("queue", "batch").unwrap());
    let view = bed.service.forecast(&ForecastOptions { select: Some(queue), ..next(HOUR) }).await.unwrap();
    assert_eq!((view.runs, view.entries), (60, 1));
    bed.redis.cli(&["HSET", &bed.key(0, "entries"), "odd", "{"]);
    let view = forecast(&bed, HOUR).await;
    assert_eq!((view.runs, view.left_out.broken, view.left_out.broken_ids), (120, 1, vec!["odd".to_owned()]));
}
