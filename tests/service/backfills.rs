//! Past fire times that run after all: one run a pair, in the ledger at once, paced, and nothing else moves.

use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::{Value, json};
use upbeat::domain::ledger;
use upbeat::domain::run::{Reason, State, Trigger};
use upbeat::domain::timestamp::Timestamp;
use upbeat::error::Result;
use upbeat::service::{BackfillRange, BackfillView, RunFilter, Said};
use upbeat::store::{EndedAs, FinishWord};

use crate::bed::{Bed, dry, id, named, object, request};
use crate::pauses::settle;
use crate::support::hand::Hand;

const FIRED: (State, Option<Reason>) = (State::Succeeded, None);

fn range(from: Timestamp, to: Timestamp) -> BackfillRange {
    BackfillRange { from: Said::from(from), to: Said::from(to), is_again: false }
}

async fn backfill(bed: &Bed, from: Timestamp, to: Timestamp) -> Result<BackfillView> {
    bed.service.backfill(&request(), &id("a"), &range(from, to)).await
}

fn fields(when: Value, overlap: &str) -> Value {
    let mut fields = object(when);
    fields.insert("shell".to_owned(), json!("true"));
    fields.insert("overlap".to_owned(), json!(overlap));
    fields.insert("keep_runs".to_owned(), json!(1_000));
    Value::Object(fields)
}

/// Arithmetic, and the same minutes as lists.
fn schedules() -> [Value; 2] {
    [json!({"cron": "* * * * *"}), json!({"cron": ["* * * * 1-4", "* * * * 5-7"]})]
}

/// An entry that was paused for twenty minutes, and its skipped fire times.
async fn paused(when: Value, overlap: &str) -> (Bed, Vec<Timestamp>) {
    let bed = Bed::new().await;
    bed.add("a", fields(when, overlap)).await;
    bed.pause("a").await;
    bed.shift(20 * 60_000);
    bed.resume("a").await;
    let stretches = bed.stretches("a").await;
    let schedule = bed.definition("a").await.parse(&id("a")).unwrap().into_data().schedule;
    let times = schedule.times_after(Timestamp(stretches[0].first.0 - 1));
    let times: Vec<Timestamp> = times.take_while(|time| *time <= stretches[0].last).collect();
    assert_eq!(times.len(), 20);
    (bed, times)
}

/// Lets time pass in steps and runs whatever is handed out; returns fire time, trigger and run id of each.
async fn play(bed: &Bed, seconds: i64) -> Vec<(Timestamp, Trigger, String)> {
    // A node of its own each time.
    static LETTERS: AtomicU8 = AtomicU8::new(0);
    let letter = b'a' + LETTERS.fetch_add(1, Ordering::Relaxed) % 26;
    let mut hand = Hand::new(bed.store(), char::from(letter));
    let mut ran = Vec::new();
    for _ in 0..seconds {
        settle(bed).await;
        for run in hand.work_off(0).await {
            ran.push((run.run.fire_at, run.run.trigger, run.run.run_id));
        }
        bed.pass(1_000).await;
    }
    ran
}

