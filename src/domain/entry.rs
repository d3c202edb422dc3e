//! An entry: what a user registers, a definition that is valid.

mod action;
mod celery;
mod http;
mod read;
mod schedule;

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::domain::action::{Action, DirectForm};
use crate::domain::calendar::Calendars;
use crate::domain::fields::{ACTION_KINDS, SCHEDULE_FIELDS, SCHEDULE_KINDS, unknown_field};
use crate::domain::id::{EntryId, QueueName};
use crate::domain::json_text;
use crate::domain::policy::{CatchUp, Delivery, Overlap};
use crate::domain::reading::{Complaints, flag};
use crate::domain::retry::Retry;
use crate::domain::schedule::Schedule;
use crate::domain::shell_words::{escaped, quoted_line};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};

pub use crate::domain::fields::FIELDS;
pub(crate) use crate::domain::fields::is_later;
pub(crate) use action::is_env_name;

/// What a user registers: schedule, action and policies; cheap to clone. Two are equal if they are written alike.
///
/// Its fields are those of [`EntryData`].
#[derive(Debug, Clone)]
pub struct Entry(Arc<EntryData>);

/// What an [`Entry`] holds.
#[derive(Debug, Clone)]
pub struct EntryData {
    fields: Arc<Map<String, Value>>,
    /// What `H` in its cron expressions is made of.
    id: Option<EntryId>,
    /// When it fires.
    pub schedule: Schedule,
    /// Each run is due up to this long after its fire time, always by the same length; shorter than the distance of two.
    pub spread: Option<Span>,
    /// Fire times in all since it was created, however they end.
    pub max_fires: Option<u32>,
    /// What a run does.
    pub action: Action,
    /// Variables of a command; values may be `secret:NAME`.
    pub env: BTreeMap<String, String>,
    /// Folder of a command.
    pub cwd: Option<String>,
    /// What the action is given.
    pub payload: Option<Value>,
    /// Where runs wait.
    pub queue: QueueName,
    /// Length of one attempt as the entry names it; see [`Entry::effective_timeout`].
    pub timeout: Option<Span>,
    /// Whether attempts that failed are repeated; `None`: they are not.
    pub retry: Option<Retry>,
    /// When the run before is still active.
    pub overlap: Overlap,
    /// What becomes of fire times that are found late.
    pub catch_up: CatchUp,
    /// What has not started by then is missed.
    pub start_within: Option<Span>,
    /// Whether attempts that a node lost or handed back are repeated.
    pub delivery: Delivery,
    /// Active runs beyond it wait.
    pub max_running: Option<u16>,
    /// Runs that stay on record.
    pub keep_runs: u16,
    /// For people and selections.
    pub labels: BTreeMap<String, String>,
    /// For people.
    pub note: Option<String>,
}

impl Deref for Entry {
    type Target = EntryData;

    fn deref(&self) -> &EntryData {
        &self.0
    }
}

impl DerefMut for Entry {
    /// Of an entry that others hold, too, this one becomes another.
    fn deref_mut(&mut self) -> &mut EntryData {
        Arc::make_mut(&mut self.0)
    }
}

/// Takes `paused` out of the fields, if it is given; it counts only when an entry is created and is no part of its
/// definition.
pub fn take_paused(fields: &mut Map<String, Value>) -> Result<Option<bool>> {
    fields.shift_remove("paused").map(|value| flag("paused", &value)).transpose()
}

impl Entry {
    /// Reads a definition whose id nobody knows, and checks all of it; the first complaint. `H` in a cron expression is one.
    pub fn parse(fields: Map<String, Value>) -> Result<Entry> {
        Self::parse_all(fields).map_err(|mut errors| errors.swap_remove(0))
    }

    /// Reads the definition of the entry `id` and checks all of it; the first complaint.
    pub fn parse_for(id: &EntryId, fields: Map<String, Value>) -> Result<Entry> {
        Self::parse_all_for(Some(id), fields).map_err(|mut errors| errors.swap_remove(0))
    }

    /// As [`Entry::parse`], with every complaint, at least one.
    pub fn parse_all(fields: Map<String, Value>) -> Result<Entry, Vec<Error>> {
        Self::parse_all_for(None, fields)
    }

