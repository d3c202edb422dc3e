//! What is older than records are kept goes, and only that: the audit stays clean and says how far it reaches.

use serde_json::json;
use upbeat::domain::audit::RETENTION_MS;
use upbeat::domain::event::EventType;
use upbeat::domain::ledger;
use upbeat::domain::timestamp::Timestamp;
use upbeat::error::Error;
use upbeat::service::{EventFilter, Select, TriggerOptions};
use upbeat::store::Aged;

use crate::audits::{audit, clean, fields};
use crate::bed::{Bed, id, request};
use crate::pauses::settle;

const DAY_MS: i64 = 86_400_000;

/// An entry whose ledger has a stretch a day: paused every other hour of the first ten days.
async fn lived() -> Bed {
    let bed = Bed::new().await;
    bed.add("a", fields(json!({"cron": "0 * * * *"}))).await;
    for day in 1..=10 {
        bed.shift(day * DAY_MS - DAY_MS / 2);
        bed.pause("a").await;
        bed.shift(day * DAY_MS);
        bed.resume("a").await;
    }
    bed
}

fn fields_of(bed: &Bed, word: &str) -> i64 {
    bed.count("HLEN", 0, word)
}

#[tokio::test]
async fn after_forty_days_what_is_too_old_is_gone_and_the_rest_is_proven() {
    let bed = lived().await;
    bed.add("gone", fields(json!({"every": "1m"}))).await;
    bed.shift(10 * DAY_MS + 3_600_000);
    settle(&bed).await;
    bed.remove("gone").await;
    let whole = bed.stretches("a").await;
    assert!(whole.len() >= 20 && fields_of(&bed, "revisions") >= 22);
    // Nothing is too old yet.
    bed.shift(12 * DAY_MS);
    settle(&bed).await;
    let before = clean(&audit(&bed).await);
    assert_eq!(bed.store().age(0).await.unwrap(), Aged::default());
    assert_eq!(clean(&audit(&bed).await), before);
    // Half of the pauses are.
    bed.shift(40 * DAY_MS);
    settle(&bed).await;
    let view = audit(&bed).await;
    let expected = clean(&view);
    let aged = bed.store().age(0).await.unwrap();
    assert_eq!((aged.ledgers, aged.ids), (1, 0), "{aged:?}");
    assert!((8..=10).contains(&aged.revisions), "{aged:?}");
    let horizon = Timestamp(bed.now().await.0 - RETENTION_MS);
    let left = bed.stretches("a").await;
    assert!(left.iter().all(|one| one.last >= horizon), "{left:?}");
    assert!(whole.iter().filter(|one| one.last < horizon).count() >= 8, "{whole:?}");
    let after = audit(&bed).await;
    assert!(clean(&after).abs_diff(expected) <= 1);
    assert!(after.covered_from.0.0.abs_diff(horizon.0) < 3_600_000, "it says how far it reaches");
    assert_eq!(bed.store().age(0).await.unwrap(), Aged::default(), "and again changes nothing");
    // All of it, and the removed id.
    bed.shift(50 * DAY_MS);
    settle(&bed).await;
    let aged = bed.store().age(0).await.unwrap();
    assert_eq!(aged.ids, 1);
    clean(&audit(&bed).await);
    assert_eq!((fields_of(&bed, "removed"), fields_of(&bed, "ledger")), (0, 1));
    let gone = bed.service.audit(Some(&Select::Ids(vec![id("gone")])), None).await;
    assert!(matches!(gone, Err(Error::NotFound(_))), "{gone:?}");
    let horizon = Timestamp(bed.now().await.0 - RETENTION_MS);
    assert!(bed.stretches("a").await.iter().all(|one| one.last >= horizon));
    assert_eq!(fields_of(&bed, "revisions"), 0, "none but the one that stands");
}

#[tokio::test]
async fn the_end_of_a_ledger_and_the_revision_that_it_names_stay() {
    let bed = Bed::new().await;
    let at = Timestamp(bed.now().await.0 + 60_000);
    bed.add("once", fields(json!({"at": at.to_rfc3339()}))).await;
    bed.shift(61_000);
    settle(&bed).await;
    bed.set("once", json!({"note": "x"})).await;
    bed.set("once", json!({"note": "y"})).await;
    bed.shift(80 * DAY_MS);
    settle(&bed).await;
    let aged = bed.store().age(0).await.unwrap();
    assert_eq!((aged.ledgers, aged.revisions), (0, 1), "the second");
    assert_eq!(bed.stretches("once").await.len(), 1);
    assert!(bed.store().revision(0, &id("once"), 1).await.unwrap().is_some());
    clean(&audit(&bed).await);
}

