//! What an audit reads: entries, their revisions and ledgers, a page at a time.

use std::collections::BTreeSet;

use fred::types::Value;

use crate::domain::calendar::StoredCalendar;
use crate::domain::id::{CalendarName, EntryId};
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::store::Store;
use crate::store::calendars;
use crate::store::keys::Key;
use crate::store::read::{PAGE, Place, sixes};
use crate::store::reply::{Reply, bytes, maybe_bytes};

/// Entries in one snapshot, at most; a ledger has up to 6 KB.
pub const SNAPSHOT_ENTRIES: usize = 100;
/// The shard that keeps the calendars of a namespace.
const CALENDAR_SHARD: u16 = 0;

const SNAPSHOT_KEYS: &[Key] = &[
    Key::Clock,
    Key::Entries,
    Key::Removed,
    Key::Cursors,
    Key::Ledger,
    Key::Fires,
    Key::Due,
    Key::Parked,
    Key::Paused,
    Key::Broken,
    Key::Finished,
];

/// An id as it stands at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its definition, JSON; empty where there is no entry.
    pub definition: Vec<u8>,
    /// Its last removal, JSON; empty where it never was.
    pub removed: Vec<u8>,
    /// All before it is settled, where it is kept apart from the score.
    pub cursor: Option<Timestamp>,
    /// Fire times of its back-log.
    pub back_log: Vec<Timestamp>,
    /// Its ledger, packed.
    pub ledger: Vec<u8>,
    /// Fire times since it was added, where they are counted.
    pub fires: Option<u64>,
    /// Where it stands; `None` where it stands nowhere.
    pub place: Option<Place>,
    /// Score there, ms.
    pub score: Timestamp,
    /// The shard's time.
    pub now: Timestamp,
}

/// A revision of a calendar.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptCalendar {
    /// Its name.
    pub name: CalendarName,
    /// As it stood; `None` where it is not kept.
    pub calendar: Option<StoredCalendar>,
}

impl Store {
    /// Ids of a shard that have or had an entry or a ledger, sorted.
    pub async fn known_ids(&self, shard: u16) -> Result<BTreeSet<EntryId>> {
        let mut known = BTreeSet::new();
        for key in [Key::Entries, Key::Removed, Key::Ledger] {
            let mut cursor = None;
            loop {
                let (page, next) = self.scan(shard, key, cursor).await?;
                known.extend(page.iter().filter_map(|(id, _)| EntryId::parse("entry", id).ok()));
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(known)
    }

    /// Up to [`SNAPSHOT_ENTRIES`] ids of one shard, all at one moment.
    pub async fn snapshot(&self, shard: u16, ids: &[EntryId]) -> Result<Vec<Snapshot>> {
        let keys = self.keys(shard).all(SNAPSHOT_KEYS);
        let args = ids.iter().map(|id| id.as_str().into()).collect();
        let mut reply = Reply::list(self.look(&self.scripts().snapshot, &keys, args).await?)?;
        let now = Timestamp(reply.number()?);
        reply.rest().into_iter().map(|one| read(one, now)).collect()
    }

    /// Old revisions of entries of one shard as they are written; `None` for those that are not kept.
    pub async fn revisions(&self, shard: u16, wanted: &[(EntryId, u64)]) -> Result<Vec<Option<Vec<u8>>>> {
        let fields = wanted.iter().map(|(id, revision)| format!("{id}\0{revision}")).collect();
        self.fields(shard, Key::Revisions, fields).await
    }

    /// Revisions of calendars, the current ones included.
    pub async fn calendar_revisions(&self, wanted: &[(CalendarName, u64)]) -> Result<Vec<KeptCalendar>> {
        let fields = wanted.iter().map(|(name, revision)| format!("{name}\0{revision}")).collect();
        let texts = self.fields(CALENDAR_SHARD, Key::CalendarRevisions, fields).await?;
        let current = self.all_calendars().await?;
        let mut kept = Vec::with_capacity(wanted.len());
        for ((name, revision), text) in wanted.iter().zip(texts) {
            let stands = current.0.get(name).filter(|stored| stored.revision == *revision).cloned();
            let old = text.map(|text| calendars::read(name, &text)).transpose()?;
            kept.push(KeptCalendar { name: name.clone(), calendar: stands.or(old) });
        }
        Ok(kept)
    }

    pub(super) async fn fields(&self, shard: u16, key: Key, fields: Vec<String>) -> Result<Vec<Option<Vec<u8>>>> {
        let mut found = Vec::with_capacity(fields.len());
        for page in fields.chunks(PAGE) {
            let mut args: Vec<Value> = vec![self.key(shard, key).into()];
            args.extend(page.iter().map(|field| Value::from(field.as_str())));
            for text in Reply::list(self.inner.client.command("HMGET", args).await?)?.rest() {
                found.push(maybe_bytes(text)?);
            }
        }
        Ok(found)
    }
}

fn read(value: Value, now: Timestamp) -> Result<Snapshot> {
    let mut reply = Reply::list(value)?;
    let (definition, removed) = (bytes(reply.next()?)?, bytes(reply.next()?)?);
    let numbers = sixes(&bytes(reply.next()?)?);
    let instant = |number: &u64| Timestamp(number.cast_signed());
    let ledger = bytes(reply.next()?)?;
    let fires = reply.text()?.parse().ok();
    let place = Place::from_word(&reply.text()?);
    let score = reply.text()?.parse::<f64>().unwrap_or(0.0) as i64;
    let back_log = if place == Some(Place::Paused) { &[][..] } else { numbers.get(2..).unwrap_or_default() };
    Ok(Snapshot {
        definition,
        removed,
        cursor: numbers.first().map(instant),
        back_log: back_log.iter().map(instant).collect(),
        ledger,
        fires,
        place,
        score: Timestamp(score),
        now,
    })
}
