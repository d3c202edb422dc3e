//! `track = true`: the run lasts until Celery's result is there, and ends as the task did.

use serde_json::{Value, json};

use crate::support::celery::{self, executed, wait_executed};
use crate::support::cli::Upbeat;
use crate::support::node::node;
use crate::support::redis::RedisServer;
use crate::support::wait::{DEADLINE, wait_for};
use crate::{end_of, ended, triggered};

#[test]
fn the_outcome_of_the_task_is_that_of_the_run() {
    let Some(python) = celery::python() else { return };
    let redis = RedisServer::fresh();
    let user = Upbeat::at(redis.url());
    let _node = node("a", redis.url()).allow("celery").start_live(&user);
    // A task that has expired by the time that a worker comes.
    user.ok(&["add", "expired", "--every", "1h", "--celery", "task=app.echo,expires=100ms,track=true"]);
    let expired = triggered(&user, &["expired"]);
    wait_for("it was sent", DEADLINE, || redis.ask(&["LLEN", "celery"]).int() == 1);
    redis.wait_past(redis.now_ms() + 100);
    let _worker = celery::worker().start(&python, &redis);
    let expired = ended(&user, &expired);
    assert_eq!(end_of(&expired), ("failed", "target", "celery.exceptions.TaskRevokedError: expired"));

    let run = |name: &str, settings: Value, more: &[&str]| {
        let settings = settings.to_string();
        user.ok(&[&["add", name, "--every", "1h", "--celery", &settings], more].concat());
        ended(&user, &triggered(&user, &[name]))
    };
    let done = run("echo", json!({"task": "app.echo", "args": [1, "ä"], "track": true}), &[]);
    assert_eq!(end_of(&done), ("succeeded", "", ""));
    let result = user.ok(&["logs", done["run_id"].as_str().unwrap()]);
    assert_eq!(serde_json::from_str::<Value>(&result).unwrap(), json!({"args": [1, "ä"], "kwargs": {}}));

    let failed = run("fail", json!({"task": "app.fail", "args": ["no such region"], "track": true}), &[]);
    assert_eq!(end_of(&failed), ("failed", "target", "ValueError: no such region"));
    let traceback = user.ok(&["logs", failed["run_id"].as_str().unwrap()]);
    assert!(traceback.contains("Traceback") && traceback.contains("celery_app.py"), "{traceback}");

    // The task fails by itself, and the same task is sent again: its old result is not taken for the new one.
    let again =
        run("again", json!({"task": "app.fail_once", "track": true}), &["--retry", "max_attempts=2,delay=100ms"]);
    assert_eq!((end_of(&again).0, &again["attempt"]), ("succeeded", &json!(2)));
    assert_eq!(user.ok(&["logs", again["run_id"].as_str().unwrap()]).trim(), "\"the second time\"");
    let calls = executed(&redis);
    assert_eq!(calls.iter().filter(|call| call["id"] == again["run_id"]).count(), 2);

    // So is one that somebody asks for after it has failed.
    let run_id = failed["run_id"].as_str().unwrap();
    user.ok(&["retry", run_id]);
    wait_for("it was executed again", DEADLINE, || {
        executed(&redis).iter().filter(|call| call["id"] == run_id).count() == 2
    });
    let failed = ended(&user, &failed);
    assert_eq!((end_of(&failed).2, &failed["attempt"]), ("ValueError: no such region", &json!(2)));
}

#[test]
fn while_the_task_runs_overlap_timeout_and_cancel_hold() {
    let Some(python) = celery::python() else { return };
    let redis = RedisServer::fresh();
    let user = Upbeat::at(redis.url());
    let _node = node("a", redis.url()).allow("celery").start_live(&user);
    let _worker = celery::worker().prefork(3).start(&python, &redis);
    // The task says that it leaves no result: one that is tracked does all the same.
    let waits = json!({"task": "app.until", "args": ["end"], "track": true}).to_string();
    user.ok(&["add", "a", "--every", "1h", "--celery", &waits]);
    let first = triggered(&user, &["a"]);
    wait_executed(&redis, 1);
    let second = triggered(&user, &["a"]);
    assert_eq!((&second["state"], &second["reason"]), (&json!("skipped"), &json!("overlap")));
    redis.cli(&["LPUSH", "end", "done"]);
    let first = ended(&user, &first);
    assert_eq!(end_of(&first), ("succeeded", "", ""));

    let third = triggered(&user, &["a"]);
    wait_executed(&redis, 2);
    let run_id = third["run_id"].as_str().unwrap();
    user.ok(&["cancel", run_id]);
    assert_eq!(end_of(&ended(&user, &third)).0, "cancelled");

    user.ok(&["set", "a", "--timeout", "500ms"]);
    let fourth = triggered(&user, &["a"]);
    let fourth = ended(&user, &fourth);
    assert_eq!((end_of(&fourth).0, end_of(&fourth).1), ("failed", "timeout"));
    let revoke =
        format!("the task itself goes on: celery -A APP control revoke {}", fourth["run_id"].as_str().unwrap());
    assert!(end_of(&fourth).2.ends_with(&revoke), "{fourth}");
}

#[test]
fn many_that_wait_share_the_connections_of_their_node_and_do_not_poll() {
    let redis = RedisServer::fresh();
    let user = Upbeat::at(redis.url());
    let _node = node("a", redis.url()).allow("celery").args(&["--concurrency", "64"]).start_live(&user);
    let clients = || redis.cli(&["CLIENT", "LIST"]).lines().count();
    user.ok(&["add", "a", "--every", "1h", "--celery", "task=t,track=true", "--overlap", "allow"]);
    triggered(&user, &["a"]);
    wait_for("it was sent", DEADLINE, || redis.ask(&["LLEN", "celery"]).int() == 1);
    let before = clients();
    for _ in 0..20 {
        triggered(&user, &["a"]);
    }
    wait_for("all were sent", DEADLINE, || redis.ask(&["LLEN", "celery"]).int() == 21);
    wait_for("no client of the command line is left", DEADLINE, || clients() <= before);
    // No result is asked for but by the look of all 15 s, by Redis' own count and clock.
    let looks = redis.calls_of("mget");
    assert!(looks * 15 <= redis.info("uptime_in_seconds").parse::<u64>().unwrap() + 1, "{looks}");
    assert_eq!(redis.calls_of("get"), 21, "each sending looks at its mark");
    // The worker of the test: each result is published as a backend does.
    for message in redis.messages("celery") {
        let key = format!("celery-task-meta-{}", message["headers"]["id"].as_str().unwrap());
        let result = json!({"status": "SUCCESS", "result": null}).to_string();
        redis.cli(&["SET", &key, &result]);
        redis.cli(&["PUBLISH", &key, &result]);
    }
    wait_for("all have ended", DEADLINE, || {
        let runs = user.json(&["runs", "a", "--state", "succeeded", "--limit", "0"]);
        runs.as_array().unwrap().len() == 21
    });
    wait_for("nobody waits any more", DEADLINE, || redis.cli(&["PUBSUB", "CHANNELS", "celery-task-meta-*"]).is_empty());
}
