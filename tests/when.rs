//! When entries fire: days of clock changes through real nodes, and the words of the command line that decide it.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::cli::{Upbeat, program};
use support::clock;
use support::node::node;
use support::redis::RedisServer;
use support::setting;
use support::wait::{DEADLINE, wait_for};
use upbeat::domain::timestamp::Timestamp;

/// A node and its Redis, whose scripts believe that it is another day.
struct Day {
    redis: RedisServer,
    user: Upbeat,
}

const STEP_MS: i64 = 15 * 60_000;

fn at(text: &str) -> Timestamp {
    Timestamp::parse("at", text, None).unwrap()
}

impl Day {
    fn at(start: &str) -> Self {
        let redis = RedisServer::fresh();
        let user = Upbeat::at(redis.url());
        let day = Self { redis, user };
        day.turn_to(at(start));
        day
    }

    /// The clock that scripts read goes on from this instant.
    fn turn_to(&self, target: Timestamp) {
        clock::jump(&self.redis, "test", 1, target.0 - self.redis.now_ms());
    }

    /// An entry that leaves its fire times in a list.
    fn add(&self, name: &str, tz: &str, cron: &str, dst: Option<&str>) {
        let list = format!("out:{name}");
        let mut words = vec!["add", name, "--cron", cron, "--tz", tz, "--list", &list];
        words.extend(dst.into_iter().flat_map(|dst| ["--dst", dst]));
        self.user.ok(&words);
    }

    /// Lets the day pass in steps of a quarter of an hour and at `also`; at each, whatever is due fires.
    fn pass(&self, start: &str, end: &str, also: &[&str]) {
        let (start, end) = (at(start), at(end));
        let mut steps: Vec<Timestamp> =
            (start.0 / STEP_MS + 1..=end.0 / STEP_MS).map(|n| Timestamp(n * STEP_MS)).collect();
        steps.extend(also.iter().map(|step| at(step)));
        steps.sort();
        for step in steps {
            self.turn_to(Timestamp(step.0 + 5));
            let now = (step.0 + 5).to_string();
            let count = |zset: &str| self.redis.cli(&["ZCOUNT", &format!("upbeat:{{test:0}}:{zset}"), "-inf", &now]);
            wait_for(&format!("what is due at {} has fired", step.to_rfc3339()), DEADLINE, || {
                count("due") == "0" && count("parked") == "0"
            });
        }
    }

    /// `HH:MM` in UTC of all that an entry has fired.
    fn fired(&self, name: &str) -> Vec<String> {
        let time = |message: &Value| message["fire_at"].as_str().unwrap()[11..16].to_owned();
        self.redis.messages(&format!("out:{name}")).iter().map(time).collect()
    }

    /// Plays the day through one node whose own clock, zone and language are others, and compares.
    fn play(self, tz: &str, start: &str, end: &str, also: &[&str], entries: &[(&str, &str, Option<&str>, &[&str])]) {
        for (name, cron, dst, _) in entries {
            self.add(name, tz, cron, *dst);
        }
        let odd = node("odd", self.redis.url()).env("TZ", "Pacific/Apia").env("LC_ALL", "tr_TR.UTF-8");
        let odd = if setting("UPBEAT_FAKETIME_LIB").is_some() { odd.with_clock("-40d") } else { odd };
        let odd = odd.start_live(&self.user);
        self.pass(start, end, also);
        for (name, cron, dst, wanted) in entries {
            assert_eq!(self.fired(name), *wanted, "{name}: {cron} {dst:?}\n{}", odd.log());
        }
        let other = self.user.json(&["runs", "--state", "missed,skipped,failed", "--limit", "0"]);
        assert_eq!(other, json!([]), "nothing else became of any fire time");
    }
}

#[test]
fn new_york_puts_its_clocks_forward() {
    let (start, end) = ("2027-03-14T05:40Z", "2027-03-14T08:31Z");
    let entries: &[(&str, &str, Option<&str>, &[&str])] = &[
        ("after", "30 2 * * *", None, &["07:00"]),
        ("skip", "30 2 * * *", Some("gap=skip"), &[]),
        ("before", "30 2 * * *", Some("gap=run_before,fold=last"), &["06:59"]),
        ("many", "0,30 2,3 * * *", None, &["07:00", "07:30"]),
        ("fixed-hourly", "15 0-23 * * *", None, &["06:15", "07:00", "07:15", "08:15"]),
        ("hourly", "0 * * * *", None, &["06:00", "07:00", "08:00"]),
        ("by-clock", "*/30 2 * * *", None, &[]),
    ];
    Day::at(start).play("America/New_York", start, end, &["2027-03-14T06:59Z"], entries);
}

