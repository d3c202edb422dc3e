//! Work without an entry: one run, now or at an instant, that carries its own definition.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::domain::entry::{Entry, FIELDS};
use crate::domain::fields::SCHEDULE_FIELDS;
use crate::domain::id::EntryId;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};

/// Fields of an entry that mean nothing where there is one run, beside those that say *when*.
const OF_ENTRIES: &[&str] = &["after", "overlap", "catch_up", "max_running", "keep_runs", "labels", "note", "paused"];

/// Refuses what belongs to an entry; what is left says *what* and *how*.
///
/// # Errors
///
/// Invalid about the first such field, with the way out.
pub fn check(fields: &Map<String, Value>) -> Result<()> {
    let stray = fields.keys().find(|field| {
        let is_known = FIELDS.contains(&field.as_str());
        is_known && (SCHEDULE_FIELDS.contains(&field.as_str()) || OF_ENTRIES.contains(&field.as_str()))
    });
    match stray.map(String::as_str) {
        None => Ok(()),
        Some("labels" | "note" | "keep_runs") => Err(of_entries(stray, "the run is on record with its definition")),
        Some(field) if SCHEDULE_FIELDS.contains(&field) => {
            Err(of_entries(stray, "--in or --at say when it runs; upbeat add registers what runs again"))
        }
        Some(_) => Err(of_entries(stray, "upbeat add registers an entry")),
    }
}

fn of_entries(field: Option<&String>, hint: &str) -> Error {
    Error::invalid(field.cloned().unwrap_or_default(), "goes with an entry, and this is one run").hint(hint)
}

/// The definition as an entry that fires once, at `at`: so the same rules hold for it, and nodes execute it alike.
///
/// # Errors
///
/// Invalid about any field.
pub fn entry(id: &EntryId, fields: &Map<String, Value>, at: Timestamp) -> Result<Entry> {
    let mut fields = fields.clone();
    fields.insert("at".to_owned(), at.to_rfc3339().into());
    // Nothing else is active beside it.
    fields.insert("overlap".to_owned(), "allow".into());
    Entry::parse_for(id, fields)
}

/// The name of a run without an entry, in the place of an entry id: `once-` and 12 hex digits of SHA-256 over what makes it
/// one, its key or else its request. So the same request is found in the same shard.
pub fn name(seed: &str) -> EntryId {
    let hash = Sha256::digest(seed.as_bytes());
    let hex: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    EntryId::parse("entry", &format!("once-{hex}")).expect("letters, digits and a dash are an id")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_belongs_to_an_entry_is_refused_by_name() {
        for (field, value) in [("cron", json!("@daily")), ("overlap", json!("skip")), ("labels", json!({"a": "b"}))] {
            let mut given = fields(json!({"exec": ["true"]}));
            given.insert(field.to_owned(), value);
            let error = check(&given).unwrap_err();
            assert_eq!(error.problem().field.as_deref(), Some(field));
            assert!(error.problem().hint.is_some());
        }
        assert_eq!(check(&fields(json!({"exec": ["true"], "retry": {}, "queue": "q", "timeout": "1m"}))), Ok(()));
    }

    #[test]
    fn its_definition_is_checked_as_that_of_an_entry() {
        let read = |value| entry(&name("r"), &fields(value), Timestamp(1_795_140_000_000));
        assert!(read(json!({"exec": ["true"], "retry": {"max_attempts": 2}})).is_ok());
        assert!(read(json!({"list": "out"})).is_ok());
        assert!(read(json!({"exec": ["true"], "shell": "true"})).is_err());
        assert!(read(json!({"timeout": "1m"})).is_err());
    }

    #[test]
    fn the_same_key_gives_the_same_name() {
        assert_eq!(name("a"), name("a"));
        assert_ne!(name("a"), name("b"));
    }
}
