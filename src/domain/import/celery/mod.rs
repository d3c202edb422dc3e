//! What one entry of Celery beat becomes here, whoever stored it: RedBeat's hashes and the exporter's JSON have one form.
//!
//! An entry fires at the same instants and sends the same message, or it is refused with the reason and the way out.
//! It keeps beat's own rules: messages overlap, and of the times that pass while no beat runs the newest fires when one is
//! back, as a beat fires an entry once that is overdue, however often it was due.

mod action;
mod crontab;
mod entry;
mod export;
mod interval;
mod recurrence;
mod route;
mod when;

use serde_json::{Map, Value, json};

use crate::domain::entry::Entry;
use crate::domain::file::FileEntry;
use crate::domain::id::{EntryId, plain_id};
use crate::domain::import::{Ids, Import};
use crate::domain::policy::LABEL_VALUE_MAX_BYTES;
use crate::domain::zone::Zone;
use crate::error::Result;

pub use entry::{BeatEntry, Instant};
pub use export::import_export;
pub use route::{Binding, ExchangeKind};

/// What a beat does with entries that do not say otherwise.
#[derive(Debug, Clone, Default)]
pub struct BeatDefaults {
    /// The app's `timezone`: the zone of crontabs, which name none. Where it is missing they are refused.
    pub tz: Option<Zone>,
    /// How the user names that zone, where [`BeatDefaults::tz`] is missing.
    pub tz_hint: Option<String>,
    /// The app's `task_default_queue`; `celery` where nothing is said.
    pub default_queue: Option<String>,
    /// Which queues the exchanges lead to, as far as it is known.
    pub bindings: Vec<Binding>,
    /// Stands before every key of the broker: `global_keyprefix` of its `broker_transport_options`.
    pub key_prefix: Option<String>,
    /// `priority_steps` of the same, where they are the app's own.
    pub priority_steps: Option<Vec<i64>>,
    /// The url of the broker or the secret that holds it, where it is not the Redis that upbeat uses.
    pub broker: Option<String>,
    /// The app's `task_serializer`; `json` where nothing is said.
    pub serializer: Option<String>,
    /// The app's `beat_cron_starting_deadline`, seconds: crontabs that are later than that do not fire.
    pub starting_deadline_s: Option<f64>,
}

/// The label with the name of an entry whose id had to be another.
pub const NAME_LABEL: &str = "celery_name";

/// Longest text of a source that is shown, characters.
const SHOWN_MAX_CHARS: usize = 120;

/// Adds what `beat` becomes to `import`: an entry, whose id is returned, or what keeps it from being one.
pub(crate) fn carry_over(
    beat: &BeatEntry,
    defaults: &BeatDefaults,
    ids: &mut Ids,
    import: &mut Import,
) -> Option<EntryId> {
    let mut notes = Vec::new();
    match file_entry(beat, defaults, ids, &mut notes) {
        Ok(entry) => {
            let id = entry.id.clone();
            ids.take(&id);
            import.file.entries.push(entry);
            notes.into_iter().for_each(|note| import.note(note));
            Some(id)
        }
        Err(error) => {
            import.refuse(shortened(&beat.name), beat.reads(), &error);
            None
        }
    }
}

fn file_entry(beat: &BeatEntry, defaults: &BeatDefaults, ids: &Ids, notes: &mut Vec<String>) -> Result<FileEntry> {
    let action = action::of(beat, defaults, notes)?;
    let mut fields = when::fields(beat, defaults, action.ends_at, notes)?;
    fields.insert("celery".to_owned(), action.celery);
    fields.insert("overlap".to_owned(), Value::from("allow"));
    fields.insert("catch_up".to_owned(), Value::from("latest"));
    let id = ids.free(&plain_id(&beat.name).unwrap_or_else(|| "entry".to_owned()))?;
    if id.as_str() != beat.name {
        fields.insert("labels".to_owned(), json!({ NAME_LABEL: label_text(&beat.name) }));
    }
    let entry = Entry::parse_for(&id, fields)?;
    Ok(FileEntry { id, entry, is_paused: !beat.is_enabled })
}

/// A name as the value of a label: one line, not too long.
fn label_text(name: &str) -> String {
    let line: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let end =
        line.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= LABEL_VALUE_MAX_BYTES).last();
    line[..end.unwrap_or(0)].to_owned()
}

/// A text of the source, cut to a length that can be read, without characters that a terminal obeys.
pub(crate) fn shortened(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = clean.take(SHOWN_MAX_CHARS).collect();
    if text.chars().nth(SHOWN_MAX_CHARS).is_some() {
        short.push_str("...");
    }
    short
}

/// What `__type__` says.
fn type_of(object: &Map<String, Value>) -> Option<&str> {
    object.get("__type__").and_then(Value::as_str)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
