//! What runs write, followed from elsewhere while they write it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::bed::{Bed, DEADLINE};
use crate::support::guard;
use crate::support::wait::wait_for;

/// A user who follows, and what was said so far.
struct Follower {
    child: Child,
    out: Arc<Mutex<String>>,
    err: Arc<Mutex<String>>,
}

impl Follower {
    fn start(bed: &Bed, args: &[&str]) -> Self {
        let mut command = bed.user.command();
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        guard::watch(&child);
        let out = collect(child.stdout.take().unwrap());
        let err = collect(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    fn out(&self) -> String {
        self.out.lock().unwrap().clone()
    }

    #[track_caller]
    fn wait_out(&self, what: &str, holds: impl Fn(&str) -> bool) {
        wait_for(what, DEADLINE, || holds(&self.out()));
    }

    #[track_caller]
    fn wait_end(mut self) -> (Option<i32>, String, String) {
        wait_for("the follower has ended", DEADLINE, || self.child.try_wait().unwrap().is_some());
        let code = self.child.wait().unwrap().code();
        // Its pipes end with it; their readers need a moment.
        wait_for("all is read", DEADLINE, || Arc::strong_count(&self.out) + Arc::strong_count(&self.err) == 2);
        let err = self.err.lock().unwrap().clone();
        (code, self.out(), err)
    }
}

fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let kept = text.clone();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = String::new();
        while pipe.read_line(&mut line).is_ok_and(|length| length > 0) {
            kept.lock().unwrap().push_str(&line);
            line.clear();
        }
    });
    text
}

/// An entry that fires when it is asked.
fn add(bed: &Bed, id: &str, script: &str, more: &[&str]) {
    let entry = ["add", id, "--every", "1d", "--shell", script];
    bed.user.ok(&[&entry[..], more].concat());
}

/// A piece of a script that waits until the file is there.
fn wait_file(bed: &Bed, name: &str) -> String {
    format!("while [ ! -e {} ]; do sleep 0.02; done", bed.user.dir().join(name).display())
}

#[test]
fn a_follower_sees_lines_before_the_run_ends_on_another_node() {
    let bed = Bed::new();
    let _nodes = [bed.start("a"), bed.start("b")];
    let stop = bed.user.dir().join("stop");
    let lines = "i=0; while [ ! -e STOP ]; do i=$((i + 1)); echo line $i; sleep 0.2; done";
    add(&bed, "job", &lines.replace("STOP", &stop.display().to_string()), &[]);
    bed.user.ok(&["trigger", "job"]);
    let run = bed.wait_state("job", "running", DEADLINE);
    let follower = Follower::start(&bed, &["logs", "-f", "job"]);
    follower.wait_out("three lines are seen", |out| out.contains("line 3\n"));
    assert_eq!(bed.latest("job")["state"], "running");
    bed.user.file("stop", "");
    let (code, out, err) = follower.wait_end();
    let run_id = run["run_id"].as_str().unwrap();
    let whole = bed.user.json(&["logs", run_id]);
    assert_eq!((code, out.as_str()), (Some(0), whole["output"].as_str().unwrap()), "each line once, in order");
    assert!(err.contains("succeeded"), "{err}");
    assert_eq!((&whole["output_cut"], &whole["attempt"]), (&Value::from(false), &Value::from(1)));
}

