//! Runs that come from elsewhere than the next fire time, under each overlap rule: requested ones, back-logs, backfills.

use serde_json::json;
use upbeat::domain::record::requested_run_id;
use upbeat::domain::run::{Reason, State, Trigger};
use upbeat::domain::timestamp::Timestamp;
use upbeat::store::{Asked, Backfill, BackfillAnswer, BackfillCall, EndedAs, Made, TriggerAnswer, TriggerCall, Verb};

use crate::support::changes::change;
use crate::support::entries::id;
use crate::support::hand::World;
use crate::waits::{busy, in_state, limited, queued, ten_seconds, waiting};

const ALLOW: u8 = 0;
const BUFFER_ONE: u8 = 2;
const BUFFER_ALL: u8 = 3;
const CANCEL_OTHER: u8 = 4;

async fn trigger(world: &World, request: &str, overlap: Option<u8>) -> Made {
    let target = id("a");
    let now = world.store.now(0).await.unwrap();
    let run_id = &requested_run_id(world.store.namespace(), &target, request, now);
    let birth = world.store.entry(&target).await.unwrap().unwrap().definition.unwrap().birth;
    let asked = Asked { request, content: "" };
    let call = TriggerCall {
        asked,
        id: &target,
        birth,
        run_id,
        fire_at: now,
        overlap,
        extras: "",
        message: &[],
        unique: None,
    };
    let TriggerAnswer::Made { made, .. } = world.store.trigger(0, &call).await.unwrap() else { panic!("no run") };
    world.assert_conserved();
    made
}

#[tokio::test]
async fn a_requested_run_follows_the_rule_of_its_entry() {
    let rules = [("skip", 0, 2), ("allow", 0, 0), ("buffer_one", 1, 1), ("buffer_all", 2, 0), ("cancel_other", 1, 0)];
    for (rule, made_waiting, refused) in rules {
        let (world, mut hand, first) = busy(ten_seconds(rule), 0).await;
        let made = [trigger(&world, "r1", None).await, trigger(&world, "r2", None).await];
        let is_skipped = |made: &&Made| matches!(made, Made::Skipped(other) if *other == first.run.run_id);
        assert_eq!(made.iter().filter(is_skipped).count(), refused, "{rule}");
        assert_eq!(waiting(&world).await, made_waiting, "{rule}");
        hand.finish(&first, if rule == "cancel_other" { EndedAs::Cancelled } else { EndedAs::Succeeded }).await;
        let went: Vec<_> = hand.work_off(0).await;
        assert!(went.iter().all(|run| run.run.trigger == Trigger::Manual));
        assert_eq!(went.len(), if rule == "allow" { 2 } else { made_waiting }, "{rule}");
        world.assert_conserved();
    }
}

#[tokio::test]
async fn a_requested_run_may_follow_another_rule_and_changes_nothing_for_the_others() {
    let (world, mut hand, first) = busy(limited(2), 3).await;
    let second = hand.fetch(1).await.remove(0);
    assert_eq!((waiting(&world).await, queued(&world).await), (2, 0));
    assert_eq!(trigger(&world, "alone", Some(BUFFER_ALL)).await, Made::Queued);
    assert_eq!(waiting(&world).await, 3);
    hand.finish(&first, EndedAs::Succeeded).await;
    hand.finish(&second, EndedAs::Succeeded).await;
    let pair = hand.fetch(9).await;
    assert_eq!(pair.len(), 2, "the entry still allows two");
    assert!(pair.iter().all(|run| run.run.trigger == Trigger::Scheduled));
    hand.finish(&pair[0], EndedAs::Succeeded).await;
    assert!(hand.fetch(9).await.is_empty(), "it was asked to wait for all");
    hand.finish(&pair[1], EndedAs::Succeeded).await;
    assert_eq!(hand.fetch(9).await[0].run.trigger, Trigger::Manual);
    world.assert_conserved();
}

#[tokio::test]
async fn requested_runs_of_an_entry_that_allows_overlap_wait_where_that_is_asked_for() {
    let (world, mut hand, first) = busy(ten_seconds("allow"), 0).await;
    assert_eq!(trigger(&world, "one", Some(BUFFER_ONE)).await, Made::Queued);
    assert!(matches!(trigger(&world, "two", Some(BUFFER_ONE)).await, Made::Skipped(_)));
    assert_eq!(trigger(&world, "three", Some(ALLOW)).await, Made::Queued);
    assert_eq!((waiting(&world).await, queued(&world).await), (1, 1));
    world.pass(1_500);
    hand.settle(0).await;
    assert_eq!(waiting(&world).await, 1, "a claim that looks after it lets it wait");
    // Runs that were marked for one request are not counted twice for the next.
    assert_eq!(trigger(&world, "four", Some(CANCEL_OTHER)).await, Made::Queued);
    assert_eq!((waiting(&world).await, queued(&world).await), (1, 0));
    hand.finish(&first, EndedAs::Cancelled).await;
    assert_eq!(world.tally("a").await[&(State::Cancelled, Some(Reason::CancelOther))], 3);
    assert_eq!(hand.work_off(0).await.len(), 1);
    world.assert_conserved();
}

