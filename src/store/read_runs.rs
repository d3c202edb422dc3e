//! Reading runs: the live ones, and the rings of those that ended.

use fred::types::Value;

use crate::domain::id::EntryId;
use crate::domain::record::{CHUNK, EndedRun, LiveRun};
use crate::error::Result;
use crate::store::Store;
use crate::store::keys::Key;
use crate::store::read::PAGE;
use crate::store::reply::{Reply, maybe_bytes};

/// Bytes of a cursor without a back-log behind it.
const CURSOR_BYTES: usize = 12;

impl Store {
    /// A live run by id.
    pub async fn live_run(&self, shard: u16, run_id: &str) -> Result<Option<LiveRun>> {
        let args = vec![self.key(shard, Key::Live).into(), run_id.into()];
        let packed = maybe_bytes(self.inner.client.command("HGET", args).await?)?;
        Ok(packed.and_then(|packed| LiveRun::read(run_id, &packed)))
    }

    /// Live runs of a shard, a page at a time; give the cursor back until it is `None`.
    pub async fn live_runs(&self, shard: u16, cursor: Option<String>) -> Result<(Vec<LiveRun>, Option<String>)> {
        let (pairs, next) = self.scan(shard, Key::Live, cursor).await?;
        Ok((pairs.iter().filter_map(|(id, packed)| LiveRun::read(id, packed)).collect(), next))
    }

    /// What is kept of the runs of an entry that ended: the last `keep` that succeeded and as many that did not; in no order.
    pub async fn ended_runs(&self, shard: u16, id: &EntryId, keep: u16) -> Result<Vec<EndedRun>> {
        let slots = keep.div_ceil(CHUNK);
        let mut all = Vec::new();
        for ring in [id.as_str().to_owned(), format!("{id}!")] {
            let mut args: Vec<Value> = vec![self.key(shard, Key::History).into(), ring.as_str().into()];
            args.extend((0..slots).map(|slot| Value::from(format!("{ring}\0{slot}"))));
            let chunks = Reply::list(self.inner.client.command("HMGET", args).await?)?.rest();
            let mut runs = Vec::new();
            for chunk in chunks {
                let chunk = maybe_bytes(chunk)?.unwrap_or_default();
                runs.extend(EndedRun::read_chunk(self.namespace(), id, &chunk));
            }
            runs.sort_by_key(|run| std::cmp::Reverse(run.finished_at));
            runs.truncate(usize::from(keep));
            all.extend(runs);
        }
        Ok(all)
    }

    /// The newest record of an entry that ended, of both rings.
    pub async fn last_ended(&self, shard: u16, ids: &[EntryId]) -> Result<Vec<Option<EndedRun>>> {
        let mut last = Vec::with_capacity(ids.len());
        // Two fields each, and a ring begins with up to 2 KB.
        for page in ids.chunks(PAGE / 2) {
            let mut args: Vec<Value> = vec![self.key(shard, Key::History).into()];
            for id in page {
                args.extend([Value::from(id.as_str()), Value::from(format!("{id}!"))]);
            }
            let chunks = Reply::list(self.inner.client.command("HMGET", args).await?)?.rest();
            for (id, pair) in page.iter().zip(chunks.chunks(2)) {
                let mut newest: Option<EndedRun> = None;
                for chunk in pair {
                    let chunk = maybe_bytes(chunk.clone())?.unwrap_or_default();
                    for run in EndedRun::read_chunk(self.namespace(), id, &chunk) {
                        let order = |run: &EndedRun| (run.last_fire_at, run.finished_at);
                        if newest.as_ref().is_none_or(|known| order(known) < order(&run)) {
                            newest = Some(run);
                        }
                    }
                }
                last.push(newest);
            }
        }
        Ok(last)
    }

    /// Ids of entries with history, also of removed ones, a page at a time.
    pub async fn ids_with_history(&self, shard: u16, cursor: Option<String>) -> Result<(Vec<EntryId>, Option<String>)> {
        let (pairs, next) = self.scan(shard, Key::History, cursor).await?;
        let ids = pairs.iter().filter_map(|(field, _)| EntryId::parse("entry", field.split(['!', '\0']).next()?).ok());
        Ok((ids.collect(), next))
    }

    /// Ids of entries with a back-log or a backfill that waits, and of some without.
    pub async fn ids_with_back_log(&self, shard: u16) -> Result<Vec<EntryId>> {
        let mut ids = Vec::new();
        for (key, shortest) in [(Key::Cursors, CURSOR_BYTES + 1), (Key::Backfills, 1)] {
            let mut cursor = None;
            loop {
                let (pairs, next) = self.scan(shard, key, cursor).await?;
                let found = pairs.iter().filter(|(_, packed)| packed.len() >= shortest);
                ids.extend(found.filter_map(|(id, _)| EntryId::parse("entry", id).ok()));
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(ids)
    }
}
