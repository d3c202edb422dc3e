//! trigger and cancel.

use serde_json::json;
use upbeat::domain::policy::Overlap;
use upbeat::service::{RunRef, TriggerOptions};

use crate::bed::{Bed, id, named, request};

#[tokio::test]
async fn a_repeated_trigger_names_the_same_run() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1h", "exec": ["true"], "overlap": "allow"})).await;
    let asked = named("r");
    let first = bed.service.trigger(&asked, &id("a"), TriggerOptions::default()).await.unwrap().run;
    assert_eq!((first.state, first.trigger, first.fires), ("queued", "manual", 1));
    bed.shift(5_000);
    let again = bed.service.trigger(&asked, &id("a"), TriggerOptions::default()).await.unwrap().run;
    assert_eq!((&again.run_id, again.fire_at), (&first.run_id, first.fire_at));
    assert_eq!(bed.waiting("default:exec"), std::slice::from_ref(&first.run_id));
    let other = TriggerOptions { payload: Some(json!({"x": 1})), ..TriggerOptions::default() };
    let other = bed.service.trigger(&asked, &id("a"), other).await.unwrap_err();
    assert_eq!(other.exit_code(), 4);
    bed.remove("a").await;
    let again = bed.service.trigger(&asked, &id("a"), TriggerOptions::default()).await.unwrap().run;
    assert_eq!((again.run_id, again.state), (first.run_id, "cancelled"));
    bed.is_conserved();
}

#[tokio::test]
async fn overlap_holds_for_a_trigger_and_can_be_replaced() {
    let bed = Bed::new().await;
    for (name, overlap) in [("a", "skip"), ("b", "allow")] {
        bed.add(name, json!({"every": "1h", "exec": ["true"], "overlap": overlap})).await;
    }
    let with = |overlap| TriggerOptions { overlap, ..TriggerOptions::default() };
    let expected = [
        ("a", None, "queued"),
        ("a", None, "skipped"),
        ("a", Some(Overlap::Allow), "queued"),
        ("b", None, "queued"),
        ("b", None, "queued"),
        ("b", Some(Overlap::Skip), "skipped"),
    ];
    for (name, overlap, state) in expected {
        let run = bed.service.trigger(&request(), &id(name), with(overlap)).await.unwrap().run;
        assert_eq!(run.state, state, "{name} {overlap:?}");
    }
    bed.is_conserved();
}

#[tokio::test]
async fn a_message_is_delivered_at_once_with_its_own_payload() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1h", "list": "out", "payload": "usual"})).await;
    bed.add("none", json!({"every": "1h", "list": "out", "keep_runs": 0})).await;
    let run = bed.service.trigger(&request(), &id("a"), TriggerOptions::default()).await.unwrap().run;
    assert_eq!((run.state, run.reason), ("succeeded", Some("delivered")));
    let other = TriggerOptions { payload: Some(json!({"x": 1})), ..TriggerOptions::default() };
    bed.service.trigger(&request(), &id("a"), other).await.unwrap();
    let sent = bed.redis.cli(&["LRANGE", "out", "0", "-1"]);
    assert!(sent.contains("\"payload\":\"usual\"") && sent.contains("\"payload\":{\"x\":1}"), "{sent}");
    assert!(sent.contains(&run.run_id) && sent.contains(&run.fire_at.0.to_rfc3339()), "{sent}");
    let unkept = bed.service.trigger(&request(), &id("none"), TriggerOptions::default()).await.unwrap().run;
    assert_eq!((unkept.state, unkept.reason), ("succeeded", Some("delivered")));
    let skip = TriggerOptions { overlap: Some(Overlap::Skip), ..TriggerOptions::default() };
    assert_eq!(bed.service.trigger(&request(), &id("a"), skip).await.unwrap_err().exit_code(), 2);
    bed.redis.cli(&["DEL", "out"]);
    bed.redis.cli(&["SET", "out", "text"]);
    let refused = bed.service.trigger(&request(), &id("a"), TriggerOptions::default()).await.unwrap().run;
    assert_eq!((refused.state, refused.reason), ("failed", Some("target")));
    assert!(refused.message.unwrap().contains("WRONGTYPE"));
}

#[tokio::test]
async fn what_does_not_go_with_the_action_is_refused() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1h", "http": "https://example.org"})).await;
    let args = TriggerOptions { args: vec!["x".to_owned()], ..TriggerOptions::default() };
    assert_eq!(
        bed.service.trigger(&request(), &id("a"), args).await.unwrap_err().problem().field.as_deref(),
        Some("args")
    );
    let large = TriggerOptions { payload: Some(json!("x".repeat(65_537))), ..TriggerOptions::default() };
    let error = bed.service.trigger(&request(), &id("a"), large).await.unwrap_err();
    assert_eq!((error.exit_code(), error.problem().field.as_deref()), (2, Some("payload")));
    let error = bed.service.trigger(&request(), &id("nope"), TriggerOptions::default()).await.unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert_eq!(bed.count("HLEN", 0, "live"), 0);
}

#[tokio::test]
async fn a_run_that_waits_is_cancelled_with_who_and_why() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1h", "exec": ["true"]})).await;
    bed.pause("a").await;
    let run = bed.service.trigger(&request(), &id("a"), TriggerOptions::default()).await.unwrap().run;
    let mut asked = named("c");
    asked.reason = Some("wrong day".to_owned());
    let cancelled = bed.service.cancel(&asked, &RunRef::Latest(id("a"))).await.unwrap();
    assert_eq!((cancelled.state, cancelled.reason), ("cancelled", Some("by_user")));
    assert_eq!(cancelled.message.as_deref(), Some("by ana: wrong day"));
    assert_eq!(cancelled.run_id, run.run_id);
    let late = bed.service.cancel(&request(), &RunRef::Id(run.run_id.clone())).await.unwrap_err();
    assert_eq!(late.exit_code(), 4);
    let newer = bed.service.trigger(&request(), &id("a"), TriggerOptions::default()).await.unwrap().run;
    assert_eq!(bed.service.cancel(&asked, &RunRef::Latest(id("a"))).await.unwrap(), cancelled, "a repetition");
    let other = bed.service.cancel(&asked, &RunRef::Id(newer.run_id)).await.unwrap_err();
    assert_eq!(other.problem().field.as_deref(), Some("request-id"));
    bed.is_conserved();
}

#[tokio::test]
async fn a_trigger_of_an_entry_whose_list_left_the_registry_registers_it_again() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1h", "exec": ["true"]})).await;
    bed.redis.cli(&["DEL", &bed.key(0, "queues")]);
    bed.service.store().refresh_lists(0).await.unwrap();
    let run = bed.service.trigger(&request(), &id("a"), TriggerOptions::default()).await.unwrap().run;
    assert_eq!(run.state, "queued");
    assert_eq!(bed.waiting("default:exec"), [run.run_id]);
    bed.is_conserved();
}
