//! What the claim itself delivers, executed by a stock worker.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::celery::{self, executed, wait_executed};
use crate::support::cli::Upbeat;
use crate::support::node::node;
use crate::support::redis::RedisServer;
use crate::support::wait::{DEADLINE, wait_for};
use crate::triggered;

#[test]
fn a_stock_worker_executes_every_fire_once_args_and_kwargs_intact_while_a_node_is_killed() {
    let Some(python) = celery::python() else { return };
    let redis = RedisServer::durable();
    let user = Upbeat::at(redis.url());
    let mut nodes: Vec<_> = ["a", "b", "c"].map(|name| node(name, redis.url()).allow("http").start_live(&user)).into();
    let worker = celery::worker().start(&python, &redis);
    let calls = [
        json!({"task": "app.record", "args": ["it's ä \u{1F600}", null, true, -1.5, []], "kwargs": {"ключ": {"n": [1]}}}),
        json!({"task": "app.record", "args": [1], "priority": 9, "headers": {"tenant": 7}}),
        json!({"task": "app.echo", "kwargs": {"a": "x".repeat(500)}, "expires": "10m"}),
    ];
    let file: BTreeMap<String, Value> = calls
        .iter()
        .enumerate()
        .map(|(at, call)| (format!("e{at}"), json!({"every": "400ms", "celery": call})))
        .collect();
    // Beyond what 64 and 53 bits hold.
    let big = r#""big": {"every": "400ms", "celery": {"task": "app.record", "args": [123456789012345678901234567890, 9007199254740993]}}"#;
    let text = json!({ "entries": file }).to_string();
    user.file("jobs.json", &format!("{},{big}}}}}", text.strip_suffix("}}").unwrap()));
    user.ok(&["apply", "-f", "jobs.json"]);

    wait_executed(&redis, 12);
    nodes[0].kill9();
    let seen = executed(&redis).len();
    wait_executed(&redis, seen + 16);
    user.ok(&["pause", "--all", "-y"]);
    let runs = user.json(&["runs", "--limit", "0"]);
    let fired: Vec<&Value> = runs.as_array().unwrap().iter().filter(|run| run["reason"] == "delivered").collect();
    let done = wait_executed(&redis, fired.len());

    let ids = |runs: &[&Value], field: &str| -> BTreeSet<String> {
        runs.iter().map(|run| run[field].as_str().unwrap().to_owned()).collect()
    };
    let lines: Vec<&Value> = done.iter().collect();
    assert_eq!(ids(&lines, "id"), ids(&fired, "run_id"), "{}", worker.log());
    assert_eq!(done.len(), fired.len(), "each once");
    user.ok(&["audit"]);
    let of = |id: &Value| *fired.iter().find(|run| run["run_id"] == *id).unwrap();
    for line in &done {
        let run = of(&line["id"]);
        assert_eq!(line["fire_at"], run["fire_at"], "a task can read its nominal time");
        let entry = run["entry_id"].as_str().unwrap();
        if entry == "big" {
            assert_eq!(line["args"].to_string(), "[123456789012345678901234567890,9007199254740993]");
            continue;
        }
        let call = &calls[entry[1..].parse::<usize>().unwrap()];
        assert_eq!(&line["args"], call.get("args").unwrap_or(&json!([])), "{entry}");
        assert_eq!(&line["kwargs"], call.get("kwargs").unwrap_or(&json!({})), "{entry}");
        if let Some(tenant) = call.pointer("/headers/tenant") {
            assert_eq!(&line["headers"]["tenant"], tenant);
        }
    }
    // The worker has nothing more: no message came twice.
    for key in ["celery", "celery\u{6}\u{16}9", "unacked"] {
        wait_for("the worker has done all", DEADLINE, || {
            let command = if key == "unacked" { "HLEN" } else { "LLEN" };
            redis.ask(&[command, key]).int() == 0
        });
    }
    assert_eq!(executed(&redis).len(), fired.len());
}

