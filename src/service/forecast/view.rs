//! A forecast as programs read it.

use serde::Serialize;

use crate::service::view::At;

/// What comes in a window, as far as schedules and records tell.
#[derive(Debug, Clone, Serialize)]
pub struct ForecastView {
    /// The first instant.
    pub from: At,
    /// The first that was not asked for.
    pub to: At,
    /// Up to there runs are counted; earlier than `to` where they were too many.
    pub counted_to: At,
    /// Up to there it is known what runs at once.
    pub running_to: At,
    /// Entries that fire by then.
    pub entries: u64,
    /// Their runs.
    pub runs: u64,
    /// The most that run at once where each run takes the p50 of its entry.
    pub concurrency_p50: u64,
    /// The same with the p95.
    pub concurrency_p95: u64,
    /// Attempts that live nodes can run at once of all that comes.
    pub slots: u64,
    /// Whether they are enough where each run takes the p95: in each queue, for each kind of action, and all together.
    pub suffices: bool,
    /// By queue; `queue` is null for messages, which no node runs.
    pub queues: Vec<QueueForecast>,
    /// The minute with the most runs, the first of them; null where none come.
    pub worst: Option<WorstMinute>,
    /// What spreading would change; null where it would make no worst minute better.
    pub spread: Option<SpreadView>,
    /// Entries that fire while their run before is still active, and skip.
    pub skips: Vec<SkipForecast>,
    /// How many they are; more than `skips` lists.
    pub skips_total: u64,
    /// Entries without a run on record: how long they last is assumed.
    pub unmeasured: u64,
    /// Some of them.
    pub unmeasured_ids: Vec<String>,
    /// What is not counted.
    pub left_out: LeftOut,
    /// What deserves a look, with the way out.
    pub warnings: Vec<String>,
    /// Minutes in which something comes or runs, by time and queue.
    pub minutes: Vec<MinuteForecast>,
}

/// What comes in a queue.
#[derive(Debug, Clone, Serialize)]
pub struct QueueForecast {
    /// Its name; null for messages.
    pub queue: Option<String>,
    /// Its runs.
    pub runs: u64,
    /// The minute with the most of them.
    pub worst: Option<MinuteRuns>,
    /// The most at once, by the p50.
    pub concurrency_p50: u64,
    /// The most at once, by the p95.
    pub concurrency_p95: u64,
    /// When so many first run.
    pub concurrency_at: Option<At>,
    /// Attempts that live nodes can run at once of what comes in it.
    pub slots: u64,
    /// Whether they are enough where each run takes the p95, also for each kind of action.
    pub suffices: bool,
    /// The same by kind of action.
    pub kinds: Vec<KindForecast>,
}

/// What comes of one kind of action in a queue.
#[derive(Debug, Clone, Serialize)]
pub struct KindForecast {
    /// `exec`, `shell`, `http`.
    pub kind: String,
    /// The most at once, by the p50.
    pub concurrency_p50: u64,
    /// The most at once, by the p95.
    pub concurrency_p95: u64,
    /// Attempts that live nodes can run of it at once.
    pub slots: u64,
}

/// A minute and its runs.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MinuteRuns {
    /// When it begins.
    pub at: At,
    /// Runs that come due in it.
    pub runs: u64,
}

/// The minute with the most runs.
#[derive(Debug, Clone, Serialize)]
pub struct WorstMinute {
    /// When it begins.
    pub at: At,
    /// Runs that come due in it.
    pub runs: u64,
    /// How many entries they are of.
    pub entries_total: u64,
    /// Those entries, the ones with the most runs first; up to 1,000.
    pub entries: Vec<EntryRuns>,
}

/// An entry and its runs.
#[derive(Debug, Clone, Serialize)]
pub struct EntryRuns {
    /// Its id.
    pub id: String,
    /// How many.
    pub runs: u64,
}

/// A queue in a minute.
#[derive(Debug, Clone, Serialize)]
pub struct MinuteForecast {
    /// When it begins.
    pub at: At,
    /// Null for messages.
    pub queue: Option<String>,
    /// Runs that come due.
    pub runs: u64,
    /// The most at once, by the p95.
    pub busy: u64,
}

/// What spreading would change.
#[derive(Debug, Clone, Serialize)]
pub struct SpreadView {
    /// Entries to change.
    pub entries: u64,
    /// The worst minute then.
    pub worst: MinuteRuns,
    /// The most at once then, by the p50.
    pub concurrency_p50: u64,
    /// The most at once then, by the p95.
    pub concurrency_p95: u64,
    /// The changes; up to 1,000.
    pub changes: Vec<SpreadChange>,
}

/// One change.
#[derive(Debug, Clone, Serialize)]
pub struct SpreadChange {
    /// The entry.
    pub id: String,
    /// What to type.
    pub command: String,
}

/// An entry that skips because its runs last too long.
#[derive(Debug, Clone, Serialize)]
pub struct SkipForecast {
    /// Its id.
    pub id: String,
    /// Its fire times.
    pub runs: u64,
    /// Of them those that are skipped where each run takes the p95.
    pub skipped: u64,
    /// 95 of 100 of its runs took no longer.
    pub p95_ms: i64,
}

/// Entries that are not counted.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LeftOut {
    /// Paused, without an end in the window.
    pub paused: u64,
    /// Some of those.
    pub paused_ids: Vec<String>,
    /// Nothing is left to fire.
    pub finished: u64,
    /// They can't be read, or a calendar of theirs is missing.
    pub broken: u64,
    /// Some of those.
    pub broken_ids: Vec<String>,
}
