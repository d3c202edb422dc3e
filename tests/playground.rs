//! The playground: it finds itself, keeps what it was given, and leaves no process behind.

#![allow(clippy::unwrap_used)]

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use support::cli::Upbeat;
use support::playground::{Playground, somebody};
use support::wait;
use support::wait::DEADLINE;

fn is_alive(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}

/// Process ids of the nodes and of their Redis.
fn processes(user: &Upbeat) -> Vec<i32> {
    let nodes = user.json(&["nodes"]);
    let mut pids: Vec<i32> =
        nodes.as_array().unwrap().iter().map(|node| node["pid"].as_i64().unwrap() as i32).collect();
    let url = std::fs::read_to_string(user.dir().join(".upbeat/connection")).unwrap();
    let socket = url.trim().strip_prefix("unix://").unwrap().to_owned();
    let mut client = support::resp::Client::unix(std::path::Path::new(&socket)).unwrap();
    let info = client.ask(&["INFO", "server"]).unwrap().to_string();
    let pid = info.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap();
    pids.push(pid.trim().parse().unwrap());
    pids
}

fn wait_live(user: &Upbeat, count: usize) {
    wait::wait_for("the nodes are live", DEADLINE, || user.json(&["nodes"]).as_array().unwrap().len() == count);
}

#[test]
fn a_playground_is_found_from_its_folder_runs_entries_and_keeps_them() {
    let user = somebody();
    let playground = Playground::start(&user, "2");
    assert!(playground.lines[0].starts_with("playground in .upbeat · private Redis "), "{:?}", playground.lines);
    assert!(playground.lines[1].contains("dev-1 dev-2 · 16 runs each"), "{:?}", playground.lines);
    wait_live(&user, 2);
    let added = user.run(&["add", "a", "--every", "1h", "--", "echo", "hello"]).expect_code(0);
    assert_eq!(added.stderr, "using the playground in .upbeat\n");
    assert!(added.stdout.contains("where  dev-1, dev-2"), "{}", added.stdout);
    let waited = user.run(&["trigger", "a", "--wait=60s"]).expect_code(0);
    assert!(waited.stdout.starts_with("succeeded in "), "{}", waited.stdout);
    assert_eq!(user.ok(&["logs", "a"]), "hello\n");

    std::fs::create_dir(user.dir().join("below")).unwrap();
    let mut below = user.command();
    below.current_dir(user.dir().join("below")).args(["ls", "-o", "id"]);
    assert_eq!(String::from_utf8_lossy(&below.output().unwrap().stdout), "a\n");
    assert_eq!(user.error(4, &["dev"])["code"], "conflict");

    let pids = processes(&user);
    playground.signal(Signal::SIGTERM);
    assert_eq!(playground.wait(), Some(0));
    assert!(pids.iter().all(|pid| !is_alive(*pid)), "{pids:?}");

    let again = Playground::start(&user, "0");
    assert_eq!(user.json(&["ls"])[0]["id"], "a");
    again.signal(Signal::SIGINT);
    assert_eq!(again.wait(), Some(0));
}

#[test]
fn nothing_is_left_of_a_playground_that_is_killed() {
    let user = somebody();
    let playground = Playground::start(&user, "1");
    wait_live(&user, 1);
    let pids = processes(&user);
    assert_eq!(pids.len(), 2);
    playground.signal(Signal::SIGKILL);
    playground.wait();
    wait::wait_for("its children are gone", DEADLINE, || pids.iter().all(|pid| !is_alive(*pid)));
    let again = Playground::start(&user, "0");
    assert_eq!(user.json(&["ls"]), json!([]));
    again.signal(Signal::SIGTERM);
    assert_eq!(again.wait(), Some(0));
}
