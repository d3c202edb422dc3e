//! An apply that is killed, and then asked again, ends as one that was not.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::Value;

use crate::support::cli::Upbeat;
use crate::support::proxy::{Fate, Proxy};
use crate::support::redis::RedisServer;
use crate::support::wait::{DEADLINE, wait_for};
use crate::user_of;

/// Before every fire time that the files owe.
const FROM: &str = "2026-11-01T00:00:00Z";
const OLD: usize = 300;

fn entry(number: usize, minute: usize) -> String {
    match number % 3 {
        0 => format!("[entries.e{number}]\ncron = '{minute} 0 1 1 *'\nexec = ['true']\n"),
        1 => format!("[entries.e{number}]\nevery = '{}h'\nstart = '2031-01-01T00:00:00Z'\nlist = 'out'\n", minute + 1),
        _ => format!(
            "[entries.e{number}]\nat = '2031-01-01T00:{minute:02}:00Z'\nshell = 'x'\nqueue = 'q{}'\n",
            number % 5
        ),
    }
}

/// New entries, which owe fire times that have passed and keep the anchor of `--from`.
fn owing(number: usize) -> String {
    match number % 2 {
        0 => format!("[entries.n{number}]\nevery = '{}h'\nexec = ['true']\n", 7 + number % 9),
        _ => format!("[entries.n{number}]\ncron = '{} 3 * * *'\nlist = 'out'\n", number % 60),
    }
}

/// What stood before, and what shall be: a tenth is gone, a third is another, and some are new.
fn files() -> (String, String) {
    let old = (0..OLD).map(|number| entry(number, number % 60)).collect();
    let stays = (0..OLD).filter(|number| number % 10 != 4);
    let new = stays.map(|number| entry(number, if number % 3 == 0 { (number + 7) % 60 } else { number % 60 }));
    let calendar = "[calendars.cn]\ndates = ['2030-01-01']\n[entries.with-calendar]\ncron = '0 0 1 1 *'\nlist = 'x'\nexclude = 'cn'\n";
    (old, calendar.to_owned() + &new.chain((0..100).map(owing)).collect::<String>())
}

/// All that Redis holds about entries, without when and as how many-th they were written.
#[derive(Debug, PartialEq)]
struct Stands {
    export: String,
    definitions: BTreeMap<String, Value>,
    places: Vec<String>,
    plans: BTreeMap<String, String>,
    calendars: Value,
}

fn stands(server: &RedisServer, user: &Upbeat) -> Stands {
    let key = |word: &str| format!("upbeat:{{test:0}}:{word}");
    let pairs = |word: &str| -> BTreeMap<String, String> {
        let found = server.ask(&["HGETALL", &key(word)]);
        let texts: Vec<String> = found.list().iter().map(crate::support::resp::Reply::text).collect();
        texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    };
    let timeless = |text: String| {
        let mut definition: Value = serde_json::from_str(&text).unwrap();
        for field in ["v", "created", "actor"] {
            definition.as_object_mut().unwrap().remove(field);
        }
        definition
    };
    let places = ["due", "parked", "paused", "broken", "finished"];
    let place = |word: &&str| {
        let mut members = server.cli(&["ZRANGE", &key(word), "0", "-1", "WITHSCORES"]);
        if *word == "finished" {
            members = server.cli(&["ZRANGE", &key(word), "0", "-1"]);
        }
        format!("{word}: {members}")
    };
    Stands {
        export: user.ok(&["export"]),
        definitions: pairs("entries").into_iter().map(|(id, text)| (id, timeless(text))).collect(),
        places: places.iter().map(place).collect(),
        plans: pairs("ledger").into_iter().chain(lists(server, &key("plans"))).collect(),
        calendars: user.json(&["calendars", "show", "cn"])["all_dates"].clone(),
    }
}

/// The packed plans without the ids of their runs, which are made of the birth, and without that.
fn lists(server: &RedisServer, key: &str) -> Vec<(String, String)> {
    let script = "local all, found = redis.call('HGETALL', KEYS[1]), {}
        for at = 1, #all, 2 do
            local hex = string.gsub(all[at + 1], '.', function(c) return string.format('%02x', string.byte(c)) end)
            found[at], found[at + 1] = all[at], hex
        end
        return found";
    let found = server.ask(&["EVAL", script, "1", key]);
    let texts: Vec<String> = found.list().iter().map(crate::support::resp::Reply::text).collect();
    let plan = |pair: &[String]| (format!("plan of {}", pair[0]), format!("{} {}", &pair[1][..8], &pair[1][62..]));
    texts.chunks(2).map(plan).collect()
}

fn prepared(server: &RedisServer) -> Upbeat {
    let user = user_of(server).env("UPBEAT_ACTOR", "ci");
    let (old, new) = files();
    user.file("jobs.toml", &old);
    user.ok(&["apply", "-f", "jobs.toml"]);
    user.file("jobs.toml", &new);
    user
}

