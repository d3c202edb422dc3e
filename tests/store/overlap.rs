//! Overlap: what a fire time does that finds the run before it active.

use serde_json::json;
use upbeat::domain::run::{Reason, State};
use upbeat::store::EndedAs;

use crate::support::hand::{Hand, World};

#[tokio::test]
async fn a_fire_time_is_skipped_while_a_run_of_its_entry_is_active() {
    let world = World::with(&[("a", json!({"every": "10s", "shell": "true"}))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    hand.settle(0).await;
    let first = hand.fetch(1).await.remove(0);
    world.pass(10_000);
    hand.settle(0).await;
    let skipped = world.ended("a").await.remove(0);
    assert_eq!((skipped.state, skipped.reason), (State::Skipped, Some(Reason::Overlap)));
    assert_eq!(skipped.message.as_deref(), Some(first.run.run_id.as_str()), "it names the run in its way");
    hand.finish(&first, EndedAs::Failed).await;
    world.pass(10_000);
    hand.settle(0).await;
    assert_eq!(hand.fetch(9).await.len(), 1, "the one before it has ended");
    world.assert_conserved();
}

#[tokio::test]
async fn a_run_that_waits_in_its_queue_counts_as_active() {
    let world = World::with(&[("a", json!({"every": "10s", "shell": "true"}))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    for _ in 0..4 {
        world.pass(10_000);
        hand.settle(0).await;
    }
    assert_eq!(world.tally("a").await[&(State::Skipped, Some(Reason::Overlap))], 3);
    assert_eq!(hand.fetch(9).await.len(), 1);
    world.assert_conserved();
}

#[tokio::test]
async fn every_fire_time_runs_where_overlap_is_allowed() {
    let world = World::with(&[("a", json!({"every": "10s", "shell": "true", "overlap": "allow"}))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    for _ in 0..4 {
        world.pass(10_000);
        hand.settle(0).await;
    }
    assert_eq!(hand.fetch(9).await.len(), 4);
    world.assert_conserved();
}

#[tokio::test]
async fn a_mark_whose_run_is_gone_does_not_silence_an_entry() {
    let world = World::with(&[("a", json!({"every": "10s", "shell": "true"}))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.on("HSET", "active", &["a", "01a1f95e-4010-8b8b-bdf5-cd3b89a798e6"]);
    world.pass(10_000);
    hand.settle(0).await;
    assert_eq!(hand.fetch(9).await.len(), 1);
}

#[tokio::test]
async fn fences_grow_across_runs_and_nodes() {
    let entry = json!({"every": "1s", "shell": "true", "overlap": "allow"});
    let world = World::with(&[("a", entry.clone()), ("b", entry)]).await;
    let mut hands = [Hand::new(&world.store, 'a'), Hand::new(&world.store, 'b')];
    let mut last = 0;
    for turn in 0..10 {
        world.pass(2_000);
        let hand = &mut hands[turn % 2];
        world.store.refresh_lists(0).await.unwrap();
        let mut fences: Vec<u64> = hand.claim(0, 2).await.started.iter().map(|run| run.run.fence).collect();
        fences.extend(hand.fetch(3).await.iter().map(|run| run.run.fence));
        assert!(!fences.is_empty());
        for fence in fences {
            assert!(fence > last, "{fence} after {last}");
            last = fence;
        }
    }
}
