//! forecast: what comes of the entries as they stand, with the lengths of their runs as they are on record. Reads only.

mod answer;
mod view;

use std::collections::HashMap;

use crate::domain::calendar::Calendars;
use crate::domain::definition::Definition;
use crate::domain::durations::Usual;
use crate::domain::entry::Entry;
use crate::domain::forecast::{Coming, LISTED_MAX, Lasts, Limit, MINUTE_MS, Stream, TooMany, Window, spread_by};
use crate::domain::id::EntryId;
use crate::domain::plan::spread_delay_ms;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::service::calendars::named;
use crate::service::{Select, Service};
use crate::store::{Place, StoredEntry};

pub use view::{
    EntryRuns, ForecastView, KindForecast, LeftOut, MinuteForecast, MinuteRuns, QueueForecast, SkipForecast,
    SpreadChange, SpreadView, WorstMinute,
};

/// The shortest and the longest window.
const NEXT: (Span, Span) = (Span(60_000), Span(366 * 86_400_000));
/// Entries that are read at a time.
const PAGE: usize = 250;
/// Ids that are named of what is left out or assumed.
const NAMED: usize = 20;

/// What is to be forecast.
#[derive(Debug, Clone)]
pub struct ForecastOptions {
    /// Of these entries; of all where it is not given.
    pub select: Option<Select>,
    /// From then on; now where it is not given.
    pub from: Option<Timestamp>,
    /// For so long, 1 min to 366 d.
    pub next: Span,
}

/// What has been read so far.
struct Reading {
    now: Timestamp,
    window: Window,
    streams: Vec<Stream>,
    listed: usize,
    /// Names of queues; the one of messages has none.
    queues: Numbered<Option<String>>,
    /// `QUEUE:KIND`.
    lists: Numbered<String>,
    unmeasured: Vec<String>,
    unmeasured_total: u64,
    left_out: LeftOut,
}

/// Values with numbers, in the order in which they came.
struct Numbered<T> {
    numbers: HashMap<T, usize>,
    values: Vec<T>,
}

impl Service {
    /// Forecasts the runs of the entries that are meant.
    ///
    /// Counted are scheduled fire times that are still to come, by when their runs are due; not what is caught up, retried or asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] about `next` and `from`; [`Error::NotFound`] about an id.
    pub async fn forecast(&self, options: &ForecastOptions) -> Result<ForecastView> {
        let now = self.store.now(0).await?;
        let asked = window(options, now)?;
        let mut reading = Reading::new(now, asked);
        let mut calendars: Option<Calendars> = None;
        let named = options.select.clone().filter(|select| matches!(select, Select::Ids(_)));
        let ids = self.select(&named.unwrap_or(Select::All)).await?;
        self.progress.begin(ids.len(), "entries");
        for shard in self.store.shards() {
            let mine: Vec<EntryId> = ids.iter().filter(|id| self.store.shard_of(id) == shard).cloned().collect();
            for page in mine.chunks(PAGE) {
                self.read_page(&mut reading, shard, page, options.select.as_ref(), &mut calendars).await?;
                self.progress.advance(page.len());
            }
        }
        let fleet = self.fleet().await?;
        Ok(answer::answer(reading, asked, &fleet))
    }

    async fn read_page(
        &self,
        reading: &mut Reading,
        shard: u16,
        ids: &[EntryId],
        select: Option<&Select>,
        calendars: &mut Option<Calendars>,
    ) -> Result<()> {
        let stored: Vec<StoredEntry> = self.store.entries(ids).await?.into_iter().flatten().collect();
        if calendars.is_none() && stored.iter().any(|one| one.definition.iter().any(|one| !named(one).is_empty())) {
            *calendars = Some(self.store.all_calendars().await?);
        }
        let none = Calendars::default();
        let calendars = calendars.as_ref().unwrap_or(&none);
        let mut found: Vec<(StoredEntry, Entry)> = Vec::with_capacity(stored.len());
        for stored in stored {
            let read = stored.definition.clone().and_then(|definition| definition.parse(&stored.id));
            let is_meant = |entry: &Entry, definition: &Definition| {
                select.is_none_or(|select| select.matches(&stored.id, definition, entry))
            };
            match (read.and_then(|entry| entry.with_calendars(calendars)), &stored.definition) {
                (Ok(entry), Ok(definition)) if is_meant(&entry, definition) => found.push((stored, entry)),
                (Ok(_), _) => {}
                _ if select.is_none_or(|select| select.has(&stored)) => reading.leave_out_broken(&stored.id),
                _ => {}
            }
        }
        let rings: Vec<(&EntryId, u16)> = found.iter().map(|(stored, entry)| (&stored.id, entry.keep_runs)).collect();
        let lengths = self.store.lengths(shard, &rings).await?;
        let limited = found.iter().filter(|(_, entry)| entry.max_fires.is_some());
        let limited: Vec<EntryId> = limited.map(|(stored, _)| stored.id.clone()).collect();
        let counted = if limited.is_empty() { Vec::new() } else { self.store.counted_fires(shard, &limited).await? };
        let mut counted = counted.into_iter();
        for ((stored, entry), lengths) in found.iter().zip(lengths) {
            let left = match entry.max_fires {
                Some(most) => {
                    let fires = match counted.next().flatten() {
                        Some(fires) => fires,
                        None => self.store.fires_of(&stored.id).await?,
                    };
                    Some(u64::from(most).saturating_sub(fires))
                }
                None => None,
            };
            self.add_stream(reading, stored, entry, Usual::of(lengths), left);
        }
        Ok(())
    }

