//! Taken over while it runs, and handed back: no fire doubled, none lost, as the worker sees it.

use serde_json::json;

use crate::bed::{Bed, LATE_MS};
use crate::support::patience::patiently;
use crate::support::redbeat::{Beat, field, runs};
use crate::support::wait::{DEADLINE, wait_for};

/// Fires to wait for on each side; a longer run asks for more of them.
fn fires() -> usize {
    std::env::var("UPBEAT_REDBEAT_FIRES").ok().and_then(|fires| fires.parse().ok()).unwrap_or(1)
}

#[test]
fn fifty_entries_are_taken_over_and_handed_back_without_a_fire_doubled_or_lost() {
    patiently(|| {
        let Some(mut bed) = Bed::new() else { return };
        let every = |number: usize| 2 + number % 4;
        let intervals: Vec<String> = (0..38).map(|number| format!("every-{number}")).collect();
        let lines: Vec<String> =
            (0..38).map(|number| format!("save('every-{number}', schedule({}.0))", every(number))).collect();
        bed.save(&format!(
            "{}\nfor n in range(4): save(f'minute-{{n}}', crontab())\n\
             start = datetime.now(timezone.utc).replace(microsecond=0)\n\
             for n in range(3): save(f'rule-{{n}}', rrule('SECONDLY', interval=3, dtstart=start))\n\
             for n in range(3): save(f'off-{{n}}', schedule(1.0), enabled=False)\n",
            lines.join("\n")
        ));
        let own = json!({"beat_schedule": {
            "static-0": {"task": "app.record", "schedule": 3.0, "args": ["static-0"]},
            "static-1": {"task": "app.record", "schedule": 4.0, "args": ["static-1"]},
        }});
        let mut first = Beat::start(&bed.python, &bed.redis, &own);
        first.wait_log("Acquired lock");
        // It has written its entries, and waits for the lock.
        let mut second = Beat::start(&bed.python, &bed.redis, &own);
        second.wait_log("beat: Starting");
        bed.start_node();
        let rules: Vec<String> = (0..3).map(|number| format!("rule-{number}")).collect();
        let statics = ["static-0".to_owned(), "static-1".to_owned()];
        let fast: Vec<String> = intervals.iter().chain(&rules).chain(&statics).cloned().collect();
        bed.wait_each(&fast, true, fires());

        let taken = bed.user.json(&["import", "redbeat", &bed.url(), "--tz", "UTC", "--take-over"]);
        assert_eq!((&taken["state"], &taken["entries"], &taken["paused"]), (&json!("taken"), &json!(47), &json!(3)));
        bed.wait_each(&fast, false, 1 + fires());
        wait_for("the beat that ran has ended", DEADLINE, || first.has_ended());
        assert!(first.log().contains("LockNotOwned"), "{}", first.log());
        let again = bed.user.json(&["import", "redbeat", &bed.url(), "--tz", "UTC", "--take-over"]);
        assert_eq!(again["state"], "unchanged");

        let given = bed.user.json(&["import", "redbeat", &bed.url(), "--hand-back"]);
        assert_eq!(
            (&given["state"], &given["entries"], &given["has_beat"]),
            (&json!("given"), &json!(50), &json!(true))
        );
        bed.wait_each(&fast, true, fires());
        bed.rest(&mut second);

        let sent = bed.sent();
        let by_upbeat: usize = sent.values().flatten().filter(|one| !one.by_beat).count();
        assert_eq!(given["fired"], by_upbeat, "what upbeat fired is what the worker executed of it");
        let all: Vec<String> = fast.iter().cloned().chain((0..4).map(|number| format!("minute-{number}"))).collect();
        bed.counts_agree(&all);
        for number in 0..3 {
            assert_eq!((sent.get(&format!("off-{number}")), runs(&bed.redis, &format!("off-{number}"))), (None, 0));
            assert_eq!(field(&bed.redis, &format!("off-{number}"), "definition")["enabled"], false);
        }
        for (number, name) in intervals.iter().enumerate() {
            bed.is_in_phase(name, every(number) as i64 * 1000, LATE_MS);
        }
        for (name, every_ms) in
            rules.iter().map(|name| (name, 3_000)).chain([(&statics[0], 3_000), (&statics[1], 4_000)])
        {
            bed.is_in_phase(name, every_ms, LATE_MS);
        }
        for number in 0..4 {
            let fires = sent.get(&format!("minute-{number}")).cloned().unwrap_or_default();
            let minutes: Vec<i64> = fires.iter().map(|one| one.at_ms / 60_000).collect();
            assert!(minutes.windows(2).all(|two| two[0] + 1 == two[1]), "each minute once: {fires:?}");
        }
        let keys = bed.redis.keys();
        assert!(!keys.iter().any(|key| key.contains(":upbeat")), "nothing of the take-over stays: {keys:?}");
    });
}

