//! The ledger of an entry: which fire times became what, in stretches, as `lua/parts/ledger.lua` writes it.

mod shorten;

use std::collections::BTreeMap;

pub use shorten::{age, compact};

use crate::domain::run::{Reason, State};
use crate::domain::schedule::Schedule;
use crate::domain::timestamp::Timestamp;

/// Bytes of a packed stretch.
pub const STRETCH_LEN: usize = 29;
/// Stretches that an entry keeps; beyond, the oldest of one revision and outcome are merged, then the oldest revisions dropped.
pub const STRETCHES: usize = 200;
/// Stands where a stretch has its outcome: what was dropped before the first stretch.
const DROPPED: u8 = 0;

/// Fire times of one revision with one outcome, in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
    /// How many they are.
    pub count: u64,
    /// Their sum in ms, mod 2^52: two ledgers of equal count and sum name the same fire times.
    pub sum: u64,
    /// The revision of the definition that held.
    pub revision: u64,
    /// `Succeeded` stands for fired, whatever the run's end; else `Skipped` or `Missed`.
    pub outcome: State,
    /// Why, for those that did not fire; `Pace` for those that fired as a back-log.
    pub reason: Option<Reason>,
}

/// What a ledger told once and does not tell any more: it is the first of what is packed, in the form of a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Those counted are fire times from then on: when the entry was added.
    pub since: Timestamp,
    /// The last that was dropped.
    pub until: Timestamp,
    /// How many were dropped since `since`.
    pub count: u64,
}

/// Reads a ledger; `None` where it is damaged.
pub fn read(text: &[u8]) -> Option<Vec<Stretch>> {
    let Some((1, packed)) = text.split_first() else {
        return text.is_empty().then(Vec::new);
    };
    if packed.len() % STRETCH_LEN != 0 {
        return None;
    }
    packed.chunks_exact(STRETCH_LEN).skip(usize::from(dropped(text).is_some())).map(read_stretch).collect()
}

/// What was dropped of a ledger.
pub fn dropped(text: &[u8]) -> Option<Dropped> {
    let packed = text.get(1..=STRETCH_LEN).filter(|packed| packed[27] == DROPPED)?;
    let instant = |bytes: &[u8]| Timestamp(number(bytes).cast_signed());
    Some(Dropped { since: instant(&packed[0..6]), until: instant(&packed[6..12]), count: number(&packed[12..16]) })
}

/// Fire times on record from `since` on, when the entry was added, as `lua/parts/limits.lua` counts them.
pub fn fires_since(text: &[u8], since: Timestamp) -> u64 {
    let gone = dropped(text).filter(|gone| gone.since >= since).map_or(0, |gone| gone.count);
    let stretches = read(text).unwrap_or_default();
    gone + stretches.iter().filter(|one| one.first >= since).map(|one| one.count).sum::<u64>()
}

/// Where the stretch with this number stands.
fn offset(text: &[u8], number: usize) -> usize {
    1 + (number + usize::from(dropped(text).is_some())) * STRETCH_LEN
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn read_stretch(packed: &[u8]) -> Option<Stretch> {
    let instant = |bytes: &[u8]| Timestamp(number(bytes).cast_signed());
    // Any other state is no outcome of a fire time: such times would be expected, and nothing at all.
    let outcome = State::from_number(packed[27])
        .filter(|state| matches!(state, State::Succeeded | State::Skipped | State::Missed))?;
    Some(Stretch {
        first: instant(&packed[0..6]),
        last: instant(&packed[6..12]),
        count: number(&packed[12..16]),
        sum: number(&packed[16..23]),
        revision: number(&packed[23..27]),
        outcome,
        reason: Reason::from_number(packed[28]),
    })
}

/// The end of the ledger: the last fire time that it names.
pub fn end(stretches: &[Stretch]) -> Option<Timestamp> {
    stretches.iter().map(|stretch| stretch.last).max()
}

/// Fire times of a stretch, counted one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The first and the last of them.
    pub ends: Option<(Timestamp, Timestamp)>,
    /// How many.
    pub count: u64,
    /// Their sum in ms, mod 2^52.
    pub sum: u64,
}

