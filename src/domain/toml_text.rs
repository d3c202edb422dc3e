//! TOML texts: read into JSON values in the order of the file, and written as a person would.

mod pieces;

use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

use crate::error::{Error, Problem, Result};

pub(crate) use pieces::pieces;

/// Reads a TOML document, dates as texts; each complaint about `name` says its line.
pub(crate) fn parse(name: &str, text: &str) -> Result<Map<String, Value>, Vec<Error>> {
    let lines = &Lines { name, text };
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors
            .iter()
            .map(|error| {
                let span = error.span().unwrap_or_default();
                let at = span.start;
                // A key that stands twice is named; the others name what they expected.
                let key = text.get(span).filter(|_| error.message() == "duplicate key").unwrap_or_default();
                lines.complaint(at, format!("{} {key}", error.message()).trim_end())
            })
            .collect());
    }
    table(document.get_ref(), lines).map_err(|error| vec![error])
}

struct Lines<'t> {
    name: &'t str,
    text: &'t str,
}

impl Lines<'_> {
    fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or(self.text.as_bytes());
        1 + before.iter().filter(|&&byte| byte == b'\n').count()
    }

    fn complaint(&self, at: usize, why: &str) -> Error {
        let why = why.replace('\n', "; ");
        Error::Invalid(Problem::bare(format!("not TOML: {why}")).at(self.name, Some(self.line(at))))
    }
}

fn table(table: &DeTable<'_>, lines: &Lines<'_>) -> Result<Map<String, Value>> {
    // The crate sorts keys by name; people expect the order of the file, also in what they send.
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut table = Map::with_capacity(entries.len());
    for (key, item) in entries {
        table.insert(key.get_ref().to_string(), value(item.get_ref(), item.span().start, lines)?);
    }
    Ok(table)
}

fn value(item: &DeValue<'_>, at: usize, lines: &Lines<'_>) -> Result<Value> {
    Ok(match item {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(datetime) => Value::String(datetime.to_string()),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => Value::from(number),
            Err(_) => return Err(lines.complaint(at, "the number is too large")),
        },
        DeValue::Float(digits) => match float(digits.as_str()) {
            Some(number) => Value::Number(number),
            None => return Err(lines.complaint(at, "a number is finite")),
        },
        DeValue::Array(items) => {
            let items = items.iter().map(|item| value(item.get_ref(), item.span().start, lines));
            Value::Array(items.collect::<Result<_>>()?)
        }
        DeValue::Table(inner) => Value::Object(table(inner, lines)?),
    })
}

/// A float, by way of a text so that it equals what is read back from JSON: numbers are compared by their digits.
fn float(digits: &str) -> Option<Number> {
    let number = digits.parse().ok().and_then(Number::from_f64)?;
    number.to_string().parse().ok()
}

/// Whether TOML can hold the value: it has no null, no whole number beyond 63 bits, and floats of 64 bits.
pub(crate) fn can_hold(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Number(number) => number.is_i64() || float(&number.to_string()).is_some_and(|float| float == *number),
        Value::Array(items) => items.iter().all(can_hold),
        Value::Object(table) => table.values().all(can_hold),
        Value::Bool(_) | Value::String(_) => true,
    }
}

/// A key, in quotes where it needs them.
pub(crate) fn key(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(is_bare) { key.to_owned() } else { basic(key) }
}

/// A value on one line, but for texts of several lines; null, which TOML lacks, is an empty text.
pub(crate) fn written(value: &Value) -> String {
    match value {
        Value::Null => "\"\"".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => string(text),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", "))
        }
        Value::Object(table) if table.is_empty() => "{}".to_owned(),
        Value::Object(table) => {
            let pairs: Vec<String> =
                table.iter().map(|(name, value)| format!("{} = {}", key(name), written(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
    }
}

fn string(text: &str) -> String {
    let is_odd = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(is_odd) || text.contains("'''") || text.ends_with('\'') {
        return basic(text);
    }
    if text.trim_end_matches('\n').contains('\n') {
        return format!("'''\n{text}'''");
    }
    let needs_escapes = text.contains(['"', '\\']);
    if needs_escapes && !text.contains(['\'', '\n']) { format!("'{text}'") } else { basic(text) }
}

fn basic(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
