//! forecast: a bar chart of what comes, the worst minute, the slots it needs, and what spreading would change.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use clap::Args;

use crate::cli::App;
use crate::cli::args::Selecting;
use crate::cli::chart::Chart;
use crate::cli::output::{Ended, Format, print, printable, table};
use crate::cli::times::{Wall, took};
use crate::cli::why::here;
use crate::cli::{moments, run_words, selection};
use crate::domain::moment::Direction;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::service::{ForecastOptions, ForecastView, LeftOut, QueueForecast};

/// Entries that a line names.
const NAMED: usize = 5;
/// Commands that the page lists.
const LISTED: usize = 10;
/// Columns where the terminal does not say.
const COLUMNS: usize = 80;
/// Before what a line of the page says.
const LABEL: usize = 14;

#[derive(Debug, Args)]
pub struct ForecastArgs {
    /// Entries, one by one [default: all]
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    #[command(flatten)]
    pub select: Selecting,
    /// How far to look, 1m to 366d
    #[arg(long, value_name = "DURATION", default_value = "24h", allow_hyphen_values = true)]
    pub next: String,
    /// From then on: an instant to come, 02:00, +8h [default: now]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub from: Option<String>,
}

pub const FORECAST_EXAMPLES: &str = "\
Examples:
  upbeat forecast                          the next 24 h of all entries
  upbeat forecast --queue batch --next 7d
  upbeat forecast --from 2026-12-01T00:00 --next 1h -o jsonl     a line a minute and queue
  upbeat forecast -o id                    the entries of the worst minute
Counts scheduled runs by when they are due, as the entries stand now; not what is caught up, retried or asked for. How long
they last is measured: half of the runs on record took no longer than the p50, 95 of 100 no longer than the p95. An entry
without a run on record is taken to last 1 min, or its timeout where that is shorter.";

/// `upbeat forecast [SELECT] [--next 24h] [--from T]`.
pub async fn run(app: &App, args: ForecastArgs) -> Ended {
    let select = selection::read(&args.ids, &args.select)?;
    let next = Span::parse("next", &args.next)?;
    let service = app.service().await?;
    let zone = here().unwrap_or_else(Zone::utc);
    let from = match &args.from {
        Some(text) => {
            let now = service.store().now(0).await?;
            Some(moments::read(app, "from", text, std::slice::from_ref(&zone), now, Direction::Next)?.at)
        }
        None => None,
    };
    let mut view = service.forecast(&ForecastOptions { select, from, next }).await?;
    if let Some(namespace) = &app.common.namespace {
        // Pasted as it stands a command must mean the same entry.
        let named =
            |command: &mut String| *command = command.replacen("upbeat ", &format!("upbeat -n {namespace} "), 1);
        view.spread.iter_mut().flat_map(|spread| &mut spread.changes).for_each(|change| named(&mut change.command));
        view.warnings.iter_mut().for_each(named);
    }
    match app.printer.format {
        // A line a minute: the numbers of all stand in the document.
        Format::Jsonl => app.printer.list(&view.minutes, |_| String::new(), String::new),
        Format::Id => {
            let ids = view.worst.iter().flat_map(|worst| &worst.entries).map(|entry| format!("{}\n", entry.id));
            print(&ids.collect::<String>());
        }
        Format::Json => app.printer.one(&view, |_| String::new(), String::new),
        Format::Table => print(&page(&view, &zone, columns())),
    }
    Ok(0)
}

/// How wide the terminal is; `None` where standard output is none.
fn columns() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    Some(terminal_size::terminal_size().map_or(COLUMNS, |(width, _)| usize::from(width.0)))
}

/// The page; with blocks where it is for a terminal of so many columns.
fn page(view: &ForecastView, zone: &Zone, columns: Option<usize>) -> String {
    let wall = Wall { zone: zone.clone(), now: view.from.0 };
    let asked = length(Span((view.to.0.0 - view.from.0.0).unsigned_abs()));
    let entries = counted(view.entries, "entry fires", "entries fire");
    let mut text = format!("next {asked} from {}: {entries}, {}\n", wall.dated(minute(view.from.0)), runs(view.runs));
    if view.runs > 0 {
        text.push_str(&chart(view, zone, columns));
    }
    text.push('\n');
    let mut line = |label: &str, words: String| text.push_str(&format!("{label:LABEL$} {}\n", printable(&words)));
    if let Some(worst) = &view.worst {
        let names: Vec<String> = worst.entries.iter().take(NAMED).map(|entry| named(&entry.id, entry.runs)).collect();
        let more = worst.entries_total.saturating_sub(names.len() as u64);
        let more = if more > 0 { format!(" and {} more", grouped(more)) } else { String::new() };
        let at = both(&wall, worst.at.0);
        line("worst minute", format!("{at}: {} of {}{more}", runs(worst.runs), names.join(", ")));
        let enough = if view.suffices { "enough" } else { "see the warnings" };
        line(
            "at once",
            format!(
                "{} by the p95, {} by the p50; live nodes offer {} slots: {enough}",
                grouped(view.concurrency_p95),
                grouped(view.concurrency_p50),
                grouped(view.slots)
            ),
        );
    }
    if let Some(spread) = &view.spread {
        let many = counted(spread.entries, "entry", "entries");
        let at = both(&wall, spread.worst.at.0);
        line(
            "spreading",
            format!(
                "{many}: {} in the worst minute, {at}; at once {} by the p95, {} by the p50",
                runs(spread.worst.runs),
                grouped(spread.concurrency_p95),
                grouped(spread.concurrency_p50)
            ),
        );
        spread.changes.iter().take(LISTED).for_each(|change| line("", change.command.clone()));
        let more = spread.entries.saturating_sub(LISTED as u64);
        if more > 0 {
            line("", format!("and {} more: -o json lists them", grouped(more)));
        }
    }
    for skip in view.skips.iter().take(NAMED) {
        let times = format!("{} of {} fire times", grouped(skip.skipped), grouped(skip.runs));
        line("will skip", format!("{}: {times}, where its runs take {} (p95)", skip.id, took(skip.p95_ms)));
    }
    let more = view.skips_total.saturating_sub(NAMED as u64);
    if more > 0 {
        line("", format!("and {} more entries: -o json lists them", grouped(more)));
    }
    if view.unmeasured > 0 {
        let many = counted(view.unmeasured, "entry has", "entries have");
        let ids = some(&view.unmeasured_ids, view.unmeasured);
        line("assumed", format!("{many} no run on record, taken to last 1 min or the timeout: {ids}"));
    }
    left_out(&view.left_out).into_iter().for_each(|words| line("not counted", words));
    view.warnings.iter().for_each(|warning| line("warning", wall.localised(warning)));
    if !view.queues.is_empty() {
        text.push('\n');
        let head = ["QUEUE", "RUNS", "WORST MINUTE", "AT ONCE P50", "P95", "SLOTS"];
        text.push_str(&table(&head, view.queues.iter().map(|queue| row(queue, &wall))));
    }
    text
}

