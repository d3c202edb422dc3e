//! A schedule file: owner, defaults, calendars and entries, in TOML or JSON.

use serde_json::{Map, Value};

use crate::domain::calendar::Calendar;
use crate::domain::entry::{Entry, take_paused};
use crate::domain::fields::{DEFAULT_FIELDS, FIELDS, is_later, looks_like_entry, not_yet, unknown_field};
use crate::domain::id::{CalendarName, EntryId, Namespace, Owner, plain_name};
use crate::domain::nearest::nearest;
use crate::domain::policy::Delivery;
use crate::domain::queue::FileQueue;
use crate::domain::reading::{Complaints, filled_text, inside, known_keys, shown, table, text};
use crate::domain::{json_text, toml_text};
use crate::error::{Error, Problem, Result};

pub use crate::domain::toml_text::line_of;

/// Greatest file, bytes.
pub const FILE_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Longest path of a calendar's file, bytes.
const PATH_MAX_BYTES: usize = 4096;

/// What `apply` reads and `export` writes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ScheduleFile {
    /// Who applies it, where the file says so.
    pub owner: Option<Owner>,
    /// The only namespace it may be applied to, where the file says so.
    pub namespace: Option<Namespace>,
    /// The calendars in their order.
    pub calendars: Vec<FileCalendar>,
    /// The queues in their order.
    pub queues: Vec<FileQueue>,
    /// The entries in their order, defaults merged in.
    pub entries: Vec<FileEntry>,
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
        if text.len() > FILE_MAX_BYTES {
            let why = format!("{} bytes are too many, {FILE_MAX_BYTES} are the most", text.len());
            return Err(vec![Error::Invalid(Problem::bare(why).at(name, None))]);
        }
        let mut complaints = Complaints::default();
        let file = read(document(name, text)?, &mut complaints);
        if complaints.0.is_empty() {
            return Ok(file);
        }
        let document = document(name, text)?;
        Err(complaints.0.into_iter().map(|error| with_value(error, &document)).collect())
    }

    /// The owner of a file without one: its name without ending, made a valid one.
    pub fn owner_from_name(path_stem: &str) -> Owner {
        let name = plain_name(path_stem);
        let name = if name.is_empty() { "-" } else { &name };
        Owner::parse("owner", name).expect("plain_name makes valid names")
    }

    /// As a file for people; reading it gives the same file.
    pub fn to_toml(&self) -> String {
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
        for FileEntry { id, entry, is_paused } in &self.entries {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&format!("[entries.{}]\n", toml_text::key(id.as_str())));
            for (field, value) in entry.fields() {
                let line = if toml_text::can_hold(value) {
                    format!("{field} = {}\n", toml_text::written(value))
                } else {
                    // Only a payload can be what TOML can't hold.
                    format!("{field}_json = {}\n", toml_text::written(&Value::String(value.to_string())))
                };
                text.push_str(&line);
            }
            if *is_paused {
                text.push_str("paused = true\n");
            }
        }
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
        let entries = self.entries.iter().map(|FileEntry { id, entry, is_paused }| {
            let mut fields = entry.fields().clone();
            if *is_paused {
                fields.insert("paused".to_owned(), Value::Bool(true));
            }
            (id.to_string(), Value::Object(fields))
        });
        document.insert("entries".to_owned(), Value::Object(entries.collect()));
        Value::Object(document)
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

/// The complaint with the value that stands in its field, where that is no table or list.
fn with_value(error: Error, document: &Map<String, Value>) -> Error {
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

fn document(name: &str, text: &str) -> Result<Map<String, Value>, Vec<Error>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    let is_json = match ending.as_deref() {
        Some("json") => true,
        Some("toml") => false,
        _ => text.trim_start().starts_with('{'),
    };
    if !is_json {
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

fn read(document: Map<String, Value>, complaints: &mut Complaints) -> ScheduleFile {
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
            "alerts" => complaints.0.push(not_yet(&section)),
            _ => complaints.0.push(unknown_section(&section, &value)),
        }
    }
    for (key, value) in entries {
        file.entries.extend(read_entry(&key, value, &defaults, complaints));
    }
    file
}

fn read_calendar(place: &str, name: &str, value: &Value) -> Result<FileCalendar> {
    let name = CalendarName::parse(place, name)?;
    let fields = table(place, value)?;
    known_keys(place, fields, &["file", "dates"])?;
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
    let known = ["owner", "namespace", "defaults", "entries", "queues", "calendars", "alerts"];
    let shown = section.escape_debug().to_string();
    let meant = match section {
        "entry" | "job" | "jobs" | "task" | "tasks" | "schedule" | "schedules" => Some("entries"),
        _ => nearest(section, known),
    };
    let error = match meant {
        Some(meant) => Error::invalid(shown, "unknown section").hint(format!("did you mean {meant}?")),
        None => Error::invalid(shown, format!("unknown section; known are {}", known.join(", "))),
    };
    if value.is_object() && looks_like_entry(value) {
        error.also_hint(format!("an entry stands under entries: [entries.{}]", toml_text::key(section)))
    } else if FIELDS.contains(&section) {
        error.also_hint("a field stands in an entry, [entries.ID], or in [defaults]")
    } else {
        error
    }
}

fn read_entry(key: &str, value: Value, defaults: &Defaults, complaints: &mut Complaints) -> Option<FileEntry> {
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
        complaints.0.push(unknown_field(&name).under(place).hint(hint));
    }
}

/// What the entries of a file have in common.
#[derive(Default)]
struct Defaults {
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
        let is_direct = ["stream", "list", "publish"].iter().any(|kind| own.contains_key(*kind));
        let mut fields = self.fields.clone();
        if is_direct {
            fields.shift_remove("timeout");
            fields.shift_remove("overlap");
            fields.shift_remove("retry");
            fields.shift_remove("delivery");
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
