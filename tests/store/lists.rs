//! Plans that list their times: they run dry, are handed out, go on where they stopped, and end.

use serde_json::json;
use upbeat::domain::plan::end_of_list;
use upbeat::domain::run::{Reason, State};
use upbeat::store::{Place, Planned};

use crate::support::entries::id;
use crate::support::hand::{Hand, World, distinct};

/// Every minute, written so that no period can be seen in it.
fn minutes() -> serde_json::Value {
    json!({"cron": ["* * * * 1-4", "* * * * 5-7"], "shell": "true", "overlap": "allow"})
}

#[tokio::test]
async fn an_entry_whose_plan_ran_dry_is_parked_and_handed_to_one_node_at_a_time() {
    let world = World::with(&[("m", minutes())]).await;
    let (mut one, mut other) = (Hand::new(&world.store, 'a'), Hand::new(&world.store, 'b'));
    world.pass(3_600_000);
    let claim = one.claim(0, 0).await;
    assert_eq!(claim.to_plan, ["m"]);
    assert_eq!(world.store.entry(&id("m")).await.unwrap().unwrap().place, Some(Place::Parked));
    assert!(other.claim(0, 0).await.to_plan.is_empty(), "it is in the hands of the first");
    world.pass(10_001);
    assert_eq!(other.claim(0, 0).await.to_plan, ["m"], "the first did nothing with it");
    world.assert_conserved();
}

#[tokio::test]
async fn a_plan_is_asked_for_before_it_runs_dry() {
    let world = World::with(&[("m", minutes())]).await;
    let mut hand = Hand::new(&world.store, 'a');
    for minute in 0..30 {
        world.pass(60_000);
        let claim = hand.claim(0, 0).await;
        let stored = world.store.entry(&id("m")).await.unwrap().unwrap();
        assert_eq!(stored.place, Some(Place::Due), "minute {minute}");
        for name in claim.to_plan {
            assert_eq!(world.store.plan(&id(&name), claim.now).await.unwrap(), Planned::Written);
        }
    }
    assert!((30..=31).contains(&hand.work_off(0).await.len()));
}

#[tokio::test]
async fn a_list_that_runs_dry_again_and_again_loses_nothing() {
    let mut entry = minutes();
    entry["keep_runs"] = json!(2000);
    let world = World::with(&[("m", entry)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    let first = world.store.entry(&id("m")).await.unwrap().unwrap().cursor();
    world.pass(20 * 3_600_000);
    let claim = hand.settle(0).await;
    hand.work_off(0).await;
    let expected = (claim.now.0 - first.0) / 60_000 + 1;
    let tally = world.tally("m").await;
    assert_eq!(tally.values().sum::<u64>(), expected as u64, "{tally:?}");
    assert!(tally[&(State::Missed, Some(Reason::Superseded))] >= 1_198);
    distinct(&world.ended("m").await);
    world.assert_conserved();
}

#[tokio::test]
async fn two_planners_of_one_entry_do_no_harm() {
    let world = World::with(&[("m", minutes())]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(3_600_000);
    let claim = hand.claim(0, 0).await;
    let target = id("m");
    let (one, two) = tokio::join!(world.store.plan(&target, claim.now), world.store.plan(&target, claim.now));
    assert!([one.unwrap(), two.unwrap()].contains(&Planned::Written));
    hand.settle(0).await;
    hand.work_off(0).await;
    distinct(&world.ended("m").await);
    world.assert_conserved();
}

#[tokio::test]
async fn a_list_that_ends_finishes_its_entry() {
    let world = World::new().await;
    let now = world.store.now(0).await.unwrap();
    let start = upbeat::domain::timestamp::Timestamp(now.0 / 60_000 * 60_000 + 120_000);
    let end = upbeat::domain::timestamp::Timestamp(start.0 + 5 * 60_000);
    let mut entry = minutes();
    entry["start"] = json!(start.to_rfc3339());
    entry["end"] = json!(end.to_rfc3339());
    let once = json!({"at": start.to_rfc3339(), "shell": "true"});
    world.add(&[("m", entry), ("once", once)]).await;
    let stored = world.store.entry(&id("m")).await.unwrap().unwrap();
    assert!(end_of_list(&stored.plan).unwrap().1, "the list is final");
    let mut hand = Hand::new(&world.store, 'a');
    let mut ran = 0;
    for _ in 0..9 {
        world.pass(60_000);
        hand.settle(0).await;
        ran += hand.work_off(0).await.len();
    }
    assert_eq!(ran, 6, "five minutes and the one instant");
    for name in ["m", "once"] {
        assert_eq!(world.store.entry(&id(name)).await.unwrap().unwrap().place, Some(Place::Finished), "{name}");
    }
    world.assert_conserved();
}

#[tokio::test]
async fn an_entry_that_ends_during_an_outage_is_finished_with_all_its_times_on_record() {
    let world = World::new().await;
    let now = world.store.now(0).await.unwrap();
    let end = upbeat::domain::timestamp::Timestamp(now.0 / 60_000 * 60_000 + 30 * 60_000);
    let mut entry = minutes();
    entry["end"] = json!(end.to_rfc3339());
    world.add(&[("m", entry)]).await;
    let first = world.store.entry(&id("m")).await.unwrap().unwrap().cursor();
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(3 * 3_600_000);
    hand.settle(0).await;
    hand.work_off(0).await;
    assert_eq!(world.store.entry(&id("m")).await.unwrap().unwrap().place, Some(Place::Finished));
    let tally = world.tally("m").await;
    assert_eq!(tally[&(State::Succeeded, None)], 1, "latest: the newest runs, {tally:?}");
    assert_eq!(tally.values().sum::<u64>(), ((end.0 - first.0) / 60_000) as u64);
    world.assert_conserved();
}
