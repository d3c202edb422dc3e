//! A forecast: how many runs come due in each minute, how many run at once, and what spreading would change.
//!
//! Pure: entries become [`Stream`]s of due times in a [`Window`]; [`forecast()`] counts them by minute (`count.rs`) and sweeps over
//! starts and ends (`sweep.rs`). Everything has a limit; a forecast says how far it got, and all streams are counted up to there.

mod count;
mod spread;
mod sweep;
mod times;

pub use self::spread::{Spread, SpreadBy, SpreadWord, crowded, spread_by};
pub use self::sweep::{Peak, Running};
pub use self::times::{Coming, Times, TooMany};

use crate::domain::id::EntryId;
use crate::domain::policy::Overlap;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

/// Length of a minute.
pub const MINUTE_MS: i64 = 60_000;
/// Due times that are listed one by one, at most, in all.
pub const LISTED_MAX: usize = 5_000_000;
/// Starts that are swept over for what runs at once, at most.
pub const SWEPT_MAX: u64 = 5_000_000;
/// Steps of counting, at most: due times, or minutes of what fires more than once in each.
pub const COUNTED_MAX: u64 = 20_000_000;
/// Minutes times queues, at most.
pub const CELLS_MAX: i64 = 10_000_000;
/// Runs that may wait for runs of their entry.
const WAITING_MAX: u64 = 100;
/// How long an attempt is taken to last where no run of its entry is on record.
pub const ASSUMED: Span = Span(60_000);

/// From when until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first instant.
    pub from: Timestamp,
    /// The first that is not in it.
    pub to: Timestamp,
}

/// How many runs of an entry go on at once, and what becomes of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Active runs, at most.
    pub active: u64,
    /// That may wait for them; what comes beyond is skipped.
    pub waiting: u64,
    /// A new run ends the one before it.
    pub cancels: bool,
}

/// How long a run is taken to last, ms; at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lasts {
    /// Half of the runs took no longer.
    pub p50_ms: i64,
    /// 95 of 100 took no longer.
    pub p95_ms: i64,
    /// No run is on record: both are assumed.
    pub is_assumed: bool,
}

/// The due times of one entry in a window.
#[derive(Debug, Clone)]
pub struct Stream {
    /// The entry.
    pub id: EntryId,
    /// Number of its queue.
    pub queue: usize,
    /// Number of its waiting list, of queue and kind of action; `None` for messages, which take no slot.
    pub list: Option<usize>,
    /// When its runs are due.
    pub times: Times,
    /// How long they last.
    pub lasts: Lasts,
    /// How many of them go on at once.
    pub limit: Limit,
    /// How it could be spread, where it could.
    pub spread_by: Option<SpreadBy>,
}

/// What is forecast.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// Up to there runs are counted; the end of the window unless that was too much.
    pub counted_to: Timestamp,
    /// The beginning of the first minute.
    pub first_minute: Timestamp,
    /// By queue and minute: runs that come due.
    pub runs: Vec<Vec<u32>>,
    /// What runs at once where each lasts its p50.
    pub p50: Running,
    /// The same with the p95.
    pub p95: Running,
}

impl Limit {
    /// What the rules of an entry come to.
    pub fn of(overlap: Overlap, max_running: Option<u16>) -> Self {
        let (active, waiting, cancels) = match (overlap, max_running) {
            (Overlap::Skip, _) => (1, 0, false),
            (Overlap::BufferOne, _) => (1, 1, false),
            (Overlap::BufferAll, _) => (1, WAITING_MAX, false),
            (Overlap::CancelOther, _) => (1, 0, true),
            (Overlap::Allow, Some(most)) => (u64::from(most), WAITING_MAX, false),
            (Overlap::Allow, None) => (u64::MAX, 0, false),
        };
        Self { active, waiting, cancels }
    }
}

impl Lasts {
    /// As it was measured.
    pub fn measured(p50: Span, p95: Span) -> Self {
        Self { p50_ms: p50.ms().max(1), p95_ms: p95.ms().max(1), is_assumed: false }
    }

    /// Where nothing was: [`ASSUMED`], or the timeout of an attempt where that is shorter.
    pub fn assumed(timeout: Option<Span>) -> Self {
        let ms = timeout.map_or(ASSUMED, |timeout| timeout.min(ASSUMED)).ms().max(1);
        Self { p50_ms: ms, p95_ms: ms, is_assumed: true }
    }
}

impl Window {
    /// The beginning of its first minute.
    pub fn first_minute(self) -> Timestamp {
        Timestamp(self.from.0.div_euclid(MINUTE_MS) * MINUTE_MS)
    }

    /// Minutes that it touches.
    pub fn minutes(self) -> i64 {
        (self.to.0 - self.first_minute().0 + MINUTE_MS - 1).div_euclid(MINUTE_MS).max(0)
    }
}

impl Forecast {
    /// Runs of all queues by minute.
    pub fn totals(&self) -> Vec<u64> {
        let minutes = self.runs.first().map_or(0, Vec::len);
        (0..minutes).map(|minute| self.runs.iter().map(|runs| u64::from(runs[minute])).sum()).collect()
    }

    /// When a minute begins.
    pub fn minute_at(&self, minute: usize) -> Timestamp {
        Timestamp(self.first_minute.0 + i64::try_from(minute).unwrap_or(0) * MINUTE_MS)
    }
}

/// The first minute with the most runs, and how many they are; `None` where there are none.
pub fn worst<T: Copy + Into<u64>>(runs: &[T]) -> Option<(usize, u64)> {
    let mut worst: Option<(usize, u64)> = None;
    for (minute, runs) in runs.iter().enumerate() {
        let runs: u64 = (*runs).into();
        if runs > worst.map_or(0, |(_, most)| most) {
            worst = Some((minute, runs));
        }
    }
    worst
}

/// Forecasts these streams; each is moved by its number in `shifts_ms`, where that is given.
pub fn forecast(streams: &[Stream], queues: usize, lists: usize, window: Window, shifts_ms: &[i64]) -> Forecast {
    let shift = |at: usize| shifts_ms.get(at).copied().unwrap_or(0);
    let most_minutes = CELLS_MAX / i64::try_from(queues.max(1)).unwrap_or(i64::MAX);
    let mut window = window;
    if window.minutes() > most_minutes {
        window.to = Timestamp(window.first_minute().0 + most_minutes * MINUTE_MS);
    }
    let (runs, window) = count::by_minute(streams, queues, window, shift);
    let p50 = sweep::running(streams, queues, lists, window, shift, |lasts| lasts.p50_ms);
    let p95 = sweep::running(streams, queues, lists, window, shift, |lasts| lasts.p95_ms);
    Forecast { counted_to: window.to, first_minute: window.first_minute(), runs, p50, p95 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
