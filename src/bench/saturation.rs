//! How many runs a second one node gets through when more than enough wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::bench::bed::{Bed, Ground};
use crate::bench::figure::{Case, Figure};
use crate::bench::fleet::Fleet;
use crate::bench::load::Load;
use crate::bench::{scaled, us_per};
use crate::error::{Error, Result};
use crate::node::Instead;

/// Runs a second with 256 slots and with 16, at least, where a native pair takes as long as the budget was made for.
const BUDGET: [(usize, f64); 2] = [(256, 100_000.0), (16, 60_000.0)];
/// Nothing ends for so long: given up.
const STALLED: Duration = Duration::from_secs(20);

/// Runs that wait in their list, and one node with so many slots that works them off.
#[derive(Debug, Clone, Copy)]
pub struct Saturation {
    /// Runs.
    pub runs: usize,
    /// Slots of the node.
    pub slots: usize,
    /// Whether the budget holds for so many runs.
    pub is_judged: bool,
}

impl Saturation {
    /// Measures, where a native pair takes `native_us`.
    pub async fn run(self, bed: &Bed, native_us: f64) -> Result<Vec<Figure>> {
        let ground = bed.ground(&format!("life-{}-slots", self.slots)).await?;
        let measured = self.measure(&ground, native_us).await;
        ground.clear().await?;
        measured
    }

    async fn measure(self, ground: &Ground, native_us: f64) -> Result<Vec<Figure>> {
        let Self { runs, slots, is_judged } = self;
        ground.write_due(Load::Plain, runs).await?;
        ground.claim_all().await?;
        let done = Arc::new(AtomicUsize::new(0));
        let from = ground.store.spent().await?;
        let fleet = Fleet::start(ground, 1, slots, counting(done.clone())).await?;
        let (began, first) = (Instant::now(), done.load(Ordering::Relaxed));
        let mut last = (Instant::now(), first);
        while done.load(Ordering::Relaxed) < runs {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let now = done.load(Ordering::Relaxed);
            if now > last.1 {
                last = (Instant::now(), now);
            } else if last.0.elapsed() > STALLED {
                return Err(Error::internal(format!(
                    "{now} of {runs} runs were executed, then nothing for {STALLED:?}"
                )));
            }
        }
        let wall = began.elapsed();
        // The last batch is recorded before the node has gone.
        fleet.stop().await?;
        let spent = ground.store.spent().await?;
        let least = BUDGET.iter().find(|(with, _)| *with == slots).map_or(0.0, |(_, least)| *least);
        let a_second = (runs - first) as f64 / wall.as_secs_f64();
        Ok(Case::new("life", format!("one node, {slots} slots, {runs} runs that take no time"))
            .judged_if(is_judged)
            .at_least(least / scaled(1.0, native_us), "runs a second", a_second, "")
            .told("Redis CPU per run, fetch and finish", us_per(spent.cpu_s - from.cpu_s, runs), "us")
            .figures())
    }
}

/// Work that is counted.
fn counting(done: Arc<AtomicUsize>) -> Instead {
    Arc::new(move |_| {
        done.fetch_add(1, Ordering::Relaxed);
    })
}
