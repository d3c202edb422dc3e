//! A script can't fail half way: whatever key turns out to be of another type, it does all of its work or none.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use upbeat::domain::record::requested_run_id;
use upbeat::domain::run::State;
use upbeat::domain::timestamp::Timestamp;
use upbeat::service::{Request, Said, Service};
use upbeat::store::{
    AddAnswer, Asked, Backfill, BackfillAnswer, BackfillCall, Change, ChangeCall, EndedAs, Output, SkipAnswer,
    SkipCall, Started, TriggerCall, Verb, Watch,
};

use crate::support::changes::change_of;
use crate::support::entries::{addition, id};
use crate::support::hand::{Hand, World, ended};

const KEYS: &[&str] = &[
    "clock",
    "due",
    "entries",
    "plans",
    "messages",
    "live",
    "active",
    "cursors",
    "parked",
    "broken",
    "finished",
    "paused",
    "queues",
    "leases",
    "start_by",
    "cancels",
    "history",
    "ended",
    "moves",
    "ledger",
    "events",
    "revisions",
    "removed",
    "requests",
    "requested",
    "lanes",
    "nodes",
    "seen",
    "skips",
    "backfills",
    "backfilling",
    "queue_rules",
    "occupied",
    "starts",
    "waits",
    "fires",
    "delayed",
    "dead",
    "letters",
    "queue:default:shell",
    "hint:default:shell",
    "holds:aaaaaaaaaaaaaaaa",
    "outputs",
    "output_order",
    "watched",
];

