//! A whole node behind a connection that is cut again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use upbeat::config::Connection;
use upbeat::domain::id::Namespace;
use upbeat::{node, shutdown};

use crate::support::entries::id;
use crate::support::hand::{World, distinct};
use crate::support::proxy::Proxy;
use crate::support::wait::{DEADLINE, until};
use crate::web::{Requests, config, no_gap, serve};

const LEASE_MS: u64 = 15_000;
/// Several fire times, by Redis' clock.
const AWAY_MS: i64 = 1_000;

/// Cuts replies of `scripts` every few calls, so many rounds long, then lets the node go on and drains it.
async fn work_with_cuts(scripts: &[&str], rounds: usize) -> (World, Proxy, Requests) {
    let (port, requests) = serve(Duration::ZERO).await;
    let world = World::that_goes_on(1).await;
    let proxy = Proxy::before(&world.redis);
    let url = format!("http://127.0.0.1:{port}/");
    let http = json!({"every": "200ms", "http": url, "overlap": "allow", "keep_runs": 1000});
    let list = json!({"every": "100ms", "list": "out", "keep_runs": 1000});
    let slow = json!({"every": "1s", "http": url});
    world.add(&[("http", http), ("list", list), ("slow", slow)]).await;
    let (stop, stopped) = shutdown::channel();
    let connection = Connection::parse(&proxy.url(), None).unwrap();
    let namespace = Namespace::parse("namespace", "test").unwrap();
    let running = tokio::spawn(node::run(config("n", LEASE_MS), connection, namespace, stopped));
    until("the node works", DEADLINE, async || !requests.lock().unwrap().is_empty()).await;
    for round in 0..rounds {
        for script in scripts {
            proxy.meet(script, 2 + round % 4, crate::support::proxy::Fate::CutReply);
        }
        until("all of them are cut", DEADLINE, async || scripts.iter().all(|script| proxy.hits(script) > round)).await;
    }
    let before = requests.lock().unwrap().len();
    until("the node goes on", DEADLINE, async || requests.lock().unwrap().len() > before + 5).await;
    stop.drain();
    running.await.unwrap().unwrap();
    (world, proxy, requests)
}

async fn check(world: &World, requests: &Requests) {
    world.assert_conserved();
    let requests = requests.lock().unwrap().clone();
    let mut tried: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for (run_id, attempt) in &requests {
        assert!(tried.entry(run_id.clone()).or_default().insert(*attempt), "{run_id} ran attempt {attempt} twice");
    }
    for name in ["http", "slow"] {
        let ended = world.ended(name).await;
        for run in ended.iter().filter(|run| run.attempt > 0) {
            assert!(tried.remove(&run.run_id).is_some(), "{} ended and was never seen", run.run_id);
        }
    }
    let (live, _) = world.store.live_runs(0, None).await.unwrap();
    for run in &live {
        tried.remove(&run.run_id);
    }
    assert!(tried.is_empty(), "run and not on record: {tried:?}");
    let ended = world.ended("http").await;
    let mut times = distinct(ended.iter());
    times.extend(live.iter().filter(|run| run.entry_id == "http").map(|run| run.fire_at));
    times.sort();
    no_gap(&times, 200);
    let messages = world.redis.messages("out");
    let delivered: BTreeSet<String> = messages.iter().map(|one| one["run_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(delivered.len(), messages.len(), "no message twice");
    let listed = world.ended("list").await;
    no_gap(&distinct(listed.iter()), 100);
    assert_eq!(listed.len(), messages.len());
    assert!(world.store.entry(&id("list")).await.unwrap().unwrap().back_log.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_replies_are_cut_fires_each_time_once() {
    let (world, _proxy, requests) = work_with_cuts(&["claim", "work"], 12).await;
    check(&world, &requests).await;
    assert!(requests.lock().unwrap().iter().all(|(_, attempt)| *attempt == 1), "a cut is no lost lease");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_loses_redis_for_a_while_goes_on_by_itself() {
    let (port, requests) = serve(Duration::ZERO).await;
    let world = World::that_goes_on(1).await;
    let proxy = Proxy::before(&world.redis);
    let url = format!("http://127.0.0.1:{port}/");
    let catch_up = json!({"mode": "all", "per_minute": 600});
    let entry = json!({"every": "200ms", "http": url, "overlap": "allow", "keep_runs": 1000, "catch_up": catch_up});
    world.add(&[("http", entry)]).await;
    let (stop, stopped) = shutdown::channel();
    let connection = Connection::parse(&proxy.url(), None).unwrap();
    let namespace = Namespace::parse("namespace", "test").unwrap();
    let running = tokio::spawn(node::run(config("n", LEASE_MS), connection, namespace, stopped));
    until("the node works", DEADLINE, async || requests.lock().unwrap().len() > 3).await;
    for blackout in [true, false] {
        if blackout {
            proxy.blackhole()
        } else {
            proxy.refuse()
        }
        // What was sent before the cut may still arrive.
        until("nobody can claim", DEADLINE, async || {
            let fired = || world.on("HGET", "clock", &["moves_count"]);
            let before = fired();
            world.redis.wait_past(world.redis.now_ms() + AWAY_MS);
            fired() == before
        })
        .await;
        let before = requests.lock().unwrap().len();
        proxy.heal();
        until("it goes on", DEADLINE, async || requests.lock().unwrap().len() > before + 10).await;
    }
    let target = id("http");
    until("nothing is owed", DEADLINE, async || {
        world.store.entry(&target).await.is_ok_and(|entry| entry.unwrap().back_log.is_empty())
    })
    .await;
    stop.drain();
    running.await.unwrap().unwrap();
    let ended = world.ended("http").await;
    let mut times = distinct(ended.iter());
    let (live, _) = world.store.live_runs(0, None).await.unwrap();
    times.extend(live.iter().map(|run| run.fire_at));
    times.sort();
    no_gap(&times, 200);
    let seen = requests.lock().unwrap().clone();
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len(), "no attempt twice");
    world.assert_conserved();
}
