//! bench failover: the node that won last is killed with SIGKILL, again and again; how late the next fires are, and whether one is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::bench::bed::{Bed, Ground};
use crate::bench::children::NodeProcess;
use crate::bench::figure::{Case, Figure, Sample};
use crate::bench::instants::Fires;
use crate::bench::load::{Load, When};
use crate::domain::id::EntryId;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;

/// The worst lag of a fire after a kill, at most, ms.
const WORST_MS: f64 = 100.0;
/// Fires so long after a kill are its next ones, ms.
const NEXT_MS: i64 = 1_000;
/// How long a run may take to end at last, lease and next attempt included.
const PATIENCE: Duration = Duration::from_secs(30);
/// Records are read at least this often, so that none has left the history of its entry, which keeps 500 fires: one a second.
const READ_EVERY: Duration = Duration::from_secs(60);
/// As many records as an entry of this bench keeps.
const KEPT: u16 = 500;
/// One hint waits so long at most for the thief.
const THEFT: Duration = Duration::from_secs(1);

/// Node processes, fire times, kills.
#[derive(Debug, Clone, Copy)]
pub struct FailoverBench {
    /// Kills of each case.
    pub kills: usize,
    /// Node processes.
    pub nodes: usize,
    /// Instants a second.
    pub rate: usize,
}

/// The nodes of a case, and how many have been started in all.
struct Nodes {
    live: Vec<NodeProcess>,
    started: usize,
    allow: &'static str,
}

impl Nodes {
    async fn start(bed: &Bed, ground: &Ground, count: usize, allow: &'static str) -> Result<Self> {
        let mut nodes = Self { live: Vec::new(), started: 0, allow };
        for _ in 0..count {
            nodes.add(bed, ground).await?;
        }
        Ok(nodes)
    }

    async fn add(&mut self, bed: &Bed, ground: &Ground) -> Result<()> {
        self.started += 1;
        let name = format!("bench-{}-{}", self.allow, self.started);
        self.live.push(NodeProcess::start(bed, ground, &name, self.allow).await?);
        Ok(())
    }

    /// Kills the one of that name, or any.
    async fn kill(&mut self, name: Option<&str>) {
        let named = self.live.iter().position(|node| Some(node.name.as_str()) == name);
        let place = named.unwrap_or_else(|| fastrand::usize(..self.live.len()));
        self.live.swap_remove(place).kill().await;
    }
}

impl FailoverBench {
    /// The sizes of a whole run, or of a quick one.
    pub fn sized(quick: bool) -> Self {
        Self { kills: if quick { 10 } else { 50 }, nodes: 4, rate: 100 }
    }

    /// Whether the budgets hold for these sizes.
    pub fn is_judged(self) -> bool {
        let least = Self::sized(true);
        (self.nodes, self.rate) == (least.nodes, least.rate) && self.kills >= least.kills
    }

    /// Measures claims, then runs in a queue whose hints are lost.
    ///
    /// # Errors
    ///
    /// Unavailable; internal where no node process can be started.
    pub async fn run(self, bed: &Bed) -> Result<Vec<Figure>> {
        let ground = bed.ground("failover-claims").await?;
        let claims = self.claims(bed, &ground).await;
        ground.clear().await?;
        let mut figures = claims?;
        let ground = bed.ground("failover-hints").await?;
        let hints = self.hints(bed, &ground).await;
        ground.clear().await?;
        figures.extend(hints?);
        Ok(figures)
    }

    async fn claims(self, bed: &Bed, ground: &Ground) -> Result<Vec<Figure>> {
        let store = &ground.store;
        let mut nodes = Nodes::start(bed, ground, self.nodes, "none").await?;
        let first = self.begin(ground, Load::Stream, self.rate).await?;
        let mut kills = Vec::new();
        for _ in 0..self.kills {
            pause().await;
            let winner = self.winner(ground).await?;
            kills.push(store.now(0).await?.0);
            nodes.kill(winner.as_deref()).await;
            nodes.add(bed, ground).await?;
        }
        tokio::time::sleep(Duration::from_millis(NEXT_MS.unsigned_abs())).await;
        let end = store.now(0).await?.0 / 1_000 * 1_000;
        // What is due by now has been claimed by the time that the nodes are gone.
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(nodes);
        let fires = Fires::of(ground).await?;
        let worst = Sample::of(kills.iter().map(|at| fires.lags(*at, at + NEXT_MS).most()).collect());
        let (lost, doubled) = fires.lost_and_doubled(self.rate, first.0, end);
        let words =
            format!("{} kill -9 of the last winner, {} nodes, {} instants a second", self.kills, self.nodes, self.rate);
        Ok(Case::new("failover", words)
            .judged_if(self.is_judged())
            .at_most(WORST_MS, "worst lag of the next fires", worst.most(), "ms")
            .told("the same, median of the kills", worst.median(), "ms")
            .none("fires lost", lost)
            .none("fires doubled", doubled)
            .figures())
    }

