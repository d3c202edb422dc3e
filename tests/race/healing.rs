//! A schedule file comes back after a flush, once, and never where people emptied the namespace.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bed::{Bed, DEADLINE};
use crate::support::cli::Upbeat;
use crate::support::clock;
use crate::support::node::NodeProcess;
use crate::support::redis::RedisServer;
use crate::support::wait::wait_for;

const PUT_BACK: &str = "put back the entries of the schedule file";
const LOOKED: &str = "looked how the namespace began";

/// Two entries: one that fires every second, one that is busy until a file `go` is there.
fn jobs(bed: &Bed) -> String {
    let dir = bed.user.dir().display().to_string();
    let long = bed.command(&format!("until [ -e {dir}/go ]; do sleep 0.05; done"));
    let text = format!(
        "owner = \"jobs\"\n[entries.tick]\nevery = \"1s\"\nexec = {}\n[entries.long]\nevery = \"1h\"\nexec = {long}\n",
        bed.command("true")
    );
    bed.user.file("jobs.toml", &text);
    format!("{dir}/jobs.toml")
}

fn start(bed: &Bed, name: &str, file: Option<&str>) -> NodeProcess {
    let node = bed.node(name).args(&["--log-level", "debug"]);
    let node = match file {
        Some(file) => node.args(&["--schedule-file", file]),
        None => node,
    };
    node.start_live(&bed.user)
}

/// Ids with their revision, birth aside.
fn entries(user: &Upbeat) -> BTreeMap<String, i64> {
    let list = user.json(&["ls"]);
    let entry = |one: &Value| (one["id"].as_str().unwrap().to_owned(), one["revision"].as_i64().unwrap());
    list.as_array().unwrap().iter().map(entry).collect()
}

fn both() -> BTreeMap<String, i64> {
    [("long".to_owned(), 1), ("tick".to_owned(), 1)].into()
}

fn has_ticked(bed: &Bed) -> bool {
    let runs = bed.user.json(&["runs", "tick", "--state", "succeeded", "--limit", "3"]);
    runs.as_array().unwrap().len() == 3
}

/// Every node has looked after its start.
fn wait_looked(nodes: &[NodeProcess]) {
    for node in nodes {
        wait_for(&format!("{} has looked", node.name()), DEADLINE, || node.log().contains(LOOKED));
    }
}

fn count(nodes: &[NodeProcess], words: &str) -> usize {
    nodes.iter().map(|node| node.log().matches(words).count()).sum()
}

#[test]
fn a_flush_under_three_nodes_puts_the_entries_back_once_and_they_fire_on() {
    let bed = Bed::new();
    let file = jobs(&bed);
    let mut nodes = ["a", "b", "c"].map(|name| start(&bed, name, Some(&file)));
    wait_for("a new namespace has the entries", DEADLINE, || entries(&bed.user) == both());
    assert!(count(&nodes, "it is new, or was flushed") >= 1);
    assert_eq!(bed.user.json(&["show", "tick"])["owner"], "jobs");
    wait_for("it fires", DEADLINE, || has_ticked(&bed));
    bed.user.ok(&["trigger", "long"]);
    wait_for("the long one runs", DEADLINE, || bed.lines().iter().any(|line| line.entry == "long"));

    bed.server.cli(&["FLUSHALL"]);
    wait_for("the entries are back", DEADLINE, || entries(&bed.user) == both());
    wait_for("they fire", DEADLINE, || has_ticked(&bed));
    wait_for("it is said", DEADLINE, || count(&nodes, "the namespace was flushed. Fire times count from now") >= 1);
    let events = bed.user.json(&["events", "--type", "added,changed,removed,recreated", "--limit", "0"]);
    let of = |kind: &str| {
        events.as_array().unwrap().iter().filter(|event| event["type"] == kind).cloned().collect::<Vec<_>>()
    };
    assert_eq!((of("added").len(), of("changed").len(), of("removed").len()), (2, 0, 0), "{events:#}");
    let back: i64 = of("recreated").iter().map(|event| event["count"].as_i64().unwrap()).sum();
    assert_eq!(back, 2, "{events:#}");
    assert!(of("added")[0]["reason"].as_str().unwrap().starts_with("the namespace was flushed; from "), "{events:#}");
    let audit = bed.user.json(&["audit"]);
    assert_eq!((&audit["missing"], &audit["extra"]), (&0.into(), &0.into()), "{audit:#}");
    bed.user.file("go", "");
    assert!(nodes.iter_mut().all(|node| node.status().is_none()), "a node has given up");
    assert_eq!(count(&nodes, "panicked"), 0);
    bed.user.ok(&["trigger", "long"]);
    bed.wait_state("long", "succeeded", DEADLINE);
}

#[test]
fn a_redis_that_comes_back_empty_is_a_flush() {
    let server = RedisServer::fresh();
    let user = Upbeat::at(server.url());
    let mut bed = Bed { server, user };
    let file = jobs(&bed);
    let nodes = ["a", "b"].map(|name| start(&bed, name, Some(&file)));
    wait_for("a new namespace has the entries", DEADLINE, || entries(&bed.user) == both());
    wait_looked(&nodes);
    bed.server.restart();
    wait_for("the entries are back", DEADLINE, || entries(&bed.user) == both());
    wait_for("they fire", DEADLINE, || has_ticked(&bed));
}

