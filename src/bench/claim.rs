//! bench claim: what it costs Redis to claim what is due, beside what Redis itself can do.

use std::time::Instant;

use crate::bench::bed::{Bed, Ground};
use crate::bench::figure::{Case, Figure, Sample};
use crate::bench::load::{BATCH, Load};
use crate::bench::us_per;
use crate::domain::node::Serves;
use crate::error::{Error, Result};
use crate::store::{ClaimCall, ClaimReply};

/// Ours in native pairs: at least half as fast as Redis itself.
const RATIO: f64 = 0.5;

/// Entries that are all due at one instant, claimed by one caller in full batches.
#[derive(Debug, Clone, Copy)]
pub struct ClaimBench {
    /// Entries.
    pub entries: usize,
    /// Rounds; the median is told, for other programs disturb single rounds.
    pub rounds: usize,
}

/// One round, us of Redis CPU.
struct Round {
    ours: f64,
    native: f64,
    fires_per_s: f64,
    writing: f64,
}

impl ClaimBench {
    /// The sizes of a whole run, or of a quick one.
    pub fn sized(quick: bool) -> Self {
        match quick {
            true => Self { entries: 30_000, rounds: 1 },
            false => Self { entries: 100_000, rounds: 3 },
        }
    }

    /// Whether the budgets hold for these sizes.
    pub fn is_judged(self) -> bool {
        [true, false].map(Self::sized).iter().any(|usual| usual.entries == self.entries)
    }

    /// Measures both loads: messages into a list, and runs into a waiting list.
    ///
    /// # Errors
    ///
    /// Unavailable; conflict where writing took too long.
    pub async fn run(self, bed: &Bed) -> Result<Vec<Figure>> {
        let mut figures = Vec::new();
        for (load, name, words) in [(Load::List, "list", "list action"), (Load::Queue, "queue", "into a queue, mixed")]
        {
            let mut rounds = Vec::new();
            for round in 1..=self.rounds {
                let ground = bed.ground(&format!("claim-{name}-{round}")).await?;
                let measured = self.round(&ground, load).await;
                ground.clear().await?;
                rounds.push(measured?);
            }
            figures.extend(self.case(words, &rounds).figures());
        }
        Ok(figures)
    }

    fn case(self, words: &str, rounds: &[Round]) -> Case {
        let median = |of: fn(&Round) -> f64| Sample::of(rounds.iter().map(of).collect()).median();
        Case::new("claim", format!("{words}, {} due at once", self.entries))
            .judged_if(self.is_judged())
            .at_least(RATIO, "of Redis' own speed, ZADD + XADD", median(|round| round.native / round.ours), "")
            .told("Redis CPU per fire", median(|round| round.ours), "us")
            .told("Redis CPU per native pair", median(|round| round.native), "us")
            .told("fires a second", median(|round| round.fires_per_s), "")
            .told("Redis CPU per entry written", median(|round| round.writing), "us")
    }

    /// Half of the native limit is measured before, half after.
    async fn round(self, ground: &Ground, load: Load) -> Result<Round> {
        let store = &ground.store;
        let mut native = ground.native(self.entries.div_ceil(2)).await?;
        let writing = ground.write_due(load, self.entries).await?;
        let (from, started) = (store.spent().await?, Instant::now());
        let fires = ground.claim_all().await?;
        let (wall, spent) = (started.elapsed(), store.spent().await?);
        native += ground.native(self.entries / 2).await?;
        Ok(Round {
            ours: us_per(spent.cpu_s - from.cpu_s, fires),
            native: us_per(native, self.entries),
            fires_per_s: fires as f64 / wall.as_secs_f64(),
            writing: us_per(writing, self.entries),
        })
    }
}

impl Ground {
    /// Redis CPU of that many native pairs, s.
    pub async fn native(&self, pairs: usize) -> Result<f64> {
        let from = self.store.spent().await?;
        self.store.native_pairs(pairs).await?;
        Ok(self.store.spent().await?.cpu_s - from.cpu_s)
    }

    /// Claims until nothing is due; returns how many fires that were.
    pub async fn claim_all(&self) -> Result<usize> {
        let serves = Serves::default();
        let mut fires = 0;
        for shard in self.store.shards() {
            loop {
                let call = ClaimCall {
                    incarnation: "0000000000000001",
                    node: "bench",
                    number: 0,
                    lease_ms: 15_000,
                    slots: 0,
                    batch: BATCH,
                    beat: String::new(),
                    serves: &serves,
                };
                match self.store.claim(shard, &call).await? {
                    ClaimReply::Claimed(claim) => {
                        fires += claim.claimed;
                        if !claim.is_full {
                            break;
                        }
                    }
                    other => return Err(Error::internal(format!("a claim of the bench was answered {other:?}"))),
                }
            }
        }
        Ok(fires)
    }
}
