//! Entries in TOML as most are written: tables `[entries.NAME]` with keys and values that need no second thought.
//!
//! That is a few times as quick as the parser of all TOML, of which little is left to be read where files are long: they are written by
//! programs. Whatever is not known here (a dotted key, an escape, a date, another table) is left to that parser, and so is the complaint.

use serde_json::{Map, Value};

const HEADER: &str = "[entries.";
/// Deeper ones are left, too.
const DEPTH_MAX: usize = 8;

/// What the text says, table by table, where it has no others than entries; `None` where it may say something else, or nothing that
/// is right. Whether two tables have the same name is not looked at.
pub(crate) fn entries(text: &str) -> Option<Vec<(String, Value)>> {
    let mut reader = Reader { text, at: 0 };
    let mut entries = Vec::new();
    let mut fields = Vec::new();
    while reader.skip_to_words()? {
        let name = reader.header()?;
        while reader.skip_to_words()? && reader.peek() != b'[' {
            fields.push(reader.field(0)?);
            reader.end_of_line()?;
        }
        entries.push((name.to_owned(), table(&mut fields)?));
    }
    Some(entries)
}

/// A table of these fields; `None` where two are the same.
fn table(fields: &mut Vec<(&str, Value)>) -> Option<Value> {
    // As many as there are: one that grows has room for twice as many in the end.
    let mut table = Map::with_capacity(fields.len());
    for (key, value) in fields.drain(..) {
        if table.insert(key.to_owned(), value).is_some() {
            return None;
        }
    }
    Some(Value::Object(table))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    /// The next byte; 0, which stands in no TOML, at the end.
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    /// Goes on behind it, if it is the next.
    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == byte;
        self.at += usize::from(is_next);
        is_next
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.takes(byte).then_some(())
    }

    fn while_is(&mut self, is_one: impl Fn(u8) -> bool) -> &'t str {
        let from = self.at;
        let rest = &self.text.as_bytes()[from..];
        self.at += rest.iter().position(|byte| !is_one(*byte)).unwrap_or(rest.len());
        // Callers stop at ASCII only, and whole characters are all that they take beyond it.
        self.text.get(from..self.at).unwrap_or_default()
    }

    fn blanks(&mut self) {
        self.while_is(|byte| byte == b' ' || byte == b'\t');
    }

    /// Blanks, a comment, and the end of the line or of the text.
    fn end_of_line(&mut self) -> Option<()> {
        self.blanks();
        if self.takes(b'#') {
            self.while_is(is_text);
        }
        if self.at == self.text.len() {
            return Some(());
        }
        self.takes(b'\r');
        self.take(b'\n')
    }

    /// To the next line with more than a comment: whether there is one.
    fn skip_to_words(&mut self) -> Option<bool> {
        loop {
            self.blanks();
            match self.peek() {
                b'\n' | b'\r' | b'#' => self.end_of_line()?,
                0 => return (self.at == self.text.len()).then_some(false),
                _ => return Some(true),
            }
        }
    }

    /// `[entries.NAME]`, a line of its own.
    fn header(&mut self) -> Option<&'t str> {
        self.at += self.text[self.at..].starts_with(HEADER).then_some(HEADER.len())?;
        let name = match self.takes(b'"') {
            true => {
                let name = self.while_is(|byte| is_bare(byte) || b".:+".contains(&byte));
                self.take(b'"')?;
                name
            }
            false => self.while_is(is_bare),
        };
        self.take(b']')?;
        self.end_of_line()?;
        (!name.is_empty()).then_some(name)
    }

    /// `KEY = VALUE`.
    fn field(&mut self, depth: usize) -> Option<(&'t str, Value)> {
        let key = self.while_is(is_bare);
        self.blanks();
        self.take(b'=')?;
        self.blanks();
        (!key.is_empty()).then_some((key, self.value(depth)?))
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        match self.peek() {
            quote @ (b'"' | b'\'') => self.string(quote),
            b'[' if depth < DEPTH_MAX => self.list(depth + 1),
            b'{' if depth < DEPTH_MAX => self.inline_table(depth + 1),
            _ => match self.while_is(|byte| is_bare(byte) || b".:+".contains(&byte)) {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                number => whole(number).map(Value::from),
            },
        }
    }

    /// A text on one line in which nothing stands for something else.
    fn string(&mut self, quote: u8) -> Option<Value> {
        self.take(quote)?;
        let is_escape = |byte| byte == b'\\' && quote == b'"';
        let text = self.while_is(|byte| byte != quote && is_text(byte) && !is_escape(byte));
        self.take(quote)?;
        // Three of them begin a text of several lines.
        (!text.is_empty() || self.peek() != quote).then(|| Value::from(text))
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        self.take(b'[')?;
        let mut items = Vec::new();
        loop {
            self.blanks();
            if self.takes(b']') {
                break;
            }
            items.push(self.value(depth)?);
            self.blanks();
            if !self.takes(b',') {
                self.take(b']')?;
                break;
            }
        }
        items.shrink_to_fit();
        Some(Value::Array(items))
    }

    fn inline_table(&mut self, depth: usize) -> Option<Value> {
        self.take(b'{')?;
        let mut fields = Vec::new();
        self.blanks();
        if !self.takes(b'}') {
            loop {
                self.blanks();
                fields.push(self.field(depth)?);
                self.blanks();
                if !self.takes(b',') {
                    self.take(b'}')?;
                    break;
                }
            }
        }
        table(&mut fields)
    }
}

