//! Each overlap rule with three nodes, one of which is killed meanwhile: never more runs at once than the rule allows, in order,
//! and every fire time on record with its reason.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bed::{Bed, DEADLINE, Race, in_parallel, is_gone, now_ms, patiently, too_slow, wait_until};
use crate::support::node::NodeProcess;
use crate::support::wait::wait_for;
use crate::verdict::{Deaths, assert_on_record, instant, text};

/// Entries of one rule, seen through a race in which a node is killed.
struct Seen {
    bed: Bed,
    race: Race,
    runs: Vec<Value>,
    /// Reasons of runs that waited, as they were seen meanwhile.
    waited: BTreeMap<String, usize>,
}

/// Plays `entries` entries that fire `count` times, each run `seconds` long, and kills a node in the middle.
fn play(entries: usize, count: i64, seconds: &str, rule: &str) -> Seen {
    patiently(|| play_once(entries, count, seconds, rule))
}

fn play_once(entries: usize, count: i64, seconds: &str, rule: &str) -> Seen {
    let bed = Bed::new();
    let mut nodes: Vec<NodeProcess> = ["a", "b", "c"].into_iter().map(|name| bed.start(name)).collect();
    let race = bed.race(entries, count, &bed.command(&format!("sleep {seconds}")), rule);
    let mut waited = BTreeMap::new();
    for second in 1..count {
        let at_ms = race.window.start_ms + second * 1_000 + 500;
        wait_until(at_ms);
        if second == count / 2 {
            bed.kill_busy(&mut nodes);
        }
        // On a slow machine a look takes longer than a second: those that are overdue are left out, but for the last.
        if now_ms() > at_ms + 500 && second + 1 < count {
            continue;
        }
        for run in bed.runs().iter().filter(|run| run["state"] == "waiting") {
            assert!(run["enqueued_at"].is_null() && run["started_at"].is_null(), "{run:#}");
            *waited.entry(text(run, "reason").to_owned()).or_default() += 1;
        }
    }
    assert!(bed.ended(&race, DEADLINE * 2), "{:#?}", bed.runs());
    let runs = bed.runs();
    let times: Vec<i64> = race.window.times().collect();
    for entry in &race.entries {
        assert_on_record(&times, entry, &runs);
    }
    let verdict = bed.verdict(&race, Deaths::Some);
    assert!(verdict.doubled.is_empty() && verdict.early.is_empty() && verdict.repeated.is_empty(), "{verdict:#?}");
    Seen { bed, race, runs, waited }
}

impl Seen {
    /// Runs of an entry that began, by the time at which they did, of one instant by fire time: start, fire time, end.
    fn began(&self, entry: &str) -> Vec<(i64, i64, i64)> {
        let mine = self.runs.iter().filter(|run| run["entry_id"] == entry && !run["started_at"].is_null());
        let at = |run: &Value, field: &str| instant(text(run, field));
        let mut began: Vec<_> =
            mine.map(|run| (at(run, "started_at"), at(run, "fire_at"), at(run, "finished_at"))).collect();
        began.sort_unstable();
        began
    }

    /// The greatest number of runs of one entry that were active between start and end at one instant.
    fn most_at_once(&self) -> usize {
        let most = |entry: &String| {
            let began = self.began(entry);
            let at_once = |at: i64| began.iter().filter(|(start, _, end)| *start <= at && at < *end).count();
            began.iter().map(|(start, ..)| at_once(*start)).max().unwrap_or(0)
        };
        self.race.entries.iter().map(most).max().unwrap()
    }

    fn assert_in_order(&self) {
        for entry in &self.race.entries {
            let began = self.began(entry);
            let times: Vec<i64> = began.iter().map(|(_, fire_at, _)| *fire_at).collect();
            assert!(times.is_sorted(), "{entry}: {began:?}");
        }
    }

    fn count(&self, state: &str, reason: Option<&str>) -> usize {
        let is = |run: &&Value| run["state"] == state && run["reason"].as_str() == reason;
        self.runs.iter().filter(is).count()
    }

    /// All records are of these kinds.
    fn assert_only(&self, kinds: &[(&str, Option<&str>)]) {
        let known: usize = kinds.iter().map(|(state, reason)| self.count(state, *reason)).sum();
        assert_eq!(known, self.runs.len(), "{kinds:?}: {:#?}", self.runs);
    }

    /// A run was lost with its node and repeated: else the kill shows nothing.
    fn assert_lost_some(&self) {
        assert!(self.runs.iter().any(|run| run["lost"] != 0), "no run was lost with the node");
        assert!(self.bed.lines().iter().any(|line| line.attempt > 1));
    }
}

const SUCCEEDED: (&str, Option<&str>) = ("succeeded", None);
const SKIPPED: (&str, Option<&str>) = ("skipped", Some("overlap"));
const CANCELLED: (&str, Option<&str>) = ("cancelled", Some("cancel_other"));

#[test]
fn skip_and_allow_across_a_fleet() {
    let (skip, allow) =
        in_parallel(|| play(4, 8, "1.4", "overlap = \"skip\""), || play(4, 8, "1.4", "overlap = \"allow\""));
    assert_eq!(skip.most_at_once(), 1);
    skip.assert_only(&[SUCCEEDED, SKIPPED]);
    assert!(skip.count("skipped", Some("overlap")) >= 8 && skip.waited.is_empty());
    skip.assert_lost_some();
    assert!(allow.most_at_once() >= 2 && allow.waited.is_empty());
    allow.assert_only(&[SUCCEEDED]);
    allow.assert_lost_some();
}