fn chart(view: &ForecastView, zone: &Zone, columns: Option<usize>) -> String {
    let mut minutes: BTreeMap<Timestamp, u64> = BTreeMap::new();
    for minute in &view.minutes {
        *minutes.entry(minute.at.0).or_default() += minute.runs;
    }
    let window = (view.from.0, view.counted_to.0);
    let chart = Chart::new(zone.clone(), window, columns.unwrap_or(COLUMNS), minutes.into_iter());
    let label = format!("runs in the worst minute of each {}, {}\n", chart.bar(), zone.name());
    label + &if columns.is_some() { chart.blocks() } else { chart.plain() }
}

fn row(queue: &QueueForecast, wall: &Wall) -> Vec<String> {
    let worst = queue.worst.map(|worst| format!("{} ({})", grouped(worst.runs), wall.dated(worst.at.0)));
    let slots = |text: String| if queue.queue.is_some() { text } else { "-".to_owned() };
    vec![
        queue.queue.clone().unwrap_or_else(|| "(messages)".to_owned()),
        grouped(queue.runs),
        worst.unwrap_or_default(),
        slots(grouped(queue.concurrency_p50)),
        slots(grouped(queue.concurrency_p95)),
        slots(grouped(queue.slots)),
    ]
}

fn left_out(left: &LeftOut) -> Vec<String> {
    let mut lines = Vec::new();
    if left.paused > 0 {
        lines.push(format!("{} paused: {}", grouped(left.paused), some(&left.paused_ids, left.paused)));
    }
    if left.finished > 0 {
        lines.push(format!("{} finished", grouped(left.finished)));
    }
    if left.broken > 0 {
        lines.push(format!("{} broken: {}", grouped(left.broken), some(&left.broken_ids, left.broken)));
    }
    lines
}

/// `a, b, c and 4 more`.
fn some(ids: &[String], total: u64) -> String {
    let shown = &ids[..ids.len().min(NAMED)];
    let more = total.saturating_sub(shown.len() as u64);
    let more = if more > 0 { format!(" and {} more", grouped(more)) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// Local time with its zone and UTC, once where they are one.
fn both(wall: &Wall, at: Timestamp) -> String {
    let local = wall.dated(at);
    let utc = Wall { zone: Zone::utc(), now: wall.now }.dated(at);
    if local == utc { local } else { format!("{local} ({utc})") }
}

/// `24 h` rather than `1 d`.
fn length(span: Span) -> String {
    match span.0 / 3_600_000 {
        hours @ 24..72 if span.0.is_multiple_of(3_600_000) => format!("{hours} h"),
        _ => span.human(),
    }
}

fn minute(at: Timestamp) -> Timestamp {
    Timestamp(at.0.div_euclid(60_000) * 60_000)
}

fn named(id: &str, runs: u64) -> String {
    if runs == 1 { id.to_owned() } else { format!("{id} ({})", grouped(runs)) }
}

fn runs(count: u64) -> String {
    counted(count, "run", "runs")
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

fn grouped(number: u64) -> String {
    run_words::grouped(usize::try_from(number).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_agree_with_numbers_and_lists_say_how_many_more() {
        assert_eq!((runs(1), runs(1_204)), ("1 run".to_owned(), "1,204 runs".to_owned()));
        let lengths = [60_000, 86_400_000, 172_800_000, 604_800_000].map(|ms| length(Span(ms)));
        assert_eq!(lengths, ["1 min", "24 h", "48 h", "7 d"]);
        assert_eq!(some(&["a".to_owned(), "b".to_owned()], 4), "a, b and 2 more");
        assert_eq!(some(&["a".to_owned()], 1), "a");
        assert_eq!(counted(1, "entry fires", "entries fire"), "1 entry fires");
    }
}