/// Digits, perhaps behind a minus.
fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

/// What a key or a name without quotes is made of.
fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// What may stand in a text, or in a comment, as it is.
fn is_text(byte: u8) -> bool {
    (byte >= b' ' && byte != 0x7f) || byte == b'\t'
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::toml_text::parse;

    fn whole_of(text: &str) -> Option<Vec<(String, Value)>> {
        let mut document = parse("x.toml", text).ok()?;
        let Some(Value::Object(entries)) = document.shift_remove("entries") else { return Some(Vec::new()) };
        document.is_empty().then(|| entries.into_iter().collect())
    }

    #[test]
    fn what_most_files_hold_is_read_as_the_parser_reads_it() {
        let text = "# by a program\n[entries.a-1]\nevery = \"1m\" # often\nexec = [ 'x', \"-v\", '', ]\r\ntimeout = 'a\\b'\n\n\
            \t[entries.\"a.b:c+d\"]  \n  cron=\"0 9 * * *\"\nlabels = {team = \"é\", n = -12, flag = true, in = { a = [1, 2] } }\n\
            env = {}\nlist = []\n[entries.c]\n[entries.d]\nx = 0";
        let read = entries(text).unwrap();
        assert_eq!(read.len(), 4);
        assert_eq!(Some(read), whole_of(text));
        assert_eq!(entries(""), Some(Vec::new()));
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_parser() {
        for line in [
            "a.b = 1",
            "a = 1.5",
            "a = 2026-11-20",
            "a = 07:30:00",
            "a = 0x10",
            "a = 1_000",
            "a = +1",
            "a = 01",
            "a = \"\\n\"",
            "a = \"\"\"x\"\"\"",
            "a = '''x'''",
            "a = [1\n]",
            "a = 1\na = 2",
            "a = { b = 1, b = 2 }",
            "a = { b = 1, }",
            "a = 1 b = 2",
            "a",
            "a =",
            "= 1",
            "\"a\" = 1",
            "a = 'x\ny'",
            "a = 'x",
            "a = inf",
            "a = 99999999999999999999",
            "[other]",
            "[[entries.b]]",
            "[entries.b.env]",
            "[entries]",
            "\u{0}",
            "a = '\u{7f}'",
            "# \u{1}",
            "a = 1\rb = 2",
            "a = [[[[[[[[[1]]]]]]]]]",
            "é = 1",
        ] {
            assert_eq!(entries(&format!("[entries.x]\n{line}\n")), None, "{line}");
        }
        assert_eq!(entries("owner = 'x'\n[entries.x]\n"), None);
    }

    fn piece() -> impl Strategy<Value = String> {
        const PIECES: [&str; 44] = [
            "\n",
            "\n",
            "\n",
            "\r\n",
            " ",
            "\t",
            "[entries.a]\n",
            "[entries.b]\n",
            "[entries.\"c.d\"]\n",
            "[entries.a.env]\n",
            "[entries.",
            "]",
            "[",
            "{",
            "}",
            ",",
            "=",
            " = ",
            "a = ",
            "b = ",
            "c",
            "\"",
            "'",
            "\"x\"",
            "'y'",
            "\"\"",
            "''",
            "\"\"\"",
            "'''",
            "\\",
            "#",
            "# x\n",
            "1",
            "0",
            "-",
            ".",
            "true",
            "false",
            "é",
            "a = 1\n",
            "b = ['x', 'y']\n",
            "c = { d = 1 }\n",
            "\u{0}",
            "\u{7f}",
        ];
        prop::sample::select(PIECES.to_vec()).prop_map(str::to_owned)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn what_is_read_here_is_what_the_parser_reads(pieces in prop::collection::vec(piece(), 0..24), begins_well: bool) {
            let head = if begins_well { "[entries.z]\n" } else { "" };
            let text = format!("{head}{}", pieces.concat());
            if let Some(read) = entries(&text) {
                let mut names: Vec<&String> = read.iter().map(|(name, _)| name).collect();
                names.sort();
                let is_twice = names.windows(2).any(|two| two[0] == two[1]);
                prop_assert_eq!((!is_twice).then_some(read.clone()), whole_of(&text), "{}", text);
            }
        }
    }
}
