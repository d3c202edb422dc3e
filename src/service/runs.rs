//! Runs: those that live, those that ended and those that wait in a back-log, as one list.
//!
//! What is read are several pictures; a run that moves between two of them is listed once, in its later state.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::domain::id::EntryId;
use crate::domain::policy::KEEP_RUNS;
use crate::domain::record::{EndedRun, LiveRun};
use crate::domain::run::{State, Trigger};
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::service::view::RunView;
use crate::service::{Select, Service, run_views};
use crate::store::{EndedLine, StoredEntry};

/// Entries whose history is read at a time.
const AT_ONCE: usize = 16;
/// Entries whose history is read at least before a limited list may end early: so many are counted exactly.
const COUNTED_ENTRIES: usize = 200;
/// Lines of the log that are read first, and at a time at most; each stands for up to 500 runs, and has up to 60 KB.
const LOG_LINES_FIRST: usize = 10;
const LOG_LINES_MOST: usize = 40;
/// How far Redis' clock, which may date the log, may be behind the shard's, which dates the records.
const CLOCK_SLACK_MS: i64 = 10_000;

/// Which runs are wanted; what is empty or `None` restricts nothing.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Runs of this entry.
    pub entry: Option<EntryId>,
    /// In one of these states.
    pub states: Vec<State>,
    /// Executed by the node of this name.
    pub node: Option<String>,
    /// That exist for this reason.
    pub trigger: Option<Trigger>,
    /// With a fire time at or after it.
    pub since: Option<Timestamp>,
    /// With a fire time at or before it.
    pub until: Option<Timestamp>,
    /// The newest of them.
    pub limit: Option<usize>,
}

impl RunFilter {
    /// Whether a run that ended may be wanted, by what the log says of it.
    pub(super) fn may_match(&self, ended: &EndedLine) -> bool {
        let code = ended.code.as_ref();
        self.entry.as_ref().is_none_or(|entry| entry.as_str() == ended.entry_id)
            && (self.states.is_empty() || code.is_none_or(|code| self.states.contains(&code.state)))
            && self.trigger.is_none_or(|trigger| code.is_none_or(|code| code.trigger == trigger))
            && self.node.as_ref().is_none_or(|node| *node == ended.node)
    }

    /// Whether `run` is wanted; the limit does not count.
    pub fn matches(&self, run: &RunView) -> bool {
        self.entry.as_ref().is_none_or(|entry| entry.as_str() == run.entry_id)
            && (self.states.is_empty() || self.states.iter().any(|state| state.word() == run.state))
            && self.node.as_ref().is_none_or(|node| run.node.as_ref() == Some(node))
            && self.trigger.is_none_or(|trigger| trigger.word() == run.trigger)
            && self.since.is_none_or(|since| run.last_fire_at.0 >= since)
            && self.until.is_none_or(|until| run.fire_at.0 <= until)
    }
}

/// Runs, the newest first.
#[derive(Debug, Clone)]
pub struct RunList {
    /// The runs.
    pub runs: Vec<RunView>,
    /// How many there are, whatever the limit.
    pub found: usize,
    /// Whether `found` is all; otherwise there are more.
    pub is_all: bool,
}

impl Service {
    /// Runs that match, by fire time and id, the newest first.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::NotFound`] where the entry neither exists nor left a run.
    pub async fn runs(&self, filter: &RunFilter) -> Result<RunList> {
        let mut found = Found::new(self, filter);
        found.add_live().await?;
        let mut is_all = true;
        match &filter.entry {
            Some(id) => {
                found.load(vec![id.clone()]).await?;
                if found.runs.is_empty() && self.ended(id, None).await?.is_empty() {
                    self.select(&Select::Ids(vec![id.clone()])).await?;
                }
            }
            None => {
                for shard in self.store.shards() {
                    is_all &= found.walk(shard).await?;
                }
            }
        }
        let mut list = found.list(is_all);
        self.mark_stuck(&mut list.runs).await?;
        Ok(list)
    }

