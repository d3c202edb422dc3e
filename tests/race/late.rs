//! Catch-up with a fleet that was gone: three nodes are killed, the shard's clock goes on, three others come.

use serde_json::Value;

use crate::bed::{Bed, DEADLINE, in_parallel, patiently, rfc3339, still_before, too_slow};
use crate::support::clock;
use crate::support::node::NodeProcess;
use crate::support::wait::wait_for;
use crate::verdict::{assert_on_record, instant, text};

const MODES: [&str; 4] = ["\"latest\"", "\"none\"", "\"all\"", "{ mode = \"all\", max_runs = 10, per_minute = 240 }"];

/// A fleet whose Redis lets time jump.
struct Fleet {
    bed: Bed,
    nodes: Vec<NodeProcess>,
    ahead_ms: i64,
}

impl Fleet {
    fn new() -> Self {
        let mut fleet = Self { bed: Bed::new(), nodes: Vec::new(), ahead_ms: 0 };
        fleet.start();
        fleet.nodes.iter_mut().for_each(|node| node.wait_live(&fleet.bed.user));
        fleet
    }

    fn start(&mut self) {
        self.nodes = ["a", "b", "c"].into_iter().map(|name| self.bed.node(name).start()).collect();
    }

    fn jump(&mut self, ms: i64) {
        self.ahead_ms += ms;
        clock::jump(&self.bed.server, "test", 1, self.ahead_ms);
    }

    /// The shard's time.
    fn now(&self) -> i64 {
        self.bed.server.now_ms() + self.ahead_ms
    }

    fn kill(&mut self) {
        self.nodes.iter_mut().for_each(NodeProcess::kill9);
    }

    /// All nodes are gone for this long.
    fn stay_away(&mut self, ms: i64) {
        self.kill();
        self.jump(ms);
        self.start();
    }

    /// No node fires this time of the shard: all are gone before.
    fn kill_before(&mut self, at_ms: i64) {
        self.kill();
        still_before(at_ms - self.ahead_ms, "the next fire time came before all nodes were dead");
    }

    /// Other nodes come when it is this late for the shard.
    fn wake_at(&mut self, at_ms: i64) {
        self.jump(at_ms - self.now());
        self.start();
    }

    /// An entry per mode, `m0` and so on.
    fn apply(&self, when: &str) {
        let entry = |(number, mode): (usize, &&str)| {
            format!(
                "[entries.m{number}]\n{when}\nexec = [\"true\"]\noverlap = \"allow\"\ncatch_up = {mode}\nkeep_runs = 1000\n"
            )
        };
        self.bed.user.file("modes.toml", &MODES.iter().enumerate().map(entry).collect::<String>());
        self.bed.user.ok(&["apply", "-f", "modes.toml"]);
    }

    fn of(&self, entry: &str) -> Vec<Value> {
        let mut runs = self.bed.user.json(&["runs", entry, "--limit", "0"]).as_array().unwrap().clone();
        runs.sort_by_key(|run| instant(text(run, "fire_at")));
        runs
    }

    fn sum(&self, entry: &str) -> usize {
        self.of(entry).iter().map(fires).sum()
    }

    /// Waits until `count` fire times of each mode are on record and nothing is active.
    fn wait_all(&self, count: usize, patience: u32) {
        wait_for("every fire time of every mode has ended", DEADLINE * patience, || {
            (0..MODES.len()).all(|number| {
                let runs = self.of(&format!("m{number}"));
                runs.iter().map(fires).sum::<usize>() >= count
                    && runs.iter().all(|run| !["waiting", "queued", "running"].contains(&text(run, "state")))
            })
        });
    }
}

fn fires(run: &Value) -> usize {
    run["fires"].as_u64().unwrap() as usize
}

fn is_missed(run: &Value, reason: &str) -> bool {
    run["state"] == "missed" && run["reason"] == reason
}

