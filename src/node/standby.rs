//! Adaptive standby: when to look again, so that many nodes ask no more than a few and a dead winner is replaced at once.
//!
//! A claim that found nothing raises a back-off from [`STEP`], doubling up to `STEP x live nodes`; one that found something
//! resets it. Together the nodes look in about every [`STEP`], whatever their number. Nobody is told a role; it emerges.

use std::time::Duration;

use crate::store::Claim;

/// The constant `c` of the design. Figures of its prototype, not yet measured on this code: 10 ms gave 205 commands a second at 100 instants a second with 64 nodes, and 36 ms as the
/// worst lag after 45 kills; 25 ms gave 143 and 137 ms.
const STEP: Duration = Duration::from_millis(10);
/// A node looks in at least this often, so that a lost nudge is harmless; the beat is folded into it.
const POLL: Duration = Duration::from_secs(3);
/// A claim whose reply puts the next due time this near was early, not empty.
const EARLY_MS: i64 = 2;
/// After a claim that left work in a queue: the hint may be lost.
const AFTER_WORK: Duration = Duration::from_millis(50);

/// The back-off of one node in one shard.
#[derive(Debug, Default)]
pub struct Standby {
    back_off: Duration,
}

impl Standby {
    /// How long to wait after a claim. `serves_waiting`: it left work that this node could do.
    pub fn after(&mut self, claim: &Claim, serves_waiting: bool) -> Duration {
        if claim.is_full || !claim.unknown_lists.is_empty() {
            self.back_off = Duration::ZERO;
            // A list that the registry does not name either must not become a hot loop.
            return if claim.is_full { Duration::ZERO } else { STEP };
        }
        let until = |at: crate::domain::timestamp::Timestamp| {
            let ms = u64::try_from(at.0 - claim.now.0).unwrap_or(0);
            Duration::from_millis(ms).saturating_sub(Duration::from_micros(claim.now_micros))
        };
        let due = claim.next_due.map(until);
        let is_early = claim.next_due.is_some_and(|at| at.0 - claim.now.0 <= EARLY_MS);
        if claim.settled > 0 {
            self.back_off = Duration::ZERO;
        } else if !is_early {
            let most = STEP * u32::try_from(claim.live_nodes.max(1)).unwrap_or(u32::MAX);
            self.back_off = (self.back_off * 2).clamp(STEP, most);
        }
        let spread = self.back_off.mul_f64(0.5 + fastrand::f64());
        let mut wait = poll();
        if let Some(due) = due {
            wait = wait.min(if is_early { due } else { due.max(spread) });
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

/// The poll with its spread of 20 %.
pub fn poll() -> Duration {
    POLL.mul_f64(0.8 + 0.4 * fastrand::f64())
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
    fn losers_back_off_up_to_the_number_of_nodes_and_never_add_it_to_a_far_due_time() {
        let mut standby = Standby::default();
        for _ in 0..20 {
            let wait = standby.after(&claim(0, 3, 16), false);
            assert!(wait <= Duration::from_millis(240), "{wait:?}");
        }
        assert_eq!(standby.after(&claim(0, 1_000, 16), false), Duration::from_millis(1_000));
    }

    #[test]
    fn an_early_claim_is_not_an_empty_one() {
        let mut standby = Standby::default();
        assert_eq!(standby.after(&claim(0, 2, 64), false), Duration::from_millis(2));
        assert_eq!(standby.back_off, Duration::ZERO);
    }
}
