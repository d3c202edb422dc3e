//! `upbeat import`: files for `apply` from what other schedulers have.

use crate::cli::App;
use crate::cli::output::Ended;
use crate::cli::schedule_files::text_of;
use crate::domain::crontab::import_user_crontab;

/// `upbeat import crontab FILE|-`: prints a file for `apply`, and what it could not carry over.
pub fn import_crontab(app: &App, path: &str, tz: Option<&str>) -> Ended {
    if let Some(tz) = tz {
        crate::domain::zone::Zone::parse("tz", tz)?;
    }
    let import = import_user_crontab(&text_of(path)?, tz);
    let written = import.file.entries.len();
    app.printer.one(&import.file.to_json(), |_| String::new(), || import.file.to_toml());
    for refused in &import.refused {
        app.printer.warning(&format!("line {} refused: {}", refused.line, refused.reason));
        if let Some(hint) = &refused.hint {
            crate::cli::output::complain(&format!("  {hint}"));
        }
    }
    for note in &import.notes {
        app.printer.note(format!("note: {note}"));
    }
    let lost = import.refused.len();
    app.printer.note(format!("{} read, {written} written, {lost} not carried over", written + lost));
    Ok(0)
}
