//! Values as Python writes them: JSON as `json.dumps` does, and the short representation that workers log.

use serde_json::{Map, Number, Value};

/// Longest representation, characters, but for brackets that are still open; Celery's own.
const REPR_MAX: usize = 1024;
/// Lists and tables deeper than this are shown as `[...]`; Celery's own.
const REPR_LEVELS: usize = 3;

/// JSON as `json.dumps` writes it: a blank behind commas and colons, ASCII only, numbers with all their digits.
pub(super) fn json(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => json_text(out, text),
        Value::Array(items) => json_list(out, items),
        Value::Object(table) => json_table(out, table),
        other => out.push_str(&other.to_string()),
    }
}

/// [`json`] of a list.
pub(super) fn json_list(out: &mut String, items: &[Value]) {
    out.push('[');
    for (at, item) in items.iter().enumerate() {
        out.push_str(if at > 0 { ", " } else { "" });
        json(out, item);
    }
    out.push(']');
}

/// [`json`] of a table.
pub(super) fn json_table(out: &mut String, table: &Map<String, Value>) {
    out.push('{');
    for (at, (key, value)) in table.iter().enumerate() {
        out.push_str(if at > 0 { ", " } else { "" });
        json_text(out, key);
        out.push_str(": ");
        json(out, value);
    }
    out.push('}');
}

/// [`json`] of a text.
pub(super) fn json_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='\u{7f}' => out.push(c),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

/// `saferepr` of Celery: what workers and monitors show of positional arguments.
pub(super) fn repr_args(args: &[Value]) -> String {
    let mut repr = Repr::default();
    repr.open("(");
    repr.items(args);
    repr.close(if args.len() == 1 { ",)" } else { ")" });
    repr.out
}

/// The same of keyword arguments.
pub(super) fn repr_kwargs(kwargs: &Map<String, Value>) -> String {
    let mut repr = Repr::default();
    repr.table(kwargs);
    repr.out
}

struct Repr {
    out: String,
    /// Characters that are left.
    left: usize,
    /// Brackets that are open.
    level: usize,
    /// Brackets among them that were opened after the room was used up, and are not shown.
    unseen: usize,
    is_cut: bool,
}

impl Default for Repr {
    fn default() -> Self {
        Self { out: String::new(), left: REPR_MAX, level: 0, unseen: 0, is_cut: false }
    }
}

impl Repr {
    fn put(&mut self, text: &str) {
        if self.left == 0 && !self.is_cut {
            self.out.push_str(", ...");
            self.is_cut = true;
        }
        if !self.is_cut {
            self.out.push_str(text);
            self.left = self.left.saturating_sub(text.chars().count());
        }
    }

    fn open(&mut self, bracket: &str) {
        self.put(bracket);
        self.level += 1;
        self.unseen += usize::from(self.is_cut);
    }

    fn close(&mut self, bracket: &str) {
        self.level -= 1;
        if self.unseen > 0 {
            self.unseen -= 1;
        } else {
            // Brackets that are open are closed, however long it is by then.
            self.out.push_str(bracket);
            self.left = self.left.saturating_sub(bracket.chars().count());
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.put("None"),
            Value::Bool(true) => self.put("True"),
            Value::Bool(false) => self.put("False"),
            Value::Number(number) => self.put(&self.short(&number_text(number))),
            Value::String(text) => self.text(text),
            Value::Array(_) if self.level >= REPR_LEVELS => self.put("[...]"),
            Value::Object(_) if self.level >= REPR_LEVELS => self.put("{...}"),
            Value::Array(items) => {
                self.open("[");
                self.items(items);
                self.close("]");
            }
            Value::Object(table) => self.table(table),
        }
    }

    fn items(&mut self, items: &[Value]) {
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.put(", ");
            }
            self.value(item);
        }
    }

    fn table(&mut self, table: &Map<String, Value>) {
        self.open("{");
        for (at, (key, value)) in table.iter().enumerate() {
            if at > 0 {
                self.put(", ");
            }
            self.text(key);
            self.put(": ");
            self.value(value);
        }
        self.close("}");
    }

    fn text(&mut self, text: &str) {
        self.put(&format!("'{}'", self.short(text).replace('\'', "\\'")));
    }

    /// What is longer than the room that is left ends at its last blank before that.
    fn short(&self, text: &str) -> String {
        if self.left == 0 || text.chars().count() < self.left {
            return text.to_owned();
        }
        let cut: String = text.chars().take(self.left).collect();
        format!("{}...", cut.rsplit_once(' ').map_or(cut.as_str(), |(front, _)| front))
    }
}

/// A number as Python prints it.
fn number_text(number: &Number) -> String {
    let digits = number.to_string();
    if digits.contains(['.', 'e', 'E']) { number.as_f64().map_or(digits, float_text) } else { digits }
}

fn float_text(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = value.to_string();
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn repr(text: &str) -> String {
        repr_args(value(text).as_array().unwrap())
    }

    #[test]
    fn json_is_what_pythons_json_writes() {
        let mut out = String::new();
        json(&mut out, &value(r#"{"é\u0001\n\"": [1, 1.5, true, null, "😀"], "b": {}}"#));
        assert_eq!(out, r#"{"\u00e9\u0001\n\"": [1, 1.5, true, null, "\ud83d\ude00"], "b": {}}"#);
    }

    #[test]
    fn whole_numbers_keep_all_their_digits() {
        let mut out = String::new();
        json(&mut out, &value("[123456789012345678901234567890, -1, 18446744073709551616]"));
        assert_eq!(out, "[123456789012345678901234567890, -1, 18446744073709551616]");
    }

    #[test]
    fn arguments_read_as_in_python() {
        assert_eq!(repr("[]"), "()");
        assert_eq!(repr("[1]"), "(1,)");
        assert_eq!(
            repr(r#"["it's", true, null, {"a": [1.0, {"b": [2]}]}]"#),
            r"('it\'s', True, None, {'a': [1.0, {...}]})"
        );
        assert_eq!(
            repr_kwargs(value(r#"{"é": -0.00001, "n": 1e16}"#).as_object().unwrap()),
            "{'é': -1e-05, 'n': 1e+16}"
        );
        assert_eq!(repr("[0.1, 123456789.0, 1e22, 1.5e300, 1e-4]"), "(0.1, 123456789.0, 1e+22, 1.5e+300, 0.0001)");
    }

    #[test]
    fn a_long_representation_is_cut_and_its_brackets_close() {
        let long = repr(&format!(r#"["{}", ["b", "c"], 7]"#, "a".repeat(2000)));
        assert!(long.starts_with("('aaa") && long.ends_with("...', ...)"), "{long}");
        assert!(long.chars().count() < REPR_MAX + 20);
    }
}
