//! Reads `retry`.

use serde_json::{Map, Value};

use super::{Backoff, DELAY_MAX, MAX_ATTEMPTS_MAX, NOT_ON_MAX, NotOn, Retry};
use crate::domain::nearest::{nearest, not_one_of};
use crate::domain::reading::{inside, shown, span, span_between, text, whole};
use crate::domain::run::Reason;
use crate::domain::span::Span;
use crate::error::{Error, Result};

/// Words of other programs and the key that is meant.
const SYNONYMS: &[(&str, &str)] = &[
    ("attempts", "max_attempts"),
    ("retries", "max_attempts"),
    ("max_retries", "max_attempts"),
    ("maximum_attempts", "max_attempts"),
    ("max", "max_attempts"),
    ("max_tries", "max_attempts"),
    ("tries", "max_attempts"),
    ("count", "max_attempts"),
    ("limit", "max_attempts"),
    ("strategy", "backoff"),
    ("mode", "backoff"),
    ("policy", "backoff"),
    ("kind", "backoff"),
    ("type", "backoff"),
    ("factor", "backoff"),
    ("multiplier", "backoff"),
    ("backoff_coefficient", "backoff"),
    ("interval", "delay"),
    ("wait", "delay"),
    ("countdown", "delay"),
    ("initial_interval", "delay"),
    ("initial_delay", "delay"),
    ("min_delay", "delay"),
    ("default_retry_delay", "delay"),
    ("retry_delay", "delay"),
    ("base", "delay"),
    ("cap", "max_delay"),
    ("max_interval", "max_delay"),
    ("maximum_interval", "max_delay"),
    ("max_backoff", "max_delay"),
    ("retry_backoff_max", "max_delay"),
    ("random", "jitter"),
    ("retry_jitter", "jitter"),
    ("spread", "jitter"),
    ("timeout", "within"),
    ("deadline", "within"),
    ("max_time", "within"),
    ("max_elapsed", "within"),
    ("total", "within"),
    ("except", "not_on"),
    ("ignore", "not_on"),
    ("unless", "not_on"),
    ("dont_retry_on", "not_on"),
    ("non_retryable", "not_on"),
    ("non_retryable_errors", "not_on"),
];

/// Words of other programs and the backoff that is meant.
const BACKOFFS: &[(&str, &str)] = &[
    ("fixed", "constant"),
    ("none", "constant"),
    ("regular", "constant"),
    ("exp", "exponential"),
    ("expo", "exponential"),
    ("double", "exponential"),
    ("incremental", "linear"),
    ("incrementing", "linear"),
];

/// The reasons for which an attempt fails by itself.
const REASONS: &[Reason] = &[
    Reason::Exit,
    Reason::Signal,
    Reason::Timeout,
    Reason::HttpStatus,
    Reason::Connect,
    Reason::Target,
    Reason::TargetFull,
    Reason::Panic,
    Reason::Refused,
];

const EXAMPLE: &str = "as in retry = { max_attempts = 3 }, or --retry max_attempts=3";

impl Retry {
    /// The keys of the table.
    pub(crate) const KEYS: &[&str] = &["max_attempts", "backoff", "delay", "max_delay", "jitter", "within", "not_on"];

    /// Reads a table of `max_attempts`, `backoff`, `delay`, `max_delay`, `jitter`, `within` and `not_on`. What is left out
    /// is as in [`Retry::default`]; a `delay` that is longer than its `max_delay` moves that one.
    ///
    /// # Errors
    ///
    /// Invalid, about `field` or a key of it.
    pub fn parse(field: &str, value: &Value) -> Result<Self> {
        let Value::Object(given) = value else {
            return Err(no_table(field, value));
        };
        if let Some(odd) = given.keys().find(|key| !Self::KEYS.contains(&key.as_str())) {
            return Err(Self::unknown(field, odd));
        }
        let mut retry = Self::default();
        let key = |key: &str| given.get(key).map(|value| (inside(field, key), value));
        if let Some((field, value)) = key("max_attempts") {
            retry.max_attempts = max_attempts(&field, value)?;
        }
        if let Some((field, value)) = key("backoff") {
            retry.backoff = Backoff::parse(&field, text(&field, value)?)?;
        }
        if let Some((field, value)) = key("delay") {
            retry.delay = span_between(&field, value, Span(0), DELAY_MAX)?;
        }
        retry.max_delay = match key("max_delay") {
            Some((field, value)) => max_delay(&field, value, &retry, given)?,
            None => retry.max_delay.max(retry.delay),
        };
        if let Some((field, value)) = key("jitter") {
            retry.jitter = jitter(&field, value)?;
        }
        if let Some((field, value)) = key("within") {
            retry.within = Some(span(&field, value)?);
        }
        if let Some((field, value)) = key("not_on") {
            retry.not_on = not_on(&field, value)?;
        }
        Ok(retry)
    }

