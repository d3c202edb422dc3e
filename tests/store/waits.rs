//! Runs that wait for those before them: each way a run ends moves the next one in, none is lost, none begins too soon.

use serde_json::{Value, json};
use upbeat::domain::run::{Reason, State};
use upbeat::domain::timestamp::Timestamp;
use upbeat::store::{Asked, CancelAnswer, EndedAs, Rescued, Started, Verb};

use crate::support::changes::change;
use crate::support::hand::{Hand, World, ended};

pub fn ten_seconds(rule: &str) -> Value {
    json!({"every": "10s", "shell": "true", "overlap": rule, "keep_runs": 1000})
}

pub fn limited(max_running: u16) -> Value {
    json!({"every": "10s", "shell": "true", "overlap": "allow", "max_running": max_running, "keep_runs": 1000})
}

/// An entry one of whose runs is executed, and `fires` fire times that came since.
pub async fn busy(entry: Value, fires: usize) -> (World, Hand, Started) {
    let world = World::with(&[("a", entry)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    hand.settle(0).await;
    let first = hand.fetch(1).await.remove(0);
    come(&world, &mut hand, fires).await;
    (world, hand, first)
}

pub async fn come(world: &World, hand: &mut Hand, fires: usize) {
    for _ in 0..fires {
        world.pass(10_000);
        hand.settle(0).await;
        // Nobody loses a lease here.
        world.store.renew(0, &hand.incarnation, hand.lease_ms).await.unwrap();
    }
    world.assert_conserved();
}

/// Active runs in this state, oldest first.
pub async fn in_state(world: &World, state: State) -> Vec<Timestamp> {
    let (runs, _) = world.store.live_runs(0, None).await.unwrap();
    let mut times: Vec<Timestamp> = runs.iter().filter(|run| run.state == state).map(|run| run.fire_at).collect();
    times.sort();
    times
}

pub async fn waiting(world: &World) -> usize {
    in_state(world, State::Waiting).await.len()
}

pub async fn queued(world: &World) -> usize {
    in_state(world, State::Queued).await.len()
}

async fn cancel(world: &World, run_id: &str) -> CancelAnswer {
    let asked = Asked { request: run_id, content: "" };
    let answer = world.store.cancel(0, asked, run_id, "ana").await.unwrap();
    world.assert_conserved();
    answer
}

async fn run_at(world: &World, fire_at: Timestamp) -> String {
    let (runs, _) = world.store.live_runs(0, None).await.unwrap();
    runs.into_iter().find(|run| run.fire_at == fire_at).unwrap().run_id
}

#[tokio::test]
async fn a_take_over_that_ends_a_run_moves_the_next_one_in() {
    for rule in ["buffer_one", "cancel_other"] {
        let (world, hand, first) = busy(ten_seconds(rule), 0).await;
        let mut watch = Hand::new(&world.store, 'w');
        let mut lost = hand;
        for turn in 0..5 {
            let mut gone = Vec::new();
            while gone.is_empty() {
                world.pass(5_000);
                world.store.renew(0, &watch.incarnation, watch.lease_ms).await.unwrap();
                gone = watch.settle(0).await.ended_nodes;
            }
            assert!(matches!(world.store.rescue(0, &lost.incarnation, "lost").await.unwrap(), Rescued::Done { .. }));
            world.assert_conserved();
            if world.ended("a").await.iter().any(|run| run.run_id == first.run.run_id) {
                break;
            }
            assert_eq!(queued(&world).await, 1, "{rule} {turn}: it goes back alone");
            lost = Hand::new(&world.store, char::from(b'k' + turn));
            assert_eq!(lost.fetch(9).await[0].run.run_id, first.run.run_id);
        }
        let end = world.ended("a").await.into_iter().find(|run| run.run_id == first.run.run_id).unwrap();
        match rule {
            "buffer_one" => assert_eq!((end.state, end.reason), (State::Failed, Some(Reason::Lost))),
            _ => assert_eq!((end.state, end.reason), (State::Cancelled, Some(Reason::CancelOther))),
        }
        assert_eq!((waiting(&world).await, queued(&world).await), (0, 1), "{rule}");
        assert_eq!(watch.fetch(9).await.len(), 1);
        world.assert_conserved();
    }
}

#[tokio::test]
async fn a_run_that_could_not_start_in_time_moves_the_next_one_in() {
    for at_fetch in [true, false] {
        let mut entry = limited(1);
        entry["start_within"] = json!("15s");
        let world = World::with(&[("a", entry)]).await;
        let mut hand = Hand::new(&world.store, 'a');
        world.pass(10_000);
        hand.settle(0).await;
        world.pass(10_000);
        hand.settle(0).await;
        assert_eq!((waiting(&world).await, queued(&world).await), (1, 1));
        let first = in_state(&world, State::Queued).await[0];
        world.pass(first.0 + 15_500 - world.store.now(0).await.unwrap().0);
        if at_fetch {
            assert!(
                hand.fetch(9).await.is_empty(),
                "too late, and the next one is in its list behind what was looked at"
            );
        } else {
            hand.settle(0).await;
        }
        assert_eq!(world.tally("a").await, [((State::Missed, Some(Reason::TooLate)), 1)].into());
        world.assert_conserved();
        let next = hand.fetch(9).await;
        assert_eq!((next.len(), next[0].run.fire_at.0 - first.0), (1, 10_000));
    }
}

#[tokio::test]
async fn start_within_holds_for_a_run_that_waits() {
    let mut entry = ten_seconds("buffer_all");
    entry["start_within"] = json!("15s");
    let (world, mut hand, first) = busy(entry, 4).await;
    let tally = world.tally("a").await;
    assert_eq!(tally.len(), 1, "{tally:?}");
    assert!((2..=3).contains(&tally[&(State::Missed, Some(Reason::TooLate))]), "{tally:?}");
    hand.finish(&first, EndedAs::Succeeded).await;
    assert_eq!(hand.fetch(9).await.len(), 1);
    world.assert_conserved();
}

#[tokio::test]
async fn a_cancel_of_a_queued_run_moves_the_next_one_in_and_of_a_waiting_one_does_not() {
    let world = World::with(&[("a", ten_seconds("buffer_all"))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    come(&world, &mut hand, 4).await;
    assert_eq!((waiting(&world).await, queued(&world).await), (3, 1));
    let middle = in_state(&world, State::Waiting).await[1];
    assert_eq!(cancel(&world, &run_at(&world, middle).await).await, CancelAnswer::Cancelled);
    assert_eq!((waiting(&world).await, queued(&world).await), (2, 1));
    let front = in_state(&world, State::Queued).await[0];
    assert_eq!(cancel(&world, &run_at(&world, front).await).await, CancelAnswer::Cancelled);
    assert_eq!((waiting(&world).await, queued(&world).await), (1, 1));
    let run = hand.fetch(9).await.remove(0);
    assert_eq!(run.run.fire_at.0 - front.0, 10_000);
    hand.finish(&run, EndedAs::Succeeded).await;
    let run = hand.fetch(9).await.remove(0);
    assert_eq!(run.run.fire_at.0 - front.0, 30_000, "the cancelled one is left out");
    assert_eq!(world.tally("a").await[&(State::Cancelled, Some(Reason::ByUser))], 2);
}

#[tokio::test]
async fn what_waits_ends_with_its_entry() {
    let (world, mut hand, first) = busy(ten_seconds("buffer_all"), 3).await;
    change(&world.store, "a", Verb::Remove, Value::Null).await;
    world.assert_conserved();
    assert_eq!(world.tally("a").await[&(State::Cancelled, Some(Reason::EntryRemoved))], 3);
    assert_eq!(world.on("EXISTS", "waits", &[]), "0");
    // Added again, it has nothing to do with what still runs.
    world.add(&[("a", ten_seconds("buffer_all"))]).await;
    come(&world, &mut hand, 1).await;
    assert_eq!(hand.fetch(9).await.len(), 1);
    hand.finish(&first, EndedAs::Succeeded).await;
    world.assert_conserved();
}

#[tokio::test]
async fn set_to_allow_lets_all_go() {
    let (world, mut hand, _) = busy(ten_seconds("buffer_all"), 4).await;
    change(&world.store, "a", Verb::Put, json!({"overlap": "allow"})).await;
    world.assert_conserved();
    assert_eq!((waiting(&world).await, queued(&world).await), (0, 4));
    let times: Vec<i64> = hand.fetch(9).await.iter().map(|run| run.run.fire_at.0).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 10_000), "oldest first");
}

#[tokio::test]
async fn max_running_may_be_raised_and_lowered_while_runs_wait() {
    let (world, mut hand, first) = busy(limited(1), 5).await;
    change(&world.store, "a", Verb::Put, json!({"max_running": 3})).await;
    world.assert_conserved();
    assert_eq!((waiting(&world).await, queued(&world).await), (3, 2));
    let mut running = hand.fetch(9).await;
    change(&world.store, "a", Verb::Put, json!({"max_running": 2})).await;
    hand.finish(&first, EndedAs::Succeeded).await;
    assert!(hand.fetch(9).await.is_empty(), "two are active");
    hand.finish(&running.remove(0), EndedAs::Succeeded).await;
    assert_eq!(hand.fetch(9).await.len(), 1);
    assert_eq!(waiting(&world).await, 2);
    world.assert_conserved();
}

#[tokio::test]
async fn an_entry_that_begins_to_buffer_counts_what_runs() {
    for rule in ["buffer_one", "buffer_all", "cancel_other", "skip"] {
        let (world, mut hand, first) = busy(ten_seconds("allow"), 1).await;
        let second = hand.fetch(1).await.remove(0);
        change(&world.store, "a", Verb::Put, json!({"overlap": rule})).await;
        come(&world, &mut hand, 1).await;
        let waits = usize::from(rule != "skip");
        assert_eq!((waiting(&world).await, queued(&world).await), (waits, 0), "{rule}");
        let end = if rule == "cancel_other" { EndedAs::Cancelled } else { EndedAs::Succeeded };
        hand.finish(&first, end).await;
        assert_eq!(waiting(&world).await, waits, "{rule}: another one runs");
        hand.finish(&second, end).await;
        assert_eq!((waiting(&world).await, queued(&world).await), (0, waits), "{rule}");
        world.assert_conserved();
    }
}

#[tokio::test]
async fn what_waits_runs_also_while_its_entry_is_paused() {
    let (world, mut hand, first) = busy(ten_seconds("buffer_all"), 2).await;
    change(&world.store, "a", Verb::Pause, json!({})).await;
    world.assert_conserved();
    hand.finish(&first, EndedAs::Succeeded).await;
    let next = hand.fetch(9).await.remove(0);
    hand.finish(&next, EndedAs::Succeeded).await;
    assert_eq!(hand.fetch(9).await.len(), 1);
    change(&world.store, "a", Verb::Resume, json!({})).await;
    world.assert_conserved();
}

#[tokio::test]
async fn waits_that_vanished_are_noticed_and_put_back_in_order() {
    let (world, mut hand, first) = busy(limited(2), 6).await;
    let second = hand.fetch(1).await.remove(0);
    let before = in_state(&world, State::Waiting).await;
    assert_eq!(before.len(), 5);
    world.on("DEL", "waits", &[]);
    world.pass(61_000);
    world.store.renew(0, &hand.incarnation, hand.lease_ms).await.unwrap();
    change(&world.store, "a", Verb::Pause, json!({})).await;
    assert!(hand.claim(0, 0).await.is_unbalanced, "the conservation check sees it");
    assert_eq!(world.store.rebuild(0).await.unwrap().runs, 5);
    world.assert_conserved();
    hand.finish(&first, EndedAs::Succeeded).await;
    hand.finish(&second, EndedAs::Succeeded).await;
    let mut running = hand.fetch(9).await;
    assert_eq!(running.len(), 2, "as many as the entry allows");
    let mut ran = Vec::new();
    while !running.is_empty() {
        let run = running.remove(0);
        ran.push(run.run.fire_at);
        hand.finish(&run, EndedAs::Succeeded).await;
        running.extend(hand.fetch(9).await);
        assert!(running.len() <= 2);
    }
    assert_eq!(ran, before, "in their order");
    world.assert_conserved();
}

#[tokio::test]
async fn a_run_whose_list_left_the_registry_goes_on_once_it_is_known_again() {
    let mut entry = ten_seconds("buffer_one");
    entry["queue"] = json!("rare");
    let (world, mut hand, first) = busy(entry, 1).await;
    world.on("HDEL", "queues", &["rare:shell"]);
    world.store.refresh_lists(0).await.unwrap();
    let ends = [ended(&first, EndedAs::Succeeded)];
    assert_eq!(hand.work(0, 0, &ends).await.words, [upbeat::store::FinishWord::Finished]);
    assert_eq!(waiting(&world).await, 1, "where to put it is not known");
    world.pass(1_500);
    hand.settle(0).await;
    world.pass(1_500);
    hand.settle(0).await;
    assert_eq!(hand.fetch(9).await.len(), 1);
    world.assert_conserved();
}

#[tokio::test]
async fn a_step_that_did_not_move_the_next_one_in_is_made_good_by_a_claim() {
    let (world, mut hand, first) = busy(ten_seconds("buffer_one"), 1).await;
    // As if its end had not been seen: the run is gone from `live` without a step.
    world.on("HDEL", "live", &[&first.run.run_id]);
    world.on("SREM", &format!("holds:{}", hand.incarnation), &[&first.run.run_id]);
    world.pass(1_500);
    hand.settle(0).await;
    assert_eq!((waiting(&world).await, queued(&world).await), (0, 1));
    world.assert_conserved();
}
