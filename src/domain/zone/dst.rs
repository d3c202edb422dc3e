//! What becomes of local times that a change of the clocks leaves out or shows twice, and the walk that applies it.
//!
//! Cron and every other rule that speaks of local times goes through [`Zone::next_instant`] or [`Zone::instants`]; neither
//! knows the rule, both get its local times: the one by asking for the next after any, the other as an ascending iterator.
//! [`Dst::BY_CLOCK`] is what follows real elapsed time: it fires whenever the clock shows the time.

use std::collections::BTreeSet;
use std::iter::Peekable;

use chrono::{DateTime, NaiveDateTime};

use super::{Local, Zone};
use crate::domain::timestamp::Timestamp;

/// Local times that are left out when the clock is put forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gap {
    /// All of one gap as one fire time: the first instant after it.
    #[default]
    RunAfter,
    /// None.
    Skip,
    /// All of one gap as one fire time: the last one before it that the rule could name, a whole minute or second.
    RunBefore,
}

/// Local times that come twice when the clock is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fold {
    /// The first time.
    #[default]
    First,
    /// The second time.
    Last,
    /// Both times.
    Both,
}

/// Both rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dst {
    /// For times left out.
    pub gap: Gap,
    /// For times that come twice.
    pub fold: Fold,
}

impl Gap {
    /// As it is written.
    pub const WORDS: [(&'static str, Self); 3] =
        [("run_after", Self::RunAfter), ("skip", Self::Skip), ("run_before", Self::RunBefore)];
}

impl Fold {
    /// As it is written.
    pub const WORDS: [(&'static str, Self); 3] = [("first", Self::First), ("last", Self::Last), ("both", Self::Both)];
}

impl Dst {
    /// Fires whenever the clock shows the time: real elapsed time.
    pub const BY_CLOCK: Self = Self { gap: Gap::Skip, fold: Fold::Both };
}

impl Zone {
    /// The least instant after `after` that stands for a local time, by `dst`.
    ///
    /// `next_local` gives the least local time of the rule that is greater than its argument; it is asked a few times for
    /// every change of the clocks that is passed, never once for every local time in a gap or fold. All local times are
    /// whole multiples of `grain_s` seconds, 1 or 60; so are the instants before gaps.
    ///
    /// What is returned grows strictly with `after`, and is the same from any `after` up to it.
    pub fn next_instant(
        &self,
        dst: Dst,
        grain_s: i64,
        after: Timestamp,
        mut next_local: impl FnMut(NaiveDateTime) -> Option<NaiveDateTime>,
    ) -> Option<Timestamp> {
        // instants are whole seconds, so the one before `after` will do
        let after_s = seconds(after);
        // between two changes of the rules local time runs evenly: such a stretch begins at `point`, and all up to `floor` is done
        let (mut point, mut floor) = (after_s, after_s);
        // no local time lies between these two
        let mut empty: Option<(i64, i64)> = None;
        loop {
            let offset = self.offset_at(point);
            let local = floor + offset;
            let next = match empty {
                Some((from, next)) if from <= local && local < next => next,
                _ => match next_local(naive(local)?) {
                    Some(next) => next.and_utc().timestamp(),
                    // the last of them may come again, if the clock is about to be put back
                    None => {
                        let change = self.next_change(instant(point)).map(seconds)?;
                        let put_back = offset - self.offset_at(change);
                        if put_back <= 0 || change - floor > put_back {
                            return None;
                        }
                        (point, floor) = (change, change - 1);
                        continue;
                    }
                },
            };
            let at = next - offset;
            match self.next_change(instant(point)).map(seconds) {
                Some(change) if change <= at => {
                    let is_in_gap = next < change + self.offset_at(change);
                    match dst.gap {
                        Gap::RunAfter if is_in_gap => return Some(instant(change)),
                        Gap::RunBefore if is_in_gap => {
                            let last = last_before(change, offset, grain_s);
                            if last > after_s {
                                return Some(instant(last));
                            }
                        }
                        _ => {}
                    }
                    empty = Some((local, next));
                    (point, floor) = (change, change - 1);
                }
                _ => match self.end_of_other_pass(dst.fold, at, next) {
                    Some(end) => (point, floor) = (end.max(at), end.max(at)),
                    None => return Some(instant(at)),
                },
            }
        }
    }

    /// The instants of ascending local times, ascending and each once, by `dst`; `grain_s` as for [`Zone::next_instant`].
    pub fn instants<I: Iterator<Item = NaiveDateTime>>(
        &self,
        dst: Dst,
        grain_s: i64,
        locals: I,
    ) -> impl Iterator<Item = Timestamp> {
        Instants { zone: self.clone(), dst, grain_s, locals: locals.peekable(), waiting: BTreeSet::new(), last: None }
    }

    /// The last instant before a change whose local time is a multiple of `grain_s` seconds.
    pub fn last_before(&self, change: Timestamp, grain_s: i64) -> Timestamp {
        let change = seconds(change);
        instant(last_before(change, self.offset_at(change - 1), grain_s))
    }

    /// The instants that one local time stands for, by `dst`.
    fn instants_of(&self, dst: Dst, grain_s: i64, local: NaiveDateTime) -> [Option<Timestamp>; 2] {
        match (self.from_local(local), dst.gap, dst.fold) {
            (Local::One(at), ..) => [Some(at), None],
            (Local::Two(first, _), _, Fold::First) => [Some(first), None],
            (Local::Two(_, last), _, Fold::Last) => [Some(last), None],
            (Local::Two(first, last), _, Fold::Both) => [Some(first), Some(last)],
            (Local::Gap { end }, Gap::RunAfter, _) => [Some(end), None],
            (Local::Gap { .. }, Gap::Skip, _) => [None, None],
            (Local::Gap { end }, Gap::RunBefore, _) => [Some(self.last_before(end, grain_s)), None],
        }
    }

    /// Where `at` shows its local time in the pass that does not count: the last second of that pass.
    fn end_of_other_pass(&self, fold: Fold, at: i64, local: i64) -> Option<i64> {
        if fold == Fold::Both {
            return None;
        }
        let Local::Two(first, last) = self.from_local(naive(local)?) else { return None };
        let (first, last) = (seconds(first), seconds(last));
        let change = self.next_offset_change(instant(first)).map(seconds)?;
        match fold {
            Fold::First if at == last => Some(change + last - first - 1),
            Fold::Last if at == first => Some(change - 1),
            _ => None,
        }
    }

    fn offset_at(&self, at_s: i64) -> i64 {
        i64::from(self.offset_seconds(instant(at_s)))
    }
}

struct Instants<I: Iterator<Item = NaiveDateTime>> {
    zone: Zone,
    dst: Dst,
    grain_s: i64,
    locals: Peekable<I>,
    waiting: BTreeSet<Timestamp>,
    last: Option<Timestamp>,
}

impl<I: Iterator<Item = NaiveDateTime>> Iterator for Instants<I> {
    type Item = Timestamp;

    fn next(&mut self) -> Option<Timestamp> {
        loop {
            let least = self.waiting.first().copied();
            if let Some(local) = self.locals.peek() {
                let instants = self.zone.instants_of(self.dst, self.grain_s, *local);
                let comes_first = instants[0].is_none_or(|at| least.is_none_or(|least| at <= least));
                if comes_first {
                    self.waiting.extend(instants.into_iter().flatten());
                    self.locals.next();
                    continue;
                }
            }
            let at = self.waiting.pop_first()?;
            if self.last.is_none_or(|last| last < at) {
                self.last = Some(at);
                return Some(at);
            }
        }
    }
}

/// The last instant before `change` whose local time is a multiple of `grain_s`.
fn last_before(change: i64, offset: i64, grain_s: i64) -> i64 {
    (change + offset - 1).div_euclid(grain_s) * grain_s - offset
}

fn seconds(at: Timestamp) -> i64 {
    at.ms().div_euclid(1000)
}

fn instant(at_s: i64) -> Timestamp {
    Timestamp(at_s.saturating_mul(1000))
}

fn naive(local_s: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp(local_s, 0).map(|local| local.naive_utc())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