    fn add_stream(
        &self,
        reading: &mut Reading,
        stored: &StoredEntry,
        entry: &Entry,
        usual: Option<Usual>,
        left: Option<u64>,
    ) {
        let id = &stored.id;
        let delay_ms = entry.spread.map_or(0, |spread| spread_delay_ms(self.store.namespace(), id, spread));
        let Some(settled_to) = reading.settled_to(stored, delay_ms) else { return };
        let skips: Vec<Timestamp> = stored.skips.iter().map(|skip| skip.fire_at).collect();
        let coming = Coming { schedule: &entry.schedule, settled_to, delay_ms, left, skips: &skips };
        let times = loop {
            match coming.times(reading.window, reading.room()) {
                Ok(times) => break times,
                Err(TooMany) => reading.halve(),
            }
        };
        if times.count() == 0 {
            return;
        }
        let kind = entry.action.kind();
        let queue = kind.map(|_| entry.queue.to_string());
        let list = kind.map(|kind| reading.lists.number(format!("{}:{}", entry.queue, kind.word())));
        let lasts = match usual {
            Some(usual) => Lasts::measured(usual.median, usual.p95),
            None => Lasts::assumed(entry.effective_timeout()),
        };
        if lasts.is_assumed && list.is_some() {
            reading.unmeasured_total += 1;
            name(&mut reading.unmeasured, id);
        }
        reading.listed += times.listed();
        let queue = reading.queues.number(queue);
        let limit = Limit::of(entry.overlap, entry.max_running);
        let spread_by = spread_by(self.store.namespace(), id, entry, reading.now);
        reading.streams.push(Stream { id: id.clone(), queue, list, times, lasts, limit, spread_by });
    }
}

/// The window that is asked for.
fn window(options: &ForecastOptions, now: Timestamp) -> Result<Window> {
    let (shortest, longest) = NEXT;
    if options.next < shortest || options.next > longest {
        let why = format!("{} is not between {shortest} and {longest}", options.next);
        return Err(Error::invalid("next", why).value(options.next.to_string()));
    }
    let from = options.from.unwrap_or(now);
    if from < now {
        let why = format!("{} is in the past, it is {}", from.to_rfc3339(), now.to_rfc3339());
        return Err(Error::invalid("from", why)
            .value(from.to_rfc3339())
            .hint("a forecast looks ahead; upbeat runs and upbeat audit tell what was"));
    }
    if from.0 - now.0 > longest.ms() {
        let why = format!("{} is more than {longest} ahead", from.to_rfc3339());
        return Err(Error::invalid("from", why).value(from.to_rfc3339()));
    }
    Ok(Window { from, to: Timestamp(from.0 + options.next.ms()) })
}

impl Reading {
    fn new(now: Timestamp, window: Window) -> Self {
        Self {
            now,
            window,
            streams: Vec::new(),
            listed: 0,
            queues: Numbered::default(),
            lists: Numbered::default(),
            unmeasured: Vec::new(),
            unmeasured_total: 0,
            left_out: LeftOut::default(),
        }
    }

    /// All before it is settled; `None` for an entry that does not fire.
    fn settled_to(&mut self, stored: &StoredEntry, delay_ms: i64) -> Option<Timestamp> {
        match stored.place {
            Some(Place::Due) => Some(stored.cursor.unwrap_or(Timestamp(stored.score.0 - delay_ms))),
            Some(Place::Parked | Place::Broken) | None => Some(stored.cursor.unwrap_or(self.now)),
            Some(Place::Finished) => {
                self.left_out.finished += 1;
                None
            }
            Some(Place::Paused) => {
                let definition = stored.definition.as_ref().ok();
                let until = definition.and_then(|definition| definition.paused.as_ref()?.until);
                let until = until.filter(|until| *until < self.window.to);
                if until.is_none() {
                    self.left_out.paused += 1;
                    name(&mut self.left_out.paused_ids, &stored.id);
                }
                until
            }
        }
    }

    fn leave_out_broken(&mut self, id: &EntryId) {
        self.left_out.broken += 1;
        name(&mut self.left_out.broken_ids, id);
    }

    /// Due times that may still be listed; of a minute all are.
    fn room(&self) -> usize {
        if self.window.minutes() <= 1 { usize::MAX } else { LISTED_MAX.saturating_sub(self.listed) }
    }

    /// Half of the window: what has been read is cut to it.
    fn halve(&mut self) {
        let half = Timestamp(self.window.from.0 + ((self.window.to.0 - self.window.from.0) / 2).max(MINUTE_MS));
        self.window.to = half.min(self.window.to);
        self.listed = 0;
        for stream in &mut self.streams {
            stream.times.cut(half);
            self.listed += stream.times.listed();
        }
    }
}

fn name(ids: &mut Vec<String>, id: &EntryId) {
    if ids.len() < NAMED {
        ids.push(id.to_string());
    }
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), values: Vec::new() }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Numbered<T> {
    fn number(&mut self, value: T) -> usize {
        let Self { numbers, values } = self;
        *numbers.entry(value).or_insert_with_key(|value| {
            values.push(value.clone());
            values.len() - 1
        })
    }
}
