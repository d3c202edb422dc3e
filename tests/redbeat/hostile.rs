//! A RedBeat namespace in which others wrote: each key is reported, nothing is loaded that is too long, the rest is carried over.

use crate::support::cli::Upbeat;
use crate::support::redis::{Options, RedisServer};

const GOOD: &str = r#"{"name": "NAME", "task": "app.record", "args": null, "kwargs": {}, "options": {}, "schedule": {"__type__": "interval", "every": 2.0, "relative": false}, "enabled": true}"#;
const META: &str = r#"{"last_run_at": {"__type__": "datetime", "year": 2026, "month": 11, "day": 20, "hour": 11, "minute": 17, "second": 20, "microsecond": 378915, "timezone": "UTC"}, "total_run_count": 5}"#;

fn server() -> RedisServer {
    RedisServer::start(Options { args: vec!["--enable-debug-command".into(), "yes".into()], ..Options::default() })
}

/// Puts a field into an entry that the schedule names; both as Lua writes them, so that any bytes may stand there.
#[track_caller]
fn put(redis: &RedisServer, key: &str, definition: &str, meta: &str) {
    let script = format!(
        "redis.call('HSET', {key}, 'definition', {definition}, 'meta', {meta}) redis.call('ZADD', 'redbeat::schedule', 1, {key}) return 'OK'"
    );
    assert_eq!(redis.cli(&["EVAL", &script, "0"]), "OK", "{script}");
}

fn quoted(text: &str) -> String {
    format!("[==[{text}]==]")
}

#[track_caller]
fn put_text(redis: &RedisServer, name: &str, definition: &str, meta: &str) {
    put(redis, &quoted(&format!("redbeat:{name}")), &quoted(definition), &quoted(meta));
}

fn good(name: &str) -> String {
    GOOD.replace("NAME", name)
}

