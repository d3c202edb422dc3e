//! Zone data of different age in one fleet: the newest plans, and what an older one has planned is planned anew.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::cli::Upbeat;
use support::entries::id;
use support::hand::{Hand, World};
use support::node::node;
use support::redis::RedisServer;
use support::short_dir;
use support::wait::{DEADLINE, wait_for};
use upbeat::domain::plan::packed::{Packed, Times};
use upbeat::domain::timestamp::Timestamp;
use upbeat::domain::zone::{Bundled, Zone, ZoneData};
use upbeat::store::{Planned, Store};

/// Not arithmetic in any zone with summer time, and not more than eight times in its plan.
fn every_hour_by_the_calendar() -> Value {
    json!({"cron": "0 0-23 * * *", "tz": "America/New_York", "shell": "true", "overlap": "allow"})
}

async fn next(store: &Store, name: &str) -> Timestamp {
    store.entry(&id(name)).await.unwrap().unwrap().cursor()
}

/// The clock of the shard goes to this instant.
async fn pass_to(world: &World, at: Timestamp) {
    let now = world.store.now(0).await.unwrap();
    world.pass(at.0 - now.0);
}

/// Node `a` with older and node `b` with newer zone data.
fn two_ages(world: &World) -> (Hand, Hand) {
    (
        Hand::new(&world.store.clone().with_zone_data("2001a"), 'a'),
        Hand::new(&world.store.clone().with_zone_data("2999z"), 'b'),
    )
}

#[tokio::test]
async fn a_node_with_older_zone_data_is_handed_nothing_to_plan() {
    let world = World::with(&[("a", every_hour_by_the_calendar())]).await;
    let (mut old, mut new) = two_ages(&world);
    let mut was_handed_on = false;
    for _ in 0..7 {
        let due = next(&world.store, "a").await;
        pass_to(&world, Timestamp(due.0 - 5_000)).await;
        new.claim(0, 0).await;
        pass_to(&world, due).await;
        let claim = old.claim(0, 0).await;
        assert_eq!(claim.claimed, 1, "it fires all the same");
        assert!(claim.to_plan.is_empty() && claim.to_plan_anew.is_empty() && !claim.walks_zones, "{claim:?}");
        let claim = new.claim(0, 0).await;
        was_handed_on |= claim.to_plan_anew == ["a"];
    }
    assert!(was_handed_on, "two times are left: the node with newer data is asked");
    let before = next(&world.store, "a").await;
    assert_eq!(new.store.plan_anew(&id("a"), before).await.unwrap(), Planned::Written);
    assert_eq!(next(&world.store, "a").await, before);
    assert_eq!(world.on("ZCARD", "stale", &[]), "0");
    world.assert_conserved();
}

#[tokio::test]
async fn an_older_node_plans_again_ten_seconds_after_the_last_newer_one() {
    let world = World::with(&[("a", every_hour_by_the_calendar())]).await;
    let (mut old, mut new) = two_ages(&world);
    new.claim(0, 0).await;
    assert_eq!(world.on("HGET", "clock", &["zone"]), "2999z");
    world.on("ZREM", "due", &["a"]);
    world.on("ZADD", "broken", &["1", "a"]);
    assert!(old.claim(0, 0).await.to_plan.is_empty());
    world.pass(10_500);
    old.claim(0, 0).await;
    assert_eq!(world.on("HGET", "clock", &["zone"]), "2001a");
    world.pass(61_000);
    assert_eq!(old.claim(0, 0).await.to_plan, ["a"]);
}

#[tokio::test]
async fn the_first_node_with_newer_zone_data_is_asked_to_look_at_all_entries_once() {
    let world = World::with(&[("a", every_hour_by_the_calendar())]).await;
    let mut same = Hand::new(&world.store, 'c');
    assert!(!same.claim(0, 0).await.walks_zones, "the plans are of this data");
    let (_, mut new) = two_ages(&world);
    assert!(new.claim(0, 0).await.walks_zones);
    assert!(!new.claim(0, 0).await.walks_zones, "one node at a time");
    assert!(!same.claim(0, 0).await.walks_zones, "older data is not asked");
    world.pass(61_000);
    assert!(new.claim(0, 0).await.walks_zones, "whoever was asked has died");
    let walked = new.store.walk_zones(0, || Timestamp(0)).await.unwrap();
    assert_eq!((walked.entries, walked.planned, walked.left), (1, 0, 0), "the rules are the same: nothing is written");
    world.pass(61_000);
    assert!(!new.claim(0, 0).await.walks_zones, "done");
}

