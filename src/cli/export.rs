//! `upbeat export`: entries as a file for `apply`.

use crate::cli::App;
use crate::cli::args::Selecting;
use crate::cli::output::{Ended, Format, print};
use crate::cli::selection;
use crate::service::Select;

pub const EXPORT_EXAMPLES: &str = "Examples:
  upbeat export > backup.toml                  everything; upbeat apply -f backup.toml brings it back
  upbeat export --owner ops > ops.toml
  upbeat export nightly-backup -o json

What a file can't say is warned about: the end of a pause, skipped fire times to come, how often an entry with max_fires fired.";

/// `upbeat export [SELECT]`: TOML, or JSON under `-o json`.
pub async fn export(app: &App, ids: &[String], select: &Selecting) -> Ended {
    let select = selection::read(ids, select)?.unwrap_or(Select::All);
    let service = app.service().await?;
    if app.printer.format == Format::Id {
        service.select(&select).await?.iter().for_each(|id| print(&format!("{id}\n")));
        return Ok(0);
    }
    let exported = service.export(&select).await?;
    app.printer.one(&exported.file.to_json(), |_| String::new(), || exported.file.to_toml());
    exported.warnings.iter().for_each(|warning| app.printer.warning(warning));
    Ok(0)
}
