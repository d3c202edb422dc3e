//! Leases: who may end an attempt, when a node counts as lost, and what becomes of its runs.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::hand::{Hand, World, ended};
use upbeat::domain::record::LiveRun;
use upbeat::domain::run::{Reason, State};
use upbeat::store::{Asked, CancelAnswer, ClaimReply, EndedAs, FinishWord, Rescued, Started};

fn entry() -> Value {
    json!({"every": "1h", "shell": "true"})
}

/// A world whose one entry has a run that waits.
async fn with_a_run() -> World {
    let world = World::with(&[("a", entry())]).await;
    fire(&world).await;
    world
}

async fn fire(world: &World) {
    world.pass(3_600_000);
    Hand::new(&world.store, 'z').settle(0).await;
}

/// Time passes while other nodes go on asking, so that the silence is the holder's alone.
async fn pass_watched(world: &World, ms: i64) {
    let mut watch = Hand::new(&world.store, 'w');
    for _ in 0..ms / 1_000 {
        world.pass(1_000);
        watch.claim(0, 0).await;
    }
}

async fn rescue(world: &World, hand: &Hand) -> Rescued {
    world.store.rescue(0, &hand.incarnation, "lost-node").await.unwrap()
}

const ONE_BACK: Rescued = Rescued::Done { back: 1, ended: 0, left: 0 };

#[tokio::test]
async fn silence_of_all_is_the_death_of_none() {
    let world = with_a_run().await;
    let mut hand = Hand::new(&world.store, 'a');
    let run = hand.fetch(1).await.remove(0);
    world.pass(60_000);
    let mut other = Hand::new(&world.store, 'b');
    assert!(other.claim(0, 0).await.ended_nodes.is_empty(), "nobody could renew");
    assert_eq!(rescue(&world, &hand).await, Rescued::Alive);
    assert_eq!(
        world.store.renew(0, &hand.incarnation, hand.lease_ms).await.unwrap().held,
        std::slice::from_ref(&run.run.run_id)
    );
    pass_watched(&world, 10_000).await;
    assert_eq!(rescue(&world, &hand).await, Rescued::Alive, "it renewed");
    assert_eq!(hand.finish(&run, EndedAs::Succeeded).await, FinishWord::Finished);
    world.assert_conserved();
}

#[tokio::test]
async fn after_a_silence_a_node_that_does_not_come_back_is_lost_all_the_same() {
    let world = with_a_run().await;
    let mut hand = Hand::new(&world.store, 'a');
    hand.fetch(1).await;
    world.pass(60_000);
    let mut other = Hand::new(&world.store, 'b');
    other.claim(0, 0).await;
    pass_watched(&world, 16_000).await;
    assert_eq!(other.claim(0, 0).await.ended_nodes, [hand.incarnation.clone()]);
    assert_eq!(rescue(&world, &hand).await, ONE_BACK);
    world.assert_conserved();
}

#[tokio::test]
async fn an_expired_lease_that_nobody_took_is_renewed() {
    let world = with_a_run().await;
    let mut hand = Hand::new(&world.store, 'a');
    let run = hand.fetch(1).await.remove(0);
    pass_watched(&world, 20_000).await;
    assert_eq!(world.store.renew(0, &hand.incarnation, hand.lease_ms).await.unwrap().held.len(), 1);
    assert_eq!(rescue(&world, &hand).await, Rescued::Alive);
    assert_eq!(hand.finish(&run, EndedAs::Succeeded).await, FinishWord::Finished);
}

#[tokio::test]
async fn a_lost_run_is_the_next_attempt_of_another_node_with_a_greater_fence() {
    let world = with_a_run().await;
    let mut hand = Hand::new(&world.store, 'a');
    let first = hand.fetch(1).await.remove(0);
    pass_watched(&world, 20_000).await;
    assert_eq!(rescue(&world, &hand).await, ONE_BACK);
    world.assert_conserved();
    let mut other = Hand::new(&world.store, 'b');
    let second = other.fetch(1).await.remove(0);
    assert_eq!(second.run.run_id, first.run.run_id);
    assert_eq!((second.run.attempt, second.run.lost), (2, 1));
    assert!(second.run.fence > first.run.fence);
    assert_eq!(second.run.started_at, first.run.started_at, "when its first attempt began");
    assert_eq!(world.events("rescued").await.len(), 1);
}

