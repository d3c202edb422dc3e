//! bench memory: what an entry takes in Redis before its first fire, and what a node takes beside very many of them.

use std::time::Duration;

use crate::bench::bed::{Bed, Ground};
use crate::bench::children::NodeProcess;
use crate::bench::figure::{Case, Figure, Sample};
use crate::bench::load::{Load, When};
use crate::domain::timestamp::Timestamp;
use crate::error::Result;

/// Bytes an entry, at most.
const ENTRY_B: f64 = 450.0;
/// Changes that the events hold, at most.
const EVENTS: usize = 100_000;
/// Resident memory of a node, at most, MiB.
const RESIDENT_MIB: f64 = 20.0;
/// From the start of a node to its first claim, at most, ms.
const START_MS: f64 = 50.0;
/// A node works for so long before it is weighed.
const WORKING: Duration = Duration::from_secs(2);
/// Between two looks at what Redis holds.
const SETTLING: Duration = Duration::from_millis(100);
/// What it holds may change by so much between them without anything being freed, bytes.
const SETTLED_B: u64 = 50_000;
/// Starts that are measured.
const STARTS: usize = 5;

/// Entries whose next fire is a day away.
#[derive(Debug, Clone, Copy)]
pub struct MemoryBench {
    /// Entries of each kind of plan.
    pub entries: usize,
}

impl MemoryBench {
    /// The size of a whole run, or of a quick one.
    pub fn sized(quick: bool) -> Self {
        // Redis' tables are as full with the one as with the other.
        Self { entries: if quick { 62_500 } else { 1_000_000 } }
    }

    /// Whether the budgets hold for this size.
    pub fn is_judged(self) -> bool {
        [true, false].map(Self::sized).iter().any(|usual| usual.entries == self.entries)
    }

    /// Measures.
    ///
    /// # Errors
    ///
    /// Unavailable; internal where no node process can be started.
    pub async fn run(self, bed: &Bed) -> Result<Vec<Figure>> {
        let mut figures = Vec::new();
        for (load, words) in [(Load::Interval, "arithmetic plan"), (Load::Listed, "8 listed times")] {
            let ground = bed.ground("memory").await?;
            let measured = self.measure(bed, &ground, load, words).await;
            ground.clear().await?;
            figures.extend(measured?);
        }
        Ok(figures)
    }

    async fn measure(self, bed: &Bed, ground: &Ground, load: Load, words: &str) -> Result<Vec<Figure>> {
        let store = &ground.store;
        let far = Timestamp((store.now(0).await?.0 / 1_000 + 86_400) * 1_000);
        let before = ground.settled_memory().await?;
        ground.write(load, self.entries, When::At(far)).await?;
        let after = store.memory().await?;
        // Of the events, which hold so many changes and no more, as much counts as at 1,000,000 entries.
        let share = (EVENTS as f64 / self.entries as f64).min(1.0);
        let events = store.memory_of_events().await? as f64 * (1.0 - EVENTS as f64 / 1e6 / share);
        let each = (after.saturating_sub(before) as f64 - events) / self.entries as f64;
        let mut figures = Case::new("memory", format!("{} entries, 95-byte definition, {words}", self.entries))
            .judged_if(self.is_judged())
            .at_most(ENTRY_B, "of Redis per entry, before the first fire", each, "B")
            .figures();
        if load == Load::Listed {
            figures.extend(self.node(bed, ground).await?);
        }
        Ok(figures)
    }

    async fn node(self, bed: &Bed, ground: &Ground) -> Result<Vec<Figure>> {
        let mut starts = Vec::new();
        let mut resident = None;
        for number in 1..=STARTS {
            let node = NodeProcess::start(bed, ground, &format!("bench-{number}"), "exec").await?;
            starts.push(node.until_claim.as_secs_f64() * 1e3);
            if number == STARTS {
                tokio::time::sleep(WORKING).await;
                resident = node.resident_mib();
            }
            node.kill().await;
        }
        let mut case = Case::new("memory", format!("one node, {} entries", self.entries))
            .judged_if(self.is_judged())
            .at_most(START_MS, "from its start to its first claim, median", Sample::of(starts).median(), "ms");
        if let Some(resident) = resident {
            case = case.at_most(RESIDENT_MIB, "resident memory", resident, "MiB");
        }
        Ok(case.figures())
    }
}

impl Ground {
    /// What Redis holds once it has freed what was removed before: it does so beside its work.
    async fn settled_memory(&self) -> Result<u64> {
        let mut last = self.store.memory().await?;
        loop {
            tokio::time::sleep(SETTLING).await;
            let now = self.store.memory().await?;
            if now.saturating_add(SETTLED_B) >= last {
                return Ok(now);
            }
            last = now;
        }
    }
}
