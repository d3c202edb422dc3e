//! `upbeat lint`: what is wrong with schedule files, and what deserves a look in them; asks no Redis.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::App;
use crate::cli::clock;
use crate::cli::output::{Ended, Format, object, print, printable, words};
use crate::cli::palette;
use crate::cli::progress;
use crate::cli::schedule_files::{Ids, Source, complaints, sources};
use crate::domain::calendar::{Calendars, StoredCalendar};
use crate::domain::file::{CalendarSource, FileEntry, PackedEntry};
use crate::domain::id::EntryId;
use crate::domain::lint::{Listed, Note, notes, together};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem};

#[derive(Debug, Args)]
pub struct LintArgs {
    /// A file, a folder of files, or - for standard input; may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE", required = true)]
    pub files: Vec<String>,
    /// Exit 1 for notes, too
    #[arg(long)]
    pub strict: bool,
}

pub const LINT_EXAMPLES: &str = "\
Examples:
  upbeat lint -f jobs.toml
  upbeat lint -f schedules/ -o json         every finding with file, line and field
  upbeat export | upbeat lint -f -
Errors are what apply would refuse; notes are traps: entries that never fire, many at one minute, changes of the clocks, steps
that do not come round, limits that contradict each other. Notes come once there are no errors.
Exit 0 without errors, 1 with some (--strict: or notes), 2 when a file can't be read. No Redis is asked: whether a calendar
that is not in the files exists shows when they are applied.";

/// What was found.
#[derive(Serialize)]
struct Found {
    files: Vec<String>,
    entries: usize,
    errors: Vec<Value>,
    notes: Vec<Value>,
}

/// `upbeat lint -f FILE|DIR|-`.
pub fn run(app: &App, args: &LintArgs) -> Ended {
    let progress = progress::watched(app.printer);
    let mut groups: Vec<Vec<Source>> = Vec::new();
    for path in &args.files {
        groups.push(sources(path, &progress)?);
    }
    let mut ids = Ids::of(&args.files);
    let errors: Vec<Error> = groups.iter_mut().flat_map(|group| complaints(group, &mut ids)).collect();
    drop(ids);
    let now = clock::now();
    let noted: Vec<(Note, Error)> = match errors.is_empty() {
        true => groups.iter().flat_map(|group| of_group(group, now)).collect(),
        false => Vec::new(),
    };
    let all: Vec<&Source> = groups.iter().flatten().collect();
    // Of a million entries most may have a note; people read their words.
    let for_programs = if app.printer.format == Format::Table { &[] } else { &noted[..] };
    let found = Found {
        files: all.iter().map(|source| source.name.clone()).collect(),
        entries: all.iter().map(|source| source.file.entries.len()).sum(),
        errors: errors.iter().map(|error| of_error(error, &all)).collect(),
        notes: for_programs.iter().map(of_note).collect(),
    };
    match app.printer.format {
        Format::Json => app.printer.one(&found, |_| String::new(), String::new),
        Format::Jsonl => {
            let items: Vec<&Value> = found.errors.iter().chain(&found.notes).collect();
            app.printer.list(&items, |_| String::new(), String::new);
        }
        Format::Id => concerned(&found).iter().for_each(|id| print(&format!("{id}\n"))),
        Format::Table => print(&in_words(&found, &errors, &noted, app.printer.is_quiet)),
    }
    Ok(u8::from(!errors.is_empty() || (args.strict && !noted.is_empty())))
}

/// The notes about the sources of one path, each with its place.
fn of_group(group: &[Source], now: Timestamp) -> Vec<(Note, Error)> {
    let calendars = calendars(group);
    let mut found = Vec::new();
    for source in group {
        found.extend(notes(&known(source, &calendars), now).into_iter().map(|note| placed(source, note)));
    }
    let mut homes: HashMap<&EntryId, &Source> = HashMap::new();
    for source in group.iter().filter(|_| group.len() > 1) {
        homes.extend(source.file.entries.iter().map(|one| (one.id(), source)));
    }
    let entries: Vec<Known<'_>> = group.iter().flat_map(|source| known(source, &calendars)).collect();
    for note in together(&entries, now) {
        let home = note.ids.first().and_then(|id| homes.get(id).copied()).or(group.first());
        found.extend(home.map(|home| placed(home, note)));
    }
    found
}

