//! why, of what is active, to come, or never came: each answer comes from records, with what can be done about it.

use std::collections::BTreeMap;

use serde_json::json;
use upbeat::domain::node::{NodeInfo, Serves};
use upbeat::domain::run::Reason;
use upbeat::domain::zone::Zone;
use upbeat::service::{Answer, TriggerOptions};
use upbeat::store::{ClaimCall, Ended, EndedAs, NextAttempt};

use crate::bed::{Bed, id, request};
use crate::pauses::settle;
use crate::story::{Story, by, facts, timeless};
use crate::support::hand::ended;

/// A node that says of itself what it may run, as its beat does.
async fn beat(bed: &Bed, name: &str, letter: char, serves: &Serves) -> String {
    let incarnation = letter.to_string().repeat(16);
    let info = NodeInfo {
        node: name.to_owned(),
        incarnation: incarnation.clone(),
        host: "h".to_owned(),
        pid: 1,
        version: "0".to_owned(),
        started_at: bed.now().await,
        state: "live".to_owned(),
        running: 2,
        concurrency: 2,
        serves: serves.clone(),
        tzdata: Zone::data_version().to_owned(),
        clock_skew_ms: 0,
        lease_ms: 15_000,
        asked_name: name.to_owned(),
    };
    let call = ClaimCall {
        incarnation: &incarnation,
        node: name,
        number: 0,
        lease_ms: 15_000,
        slots: 0,
        batch: 250,
        beat: serde_json::to_string(&info).unwrap(),
        serves,
    };
    bed.store().refresh_lists(0).await.unwrap();
    bed.store().claim(0, &call).await.unwrap();
    incarnation
}

fn batch_exec() -> Serves {
    Serves { queues: Some(vec!["batch".to_owned()]), kinds: vec!["http".to_owned(), "exec".to_owned()] }
}

#[tokio::test]
async fn a_run_that_nobody_may_run_names_since_when_and_which_node_left() {
    let story = Story::at("2026-11-20T01:30").await;
    story.nightly(json!({"queue": "batch"})).await;
    let node = beat(&story.bed, "batch-1", 'b', &batch_exec()).await;
    story.go("2026-11-20T01:47");
    assert!(story.bed.store().leave(0, &node).await.unwrap());
    story.claim("2026-11-20T02:00").await;
    story.go("2026-11-20T09:00");
    let why = story.why(None).await;
    let said = "nightly is queued since 02:00: no live node may run exec in queue batch since 01:47, when batch-1 left (drained)";
    story.is(&why, Answer::Queued, Some("no_node"), "2026-11-20T02:00", said);
    assert_eq!(why.todo, ["upbeat node --queues batch --allow exec", "upbeat cancel nightly --reason '...'"]);
}

#[tokio::test]
async fn a_node_that_was_lost_is_named_with_when_it_was_last_heard_of() {
    let story = Story::at("2026-11-20T01:47").await;
    story.nightly(json!({"queue": "batch"})).await;
    beat(&story.bed, "batch-1", 'b', &batch_exec()).await;
    story.claim("2026-11-20T02:00").await;
    let why = story.why(None).await;
    assert_eq!((why.answer, why.reason), (Answer::Queued, Some("no_node")));
    assert!(why.sentence.contains(" since 01:47, when batch-1 was last heard of"), "{}", why.sentence);
}

#[tokio::test]
async fn a_run_in_a_queue_whose_nodes_are_busy_says_how_busy() {
    let story = Story::at("2026-11-20T01:59").await;
    story.nightly(json!({"queue": "batch", "start_within": "1h"})).await;
    story.claim("2026-11-20T02:00").await;
    story.go("2026-11-20T02:20");
    beat(&story.bed, "batch-1", 'b', &batch_exec()).await;
    let why = story.why(None).await;
    assert_eq!((why.answer, why.reason), (Answer::Queued, None), "{why:#?}");
    assert!(why.sentence.ends_with("1 node serves queue batch, running 2 of 2 attempts"), "{}", why.sentence);
    let rule = "if it has not started by Fri 20 Nov 03:00 CET it is missed (start_within)";
    assert_eq!(facts(&why, "rule"), [rule]);
}

