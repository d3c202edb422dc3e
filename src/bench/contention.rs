//! bench contention: what many nodes cost that race for the same instants, and how late the fires are.

use std::time::Duration;

use crate::bench::bed::{Bed, Ground};
use crate::bench::figure::{Case, Figure};
use crate::bench::fleet::{Fleet, nothing};
use crate::bench::instants::{Fires, LATE, whole_second};
use crate::bench::load::{Load, When};
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::node::{LOOK_IN, POLL};

/// The same from 4 to 64 nodes, but for what a run leaves to chance.
const SAME: f64 = 1.15;
/// At this rate; where instants are so far apart that each node looks in between, more nodes send more.
const SAME_AT: usize = 100;
/// Entries are written by then.
const WRITING_MS: i64 = 1_000;
/// Until the nodes have found their pace.
const SETTLING_MS: i64 = 2_000;

/// So many nodes, each with so many instants a second.
#[derive(Debug, Clone)]
pub struct ContentionBench {
    /// Nodes, in one process.
    pub nodes: Vec<usize>,
    /// Instants a second.
    pub rates: Vec<usize>,
    /// Measured for so long, s.
    pub seconds: u64,
}

impl ContentionBench {
    /// Measures.
    ///
    /// # Errors
    ///
    /// Unavailable.
    pub async fn run(&self, bed: &Bed) -> Result<Vec<Figure>> {
        let mut figures = Vec::new();
        for &rate in &self.rates {
            let mut of_few = None;
            for &nodes in &self.nodes {
                let ground = bed.ground(&format!("contention-{rate}-{nodes}")).await?;
                let measured = self.measure(&ground, nodes, rate).await;
                ground.clear().await?;
                let (mut case, commands) = measured?;
                if nodes <= 4 {
                    of_few = Some(commands);
                } else if let Some(few) = of_few.filter(|_| rate == SAME_AT) {
                    case = case.at_most(SAME, "times the commands of few nodes", commands / few, "");
                }
                figures.extend(case.figures());
            }
        }
        Ok(figures)
    }

    async fn measure(&self, ground: &Ground, nodes: usize, rate: usize) -> Result<(Case, f64)> {
        let store = &ground.store;
        let first = Timestamp((store.now(0).await?.0 / 1_000 + 1) * 1_000 + WRITING_MS);
        ground.write(Load::Stream, rate, When::InTurn(first, rate)).await?;
        let fleet = Fleet::start(ground, nodes, 16, nothing()).await?;
        let from = Timestamp(whole_second(store.now(0).await?.0.max(first.0) + SETTLING_MS));
        ground.wait_for(from).await?;
        let before = store.spent().await?;
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        let after = store.spent().await?;
        // The answer of `INFO` has its place among the claims; the time beside it has not.
        let to = store.now(0).await?;
        tokio::time::sleep(LATE).await;
        fleet.stop().await?;
        let fires = Fires::of(ground).await?;
        let seconds = (to.0 - from.0) as f64 / 1_000.0;
        let commands = (after.commands - before.commands) as f64 / seconds;
        let most = rate as f64 + 1.0 / LOOK_IN.as_secs_f64() + nodes as f64 / POLL.as_secs_f64();
        let (from, to) = (from.0, to.0 / 1_000 * 1_000);
        let lags = fires.lags(from, to);
        let (lost, doubled) = fires.lost_and_doubled(rate, from, to);
        let cpu = (after.cpu_s - before.cpu_s) / seconds;
        let case = Case::new("contention", format!("{} nodes, {rate} instants a second", nodes))
            .at_most(most, "commands a second", commands, "")
            .at_most(1.0, "lag until the claim, p99", lags.quantile(0.99), "ms")
            .told("lag until the claim, worst", lags.most(), "ms")
            .at_most(0.0, "fires lost or doubled", (lost + doubled) as f64, "")
            .told("Redis CPU per instant", cpu * 1e6 / rate as f64, "us");
        Ok((case, commands))
    }
}
