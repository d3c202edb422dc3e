//! Node processes: started, frozen, thawed, killed, and given a wrong clock.

use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cli::{Upbeat, program};
use super::wait::DEADLINE;
use super::{guard, setting, short_dir, wait};

/// A node to be started.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    name: String,
    redis: String,
    namespace: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

/// A node at this URL in the namespace `test`, that may run `exec` and `shell`.
pub fn node(name: &str, redis: impl Into<String>) -> NodeOptions {
    NodeOptions {
        name: name.to_owned(),
        redis: redis.into(),
        namespace: "test".to_owned(),
        args: vec!["--allow".to_owned(), "exec,shell".to_owned()],
        env: Vec::new(),
    }
}

impl NodeOptions {
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// More words for the command line.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    /// Other kinds of action than `exec,shell`.
    #[must_use]
    pub fn allow(mut self, kinds: &str) -> Self {
        kinds.clone_into(&mut self.args[1]);
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A wall clock that is wrong by `offset`, in the words of libfaketime: `+3600s`, `-1d`. Redis keeps its own.
    ///
    /// # Panics
    ///
    /// Without libfaketime; `scripts/setup --test` installs it.
    #[must_use]
    pub fn with_clock(self, offset: &str) -> Self {
        let library = setting("UPBEAT_FAKETIME_LIB").expect("no libfaketime: run scripts/setup --test");
        self.env("LD_PRELOAD", &library).env("FAKETIME", offset).env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// Starts the process; it need not be live yet.
    #[track_caller]
    pub fn start(self) -> NodeProcess {
        let dir = short_dir();
        let log_file = dir.path().join("node.log");
        let log = std::fs::File::create(&log_file).expect("a log file");
        let mut command = program();
        command.current_dir(dir.path()).env("HOME", dir.path()).env("XDG_CONFIG_HOME", dir.path());
        command.env("UPBEAT_REDIS", &self.redis).env("UPBEAT_NAMESPACE", &self.namespace);
        command.envs(self.env).args(["node", "--name", &self.name]).args(self.args);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log file")).stderr(log);
        let child = command.spawn().expect("the binary was built");
        guard::watch(&child);
        NodeProcess { name: self.name, child, log_file, _dir: dir }
    }

    /// Starts the process and waits until the user sees it as live.
    #[track_caller]
    pub fn start_live(self, user: &Upbeat) -> NodeProcess {
        let mut process = self.start();
        process.wait_live(user);
        process
    }
}

/// A node process; it is killed when dropped, and when the test process dies.
pub struct NodeProcess {
    name: String,
    child: Child,
    log_file: PathBuf,
    _dir: tempfile::TempDir,
}

impl NodeProcess {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the node has written to standard output and standard error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log_file).unwrap_or_default()
    }

    /// Waits until `upbeat nodes` lists it as live.
    #[track_caller]
    pub fn wait_live(&mut self, user: &Upbeat) {
        wait::wait_for(&format!("node {} is live", self.name), DEADLINE, || {
            if let Some(status) = self.status() {
                panic!("node {} has ended, {status}:\n{}", self.name, self.log());
            }
            let nodes = user.json(&["nodes"]);
            let mut nodes = nodes.as_array().expect("a list of nodes").iter();
            nodes.any(|node| node["node"] == self.name.as_str() && node["state"] == "live")
        });
    }

    /// How it ended, if it has.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Kills it without a word, at whatever instruction it is, and waits until it is gone.
    pub fn kill9(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.child.kill();
        guard::reap(&mut self.child);
    }

    /// Freezes it: its leases run out while it knows nothing.
    pub fn sigstop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn sigcont(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Asks it to drain.
    pub fn sigterm(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn wait_end(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("node {} has ended", self.name);
        wait::wait_for(&what, deadline, || self.status().is_some());
        guard::reap(&mut self.child)
    }

    #[track_caller]
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        kill(pid, signal).expect("a child can be signalled");
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("--- log of node {}\n{}", self.name, self.log());
        }
    }
}
