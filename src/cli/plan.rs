//! `upbeat plan`: what `apply` would do, as a list that people read before they agree.

use std::collections::BTreeMap;

use clap::Args;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::cli::apply::{FilesArgs, counted, zone_of};
use crate::cli::output::{Ended, Format, Printer, complain, print, printable};
use crate::cli::palette::{BAD, DOUBT, GOOD, paint};
use crate::cli::request::asking;
use crate::cli::schedule_files::placed_files;
use crate::cli::summed::Summed;
use crate::cli::times::Wall;
use crate::cli::{App, progress};
use crate::domain::action::Action;
use crate::domain::entry::Entry;
use crate::domain::fields::SCHEDULE_KINDS;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::service::{At, CalendarChange, ChangeView, PlanView, PlannedChange, QueueChange};

pub const PLAN_EXAMPLES: &str = "Examples:
  upbeat plan -f jobs.toml                     what apply would add and change
  upbeat plan -f schedules/ --prune            and what it would remove
  upbeat plan -f jobs.toml --exit-code         in CI: exit 1 where Redis stands otherwise than the file says
  upbeat plan -f jobs.toml -o json | jq '.changes[] | select(.change == \"changed\")'

It only reads. With --exit-code an entry that would be refused counts as a difference, too.";

/// Fire times in the line of an entry that would be added.
const SHOWN: usize = 3;
/// Entries under a calendar that moves their next fire time.
const MOVED: usize = 20;
/// The widest column of a list; what is longer stands out of it.
const COLUMN_MAX_CHARS: usize = 60;
/// The longest value of a field that is shown on a line.
const VALUE_MAX_CHARS: usize = 120;

#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub of: FilesArgs,
    /// Exit with 1 where something would change or be refused
    #[arg(long)]
    pub exit_code: bool,
}

/// `upbeat plan -f FILE|DIR|-`.
pub async fn plan(app: &App, args: PlanArgs) -> Ended {
    let (files, ids) = placed_files(&args.of.files, &progress::watched(app.printer))?;
    let service = app.service().await?;
    let options = args.of.options(app, &service, &files).await?;
    let now = service.store().now(0).await?;
    let mut told = Told::new(app.printer, now);
    let tell = |change: PlannedChange| told.add(&change);
    let plan = service.plan_each(&asking(), files.clone(), &options, tell).await.map_err(|why| ids.placed(why))?;
    match app.printer.format {
        Format::Json | Format::Jsonl => app.printer.long(&told.document(&plan)),
        Format::Id => told.texts.iter().for_each(|id| print(&format!("{id}\n"))),
        Format::Table => {
            if !app.printer.is_quiet {
                print(&lines(&plan, &told, |id| zone_of(&files, id)));
            }
            told.refused.iter().for_each(|why| complain(why));
            Summed::worded(&plan.warnings).tell(app.printer);
            if !app.printer.is_quiet {
                let store = service.store();
                let broker = if told.writes_tasks { BROKER_ITSELF } else { "" };
                print(&format!(
                    "{} · namespace {} on {}{broker}\n",
                    footer(&plan, &told),
                    store.namespace(),
                    store.shown()
                ));
            }
        }
    }
    Ok(u8::from(args.exit_code && (told.has_changes() || plan.has_changes())))
}

/// What is printed of the changes, noted as they are told: of a million entries no more is held.
struct Told {
    printer: Printer,
    now: Timestamp,
    /// In a table, in their order.
    rows: Vec<Row>,
    /// For programs each as JSON, or its id.
    texts: Vec<Box<str>>,
    refused: Vec<String>,
    counts: BTreeMap<&'static str, usize>,
    /// Tasks of Celery would be added whose messages the claim writes.
    writes_tasks: bool,
}

enum Row {
    /// Sign, id, schedule, action, fire times.
    Columns(bool, [Box<str>; 3], Box<str>),
    Lines(String),
}

impl Told {
    fn new(printer: Printer, now: Timestamp) -> Self {
        let (rows, texts, refused, counts) = Default::default();
        Self { printer, now, rows, texts, refused, counts, writes_tasks: false }
    }

    fn add(&mut self, one: &PlannedChange) {
        *self.counts.entry(one.change.change).or_default() += 1;
        match self.printer.format {
            // Maps and texts: serde_json has nothing to refuse.
            Format::Json | Format::Jsonl => self.texts.push(serde_json::to_string(one).unwrap_or_default().into()),
            Format::Id if is_change(one) => self.texts.push(one.change.id.as_str().into()),
            Format::Id => {}
            Format::Table => self.add_row(one),
        }
    }

