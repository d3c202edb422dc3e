//! One entry of many, as its text: about 300 bytes where an entry that is taken apart has ten times as many. Of a file that is not
//! long it is kept as it was read, too, so that it is not read twice.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::FileEntry;
use crate::domain::entry::Entry;
use crate::domain::id::EntryId;
use crate::domain::policy::DEFINITION_MAX_BYTES;
use crate::domain::schedule::{Counting, When};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};

/// An entry of a file that was checked, as its definition; cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct PackedEntry(Arc<Inner>);

#[derive(Debug, PartialEq)]
struct Inner {
    id: EntryId,
    text: Box<str>,
    /// As it was read, where there is room for that.
    read: Option<Entry>,
    is_paused: bool,
    counting: Counting,
    /// An anchor could make it invalid.
    is_doubtful: bool,
    names_calendars: bool,
    has_offset_changes: bool,
}

/// What an anchor adds to a definition, bytes at most.
const ANCHOR_BYTES: usize = 64;

impl PackedEntry {
    /// The entry, packed.
    pub fn of(one: FileEntry) -> Self {
        let FileEntry { id, entry, is_paused } = one;
        Self(Arc::new(Inner::of(id, &entry, is_paused)))
    }

    /// The entry, packed, and as it is beside that.
    pub fn with_entry(one: FileEntry) -> Self {
        let FileEntry { id, entry, is_paused } = one;
        let inner = Inner::of(id, &entry, is_paused);
        Self(Arc::new(Inner { read: Some(entry), ..inner }))
    }

    /// Its id.
    pub fn id(&self) -> &EntryId {
        &self.0.id
    }

    /// Its definition as compact JSON, defaults merged in.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Whether it is created paused.
    pub fn is_paused(&self) -> bool {
        self.0.is_paused
    }

    /// From where its schedule counts.
    pub fn counting(&self) -> Counting {
        self.0.counting
    }

    /// Whether the instant from which a new one counts may make it invalid; else none does.
    pub fn is_doubtful(&self) -> bool {
        self.0.is_doubtful
    }

    /// Whether it excludes calendars.
    pub fn names_calendars(&self) -> bool {
        self.0.names_calendars
    }

    /// Whether the clocks of its zone change.
    pub fn has_offset_changes(&self) -> bool {
        self.0.has_offset_changes
    }

    /// Its fields.
    ///
    /// # Errors
    ///
    /// Internal, because it was checked before.
    pub fn fields(&self) -> Result<Cow<'_, Map<String, Value>>> {
        if let Some(entry) = &self.0.read {
            return Ok(Cow::Borrowed(entry.fields()));
        }
        let odd = |why| Error::internal(format!("the definition of {} can't be read again: {why}", self.0.id));
        serde_json::from_str::<Map<String, Value>>(&self.0.text).map(Cow::Owned).map_err(odd)
    }

    /// Takes it apart.
    ///
    /// # Errors
    ///
    /// As [`PackedEntry::fields`].
    pub fn entry(&self) -> Result<Entry> {
        match &self.0.read {
            Some(entry) => Ok(entry.clone()),
            None => Entry::parse_for(&self.0.id, self.fields()?.into_owned()),
        }
    }

    /// The entry as a new one that counts from `now`, and its definition, where that takes no more than what was read; `None`: it has
    /// an anchor, needs none, could become invalid, or was not kept.
    pub fn begun(&self, now: Timestamp) -> Option<(Entry, String)> {
        let read = self.0.read.as_ref().filter(|read| !self.0.is_doubtful && !read.fields().contains_key("anchor"))?;
        let Counting::FromAnchor(cut_ms) = self.0.counting else { return None };
        Some(read.with_anchor(now.cut_to(cut_ms), &self.0.text))
    }

    /// The same, with all that its file says about it.
    ///
    /// # Errors
    ///
    /// As [`PackedEntry::fields`].
    pub fn unpacked(&self) -> Result<FileEntry> {
        Ok(FileEntry { id: self.0.id.clone(), entry: self.entry()?, is_paused: self.0.is_paused })
    }
}

impl Inner {
    fn of(id: EntryId, entry: &Entry, is_paused: bool) -> Self {
        let text = entry.to_json().into_boxed_str();
        let schedule = &entry.schedule;
        let counting = schedule.counting();
        let is_plain = matches!(schedule.when, When::Every(_)) && schedule.end.is_none() && schedule.exclude.is_empty();
        let is_short = text.len() + ANCHOR_BYTES <= DEFINITION_MAX_BYTES;
        Self {
            is_doubtful: matches!(counting, Counting::FromAnchor(_)) && !(is_plain && is_short),
            names_calendars: !schedule.exclude.calendars().is_empty(),
            has_offset_changes: !schedule.zone.has_constant_offset(),
            counting,
            id,
            text,
            read: None,
            is_paused,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn packed(fields: &Value) -> PackedEntry {
        let id = EntryId::parse("entry", "a").unwrap();
        let entry = Entry::parse_for(&id, fields.as_object().unwrap().clone()).unwrap();
        PackedEntry::with_entry(FileEntry { id, entry, is_paused: false })
    }

    #[test]
    fn a_new_entry_is_the_one_that_its_definition_with_the_anchor_gives() {
        let now = Timestamp(1_795_300_000_123);
        for (every, anchor) in [("5m", "2026-11-21T22:26:40.000Z"), ("100ms", "2026-11-21T22:26:40.123Z")] {
            let fields = serde_json::json!({
                "note": "of all kinds", "env": { "A": "1" }, "labels": { "team": "x" }, "exec": ["x", "-v"], "max_fires": 3,
                "tz": "Europe/Berlin", "every": every, "timeout": "10m", "retry": { "max_attempts": 2 },
            });
            let (begun, json) = packed(&fields).begun(now).unwrap();
            let mut anchored = fields;
            anchored["anchor"] = Value::from(anchor);
            let read = packed(&anchored);
            assert_eq!(format!("{begun:?}"), format!("{:?}", read.entry().unwrap()));
            assert_eq!((begun.to_json().as_str(), json.as_str()), (read.text(), read.text()));
            assert_eq!(read.begun(now), None);
        }
        for other in [
            serde_json::json!({ "every": "5m", "start": "2026-01-01T00:00:00Z", "shell": "x" }),
            serde_json::json!({ "every": "5m", "end": "2099-01-01T00:00:00Z", "shell": "x" }),
            serde_json::json!({ "cron": "0 9 * * *", "shell": "x" }),
            serde_json::json!({ "rrule": "FREQ=DAILY", "shell": "x" }),
        ] {
            assert_eq!(packed(&other).begun(now), None, "{other}");
        }
    }
}
