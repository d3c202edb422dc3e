//! What is valid in a schedule file and still deserves a look: traps of times, of policies, and of many at once.
//!
//! An ordinary file has none of them; what is refused is no matter of this module.

mod policies;
mod tasks;
mod times;
mod together;

use std::borrow::Cow;
use std::collections::HashMap;

use crate::domain::file::FileEntry;
use crate::domain::id::EntryId;
use crate::domain::schedule::{Schedule, When};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

pub use together::{TOGETHER_MIN, together};

/// A remark about a field of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The word for programs.
    pub code: &'static str,
    /// The field as complaints name it, `entries.nightly.cron`; one of them where it is about several entries.
    pub field: String,
    /// The value that it is about.
    pub value: Option<String>,
    /// What to know.
    pub message: String,
    /// What to do, or more about it.
    pub hint: Option<String>,
    /// The entries that it is about.
    pub ids: Vec<EntryId>,
}

impl Note {
    fn new(code: &'static str, id: &EntryId, field: &str, message: impl Into<String>) -> Self {
        let field = format!("entries.{id}.{field}");
        Self { code, field, value: None, message: message.into(), hint: None, ids: vec![id.clone()] }
    }

    fn value(self, value: impl Into<String>) -> Self {
        Self { value: Some(value.into()), ..self }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Entries that are looked at; where they are many, each is taken apart only while it is.
pub trait Listed {
    /// The entry, with the dates of its calendars as far as they are known.
    fn listed(&self) -> Cow<'_, FileEntry>;

    /// Whether it may be worth a look for the zone that it names.
    fn may_name_zone(&self) -> bool {
        true
    }
}

impl Listed for FileEntry {
    fn listed(&self) -> Cow<'_, FileEntry> {
        Cow::Borrowed(self)
    }
}

impl<E: Listed> Listed for &E {
    fn listed(&self) -> Cow<'_, FileEntry> {
        (*self).listed()
    }

    fn may_name_zone(&self) -> bool {
        (*self).may_name_zone()
    }
}

/// The notes about the entries of one file, each by itself; their calendars as far as they are known, `now` by any clock that
/// is about right. [`together()`] has those about all at once.
pub fn notes<E: Listed>(entries: &[E], now: Timestamp) -> Vec<Note> {
    let mut distances = Distances::default();
    let zones = times::Zones::of(entries);
    let mut notes = Vec::new();
    for one in entries {
        let one = &*one.listed();
        let before = notes.len();
        times::note(one, &zones, now, &mut notes);
        // What is over has nothing else to be told.
        if notes[before..].iter().all(|note| note.code != times::NEVER) {
            policies::note(one, now, &mut distances, &mut notes);
        }
    }
    notes
}

/// Distances that are looked at to find a short one; a file may have a hundred thousand schedules.
const DISTANCES: usize = 24;

/// The shortest distance of the next fire times.
fn distance(schedule: &Schedule, now: Timestamp) -> Option<Span> {
    if let Some(period) = schedule.fixed_period(now) {
        return Some(period.period);
    }
    let times: Vec<Timestamp> = schedule.times_after(now).take(DISTANCES + 1).collect();
    times.windows(2).map(|two| Span((two[1].0 - two[0].0).unsigned_abs())).min()
}

/// The shortest distances of fire times, each found once; many entries have the same schedule.
#[derive(Default)]
struct Distances(HashMap<String, Option<Span>>);

impl Distances {
    fn of(&mut self, one: &FileEntry, now: Timestamp) -> Option<Span> {
        *self.0.entry(key(one)).or_insert_with(|| distance(&one.entry.schedule, now))
    }
}

/// The same for entries that fire alike.
fn key(one: &FileEntry) -> String {
    let is_hashed = match &one.entry.schedule.when {
        When::Cron(crons) => crons.iter().any(|cron| cron.text().split_whitespace().any(|word| word == "H")),
        _ => false,
    };
    let id = if is_hashed { one.id.as_str() } else { "" };
    format!("{} {id}", one.entry.schedule_json())
}

/// The field that says when.
fn kind(schedule: &Schedule) -> &'static str {
    match schedule.when {
        When::Cron(_) => "cron",
        When::Every(_) => "every",
        When::At(_) => "at",
        When::Rrule(_) => "rrule",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
