//! A change settles what is overdue, while no node runs: each fire time becomes a run or a record.

use serde_json::{Value, json};
use upbeat::domain::run::{Reason, State, Trigger};

use crate::bed::{Bed, Outcomes, entry, id, object, request};

/// Evenly spaced, a list, and a list that ends long before now.
fn schedules() -> Vec<(&'static str, Value, i64)> {
    vec![
        ("every", json!({"every": "1m"}), 150_000),
        ("listed", json!({"cron": "*/7 * * * *", "tz": "Europe/Berlin"}), 1_500_000),
        ("dry", json!({"cron": "*/7 * * * * *", "tz": "Europe/Berlin"}), 600_000),
        ("far", json!({"cron": "*/7 * * * * *", "tz": "Europe/Berlin"}), 3 * 3_600_000),
    ]
}

fn with_exec(when: &Value) -> Value {
    let mut fields = object(when.clone());
    fields.insert("exec".to_owned(), json!(["true"]));
    Value::Object(fields)
}

/// Adds one entry of each schedule and lets its fire times pass. Returns the bed and the entry's own schedule.
async fn overdue(fields: &Value, passed_ms: i64) -> (Bed, upbeat::domain::entry::Entry) {
    let bed = Bed::new().await;
    bed.add("a", fields.clone()).await;
    let stored = bed.definition("a").await;
    bed.shift(passed_ms);
    (bed, stored.parse(&id("a")).unwrap())
}

fn count(outcomes: &Outcomes, state: State, reason: Option<Reason>) -> u64 {
    outcomes.get(&(state, reason)).copied().unwrap_or(0)
}

#[tokio::test]
async fn set_settles_by_the_catch_up_rule() {
    for (name, when, passed_ms) in schedules() {
        let (bed, schedule) = overdue(&with_exec(&when), passed_ms).await;
        let created = bed.definition("a").await.created;
        let set = bed.set("a", json!({"every": "1h"})).await;
        assert_eq!(set.changes[0].change, "changed", "{name}");
        let stretches = bed.stretches("a").await;
        let settled = bed.all_settled(&stretches, &schedule, created);
        let outcomes = bed.outcomes("a").await;
        let fired = count(&outcomes, State::Succeeded, None);
        assert!(fired >= 1, "{name}: {outcomes:?}");
        assert_eq!(settled, outcomes.values().sum::<u64>());
        // With overlap `skip` and no node only the first of them became a run.
        assert_eq!(bed.waiting("default:exec").len() as u64, fired, "{name}");
        assert!(stretches.iter().all(|stretch| stretch.revision == 1));
        assert!(set.changes[0].next_after.unwrap().0 > stretches.iter().map(|one| one.last).max().unwrap());
        bed.is_conserved();
    }
}

#[tokio::test]
async fn set_with_catch_up_all_keeps_its_back_log() {
    let mut fields = object(with_exec(&json!({"cron": "*/7 * * * * *", "tz": "Europe/Berlin"})));
    fields.insert("catch_up".to_owned(), json!("all"));
    fields.insert("overlap".to_owned(), json!("allow"));
    let (bed, schedule) = overdue(&Value::Object(fields), 3 * 3_600_000).await;
    let created = bed.definition("a").await.created;
    bed.set("a", json!({"note": "x"})).await;
    bed.all_settled(&bed.stretches("a").await, &schedule, created);
    let stored = bed.store().entry(&id("a")).await.unwrap().unwrap();
    assert!((98..=99).contains(&stored.back_log.len()), "{}", stored.back_log.len());
    bed.is_conserved();
}

#[tokio::test]
async fn pause_and_rm_record_all_of_it_as_missed() {
    for (name, when, passed_ms) in schedules() {
        let (bed, schedule) = overdue(&with_exec(&when), passed_ms).await;
        let created = bed.definition("a").await.created;
        bed.pause("a").await;
        let settled = bed.all_settled(&bed.stretches("a").await, &schedule, created);
        assert_eq!(bed.outcomes("a").await, [((State::Missed, Some(Reason::Paused)), settled)].into(), "{name}");
        assert_eq!(bed.records("a").await.iter().map(|run| run.fires).sum::<u64>(), settled);

        let (bed, schedule) = overdue(&with_exec(&when), passed_ms).await;
        let created = bed.definition("a").await.created;
        bed.remove("a").await;
        let settled = bed.all_settled(&bed.stretches("a").await, &schedule, created);
        assert_eq!(bed.outcomes("a").await, [((State::Missed, Some(Reason::Removed)), settled)].into(), "{name}");
        assert_eq!(bed.waiting("default:exec"), Vec::<String>::new());
        bed.is_conserved();
    }
}

