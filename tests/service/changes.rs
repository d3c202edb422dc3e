//! add, set, pause, resume, rm: what Redis holds afterwards.

use serde_json::json;
use upbeat::domain::timestamp::Timestamp;
use upbeat::error::Error;
use upbeat::service::{AddOptions, Select};

use crate::bed::{Bed, dry, entry, id, new, object, request, words};

#[tokio::test]
async fn an_entry_goes_through_its_whole_life() {
    let bed = Bed::new().await;
    let added = bed.add("a", json!({"every": "10s", "exec": ["true"], "labels": {"tier": "gold"}})).await;
    let view = &added.changes[0];
    assert_eq!((view.change, view.revision), ("added", Some(1)));
    assert_eq!(view.fields, ["every", "anchor", "exec", "labels"]);
    assert_eq!(view.next_before, None);
    let anchor = Timestamp::parse("anchor", bed.definition("a").await.entry["anchor"].as_str().unwrap(), None).unwrap();
    assert_eq!(anchor.0 % 1000, 0);
    assert_eq!(view.next_after.unwrap().0, Timestamp(anchor.0 + 10_000));
    assert_eq!(bed.redis.ask(&["ZSCORE", &bed.key(0, "due"), "a"]).int(), anchor.0 + 10_000);

    let changed = bed.set("a", json!({"every": "20s", "queue": "batch"})).await;
    assert_eq!(changed.changes[0].fields, ["every", "queue"]);
    assert_eq!((changed.changes[0].change, changed.changes[0].revision), ("changed", Some(2)));
    assert_eq!(changed.changes[0].next_before, view.next_after);
    assert_eq!(changed.changes[0].next_after.unwrap().0, Timestamp(anchor.0 + 20_000));
    assert_eq!(bed.redis.cli(&["HGET", &bed.key(0, "queues"), "batch:exec"]), "0");
    assert!(bed.redis.cli(&["HGET", &bed.key(0, "revisions"), "a\u{0}1"]).contains("\"10s\""));

    let paused = bed.pause("a").await;
    assert_eq!((paused.changes[0].change, paused.changes[0].next_after), ("changed", None));
    assert_eq!(paused.changes[0].fields, ["paused"]);
    assert_eq!(bed.count("ZCARD", 0, "paused"), 1);
    assert_eq!(bed.count("ZCARD", 0, "due"), 0);
    assert_eq!(words(&bed.pause("a").await), ["unchanged"]);
    assert_eq!(bed.definition("a").await.revision, 3);

    let while_paused = bed.set("a", json!({"note": "x"})).await;
    assert_eq!(while_paused.changes[0].next_after, None);
    assert_eq!(bed.count("ZCARD", 0, "paused"), 1);

    let resumed = bed.resume("a").await;
    assert!(resumed.changes[0].next_after.is_some() && resumed.changes[0].next_before.is_none());
    assert_eq!(words(&bed.resume("a").await), ["unchanged"]);
    assert_eq!(bed.count("HLEN", 0, "cursors"), 0);

    let removed = bed.remove("a").await;
    assert_eq!((removed.changes[0].change, removed.changes[0].revision), ("removed", Some(6)));
    for (command, word) in
        [("HLEN", "entries"), ("HLEN", "plans"), ("HLEN", "messages"), ("ZCARD", "due"), ("HLEN", "active")]
    {
        assert_eq!(bed.count(command, 0, word), 0, "{word}");
    }
    bed.add("a", json!({"every": "10s", "exec": ["true"]})).await;
    let again = bed.definition("a").await;
    assert_eq!((again.birth, again.revision), (2, 7), "the revision goes on over rm and add");
    bed.is_conserved();
}

