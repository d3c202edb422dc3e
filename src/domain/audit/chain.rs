//! Which revision of an entry held when, and how far each of them had to be settled.

use crate::domain::audit::{Case, RETENTION_MS};
use crate::domain::ledger::Span;
use crate::domain::schedule::Schedule;
use crate::domain::timestamp::Timestamp;

/// A revision, as far as it decides what was owed.
#[derive(Debug, Clone)]
pub enum Was {
    /// The entry stood so.
    Standing(Box<Standing>),
    /// The id was removed then: all that had come was settled.
    Removed(Timestamp),
}

/// An entry as it stood in one revision.
#[derive(Debug, Clone)]
pub struct Standing {
    /// When it was written: all that had come until then is the matter of the revision before.
    pub at: Timestamp,
    /// From when it counts, where that is not `at`.
    pub from: Option<Timestamp>,
    /// Whether it was paused; inside until when, where the pause had an end.
    pub paused: Option<Option<Timestamp>>,
    /// How long after its fire time it was due, ms.
    pub delay_ms: i64,
    /// Fire times in all since it was added.
    pub max_fires: Option<u32>,
    /// Its fire times, with the dates of calendars as they stood when it was written.
    pub schedule: Schedule,
    /// From when on a plan may have been made with newer dates, and its fire times by those.
    pub later: Option<(Timestamp, Schedule)>,
}

/// The fire times of a revision; from an instant on those of another schedule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times<'a> {
    schedule: &'a Schedule,
    pub later: Option<(Timestamp, &'a Schedule)>,
}

/// How far the last revision of an entry is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// All before this instant is.
    Before(Timestamp),
    /// Nothing is: what passes of a pause is put on record when it ends.
    Nothing,
    /// All that has come.
    All,
}

/// A revision, and the interval whose fire times it had to settle.
#[derive(Debug, Clone)]
pub(super) struct Held<'a> {
    pub revision: u64,
    pub begin: Timestamp,
    /// Before `begin` where it had to settle nothing.
    pub till: Timestamp,
    pub times: Times<'a>,
}

/// All revisions of an entry.
#[derive(Debug, Default)]
pub(super) struct Chain<'a> {
    pub held: Vec<Held<'a>>,
    /// From here on it is known which revision held.
    pub begin: Timestamp,
    /// Whether older ones are not kept.
    pub is_cut: bool,
    /// Fire times of the last one that have come and need not be settled yet.
    pub open: u64,
}

impl Standing {
    fn is_paused(&self, at: Timestamp) -> bool {
        self.paused.is_some_and(|until| until.is_none_or(|until| until > at))
    }

    fn begin(&self) -> Timestamp {
        self.from.unwrap_or(Timestamp(self.at.0 + 1))
    }

    /// The fire time that had come and was not due yet when `next` took its place.
    fn pending(&self, next: &Self) -> Option<Timestamp> {
        let is_active = !self.is_paused(next.at) && !next.is_paused(next.at) && next.from.is_none();
        let first = self.schedule.next_after(Timestamp(next.at.0 - self.delay_ms))?;
        (is_active && self.delay_ms > 0 && first <= next.at).then_some(first)
    }

    fn times(&self) -> Times<'_> {
        Times { schedule: &self.schedule, later: self.later.as_ref().map(|(from, schedule)| (*from, schedule)) }
    }
}

impl Times<'_> {
    /// Without the newer dates.
    pub fn as_written(self) -> Self {
        Self { later: None, ..self }
    }

    /// The least after `after`.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let Some((change, later)) = self.later else { return self.schedule.next_after(after) };
        let before = self.schedule.next_after(after).filter(|time| *time <= change);
        before.or_else(|| later.next_after(after.max(change)))
    }

    /// Those from `from` to `to`.
    pub fn span(&self, from: Timestamp, to: Timestamp) -> Span {
        let Some((change, later)) = self.later else { return Span::of(self.schedule, from, to) };
        let before = Span::of(self.schedule, from, to.min(change));
        before.and(Span::of(later, from.max(Timestamp(change.0 + 1)), to))
    }

    /// The `n`-th from `from` on, counted from 1, if it is not after `to`.
    fn nth(&self, from: Timestamp, to: Timestamp, n: u64) -> Option<Timestamp> {
        if self.span(from, to).count < n {
            return None;
        }
        if self.schedule.fixed_period(from).is_none() {
            let first = self.next_after(Timestamp(from.0 - 1));
            return (1..n).fold(first, |time, _| self.next_after(time?));
        }
        let (mut low, mut high) = (from.0, to.0);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.span(from, Timestamp(middle)).count < n { low = middle + 1 } else { high = middle }
        }
        Some(Timestamp(low))
    }
}