#[tokio::test]
async fn a_parked_entry_can_be_changed_before_a_node_plans_it() {
    let fields = with_exec(&json!({"cron": "*/7 * * * * *", "tz": "Europe/Berlin"}));
    let (bed, schedule) = overdue(&fields, 3_600_000).await;
    let created = bed.definition("a").await.created;
    bed.claim(0).await;
    assert_eq!(bed.count("ZCARD", 0, "parked"), 1);
    bed.remove("a").await;
    bed.all_settled(&bed.stretches("a").await, &schedule, created);
    bed.is_conserved();
}

#[tokio::test]
async fn a_broken_plan_is_made_anew_before_the_change() {
    let (bed, schedule) = overdue(&with_exec(&json!({"every": "1m"})), 150_000).await;
    let created = bed.definition("a").await.created;
    bed.redis.cli(&["HSET", &bed.key(0, "plans"), "a", "torn"]);
    bed.claim(0).await;
    assert_eq!(bed.count("ZCARD", 0, "broken"), 1);
    bed.pause("a").await;
    bed.all_settled(&bed.stretches("a").await, &schedule, created);
    assert_eq!(bed.count("ZCARD", 0, "paused"), 1);
    bed.is_conserved();
}

#[tokio::test]
async fn what_passes_while_paused_is_one_skipped_record() {
    for (name, when, passed_ms) in schedules() {
        let bed = Bed::new().await;
        bed.add("a", with_exec(&when)).await;
        bed.pause("a").await;
        let schedule = bed.definition("a").await.parse(&id("a")).unwrap();
        let paused = bed.definition("a").await.at;
        bed.shift(passed_ms);
        let resumed = bed.resume("a").await;
        let settled = bed.all_settled(&bed.stretches("a").await, &schedule, paused);
        assert_eq!(bed.outcomes("a").await, [((State::Skipped, Some(Reason::Paused)), settled)].into(), "{name}");
        let records = bed.records("a").await;
        assert_eq!(records.len(), 1, "{name}");
        assert_eq!((records[0].fires, records[0].trigger), (settled, Trigger::Scheduled));
        // It owes nothing: the next one is the first after now.
        let next = resumed.changes[0].next_after.unwrap().0;
        assert_eq!(schedule.schedule.next_after(records[0].last_fire_at), Some(next), "{name}");
        bed.is_conserved();
    }
}

#[tokio::test]
async fn a_paused_entry_that_lost_its_place_is_paused_again() {
    for (name, when, passed_ms) in schedules() {
        let bed = Bed::new().await;
        bed.add("a", with_exec(&when)).await;
        bed.pause("a").await;
        let schedule = bed.definition("a").await.parse(&id("a")).unwrap();
        let paused = bed.definition("a").await.at;
        bed.shift(passed_ms / 2);
        bed.store().plan(&id("a"), bed.now().await).await.unwrap();
        bed.redis.cli(&["DEL", &bed.key(0, "paused")]);
        bed.store().rebuild(0).await.unwrap();
        assert_eq!(bed.count("ZCARD", 0, "paused"), 1);
        bed.shift(passed_ms);
        bed.store().plan(&id("a"), bed.now().await).await.unwrap();
        assert_eq!((bed.count("ZCARD", 0, "paused"), bed.count("ZCARD", 0, "due")), (1, 0), "{name}");
        bed.resume("a").await;
        let settled = bed.all_settled(&bed.stretches("a").await, &schedule, paused);
        assert_eq!(bed.outcomes("a").await, [((State::Skipped, Some(Reason::Paused)), settled)].into(), "{name}");
        assert_eq!(bed.waiting("default:exec"), Vec::<String>::new());
        bed.is_conserved();
    }
}

#[tokio::test]
async fn rm_of_a_paused_entry_records_the_pause() {
    let bed = Bed::new().await;
    bed.add("a", with_exec(&json!({"every": "1m"}))).await;
    bed.pause("a").await;
    bed.shift(150_000);
    bed.remove("a").await;
    assert_eq!(bed.outcomes("a").await, [((State::Skipped, Some(Reason::Paused)), 2)].into());
}

#[tokio::test]
async fn a_set_that_lands_just_after_a_claim_fires_nothing_again() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1m", "list": "out", "payload": "x"})).await;
    bed.shift(61_000);
    assert_eq!(bed.claim(0).await.claimed, 1);
    for round in 0..5 {
        bed.set("a", json!({"note": round.to_string()})).await;
        bed.set("a", json!({"every": if round % 2 == 0 { "30s" } else { "1m" }})).await;
        bed.claim(0).await;
    }
    assert_eq!(bed.redis.ask(&["LLEN", "out"]).int(), 1);
    let removed = bed.remove("a").await;
    assert_eq!(removed.changes[0].change, "removed");
    bed.add("a", json!({"every": "1m", "start": "2020-01-01T00:00:00Z", "list": "out"})).await;
    bed.claim(0).await;
    assert_eq!(bed.redis.ask(&["LLEN", "out"]).int(), 1);
}

