//! A Redis that dies and comes back with all it acknowledged.

use crate::bed::{Bed, DEADLINE, is_gone, now_ms, patiently, still_before, wait_until};
use crate::support::node::node;
use crate::support::proxy::{Fate, Proxy};
use crate::support::wait::wait_for;
use crate::verdict::{Deaths, assert_on_record, instant, text};

#[test]
fn a_redis_that_is_killed_and_restarted_loses_and_doubles_nothing() {
    patiently(|| {
        let mut bed = Bed::new();
        let mut nodes = ["a", "b"].map(|name| bed.steady(name).start_live(&bed.user));
        let race = bed.race(12, 9, &bed.command("sleep 0.2"), "overlap = \"allow\"\ncatch_up = \"all\"");
        // At different places within the second: around a fire time, and while commands run or end.
        for at_ms in [2_003, 4_150, 6_250, 7_990] {
            wait_until(race.window.start_ms + at_ms);
            bed.server.restart();
        }
        assert!(bed.ended(&race, DEADLINE), "{:#?}", bed.verdict(&race, Deaths::None));
        bed.verdict(&race, Deaths::None).assert_clean();
        assert!(nodes.iter_mut().all(|node| node.status().is_none()), "a node has given up");
    });
}

#[test]
fn what_runs_outlives_a_redis_that_is_away_for_longer_than_a_lease() {
    patiently(|| {
        const AWAY_MS: i64 = 7_500;
        let mut bed = Bed::new();
        let mut nodes = ["a", "b"].map(|name| bed.start(name));
        let long = bed.command("until [ -e go ]; do sleep 0.05; done");
        let dir = bed.user.dir().display().to_string();
        bed.user.ok(&["add", "long", "--every", "1h", "--cwd", &dir, "--exec", &long]);
        bed.user.ok(&["trigger", "long"]);
        wait_for("the long run runs", DEADLINE, || bed.lines().len() == 1);

        let race = bed.race(2, 12, "[\"true\"]", "catch_up = \"none\"");
        wait_until(race.window.start_ms + 1_500);
        bed.server.kill();
        let gone_ms = now_ms();
        wait_until(gone_ms + AWAY_MS);
        bed.server.restart();
        still_before(race.window.end_ms() - 2_000, "all fire times passed without Redis");
        for node in &nodes {
            let is_back = || node.log().contains("not ready") && node.log().contains("ready again");
            wait_for(&format!("{} is back by itself", node.name()), DEADLINE, is_back);
        }
        assert!(bed.ended_beside(&race, "long", DEADLINE), "{:#?}", bed.runs());

        bed.user.file("go", "");
        let run = bed.wait_state("long", "succeeded", DEADLINE);
        assert_eq!((&run["attempt"], &run["lost"]), (&1.into(), &0.into()), "{run:#}");
        assert_eq!(bed.lines().len(), 1, "it was executed once");

        let runs = bed.runs();
        let times: Vec<i64> = race.window.times().collect();
        for entry in &race.entries {
            assert_on_record(&times, entry, &runs);
            let late = runs.iter().filter(|run| run["entry_id"] == entry.as_str() && run["state"] == "missed");
            let late: Vec<_> = late.collect();
            assert!(!late.is_empty() && late.iter().all(|run| text(run, "reason") == "too_late"), "{late:#?}");
            for run in late {
                let age_ms = instant(text(run, "finished_at")) - instant(text(run, "last_fire_at"));
                assert!((5_001..=6_000).contains(&age_ms), "what is older than 5 s is late, nothing else: {run:#}");
            }
        }
        assert!(nodes.iter_mut().all(|node| node.status().is_none()));
    });
}

#[test]
fn a_run_that_ends_while_redis_is_away_keeps_its_outcome() {
    let mut bed = Bed::new();
    let node = bed.steady("a").start_live(&bed.user);
    let dir = bed.user.dir().display();
    let command =
        bed.command(&format!("echo $$ > {dir}/pid; echo said it; until [ -e {dir}/go ]; do sleep 0.05; done; exit 7"));
    bed.user.ok(&["add", "job", "--every", "1h", "--exec", &command]);
    bed.user.ok(&["trigger", "job"]);
    let group = bed.pid_in("pid");
    bed.server.kill();
    bed.user.file("go", "");
    wait_for("the command has ended", DEADLINE, || is_gone(group));
    wait_for("the node has noticed", DEADLINE, || node.log().contains("not ready"));
    bed.server.restart();
    let run = bed.wait_state("job", "failed", DEADLINE);
    assert_eq!((&run["exit_code"], &run["attempt"]), (&7.into(), &1.into()), "{run:#}");
    assert!(bed.user.ok(&["logs", "job"]).contains("said it"), "its output is kept too");
    assert_eq!(bed.lines().len(), 1);
}

#[test]
fn a_connection_that_is_cut_while_output_is_stored_does_not_lose_it() {
    let bed = Bed::new();
    let proxy = Proxy::before(&bed.server);
    let _node = node("a", proxy.url()).start_live(&bed.user);
    let (first, second) = ("echo first > $UPBEAT_RESULT; echo said it", "echo $UPBEAT_LAST_RESULT");
    let script = format!("if [ \"$UPBEAT_LAST_STATE\" = '' ]; then {first}; else {second}; fi");
    bed.user.ok(&["add", "job", "--every", "1h", "--shell", &script]);
    proxy.meet("keep_output", 1, Fate::CutRequest);
    proxy.meet("HSET", 1, Fate::CutRequest);
    bed.user.ok(&["trigger", "job"]);
    proxy.wait_hits("keep_output", 1, DEADLINE);
    assert_eq!(bed.wait_ended("job")["state"], "succeeded");
    assert!(bed.user.ok(&["logs", "job"]).contains("said it"));
    assert_eq!(proxy.hits("HSET"), 1, "the result was cut once, too");
    bed.user.ok(&["trigger", "job"]);
    wait_for("the second run has ended", DEADLINE, || bed.user.json(&["runs", "job"])[1]["finished_at"].is_string());
    bed.wait_ended("job");
    assert!(bed.user.ok(&["logs", "job"]).contains("first"), "the next run is told the result");
}

#[test]
fn a_connection_that_is_cut_while_a_run_is_prepared_does_not_fail_it() {
    let bed = Bed::new();
    let proxy = Proxy::before(&bed.server);
    let node = node("a", proxy.url()).start_live(&bed.user);
    bed.user.ok(&["add", "job", "--every", "1h", "--exec", &bed.command("true")]);
    // The node reads the entry after it has fetched the run.
    proxy.cut_reply_of("HMGET");
    bed.user.ok(&["trigger", "job"]);
    proxy.wait_hits("HMGET", 1, DEADLINE);
    let run = bed.wait_ended("job");
    assert_eq!((&run["state"], &run["attempt"]), (&"succeeded".into(), &1.into()), "{run:#}\n{}", node.log());
    assert_eq!(bed.lines().len(), 1);
}
