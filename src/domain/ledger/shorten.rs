//! Ledgers that grow shorter: what has ended long ago goes, and of many stretches the oldest are merged.
//!
//! Whatever goes is noted: up to when nothing is told any more, and how many fire times it were.

use std::collections::BTreeSet;

use crate::domain::ledger::{DROPPED, Dropped, STRETCH_LEN, STRETCHES, Stretch, dropped, offset, push, read};
use crate::domain::timestamp::Timestamp;

/// Drops stretches that ended before `horizon`. Returns the prefix to replace and what replaces it, packed; `None` where nothing
/// can go. `added` is when the entry was added.
///
/// The end of the ledger stays: from there an entry that lost its place is planned. So do stretches whose hulls overlap with
/// one of the same revision that stays: only together they can be audited.
pub fn age(text: &[u8], horizon: Timestamp, added: Timestamp) -> Option<(Vec<u8>, Vec<u8>)> {
    let stretches = read(text)?;
    let end = stretches.iter().map(|one| one.last).max()?;
    let mut stays: Vec<bool> = stretches.iter().map(|one| one.last >= horizon || one.last == end).collect();
    *stays.last_mut()? = true;
    loop {
        let overlaps = |a: &Stretch, b: &Stretch| a.revision == b.revision && a.first <= b.last && b.first <= a.last;
        let is_bound =
            |at: usize| (0..stretches.len()).any(|other| stays[other] && overlaps(&stretches[at], &stretches[other]));
        let Some(bound) = (0..stretches.len()).find(|at| !stays[*at] && is_bound(*at)) else { break };
        stays[bound] = true;
    }
    let gone: Vec<Stretch> = stretches.iter().zip(&stays).filter(|(_, stays)| !**stays).map(|(one, _)| *one).collect();
    let last = stays.iter().rposition(|stays| !stays)?;
    let left: Vec<Stretch> =
        stretches[..=last].iter().zip(&stays).filter(|(_, stays)| **stays).map(|(one, _)| *one).collect();
    Some((text[..offset(text, last + 1)].to_vec(), pack(text, &gone, &left, added)))
}

/// Merges the oldest until [`STRETCHES`] are left. Returns the prefix to replace and what replaces it, packed, or `None` where
/// nothing can be merged.
///
/// Those of one revision, outcome and reason are merged, over what lies between them of another outcome: count and sum stay
/// exact per outcome, the range becomes the hull. Where that is not enough, the oldest revisions are dropped.
pub fn compact(text: &[u8], added: Timestamp) -> Option<(Vec<u8>, Vec<u8>)> {
    let stretches = read(text)?;
    if stretches.len() <= STRETCHES {
        return None;
    }
    let old = stretches.len() - STRETCHES / 2;
    let mut merged: Vec<Stretch> = Vec::new();
    for stretch in &stretches[..old] {
        let same = merged
            .iter_mut()
            .find(|m| (m.revision, m.outcome, m.reason) == (stretch.revision, stretch.outcome, stretch.reason));
        match same {
            Some(m) => {
                m.first = m.first.min(stretch.first);
                m.last = m.last.max(stretch.last);
                m.count += stretch.count;
                m.sum = (m.sum + stretch.sum) % (1 << 52);
            }
            None => merged.push(*stretch),
        }
    }
    // A revision that goes on among those that are not merged stays whole.
    let newer: BTreeSet<u64> = stretches[old..].iter().map(|one| one.revision).collect();
    let mut gone = Vec::new();
    let mut revisions: BTreeSet<u64> =
        merged.iter().map(|one| one.revision).filter(|one| !newer.contains(one)).collect();
    while merged.len() > STRETCHES / 4 {
        let Some(oldest) = revisions.pop_first() else { break };
        gone.extend(merged.extract_if(.., |one| one.revision == oldest));
    }
    Some((text[..offset(text, old)].to_vec(), pack(text, &gone, &merged, added)))
}

/// The front part of a ledger: what it told once, and the stretches.
fn pack(text: &[u8], gone: &[Stretch], left: &[Stretch], added: Timestamp) -> Vec<u8> {
    let before = dropped(text);
    let until = gone.iter().map(|one| one.last).chain(before.map(|before| before.until)).max();
    let mut packed = vec![1];
    if let Some(until) = until {
        let counted = before.filter(|before| before.since >= added).map_or(0, |before| before.count);
        let count = gone.iter().filter(|one| one.first >= added).map(|one| one.count).sum::<u64>() + counted;
        push_dropped(&mut packed, Dropped { since: added, until, count });
    }
    left.iter().for_each(|stretch| push(&mut packed, stretch));
    packed
}