#[test]
fn a_hostile_namespace_is_reported_key_by_key_and_the_rest_carried_over() {
    let redis = server();
    for name in ["good", "also.good"] {
        put_text(&redis, name, &good(name), META);
    }
    // Definitions that are none, and what is said of each.
    let odd = [
        ("cut", &good("cut")[..60], "is cut off"),
        ("empty", "", "is empty"),
        ("array", "[1, 2]", "definition"),
        ("nothing", "null", "definition"),
        ("nameless", r#"{"task": "a", "schedule": {}}"#, "name"),
        ("no-schedule", r#"{"name": "no-schedule", "task": "a"}"#, "schedule"),
        ("copied", &good("good"), "always due"),
    ];
    for (name, definition, _) in odd {
        put_text(&redis, name, definition, META);
    }
    let every = |name: &str, every: &str| good(name).replace("2.0", every);
    let numbers = [("huge", "1e308"), ("beyond", "1e999"), ("negative", "-1"), ("tiny", "1e-300"), ("text", "\"2\"")];
    for (name, number) in numbers {
        put_text(&redis, name, &every(name, number), META);
    }
    put_text(&redis, "meta-cut", &good("meta-cut"), &META[..50]);
    put_text(&redis, "meta-year", &good("meta-year"), &META.replace("2026", "99999999999999999999999"));
    put_text(&redis, "meta-count", &good("meta-count"), &META.replace(": 5}", ": -5e300}"));
    put_text(&redis, "meta-zone", &good("meta-zone"), &META.replace("\"UTC\"", "\"Mars/Base\""));
    put(&redis, "'redbeat:pickle'", r"'\128\4\149\21\0\0\0\0\0\0\0}\148'", "''");
    put(&redis, "'redbeat:binary'", r"'\255\254\0\1{}'", "''");
    put(&redis, "'redbeat:deep'", "string.rep('[', 100000)", "''");
    put(&redis, "'redbeat:long'", "string.rep('x', 10 * 1024 * 1024)", "''");
    put(&redis, "'redbeat:meta-long'", &quoted(&good("meta-long")), "string.rep('y', 10 * 1024 * 1024)");
    put(&redis, r"'redbeat:\255\254'", &quoted(&good("x")), "''");
    for command in [
        &["SET", "redbeat:string", "x"][..],
        &["RPUSH", "redbeat:list", "x"],
        &["ZADD", "redbeat::schedule", "1", "redbeat:string", "2", "redbeat:list", "3", "redbeat:gone"],
        &["HSET", "redbeat:no-definition", "meta", META],
        &["ZADD", "redbeat::schedule", "inf", "redbeat:no-definition"],
        &["HSET", "redbeat:unnamed", "definition", &good("unnamed"), "meta", META],
        &["HSET", "redbeat:not-ours", "a", "b"],
        &["SET", "redbeat::statics", "not a set"],
        &["HSET", "redbeat::lock", "a", "b"],
    ] {
        redis.ask(command);
    }
    let digest = redis.cli(&["DEBUG", "DIGEST"]);
    redis.ask(&["CONFIG", "RESETSTAT"]);

    let user = Upbeat::at(redis.url());
    let seen = user.run(&["import", "redbeat", &redis.url()]).expect_code(0);

    assert_eq!(redis.cli(&["DEBUG", "DIGEST"]), digest, "reading changes nothing");
    let sent: u64 = redis.info("total_net_output_bytes").parse().unwrap();
    assert!(sent < 2_000_000, "20 MB of definitions stay where they are: {sent} bytes were sent");
    let told = |key: &str, why: &str| {
        let key = format!("redbeat:{key} refused: ");
        let line =
            seen.stderr.lines().find(|line| line.contains(&key)).unwrap_or_else(|| panic!("{key}\n{}", seen.stderr));
        assert!(line.contains(why), "{why:?} is not said: {line}");
    };
    odd.iter().for_each(|(name, _, why)| told(name, why));
    numbers.iter().for_each(|(name, _)| told(name, "every"));
    for name in ["meta-cut", "meta-year", "meta-count", "meta-zone"] {
        told(name, if name == "meta-cut" { "meta: is cut off" } else { "" });
    }
    told("pickle", "is a pickle of Python");
    told("binary", "is not text");
    told("deep", "nested too deeply");
    told("long", "has 10485760 bytes");
    told("meta-long", "has 10485760 bytes");
    told("string", "is a string, entries are hashes");
    told("list", "is a list");
    told("gone", "no such key");
    told("no-definition", "is missing");
    told("unnamed", "RedBeat never fires it");
    told("\u{fffd}\u{fffd}", "not UTF-8");
    for (key, kind) in [("redbeat::statics", "string"), ("redbeat::lock", "hash")] {
        assert!(seen.stderr.contains(&format!("{key} refused: redbeat: is a {kind}")), "{}", seen.stderr);
    }
    assert!(!seen.stderr.contains("not-ours"), "a hash of somebody else is nobody's entry: {}", seen.stderr);
    assert!(!seen.stderr.contains("panicked"), "{}", seen.stderr);
    let (good, also) = (seen.stdout.contains("[entries.good]"), seen.stdout.contains("[entries.\"also.good\"]"));
    assert!(good && also, "{}", seen.stdout);
    assert_eq!(seen.stdout.matches("[entries.").count(), 2, "{}", seen.stdout);
    user.file("redbeat.toml", &seen.stdout);
    user.ok(&["lint", "-f", "redbeat.toml"]);
}

#[test]
fn any_name_becomes_an_id_of_its_own() {
    let redis = server();
    let names = [
        "a b",
        "a/b",
        "a-b",
        "ünï/cödé",
        "tab\there",
        "line\\nbreak",
        "\u{1b}[31mred",
        "日本 語",
        "  ",
        "::",
        "%s$(id)",
        "x".repeat(400).as_str(),
    ]
    .map(str::to_owned);
    for name in &names {
        let inner = serde_json::to_string(name).unwrap();
        put_text(&redis, name, &good("NAME").replace("\"NAME\"", &inner), META);
    }
    let user = Upbeat::at(redis.url());
    let seen = user.run(&["import", "redbeat", &redis.url()]).expect_code(0);
    assert!(!seen.stderr.contains('\u{1b}') && !seen.stderr.contains("refused"), "{}", seen.stderr);
    assert_eq!(seen.stdout.matches("[entries.").count(), names.len(), "{}\n{}", seen.stdout, seen.stderr);
    user.file("redbeat.toml", &seen.stdout);
    user.ok(&["lint", "-f", "redbeat.toml"]);
    for name in ["a b", "a/b"] {
        assert!(seen.stdout.contains(&format!("celery_name = \"{name}\"")), "{}", seen.stdout);
    }
}

#[test]
fn a_schedule_that_is_none_and_a_namespace_without_entries_are_told() {
    let redis = server();
    let user = Upbeat::at(redis.url());
    let seen = user.run(&["import", "redbeat", &redis.url()]).expect_code(0);
    assert!(seen.stderr.contains("0 read, 0 written"), "{}", seen.stderr);
    let told = user.error(2, &["import", "redbeat", &redis.url(), "--take-over"]);
    assert!(told["hint"].as_str().unwrap().contains("--prefix"), "{told}");
    redis.ask(&["SET", "redbeat::schedule", "x"]);
    put_text_alone(&redis, "lonely");
    let seen = user.run(&["import", "redbeat", &redis.url()]).expect_code(0);
    assert!(seen.stderr.contains("redbeat::schedule refused: redbeat: is a string"), "{}", seen.stderr);
    let told = user.error(4, &["import", "redbeat", &redis.url(), "--take-over"]);
    assert!(told["message"].as_str().unwrap().contains("no beat runs on it"), "{told}");
}

fn put_text_alone(redis: &RedisServer, name: &str) {
    redis.ask(&["HSET", &format!("redbeat:{name}"), "definition", &good(name), "meta", META]);
}
