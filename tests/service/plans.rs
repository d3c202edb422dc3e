//! plan: says what apply does, and does nothing.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Map, Value, json};
use upbeat::domain::file::ScheduleFile;
use upbeat::domain::id::Owner;
use upbeat::domain::timestamp::Timestamp;
use upbeat::service::{ChangeView, FilesOptions, OwnedFile, PlanView, Said};

use crate::bed::{Bed, dry, file, id, object, request};
use crate::drawn;

pub fn owned(owner: &str, text: &str) -> OwnedFile {
    OwnedFile { file: file(text), owner: Owner::parse("owner", owner).unwrap() }
}

fn document(owner: &str, document: &Value) -> OwnedFile {
    let file = ScheduleFile::parse("x.json", &document.to_string());
    let file = file.unwrap_or_else(|errors| panic!("{document:#}\n{errors:?}"));
    OwnedFile { file, owner: Owner::parse("owner", owner).unwrap() }
}

pub fn pruning() -> FilesOptions {
    FilesOptions { is_prune: true, ..FilesOptions::default() }
}

async fn plan(bed: &Bed, text: &str) -> PlanView {
    bed.service.plan_files(&request(), vec![owned("ops", text)], &FilesOptions::default()).await.unwrap()
}

/// What became of an entry, to compare: an anchor that is chosen as it is written may be a moment later.
fn told(one: &ChangeView) -> (String, &'static str, String, Option<u64>, [Option<i64>; 2]) {
    let is_anchored = one.fields.iter().any(|field| field == "anchor");
    let minutes = |at: Option<upbeat::service::At>| at.map(|at| if is_anchored { at.0.0 / 86_400_000 } else { at.0.0 });
    (
        one.id.clone(),
        one.change,
        one.fields.join(","),
        one.revision,
        [minutes(one.next_before), minutes(one.next_after)],
    )
}

#[tokio::test]
async fn plan_says_exactly_what_apply_then_does() {
    for seed in 0..8 {
        let mut rng = Rng::with_seed(seed);
        let bed = Bed::with_shards(if seed % 2 == 0 { 1 } else { 3 }).await;
        let from = Said::from(Timestamp(bed.now().await.0 - 3 * 86_400_000));
        for round in 0..7 {
            let mut ids: Vec<String> = (0..24).map(|_| drawn::id(&mut rng, 40)).collect();
            ids.sort();
            ids.dedup();
            let calendars: Map<String, Value> = drawn::CALENDARS
                .iter()
                .map(|name| ((*name).to_owned(), json!({"dates": [format!("2030-01-{:02}", rng.u8(1..4))]})))
                .collect();
            let queues = json!({"reports": {"max_running": rng.u8(3..6), "rate": format!("{}/1m", rng.u8(3..5))}});
            let half = ids.len() / 2;
            let mut entries = |ids: &[String]| -> Value {
                ids.iter().map(|id| (id.clone(), Value::Object(drawn::fields(&mut rng, true)))).collect()
            };
            let one = json!({"calendars": calendars, "queues": queues, "entries": entries(&ids[..half])});
            let other = json!({"entries": entries(&ids[half..])});
            let files = || vec![document("one", &one), document("two", &other)];
            let options = FilesOptions {
                is_take: rng.bool(),
                from: rng.bool().then(|| from.clone()),
                is_prune: rng.bool(),
                is_agreed: true,
                ..FilesOptions::default()
            };
            let planned = bed.service.plan_files(&request(), files(), &options).await.unwrap();
            let asked = bed.service.apply_files(&dry(), files(), &options).await.unwrap();
            let done = bed.service.apply_files(&request(), files(), &options).await.unwrap();
            // One that follows a calendar of the file has no overdue fire times any more once it is its turn.
            let follow: Vec<&str> =
                done.calendars.iter().flat_map(|one| &one.entries).map(|one| one.id.as_str()).collect();
            let told = |one: &ChangeView| {
                let mut told = told(one);
                let is_settled = follow.contains(&one.id.as_str());
                told.4[0] = told.4[0].filter(|_| !is_settled);
                // What is refused stays as it stands, both times.
                told.4[1] = told.4[1].filter(|_| !(is_settled && one.change == "refused"));
                told
            };
            let expected: Vec<_> = done.changes.iter().map(told).collect();
            let found: Vec<_> = planned.changes.iter().map(|one| told(&one.change)).collect();
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected, "seed {seed}, round {round}");
            }
            assert_eq!(found.len(), expected.len(), "seed {seed}, round {round}");
            assert_eq!((&planned.queues, &asked.queues), (&done.queues, &done.queues), "seed {seed}, round {round}");
            assert_eq!(planned.warnings, done.warnings, "seed {seed}, round {round}");
            let words = |changes: &[ChangeView]| -> Vec<_> {
                changes.iter().map(|one| (one.id.clone(), one.change, one.fields.clone())).collect()
            };
            assert_eq!(words(&asked.changes), words(&done.changes), "seed {seed}, round {round}");
            let calendars = |changes: &[upbeat::service::CalendarChange]| -> Vec<_> {
                let entries = |one: &upbeat::service::CalendarChange| {
                    one.entries.iter().map(|one| (one.id.clone(), one.change, one.revision)).collect::<Vec<_>>()
                };
                changes.iter().map(|one| (one.calendar.clone(), one.change, one.revision, entries(one))).collect()
            };
            assert_eq!(calendars(&planned.calendars), calendars(&done.calendars), "seed {seed}, round {round}");
            let with_prune = FilesOptions { is_prune: true, ..options.clone() };
            let again = bed.service.plan_files(&request(), files(), &with_prune).await.unwrap();
            let refused = done.changes.iter().any(|one| one.change == "refused");
            assert_eq!(again.has_changes(), refused || (!options.is_prune && again.changes.len() > ids.len()));
            // Others go on meanwhile.
            let all = bed.service.select(&upbeat::service::Select::All).await.unwrap();
            for id in &all {
                if rng.u8(..9) > 0 {
                    continue;
                }
                match rng.u8(..3) {
                    0 => bed.service.pause(&request(), std::slice::from_ref(id)).await.map(drop),
                    1 => bed.service.remove(&request(), std::slice::from_ref(id)).await.map(drop),
                    _ => bed.service.set(&request(), id, object(json!({"note": "by hand"})), &[]).await.map(drop),
                }
                .unwrap();
            }
            bed.is_conserved();
        }
    }
}

