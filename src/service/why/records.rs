//! All that is on record about one entry, read once.

use serde_json::Value;

use crate::domain::calendar::Calendars;
use crate::domain::definition::{Definition, Removed};
use crate::domain::durations::Usual;
use crate::domain::entry::Entry;
use crate::domain::id::{EntryId, Namespace};
use crate::domain::ledger::{self, Stretch};
use crate::domain::record::{EndedRun, LiveRun};
use crate::domain::run::{Reason, State, Trigger};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::error::{Error, Problem, Result};
use crate::service::Service;
use crate::service::calendars::named;
use crate::service::nodes::Fleet;
use crate::service::stuck::{is_stuck, usual};
use crate::service::view::RunView;
use crate::service::why::happened::Happened;
use crate::store::{Place, StoredEntry};

/// A definition as it held for a while.
pub(super) struct Revision {
    /// The definition.
    pub definition: Definition,
    /// The entry, with the dates of its calendars as they stand now; `None` where this program can't read it.
    pub entry: Option<Entry>,
}

/// All that is on record about one entry.
pub(super) struct Records {
    /// Its namespace.
    pub namespace: Namespace,
    /// The entry.
    pub id: EntryId,
    /// By the clock of its shard.
    pub now: Timestamp,
    /// As it stands; `None` where it does not exist.
    pub stored: Option<StoredEntry>,
    /// The last removal.
    pub removed: Option<Removed>,
    /// Those that are kept, oldest first; the last is the current one where the entry exists.
    pub revisions: Vec<Revision>,
    /// What became of its fire times, in stretches.
    pub ledger: Vec<Stretch>,
    /// Its active runs, oldest first.
    pub live: Vec<LiveRun>,
    /// Its runs that ended, newest first.
    pub ended: Vec<EndedRun>,
    /// The nodes.
    pub fleet: Fleet,
    /// The calendars that it names.
    pub calendars: Calendars,
    /// Fire times so far, where it has a limit.
    pub fires: u64,
    /// When a node claimed last in its shard.
    pub claimed: Option<Timestamp>,
    /// What the events say.
    pub happened: Happened,
}

impl Service {
    /// Reads all of it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] about `entry` where it neither exists nor left a trace.
    pub(super) async fn records(&self, id: &EntryId) -> Result<Records> {
        let shard = self.store.shard_of(id);
        // First of all the runs that live, so that one that ends meanwhile is found ended.
        let mut live = self.live_runs(|run| run.entry_id == id.as_str()).await?;
        live.sort_by_key(|run| (run.fire_at, run.run_id.clone()));
        let ids = std::slice::from_ref(id);
        let (stored, removed, ledger, counters, fleet, now) = tokio::try_join!(
            self.placed(id),
            self.store.removed(shard, ids),
            self.store.ledger(shard, id),
            self.store.counters(shard),
            self.fleet(),
            self.store.now(shard),
        )?;
        let (mut ended, fires) = tokio::try_join!(self.ended_records(id, stored.as_ref()), self.store.fires_of(id))?;
        ended.sort_by_key(|run| std::cmp::Reverse((run.last_fire_at, run.finished_at)));
        let removed = removed.into_iter().next().flatten();
        if stored.is_none() && removed.is_none() && live.is_empty() && ended.is_empty() && ledger.is_empty() {
            return Err(self.no_entry(id).await?);
        }
        let damaged =
            || Error::Corrupt(Problem::new("entry", format!("the ledger of {id} is damaged")).value(id.as_str()));
        let definitions = self.definitions(id, stored.as_ref(), removed.as_ref()).await?;
        let mut names: Vec<_> = definitions.iter().flat_map(named).collect();
        names.sort();
        names.dedup();
        let calendars = self.store.calendars(&names).await?;
        let read = |definition: Definition| {
            let entry = definition.parse(id).and_then(|entry| entry.with_calendars(&calendars)).ok();
            Revision { definition, entry }
        };
        Ok(Records {
            namespace: self.store.namespace().clone(),
            id: id.clone(),
            now,
            removed,
            revisions: definitions.into_iter().map(read).collect(),
            ledger: ledger::read(&ledger).ok_or_else(damaged)?,
            live,
            ended,
            fleet,
            calendars,
            fires,
            claimed: counters.iter().find(|(name, _)| name == "claimed").map(|(_, at)| Timestamp(*at)),
            happened: self.happened(shard, id).await?,
            stored,
        })
    }

