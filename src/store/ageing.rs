//! Ageing: stretches, revisions, tombstones and old calendars go when the ledger's 35 days are over.
//!
//! A walk in small steps; each of them compares before it drops, so it may run at any time, on any node, twice.

use std::collections::{BTreeMap, BTreeSet};

use fred::types::Value;
use serde_json::Value as Json;

use crate::domain::audit::RETENTION_MS;
use crate::domain::calendar::StoredCalendar;
use crate::domain::id::EntryId;
use crate::domain::ledger;
use crate::domain::letter::Letter;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::store::Store;
use crate::store::keys::Key;
use crate::store::reply::{number, text};

/// Revisions of one entry that may be kept, at most, as `lua/parts/change.lua` keeps them.
const REVISIONS: u64 = 200;
/// Revisions in one step.
const STEP: usize = 20;
/// The shard that keeps the calendars of a namespace.
const CALENDAR_SHARD: u16 = 0;

/// What ageing a shard dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Aged {
    /// Ledgers that are shorter now.
    pub ledgers: u64,
    /// Revisions.
    pub revisions: u64,
    /// Ids that had been removed, with all that was left of them.
    pub ids: u64,
    /// Old revisions of calendars.
    pub calendars: u64,
}

/// A revision that may go: its entry and its number.
type Revision = (String, u64);

impl Store {
    /// Drops the records of a shard that are older than the ledger reaches. Looks at all of them, a page at a time.
    pub async fn age(&self, shard: u16) -> Result<Aged> {
        let horizon = Timestamp(self.now(shard).await?.0 - RETENTION_MS);
        let held = self.held_revisions(shard).await?;
        let mut aged = Aged {
            ids: self.age_removed(shard, horizon, &held).await?,
            ledgers: self.age_ledgers(shard, horizon).await?,
            ..Aged::default()
        };
        aged.revisions = self.age_revisions(shard, horizon, &held).await?;
        if shard == CALENDAR_SHARD {
            aged.calendars = self.age_calendars(horizon).await?;
        }
        text(self.eval(&self.scripts().aged, &[self.key(shard, Key::Clock)], Vec::new()).await?)?;
        Ok(aged)
    }

    /// Revisions that runs name which have not ended for good.
    async fn held_revisions(&self, shard: u16) -> Result<BTreeSet<Revision>> {
        let mut held = self.letter_revisions(shard).await?;
        let mut cursor = None;
        loop {
            let (runs, next) = self.live_runs(shard, cursor).await?;
            held.extend(runs.into_iter().map(|run| (run.entry_id, run.revision)));
            cursor = next;
            if cursor.is_none() {
                return Ok(held);
            }
        }
    }

    /// Revisions that dead letters name.
    async fn letter_revisions(&self, shard: u16) -> Result<BTreeSet<Revision>> {
        let mut named = BTreeSet::new();
        let mut cursor = None;
        loop {
            let (page, next) = self.scan(shard, Key::Letters, cursor).await?;
            let letters = page.iter().filter_map(|(run_id, packed)| Letter::read(self.namespace(), run_id, packed));
            named.extend(letters.map(|letter| (letter.live.entry_id, letter.live.revision)));
            cursor = next;
            if cursor.is_none() {
                return Ok(named);
            }
        }
    }

    async fn age_ledgers(&self, shard: u16, horizon: Timestamp) -> Result<u64> {
        let mut count = 0;
        let mut cursor = None;
        loop {
            let (page, next) = self.scan(shard, Key::Ledger, cursor).await?;
            let old: Vec<(EntryId, Vec<u8>)> = page
                .into_iter()
                .filter(|(_, text)| ledger::age(text, horizon, Timestamp(0)).is_some())
                .filter_map(|(id, text)| Some((EntryId::parse("entry", &id).ok()?, text)))
                .collect();
            let ids: Vec<EntryId> = old.iter().map(|(id, _)| id.clone()).collect();
            let stored = self.entries(&ids).await?;
            for ((id, text), stored) in old.iter().zip(stored) {
                // Without an entry nobody counts what is left of its limit.
                let added = stored.and_then(|stored| Some(stored.definition.ok()?.counts_since())).unwrap_or_default();
                if let Some((old, new)) = ledger::age(text, horizon, added) {
                    count += u64::from(self.compact_ledger(shard, id.as_str(), &old, &new).await?);
                }
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(count);
            }
        }
    }

    async fn age_revisions(&self, shard: u16, horizon: Timestamp, held: &BTreeSet<Revision>) -> Result<u64> {
        let mut count = 0;
        let mut cursor = None;
        loop {
            let (page, next) = self.scan(shard, Key::Revisions, cursor).await?;
            let named = |(field, text): &(String, Vec<u8>)| {
                // One that was written after the horizon was not replaced before it.
                let (id, revision) = field.split_once('\0')?;
                let is_old = instant(text).is_some_and(|at| at < horizon);
                is_old.then_some((id.to_owned(), revision.parse().ok()?))
            };
            let old: Vec<Revision> = page.iter().filter_map(named).filter(|one| !held.contains(one)).collect();
            let mut gone = Vec::new();
            for (one, next_at) in old.iter().zip(self.replaced_at(shard, &old).await?) {
                if next_at.is_some_and(|at| at < horizon) {
                    gone.push(one);
                }
            }
            for step in gone.chunks(STEP) {
                let keys = self.keys(shard).all(&[Key::Clock, Key::Revisions, Key::Ledger]);
                let args = step.iter().flat_map(|(id, number)| [Value::from(id.as_str()), number.to_string().into()]);
                let dropped = number(self.eval(&self.scripts().forget_revisions, &keys, args.collect()).await?)?;
                count += dropped.max(0).cast_unsigned();
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(count);
            }
        }
    }