impl Span {
    /// Adds the next of them.
    pub fn push(&mut self, time: Timestamp) {
        self.ends = Some((self.ends.map_or(time, |(first, _)| first), time));
        self.count += 1;
        self.sum = (self.sum + time.0.cast_unsigned()) % (1 << 52);
    }
}

impl Span {
    /// The fire times of a schedule from `from` to `to`, both included: by formula where they are evenly spaced, else one by
    /// one.
    pub fn of(schedule: &Schedule, from: Timestamp, to: Timestamp) -> Self {
        let from = schedule.start.map_or(from, |start| start.max(from));
        let to = schedule.end.map_or(to, |end| Timestamp(end.0 - 1).min(to));
        let mut span = Self::default();
        if from > to {
            return span;
        }
        let Some(fixed) = schedule.fixed_period(from) else {
            schedule.times_after(Timestamp(from.0 - 1)).take_while(|time| *time <= to).for_each(|time| span.push(time));
            return span;
        };
        let Some(first) = fixed.next_after(Timestamp(from.0 - 1)).filter(|first| *first <= to) else { return span };
        let period = i128::from(fixed.period.0);
        let more = (i128::from(to.0) - i128::from(first.0)) / period;
        let sum = (more + 1) * i128::from(first.0) + more * (more + 1) / 2 * period;
        let last = Timestamp(i64::try_from(i128::from(first.0) + more * period).unwrap_or(to.0));
        Self {
            ends: Some((first, last)),
            count: u64::try_from(more + 1).unwrap_or(0),
            sum: u64::try_from(sum.rem_euclid(1 << 52)).unwrap_or(0),
        }
    }

    /// Both together; `other` is the later one.
    pub fn and(self, other: Self) -> Self {
        let ends = match (self.ends, other.ends) {
            (Some((first, _)), Some((_, last))) => Some((first, last)),
            (one, another) => one.or(another),
        };
        Self { ends, count: self.count + other.count, sum: (self.sum + other.sum) % (1 << 52) }
    }
}

impl Stretch {
    /// The stretch as three: what is before, what fires after all, what is behind; `None` where these are not all of its fire
    /// times. Empty ones are left out.
    pub fn fired_within(&self, before: Span, fired: Span, behind: Span) -> Option<Vec<Self>> {
        let parts = [before, fired, behind];
        let count: u64 = parts.iter().map(|part| part.count).sum();
        let sum = parts.iter().fold(0, |sum, part| (sum + part.sum) % (1 << 52));
        if (count, sum) != (self.count, self.sum) {
            return None;
        }
        let outcomes = [(self.outcome, self.reason), (State::Succeeded, None), (self.outcome, self.reason)];
        let stretches = parts.iter().zip(outcomes).filter_map(|(part, (outcome, reason))| {
            let (first, last) = part.ends?;
            Some(Self { first, last, count: part.count, sum: part.sum, outcome, reason, ..*self })
        });
        Some(stretches.collect())
    }
}

/// The front part of a ledger up to the last stretch that is replaced, and what stands there instead; `replaced` are stretches
/// by their place.
pub fn replace(text: &[u8], stretches: &[Stretch], replaced: &BTreeMap<usize, Vec<Stretch>>) -> (Vec<u8>, Vec<u8>) {
    let Some((last, _)) = replaced.last_key_value() else { return (Vec::new(), Vec::new()) };
    let mut packed = text[..offset(text, 0)].to_vec();
    for (at, stretch) in stretches[..=*last].iter().enumerate() {
        match replaced.get(&at) {
            Some(others) => others.iter().for_each(|other| push(&mut packed, other)),
            None => push(&mut packed, stretch),
        }
    }
    (text[..offset(text, last + 1)].to_vec(), packed)
}

