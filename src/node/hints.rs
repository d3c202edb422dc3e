//! Waits for hints of work while slots are free. A hint carries no run: losing one costs a look-in, never a run.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::node::state::Shared;
use crate::store::HintReader;

/// One wait in Redis; new waiting lists are seen after it at the latest.
const BLOCK: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(500);

/// Waits and wakes the lanes until the node has stopped.
pub async fn run(shared: Arc<Shared>) {
    // One connection for the node's life: it reconnects by itself, and one that is dropped would go on doing so.
    let reader = loop {
        match shared.store.hint_reader(BLOCK).await {
            Ok(reader) => break reader,
            Err(why) => tracing::debug!(why = %why, "no connection for hints, it is tried again"),
        }
        tokio::time::sleep(RETRY).await;
    };
    loop {
        if let Err(why) = listen(&shared, &reader).await {
            tracing::debug!(why = %why, "waiting for hints failed, it is tried again");
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn listen(shared: &Shared, reader: &HintReader) -> Result<()> {
    loop {
        // Two full nodes would throw a hint to and fro.
        let freed = shared.slot_freed.notified();
        if shared.slots.free() == 0 {
            tokio::select! {
                () = freed => {}
                () = tokio::time::sleep(BLOCK) => {}
            }
            continue;
        }
        let mut lists: Vec<String> = Vec::new();
        for shard in shared.store.shards() {
            for list in shared.store.lists(shard).iter().filter(|list| shared.config.serves.has(list)) {
                if !lists.contains(list) {
                    lists.push(list.clone());
                }
            }
        }
        if lists.is_empty() || shared.shutdown.is_draining() {
            tokio::time::sleep(RETRY).await;
            continue;
        }
        if reader.wait(&lists).await?.is_some() {
            shared.lanes.iter().for_each(crate::node::state::Lane::expect_work);
        }
    }
}
