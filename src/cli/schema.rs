//! `upbeat schema`: the JSON Schema of schedule files.

use crate::cli::App;
use crate::cli::output::{Ended, Format, print};
use crate::domain::schema::schema;

pub const SCHEMA_EXAMPLES: &str = "\
Examples:
  upbeat schema > upbeat.schema.json
Then, as the first line of a TOML file: #:schema ./upbeat.schema.json
Editors that know JSON Schema complete and check the fields; upbeat lint checks what a schema can't say. Asks no Redis.";

/// `upbeat schema`.
pub fn run(app: &App) -> Ended {
    match app.printer.format {
        Format::Jsonl => print(&format!("{}\n", schema())),
        Format::Table | Format::Json | Format::Id => print(&format!("{:#}\n", schema())),
    }
    Ok(0)
}