#[test]
fn thirty_seconds_without_nodes_follow_each_mode_of_an_entry_of_one_second() {
    patiently(|| {
        let mut fleet = Fleet::new();
        let start = (fleet.now() + fleet.bed.room_ms(1)) / 1_000 * 1_000 + 1_000;
        let end = start + 45_000;
        fleet.apply(&format!("every = \"1s\"\nstart = \"{}\"\nend = \"{}\"", rfc3339(start), rfc3339(end)));
        still_before(start, "the first fire time passed before it was written");
        wait_for("the fleet fires", DEADLINE, || (0..MODES.len()).all(|number| fleet.sum(&format!("m{number}")) >= 2));
        fleet.stay_away(30_000);
        fleet.wait_all(45, 4);
        // What was 5 s old or younger when the fleet came back fired at once, as 5 or 6 scheduled runs.
        let found = |run: &Value| is_missed(run, "too_late").then(|| run["finished_at"].as_str().map(instant))?;
        let first_look = fleet.of("m1").iter().find_map(found).expect("something was too late");
        if first_look >= end {
            too_slow("the fleet came back after the last fire time");
        }
        let times: Vec<i64> = (0..45).map(|k| start + k * 1_000).collect();
        let runs: Vec<Vec<Value>> = (0..MODES.len()).map(|number| fleet.of(&format!("m{number}"))).collect();
        for (number, runs) in runs.iter().enumerate() {
            assert_on_record(&times, &format!("m{number}"), runs);
            assert!(runs.iter().all(|run| run["state"] == "succeeded" || run["state"] == "missed"), "{runs:#?}");
        }
        // Of all modes the same fire times were late: one claim found them.
        let late = |run: &&Value| run["trigger"] == "catch_up" || run["state"] == "missed";
        let counts: Vec<usize> = runs.iter().map(|runs| runs.iter().filter(late).map(fires).sum()).collect();
        assert!(counts.iter().all(|count| *count == counts[0] && (23..=40).contains(count)), "{counts:?}");
        let ranges = |number: usize, reason: &str| -> Vec<Value> {
            runs[number].iter().filter(|run| is_missed(run, reason)).cloned().collect()
        };
        for (number, reason) in [(0, "superseded"), (1, "too_late")] {
            let ranges = ranges(number, reason);
            assert_eq!(ranges.len(), 1, "one record: {ranges:#?}");
            let span = instant(text(&ranges[0], "last_fire_at")) - instant(text(&ranges[0], "fire_at"));
            assert_eq!(span, (counts[0] as i64 - 1) * 1_000);
            assert!(
                runs[number].iter().all(|run| run["trigger"] == "scheduled"),
                "what is not late fires as if nothing happened"
            );
        }
        // `all`: each runs, oldest first, one a second; with max_runs the newest ten.
        for (number, count, apart) in [(2, counts[0], 950), (3, 10, 240)] {
            let caught: Vec<&Value> = runs[number].iter().filter(|run| run["trigger"] == "catch_up").collect();
            assert_eq!(caught.len(), count);
            let begun: Vec<i64> = caught.iter().map(|run| instant(text(run, "enqueued_at"))).collect();
            assert!(begun.windows(2).all(|pair| pair[1] - pair[0] >= apart), "{begun:?}");
        }
        let dropped = ranges(3, "catch_up_limit");
        assert_eq!((dropped.len(), fires(&dropped[0])), (1, counts[0] - 10));
        let last_late = runs[1]
            .iter()
            .find(|run| is_missed(run, "too_late"))
            .map(|run| instant(text(run, "last_fire_at")))
            .unwrap();
        assert!((5_001..=6_000).contains(&(first_look - last_late)), "{first_look} {last_late}");
        let young = runs[1].iter().filter(|run| {
            run["state"] == "succeeded" && (last_late..first_look).contains(&instant(text(run, "fire_at")))
        });
        assert!((5..=6).contains(&young.count()));
    });
}

