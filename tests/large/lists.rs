//! ls, export, rm, pause and resume of many entries: written as they are read, in bounded steps, complete, and memory stays flat.

use std::collections::BTreeSet;
use std::io::Read;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use upbeat::domain::file::ScheduleFile;

use crate::support::cli::Upbeat;
use crate::support::guard;
use crate::support::holds;
use crate::support::proxy::{Fate, Proxy};
use crate::support::redis::RedisServer;
use crate::support::resp::Reply;
use crate::support::wait::{DEADLINE, wait_for};

/// Entries whose like the others are: two owners, two queues, two teams.
const KINDS: &str = r#"
[defaults]
labels = { team = "a" }
[entries.kind-0]
cron = "0 3 29 2 *"
exec = ["true"]
[entries.kind-1]
every = "26h"
start = "2031-01-01T00:00:00Z"
shell = "a | b\nc"
queue = "batch"
labels = { team = "b" }
[entries.kind-2]
rrule = "FREQ=YEARLY"
start = "2031-01-01T00:00:00Z"
list = "out"
payload = { a = [1, 2] }
"#;

/// Bytes of memory for each entry more: an id and an outcome take up to 100, the rest is what an allocator does as it likes. With
/// all entries in memory it would be 3,000 and more.
const GROWN_MAX: usize = 1_000;

/// How many entries are many: enough to tell 1 KB of memory for each from none.
fn many() -> usize {
    std::env::var("UPBEAT_LARGE").ok().and_then(|count| count.parse().ok()).unwrap_or(8_000)
}

/// A namespace with `count` entries `job-0000000`, ... that are each as one of [`KINDS`], which are there, too.
fn filled(count: usize) -> (RedisServer, Upbeat) {
    let server = RedisServer::fresh();
    let user = filled_into(&server, count);
    (server, user)
}

fn filled_into(server: &RedisServer, count: usize) -> Upbeat {
    let user = Upbeat::at(server.url()).env("UPBEAT_ACTOR", "ci");
    user.file("kinds.toml", KINDS);
    user.ok(&["apply", "-f", "kinds.toml"]);
    user.file("others.toml", "owner = \"others\"\n[entries.kind-3]\ncron = \"0 4 29 2 *\"\nexec = [\"true\"]\n");
    user.ok(&["apply", "-f", "others.toml"]);
    multiply(server, 0..count);
    user
}

/// Adds entries as scripts write them, faster than any client could.
fn multiply(server: &RedisServer, numbers: std::ops::Range<usize>) {
    let script = "local kinds = {}
        for kind = 0, 3 do
            local id = 'kind-' .. kind
            kinds[kind] = { redis.call('HGET', KEYS[1], id), redis.call('HGET', KEYS[2], id), redis.call('ZSCORE', KEYS[3], id), redis.call('HGET', KEYS[4], id) }
        end
        for number = ARGV[1], ARGV[2] - 1 do
            local kind, id = kinds[number % 4], string.format('job-%07d', number)
            redis.call('HSET', KEYS[1], id, kind[1])
            redis.call('HSET', KEYS[2], id, kind[2])
            redis.call('ZADD', KEYS[3], kind[3], id)
            if kind[4] then redis.call('HSET', KEYS[4], id, kind[4]) end
        end";
    let keys = ["entries", "plans", "due", "messages"].map(|word| format!("upbeat:{{test:0}}:{word}"));
    let [entries, plans, due, messages] = &keys;
    for from in numbers.clone().step_by(10_000) {
        let (from, to) = (from.to_string(), numbers.end.min(from + 10_000).to_string());
        server.ask(&["EVAL", script, "4", entries, plans, due, messages, &from, &to]);
    }
}

