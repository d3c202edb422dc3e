//! A Redis, its user, and entries whose fire times are exactly known.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::support::cli::Upbeat;
use crate::support::node::{NodeOptions, NodeProcess, node};
use crate::support::redis::RedisServer;
use crate::support::wait::wait_for;
use crate::verdict::{Deaths, EVERY_MS, Line, Verdict, Window};

/// Until whatever a node, a lease or a reconnect needs has happened, on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// From the call of `apply` to the first fire time.
const AHEAD_MS: i64 = 2_000;

pub struct Bed {
    pub server: RedisServer,
    pub user: Upbeat,
}

/// Entries of one kind that fire every second in a window.
pub struct Race {
    pub window: Window,
    pub entries: Vec<String>,
}

impl Bed {
    /// A Redis that keeps all it acknowledged.
    pub fn new() -> Self {
        let server = RedisServer::durable();
        let user = Upbeat::at(server.url());
        Self { server, user }
    }

    /// A node with short leases that may run commands.
    pub fn node(&self, name: &str) -> NodeOptions {
        node(name, self.server.url()).args(&["--lease", "2s"])
    }

    pub fn start(&self, name: &str) -> NodeProcess {
        self.node(name).start_live(&self.user)
    }

    fn lines_file(&self) -> PathBuf {
        self.user.dir().join("lines")
    }

    /// What commands have written so far.
    pub fn lines(&self) -> Vec<Line> {
        std::fs::read_to_string(self.lines_file()).unwrap_or_default().lines().map(Line::read).collect()
    }

    /// A command that writes its line and then does the rest.
    pub fn command(&self, rest: &str) -> String {
        let line = "$UPBEAT_RUN_ID $UPBEAT_FIRE_AT $UPBEAT_ATTEMPT $UPBEAT_ENTRY_ID ${EPOCHREALTIME/[.,]/}";
        let text = format!("echo \"{line}\" >> {}; {rest}", self.lines_file().display());
        serde_json::json!(["bash", "-c", text]).to_string()
    }

    /// Applies `entries` entries that fire `count` times, every second from a whole second soon on; `more` are fields of each.
    pub fn race(&self, entries: usize, count: i64, command: &str, more: &str) -> Race {
        self.race_in(AHEAD_MS, entries, count, command, more)
    }

    /// [`race`](Self::race) with room for `ahead_ms` before the first fire time.
    pub fn race_in(&self, ahead_ms: i64, entries: usize, count: i64, command: &str, more: &str) -> Race {
        let start_ms = (now_ms() + ahead_ms) / EVERY_MS * EVERY_MS;
        let window = Window { start_ms, count };
        let entries: Vec<String> = (0..entries).map(|number| format!("e{number:02}")).collect();
        let (start, end) = (rfc3339(start_ms), rfc3339(window.end_ms()));
        let mut file = String::new();
        for entry in &entries {
            file += &format!(
                "[entries.{entry}]\nevery = \"1s\"\nstart = \"{start}\"\nend = \"{end}\"\nexec = {command}\n{more}\n"
            );
        }
        self.user.file("race.toml", &file);
        self.user.ok(&["apply", "-f", "race.toml"]);
        assert!(now_ms() < start_ms, "the machine is too slow: the first fire time passed before it was written");
        Race { window, entries }
    }

    /// All records.
    pub fn runs(&self) -> Vec<Value> {
        self.user.json(&["runs", "--limit", "0"]).as_array().unwrap().clone()
    }

    /// Waits until the window has passed and nothing is active, or until `patience` is over. Returns whether all has ended.
    pub fn ended(&self, race: &Race, patience: Duration) -> bool {
        self.ended_beside(race, "", patience)
    }

    /// [`ended`](Self::ended), beside one entry that goes on.
    pub fn ended_beside(&self, race: &Race, other: &str, patience: Duration) -> bool {
        wait_until(race.window.end_ms());
        let until = now_ms() + i64::try_from(patience.as_millis()).unwrap();
        while now_ms() < until {
            if self.all_ended(race, other) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        false
    }

    fn all_ended(&self, race: &Race, other: &str) -> bool {
        let runs: Vec<Value> = self.runs().into_iter().filter(|run| run["entry_id"] != other).collect();
        let is_active =
            |run: &Value| run["finished_at"].is_null() && run["state"] != "skipped" && run["state"] != "missed";
        let fires: u64 = runs.iter().map(|run| run["fires"].as_u64().unwrap()).sum();
        let due = race.entries.len() * usize::try_from(race.window.count).unwrap();
        fires >= due as u64 && !runs.iter().any(is_active)
    }

    pub fn verdict(&self, race: &Race, deaths: Deaths) -> Verdict {
        Verdict::on(race.window, &race.entries, &self.runs(), &self.lines(), deaths)
    }

    /// The record of an entry's latest run; it must have one.
    #[track_caller]
    pub fn latest(&self, entry: &str) -> Value {
        self.user.json(&["runs", entry, "--limit", "1"])[0].clone()
    }

    /// Waits until the latest run of an entry is in this state.
    #[track_caller]
    pub fn wait_state(&self, entry: &str, state: &str, deadline: Duration) -> Value {
        let what = format!("the run of {entry} is {state}");
        wait_for(&what, deadline, || self.latest(entry)["state"] == state);
        self.latest(entry)
    }

    /// Waits until the latest run of an entry has ended, however.
    #[track_caller]
    pub fn wait_ended(&self, entry: &str) -> Value {
        wait_for(&format!("the run of {entry} has ended"), DEADLINE, || !self.latest(entry)["finished_at"].is_null());
        self.latest(entry)
    }

    /// Waits for the number that a command wrote into a file of the user's directory.
    #[track_caller]
    pub fn pid_in(&self, file: &str) -> i32 {
        let path = self.user.dir().join(file);
        crate::support::wait::wait_some(&format!("a pid in {file}"), DEADLINE, || {
            std::fs::read_to_string(&path).ok()?.strip_suffix('\n')?.parse().ok()
        })
    }
}

/// Two scenarios at once: both wait for time to pass more than they work.
pub fn in_parallel<A: Send, B: Send>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B + Send) -> (A, B) {
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        (one.join().expect("the first scenario holds"), other)
    })
}

/// Whether nothing is left of a process group.
pub fn is_gone(group: i32) -> bool {
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), None) == Err(nix::errno::Errno::ESRCH)
}

pub fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// Waits for an instant that the scenario names.
pub fn wait_until(at_ms: i64) {
    std::thread::sleep(Duration::from_millis(u64::try_from(at_ms - now_ms()).unwrap_or(0)));
}

pub fn rfc3339(ms: i64) -> String {
    upbeat::domain::timestamp::Timestamp(ms).to_rfc3339()
}
