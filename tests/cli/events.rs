//! events and the filters of runs, as a user types and reads them.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::redis::RedisServer;
use crate::user_of;

fn types(events: &Value) -> Vec<&str> {
    events.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[test]
fn events_are_listed_newest_first_with_who_and_why() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    assert_eq!(user.json(&["events"]), Value::Array(Vec::new()));
    assert!(user.run(&["events"]).expect_code(0).stderr.contains("no events"));
    user.ok(&["add", "a", "--every", "1h", "--list", "out", "--actor", "ana"]);
    user.ok(&["add", "b", "--every", "1h", "--", "true"]);
    user.ok(&["pause", "a", "--actor", "bo", "--reason", "INC-1"]);
    user.ok(&["trigger", "a", "--actor", "bo"]);
    let events = user.json(&["events", "a"]);
    assert_eq!(types(&events), ["finished", "triggered", "paused", "added"]);
    let paused = &events[2];
    assert_eq!((paused["actor"].as_str(), paused["reason"].as_str()), (Some("bo"), Some("INC-1")));
    assert!(paused["at"].as_str().unwrap().ends_with('Z') && paused["run_id"].is_null() && paused["revision"] == 2);
    let finished = &events[0];
    assert_eq!((finished["state"].as_str(), finished["reason"].as_str()), (Some("succeeded"), Some("delivered")));
    assert_eq!(user.json(&["runs", "show", finished["run_id"].as_str().unwrap()])["entry_id"], "a");

    let table = user.run(&["events", "--limit", "2"]).expect_code(0);
    assert!(table.stderr.contains("2 of ") && table.stderr.contains("--limit 0 for all"), "{}", table.stderr);
    assert!(table.stdout.starts_with("AT") && table.stdout.lines().count() == 3, "{}", table.stdout);
    assert!(user.ok(&["events", "a", "--type", "paused"]).contains("by bo: INC-1"));
    assert_eq!(user.ok(&["-o", "jsonl", "events", "--limit", "0"]).lines().count(), 5);
    assert_eq!(types(&user.json(&["events", "--type", "added,paused", "--type", "triggered", "a"])).len(), 3);
    assert_eq!(user.json(&["events", "--since", "-1h"]).as_array().unwrap().len(), 5);
    assert_eq!(user.json(&["events", "--until", "-1h"]), Value::Array(Vec::new()));
    assert_eq!(user.ok(&["-o", "id", "events", "a", "--type", "added"]), "a\n");
}

#[test]
fn what_is_no_type_state_or_limit_is_refused_by_name() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1h", "--", "true"]);
    let bad: &[(&[&str], i32, &str, &str)] = &[
        (&["events", "--type", "finised"], 2, "type", "finished"),
        (&["events", "--type", "added,nope"], 2, "type", ""),
        (&["events", "--limit", "-1"], 2, "limit", ""),
        (&["events", "--limit", "many"], 2, "limit", ""),
        (&["events", "--since", "soon"], 2, "since", ""),
        (&["events", "--since", "-1h", "--until", "-2h"], 2, "since", "exchange"),
        (&["events", "nobody"], 3, "entry", ""),
        (&["runs", "--state", "succeded"], 2, "state", "succeeded"),
        (&["runs", "--state", "failed,nope"], 2, "state", ""),
        (&["runs", "--trigger", "cron"], 2, "trigger", ""),
        (&["runs", "--limit", "-5"], 2, "limit", ""),
        (&["runs", "--since", "-1h", "--until", "-2h"], 2, "since", "exchange"),
        (&["runs", "nobody"], 3, "entry", ""),
    ];
    for (args, code, field, hint) in bad {
        let error = user.error(*code, args);
        assert_eq!(error["field"], *field, "{args:?}: {error}");
        assert!(error["hint"].as_str().unwrap_or_default().contains(hint), "{args:?}: {error}");
    }
    user.run(&["-o", "jsonl", "events", "-f", "nobody"]).expect_code(3);
    let endless = user.error(2, &["events", "-f"]);
    assert_eq!((endless["field"].as_str(), endless["hint"].as_str()), (Some("output"), Some("-o jsonl")));
}

#[test]
fn who_follows_sees_what_another_process_does_until_ctrl_c() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "before", "--every", "1h", "--", "true"]);
    let mut command = user.command();
    command.args(["-o", "jsonl", "events", "-f"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // It follows from some moment on: entries are added until the first one is told.
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let adding = {
        let (stop, user) = (stop.clone(), user_of(&server));
        std::thread::spawn(move || {
            let mut count = 0;
            // Many more than it needs to be seen, so that it ends where nobody sees it.
            while !stop.load(std::sync::atomic::Ordering::Relaxed) && count < 2_000 {
                count += 1;
                user.ok(&["add", &format!("e-{count}"), "--every", "1h", "--list", "out"]);
            }
            user.ok(&["trigger", &format!("e-{count}")]);
            user.ok(&["rm", &format!("e-{count}")]);
            format!("e-{count}")
        })
    };
    let read = |line: Option<std::io::Result<String>>| -> Value {
        serde_json::from_str(&line.expect("it follows").unwrap()).unwrap()
    };
    let first = read(lines.next());
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(first["type"], "added");
    let name = adding.join().unwrap();
    let mut seen = Vec::new();
    let mut event = first;
    while event["type"] != "removed" {
        assert_ne!(event["entry_id"], "before");
        if event["entry_id"] == name.as_str() {
            seen.push(event["type"].as_str().unwrap().to_owned());
        }
        event = read(lines.next());
    }
    let tail: Vec<&str> = seen.iter().rev().take(2).rev().map(String::as_str).collect();
    assert_eq!(tail, ["triggered", "finished"]);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