/// Runs a command to its end; what it wrote to standard output, in bytes, and the greatest memory that it held, KiB.
fn weighed(user: &Upbeat, args: &[&str]) -> (usize, usize) {
    let mut command = user.command();
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    guard::watch(&child);
    let mut err = child.stderr.take().unwrap();
    let said = std::thread::spawn(move || {
        let mut text = String::new();
        err.read_to_string(&mut text).map(|_| text)
    });
    let mut out = child.stdout.take().unwrap();
    let written = std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()).unwrap());
    let mut peak = 0;
    loop {
        peak = peak.max(peak_of(&child));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{args:?}: {status}\n{}", said.join().unwrap().unwrap());
            return (written.join().unwrap() as usize, peak);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The greatest memory that a process held so far, KiB.
fn peak_of(child: &Child) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_the_number_of_entries_and_no_command_holds_redis() {
    let (half, user_of_half) = filled(many() / 2);
    let whole = holds::watched();
    let user_of_whole = filled_into(&whole, many());
    whole.cli(&["SLOWLOG", "RESET"]);
    for args in [&["ls"][..], &["export"], &["rm", "--all", "-y", "-o", "json"]] {
        let (written, peak) = weighed(&user_of_half, args);
        let (twice, peak_of_twice) = weighed(&user_of_whole, args);
        assert!(twice > written * 19 / 10, "{args:?}: {written} and {twice} bytes");
        // What each entry takes beside one page: its id, and of a change its outcome.
        let grown = (peak_of_twice.saturating_sub(peak)) * 1024 / (many() / 2);
        println!("{args:?}: {peak} KiB of half as many, {peak_of_twice} KiB, {grown} bytes for each more");
        assert!(
            grown < GROWN_MAX,
            "{args:?}: {peak} KiB of half as many, {peak_of_twice} KiB: {grown} bytes for each more"
        );
    }
    holds::none_held(&whole);
    drop(half);
}

/// Ids of a page, the last of them, and what was said about it.
fn page(user: &Upbeat, args: &[&str], after: Option<&str>) -> Vec<String> {
    let mut all = vec!["ls", "-o", "id", "--limit", "97"];
    all.extend(args);
    all.extend(after.into_iter().flat_map(|after| ["--after", after]));
    user.ok(&all).lines().map(str::to_owned).collect()
}

#[test]
fn pages_have_no_gap_and_no_double_while_others_add_and_remove() {
    const STAYS: usize = 1_000;
    let (server, user) = filled(STAYS);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Entries that come and go between all those that stay; with them the hash grows and shrinks.
        let restless = scope.spawn(|| {
            let key = |word: &str| format!("upbeat:{{test:0}}:{word}");
            let script = "for number = 0, 1999 do
                    local id = string.format('job-%07d.x', (number * 7919 + ARGV[1]) % 4000)
                    if redis.call('HDEL', KEYS[1], id) == 1 then redis.call('ZREM', KEYS[2], id)
                    else redis.call('HSET', KEYS[1], id, redis.call('HGET', KEYS[1], 'kind-0')) redis.call('ZADD', KEYS[2], 1e12 * 4, id) end
                end";
            let mut rounds = 0;
            while !is_over.load(Ordering::Relaxed) {
                server.ask(&["EVAL", script, "2", &key("entries"), &key("due"), &rounds.to_string()]);
                rounds += 1;
            }
            rounds
        });
        for (filter, is_meant) in [
            (&["job-"][..], (|_| true) as fn(usize) -> bool),
            (&["job-", "-l", "team=b"], |number| number % 4 == 1),
            (&["--queue", "batch"], |number| number % 4 == 1),
            (&["job-", "--owner", "others"], |number| number % 4 == 3),
        ] {
            let mut seen: Vec<String> = Vec::new();
            loop {
                let ids = page(&user, filter, seen.last().map(String::as_str));
                if ids.is_empty() {
                    break;
                }
                seen.extend(ids);
            }
            assert!(seen.is_sorted_by(|a, b| a < b), "{filter:?}: in order, each once");
            let stays: Vec<&String> = seen.iter().filter(|id| id.starts_with("job-") && !id.ends_with(".x")).collect();
            let expected: Vec<String> =
                (0..STAYS).filter(|number| is_meant(*number)).map(|number| format!("job-{number:07}")).collect();
            assert_eq!(stays, expected.iter().collect::<Vec<_>>(), "{filter:?}");
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(restless.join().unwrap() > 1, "others changed entries meanwhile");
    });
}