#[test]
fn new_york_puts_its_clocks_back() {
    let (start, end) = ("2027-11-07T04:35Z", "2027-11-07T08:10Z");
    let entries: &[(&str, &str, Option<&str>, &[&str])] = &[
        ("first", "30 1 * * *", None, &["05:30"]),
        ("last", "30 1 * * *", Some("fold=last"), &["06:30"]),
        ("both", "15,45 1 * * *", Some("fold=both"), &["05:15", "05:45", "06:15", "06:45"]),
        ("fixed-hourly", "0 0-23 * * *", None, &["05:00", "07:00", "08:00"]),
        ("hourly", "30 * * * *", None, &["05:30", "06:30", "07:30"]),
        ("by-clock", "*/30 1 * * *", None, &["05:00", "05:30", "06:00", "06:30"]),
    ];
    Day::at(start).play("America/New_York", start, end, &[], entries);
}

#[test]
fn lord_howe_puts_its_clocks_forward_by_half_an_hour() {
    let (start, end) = ("2027-10-02T14:50Z", "2027-10-02T17:10Z");
    let entries: &[(&str, &str, Option<&str>, &[&str])] = &[
        ("after", "15 2 * * *", None, &["15:30"]),
        ("before", "15 2 * * *", Some("gap=run_before"), &["15:29"]),
        ("skip", "15 2 * * *", Some("gap=skip"), &[]),
        ("hourly", "0 * * * *", None, &["16:00", "17:00"]),
        ("half-hourly", "*/30 * * * *", None, &["15:00", "15:30", "16:00", "16:30", "17:00"]),
    ];
    Day::at(start).play("Australia/Lord_Howe", start, end, &["2027-10-02T15:29Z"], entries);
}

#[test]
fn lord_howe_puts_its_clocks_back_by_half_an_hour() {
    let (start, end) = ("2027-04-03T14:05Z", "2027-04-03T17:10Z");
    let entries: &[(&str, &str, Option<&str>, &[&str])] = &[
        ("first", "45 1 * * *", None, &["14:45"]),
        ("last", "45 1 * * *", Some("fold=last"), &["15:15"]),
        ("both", "45 1 * * *", Some("fold=both"), &["14:45", "15:15"]),
        ("hourly", "0 * * * *", None, &["15:30", "16:30"]),
        ("half-hourly", "*/30 * * * *", None, &["14:30", "15:00", "15:30", "16:00", "16:30", "17:00"]),
    ];
    Day::at(start).play("Australia/Lord_Howe", start, end, &[], entries);
}

