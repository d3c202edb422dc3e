//! From streams to the answer: the numbers, what spreading would change, and what deserves a look.

use crate::domain::forecast::{self, Forecast, MINUTE_MS, SpreadWord, Stream, Window, worst};
use crate::domain::timestamp::Timestamp;
use crate::service::forecast::Reading;
use crate::service::forecast::view::{
    EntryRuns, ForecastView, KindForecast, MinuteForecast, MinuteRuns, QueueForecast, SkipForecast, SpreadChange,
    SpreadView, WorstMinute,
};
use crate::service::nodes::Fleet;
use crate::service::view::At;

/// Entries that are listed of the worst minute, of what skips, and of what to spread.
const LISTED: usize = 1_000;

/// Queues and kinds of action that are warned of; the others are counted.
const WARNED: usize = 20;
/// The most that a node runs at once.
const CONCURRENCY_MAX: u64 = 10_000;

/// What comes of these streams.
pub(super) fn answer(reading: Reading, asked: Window, fleet: &Fleet) -> ForecastView {
    let Reading { window, streams, queues, lists, unmeasured, unmeasured_total, left_out, .. } = reading;
    let (queues, lists) = (queues.values, lists.values);
    let found = forecast::forecast(&streams, queues.len(), lists.len(), window, &[]);
    let totals = found.totals();
    let mut warnings = cut(&found, asked, window);
    let all: Vec<&str> = lists.iter().map(String::as_str).collect();
    let slots = fleet.slots(&all);
    let by_queue: Vec<QueueForecast> =
        (0..queues.len()).map(|queue| queue_forecast(&found, &queues[queue], queue, &lists, fleet)).collect();
    warnings.extend(too_few(&found, &by_queue, &lists, slots, fleet));
    let skips = skips(&streams, &found);
    let skips_total = skips.len() as u64;
    let listed: Vec<SkipForecast> = skips.into_iter().take(LISTED).collect();
    let mut by_queue = by_queue;
    // Messages last.
    by_queue.sort_by(|a, b| (a.queue.is_none(), &a.queue).cmp(&(b.queue.is_none(), &b.queue)));
    ForecastView {
        from: At(asked.from),
        to: At(asked.to),
        counted_to: At(found.counted_to),
        running_to: At(found.p50.known_to.min(found.p95.known_to)),
        entries: streams.iter().filter(|one| one.times.within(window.from.0, found.counted_to.0) > 0).count() as u64,
        runs: totals.iter().sum(),
        concurrency_p50: found.p50.all.runs,
        concurrency_p95: found.p95.all.runs,
        slots,
        suffices: found.p95.all.runs <= slots && by_queue.iter().all(|queue| queue.suffices),
        worst: worst(&totals).map(|(minute, runs)| worst_minute(&streams, &found, minute, runs)),
        spread: spread(&streams, &found, queues.len(), lists.len(), window),
        skips: listed,
        skips_total,
        unmeasured: unmeasured_total,
        unmeasured_ids: unmeasured,
        left_out,
        warnings,
        minutes: minutes(&found, &queues),
        queues: by_queue,
    }
}

fn queue_forecast(
    found: &Forecast,
    name: &Option<String>,
    number: usize,
    lists: &[String],
    fleet: &Fleet,
) -> QueueForecast {
    let runs = &found.runs[number];
    let mine = |list: &&String| list.rsplit_once(':').map(|(queue, _)| queue) == name.as_deref();
    let names: Vec<&str> = lists.iter().filter(mine).map(String::as_str).collect();
    let kinds = lists.iter().enumerate().filter(|(_, list)| mine(list)).filter_map(|(at, list)| {
        let (_, kind) = list.rsplit_once(':')?;
        Some(KindForecast {
            kind: kind.to_owned(),
            concurrency_p50: found.p50.lists[at].runs,
            concurrency_p95: found.p95.lists[at].runs,
            slots: fleet.slots(&[list.as_str()]),
        })
    });
    let peak = found.p95.queues[number];
    let (kinds, slots): (Vec<KindForecast>, u64) = (kinds.collect(), fleet.slots(&names));
    QueueForecast {
        queue: name.clone(),
        runs: runs.iter().map(|runs| u64::from(*runs)).sum(),
        worst: worst(runs).map(|(minute, runs)| MinuteRuns { at: At(found.minute_at(minute)), runs }),
        concurrency_p50: found.p50.queues[number].runs,
        concurrency_p95: peak.runs,
        concurrency_at: (peak.runs > 0).then_some(At(Timestamp(peak.at))),
        slots,
        suffices: peak.runs <= slots && kinds.iter().all(|kind| kind.concurrency_p95 <= kind.slots),
        kinds,
    }
}

/// Who comes in a minute, the most runs first.
fn worst_minute(streams: &[Stream], found: &Forecast, minute: usize, runs: u64) -> WorstMinute {
    let at = found.minute_at(minute);
    let from = at.0.max(found.first_minute.0);
    let to = (at.0 + MINUTE_MS).min(found.counted_to.0);
    let mut entries: Vec<EntryRuns> = streams
        .iter()
        .map(|stream| EntryRuns { id: stream.id.to_string(), runs: stream.times.within(from, to) })
        .filter(|entry| entry.runs > 0)
        .collect();
    entries.sort_by(|a, b| b.runs.cmp(&a.runs).then_with(|| a.id.cmp(&b.id)));
    let entries_total = entries.len() as u64;
    entries.truncate(LISTED);
    WorstMinute { at: At(at), runs, entries_total, entries }
}

