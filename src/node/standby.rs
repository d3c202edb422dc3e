//! Adaptive standby: when to look again, so that many nodes ask no more than a few and a dead winner is replaced at once.
//!
//! Claims that find nothing raise a back-off from [`LOOK_IN`], doubling up to `LOOK_IN x other live nodes`; one that finds what
//! nobody had taken in time resets it. Together the nodes that stand back look in about every [`LOOK_IN`], whatever their number.
//! Nobody is told a role; it emerges.

use std::time::Duration;

use crate::domain::timestamp::Timestamp;
use crate::store::Claim;

/// Those that stand back look in about every so often, all together.
///
/// Measured with `upbeat bench contention` and `failover` on two shared cores, 100 instants a second, 15 `kill -9` of the node that had
/// won last: with 5 ms 64 nodes sent 264 commands a second, and the worst lag after a kill was 14 ms; with 10 ms 180 and 14; with
/// 25 ms 128 and 22, with 50 ms 127 and 12. But where the one that is awake loses three times in a row by chance, nobody is awake
/// until somebody looks in: seen with 25 ms as a lag of 155 ms, with 10 ms as 5 to 9.
pub const LOOK_IN: Duration = Duration::from_millis(10);
/// A node looks in about this often, so that a lost nudge is harmless; the beat is folded into it. With one wait for hints a minute
/// that is 0.29 commands a second; a node counts as lost after 10 s, an outage as one after 5 s.
pub const POLL: Duration = Duration::from_millis(3_600);
/// One that stands back looks so long after the due time, up to twice that: not to race with the node that aims at it, and soon
/// enough where that one is dead.
const BEHIND: Duration = Duration::from_millis(2);
/// What was due for so long has been missed by the node that should have taken it, which then may be dead: whoever finds it takes
/// its place. Less, and every node that looks in by chance would stay awake: with 64 nodes and 1,000 instants a second they sent
/// half as many commands again.
const MISSED_MS: i64 = 2;
/// A node that aims at every instant and loses so often in a row stands back at the next: another one aims, too. With none, the one
/// that aims went to sleep because one that looked in by chance had been quicker, and for 10 ms nobody was there: p99 10 ms.
const LOSSES: u32 = 2;
/// After a claim that left work in a queue: the hint may be lost, whoever serves it, and this claim leaves another.
const AFTER_WORK: Duration = Duration::from_millis(50);

/// The back-off of one node in one shard.
#[derive(Debug, Default)]
pub struct Standby {
    back_off: Duration,
    /// Claims that found nothing since the last that did, while it aims at every instant.
    losses: u32,
    /// The next due time of the last reply.
    next_due: Option<Timestamp>,
}

impl Standby {
    /// How long to wait after a claim: never longer than a poll.
    pub fn after(&mut self, claim: &Claim) -> Duration {
        if claim.is_full || !claim.unknown_lists.is_empty() {
            self.back_off = Duration::ZERO;
            // A list that the registry does not name either must not become a hot loop.
            return if claim.is_full { Duration::ZERO } else { LOOK_IN };
        }
        // It looked for something, and somebody else had taken it. A poll, or a claim that came too early, lost nothing.
        let has_lost = claim.settled == 0 && self.next_due.is_some_and(|due| due <= claim.now);
        self.next_due = claim.next_due;
        let until = |at: Timestamp| {
            let ms = u64::try_from(at.0 - claim.now.0).unwrap_or(0);
            Duration::from_millis(ms).saturating_sub(Duration::from_micros(claim.now_micros))
        };
        let due = claim.next_due.map(until);
        // With whom it shares the looks: those that have gone since are none of them.
        let others = claim.live_nodes.saturating_sub(1);
        let most = LOOK_IN * u32::try_from(others.max(1)).unwrap_or(u32::MAX);
        self.back_off = self.back_off.min(most);
        if claim.settled > 0 {
            // Found by chance, an instant before the node that aimed at it: that one is well.
            if claim.late_ms >= MISSED_MS {
                self.back_off = Duration::ZERO;
            }
            self.losses = 0;
        } else if has_lost && self.back_off.is_zero() && self.losses < LOSSES {
            // Somebody else may have come by chance.
            self.losses += 1;
        } else if has_lost {
            self.back_off = (self.back_off * 2).clamp(LOOK_IN, most);
        }
        // A little longer than it on average, so that all together stay below one look in `LOOK_IN`.
        let spread = self.back_off.mul_f64(0.75 + fastrand::f64());
        let mut wait = poll();
        if let Some(due) = due {
            wait = wait.min(match self.back_off.is_zero() {
                true => due,
                // Never the due time plus the back-off, which would stall sparse schedules for seconds.
                false => spread.max(due + BEHIND.mul_f64(1.0 + fastrand::f64())),
            });
        }
        if let Some(look) = claim.look.map(until) {
            wait = wait.min(look.max(spread).max(Duration::from_millis(1)));
        }
        if claim.claimed > 0 && !claim.waiting.is_empty() {
            wait = wait.min(AFTER_WORK);
        }
        wait
    }
}

