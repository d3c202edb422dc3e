//! Commands that fail, nodes that die: every run ends in exactly one state, and no attempt too many is made.
//!
//! Short here; `scripts/chaos` plays 10,000 runs.

use std::collections::{BTreeMap, BTreeSet};

use upbeat::domain::record::EndedRun;
use upbeat::domain::run::{Reason, State};

use crate::bed::{Bed, DEADLINE, Race, wait_until};
use crate::support::entries::{id, open};
use crate::support::node::{NodeProcess, node};
use crate::support::setting;
use crate::verdict::assert_on_record;

const SEED: u64 = 20_261_121;
/// Shorter than the time between two kills, so that a run is rarely lost as often as upbeat takes it over.
const ARGS: &[&str] = &["--lease", "1s", "--concurrency", "32"];
const NAMES: [&str; 3] = ["a", "b", "c"];
const ATTEMPTS_MAX: u32 = 3;
const POLICIES: &str = "overlap = \"allow\"\ncatch_up = \"all\"\nkeep_runs = 10000\n\
                        retry = { max_attempts = 3, backoff = \"constant\", delay = \"200ms\" }";
/// In the words of the shell and in ours: which attempts fail, 3 of 10, is known beforehand.
const FAILS: &str =
    "h=$(( (16#${UPBEAT_RUN_ID:9:4} + 16#${UPBEAT_RUN_ID:24:8} % 8191 + UPBEAT_ATTEMPT * 31) % 1009 ));";

fn fails(run_id: &str, attempt: u32) -> bool {
    let hex = |from: usize, len: usize| u64::from_str_radix(&run_id[from..from + len], 16).unwrap();
    (hex(9, 4) + hex(24, 8) % 8191 + u64::from(attempt) * 31) % 1009 % 10 < 3
}

/// Kills a node at random instants of the window and starts it again under the same name.
fn kill_at_random(bed: &Bed, race: &Race, nodes: &mut [NodeProcess]) -> usize {
    let mut chance = fastrand::Rng::with_seed(SEED);
    let mut kills = 0;
    let mut at = race.window.start_ms + chance.i64(500..1_500);
    while at < race.window.end_ms() {
        wait_until(at);
        let victim = chance.usize(0..nodes.len());
        nodes[victim].kill9();
        nodes[victim] = node(NAMES[victim], bed.server.url()).args(ARGS).start();
        kills += 1;
        at += chance.i64(1_200..2_800);
    }
    kills
}

/// What is on record of every run, and which are dead letters.
fn records(bed: &Bed, race: &Race) -> (Vec<EndedRun>, BTreeSet<String>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(&bed.server.url(), 1).await;
        let mut runs = Vec::new();
        for entry in &race.entries {
            runs.extend(store.ended_runs(0, &id(entry), 10_000).await.unwrap());
        }
        (runs, store.dead(0).await.unwrap().into_iter().map(|(run_id, _)| run_id).collect())
    })
}

/// Each attempt came to what it had to come to, or was lost with its node; there were as many as the entry allows.
fn assert_attempts(run: &EndedRun) {
    let why = || format!("{run:#?}");
    assert_eq!(run.past.len() as u32 + 1, run.attempt, "{}", why());
    let lost = run.past.iter().filter(|past| past.reason == Some(Reason::Lost)).count() as u32;
    assert_eq!(run.lost, lost + u32::from(run.reason == Some(Reason::Lost)), "{}", why());
    assert!(run.counted() <= ATTEMPTS_MAX && run.lost <= 4 && run.uncounted == 0, "{}", why());
    for (past, attempt) in run.past.iter().zip(1..) {
        match past.reason {
            Some(Reason::Exit) => assert!(fails(&run.run_id, attempt) && past.exit_code == Some(7), "{}", why()),
            Some(Reason::Lost) => {}
            _ => panic!("attempt {attempt} came to something else: {}", why()),
        }
    }
    match (run.state, run.reason) {
        (State::Succeeded, None) => assert!(!fails(&run.run_id, run.attempt), "{}", why()),
        (State::Failed, Some(Reason::Exit)) => {
            assert!(fails(&run.run_id, run.attempt) && run.counted() == ATTEMPTS_MAX, "{}", why());
        }
        (State::Failed, Some(Reason::Lost)) => assert_eq!(run.lost, 4, "{}", why()),
        _ => panic!("it ended otherwise: {}", why()),
    }
}

