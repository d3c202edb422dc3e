//! JSON values as what a field needs, with complaints that name the field and show the value.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::domain::nearest::nearest;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};

/// The shortest `every`, `timeout` and `start_within`.
pub(crate) const SPAN_MIN: Span = Span(100);
/// The longest of them: 366 d.
pub(crate) const SPAN_MAX: Span = Span(366 * 86_400_000);

/// Complaints of one pass, so that a reader sees all of them at once.
#[derive(Default)]
pub(crate) struct Complaints(pub Vec<Error>);

impl Complaints {
    /// The value, or `None` after noting the complaint.
    pub fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.0.push(error);
                None
            }
        }
    }
}

/// A value as it stands in a message: JSON, cut to a length that can be read.
pub(crate) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

/// `field.key`, for what stands inside a table.
pub(crate) fn inside(field: &str, key: &str) -> String {
    format!("{field}.{}", key.escape_debug())
}

fn wrong(field: &str, value: &Value, needed: &str) -> Error {
    Error::invalid(field, format!("{} is not {needed}", shown(value))).value(shown(value))
}

pub(crate) fn text<'v>(field: &str, value: &'v Value) -> Result<&'v str> {
    match value {
        Value::String(text) if text.contains('\0') => Err(Error::invalid(field, "may not contain a NUL character")),
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) => {
            Err(wrong(field, value, "a text").hint(format!("in quotes: \"{}\"", shown(value))))
        }
        _ => Err(wrong(field, value, "a text")),
    }
}

/// A text of 1 to `max` bytes.
pub(crate) fn filled_text<'v>(field: &str, value: &'v Value, max: usize) -> Result<&'v str> {
    let text = text(field, value)?;
    if text.trim().is_empty() {
        return Err(Error::invalid(field, "is empty").hint("leave the field out"));
    }
    if text.len() > max {
        return Err(Error::invalid(field, format!("{} bytes are too many, {max} are the most", text.len())));
    }
    Ok(text)
}

pub(crate) fn flag(field: &str, value: &Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| wrong(field, value, "true or false"))
}

pub(crate) fn whole(field: &str, value: &Value, range: RangeInclusive<u64>) -> Result<u64> {
    let Some(number) = value.as_u64() else {
        let error = wrong(field, value, &format!("a whole number from {} to {}", range.start(), range.end()));
        return Err(match value.as_str().and_then(|text| text.parse::<u64>().ok()) {
            Some(number) => error.hint(format!("without quotes: {number}")),
            None => error,
        });
    };
    if !range.contains(&number) {
        let why = format!("{number} is not between {} and {}", range.start(), range.end());
        return Err(Error::invalid(field, why).value(number.to_string()));
    }
    Ok(number)
}

/// A duration of 100 ms to 366 d.
pub(crate) fn span(field: &str, value: &Value) -> Result<Span> {
    span_between(field, value, SPAN_MIN, SPAN_MAX)
}

pub(crate) fn span_between(field: &str, value: &Value, least: Span, most: Span) -> Result<Span> {
    let text = match value {
        Value::Number(number) => {
            let ms = number.as_f64().map(|seconds| seconds * 1000.0);
            let example = match ms {
                Some(ms) if ms >= 1.0 && ms <= most.0 as f64 => Span(ms as u64).to_string(),
                _ => "5m".to_owned(),
            };
            let why = format!("{number} has no unit; write \"{example}\"");
            return Err(Error::invalid(field, why).value(number.to_string()));
        }
        Value::String(text) => text.trim(),
        _ => return Err(wrong(field, value, "a duration").hint("whole numbers with ms s m h d w, as in \"1h30m\"")),
    };
    let span = Span::parse(field, text)?;
    if span < least {
        return Err(Error::invalid(field, format!("{text} is shorter than the shortest, {least}")).value(text));
    }
    if span > most {
        return Err(Error::invalid(field, format!("{text} is longer than the longest, {most}")).value(text));
    }
    Ok(span)
}

/// The text of an instant; a bare number is refused with the instant that it would be.
pub(crate) fn instant_text<'v>(field: &str, value: &'v Value) -> Result<&'v str> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => {
            let seconds = number.as_i64().filter(|seconds| (0..=32_503_680_000).contains(seconds));
            let error = wrong(field, value, "an instant");
            Err(match seconds {
                Some(seconds) => error.hint(format!("write \"{}\"", Timestamp(seconds * 1000).to_rfc3339())),
                None => error,
            })
        }
        _ => Err(wrong(field, value, "an instant").hint("RFC 3339, as in \"2026-11-20T02:00:00Z\"")),
    }
}

pub(crate) fn table<'v>(field: &str, value: &'v Value) -> Result<&'v Map<String, Value>> {
    value.as_object().ok_or_else(|| wrong(field, value, "a table").hint("as in { key = \"value\" }"))
}

/// Refuses keys that are not in `known`, with the nearest that is.
pub(crate) fn known_keys(field: &str, table: &Map<String, Value>, known: &[&str]) -> Result<()> {
    let Some(odd) = table.keys().find(|key| !known.contains(&key.as_str())) else {
        return Ok(());
    };
    let place = inside(field, odd);
    Err(match nearest(odd, known.iter().copied()) {
        Some(meant) => Error::invalid(place, "unknown field").hint(format!("did you mean {meant}?")),
        None => Error::invalid(place, format!("unknown field; known are {}", known.join(", "))),
    })
}

/// A table whose values are texts.
pub(crate) fn text_map(field: &str, value: &Value) -> Result<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    for (key, value) in table(field, value)? {
        texts.insert(key.clone(), text(&inside(field, key), value)?.to_owned());
    }
    Ok(texts)
}
