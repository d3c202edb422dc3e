//! A run that lasts far too long is stuck, and shown so wherever its entry or the run is.

use serde_json::json;
use upbeat::service::{ListFilter, RunFilter, RunRef};

use crate::bed::id;
use crate::story::Story;

async fn is_stuck(story: &Story) -> bool {
    let runs = story.bed.service.runs(&RunFilter { entry: Some(id("nightly")), ..RunFilter::default() }).await.unwrap();
    let listed = runs.runs.iter().any(|run| run.stuck);
    let running = runs.runs.iter().find(|run| run.state == "running").expect("one runs").run_id.clone();
    let shown = story.bed.service.run(&RunRef::Id(running)).await.unwrap().stuck;
    let warned =
        |warnings: &[String]| warnings.iter().any(|warning| warning.starts_with("stuck: a run has been running"));
    let only_warnings = ListFilter { only_warnings: true, ..ListFilter::default() };
    let entries = story.bed.service.list(&only_warnings).await.unwrap();
    let in_list = entries.iter().any(|entry| warned(&entry.warnings));
    let detail = story.bed.service.show(&id("nightly")).await.unwrap();
    assert_eq!([shown, in_list, warned(&detail.view.warnings)], [listed; 3], "everywhere alike");
    listed
}

#[tokio::test]
async fn a_run_is_stuck_after_three_times_its_p95() {
    let story = Story::at("2026-11-18T12:00").await;
    story.nightly(json!({})).await;
    story.succeed("2026-11-19T02:00", 10).await;
    story.start("2026-11-20T02:00").await;
    story.go("2026-11-20T02:29");
    assert!(!is_stuck(&story).await);
    story.go("2026-11-20T02:31");
    assert!(is_stuck(&story).await);
}

#[tokio::test]
async fn a_run_is_stuck_after_five_minutes_and_three_fire_times() {
    let story = Story::at("2026-11-18T12:00").await;
    story.nightly(json!({"cron": "*/2 * * * *"})).await;
    story.start("2026-11-18T12:02").await;
    story.go("2026-11-18T12:06:30");
    assert!(!is_stuck(&story).await, "two fire times, and not five minutes");
    story.go("2026-11-18T12:07:30");
    assert!(!is_stuck(&story).await, "five minutes, but two fire times");
    story.go("2026-11-18T12:08:01");
    assert!(is_stuck(&story).await);
}

#[tokio::test]
async fn a_usual_run_a_queued_one_and_one_that_ended_are_not_stuck() {
    let story = Story::at("2026-11-18T12:00").await;
    story.nightly(json!({})).await;
    story.claim("2026-11-19T02:00").await;
    story.go("2026-11-19T20:00");
    let runs = story.bed.service.runs(&RunFilter::default()).await.unwrap().runs;
    assert!(runs.iter().all(|run| run.state == "queued" && !run.stuck), "{runs:?}");
    let run = story.fetch().await;
    story.go("2026-11-20T01:00");
    assert!(!is_stuck(&story).await, "nothing is known of how long it takes, and no fire time has passed");
    story.end(crate::support::hand::ended(&run, upbeat::store::EndedAs::Succeeded)).await;
    let runs = story.bed.service.runs(&RunFilter::default()).await.unwrap().runs;
    assert!(runs.iter().all(|run| !run.stuck), "{runs:?}");
}

#[tokio::test]
async fn a_last_run_that_failed_is_a_warning_until_one_succeeds() {
    let story = Story::at("2026-11-18T12:00").await;
    story.nightly(json!({})).await;
    story.fail("2026-11-19T02:00", 12).await;
    let warnings = async || story.bed.service.list(&ListFilter::default()).await.unwrap()[0].warnings.clone();
    assert!(warnings().await.contains(&"failing: its last run failed, exit 12; upbeat why nightly".to_owned()));
    story.succeed("2026-11-20T02:00", 1).await;
    assert!(!warnings().await.iter().any(|warning| warning.starts_with("failing")));
}

#[tokio::test]
async fn the_statistics_of_an_entry_tell_how_long_its_runs_take() {
    let story = Story::at("2026-11-16T12:00").await;
    story.nightly(json!({})).await;
    let stats = async || story.bed.service.show(&id("nightly")).await.unwrap().stats;
    let none = stats().await;
    assert!(none["median_ms"].is_null() && none["p95_ms"].is_null() && none["last_success_at"].is_null(), "{none}");
    for (night, minutes) in [("17", 1), ("18", 9), ("19", 2)] {
        story.succeed(&format!("2026-11-{night}T02:00"), minutes).await;
    }
    story.fail("2026-11-20T02:00", 1).await;
    let stats = stats().await;
    let minutes = |name: &str| stats[name].as_i64().unwrap() / 60_000;
    assert_eq!((minutes("median_ms"), minutes("p95_ms")), (2, 9), "{stats}");
    assert_eq!((&stats["succeeded"], &stats["failed"]), (&json!(3), &json!(1)));
    assert_eq!(stats["last_success_at"], "2026-11-19T01:00:00.000Z");
}
