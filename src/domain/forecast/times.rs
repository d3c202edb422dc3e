//! The due times of one entry in a window: by arithmetic where they are evenly spaced, else as a list.

use crate::domain::forecast::Window;
use crate::domain::schedule::Schedule;
use crate::domain::timestamp::Timestamp;

/// Instants, ms, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Times {
    /// `first + k * period`, `k < count`, without `holes`.
    Every {
        /// The first of them.
        first: i64,
        /// Their distance; at least 1.
        period: i64,
        /// How many, those left out included.
        count: u64,
        /// That are left out, ascending; each is one of them.
        holes: Vec<i64>,
    },
    /// One by one.
    Listed(Vec<i64>),
}

/// More times than may be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

/// What is to come of an entry.
#[derive(Debug, Clone, Copy)]
pub struct Coming<'a> {
    /// When it fires.
    pub schedule: &'a Schedule,
    /// All before it is settled.
    pub settled_to: Timestamp,
    /// How long after its fire time a run is due, ms.
    pub delay_ms: i64,
    /// Fire times that are left from `settled_to` on; `None`: no limit.
    pub left: Option<u64>,
    /// Fire times that are not to be.
    pub skips: &'a [Timestamp],
}

impl Coming<'_> {
    /// When its runs are due in the window; at most `listed_max` where they have to be listed.
    ///
    /// # Errors
    ///
    /// [`TooMany`] of them.
    pub fn times(&self, window: Window, listed_max: usize) -> Result<Times, TooMany> {
        let until = Timestamp(window.to.0 - self.delay_ms);
        let from = Timestamp(window.from.0 - self.delay_ms).max(self.settled_to);
        let none = Ok(Times::Listed(Vec::new()));
        // Those before the window count where only so many are left.
        let counted_from = if self.left.is_some() { self.settled_to } else { from };
        let Some(first) = self.schedule.next_after(Timestamp(counted_from.0 - 1)).filter(|first| *first < until) else {
            return none;
        };
        match self.schedule.fixed_period(first) {
            Some(fixed) if first >= fixed.phase && (first.0 - fixed.phase.0) % fixed.period.ms() == 0 => {
                Ok(self.evenly(first, fixed.period.ms(), from, until))
            }
            _ => self.listed(first, from, until, listed_max),
        }
    }

    fn evenly(&self, first: Timestamp, period: i64, from: Timestamp, until: Timestamp) -> Times {
        let until = self.schedule.end.map_or(until, |end| end.min(until));
        let passed = (from.0 - first.0).max(0).unsigned_abs().div_ceil(period.unsigned_abs());
        let first = first.0 + i64::try_from(passed).unwrap_or(0) * period;
        let room = (until.0 - first).max(0).unsigned_abs().div_ceil(period.unsigned_abs());
        let count = self.left.map_or(room, |left| left.saturating_sub(passed).min(room));
        let last = first + period * (i64::try_from(count).unwrap_or(i64::MAX) - 1);
        let mut holes: Vec<i64> = self.skips.iter().map(|skip| skip.0).collect();
        holes.retain(|at| (first..=last).contains(at) && (at - first) % period == 0);
        holes.sort_unstable();
        holes.dedup();
        holes.iter_mut().for_each(|at| *at += self.delay_ms);
        Times::Every { first: first + self.delay_ms, period, count, holes }
    }

    fn listed(&self, first: Timestamp, from: Timestamp, until: Timestamp, listed_max: usize) -> Result<Times, TooMany> {
        let left = usize::try_from(self.left.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let all = self.schedule.times_after(Timestamp(first.0 - 1)).take_while(|at| *at < until).take(left);
        let mut due = Vec::new();
        for (looked_at, at) in all.enumerate() {
            if looked_at >= listed_max {
                return Err(TooMany);
            }
            if at >= from && !self.skips.contains(&at) {
                due.push(at.0 + self.delay_ms);
            }
        }
        Ok(Times::Listed(due))
    }
}

impl Times {
    /// How many they are.
    pub fn count(&self) -> u64 {
        match self {
            Self::Every { count, holes, .. } => count - holes.len() as u64,
            Self::Listed(times) => times.len() as u64,
        }
    }

    /// How many are held one by one.
    pub fn listed(&self) -> usize {
        match self {
            Self::Every { holes, .. } => holes.len(),
            Self::Listed(times) => times.len(),
        }
    }

    /// Drops what is not before `to`.
    pub fn cut(&mut self, to: Timestamp) {
        match self {
            Self::Every { first, period, count, holes } => {
                *count = (*count).min((to.0 - *first).max(0).unsigned_abs().div_ceil(period.unsigned_abs()));
                holes.retain(|at| *at < to.0);
            }
            Self::Listed(times) => {
                times.retain(|at| *at < to.0);
                times.shrink_to_fit();
            }
        }
    }

    /// The one with this number, whether or not it is left out.
    pub(super) fn nth(&self, number: u64) -> Option<i64> {
        match self {
            Self::Every { first, period, count, .. } => {
                (number < *count).then(|| first + period * i64::try_from(number).unwrap_or(0))
            }
            Self::Listed(times) => times.get(usize::try_from(number).ok()?).copied(),
        }
    }

    /// Number of the first that is not before `at`.
    pub(super) fn number_from(&self, at: i64) -> u64 {
        match self {
            Self::Every { first, period, count, .. } => {
                (at - first).max(0).unsigned_abs().div_ceil(period.unsigned_abs()).min(*count)
            }
            Self::Listed(times) => times.partition_point(|time| *time < at) as u64,
        }
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = i64> + '_ {
        (0..).map_while(|number| self.nth(number)).filter(|at| !self.is_hole(*at))
    }

    /// Whether this one is left out.
    pub(super) fn is_hole(&self, at: i64) -> bool {
        matches!(self, Self::Every { holes, .. } if holes.binary_search(&at).is_ok())
    }

    /// How many lie from `from` on and before `to`.
    pub fn within(&self, from: i64, to: i64) -> u64 {
        let left_out = match self {
            Self::Every { holes, .. } => holes.iter().filter(|at| (from..to).contains(*at)).count() as u64,
            Self::Listed(_) => 0,
        };
        self.number_from(to).saturating_sub(self.number_from(from)).saturating_sub(left_out)
    }
}
