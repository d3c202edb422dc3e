//! Reads the `celery` action.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::{payload_bytes, read};
use crate::config::{Address, Connection};
use crate::domain::address::is_forbidden;
use crate::domain::celery::{Celery, DEFAULT_QUEUE, OWN_HEADERS, PRIORITY_MAX};
use crate::domain::fields::keys_of;
use crate::domain::id::{KEY_PREFIX, is_upbeat_key};
use crate::domain::policy::{PAYLOAD_MAX_BYTES, TARGET_MAX_LEN};
use crate::domain::reading::{
    SPAN_MAX, SPAN_MIN, filled_text, flag, inside, known_keys, shown, span_between, table, whole,
};
use crate::domain::secret;
use crate::domain::span::Span;
use crate::error::{Error, Result};

/// Longest name of a task, bytes.
const TASK_MAX_BYTES: usize = 512;
/// Longest queue and key prefix, bytes.
const QUEUE_MAX_BYTES: usize = 256;
/// Longest url of a broker, bytes.
const URL_MAX_BYTES: usize = 2048;
/// Most bytes of all headers together, as JSON.
const HEADERS_MAX_BYTES: usize = 16 * 1024;
/// Greatest `max_len`.
const MAX_LEN_MAX: u64 = 10_000_000;

/// What Celery calls it, and the way to write what is meant.
const NOT_OURS: &[(&str, &str)] = &[
    ("eta", "at = \"...\" fires once at an instant; countdown = \"60s\" counts from each sending"),
    ("exchange", "messages go straight into the queue's list: name the queue that the exchange leads to"),
    ("routing_key", "messages go straight into the queue's list: name the queue that the key leads to"),
    ("options", "its keys stand in celery itself: celery = { task = \"...\", queue = \"...\" }"),
    ("schedule", "the schedule stands in the entry: cron, every, at or rrule"),
    ("serializer", "arguments are sent as JSON, which every worker accepts by default"),
    ("content_type", "arguments are sent as JSON, which every worker accepts by default"),
    ("compression", "arguments are sent as JSON, not compressed"),
    ("task_id", "the run id is the task's id"),
    ("root_id", "the run id is the task's id"),
    ("retry", "retries of the task are the task's own; retry beside celery sends a tracked one again that failed"),
    ("retry_policy", "a message is written in one step, there is nothing to retry"),
    ("ignore_result", "the task says so itself; track = true asks for a result"),
    ("link", "callbacks are Python's; let the task itself call the next one"),
    ("link_error", "callbacks are Python's; let the task itself call the next one"),
    ("chain", "callbacks are Python's; let the task itself call the next one"),
    ("chord", "callbacks are Python's; let the task itself call the next one"),
    ("group", "callbacks are Python's; let the task itself call the others"),
    ("shadow", "tasks are logged by their names; an own header may say more: headers = { ... }"),
    ("reply_to", "nobody waits for a reply; track = true waits for the result"),
    ("global_keyprefix", "did you mean key_prefix?"),
    ("backend", "did you mean result_backend?"),
    ("broker_url", "did you mean broker?"),
    ("name", "did you mean task?"),
    ("priority_steps", "only Celery's own steps are written to: 0, 3, 6 and 9"),
    ("sep", "only Celery's own separator is written"),
    ("queue_order_strategy", "it says how workers read, and changes nothing here"),
    ("expire_seconds", "did you mean expires?"),
    ("timeout", "time_limit is the worker's, timeout beside celery is that of a tracked run"),
    ("payload", "what a task is given are its args and kwargs"),
];