#[test]
fn the_clock_zone_and_language_of_a_machine_change_no_instant() {
    const ASKED: [&str; 14] = [
        "-o",
        "json",
        "next",
        "--cron",
        "30 1,2 * * *",
        "--cron",
        "*/40 * * * sun",
        "--tz",
        "America/New_York",
        "--from",
        "2027-03-13T12:00:00Z",
        "--count",
        "50",
        "--quiet",
    ];
    let home = support::short_dir();
    let told = |settings: &[(&str, &str)]| {
        let mut command = program();
        command
            .current_dir(home.path())
            .env("HOME", home.path())
            .env_remove("TZ")
            .envs(settings.iter().copied())
            .args(ASKED);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{settings:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let usual = told(&[]);
    assert_eq!(serde_json::from_str::<Vec<String>>(&usual).unwrap().len(), 50);
    for settings in [
        &[("TZ", "Asia/Kathmandu")][..],
        &[("TZ", "America/New_York"), ("LANG", "de_DE.UTF-8")],
        &[("TZ", ":/nowhere"), ("LC_ALL", "ar_EG.UTF-8")],
        &[("TZ", "XXX-3"), ("LC_ALL", "tr_TR"), ("LANGUAGE", "th")],
    ] {
        assert_eq!(told(settings), usual, "{settings:?}");
    }
    let Some(library) = setting("UPBEAT_FAKETIME_LIB") else {
        assert_ne!(std::env::consts::OS, "linux", "no libfaketime: run scripts/setup --test");
        return;
    };
    for clock in ["-20y", "+3600s", "@2027-03-14 02:30:00"] {
        let settings = [("LD_PRELOAD", library.as_str()), ("FAKETIME", clock), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
        assert_eq!(told(&settings), usual, "{clock}");
    }
}

#[test]
fn rules_for_clock_changes_are_given_as_pairs_or_json_and_merge() {
    let redis = RedisServer::fresh();
    let user = Upbeat::at(redis.url());
    let dst = |name: &str| user.json(&["show", name])["schedule"]["dst"].clone();
    let new_york = ["--cron", "30 2 * * *", "--tz", "America/New_York", "--shell", "true"];
    let add = |name: &str, more: &[&str]| user.ok(&[&["add", name], &new_york[..], more].concat());
    add("pairs", &["--dst", "gap=skip,fold=both"]);
    assert_eq!(dst("pairs"), json!({"gap": "skip", "fold": "both"}));
    add("repeated", &["--dst", "gap=skip", "--dst", "fold=last"]);
    assert_eq!(dst("repeated"), json!({"gap": "skip", "fold": "last"}));
    let told = add("json", &["--dst", r#"{"gap": "run_before"}"#]);
    assert_eq!(dst("json"), json!({"gap": "run_before"}));
    assert!(told.contains("the run of 02:30 comes at 01:59"), "{told}");
    let told = user.ok(&["set", "json", "--dst", "fold=both"]);
    assert_eq!(dst("json"), json!({"gap": "run_before", "fold": "both"}), "what was not named stays");
    assert!(told.contains("comes at 01:59"), "{told}");
    user.ok(&["set", "json", "--unset", "dst"]);
    assert_eq!(dst("json"), Value::Null);
    let told = user.ok(&["next", "json"]);
    assert!(told.starts_with("at 02:30 every day, America/New_York\n"), "{told}");
    assert!(told.contains("clocks in America/New_York go forward on") && told.contains("comes at 03:00"), "{told}");
    assert!(user.json(&["next", "json"]).as_array().unwrap().iter().all(Value::is_string));
    user.file(
        "dst.toml",
        "[entries.file]\ncron = '30 2 * * *'\ntz = 'America/New_York'\ndst = { fold = 'last' }\nshell = 'true'\n",
    );
    user.ok(&["apply", "-f", "dst.toml"]);
    assert_eq!(dst("file"), json!({"fold": "last"}));
}

#[test]
fn rules_for_clock_changes_are_refused_where_nothing_keeps_them() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    for (schedule, dst, field, message, hint) in [
        ("--cron=30 2 * * *", "gap=later", "dst.gap", "\"later\"", "run_after"),
        ("--cron=30 2 * * *", "fold=frist", "dst.fold", "frist", "first"),
        ("--cron=30 2 * * *", "gpa=skip", "dst.gpa", "unknown field", "gap"),
        ("--cron=30 2 * * *", "skip", "dst", "KEY=VALUE", ""),
        ("--cron=30 2 * * *", "[1]", "dst", "", ""),
        ("--cron=*/30 2 * * *", "gap=skip", "dst", "real elapsed time", "leave dst out"),
        ("--every=1h", "fold=both", "dst", "fixed times of cron", "leave dst out"),
        ("--at=2030-01-01T00:00Z", "fold=both", "dst", "fixed times of cron", "leave dst out"),
    ] {
        let error = user.error(2, &["add", "a", schedule, "--dst", dst, "--shell", "true"]);
        assert_eq!(error["field"], field, "{schedule} {dst}: {error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{schedule} {dst}: {error}");
        assert!(hint.is_empty() || error.to_string().contains(hint), "{schedule} {dst}: {error}");
    }
}

#[test]
fn a_hashed_time_is_the_same_for_one_id_everywhere_and_reads_as_it_fires() {
    let redis = RedisServer::fresh();
    let user = Upbeat::at(redis.url());
    let other = Upbeat::at(redis.url()).namespace("elsewhere");
    let times = |user: &Upbeat, id: &str| user.json(&["next", id, "--count", "3"]);
    for user in [&user, &other] {
        let told = user.ok(&["add", "report", "--cron", "H H * * *", "--shell", "true"]);
        assert!(told.contains("at 05:08 every day, UTC"), "{told}");
    }
    assert_eq!(times(&user, "report"), times(&other, "report"));
    assert!(times(&user, "report")[0].as_str().unwrap().ends_with("T05:08:00.000Z"));
    let shown = user.json(&["show", "report"]);
    assert_eq!(shown["schedule"]["cron"], "H H * * *", "the definition stays as it was written");
    assert_eq!(shown["next_fire_at"], times(&user, "report")[0]);
    for command in [&["show", "report"][..], &["ls"], &["next", "report"]] {
        assert!(user.ok(command).contains("at 05:08 every day"), "{command:?}");
    }
    user.file("jobs.toml", "[entries.report-b]\ncron = 'H 3 * * *'\nshell = 'true'\n");
    user.ok(&["apply", "-f", "jobs.toml"]);
    user.ok(&["set", "report", "--cron", "H 3 * * *"]);
    assert!(user.ok(&["show", "report"]).contains("at 03:08 every day"));
    assert_ne!(times(&user, "report"), times(&user, "report-b"));
    let export = user.ok(&["export"]);
    assert!(export.contains("\"H 3 * * *\""), "{export}");
    let error = user.error(2, &["next", "--cron", "H 3 * * *"]);
    assert!(error["message"].as_str().unwrap().contains("H needs an entry id"), "{error}");
    for cron in ["H/15 * * * *", "H(0-7) * * * *"] {
        let error = user.error(2, &["add", "no", "--cron", cron, "--shell", "true"]);
        assert!(error["message"].as_str().unwrap().contains("H stands alone") && error["hint"].is_string(), "{error}");
    }
}