#[test]
fn every_format_has_the_same_entries_in_the_order_of_their_ids() {
    let (_server, user) = filled(650);
    let ids = |text: &str| -> Vec<String> {
        let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
        text.lines().map(id).collect()
    };
    for filter in [
        &[][..],
        &["--all"],
        &["job-00001"],
        &["-l", "team=b"],
        &["--owner", "kinds"],
        &["--queue", "batch"],
        &["--warnings"],
        &["--after", "job-0000399"],
        &["--warnings", "--after", "job-0000123", "--limit", "250", "-l", "team=b"],
        &["--limit", "3"],
        &["nothing-begins-so"],
    ] {
        let told = |format: &str| user.ok(&[&["ls", "-o", format], filter].concat());
        let of_lines = ids(&told("jsonl"));
        assert!(of_lines.is_sorted_by(|a, b| a < b), "{filter:?}");
        assert_eq!(told("id").lines().collect::<Vec<_>>(), of_lines, "{filter:?}");
        let json = told("json");
        let document: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json, format!("{document:#}\n"), "{filter:?}: one document, as it is always written");
        let in_document: Vec<&str> =
            document.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
        assert_eq!(in_document, of_lines, "{filter:?}");
        let table = told("table");
        let in_table: Vec<&str> = table.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(in_table, of_lines, "{filter:?}");
    }
    let count = |filter: &[&str]| user.ok(&[&["ls", "-o", "id"], filter].concat()).lines().count();
    assert_eq!(count(&["-l", "team=b"]), 1 + 650_usize.div_ceil(4));
    assert_eq!(count(&["--owner", "others"]), 1 + 650 / 4);
    // A message needs no node; nobody serves the others.
    assert_eq!(count(&["--warnings"]), 654 - 1 - 650_usize.div_ceil(4) + usize::from(650 % 4 <= 2));
}

#[test]
fn a_page_says_how_to_go_on_and_a_warning_of_many_is_one_line() {
    let (_server, user) = filled(1_200);
    let told = user.run(&["ls", "--limit", "50"]).expect_code(0);
    assert!(
        told.stderr.ends_with("50 of 1,204 shown, --limit 0 for all; --after job-0000049 for the next\n"),
        "{}",
        told.stderr
    );
    let told = user.run(&["ls", "--warnings", "--limit", "50", "--after", "job-0000049"]).expect_code(0);
    let end = "50 of more than 50 shown, --limit 0 for all; --after job-0000116 for the next\n";
    assert!(told.stderr.ends_with(end), "{}", told.stderr);
    let told = user.run(&["ls", "--limit", "2", "--after", "kind-1"]).expect_code(0);
    assert!(!told.stderr.contains("shown"), "these are the last: {}", told.stderr);
    let told = user.run(&["ls"]).expect_code(0);
    let of_exec: Vec<&str> = told.stderr.lines().filter(|line| line.contains("may run exec")).collect();
    assert!(matches!(of_exec[..], [line] if line.contains("and 599 more")), "{}", told.stderr);
}

#[test]
fn an_export_of_many_pages_is_the_file_that_it_reads_as() {
    let (_server, user) = filled(650);
    for select in [&[][..], &["-l", "team=b"], &["--owner", "others"], &["--queue", "none"]] {
        let told = |format: &str| user.ok(&[&["export", "-o", format], select].concat());
        let (toml, json) = (told("table"), told("json"));
        let read = |name: &str, text: &str| ScheduleFile::parse(name, text).unwrap_or_else(|why| panic!("{why:?}"));
        let file = read("x.toml", &toml);
        assert_eq!(file.to_toml(), toml, "{select:?}");
        assert_eq!(read("x.json", &json), file, "{select:?}");
        assert_eq!(format!("{:#}\n", file.to_json()), json, "{select:?}");
        assert_eq!(format!("{}\n", file.to_json()), told("jsonl"), "{select:?}");
        let ids: String = file.entries.iter().map(|one| format!("{}\n", one.id)).collect();
        assert_eq!(ids, told("id"), "{select:?}");
    }
}