#[test]
fn nodes_with_files_of_their_own_all_put_them_back() {
    let bed = Bed::new();
    let file = jobs(&bed);
    bed.user.file("more.toml", "[entries.more]\nevery = \"1h\"\nexec = [\"true\"]\n");
    let more = file.replace("jobs.toml", "more.toml");
    let all: BTreeMap<String, i64> = both().into_iter().chain([("more".to_owned(), 1)]).collect();
    let nodes = [start(&bed, "a", Some(&file)), start(&bed, "b", Some(&more))];
    wait_for("a new namespace has the entries of both", DEADLINE, || entries(&bed.user) == all);
    wait_looked(&nodes);
    bed.server.cli(&["FLUSHALL"]);
    wait_for("all are back", DEADLINE, || entries(&bed.user) == all);
}

#[test]
fn a_file_that_is_named_later_gets_nothing() {
    let bed = Bed::new();
    let file = jobs(&bed);
    let nodes = [start(&bed, "a", Some(&file))];
    wait_for("a new namespace has the entries", DEADLINE, || entries(&bed.user) == both());
    drop(nodes);
    clock::shift(&bed.server, "test", 1, 120_000);
    bed.user.file("more.toml", "[entries.more]\nevery = \"1h\"\nexec = [\"true\"]\n");
    let nodes = [start(&bed, "b", Some(&file.replace("jobs.toml", "more.toml")))];
    wait_looked(&nodes);
    assert_eq!(entries(&bed.user), both(), "upbeat apply is for that");
}

#[test]
fn what_people_removed_stays_away_whoever_restarts() {
    let bed = Bed::new();
    let file = jobs(&bed);
    let first = [start(&bed, "a", Some(&file))];
    wait_for("a new namespace has the entries", DEADLINE, || entries(&bed.user) == both());
    bed.user.ok(&["rm", "--all", "-y"]);
    drop(first);
    let nodes = ["b", "c"].map(|name| start(&bed, name, Some(&file)));
    wait_looked(&nodes);
    assert_eq!(entries(&bed.user), BTreeMap::new());
    assert_eq!(count(&nodes, PUT_BACK), 0);
}

#[test]
fn a_namespace_that_is_in_use_gets_nothing_from_a_file() {
    let bed = Bed::new();
    let file = jobs(&bed);
    bed.user.ok(&["add", "other", "--every", "1h", "--", "true"]);
    let nodes = [start(&bed, "a", Some(&file))];
    wait_looked(&nodes);
    assert_eq!(entries(&bed.user).into_keys().collect::<Vec<_>>(), ["other"]);
    bed.user.ok(&["rm", "other"]);
    drop(nodes);
    let nodes = [start(&bed, "b", Some(&file))];
    wait_looked(&nodes);
    assert_eq!(entries(&bed.user), BTreeMap::new(), "it was used, and people emptied it");
}

#[test]
fn without_a_file_a_flush_leaves_nothing() {
    let bed = Bed::new();
    let file = jobs(&bed);
    let mut nodes = ["a", "b"].map(|name| start(&bed, name, None));
    bed.user.ok(&["apply", "-f", &file]);
    wait_for("it fires", DEADLINE, || has_ticked(&bed));
    bed.server.cli(&["FLUSHALL"]);
    for node in &nodes {
        wait_for(&format!("{} beats on", node.name()), DEADLINE, || {
            let listed = bed.user.json(&["nodes"]);
            listed.as_array().unwrap().iter().any(|one| one["node"] == node.name() && one["state"] == "live")
        });
    }
    assert_eq!(entries(&bed.user), BTreeMap::new());
    assert!(nodes.iter_mut().all(|node| node.status().is_none()));
}

#[test]
fn a_file_that_is_broken_when_it_is_needed_is_an_error_in_the_log_until_it_is_mended() {
    let bed = Bed::new();
    let file = jobs(&bed);
    let whole = std::fs::read_to_string(&file).unwrap();
    let mut nodes = [start(&bed, "a", Some(&file))];
    wait_for("a new namespace has the entries", DEADLINE, || entries(&bed.user) == both());
    wait_looked(&nodes);
    bed.user.file("jobs.toml", "[entries.tick]\nevery = \"often\"\nshell = \"true\"\n");
    bed.server.cli(&["FLUSHALL"]);
    wait_for("it is said", DEADLINE, || nodes[0].log().contains("the schedule file can't be put back"));
    assert_eq!(entries(&bed.user), BTreeMap::new(), "nothing half done");
    assert!(nodes[0].status().is_none());
    bed.user.file("jobs.toml", &whole);
    wait_for("the entries are back", DEADLINE, || entries(&bed.user) == both());
    wait_for("they fire", DEADLINE, || has_ticked(&bed));
}

#[test]
fn a_file_that_cannot_be_applied_is_refused_before_the_node_runs() {
    let bed = Bed::new();
    bed.user.file("odd.toml", "[entries.a]\nevery = \"5m\"\n");
    bed.user.file("other.toml", "namespace = \"prod\"\n[entries.a]\nevery = \"5m\"\nshell = \"true\"\n");
    bed.user.file("twice.toml", "[entries.a]\nevery = \"5m\"\nshell = \"true\"\n");
    let refused = |args: &[&str]| bed.user.error(2, &[&["node"], args].concat());
    assert_eq!(refused(&["--schedule-file", "odd.toml"])["file"], "odd.toml");
    assert_eq!(refused(&["--schedule-file", "other.toml"])["field"], "namespace");
    assert_eq!(refused(&["--schedule-file", "gone.toml"])["code"], "invalid");
    assert_eq!(refused(&["--schedule-file", "-"])["field"], "schedule-file");
    let twice = refused(&["--schedule-file", "twice.toml", "--schedule-file", "twice.toml"]);
    assert_eq!(twice["field"], "entries.a");
    assert_eq!(bed.server.keys(), Vec::<String>::new(), "nothing was written");
}
