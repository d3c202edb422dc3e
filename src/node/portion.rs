//! How many entries a claim looks at: so many that the call itself costs little beside them, and so few that other clients of the same
//! Redis are not held up.

use std::time::Duration;

/// More gains nothing: the call itself is a hundredth of it by then.
const MOST: usize = 250;
/// At the least: the call itself costs as much as four to eight entries. With 50 the drain of 1,000,000 took half as long again.
const LEAST: usize = 100;
/// A full claim that took longer is followed by one of half its size. With 1,000,000 entries due at once, whose plans and ledgers no
/// cache holds, one of 250 held Redis for 6 to 7 ms where 2 had been usual.
const SLOW: Duration = Duration::from_millis(3);
/// One that was faster than that by one of twice its size.
const FAST: Duration = Duration::from_micros(1_400);

/// Fewer take next to nothing.
const FEW: usize = 5;
/// What a call takes by itself is forgotten by a sixteenth with each that took longer.
const FORGOTTEN: u32 = 16;

/// The size of the next claim.
#[derive(Debug)]
pub struct Portion {
    entries: usize,
    /// What a call takes that settles next to nothing: Redis may be far away.
    empty: Option<Duration>,
}

impl Default for Portion {
    fn default() -> Self {
        Self { entries: MOST, empty: None }
    }
}

impl Portion {
    /// Entries, at most.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// A claim looked at so many entries, and its answer came after so long: what other calls took before it counts, they wait too.
    pub fn note(&mut self, settled: usize, took: Duration) {
        if settled < FEW {
            let known = self.empty.unwrap_or(took);
            self.empty = Some(if took < known { took } else { known + (took - known) / FORGOTTEN });
        }
        if settled < self.entries {
            return;
        }
        let took = took.saturating_sub(self.empty.unwrap_or_default());
        if took > SLOW {
            self.entries = (self.entries / 2).max(LEAST);
        } else if took < FAST {
            self.entries = (self.entries * 2).min(MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_claims_shrink_while_they_are_slow_and_grow_again_within_their_bounds() {
        let mut portion = Portion::default();
        portion.note(10, SLOW * 9);
        assert_eq!(portion.entries(), MOST, "one that is not full says nothing of the size");
        let sizes: Vec<usize> = (0..4)
            .map(|_| {
                portion.note(portion.entries(), SLOW * 2);
                portion.entries()
            })
            .collect();
        assert_eq!(sizes, [125, LEAST, LEAST, LEAST]);
        portion.note(portion.entries(), FAST * 2);
        assert_eq!(portion.entries(), LEAST, "between the two it stays");
        for _ in 0..4 {
            portion.note(portion.entries(), FAST / 2);
        }
        assert_eq!(portion.entries(), MOST);
    }

    #[test]
    fn a_redis_far_away_is_not_a_slow_one() {
        let far = SLOW * 10;
        let mut portion = Portion::default();
        portion.note(0, far);
        portion.note(MOST, far + FAST / 2);
        assert_eq!(portion.entries(), MOST);
        portion.note(MOST, far + SLOW * 2);
        assert_eq!(portion.entries(), MOST / 2);
        portion.note(MOST / 2, far + FAST / 2);
        assert_eq!(portion.entries(), MOST, "and it grows again");
    }
}
