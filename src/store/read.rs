//! Reading entries, nodes and queues: pictures for people and for decisions that a script checks again.

use fred::types::Value;

use crate::domain::definition::{Definition, Removed};
use crate::domain::id::EntryId;
use crate::domain::node::NodeInfo;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::store::Store;
use crate::store::backfill::{self, Backfill};
use crate::store::keys::Key;
use crate::store::reply::{Reply, maybe_bytes, number, pairs, text};
use crate::store::skip::{self, Skip};

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Looked at when its time comes.
    Due,
    /// Its plan ran dry: waits for a node to write the next.
    Parked,
    /// Paused.
    Paused,
    /// Its plan is missing or damaged: waits for a node to plan it afresh.
    Broken,
    /// Nothing is left to fire.
    Finished,
}

impl Place {
    const ALL: [(Self, Key); 5] = [
        (Self::Due, Key::Due),
        (Self::Parked, Key::Parked),
        (Self::Paused, Key::Paused),
        (Self::Broken, Key::Broken),
        (Self::Finished, Key::Finished),
    ];

    pub(super) fn key(self) -> Key {
        Self::ALL.iter().find(|(place, _)| *place == self).map_or(Key::Due, |(_, key)| *key)
    }

    /// The place that scripts call so.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().map(|(place, _)| *place).find(|place| place.word() == word)
    }

    /// As scripts call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Parked => "parked",
            Self::Paused => "paused",
            Self::Broken => "broken",
            Self::Finished => "finished",
        }
    }
}

/// An entry as it stands in Redis.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEntry {
    /// Its id.
    pub id: EntryId,
    /// Its definition, or why it can't be read.
    pub definition: Result<Definition>,
    /// Its definition as it is written.
    pub text: Vec<u8>,
    /// Its packed plan; empty where there is none.
    pub plan: Vec<u8>,
    /// Where it stands; `None` where it stands nowhere.
    pub place: Option<Place>,
    /// Score there, ms.
    pub score: Timestamp,
    /// All before it is settled, where it is kept apart from the score.
    pub cursor: Option<Timestamp>,
    /// Fire times of its back-log.
    pub back_log: Vec<Timestamp>,
    /// For a paused entry: first, last, count and sum of what has passed, as far as counted.
    pub passed: Option<[u64; 5]>,
    /// Fire times that somebody asked to skip, oldest first; some may have passed unseen.
    pub skips: Vec<Skip>,
    /// Past fire times that wait to run after all.
    pub backfill: Vec<Backfill>,
}

/// Revisions behind the current one that may still be kept; `lua/parts/change.lua` has the same number.
pub const REVISIONS_KEPT: u64 = 200;
/// Fields that one command reads, and that a step of a scan looks at, at most. 500 took up to 5 ms where the processor was shared;
/// smaller pages than this cost more in round trips than they free Redis earlier: 200 lookups among 1,000,000 take 0.2 ms.
pub(super) const PAGE: usize = 200;
/// How often entries are looked at again that stand nowhere: they were on their way from one place to another.
const LOOKS: usize = 3;
/// Later than any fire time.
const NEVER_MS: i64 = 281_474_976_710_655;

impl StoredEntry {
    /// All before it is settled.
    pub fn cursor(&self) -> Timestamp {
        self.cursor.unwrap_or(self.score)
    }

    /// Birth and revision as scripts read them, also where the rest of the definition is damaged; else 0.
    pub fn birth_and_revision(&self) -> (u64, u64) {
        Definition::birth_and_revision_in(&self.text).unwrap_or_default()
    }

    /// The next fire time, as far as a plan knows it.
    pub fn next_fire_at(&self) -> Option<Timestamp> {
        let cursor = self.cursor();
        matches!(self.place, Some(Place::Due)).then_some(cursor).filter(|at| at.0 < NEVER_MS)
    }
}

pub(super) fn sixes(packed: &[u8]) -> Vec<u64> {
    packed.chunks_exact(6).map(|six| six.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))).collect()
}

