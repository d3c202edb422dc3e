//! A schedule file: owner, defaults, calendars and entries, in TOML or JSON.

mod one_by_one;
mod packed;
mod pieces;
mod places;
mod places_of;
mod read;

use serde_json::{Map, Value};

use crate::domain::calendar::Calendar;
use crate::domain::entry::Entry;
use crate::domain::id::{CalendarName, EntryId, Namespace, Owner, plain_name};
use crate::domain::queue::FileQueue;
use crate::domain::reading::Complaints;
use crate::domain::toml_text;
use crate::error::{Error, Problem, Result};

pub use packed::PackedEntry;
pub use places::Places;
pub use places_of::PlacesOf;

/// Greatest file, bytes: 1,000,000 entries of 250 bytes each. Who reads one holds the text and about 300 bytes an entry beside it; of one
/// that is read whole, about 4 kB.
pub const FILE_MAX_BYTES: usize = 256 * 1024 * 1024;
/// A piece of a long file: what a parser makes of it takes twenty times as much memory; bytes.
const PIECE_BYTES: usize = 512 * 1024;
/// Up to here each entry is kept as it was read, too, about 2 kB of it, so that it is not read twice: that is 5 us of its 20. Beyond,
/// memory counts for more.
const KEPT_MAX_BYTES: usize = 16 * 1024 * 1024;

/// What `apply` reads and `export` writes; its entries are taken apart, or packed where they may be many.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleFile<E = FileEntry> {
    /// Who applies it, where the file says so.
    pub owner: Option<Owner>,
    /// The only namespace it may be applied to, where the file says so.
    pub namespace: Option<Namespace>,
    /// The calendars in their order.
    pub calendars: Vec<FileCalendar>,
    /// The queues in their order.
    pub queues: Vec<FileQueue>,
    /// The entries in their order, defaults merged in.
    pub entries: Vec<E>,
}

impl<E> Default for ScheduleFile<E> {
    fn default() -> Self {
        Self { owner: None, namespace: None, calendars: Vec::new(), queues: Vec::new(), entries: Vec::new() }
    }
}

/// One calendar of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileCalendar {
    /// Its key in `[calendars]`.
    pub name: CalendarName,
    /// Where its dates are.
    pub source: CalendarSource,
}

/// Where the dates of a calendar are.
#[derive(Debug, Clone, PartialEq)]
pub enum CalendarSource {
    /// In the schedule file.
    Dates(Calendar),
    /// In this file, named from the schedule file.
    File(String),
}

/// One entry of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileEntry {
    /// Its key in `[entries]`.
    pub id: EntryId,
    /// Its definition.
    pub entry: Entry,
    /// Whether it is created paused.
    pub is_paused: bool,
}

impl ScheduleFile {
    /// Reads a file; `name` decides between `.json` and `.toml`, else the first character does. All complaints are
    /// returned, each under the name of its field (`entries.ID.tz`) or, where the text can't be read, with its line.
    pub fn parse(name: &str, text: &str) -> Result<ScheduleFile, Vec<Error>> {
        match Self::parse_most(name, text) {
            (file, errors) if errors.is_empty() => Ok(file),
            (_, errors) => Err(errors),
        }
    }

    /// As [`ScheduleFile::parse`], with what can be read of a file in which something is wrong.
    pub fn parse_most(name: &str, text: &str) -> (ScheduleFile, Vec<Error>) {
        if text.len() > FILE_MAX_BYTES {
            let why = format!("{} bytes are too many, {FILE_MAX_BYTES} are the most", text.len());
            return (Self::default(), vec![Error::Invalid(Problem::bare(why).at(name, None))]);
        }
        let document = match read::document(name, text) {
            Ok(document) => document,
            Err(errors) => return (Self::default(), errors),
        };
        let mut complaints = Complaints::default();
        let file = read::read(document, &mut complaints);
        // The values were taken apart; a file in which nothing is wrong needs them no more.
        let document = if complaints.0.is_empty() { None } else { read::document(name, text).ok() };
        let document = document.unwrap_or_default();
        let errors = complaints.0.into_iter().map(|error| read::with_value(error, &document));
        (file, errors.collect())
    }

    /// The same file with every entry as its text, too.
    pub fn packed(self) -> ScheduleFile<PackedEntry> {
        let Self { owner, namespace, calendars, queues, entries } = self;
        let entries = entries.into_iter().map(PackedEntry::with_entry).collect();
        ScheduleFile { owner, namespace, calendars, queues, entries }
    }

    /// The owner of a file without one: its name without ending, made a valid one.
    pub fn owner_from_name(path_stem: &str) -> Owner {
        let name = plain_name(path_stem);
        let name = if name.is_empty() { "-" } else { &name };
        Owner::parse("owner", name).expect("plain_name makes valid names")
    }