/// The poll with its spread of 10 %.
fn poll() -> Duration {
    POLL.mul_f64(0.9 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The reply of a claim at `now`, ms, where the next due time is `due_in` later.
    fn claim(now: i64, settled: usize, due_in: i64, live_nodes: usize) -> Claim {
        Claim { now: Timestamp(now), next_due: Some(Timestamp(now + due_in)), settled, live_nodes, ..Claim::default() }
    }

    /// A node that has found nothing at so many due times in a row, 3 ms from each other; the next is at the same distance.
    fn losing(times: u32, live_nodes: usize) -> Standby {
        let mut standby = Standby::default();
        for number in 0..=i64::from(times) {
            standby.after(&claim(1_000 + 3 * number, 0, 3, live_nodes));
        }
        standby
    }

    #[test]
    fn a_winner_looks_at_the_due_time() {
        assert_eq!(Standby::default().after(&claim(1_000, 1, 70, 64)), 70 * MS);
    }

    #[test]
    fn one_that_loses_three_times_in_a_row_stands_back_and_a_win_between_them_counts() {
        assert_eq!(losing(LOSSES, 64).back_off, Duration::ZERO, "it may have been chance");
        assert_eq!(losing(LOSSES + 1, 64).back_off, LOOK_IN);
        let mut standby = losing(LOSSES, 64);
        standby.after(&claim(2_000, 1, 3, 64));
        standby.after(&claim(2_003, 0, 3, 64));
        assert_eq!(standby.back_off, Duration::ZERO);
    }

    #[test]
    fn one_that_stands_back_stays_there_when_it_finds_something_by_chance_and_takes_over_what_was_missed() {
        let mut standby = losing(LOSSES + 1, 64);
        standby.after(&Claim { late_ms: MISSED_MS - 1, ..claim(2_000, 1, 3, 64) });
        assert_eq!(standby.back_off, LOOK_IN);
        standby.after(&Claim { late_ms: MISSED_MS, ..claim(2_003, 1, 3, 64) });
        assert_eq!(standby.back_off, Duration::ZERO);
    }

    #[test]
    fn those_that_stand_back_look_rarely_and_never_add_it_to_a_far_due_time() {
        for times in 0..30 {
            let wait = losing(LOSSES + times, 16).after(&claim(5_000, 0, 3, 16));
            assert!(wait <= LOOK_IN * 15 * 7 / 4, "{wait:?}");
        }
        let wait = losing(LOSSES + 30, 16).after(&claim(5_000, 0, 1_000, 16));
        assert!(wait >= 1_002 * MS && wait <= 1_004 * MS, "{wait:?}");
    }

    #[test]
    fn one_that_stood_back_beside_many_looks_at_once_when_they_have_gone() {
        let mut standby = losing(LOSSES + 30, 64);
        assert_eq!(standby.back_off, LOOK_IN * 63);
        // A poll, long after the last instant.
        let wait = standby.after(&claim(60_000, 0, 100, 1));
        assert!(wait <= 104 * MS, "{wait:?}");
        assert_eq!(standby.back_off, LOOK_IN);
    }

    #[test]
    fn a_poll_and_a_claim_that_came_too_early_lose_nothing() {
        let mut standby = Standby::default();
        for now in [1_000, 4_600, 8_200, 11_800, 15_400] {
            standby.after(&claim(now, 0, 3_600_000, 64));
        }
        standby.after(&claim(20_000, 0, 1, 64));
        let early = Claim { now_micros: 800, ..claim(20_000, 0, 1, 64) };
        assert_eq!(standby.after(&early), Duration::from_micros(200));
        assert_eq!((standby.back_off, standby.losses), (Duration::ZERO, 0));
    }
}
