//! Celery messages that the claim itself delivers: as kombu would write them, each once, whatever the list says.

use serde_json::{Value, json};
use upbeat::domain::run::{Reason, State};
use upbeat::domain::timestamp::Timestamp;

use crate::support::celery;
use crate::support::hand::{Hand, World};

/// What kombu writes for the same call, with the list that it pushes to.
fn kombu(world: &World, python: &std::path::Path, call: &str) -> (String, Value) {
    let script = format!(
        "import json, os, redis\nfrom celery_app import app\n\
         nan = None\ntrue, false, null = True, False, None\n\
         app.send_task(**{call})\n\
         client = redis.Redis(unix_socket_path=os.environ['UPBEAT_TEST_SOCKET'])\n\
         key = [key for key in client.keys('*') if client.type(key) == b'list'][0]\n\
         print(json.dumps([key.decode(), client.rpop(key).decode()]))"
    );
    let printed: Value = serde_json::from_str(&celery::run(python, &world.redis, &script)).unwrap();
    (printed[0].as_str().unwrap().to_owned(), serde_json::from_str(printed[1].as_str().unwrap()).unwrap())
}

/// Fires the entry once; its message, as it stands in this list.
async fn upbeat(world: &World, settings: &Value, list: &str) -> Value {
    world.add(&[("a.b", json!({"every": "10s", "celery": settings}))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    hand.settle(0).await;
    world.assert_conserved();
    let messages = world.redis.ask(&["LRANGE", list, "0", "-1"]).list().to_vec();
    assert_eq!(messages.len(), 1, "in {list:?}");
    serde_json::from_str(&messages[0].text()).unwrap()
}

/// Takes out what differs from sending to sending, after looking at it.
fn without_ids(message: &mut Value) -> String {
    let id = message["headers"]["id"].as_str().unwrap().to_owned();
    for place in ["/headers/id", "/headers/root_id", "/properties/correlation_id"] {
        assert_eq!(message.pointer(place).unwrap(), &json!(id), "{place}");
        *message.pointer_mut(place).unwrap() = json!("ID");
    }
    let headers = message["headers"].as_object_mut().unwrap();
    headers.remove("origin").unwrap();
    for instant in ["eta", "expires"] {
        if let Some(text) = headers[instant].as_str() {
            // 2026-11-20T11:18:17.372068+00:00
            assert!(text.len() == 32 && text.ends_with("+00:00"), "{text}");
            headers[instant] = json!("AN INSTANT");
        }
    }
    let properties = message["properties"].as_object_mut().unwrap();
    assert_ne!(properties.remove("delivery_tag").unwrap(), json!(id));
    // Where rpc:// results would go; nobody waits for them here.
    properties.remove("reply_to");
    id
}

#[tokio::test]
async fn the_message_is_what_kombu_itself_writes_but_for_ids_times_and_origin() {
    let Some(python) = celery::python() else { return };
    for (settings, call) in [
        (json!("app.tasks.report"), "dict(name='app.tasks.report')".to_owned()),
        (
            json!({"task": "t", "args": [1, "it's ä \u{1F600}", null, true, 1.5, 1e300, [{"a": [1, {"b": [2]}]}]], "kwargs": {"ключ": {"n": -1}},
                "queue": "other", "priority": 5, "expires": 60, "countdown": "2s", "headers": {"tenant": {"x": [1]}, "y": null},
                "time_limit": 90, "soft_time_limit": 60}),
            "dict(name='t', args=(1, \"it's ä \\U0001F600\", None, True, 1.5, 1e300, [{'a': [1, {'b': [2]}]}]), kwargs={'ключ': {'n': -1}}, \
             queue='other', priority=5, expires=60, countdown=2, headers={'tenant': {'x': [1]}, 'y': None}, time_limit=90, soft_time_limit=60)"
                .to_owned(),
        ),
        (
            json!({"task": "t", "args": ["x".repeat(3000), [1, 2], 12_345], "kwargs": {"long": "word ".repeat(300), "b": {}}, "priority": 9}),
            "dict(name='t', args=('x' * 3000, [1, 2], 12345), kwargs={'long': 'word ' * 300, 'b': {}}, priority=9)".to_owned(),
        ),
        (json!({"task": "t", "args": ["one"], "priority": 2}), "dict(name='t', args=('one',), priority=2)".to_owned()),
    ] {
        let world = World::new().await;
        let (list, mut theirs) = kombu(&world, &python, &call);
        let mut ours = upbeat(&world, &settings, &list).await;
        without_ids(&mut theirs);
        let id = without_ids(&mut ours);
        let run = world.ended("a.b").await.remove(0);
        assert_eq!((run.state, run.reason), (State::Succeeded, Some(Reason::Delivered)));
        assert_eq!(run.run_id, id, "the run id is the task's");
        let headers = ours["headers"].as_object_mut().unwrap();
        assert_eq!(headers.remove("upbeat_entry_id"), Some(json!("a.b")));
        assert_eq!(headers.remove("upbeat_namespace"), Some(json!("test")));
        assert_eq!(headers.remove("upbeat_fire_at"), Some(json!(run.fire_at.to_rfc3339())));
        assert_eq!(headers.remove("upbeat_trigger"), Some(json!("scheduled")));
        // Of the body kombu and upbeat write the very same bytes.
        assert_eq!(ours, theirs);
    }
}

#[tokio::test]
async fn expires_and_eta_count_from_the_sending_by_the_clock_of_the_shard() {
    let world = World::new().await;
    let settings = json!({"task": "t", "expires": "60s", "countdown": "1500ms"});
    let message = upbeat(&world, &settings, "celery").await;
    let run = world.ended("a.b").await.remove(0);
    let after =
        |ms: i64| format!("{}000+00:00", Timestamp(run.finished_at.ms() + ms).to_rfc3339().trim_end_matches('Z'));
    assert_eq!(message["headers"]["expires"], after(60_000));
    assert_eq!(message["headers"]["eta"], after(1_500));
    assert_eq!(message["properties"]["expiration"], "60000");
}

#[tokio::test]
async fn whole_numbers_of_any_size_arrive_as_they_were_written() {
    let world = World::new().await;
    let text = r#"{"task": "t", "args": [123456789012345678901234567890], "kwargs": {"n": -9007199254740993}}"#;
    let message = upbeat(&world, &serde_json::from_str(text).unwrap(), "celery").await;
    let body = message["body"].as_str().unwrap();
    let script = format!("echo {body} | base64 -d");
    let decoded = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    let decoded = String::from_utf8(decoded.stdout).unwrap();
    assert!(
        decoded.starts_with(r#"[[123456789012345678901234567890], {"n": -9007199254740993}, {"callbacks": null"#),
        "{decoded}"
    );
}

#[tokio::test]
async fn a_full_list_fails_the_run_and_takes_no_more() {
    let entry = json!({"every": "10s", "celery": {"task": "t", "max_len": 2, "priority": 3}});
    let world = World::with(&[("a", entry)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    for _ in 0..3 {
        world.pass(10_000);
        hand.settle(0).await;
    }
    let tally = world.tally("a").await;
    assert_eq!(tally[&(State::Succeeded, Some(Reason::Delivered))], 2);
    assert_eq!(tally[&(State::Failed, Some(Reason::TargetFull))], 1);
    assert_eq!(world.redis.ask(&["LLEN", "celery\u{6}\u{16}3"]).int(), 2);
}

#[tokio::test]
async fn a_list_of_another_type_fails_the_run_in_redis_words_and_stops_no_other() {
    let world = World::with(&[
        ("a", json!({"every": "10s", "celery": {"task": "t", "queue": "wrong"}})),
        ("b", json!({"every": "10s", "celery": {"task": "t", "queue": "right"}})),
    ])
    .await;
    world.redis.cli(&["SET", "wrong", "a string"]);
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    hand.settle(0).await;
    let run = world.ended("a").await.remove(0);
    assert_eq!((run.state, run.reason), (State::Failed, Some(Reason::Target)));
    assert!(run.message.unwrap().contains("WRONGTYPE"));
    assert_eq!(world.redis.ask(&["LLEN", "right"]).int(), 1);
    world.assert_conserved();
}

#[tokio::test]
async fn many_messages_arrive_in_one_claim_in_their_order_each_with_ids_of_its_own() {
    let names: Vec<String> = (0..120).map(|number| format!("e{number:03}")).collect();
    let entry = json!({"every": "10s", "celery": "t"});
    let entries: Vec<(&str, Value)> = names.iter().map(|name| (name.as_str(), entry.clone())).collect();
    let world = World::with(&entries).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    assert_eq!(hand.claim(0, 0).await.claimed, 120);
    let lines = world.redis.ask(&["LRANGE", "celery", "0", "-1"]).list().to_vec();
    let messages: Vec<Value> = lines.iter().rev().map(|line| serde_json::from_str(&line.text()).unwrap()).collect();
    let seen: Vec<&str> = messages.iter().map(|one| one["headers"]["upbeat_entry_id"].as_str().unwrap()).collect();
    assert_eq!(seen, names);
    for place in ["/headers/id", "/properties/delivery_tag"] {
        let mut ids: Vec<&Value> = messages.iter().map(|one| one.pointer(place).unwrap()).collect();
        ids.sort_by_key(|id| id.to_string());
        ids.dedup();
        assert_eq!(ids.len(), 120, "{place}");
    }
}

#[tokio::test]
async fn a_damaged_message_sets_its_entry_aside_and_no_other() {
    let entry = || json!({"every": "10s", "celery": "t"});
    let world = World::with(&[("a", entry()), ("b", entry()), ("c", entry())]).await;
    // As far as the name of the list, which is the same for all three.
    let script = "redis.call('HSET', KEYS[1], 'b', string.sub(redis.call('HGET', KEYS[1], 'b'), 1, 20))";
    world.redis.ask(&["EVAL", script, "1", &world.key("messages")]);
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    hand.claim(0, 0).await;
    assert_eq!(world.redis.ask(&["LLEN", "celery"]).int(), 2);
    assert_eq!(world.on("ZRANGE", "broken", &["0", "-1"]), "b");
    world.assert_conserved();
}
