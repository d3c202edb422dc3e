//! Pauses with an end, skips and backfills as a user types and reads them.

use serde_json::json;

use crate::support::cli::Upbeat;
use crate::support::redis::RedisServer;
use crate::user_of;

/// Message and way out of a refusal.
#[track_caller]
fn refused(user: &Upbeat, code: i32, args: &[&str]) -> (String, String) {
    let error = user.error(code, args);
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    (format!("{}: {}", text("field"), text("message")), text("hint"))
}

#[test]
fn a_pause_until_is_shown_where_an_entry_is() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--cron", "0 * * * *", "--tz", "Europe/Berlin", "--", "true"]);
    user.ok(&["add", "b", "--cron", "0 * * * *", "--", "true"]);
    let (line, _) = refused(&user, 2, &["pause", "a", "--until", "-1h"]);
    assert!(line.starts_with("until: ") && line.contains("has passed"), "{line}");
    let (line, hint) = refused(&user, 2, &["pause", "a", "b", "--until", "03:00"]);
    assert!(line.contains("03:00 is a local time") && hint.contains("with an offset"), "{line} {hint}");
    assert_eq!(user.json(&["ls"])[0]["status"], "active");

    let paused = user.run(&["pause", "a", "--until", "03:00", "--reason", "INC-1"]).expect_code(0);
    assert!(paused.stderr.contains("until") && paused.stderr.contains("03:00:00 CE"), "{}", paused.stderr);
    let shown = user.json(&["show", "a"]);
    let until = shown["paused_by"]["until"].as_str().unwrap();
    assert_eq!((&shown["status"], &shown["paused_until"]), (&json!("paused"), &json!(until)));
    assert_eq!(shown["next_fire_at"], until, "03:00 is a fire time");
    assert_eq!(user.json(&["next", "a"])[0], until);
    assert!(user.ok(&["show", "a"]).contains(", until "), "{}", user.ok(&["show", "a"]));
    assert!(user.ok(&["ls"]).contains("paused until "), "{}", user.ok(&["ls"]));
    let again = user.json(&["pause", "a", "--until", until]);
    assert_eq!(again["changes"][0]["change"], "unchanged");
    assert_eq!(user.json(&["pause", "a", "b", "--until", "+2h"])["changes"].as_array().unwrap().len(), 2);
    let resumed = user.run(&["resume", "b", "--from", "-1h"]).expect_code(2);
    assert!(
        resumed.stderr.contains("error: from: ") && resumed.stderr.contains("upbeat backfill b"),
        "{}",
        resumed.stderr
    );
    user.ok(&["resume", "a", "b"]);
}

#[test]
fn a_skipped_fire_time_is_left_out_of_what_comes() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--cron", "0 9 * * *", "--", "true"]);
    let coming = user.json(&["next", "a"]);
    let first = coming[0].as_str().unwrap();
    let skipped = user.json(&["skip", "a", "--reason", "moving"]);
    assert_eq!(skipped["changes"][0]["fields"], json!(["skips"]));
    assert_eq!(skipped["changes"][0]["next_after"], coming[1]);
    assert_eq!(user.json(&["next", "a", "--count", "4"]).as_array().unwrap()[..], coming.as_array().unwrap()[1..]);
    assert_eq!(user.json(&["show", "a"])["next_fire_at"], coming[1]);
    assert!(user.json(&["show", "a"])["skips"][0]["message"].as_str().unwrap().ends_with(": moving"));
    assert!(user.ok(&["show", "a"]).contains("skips"), "{}", user.ok(&["show", "a"]));
    let (line, hint) = refused(&user, 2, &["skip", "a", "--at", "+2m"]);
    assert!(line.contains("is no fire time of a") && hint.contains("the nearest: "), "{line} {hint}");
    user.ok(&["skip", "a", "--at", first, "--undo"]);
    assert_eq!(user.json(&["next", "a"]), coming);
    assert_eq!(user.error(3, &["skip", "b"])["field"], "entry");
}

#[test]
fn a_backfill_says_what_is_possible_and_help_shows_examples() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1m", "--catch-up", "none", "--from", "-10m", "--", "true"]);
    let (line, _) = refused(&user, 2, &["backfill", "a", "--from", "-5m", "--to", "now"]);
    assert!(line.starts_with("from: no fire time of a is on record yet"), "{line}");
    user.ok(&["set", "a", "--note", "settles what is overdue"]);
    let (line, hint) = refused(&user, 2, &["backfill", "a", "--from", "-5m", "--to", "+1h"]);
    assert!(line.starts_with("to: ") && hint.contains(" is possible"), "{line} {hint}");
    let listed = user.json(&["backfill", "a", "--from", "-5m", "--to", "-2m", "--dry-run"]);
    assert_eq!((&listed["runs"], listed["fire_times"].as_array().unwrap().len()), (&json!(3), 3));
    let done = user.ok(&["backfill", "a", "--from", "-5m", "--to", "-2m"]);
    assert!(done.starts_with("to run after all: 3 fire times of a\n"), "{done}");
    let waiting = user.json(&["runs", "a", "--trigger", "backfill"]);
    assert_eq!(waiting.as_array().unwrap().len(), 3);
    assert!(waiting.as_array().unwrap().iter().all(|run| run["state"] == "waiting" && run["reason"] == "pace"));
    for command in ["pause", "resume", "skip", "backfill", "trigger"] {
        assert!(user.ok(&[command, "--help"]).contains(&format!("upbeat {command} report")), "{command}");
    }
}