#[tokio::test]
async fn what_was_skipped_runs_after_all_oldest_first_one_a_second() {
    for when in schedules() {
        for overlap in ["allow", "skip"] {
            let (bed, times) = paused(when.clone(), overlap).await;
            let next = bed.service.show(&id("a")).await.unwrap().view.next_fire_at;
            let done = backfill(&bed, times[5], Timestamp(times[9].0 + 30_000)).await.unwrap();
            assert_eq!((done.runs, done.left_out, done.next_from.as_deref()), (5, 0, None));
            assert_eq!(done.first_fire_at, Some(times[5].to_rfc3339()));
            // In the ledger at once, and nothing else has moved.
            let outcomes = bed.outcomes("a").await;
            assert_eq!(outcomes, [(FIRED, 5), ((State::Skipped, Some(Reason::Paused)), 15)].into());
            assert_eq!(bed.service.show(&id("a")).await.unwrap().view.next_fire_at, next);
            let waiting = bed.service.runs(&RunFilter { entry: Some(id("a")), ..RunFilter::default() }).await.unwrap();
            let waiting: Vec<_> = waiting.runs.iter().filter(|run| run.state == "waiting").collect();
            assert_eq!(waiting.len(), 5);
            assert!(waiting.iter().all(|run| (run.reason, run.trigger) == (Some("pace"), "backfill")));
            let ran = play(&bed, 8).await;
            let ran: Vec<_> = ran.into_iter().filter(|run| run.1 == Trigger::Backfill).collect();
            let fire_times: Vec<Timestamp> = ran.iter().map(|run| run.0).collect();
            assert_eq!(fire_times, times[5..10], "{overlap}");
            let records = bed.records("a").await;
            for (time, _, run_id) in &ran {
                let own = records.iter().find(|run| run.run_id == *run_id && run.trigger == Trigger::Backfill).unwrap();
                assert_eq!((own.fire_at, own.state), (*time, State::Succeeded));
                let named = bed.service.run(&upbeat::service::RunRef::Id(run_id.clone())).await.unwrap();
                assert_eq!((named.trigger, named.state), ("backfill", "succeeded"));
            }
            let begun: Vec<i64> = ran
                .iter()
                .map(|(time, ..)| {
                    records
                        .iter()
                        .find(|run| run.fire_at == *time && run.started_at.is_some())
                        .unwrap()
                        .started_at
                        .unwrap()
                        .0
                })
                .collect();
            assert!(begun.windows(2).all(|pair| pair[1] - pair[0] >= 1_000), "{begun:?}");
            // What has fired is left out from then on.
            let again = backfill(&bed, times[5], times[10]).await.unwrap();
            assert_eq!((again.runs, again.left_out), (1, 5));
            bed.all_settled(
                &bed.stretches("a").await,
                &bed.definition("a").await.parse(&id("a")).unwrap(),
                Timestamp(times[0].0 - 1),
            );
            assert_eq!(bed.count("EXISTS", 0, "backfills"), 1, "the sixth waits");
            play(&bed, 2).await;
            assert_eq!(bed.count("EXISTS", 0, "backfills") + bed.count("EXISTS", 0, "backfilling"), 0);
            bed.is_conserved();
        }
    }
}

#[tokio::test]
async fn again_runs_what_has_fired_under_ids_of_the_request() {
    let (bed, times) = paused(json!({"cron": "* * * * *"}), "allow").await;
    backfill(&bed, times[0], times[3]).await.unwrap();
    let first = play(&bed, 6).await;
    let again = BackfillRange { is_again: true, ..range(times[2], times[5]) };
    let asked = named("r");
    let done = bed.service.backfill(&asked, &id("a"), &again).await.unwrap();
    assert_eq!((done.runs, done.left_out), (4, 0));
    assert_eq!(bed.service.backfill(&asked, &id("a"), &again).await.unwrap(), done, "the same request");
    assert_eq!(bed.service.backfill(&asked, &id("a"), &range(times[2], times[5])).await.unwrap_err().exit_code(), 4);
    let second = play(&bed, 6).await;
    let of = |ran: &[(Timestamp, Trigger, String)], trigger| {
        ran.iter().filter(|run| run.1 == trigger).map(|run| run.0).collect::<Vec<_>>()
    };
    assert_eq!(of(&second, Trigger::Backfill), times[2..6]);
    let mut ids: Vec<&String> = first.iter().chain(&second).map(|run| &run.2).collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "each run has an id of its own");
    // A minute may have begun meanwhile.
    let regular = (of(&first, Trigger::Scheduled).len() + of(&second, Trigger::Scheduled).len()) as u64;
    assert_eq!(bed.outcomes("a").await[&FIRED], 6 + regular, "a fire time counts once in the ledger");
}

#[tokio::test]
async fn of_two_who_ask_at_once_each_fire_time_runs_for_one() {
    let bed = Bed::new().await;
    bed.add("a", fields(json!({"every": "1s"}), "allow")).await;
    bed.pause("a").await;
    bed.shift(120_000);
    bed.resume("a").await;
    let skipped = bed.stretches("a").await[0];
    let other = bed.another().await;
    let whole = range(skipped.first, skipped.last);
    let (left, right) = (request(), request());
    let target = id("a");
    // The ledger grows meanwhile: the entry fires every second.
    let grow = async {
        for _ in 0..20 {
            bed.claim(0).await;
        }
    };
    let (one, two, ()) =
        tokio::join!(bed.service.backfill(&left, &target, &whole), other.backfill(&right, &target, &whole), grow);
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.runs + two.runs, skipped.count, "{one:?} {two:?}");
    assert_eq!(one.left_out + two.left_out, skipped.count);
    let mut ids: Vec<String> =
        bed.store().entry(&target).await.unwrap().unwrap().backfill.into_iter().map(|one| one.run_id).collect();
    ids.sort();
    ids.dedup();
    assert!(ids.len() as u64 + 1 >= skipped.count, "{} of {}", ids.len(), skipped.count);
}

