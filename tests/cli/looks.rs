//! Colours and bars: on a terminal, and nowhere else.

use std::process::Command;
use std::time::Duration;

use crate::support::cli::Upbeat;
use crate::support::proxy::Proxy;
use crate::support::redis::RedisServer;
use crate::support::terminal::{On, Seen, run};
use crate::user_of;

const GREEN: &str = "\u{1b}[32m";
const RED: &str = "\u{1b}[1m\u{1b}[31m";

/// A server with an entry whose message was delivered, and one whose was refused.
fn with_runs() -> (RedisServer, Upbeat) {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "good", "--every", "1h", "--publish", "c"]);
    user.ok(&["trigger", "good"]);
    (server, user)
}

fn on(user: &Upbeat, on: On, args: &[&str], env: &[(&str, &str)]) -> Seen {
    let mut command: Command = user.command();
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.args(args).envs(env.iter().copied());
    run(command, on)
}

#[test]
fn states_are_coloured_on_a_terminal_and_nowhere_else() {
    let (_server, user) = with_runs();
    let seen = on(&user, On::Stdout, &["runs"], &[]);
    assert!(seen.terminal.contains(&format!("{GREEN}succeeded\u{1b}[0m")), "{seen:?}");
    let plain = user.ok(&["runs"]);
    assert!(!plain.contains('\u{1b}'));
    assert_eq!(anstream::adapter::strip_str(&seen.terminal).to_string(), plain, "colours have no width");
    for (args, env) in [
        (&["runs"][..], ("NO_COLOR", "1")),
        (&["runs"], ("TERM", "dumb")),
        (&["runs", "--color", "never"], ("CLICOLOR_FORCE", "1")),
        (&["runs", "-o", "json"], ("CLICOLOR_FORCE", "1")),
        (&["runs", "-o", "jsonl", "--color", "always"], ("X", "1")),
        (&["runs", "-o", "id"], ("CLICOLOR_FORCE", "1")),
    ] {
        let seen = on(&user, On::Both, args, &[env]);
        assert!(seen.code == Some(0) && !seen.terminal.contains('\u{1b}'), "{args:?} {env:?}: {seen:?}");
    }
}

#[test]
fn both_streams_are_decided_apart() {
    let (_server, user) = with_runs();
    // The complaint is seen, the answer goes to a file.
    let seen = on(&user, On::Stderr, &["show", "goood"], &[]);
    assert!(seen.terminal.starts_with(&format!("{RED}error:\u{1b}[0m ")) && seen.code == Some(3), "{seen:?}");
    let seen = on(&user, On::Stderr, &["runs"], &[]);
    assert!(seen.pipe.contains("succeeded") && !seen.pipe.contains('\u{1b}'), "{seen:?}");
    let seen = on(&user, On::Stdout, &["show", "goood"], &[]);
    assert!(seen.pipe.starts_with("error: ") && !seen.pipe.contains('\u{1b}'), "{seen:?}");
}

#[test]
fn whoever_wants_colours_in_a_file_gets_them() {
    let (_server, user) = with_runs();
    assert!(user.ok(&["--color", "always", "runs"]).contains(GREEN));
    assert!(user.ok(&["runs", "--color=always"]).contains(GREEN));
    let forced = user_of(&_server).env("CLICOLOR_FORCE", "1");
    assert!(forced.ok(&["runs"]).contains(GREEN));
    assert!(!forced.ok(&["runs", "--color", "never"]).contains('\u{1b}'));
    assert!(forced.ok(&["help"]).contains("\u{1b}[1mEntries:"), "help has the same palette");
    assert!(!user.ok(&["help"]).contains('\u{1b}'));
}

#[test]
fn what_users_stored_can_not_steer_a_terminal() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1h", "--note", "x\u{1b}[31mred", "--", "true"]);
    let seen = on(&user, On::Both, &["show", "a"], &[]);
    assert!(seen.terminal.contains("x\\u{1b}[31mred"), "{seen:?}");
}

/// Entries of ten steps behind a Redis whose every reply takes its time.
fn slow() -> (RedisServer, Proxy, Upbeat) {
    let server = RedisServer::fresh();
    let quick = user_of(&server);
    let entries: String = (0..600).map(|at| format!("[entries.e{at}]\nevery = '1h'\nshell = 'true'\n")).collect();
    quick.file("many.toml", &entries);
    quick.ok(&["-q", "apply", "-f", "many.toml"]);
    let proxy = Proxy::before(&server);
    proxy.delay(Duration::from_millis(50));
    let user = Upbeat::at(proxy.url());
    (server, proxy, user)
}

#[test]
fn what_takes_longer_than_a_second_draws_a_bar_on_a_terminal_and_takes_it_away() {
    let (_server, _proxy, user) = slow();
    let seen = on(&user, On::Stderr, &["pause", "--all", "-y"], &[]);
    assert!(seen.code == Some(0) && seen.terminal.contains("of 600 entries"), "{seen:?}");
    assert!(
        seen.terminal.trim_end_matches(['\r', '\n']).ends_with("\u{1b}[2K"),
        "the last is that it goes: {:?}",
        seen.terminal
    );
    assert!(seen.pipe.ends_with("600 paused\n"), "{}", seen.pipe);
    for quiet in [&["-q", "resume", "--all", "-y"][..], &["-o", "json", "pause", "--all", "-y"]] {
        let seen = on(&user, On::Stderr, quiet, &[]);
        assert!(seen.code == Some(0) && seen.terminal.is_empty(), "{quiet:?}: {:?}", seen.terminal);
    }
    let seen = on(&user, On::Stderr, &["resume", "--all", "-y"], &[("TERM", "dumb")]);
    assert!(seen.code == Some(0) && seen.terminal.is_empty(), "{:?}", seen.terminal);
    let seen = on(&user, On::Stdout, &["audit"], &[]);
    assert!(seen.pipe.is_empty(), "a file of complaints has no bars: {:?}", seen.pipe);
}
