//! What people ask for, with real nodes that die meanwhile: every fire time is settled once, and what was asked for happens.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::bed::{Bed, DEADLINE, now_ms, patiently, rfc3339, still_before, wait_until};
use crate::support::wait::wait_for;
use crate::verdict::{Deaths, assert_on_record, instant, text};

/// A web server that keeps what it was sent.
struct Heard {
    port: u16,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Heard {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let keep = bodies.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                keep.lock().unwrap().push(String::from_utf8(body).unwrap());
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { port, bodies }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    fn bodies(&self) -> Vec<String> {
        self.bodies.lock().unwrap().clone()
    }
}

fn of<'a>(runs: &'a [Value], entry: &str) -> Vec<&'a Value> {
    runs.iter().filter(|run| run["entry_id"] == entry).collect()
}

#[test]
fn a_pause_ends_by_itself_also_where_every_node_was_down_across_its_end() {
    patiently(|| {
        let bed = Bed::new();
        let mut node = bed.start("a");
        let race = bed.race_in(bed.room_ms(5), 3, 12, &bed.command("true"), "overlap = \"allow\"");
        let [slept, awake, skipped] = &race.entries[..] else { panic!("three entries") };
        let start = race.window.start_ms;
        let at = |ms: i64| rfc3339(start + ms);
        bed.user.ok(&["pause", awake, "--until", &at(3_000)]);
        bed.user.ok(&["pause", slept, "--until", &at(6_000)]);
        bed.user.ok(&["skip", skipped, "--at", &at(2_000)]);
        bed.user.ok(&["skip", skipped, "--at", &at(6_000), "--reason", "moving"]);
        still_before(start, "the first fire time passed before all was asked");
        wait_until(start + 3_000);
        wait_for("the fleet wakes at the end of a pause", DEADLINE, || {
            of(&bed.runs(), awake).iter().any(|run| run["state"] == "succeeded")
        });
        let first = bed.lines().into_iter().filter(|line| line.entry == *awake).map(|line| line.fire_at).min();
        assert_eq!(first, Some(start + 3_000));
        node.kill9();
        still_before(start + 6_000, "a pause ended before the node was dead");
        // The pause of `slept` ends, and the skipped time passes, while nobody is there.
        wait_until(start + 7_500);
        let _node = bed.start("b");
        assert!(bed.ended(&race, DEADLINE), "{:#?}", bed.runs());
        let runs = bed.runs();
        let times: Vec<i64> = race.window.times().collect();
        for entry in &race.entries {
            assert_on_record(&times, entry, &runs);
        }
        for (entry, fires) in [(awake, 3), (slept, 6)] {
            let ranges: Vec<_> = of(&runs, entry).into_iter().filter(|run| run["reason"] == "paused").collect();
            assert_eq!((ranges.len(), ranges[0]["fires"].as_u64()), (1, Some(fires)), "{ranges:#?}");
            assert_eq!(text(ranges[0], "state"), "skipped");
        }
        let asked: BTreeSet<i64> = of(&runs, skipped)
            .into_iter()
            .filter(|run| run["reason"] == "skip_asked")
            .map(|run| instant(text(run, "fire_at")) - start)
            .collect();
        assert_eq!(asked, [2_000, 6_000].into());
        let verdict = bed.verdict(&race, Deaths::Some);
        assert!(verdict.doubled.is_empty() && verdict.early.is_empty(), "{verdict:#?}");
    });
}

#[test]
fn a_backfill_runs_each_pair_once_although_its_node_is_killed() {
    patiently(|| {
        let bed = Bed::new();
        let mut node = bed.start("a");
        let more = "catch_up = { mode = \"all\", per_minute = 240 }";
        let race = bed.race_in(bed.room_ms(2), 1, 6, &bed.command("sleep 0.1"), more);
        let entry = &race.entries[0];
        let times: Vec<i64> = race.window.times().collect();
        bed.user.ok(&["pause", entry]);
        still_before(times[0], "the first fire time passed before the pause");
        wait_until(race.window.end_ms() + 200);
        bed.user.ok(&["resume", entry]);
        let (from, to) = (rfc3339(times[0]), rfc3339(times[5]));
        let ask = ["backfill", entry, "--from", &from, "--to", &to, "--request-id", "r"];
        let listed = bed.user.json(&[&ask[..6], &["--dry-run"][..]].concat());
        assert_eq!(listed["fire_times"].as_array().unwrap().len(), 6);
        let done = bed.user.json(&ask);
        assert_eq!((&done["runs"], &done["left_out"]), (&6.into(), &0.into()));
        wait_for("the second has begun", DEADLINE, || bed.lines().len() >= 2);
        node.kill9();
        assert_eq!(bed.user.json(&ask), done, "the same request");
        let _node = bed.start("b");
        let ran = || of(&bed.runs(), entry).iter().filter(|run| run["trigger"] == "backfill").count();
        let ended = || of(&bed.runs(), entry).iter().filter(|run| run["state"] == "succeeded").count();
        wait_for("all of it has run", DEADLINE, || ended() == 6);
        assert_eq!(ran(), 6);
        let verdict = bed.verdict(&race, Deaths::Some);
        let executed: BTreeSet<(i64, String)> =
            bed.lines().into_iter().map(|line| (line.fire_at, line.run_id)).collect();
        assert_eq!(executed.iter().map(|(time, _)| *time).collect::<Vec<_>>(), times, "one run id a pair");
        assert!(verdict.repeated.is_empty() && verdict.early.is_empty(), "{verdict:#?}");
        let order: Vec<i64> =
            bed.lines().into_iter().filter(|line| line.attempt == 1).map(|line| line.fire_at).collect();
        assert!(order.is_sorted(), "oldest first: {order:?}");
    });
}

