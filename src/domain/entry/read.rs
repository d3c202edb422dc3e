//! Reads an entry out of its fields and checks all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Entry, EntryData, action, payload_bytes, schedule};
use crate::domain::action::Action;
use crate::domain::fields::{
    ACTION_KINDS, FIELDS, SCHEDULE_KINDS, field_of, in_order, is_later, is_refused_already, not_yet, unknown_field,
};
use crate::domain::id::{EntryId, QueueName};
use crate::domain::json_text;
use crate::domain::nearest::not_one_of;
use crate::domain::policy::{
    CatchUp, DEFINITION_MAX_BYTES, Delivery, KEEP_RUNS, KEEP_RUNS_MAX, LABEL_KEY_MAX_BYTES, LABEL_VALUE_MAX_BYTES,
    LABELS_MAX, MAX_FIRES_MAX, MAX_RUNNING_MAX, NOTE_MAX_BYTES, Overlap, PAYLOAD_MAX_BYTES,
};
use crate::domain::reading::{Complaints, filled_text, inside, shown, span, text, text_map, whole};
use crate::domain::retry::Retry;
use crate::domain::schedule::Schedule;
use crate::domain::span::Span;
use crate::error::{Error, Problem, Result};

/// Longest `cwd`, bytes.
const CWD_MAX_BYTES: usize = 4096;
/// Deepest payload: TOML, Lua and JSON readers all follow this far.
const PAYLOAD_MAX_DEPTH: usize = 32;

/// The entry, or `None` after noting at least one complaint; an entry may come with complaints, too.
pub(super) fn read(id: Option<&EntryId>, mut fields: Map<String, Value>, complaints: &mut Complaints) -> Option<Entry> {
    complaints.note(unwrap_json(&mut fields, "payload", "payload_json"));
    complaints.note(unwrap_json(&mut fields, "celery", "celery_json"));
    let fields = in_order(fields);
    for (field, value) in &fields {
        complaints.note(is_deliverable(field, value));
    }
    let when = match is_refused_already(&fields, SCHEDULE_KINDS) {
        true => None,
        false => schedule::parse(id, &fields, complaints),
    };
    let what = match is_refused_already(&fields, ACTION_KINDS) {
        true => None,
        false => complaints.note(action::parse(&fields)),
    };
    let mut note = Reader { fields: &fields, complaints };
    let spread = note.field("spread", |value| {
        let spread = span("spread", value)?;
        when.as_ref().map_or(Ok(()), |when| fits_between(when, spread)).map(|()| spread)
    });
    let max_fires = note.field("max_fires", |value| {
        whole("max_fires", value, 1..=u64::from(MAX_FIRES_MAX)).map(|number| number as u32)
    });
    let env = note.field("env", action::env).unwrap_or_default();
    let cwd = note.field("cwd", |value| Ok(filled_text("cwd", value, CWD_MAX_BYTES)?.to_owned()));
    let payload = note.field("payload", payload);
    let queue = note.field("queue", |value| QueueName::parse("queue", text("queue", value)?));
    let timeout = note.field("timeout", |value| span("timeout", value));
    let retry = note.field("retry", |value| Retry::parse("retry", value));
    let overlap = note.field("overlap", |value| Overlap::parse("overlap", text("overlap", value)?));
    let catch_up = note.field("catch_up", |value| CatchUp::parse("catch_up", value));
    let start_within = note.field("start_within", |value| span("start_within", value));
    let delivery = note.field("delivery", |value| Delivery::parse("delivery", text("delivery", value)?));
    let max_running = note.field("max_running", |value| {
        whole("max_running", value, 1..=u64::from(MAX_RUNNING_MAX)).map(|number| number as u16)
    });
    let keep_runs = note.field("keep_runs", |value| {
        whole("keep_runs", value, 0..=u64::from(KEEP_RUNS_MAX)).map(|number| number as u16)
    });
    let labels = note.field("labels", labels).unwrap_or_default();
    let text_note = note.field("note", |value| Ok(filled_text("note", value, NOTE_MAX_BYTES)?.to_owned()));
    let size = json_text::length(&fields);
    if size > DEFINITION_MAX_BYTES {
        let why = format!("the definition has {size} bytes of JSON, {DEFINITION_MAX_BYTES} are the most");
        complaints.0.push(Error::Invalid(Problem::bare(why)));
    }
    let action = what?;
    complaints.note(fits_action(&fields, &action, overlap, delivery));
    complaints.note(fits_delivery(delivery, retry.as_ref()));
    let default_overlap = if action.is_message() { Overlap::Allow } else { Overlap::default() };
    Some(Entry(Arc::new(EntryData {
        schedule: when?,
        spread,
        max_fires,
        action,
        env,
        cwd,
        payload,
        queue: queue.unwrap_or_default(),
        timeout,
        retry,
        overlap: overlap.unwrap_or(default_overlap),
        catch_up: catch_up.unwrap_or_default(),
        start_within,
        delivery: delivery.unwrap_or_default(),
        max_running,
        keep_runs: keep_runs.unwrap_or(KEEP_RUNS),
        labels,
        note: text_note,
        fields: Arc::new(fields),
        id: id.cloned(),
    })))
}

