//! What a shadow saw: RedBeat's fires beside those of upbeat, entry by entry.

use serde::Serialize;

use crate::domain::timestamp::Timestamp;
use crate::service::redbeat::Odd;
use crate::service::view::At;

/// Differences that are told of one entry, at most.
const TOLD: usize = 20;

/// What was watched, and where the two differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShadowView {
    /// Since then, by the clock of RedBeat's server.
    pub from: At,
    /// Until then.
    pub to: At,
    /// Fires of RedBeat.
    pub redbeat: u64,
    /// What upbeat would have fired.
    pub upbeat: u64,
    /// Fires that only one of the two has.
    pub differ: u64,
    /// Whether a beat held the lock all the time; unknown without a lock.
    pub had_beat: Option<bool>,
    /// Entries in which the two differ, and those that RedBeat drifts in; the others fired alike.
    pub entries: Vec<ShadowEntry>,
    /// Entries that were watched.
    pub watched: usize,
    /// What could not be compared, and why.
    pub left_out: Vec<Odd>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShadowEntry {
    /// As RedBeat calls it.
    pub name: String,
    /// Its id here.
    pub id: String,
    /// Fires of RedBeat.
    pub redbeat: u64,
    /// What upbeat would have fired.
    pub upbeat: u64,
    /// Fires that only one of the two has.
    pub differ: u64,
    /// The most that RedBeat was late, ms.
    pub late_ms: i64,
    /// How far RedBeat's interval moved away from where it began, ms: it counts from when it fired, upbeat keeps the phase.
    pub drift_ms: i64,
    /// The first of them.
    pub differences: Vec<Difference>,
}

/// A fire, or several in a row, that only one of the two has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The instant of the first.
    pub at: At,
    /// How many.
    pub fires: u64,
    /// Who fired: `redbeat` or `upbeat`.
    pub by: &'static str,
    /// Likely why.
    pub why: String,
}

impl ShadowEntry {
    pub(super) fn new(name: &str, id: &str) -> Self {
        Self {
            name: name.to_owned(),
            id: id.to_owned(),
            redbeat: 0,
            upbeat: 0,
            differ: 0,
            late_ms: 0,
            drift_ms: 0,
            differences: Vec::new(),
        }
    }

    /// Both fired so often; `late_ms` after the fire time.
    pub(super) fn both(&mut self, fires: u64, late_ms: i64) {
        self.redbeat += fires;
        self.upbeat += fires;
        self.late_ms = self.late_ms.max(late_ms);
    }

    /// Only one of them did.
    pub(super) fn only(&mut self, by: &'static str, at: Timestamp, fires: u64, why: &str) {
        *if by == "redbeat" { &mut self.redbeat } else { &mut self.upbeat } += fires;
        self.differ += fires;
        if self.differences.len() < TOLD {
            self.differences.push(Difference { at: At(at), fires, by, why: why.to_owned() });
        }
    }
}
