//! What a forecast reads beside entries: how long their runs took, many entries in one call.

use fred::types::Value;

use crate::domain::id::EntryId;
use crate::domain::record::{CHUNK, EndedRun};
use crate::domain::run::Reason;
use crate::domain::span::Span;
use crate::error::Result;
use crate::store::Store;
use crate::store::keys::Key;
use crate::store::reply::{Reply, maybe_bytes};

/// Chunks of rings that are read in one call; each has up to about 2 KB.
const CHUNKS: usize = 200;

impl Store {
    /// How long the runs of these entries of one shard took that succeeded and were no messages, of the last `keep` of each.
    pub async fn lengths(&self, shard: u16, entries: &[(&EntryId, u16)]) -> Result<Vec<Vec<Span>>> {
        let mut lengths = Vec::with_capacity(entries.len());
        let fields = |keep: u16| usize::from(keep.div_ceil(CHUNK)) + 1;
        let mut rest = entries;
        while !rest.is_empty() {
            let mut read = 0;
            let many = rest.iter().take_while(|(_, keep)| {
                read += fields(*keep);
                read <= CHUNKS
            });
            let (page, after) = rest.split_at(many.count().max(1));
            rest = after;
            let mut args: Vec<Value> = vec![self.key(shard, Key::History).into()];
            for (id, keep) in page {
                args.push(id.as_str().into());
                args.extend((0..keep.div_ceil(CHUNK)).map(|slot| Value::from(format!("{id}\0{slot}"))));
            }
            let mut chunks = Reply::list(self.inner.client.command("HMGET", args).await?)?.rest().into_iter();
            for (id, keep) in page {
                let mut runs = Vec::new();
                for chunk in chunks.by_ref().take(fields(*keep)) {
                    runs.extend(self.ended_of(id, &maybe_bytes(chunk)?.unwrap_or_default()));
                }
                runs.sort_unstable_by_key(|(finished_at, _)| std::cmp::Reverse(*finished_at));
                lengths.push(runs.into_iter().take(usize::from(*keep)).filter_map(|(_, length)| length).collect());
            }
        }
        Ok(lengths)
    }

    /// Fire times of these entries of one shard since they were created, as far as they are counted.
    pub async fn counted_fires(&self, shard: u16, ids: &[EntryId]) -> Result<Vec<Option<u64>>> {
        let mut counts = Vec::with_capacity(ids.len());
        for count in self.many("HMGET", shard, Key::Fires, ids).await? {
            counts.push(maybe_bytes(count)?.and_then(|text| String::from_utf8_lossy(&text).parse().ok()));
        }
        Ok(counts)
    }

    /// When the runs of a chunk ended, and how long they took.
    fn ended_of(&self, id: &EntryId, chunk: &[u8]) -> Vec<(i64, Option<Span>)> {
        let length = |run: &EndedRun| {
            let started_at = run.started_at.filter(|_| run.reason != Some(Reason::Delivered))?;
            Some(Span((run.finished_at.0 - started_at.0).max(0).unsigned_abs()))
        };
        let runs = EndedRun::read_chunk(self.namespace(), id, chunk);
        runs.iter().map(|run| (run.finished_at.0, length(run))).collect()
    }
}
