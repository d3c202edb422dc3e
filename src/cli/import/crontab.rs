//! `upbeat import crontab FILE...|DIR|-`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::App;
use crate::cli::import::{Applying, bytes_of, files_of, finish};
use crate::cli::output::Ended;
use crate::domain::import::crontab::{Crontab, CrontabRules, Dialect, RunAs, import_crontabs, looks_like_system};
use crate::domain::zone::Zone;
use crate::error::{Error, Result};

pub const CRONTAB_EXAMPLES: &str = "Examples:
  upbeat import crontab /var/spool/cron/ana --tz Europe/Berlin > jobs.toml
  crontab -l | upbeat import crontab - | upbeat apply -f - --dry-run
  upbeat import crontab /etc/crontab /etc/cron.d --tz Europe/Berlin > system.toml
  upbeat import crontab --system --run-as queue /backup/etc/cron.d
  upbeat import crontab --dialect cronie jobs            CRON_TZ, 6~15 and fri-sun as cronie has them
Files of /etc, and those with a known user before each command, are read as system crontabs by themselves.
What could not be carried over is said on standard error, line by line.";

#[derive(Debug, Args)]
pub struct CrontabArgs {
    /// Crontabs, folders of system crontabs as /etc/cron.d, or - for standard input
    #[arg(value_name = "FILE|DIR", default_value = "-")]
    files: Vec<String>,
    /// Zone of the machine that they come from
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// They have a user before each command, as /etc/crontab has
    #[arg(long)]
    system: bool,
    /// They have none, whatever they look like
    #[arg(long, conflicts_with = "system")]
    user_crontab: bool,
    /// The cron that they were written for: debian, cronie, freebsd or openbsd
    #[arg(long, value_name = "CRON")]
    dialect: Option<String>,
    /// How jobs of other users are run: runuser, sudo, queue or node [default: runuser]
    #[arg(long, value_name = "HOW")]
    run_as: Option<String>,
    /// Folder in which commands start, and their HOME, where the crontab sets none
    #[arg(long, value_name = "DIR")]
    home: Option<String>,
    #[command(flatten)]
    applying: Applying,
}

/// One file as it was read.
struct Read {
    name: String,
    text: String,
    is_system: bool,
    prefix: Option<String>,
}

/// Reads crontabs.
pub async fn run(app: &App, args: CrontabArgs) -> Ended {
    if let Some(tz) = &args.tz {
        Zone::parse("tz", tz)?;
    }
    if let Some(home) = args.home.as_ref().filter(|home| !home.starts_with('/')) {
        return Err(Error::invalid("home", format!("{home:?} is not an absolute path")).value(home).into());
    }
    let rules = CrontabRules {
        tz: args.tz.clone(),
        dialect: args.dialect.as_deref().map(|word| Dialect::parse("dialect", word)).transpose()?,
        run_as: args.run_as.as_deref().map_or(Ok(RunAs::default()), |word| RunAs::parse("run-as", word))?,
        home: args.home.clone(),
    };
    let (mut reads, mut notes) = (Vec::new(), Vec::new());
    for path in &args.files {
        read(path, &args, rules.dialect.unwrap_or_default(), &mut reads, &mut notes)?;
    }
    let is_one = reads.len() == 1;
    let crontabs: Vec<Crontab<'_>> = reads
        .iter()
        .map(|read| Crontab {
            name: (!is_one).then_some(read.name.as_str()),
            text: &read.text,
            is_system: read.is_system,
            prefix: read.prefix.as_deref(),
        })
        .collect();
    let mut import = import_crontabs(&crontabs, &rules);
    import.notes.splice(0..0, notes);
    finish(app, import, &args.applying, "crontab").await
}

/// Reads a file, or those of a folder that cron would read.
fn read(
    path: &str,
    args: &CrontabArgs,
    dialect: Dialect,
    reads: &mut Vec<Read>,
    notes: &mut Vec<String>,
) -> Result<()> {
    if path == "-" || !Path::new(path).is_dir() {
        let text = String::from_utf8_lossy(&bytes_of(path)?).into_owned();
        let is_system = is_system(path, &text, args, notes)?;
        reads.push(Read { name: path.to_owned(), text, is_system, prefix: None });
        return Ok(());
    }
    for file in files_of(path)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == ".placeholder" {
            continue;
        }
        let shown = file.display().to_string();
        if !dialect.reads_file(&name) {
            notes.push(format!("{shown} is left out: {} reads no file of that name", dialect.name()));
            continue;
        }
        let text = String::from_utf8_lossy(&bytes_of(&shown)?).into_owned();
        reads.push(Read { name: shown, text, is_system: !args.user_crontab, prefix: Some(name) });
    }
    Ok(())
}

/// Whether a file has the user column: as it was asked for, by its place, or because nothing else is possible.
fn is_system(path: &str, text: &str, args: &CrontabArgs, notes: &mut Vec<String>) -> Result<bool> {
    let at = PathBuf::from(path);
    let (name, folder) = (at.file_name(), at.parent().and_then(Path::file_name));
    if name.is_some_and(|name| name == "anacrontab") {
        return Err(Error::invalid(
            "file",
            format!("{path} belongs to anacron, which has periods and delays, not times"),
        )
        .value(path)
        .hint("a line of it becomes: upbeat add ID --cron 'H 4 * * *' --catch-up latest -- CMD"));
    }
    if args.system || args.user_crontab {
        return Ok(args.system);
    }
    let by_place = name.is_some_and(|name| name == "crontab") && folder.is_some_and(|folder| folder == "etc")
        || folder.is_some_and(|folder| folder == "cron.d");
    let why = match () {
        () if by_place => "it lies where these are",
        () if looks_like_system(text) => "each of its lines names a user before the command",
        () => return Ok(false),
    };
    let name = if path == "-" { "standard input" } else { path };
    notes.push(format!("{name} is read as a system crontab, because {why} (--user-crontab: it is none)"));
    Ok(true)
}