/// Puts a plan into Redis that other rules of the zone would have made, `shift_ms` later.
async fn plan_by_other_rules(world: &World, name: &str, shift_ms: i64) {
    let stored = world.store.entry(&id(name)).await.unwrap().unwrap();
    let mut plan = Packed::read(&stored.plan).unwrap();
    let Times::Listed(listed) = &mut plan.times else { panic!("{plan:?}") };
    listed.iter_mut().for_each(|time| *time += shift_ms);
    let hex: String = plan.pack().iter().map(|byte| format!("{byte:02x}")).collect();
    let write = "local plan = string.gsub(ARGV[2], '..', function(hex) return string.char(tonumber(hex, 16)) end)
        return redis.call('HSET', KEYS[1], ARGV[1], plan)";
    world.redis.ask(&["EVAL", write, "1", &world.key("plans"), name, &hex]);
    world.on("ZADD", "due", &[&(stored.cursor().0 + shift_ms).to_string(), name]);
}

#[tokio::test]
async fn entries_whose_zone_has_other_rules_are_planned_anew_from_what_is_settled() {
    let daily = json!({"cron": "0 9 * * *", "tz": "America/New_York", "shell": "true"});
    let world = World::with(&[("later", daily.clone()), ("earlier", daily.clone()), ("same", daily)]).await;
    let wanted = next(&world.store, "same").await;
    // by the other rules nine o'clock comes an hour later, or an hour sooner
    plan_by_other_rules(&world, "later", 3_600_000).await;
    plan_by_other_rules(&world, "earlier", -3_600_000).await;
    let walked = world.store.walk_zones(0, || Timestamp(0)).await.unwrap();
    assert_eq!((walked.entries, walked.planned, walked.left), (3, 2, 0));
    for name in ["later", "earlier", "same"] {
        assert_eq!(next(&world.store, name).await, wanted, "{name}");
    }
    let again = world.store.walk_zones(0, || Timestamp(0)).await.unwrap();
    assert_eq!(again.planned, 0, "a second walk finds nothing to do");
    pass_to(&world, wanted).await;
    let mut hand = Hand::new(&world.store, 'a');
    assert_eq!(hand.claim(0, 0).await.claimed, 3);
    world.assert_conserved();
}

#[tokio::test]
async fn a_plan_that_is_made_longer_leaves_no_fire_time_of_other_rules_behind() {
    let daily = json!({"cron": "0 9 * * *", "tz": "America/New_York", "shell": "true"});
    let world = World::with(&[("later", daily.clone()), ("earlier", daily)]).await;
    let wanted = next(&world.store, "later").await;
    for (name, shift_ms) in [("later", 3_600_000), ("earlier", -3_600_000)] {
        plan_by_other_rules(&world, name, shift_ms).await;
        assert_eq!(world.store.plan(&id(name), Timestamp(0)).await.unwrap(), Planned::Written);
        assert_eq!(next(&world.store, name).await, wanted, "{name}");
    }
}

#[tokio::test]
async fn what_has_fired_by_other_rules_is_not_owed_again() {
    let daily = json!({"cron": "0 9 * * *", "tz": "America/New_York", "shell": "true"});
    let world = World::with(&[("a", daily)]).await;
    let first = next(&world.store, "a").await;
    pass_to(&world, first).await;
    let mut hand = Hand::new(&world.store, 'a');
    assert_eq!(hand.claim(0, 0).await.claimed, 1);
    let second = next(&world.store, "a").await;
    plan_by_other_rules(&world, "a", -1_800_000).await;
    assert_eq!(world.store.walk_zones(0, || first).await.unwrap().planned, 1);
    assert_eq!(next(&world.store, "a").await, second);
}

