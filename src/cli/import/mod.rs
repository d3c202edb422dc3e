//! `upbeat import`: files for `apply` from what other schedulers have.

mod celery;
mod crontab;
mod k8s;
mod redbeat;
mod redbeat_words;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::cli::args::Changing;
use crate::cli::output::{Ended, complain};
use crate::cli::{App, apply, hints, schedule_files};
use crate::domain::file::ScheduleFile;
use crate::domain::id::Owner;
use crate::domain::import::Import;
use crate::error::{Error, Result};
use crate::service::{FilesOptions, OwnedFile};

/// Greatest file of another program, bytes: all of it is taken apart at once.
const FILE_MAX_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug, Subcommand)]
pub enum ImportFrom {
    /// Crontabs of users and of the system: files, folders, or - for standard input
    #[command(after_help = crontab::CRONTAB_EXAMPLES)]
    Crontab(Box<crontab::CrontabArgs>),
    /// A live RedBeat: read, watched, taken over, handed back
    #[command(after_help = redbeat::REDBEAT_EXAMPLES)]
    Redbeat(Box<redbeat::RedbeatArgs>),
    /// The beat of a Celery app: beat_schedule, and the tables of django-celery-beat
    #[command(after_help = celery::CELERY_EXAMPLES)]
    Celery(Box<celery::CeleryArgs>),
    /// CronJobs of Kubernetes: manifests, folders of them, or - for standard input
    #[command(after_help = k8s::K8S_EXAMPLES)]
    K8s(Box<k8s::K8sArgs>),
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
        ImportFrom::Crontab(args) => crontab::run(app, *args).await,
        ImportFrom::Redbeat(args) => redbeat::run(app, *args).await,
        ImportFrom::Celery(args) => celery::run(app, *args).await,
        ImportFrom::K8s(args) => k8s::run(app, *args).await,
        ImportFrom::Other(words) => Err(hints::subcommand("import", &words).into()),
    }
}

/// Prints the file, or applies it, and reports what could not be carried over. `source` owns the entries where nobody else is named.
async fn finish(app: &App, import: Import, applying: &Applying, source: &str) -> Ended {
    let code = write(app, &import, applying, source).await?;
    report(app, &import);
    Ok(code)
}

/// Prints the file, or applies it.
async fn write(app: &App, import: &Import, applying: &Applying, source: &str) -> Ended {
    let mut file = import.file.clone();
    if let Some(owner) = &applying.owner {
        file.owner = Some(Owner::parse("owner", owner)?);
    }
    if applying.apply {
        let owner = ScheduleFile::owner_from_name(source);
        let files = vec![OwnedFile { file, owner }];
        let service = app.service().await?;
        return apply::write(app, &service, files, &FilesOptions::default(), &applying.changing).await;
    }
    let comments: String = import.comments.iter().map(|line| format!("# {line}\n")).collect();
    let toml = || match comments.is_empty() {
        true => file.to_toml(),
        false => format!("{}\n{comments}", file.to_toml()),
    };
    app.printer.one(&file.to_json(), |_| String::new(), toml);
    Ok(0)
}

/// Says what could not be carried over, and why, and what behaves differently.
fn report(app: &App, import: &Import) {
    for refused in &import.refused {
        app.printer.warning(&format!("{} refused: {}", refused.place, refused.reason));
        if let Some(hint) = &refused.hint {
            complain(&format!("  {hint}"));
        }
    }
    for note in &import.notes {
        app.printer.note(format!("note: {note}"));
    }
    let (written, lost) = (import.file.entries.len(), import.refused.len());
    app.printer.note(format!("{} read, {written} written, {lost} not carried over", written + lost));
}

/// The same, where it is not too large.
fn bytes_of(path: &str) -> Result<Vec<u8>> {
    let bytes = schedule_files::bytes_of(path)?;
    if bytes.len() > FILE_MAX_BYTES {
        let why = format!("{path} has more than {FILE_MAX_BYTES} bytes, which are the most");
        return Err(Error::invalid("file", why).value(path));
    }
    Ok(bytes)
}

/// The files of a folder, by name.
fn files_of(path: &str) -> Result<Vec<PathBuf>> {
    let refuse = |why: std::io::Error| Error::invalid("file", format!("{path} can't be read: {why}")).value(path);
    let mut files = Vec::new();
    for file in std::fs::read_dir(Path::new(path)).map_err(refuse)? {
        let file = file.map_err(refuse)?.path();
        if file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