#[tokio::test]
async fn the_revision_of_a_run_that_has_not_ended_stays() {
    let bed = Bed::new().await;
    bed.add("a", fields(json!({"every": "1m"}))).await;
    bed.service.trigger(&crate::bed::request(), &id("a"), Default::default()).await.unwrap();
    bed.set("a", json!({"every": "1h"})).await;
    bed.remove("a").await;
    bed.add("b", fields(json!({"every": "1m"}))).await;
    bed.service.trigger(&crate::bed::request(), &id("b"), Default::default()).await.unwrap();
    bed.set("b", json!({"every": "1h"})).await;
    bed.shift(80 * DAY_MS);
    let aged = bed.store().age(0).await.unwrap();
    assert_eq!((aged.ids, aged.revisions), (1, 0), "what waits of a removed entry has been cancelled");
    assert!(bed.store().revision(0, &id("b"), 1).await.unwrap().is_some());
}

#[tokio::test]
async fn fire_times_that_are_dropped_still_count_for_a_limit() {
    let bed = lived().await;
    bed.shift(50 * DAY_MS);
    settle(&bed).await;
    let fires = bed.store().fires_of(&id("a")).await.unwrap();
    bed.store().age(0).await.unwrap();
    assert!(ledger::dropped(&bed.store().ledger(0, &id("a")).await.unwrap()).unwrap().count > 200);
    assert_eq!(bed.store().fires_of(&id("a")).await.unwrap(), fires);
    bed.set("a", json!({"max_fires": fires + 3})).await;
    let (_, entry) = bed.service.entry(&id("a")).await.unwrap();
    let now = bed.now().await;
    assert_eq!(bed.service.upcoming(&id("a"), &entry, now, 10).await.unwrap().len(), 3);
    bed.shift(51 * DAY_MS);
    settle(&bed).await;
    assert_eq!(bed.service.list(&Default::default()).await.unwrap()[0].status, "finished");
    clean(&audit(&bed).await);
}

#[tokio::test]
async fn one_claim_an_hour_asks_for_it_and_another_where_nothing_came_of_it() {
    let bed = Bed::new().await;
    bed.shift(0);
    assert!(bed.claim(0).await.ages);
    assert!(!bed.claim(0).await.ages, "one node at a time");
    bed.shift(601_000);
    assert!(bed.claim(0).await.ages, "whoever was asked has died");
    bed.store().age(0).await.unwrap();
    bed.shift(2_000_000);
    assert!(!bed.claim(0).await.ages, "done");
    bed.shift(601_000 + 3_600_000);
    assert!(bed.claim(0).await.ages);
}

#[tokio::test]
async fn a_ledger_that_grew_too_long_covers_less_and_says_so() {
    let bed = Bed::new().await;
    bed.add("a", fields(json!({"every": "1m"}))).await;
    for round in 1..=130 {
        bed.shift(round * 120_000);
        // Settles what is due under the revision before, of two outcomes.
        bed.set("a", json!({"note": format!("{round}"), "catch_up": "none"})).await;
        if round % 20 == 0 {
            bed.store().shorten_ledger(&id("a")).await.unwrap();
        }
    }
    settle(&bed).await;
    bed.store().shorten_ledger(&id("a")).await.unwrap();
    let text = bed.store().ledger(0, &id("a")).await.unwrap();
    let until = ledger::dropped(&text).expect("more than fit").until;
    let view = audit(&bed).await;
    assert_eq!((view.numbers.missing, view.numbers.extra), (0, 0), "{view:#?}");
    assert_eq!((view.entries[0].reason, view.covered_from.0), ("not_covered", Timestamp(until.0 + 1)));
    assert!(ledger::read(&text).unwrap().len() <= ledger::STRETCHES);
}

#[tokio::test]
async fn dead_letters_go_after_ninety_days_and_that_is_told() {
    let bed = Bed::new().await;
    bed.redis.cli(&["SET", "out", "no list"]);
    bed.add("a", json!({"every": "1h", "list": "out"})).await;
    bed.service.trigger(&request(), &id("a"), TriggerOptions::default()).await.unwrap();
    bed.shift(89 * DAY_MS);
    bed.store().age_runs(0).await.unwrap();
    assert_eq!(bed.count("ZCARD", 0, "dead"), 1);
    bed.shift(91 * DAY_MS);
    bed.store().age_runs(0).await.unwrap();
    assert_eq!((bed.count("ZCARD", 0, "dead"), bed.count("HLEN", 0, "letters")), (0, 0));
    let filter = EventFilter { types: vec![EventType::LettersDropped], ..EventFilter::default() };
    let events = bed.service.events(&filter).await.unwrap().events;
    assert_eq!((events.len(), events[0].count), (1, Some(1)));
}
