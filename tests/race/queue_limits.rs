//! Queues with limits and a fleet whose nodes die: as the commands themselves saw it, never more at a time than the limit allows,
//! never more starts than the rate, and everything ends.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::bed::{Bed, DEADLINE, patiently, too_slow};
use crate::support::node::NodeProcess;
use crate::support::wait::wait_for;
use crate::verdict::{instant, text};

/// Commands that write when they begin and end, in one file whose order is the order of time.
struct Notes<'b>(&'b Bed);

impl Notes<'_> {
    fn path(&self) -> std::path::PathBuf {
        self.0.user.dir().join("notes")
    }

    fn command(&self, seconds: &str) -> String {
        let (file, who) = (self.path().display().to_string(), "$UPBEAT_RUN_ID.$UPBEAT_ATTEMPT $UPBEAT_NODE");
        let text = format!("echo b {who} >> {file}; sleep {seconds}; echo e {who} >> {file}");
        serde_json::json!(["bash", "-c", text]).to_string()
    }

    /// Of this node nothing executes any more.
    fn killed(&self, node: &str) {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().append(true).open(self.path()).unwrap();
        writeln!(file, "k - {node}").unwrap();
    }

    /// The most that executed at a time, and how many attempts began.
    fn most(&self) -> (usize, usize) {
        let mut executing: BTreeSet<(String, String)> = BTreeSet::new();
        let (mut most, mut began) = (0, 0);
        for line in std::fs::read_to_string(self.path()).unwrap_or_default().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let &[what, attempt, node] = &words[..] else { panic!("{line:?}") };
            match what {
                "b" => {
                    began += 1;
                    assert!(executing.insert((attempt.to_owned(), node.to_owned())), "{line} twice");
                }
                "e" => drop(executing.remove(&(attempt.to_owned(), node.to_owned()))),
                _ => executing.retain(|(_, other)| other != node),
            }
            most = most.max(executing.len());
        }
        (most, began)
    }
}

#[test]
fn max_running_of_a_queue_holds_over_a_fleet_whose_nodes_are_killed() {
    patiently(|| {
        let bed = Bed::new();
        let notes = Notes(&bed);
        bed.user.ok(&["queues", "set", "q", "--max-running", "3"]);
        let mut nodes: Vec<NodeProcess> = ["a", "b", "c"].into_iter().map(|name| bed.start(name)).collect();
        let race = bed.race(4, 7, &notes.command("0.7"), "overlap = \"allow\"\nqueue = \"q\"");
        for _ in 0..2 {
            wait_for("runs execute", DEADLINE, || notes.most().1 > 2);
            let executing = |node: &NodeProcess| {
                let running = bed.user.json(&["runs", "--state", "running", "--limit", "0"]);
                running.as_array().unwrap().iter().any(|run| run["node"] == node.name())
            };
            let Some(at) = (0..nodes.len()).find(|at| executing(&nodes[*at])) else { continue };
            nodes[at].kill9();
            notes.killed(nodes[at].name());
            nodes.remove(at);
        }
        if nodes.len() == 3 {
            too_slow("no node was found while it executed");
        }
        assert!(bed.ended(&race, DEADLINE * 3), "{:#?}", bed.runs());
        let runs = bed.runs();
        assert!(runs.iter().all(|run| run["state"] == "succeeded"), "{runs:#?}");
        assert_eq!(notes.most().0, 3);
        let queue = &bed.user.json(&["queues"])[0];
        assert_eq!((&queue["running"], &queue["waiting"]), (&Value::from(0), &Value::from(0)));
        let prefix = "upbeat:{test:0}:";
        assert_eq!(bed.server.ask(&["ZCARD", &format!("{prefix}occupied")]).int(), 1, "no mark is left behind");
    });
}

#[test]
fn a_rate_holds_over_a_fleet_and_a_pause_costs_no_polling() {
    patiently(|| {
        let bed = Bed::new();
        let notes = Notes(&bed);
        bed.user.ok(&["queues", "set", "q", "--rate", "6/2s"]);
        let _nodes: Vec<NodeProcess> = ["a", "b", "c"].into_iter().map(|name| bed.start(name)).collect();
        let race = bed.race(6, 4, &notes.command("0.01"), "overlap = \"allow\"\nqueue = \"q\"");
        wait_for("some have begun", DEADLINE, || notes.most().1 >= 6);
        bed.user.ok(&["queues", "pause", "q", "--reason", "the database moves"]);
        let paused_ms = bed.server.now_ms();
        wait_for("everything is due, and what had started has ended", DEADLINE, || {
            let runs = bed.runs();
            runs.len() == 24 && runs.iter().all(|run| ["queued", "succeeded"].contains(&text(run, "state")))
        });
        // A node that looks by itself does so in every 2.4 s, and beats; by Redis' clock, so that a slow machine sends less.
        let (from_ms, sent) = (bed.server.now_ms(), bed.server.calls_of("evalsha"));
        bed.server.wait_past(from_ms + 3_000);
        let (sent, span_ms) = (bed.server.calls_of("evalsha") - sent, bed.server.now_ms() - from_ms);
        assert!(sent as i64 * 1_000 <= 10 * span_ms, "{sent} scripts in {span_ms} ms while the queue was paused");
        let held = bed.user.json(&["runs", "--state", "queued", "--limit", "0"]);
        let held = held.as_array().unwrap();
        assert!(!held.is_empty() && held.iter().all(|run| run["reason"] == "limit"), "{held:#?}");
        assert!(text(&held[0], "message").contains("is paused by"), "{held:#?}");
        let resumed_ms = bed.server.now_ms();
        bed.user.ok(&["queues", "resume", "q"]);
        assert!(bed.ended(&race, DEADLINE * 3), "{:#?}", bed.runs());
        let mut starts: Vec<i64> = bed.runs().iter().map(|run| instant(text(run, "started_at"))).collect();
        starts.sort_unstable();
        let meanwhile = starts.iter().filter(|at| (paused_ms + 1..resumed_ms).contains(at)).count();
        assert_eq!(meanwhile, 0, "nothing starts from {paused_ms} to {resumed_ms}: {starts:?}");
        for window in starts.windows(7) {
            assert!(window[6] - window[0] >= 2_000, "7 starts within 2 s: {starts:?}");
        }
        assert_eq!(starts.len(), 24);
    });
}

#[test]
fn the_end_of_a_run_starts_the_next_in_the_same_step() {
    patiently(|| {
        let bed = Bed::new();
        let notes = Notes(&bed);
        let _nodes: Vec<NodeProcess> = ["a", "b"].into_iter().map(|name| bed.start(name)).collect();
        bed.user.ok(&["queues", "set", "q", "--max-running", "1"]);
        let race = bed.race(10, 1, &notes.command("0.1"), "overlap = \"allow\"\nqueue = \"q\"");
        assert!(bed.ended(&race, DEADLINE * 2), "{:#?}", bed.runs());
        let mut spans: Vec<(i64, i64)> = bed
            .runs()
            .iter()
            .map(|run| (instant(text(run, "started_at")), instant(text(run, "finished_at"))))
            .collect();
        spans.sort_unstable();
        assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "one at a time: {spans:?}");
        // One step has one instant, so nobody had to look.
        let at_once = spans.windows(2).filter(|pair| pair[0].1 == pair[1].0).count();
        assert_eq!(at_once, 9, "{spans:?}");
    });
}
