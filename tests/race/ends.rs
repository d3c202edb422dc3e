//! How executing runs end before their time: with their node, by a drain, by a cancel.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::bed::{Bed, DEADLINE, is_gone, now_ms, patiently, still_before, too_slow};
use crate::support::node::NodeProcess;
use crate::support::wait::wait_for;
use crate::verdict::{instant, text};

/// Adds an entry that fires in an hour and asks for a run of it now.
fn trigger_shell(bed: &Bed, id: &str, script: &str) {
    let dir = bed.user.dir().display().to_string();
    bed.user.ok(&["add", id, "--every", "1h", "--cwd", &dir, "--shell", script]);
    bed.user.ok(&["trigger", id]);
}

#[test]
fn commands_with_children_die_with_a_kill_9_of_their_node() {
    let bed = Bed::new();
    let mut node = bed.start("a");
    trigger_shell(&bed, "pipe", "echo $$ > pipe.pid; sleep 1000 | sleep 1000");
    trigger_shell(&bed, "background", "echo $$ > background.pid; sleep 1000 & wait");
    let groups = ["pipe.pid", "background.pid"].map(|file| bed.pid_in(file));
    assert!(groups.iter().all(|&group| !is_gone(group)));
    node.kill9();
    for group in groups {
        wait_for("its processes are gone", DEADLINE, || is_gone(group));
    }
}

#[test]
fn two_nodes_of_one_name_are_two_nodes() {
    let bed = Bed::new();
    let _one = bed.start("n");
    let _two = bed.node("n").start();
    let listed = || bed.user.json(&["nodes"]).as_array().unwrap().clone();
    wait_for("both are listed", DEADLINE, || listed().len() == 2);
    let nodes = listed();
    let mut names: Vec<&str> = nodes.iter().map(|node| text(node, "node")).collect();
    names.sort_unstable();
    assert_eq!(names, ["n", "n-2"]);
    assert_ne!(nodes[0]["incarnation"], nodes[1]["incarnation"]);
    assert!(nodes.iter().all(|node| node["state"] == "live"), "{nodes:#?}");
}

/// A node that executes a short and a long run is asked to stop, beside another that goes on.
fn drains_on(signal: Signal) {
    let bed = Bed::new();
    // SIGTERM goes to commands 10 s before the end of a drain: here 4 s after its beginning.
    let mut leaving = bed.steady("leaving").args(&["--drain-timeout", "14s"]).start_live(&bed.user);
    trigger_shell(&bed, "short", "echo $$ > short.pid; until [ -e asked ]; do sleep 0.05; done; exit 0");
    trigger_shell(&bed, "long", "if [ $UPBEAT_ATTEMPT = 1 ]; then echo $$ > long.pid; sleep 1000; fi");
    let (soon, group) = (bed.pid_in("short.pid"), bed.pid_in("long.pid"));
    let mut staying = bed.steady("staying").start_live(&bed.user);

    let asked_ms = now_ms();
    kill(Pid::from_raw(i32::try_from(leaving.pid()).unwrap()), signal).unwrap();
    wait_for("the drain has begun", DEADLINE, || leaving.log().contains("draining"));
    bed.user.file("asked", "");
    wait_for("the short command has ended", DEADLINE, || is_gone(soon));
    still_before(asked_ms + 3_000, "the time for what is short was over");
    let busy = json!({"every": "200ms", "exec": ["true"], "overlap": "allow"});
    bed.user.file("busy.json", &json!({"entries": {"busy": busy}}).to_string());
    bed.user.ok(&["apply", "-f", "busy.json"]);
    assert_eq!(leaving.wait_end(DEADLINE).code(), Some(0), "{}", leaving.log());
    let left_ms = now_ms();

    let short = bed.latest("short");
    assert_eq!(
        (&short["state"], &short["attempt"], &short["node"]),
        (&json!("succeeded"), &json!(1), &json!("leaving"))
    );
    assert!(is_gone(group), "the long command is gone with its node");
    let long = bed.wait_state("long", "succeeded", DEADLINE);
    assert_eq!((&long["attempt"], &long["node"]), (&json!(2), &json!("staying")), "{long:#}");
    assert_eq!(long["lost"], 0, "handed back is not lost: {long:#}");

    let busy = bed.user.json(&["runs", "busy", "--limit", "0"]);
    let of_leaving = |run: &&Value| run["node"] == "leaving";
    assert_eq!(busy.as_array().unwrap().iter().filter(of_leaving).count(), 0, "a draining node takes nothing new");
    let meanwhile = |run: &&Value| run["started_at"].as_str().is_some_and(|at| instant(at) < left_ms);
    if busy.as_array().unwrap().iter().filter(meanwhile).count() < 4 {
        too_slow("hardly anything came up while the node drained");
    }
    let listed = bed.user.json(&["nodes"]);
    assert_eq!(listed.as_array().unwrap().len(), 1, "a stopped node is not listed: {listed:#}");
    assert_eq!(staying.status(), None);
}

