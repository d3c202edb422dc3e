//! Shows the output of attempts that somebody watches, while they run; of the others nothing is sent before their end.

use std::sync::Arc;
use std::time::Duration;

use crate::node::renewing;
use crate::node::state::Shared;
use crate::store::Output;

/// Between two looks at what is watched.
const EVERY: Duration = Duration::from_millis(300);

/// Shows what is new while anything is watched; costs nothing else.
pub async fn run(shared: Arc<Shared>) {
    loop {
        shared.slots.watchers.notified().await;
        while pass(&shared).await {
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// Sends the tail of each attempt that is watched and has written something new. Returns whether anything is watched.
pub async fn pass(shared: &Shared) -> bool {
    for shard in shared.slots.unwatched() {
        // Who follows for longer than this node has heard is named in the reply.
        if let Err(why) = renewing::pass(shared, shard).await {
            shared.set_ready(false, &why);
        }
    }
    for watched in shared.slots.unshown() {
        let (written, tail) = watched.output.tail();
        let (run_id, output) = (&watched.id.0, Output { written, tail });
        match shared.store.keep_output(watched.shard, run_id, watched.attempt, &output).await {
            Ok(()) => shared.slots.shown(&watched.id, written),
            // The next pass sends it again, the end of the attempt anyway.
            Err(why) => tracing::debug!(run.id = %run_id, why = %why, "its output could not be shown"),
        }
    }
    shared.slots.is_watched()
}
