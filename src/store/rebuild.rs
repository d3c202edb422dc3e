//! rebuild: what the conservation check missed is put back from `entries` and `live`, the sources of truth.

use std::collections::{HashMap, HashSet};

use fred::types::Value;

use crate::domain::id::EntryId;
use crate::domain::run::State;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::store::Store;
use crate::store::keys::Key;
use crate::store::read::PAGE;
use crate::store::reply::{Reply, number, pairs, texts};

/// What a rebuild did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rebuilt {
    /// Entries that stood nowhere and wait for a plan now.
    pub entries: u64,
    /// Places taken off that belonged to no entry.
    pub taken_off: u64,
    /// Runs put back.
    pub runs: u64,
}

/// Entries that one script looks at: six places each.
const PLACED: usize = 100;
/// Ids of a list that are read in one call.
const LISTED: i64 = 1_000;

const ENTRY_KEYS: &[Key] =
    &[Key::Clock, Key::Entries, Key::Due, Key::Parked, Key::Paused, Key::Broken, Key::Finished, Key::Events];

impl Store {
    /// Puts back what stands nowhere in a shard; in batches, beside claims.
    pub async fn rebuild(&self, shard: u16) -> Result<Rebuilt> {
        let mut rebuilt = Rebuilt::default();
        self.refresh_lists(shard).await?;
        self.rebuild_entries(shard, &mut rebuilt).await?;
        self.rebuild_runs(shard, &mut rebuilt).await?;
        Ok(rebuilt)
    }

    async fn rebuild_entries(&self, shard: u16, rebuilt: &mut Rebuilt) -> Result<()> {
        let keys = self.keys(shard).all(ENTRY_KEYS);
        let mut cursor = None;
        loop {
            let (found, next) = self.scan(shard, Key::Entries, cursor).await?;
            self.place(&keys, found.into_iter().map(|(id, _)| id), rebuilt).await?;
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        for key in [Key::Due, Key::Parked, Key::Paused, Key::Broken, Key::Finished] {
            let mut cursor = "0".to_owned();
            loop {
                let args = vec![self.key(shard, key).into(), cursor.into(), "COUNT".into(), (PAGE as i64).into()];
                let mut reply = Reply::list(self.inner.client.command("ZSCAN", args).await?)?;
                cursor = reply.text()?;
                let members = texts(reply.next()?)?;
                self.place(&keys, members.into_iter().step_by(2), rebuilt).await?;
                if cursor == "0" {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Looks at the place of one entry.
    pub(super) async fn place_one(&self, shard: u16, id: &EntryId) -> Result<()> {
        let keys = self.keys(shard).all(ENTRY_KEYS);
        self.place(&keys, std::iter::once(id.to_string()), &mut Rebuilt::default()).await
    }

    async fn place(&self, keys: &[String], ids: impl Iterator<Item = String>, rebuilt: &mut Rebuilt) -> Result<()> {
        let args: Vec<Value> = ids.map(Value::from).collect();
        for page in args.chunks(PLACED) {
            let mut reply = Reply::list(self.eval(&self.scripts().rebuild_entries, keys, page.to_vec()).await?)?;
            rebuilt.entries += reply.number()?.max(0).cast_unsigned();
            rebuilt.taken_off += reply.number()?.max(0).cast_unsigned();
        }
        Ok(())
    }

    async fn rebuild_runs(&self, shard: u16, rebuilt: &mut Rebuilt) -> Result<()> {
        let lists = self.lists(shard);
        let mut seen = HashSet::new();
        for list in lists.iter() {
            let key = self.keys(shard).list(list);
            // From its end, where runs are put: those that are fetched meanwhile move none of the others out of sight.
            let mut end = -1_i64;
            loop {
                let args = vec![key.as_str().into(), (end - LISTED + 1).into(), end.into()];
                let page = texts(self.inner.client.command("LRANGE", args).await?)?;
                let is_first = page.len() < LISTED as usize;
                seen.extend(page);
                if is_first {
                    break;
                }
                end -= LISTED;
            }
        }
        let mut lost: HashMap<String, Vec<(Timestamp, String)>> = HashMap::new();
        let mut cursor = None;
        loop {
            let (runs, next) = self.live_runs(shard, cursor).await?;
            for run in runs {
                match run.state {
                    State::Running => {
                        lost.entry(run.holder.unwrap_or_default()).or_default().push((run.fire_at, run.run_id))
                    }
                    _ if !seen.contains(&run.run_id) => {
                        lost.entry(String::new()).or_default().push((run.fire_at, run.run_id))
                    }
                    _ => {}
                }
            }
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        for (holder, mut runs) in lost {
            // Those that wait for each other keep their order.
            runs.sort();
            let mut keys = self.keys(shard).all(&[Key::Clock, Key::Live, Key::Leases]);
            keys.push(self.keys(shard).holds(&holder));
            keys.push(self.key(shard, Key::Waits));
            keys.push(self.key(shard, Key::Plans));
            keys.push(self.key(shard, Key::Delayed));
            keys.push(self.key(shard, Key::Events));
            keys.extend(lists.iter().map(|list| self.keys(shard).list(list)));
            for page in runs.chunks(100) {
                let mut args: Vec<Value> = vec![holder.as_str().into(), (lists.len() as i64).into()];
                args.extend(lists.iter().map(|list| Value::from(list.as_str())));
                args.extend(page.iter().map(|(_, run)| Value::from(run.as_str())));
                rebuilt.runs +=
                    number(self.eval(&self.scripts().rebuild_runs, &keys, args).await?)?.max(0).cast_unsigned();
            }
        }
        self.recount(shard, &lists).await
    }

    async fn recount(&self, shard: u16, lists: &[String]) -> Result<()> {
        let range = vec![self.key(shard, Key::Leases).into(), 0.into(), (-1_i64).into(), "WITHSCORES".into()];
        let leases = pairs(self.inner.client.command("ZRANGE", range).await?)?;
        let mut keys = self.keys(shard).all(&[Key::Clock, Key::Live, Key::Queues, Key::Delayed]);
        keys.extend(lists.iter().map(|list| self.keys(shard).list(list)));
        keys.extend(leases.iter().map(|(incarnation, _)| self.keys(shard).holds(incarnation)));
        let mut args: Vec<Value> = vec![(lists.len() as i64).into()];
        args.extend(lists.iter().map(|list| Value::from(list.as_str())));
        self.eval(&self.scripts().recount, &keys, args).await.map(drop)
    }
}
