//! The lines at which the fields of a schedule file stand, in TOML and JSON alike.

use std::collections::HashMap;

use toml::de::{DeTable, DeValue};

use super::read::is_json;
use super::without_mark;

/// Where everything in one file stands. Empty for a text that can't be read.
#[derive(Debug, Default)]
pub struct Places {
    root: Table,
}

/// Keys as complaints spell them.
type Table = HashMap<String, Node>;

#[derive(Debug)]
struct Node {
    /// Of its key; of an element of a list, its own. Counts from 1.
    line: usize,
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    /// A text without its quotes, anything else as it is written.
    Plain(String),
    List(Vec<Node>),
    Table(Table),
}

/// How far a field was followed.
struct Walk<'p> {
    line: Option<usize>,
    /// The node, where all of the field was found.
    end: Option<&'p Node>,
}

impl Places {
    /// Those of the file `name` with this text.
    pub fn of(name: &str, text: &str) -> Self {
        let text = without_mark(text);
        let root = if is_json(name, text) {
            let mut scan = Scan { text: text.as_bytes(), at: 0, line: 1, depth: 0 };
            match scan.node() {
                Some(Node { inner: Inner::Table(root), .. }) => root,
                _ => Table::new(),
            }
        } else {
            let (document, _) = DeTable::parse_recoverable(text);
            let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
            toml_table(document.get_ref(), &ends)
        };
        Self { root }
    }

    /// Takes those of a piece of the same TOML file, with so many lines before it; the tables of two pieces hold different keys.
    pub(super) fn add(&mut self, piece: Self, before: usize) {
        for (key, mut node) in piece.root {
            node.move_down(before);
            match (self.root.get_mut(&key).map(|known| &mut known.inner), node.inner) {
                (Some(Inner::Table(known)), Inner::Table(more)) => known.extend(more),
                (_, inner) => {
                    self.root.insert(key, Node { line: node.line, inner });
                }
            }
        }
    }

    /// The line of a field as complaints name it, `entries.nightly.tz`: of the element of a list that has this value, of the
    /// defaults where the entry has the field from them, of the nearest table around it where it is missing.
    pub fn line(&self, field: &str, value: Option<&str>) -> Option<usize> {
        let own = walk(&self.root, field);
        if let Some(end) = own.end {
            return Some(end.line_of_value(value));
        }
        // What an entry does not have itself it may have from the defaults.
        let Some((Node { inner: Inner::Table(entries), .. }, rest)) = self.step("entries", field) else {
            return own.line;
        };
        let (Some((entry, rest)), Some(Node { inner: Inner::Table(defaults), .. })) =
            (step(entries, rest), self.root.get("defaults"))
        else {
            return own.line;
        };
        let theirs = walk(defaults, rest);
        match theirs.end {
            Some(end) => Some(end.line_of_value(value)),
            None if own.line == Some(entry.line) => theirs.line.or(own.line),
            None => own.line,
        }
    }

    /// Whether the entry has the field itself and not from the defaults.
    pub fn has(&self, field: &str) -> bool {
        walk(&self.root, field).end.is_some()
    }

    /// The entry that the field of a complaint belongs to, as its key is written.
    pub fn entry<'f>(&self, field: &'f str) -> Option<&'f str> {
        let (Node { inner: Inner::Table(entries), .. }, rest) = self.step("entries", field)? else { return None };
        let (_, behind) = step(entries, rest)?;
        Some(rest[..rest.len() - behind.len()].trim_end_matches('.'))
    }

    fn step<'p, 'f>(&'p self, key: &str, field: &'f str) -> Option<(&'p Node, &'f str)> {
        let rest = field.strip_prefix(key)?.strip_prefix('.')?;
        Some((self.root.get(key)?, rest))
    }
}

impl Node {
    fn move_down(&mut self, lines: usize) {
        self.line += lines;
        match &mut self.inner {
            Inner::Plain(_) => {}
            Inner::List(items) => items.iter_mut().for_each(|item| item.move_down(lines)),
            Inner::Table(table) => table.values_mut().for_each(|inner| inner.move_down(lines)),
        }
    }