#[test]
fn expired_tasks_are_dropped_eta_is_kept_and_priorities_come_in_their_order() {
    let Some(python) = celery::python() else { return };
    let redis = RedisServer::fresh();
    let user = Upbeat::at(redis.url());
    let settings = [
        ("nine", json!({"task": "app.record", "priority": 9})),
        ("zero", json!({"task": "app.record"})),
        ("seven", json!({"task": "app.record", "priority": 7})),
        ("three", json!({"task": "app.record", "priority": 3})),
        ("expired", json!({"task": "app.record", "expires": "100ms"})),
        ("expires", json!({"task": "app.record", "expires": "1h"})),
        ("later", json!({"task": "app.record", "countdown": "3s"})),
    ];
    let mut ids: BTreeMap<String, &str> = BTreeMap::new();
    for (name, settings) in &settings {
        user.ok(&["add", name, "--every", "1h", "--celery", &settings.to_string()]);
        let run = triggered(&user, &[name]);
        assert_eq!((&run["state"], &run["reason"]), (&json!("succeeded"), &json!("delivered")), "no node is needed");
        ids.insert(run["run_id"].as_str().unwrap().to_owned(), name);
    }
    redis.wait_past(redis.now_ms() + 100);
    let worker = celery::worker().start(&python, &redis);
    let done = wait_executed(&redis, 6);
    let order: Vec<&str> = done.iter().map(|line| ids[line["id"].as_str().unwrap()]).collect();
    let place = |name: &str| order.iter().position(|one| *one == name).unwrap();
    assert!(
        place("zero") < place("three") && place("three") < place("seven") && place("seven") < place("nine"),
        "{order:?}"
    );
    assert!(!order.contains(&"expired"), "{order:?}");
    wait_for("the worker says so", DEADLINE, || worker.log().contains("Discarding revoked task"));
    let later = &done[place("later")];
    let eta = chrono::DateTime::parse_from_rfc3339(later["eta"].as_str().unwrap()).unwrap();
    assert!(later["at_ms"].as_i64().unwrap() >= eta.timestamp_millis(), "{later}");
}

#[test]
fn requests_of_people_reach_the_worker_with_what_they_asked_for() {
    let Some(python) = celery::python() else { return };
    let redis = RedisServer::fresh();
    let user = Upbeat::at(redis.url());
    let _node = node("a", redis.url()).allow("http").start_live(&user);
    user.ok(&["add", "a", "--every", "1h", "--celery", "task=app.record,args=[1],kwargs.n=1"]);
    triggered(&user, &["a", "--payload", "[2, \"x\"]"]);
    triggered(&user, &["a", "--payload", "{\"m\": null}"]);
    let refused = user.error(2, &["trigger", "a", "--payload", "text"]);
    assert!(refused["hint"].as_str().unwrap().contains("kwargs"), "{refused}");
    user.ok(&["once", "--celery", "task=app.record,args=[\"once\"]"]);
    user.ok(&["once", "--in", "300ms", "--celery", "task=app.record,args=[\"soon\"]"]);
    let _worker = celery::worker().start(&python, &redis);
    let done = wait_executed(&redis, 4);
    let given: BTreeSet<String> = done.iter().map(|line| format!("{} {}", line["args"], line["kwargs"])).collect();
    let expected = [r#"[2,"x"] {"n":1}"#, r#"[1] {"m":null}"#, r#"["once"] {}"#, r#"["soon"] {}"#];
    assert_eq!(given, expected.map(str::to_owned).into());

    // A list that was full takes what was refused before, by the same run.
    user.ok(&["add", "full", "--every", "1h", "--celery", "task=app.record,queue=other,max_len=1"]);
    redis.cli(&["LPUSH", "other", "taken"]);
    let run = triggered(&user, &["full"]);
    assert_eq!(run["reason"], "target_full");
    redis.cli(&["DEL", "other"]);
    user.ok(&["dead", "retry", run["run_id"].as_str().unwrap()]);
    let message = redis.messages("other").remove(0);
    assert_eq!(message["headers"]["id"], run["run_id"]);
}
