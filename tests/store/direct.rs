//! Direct actions: the claim itself writes the message; a target that refuses it harms nobody else.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use upbeat::domain::run::{Reason, State};

use crate::support::hand::{Hand, World};
use crate::support::wait::{DEADLINE, wait_for};

async fn fire_once(entry: Value) -> World {
    let world = World::with(&[("a", entry)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    hand.settle(0).await;
    world.assert_conserved();
    world
}

#[tokio::test]
async fn a_list_gets_one_json_message_that_names_its_run() {
    let world = fire_once(json!({"every": "10s", "list": "out", "payload": {"n": [1, "zwei"]}})).await;
    let run = world.ended("a").await.remove(0);
    assert_eq!((run.state, run.reason, run.attempt), (State::Succeeded, Some(Reason::Delivered), 1));
    assert_eq!(run.started_at, Some(run.finished_at));
    let lines = world.redis.cli(&["LRANGE", "out", "0", "-1"]);
    let message: Value = serde_json::from_str(&lines).unwrap();
    let expected = json!({"run_id": run.run_id, "entry_id": "a", "namespace": "test", "fire_at": run.fire_at.to_rfc3339(),
        "trigger": "scheduled", "payload": {"n": [1, "zwei"]}});
    assert_eq!(message, expected);
}

#[tokio::test]
async fn a_stream_gets_the_same_as_fields() {
    let world = fire_once(json!({"every": "10s", "stream": "out", "payload": "text"})).await;
    let run = world.ended("a").await.remove(0);
    let fields = world.redis.ask(&["XRANGE", "out", "-", "+"]).list()[0].list()[1].clone();
    let fields: Vec<String> = fields.list().iter().map(|field| field.text()).collect();
    let pairs: BTreeMap<&str, &str> = fields.chunks(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
    let fire_at = run.fire_at.to_rfc3339();
    let expected = [
        ("run_id", run.run_id.as_str()),
        ("entry_id", "a"),
        ("namespace", "test"),
        ("fire_at", &fire_at),
        ("trigger", "scheduled"),
        ("payload", "text"),
    ];
    assert_eq!(pairs, BTreeMap::from(expected));
}

#[tokio::test]
async fn raw_sends_the_payload_alone() {
    let world = fire_once(json!({"every": "10s", "list": {"key": "out", "raw": true}, "payload": {"a": 1}})).await;
    assert_eq!(world.redis.cli(&["LRANGE", "out", "0", "-1"]), r#"{"a":1}"#);
    let world = fire_once(json!({"every": "10s", "stream": {"key": "out", "raw": true}, "payload": "text"})).await;
    let fields = world.redis.ask(&["XRANGE", "out", "-", "+"]).list()[0].list()[1].clone();
    assert_eq!(fields.to_string(), "payload\ntext");
}

#[tokio::test]
async fn a_subscriber_gets_what_is_published_and_nobody_is_no_failure() {
    let world = World::with(&[("a", json!({"every": "10s", "publish": "news", "payload": 7}))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    hand.settle(0).await;
    let ended = world.ended("a").await;
    assert!(ended.len() == 1 && ended[0].reason == Some(Reason::Delivered), "{ended:?}");
    let mut listener = world.redis.client().unwrap();
    listener.ask(&["SUBSCRIBE", "news"]).unwrap();
    wait_for("the subscription", DEADLINE, || world.redis.cli(&["PUBSUB", "NUMSUB", "news"]) == "news\n1");
    world.pass(10_000);
    hand.settle(0).await;
    let message: Value = serde_json::from_str(&listener.receive().unwrap().list()[2].text()).unwrap();
    assert_eq!(message["payload"], 7);
}

#[tokio::test]
async fn a_full_target_fails_the_run_and_takes_no_more() {
    for form in ["list", "stream"] {
        let world = World::with(&[("a", json!({"every": "10s", form: {"key": "out", "max_len": 2}}))]).await;
        let mut hand = Hand::new(&world.store, 'a');
        for _ in 0..3 {
            world.pass(10_000);
            hand.settle(0).await;
        }
        let tally = world.tally("a").await;
        assert_eq!(tally[&(State::Succeeded, Some(Reason::Delivered))], 2, "{form}");
        assert_eq!(tally[&(State::Failed, Some(Reason::TargetFull))], 1, "{form}");
        let length = if form == "list" { "LLEN" } else { "XLEN" };
        assert_eq!(world.redis.ask(&[length, "out"]).int(), 2);
    }
}

#[tokio::test]
async fn a_stream_with_trim_drops_its_oldest_instead() {
    let entry = json!({"every": "10s", "stream": {"key": "out", "max_len": 1, "trim": true}});
    let world = World::with(&[("a", entry)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    for _ in 0..3 {
        world.pass(10_000);
        hand.settle(0).await;
    }
    assert_eq!(world.tally("a").await[&(State::Succeeded, Some(Reason::Delivered))], 3);
}

#[tokio::test]
async fn a_target_of_another_type_fails_the_run_in_redis_words() {
    for form in ["list", "stream"] {
        let world = World::with(&[("a", json!({"every": "10s", form: "out"}))]).await;
        world.redis.cli(&["SET", "out", "a string"]);
        let mut hand = Hand::new(&world.store, 'a');
        world.pass(10_000);
        hand.settle(0).await;
        let run = world.ended("a").await.remove(0);
        assert_eq!((run.state, run.reason), (State::Failed, Some(Reason::Target)), "{form}");
        assert!(run.message.unwrap().contains("WRONGTYPE"), "{form}");
        world.assert_conserved();
    }
}

#[tokio::test]
async fn many_messages_to_one_target_arrive_in_one_claim_each_once() {
    let names: Vec<String> = (0..120).map(|number| format!("e{number:03}")).collect();
    let entries: Vec<(&str, Value)> =
        names.iter().map(|name| (name.as_str(), json!({"every": "10s", "list": "out"}))).collect();
    let world = World::with(&entries).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    assert_eq!(hand.claim(0, 0).await.claimed, 120);
    let lines = world.redis.cli(&["LRANGE", "out", "0", "-1"]);
    let mut seen: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["entry_id"].as_str().unwrap().to_owned())
        .collect();
    seen.sort();
    assert_eq!(seen, names);
}
