//! why, of what fired or passed: each answer comes from records, with what can be done about it.

use serde_json::json;
use upbeat::domain::run::{Reason, State};
use upbeat::service::{Answer, BackfillRange, Said, TriggerOptions};
use upbeat::store::{Ended, EndedAs};

use crate::bed::{Bed, id, request};
use crate::pauses::settle;
use crate::story::{Story, by, facts, timeless};
use crate::support::hand::ended;

#[tokio::test]
async fn a_night_that_was_skipped_names_the_run_in_the_way_and_what_is_usual() {
    let story = Story::at("2026-11-14T12:00").await;
    story.nightly(json!({})).await;
    story.succeed("2026-11-15T02:00", 14).await;
    story.succeed("2026-11-16T02:00", 21).await;
    story.start("2026-11-17T02:00").await;
    for night in ["2026-11-18T02:00", "2026-11-19T02:00", "2026-11-20T02:00"] {
        story.claim(night).await;
    }
    story.go("2026-11-20T09:05");
    let why = story.why(None).await;
    let said = "nightly did not run on Fri 20 Nov 02:00 CET: skipped, the run of 17 Nov is still running";
    story.is(&why, Answer::Skipped, Some("overlap"), "2026-11-20T02:00", said);
    let way = "nightly@2026-11-17T01:00:00.000Z · attempt 1 on aaaaaaaaaaaaaaaa · running for 3 d 7 h \
               (usually 14 min, p95 21 min)";
    assert_eq!(facts(&why, "in the way"), [way]);
    assert_eq!(facts(&why, "rule"), ["overlap = skip · no timeout is set"]);
    let also = "18 and 19 Nov were skipped for the same reason · last success Mon 16 Nov 02:00 CET";
    assert_eq!(facts(&why, "also"), [also]);
    let todo = ["upbeat logs nightly", "upbeat cancel nightly --reason '...'", "upbeat set nightly --timeout 1h"];
    assert_eq!(why.todo, todo);
}

#[tokio::test]
async fn a_run_that_was_in_the_way_and_has_ended_is_told_with_its_end() {
    let story = Story::at("2026-11-17T12:00").await;
    story.nightly(json!({})).await;
    let run = story.start("2026-11-18T02:00").await;
    story.claim("2026-11-19T02:00").await;
    story.go("2026-11-19T04:10");
    story.end(ended(&run, EndedAs::Succeeded)).await;
    let why = story.why(Some("2026-11-19")).await;
    let said = "nightly did not run on Thu 19 Nov 02:00 CET: skipped, the run of 18 Nov was still active";
    story.is(&why, Answer::Skipped, Some("overlap"), "2026-11-19T02:00", said);
    let way = facts(&why, "in the way")[0];
    assert!(way.contains("attempt 1 on hand · ran 1 d 2 h, 18 Nov 02:00 to 04:10"), "{way}");
    assert!(way.ends_with("· succeeded"), "{way}");
    assert!(why.todo.contains(&"upbeat backfill nightly --from 2026-11-19T02:00 --to 2026-11-19T02:00".to_owned()));
}

#[tokio::test]
async fn a_night_in_a_pause_names_who_paused_since_when_and_why() {
    let story = Story::at("2026-11-18T10:00").await;
    story.nightly(json!({})).await;
    story.go("2026-11-18T16:12");
    story.bed.service.pause(&by("ana@laptop", Some("INC-1234")), &[id("nightly")]).await.unwrap();
    story.go("2026-11-20T09:00");
    for at in [None, Some("02:00"), Some("2026-11-20")] {
        let why = story.why(at).await;
        let said = "nightly did not run on Fri 20 Nov 02:00 CET: paused by ana@laptop since 18 Nov 16:12 (\"INC-1234\"), \
                    2 fire times skipped";
        story.is(&why, Answer::Skipped, Some("paused"), "2026-11-20T02:00", said);
        assert_eq!(why.todo[0], "upbeat resume nightly");
    }
    let coming = story.why(Some("2026-11-21T02:00")).await;
    assert_eq!((coming.answer, coming.reason), (Answer::Paused, Some("paused")));
    story.bed.service.resume(&by("bob", None), &[id("nightly")]).await.unwrap();
    let after = story.why(None).await;
    assert_eq!((after.answer, after.reason), (Answer::Skipped, Some("paused")), "{after:#?}");
    assert!(after.sentence.contains("paused by ana@laptop since 18 Nov 16:12"), "{}", after.sentence);
    assert!(facts(&after, "resumed")[0].starts_with("by bob on Fri 20 Nov 09:00"), "{after:#?}");
    assert_eq!(after.todo, ["upbeat backfill nightly --from 2026-11-20T02:00 --to 2026-11-20T02:00"]);
}

