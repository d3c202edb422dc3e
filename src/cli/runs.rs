//! Commands about runs: runs, trigger, cancel.

use crate::cli::App;
use crate::cli::output::{Ended, Failure, Format};
use crate::cli::request::{request, until_answered};
use crate::cli::run_args::{CancelArgs, RunsArgs};
use crate::cli::run_words::{Words, name, outcome, shown};
use crate::cli::waiting::{INTERRUPTED, unless_interrupted, until_ended};
use crate::domain::id::EntryId;
use crate::domain::moment::{Direction, parse_moment};
use crate::domain::nearest::not_one_of;
use crate::domain::policy::KILL_AFTER;
use crate::domain::run::{State, Trigger};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::error::{Error, Result};
use crate::service::{Follow, RunFilter, RunRef, Service};

/// `upbeat runs [ID]`.
pub async fn list(app: &App, args: RunsArgs) -> Ended {
    if args.follow && app.printer.format == Format::Json {
        return Err(Error::invalid("output", "json is one document, and -f does not end").hint("-o jsonl").into());
    }
    let entry = args.id.as_deref().map(|id| EntryId::parse("id", id)).transpose()?;
    let states = args.state.iter().map(|word| state(word)).collect::<Result<_>>()?;
    let trigger = args.trigger.as_deref().map(trigger_word).transpose()?;
    let service = app.service().await?;
    let mut filter = RunFilter { entry, states, node: args.node, trigger, ..RunFilter::default() };
    let reading = Reading::of(app, &service, filter.entry.as_ref()).await?;
    filter.since = args.since.as_deref().map(|text| reading.moment("since", text)).transpose()?;
    filter.until = args.until.as_deref().map(|text| reading.moment("until", text)).transpose()?;
    filter.limit = Some(args.limit).filter(|limit| *limit > 0);
    if args.follow {
        return follow(app, service, filter).await;
    }
    let has_entry = filter.entry.is_none();
    let list = service.runs(&filter).await?;
    let words = Words::of(&service, &list.runs, has_entry).await?;
    app.printer.list(
        &list.runs,
        |run| run.run_id.clone(),
        || {
            if list.runs.is_empty() {
                app.printer.note("no runs");
                return String::new();
            }
            words.table(&list.runs)
        },
    );
    if let Some(text) = shown(list.runs.len(), list.found, list.is_all) {
        app.printer.note(text);
    }
    Ok(0)
}

/// How instants on the command line are read, and that they are echoed where the reading could surprise.
struct Reading<'a> {
    app: &'a App,
    zone: Zone,
    now: Timestamp,
}

impl<'a> Reading<'a> {
    async fn of(app: &'a App, service: &Service, entry: Option<&EntryId>) -> Result<Self> {
        let now = service.store().now(0).await?;
        let zone = match entry {
            Some(id) => service.zones(&[id.to_string()].into()).await?.remove(id.as_str()),
            None => None,
        };
        Ok(Self { app, zone: zone.unwrap_or_else(Zone::utc), now })
    }

    fn moment(&self, field: &str, text: &str) -> Result<Timestamp> {
        let at = parse_moment(field, text, &self.zone, self.now, Direction::Past)?;
        if !self.app.printer.is_json() && Timestamp::parse(field, text, None).is_err() {
            let wall = crate::cli::times::Wall { zone: self.zone.clone(), now: self.now };
            self.app.printer.note(format!("{field} {}", wall.at(at)));
        }
        Ok(at)
    }
}

fn state(word: &str) -> Result<State> {
    State::from_word(word).ok_or_else(|| {
        let known: Vec<&str> = State::ALL.iter().map(|state| state.word()).collect();
        not_one_of("state", word, &known)
    })
}

fn trigger_word(word: &str) -> Result<Trigger> {
    Trigger::from_word(word).ok_or_else(|| {
        let known: Vec<&str> = Trigger::ALL.iter().map(|trigger| trigger.word()).collect();
        not_one_of("trigger", word, &known)
    })
}

/// Prints runs as they end, until Ctrl-C.
async fn follow(app: &App, service: Service, filter: RunFilter) -> Ended {
    if let Some(id) = &filter.entry {
        service.runs(&RunFilter { entry: Some(id.clone()), limit: Some(1), ..RunFilter::default() }).await?;
    }
    let has_entry = filter.entry.is_none();
    let work = async {
        let mut follow = Follow::start(service.clone(), filter).await?;
        let mut has_head = false;
        loop {
            let runs = follow.next().await?;
            let words = Words::of(&service, &runs, has_entry).await?;
            let table = || if has_head { words.rows(&runs) } else { words.table(&runs) };
            app.printer.list(&runs, |run| run.run_id.clone(), table);
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

/// `upbeat cancel RUN`.
pub async fn cancel(app: &App, args: CancelArgs) -> Ended {
    let wanted = RunRef::parse(&args.run)?;
    let request = request(&args.changing);
    let service = app.service().await?;
    let asked = until_answered(app.printer, &request, async || service.cancel(&request, &wanted).await).await?;
    if request.is_dry_run {
        let line = || format!("would cancel {}, {}\n", name(&asked), asked.state);
        app.printer.one(&asked, |run| run.run_id.clone(), line);
        return Ok(0);
    }
    // Its node needs a moment to end it; who sees no end in time is told that it was asked.
    let patience = Span(KILL_AFTER.0 + 2_000);
    let ended = match until_ended(&service, &asked, Some(patience)).await {
        Ok(ended) => ended,
        Err(Error::TimedOut(_)) => asked,
        Err(error) => return Err(Failure::from(error)),
    };
    let words = Words::of(&service, std::slice::from_ref(&ended), false).await?;
    app.printer.one(
        &ended,
        |run| run.run_id.clone(),
        || match ended.finished_at {
            Some(_) => format!("{}: {}\n", name(&ended), outcome(&ended, &words.wall(&ended))),
            None => format!("{}: its node has been asked to end it\n", name(&ended)),
        },
    );
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_no_state_name_the_nearest() {
        assert_eq!(state("succeeded"), Ok(State::Succeeded));
        assert!(state("succeded").unwrap_err().problem().hint.as_deref() == Some("did you mean succeeded?"));
        assert!(trigger_word("scheduled").is_ok() && trigger_word("x").is_err());
    }
}
