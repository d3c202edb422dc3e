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
/// What a start brings with it is over when nodes have sent next to nothing for so long.
const QUIET: Duration = Duration::from_millis(500);
/// Looks whether it is.
const LOOKS: usize = 20;
/// The two `INFO` of a reading are the bench's own.
const OWN: u64 = 2;
/// Until all have seen that an entry was written.
const SEEN: Duration = Duration::from_secs(1);
/// The instant comes so long after the sleep that is measured, ms.
const AFTER_MS: i64 = 500;
/// An hour, ms.
const HOUR_MS: i64 = 3_600_000;

/// A node with nothing to do, then a fleet of them.
#[derive(Debug, Clone, Copy)]
pub struct IdleBench {
    /// Nodes that sleep together, in one process.
    pub nodes: usize,
    /// How long each case sleeps, s.
    pub seconds: u64,
}

impl IdleBench {
    /// The sizes of a whole run, or of a quick one.
    pub fn sized(quick: bool) -> Self {
        match quick {
            true => Self { nodes: 16, seconds: 10 },
            false => Self { nodes: 64, seconds: 60 },
        }
    }

    /// Whether the budgets hold for these sizes.
    pub fn is_judged(self) -> bool {
        self.is_long() && [true, false].map(Self::sized).iter().any(|usual| usual.nodes == self.nodes)
    }

    /// Whether the sleep is long enough for what a node sends every few seconds.
    fn is_long(self) -> bool {
        self.seconds >= Self::sized(true).seconds
    }

    fn sleep_ms(self) -> i64 {
        i64::try_from(self.seconds * 1_000).unwrap_or(i64::MAX / 4)
    }

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
        let far = Timestamp(store.now(0).await?.0 + self.sleep_ms() + HOUR_MS);
        ground.write(Load::Plain, 1, When::At(far)).await?;
        let node = NodeProcess::start(bed, ground, "bench-idle", "exec").await?;
        ground.settled(1).await?;
        let (before, cpu) = (store.spent().await?, node.cpu_s());
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        let (after, cpu_after) = (store.spent().await?, node.cpu_s());
        node.kill().await;
        let seconds = self.seconds as f64;
        let commands = (after.commands - before.commands).saturating_sub(OWN) as f64 / seconds;
        let mut case = Case::new("idle", format!("one node for {} s, nothing due for an hour", self.seconds))
            .judged_if(self.is_long())
            .at_most(COMMANDS, "commands a second", commands, "");
        if let Some((from, to)) = cpu.zip(cpu_after) {
            case = case.at_most(CORE, "of a core", (to - from) / seconds * 100.0, "%");
        }
        Ok(case.figures())
    }

    async fn woken(self, ground: &Ground) -> Result<Vec<Figure>> {
        let store = &ground.store;
        let fleet = Fleet::start(ground, self.nodes, 16, nothing()).await?;
        ground.settled(self.nodes).await?;
        let seen_ms = i64::try_from(SEEN.as_millis()).unwrap_or(0);
        let instant = Timestamp(store.now(0).await?.0 + seen_ms + self.sleep_ms() + AFTER_MS);
        ground.write(Load::Stream, 1, When::At(instant)).await?;
        tokio::time::sleep(SEEN).await;
        let before = store.spent().await?;
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        let asleep = store.spent().await?;
        let a_second = (asleep.commands - before.commands).saturating_sub(OWN) as f64 / self.seconds as f64;
        ground.wait_for(Timestamp(instant.0 - 200)).await?;
        let woken = store.spent().await?;
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let after = store.spent().await?;
        fleet.stop().await?;
        let lags = Fires::of(ground).await?.lags(instant.0, instant.0 + 1);
        Ok(Case::new("idle", format!("{} nodes asleep for {} s, then one instant", self.nodes, self.seconds))
            .judged_if(self.is_judged())
            .at_most(self.nodes as f64 * COMMANDS, "commands a second asleep", a_second, "")
            .told("commands in the second of the instant", (after.commands - woken.commands) as f64, "")
            .told("Redis CPU of that second", (after.cpu_s - woken.cpu_s) * 1e3, "ms")
            .at_most(1.0, "lag until the claim", lags.most(), "ms")
            .none("fires lost or doubled", lags.len().abs_diff(1))
            .figures())
    }
}

impl Ground {
    /// Waits until what the start of so many nodes brings with it is over.
    async fn settled(&self, nodes: usize) -> Result<()> {
        for _ in 0..LOOKS {
            let before = self.store.spent().await?;
            tokio::time::sleep(QUIET).await;
            let sent = (self.store.spent().await?.commands - before.commands).saturating_sub(OWN);
            // Of nodes that have slept for a while, not more than half look in within that time.
            if sent <= nodes as u64 / 2 {
                break;
            }
        }
        Ok(())
    }
}