const APPLY: [&str; 6] = ["apply", "-f", "jobs.toml", "--prune", "--from", FROM];

#[test]
fn an_apply_that_was_killed_at_any_step_is_finished_by_the_next() {
    let whole = RedisServer::fresh();
    let user = prepared(&whole);
    let counting = Proxy::before(&whole);
    let told = user.run(&[&["--redis", &counting.url()], &APPLY[..]].concat()).expect_code(0).stdout;
    assert!(told.contains("101 added, 90 changed, 30 removed, 180 unchanged"), "{told}");
    let expected = stands(&whole, &user);
    assert_eq!(expected.definitions.len(), OLD - 30 + 101);
    // Six for the entries, one for what is removed.
    let steps = counting.seen("put");
    assert_eq!(steps, 7);
    for (script, nth, fate) in (1..=steps)
        .flat_map(|nth| [("put", nth, Fate::CutRequest), ("put", nth, Fate::SwallowReply)])
        .chain([("put_calendar", 1, Fate::CutRequest), ("put_calendar", 1, Fate::SwallowReply)])
    {
        let server = RedisServer::fresh();
        let user = prepared(&server);
        let proxy = Proxy::before(&server);
        proxy.meet(script, nth, fate);
        let mut killed = user.command();
        killed.args(APPLY).env("UPBEAT_REDIS", proxy.url()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut killed = killed.spawn().unwrap();
        wait_for(&format!("{script} {nth}"), DEADLINE, || {
            proxy.hits(script) > 0 || killed.try_wait().unwrap().is_some()
        });
        killed.kill().unwrap();
        killed.wait().unwrap();
        assert!(proxy.hits(script) > 0, "{script} {nth} was met");
        user.ok(&APPLY);
        assert_eq!(stands(&server, &user), expected, "{script} {nth} {fate:?}");
        assert!(user.ok(&APPLY).ends_with("\n371 unchanged\n"), "{script} {nth} {fate:?}");
    }
}

#[test]
fn an_apply_that_was_killed_at_any_moment_is_finished_by_the_next() {
    let whole = RedisServer::fresh();
    let user = prepared(&whole);
    let before = whole.calls_of("evalsha");
    user.ok(&APPLY);
    let scripts = whole.calls_of("evalsha") - before;
    let expected = stands(&whole, &user);
    for part in 1..=4 {
        let server = RedisServer::fresh();
        let user = prepared(&server);
        let before = server.calls_of("evalsha");
        let mut killed = user.command();
        let mut killed = killed.args(APPLY).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Whatever it is at then; it may have ended.
        wait_for(&format!("{part}/5 of the scripts have run"), DEADLINE, || {
            (server.calls_of("evalsha") - before) * 5 >= scripts * part
        });
        killed.kill().unwrap();
        killed.wait().unwrap();
        user.ok(&APPLY);
        assert_eq!(stands(&server, &user), expected, "killed after {part}/5");
    }
}

#[test]
fn an_apply_of_new_entries_that_was_killed_at_any_step_is_finished_by_the_next() {
    const NEW: usize = 600;
    let text: String =
        (0..NEW).map(|n| format!("[entries.n-{n}]\ncron = \"{} 3 29 2 *\"\nshell = \"true\"\n", n % 60)).collect();
    // Three steps, which are on their way at the same time.
    for (nth, fate) in [(1, Fate::CutRequest), (2, Fate::SwallowReply), (3, Fate::CutRequest), (3, Fate::SwallowReply)]
    {
        let server = RedisServer::fresh();
        let user = user_of(&server);
        user.file("new.toml", &text);
        // The namespace is open, so that what is met is a step.
        user.ok(&["add", "first", "--cron", "0 3 29 2 *", "--", "true"]);
        let proxy = Proxy::before(&server);
        proxy.meet("add", nth, fate);
        let mut killed = user.command();
        killed.args(["apply", "-f", "new.toml"]).env("UPBEAT_REDIS", proxy.url());
        let mut killed = killed.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for(&format!("add {nth}"), DEADLINE, || proxy.hits("add") > 0 || killed.try_wait().unwrap().is_some());
        killed.kill().unwrap();
        killed.wait().unwrap();
        assert!(proxy.hits("add") > 0, "add {nth} was met");
        user.ok(&["apply", "-f", "new.toml"]);
        assert!(user.ok(&["apply", "-f", "new.toml"]).ends_with("600 unchanged\n"), "{nth} {fate:?}");
        let all = user.json(&["ls", "n-"]);
        assert_eq!(all.as_array().unwrap().len(), NEW);
        assert!(all.as_array().unwrap().iter().all(|one| one["revision"] == 1 && one["status"] == "active"));
        // One line in the events for each, whoever wrote it.
        let events = user.json(&["events", "--limit", "0"]);
        let added = events.as_array().unwrap().iter().filter(|one| one["type"] == "added").count();
        assert_eq!(added, NEW + 1, "{nth} {fate:?}");
        user.ok(&["audit"]);
    }
}
