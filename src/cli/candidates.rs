//! What a word may become while it is typed: asked of Redis within a moment, else silently nothing.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use clap::Arg;
use clap_complete::engine::CompletionCandidate;

use crate::cli::actor::variable;
use crate::cli::args::Common;
use crate::cli::connect;
use crate::cli::output::{Format, Printer};
use crate::cli::zoneinfo;
use crate::domain::entry::FIELDS;
use crate::domain::event::EventType;
use crate::domain::id::EntryId;
use crate::domain::run::{State, Trigger};
use crate::domain::zone;
use crate::error::Result;
use crate::service::{ListFilter, RunFilter, RunView, Select, Service};

/// Whoever types waits no longer, unless [`PATIENCE_VARIABLE`] says so.
const PATIENCE_MS: u64 = 300;
/// Milliseconds, for a Redis that is far away.
const PATIENCE_VARIABLE: &str = "UPBEAT_COMPLETE_MS";
/// Runs that are offered.
const RUNS: usize = 50;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Entries,
    Runs,
    ActiveRuns,
    FailedRuns,
    Queues,
    Nodes,
    Owners,
    Labels,
    Calendars,
    Namespaces,
    Zones,
    States,
    Triggers,
    EventTypes,
    Fields,
    Words(&'static [&'static str]),
}

impl Kind {
    /// What this value of this command is; `None` where nobody can know it.
    pub fn of(command: &str, arg: &Arg) -> Option<Self> {
        Some(match (command, arg.get_id().as_str()) {
            ("add", "id") => return None,
            ("ls", "after") | (_, "id" | "ids" | "prefix" | "entry") => Self::Entries,
            ("cancel", "run") => Self::ActiveRuns,
            ("retry" | "purge", "run" | "runs") => Self::FailedRuns,
            (_, "run" | "runs") => Self::Runs,
            (_, "queue" | "queues") => Self::Queues,
            ("runs", "node") | ("drain", _) => Self::Nodes,
            (_, "owner") => Self::Owners,
            (_, "label") => Self::Labels,
            ("calendars" | "show" | "put" | "rm", "name") | (_, "exclude") => Self::Calendars,
            (_, "namespace") => Self::Namespaces,
            (_, "tz") => Self::Zones,
            (_, "state") => Self::States,
            ("runs", "trigger") => Self::Triggers,
            (_, "types") => Self::EventTypes,
            (_, "unset") => Self::Fields,
            ("trigger", "overlap") => Self::Words(&["allow", "skip"]),
            (_, "overlap") => Self::Words(&["skip", "allow", "buffer_one", "buffer_all", "cancel_other"]),
            (_, "catch_up") => Self::Words(&["latest", "none", "all", "mode=all,max_runs="]),
            (_, "delivery") => Self::Words(&["at_least_once", "at_most_once"]),
            (_, "dst") => {
                Self::Words(&["gap=run_after", "gap=run_before", "gap=skip", "fold=first", "fold=last", "fold=both"])
            }
            (_, "allow") => Self::Words(&["exec", "shell", "http", "celery", "none"]),
            _ => return None,
        })
    }
}

/// What begins as it is typed.
pub fn of(kind: Kind, typed: &str) -> Vec<CompletionCandidate> {
    let found = match kind {
        Kind::Zones => zones(),
        Kind::States => words(State::ALL.iter().map(|state| state.word())),
        Kind::Triggers => words(Trigger::ALL.iter().map(|trigger| trigger.word())),
        Kind::EventTypes => words(EventType::ALL.iter().map(|kind| kind.word())),
        Kind::Fields => words(FIELDS.iter().copied()),
        Kind::Words(known) => words(known.iter().copied()),
        asked => soon(ask(asked, typed)).unwrap_or_default(),
    };
    let found = found.into_iter().filter(|(value, _)| value.starts_with(typed));
    found.map(|(value, about)| CompletionCandidate::new(value).help(about.map(Into::into))).collect()
}

/// A value, and what is said about it where the shell shows that.
type Found = Vec<(String, Option<String>)>;

fn words<'w>(words: impl Iterator<Item = &'w str>) -> Found {
    words.map(|word| (word.to_owned(), None)).collect()
}

fn zones() -> Found {
    // What is wrong with the zone data is for the command to say.
    let _ = zoneinfo::choose_zones();
    zone::names().map(|name| (name, None)).collect()
}

/// What comes in time and without an error.
fn soon<T>(work: impl Future<Output = Result<T>>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let patience = variable(PATIENCE_VARIABLE).and_then(|text| text.parse().ok()).unwrap_or(PATIENCE_MS);
    let done = runtime.block_on(async { tokio::time::timeout(Duration::from_millis(patience), work).await });
    runtime.shutdown_background();
    done.ok()?.ok()
}

