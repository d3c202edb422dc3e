//! export: a file that brings everything back, byte for byte.

use fastrand::Rng;
use serde_json::{Value, json};
use upbeat::domain::file::ScheduleFile;
use upbeat::domain::id::Owner;
use upbeat::domain::timestamp::Timestamp;
use upbeat::service::{FilesOptions, OwnedFile, Said, Select};

use crate::bed::{Bed, file, id, request};
use crate::drawn;
use crate::plans::owned;

/// Ids and what of them fires when.
async fn next_fire_times(bed: &Bed) -> Vec<(String, Option<Timestamp>)> {
    let ids = bed.service.select(&Select::All).await.unwrap();
    let stored = bed.store().entries(&ids).await.unwrap();
    stored.into_iter().flatten().map(|one| (one.id.to_string(), one.next_fire_at())).collect()
}

async fn apply(bed: &Bed, file: ScheduleFile) {
    let owner = Owner::parse("owner", "somebody").unwrap();
    let options = FilesOptions::default();
    let done = bed.service.apply_files(&request(), vec![OwnedFile { file, owner }], &options).await.unwrap();
    assert!(done.changes.iter().all(|one| one.change == "added"), "{done:?}");
}

/// Applied to an empty namespace the file gives the same entries, the same next fire times, and the same file.
async fn comes_back(bed: &Bed) {
    let exported = bed.service.export(&Select::All).await.unwrap().file;
    let (toml, json) = (exported.to_toml(), format!("{:#}", exported.to_json()));
    let copies = [("x.toml", &toml), ("x.json", &json)];
    for (name, text) in copies {
        let other = Bed::with_shards(2).await;
        apply(&other, ScheduleFile::parse(name, text).unwrap_or_else(|errors| panic!("{text}\n{errors:?}"))).await;
        let back = other.service.export(&Select::All).await.unwrap();
        assert_eq!(back.file.to_toml(), toml, "{name}");
        assert_eq!(format!("{:#}", back.file.to_json()), json, "{name}");
        // What has come meanwhile may have moved.
        let (before, after) = (next_fire_times(bed).await, next_fire_times(&other).await);
        let now = other.now().await;
        for (one, same) in before.iter().zip(&after) {
            assert!(one == same || one.1.is_some_and(|at| at <= now), "{one:?} {same:?}");
        }
        assert_eq!(before.len(), after.len());
    }
}

#[tokio::test]
async fn export_apply_export_gives_the_same_text_and_the_same_next_fire_times() {
    let bed = Bed::with_shards(3).await;
    let entries = json!({
        "every": {"every": "26h", "exec": ["true"]},
        "rule": {"rrule": "FREQ=WEEKLY;INTERVAL=2", "tz": "Europe/Berlin", "exec": ["true"], "spread": "1h"},
        "hashed": {"cron": "H H * * *", "exec": ["true"]},
        "billing.close-month": {"cron": ["0 2 1 * *", "@yearly"], "tz": "Asia/Shanghai", "list": "out", "payload": null},
        "日報": {"cron": "0 9 * * *", "stream": "s", "payload": {"a": [null, 1.5]}, "note": "first\n  second\n"},
        "free": {"every": "7d", "exclude": ["cn-holidays", "2030-05-01"], "http": {"url": "https://a.example", "headers": {"A": "secret:B"}}},
        "once": {"at": "2031-01-01T09:00", "tz": "Asia/Shanghai", "shell": "a | b\nc"},
        "over": {"at": "2020-01-01T00:00:00Z", "shell": "x"},
        "few": {"cron": "0 3 * * *", "max_fires": 9, "exec": ["x", "", "a'b\"c\\"], "retry": {"max_attempts": 3, "jitter": 0.2}},
        "off": {"every": "90m", "exec": ["true"], "paused": true},
    });
    let calendars =
        json!({"cn-holidays": {"dates": ["2030-01-01", "2030-10-01"]}, "unused": {"dates": ["2030-02-02"]}});
    let queues = json!({"reports": {"max_running": 5, "rate": "100/1m"}, "unused": {"rate": "7/1h"}});
    let document = json!({"owner": "growth", "calendars": calendars, "queues": queues, "entries": entries});
    apply(&bed, ScheduleFile::parse("x.json", &document.to_string()).unwrap()).await;
    // Their anchors are of now, and the copies are applied later.
    bed.service.pause(&request(), &[id("rule")]).await.unwrap();
    comes_back(&bed).await;
    let text = bed.service.export(&Select::All).await.unwrap().file.to_toml();
    assert!(text.starts_with("owner = \"growth\"\n") && text.contains("[calendars.unused]"), "{text}");
    assert_eq!(text.matches("anchor = ").count(), 4, "{text}");
}

#[tokio::test]
async fn whatever_is_drawn_comes_back_the_same() {
    for seed in 0..6 {
        let mut rng = Rng::with_seed(seed);
        let bed = Bed::new().await;
        let ids: std::collections::BTreeSet<String> = (0..60).map(|_| drawn::id(&mut rng, 200)).collect();
        let entries: Value = ids.iter().map(|id| (id.clone(), Value::Object(drawn::fields(&mut rng, true)))).collect();
        let calendars = json!({"cn-holidays": {"dates": ["2030-01-01"]}, "eu": {"dates": ["2030-12-25"]}});
        let document = json!({"owner": "ops", "calendars": calendars, "entries": entries});
        apply(&bed, ScheduleFile::parse("x.json", &document.to_string()).unwrap()).await;
        comes_back(&bed).await;
    }
}

#[tokio::test]
async fn what_a_file_can_not_say_is_said_beside_it() {
    let bed = Bed::new().await;
    let text = "[entries.a]\ncron = '0 9 * * *'\nexec = ['true']\n[entries.b]\ncron = '0 9 29 2 *'\nexec = ['true']\n\
                [entries.c]\nevery = '1h'\nlist = 'out'\nmax_fires = 5\n";
    bed.service.apply_files(&request(), vec![owned("ops", text)], &FilesOptions::default()).await.unwrap();
    assert_eq!(bed.service.export(&Select::All).await.unwrap().warnings, Vec::<String>::new());
    let until = Said::from(Timestamp(bed.now().await.0 + 36_000_000));
    bed.service.pause_until(&request(), &[id("a")], &until).await.unwrap();
    bed.service.skip(&request(), &id("b"), None, false).await.unwrap();
    bed.shift(3_700_000);
    bed.claim(0).await;
    bed.shift(0);
    let exported = bed.service.export(&Select::All).await.unwrap();
    let begins = ["a: paused until", "b: fire times to come", "c: max_fires"];
    assert_eq!(exported.warnings.len(), 3, "{:?}", exported.warnings);
    assert!(exported.warnings.iter().zip(begins).all(|(one, begin)| one.starts_with(begin)), "{:?}", exported.warnings);
    let other = file("[entries.z]\nevery = '1h'\nexec = ['true']\n");
    apply(&bed, other).await;
    let warnings = bed.service.export(&Select::All).await.unwrap().warnings;
    assert!(warnings[3].contains("owners ops, somebody"), "{warnings:?}");
}