#[tokio::test]
async fn a_run_that_goes_on_as_usual_is_running_and_one_that_does_not_is_stuck() {
    let story = Story::at("2026-11-18T12:00").await;
    story.nightly(json!({"timeout": "4h"})).await;
    story.succeed("2026-11-19T02:00", 14).await;
    story.start("2026-11-20T02:00").await;
    story.go("2026-11-20T02:12:01");
    let running = story.why(None).await;
    assert_eq!((running.answer, running.reason), (Answer::Running, None));
    let said = "nightly is running: the run of Fri 20 Nov 02:00 CET has been running for 12 min";
    assert!(running.sentence.starts_with(said), "{}", running.sentence);
    assert_eq!(facts(&running, "attempt"), ["attempt 1 of 1 · usually 14 min, p95 14 min"]);
    assert_eq!(running.todo, ["upbeat logs nightly"]);
    story.go("2026-11-20T02:43");
    let stuck = story.why(None).await;
    assert_eq!((stuck.answer, stuck.reason), (Answer::Stuck, None));
    assert_eq!(facts(&stuck, "rule"), ["timeout = 4h"]);
    assert_eq!(stuck.todo, ["upbeat logs nightly", "upbeat cancel nightly --reason '...'"]);
}

#[tokio::test]
async fn a_run_between_attempts_names_the_next_one_and_the_last_failure() {
    let story = Story::at("2026-11-19T12:00").await;
    story.nightly(json!({"retry": {"max_attempts": 3, "delay": "10m", "jitter": 0, "within": "2h"}})).await;
    let run = story.start("2026-11-20T02:00").await;
    story.go_on(&run, 3_000);
    let next = Some(NextAttempt { wait_ms: 600_000, left_ms: Some(7_200_000) });
    let failed = Ended { exit_code: Some(12), next, ..ended(&run, EndedAs::Failed) };
    story.end(failed).await;
    let why = story.why(None).await;
    assert_eq!((why.answer, why.reason), (Answer::Retrying, Some("exit")), "{why:#?}");
    assert!(why.sentence.contains("is tried again on Fri 20 Nov 02:10:0"), "{}", why.sentence);
    assert!(timeless(&why.sentence).ends_with("attempt 1 failed on hand after 3.0 s, exit 12"), "{}", why.sentence);
    assert_eq!(facts(&why, "attempts"), ["1 of 3 attempts made"]);
    assert!(facts(&why, "rule")[0].ends_with("(retry.within = 2h)"), "{why:#?}");
}

#[tokio::test]
async fn a_run_that_waits_names_the_one_before_it() {
    let story = Story::at("2026-11-18T12:00").await;
    story.nightly(json!({"overlap": "buffer_one"})).await;
    story.start("2026-11-19T02:00").await;
    story.claim("2026-11-20T02:00").await;
    let why = story.why(Some("02:00")).await;
    assert_eq!((why.answer, why.reason), (Answer::Waiting, Some("overlap")), "{why:#?}");
    assert!(facts(&why, "in the way")[0].starts_with("nightly@2026-11-19T01:00:00.000Z · attempt 1"), "{why:#?}");
    assert!(facts(&why, "rule")[0].starts_with("overlap = buffer_one"));
}

#[tokio::test]
async fn a_run_over_max_running_names_the_limit() {
    let story = Story::at("2026-11-18T12:00").await;
    story.nightly(json!({"overlap": "allow", "max_running": 1})).await;
    story.start("2026-11-19T02:00").await;
    story.claim("2026-11-20T02:00").await;
    let why = story.why(Some("02:00")).await;
    assert_eq!((why.answer, why.reason), (Answer::Waiting, Some("limit")), "{why:#?}");
    assert!(why.sentence.ends_with("1 is active and max_running = 1"), "{}", why.sentence);
}

#[tokio::test]
async fn what_is_due_while_no_node_lives_says_since_when_nobody_claims() {
    let story = Story::at("2026-11-20T01:00").await;
    story.nightly(json!({})).await;
    let never = story.why(Some("2026-11-20")).await;
    assert_eq!(never.answer, Answer::NotYet, "{never:#?}");
    story.go("2026-11-20T01:55");
    settle(&story.bed).await;
    story.go("2026-11-20T09:00");
    for at in [None, Some("02:00")] {
        let why = story.why(at).await;
        let said = "nightly is due since Fri 20 Nov 02:00 CET, for 7 h: no node has claimed anything since 01:55";
        story.is(&why, Answer::Due, Some("no_node"), "2026-11-20T02:00", said);
        assert_eq!(facts(&why, "nodes"), ["no live node"]);
        assert_eq!(facts(&why, "rule"), ["what is found late follows catch_up = latest"]);
        assert_eq!(why.todo, ["upbeat node --allow exec"]);
    }
}

