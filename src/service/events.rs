//! What happened: the three streams of every shard as one list, and followed as it grows.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use crate::domain::event::{Event, EventType, read_line};
use crate::domain::id::EntryId;
use crate::domain::run::{State, Trigger};
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::service::view::At;
use crate::service::{Select, Service};
use crate::store::{Log, LogLine, Position};

/// Lines that are read first, and at a time at most; each stands for up to 500 events.
const LINES_FIRST: usize = 20;
const LINES_MOST: usize = 80;
/// How often the streams are read by those who follow.
const POLL: Duration = Duration::from_millis(250);
/// How far the ids of lines may be from the times that they tell.
const CLOCK_SLACK_MS: i64 = 10_000;

/// Which events are wanted; what is empty or `None` restricts nothing.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// About this entry.
    pub entry: Option<EntryId>,
    /// Of these types.
    pub types: Vec<EventType>,
    /// At or after it.
    pub since: Option<Timestamp>,
    /// At or before it.
    pub until: Option<Timestamp>,
    /// The newest of them.
    pub limit: Option<usize>,
}

impl EventFilter {
    fn matches(&self, event: &Event) -> bool {
        self.entry.as_ref().is_none_or(|entry| event.entry_id.as_deref() == Some(entry.as_str()))
            && (self.types.is_empty() || self.types.contains(&event.kind))
            && self.since.is_none_or(|since| event.at >= since)
            && self.until.is_none_or(|until| event.at <= until)
    }

    /// Whether a stream can hold what is wanted.
    fn wants(&self, log: Log) -> bool {
        self.types.is_empty() || self.types.iter().any(|kind| log_of(*kind) == log)
    }
}

fn log_of(kind: EventType) -> Log {
    match kind {
        EventType::Fired | EventType::Started | EventType::Retried => Log::Moves,
        EventType::Finished | EventType::Missed | EventType::Skipped => Log::Ended,
        _ => Log::Events,
    }
}

/// An event as people and programs see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventView {
    /// When, by the shard's clock.
    pub at: At,
    /// A word of `EventType`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The entry that it is about.
    pub entry_id: Option<String>,
    /// The run that it is about; of several fire times, the first one's.
    pub run_id: Option<String>,
    /// Name of the node that did it, or that it is about.
    pub node: Option<String>,
    /// Who asked.
    pub actor: Option<String>,
    /// A word of `Reason` where a run or fire time ended, else what the person who asked said.
    pub reason: Option<String>,
    /// For people.
    pub message: Option<String>,
    /// How a run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// Why the run existed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<&'static str>,
    /// Which attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// How many fire times it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fires: Option<u64>,
    /// How many things it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The entry's revision since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The entry's fields that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Begin of what it is about; of a fire time to skip, that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<At>,
    /// End of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<At>,
    /// Incarnation of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            at: At(event.at),
            kind: event.kind.word(),
            entry_id: event.entry_id,
            run_id: event.run_id,
            node: event.node,
            actor: event.actor,
            reason: event.reason,
            message: event.message,
            state: event.state.map(State::word),
            trigger: event.trigger.map(Trigger::word),
            attempt: event.attempt,
            fires: event.fires,
            count: event.count,
            revision: event.revision,
            fields: event.fields,
            from: event.from.map(At),
            until: event.until.map(At),
            incarnation: event.incarnation,
        }
    }
}

/// Events, the newest first.
#[derive(Debug, Clone)]
pub struct EventList {
    /// The events.
    pub events: Vec<EventView>,
    /// How many there are, whatever the limit.
    pub found: usize,
    /// Whether `found` is all; otherwise there are more.
    pub is_all: bool,
}

/// Where an event stands: its line, the shard, and its place in the line.
type Order = (Position, u16, usize);

impl Service {
    /// Events that match, the newest first.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::NotFound`] where the entry neither exists nor left an event.
    pub async fn events(&self, filter: &EventFilter) -> Result<EventList> {
        let mut found: Vec<(Order, Event)> = Vec::new();
        let mut is_all = true;
        for shard in self.store.shards() {
            for log in Log::ALL.into_iter().filter(|log| filter.wants(*log)) {
                is_all &= self.add_events(shard, log, filter, &mut found).await?;
            }
        }
        if let Some(id) = filter.entry.as_ref().filter(|_| found.is_empty()) {
            self.known(id).await?;
        }
        found.sort_by_key(|(order, _)| std::cmp::Reverse(*order));
        let count = found.len();
        found.truncate(filter.limit.unwrap_or(usize::MAX));
        Ok(EventList { events: found.into_iter().map(|(_, event)| event.into()).collect(), found: count, is_all })
    }

