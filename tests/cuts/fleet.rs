//! Several whole nodes: one dies at any instruction, Redis itself is restarted; the others go on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Runtime;
use upbeat::config::Connection;
use upbeat::domain::id::Namespace;
use upbeat::domain::run::{Reason, State};
use upbeat::domain::timestamp::Timestamp;
use upbeat::store::Verb;
use upbeat::{node, shutdown};

use crate::support::changes::change;
use crate::support::entries::{add_all, id, open};
use crate::support::hand::World;
use crate::support::redis::RedisServer;
use crate::support::wait::{DEADLINE, until};
use crate::web::{Requests, config, no_gap, serve, serve_until};

const LEASE_MS: u64 = 3_000;

/// A node on threads of its own: dropping those is the nearest to `kill -9` inside one process.
struct Body {
    runtime: Runtime,
    stop: shutdown::Trigger,
    running: tokio::task::JoinHandle<upbeat::error::Result<()>>,
}

impl Body {
    fn start(url: &str, name: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (stop, stopped) = shutdown::channel();
        let connection = Connection::parse(url, None).unwrap();
        let namespace = Namespace::parse("namespace", "test").unwrap();
        let running = runtime.spawn(node::run(config(name, LEASE_MS), connection, namespace, stopped));
        Self { runtime, stop, running }
    }

    fn kill(self) {
        self.runtime.shutdown_background();
    }

    async fn stop(self) {
        self.stop.drain();
        self.running.await.unwrap().unwrap();
        self.runtime.shutdown_background();
    }
}

fn count(requests: &Requests) -> usize {
    requests.lock().unwrap().len()
}

/// Every fire time has one run, which ended well, but for what the pause at the end found overdue; no attempt was made twice.
async fn check(world: &World, requests: &Requests, name: &str, period: i64) {
    let ended = world.ended(name).await;
    let (missed, ran): (Vec<_>, Vec<_>) = ended.iter().partition(|run| run.reason == Some(Reason::Paused));
    assert!(ran.iter().all(|run| run.state == State::Succeeded), "{:?}", world.tally(name).await);
    let mut times: Vec<Timestamp> = ran.iter().map(|run| run.fire_at).collect();
    times.extend(missed.iter().flat_map(|run| (0..run.fires as i64).map(|n| Timestamp(run.fire_at.0 + n * period))));
    no_gap(&times, period);
    let requests = requests.lock().unwrap().clone();
    let mut tried: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for (run_id, attempt) in &requests {
        assert!(tried.entry(run_id.clone()).or_default().insert(*attempt), "{run_id} ran attempt {attempt} twice");
    }
    for run in ran {
        assert!(tried[&run.run_id].contains(&run.attempt), "{run:?} ended by an attempt that nobody saw");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_killed_again_and_again_cost_no_fire_time() {
    let (port, requests) = serve(Duration::from_millis(150)).await;
    let world = World::that_goes_on(2).await;
    let url = format!("http://127.0.0.1:{port}/");
    let entry = json!({"every": "100ms", "http": url, "overlap": "allow", "keep_runs": 1000});
    world.add(&[("a", entry.clone()), ("b", entry)]).await;
    let mut nodes: Vec<Body> = (0..3).map(|number| Body::start(&world.redis.url(), &format!("n{number}"))).collect();
    for round in 0..5 {
        let before = count(&requests);
        let wanted = before + 30;
        until("the fleet works", DEADLINE, async || count(&requests) >= wanted).await;
        nodes.remove(0).kill();
        nodes.push(Body::start(&world.redis.url(), &format!("again-{round}")));
    }
    // No new fire times, so that all that was fired ends, what the dead held too: it is taken over when their leases end.
    for name in ["a", "b"] {
        change(&world.store, name, Verb::Pause, json!({})).await;
    }
    until("all has ended", DEADLINE, async || {
        let mut active = 0;
        for shard in world.store.shards() {
            active += world.store.live_runs(shard, None).await.unwrap().0.len();
        }
        active == 0
    })
    .await;
    let repeats = requests.lock().unwrap().iter().filter(|(_, attempt)| *attempt > 1).count();
    assert!(repeats > 0, "somebody died with work in hand");
    for node in nodes {
        node.stop().await;
    }
    world.assert_conserved();
    for name in ["a", "b"] {
        check(&world, &requests, name, 100).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_and_restarted_has_lost_nothing_and_nodes_come_back() {
    let (port, requests) = serve(Duration::from_millis(50)).await;
    let mut redis = RedisServer::durable();
    let url = redis.url();
    let store = open(&url, 1).await;
    let http = format!("http://127.0.0.1:{port}/");
    let catch_up = json!({"mode": "all", "per_minute": 1200});
    let entry = json!({"every": "100ms", "http": http, "overlap": "allow", "keep_runs": 1000, "catch_up": catch_up});
    add_all(&store, &[("a", entry)]).await;
    let nodes: Vec<Body> = (0..2).map(|number| Body::start(&url, &format!("n{number}"))).collect();
    for _ in 0..3 {
        let wanted = count(&requests) + 15;
        until("the fleet works", DEADLINE, async || count(&requests) >= wanted).await;
        redis.restart();
    }
    let wanted = count(&requests) + 15;
    until("the fleet works again", DEADLINE, async || count(&requests) >= wanted).await;
    let target = id("a");
    until("nothing is owed", DEADLINE, async || {
        store.entry(&target).await.is_ok_and(|entry| entry.unwrap().back_log.is_empty())
    })
    .await;
    for node in nodes {
        node.stop().await;
    }
    let mut times: Vec<_> = store.ended_runs(0, &target, 1000).await.unwrap().iter().map(|run| run.fire_at).collect();
    times.extend(store.live_runs(0, None).await.unwrap().0.iter().map(|run| run.fire_at));
    times.sort();
    no_gap(&times, 100);
    let seen = requests.lock().unwrap().clone();
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len(), "no attempt twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_freezes_for_longer_than_a_lease_takes_no_run_from_its_node() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let (port, requests) = serve_until(move || {
        let mut gone = gone.clone();
        async move { drop(gone.wait_for(|may_go| *may_go).await) }
    })
    .await;
    let world = World::that_goes_on(1).await;
    let http = format!("http://127.0.0.1:{port}/");
    let names: Vec<String> = (0..15).map(|number| format!("e{number}")).collect();
    let entry = || json!({"every": "1h", "http": http, "keep_runs": 10});
    let entries: Vec<_> = names.iter().map(|name| (name.as_str(), entry())).collect();
    world.add(&entries).await;
    let nodes: Vec<Body> = (0..3).map(|number| Body::start(&world.redis.url(), &format!("n{number}"))).collect();
    until("all nodes are live", DEADLINE, async || world.store.nodes().await.unwrap().len() == 3).await;
    world.pass(3_600_000);
    until("all runs are executed", DEADLINE, async || count(&requests) == 15).await;
    world.redis.freeze();
    // Only real time ends a lease on the side of the node; whatever it is, nobody may take anything.
    tokio::time::sleep(Duration::from_millis(LEASE_MS + 1_000)).await;
    world.redis.thaw();
    go.send_replace(true);
    until("all have ended", DEADLINE, async || {
        world.store.live_runs(0, None).await.is_ok_and(|(live, _)| live.is_empty())
    })
    .await;
    for name in &names {
        let run = world.ended(name).await.remove(0);
        assert_eq!((run.state, run.attempt, run.lost), (State::Succeeded, 1, 0));
    }
    assert_eq!(count(&requests), 15, "nobody took a run over");
    for node in nodes {
        node.stop().await;
    }
}
