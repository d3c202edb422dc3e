//! Long schedule files, read piece by piece: a million entries that were all taken apart at once would be 4 GB.
//!
//! What does not fit the pieces (a section that stands in two of them, an id that is given twice) is left to be read whole, and
//! that decides.

use std::collections::HashSet;
use std::fmt;
use std::sync::OnceLock;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::read::{is_json, read_entry, sections, with_value};
use super::{FileEntry, PackedEntry, Places, ScheduleFile};
use crate::domain::json_text::Strict;
use crate::domain::reading::Complaints;
use crate::domain::threads::{in_threads, pieces_in_threads};
use crate::domain::toml_text;
use crate::error::{Error, Problem};

/// Shorter files are taken apart at once.
const LONG_BYTES: usize = 1024 * 1024;
/// Longer TOML is never read whole only because something in it is no TOML: its parser takes twenty times as much memory.
const WHOLE_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Entries of JSON that are taken apart at a time.
const ENTRIES_AT_ONCE: usize = 10_000;

/// About so long is an entry of JSON.
const ENTRY_BYTES: usize = 120;

const ENTRIES: &str = "entries";
const DEFAULTS: &str = "defaults";

/// Up to here each entry is kept as it was read, too, about 4 kB of it, so that it is not read twice; beyond, memory counts for more.
const KEPT_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Is told of bytes that were read.
type Seen<'s> = dyn Fn(usize) + Sync + 's;
type Read = (ScheduleFile<PackedEntry>, Vec<Error>);

/// What a long file says; `None` where it has to be read whole.
pub(super) fn read(name: &str, text: &str, seen: &Seen<'_>) -> Option<Read> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match is_json(name, text) {
        _ if text.len() < LONG_BYTES => None,
        true => read_json(text, seen),
        false => read_toml(name, text, toml_text::pieces(text)?, seen),
    }
}

/// What became of a piece.
struct Piece {
    /// All but its entries.
    others: Map<String, Value>,
    entries: Vec<PackedEntry>,
    errors: Vec<Error>,
}

fn read_toml(name: &str, text: &str, texts: Vec<&str>, seen: &Seen<'_>) -> Option<Read> {
    let pack = packing(text);
    let mut line = 0;
    let mut pieces: Vec<(usize, &str)> = Vec::with_capacity(texts.len());
    for text in texts {
        pieces.push((line, text));
        line += text.bytes().filter(|byte| *byte == b'\n').count();
    }
    let has_heads = |(at, (_, text)): &(usize, &(usize, &str))| *at == 0 || text.lines().any(is_header_of_defaults);
    let mut defaults = Map::new();
    let mut home = None;
    for (_, (line, text)) in pieces.iter().enumerate().filter(has_heads) {
        let found =
            toml_text::parse_piece(name, text, *line).ok().and_then(|mut document| document.shift_remove(DEFAULTS));
        if let Some(found) = found {
            home = Some((*line, *text));
            // Twice: one of them is found again below.
            defaults.insert(DEFAULTS.to_owned(), found);
        }
    }
    let (_, defaults, _) = sections(defaults, &mut Complaints::default());
    let home_places = OnceLock::new();
    let home_places =
        || home_places.get_or_init(|| home.map(|(line, text)| Places::of_piece(name, text, line)).unwrap_or_default());
    let read = pieces_in_threads(pieces, |(line, text)| {
        let mut others = toml_text::parse_piece(name, text, line)?;
        let entries = match others.shift_remove(ENTRIES) {
            Some(Value::Object(entries)) => entries,
            // The sections are asked what is wrong with it.
            Some(other) => {
                others.insert(ENTRIES.to_owned(), other);
                Map::new()
            }
            None => Map::new(),
        };
        let mut complaints = Complaints::default();
        let entries =
            entries.into_iter().filter_map(|(key, value)| read_entry(&key, value, &defaults, &mut complaints));
        let entries = entries.map(pack).collect();
        let mut errors = complaints.0;
        if !errors.is_empty() {
            // The values were taken apart.
            let document = toml_text::parse_piece(name, text, line).unwrap_or_default();
            let places = Places::of_piece(name, text, line).with_defaults_of(home_places());
            errors = errors.into_iter().map(|error| placed(with_value(error, &document), name, &places)).collect();
        }
        seen(text.len());
        Ok::<Piece, Vec<Error>>(Piece { others, entries, errors })
    });
    let mut file = Map::new();
    let (mut entries, mut errors, mut defaults_met) = (Vec::new(), Vec::new(), 0);
    for piece in read {
        let piece = match piece {
            Ok(piece) => piece,
            Err(errors) if text.len() > WHOLE_MAX_BYTES => return Some((ScheduleFile::default(), errors)),
            Err(_) => return None,
        };
        defaults_met += usize::from(piece.others.contains_key(DEFAULTS));
        for (section, value) in piece.others {
            if file.insert(section, value).is_some() {
                return None;
            }
        }
        entries.extend(piece.entries);
        errors.extend(piece.errors);
    }
    // Their header was written in a way that was not looked for.
    if defaults_met != usize::from(home.is_some()) {
        return None;
    }
    finish(file, entries, errors)
}