    /// As a file for people; reading it gives the same file.
    pub fn to_toml(&self) -> String {
        let mut text = self.head_to_toml();
        for entry in &self.entries {
            entry.to_toml(&mut text);
        }
        text
    }

    /// The part of [`ScheduleFile::to_toml`] before the entries; behind it each of them may follow.
    pub fn head_to_toml(&self) -> String {
        let mut text = String::new();
        if let Some(owner) = &self.owner {
            text.push_str(&format!("owner = \"{owner}\"\n"));
        }
        if let Some(namespace) = &self.namespace {
            text.push_str(&format!("namespace = \"{namespace}\"\n"));
        }
        for FileCalendar { name, source } in &self.calendars {
            if !text.is_empty() {
                text.push('\n');
            }
            let (field, value) = source.to_field();
            let name = toml_text::key(name.as_str());
            text.push_str(&format!("[calendars.{name}]\n{field} = {}\n", toml_text::written(&value)));
        }
        FileQueue::to_toml(&self.queues, &mut text);
        text
    }

    /// As a JSON document of the same shape.
    pub fn to_json(&self) -> Value {
        let mut document = Map::new();
        if let Some(owner) = &self.owner {
            document.insert("owner".to_owned(), Value::from(owner.as_str()));
        }
        if let Some(namespace) = &self.namespace {
            document.insert("namespace".to_owned(), Value::from(namespace.as_str()));
        }
        if !self.calendars.is_empty() {
            let calendars = self.calendars.iter().map(|FileCalendar { name, source }| {
                let (field, value) = source.to_field();
                (name.to_string(), Value::Object(Map::from_iter([(field.to_owned(), value)])))
            });
            document.insert("calendars".to_owned(), Value::Object(calendars.collect()));
        }
        document.extend(FileQueue::to_json(&self.queues));
        let entries = self.entries.iter().map(|one| (one.id.to_string(), one.to_json()));
        document.insert("entries".to_owned(), Value::Object(entries.collect()));
        Value::Object(document)
    }
}

impl ScheduleFile<PackedEntry> {
    /// As [`ScheduleFile::parse_most`], and where all of it stands. A long file is read piece by piece, and what a piece was taken
    /// apart into goes before the next; where that can't be it is read whole, with the same outcome. `seen` is told of
    /// bytes that were read.
    pub fn read(name: &str, text: String, seen: impl Fn(usize) + Sync) -> (Self, Vec<Error>, PlacesOf) {
        Self::read_in(PIECE_BYTES, name, text, &seen)
    }

    fn read_in(
        piece_bytes: usize,
        name: &str,
        text: String,
        seen: &(dyn Fn(usize) + Sync),
    ) -> (Self, Vec<Error>, PlacesOf) {
        let places = |text, pieces| PlacesOf::new(name.to_owned(), text, pieces);
        if text.len() >= 2 * piece_bytes && text.len() <= FILE_MAX_BYTES {
            let pack = if text.len() <= KEPT_MAX_BYTES { PackedEntry::with_entry } else { PackedEntry::of };
            let bare = without_mark(&text);
            if read::is_json(name, bare) {
                if let Some(file) = one_by_one::read(bare, pack, seen) {
                    return (file, Vec::new(), places(text, None));
                }
            } else if let Some((file, errors, pieces)) = pieces::read(name, bare, piece_bytes, pack, seen) {
                return (file, errors, places(text, Some(pieces)));
            }
        }
        let (file, errors) = ScheduleFile::parse_most(name, &text);
        (file.packed(), errors, places(text, None))
    }
}

/// The text without the mark that some editors put before it.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

impl FileEntry {
    /// Puts it behind what stands in a file for people.
    pub fn to_toml(&self, text: &mut String) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("[entries.{}]\n", toml_text::key(self.id.as_str())));
        for (field, value) in self.entry.fields() {
            let line = if toml_text::can_hold(value) {
                format!("{field} = {}\n", toml_text::written(value))
            } else {
                // Only a payload and the arguments of a task can be what TOML can't hold.
                format!("{field}_json = {}\n", toml_text::written(&Value::String(value.to_string())))
            };
            text.push_str(&line);
        }
        if self.is_paused {
            text.push_str("paused = true\n");
        }
    }

    /// Its fields as a JSON object.
    pub fn to_json(&self) -> Value {
        let mut fields = self.entry.fields().clone();
        if self.is_paused {
            fields.insert("paused".to_owned(), Value::Bool(true));
        }
        Value::Object(fields)
    }
}

impl CalendarSource {
    fn to_field(&self) -> (&'static str, Value) {
        match self {
            Self::Dates(calendar) => ("dates", calendar.to_json()),
            Self::File(path) => ("file", Value::from(path.as_str())),
        }
    }
}