    /// When the next revision of each was written: it is kept beside it, or it is the one that stands.
    async fn replaced_at(&self, shard: u16, revisions: &[Revision]) -> Result<Vec<Option<Timestamp>>> {
        let mut found = Vec::with_capacity(revisions.len());
        let fields = revisions.iter().map(|(id, revision)| format!("{id}\0{}", revision + 1)).collect();
        let kept = self.fields(shard, Key::Revisions, fields).await?;
        let ids: Vec<String> = revisions.iter().map(|(id, _)| id.clone()).collect();
        let stands = self.fields(shard, Key::Entries, ids).await?;
        for ((kept, stands), (_, revision)) in kept.into_iter().zip(stands).zip(revisions) {
            let is_next = |text: &Vec<u8>| json(text, "revision") == Some(*revision as i64 + 1);
            found.push(kept.or(stands.filter(is_next)).and_then(|text| instant(&text)));
        }
        Ok(found)
    }

    async fn age_removed(&self, shard: u16, horizon: Timestamp, held: &BTreeSet<Revision>) -> Result<u64> {
        let mut count = 0;
        let mut cursor = None;
        loop {
            let (page, next) = self.scan(shard, Key::Removed, cursor).await?;
            for (id, seen) in page {
                let is_held = held.range((id.clone(), 0)..=(id.clone(), u64::MAX)).next().is_some();
                if is_held || instant(&seen).is_none_or(|at| at >= horizon) {
                    continue;
                }
                let last = json(&seen, "revision").unwrap_or(0).max(0).cast_unsigned();
                let keys = self.keys(shard).all(&[
                    Key::Clock,
                    Key::Entries,
                    Key::Removed,
                    Key::Ledger,
                    Key::Revisions,
                    Key::Results,
                ]);
                let mut args: Vec<Value> = vec![id.as_str().into(), Value::Bytes(seen.into())];
                args.extend((last.saturating_sub(REVISIONS + 1)..=last).map(|number| Value::from(number.to_string())));
                let done = text(self.eval(&self.scripts().forget_removed, &keys, args).await?)?;
                count += u64::from(done == "dropped");
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(count);
            }
        }
    }

    /// Old revisions of calendars which none of the entries that stand names, and which had been replaced for twice the time
    /// that the ledger reaches: revisions that held within it may name them.
    async fn age_calendars(&self, horizon: Timestamp) -> Result<u64> {
        let (shard, key) = (CALENDAR_SHARD, Key::CalendarRevisions);
        let horizon = Timestamp(horizon.0 - RETENTION_MS);
        let mut written: BTreeMap<(String, u64), Timestamp> = BTreeMap::new();
        let mut cursor = None;
        loop {
            let (page, next) = self.scan(shard, key, cursor).await?;
            for (field, text) in &page {
                let Some((name, revision)) = field.split_once('\0') else { continue };
                if let (Ok(revision), Some(at)) = (revision.parse(), instant(text)) {
                    written.insert((name.to_owned(), revision), at);
                }
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        for (name, StoredCalendar { revision, at, .. }) in self.all_calendars().await?.0 {
            written.insert((name.to_string(), revision), at);
        }
        let is_old = |(name, revision): &(String, u64)| {
            written.get(&(name.clone(), revision + 1)).is_some_and(|at| *at < horizon)
        };
        let old: BTreeSet<(String, u64)> = written.keys().filter(|one| is_old(one)).cloned().collect();
        let gone: Vec<String> = match old.is_empty() {
            true => Vec::new(),
            false => {
                let named = self.named_calendars().await?;
                old.difference(&named).map(|(name, revision)| format!("{name}\0{revision}")).collect()
            }
        };
        for page in gone.chunks(STEP) {
            let mut args: Vec<Value> = vec![self.key(shard, key).into()];
            args.extend(page.iter().map(|field| Value::from(field.as_str())));
            // What is not current is never written again.
            self.inner.client.command("HDEL", args).await?;
        }
        Ok(gone.len() as u64)
    }

    /// The revisions of calendars that the entries of all shards were planned by.
    async fn named_calendars(&self) -> Result<BTreeSet<(String, u64)>> {
        let mut named = BTreeSet::new();
        for shard in self.shards() {
            let mut cursor = None;
            loop {
                let (page, next) = self.scan(shard, Key::Entries, cursor).await?;
                for (_, text) in page {
                    let Ok(definition) = serde_json::from_slice::<Json>(&text) else { continue };
                    let calendars = definition["calendars"].as_object().into_iter().flatten();
                    named.extend(calendars.filter_map(|(name, revision)| Some((name.clone(), revision.as_u64()?))));
                }
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(named)
    }
}

/// A number of a definition, a removal or a calendar, as it is written.
fn json(text: &[u8], field: &str) -> Option<i64> {
    let text = serde_json::from_slice::<Json>(text).ok()?;
    // Definitions of version 2 have it in their list.
    let place = if field == "revision" { 2 } else { 3 };
    text.get(field).or_else(|| text["v"].get(place))?.as_i64()
}

/// When it was written.
fn instant(text: &[u8]) -> Option<Timestamp> {
    json(text, "at").map(Timestamp)
}