#[tokio::test]
async fn an_id_that_exists_is_a_conflict_unless_it_is_replaced_or_left() {
    let bed = Bed::new().await;
    let fields = json!({"every": "10s", "exec": ["true"]});
    bed.add("a", fields.clone()).await;
    let error = bed.try_add("a", fields.clone()).await.unwrap_err();
    assert_eq!(error.exit_code(), 4);
    let left = AddOptions { is_if_absent: true, ..new() };
    let left =
        bed.service.add(&request(), id("a"), entry(json!({"every": "5s", "exec": ["true"]})), left).await.unwrap();
    assert_eq!(words(&left), ["unchanged"]);
    let replace = || AddOptions { is_replace: true, ..new() };
    let same = bed.service.add(&request(), id("a"), entry(fields), replace()).await.unwrap();
    assert_eq!(words(&same), ["unchanged"], "the anchor on record is no difference");
    let other = entry(json!({"cron": "0 9 * * *", "exec": ["true"]}));
    let other = bed.service.add(&request(), id("a"), other, replace()).await.unwrap();
    assert_eq!(other.changes[0].fields, ["cron", "every", "anchor"]);
    let mut foreign = replace();
    foreign.owner = upbeat::domain::id::Owner::parse("owner", "growth").unwrap();
    let error =
        bed.service.add(&request(), id("a"), entry(json!({"every": "1h", "exec": ["x"]})), foreign.clone()).await;
    assert_eq!(error.unwrap_err().exit_code(), 4);
    foreign.is_take = true;
    let taken =
        bed.service.add(&request(), id("a"), entry(json!({"every": "1h", "exec": ["x"]})), foreign).await.unwrap();
    assert!(taken.changes[0].fields.contains(&"owner".into()));
}

#[tokio::test]
async fn what_is_wrong_changes_nothing() {
    let bed = Bed::new().await;
    let past = bed.try_add("once", json!({"at": "2020-01-01T00:00:00Z", "exec": ["true"]})).await.unwrap_err();
    assert_eq!((past.exit_code(), past.problem().field.as_deref()), (2, Some("at")));
    assert!(past.problem().hint.as_ref().unwrap().contains("trigger"));
    bed.add("nightly", json!({"cron": "0 2 * * *", "exec": ["true"]})).await;
    let missing = bed.service.set(&request(), &id("nigthly"), object(json!({"note": "x"})), &[]).await.unwrap_err();
    assert_eq!(missing.exit_code(), 3);
    assert_eq!(missing.problem().hint.as_deref(), Some("did you mean nightly?"));
    assert!(missing.problem().message.contains("namespace test"));
    let unknown = bed.service.set(&request(), &id("nightly"), object(json!({"nope": 1})), &[]).await.unwrap_err();
    assert_eq!(unknown.exit_code(), 2);
    let gone = bed.service.pause(&request(), &[id("nightly"), id("gone")]).await.unwrap_err();
    assert_eq!(gone.exit_code(), 3);
    assert_eq!(bed.definition("nightly").await.revision, 1);
    assert_eq!(bed.count("HLEN", 0, "entries"), 1);
}

#[tokio::test]
async fn the_anchor_stays_while_every_changes_and_goes_with_a_start() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "10s", "exec": ["true"]})).await;
    let first = bed.definition("a").await.entry["anchor"].clone();
    bed.shift(3_500);
    bed.set("a", json!({"every": "7s"})).await;
    assert_eq!(bed.definition("a").await.entry["anchor"], first);
    bed.set("a", json!({"start": "2030-01-01T00:00:00Z"})).await;
    let with_start = bed.definition("a").await.entry;
    assert!(!with_start.contains_key("anchor"));
    let unset = ["start".to_owned()];
    let changed = bed.service.set(&request(), &id("a"), object(json!({})), &unset).await.unwrap();
    assert_eq!(changed.changes[0].fields, ["start", "anchor"]);
    assert_ne!(bed.definition("a").await.entry["anchor"], first);
    assert_eq!(words(&bed.set("a", json!({"every": "7s"})).await), ["unchanged"]);
}