struct Reader<'f, 'c> {
    fields: &'f Map<String, Value>,
    complaints: &'c mut Complaints,
}

impl Reader<'_, '_> {
    /// The field read by `read`; `None` where it is absent or, after a complaint, wrong.
    fn field<T>(&mut self, field: &str, read: impl FnOnce(&Value) -> Result<T>) -> Option<T> {
        let value = field_of(self.fields, field)?;
        self.complaints.note(read(value))
    }
}

/// `payload_json` and `celery_json` are the same fields as JSON texts: TOML has no null. A null payload is none.
fn unwrap_json(fields: &mut Map<String, Value>, field: &str, as_text: &str) -> Result<()> {
    if field == "payload" && fields.get(field).is_some_and(Value::is_null) {
        fields.shift_remove(field);
    }
    let Some(value) = fields.shift_remove(as_text) else {
        return Ok(());
    };
    if fields.contains_key(field) {
        return Err(Error::invalid(as_text, format!("{field} is given too; one of them is needed")));
    }
    let value = json_text::parse(as_text, text(as_text, &value)?)
        .map_err(|error| Error::invalid(as_text, error.problem().message.clone()))?;
    if !value.is_null() {
        fields.insert(field.to_owned(), value);
    }
    Ok(())
}

/// Refuses fields that nobody knows and those that this version would not keep.
fn is_deliverable(field: &str, value: &Value) -> Result<()> {
    if !FIELDS.contains(&field) {
        return Err(unknown_field(field));
    }
    if is_later(field) {
        return Err(not_yet(field));
    }
    if value.is_null() {
        return Err(Error::invalid(field, "null is no value").hint("leave the field out"));
    }
    match field {
        "paused" => {
            Err(Error::invalid(field, "counts only when the entry is created")
                .hint("upbeat pause ID, upbeat resume ID"))
        }
        "priority" => only_word(field, value, "normal", &["high", "low"]),
        _ => Ok(()),
    }
}

fn only_word(field: &str, value: &Value, now: &str, later: &[&str]) -> Result<()> {
    match text(field, value)? {
        word if word == now => Ok(()),
        word if later.contains(&word) => Err(not_yet(field).value(word).hint(format!("{now:?} is"))),
        word => {
            let known: Vec<&str> = std::iter::once(now).chain(later.iter().copied()).collect();
            Err(not_one_of(field, word, &known))
        }
    }
}

/// Refuses a spread that could reach the next fire time.
fn fits_between(schedule: &Schedule, spread: Span) -> Result<()> {
    match schedule.shortest_distance() {
        Some(distance) if spread >= distance => {
            let (spread, distance) = (spread.human(), distance.human());
            let why = format!("{spread} is not shorter than the shortest distance of two fire times, {distance}");
            Err(Error::invalid("spread", why).value(spread))
        }
        _ => Ok(()),
    }
}

/// Refuses what an action of this kind can't keep.
fn fits_action(
    fields: &Map<String, Value>,
    action: &Action,
    overlap: Option<Overlap>,
    delivery: Option<Delivery>,
) -> Result<()> {
    let is_command = matches!(action, Action::Exec(_) | Action::Shell(_));
    for field in ["env", "cwd"] {
        if !is_command && fields.contains_key(field) {
            return Err(Error::invalid(field, "goes with exec and shell only").hint(format!("leave {field} out")));
        }
    }
    if matches!(action, Action::Celery(_)) && fields.contains_key("payload") {
        return Err(Error::invalid("payload", "what a task is given are its args and kwargs")
            .hint("celery = { task = \"...\", args = [...], kwargs = { ... } }"));
    }
    if !action.is_message() {
        return Ok(());
    }
    // What holds for a task that is waited for, and for no other message.
    let track = match action {
        Action::Celery(_) => "; or track = true, and the run lasts until the task has ended",
        _ => "",
    };
    if fields.contains_key("timeout") {
        return Err(Error::invalid("timeout", "a message is written in one step, there is nothing to time")
            .hint(format!("leave timeout out{track}")));
    }
    if fields.contains_key("retry") {
        return Err(Error::invalid("retry", "a message is written in the step that fires it, and no node tries again")
            .hint(format!("leave retry out; upbeat dead retry sends a message again that its target refused{track}")));
    }
    if delivery == Some(Delivery::AtMostOnce) {
        return Err(Error::invalid("delivery", "a message is written in the step that fires it, exactly once")
            .value(Delivery::AtMostOnce.word())
            .hint(format!("leave delivery out{track}")));
    }
    if fields.contains_key("max_running") {
        return Err(Error::invalid("max_running", "a message is written in one step and is never active")
            .hint(format!("leave max_running out{track}")));
    }
    match overlap {
        None | Some(Overlap::Allow) => Ok(()),
        Some(rule) => Err(Error::invalid("overlap", "a message is written in one step and overlaps nothing")
            .value(rule.word())
            .hint(format!("leave overlap out{track}"))),
    }
}

