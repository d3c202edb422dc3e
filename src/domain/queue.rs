//! Limits of a queue: how many of its runs execute at a time, how many start within a span; and its pause.
//!
//! A limit holds for the fleet. Where a namespace has several shards each has a share of it, and the shares sum up to it.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::id::QueueName;
use crate::domain::nearest::nearest;
use crate::domain::reading::{Complaints, SPAN_MAX, inside, known_keys, shown, table, whole};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::domain::toml_text;
use crate::error::{Error, Result};

/// Most that `max_running` may be.
pub const RUNNING_MAX: u32 = 10_000;
/// Most starts of a rate.
pub const STARTS_MAX: u32 = 1_000_000;
/// Shortest span of a rate.
pub const RATE_SPAN_MIN: Span = Span(1_000);
/// Queues with a limit or a pause that a namespace may have.
pub const QUEUES_MAX: usize = 1_000;
/// The fields of `[queues.NAME]`.
pub const QUEUE_FIELDS: &[&str] = &["max_running", "rate"];
/// The least version of a program that can read the rules made here.
const RULE_VERSION: u32 = 1;

/// `100/1m`: at most so many runs start within any span of that length. They may start at once; the next one comes when the
/// first of them is that old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Starts.
    pub starts: u32,
    /// Within so long.
    pub span: Span,
}

impl Rate {
    /// Reads `100/1m`: 1 to 1,000,000 starts within 1 s to 366 d.
    ///
    /// # Errors
    /// Invalid, about `field`.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        let text = text.trim();
        let refuse =
            |why: String| Error::invalid(field, why).value(text).hint("write a rate like 100/1m: starts / span");
        let Some((starts, span)) = text.split_once('/') else {
            let why = match text.parse::<u32>() {
                Ok(number) => format!("{number} has no span; {number}/1m starts {number} runs a minute"),
                Err(_) => format!("{text:?} is not a rate"),
            };
            return Err(refuse(why));
        };
        let (starts, span) = (starts.trim(), span.trim());
        let number = starts.parse::<u32>().ok().filter(|_| starts.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(starts) = number.filter(|number| (1..=STARTS_MAX).contains(number)) else {
            return Err(match starts {
                "0" => refuse("0 lets nothing start".to_owned()).hint("upbeat queues pause Q holds a queue"),
                _ => refuse(format!("{starts:?} is not a number of starts from 1 to {STARTS_MAX}")),
            });
        };
        if span.is_empty() {
            return Err(refuse(format!("{text} has no span behind the /")));
        }
        // `100/m` and `100/min`, as other programs write it.
        let span = match span {
            "s" | "sec" | "second" => Span(1_000),
            "m" | "min" | "minute" => Span(60_000),
            "h" | "hour" => Span(3_600_000),
            "d" | "day" => Span(86_400_000),
            span => Span::parse(field, span).map_err(|why| why.value(text))?,
        };
        if span < RATE_SPAN_MIN || span > SPAN_MAX {
            let why = format!("{span} is not between {RATE_SPAN_MIN} and {SPAN_MAX}");
            return Err(Error::invalid(field, why).value(text).hint("10/100ms is the same as 100/1s"));
        }
        Ok(Self { starts, span })
    }
}

/// As [`Rate::parse`] reads it.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.starts, self.span)
    }
}

/// The part of a limit that one of `shards` has: never less than it would be of a lower limit, and they sum up to it.
pub fn share(limit: u32, shard: u16, shards: u16) -> u32 {
    let shards = u32::from(shards.max(1));
    limit / shards + u32::from(u32::from(shard) < limit % shards)
}

/// The limits of a queue, as a file has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueLimits {
    /// Runs that execute at a time, at most.
    pub max_running: Option<u32>,
    /// How fast they may start.
    pub rate: Option<Rate>,
}

