//! Stock Celery from PyPI: workers with the app of `tests/data/celery_app.py`, and Python for what Celery itself would do.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::redis::RedisServer;
use super::wait::{DEADLINE, wait_for};
use super::{guard, setting, short_dir};

/// Python with Celery, RedBeat and django-celery-beat; `None` where `scripts/setup` could not get them.
pub fn python() -> Option<PathBuf> {
    let python = setting("UPBEAT_CELERY_PYTHON").map(PathBuf::from);
    if python.is_none() {
        eprintln!("left out: there is no Celery here, see scripts/setup --test");
    }
    python
}

/// Where the app and other scripts of the tests stand.
pub fn data_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// Python that finds the app of the tests, with this server as its broker.
pub fn command(python: &Path, redis: &RedisServer) -> Command {
    let mut command = Command::new(python);
    command.env("PYTHONPATH", data_dir()).env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
    command.env("UPBEAT_TEST_SOCKET", redis.socket());
    command
}

/// Runs a Python script to its end; its standard output.
#[track_caller]
pub fn run(python: &Path, redis: &RedisServer, script: &str) -> String {
    let output = command(python, redis).args(["-c", script]).output().expect("Python can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The broker, as Celery names it.
pub fn broker_url(redis: &RedisServer) -> String {
    format!("redis+socket://{}", redis.socket().display())
}

/// A worker to be started.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    queues: String,
    pool: String,
    concurrency: u16,
    env: Vec<(String, String)>,
}

/// A worker of the queue `celery`, one task at a time in its own process (`solo`).
pub fn worker() -> WorkerOptions {
    WorkerOptions { queues: "celery".to_owned(), pool: "solo".to_owned(), concurrency: 1, env: Vec::new() }
}

impl WorkerOptions {
    /// Queues, `a,b`.
    #[must_use]
    pub fn queues(mut self, queues: &str) -> Self {
        queues.clone_into(&mut self.queues);
        self
    }

    /// Processes of their own, so many tasks at a time.
    #[must_use]
    pub fn prefork(mut self, concurrency: u16) -> Self {
        self.pool = "prefork".to_owned();
        self.concurrency = concurrency;
        self
    }

    /// A variable; those that the app knows stand in its head.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until it consumes.
    #[track_caller]
    pub fn start(&self, python: &Path, redis: &RedisServer) -> Worker {
        let dir = short_dir();
        let log_file = dir.path().join("worker.log");
        let log = std::fs::File::create(&log_file).expect("a log file");
        let mut command = command(python, redis);
        command.current_dir(dir.path()).args(["-m", "celery", "-A", "celery_app", "worker", "--loglevel", "INFO"]);
        command.args(["--pool", &self.pool, "--concurrency", &self.concurrency.to_string(), "--queues", &self.queues]);
        command.args(["--without-gossip", "--without-mingle", "--without-heartbeat"]);
        command.envs(self.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log file")).stderr(log);
        let child = command.spawn().expect("Celery was installed");
        guard::watch(&child);
        let mut worker = Worker { child, log_file, _dir: dir };
        wait_for("the worker is ready", DEADLINE, || {
            let log = worker.log();
            assert!(worker.child.try_wait().expect("a child can be asked").is_none(), "the worker has ended:\n{log}");
            log.contains(" ready.")
        });
        worker
    }
}

/// A worker process; it is killed when dropped, and when the test process dies.
pub struct Worker {
    child: Child,
    log_file: PathBuf,
    _dir: tempfile::TempDir,
}

impl Worker {
    /// What it has written so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log_file).unwrap_or_default()
    }

    /// Kills it without a word; children of `prefork` notice and end by themselves.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        guard::reap(&mut self.child);
    }

    /// Asks it to end after the tasks that run, and waits.
    #[track_caller]
    pub fn stop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        kill(pid, Signal::SIGTERM).expect("a child can be signalled");
        wait_for("the worker has ended", DEADLINE, || self.child.try_wait().expect("a child can be asked").is_some());
        guard::reap(&mut self.child);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("--- log of the worker\n{}", self.log());
        }
    }
}

/// What workers have executed so far, the oldest first: `{id, task, args, kwargs, at_ms, eta, expires, headers, fire_at, queue}`.
#[track_caller]
pub fn executed(redis: &RedisServer) -> Vec<Value> {
    redis.messages("executed")
}

/// Waits until so many tasks were executed; what was.
#[track_caller]
pub fn wait_executed(redis: &RedisServer, count: usize) -> Vec<Value> {
    wait_for(&format!("{count} tasks were executed"), DEADLINE, || executed(redis).len() >= count);
    executed(redis)
}