async fn ask(kind: Kind, typed: &str) -> Result<Found> {
    let silent = Printer { format: Format::Json, is_quiet: true };
    let service = connect::service(&common(), silent).await?;
    Ok(match kind {
        Kind::Entries => entries(&service).await?,
        Kind::Runs => runs(&service, typed, RunFilter::default(), |_| true).await?,
        Kind::ActiveRuns => runs(&service, typed, RunFilter::default(), |run| run.finished_at.is_none()).await?,
        Kind::FailedRuns => {
            let failed = RunFilter { states: vec![State::Failed], ..RunFilter::default() };
            runs(&service, typed, failed, |_| true).await?
        }
        Kind::Queues => service.queues().await?.into_iter().map(|queue| (queue.queue, None)).collect(),
        Kind::Nodes => service.nodes().await?.into_iter().map(|node| (node.node, Some(node.state))).collect(),
        Kind::Calendars => service.calendars().await?.into_iter().map(|one| (one.calendar, None)).collect(),
        Kind::Namespaces => {
            let list = service.namespaces().await?.namespaces;
            list.into_iter().map(|one| (one.namespace, None)).collect()
        }
        Kind::Owners => distinct(&service, |view| vec![view.owner.clone()]).await?,
        Kind::Labels => {
            let labels = |view: &crate::service::EntryView| {
                let labels = view.labels.as_object().into_iter().flatten();
                labels.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect()
            };
            distinct(&service, labels).await?
        }
        _ => Vec::new(),
    })
}

async fn entries(service: &Service) -> Result<Found> {
    Ok(service.select(&Select::All).await?.into_iter().map(|id| (id.to_string(), None)).collect())
}

async fn distinct(service: &Service, of: impl Fn(&crate::service::EntryView) -> Vec<String>) -> Result<Found> {
    let views = service.list(&ListFilter::default()).await?;
    let values: BTreeSet<String> = views.iter().flat_map(of).collect();
    Ok(values.into_iter().map(|value| (value, None)).collect())
}

/// Entries, for their latest run; and the newest runs by their ids, behind `ID@` by their fire times.
async fn runs(
    service: &Service,
    typed: &str,
    mut filter: RunFilter,
    is_wanted: impl Fn(&RunView) -> bool,
) -> Result<Found> {
    let entry = typed.split_once('@').and_then(|(id, _)| EntryId::parse("id", id).ok());
    let is_of_one = entry.is_some();
    (filter.entry, filter.limit) = (entry, Some(RUNS));
    let runs = service.runs(&filter).await?.runs;
    let runs: Vec<&RunView> = runs.iter().filter(|run| is_wanted(run)).collect();
    if is_of_one {
        let name =
            |run: &&RunView| (format!("{}@{}", run.entry_id, run.fire_at.0.to_rfc3339()), Some(run.state.to_owned()));
        return Ok(runs.iter().map(name).collect());
    }
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for run in &runs {
        if seen.insert(run.entry_id.clone()) {
            found.push((run.entry_id.clone(), Some(format!("its latest run, {}", run.state))));
        }
    }
    found.extend(runs.iter().map(|run| (run.run_id.clone(), Some(format!("{}, {}", run.entry_id, run.state)))));
    Ok(found)
}

/// The common flags of the line that is typed; the rest of it need not be understood yet.
fn common() -> Common {
    let words = match std::env::var("_UPBEAT_LINE") {
        Ok(line) => line.split_whitespace().map(str::to_owned).collect(),
        Err(_) => std::env::args().skip_while(|word| word != "--").collect::<Vec<_>>(),
    };
    let value = |short: &str, long: &str| {
        let with = words.iter().find_map(|word| word.strip_prefix(long)?.strip_prefix('=').map(str::to_owned));
        let behind = || words.windows(2).find(|pair| pair[0] == short || pair[0] == long).map(|pair| pair[1].clone());
        with.or_else(behind).map(|text| text.trim_matches(['"', '\'']).to_owned()).filter(|text| !text.is_empty())
    };
    // A namespace that is half typed is none yet.
    let is_typing =
        |words: &[String]| words.iter().rev().nth(1).is_some_and(|word| word == "-n" || word == "--namespace");
    Common {
        redis: value("--redis", "--redis"),
        redis_ca: value("--redis-ca", "--redis-ca").map(Into::into),
        namespace: value("-n", "--namespace").filter(|_| !is_typing(&words)),
        output: None,
        color: None,
        quiet: true,
    }
}