/// Refuses attempts that are repeated where none may be.
fn fits_delivery(delivery: Option<Delivery>, retry: Option<&Retry>) -> Result<()> {
    match (delivery, retry) {
        (Some(Delivery::AtMostOnce), Some(retry)) if retry.max_attempts > 1 => {
            let why =
                format!("at_most_once makes one attempt, and retry says {}; one of the two goes", retry.max_attempts);
            Err(Error::invalid("delivery", why)
                .value(Delivery::AtMostOnce.word())
                .hint("leave retry out, or delivery = \"at_least_once\""))
        }
        _ => Ok(()),
    }
}

fn payload(value: &Value) -> Result<Value> {
    let size = payload_bytes(value).len();
    if size > PAYLOAD_MAX_BYTES {
        let why = format!("{size} bytes are too many, {PAYLOAD_MAX_BYTES} are the most");
        return Err(Error::invalid("payload", why).hint("send a reference to the data instead"));
    }
    check_depth("payload", value)?;
    Ok(value.clone())
}

/// Refuses what is nested deeper than every reader follows.
pub(super) fn check_depth(field: &str, value: &Value) -> Result<()> {
    match depth(value) > PAYLOAD_MAX_DEPTH {
        true => Err(Error::invalid(field, format!("is nested more than {PAYLOAD_MAX_DEPTH} deep"))),
        false => Ok(()),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(table) => 1 + table.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn labels(value: &Value) -> Result<BTreeMap<String, String>> {
    let labels = text_map("labels", value)?;
    if labels.len() > LABELS_MAX {
        let why = format!("{} are too many, {LABELS_MAX} are the most", labels.len());
        return Err(Error::invalid("labels", why));
    }
    for (key, value) in &labels {
        let field = inside("labels", key);
        // `-l KEY=VALUE,...` must be able to name it.
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '=' | ',');
        if key.is_empty() || key.len() > LABEL_KEY_MAX_BYTES || key.contains(is_odd) {
            let why = format!("{} is not the key of a label", shown(&Value::from(key.as_str())));
            let rule = format!("1 to {LABEL_KEY_MAX_BYTES} bytes without blanks, = and ,");
            return Err(Error::invalid(field, why).hint(rule));
        }
        if value.len() > LABEL_VALUE_MAX_BYTES {
            let why = format!("{} bytes are too many, {LABEL_VALUE_MAX_BYTES} are the most", value.len());
            return Err(Error::invalid(field, why));
        }
        if value.chars().any(char::is_control) {
            return Err(Error::invalid(field, "a label is one line of text"));
        }
    }
    Ok(labels)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entry(fields: serde_json::Value) -> Entry {
        Entry::parse(fields.as_object().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_spread_that_could_reach_the_next_fire_time_is_refused() {
        let daily =
            entry(serde_json::json!({"cron": ["0 9 * * *", "0 10 * * *"], "shell": "true"})).into_data().schedule;
        assert!(fits_between(&daily, Span(3_599_999)).is_ok());
        let refused = fits_between(&daily, Span(3_600_000)).unwrap_err();
        assert_eq!(refused.to_string(), "spread: 1 h is not shorter than the shortest distance of two fire times, 1 h");
        let once = entry(serde_json::json!({"at": "2027-01-01T00:00Z", "shell": "true"})).into_data().schedule;
        assert!(fits_between(&once, Span(86_400_000)).is_ok());
    }

    #[test]
    fn spread_and_limit_are_said_with_the_times() {
        let mut entry = entry(serde_json::json!({"every": "1h", "shell": "true", "exclude": ["2026-12-25", "cn"]}));
        (entry.spread, entry.max_fires) = (Some(Span(30_000)), Some(200));
        assert_eq!(
            entry.reads_when(),
            "every hour, not on 2026-12-25 and the dates of cn, each up to 30 s later, at most 200 times"
        );
    }
}
