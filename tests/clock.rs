//! The shard's clock: Redis' own, which never goes back for a shard, whatever somebody does to the server's clock.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::entries::id;
use support::hand::{Hand, World, distinct};
use upbeat::domain::run::{Reason, State};
use upbeat::store::{ClaimReply, EndedAs, FinishWord, Rescued};

fn every_second() -> Value {
    json!({"every": "1s", "shell": "true", "overlap": "allow", "keep_runs": 2000})
}

#[tokio::test]
async fn a_clock_that_stepped_back_fires_nothing_until_it_has_caught_up() {
    let world = World::with(&[("a", every_second())]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(61_000);
    hand.settle(0).await;
    let ran = hand.work_off(0).await.len();
    world.pass(-60_000);
    match hand.try_claim(0, 0).await {
        ClaimReply::Behind { behind_ms } => assert_eq!(behind_ms, 60_000),
        other => panic!("{other:?}"),
    }
    world.pass(30_000);
    assert!(matches!(hand.try_claim(0, 4).await, ClaimReply::Behind { .. }));
    assert!(hand.work_off(0).await.is_empty());
    world.pass(33_000);
    hand.settle(0).await;
    assert!(!hand.work_off(0).await.is_empty(), "it fires again by itself");
    let times = distinct(&world.ended("a").await);
    assert!(times.len() > ran);
    world.assert_conserved();
}

#[tokio::test]
async fn a_step_back_of_a_few_seconds_stops_nothing_and_fires_nothing_twice() {
    let world = World::with(&[("a", every_second())]).await;
    let mut hand = Hand::new(&world.store, 'a');
    for step in [3_000, -2_000, 1_000, -3_000, 4_000, 3_000] {
        world.pass(step);
        hand.settle(0).await;
        hand.work_off(0).await;
    }
    let times = distinct(&world.ended("a").await);
    assert!(times.windows(2).all(|pair| pair[1].0 - pair[0].0 == 1_000), "{times:?}");
}

#[tokio::test]
async fn what_runs_can_be_finished_while_the_clock_stands_behind() {
    let world = World::with(&[("a", every_second())]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(2_000);
    hand.settle(0).await;
    let run = hand.fetch(1).await.remove(0);
    world.pass(-60_000);
    assert_eq!(world.store.renew(0, &hand.incarnation, 15_000).await.unwrap().held.len(), 1);
    assert_eq!(world.store.rescue(0, &hand.incarnation, "a").await.unwrap(), Rescued::Alive);
    assert_eq!(hand.finish(&run, EndedAs::Succeeded).await, FinishWord::Finished);
    let ended = world.ended("a").await;
    assert!(ended[0].finished_at >= ended[0].started_at.unwrap(), "time does not go back");
}

#[tokio::test]
async fn after_a_clock_that_ran_ahead_the_real_one_is_accepted_by_hand() {
    let world = World::with(&[("a", every_second())]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(3_600_000);
    hand.settle(0).await;
    hand.work_off(0).await;
    let fired = distinct(&world.ended("a").await);
    world.pass(-3_600_000);
    assert!(matches!(hand.try_claim(0, 0).await, ClaimReply::Behind { .. }));
    let (shard, redis) = world.store.accept_clock(0, false).await.unwrap();
    assert_eq!(shard.0 - redis.0, 3_600_000, "it says what it would skip");
    assert!(matches!(hand.try_claim(0, 0).await, ClaimReply::Behind { .. }), "asking changes nothing");
    world.store.accept_clock(0, true).await.unwrap();
    world.pass(2_000);
    hand.settle(0).await;
    assert!(hand.work_off(0).await.is_empty(), "what the clock that ran ahead had fired does not fire again");
    world.add(&[("b", every_second())]).await;
    world.pass(2_000);
    hand.settle(0).await;
    assert!(!hand.work_off(0).await.is_empty(), "the shard lives by the real clock");
    assert_eq!(distinct(world.ended("a").await.iter()), fired);
    world.assert_conserved();
}

#[tokio::test]
async fn leases_are_cut_to_the_clock_that_was_accepted() {
    let world = World::with(&[("a", every_second())]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(3_600_000);
    hand.settle(0).await;
    hand.fetch(1).await;
    world.pass(-3_600_000);
    let (_, redis) = world.store.accept_clock(0, true).await.unwrap();
    let end = world.on("ZSCORE", "leases", &[&hand.incarnation]).parse::<f64>().unwrap() as i64;
    assert_eq!(end - redis.0, 15_000);
}

#[tokio::test]
async fn a_jump_of_an_hour_follows_catch_up() {
    let world = World::with(&[("a", json!({"every": "10s", "shell": "true"}))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    hand.settle(0).await;
    world.pass(3_600_000);
    hand.settle(0).await;
    hand.work_off(0).await;
    let tally = world.tally("a").await;
    let missed = tally[&(State::Missed, Some(Reason::Superseded))];
    assert!((358..=362).contains(&missed), "{tally:?}");
    distinct(&world.ended("a").await);
}

#[tokio::test]
async fn a_jump_of_an_hour_takes_no_lease() {
    let world = World::with(&[("a", every_second())]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(2_000);
    hand.settle(0).await;
    let run = hand.fetch(1).await.remove(0);
    world.pass(3_600_000);
    let mut other = Hand::new(&world.store, 'b');
    assert!(other.claim(0, 0).await.ended_nodes.is_empty());
    assert_eq!(world.store.rescue(0, &hand.incarnation, "a").await.unwrap(), Rescued::Alive);
    assert_eq!(world.store.renew(0, &hand.incarnation, 15_000).await.unwrap().held.len(), 1);
    assert_eq!(hand.finish(&run, EndedAs::Succeeded).await, FinishWord::Finished);
}

#[tokio::test]
async fn nothing_fires_before_its_time() {
    let world = World::with(&[("a", json!({"every": "1h", "shell": "true"}))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    let first = world.store.entry(&id("a")).await.unwrap().unwrap().cursor();
    let now = world.store.now(0).await.unwrap();
    world.pass(first.0 - now.0 - 60_000);
    let claim = hand.claim(0, 0).await;
    assert_eq!((claim.claimed, claim.next_due), (0, Some(first)));
    world.pass(first.0 - claim.now.0);
    let claim = hand.claim(0, 0).await;
    assert!(claim.claimed == 1 && claim.now >= first);
}
