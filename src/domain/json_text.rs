//! JSON texts from people: a key that is given twice is a mistake and not the last one's silent win.

use std::{fmt, io};

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::{Error, Problem, Result};

/// Reads one JSON value; the complaint about `name` says the line.
pub fn parse(name: &str, text: &str) -> Result<Value> {
    match serde_json::from_str::<Strict>(text) {
        Ok(Strict(value)) => Ok(value),
        Err(error) => {
            let text = error.to_string();
            let reason = text.split(" at line ").next().unwrap_or_default().to_lowercase();
            Err(Error::Invalid(Problem::bare(format!("not JSON: {reason}")).at(name, Some(error.line()))))
        }
    }
}

/// Bytes of a table as compact JSON.
pub(crate) fn length(table: &Map<String, Value>) -> usize {
    length_of(table)
}

/// Bytes of anything as compact JSON.
pub(crate) fn length_of(value: &impl Serialize) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // JSON: serde_json has nothing to refuse.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

/// serde_json hands over a number as a table with this key: that is how it keeps all digits.
const NUMBER: &str = "$serde_json::private::Number";

/// A value in which no key is given twice.
pub(crate) struct Strict(pub Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut table = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if key == NUMBER {
                let digits = entries.next_value::<String>()?;
                return digits
                    .parse()
                    .map(Value::Number)
                    .map_err(|_| A::Error::custom(format!("{digits} is no number")));
            }
            let Strict(value) = entries.next_value()?;
            if table.contains_key(&key) {
                return Err(A::Error::custom(format!("{key:?} is given twice")));
            }
            table.insert(key, value);
        }
        Ok(Value::Object(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_all_its_digits() {
        let text = "[123456789012345678901234567890,-9007199254740993,0.1234567890123456789,1e400]";
        assert_eq!(parse("a.json", text).unwrap().to_string().replace("1e+400", "1e400"), text);
    }

    #[test]
    fn a_key_that_is_given_twice_is_refused_with_its_line() {
        assert_eq!(parse("a.json", r#"{"a": [1, -2, 0.5, null]}"#).unwrap()["a"][2].as_f64(), Some(0.5));
        let error = parse("a.json", "{\"entries\": {\"a\": {},\n \"a\": {}}}").unwrap_err();
        assert_eq!(error.to_string(), "a.json:2: not JSON: \"a\" is given twice");
        assert!(parse("a.json", "{\n\n").unwrap_err().to_string().starts_with("a.json:3: not JSON: eof"));
    }
}
