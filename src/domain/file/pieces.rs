//! Long schedule files in TOML, read piece by piece: a million entries that were all taken apart at once would be 4 GB.
//!
//! Entries are judged one by one, so it is enough that each of them stands in one piece. What does not fit (an entry or a section
//! that stands in two, a piece that is no TOML) is left to be read whole, and that decides.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value};

use super::places::{Places, shown_key};
use super::read::{Defaults, read_entry, sections, with_value};
use super::{FileEntry, PackedEntry, ScheduleFile};
use crate::domain::reading::Complaints;
use crate::domain::threads::pieces_in_threads;
use crate::domain::toml_text;
use crate::error::Error;

const ENTRIES: &str = "entries";
const DEFAULTS: &str = "defaults";

/// The pieces of a text, and what stands in which.
#[derive(Debug)]
pub(super) struct Pieces {
    /// Each with the lines before it.
    all: Vec<(std::ops::Range<usize>, usize)>,
    /// Those with more than entries, and the first one with any.
    heads: Vec<u32>,
    /// A hash of the key of each entry, with its piece, sorted. Two keys may have the same: that a piece more is looked at, or a file
    /// is read whole, changes nothing.
    homes: Vec<(u64, u32)>,
}

/// What became of a piece.
struct Piece {
    /// All but its entries.
    others: Map<String, Value>,
    entries: Vec<PackedEntry>,
    /// Of all keys, also those in which something is wrong.
    hashes: Vec<u64>,
    complaints: Complaints,
}

/// What a long text says, with all complaints in their order; `None` where it has to be read whole. `seen` is told of bytes that
/// were read.
pub(super) fn read(
    name: &str,
    text: &str,
    piece_bytes: usize,
    pack: fn(FileEntry) -> PackedEntry,
    seen: &(dyn Fn(usize) + Sync),
) -> Option<(ScheduleFile<PackedEntry>, Vec<Error>, Pieces)> {
    let texts = toml_text::pieces(text, piece_bytes)?;
    let defaults = defaults(name, &texts)?;
    let read = pieces_in_threads(texts.clone(), |text| {
        let piece = read_piece(name, text, &defaults, pack);
        seen(text.len());
        piece
    });
    let mut pieces = Pieces::of(&texts);
    let (mut file, mut entries, mut complaints) = (Map::new(), Vec::new(), Vec::new());
    for (at, piece) in (0..).zip(read) {
        let piece = piece?;
        // The line of `entries` itself is that of the first one.
        if !piece.others.is_empty() || (pieces.homes.is_empty() && !piece.hashes.is_empty()) {
            pieces.heads.push(at);
        }
        for (section, value) in piece.others {
            if file.insert(section, value).is_some() {
                return None;
            }
        }
        pieces.homes.extend(piece.hashes.into_iter().map(|hash| (hash, at)));
        entries.extend(piece.entries);
        complaints.extend(piece.complaints.0);
    }
    pieces.homes.sort_unstable();
    if pieces.homes.windows(2).any(|two| two[0].0 == two[1].0) {
        return None;
    }
    let mut first = Complaints::default();
    let (sections, _, _) = sections(file, &mut first);
    first.0.extend(complaints);
    let mut documents = Latest::default();
    let valued = |error: Error| {
        let near = pieces.near(error.problem().field.as_deref().unwrap_or_default());
        with_value(error, documents.of(near, |near| pieces.document(name, text, near)))
    };
    let errors = first.0.into_iter().map(valued).collect();
    let ScheduleFile { owner, namespace, calendars, queues, .. } = sections;
    Some((ScheduleFile { owner, namespace, calendars, queues, entries }, errors, pieces))
}

/// What the entries have in common, wherever that stands; the pieces with it are read twice. `None` where one of those is no TOML.
fn defaults(name: &str, texts: &[&str]) -> Option<Defaults> {
    // Only the first one has keys outside of any table; such a key may be written with escapes.
    let has_key = |text: &str| text.contains(DEFAULTS) || text.contains('\\');
    let may_have =
        |(at, text): &(usize, &&str)| if *at == 0 { has_key(text) } else { text.lines().any(may_open_defaults) };
    let mut found = Map::new();
    for (_, text) in texts.iter().enumerate().filter(may_have) {
        if let Some(value) = toml_text::parse(name, text).ok()?.shift_remove(DEFAULTS) {
            // Of two, the file is read whole.
            found.insert(DEFAULTS.to_owned(), value);
        }
    }
    // What is wrong with them is told with the other sections.
    let (_, defaults, _) = sections(found, &mut Complaints::default());
    Some(defaults)
}

