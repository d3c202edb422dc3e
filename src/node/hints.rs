//! Waits for hints of work while slots are free. A hint carries no run: losing one costs a look-in, never a run.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::node::state::{Lane, Shared};
use crate::store::HintReader;

/// One wait in Redis. A wait that has to end sooner is ended by a hint to this reader alone; so this is only how long a connection
/// may be dead before that is noticed, and the claims find the work meanwhile. With 5 s an idle node sent 0.2 commands a second more.
const BLOCK: Duration = Duration::from_secs(60);
/// After a hint: the lane is awake and takes what waits as long as something does. A node at saturation that asked again at once sent as
/// many waits for hints as calls for runs.
const AFTER_HINT: Duration = Duration::from_millis(5);
const RETRY: Duration = Duration::from_millis(500);

/// Waits and wakes the lanes until the node has stopped.
pub async fn run(shared: Arc<Shared>) {
    // One connection for the node's life: it reconnects by itself, and one that is dropped would go on doing so.
    let reader = loop {
        match shared.store.hint_reader(&shared.incarnation, BLOCK).await {
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
    let mut changes = shared.store.list_changes();
    let mut shutdown = shared.shutdown.clone();
    while !shutdown.is_draining() {
        // Two full nodes would throw a hint to and fro.
        let freed = shared.slot_freed.notified();
        if shared.slots.free() == 0 {
            tokio::select! {
                () = freed => {}
                () = tokio::time::sleep(RETRY) => {}
            }
            continue;
        }
        changes.mark_unchanged();
        let lists = served_lists(shared);
        if lists.is_empty() {
            tokio::select! {
                _ = changes.changed() => {}
                () = shutdown.draining() => {}
            }
            continue;
        }
        let mut wait = std::pin::pin!(reader.wait(&lists));
        let found = tokio::select! {
            found = &mut wait => found,
            () = async { tokio::select! { _ = changes.changed() => {}, () = shutdown.draining() => {} } } => {
                // The wait goes on in Redis, whoever gives it up here: it would take a hint that is another's.
                let _ = shared.store.hint(std::slice::from_ref(&shared.incarnation)).await;
                let found = wait.await;
                // Another hint came first: the call would stay behind, and also one whose answer was lost.
                if matches!(found, Ok(Some(_))) {
                    reader.forget_call().await?;
                }
                found
            }
        };
        if let Some(list) = found? {
            shared.lanes.iter().for_each(Lane::expect_work);
            // It filled up while it waited: another may have room.
            if shared.slots.free() == 0 || shared.shutdown.is_draining() {
                shared.store.hint(&[list]).await?;
            }
            tokio::time::sleep(AFTER_HINT).await;
        }
    }
    std::future::pending().await
}

/// The waiting lists that this node can serve, of all shards.
fn served_lists(shared: &Shared) -> Vec<String> {
    let mut served: Vec<String> = Vec::new();
    for shard in shared.store.shards() {
        for list in shared.store.lists(shard).iter().filter(|list| shared.config.serves.has(list)) {
            if !served.contains(list) {
                served.push(list.clone());
            }
        }
    }
    served
}