#[test]
fn resume_from_and_add_from_catch_up_once_although_nodes_come_and_go() {
    patiently(|| {
        let bed = Bed::new();
        let mut node = bed.start("a");
        let race = bed.race(
            1,
            16,
            &bed.command("true"),
            "overlap = \"allow\"\ncatch_up = { mode = \"all\", per_minute = 600 }",
        );
        let (entry, start) = (&race.entries[0], race.window.start_ms);
        wait_until(start + 500);
        let before_ms = now_ms();
        bed.user.ok(&["pause", entry]);
        let after_ms = now_ms();
        still_before(start + 3_000, "the pause came too late");
        wait_until(start + 9_500);
        node.kill9();
        let from = rfc3339(start + 4_000);
        bed.user.ok(&["resume", entry, "--from", &from]);
        let (phase, end) = (rfc3339(start), rfc3339(start + 16_000));
        let command = bed.command("true");
        let all = "{\"mode\": \"all\", \"per_minute\": 600}";
        bed.user.ok(&[
            "add",
            "late",
            "--every",
            "1s",
            "--start",
            &phase,
            "--end",
            &end,
            "--from",
            &from,
            "--overlap",
            "allow",
            "--catch-up",
            all,
            "--exec",
            &command,
        ]);
        still_before(start + 15_000, "the last fire time passed before it was added");
        let seen = bed.lines().len();
        node = bed.start("b");
        wait_for("b works", DEADLINE, || bed.lines().len() > seen);
        node.kill9();
        let _node = bed.start("c");
        let sum =
            |entry: &str| -> u64 { of(&bed.runs(), entry).iter().map(|run| run["fires"].as_u64().unwrap()).sum() };
        let is_active = |run: &Value| run["finished_at"].is_null();
        wait_for("all is on record", DEADLINE, || {
            sum(entry) >= 16 && sum("late") >= 12 && !bed.runs().iter().any(is_active)
        });
        let runs = bed.runs();
        let times: Vec<i64> = race.window.times().collect();
        assert_on_record(&times, entry, &runs);
        assert_on_record(&times[4..], "late", &runs);
        let skipped: Vec<_> = of(&runs, entry).into_iter().filter(|run| run["state"] == "skipped").collect();
        assert_eq!(skipped.len(), 1, "{skipped:#?}");
        let (first, last) = (instant(text(skipped[0], "fire_at")), instant(text(skipped[0], "last_fire_at")));
        assert_eq!(last, start + 3_000, "from where it was resumed on nothing is skipped");
        assert!((before_ms..=after_ms + 1_000).contains(&first), "what passed since the pause: {skipped:#?}");
        assert!(of(&runs, "late").iter().all(|run| run["state"] == "succeeded"), "{runs:#?}");
        assert!(runs.iter().any(|run| run["trigger"] == "catch_up"));
    });
}

#[test]
fn a_trigger_gives_its_payload_and_arguments_to_every_kind_and_moves_no_fire_time() {
    let bed = Bed::new();
    let _node = bed.steady("a").allow("exec,shell").start_live(&bed.user);
    let heard = Heard::start();
    let url = format!("{{\"method\": \"POST\", \"url\": \"{}\"}}", heard.url());
    bed.user.ok(&[
        "add",
        "e",
        "--every",
        "1h",
        "--payload",
        "usual",
        "--",
        "sh",
        "-c",
        "cat; echo \" $*\"",
        "sh",
        "own",
    ]);
    bed.user.ok(&["add", "s", "--every", "1h", "--payload", "usual", "--shell", "cat; echo \" $*\""]);
    bed.user.ok(&["add", "h", "--every", "1h", "--payload", "usual", "--http", &url]);
    bed.user.ok(&["add", "l", "--every", "1h", "--payload", "usual", "--list", "out"]);
    let next = |entry: &str| bed.user.json(&["show", entry])["next_fire_at"].clone();
    for entry in ["e", "s", "h", "l"] {
        let before = next(entry);
        bed.user.ok(&["trigger", entry, "--wait=60s"]);
        bed.user.ok(&["trigger", entry, "--payload", "{\"x\": 1}", "--wait=60s"]);
        bed.user.ok(&["trigger", entry, "--overlap", "allow", "--wait=60s"]);
        assert_eq!(next(entry), before, "{entry}");
    }
    let output = |args: &[&str]| {
        let run = bed.user.json(&[&["trigger"], args].concat());
        bed.wait_ended(args[0]);
        bed.user.json(&["logs", text(&run, "run_id")])["output"].as_str().unwrap().trim().to_owned()
    };
    assert_eq!(output(&["e", "--payload", "{\"x\": 1}", "--", "more", "args"]), "{\"x\":1} own more args");
    assert_eq!(output(&["s", "--payload", "text", "--", "more"]), "text more");
    assert_eq!(output(&["e"]), "usual own");
    let bodies = heard.bodies();
    assert_eq!(bodies, ["usual", "{\"x\":1}", "usual"]);
    let sent = bed.server.cli(&["LRANGE", "out", "0", "-1"]);
    assert!(sent.contains("\"payload\":\"usual\"") && sent.contains("\"payload\":{\"x\":1}"), "{sent}");
    for (entry, args) in [("h", &["--", "x"][..]), ("l", &["--", "x"]), ("l", &["--overlap", "skip"])] {
        assert_eq!(bed.user.error(2, &[&["trigger", entry], args].concat())["code"], "invalid");
    }
}
