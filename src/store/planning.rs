//! Planning: an entry whose plan runs dry, is missing or damaged gets one that reaches further, from where it stands.
//!
//! Any node and any command may do it; the script refuses what was decided on an older picture.

use crate::domain::definition::Definition;
use crate::domain::entry::Entry;
use crate::domain::id::EntryId;
use crate::domain::ledger;
use crate::domain::plan::{LIST_TIMES, LIST_TIMES_MAX, end_of_list};
use crate::domain::schedule::Schedule;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::store::change::{Passed, Replan, ReplanAnswer};
use crate::store::keys::Key;
use crate::store::reply::maybe_bytes;
use crate::store::{Place, Store, StoredEntry, zones};

/// What planning an entry came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Planned {
    /// It has a plan that reaches further.
    Written,
    /// Nothing had to be done: it is gone, finished, or somebody else was there.
    Unchanged,
    /// Its definition can't be read: it stays where it is, for this reason.
    Unreadable(Error),
}

impl Store {
    /// Plans one entry afresh from its cursor. `now` is the shard's time as last heard; it decides only how far to look.
    pub async fn plan(&self, id: &EntryId, now: Timestamp) -> Result<Planned> {
        self.plan_from(id, now, None).await
    }

    /// As [`Store::plan`]; what passes of a pause is counted only before `from`.
    pub async fn plan_from(&self, id: &EntryId, now: Timestamp, from: Option<Timestamp>) -> Result<Planned> {
        let shard = self.shard_of(id);
        let Some(stored) = self.entry(id).await? else {
            self.place_one(shard, id).await?;
            return Ok(Planned::Unchanged);
        };
        let definition = match &stored.definition {
            Ok(definition) => definition,
            Err(why) => return Ok(Planned::Unreadable(why.clone())),
        };
        let Some(place) = stored.place else {
            self.place_one(shard, id).await?;
            return Ok(Planned::Unchanged);
        };
        let cursor = match place {
            Place::Finished => return Ok(Planned::Unchanged),
            Place::Broken => self.cursor_from_ledger(shard, &stored, definition.at).await?,
            // Its score is no fire time, so its cursor has vanished.
            Place::Parked | Place::Paused if stored.cursor.is_none() => {
                self.cursor_from_ledger(shard, &stored, definition.at).await?
            }
            _ => stored.cursor(),
        };
        let entry = match self.plannable(id, definition, cursor).await? {
            Ok(entry) => entry,
            Err(why) => return Ok(Planned::Unreadable(why)),
        };
        // Planned with other rules of its zone: where it stands is no fire time, and an earlier one may be owed.
        let anew = match place == Place::Due && !zones::stands_at_fire_time(&entry.schedule, &stored, cursor) {
            true => Some(zones::settled(&stored, &self.ledger(shard, id).await?, definition.at)),
            false => None,
        };
        let till = from.map_or(now, |from| Timestamp(now.0.min(from.0 - 1)));
        let most = self.fires_left(id, &entry).await?;
        let passed = (place == Place::Paused)
            .then(|| passed(&entry.schedule, &stored, cursor, definition.paused_till(till), most));
        let from = passed.map_or(anew.unwrap_or(cursor), |passed| passed.cursor);
        // Far behind: as many times as a script may read at once. Else a few, or as many again where the last list was full.
        let times = if now.0 - from.0 > 60_000 { LIST_TIMES_MAX } else { LIST_TIMES * 2 };
        let compiled = self.registered(id, definition, &entry).compile(from, times);
        if place == Place::Due
            && anew.is_none()
            && end_of_list(&compiled.plan) == end_of_list(&stored.plan)
            && compiled.plan == stored.plan
        {
            return Ok(Planned::Unchanged);
        }
        let replan = Replan {
            id,
            birth: definition.birth,
            revision: definition.revision,
            place,
            cursor,
            seen_plan: &stored.plan,
            compiled: &compiled,
            passed,
            anew,
        };
        Ok(match self.replan(shard, &replan).await? {
            ReplanAnswer::Written => Planned::Written,
            ReplanAnswer::Changed | ReplanAnswer::Forgotten => Planned::Unchanged,
        })
    }

