//! age_runs: what ended long ago goes, a page at a time.

use std::time::Duration;

use fred::types::Value;

use crate::domain::span::Span;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::keys::Key;
use crate::store::reply::Reply;

/// How long records of runs, and what happened, are kept.
pub const RUNS_KEPT: Span = Span(30 * 86_400_000);
/// How long a dead letter is kept; `lua/parts/history.lua` has the same number.
pub const LETTERS_KEPT: Span = Span(90 * 86_400_000);
/// Between two sweeps of a shard, at least; a claim asks a node for one about once an hour.
const SWEEP_EVERY: Span = Span(1_800_000);
/// Between two calls of a sweep: others have a turn.
const BREATH: Duration = Duration::from_millis(2);

/// What a sweep dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AgedRuns {
    /// Lines of the streams; each may stand for many events.
    pub lines: u64,
    /// Chunks of records, up to 16 each.
    pub chunks: u64,
}

const KEYS: &[Key] = &[Key::Clock, Key::Events, Key::Moves, Key::Ended, Key::History, Key::Dead, Key::Letters];

impl Store {
    /// Drops what ended longer than [`RUNS_KEPT`] ago. `None` where somebody did so within the last half hour.
    pub async fn age_runs(&self, shard: u16) -> Result<Option<AgedRuns>> {
        let keys = self.keys(shard).all(KEYS);
        let mut aged = AgedRuns::default();
        let mut from = String::new();
        loop {
            let args: Vec<Value> = vec![
                from.as_str().into(),
                i64::try_from(RUNS_KEPT.0).unwrap_or(i64::MAX).into(),
                i64::try_from(SWEEP_EVERY.0).unwrap_or(i64::MAX).into(),
                i64::try_from(LETTERS_KEPT.0).unwrap_or(i64::MAX).into(),
            ];
            let mut reply = Reply::list(self.eval(&self.scripts().age_runs, &keys, args).await?)?;
            match reply.text()?.as_str() {
                "later" => return Ok(None),
                "aged" => {}
                other => return Err(Error::internal(format!("age_runs answered {other}"))),
            }
            from = reply.text()?;
            aged.lines += reply.number()?.max(0).cast_unsigned();
            aged.chunks += reply.number()?.max(0).cast_unsigned();
            if from.is_empty() {
                return Ok(Some(aged));
            }
            tokio::time::sleep(BREATH).await;
        }
    }
}
