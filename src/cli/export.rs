//! `upbeat export`: entries as a file for `apply`.

use std::io::IsTerminal;

use serde_json::Value;

use crate::cli::App;
use crate::cli::args::Selecting;
use crate::cli::output::{Ended, Format, print};
use crate::cli::{progress, selection};
use crate::domain::file::{FileEntry, ScheduleFile};
use crate::service::Select;

pub const EXPORT_EXAMPLES: &str = "Examples:
  upbeat export > backup.toml                  everything; upbeat apply -f backup.toml brings it back
  upbeat export --owner ops > ops.toml
  upbeat export nightly-backup -o json

What a file can't say is warned about: the end of a pause, skipped fire times to come, how often an entry with max_fires fired.";

/// What is written behind a file that breaks off: no reader takes it for a whole one.
const BROKEN_OFF: &str = "\n!! the export broke off here: this file is not whole\n";

/// `upbeat export [SELECT]`: TOML, or JSON under `-o json`, written as it is read.
pub async fn export(app: &App, ids: &[String], select: &Selecting) -> Ended {
    let select = selection::read(ids, select)?.unwrap_or(Select::All);
    let service = app.service().await?;
    let format = app.printer.format;
    if format == Format::Id {
        let ids = service.selected(&select).await?;
        print(&ids.iter().flat_map(|id| [id, "\n"]).collect::<String>());
        return Ok(0);
    }
    let mut export = service.export_pages(&select).await?;
    if std::io::stdout().is_terminal() {
        // What is written shows how far it is.
        progress::end();
    }
    let mut file = Written { format, text: String::new(), has_entries: false };
    file.begin(export.head());
    loop {
        match export.next().await {
            Ok(Some(entries)) => file.write(&entries),
            Ok(None) => break,
            Err(why) => {
                if file.has_entries {
                    print(BROKEN_OFF);
                }
                return Err(why.into());
            }
        }
    }
    file.end();
    export.warnings().await?.iter().for_each(|warning| app.printer.warning(warning));
    Ok(0)
}

/// A file that is being written.
struct Written {
    format: Format,
    /// What is still to be written.
    text: String,
    has_entries: bool,
}

impl Written {
    fn begin(&mut self, head: &ScheduleFile) {
        self.text = match self.format {
            Format::Json => {
                // Its last field is the object of its entries, `{}`.
                let text = format!("{:#}", head.to_json());
                text.strip_suffix("{}\n}").map(str::to_owned).unwrap_or_default()
            }
            Format::Jsonl => {
                let text = head.to_json().to_string();
                text.strip_suffix("{}}").map(str::to_owned).unwrap_or_default()
            }
            _ => head.head_to_toml(),
        };
    }

    fn write(&mut self, entries: &[FileEntry]) {
        for entry in entries {
            let is_first = !std::mem::replace(&mut self.has_entries, true);
            let text = &mut self.text;
            let key = || Value::from(entry.id.as_str()).to_string();
            match self.format {
                Format::Json => {
                    text.push_str(if is_first { "{\n    " } else { ",\n    " });
                    // Texts in JSON have no line breaks of their own.
                    let fields = format!("{:#}", entry.to_json()).replace('\n', "\n    ");
                    text.push_str(&format!("{}: {fields}", key()));
                }
                Format::Jsonl => {
                    text.push_str(if is_first { "{" } else { "," });
                    text.push_str(&format!("{}:{}", key(), entry.to_json()));
                }
                _ => {
                    if !is_first && text.is_empty() {
                        text.push('\n');
                        let mut own = String::new();
                        entry.to_toml(&mut own);
                        text.push_str(&own);
                    } else {
                        entry.to_toml(text);
                    }
                }
            }
        }
        print(&self.text);
        self.text.clear();
    }

    fn end(mut self) {
        let end = match (self.format, self.has_entries) {
            (Format::Json, true) => "\n  }\n}\n",
            (Format::Json, false) => "{}\n}\n",
            (Format::Jsonl, true) => "}}\n",
            (Format::Jsonl, false) => "{}}\n",
            _ => "",
        };
        self.text.push_str(end);
        print(&self.text);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    // Printed bytes are compared in tests/cli; here, that the heads end where entries can follow.
    #[test]
    fn heads_end_where_entries_follow() {
        let (_, errors) = ScheduleFile::parse_most("x.toml", BROKEN_OFF);
        assert!(!errors.is_empty(), "a file that breaks off is refused");
        let mut written = Written { format: Format::Json, text: String::new(), has_entries: false };
        written.begin(&ScheduleFile::default());
        assert_eq!(written.text, "{\n  \"entries\": ");
        written.format = Format::Jsonl;
        written.begin(&ScheduleFile::default());
        assert_eq!(written.text, "{\"entries\":");
    }
}
