//! Which runs are stuck, and how long the runs of an entry usually take: told from the records that are kept.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::domain::durations::{self, FIRE_TIMES, STUCK_AFTER, Usual};
use crate::domain::id::EntryId;
use crate::domain::record::LiveRun;
use crate::domain::run::{Reason, State};
use crate::domain::schedule::Schedule;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::service::Service;
use crate::service::view::{At, RunView};

/// A run that goes on.
#[derive(Debug, Clone)]
struct Lasting {
    run_id: String,
    entry_id: String,
    started_at: Timestamp,
}

/// How long the runs that succeeded took; messages that are delivered take no time and do not count.
pub(super) fn usual(runs: &[RunView]) -> Option<Usual> {
    let is_timed =
        |run: &&RunView| run.state == State::Succeeded.word() && run.reason != Some(Reason::Delivered.word());
    Usual::of(runs.iter().filter(is_timed).filter_map(|run| Some(Span(run.duration_ms?.max(0).unsigned_abs()))))
}

/// Whether a run that started then is stuck now; `schedule` is that of its entry where it is known.
pub(super) fn is_stuck(
    started_at: Timestamp,
    now: Timestamp,
    usual: Option<Usual>,
    schedule: Option<&Schedule>,
) -> bool {
    let passed = schedule.map_or(0, |schedule| {
        schedule.times_after(started_at).take(FIRE_TIMES).take_while(|time| *time <= now).count()
    });
    durations::is_stuck(lasted(started_at, now), usual, passed)
}

fn lasted(started_at: Timestamp, now: Timestamp) -> Span {
    Span((now.0 - started_at.0).max(0).unsigned_abs())
}

impl Service {
    /// Sets `stuck` of those that are.
    pub(super) async fn mark_stuck(&self, runs: &mut [RunView]) -> Result<()> {
        let lasting = |run: &RunView| {
            let At(started_at) = run.started_at.filter(|_| run.state == State::Running.word())?;
            Some(Lasting { run_id: run.run_id.clone(), entry_id: run.entry_id.clone(), started_at })
        };
        let stuck = self.stuck(runs.iter().filter_map(lasting).collect()).await?;
        runs.iter_mut().for_each(|run| run.stuck = stuck.contains(&run.run_id));
        Ok(())
    }

    /// Of these live runs the stuck ones, the oldest of each entry.
    pub(super) async fn oldest_stuck(&self, runs: &[LiveRun]) -> Result<HashMap<String, LiveRun>> {
        let lasting = |run: &LiveRun| {
            let started_at = run.started_at.filter(|_| run.state == State::Running)?;
            Some(Lasting { run_id: run.run_id.clone(), entry_id: run.entry_id.clone(), started_at })
        };
        let stuck = self.stuck(runs.iter().filter_map(lasting).collect()).await?;
        let mut oldest: HashMap<String, LiveRun> = HashMap::new();
        for run in runs.iter().filter(|run| stuck.contains(&run.run_id)) {
            let known = oldest.entry(run.entry_id.clone()).or_insert_with(|| run.clone());
            if run.started_at < known.started_at {
                *known = run.clone();
            }
        }
        Ok(oldest)
    }

    /// Ids of those that are stuck. Reads records only of entries that have a run which has lasted long enough.
    async fn stuck(&self, mut runs: Vec<Lasting>) -> Result<HashSet<String>> {
        let mut stuck = HashSet::new();
        if runs.is_empty() {
            return Ok(stuck);
        }
        let now = self.store.now(0).await?;
        runs.retain(|run| lasted(run.started_at, now) > STUCK_AFTER);
        let ids: BTreeSet<&str> = runs.iter().map(|run| run.entry_id.as_str()).collect();
        let ids: Vec<EntryId> = ids.into_iter().filter_map(|id| EntryId::parse("entry", id).ok()).collect();
        for (id, stored) in ids.iter().zip(self.store.entries(&ids).await?) {
            let usual = usual(&self.ended(id, stored.as_ref()).await?);
            let entry = stored.and_then(|stored| stored.definition.ok()?.parse(id).ok());
            let schedule = match entry {
                Some(entry) => self.store.resolve(entry).await.ok().map(|entry| entry.into_data().schedule),
                None => None,
            };
            let mine = runs.iter().filter(|run| run.entry_id == id.as_str());
            let late = mine.filter(|run| is_stuck(run.started_at, now, usual, schedule.as_ref()));
            stuck.extend(late.map(|run| run.run_id.clone()));
        }
        Ok(stuck)
    }
}
