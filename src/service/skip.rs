//! skip: a fire time to come ends `skipped`, `skip_asked`; the others stay as they are.

use crate::domain::definition::Definition;
use crate::domain::entry::Entry;
use crate::domain::id::EntryId;
use crate::domain::schedule::Schedule;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::service::request::{Said, content, said};
use crate::service::view::{At, ChangeView, Changes};
use crate::service::{Request, Service};
use crate::store::{Asked, SKIPS_MAX, Skip, SkipAnswer, SkipCall, StoredEntry};

/// How often it is decided anew while others change the entry.
const ROUNDS: usize = 20;
/// How far before an instant the fire time before it is looked for, ms.
const WINDOWS_MS: [i64; 5] = [60_000, 3_600_000, 86_400_000, 32 * 86_400_000, 366 * 86_400_000];

/// A skip as it was decided.
struct Wanted {
    fire_at: Timestamp,
    next_before: Option<Timestamp>,
    next_after: Option<Timestamp>,
}

impl Service {
    /// Lets one fire time to come end `skipped`, the next or the one named; `is_undo` takes that back. A second request for the
    /// same fire time changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Invalid`] about `at` where it is no fire time; [`Error::Conflict`] where it has come, or
    /// where [`SKIPS_MAX`] are asked for.
    pub async fn skip(&self, request: &Request, id: &EntryId, at: Option<&Said>, is_undo: bool) -> Result<Changes> {
        request.check()?;
        let shard = self.store.shard_of(id);
        let step = request.step(shard, 0);
        let content = content("skip", [id.as_str(), said(at), if is_undo { "undo" } else { "" }]);
        let asked = Asked { request: &step, content: &content };
        if let Some(answer) = self.store.skipped(shard, asked).await? {
            return self.skip_answered(request, id, answer).await;
        }
        for _ in 0..ROUNDS {
            let (stored, now) = tokio::try_join!(self.store.entry(id), self.store.now(shard))?;
            let Some(stored) = stored else { return Err(self.no_entry(id).await?) };
            let definition = stored.definition.as_ref().map_err(Clone::clone)?;
            let entry = self.store.resolve(definition.parse(id)?).await?;
            let wanted = wanted(&stored, definition, &entry, at.map(|at| at.at), is_undo, now)?;
            let revision = definition.revision;
            let (next_before, next_after) = (wanted.next_before, wanted.next_after);
            if request.is_dry_run {
                let is_changed = stored.skips.iter().any(|skip| skip.fire_at == wanted.fire_at) == is_undo;
                let answer =
                    SkipAnswer::Done { is_changed, fire_at: wanted.fire_at, next_before, next_after, revision };
                return self.skip_answered(request, id, answer).await;
            }
            let call = SkipCall {
                asked,
                id,
                birth: definition.birth,
                revision,
                is_undo,
                words: &request.words(),
                next_before,
                next_after,
                times: &[wanted.fire_at],
            };
            match self.store.skip(shard, &call).await? {
                SkipAnswer::Changed => {}
                answer => return self.skip_answered(request, id, answer).await,
            }
        }
        Err(Error::Conflict(Problem::new("entry", format!("{id} is changed all the time")).hint("ask again")))
    }

    async fn skip_answered(&self, request: &Request, id: &EntryId, answer: SkipAnswer) -> Result<Changes> {
        match answer {
            SkipAnswer::OtherRequest => Err(request.used_before()),
            SkipAnswer::Gone => Err(self.no_entry(id).await?),
            SkipAnswer::Changed => Err(Error::internal("a skip was left undecided")),
            SkipAnswer::Passed(at) => Err(has_come(id, at)),
            SkipAnswer::Full => {
                let why = format!("{SKIPS_MAX} fire times of {id} are to be skipped already, that is the most");
                Err(Error::Conflict(Problem::new("at", why).hint(format!("upbeat pause {id} --until T skips a range"))))
            }
            SkipAnswer::Done { is_changed, next_before, next_after, revision, .. } => {
                let view = ChangeView {
                    id: id.to_string(),
                    change: if is_changed { "changed" } else { "unchanged" },
                    fields: if is_changed { vec!["skips".into()] } else { Vec::new() },
                    next_before: next_before.map(At),
                    next_after: next_after.map(At),
                    revision: Some(revision),
                    message: None,
                };
                Ok(Changes { changes: vec![view], ..Changes::default() })
            }
        }
    }

    /// Fire times to come that are to be skipped, oldest first.
    pub async fn skips(&self, id: &EntryId) -> Result<Vec<Skip>> {
        let (stored, now) = tokio::try_join!(self.store.entry(id), self.store.now(self.store.shard_of(id)))?;
        let skips = stored.map(|stored| stored.skips).unwrap_or_default();
        Ok(skips.into_iter().filter(|skip| skip.fire_at > now).collect())
    }