#[tokio::test]
async fn a_pause_with_an_end_names_it_and_when_it_was_over() {
    let story = Story::at("2026-11-18T10:00").await;
    story.nightly(json!({})).await;
    let until = Said::from(story.instant("2026-11-19T12:00"));
    story.bed.service.pause_until(&by("ana", None), &[id("nightly")], &until).await.unwrap();
    let coming = story.why(Some("2026-11-19T02:00")).await;
    assert_eq!(coming.answer, Answer::Paused);
    assert!(coming.sentence.contains(" until 19 Nov 12:00"), "{}", coming.sentence);
    story.claim("2026-11-19T13:00").await;
    let after = story.why(Some("2026-11-19")).await;
    assert_eq!((after.answer, after.reason), (Answer::Skipped, Some("paused")));
    assert_eq!(facts(&after, "resumed"), ["by itself on Thu 19 Nov 12:00 CET"]);
}

#[tokio::test]
async fn a_night_without_nodes_names_from_when_to_when_and_start_within() {
    let story = Story::at("2026-11-19T12:00").await;
    story.nightly(json!({"start_within": "1h"})).await;
    story.go("2026-11-20T01:55");
    settle(&story.bed).await;
    story.go("2026-11-20T03:20");
    settle(&story.bed).await;
    let why = story.why(None).await;
    let said = "nightly was missed on Fri 20 Nov 02:00 CET, too_late: no node was alive from 01:55";
    assert_eq!((why.answer, why.reason), (Answer::Missed, Some("too_late")));
    assert!(why.sentence.starts_with(said), "{}", why.sentence);
    assert!(why.sentence.contains(" to 03:20") && why.sentence.ends_with(", start_within is 1h"), "{}", why.sentence);
    assert_eq!(why.todo, ["upbeat backfill nightly --from 2026-11-20T02:00 --to 2026-11-20T02:00"]);
}

#[tokio::test]
async fn what_waited_in_its_queue_until_it_was_too_late_names_the_queue() {
    let story = Story::at("2026-11-19T12:00").await;
    story.nightly(json!({"start_within": "1h", "queue": "batch"})).await;
    story.claim("2026-11-20T02:00").await;
    story.claim("2026-11-20T03:01").await;
    let why = story.why(None).await;
    assert_eq!((why.answer, why.reason), (Answer::Missed, Some("too_late")));
    assert!(why.sentence.contains("it was queued since 02:00") && why.sentence.contains("start_within is 1h"));
    assert!(facts(&why, "nodes")[0].starts_with("no live node may run exec in queue batch"), "{why:#?}");
    assert_eq!(why.todo.last().unwrap(), "upbeat node --queues batch --allow exec");
}

#[tokio::test]
async fn with_catch_up_none_what_is_found_late_says_so() {
    let story = Story::at("2026-11-19T12:00").await;
    story.nightly(json!({"catch_up": "none"})).await;
    story.claim("2026-11-20T03:20").await;
    let why = story.why(None).await;
    assert_eq!((why.answer, why.reason), (Answer::Missed, Some("too_late")));
    assert!(why.sentence.ends_with("catch_up = none runs nothing that is found late"), "{}", why.sentence);
}

