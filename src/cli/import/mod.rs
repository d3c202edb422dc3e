//! `upbeat import`: files for `apply` from what other schedulers have.

mod crontab;

use clap::{Args, Subcommand};

use crate::cli::args::Changing;
use crate::cli::output::{Ended, complain};
use crate::cli::{App, apply, hints};
use crate::domain::file::ScheduleFile;
use crate::domain::id::Owner;
use crate::domain::import::Import;
use crate::service::{FilesOptions, OwnedFile};

#[derive(Debug, Subcommand)]
pub enum ImportFrom {
    /// A user's crontab, a file or - for standard input
    Crontab(crontab::CrontabArgs),
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// What is done with the file that an import makes.
#[derive(Debug, Args)]
pub struct Applying {
    /// Apply it at once, instead of printing it
    #[arg(long)]
    apply: bool,
    /// Who owns the entries [default: the name of the source]
    #[arg(long, value_name = "OWNER")]
    owner: Option<String>,
    #[command(flatten)]
    changing: Changing,
}

/// `upbeat import FROM`.
pub async fn run(app: &App, from: ImportFrom) -> Ended {
    match from {
        ImportFrom::Crontab(args) => crontab::run(app, args).await,
        ImportFrom::Other(words) => Err(hints::subcommand("import", &words).into()),
    }
}

/// Prints the file, or applies it, and reports what could not be carried over. `source` owns the entries where nobody else is named.
async fn finish(app: &App, import: Import, applying: &Applying, source: &str) -> Ended {
    let Import { mut file, refused, notes } = import;
    if let Some(owner) = &applying.owner {
        file.owner = Some(Owner::parse("owner", owner)?);
    }
    let written = file.entries.len();
    let ended = if applying.apply {
        let owner = ScheduleFile::owner_from_name(source);
        let files = vec![OwnedFile { file, owner }];
        let service = app.service().await?;
        apply::write(app, &service, files, &FilesOptions::default(), &applying.changing).await?
    } else {
        app.printer.one(&file.to_json(), |_| String::new(), || file.to_toml());
        0
    };
    for refused in &refused {
        app.printer.warning(&format!("{} refused: {}", refused.place, refused.reason));
        if let Some(hint) = &refused.hint {
            complain(&format!("  {hint}"));
        }
    }
    for note in &notes {
        app.printer.note(format!("note: {note}"));
    }
    let lost = refused.len();
    app.printer.note(format!("{} read, {written} written, {lost} not carried over", written + lost));
    Ok(ended)
}
