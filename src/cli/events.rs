//! `upbeat events`: what happened, listed or followed.

use std::collections::{BTreeSet, HashMap};

use clap::Args;

use crate::cli::App;
use crate::cli::fields::whole;
use crate::cli::output::{Ended, Format, printable, table};
use crate::cli::run_words::shown;
use crate::cli::runs::Reading;
use crate::cli::times::Wall;
use crate::cli::waiting::{INTERRUPTED, unless_interrupted};
use crate::domain::event::EventType;
use crate::domain::id::EntryId;
use crate::domain::nearest::not_one_of;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::error::{Error, Result};
use crate::service::{EventFilter, EventView, FollowEvents, Service};

/// Printed below the help.
pub const EVENTS_EXAMPLES: &str = "Examples:
  upbeat events report --since -1d                 what happened to an entry
  upbeat events --type changed,paused,removed      who changed what
  upbeat events -f -o jsonl                        all that happens from now on";

#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Only about this entry
    pub id: Option<String>,
    /// Only of these types: fired, started, finished, missed, skipped, changed, outage ...
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    pub types: Vec<String>,
    /// At or after: an instant, 02:00, -8h
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// At or before
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// The newest; 0 for all
    #[arg(long, default_value_t = 50, value_parser = whole::<usize>(0, u64::MAX), allow_negative_numbers = true)]
    pub limit: usize,
    /// Print events as they come, the oldest first, until Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
}

/// `upbeat events [ID]`.
pub async fn run(app: &App, args: EventsArgs) -> Ended {
    if args.follow && app.printer.format == Format::Json {
        return Err(Error::invalid("output", "json is one document, and -f does not end").hint("-o jsonl").into());
    }
    let entry = args.id.as_deref().map(|id| EntryId::parse("id", id)).transpose()?;
    let types = args.types.iter().map(|word| event_type(word)).collect::<Result<_>>()?;
    let service = app.service().await?;
    let (since, until) =
        Reading::of(app, &service, entry.as_ref()).await?.range(args.since.as_deref(), args.until.as_deref())?;
    let filter = EventFilter { entry, types, since, until, limit: Some(args.limit).filter(|limit| *limit > 0) };
    if args.follow {
        return follow(app, service, filter).await;
    }
    let list = service.events(&filter).await?;
    let words = Words::of(&service, &list.events).await?;
    app.printer.list(&list.events, id_of, || {
        if list.events.is_empty() {
            app.printer.note("no events");
            return String::new();
        }
        words.table(&list.events)
    });
    if let Some(text) = shown(list.events.len(), list.found, list.is_all) {
        app.printer.note(text);
    }
    Ok(0)
}

fn event_type(word: &str) -> Result<EventType> {
    EventType::from_word(word).ok_or_else(|| {
        let known: Vec<&str> = EventType::ALL.iter().map(|kind| kind.word()).collect();
        not_one_of("type", word, &known)
    })
}

/// What xargs can work with: the run, else the entry, else the node, else the word.
fn id_of(event: &EventView) -> String {
    let known = [&event.run_id, &event.entry_id, &event.node].into_iter().flatten().next();
    known.cloned().unwrap_or_else(|| event.kind.to_owned())
}

/// Prints events as they come, until Ctrl-C.
async fn follow(app: &App, service: Service, filter: EventFilter) -> Ended {
    let work = async {
        let mut follow = FollowEvents::start(service.clone(), filter).await?;
        let mut has_head = false;
        loop {
            let events = follow.next().await?;
            let words = Words::of(&service, &events).await?;
            let rows = |text: String| text.split_once('\n').map_or(String::new(), |(_, rows)| rows.to_owned());
            let table = || if has_head { rows(words.table(&events)) } else { words.table(&events) };
            app.printer.list(&events, id_of, table);
            has_head = true;
        }
    };
    match unless_interrupted(work).await {
        None => Ok(INTERRUPTED),
        Some(ended) => {
            let ended: Result<u8> = ended;
            Ok(ended?)
        }
    }
}

/// Shows events, each in the zone of its entry.
struct Words {
    zones: HashMap<String, Zone>,
    now: Timestamp,
}

impl Words {
    async fn of(service: &Service, events: &[EventView]) -> Result<Self> {
        let ids: BTreeSet<String> = events.iter().filter_map(|event| event.entry_id.clone()).collect();
        let (zones, now) = tokio::try_join!(service.zones(&ids), service.store().now(0))?;
        Ok(Self { zones, now })
    }

    fn table(&self, events: &[EventView]) -> String {
        table(&["AT", "EVENT", "ENTRY", "NODE", ""], events.iter().map(|event| self.row(event)))
    }

    fn row(&self, event: &EventView) -> Vec<String> {
        let zone = event.entry_id.as_ref().and_then(|id| self.zones.get(id)).cloned().unwrap_or_else(Zone::utc);
        let wall = Wall { zone, now: self.now };
        vec![
            wall.at(event.at.0),
            event.kind.to_owned(),
            event.entry_id.clone().unwrap_or_default(),
            event.node.clone().unwrap_or_default(),
            printable(&remark(event, &wall)),
        ]
    }
}

/// What else there is to say: `failed: exit · run 019aa0d0-...`, `by ana: wrong day`.
fn remark(event: &EventView, wall: &Wall) -> String {
    let by = event.actor.as_ref().map(|actor| format!("by {actor}"));
    let end = event.state.filter(|_| event.kind == EventType::Finished.word()).map(str::to_owned);
    let head = by.or(end);
    let said = match (head, event.reason.as_deref()) {
        (Some(head), Some(reason)) => Some(format!("{head}: {reason}")),
        (head, reason) => head.or(reason.map(str::to_owned)),
    };
    let times = match (event.from, event.until) {
        (Some(from), Some(until)) => Some(format!("{} to {}", wall.at(from.0), wall.at(until.0))),
        (from, until) => from.or(until).map(|at| wall.at(at.0)),
    };
    let parts = [
        said,
        event.message.clone(),
        times,
        event.fires.filter(|fires| *fires > 1).map(|fires| format!("{fires} fire times")),
        event.count.map(|count| format!("{count} in all")),
        Some(event.fields.join(", ")).filter(|fields| !fields.is_empty()),
        event.attempt.filter(|attempt| *attempt > 1).map(|attempt| format!("attempt {attempt}")),
        event.trigger.filter(|trigger| *trigger != "scheduled").map(str::to_owned),
        event.run_id.as_ref().map(|run| format!("run {run}")),
        event.revision.map(|revision| format!("revision {revision}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_type_names_the_nearest() {
        assert_eq!(event_type("outage"), Ok(EventType::Outage));
        assert_eq!(event_type("finised").unwrap_err().problem().hint.as_deref(), Some("did you mean finished?"));
    }
}
