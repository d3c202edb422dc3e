//! Long schedule files in JSON, read entry by entry.
//!
//! Only a file in which nothing is wrong is read so; any other is left to be read whole, and that decides.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::read::{read_entry, sections};
use super::{FileEntry, PackedEntry, ScheduleFile};
use crate::domain::json_text::Strict;
use crate::domain::reading::Complaints;
use crate::domain::threads::in_threads;

/// Entries that are taken apart at a time.
const AT_ONCE: usize = 10_000;
const ENTRIES: &str = "entries";

/// What the text says; `None` where it has to be read whole. `seen` is told of about as many bytes
/// as were read.
///
/// Goes twice over the text: what the entries have in common may stand behind them.
pub(super) fn read(
    text: &str,
    pack: fn(FileEntry) -> PackedEntry,
    seen: &(dyn Fn(usize) + Sync),
) -> Option<ScheduleFile<PackedEntry>> {
    let mut others = Map::new();
    walk(text, Walk::Others(&mut others))?;
    let mut complaints = Complaints::default();
    let (file, defaults, _) = sections(others, &mut complaints);
    if !complaints.0.is_empty() {
        return None;
    }
    let read_one = |(key, value): (String, Value)| {
        let mut complaints = Complaints::default();
        let entry = read_entry(&key, value, &defaults, &mut complaints);
        entry.filter(|_| complaints.0.is_empty()).map(pack)
    };
    let (mut some, mut entries, mut is_fine) = (Vec::new(), Vec::new(), true);
    let mut take = |some: &mut Vec<(String, Value)>| {
        for entry in in_threads(std::mem::take(some), read_one) {
            is_fine &= entry.is_some();
            seen(entry.as_ref().map_or(0, |entry| entry.text().len()));
            entries.extend(entry);
        }
        is_fine
    };
    walk(
        text,
        Walk::Entries(&mut |key, value| {
            some.push((key, value));
            some.len() < AT_ONCE || take(&mut some)
        }),
    )?;
    if !take(&mut some) {
        return None;
    }
    let mut ids = HashSet::with_capacity(entries.len());
    if !entries.iter().all(|one: &PackedEntry| ids.insert(one.id())) {
        return None;
    }
    drop(ids);
    let ScheduleFile { owner, namespace, calendars, queues, .. } = file;
    Some(ScheduleFile { owner, namespace, calendars, queues, entries })
}

/// One way through a JSON document.
enum Walk<'a> {
    /// Takes all but the entries.
    Others(&'a mut Map<String, Value>),
    /// Gives away the entries, one by one, as long as they are wanted.
    Entries(&'a mut dyn FnMut(String, Value) -> bool),
}

fn walk(text: &str, walk: Walk<'_>) -> Option<()> {
    let mut reader = serde_json::Deserializer::from_str(text);
    walk.deserialize(&mut reader).ok()?;
    reader.end().ok()
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a schedule file")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut sections: A) -> Result<(), A::Error> {
        let mut has_entries = false;
        while let Some(section) = sections.next_key::<String>()? {
            let is_entries = section == ENTRIES;
            if is_entries && std::mem::replace(&mut has_entries, true) {
                return Err(A::Error::custom("entries are given twice"));
            }
            match &mut self {
                Self::Entries(take) if is_entries => sections.next_value_seed(Entries(*take))?,
                Self::Others(others) if !is_entries => {
                    let Strict(value) = sections.next_value()?;
                    if others.insert(section, value).is_some() {
                        return Err(A::Error::custom("a section is given twice"));
                    }
                }
                _ => {
                    sections.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// The table of all entries.
struct Entries<'a>(&'a mut dyn FnMut(String, Value) -> bool);

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of entries")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some((key, Strict(value))) = entries.next_entry()? {
            if !(self.0)(key, value) {
                return Err(A::Error::custom("something is wrong with an entry"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "one_by_one_tests.rs"]
mod tests;
