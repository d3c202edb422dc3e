//! bench idle: what a node costs that waits, and what happens when many have slept and one instant comes.

use std::time::Duration;

use crate::bench::bed::{Bed, Ground};
use crate::bench::children::NodeProcess;
use crate::bench::figure::{Case, Figure};
use crate::bench::fleet::{Fleet, nothing};
use crate::bench::instants::Fires;
use crate::bench::load::{Load, When};
use crate::domain::timestamp::Timestamp;
use crate::error::Result;

/// Commands a second of one node, at most.
const COMMANDS: f64 = 0.3;
/// Of a core, at most, percent.
const CORE: f64 = 0.1;
/// Until what a start brings with it is over.
const SETTLING: Duration = Duration::from_secs(1);

/// A node with nothing to do, then a fleet of them.
#[derive(Debug, Clone, Copy)]
pub struct IdleBench {
    /// Nodes that sleep together, in one process.
    pub nodes: usize,
    /// How long each case sleeps, s.
    pub seconds: u64,
}

impl IdleBench {
    /// Measures.
    ///
    /// # Errors
    ///
    /// Unavailable; internal where no node process can be started.
    pub async fn run(self, bed: &Bed) -> Result<Vec<Figure>> {
        let ground = bed.ground("idle-1").await?;
        let alone = self.alone(bed, &ground).await;
        ground.clear().await?;
        let mut figures = alone?;
        let ground = bed.ground(&format!("idle-{}", self.nodes)).await?;
        let woken = self.woken(&ground).await;
        ground.clear().await?;
        figures.extend(woken?);
        Ok(figures)
    }

    async fn alone(self, bed: &Bed, ground: &Ground) -> Result<Vec<Figure>> {
        let store = &ground.store;
        let far = Timestamp(store.now(0).await?.0 + 3_600_000);
        ground.write(Load::Plain, 1, When::At(far)).await?;
        let node = NodeProcess::start(bed, ground, "bench-idle", "exec").await?;
        tokio::time::sleep(SETTLING).await;
        let (before, cpu) = (store.spent().await?, node.cpu_s());
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        let (after, cpu_after) = (store.spent().await?, node.cpu_s());
        node.kill().await;
        let seconds = self.seconds as f64;
        // The two `INFO` of a reading are the bench's own.
        let commands = (after.commands - before.commands).saturating_sub(2) as f64 / seconds;
        let mut case = Case::new("idle", format!("one node for {} s, next fire in an hour", self.seconds)).at_most(
            COMMANDS,
            "commands a second",
            commands,
            "",
        );
        if let Some((from, to)) = cpu.zip(cpu_after) {
            case = case.at_most(CORE, "of a core", (to - from) / seconds * 100.0, "%");
        }
        Ok(case.figures())
    }

    async fn woken(self, ground: &Ground) -> Result<Vec<Figure>> {
        let store = &ground.store;
        let sleep_ms = i64::try_from(self.seconds * 1_000).unwrap_or(i64::MAX / 4);
        let fleet = Fleet::start(ground, self.nodes, 16, nothing()).await?;
        let from = store.now(0).await?;
        let instant = Timestamp(from.0 + sleep_ms);
        ground.write(Load::Stream, 1, When::At(instant)).await?;
        tokio::time::sleep(SETTLING).await;
        let before = store.spent().await?;
        ground.wait_for(Timestamp(instant.0 - 200)).await?;
        let asleep = store.spent().await?;
        let slept = (instant.0 - 200 - from.0) as f64 / 1_000.0 - SETTLING.as_secs_f64();
        // The two `INFO` of a reading and two looks at the clock are the bench's own.
        let a_second = (asleep.commands - before.commands).saturating_sub(5) as f64 / slept;
        let woken = store.spent().await?;
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let after = store.spent().await?;
        fleet.stop().await?;
        let lags = Fires::of(ground).await?.lags(instant.0, instant.0 + 1);
        Ok(Case::new("idle", format!("{} nodes asleep for {} s, then one instant", self.nodes, self.seconds))
            .at_most(self.nodes as f64 * COMMANDS, "commands a second asleep", a_second, "")
            .told("commands in the second of the instant", (after.commands - woken.commands) as f64, "")
            .told("Redis CPU of that second", (after.cpu_s - woken.cpu_s) * 1e3, "ms")
            .at_most(1.0, "lag until the claim", lags.most(), "ms")
            .at_most(0.0, "fires lost or doubled", (lags.len() as f64 - 1.0).abs(), "")
            .figures())
    }
}
