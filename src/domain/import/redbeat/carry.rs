//! What becomes of each key of a RedBeat: an entry here, or a line that says why not.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Field, Held, Picture, Place, Stored, json, printable};
use crate::domain::entry::Entry;
use crate::domain::file::FileEntry;
use crate::domain::id::EntryId;
use crate::domain::import::celery::{BeatDefaults, BeatEntry, Binding, ExchangeKind, Instant, carry_over};
use crate::domain::import::{Ids, Import};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};

/// All that a RedBeat becomes.
#[derive(Debug, Clone, Default)]
pub struct Carried {
    /// The file, what could not be carried over, what needs a look.
    pub import: Import,
    /// Every key that RedBeat itself can read, in their order.
    pub entries: Vec<Carry>,
}

/// An entry of RedBeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Carry {
    /// Its key.
    pub key: String,
    /// Its definition as it stands there.
    pub definition: String,
    /// The same, read.
    pub beat: BeatEntry,
    /// Whether RedBeat fires it, ever again.
    pub is_live: bool,
    /// Its id here; `None` where it can't be carried over.
    pub id: Option<EntryId>,
}

impl Carried {
    /// Names of what RedBeat fires and nobody would after a take-over.
    pub fn lost(&self) -> Vec<&str> {
        let lost = self.entries.iter().filter(|one| one.is_live && one.id.is_none());
        lost.map(|one| one.beat.name.as_str()).collect()
    }

    /// The entry of the file that stands for `id`.
    pub fn file_entry(&self, id: &EntryId) -> Option<&FileEntry> {
        self.import.file.entries.iter().find(|entry| entry.id == *id)
    }
}

/// Reads all that was found. Whatever stands there, it becomes an entry or a line.
pub fn carried(picture: &Picture, place: &Place, defaults: &BeatDefaults) -> Carried {
    let mut carried = Carried::default();
    let mut ids = Ids::default();
    for (key, kind) in &picture.odd {
        let why = Error::invalid("redbeat", format!("is a {kind}, which RedBeat does not write there"));
        carried.import.refuse(printable(key.as_bytes()), kind.as_str(), &why);
    }
    for stored in &picture.stored {
        match read(stored, place) {
            Ok(Some((key, definition, beat))) => {
                let before = carried.import.refused.len();
                let id = carry_over(&beat, defaults, &mut ids, &mut carried.import);
                if let Some(refused) = carried.import.refused.get_mut(before) {
                    refused.place.clone_from(&printable(&stored.key));
                }
                let is_live = beat.is_enabled && stored.score.is_some_and(|score| score >= 0.0);
                carried.entries.push(Carry { key, definition, beat, is_live, id });
            }
            Ok(None) => {}
            Err(why) => {
                let text = why.problem().value.clone().unwrap_or_default();
                carried.import.refuse(printable(&stored.key), text, &why);
            }
        }
    }
    notes(picture, place, &mut carried);
    carried
}

/// The entry that stands under a key; nothing where it is none of RedBeat's.
fn read(stored: &Stored, place: &Place) -> Result<Option<(String, String, BeatEntry)>> {
    let is_named = stored.score.is_some();
    let (definition, meta) = match &stored.held {
        Held::Entry { definition: Field::Missing, .. } if !is_named => return Ok(None),
        Held::Nothing if !is_named => return Ok(None),
        Held::Entry { definition, meta } => (definition, meta),
        Held::Nothing => {
            let why = "the schedule names it, and there is no such key: RedBeat takes it off when it is due";
            return Err(Error::invalid("definition", why));
        }
        Held::Other(kind) => {
            let why = format!("is a {kind}, entries are hashes: a beat stops with an error when it is due");
            return Err(Error::invalid("definition", why));
        }
    };
    let definition = text("definition", definition)?;
    let Some(definition) = definition else {
        return Err(Error::invalid("definition", "is missing in the hash: RedBeat takes it off when it is due"));
    };
    let Ok(key) = String::from_utf8(stored.key.clone()) else {
        return Err(Error::invalid("definition", "its key is not UTF-8: a beat stops with an error when it is due"));
    };
    // To RedBeat, too, an empty one is none.
    let meta = text("meta", meta)?.filter(|meta| !meta.is_empty());
    let meta = meta.map(|meta| json("meta", meta)).transpose()?;
    let beat = BeatEntry::read(&json("definition", definition)?, meta.as_ref())?;
    if !is_named {
        let why = format!("{} does not name it: RedBeat never fires it", place.schedule());
        return Err(Error::invalid("definition", why).hint("where it should fire, save it again in the app"));
    }
    if stored.score.is_some_and(f64::is_nan) {
        return Err(Error::invalid("score", "is no number: RedBeat never fires it"));
    }
    if beat.name.as_bytes() != place.name(&stored.key) {
        let why = format!(
            "its definition is that of {}: RedBeat writes down there when it fired, so that this key is always due",
            printable(beat.name.as_bytes())
        );
        return Err(Error::invalid("definition.name", why).hint("delete the key, or give it its own name in the app"));
    }
    let definition = String::from_utf8_lossy(definition).into_owned();
    Ok(Some((key, definition, beat)))
}