#[test]
fn a_change_that_was_killed_is_finished_by_the_same_command() {
    for (verb, nth, fate) in
        [("rm", 2, Fate::SwallowReply), ("rm", 3, Fate::CutRequest), ("pause", 3, Fate::SwallowReply)]
    {
        let (server, user) = filled(650);
        let proxy = Proxy::before(&server);
        proxy.meet("put", nth, fate);
        let args = [verb, "-l", "team=a", "-y", "-o", "json", "--request-id", "r-1"];
        let mut killed = user.command();
        killed.args(args).env("UPBEAT_REDIS", proxy.url()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut killed = killed.spawn().unwrap();
        wait_for(&format!("put {nth}"), DEADLINE, || proxy.hits("put") > 0 || killed.try_wait().unwrap().is_some());
        killed.kill().unwrap();
        killed.wait().unwrap();
        assert!(proxy.hits("put") > 0, "{verb}: put {nth} was met");
        let of_team: BTreeSet<usize> = (0..650).filter(|number| matches!(number % 4, 0 | 2)).collect();
        let told = user.ok(&args);
        let document: Value = serde_json::from_str(&told).unwrap();
        let changes = document["changes"].as_array().unwrap();
        let word = if verb == "rm" { "removed" } else { "changed" };
        assert!(changes.iter().all(|one| one["change"] == word), "{told}");
        assert_eq!(changes.len(), of_team.len() + 2, "also those that were changed before it was killed");
        // Whatever has come meanwhile is not asked for by the same request.
        user.ok(&["add", "late", "--at", "2031-01-01T00:00:00Z", "--labels", "team=a", "--", "true"]);
        assert_eq!(user.ok(&args), told, "the same request gets the same answer");
        let others: Vec<&str> = vec!["-o", "json", verb, "-l", "team=b", "-y", "--request-id", "r-1"];
        assert_eq!(user.run(&others).code, Some(4), "with something else it is refused");
        let left = user.json(&["ls", "-l", "team=a"]);
        let untouched: Vec<&Value> = left.as_array().unwrap().iter().filter(|one| one["status"] == "active").collect();
        assert!(matches!(untouched[..], [one] if one["id"] == "late"), "{untouched:?}");
    }
}

/// Words of one command that reads, and of one that writes or calls a script: steps have 250 entries at most, and a put has twelve
/// words for each.
const READ_MAX: usize = 251;
const WRITE_MAX: usize = 16 * 250;

/// Every command that a server was sent since its log was emptied: its first words, and how many there are behind its name.
fn commands(server: &RedisServer) -> Vec<(Vec<String>, usize)> {
    let log = server.ask(&["SLOWLOG", "GET", "-1"]);
    let of_line = |line: &Reply| {
        let words: Vec<String> = line.list()[3].list().iter().map(Reply::text).collect();
        // Of long ones the log has the first 31, and how many more there are.
        let more = words.last().and_then(|last| last.strip_prefix("... (")?.split(' ').next()?.parse::<usize>().ok());
        let count = words.len() - 1 + more.map_or(0, |more| more - 1);
        (words, count)
    };
    log.list().iter().map(of_line).collect()
}

/// Whether a command asks for no more than a page. Keys of nodes, waiting lists, queues and calendars have as many as there are of
/// those; live runs are read as a whole by a script that looks before how many they are.
fn is_bounded(words: &[String], count: usize) -> bool {
    let key = words.get(1).map_or("", String::as_str);
    let is_of_few = ["nodes", "queues", "clock", "rules", "calendars", "leases", "seen", "live"]
        .iter()
        .any(|few| key.contains(few));
    match words[0].to_uppercase().as_str() {
        "HGETALL" | "HKEYS" | "HVALS" | "SMEMBERS" => is_of_few,
        "ZRANGE" | "LRANGE" => is_of_few || words.get(3).is_none_or(|end| end != "-1") || words[2].starts_with('-'),
        "HMGET" | "ZMSCORE" => count <= READ_MAX,
        _ => count <= WRITE_MAX,
    }
}

#[test]
fn no_command_asks_redis_for_more_than_a_page() {
    let (server, user) = filled(600);
    server.cli(&["CONFIG", "SET", "slowlog-max-len", "100000"]);
    for args in [
        &["ls"][..],
        &["ls", "-l", "team=a", "--warnings", "-o", "jsonl"],
        &["export"],
        &["forecast"],
        &["doctor"],
        &["audit"],
        &["nodes"],
        &["why", "kind-0"],
        &["runs"],
        &["pause", "-l", "team=a", "-y"],
        &["resume", "--all", "-y"],
        &["plan", "-f", "kinds.toml", "--prune"],
        &["apply", "-f", "kinds.toml", "--prune", "-y"],
        &["rm", "--all", "-y"],
    ] {
        server.cli(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
        server.cli(&["SLOWLOG", "RESET"]);
        user.run(args);
        let sent = commands(&server);
        server.cli(&["CONFIG", "SET", "slowlog-log-slower-than", "-1"]);
        assert!(sent.len() > 5, "{args:?}: {sent:?}");
        for (words, count) in sent {
            assert!(is_bounded(&words, count), "{args:?}: {words:?} with {count} words");
        }
    }
}
