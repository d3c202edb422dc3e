//! What dies when: nothing of a command outlives its end, its node, or its supervisor.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use upbeat::domain::run::Reason;
use upbeat::domain::span::Span;
use upbeat::node::action::{Ending, Executor, ExecutorConfig, Outcome, Stop};

use super::vocabulary::*;
use crate::support::wait::DEADLINE;

/// Commands whose processes are easily missed, with how many they are.
const FAMILIES: [(&str, usize); 5] = [
    ("exec sleep 600", 1),
    ("sleep 600 | sleep 600", 3),
    ("sleep 600 & wait", 2),
    // Orphans: their parent is gone, the supervisor inherits them.
    ("(sleep 600 & sleep 600 &) ; sleep 600; true", 4),
    // In sessions of their own, out of reach for a signal to the group, and deaf to SIGTERM, too.
    ("setsid sh -c 'trap \"\" TERM; setsid sleep 600 & sleep 600; true' & sleep 600; true", 5),
];

#[tokio::test]
#[ignore = "the node that other tests kill"]
async fn node_process() {
    let mut attempt = shell(&std::env::var("TEST_COMMAND").unwrap());
    attempt.context.run_id = std::env::var("TEST_RUN_ID").unwrap();
    run(attempt).await;
}

#[tokio::test]
async fn a_killed_node_takes_everything_that_it_started_with_it() {
    for (command, size) in FAMILIES {
        let run_id = fresh_run_id();
        let mut node =
            process_of_its_own("actions::deaths::node_process", &[("TEST_COMMAND", command), ("TEST_RUN_ID", &run_id)]);
        eventually(command, || processes_of(&run_id).len() == size).await;
        node.kill().unwrap();
        node.wait().unwrap();
        eventually(command, || is_gone(&run_id)).await;
    }
}

#[tokio::test]
async fn a_killed_node_leaves_no_result_file() {
    let run_id = fresh_run_id();
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().to_str().unwrap();
    let variables = [("TEST_COMMAND", "exec sleep 600"), ("TEST_RUN_ID", &run_id), ("TMPDIR", temporary)];
    let mut node = process_of_its_own("actions::deaths::node_process", &variables);
    eventually("the command runs", || processes_of(&run_id).len() == 1).await;
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    node.kill().unwrap();
    node.wait().unwrap();
    eventually("the folder is empty", || folder.path().read_dir().unwrap().count() == 0).await;
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_killed_and_holds_up_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (number, command) in [
        "sleep 600 & echo done",
        "(setsid sleep 600 &) ; echo done",
        "setsid sh -c 'trap \"\" TERM HUP; touch $READY; sleep 600; true' & until test -e $READY; do :; done; echo done",
    ]
    .into_iter()
    .enumerate()
    {
        let mut attempt = shell(command);
        let ready = folder.path().join(number.to_string());
        attempt.env = [("READY".into(), ready.to_str().unwrap().into())].into();
        let run_id = attempt.context.run_id.clone();
        let outcome = tokio::time::timeout(DEADLINE, run(attempt)).await.unwrap();
        assert_eq!((outcome.ending, text(&outcome)), (Ending::Succeeded, "done\n"));
        assert_eq!(processes_of(&run_id), Vec::<i32>::new(), "{command}");
    }
}

#[tokio::test]
async fn a_timeout_ends_the_whole_group() {
    for (command, _) in &FAMILIES[..3] {
        let mut attempt = shell(command);
        attempt.timeout = Some(Span(200));
        let run_id = attempt.context.run_id.clone();
        let outcome = run(attempt).await;
        assert_eq!(outcome.ending, Ending::Failed(Reason::Timeout), "{command}");
        assert_eq!(outcome.message.unwrap(), "took longer than 200ms");
        assert_eq!(processes_of(&run_id), Vec::<i32>::new());
    }
}

fn executor_that_waits(kill_after_ms: u64) -> Executor {
    Executor::new(ExecutorConfig { kill_after: Span(kill_after_ms), ..config() }).unwrap()
}

/// Runs `command`, which makes the file `$READY` when it is ready, and then asks it to stop.
async fn stopped(command: &str, kill_after_ms: u64, stop: Stop) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let mut attempt = shell(command);
    attempt.env = [("READY".into(), ready.to_str().unwrap().into())].into();
    let run_id = attempt.context.run_id.clone();
    let outcome = stopped_when(executor_that_waits(kill_after_ms), attempt, stop, || ready.exists()).await;
    assert_eq!(processes_of(&run_id), Vec::<i32>::new());
    outcome
}

/// Shells say `Terminated` of their children before.
fn last_line(outcome: &Outcome) -> &str {
    text(outcome).lines().last().unwrap_or_default()
}

/// Far beyond the patience of the tests: what ends earlier has not been waited for.
const LONG_MS: u64 = 600_000;