/// The name of the task, or the table.
pub(crate) fn parse(value: &Value) -> Result<Celery> {
    let nothing = Map::new();
    let (task, settings) = match value {
        Value::String(_) => (name("celery", value)?, &nothing),
        Value::Object(settings) => {
            known(settings)?;
            let Some(task) = settings.get("task") else {
                return Err(
                    Error::invalid("celery.task", "is missing").hint("the name of the task, as app.tasks.report")
                );
            };
            (name("celery.task", task)?, settings)
        }
        _ => {
            return Err(Error::invalid("celery", format!("{} is neither a text nor a table", shown(value)))
                .value(shown(value))
                .hint("write celery = \"app.tasks.report\" or celery = { task = \"app.tasks.report\", args = [1] }"));
        }
    };
    let given = Given(settings);
    let celery = Celery {
        task,
        args: given.read("args", args)?.unwrap_or_default(),
        kwargs: given.read("kwargs", kwargs)?.unwrap_or_default(),
        queue: given.read("queue", key)?.unwrap_or_else(|| DEFAULT_QUEUE.to_owned()),
        priority: given.read("priority", priority)?.unwrap_or(0),
        expires: given.read("expires", seconds)?,
        countdown: given.read("countdown", seconds)?,
        headers: given.read("headers", headers)?.unwrap_or_default(),
        is_tracked: given.read("track", flag)?.unwrap_or(false),
        time_limit: given.read("time_limit", seconds)?,
        soft_time_limit: given.read("soft_time_limit", seconds)?,
        max_len: given.read("max_len", |field, value| whole(field, value, 1..=MAX_LEN_MAX))?.unwrap_or(TARGET_MAX_LEN),
        key_prefix: given.read("key_prefix", key)?.unwrap_or_default(),
        broker: given.read("broker", server)?,
        result_backend: given.read("result_backend", server)?,
    };
    fits(&celery)?;
    Ok(celery)
}

struct Given<'v>(&'v Map<String, Value>);

impl Given<'_> {
    fn read<T>(&self, key: &str, read: impl FnOnce(&str, &Value) -> Result<T>) -> Result<Option<T>> {
        self.0.get(key).map(|value| read(&inside("celery", key), value)).transpose()
    }
}

/// Refuses what Celery knows and this does not, with the way out; else as any unknown key.
fn known(settings: &Map<String, Value>) -> Result<()> {
    for key in settings.keys() {
        if let Some((_, hint)) = NOT_OURS.iter().find(|(name, _)| name == key) {
            return Err(Error::invalid(inside("celery", key), "unknown field").hint(*hint));
        }
    }
    known_keys("celery", settings, keys_of("celery"))
}

/// Refuses settings that contradict each other.
fn fits(celery: &Celery) -> Result<()> {
    if let (Some(expires), Some(countdown)) = (celery.expires, celery.countdown)
        && expires <= countdown
    {
        let why = format!(
            "each task would expire after {}, before it may begin after {}",
            expires.human(),
            countdown.human()
        );
        return Err(Error::invalid("celery.expires", why)
            .value(expires.to_string())
            .hint("a longer expires, or a shorter countdown"));
    }
    if let (Some(hard), Some(soft)) = (celery.time_limit, celery.soft_time_limit)
        && hard <= soft
    {
        let why = format!("{} is not shorter than time_limit, {}", soft.human(), hard.human());
        return Err(Error::invalid("celery.soft_time_limit", why).value(soft.to_string()));
    }
    if celery.result_backend.is_some() && !celery.is_tracked {
        return Err(Error::invalid("celery.result_backend", "results are read with track = true only")
            .hint("track = true, or leave result_backend out"));
    }
    if is_upbeat_key(&celery.list()) {
        let why = format!("{:?} lies under upbeat's own prefix, {KEY_PREFIX}", celery.list());
        return Err(Error::invalid("celery.queue", why).value(celery.list()).hint("choose another name"));
    }
    let given = Value::from(vec![Value::from(celery.args.clone()), Value::Object(celery.kwargs.clone())]);
    let size = payload_bytes(&given).len();
    if size > PAYLOAD_MAX_BYTES {
        let why = format!("args and kwargs take {size} bytes, {PAYLOAD_MAX_BYTES} are the most");
        return Err(Error::invalid("celery", why).hint("send a reference to the data instead"));
    }
    Ok(())
}

fn name(field: &str, value: &Value) -> Result<String> {
    let task = filled_text(field, value, TASK_MAX_BYTES)?;
    if task.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Error::invalid(field, format!("{task:?} is not the name of a task"))
            .value(task)
            .hint("as the worker lists it under [tasks], app.tasks.report; arguments stand in args and kwargs"));
    }
    Ok(task.to_owned())
}