#[test]
fn ninety_seconds_without_nodes_follow_each_mode_of_an_entry_of_one_minute() {
    // As a period, and written so that no period can be seen in it.
    let play = |when: &'static str| move || patiently(|| sleeps_over_minutes(when));
    in_parallel(play("cron = \"* * * * *\""), play("cron = [\"* * * * 1-4\", \"* * * * 5-7\"]"));
}

fn sleeps_over_minutes(when: &str) {
    let mut fleet = Fleet::new();
    // To 10 s after a full minute.
    fleet.jump(70_000 - fleet.now() % 60_000);
    let first = fleet.now() / 60_000 * 60_000 + 60_000;
    fleet.apply(when);
    fleet.kill_before(first);
    // The newest one is not late before it is 60 s old.
    fleet.wake_at(first + 20_000);
    fleet.wait_all(1, 2);
    fleet.kill_before(first + 60_000);
    for number in 0..MODES.len() {
        let runs = fleet.of(&format!("m{number}"));
        assert_eq!(runs.len(), 1, "{runs:#?}");
        assert!(runs[0]["trigger"] == "scheduled" && runs[0]["state"] == "succeeded", "{runs:#?}");
    }
    // To 15 s after a minute: that before it has a newer one beside it.
    fleet.wake_at(first + 135_000);
    fleet.wait_all(3, 2);
    fleet.kill_before(first + 180_000);
    let states: Vec<Vec<(String, String)>> = (0..MODES.len())
        .map(|number| {
            let runs = fleet.of(&format!("m{number}"));
            assert_on_record(&[first, first + 60_000, first + 120_000], &format!("m{number}"), &runs);
            runs.iter()
                .skip(1)
                .map(|run| {
                    (
                        text(run, "state").to_owned(),
                        run["reason"].as_str().unwrap_or_else(|| text(run, "trigger")).to_owned(),
                    )
                })
                .collect()
        })
        .collect();
    let pair = |state: &str, word: &str| (state.to_owned(), word.to_owned());
    let last = pair("succeeded", "scheduled");
    assert_eq!(states[0], [pair("missed", "superseded"), last.clone()]);
    assert_eq!(states[1], [pair("missed", "too_late"), last.clone()]);
    assert_eq!(states[2], [pair("succeeded", "catch_up"), last.clone()]);
    assert_eq!(states[3], [pair("succeeded", "catch_up"), last]);
}

#[test]
fn a_thousand_fire_times_dropped_at_once_are_one_record() {
    let mut fleet = Fleet::new();
    fleet.apply("every = \"1s\"");
    wait_for("the fleet fires", DEADLINE, || fleet.sum("m0") >= 1 && fleet.sum("m1") >= 1);
    let asleep_ms = fleet.now();
    fleet.stay_away(1_010_000);
    let mut late = 0;
    for (entry, reason) in [("m0", "superseded"), ("m1", "too_late")] {
        wait_for("what was late is on record", DEADLINE, || fleet.of(entry).iter().any(|run| is_missed(run, reason)));
        let runs = fleet.of(entry);
        let missed: Vec<&Value> = runs.iter().filter(|run| run["state"] == "missed").collect();
        assert_eq!(missed.len(), 1, "{missed:#?}");
        late = fires(missed[0]);
        let away = (fleet.now() - asleep_ms) / 1_000;
        assert!((1_000..=away).contains(&(late as i64)), "gone for less than {away} s: {:#}", missed[0]);
        let span = instant(text(missed[0], "last_fire_at")) - instant(text(missed[0], "fire_at"));
        assert_eq!(span, (fires(missed[0]) as i64 - 1) * 1_000, "range and count agree");
    }
    // With `all` the newest hundred wait for their turn; the others are one record, too.
    wait_for("what is beyond is on record", DEADLINE, || {
        fleet.of("m2").iter().any(|run| is_missed(run, "catch_up_limit"))
    });
    let beyond = fleet.of("m2").into_iter().filter(|run| is_missed(run, "catch_up_limit")).map(|run| fires(&run));
    let beyond: Vec<usize> = beyond.collect();
    assert_eq!(beyond, [late - 100], "all were found at once");
}
