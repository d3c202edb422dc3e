//! Queues by the command line: limits, pauses, what is refused, and files that name them.

use serde_json::{Value, json};

use crate::refused;
use crate::support::redis::RedisServer;
use crate::user_of;

#[test]
fn a_queue_is_limited_paused_listed_resumed_and_freed() {
    let server = RedisServer::fresh();
    let user = user_of(&server).env("UPBEAT_ACTOR", "ana");
    user.ok(&["add", "a", "--every", "1h", "--queue", "reports", "--overlap", "allow", "--", "true"]);
    assert_eq!(
        user.ok(&["queues", "set", "reports", "--max-running", "5", "--rate", "100/60s"]),
        "changed queue reports · max_running 5, rate 100/1m\n"
    );
    assert_eq!(
        user.ok(&["queues", "set", "reports", "--max-running", "5"]),
        "unchanged queue reports · max_running 5, rate 100/1m\n"
    );
    let paused = user.json(&["queues", "pause", "reports", "--reason", "the database moves"]);
    let change = &paused["changes"][0];
    assert_eq!(
        (&change["id"], &change["change"], &change["fields"]),
        (&json!("reports"), &json!("changed"), &json!(["paused"]))
    );
    assert_eq!(paused["warnings"], json!([]));
    let queue = &user.json(&["queues"])[0];
    assert_eq!((&queue["max_running"], &queue["rate"]), (&json!(5), &json!("100/1m")));
    assert_eq!(
        (&queue["paused_by"]["actor"], &queue["paused_by"]["reason"]),
        (&json!("ana"), &json!("the database moves"))
    );
    let table = user.run(&["queues"]).expect_code(0);
    assert!(table.stdout.contains("0/5") && table.stdout.contains("paused by ana"), "{}", table.stdout);
    assert!(table.stderr.contains("the database moves") && table.stderr.contains("upbeat queues resume reports"));

    let run = user.json(&["trigger", "a"]);
    assert_eq!(run["state"], "queued");
    let listed = user.json(&["ls", "--warnings"]);
    assert!(listed[0]["warnings"].to_string().contains("queue reports is paused by ana"), "{listed}");
    user.ok(&["queues", "resume", "reports"]);
    assert_eq!(user.json(&["queues"])[0]["paused_by"], Value::Null);
    let freed = user.ok(&["queues", "set", "reports", "--unset", "max-running,rate"]);
    assert_eq!(freed, "changed queue reports · no limits\n");
    let events = user.json(&["events", "--limit", "0"]);
    let types: Vec<&str> = events.as_array().unwrap().iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(types.iter().filter(|kind| kind.starts_with("queue_")).count(), 4, "{types:?}");
}

#[test]
fn a_dry_run_changes_nothing_and_a_repeated_request_is_answered_as_the_first_time() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    let dry = user.run(&["queues", "set", "q", "--max-running", "2", "--dry-run"]).expect_code(0);
    assert_eq!(dry.stdout, "would be changed queue q · max_running 2\n");
    assert!(dry.stderr.contains("no entry has used queue q yet"), "{}", dry.stderr);
    assert_eq!(user.json(&["queues"]), json!([]));
    let set = ["queues", "set", "q", "--max-running", "2", "--request-id", "r1"];
    let first = user.json(&set);
    user.ok(&["queues", "set", "q", "--max-running", "7"]);
    assert_eq!(user.json(&set), first);
    assert_eq!(user.json(&["queues"])[0]["max_running"], 7);
    let error = user.error(4, &["queues", "set", "q", "--max-running", "3", "--request-id", "r1"]);
    assert_eq!(error["field"], "request-id");
}

#[test]
fn what_can_not_be_meant_is_refused_with_a_way_out() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    for (args, words, way_out) in [
        (&["--rate", "100"][..], "error: rate: 100 has no span", "100/1m"),
        (&["--rate", "100/"], "error: rate: 100/ has no span behind the /", "100/1m"),
        (&["--rate", "0/1m"], "error: rate: 0 lets nothing start", "queues pause"),
        (&["--rate", "5/0s"], "error: rate: 0s is not between 1s and 366d", ""),
        (&["--rate", "-5/1m"], "error: rate: \"-5\" is not a number of starts", "100/1m"),
        (&["--max-running", "0"], "error: max-running: 0 is not between 1 and 10000", "queues pause"),
        (&["--max-running", "many"], "error: max-running: \"many\" is not a whole number", ""),
        (
            &["--unset", "max_runing"],
            "error: unset: \"max_runing\" is no limit of a queue",
            "did you mean max_running?",
        ),
        (&["--rate", "5/1m", "--unset", "rate"], "error: rate: is set and unset at once", ""),
        (&[], "error: queues set: --max-running, --rate or --unset is needed", "upbeat queues set Q"),
    ] {
        let args: Vec<&str> = ["queues", "set", "q"].iter().chain(args).copied().collect();
        let (line, hint) = refused(&user, 2, &args);
        assert!(line.starts_with(words) && hint.contains(way_out), "{args:?}: {line}\n{hint}");
    }
    refused(&user, 2, &["queues", "pause", "Bad Name"]);
    refused(&user, 2, &["queues", "stop", "q"]);
    assert_eq!(user.json(&["queues"]), json!([]));
}

