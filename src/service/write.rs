//! Writing decided changes: one atomic step, asked again until every plan reaches to now.
//!
//! A step that was answered before is answered the same.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::domain::calendar::Calendars;
use crate::domain::definition::Removed;
use crate::domain::id::{CalendarName, EntryId};
use crate::domain::plan::{Compiled, LIST_TIMES, Registered};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::service::decide::{Decided, Outcome};
use crate::service::view::{At, ChangeView};
use crate::service::{Request, Service};
use crate::store::{AddAnswer, Change, ChangeCall, ChangeWord, Changed, Planned, PutAnswer, StoredEntry, Verb};

/// Entries in one atomic step, at most. Of 100 that changed, with 400 bytes of arguments each, a step held Redis for 3.3 ms, and one in
/// fifty for more than 5; of 100 short ones for 2.7. New ones take a third of that. Smaller steps cost Redis more in all.
pub(super) const STEP_ENTRIES: usize = 64;
/// Bytes of definitions in one atomic step, at most.
pub(super) const STEP_BYTES: usize = 1 << 20;
/// How often a step is asked again, at most: a list of 500 fire times is settled in each round.
const ROUNDS: usize = 10_000;
/// Rounds in a row in which nothing moved.
const IDLE_ROUNDS: usize = 100;
/// Between two of them.
const IDLE_PAUSE: Duration = Duration::from_millis(20);
/// Plans begin before now, so that the script finds its first time whatever its clock says.
const BEFORE_NOW_MS: i64 = 1000;
/// Entries that are planned at a time.
const PLANNED_AT_ONCE: usize = 16;
/// Stands for the birth of an entry that is not added.
const DRY_BIRTH: u64 = u32::MAX as u64;

/// One atomic step of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    /// The whole request.
    pub request: &'a Request,
    /// Its shard.
    pub shard: u16,
    /// Counts the steps of the request in this shard.
    pub number: usize,
    /// What is asked for.
    pub content: &'a str,
}

impl Step<'_> {
    /// Its request id.
    fn id(&self) -> String {
        self.request.step(self.shard, self.number)
    }
}

impl Service {
    /// What the step was answered, if it came before. It is asked for behind what is decided on: the same request may be under way
    /// twice, and what the other one has written by then must not pass for what stood before it.
    pub(super) async fn before(&self, step: &Step<'_>) -> Result<Option<Vec<Changed>>> {
        match self.store.put_before(step.shard, &step.id(), step.content).await? {
            None => Ok(None),
            Some(PutAnswer::Done(done)) => Ok(Some(done)),
            Some(_) => Err(step.request.used_before()),
        }
    }

