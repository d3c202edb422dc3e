//! Work without an entry, and requests that are the only ones for a while.

use serde_json::{Map, Value, json};
use upbeat::domain::span::Span;
use upbeat::domain::timestamp::Timestamp;
use upbeat::error::Result;
use upbeat::service::{AskedRun, OnceWhen, OnlyOne, Request, RunRef, TriggerOptions};

use crate::bed::{Bed, dry, id, named, object, request};

fn only(key: &str, taken_for: &str) -> Option<OnlyOne> {
    OnlyOne::parse(Some(key), Some(taken_for)).unwrap()
}

async fn once(bed: &Bed, request: &Request, fields: Value, when: OnceWhen) -> Result<AskedRun> {
    bed.service.once(request, &object(fields), &when, None).await
}

fn printing() -> Map<String, Value> {
    object(json!({"exec": ["true"]}))
}

#[tokio::test]
async fn it_runs_now_and_belongs_to_no_entry() {
    let bed = Bed::new().await;
    let asked = once(&bed, &request(), json!({"exec": ["true"], "queue": "q"}), OnceWhen::Now).await.unwrap();
    assert_eq!((asked.run.state, asked.run.trigger, asked.is_taken), ("queued", "one_off", false));
    assert_eq!(bed.waiting("q:exec"), std::slice::from_ref(&asked.run.run_id));
    assert_eq!(bed.redis.cli(&["HLEN", &bed.key(0, "entries")]), "0");
    let found = bed.service.run(&RunRef::Id(asked.run.run_id.clone())).await.unwrap();
    assert_eq!(found.entry_id, asked.run.entry_id);
    bed.is_conserved();
}

#[tokio::test]
async fn a_repeated_request_makes_one_run_and_another_content_is_refused() {
    let bed = Bed::new().await;
    let (asked, later) = (named("r"), OnceWhen::In(Span(60_000)));
    let first = once(&bed, &asked, json!({"exec": ["true"]}), later.clone()).await.unwrap();
    bed.shift(10_000);
    let again = once(&bed, &asked, json!({"exec": ["true"]}), later.clone()).await.unwrap();
    assert_eq!((again.run.run_id, again.run.fire_at), (first.run.run_id, first.run.fire_at));
    let other = once(&bed, &asked, json!({"exec": ["false"]}), later).await.unwrap_err();
    assert_eq!((other.exit_code(), other.problem().field.as_deref()), (4, Some("request-id")));
    assert_eq!(bed.redis.cli(&["ZCARD", &bed.key(0, "delayed")]), "1");
}

#[tokio::test]
async fn one_for_later_waits_for_its_instant() {
    let bed = Bed::new().await;
    let asked = once(&bed, &request(), json!({"exec": ["true"]}), OnceWhen::In(Span(60_000))).await.unwrap().run;
    assert_eq!((asked.state, asked.reason), ("waiting", Some("until")));
    assert!(asked.enqueued_at.is_none());
    bed.shift(30_000);
    bed.claim(0).await;
    assert!(bed.waiting("default:exec").is_empty());
    bed.is_conserved();
    bed.shift(60_000);
    bed.claim(0).await;
    assert_eq!(bed.waiting("default:exec"), std::slice::from_ref(&asked.run_id));
    bed.is_conserved();
}

#[tokio::test]
async fn a_message_for_later_is_delivered_at_its_instant_and_once() {
    let bed = Bed::new().await;
    let fields = json!({"list": "out", "payload": {"x": 1}});
    let asked = once(&bed, &request(), fields, OnceWhen::In(Span(60_000))).await.unwrap().run;
    assert_eq!(asked.state, "waiting");
    bed.claim(0).await;
    assert_eq!(bed.redis.cli(&["LLEN", "out"]), "0");
    bed.shift(60_000);
    bed.claim(0).await;
    bed.claim(0).await;
    let sent = bed.redis.messages("out").remove(0);
    assert_eq!((&sent["run_id"], &sent["payload"]), (&json!(asked.run_id), &json!({"x": 1})));
    assert_eq!(sent["trigger"], "one_off");
    let ended = bed.service.run(&RunRef::Id(asked.run_id)).await.unwrap();
    assert_eq!((ended.state, ended.reason, ended.attempt), ("succeeded", Some("delivered"), 1));
    assert_eq!(bed.redis.cli(&["HLEN", &bed.key(0, "live")]), "0");
    bed.is_conserved();
}

#[tokio::test]
async fn a_message_that_its_target_refuses_is_a_dead_letter() {
    let bed = Bed::new().await;
    bed.redis.cli(&["SET", "out", "a text"]);
    for (when, shift_ms) in [(OnceWhen::Now, 1_000), (OnceWhen::In(Span(1_000)), 10_000)] {
        let run = once(&bed, &request(), json!({"list": "out"}), when).await.unwrap().run;
        bed.shift(shift_ms);
        bed.claim(0).await;
        let ended = bed.service.run(&RunRef::Id(run.run_id.clone())).await.unwrap();
        assert_eq!((ended.state, ended.reason), ("failed", Some("target")));
        assert_eq!(bed.service.dead_letter(&RunRef::Id(run.run_id)).await.unwrap().state, "failed");
    }
    bed.redis.cli(&["DEL", "out"]);
    let letters = bed.service.dead(&upbeat::service::Letters::All, None).await.unwrap();
    assert_eq!(letters.found, 2);
    for run in letters.runs {
        let retried = bed.service.retry(&request(), &RunRef::Id(run.run_id)).await.unwrap();
        assert_eq!((retried.state, retried.attempt), ("succeeded", 2));
    }
    assert_eq!(bed.redis.cli(&["LLEN", "out"]), "2");
}