#[tokio::test]
async fn a_superseded_fire_time_names_the_newer_one_that_ran() {
    let story = Story::at("2026-11-19T23:00").await;
    story.nightly(json!({"cron": "0 * * * *"})).await;
    story.go("2026-11-19T23:30");
    settle(&story.bed).await;
    story.succeed("2026-11-20T03:20", 1).await;
    let why = story.why(Some("02:00")).await;
    assert_eq!((why.answer, why.reason), (Answer::Missed, Some("superseded")));
    assert!(why.sentence.contains("no node was alive from 19 Nov 23:30"), "{}", why.sentence);
    assert!(why.sentence.ends_with("and that of 03:00 ran"), "{}", why.sentence);
    assert_eq!(facts(&why, "with it"), ["3 fire times from Fri 20 Nov 00:00 CET to Fri 20 Nov 02:00 CET"]);
    assert_eq!(why.todo.last().unwrap(), "upbeat set nightly --catch-up all");
    let ran = story.why(Some("03:00")).await;
    assert_eq!((ran.answer, facts(&ran, "why it ran")), (Answer::Succeeded, vec!["catch_up: it was found late"]));
}

#[tokio::test]
async fn the_newer_one_is_named_also_where_only_runs_of_later_days_are_kept() {
    let story = Story::at("2026-11-19T23:00").await;
    story.nightly(json!({"cron": "0 * * * *", "keep_runs": 1})).await;
    story.go("2026-11-19T23:30");
    settle(&story.bed).await;
    story.succeed("2026-11-20T03:20", 1).await;
    story.succeed("2026-11-20T04:00", 1).await;
    story.succeed("2026-11-20T05:00", 1).await;
    let why = story.why(Some("02:00")).await;
    assert!(why.sentence.ends_with("and that of 03:00 ran"), "{}", why.sentence);
    let ran = story.why(Some("03:00")).await;
    assert_eq!(ran.answer, Answer::Fired, "{ran:#?}");
    assert_eq!(ran.todo, ["upbeat events nightly --type finished --since 2026-11-20T03:00"]);
}

#[tokio::test]
async fn beyond_the_limit_of_the_catch_up_it_names_the_limit() {
    let story = Story::at("2026-11-19T23:00").await;
    story.nightly(json!({"cron": "0 * * * *", "catch_up": {"mode": "all", "max_runs": 2}})).await;
    story.claim("2026-11-20T05:30").await;
    let why = story.why(Some("02:00")).await;
    assert_eq!((why.answer, why.reason), (Answer::Missed, Some("catch_up_limit")));
    assert!(why.sentence.contains("runs the newest 2 of what is late"), "{}", why.sentence);
    let waits = story.why(Some("05:00")).await;
    assert_eq!((waits.answer, waits.reason), (Answer::Waiting, Some("pace")));
    assert!(facts(&waits, "rule")[0].starts_with("per_minute = 60"), "{waits:#?}");
}

#[tokio::test]
async fn what_was_overdue_at_a_change_names_who_changed_what() {
    for verb in ["paused", "removed"] {
        let story = Story::at("2026-11-19T12:00").await;
        story.nightly(json!({})).await;
        story.go("2026-11-20T02:10");
        match verb {
            "paused" => drop(story.bed.service.pause(&by("ana", None), &[id("nightly")]).await.unwrap()),
            _ => drop(story.bed.service.remove(&by("ana", Some("gone")), &[id("nightly")]).await.unwrap()),
        }
        let why = story.why(Some("2026-11-20T02:00")).await;
        assert_eq!((why.answer, why.reason), (Answer::Missed, Some(verb)), "{why:#?}");
        let said = format!("nobody had claimed it when the entry was {verb} by ana at 02:10");
        assert!(why.sentence.contains(&said), "{}", why.sentence);
    }
}

#[tokio::test]
async fn a_spread_fire_time_that_a_change_made_impossible_says_so() {
    let story = Story::at("2026-11-19T12:00").await;
    story.nightly(json!({"spread": "1h"})).await;
    story.go("2026-11-20T02:00:00.001");
    let before = story.why(Some("02:00")).await;
    assert_eq!((before.answer, before.reason), (Answer::ToCome, Some("until")), "{before:#?}");
    assert!(facts(&before, "rule")[0].starts_with("spread = 1h"));
    let fields = crate::bed::object(json!({"cron": "0 5 * * *"}));
    story.bed.service.set(&by("bob", None), &id("nightly"), fields, &[]).await.unwrap();
    let why = story.why(Some("02:00")).await;
    assert_eq!((why.answer, why.reason), (Answer::Missed, Some("changed")), "{why:#?}");
    assert!(why.sentence.contains("it was not due yet (spread) when the entry was changed by bob"), "{}", why.sentence);
}