    /// Live runs that are wanted; each once.
    pub(super) async fn live_runs(&self, is_wanted: impl Fn(&LiveRun) -> bool) -> Result<Vec<LiveRun>> {
        let mut runs: HashMap<String, LiveRun> = HashMap::new();
        for shard in self.store.shards() {
            let mut cursor = None;
            loop {
                let (page, next) = self.store.live_runs(shard, cursor).await?;
                let wanted = page.into_iter().filter(|run| is_wanted(run));
                runs.extend(wanted.map(|run| (run.run_id.clone(), run)));
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(runs.into_values().collect())
    }

    /// How a run ended before it was retried, the oldest first.
    ///
    /// # Errors
    ///
    /// Those of Redis.
    pub async fn earlier_endings(&self, run: &RunView) -> Result<Vec<RunView>> {
        let id = EntryId::parse("entry", &run.entry_id)?;
        let stored = self.store.entry(&id).await?;
        let mut endings = self.ended(&id, stored.as_ref()).await?;
        endings.retain(|ending| key(ending) == key(run) && ending.finished_at != run.finished_at);
        endings.sort_by_key(|ending| ending.finished_at);
        Ok(endings)
    }

    /// What is kept of an entry's runs that ended; `stored` is the entry where it exists and is known.
    pub(super) async fn ended(&self, id: &EntryId, stored: Option<&StoredEntry>) -> Result<Vec<RunView>> {
        Ok(self.ended_records(id, stored).await?.into_iter().map(RunView::from).collect())
    }

    /// The same as records.
    pub(super) async fn ended_records(&self, id: &EntryId, stored: Option<&StoredEntry>) -> Result<Vec<EndedRun>> {
        let definition = stored.and_then(|stored| stored.definition.as_ref().ok());
        let keep = definition.and_then(|definition| definition.entry.get("keep_runs")?.as_u64());
        let keep = keep.map_or(KEEP_RUNS, |keep| u16::try_from(keep).unwrap_or(u16::MAX));
        self.store.ended_runs(self.store.shard_of(id), id, keep).await
    }
}

/// A run's id, and whether it is a backfill: what became of its fire time before stays on record beside it.
type Key = (String, bool);

fn key(run: &RunView) -> Key {
    (run.run_id.clone(), run.trigger == Trigger::Backfill.word())
}

/// Of runs that ended, were retried and ended again the last ending alone.
fn last_endings(runs: Vec<RunView>) -> Vec<RunView> {
    let mut last: HashMap<Key, RunView> = HashMap::with_capacity(runs.len());
    for run in runs {
        let is_newer = last
            .get(&key(&run))
            .is_none_or(|known| (known.finished_at, known.attempt) < (run.finished_at, run.attempt));
        if is_newer {
            last.insert(key(&run), run);
        }
    }
    last.into_values().collect()
}

/// What has been found so far.
struct Found<'a> {
    service: &'a Service,
    filter: &'a RunFilter,
    runs: HashMap<Key, RunView>,
    loaded: HashSet<EntryId>,
    /// Active runs, and how many of their attempts count for nothing: those before they were reopened are among them.
    reopened: HashMap<Key, u32>,
}

impl<'a> Found<'a> {
    fn new(service: &'a Service, filter: &'a RunFilter) -> Self {
        Self { service, filter, runs: HashMap::new(), loaded: HashSet::new(), reopened: HashMap::new() }
    }

    fn add(&mut self, run: RunView) {
        if self.filter.matches(&run) {
            self.runs.insert(key(&run), run);
        }
    }

    /// Whether this is how an active run had ended before it was reopened.
    fn is_reopened(&self, run: &RunView) -> bool {
        self.reopened.get(&key(run)).is_some_and(|uncounted| run.attempt <= *uncounted && *uncounted > 0)
    }

    /// First of all, so that a run that ends meanwhile is found ended.
    async fn add_live(&mut self) -> Result<()> {
        let entry = self.filter.entry.as_ref();
        let is_wanted = |run: &LiveRun| entry.is_none_or(|entry| entry.as_str() == run.entry_id);
        let (runs, fleet) = tokio::try_join!(self.service.live_runs(is_wanted), self.service.fleet())?;
        let entries: BTreeSet<EntryId> =
            runs.iter().filter_map(|run| EntryId::parse("entry", &run.entry_id).ok()).collect();
        for run in &runs {
            let view = run_views::live(run, &fleet);
            self.reopened.insert(key(&view), run.uncounted);
            self.add(view);
        }
        // A back-log has a run that lives, or one that has just ended.
        if self.filter.entry.is_none() && self.wants_waiting() {
            self.load(entries.into_iter().collect()).await?;
        }
        if self.filter.entry.is_none() && self.filter.states.contains(&State::Waiting) {
            for shard in self.service.store.shards() {
                let ids = self.service.store.ids_with_back_log(shard).await?;
                self.load(ids).await?;
            }
        }
        Ok(())
    }

