//! Pauses with an end, and resuming from an instant: each fire time is settled once, whoever notices, however late.

use serde_json::{Value, json};
use upbeat::domain::entry::Entry;
use upbeat::domain::ledger::Stretch;
use upbeat::domain::run::{Reason, State, Trigger};
use upbeat::domain::timestamp::Timestamp;
use upbeat::service::Said;

use crate::bed::{Bed, id, named, request, words};

const SKIPPED: (State, Option<Reason>) = (State::Skipped, Some(Reason::Paused));

/// Evenly spaced, a list, and lists that end before the pause does.
fn schedules() -> Vec<(&'static str, Value, i64)> {
    vec![
        ("every", json!({"every": "1m"}), 3_600_000),
        ("listed", json!({"cron": "*/7 * * * *", "tz": "Europe/Berlin"}), 3_600_000),
        ("dry", json!({"cron": "*/7 * * * * *", "tz": "Europe/Berlin"}), 600_000),
        ("far", json!({"cron": "*/7 * * * * *", "tz": "Europe/Berlin"}), 2 * 3_600_000),
    ]
}

async fn added(when: &Value, catch_up: &str) -> (Bed, Entry) {
    let bed = Bed::new().await;
    let mut fields = when.clone();
    fields["exec"] = json!(["true"]);
    fields["overlap"] = json!("allow");
    fields["catch_up"] = json!(catch_up);
    fields["keep_runs"] = json!(10_000);
    bed.add("a", fields).await;
    let schedule = bed.definition("a").await.parse(&id("a")).unwrap();
    (bed, schedule)
}

fn after(now: Timestamp, ms: i64) -> Said {
    Said::from(Timestamp(now.0 + ms))
}

/// Claims and plans until nothing is left to do now, as a node does.
pub async fn settle(bed: &Bed) {
    for _ in 0..200 {
        let claim = bed.claim(0).await;
        let mut has_planned = false;
        for name in &claim.to_plan {
            has_planned |= bed.store().plan(&id(name), claim.now).await.unwrap() == upbeat::store::Planned::Written;
        }
        if !has_planned && !claim.is_full {
            return;
        }
    }
    panic!("two hundred claims, and still something is due");
}

/// Fire times of the entry in the ledger with this outcome, all of them before or all from `until` on.
#[track_caller]
fn split_at(stretches: &[Stretch], until: Timestamp) -> (u64, u64) {
    let (before, since): (Vec<&Stretch>, Vec<&Stretch>) =
        stretches.iter().partition(|stretch| (stretch.outcome, stretch.reason) == SKIPPED);
    assert!(before.iter().all(|stretch| stretch.last < until), "{before:?} {until:?}");
    assert!(since.iter().all(|stretch| stretch.first >= until), "{since:?} {until:?}");
    (before.iter().map(|one| one.count).sum(), since.iter().map(|one| one.count).sum())
}

#[tokio::test]
async fn a_pause_until_ends_by_itself_and_what_passed_is_one_range() {
    for (name, when, passed_ms) in schedules() {
        let (bed, schedule) = added(&when, "latest").await;
        let now = bed.now().await;
        let until = after(now, passed_ms / 2);
        bed.service.pause_until(&request(), &[id("a")], &until).await.unwrap();
        let paused = bed.definition("a").await.at;
        // Nobody looks for a long time.
        bed.shift(passed_ms);
        settle(&bed).await;
        let stretches = bed.stretches("a").await;
        bed.all_settled(&stretches, &schedule, paused);
        let (skipped, since) = split_at(&stretches, until.at);
        assert!(skipped > 0 && since > 0, "{name}: {stretches:?}");
        let ranges: Vec<_> = bed.records("a").await.into_iter().filter(|run| run.state == State::Skipped).collect();
        assert_eq!((ranges.len(), ranges[0].fires), (1, skipped), "{name}");
        assert_eq!(bed.count("ZCARD", 0, "due"), 1, "{name}");
        assert_eq!(bed.service.list(&Default::default()).await.unwrap()[0].status, "active");
        bed.is_conserved();
    }
}

