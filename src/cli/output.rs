//! What is printed and where: answers on standard output, everything about them on standard error.

use std::io::{BufWriter, ErrorKind, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::palette::{self, HEAD};
use crate::cli::progress;
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

    /// One thing for programs that is long: written as it is made.
    pub fn long<T: Serialize>(&self, item: &T) {
        let mut out = BufWriter::with_capacity(1 << 16, Printed);
        // What is printed has no errors, and our own types are texts, numbers and lists.
        let _ = match self.format {
            Format::Json => serde_json::to_writer_pretty(&mut out, item),
            _ => serde_json::to_writer(&mut out, item),
        };
        let _ = out.write_all(b"\n").and_then(|()| out.flush());
    }

    /// A remark for people, on standard error; not for programs, which read errors there, nor where silence was asked for.
    pub fn note(&self, text: impl AsRef<str>) {
        if !self.is_quiet && !self.is_json() {
            complain(&printable(text.as_ref()));
        }
    }

    /// What deserves a look; its way out, behind a line break, is indented.
    pub fn warning(&self, text: &str) {
        complain(&format!("{} {}", palette::warning(), printable(text).replace('\n', "\n  ")));
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
    let sides = problem.sides.iter().flat_map(|sides| &sides.lines);
    let sides: String = sides.map(|line| format!("\n  {}", printable(line))).collect();
    let hint = problem.hint.as_deref().map(|hint| format!("\n  {}", hint.replace('\n', "\n  ")));
    let hint = printable(&hint.unwrap_or_default());
    format!("{} {}{sides}{hint}", palette::error(), printable(&error.to_string()))
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

/// A cell of a table, or the value of a fact.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    is_state: bool,
}

impl Cell {
    /// A text whose first word names a state, shown in the colour of that.
    pub fn state(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_state: true }
    }

    fn painted(&self, text: &str) -> String {
        if self.is_state { palette::state(text) } else { text.to_owned() }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, is_state: false }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

/// A table without lines; columns are as wide as they need to be, nothing is cut.
pub fn table<C: Into<Cell>>(head: &[&str], rows: impl IntoIterator<Item = Vec<C>>) -> String {
    let cells = |row: Vec<C>| row.into_iter().map(Into::into).collect();
    Columns::new(head).lines(rows.into_iter().map(cells).collect())
}

/// A table that is drawn in parts: columns keep the width that the parts before needed.
pub struct Columns<'h> {
    head: &'h [&'h str],
    widths: Option<Vec<u16>>,
}

impl<'h> Columns<'h> {
    /// A table with this head.
    pub fn new(head: &'h [&'h str]) -> Self {
        Self { head, widths: None }
    }

    /// The lines of the next rows, the head before the first.
    pub fn lines(&mut self, rows: Vec<Vec<Cell>>) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        match &self.widths {
            None => table.set_header(self.head.iter().map(|word| (*word).to_owned())),
            // As wide as what stands above; it is not shown again.
            Some(widths) => table.set_header(widths.iter().map(|width| "x".repeat(usize::from(*width)))),
        };
        let clean = |cell: Cell| Cell { text: printable(&cell.text.replace(['\n', '\r'], " ")), ..cell };
        let drawn: Vec<Vec<Cell>> = rows.into_iter().map(|row| row.into_iter().map(clean).collect()).collect();
        for row in &drawn {
            table.add_row(row.iter().map(|cell| cell.text.clone()));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        // Painted when it is laid out: colours have no width.
        let text = table.to_string();
        let mut lines = text.lines().map(str::trim_end);
        let head = lines.next().filter(|_| self.widths.is_none());
        let head = head.map(|line| format!("{}\n", palette::paint(HEAD, line)));
        let mut widths = table.column_max_content_widths();
        // Nothing stands behind the last one.
        widths.pop();
        self.widths = Some(widths);
        let rows = lines.zip(&drawn).map(|(line, row)| format!("{}\n", painted(line, row)));
        head.into_iter().chain(rows).collect()
    }
}

