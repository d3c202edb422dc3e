//! What runs at once: a sweep over starts and ends in their order, minute by minute, by the overlap rules of the entries.
//!
//! What fires more often than once a second is not swept: from its first time to its last as many runs go on as its rate and
//! length come to.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::domain::forecast::{Lasts, Limit, MINUTE_MS, SWEPT_MAX, Stream, Times, Window};
use crate::domain::timestamp::Timestamp;

/// Shorter periods are not swept.
const DENSE_MS: i64 = 1_000;

/// The most that run at once, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Peak {
    /// How many.
    pub runs: u64,
    /// When they first were so many, ms.
    pub at: i64,
}

/// What runs at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Up to there it is known; the end of the window unless there were too many starts.
    pub known_to: Timestamp,
    /// All together.
    pub all: Peak,
    /// By queue.
    pub queues: Vec<Peak>,
    /// By waiting list.
    pub lists: Vec<Peak>,
    /// By queue and minute, the most at once.
    pub busy: Vec<Vec<u32>>,
    /// By stream: fire times that its overlap rule skips.
    pub skipped: Vec<u64>,
}

/// How an entry goes on.
#[derive(Debug, Clone, Default)]
struct Active {
    next: u64,
    running: u64,
    waiting: u64,
    /// Of one whose runs end the one before: when the newest ends.
    until: i64,
}

struct Sweep<'a, F> {
    streams: &'a [Stream],
    lasts: F,
    active: Vec<Active>,
    ends: BinaryHeap<Reverse<(i64, usize, u64)>>,
    levels: Levels,
    skipped: Vec<u64>,
}

struct Levels {
    first_minute: i64,
    to: i64,
    all: (u64, Peak),
    queues: Vec<(u64, Peak)>,
    lists: Vec<(u64, Peak)>,
    busy: Vec<Vec<u32>>,
}

/// Sweeps over the runs of a window; each lasts as long as `lasts` says.
pub(super) fn running(
    streams: &[Stream],
    queues: usize,
    lists: usize,
    window: Window,
    shift: impl Fn(usize) -> i64,
    lasts: impl Fn(&Lasts) -> i64,
) -> Running {
    let minutes = usize::try_from(window.minutes()).unwrap_or(0);
    let first_minute = window.first_minute().0;
    let levels = Levels {
        first_minute,
        to: window.to.0,
        all: Default::default(),
        queues: vec![Default::default(); queues],
        lists: vec![Default::default(); lists],
        busy: vec![vec![0; minutes]; queues],
    };
    let active = vec![Active::default(); streams.len()];
    let mut sweep = Sweep { streams, lasts, active, ends: BinaryHeap::new(), levels, skipped: vec![0; streams.len()] };
    let mut buckets: Vec<Vec<usize>> = vec![Vec::new(); minutes];
    let bucket_of = |due: i64| usize::try_from((due - first_minute) / MINUTE_MS).unwrap_or(0);
    for (at, stream) in streams.iter().enumerate().filter(|(_, stream)| stream.list.is_some()) {
        sweep.active[at].next = stream.times.number_from(window.from.0 - shift(at));
        if let Some(due) = sweep.next_due(at, shift(at)).filter(|due| *due < window.to.0) {
            buckets[bucket_of(due)].push(at);
        }
    }
    let mut swept = 0;
    let mut starts: Vec<(i64, usize)> = Vec::new();
    for minute in 0..minutes {
        let begin = first_minute + i64::try_from(minute).unwrap_or(0) * MINUTE_MS;
        let end = (begin + MINUTE_MS).min(window.to.0);
        for at in std::mem::take(&mut buckets[minute]) {
            if let Some(due) = sweep.next_due(at, shift(at)).filter(|_| sweep.is_dense(at)) {
                starts.push((due, at));
                continue;
            }
            while let Some(due) = sweep.next_due(at, shift(at)) {
                if due >= end {
                    if due < window.to.0 {
                        buckets[bucket_of(due)].push(at);
                    }
                    break;
                }
                if !streams[at].times.is_hole(due - shift(at)) {
                    starts.push((due, at));
                }
                sweep.active[at].next += 1;
            }
        }
        swept += starts.len() as u64;
        if swept > SWEPT_MAX && minute > 0 {
            return sweep.known_to(Timestamp(begin));
        }
        starts.sort_unstable();
        sweep.end_until(begin);
        sweep.levels.begin(minute);
        for (due, at) in starts.drain(..) {
            sweep.end_until(due);
            match sweep.is_dense(at) {
                true => sweep.start_dense(at, due, shift(at)),
                false => sweep.start(at, due),
            }
        }
        sweep.end_until(end - 1);
    }
    sweep.known_to(window.to)
}

