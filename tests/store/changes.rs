//! Changes beside claims: what is overdue is settled first, nothing fires twice, what passes in a pause is on record.

use serde_json::{Value, json};
use upbeat::domain::ledger;
use upbeat::domain::run::{Reason, State};
use upbeat::store::{ChangeCall, ChangeWord, EndedAs, Place, PutAnswer, Verb};

use crate::support::changes::{change, change_of};
use crate::support::entries::id;
use crate::support::hand::{Hand, World, distinct};

fn every(span: &str) -> Value {
    json!({"every": span, "shell": "true", "overlap": "allow", "keep_runs": 1000})
}

fn minutes() -> Value {
    json!({"cron": ["* * * * 1-4", "* * * * 5-7"], "shell": "true", "overlap": "allow", "keep_runs": 1000})
}

#[tokio::test]
async fn a_change_that_was_decided_before_a_claim_does_not_fire_its_time_again() {
    let world = World::with(&[("a", every("10s"))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    let decided = change_of(&world.store, "a", Verb::Put, &json!({"note": "new"})).await;
    world.pass(10_000);
    hand.settle(0).await;
    assert_eq!(hand.work_off(0).await.len(), 1);
    let PutAnswer::Done(done) = world.change("r", decided).await else { panic!("it is carried out") };
    assert_eq!(done[0].word, ChangeWord::Changed, "a claim does not touch the revision");
    hand.settle(0).await;
    assert!(hand.work_off(0).await.is_empty());
    world.pass(10_000);
    hand.settle(0).await;
    hand.work_off(0).await;
    let times = distinct(&world.ended("a").await);
    assert_eq!(times[1].0 - times[0].0, 10_000);
    world.assert_conserved();
}

#[tokio::test]
async fn a_change_settles_what_is_overdue_under_the_old_definition_first() {
    let world = World::with(&[("a", every("10s"))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(12_000);
    let changed = change(&world.store, "a", Verb::Put, json!({"every": "1h"})).await;
    assert!(changed.next_after.unwrap() > changed.next_before.unwrap());
    let ran = hand.work_off(0).await;
    assert_eq!((ran.len(), ran[0].run.revision), (1, 1), "the fire time of the old definition");
    world.assert_conserved();
}

#[tokio::test]
async fn a_change_after_an_hour_without_nodes_settles_a_list_that_ran_dry() {
    for verb in [Verb::Put, Verb::Pause, Verb::Remove] {
        let world = World::with(&[("m", minutes())]).await;
        let mut hand = Hand::new(&world.store, 'a');
        let first = world.store.entry(&id("m")).await.unwrap().unwrap().cursor();
        world.pass(3_600_000);
        change(&world.store, "m", verb, json!({})).await;
        let now = world.store.now(0).await.unwrap();
        hand.settle(0).await;
        hand.work_off(0).await;
        let owed = ((now.0 - first.0) / 60_000 + 1) as u64;
        let tally = world.tally("m").await;
        assert_eq!(tally.values().sum::<u64>(), owed, "{verb:?} {tally:?}");
        match verb {
            Verb::Pause => assert_eq!(tally[&(State::Missed, Some(Reason::Paused))], owed),
            Verb::Remove => assert_eq!(tally[&(State::Missed, Some(Reason::Removed))], owed),
            _ => assert_eq!(tally[&(State::Missed, Some(Reason::Superseded))], owed - 1),
        }
        world.assert_conserved();
    }
}

#[tokio::test]
async fn what_passes_in_a_pause_is_one_skipped_record() {
    for (name, entry, period) in [("a", every("10s"), 10_000), ("m", minutes(), 60_000)] {
        let world = World::with(&[(name, entry)]).await;
        let mut hand = Hand::new(&world.store, 'a');
        world.pass(60_000);
        hand.settle(0).await;
        hand.work_off(0).await;
        change(&world.store, name, Verb::Pause, json!({})).await;
        assert_eq!(world.store.entry(&id(name)).await.unwrap().unwrap().place, Some(Place::Paused));
        world.pass(7_200_000);
        hand.settle(0).await;
        assert!(hand.work_off(0).await.is_empty(), "it is paused");
        change(&world.store, name, Verb::Resume, json!({})).await;
        hand.settle(0).await;
        assert!(hand.work_off(0).await.is_empty(), "a resumed entry owes nothing");
        let ended = world.ended(name).await;
        let skipped: Vec<_> = ended.iter().filter(|run| run.reason == Some(Reason::Paused)).collect();
        assert_eq!((skipped.len(), skipped[0].state), (1, State::Skipped), "{name}");
        world.pass(period);
        hand.settle(0).await;
        assert_eq!(hand.work_off(0).await.len(), 1);
        let text = world.store.ledger(0, &id(name)).await.unwrap();
        let stretches = ledger::read(&text).unwrap();
        let (first, last) = (stretches[0].first, ledger::end(&stretches).unwrap());
        let count: u64 = stretches.iter().map(|stretch| stretch.count).sum();
        assert_eq!(count as i64, (last.0 - first.0) / period + 1, "{name}: {stretches:?}");
        world.assert_conserved();
    }
}

#[tokio::test]
async fn what_waits_of_a_removed_entry_is_cancelled_and_what_runs_ends_by_itself() {
    let world = World::with(&[("a", every("10s"))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    for _ in 0..2 {
        world.pass(10_000);
        hand.settle(0).await;
    }
    let run = hand.fetch(1).await.remove(0);
    change(&world.store, "a", Verb::Remove, json!({})).await;
    assert_eq!(world.tally("a").await[&(State::Cancelled, Some(Reason::EntryRemoved))], 1);
    world.assert_conserved();
    assert!(hand.fetch(9).await.is_empty());
    hand.finish(&run, EndedAs::Succeeded).await;
    assert_eq!(world.tally("a").await[&(State::Succeeded, None)], 1);
    world.assert_conserved();
}

#[tokio::test]
async fn an_entry_that_is_added_again_has_other_run_ids() {
    let world = World::with(&[("a", every("10s"))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    hand.settle(0).await;
    let before = hand.work_off(0).await;
    change(&world.store, "a", Verb::Remove, json!({})).await;
    world.add(&[("a", every("10s"))]).await;
    world.pass(10_000);
    hand.settle(0).await;
    let after = hand.work_off(0).await;
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before[0].run.run_id[13..], after[0].run.run_id[13..]);
    assert!(after[0].run.fire_at > before[0].run.fire_at);
}

#[tokio::test]
async fn an_entry_that_changed_meanwhile_is_refused_and_the_rest_written() {
    let world = World::with(&[("a", every("1h")), ("b", every("1h"))]).await;
    let changes = [
        change_of(&world.store, "a", Verb::Put, &json!({"note": "one"})).await,
        change_of(&world.store, "b", Verb::Put, &json!({"note": "one"})).await,
    ];
    change(&world.store, "a", Verb::Put, json!({"note": "other"})).await;
    let call = ChangeCall { request: "r", content: "", changes: &changes, is_dry_run: false };
    let PutAnswer::Done(done) = world.store.put(0, &call).await.unwrap() else { panic!("it is carried out") };
    assert_eq!([done[0].word, done[1].word], [ChangeWord::Conflict, ChangeWord::Changed]);
    assert_eq!((done[0].revision, done[1].revision), (2, 2));
}

#[tokio::test]
async fn saying_what_would_happen_writes_nothing() {
    let world = World::with(&[("a", every("10s"))]).await;
    world.pass(30_000);
    let picture = || world.redis.keys().iter().map(|key| world.redis.cli(&["DUMP", key])).collect::<Vec<_>>();
    let changes = [change_of(&world.store, "a", Verb::Remove, &json!({})).await];
    let before = picture();
    let call = ChangeCall { request: "r", content: "", changes: &changes, is_dry_run: true };
    let PutAnswer::Done(done) = world.store.put(0, &call).await.unwrap() else { panic!("it answers") };
    assert_eq!(done[0].word, ChangeWord::Removed);
    assert_eq!(picture(), before);
}
