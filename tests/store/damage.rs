//! Damage: one bad record harms nobody else, is named, and heals; a key that vanished is noticed and rebuilt.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use upbeat::domain::ledger;
use upbeat::domain::run::{Reason, State};
use upbeat::store::{EndedAs, FinishWord, Place, Planned};

use crate::one_run::OneRun;
use crate::support::entries::id;
use crate::support::hand::{Hand, World, distinct, ended, failed};

fn every(span: &str) -> Value {
    json!({"every": span, "shell": "true", "overlap": "allow", "keep_runs": 1000})
}

/// Cuts the plan of an entry to 9 bytes.
fn damage_plan(world: &World, name: &str) {
    let plans = world.key("plans");
    let cut = "redis.call('HSET', KEYS[1], ARGV[1], string.sub(redis.call('HGET', KEYS[1], ARGV[1]), 1, 9))";
    world.redis.cli(&["EVAL", cut, "1", &plans, name]);
}

#[tokio::test]
async fn a_damaged_plan_and_a_wrong_target_beside_98_good_entries_harm_only_themselves() {
    let names: Vec<String> = (0..98).map(|number| format!("good-{number:02}")).collect();
    let mut entries: Vec<(&str, Value)> =
        names.iter().map(|name| (name.as_str(), json!({"every": "10s", "list": "out"}))).collect();
    entries.push(("damaged", json!({"every": "10s", "list": "out"})));
    entries.push(("wrong", json!({"every": "10s", "list": "a-string"})));
    let world = World::with(&entries).await;
    world.redis.cli(&["SET", "a-string", "x"]);
    damage_plan(&world, "damaged");
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    let claim = hand.claim(0, 0).await;
    assert_eq!(claim.to_plan, ["damaged"], "it is named");
    assert_eq!(world.store.entry(&id("damaged")).await.unwrap().unwrap().place, Some(Place::Broken));
    assert_eq!(world.events("broken").await.len(), 1);
    for _ in 0..3 {
        hand.claim(0, 0).await;
    }
    assert_eq!(world.redis.ask(&["LLEN", "out"]).int(), 98, "each good one once, however often it is claimed");
    let wrong = world.ended("wrong").await;
    assert_eq!(wrong.len(), 1);
    assert_eq!((wrong[0].state, wrong[0].reason), (State::Failed, Some(Reason::Target)));
    world.assert_conserved();

    assert_eq!(world.store.plan(&id("damaged"), claim.now).await.unwrap(), Planned::Written);
    hand.claim(0, 0).await;
    assert_eq!(world.redis.ask(&["LLEN", "out"]).int(), 99, "planned afresh, the fire time that it owed comes");
    world.assert_conserved();
}