    /// Reads a stream backwards until it has enough; `false` where it ended early.
    async fn add_events(
        &self,
        shard: u16,
        log: Log,
        filter: &EventFilter,
        found: &mut Vec<(Order, Event)>,
    ) -> Result<bool> {
        let since = filter.since.map(|since| Timestamp(since.0 - CLOCK_SLACK_MS));
        let mut before = filter.until.map(|until| Position::of(Timestamp(until.0 + CLOCK_SLACK_MS)));
        let (mut count, mut enough) = (LINES_FIRST, filter.limit.unwrap_or(usize::MAX));
        loop {
            let lines = self.store.log_before(shard, log, before, since, count).await?;
            let Some(last) = lines.last() else { return Ok(true) };
            before = Some(last.position);
            for line in &lines {
                let events = of_line(shard, line, filter);
                enough = enough.saturating_sub(events.len());
                found.extend(events);
            }
            if enough == 0 {
                let older = self.store.log_before(shard, log, before, since, 1).await?;
                return Ok(older.is_empty());
            }
            count = (count * 2).min(LINES_MOST);
        }
    }

    /// Refuses an entry that neither exists nor left a run.
    async fn known(&self, id: &EntryId) -> Result<()> {
        if self.ended(id, None).await?.is_empty() {
            self.select(&Select::Ids(vec![id.clone()])).await?;
        }
        Ok(())
    }
}

fn of_line(shard: u16, line: &LogLine, filter: &EventFilter) -> Vec<(Order, Event)> {
    let events = read_line(line.position.at(), &line.fields).into_iter().enumerate();
    let events = events.filter(|(_, event)| shard == 0 || !event.kind.is_of_all_shards());
    let events = events.filter(|(_, event)| filter.matches(event));
    events.map(|(place, event)| ((line.position, shard, place), event)).collect()
}

/// Follows the streams of each shard from where they stood at the start.
pub struct FollowEvents {
    service: Service,
    filter: EventFilter,
    positions: HashMap<(u16, usize), Position>,
}

impl FollowEvents {
    /// Begins behind all that has happened so far.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::NotFound`] where the entry neither exists nor left a run.
    pub async fn start(service: Service, filter: EventFilter) -> Result<Self> {
        if let Some(id) = &filter.entry {
            service.known(id).await?;
        }
        let mut positions = HashMap::new();
        for shard in service.store.shards() {
            for (at, log) in Log::ALL.into_iter().enumerate() {
                positions.insert((shard, at), service.store.log_end(shard, log).await?);
            }
        }
        Ok(Self { service, filter, positions })
    }

    /// Waits until something has happened that matches; the oldest first.
    pub async fn next(&mut self) -> Result<Vec<EventView>> {
        loop {
            let mut found = Vec::new();
            for shard in self.service.store.shards() {
                self.read(shard, &mut found).await?;
            }
            if !found.is_empty() {
                found.sort_by_key(|(order, _)| *order);
                return Ok(found.into_iter().map(|(_, event)| event.into()).collect());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What is older than the moment of the look: so no stream is read further than another.
    async fn read(&mut self, shard: u16, found: &mut Vec<(Order, Event)>) -> Result<()> {
        let store = self.service.store.clone();
        let now = store.now(shard).await?;
        // Ids in a distant future: the clock had run ahead and was put back.
        let is_settled = |at: Timestamp| at < now || at.0 > now.0 + CLOCK_SLACK_MS;
        for (at, log) in Log::ALL.into_iter().enumerate() {
            let position = self.positions.entry((shard, at)).or_default();
            loop {
                let lines = store.log_after(shard, log, *position, LINES_MOST).await?;
                let settled: Vec<&LogLine> = lines.iter().take_while(|line| is_settled(line.position.at())).collect();
                let Some(last) = settled.last() else { break };
                *position = last.position;
                found.extend(settled.iter().flat_map(|line| of_line(shard, line, &self.filter)));
                if settled.len() < LINES_MOST {
                    break;
                }
            }
        }
        Ok(())
    }
}
