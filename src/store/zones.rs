//! Plans and zone data: nodes with the greatest release that is live make the plans, and what was planned with an older one is
//! planned anew.

use crate::domain::entry::Entry;
use crate::domain::id::EntryId;
use crate::domain::ledger;
use crate::domain::plan::{LIST_TIMES, Registered, fires_alike};
use crate::domain::schedule::Schedule;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::store::change::{Replan, ReplanAnswer};
use crate::store::keys::Key;
use crate::store::planning::Planned;
use crate::store::reply::{maybe_bytes, text};
use crate::store::{Place, Store, StoredEntry};

/// From the moment that a definition names to the step that writes it, and owes nothing before it.
const WRITTEN_WITHIN_MS: i64 = 5_000;
/// How often an entry that changes meanwhile is looked at again.
const TRIES: usize = 5;

/// What planning all entries of a shard anew came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Walked {
    /// Entries looked at.
    pub entries: usize,
    /// Those of which other fire times came out.
    pub planned: usize,
    /// Those that changed each time they were looked at.
    pub left: usize,
}

impl Store {
    /// The release of the zone data that this store plans with.
    pub fn zone_data(&self) -> &str {
        &self.zone_data
    }

    /// The same namespace, as a program with another release of the zone data says of itself.
    #[must_use]
    pub fn with_zone_data(mut self, release: &str) -> Self {
        self.zone_data = release.into();
        self
    }

