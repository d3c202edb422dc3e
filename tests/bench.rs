//! `upbeat bench`, with loads so small that only its words and its counts are looked at: figures of time stand in no test.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::cli::Upbeat;
use support::redis::RedisServer;
use support::wait::{DEADLINE, wait_for};

/// Measures, and looks at what every bench owes: whole figures, verdicts where there is a budget, and a clean server.
fn measured(what: &str, args: &[&str]) -> Vec<Value> {
    let server = RedisServer::fresh();
    let user = Upbeat::at(server.url()).namespace("own");
    let figures = user.json(&[&["bench", what], args].concat());
    let figures = figures.as_array().unwrap().clone();
    assert!(!figures.is_empty());
    for figure in &figures {
        assert_eq!(figure["bench"], what, "{figure}");
        assert!(figure["case"].as_str().is_some_and(|case| !case.is_empty()), "{figure}");
        assert!(figure["what"].as_str().is_some_and(|what| !what.is_empty()), "{figure}");
        assert!(figure["value"].as_f64().is_some_and(f64::is_finite), "{figure}");
        assert!(figure["unit"].is_string(), "{figure}");
        let budget = &figure["budget"];
        let is_kept = match (budget["at_most"].as_f64(), budget["at_least"].as_f64()) {
            (Some(most), None) => Some(figure["value"].as_f64().unwrap() <= most),
            (None, Some(least)) => Some(figure["value"].as_f64().unwrap() >= least),
            _ => None,
        };
        let verdict = is_kept.map(|is_kept| if is_kept { "ok" } else { "short" });
        assert_eq!(figure["verdict"].as_str(), verdict, "{figure}");
    }
    let left = server.keys();
    assert!(left.is_empty(), "a bench removes what it has written: {left:?}");
    figures
}

/// The value of every figure that is called so.
fn values(figures: &[Value], what: &str) -> Vec<f64> {
    let found: Vec<f64> = figures
        .iter()
        .filter(|figure| figure["what"] == what)
        .map(|figure| figure["value"].as_f64().unwrap())
        .collect();
    assert!(!found.is_empty(), "no figure is called {what}");
    found
}

#[test]
fn bench_claim_tells_the_native_limit_of_the_same_run() {
    let figures = measured("claim", &["--entries", "600", "--rounds", "1"]);
    let cases: BTreeSet<&str> = figures.iter().map(|figure| figure["case"].as_str().unwrap()).collect();
    assert_eq!(cases, BTreeSet::from(["into a queue, mixed, 600 due at once", "list action, 600 due at once"]));
    assert_eq!(values(&figures, "of Redis' own speed, ZADD + XADD").len(), 2);
    assert!(values(&figures, "Redis CPU per native pair").iter().all(|us| *us > 0.0));
}

#[test]
fn bench_life_works_off_every_run() {
    let figures = measured("life", &["--runs", "500", "--rounds", "1"]);
    assert_eq!(values(&figures, "runs a second").len(), 2, "with 256 slots and with 16");
}

#[test]
fn bench_lag_sees_every_fire_begin() {
    let figures = measured("lag", &["--rate", "20", "--nodes", "2", "--seconds", "2"]);
    let begun = values(&figures, "begun")[0];
    assert!(begun >= 30.0, "{figures:?}");
    assert_eq!((begun + values(&figures, "fires lost or doubled")[0]) % 20.0, 0.0, "of whole seconds: {figures:?}");
    assert!(values(&figures, "p99")[0] >= values(&figures, "p50")[0]);
}

#[test]
fn bench_idle_wakes_all_for_one_instant_and_one_claims_it() {
    let figures = measured("idle", &["--nodes", "3", "--seconds", "3"]);
    assert_eq!(values(&figures, "fires lost or doubled"), [0.0]);
    assert!(values(&figures, "commands in the second of the instant")[0] >= 1.0);
}

#[test]
fn bench_contention_has_a_case_for_every_number_of_nodes_and_rate() {
    let figures = measured("contention", &["--nodes", "1,3", "--rate", "5,10", "--seconds", "2"]);
    let cases: BTreeSet<&str> = figures.iter().map(|figure| figure["case"].as_str().unwrap()).collect();
    assert_eq!(cases.len(), 4, "{cases:?}");
    assert_eq!(values(&figures, "fires lost or doubled"), [0.0; 4]);
}

#[test]
fn bench_burst_drains_all_once() {
    let figures = measured("burst", &["--entries", "2000", "--nodes", "2"]);
    assert_eq!(values(&figures, "fires lost or doubled"), [0.0]);
}

#[test]
fn bench_memory_weighs_both_kinds_of_plan_and_a_node() {
    let figures = measured("memory", &["--entries", "2000"]);
    assert!(values(&figures, "of Redis per entry, before the first fire").iter().all(|bytes| *bytes > 100.0));
    assert_eq!(values(&figures, "resident memory").len(), 1);
}