#[tokio::test]
async fn who_ignores_the_request_is_killed_after_the_grace() {
    let deaf = "trap '' TERM; touch $READY; while :; do sleep 1; done";
    assert_eq!(stopped(deaf, 100, Stop::Cancel).await.ending, Ending::Cancelled);
    assert_eq!(stopped(deaf, 100, Stop::Drain).await.ending, Ending::HandBack);
    assert_eq!(stopped(deaf, LONG_MS, Stop::Lost).await.ending, Ending::Lost);
}

#[tokio::test]
async fn an_exit_with_0_counts_while_draining_only() {
    let obedient = "trap 'echo bye; exit 0' TERM; touch $READY; while :; do sleep 0.01; done";
    let drained = stopped(obedient, LONG_MS, Stop::Drain).await;
    assert_eq!((drained.ending, last_line(&drained), drained.exit_code), (Ending::Succeeded, "bye", Some(0)));
    let cancelled = stopped(obedient, LONG_MS, Stop::Cancel).await;
    assert_eq!((cancelled.ending, last_line(&cancelled)), (Ending::Cancelled, "bye"));
    let with_one = "trap 'exit 1' TERM; touch $READY; while :; do sleep 0.01; done";
    assert_eq!(stopped(with_one, LONG_MS, Stop::Drain).await.ending, Ending::HandBack);
}

#[tokio::test]
async fn a_command_may_tidy_up_although_its_shell_is_gone() {
    // The outer shell dies of SIGTERM at once; the inner one needs a moment.
    let command = "sh -c 'trap \"sleep 0.3; echo tidy; exit\" TERM; touch $READY; while :; do sleep 0.01; done'; true";
    let outcome = stopped(command, LONG_MS, Stop::Cancel).await;
    assert_eq!((outcome.ending, last_line(&outcome)), (Ending::Cancelled, "tidy"));
}

#[tokio::test]
async fn a_stopped_command_hears_the_request() {
    let command = "trap 'echo heard; exit' TERM; touch $READY; kill -STOP $$; while :; do sleep 0.01; done";
    assert_eq!(last_line(&stopped(command, LONG_MS, Stop::Cancel).await), "heard");
}

#[tokio::test]
async fn a_killed_supervisor_takes_the_command_with_it() {
    for (command, size) in &FAMILIES[..3] {
        let attempt = shell(command);
        let run_id = attempt.context.run_id.clone();
        let running = tokio::spawn(run(attempt));
        eventually(command, || processes_of(&run_id).len() == *size).await;
        kill(Pid::from_raw(supervisors_of(&run_id)[0]), Signal::SIGKILL).unwrap();
        let outcome = running.await.unwrap();
        assert_eq!(outcome.ending, Ending::Failed(Reason::Signal), "{command}");
        assert_eq!(outcome.message.unwrap(), "killed with its supervisor");
        eventually(command, || is_gone(&run_id)).await;
    }
}

#[tokio::test]
async fn signals_short_of_a_kill_do_not_touch_the_supervisor() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let attempt = shell(&format!("until test -e {}; do sleep 0.01; done", go.display()));
    let run_id = attempt.context.run_id.clone();
    let running = tokio::spawn(run(attempt));
    eventually("it runs", || !processes_of(&run_id).is_empty()).await;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGTSTP] {
        killpg(Pid::from_raw(supervisors_of(&run_id)[0]), signal).unwrap();
    }
    std::fs::write(go, "").unwrap();
    assert_eq!(running.await.unwrap().ending, Ending::Succeeded);
}

#[tokio::test]
async fn a_dropped_attempt_dies() {
    let attempt = shell("sleep 600 | sleep 600");
    let run_id = attempt.context.run_id.clone();
    let running = tokio::spawn(run(attempt));
    eventually("it runs", || processes_of(&run_id).len() == 3).await;
    running.abort();
    eventually("it is gone", || is_gone(&run_id)).await;
}

#[tokio::test]
async fn a_thousand_runs_leave_no_process_and_no_descriptor() {
    passes_in_a_process_of_its_own("actions::deaths::thousand_runs", &[]);
}

#[tokio::test]
#[ignore = "counts what its process holds, so it needs one of its own"]
async fn thousand_runs() {
    let executor = std::sync::Arc::new(executor());
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    run_by(&executor, exec(&["/bin/true"])).await;
    let before = descriptors();
    let mut attempts = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let (executor, attempt) = (std::sync::Arc::clone(&executor), exec(&["/bin/true"]));
        attempts.spawn(async move { run_by(&executor, attempt).await });
        if number >= 7 {
            assert_eq!(attempts.join_next().await.unwrap().unwrap().ending, Ending::Succeeded);
        }
    }
    while let Some(outcome) = attempts.join_next().await {
        assert_eq!(outcome.unwrap().ending, Ending::Succeeded);
    }
    assert_eq!(descriptors(), before);
    assert_eq!(waitpid(None, None), Err(Errno::ECHILD));
}
