//! Calendars, excluded dates and rules by the command line, and a real node that keeps them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::cli::Upbeat;
use crate::support::clock;
use crate::support::node::node;
use crate::support::redis::RedisServer;
use crate::support::wait;
use crate::{refused, user_of};

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_calendar_is_written_listed_shown_followed_and_removed() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.file("cn.ics", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20270101\nDTEND;VALUE=DATE:20270103\nEND:VEVENT\nEND:VCALENDAR\n");
    let put = user.ok(&["calendars", "put", "cn", "-f", "cn.ics"]);
    assert_eq!(put, "added calendar cn · revision 1 · 2 dates\n");
    let added = user.ok(&[
        "add",
        "a",
        "--cron",
        "0 9 * * *",
        "--tz",
        "Asia/Shanghai",
        "--start",
        "2026-12-31",
        "--exclude",
        "cn",
        "--exclude",
        "2027-01-04",
        "--",
        "true",
    ]);
    assert!(
        added.contains(
            "at 09:00 every day, Asia/Shanghai, from 2026-12-31 00:00, not on 2027-01-04 and the dates of cn"
        ),
        "{added}"
    );
    let next = |user: &Upbeat| texts(&user.json(&["next", "a", "--from", "2026-12-30T00:00Z", "--count", "3"]));
    assert_eq!(next(&user), ["2026-12-31T01:00:00.000Z", "2027-01-03T01:00:00.000Z", "2027-01-05T01:00:00.000Z"]);
    assert!(user.ok(&["show", "a"]).contains("Sun 3 Jan"), "{}", user.ok(&["show", "a"]));
    user.file("cn.txt", "2027-01-03 # only this\n");
    let changed = user
        .run_with_input(&["calendars", "put", "cn", "-f", "-", "--reason", "moved"], "2027-01-03\n")
        .expect_code(0)
        .stdout;
    assert_eq!(changed, "changed calendar cn · revision 2 · 1 date · followed by a\n");
    assert_eq!(next(&user), ["2026-12-31T01:00:00.000Z", "2027-01-01T01:00:00.000Z", "2027-01-02T01:00:00.000Z"]);
    assert!(user.ok(&["calendars", "put", "cn", "-f", "cn.txt"]).starts_with("unchanged calendar cn · revision 2"));
    let listed = &user.json(&["calendars"])[0];
    assert_eq!(
        (&listed["calendar"], &listed["dates"], &listed["revision"], &listed["reason"]),
        (&"cn".into(), &1.into(), &2.into(), &"moved".into())
    );
    assert_eq!(texts(&listed["entries"]), ["a"]);
    assert_eq!(texts(&user.json(&["calendars", "show", "cn"])["all_dates"]), ["2027-01-03"]);
    assert!(user.ok(&["calendars"]).contains("cn") && user.ok(&["calendars", "show", "cn"]).ends_with("2027-01-03\n"));
    let (line, _) = refused(&user, 4, &["calendars", "rm", "cn"]);
    assert_eq!(line, "error: calendar: cn is excluded by a");
    user.ok(&["set", "a", "--unset", "exclude"]);
    assert_eq!(user.ok(&["calendars", "rm", "cn"]), "removed calendar cn · revision 2 was the last\n");
    refused(&user, 3, &["calendars", "rm", "cn"]);
    refused(&user, 3, &["calendars", "show", "cn"]);
    assert_eq!(user.json(&["calendars"]), serde_json::json!([]));
}

#[test]
fn what_is_wrong_with_a_calendar_or_a_rule_is_said_with_its_line_and_part() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.file("bad.txt", "2027-01-01\n1.2.2027\n");
    assert!(
        refused(&user, 2, &["calendars", "put", "cn", "-f", "bad.txt"])
            .0
            .starts_with("error: bad.txt:2: \"1.2.2027\" is no date")
    );
    assert!(refused(&user, 2, &["calendars", "put", "CN", "-f", "bad.txt"]).0.starts_with("error: calendar: "));
    assert_eq!(user.json(&["calendars"]), serde_json::json!([]));
    let rule = ["add", "a", "--rrule", "FREQ=MONTHLY;BYDAY=MON", "--", "true"];
    let error = user.error(2, &rule);
    assert_eq!((&error["field"], &error["hint"]), (&"rrule".into(), &"did you mean MO?".into()));
    let error = user.error(2, &["add", "a", "--every", "1h", "--exclude", "cn", "--", "true"]);
    assert_eq!((&error["field"], &error["value"]), (&"exclude".into(), &"cn".into()));
    user.file("cn.toml", "[calendars.cn]\nfile = \"gone.ics\"\n[entries.a]\nevery = '1h'\nshell = 'true'\n");
    assert!(refused(&user, 2, &["apply", "-f", "cn.toml"]).0.contains("gone.ics can't be read"));
    user.file("cn.toml", "[calendars.cn]\ndates = [\"x\"]\n");
    assert!(
        refused(&user, 2, &["apply", "-f", "cn.toml"])
            .0
            .starts_with("error: cn.toml:2: calendars.cn.dates: \"x\" is no date")
    );
    user.file("cn.toml", "[calendars.cn]\ndays = []\n");
    assert!(refused(&user, 2, &["apply", "-f", "cn.toml"]).0.contains("calendars.cn.days: unknown field"));
    assert_eq!(user.json(&["ls"]), serde_json::json!([]));
}

