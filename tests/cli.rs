//! The command line as a user meets it: what is refused and how, the shapes that programs read, the words of other programs.

#![allow(clippy::unwrap_used)]

mod support;

#[path = "cli/acl.rs"]
mod acl;
#[path = "cli/asked.rs"]
mod asked;
#[path = "cli/audit.rs"]
mod audit;
#[path = "cli/calendars.rs"]
mod calendars;
#[path = "cli/completion.rs"]
mod completion;
#[path = "cli/config.rs"]
mod config;
#[path = "cli/dead.rs"]
mod dead;
#[path = "cli/design.rs"]
mod design;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/events.rs"]
mod events;
#[path = "cli/forecast.rs"]
mod forecast;
#[path = "cli/formats.rs"]
mod formats;
#[path = "cli/habits.rs"]
mod habits;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/imports.rs"]
mod imports;
#[path = "cli/interrupted.rs"]
mod interrupted;
#[path = "cli/keys.rs"]
mod keys_of_others;
#[path = "cli/lint.rs"]
mod lint;
#[path = "cli/looks.rs"]
mod looks;
#[path = "cli/man.rs"]
mod man;
#[path = "cli/namespaces.rs"]
mod namespaces;
#[path = "cli/plan.rs"]
mod plan;
#[path = "cli/queues.rs"]
mod queues;
#[path = "cli/repeats.rs"]
mod repeats;
#[path = "cli/revisions.rs"]
mod revisions;
#[path = "cli/snapshots.rs"]
mod snapshots;
#[path = "cli/transcripts.rs"]
mod transcripts;
#[path = "cli/why.rs"]
mod why;
#[path = "cli/words.rs"]
mod words;

use serde_json::{Value, json};
use support::cli::Upbeat;
use support::proxy::{Fate, Proxy};
use support::redis::{Options, RedisServer};
use support::setting;
use support::wait::DEADLINE;

/// The line of an error and the way out below it.
#[track_caller]
fn refused(user: &Upbeat, code: i32, args: &[&str]) -> (String, String) {
    let outcome = user.run(args).expect_code(code);
    assert_eq!(outcome.stdout, "", "{args:?}");
    let mut lines = outcome.stderr.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    assert!(first.starts_with("error: "), "{args:?}: {first}");
    let rest: Vec<&str> = lines.collect();
    assert!(rest.iter().all(|line| line.starts_with("  ")), "{args:?}: {rest:?}");
    (first, rest.join("\n"))
}

/// A user of a server of his own.
fn user_of(server: &RedisServer) -> Upbeat {
    Upbeat::at(server.url())
}

fn keys_of_entries(server: &RedisServer) -> Vec<String> {
    server.keys().into_iter().filter(|key| key.ends_with(":entries")).collect()
}

#[test]
fn what_is_wrong_is_refused_by_name_and_nothing_is_stored() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    let long = "x".repeat(300);
    let payload = format!("\"{}\"", "p".repeat(65 * 1024));
    let every = ["--every", "5s", "--shell", "true"];
    let with_id = |id: &'static str| [&["add", id][..], &every].concat();
    let long_id = [&["add", &long][..], &every].concat();
    let too_much = [&["add", "a", "--payload", &payload][..], &every].concat();
    let bad: Vec<(Vec<&str>, &str)> = vec![
        (vec!["add", "a", "--cron", "0 9 * * *", "--tz", "Berlin", "--shell", "true"], "error: tz: "),
        (vec!["add", "a", "--cron", "61 * * * *", "--shell", "true"], "error: cron: minute: "),
        (vec!["add", "a", "--every", "0s", "--shell", "true"], "error: every: 0s is shorter than the shortest, 100ms"),
        (vec!["add", "a", "--every", "5", "--shell", "true"], "error: every: 5 has no unit"),
        (vec!["add", "a", "--shell", "true"], "error: no schedule: "),
        (vec!["add", "a", "--every", "5s"], "error: no action: "),
        (
            vec!["add", "a", "--every", "5s", "--concurrency-key", "db", "--shell", "true"],
            "error: concurrency_key: not in this",
        ),
        (with_id(""), "error: id: an id is needed"),
        (with_id("a b"), "error: id: \"a b\" may not contain a blank"),
        (with_id("a\nb"), "error: id: \"a\\nb\" may not contain a newline"),
        (long_id, "error: id: 300 bytes are too many"),
        (too_much, "error: payload: "),
    ];
    for (args, message) in bad {
        let (line, _) = refused(&user, 2, &args);
        assert!(line.starts_with(message), "{line}");
    }
    assert_eq!(keys_of_entries(&server), Vec::<String>::new());
}