/// What a script has to do: one run is executed, another waits, more is due, a change and a removal are decided, a pause has
/// ended, a fire time is to be skipped, past ones are to run.
struct Prepared {
    hand: Hand,
    run: Started,
    waiting: String,
    changes: [Change; 2],
    woken: Vec<Change>,
    /// Which entry is triggered, by which overlap rule.
    asked_for: (&'static str, Option<u8>),
}

/// A past fire time of an entry that waits to run.
async fn backfill(world: &World, name: &str, request: &str) -> bool {
    let target = id(name);
    let Ok(Some(stored)) = world.store.entry(&target).await else { return false };
    let birth = stored.definition.unwrap().birth;
    let run_id = requested_run_id(world.store.namespace(), &target, request, Timestamp(1_000));
    let times = [Backfill { fire_at: Timestamp(1_000), run_id }];
    let asked = Asked { request, content: "" };
    let (old, new): (&[u8], &[u8]) = (&[1], &[1]);
    let call = BackfillCall { asked, id: &target, birth, old, new, times: &times, extras: "{}", answer: "{}" };
    matches!(world.store.backfill(0, &call).await, Ok(BackfillAnswer::Done(_)))
}

/// A fire time to come of an entry that is to be skipped.
async fn skip(world: &World, name: &str, request: &str) -> bool {
    let target = id(name);
    let Ok(Some(stored)) = world.store.entry(&target).await else { return false };
    let definition = stored.definition.unwrap();
    let Ok(now) = world.store.now(0).await else { return false };
    let times = [definition.parse(&target).unwrap().schedule.next_after(now).unwrap()];
    let asked = Asked { request, content: "" };
    let call = SkipCall {
        asked,
        id: &target,
        birth: definition.birth,
        revision: definition.revision,
        is_undo: false,
        words: "ana",
        next_before: None,
        next_after: None,
        times: &times,
    };
    matches!(world.store.skip(0, &call).await, Ok(SkipAnswer::Done { .. }))
}

async fn prepare(world: &World) -> Prepared {
    world.redis.cli(&["FLUSHALL"]);
    world.pass(0);
    let shell = json!({"every": "10s", "shell": "true", "overlap": "allow", "start_within": "1h", "catch_up": "all"});
    let marked = json!({"every": "10s", "shell": "true"});
    let list = json!({"cron": ["* * * * 1-4", "* * * * 5-7"], "shell": "true"});
    let direct = json!({"every": "10s", "list": "out"});
    let task = json!({"every": "10s", "celery": {"task": "t", "expires": "1m"}});
    let entries = [
        ("a", shell.clone()),
        ("b", marked.clone()),
        ("c", shell),
        ("d", direct),
        ("e", task),
        ("m", list),
        ("p", marked),
    ];
    world.add(&entries).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    hand.settle(0).await;
    let service = Service::new(world.store.clone());
    let pause = Request { id: "pause-it".to_owned(), actor: "ana".to_owned(), reason: None, is_dry_run: false };
    let until = Timestamp(world.store.now(0).await.unwrap().0 + 12_000);
    service.pause_until(&pause, &[id("p")], &Said::from(until)).await.unwrap();
    for name in ["b", "c", "d", "e"] {
        assert!(
            skip(world, name, &format!("skip-{name}")).await && backfill(world, name, &format!("run-{name}")).await
        );
    }
    let run = hand.fetch(1).await.remove(0);
    let asked = Asked { request: "cancel-it", content: "" };
    world.store.cancel(0, asked, &run.run.run_id, "ana").await.unwrap();
    let mut watch = Hand::new(&world.store, 'w');
    for _ in 0..4 {
        // Nobody renews the lease; the steps are short enough that this is no silence.
        world.pass(5_000);
        world.store.renew(0, &watch.incarnation, watch.lease_ms).await.unwrap();
    }
    let waiting = watch.fetch(1).await.remove(0);
    assert_eq!(watch.finish(&waiting, EndedAs::HandedBack).await, upbeat::store::FinishWord::Requeued);
    let changes = [
        change_of(&world.store, "a", Verb::Put, &json!({"note": "new"})).await,
        change_of(&world.store, "c", Verb::Remove, &Value::Null).await,
    ];
    let woken = vec![change_of(&world.store, "p", Verb::Put, &json!({"note": "new"})).await];
    Prepared { hand, run, waiting: waiting.run.run_id, changes, woken, asked_for: ("a", None) }
}

/// What a script has to do where runs wait for each other: each entry has one that is active and one that waits, the run of one
/// has been asked to end for the next, that of another still stands in its list, more is due, and fire times are counted.
async fn prepare_waiting(world: &World) -> Prepared {
    world.redis.cli(&["FLUSHALL"]);
    world.pass(0);
    let entry = |rule: &str| json!({"every": "10s", "shell": "true", "overlap": rule, "max_fires": 50});
    let mut limited = entry("allow");
    limited["max_running"] = json!(1);
    let mut buffered = entry("buffer_all");
    buffered["start_within"] = json!("1h");
    let entries = [("l", limited), ("w", buffered), ("x", entry("cancel_other")), ("z", entry("buffer_one"))];
    world.add(&entries).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    hand.settle(0).await;
    let runs = hand.fetch(3).await;
    world.pass(10_000);
    hand.settle(0).await;
    let (live, _) = world.store.live_runs(0, None).await.unwrap();
    assert_eq!(live.iter().filter(|run| run.state == State::Waiting).count(), 4);
    let waiting = live.into_iter().find(|run| run.state == State::Queued).unwrap().run_id;
    let run = runs.into_iter().find(|run| run.run.entry_id == "w").unwrap();
    let watch = Hand::new(&world.store, 'w');
    for _ in 0..4 {
        world.pass(5_000);
        world.store.renew(0, &watch.incarnation, watch.lease_ms).await.unwrap();
    }
    let changes = [
        change_of(&world.store, "w", Verb::Put, &json!({"overlap": "allow", "max_fires": 60})).await,
        change_of(&world.store, "l", Verb::Remove, &Value::Null).await,
    ];
    Prepared { hand, run, waiting, changes, woken: Vec::new(), asked_for: ("w", Some(4)) }
}

/// Whether the call was carried out.
async fn call(world: &World, script: &str, prepared: &Prepared) -> bool {
    let Prepared { hand, run, waiting, changes, woken, asked_for: (name, overlap) } = prepared;
    let asked = Asked { request: "r", content: "" };
    match script {
        "claim" => hand.claim_number(0, 2, 1).await.is_ok(),
        "work" => hand.work_number(0, 2, &[ended(run, EndedAs::Succeeded)], 9).await.is_ok(),
        "hand back" => hand.work_number(0, 0, &[ended(run, EndedAs::HandedBack)], 9).await.is_ok(),
        "put" => {
            let call = ChangeCall { request: "r", content: "", changes, is_dry_run: false };
            world.store.put(0, &call).await.is_ok()
        }
        "add" => {
            let Ok(now) = world.store.now(0).await else { return false };
            let fields = json!({"every": "9d", "list": "out", "spread": "1d", "max_fires": 3});
            let changes = [addition(&world.store, "fresh", fields, 99, now)];
            let call = ChangeCall { request: "r", content: "", changes: &changes, is_dry_run: false };
            // Where it leaves it to `put` it has written nothing.
            world.store.add(0, &call, now).await.is_ok_and(|answer| matches!(answer, AddAnswer::Done(_)))
        }
        "put of a woken one" => {
            let call = ChangeCall { request: "r", content: "", changes: woken, is_dry_run: false };
            world.store.put(0, &call).await.is_ok()
        }
        "skip" => skip(world, "a", "r").await,
        "backfill" => backfill(world, "a", "r").await,
        "trigger" => {
            let (id, fire_at, overlap) = (&id(name), run.run.fire_at, *overlap);
            let run_id = &requested_run_id(world.store.namespace(), id, "r", fire_at);
            let Ok(Some(stored)) = world.store.entry(id).await else { return false };
            let birth = stored.definition.map_or(1, |definition| definition.birth);
            let call =
                TriggerCall { asked, id, birth, run_id, fire_at, overlap, extras: "", message: &[], unique: None };
            world.store.trigger(0, &call).await.is_ok()
        }
        "cancel" => world.store.cancel(0, asked, waiting, "ana").await.is_ok(),
        "renew" => world.store.renew(0, &hand.incarnation, 15_000).await.is_ok(),
        "leave" => world.store.leave(0, "wwwwwwwwwwwwwwww").await.is_ok(),
        "keep_output" => {
            let output = Output { written: 4, tail: b"text".to_vec() };
            world.store.keep_output(0, waiting, 1, &output).await.is_ok()
        }
        "watch" => {
            let watch = Watch { run_id: waiting, attempt: 1, known: 0, is_news: true };
            world.store.watch(0, &watch).await.is_ok()
        }
        "rescue" => world.store.rescue(0, &hand.incarnation, "lost").await.is_ok(),
        other => panic!("{other}"),
    }
}

/// All that Redis holds, in an order of its own: that of a hash changes by looking at it.
fn picture(world: &World) -> BTreeMap<String, Vec<String>> {
    let read = |key: &str| {
        let command: &[&str] = match world.redis.cli(&["TYPE", key]).as_str() {
            "hash" => &["HGETALL", key],
            "zset" => &["ZRANGE", key, "0", "-1", "WITHSCORES"],
            "set" => &["SMEMBERS", key],
            "list" => &["LRANGE", key, "0", "-1"],
            "stream" => &["XRANGE", key, "-", "+"],
            _ => &["GET", key],
        };
        let mut lines: Vec<String> = world.redis.cli(command).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    world.redis.keys().into_iter().map(|key| (key.clone(), read(&key))).collect()
}

async fn all_or_nothing(scripts: &[&str]) {
    all_or_nothing_after(prepare, scripts).await;
}

async fn all_or_nothing_after(prepare: impl AsyncFn(&World) -> Prepared, scripts: &[&str]) {
    Box::pin(each_key_in_turn(prepare, call, scripts)).await;
}

/// Calls each script where one key after the other is of another type: it works, or nothing has changed.
pub async fn each_key_in_turn<P>(
    prepare: impl AsyncFn(&World) -> P,
    call: impl AsyncFn(&World, &str, &P) -> bool,
    scripts: &[&str],
) {
    let world = World::new().await;
    for script in scripts {
        let prepared = prepare(&world).await;
        let before = picture(&world);
        assert!(call(&world, script, &prepared).await, "{script} works where nothing is damaged");
        assert_ne!(picture(&world), before, "{script} has something to do");
        for name in KEYS {
            let prepared = prepare(&world).await;
            let key = world.key(name);
            world.redis.cli(&["DEL", &key]);
            world.redis.cli(&["SET", &key, "of another type"]);
            let before = picture(&world);
            if !call(&world, script, &prepared).await {
                let after = picture(&world);
                let changed: Vec<&String> = after.keys().filter(|key| after.get(*key) != before.get(*key)).collect();
                assert!(
                    changed.is_empty() && after.len() == before.len(),
                    "{script}, {name} damaged: wrote {changed:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_claim_writes_all_or_nothing() {
    Box::pin(all_or_nothing(&["claim"])).await;
}

/// Past fire times are all that there is to run: of one list, or of two.
async fn prepare_past(world: &World, names: &[&str]) -> Hand {
    world.redis.cli(&["FLUSHALL"]);
    world.pass(0);
    let (exec, shell) = (json!({"every": "1h", "exec": ["true"]}), json!({"every": "1h", "shell": "true"}));
    world.add(&[("a", exec), ("b", shell)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(3_600_000);
    hand.settle(0).await;
    hand.work_off(0).await;
    // Longer ago than a claim that ends early may come after another.
    world.pass(5_000);
    for name in names {
        assert!(backfill(world, name, name).await);
    }
    hand
}

#[tokio::test]
async fn a_claim_with_nothing_but_past_fire_times_writes_all_or_nothing() {
    let call = async |_: &World, _: &str, hand: &Hand| hand.claim_number(0, 2, 1).await.is_ok();
    for names in [&["a"][..], &["b"], &["a", "b"]] {
        let prepare = async |world: &World| prepare_past(world, names).await;
        Box::pin(each_key_in_turn(prepare, call, &["a claim of past ones"])).await;
    }
}

#[tokio::test]
async fn finishing_and_fetching_write_all_or_nothing() {
    Box::pin(all_or_nothing(&["work", "hand back"])).await;
}

#[tokio::test]
async fn changes_write_all_or_nothing() {
    Box::pin(all_or_nothing(&["put", "put of a woken one", "add"])).await;
}

#[tokio::test]
async fn requests_write_all_or_nothing() {
    Box::pin(all_or_nothing(&["trigger", "cancel", "skip", "backfill"])).await;
}

#[tokio::test]
async fn the_small_ones_write_all_or_nothing() {
    Box::pin(all_or_nothing(&["leave", "keep_output", "watch"])).await;
}

#[tokio::test]
async fn leases_write_all_or_nothing() {
    Box::pin(all_or_nothing(&["renew", "rescue"])).await;
}

#[tokio::test]
async fn where_runs_wait_for_each_other_claims_and_changes_write_all_or_nothing() {
    Box::pin(all_or_nothing_after(prepare_waiting, &["claim", "put"])).await;
}

#[tokio::test]
async fn where_runs_wait_for_each_other_ends_of_runs_write_all_or_nothing() {
    Box::pin(all_or_nothing_after(prepare_waiting, &["work", "hand back", "trigger", "cancel", "rescue"])).await;
}
