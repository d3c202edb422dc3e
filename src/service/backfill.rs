//! backfill: past fire times that did not run, run after all; with `again` also those that did.
//!
//! Which they are is computed from the revision that held, and counted against the ledger: what can't be told is refused.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};

use crate::domain::definition::Definition;
use crate::domain::id::EntryId;
use crate::domain::ledger::{self, Span, Stretch};
use crate::domain::record::{Extras, requested_run_id, scheduled_run_id};
use crate::domain::run::State;
use crate::domain::schedule::Schedule;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::service::request::{Said, content};
use crate::service::{Request, Service};
use crate::store::{Asked, BACKFILL_MAX, Backfill, BackfillAnswer, BackfillCall};

/// How often it is decided anew while the ledger grows.
const ROUNDS: usize = 50;
/// Fire times that are counted in one stretch, at most.
const COUNTED: u64 = 5_000_000;

/// Which fire times are meant.
#[derive(Debug, Clone)]
pub struct BackfillRange {
    /// The first instant.
    pub from: Said,
    /// The last instant.
    pub to: Said,
    /// Also those that have fired.
    pub is_again: bool,
}

/// What became of a backfill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillView {
    /// The entry.
    pub entry_id: String,
    /// The first instant asked for, RFC 3339.
    pub from: String,
    /// The last instant asked for.
    pub to: String,
    /// Runs that wait for their pace now.
    pub runs: u64,
    /// The fire time of the first of them.
    pub first_fire_at: Option<String>,
    /// The fire time of the last of them.
    pub last_fire_at: Option<String>,
    /// Fire times of the range that had fired and are left out.
    pub left_out: u64,
    /// Where to go on: more lay in the range than one request takes.
    pub next_from: Option<String>,
    /// The fire times; only of a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fire_times: Option<Vec<String>>,
}

/// What a range comes to.
#[derive(Default)]
struct Picked {
    /// Fire times that run, and whether they had fired before.
    times: Vec<(Timestamp, bool)>,
    left_out: u64,
    next: Option<Timestamp>,
    replaced: BTreeMap<usize, Vec<Stretch>>,
}

impl Service {
    /// Runs the fire times of a range that were missed or skipped, oldest first, one per `60 s / per_minute` of its catch-up
    /// rule, waiting for the run before where the entry does not allow overlap. At most [`BACKFILL_MAX`] in one request.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Invalid`] about `from` or `to` where the ledger does not tell them one by one;
    /// [`Error::Conflict`] where too many wait already.
    pub async fn backfill(&self, request: &Request, id: &EntryId, range: &BackfillRange) -> Result<BackfillView> {
        request.check()?;
        let shard = self.store.shard_of(id);
        let step = request.step(shard, 0);
        let again = if range.is_again { "again" } else { "" };
        let content = content("backfill", [id.as_str(), &range.from.text, &range.to.text, again]);
        let asked = Asked { request: &step, content: &content };
        if let Some(answer) = self.store.backfilled(shard, asked).await? {
            return self.backfill_answered(request, id, answer).await;
        }
        let (from, to) = (range.from.at, range.to.at);
        if from > to {
            let why = format!("{} is before {}", to.to_rfc3339(), from.to_rfc3339());
            return Err(Error::invalid("to", why).value(to.to_rfc3339()));
        }
        for _ in 0..ROUNDS {
            let (stored, text) = tokio::try_join!(self.store.entry(id), self.store.ledger(shard, id))?;
            let Some(stored) = stored else { return Err(self.no_entry(id).await?) };
            let definition = stored.definition?;
            let picked = self.pick(id, &definition, &text, range).await?;
            let birth = definition.birth;
            let run_id = |time: Timestamp, is_again: bool| match is_again {
                true => requested_run_id(self.store.namespace(), id, &request.id, time),
                false => scheduled_run_id(self.store.namespace(), id, birth, time),
            };
            let times: Vec<Backfill> = picked
                .times
                .iter()
                .map(|(time, is_again)| Backfill { fire_at: *time, run_id: run_id(*time, *is_again) })
                .collect();
            let mut view = view(id, range, &picked);
            if request.is_dry_run {
                view.fire_times = Some(times.iter().map(|one| one.fire_at.to_rfc3339()).collect());
                return Ok(view);
            }
            let extras =
                Extras { actor: Some(request.actor.clone()), reason: request.reason.clone(), ..Extras::default() };
            let stretches = ledger::read(&text).unwrap_or_default();
            let (old, new) = ledger::replace(&text, &stretches, &picked.replaced);
            let call = BackfillCall {
                asked,
                id,
                birth,
                old: &old,
                new: &new,
                times: &times,
                // Texts and numbers: serde_json has nothing to refuse.
                extras: &serde_json::to_string(&extras).unwrap_or_default(),
                answer: &serde_json::to_string(&view).unwrap_or_default(),
            };
            match self.store.backfill(shard, &call).await? {
                BackfillAnswer::Changed => {}
                answer => return self.backfill_answered(request, id, answer).await,
            }
        }
        Err(Error::Conflict(
            Problem::new("entry", format!("the ledger of {id} changes all the time")).hint("ask again"),
        ))
    }

    async fn backfill_answered(&self, request: &Request, id: &EntryId, answer: BackfillAnswer) -> Result<BackfillView> {
        match answer {
            BackfillAnswer::OtherRequest => Err(request.used_before()),
            BackfillAnswer::Gone => Err(self.no_entry(id).await?),
            BackfillAnswer::Changed => Err(Error::internal("a backfill was left undecided")),
            BackfillAnswer::Full => {
                let why = format!("too many fire times of {id} wait for their turn already");
                let hint = format!("ask again when fewer wait: upbeat runs {id} --state waiting");
                Err(Error::Conflict(Problem::new("entry", why).value(id.as_str()).hint(hint)))
            }
            BackfillAnswer::Done(text) => serde_json::from_str(&text)
                .map_err(|why| Error::internal(format!("the kept answer of a backfill can't be read: {why}"))),
        }
    }

