//! Commands about schedule files: apply, export, import.

use crate::cli::App;
use crate::cli::args::{ApplyArgs, Selecting};
use crate::cli::output::{Ended, Format, print};
use crate::cli::request::{request, until_answered};
use crate::cli::schedule_files::{schedule_file, text_of};
use crate::cli::{calendars, entry_words, moments, queues, selection};
use crate::domain::crontab::import_user_crontab;
use crate::domain::moment::Direction;
use crate::service::{ApplyOptions, Select};

/// `upbeat apply -f FILE|DIR|-`.
pub async fn apply(app: &App, args: ApplyArgs) -> Ended {
    let mut code = 0;
    let mut read = Vec::new();
    for path in &args.files {
        read.push(schedule_file(path)?);
    }
    let service = app.service().await?;
    let request = request(&args.changing);
    let many = read.len() > 1;
    for (at, (file, owner)) in read.into_iter().enumerate() {
        let mut request = request.clone();
        if many {
            request.id = format!("{}#{at}", request.id);
        }
        let from = match &args.from {
            Some(text) => {
                let zones: Vec<_> = file.entries.iter().map(|one| one.entry.schedule.zone.clone()).collect();
                let now = service.store().now(0).await?;
                Some(moments::read(app, "from", text, &zones, now, Direction::Past)?)
            }
            None => None,
        };
        let ask = async || {
            let options = ApplyOptions { owner: owner.clone(), is_take: args.take, from: from.clone() };
            service.apply(&request, file.clone(), options).await
        };
        let changes = until_answered(app.printer, &request, ask).await?;
        code = code.max(calendars::of_file(app.printer, &changes.calendars, request.is_dry_run));
        queues::of_file(app.printer, &changes.queues, request.is_dry_run);
        let is_other = !changes.calendars.is_empty() || !changes.queues.is_empty();
        if file.entries.is_empty() && is_other && app.printer.format == Format::Table {
            continue;
        }
        if file.entries.is_empty() && app.printer.format == Format::Table {
            app.printer.note("the file has no entries: nothing to do");
            continue;
        }
        code = code.max(entry_words::changes(app, &service, &changes, None, request.is_dry_run).await?);
    }
    Ok(code)
}

/// `upbeat export [SELECT]`: TOML, or JSON under `-o json`.
pub async fn export(app: &App, ids: &[String], select: &Selecting) -> Ended {
    let select = selection::read(ids, select)?.unwrap_or(Select::All);
    let service = app.service().await?;
    let ids = service.select(&select).await?;
    if app.printer.format == Format::Id {
        ids.iter().for_each(|id| print(&format!("{id}\n")));
        return Ok(0);
    }
    let (mut file, owners) = service.export(&ids).await?;
    if matches!(select, Select::All) {
        file.queues = service.limited_queues().await?;
    }
    app.printer.one(&file.to_json(), |_| String::new(), || file.to_toml());
    if owners.len() > 1 {
        let owners = owners.into_iter().collect::<Vec<_>>().join(", ");
        app.printer.warning(&format!("entries of owners {owners}: owner is left out; --owner O exports one"));
    }
    Ok(0)
}

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