    /// As [`Entry::parse_for`], with every complaint, at least one.
    pub fn parse_all_for(id: Option<&EntryId>, fields: Map<String, Value>) -> Result<Entry, Vec<Error>> {
        let mut complaints = Complaints::default();
        let entry = read::read(id, fields, &mut complaints);
        match entry {
            Some(entry) if complaints.0.is_empty() => Ok(entry),
            _ if complaints.0.is_empty() => Err(vec![Error::internal("a definition was refused without a reason")]),
            _ => Err(complaints.0),
        }
    }

    /// The same entry with exactly these fields.
    pub fn with_fields(&self, fields: Map<String, Value>) -> Result<Entry> {
        Self::parse_all_for(self.id.as_ref(), fields).map_err(|mut errors| errors.swap_remove(0))
    }

    /// The same entry with this anchor, as it is read of a definition that has it, and that definition, made of the one of this entry
    /// (`json`): for `every` without `start`, `end` and `exclude`, whose anchor nothing can be wrong with.
    pub(crate) fn with_anchor(&self, anchor: Timestamp, json: &str) -> (Entry, String) {
        let mut entry = self.clone();
        entry.schedule.anchor = Some(anchor);
        let text = Value::from(anchor.to_rfc3339());
        let is_before =
            |field: &str| FIELDS.iter().take_while(|known| **known != "anchor").any(|known| *known == field);
        let before = || self.fields.iter().take_while(|(field, _)| is_before(field));
        // Each with two quotes, a colon and a comma.
        let at: usize = before().map(|(field, value)| field.len() + 4 + json_text::length_of(value)).sum();
        let (head, tail) = json.split_at(1 + at);
        let json = format!("{head}\"anchor\":{text},{tail}");
        Arc::make_mut(&mut entry.fields).shift_insert(before().count(), "anchor".to_owned(), text);
        (entry, json)
    }

    /// The definition, as the user wrote it, in the order of the contract.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// What it holds, for those who take it apart.
    pub fn into_data(self) -> EntryData {
        Arc::unwrap_or_clone(self.0)
    }

    /// The same, shared.
    pub fn shared_fields(&self) -> Arc<Map<String, Value>> {
        self.fields.clone()
    }

    /// The definition as compact JSON; parsing it gives the same entry.
    pub fn to_json(&self) -> String {
        // A map of JSON: serde_json has nothing to refuse.
        serde_json::to_string(self.fields()).unwrap_or_default()
    }

    /// Only the fields that say *when*.
    pub fn schedule_json(&self) -> Value {
        self.only(SCHEDULE_FIELDS)
    }

    /// Only the field that says *what*.
    pub fn action_json(&self) -> Value {
        self.only(ACTION_KINDS)
    }

    fn only(&self, wanted: &[&str]) -> Value {
        let chosen = self.fields.iter().filter(|(field, _)| wanted.contains(&field.as_str()));
        Value::Object(chosen.map(|(field, value)| (field.clone(), value.clone())).collect())
    }

    /// The payload as it is sent: a text as it is, anything else as compact JSON.
    pub fn payload_bytes(&self) -> Option<Vec<u8>> {
        self.payload.as_ref().map(payload_bytes)
    }

    /// The span after which an attempt ends, the default of its action included.
    pub fn effective_timeout(&self) -> Option<Span> {
        self.timeout.or_else(|| self.action.default_timeout())
    }

    /// The entry with the dates of the calendars that it excludes, without which it has too many fire times.
    ///
    /// # Errors
    ///
    /// Invalid about `exclude`, with the names that exist, where one of them is not in `calendars`.
    pub fn with_calendars(mut self, calendars: &Calendars) -> Result<Entry> {
        if !self.schedule.exclude.calendars().is_empty() {
            self.schedule.exclude = self.schedule.exclude.with(calendars)?;
        }
        Ok(self)
    }