#[tokio::test]
async fn a_change_after_the_end_of_a_pause_finds_the_entry_active() {
    for (name, when, passed_ms) in schedules() {
        for change in ["set", "pause", "resume", "rm"] {
            let (bed, schedule) = added(&when, "latest").await;
            let until = after(bed.now().await, passed_ms / 2);
            bed.service.pause_until(&request(), &[id("a")], &until).await.unwrap();
            let paused = bed.definition("a").await.at;
            bed.shift(passed_ms);
            match change {
                "set" => drop(bed.set("a", json!({"note": "x"})).await),
                "pause" => assert_eq!(words(&bed.pause("a").await), ["changed"], "{name}"),
                "resume" => assert_eq!(words(&bed.resume("a").await), ["unchanged"], "{name}: it is active"),
                _ => drop(bed.remove("a").await),
            }
            settle(&bed).await;
            let stretches = bed.stretches("a").await;
            bed.all_settled(&stretches, &schedule, paused);
            let (skipped, since) = split_at(&stretches, until.at);
            assert!(skipped > 0 && since > 0, "{name} {change}: {stretches:?}");
            let reason = match change {
                "pause" => Some(Reason::Paused),
                "rm" => Some(Reason::Removed),
                _ => None,
            };
            if reason.is_some() {
                let missed = stretches.iter().filter(|one| one.first >= until.at);
                assert!(missed.clone().all(|one| (one.outcome, one.reason) == (State::Missed, reason)), "{change}");
            }
            bed.is_conserved();
        }
    }
}

#[tokio::test]
async fn the_claim_says_when_to_look_for_the_end_of_a_pause() {
    let (bed, _) = added(&json!({"every": "1h"}), "latest").await;
    let now = bed.now().await;
    bed.service.pause_until(&request(), &[id("a")], &after(now, 90_000)).await.unwrap();
    let claim = bed.claim(0).await;
    assert_eq!(claim.next_due, None);
    assert_eq!(claim.look, Some(Timestamp(now.0 + 90_000)));
}

#[tokio::test]
async fn a_pause_gets_another_end_and_the_past_is_refused() {
    let (bed, schedule) = added(&json!({"every": "1m"}), "latest").await;
    let now = bed.now().await;
    let (near, far) = (after(now, 600_000), after(now, 3_600_000));
    let pause = async |until: &Said| bed.service.pause_until(&request(), &[id("a")], until).await;
    assert_eq!(words(&pause(&near).await.unwrap()), ["changed"]);
    assert_eq!(words(&pause(&near).await.unwrap()), ["unchanged"]);
    let refused = pause(&after(now, -1_000)).await.unwrap_err();
    assert_eq!((refused.exit_code(), refused.problem().field.as_deref()), (2, Some("until")));
    let since = bed.definition("a").await.paused.unwrap().at;
    assert_eq!(words(&pause(&far).await.unwrap()), ["changed"]);
    let paused = bed.definition("a").await.paused.unwrap();
    assert_eq!((paused.at, paused.until), (since, Some(far.at)));
    let shown = bed.service.show(&id("a")).await.unwrap();
    assert_eq!(shown.paused_by["until"], far.at.to_rfc3339());
    assert_eq!((shown.view.status, shown.view.paused_until.map(|at| at.0)), ("paused", Some(far.at)));
    assert_eq!(shown.view.next_fire_at.map(|at| at.0), schedule.schedule.next_after(Timestamp(far.at.0 - 1)));
    bed.shift(3_000_000);
    settle(&bed).await;
    assert_eq!(bed.count("ZCARD", 0, "paused"), 1, "the nearer end does not count any more");
    assert_eq!(words(&bed.pause("a").await), ["changed"], "from now on without an end");
    bed.shift(8_000_000);
    settle(&bed).await;
    assert_eq!(bed.count("ZCARD", 0, "paused"), 1);
    bed.is_conserved();
}

#[tokio::test]
async fn a_paused_entry_that_lost_its_place_or_its_plan_still_wakes() {
    for (name, when, passed_ms) in schedules() {
        let (bed, schedule) = added(&when, "latest").await;
        let until = after(bed.now().await, passed_ms / 2);
        bed.service.pause_until(&request(), &[id("a")], &until).await.unwrap();
        let paused = bed.definition("a").await.at;
        bed.redis.cli(&["DEL", &bed.key(0, "paused")]);
        bed.store().rebuild(0).await.unwrap();
        bed.redis.cli(&["HSET", &bed.key(0, "plans"), "a", "torn"]);
        bed.shift(passed_ms);
        settle(&bed).await;
        let stretches = bed.stretches("a").await;
        bed.all_settled(&stretches, &schedule, paused);
        let (skipped, since) = split_at(&stretches, until.at);
        assert!(skipped > 0 && since > 0, "{name}: {stretches:?}");
        // Long after its pause it is an active entry like any other.
        let last = stretches.iter().map(|one| one.last).max().unwrap();
        bed.redis.cli(&["DEL", &bed.key(0, "due")]);
        bed.redis.cli(&["DEL", &bed.key(0, "parked")]);
        bed.store().rebuild(0).await.unwrap();
        bed.shift(passed_ms + 900_000);
        settle(&bed).await;
        bed.all_settled(&bed.stretches("a").await, &schedule, paused);
        assert!(bed.stretches("a").await.iter().map(|one| one.last).max().unwrap() > last, "{name}");
        bed.is_conserved();
    }
}