/// A line of a table with its cells painted; between two of them are blanks only.
fn painted(line: &str, row: &[Cell]) -> String {
    let (mut text, mut rest) = (String::with_capacity(line.len()), line);
    for cell in row {
        let shown = cell.text.trim();
        let Some((before, after)) = rest.split_once(shown).filter(|_| !shown.is_empty()) else { continue };
        text.push_str(before);
        text.push_str(&cell.painted(shown));
        rest = after;
    }
    text + rest
}

/// Lines of `name  value`, the values in one column.
pub fn facts<C: Clone + Into<Cell>>(facts: &[(&str, C)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(5);
    let line = |(name, value): &(&str, C)| {
        let cell: Cell = value.clone().into();
        format!("  {name:width$}  {}\n", cell.painted(&printable(&cell.text)))
    };
    facts.iter().map(line).collect()
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
    print_bytes(palette::for_stdout(text).as_bytes());
}

/// As [`print()`], for what need not be text and has no colours of ours.
pub fn print_bytes(bytes: &[u8]) {
    progress::clear();
    let mut out = std::io::stdout().lock();
    if let Err(why) = out.write_all(bytes).and_then(|()| out.flush()) {
        if why.kind() != ErrorKind::BrokenPipe {
            complain(&format!("error: standard output: {why}"));
        }
        std::process::exit(if why.kind() == ErrorKind::BrokenPipe { 0 } else { 5 });
    }
}

/// Standard output by way of [`print_bytes`].
struct Printed;

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        print_bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes a line to standard error; there is nobody to tell when that fails.
pub fn complain(text: &str) {
    progress::clear();
    let _ = writeln!(std::io::stderr(), "{}", palette::for_stderr(text));
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
    fn a_table_ends_its_lines_where_their_words_end() {
        let plain = |text: &str| anstream::adapter::strip_str(text).to_string();
        let text = |text: &str| text.to_owned();
        assert_eq!(plain(&table(&["A", "BB"], [vec![text("xyz"), String::new()]])), "A    BB\nxyz\n");
        assert_eq!(facts(&[("when", "now")]), "  when   now\n");
        assert_eq!(facts(&[("note", "a\u{1b}[2Jé")]), "  note   a\\u{1b}[2Jé\n");
        assert_eq!(plain(&table(&["A"], [vec!["a\u{1b}[2J\u{9b}"]])), "A\na\\u{1b}[2J\\u{9b}\n");
    }

    #[test]
    fn a_table_in_parts_keeps_its_columns_and_lets_them_grow() {
        let mut columns = Columns::new(&["ID", "STATE"]);
        let row = |id: &str| vec![Cell::from(id), Cell::from("x")];
        let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
        assert_eq!(plain(columns.lines(vec![row("abc"), row("日本")])), "ID    STATE\nabc   x\n日本  x\n");
        assert_eq!(plain(columns.lines(vec![row("a")])), "a     x\n");
        assert_eq!(plain(columns.lines(vec![row("abcdefgh"), row("a")])), "abcdefgh  x\na         x\n");
        assert_eq!(plain(columns.lines(vec![row("a")])), "a         x\n");
    }

    #[test]
    fn colours_have_no_width_in_a_table() {
        let row = |state: &str| vec![Cell::from("running"), Cell::state(state), Cell::from("日 running")];
        let text = table(&["ID", "STATE", ""], [row("running"), row("succeeded, 3 min ago")]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "running  \u{1b}[36mrunning\u{1b}[0m               日 running");
        assert_eq!(lines[2], "running  \u{1b}[32msucceeded\u{1b}[0m, 3 min ago  日 running");
        assert_eq!(facts(&[("state", Cell::state("failed: no"))]), "  state  \u{1b}[31mfailed\u{1b}[0m: no\n");
    }
}