    /// Takes back what is no fire time of an entry any more, after it was changed. Returns a warning for each; what was not
    /// taken back in time is passed over when it comes.
    pub(super) async fn drop_skips(
        &self,
        request: &Request,
        stored: &StoredEntry,
        entry: &Entry,
        revision: u64,
        now: Timestamp,
    ) -> Result<Vec<String>> {
        let id = &stored.id;
        let times = lost_skips(stored, entry, now);
        let Some(birth) = stored.definition.as_ref().ok().map(|definition| definition.birth) else {
            return Ok(Vec::new());
        };
        if times.is_empty() {
            return Ok(Vec::new());
        }
        if !request.is_dry_run {
            let shard = self.store.shard_of(id);
            let (step, content) = (format!("{}/skips/{id}", request.id), content("skips", [id.as_str()]));
            let asked = Asked { request: &step, content: &content };
            let (is_undo, words) = (true, request.words());
            let call = SkipCall {
                asked,
                id,
                birth,
                revision,
                is_undo,
                words: &words,
                next_before: None,
                next_after: None,
                times: &times,
            };
            self.store.skip(shard, &call).await?;
        }
        Ok(times.iter().map(|at| skip_is_lost(id, *at)).collect())
    }
}

/// Fire times to come that somebody asked to skip and that the entry, as it will be, does not have.
pub(super) fn lost_skips(stored: &StoredEntry, entry: &Entry, now: Timestamp) -> Vec<Timestamp> {
    let is_gone = |at: &Timestamp| *at > now && entry.schedule.next_after(Timestamp(at.0 - 1)) != Some(*at);
    stored.skips.iter().map(|skip| skip.fire_at).filter(is_gone).collect()
}

/// The warning about one of them.
pub(super) fn skip_is_lost(id: &EntryId, at: Timestamp) -> String {
    format!("{id}: {} is no fire time any more, so it is not skipped", at.to_rfc3339())
}

/// Which fire time is meant, and what comes next with it and without.
fn wanted(
    stored: &StoredEntry,
    definition: &Definition,
    entry: &Entry,
    at: Option<Timestamp>,
    is_undo: bool,
    now: Timestamp,
) -> Result<Wanted> {
    let id = &stored.id;
    let schedule = &entry.schedule;
    let until = definition.paused_at(now).and_then(|paused| paused.until);
    let base = until.map_or(now, |until| Timestamp(until.0 - 1));
    let fire_at = match at {
        Some(at) if at <= now => return Err(has_come(id, at)),
        Some(at) if schedule.next_after(Timestamp(at.0 - 1)) != Some(at) => {
            return Err(no_fire_time(id, schedule, at, now));
        }
        Some(at) => at,
        None if is_undo => {
            let first = stored.skips.iter().map(|skip| skip.fire_at).find(|at| *at > now);
            first.ok_or_else(|| {
                Error::Conflict(
                    Problem::new("at", format!("no fire time to come of {id} is to be skipped")).value(id.as_str()),
                )
            })?
        }
        None => schedule.next_after(base).ok_or_else(|| {
            Error::Conflict(Problem::new("entry", format!("{id} does not fire any more")).value(id.as_str()))
        })?,
    };
    let before: Vec<Timestamp> = stored.skips.iter().map(|skip| skip.fire_at).collect();
    let mut after = before.clone();
    after.retain(|at| *at != fire_at);
    if !is_undo {
        after.push(fire_at);
    }
    let next = |skips: &[Timestamp]| schedule.times_after(base).find(|time| !skips.contains(time));
    Ok(Wanted { fire_at, next_before: next(&before), next_after: next(&after) })
}

fn has_come(id: &EntryId, at: Timestamp) -> Error {
    let at = at.to_rfc3339();
    let problem = Problem::new("at", format!("{at} has passed: what became of it is on record")).value(&at);
    Error::Conflict(problem.hint(format!("upbeat next {id} shows what comes, upbeat runs {id} what was")))
}

fn no_fire_time(id: &EntryId, schedule: &Schedule, at: Timestamp, now: Timestamp) -> Error {
    let before = WINDOWS_MS.iter().find_map(|window| {
        let from = Timestamp((at.0 - window).max(now.0));
        schedule.times_after(from).take_while(|time| *time < at).last()
    });
    let near: Vec<String> = [before, schedule.next_after(at)].iter().flatten().map(|time| time.to_rfc3339()).collect();
    let at = at.to_rfc3339();
    let error = Error::invalid("at", format!("{at} is no fire time of {id}")).value(&at);
    match near.is_empty() {
        true => error.hint(format!("upbeat next {id} shows what comes")),
        false => error.hint(format!("the nearest: {}", near.join(", "))),
    }
}