#[test]
fn an_expression_without_quotes_is_shown_with_them() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.file("a.txt", "");
    user.file("b.txt", "");
    let star = ["a.txt", "b.txt"];
    let mut args = vec!["add", "disk", "--cron", "*/2"];
    (0..4).for_each(|_| args.extend(star));
    args.extend(["--", "df", "-h", "."]);
    let (line, hint) = refused(&user, 2, &args);
    assert_eq!(line, "error: cron: \"*/2\" has 1 field, 5 or 6 are needed");
    assert!(hint.ends_with("\n  upbeat add disk --cron '*/2 * * * *' -- df -h ."), "{hint}");
    let (_, hint) = refused(&user, 2, &["next", "--cron", "0", "9", "*", "*", "mon-fri"]);
    assert!(hint.contains("--cron '0 9 * * mon-fri'"), "{hint}");
}

#[test]
fn a_zone_by_its_city_is_answered_with_its_name() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    let (_, hint) = refused(&user, 2, &["next", "--cron", "@daily", "--tz", "Berlin"]);
    assert!(hint.contains("Europe/Berlin"), "{hint}");
}

#[test]
fn a_redis_that_is_not_there_is_said_in_one_line() {
    for url in ["redis://127.0.0.1:1", "unix:///nonexistent/r.sock"] {
        let user = Upbeat::at(url);
        let (line, hint) = refused(&user, 5, &["add", "a", "--every", "5s", "--shell", "true"]);
        assert!(line.starts_with(&format!("error: redis: {url}: can't be reached")), "{line}");
        assert!(!line.contains("Os {") && !hint.is_empty(), "{line}");
    }
}

#[test]
fn a_wrong_password_is_said_without_it() {
    let server = RedisServer::start(Options { tcp: true, requirepass: Some("right".to_owned()), ..Options::default() });
    let user = Upbeat::at(format!("redis://:wrong@127.0.0.1:{}", server.tcp_port()));
    let (line, _) = refused(&user, 5, &["ls"]);
    assert!(line.contains("login refused") && !line.contains("wrong@"), "{line}");
    let without = Upbeat::at(server.tcp_url());
    assert!(refused(&without, 5, &["ls"]).0.contains("login refused"));
    without.file("password", "right\n");
    let file = without.dir().join("password");
    let with = Upbeat::at(server.tcp_url()).env("UPBEAT_REDIS_PASSWORD_FILE", &file.display().to_string());
    assert_eq!(with.json(&["ls"]), json!([]));
}

#[test]
fn a_read_only_replica_is_refused() {
    let master = RedisServer::start(Options { tcp: true, ..Options::default() });
    let replica_of = ["--replicaof", "127.0.0.1", &master.tcp_port().to_string()].map(str::to_owned).to_vec();
    let replica = RedisServer::start(Options { args: replica_of, ..Options::default() });
    let (line, hint) = refused(&user_of(&replica), 5, &["ls"]);
    assert!(line.contains("read-only replica") && hint.contains("master"), "{line}");
}

#[test]
fn a_redis_that_is_too_old_is_refused() {
    let Some(program) = setting("UPBEAT_OLD_REDIS_SERVER") else {
        eprintln!("skipped: UPBEAT_OLD_REDIS_SERVER names no Redis 6.2");
        return;
    };
    let server = RedisServer::start(Options { program: Some(program.into()), ..Options::default() });
    let (line, _) = refused(&user_of(&server), 5, &["ls"]);
    assert!(line.contains("is too old, 7.0 or newer is needed"), "{line}");
    assert_eq!(server.keys(), Vec::<String>::new());
}

