//! add: the short way for entries that are new leaves what `put` leaves, or nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use upbeat::domain::timestamp::Timestamp;
use upbeat::store::{AddAnswer, Change, ChangeCall, ChangeWord, PutAnswer};

use crate::support::entries::{addition, id};
use crate::support::hand::World;

/// What stands in every key, but for the clock's own fields and the ids of streams.
fn contents(world: &World) -> BTreeMap<String, String> {
    let read = |key: &String| {
        let text = match world.redis.cli(&["TYPE", key]).trim() {
            "hash" => {
                let names = world.redis.cli(&["HKEYS", key]);
                let mut names: Vec<&str> =
                    names.lines().filter(|name| !["t", "last", "hold", "fence"].contains(name)).collect();
                names.sort_unstable();
                let value = |name: &&str| format!("{name} {}", world.redis.cli(&["HGET", key, name]));
                names.iter().map(value).collect()
            }
            "zset" => world.redis.cli(&["ZRANGE", key, "0", "-1", "WITHSCORES"]),
            "stream" => {
                let all = world.redis.cli(&["XRANGE", key, "-", "+"]);
                all.lines()
                    .filter(|line| !line.chars().all(|c| c.is_ascii_digit() || c == '-'))
                    .collect::<Vec<_>>()
                    .join("\n")
            }
            other => panic!("{key} is a {other}"),
        };
        (key.clone(), text)
    };
    world.redis.keys().iter().filter(|key| !key.ends_with(":settings")).map(read).collect()
}

/// The instants of a script are those of its run: each is said as its distance from the first.
fn without_instants(contents: BTreeMap<String, String>, now: Timestamp) -> BTreeMap<String, String> {
    let text = |text: String| {
        let mut words = String::new();
        let mut digits = String::new();
        for c in text.chars().chain(['\0']) {
            if c.is_ascii_digit() {
                digits.push(c);
                continue;
            }
            // Within the seconds of this test.
            match digits.parse::<i64>() {
                Ok(number) if digits.len() == 13 && (number - now.0).abs() < 60_000 => words.push_str("<now>"),
                _ => words.push_str(&digits),
            }
            digits.clear();
            words.push(c);
        }
        words
    };
    contents.into_iter().map(|(key, value)| (key, text(value))).collect()
}

fn call(changes: &[Change]) -> ChangeCall<'_> {
    ChangeCall { request: "r", content: "c", changes, is_dry_run: false }
}

