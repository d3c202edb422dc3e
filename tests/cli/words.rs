//! What is said about numbers and signs, owners, empty files, and a standard output that fails.

use std::process::Stdio;

use serde_json::json;

use crate::support::cli::Upbeat;
use crate::support::redis::RedisServer;
use crate::{refused, user_of};

#[test]
fn a_number_that_is_none_or_negative_is_refused_under_its_name() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    for (args, line) in [
        (&["runs", "--limit", "x"][..], "limit: \"x\" is not a whole number from 0"),
        (&["next", "--cron", "@daily", "--count", "-1"], "count: \"-1\" is not a whole number from 0 to 10000"),
        (&["node", "--concurrency", "x"], "concurrency: \"x\" is not a whole number from 1 to 10000"),
        (&["dev", "--nodes", "-1"], "nodes: \"-1\" is not a whole number from 0 to 64"),
    ] {
        assert_eq!(refused(&user, 2, args).0, format!("error: {line}"));
    }
    let variable = Upbeat::at("redis://127.0.0.1:1").env("UPBEAT_CONCURRENCY", "x");
    assert!(refused(&variable, 2, &["node"]).0.starts_with("error: concurrency: "));
    for (flag, value, field) in [("--every", "-5s", "every"), ("--keep-runs", "-1", "keep_runs")] {
        let rest = if field == "every" { ["--overlap", "skip"] } else { ["--every", "1h"] };
        let args = ["add", "a", flag, value, rest[0], rest[1], "--", "true"];
        assert_eq!(user.error(2, &args)["field"], field);
    }
    for (args, line) in [
        (&["next", "--cron", "-1 0 * * *"][..], "cron: minute: -1 is negative or lacks its beginning"),
        (&["next", "--cron", "--tz", "UTC"], "cron: a value is needed, \"--tz\" is a flag"),
        (&["add", "a", "--cron", "-5 * * * *", "--", "true"], "cron: minute: -5 is negative or lacks its beginning"),
    ] {
        assert_eq!(refused(&user, 2, args).0, format!("error: {line}"));
    }
    let help = user.ok(&["set", "--help"]);
    assert!(!help.contains("--anchor") && !help.contains("--paused") && help.contains("--every"), "{help}");
}

#[test]
fn slips_of_flags_and_fields_show_the_way_out() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    let daily = ["add", "a", "--cron", "@daily"];
    for (more, line, hint) in [
        (&["-l", "tier=gold"][..], "-l: unknown flag", "write --labels KEY=VALUE; -l selects entries that have one"),
        (&["--reason", "a", "--reason", "b"], "reason: is given twice", "give it once"),
        (&["--dst", "run_before"], "dst: \"run_before\" is not KEY=VALUE", "as in gap=run_before"),
        (&["--dst", "last"], "dst: \"last\" is not KEY=VALUE", "as in fold=last"),
        (
            &["--exclude", "2026-12-25,2026-12-26"],
            "exclude: 2026-12-25,2026-12-26 is no date of the years 1970 to 2100",
            "give each date by itself: --exclude 2026-12-25 --exclude 2026-12-26",
        ),
        (
            &["--start", "2026-12-01", "--end", "2026-11-01"],
            "end: \"2026-11-01\" is not after start, \"2026-12-01\"",
            "",
        ),
    ] {
        let args = [&daily[..], more, &["--", "true"]].concat();
        let told = refused(&user, 2, &args);
        let hint = if hint.is_empty() { String::new() } else { format!("  {hint}") };
        assert_eq!(told, (format!("error: {line}"), hint), "{more:?}");
    }
    let never = ["--cron", "0 0 29 2 *", "--start", "2026-12-01", "--end", "2027-12-01", "--", "true"];
    assert_eq!(user.error(2, &[&["add", "a"][..], &never].concat())["value"], "2027-12-01");
}

