//! New entries that count from an instant: what they owe since then follows `catch_up`, and no pair is settled twice.

use serde_json::{Value, json};
use upbeat::domain::ledger;
use upbeat::domain::run::{Reason, State};
use upbeat::domain::timestamp::Timestamp;
use upbeat::service::{AddOptions, ApplyOptions, Changes, Said};

use crate::bed::{Bed, entry, file, id, named, new, object, owned_by, request, words};
use crate::pauses::settle;

fn ago(now: Timestamp, ms: i64) -> Said {
    Said::from(Timestamp(now.0 - ms))
}

async fn add_from(bed: &Bed, fields: Value, from: &Said) -> upbeat::error::Result<Changes> {
    let options = AddOptions { from: Some(from.clone()), ..new() };
    bed.service.add(&request(), id("a"), entry(fields), options).await
}

fn with(when: Value, catch_up: &str) -> Value {
    let mut fields = object(when);
    fields.insert("exec".to_owned(), json!(["true"]));
    fields.insert("overlap".to_owned(), json!("allow"));
    fields.insert("catch_up".to_owned(), json!(catch_up));
    Value::Object(fields)
}

#[tokio::test]
async fn a_new_entry_owes_its_fire_times_from_the_instant_named() {
    let schedules = [
        json!({"every": "1m"}),
        json!({"every": "1m", "start": "2026-01-01T00:00:00Z"}),
        json!({"cron": "*/7 * * * * *", "tz": "Europe/Berlin"}),
        json!({"cron": ["* * * * 1-4", "* * * * 5-7"]}),
    ];
    for when in schedules {
        for catch_up in ["latest", "none", "all"] {
            let bed = Bed::new().await;
            let from = ago(bed.now().await, 1_800_000);
            let added = add_from(&bed, with(when.clone(), catch_up), &from).await.unwrap();
            assert_eq!((words(&added), added.warnings.len()), (vec!["added"], 1), "nobody serves it");
            let first = added.changes[0].next_after.unwrap().0;
            settle(&bed).await;
            let schedule = bed.definition("a").await.parse(&id("a")).unwrap();
            assert_eq!(schedule.schedule.next_after(Timestamp(from.at.0 - 1)), Some(first), "{when}");
            let stretches = bed.stretches("a").await;
            let settled = bed.all_settled(&stretches, &schedule, Timestamp(from.at.0 - 1));
            assert!(settled >= 29, "{when} {catch_up}: {stretches:?}");
            let fired: u64 = stretches.iter().filter(|one| one.outcome == State::Succeeded).map(|one| one.count).sum();
            let stored = bed.store().entry(&id("a")).await.unwrap().unwrap();
            assert_eq!(bed.waiting("default:exec").len() + stored.back_log.len(), fired as usize, "{when} {catch_up}");
            bed.is_conserved();
        }
    }
}

#[tokio::test]
async fn a_past_start_is_only_phase_and_owes_nothing() {
    let bed = Bed::new().await;
    bed.add("a", with(json!({"every": "1m", "start": "2026-01-01T00:00:30Z"}), "all")).await;
    settle(&bed).await;
    assert_eq!(bed.stretches("a").await, []);
    let next = bed.store().entry(&id("a")).await.unwrap().unwrap().next_fire_at().unwrap();
    assert_eq!(next.0.rem_euclid(60_000), 30_000);
}

#[tokio::test]
async fn an_instant_that_has_passed_is_owed_where_the_entry_counts_from_before() {
    let bed = Bed::new().await;
    let now = bed.now().await;
    let at = Timestamp(now.0 - 30_000).to_rfc3339();
    let fields = || with(json!({"at": at}), "latest");
    assert_eq!(bed.try_add("a", fields()).await.unwrap_err().exit_code(), 2);
    let added = add_from(&bed, fields(), &ago(now, 60_000)).await.unwrap();
    assert!(!added.warnings.iter().any(|warning| warning.contains("has passed")), "{added:?}");
    settle(&bed).await;
    assert_eq!(bed.waiting("default:exec").len(), 1);
    bed.is_conserved();
}

