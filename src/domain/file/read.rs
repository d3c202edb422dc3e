//! Reads a schedule file: sections, defaults, calendars, entries, with all complaints at once.

use serde_json::{Map, Value};

use super::{CalendarSource, FileCalendar, FileEntry, ScheduleFile, without_mark};
use crate::domain::calendar::Calendar;
use crate::domain::entry::{Entry, take_paused};
use crate::domain::fields::{
    DEFAULT_FIELDS, FIELDS, SECTIONS, is_later, is_later_section, keys_of, looks_like_entry, not_yet, unknown_field,
};
use crate::domain::id::{CalendarName, EntryId, Namespace, Owner};
use crate::domain::nearest::nearest;
use crate::domain::policy::Delivery;
use crate::domain::queue::FileQueue;
use crate::domain::reading::{Complaints, filled_text, inside, known_keys, shown, table, text};
use crate::domain::threads::in_threads;
use crate::domain::{json_text, toml_text};
use crate::error::{Error, Problem, Result};

/// Longest path of a calendar's file, bytes.
const PATH_MAX_BYTES: usize = 4096;

/// The complaint with the value that stands in its field, where that is no table or list.
pub(super) fn with_value(error: Error, document: &Map<String, Value>) -> Error {
    let problem = error.problem();
    let mut rest = match (&problem.field, &problem.value) {
        (Some(field), None) => field.as_str(),
        _ => return error,
    };
    let mut table = document;
    loop {
        // Ids may hold dots: the longest key that fits is the one.
        let fits = |key: &str| rest.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let inner = table.iter().filter(|(key, _)| fits(key)).max_by_key(|(key, _)| key.len());
        let Some((key, value)) = inner else { return error };
        rest = rest[key.len()..].trim_start_matches('.');
        match value {
            Value::Object(inner) if !rest.is_empty() => table = inner,
            Value::String(text) if rest.is_empty() => return error.value(text.as_str()),
            Value::Number(_) | Value::Bool(_) if rest.is_empty() => return error.value(value.to_string()),
            _ => return error,
        }
    }
}

/// Whether a file is JSON: by its ending, else by its first character.
pub(super) fn is_json(name: &str, text: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("json") => true,
        Some("toml") => false,
        _ => text.trim_start().starts_with('{'),
    }
}

/// The text as values, before they are checked.
pub(super) fn document(name: &str, text: &str) -> Result<Map<String, Value>, Vec<Error>> {
    let text = without_mark(text);
    if !is_json(name, text) {
        return toml_text::parse(name, text);
    }
    match json_text::parse(name, text).map_err(|error| vec![error])? {
        Value::Object(document) => Ok(document),
        _ => Err(vec![
            Error::Invalid(Problem::bare("the document is not an object").at(name, None))
                .hint("as in {\"entries\": {\"ID\": { ... }}}"),
        ]),
    }
}

/// All that can be read; what can't is in the complaints.
pub(super) fn read(document: Map<String, Value>, complaints: &mut Complaints) -> ScheduleFile {
    let (mut file, defaults, entries) = sections(document, complaints);
    let read = in_threads(entries.into_iter().collect(), |(key, value)| {
        let mut complaints = Complaints::default();
        (read_entry(&key, value, &defaults, &mut complaints), complaints)
    });
    file.entries.reserve(read.len());
    for (entry, wrong) in read {
        file.entries.extend(entry);
        complaints.0.extend(wrong.0);
    }
    file
}

