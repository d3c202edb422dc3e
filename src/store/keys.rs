//! Every key name of upbeat, in one place.

use crate::domain::id::{EntryId, KEY_PREFIX, Namespace};

/// The keys of a shard that have a fixed name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// hash: the shard's clock and counters.
    Clock,
    /// zset: entry id -> when to look at it, ms.
    Due,
    /// hash: entry id -> definition, JSON.
    Entries,
    /// hash: entry id -> packed plan.
    Plans,
    /// hash: entry id -> packed message of a direct action.
    Messages,
    /// hash: run id -> live record.
    Live,
    /// hash: entry id -> run ids, marks for overlap.
    Active,
    /// hash: entry id -> cursor, pace, back-log.
    Cursors,
    /// zset: entry id -> when to hand it out for planning again.
    Parked,
    /// zset: entry id -> the same, of entries whose plan is missing or damaged.
    Broken,
    /// zset: entry id -> since when nothing is left to fire.
    Finished,
    /// zset: entry id -> until when it is paused.
    Paused,
    /// hash: list -> ids in it whose run has ended.
    Queues,
    /// zset: incarnation -> end of its lease, ms.
    Leases,
    /// zset: run id -> its last moment to start.
    StartBy,
    /// hash: run id -> who asked to cancel it and why.
    Cancels,
    /// hash: rings of records of runs that ended.
    History,
    /// stream: runs that ended, bounded.
    Ended,
    /// stream: runs that were fired and started, bounded.
    Moves,
    /// hash: entry id -> stretches.
    Ledger,
    /// stream: what people and the fleet did, bounded.
    Events,
    /// hash: entry id and revision -> definition as it was.
    Revisions,
    /// hash: entry id -> who removed it, when.
    Removed,
    /// hash: request id -> answer.
    Requests,
    /// zset: request id -> when.
    Requested,
    /// hash: incarnation and lane -> number and answer.
    Lanes,
    /// hash: incarnation -> what the node says of itself.
    Nodes,
    /// zset: incarnation -> when its last beat came.
    Seen,
    /// hash: run id and attempt -> what is kept of its output.
    Outputs,
    /// list: its fields, oldest first.
    OutputOrder,
    /// hash: run id -> until when somebody watches it, ms; goes by itself.
    Watched,
    /// hash: entry id -> what its last run left for the next.
    Results,
    /// zset: entry id -> when to hand it out for planning with newer zone data.
    Stale,
    /// zset: run id -> when it goes into its list: retries, and runs asked for at an instant.
    Delayed,
    /// zset: run id -> when it failed for good.
    Dead,
    /// hash: run id -> dead letter: all that a retry needs.
    Letters,
    /// hash: key of a request for a run -> run id and fire time of the run that it made.
    Uniques,
    /// zset: key of a request for a run -> until when it is taken.
    UniqueUntil,
    /// hash: entry id -> how many may be active, and the run ids that wait for them.
    Waits,
    /// hash: entry id -> fire times since it was created, of entries with a limit.
    Fires,
    /// hash, in shard 0 only: name -> dates of a calendar, and who wrote them, JSON.
    Calendars,
    /// hash, in shard 0 only: name and revision -> a calendar as it was; name -> last revision of one that was removed.
    CalendarRevisions,
    /// hash: entry id -> fire times to skip.
    Skips,
    /// hash: entry id -> batches of past fire times to run.
    Backfills,
    /// zset: entry id -> when the next of them has its turn.
    Backfilling,
    /// hash: queue -> limits and pause, JSON.
    QueueRules,
    /// zset: queue and run id of what executes, of queues with a limit.
    Occupied,
    /// hash: queue -> when runs started, packed, of queues with a rate.
    Starts,
}