#[tokio::test]
async fn plan_writes_nothing() {
    let bed = Bed::new().await;
    let text = "[calendars.cn]\ndates = ['2030-01-01']\n[entries.a]\nevery = '1d'\nexec = ['true']\nexclude = 'cn'\n\
                [entries.b]\ncron = '0 9 * * *'\nlist = 'out'\n[entries.c]\nevery = '1d'\nshell = 'x'\nmax_fires = 5\n";
    bed.service.apply_files(&request(), vec![owned("ops", text)], &FilesOptions::default()).await.unwrap();
    let written = || bed.redis.info("rdb_changes_since_last_save");
    let (keys, before) = (bed.redis.keys(), written());
    let other = text.replace("1d", "2d").replace("2030-01-01", "2030-01-02").replace("entries.b", "entries.d");
    let said = Said::from(Timestamp(bed.now().await.0 - 86_400_000));
    let options = FilesOptions { from: Some(said), is_take: true, is_prune: true, ..FilesOptions::default() };
    let planned = bed.service.plan_files(&request(), vec![owned("ops", &other)], &options).await.unwrap();
    let words: Vec<&str> = planned.changes.iter().map(|one| one.change.change).collect();
    assert_eq!(words, ["changed", "added", "changed", "removed"]);
    assert_eq!((bed.redis.keys(), written()), (keys, before));
}

#[tokio::test]
async fn a_change_is_told_field_by_field_with_the_next_five_fire_times() {
    let bed = Bed::new().await;
    let text = "[entries.a]\ncron = '0 9 * * *'\ntz = 'UTC'\nexec = ['true']\nnote = 'x'\n[entries.b]\nat = '2031-01-01T00:00:00Z'\nshell = 'x'\n";
    assert_eq!(plan(&bed, text).await.changes[0].next_five.as_ref().unwrap().after.len(), 5);
    bed.service.apply_files(&request(), vec![owned("ops", text)], &FilesOptions::default()).await.unwrap();
    let planned = plan(&bed, &text.replace("0 9", "30 10").replace("note = 'x'\n", "")).await;
    let one = &planned.changes[0];
    assert_eq!(one.change.fields, ["cron", "note"]);
    assert_eq!(Value::Object(one.before.clone()), json!({"cron": "0 9 * * *", "note": "x"}));
    assert_eq!(Value::Object(one.after.clone()), json!({"cron": "30 10 * * *"}));
    let five = one.next_five.as_ref().unwrap();
    let clock = |at: &upbeat::service::At| at.0.0.rem_euclid(86_400_000) / 60_000;
    assert_eq!(five.before.iter().map(clock).collect::<Vec<_>>(), [9 * 60; 5]);
    assert_eq!(five.after.iter().map(clock).collect::<Vec<_>>(), [10 * 60 + 30; 5]);
    assert_eq!(
        (one.change.next_before, one.change.next_after),
        (five.before.first().copied(), five.after.first().copied())
    );
    assert_eq!((planned.changes[1].change.change, &planned.changes[1].next_five), ("unchanged", &None));
    let paused = plan(&bed, "[entries.p]\nevery = '1h'\nshell = 'x'\npaused = true\n").await;
    assert_eq!(paused.changes[0].after["paused"], json!(true));
    assert_eq!(
        (paused.changes[0].change.next_after, paused.changes[0].next_five.as_ref().unwrap().after.len()),
        (None, 0)
    );
}

#[tokio::test]
async fn a_skipped_fire_time_and_a_limit_are_seen_by_plan() {
    let bed = Bed::new().await;
    let text = "[entries.a]\ncron = '0 9 * * *'\nexec = ['true']\nmax_fires = 3\n";
    bed.service.apply_files(&request(), vec![owned("ops", text)], &FilesOptions::default()).await.unwrap();
    let next = bed.store().entry(&id("a")).await.unwrap().unwrap().next_fire_at().unwrap();
    bed.service.skip(&request(), &id("a"), None, false).await.unwrap();
    let planned = plan(&bed, &format!("{text}note = 'x'\n")).await;
    let five = planned.changes[0].next_five.as_ref().unwrap();
    let days: BTreeMap<i64, ()> = five.after.iter().map(|at| ((at.0.0 - next.0) / 86_400_000, ())).collect();
    assert_eq!(days.into_keys().collect::<Vec<_>>(), [1, 2], "the first is skipped, and three are all");
    let lost = plan(&bed, &text.replace("0 9", "0 10")).await;
    assert!(lost.warnings.iter().any(|warning| warning.contains("is no fire time any more")), "{:?}", lost.warnings);
}
