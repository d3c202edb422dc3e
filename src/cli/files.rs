//! Commands about schedule files: apply, export, import.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use crate::cli::App;
use crate::cli::args::{ApplyArgs, Selecting};
use crate::cli::output::{Ended, Failure, Format, print};
use crate::cli::request::{request, until_answered};
use crate::cli::{calendars, entry_words, moments, queues, selection};
use crate::domain::calendar::Calendar;
use crate::domain::crontab::import_user_crontab;
use crate::domain::file::{CalendarSource, FILE_MAX_BYTES, ScheduleFile, line_of};
use crate::domain::id::Owner;
use crate::domain::moment::Direction;
use crate::error::{Error, Problem, Result};
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

/// The entries of a file or a folder, and who applies them where it does not say so itself.
fn schedule_file(path: &str) -> Ended<(ScheduleFile, Owner)> {
    if path == "-" {
        let mut file = parse("standard input", &text_of(path)?)?;
        read_calendars(&mut file, Path::new("."))?;
        let owner = file.owner.clone().map_or_else(|| Owner::parse("owner", "cli"), Ok)?;
        return Ok((file, owner));
    }
    let at = Path::new(path);
    if !at.is_dir() {
        let mut file = parse(path, &text_of(path)?)?;
        read_calendars(&mut file, at.parent().unwrap_or(Path::new(".")))?;
        let owner = file.owner.clone().unwrap_or_else(|| owner_of(at));
        return Ok((file, owner));
    }
    let mut whole = ScheduleFile::default();
    let mut complaints = Vec::new();
    let mut ids = BTreeSet::new();
    for name in schedule_files(at)? {
        let file = match text_of(&name).map_err(Failure::from).and_then(|text| parse(&name, &text)) {
            Ok(file) => file,
            Err(Failure(errors)) => {
                complaints.extend(errors);
                continue;
            }
        };
        let differs = |one: &Option<String>, other: Option<String>| matches!((one, other), (Some(one), Some(other)) if *one != other);
        let (owner, namespace) =
            (file.owner.as_ref().map(Owner::to_string), file.namespace.as_ref().map(ToString::to_string));
        if differs(&owner, whole.owner.as_ref().map(Owner::to_string)) {
            complaints.push(Error::invalid("owner", "another file of the folder names another owner").at(&name, None));
        }
        if differs(&namespace, whole.namespace.as_ref().map(ToString::to_string)) {
            complaints
                .push(Error::invalid("namespace", "another file of the folder names another one").at(&name, None));
        }
        whole.owner = whole.owner.or(file.owner);
        whole.namespace = whole.namespace.or(file.namespace);
        for calendar in file.calendars {
            if whole.calendars.iter().any(|known| known.name == calendar.name) {
                let field = format!("calendars.{}", calendar.name);
                complaints.push(Error::invalid(field, "stands in another file of the folder too").at(&name, None));
            }
            whole.calendars.push(calendar);
        }
        for queue in file.queues {
            if whole.queues.iter().any(|known| known.name == queue.name) {
                let field = format!("queues.{}", queue.name);
                complaints.push(Error::invalid(field, "stands in another file of the folder too").at(&name, None));
            }
            whole.queues.push(queue);
        }
        for entry in file.entries {
            if !ids.insert(entry.id.clone()) {
                let field = format!("entries.{}", entry.id);
                complaints.push(Error::invalid(field, "stands in another file of the folder too").at(&name, None));
            }
            whole.entries.push(entry);
        }
    }
    if !complaints.is_empty() {
        return Err(Failure(complaints));
    }
    read_calendars(&mut whole, at)?;
    let owner = whole.owner.clone().unwrap_or_else(|| owner_of(&at.canonicalize().unwrap_or_else(|_| at.to_owned())));
    Ok((whole, owner))
}

/// The `.toml` and `.json` files of a folder, by name.
fn schedule_files(folder: &Path) -> Result<Vec<String>> {
    let refuse = |why: String| Error::invalid("file", format!("{}: {why}", folder.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|why| refuse(why.to_string()))? {
        let path = entry.map_err(|why| refuse(why.to_string()))?.path();
        let is_schedule = path.extension().is_some_and(|ending| ending == "toml" || ending == "json");
        if is_schedule && path.is_file() {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(refuse("no .toml or .json file in it".to_owned())),
        false => Ok(files),
    }
}

/// Reads the files that calendars name, relative to `folder`.
fn read_calendars(file: &mut ScheduleFile, folder: &Path) -> Ended<()> {
    let mut complaints = Vec::new();
    for calendar in &mut file.calendars {
        let CalendarSource::File(path) = &calendar.source else { continue };
        let path = folder.join(path).to_string_lossy().into_owned();
        match text_of(&path).and_then(|text| Calendar::read(&path, &text)) {
            Ok(dates) => calendar.source = CalendarSource::Dates(dates),
            Err(why) => complaints.push(why.under(&format!("calendars.{}", calendar.name))),
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(Failure(complaints)) }
}

fn owner_of(path: &Path) -> Owner {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    ScheduleFile::owner_from_name(&stem.unwrap_or_default())
}

/// Reads a file; every complaint says where it stands.
fn parse(name: &str, text: &str) -> Ended<ScheduleFile> {
    ScheduleFile::parse(name, text).map_err(|errors| {
        let placed = errors.into_iter().map(|error| match error.problem() {
            Problem { place: Some(_), .. } => error,
            Problem { field, .. } => {
                let line = field.as_deref().and_then(|field| line_of(text, field));
                error.at(name, line)
            }
        });
        Failure(placed.collect())
    })
}

/// The text of a file, or of standard input for `-`.
pub fn text_of(path: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let limit = FILE_MAX_BYTES as u64 + 1;
    let read = match path {
        "-" => std::io::stdin().lock().take(limit).read_to_end(&mut bytes),
        path => std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
    };
    read.map_err(|why| Error::invalid("file", format!("{path} can't be read: {why}")).value(path))?;
    String::from_utf8(bytes).map_err(|why| {
        let line = 1 + why.as_bytes()[..why.utf8_error().valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        Error::Invalid(Problem::bare("is not UTF-8 text").at(path, Some(line)))
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_complaint_about_a_file_says_its_line() {
        let text = "[entries.a]\nevery = '5m'\nshell = 'a'\n\n[entries.b]\ncron = '61 * * * *'\nshell = 'b'\n";
        let Err(Failure(errors)) = parse("x.toml", text) else { panic!("it is accepted") };
        assert_eq!(errors.len(), 1);
        assert!(errors[0].to_string().starts_with("x.toml:6: entries.b.cron: "), "{}", errors[0]);
    }

    #[test]
    fn the_owner_is_the_name_of_the_file() {
        assert_eq!(owner_of(Path::new("jobs/My Team.toml")).as_str(), "my-team");
    }
}