#[test]
fn the_next_times_of_a_rule_need_no_redis() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    let rule = "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=17;BYMINUTE=0;BYSECOND=0";
    let times =
        user.json(&["next", "--rrule", rule, "--tz", "Europe/Berlin", "--from", "2027-02-26T17:00", "--count", "2"]);
    assert_eq!(texts(&times), ["2027-03-26T16:00:00.000Z", "2027-04-30T15:00:00.000Z"]);
    assert_eq!(user.error(2, &["next", "--rrule", "FREQ=X"])["field"], "rrule");
    user.error(2, &["next", "--rrule", rule, "--cron", "@daily"]);
}

#[test]
fn a_file_names_the_file_of_its_calendar_from_where_it_stands() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    std::fs::create_dir(user.dir().join("jobs")).unwrap();
    user.file("jobs/cn.txt", "2027-01-01\n");
    user.file("jobs/all.toml", "[calendars.cn]\nfile = \"cn.txt\"\n[entries.a]\nrrule = 'FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0'\nshell = 'true'\nexclude = ['cn']\n");
    let done = user.ok(&["apply", "-f", "jobs/all.toml"]);
    assert!(done.contains("added calendar cn · revision 1 · 1 date") && done.contains("added a"), "{done}");
    let of_folder = user.run(&["apply", "-f", "jobs", "--take"]).expect_code(0).stdout;
    assert!(of_folder.contains("unchanged calendar cn"), "{of_folder}");
    let exported = user.ok(&["export"]);
    assert!(exported.contains("[calendars.cn]\ndates = [\"2027-01-01\"]\n"), "{exported}");
    user.file("again.toml", &exported);
    let again = user.json(&["apply", "-f", "again.toml"]);
    assert_eq!(
        (&again["changes"][0]["change"], &again["calendars"][0]["change"]),
        (&"unchanged".into(), &"unchanged".into())
    );
}

#[test]
fn a_real_node_fires_a_rule_and_passes_over_the_dates_of_a_calendar_that_changes() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    let today = chrono::DateTime::from_timestamp_millis(server.now_ms()).unwrap().date_naive();
    let day = |days: u64| (today + chrono::Days::new(days)).to_string();
    user.run_with_input(&["calendars", "put", "cal", "-f", "-"], &day(1)).expect_code(0);
    user.ok(&[
        "add",
        "a",
        "--rrule",
        "FREQ=HOURLY;INTERVAL=3",
        "--exclude",
        "cal",
        "--stream",
        "out",
        "--keep-runs",
        "500",
    ]);
    let _node = node("n", server.url()).start_live(&user);
    let created = user.json(&["show", "a"])["stats"]["created_at"].as_str().unwrap().to_owned();
    let list = || texts(&user.json(&["next", "a", "--from", &created, "--count", "40"]));
    let by_old = list();
    let fired = || -> BTreeSet<String> {
        let runs = user.json(&["runs", "a", "--limit", "0"]);
        let runs = runs.as_array().unwrap();
        assert!(runs.iter().all(|run| run["fires"] == 1), "{runs:?}");
        let times: BTreeSet<String> = runs.iter().map(|run| run["fire_at"].as_str().unwrap().to_owned()).collect();
        assert_eq!(times.len(), runs.len(), "each at most once");
        times
    };
    let pass = |hours: i64, wanted: &BTreeSet<String>| {
        clock::jump(&server, "test", 1, hours * 3_600_000 + 1_000);
        wait::wait_for(&format!("{} fire times", wanted.len()), wait::DEADLINE, || fired().len() >= wanted.len());
        assert_eq!(fired(), *wanted);
    };
    let mut wanted = BTreeSet::new();
    for (step, time) in by_old.iter().enumerate().take(6) {
        let at = chrono::DateTime::parse_from_rfc3339(time).unwrap();
        let hours = (at.to_utc() - chrono::DateTime::parse_from_rfc3339(&created).unwrap().to_utc()).num_hours() + 1;
        wanted.insert(time.clone());
        pass(hours, &wanted);
        assert!(!time.starts_with(&day(1)), "step {step}");
    }
    let last = by_old[5].clone();
    let gone = chrono::DateTime::parse_from_rfc3339(&last).unwrap().date_naive() + chrono::Days::new(1);
    user.run_with_input(&["calendars", "put", "cal", "-f", "-"], &gone.to_string()).expect_code(0);
    for time in list().into_iter().filter(|time| *time > last).take(12) {
        assert!(!time.starts_with(&gone.to_string()));
        let at = chrono::DateTime::parse_from_rfc3339(&time).unwrap();
        let hours = (at.to_utc() - chrono::DateTime::parse_from_rfc3339(&created).unwrap().to_utc()).num_hours() + 1;
        wanted.insert(time);
        pass(hours, &wanted);
    }
    assert_eq!(server.ask(&["XLEN", "out"]).int(), 18);
}
