//! Holes that were found by looking for them, each with the trace that showed it.

#![allow(clippy::unwrap_used)]
mod support;
use serde_json::json;
use support::changes::change;
use support::hand::{Hand, World};
use upbeat::store::{ClaimReply, EndedAs, Verb};

async fn pass_watched(world: &World, ms: i64) {
    let mut watch = Hand::new(&world.store, 'w');
    for _ in 0..ms / 1_000 {
        world.pass(1_000);
        watch.claim(0, 0).await;
    }
}

#[tokio::test]
async fn a_repeated_claim_gives_out_no_attempt_that_came_by_another_call() {
    let world = World::with(&[("a", json!({"every": "1h", "shell": "true"}))]).await;
    world.pass(3_600_000);
    let mut hand = Hand::new(&world.store, 'a');
    // Carried out, its reply is lost.
    let ClaimReply::Claimed(first) = hand.claim_number(0, 1, 1).await.unwrap() else { panic!() };
    assert_eq!(first.started.len(), 1);
    pass_watched(&world, 17_000).await;
    world.store.rescue(0, &hand.incarnation, "x").await.unwrap();
    // Its work lane comes first after the reconnect.
    let again = hand.fetch(1).await.remove(0);
    // Then the claim is repeated by its number.
    let ClaimReply::Repeated { started, .. } = hand.claim_number(0, 1, 1).await.unwrap() else { panic!() };
    assert!(started.is_empty(), "the attempt {} was given out twice", again.run.fence);
}

#[tokio::test]
async fn a_run_that_started_in_time_is_repeated_after_a_hand_back() {
    let world = World::with(&[("a", json!({"every": "1h", "shell": "true", "start_within": "10s"}))]).await;
    world.pass(3_600_000);
    let mut hand = Hand::new(&world.store, 'a');
    hand.settle(0).await;
    let run = hand.fetch(1).await.remove(0);
    world.pass(5_000);
    world.store.renew(0, &hand.incarnation, 15_000).await.unwrap();
    world.pass(6_000);
    hand.finish(&run, EndedAs::HandedBack).await;
    let other = Hand::new(&world.store, 'b').fetch(1).await;
    assert_eq!(other.len(), 1, "it had started in time");
}

#[tokio::test]
async fn ids_of_expired_runs_do_not_pile_up_and_a_fetch_looks_at_few() {
    let entry = json!({"every": "1s", "shell": "true", "start_within": "3s", "overlap": "allow"});
    let world = World::with(&[("a", entry)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    for _ in 0..300 {
        world.pass(1_000);
        hand.settle(0).await;
    }
    assert!(world.on("LLEN", "queue:default:shell", &[]).parse::<usize>().unwrap() < 10);
    // As many as a few days would leave.
    let list = world.key("queue:default:shell");
    world.redis.cli(&["EVAL", &format!("for i = 1, 200 do local t = {{}} for k = 1, 1000 do t[k] = string.format('%036d', i * 1000 + k) end redis.call('RPUSH', '{list}', unpack(t)) end"), "0"]);
    let length = || world.on("LLEN", "queue:default:shell", &[]).parse::<usize>().unwrap();
    let before = length();
    hand.fetch(8).await;
    assert!(before - length() <= 200 * 8, "one call looked at {} ids", before - length());
}

#[tokio::test]
async fn a_changed_entry_that_loses_its_place_owes_nothing_from_before_the_change() {
    let world = World::with(&[("a", json!({"every": "1h", "shell": "true", "catch_up": "latest"}))]).await;
    world.pass(3_600_000);
    let mut hand = Hand::new(&world.store, 'a');
    hand.settle(0).await;
    hand.work_off(0).await;
    world.pass(45 * 60_000);
    hand.settle(0).await;
    // 45 minutes after the last fire: now every ten minutes.
    change(&world.store, "a", Verb::Put, json!({"every": "10m"})).await;
    world.on("DEL", "due", &[]);
    for _ in 0..10 {
        world.pass(10_000);
        hand.claim(0, 0).await;
    }
    world.store.rebuild(0).await.unwrap();
    hand.settle(0).await;
    let ran = hand.work_off(0).await;
    assert!(ran.is_empty());
}

#[tokio::test]
async fn a_fetch_with_live_of_another_type_takes_no_id() {
    let world = World::with(&[("a", json!({"every": "1h", "shell": "true"}))]).await;
    world.pass(3_600_000);
    let mut hand = Hand::new(&world.store, 'a');
    hand.settle(0).await;
    world.on("RENAME", "live", &[&world.key("aside")]);
    world.on("SET", "live", &["x"]);
    let _ = hand.work_number(0, 1, &[], 1).await;
    assert_eq!(world.on("LLEN", "queue:default:shell", &[]), "1");
}