#[tokio::test]
async fn a_skip_that_somebody_asked_for_names_them() {
    let story = Story::at("2026-11-19T12:00").await;
    story.nightly(json!({})).await;
    story.bed.service.skip(&by("ana", Some("move")), &id("nightly"), None, false).await.unwrap();
    let coming = story.why(Some("2026-11-20")).await;
    let said = "nightly will be skipped on Fri 20 Nov 02:00 CET (in 13 h 59 min), as asked by ana: move";
    assert_eq!((coming.answer, coming.reason), (Answer::Skipped, Some("skip_asked")));
    assert_eq!(coming.sentence.replace("(in 14 h)", "(in 13 h 59 min)"), said);
    assert_eq!(coming.todo, ["upbeat skip nightly --at 2026-11-20T02:00 --undo"]);
    story.claim("2026-11-20T02:00").await;
    let why = story.why(None).await;
    let said = "nightly did not run on Fri 20 Nov 02:00 CET: skipped, as asked by ana: move";
    story.is(&why, Answer::Skipped, Some("skip_asked"), "2026-11-20T02:00", said);
}

#[tokio::test]
async fn the_same_failure_every_night_names_since_when_and_which_revision_changed_what() {
    let story = Story::at("2026-11-15T12:00").await;
    story.nightly(json!({})).await;
    story.succeed("2026-11-16T02:00", 1).await;
    let fields = crate::bed::object(json!({"exec": ["false"]}));
    story.bed.service.set(&by("ci@runner", None), &id("nightly"), fields, &[]).await.unwrap();
    for night in ["2026-11-17T02:00", "2026-11-18T02:00", "2026-11-19T02:00", "2026-11-20T02:00"] {
        story.fail(night, 12).await;
    }
    let why = story.why(None).await;
    let said = "nightly ran and failed on Fri 20 Nov 02:00 CET: exit 12 after 3.0 s on hand, attempt 1 of 1; \
                the same 4 times since Tue 17 Nov 02:00 CET, when revision 2 (ci@runner) changed exec";
    story.is(&why, Answer::Failed, Some("exit"), "2026-11-20T02:00", &why.sentence);
    assert_eq!(timeless(&why.sentence), said);
    assert_eq!(facts(&why, "also"), ["last success Mon 16 Nov 02:00 CET"]);
    assert_eq!(
        why.todo,
        ["upbeat logs nightly", "upbeat revisions nightly", "upbeat retry nightly@2026-11-20T01:00:00.000Z"]
    );
    // Once it works again both are told: the failure, and that it is over.
    story.succeed("2026-11-21T02:00", 1).await;
    let since = story.why(None).await;
    assert_eq!((since.answer, since.fire_at), (Answer::Failed, why.fire_at));
    assert_eq!(facts(&since, "since"), ["1 run has succeeded, the last on Sat 21 Nov 02:00 CET"]);
}

#[tokio::test]
async fn a_timeout_names_the_rule_and_a_longer_one() {
    let story = Story::at("2026-11-18T12:00").await;
    story.nightly(json!({"timeout": "10m"})).await;
    story.succeed("2026-11-19T02:00", 9).await;
    let run = story.start("2026-11-20T02:00").await;
    story.go_on(&run, 600_010);
    story.end(Ended { reason: Some(Reason::Timeout), ..ended(&run, EndedAs::Failed) }).await;
    let why = story.why(None).await;
    assert_eq!((why.answer, why.reason), (Answer::Failed, Some("timeout")));
    assert!(why.sentence.contains(": timeout after 10 min on hand"), "{}", why.sentence);
    assert_eq!(facts(&why, "rule"), ["timeout = 10m"]);
    assert!(why.todo.contains(&"upbeat set nightly --timeout 20m".to_owned()), "{:?}", why.todo);
}

