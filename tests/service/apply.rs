//! apply and export: files against what stands.

use std::cell::Cell;
use std::collections::BTreeMap;

use upbeat::domain::file::ScheduleFile;
use upbeat::service::{ApplyOptions, Select};

use crate::bed::{Bed, dry, file, id, named, owned_by, request, words};
use crate::support::proxy::Proxy;
use crate::support::wait::{DEADLINE, until};

const FILE: &str = r#"
owner = "growth"
[defaults]
labels = { team = "growth" }
[entries.report]
cron = "0 9 * * mon-fri"
tz = "Asia/Shanghai"
exec = ["send-report"]
queue = "reports"
[entries.sync]
every = "5m"
http = "https://example.org/sync"
[entries.slow]
every = "1d"
start = "2026-01-01T00:00:00Z"
list = "out"
[entries.off]
every = "90s"
shell = "true"
paused = true
[entries.past]
at = "2020-01-01T00:00:00Z"
exec = ["true"]
"#;

/// All definitions as they are written.
fn definitions(bed: &Bed) -> Vec<String> {
    let all = bed.store().shards().map(|shard| bed.redis.cli(&["HVALS", &bed.key(shard, "entries")]));
    let mut all: Vec<String> = all.flat_map(|lines| lines.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    all.sort();
    all
}

#[tokio::test]
async fn applying_twice_changes_nothing() {
    for shards in [1, 3] {
        let bed = Bed::with_shards(shards).await;
        let first = bed.service.apply(&request(), file(FILE), owned_by("other")).await.unwrap();
        assert_eq!(words(&first), ["added"; 5]);
        assert!(first.warnings.iter().any(|warning| warning.starts_with("past: at 2020")), "{:?}", first.warnings);
        let waits = first.warnings.iter().filter(|warning| warning.contains("no live node may run"));
        assert_eq!(waits.count(), 4, "{:?}", first.warnings);
        assert_eq!(bed.definition("sync").await.owner, "growth");
        bed.shift(45_000);
        let before = definitions(&bed);
        let again = bed.service.apply(&request(), file(FILE), owned_by("other")).await.unwrap();
        assert_eq!(words(&again), ["unchanged"; 5]);
        assert_eq!(again.warnings, Vec::<String>::new());
        assert_eq!(definitions(&bed), before);
        bed.is_conserved();
    }
}

#[tokio::test]
async fn steps_are_looked_up_together_and_each_is_done_once() {
    const STEP: usize = 64;
    let bed = Bed::new().await;
    let count = 6 * STEP;
    let text: String = (0..count).map(|n| format!("[entries.e{n}]\nevery = \"1h\"\nexec = [\"true\"]\n")).collect();
    bed.add("e5", serde_json::json!({ "every": "1m", "exec": ["false"] })).await;
    bed.remove("e5").await;
    let asked = bed.redis.calls_of("evalsha_ro");
    let first = bed.service.apply(&named("r"), file(&text), owned_by("o")).await.unwrap();
    assert_eq!(words(&first), vec!["added"; count]);
    // The time: once to begin with, and for two times three steps.
    let asked = bed.redis.calls_of("evalsha_ro") - asked;
    assert!(asked < 5, "{asked} looks at the clock");
    let revisions = async |name: &str| bed.definition(name).await.revision;
    assert_eq!((revisions("e5").await, revisions("e6").await), (3, 1));
    let births: BTreeMap<u64, String> =
        definitions(&bed).into_iter().filter_map(|text| Some((text.split(',').nth(1)?.parse().ok()?, text))).collect();
    assert_eq!(births.len(), count);

    // As if the second step of the three had not been reached: only what it lacks is made up for.
    bed.remove("e70").await;
    assert_eq!(bed.redis.cli(&["HDEL", &bed.key(0, "requests"), "r/0/1"]).trim(), "1");
    let before = definitions(&bed);
    let again = bed.service.apply(&named("r"), file(&text), owned_by("o")).await.unwrap();
    let expected = |n: usize| if n / STEP == 1 && n != 70 { "unchanged" } else { "added" };
    assert_eq!(words(&again), (0..count).map(expected).collect::<Vec<_>>());
    assert_eq!(revisions("e70").await, 3);
    let after = definitions(&bed);
    assert_eq!(after.len(), count);
    assert!(before.iter().all(|text| after.contains(text)));
    bed.is_conserved();
}

#[tokio::test]
async fn one_request_that_comes_twice_at_once_gets_one_answer() {
    let bed = Bed::new().await;
    let proxy = Proxy::before(&bed.redis);
    let far = bed.through(&proxy).await;
    // So slow that it can be held between two of its looks.
    proxy.delay(DEADLINE / 1_000);
    for held_at in 1..=6 {
        let request = named(&format!("r{held_at}"));
        let text: String =
            (0..70).map(|n| format!("[entries.e{held_at}-{n}]\nevery = \"1h\"\nlist = \"out\"\n")).collect();
        let (seen, has_ended) = (proxy.seen("HMGET"), Cell::new(false));
        let other = async {
            let told = far.apply(&request, file(&text), owned_by("o")).await.unwrap();
            has_ended.set(true);
            told
        };
        // The other one is held behind one of its looks until the same request has been carried out.
        let one = async {
            until("a look", DEADLINE, async || proxy.seen("HMGET") >= seen + held_at || has_ended.get()).await;
            proxy.blackhole();
            let told = bed.service.apply(&request, file(&text), owned_by("o")).await.unwrap();
            proxy.heal();
            told
        };
        let (other, one) = tokio::join!(other, one);
        assert_eq!((words(&one), words(&other)), (vec!["added"; 70], vec!["added"; 70]), "held at look {held_at}");
    }
    bed.is_conserved();
}

#[tokio::test]
async fn one_apply_has_one_anchor() {
    let bed = Bed::with_shards(3).await;
    let text: String = (0..30).map(|n| format!("[entries.e{n}]\nevery = \"1h\"\nexec = [\"true\"]\n")).collect();
    bed.service.apply(&request(), file(&text), owned_by("o")).await.unwrap();
    let mut anchors = BTreeMap::new();
    for n in 0..30 {
        let entry = bed.definition(&format!("e{n}")).await.entry;
        *anchors.entry(entry["anchor"].to_string()).or_insert(0) += 1;
    }
    assert_eq!(anchors.len(), 1, "{anchors:?}");
}

#[tokio::test]
async fn apply_neither_pauses_nor_resumes_what_exists() {
    let bed = Bed::new().await;
    bed.service.apply(&request(), file(FILE), owned_by("x")).await.unwrap();
    assert_eq!(bed.count("ZCARD", 0, "paused"), 1);
    bed.resume("off").await;
    bed.pause("sync").await;
    let again = bed.service.apply(&request(), file(&FILE.replace("5m", "6m")), owned_by("x")).await.unwrap();
    assert_eq!(words(&again), ["unchanged", "changed", "unchanged", "unchanged", "unchanged"]);
    assert!(bed.definition("off").await.paused.is_none());
    assert!(bed.definition("sync").await.paused.is_some());
    bed.is_conserved();
}

#[tokio::test]
async fn entries_of_another_owner_are_refused_and_the_rest_is_written() {
    let bed = Bed::new().await;
    bed.service.apply(&request(), file(FILE), owned_by("x")).await.unwrap();
    let theirs =
        "[entries.sync]\nevery = \"9m\"\nexec = [\"true\"]\n[entries.new]\nevery = \"1h\"\nexec = [\"true\"]\n";
    let refused = bed.service.apply(&request(), file(theirs), owned_by("ops")).await.unwrap();
    assert_eq!(words(&refused), ["refused", "added"]);
    assert!(refused.changes[0].message.as_ref().unwrap().contains("growth"));
    assert_eq!(bed.definition("sync").await.owner, "growth");
    let take = ApplyOptions { is_take: true, ..owned_by("ops") };
    let taken = bed.service.apply(&request(), file(theirs), take).await.unwrap();
    assert_eq!(words(&taken), ["changed", "unchanged"]);
    assert_eq!(bed.definition("sync").await.owner, "ops");
}

#[tokio::test]
async fn a_file_for_another_namespace_is_refused_whole() {
    let bed = Bed::new().await;
    let other = format!("namespace = \"prod\"\n{FILE}");
    let error = bed.service.apply(&request(), file(&other), owned_by("x")).await.unwrap_err();
    assert_eq!((error.exit_code(), error.problem().field.as_deref()), (2, Some("namespace")));
    let good = format!("namespace = \"test\"\n{FILE}");
    let planned = bed.service.apply(&dry(), file(&good), owned_by("x")).await.unwrap();
    assert_eq!(words(&planned), ["added"; 5]);
    assert_eq!(bed.count("HLEN", 0, "entries"), 0);
}

#[tokio::test]
async fn what_is_exported_can_be_applied_again() {
    let bed = Bed::with_shards(3).await;
    bed.service.apply(&request(), file(FILE), owned_by("x")).await.unwrap();
    bed.pause("sync").await;
    let ids = bed.service.select(&Select::All).await.unwrap();
    let exported = bed.service.export(&Select::All).await.unwrap().file;
    assert_eq!(exported.owner.as_ref().map(|owner| owner.as_str()), Some("growth"));
    let toml = ScheduleFile::parse("x.toml", &exported.to_toml()).unwrap();
    let json = ScheduleFile::parse("x.json", &exported.to_json().to_string()).unwrap();
    assert_eq!((&toml, &json), (&exported, &exported));
    for copy in [toml, json] {
        let same = bed.service.apply(&request(), copy, owned_by("x")).await.unwrap();
        assert_eq!(words(&same), ["unchanged"; 5]);
    }
    let anchor = bed.definition("sync").await.entry["anchor"].clone();
    bed.service.remove(&request(), &ids).await.unwrap();
    bed.shift(77_000);
    let restored = bed.service.apply(&request(), exported, owned_by("x")).await.unwrap();
    assert_eq!(words(&restored), ["added"; 5]);
    assert_eq!(bed.definition("sync").await.entry["anchor"], anchor, "a restored entry keeps its phase");
    assert!(bed.definition("sync").await.paused.is_some());
    assert_eq!(bed.service.export(&Select::Ids(vec![id("nope")])).await.unwrap_err().exit_code(), 3);
    bed.is_conserved();
}

#[tokio::test]
async fn all_that_people_do_conserves_entries_and_runs() {
    let bed = Bed::with_shards(3).await;
    let text = |every: &str| {
        (0..40)
            .map(|n| format!("[entries.e{n}]\nevery = \"{every}\"\nexec = [\"true\"]\n[entries.l{n}]\ncron = \"*/7 * * * * *\"\nlist = \"out\"\n"))
            .collect::<String>()
    };
    bed.service.apply(&request(), file(&text("1s")), owned_by("o")).await.unwrap();
    let all = bed.service.select(&Select::All).await.unwrap();
    for round in 1..6_i64 {
        bed.shift(round * 400_000);
        for shard in bed.store().shards() {
            bed.claim(shard).await;
        }
        let some: Vec<_> = all.iter().skip(round as usize).step_by(3).cloned().collect();
        bed.service.pause(&request(), &some).await.unwrap();
        bed.service.apply(&request(), file(&text(&format!("{round}s"))), owned_by("o")).await.unwrap();
        bed.shift(round * 400_000 + 100_000);
        bed.service.resume(&request(), &some[..some.len() / 2]).await.unwrap();
        let gone: Vec<_> = all.iter().skip(round as usize).step_by(11).cloned().collect();
        bed.service.remove(&request(), &gone).await.unwrap();
        bed.service.apply(&request(), file(&text("3s")), owned_by("o")).await.unwrap();
        bed.is_conserved();
    }
}