    /// The fire times of the range, as the ledger tells them.
    async fn pick(&self, id: &EntryId, definition: &Definition, text: &[u8], range: &BackfillRange) -> Result<Picked> {
        let damaged =
            || Error::Corrupt(Problem::new("entry", format!("the ledger of {id} is damaged")).value(id.as_str()));
        let stretches = ledger::read(text).ok_or_else(damaged)?;
        let (from, to) = (range.from.at, range.to.at);
        let covered = stretches.iter().map(|one| one.first).min().zip(ledger::end(&stretches));
        let Some((begin, end)) = covered else {
            let why = format!("no fire time of {id} is on record yet");
            return Err(Error::invalid("from", why).value(from.to_rfc3339()));
        };
        let current = self.store.resolve_as_written(definition.parse(id)?, definition).await?.into_data().schedule;
        let possible = format!("{} to {} is possible", begin.to_rfc3339(), end.to_rfc3339());
        let has_times = |after: Timestamp, till: Timestamp| current.next_after(after).is_some_and(|time| time <= till);
        if from < begin && has_times(Timestamp(from.0 - 1), Timestamp(begin.0 - 1)) {
            let why = format!("the records of {id} do not go back to {}", from.to_rfc3339());
            return Err(Error::invalid("from", why).value(from.to_rfc3339()).hint(possible));
        }
        if has_times(end.max(Timestamp(from.0 - 1)), to) {
            let why = format!("{id} has fire times up to {} that are not settled yet", to.to_rfc3339());
            return Err(Error::invalid("to", why).value(to.to_rfc3339()).hint(possible));
        }
        let mut order: Vec<usize> = (0..stretches.len()).collect();
        order.retain(|at| stretches[*at].first <= to && stretches[*at].last >= from);
        order.sort_by_key(|at| stretches[*at].first);
        let mut picked = Picked::default();
        let mut schedules: BTreeMap<u64, Schedule> = BTreeMap::from([(definition.revision, current)]);
        for at in order {
            let stretch = &stretches[at];
            let schedule = match schedules.entry(stretch.revision) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(self.schedule_of(id, stretch.revision).await?),
            };
            picked.take(at, stretch, schedule, range).ok_or_else(|| {
                let why = format!(
                    "what became of the fire times from {} to {} is on record only in sum",
                    stretch.first.to_rfc3339(),
                    stretch.last.to_rfc3339()
                );
                Error::invalid("from", why).value(from.to_rfc3339()).hint(format!(
                    "{} to {} is possible",
                    Timestamp(stretch.last.0 + 1).to_rfc3339(),
                    end.to_rfc3339()
                ))
            })?;
        }
        Ok(picked)
    }

    /// When an entry fired at a revision that does not hold any more.
    async fn schedule_of(&self, id: &EntryId, revision: u64) -> Result<Schedule> {
        let found = self.store.revision(self.store.shard_of(id), id, revision).await?;
        let gone = || {
            let why = format!("revision {revision} of {id}, which says what they were, is not kept any more");
            Error::Conflict(Problem::new("from", why).value(id.as_str()))
        };
        let found = found.ok_or_else(gone)?;
        Ok(self.store.resolve_as_written(found.parse(id)?, &found).await?.into_data().schedule)
    }
}

impl Picked {
    /// Takes what is wanted of a stretch; `None` where its fire times can't be told one by one.
    fn take(&mut self, at: usize, stretch: &Stretch, schedule: &Schedule, range: &BackfillRange) -> Option<()> {
        if stretch.count > COUNTED && schedule.fixed_period(stretch.first).is_none() {
            return None;
        }
        let has_fired = stretch.outcome == State::Succeeded;
        let is_wanted =
            |time: Timestamp| time >= range.from.at && time <= range.to.at && (!has_fired || range.is_again);
        let (mut before, mut fired, mut behind) = (Span::default(), Span::default(), Span::default());
        let times = schedule.times_after(Timestamp(stretch.first.0 - 1));
        for time in times.take_while(|time| *time <= stretch.last) {
            if is_wanted(time) && self.times.len() < BACKFILL_MAX {
                self.times.push((time, has_fired));
                fired.push(time);
                continue;
            }
            if is_wanted(time) {
                self.next = self.next.or(Some(time));
            } else if time >= range.from.at && time <= range.to.at {
                self.left_out += 1;
            }
            if fired.count == 0 { before.push(time) } else { behind.push(time) }
        }
        let parts = stretch.fired_within(before, fired, behind)?;
        if !has_fired && fired.count > 0 {
            self.replaced.insert(at, parts);
        }
        Some(())
    }
}

fn view(id: &EntryId, range: &BackfillRange, picked: &Picked) -> BackfillView {
    let text = |time: &(Timestamp, bool)| time.0.to_rfc3339();
    BackfillView {
        entry_id: id.to_string(),
        from: range.from.at.to_rfc3339(),
        to: range.to.at.to_rfc3339(),
        runs: picked.times.len() as u64,
        first_fire_at: picked.times.first().map(text),
        last_fire_at: picked.times.last().map(text),
        left_out: picked.left_out,
        next_from: picked.next.map(Timestamp::to_rfc3339),
        fire_times: None,
    }
}
