//! What a node takes of the machine it runs on: memory that does not grow with what it has done, few threads, and nothing
//! taken from the commands that it runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};

use crate::bed::{Bed, DEADLINE};
use crate::support::cli::Upbeat;
use crate::support::entries::{add_all, open};
use crate::support::node::node;
use crate::support::patience::{patiently, too_slow};
use crate::support::redis::RedisServer;
use crate::support::short_dir;
use crate::support::wait::wait_for;

/// Bytes of memory of its own that a process has resident.
fn own_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok()).collect()
}

#[test]
fn a_nodes_memory_stays_flat_however_much_it_claims() {
    const ENTRIES: usize = 4_000;
    /// 24,000 claimed fires, some of them of entries that are planned again and again: 180 bytes kept of each would be seen.
    const GROWTH_MAX_BYTES: u64 = 4 * 1024 * 1024;

    let server = RedisServer::fresh();
    let user = Upbeat::at(server.url());
    let entries: Vec<(String, Value)> = (0..ENTRIES)
        .map(|number| {
            let entry = match number % 25 {
                // No fixed period: a list that a node has to write again and again.
                0 => json!({ "cron": "0-58 * * * * *", "tz": "Asia/Shanghai", "stream": "fired" }),
                _ => json!({ "every": "1s", "stream": "fired" }),
            };
            (format!("entry-{number}"), entry)
        })
        .collect();
    let named: Vec<(&str, Value)> = entries.iter().map(|(name, entry)| (name.as_str(), entry.clone())).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { add_all(&open(&server.url(), 1).await, &named).await });

    let node = node("flat", server.url()).allow("none").start_live(&user);
    let fired = || server.ask(&["XLEN", "fired"]).int();
    wait_for("8,000 fire times are claimed", 2 * DEADLINE, || fired() >= 8_000);
    let early = own_bytes(node.pid());
    wait_for("32,000 fire times are claimed", 2 * DEADLINE, || fired() >= 32_000);
    let late = own_bytes(node.pid());
    println!("{early} bytes after 8,000 fires, {late} after 32,000");
    assert!(late <= early + GROWTH_MAX_BYTES, "{early} bytes after 8,000 fires, {late} after 32,000");
}

#[test]
fn a_node_on_a_large_machine_has_few_threads() {
    let bed = Bed::new();
    // What the runtime would take from the number of processors.
    let node = bed.steady("few").env("TOKIO_WORKER_THREADS", "64").start_live(&bed.user);
    let threads = threads(node.pid());
    assert!(threads.len() < 16, "{} threads: {threads:?}", threads.len());
}

#[test]
fn a_node_goes_without_huge_pages_and_its_commands_have_them_as_before() {
    let has_huge_pages = |status: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
        line.map(|word| word.trim() == "1")
    };
    // A system without the switch, or one that started this test without them.
    if has_huge_pages(&fs::read_to_string("/proc/self/status").unwrap()) != Some(true) {
        return;
    }
    let bed = Bed::new();
    let node = bed.steady("small").start_live(&bed.user);
    let of_node = fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    assert_eq!(has_huge_pages(&of_node), Some(false));
    bed.user.ok(&["add", "job", "--every", "1h", "--", "grep", "THP_enabled", "/proc/self/status"]);
    bed.user.ok(&["trigger", "job"]);
    bed.wait_state("job", "succeeded", DEADLINE);
    assert_eq!(has_huge_pages(&bed.user.ok(&["logs", "job"])), Some(true));
}

/// What `scripts/static` says on a machine that has these programs and nothing else; its exit code.
fn static_build(argument: &[&str], programs: &[&str]) -> (Option<i32>, String) {
    let dir = short_dir();
    for program in programs {
        let found = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output().unwrap().stdout;
        symlink(String::from_utf8(found).unwrap().trim_end(), dir.path().join(program)).unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/static");
    let mut command = Command::new("/bin/bash");
    command.arg(script).args(argument).env("PATH", dir.path()).env_remove("CC_x86_64_unknown_linux_musl");
    let done = command.output().unwrap();
    (done.status.code(), String::from_utf8(done.stderr).unwrap())
}

#[test]
fn a_machine_that_cannot_build_a_static_program_is_told_what_is_missing() {
    let usual = ["dirname", "uname", "sed", "ls", "tr"];
    let (code, said) = static_build(&[], &usual);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cargo is missing"), "{said}");

    // Neither who adds Rust's target nor who compiles C for musl.
    let (code, said) = static_build(&[], &[&usual[..], &["cargo", "rustc"]].concat());
    assert_eq!(code, Some(1), "{said}");
    let names_it = said.contains("no rustup to add it") || said.contains("a C compiler for musl is missing");
    assert!(names_it && said.contains("--glibc"), "what is missing, and the way out: {said}");

    let (code, said) = static_build(&["--gnu"], &usual);
    assert_eq!(code, Some(2), "{said}");
}

/// The list of hints that has no queue in its name: by it a node calls itself.
fn names_a_node(key: &str) -> bool {
    key.split_once(":hint:").is_some_and(|(_, list)| !list.contains(':'))
}

#[test]
fn a_node_that_waits_for_work_is_called_when_a_queue_is_new() {
    patiently(|| {
        let bed = Bed::new();
        let _node = bed.steady("hears").start_live(&bed.user);
        let run_in = |queue: &str| {
            bed.user.ok(&["add", queue, "--queue", queue, "--every", "1h", "--", "true"]);
            bed.user.ok(&["trigger", queue]);
            bed.wait_state(queue, "succeeded", DEADLINE);
        };
        run_in("old");
        wait_for("the node waits for hints", DEADLINE, || bed.server.info("blocked_clients") == "1");
        let mut monitor = bed.server.client().unwrap();
        assert_eq!(monitor.ask(&["MONITOR"]).unwrap().text(), "OK");
        run_in("new");
        let mut is_called = false;
        loop {
            let line = monitor.receive().unwrap().text();
            is_called |= line.contains("\"RPUSH\"") && line.split('"').any(names_a_node);
            if line.contains("\"BLPOP\"") && line.contains(":hint:new:") {
                break;
            }
        }
        if !is_called {
            too_slow("the wait ended by its time just when it should have been called from it");
        }
        wait_for("no call is left behind", DEADLINE, || !bed.server.keys().iter().any(|key| names_a_node(key)));
    });
}

#[test]
fn a_node_that_stops_leaves_no_call_to_itself_behind() {
    let bed = Bed::new();
    // Its one slot is taken, so it does not wait for hints.
    let mut node = bed.steady("full").args(&["--concurrency", "1", "--drain-timeout", "2s"]).start_live(&bed.user);
    bed.user.ok(&["add", "long", "--every", "1h", "--", "sleep", "600"]);
    bed.user.ok(&["trigger", "long"]);
    bed.wait_state("long", "running", DEADLINE);
    wait_for("the node waits for hints no more", DEADLINE, || bed.server.info("blocked_clients") == "0");
    // As a call leaves it whose answer was lost.
    let nodes = bed.user.json(&["nodes"]);
    let call = format!("upbeat:{{test:0}}:hint:{}", nodes[0]["incarnation"].as_str().unwrap());
    bed.server.ask(&["RPUSH", &call, "1"]);
    node.sigterm();
    node.wait_end(2 * DEADLINE);
    assert!(!bed.server.keys().contains(&call));
}
