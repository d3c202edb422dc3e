//! The same request gets the same answer; two requests on one revision are one change and one conflict.

use serde_json::json;
use upbeat::service::AddOptions;

use crate::bed::{Bed, entry, file, id, named, new, object, owned_by, words};

#[tokio::test]
async fn a_repeated_request_is_answered_as_the_first_time() {
    let bed = Bed::new().await;
    let fields = json!({"every": "10s", "exec": ["true"]});
    let request = named("r1");
    let add = || bed.service.add(&request, id("a"), entry(fields.clone()), new());
    let added = add().await.unwrap();
    bed.shift(30_000);
    assert_eq!(add().await.unwrap().changes, added.changes);

    let set = named("r2");
    let first = bed.service.set(&set, &id("a"), object(json!({"note": "x"})), &[]).await.unwrap();
    assert_eq!(first.changes[0].fields, ["note"]);
    let again = bed.service.set(&set, &id("a"), object(json!({"note": "x"})), &[]).await.unwrap();
    assert_eq!(again.changes, first.changes);
    assert_eq!(bed.definition("a").await.revision, 2);

    bed.add("b", fields.clone()).await;
    bed.pause("b").await;
    let both = [id("b"), id("a")];
    let paused = bed.service.pause(&named("r4"), &both).await.unwrap();
    assert_eq!(words(&paused), ["unchanged", "changed"]);
    assert_eq!(words(&bed.service.pause(&named("r4"), &both).await.unwrap()), ["unchanged", "changed"]);
    bed.remove("b").await;

    let rm = named("r3");
    let removed = bed.service.remove(&rm, &[id("a")]).await.unwrap();
    assert_eq!(bed.service.remove(&rm, &[id("a")]).await.unwrap().changes, removed.changes);
    bed.add("a", fields.clone()).await;
    assert_eq!(bed.service.remove(&rm, &[id("a")]).await.unwrap().changes, removed.changes);
    assert_eq!(bed.count("HLEN", 0, "entries"), 1, "a late repetition removes nothing that was added since");
}

#[tokio::test]
async fn a_request_id_with_other_content_is_a_conflict() {
    let bed = Bed::new().await;
    let request = named("r");
    bed.service.add(&request, id("a"), entry(json!({"every": "10s", "exec": ["true"]})), new()).await.unwrap();
    let other = bed.service.add(&request, id("b"), entry(json!({"every": "10s", "exec": ["true"]})), new()).await;
    assert_eq!(other.unwrap_err().exit_code(), 4);
    let replaced = AddOptions { is_replace: true, ..new() };
    let other = bed.service.add(&request, id("a"), entry(json!({"every": "9s", "exec": ["true"]})), replaced).await;
    assert_eq!(other.unwrap_err().problem().field.as_deref(), Some("request-id"));
    let other = bed.service.remove(&request, &[id("a")]).await;
    assert_eq!(other.unwrap_err().exit_code(), 4);
    assert_eq!(bed.count("HLEN", 0, "entries"), 1);
    let odd = bed.service.remove(&named("a b"), &[id("a")]).await.unwrap_err();
    assert_eq!(odd.exit_code(), 2);
}

#[tokio::test]
async fn a_repeated_apply_is_answered_as_the_first_time() {
    let bed = Bed::with_shards(3).await;
    let text = |every: &str| {
        (0..600).map(|n| format!("[entries.e{n}]\nevery = \"{every}\"\nexec = [\"true\"]\n")).collect::<String>()
    };
    let first = bed.service.apply(&named("r"), file(&text("1h")), owned_by("o")).await.unwrap();
    assert!(first.changes.iter().all(|change| change.change == "added"));
    let again = bed.service.apply(&named("r"), file(&text("1h")), owned_by("o")).await.unwrap();
    assert_eq!(again.changes, first.changes);
    let other = bed.service.apply(&named("r"), file(&text("2h")), owned_by("o")).await.unwrap_err();
    assert_eq!(other.exit_code(), 4);
    bed.is_conserved();
}

#[tokio::test]
async fn of_two_changes_of_one_revision_one_wins() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1h", "exec": ["true"]})).await;
    let other = bed.another().await;
    let mut conflicts = 0;
    for round in 0..40 {
        let before = bed.definition("a").await.revision;
        let set = |note: &str| object(json!({"note": format!("{note}{round}")}));
        let (left, right) = (named(&format!("l{round}")), named(&format!("r{round}")));
        let a = id("a");
        let (one, two) = tokio::join!(bed.service.set(&left, &a, set("l"), &[]), other.set(&right, &a, set("r"), &[]));
        let won = [&one, &two].iter().filter(|result| result.is_ok()).count() as u64;
        assert_eq!(bed.definition("a").await.revision, before + won);
        for lost in [one, two].into_iter().filter_map(Result::err) {
            conflicts += 1;
            assert_eq!(lost.exit_code(), 4);
            let message = &lost.problem().message;
            assert!(message.contains(&format!("revision {before}")), "{message}");
            assert!(message.contains(&format!("revision {}", before + 1)), "{message}");
        }
    }
    assert!(conflicts > 0, "the two never met");
    bed.is_conserved();
}

#[tokio::test]
async fn two_processes_that_add_one_id_make_one_entry() {
    let bed = Bed::new().await;
    let other = bed.another().await;
    for round in 0..20 {
        let name = id(&format!("e{round}"));
        let fields = || entry(json!({"every": "1h", "exec": ["true"]}));
        let (left, right) = (named(&format!("l{round}")), named(&format!("r{round}")));
        let (one, two) = tokio::join!(
            bed.service.add(&left, name.clone(), fields(), new()),
            other.add(&right, name.clone(), fields(), new())
        );
        let added = [one, two].into_iter().filter(|result| result.as_ref().is_ok_and(|done| words(done) == ["added"]));
        assert_eq!(added.count(), 1);
    }
    bed.is_conserved();
}
