//! Single fire times that somebody asked to skip: each ends `skip_asked` in the claim's one step, the others as always.

use serde_json::{Value, json};
use upbeat::domain::run::{Reason, State};
use upbeat::domain::timestamp::Timestamp;
use upbeat::service::Said;

use crate::bed::{Bed, id, named, object, request, words};
use crate::pauses::settle;

const ASKED: (State, Option<Reason>) = (State::Skipped, Some(Reason::SkipAsked));

fn minutes(when: Value, catch_up: &str) -> Value {
    let mut fields = object(when);
    fields.insert("exec".to_owned(), json!(["true"]));
    fields.insert("overlap".to_owned(), json!("allow"));
    fields.insert("catch_up".to_owned(), json!(catch_up));
    Value::Object(fields)
}

/// Arithmetic, and the same minutes written so that no period can be seen in them.
fn schedules() -> [Value; 2] {
    [json!({"cron": "* * * * *"}), json!({"cron": ["* * * * 1-4", "* * * * 5-7"]})]
}

/// Skips the fire times at these places, counted from 1.
async fn skip(bed: &Bed, places: &[i64]) -> Vec<Timestamp> {
    let now = bed.now().await.0;
    let times: Vec<Timestamp> = places.iter().map(|place| Timestamp((now / 60_000 + place) * 60_000)).collect();
    for time in &times {
        let skipped = bed.service.skip(&request(), &id("a"), Some(&Said::from(*time)), false).await.unwrap();
        assert_eq!(words(&skipped), ["changed"]);
    }
    times
}

#[tokio::test]
async fn the_next_fire_time_is_skipped_and_only_that() {
    for when in schedules() {
        let bed = Bed::new().await;
        bed.add("a", minutes(when, "latest")).await;
        let schedule = bed.definition("a").await.parse(&id("a")).unwrap();
        let created = bed.definition("a").await.created;
        let next = bed.service.show(&id("a")).await.unwrap().view.next_fire_at.unwrap();
        let skipped = bed.service.skip(&request(), &id("a"), None, false).await.unwrap();
        assert_eq!((words(&skipped), skipped.changes[0].next_before), (vec!["changed"], Some(next)));
        assert_eq!(skipped.changes[0].next_after.unwrap().0, Timestamp(next.0.0 + 60_000));
        assert_eq!(words(&bed.service.skip(&request(), &id("a"), None, false).await.unwrap()), ["unchanged"]);
        let shown = bed.service.show(&id("a")).await.unwrap();
        assert_eq!((shown.view.next_fire_at, shown.skips[0].fire_at), (skipped.changes[0].next_after, next));
        assert_eq!(shown.skips[0].message, "by ana");
        for ms in [500, 60_500] {
            bed.turn_to(Timestamp(next.0.0 + ms));
            settle(&bed).await;
        }
        let stretches = bed.stretches("a").await;
        bed.all_settled(&stretches, &schedule, created);
        assert_eq!(bed.outcomes("a").await, [(ASKED, 1), ((State::Succeeded, None), 1)].into());
        let record = &bed.records("a").await[0];
        assert_eq!((record.fire_at, record.message.as_deref()), (next.0, Some("by ana")));
        assert_eq!(bed.count("EXISTS", 0, "skips"), 0, "nothing is left behind");
        bed.is_conserved();
    }
}

