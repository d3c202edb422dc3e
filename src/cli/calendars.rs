//! Commands about calendars: list, show, put, rm.

use clap::Subcommand;

use crate::cli::App;
use crate::cli::args::Changing;
use crate::cli::hints;
use crate::cli::output::{Ended, Format, Printer, facts, print, table};
use crate::cli::request::{request, until_answered};
use crate::cli::schedule_files::text_of;
use crate::cli::times::Wall;
use crate::domain::calendar::Calendar;
use crate::domain::id::CalendarName;
use crate::domain::zone::Zone;
use crate::service::{CalendarChange, CalendarView};

#[derive(Debug, Subcommand)]
pub enum CalendarsCommand {
    /// Show one, with all its dates
    Show { name: String },
    /// Write one; entries that name it follow
    Put {
        /// 1 to 64 of a-z 0-9 . _ -
        name: String,
        /// iCalendar, a list in JSON or TOML, or a date a line; - for standard input
        #[arg(short = 'f', long, value_name = "FILE")]
        file: String,
        #[command(flatten)]
        changing: Changing,
    },
    /// Remove one that no entry names
    #[command(visible_aliases = ["remove", "delete"])]
    Rm {
        name: String,
        #[command(flatten)]
        changing: Changing,
    },
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Entries that are named one by one, at most.
const NAMED: usize = 12;

/// `upbeat calendars`.
pub async fn run(app: &App, command: Option<CalendarsCommand>) -> Ended {
    match command {
        None => list(app).await,
        Some(CalendarsCommand::Show { name }) => show(app, &name).await,
        Some(CalendarsCommand::Put { name, file, changing }) => put(app, &name, &file, &changing).await,
        Some(CalendarsCommand::Rm { name, changing }) => remove(app, &name, &changing).await,
        Some(CalendarsCommand::Other(words)) => Err(hints::subcommand("calendars", &words).into()),
    }
}

async fn list(app: &App) -> Ended {
    let service = app.service().await?;
    let calendars = service.calendars().await?;
    let now = service.store().now(0).await?;
    let wall = Wall { zone: Zone::utc(), now };
    app.printer.list(
        &calendars,
        |view| view.calendar.clone(),
        || {
            if calendars.is_empty() {
                app.printer.note("no calendars; write one: upbeat calendars put NAME -f FILE");
                return String::new();
            }
            let row = |view: &CalendarView| {
                let day = |day: &Option<String>| day.clone().unwrap_or_default();
                let changed = format!("{} by {}", wall.relative(view.changed_at.0), view.actor);
                let name = view.calendar.clone();
                vec![name, view.dates.to_string(), day(&view.first), day(&view.last), some(&view.entries), changed]
            };
            table(&["CALENDAR", "DATES", "FIRST", "LAST", "ENTRIES", "CHANGED"], calendars.iter().map(row))
        },
    );
    Ok(0)
}

async fn show(app: &App, name: &str) -> Ended {
    let service = app.service().await?;
    let detail = service.calendar(&CalendarName::parse("calendar", name)?).await?;
    let wall = Wall { zone: Zone::utc(), now: service.store().now(0).await? };
    app.printer.one(
        &detail,
        |detail| detail.view.calendar.clone(),
        || {
            let view = &detail.view;
            let dates: Vec<&str> =
                detail.all_dates.as_array().into_iter().flatten().filter_map(|date| date.as_str()).collect();
            let reason = view.reason.as_ref().map(|reason| format!(" ({reason:?})")).unwrap_or_default();
            let changed = format!("{} by {}{reason}", wall.full(view.changed_at.0), view.actor);
            let entries = if view.entries.is_empty() { "none".to_owned() } else { view.entries.join(", ") };
            let lines = [("revision", view.revision.to_string()), ("changed", changed), ("entries", entries)];
            format!("{}{}\n", facts(&lines), dates.join("\n"))
        },
    );
    Ok(0)
}

async fn put(app: &App, name: &str, file: &str, changing: &Changing) -> Ended {
    let name = CalendarName::parse("calendar", name)?;
    let shown = if file == "-" { "standard input" } else { file };
    let calendar = Calendar::read(shown, &text_of(file)?)?;
    let service = app.service().await?;
    let request = request(changing);
    let ask = async || service.put_calendar(&request, &name, &calendar).await;
    let change = until_answered(app.printer, &request, ask).await?;
    app.printer.one(&change, |change| change.calendar.clone(), || said(&change, request.is_dry_run));
    Ok(refused(app.printer, &change))
}

async fn remove(app: &App, name: &str, changing: &Changing) -> Ended {
    let name = CalendarName::parse("calendar", name)?;
    let service = app.service().await?;
    let request = request(changing);
    let change = until_answered(app.printer, &request, async || service.remove_calendar(&request, &name).await).await?;
    app.printer.one(&change, |change| change.calendar.clone(), || said(&change, request.is_dry_run));
    Ok(0)
}

/// What became of the calendars of a file.
pub fn of_file(printer: Printer, changes: &[CalendarChange], is_dry_run: bool) -> u8 {
    let mut code = 0;
    for change in changes {
        if printer.format == Format::Table {
            print(&said(change, is_dry_run));
        }
        code = code.max(refused(printer, change));
    }
    code
}

/// `changed calendar cn-holidays · revision 2 · 30 dates · followed by nightly, weekly`.
fn said(change: &CalendarChange, is_dry_run: bool) -> String {
    let would = if is_dry_run && change.change != "unchanged" { "would be " } else { "" };
    let (name, revision) = (&change.calendar, change.revision);
    if change.change == "removed" {
        return format!("{would}removed calendar {name} · revision {revision} was the last\n");
    }
    let dates = match change.dates {
        1 => "1 date".to_owned(),
        many => format!("{many} dates"),
    };
    let followed: Vec<String> =
        change.entries.iter().filter(|one| one.change == "changed").map(|one| one.id.clone()).collect();
    let followed = if followed.is_empty() { String::new() } else { format!(" · followed by {}", some(&followed)) };
    format!("{would}{} calendar {name} · revision {revision} · {dates}{followed}\n", change.change)
}

fn refused(printer: Printer, change: &CalendarChange) -> u8 {
    let refused = change.entries.iter().filter(|one| one.change == "refused");
    let mut code = 0;
    for one in refused {
        printer.warning(&format!("{}: {}", one.id, one.message.as_deref().unwrap_or("it was changed meanwhile")));
        code = 4;
    }
    code
}

fn some(names: &[String]) -> String {
    match names.len().saturating_sub(NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..NAMED].join(", ")),
    }
}