impl QueueLimits {
    /// Reads `[queues.NAME]`; complaints name fields below `place`.
    ///
    /// # Errors
    /// Invalid: an unknown field, a wrong type, a number out of range, or neither field.
    pub fn read(place: &str, value: &Value) -> Result<Self> {
        let fields = table(place, value)?;
        if let Some(field) = fields.keys().find(|field| matches!(field.as_str(), "paused" | "pause")) {
            let why = "a file neither pauses nor resumes a queue";
            return Err(Error::invalid(inside(place, field), why).hint("upbeat queues pause Q"));
        }
        if let Some((field, meant)) = fields.keys().find_map(|field| Some((field, synonym(field)?))) {
            return Err(Error::invalid(inside(place, field), "unknown field").hint(format!("did you mean {meant}?")));
        }
        known_keys(place, fields, QUEUE_FIELDS)?;
        let max_running = fields.get("max_running").map(|value| max_running(&inside(place, "max_running"), value));
        let rate = fields.get("rate").map(|value| rate(&inside(place, "rate"), value));
        let limits = Self { max_running: max_running.transpose()?, rate: rate.transpose()? };
        if limits == Self::default() {
            let hint = "upbeat queues set Q --unset max_running,rate takes limits away";
            return Err(Error::invalid(place, "max_running, rate or both are needed").hint(hint));
        }
        Ok(limits)
    }

    /// As a file has them.
    pub fn to_fields(self) -> Map<String, Value> {
        let max_running = self.max_running.map(|most| ("max_running".to_owned(), Value::from(most)));
        let rate = self.rate.map(|rate| ("rate".to_owned(), Value::from(rate.to_string())));
        max_running.into_iter().chain(rate).collect()
    }
}

/// One queue of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileQueue {
    /// Its key in `[queues]`.
    pub name: QueueName,
    /// All its limits: one that is not named goes.
    pub limits: QueueLimits,
}

impl FileQueue {
    /// Reads `[queues]`.
    pub(crate) fn read_all(section: &Value, complaints: &mut Complaints) -> Vec<Self> {
        let mut queues = Vec::new();
        for (name, value) in complaints.note(table("queues", section).cloned()).unwrap_or_default() {
            let place = format!("queues.{}", name.escape_debug());
            let name = complaints.note(QueueName::parse(&place, &name));
            let limits = complaints.note(QueueLimits::read(&place, &value));
            queues.extend(name.zip(limits).map(|(name, limits)| Self { name, limits }));
        }
        queues
    }

    /// As a file for people has them, each behind an empty line if something stands before.
    pub(crate) fn to_toml(queues: &[Self], text: &mut String) {
        for Self { name, limits } in queues {
            text.push_str(if text.is_empty() { "" } else { "\n" });
            text.push_str(&format!("[queues.{}]\n", toml_text::key(name.as_str())));
            for (field, value) in limits.to_fields() {
                text.push_str(&format!("{field} = {}\n", toml_text::written(&value)));
            }
        }
    }

    /// As the section of a JSON document; none where there are none.
    pub(crate) fn to_json(queues: &[Self]) -> Option<(String, Value)> {
        let tables = queues.iter().map(|one| (one.name.to_string(), Value::Object(one.limits.to_fields())));
        (!queues.is_empty()).then(|| ("queues".to_owned(), Value::Object(tables.collect())))
    }
}

/// Words of other programs, and the field that is meant.
fn synonym(field: &str) -> Option<&'static str> {
    match field {
        "concurrency" | "limit" | "max_concurrency" | "max_concurrent" | "workers" => Some("max_running"),
        "rate_limit" | "limiter" | "throttle" => Some("rate"),
        _ => None,
    }
}

/// Reads `max_running` of a queue.
///
/// # Errors
/// Invalid, about `field`.
pub fn max_running(field: &str, value: &Value) -> Result<u32> {
    let most = whole(field, value, 1..=u64::from(RUNNING_MAX)).map_err(|why| match value.as_u64() {
        Some(0) => why.hint("upbeat queues pause Q holds a queue"),
        _ => why,
    })?;
    Ok(u32::try_from(most).unwrap_or(RUNNING_MAX))
}

fn rate(field: &str, value: &Value) -> Result<Rate> {
    match value {
        Value::String(text) => Rate::parse(field, text),
        value => {
            let why = format!("{} is not a rate", shown(value));
            Err(Error::invalid(field, why).hint("write a text like \"100/1m\": starts / span"))
        }
    }
}

