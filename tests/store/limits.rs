//! `max_fires`: so many fire times in all, however they end; then the entry is finished.

use serde_json::{Value, json};
use upbeat::domain::ledger;
use upbeat::domain::run::{Reason, State, Trigger};
use upbeat::service::{Request, Said, Service};
use upbeat::store::{EndedAs, Place, Verb};

use crate::support::changes::change;
use crate::support::entries::id;
use crate::support::hand::{Hand, World};

fn ten_seconds(most: u32) -> Value {
    json!({"every": "10s", "shell": "true", "overlap": "allow", "max_fires": most, "keep_runs": 1000})
}

/// Every minute, written so that no period can be seen in it.
fn minutes(most: u32) -> Value {
    json!({"cron": ["* * * * 1-4", "* * * * 5-7"], "shell": "true", "overlap": "allow", "max_fires": most, "keep_runs": 1000})
}

async fn place(world: &World) -> Option<Place> {
    world.store.entry(&id("a")).await.unwrap().unwrap().place
}

/// Fire times on record: ended, active and in the back-log; the ledger must name as many.
async fn fires(world: &World) -> u64 {
    let (live, _) = world.store.live_runs(0, None).await.unwrap();
    let live = live.iter().filter(|run| run.trigger != Trigger::Manual).count() as u64;
    let back = world.store.entry(&id("a")).await.unwrap().unwrap().back_log.len() as u64;
    let ended = world.ended("a").await;
    let ended: u64 = ended.iter().filter(|run| run.trigger != Trigger::Manual).map(|run| run.fires).sum();
    let ledger = ledger::read(&world.store.ledger(0, &id("a")).await.unwrap()).unwrap();
    let entered: u64 = ledger.iter().map(|stretch| stretch.count).sum();
    assert_eq!(entered, live + back + ended, "{ledger:#?}");
    entered
}

async fn pass(world: &World, hand: &mut Hand, steps: usize, ms: i64) {
    for _ in 0..steps {
        world.pass(ms);
        hand.settle(0).await;
        world.assert_conserved();
    }
}

async fn assert_finished_after(world: &World, hand: &mut Hand, most: u64) {
    assert_eq!((place(world).await, fires(world).await), (Some(Place::Finished), most));
    pass(world, hand, 2, 100_000).await;
    assert_eq!((place(world).await, fires(world).await), (Some(Place::Finished), most), "and nothing comes after");
}

async fn skip(world: &World, nth: usize) {
    let service = Service::new(world.store.clone());
    let request = Request { id: format!("skip-{nth}"), actor: "ana".to_owned(), reason: None, is_dry_run: false };
    let stored = world.store.entry(&id("a")).await.unwrap().unwrap();
    let schedule = stored.definition.as_ref().unwrap().parse(&id("a")).unwrap().into_data().schedule;
    let now = world.store.now(0).await.unwrap();
    let at = Said::from(schedule.times_after(now).nth(nth).unwrap());
    service.skip(&request, &id("a"), Some(&at), false).await.unwrap();
}