    /// The complaint about a key that `retry` does not have, with the one that is meant.
    pub(crate) fn unknown(field: &str, odd: &str) -> Error {
        let plain = odd.to_lowercase().replace('-', "_");
        let synonym = SYNONYMS.iter().find(|(word, _)| word.replace('_', "") == plain.replace('_', ""));
        let meant = synonym.map(|(_, meant)| *meant).or_else(|| nearest(&plain, Self::KEYS.iter().copied()));
        let place = inside(field, odd);
        match meant {
            Some("max_attempts") if plain.contains("retries") => Error::invalid(place, "unknown field")
                .hint("did you mean max_attempts? it counts the first attempt too: 3 retries are max_attempts = 4"),
            Some("backoff") if ["factor", "multiplier"].contains(&plain.as_str()) || plain.ends_with("coefficient") => {
                Error::invalid(place, "unknown field").hint("backoff = \"exponential\" doubles each wait")
            }
            Some(meant) => Error::invalid(place, "unknown field").hint(format!("did you mean {meant}?")),
            None => Error::invalid(place, format!("unknown field; known are {}", Self::KEYS.join(", "))),
        }
    }
}

impl Backoff {
    /// Reads [`Self::word`].
    pub fn parse(field: &str, word: &str) -> Result<Self> {
        if let Some(backoff) = Self::ALL.into_iter().find(|backoff| backoff.word() == word) {
            return Ok(backoff);
        }
        let plain = word.to_lowercase();
        Err(match BACKOFFS.iter().find(|(other, _)| *other == plain) {
            Some((_, meant)) => Error::invalid(field, format!("{word:?} is called {meant} here")).value(word),
            None => not_one_of(field, word, &Self::ALL.map(Self::word)),
        })
    }
}

impl NotOn {
    /// Reads `exit:N`, `exit:N-M`, `http:N`, `http:N-M`, or the reason of a failure.
    pub fn parse(field: &str, item: &str) -> Result<Self> {
        let refuse = |why: String| Error::invalid(field, why).value(item);
        match item.split_once(':') {
            Some(("exit", codes)) => match range(codes) {
                Some((0, _)) => Err(refuse(format!("{item}: a command that exits with 0 has not failed"))
                    .hint("codes go from 1 to 255, as in exit:2 or exit:2-5")),
                Some((low, high)) if low <= high && high <= 255 => Ok(Self::Exit(low as u8, high as u8)),
                _ => Err(refuse(format!("{item:?} names no exit codes"))
                    .hint("codes go from 1 to 255, as in exit:2 or exit:2-5")),
            },
            Some(("http", statuses)) => match range(statuses) {
                Some((low, high)) if low >= 100 && low <= high && high <= 599 => Ok(Self::Http(low, high)),
                _ => Err(refuse(format!("{item:?} names no statuses"))
                    .hint("statuses go from 100 to 599, as in http:404 or http:400-499")),
            },
            _ => reason(field, item),
        }
    }
}

fn no_table(field: &str, value: &Value) -> Error {
    let refuse = |why: &str| Error::invalid(field, format!("{} is not a table{why}", shown(value))).value(shown(value));
    match value {
        Value::Number(number) if number.as_u64().is_some_and(|n| (1..=u64::from(MAX_ATTEMPTS_MAX)).contains(&n)) => {
            refuse("; max_attempts counts the first attempt too")
                .hint(format!("write retry = {{ max_attempts = {number} }}, or --retry max_attempts={number}"))
        }
        Value::String(word) if Backoff::parse(field, word).is_ok() => {
            refuse("").hint(format!("write retry = {{ backoff = {word:?} }}, or --retry backoff={word}"))
        }
        Value::String(text) if text.parse::<u64>().is_ok() => {
            refuse("; max_attempts counts the first attempt too").hint(EXAMPLE)
        }
        Value::Bool(false) => refuse("").hint("leave retry out: an attempt that failed is then not repeated"),
        _ => refuse("").hint(EXAMPLE),
    }
}