#[tokio::test]
async fn a_dry_run_foretells_and_writes_nothing() {
    let bed = Bed::new().await;
    bed.add("a", json!({"cron": "*/7 * * * * *", "tz": "Europe/Berlin", "exec": ["true"]})).await;
    bed.shift(3_600_000);
    let dump = |bed: &Bed| {
        let keys = bed.redis.keys();
        keys.iter().map(|key| (key.clone(), bed.redis.ask(&["DUMP", key]))).collect::<Vec<_>>()
    };
    let before = dump(&bed);
    let added = bed.service.add(&dry(), id("b"), entry(json!({"every": "10s", "list": "out"})), new()).await.unwrap();
    assert_eq!((added.changes[0].change, added.changes[0].revision), ("added", Some(1)));
    let set = bed.service.set(&dry(), &id("a"), object(json!({"every": "1h"})), &[]).await.unwrap();
    assert_eq!(set.changes[0].fields, ["cron", "every", "anchor"]);
    assert_eq!(words(&bed.service.pause(&dry(), &[id("a")]).await.unwrap()), ["changed"]);
    assert_eq!(words(&bed.service.remove(&dry(), &[id("a")]).await.unwrap()), ["removed"]);
    assert_eq!(dump(&bed), before);
}

#[tokio::test]
async fn a_direct_entry_takes_its_message_along() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "10s", "list": "out"})).await;
    assert_eq!(bed.count("HLEN", 0, "messages"), 1);
    bed.set("a", json!({"exec": ["true"]})).await;
    assert_eq!(bed.count("HLEN", 0, "messages"), 0);
    bed.set("a", json!({"stream": "events", "payload": {"x": 1}})).await;
    bed.pause("a").await;
    assert_eq!(bed.count("HLEN", 0, "messages"), 1);
    bed.remove("a").await;
    assert_eq!(bed.count("HLEN", 0, "messages"), 0);
}

#[tokio::test]
async fn an_entry_that_nobody_can_read_can_be_removed() {
    let bed = Bed::new().await;
    for name in ["torn", "strange", "bare"] {
        bed.add(name, json!({"cron": "*/7 * * * *", "tz": "Europe/Berlin", "exec": ["true"]})).await;
    }
    bed.redis.cli(&["HSET", &bed.key(0, "entries"), "torn", "{\"v\":1,\"birth\":1,\"revi"]);
    let strange = bed.redis.cli(&["HGET", &bed.key(0, "entries"), "strange"]).replace("\"cron\"", "\"corn\"");
    bed.redis.cli(&["HSET", &bed.key(0, "entries"), "strange", &strange]);
    bed.redis.cli(&["HDEL", &bed.key(0, "plans"), "bare", "strange"]);
    bed.shift(3_600_000);
    let why = bed.service.pause(&request(), &[id("torn")]).await.unwrap_err();
    assert!(matches!(why, Error::Corrupt(_)), "{why:?}");
    for name in ["torn", "strange", "bare"] {
        assert_eq!(words(&bed.remove(name).await), ["removed"], "{name}");
    }
    assert_eq!(bed.count("HLEN", 0, "entries"), 0);
    bed.is_conserved();
}

#[tokio::test]
async fn entries_are_selected_by_what_they_say() {
    let bed = Bed::with_shards(3).await;
    for (name, queue, team) in [("a", "default", "x"), ("b", "batch", "x"), ("c", "batch", "y")] {
        bed.add(name, json!({"every": "1h", "exec": ["true"], "queue": queue, "labels": {"team": team}})).await;
    }
    let queue = upbeat::domain::id::QueueName::parse("queue", "batch").unwrap();
    let labels = |team: &str| Select::Labels(vec![("team".to_owned(), team.to_owned())]);
    let chosen = [
        (Select::All, vec!["a", "b", "c"]),
        (Select::Queue(queue), vec!["b", "c"]),
        (labels("x"), vec!["a", "b"]),
        (labels("z"), vec![]),
        (Select::Owner(new().owner), vec!["a", "b", "c"]),
        (Select::Ids(vec![id("c"), id("a"), id("c")]), vec!["a", "c"]),
    ];
    for (select, expected) in chosen {
        assert_eq!(bed.service.select(&select).await.unwrap(), expected.into_iter().map(id).collect::<Vec<_>>());
    }
    let missing = bed.service.select(&Select::Ids(vec![id("a"), id("d")])).await.unwrap_err();
    assert_eq!((missing.exit_code(), missing.problem().field.as_deref()), (3, Some("entry")));
}
