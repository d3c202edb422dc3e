//! bench lag: from the fire time to the moment at which the work begins on a node.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::bench::bed::{Bed, Ground};
use crate::bench::figure::{Case, Figure, Sample};
use crate::bench::fleet::Fleet;
use crate::bench::instants::{LATE, whole_second};
use crate::bench::load::{Load, When};
use crate::domain::timestamp::Timestamp;
use crate::error::Result;

/// p50 and p99, at most, ms, at 1,000 fires a second and three nodes.
const BUDGET_MS: (f64, f64) = (0.3, 1.0);
/// Until the nodes have found their pace.
const SETTLING_MS: i64 = 1_500;

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
        let from = Timestamp(whole_second(store.now(0).await?.0.max(first.0) + SETTLING_MS));
        ground.wait_for(from).await?;
        let before = store.spent().await?;
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        let after = store.spent().await?;
        let to = store.now(0).await?;
        tokio::time::sleep(LATE).await;
        fleet.stop().await?;
        let begun = begun.lock().unwrap_or_else(PoisonError::into_inner);
        let end = to.0 / 1_000 * 1_000;
        let within = begun.iter().filter(|(fire_at, _)| (from.0..end).contains(fire_at));
        let lags = Sample::of(within.map(|(fire_at, us)| (us - fire_at * 1_000) as f64 / 1_000.0).collect());
        let expected = self.rate * usize::try_from((end - from.0) / 1_000).unwrap_or(0);
        let seconds = (to.0 - from.0) as f64 / 1_000.0;
        Ok(Case::new("lag", format!("{} fires a second, {} nodes, until the work begins", self.rate, self.nodes))
            .at_most(BUDGET_MS.0, "p50", lags.median(), "ms")
            .at_most(BUDGET_MS.1, "p99", lags.quantile(0.99), "ms")
            .told("worst", lags.most(), "ms")
            .told("begun", lags.len() as f64, "")
            .at_most(0.0, "fires lost or doubled", expected.abs_diff(lags.len()) as f64, "")
            .told("commands a fire", (after.commands - before.commands) as f64 / seconds / self.rate as f64, "")
            .told("Redis CPU per fire", (after.cpu_s - before.cpu_s) * 1e6 / seconds / self.rate as f64, "us")
            .figures())
    }
}