fn push_dropped(packed: &mut Vec<u8>, dropped: Dropped) {
    let begin = packed.len();
    packed.extend(&dropped.since.0.to_be_bytes()[2..]);
    packed.extend(&dropped.until.0.to_be_bytes()[2..]);
    packed.extend(&u32::try_from(dropped.count).unwrap_or(u32::MAX).to_be_bytes());
    packed.resize(begin + STRETCH_LEN, DROPPED);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::ledger::fires_since;
    use crate::domain::run::{Reason, State};

    fn stretch(first: i64, last: i64, revision: u64, outcome: State) -> Stretch {
        let (first, last) = (Timestamp(first), Timestamp(last));
        let reason = (outcome == State::Skipped).then_some(Reason::Overlap);
        Stretch { first, last, count: 2, sum: (first.0 + last.0).cast_unsigned(), revision, outcome, reason }
    }

    fn packed(stretches: &[Stretch]) -> Vec<u8> {
        pack(&[], &[], stretches, Timestamp(0))
    }

    fn after(text: &[u8], (old, new): (Vec<u8>, Vec<u8>)) -> Vec<u8> {
        assert!(text.starts_with(&old));
        [&new[..], &text[old.len()..]].concat()
    }

    #[test]
    fn what_ended_before_the_horizon_goes_and_its_number_is_kept() {
        let all = [
            stretch(10, 19, 1, State::Succeeded),
            stretch(20, 29, 1, State::Skipped),
            stretch(30, 39, 1, State::Succeeded),
            stretch(40, 49, 2, State::Succeeded),
        ];
        let text = packed(&all);
        assert_eq!(age(&text, Timestamp(19), Timestamp(0)), None);
        let once = after(&text, age(&text, Timestamp(21), Timestamp(5)).unwrap());
        assert_eq!(read(&once).unwrap(), all[1..]);
        assert_eq!(dropped(&once), Some(Dropped { since: Timestamp(5), until: Timestamp(19), count: 2 }));
        let twice = after(&once, age(&once, Timestamp(40), Timestamp(5)).unwrap());
        assert_eq!(read(&twice).unwrap(), all[3..]);
        assert_eq!(dropped(&twice), Some(Dropped { since: Timestamp(5), until: Timestamp(39), count: 6 }));
        assert_eq!((fires_since(&twice, Timestamp(5)), fires_since(&text, Timestamp(5))), (8, 8));
        assert_eq!(fires_since(&twice, Timestamp(40)), 2, "added again since");
        assert_eq!(age(&twice, Timestamp(1_000), Timestamp(5)), None, "the end of the ledger stays");
    }

    #[test]
    fn hulls_that_overlap_go_together_or_stay() {
        let all = [
            stretch(10, 29, 1, State::Succeeded),
            stretch(15, 45, 1, State::Skipped),
            stretch(12, 20, 2, State::Succeeded),
            stretch(50, 60, 2, State::Succeeded),
        ];
        let text = packed(&all);
        let aged = after(&text, age(&text, Timestamp(40), Timestamp(0)).unwrap());
        assert_eq!(read(&aged).unwrap(), [all[0], all[1], all[3]]);
        let aged = after(&text, age(&text, Timestamp(46), Timestamp(0)).unwrap());
        assert_eq!(read(&aged).unwrap(), all[3..]);
    }

    #[test]
    fn with_a_revision_a_stretch_the_oldest_are_dropped_whole_and_that_is_said() {
        let all: Vec<Stretch> =
            (0..500).map(|at| stretch(at * 10, at * 10 + 9, at.cast_unsigned() + 1, State::Succeeded)).collect();
        let text = packed(&all);
        let short = after(&text, compact(&text, Timestamp(0)).unwrap());
        let left = read(&short).unwrap();
        assert_eq!(left, all[350..]);
        assert_eq!(dropped(&short).unwrap(), Dropped { since: Timestamp(0), until: Timestamp(3_499), count: 700 });
        assert_eq!(compact(&short, Timestamp(0)), None);
    }

    #[test]
    fn outcomes_that_take_turns_are_merged_and_nothing_is_dropped() {
        let outcome = |at: i64| if at % 2 == 0 { State::Succeeded } else { State::Skipped };
        let all: Vec<Stretch> = (0..300).map(|at| stretch(at * 10, at * 10 + 9, 1, outcome(at))).collect();
        let text = packed(&all);
        let short = after(&text, compact(&text, Timestamp(0)).unwrap());
        let left = read(&short).unwrap();
        assert_eq!((left.len(), dropped(&short)), (102, None));
        let sums =
            |all: &[Stretch]| all.iter().map(|one| (one.count, one.sum)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        assert_eq!(sums(&left), sums(&all));
    }
}