#[tokio::test]
async fn a_run_that_succeeded_says_when_where_and_how_long() {
    let story = Story::at("2026-11-19T12:00").await;
    story.nightly(json!({})).await;
    let run = story.start("2026-11-20T02:00").await;
    let tail = b"copied 3 files\n\n".to_vec();
    let output = upbeat::store::Output { written: tail.len() as u64, tail };
    story.bed.store().keep_output(0, &run.run.run_id, 1, &output).await.unwrap();
    story.go_on(&run, 840_010);
    story.end(Ended { exit_code: Some(0), ..ended(&run, EndedAs::Succeeded) }).await;
    for at in [None, Some("02:00"), Some("2026-11-20T01:00:00Z"), Some("2026-11-20")] {
        let why = story.why(at).await;
        let said = "nightly did run: succeeded on Fri 20 Nov 02:00 CET on hand in 14 min, exit 0";
        story.is(&why, Answer::Succeeded, None, "2026-11-20T02:00", said);
        assert!(facts(&why, "last words")[0].ends_with("\"copied 3 files\""), "{why:#?}");
        assert_eq!(
            (why.todo.as_slice(), why.run_id.as_ref()),
            (["upbeat logs nightly".to_owned()].as_slice(), Some(&run.run.run_id))
        );
    }
}

#[tokio::test]
async fn a_message_that_was_delivered_says_where_to() {
    let story = Story::at("2026-11-19T12:00").await;
    story.nightly(json!({"exec": null, "stream": "orders"})).await;
    story.claim("2026-11-20T02:00").await;
    let why = story.why(None).await;
    assert_eq!((why.answer, why.reason), (Answer::Succeeded, Some("delivered")), "{why:#?}");
    assert!(why.sentence.starts_with("nightly did run: delivered on Fri 20 Nov 02:00 CET"), "{}", why.sentence);
    assert_eq!(facts(&why, "message"), ["stream orders"]);
}

#[tokio::test]
async fn a_cancelled_run_names_who_and_why() {
    let story = Story::at("2026-11-19T12:00").await;
    story.nightly(json!({})).await;
    story.claim("2026-11-20T02:00").await;
    story.go("2026-11-20T02:05");
    let latest = upbeat::service::RunRef::Latest(id("nightly"));
    story.bed.service.cancel(&by("ana", Some("wrong host")), &latest).await.unwrap();
    let why = story.why(None).await;
    assert_eq!((why.answer, why.reason), (Answer::Cancelled, Some("by_user")));
    assert!(
        why.sentence.starts_with("nightly did not run on Fri 20 Nov 02:00 CET: cancelled at 02:05"),
        "{}",
        why.sentence
    );
    assert!(why.sentence.ends_with("by ana: wrong host, before it started"), "{}", why.sentence);
    assert_eq!(why.todo, ["upbeat trigger nightly"]);
}

#[tokio::test]
async fn a_run_that_a_newer_one_ended_names_the_newer() {
    let story = Story::at("2026-11-18T12:00").await;
    story.nightly(json!({"overlap": "cancel_other"})).await;
    let old = story.start("2026-11-19T02:00").await;
    story.claim("2026-11-20T02:00").await;
    story.end(ended(&old, EndedAs::Cancelled)).await;
    let why = story.why(Some("2026-11-19")).await;
    assert_eq!((why.answer, why.reason), (Answer::Cancelled, Some("cancel_other")), "{why:#?}");
    let said = "because the next one of 20 Nov came and overlap = cancel_other";
    assert!(why.sentence.contains(said), "{}", why.sentence);
}

#[tokio::test]
async fn what_waited_when_its_entry_was_removed_says_so() {
    let story = Story::at("2026-11-19T12:00").await;
    story.nightly(json!({})).await;
    story.claim("2026-11-20T02:00").await;
    story.bed.service.remove(&by("ana", Some("moved")), &[id("nightly")]).await.unwrap();
    let why = story.why(Some("2026-11-20T01:00:00Z")).await;
    assert_eq!((why.answer, why.reason), (Answer::Cancelled, Some("entry_removed")));
    assert!(why.sentence.contains("because its entry was removed by ana (\"moved\")"), "{}", why.sentence);
}

