//! A take-over and a hand-back that are killed with `kill -9` between any two of their steps, and asked for again.

use std::process::Stdio;

use crate::bed::Bed;
use crate::support::guard;
use crate::support::patience::patiently;
use crate::support::proxy::{Fate, Proxy};
use crate::support::redbeat::Beat;
use crate::support::wait::{DEADLINE, wait_for};

/// Between two fires, ms: longer than a killed command takes to be asked for again.
const EVERY_MS: i64 = 10_000;
/// How late a beat may be that looks once a second, and a switch that was killed, ms.
const LATE_MS: i64 = 9_500;

/// Runs a command through a proxy that swallows the answer to `label`, and kills it there.
#[track_caller]
fn killed_at(bed: &Bed, label: &str, fate: Fate, args: &[&str]) {
    let proxy = Proxy::before(&bed.redis);
    proxy.meet(label, 1, fate);
    let url = proxy.url();
    let mut words = vec!["import", "redbeat", url.as_str()];
    words.extend(args);
    let mut command = bed.user.command();
    let log_file = bed.user.dir().join("killed.log");
    let log = std::fs::File::create(&log_file).unwrap();
    command.env("UPBEAT_REDIS", &url).args(&words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut child = command.spawn().unwrap();
    guard::watch(&child);
    wait_for(&format!("{words:?} comes to {label}"), DEADLINE, || {
        let is_there = proxy.hits(label) > 0;
        let has_ended = !is_there && child.try_wait().unwrap().is_some() && proxy.hits(label) == 0;
        assert!(!has_ended, "{words:?} ended before {label}:\n{}", std::fs::read_to_string(&log_file).unwrap());
        is_there
    });
    let _ = child.kill();
    guard::reap(&mut child);
}

#[test]
fn killed_between_any_two_steps_it_goes_on_and_no_fire_is_doubled_or_lost() {
    patiently(killed_between_any_two_steps);
}

fn killed_between_any_two_steps() {
    let Some(mut bed) = Bed::new() else { return };
    bed.save("import time\nfor n in range(10):\n\x20   save(f'e-{n}', schedule(10.0))\n\x20   time.sleep(0.2)");
    let names: Vec<String> = (0..10).map(|number| format!("e-{number}")).collect();
    let mut first = Beat::start(&bed.python, &bed.redis, &serde_json::Value::Null);
    bed.start_node();
    bed.wait_each(&names, true, 1);
    let mut second = Beat::start(&bed.python, &bed.redis, &serde_json::Value::Null);
    let url = bed.url();

    // After the step that stops RedBeat; before anything is written here; after all is, before that is noted; after that.
    killed_at(&bed, "redbeat_take", Fate::SwallowReply, &["--take-over"]);
    killed_at(&bed, "HINCRBY", Fate::CutRequest, &["--take-over"]);
    killed_at(&bed, "redbeat_mark", Fate::CutRequest, &["--take-over"]);
    killed_at(&bed, "redbeat_mark", Fate::SwallowReply, &["--take-over"]);
    let taken = bed.user.json(&["import", "redbeat", &url, "--take-over"]);
    assert_eq!(taken["state"], "unchanged");
    bed.wait_each(&names, false, 1);
    assert!(first.has_ended());

    // After a beat may run again; when upbeat has paused; before and after RedBeat goes on.
    killed_at(&bed, "redbeat_open", Fate::SwallowReply, &["--hand-back"]);
    killed_at(&bed, "put", Fate::SwallowReply, &["--hand-back"]);
    killed_at(&bed, "redbeat_give", Fate::CutRequest, &["--hand-back"]);
    killed_at(&bed, "redbeat_give", Fate::SwallowReply, &["--hand-back"]);
    let told = bed.user.error(4, &["import", "redbeat", &url, "--hand-back"]);
    assert!(told["message"].as_str().unwrap().contains("given back already"), "{told}");
    bed.wait_each(&names, true, 1);

    bed.rest(&mut second);
    bed.counts_agree(&names);
    names.iter().for_each(|name| bed.is_in_phase(name, EVERY_MS, LATE_MS));
}

#[test]
fn a_beat_that_is_killed_instead_loses_nothing_either() {
    patiently(a_beat_is_killed_instead);
}

fn a_beat_is_killed_instead() {
    let Some(mut bed) = Bed::new() else { return };
    bed.save("save('tick', schedule(3.0))");
    let names = ["tick".to_owned()];
    let mut first = Beat::start(&bed.python, &bed.redis, &serde_json::Value::Null);
    bed.start_node();
    bed.wait_each(&names, true, 1);
    // Right after a fire was sent: in between RedBeat itself would lose one.
    first.kill9();
    bed.user.json(&["import", "redbeat", &bed.url(), "--take-over"]);
    bed.wait_each(&names, false, 2);
    let mut second = Beat::start(&bed.python, &bed.redis, &serde_json::Value::Null);
    bed.user.json(&["import", "redbeat", &bed.url(), "--hand-back"]);
    bed.wait_each(&names, true, 1);
    bed.rest(&mut second);
    bed.counts_agree(&names);
    bed.is_in_phase("tick", 3_000, 1_400);
}

#[test]
fn what_a_take_over_still_wants_to_write_is_refused_after_the_hand_back() {
    let Some(bed) = Bed::new() else { return };
    bed.save("save('e', schedule(60.0))");
    // It is cut off before it writes here, by the request that a slow one would write with later.
    killed_at(&bed, "redbeat_take", Fate::SwallowReply, &["--take-over", "--without-nodes", "--request-id", "one"]);
    let given = bed.user.json(&["import", "redbeat", &bed.url(), "--hand-back", "--no-wait"]);
    assert_eq!(given["state"], "given");
    bed.user.file("late.json", r#"{"entries": {"e": {"every": "1m", "celery": "app.record"}}}"#);
    let told = bed.user.error(4, &["apply", "-f", "late.json", "--request-id", "upbeat-one"]);
    assert_eq!(told["field"], "request-id", "{told}");
    assert_eq!(bed.user.json(&["ls"]), serde_json::json!([]), "RedBeat fires it, and nobody else");
}