fn push(packed: &mut Vec<u8>, stretch: &Stretch) {
    packed.extend(&stretch.first.0.to_be_bytes()[2..]);
    packed.extend(&stretch.last.0.to_be_bytes()[2..]);
    packed.extend(&u32::try_from(stretch.count).unwrap_or(u32::MAX).to_be_bytes());
    packed.extend(&stretch.sum.to_be_bytes()[1..]);
    packed.extend(&u32::try_from(stretch.revision).unwrap_or(u32::MAX).to_be_bytes());
    packed.push(stretch.outcome.number());
    packed.push(stretch.reason.map_or(0, Reason::number));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(times: &[Timestamp]) -> Span {
        let mut span = Span::default();
        times.iter().for_each(|time| span.push(*time));
        span
    }

    fn stretch(times: &[Timestamp]) -> Stretch {
        let span = span(times);
        let (first, last) = span.ends.unwrap();
        let (outcome, reason) = (State::Skipped, Some(Reason::Paused));
        Stretch { first, last, count: span.count, sum: span.sum, revision: 3, outcome, reason }
    }

    #[test]
    fn fire_times_that_are_not_those_of_the_stretch_are_noticed() {
        let times: Vec<Timestamp> = (1..=5).map(Timestamp).collect();
        let stretch = stretch(&times);
        assert!(stretch.fired_within(span(&times[..2]), span(&times[2..3]), span(&times[3..])).is_some());
        assert_eq!(stretch.fired_within(span(&times[..2]), span(&times[3..4]), span(&times[3..])), None);
        assert_eq!(stretch.fired_within(span(&times[..2]), span(&times[2..3]), span(&times[4..])), None);
    }

    #[test]
    fn a_stretch_whose_outcome_is_none_of_a_fire_time_is_damage() {
        let mut text = vec![1];
        push(&mut text, &stretch(&[Timestamp(1_000)]));
        assert_eq!(read(&text).map(|all| all.len()), Some(1));
        for state in State::ALL {
            text[28] = state.number();
            let is_outcome = matches!(state, State::Succeeded | State::Skipped | State::Missed);
            assert_eq!(read(&text).is_some(), is_outcome, "{state:?}");
        }
    }

    proptest! {
        #[test]
        fn what_fires_after_all_changes_no_sum_and_only_the_front(
            lengths in prop::collection::vec(1_usize..20, 1..8), at in 0_usize..8, from in 0_usize..20, to in 0_usize..20,
        ) {
            let mut times = Vec::new();
            let mut stretches = Vec::new();
            for length in lengths {
                let begin = times.len() as i64;
                let mine: Vec<Timestamp> = (begin..begin + length as i64).map(|n| Timestamp((n + 1) * 1_000)).collect();
                stretches.push(stretch(&mine));
                times.extend(mine);
            }
            let mut text = vec![1];
            stretches.iter().for_each(|one| push(&mut text, one));
            let at = at % stretches.len();
            let count = stretches[at].count as usize;
            let (from, to) = (from % count, to % count);
            let (from, to) = (from.min(to), from.max(to) + 1);
            let before: usize = stretches[..at].iter().map(|one| one.count as usize).sum();
            let mine = &times[before..before + count];
            let parts = stretches[at].fired_within(span(&mine[..from]), span(&mine[from..to]), span(&mine[to..])).unwrap();
            let (old, new) = replace(&text, &stretches, &BTreeMap::from([(at, parts)]));
            prop_assert!(text.starts_with(&old));
            let after = read(&[&new[..], &text[old.len()..]].concat()).unwrap();
            let fired: Vec<_> = after.iter().filter(|one| one.outcome == State::Succeeded).collect();
            prop_assert_eq!((fired.len(), fired[0].count, fired[0].first), (1, (to - from) as u64, mine[from]));
            prop_assert_eq!(after.iter().map(|one| one.count).sum::<u64>(), times.len() as u64);
            prop_assert_eq!(after.iter().map(|one| one.sum).sum::<u64>(), span(&times).sum);
            prop_assert!(after.windows(2).all(|pair| pair[0].last < pair[1].first));
        }
    }
}