#[tokio::test]
async fn a_node_that_lost_its_run_cannot_finish_it() {
    let world = with_a_run().await;
    let mut hand = Hand::new(&world.store, 'a');
    let first = hand.fetch(1).await.remove(0);
    pass_watched(&world, 20_000).await;
    rescue(&world, &hand).await;
    assert_eq!(hand.finish(&first, EndedAs::Succeeded).await, FinishWord::Lost, "it waits for another node");
    let mut other = Hand::new(&world.store, 'b');
    let second = other.fetch(1).await.remove(0);
    assert_eq!(hand.finish(&first, EndedAs::Failed).await, FinishWord::Lost);
    let refused = world.events("refused").await;
    assert_eq!(refused.len(), 2);
    assert!(refused[0].contains(&("run".to_owned(), first.run.run_id.clone())));
    assert_eq!(other.finish(&second, EndedAs::Succeeded).await, FinishWord::Finished);
    assert_eq!(hand.finish(&first, EndedAs::Failed).await, FinishWord::Lost, "the outcome stands");
    let ended = world.ended("a").await;
    assert_eq!((ended.len(), ended[0].state, ended[0].attempt), (1, State::Succeeded, 2));
    world.assert_conserved();
}

#[tokio::test]
async fn a_node_cannot_finish_with_the_fence_of_its_own_earlier_attempt() {
    let world = with_a_run().await;
    let mut hand = Hand::new(&world.store, 'a');
    let first = hand.fetch(1).await.remove(0);
    hand.finish(&first, EndedAs::HandedBack).await;
    let second = hand.fetch(1).await.remove(0);
    assert_eq!(hand.finish(&first, EndedAs::Succeeded).await, FinishWord::Lost);
    assert_eq!(hand.finish(&second, EndedAs::Succeeded).await, FinishWord::Finished);
}

async fn lose(world: &World, letter: char) -> Started {
    let mut hand = Hand::new(&world.store, letter);
    let run = hand.fetch(1).await.remove(0);
    pass_watched(world, 17_000).await;
    assert!(matches!(rescue(world, &hand).await, Rescued::Done { .. }));
    run
}

#[tokio::test]
async fn a_run_that_is_lost_four_times_has_failed() {
    let world = with_a_run().await;
    for (number, letter) in ('a'..='d').enumerate() {
        let run = lose(&world, letter).await;
        assert_eq!(run.run.attempt as usize, number + 1);
        world.assert_conserved();
    }
    let ended = world.ended("a").await;
    assert_eq!((ended[0].state, ended[0].reason, ended[0].lost), (State::Failed, Some(Reason::Lost), 4));
    assert_eq!(ended[0].node.as_deref(), Some("lost-node"));
}

#[tokio::test]
async fn a_hand_back_counts_as_neither_lost_nor_failed() {
    let world = with_a_run().await;
    lose(&world, 'a').await;
    for _ in 0..5 {
        let mut hand = Hand::new(&world.store, 'b');
        hand.works = world.store.now(0).await.unwrap().0.cast_unsigned();
        let run = hand.fetch(1).await.remove(0);
        assert_eq!(run.run.lost, 1);
        world.pass(1_000);
        assert_eq!(hand.finish(&run, EndedAs::HandedBack).await, FinishWord::Requeued);
    }
    lose(&world, 'c').await;
    lose(&world, 'd').await;
    assert!(world.ended("a").await.is_empty(), "lost three times");
    lose(&world, 'e').await;
    assert_eq!(world.tally("a").await[&(State::Failed, Some(Reason::Lost))], 1);
    world.assert_conserved();
}

