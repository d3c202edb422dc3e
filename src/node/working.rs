//! The lane `work` of a shard: tells Redis what ended and fetches what fits into the free slots, in one call.
//!
//! One call in flight, numbered; it is repeated until it is answered. What ends meanwhile is the next batch.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::error::Error;
use crate::node::execution;
use crate::node::state::Shared;
use crate::store::{Ended, FinishWord, WorkCall, WorkReply};

/// Attempts in one call, ended or fetched; more gains nothing.
const BATCH: usize = 250;
/// Between two calls that only tell ends, from the start of one to that of the next: ends that come one by one in quick succession share
/// a call, one alone is told at once. At 1,000 fires a second every run had a call of its own, nearly half of what a fire costs Redis,
/// and the next claims waited behind them.
const ENDS_EVERY: Duration = Duration::from_millis(3);
/// After a call that Redis did not answer.
const RETRY: Duration = Duration::from_millis(100);

/// Half of the slots: while those runs begin and end, the call for the other half is on its way. All at once, node and Redis waited for
/// each other in turn: where a run takes no time, 256 slots did 28,000 to 32,000 a second instead of 38,000 on two shared cores, at the
/// same cost for Redis; 16 slots 12,500 instead of 15,000 on average, for their calls fell apart into small ones.
fn fetched_at_most(concurrency: usize) -> usize {
    concurrency.div_ceil(2).min(BATCH)
}

/// Works until every sender of `ended` is gone.
pub async fn run(shared: Arc<Shared>, shard: u16, mut ended: mpsc::UnboundedReceiver<Ended>) {
    let lane = usize::from(shard);
    let most = fetched_at_most(shared.config.concurrency);
    let mut number = 0_u64;
    let mut is_held = false;
    let mut batch: Vec<Ended> = Vec::new();
    let mut called: Option<Instant> = None;
    let mut shutdown = shared.shutdown.clone();
    loop {
        gather(&mut ended, &mut batch).await;
        // What ends here may make room in its queue: the same call fetches the next run.
        let is_freed = is_held && !batch.is_empty();
        let wants = !shutdown.is_draining() && (is_freed || shared.lanes[lane].has_work.load(Ordering::Acquire));
        let promised = if wants { shared.slots.reserve(most) } else { 0 };
        if batch.is_empty() && promised == 0 {
            tokio::select! {
                one = ended.recv() => match one {
                    Some(one) => batch.push(one),
                    None => return,
                },
                () = shared.lanes[lane].wake.notified() => {}
            }
            continue;
        }
        let next = called.map(|at| at + ENDS_EVERY).filter(|next| *next > Instant::now());
        let may_wait = promised == 0 && batch.len() < BATCH && !shutdown.is_draining();
        if let Some(next) = next.filter(|_| may_wait) {
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                () = shared.lanes[lane].wake.notified() => {}
                () = shutdown.draining() => {}
            }
            continue;
        }
        called = Some(Instant::now());
        if promised > 0 {
            shared.lanes[lane].has_work.store(false, Ordering::Release);
        }
        number += 1;
        let reply = call(&shared, shard, number, promised, &batch).await;
        is_held = reply.as_ref().map_or(is_held, |reply| reply.is_held);
        settle(&shared, shard, promised, &batch, reply);
        batch.clear();
    }
}

/// Takes what has ended. What is about to end may do so first: runs of one reply end together, and a call for one of them costs
/// as much as a call for all.
async fn gather(ended: &mut mpsc::UnboundedReceiver<Ended>, batch: &mut Vec<Ended>) {
    loop {
        let before = batch.len();
        while batch.len() < BATCH {
            match ended.try_recv() {
                Ok(one) => batch.push(one),
                Err(_) => break,
            }
        }
        if batch.len() == before || batch.len() == BATCH {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Sends one call until it is answered.
async fn call(shared: &Shared, shard: u16, number: u64, wanted: usize, ended: &[Ended]) -> Option<WorkReply> {
    loop {
        let call = WorkCall {
            incarnation: &shared.incarnation,
            node: &shared.name,
            number,
            lease_ms: shared.lease_ms(),
            wanted,
            ended,
            serves: &shared.config.serves,
        };
        match shared.store.work(shard, &call).await {
            Ok(reply) => return reply,
            Err(why @ Error::Unavailable(_)) => {
                shared.set_ready(false, &why);
                tokio::time::sleep(RETRY).await;
            }
            Err(why) => {
                // A damaged key or a bug: the lane must not spin, and nothing may be dropped in silence.
                tracing::error!(shard.id = shard, why = %why, "recording ends and fetching failed, it is tried again");
                tokio::time::sleep(RETRY * 10).await;
            }
        }
    }
}

fn settle(shared: &Arc<Shared>, shard: u16, promised: usize, batch: &[Ended], reply: Option<WorkReply>) {
    shared.slots.recorded(batch.len());
    if let Some(reply) = reply {
        let delayed = batch.iter().zip(&reply.words).filter(|(_, word)| **word == FinishWord::Retrying);
        if let Some(wait_ms) =
            delayed.filter_map(|(ended, _)| ended.next.as_ref()).map(|next| next.wait_ms.max(0)).min()
        {
            shared.lanes[usize::from(shard)].look_within(Duration::from_millis(wait_ms.unsigned_abs()));
        }
        for (ended, word) in batch.iter().zip(&reply.words) {
            match word {
                FinishWord::Finished => tracing::debug!(run.id = %ended.run_id, how = ?ended.how, "finished"),
                FinishWord::Retrying => tracing::debug!(run.id = %ended.run_id, "tried again later"),
                FinishWord::Requeued => tracing::info!(run.id = %ended.run_id, "handed back"),
                FinishWord::Lost => tracing::warn!(
                    run.id = %ended.run_id,
                    fence = ended.fence,
                    "result refused: another attempt holds the run"
                ),
            }
        }
        execution::start_all(shared, shard, reply.fetched, Vec::new());
        if let Some(look) = reply.look {
            shared.lanes[usize::from(shard)].look_within(look);
        }
        if !reply.left.is_empty() {
            shared.lanes[usize::from(shard)].expect_work();
        }
    }
    shared.slots.release(promised);
    shared.slot_freed.notify_waiters();
    // A slot that this lane freed is any lane's to fill.
    for lane in shared.lanes.iter().filter(|lane| lane.has_work.load(Ordering::Acquire)) {
        lane.wake.notify_one();
    }
}
