//! What is printed and where: answers on standard output, everything about them on standard error.

use std::io::{ErrorKind, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::Error;

/// For whom is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// One document
    Json,
    /// A line per item
    Jsonl,
    /// Bare ids, for xargs
    Id,
}

/// How a command ended; several complaints where one input has several.
#[derive(Debug)]
pub struct Failure(pub Vec<Error>);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(vec![error])
    }
}

/// The result of a command: its exit code.
pub type Ended<T = u8> = Result<T, Failure>;

/// Prints answers in one format.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    /// For whom.
    pub format: Format,
    /// Whether notes are left out.
    pub is_quiet: bool,
}

impl Format {
    /// What the words of the command line ask for, also where they can't be understood otherwise.
    pub fn among(words: &[String]) -> Self {
        let mut words = words.iter().take_while(|word| *word != "--");
        let mut format = Self::Table;
        while let Some(word) = words.next() {
            let value = match word.as_str() {
                "-o" | "--output" => words.next().map(String::as_str),
                word => word.strip_prefix("--output=").or_else(|| word.strip_prefix("-o")),
            };
            let value = value.map(|value| value.trim_start_matches('='));
            format = value.and_then(|value| Self::from_str(value, true).ok()).unwrap_or(format);
        }
        format
    }
}

impl Printer {
    /// Whether programs read it.
    pub fn is_json(&self) -> bool {
        matches!(self.format, Format::Json | Format::Jsonl)
    }

    /// A list; `id` gives the bare id of an item, `table` draws it for people.
    pub fn list<T: Serialize>(&self, items: &[T], id: impl Fn(&T) -> String, table: impl FnOnce() -> String) {
        match self.format {
            Format::Table => print(&table()),
            Format::Json => document(&items),
            Format::Jsonl => items.iter().for_each(line),
            Format::Id => items.iter().for_each(|item| print(&format!("{}\n", id(item)))),
        }
    }

    /// One thing; the rest as in [`Printer::list`].
    pub fn one<T: Serialize>(&self, item: &T, id: impl FnOnce(&T) -> String, table: impl FnOnce() -> String) {
        match self.format {
            Format::Table => print(&table()),
            Format::Json => document(item),
            Format::Jsonl => line(item),
            // Of nothing there is no line either.
            Format::Id => match id(item) {
                ids if ids.is_empty() => {}
                ids => print(&format!("{ids}\n")),
            },
        }
    }

    /// A remark for people, on standard error; not for programs, which read errors there, nor where silence was asked for.
    pub fn note(&self, text: impl AsRef<str>) {
        if !self.is_quiet && !self.is_json() {
            complain(&printable(text.as_ref()));
        }
    }

    /// What deserves a look; its way out, behind a line break, is indented.
    pub fn warning(&self, text: &str) {
        complain(&format!("warning: {}", printable(text).replace('\n', "\n  ")));
    }

    /// What went wrong, on standard error; the exit code of the first complaint.
    pub fn failure(&self, failure: &Failure) -> u8 {
        if self.is_json() {
            let mut document = json!({ "error": failure.0.first().map(object) });
            if failure.0.len() > 1 {
                document["errors"] = failure.0.iter().map(object).collect();
            }
            complain(&document.to_string());
        } else {
            for error in &failure.0 {
                complain(&words(error));
            }
            if failure.0.len() > 1 {
                complain(&format!("{} errors; nothing was changed", failure.0.len()));
            }
        }
        failure.0.first().map_or(70, Error::exit_code)
    }
}

/// `error: field: message`, and the way out below.
pub fn words(error: &Error) -> String {
    let problem = error.problem();
    let sides: String =
        problem.sides.iter().flat_map(|sides| &sides.lines).map(|line| format!("\n  {}", printable(line))).collect();
    let hint = problem.hint.as_deref().map(|hint| format!("\n  {}", hint.replace('\n', "\n  ")));
    format!("error: {error}{sides}{}", hint.unwrap_or_default())
}

/// The error object.
pub fn object(error: &Error) -> Value {
    let problem = error.problem();
    let mut object = json!({
        "code": error.code(),
        "field": problem.field,
        "value": problem.value,
        "message": problem.message,
        "hint": problem.hint,
    });
    if let Some(place) = problem.place.as_deref() {
        object["file"] = place.file.as_str().into();
        object["line"] = place.line.into();
    }
    if let Some(sides) = problem.sides.as_deref() {
        object["yours"] = sides.yours.clone();
        object["theirs"] = sides.theirs.clone();
    }
    object
}

/// A table without lines; columns are as wide as they need to be, nothing is cut.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head.iter().map(|word| (*word).to_owned()));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| printable(&cell.replace(['\n', '\r'], " "))));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text = table.to_string();
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Lines of `name  value`, the values in one column.
pub fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(5);
    facts.iter().map(|(name, value)| format!("  {name:width$}  {}\n", printable(value))).collect()
}

/// The text with what would steer a terminal made visible: `\u{1b}[2J`.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push(c),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

/// Writes to standard output; a reader that has seen enough ends the program.
pub fn print(text: &str) {
    print_bytes(text.as_bytes());
}

/// As [`print()`], for what need not be text.
pub fn print_bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    if let Err(why) = out.write_all(bytes).and_then(|()| out.flush()) {
        if why.kind() != ErrorKind::BrokenPipe {
            complain(&format!("error: standard output: {why}"));
        }
        std::process::exit(if why.kind() == ErrorKind::BrokenPipe { 0 } else { 5 });
    }
}

/// Writes a line to standard error; there is nobody to tell when that fails.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn document<T: Serialize + ?Sized>(value: &T) {
    print(&format!("{}\n", serde_json::to_string_pretty(value).unwrap_or_default()));
}

fn line<T: Serialize>(value: &T) {
    print(&format!("{}\n", serde_json::to_string(value).unwrap_or_default()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_known_before_the_rest_is_understood() {
        let among = |line: &str| Format::among(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(among("ls -o json"), Format::Json);
        assert_eq!(among("-ojsonl lss"), Format::Jsonl);
        assert_eq!(among("--output=id ls"), Format::Id);
        assert_eq!(among("add a -- cmd -o json"), Format::Table);
        assert_eq!(among("ls -o xml"), Format::Table);
    }

    #[test]
    fn a_table_ends_its_lines_where_their_words_end() {
        assert_eq!(table(&["A", "BB"], [vec!["xyz".into(), String::new()]]), "A    BB\nxyz\n");
        assert_eq!(facts(&[("when", "now".to_owned())]), "  when   now\n");
        assert_eq!(facts(&[("note", "a\u{1b}[2Jé".to_owned())]), "  note   a\\u{1b}[2Jé\n");
        assert_eq!(table(&["A"], [vec!["a\u{1b}[2J\u{9b}".into()]]), "A\na\\u{1b}[2J\\u{9b}\n");
    }
}
