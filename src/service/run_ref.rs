//! One run by what people call it: its id, its entry and fire time, or its entry alone for the latest.

use std::fmt;

use crate::domain::id::EntryId;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::service::view::RunView;
use crate::service::{RunFilter, Service, run_views};

/// Lines of the log that are read at a time.
const LOG_LINES: usize = 40;

/// What stands for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunRef {
    /// Its id.
    Id(String),
    /// The run of an entry at a fire time.
    At(EntryId, Timestamp),
    /// The latest of an entry.
    Latest(EntryId),
}

impl RunRef {
    /// Reads a run id, `ID@FIRE_AT`, or `ID`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] about `run`.
    pub fn parse(text: &str) -> Result<Self> {
        if let Ok(id) = uuid::Uuid::try_parse(text) {
            return Ok(Self::Id(id.to_string()));
        }
        match text.rsplit_once('@') {
            Some((id, at)) => Ok(Self::At(EntryId::parse("run", id)?, Timestamp::parse("run", at, None)?)),
            None => Ok(Self::Latest(EntryId::parse("run", text)?)),
        }
    }

    /// The entry that it names.
    pub fn entry(&self) -> Option<&EntryId> {
        match self {
            Self::Id(_) => None,
            Self::At(id, _) | Self::Latest(id) => Some(id),
        }
    }
}

impl fmt::Display for RunRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::At(id, at) => write!(f, "{id}@{}", at.to_rfc3339()),
            Self::Latest(id) => write!(f, "{id}"),
        }
    }
}

impl Service {
    /// One run.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where it never was or is not on record any more.
    pub async fn run(&self, run: &RunRef) -> Result<RunView> {
        let none = |what: String| Error::NotFound(Problem::new("run", what));
        match run {
            RunRef::Id(id) => {
                let found = self.run_by_id(id).await?;
                found.ok_or_else(|| none(format!("there is no run {id} on record")).value(id))
            }
            RunRef::At(id, at) => {
                let covers = |run: &RunView| run.fire_at.0 <= *at && run.last_fire_at.0 >= *at;
                let runs = self.runs_of(id).await?;
                let exact =
                    runs.iter().find(|run| run.fire_at.0 == *at).or_else(|| runs.iter().find(|run| covers(run)));
                exact.cloned().ok_or_else(|| {
                    none(format!("{id} has no run of {} on record", at.to_rfc3339())).hint(format!("upbeat runs {id}"))
                })
            }
            RunRef::Latest(id) => {
                let latest = self.runs_of(id).await?.into_iter().next();
                latest.ok_or_else(|| none(format!("{id} has not run yet")).value(id.as_str()))
            }
        }
    }

    /// All runs of an entry that are on record, the newest first.
    pub async fn runs_of(&self, id: &EntryId) -> Result<Vec<RunView>> {
        Ok(self.runs(&RunFilter { entry: Some(id.clone()), ..RunFilter::default() }).await?.runs)
    }

    async fn run_by_id(&self, run_id: &str) -> Result<Option<RunView>> {
        for shard in self.store.shards() {
            if let Some(run) = self.store.live_run(shard, run_id).await? {
                let mut found = [run_views::live(&run, &self.fleet().await?)];
                self.mark_stuck(&mut found).await?;
                return Ok(found.into_iter().next());
            }
        }
        for shard in self.store.shards() {
            if let Some(id) = self.entry_in_log(shard, run_id).await? {
                let runs = self.runs_of(&id).await?;
                return Ok(runs.into_iter().find(|run| run.run_id == run_id));
            }
        }
        // Older than the log, part of a range, or in a back-log: the rings are the last place.
        let all = self.runs(&RunFilter::default()).await?.runs;
        Ok(all.into_iter().find(|run| run.run_id == run_id))
    }

    /// The entry of a run that ended, as the log tells; it can't have ended before its fire time.
    async fn entry_in_log(&self, shard: u16, run_id: &str) -> Result<Option<EntryId>> {
        let earliest = run_views::fire_time_of(run_id).map_or(0, |at| at.0 - 60_000);
        let mut position = None;
        loop {
            let page = self.store.ended_before(shard, position, LOG_LINES).await?;
            if let Some(ended) = page.runs.iter().find(|ended| ended.run_id == run_id) {
                return EntryId::parse("entry", &ended.entry_id).map(Some);
            }
            let Some(last) = page.last else { return Ok(None) };
            if last.at().0 < earliest {
                return Ok(None);
            }
            position = Some(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_in_three_ways() {
        let id = |text| EntryId::parse("run", text).unwrap();
        assert_eq!(RunRef::parse("a.b"), Ok(RunRef::Latest(id("a.b"))));
        assert_eq!(RunRef::parse("a@2026-11-20T02:00Z"), Ok(RunRef::At(id("a"), Timestamp(1_795_140_000_000))));
        let run = "7c1e0a52-9d0f-5c1e-8a44-0b6a6f2f9c11";
        assert_eq!(RunRef::parse(&run.to_uppercase()), Ok(RunRef::Id(run.to_owned())));
        assert!(RunRef::parse("a@yesterday").is_err() && RunRef::parse("").is_err());
    }
}
