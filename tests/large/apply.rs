//! apply, plan and lint of files with very many entries.

use std::fmt::Write;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::support::cli::Upbeat;
use crate::support::holds;
use crate::support::redis::RedisServer;
use crate::support::terminal::{self, On};
use crate::support::wait::{DEADLINE, wait_for};

/// Entries that take seconds in a debug build; with their arguments a text of more than 1 MiB, from which on it is read in pieces.
const USUAL: usize = 2_400;
/// The long argument of each, bytes.
const ARGUMENT_BYTES: usize = 400;
/// The long argument of each where memory counts, bytes: the file then is longer than the 16 MiB up to which entries are kept as
/// they were read.
const WEIGHED_BYTES: usize = 8_000;
const WEIGHED: (usize, usize) = (2_150, 3_200);
/// What an entry may take beside its text: that once more, packed, and what became of it, bytes. As it was read it is three times
/// its text.
const ENTRY_BYTES: usize = WEIGHED_BYTES + 4_000;

fn many() -> usize {
    std::env::var("UPBEAT_LARGE").ok().and_then(|count| count.parse().ok()).unwrap_or(USUAL)
}

/// So many entries of several kinds.
fn toml(count: usize) -> String {
    toml_with(count, ARGUMENT_BYTES)
}

fn toml_with(count: usize, argument_bytes: usize) -> String {
    let long = "x".repeat(argument_bytes);
    let mut text = "owner = \"big\"\n[defaults]\ntimeout = \"10m\"\n".to_owned();
    for number in 0..count {
        let when = match number % 6 {
            0 => "every = \"1m\"".to_owned(),
            1 => format!("cron = \"{} {} * * *\"", number % 60, number % 24),
            2 => "cron = \"*/3 * * * *\"".to_owned(),
            3 => format!("cron = \"{} {} * * mon-fri\"\ntz = \"Europe/Berlin\"", number % 60, 4 + number % 20),
            4 => "every = \"5m\"".to_owned(),
            _ => "cron = \"*/7 * * * *\"".to_owned(),
        };
        let _ = write!(text, "\n[entries.job-{number}]\n{when}\nexec = [\"run-job\", \"{number}\", \"{long}\"]\n");
    }
    text
}

fn json(count: usize) -> String {
    let long = "x".repeat(ARGUMENT_BYTES);
    let entry =
        |number| format!("\"job-{number}\": {{\"every\": \"5m\", \"exec\": [\"run-job\", \"{number}\", \"{long}\"]}}");
    let entries: Vec<String> = (0..count).map(entry).collect();
    format!("{{\"owner\": \"big\", \"entries\": {{{}}}, \"defaults\": {{\"timeout\": \"10m\"}}}}", entries.join(",\n"))
}