/// How the entries of this text are held.
fn packing(text: &str) -> fn(FileEntry) -> PackedEntry {
    if text.len() <= KEPT_MAX_BYTES { PackedEntry::with_entry } else { PackedEntry::of }
}

fn placed(error: Error, name: &str, places: &Places) -> Error {
    let Problem { place, field, value, .. } = error.problem();
    if place.is_some() {
        return error;
    }
    let line = field.as_deref().and_then(|field| places.line(field, value.as_deref()));
    error.at(name, line)
}

fn is_header_of_defaults(line: &str) -> bool {
    let name = line.trim_start().strip_prefix('[').map(|name| name.trim_start().trim_start_matches(['"', '\'', '[']));
    name.is_some_and(|name| name.starts_with(DEFAULTS))
}

/// Twice over the text: what the entries have in common may stand behind them.
fn read_json(text: &str, seen: &Seen<'_>) -> Option<Read> {
    let mut file = Map::new();
    walk(text, Walk::Others(&mut file))?;
    let (_, defaults, _) = sections(file.clone(), &mut Complaints::default());
    let pack = packing(text);
    let read_one = |(key, value): (String, Value)| {
        let mut complaints = Complaints::default();
        let written = value.clone();
        let entry = read_entry(&key, value, &defaults, &mut complaints).map(pack);
        let document = Map::from_iter([(ENTRIES.to_owned(), Value::Object(Map::from_iter([(key, written)])))]);
        (entry, complaints.0.into_iter().map(|error| with_value(error, &document)).collect::<Vec<Error>>())
    };
    let (mut some, mut entries, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let mut take = |some: &mut Vec<(String, Value)>| {
        for (entry, wrong) in in_threads(std::mem::take(some), read_one) {
            entries.extend(entry);
            errors.extend(wrong);
        }
    };
    walk(
        text,
        Walk::Entries(&mut |key, value| {
            some.push((key, value));
            if some.len() == ENTRIES_AT_ONCE {
                take(&mut some);
                // About: nobody knows where in the text it is.
                seen(ENTRIES_AT_ONCE * ENTRY_BYTES);
            }
        }),
    )?;
    take(&mut some);
    finish(file, entries, errors)
}

/// One way through a JSON document.
enum Walk<'a> {
    /// Takes all but the entries.
    Others(&'a mut Map<String, Value>),
    /// Takes the entries, one by one.
    Entries(&'a mut dyn FnMut(String, Value)),
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
struct Entries<'a>(&'a mut dyn FnMut(String, Value));

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
            (self.0)(key, value);
        }
        Ok(())
    }
}

fn finish(file: Map<String, Value>, entries: Vec<PackedEntry>, errors: Vec<Error>) -> Option<Read> {
    let mut ids = HashSet::with_capacity(entries.len());
    if !entries.iter().all(|one| ids.insert(one.id())) {
        return None;
    }
    drop(ids);
    let mut complaints = Complaints::default();
    let (sections, _, _) = sections(file.clone(), &mut complaints);
    let first = complaints.0.into_iter().map(|error| with_value(error, &file));
    let errors = first.chain(errors).collect();
    let ScheduleFile { owner, namespace, calendars, queues, .. } = sections;
    Some((ScheduleFile { owner, namespace, calendars, queues, entries }, errors))
}

#[cfg(test)]
#[path = "parts_tests.rs"]
mod tests;