    /// The entry of a definition with the dates of its calendars, without which it would fire when it must not; inside, why
    /// nobody can plan it. What came before a calendar was changed goes by the dates that it had: the change puts the entry.
    pub(super) async fn plannable(
        &self,
        id: &EntryId,
        definition: &Definition,
        cursor: Timestamp,
    ) -> Result<Result<Entry>> {
        let entry = match definition.parse(id) {
            Ok(entry) => entry,
            Err(why) => return Ok(Err(why)),
        };
        match self.resolve_before(entry, definition, cursor).await {
            Err(why @ (Error::Invalid(_) | Error::Corrupt(_) | Error::Conflict(_))) => Ok(Err(why)),
            other => other.map(Ok),
        }
    }

    /// Where an entry goes on whose place does not say so: its cursor or the end of its ledger, whichever is later, else
    /// behind its last change (which settled all up to it); never now.
    async fn cursor_from_ledger(&self, shard: u16, stored: &StoredEntry, changed: Timestamp) -> Result<Timestamp> {
        let text = self.ledger(shard, &stored.id).await?;
        let end = ledger::read(&text).and_then(|stretches| ledger::end(&stretches)).map(|end| Timestamp(end.0 + 1));
        // A cursor may stand before the last change: a fire time that had come and was not due yet.
        let known = stored.cursor.unwrap_or(Timestamp(changed.0 + 1));
        Ok(end.map_or(known, |end| end.max(known)))
    }

    /// Fire times of an entry since it was created, as `lua/parts/limits.lua` counts them: as they are kept, else as the ledger
    /// says.
    pub async fn fires_of(&self, id: &EntryId) -> Result<u64> {
        let shard = self.shard_of(id);
        let args = vec![self.key(shard, Key::Fires).into(), id.as_str().into()];
        let kept = maybe_bytes(self.inner.client.command("HGET", args).await?)?;
        if let Some(count) = kept.and_then(|text| String::from_utf8_lossy(&text).parse().ok()) {
            return Ok(count);
        }
        let Some(StoredEntry { definition: Ok(definition), .. }) = self.entry(id).await? else { return Ok(0) };
        Ok(ledger::fires_since(&self.ledger(shard, id).await?, definition.counts_since()))
    }

    /// Fire times that `max_fires` leaves to an entry.
    pub(super) async fn fires_left(&self, id: &EntryId, entry: &Entry) -> Result<u64> {
        match entry.max_fires {
            Some(most) => Ok(u64::from(most).saturating_sub(self.fires_of(id).await?)),
            None => Ok(u64::MAX),
        }
    }

    /// Merges the oldest stretches of an entry's ledger where they are too many.
    pub async fn shorten_ledger(&self, id: &EntryId) -> Result<bool> {
        let shard = self.shard_of(id);
        let (text, stored) = tokio::try_join!(self.ledger(shard, id), self.entry(id))?;
        let added = stored.and_then(|stored| Some(stored.definition.ok()?.counts_since()));
        match ledger::compact(&text, added.unwrap_or_default()) {
            Some((old, new)) => self.compact_ledger(shard, id.as_str(), &old, &new).await,
            None => Ok(false),
        }
    }
}

/// Fire times that passed since the entry was paused, up to `till`, added to what was counted before, `most` in all; where that
/// goes beyond, counted anew.
pub(super) fn passed(
    schedule: &Schedule,
    stored: &StoredEntry,
    cursor: Timestamp,
    till: Timestamp,
    most: u64,
) -> Passed {
    let mut before = stored.passed.unwrap_or_default();
    let mut cursor = cursor;
    if before[2] > 0 && cursor.0 > till.0 + 1 {
        cursor = Timestamp(before[0].cast_signed());
        before = [0; 5];
    }
    let mut passed = Passed {
        cursor: Timestamp(cursor.0.max(till.0 + 1)),
        first: Timestamp(before[0].cast_signed()),
        last: Timestamp(before[1].cast_signed()),
        count: before[2],
        sum: before[3] << 26 | before[4],
    };
    let left = usize::try_from(most.saturating_sub(passed.count)).unwrap_or(usize::MAX);
    for time in schedule.times_after(Timestamp(cursor.0 - 1)).take_while(|time| time.0 <= till.0).take(left) {
        if passed.count == 0 {
            passed.first = time;
        }
        passed.last = time;
        passed.count += 1;
        passed.sum = (passed.sum + time.0.cast_unsigned()) % (1 << 52);
    }
    passed
}