#[tokio::test]
async fn fire_times_that_fired_were_skipped_or_asked_to_be_skipped_count_alike() {
    let mut entry = ten_seconds(6);
    entry["overlap"] = json!("skip");
    let world = World::with(&[("a", entry)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    skip(&world, 3).await;
    pass(&world, &mut hand, 3, 10_000).await;
    assert_eq!(hand.work_off(0).await.len(), 1);
    pass(&world, &mut hand, 2, 10_000).await;
    assert_eq!((place(&world).await, fires(&world).await), (Some(Place::Due), 5));
    pass(&world, &mut hand, 1, 10_000).await;
    let tally = world.tally("a").await;
    assert_eq!(tally[&(State::Skipped, Some(Reason::SkipAsked))], 1, "{tally:?}");
    assert_eq!(tally[&(State::Skipped, Some(Reason::Overlap))], 3, "{tally:?}");
    assert_finished_after(&world, &mut hand, 6).await;
}

#[tokio::test]
async fn an_entry_whose_last_fire_time_is_skipped_is_finished_with_it() {
    for entry in [ten_seconds(2), minutes(2)] {
        let world = World::with(&[("a", entry)]).await;
        let mut hand = Hand::new(&world.store, 'a');
        skip(&world, 1).await;
        let stored = world.store.entry(&id("a")).await.unwrap().unwrap();
        let second = stored.skips[0].fire_at;
        let now = world.store.now(0).await.unwrap();
        pass(&world, &mut hand, 1, stored.cursor().0 - now.0).await;
        let now = world.store.now(0).await.unwrap();
        pass(&world, &mut hand, 1, second.0 - now.0).await;
        assert_finished_after(&world, &mut hand, 2).await;
    }
}

#[tokio::test]
async fn catch_up_counts_what_it_finds_whatever_becomes_of_it() {
    let modes =
        [json!("latest"), json!("none"), json!("all"), json!({"mode": "all", "max_runs": 3, "per_minute": 600})];
    for mode in modes {
        for (mut entry, gap) in [(ten_seconds(8), 400_000), (minutes(8), 3_600_000)] {
            entry["catch_up"] = mode.clone();
            entry["start_within"] = json!("5m");
            let world = World::with(&[("a", entry)]).await;
            let mut hand = Hand::new(&world.store, 'a');
            pass(&world, &mut hand, 1, gap).await;
            assert_eq!(fires(&world).await, 8, "{mode}");
            // The back-log runs at its pace, and what is too old meanwhile is dropped.
            for _ in 0..10 {
                pass(&world, &mut hand, 1, 30_000).await;
                hand.work_off(0).await;
            }
            assert_finished_after(&world, &mut hand, 8).await;
            let shown = world.store.fires_of(&id("a")).await.unwrap();
            assert_eq!(shown, 8, "{mode}: as it is kept");
        }
    }
}

#[tokio::test]
async fn a_back_log_whose_oldest_are_dropped_is_counted_once() {
    let mut entry = ten_seconds(40);
    entry["catch_up"] = json!({"mode": "all", "max_runs": 3, "per_minute": 1});
    entry["overlap"] = json!("skip");
    let world = World::with(&[("a", entry)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    for gap in [100_000, 80_000, 70_000] {
        // Each outage pushes older ones of the back-log out.
        pass(&world, &mut hand, 1, gap).await;
        assert_eq!(world.store.fires_of(&id("a")).await.unwrap(), fires(&world).await);
    }
    pass(&world, &mut hand, 40, 10_000).await;
    for _ in 0..10 {
        hand.work_off(0).await;
        pass(&world, &mut hand, 1, 60_000).await;
    }
    hand.work_off(0).await;
    assert_finished_after(&world, &mut hand, 40).await;
}

#[tokio::test]
async fn what_passes_in_a_pause_counts() {
    for (entry, ms) in [(ten_seconds(30), 10_000), (minutes(30), 60_000)] {
        let world = World::with(&[("a", entry)]).await;
        let mut hand = Hand::new(&world.store, 'a');
        pass(&world, &mut hand, 2, ms).await;
        hand.work_off(0).await;
        change(&world.store, "a", Verb::Pause, json!({})).await;
        let before = fires(&world).await;
        // More passes than are left, also more than the plan of a list reaches.
        pass(&world, &mut hand, 4, ms * 10).await;
        change(&world.store, "a", Verb::Put, json!({"note": "looks at what passed so far"})).await;
        pass(&world, &mut hand, 2, ms * 10).await;
        change(&world.store, "a", Verb::Resume, json!({})).await;
        world.assert_conserved();
        assert_eq!(world.tally("a").await[&(State::Skipped, Some(Reason::Paused))], 30 - before);
        assert_finished_after(&world, &mut hand, 30).await;
    }
}

#[tokio::test]
async fn a_pause_that_ends_by_itself_leaves_what_it_did_not_use() {
    for (entry, ms) in [(ten_seconds(12), 10_000), (minutes(12), 60_000)] {
        for length in [5, 50] {
            let world = World::with(&[("a", entry.clone())]).await;
            let mut hand = Hand::new(&world.store, 'a');
            let service = Service::new(world.store.clone());
            let request = Request { id: "pause".to_owned(), actor: "ana".to_owned(), reason: None, is_dry_run: false };
            let until = world.store.now(0).await.unwrap().0 + ms * length;
            let until = Said::from(upbeat::domain::timestamp::Timestamp(until));
            service.pause_until(&request, &[id("a")], &until).await.unwrap();
            pass(&world, &mut hand, 1, ms * length).await;
            // A plan that ended before the pause did is handed out again after a while.
            for _ in 0..20 {
                pass(&world, &mut hand, 1, ms).await;
                hand.work_off(0).await;
            }
            let paused = world.tally("a").await[&(State::Skipped, Some(Reason::Paused))];
            assert!(if length == 5 { (4..=6).contains(&paused) } else { paused == 12 }, "{paused}");
            assert_finished_after(&world, &mut hand, 12).await;
        }
    }
}

#[tokio::test]
async fn a_change_keeps_the_count_and_may_raise_or_lower_the_limit() {
    let world = World::with(&[("a", ten_seconds(3))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    pass(&world, &mut hand, 2, 10_000).await;
    change(&world.store, "a", Verb::Put, json!({"note": "x"})).await;
    pass(&world, &mut hand, 1, 10_000).await;
    assert_finished_after(&world, &mut hand, 3).await;
    let raised = change(&world.store, "a", Verb::Put, json!({"max_fires": 5})).await;
    assert!(raised.next_after.is_some(), "it fires again");
    pass(&world, &mut hand, 1, 10_000).await;
    assert_eq!((place(&world).await, fires(&world).await), (Some(Place::Due), 4));
    let lowered = change(&world.store, "a", Verb::Put, json!({"max_fires": 2})).await;
    assert_eq!(lowered.next_after, None);
    assert_finished_after(&world, &mut hand, 4).await;
    change(
        &world.store,
        "a",
        Verb::Put,
        json!({"max_fires": 6, "cron": "*/10 * * * * *", "every": null, "anchor": null}),
    )
    .await;
    pass(&world, &mut hand, 3, 10_000).await;
    assert_finished_after(&world, &mut hand, 6).await;
    world.assert_conserved();
}

#[tokio::test]
async fn a_limit_that_is_new_counts_from_the_birth_of_the_entry() {
    let mut entry = ten_seconds(1);
    entry.as_object_mut().unwrap().remove("max_fires");
    let world = World::with(&[("a", entry)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    pass(&world, &mut hand, 4, 10_000).await;
    let before = fires(&world).await;
    change(&world.store, "a", Verb::Put, json!({"max_fires": before + 2})).await;
    pass(&world, &mut hand, 2, 10_000).await;
    assert_finished_after(&world, &mut hand, before + 2).await;
}

#[tokio::test]
async fn an_entry_that_is_added_again_starts_anew() {
    let world = World::with(&[("a", ten_seconds(3))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    // As with the service, the two don't share a revision.
    change(&world.store, "a", Verb::Put, json!({"note": "x"})).await;
    pass(&world, &mut hand, 2, 10_000).await;
    change(&world.store, "a", Verb::Remove, Value::Null).await;
    world.pass(1_000);
    assert_eq!(world.on("HEXISTS", "fires", &["a"]), "0");
    world.add(&[("a", ten_seconds(3))]).await;
    pass(&world, &mut hand, 2, 10_000).await;
    assert_eq!(place(&world).await, Some(Place::Due));
    world.on("DEL", "fires", &[]);
    pass(&world, &mut hand, 1, 10_000).await;
    assert_eq!(place(&world).await, Some(Place::Finished), "the ledger says it for the present entry alone");
}

#[tokio::test]
async fn a_count_that_vanished_is_made_again_from_the_ledger() {
    let mut entry = ten_seconds(20);
    entry["catch_up"] = json!("all");
    let world = World::with(&[("a", entry)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    pass(&world, &mut hand, 2, 10_000).await;
    world.on("DEL", "fires", &[]);
    pass(&world, &mut hand, 1, 90_000).await;
    world.on("DEL", "fires", &[]);
    change(&world.store, "a", Verb::Pause, json!({})).await;
    world.on("DEL", "fires", &[]);
    pass(&world, &mut hand, 1, 20_000).await;
    change(&world.store, "a", Verb::Resume, json!({})).await;
    let fired = fires(&world).await;
    assert_eq!(world.store.fires_of(&id("a")).await.unwrap(), fired);
    pass(&world, &mut hand, 20 - fired as usize, 10_000).await;
    for run in hand.fetch(100).await {
        hand.finish(&run, EndedAs::Succeeded).await;
    }
    assert_finished_after(&world, &mut hand, 20).await;
}