    /// The greatest release that nodes of a shard plan with, as last noted.
    pub async fn newest_zone_data(&self, shard: u16) -> Result<Option<String>> {
        let args = vec![self.key(shard, Key::Clock).into(), "zone".into()];
        let kept = maybe_bytes(self.inner.client.command("HGET", args).await?)?;
        Ok(kept.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Plans one entry anew that was planned with older zone data, whether other fire times come out or not.
    pub async fn plan_anew(&self, id: &EntryId, now: Timestamp) -> Result<Planned> {
        let shard = self.shard_of(id);
        for _ in 0..TRIES {
            let stored = self.entry(id).await?;
            let place = stored.as_ref().and_then(|stored| stored.place);
            let Some(stored) = stored.filter(|_| matches!(place, Some(Place::Due | Place::Paused))) else {
                // Whatever stands elsewhere is planned for its place, or never again.
                let planned = self.plan(id, now).await?;
                self.forget_stale(shard, id).await?;
                return Ok(planned);
            };
            let ledger = self.ledger(shard, id).await?;
            match self.renew_plan(shard, &stored, &ledger, now, true).await? {
                Some(Planned::Unreadable(why)) => {
                    self.forget_stale(shard, id).await?;
                    return Ok(Planned::Unreadable(why));
                }
                Some(planned) => return Ok(planned),
                None => {}
            }
        }
        Ok(Planned::Unchanged)
    }

    /// Looks at all entries of a shard and plans those anew whose zone has other rules now. May run at any time, anywhere, twice.
    pub async fn walk_zones(&self, shard: u16, now: impl Fn() -> Timestamp) -> Result<Walked> {
        let mut walked = Walked::default();
        let mut cursor = None;
        loop {
            let (ids, next) = self.entry_ids(shard, cursor).await?;
            if ids.is_empty() && next.is_none() {
                break;
            }
            let ledgers = self.many("HMGET", shard, Key::Ledger, &ids);
            let (entries, ledgers) = tokio::try_join!(self.entries(&ids), ledgers)?;
            for (stored, ledger) in entries.into_iter().zip(ledgers) {
                let Some(stored) = stored else { continue };
                walked.entries += 1;
                let ledger = maybe_bytes(ledger)?.unwrap_or_default();
                match self.renew_plan(shard, &stored, &ledger, now(), false).await? {
                    Some(Planned::Written) => walked.planned += 1,
                    Some(_) => {}
                    None => match self.plan_anew(&stored.id, now()).await? {
                        Planned::Written => walked.planned += 1,
                        _ => walked.left += 1,
                    },
                }
            }
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        if walked.left == 0 {
            let keys = [self.key(shard, Key::Clock)];
            text(self.eval(&self.scripts().zones_done, &keys, vec![self.zone_data().into()]).await?)?;
        }
        Ok(walked)
    }

    /// `None` where somebody else changed the entry meanwhile. Without `is_forced` nothing is written where the fire times stay.
    async fn renew_plan(
        &self,
        shard: u16,
        stored: &StoredEntry,
        ledger: &[u8],
        now: Timestamp,
        is_forced: bool,
    ) -> Result<Option<Planned>> {
        // What stands elsewhere is planned afresh by whoever is handed it.
        let Some(place @ (Place::Due | Place::Paused)) = stored.place else { return Ok(Some(Planned::Unchanged)) };
        let Ok(definition) = &stored.definition else { return Ok(Some(Planned::Unchanged)) };
        let entry = match self.plannable(&stored.id, definition, stored.cursor()).await? {
            Ok(entry) => entry,
            Err(why) => return Ok(Some(Planned::Unreadable(why))),
        };
        if !is_forced && entry.schedule.zone.has_constant_offset() {
            return Ok(Some(Planned::Unchanged));
        }
        let cursor = stored.cursor();
        let most = self.fires_left(&stored.id, &entry).await?;
        let passed = (place == Place::Paused)
            .then(|| super::planning::passed(&entry.schedule, stored, cursor, definition.paused_till(now), most));
        let settled = passed.map_or_else(|| settled(stored, ledger, definition.at), |passed| passed.cursor);
        let is_in_place = place != Place::Due || stands_at_fire_time(&entry.schedule, stored, settled);
        let compile = |from: Timestamp| self.registered(&stored.id, definition, &entry).compile(from, LIST_TIMES);
        let mut compiled = compile(settled);
        let mut anew = settled;
        if is_in_place && fires_alike(&stored.plan, &compiled.plan, settled) {
            if !is_forced {
                return Ok(Some(Planned::Unchanged));
            }
            // What was due before the cursor and is not owed must not come back.
            anew = passed.map_or(cursor, |passed| passed.cursor);
            compiled = compile(anew);
        }
        let replan = Replan {
            id: &stored.id,
            birth: definition.birth,
            revision: definition.revision,
            place,
            cursor,
            seen_plan: &stored.plan,
            compiled: &compiled,
            passed,
            anew: Some(anew),
        };
        Ok(match self.replan(shard, &replan).await? {
            ReplanAnswer::Written => Some(Planned::Written),
            ReplanAnswer::Forgotten => Some(Planned::Unchanged),
            ReplanAnswer::Changed => None,
        })
    }

    pub(super) fn registered<'a>(
        &'a self,
        id: &'a EntryId,
        definition: &crate::domain::definition::Definition,
        entry: &'a Entry,
    ) -> Registered<'a> {
        let (birth, revision) = (definition.birth, definition.revision);
        Registered { namespace: self.namespace(), id, birth, revision, entry }
    }

    async fn forget_stale(&self, shard: u16, id: &EntryId) -> Result<()> {
        let args = vec![self.key(shard, Key::Stale).into(), id.as_str().into()];
        self.inner.client.command("ZREM", args).await.map(drop)
    }
}

/// Whether the cursor of an entry in `due` is its first fire time from `settled` on, by the zone data of this process.
pub(super) fn stands_at_fire_time(schedule: &Schedule, stored: &StoredEntry, settled: Timestamp) -> bool {
    let has_ended = stored.next_fire_at().is_none();
    has_ended || schedule.next_after(Timestamp(settled.0 - 1)) == Some(stored.cursor())
}

/// All before it is settled: the fire time after it may come earlier by new rules than by those it was planned with.
pub(super) fn settled(stored: &StoredEntry, ledger: &[u8], changed: Timestamp) -> Timestamp {
    let end = ledger::read(ledger).and_then(|stretches| ledger::end(&stretches));
    let changed = Timestamp(changed.0 + WRITTEN_WITHIN_MS);
    let settled = end.map_or(changed, |end| Timestamp(end.0 + 1).max(changed));
    // An entry may owe fire times from before its last change.
    settled.min(stored.cursor())
}
