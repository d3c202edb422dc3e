//! Renews the node's lease, shard by shard, and hears what it has lost, must end, or shall show.

use std::sync::Arc;

use crate::node::execution;
use crate::node::state::Shared;
use crate::store::Nudge;

/// Renews every third of the lease, and at once when somebody asked to cancel a run or watches one.
pub async fn run(shared: Arc<Shared>, mut nudge: Nudge) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(shared.renew_every()) => {}
            Ok(()) = nudge.cancel.changed() => {}
        }
        for shard in shared.store.shards() {
            if let Err(why) = pass(&shared, shard).await {
                shared.set_ready(false, &why);
            }
        }
    }
}

/// One renewal of a shard; nothing where nothing runs there.
pub async fn pass(shared: &Shared, shard: u16) -> crate::error::Result<()> {
    let before = shared.slots.running_in(shard);
    if before.is_empty() {
        return Ok(());
    }
    let renewed = shared.store.renew(shard, &shared.incarnation, shared.lease_ms()).await?;
    shared.slots.watch(&renewed.watched);
    // Only what still runs: what ended meanwhile is not held for a good reason.
    let now = shared.slots.running_in(shard);
    let before: Vec<_> = before.into_iter().filter(|attempt| now.contains(attempt)).collect();
    execution::compare(shared, &before, &renewed.held, &renewed.to_cancel);
    Ok(())
}
