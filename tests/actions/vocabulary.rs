//! The words that the tests of attempts are made of.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;
use upbeat::domain::action::{Action, Http};
use upbeat::domain::run::Trigger;
use upbeat::domain::span::Span;
use upbeat::domain::timestamp::Timestamp;
use upbeat::node::action::{Attempt, Context, Executor, ExecutorConfig, Outcome, Output, Stop};

use crate::support::wait::{DEADLINE, until};

pub fn config() -> ExecutorConfig {
    ExecutorConfig {
        program: Some(env!("CARGO_BIN_EXE_upbeat").into()),
        kill_after: Span(20_000),
        ..ExecutorConfig::default()
    }
}

pub fn executor() -> Executor {
    Executor::new(config()).unwrap()
}

/// A run id that no other test has: processes are found by it.
pub fn fresh_run_id() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    format!("test-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed))
}

pub fn attempt(action: Action) -> Attempt {
    Attempt {
        action,
        first_attempt: 2,
        env: BTreeMap::new(),
        cwd: None,
        extra_args: Vec::new(),
        payload: None,
        timeout: None,
        context: Context {
            run_id: fresh_run_id(),
            entry_id: "daily-report".into(),
            namespace: "prod".into(),
            fire_at: Timestamp(1_795_226_400_000),
            due_at: Timestamp(1_795_226_407_500),
            attempt: 2,
            fence: 1_795_226_400_000_001,
            trigger: Trigger::Scheduled,
            node: "node-a".into(),
            last_success_at: None,
            last_state: None,
            last_result: None,
        },
        output: Output::default(),
    }
}

pub fn exec(argv: &[&str]) -> Attempt {
    attempt(Action::Exec(argv.iter().map(ToString::to_string).collect()))
}

pub fn shell(text: &str) -> Attempt {
    attempt(Action::Shell(text.into()))
}

pub fn get(url: &str) -> Http {
    Http { method: "GET".into(), url: url.into(), headers: BTreeMap::new(), ok: vec![(200, 299)] }
}

pub fn http(http: Http) -> Attempt {
    attempt(Action::Http(http))
}

pub async fn run(attempt: Attempt) -> Outcome {
    run_by(&executor(), attempt).await
}

pub async fn run_by(executor: &Executor, attempt: Attempt) -> Outcome {
    let (_asker, stop) = watch::channel(None);
    executor.execute(attempt, stop).await
}

/// Runs `attempt`, and asks it to stop once `is_ready`.
pub async fn stopped_when(executor: Executor, attempt: Attempt, stop: Stop, is_ready: impl Fn() -> bool) -> Outcome {
    let (asker, asked) = watch::channel(None);
    let running = tokio::spawn(async move { executor.execute(attempt, asked).await });
    eventually("the attempt runs", is_ready).await;
    asker.send(Some(stop)).unwrap();
    running.await.unwrap()
}

/// Starts this test program once more, to run the ignored test `name`.
pub fn process_of_its_own(name: &str, variables: &[(&str, &str)]) -> Child {
    own_process(name, variables).stdout(Stdio::null()).spawn().unwrap()
}

fn own_process(name: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--ignored", "--nocapture"]).envs(variables.iter().copied());
    command
}

/// Runs the ignored test `name` in a process of its own.
pub fn passes_in_a_process_of_its_own(name: &str, variables: &[(&str, &str)]) {
    let done = own_process(name, variables).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    // A name that no test has would pass, too.
    assert!(done.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&done.stderr));
}

pub fn text(outcome: &Outcome) -> &str {
    std::str::from_utf8(&outcome.output).unwrap()
}

/// Waits until `is_so`, with a deadline.
pub async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    until(what, DEADLINE, async || is_so()).await;
}

/// Living processes that see this run id in their environment: the command with all that it started.
pub fn processes_of(run_id: &str) -> Vec<i32> {
    let mark = format!("UPBEAT_RUN_ID={run_id}\0");
    living(|folder| fs::read(folder.join("environ")).is_ok_and(|environ| contains(&environ, mark.as_bytes())))
}

/// Living supervisors of this run.
pub fn supervisors_of(run_id: &str) -> Vec<i32> {
    let mark = format!("__supervise\0{run_id}\0");
    living(|folder| fs::read(folder.join("cmdline")).is_ok_and(|cmdline| contains(&cmdline, mark.as_bytes())))
}

pub fn is_gone(run_id: &str) -> bool {
    processes_of(run_id).is_empty() && supervisors_of(run_id).is_empty()
}

fn contains(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark)
}

/// The environment and command line of a zombie are empty, so it does not count as living.
fn living(is_one: impl Fn(&PathBuf) -> bool) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbered = processes.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
    numbered.filter(|(_, folder)| is_one(folder)).map(|(pid, _)| pid).collect()
}
