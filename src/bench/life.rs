//! bench life: what a run costs Redis from its claim to its record, with history, ledger, marks and leases on; and how many a
//! second one node gets through.

use crate::bench::bed::{Bed, Ground};
use crate::bench::figure::{Case, Figure, Sample};
use crate::bench::load::{BATCH, Load};
use crate::bench::saturation::Saturation;
use crate::bench::{scaled, us_per};
use crate::domain::node::Serves;
use crate::error::{Error, Result};
use crate::store::{Ended, EndedAs, WorkCall, WorkReply};

/// Redis CPU of a whole life, at most, us a run.
const BUDGET_US: f64 = 10.0;

/// Runs that are claimed into their list, then fetched and finished in batches of 250 by one caller, as a node with as many
/// slots does whose action takes no time; then the same by a real node.
#[derive(Debug, Clone, Copy)]
pub struct LifeBench {
    /// Runs.
    pub runs: usize,
    /// Rounds; the median is told.
    pub rounds: usize,
}

/// One round, us of Redis CPU.
struct Round {
    claim: f64,
    work: f64,
    native: f64,
}

impl LifeBench {
    /// The sizes of a whole run, or of a quick one.
    pub fn sized(quick: bool) -> Self {
        match quick {
            true => Self { runs: 30_000, rounds: 1 },
            false => Self { runs: 100_000, rounds: 3 },
        }
    }

    /// Whether the budgets hold for these sizes.
    pub fn is_judged(self) -> bool {
        [true, false].map(Self::sized).iter().any(|usual| usual.runs == self.runs)
    }

    /// Measures.
    ///
    /// # Errors
    ///
    /// Unavailable; conflict where writing took too long.
    pub async fn run(self, bed: &Bed) -> Result<Vec<Figure>> {
        let mut rounds = Vec::new();
        for round in 1..=self.rounds {
            let ground = bed.ground(&format!("life-{round}")).await?;
            let measured = self.round(&ground).await;
            ground.clear().await?;
            rounds.push(measured?);
        }
        let median = |of: fn(&Round) -> f64| Sample::of(rounds.iter().map(of).collect()).median();
        let native = median(|round| round.native);
        let case = Case::new("life", format!("claim, fetch, finish, {} runs", self.runs))
            .judged_if(self.is_judged())
            .at_most(scaled(BUDGET_US, native), "Redis CPU per run", median(|round| round.claim + round.work), "us")
            .told("in native pairs, ZADD + XADD", median(|round| (round.claim + round.work) / round.native), "")
            .told("Redis CPU of the claim", median(|round| round.claim), "us")
            .told("Redis CPU of fetch and finish", median(|round| round.work), "us");
        let mut figures = case.figures();
        for slots in [256, 16] {
            let saturation = Saturation { runs: self.runs, slots, is_judged: self.is_judged() };
            figures.extend(saturation.run(bed, native).await?);
        }
        Ok(figures)
    }

    async fn round(self, ground: &Ground) -> Result<Round> {
        let store = &ground.store;
        let mut native = ground.native(self.runs.div_ceil(2)).await?;
        ground.write_due(Load::Queue, self.runs).await?;
        let from = store.spent().await?;
        let runs = ground.claim_all().await?;
        let claimed = store.spent().await?;
        for shard in store.shards() {
            store.refresh_lists(shard).await?;
            ground.work_all(shard).await?;
        }
        let worked = store.spent().await?;
        native += ground.native(self.runs / 2).await?;
        Ok(Round {
            claim: us_per(claimed.cpu_s - from.cpu_s, runs),
            work: us_per(worked.cpu_s - claimed.cpu_s, runs),
            native: us_per(native, self.runs),
        })
    }
}

impl Ground {
    /// Fetches and finishes until nothing is left.
    async fn work_all(&self, shard: u16) -> Result<()> {
        let serves = Serves { queues: None, kinds: vec!["exec".to_owned()] };
        let mut number = 0;
        let mut ended: Vec<Ended> = Vec::new();
        loop {
            number += 1;
            let call = WorkCall {
                incarnation: "0000000000000001",
                node: "bench",
                number,
                lease_ms: 15_000,
                wanted: BATCH,
                ended: &ended,
                serves: &serves,
            };
            let Some(WorkReply { fetched, .. }) = self.store.work(shard, &call).await? else {
                return Err(Error::internal("a call of the bench was overtaken; is the namespace its own?"));
            };
            ended = fetched
                .into_iter()
                .map(|started| Ended {
                    run_id: started.run.run_id,
                    fence: started.run.fence,
                    how: EndedAs::Succeeded,
                    reason: None,
                    exit_code: Some(0),
                    message: String::new(),
                    next: None,
                })
                .collect();
            if ended.is_empty() {
                return Ok(());
            }
        }
    }
}