fn args(field: &str, value: &Value) -> Result<Vec<Value>> {
    let Value::Array(args) = value else {
        let error = Error::invalid(field, format!("{} is not a list", shown(value))).value(shown(value));
        return Err(match value {
            Value::Object(_) => error.hint("a table is kwargs"),
            _ => error.hint(format!("write args = [{}]", shown(value))),
        });
    };
    sendable(field, value)?;
    Ok(args.clone())
}

fn kwargs(field: &str, value: &Value) -> Result<Map<String, Value>> {
    let kwargs = match value {
        Value::Array(_) => return Err(Error::invalid(field, "is a list, not a table").hint("a list is args")),
        _ => table(field, value)?,
    };
    sendable(field, value)?;
    Ok(kwargs.clone())
}

/// What arrives as it was written: not nested too deep, no number beyond what Python takes.
fn sendable(field: &str, value: &Value) -> Result<()> {
    read::check_depth(field, value)?;
    match beyond_float(value) {
        Some(number) => {
            Err(Error::invalid(field, format!("{number} is more than a float of Python holds")).value(number))
        }
        None => Ok(()),
    }
}

/// A number with a point or an exponent that reads as infinite.
fn beyond_float(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            let is_float = text.contains(['.', 'e', 'E']);
            (is_float && text.parse::<f64>().is_ok_and(f64::is_infinite)).then_some(text)
        }
        Value::Array(items) => items.iter().find_map(beyond_float),
        Value::Object(table) => table.values().find_map(beyond_float),
        _ => None,
    }
}

/// A queue, or a part of a key.
fn key(field: &str, value: &Value) -> Result<String> {
    let text = filled_text(field, value, QUEUE_MAX_BYTES)?;
    if text.contains(char::is_control) {
        return Err(Error::invalid(field, format!("{text:?} has a control character in it"))
            .value(text.escape_debug().to_string())
            .hint("the list of a priority is chosen by priority"));
    }
    if secret::secret_name(text).is_some() {
        return Err(Error::invalid(field, "can't be a secret").value(text));
    }
    Ok(text.to_owned())
}

fn priority(field: &str, value: &Value) -> Result<u8> {
    match value.as_str() {
        Some(word @ ("high" | "normal" | "low")) => Err(Error::invalid(field, format!("{word:?} is no number"))
            .value(word)
            .hint("Celery's are 0, the first, to 9, the last")),
        _ => Ok(whole(field, value, 0..=u64::from(PRIORITY_MAX))? as u8),
    }
}

/// A duration; a number is Celery's own, seconds.
fn seconds(field: &str, value: &Value) -> Result<Span> {
    let text = match value {
        Value::Number(number) => {
            let ms = number.as_f64().map_or(f64::INFINITY, |seconds| seconds * 1000.0);
            if ms < SPAN_MIN.0 as f64 || ms > SPAN_MAX.0 as f64 {
                let why = format!("{number} seconds are not between {SPAN_MIN} and {SPAN_MAX}");
                return Err(Error::invalid(field, why).value(number.to_string()).hint("leave it out for none"));
            }
            return Ok(Span(ms.round() as u64));
        }
        Value::String(text) => text,
        _ => return span_between(field, value, SPAN_MIN, SPAN_MAX),
    };
    // `2026-12-01T00:00`: an instant is one for all messages, which come again and again.
    if text.len() > 8 && text.contains('-') && text.contains(|c: char| c.is_ascii_digit()) && !text.starts_with('-') {
        return Err(Error::invalid(field, format!("{text:?} is an instant, and counts from each sending here"))
            .value(text.as_str())
            .hint("a duration as \"60s\"; end = \"...\" says when the entry fires no more"));
    }
    span_between(field, value, SPAN_MIN, SPAN_MAX)
}