/// All but the entries, which are returned as they stand.
pub(super) fn sections(
    document: Map<String, Value>,
    complaints: &mut Complaints,
) -> (ScheduleFile, Defaults, Map<String, Value>) {
    let mut file = ScheduleFile::default();
    let mut defaults = Defaults::default();
    let mut entries = Map::new();
    for (section, value) in document {
        match section.as_str() {
            "owner" => {
                file.owner = complaints.note(text("owner", &value).and_then(|text| Owner::parse("owner", text)));
            }
            "namespace" => {
                let read = text("namespace", &value).and_then(|text| Namespace::parse("namespace", text));
                file.namespace = complaints.note(read);
            }
            "defaults" => defaults = Defaults::read(&value, complaints),
            "entries" => match value {
                Value::Object(table) => entries = table,
                other => complaints.0.push(
                    Error::invalid("entries", format!("{} is not a table of entries", shown(&other)))
                        .hint("one table an entry: [entries.ID]"),
                ),
            },
            "calendars" => {
                for (name, value) in complaints.note(table("calendars", &value).cloned()).unwrap_or_default() {
                    let place = format!("calendars.{}", name.escape_debug());
                    file.calendars.extend(complaints.note(read_calendar(&place, &name, &value)));
                }
            }
            "queues" => file.queues = FileQueue::read_all(&value, complaints),
            later if is_later_section(later) => complaints.0.push(not_yet(section)),
            _ => complaints.0.push(unknown_section(&section, &value)),
        }
    }
    (file, defaults, entries)
}

fn read_calendar(place: &str, name: &str, value: &Value) -> Result<FileCalendar> {
    let name = CalendarName::parse(place, name)?;
    let fields = table(place, value)?;
    known_keys(place, fields, keys_of("calendars"))?;
    let source = match (fields.get("file"), fields.get("dates")) {
        (Some(path), None) => {
            let field = inside(place, "file");
            CalendarSource::File(filled_text(&field, path, PATH_MAX_BYTES)?.to_owned())
        }
        (None, Some(dates)) => CalendarSource::Dates(Calendar::of_list(&inside(place, "dates"), dates)?),
        _ => return Err(Error::invalid(place, "exactly one of file and dates is needed")),
    };
    Ok(FileCalendar { name, source })
}

fn unknown_section(section: &str, value: &Value) -> Error {
    let shown = section.escape_debug().to_string();
    let meant = match section {
        "entry" | "job" | "jobs" | "task" | "tasks" | "schedule" | "schedules" => Some("entries"),
        _ => nearest(section, SECTIONS.iter().copied()),
    };
    let error = match meant {
        Some(meant) => Error::invalid(shown, "unknown section").hint(format!("did you mean {meant}?")),
        None => Error::invalid(shown, format!("unknown section; known are {}", SECTIONS.join(", "))),
    };
    if value.is_object() && looks_like_entry(value) {
        error.also_hint(format!("an entry stands under entries: [entries.{}]", toml_text::key(section)))
    } else if FIELDS.contains(&section) {
        error.also_hint("a field stands in an entry, [entries.ID], or in [defaults]")
    } else {
        error
    }
}

pub(super) fn read_entry(
    key: &str,
    value: Value,
    defaults: &Defaults,
    complaints: &mut Complaints,
) -> Option<FileEntry> {
    let place = format!("entries.{}", key.escape_debug());
    let id = complaints.note(EntryId::parse(&place, key));
    let Value::Object(mut fields) = value else {
        complaints.note(table(&place, &value).map(|_| ()));
        return None;
    };
    let before = complaints.0.len();
    refuse_dotted_ids(key, &place, &mut fields, complaints);
    if complaints.0.len() > before && fields.is_empty() {
        return None;
    }
    let paused = take_paused(&mut fields).map_err(|error| error.under(&place));
    let paused = complaints.note(paused);
    match Entry::parse_all_for(id.as_ref(), defaults.under(fields)) {
        Ok(entry) => Some(FileEntry { id: id?, entry, is_paused: paused?.unwrap_or(defaults.is_paused) }),
        Err(errors) => {
            complaints.0.extend(errors.into_iter().map(|error| error.under(&place)));
            None
        }
    }
}