#[tokio::test]
async fn a_day_that_the_expression_leaves_out_is_named_with_its_weekday_and_the_next_fire_time() {
    let story = Story::at("2026-11-16T12:00").await;
    story.nightly(json!({"cron": "0 2 * * mon-fri"})).await;
    for night in ["2026-11-19T02:00", "2026-11-20T02:00"] {
        story.succeed(night, 1).await;
    }
    story.go("2026-11-21T09:00");
    for (at, fire_at) in [("2026-11-21", "2026-11-21"), ("02:00", "2026-11-21T02:00")] {
        let why = story.why(Some(at)).await;
        assert_eq!((why.answer, why.reason), (Answer::NotDue, None), "{why:#?}");
        assert_eq!(why.fire_at.unwrap().0, story.instant(fire_at));
        assert!(why.sentence.starts_with("nightly was not due on "), "{}", why.sentence);
        assert!(why.sentence.contains(": `0 2 * * mon-fri` ("), "{}", why.sentence);
        assert!(why.sentence.ends_with("and 21 Nov is a Saturday"), "{}", why.sentence);
        assert_eq!(facts(&why, "before"), ["Fri 20 Nov 02:00 CET"]);
        assert_eq!(facts(&why, "next"), ["Mon 23 Nov 02:00 CET (in 1 d 17 h)"].map(|text| hours(&why, text)));
    }
    let coming = story.why(Some("2026-11-22T02:00")).await;
    assert!(coming.sentence.contains("will not be due on Sun 22 Nov 02:00 CET"), "{}", coming.sentence);
}

/// The test takes its time: 17 h less some ms are 16 h.
#[tokio::test]
async fn of_a_period_no_weekday_is_named() {
    let story = Story::at("2026-11-20T12:00").await;
    story.nightly(json!({"cron": null, "every": "2h", "start": "2026-11-20T00:00"})).await;
    let why = story.why(Some("2026-11-21T11:00")).await;
    assert_eq!(why.answer, Answer::NotDue, "{why:#?}");
    assert!(why.sentence.ends_with("`every 2h` (every 2 h, from 2026-11-20 00:00)"), "{}", why.sentence);
}