    /// The entry as it stands; one that moved from place to place while it was read is read again.
    async fn placed(&self, id: &EntryId) -> Result<Option<StoredEntry>> {
        for _ in 0..3 {
            match self.store.entry(id).await? {
                Some(stored) if stored.place.is_none() => {}
                found => return Ok(found),
            }
        }
        self.store.entry(id).await
    }

    /// The definitions that are kept, oldest first.
    async fn definitions(
        &self,
        id: &EntryId,
        stored: Option<&StoredEntry>,
        removed: Option<&Removed>,
    ) -> Result<Vec<Definition>> {
        let current = stored.and_then(|stored| stored.definition.as_ref().ok());
        let newest = stored.map(|stored| stored.birth_and_revision().1).or(removed.map(|removed| removed.revision));
        let mut definitions = self.store.revisions_up_to(self.store.shard_of(id), id, newest.unwrap_or(0)).await?;
        definitions.retain(|definition| current.is_none_or(|current| current.revision != definition.revision));
        definitions.extend(current.cloned());
        definitions.sort_by_key(|definition| definition.revision);
        Ok(definitions)
    }
}

impl Records {
    /// The definition as it stands.
    pub fn current(&self) -> Option<&Revision> {
        self.stored.as_ref().and_then(|_| self.revisions.last())
    }

    /// The last definition that is known, also of an entry that was removed.
    pub fn newest(&self) -> Option<&Revision> {
        self.revisions.last()
    }

    /// The entry as it was last.
    pub fn entry(&self) -> Option<&Entry> {
        self.newest()?.entry.as_ref()
    }

    /// The zone that people read its times in.
    pub fn zone(&self) -> Zone {
        self.entry().map_or_else(Zone::utc, |entry| entry.schedule.zone.clone())
    }

    /// A revision by its number.
    pub fn revision(&self, number: u64) -> Option<&Revision> {
        self.revisions.iter().find(|revision| revision.definition.revision == number)
    }

    /// The definition that held at that instant; `None` where there was none, or it is not kept.
    pub fn holding(&self, at: Timestamp) -> Option<&Revision> {
        let held = self.revisions.iter().rev().find(|revision| revision.definition.at <= at)?;
        let is_gone = |removed: &Removed| removed.at <= at && removed.revision > held.definition.revision;
        (!self.removed.as_ref().is_some_and(is_gone)).then_some(held)
    }

    /// The entry that a run or a stretch came by, else the one that is known.
    pub fn entry_of(&self, revision: u64) -> Option<&Entry> {
        self.revision(revision).or(self.newest())?.entry.as_ref()
    }

    /// How long its runs usually take.
    pub fn usual(&self) -> Option<Usual> {
        let runs: Vec<RunView> = self.ended.iter().cloned().map(RunView::from).collect();
        usual(&runs)
    }

    /// Whether a live run is stuck.
    pub fn is_stuck(&self, run: &LiveRun) -> bool {
        let started_at = run.started_at.filter(|_| run.state == State::Running);
        let schedule = self.entry().map(|entry| &entry.schedule);
        started_at.is_some_and(|started_at| is_stuck(started_at, self.now, self.usual(), schedule))
    }

    /// The newest success before `at`.
    pub fn last_success(&self, at: Timestamp) -> Option<&EndedRun> {
        self.ended.iter().find(|run| run.state == State::Succeeded && run.last_fire_at < at)
    }

