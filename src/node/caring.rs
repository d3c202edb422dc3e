//! What a claim's reply asks of the node beside running things: plans, take-overs, the registry, rebuilding, hints, ledgers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use crate::domain::id::EntryId;
use crate::error::Result;
use crate::node::state::Shared;
use crate::store::{Claim, Planned, Rescued};

/// Entries that may wait for a plan here; what does not fit is handed out again.
pub const TO_PLAN_MAX: usize = 10_000;
/// Calls for one lost node, at 500 runs each.
const RESCUE_CALLS_MAX: usize = 10_000;

/// Does what the reply asks for, each in a task of its own: the claim loop does not wait.
pub fn care(shared: &Arc<Shared>, shard: u16, claim: &Claim) {
    if !claim.unknown_lists.is_empty() {
        let shared = shared.clone();
        tokio::spawn(async move { report("reading the registry of queues", shared.store.refresh_lists(shard).await) });
    }
    if !claim.ended_nodes.is_empty() {
        let (shared, ended) = (shared.clone(), claim.ended_nodes.clone());
        tokio::spawn(async move {
            for incarnation in ended {
                report("taking over from a lost node", rescue(&shared, shard, &incarnation).await);
            }
        });
    }
    if !claim.to_count.is_empty() {
        let (shared, queues) = (shared.clone(), claim.to_count.clone());
        tokio::spawn(
            async move { report("counting what a limited queue executes", count(&shared, shard, &queues).await) },
        );
    }
    if claim.walks_zones {
        let shared = shared.clone();
        tokio::spawn(async move { report("planning by newer zone data", walk_zones(&shared, shard).await) });
    }
    if claim.ages {
        // A shard that never aged is new.
        shared.may_be_flushed();
        let shared = shared.clone();
        tokio::spawn(async move { report("dropping old records", age(&shared, shard).await) });
    }
    if !claim.to_plan_anew.is_empty() {
        let (shared, ids) = (shared.clone(), claim.to_plan_anew.clone());
        tokio::spawn(async move { report("planning anew", plan_anew(&shared, &ids).await) });
    }
    if claim.is_unbalanced {
        let shared = shared.clone();
        tokio::spawn(async move { report("rebuilding", rebuild(&shared, shard).await) });
    }
    if shard != 0 && claim.claimed > 0 && !claim.waiting.is_empty() {
        let (shared, lists) = (shared.clone(), claim.waiting.clone());
        tokio::spawn(async move { report("leaving hints", shared.store.hint(&lists).await) });
    }
    for id in &claim.long_ledgers {
        if let Ok(id) = EntryId::parse("entry", id) {
            let shared = shared.clone();
            tokio::spawn(
                async move { report("compacting a ledger", shared.store.shorten_ledger(&id).await.map(drop)) },
            );
        }
    }
}

/// The next claim asks again for whatever failed here.
fn report(what: &str, done: Result<()>) {
    if let Err(why) = done {
        tracing::warn!(why = %why, "{what} failed, it is tried again");
    }
}

async fn rescue(shared: &Shared, shard: u16, incarnation: &str) -> Result<()> {
    let name = shared.store.node_name(shard, incarnation).await?.unwrap_or_else(|| incarnation.to_owned());
    shared.store.refresh_lists(shard).await?;
    for _ in 0..RESCUE_CALLS_MAX {
        match shared.store.rescue(shard, incarnation, &name).await? {
            Rescued::Alive => return Ok(()),
            Rescued::Done { back, ended, left } => {
                tracing::warn!(node.id = %incarnation, node.name = %name, runs.back = back, runs.ended = ended, "took over from a lost node");
                shared.lanes[usize::from(shard)].expect_work();
                if left == 0 || back + ended == 0 {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Plans what an older program has planned; the claim hands an entry out again until that is done.
async fn plan_anew(shared: &Shared, ids: &[String]) -> Result<()> {
    for id in ids {
        let Ok(id) = EntryId::parse("entry", id) else { continue };
        let planned = shared.store.plan_anew(&id, shared.last_now()).await?;
        if planned == Planned::Written {
            tracing::debug!(entry.id = %id, tzdata = shared.store.zone_data(), "planned anew: older zone data was used");
        }
    }
    Ok(())
}

/// Counts what executes of queues whose limit is new; then their runs start.
async fn count(shared: &Shared, shard: u16, queues: &[String]) -> Result<()> {
    for queue in queues {
        shared.store.count_queue(shard, queue).await?;
    }
    shared.lanes[usize::from(shard)].expect_work();
    Ok(())
}

async fn walk_zones(shared: &Shared, shard: u16) -> Result<()> {
    let is_walking = &shared.lanes[usize::from(shard)].is_walking;
    if is_walking.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    let walked = shared.store.walk_zones(shard, || shared.last_now()).await;
    is_walking.store(false, Ordering::Release);
    let walked = walked?;
    tracing::info!(
        shard.id = shard,
        tzdata = shared.store.zone_data(),
        entries = walked.entries,
        planned = walked.planned,
        left = walked.left,
        "looked at all entries with newer zone data"
    );
    Ok(())
}

/// Drops what is older than records are kept; whatever ages belongs here.
async fn age(shared: &Shared, shard: u16) -> Result<()> {
    let is_ageing = &shared.lanes[usize::from(shard)].is_ageing;
    if is_ageing.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    let aged = shared.store.age(shard).await;
    let runs = shared.store.age_runs(shard).await;
    is_ageing.store(false, Ordering::Release);
    let (aged, runs) = (aged?, runs?.unwrap_or_default());
    tracing::debug!(
        shard.id = shard,
        ledgers = aged.ledgers,
        revisions = aged.revisions,
        ids = aged.ids,
        calendars = aged.calendars,
        lines = runs.lines,
        chunks = runs.chunks,
        "dropped what is older than records are kept"
    );
    Ok(())
}

async fn rebuild(shared: &Shared, shard: u16) -> Result<()> {
    let rebuilt = shared.store.rebuild(shard).await?;
    tracing::error!(
        shard.id = shard,
        entries = rebuilt.entries,
        runs = rebuilt.runs,
        taken_off = rebuilt.taken_off,
        "the sums of the shard did not hold, a key was evicted or deleted: rebuilt from entries and live"
    );
    Ok(())
}

/// Plans entries, one after the other.
pub async fn plan_all(shared: Arc<Shared>, mut to_plan: mpsc::Receiver<EntryId>) {
    while let Some(id) = to_plan.recv().await {
        match shared.store.plan(&id, shared.last_now()).await {
            Ok(Planned::Written) => tracing::debug!(entry.id = %id, "planned"),
            Ok(Planned::Unchanged) => {}
            Ok(Planned::Unreadable(why)) => tracing::error!(entry.id = %id, why = %why, "can't be planned"),
            Err(why) => tracing::warn!(entry.id = %id, why = %why, "planning failed, it is tried again"),
        }
    }
}