/// Next fire times lie hours ahead, so that both ways choose the same ones.
fn drawn() -> impl Strategy<Value = Value> {
    let schedule = prop_oneof![
        (1..200_u32).prop_map(|days| json!({"every": format!("{days}d")})),
        (0..60_u32, 0..24_u32).prop_map(|(minute, hour)| json!({"cron": format!("{minute} {hour} 29 2 *")})),
        (0..60_u32).prop_map(
            |minute| json!({"cron": format!("{minute} 3 * * mon"), "tz": "Europe/Berlin", "start": "2031-01-01"})
        ),
        Just(json!({"at": "2020-01-01T00:00:00Z"})),
        Just(json!({"every": "1d", "start": "2019-01-01T00:00:00Z", "end": "2020-01-01T00:00:00Z"})),
        Just(json!({"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "start": "2028-02-29T08:00:00Z"})),
    ];
    let action = prop_oneof![
        Just(json!({"shell": "true"})),
        Just(json!({"exec": ["a", "b c"], "queue": "other", "overlap": "buffer_all"})),
        Just(json!({"http": "https://example.org/", "max_running": 3, "overlap": "allow"})),
        Just(json!({"list": "out", "payload": {"a": [1, "ü"]}})),
        Just(json!({"stream": {"key": "s", "trim": true}})),
    ];
    let more = prop_oneof![
        4 => Just(json!({})),
        1 => Just(json!({"spread": "20h"})),
        1 => Just(json!({"max_fires": 7})),
        1 => Just(json!({"note": "\"quoted\" \n,\"at\":17,\"created\":18"})),
    ];
    (schedule, action, more).prop_map(|(mut schedule, action, more)| {
        let others = action.as_object().cloned().into_iter().chain(more.as_object().cloned());
        for (field, value) in others.flatten() {
            // One fire time leaves no room for a spread.
            if field != "spread" || schedule.get("at").is_none() {
                schedule[field] = value;
            }
        }
        schedule
    })
}

async fn changes(world: &World, entries: &[Value]) -> (Vec<Change>, Timestamp) {
    let now = world.store.now(0).await.unwrap();
    let birth = world.store.reserve_births(0, entries.len()).await.unwrap();
    let change = |(at, fields): (usize, &Value)| {
        addition(&world.store, &format!("e{at}"), fields.clone(), birth + at as u64, Timestamp(now.0 / 1000 * 1000))
    };
    (entries.iter().enumerate().map(change).collect(), now)
}

#[test]
fn what_is_added_the_short_way_is_what_put_would_have_written() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::new());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let drawn = prop::collection::vec(drawn(), 1..12);
    let flush = || {
        world.redis.cli(&["FLUSHALL"]);
        world.pass(0);
    };
    runner
        .run(&drawn, |entries| {
            runtime.block_on(async {
                let (changes, now) = changes(&world, &entries).await;
                let AddAnswer::Done(added) = world.store.add(0, &call(&changes), now).await.unwrap() else { panic!() };
                let kept = world.store.put_before(0, "r", "c").await.unwrap();
                assert_eq!(kept, Some(PutAnswer::Done(added.clone())), "as a repeated request is answered");
                let again = world.store.put(0, &call(&changes)).await.unwrap();
                assert_eq!(again, PutAnswer::Done(added.clone()), "whoever asks again");
                let mut short = without_instants(contents(&world), now);
                flush();
                world.store.reserve_births(0, entries.len()).await.unwrap();
                let PutAnswer::Done(put) = world.store.put(0, &call(&changes)).await.unwrap() else { panic!() };
                let mut long = without_instants(contents(&world), now);
                flush();
                assert_eq!(added, put);
                // The same answer, kept in another way.
                let requests = world.key("requests");
                assert!(short.remove(&requests).is_some() && long.remove(&requests).is_some());
                assert_eq!(short, long);
            });
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn where_one_of_them_stands_already_nothing_is_added() {
    let world = World::with(&[("e1", json!({"every": "1d", "shell": "true"}))]).await;
    let before = contents(&world);
    let (changes, now) =
        changes(&world, &[json!({"every": "2d", "shell": "a"}), json!({"every": "2d", "shell": "b"})]).await;
    assert_eq!(world.store.add(0, &call(&changes), now).await.unwrap(), AddAnswer::Put);
    let mut after = contents(&world);
    let clock = world.key("clock");
    assert_ne!(after.remove(&clock), before.get(&clock).cloned(), "the births are taken");
    assert!(after.iter().all(|(key, text)| before.get(key) == Some(text)));
}

#[tokio::test]
async fn a_first_fire_time_that_has_come_meanwhile_is_left_to_put() {
    let world = World::new().await;
    let (changes, now) =
        changes(&world, &[json!({"every": "1m", "shell": "a"}), json!({"every": "9d", "shell": "b"})]).await;
    world.pass(61_000);
    assert_eq!(world.store.add(0, &call(&changes), now).await.unwrap(), AddAnswer::Put);
    assert_eq!(world.on("HLEN", "entries", &[]).trim(), "0");
}

#[tokio::test]
async fn what_was_made_ready_before_the_clock_was_set_back_is_left_to_put() {
    let world = World::new().await;
    let now = world.store.now(0).await.unwrap();
    let (changes, _) = changes(&world, &[json!({"every": "1m", "shell": "a"})]).await;
    let later = Timestamp(now.0 + 10_000);
    assert_eq!(world.store.add(0, &call(&changes), later).await.unwrap(), AddAnswer::Put);
    assert_eq!(world.on("HLEN", "entries", &[]).trim(), "0");
}

#[tokio::test]
async fn the_same_request_is_answered_the_same_and_with_other_content_refused() {
    let world = World::new().await;
    // Next fire times that differ, and none.
    let schedules = [json!({"every": "9d"}), json!({"at": "2020-01-01T00:00:00Z"}), json!({"cron": "7 3 29 2 *"})];
    let entries = schedules.map(|mut entry| {
        entry["shell"] = json!("a");
        entry
    });
    let (changes, now) = changes(&world, &entries).await;
    let AddAnswer::Done(first) = world.store.add(0, &call(&changes), now).await.unwrap() else { panic!() };
    assert_eq!((first.len(), first[0].word), (3, ChangeWord::Added));
    assert_eq!(world.store.add(0, &call(&changes), now).await.unwrap(), AddAnswer::Done(first));
    let other = ChangeCall { content: "other", ..call(&changes) };
    assert_eq!(world.store.add(0, &other, now).await.unwrap(), AddAnswer::OtherRequest);
    assert_eq!(world.store.entry(&id("e0")).await.unwrap().unwrap().definition.unwrap().revision, 1);
}

#[tokio::test]
async fn what_needs_more_than_writing_down_is_left_to_put() {
    let world = World::new().await;
    let (new, now) = changes(&world, &[json!({"every": "9d", "shell": "a"})]).await;
    let paused = vec![Change { is_paused: true, ..new[0].clone() }];
    let owing = vec![Change { from: Some(Timestamp(now.0 - 1000)), ..new[0].clone() }];
    let changed = vec![Change { birth: 1, revision: 1, ..new[0].clone() }];
    for changes in [paused, owing, changed, Vec::new()] {
        assert_eq!(world.store.add(0, &call(&changes), now).await.unwrap(), AddAnswer::Put);
    }
}