    /// Half of the nodes may not run what they claim; every hint that they leave is taken by somebody who dies with it, and of
    /// the workers one after the other is killed.
    async fn hints(self, bed: &Bed, ground: &Ground) -> Result<Vec<Figure>> {
        let rate = (self.rate / 10).max(1);
        let store = &ground.store;
        let _claimers = Nodes::start(bed, ground, self.nodes.div_ceil(2), "none").await?;
        let mut workers = Nodes::start(bed, ground, self.nodes.div_ceil(2), "exec").await?;
        let first = self.begin(ground, Load::Plain, rate).await?;
        store.refresh_lists(0).await?;
        let stolen = Arc::new(AtomicUsize::new(0));
        let thief = {
            let (store, lists, stolen) = (store.clone(), store.lists(0), stolen.clone());
            tokio::spawn(async move {
                let Ok(reader) = store.hint_reader("thief", THEFT).await else { return };
                while let Ok(hint) = reader.wait(&lists).await {
                    stolen.fetch_add(usize::from(hint.is_some()), Ordering::Relaxed);
                }
            })
        };
        let kills = self.kills.div_ceil(5);
        let (mut runs, mut read) = (Runs::default(), Instant::now());
        for _ in 0..kills {
            pause().await;
            workers.kill(None).await;
            workers.add(bed, ground).await?;
            if read.elapsed() > READ_EVERY {
                runs.read(ground, rate).await?;
                read = Instant::now();
            }
        }
        let end = store.now(0).await?.0 / 1_000 * 1_000;
        let expected = rate * usize::try_from((end - first.0) / 1_000).unwrap_or(0);
        let began = Instant::now();
        loop {
            runs.read(ground, rate).await?;
            if runs.due_before(end).count() >= expected || began.elapsed() > PATIENCE {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        thief.abort();
        let ended: Vec<&Ending> = runs.due_before(end).collect();
        let lags = Sample::of(ended.iter().filter_map(|run| run.lag_ms).collect());
        let again = ended.iter().filter(|run| run.is_again).count();
        let stolen = stolen.load(Ordering::Relaxed);
        let words = format!("{kills} kill -9 of workers, {stolen} hints lost, {rate} runs a second");
        Ok(Case::new("failover", words)
            .judged_if(self.is_judged())
            .at_most(WORST_MS, "worst lag until a run began", lags.most(), "ms")
            .told("the same, median of the runs", lags.median(), "ms")
            .told("runs that a killed node had begun, done again", again as f64, "")
            .none("runs lost", expected.abs_diff(ended.len()))
            .figures())
    }

    async fn begin(self, ground: &Ground, load: Load, rate: usize) -> Result<Timestamp> {
        let first = Timestamp((ground.store.now(0).await?.0 / 1_000 + 2) * 1_000);
        ground.write(load, rate, When::InTurn(first, rate)).await?;
        ground.wait_for(Timestamp(first.0 + 500)).await?;
        Ok(first)
    }

    /// The node that made the last fire.
    async fn winner(self, ground: &Ground) -> Result<Option<String>> {
        let Some(id) = ground.store.last_delivered(&ground.target()).await? else { return Ok(None) };
        let id = EntryId::parse("entry", &id)?;
        let last = ground.store.last_ended(ground.store.shard_of(&id), &[id]).await?.pop().flatten();
        Ok(last.and_then(|run| run.node))
    }
}

/// Runs that ended, by entry and fire time; what was read stays known when its record has gone.
#[derive(Default)]
struct Runs(BTreeMap<(usize, i64), Ending>);

/// How one ended.
struct Ending {
    /// From its fire time to its start, ms; `None` where its first attempt was lost.
    lag_ms: Option<f64>,
    /// A killed node had begun it.
    is_again: bool,
}

impl Runs {
    /// Reads the records of so many entries.
    async fn read(&mut self, ground: &Ground, entries: usize) -> Result<()> {
        for number in 0..entries {
            let id = EntryId::parse("entry", &format!("bench-{number:06}"))?;
            for run in ground.store.ended_runs(ground.store.shard_of(&id), &id, KEPT).await? {
                // One that nobody executed is lost, whatever its record says.
                let Some(started) = run.started_at else { continue };
                let is_again = run.attempt > 1;
                let lag_ms = (!is_again).then_some((started.0 - run.fire_at.0) as f64);
                self.0.insert((number, run.fire_at.0), Ending { lag_ms, is_again });
            }
        }
        Ok(())
    }

    /// Those whose fire time lies before an instant, ms.
    fn due_before(&self, end: i64) -> impl Iterator<Item = &Ending> {
        self.0.iter().filter(move |((_, fire_at), _)| *fire_at < end).map(|(_, run)| run)
    }
}

/// Any instruction: a time without a rhythm.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(150..450))).await;
}