#[test]
fn a_file_limits_its_queues_leaves_others_alone_and_comes_out_of_export_again() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    let file = "[queues.reports]\nmax_running = 5\nrate = \"100/1m\"\n\n[entries.a]\nevery = \"1h\"\nexec = [\"true\"]\nqueue = \"reports\"\n";
    user.file("jobs.toml", file);
    user.ok(&["queues", "set", "other", "--max-running", "2"]);
    let dry = user.ok(&["apply", "-f", "jobs.toml", "--dry-run"]);
    assert!(dry.contains("would be changed queue reports · max_running 5, rate 100/1m"), "{dry}");
    assert_eq!(user.json(&["queues"]).as_array().unwrap().len(), 1);
    let plan = user.ok(&["plan", "-f", "jobs.toml"]);
    assert!(plan.contains("~ queue reports  max_running 5, rate 100/1m"), "{plan}");
    let applied = user.json(&["apply", "-f", "jobs.toml"]);
    user.run(&["plan", "-f", "jobs.toml", "--exit-code"]).expect_code(0);
    assert_eq!(applied["queues"][0]["fields"], json!(["max_running", "rate"]));
    user.ok(&["queues", "pause", "reports"]);
    assert_eq!(user.json(&["apply", "-f", "jobs.toml"])["queues"][0]["change"], "unchanged");
    let queues = user.json(&["queues"]);
    assert_eq!((&queues[0]["max_running"], &queues[1]["rate"]), (&json!(2), &json!("100/1m")));
    assert!(!queues[1]["paused_by"].is_null(), "a file resumes nothing");

    let one = user.ok(&["export", "a"]);
    assert!(one.contains("[queues.reports]\nmax_running = 5\nrate = \"100/1m\"\n") && !one.contains("other"), "{one}");
    let told = user.run(&["export"]).expect_code(0);
    assert_eq!(told.stderr, "warning: reports: a paused queue: a file can't say so, upbeat queues pause Q\n");
    let all = told.stdout;
    assert!(all.contains("[queues.other]\nmax_running = 2\n"), "{all}");
    let document = user.json(&["export", "a"]);
    assert_eq!(document["queues"], json!({"reports": {"max_running": 5, "rate": "100/1m"}}));
    let fresh = RedisServer::fresh();
    let again = user_of(&fresh);
    again.file("all.toml", &all);
    again.ok(&["apply", "-f", "all.toml"]);
    assert_eq!(again.ok(&["export"]), all);

    user.file("jobs.toml", &file.replace("rate = \"100/1m\"\n", ""));
    assert_eq!(user.json(&["apply", "-f", "jobs.toml"])["queues"][0]["fields"], json!(["rate"]));
}

#[test]
fn a_bad_limit_in_a_file_is_named_with_its_line_and_nothing_is_written() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    let entry = "[entries.a]\nevery = \"1h\"\nexec = [\"true\"]\n";
    for (table, words) in [
        ("[queues.q]\nmax_runing = 5\n", "jobs.toml:5: queues.q.max_runing: unknown field"),
        ("[queues.q]\nrate = \"100\"\n", "jobs.toml:5: queues.q.rate: 100 has no span"),
        ("[queues.q]\nmax_running = \"5\"\n", "jobs.toml:5: queues.q.max_running: "),
        ("[queues.q]\npaused = true\n", "jobs.toml:5: queues.q.paused: a file neither pauses nor resumes a queue"),
    ] {
        user.file("jobs.toml", &format!("{entry}{table}"));
        let outcome = user.run(&["apply", "-f", "jobs.toml"]).expect_code(2);
        assert!(outcome.stderr.contains(words), "{table}: {}", outcome.stderr);
    }
    assert_eq!((user.json(&["queues"]), user.json(&["ls"])), (json!([]), json!([])));
}

#[test]
fn why_names_the_pause_and_who_made_it() {
    let server = RedisServer::fresh();
    let user = user_of(&server).env("UPBEAT_ACTOR", "ana");
    let node = crate::support::node::node("n", server.url());
    let _node = node.start_live(&user);
    user.ok(&["add", "a", "--every", "1h", "--queue", "reports", "--", "true"]);
    user.ok(&["queues", "pause", "reports", "--reason", "the database moves"]);
    user.ok(&["trigger", "a"]);
    let why = user.json(&["why", "a"]);
    assert_eq!(why["reason"], "limit", "{why}");
    let text = user.ok(&["why", "a"]);
    assert!(text.contains("queue reports is paused by ana since") && text.contains("(the database moves)"), "{text}");
    assert_eq!(why["do"][0], "upbeat queues resume reports");
    user.ok(&["queues", "resume", "reports"]);
    let is_done = || user.json(&["runs", "a"])[0]["state"] == "succeeded";
    crate::support::wait::wait_for("it runs", crate::support::wait::DEADLINE, is_done);
}
