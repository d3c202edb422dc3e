//! bench burst: very many due at one instant, many nodes drain them, and another client of the same Redis asks for a PING.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::bench::bed::{Bed, Ground};
use crate::bench::children::NodeProcess;
use crate::bench::figure::{Case, Figure, Sample};
use crate::bench::load::Load;
use crate::bench::us_per;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::store::Store;

/// PING of another client, p99, at most, ms.
const PING_MS: f64 = 5.0;
/// Between two of them.
const PING_EVERY: Duration = Duration::from_millis(2);
/// Resident memory of a node, at most, MiB.
const RESIDENT_MIB: f64 = 20.0;
/// Nothing is claimed for so long: given up.
const STALLED: Duration = Duration::from_secs(20);

/// Entries that are all due at one instant, drained by node processes.
#[derive(Debug, Clone, Copy)]
pub struct BurstBench {
    /// Entries.
    pub entries: usize,
    /// Node processes.
    pub nodes: usize,
}

impl BurstBench {
    /// The sizes of a whole run, or of a quick one.
    pub fn sized(quick: bool) -> Self {
        Self { entries: if quick { 50_000 } else { 1_000_000 }, nodes: 16 }
    }

    /// Whether the budgets hold for these sizes.
    pub fn is_judged(self) -> bool {
        [true, false].map(Self::sized).iter().any(|usual| (usual.entries, usual.nodes) == (self.entries, self.nodes))
    }

    /// Measures.
    ///
    /// # Errors
    ///
    /// Unavailable; internal where no node process can be started.
    pub async fn run(self, bed: &Bed) -> Result<Vec<Figure>> {
        let ground = bed.ground("burst").await?;
        let measured = self.measure(bed, &ground).await;
        ground.clear().await?;
        measured
    }

    async fn measure(self, bed: &Bed, ground: &Ground) -> Result<Vec<Figure>> {
        let mut nodes = Vec::new();
        for number in 1..=self.nodes {
            nodes.push(NodeProcess::start(bed, ground, &format!("bench-{number}"), "none").await?);
        }
        let instant = ground.write_for_soon(Load::List, self.entries).await?;
        ground.wait_for(Timestamp(instant.0 - 300)).await?;
        let is_over = Arc::new(AtomicBool::new(false));
        let pinging = {
            let (connection, namespace) = (ground.connection.clone(), ground.store.namespace().clone());
            let is_over = is_over.clone();
            // A thread of its own: what it measures is Redis, not the queue of this process.
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.map_err(|why| Error::internal(format!("no runtime: {why}")))?;
                runtime.block_on(async {
                    let store = Store::open(connection, namespace).await?;
                    let mut pings = Vec::new();
                    while !is_over.load(Ordering::Relaxed) {
                        pings.push(store.ping().await?.as_secs_f64() * 1e3);
                        tokio::time::sleep(PING_EVERY).await;
                    }
                    store.quit().await;
                    Ok(Sample::of(pings))
                })
            })
        };
        ground.wait_for(instant).await?;
        let before = ground.store.spent().await;
        let drained = self.drained(ground).await;
        let after = ground.store.spent().await;
        is_over.store(true, Ordering::Relaxed);
        let pings = pinging.join().map_err(|_| Error::internal("the thread that sends PINGs panicked"))?;
        let (drained, pings): (Drained, Sample) = (drained?, pings?);
        let cpu_s = after?.cpu_s - before?.cpu_s;
        let resident = nodes.iter().filter_map(NodeProcess::resident_mib).fold(0.0, f64::max);
        for node in nodes {
            node.kill().await;
        }
        let mut case = Case::new("burst", format!("{} due at once, {} nodes drain", self.entries, self.nodes))
            .judged_if(self.is_judged())
            .at_most(PING_MS, "PING of another client, p99", pings.quantile(0.99), "ms")
            .told("PING of another client, worst", pings.most(), "ms")
            .told("fires a second", self.entries as f64 / drained.wall.as_secs_f64(), "")
            .told("slowest second, share of the mean", drained.slowest, "")
            .told("Redis CPU per fire", us_per(cpu_s, self.entries), "us")
            .none("fires lost or doubled", drained.length.abs_diff(self.entries));
        if resident > 0.0 {
            case = case.at_most(RESIDENT_MIB, "resident memory of the largest node", resident, "MiB");
        }
        Ok(case.figures())
    }

    async fn drained(self, ground: &Ground) -> Result<Drained> {
        let (began, mut last) = (Instant::now(), (Instant::now(), 0));
        let mut marks = vec![(Duration::ZERO, 0)];
        loop {
            let length = ground.store.length(&ground.target()).await?;
            if length > last.1 {
                last = (Instant::now(), length);
                marks.push((began.elapsed(), length));
            } else if last.0.elapsed() > STALLED {
                return Err(Error::internal(format!(
                    "{length} of {} fired, then nothing for {STALLED:?}",
                    self.entries
                )));
            }
            if length >= self.entries {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let wall = began.elapsed();
        // What comes twice comes late.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let length = ground.store.length(&ground.target()).await?;
        Ok(Drained { wall, length, slowest: slowest(&marks, wall, self.entries) })
    }
}

/// How a burst was drained.
struct Drained {
    wall: Duration,
    length: usize,
    slowest: f64,
}

/// The slowest tenth of the time, as a share of the mean: 1 is even.
fn slowest(marks: &[(Duration, usize)], wall: Duration, entries: usize) -> f64 {
    let part = wall / 10;
    let reached =
        |at: Duration| marks.iter().take_while(|(when, _)| *when <= at).last().map_or(0, |(_, length)| *length);
    let least = (0..10).map(|number| reached(part * (number + 1)) - reached(part * number)).min().unwrap_or(0);
    least as f64 * 10.0 / entries.max(1) as f64
}
