//! A claim of a few entries whose runs its caller starts at once ends early: it writes and answers what the whole claim does.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use upbeat::domain::id::EntryId;
use upbeat::store::{Claim, ClaimReply, Ended, EndedAs};

use super::halves::each_key_in_turn;
use super::model::Dice;
use crate::support::entries::id;
use crate::support::hand::{Hand, World, ended, failed};

/// Beside the namespace: what stood there before a claim.
const ASIDE: &str = "aside:";

fn keys_of(world: &World) -> Vec<String> {
    world.redis.keys().into_iter().filter(|key| !key.starts_with(ASIDE)).collect()
}

fn put_aside(world: &World) {
    for key in keys_of(world) {
        world.redis.cli(&["COPY", &key, &format!("{ASIDE}{key}"), "REPLACE"]);
    }
}

fn put_back(world: &World) {
    for key in keys_of(world) {
        world.redis.cli(&["DEL", &key]);
    }
    for key in world.redis.keys() {
        if let Some(name) = key.strip_prefix(ASIDE) {
            world.redis.cli(&["RENAME", &key, name]);
        }
    }
}

fn forget_aside(world: &World) {
    for key in world.redis.keys().iter().filter(|key| key.starts_with(ASIDE)) {
        world.redis.cli(&["DEL", key]);
    }
}

/// All of the namespace, as people would compare it.
fn picture(world: &World) -> BTreeMap<String, Vec<String>> {
    let read = |key: String| {
        let command: &[&str] = match world.redis.cli(&["TYPE", &key]).as_str() {
            "hash" => &["HGETALL", &key],
            "zset" => &["ZRANGE", &key, "0", "-1", "WITHSCORES"],
            "set" => &["SMEMBERS", &key],
            "list" => &["LRANGE", &key, "0", "-1"],
            _ => &["XRANGE", &key, "-", "+"],
        };
        let reply = world.redis.ask(command);
        // In an order of its own: that of a hash changes by looking at it.
        let mut lines: Vec<String> = match command[0] {
            "HGETALL" => reply.list().chunks(2).map(|pair| format!("{pair:?}")).collect(),
            _ => reply.list().iter().map(|one| format!("{one:?}")).collect(),
        };
        lines.sort();
        (key, lines)
    };
    keys_of(world).into_iter().map(read).collect()
}

/// One claim, and whether it ended early: the whole one looks at the stream of events.
async fn claim(world: &World, hand: &Hand, slots: usize) -> (Claim, bool) {
    let before = world.redis.calls_of("xlen");
    let reply = hand.claim_number(0, slots, hand.claims).await.unwrap();
    let ClaimReply::Claimed(claim) = reply else { panic!("{reply:?}") };
    (*claim, world.redis.calls_of("xlen") - before < 2)
}

