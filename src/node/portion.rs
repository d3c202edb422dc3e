//! How many entries a claim looks at: so many that the call itself costs little beside them, and so few that other clients of the same
//! Redis are not held up.

use std::time::Duration;

/// More gains nothing: the call itself is a hundredth of it by then.
const MOST: usize = 250;
/// At the least: the call itself costs as much as four to eight entries.
const LEAST: usize = 50;
/// A full claim that took longer is followed by one of half its size. With 1,000,000 entries due at once, whose plans and ledgers no
/// cache holds, one of 250 held Redis for 6 to 7 ms where 2 had been usual.
const SLOW: Duration = Duration::from_millis(3);
/// One that was faster than that by one of twice its size.
const FAST: Duration = Duration::from_micros(1_400);

/// The size of the next claim.
#[derive(Debug)]
pub struct Portion(usize);

impl Default for Portion {
    fn default() -> Self {
        Self(MOST)
    }
}

impl Portion {
    /// Entries, at most.
    pub fn entries(&self) -> usize {
        self.0
    }

    /// A claim looked at so many entries, and its answer came after so long: what other calls took before it counts, they wait too.
    pub fn note(&mut self, settled: usize, took: Duration) {
        if settled < self.0 {
            return;
        }
        if took > SLOW {
            self.0 = (self.0 / 2).max(LEAST);
        } else if took < FAST {
            self.0 = (self.0 * 2).min(MOST);
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
        assert_eq!(portion.entries(), MOST, "one that is not full says nothing");
        let sizes: Vec<usize> = (0..4)
            .map(|_| {
                portion.note(portion.entries(), SLOW * 2);
                portion.entries()
            })
            .collect();
        assert_eq!(sizes, [125, 62, LEAST, LEAST]);
        portion.note(portion.entries(), FAST * 2);
        assert_eq!(portion.entries(), LEAST, "between the two it stays");
        for _ in 0..4 {
            portion.note(portion.entries(), FAST / 2);
        }
        assert_eq!(portion.entries(), MOST);
    }
}