/// What commands wrote agrees with the records: each attempt that ended by itself was executed, none twice.
fn assert_executed(bed: &Bed, runs: &[EndedRun]) {
    let mut executed: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for line in bed.lines() {
        let attempt = u32::try_from(line.attempt).unwrap();
        let is_new = executed.entry(line.run_id.clone()).or_default().insert(attempt);
        assert!(is_new, "attempt {attempt} of {} was executed twice", line.run_id);
    }
    for run in runs {
        let executed = executed.remove(&run.run_id).unwrap_or_default();
        let own = run.past.iter().zip(1..).filter(|(past, _)| past.reason != Some(Reason::Lost));
        let mut own: BTreeSet<u32> = own.map(|(_, attempt)| attempt).collect();
        if run.reason != Some(Reason::Lost) {
            own.insert(run.attempt);
        }
        assert!(own.is_subset(&executed), "{run:#?} had other attempts than {executed:?}");
        assert!(executed.iter().all(|attempt| *attempt <= run.attempt), "{run:#?}: {executed:?}");
    }
    assert!(executed.is_empty(), "executed and not on record: {executed:?}");
}

#[test]
fn every_run_that_fails_or_loses_its_node_ends_once_within_its_attempts() {
    let wanted: usize = setting("UPBEAT_CHAOS_RUNS").map_or(240, |runs| runs.parse().expect("a number of runs"));
    let bed = Bed::new();
    let mut nodes = NAMES.map(|name| node(name, bed.server.url()).args(ARGS).start_live(&bed.user));
    let entries = (wanted / 12).clamp(1, 40);
    let count = i64::try_from(wanted.div_ceil(entries)).unwrap();
    let race =
        bed.race(entries, count, &bed.command(&format!("{FAILS} sleep 0.4; (( h % 10 >= 3 )) || exit 7")), POLICIES);
    let kills = kill_at_random(&bed, &race, &mut nodes);
    assert!(bed.ended(&race, DEADLINE * 3), "{:#?}", bed.runs());

    let (runs, dead) = records(&bed, &race);
    let ids: BTreeSet<&String> = runs.iter().map(|run| &run.run_id).collect();
    let due = entries * usize::try_from(count).unwrap();
    assert_eq!((ids.len(), runs.len()), (due, due), "one end each");
    runs.iter().for_each(assert_attempts);
    assert_executed(&bed, &runs);
    let failed: BTreeSet<String> =
        runs.iter().filter(|run| run.state == State::Failed).map(|run| run.run_id.clone()).collect();
    assert_eq!(dead, failed, "dead letters are the runs that failed");
    let times: Vec<i64> = race.window.times().collect();
    let views = bed.runs();
    race.entries.iter().for_each(|entry| assert_on_record(&times, entry, &views));
    for (command, name) in [("HLEN", "live"), ("ZCARD", "delayed"), ("ZCARD", "start_by"), ("ZCARD", "leases")] {
        assert_eq!(bed.server.cli(&[command, &format!("upbeat:{{test:0}}:{name}")]), "0", "{name}");
    }
    audit(&bed);
    let lost: u32 = runs.iter().map(|run| run.lost).sum();
    let repeated = runs.iter().filter(|run| run.counted() > 1).count();
    println!(
        "{} runs, {kills} kills: {lost} attempts lost, {repeated} runs retried, {} failed",
        runs.len(),
        dead.len()
    );
    assert!(lost > 0 && repeated > 0 && !dead.is_empty(), "nothing was lost, retried or failed: this shows nothing");
}

/// What the ledger says of it.
fn audit(bed: &Bed) {
    let outcome = bed.user.run(&["audit"]);
    if !outcome.stderr.contains("not in this version yet") {
        let text = outcome.expect_code(0).stdout;
        assert!(text.contains("0 missing, 0 extra"), "{text}");
    }
}

#[test]
fn an_attempt_comes_when_its_wait_is_over_and_not_before_also_where_one_node_is_alone() {
    const WAITS: usize = 4;
    let bed = Bed::new();
    let _node = bed.steady("alone").allow("exec").start_live(&bed.user);
    let retry = format!("max_attempts={},backoff=constant,delay=100ms,jitter=0", WAITS + 1);
    // Longer than a node looks out for what it has just claimed.
    bed.user.ok(&["add", "job", "--every", "10d", "--retry", &retry, "--", "sh", "-c", "sleep 0.4; exit 1"]);
    bed.user.ok(&["trigger", "job"]);
    bed.wait_state("job", "failed", DEADLINE);
    let shown = bed.user.json(&["runs", "show", "job"]);
    let at = |value: &serde_json::Value| chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap();
    let attempts = shown["attempt_log"].as_array().unwrap();
    let pairs = attempts.windows(2);
    let waits: Vec<i64> =
        pairs.map(|pair| (at(&pair[1]["started_at"]) - at(&pair[0]["finished_at"])).num_milliseconds()).collect();
    assert_eq!(waits.len(), WAITS, "{shown:#}");
    assert!(waits.iter().all(|wait| *wait >= 100), "never too early: {waits:?}");
}
