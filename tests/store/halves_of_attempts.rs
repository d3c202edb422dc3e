//! All or nothing where runs wait for their next attempt or have failed for good, and no entry is due.

use serde_json::{Value, json};
use upbeat::domain::record::requested_run_id;
use upbeat::store::{
    Asked, Change, ChangeCall, Ended, EndedAs, LettersAnswer, Started, TriggerAnswer, TriggerCall, Verb,
};

use crate::halves::each_key_in_turn;
use crate::one_run::HOUR_MS;
use crate::support::changes::change_of;
use crate::support::entries::id;
use crate::support::hand::{Hand, World, ended, failed};

/// The next attempt of `moves` is due, the time of `late` is up, `dead` has failed for good while another run of its entry is
/// active, the message of `sent` was refused, `once` is executed by a node whose lease has ended.
struct Prepared {
    hand: Hand,
    moves: String,
    letters: [String; 2],
    once: Started,
    changes: [Change; 2],
}

async fn prepare(world: &World) -> Prepared {
    world.redis.cli(&["FLUSHALL"]);
    world.pass(0);
    let shell = json!({"every": "1h", "shell": "true", "overlap": "allow"});
    let one = json!({"every": "1h", "shell": "true", "overlap": "buffer_one"});
    let once = json!({"every": "1h", "shell": "true", "delivery": "at_most_once"});
    let sent = json!({"every": "1h", "celery": {"task": "t", "queue": "out"}});
    world.add(&[("moves", shell.clone()), ("late", shell), ("dead", one), ("once", once), ("sent", sent)]).await;
    world.redis.cli(&["SET", "out", "of another type"]);
    world.pass(HOUR_MS);
    let mut hand = Hand::new(&world.store, 'a');
    hand.settle(0).await;
    world.redis.cli(&["DEL", "out"]);
    let runs = hand.fetch(9).await;
    let run_of = |entry: &str| runs.iter().find(|run| run.run.entry_id == entry).unwrap().clone();
    let ends: [Ended; 3] = [
        failed(&run_of("moves"), 15_000, None),
        failed(&run_of("late"), 30_000, Some(15_000)),
        ended(&run_of("dead"), EndedAs::Failed),
    ];
    hand.work(0, 0, &ends).await;
    assert!(trigger(world, "dead", "other").await);
    let watch = Hand::new(&world.store, 'w');
    for _ in 0..4 {
        world.pass(5_000);
        world.store.renew(0, &watch.incarnation, watch.lease_ms).await.unwrap();
    }
    let sent = world.ended("sent").await.remove(0).run_id;
    let changes = [
        change_of(&world.store, "moves", Verb::Remove, &Value::Null).await,
        change_of(&world.store, "late", Verb::Put, &json!({"overlap": "skip"})).await,
    ];
    let letters = [run_of("dead").run.run_id, sent];
    Prepared { hand, moves: run_of("moves").run.run_id, letters, once: run_of("once"), changes }
}

async fn trigger(world: &World, entry: &str, request: &str) -> bool {
    let (target, asked) = (id(entry), Asked { request, content: "" });
    let Ok(Some(stored)) = world.store.entry(&target).await else { return false };
    let birth = stored.definition.map_or(1, |definition| definition.birth);
    let Ok(fire_at) = world.store.now(0).await else { return false };
    let run_id = requested_run_id(world.store.namespace(), &target, request, fire_at);
    let call = TriggerCall {
        asked,
        id: &target,
        birth,
        run_id: &run_id,
        fire_at,
        overlap: None,
        extras: "{}",
        message: &[],
        unique: None,
    };
    matches!(world.store.trigger(0, &call).await, Ok(TriggerAnswer::Made { .. }))
}

async fn call(world: &World, script: &str, prepared: &Prepared) -> bool {
    let Prepared { hand, moves, letters, once, changes } = prepared;
    let asked = Asked { request: "r", content: "" };
    let work = async |end: Ended| hand.work_number(0, 2, &[end], 9).await.is_ok();
    match script {
        "claim" => hand.claim_number(0, 2, 1).await.is_ok(),
        "work that retries" => work(failed(once, 1_000, Some(2_000))).await,
        "work that fails" => work(ended(once, EndedAs::Failed)).await,
        "hand back" => work(ended(once, EndedAs::HandedBack)).await,
        "rescue" => world.store.rescue(0, &hand.incarnation, "lost").await.is_ok(),
        "cancel" => world.store.cancel(0, asked, moves, "ana").await.is_ok(),
        "put" => {
            let call = ChangeCall { request: "r", content: "", changes, is_dry_run: false };
            world.store.put(0, &call).await.is_ok()
        }
        "retry" => matches!(world.store.retry(0, asked, letters, "by ana").await, Ok(LettersAnswer::Done(_))),
        "purge" => matches!(world.store.purge(0, asked, letters, "by ana").await, Ok(LettersAnswer::Done(_))),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_claim_that_only_moves_and_ends_runs_writes_all_or_nothing() {
    Box::pin(each_key_in_turn(prepare, call, &["claim"])).await;
}

#[tokio::test]
async fn ends_of_attempts_write_all_or_nothing() {
    Box::pin(each_key_in_turn(prepare, call, &["work that retries", "work that fails", "hand back", "rescue"])).await;
}

#[tokio::test]
async fn what_people_ask_of_failed_and_retried_runs_is_done_whole_or_not() {
    Box::pin(each_key_in_turn(prepare, call, &["cancel", "put", "retry", "purge"])).await;
}