#[tokio::test]
async fn a_back_log_waits_for_what_is_active_under_every_rule() {
    for entry in [ten_seconds("buffer_one"), ten_seconds("buffer_all"), ten_seconds("cancel_other"), limited(1)] {
        let mut entry = entry;
        entry["catch_up"] = json!("all");
        let (world, mut hand, first) = busy(entry.clone(), 0).await;
        world.pass(125_000);
        world.store.renew(0, &hand.incarnation, hand.lease_ms).await.unwrap();
        hand.settle(0).await;
        world.assert_conserved();
        let (runs, _) = world.store.live_runs(0, None).await.unwrap();
        assert!(runs.iter().all(|run| run.trigger == Trigger::Scheduled), "{entry}: none of the back-log yet");
        let back = world.store.entry(&id("a")).await.unwrap().unwrap().back_log.len();
        assert!((10..=12).contains(&back), "{back}");
        // What has come since is regular: it goes first, then the back-log runs alone.
        hand.finish(&first, EndedAs::Cancelled).await;
        change(&world.store, "a", Verb::Put, json!({"note": "x"})).await;
        let mut caught = Vec::new();
        for _ in 0..back + 2 {
            let ran = hand.work_off(0).await;
            let mine = ran.iter().filter(|run| run.run.trigger == Trigger::CatchUp);
            caught.extend(mine.map(|run| run.run.fire_at));
            world.pass(1_000);
            hand.settle(0).await;
            assert!(in_state(&world, State::Queued).await.len() <= 1, "{entry}");
        }
        caught.extend(
            hand.work_off(0).await.iter().filter(|run| run.run.trigger == Trigger::CatchUp).map(|run| run.run.fire_at),
        );
        assert_eq!(caught.len(), back, "{entry}");
        assert!(caught.windows(2).all(|pair| pair[1].0 - pair[0].0 == 10_000), "oldest first");
        world.assert_conserved();
    }
}

/// Two past fire times of an entry that wait to run.
async fn backfill(world: &World) {
    let target = id("a");
    let birth = world.store.entry(&target).await.unwrap().unwrap().definition.unwrap().birth;
    let one = |at: i64| {
        let fire_at = Timestamp(at);
        Backfill { fire_at, run_id: requested_run_id(world.store.namespace(), &target, "b", fire_at) }
    };
    let times = [one(1_000), one(2_000)];
    let asked = Asked { request: "b", content: "" };
    let (old, new): (&[u8], &[u8]) = (&[1], &[1]);
    let call = BackfillCall { asked, id: &target, birth, old, new, times: &times, extras: "{}", answer: "{}" };
    assert!(matches!(world.store.backfill(0, &call).await.unwrap(), BackfillAnswer::Done(_)));
}

#[tokio::test]
async fn a_backfill_waits_for_what_is_active_under_every_rule_and_lets_the_next_fire_time_wait() {
    for entry in [ten_seconds("buffer_one"), ten_seconds("buffer_all"), ten_seconds("cancel_other"), limited(1)] {
        let mut entry = entry;
        entry["catch_up"] = json!({"mode": "all", "per_minute": 600});
        let (world, mut hand, first) = busy(entry.clone(), 0).await;
        backfill(&world).await;
        for _ in 0..3 {
            world.pass(1_000);
            hand.settle(0).await;
        }
        assert_eq!((waiting(&world).await, queued(&world).await), (0, 0), "{entry}: it waits outside");
        hand.finish(&first, EndedAs::Succeeded).await;
        world.pass(1_000);
        hand.settle(0).await;
        let run = hand.fetch(9).await.remove(0);
        assert_eq!(run.run.trigger, Trigger::Backfill);
        world.pass(7_000);
        hand.settle(0).await;
        assert_eq!((waiting(&world).await, queued(&world).await), (1, 0), "{entry}: the next fire time has come");
        world.assert_conserved();
        let is_cancelling = entry["overlap"] == "cancel_other";
        hand.finish(&run, if is_cancelling { EndedAs::Cancelled } else { EndedAs::Succeeded }).await;
        let next = hand.fetch(9).await;
        assert_eq!((next.len(), next[0].run.trigger), (1, Trigger::Scheduled), "{entry}");
        hand.finish(&next[0], EndedAs::Succeeded).await;
        world.pass(1_000);
        hand.settle(0).await;
        assert_eq!(hand.fetch(9).await[0].run.trigger, Trigger::Backfill);
        world.assert_conserved();
    }
}