#[tokio::test]
async fn from_is_refused_in_the_future_too_far_back_and_with_too_much() {
    let bed = Bed::new().await;
    let now = bed.now().await;
    let dense = json!({"cron": "*/7 * * * * *", "tz": "Europe/Berlin"});
    for (when, ms, why) in [
        (json!({"every": "1m"}), -60_000, "in the future"),
        (json!({"every": "1m"}), 367 * 86_400_000, "more than 366 days back"),
        (dense, 30 * 86_400_000, "more than 100000 fire times"),
    ] {
        let refused = add_from(&bed, with(when, "latest"), &ago(now, ms)).await.unwrap_err();
        assert_eq!((refused.exit_code(), refused.problem().field.as_deref()), (2, Some("from")), "{refused}");
        assert!(refused.to_string().contains(why), "{refused}");
    }
    assert_eq!(bed.count("HLEN", 0, "entries"), 0);
    // Evenly spaced: no more work than a few.
    add_from(&bed, with(json!({"every": "1s"}), "all"), &ago(now, 365 * 86_400_000)).await.unwrap();
    settle(&bed).await;
    let outcomes = bed.outcomes("a").await;
    assert!(outcomes[&(State::Missed, Some(Reason::CatchUpLimit))] > 31_000_000, "{outcomes:?}");
    bed.is_conserved();
}

#[tokio::test]
async fn what_the_id_settled_before_it_was_removed_is_not_owed_again() {
    let bed = Bed::new().await;
    let when = json!({"every": "1m", "start": "2026-01-01T00:00:00Z"});
    bed.add("a", with(when.clone(), "all")).await;
    let first = bed.now().await;
    bed.shift(600_000);
    settle(&bed).await;
    bed.remove("a").await;
    let end = ledger::end(&bed.stretches("a").await).unwrap();
    bed.shift(900_000);
    let added = add_from(&bed, with(when, "all"), &Said::from(Timestamp(first.0 - 60_000))).await.unwrap();
    assert!(added.warnings[0].contains(&format!("fire times up to {} are on record", end.to_rfc3339())), "{added:?}");
    assert_eq!(added.changes[0].next_after.unwrap().0, Timestamp(end.0 + 60_000));
    settle(&bed).await;
    let schedule = bed.definition("a").await.parse(&id("a")).unwrap();
    let settled = bed.all_settled(&bed.stretches("a").await, &schedule, first);
    assert!((14..=16).contains(&settled), "{settled}");
    bed.is_conserved();
}

#[tokio::test]
async fn apply_from_counts_for_new_entries_only_and_once() {
    let bed = Bed::with_shards(3).await;
    let old = "[entries.old]\nevery = \"1m\"\nexec = [\"true\"]\n";
    bed.service.apply(&request(), file(old), owned_by("o")).await.unwrap();
    let from = ago(bed.now().await, 600_000);
    let text =
        format!("{old}note = \"x\"\n[entries.new]\ncron = \"* * * * *\"\nexec = [\"true\"]\ncatch_up = \"all\"\n");
    let options = || ApplyOptions { from: Some(from.clone()), ..owned_by("o") };
    let request = named("r");
    let first = bed.service.apply(&request, file(&text), options()).await.unwrap();
    assert_eq!(words(&first), ["changed", "added"]);
    let again = bed.service.apply(&request, file(&text), options()).await.unwrap();
    assert_eq!(again.changes, first.changes);
    for shard in bed.store().shards() {
        bed.claim(shard).await;
    }
    assert_eq!(bed.stretches("old").await, []);
    let settled: u64 = bed.stretches("new").await.iter().map(|one| one.count).sum();
    assert_eq!(settled, 10);
    let far = ApplyOptions { from: Some(ago(bed.now().await, -1_000)), ..owned_by("o") };
    let refused = bed.service.apply(&named("s"), file("[entries.b]\nevery=\"1m\"\nexec=[\"true\"]\n"), far).await;
    assert_eq!(refused.unwrap_err().problem().field.as_deref(), Some("entries.b.from"));
    bed.is_conserved();
}
