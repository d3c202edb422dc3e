//! What people write: entries, schedule files and crontabs, accepted or refused with a way out.

#![allow(clippy::unwrap_used)]

#[path = "definitions/actions.rs"]
mod actions;
#[path = "definitions/celery.rs"]
mod celery;
#[path = "definitions/cron_jobs.rs"]
mod cron_jobs;
#[path = "definitions/crontabs.rs"]
mod crontabs;
#[path = "definitions/entries.rs"]
mod entries;
#[path = "definitions/files.rs"]
mod files;
#[path = "definitions/round_trips.rs"]
mod round_trips;
#[path = "definitions/schemas.rs"]
mod schemas;

use serde_json::{Map, Value, json};
use upbeat::domain::entry::Entry;
use upbeat::domain::file::ScheduleFile;
use upbeat::error::{Error, Problem};

/// The fields of one entry, written as in a file.
fn fields(toml: &str) -> Map<String, Value> {
    let table: toml::Table = toml.parse().unwrap_or_else(|error| panic!("{toml}: {error}"));
    table.into_iter().map(|(field, value)| (field, of_toml(value))).collect()
}

fn of_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::Datetime(datetime) => Value::String(datetime.to_string()),
        toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, of_toml(value))).collect(),
        toml::Value::Array(items) => items.into_iter().map(of_toml).collect(),
        other => serde_json::to_value(other).unwrap(),
    }
}

/// An entry that must be valid.
#[track_caller]
fn entry(toml: &str) -> Entry {
    let entry = Entry::parse(fields(toml)).unwrap_or_else(|error| panic!("{toml}: {error}"));
    schemas::assert_fits(&json!({"entries": {"a": fields(toml)}}));
    entry
}

/// The first complaint about an entry that must not be valid.
#[track_caller]
fn refusal(toml: &str) -> Problem {
    match Entry::parse(fields(toml)) {
        Ok(_) => panic!("accepted: {toml}"),
        Err(Error::Invalid(problem)) => problem,
        Err(other) => panic!("{toml}: {other:?}"),
    }
}

/// The refusal as people see it: field, message and way out.
#[track_caller]
fn refused(toml: &str) -> String {
    let problem = refusal(toml);
    match &problem.hint {
        Some(hint) => format!("{problem} | {hint}"),
        None => problem.to_string(),
    }
}

/// A file that must be valid.
#[track_caller]
fn file(toml: &str) -> ScheduleFile {
    let file = ScheduleFile::parse("jobs.toml", toml).unwrap_or_else(|errors| panic!("{toml}: {errors:?}"));
    schemas::assert_fits(&fields(toml).into());
    file
}

/// All complaints about a file that must not be valid.
#[track_caller]
fn complaints(name: &str, text: &str) -> Vec<String> {
    let errors = ScheduleFile::parse(name, text).expect_err(text);
    assert!(!errors.is_empty(), "refused without a reason: {text}");
    errors.iter().map(ToString::to_string).collect()
}