/// Which revision had to settle what. `asked` is from when on that matters, `end` an instant after all that can be settled.
pub(super) fn held<'a>(case: &Case<'a>, asked: Timestamp, end: Timestamp) -> Chain<'a> {
    let mut chain = Chain::default();
    let Some((first, _)) = case.chain.first() else { return Chain { begin: end, is_cut: true, ..chain } };
    chain.is_cut = *first > 1;
    let mut is_begun = false;
    // A fire time that the revision before has left to the next one.
    let mut carried = None;
    // Fire times since the entry was added; `None` where that is not known.
    let mut count = if chain.is_cut { fires_before(case, *first) } else { Some(0) };
    for (at, (revision, was)) in case.chain.iter().enumerate() {
        let one = match was {
            Was::Standing(one) => one,
            Was::Removed(removed) => {
                (carried, count) = (None, Some(0));
                chain.begin = if is_begun { chain.begin } else { Timestamp(removed.0 + 1) };
                is_begun = true;
                continue;
            }
        };
        let mut begin = carried.take().unwrap_or_else(|| one.begin());
        if !is_begun {
            is_begun = true;
            chain.begin = if chain.is_cut { Timestamp(one.at.0 + 1) } else { one.begin() };
            begin = if chain.is_cut { left_before(case, *revision, one) } else { begin };
        }
        let times = one.times();
        let (mut till, mut open_till) = match case.chain.get(at + 1) {
            Some((_, Was::Removed(at))) => (*at, *at),
            Some((_, Was::Standing(next))) => {
                let has = |time: &Timestamp| next.schedule.next_after(Timestamp(time.0 - 1)) == Some(*time);
                carried =
                    one.pending(next).filter(|time| *time >= begin && has(time) && is_taken(case, *revision, *time));
                let next_begins = carried.or(next.from);
                let till = next_begins.map_or(next.at, |begins| Timestamp(begins.0 - 1));
                (till, till)
            }
            None => match case.settled {
                Settled::Before(cursor) => (Timestamp(cursor.0 - 1), case.now),
                Settled::Nothing => (Timestamp(begin.0 - 1), case.now),
                Settled::All => (end, end),
            },
        };
        if let Some(most) = one.max_fires {
            let Some(before) = count else {
                // What the limit left is not known.
                chain.begin = chain.begin.max(Timestamp(till.0 + 1));
                continue;
            };
            let left = u64::from(most).saturating_sub(before);
            let none = Timestamp(begin.0 - 1);
            let last = if left == 0 { Some(none) } else { times.nth(begin, till.max(open_till), left) };
            if let Some(last) = last {
                (till, open_till) = (till.min(last), open_till.min(last));
                // It was finished, and left nothing to the next one.
                carried = None;
            }
        }
        let limits = |(_, was): &(u64, Was)| matches!(was, Was::Standing(one) if one.max_fires.is_some());
        if let (Some(count), true) = (count.as_mut(), case.chain[at..].iter().any(limits)) {
            *count += times.span(begin, till).count;
        }
        if at + 1 == case.chain.len() {
            chain.open = times.span(begin.max(Timestamp(till.0 + 1)).max(asked), open_till).count;
        }
        chain.held.push(Held { revision: *revision, begin, till, times });
    }
    chain
}

/// Whether a later revision has settled that fire time or is about to. Where its plan did not reach back so far it stays with
/// the one that left it, which records it as missed.
fn is_taken(case: &Case<'_>, revision: u64, time: Timestamp) -> bool {
    let is_open = matches!(case.settled, Settled::Before(cursor) if cursor <= time);
    is_open || case.stretches.iter().any(|stretch| stretch.revision > revision && stretch.first <= time)
}

/// Fire times of an entry from before the first revision that is kept, as the count that is kept beside the ledger says.
fn fires_before(case: &Case<'_>, first: u64) -> Option<u64> {
    let is_one_entry = case.chain.iter().all(|(_, was)| matches!(was, Was::Standing(_)));
    let recorded = case.stretches.iter().filter(|stretch| stretch.revision >= first).map(|stretch| stretch.count);
    case.fires.filter(|_| is_one_entry)?.checked_sub(recorded.sum())
}

/// Where the first revision that is kept begins: what was left to it by the one before is on record under its number.
fn left_before(case: &Case<'_>, revision: u64, one: &Standing) -> Timestamp {
    let begin = one.begin();
    let first = case.stretches.iter().filter(|stretch| stretch.revision == revision).map(|stretch| stretch.first).min();
    let reach = Timestamp(one.at.0 - RETENTION_MS);
    first.filter(|first| *first < begin && *first > reach).unwrap_or(begin)
}
