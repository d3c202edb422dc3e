//! Nodes that die at whatever instruction they are, again and again.

use crate::bed::{Bed, DEADLINE, Race, patiently, wait_until};
use crate::support::node::{NodeProcess, node};
use crate::support::wait::wait_for;
use crate::verdict::{Deaths, assert_on_record};

const SEED: u64 = 20_261_120;
const ARGS: &[&str] = &["--lease", "2s", "--concurrency", "32"];
const NAMES: [&str; 3] = ["a", "b", "c"];

/// Kills a node every 2 s of the window, once in the midst of a command, and starts it again under the same name.
fn kill_every_2_s(bed: &Bed, race: &Race, nodes: &mut [NodeProcess]) -> usize {
    let mut chance = fastrand::Rng::with_seed(SEED);
    let mut kills = 0;
    // At a different place within the second each time: before, at and after the fire times.
    let mut at = race.window.start_ms + 1_000 + chance.i64(0..300);
    while at < race.window.end_ms() {
        wait_until(at);
        // Upbeat gives a run up that is lost four times: on a slow machine the next kill waits for what was lost before.
        wait_for("nothing has been lost twice", DEADLINE, || !is_lost_twice(bed));
        let victim = if kills == 1 { bed.kill_busy(nodes) } else { chance.usize(0..nodes.len()) };
        nodes[victim].kill9();
        nodes[victim] = node(NAMES[victim], bed.server.url()).args(ARGS).start();
        kills += 1;
        at = race.window.start_ms + 1_000 + kills * 2_000 + chance.i64(0..300);
    }
    usize::try_from(kills).unwrap()
}

fn is_lost_twice(bed: &Bed) -> bool {
    let active = bed.user.json(&["runs", "--state", "queued,running,waiting", "--limit", "0"]);
    active.as_array().unwrap().iter().any(|run| run["lost"].as_u64() >= Some(2))
}

#[test]
fn kill_minus_9_every_2_s_loses_and_doubles_nothing() {
    patiently(|| {
        let bed = Bed::new();
        let mut nodes = NAMES.map(|name| node(name, bed.server.url()).args(ARGS).start_live(&bed.user));
        let policies = "overlap = \"allow\"\ncatch_up = \"all\"";
        let race = bed.race(24, 14, &bed.command("sleep 0.2"), policies);
        assert!(kill_every_2_s(&bed, &race, &mut nodes) >= 6);
        assert!(bed.ended(&race, DEADLINE * 3), "{:#?}", bed.verdict(&race, Deaths::Some));
        bed.verdict(&race, Deaths::Some).assert_clean();
        let repeated = bed.lines().iter().filter(|line| line.attempt > 1).count();
        assert!(repeated > 0, "a node died while it executed");
    });
}

#[test]
fn with_the_defaults_every_fire_time_is_a_run_or_on_record() {
    patiently(|| {
        let bed = Bed::new();
        let mut nodes = NAMES.map(|name| node(name, bed.server.url()).args(ARGS).start_live(&bed.user));
        let race = bed.race(12, 12, &bed.command("sleep 1.3"), "");
        assert!(kill_every_2_s(&bed, &race, &mut nodes) >= 5);
        assert!(bed.ended(&race, DEADLINE * 3), "{:#?}", bed.runs());
        let runs = bed.runs();
        let times: Vec<i64> = race.window.times().collect();
        for entry in &race.entries {
            assert_on_record(&times, entry, &runs);
        }
        let count = |state: &str| runs.iter().filter(|run| run["state"] == state).count();
        assert!(count("succeeded") > 0 && count("skipped") > 0, "a run of 1.3 s is still active at the next fire time");
    });
}