#[test]
fn bench_failover_kills_real_nodes_and_no_fire_is_lost() {
    let figures = measured("failover", &["--kills", "3", "--nodes", "3", "--rate", "20"]);
    assert_eq!(values(&figures, "fires lost"), [0.0]);
    assert_eq!(values(&figures, "fires doubled"), [0.0]);
    assert_eq!(values(&figures, "runs lost"), [0.0]);
}

#[test]
fn bench_apply_runs_the_program_itself() {
    let figures = measured("apply", &["--entries", "300"]);
    assert!(values(&figures, "Redis CPU per entry")[0] > 0.0);
    assert_eq!(figures[0]["budget"], Value::Null, "its budget is for 100,000");
}

#[test]
fn a_bench_is_bounded_and_touches_nothing_that_is_in_use() {
    let server = RedisServer::fresh();
    let user = Upbeat::at(server.url());
    for args in [
        &["bench", "claim", "--entries", "1000001"][..],
        &["bench", "idle", "--nodes", "257"],
        &["bench", "contention", "--rate", "10,0"],
        &["bench", "failover", "--nodes", "1"],
        &["bench", "lag", "--seconds", "3601"],
        &["bench", "nothing"],
    ] {
        let error = user.error(2, args);
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{args:?}: {error}");
    }
    assert!(server.keys().is_empty());
    user.ok(&["-n", "test-bench-claim-list-1", "add", "a", "--every", "1h", "--", "true"]);
    let before = server.keys();
    let error = user.error(4, &["bench", "claim", "--entries", "10", "--rounds", "1"]);
    assert_eq!(error["field"], json!("namespace"));
    assert_eq!(error["value"], json!("test-bench-claim-list-1"));
    assert_eq!(server.keys(), before, "what stands there stays");
}

#[test]
fn a_bench_that_is_interrupted_removes_what_it_has_written_and_takes_its_nodes_with_it() {
    let server = RedisServer::fresh();
    let user = Upbeat::at(server.url());
    let mut bench = user.command();
    bench.args(["bench", "failover", "--kills", "1000", "--nodes", "2", "--rate", "5"]);
    let mut bench = bench.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = bench.id();
    let target = "test-bench-failover-claims:out";
    wait_for("fires", DEADLINE, || server.keys().iter().any(|key| key == target));
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let children: Vec<String> = threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|pids| pids.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert!(!children.is_empty(), "nodes of their own");
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(bench.wait().unwrap().code(), Some(130));
    let runs =
        |pid: &String| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    wait_for("the nodes to end", DEADLINE, || !children.iter().any(runs));
    assert!(server.keys().is_empty(), "{:?}", server.keys());
}

#[test]
fn a_node_whose_parent_had_gone_before_it_came_up_stops() {
    let server = RedisServer::fresh();
    let mut parent = Command::new("true").spawn().unwrap();
    parent.wait().unwrap();
    let node = ["node", "--drain-timeout", "1s", "--stop-with-parent", &parent.id().to_string()];
    Upbeat::at(server.url()).run(&node).expect_code(0);
}

#[test]
fn what_a_bench_left_that_was_killed_is_refused_with_the_command_that_removes_it_and_nothing_else() {
    let server = RedisServer::fresh();
    let user = Upbeat::at(server.url());
    let bench = ["bench", "apply", "--entries", "10"];
    server.ask(&["RPUSH", "test-bench-apply:out", "a"]);
    let error = user.error(4, &bench);
    assert!(error["hint"].as_str().unwrap().ends_with(" unlink test-bench-apply:out"), "{error}");
    for namespace in ["test-bench-apply-2", "test-bench-apply"] {
        user.ok(&["-n", namespace, "add", "a", "--every", "1h", "--", "true"]);
    }
    let error = user.error(4, &bench);
    let pattern = error["hint"].as_str().unwrap().split('\'').nth(1).unwrap().to_owned();
    let named = server.cli(&["KEYS", &pattern]);
    let left: Vec<String> = server.keys().into_iter().filter(|key| !named.lines().any(|one| one == key)).collect();
    assert!(named.lines().count() > 5 && left.iter().any(|key| key.contains("apply-2")), "{named}");
    assert!(left.iter().all(|key| key.contains("apply-2") || key == "test-bench-apply:out"), "{left:?}");
}

#[test]
fn the_table_shows_budget_and_verdict_where_the_budget_is_made_for_that_size() {
    let server = RedisServer::fresh();
    let user = Upbeat::at(server.url());
    let table = user.ok(&["bench", "lag", "--rate", "5", "--nodes", "1", "--seconds", "1"]);
    let head = table.lines().next().unwrap();
    assert_eq!(head.split_whitespace().collect::<Vec<_>>(), ["BENCH", "CASE", "WHAT", "MEASURED", "BUDGET", "VERDICT"]);
    let line = |what: &str| table.lines().find(|line| line.contains(what)).unwrap().trim_end().to_owned();
    assert!(line("p99").ends_with(" -"), "made for 1,000 a second: {table}");
    assert!(line("fires lost or doubled").ends_with("<= 0    ok"), "holds at any: {table}");
}
