//! What people see, as it stands: pages of help, tables, answers, complaints.
//!
//! `INSTA_UPDATE=always cargo test --test cli snapshots` accepts what has changed; look at the difference before you commit it.

use std::fmt::Write;

use crate::habits::paths;
use crate::support::cli::Upbeat;
use crate::support::node::node;
use crate::support::redis::RedisServer;
use crate::support::wait::{DEADLINE, wait_for};
use crate::user_of;

/// What differs from run to run and from machine to machine.
const FILTERS: &[(&str, &str)] = &[
    (r"\u{1b}\[[0-9;]*m", ""),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[run id]"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?", "[instant]"),
    (r"clocks go (back|forward) on [^\n]*", "[next change of the clocks]"),
    (r"clocks in (\S+) go (back|forward) on [^\n]*", "[next change of the clocks in $1]"),
    (
        r"((Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?\d{1,2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)( \d{4})?( |,)",
        "[date]$5",
    ),
    (r"\b\d\d:\d\d(:\d\d(\.\d+)?)?( (UTC|CET|CEST))?", "[time]"),
    (r"\[date\] \[time\]", "[time]"),
    (r"(in )?\b\d+(\.\d+)? (ms|min|s|h|d)\b( \d+ (min|s|h))?( ago)?", "[span]"),
    (r"(unix://\S+|redis://\S+)", "[url]"),
    (r" {2,}", "  "),
    // The relative time stands behind the first, or behind all where they are of one day: the hour decides.
    (r"\[time\]( \[span\]| \(\[span\]\))?(, \[time\]){2}( \(\[span\]\))?", "[times]"),
    // Where a run stood when it was asked for: how fast the node was decides.
    (r"! run \[run id\] is (queued|running on web-1)\n", ""),
];

/// Each command with all that it prints, and how it ended.
fn shown(user: &Upbeat, lines: &[&[&str]]) -> String {
    let mut text = String::new();
    for words in lines {
        let told = user.run(words);
        let code = told.code.filter(|code| *code != 0).map(|code| format!("  # exit {code}")).unwrap_or_default();
        writeln!(text, "$ upbeat {}{code}", words.join(" ")).unwrap();
        text.push_str(&told.stdout);
        for line in told.stderr.lines() {
            writeln!(text, "! {line}").unwrap();
        }
    }
    text
}

#[track_caller]
fn same(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    FILTERS.iter().for_each(|(pattern, word)| settings.add_filter(pattern, *word));
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn the_help_of_every_command() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    same("help", &user.ok(&["help"]));
    let paths = paths(&user);
    for name in paths.iter().filter(|path| !path.contains(' ')) {
        let below = paths.iter().filter(|path| path.split(' ').next() == Some(name));
        let pages: Vec<String> = below
            .map(|path| {
                let words: Vec<&str> = path.split(' ').chain(["--help"]).collect();
                let page = user.ok(&words);
                // The common flags stand on the first page.
                let own = page.split("\nCommon:\n").next().unwrap_or_default();
                let examples = page.split_once("\nExamples:\n").map_or("", |(_, text)| text);
                format!("$ upbeat {path} --help\n{own}\nExamples:\n{examples}")
            })
            .collect();
        same(&format!("help_{name}"), &pages.join("\n"));
    }
}

#[test]
fn what_stands_in_the_tables_and_answers() {
    let server = RedisServer::fresh();
    let user = user_of(&server).env("UPBEAT_ACTOR", "ana@laptop").env("TZ", "UTC");
    let at_berlin = ["--cron", "30 2 * * *", "--tz", "Europe/Berlin"];
    same(
        "add_and_set",
        &shown(
            &user,
            &[
                &[&["add", "dump"][..], &at_berlin, &["--queue", "batch", "--", "./dump.sh", "--all"]].concat(),
                &["add", "tick", "--every", "7d", "--list", "app:ticks"],
                &["add", "tick", "--every", "7d", "--list", "app:ticks"],
                &["add", "tick", "--every", "1h", "--list", "app:ticks", "--if-absent"],
                &["set", "tick", "--every", "2h", "--labels", "tier=gold", "--reason", "slower"],
                &["set", "dump", "--timeout", "1h", "--dry-run"],
                &["pause", "tick", "--reason", "INC-1"],
                &["show", "tick"],
                &["resume", "tick"],
                &["skip", "dump", "--reason", "move"],
                &["show", "dump"],
                &["next", "dump", "--count", "2"],
                &["rm", "nobody"],
                &["rm", "--all"],
            ],
        ),
    );
    let _node = node("web-1", server.url()).start_live(&user);
    user.ok(&["add", "good", "--every", "1h", "--overlap", "allow", "--", "echo", "hello"]);
    user.ok(&["add", "bad", "--every", "1h", "--shell", "echo no disk >&2; exit 12"]);
    let told = shown(
        &user,
        &[&["trigger", "good", "--wait=60s"], &["trigger", "bad", "--wait=60s"], &["trigger", "dump", "--dry-run"]],
    );
    same("trigger", &told);
    wait_for("the node is idle", DEADLINE, || user.json(&["nodes"])[0]["running"] == 0);
    let own = user.json(&["nodes"])[0].clone();
    let nodes = user.ok(&["nodes"]);
    let nodes = ["pid", "host", "version", "tzdata"].iter().fold(nodes, |text, field| {
        let value = own[field].as_str().map_or_else(|| own[field].to_string(), str::to_owned);
        text.replace(&value, &format!("[{field}]"))
    });
    same("nodes", &nodes);
    same(
        "tables",
        &shown(
            &user,
            &[
                &["ls"],
                &["ls", "--warnings"],
                &["ls", "nothing"],
                &["runs"],
                &["runs", "--limit", "1"],
                &["runs", "show", "bad"],
                &["logs", "good"],
                &["queues"],
                &["dead"],
                &["why", "bad"],
                &["why", "good"],
                &["why", "dump"],
                &["audit"],
                &["events", "--type", "changed,paused,resumed"],
                &["calendars"],
            ],
        ),
    );
}

#[test]
fn complaints_and_their_ways_out() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.file("bad.toml", "[entries.a]\nevery = \"5\"\nshell = \"true\"\ntimout = \"5m\"\n");
    same(
        "complaints",
        &shown(
            &user,
            &[
                &["stauts"],
                &["run-now", "a"],
                &["dead", "lst"],
                &["add", "a", "--timezone", "UTC", "--every", "1h", "--", "true"],
                &["add", "a", "--every", "5", "--", "true"],
                &["add", "a", "--cron", "61 * * * *", "--", "true"],
                &["add", "a", "--cron", "0 9 * * *", "--tz", "CST", "--", "true"],
                &["add", "a", "0 9 * * *", "./report.sh"],
                &["add", "a b", "--every", "1h", "--", "true"],
                &["add", "a", "--every", "1h"],
                &["add", "a", "--every", "1h", "--overlap", "queue", "--", "true"],
                &["ls", "--state", "failed"],
                &["runs", "--state", "done"],
                &["show"],
                &["show", "nobody"],
                &["pause"],
                &["apply", "-f", "bad.toml"],
                &["apply", "-f", "absent.toml"],
                &["-n", "Prod", "ls"],
                &["--redis", "redis://127.0.0.1:1", "ls"],
            ],
        ),
    );
}