#[tokio::test]
async fn a_backfill_tells_what_the_fire_time_was_before() {
    let story = Story::at("2026-11-19T12:00").await;
    story.nightly(json!({"catch_up": "none"})).await;
    story.claim("2026-11-20T03:20").await;
    let at = Said::from(story.instant("2026-11-20T02:00"));
    let range = BackfillRange { from: at.clone(), to: at, is_again: false };
    story.bed.service.backfill(&request(), &id("nightly"), &range).await.unwrap();
    let waits = story.why(Some("02:00")).await;
    assert_eq!((waits.answer, waits.reason), (Answer::Waiting, Some("pace")), "{waits:#?}");
    story.bed.pass(1_000).await;
    settle(&story.bed).await;
    let run = story.fetch().await;
    story.end(ended(&run, EndedAs::Succeeded)).await;
    let why = story.why(Some("02:00")).await;
    assert_eq!(why.answer, Answer::Succeeded, "{why:#?}");
    let before = "somebody asked for it (backfill): before, it was missed (too_late)";
    assert_eq!(facts(&why, "why it ran"), [before]);
}

#[tokio::test]
async fn when_its_record_is_gone_the_ledger_still_tells_what_became_of_it() {
    let story = Story::at("2026-11-10T12:00").await;
    story.nightly(json!({"keep_runs": 1})).await;
    for night in 11..=14 {
        story.succeed(&format!("2026-11-{night}T02:00"), 1).await;
    }
    story.go("2026-11-14T12:00");
    story.bed.pause("nightly").await;
    story.go("2026-11-15T12:00");
    story.bed.resume("nightly").await;
    // Rings keep chunks of 16: the records are taken out by hand.
    for ring in ["nightly", "nightly!"] {
        story.bed.redis.cli(&["HDEL", &story.bed.key(0, "history"), ring]);
    }
    let fired = story.why(Some("2026-11-12")).await;
    assert_eq!((fired.answer, fired.reason), (Answer::Fired, None), "{fired:#?}");
    assert!(fired.sentence.contains("fired on Thu 12 Nov 02:00 CET"), "{}", fired.sentence);
    let skipped = story.why(Some("2026-11-15")).await;
    assert_eq!((skipped.answer, skipped.reason), (Answer::Skipped, Some("paused")));
    assert_eq!(facts(&skipped, "record"), ["its own record is kept no longer; the ledger tells"]);
}

#[tokio::test]
async fn a_run_that_somebody_asked_for_is_found_by_the_minute() {
    let story = Story::at("2026-11-20T12:34:10").await;
    story.nightly(json!({})).await;
    story.bed.service.trigger(&by("ana", Some("try")), &id("nightly"), TriggerOptions::default()).await.unwrap();
    let run = story.fetch().await;
    let runs = story.why(Some("12:34")).await;
    assert_eq!((runs.answer, facts(&runs, "why it runs")), (Answer::Running, vec!["asked by ana: try"]));
    story.end(ended(&run, EndedAs::Succeeded)).await;
    let why = story.why(Some("2026-11-20T12:34")).await;
    assert_eq!((why.answer, facts(&why, "why it ran")), (Answer::Succeeded, vec!["somebody asked for it (trigger)"]));
}

#[tokio::test]
async fn every_state_of_a_record_has_an_answer_of_its_own() {
    let words: Vec<&str> = Answer::ALL.iter().map(|answer| answer.word()).collect();
    for state in State::ALL {
        assert!(words.contains(&state.word()), "{state}");
    }
    let mut distinct = words.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), words.len());
}

#[tokio::test]
async fn what_was_never_there_is_not_found_with_the_nearest_and_bad_instants_are_refused() {
    let bed = Bed::new().await;
    bed.add("nightly-backup", json!({"every": "1h", "exec": ["true"]})).await;
    let error = bed.service.why(&id("nightly_backup"), None, None).await.unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert_eq!(error.to_string(), "entry: nightly_backup does not exist in namespace test");
    assert_eq!(error.problem().hint.as_deref(), Some("did you mean nightly-backup?"));
    for text in ["yesterday", "2026-02-30", "25:00", "8h", ""] {
        let error = bed.service.why(&id("nightly-backup"), Some(text), None).await.unwrap_err();
        assert_eq!((error.exit_code(), error.problem().field.as_deref()), (2, Some("at")), "{text:?}");
    }
}