#[tokio::test]
async fn a_message_that_is_overdue_is_delivered_by_the_change() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1m", "list": "out", "payload": "old"})).await;
    bed.shift(61_000);
    bed.set("a", json!({"payload": "new"})).await;
    assert!(bed.redis.cli(&["LRANGE", "out", "0", "-1"]).contains("\"payload\":\"old\""));
    assert_eq!(bed.records("a").await[0].reason, Some(Reason::Delivered));
    bed.shift(121_000);
    bed.redis.cli(&["HDEL", &bed.key(0, "messages"), "a"]);
    bed.set("a", json!({"payload": "newest"})).await;
    let last = bed.records("a").await.pop().unwrap();
    assert_eq!((last.state, last.reason), (State::Failed, Some(Reason::Target)));
    assert_eq!(bed.redis.ask(&["LLEN", "out"]).int(), 1);
    bed.is_conserved();
}

#[tokio::test]
async fn many_overdue_entries_fire_in_one_step() {
    let bed = Bed::new().await;
    let entries: String = (0..250)
        .map(|n| {
            format!(
                "[entries.e{n}]\nevery = \"100ms\"\nexec = [\"true\"]\noverlap = \"allow\"\nstart_within = \"1h\"\n"
            )
        })
        .collect();
    bed.service.apply(&request(), crate::bed::file(&entries), crate::bed::owned_by("o")).await.unwrap();
    bed.shift(4_900);
    let changed = entries.replace("100ms", "1h");
    let result = bed.service.apply(&request(), crate::bed::file(&changed), crate::bed::owned_by("o")).await.unwrap();
    assert!(result.changes.iter().all(|change| change.change == "changed"));
    assert!(bed.waiting("default:exec").len() > 8_000, "{}", bed.waiting("default:exec").len());
    bed.is_conserved();
}

#[tokio::test]
async fn an_entry_that_begins_to_need_marks_marks_what_fires_in_the_same_step() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1m", "exec": ["true"], "overlap": "allow"})).await;
    bed.shift(61_000);
    bed.claim(0).await;
    bed.shift(121_000);
    bed.set("a", json!({"overlap": "skip"})).await;
    assert_eq!(bed.waiting("default:exec").len(), 2);
    assert_eq!(bed.redis.cli(&["HGET", &bed.key(0, "active"), "a"]).len(), 72);
    bed.shift(181_000);
    bed.claim(0).await;
    assert_eq!(bed.waiting("default:exec").len(), 2);
    assert_eq!(count(&bed.outcomes("a").await, State::Skipped, Some(Reason::Overlap)), 1);
}

#[tokio::test]
async fn rm_cancels_what_is_queued_also_of_a_finished_entry() {
    let bed = Bed::new().await;
    let at = upbeat::domain::timestamp::Timestamp(bed.now().await.0 + 60_000).to_rfc3339();
    bed.add("once", json!({"at": at, "exec": ["true"]})).await;
    bed.shift(61_000);
    bed.claim(0).await;
    assert_eq!(bed.count("ZCARD", 0, "finished"), 1);
    assert_eq!(bed.waiting("default:exec").len(), 1);
    bed.remove("once").await;
    let record = bed.records("once").await.pop().unwrap();
    assert_eq!((record.state, record.reason), (State::Cancelled, Some(Reason::EntryRemoved)));
    assert_eq!(bed.count("HLEN", 0, "live"), 0);
    bed.is_conserved();
}

#[tokio::test]
async fn an_instant_that_passes_is_finished_and_can_get_another() {
    let bed = Bed::new().await;
    let at = upbeat::domain::timestamp::Timestamp(bed.now().await.0 + 60_000).to_rfc3339();
    bed.add("once", json!({"at": at, "exec": ["true"]})).await;
    bed.shift(61_000);
    // Nobody has claimed it: the change fires it.
    bed.set("once", json!({"note": "x"})).await;
    assert_eq!(bed.waiting("default:exec").len(), 1);
    assert_eq!(bed.count("ZCARD", 0, "finished"), 1);
    assert_eq!(entry(json!(bed.definition("once").await.entry)).note.as_deref(), Some("x"));
    let set = bed.set("once", json!({"at": "2090-01-01T00:00:00Z"})).await;
    assert!(set.changes[0].next_after.is_some());
    bed.is_conserved();
}