impl Key {
    fn word(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Due => "due",
            Self::Entries => "entries",
            Self::Plans => "plans",
            Self::Messages => "messages",
            Self::Live => "live",
            Self::Active => "active",
            Self::Cursors => "cursors",
            Self::Parked => "parked",
            Self::Broken => "broken",
            Self::Finished => "finished",
            Self::Paused => "paused",
            Self::Queues => "queues",
            Self::Leases => "leases",
            Self::StartBy => "start_by",
            Self::Cancels => "cancels",
            Self::History => "history",
            Self::Ended => "ended",
            Self::Moves => "moves",
            Self::Ledger => "ledger",
            Self::Events => "events",
            Self::Revisions => "revisions",
            Self::Removed => "removed",
            Self::Requests => "requests",
            Self::Requested => "requested",
            Self::Lanes => "lanes",
            Self::Nodes => "nodes",
            Self::Seen => "seen",
            Self::Outputs => "outputs",
            Self::OutputOrder => "output_order",
            Self::Watched => "watched",
            Self::Results => "results",
            Self::Stale => "stale",
            Self::Delayed => "delayed",
            Self::Dead => "dead",
            Self::Letters => "letters",
            Self::Uniques => "uniques",
            Self::UniqueUntil => "unique_until",
            Self::Waits => "waits",
            Self::Fires => "fires",
            Self::Calendars => "calendars",
            Self::CalendarRevisions => "calendar_revisions",
            Self::Skips => "skips",
            Self::Backfills => "backfills",
            Self::Backfilling => "backfilling",
            Self::QueueRules => "queue_rules",
            Self::Occupied => "occupied",
            Self::Starts => "starts",
        }
    }
}

/// The names of one shard: all share the hash tag `{namespace:shard}`, so one cluster slot.
#[derive(Debug, Clone)]
pub struct ShardKeys {
    prefix: String,
}

impl ShardKeys {
    /// The names of shard number `shard`.
    pub fn new(namespace: &Namespace, shard: u16) -> Self {
        Self { prefix: format!("upbeat:{{{namespace}:{shard}}}:") }
    }

    /// A key with a fixed name.
    pub fn key(&self, key: Key) -> String {
        format!("{}{}", self.prefix, key.word())
    }

    /// Several of them, in order.
    pub fn all(&self, keys: &[Key]) -> Vec<String> {
        keys.iter().map(|key| self.key(*key)).collect()
    }

    /// list: run ids that wait; `list` is `QUEUE:KIND`.
    pub fn list(&self, list: &str) -> String {
        format!("{}queue:{list}", self.prefix)
    }

    /// list: at most one hint that the list has work; all hints stand in shard 0. By the name of a node's incarnation it calls that
    /// node from its wait for the others.
    pub fn hint(&self, list: &str) -> String {
        format!("{}hint:{list}", self.prefix)
    }

    /// set: run ids that an incarnation executes.
    pub fn holds(&self, incarnation: &str) -> String {
        format!("{}holds:{incarnation}", self.prefix)
    }
}

/// hash: what is fixed when a namespace is first used.
pub fn settings(namespace: &Namespace) -> String {
    format!("upbeat:{{{namespace}}}:settings")
}

/// Patterns of all keys of a namespace.
pub fn patterns(namespace: &Namespace) -> impl Iterator<Item = String> {
    [format!("{KEY_PREFIX}{{{namespace}:*}}:*"), format!("{KEY_PREFIX}{{{namespace}}}:*")].into_iter()
}

/// Pattern of [`settings`] of all namespaces.
pub const ALL_SETTINGS: &str = "upbeat:{*}:settings";

/// The namespace whose [`settings`] this key is.
pub fn namespace_of(settings: &str) -> Option<Namespace> {
    let name = settings.strip_prefix(KEY_PREFIX)?.strip_prefix('{')?.strip_suffix("}:settings")?;
    Namespace::parse("namespace", name).ok()
}

/// Channel of nudges; a message is a hint and nothing more.
pub fn nudges(namespace: &Namespace) -> String {
    format!("upbeat:{{{namespace}}}:nudge")
}

/// The mark that a run of the celery action was sent; it stands on the broker.
pub fn celery_mark(namespace: &Namespace, run_id: &str) -> String {
    format!("upbeat:{{{namespace}}}:celery:{run_id}")
}

/// The shard of an entry: FNV-1a of its id, so that nobody has to look it up.
pub fn shard_of(id: &EntryId, shards: u16) -> u16 {
    let hash = id
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    u16::try_from(hash % u64::from(shards.max(1))).unwrap_or(0)
}