    fn add_row(&mut self, one: &PlannedChange) {
        match one.change.change {
            "refused" => {
                let why = one.change.message.as_deref().unwrap_or_default();
                self.refused.push(format!("refused {}: {}", one.change.id, printable(why)));
            }
            "changed" if !self.printer.is_quiet => self.rows.push(Row::Lines(changed(one, self.now))),
            "added" | "removed" => {
                let is_added = one.change.change == "added";
                self.writes_tasks |= is_added && one.will_be.as_ref().is_some_and(is_written_by_claims);
                if !self.printer.is_quiet {
                    let words = words(one).map(String::into_boxed_str);
                    self.rows.push(Row::Columns(is_added, words, next(one, self.now).into_boxed_str()));
                }
            }
            _ => {}
        }
    }

    fn count(&self, word: &str) -> usize {
        self.counts.get(word).copied().unwrap_or_default()
    }

    fn has_changes(&self) -> bool {
        self.counts.keys().any(|word| *word != "unchanged")
    }

    fn document<'t>(&'t self, plan: &'t PlanView) -> Document<'t> {
        let (calendars, queues, warnings) = (&plan.calendars, &plan.queues, &plan.warnings);
        Document { changes: Texts(&self.texts), calendars, queues, warnings }
    }
}

/// As `PlanView`, of changes that are JSON already.
#[derive(Serialize)]
struct Document<'t> {
    changes: Texts<'t>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    calendars: &'t [CalendarChange],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    queues: &'t [QueueChange],
    warnings: &'t [String],
}

struct Texts<'t>(&'t [Box<str>]);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|text| serde_json::from_str::<Value>(text).unwrap_or_default()))
    }
}

fn is_change(one: &PlannedChange) -> bool {
    matches!(one.change.change, "added" | "changed" | "removed")
}

/// Behind the Redis into which tasks are written.
const BROKER_ITSELF: &str = " (the broker itself: messages are delivered by the claim)";

/// Whether it is a task of Celery whose message the claim writes.
fn is_written_by_claims(entry: &Entry) -> bool {
    matches!(&entry.action, Action::Celery(celery) if !celery.is_relayed())
}

/// `37 to add, 0 to change, 0 to remove · owner celery`.
fn footer(plan: &PlanView, told: &Told) -> String {
    let [add, change, remove] = ["added", "changed", "removed"].map(|word| counted(told.count(word)));
    let also = ["unchanged", "refused"].map(|word| (told.count(word), word));
    let also: String = also
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!(", {} {word}", counted(*count)))
        .collect();
    let owners = if plan.owners.len() == 1 { "owner" } else { "owners" };
    format!("{add} to add, {change} to change, {remove} to remove{also} · {owners} {}", plan.owners.join(", "))
}

