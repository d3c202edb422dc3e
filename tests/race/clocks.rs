//! Nodes whose own clock is an hour wrong: only Redis' clock counts.

use crate::bed::{Bed, DEADLINE, in_parallel, patiently};
use crate::verdict::{Deaths, instant, text};

/// Far less than the clocks are wrong, far more than a slow machine needs to begin a command.
const LATE_MS: i64 = 60_000;

/// A fleet whose clocks are all wrong fires as any other: nobody else could hide what it does.
fn fires_in_time_with_clock(offset: &str) {
    let bed = Bed::new();
    let _nodes = ["a", "b"].map(|name| bed.steady(name).with_clock(offset).start_live(&bed.user));
    let skews = bed.user.json(&["nodes"]);
    let is_wrong = |node: &serde_json::Value| node["clock_skew_ms"].as_i64().unwrap().abs() > 3_500_000;
    assert!(skews.as_array().unwrap().iter().all(is_wrong), "the clocks are right: {skews:#}");
    let race = bed.race(10, 4, &bed.command("true"), "overlap = \"allow\"\ncatch_up = \"all\"");
    assert!(bed.ended(&race, DEADLINE), "{:#?}", bed.verdict(&race, Deaths::None));
    bed.verdict(&race, Deaths::None).assert_clean();
    for run in bed.runs() {
        let late_ms = instant(text(&run, "started_at")) - instant(text(&run, "fire_at"));
        assert!(late_ms < LATE_MS, "{late_ms} ms late: {run:#}");
    }
    for line in bed.lines() {
        let late_ms = line.at_ms - line.fire_at;
        assert!(late_ms < LATE_MS, "executed {late_ms} ms late: {line:?}");
    }
}

#[test]
fn nodes_an_hour_ahead_or_behind_fire_nothing_early_or_late() {
    let play = |offset: &'static str| move || patiently(|| fires_in_time_with_clock(offset));
    in_parallel(play("+3600s"), play("-3600s"));
}