#[test]
fn nothing_is_stored_of_a_run_that_nobody_watches_and_ctrl_c_ends_only_who_follows() {
    let bed = Bed::new();
    let _node = bed.start("a");
    add(
        &bed,
        "job",
        &format!("echo begun; touch up; {}", wait_file(&bed, "stop")),
        &["--cwd", bed.user.dir().to_str().unwrap()],
    );
    bed.user.ok(&["trigger", "job"]);
    wait_for("the command has written", DEADLINE, || bed.user.dir().join("up").exists());
    let of_shard = |name: &str| bed.server.keys().into_iter().any(|key| key.ends_with(name));
    assert!(!of_shard(":outputs") && !of_shard(":watched"));
    let follower = Follower::start(&bed, &["logs", "-f", "job"]);
    follower.wait_out("what was written before is seen", |out| out == "begun\n");
    assert!(of_shard(":outputs") && of_shard(":watched"));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(follower.child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    assert_eq!(follower.wait_end().0, Some(130));
    assert_eq!(bed.latest("job")["state"], "running");
    assert_eq!(bed.user.ok(&["logs", "job"]), "begun\n", "as far as it was shown");
    bed.user.file("stop", "");
    assert_eq!(bed.wait_ended("job")["state"], "succeeded");
}

#[test]
fn a_follower_goes_on_with_the_next_attempt_on_another_node() {
    let bed = Bed::new();
    let mut first = bed.start("a");
    add(
        &bed,
        "job",
        &format!("echo attempt $UPBEAT_ATTEMPT by $UPBEAT_NODE; {}; echo done", wait_file(&bed, "stop")),
        &[],
    );
    bed.user.ok(&["trigger", "job"]);
    let run = bed.wait_state("job", "running", DEADLINE);
    let run_id = run["run_id"].as_str().unwrap();
    let follower = Follower::start(&bed, &["logs", "-f", run_id]);
    let lines = Follower::start(&bed, &["-o", "jsonl", "logs", "-f", run_id]);
    follower.wait_out("the first attempt is seen", |out| out == "attempt 1 by a\n");
    lines.wait_out("the first attempt is seen", |out| out.contains("attempt 1 by a"));
    let _second = bed.start("b");
    first.kill9();
    follower.wait_out("the second attempt is seen", |out| out == "attempt 1 by a\nattempt 2 by b\n");
    bed.user.file("stop", "");
    let (code, out, err) = follower.wait_end();
    assert_eq!((code, out.as_str()), (Some(0), "attempt 1 by a\nattempt 2 by b\ndone\n"));
    assert!(err.contains("attempt 2 on b"), "{err}");
    let (code, out, err) = lines.wait_end();
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let pieces: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |attempt: u64| -> String {
        pieces.iter().filter(|piece| piece["attempt"] == attempt).map(|piece| piece["text"].as_str().unwrap()).collect()
    };
    assert_eq!((of(1).as_str(), of(2).as_str()), ("attempt 1 by a\n", "attempt 2 by b\ndone\n"));
    assert!(pieces.iter().all(|piece| piece["run_id"] == run_id && piece["at"].is_string()), "{pieces:?}");
    // Each attempt is kept apart.
    assert_eq!(bed.user.ok(&["logs", run_id, "--attempt", "1"]), "attempt 1 by a\n");
    assert_eq!(bed.user.ok(&["logs", run_id]), "attempt 2 by b\ndone\n");
    let none = bed.user.error(3, &["logs", run_id, "--attempt", "3"]);
    assert_eq!(none["message"], "there is no attempt 3, the run has made 2 attempts");
}

#[test]
fn a_follower_goes_on_over_a_retry_and_sees_every_attempt() {
    let bed = Bed::new();
    let _nodes = [bed.start("a"), bed.start("b")];
    let script = format!("echo attempt $UPBEAT_ATTEMPT; {}; exit $((3 - UPBEAT_ATTEMPT))", wait_file(&bed, "go"));
    add(&bed, "job", &script, &["--retry", "max_attempts=5,delay=1s,backoff=constant"]);
    bed.user.ok(&["trigger", "job"]);
    let follower = Follower::start(&bed, &["logs", "-f", "job"]);
    follower.wait_out("the first attempt is seen", |out| out == "attempt 1\n");
    bed.user.file("go", "");
    let (code, out, err) = follower.wait_end();
    assert_eq!((code, out.as_str()), (Some(0), "attempt 1\nattempt 2\nattempt 3\n"));
    let said: Vec<&str> = err.lines().collect();
    let positions = ["attempt 1 failed", "attempt 2", "attempt 3", "succeeded"].map(|words| {
        said.iter().position(|line| line.contains(words)).unwrap_or_else(|| panic!("no {words:?} in {said:?}"))
    });
    assert!(positions.is_sorted(), "{said:?}");
    let second = bed.user.run(&["logs", "job", "--attempt", "2"]).expect_code(0);
    assert_eq!(second.stdout, "attempt 2\n");
    assert!(second.stderr.contains("attempt 2 of 3 · failed after "), "not how the run ended: {}", second.stderr);
    assert!(second.stderr.contains(": exit: exited with code 1"), "{}", second.stderr);
}

#[test]
fn a_secret_that_is_printed_in_two_writes_is_never_seen_live() {
    let bed = Bed::new();
    let _node = bed.node("a").env("TOKEN", "hunter22").start_live(&bed.user);
    let (one, two) = (wait_file(&bed, "one"), wait_file(&bed, "two"));
    let script = format!("echo before; printf %.4s $T; {one}; printf %s ${{T#????}}; echo; echo after; {two}");
    add(&bed, "job", &script, &["--env", "T=secret:TOKEN"]);
    bed.user.ok(&["trigger", "job"]);
    let follower = Follower::start(&bed, &["logs", "-f", "job"]);
    follower.wait_out("the first line is seen", |out| out == "before\n");
    bed.user.file("one", "");
    follower.wait_out("the last line is seen", |out| out.ends_with("after\n"));
    assert_eq!(bed.latest("job")["state"], "running");
    bed.user.file("two", "");
    let (code, out, _) = follower.wait_end();
    assert_eq!((code, out.as_str()), (Some(0), "before\n***\nafter\n"));
}

#[test]
fn an_output_is_cut_exactly_where_it_is_longer_than_what_is_kept() {
    let bed = Bed::new();
    let _node = bed.start("a");
    for (length, is_cut) in [(65_536, false), (65_537, true)] {
        let id = format!("job{length}");
        add(&bed, &id, &format!("printf a; head -c {} /dev/zero | tr '\\0' b", length - 1), &[]);
        bed.user.ok(&["trigger", &id, "--wait"]);
        let document = bed.user.json(&["logs", &id]);
        let text = document["output"].as_str().unwrap();
        assert_eq!((text.len(), &document["output_cut"]), (65_536, &Value::from(is_cut)));
        assert_eq!(text.starts_with('a'), !is_cut);
        let said = bed.user.run(&["logs", &id]).stderr;
        assert_eq!(said.contains("only the last 65,536 of 65,537 bytes are kept"), is_cut, "{said}");
    }
}

#[test]
fn what_a_follower_misses_in_between_is_said_once() {
    let bed = Bed::new();
    let _node = bed.start("a");
    let burst = "head -c 1000000 /dev/zero | tr '\\0' x; echo";
    let script =
        format!("echo begun; {}; {burst}; {}; {burst}; echo end", wait_file(&bed, "one"), wait_file(&bed, "two"));
    add(&bed, "job", &script, &[]);
    bed.user.ok(&["trigger", "job"]);
    let follower = Follower::start(&bed, &["logs", "-f", "job"]);
    follower.wait_out("it has begun", |out| out == "begun\n");
    bed.user.file("one", "");
    follower.wait_out("the end of the burst is seen", |out| out.ends_with("x\n"));
    bed.user.file("two", "");
    let (code, out, err) = follower.wait_end();
    assert!(code == Some(0) && out.ends_with("x\nend\n") && out.len() < 1_000_000, "{}", out.len());
    assert_eq!(err.matches("bytes are left out").count(), 1, "{err}");
}

#[test]
fn following_is_no_document() {
    let bed = Bed::new();
    let refused = bed.user.error(2, &["logs", "-f", "job"]);
    assert_eq!((&refused["field"], &refused["hint"]), (&Value::from("output"), &Value::from("-o jsonl")));
}
