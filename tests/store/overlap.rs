//! Overlap: what a fire time does that finds the run before it active.

use serde_json::json;
use upbeat::domain::run::{Reason, State};
use upbeat::store::{EndedAs, FinishWord};

use crate::support::entries::id;
use crate::support::hand::{Hand, World, distinct};
use crate::waits::{busy, come, in_state, limited, queued, ten_seconds, waiting};

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

#[tokio::test]
async fn buffer_one_lets_one_run_wait_and_skips_what_comes_meanwhile() {
    let (world, mut hand, first) = busy(ten_seconds("buffer_one"), 3).await;
    assert_eq!((waiting(&world).await, queued(&world).await), (1, 0));
    assert_eq!(world.tally("a").await[&(State::Skipped, Some(Reason::Overlap))], 2);
    assert!(hand.fetch(9).await.is_empty());
    hand.finish(&first, EndedAs::Succeeded).await;
    let next = hand.fetch(9).await;
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].run.fire_at.0 - first.run.fire_at.0, 10_000, "the one that waited");
    world.assert_conserved();
}

#[tokio::test]
async fn buffer_all_keeps_the_order_and_skips_beyond_a_hundred() {
    let (world, mut hand, first) = busy(ten_seconds("buffer_all"), 104).await;
    assert_eq!(waiting(&world).await, 100);
    assert_eq!(world.tally("a").await[&(State::Skipped, Some(Reason::Overlap))], 4);
    let (mut last, mut run) = (first.run.fire_at, first);
    for _ in 0..100 {
        hand.finish(&run, EndedAs::Succeeded).await;
        let mut next = hand.fetch(9).await;
        assert_eq!(next.len(), 1, "one at a time");
        run = next.remove(0);
        assert_eq!(run.run.fire_at.0 - last.0, 10_000);
        last = run.run.fire_at;
    }
    hand.finish(&run, EndedAs::Succeeded).await;
    assert_eq!(distinct(&world.ended("a").await).len(), 105);
    assert_eq!(world.on("EXISTS", "waits", &[]), "0");
    world.assert_conserved();
}

#[tokio::test]
async fn max_running_lets_so_many_run_and_the_rest_wait_in_order() {
    let (world, mut hand, first) = busy(limited(3), 5).await;
    assert_eq!((waiting(&world).await, queued(&world).await), (3, 2));
    let mut running = vec![first];
    running.extend(hand.fetch(9).await);
    assert_eq!(running.len(), 3);
    while !running.is_empty() {
        let run = running.remove(0);
        hand.finish(&run, EndedAs::Failed).await;
        running.extend(hand.fetch(9).await);
        assert!(running.len() <= 3);
        assert!(running.windows(2).all(|pair| pair[0].run.fire_at < pair[1].run.fire_at), "in their order");
    }
    assert_eq!(world.tally("a").await, [((State::Failed, Some(Reason::Exit)), 6)].into());
    world.assert_conserved();
}

#[tokio::test]
async fn runs_beyond_max_running_are_bounded_too() {
    let (world, _, _) = busy(limited(1), 102).await;
    assert_eq!(waiting(&world).await, 100);
    assert_eq!(world.tally("a").await[&(State::Skipped, Some(Reason::Overlap))], 2);
}

#[tokio::test]
async fn cancel_other_asks_the_run_before_it_to_end_and_starts_when_it_has() {
    let (world, mut hand, first) = busy(ten_seconds("cancel_other"), 1).await;
    assert_eq!((waiting(&world).await, queued(&world).await), (1, 0));
    let (runs, _) = world.store.live_runs(0, None).await.unwrap();
    assert!(runs.iter().all(|run| run.is_cancel_asked == (run.run_id == first.run.run_id)));
    assert!(hand.fetch(9).await.is_empty(), "it has not ended yet");
    hand.finish(&first, EndedAs::Cancelled).await;
    assert_eq!(world.tally("a").await, [((State::Cancelled, Some(Reason::CancelOther)), 1)].into());
    let next = hand.fetch(9).await;
    assert_eq!(next.len(), 1);
    assert_eq!(hand.finish(&next[0], EndedAs::Succeeded).await, FinishWord::Finished);
    assert_eq!(world.on("EXISTS", "cancels", &[]), "0");
    world.assert_conserved();
}

#[tokio::test]
async fn cancel_other_ends_at_once_what_has_not_begun() {
    let (world, mut hand, first) = busy(ten_seconds("cancel_other"), 4).await;
    let tally = world.tally("a").await;
    assert_eq!(
        tally,
        [((State::Cancelled, Some(Reason::CancelOther)), 3)].into(),
        "each took the place of one that waited"
    );
    hand.finish(&first, EndedAs::Cancelled).await;
    come(&world, &mut hand, 2).await;
    assert_eq!((waiting(&world).await, queued(&world).await), (0, 1), "the one in the list was cancelled as well");
    assert_eq!(hand.fetch(9).await.len(), 1);
    assert_eq!(world.tally("a").await[&(State::Cancelled, Some(Reason::CancelOther))], 6);
    world.assert_conserved();
}

#[tokio::test]
async fn several_fire_times_of_one_claim_follow_each_rule() {
    // 5 or 6 that are not late, and nothing before them.
    for (rule, most_waiting) in [("buffer_one", 1), ("buffer_all", 9), ("cancel_other", 1)] {
        for slots in [0, 5] {
            let entry = json!({"every": "1s", "shell": "true", "overlap": rule, "keep_runs": 1000});
            let world = World::with(&[("a", entry)]).await;
            let mut hand = Hand::new(&world.store, 'a');
            hand.settle(0).await;
            world.pass(4_500);
            hand.claim(0, slots).await;
            world.assert_conserved();
            let active = in_state(&world, State::Running).await.len() + queued(&world).await;
            assert_eq!(active, 1, "{rule}, {slots} slots");
            assert!(waiting(&world).await <= most_waiting);
            let recorded: u64 = world.tally("a").await.values().sum();
            let all = recorded + 1 + waiting(&world).await as u64;
            let cursor = world.store.entry(&id("a")).await.unwrap().unwrap().cursor();
            let (runs, _) = world.store.live_runs(0, None).await.unwrap();
            let ended = world.ended("a").await;
            let known = runs.iter().map(|run| run.fire_at).chain(ended.iter().map(|run| run.fire_at));
            let first = known.min().unwrap();
            assert_eq!((cursor.0 - first.0) / 1_000, all as i64, "{rule}, {slots} slots: each has its record");
        }
    }
}
