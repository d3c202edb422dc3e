//! Commands about queues: list, set, pause, resume.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::cli::App;
use crate::cli::args::Changing;
use crate::cli::hints;
use crate::cli::output::{Ended, Printer, print, table};
use crate::cli::request::{request, until_answered};
use crate::domain::id::QueueName;
use crate::domain::queue::{RUNNING_MAX, Rate, limit_name, max_running};
use crate::error::{Error, Result};
use crate::service::{QueueChange, QueueView};
use crate::store::QueueVerb;

#[derive(Debug, Subcommand)]
pub enum QueuesCommand {
    /// Limit how many of its runs execute at a time, and how fast they start
    #[command(after_help = SET_EXAMPLES)]
    Set(SetQueueArgs),
    /// Let nothing of it start: fire times go on, and their runs wait
    #[command(visible_aliases = ["suspend", "disable"])]
    Pause(QueueArgs),
    /// End its pause
    #[command(visible_aliases = ["unpause", "enable"])]
    Resume(QueueArgs),
    #[command(external_subcommand)]
    Other(Vec<String>),
}

const SET_EXAMPLES: &str = "\
Examples:
  upbeat queues set reports --max-running 5                 at most 5 execute at a time, in the whole fleet
  upbeat queues set reports --rate 100/1m                   at most 100 start within any minute
  upbeat queues set reports --unset rate --reason 'new key'";

#[derive(Debug, Args)]
pub struct SetQueueArgs {
    /// Its name
    queue: String,
    /// Runs of it that execute at a time, in the fleet: 1 to 10000
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_running: Option<String>,
    /// Runs that start within any span so long: 100/1m
    #[arg(long, value_name = "N/D", allow_hyphen_values = true)]
    rate: Option<String>,
    /// Limits to take away: max_running, rate
    #[arg(long, value_name = "LIMIT,..", value_delimiter = ',')]
    unset: Vec<String>,
    #[command(flatten)]
    changing: Changing,
}

#[derive(Debug, Args)]
pub struct QueueArgs {
    /// Its name
    queue: String,
    #[command(flatten)]
    changing: Changing,
}

/// `upbeat queues [set|pause|resume Q]`.
pub async fn run(app: &App, command: Option<QueuesCommand>) -> Ended {
    match command {
        None => list(app).await,
        Some(QueuesCommand::Set(args)) => {
            let verb = wanted(&args)?;
            change(app, &args.queue, verb, &args.changing).await
        }
        Some(QueuesCommand::Pause(args)) => change(app, &args.queue, QueueVerb::Pause, &args.changing).await,
        Some(QueuesCommand::Resume(args)) => change(app, &args.queue, QueueVerb::Resume, &args.changing).await,
        Some(QueuesCommand::Other(words)) => Err(hints::subcommand("queues", &words).into()),
    }
}

fn wanted(args: &SetQueueArgs) -> Result<QueueVerb> {
    let mut most = args.max_running.as_deref().map(read_max_running).transpose()?.map(Some);
    let mut rate = args.rate.as_deref().map(|text| Rate::parse("rate", text)).transpose()?.map(Some);
    for name in &args.unset {
        let name = limit_name(name)?;
        let twice = || Error::invalid(name, "is set and unset at once");
        match name {
            "rate" if rate.is_some_and(|rate| rate.is_some()) => return Err(twice()),
            "rate" => rate = Some(None),
            _ if most.is_some_and(|most| most.is_some()) => return Err(twice()),
            _ => most = Some(None),
        }
    }
    if most.is_none() && rate.is_none() {
        let error = Error::invalid("queues set", "--max-running, --rate or --unset is needed");
        return Err(error.hint("upbeat queues set Q --max-running 5 --rate 100/1m"));
    }
    Ok(QueueVerb::Set { max_running: most, rate })
}

fn read_max_running(text: &str) -> Result<u32> {
    let Ok(number) = text.parse::<u64>() else {
        let why = format!("{text:?} is not a whole number from 1 to {RUNNING_MAX}");
        return Err(Error::invalid("max-running", why).value(text));
    };
    max_running("max-running", &Value::from(number))
}

async fn change(app: &App, queue: &str, verb: QueueVerb, changing: &Changing) -> Ended {
    let queue = QueueName::parse("queue", queue)?;
    let request = request(changing);
    let service = app.service().await?;
    let changes = until_answered(app.printer, &request, async || service.change_queue(&request, &queue, verb).await);
    let changes = changes.await?;
    let done = match verb {
        QueueVerb::Set { .. } => "changed",
        QueueVerb::Pause => "paused",
        QueueVerb::Resume => "resumed",
    };
    let ids = || changes.changes.iter().map(|change| change.id.as_str()).collect::<Vec<_>>().join("\n");
    let lines = || changes.changes.iter().map(|change| said(change, done, request.is_dry_run)).collect();
    app.printer.one(&changes, |_| ids(), lines);
    if !app.printer.is_json() {
        changes.warnings.iter().for_each(|warning| app.printer.warning(warning));
    }
    Ok(0)
}

/// What became of the queues of a file.
pub fn of_file(printer: Printer, changes: &[QueueChange], is_dry_run: bool) {
    if printer.format == crate::cli::output::Format::Table {
        changes.iter().for_each(|change| print(&said(change, "changed", is_dry_run)));
    }
}

/// `changed queue reports · max_running 5, rate 100/1m`.
fn said(change: &QueueChange, done: &str, is_dry_run: bool) -> String {
    let would = if is_dry_run && change.change != "unchanged" { "would be " } else { "" };
    let word = if change.change == "unchanged" { "unchanged" } else { done };
    let limits = limits(change.max_running, change.rate.as_deref());
    let limits = if limits.is_empty() { "no limits".to_owned() } else { limits };
    let paused = if change.paused_by.is_null() || done == "paused" { "" } else { ", paused" };
    format!("{would}{word} queue {} · {limits}{paused}\n", change.id)
}

fn limits(max_running: Option<u32>, rate: Option<&str>) -> String {
    let most = max_running.map(|most| format!("max_running {most}"));
    most.into_iter().chain(rate.map(|rate| format!("rate {rate}"))).collect::<Vec<_>>().join(", ")
}

async fn list(app: &App) -> Ended {
    let queues = app.service().await?.queues().await?;
    app.printer.list(
        &queues,
        |queue| queue.queue.clone(),
        || {
            if queues.is_empty() {
                app.printer.note("no queues: a queue is there once an entry names it");
                return String::new();
            }
            table(&["QUEUE", "WAITING", "RUNNING", "RATE", "STATE", "KINDS", "NODES"], queues.iter().map(row))
        },
    );
    if !app.printer.is_json() {
        queues.iter().flat_map(|queue| &queue.warnings).for_each(|warning| app.printer.warning(warning));
    }
    Ok(0)
}

fn row(queue: &QueueView) -> Vec<String> {
    let kinds = queue.kinds.as_object().map(|kinds| kinds.keys().cloned().collect::<Vec<_>>().join(","));
    let running =
        queue.max_running.map_or_else(|| queue.running.to_string(), |most| format!("{}/{most}", queue.running));
    let state = match queue.paused_by["actor"].as_str() {
        Some(actor) => format!("paused by {actor}"),
        None => "open".to_owned(),
    };
    vec![
        queue.queue.clone(),
        queue.waiting.to_string(),
        running,
        queue.rate.clone().unwrap_or_default(),
        state,
        kinds.unwrap_or_default(),
        if queue.nodes.is_empty() { "nobody".to_owned() } else { queue.nodes.join(",") },
    ]
}
