//! The answers, as programs read them: field names and meanings are the contract of the command line.
//!
//! Instants are RFC 3339 in UTC with milliseconds, or null; durations are `_ms`.

use serde::{Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;

use crate::domain::timestamp::Timestamp;
use crate::service::attempts::Made;
use crate::service::calendars::CalendarChange;
use crate::service::queues::QueueChange;
use crate::store::Skip;

/// An instant in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub Timestamp);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339())
    }
}

/// A run, a skipped or missed fire time, or a range of them (`fires` > 1).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunView {
    /// Its id.
    pub run_id: String,
    /// Its entry.
    pub entry_id: String,
    /// Why it exists, a word of `Trigger`.
    pub trigger: &'static str,
    /// The nominal instant.
    pub fire_at: At,
    /// When it was due.
    pub due_at: At,
    /// When it was put into its list.
    pub enqueued_at: Option<At>,
    /// When its first attempt began.
    pub started_at: Option<At>,
    /// When it ended.
    pub finished_at: Option<At>,
    /// From start to end, ms; of a run that is running, null.
    pub duration_ms: Option<i64>,
    /// A word of `State`.
    pub state: &'static str,
    /// A word of `Reason`.
    pub reason: Option<&'static str>,
    /// For people.
    pub message: Option<String>,
    /// The attempt that runs or ran last; 0 where none was made.
    pub attempt: u32,
    /// Attempts that ended by themselves or may yet: what `retry.max_attempts` counts. Those lost with their node, handed back by
    /// a node that stopped, or made before somebody had the run retried are not among them.
    pub attempts: u32,
    /// Attempts lost with their node.
    pub lost: u32,
    /// The node that executes or ended it.
    pub node: Option<String>,
    /// What the command returned.
    pub exit_code: Option<i32>,
    /// The last fire time that the record stands for.
    pub last_fire_at: At,
    /// How many fire times the record stands for; 1 for a run.
    pub fires: u64,
    /// The queue of a run that waits or runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// When the next attempt of a run that is retried comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<At>,
    /// Revision of the entry when it fired.
    pub revision: u64,
    /// Whether it has been running for over 5 minutes, and either for 3 times its p95 or through three fire times.
    pub stuck: bool,
    /// What became of each attempt; see [`RunView::attempt_log`].
    #[serde(skip)]
    pub(super) made: Made,
}

/// The last run of an entry, in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LastRun {
    /// Its id.
    pub run_id: String,
    /// The nominal instant.
    pub fire_at: At,
    /// A word of `State`.
    pub state: &'static str,
    /// A word of `Reason`.
    pub reason: Option<&'static str>,
    /// When it ended.
    pub finished_at: Option<At>,
}

impl From<RunView> for LastRun {
    fn from(run: RunView) -> Self {
        let RunView { run_id, last_fire_at, state, reason, finished_at, .. } = run;
        Self { run_id, fire_at: last_fire_at, state, reason, finished_at }
    }
}

/// An entry in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EntryView {
    /// Its id.
    pub id: String,
    /// `active`, `paused`, `finished` or `broken`.
    pub status: &'static str,
    /// The entry's own fields of when.
    pub schedule: Value,
    /// The entry's own field of what.
    pub action: Value,
    /// Where runs wait.
    pub queue: String,
    /// As the entry names them.
    pub labels: Value,
    /// Who applies it.
    pub owner: String,
    /// The next fire time; of an entry that is paused until then, the first that is regular again.
    pub next_fire_at: Option<At>,
    /// Until when it is paused, where the pause has an end.
    pub paused_until: Option<At>,
    /// Its newest run, also an active one.
    pub last_run: Option<LastRun>,
    /// Its revision.
    pub revision: u64,
    /// What is wrong with it, with the way out.
    pub warnings: Vec<String>,
}

/// One entry whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EntryDetail {
    /// As in a list.
    #[serde(flatten)]
    pub view: EntryView,
    /// All fields of the definition, `anchor` included.
    pub entry: Value,
    /// `{at, actor, reason, until}`, or null.
    pub paused_by: Value,
    /// `{changed_at, created_at, actor, reason, succeeded, failed, skipped, missed, cancelled, active, median_ms, p95_ms,
    /// last_success_at}`; counts and durations over the records that are kept, durations of runs that succeeded.
    pub stats: Value,
    /// Fire times to come that somebody asked to skip.
    pub skips: Vec<SkipView>,
}

/// A fire time to come that somebody asked to skip.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SkipView {
    /// The fire time.
    pub fire_at: At,
    /// Who and why.
    pub message: String,
}

impl From<&Skip> for SkipView {
    fn from(skip: &Skip) -> Self {
        Self { fire_at: At(skip.fire_at), message: skip.words.clone() }
    }
}

/// What became of one entry in a change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangeView {
    /// The entry.
    pub id: String,
    /// `added`, `changed`, `removed`, `unchanged` or `refused`.
    pub change: &'static str,
    /// Names of the fields that differ.
    pub fields: Vec<Cow<'static, str>>,
    /// The next fire time before.
    pub next_before: Option<At>,
    /// The next fire time now.
    pub next_after: Option<At>,
    /// Its revision now, of a removed one that of its removal; null where it never existed.
    pub revision: Option<u64>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What became of a request that changes entries.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Changes {
    /// One per entry named.
    pub changes: Vec<ChangeView>,
    /// Calendars of the file, and what became of the entries that name them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calendars: Vec<CalendarChange>,
    /// Queues of the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<QueueChange>,
    /// What deserves a look, with the way out.
    pub warnings: Vec<String>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeView {
    /// Its name.
    pub node: String,
    /// Its process, as Redis knows it.
    pub incarnation: String,
    /// Its machine.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// When it started.
    pub started_at: At,
    /// Its last beat.
    pub seen_at: At,
    /// `live`, `unready`, `draining` or `lost`.
    pub state: String,
    /// Attempts that run.
    pub running: usize,
    /// Attempts that may run at a time.
    pub concurrency: usize,
    /// Queues that it serves; null for all.
    pub queues: Option<Vec<String>>,
    /// What it may run.
    pub kinds: Vec<String>,
    /// Version of its zone data.
    pub tzdata: String,
    /// Its clock less the shard's, ms.
    pub clock_skew_ms: i64,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueueView {
    /// Its name.
    pub queue: String,
    /// Runs that wait.
    pub waiting: u64,
    /// Runs that run.
    pub running: u64,
    /// How many may, in the fleet; null for any number.
    pub max_running: Option<u32>,
    /// How many may start within a span, `100/1m`; null where they may at any rate.
    pub rate: Option<String>,
    /// Who paused it, when and why; null where it is not.
    pub paused_by: Value,
    /// Who wrote its limits or its pause last; null where it has none.
    pub changed_by: Value,
    /// Runs that wait, by kind of action.
    pub kinds: Value,
    /// Live nodes that serve it.
    pub nodes: Vec<String>,
    /// What is wrong with it, with the way out.
    pub warnings: Vec<String>,
}