fn spread(streams: &[Stream], found: &Forecast, queues: usize, lists: usize, window: Window) -> Option<SpreadView> {
    let window = Window { to: found.counted_to, ..window };
    let spread = forecast::crowded(streams, found)?;
    let after = forecast::forecast(streams, queues, lists, window, &spread.shifts_ms);
    let totals = after.totals();
    let (minute, runs) = worst(&totals)?;
    if after.counted_to < found.counted_to {
        return None;
    }
    if worst(&found.totals()).is_none_or(|(_, before)| runs >= before) {
        return None;
    }
    let changes = spread.streams.iter().filter_map(|at| {
        let stream = &streams[*at];
        let id = stream.id.to_string();
        let command = match &stream.spread_by.as_ref()?.change {
            SpreadWord::Cron(text) => format!("upbeat set {id} --cron '{text}'"),
            SpreadWord::Spread(span) => format!("upbeat set {id} --spread {span}"),
        };
        Some(SpreadChange { id, command })
    });
    let mut changes: Vec<SpreadChange> = changes.collect();
    changes.sort_by(|a, b| a.id.cmp(&b.id));
    changes.truncate(LISTED);
    Some(SpreadView {
        entries: spread.streams.len() as u64,
        worst: MinuteRuns { at: At(after.minute_at(minute)), runs },
        concurrency_p50: after.p50.all.runs,
        concurrency_p95: after.p95.all.runs,
        changes,
    })
}

/// Entries whose fire times are skipped where each run takes the p95, those that skip most first.
fn skips(streams: &[Stream], found: &Forecast) -> Vec<SkipForecast> {
    let measured = streams.iter().zip(&found.p95.skipped).filter(|(stream, _)| !stream.lasts.is_assumed);
    let mut skips: Vec<SkipForecast> = measured
        .filter(|(_, skipped)| **skipped > 0)
        .map(|(stream, skipped)| SkipForecast {
            id: stream.id.to_string(),
            runs: stream.times.within(found.first_minute.0, found.counted_to.0),
            skipped: *skipped,
            p95_ms: stream.lasts.p95_ms,
        })
        .collect();
    skips.sort_by(|a, b| b.skipped.cmp(&a.skipped).then_with(|| a.id.cmp(&b.id)));
    skips
}

fn minutes(found: &Forecast, queues: &[Option<String>]) -> Vec<MinuteForecast> {
    let mut minutes = Vec::new();
    for minute in 0..found.runs.first().map_or(0, Vec::len) {
        for (number, queue) in queues.iter().enumerate() {
            let (runs, busy) = (found.runs[number][minute], found.p95.busy[number][minute]);
            if runs > 0 || busy > 0 {
                let at = At(found.minute_at(minute));
                minutes.push(MinuteForecast { at, queue: queue.clone(), runs: runs.into(), busy: busy.into() });
            }
        }
    }
    minutes
}

/// Where less was counted than asked for.
fn cut(found: &Forecast, asked: Window, read: Window) -> Vec<String> {
    let mut cut = Vec::new();
    if found.counted_to < asked.to {
        let why = if read.to < asked.to { "fire times are too many to be listed" } else { "runs are too many" };
        let to = found.counted_to.to_rfc3339();
        cut.push(format!("counted until {to} only: {why}; ask for less: --next, or fewer entries"));
    }
    let known_to = found.p50.known_to.min(found.p95.known_to);
    if known_to < found.counted_to {
        let to = known_to.to_rfc3339();
        cut.push(format!("what runs at once is known until {to} only: runs are too many; --next or fewer entries"));
    }
    cut
}

/// Where live nodes offer less than is needed.
fn too_few(found: &Forecast, queues: &[QueueForecast], lists: &[String], slots: u64, fleet: &Fleet) -> Vec<String> {
    let mut warnings = Vec::new();
    for (at, list) in lists.iter().enumerate() {
        let (peak, offered) = (found.p95.lists[at], fleet.slots(&[list.as_str()]));
        let Some((queue, kind)) = list.rsplit_once(':').filter(|_| peak.runs > offered) else { continue };
        let when = Timestamp(peak.at).to_rfc3339();
        let offer = match offered {
            0 => "no live node may run them".to_owned(),
            offered => format!("live nodes offer {offered} slots: some wait"),
        };
        let start = fleet.start_command(list, (peak.runs - offered).min(CONCURRENCY_MAX));
        let runs = if peak.runs == 1 { "run" } else { "runs" };
        warnings
            .push(format!("queue {queue}: at {when} there are {} {kind} {runs} at once; {offer}; {start}", peak.runs));
    }
    let more = warnings.len().saturating_sub(WARNED);
    if more > 0 {
        warnings.truncate(WARNED);
        warnings.push(format!("and {more} more queues and kinds of action with too few slots"));
    }
    let total = found.p95.all;
    if warnings.is_empty() && total.runs > slots && !queues.is_empty() {
        let when = Timestamp(total.at).to_rfc3339();
        warnings.push(format!(
            "at {when} there are {} runs at once over all queues; live nodes offer {slots} slots: some wait; \
             start another node, or nodes with a greater --concurrency",
            total.runs
        ));
    }
    warnings
}