    /// What ended of its schedule before this one, newest first.
    pub fn before<'r>(&'r self, run: &'r EndedRun) -> impl Iterator<Item = &'r EndedRun> {
        self.ended.iter().filter(move |other| other.trigger != Trigger::Manual && other.last_fire_at < run.fire_at)
    }

    /// The first that ended or goes on after `at` and was not passed over; its fire time.
    pub fn next_fired(&self, at: Timestamp) -> Option<Timestamp> {
        let ended = self.ended.iter().filter(|run| run.attempt > 0 && run.trigger != Trigger::Manual);
        let ended = ended.map(|run| run.fire_at);
        let live = self.live.iter().filter(|run| run.trigger != Trigger::Manual).map(|run| run.fire_at);
        ended.chain(live).filter(|time| *time > at).min()
    }

    /// A field of the definition as it is written, for people; texts without quotes.
    pub fn field(&self, revision: u64, name: &str) -> Option<String> {
        let definition = &self.revision(revision).or(self.newest())?.definition;
        definition.entry.get(name).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    /// Where it stands.
    pub fn place(&self) -> Option<Place> {
        self.stored.as_ref()?.place
    }

    /// Whether it stands nowhere where it could fire from, or can't be read.
    pub fn is_broken(&self) -> bool {
        let Some(stored) = &self.stored else { return false };
        matches!(stored.place, None | Some(Place::Broken)) || stored.definition.is_err() || self.entry().is_none()
    }

    /// Since when its next fire time has come without a claim, where nobody has claimed anything since.
    pub fn overdue(&self) -> Option<Timestamp> {
        let stored = self.stored.as_ref().filter(|stored| stored.place == Some(Place::Due))?;
        let fire_at = stored.next_fire_at()?;
        let is_claimed = self.claimed.is_some_and(|claimed| self.now.0 - claimed.0 <= UNCLAIMED_MS);
        (self.now.0 - stored.score.0 > UNCLAIMED_MS && fire_at <= self.now && !is_claimed).then_some(fire_at)
    }

    /// The one stretch that settled this fire time; `None` where none did, or several did together.
    pub fn settled(&self, at: Timestamp) -> Option<&Stretch> {
        let is_mine = |stretch: &&Stretch| {
            let entry = self.entry_of(stretch.revision);
            let is_exact = stretch.first == at || stretch.last == at;
            stretch.first <= at
                && stretch.last >= at
                && (is_exact || entry.is_some_and(|entry| is_fire_time(entry, at)))
        };
        let mut found = self.ledger.iter().filter(is_mine);
        let one = found.next()?;
        match found.next() {
            None => Some(one),
            // Merged with others: it is told where one of them begins or ends there.
            Some(_) => {
                let mut exact = self.ledger.iter().filter(|one| one.first == at || one.last == at);
                exact.next().filter(|_| exact.next().is_none())
            }
        }
    }

    /// Why this fire time waits for a pace, where it does.
    pub fn waits_for_pace(&self, at: Timestamp) -> Option<Trigger> {
        let stored = self.stored.as_ref()?;
        match stored.backfill.iter().any(|one| one.fire_at == at) {
            true => Some(Trigger::Backfill),
            false => stored.back_log.contains(&at).then_some(Trigger::CatchUp),
        }
    }

    /// Whether both ended alike.
    pub fn is_same(one: &EndedRun, other: &EndedRun) -> bool {
        let ends = |run: &EndedRun| (run.state, run.reason, run.exit_code.filter(|_| run.reason == Some(Reason::Exit)));
        ends(one) == ends(other)
    }
}

/// Nodes look in at least every few seconds: what is due for longer has found no claimer.
const UNCLAIMED_MS: i64 = 5_000;

/// Whether the schedule names this instant.
pub(super) fn is_fire_time(entry: &Entry, at: Timestamp) -> bool {
    entry.schedule.next_after(Timestamp(at.0 - 1)) == Some(at)
}
