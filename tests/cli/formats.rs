//! `-o json|jsonl|id` of every command: one document, a line per item, bare ids; on an error one object and nothing else.

use serde_json::Value;

use crate::habits::paths;
use crate::support::cli::{Outcome, Upbeat};
use crate::support::node::node;
use crate::support::redis::RedisServer;
use crate::support::wait::{DEADLINE, wait_for};
use crate::user_of;

/// Every command that answers, in an order in which each finds what it needs; `ID` is an entry of its own for each format.
const ANSWERS: &[&str] = &[
    "add ID --cron @daily --overlap allow --publish c",
    "add ID.exec --every 1h --retry max_attempts=1 -- false",
    "set ID --labels team=x",
    "show ID",
    "ls",
    "ls nothing-begins-so",
    "next ID",
    "next --cron @daily --count 2",
    "pause ID",
    "resume ID",
    "skip ID",
    "skip ID --undo",
    "trigger ID",
    "once --publish c",
    "trigger ID.exec --wait=60s",
    "runs",
    "runs ID",
    "runs show ID",
    "why ID",
    "logs ID.exec",
    "dead",
    "dead ls",
    "dead show ID.exec",
    "dead retry ID.exec --dry-run",
    "retry ID.exec --dry-run",
    "dead purge ID.exec",
    "events",
    "audit",
    "audit ID",
    "nodes",
    "queues",
    "calendars",
    "calendars put ID -f dates",
    "calendars show ID",
    "calendars rm ID",
    "lint -f jobs.toml",
    "plan -f jobs.toml",
    "apply -f jobs.toml",
    "forecast",
    "namespaces",
    "acl",
    "doctor",
    "doctor --accept-clock --dry-run",
    "export",
    "import crontab cron",
    "import celery beat.json",
    "import k8s cron",
    "rm ID",
];

/// What may stand in a line of `-o id`.
fn is_bare(line: &str) -> bool {
    !line.is_empty() && !line.contains([' ', '\t', '{', '"'])
}

fn offence(line: &str, format: &str, told: &Outcome) -> Option<String> {
    let text = told.stdout.as_str();
    let is_right = match format {
        "json" => serde_json::from_str::<Value>(text).is_ok(),
        "jsonl" => text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok_and(|one| !one.is_array())),
        _ => text.lines().all(is_bare),
    };
    // A trigger that failed, an audit that found something: the answer is no, and an answer.
    let is_answer = matches!(told.code, Some(0 | 1));
    let is_silent = format == "id" || told.stderr.lines().all(|line| line.starts_with("warning: "));
    (!is_right || !is_answer || !is_silent)
        .then(|| format!("{line} -o {format}: {:?}\n{text}{}", told.code, told.stderr))
}