#[test]
fn a_beat_that_is_frozen_in_the_middle_of_a_tick_sends_nothing_after_the_take_over() {
    let Some(mut bed) = Bed::new() else { return };
    // All are due at once: one tick sends them one after the other.
    bed.save(
        "past = datetime.now(timezone.utc) - timedelta(seconds=30)\n\
         for n in range(6):\n\x20   e = RedBeatSchedulerEntry(f'e-{n}', 'app.record', schedule(60.0), args=[f'e-{n}'], app=app, last_run_at=past - timedelta(seconds=40))\n\x20   e.save()",
    );
    bed.start_node();
    bed.redis.ask(&["SET", "freeze", "e-0"]);
    let mut beat = Beat::start(&bed.python, &bed.redis, &serde_json::Value::Null);
    wait_for("the beat is frozen", DEADLINE, || bed.redis.cli(&["GET", "frozen"]) == "e-0");
    let noted: Vec<String> = (0..6).map(|n| format!("e-{n}")).filter(|name| runs(&bed.redis, name) > 0).collect();
    assert!(noted.contains(&"e-0".to_owned()), "its fire is noted, and not sent yet");

    let taken = bed.user.json(&["import", "redbeat", &bed.url(), "--take-over"]);
    assert_eq!(taken["entries"], 6);
    wait_for("upbeat fires what was due", DEADLINE, || bed.sent().len() == 6 - noted.len());
    bed.redis.ask(&["DEL", "freeze"]);
    wait_for("the beat has ended", DEADLINE, || beat.has_ended());
    bed.drain();
    let sent = bed.sent();
    for number in 0..6 {
        let name = format!("e-{number}");
        let fires = &sent[&name];
        assert_eq!(fires.len(), 1, "{name} once: {fires:?}\n{}", beat.log());
        assert_eq!(fires[0].by_beat, noted.contains(&name), "whoever had noted it sends it");
    }
    assert!(beat.log().contains("WRONGTYPE"), "{}", beat.log());
}

#[test]
fn no_beat_fires_what_was_taken_over_until_it_is_handed_back() {
    let Some(mut bed) = Bed::new() else { return };
    bed.save("save('tick', schedule(1.0))");
    bed.start_node();
    bed.user.json(&["import", "redbeat", &bed.url(), "--take-over"]);
    bed.wait_each(&["tick".to_owned()], false, 1);
    // One without entries of its own waits for the lock, one with some can't write them.
    let waits = Beat::start(&bed.python, &bed.redis, &serde_json::Value::Null);
    let own = json!({"beat_schedule": {"tick-2": {"task": "app.record", "schedule": 1.0, "args": ["tick-2"]}}});
    let mut fails = Beat::start(&bed.python, &bed.redis, &own);
    let mut lockless = Beat::start(&bed.python, &bed.redis, &json!({"redbeat_lock_key": null}));
    wait_for("a beat with a schedule of its own has ended", DEADLINE, || fails.has_ended());
    waits.wait_log("beat: Starting");
    wait_for("a beat without a lock has ended", DEADLINE, || lockless.has_ended());
    bed.wait_each(&["tick".to_owned()], false, 2);
    assert!(bed.sent().values().flatten().all(|one| !one.by_beat), "{:?}", bed.sent());
    assert!(fails.log().contains("WRONGTYPE"), "{}", fails.log());

    bed.user.json(&["import", "redbeat", &bed.url(), "--hand-back"]);
    bed.wait_each(&["tick".to_owned()], true, 2);
    let mut waits = waits;
    bed.rest(&mut waits);
    bed.counts_agree(&["tick".to_owned()]);
}

#[test]
fn a_redbeat_in_another_redis_is_taken_over_and_handed_back_too() {
    patiently(beside_another_redis);
}