impl Store {
    /// Entries by id, `None` for those that do not exist; any number, in pages of one round trip each.
    pub async fn entries(&self, ids: &[EntryId]) -> Result<Vec<Option<StoredEntry>>> {
        let mut found: Vec<Option<StoredEntry>> = vec![None; ids.len()];
        for shard in self.shards() {
            let mine: Vec<usize> = (0..ids.len()).filter(|at| self.shard_of(&ids[*at]) == shard).collect();
            for page in mine.chunks(PAGE) {
                let names: Vec<EntryId> = page.iter().map(|at| ids[*at].clone()).collect();
                for (at, entry) in page.iter().zip(self.page(shard, &names).await?) {
                    found[*at] = entry;
                }
            }
        }
        Ok(found)
    }

    /// One entry by id.
    pub async fn entry(&self, id: &EntryId) -> Result<Option<StoredEntry>> {
        Ok(self.entries(std::slice::from_ref(id)).await?.pop().flatten())
    }

    /// What a command that takes any number of fields says of each id; in pages.
    pub(super) async fn many(
        &self,
        command: &'static str,
        shard: u16,
        key: Key,
        ids: &[EntryId],
    ) -> Result<Vec<Value>> {
        let mut all = Vec::with_capacity(ids.len());
        for page in ids.chunks(PAGE) {
            let mut args: Vec<Value> = vec![self.key(shard, key).into()];
            args.extend(page.iter().map(|id| Value::from(id.as_str())));
            all.append(&mut Reply::list(self.inner.client.command(command, args).await?)?.rest());
        }
        Ok(all)
    }

    /// Up to [`PAGE`] entries. Their places are read one after the other: who stands nowhere may have moved meanwhile.
    async fn page(&self, shard: u16, ids: &[EntryId]) -> Result<Vec<Option<StoredEntry>>> {
        let mut entries = self.look_at(shard, ids).await?;
        for _ in 1..LOOKS {
            let is_nowhere = |entry: &Option<StoredEntry>| entry.as_ref().is_some_and(|entry| entry.place.is_none());
            let nowhere: Vec<usize> = (0..ids.len()).filter(|at| is_nowhere(&entries[*at])).collect();
            if nowhere.is_empty() {
                break;
            }
            let names: Vec<EntryId> = nowhere.iter().map(|at| ids[*at].clone()).collect();
            for (at, entry) in nowhere.into_iter().zip(self.look_at(shard, &names).await?) {
                entries[at] = entry;
            }
        }
        Ok(entries)
    }

    async fn look_at(&self, shard: u16, ids: &[EntryId]) -> Result<Vec<Option<StoredEntry>>> {
        let definitions = self.many("HMGET", shard, Key::Entries, ids).await?;
        if definitions.iter().all(Value::is_null) {
            // As with most of what a file adds.
            return Ok(vec![None; ids.len()]);
        }
        let [due, parked, paused, broken, finished] = Place::ALL.map(|(_, key)| self.many("ZMSCORE", shard, key, ids));
        let (plans, cursors, skips, backfills, due, parked, paused, broken, finished) = tokio::try_join!(
            self.many("HMGET", shard, Key::Plans, ids),
            self.many("HMGET", shard, Key::Cursors, ids),
            self.many("HMGET", shard, Key::Skips, ids),
            self.many("HMGET", shard, Key::Backfills, ids),
            due,
            parked,
            paused,
            broken,
            finished,
        )?;
        let mut entries = Vec::with_capacity(ids.len());
        let known =
            ids.iter().zip(definitions).zip(plans.into_iter().zip(cursors).zip(skips.into_iter().zip(backfills)));
        for ((id, definition), ((plan, cursor), (skips, backfill))) in known {
            let Some(text) = maybe_bytes(definition)? else {
                entries.push(None);
                continue;
            };
            let numbers = sixes(&maybe_bytes(cursor)?.unwrap_or_default());
            let instant = |number: &u64| Timestamp(number.cast_signed());
            entries.push(Some(StoredEntry {
                id: id.clone(),
                definition: Definition::read(id, &text),
                text,
                plan: maybe_bytes(plan)?.unwrap_or_default(),
                place: None,
                score: Timestamp(0),
                cursor: numbers.first().map(instant),
                back_log: numbers.iter().skip(2).map(instant).collect(),
                passed: None,
                skips: skip::read(&maybe_bytes(skips)?.unwrap_or_default()),
                backfill: backfill::read(&maybe_bytes(backfill)?.unwrap_or_default()),
            }));
        }
        for ((place, _), scores) in Place::ALL.iter().zip([due, parked, paused, broken, finished]) {
            for (entry, score) in entries.iter_mut().zip(scores) {
                let Some(entry) = entry.as_mut().filter(|entry| entry.place.is_none() && !score.is_null()) else {
                    continue;
                };
                entry.place = Some(*place);
                entry.score = Timestamp(score_of(score)?);
            }
        }
        for entry in entries.iter_mut().flatten().filter(|entry| entry.place == Some(Place::Paused)) {
            let numbers: Vec<u64> = entry.back_log.drain(..).map(|at| at.0.cast_unsigned()).collect();
            entry.passed = numbers.try_into().ok();
        }
        Ok(entries)
    }