/// A folder of zone data with this release, in which `zone` has the rules of `other`.
fn doctored(release: &str, zone: &str, other: &str) -> tempfile::TempDir {
    let dir = short_dir();
    for name in Bundled.names() {
        let rules = if name == zone { other } else { &name };
        let file = dir.path().join(&name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, Bundled.tzif(rules).unwrap()).unwrap();
    }
    std::fs::write(dir.path().join("tzdata.zi"), format!("# version {release}\n")).unwrap();
    dir
}

#[test]
fn a_fleet_with_two_ages_of_zone_data_fires_by_the_newest() {
    // the older data does not know that Berlin is ahead of UTC
    let folder = doctored("2020a", "Europe/Berlin", "Etc/UTC");
    let path = folder.path().to_str().unwrap();
    let redis = RedisServer::fresh();
    let new_user = Upbeat::at(redis.url()).env("UPBEAT_ZONEINFO", "bundled");
    let old_user = Upbeat::at(redis.url()).env("UPBEAT_ZONEINFO", path);
    let old_node = node("old", redis.url()).env("UPBEAT_ZONEINFO", path).start_live(&new_user);
    let add = |user: &Upbeat, name: &str| {
        user.ok(&["add", name, "--cron", "30 9 * * *", "--tz", "Europe/Berlin", "--shell", "true"])
    };
    add(&old_user, "first");
    let next = |name: &str| new_user.json(&["show", name])["next_fire_at"].as_str().unwrap()[11..16].to_owned();
    assert_eq!(next("first"), "09:30", "as the older data has it");

    let new_node = node("new", redis.url()).env("UPBEAT_ZONEINFO", "bundled").start_live(&new_user);
    let berlin = |name: &str| ["07:30", "08:30"].contains(&next(name).as_str());
    wait_for("the newer node has planned the entry anew", DEADLINE, || berlin("first"));
    let nodes = new_user.json(&["nodes"]);
    let releases: Vec<&str> = nodes.as_array().unwrap().iter().map(|node| node["tzdata"].as_str().unwrap()).collect();
    assert_eq!(releases, [Zone::data_version(), "2020a"]);
    for (node, release) in [(&old_node, "2020a"), (&new_node, Zone::data_version())] {
        assert!(node.log().contains(&format!("tzdata=\"{release}\"")), "{}", node.log());
    }

    let told = old_user
        .run(&["add", "second", "--cron", "30 9 * * *", "--tz", "Europe/Berlin", "--shell", "true"])
        .expect_code(0);
    assert!(told.stderr.contains("zone data here is 2020a"), "{}", told.stderr);
    wait_for("what was written with older data is planned anew", DEADLINE, || berlin("second"));
    assert!(
        !new_user
            .run(&["add", "third", "--cron", "30 9 * * *", "--tz", "Europe/Berlin", "--shell", "true"])
            .stderr
            .contains("zone data")
    );
    assert!(berlin("third"));
}

#[test]
fn zone_data_that_an_operator_names_must_be_there() {
    let user = Upbeat::at("redis://127.0.0.1:1").env("UPBEAT_ZONEINFO", "/nowhere");
    let error = user.error(2, &["next", "--cron", "0 9 * * *"]);
    assert_eq!(error["field"], "UPBEAT_ZONEINFO");
    assert!(
        error["message"].as_str().unwrap().contains("/nowhere") && error["hint"].as_str().unwrap().contains("bundled")
    );
    let folder = doctored("2020a", "Europe/Berlin", "Asia/Tokyo");
    let user = Upbeat::at("redis://127.0.0.1:1").env("UPBEAT_ZONEINFO", folder.path().to_str().unwrap());
    let next = user.json(&[
        "next",
        "--cron",
        "0 9 * * *",
        "--tz",
        "Europe/Berlin",
        "--from",
        "2027-01-01T00:00Z",
        "--count",
        "1",
    ]);
    assert_eq!(next, json!(["2027-01-02T00:00:00.000Z"]));
}
