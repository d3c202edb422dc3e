//! Records of runs, as the scripts pack them: live ones (`lua/parts/live.lua`) and those that ended (`lua/parts/history.lua`).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::attempt::{PastAttempt, exit_code};
use crate::domain::bytes::Reader;
use crate::domain::id::{EntryId, Namespace};
use crate::domain::plan::run_id_suffix;
use crate::domain::run::{Reason, State, Trigger};
use crate::domain::timestamp::Timestamp;

/// What a requested run does differently from its entry; stands behind its live record as JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Extras {
    /// Replaces the entry's payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
    /// Put behind the entry's arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The definition of a run without an entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once: Option<serde_json::Map<String, serde_json::Value>>,
}

/// An active run, as the scripts know it.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveRun {
    /// Its id.
    pub run_id: String,
    /// Its entry's id.
    pub entry_id: String,
    /// `Waiting`, `Queued`, `Running` or `Retrying`.
    pub state: State,
    /// Why it exists.
    pub trigger: Trigger,
    /// Whether somebody asked to cancel it.
    pub is_cancel_asked: bool,
    /// Whether it waits because of `max_running`.
    pub is_over_limit: bool,
    /// Whether it waits for an instant that somebody named.
    pub is_until: bool,
    /// The attempt that runs or ran last; 0 before the first.
    pub attempt: u32,
    /// Attempts lost with their node.
    pub lost: u32,
    /// Attempts that count for nothing: handed back by a node that stopped, or made before the run was reopened.
    pub uncounted: u32,
    /// The nominal instant.
    pub fire_at: Timestamp,
    /// When it was due.
    pub due_at: Timestamp,
    /// When it was put into its list.
    pub enqueued_at: Timestamp,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// Fencing token of the current attempt; 0 without one.
    pub fence: u64,
    /// Incarnation of the node that executes it.
    pub holder: Option<String>,
    /// Birth of its entry.
    pub birth: u64,
    /// Revision of its entry when it fired.
    pub revision: u64,
    /// How late it may start, ms; 0 without limit.
    pub start_within_ms: i64,
    /// The list that it waits in, `QUEUE:KIND`.
    pub list: String,
    /// The attempts before the current one, the oldest first.
    pub past: Vec<PastAttempt>,
    /// What differs from its entry, for requested runs.
    pub extras: Extras,
}

/// A run that ended, or fire times that ended without one.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedRun {
    /// Its id; of several fire times, the first one's.
    pub run_id: String,
    /// Its entry's id.
    pub entry_id: String,
    /// One of the states that are not active.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
    /// Why it existed.
    pub trigger: Trigger,
    /// The attempt that ended it; 0 where none was made.
    pub attempt: u32,
    /// Attempts lost with their node.
    pub lost: u32,
    /// The nominal instant; of several, the first.
    pub fire_at: Timestamp,
    /// When it was due.
    pub due_at: Timestamp,
    /// When it was put into its list.
    pub enqueued_at: Option<Timestamp>,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Revision of its entry when it fired.
    pub revision: u64,
    /// What the command returned.
    pub exit_code: Option<i32>,
    /// How many fire times the record stands for.
    pub fires: u64,
    /// The last of them.
    pub last_fire_at: Timestamp,
    /// Name of the node that ended it.
    pub node: Option<String>,
    /// For people.
    pub message: Option<String>,
    /// Attempts that counted for nothing.
    pub uncounted: u32,
    /// When the last attempt began, where there were others before it.
    pub last_attempt_at: Option<Timestamp>,
    /// The attempts before the last one, the oldest first.
    pub past: Vec<PastAttempt>,
}

