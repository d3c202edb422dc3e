//! bench life: what a run costs Redis from its claim to its record, with history, ledger, marks and leases on.

use std::time::Instant;

use serde::Serialize;

use crate::domain::node::Serves;
use crate::error::{Error, Result};
use crate::service::Service;
use crate::service::bench::{BATCH, Load};
use crate::store::{Ended, EndedAs, WorkCall, WorkReply};

/// Redis CPU of a whole life, at most: the budget, us a run, on a machine where a native pair takes [`NATIVE_US`].
const BUDGET_US: f64 = 10.0;
/// Redis CPU of a native `ZADD` + `XADD` on the machine that the budget was made for: 1.9 to 2.3 us.
const NATIVE_US: f64 = 2.1;

/// One round of the result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LifeRow {
    /// Runs that were claimed, fetched and finished.
    pub runs: usize,
    /// Runs a second through all three, wall time, one call at a time.
    pub runs_per_s: f64,
    /// Redis CPU of the claim, us a run.
    pub claim_us: f64,
    /// Redis CPU of fetching and finishing, us a run.
    pub work_us: f64,
    /// Both, us a run.
    pub redis_us_per_run: f64,
    /// Redis CPU per native `ZADD` + `XADD` in the same run, us.
    pub native_us_per_pair: f64,
    /// A whole life in native pairs.
    pub natives: f64,
    /// Each round, in their order.
    pub rounds: Vec<f64>,
    /// The budget, us a run: 10 us where a native pair takes 2.1 us, in proportion elsewhere.
    pub budget_us: f64,
    /// Whether the budget is kept.
    pub verdict: &'static str,
}

impl LifeRow {
    /// The round with the median cost; it names those of all.
    ///
    /// # Panics
    /// Without a round.
    pub fn median(mut rounds: Vec<LifeRow>) -> LifeRow {
        let all = rounds.iter().map(|row| row.redis_us_per_run).collect();
        rounds.sort_by(|a, b| a.redis_us_per_run.total_cmp(&b.redis_us_per_run));
        let middle = (rounds.len() - 1) / 2;
        LifeRow { rounds: all, ..rounds.swap_remove(middle) }
    }
}

impl Service {
    /// Writes `entries` entries that are due at one instant `ahead_ms` from now, claims them all into their list, and fetches and
    /// finishes every run in batches of 250, as a node with as many slots does whose action takes no time.
    ///
    /// # Errors
    /// Conflict where writing took longer than that.
    pub async fn bench_life(&self, entries: usize, ahead_ms: u64) -> Result<(LifeRow, u64)> {
        let store = self.store();
        let mut native = self.native(entries.div_ceil(2)).await?;
        let writing = Instant::now();
        self.write_due(Load::Queue, entries, ahead_ms).await?;
        let writing_ms = u64::try_from(writing.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (from, started) = (store.spent().await?, Instant::now());
        for shard in store.shards() {
            self.claim_all(shard).await?;
        }
        let claimed = store.spent().await?;
        let mut runs = 0;
        for shard in store.shards() {
            store.refresh_lists(shard).await?;
            runs += self.work_all(shard).await?;
        }
        let (worked, wall) = (store.spent().await?, started.elapsed());
        native += self.native(entries / 2).await?;
        let us_per = |cpu_s: f64| (cpu_s * 1e8 / runs.max(1) as f64).round() / 100.0;
        let redis_us_per_run = us_per(worked.cpu_s - from.cpu_s);
        let native_us_per_pair = (native * 1e8 / entries.max(1) as f64).round() / 100.0;
        let budget_us = (BUDGET_US * (native_us_per_pair / NATIVE_US).max(1.0) * 10.0).round() / 10.0;
        let row = LifeRow {
            runs,
            runs_per_s: (runs as f64 / wall.as_secs_f64()).round(),
            claim_us: us_per(claimed.cpu_s - from.cpu_s),
            work_us: us_per(worked.cpu_s - claimed.cpu_s),
            redis_us_per_run,
            native_us_per_pair,
            natives: (redis_us_per_run / native_us_per_pair * 100.0).round() / 100.0,
            rounds: vec![redis_us_per_run],
            budget_us,
            verdict: if redis_us_per_run <= budget_us { "ok" } else { "short" },
        };
        Ok((row, writing_ms))
    }

    /// Fetches and finishes until nothing is left; returns how many runs.
    async fn work_all(&self, shard: u16) -> Result<usize> {
        let serves = Serves { queues: None, kinds: vec!["exec".to_owned()] };
        let (mut number, mut finished) = (0, 0);
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
            let Some(WorkReply { fetched, .. }) = self.store().work(shard, &call).await? else {
                return Err(Error::internal("a call of the bench was overtaken; is the namespace its own?"));
            };
            finished += ended.len();
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
                return Ok(finished);
            }
        }
    }
}