#[tokio::test]
async fn it_waits_for_the_run_before_it_and_runs_while_the_entry_is_paused() {
    let (bed, times) = paused(json!({"cron": "* * * * *"}), "skip").await;
    bed.pause("a").await;
    backfill(&bed, times[0], times[1]).await.unwrap();
    let mut hand = Hand::new(bed.store(), 'b');
    settle(&bed).await;
    let first = hand.fetch(5).await;
    assert_eq!((first.len(), first[0].run.fire_at), (1, times[0]));
    bed.pass(5_000).await;
    settle(&bed).await;
    assert!(hand.fetch(5).await.is_empty(), "the run before it is active");
    assert_eq!(hand.finish(&first[0], EndedAs::Succeeded).await, FinishWord::Finished);
    bed.pass(2_000).await;
    settle(&bed).await;
    assert_eq!(hand.fetch(5).await[0].run.fire_at, times[1]);
    assert_eq!(bed.count("ZCARD", 0, "paused"), 1);
}

#[tokio::test]
async fn start_within_counts_from_its_turn() {
    let (bed, times) = paused(json!({"cron": "* * * * *", "start_within": "30s"}), "allow").await;
    backfill(&bed, times[0], times[2]).await.unwrap();
    let ran = play(&bed, 4).await;
    assert_eq!(ran.iter().filter(|run| run.1 == Trigger::Backfill).count(), 3);
    backfill(&bed, times[3], times[3]).await.unwrap();
    settle(&bed).await;
    bed.pass(31_000).await;
    settle(&bed).await;
    let late =
        bed.records("a").await.into_iter().find(|run| run.fire_at == times[3] && run.trigger == Trigger::Backfill);
    assert_eq!(late.map(|run| (run.state, run.reason)), Some((State::Missed, Some(Reason::TooLate))));
}

#[tokio::test]
async fn messages_are_delivered_with_their_own_fire_time() {
    let bed = Bed::new().await;
    bed.add("a", json!({"cron": "* * * * *", "list": "out"})).await;
    bed.pause("a").await;
    bed.shift(600_000);
    bed.resume("a").await;
    let first = bed.stretches("a").await[0].first;
    backfill(&bed, first, Timestamp(first.0 + 60_000)).await.unwrap();
    play(&bed, 3).await;
    let messages = bed.redis.messages("out");
    let mine: Vec<_> = messages.iter().filter(|message| message["trigger"] == "backfill").collect();
    assert_eq!(mine.len(), 2, "{messages:?}");
    assert_eq!(mine[0]["fire_at"], first.to_rfc3339());
}

#[tokio::test]
async fn what_is_not_on_record_one_by_one_is_refused_with_what_is_possible() {
    let (bed, times) = paused(json!({"cron": "* * * * *"}), "allow").await;
    let (begin, end) = (times[0], times[19]);
    let possible = format!("{} to {} is possible", begin.to_rfc3339(), end.to_rfc3339());
    let hour = |at: Timestamp, hours: i64| Timestamp(at.0 + hours * 3_600_000);
    for (from, to, field) in [(hour(begin, -1), end, "from"), (begin, hour(end, 1), "to")] {
        let refused = backfill(&bed, from, to).await.unwrap_err();
        assert_eq!((refused.exit_code(), refused.problem().field.as_deref()), (2, Some(field)), "{refused}");
        assert_eq!(refused.problem().hint.as_deref(), Some(possible.as_str()));
    }
    assert_eq!(backfill(&bed, end, begin).await.unwrap_err().problem().field.as_deref(), Some("to"));
    assert_eq!(bed.service.backfill(&request(), &id("b"), &range(begin, end)).await.unwrap_err().exit_code(), 3);
    // A range around it without other fire times is fine.
    assert_eq!(backfill(&bed, Timestamp(begin.0 - 59_000), Timestamp(begin.0 + 59_000)).await.unwrap().runs, 1);

    // Old stretches that were merged tell only sums.
    let schedule = bed.definition("a").await.parse(&id("a")).unwrap().into_data().schedule;
    for _ in 0..3 {
        let now = bed.now().await;
        let coming: Vec<Timestamp> = schedule.times_after(now).take(160).collect();
        for time in coming.iter().step_by(2) {
            bed.service.skip(&request(), &id("a"), Some(&Said::from(*time)), false).await.unwrap();
        }
        bed.turn_to(Timestamp(coming[159].0 + 500));
        settle(&bed).await;
    }
    assert!(bed.store().shorten_ledger(&id("a")).await.unwrap());
    let stretches = bed.stretches("a").await;
    let last = ledger::end(&stretches).unwrap();
    let refused = backfill(&bed, begin, last).await.unwrap_err();
    assert!(refused.to_string().contains("only in sum"), "{refused} {stretches:?}");
    assert!(backfill(&bed, Timestamp(last.0 - 600_000), last).await.unwrap().runs > 0);
}

