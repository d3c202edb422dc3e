//! Runs the `upbeat` binary as a user would, apart from the settings of whoever runs the tests.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::Value;

use super::short_dir;

/// A user in front of one Redis and one namespace, in an empty directory.
pub struct Upbeat {
    redis: String,
    namespace: String,
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
    slowest_ms: AtomicU64,
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Upbeat {
    /// A user of the namespace `test` at this URL.
    pub fn at(redis: impl Into<String>) -> Self {
        Self {
            redis: redis.into(),
            namespace: "test".to_owned(),
            dir: short_dir(),
            env: Vec::new(),
            slowest_ms: AtomicU64::new(0),
        }
    }

    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The directory in which the commands run.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The time that the slowest command so far took: how fast this machine is.
    pub fn slowest_ms(&self) -> i64 {
        self.slowest_ms.load(Ordering::Relaxed).cast_signed()
    }

    /// Writes a file into that directory.
    #[track_caller]
    pub fn file(&self, name: &str, text: &str) {
        std::fs::write(self.dir().join(name), text).expect("a file in a temporary directory");
    }

    /// Runs one command, however it ends.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Outcome {
        self.run_with_input(args, "")
    }

    /// Runs one command with this standard input.
    #[track_caller]
    pub fn run_with_input(&self, args: &[&str], input: &str) -> Outcome {
        let start = Instant::now();
        let mut command = self.command();
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary was built");
        // A command that reads no input closes the pipe: that is its right.
        let _ = child.stdin.take().expect("a pipe was asked for").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("a child can be waited for");
        self.slowest_ms.fetch_max(start.elapsed().as_millis() as u64, Ordering::Relaxed);
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a command that must succeed; its standard output.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let mut outcome = self.run(args);
        // A machine that is too slow to answer in time has said nothing yet: who only reads asks again.
        for _ in 0..3 {
            if reads(args) && outcome.code == Some(5) && outcome.stderr.contains("no answer in time") {
                outcome = self.run(args);
            }
        }
        outcome.expect_code(0).stdout
    }

    /// Runs a command that must succeed with `-o json`; the document.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = ["-o", "json"].iter().chain(args).copied().collect();
        let text = self.ok(&args);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}:\n{text}"))
    }

    /// Runs a command that must fail with this code under `-o json`; the object in `error`.
    #[track_caller]
    pub fn error(&self, code: i32, args: &[&str]) -> Value {
        let args: Vec<&str> = ["-o", "json"].iter().chain(args).copied().collect();
        let outcome = self.run(&args).expect_code(code);
        assert_eq!(outcome.stdout, "", "{args:?}: on an error standard output is empty");
        let document: Value = serde_json::from_str(&outcome.stderr)
            .unwrap_or_else(|error| panic!("{args:?}: {error}:\n{}", outcome.stderr));
        document["error"].clone()
    }

    /// The program with the environment of this user, for what [`run`](Self::run) does not cover.
    pub fn command(&self) -> Command {
        let mut command = program();
        command.current_dir(self.dir()).env("HOME", self.dir()).env("XDG_CONFIG_HOME", self.dir());
        command.env("UPBEAT_REDIS", &self.redis).env("UPBEAT_NAMESPACE", &self.namespace);
        command.envs(self.env.iter().cloned());
        command
    }
}

impl Outcome {
    /// Fails the test, with all that the command said, when it ended otherwise.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        let Self { stdout, stderr, .. } = &self;
        assert_eq!(self.code, Some(code), "\n--- standard output\n{stdout}\n--- standard error\n{stderr}");
        self
    }
}

/// Whether a command changes nothing, so that it may be asked again.
fn reads(args: &[&str]) -> bool {
    let words: Vec<&str> = args.iter().copied().filter(|word| !["-o", "json"].contains(word)).collect();
    match words[..] {
        ["ls" | "show" | "nodes" | "logs" | "why" | "audit" | "events", ..] | ["queues"] => true,
        ["runs", ref more @ ..] => !more.iter().any(|word| ["cancel", "retry"].contains(word)),
        _ => false,
    }
}

/// The binary under test without any `UPBEAT_` variable.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upbeat"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("UPBEAT_") {
            command.env_remove(name);
        }
    }
    command
}