#[test]
fn under_json_an_error_is_an_object_and_standard_output_is_empty() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    let error = user.error(2, &["add", "a", "--cron", "61 * * * *", "--shell", "true"]);
    assert_eq!((&error["code"], &error["field"]), (&json!("invalid"), &json!("cron")));
    assert_eq!(error["value"], "61 * * * *");
    for key in ["message", "hint"] {
        assert!(error.get(key).is_some(), "{key}");
    }
    assert_eq!(user.error(2, &["ls", "--nonsense"])["code"], "invalid");
    assert_eq!(user.error(2, &["nonsense"])["field"], "command");
    assert_eq!(user.error(2, &["show"])["code"], "invalid");
    assert_eq!(user.error(3, &["show", "nobody"])["code"], "not_found");
    assert_eq!(Upbeat::at("redis://127.0.0.1:1").error(5, &["ls"])["code"], "unavailable");
}

#[test]
fn next_needs_no_redis_and_lists_instants_strictly_after() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    let from = "2026-11-20T09:00:00Z";
    let next = user.json(&["next", "--cron", "0 9 * * *", "--from", from, "--count", "2"]);
    assert_eq!(next, json!(["2026-11-21T09:00:00.000Z", "2026-11-22T09:00:00.000Z"]));
    let union = user.json(&["next", "--cron", "0 9 * * *", "--cron", "0 10 * * *", "--from", from, "--count", "1"]);
    assert_eq!(union, json!(["2026-11-20T10:00:00.000Z"]));
    let zone = ["next", "--cron", "30 2 * * *", "--tz", "Europe/Berlin", "--from", "2027-03-28", "--count", "1"];
    assert_eq!(user.json(&zone), json!(["2027-03-28T01:00:00.000Z"]));
    assert_eq!(user.json(&["next", "--cron", "@daily"]).as_array().unwrap().len(), 5);
    assert_eq!(user.json(&["next", "--cron", "@daily", "--count", "0"]), json!([]));
    let table = user.ok(&["next", "--cron", "30 2 * * *", "--tz", "Europe/Berlin", "--from", "2027-03-28T00:00"]);
    assert!(table.starts_with("at 02:30 every day, Europe/Berlin\n28 Mar 2027 03:00:00 CEST (in "), "{table}");
    let change = "clocks in Europe/Berlin go forward on 2027-03-28 02:00 -> 03:00: the run of 02:30 comes at 03:00\n";
    assert!(table.ends_with(change), "{table}");
    let ids = user.ok(&["-o", "id", "next", "--cron", "0 9 * * *", "--from", from, "--count", "1"]);
    assert_eq!(ids, "2026-11-21T09:00:00.000Z\n");
    refused(&user, 2, &["next", "--cron", "H 9 * * *"]);
    refused(&user, 2, &["next"]);
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().map(String::as_str).collect()
}

#[track_caller]
fn assert_keys(value: &Value, wanted: &str) {
    for key in wanted.split_whitespace() {
        assert!(keys(value).contains(&key), "{key} is not in {value}");
    }
}

