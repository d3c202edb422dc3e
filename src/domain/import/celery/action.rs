//! What a beat's entry sends, as a `celery` action: task, arguments and those options that are part of the message.

use serde_json::{Map, Value};

use super::entry::{BeatEntry, Instant, given};
use super::when::span_of;
use super::{BeatDefaults, route, shortened, type_of};
use crate::domain::celery::{DEFAULT_QUEUE, PRIORITY_MAX};
use crate::domain::reading::{inside, shown, table, text};
use crate::error::{Error, Result};

/// What RedBeat's reader turns into objects of Python, so that the message holds something else.
const REDBEAT_TYPES: &[&str] = &["datetime", "interval", "crontab", "weekday", "rrule"];

/// Options that change nothing about the message.
const WITHOUT_EFFECT: &[&str] =
    &["retry", "retry_policy", "mandatory", "immediate", "declare", "add_to_parent", "relative"];

/// Options whose effect is lost, and what it was.
const REFUSED: &[(&str, &str, &str)] = &[
    ("eta", "the same instant for each fire", "countdown counts from each fire; at fires once"),
    ("link", "callbacks are Python's", "let the task itself call the next one"),
    ("link_error", "callbacks are Python's", "let the task itself handle its errors"),
    ("chain", "callbacks are Python's", "let the task itself call the next one"),
    ("chord", "callbacks are Python's", "let the task itself call the next one"),
    ("group_id", "it belongs to one group of tasks", "leave it out in the app"),
    ("task_id", "each message has the same id", "leave it out in the app: the run id is the task's id"),
    ("root_id", "each message has the same id", "leave it out in the app: the run id is the task's id"),
    ("parent_id", "each message has the same id", "leave it out in the app"),
    ("reply_to", "nobody reads replies here", "leave it out in the app"),
    ("argsrepr", "the task would be logged with its arguments", "leave it out in the app, if they may be seen in logs"),
    (
        "kwargsrepr",
        "the task would be logged with its arguments",
        "leave it out in the app, if they may be seen in logs",
    ),
];

/// What is sent.
pub(super) struct Action {
    /// For `celery`.
    pub celery: Value,
    /// Where the messages have one end of their lives in common: for `end`.
    pub ends_at: Option<Instant>,
}

/// The message of the entry.
pub(super) fn of(beat: &BeatEntry, defaults: &BeatDefaults, notes: &mut Vec<String>) -> Result<Action> {
    let name = shortened(&beat.name);
    let mut sent = Map::new();
    sent.insert("task".to_owned(), Value::from(beat.task.as_str()));
    if !beat.args.is_empty() {
        beat.args.iter().enumerate().try_for_each(|(at, value)| is_plain(&inside("args", &at.to_string()), value))?;
        sent.insert("args".to_owned(), Value::from(beat.args.clone()));
    }
    if !beat.kwargs.is_empty() {
        beat.kwargs.iter().try_for_each(|(key, value)| is_plain(&inside("kwargs", &shortened(key)), value))?;
        sent.insert("kwargs".to_owned(), Value::Object(beat.kwargs.clone()));
    }
    let mut options = Options { options: &beat.options, sent, ends_at: None };
    options.refuse()?;
    options.encoding(defaults)?;
    options.queue(defaults)?;
    options.priority(&name, defaults, notes)?;
    options.expires(&name, notes)?;
    for (option, field) in
        [("countdown", "countdown"), ("time_limit", "time_limit"), ("soft_time_limit", "soft_time_limit")]
    {
        options.seconds(option, field)?;
    }
    options.headers()?;
    for option in ["ignore_result", "shadow"] {
        if given(&beat.options, option).is_some_and(|value| *value != Value::Bool(false)) {
            notes.push(format!("{name}: options.{option} is left out: the task itself decides that"));
        }
    }
    for (key, value) in [("key_prefix", &defaults.key_prefix), ("broker", &defaults.broker)] {
        if let Some(value) = value {
            options.sent.insert(key.to_owned(), Value::from(value.as_str()));
        }
    }
    let (mut sent, ends_at) = (options.sent, options.ends_at);
    let celery = if sent.len() == 1 { sent.remove("task").unwrap_or_default() } else { Value::Object(sent) };
    Ok(Action { celery, ends_at })
}

struct Options<'b> {
    options: &'b Map<String, Value>,
    sent: Map<String, Value>,
    ends_at: Option<Instant>,
}