fn hours(why: &upbeat::service::WhyView, text: &'static str) -> &'static str {
    if facts(why, "next")[0].contains("1 d 16 h") { "Mon 23 Nov 02:00 CET (in 1 d 16 h)" } else { text }
}

#[tokio::test]
async fn an_excluded_date_names_the_entry_or_the_calendar() {
    let story = Story::at("2026-12-20T12:00").await;
    let calendar = upbeat::domain::calendar::Calendar::of_list("dates", &json!(["2026-12-26"])).unwrap();
    let name = upbeat::domain::id::CalendarName::parse("name", "holidays").unwrap();
    story.bed.service.put_calendar(&request(), &name, &calendar).await.unwrap();
    story.nightly(json!({"exclude": ["2026-12-25", "holidays"]})).await;
    story.go("2026-12-27T12:00");
    for (at, by) in [("2026-12-25", "by the entry itself"), ("2026-12-26T02:00", "by calendar holidays")] {
        let why = story.why(Some(at)).await;
        assert_eq!((why.answer, why.reason), (Answer::Excluded, None), "{why:#?}");
        assert!(why.sentence.ends_with(&format!("{} is excluded {by}", &at[..10])), "{}", why.sentence);
    }
}

#[tokio::test]
async fn an_entry_says_that_it_has_not_started_that_it_ended_and_that_its_fires_are_used_up() {
    let story = Story::at("2026-11-10T12:00").await;
    story.nightly(json!({"start": "2026-11-15", "end": "2026-11-20"})).await;
    let early = story.why(Some("2026-11-12T02:00")).await;
    assert_eq!(early.answer, Answer::NotYet);
    assert!(early.sentence.ends_with("it starts on Sun 15 Nov 00:00 CET"), "{}", early.sentence);
    let late = story.why(Some("2026-11-21T02:00")).await;
    assert_eq!(late.answer, Answer::Finished);
    assert!(late.sentence.ends_with("it ended on Fri 20 Nov 00:00 CET"), "{}", late.sentence);
    story.bed.add("twice", json!({"cron": "0 3 * * *", "exec": ["true"], "max_fires": 2, "overlap": "allow"})).await;
    for night in ["2026-11-11T04:00", "2026-11-12T04:00"] {
        story.claim(night).await;
    }
    let used = story.bed.service.why(&id("twice"), Some("2026-11-13T03:00"), None).await.unwrap();
    assert_eq!(used.answer, Answer::Finished, "{used:#?}");
    assert!(used.sentence.ends_with("it has fired 2 times, and max_fires = 2"), "{}", used.sentence);
}

#[tokio::test]
async fn a_local_time_that_the_clocks_left_out_is_explained() {
    let story = Story::at("2027-03-27T12:00").await;
    story.nightly(json!({"cron": "30 2 * * *"})).await;
    story.succeed("2027-03-28T03:00", 1).await;
    let ran = story.why(Some("2027-03-28T02:30")).await;
    story.is(&ran, Answer::Succeeded, None, "2027-03-28T03:00", &ran.sentence);
    let clocks = "02:30 on 28 Mar 2027 did not exist: the clocks went forward; the first instant after it is \
                  Sun 28 Mar 03:00 CEST";
    assert_eq!(facts(&ran, "clocks"), [clocks]);
    story.bed.set("nightly", json!({"dst": {"gap": "skip"}})).await;
    let gap = Story::at("2027-03-27T12:00").await;
    gap.nightly(json!({"cron": "30 2 * * *", "dst": {"gap": "skip"}})).await;
    gap.go("2027-03-28T12:00");
    let skipped = gap.why(Some("02:30")).await;
    assert_eq!(skipped.answer, Answer::NotDue, "{skipped:#?}");
    assert!(skipped.sentence.ends_with("the clocks went forward over it, and dst.gap = skip"), "{}", skipped.sentence);
}

#[tokio::test]
async fn an_entry_without_a_zone_ran_at_another_hour_than_the_asker_thinks() {
    let story = Story::at("2026-11-19T12:00").await;
    story.nightly(json!({"tz": null})).await;
    story.succeed("2026-11-20T02:00Z", 1).await;
    story.go("2026-11-20T09:00");
    let here = Zone::parse("tz", "Europe/Berlin").unwrap();
    for at in ["02:00", "2026-11-20T02:00+01:00", "2026-11-20T01:00:00Z"] {
        let why = story.bed.service.why(&id("nightly"), Some(at), Some(&here)).await.unwrap();
        if at.ends_with('Z') {
            assert_eq!(why.answer, Answer::NotDue, "an instant in UTC is meant as it is written");
            continue;
        }
        let said = "nightly ran on Fri 20 Nov 02:00 UTC, that is 03:00 here: the entry has no tz";
        story.is(&why, Answer::Succeeded, None, "2026-11-20T02:00Z", said);
        assert_eq!(
            facts(&why, "zone"),
            ["Fri 20 Nov 02:00 UTC is Fri 20 Nov 03:00 CET (Europe/Berlin): the entry has no tz"]
        );
        assert!(why.todo.contains(&"upbeat set nightly --tz Europe/Berlin".to_owned()), "{:?}", why.todo);
    }
    let in_utc = story.why(Some("02:00")).await;
    assert_eq!((in_utc.answer, facts(&in_utc, "zone").len()), (Answer::Succeeded, 0));
}

#[tokio::test]
async fn a_removed_entry_names_who_removed_it_when_and_its_revision() {
    let story = Story::at("2026-11-18T12:00").await;
    story.nightly(json!({})).await;
    story.succeed("2026-11-19T02:00", 1).await;
    story.go("2026-11-19T18:03:20");
    story.bed.service.remove(&by("ci@runner", Some("pruned")), &[id("nightly")]).await.unwrap();
    story.go("2026-11-20T09:00");
    let why = story.why(None).await;
    assert_eq!((why.answer, why.reason, why.fire_at), (Answer::Removed, None, None));
    assert_eq!(why.sentence, "nightly was removed by ci@runner on Thu 19 Nov 18:03 CET (\"pruned\"), revision 2");
    assert_eq!(facts(&why, "last run"), ["succeeded on Thu 19 Nov 02:00 CET"]);
    let night = story.why(Some("2026-11-20T01:00:00Z")).await;
    assert_eq!(night.answer, Answer::Removed, "{night:#?}");
    assert!(night.sentence.contains("did not exist on Fri 20 Nov 02:00 CET: it was removed by ci@runner"));
    let before = story.why(Some("2026-11-19T01:00:00Z")).await;
    assert_eq!(before.answer, Answer::Succeeded, "its records outlive it");
    // Added again: what lies between its two lives belongs to neither.
    story.nightly(json!({"cron": "0 5 * * *"})).await;
    let between = story.why(Some("2026-11-20T02:00")).await;
    assert_eq!(between.answer, Answer::Removed, "{between:#?}");
    assert!(facts(&between, "added again")[0].starts_with("Fri 20 Nov 09:00"), "{between:#?}");
    assert_eq!(story.why(Some("2026-11-19T02:00")).await.answer, Answer::Succeeded);
}

#[tokio::test]
async fn before_it_was_added_there_was_nothing_and_beyond_the_ledger_nothing_is_known() {
    let story = Story::at("2026-10-01T12:00").await;
    story.nightly(json!({"keep_runs": 0})).await;
    story.succeed("2026-10-02T02:00", 1).await;
    let before = story.why(Some("2026-09-20")).await;
    assert_eq!(before.answer, Answer::NotYet);
    let said = "nightly did not exist on Sun 20 Sep 02:00 CEST: it was added by ana on Thu 1 Oct 12:00";
    assert!(before.sentence.starts_with(said), "{}", before.sentence);
    // As ageing leaves it: the ledger begins later.
    story.go("2026-11-20T09:00");
    story.bed.redis.cli(&["HDEL", &story.bed.key(0, "ledger"), "nightly"]);
    let old = story.why(Some("2026-10-02")).await;
    assert_eq!((old.answer, old.reason), (Answer::NoRecords, None), "{old:#?}");
    assert_eq!(old.sentence, "nightly has no records for Fri 2 Oct 02:00 CEST: older than the ledger (35 d)");
}

#[tokio::test]
async fn a_fire_time_to_come_and_an_entry_that_has_never_fired_say_when() {
    let story = Story::at("2026-11-19T12:00").await;
    story.nightly(json!({})).await;
    let first = story.why(None).await;
    assert_eq!(first.answer, Answer::NotYet, "{first:#?}");
    assert!(first.sentence.starts_with("nightly has not fired yet: its first fire time is Fri 20 Nov 02:00 CET (in "));
    assert!(facts(&first, "added")[0].ends_with(" by ana"), "{first:#?}");
    assert!(facts(&first, "nodes")[0].starts_with("no live node may run exec in queue default"), "{first:#?}");
    let second = story.why(Some("2026-11-21T02:00")).await;
    assert!(second.sentence.starts_with("nightly will fire on Sat 21 Nov 02:00 CET (in "), "{}", second.sentence);
    story.succeed("2026-11-20T02:00", 1).await;
    let coming = story.why(Some("2026-11-25T02:00")).await;
    assert_eq!(coming.answer, Answer::ToCome);
    assert!(
        coming.sentence.starts_with("nightly will fire on Wed 25 Nov 02:00 CET (in 4 d 23 h)"),
        "{}",
        coming.sentence
    );
}

#[tokio::test]
async fn an_entry_whose_plan_is_gone_says_so() {
    let story = Story::at("2026-11-19T12:00").await;
    story.nightly(json!({})).await;
    story.bed.redis.cli(&["HDEL", &story.bed.key(0, "plans"), "nightly"]);
    story.go("2026-11-20T02:00:01");
    story.bed.claim(0).await;
    let why = story.why(None).await;
    assert_eq!(why.answer, Answer::Broken, "{why:#?}");
    assert!(why.sentence.contains("its plan is missing or damaged"), "{}", why.sentence);
    assert!(facts(&why, "event")[0].ends_with("its plan is missing"), "{why:#?}");
}

#[tokio::test]
async fn what_is_asked_without_an_instant_is_what_is_in_question() {
    let story = Story::at("2026-11-16T12:00").await;
    story.nightly(json!({})).await;
    assert_eq!(story.why(None).await.answer, Answer::NotYet);
    story.succeed("2026-11-17T02:00", 1).await;
    assert_eq!(story.why(None).await.answer, Answer::Succeeded, "the latest, where all succeeded");
    story.fail("2026-11-18T02:00", 1).await;
    story.succeed("2026-11-19T02:00", 1).await;
    let failed = story.why(None).await;
    assert_eq!((failed.answer, failed.fire_at.unwrap().0), (Answer::Failed, story.instant("2026-11-18T02:00")));
    story.claim("2026-11-20T02:00").await;
    story.go("2026-11-20T02:30");
    settle(&story.bed).await;
    assert_eq!(story.why(None).await.answer, Answer::Queued, "what can't go on by itself comes first");
    let run = story.fetch().await;
    assert_eq!(story.why(None).await.answer, Answer::Failed, "one that goes on is in no question");
    story.end(ended(&run, EndedAs::Succeeded)).await;
    story.bed.service.pause(&by("ana", None), &[id("nightly")]).await.unwrap();
    let paused = story.why(None).await;
    assert_eq!((paused.answer, paused.fire_at.unwrap().0), (Answer::Paused, story.instant("2026-11-21T02:00")));
    story.bed.service.trigger(&request(), &id("nightly"), TriggerOptions::default()).await.unwrap();
    story.bed.service.resume(&request(), &[id("nightly")]).await.unwrap();
    let mut seen = BTreeMap::new();
    for at in ["2026-11-17", "2026-11-18", "2026-11-19", "2026-11-20T02:00"] {
        *seen.entry(story.why(Some(at)).await.answer.word()).or_insert(0) += 1;
    }
    assert_eq!(seen, [("failed", 1), ("succeeded", 3)].into());
}

#[tokio::test]
async fn work_without_an_entry_is_told_by_its_name() {
    let story = Story::at("2026-11-20T12:00").await;
    let fields = crate::bed::object(json!({"exec": ["true"]}));
    let later = upbeat::service::OnceWhen::In(upbeat::domain::span::Span(3_600_000));
    let asked = story.bed.service.once(&by("ana", None), &fields, &later, None).await.unwrap();
    let name = id(&asked.run.entry_id);
    let why = async || story.bed.service.why(&name, None, None).await.unwrap();
    let waits = why().await;
    assert_eq!((waits.answer, waits.reason), (Answer::Waiting, Some("until")), "{waits:#?}");
    story.claim("2026-11-20T13:00:10").await;
    assert_eq!((why().await.answer, why().await.reason), (Answer::Queued, Some("no_node")));
    let run = story.fetch().await;
    story.end(Ended { exit_code: Some(2), ..ended(&run, EndedAs::Failed) }).await;
    let failed = why().await;
    assert_eq!((failed.answer, failed.reason), (Answer::Failed, Some("exit")), "{failed:#?}");
    assert!(failed.sentence.ends_with("on hand, attempt 1"), "no limit is known: {}", failed.sentence);
    assert_eq!(facts(&failed, "why it ran"), ["somebody asked for it (once)"]);
    assert!(failed.todo.last().unwrap().starts_with(&format!("upbeat retry {name}@")), "{:?}", failed.todo);
}

#[tokio::test]
async fn what_a_node_could_not_start_says_what_was_missing() {
    let story = Story::at("2026-11-19T12:00").await;
    story.nightly(json!({})).await;
    let run = story.start("2026-11-20T02:00").await;
    let message = "program backup.sh was not found".to_owned();
    let refused = Ended { reason: Some(Reason::Refused), message, ..ended(&run, EndedAs::Failed) };
    story.end(refused).await;
    let why = story.why(None).await;
    assert_eq!((why.answer, why.reason), (Answer::Failed, Some("refused")));
    assert!(
        why.sentence
            .contains("nightly could not be started on Fri 20 Nov 02:00 CET: program backup.sh was not found after "),
        "{}",
        why.sentence
    );
}
