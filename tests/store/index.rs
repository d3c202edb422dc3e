//! The streams of what happened: bounded by what their lines stand for, and by age; what is read of them for lists of runs.

use serde_json::{Value, json};
use upbeat::domain::run::{State, Trigger};
use upbeat::service::{RunFilter, Service};
use upbeat::store::{EndedAs, Log};

use crate::support::entries::id;
use crate::support::hand::{Hand, World, ended};

fn every(span: &str) -> Value {
    json!({"every": span, "shell": "true", "overlap": "allow"})
}

/// Runs that the lines of `moves` stand for.
async fn held(world: &World, log: Log) -> usize {
    let lines = world.store.log_before(0, log, None, None, 100_000).await.unwrap();
    let runs = |fields: &[(String, String)]| {
        fields.iter().find(|(name, _)| name == "runs").map_or(1, |(_, runs)| runs.split('\n').count() / 2)
    };
    lines.iter().map(|line| runs(&line.fields)).sum()
}

#[tokio::test]
async fn the_log_of_moves_holds_its_number_of_runs_and_the_newest_of_them() {
    let world = World::new().await;
    // Redis takes whole nodes off a stream.
    world.redis.cli(&["CONFIG", "SET", "stream-node-max-entries", "1"]);
    let names: Vec<String> = (0..50).map(|number| format!("e-{number}")).collect();
    let entries: Vec<(&str, Value)> = names.iter().map(|name| (name.as_str(), every("1s"))).collect();
    world.add(&entries).await;
    let mut hand = Hand::new(&world.store, 'a');
    for step in 1..=40 {
        // As many as stand in a tenth came before, but for a few.
        world.on("HSET", "clock", &["moves_count", &(step * 10_000 - 20).to_string()]);
        world.pass(1_000);
        hand.settle(0).await;
    }
    let lines = world.store.log_before(0, Log::Moves, None, None, 100).await.unwrap();
    assert!((10..=12).contains(&lines.len()), "{} lines", lines.len());
    assert_eq!(held(&world, Log::Moves).await, lines.len() * 50);
    let newest = lines[0].fields.iter().find(|(name, _)| name == "c").unwrap();
    assert_eq!(newest.1, "400030");
    assert_eq!(world.on("XLEN", "ended", &[]), "0");
}

