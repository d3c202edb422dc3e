//! `upbeat import celery`: the exporter, and what its JSON becomes.

use clap::Args;

use crate::cli::App;
use crate::cli::import::{Applying, write};
use crate::cli::output::{self, Ended};
use crate::cli::schedule_files::text_of;
use crate::domain::import::Import;
use crate::domain::import::celery::{NAME_LABEL, import_export};
use crate::domain::zone::Zone;
use crate::error::{Error, Problem};

/// The script that runs in the app's environment.
const EXPORTER: &str = include_str!("export_beat.py");

pub const CELERY_EXAMPLES: &str = "\
Examples:
  upbeat import celery --exporter > export_beat.py
  upbeat import celery beat.json > celery.toml
  upbeat import celery beat.json --broker redis://broker:6379/1 > celery.toml
Between the first two, in the app's own environment: python export_beat.py proj.celery:app > beat.json
It reads beat_schedule and the tables of django-celery-beat, and changes nothing. What could not be carried over is listed,
with the reason. upbeat help migrate is the guide for the rest of the way, and the way back.";

#[derive(Debug, Args)]
pub struct CeleryArgs {
    /// What the exporter has printed, a file or - for standard input
    #[arg(required_unless_present = "exporter")]
    file: Option<String>,
    /// Print the exporter: a Python script that reads the app's beat_schedule and the tables of django-celery-beat
    #[arg(long, conflicts_with_all = ["file", "tz", "broker", "apply", "owner"])]
    exporter: bool,
    /// Zone of the app's crontabs, where it names none
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// The app's Redis where it is not the one that upbeat uses; secret:NAME where the url has a password
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    #[command(flatten)]
    applying: Applying,
}

/// Prints the exporter, or reads what it has printed.
pub async fn run(app: &App, args: CeleryArgs) -> Ended {
    if args.exporter {
        output::print(EXPORTER);
        return Ok(0);
    }
    let Some(file) = &args.file else {
        return Err(Error::Invalid(Problem::bare("FILE is missing")).into());
    };
    let tz = args.tz.as_deref().map(|tz| Zone::parse("tz", tz)).transpose()?;
    let import = import_export(file, &text_of(file)?, tz.as_ref(), args.broker.as_deref())?;
    let code = write(app, &import, &args.applying, "celery").await?;
    report(app, &import);
    Ok(code)
}

/// Widest column of names, characters.
const NAMES_MAX: usize = 32;

/// Says what became of a beat's entries: how many, which of them could not be carried over and why, and what is different.
pub fn report(app: &App, import: &Import) {
    let (written, lost) = (import.file.entries.len(), import.refused.len());
    app.printer.note(format!("{} read, {written} written, {lost} not carried over", written + lost));
    let names = import.refused.iter().map(|refused| refused.place.chars().count());
    let width = names.max().unwrap_or(0).min(NAMES_MAX);
    for refused in &import.refused {
        if app.printer.is_json() {
            app.printer.warning(&format!("{} refused: {}", refused.place, refused.reason));
            continue;
        }
        output::complain(&output::printable(&format!("  {:width$}  {}", refused.place, refused.reason)));
        if let Some(hint) = &refused.hint {
            output::complain(&output::printable(&format!("  {:width$}  {hint}", "")));
        }
    }
    changed(app, import);
    for note in &import.notes {
        app.printer.note(format!("note: {note}"));
    }
}

/// What a beat's entries look like now that did not before: ids, and those that were disabled.
fn changed(app: &App, import: &Import) {
    let entries = &import.file.entries;
    let renamed: Vec<String> = entries
        .iter()
        .filter_map(|entry| entry.entry.labels.get(NAME_LABEL).map(|name| format!("  {name:?} -> {}", entry.id)))
        .collect();
    if !renamed.is_empty() {
        let ids = if renamed.len() == 1 { "1 id".to_owned() } else { format!("{} ids", renamed.len()) };
        app.printer.note(format!("{ids} changed, the old name is in label {NAME_LABEL}"));
        renamed.iter().for_each(|line| app.printer.note(line));
    }
    match entries.iter().filter(|entry| entry.is_paused).count() {
        0 => {}
        1 => app.printer.note("1 disabled entry is written with paused = true"),
        count => app.printer.note(format!("{count} disabled entries are written with paused = true")),
    }
}
