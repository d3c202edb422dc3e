//! The page of `doctor` as people and programs read it, and its exit codes, before and after a node is there.

use serde_json::Value;

use crate::support::cli::Upbeat;
use crate::support::node::node;
use crate::support::redis::RedisServer;
use crate::{refused, user_of};

#[test]
fn one_page_names_what_is_wrong_with_its_fix_and_exits_1_until_it_is_mended() {
    let server = RedisServer::durable();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1h", "--queue", "batch", "--", "true"]);
    let page = user.run(&["doctor"]).expect_code(1).stdout;
    let lines: Vec<&str> = page.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.starts_with("WRONG  queues ")).unwrap_or_else(|| panic!("{page}"));
    assert!(lines[at].ends_with("batch:exec: 1 entries, 0 runs wait"), "{page}");
    assert_eq!(lines[at + 1], "no live node may run exec in queue batch");
    // As it is typed: the node of that line.
    assert_eq!(lines[at + 2], "upbeat node --queues batch --allow exec");
    let mut node = node("big", server.url()).allow("exec").args(&["--queues", "batch"]).start();
    node.wait_live(&user);
    let page = user.run(&["doctor"]).expect_code(0).stdout;
    assert!(page.ends_with("nothing is wrong\n") || page.contains("\nnothing is wrong, "), "{page}");
    assert!(page.starts_with(&format!("namespace test on {}\n", server.url())), "{page}");
}

#[test]
fn programs_read_the_same_page() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    let bare = Upbeat::at(server.url()).namespace("other");
    user.ok(&["add", "a", "--every", "1h", "--", "true"]);
    let outcome = user.run(&["-o", "json", "doctor"]).expect_code(1);
    let page: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((&page["ok"], &page["namespace"]), (&Value::Bool(false), &"test".into()));
    let checks = page["checks"].as_array().unwrap();
    for check in checks {
        let state = check["state"].as_str().unwrap();
        assert!(["ok", "note", "wrong", "unseen"].contains(&state), "{check}");
        assert!(check["check"].is_string() && check["value"].is_string(), "{check}");
        assert_eq!(check["do"].as_array().unwrap().is_empty(), state == "ok", "{check}");
    }
    let lines = user.run(&["-o", "jsonl", "doctor"]).expect_code(1).stdout;
    assert_eq!(lines.lines().count(), checks.len());
    let names = user.run(&["-o", "id", "doctor"]).expect_code(1).stdout;
    let not_ok = checks.iter().filter(|check| check["state"] != "ok").map(|check| check["check"].as_str().unwrap());
    assert_eq!(names.lines().collect::<Vec<_>>(), not_ok.collect::<Vec<_>>());

    // A namespace that is named stands in each command: pasted they mean the same one.
    let page = bare.run(&["-n", "tset", "doctor"]).expect_code(1).stdout;
    assert!(page.contains("WRONG  namespaces") && page.contains("upbeat doctor -n test"), "{page}");
    assert!(page.contains("  upbeat -n tset node\n"), "{page}");
    assert_eq!(server.keys().iter().filter(|key| key.contains("tset")).count(), 0, "looking writes nothing");
}

#[test]
fn a_redis_that_is_not_there_is_no_answer() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    let (line, _) = refused(&user, 5, &["doctor"]);
    assert!(line.contains("can't be reached"), "{line}");
}