    fn line_of_value(&self, value: Option<&str>) -> usize {
        let items = match &self.inner {
            Inner::List(items) => items,
            // A value of a table that is in question is one of its keys.
            Inner::Table(table) => {
                return value.and_then(|key| table.get(&shown_key(key))).map_or(self.line, |key| key.line);
            }
            Inner::Plain(_) => return self.line,
        };
        let is_it = |item: &&Node| matches!((&item.inner, value), (Inner::Plain(text), Some(value)) if text == value);
        items.iter().find(is_it).map_or(self.line, |item| item.line)
    }
}

fn walk<'p>(table: &'p Table, field: &str) -> Walk<'p> {
    let (mut table, mut rest, mut line) = (table, field, None);
    loop {
        let Some((node, after)) = step(table, rest) else { return Walk { line, end: None } };
        line = Some(node.line);
        if after.is_empty() {
            return Walk { line, end: Some(node) };
        }
        let Inner::Table(inner) = &node.inner else { return Walk { line, end: None } };
        (table, rest) = (inner, after);
    }
}

/// One key further. Ids may hold dots: the longest key that fits is the one.
fn step<'p, 'f>(table: &'p Table, field: &'f str) -> Option<(&'p Node, &'f str)> {
    let mut end = field.len();
    loop {
        if let Some(node) = table.get(&field[..end]) {
            return Some((node, field[end..].trim_start_matches('.')));
        }
        end = field[..end].rfind('.')?;
    }
}

/// A key as complaints spell it.
pub(super) fn shown_key(key: &str) -> String {
    key.escape_debug().to_string()
}

fn toml_table(table: &DeTable<'_>, ends: &[usize]) -> Table {
    let node = |at: usize, value: &DeValue<'_>| Node { line: line_at(ends, at), inner: toml_inner(value, ends) };
    table.iter().map(|(key, value)| (shown_key(key.get_ref()), node(key.span().start, value.get_ref()))).collect()
}

fn toml_inner(value: &DeValue<'_>, ends: &[usize]) -> Inner {
    match value {
        DeValue::Table(table) => Inner::Table(toml_table(table, ends)),
        DeValue::Array(items) => {
            let node =
                |at: usize, value: &DeValue<'_>| Node { line: line_at(ends, at), inner: toml_inner(value, ends) };
            Inner::List(items.iter().map(|item| node(item.span().start, item.get_ref())).collect())
        }
        DeValue::String(text) => Inner::Plain(text.to_string()),
        DeValue::Integer(digits) => Inner::Plain(digits.as_str().to_owned()),
        DeValue::Float(digits) => Inner::Plain(digits.as_str().to_owned()),
        DeValue::Boolean(flag) => Inner::Plain(flag.to_string()),
        DeValue::Datetime(datetime) => Inner::Plain(datetime.to_string()),
    }
}

fn line_at(ends: &[usize], at: usize) -> usize {
    1 + ends.partition_point(|end| *end < at)
}

/// Reads JSON for its lines alone; whether it is valid was asked before.
struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    line: usize,
    depth: usize,
}

/// What the reader of values follows, too.
const DEPTH_MAX: usize = 128;

