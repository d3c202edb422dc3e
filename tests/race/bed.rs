//! A Redis, its user, and entries whose fire times are exactly known.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::support::cli::Upbeat;
use crate::support::node::{NodeOptions, NodeProcess, node};
pub use crate::support::patience::{in_parallel, now_ms, patiently, still_before, too_slow, wait_until};
use crate::support::redis::RedisServer;
use crate::support::resp::Reply;
pub use crate::support::wait::DEADLINE;
use crate::support::wait::{wait_for, wait_some, within};
use crate::verdict::{Deaths, EVERY_MS, Line, Verdict, Window};

/// What lies between a command and the first fire time at least, and at most.
const ROOM_MS: std::ops::RangeInclusive<i64> = 700..=20_000;
/// How long to look for a node that executes something.
const SEARCH: Duration = Duration::from_secs(20);
/// An entry beside those of a race.
const OTHER: &str = "other";
/// How much slower than the slowest so far a command may be.
const SLOWER: i64 = 4;

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

    /// A node that may run commands. Its work is taken over 2 s after its death.
    pub fn node(&self, name: &str) -> NodeOptions {
        self.steady(name).args(&["--lease", "2s"])
    }

    /// A node that lives through the whole scenario: also where the machine keeps it from renewing for seconds.
    pub fn steady(&self, name: &str) -> NodeOptions {
        node(name, self.server.url())
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

    /// The time that so many commands may need on this machine, by those that it has seen.
    pub fn room_ms(&self, commands: i64) -> i64 {
        (SLOWER * commands * self.user.slowest_ms()).clamp(*ROOM_MS.start(), *ROOM_MS.end())
    }

    /// Applies `entries` entries that fire `count` times, every second from a whole second soon on; `more` are fields of each.
    pub fn race(&self, entries: usize, count: i64, command: &str, more: &str) -> Race {
        self.race_in(self.room_ms(1), entries, count, command, more)
    }

    /// [`race`](Self::race) with room for `ahead_ms` before the first fire time, a second more at most.
    pub fn race_in(&self, ahead_ms: i64, entries: usize, count: i64, command: &str, more: &str) -> Race {
        let start_ms = (now_ms() + ahead_ms) / EVERY_MS * EVERY_MS + EVERY_MS;
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
        still_before(start_ms, "the first fire time passed before it was written");
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
        within(patience, || self.all_ended(race, other).then_some(())).is_some()
    }

    fn all_ended(&self, race: &Race, other: &str) -> bool {
        let runs: Vec<Value> = self.runs().into_iter().filter(|run| run["entry_id"] != other).collect();
        let is_active =
            |run: &Value| run["finished_at"].is_null() && run["state"] != "skipped" && run["state"] != "missed";
        let fires: u64 = runs.iter().map(|run| run["fires"].as_u64().unwrap()).sum();
        let due = race.entries.len() * usize::try_from(race.window.count).unwrap();
        fires >= due as u64 && !runs.iter().any(is_active)
    }

    /// Waits until the window has passed and all has ended, or until nothing of it changes while the fleet runs so many other
    /// things one after the other: what is lost stays away.
    pub fn ended_or_stuck(&self, race: &Race) {
        const OTHERS: usize = 4;
        wait_until(race.window.end_ms());
        self.user.ok(&["add", OTHER, "--every", "10d", "--", "true"]);
        let seen = || {
            let runs: Vec<Value> = self.runs().into_iter().filter(|run| run["entry_id"] != OTHER).collect();
            (runs, self.lines().len())
        };
        let (mut last, mut unchanged) = (seen(), 0);
        wait_for("nothing changes any more", DEADLINE, || {
            self.user.ok(&["trigger", OTHER]);
            self.wait_ended(OTHER);
            let now = seen();
            unchanged = if now == last { unchanged + 1 } else { 0 };
            last = now;
            self.all_ended(race, OTHER) || unchanged >= OTHERS
        });
    }

    /// Kills a node in the midst of a command: it is frozen for a last look at what it holds, so that nothing ends before the kill.
    pub fn kill_busy(&self, nodes: &mut [NodeProcess]) -> usize {
        let kill_one = || {
            for (at, node) in nodes.iter_mut().enumerate() {
                if node.status().is_some() || !self.executes(node) {
                    continue;
                }
                node.sigstop();
                // Once for what it had sent before, once for what came of that.
                if self.executes(node) && self.executes(node) {
                    node.kill9();
                    return Some(at);
                }
                node.sigcont();
            }
            None
        };
        within(SEARCH, kill_one).unwrap_or_else(|| too_slow("no node was found while it executed"))
    }

    /// Whether a command of a run that this node holds has begun. Redis is asked itself: a command of ours takes longer than a run.
    fn executes(&self, node: &NodeProcess) -> bool {
        let log = node.log();
        let Some(id) = log.split("node.id=").nth(1).and_then(|rest| rest.split_whitespace().next()) else {
            return false;
        };
        let keys = self.server.ask(&["KEYS", &format!("upbeat:{{test:*}}:holds:{id}")]);
        let held = |key: &Reply| self.server.ask(&["SMEMBERS", &key.text()]).list().iter().map(Reply::text).collect();
        let held: Vec<String> = keys.list().iter().flat_map(|key| -> Vec<String> { held(key) }).collect();
        !held.is_empty() && self.lines().iter().any(|line| held.contains(&line.run_id))
    }

    pub fn verdict(&self, race: &Race, deaths: Deaths) -> Verdict {
        let runs: Vec<Value> = self.runs().into_iter().filter(|run| run["entry_id"] != OTHER).collect();
        Verdict::on(race.window, &race.entries, &runs, &self.lines(), deaths)
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
        wait_some(&format!("a pid in {file}"), DEADLINE, || {
            std::fs::read_to_string(&path).ok()?.strip_suffix('\n')?.parse().ok()
        })
    }
}

/// Whether nothing is left of a process group.
pub fn is_gone(group: i32) -> bool {
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), None) == Err(nix::errno::Errno::ESRCH)
}

pub fn rfc3339(ms: i64) -> String {
    upbeat::domain::timestamp::Timestamp(ms).to_rfc3339()
}