fn some_instant(at: Timestamp) -> Option<Timestamp> {
    (at.0 != 0).then_some(at)
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl LiveRun {
    /// Reads a live record; `None` where it is damaged or of a newer program.
    pub fn read(run_id: &str, packed: &[u8]) -> Option<Self> {
        let mut reader = Reader(packed);
        if reader.byte()? != 1 {
            return None;
        }
        let state = State::from_number(reader.byte()?)?;
        let trigger = Trigger::from_number(reader.byte()?)?;
        let flags = reader.byte()?;
        let attempt = small(reader.number(2)?);
        let lost = u32::from(reader.byte()?);
        let uncounted = small(reader.number(2)?);
        let fire_at = reader.instant()?;
        let due_at = reader.instant()?;
        let enqueued_at = reader.instant()?;
        let started_at = some_instant(reader.instant()?);
        let fence = reader.number(7)?;
        let holder = reader.bytes(16)?;
        let holder = (holder[0] != b'-').then(|| String::from_utf8_lossy(holder).into_owned());
        let birth = reader.number(4)?;
        let revision = reader.number(4)?;
        let start_within_ms = reader.number(6)?.cast_signed();
        reader.bytes(3)?;
        let list = reader.text(1)?;
        let entry_id = reader.text(1)?;
        let past = match reader.0.first() {
            Some(1) => {
                reader.byte()?;
                let length = usize::try_from(reader.number(2)?).ok()?;
                PastAttempt::read_all(reader.bytes(length)?)
            }
            _ => Vec::new(),
        };
        // A message that waits for its instant is no JSON: it has no extras.
        let extras = serde_json::from_slice(reader.0).unwrap_or_default();
        Some(Self {
            run_id: run_id.to_owned(),
            entry_id,
            state,
            trigger,
            is_cancel_asked: flags & 1 != 0,
            is_over_limit: flags & 2 != 0,
            is_until: flags & 8 != 0,
            attempt,
            lost,
            uncounted,
            fire_at,
            due_at,
            enqueued_at,
            started_at,
            fence,
            holder,
            birth,
            revision,
            start_within_ms,
            list,
            past,
            extras,
        })
    }

    /// Attempts that failed by themselves or may yet: what `retry.max_attempts` counts.
    pub fn counted(&self) -> u32 {
        self.attempt.saturating_sub(self.lost + self.uncounted)
    }

    /// When the current attempt began: its fence is at least Redis' time then, in us.
    pub fn attempt_at(&self) -> Option<Timestamp> {
        match self.fence {
            0 => self.started_at,
            fence => i64::try_from(fence / 1000).ok().map(Timestamp),
        }
    }

    /// The queue of its list.
    pub fn queue(&self) -> &str {
        self.list.rsplit_once(':').map_or(self.list.as_str(), |(queue, _)| queue)
    }
}

impl EndedRun {
    /// Attempts that ended by themselves: what `retry.max_attempts` counts.
    pub fn counted(&self) -> u32 {
        self.attempt.saturating_sub(self.lost + self.uncounted)
    }

    /// Reads one record; `None` where it is damaged or of a newer program.
    pub fn read(namespace: &Namespace, entry_id: &EntryId, packed: &[u8]) -> Option<Self> {
        let mut reader = Reader(packed);
        if reader.byte()? != 1 {
            return None;
        }
        let state = State::from_number(reader.byte()?)?;
        let reason = Reason::from_number(reader.byte()?);
        let trigger = Trigger::from_number(reader.byte()?)?;
        let attempt = small(reader.number(2)?);
        let lost = u32::from(reader.byte()?);
        let is_requested = reader.byte()? == 1;
        let fire_at = reader.instant()?;
        let due_at = reader.instant()?;
        let enqueued_at = some_instant(reader.instant()?);
        let started_at = some_instant(reader.instant()?);
        let finished_at = reader.instant()?;
        let birth = reader.number(4)?;
        let revision = reader.number(4)?;
        let exit = reader.number(2)?;
        let fires = reader.number(4)?;
        let last_fire_at = reader.instant()?;
        let run_id = if is_requested {
            String::from_utf8_lossy(reader.bytes(36)?).into_owned()
        } else {
            scheduled_run_id(namespace, entry_id, birth, fire_at)
        };
        let node = Some(reader.text(1)?).filter(|node| !node.is_empty());
        let message = Some(reader.text(2)?).filter(|message| !message.is_empty());
        let uncounted = small(reader.number(2).unwrap_or(0));
        let last_attempt_at = reader.instant().and_then(some_instant);
        let past = PastAttempt::read_all(reader.0);
        Some(Self {
            run_id,
            entry_id: entry_id.to_string(),
            state,
            reason,
            trigger,
            attempt,
            lost,
            fire_at,
            due_at,
            enqueued_at,
            started_at,
            finished_at,
            revision,
            exit_code: exit_code(exit),
            fires,
            last_fire_at,
            node,
            message,
            uncounted,
            last_attempt_at,
            past,
        })
    }

    /// Reads a chunk of a ring; records that are damaged or of a newer program are left out.
    pub fn read_chunk(namespace: &Namespace, entry_id: &EntryId, chunk: &[u8]) -> Vec<Self> {
        let mut reader = Reader(chunk.get(5..).unwrap_or_default());
        let mut records = Vec::new();
        while let Some(packed) = reader.number(2).and_then(|len| reader.bytes(usize::try_from(len).ok()?)) {
            records.extend(Self::read(namespace, entry_id, packed));
        }
        records
    }
}

/// Records in one chunk of a ring.
pub const CHUNK: u16 = 16;

/// The id of the run of (entry, fire time).
pub fn scheduled_run_id(namespace: &Namespace, id: &EntryId, birth: u64, fire_at: Timestamp) -> String {
    let ms = fire_at.0;
    format!("{:08x}-{:04x}-8{}", ms >> 16, ms & 0xffff, run_id_suffix(namespace, id, birth))
}

/// The id of a run that somebody asked for: UUIDv5 over namespace, entry id, request id and fire time.
pub fn requested_run_id(namespace: &Namespace, id: &EntryId, request: &str, fire_at: Timestamp) -> String {
    let mut name = Vec::new();
    for part in [namespace.as_str(), id.as_str(), request, &fire_at.0.to_string()] {
        name.extend(part.as_bytes());
        name.push(0);
    }
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &name).to_string()
}
