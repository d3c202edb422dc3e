//! What spreading would do: entries that come in the fullest minutes with a fixed minute get `H` in its place, others `spread`.

use crate::domain::cron::Cron;
use crate::domain::entry::Entry;
use crate::domain::forecast::{Forecast, MINUTE_MS, Stream, worst};
use crate::domain::id::{EntryId, Namespace};
use crate::domain::plan::spread_delay_ms;
use crate::domain::schedule::{Schedule, When};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

/// Spreads that are proposed, the longest first; each longer than a minute or so long.
const SPREADS: [Span; 3] = [Span(300_000), Span(120_000), Span(60_000)];

/// How an entry could be spread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpreadBy {
    /// What to set, as flags of `upbeat set`.
    pub change: SpreadWord,
    /// How much later its runs would be due, ms; negative for earlier.
    pub shift_ms: i64,
}

/// What to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpreadWord {
    /// This expression, with `H` as its minute.
    Cron(Box<str>),
    /// `spread`, so long.
    Spread(Span),
}

/// Streams that spreading would move, and how far each moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    /// Their numbers, ascending.
    pub streams: Vec<usize>,
    /// By stream, ms.
    pub shifts_ms: Vec<i64>,
}

/// How this entry could be spread; `None` where it is spread already, or fires too often, or not by the clock of the wall.
pub fn spread_by(namespace: &Namespace, id: &EntryId, entry: &Entry, now: Timestamp) -> Option<SpreadBy> {
    if entry.spread.is_some() {
        return None;
    }
    if let When::Cron(expressions) = &entry.schedule.when
        && let [cron] = &expressions[..]
        && let Some(hashed) = hashed(cron, id)
    {
        return Some(hashed);
    }
    let period = period(&entry.schedule, now)?;
    let spread = SPREADS.into_iter().find(|spread| *spread < period)?;
    let shift_ms = spread_delay_ms(namespace, id, spread);
    Some(SpreadBy { change: SpreadWord::Spread(spread), shift_ms })
}

/// With `H` in the place of a minute that is a number.
fn hashed(cron: &Cron, id: &EntryId) -> Option<SpreadBy> {
    let mut words: Vec<&str> = cron.text().split_whitespace().collect();
    let at = match words.len() {
        5 => 0,
        6 => 1,
        _ => return None,
    };
    if !words[at].bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    words[at] = "H";
    let text = words.join(" ");
    let new = Cron::parse_for("cron", &text, Some(id)).ok()?;
    let (before, after) = (cron.only_minute()?, new.only_minute()?);
    let shift_ms = (i64::from(after) - i64::from(before)) * MINUTE_MS;
    Some(SpreadBy { change: SpreadWord::Cron(text.into()), shift_ms })
}

fn period(schedule: &Schedule, now: Timestamp) -> Option<Span> {
    match &schedule.when {
        When::Every(every) => Some(*every),
        When::Cron(_) => schedule.fixed_period(now).map(|fixed| fixed.period),
        When::At(_) | When::Rrule(_) => None,
    }
}

/// The streams that can be spread and come in a minute with more than half as many runs as the worst; `None` where no minute
/// has two runs or nothing would move.
pub fn crowded(streams: &[Stream], forecast: &Forecast) -> Option<Spread> {
    let totals = forecast.totals();
    let (_, most) = worst(&totals).filter(|(_, most)| *most > 1)?;
    let is_full: Vec<bool> = totals.iter().map(|runs| runs * 2 > most).collect();
    let full: Vec<i64> =
        (0..totals.len()).filter(|minute| is_full[*minute]).map(|minute| forecast.minute_at(minute).0).collect();
    let first = forecast.first_minute.0;
    let comes = |stream: &Stream| match stream.times.count() > full.len() as u64 {
        true => full.iter().any(|begin| stream.times.within(*begin, begin + MINUTE_MS) > 0),
        false => stream.times.iter().any(|due| {
            let minute = usize::try_from((due - first).div_euclid(MINUTE_MS)).ok();
            minute.is_some_and(|minute| is_full.get(minute) == Some(&true))
        }),
    };
    let mut spread = Spread { streams: Vec::new(), shifts_ms: vec![0; streams.len()] };
    for (at, stream) in streams.iter().enumerate() {
        let Some(by) = stream.spread_by.as_ref().filter(|by| by.shift_ms != 0 && comes(stream)) else { continue };
        spread.streams.push(at);
        spread.shifts_ms[at] = by.shift_ms;
    }
    Some(spread).filter(|spread| !spread.streams.is_empty())
}