#[tokio::test]
async fn one_that_waits_can_be_cancelled() {
    let bed = Bed::new().await;
    let run = once(&bed, &request(), json!({"exec": ["true"]}), OnceWhen::In(Span(60_000))).await.unwrap().run;
    let cancelled = bed.service.cancel(&request(), &RunRef::Id(run.run_id)).await.unwrap();
    assert_eq!((cancelled.state, cancelled.reason), ("cancelled", Some("by_user")));
    assert_eq!(bed.redis.cli(&["ZCARD", &bed.key(0, "delayed")]), "0");
    bed.is_conserved();
}

#[tokio::test]
async fn a_key_makes_a_second_request_a_no_op_that_names_the_first() {
    let bed = Bed::new().await;
    let ask = async |request: &Request, key: &str| {
        bed.service.once(request, &printing(), &OnceWhen::Now, only(key, "1m").as_ref()).await.unwrap()
    };
    let first = ask(&request(), "k").await;
    let second = named("second");
    let refused = ask(&second, "k").await;
    assert_eq!((refused.run.run_id.as_str(), refused.is_taken), (first.run.run_id.as_str(), true));
    assert!(!ask(&request(), "other").await.is_taken);
    assert_eq!(bed.waiting("default:exec").len(), 2);
    bed.shift(60_001);
    assert_eq!(ask(&second, "k").await.run.run_id, first.run.run_id, "the same request gets the same answer");
    let third = ask(&request(), "k").await;
    assert!(!third.is_taken && third.run.run_id != first.run.run_id);
    bed.is_conserved();
}

#[tokio::test]
async fn of_many_requests_at_once_with_one_key_one_makes_a_run_whatever_the_shards() {
    let bed = Bed::with_shards(3).await;
    let requests: Vec<Request> = (0..40).map(|_| request()).collect();
    let key = only("nightly", "1h");
    let fields = printing();
    let asked = requests.iter().map(|request| bed.service.once(request, &fields, &OnceWhen::Now, key.as_ref()));
    let asked = futures_util::future::try_join_all(asked).await.unwrap();
    assert_eq!(asked.iter().filter(|asked| !asked.is_taken).count(), 1);
    assert!(asked.iter().all(|one| one.run.run_id == asked[0].run.run_id));
}

#[tokio::test]
async fn the_key_of_a_trigger_is_its_entrys_own() {
    let bed = Bed::new().await;
    for name in ["a", "b"] {
        bed.add(name, json!({"every": "1h", "exec": ["true"], "overlap": "allow"})).await;
    }
    let trigger = async |name: &str| {
        let options = TriggerOptions { unique: only("k", "1m"), ..TriggerOptions::default() };
        bed.service.trigger(&request(), &id(name), options).await.unwrap()
    };
    let first = trigger("a").await;
    assert!(!first.is_taken && !trigger("b").await.is_taken);
    let again = trigger("a").await;
    assert_eq!((again.is_taken, again.run.run_id), (true, first.run.run_id));
    assert_eq!(bed.waiting("default:exec").len(), 2);
    bed.is_conserved();
}

#[tokio::test]
async fn a_run_that_overlap_refused_takes_no_key() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1h", "exec": ["true"]})).await;
    let trigger = async |key: &str| {
        let options = TriggerOptions { unique: only(key, "1h"), ..TriggerOptions::default() };
        bed.service.trigger(&request(), &id("a"), options).await.unwrap()
    };
    let first = trigger("k").await.run;
    assert_eq!(trigger("other").await.run.state, "skipped");
    bed.service.cancel(&request(), &RunRef::Id(first.run_id)).await.unwrap();
    assert_eq!(trigger("other").await.run.state, "queued");
}

#[tokio::test]
async fn what_can_not_be_is_refused_and_makes_nothing() {
    let bed = Bed::new().await;
    let past = OnceWhen::At(Timestamp(1_000_000_000_000));
    let error = once(&bed, &request(), json!({"exec": ["true"]}), past).await.unwrap_err();
    assert_eq!((error.exit_code(), error.problem().field.as_deref()), (2, Some("at")));
    let far = OnceWhen::In(Span(400 * 86_400_000));
    let error = once(&bed, &request(), json!({"exec": ["true"]}), far).await.unwrap_err();
    assert_eq!((error.exit_code(), error.problem().field.as_deref()), (2, Some("in")));
    for (fields, field) in [
        (json!({"exec": ["true"], "cron": "@daily"}), "cron"),
        (json!({"exec": ["true"], "overlap": "skip"}), "overlap"),
        (json!({"exec": ["true"], "delivery": "at_most_once", "retry": {"max_attempts": 2}}), "delivery"),
        (json!({"exec": ["true"], "payload": "x".repeat(70_000)}), "payload"),
    ] {
        let error = once(&bed, &request(), fields, OnceWhen::Now).await.unwrap_err();
        assert_eq!((error.exit_code(), error.problem().field.as_deref()), (2, Some(field)));
    }
    for (key, taken_for, field) in [
        (Some(""), None, "unique"),
        (Some("k"), Some("0s"), "unique_for"),
        (Some("k"), Some("400d"), "unique_for"),
        (None, Some("1h"), "unique_for"),
    ] {
        let error = OnlyOne::parse(key, taken_for).unwrap_err();
        assert_eq!(error.problem().field.as_deref(), Some(field));
    }
    let dry = once(&bed, &dry(), json!({"exec": ["true"]}), OnceWhen::In(Span(1_000))).await.unwrap();
    assert_eq!(dry.run.state, "waiting");
    assert_eq!(bed.redis.cli(&["HLEN", &bed.key(0, "live")]), "0");
}
