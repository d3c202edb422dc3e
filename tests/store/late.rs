//! Late: what becomes of fire times that are found after an outage.

use serde_json::{Value, json};
use upbeat::domain::plan::end_of_list;
use upbeat::domain::run::{Reason, State, Trigger};
use upbeat::domain::timestamp::Timestamp;
use upbeat::service::{Request, Said, Service};
use upbeat::store::{EndedAs, Verb};

use crate::support::changes::change;
use crate::support::entries::id;
use crate::support::hand::{Hand, World, distinct};

async fn after_half_a_minute(catch_up: Value) -> (World, Hand) {
    let entry = json!({"every": "1s", "shell": "true", "overlap": "allow", "catch_up": catch_up, "keep_runs": 1000});
    let world = World::with(&[("a", entry)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    hand.settle(0).await;
    world.pass(30_000);
    hand.settle(0).await;
    (world, hand)
}

/// 5 or 6 of them are not late; of the late ones there are 24 or 25, and one more for each second that the machine lost.
fn split(total: usize, scheduled: usize) {
    assert!((5..=6).contains(&scheduled), "{scheduled} scheduled");
    assert!((24..=30).contains(&(total - scheduled)), "{total} in all, {scheduled} scheduled");
}

async fn waiting_by_trigger(world: &World) -> (usize, usize) {
    let (runs, _) = world.store.live_runs(0, None).await.unwrap();
    let scheduled = runs.iter().filter(|run| run.trigger == Trigger::Scheduled).count();
    (scheduled, runs.len() - scheduled)
}

#[tokio::test]
async fn late_times_of_a_fast_entry_leave_one_superseded_record() {
    let (world, _) = after_half_a_minute(json!("latest")).await;
    let (scheduled, others) = waiting_by_trigger(&world).await;
    assert_eq!(others, 0, "what is not late fires, so nothing late does");
    let ended = world.ended("a").await;
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!((ended[0].state, ended[0].reason), (State::Missed, Some(Reason::Superseded)));
    split(scheduled + ended[0].fires as usize, scheduled);
    assert_eq!(ended[0].last_fire_at.0 - ended[0].fire_at.0, (ended[0].fires as i64 - 1) * 1000);
    world.assert_conserved();
}

#[tokio::test]
async fn late_times_of_a_fast_entry_without_catch_up_are_one_record_too_late() {
    let (world, _) = after_half_a_minute(json!("none")).await;
    let (scheduled, others) = waiting_by_trigger(&world).await;
    let ended = world.ended("a").await;
    assert_eq!((ended.len(), others), (1, 0));
    assert_eq!((ended[0].state, ended[0].reason), (State::Missed, Some(Reason::TooLate)));
    split(scheduled + ended[0].fires as usize, scheduled);
}

#[tokio::test]
async fn a_back_log_of_all_runs_at_its_pace_oldest_first_beside_the_regular_times() {
    let (world, mut hand) = after_half_a_minute(json!("all")).await;
    let (scheduled, first) = waiting_by_trigger(&world).await;
    assert_eq!(first, 1, "the first of the back-log goes at once");
    let back = world.store.entry(&id("a")).await.unwrap().unwrap().back_log.len();
    split(scheduled + first + back, scheduled);
    let ran = hand.work_off(0).await;
    let mut caught_up: Vec<_> = ran.iter().filter(|run| run.run.trigger == Trigger::CatchUp).cloned().collect();
    for _ in 0..back {
        world.pass(1_000);
        hand.settle(0).await;
        let ran = hand.work_off(0).await;
        let mine: Vec<_> = ran.into_iter().filter(|run| run.run.trigger == Trigger::CatchUp).collect();
        assert_eq!(mine.len(), 1, "60 a minute is one a second");
        caught_up.extend(mine);
    }
    assert!(caught_up.windows(2).all(|pair| pair[1].run.fire_at.0 - pair[0].run.fire_at.0 == 1000), "oldest first");
    let stored = world.store.entry(&id("a")).await.unwrap().unwrap();
    assert!(stored.back_log.is_empty());
    let ended = world.ended("a").await;
    assert!(ended.iter().all(|run| run.state == State::Succeeded));
    let times = distinct(&ended);
    assert!(times.windows(2).all(|pair| pair[1].0 - pair[0].0 == 1000), "no second is missing");
    world.assert_conserved();
}

#[tokio::test]
async fn a_back_log_drops_the_oldest_beyond_max_runs() {
    let (world, _) = after_half_a_minute(json!({"mode": "all", "max_runs": 10})).await;
    let tally = world.tally("a").await;
    let limit = tally[&(State::Missed, Some(Reason::CatchUpLimit))];
    assert!((14..=20).contains(&limit), "{tally:?}");
    assert_eq!(waiting_by_trigger(&world).await.1, 1);
    world.assert_conserved();
}

#[tokio::test]
async fn a_back_log_that_does_not_allow_overlap_waits_for_the_run_before_it() {
    let entry = json!({"every": "10s", "shell": "true", "catch_up": "all"});
    let world = World::with(&[("a", entry)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(125_000);
    hand.settle(0).await;
    let first = hand.fetch(10).await;
    assert_eq!(first.len(), 1);
    world.pass(2_000);
    hand.settle(0).await;
    assert!(hand.fetch(10).await.is_empty(), "the run before it is active");
    hand.finish(&first[0], EndedAs::Succeeded).await;
    hand.settle(0).await;
    let second = hand.fetch(10).await;
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].run.trigger, Trigger::CatchUp);
    world.assert_conserved();
}

/// Every minute, written so that no period can be seen in it.
fn minutes(catch_up: &str) -> Value {
    json!({"cron": ["* * * * 1-4", "* * * * 5-7"], "shell": "true", "overlap": "allow", "catch_up": catch_up})
}

async fn minutes_after(catch_up: &str, gap_ms: i64) -> (World, Hand) {
    let world = World::with(&[("m", minutes(catch_up))]).await;
    let stored = world.store.entry(&id("m")).await.unwrap().unwrap();
    assert!(end_of_list(&stored.plan).is_some(), "a list of times, no arithmetic");
    let mut hand = Hand::new(&world.store, 'a');
    hand.settle(0).await;
    // To 30 s after a full minute, so that the gaps below hold the same number of minutes each time.
    let now = world.store.now(0).await.unwrap();
    world.pass(90_000 - now.0 % 60_000);
    hand.settle(0).await;
    hand.work_off(0).await;
    world.pass(gap_ms);
    hand.settle(0).await;
    hand.work_off(0).await;
    (world, hand)
}

#[tokio::test]
async fn a_minute_list_after_ninety_seconds_misses_nothing_that_is_not_late() {
    // The fire times are 60 s and 0 s old: the older one has a newer one beside it.
    for (mode, reason) in [("latest", Reason::Superseded), ("none", Reason::TooLate)] {
        let (world, _) = minutes_after(mode, 90_000).await;
        let tally = world.tally("m").await;
        let missed = tally.get(&(State::Missed, Some(reason))).copied().unwrap_or(0);
        assert_eq!(tally[&(State::Succeeded, None)] + missed, tally.values().sum::<u64>(), "{mode} {tally:?}");
        assert_eq!(missed, 1, "{mode} {tally:?}");
        distinct(&world.ended("m").await);
        world.assert_conserved();
    }
}

#[tokio::test]
async fn a_minute_list_after_an_hour_follows_latest_also_where_its_plan_ran_dry() {
    let (world, _) = minutes_after("latest", 3_600_000).await;
    let tally = world.tally("m").await;
    // The newest is 30 s old: not late by itself.
    assert_eq!(tally[&(State::Missed, Some(Reason::Superseded))], 59, "{tally:?}");
    assert!(tally[&(State::Succeeded, None)] >= 1);
    distinct(&world.ended("m").await);
    world.assert_conserved();
}

#[tokio::test]
async fn a_minute_list_after_an_hour_follows_none_also_where_its_plan_ran_dry() {
    let (world, _) = minutes_after("none", 3_600_000).await;
    assert_eq!(world.tally("m").await[&(State::Missed, Some(Reason::TooLate))], 59);
    world.assert_conserved();
}

#[tokio::test]
async fn a_minute_list_after_an_hour_runs_all_at_its_pace() {
    let (world, mut hand) = minutes_after("all", 3_600_000).await;
    for _ in 0..60 {
        world.pass(1_000);
        hand.settle(0).await;
        hand.work_off(0).await;
    }
    let ended = world.ended("m").await;
    assert!(ended.iter().all(|run| run.state == State::Succeeded), "{:?}", world.tally("m").await);
    let times = distinct(&ended);
    assert!(times.windows(2).all(|pair| pair[1].0 - pair[0].0 == 60_000), "no minute is missing");
    assert!(times.len() >= 60);
    world.assert_conserved();
}

#[tokio::test]
async fn the_newest_of_late_times_runs_where_nothing_else_is_due() {
    let entry = json!({"every": "10m", "shell": "true"});
    let world = World::with(&[("a", entry)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    hand.settle(0).await;
    let first = world.store.entry(&id("a")).await.unwrap().unwrap().cursor();
    let now = world.store.now(0).await.unwrap();
    world.pass(first.0 - now.0 + 600_000 * 5 + 120_000);
    hand.settle(0).await;
    let ran = hand.work_off(0).await;
    assert_eq!(ran.len(), 1);
    assert_eq!((ran[0].run.trigger, ran[0].run.fire_at.0), (Trigger::CatchUp, first.0 + 3_000_000));
    assert_eq!(world.tally("a").await[&(State::Missed, Some(Reason::Superseded))], 5);
}

#[tokio::test]
async fn start_within_holds_at_the_claim() {
    let entry = json!({"every": "1s", "shell": "true", "overlap": "allow", "start_within": "10s", "catch_up": "all"});
    let world = World::with(&[("a", entry)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    hand.settle(0).await;
    world.pass(30_000);
    hand.settle(0).await;
    let gone = world.tally("a").await[&(State::Missed, Some(Reason::TooLate))];
    assert!((19..=25).contains(&gone), "{gone}");
    world.assert_conserved();
}

#[tokio::test]
async fn start_within_holds_for_what_waits_in_a_queue_that_nobody_serves() {
    let entry = json!({"every": "1h", "shell": "true", "start_within": "10s"});
    let world = World::with(&[("a", entry)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    let first = world.store.entry(&id("a")).await.unwrap().unwrap().cursor();
    world.pass(first.0 - world.store.now(0).await.unwrap().0);
    assert_eq!(hand.settle(0).await.waiting, ["default:shell"]);
    world.pass(11_000);
    hand.settle(0).await;
    assert_eq!(world.tally("a").await[&(State::Missed, Some(Reason::TooLate))], 1);
    assert!(hand.fetch(10).await.is_empty(), "its id is passed over");
    world.assert_conserved();
}

#[tokio::test]
async fn start_within_holds_at_the_fetch() {
    let entry = json!({"every": "1h", "shell": "true", "start_within": "10s"});
    let world = World::with(&[("a", entry)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    let first = world.store.entry(&id("a")).await.unwrap().unwrap().cursor();
    world.pass(first.0 - world.store.now(0).await.unwrap().0);
    hand.settle(0).await;
    world.pass(11_000);
    assert!(hand.fetch(10).await.is_empty());
    assert_eq!(world.tally("a").await[&(State::Missed, Some(Reason::TooLate))], 1);
    world.assert_conserved();
}

#[tokio::test]
async fn an_outage_is_an_event() {
    let world = World::with(&[("a", json!({"every": "1h", "shell": "true"}))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    assert_eq!(hand.settle(0).await.outage_ms, 0);
    world.pass(4_000);
    assert_eq!(hand.settle(0).await.outage_ms, 0);
    world.pass(6_000);
    let outage = hand.settle(0).await.outage_ms;
    assert!((6_000..12_000).contains(&outage), "{outage}");
    assert_eq!(world.events("outage").await.len(), 1);
}

#[tokio::test]
async fn a_change_that_was_decided_while_a_pause_held_keeps_the_back_log_that_came_after_it() {
    let world = World::with(&[("a", json!({"every": "10s", "shell": "true", "catch_up": "all"}))]).await;
    let service = Service::new(world.store.clone());
    let request = Request { id: "r".to_owned(), actor: "ana".to_owned(), reason: None, is_dry_run: false };
    let until = Timestamp(world.store.now(0).await.unwrap().0 + 5_000);
    service.pause_until(&request, &[id("a")], &Said::from(until)).await.unwrap();
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(125_000);
    hand.settle(0).await;
    let back_log = async || world.store.entry(&id("a")).await.unwrap().unwrap().back_log;
    let before = back_log().await;
    assert!(before.len() > 5, "{before:?}");
    // It still names the pause, as one that was decided before its end would.
    change(&world.store, "a", Verb::Put, json!({"note": "x"})).await;
    assert_eq!(back_log().await, before);
    world.assert_conserved();
}