#[tokio::test]
async fn skipped_times_found_late_are_as_if_they_were_not_there() {
    for when in schedules() {
        for (catch_up, late) in [("latest", Reason::Superseded), ("none", Reason::TooLate), ("all", Reason::Pace)] {
            let bed = Bed::new().await;
            bed.add("a", minutes(when.clone(), catch_up)).await;
            let schedule = bed.definition("a").await.parse(&id("a")).unwrap();
            let created = bed.definition("a").await.created;
            // In the middle, two in a row, and the newest of twenty.
            let times = skip(&bed, &[5, 9, 10, 20]).await;
            bed.turn_to(Timestamp(times[3].0 + 50_000));
            settle(&bed).await;
            let stretches = bed.stretches("a").await;
            assert_eq!(bed.all_settled(&stretches, &schedule, created), 20);
            let outcomes = bed.outcomes("a").await;
            assert_eq!(outcomes[&ASKED], 4, "{catch_up}: {outcomes:?}");
            let state = if catch_up == "all" { State::Succeeded } else { State::Missed };
            // The newest that is not skipped is older than a minute by now.
            let fired = if catch_up == "latest" { 1 } else { 0 };
            assert_eq!(outcomes[&(state, Some(late))], 16 - fired, "{catch_up}: {outcomes:?}");
            assert_eq!(outcomes.get(&(State::Succeeded, None)).copied().unwrap_or(0), fired, "{outcomes:?}");
            // No stretch reaches over a skipped time.
            for stretch in &stretches {
                let inside = schedule.schedule.times_after(Timestamp(stretch.first.0 - 1));
                assert_eq!(
                    inside.take_while(|time| *time <= stretch.last).count() as u64,
                    stretch.count,
                    "{stretches:?}"
                );
            }
            assert_eq!(bed.records("a").await.iter().filter(|run| run.reason == ASKED.1).count(), 4);
            bed.is_conserved();
        }
    }
}

#[tokio::test]
async fn a_skip_is_undone_as_long_as_its_time_has_not_come() {
    let bed = Bed::new().await;
    bed.add("a", minutes(json!({"cron": "* * * * *"}), "latest")).await;
    let times = skip(&bed, &[2, 3]).await;
    let undo = async |at: Option<&Said>| bed.service.skip(&request(), &id("a"), at, true).await;
    assert_eq!(words(&undo(None).await.unwrap()), ["changed"], "the next of them");
    assert_eq!(bed.service.skips(&id("a")).await.unwrap()[0].fire_at, times[1]);
    assert_eq!(words(&undo(Some(&Said::from(times[0]))).await.unwrap()), ["unchanged"]);
    bed.turn_to(Timestamp(times[1].0 + 500));
    for _ in 0..2 {
        let late = undo(Some(&Said::from(times[1]))).await.unwrap_err();
        assert_eq!((late.exit_code(), late.problem().field.as_deref()), (4, Some("at")));
        settle(&bed).await;
    }
    assert_eq!(bed.outcomes("a").await[&ASKED], 1);
    assert_eq!(undo(None).await.unwrap_err().exit_code(), 4);
}

#[tokio::test]
async fn what_is_no_fire_time_is_refused_with_the_nearest() {
    let bed = Bed::new().await;
    bed.add("a", minutes(json!({"cron": "0 9 * * mon-fri"}), "latest")).await;
    let at = |text: &str| Said::from(Timestamp::parse("at", text, None).unwrap());
    let skip = async |text: &str| bed.service.skip(&request(), &id("a"), Some(&at(text)), false).await.unwrap_err();
    let off = skip("2036-11-21T10:00:00Z").await;
    assert_eq!((off.exit_code(), off.problem().field.as_deref()), (2, Some("at")));
    let hint = off.problem().hint.clone().unwrap();
    assert_eq!(hint, "the nearest: 2036-11-21T09:00:00.000Z, 2036-11-24T09:00:00.000Z");
    assert_eq!(skip("2020-11-20T09:00:00Z").await.exit_code(), 4, "it has passed");
    assert_eq!(bed.service.skip(&request(), &id("b"), None, false).await.unwrap_err().exit_code(), 3);
    for day in 0..120 {
        let time = Timestamp(at("2036-11-21T09:00:00Z").at.0 + day * 86_400_000);
        match bed.service.skip(&request(), &id("a"), Some(&Said::from(time)), false).await {
            Ok(_) => assert!(bed.service.skips(&id("a")).await.unwrap().len() <= 100),
            Err(why) if why.exit_code() == 2 => {}
            Err(full) => assert!(full.to_string().contains("100 fire times"), "{full}"),
        }
    }
}