fn lines(plan: &PlanView, told: &Told, zone_of: impl Fn(&str) -> Zone) -> String {
    let mut text: String = plan.calendars.iter().filter_map(|change| calendar(change, &zone_of, told.now)).collect();
    text.extend(plan.queues.iter().filter_map(queue));
    // One long command does not push the fire times of all others out of sight.
    let width = |at: usize| {
        let widths = told.rows.iter().filter_map(|row| match row {
            Row::Columns(_, words, _) => Some(words[at].chars().count()),
            Row::Lines(_) => None,
        });
        widths.filter(|width| *width <= COLUMN_MAX_CHARS).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    for row in &told.rows {
        match row {
            Row::Columns(is_added, words, next) => {
                let sign = if *is_added { paint(GOOD, '+') } else { paint(BAD, '-') };
                let pad = |at: usize| {
                    let blanks = widths[at].saturating_sub(words[at].chars().count());
                    format!("{}{}", words[at], " ".repeat(blanks))
                };
                let line = format!("{sign} {}  {}  {}  {next}", pad(0), pad(1), pad(2));
                text.push_str(line.trim_end());
                text.push('\n');
            }
            Row::Lines(lines) => text.push_str(lines),
        }
    }
    text
}

/// Id, schedule and action as the file says them: `cron 0 2 1 * * Asia/Shanghai`.
fn words(one: &PlannedChange) -> [String; 3] {
    let fields = if one.change.change == "added" { &one.after } else { &one.before };
    let kind = SCHEDULE_KINDS.iter().find_map(|kind| Some((*kind, fields.get(*kind)?)));
    let schedule = kind.map(|(kind, value)| format!("{kind} {}", shown(value))).unwrap_or_default();
    let zone = fields.get("tz").and_then(Value::as_str).map(|zone| format!(" {zone}")).unwrap_or_default();
    let entry = one.will_be.as_ref().or(one.was.as_ref());
    let action = entry.map(Entry::reads).unwrap_or_default();
    [one.change.id.clone(), short(&format!("{schedule}{zone}")), short(&action)]
        .map(|text| printable(&text).replace('\n', " "))
}

fn next(one: &PlannedChange, now: Timestamp) -> String {
    if one.after.get("paused") == Some(&Value::Bool(true)) {
        return "paused".to_owned();
    }
    let five = one.next_five.as_ref();
    let times = five.map(|five| if one.change.change == "added" { &five.after } else { &five.before });
    match times.map(Vec::as_slice).unwrap_or_default() {
        [] => "never".to_owned(),
        times => {
            let word = if one.change.change == "added" { "next" } else { "next was" };
            format!("{word} {}", fire_times(times, wall(one.will_be.as_ref().or(one.was.as_ref()), now), SHOWN))
        }
    }
}

/// `~ sync`, its fields, and its next fire times where they are others.
fn changed(one: &PlannedChange, now: Timestamp) -> String {
    let mut text = format!("{} {}\n", paint(DOUBT, '~'), one.change.id);
    let mut facts: Vec<(String, String)> = Vec::new();
    for field in &one.change.fields {
        let old_and_new = |fields: &Map<String, Value>| fields.get(field.as_ref()).map_or("none".to_owned(), shown);
        let (before, after) = (old_and_new(&one.before), old_and_new(&one.after));
        facts.push((field.to_string(), format!("{} -> {}", short(&before), short(&after))));
    }
    if let Some(five) = one.next_five.as_ref().filter(|five| five.before != five.after) {
        let times = |times: &[At], entry: Option<&Entry>| match times {
            [] => "never".to_owned(),
            times => fire_times(times, wall(entry, now), times.len()),
        };
        facts.push(("next".to_owned(), times(&five.before, one.was.as_ref())));
        facts.push(("->".to_owned(), times(&five.after, one.will_be.as_ref())));
    }
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in facts {
        text.push_str(&format!("    {name:width$}  {}\n", printable(&value).replace('\n', "\\n")));
    }
    text
}

/// `~ calendar cn  3 dates, followed by sync`, and when those fire next whose next fire time it moves.
fn calendar(change: &CalendarChange, zone_of: impl Fn(&str) -> Zone, now: Timestamp) -> Option<String> {
    let sign = match change.change {
        "added" => paint(GOOD, '+'),
        _ if change.change == "unchanged" && change.entries.is_empty() => return None,
        _ => paint(DOUBT, '~'),
    };
    let dates = if change.dates == 1 { "1 date".to_owned() } else { format!("{} dates", change.dates) };
    let names: Vec<&str> = change.entries.iter().map(|one| one.id.as_str()).collect();
    let followed = match names.len() {
        0 => String::new(),
        _ => format!(", followed by {}", names.join(", ")),
    };
    let mut text = format!("{sign} calendar {}  {dates}{followed}\n", change.calendar);
    let moved: Vec<&ChangeView> = change.entries.iter().filter(|one| one.next_before != one.next_after).collect();
    for one in moved.iter().take(MOVED) {
        let wall = Wall { zone: zone_of(&one.id), now };
        let [before, after] =
            [one.next_before, one.next_after].map(|at| at.map_or_else(|| "never".to_owned(), |at| wall.list(&[at.0])));
        text.push_str(&format!("    {}  next {before} -> {after}\n", printable(&one.id)));
    }
    if moved.len() > MOVED {
        text.push_str(&format!(
            "    and {} more fire at other times; -o json names all\n",
            counted(moved.len() - MOVED)
        ));
    }
    Some(text)
}

fn queue(change: &QueueChange) -> Option<String> {
    let limits = [("max_running", change.max_running.map(|most| most.to_string())), ("rate", change.rate.clone())];
    let limits = limits.iter().filter_map(|(name, limit)| Some(format!("{name} {}", limit.as_ref()?)));
    let limits = limits.collect::<Vec<_>>().join(", ");
    (change.change != "unchanged").then(|| format!("{} queue {}  {limits}\n", paint(DOUBT, '~'), change.id))
}

fn wall(entry: Option<&Entry>, now: Timestamp) -> Wall {
    Wall { zone: entry.map_or_else(Zone::utc, |entry| entry.schedule.zone.clone()), now }
}

fn fire_times(times: &[At], wall: Wall, count: usize) -> String {
    wall.list(&times.iter().take(count).map(|at| at.0).collect::<Vec<_>>())
}

/// A value as people write it: a text without quotes, a list with its items.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

/// A long value by its beginning; `-o json` has all of it.
fn short(text: &str) -> String {
    match text.char_indices().nth(VALUE_MAX_CHARS) {
        Some((at, _)) => format!("{}... ({} bytes, -o json shows all)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}