#[tokio::test]
async fn an_entry_without_a_plan_heals_without_firing_twice() {
    let world = World::with(&[("a", every("1s"))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(3_000);
    hand.settle(0).await;
    hand.work_off(0).await;
    world.on("HDEL", "plans", &["a"]);
    world.pass(2_000);
    hand.settle(0).await;
    hand.work_off(0).await;
    let times = distinct(&world.ended("a").await);
    assert!(times.len() >= 5 && times.windows(2).all(|pair| pair[1].0 - pair[0].0 == 1000), "{times:?}");
    world.assert_conserved();
}

#[tokio::test]
async fn a_direct_entry_whose_message_is_gone_heals_by_planning() {
    let world = World::with(&[("a", json!({"every": "10s", "list": "out"}))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.on("HDEL", "messages", &["a"]);
    world.pass(10_000);
    hand.settle(0).await;
    assert_eq!(world.redis.ask(&["LLEN", "out"]).int(), 1);
    world.assert_conserved();
}

#[tokio::test]
async fn an_entry_that_no_planner_can_read_stays_broken_and_is_handed_out_again() {
    let world = World::with(&[("a", every("10s")), ("b", every("10s"))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    damage_plan(&world, "a");
    world.on("HSET", "entries", &["a", "{\"v\":1,\"birth\":1,\"revision\":1,\"broken"]);
    world.pass(10_000);
    let claim = hand.claim(0, 0).await;
    assert_eq!(claim.to_plan, ["a"]);
    assert!(matches!(world.store.plan(&id("a"), claim.now).await.unwrap(), Planned::Unreadable(_)));
    assert!(hand.claim(0, 0).await.to_plan.is_empty());
    world.pass(60_001);
    assert_eq!(hand.claim(0, 0).await.to_plan, ["a"]);
    assert!(!hand.fetch(10).await.is_empty(), "the other one fires");
    world.assert_conserved();
}

#[tokio::test]
async fn an_entry_whose_list_is_unknown_stays_due_and_is_named() {
    let world = World::with(&[("known", every("10s"))]).await;
    let late = crate::support::entries::open(&world.redis.url(), 1).await;
    let mut entry = every("10s");
    entry["queue"] = json!("new");
    crate::support::entries::add_all(&world.store, &[("new", entry)]).await;
    let mut hand = Hand::new(&late, 'a');
    world.pass(10_000);
    let claim = hand.claim(0, 0).await;
    assert_eq!(claim.unknown_lists, ["new:shell"]);
    assert_eq!(claim.claimed, 1, "the one whose list it knows");
    let stored = world.store.entry(&id("new")).await.unwrap().unwrap();
    assert!(stored.cursor() <= claim.now && stored.place == Some(Place::Due));
    late.refresh_lists(0).await.unwrap();
    assert_eq!(hand.claim(0, 0).await.claimed, 1);
    world.assert_conserved();
}

#[tokio::test]
async fn a_plan_of_a_newer_program_is_passed_over_and_blocks_nobody() {
    let world = World::with(&[("new", every("10s")), ("old", every("10s"))]).await;
    let newer = "redis.call('HSET', KEYS[1], 'new', '\\255' .. string.sub(redis.call('HGET', KEYS[1], 'new'), 2))";
    world.redis.cli(&["EVAL", newer, "1", &world.key("plans")]);
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    let claim = hand.claim(0, 0).await;
    assert_eq!(claim.claimed, 1);
    let stored = world.store.entry(&id("new")).await.unwrap().unwrap();
    assert!(stored.place == Some(Place::Due) && stored.cursor() <= claim.now, "it waits for a newer node");
    assert!(world.events("broken").await.is_empty());
    world.assert_conserved();
}

/// One claim whose check finds the sums wrong, then a rebuild, then all that it put back.
async fn rebuild(world: &World, hand: &mut Hand) {
    world.pass(60_001);
    assert!(hand.claim(0, 0).await.is_unbalanced);
    world.store.rebuild(0).await.unwrap();
    world.pass(60_001);
    hand.settle(0).await;
    world.pass(60_001);
    let claim = hand.claim(0, 0).await;
    assert!(!claim.is_unbalanced, "the sums hold again");
    world.assert_conserved();
}

#[tokio::test]
async fn a_due_set_that_vanished_is_rebuilt_from_where_the_ledger_ends() {
    let catch_up = json!({"mode": "all", "max_runs": 100, "per_minute": 60});
    let list =
        json!({"cron": ["* * * * 1-4", "* * * * 5-7"], "shell": "true", "overlap": "allow", "catch_up": catch_up});
    let world = World::with(&[("fast", every("1s")), ("list", list), ("fresh", every("1h"))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(150_000);
    let before = hand.settle(0).await.now;
    hand.work_off(0).await;
    world.redis.cli(&["DEL", &world.key("due")]);
    assert_eq!(world.store.entry(&id("fast")).await.unwrap().unwrap().place, None);
    rebuild(&world, &mut hand).await;
    for name in ["fast", "list", "fresh"] {
        assert_eq!(world.store.entry(&id(name)).await.unwrap().unwrap().place, Some(Place::Due), "{name}");
    }
    for _ in 0..10 {
        world.pass(1_000);
        hand.settle(0).await;
    }
    hand.work_off(0).await;
    for (name, period) in [("fast", 1_000), ("list", 60_000)] {
        let text = world.store.ledger(0, &id(name)).await.unwrap();
        let stretches = ledger::read(&text).unwrap();
        let (first, last) = (stretches[0].first, ledger::end(&stretches).unwrap());
        let count: u64 = stretches.iter().map(|stretch| stretch.count).sum();
        assert_eq!(count, ((last.0 - first.0) / period + 1) as u64, "{name}: none lost, none twice: {stretches:?}");
        assert!(last > before);
        distinct(&world.ended(name).await);
    }
    world.assert_conserved();
}

#[tokio::test]
async fn a_queue_that_vanished_gets_its_runs_back() {
    let world = World::with(&[("a", every("1s"))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(3_000);
    hand.settle(0).await;
    let waiting: BTreeSet<String> =
        world.store.live_runs(0, None).await.unwrap().0.into_iter().map(|run| run.run_id).collect();
    assert!(waiting.len() >= 3);
    world.redis.cli(&["DEL", &world.key("queue:default:shell")]);
    world.pass(60_001);
    assert!(hand.claim(0, 0).await.is_unbalanced);
    world.store.rebuild(0).await.unwrap();
    let ran = hand.work_off(0).await;
    let ids: Vec<String> = ran.iter().map(|run| run.run.run_id.clone()).collect();
    assert!(waiting.iter().all(|run| ids.contains(run)));
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "each once");
    world.assert_conserved();
}

#[tokio::test]
async fn runs_whose_holder_was_forgotten_are_taken_over_or_finished() {
    let world = World::with(&[("a", every("1s"))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(3_000);
    hand.settle(0).await;
    let runs = hand.fetch(2).await;
    world.redis.cli(&["DEL", &world.key(&format!("holds:{}", hand.incarnation)), &world.key("leases")]);
    world.store.rebuild(0).await.unwrap();
    world.assert_conserved();
    assert_eq!(world.store.renew(0, &hand.incarnation, hand.lease_ms).await.unwrap().held.len(), 2);
    let word = hand.finish(&runs[0], upbeat::store::EndedAs::Succeeded).await;
    assert_eq!(word, upbeat::store::FinishWord::Finished);
    world.assert_conserved();
}

#[tokio::test]
async fn places_of_entries_that_do_not_exist_are_taken_off() {
    let world = World::with(&[("a", every("1h"))]).await;
    world.on("ZADD", "due", &["99999999999999", "ghost"]);
    let rebuilt = world.store.rebuild(0).await.unwrap();
    assert_eq!((rebuilt.entries, rebuilt.taken_off), (0, 1));
    world.assert_conserved();
}

#[tokio::test]
async fn a_key_of_another_type_stops_a_claim_before_it_writes() {
    let world = World::with(&[("a", every("10s"))]).await;
    let hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    for name in ["events", "parked", "queues", "start_by", "lanes", "leases", "cursors"] {
        let key = world.key(name);
        let is_there = world.redis.cli(&["EXISTS", &key]) == "1";
        if is_there {
            world.redis.cli(&["RENAME", &key, "aside"]);
        }
        world.redis.cli(&["SET", &key, "x"]);
        let before = world.on("ZRANGE", "due", &["0", "-1", "WITHSCORES"]);
        let answer = hand.claim_number(0, 4, 1).await;
        assert!(answer.is_err(), "{name}: {answer:?}");
        assert_eq!(world.on("ZRANGE", "due", &["0", "-1", "WITHSCORES"]), before, "{name}");
        assert_eq!(world.on("EXISTS", "live", &[]), "0", "{name}");
        world.redis.cli(&["DEL", &key]);
        if is_there {
            world.redis.cli(&["RENAME", "aside", &key]);
        }
    }
    let mut hand = hand;
    assert_eq!(hand.claim(0, 0).await.claimed, 1);
}

#[tokio::test]
async fn an_entry_that_can_t_be_settled_is_set_aside_whole_or_not() {
    let world = World::with(&[("a", json!({"every": "10s", "shell": "true", "max_fires": 9}))]).await;
    let hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    for name in ["fires", "seen"] {
        world.redis.cli(&["SET", &world.key(name), "x"]);
    }
    let before = world.on("ZRANGE", "due", &["0", "-1", "WITHSCORES"]);
    assert!(hand.claim_number(0, 4, 1).await.is_err());
    assert_eq!(world.on("ZRANGE", "due", &["0", "-1", "WITHSCORES"]), before);
    assert_eq!(world.on("EXISTS", "broken", &[]), "0");
}

#[tokio::test]
async fn a_registry_of_queues_that_vanished_heals_by_itself() {
    let world = World::with(&[("a", every("10s"))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.redis.cli(&["DEL", &world.key("queues")]);
    world.store.refresh_lists(0).await.unwrap();
    assert!(world.store.lists(0).is_empty());
    world.pass(10_000);
    hand.settle(0).await;
    assert_eq!(hand.work_off(0).await.len(), 1);
    world.assert_conserved();
}

#[tokio::test]
async fn cursors_that_vanished_while_an_entry_was_parked_cost_no_fire_time() {
    let list = json!({"cron": ["* * * * 1-4", "* * * * 5-7"], "shell": "true", "overlap": "allow", "keep_runs": 1000});
    let world = World::with(&[("m", list)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    let first = world.store.entry(&id("m")).await.unwrap().unwrap().cursor();
    world.pass(3_600_000);
    assert_eq!(hand.claim(0, 0).await.to_plan, ["m"]);
    world.redis.cli(&["DEL", &world.key("cursors")]);
    world.pass(10_001);
    let claim = hand.settle(0).await;
    hand.work_off(0).await;
    let owed = (claim.now.0 - first.0) / 60_000 + 1;
    assert_eq!(world.tally("m").await.values().sum::<u64>(), owed as u64);
    distinct(&world.ended("m").await);
}

#[tokio::test]
async fn a_paused_entry_whose_place_vanished_stays_paused() {
    let world = World::with(&[("a", every("10s")), ("b", every("10s"))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    crate::support::changes::change(&world.store, "a", upbeat::store::Verb::Pause, json!({})).await;
    world.redis.cli(&["DEL", &world.key("paused"), &world.key("due")]);
    assert_eq!(world.store.rebuild(0).await.unwrap().entries, 2);
    world.pass(30_000);
    hand.settle(0).await;
    assert!(hand.work_off(0).await.iter().all(|run| run.run.entry_id == "b"));
    assert_eq!(world.store.entry(&id("a")).await.unwrap().unwrap().place, Some(Place::Paused));
    world.assert_conserved();
}

#[tokio::test]
async fn an_entry_that_had_finished_is_finished_again_after_a_rebuild() {
    let world = World::new().await;
    let at = upbeat::domain::timestamp::Timestamp(world.store.now(0).await.unwrap().0 + 5_000);
    world.add(&[("once", json!({"at": at.to_rfc3339(), "shell": "true"}))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(6_000);
    hand.settle(0).await;
    assert_eq!(hand.work_off(0).await.len(), 1);
    world.redis.cli(&["DEL", &world.key("finished")]);
    world.store.rebuild(0).await.unwrap();
    hand.settle(0).await;
    assert!(hand.work_off(0).await.is_empty(), "it has fired");
    assert_eq!(world.store.entry(&id("once")).await.unwrap().unwrap().place, Some(Place::Finished));
}

#[tokio::test]
async fn runs_that_waited_for_their_next_attempt_get_their_time_back() {
    let one = OneRun::retrying(json!({})).await;
    let at = one.live().await.unwrap().enqueued_at;
    one.world.on("DEL", "delayed", &[]);
    rebuild(&one.world, &mut hand_of(&one)).await;
    assert_eq!(one.state().await, Some(State::Queued), "its time has come meanwhile");

    let (mut one, run) = OneRun::running(json!({})).await;
    one.end(failed(&run, 600_000, None)).await;
    let far = one.live().await.unwrap().enqueued_at;
    assert!(far > at);
    one.world.on("DEL", "delayed", &[]);
    rebuild(&one.world, &mut hand_of(&one)).await;
    assert_eq!(one.world.on("ZSCORE", "delayed", &[&run.run.run_id]), far.0.to_string());
    one.look_after(600_000).await;
    assert_eq!(one.fetch().await.run.attempt, 2);
}

fn hand_of(one: &OneRun) -> Hand {
    Hand::new(&one.world.store, 'b')
}

#[tokio::test]
async fn a_reopened_run_that_waited_waits_again() {
    let (mut one, run) = OneRun::dead(json!({"overlap": "buffer_one"})).await;
    one.fire().await;
    let other = one.fetch().await;
    one.retry(&run.run.run_id).await;
    one.world.on("DEL", "waits", &[]);
    let renewed = one.world.store.renew(0, &one.hand.incarnation, 600_000).await.unwrap();
    assert_eq!(renewed.held.len(), 1);
    rebuild(&one.world, &mut hand_of(&one)).await;
    one.end(ended(&other, EndedAs::Succeeded)).await;
    assert_eq!(one.fetch().await.run.run_id, run.run.run_id);
}

#[tokio::test]
async fn a_count_that_is_no_number_stops_no_work() {
    let world = World::with(&[("a", every("1s"))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(3_000);
    hand.claim(0, 0).await;
    world.on("HSET", "clock", &["held", "many"]);
    world.on("HSET", "queues", &["default:shell", "some"]);
    // One id has lost its run: the list has one more than there is work.
    world.redis.cli(&["LPUSH", &world.key("queue:default:shell"), "01a1f95e-4010-8b8b-bdf5-cd3b89a798e6"]);
    let runs = hand.fetch(4).await;
    assert_eq!(runs.len(), 3);
    for run in &runs {
        assert_eq!(hand.finish(run, EndedAs::Succeeded).await, FinishWord::Finished);
    }
    assert_eq!(world.ended("a").await.len(), 3);
    assert_eq!((world.on("EXISTS", "leases", &[]), world.on("HLEN", "live", &[])), ("0".to_owned(), "0".to_owned()));
}