#[test]
fn what_programs_read_has_the_shape_of_the_contract() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    for command in ["ls", "runs", "nodes", "queues", "events"] {
        assert_eq!(user.json(&[command]), json!([]), "{command}");
    }
    let added = user.json(&["add", "a.b", "--every", "1h", "--labels", "team=x", "--queue", "q", "--", "true", "1"]);
    assert_keys(&added, "changes warnings");
    assert_keys(&added["changes"][0], "id change fields next_before next_after revision");
    assert_eq!((&added["changes"][0]["change"], &added["changes"][0]["revision"]), (&json!("added"), &json!(1)));
    assert!(added["warnings"][0].as_str().unwrap().contains("no live node may run exec in queue q"));

    let listed = &user.json(&["ls"])[0];
    assert_keys(listed, "id status schedule action queue labels owner next_fire_at last_run revision warnings");
    assert_eq!((&listed["status"], &listed["owner"]), (&json!("active"), &json!("cli")));
    assert_eq!(listed["action"], json!({"exec": ["true", "1"]}));
    assert_eq!(listed["schedule"]["every"], "1h");
    assert_eq!(listed["labels"], json!({"team": "x"}));
    assert_eq!(listed["last_run"], Value::Null);
    let shown = user.json(&["show", "a.b"]);
    assert_keys(&shown, "id entry paused_by stats next_fire_at");
    assert_eq!(shown["entry"]["anchor"], shown["schedule"]["anchor"]);
    let next = user.json(&["next", "a.b", "--count", "3"]);
    assert_eq!((next.as_array().unwrap().len(), &next[0]), (3, &listed["next_fire_at"]));

    let run = user.json(&["trigger", "a.b", "--reason", "test"]);
    let fields = "run_id entry_id trigger fire_at due_at enqueued_at started_at finished_at duration_ms state reason message \
                  attempt attempts lost node exit_code last_fire_at fires";
    assert_keys(&run, fields);
    let listed = user.json(&["runs", "a.b"]);
    assert_keys(&listed[0], fields);
    assert_eq!((&listed[0]["state"], &listed[0]["reason"]), (&json!("queued"), &json!("no_node")));
    assert!(listed[0]["message"].as_str().unwrap().contains("--queues q --allow exec"), "{listed}");
    assert_eq!((&listed[0]["fires"], &listed[0]["trigger"]), (&json!(1), &json!("manual")));
    let id = run["run_id"].as_str().unwrap();
    assert_eq!(user.json(&["runs", "show", id])["run_id"], run["run_id"]);
    let at = format!("a.b@{}", run["fire_at"].as_str().unwrap());
    assert_eq!(user.json(&["run", "show", &at])["run_id"], run["run_id"]);
    assert_eq!(user.ok(&["runs", "-o", "id"]), format!("{id}\n"));
    assert_eq!(user.ok(&["runs", "-o", "jsonl", "--state", "running"]), "");

    let queue = &user.json(&["queues"])[0];
    assert_eq!((&queue["queue"], &queue["waiting"], &queue["nodes"]), (&json!("q"), &json!(1), &json!([])));
    let cancelled = user.json(&["cancel", "a.b"]);
    assert_eq!((&cancelled["state"], &cancelled["reason"]), (&json!("cancelled"), &json!("by_user")));
    assert_eq!(user.error(4, &["cancel", id])["code"], "conflict");
    assert_eq!(user.json(&["ls"])[0]["last_run"]["state"], "cancelled");
}

#[test]
fn waiting_ends_with_6_when_time_is_up() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1h", "--", "true"]);
    assert_eq!(user.error(6, &["trigger", "a", "--wait=300ms"])["code"], "timed_out");
    let outcome = user.run(&["trigger", "a", "--overlap", "skip", "--wait"]).expect_code(1);
    assert!(outcome.stdout.starts_with("skipped"), "{}", outcome.stdout);
}

#[test]
fn the_words_of_other_programs_are_understood_or_answered_with_ours() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1h", "--", "true"]);
    for args in [
        &["list"][..],
        &["describe", "a"],
        &["get", "a"],
        &["suspend", "a"],
        &["unpause", "a"],
        &["disable", "a"],
        &["enable", "a"],
        &["run"],
        &["delete", "a"],
    ] {
        user.ok(args);
    }
    for (word, meant) in [
        ("status", "upbeat ls"),
        ("start", "upbeat node"),
        ("run-now", "upbeat trigger"),
        ("kill", "upbeat cancel"),
        ("edit", "upbeat set"),
        ("trigge", "did you mean trigger?"),
    ] {
        let (line, hint) = refused(&user, 2, &[word, "a"]);
        assert!(line == format!("error: command: {word:?} is no command") && hint.contains(meant), "{line}\n{hint}");
    }
    for (flag, meant) in [
        ("--timezone", "--tz"),
        ("--command", "behind --"),
        ("--retries", "--retry"),
        ("--interval", "--every"),
        ("--schedule", "--cron"),
    ] {
        let (line, hint) = refused(&user, 2, &["add", "b", flag, "x"]);
        assert!(line == format!("error: {flag}: unknown flag") && hint.contains(meant), "{line}\n{hint}");
    }
}

