//! Adaptive standby: when to look again, so that many nodes ask no more than a few and a dead winner is replaced at once.
//!
//! Claims that find nothing raise a back-off from [`LOOK_IN`], doubling up to `LOOK_IN x other live nodes`; one that finds what
//! nobody had taken in time resets it. Together the nodes that stand back look in about every [`LOOK_IN`], whatever their number.
//! Nobody is told a role; it emerges.

use std::time::Duration;

use crate::store::Claim;

/// The constant `c` of the design. Figures of its prototype, not yet measured on this code: 10 ms gave 205 commands a second at 100 instants a second with 64 nodes, and 36 ms as the
/// worst lag after 45 kills; 25 ms gave 143 and 137 ms.
pub const LOOK_IN: Duration = Duration::from_millis(10);
/// A node looks in about this often, so that a lost nudge is harmless; the beat is folded into it. With one wait for hints a minute
/// that is 0.29 commands a second; a node counts as lost after 10 s, an outage as one after 5 s.
pub const POLL: Duration = Duration::from_millis(3_600);
/// A claim whose reply puts the next due time this near was early, not empty: it arrived before the instant that it was sent for.
/// Claims are aimed to about 0.1 ms; with more than the distance of two instants no node would ever stand back.
const EARLY: Duration = Duration::from_micros(300);
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
/// After a claim that left work in a queue: the hint may be lost.
const AFTER_WORK: Duration = Duration::from_millis(50);

/// The back-off of one node in one shard.
#[derive(Debug, Default)]
pub struct Standby {
    back_off: Duration,
    /// Claims that found nothing since the last that did, while it aims at every instant.
    losses: u32,
}

impl Standby {
    /// How long to wait after a claim. `serves_waiting`: it left work that this node could do.
    pub fn after(&mut self, claim: &Claim, serves_waiting: bool) -> Duration {
        if claim.is_full || !claim.unknown_lists.is_empty() {
            self.back_off = Duration::ZERO;
            // A list that the registry does not name either must not become a hot loop.
            return if claim.is_full { Duration::ZERO } else { LOOK_IN };
        }
        let until = |at: crate::domain::timestamp::Timestamp| {
            let ms = u64::try_from(at.0 - claim.now.0).unwrap_or(0);
            Duration::from_millis(ms).saturating_sub(Duration::from_micros(claim.now_micros))
        };
        let due = claim.next_due.map(until);
        let is_early = due.is_some_and(|due| due <= EARLY);
        if claim.settled > 0 {
            // Found by chance, an instant before the node that aimed at it: that one is well.
            if claim.late_ms >= MISSED_MS {
                self.back_off = Duration::ZERO;
            }
            self.losses = 0;
        } else if !is_early && self.back_off.is_zero() && self.losses < LOSSES {
            // Somebody else may have come by chance.
            self.losses += 1;
        } else if !is_early {
            let others = u32::try_from(claim.live_nodes.saturating_sub(1).max(1)).unwrap_or(u32::MAX);
            self.back_off = (self.back_off * 2).clamp(LOOK_IN, LOOK_IN * others);
        }
        // A little longer than it on average, so that all together stay below one look in `LOOK_IN`.
        let spread = self.back_off.mul_f64(0.75 + fastrand::f64());
        let mut wait = poll();
        if let Some(due) = due {
            wait = wait.min(match self.back_off.is_zero() || is_early {
                true => due,
                // Never the due time plus the back-off, which would stall sparse schedules for seconds.
                false => spread.max(due + BEHIND.mul_f64(1.0 + fastrand::f64())),
            });
        }
        if let Some(look) = claim.look.map(until) {
            wait = wait.min(look.max(spread).max(Duration::from_millis(1)));
        }
        if serves_waiting && claim.claimed > 0 {
            wait = wait.min(AFTER_WORK);
        }
        wait
    }
}

/// The poll with its spread of 10 %.
pub fn poll() -> Duration {
    POLL.mul_f64(0.9 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timestamp::Timestamp;

    fn claim(settled: usize, due_in: i64, live_nodes: usize) -> Claim {
        Claim {
            now: Timestamp(1_000_000),
            next_due: Some(Timestamp(1_000_000 + due_in)),
            settled,
            live_nodes,
            ..Claim::default()
        }
    }

    #[test]
    fn a_winner_looks_at_the_due_time() {
        let mut standby = Standby::default();
        assert_eq!(standby.after(&claim(1, 70, 64), false), Duration::from_millis(70));
    }

    #[test]
    fn one_that_stands_back_stays_there_when_it_finds_something_by_chance_and_takes_over_what_was_missed() {
        let mut standby = Standby::default();
        for _ in 0..LOSSES {
            standby.after(&claim(0, 3, 64), false);
            assert_eq!(standby.back_off, Duration::ZERO, "it may have been chance");
        }
        standby.after(&claim(0, 3, 64), false);
        assert_eq!(standby.back_off, LOOK_IN);
        standby.after(&Claim { late_ms: MISSED_MS - 1, ..claim(1, 3, 64) }, false);
        assert_eq!(standby.back_off, LOOK_IN);
        standby.after(&Claim { late_ms: MISSED_MS, ..claim(1, 3, 64) }, false);
        assert_eq!(standby.back_off, Duration::ZERO);
    }

    #[test]
    fn losers_back_off_up_to_the_number_of_nodes_and_never_add_it_to_a_far_due_time() {
        let mut standby = Standby::default();
        for _ in 0..20 {
            let wait = standby.after(&claim(0, 3, 16), false);
            assert!(wait <= Duration::from_micros(262_500), "{wait:?}");
        }
        let wait = standby.after(&claim(0, 1_000, 16), false);
        assert!(wait >= Duration::from_millis(1_002) && wait <= Duration::from_millis(1_004), "{wait:?}");
    }

    #[test]
    fn an_early_claim_is_not_an_empty_one() {
        let mut standby = Standby::default();
        let early = Claim { now_micros: 800, ..claim(0, 1, 64) };
        assert_eq!(standby.after(&early, false), Duration::from_micros(200));
        assert_eq!(standby.back_off, Duration::ZERO);
    }
}