    /// When it fires, on one line for people.
    pub fn reads_when(&self) -> String {
        let spread = self.spread.map(|spread| format!(", each up to {} later", spread.human())).unwrap_or_default();
        let most = match self.max_fires {
            None => String::new(),
            Some(1) => ", at most once".to_owned(),
            Some(most) => format!(", at most {most} times"),
        };
        format!("{}{spread}{most}", self.schedule.describe())
    }

    /// What it does, on one line for people.
    pub fn reads(&self) -> String {
        match &self.action {
            Action::Exec(words) => format!("exec {}", quoted_line(words.iter().map(String::as_str))),
            Action::Shell(text) if text.chars().any(char::is_control) => format!("shell $'{}'", escaped(text)),
            Action::Shell(text) => format!("shell {text}"),
            Action::Http(http) => format!("http {} {}", http.method, without_password(&http.url)),
            Action::Celery(celery) => format!("celery {}", quoted_line([celery.task.as_str()])),
            Action::Direct(direct) => {
                let form = match direct.form {
                    DirectForm::Stream => "stream",
                    DirectForm::List => "list",
                    DirectForm::Publish => "publish",
                };
                format!("{form} {}", quoted_line([direct.target.as_str()]))
            }
        }
    }

    /// The entry with other fields. Another kind of schedule or action takes the place of the old one; `labels`, `env`,
    /// `dst` and `retry` are merged key by key; `unset` takes fields away, or one key as `labels.KEY`, `env.KEY` and
    /// `retry.KEY`.
    pub fn with(&self, set: Map<String, Value>, unset: &[String]) -> Result<Entry> {
        if set.contains_key("paused") || unset.iter().any(|field| field == "paused") {
            return Err(Error::invalid("paused", "counts only when the entry is created")
                .hint("upbeat pause ID, upbeat resume ID"));
        }
        let mut fields = self.fields().clone();
        for name in unset {
            unset_field(&mut fields, name)?;
        }
        for kinds in [SCHEDULE_KINDS, ACTION_KINDS] {
            if set.keys().any(|field| kinds.contains(&field.trim_end_matches("_json"))) {
                fields.retain(|field, _| !kinds.contains(&field.as_str()));
            }
        }
        if set.contains_key("payload_json") {
            fields.shift_remove("payload");
        }
        // The anchor is the program's own note: another kind of schedule or another start makes it void.
        let is_same_kind = ["every", "rrule"]
            .iter()
            .any(|kind| self.fields.contains_key(*kind) && (set.contains_key(*kind) || fields.contains_key(*kind)));
        if !is_same_kind || set.contains_key("start") {
            fields.shift_remove("anchor");
        }
        for (field, value) in set {
            match (fields.get_mut(&field), value) {
                (Some(Value::Object(old)), Value::Object(new))
                    if ["labels", "env", "dst", "retry"].contains(&field.as_str()) =>
                {
                    old.extend(new);
                }
                (_, value) => {
                    fields.insert(field, value);
                }
            }
        }
        self.with_fields(fields)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

fn unset_field(fields: &mut Map<String, Value>, name: &str) -> Result<()> {
    if FIELDS.contains(&name) {
        fields.shift_remove(name);
        return Ok(());
    }
    match name.split_once('.') {
        Some(("retry", key)) if !Retry::KEYS.contains(&key) => Err(Retry::unknown("retry", key)),
        Some((field @ ("labels" | "env" | "retry"), key)) => {
            if let Some(Value::Object(table)) = fields.get_mut(field) {
                table.shift_remove(key);
            }
            Ok(())
        }
        _ => Err(unknown_field(name)),
    }
}

/// A payload as it is sent: a text as it is, anything else as compact JSON.
pub fn payload_bytes(payload: &Value) -> Vec<u8> {
    match payload {
        Value::String(text) => text.clone().into_bytes(),
        other => other.to_string().into_bytes(),
    }
}

/// A url as people may see it: without what stands between `//` and `@`.
fn without_password(text: &str) -> String {
    match url::Url::parse(text) {
        Ok(mut url) if url.password().is_some() => match url.set_password(Some("***")) {
            Ok(()) => url.to_string(),
            Err(()) => text.to_owned(),
        },
        _ => text.to_owned(),
    }
}
