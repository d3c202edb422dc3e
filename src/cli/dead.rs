//! Commands about dead letters: ls, show, retry, purge; and `retry` of one run.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::App;
use crate::cli::args::Changing;
use crate::cli::fields::whole;
use crate::cli::hints;
use crate::cli::output::{Ended, print, table};
use crate::cli::request::{request, until_answered};
use crate::cli::run_words::{Words, name, outcome, shown};
use crate::cli::selection::agree;
use crate::cli::show_run;
use crate::domain::id::EntryId;
use crate::error::{Error, Problem, Result};
use crate::service::{LetterVerb, Letters, RunRef};

#[derive(Debug, Subcommand)]
pub enum DeadCommand {
    /// List them, the newest first
    #[command(visible_alias = "list")]
    Ls {
        /// Only those of this entry
        id: Option<String>,
        /// So many at most; 0 for all
        #[arg(long, default_value_t = 50, value_parser = whole::<usize>(0, u64::MAX), allow_negative_numbers = true)]
        limit: usize,
    },
    /// Show one, with every attempt
    Show { run: String },
    /// Reopen runs: the same run, its next attempt
    #[command(after_help = EXAMPLES)]
    Retry(LettersArgs),
    /// Forget letters; the records of their runs stay
    #[command(after_help = EXAMPLES)]
    Purge(LettersArgs),
    #[command(external_subcommand)]
    Other(Vec<String>),
}

#[derive(Debug, Args)]
pub struct LettersArgs {
    /// A run id, ID@FIRE_AT, or ID for all of an entry
    #[arg(value_name = "RUN|ID")]
    pub runs: Vec<String>,
    /// All of this entry; may be repeated
    #[arg(long, value_name = "ID")]
    pub entry: Vec<String>,
    /// All there are
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub changing: Changing,
}

const EXAMPLES: &str = "\
Examples:
  upbeat dead retry report                              all dead letters of report
  upbeat dead retry report@2026-11-20T02:00:00.000Z
  upbeat dead retry --all --dry-run                     says what it would do
  upbeat dead purge --all -y
A run that is retried has as many attempts as its entry's retry allows, and waits while another run of it is active.";

/// `upbeat dead`.
pub async fn run(app: &App, command: Option<DeadCommand>) -> Ended {
    match command {
        None => list(app, None, 50).await,
        Some(DeadCommand::Ls { id, limit }) => list(app, id.as_deref(), limit).await,
        Some(DeadCommand::Show { run }) => show(app, &run).await,
        Some(DeadCommand::Retry(args)) => change(app, LetterVerb::Retry, args).await,
        Some(DeadCommand::Purge(args)) => change(app, LetterVerb::Purge, args).await,
        Some(DeadCommand::Other(words)) => Err(hints::subcommand("dead", &words).into()),
    }
}

async fn list(app: &App, id: Option<&str>, limit: usize) -> Ended {
    let id = id.map(|id| EntryId::parse("id", id)).transpose()?;
    let service = app.service().await?;
    let wanted = match &id {
        Some(id) => Letters::Of(vec![RunRef::Latest(id.clone())]),
        None => Letters::All,
    };
    let list = service.dead(&wanted, Some(limit).filter(|limit| *limit > 0)).await?;
    if let Some(id) = id.filter(|_| list.runs.is_empty()) {
        // One that never existed is a mistake; one without letters is fine.
        service.select(&crate::service::Select::Ids(vec![id])).await?;
    }
    let words = Words::of(&service, &list.runs, true).await?;
    app.printer.list(
        &list.runs,
        |run| run.run_id.clone(),
        || {
            if list.runs.is_empty() {
                app.printer.note("no dead letters");
                return String::new();
            }
            words.table(&list.runs)
        },
    );
    if let Some(text) = shown(list.runs.len(), list.found, true) {
        app.printer.note(text);
    }
    Ok(0)
}

async fn show(app: &App, run: &str) -> Ended {
    let wanted = RunRef::parse(run)?;
    let service = app.service().await?;
    let run = service.dead_letter(&wanted).await?;
    show_run::print(app, &service, &run).await?;
    app.printer.note(format!("upbeat dead retry {0} · upbeat dead purge {0} · upbeat logs {0}", run.run_id));
    Ok(0)
}

/// The letters that words and flags name.
fn wanted(verb: &str, args: &LettersArgs) -> Result<Letters> {
    let mut runs = args.runs.iter().map(|run| RunRef::parse(run)).collect::<Result<Vec<_>>>()?;
    for id in &args.entry {
        runs.push(RunRef::Latest(EntryId::parse("entry", id)?));
    }
    match (args.all, runs.is_empty()) {
        (true, true) => Ok(Letters::All),
        (true, false) => Err(Error::invalid("--all", "runs are named too; select in one way")),
        (false, false) => Ok(Letters::Of(runs)),
        (false, true) => {
            let problem = Problem::bare(format!("nothing is named to {verb}"));
            Err(Error::Invalid(problem.hint("name runs or entries, or --all; upbeat dead ls lists them")))
        }
    }
}

async fn change(app: &App, verb: LetterVerb, args: LettersArgs) -> Ended {
    let word = if verb == LetterVerb::Retry { "retry" } else { "purge" };
    let wanted = wanted(word, &args)?;
    let request = request(&args.changing);
    let service = app.service().await?;
    if wanted == Letters::All && !args.changing.yes && !request.is_dry_run {
        let found = service.dead(&wanted, Some(0)).await?.found;
        if found > 1 {
            agree(&format!("{word} {found} dead letters"))?;
        }
    }
    let ask = async || service.change_dead(&request, verb, &wanted).await;
    let changes = until_answered(app.printer, &request, ask).await?;
    if app.printer.is_json() {
        app.printer.one(&json!({ "changes": changes, "warnings": [] }), |_| String::new(), String::new);
        return Ok(0);
    }
    if app.printer.format == crate::cli::output::Format::Id {
        changes.iter().for_each(|change| print(&format!("{}\n", change.run_id)));
        return Ok(0);
    }
    let rows = changes.iter().map(|change| {
        let of = change.entry_id.as_ref().zip(change.fire_at);
        let run = of.map_or_else(|| change.run_id.clone(), |(id, at)| format!("{id}@{}", at.0.to_rfc3339()));
        vec![run, change.change.to_owned()]
    });
    match changes.len() {
        0 => app.printer.note("no dead letters"),
        _ => print(&table(&["RUN", if request.is_dry_run { "WOULD BE" } else { "IS" }], rows)),
    }
    Ok(0)
}

/// `upbeat retry RUN`.
pub async fn retry(app: &App, run: &str, changing: &Changing) -> Ended {
    let wanted = RunRef::parse(run)?;
    let request = request(changing);
    let service = app.service().await?;
    let run = until_answered(app.printer, &request, async || service.retry(&request, &wanted).await).await?;
    let words = Words::of(&service, std::slice::from_ref(&run), false).await?;
    app.printer.one(
        &run,
        |run| run.run_id.clone(),
        || match request.is_dry_run {
            true => format!("would retry {}\n", name(&run)),
            false => format!("{}: {}\n", name(&run), outcome(&run, &words.wall(&run))),
        },
    );
    Ok(0)
}
