//! A running `upbeat dev`, and a user in its folder.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cli::Upbeat;
use super::{guard, setting};

/// A user without a Redis of his own.
pub fn somebody() -> Upbeat {
    let user = Upbeat::at("").namespace("");
    match setting("UPBEAT_REDIS_SERVER") {
        Some(program) => user.env("UPBEAT_REDIS_SERVER", &program),
        None => user,
    }
}

/// A running `upbeat dev`.
pub struct Playground {
    child: Child,
    out: BufReader<ChildStdout>,
    /// What it greeted with.
    pub lines: Vec<String>,
}

impl Playground {
    #[track_caller]
    /// Starts it with so many nodes, and waits for its greeting.
    pub fn start(user: &Upbeat, nodes: &str) -> Self {
        let mut command = user.command();
        let mut child = command.args(["dev", "--nodes", nodes]).stdout(Stdio::piped()).spawn().unwrap();
        guard::watch(&child);
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut playground = Self { child, out, lines: Vec::new() };
        loop {
            let line = playground.line();
            let is_last = line.is_empty() || line.trim_start().starts_with("stop");
            playground.lines.push(line);
            if is_last {
                return playground;
            }
        }
    }

    /// Its next line; empty when it has ended.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Its exit code.
    pub fn wait(mut self) -> Option<i32> {
        drop(self.out);
        guard::reap(&mut self.child).code()
    }
}
