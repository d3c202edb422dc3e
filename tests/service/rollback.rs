//! rollback against a real Redis: no fire time lost or doubled, nothing paused or resumed, and what it refuses.

use serde_json::json;
use upbeat::domain::timestamp::Timestamp;
use upbeat::error::Error;
use upbeat::service::Request;

use crate::bed::{Bed, dry, id, named, request, words};

#[tokio::test]
async fn a_rollback_gives_back_the_fields_and_settles_what_is_overdue_first() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1m", "shell": "x"})).await;
    let before = bed.definition("a").await;
    bed.set("a", json!({"every": "1h", "timeout": "5m"})).await;
    bed.set("a", json!({"every": "1m"})).await;
    // Three fire times come before anybody looks.
    bed.shift(200_000);
    let rolled = bed.service.rollback(&request(), &id("a"), 1).await.unwrap();
    assert_eq!(words(&rolled), ["changed"]);
    assert_eq!(rolled.changes[0].fields, ["timeout"]);
    let after = bed.definition("a").await;
    assert_eq!(
        (&after.entry, &after.owner, after.revision, after.restored),
        (&before.entry, &before.owner, 4, Some(1))
    );
    assert_eq!(after.reason.as_deref(), Some("rollback to revision 1"));
    let entry = after.parse(&id("a")).unwrap();
    let settled = bed.all_settled(&bed.stretches("a").await, &entry, before.created);
    assert!((3..=4).contains(&settled), "{settled}");
    assert_eq!(rolled.changes[0].next_after.unwrap().0, entry.schedule.next_after(after.at).unwrap());
    bed.set("a", json!({"note": "n"})).await;
    assert_eq!(bed.definition("a").await.restored, None, "the next change is no rollback");
    bed.is_conserved();
}

#[tokio::test]
async fn a_rollback_neither_pauses_nor_resumes() {
    let bed = Bed::new().await;
    bed.add("a", json!({"cron": "0 9 * * *", "shell": "x"})).await;
    bed.set("a", json!({"shell": "y"})).await;
    bed.pause("a").await;
    bed.service.rollback(&request(), &id("a"), 1).await.unwrap();
    let definition = bed.definition("a").await;
    assert_eq!((definition.paused.is_some(), &definition.entry["shell"]), (true, &json!("x")));
    bed.resume("a").await;
    // Revision 3 was paused with shell y.
    bed.service.rollback(&request(), &id("a"), 3).await.unwrap();
    let definition = bed.definition("a").await;
    assert_eq!((definition.paused.is_none(), &definition.entry["shell"]), (true, &json!("y")));
}

#[tokio::test]
async fn a_period_keeps_its_anchor_over_rollbacks() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "7m", "shell": "x"})).await;
    let anchor = bed.definition("a").await.entry["anchor"].clone();
    bed.set("a", json!({"cron": "0 9 * * *"})).await;
    assert_eq!(bed.definition("a").await.entry.get("anchor"), None);
    bed.service.rollback(&request(), &id("a"), 1).await.unwrap();
    assert_eq!(bed.definition("a").await.entry["anchor"], anchor);
}

#[tokio::test]
async fn the_same_request_rolls_back_once_and_a_dry_one_not_at_all() {
    let bed = Bed::new().await;
    bed.add("a", json!({"cron": "0 9 * * *", "shell": "x"})).await;
    bed.set("a", json!({"shell": "y"})).await;
    assert_eq!(words(&bed.service.rollback(&dry(), &id("a"), 1).await.unwrap()), ["changed"]);
    assert_eq!(bed.definition("a").await.revision, 2);
    let asked = Request { reason: Some("INC-1".to_owned()), ..named("r") };
    for _ in 0..2 {
        assert_eq!(bed.service.rollback(&asked, &id("a"), 1).await.unwrap().changes[0].revision, Some(3));
    }
    assert_eq!(bed.definition("a").await.reason.as_deref(), Some("INC-1"));
    assert_eq!(words(&bed.service.rollback(&request(), &id("a"), 3).await.unwrap()), ["unchanged"]);
    assert_eq!(words(&bed.service.rollback(&request(), &id("a"), 1).await.unwrap()), ["unchanged"]);
    assert_eq!(bed.definition("a").await.revision, 3);
}

