//! The audit: which fire times should have been, by the revisions that held then, against what is on record.
//!
//! Each revision of an entry owes the fire times of the interval in which it held ([`chain`]); the stretches of the ledger name
//! the revision that they settled ([`compare`]). So the two are compared revision by revision, each stretch by count and sum, and
//! what lies between stretches by what was owed there.

mod chain;
mod compare;

use std::collections::BTreeMap;

pub use chain::{Settled, Standing, Was};

use crate::domain::ledger::{self, Stretch};
use crate::domain::run::{Reason, State};
use crate::domain::timestamp::Timestamp;

/// How far back records go, ms: 35 days.
pub const RETENTION_MS: i64 = 35 * 86_400_000;
/// Fire times that are named one by one, at most; the counts are whole.
pub const NAMED_MAX: usize = 100;

/// One entry, and what stands in Redis about it; all of it read at one moment.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    /// Its revisions without a gap, oldest first, each with its number.
    pub chain: &'a [(u64, Was)],
    /// How far the last of them is settled.
    pub settled: Settled,
    /// Its ledger.
    pub stretches: &'a [Stretch],
    /// Up to when its ledger was shortened: nothing is told of what came until then.
    pub dropped_until: Option<Timestamp>,
    /// Fire times of a back-log: on record as fired, and still waiting for their turn.
    pub back_log: &'a [Timestamp],
    /// Fire times since it was added, where they are counted.
    pub fires: Option<u64>,
    /// From when on it is asked for.
    pub since: Timestamp,
    /// When all of this was read.
    pub now: Timestamp,
}

/// Fire times that differ somewhere between two instants, and can't be told one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclear {
    /// Not before it.
    pub from: Timestamp,
    /// Not after it.
    pub to: Timestamp,
    /// How many are missing, at least.
    pub missing: u64,
    /// How many are on record and should not, at least.
    pub extra: u64,
}

/// What the audit of one entry found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// From here on every fire time is told.
    pub covered_from: Timestamp,
    /// Whether records are missing from before `covered_from` that were asked for.
    pub is_cut: bool,
    /// Fire times that should have been settled.
    pub expected: u64,
    /// What became of them, by outcome and reason; fired stands under `Succeeded`.
    pub outcomes: BTreeMap<(State, Option<Reason>), u64>,
    /// Expected, and on nobody's record.
    pub missing: u64,
    /// On record, and not expected.
    pub extra: u64,
    /// They have come and have no outcome yet: of a pause that goes on or a back-log, or about to be claimed.
    pub open: u64,
    /// The first of those that are missing.
    pub missing_times: Vec<Timestamp>,
    /// The first of those that are too many.
    pub extra_times: Vec<Timestamp>,
    /// Where they can't be told one by one.
    pub unclear: Vec<Unclear>,
}

impl Found {
    /// How many ended so, whatever the reason.
    pub fn ended(&self, outcome: State) -> u64 {
        self.outcomes.iter().filter(|((state, _), _)| *state == outcome).map(|(_, count)| count).sum()
    }

    /// Whether nothing is missing and nothing too many.
    pub fn is_clean(&self) -> bool {
        self.missing == 0 && self.extra == 0
    }
}

/// Compares what should have been with what is on record.
pub fn audit(case: &Case<'_>) -> Found {
    let asked = case.since.max(Timestamp(case.now.0 - RETENTION_MS));
    let end = ledger::end(case.stretches).unwrap_or_default();
    let held = chain::held(case, asked, case.now.max(end));
    let told = case.dropped_until.map_or(asked, |until| asked.max(Timestamp(until.0 + 1)));
    let covered_from = told.max(held.begin);
    let is_cut = told > asked || (held.is_cut && held.begin > asked);
    let mut found = Found { covered_from, is_cut, ..Found::default() };
    for one in &held.held {
        let mine: Vec<Stretch> = case.stretches.iter().filter(|of| of.revision == one.revision).copied().collect();
        compare::compare(one, &mine, covered_from, &mut found);
    }
    let is_entry = |revision: u64, (number, was): &(u64, Was)| *number == revision && matches!(was, Was::Standing(_));
    let is_known = |stretch: &&Stretch| case.chain.iter().any(|one| is_entry(stretch.revision, one));
    let strange = case.stretches.iter().filter(|stretch| !is_known(stretch) && stretch.last >= covered_from);
    strange.for_each(|stretch| compare::too_many(stretch, covered_from, &mut found));
    found.open += held.open;
    let waiting = case.back_log.iter().filter(|time| **time >= covered_from).count() as u64;
    let fired = found.outcomes.entry((State::Succeeded, Some(Reason::Pace))).or_default();
    let waiting = waiting.min(*fired);
    *fired -= waiting;
    found.open += waiting;
    found.expected -= waiting.min(found.expected);
    found.outcomes.retain(|_, count| *count > 0);
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