impl Options<'_> {
    fn given(&self, option: &str) -> Option<&Value> {
        given(self.options, option)
    }

    fn text(&self, option: &str) -> Result<Option<&str>> {
        let value = self.given(option).map(|value| text(&place(option), value)).transpose()?;
        Ok(value.filter(|text| !text.is_empty()))
    }

    /// What can't be kept, and what nobody knows.
    fn refuse(&self) -> Result<()> {
        const READ: &[&str] = &[
            "queue",
            "exchange",
            "routing_key",
            "exchange_type",
            "priority",
            "expires",
            "expire_seconds",
            "countdown",
            "time_limit",
            "soft_time_limit",
            "headers",
            "ignore_result",
            "shadow",
            "serializer",
            "compression",
            "delivery_mode",
        ];
        for (option, value) in self.options.iter().filter(|(_, value)| !value.is_null()) {
            if READ.contains(&option.as_str()) || WITHOUT_EFFECT.contains(&option.as_str()) {
                continue;
            }
            let known = REFUSED.iter().find(|(refused, ..)| refused == option);
            if known.is_some() && value.as_array().is_some_and(Vec::is_empty) {
                continue;
            }
            return Err(match known {
                Some((_, why, hint)) => Error::invalid(place(option), *why).hint(*hint),
                None => {
                    Error::invalid(place(&shortened(option)), "can't be carried over").hint("leave it out in the app")
                }
            });
        }
        Ok(())
    }

    /// JSON, not compressed: what the body of a message is here.
    fn encoding(&self, defaults: &BeatDefaults) -> Result<()> {
        let own = self.text("serializer")?;
        let (field, serializer) = match own {
            Some(own) => (place("serializer"), Some(own)),
            None => ("task_serializer".to_owned(), defaults.serializer.as_deref()),
        };
        if let Some(other) = serializer.filter(|name| !["json", "application/json"].contains(name)) {
            let hint = "serializer = \"json\" in the app; workers must accept it (accept_content)";
            return Err(Error::invalid(field, format!("\"{}\" is not json", shortened(other))).hint(hint));
        }
        if self.text("compression")?.is_some() {
            return Err(Error::invalid(place("compression"), "messages are not compressed here")
                .hint("leave it out in the app: workers read both"));
        }
        Ok(())
    }

    /// Celery asks the exchange only where a routing key is given, too.
    fn queue(&mut self, defaults: &BeatDefaults) -> Result<()> {
        let default = defaults.default_queue.as_deref().unwrap_or(DEFAULT_QUEUE);
        let queue = match (self.text("exchange")?, self.text("routing_key")?) {
            (Some(exchange), Some(key)) => route::queue_of(exchange, key, &defaults.bindings)?,
            _ => self.text("queue")?.unwrap_or(default).to_owned(),
        };
        if queue != DEFAULT_QUEUE {
            self.sent.insert("queue".to_owned(), Value::from(queue));
        }
        Ok(())
    }

    fn priority(&mut self, name: &str, defaults: &BeatDefaults, notes: &mut Vec<String>) -> Result<()> {
        let Some(value) = self.given("priority") else { return Ok(()) };
        let Some(priority) = value.as_i64() else {
            return Err(Error::invalid(place("priority"), format!("{} is not a whole number", shown(value))));
        };
        let counted = priority.clamp(0, i64::from(PRIORITY_MAX));
        if counted != priority {
            notes.push(format!(
                "{name}: priority {priority} is written as {counted}, as which Celery counts it in Redis"
            ));
        }
        // Messages go into the list of the step below; the list of step 0 is the queue itself.
        let step = counted / 3 * 3;
        if let Some(steps) = &defaults.priority_steps
            && step > 0
            && !steps.contains(&step)
        {
            let why =
                format!("the list of priority {counted}, that of step {step}, is none that the app's workers read");
            return Err(
                Error::invalid(place("priority"), why).hint("priority_steps = [0, 3, 6, 9] in the app, or no priority")
            );
        }
        if counted > 0 {
            self.sent.insert("priority".to_owned(), Value::from(counted));
        }
        Ok(())
    }

    /// Seconds, or an instant: then nothing that is sent later is executed.
    fn expires(&mut self, name: &str, notes: &mut Vec<String>) -> Result<()> {
        let field = place("expires");
        let option = if self.given("expires").is_some() { "expires" } else { "expire_seconds" };
        let Some(value) = self.given(option) else { return Ok(()) };
        if let Value::Object(parts) = value
            && type_of(parts) == Some("datetime")
        {
            self.ends_at = Some(Instant::read(&field, value)?);
            notes.push(format!(
                "{name}: expires is an instant: it is the end of the entry; a message of before that no worker has begun by then is still executed"
            ));
            return Ok(());
        }
        let seconds = seconds(&field, value)?;
        if seconds <= 0.0 {
            let why = format!("{} s: every worker drops these messages today", shown(value));
            return Err(Error::invalid(field, why));
        }
        self.sent.insert("expires".to_owned(), Value::from(span_of(&field, seconds)?.to_string()));
        Ok(())
    }

    /// An option in seconds; 0 is none to Celery.
    fn seconds(&mut self, option: &str, field: &str) -> Result<()> {
        let Some(value) = self.given(option) else { return Ok(()) };
        let place = place(option);
        let seconds = seconds(&place, value)?;
        if seconds > 0.0 {
            self.sent.insert(field.to_owned(), Value::from(span_of(&place, seconds)?.to_string()));
        }
        Ok(())
    }

    fn headers(&mut self) -> Result<()> {
        let Some(value) = self.given("headers") else { return Ok(()) };
        let mut headers = table(&place("headers"), value)?.clone();
        // A beat says so of all its messages.
        headers.shift_remove("celery_beat_task");
        headers.iter().try_for_each(|(key, value)| is_plain(&inside("options.headers", &shortened(key)), value))?;
        if !headers.is_empty() {
            self.sent.insert("headers".to_owned(), Value::Object(headers));
        }
        Ok(())
    }
}

fn place(option: &str) -> String {
    inside("options", option)
}

fn seconds(field: &str, value: &Value) -> Result<f64> {
    value.as_f64().ok_or_else(|| Error::invalid(field, format!("{} is not a number of seconds", shown(value))))
}

/// Refuses what is no JSON to a beat, though it is stored so.
fn is_plain(field: &str, value: &Value) -> Result<()> {
    match value {
        Value::Object(parts) => {
            // Kombu's own form has a value beside its type, and every worker reads it.
            if let Some(kind) =
                type_of(parts).filter(|kind| REDBEAT_TYPES.contains(kind) && !parts.contains_key("__value__"))
            {
                return Err(Error::invalid(field, format!("is a {kind} of Python, not JSON"))
                    .hint("a text or a number that the task reads"));
            }
            parts.values().try_for_each(|value| is_plain(field, value))
        }
        Value::Array(list) => list.iter().try_for_each(|value| is_plain(field, value)),
        _ => Ok(()),
    }
}
