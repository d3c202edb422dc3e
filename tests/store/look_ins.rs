//! A look-in that finds nothing to do ends early: it says what the whole claim says, and leaves everything else to it.

use serde_json::json;
use upbeat::domain::node::Serves;
use upbeat::store::{Claim, ClaimCall, ClaimReply, EndedAs, Verb};

use crate::support::changes::change;
use crate::support::hand::{Hand, World, failed};

/// Claims with a beat, which is always carried out as a whole, or without. Returns the reply, and whether it
/// ended early: the whole one looks at the stream of events.
async fn look_in(world: &World, hand: &Hand, is_whole: bool) -> (Claim, bool) {
    let serves = Serves { queues: None, kinds: vec!["shell".to_owned()] };
    let beat = if is_whole { r#"{"node":"a","state":"live"}"# } else { "" };
    let call = ClaimCall {
        incarnation: &hand.incarnation,
        node: "a",
        number: 0,
        lease_ms: hand.lease_ms,
        slots: 0,
        batch: 250,
        beat: beat.to_owned(),
        serves: &serves,
    };
    world.redis.cli(&["CONFIG", "RESETSTAT"]);
    let ClaimReply::Claimed(claim) = world.store.claim(0, &call).await.unwrap() else { panic!("not claimed") };
    (*claim, world.redis.calls_of("xlen") == 0)
}

/// Both ways one after the other, and whether the first was short.
async fn compare(world: &World, hand: &Hand, what: &str) -> bool {
    look_in(world, hand, true).await;
    let (short, is_early) = look_in(world, hand, false).await;
    let (whole, is_short) = look_in(world, hand, true).await;
    assert_eq!(short.next_due, whole.next_due, "{what}");
    assert_eq!(short.live_nodes, whole.live_nodes, "{what}");
    assert_eq!(short.waiting, whole.waiting, "{what}");
    assert_eq!(short.unknown_lists, whole.unknown_lists, "{what}");
    // Some of these are so long from now.
    let passed = whole.now.0 - short.now.0;
    let looks = short.look.zip(whole.look).map(|(short, whole)| whole.0 - short.0);
    assert_eq!(short.look.is_some(), whole.look.is_some(), "{what}");
    assert!(looks.is_none_or(|later| (0..=passed).contains(&later)), "{what}: {looks:?} of {passed}");
    world.assert_conserved();
    assert!(!is_short, "{what}: a beat is never left out");
    is_early
}

#[tokio::test]
async fn a_look_in_that_finds_nothing_says_what_the_whole_claim_says() {
    let world = World::with(&[("a", json!({"every": "1h", "shell": "true", "overlap": "allow"}))]).await;
    let mut hand = Hand::new(&world.store, 'a').serving(&["shell"]);
    world.store.refresh_lists(0).await.unwrap();
    assert!(compare(&world, &hand, "nothing is due for an hour").await);

    world.add(&[("b", json!({"every": "10s", "shell": "true"}))]).await;
    change(&world.store, "b", Verb::Pause, json!({})).await;
    assert!(compare(&world, &hand, "one is paused").await);

    world.pass(3_600_000);
    hand.settle(0).await;
    assert!(!compare(&world, &hand, "a run waits in its list: its list is named").await);
    let run = hand.fetch(1).await.remove(0);
    assert!(compare(&world, &hand, "a run is executed: its lease is looked at").await);

    let later = failed(&run, 600_000, None);
    hand.work(0, 0, &[later]).await;
    assert!(compare(&world, &hand, "a run is tried again in ten minutes").await);
    world.pass(600_000);
    world.store.renew(0, &hand.incarnation, hand.lease_ms).await.unwrap();
    let (found, _) = look_in(&world, &hand, false).await;
    assert_eq!(found.waiting, ["default:shell"], "its time has come");
    let again = hand.fetch(1).await.remove(0);
    hand.finish(&again, EndedAs::Succeeded).await;
    assert!(compare(&world, &hand, "all is done").await);
}

#[tokio::test]
async fn a_look_in_finds_what_is_due_however_little_it_is() {
    let world = World::with(&[("a", json!({"every": "1m", "shell": "true", "overlap": "allow"}))]).await;
    let hand = Hand::new(&world.store, 'a').serving(&["shell"]);
    world.store.refresh_lists(0).await.unwrap();
    for _ in 0..5 {
        look_in(&world, &hand, true).await;
        world.pass(60_000);
        let (claim, _) = look_in(&world, &hand, false).await;
        assert_eq!((claim.claimed, claim.settled), (1, 1));
    }
    world.assert_conserved();
}
