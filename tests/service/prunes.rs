//! prune: what an owner has beside its files goes, and only that.

use upbeat::domain::id::Owner;
use upbeat::service::{Changes, FilesOptions, OwnedFile, Request, Select};

use crate::bed::{Bed, dry, id, named, request, words};
use crate::plans::{owned, pruning};

/// Entries of one kind.
fn entries(ids: &[&str]) -> String {
    ids.iter().map(|id| format!("[entries.{id}]\ncron = '0 9 * * *'\nexec = ['true']\n")).collect()
}

async fn apply(bed: &Bed, owner: &str, ids: &[&str]) -> Changes {
    bed.service.apply_files(&request(), vec![owned(owner, &entries(ids))], &FilesOptions::default()).await.unwrap()
}

async fn all(bed: &Bed) -> Vec<String> {
    bed.service.select(&Select::All).await.unwrap().iter().map(ToString::to_string).collect()
}

fn agreed() -> FilesOptions {
    FilesOptions { is_agreed: true, ..pruning() }
}

#[tokio::test]
async fn only_entries_of_the_same_owner_are_removed_and_none_that_stands_in_any_file() {
    for shards in [1, 3] {
        let bed = Bed::with_shards(shards).await;
        apply(&bed, "one", &["a", "b", "c", "moves"]).await;
        apply(&bed, "two", &["d", "e"]).await;
        apply(&bed, "three", &["f"]).await;
        let files = vec![
            owned("one", &entries(&["a"])),
            owned("one", &entries(&["b"])),
            owned("two", &entries(&["d", "moves"])),
        ];
        let done = bed.service.apply_files(&request(), files, &agreed()).await.unwrap();
        assert_eq!(words(&done), ["unchanged", "unchanged", "unchanged", "refused", "removed", "removed"]);
        assert_eq!(all(&bed).await, ["a", "b", "d", "f", "moves"]);
        let removed = bed.store().removed(bed.store().shard_of(&id("c")), &[id("c")]).await.unwrap();
        let removed = removed[0].as_ref().unwrap();
        assert_eq!((removed.revision, removed.reason.as_deref()), (2, Some("apply --prune of owner one")));
        bed.is_conserved();
    }
}

#[tokio::test]
async fn more_than_a_fifth_is_removed_only_once_somebody_agreed() {
    let bed = Bed::new().await;
    let ten = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    apply(&bed, "ops", &ten).await;
    let written = || bed.redis.info("rdb_changes_since_last_save");
    let before = written();
    for (left, new) in [(&ten[..7], "x"), (&[], "x")] {
        let text = entries(left) + &entries(&[new][..left.len().min(1)]);
        let files = || vec![owned("ops", &text)];
        let error = bed.service.apply_files(&request(), files(), &pruning()).await.unwrap_err();
        assert_eq!((error.exit_code(), error.problem().field.as_deref()), (2, Some("-y")));
        let gone = 10 - left.len();
        assert!(error.to_string().contains(&format!("remove {gone} of the 10 entries of owner ops")), "{error}");
        assert!(error.problem().hint.as_ref().unwrap().contains("-y"));
        let planned = bed.service.plan_files(&request(), files(), &pruning()).await.unwrap();
        assert!(planned.warnings.iter().any(|warning| warning.contains("needs -y")), "{:?}", planned.warnings);
    }
    assert_eq!((written(), all(&bed).await.len()), (before, 10), "nothing was written");
    // Two of ten are a fifth, and not more.
    let done = bed.service.apply_files(&request(), vec![owned("ops", &entries(&ten[..8]))], &pruning()).await.unwrap();
    assert_eq!(words(&done)[8..], ["removed"; 2]);
    let done = bed.service.apply_files(&dry(), vec![owned("ops", "")], &pruning()).await.unwrap();
    assert_eq!((words(&done), all(&bed).await.len()), (vec!["removed"; 8], 8), "who only asks need not agree");
    let done = bed.service.apply_files(&request(), vec![owned("ops", "")], &agreed()).await.unwrap();
    assert_eq!((words(&done), all(&bed).await.len()), (vec!["removed"; 8], 0));
}

#[tokio::test]
async fn what_is_asked_again_is_answered_as_before() {
    let bed = Bed::with_shards(3).await;
    apply(&bed, "ops", &["a", "b", "c", "d"]).await;
    let ask = async |request: &Request| {
        bed.service.apply_files(request, vec![owned("ops", &entries(&["a", "e"]))], &agreed()).await
    };
    let first = ask(&named("r")).await.unwrap();
    assert_eq!(words(&first), ["unchanged", "added", "removed", "removed", "removed"]);
    let again = ask(&named("r")).await.unwrap();
    assert_eq!(again.changes, first.changes);
    let other = bed.service.apply_files(&named("r"), vec![owned("ops", &entries(&["a", "f"]))], &agreed()).await;
    assert_eq!(other.unwrap_err().exit_code(), 4);
}

#[tokio::test]
async fn calendars_stay_and_are_named() {
    let bed = Bed::new().await;
    let with = "[calendars.cn]\ndates = ['2030-01-01']\n[entries.x]\nevery = '1d'\nexec = ['true']\nexclude = 'cn'\n";
    bed.service.apply_files(&request(), vec![owned("ops", with)], &FilesOptions::default()).await.unwrap();
    let done = bed.service.apply_files(&request(), vec![owned("ops", &entries(&["a"]))], &agreed()).await.unwrap();
    assert!(done.warnings.iter().any(|warning| warning.starts_with("calendar cn stays")), "{:?}", done.warnings);
    assert_eq!(bed.service.calendars().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_entry_that_nobody_can_read_is_left_alone() {
    let bed = Bed::new().await;
    apply(&bed, "ops", &["a", "b"]).await;
    bed.redis.cli(&["HSET", &bed.key(0, "entries"), "b", "{broken"]);
    let done = bed.service.apply_files(&request(), vec![owned("ops", &entries(&["a"]))], &agreed()).await.unwrap();
    assert_eq!((words(&done), all(&bed).await), (vec!["unchanged"], vec!["a".to_owned(), "b".to_owned()]));
}

#[tokio::test]
async fn a_thousand_are_removed_in_steps() {
    let bed = Bed::with_shards(2).await;
    let ids: Vec<String> = (0..1_200).map(|number| format!("e{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    apply(&bed, "ops", &ids).await;
    let file = || OwnedFile { owner: Owner::parse("o", "ops").unwrap(), ..owned("ops", &entries(&ids[..1_000])) };
    let done = bed.service.apply_files(&request(), vec![file()], &pruning()).await.unwrap();
    assert_eq!(words(&done).iter().filter(|word| **word == "removed").count(), 200);
    assert_eq!(all(&bed).await.len(), 1_000);
    bed.is_conserved();
}
