//! Entries that are changed while all nodes are down and fire times pass: none is dropped.

use serde_json::Value;

use crate::bed::{Bed, DEADLINE, now_ms, patiently, still_before, wait_until};
use crate::support::wait::wait_for;
use crate::verdict::{assert_on_record, text};

/// From the death of the last node to the change: longer than a fire time may wait without being late.
const DOWN_MS: i64 = 6_500;

#[test]
fn overdue_entries_that_are_set_paused_or_removed_without_nodes_leave_no_gap() {
    patiently(|| {
        let bed = Bed::new();
        let mut node = bed.start("a");
        let race = bed.race(5, 14, &bed.command("true"), "overlap = \"allow\"");
        let [set, paused, removed, resumed, left] = &race.entries[..] else { panic!("five entries") };
        wait_until(race.window.start_ms + 1_500);
        node.kill9();
        wait_until(race.window.start_ms + 1_500 + DOWN_MS);

        bed.user.ok(&["set", set, "--note", "changed while it was overdue"]);
        bed.user.ok(&["pause", paused, resumed]);
        still_before(race.window.end_ms() - 1_000, "the last fire time passed before the pause");
        let before_ms = now_ms();
        bed.user.ok(&["rm", removed]);
        let after_ms = now_ms();
        node = bed.start("a");
        bed.user.ok(&["resume", resumed]);
        wait_until(race.window.end_ms());
        bed.user.ok(&["resume", paused]);

        let due: Vec<i64> = race.window.times().collect();
        let sum = |entry: &str| -> u64 {
            let runs = bed.user.json(&["runs", entry, "--limit", "0"]);
            runs.as_array().unwrap().iter().map(|run| run["fires"].as_u64().unwrap()).sum()
        };
        for entry in [set, paused, resumed, left] {
            wait_for(&format!("all of {entry} is on record"), DEADLINE, || sum(entry) >= due.len() as u64);
        }
        let is_active = |run: &Value| ["queued", "running", "waiting", "retrying"].contains(&text(run, "state"));
        wait_for("nothing is active", DEADLINE, || !bed.runs().iter().any(is_active));
        let runs = bed.runs();
        for entry in [set, paused, resumed, left] {
            assert_on_record(&due, entry, &runs);
        }
        let until = |last_ms: i64| -> Vec<i64> { due.iter().copied().filter(|&time| time <= last_ms).collect() };
        // A fire time that falls into the call of `rm` itself belongs to either side.
        let settled = if sum(removed) == until(after_ms).len() as u64 { until(after_ms) } else { until(before_ms) };
        assert_on_record(&settled, removed, &runs);
        let reasons = |entry: &str, state: &str| -> Vec<String> {
            let of_it = runs.iter().filter(|run| run["entry_id"] == entry && run["state"] == state);
            of_it.map(|run| text(run, "reason").to_owned()).collect()
        };
        assert!(reasons(removed, "missed").contains(&"removed".to_owned()), "{runs:#?}");
        assert_eq!(reasons(paused, "missed"), ["paused"], "what was overdue when it was paused");
        assert_eq!(reasons(paused, "skipped"), ["paused"], "what passed while it was paused, as one range");
        assert_eq!(node.status(), None);
    });
}