impl Scan<'_> {
    /// The value that comes next, with the line on which it begins.
    fn node(&mut self) -> Option<Node> {
        let first = self.peek()?;
        let line = self.line;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let inner = match first {
            b'{' => Inner::Table(self.table()?),
            b'[' => Inner::List(self.list()?),
            b'"' => Inner::Plain(self.text()?),
            _ => {
                let rest = &self.text[self.at..];
                let length = rest.iter().take_while(|byte| !b",]} \t\r\n".contains(byte)).count();
                if length == 0 {
                    return None;
                }
                self.at += length;
                Inner::Plain(String::from_utf8_lossy(&rest[..length]).into_owned())
            }
        };
        self.depth -= 1;
        Some(Node { line, inner })
    }

    fn table(&mut self) -> Option<Table> {
        let mut table = Table::new();
        self.at += 1;
        while self.peek()? != b'}' {
            let line = self.line;
            let key = self.text()?;
            if self.peek()? != b':' {
                return None;
            }
            self.at += 1;
            let node = Node { line, ..self.node()? };
            table.insert(shown_key(&key), node);
            self.comma()?;
        }
        self.at += 1;
        Some(table)
    }

    fn list(&mut self) -> Option<Vec<Node>> {
        let mut items = Vec::new();
        self.at += 1;
        while self.peek()? != b']' {
            items.push(self.node()?);
            self.comma()?;
        }
        self.at += 1;
        Some(items)
    }

    fn comma(&mut self) -> Option<()> {
        if self.peek()? == b',' {
            self.at += 1;
        }
        Some(())
    }

    fn text(&mut self) -> Option<String> {
        let start = self.at;
        let mut end = start + 1;
        loop {
            match self.text.get(end)? {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        self.at = end + 1;
        serde_json::from_slice(&self.text[start..self.at]).ok()
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at)? {
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' => {}
                byte => return Some(*byte),
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOML: &str = r#"owner = "a"
[defaults]
timeout = "1m"
retry = { delay = "1s" }

[entries."billing.close"]
cron = [
    "0 9 * * *",
    "61 * * * *",
]
retry = { max_attempts = 3,
          within = 5 }
http.headers."X-\u0001" = "v"

[entries]
plain = { every = "5m", exec = ["a",
  7] }
"#;

    #[test]
    fn every_field_of_a_toml_file_has_its_line() {
        let places = Places::of("a.toml", TOML);
        for (field, value, line) in [
            ("owner", None, 1),
            ("defaults", None, 2),
            ("entries.billing.close", None, 6),
            ("entries.billing.close.cron", None, 7),
            ("entries.billing.close.cron", Some("61 * * * *"), 9),
            ("entries.billing.close.cron", Some("other"), 7),
            ("entries.billing.close.retry.max_attempts", None, 11),
            ("entries.billing.close.retry.within", Some("5"), 12),
            ("entries.billing.close.http.headers.X-\\u{1}", None, 13),
            ("entries.plain.every", None, 16),
            ("entries.plain.exec", Some("7"), 17),
        ] {
            assert_eq!(places.line(field, value), Some(line), "{field} {value:?}");
        }
        assert_eq!(places.line("nothing", None), None);
        assert_eq!(places.entry("entries.billing.close.retry.within"), Some("billing.close"));
        assert_eq!((places.entry("entries.plain"), places.entry("defaults.tz")), (Some("plain"), None));
    }

    #[test]
    fn what_comes_from_the_defaults_has_their_line_and_what_is_missing_that_of_its_entry() {
        let places = Places::of("a.toml", TOML);
        assert_eq!(places.line("entries.plain.timeout", None), Some(3));
        assert_eq!(places.line("entries.plain.retry.delay", None), Some(4));
        assert_eq!(places.line("entries.billing.close.retry.delay", None), Some(4));
        assert_eq!(places.line("entries.billing.close.retry.jitter", None), Some(11));
        assert_eq!(places.line("entries.plain.retry.jitter", None), Some(4));
        assert_eq!(places.line("entries.plain.tz", None), Some(16));
        assert!(places.has("entries.plain.every") && !places.has("entries.plain.timeout"));
    }

    #[test]
    fn every_field_of_a_json_file_has_its_line() {
        let text = "\u{feff}{\n \"entries\": {\n  \"a.b\": { \"every\": \"5m\",\n   \"exec\": [\"x\\\"}\",\n  -7.5, true],\n   \
                    \"payload\": {\"\\u0041\": [[], {}]}\n },\n  \"c\": {}}, \"owner\":\n \"x\" }";
        let places = Places::of("-", text);
        for (field, value, line) in [
            ("entries", None, 2),
            ("entries.a.b", None, 3),
            ("entries.a.b.every", None, 3),
            ("entries.a.b.exec", Some("x\"}"), 4),
            ("entries.a.b.exec", Some("-7.5"), 5),
            ("entries.a.b.payload.A", None, 6),
            ("entries.c.every", None, 8),
            ("owner", None, 8),
        ] {
            assert_eq!(places.line(field, value), Some(line), "{field} {value:?}");
        }
    }

    #[test]
    fn a_text_that_can_t_be_read_has_no_places() {
        let deep = format!("{{\"a\": {}", "[".repeat(1_000_000));
        for text in [&deep, "{", "{\"a\"", "{\"a\": \"\\", "[1]", "{\"a\" 1}", "{\"a\": [1", "{\"a\": [}", "{]"] {
            assert_eq!(Places::of("a.json", text).line("a", None), None, "{text}");
        }
        assert_eq!(Places::of("a.toml", "a = ").line("b", None), None);
    }
}