#[test]
fn max_running_across_a_fleet() {
    let seen = play(4, 9, "2.6", "overlap = \"allow\"\nmax_running = 2");
    assert_eq!(seen.most_at_once(), 2);
    seen.assert_in_order();
    seen.assert_only(&[SUCCEEDED]);
    assert!(seen.waited.keys().eq(["limit"]), "{:?}", seen.waited);
    seen.assert_lost_some();
}

#[test]
fn buffer_one_and_buffer_all_across_a_fleet() {
    let (one, all) =
        in_parallel(|| play(4, 9, "1.7", "overlap = \"buffer_one\""), || play(4, 7, "1.7", "overlap = \"buffer_all\""));
    for seen in [&one, &all] {
        assert_eq!(seen.most_at_once(), 1);
        seen.assert_in_order();
        assert!(seen.waited.keys().eq(["overlap"]), "{:?}", seen.waited);
        seen.assert_lost_some();
    }
    one.assert_only(&[SUCCEEDED, SKIPPED]);
    assert!(one.count("skipped", Some("overlap")) >= 4, "{:#?}", one.runs);
    all.assert_only(&[SUCCEEDED]);
}

#[test]
fn buffer_all_is_bounded_across_a_fleet() {
    let bed = Bed::new();
    let mut nodes: Vec<NodeProcess> = ["a", "b", "c"].into_iter().map(|name| bed.start(name)).collect();
    let gate = bed.user.dir().join("open");
    let command = bed.command(&format!("while ! [ -e {} ]; do sleep 0.05; done", gate.display()));
    bed.user.file(
        "one.toml",
        &format!("[entries.a]\nevery = \"1d\"\noverlap = \"buffer_all\"\nkeep_runs = 1000\nexec = {command}\n"),
    );
    bed.user.ok(&["apply", "-f", "one.toml"]);
    let made: Vec<Value> = (0..104).map(|_| bed.user.json(&["trigger", "a"])).collect();
    let count = |state: &str| made.iter().filter(|run| run["state"] == state).count();
    assert_eq!(count("skipped"), 3, "one is active, 100 wait");
    assert!(made[101..].iter().all(|run| run["state"] == "skipped" && run["reason"] == "overlap"));
    bed.kill_busy(&mut nodes);
    bed.user.file("open", "");
    wait_for("all have ended", DEADLINE * 3, || bed.runs().iter().all(|run| !run["finished_at"].is_null()));
    let mut runs = bed.runs();
    runs.retain(|run| run["state"] == "succeeded");
    runs.sort_by_key(|run| instant(text(run, "started_at")));
    assert_eq!(runs.len(), 101);
    let order: Vec<i64> = runs.iter().map(|run| instant(text(run, "fire_at"))).collect();
    assert!(order.is_sorted(), "as they were asked for");
    for pair in runs.windows(2) {
        assert!(instant(text(&pair[0], "finished_at")) <= instant(text(&pair[1], "started_at")), "{pair:#?}");
    }
}

#[test]
fn cancel_other_across_a_fleet() {
    patiently(cancels_other);
}

fn cancels_other() {
    let bed = Bed::new();
    let mut nodes: Vec<NodeProcess> = ["a", "b", "c"].into_iter().map(|name| bed.start(name)).collect();
    let groups = bed.user.dir().join("groups");
    // A group of two; the shell leads it.
    let rest = format!("echo $UPBEAT_RUN_ID $$ >> {}; sleep 300 & sleep 300", groups.display());
    let race = bed.race(2, 7, &bed.command(&rest), "overlap = \"cancel_other\"");
    wait_until(race.window.start_ms + 2_600);
    bed.kill_busy(&mut nodes);
    wait_until(race.window.end_ms());
    // The last ones run on: nobody takes their place.
    let last = race.window.times().last().unwrap();
    let is_last = |run: &&Value| instant(text(run, "fire_at")) == last;
    wait_for("the last ones run, the others have ended", DEADLINE, || {
        let runs = bed.runs();
        let (last, others): (Vec<_>, Vec<_>) = runs.iter().partition(is_last);
        last.len() == 2
            && last.iter().all(|run| run["state"] == "running")
            && others.iter().all(|run| !run["finished_at"].is_null())
    });
    let runs = bed.runs();
    let ended: Vec<&Value> = runs.iter().filter(|run| !is_last(run)).collect();
    assert_eq!(ended.len(), 12);
    assert!(ended.iter().all(|run| (text(run, "state"), run["reason"].as_str()) == CANCELLED), "{ended:#?}");
    for entry in &race.entries {
        let mine = runs.iter().filter(|run| run["entry_id"] == *entry && !run["started_at"].is_null());
        let mut spans: Vec<(i64, i64)> = mine
            .map(|run| (instant(text(run, "started_at")), run["finished_at"].as_str().map_or(i64::MAX, instant)))
            .collect();
        spans.sort_unstable();
        assert!(
            spans.windows(2).all(|pair| pair[0].1 <= pair[1].0),
            "{entry}: one begins when the other has ended {spans:?}"
        );
        if spans.len() < 3 {
            too_slow("most runs were cancelled before they began");
        }
    }
    // Of whatever was started nothing is left but the last ones.
    let lines = std::fs::read_to_string(&groups).unwrap();
    let active: Vec<&str> = runs.iter().filter(is_last).map(|run| text(run, "run_id")).collect();
    let gone = lines.lines().map(|line| line.split_once(' ').unwrap()).filter(|(run, _)| !active.contains(run));
    let gone: Vec<i32> = gone.map(|(_, group)| group.parse().unwrap()).collect();
    assert!(gone.len() >= 4, "each that began wrote its group: {lines}");
    wait_for("their processes are gone", DEADLINE, || gone.iter().all(|group| is_gone(*group)));
}