#[tokio::test]
async fn a_run_that_is_handed_back_goes_before_those_that_wait() {
    let world = World::with(&[("a", json!({"every": "10s", "shell": "true", "overlap": "allow"}))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    for _ in 0..3 {
        world.pass(10_000);
        hand.settle(0).await;
    }
    let first = hand.fetch(1).await.remove(0);
    hand.finish(&first, EndedAs::HandedBack).await;
    assert_eq!(hand.fetch(1).await[0].run.run_id, first.run.run_id);
}

#[tokio::test]
async fn a_renewal_tells_what_is_lost_and_what_to_cancel() {
    let world = World::with(&[("a", entry()), ("b", entry())]).await;
    fire(&world).await;
    let mut hand = Hand::new(&world.store, 'a');
    let runs = hand.fetch(2).await;
    let asked = Asked { request: "r", content: "cancel" };
    let answer = world.store.cancel(0, asked, &runs[0].run.run_id, "ana: too slow").await.unwrap();
    assert_eq!(answer, CancelAnswer::Asked);
    let renewed = world.store.renew(0, &hand.incarnation, hand.lease_ms).await.unwrap();
    assert_eq!((renewed.held.len(), renewed.to_cancel), (2, vec![runs[0].run.run_id.clone()]));
    assert_eq!(hand.finish(&runs[0], EndedAs::Cancelled).await, FinishWord::Finished);
    let ended = world.ended(&runs[0].run.entry_id).await.remove(0);
    assert_eq!((ended.state, ended.message.as_deref()), (State::Cancelled, Some("ana: too slow")));
    pass_watched(&world, 20_000).await;
    rescue(&world, &hand).await;
    assert!(world.store.renew(0, &hand.incarnation, hand.lease_ms).await.unwrap().held.is_empty());
    world.assert_conserved();
}

#[tokio::test]
async fn a_run_that_was_to_be_cancelled_ends_cancelled_when_its_node_is_lost() {
    let world = with_a_run().await;
    let mut hand = Hand::new(&world.store, 'a');
    let run = hand.fetch(1).await.remove(0);
    let asked = Asked { request: "r", content: "cancel" };
    world.store.cancel(0, asked, &run.run.run_id, "ana").await.unwrap();
    pass_watched(&world, 20_000).await;
    assert_eq!(rescue(&world, &hand).await, Rescued::Done { back: 0, ended: 1, left: 0 });
    assert_eq!(world.tally("a").await[&(State::Cancelled, Some(Reason::ByUser))], 1);
    assert_eq!(world.on("EXISTS", "cancels", &[]), "0");
    world.assert_conserved();
}

/// What was given out; when it was given out again is another matter.
fn runs(started: &[Started]) -> Vec<&LiveRun> {
    started.iter().map(|started| &started.run).collect()
}

#[tokio::test]
async fn a_number_that_was_answered_gets_the_same_answer_and_a_lower_one_none() {
    let world = World::with(&[("a", entry()), ("b", entry())]).await;
    world.pass(3_600_000);
    let mut hand = Hand::new(&world.store, 'a');
    let started = hand.claim(0, 1).await.started;
    assert_eq!(started.len(), 1);
    match hand.claim_number(0, 1, hand.claims).await.unwrap() {
        ClaimReply::Repeated { started: again, .. } => assert_eq!(runs(&again), runs(&started)),
        other => panic!("{other:?}"),
    }
    let fetched = hand.work(0, 5, &[]).await.fetched;
    assert_eq!(fetched.len(), 1);
    let again = hand.work_number(0, 5, &[], hand.works).await.unwrap().unwrap();
    assert_eq!(runs(&again.fetched), runs(&fetched));
    hand.claim(0, 1).await;
    hand.work(0, 0, &[ended(&fetched[0], EndedAs::Succeeded)]).await;
    assert_eq!(hand.claim_number(0, 1, 1).await.unwrap(), ClaimReply::Stale);
    assert!(hand.work_number(0, 5, &[], 1).await.unwrap().is_none());
    world.assert_conserved();
}

#[tokio::test]
async fn a_finish_that_is_repeated_is_answered_finished_and_changes_nothing() {
    let world = with_a_run().await;
    let mut hand = Hand::new(&world.store, 'a');
    let run = hand.fetch(1).await.remove(0);
    let ends = [ended(&run, EndedAs::Succeeded)];
    assert_eq!(hand.work(0, 0, &ends).await.words, [FinishWord::Finished]);
    let again = hand.work_number(0, 0, &ends, hand.works).await.unwrap().unwrap();
    assert_eq!(again.words, [FinishWord::Finished]);
    assert_eq!(world.ended("a").await.len(), 1);
    assert!(world.events("refused").await.is_empty());
}

#[tokio::test]
async fn more_than_500_runs_of_a_lost_node_are_taken_over_in_several_calls() {
    let world = World::with(&[("a", json!({"every": "100ms", "shell": "true", "overlap": "allow"}))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    let mut runs = 0;
    while runs < 1_100 {
        world.pass(4_000);
        hand.settle(0).await;
        runs += hand.fetch(200).await.len();
    }
    pass_watched(&world, 17_000).await;
    let mut calls = Vec::new();
    while let Rescued::Done { back, ended, left } = rescue(&world, &hand).await {
        assert_eq!(ended, 0);
        calls.push(back);
        if left == 0 {
            break;
        }
    }
    assert!(calls.len() == 3 && calls.iter().all(|back| *back <= 500), "{calls:?}");
    assert_eq!(calls.iter().sum::<usize>(), runs);
    world.assert_conserved();
    let mut again = 0;
    let mut other = Hand::new(&world.store, 'b');
    for _ in 0..10 {
        again += other.fetch(250).await.iter().filter(|run| run.run.attempt == 2).count();
    }
    assert_eq!(again, runs, "each once, as attempt 2");
}

#[tokio::test]
async fn a_node_that_executes_something_cannot_leave() {
    let world = with_a_run().await;
    let mut hand = Hand::new(&world.store, 'a');
    let run = hand.fetch(1).await.remove(0);
    assert!(!world.store.leave(0, &hand.incarnation).await.unwrap());
    hand.finish(&run, EndedAs::Succeeded).await;
    assert!(world.store.leave(0, &hand.incarnation).await.unwrap());
    assert_eq!(world.on("HLEN", "lanes", &[]), "0");
}

#[tokio::test]
async fn a_short_lease_ends_before_a_long_one() {
    let world = World::with(&[("a", entry()), ("b", entry())]).await;
    fire(&world).await;
    let (mut short, mut long) = (Hand::new(&world.store, 'a'), Hand::new(&world.store, 'b'));
    (short.lease_ms, long.lease_ms) = (3_000, 60_000);
    short.fetch(1).await;
    long.fetch(1).await;
    pass_watched(&world, 5_000).await;
    assert_eq!(rescue(&world, &long).await, Rescued::Alive);
    assert_eq!(rescue(&world, &short).await, ONE_BACK);
}

#[tokio::test]
async fn a_run_whose_list_the_registry_has_lost_is_handed_back_when_its_lease_ends() {
    let world = with_a_run().await;
    let mut hand = Hand::new(&world.store, 'a');
    let run = hand.fetch(1).await.remove(0);
    world.redis.cli(&["DEL", &world.key("queues")]);
    world.store.refresh_lists(0).await.unwrap();
    assert_eq!(hand.finish(&run, EndedAs::HandedBack).await, FinishWord::Lost);
    assert!(world.ended("a").await.is_empty(), "nobody has cancelled it");
    world.on("HSET", "queues", &["default:shell", "0"]);
    world.store.refresh_lists(0).await.unwrap();
    pass_watched(&world, 20_000).await;
    assert_eq!(rescue(&world, &hand).await, ONE_BACK);
    world.assert_conserved();
}
