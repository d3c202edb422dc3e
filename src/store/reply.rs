//! Replies of Redis as plain values; what does not fit is [`Error::Internal`], never a panic.

use fred::types::Value;

use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};

/// A reply, taken apart from the front.
pub struct Reply(std::vec::IntoIter<Value>);

impl Reply {
    /// A reply that is a list.
    pub fn list(value: Value) -> Result<Self> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            Value::Null => Ok(Self(Vec::new().into_iter())),
            other => Err(unfit("a list", &other)),
        }
    }

    /// A list that a script kept as JSON.
    pub fn of_json(values: &[serde_json::Value]) -> Self {
        let plain = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => Value::from(text.as_str()),
            serde_json::Value::Number(number) => Value::Integer(number.as_f64().unwrap_or(0.0) as i64),
            serde_json::Value::Array(values) => Value::Array(Self::of_json(values).rest()),
            _ => Value::Null,
        };
        Self(values.iter().map(plain).collect::<Vec<_>>().into_iter())
    }

    /// The next element.
    pub fn next(&mut self) -> Result<Value> {
        self.0.next().ok_or_else(|| Error::internal("a reply of Redis is too short"))
    }

    /// The next element as a whole number.
    pub fn number(&mut self) -> Result<i64> {
        number(self.next()?)
    }

    /// The next element as an instant; -1 is none.
    pub fn instant(&mut self) -> Result<Option<Timestamp>> {
        Ok(Some(Timestamp(self.number()?)).filter(|at| at.0 >= 0))
    }

    /// The next element as text.
    pub fn text(&mut self) -> Result<String> {
        text(self.next()?)
    }

    /// The next element as a list of texts.
    pub fn texts(&mut self) -> Result<Vec<String>> {
        texts(self.next()?)
    }

    /// The next element as pairs of text and bytes.
    pub fn pairs(&mut self) -> Result<Vec<(String, Vec<u8>)>> {
        pairs(self.next()?)
    }

    /// What is left.
    pub fn rest(self) -> Vec<Value> {
        self.0.collect()
    }
}

/// A whole number; numbers as text are read too.
pub fn number(value: Value) -> Result<i64> {
    match &value {
        Value::Integer(number) => Ok(*number),
        Value::Double(number) => Ok(*number as i64),
        _ => value.as_i64().ok_or_else(|| unfit("a number", &value)),
    }
}

/// Text; what is not UTF-8 is replaced.
pub fn text(value: Value) -> Result<String> {
    Ok(String::from_utf8_lossy(&bytes(value)?).into_owned())
}

/// Bytes.
pub fn bytes(value: Value) -> Result<Vec<u8>> {
    match value {
        Value::String(text) => Ok(text.as_bytes().to_vec()),
        Value::Bytes(bytes) => Ok(bytes.to_vec()),
        Value::Integer(number) => Ok(number.to_string().into_bytes()),
        other => Err(unfit("text", &other)),
    }
}

/// Bytes, or none where Redis has nothing.
pub fn maybe_bytes(value: Value) -> Result<Option<Vec<u8>>> {
    if value.is_null() { Ok(None) } else { bytes(value).map(Some) }
}

/// A list of texts.
pub fn texts(value: Value) -> Result<Vec<String>> {
    Reply::list(value)?.0.map(text).collect()
}

/// A flat list of text and bytes in turn, as `HGETALL` gives it; a map is read too.
pub fn pairs(value: Value) -> Result<Vec<(String, Vec<u8>)>> {
    if let Value::Map(map) = value {
        return map
            .inner()
            .into_iter()
            .map(|(key, value)| Ok((key.into_string().unwrap_or_default(), bytes(value)?)))
            .collect();
    }
    let mut reply = Reply::list(value)?;
    let mut pairs = Vec::new();
    while let Some(first) = reply.0.next() {
        pairs.push((text(first)?, bytes(reply.next()?)?));
    }
    Ok(pairs)
}

fn unfit(wanted: &str, value: &Value) -> Error {
    Error::internal(format!("a reply of Redis should be {wanted}, it is {:?}", value.kind()))
}