#[tokio::test]
async fn fire_times_are_those_of_the_revision_that_held() {
    let (bed, times) = paused(json!({"cron": "* * * * *"}), "allow").await;
    bed.set("a", json!({"cron": "*/5 * * * *"})).await;
    let listed = bed.service.backfill(&dry(), &id("a"), &range(times[1], times[3])).await.unwrap();
    assert_eq!(listed.fire_times.unwrap(), [times[1], times[2], times[3]].map(Timestamp::to_rfc3339));
    assert_eq!(bed.count("EXISTS", 0, "backfills"), 0, "a dry run writes nothing");
    assert_eq!(backfill(&bed, times[1], times[3]).await.unwrap().runs, 3);
    assert_eq!(bed.outcomes("a").await[&FIRED], 3);
}

#[tokio::test]
async fn one_request_takes_five_hundred_and_says_where_to_go_on() {
    let bed = Bed::new().await;
    bed.add("a", fields(json!({"every": "1s"}), "allow")).await;
    bed.pause("a").await;
    bed.shift(3_600_000);
    bed.resume("a").await;
    let skipped = bed.stretches("a").await[0];
    let done = backfill(&bed, skipped.first, skipped.last).await.unwrap();
    assert_eq!(done.runs, 500);
    let next = Timestamp(skipped.first.0 + 500_000);
    assert_eq!(done.next_from, Some(next.to_rfc3339()));
    assert_eq!(backfill(&bed, next, skipped.last).await.unwrap().runs, 500);
    let mut asked = 1_000;
    let full = loop {
        match backfill(&bed, skipped.first, skipped.last).await {
            Ok(more) => asked += more.runs,
            Err(full) => break full,
        }
    };
    assert_eq!(full.exit_code(), 4);
    assert_eq!(bed.outcomes("a").await[&FIRED], asked, "what was refused is not in the ledger");
    assert_eq!(bed.store().entry(&id("a")).await.unwrap().unwrap().backfill.len() as u64, asked);
    bed.remove("a").await;
    let dropped = bed.records("a").await.into_iter().find(|run| run.trigger == Trigger::Backfill).unwrap();
    assert_eq!((dropped.state, dropped.reason, dropped.fires), (State::Cancelled, Some(Reason::EntryRemoved), asked));
    assert_eq!(bed.count("EXISTS", 0, "backfills") + bed.count("EXISTS", 0, "backfilling"), 0);
}

#[tokio::test]
async fn what_lost_its_turn_gets_one_within_a_minute() {
    let (bed, times) = paused(json!({"cron": "* * * * *"}), "allow").await;
    backfill(&bed, times[0], times[0]).await.unwrap();
    bed.redis.cli(&["DEL", &bed.key(0, "backfilling")]);
    bed.pass(61_000).await;
    let ran = play(&bed, 3).await;
    assert!(ran.iter().any(|run| run.0 == times[0]));
}

#[tokio::test]
async fn what_a_pause_takes_from_a_back_log_runs_after_all() {
    for when in schedules() {
        let bed = Bed::new().await;
        let mut caught_up = fields(when, "allow");
        caught_up["catch_up"] = json!("all");
        bed.add("a", caught_up).await;
        bed.shift(6 * 60_000);
        assert!(play(&bed, 2).await.len() >= 2, "some of the back-log has run");
        bed.pass(60_000).await;
        bed.pause("a").await;
        bed.resume("a").await;
        let stretches = bed.stretches("a").await;
        let schedule = bed.definition("a").await.parse(&id("a")).unwrap().into_data().schedule;
        for stretch in &stretches {
            let times = schedule.times_after(Timestamp(stretch.first.0 - 1)).take_while(|time| *time <= stretch.last);
            assert_eq!(times.count() as u64, stretch.count, "{stretch:?} of {stretches:?}");
        }
        let missed: u64 = stretches.iter().filter(|one| one.outcome == State::Missed).map(|one| one.count).sum();
        let end = stretches.iter().map(|stretch| stretch.last).max().unwrap();
        let done = backfill(&bed, stretches[0].first, end).await.unwrap();
        assert_eq!(done.runs, missed, "{stretches:?}");
        assert!(missed >= 4, "{stretches:?}");
        bed.is_conserved();
    }
}