/// Reads a name of `--unset`.
///
/// # Errors
/// Invalid, with the nearest field.
pub fn limit_name(name: &str) -> Result<&'static str> {
    let plain = name.trim().trim_start_matches("--").replace('-', "_");
    if let Some(known) = QUEUE_FIELDS.iter().find(|known| **known == plain) {
        return Ok(known);
    }
    let meant = synonym(&plain).or_else(|| nearest(&plain, QUEUE_FIELDS.iter().copied()));
    let error = Error::invalid("unset", format!("{name:?} is no limit of a queue")).value(name);
    Err(match meant {
        Some(meant) => error.hint(format!("did you mean {meant}?")),
        None => error.hint(format!("limits are {}", QUEUE_FIELDS.join(", "))),
    })
}

/// Who paused a queue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct QueuePause {
    /// Since when.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
}

/// What stands in Redis about a queue: limits and pause, and who wrote them last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRule {
    /// Its limits, of the fleet.
    pub limits: QueueLimits,
    /// What of `max_running` is this shard's.
    pub running_share: Option<u32>,
    /// What of the starts of its rate is this shard's.
    pub rate_share: Option<u32>,
    /// Tells one `max_running` from another that came after it was unset.
    pub birth: String,
    /// Whether nothing starts.
    pub pause: Option<QueuePause>,
    /// When it was written.
    pub at: Timestamp,
    /// By whom.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
}

#[derive(Deserialize)]
struct Written {
    v: u32,
    max_running: Option<u32>,
    running_share: Option<u32>,
    rate: Option<String>,
    rate_share: Option<u32>,
    #[serde(default)]
    birth: String,
    paused: Option<QueuePause>,
    at: Timestamp,
    actor: String,
    reason: Option<String>,
}

impl QueueRule {
    /// Reads what the script wrote.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where it is damaged, [`Error::Conflict`] where only a newer program can read it. Then nothing of the
    /// queue starts.
    pub fn read(queue: &str, text: &[u8]) -> Result<Self> {
        let version = serde_json::from_slice::<Value>(text).ok().and_then(|value| value["v"].as_u64());
        if version.is_some_and(|version| version > u64::from(RULE_VERSION)) {
            let why = format!("the limits of queue {queue} were written by a newer upbeat, nothing of it starts here");
            return Err(Error::Conflict(crate::error::Problem::new("queue", why)).value(queue).hint("update upbeat"));
        }
        let corrupt = |why: String| {
            let problem =
                crate::error::Problem::new("queue", format!("the limits of queue {queue} are damaged: {why}"));
            Error::Corrupt(
                problem.value(queue).hint(format!("write them again: upbeat queues set {queue} --max-running N")),
            )
        };
        let written: Written = serde_json::from_slice(text).map_err(|why| corrupt(why.to_string()))?;
        debug_assert!(written.v <= RULE_VERSION);
        let rate = written.rate.as_deref().map(|text| Rate::parse("rate", text)).transpose();
        Ok(Self {
            limits: QueueLimits {
                max_running: written.max_running,
                rate: rate.map_err(|why| corrupt(why.to_string()))?,
            },
            running_share: written.running_share,
            rate_share: written.rate_share,
            birth: written.birth,
            pause: written.paused,
            at: written.at,
            actor: written.actor,
            reason: written.reason,
        })
    }
}

/// Starts within the span of a rate that ends `now`, and when the oldest of them counts no longer; of what `lua/parts/gates.lua`
/// keeps.
pub fn started(packed: &[u8], now: Timestamp, span: Span) -> (u64, Option<Timestamp>) {
    let mut count = 0;
    let mut first = None;
    for slice in packed.chunks_exact(10) {
        let number = |bytes: &[u8]| bytes.iter().fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
        let (ends, starts) = (number(&slice[..6]), number(&slice[6..]));
        if ends > now.0 - span.ms() && ends <= now.0 + span.ms() {
            count += starts.unsigned_abs();
            first.get_or_insert(Timestamp(ends + span.ms()));
        }
    }
    (count, first)
}

#[cfg(test)]
mod tests;
