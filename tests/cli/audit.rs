//! audit as a user types and reads it: two lines where all is well, and what does not fit.

use serde_json::json;

use crate::support::redis::RedisServer;
use crate::user_of;

#[test]
fn two_lines_where_all_is_well_and_exit_1_with_the_times_where_not() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    let empty = user.json(&["audit"]);
    assert_eq!((&empty["expected"], &empty["missing"], &empty["entries"]), (&json!(0), &json!(0), &json!([])));
    user.ok(&["add", "a", "--cron", "* * * * *", "--tz", "Europe/Berlin", "--from", "-30m", "--", "true"]);
    user.ok(&["add", "b", "--every", "1h", "--", "true"]);
    // What it owes ends missed.
    user.ok(&["pause", "a"]);
    let found = user.json(&["audit", "a"]);
    let missed = found["missed"].as_u64().unwrap();
    assert!((29..=31).contains(&missed), "{found}");
    assert_eq!((&found["expected"], &found["missed_by"]["paused"]), (&json!(missed), &json!(missed)));
    assert_eq!((&found["fired"], &found["skipped"], &found["extra"]), (&json!(0), &json!(0), &json!(0)));
    assert!(found["covered_from"].as_str().unwrap() > found["from"].as_str().unwrap());
    let text = user.ok(&["audit"]);
    let (first, second) = text.trim_end().split_once('\n').unwrap();
    assert!(first.starts_with("since ") && first.contains(" UTC (creation of the first entry), 2 entries, "), "{text}");
    let rest = format!("all of it covered: {missed} expected, 0 fired, 0 skipped, {missed} missed (paused)");
    assert!(first.ends_with(&rest), "{text}");
    assert_eq!(second, "0 missing, 0 extra");
    assert_eq!(user.ok(&["audit", "-o", "id"]), "", "the ids of those that are not clean, and no empty line");
    let text = user.ok(&["audit", "a", "--since", "-10m"]);
    assert!(text.starts_with("10 min, all of it covered: "), "{text}");
    assert_eq!(user.ok(&["audit", "-l", "team=x"]).lines().nth(1), Some("0 missing, 0 extra"));

    let ledger = server.keys().into_iter().find(|key| key.ends_with(":ledger")).unwrap();
    server.cli(&["HDEL", &ledger, "a"]);
    let lost = user.run(&["audit"]).expect_code(1);
    assert!(
        lost.stdout.contains(&format!("{missed} missing, 0 extra")) && lost.stdout.contains(" more"),
        "{}",
        lost.stdout
    );
    assert!(lost.stdout.lines().last().unwrap().starts_with("a "), "{}", lost.stdout);
    let lost = user.run(&["audit", "-o", "json"]).expect_code(1);
    let lost: serde_json::Value = serde_json::from_str(&lost.stdout).unwrap();
    let entry = &lost["entries"][0];
    assert_eq!((&entry["id"], &entry["reason"], &entry["missing"]), (&json!("a"), &json!("missing"), &json!(missed)));
    assert_eq!(entry["missing_times"].as_array().unwrap().len() as u64, missed);
    assert_eq!(user.run(&["audit", "-o", "id"]).expect_code(1).stdout, "a\n");
}

#[test]
fn what_can_t_be_audited_is_refused() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "nightly", "--cron", "0 2 * * *", "--", "true"]);
    assert_eq!(user.error(3, &["audit", "nightyl"])["hint"], "did you mean nightly?");
    for since in ["yesterday", "+1h", "7d"] {
        let error = user.error(2, &["audit", "--since", since]);
        assert_eq!(error["field"], "since", "{error}");
    }
    assert_eq!(user.error(2, &["audit", "nightly", "--all"])["field"], "--all");
}