    fn wants_waiting(&self) -> bool {
        self.filter.states.is_empty() || self.filter.states.contains(&State::Waiting)
    }

    /// Reads the history of entries, once each, and their back-logs.
    async fn load(&mut self, ids: Vec<EntryId>) -> Result<()> {
        let ids: Vec<EntryId> = ids.into_iter().filter(|id| self.loaded.insert(id.clone())).collect();
        let stored = self.service.store.entries(&ids).await?;
        let service = self.service;
        for (id, stored) in ids.iter().zip(&stored) {
            for run in stored.iter().flat_map(|stored| run_views::back_log(&service.store, id, stored)) {
                if !self.runs.contains_key(&key(&run)) {
                    self.add(run);
                }
            }
        }
        let reads = ids.iter().zip(&stored).map(|(id, stored)| service.ended(id, stored.as_ref()));
        let mut pages = stream::iter(reads).buffer_unordered(AT_ONCE);
        service.progress.begin(ids.len(), "entries");
        while let Some(page) = pages.try_next().await? {
            service.progress.advance(1);
            let page = last_endings(page).into_iter().filter(|run| !self.is_reopened(run));
            page.collect::<Vec<_>>().into_iter().for_each(|run| self.add(run));
        }
        Ok(())
    }

    /// Reads the history of a shard, the entries that ran last first, as far as the log says that something may match; `false`
    /// where it could end early.
    async fn walk(&mut self, shard: u16) -> Result<bool> {
        if self.filter.limit.is_none() && self.filter.since.is_none() {
            return self.walk_all(shard).await;
        }
        let (mut position, mut count, mut is_cut) = (None, LOG_LINES_FIRST, false);
        loop {
            let page = self.service.store.ended_before(shard, position, count).await?;
            let filter = self.filter;
            let ended = page.runs.iter().filter(|ended| filter.may_match(ended));
            let ids: BTreeSet<EntryId> =
                ended.filter_map(|ended| EntryId::parse("entry", &ended.entry_id).ok()).collect();
            self.load(ids.into_iter().collect()).await?;
            let Some(last) = page.last else {
                // A log that is not there says nothing about what is.
                return if position.is_none() { self.walk_all(shard).await } else { Ok(!is_cut) };
            };
            if let Some(is_all) = self.can_stop(last.at()) {
                return Ok(is_all);
            }
            (position, count, is_cut) = (Some(last), (count * 2).min(LOG_LINES_MOST), page.is_cut);
        }
    }

    /// Reads every ring of a shard, also of runs that the log does not name any more.
    async fn walk_all(&mut self, shard: u16) -> Result<bool> {
        let mut cursor = None;
        loop {
            let (ids, next) = self.service.store.ids_with_history(shard, cursor).await?;
            self.load(ids).await?;
            cursor = next;
            if cursor.is_none() {
                return Ok(true);
            }
        }
    }

    /// Whether the log may be left at this instant, and if so whether nothing that matches lies behind it. An entry that was
    /// not met yet ended nothing that matches since then, so all its fire times that do are older.
    fn can_stop(&self, at: Timestamp) -> Option<bool> {
        let newest_unread = Timestamp(at.0 + CLOCK_SLACK_MS);
        if self.filter.since.is_some_and(|since| newest_unread < since) {
            return Some(true);
        }
        let limit = self.filter.limit?;
        if self.loaded.len() < COUNTED_ENTRIES {
            return None;
        }
        let newer = self.runs.values().filter(|run| run.fire_at.0 > newest_unread).count();
        (newer >= limit).then_some(false)
    }

    fn list(self, is_all: bool) -> RunList {
        let mut runs: Vec<RunView> = self.runs.into_values().collect();
        runs.sort_by_key(|run| std::cmp::Reverse((run.fire_at, key(run))));
        let found = runs.len();
        runs.truncate(self.filter.limit.unwrap_or(usize::MAX));
        RunList { runs, found, is_all }
    }
}