/// The same claim twice from the same beginning, the second time as a whole, because some queue has a limit. Returns what it started,
/// and whether the first one ended early.
async fn compare(world: &World, hand: &mut Hand, slots: usize, what: &str) -> (Claim, bool) {
    hand.claims += 1;
    put_aside(world);
    let (first, is_early) = claim(world, hand, slots).await;
    let after_first = picture(world);
    if !is_early {
        forget_aside(world);
        return (first, false);
    }
    put_back(world);
    world.on("HSET", "queue_rules", &["nobody", r#"{"v":1}"#]);
    let (whole, is_short) = claim(world, hand, slots).await;
    assert!(!is_short, "{what}: the second one is to be whole");
    world.on("DEL", "queue_rules", &[]);
    world.on("HDEL", "clock", &["marks_seen", "marks_from"]);
    let after_whole = picture(world);
    for key in after_first.keys().chain(after_whole.keys()) {
        assert_eq!(after_first.get(key), after_whole.get(key), "{what}: {key}");
    }
    // Early is allowed: nothing is overlooked then.
    assert!(first.look.is_none_or(|look| look > first.now && whole.look.is_none_or(|later| look <= later)), "{what}");
    let alike = Claim { look: whole.look, briefs: Vec::new(), ..first.clone() };
    assert_eq!(format!("{alike:?}"), format!("{whole:?}"), "{what}");
    let ids: Vec<EntryId> = first.started.iter().map(|one| id(&one.run.entry_id)).collect();
    assert_eq!(first.briefs, world.store.briefs(0, &ids).await.unwrap(), "{what}: what is known of each");
    (first, true)
}

fn entries(dice: &mut Dice) -> Vec<(String, Value)> {
    let schedules = [
        json!({"every": "1s"}),
        json!({"every": "2500ms"}),
        json!({"every": "7s"}),
        json!({"cron": "*/3 * * * * *"}),
        json!({"cron": ["* * * * 1-4", "* * * * 5-7"]}),
        json!({"every": "1s", "end": "2100-01-01T00:00:00Z"}),
    ];
    let mut all = Vec::new();
    for number in 0..5 {
        let mut entry = schedules[dice.below(6) as usize].clone();
        entry["shell"] = json!("true");
        let rules = ["skip", "allow", "skip", "allow", "buffer_one", "cancel_other"];
        entry["overlap"] = json!(rules[dice.below(if number == 0 { 6 } else { 4 }) as usize]);
        match dice.below(if number == 1 { 12 } else { 90 }) {
            0 => entry["queue"] = json!("other"),
            1 => entry["keep_runs"] = json!(7),
            2 => entry["start_within"] = json!("20s"),
            3 | 6 => entry = json!({"every": "3s", "list": "out"}),
            4 => entry["max_fires"] = json!(20),
            5 => entry["catch_up"] = json!("all"),
            7 => entry["spread"] = json!("900ms"),
            _ => {}
        }
        all.push((format!("e{number}"), entry));
    }
    all
}

#[tokio::test]
async fn a_claim_that_ends_early_writes_and_answers_what_the_whole_one_does() {
    let (mut early, mut started) = (0, 0);
    for seed in 1..=8 {
        let mut dice = Dice(seed);
        let world = World::new().await;
        let all = entries(&mut dice);
        let named: Vec<(&str, Value)> = all.iter().map(|(id, entry)| (id.as_str(), entry.clone())).collect();
        world.add(&named).await;
        let mut hand = Hand::new(&world.store, 'a');
        let mut held = Vec::new();
        for step in 0..40 {
            world.pass([0, 300, 500, 1_000, 1_000, 2_000][dice.below(6) as usize]);
            let what = format!("seed {seed}, step {step}");
            let (claim, is_early) = compare(&world, &mut hand, 1 + dice.below(20) as usize, &what).await;
            early += u64::from(is_early);
            started += if is_early { claim.started.len() } else { 0 };
            held.extend(claim.started);
            for name in &claim.to_plan {
                world.store.plan(&id(name), claim.now).await.unwrap();
            }
            let keeps = dice.below(8).saturating_sub(5) as usize;
            let ends: Vec<Ended> =
                held.split_off(keeps.min(held.len())).iter().map(|run| ended(run, EndedAs::Succeeded)).collect();
            held.extend(hand.work(0, dice.below(12) as usize, &ends).await.fetched);
            if dice.below(30) == 0 && !held.is_empty() {
                let run = held.remove(0);
                hand.work(0, 0, &[failed(&run, 1_500, None)]).await;
            }
        }
        world.assert_conserved();
    }
    assert!(early > 40 && started > 20, "{early} ended early, {started} runs were started by them");
}

#[tokio::test]
async fn a_claim_of_times_listed_in_hours_ends_early_and_does_what_the_whole_one_does() {
    let world = World::new().await;
    let hourly = json!({"cron": "0 0-23 * * *", "tz": "America/New_York", "shell": "true"});
    world.add(&[("a", hourly.clone()), ("b", hourly)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    let (mut early, mut plans) = (0, 0);
    for step in 0..12 {
        let due = world.store.entry(&id("a")).await.unwrap().unwrap().cursor();
        world.pass(due.0 - world.store.now(0).await.unwrap().0 - 1_000);
        hand.settle(0).await;
        world.pass(1_000);
        let (claim, is_early) = compare(&world, &mut hand, 8, &format!("hour {step}")).await;
        assert_eq!(claim.started.len(), 2, "hour {step}");
        early += u64::from(is_early);
        let ends: Vec<Ended> = claim.started.iter().map(|run| ended(run, EndedAs::Succeeded)).collect();
        hand.work(0, 0, &ends).await;
        plans += claim.to_plan.len();
        for name in &claim.to_plan {
            world.store.plan(&id(name), claim.now).await.unwrap();
        }
    }
    assert!(early > 8 && plans == 2, "{early} ended early, {plans} plans ran dry");
    world.assert_conserved();
}

#[tokio::test]
async fn a_claim_that_ends_early_writes_all_or_nothing() {
    let prepare = async |world: &World| {
        world.redis.cli(&["FLUSHALL"]);
        world.pass(0);
        world
            .add(&[
                ("a", json!({"every": "1s", "shell": "true"})),
                ("b", json!({"every": "1s", "shell": "true", "overlap": "allow"})),
            ])
            .await;
        let mut hand = Hand::new(&world.store, 'a');
        world.pass(1_000);
        let first = hand.claim(0, 8).await;
        let ends: Vec<Ended> = first.started.iter().map(|run| ended(run, EndedAs::Succeeded)).collect();
        hand.work(0, 0, &ends).await;
        world.pass(1_000);
        hand
    };
    let call = async |_: &World, _: &str, hand: &Hand| {
        hand.claim_number(0, 8, 9).await.is_ok_and(|reply| matches!(reply, ClaimReply::Claimed(_)))
    };
    Box::pin(each_key_in_turn(prepare, call, &["an early claim"])).await;
}
