//! bench contention: what many nodes cost that race for the same instants, and how late the fires are.

use crate::bench::bed::{Bed, Ground};
use crate::bench::figure::{Case, Figure};
use crate::bench::fleet::{Fleet, nothing};
use crate::bench::instants::Fires;
use crate::bench::load::{Load, When};
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::node::{LOOK_IN, POLL};

/// The same from 4 to 64 nodes, but for what a run leaves to chance.
const SAME: f64 = 1.15;
/// At this rate, from so many nodes on; where instants are so far apart that each node looks in between, more nodes send more.
const SAME_AT: (usize, usize) = (100, 4);
/// The budgets hold up to so many nodes and so many instants a second.
const JUDGED: (usize, usize) = (64, 1_000);
/// Entries are written by then.
const WRITING_MS: i64 = 1_000;

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
    /// Nodes and rates of a whole run, or of a quick one.
    pub fn sized(quick: bool) -> Self {
        match quick {
            true => Self { nodes: vec![4, 64], rates: vec![100], seconds: 4 },
            false => Self { nodes: vec![1, 4, 16, 64], rates: vec![1, 10, 100, 1_000], seconds: 10 },
        }
    }

    /// Whether the budgets hold for so many nodes with so many instants a second.
    pub fn is_judged(&self, nodes: usize, rate: usize) -> bool {
        nodes <= JUDGED.0 && rate <= JUDGED.1 && self.seconds >= Self::sized(true).seconds
    }

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
                if (rate, nodes) == SAME_AT {
                    of_few = Some(commands);
                } else if let Some(few) = of_few.filter(|_| nodes > SAME_AT.1) {
                    case = case.at_most(SAME, "times the commands of 4 nodes", commands / few, "");
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
        let stretch = ground.stretch(first, self.seconds).await?;
        fleet.stop().await?;
        let fires = Fires::of(ground).await?;
        let most = rate as f64 + 1.0 / LOOK_IN.as_secs_f64() + nodes as f64 / POLL.as_secs_f64();
        let lags = fires.lags(stretch.from, stretch.to);
        let (lost, doubled) = fires.lost_and_doubled(rate, stretch.from, stretch.to);
        let case = Case::new("contention", format!("{nodes} nodes, {rate} instants a second"))
            .judged_if(self.is_judged(nodes, rate))
            .at_most(most, "commands a second", stretch.commands, "")
            .at_most(1.0, "lag until the claim, p99", lags.quantile(0.99), "ms")
            .told("lag until the claim, worst", lags.most(), "ms")
            .none("fires lost or doubled", lost + doubled)
            .told("Redis CPU per instant", stretch.cpu * 1e6 / rate as f64, "us");
        Ok((case, stretch.commands))
    }
}