#[test]
fn every_command_answers_in_every_format() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    let _node = node("n", server.url()).start_live(&user);
    user.file("dates", "2026-12-25\n");
    user.file("jobs.toml", "[entries.filed]\nevery = '1h'\nshell = 'true'\n");
    user.file("cron", "*/5 * * * * true\n");
    let beat = r#"{"upbeat_export": 1, "entries": [{"definition": {"name": "a", "task": "t", "schedule": {"__type__": "interval", "every": 5}}}]}"#;
    user.file("beat.json", beat);
    let mut offences = Vec::new();
    for format in ["json", "jsonl", "id"] {
        for line in ANSWERS {
            let line = line.replace("ID", &format!("as-{format}"));
            let words: Vec<&str> = line.split(' ').collect();
            // Common flags stand before `--`, wherever else.
            let words = [&["-o", format][..], &words].concat();
            offences.extend(offence(&line, format, &user.run(&words)));
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
    let seen: Vec<&str> = ANSWERS.iter().flat_map(|line| line.split(' ').next()).collect();
    for path in paths(&user) {
        let name = path.split(' ').next().unwrap_or_default();
        // These print no answer but a file, a page, a log or a measure, or have tests of their own; the others stand above.
        let is_other = ["dev", "node", "bench", "completions", "man", "cancel", "backfill"].contains(&name)
            || ["schema", "revisions", "rollback"].contains(&name);
        assert!(is_other || seen.contains(&name), "{path} is in no format");
    }
}

#[test]
fn lists_have_a_line_per_item_and_their_ids() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    for id in ["a", "b", "c"] {
        user.ok(&["add", id, "--every", "1h", "--overlap", "allow", "--publish", "x"]);
        user.ok(&["trigger", id]);
    }
    assert_eq!(user.ok(&["ls", "-o", "id"]), "a\nb\nc\n");
    for list in ["ls", "runs", "events"] {
        let document = user.json(&[list]);
        let lines: Vec<Value> =
            user.ok(&[list, "-o", "jsonl"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(document, Value::Array(lines), "{list}");
        let ids = user.ok(&[list, "-o", "id"]);
        assert_eq!(ids.lines().count(), document.as_array().unwrap().len(), "{list}");
    }
    let ids = user.ok(&["runs", "-o", "id"]);
    for id in ids.lines() {
        assert_eq!(user.json(&["runs", "show", id])["run_id"], id);
    }
}

#[test]
fn an_error_is_one_object_and_nothing_else_under_every_format_for_programs() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1h", "--overlap", "allow", "--", "true"]);
    let nowhere = Upbeat::at("redis://127.0.0.1:1");
    for format in ["json", "jsonl"] {
        for (user, args, code, word) in [
            (&user, &["show", "nobody"][..], 3, "not_found"),
            (&user, &["add", "a", "--every", "1h", "--", "true"], 4, "conflict"),
            (&user, &["add", "b", "--every", "1s5", "--", "true"], 2, "invalid"),
            (&user, &["runs", "--nonsense"], 2, "invalid"),
            (&user, &["import"], 2, "invalid"),
            (&user, &[], 2, "invalid"),
            (&user, &["trigger", "a", "--wait=100ms"], 6, "timed_out"),
            (&nowhere, &["ls"], 5, "unavailable"),
        ] {
            let words = [&["-o", format][..], args].concat();
            let told = user.run(&words).expect_code(code);
            assert_eq!(told.stdout, "", "{words:?}");
            assert_eq!(told.stderr.lines().count(), 1, "{words:?}: {}", told.stderr);
            let object: Value = serde_json::from_str(&told.stderr).unwrap();
            let error = &object["error"];
            assert_eq!(
                (error["code"].as_str(), error["message"].is_string()),
                (Some(word), true),
                "{words:?}: {error}"
            );
            for key in ["field", "value", "hint"] {
                assert!(error.get(key).is_some(), "{words:?}: {key}");
            }
        }
    }
}

#[test]
fn reasons_are_those_of_the_contract_and_no_others() {
    let contract = "delivered \
        exit signal timeout http_status connect target target_full panic refused lost drained \
        overlap paused skip_asked superseded too_late catch_up_limit changed removed \
        by_user cancel_other entry_removed until limit pace no_node";
    let mut contract: Vec<&str> = contract.split_whitespace().collect();
    let mut known: Vec<&str> = upbeat::domain::run::Reason::ALL.iter().map(|reason| reason.word()).collect();
    // Nobody is named by the state of a queue, not of a run.
    if !known.contains(&"no_node") {
        known.push("no_node");
    }
    contract.sort_unstable();
    known.sort_unstable();
    assert_eq!(known, contract);
}

#[test]
fn a_reader_that_has_seen_enough_hears_no_complaint() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    let mut command = user.command();
    command.args(["next", "--cron", "* * * * *", "--count", "10000"]);
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let told = child.wait_with_output().unwrap();
    assert_eq!((told.status.code(), told.stderr.len()), (Some(0), 0), "{}", String::from_utf8_lossy(&told.stderr));
}

/// Whether a process has a handler for SIGINT.
pub fn hears_interrupts(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 2 != 0)
}

#[test]
fn ctrl_c_while_waiting_ends_with_130_and_the_run_goes_on() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1h", "--", "true"]);
    let mut command = user.command();
    command.args(["trigger", "a", "--wait"]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    crate::support::guard::watch(&child);
    // The run stands in Redis before anybody waits for it; Ctrl-C is heard from when it is waited for.
    wait_for("the run is there", DEADLINE, || user.json(&["runs", "a"]).as_array().unwrap().len() == 1);
    wait_for("it hears Ctrl-C", DEADLINE, || hears_interrupts(child.id()));
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let told = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert_eq!(user.json(&["runs", "a"])[0]["state"], "queued");
    assert_eq!(told.status.code(), Some(130), "{said}");
    assert!(said.contains("stopped waiting; the run stays queued (upbeat cancel a)"), "{said}");
}