#[test]
fn what_comes_later_is_refused_by_name() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    for args in [&["top"][..], &["alerts"], &["nodes", "drain", "x"], &["node", "--listen", "127.0.0.1:1"]] {
        let (line, _) = refused(&user, 2, args);
        assert!(line.ends_with(": not in this version yet"), "{args:?}: {line}");
    }
}

#[test]
fn changes_need_a_selection_and_several_at_once_a_yes() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    for id in ["a", "b"] {
        user.ok(&["add", id, "--every", "1h", "--labels", "team=x", "--", "true"]);
    }
    refused(&user, 2, &["pause"]);
    refused(&user, 2, &["pause", "a", "--all"]);
    let (line, hint) = refused(&user, 2, &["pause", "-l", "team=x"]);
    assert!(line == "error: -y: this would pause 2 entries" && hint.contains("--dry-run"), "{line}");
    assert_eq!(user.json(&["pause", "--all", "--dry-run"])["changes"].as_array().unwrap().len(), 2);
    assert_eq!(user.json(&["ls"])[0]["status"], "active");
    user.ok(&["pause", "-l", "team=x", "-y", "--reason", "INC-1", "--actor", "ana"]);
    let paused = &user.json(&["show", "b"])["paused_by"];
    assert_eq!((&paused["actor"], &paused["reason"]), (&json!("ana"), &json!("INC-1")));
    assert_eq!(user.json(&["ls"])[0]["next_fire_at"], Value::Null);
    user.ok(&["rm", "a", "b"]);
    assert_eq!(user.json(&["rm", "-l", "team=x"])["changes"], json!([]));
    refused(&user, 3, &["rm", "a"]);
}

#[test]
fn nothing_is_cut_off_silently() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1h", "--overlap", "allow", "--", "true"]);
    for _ in 0..3 {
        user.ok(&["trigger", "a"]);
    }
    let outcome = user.run(&["runs", "--limit", "2"]).expect_code(0);
    assert_eq!(outcome.stderr, "2 of 3 shown, --limit 0 for all\n");
    assert_eq!(user.json(&["runs", "--limit", "0"]).as_array().unwrap().len(), 3);
    let fires = user.json(&["runs", "a", "--since", "-1h"]);
    let instants: Vec<&str> = fires.as_array().unwrap().iter().map(|run| run["fire_at"].as_str().unwrap()).collect();
    assert!(instants.is_sorted_by(|a, b| a >= b), "{instants:?}");
}

#[test]
fn a_file_is_applied_exported_and_refused_with_its_lines() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.file(
        "team.toml",
        "[entries.a]\nevery = '1h'\nshell = 'true'\n\n[entries.b]\ncron = '@daily'\nshell = 'true'\n",
    );
    let applied = user.json(&["apply", "-f", "team.toml"]);
    assert_eq!(applied["changes"].as_array().unwrap().len(), 2);
    assert_eq!(user.json(&["ls"])[0]["owner"], "team");
    assert_eq!(user.json(&["apply", "-f", "team.toml"])["changes"][1]["change"], "unchanged");
    let exported = user.ok(&["export"]);
    assert!(exported.starts_with("owner = \"team\"\n") && exported.contains("[entries.b]"), "{exported}");
    user.file(
        "bad.toml",
        "[entries.c]\nevery = '1h'\nshell = 'true'\n[entries.d]\ncron = '61 * * * *'\nshell = 'true'\nx = 1\n",
    );
    let outcome = user.run(&["apply", "-f", "bad.toml"]).expect_code(2);
    assert!(outcome.stderr.contains("error: bad.toml:5: entries.d.cron: "), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("error: bad.toml:7: entries.d.x: unknown field"), "{}", outcome.stderr);
    assert_eq!(user.json(&["ls"]).as_array().unwrap().len(), 2);
    let error = user.error(2, &["apply", "-f", "bad.toml"]);
    assert_eq!((&error["field"], &error["value"]), (&json!("entries.d.x"), &json!("1")));
    assert_eq!((&error["file"], &error["line"]), (&json!("bad.toml"), &json!(7)));
    refused(&user, 2, &["apply", "-f", "absent.toml"]);
}

