//! Sweeping: what ended long ago goes. Every node asks now and then; a shard lets one of them do it, once an hour.

use std::sync::Arc;
use std::time::Duration;

use crate::node::state::Shared;

/// About how often a node asks.
const ASK_EVERY_S: u64 = 600;

/// Sweeps until the node has stopped.
pub async fn run(shared: Arc<Shared>) {
    loop {
        // Not all nodes of a fleet that was started together at once.
        tokio::time::sleep(Duration::from_secs(fastrand::u64(ASK_EVERY_S / 2..ASK_EVERY_S * 3 / 2))).await;
        pass(&shared).await;
    }
}

/// One look at each shard; what fails is done by the next sweep.
async fn pass(shared: &Shared) {
    for shard in shared.store.shards() {
        match shared.store.age_runs(shard).await {
            Ok(None) => {}
            Ok(Some(aged)) => {
                tracing::debug!(
                    shard.id = shard,
                    lines = aged.lines,
                    chunks = aged.chunks,
                    "dropped what ended long ago"
                );
            }
            Err(why) => {
                tracing::warn!(shard.id = shard, why = %why, "dropping what ended long ago failed, it is tried again")
            }
        }
    }
}
