//! A node dies between sending and recording: another one takes the run over, and the task is sent once.

use serde_json::json;

use crate::support::cli::Upbeat;
use crate::support::node::node;
use crate::support::proxy::{Fate, Proxy};
use crate::support::redis::RedisServer;
use crate::support::wait::{DEADLINE, wait_for};
use crate::{end_of, ended, triggered};

/// The node that sends first never hears that it did, and is killed.
fn sent_once(settings: serde_json::Value, finish: impl Fn(&RedisServer, &str)) -> serde_json::Value {
    let (ours, theirs) = (RedisServer::durable(), RedisServer::fresh());
    let proxy = Proxy::before(&theirs);
    let user = Upbeat::at(ours.url());
    let lease = ["--lease", "1s"];
    let direct = format!("unix://{}", theirs.socket().display());
    let cut = format!("unix://{}", proxy.socket().display());
    let mut first = node("first", ours.url()).allow("celery").args(&lease).env("BROKER", &cut).start_live(&user);
    let mut settings = settings;
    settings["broker"] = json!("secret:BROKER");
    user.ok(&["add", "a", "--every", "1h", "--celery", &settings.to_string()]);
    proxy.meet("send_celery", 1, Fate::SwallowReply);
    let run = triggered(&user, &["a"]);
    wait_for("the message was written", DEADLINE, || theirs.ask(&["LLEN", "celery"]).int() > 0);
    first.kill9();
    let _second = node("second", ours.url()).allow("celery").args(&lease).env("BROKER", &direct).start_live(&user);
    wait_for("it was taken over", DEADLINE, || {
        user.json(&["runs", "show", run["run_id"].as_str().unwrap()])["attempt"] == 2
    });
    finish(&theirs, run["run_id"].as_str().unwrap());
    let run = ended(&user, &run);
    assert_eq!(theirs.ask(&["LLEN", "celery"]).int(), 1, "one message");
    assert_eq!((&run["node"], &run["lost"]), (&json!("second"), &json!(1)));
    run
}

#[test]
fn a_task_is_sent_once_when_its_node_dies_before_it_could_record_that() {
    let run = sent_once(json!({"task": "t"}), |_, _| {});
    assert_eq!(end_of(&run), ("succeeded", "delivered", "attempt 1 was lost with first"));
}

#[test]
fn a_tracked_task_is_sent_once_and_its_result_reaches_the_node_that_took_over() {
    let result = json!({"status": "SUCCESS", "result": 7}).to_string();
    // Nobody publishes it: it had ended before the second node asked.
    let run = sent_once(json!({"task": "t", "track": true}), |theirs, run_id| {
        theirs.cli(&["SET", &format!("celery-task-meta-{run_id}"), &result]);
    });
    assert_eq!(end_of(&run), ("succeeded", "", "attempt 1 was lost with first"));
}

#[test]
fn a_sending_whose_reply_is_cut_is_asked_for_again_and_writes_nothing_more() {
    let (ours, theirs) = (RedisServer::fresh(), RedisServer::fresh());
    let proxy = Proxy::before(&theirs);
    let user = Upbeat::at(ours.url());
    let _node = node("a", ours.url()).allow("celery").start_live(&user);
    user.ok(&["add", "a", "--every", "1h", "--celery", &json!({"task": "t", "broker": proxy.url()}).to_string()]);
    proxy.meet("send_celery", 1, Fate::CutReply);
    let run = ended(&user, &triggered(&user, &["a"]));
    assert_eq!((end_of(&run), &run["attempt"]), (("succeeded", "delivered", ""), &json!(1)));
    assert_eq!(theirs.ask(&["LLEN", "celery"]).int(), 1);
    assert!(proxy.seen("send_celery") >= 2, "it was asked for again");
}

#[test]
fn claims_that_are_cut_before_and_behind_their_script_send_each_message_once() {
    let redis = RedisServer::fresh();
    let proxy = Proxy::before(&redis);
    let user = Upbeat::at(redis.url());
    let _node = node("a", proxy.url()).allow("http").start_live(&user);
    for name in ["a", "b", "c"] {
        user.ok(&["add", name, "--every", "200ms", "--celery", "t", "--catch-up", "all"]);
    }
    for fate in [Fate::CutRequest, Fate::CutReply, Fate::CutReply, Fate::CutRequest] {
        let (hits, sent) = (proxy.hits("claim"), redis.ask(&["LLEN", "celery"]).int());
        proxy.meet("claim", 1, fate);
        proxy.wait_hits("claim", hits + 1, DEADLINE);
        wait_for("it goes on", DEADLINE, || redis.ask(&["LLEN", "celery"]).int() >= sent + 6);
    }
    user.ok(&["pause", "--all", "-y"]);
    let runs = user.json(&["runs", "--limit", "0"]);
    let runs = runs.as_array().unwrap().iter().filter(|run| run["state"] == "succeeded");
    let mut fired: Vec<String> = runs.map(|run| run["run_id"].as_str().unwrap().to_owned()).collect();
    let messages = redis.messages("celery");
    let mut sent: Vec<String> =
        messages.iter().map(|message| message["headers"]["id"].as_str().unwrap().to_owned()).collect();
    fired.sort();
    sent.sort();
    assert_eq!(sent, fired);
    user.ok(&["audit"]);
}
