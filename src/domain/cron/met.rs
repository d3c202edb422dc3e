//! The fire times that an expression was last asked for: of 100,000 entries most are written like others, and ask for the same.
//!
//! Between two fire times that follow each other every instant has the same next one, so what is met is as good as what is looked for.

use std::sync::{Mutex, PoisonError};

use crate::domain::timestamp::Timestamp;
use crate::domain::zone::{Dst, Zone};

/// As many as a plan lists, and those that have passed since.
const TIMES_MAX: usize = 16;

/// Fire times that follow each other, in one zone.
#[derive(Default)]
pub(super) struct Met(Mutex<Option<Chain>>);

struct Chain {
    zone: Zone,
    dst: Dst,
    /// None lies between this and the first of them.
    from: Timestamp,
    /// Never empty.
    times: Vec<Timestamp>,
}

impl Met {
    /// The least fire time after `after`, as `look` finds it.
    pub(super) fn next_after(
        &self,
        zone: &Zone,
        dst: Dst,
        after: Timestamp,
        look: impl FnOnce() -> Option<Timestamp>,
    ) -> Option<Timestamp> {
        if let Some(next) = self.known(zone, dst, after) {
            return Some(next);
        }
        let next = look()?;
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match met.as_mut().filter(|chain| chain.is_of(zone, dst)) {
            Some(chain) if chain.times.last() == Some(&after) && chain.times.len() < TIMES_MAX => {
                chain.times.push(next)
            }
            // Somebody else was quicker.
            Some(chain) if chain.from <= after && chain.times.contains(&next) => {}
            _ => *met = Some(Chain { zone: zone.clone(), dst, from: after, times: vec![next] }),
        }
        Some(next)
    }

    fn known(&self, zone: &Zone, dst: Dst, after: Timestamp) -> Option<Timestamp> {
        let met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let chain = met.as_ref().filter(|chain| chain.is_of(zone, dst) && chain.from <= after)?;
        chain.times.get(chain.times.partition_point(|time| *time <= after)).copied()
    }
}

impl Chain {
    fn is_of(&self, zone: &Zone, dst: Dst) -> bool {
        self.dst == dst && self.zone.is_same(zone)
    }
}