#[tokio::test]
async fn a_burst_costs_no_more_of_the_log_than_it_stands_for() {
    let world = World::new().await;
    world.redis.cli(&["CONFIG", "SET", "stream-node-max-entries", "1"]);
    world.add(&[("a", every("1s"))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    for _ in 0..30 {
        world.pass(1_000);
        hand.settle(0).await;
    }
    let names: Vec<String> = (0..250).map(|number| format!("e-{number}")).collect();
    let burst: Vec<(&str, Value)> = names.iter().map(|name| (name.as_str(), every("1h"))).collect();
    world.add(&burst).await;
    world.pass(3_600_000);
    hand.settle(0).await;
    let before = held(&world, Log::Moves).await;
    assert!(before >= 30 + 250, "{before}");
}

#[tokio::test]
async fn what_is_older_than_thirty_days_is_dropped_once_an_hour_and_nothing_younger() {
    let world = World::new().await;
    let kept = json!({"every": "1s", "shell": "true", "overlap": "allow", "keep_runs": 100});
    world.add(&[("old", kept.clone()), ("both", kept), ("m", json!({"every": "1h", "list": "out"}))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    let mut run = async |count: usize| {
        for _ in 0..count {
            world.pass(1_000);
            hand.settle(0).await;
            let fetched = hand.fetch(10).await;
            let ends: Vec<_> = fetched.iter().map(|run| ended(run, EndedAs::Failed)).collect();
            hand.work(0, 0, &ends).await;
        }
    };
    run(20).await;
    crate::support::changes::change(&world.store, "old", upbeat::store::Verb::Remove, json!({})).await;
    world.pass(20 * 86_400_000);
    run(2).await;
    assert_eq!(world.store.age_runs(0).await.unwrap(), Some(upbeat::store::AgedRuns::default()), "all are young");
    world.pass(11 * 86_400_000);
    let (records, lines) = (world.ended("both").await.len(), world.on("XLEN", "moves", &[]));
    let aged = world.store.age_runs(0).await.unwrap().expect("an hour has passed");
    assert!(aged.lines > 0 && aged.chunks >= 2, "{aged:?}");
    assert_eq!(world.ended("old").await, []);
    let both = world.ended("both").await;
    assert!(both.len() < records && both.len() >= 2, "{} of {records}", both.len());
    let month = world.store.now(0).await.unwrap().0 - 30 * 86_400_000;
    for log in Log::ALL {
        let lines = world.store.log_before(0, log, None, None, 10_000).await.unwrap();
        assert!(lines.iter().all(|line| line.position.at().0 >= month), "{log:?}");
    }
    assert!(world.on("XLEN", "moves", &[]).parse::<i64>().unwrap() >= 2, "of {lines}");
    assert_eq!(world.store.age_runs(0).await.unwrap(), None, "another node comes within the hour");
    run(2).await;
    assert!(world.ended("both").await.len() > both.len(), "the ring goes on");
    world.assert_conserved();
}

#[tokio::test]
async fn a_chunk_that_cannot_be_read_is_left_alone() {
    let world = World::with(&[("a", every("1s"))]).await;
    world.on("HSET", "history", &["a", "x", "b", "", "c!", "\u{1}\u{1}\u{1}\u{1}\u{1}\u{7f}\u{7f}x"]);
    assert_eq!(world.store.age_runs(0).await.unwrap().map(|aged| aged.chunks), Some(2), "those that hold nothing");
    assert_eq!(world.on("HKEYS", "history", &[]), "c!");
}

#[tokio::test]
async fn runs_in_a_state_are_found_without_reading_the_history_of_every_entry() {
    let world = World::new().await;
    let names: Vec<String> = (0..400).map(|number| format!("e-{number}")).collect();
    let entries: Vec<(&str, Value)> = names.iter().map(|name| (name.as_str(), every("1h"))).collect();
    world.add(&entries).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(3_600_000);
    hand.settle(0).await;
    let mut failed = Vec::new();
    for page in 0..4 {
        let fetched = hand.fetch(100).await;
        let end = |(at, run)| ended(run, if at == 50 { EndedAs::Failed } else { EndedAs::Succeeded });
        failed.push(fetched[50].run.entry_id.clone());
        let ends: Vec<_> = fetched.iter().enumerate().map(end).collect();
        hand.work(0, 0, &ends).await;
        assert_eq!(failed.len(), page + 1);
    }
    let service = Service::new(world.store.clone());
    world.redis.cli(&["CONFIG", "RESETSTAT"]);
    let filter = RunFilter { states: vec![State::Failed], limit: Some(50), ..RunFilter::default() };
    let found = service.runs(&filter).await.unwrap();
    let reads = world.redis.calls_of("hmget");
    assert!(reads < 30, "{reads} reads");
    let mut ids: Vec<String> = found.runs.iter().map(|run| run.entry_id.clone()).collect();
    ids.sort();
    failed.sort();
    assert_eq!((ids, found.found, found.is_all), (failed, 4, true));
}

#[tokio::test]
async fn every_filter_of_runs_tells_the_truth() {
    let world = World::with(&[("a", every("10s")), ("m", json!({"every": "10s", "list": "out"}))]).await;
    let skip = json!({"every": "10s", "shell": "true", "catch_up": {"mode": "all", "per_minute": 1}});
    world.add(&[("late", skip)]).await;
    let begun = world.store.now(0).await.unwrap();
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    hand.settle(0).await;
    hand.work_off(0).await;
    world.pass(300_000);
    hand.settle(0).await;
    let running = hand.fetch(1).await.remove(0);
    let service = Service::new(world.store.clone());
    let all = service.runs(&RunFilter::default()).await.unwrap().runs;
    let is_of = |filter: &RunFilter, index: usize| filter.matches(&all[index]);
    let states = [
        vec![State::Succeeded],
        vec![State::Running],
        vec![State::Waiting],
        vec![State::Missed],
        vec![State::Queued, State::Succeeded],
        vec![State::Skipped],
    ];
    let base = RunFilter { limit: Some(1_000), ..RunFilter::default() };
    let mut filters: Vec<RunFilter> = states.into_iter().map(|states| RunFilter { states, ..base.clone() }).collect();
    for trigger in [Trigger::Scheduled, Trigger::CatchUp, Trigger::Manual] {
        filters.push(RunFilter { trigger: Some(trigger), ..base.clone() });
    }
    for node in ["hand", "nobody"] {
        filters.push(RunFilter { node: Some(node.to_owned()), ..base.clone() });
    }
    filters.push(RunFilter { since: Some(upbeat::domain::timestamp::Timestamp(begun.0 + 100_000)), ..base.clone() });
    filters.push(RunFilter { until: Some(upbeat::domain::timestamp::Timestamp(begun.0 + 100_000)), ..base.clone() });
    filters.push(RunFilter { entry: Some(id("m")), states: vec![State::Missed], ..base });
    for filter in &filters {
        let found = service.runs(filter).await.unwrap();
        let expected: Vec<&str> =
            (0..all.len()).filter(|at| is_of(filter, *at)).map(|at| all[at].run_id.as_str()).collect();
        assert_eq!(found.runs.iter().map(|run| run.run_id.as_str()).collect::<Vec<_>>(), expected, "{filter:?}");
        assert_eq!((found.found, found.is_all), (expected.len(), true), "{filter:?}");
    }
    let empty = filters.iter().filter(|filter| !(0..all.len()).any(|at| is_of(filter, at))).count();
    assert!(empty <= 4, "most find something");
    assert!(all.iter().any(|run| run.run_id == running.run.run_id && run.state == "running"));
}