#[tokio::test]
async fn a_repeated_request_skips_once() {
    let bed = Bed::new().await;
    bed.add("a", minutes(json!({"cron": "* * * * *"}), "latest")).await;
    let skip = || named("r");
    let first = bed.service.skip(&skip(), &id("a"), None, false).await.unwrap();
    bed.shift(180_000);
    settle(&bed).await;
    assert_eq!(bed.service.skip(&skip(), &id("a"), None, false).await.unwrap().changes, first.changes);
    assert_eq!(bed.service.skips(&id("a")).await.unwrap(), []);
    let other = bed.service.skip(&skip(), &id("a"), None, true).await.unwrap_err();
    assert_eq!(other.exit_code(), 4);
    let dry = bed.service.skip(&crate::bed::dry(), &id("a"), None, false).await.unwrap();
    assert_eq!((words(&dry), bed.service.skips(&id("a")).await.unwrap().len()), (vec!["changed"], 0));
}

#[tokio::test]
async fn what_set_moves_away_is_not_skipped_any_more_and_that_is_said() {
    let bed = Bed::new().await;
    bed.add("a", minutes(json!({"cron": "* * * * *"}), "latest")).await;
    let now = bed.now().await.0;
    let hour = Timestamp((now / 3_600_000 + 1) * 3_600_000);
    skip(&bed, &[2, 3]).await;
    bed.service.skip(&request(), &id("a"), Some(&Said::from(hour)), false).await.unwrap();
    let kept = |bed: &Bed| {
        let service = bed.service.clone();
        async move { service.skips(&id("a")).await.unwrap().len() }
    };
    let before = kept(&bed).await;
    let noted = bed.set("a", json!({"note": "x"})).await;
    assert_eq!(
        (noted.warnings.iter().filter(|one| one.contains("no fire time")).count(), kept(&bed).await),
        (0, before)
    );
    let set = bed.set("a", json!({"cron": "0 * * * *"})).await;
    let said = set.warnings.iter().filter(|warning| warning.contains("is no fire time any more")).count();
    assert!(said >= 1, "{set:?}");
    assert!(bed.service.skips(&id("a")).await.unwrap().iter().all(|skip| skip.fire_at.0 % 3_600_000 == 0));
    assert_eq!(kept(&bed).await, before - said);
}

#[tokio::test]
async fn a_change_settles_what_is_to_be_skipped_and_rm_forgets_it() {
    for change in ["set", "pause", "rm", "pause first"] {
        let bed = Bed::new().await;
        bed.add("a", minutes(json!({"cron": "* * * * *"}), "latest")).await;
        let schedule = bed.definition("a").await.parse(&id("a")).unwrap();
        let created = bed.definition("a").await.created;
        let times = skip(&bed, &[3, 30]).await;
        if change == "pause first" {
            bed.pause("a").await;
        }
        bed.turn_to(Timestamp(times[0].0 + 90_000));
        match change {
            "set" => drop(bed.set("a", json!({"note": "x"})).await),
            "pause" => drop(bed.pause("a").await),
            "rm" => drop(bed.remove("a").await),
            _ => drop(bed.resume("a").await),
        }
        assert_eq!(bed.all_settled(&bed.stretches("a").await, &schedule, created), 4, "{change}");
        let asked = bed.outcomes("a").await.get(&ASKED).copied().unwrap_or(0);
        assert_eq!(asked, u64::from(change == "set"), "{change}: what passes paused or removed is part of that");
        let left = if change == "rm" { 0 } else { 1 };
        assert_eq!(bed.count("HLEN", 0, "skips"), left, "{change}");
        if change == "pause first" {
            bed.turn_to(Timestamp(times[1].0 + 500));
            settle(&bed).await;
            assert_eq!(bed.outcomes("a").await[&ASKED], 1);
            assert_eq!(bed.count("HLEN", 0, "skips"), 0);
        }
        bed.is_conserved();
    }
}