fn may_open_defaults(line: &str) -> bool {
    let name = line.trim_start().strip_prefix('[').map(|name| name.trim_start_matches(['[', ' ', '\t', '"', '\'']));
    name.is_some_and(|name| name.starts_with(DEFAULTS))
}

fn read_piece(name: &str, text: &str, defaults: &Defaults, pack: fn(FileEntry) -> PackedEntry) -> Option<Piece> {
    let mut others = toml_text::parse(name, text).ok()?;
    let entries = match others.shift_remove(ENTRIES) {
        Some(Value::Object(entries)) => entries,
        Some(_) => return None,
        None => Map::new(),
    };
    let hashes = entries.keys().map(|key| hash(&shown_key(key))).collect();
    let mut complaints = Complaints::default();
    let entries = entries.into_iter().filter_map(|(key, value)| read_entry(&key, value, defaults, &mut complaints));
    let entries = entries.map(pack).collect();
    Some(Piece { others, entries, hashes, complaints })
}

impl Pieces {
    fn of(texts: &[&str]) -> Self {
        let (mut at, mut before) = (0, 0);
        let mut all = Vec::with_capacity(texts.len());
        for text in texts {
            all.push((at..at + text.len(), before));
            at += text.len();
            before += text.bytes().filter(|byte| *byte == b'\n').count();
        }
        Self { all, heads: Vec::new(), homes: Vec::new() }
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// The pieces with all that can count for a field as complaints name it: the entries whose keys it begins with, up to a dot
    /// of it, and what stands beside entries.
    pub fn near(&self, field: &str) -> Vec<u32> {
        let mut near = self.heads.clone();
        if let Some(rest) = field.strip_prefix(ENTRIES).and_then(|rest| rest.strip_prefix('.')) {
            let ends = rest.match_indices('.').map(|(at, _)| at).chain([rest.len()]);
            for hash in ends.map(|end| hash(&rest[..end])) {
                let from = self.homes.partition_point(|(known, _)| *known < hash);
                near.extend(self.homes[from..].iter().take_while(|(known, _)| *known == hash).map(|(_, piece)| piece));
            }
        }
        near.sort_unstable();
        near.dedup();
        near
    }

    /// These pieces as if there were no others.
    fn document(&self, name: &str, text: &str, near: &[u32]) -> Map<String, Value> {
        let mut document = Map::new();
        for (text, _) in self.texts(text, near) {
            // Each was read before.
            for (section, value) in toml_text::parse(name, text).unwrap_or_default() {
                match (document.get_mut(&section), value) {
                    (Some(Value::Object(entries)), Value::Object(more)) => entries.extend(more),
                    (_, value) => {
                        document.insert(section, value);
                    }
                }
            }
        }
        document
    }

    /// Where all in these pieces stands.
    pub fn places(&self, name: &str, text: &str, near: &[u32]) -> Places {
        let mut places = Places::default();
        for (text, before) in self.texts(text, near) {
            places.add(Places::of(name, text), before);
        }
        places
    }

    fn texts<'t>(&self, text: &'t str, near: &[u32]) -> impl Iterator<Item = (&'t str, usize)> {
        near.iter().map(move |at| {
            let (range, before) = &self.all[*at as usize];
            (&text[range.clone()], *before)
        })
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The last thing that was made, and of which pieces: complaints come in the order of the file.
#[derive(Debug)]
pub(super) struct Latest<T>(Option<(Vec<u32>, T)>);

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Latest<T> {
    /// The thing that is made of these pieces.
    pub fn of(&mut self, near: Vec<u32>, make: impl FnOnce(&[u32]) -> T) -> &T {
        let known = self.0.take().filter(|(of, _)| *of == near);
        let (_, thing) = self.0.insert(known.unwrap_or_else(|| {
            let thing = make(&near);
            (near, thing)
        }));
        thing
    }
}

#[cfg(test)]
#[path = "pieces_tests.rs"]
mod tests;