impl<F: Fn(&Lasts) -> i64> Sweep<'_, F> {
    fn next_due(&self, at: usize, shift: i64) -> Option<i64> {
        self.streams[at].times.nth(self.active[at].next).map(|due| due + shift)
    }

    fn lasts_ms(&self, at: usize) -> i64 {
        (self.lasts)(&self.streams[at].lasts).max(1)
    }

    fn is_dense(&self, at: usize) -> bool {
        matches!(&self.streams[at].times, Times::Every { period, count, .. } if *period < DENSE_MS && *count > 1)
    }

    /// As many as its rate and length come to, from now to its last time.
    fn start_dense(&mut self, at: usize, due: i64, shift: i64) {
        let Times::Every { first, period, count, .. } = &self.streams[at].times else { return };
        let (lasts, limit) = (self.lasts_ms(at), self.streams[at].limit);
        let last = first + shift + period * (i64::try_from(*count).unwrap_or(1) - 1);
        let beside = lasts.unsigned_abs().div_ceil(period.unsigned_abs()).max(1);
        let runs = beside.min(limit.active);
        let fires = count - self.active[at].next;
        if !limit.cancels && beside > limit.active {
            // Of `beside` fire times in a row so many find a place.
            let started = (u128::from(fires) * u128::from(limit.active)).div_ceil(u128::from(beside));
            self.skipped[at] = fires - u64::try_from(started).unwrap_or(fires).min(fires);
        }
        self.levels.change(&self.streams[at], due, runs, true);
        self.ends.push(Reverse((last + lasts, at, runs)));
    }

    fn start(&mut self, at: usize, due: i64) {
        let ends_at = due + self.lasts_ms(at);
        let Limit { active, waiting, cancels } = self.streams[at].limit;
        let entry = &mut self.active[at];
        if entry.running < active {
            entry.running += 1;
            entry.until = ends_at;
            self.ends.push(Reverse((ends_at, at, 1)));
            self.levels.change(&self.streams[at], due, 1, true);
        } else if cancels {
            entry.until = ends_at;
        } else if entry.waiting < waiting {
            entry.waiting += 1;
        } else {
            self.skipped[at] += 1;
        }
    }

    /// Ends what ends up to then; what waited for it begins, and what was asked to end has made room for a newer run.
    fn end_until(&mut self, until: i64) {
        while let Some(Reverse((ends_at, at, runs))) = self.ends.peek().copied().filter(|Reverse(end)| end.0 <= until) {
            self.ends.pop();
            let lasts = self.lasts_ms(at);
            let entry = &mut self.active[at];
            if entry.waiting > 0 {
                entry.waiting -= 1;
                self.ends.push(Reverse((ends_at + lasts, at, runs)));
            } else if self.streams[at].limit.cancels && entry.until > ends_at {
                self.ends.push(Reverse((entry.until, at, runs)));
            } else {
                entry.running = entry.running.saturating_sub(1);
                self.levels.change(&self.streams[at], ends_at, runs, false);
            }
        }
    }

    fn known_to(self, known_to: Timestamp) -> Running {
        let peaks = |levels: Vec<(u64, Peak)>| levels.into_iter().map(|(_, peak)| peak).collect();
        let Levels { all, queues, lists, busy, .. } = self.levels;
        Running { known_to, all: all.1, queues: peaks(queues), lists: peaks(lists), busy, skipped: self.skipped }
    }
}

impl Levels {
    /// What goes on when a minute begins counts in it.
    fn begin(&mut self, minute: usize) {
        for (busy, (level, _)) in self.busy.iter_mut().zip(&self.queues) {
            busy[minute] = u32::try_from(*level).unwrap_or(u32::MAX);
        }
    }

    fn change(&mut self, stream: &Stream, at: i64, runs: u64, is_more: bool) {
        let step = |(level, peak): &mut (u64, Peak)| {
            *level = if is_more { *level + runs } else { level.saturating_sub(runs) };
            if *level > peak.runs {
                *peak = Peak { runs: *level, at };
            }
            *level
        };
        step(&mut self.all);
        if let Some(list) = stream.list {
            step(&mut self.lists[list]);
        }
        let level = step(&mut self.queues[stream.queue]);
        if is_more && at < self.to {
            let minute = usize::try_from((at - self.first_minute) / MINUTE_MS).unwrap_or(0);
            let busy = &mut self.busy[stream.queue][minute];
            *busy = (*busy).max(u32::try_from(level).unwrap_or(u32::MAX));
        }
    }
}
