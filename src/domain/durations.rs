//! How long the runs of an entry usually take, and when one that lasts is stuck.

use crate::domain::span::Span;

/// A run that has not lasted longer is never stuck.
pub const STUCK_AFTER: Span = Span(300_000);
/// So many times the p95 of its entry make a run stuck.
const TIMES_P95: u64 = 3;
/// So many fire times of its entry that came while it ran make a run stuck.
pub const FIRE_TIMES: usize = 3;

/// How long the runs on record that succeeded took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usual {
    /// How many they are; never 0.
    pub runs: usize,
    /// Half of them took no longer.
    pub median: Span,
    /// 95 of 100 took no longer; of fewer than 20 the longest.
    pub p95: Span,
}

impl Usual {
    /// Of these durations, in any order; `None` where there are none.
    ///
    /// Both are by nearest rank, so each is a duration that was measured.
    pub fn of(durations: impl IntoIterator<Item = Span>) -> Option<Self> {
        let mut sorted: Vec<Span> = durations.into_iter().collect();
        sorted.sort_unstable();
        let rank = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { runs: sorted.len(), median: rank(50)?, p95: rank(95)? })
    }
}

/// Whether a run that has lasted so long is stuck: over [`STUCK_AFTER`], and either 3 times its p95 or through
/// [`FIRE_TIMES`] fire times of its entry.
pub fn is_stuck(lasted: Span, usual: Option<Usual>, fire_times: usize) -> bool {
    let is_slow = usual.is_some_and(|usual| lasted.0 >= usual.p95.0.saturating_mul(TIMES_P95));
    lasted > STUCK_AFTER && (is_slow || fire_times >= FIRE_TIMES)
}

/// Lengths that people write as a timeout.
const ROUND_S: [u64; 15] =
    [60, 120, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 10_800, 14_400, 21_600, 28_800, 43_200, 86_400];

/// A timeout that would have ended a stuck run and no usual one: the least round length that is at least twice the p95, 1 h
/// where nothing is known.
pub fn timeout_for(usual: Option<Usual>) -> Span {
    let Some(usual) = usual else { return Span(3_600_000) };
    let enough = usual.p95.0.saturating_mul(2);
    let round = ROUND_S.iter().map(|s| s * 1000).find(|ms| *ms >= enough);
    Span(round.unwrap_or_else(|| enough.div_ceil(86_400_000) * 86_400_000))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usual(seconds: &[u64]) -> Option<Usual> {
        Usual::of(seconds.iter().map(|s| Span(s * 1000)))
    }

    #[test]
    fn of_a_hundred_durations_five_are_longer_than_the_p95() {
        let hundred: Vec<u64> = (1..=100).rev().collect();
        let usual = usual(&hundred).unwrap();
        assert_eq!((usual.median, usual.p95, usual.runs), (Span(50_000), Span(95_000), 100));
    }

    #[test]
    fn of_few_durations_the_longest_is_the_p95_and_of_none_nothing_is_known() {
        assert_eq!(usual(&[3, 1, 2]), Some(Usual { runs: 3, median: Span(2_000), p95: Span(3_000) }));
        assert_eq!(usual(&[]), None);
    }

    #[test]
    fn a_run_is_stuck_after_five_minutes_and_three_times_the_p95_or_three_fire_times() {
        let minutes = |n: u64| Span(n * 60_000);
        let usual = usual(&[120]);
        assert!(!is_stuck(minutes(5), usual, 9), "five minutes are not over five minutes");
        assert!(!is_stuck(Span(359_999), usual, 2), "neither three times the p95 nor three fire times");
        assert!(is_stuck(minutes(6), usual, 0));
        assert!(is_stuck(Span(300_001), usual, 3));
        assert!(!is_stuck(minutes(600), None, 2), "without a p95 only fire times tell");
        assert!(is_stuck(minutes(6), None, 3));
    }

    #[test]
    fn the_timeout_that_is_proposed_is_round_and_leaves_room() {
        assert_eq!(timeout_for(usual(&[21 * 60])), Span(3_600_000));
        assert_eq!(timeout_for(usual(&[1])), Span(60_000));
        assert_eq!(timeout_for(usual(&[20 * 3_600])), Span(2 * 86_400_000));
        assert_eq!(timeout_for(None), Span(3_600_000));
    }

    proptest! {
        #[test]
        fn both_are_durations_that_were_measured(mut ms in prop::collection::vec(0_u64..1_000_000, 1..300)) {
            let usual = Usual::of(ms.iter().map(|ms| Span(*ms))).unwrap();
            ms.sort_unstable();
            prop_assert!(ms.contains(&usual.median.0) && ms.contains(&usual.p95.0));
            prop_assert!(usual.median <= usual.p95);
            let longer = ms.iter().filter(|ms| **ms > usual.p95.0).count();
            prop_assert!(longer * 20 <= ms.len());
            prop_assert!(ms.iter().filter(|ms| **ms <= usual.median.0).count() * 2 >= ms.len());
        }
    }
}