/// `[entries.billing.daily]` is an entry `billing` with a field `daily`: takes such fields out, with the way to
/// write what was meant.
fn refuse_dotted_ids(key: &str, place: &str, fields: &mut Map<String, Value>, complaints: &mut Complaints) {
    let is_meant = |(name, value): (&String, &Value)| {
        (!FIELDS.contains(&name.as_str()) && looks_like_entry(value)).then(|| name.clone())
    };
    let meant: Vec<String> = fields.iter().filter_map(is_meant).collect();
    for name in meant {
        fields.shift_remove(&name);
        let id = toml_text::key(&format!("{key}.{name}"));
        let hint = format!("an id with a dot is quoted: [entries.{id}]");
        let why = format!("unknown field {name:?}");
        complaints.0.push(Error::invalid(place, why).value(name).hint(hint));
    }
}

/// What the entries of a file have in common.
#[derive(Default)]
pub(super) struct Defaults {
    fields: Map<String, Value>,
    is_paused: bool,
}

impl Defaults {
    fn read(value: &Value, complaints: &mut Complaints) -> Defaults {
        let Some(given) = complaints.note(table("defaults", value)) else {
            return Defaults::default();
        };
        let mut fields = given.clone();
        let paused = take_paused(&mut fields).map_err(|error| error.under("defaults"));
        let is_paused = complaints.note(paused).flatten().unwrap_or(false);
        fields.retain(|field, _| {
            let refusal = if is_later(field) {
                not_yet(field)
            } else if !FIELDS.contains(&field.as_str()) {
                unknown_field(field)
            } else if !DEFAULT_FIELDS.contains(&field.as_str()) {
                let hint = "defaults hold tz and what stands under how: queue, timeout, overlap, labels ...";
                Error::invalid(field, "is no default, it stands in each entry").hint(hint)
            } else {
                return true;
            };
            complaints.0.push(refusal.under("defaults"));
            false
        });
        // An entry that holds nothing else shows what is wrong with the defaults themselves, once.
        let mut probe = fields.clone();
        probe.insert("every".to_owned(), Value::from("1h"));
        probe.insert("shell".to_owned(), Value::from("true"));
        if let Err(errors) = Entry::parse_all(probe) {
            for error in errors {
                let field = error.problem().field.clone().unwrap_or_default();
                let field = field.split('.').next().unwrap_or_default();
                if fields.shift_remove(field).is_some() && field == "tz" {
                    // So that local times of the entries raise no complaints of their own.
                    fields.insert("tz".to_owned(), Value::from("UTC"));
                }
                complaints.0.push(error.under("defaults"));
            }
        }
        Defaults { fields, is_paused }
    }

    /// The fields of an entry with the defaults under them, `labels` and `retry` key by key. What can't hold for a message
    /// is left out there.
    fn under(&self, own: Map<String, Value>) -> Map<String, Value> {
        if self.fields.is_empty() {
            return own;
        }
        let celery = own.get("celery").cloned().or_else(|| {
            let text = own.get("celery_json")?.as_str()?;
            Some(json_text::parse("celery_json", text).unwrap_or_default())
        });
        let is_tracked = celery.as_ref().is_some_and(|celery| celery.get("track") == Some(&Value::Bool(true)));
        let is_direct = ["stream", "list", "publish"].iter().any(|kind| own.contains_key(*kind))
            || (celery.is_some() && !is_tracked);
        let mut fields = self.fields.clone();
        if is_direct {
            fields.shift_remove("timeout");
            fields.shift_remove("overlap");
            fields.shift_remove("retry");
            fields.shift_remove("delivery");
        }
        // Nothing waits there, and it would be taken for Celery's own.
        if celery.is_some_and(|celery| !is_tracked && celery.get("broker").is_none()) {
            fields.shift_remove("queue");
        }
        // Attempts that are repeated by default are not where the entry itself says that none may be.
        let is_once = own.get("delivery").is_some_and(|word| word == Delivery::AtMostOnce.word());
        if is_once && !own.contains_key("retry") {
            fields.shift_remove("retry");
        }
        for (field, value) in own {
            match (fields.get_mut(&field), value) {
                (Some(Value::Object(table)), Value::Object(own)) if field == "labels" || field == "retry" => {
                    table.extend(own);
                }
                (_, value) => {
                    fields.insert(field, value);
                }
            }
        }
        fields
    }
}