#[tokio::test]
async fn what_can_t_be_as_it_was_is_refused_with_the_reason() {
    let bed = Bed::new().await;
    let refused = async |name: &str, to: u64| bed.service.rollback(&request(), &id(name), to).await.unwrap_err();
    let soon = Timestamp(bed.now().await.0 + 60_000).to_rfc3339();
    bed.add("once", json!({"at": soon, "shell": "x"})).await;
    bed.set("once", json!({"cron": "0 9 * * *"})).await;
    bed.shift(120_000);
    let error = refused("once", 1).await;
    assert!(matches!(&error, Error::Invalid(problem) if problem.field.as_deref() == Some("at")), "{error}");

    bed.add("newer", json!({"every": "1h", "shell": "x"})).await;
    bed.set("newer", json!({"shell": "y"})).await;
    let key = bed.key(0, "revisions");
    let text = bed.redis.ask(&["HGET", &key, "newer\x001"]).text();
    bed.redis.ask(&["HSET", &key, "newer\x001", &text.replacen("{\"v\":[2", "{\"v\":[99", 1)]);
    let error = refused("newer", 1).await;
    assert!(matches!(error, Error::Conflict(_)) && error.to_string().contains("newer upbeat"), "{error}");
    assert_eq!(bed.service.revisions(&id("newer")).await.unwrap()[1].change, "unreadable");
    assert_eq!(bed.definition("newer").await.revision, 2);
    assert!(matches!(refused("nobody", 1).await, Error::NotFound(_)));
}

#[tokio::test]
async fn dates_of_a_calendar_that_is_gone_are_named() {
    let bed = Bed::new().await;
    let text =
        "[calendars.cn]\ndates = ['2099-01-01']\n[entries.a]\ncron = '0 9 * * *'\nshell = 'x'\nexclude = ['cn']\n";
    bed.service.apply(&request(), crate::bed::file(text), crate::bed::owned_by("cli")).await.unwrap();
    bed.service.set(&request(), &id("a"), Default::default(), &["exclude".to_owned()]).await.unwrap();
    let name = upbeat::domain::id::CalendarName::parse("name", "cn").unwrap();
    bed.service.remove_calendar(&request(), &name).await.unwrap();
    let error = bed.service.rollback(&request(), &id("a"), 1).await.unwrap_err();
    assert!(matches!(&error, Error::Invalid(problem) if problem.field.as_deref() == Some("exclude")), "{error}");
    assert_eq!(bed.definition("a").await.revision, 2);
}

#[tokio::test]
async fn a_change_between_read_and_write_is_refused_with_both_sides() {
    let bed = Bed::new().await;
    bed.add("a", json!({"cron": "0 9 * * *", "shell": "x"})).await;
    // What is written in the ms of the addition reads as added again.
    bed.pass(1).await;
    // Of 20 who change at once most were read before another wrote: each is carried out or refused with both sides.
    let set = async |at: usize| {
        let fields = crate::bed::object(json!({"note": format!("n{at}")}));
        bed.service.set(&request(), &id("a"), fields, &[]).await
    };
    let (mut done, mut refused) = (0, 0);
    for ended in futures_util::future::join_all((0..20).map(set)).await {
        match ended {
            Ok(_) => done += 1,
            Err(Error::Conflict(problem)) => {
                let sides = problem.sides.expect("both sides are told");
                assert_eq!(sides.yours["fields"][0]["field"], "note");
                let theirs = sides.theirs.as_array().unwrap();
                assert!(
                    !theirs.is_empty() && theirs.iter().all(|one| one["fields"][0]["field"] == "note"),
                    "{theirs:#?}"
                );
                refused += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(bed.definition("a").await.revision, 1 + done);
    assert_eq!(done + refused, 20);
}

#[tokio::test]
async fn an_entry_that_changes_while_a_file_is_applied_is_refused_with_both_sides_in_its_message() {
    let bed = Bed::new().await;
    bed.add("a", json!({"cron": "0 9 * * *", "shell": "x"})).await;
    let apply = async |at: usize| {
        let text = format!("[entries.a]\ncron = '0 9 * * *'\nshell = 'x'\nnote = 'n{at}'\n");
        let applied = bed.service.apply(&request(), crate::bed::file(&text), crate::bed::owned_by("cli")).await;
        applied.unwrap().changes.remove(0)
    };
    let mut refused = 0;
    for round in 0..10 {
        let all = futures_util::future::join_all((0..10).map(|at| apply(round * 10 + at))).await;
        for change in all.iter().filter(|change| change.change == "refused") {
            let why = change.message.as_deref().unwrap();
            assert!(why.starts_with("a was changed meanwhile from revision "), "{why}");
            assert!(why.contains("; yours changed: note ") && why.contains("; theirs revision "), "{why}");
            refused += 1;
        }
        if refused > 0 {
            return;
        }
    }
    panic!("of a hundred none met another");
}
