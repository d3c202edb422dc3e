//! Lists that are written as they are read, whatever their number.
//!
//! A table of up to 1,000 rows looks as if it was drawn at once; of a longer one the columns are as wide as its first rows need and
//! grow where later ones need more.

use serde::Serialize;

use crate::cli::output::{Cell, Columns, Format, Printer, print};

/// Rows that are drawn together.
const ROWS: usize = 1_000;

/// A list that is being written.
pub struct Streamed {
    printer: Printer,
    columns: Columns<'static>,
    rows: Vec<Vec<Cell>>,
    count: usize,
}

impl Streamed {
    /// One with this head, where it becomes a table.
    pub fn new(printer: Printer, head: &'static [&'static str]) -> Self {
        Self { printer, columns: Columns::new(head), rows: Vec::new(), count: 0 }
    }

    /// Writes these, or some of those before them; `id` gives the bare id of an item, `row` its line for people.
    pub fn write<T: Serialize>(&mut self, items: &[T], id: impl Fn(&T) -> String, row: impl Fn(&T) -> Vec<Cell>) {
        let mut text = String::new();
        for item in items {
            match self.printer.format {
                Format::Table => self.rows.push(row(item)),
                Format::Json => {
                    text.push_str(if self.count == 0 { "[\n  " } else { ",\n  " });
                    // Texts in JSON have no line breaks of their own.
                    text.push_str(&serde_json::to_string_pretty(item).unwrap_or_default().replace('\n', "\n  "));
                }
                Format::Jsonl => {
                    text.push_str(&serde_json::to_string(item).unwrap_or_default());
                    text.push('\n');
                }
                Format::Id => {
                    text.push_str(&id(item));
                    text.push('\n');
                }
            }
            self.count += 1;
        }
        if self.rows.len() >= ROWS {
            text.push_str(&self.columns.lines(std::mem::take(&mut self.rows)));
        }
        if !text.is_empty() {
            print(&text);
        }
    }

    /// Writes what is left; returns how many items there were.
    pub fn end(mut self) -> usize {
        let text = match self.printer.format {
            Format::Table if !self.rows.is_empty() => self.columns.lines(self.rows),
            Format::Json if self.count == 0 => "[]\n".to_owned(),
            Format::Json => "\n]\n".to_owned(),
            _ => return self.count,
        };
        print(&text);
        self.count
    }
}
