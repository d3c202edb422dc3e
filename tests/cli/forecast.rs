//! forecast as a user types and reads it.

use serde_json::{Value, json};

use crate::support::cli::Upbeat;
use crate::support::redis::RedisServer;
use crate::{refused, user_of};

fn fill(user: &Upbeat) {
    let entries: String = (0..12)
        .map(|number| format!("[entries.night{number:02}]\ncron = \"0 3 * * *\"\nexec = [\"true\"]\n"))
        .collect();
    user.file("nights.toml", &entries);
    user.ok(&["apply", "-f", "nights.toml"]);
    user.ok(&["add", "tick", "--every", "1h", "--list", "app:ticks"]);
    user.ok(&["add", "away", "--every", "1h", "--queue", "batch", "--", "true"]);
    user.ok(&["pause", "away"]);
}

#[test]
fn a_page_tells_the_worst_minute_what_it_needs_and_what_to_type() {
    let server = RedisServer::fresh();
    let user = user_of(&server).env("TZ", "Europe/Berlin");
    fill(&user);
    let text = user.ok(&["forecast"]);
    let line = |label: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(label));
        found.unwrap_or_else(|| panic!("no {label:?} in\n{text}")).trim().to_owned()
    };
    assert!(
        text.starts_with("next 24 h from ") && text.lines().next().unwrap().ends_with(": 13 entries fire, 36 runs"),
        "{text}"
    );
    assert_eq!(line("runs in the worst minute of each"), "30 min, Europe/Berlin");
    assert!(text.contains(&format!("  12  {}\n", "#".repeat(40))), "plain bars where no terminal is\n{text}");
    let worst = line("worst minute");
    assert!(worst.contains(" 04:00 CET (") && worst.contains(" 03:00 UTC): "), "{worst}");
    assert!(worst.ends_with("12 runs of night00, night01, night02, night03, night04 and 7 more"), "{worst}");
    assert_eq!(line("at once"), "12 by the p95, 12 by the p50; live nodes offer 0 slots: see the warnings");
    assert!(
        line("assumed").starts_with("12 entries have no run on record, taken to last 1 min or the timeout: night00,")
    );
    assert_eq!(line("not counted"), "1 paused: away");
    assert!(line("spreading").contains(" in the worst minute, "), "{text}");
    assert!(text.contains("upbeat set night00 --cron 'H 3 * * *'"), "{text}");
    let warned = line("warning");
    assert!(warned.starts_with("queue default: at "), "{warned}");
    assert!(warned.contains(":00:00 CET there are 12 exec runs at once; "), "{warned}");
    assert!(warned.ends_with("; no live node may run them; upbeat node --allow exec --concurrency 12"), "{warned}");
    assert_eq!(line("QUEUE").split_whitespace().last(), Some("SLOTS"));
    assert!(text.contains("\n(messages)  24 "), "{text}");
}

#[test]
fn programs_read_a_document_lines_by_minute_and_bare_ids() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    fill(&user);
    let view = user.json(&["forecast", "--next", "2d"]);
    assert_eq!((&view["runs"], &view["entries"]), (&json!(72), &json!(13)));
    assert_eq!((&view["worst"]["runs"], &view["worst"]["entries_total"]), (&json!(12), &json!(12)));
    assert_eq!(
        (&view["concurrency_p95"], &view["slots"], &view["left_out"]["paused"]),
        (&json!(12), &json!(0), &json!(1))
    );
    let queue = &view["queues"][0];
    assert_eq!((&queue["queue"], &queue["kinds"][0]["kind"]), (&json!("default"), &json!("exec")));
    assert_eq!(view["queues"][1]["queue"], Value::Null);
    let lines: Vec<Value> = user
        .ok(&["forecast", "--next", "2d", "-o", "jsonl"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let runs: u64 = lines.iter().map(|line| line["runs"].as_u64().unwrap()).sum();
    assert_eq!(runs, 72, "a line a minute and queue");
    assert!(lines.iter().all(|line| line["runs"] != 0 || line["busy"] != 0), "none without anything");
    let ids = user.ok(&["forecast", "-o", "id"]);
    assert_eq!((ids.lines().count(), ids.lines().next()), (12, Some("night00")));
    assert_eq!(
        user.ok(&["forecast", "tick", "--next", "3h"]).lines().next().unwrap().split(": ").nth(1),
        Some("1 entry fires, 3 runs")
    );
    let empty = user.ok(&["forecast", "--queue", "nobody"]);
    assert!(
        empty.contains(": 0 entries fire, 0 runs")
            && user.ok(&["forecast", "--queue", "nobody", "-o", "id"]).is_empty()
    );
}

#[test]
fn a_fleet_that_offers_enough_is_told_so() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    fill(&user);
    let _node = crate::support::node::node("a", server.url()).start_live(&user);
    let view = user.json(&["forecast"]);
    assert_eq!((&view["slots"], &view["warnings"]), (&json!(16), &json!([])));
    assert!(user.ok(&["forecast"]).contains("live nodes offer 16 slots: enough"));
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_reason() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    for (args, words) in [
        (&["forecast", "--next", "30s"][..], "error: next: 30s is not between 1m and 366d"),
        (&["forecast", "--next", "400d"], "error: next: 400d is not between 1m and 366d"),
        (&["forecast", "--next", "soon"], "error: next: "),
        (&["forecast", "a", "--all"], "error: --all: ids is given too"),
    ] {
        let (line, _) = refused(&user, 2, args);
        assert!(line.starts_with(words), "{line}");
    }
    refused(&user, 3, &["forecast", "nobody"]);
    assert_eq!(user.error(2, &["forecast", "--from", "-1h"])["field"], "from");
}