    /// The same of several steps of one shard.
    pub(super) async fn before_each(&self, shard: u16, steps: &[Step<'_>]) -> Result<Vec<Option<Vec<Changed>>>> {
        let asked: Vec<(String, &str)> = steps.iter().map(|step| (step.id(), step.content)).collect();
        let before = self.store.puts_before(shard, &asked).await?;
        let answer = |(step, before): (&Step<'_>, Option<PutAnswer>)| match before {
            None => Ok(None),
            Some(PutAnswer::Done(done)) => Ok(Some(done)),
            Some(_) => Err(step.request.used_before()),
        };
        steps.iter().zip(before).map(answer).collect()
    }

    /// Carries the step out. What it returns stands for the changes in their order; where nothing is to change, nothing is written.
    pub(super) async fn write(&self, step: &Step<'_>, decided: Vec<Decided>) -> Result<Vec<Changed>> {
        let mut names: Vec<CalendarName> = decided.iter().flat_map(Decided::calendars).cloned().collect();
        names.sort();
        names.dedup();
        let mut calendars = self.store.calendars(&names).await?;
        if names.iter().any(|name| calendars.get(name).is_none()) {
            // The complaint names those that there are.
            calendars = self.store.all_calendars().await?;
        }
        let done = self.write_with(step, decided, &calendars).await?;
        self.follow_since(step.request, &calendars).await?;
        Ok(done)
    }

    /// The same with the calendars that are given.
    pub(super) async fn write_with(
        &self,
        step: &Step<'_>,
        mut decided: Vec<Decided>,
        calendars: &Calendars,
    ) -> Result<Vec<Changed>> {
        let now = self.make_ready(step.request, step.shard, decided.iter_mut().collect(), calendars).await?;
        self.write_ready(step, decided, now).await
    }

    /// Gives changes of one shard, be they of one step or of several, what they lack but for their plans: the dates of their
    /// calendars, births and revisions. Returns the time at which they were made ready.
    pub(super) async fn make_ready(
        &self,
        request: &Request,
        shard: u16,
        mut decided: Vec<&mut Decided>,
        calendars: &Calendars,
    ) -> Result<Timestamp> {
        if decided.is_empty() {
            return Ok(Timestamp::default());
        }
        for one in &mut decided {
            one.follow(calendars)?;
            one.note_from();
        }
        self.number_new(request, shard, decided).await?;
        self.store.now(shard).await
    }

    /// Carries out a step whose changes were made ready at `now`.
    pub(super) async fn write_ready(
        &self,
        step: &Step<'_>,
        mut decided: Vec<Decided>,
        now: Timestamp,
    ) -> Result<Vec<Changed>> {
        if decided.is_empty() {
            return Ok(Vec::new());
        }
        let id = step.id();
        let mut changes = self.compile(&decided, now);
        if !step.request.is_dry_run {
            let call = ChangeCall { request: &id, content: step.content, changes: &changes, is_dry_run: false };
            match self.store.add(step.shard, &call, now).await? {
                AddAnswer::Done(done) => return Ok(done),
                AddAnswer::OtherRequest => return Err(step.request.used_before()),
                AddAnswer::Put => {}
            }
        }
        let mut idle = 0;
        for _ in 0..ROUNDS {
            let call = ChangeCall {
                request: &id,
                content: step.content,
                changes: &changes,
                is_dry_run: step.request.is_dry_run,
            };
            let again = match self.store.put(step.shard, &call).await? {
                PutAnswer::Done(done) => return Ok(done),
                PutAnswer::OtherRequest => return Err(step.request.used_before()),
                PutAnswer::Again(again) => again,
            };
            let has_moved = self.prepare(step.shard, &again, &mut decided).await?;
            idle = if has_moved { 0 } else { idle + 1 };
            if idle > IDLE_ROUNDS {
                break;
            }
            if !has_moved {
                tokio::time::sleep(IDLE_PAUSE).await;
            }
            changes = self.compile(&decided, self.store.now(step.shard).await?);
        }
        Err(Error::Conflict(
            Problem::bare("what is overdue could not be settled: others change the same entries all the time")
                .hint("ask again"),
        ))
    }

    /// Births and revisions of entries that are new.
    async fn number_new(&self, request: &Request, shard: u16, decided: Vec<&mut Decided>) -> Result<()> {
        let mut new: Vec<&mut Decided> =
            decided.into_iter().filter(|one| one.verb == Verb::Put && one.birth == 0).collect();
        if new.is_empty() {
            return Ok(());
        }
        let ids: Vec<EntryId> = new.iter().map(|one| one.id.clone()).collect();
        let births = async || match request.is_dry_run {
            true => Ok(DRY_BIRTH),
            false => self.store.reserve_births(shard, ids.len()).await,
        };
        let (removed, births): (Vec<Option<Removed>>, u64) =
            tokio::try_join!(self.store.removed(shard, &ids), births())?;
        for ((one, removed), birth) in new.iter_mut().zip(removed).zip(births..) {
            if let Outcome::Stands(definition, _) = &mut one.outcome {
                definition.birth = birth;
                definition.revision = removed.map_or(1, |removed| removed.revision + 1);
            }
        }
        Ok(())
    }

    /// The changes as they are sent, made at `now`.
    fn compile(&self, decided: &[Decided], now: Timestamp) -> Vec<Change> {
        let before_now = Timestamp((now.0 - BEFORE_NOW_MS).max(0));
        let change = |one: &Decided| Change {
            id: one.id.clone(),
            verb: one.verb,
            birth: one.birth,
            revision: one.revision,
            definition: one.text(),
            compiled: match &one.outcome {
                Outcome::Stands(definition, entry) => {
                    let (namespace, id) = (self.store.namespace(), &one.id);
                    let (birth, revision) = (definition.birth, definition.revision);
                    let registered = Registered { namespace, id, birth, revision, entry };
                    // A fire time that has come may not be due yet.
                    let from = Timestamp((before_now.0 - registered.delay_ms()).max(0));
                    registered.compile(one.from.unwrap_or(from), LIST_TIMES)
                }
                Outcome::Gone(_) => Compiled { plan: Vec::new(), message: Vec::new(), list: String::new() },
            },
            is_paused: one.pause().is_some(),
            until: one.pause().and_then(|paused| paused.until),
            from: one.from,
            fields: one.fields.clone(),
        };
        decided.iter().map(change).collect()
    }

    /// Does what the script can't do by itself. Returns whether that changed anything.
    async fn prepare(&self, shard: u16, again: &[(String, String)], decided: &mut [Decided]) -> Result<bool> {
        let mut overdue = HashSet::new();
        let mut lists = HashSet::new();
        let mut has_moved = false;
        for (id, why) in again {
            match why.as_str() {
                "overdue" => {
                    overdue.insert(id.as_str());
                }
                // Time went on: the next plan starts later.
                "short" => {}
                "woken" => has_moved = true,
                "from" => {
                    let why = format!("{id} was settled further meanwhile");
                    return Err(Error::Conflict(Problem::new("from", why).hint("ask again")));
                }
                "busy" => {
                    let why = format!("too many runs are active to see which are of {id}, and its overlap needs that");
                    return Err(Error::Conflict(Problem::new("overlap", why).hint("ask again when fewer are active")));
                }
                list => {
                    lists.insert(list);
                }
            }
        }
        if !lists.is_empty() {
            self.store.refresh_lists(shard).await?;
            let known = self.store.lists(shard);
            has_moved |= lists.iter().all(|list| known.iter().any(|known| known == list));
        }
        let now = self.store.now(shard).await?;
        let late: Vec<usize> = (0..decided.len()).filter(|at| overdue.contains(decided[*at].id.as_str())).collect();
        let ids: Vec<EntryId> = late.iter().map(|at| decided[*at].id.clone()).collect();
        let froms: Vec<Option<Timestamp>> = late.iter().map(|at| decided[*at].from).collect();
        let planned: Vec<Planned> = stream::iter(ids.into_iter().zip(froms))
            .map(|(id, from)| async move { self.store.plan_from(&id, now, from).await })
            .buffered(PLANNED_AT_ONCE)
            .try_collect()
            .await?;
        for (at, planned) in late.into_iter().zip(planned) {
            match planned {
                Planned::Written => has_moved = true,
                Planned::Unchanged => {}
                // What nobody can plan can still be removed.
                Planned::Unreadable(_) if decided[at].verb == Verb::Remove => {
                    decided[at].verb = Verb::Discard;
                    has_moved = true;
                }
                Planned::Unreadable(why) => return Err(why.hint(format!("upbeat rm {}", decided[at].id))),
            }
        }
        Ok(has_moved)
    }
}

/// What became of a change, for people. `fields` are those of a new entry.
pub(super) fn view(changed: Changed, fields: impl FnOnce() -> Vec<Cow<'static, str>>) -> ChangeView {
    let (change, message) = match changed.word {
        ChangeWord::Added => ("added", None),
        ChangeWord::Changed => ("changed", None),
        ChangeWord::Removed => ("removed", None),
        ChangeWord::Conflict | ChangeWord::Exists | ChangeWord::Gone => ("refused", Some(why_refused(&changed, None))),
    };
    ChangeView {
        change,
        fields: match changed.word {
            ChangeWord::Added => fields(),
            _ => changed.fields.into_iter().map(Cow::Owned).collect(),
        },
        next_before: changed.next_before.map(At),
        next_after: changed.next_after.map(At),
        revision: Some(changed.revision).filter(|revision| *revision > 0),
        message,
        id: changed.id,
    }
}

/// An entry that stays as it is.
pub(super) fn unchanged(stored: &StoredEntry) -> ChangeView {
    let next = stored.next_fire_at().map(At);
    ChangeView {
        id: stored.id.to_string(),
        change: "unchanged",
        fields: Vec::new(),
        next_before: next,
        next_after: next,
        revision: stored.definition.as_ref().ok().map(|definition| definition.revision),
        message: None,
    }
}

/// An entry that is refused.
pub(super) fn refused(stored: &StoredEntry, why: String) -> ChangeView {
    ChangeView { change: "refused", message: Some(why), ..unchanged(stored) }
}

/// `seen` is the revision that the change was decided on.
pub(super) fn why_refused(changed: &Changed, seen: Option<u64>) -> String {
    match changed.word {
        ChangeWord::Exists => format!("{} exists already, at revision {}", changed.id, changed.revision),
        ChangeWord::Gone => format!("{} was removed meanwhile", changed.id),
        _ => why_changed(&changed.id, seen, changed.revision),
    }
}

/// That an entry was changed since it was read at revision `seen`.
pub(super) fn why_changed(id: &str, seen: Option<u64>, now: u64) -> String {
    let seen = seen.map(|seen| format!(" from revision {seen}")).unwrap_or_default();
    format!("{id} was changed meanwhile{seen} to revision {now}")
}

/// The one change of a command about one entry; what the script refused is an error.
pub(super) fn only_one(done: Vec<Changed>, seen: Option<u64>) -> Result<Changed> {
    let Some(changed) = done.into_iter().next() else {
        return Err(Error::internal("a change was answered with nothing"));
    };
    let problem = Problem::new("entry", why_refused(&changed, seen)).value(&changed.id);
    match changed.word {
        ChangeWord::Added | ChangeWord::Changed | ChangeWord::Removed => Ok(changed),
        ChangeWord::Exists => Err(Error::Conflict(problem.hint("--replace changes it, --if-absent leaves it"))),
        ChangeWord::Conflict => Err(Error::Conflict(problem.hint("look at it, and ask again"))),
        ChangeWord::Gone => Err(Error::NotFound(problem)),
    }
}
