//! Which moment of this machine's clock is an instant of the shard's.
//!
//! A reply says what the time was when the script ran, some time between call and answer. The call that was on its way for the
//! shortest time shows the distance of the two clocks best: aimed by it, the next call arrives at the instant, not before.
//! Aimed by the last call alone, every call that travels quicker than it arrives too early, finds nothing due, and has to be
//! repeated.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Calls that are remembered. Clocks drift by less than 0.1 ms while so many are made.
const REMEMBERED: usize = 32;
/// Older ones show nothing any more: drift, and steps of a clock.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// The last calls of one lane.
#[derive(Debug, Default)]
pub struct Aim {
    /// When each was sent, and what the shard's clock said when its script ran, us.
    calls: VecDeque<(Instant, i64)>,
    /// The last of them, until it was asked for.
    last: Option<(Instant, i64)>,
}

impl Aim {
    /// A call that was sent at `called` ran at `now_us`.
    pub fn note(&mut self, called: Instant, now_us: i64) {
        while self.calls.len() >= REMEMBERED || self.calls.front().is_some_and(|(at, _)| at.elapsed() > KEPT_FOR) {
            self.calls.pop_front();
        }
        self.calls.push_back((called, now_us));
        self.last = Some((called, now_us));
    }

    /// When to send a call so that it runs `wait` after the last one has; that one was answered at `answered`, and counts from then
    /// where its time was not noted. Never outside of what call and answer leave open, whatever the clocks do.
    pub fn at(&mut self, wait: Duration, answered: Instant) -> Instant {
        let Some((called, now_us)) = self.last.take() else { return answered + wait };
        // The moment of this machine at which the shard's clock said `now_us`, if that call had been the quickest.
        let by = |(at, us): &(Instant, i64)| match u64::try_from(now_us - us) {
            Ok(since) => Some(*at + Duration::from_micros(since)),
            Err(_) => at.checked_sub(Duration::from_micros((us - now_us).unsigned_abs())),
        };
        let ran = self.calls.iter().filter_map(by).max().unwrap_or(called);
        ran.clamp(called, answered.max(called)) + wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_quickest_call_shows_when_the_script_ran() {
        let mut aim = Aim::default();
        let start = Instant::now();
        // The clocks differ by nothing; the first call needs 0.1 ms to the script, the second 3 ms.
        aim.note(start, 100);
        aim.note(start + 10 * MS, 13_000);
        let at = aim.at(5 * MS, start + 14 * MS);
        assert_eq!(at, start + Duration::from_micros(12_900 + 5_000), "as if it had needed 0.1 ms");
        assert_eq!(aim.at(MS, start + 20 * MS), start + 21 * MS, "a call whose time was not noted");
    }

    #[test]
    fn a_step_of_a_clock_leads_never_outside_of_call_and_answer() {
        let mut aim = Aim::default();
        let start = Instant::now();
        aim.note(start, 60_000_000);
        // An hour back.
        aim.note(start + MS, 60_000_000 - 3_600_000_000);
        let at = aim.at(5 * MS, start + 3 * MS);
        assert!(at >= start + 6 * MS && at <= start + 8 * MS, "{:?}", at - start);
        // An hour on.
        aim.note(start + 4 * MS, 60_000_000 + 3_600_000_000);
        let at = aim.at(5 * MS, start + 5 * MS);
        assert!(at >= start + 9 * MS && at <= start + 10 * MS, "{:?}", at - start);
    }
}
