//! bench lag: from the fire time to the moment at which the work begins on a node.

use std::sync::{Arc, Mutex, PoisonError};

use crate::bench::bed::{Bed, Ground};
use crate::bench::figure::{Case, Figure, Sample};
use crate::bench::fleet::Fleet;
use crate::bench::load::{Load, When};
use crate::domain::timestamp::Timestamp;
use crate::error::Result;

/// p50 and p99, at most, ms, at 1,000 fires a second and three nodes.
const BUDGET_MS: (f64, f64) = (0.3, 1.0);

/// Fire times that come evenly, and nodes whose work takes no time.
#[derive(Debug, Clone, Copy)]
pub struct LagBench {
    /// Fires a second.
    pub rate: usize,
    /// Nodes, in one process.
    pub nodes: usize,
    /// Measured for so long, s.
    pub seconds: u64,
}

impl LagBench {
    /// The sizes of a whole run, or of a quick one.
    pub fn sized(quick: bool) -> Self {
        Self { rate: 1_000, nodes: 3, seconds: if quick { 4 } else { 20 } }
    }

    /// Whether the budgets hold for these sizes.
    pub fn is_judged(self) -> bool {
        let least = Self::sized(true);
        (self.rate, self.nodes) == (least.rate, least.nodes) && self.seconds >= least.seconds
    }

    /// Measures.
    ///
    /// # Errors
    ///
    /// Unavailable.
    pub async fn run(self, bed: &Bed) -> Result<Vec<Figure>> {
        let ground = bed.ground(&format!("lag-{}-{}", self.nodes, self.rate)).await?;
        let measured = self.measure(&ground).await;
        ground.clear().await?;
        measured
    }

    async fn measure(self, ground: &Ground) -> Result<Vec<Figure>> {
        let store = &ground.store;
        // Redis' clock, read often enough to know it to some us.
        let clock = store.clock().await?;
        let begun: Arc<Mutex<Vec<(i64, i64)>>> = Arc::default();
        let noted = begun.clone();
        let instead = Arc::new(move |context: &crate::node::action::Context| {
            let now_us = clock.now_us();
            noted.lock().unwrap_or_else(PoisonError::into_inner).push((context.fire_at.0, now_us));
        });
        let fleet = Fleet::start(ground, self.nodes, 256, instead).await?;
        let first = Timestamp((store.now(0).await?.0 / 1_000 + 2) * 1_000);
        ground.write(Load::Plain, self.rate, When::InTurn(first, self.rate)).await?;
        let stretch = ground.stretch(first, self.seconds).await?;
        fleet.stop().await?;
        let begun = begun.lock().unwrap_or_else(PoisonError::into_inner);
        let within = begun.iter().filter(|(fire_at, _)| stretch.has(*fire_at));
        let lags = Sample::of(within.map(|(fire_at, us)| (us - fire_at * 1_000) as f64 / 1_000.0).collect());
        let (expected, rate) = (stretch.fires(self.rate), self.rate as f64);
        Ok(Case::new("lag", format!("{} fires a second, {} nodes, until the work begins", self.rate, self.nodes))
            .judged_if(self.is_judged())
            .at_most(BUDGET_MS.0, "p50", lags.median(), "ms")
            .at_most(BUDGET_MS.1, "p99", lags.quantile(0.99), "ms")
            .told("worst", lags.most(), "ms")
            .told("begun", lags.len() as f64, "")
            .none("fires lost or doubled", expected.abs_diff(lags.len()))
            .told("script calls a fire", stretch.script_calls / rate, "")
            .told("Redis CPU per fire", stretch.cpu * 1e6 / rate, "us")
            .figures())
    }
}