#[test]
fn a_trigger_without_effect_says_what_would_be() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1h", "--", "true"]);
    user.ok(&["add", "m", "--every", "1h", "--publish", "c"]);
    let dry = |id: &str| user.ok(&["trigger", id, "--dry-run"]);
    assert!(dry("a").starts_with("a run of a would be queued"), "{}", dry("a"));
    assert_eq!(dry("m"), "a message of m would be delivered\n");
    assert_eq!(user.json(&["runs"]), serde_json::json!([]));
    user.ok(&["trigger", "a"]);
    assert!(dry("a").starts_with("a run of a would be skipped"), "{}", dry("a"));
    assert_eq!(user.json(&["runs"]).as_array().unwrap().len(), 1);
    refused(&user, 3, &["trigger", "nobody", "--dry-run"]);
}

#[test]
fn owners_and_empty_files_are_told() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.file("one.toml", "[entries.a]\nevery = '1h'\nshell = 'true'\n");
    user.file("two.toml", "[entries.b]\nevery = '1h'\nshell = 'true'\n");
    user.file("empty.toml", "");
    for file in ["one.toml", "two.toml"] {
        user.ok(&["apply", "-f", file]);
    }
    let told = user.run(&["export"]).expect_code(0).stderr;
    assert_eq!(told, "warning: entries of owners one, two: owner is left out; --owner O exports one\n");
    assert_eq!(user.run(&["export", "--owner", "one"]).expect_code(0).stderr, "");
    let told = user.run(&["apply", "-f", "empty.toml"]).expect_code(0);
    assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("", "the file has no entries: nothing to do\n"));
    user.file("other.toml", "[entries.a]\nevery = '2h'\nshell = 'true'\n");
    let told = user.run(&["apply", "-f", "other.toml"]).expect_code(4).stderr;
    assert!(told.contains("belongs to owner one; --take takes it over"), "{told}");
}

#[test]
fn retry_and_delivery_are_given_by_flags_changed_key_by_key_and_exported() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    let flags = ["--retry", "max_attempts=5,delay=1m", "--retry", "not_on=exit:2,http:400-499"];
    user.ok(&[&["add", "a", "--every", "1h", "--shell", "true"][..], &flags].concat());
    let retry = || user.json(&["show", "a"])["entry"]["retry"].clone();
    assert_eq!(retry(), json!({"max_attempts": 5, "delay": "1m", "not_on": "exit:2,http:400-499"}));
    user.ok(&["set", "a", "--retry", "within=2h,max_attempts=2", "--unset", "retry.not_on"]);
    assert_eq!(retry(), json!({"max_attempts": 2, "delay": "1m", "within": "2h"}));
    user.file("jobs.toml", &user.ok(&["export"]));
    assert_eq!(user.json(&["apply", "-f", "jobs.toml"])["changes"][0]["change"], "unchanged");
    let both = user.error(2, &["set", "a", "--delivery", "at_most_once"]);
    assert_eq!(both["field"], "delivery");
    assert!(both["message"].as_str().unwrap().contains("retry says 2"), "{both}");
    user.ok(&["set", "a", "--delivery", "at_most_once", "--unset", "retry"]);
    let short = user.error(2, &["set", "a", "--retry", "3"]);
    assert!(short["hint"].as_str().unwrap().contains("--retry max_attempts=3"), "{short}");
    assert_eq!(user.error(2, &["set", "a", "--unset", "retry.retries"])["field"], "retry.retries");
}

#[test]
fn a_standard_output_that_fails_is_no_bug_of_upbeat() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let user = Upbeat::at("redis://127.0.0.1:1");
    let mut command = user.command();
    let ended = command.args(["next", "--cron", "@daily"]).stdout(Stdio::from(full)).output().unwrap();
    assert_eq!(ended.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&ended.stderr).starts_with("error: standard output: "));
}

#[test]
fn where_no_run_is_on_record_logs_claims_no_more_than_that() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1h", "--keep-runs", "0", "--", "true"]);
    let error = user.error(3, &["logs", "a"]);
    assert_eq!((&error["message"], &error["hint"]), (&json!("no run of a is on record"), &json!("upbeat why a")));
}