fn known<'a>(source: &'a Source, calendars: &'a Calendars) -> Vec<Known<'a>> {
    source.file.entries.iter().map(|packed| Known { packed, calendars }).collect()
}

/// An entry that is looked at.
struct Known<'a> {
    packed: &'a PackedEntry,
    calendars: &'a Calendars,
}

impl Listed for Known<'_> {
    fn listed(&self) -> Cow<'_, FileEntry> {
        let mut one = self.packed.unpacked().expect("it was checked when its file was read");
        // A calendar that is not in the files is asked for when they are applied.
        if let Ok(entry) = one.entry.clone().with_calendars(self.calendars) {
            one.entry = entry;
        }
        Cow::Owned(one)
    }

    fn may_name_zone(&self) -> bool {
        self.packed.text().contains("\"tz\":")
    }
}

fn placed(source: &Source, note: Note) -> (Note, Error) {
    let mut problem = Problem::new(&note.field, &note.message);
    (problem.value, problem.hint) = (note.value.clone(), note.hint.clone());
    let placed = source.placed(Error::Invalid(problem));
    (note, placed)
}

/// The calendars of the files.
fn calendars(group: &[Source]) -> Calendars {
    let mut calendars = Calendars::default();
    for one in group.iter().flat_map(|source| &source.file.calendars) {
        if let CalendarSource::Dates(dates) = &one.source {
            let (actor, dates) = (String::new(), dates.clone());
            let at = Timestamp::default();
            let stored = StoredCalendar { v: 1, revision: 1, at, actor, reason: None, dates };
            calendars.0.insert(one.name.clone(), stored);
        }
    }
    calendars
}

fn of_error(error: &Error, sources: &[&Source]) -> Value {
    let Problem { place, field, .. } = error.problem();
    let source = place.as_ref().and_then(|place| sources.iter().find(|source| source.name == place.file));
    let id = source.zip(field.as_deref()).and_then(|(source, field)| source.places.entry(field));
    let mut finding = object(error);
    finding["level"] = json!("error");
    finding["ids"] = json!(id.into_iter().collect::<Vec<_>>());
    finding
}

fn of_note((note, placed): &(Note, Error)) -> Value {
    let mut finding = object(placed);
    finding["level"] = json!("note");
    finding["code"] = json!(note.code);
    finding["ids"] = note.ids.iter().map(EntryId::as_str).collect();
    finding
}

/// The ids that findings are about, each once.
fn concerned(found: &Found) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    let mut known = HashSet::new();
    let of_note = found.notes.iter().flat_map(|note| note["ids"].as_array().cloned().unwrap_or_default());
    let of_error = found.errors.iter().filter_map(|error| error["ids"].as_array()).flatten().cloned();
    for id in of_error.chain(of_note).filter_map(|id| id.as_str().map(str::to_owned)) {
        if known.insert(id.clone()) {
            ids.push(id);
        }
    }
    ids
}

fn in_words(found: &Found, errors: &[Error], noted: &[(Note, Error)], is_quiet: bool) -> String {
    let mut text: String = errors.iter().map(|error| format!("{}\n", words(error))).collect();
    let count = errors.len();
    if count > 0 {
        let noun = if count == 1 { "error" } else { "errors" };
        text.push_str(&format!("{count} {noun}; nothing was sent to Redis\n"));
        return text;
    }
    let noun = if found.entries == 1 { "entry" } else { "entries" };
    text.push_str(&format!("{} {noun}, no errors\n", found.entries));
    for (note, placed) in noted.iter().filter(|_| !is_quiet) {
        // What is about several entries belongs to no line.
        let line = match note.ids.len() {
            1 => placed.to_string(),
            _ => note.message.clone(),
        };
        text.push_str(&format!("{} {}\n", palette::paint(palette::HEAD, "note:"), printable(&line)));
        if let Some(hint) = &note.hint {
            text.push_str(&format!("  {}\n", printable(hint)));
        }
    }
    text
}
