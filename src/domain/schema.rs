//! The JSON Schema of schedule files, made of the tables and limits by which they are read.
//!
//! What it refuses the reader refuses, too; rules between fields, lengths in bytes and what words mean are the reader's alone.

mod fields;

use serde_json::{Map, Value, json};

use crate::domain::calendar::CALENDAR_DATES_MAX;
use crate::domain::fields::{
    ACTION_KINDS, DEFAULT_FIELDS, FIELDS, SCHEDULE_KINDS, SECTIONS, is_later, is_later_section, keys_of,
};
use crate::domain::id::ENTRY_ID_MAX_BYTES;

/// Names of owners, namespaces, queues and calendars.
const NAME: &str = "^[a-z0-9._-]{1,64}$";

/// The schema, draft 2020-12, of the JSON document that a file stands for. What a later version delivers is not in it.
pub fn schema() -> Value {
    let sections = SECTIONS.iter().filter(|section| !is_later_section(section));
    let sections = sections.filter_map(|section| Some(((*section).to_owned(), of_section(section)?)));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "upbeat schedule file",
        "description": "Entries for upbeat apply -f FILE, in TOML or JSON.",
        "type": "object",
        "additionalProperties": false,
        "properties": Value::Object(sections.collect()),
        "$defs": {
            "name": { "type": "string", "pattern": NAME },
            "span": {
                "description": "A duration: whole numbers with w d h m s ms, as in 1h30m; a day is 24 h.",
                "type": "string",
                "minLength": 2,
                "pattern": "^\\s*([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?\\s*$",
            },
            "instant": {
                "description": "RFC 3339 with offset, as in 2026-11-20T02:00:00Z, or a local date and time in the entry's tz.",
                "type": "string",
                "minLength": 1,
            },
            "texts": { "type": "object", "additionalProperties": { "type": "string" } },
            "entry": entry(),
        },
    })
}

/// A section of a file; nothing for those that come later.
fn of_section(section: &str) -> Option<Value> {
    Some(match section {
        "owner" => named("Who applies this file, else its name. --prune removes only entries of the same owner."),
        "namespace" => named("Refuse to be applied to another namespace."),
        "defaults" => {
            let mut defaults = table(DEFAULT_FIELDS, fields::of_field);
            defaults["description"] = "tz and anything of how, for the entries of this file.".into();
            defaults
        }
        "entries" => json!({
            "description": "The entries by their ids; in TOML an id with a dot is quoted: [entries.\"reports.daily\"].",
            "type": "object",
            "propertyNames": {
                "pattern": "^[\\p{Alphabetic}\\p{N}][\\p{Alphabetic}\\p{N}._:+-]*$",
                "maxLength": ENTRY_ID_MAX_BYTES,
            },
            "additionalProperties": { "$ref": "#/$defs/entry" },
        }),
        "calendars" => json!({
            "description": "Dates that entries exclude by name.",
            "type": "object",
            "propertyNames": { "pattern": NAME },
            "additionalProperties": calendar(),
        }),
        "queues" => json!({
            "description": "Limits of queues; one that is not named stays as it is.",
            "type": "object",
            "propertyNames": { "pattern": NAME },
            "additionalProperties": queue(),
        }),
        _ => return None,
    })
}

fn queue() -> Value {
    let mut queue = table(keys_of("queues"), |key| match key {
        "max_running" => Some(json!({ "description": "Runs at a time.", "type": "integer", "minimum": 1 })),
        "rate" => Some(
            json!({ "description": "Starts a span, as in 100/1m.", "type": "string", "pattern": "^.*[0-9].*/.+$" }),
        ),
        _ => None,
    });
    queue["minProperties"] = 1.into();
    queue
}

fn calendar() -> Value {
    let key = |key: &str| match key {
        "file" => Some(json!({
            "description": "iCalendar, a list in JSON or TOML, or a date a line; relative to this file.",
            "type": "string", "minLength": 1,
        })),
        "dates" => Some(json!({
            "description": "Whole days, as in 2026-12-25.",
            "type": "array", "minItems": 1, "items": { "type": "string" },
            "$comment": format!("at most {CALENDAR_DATES_MAX}"),
        })),
        _ => None,
    };
    let keys = keys_of("calendars");
    let mut calendar = table(keys, key);
    calendar["oneOf"] = exactly_one(keys);
    calendar
}

fn entry() -> Value {
    let mut entry = table(FIELDS, fields::of_field);
    entry["properties"]["payload_json"] = json!({
        "description": "The payload as a JSON text: TOML has no null.", "type": "string",
    });
    entry["properties"]["celery_json"] = json!({
        "description": "The celery table as a JSON text: TOML has no null.", "type": "string",
    });
    let mut actions = exactly_one(ACTION_KINDS);
    if let Some(kinds) = actions.as_array_mut() {
        kinds.push(json!({ "required": ["celery_json"] }));
    }
    entry["allOf"] = json!([
        { "$comment": "when: exactly one of them", "oneOf": exactly_one(SCHEDULE_KINDS) },
        { "$comment": "what: exactly one of them", "oneOf": actions },
        { "not": { "required": ["payload", "payload_json"] } },
    ]);
    entry
}

fn exactly_one(kinds: &[&str]) -> Value {
    kinds.iter().filter(|kind| !is_later(kind)).map(|kind| json!({ "required": [kind] })).collect()
}

/// A table of these keys and no others; those that `of` does not know come later.
fn table(keys: &[&str], of: impl Fn(&str) -> Option<Value>) -> Value {
    let known = keys.iter().filter_map(|key| Some(((*key).to_owned(), of(key)?)));
    let properties: Map<String, Value> = known.collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn named(description: &str) -> Value {
    json!({ "description": description, "$ref": "#/$defs/name" })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::file::ScheduleFile;

    #[test]
    fn every_field_and_section_that_is_read_is_in_it_and_no_other() {
        let schema = schema();
        let entry = &schema["$defs"]["entry"]["properties"];
        for field in FIELDS {
            assert_eq!(entry.get(field).is_none(), is_later(field), "{field}");
        }
        for field in DEFAULT_FIELDS {
            assert_eq!(schema["properties"]["defaults"]["properties"].get(field).is_none(), is_later(field), "{field}");
        }
        for section in SECTIONS {
            let file = format!("{{\"{section}\": {{}}}}");
            let errors = ScheduleFile::parse("x.json", &file).err().unwrap_or_default();
            let is_later = errors.iter().any(|error| error.problem().message == "not in this version yet");
            assert_eq!(schema["properties"].get(section).is_none(), is_later, "{section}");
        }
    }

    #[test]
    fn every_key_of_a_table_is_in_it() {
        let entry = entry();
        for field in ["http", "celery", "stream", "list", "publish", "catch_up", "dst", "retry"] {
            let field_schema = &entry["properties"][field];
            let forms = field_schema["oneOf"].as_array().cloned().unwrap_or_else(|| vec![field_schema.clone()]);
            let table = forms.iter().find(|form| form["type"] == "object").unwrap();
            let keys: Vec<&str> = table["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(keys, keys_of(field), "{field}");
        }
    }

    #[test]
    fn everything_in_it_is_described() {
        let schema = schema();
        for (field, value) in schema["$defs"]["entry"]["properties"].as_object().unwrap() {
            assert!(value["description"].as_str().is_some_and(|text| !text.is_empty()), "{field}");
        }
    }
}