#[test]
fn sigterm_finishes_what_is_short_and_hands_back_what_is_long() {
    patiently(|| drains_on(Signal::SIGTERM));
}

#[test]
fn sigint_finishes_what_is_short_and_hands_back_what_is_long() {
    patiently(|| drains_on(Signal::SIGINT));
}

#[test]
fn a_command_that_ignores_sigterm_is_handed_back_within_the_drain_timeout() {
    let bed = Bed::new();
    let mut leaving: NodeProcess = bed.steady("leaving").args(&["--drain-timeout", "3s"]).start_live(&bed.user);
    trigger_shell(
        &bed,
        "deaf",
        "if [ $UPBEAT_ATTEMPT = 1 ]; then trap '' TERM; echo $$ > deaf.pid; while :; do sleep 1; done; fi",
    );
    let group = bed.pid_in("deaf.pid");
    leaving.sigterm();
    assert_eq!(leaving.wait_end(DEADLINE).code(), Some(0), "{}", leaving.log());
    // A command that is asked to end has 10 s otherwise: it would be left unfinished.
    assert!(!leaving.log().contains("unfinished"), "killing is included in the timeout: {}", leaving.log());
    assert!(is_gone(group));
    let _staying = bed.start("staying");
    let run = bed.wait_state("deaf", "succeeded", DEADLINE);
    assert_eq!((&run["attempt"], &run["lost"]), (&json!(2), &json!(0)), "{run:#}");
}

#[test]
fn a_cancel_reaches_a_run_that_executes() {
    let bed = Bed::new();
    // The next renewal of its lease, which would tell it too, comes when everybody has lost patience.
    let _node = bed.steady("a").args(&["--lease", "10m"]).start_live(&bed.user);
    trigger_shell(&bed, "job", "echo $$ > job.pid; sleep 1000 | sleep 1000");
    let group = bed.pid_in("job.pid");
    bed.user.ok(&["cancel", "job", "--actor", "ada", "--reason", "it hangs"]);
    wait_for("its processes are gone", DEADLINE, || is_gone(group));
    let run = bed.wait_state("job", "cancelled", DEADLINE);
    assert_eq!(run["reason"], "by_user", "{run:#}");
    let message = text(&run, "message");
    assert!(message.contains("ada") && message.contains("it hangs"), "who and why: {message}");
    assert_eq!(run["attempt"], 1);
}

#[test]
fn a_reopened_run_whose_definition_is_gone_does_not_run_that_of_another_entry() {
    let bed = Bed::new();
    let _node = bed.start("a");
    let wrong = bed.user.dir().join("wrong");
    trigger_shell(&bed, "job", "exit 1");
    let failed = bed.wait_state("job", "failed", DEADLINE);
    bed.user.ok(&["rm", "job", "-y"]);
    bed.user.ok(&["add", "job", "--every", "1d", "--shell", &format!("touch {}", wrong.display())]);
    bed.server.cli(&["DEL", "upbeat:{test:0}:revisions"]);
    let run_id = text(&failed, "run_id");
    bed.user.ok(&["retry", run_id]);
    wait_for("it has ended again", DEADLINE, || !bed.user.json(&["runs", "show", run_id])["finished_at"].is_null());
    let run = bed.user.json(&["runs", "show", run_id]);
    assert_eq!((&run["state"], &run["reason"]), (&json!("cancelled"), &json!("entry_removed")), "{run:#}");
    assert!(!wrong.exists());
}