#[tokio::test]
async fn resume_from_settles_what_passed_since_by_the_catch_up_rule_once() {
    for (name, when, passed_ms) in schedules() {
        for catch_up in ["latest", "none", "all"] {
            let (bed, schedule) = added(&when, catch_up).await;
            bed.pause("a").await;
            let paused = bed.definition("a").await.at;
            bed.shift(passed_ms);
            let from = after(bed.now().await, -passed_ms / 2);
            let resumed = bed.service.resume_from(&request(), &[id("a")], &from).await.unwrap();
            assert_eq!(words(&resumed), ["changed"]);
            settle(&bed).await;
            let stretches = bed.stretches("a").await;
            bed.all_settled(&stretches, &schedule, paused);
            let (skipped, since) = split_at(&stretches, from.at);
            assert!(skipped > 0 && since > 0, "{name} {catch_up}: {stretches:?}");
            let fired: u64 = stretches.iter().filter(|one| one.outcome == State::Succeeded).map(|one| one.count).sum();
            let stored = bed.store().entry(&id("a")).await.unwrap().unwrap();
            let runs = bed.waiting("default:exec").len() as u64 + stored.back_log.len() as u64;
            assert_eq!(runs, fired, "{name} {catch_up}: what the ledger calls fired is a run, or waits for its pace");
            if catch_up == "all" {
                assert!(fired > 1, "{name}: {stretches:?}");
            }
            bed.is_conserved();
        }
    }
}

#[tokio::test]
async fn resume_from_goes_no_further_back_than_the_pause() {
    let (bed, _) = added(&json!({"every": "1m"}), "all").await;
    bed.shift(300_000);
    bed.pause("a").await;
    bed.shift(900_000);
    let now = bed.now().await;
    for (ms, words) in [(-700_000, "is before"), (60_000, "is in the future")] {
        let refused = bed.service.resume_from(&request(), &[id("a")], &after(now, ms)).await.unwrap_err();
        assert_eq!((refused.exit_code(), refused.problem().field.as_deref()), (2, Some("from")));
        assert!(refused.to_string().contains(words), "{refused}");
    }
    let from = after(now, -120_000);
    let request = named("r");
    let first = bed.service.resume_from(&request, &[id("a")], &from).await.unwrap();
    // The same words ask for the same, also where they count from now.
    let later = Said { at: Timestamp(from.at.0 + 5_000), text: from.text.clone() };
    assert_eq!(bed.service.resume_from(&request, &[id("a")], &later).await.unwrap().changes, first.changes);
    let again = bed.service.resume_from(&crate::bed::request(), &[id("a")], &from).await.unwrap();
    assert_eq!(words(&again), ["unchanged"]);
    assert_eq!(again.warnings, ["a is not paused: it owes nothing"]);
}

#[tokio::test]
async fn what_was_counted_beyond_it_before_does_not_hinder_resume_from() {
    let (bed, schedule) = added(&json!({"cron": "*/7 * * * * *", "tz": "Europe/Berlin"}), "all").await;
    bed.pause("a").await;
    let paused = bed.definition("a").await.at;
    bed.shift(1_800_000);
    // A command that found the plan short, and was refused for another reason.
    bed.store().plan(&id("a"), bed.now().await).await.unwrap();
    let from = after(bed.now().await, -900_000);
    bed.service.resume_from(&request(), &[id("a")], &from).await.unwrap();
    settle(&bed).await;
    let mut stretches = bed.stretches("a").await;
    // One that came between the addition and the pause is not counted here.
    stretches.retain(|one| one.first > paused);
    bed.all_settled(&stretches, &schedule, paused);
    let (skipped, since) = split_at(&stretches, from.at);
    assert!((134..=137).contains(&skipped) && (134..=137).contains(&since), "{stretches:?}");
    bed.is_conserved();
}

#[tokio::test]
async fn a_trigger_works_while_paused_and_leaves_the_end_of_the_pause_alone() {
    let (bed, _) = added(&json!({"every": "1h"}), "latest").await;
    let until = after(bed.now().await, 5_400_000);
    bed.service.pause_until(&request(), &[id("a")], &until).await.unwrap();
    let run = bed.service.trigger(&request(), &id("a"), Default::default()).await.unwrap().run;
    assert_eq!((run.trigger, run.state), (Trigger::Manual.word(), "queued"));
    assert_eq!(bed.claim(0).await.look, Some(until.at));
}