fn counted(count: usize) -> String {
    let text = count.to_string();
    let groups: Vec<&str> = text.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

#[test]
fn very_many_entries_are_applied_and_no_command_holds_redis() {
    let server = holds::watched();
    let user = Upbeat::at(server.url());
    let count = many();
    user.file("big.toml", &toml(count));
    let told = user.ok(&["apply", "-f", "big.toml"]);
    assert!(told.starts_with(&format!("{} added · revision 1 each · first fire ", counted(count))), "{told}");
    assert_eq!(server.ask(&["HLEN", "upbeat:{test:0}:entries"]).int(), count as i64);
    let told = user.ok(&["apply", "-f", "big.toml"]);
    assert_eq!(told, format!("{} unchanged\n", counted(count)));
    let told = user.ok(&["plan", "-f", "big.toml"]);
    assert!(told.starts_with(&format!("0 to add, 0 to change, 0 to remove, {} unchanged", counted(count))), "{told}");
    // All of them change: the long way.
    user.file("big.toml", &toml(count).replace("10m", "11m"));
    let told = user.json(&["apply", "-f", "big.toml"]);
    let changes = told["changes"].as_array().unwrap();
    assert!(changes.len() == count && changes.iter().all(|one| one["change"] == "changed"));
    let judged = holds::none_held(&server);
    assert!(judged >= count / 100, "{judged} calls of scripts");
}

#[test]
#[should_panic(expected = "times what it may")]
fn a_script_that_holds_redis_is_noticed() {
    let server = holds::watched();
    let digest =
        server.ask(&["SCRIPT", "LOAD", "local sum = 0; for i = 1, 5e6 do sum = sum + i end; return 'done'"]).text();
    // Yardsticks run between them.
    for _ in 0..60 {
        assert_eq!(server.ask(&["EVALSHA", &digest, "0"]).text(), "done");
    }
    holds::none_held(&server);
}

#[test]
fn very_many_entries_come_as_json_and_on_standard_input_too() {
    let server = RedisServer::fresh();
    let user = Upbeat::at(server.url());
    let count = many();
    user.file("big.json", &json(count));
    let lint = user.ok(&["lint", "-q", "-f", "big.json"]);
    assert_eq!(lint, format!("{count} entries, no errors\n"));
    let plan = user.ok(&["plan", "-f", "big.json"]);
    assert_eq!(plan.lines().count(), count + 1);
    assert!(plan.contains(&format!("\n{} to add, 0 to change", counted(count))));
    let told = user.run_with_input(&["apply", "-f", "-"], &json(count)).expect_code(0).stdout;
    assert!(told.starts_with(&format!("{} added", counted(count))), "{told}");
}

#[test]
fn what_is_wrong_among_very_many_entries_is_named_with_its_line_and_nothing_is_written() {
    let server = RedisServer::fresh();
    let user = Upbeat::at(server.url());
    let text = toml(USUAL);
    let line = 1 + text.lines().position(|line| line == "[entries.job-2394]").unwrap();
    user.file("big.toml", &text.replace("[entries.job-2394]\nevery = \"1m\"", "[entries.job-2394]\nevery = \"1x\""));
    let error = user.error(2, &["apply", "-f", "big.toml"]);
    assert_eq!(
        (error["field"].as_str(), error["line"].as_u64()),
        (Some("entries.job-2394.every"), Some(line as u64 + 1))
    );
    assert_eq!(server.keys(), Vec::<String>::new());
}

/// The most memory that a program had until it ended, bytes.
fn peak(mut child: Child) -> usize {
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
        most = most.max(kib.unwrap_or(0) * 1024);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    most
}

/// Peak of an apply of so many entries, and the length of their file.
fn peak_of(count: usize) -> (usize, usize) {
    let server = RedisServer::fresh();
    let user = Upbeat::at(server.url());
    let text = toml_with(count, WEIGHED_BYTES);
    user.file("big.toml", &text);
    let mut command = user.command();
    command.args(["-q", "apply", "-f", "big.toml"]).stdout(Stdio::null()).stderr(Stdio::null());
    (peak(command.spawn().unwrap()), text.len())
}

#[test]
fn memory_grows_by_little_more_than_the_text_of_an_entry() {
    let (few, more) = WEIGHED;
    let ((small, small_file), (large, large_file)) = (peak_of(few), peak_of(more));
    let grown = large.saturating_sub(small).saturating_sub(large_file - small_file);
    let each = grown / (more - few);
    assert!(each <= ENTRY_BYTES, "{each} bytes an entry beside its text; {small} at {few}, {large} at {more}");
}

#[test]
fn a_terminal_shows_how_far_a_long_apply_is_and_nobody_else_does() {
    let server = RedisServer::fresh();
    let user = Upbeat::at(server.url());
    let count = many();
    user.file("big.toml", &toml(count));
    let mut command = user.command();
    command.args(["apply", "-f", "big.toml"]);
    let running = terminal::start(command, On::Stderr);
    let written = || server.ask(&["HLEN", "upbeat:{test:0}:entries"]).int();
    wait_for("the first entries", DEADLINE, || written() > 0);
    server.freeze();
    wait_for("the bar", DEADLINE, || running.terminal().contains(&format!("of {} entries written, ", counted(count))));
    server.thaw();
    let seen = running.wait();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert!(seen.terminal.contains("/s, ") && seen.terminal.contains(" to go"), "{seen:?}");
    assert!(seen.pipe.starts_with(&format!("{} added", counted(count))), "{seen:?}");
    let quiet = user.run(&["apply", "-f", "big.toml"]).expect_code(0);
    assert!(!quiet.stderr.contains("written"), "{quiet:?}");
}