fn headers(field: &str, value: &Value) -> Result<Map<String, Value>> {
    let headers = table(field, value)?;
    for (name, value) in headers {
        let place = inside(field, name);
        if name.is_empty() || name.contains(char::is_control) {
            return Err(Error::invalid(place, format!("{name:?} is not the name of a header")));
        }
        if OWN_HEADERS.contains(&name.as_str()) {
            let error = Error::invalid(place, "is set by Celery's protocol or by upbeat");
            return Err(match name.as_str() {
                "eta" => error.hint("celery.countdown counts from the sending"),
                "expires" => error.hint("celery.expires counts from the sending"),
                "timelimit" => error.hint("celery.time_limit, celery.soft_time_limit"),
                "compression" => error.hint("arguments are sent as JSON, not compressed"),
                _ => error.hint("choose another name"),
            });
        }
        if value.as_str().and_then(secret::secret_name).is_some() {
            return Err(Error::invalid(place, "a message stands in Redis as it is: no secret is put into it"));
        }
    }
    sendable(field, value)?;
    let size = value.to_string().len();
    if size > HEADERS_MAX_BYTES {
        return Err(Error::invalid(field, format!("{size} bytes are too many, {HEADERS_MAX_BYTES} are the most")));
    }
    Ok(headers.clone())
}

/// A Redis to which a node sends, or a secret that says which.
fn server(field: &str, value: &Value) -> Result<String> {
    let text = filled_text(field, value, URL_MAX_BYTES)?.trim();
    secret::check(field, text)?;
    if secret::secret_name(text).is_some() {
        return Ok(text.to_owned());
    }
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("redis" | "rediss" | "unix" | "redis+unix") => {}
        Some("redis+socket" | "socket") => {
            return Err(Error::invalid(field, "is a socket in kombu's words").hint("write unix:///path/to/socket?db=N"));
        }
        Some("sentinel") => {
            return Err(Error::invalid(field, "Sentinel is not asked who the master is")
                .hint("name the master, redis://HOST:PORT/DB"));
        }
        _ => return Err(no_redis(field, scheme.as_deref())),
    }
    let connection = Connection::parse(text, None).map_err(|why| {
        let problem = why.problem();
        let error = Error::invalid(field, problem.message.clone());
        match &problem.hint {
            Some(hint) => error.hint(hint.clone()),
            None => error,
        }
    })?;
    if connection.password.is_some() {
        return Err(Error::invalid(field, "a password would stand in Redis and in every listing")
            .value(connection.shown)
            .hint("put the whole url into a secret of the node: secret:CELERY_BROKER"));
    }
    if let Address::Tcp { host, .. } = &connection.address
        && let Ok(address) = host.parse::<IpAddr>()
        && is_forbidden(address)
    {
        let why = format!("{address} is link-local or a cloud's metadata service; nothing is sent there");
        return Err(Error::invalid(field, why).value(text));
    }
    Ok(text.to_owned())
}

/// Brokers that are no Redis, each with the ways out.
fn no_redis(field: &str, scheme: Option<&str>) -> Error {
    let (scheme, what) = match scheme {
        Some(scheme @ ("amqp" | "amqps" | "pyamqp" | "librabbitmq" | "py-amqp")) => (scheme, "RabbitMQ"),
        Some(scheme @ "sqs") => (scheme, "Amazon SQS"),
        Some(scheme @ ("confluentkafka" | "kafka")) => (scheme, "Kafka"),
        Some(scheme @ ("gcpubsub" | "pubsub")) => (scheme, "Google Pub/Sub"),
        Some(scheme @ ("azureservicebus" | "azurestoragequeues")) => (scheme, "Azure"),
        Some(scheme @ ("sqla" | "sqlalchemy" | "db" | "db+postgresql" | "django" | "postgresql" | "mysql")) => {
            (scheme, "a database")
        }
        Some(scheme @ ("mongodb" | "mongodb+srv")) => (scheme, "MongoDB"),
        Some(scheme @ ("memory" | "filesystem" | "cache" | "cache+memcached" | "rpc" | "file")) => {
            (scheme, "no server of its own")
        }
        Some(scheme) => (scheme, "no Redis"),
        None => {
            return Error::invalid(field, "is not the url of a Redis")
                .hint("write redis://HOST:PORT/DB, or secret:NAME");
        }
    };
    let why = format!("{scheme}:// is {what}, and messages are written into Redis only");
    let error = Error::invalid(field, why);
    match field.ends_with("result_backend") {
        true => error.hint("a Redis as result_backend, or track = false"),
        false => error.hint(
            "call the app instead: exec = [\"celery\", \"-A\", \"APP\", \"call\", \"TASK\"], or http to a view of it that calls TASK.delay()",
        ),
    }
}