    /// How many entries a shard has.
    pub async fn entry_count(&self, shard: u16) -> Result<usize> {
        let count = number(self.inner.client.command("HLEN", vec![self.key(shard, Key::Entries).into()]).await?)?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Ids of all entries of a shard, a page at a time; give the cursor back until it is `None`.
    pub async fn entry_ids(&self, shard: u16, cursor: Option<String>) -> Result<(Vec<EntryId>, Option<String>)> {
        let (pairs, next) = self.scan(shard, Key::Entries, cursor).await?;
        let ids = pairs.iter().filter_map(|(id, _)| EntryId::parse("entry", id).ok()).collect();
        Ok((ids, next))
    }

    /// Ids of all entries of a shard with their definitions as they are written; pages as of [`Store::entry_ids`], where an id may
    /// come twice.
    pub async fn definitions(
        &self,
        shard: u16,
        cursor: Option<String>,
    ) -> Result<(Vec<(EntryId, Vec<u8>)>, Option<String>)> {
        let (pairs, next) = self.scan(shard, Key::Entries, cursor).await?;
        let with_id = |(id, text): (String, Vec<u8>)| Some((EntryId::parse("entry", &id).ok()?, text));
        Ok((pairs.into_iter().filter_map(with_id).collect(), next))
    }

    /// One page of `HSCAN`.
    pub(super) async fn scan(
        &self,
        shard: u16,
        key: Key,
        cursor: Option<String>,
    ) -> Result<(Vec<(String, Vec<u8>)>, Option<String>)> {
        let cursor = cursor.unwrap_or_else(|| "0".to_owned());
        let args = vec![self.key(shard, key).into(), cursor.into(), "COUNT".into(), (PAGE as i64).into()];
        let mut reply = Reply::list(self.inner.client.command("HSCAN", args).await?)?;
        let next = Some(reply.text()?).filter(|cursor| cursor != "0");
        Ok((pairs(reply.next()?)?, next))
    }

    /// What is left of entries that were removed, by id.
    pub async fn removed(&self, shard: u16, ids: &[EntryId]) -> Result<Vec<Option<Removed>>> {
        let found = self.many("HMGET", shard, Key::Removed, ids).await?;
        let read = |value| Ok(maybe_bytes(value)?.and_then(|text| serde_json::from_slice(&text).ok()));
        found.into_iter().map(read).collect()
    }

    /// The definition of an entry as it was at a revision that is not the current one.
    pub async fn revision(&self, shard: u16, id: &EntryId, revision: u64) -> Result<Option<Definition>> {
        let args = vec![self.key(shard, Key::Revisions).into(), format!("{id}\0{revision}").into()];
        let text = maybe_bytes(self.inner.client.command("HGET", args).await?)?;
        text.map(|text| Definition::read(id, &text)).transpose()
    }

    /// The definitions of an entry as they were at the revisions up to `newest` that are kept, oldest first; those that can't
    /// be read are left out.
    pub async fn revisions_up_to(&self, shard: u16, id: &EntryId, newest: u64) -> Result<Vec<Definition>> {
        let fields = (newest.saturating_sub(REVISIONS_KEPT)..=newest).map(|number| format!("{id}\0{number}"));
        let mut args: Vec<Value> = vec![self.key(shard, Key::Revisions).into()];
        args.extend(fields.map(Value::from));
        let found = Reply::list(self.inner.client.command("HMGET", args).await?)?.rest();
        let mut definitions = Vec::new();
        for text in found {
            definitions.extend(maybe_bytes(text)?.and_then(|text| Definition::read(id, &text).ok()));
        }
        Ok(definitions)
    }

    /// The ledger of an entry, packed.
    pub async fn ledger(&self, shard: u16, id: &EntryId) -> Result<Vec<u8>> {
        let args = vec![self.key(shard, Key::Ledger).into(), id.as_str().into()];
        Ok(maybe_bytes(self.inner.client.command("HGET", args).await?)?.unwrap_or_default())
    }

    /// The ledgers of entries of one shard, packed.
    pub async fn ledgers(&self, shard: u16, ids: &[EntryId]) -> Result<Vec<Vec<u8>>> {
        let found = self.many("HMGET", shard, Key::Ledger, ids).await?;
        found.into_iter().map(|text| Ok(maybe_bytes(text)?.unwrap_or_default())).collect()
    }

    /// Nodes that any shard knows, each with the time of its last beat; one incarnation once.
    pub async fn nodes(&self) -> Result<Vec<(NodeInfo, Timestamp)>> {
        let mut nodes: Vec<(NodeInfo, Timestamp)> = Vec::new();
        for shard in self.shards() {
            let said = pairs(self.inner.client.command("HGETALL", vec![self.key(shard, Key::Nodes).into()]).await?)?;
            let range = vec![self.key(shard, Key::Seen).into(), 0.into(), (-1_i64).into(), "WITHSCORES".into()];
            let seen = pairs(self.inner.client.command("ZRANGE", range).await?)?;
            for (incarnation, text) in said {
                let Ok(info) = serde_json::from_slice::<NodeInfo>(&text) else { continue };
                let Some((_, at)) = seen.iter().find(|(name, _)| *name == incarnation) else { continue };
                let at = Timestamp(String::from_utf8_lossy(at).parse::<f64>().unwrap_or(0.0) as i64);
                match nodes.iter_mut().find(|(known, _)| known.incarnation == incarnation) {
                    Some((known, last)) if *last < at => (*known, *last) = (info, at),
                    Some(_) => {}
                    None => nodes.push((info, at)),
                }
            }
        }
        nodes.sort_by(|a, b| (&a.0.node, a.0.started_at).cmp(&(&b.0.node, b.0.started_at)));
        Ok(nodes)
    }

    /// What one incarnation says of itself.
    pub async fn node_name(&self, shard: u16, incarnation: &str) -> Result<Option<String>> {
        let args = vec![self.key(shard, Key::Nodes).into(), incarnation.into()];
        let text = maybe_bytes(self.inner.client.command("HGET", args).await?)?;
        Ok(text.and_then(|text| serde_json::from_slice::<NodeInfo>(&text).ok()).map(|info| info.node))
    }

    /// Waiting lists of a shard with the number of runs that wait in each.
    pub async fn waiting(&self, shard: u16) -> Result<Vec<(String, u64)>> {
        let registry = pairs(self.inner.client.command("HGETALL", vec![self.key(shard, Key::Queues).into()]).await?)?;
        let mut waiting = Vec::with_capacity(registry.len());
        for (list, dead) in registry {
            let length = number(self.inner.client.command("LLEN", vec![self.keys(shard).list(&list).into()]).await?)?;
            let dead = String::from_utf8_lossy(&dead).parse::<i64>().unwrap_or(0);
            waiting.push((list, (length - dead).max(0).cast_unsigned()));
        }
        waiting.sort();
        Ok(waiting)
    }

    /// Counters of the shard's clock, by name.
    pub async fn counters(&self, shard: u16) -> Result<Vec<(String, i64)>> {
        let found = pairs(self.inner.client.command("HGETALL", vec![self.key(shard, Key::Clock).into()]).await?)?;
        Ok(found
            .into_iter()
            .filter_map(|(name, value)| Some((name, String::from_utf8_lossy(&value).parse().ok()?)))
            .collect())
    }
}

fn score_of(value: Value) -> Result<i64> {
    Ok(text(value.clone()).ok().and_then(|text| text.parse::<f64>().ok()).map_or(number(value)?, |score| score as i64))
}