fn text<'s>(name: &str, field: &'s Field) -> Result<Option<&'s [u8]>> {
    match field {
        Field::Missing => Ok(None),
        Field::Text(text) => Ok(Some(text)),
        Field::TooLong(bytes) => {
            let why = format!("has {bytes} bytes, too many to be an entry; it was not read");
            Err(Error::invalid(name, why).hint("give the task a reference to its data instead"))
        }
    }
}

/// What is worth knowing of the whole.
fn notes(picture: &Picture, place: &Place, carried: &mut Carried) {
    let statics = carried.entries.iter().filter(|one| picture.statics.contains(one.beat.name.as_bytes())).count();
    if statics > 0 {
        let what = if statics == 1 { "1 entry stands" } else { &format!("{statics} entries stand") };
        carried.import.note(format!(
            "{what} in the app's own beat_schedule: each start of a beat writes it again, so take it out of the code in the end"
        ));
    }
    if !picture.is_all {
        let looked_at = picture.looked_at;
        carried.import.note(format!(
            "only {looked_at} keys were looked through for entries that {} does not name; RedBeat never fires such",
            place.schedule()
        ));
    }
}

/// An entry that goes on exactly where RedBeat left off, and from when it owes its fire times.
#[derive(Debug, Clone, PartialEq)]
pub struct GoesOn {
    /// Where it is new here.
    pub entry: Entry,
    /// What came since is owed.
    pub from: Timestamp,
}

/// What came due since its last run is owed, and follows the catch-up rule `latest`; of what is overdue for longer than this,
/// ms, the newest alone: RedBeat fires it once, too, however often it was due.
const OWED_MS: i64 = 86_400_000;
/// Newest fire times are looked for this far back, one window after the other, ms.
const WINDOWS_MS: [i64; 5] = [60_000, 3_600_000, 86_400_000, 32 * 86_400_000, 365 * 86_400_000];

/// Where `entry` goes on that fired last at `last`, and was taken over at `at`.
///
/// # Errors
///
/// Invalid, where the entry can't be read again with its anchor.
pub fn goes_on(entry: &Entry, last: Option<Instant>, at: Timestamp) -> Result<GoesOn> {
    let Some(last) = last.map(Instant::timestamp) else {
        // Never run: RedBeat fires an interval at once.
        let is_counted = entry.fields().contains_key("every") && !entry.fields().contains_key("start");
        let entry = if is_counted { anchored(entry, at)? } else { entry.clone() };
        return Ok(GoesOn { entry, from: at });
    };
    let next = Timestamp(last.0 + 1);
    if at.0 - last.0 > OWED_MS {
        for window in WINDOWS_MS {
            let since = Timestamp((at.0 - window).max(last.0));
            if let Some(newest) = entry.schedule.times_after(since).take_while(|time| *time <= at).last() {
                return Ok(GoesOn { entry: entry.clone(), from: newest });
            }
        }
        return Ok(GoesOn { entry: entry.clone(), from: at });
    }
    // Where the beat's clock was ahead of the server's, this is still to come.
    Ok(GoesOn { entry: entry.clone(), from: next })
}

fn anchored(entry: &Entry, at: Timestamp) -> Result<Entry> {
    let mut fields = entry.fields().clone();
    fields.insert("anchor".to_owned(), Value::from(at.to_rfc3339()));
    entry.with_fields(fields)
}

/// The exchanges that entries name: their bindings say into which queues messages go.
pub fn exchanges(picture: &Picture) -> BTreeSet<String> {
    let definitions = picture.stored.iter().filter_map(|stored| match &stored.held {
        Held::Entry { definition: Field::Text(text), .. } => json("definition", text).ok(),
        _ => None,
    });
    let named = definitions.filter_map(|definition| {
        let exchange = definition.get("options")?.get("exchange")?.as_str()?;
        (!exchange.is_empty()).then(|| exchange.to_owned())
    });
    named.take(EXCHANGES_MAX).collect()
}

/// Bindings of an exchange as kombu keeps them in its set.
pub fn bindings(exchange: &str, members: &[String]) -> Vec<Binding> {
    let binding = |member: &String| {
        let mut parts = member.split("\u{6}\u{16}");
        let (routing_key, pattern, queue) = (parts.next()?, parts.next()?, parts.next()?);
        // Only topics have one.
        let kind = if pattern.is_empty() { ExchangeKind::Direct } else { ExchangeKind::Topic };
        let (exchange, routing_key, queue) = (exchange.to_owned(), routing_key.to_owned(), queue.to_owned());
        Some(Binding { exchange, kind, routing_key, queue })
    };
    members.iter().filter_map(binding).collect()
}

/// Exchanges whose bindings are looked up, at most.
const EXCHANGES_MAX: usize = 1_000;
