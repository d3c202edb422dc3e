//! audit: what should have fired and what is on record, in two lines and what does not fit.

use std::collections::BTreeMap;

use clap::Args;

use crate::cli::App;
use crate::cli::args::Selecting;
use crate::cli::output::{Ended, table};
use crate::cli::times::{Wall, rough};
use crate::cli::{moments, selection};
use crate::domain::id::EntryId;
use crate::domain::moment::Direction;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::service::{At, AuditView, AuditedEntry, Select};

/// Fire times of an entry that the table names.
const NAMED: usize = 5;

#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Entries, one by one
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    #[command(flatten)]
    pub select: Selecting,
    /// From then on: an instant, 02:00, -7d [default: as far back as records go, 35 days]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub since: Option<String>,
}

pub const AUDIT_EXAMPLES: &str = "\
Examples:
  upbeat audit                    every fire time of the last 35 days, entries removed meanwhile included
  upbeat audit report --since -7d
  upbeat audit -l tier=backup -o json
Recomputes each fire time by the definition that held then and compares it with the ledger: missing is on nobody's
record, extra is on record and was no fire time. Exit 1 when either is not 0. How runs ended is not its matter: upbeat runs.";

/// `upbeat audit [SELECT] [--since T]`.
pub async fn run(app: &App, args: AuditArgs) -> Ended {
    let select = selection::read(&args.ids, &args.select)?.filter(|select| *select != Select::All);
    let service = app.service().await?;
    let named: &[EntryId] = if let Some(Select::Ids(ids)) = &select { ids } else { &[] };
    let since = match &args.since {
        Some(text) => Some(moments::about(app, &service, "since", text, &named.into(), Direction::Past).await?.at),
        None => None,
    };
    let view = service.audit(select.as_ref(), since).await?;
    let mut zones = service.zones(&named.iter().map(EntryId::to_string).collect()).await?;
    let zone = match named {
        [id] => zones.remove(id.as_str()).unwrap_or_else(Zone::utc),
        _ => Zone::utc(),
    };
    let wall = Wall { zone, now: view.to.0 };
    let ids = || view.entries.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>().join("\n");
    app.printer.one(&view, |_| ids(), || words(&view, named.len(), &wall));
    Ok(u8::from(view.numbers.missing + view.numbers.extra > 0))
}

fn words(view: &AuditView, named: usize, wall: &Wall) -> String {
    let numbers = &view.numbers;
    let asked = Span((view.to.0.0 - view.from.0.0).unsigned_abs());
    let when = match view.covered_from > view.from {
        false => rough(asked),
        true => format!("since {} ({})", wall.at(view.covered_from.0), why_since(view)),
    };
    let entries = match view.audited {
        1 if named == 1 => String::new(),
        1 => ", 1 entry".to_owned(),
        count => format!(", {count} entries"),
    };
    let lost = view.entries.iter().filter(|entry| is_lost(entry)).count();
    let covered = match lost {
        0 => "all of it covered".to_owned(),
        1 => "1 entry not covered all the time".to_owned(),
        count => format!("{count} entries not covered all the time"),
    };
    let mut text = format!(
        "{when}{entries}, {covered}: {} expected, {} fired, {} skipped{}, {} missed{}\n{} missing, {} extra\n",
        numbers.expected,
        numbers.fired,
        numbers.skipped,
        reasons(&view.skipped_by),
        numbers.missed,
        reasons(&view.missed_by),
        numbers.missing,
        numbers.extra
    );
    if numbers.open > 0 {
        text.push_str(&format!(
            "{} more have come and have no outcome yet: paused, waiting for their pace, or just due\n",
            numbers.open
        ));
    }
    for outage in view.outages.iter().take(NAMED) {
        let length = rough(Span((outage.until.0.0 - outage.from.0.0).unsigned_abs()));
        let (from, until) = (wall.without_zone(outage.from.0), wall.at(outage.until.0));
        text.push_str(&format!("no node was alive from {from} to {until} ({length})\n"));
    }
    if view.outages.len() > NAMED {
        text.push_str(&format!("and {} times more before that\n", view.outages.len() - NAMED));
    }
    if !view.entries.is_empty() {
        text.push('\n');
        text.push_str(&table(
            &["ID", "MISSING", "EXTRA", "COVERED FROM", "WHAT"],
            view.entries.iter().map(|entry| row(entry, wall)),
        ));
    }
    text
}

fn why_since(view: &AuditView) -> &'static str {
    let is_reach = view.to.0.0 - view.covered_from.0.0 >= crate::domain::audit::RETENTION_MS;
    match (
        view.entries.iter().any(|entry| entry.covered_from == Some(view.covered_from) && is_lost(entry)),
        view.audited,
    ) {
        _ if is_reach => "records go back 35 d",
        (true, _) => "older definitions are not kept",
        (_, 1) => "creation of the entry",
        _ => "creation of the first entry",
    }
}

fn is_lost(entry: &AuditedEntry) -> bool {
    entry.message.is_some()
}

/// ` (overlap)`, ` (too_late 2, superseded 1)`; nothing where there are none.
fn reasons(by: &BTreeMap<&'static str, u64>) -> String {
    match by.len() {
        0 => String::new(),
        1 => by.keys().map(|reason| format!(" ({reason})")).collect(),
        _ => {
            let mut sorted: Vec<(&&str, &u64)> = by.iter().collect();
            sorted.sort_by(|a, b| b.1.cmp(a.1));
            let all: Vec<String> = sorted.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
            format!(" ({})", all.join(", "))
        }
    }
}

fn row(entry: &AuditedEntry, wall: &Wall) -> Vec<String> {
    let mut what = Vec::new();
    what.extend(times("missing", &entry.missing_times, entry.numbers.missing, wall));
    what.extend(times("extra", &entry.extra_times, entry.numbers.extra, wall));
    for one in entry.unclear.iter().take(NAMED) {
        let range = format!("between {} and {}", wall.without_zone(one.from.0), wall.at(one.to.0));
        let counts = [(one.missing, "missing"), (one.extra, "extra")];
        let counts: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        what.push(format!("{} {range}", counts.join(" and ")));
    }
    what.extend(entry.message.clone().map(|message| wall.localised(&message)));
    let covered = entry.covered_from.map_or_else(|| "never".to_owned(), |at| wall.at(at.0));
    vec![entry.id.clone(), entry.numbers.missing.to_string(), entry.numbers.extra.to_string(), covered, what.join("; ")]
}

fn times(word: &str, times: &[At], count: u64, wall: &Wall) -> Option<String> {
    let named: Vec<Timestamp> = times.iter().take(NAMED).map(|at| at.0).collect();
    let (last, first) = named.split_last()?;
    let mut text = format!("{word} ");
    first.iter().for_each(|at| text.push_str(&format!("{}, ", wall.without_zone(*at))));
    text.push_str(&wall.at(*last));
    let more = count.saturating_sub(named.len() as u64);
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    Some(text)
}