fn beside_another_redis() {
    let Some(mut bed) = Bed::apart() else { return };
    bed.save("save('tick', schedule(2.0))\nsave('tock', schedule(3.0))");
    let names = ["tick".to_owned(), "tock".to_owned()];
    let mut first = Beat::start(&bed.python, &bed.redis, &serde_json::Value::Null);
    bed.wait_each(&names, true, 1);
    let told = bed.user.error(4, &["import", "redbeat", &bed.url(), "--take-over"]);
    assert_eq!(told["field"], "take-over", "{told}");
    bed.start_node();
    bed.user.json(&["import", "redbeat", &bed.url(), "--take-over"]);
    bed.wait_each(&names, false, 1);
    wait_for("the beat that ran has ended", DEADLINE, || first.has_ended());
    let mut second = Beat::start(&bed.python, &bed.redis, &serde_json::Value::Null);
    bed.user.json(&["import", "redbeat", &bed.url(), "--hand-back"]);
    bed.wait_each(&names, true, 1);
    bed.rest(&mut second);
    bed.counts_agree(&names);
    bed.is_in_phase("tick", 2_000, LATE_MS);
    bed.is_in_phase("tock", 3_000, LATE_MS);
}

#[test]
fn what_runs_is_not_applied_beside_it() {
    let Some(bed) = Bed::new() else { return };
    bed.save("save('tick', schedule(60.0))");
    bed.redis.ask(&["SET", "redbeat::lock", "a beat", "PX", "60000"]);
    let told = bed.user.error(4, &["import", "redbeat", &bed.url(), "--apply"]);
    assert!(told["message"].as_str().unwrap().contains("both would fire"), "{told}");
    bed.redis.ask(&["DEL", "redbeat::lock"]);
    let applied = bed.user.json(&["import", "redbeat", &bed.url(), "--apply"]);
    assert_eq!(applied["changes"][0]["change"], "added", "{applied}");
}

#[test]
fn it_may_be_taken_over_again_and_without_a_beat() {
    let Some(mut bed) = Bed::new() else { return };
    bed.save("save('tick', schedule(2.0))\nsave('off', schedule(2.0), enabled=False)");
    bed.start_node();
    let names = ["tick".to_owned()];
    for round in 0..2 {
        let taken = bed.user.json(&["import", "redbeat", &bed.url(), "--take-over"]);
        assert_eq!((&taken["state"], &taken["had_beat"]), (&json!("taken"), &json!(false)), "round {round}");
        bed.wait_each(&names, false, 1);
        let told = bed.user.error(6, &["import", "redbeat", &bed.url(), "--hand-back", "--wait", "1s"]);
        assert!(told["message"].as_str().unwrap().contains("no beat took the lock"), "{told}");
        bed.wait_each(&names, false, 1);
        let given = bed.user.json(&["import", "redbeat", &bed.url(), "--hand-back", "--no-wait"]);
        assert_eq!((&given["state"], &given["has_beat"]), (&json!("given"), &json!(false)));
    }
    bed.drain();
    bed.counts_agree(&names);
    let told = bed.user.error(4, &["import", "redbeat", &bed.url(), "--hand-back"]);
    assert!(told["message"].as_str().unwrap().contains("nothing was taken over"), "{told}");
}

#[test]
fn what_would_be_lost_is_not_taken_over() {
    let Some(bed) = Bed::new() else { return };
    bed.save("save('tick', schedule(2.0))\nsave('nine', crontab(hour=9))");
    let url = bed.url();
    let told = bed.user.error(2, &["import", "redbeat", &url, "--take-over"]);
    assert!(told["hint"].as_str().unwrap().contains("redbeat:nine"), "{told}");
    assert!(told["hint"].as_str().unwrap().contains("--tz ZONE"), "{told}");
    let told = bed.user.error(4, &["import", "redbeat", &url, "--tz", "UTC", "--take-over"]);
    assert!(told["message"].as_str().unwrap().contains("no node of namespace test is live"), "{told}");
    let dry = bed.user.json(&["import", "redbeat", &url, "--tz", "UTC", "--take-over", "--without-nodes", "--dry-run"]);
    assert_eq!((&dry["state"], &dry["entries"]), (&json!("would_take"), &json!(2)));
    bed.user.ok(&["add", "tick", "--every", "1h", "--celery", "app.other"]);
    let told = bed.user.error(4, &["import", "redbeat", &url, "--tz", "UTC", "--take-over", "--without-nodes"]);
    assert!(told["hint"].as_str().unwrap().contains("upbeat rm tick"), "{told}");
    assert_eq!(bed.redis.cli(&["TYPE", "redbeat::schedule"]), "zset");
    assert!(!bed.redis.keys().iter().any(|key| key.contains(":upbeat")), "nothing was begun");
}