fn max_attempts(field: &str, value: &Value) -> Result<u16> {
    match whole(field, value, 1..=u64::from(MAX_ATTEMPTS_MAX)) {
        Ok(number) => Ok(number as u16),
        Err(error) if value.as_u64() == Some(0) => {
            Err(error.hint("1 is one attempt, which is not repeated; it is the same without retry"))
        }
        Err(error) => Err(error),
    }
}

fn max_delay(field: &str, value: &Value, retry: &Retry, given: &Map<String, Value>) -> Result<Span> {
    let span = span_between(field, value, Span(0), DELAY_MAX)?;
    if span < retry.delay {
        let default = if given.contains_key("delay") { "" } else { ", which is its default" };
        let why = format!("{span} is shorter than delay, {}{default}", retry.delay);
        return Err(Error::invalid(field, why).value(span.to_string()).hint("write a shorter delay too"));
    }
    Ok(span)
}

fn jitter(field: &str, value: &Value) -> Result<f64> {
    match value.as_f64() {
        Some(part) if (0.0..=1.0).contains(&part) => Ok(part),
        _ => {
            let error = Error::invalid(field, format!("{} is not a number from 0 to 1", shown(value)));
            Err(error.value(shown(value)).hint("the part of a wait that is left to chance, as in jitter = 0.2"))
        }
    }
}

/// A list of texts, or one text with commas.
fn not_on(field: &str, value: &Value) -> Result<Vec<NotOn>> {
    let items: Vec<&str> = match value {
        Value::Array(items) => items.iter().map(|item| text(field, item)).collect::<Result<_>>()?,
        Value::String(items) => items.split(',').collect(),
        _ => {
            return Err(Error::invalid(field, format!("{} is not a list of texts", shown(value)))
                .value(shown(value))
                .hint("as in [\"exit:2\", \"http:400-499\", \"timeout\"]"));
        }
    };
    if items.len() > NOT_ON_MAX {
        let why = format!("{} items are too many, {NOT_ON_MAX} are the most", items.len());
        return Err(Error::invalid(field, why).hint("write ranges, as in exit:2-5"));
    }
    items.into_iter().map(|item| NotOn::parse(field, item.trim())).collect()
}

fn reason(field: &str, item: &str) -> Result<NotOn> {
    let refuse = |why: String| Error::invalid(field, why).value(item);
    let wide = item.strip_prefix("http").or_else(|| item.strip_prefix("status")).unwrap_or(item);
    if let Some((low, high)) = range(wide.trim_start_matches([':', '_', '='])) {
        let meant = if low >= 100 && high <= 599 { "http" } else { "exit" };
        let codes = if low == high { low.to_string() } else { format!("{low}-{high}") };
        return Err(refuse(format!("{item:?} says not of what")).hint(format!("did you mean {meant}:{codes}?")));
    }
    match Reason::from_word(item) {
        Some(reason) if REASONS.contains(&reason) => Ok(NotOn::Reason(reason)),
        Some(Reason::Lost | Reason::Drained) => {
            Err(refuse(format!("{item}: what happens to a node is no failure of the attempt"))
                .hint("delivery = \"at_most_once\" repeats no attempt that was lost with its node"))
        }
        Some(_) => Err(refuse(format!("no attempt fails for the reason {item}")).hint(known_reasons())),
        None => {
            let words: Vec<&str> = REASONS.iter().map(|reason| reason.word()).collect();
            let error = refuse(format!("{item:?} is not a kind of failure"));
            Err(match nearest(item, words) {
                Some(meant) => error.hint(format!("did you mean {meant}?")),
                None => error.hint(known_reasons()),
            })
        }
    }
}

fn known_reasons() -> String {
    let words: Vec<&str> = REASONS.iter().map(|reason| reason.word()).collect();
    format!("exit:2, exit:2-5, http:404, http:400-499, or one of {}", words.join(", "))
}

/// `2` or `2-5`.
fn range(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    Some((number(low)?, number(high)?))
}
