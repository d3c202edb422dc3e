//! A broker that is another Redis: a node sends, as a run.

use serde_json::json;

use crate::support::celery::{self, wait_executed};
use crate::support::cli::Upbeat;
use crate::support::node::node;
use crate::support::redis::{Options, RedisServer};
use crate::{end_of, ended, triggered};

#[test]
fn a_task_for_another_redis_is_sent_by_a_node_that_may_and_waits_for_one() {
    let Some(python) = celery::python() else { return };
    let (ours, theirs) = (RedisServer::fresh(), RedisServer::fresh());
    let user = Upbeat::at(ours.url());
    let broker = format!("{}?db=2", theirs.url());
    let settings = json!({"task": "app.record", "args": [7], "priority": 5, "broker": broker}).to_string();
    let _none = node("none", ours.url()).allow("http").start_live(&user);
    let added = user.json(&["add", "a", "--every", "1h", "--celery", &settings]);
    assert!(added["warnings"].to_string().contains("celery"), "{added}");
    let run = triggered(&user, &["a"]);
    let why = user.ok(&["why", "a"]);
    assert!(why.contains("celery"), "{why}");

    let mut node = node("b", ours.url()).allow("celery").start_live(&user);
    let run = ended(&user, &run);
    assert_eq!(end_of(&run), ("succeeded", "delivered", ""));
    assert_eq!(run["node"], "b");
    let _worker = celery::worker().env("UPBEAT_TEST_BROKER_DB", "2").start(&python, &theirs);
    let done = wait_executed(&theirs, 1);
    assert_eq!((&done[0]["id"], &done[0]["args"]), (&run["run_id"], &json!([7])));
    assert_eq!(done[0]["fire_at"], run["fire_at"]);
    node.sigterm();
    assert!(node.wait_end(crate::support::wait::DEADLINE).success());
}

#[test]
fn what_the_other_redis_says_is_what_the_run_says() {
    let ours = RedisServer::fresh();
    let theirs =
        RedisServer::start(Options { requirepass: Some("hunter22".to_owned()), tcp: true, ..Options::default() });
    let user = Upbeat::at(ours.url());
    let secret = |password: &str| format!("redis://:{password}@127.0.0.1:{}/0", theirs.tcp_port());
    let _node = node("a", ours.url())
        .allow("celery")
        .env("RIGHT", &secret("hunter22"))
        .env("WRONG", &secret("hunter23"))
        .start_live(&user);
    let run = |name: &str, settings: serde_json::Value| {
        user.ok(&["add", name, "--every", "1h", "--celery", &settings.to_string()]);
        ended(&user, &triggered(&user, &[name]))
    };
    let sent = run("right", json!({"task": "t", "broker": "secret:RIGHT", "max_len": 1}));
    assert_eq!(end_of(&sent), ("succeeded", "delivered", ""));
    let full = ended(&user, &triggered(&user, &["right"]));
    assert_eq!(end_of(&full), ("failed", "target_full", "celery holds 1"));
    let refused = run("wrong", json!({"task": "t", "broker": "secret:WRONG"}));
    assert_eq!(end_of(&refused).1, "connect");
    assert!(end_of(&refused).2.contains("login refused") && !refused.to_string().contains("hunter"), "{refused}");
    let missing = run("missing", json!({"task": "t", "broker": "secret:MISSING"}));
    assert_eq!(end_of(&missing).1, "refused");
    assert!(end_of(&missing).2.contains("MISSING"));
    theirs.client().unwrap().ask(&["SET", "wrong-type", "text"]).unwrap();
    let mistyped = run("mistyped", json!({"task": "t", "broker": "secret:RIGHT", "queue": "wrong-type"}));
    assert_eq!(end_of(&mistyped).1, "target");
    assert!(end_of(&mistyped).2.starts_with("wrong-type: WRONGTYPE"), "{mistyped}");
}