#[test]
fn a_crontab_becomes_a_file_and_says_what_it_could_not_carry_over() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    let crontab = "*/5 * * * * backup --all\n@reboot boot\n";
    let outcome = user.run_with_input(&["import", "crontab", "-", "--tz", "Europe/Berlin"], crontab).expect_code(0);
    assert!(outcome.stdout.contains("cron = \"*/5 * * * *\"\ntz = \"Europe/Berlin\""), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("line 2 refused: @reboot"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("2 read, 1 written, 1 not carried over"), "{}", outcome.stderr);
}

#[test]
fn the_namespace_and_the_server_come_from_flag_variable_and_file_in_this_order() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1h", "--", "true"]);
    assert_eq!(user.ok(&["ls", "-o", "id", "-n", "other"]), "");
    assert_eq!(user.ok(&["-n", "test", "-o", "id", "ls"]), "a\n");
    std::fs::create_dir(user.dir().join("upbeat")).unwrap();
    user.file("upbeat/config.toml", &format!("redis = \"{}\"\nnamespace = \"test\"\n", server.url()));
    let mut command = user.command();
    command.env_remove("UPBEAT_REDIS").env_remove("UPBEAT_NAMESPACE").args(["ls", "-o", "id"]);
    assert_eq!(String::from_utf8_lossy(&command.output().unwrap().stdout), "a\n");
    assert_eq!(user.error(2, &["--redis", "http://h", "ls"])["field"], "redis");
    assert_eq!(user.error(2, &["-n", "Prod", "ls"])["field"], "namespace");
}

#[test]
fn a_clock_that_agrees_is_left_alone() {
    let server = RedisServer::fresh();
    let said = user_of(&server).ok(&["doctor", "--accept-clock"]);
    assert_eq!(said, "shard 0: its clock agrees with Redis', nothing to skip back\n");
}

#[test]
fn a_change_whose_answer_was_lost_is_asked_again_and_done_once() {
    let server = RedisServer::fresh();
    let proxy = Proxy::before(&server);
    proxy.meet("add", 1, Fate::CutReply);
    let user = Upbeat::at(proxy.url());
    let outcome = user.run(&["add", "a", "--every", "1h", "--", "true"]).expect_code(0);
    assert!(outcome.stdout.starts_with("added a · revision 1\n"), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("asking again with the same request id"), "{}", outcome.stderr);
    assert_eq!(user_of(&server).json(&["show", "a"])["revision"], 1);
}

#[test]
fn an_outcome_that_stays_unknown_is_said_with_the_way_to_learn_it() {
    let server = RedisServer::fresh();
    let proxy = Proxy::before(&server);
    proxy.meet("add", 1, Fate::CutReply);
    let user = Upbeat::at(proxy.url());
    let add = ["add", "a", "--every", "1h", "--request-id", "r-1", "--", "true"];
    let outcome = std::thread::scope(|scope| {
        let asked = scope.spawn(|| user.run(&add));
        proxy.wait_hits("add", 1, DEADLINE);
        proxy.refuse();
        asked.join().unwrap().expect_code(5)
    });
    let last: Vec<&str> = outcome.stderr.lines().rev().take(2).collect();
    assert!(last[1].contains("the outcome is unknown") && last[0].contains("--request-id r-1"), "{last:?}");
    assert!(user_of(&server).ok(&add).starts_with("added a"), "the same request gets the same answer");
}
