//! audit: every fire time that should have been, by the revisions that held then, compared with what is on record.

mod history;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::audit::{Case, Found, RETENTION_MS, Settled, Was, audit};
use crate::domain::definition::Definition;
use crate::domain::id::EntryId;
use crate::domain::ledger;
use crate::domain::run::{Reason, State};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::service::view::At;
use crate::service::{Outage, Select, Service};
use crate::store::{Place, SNAPSHOT_ENTRIES, Snapshot};

use history::{Calendars, History};

/// A cursor from here on stands for no fire time at all.
const NEVER_MS: i64 = 281_474_976_710_655;

/// What an audit found, as programs read it.
#[derive(Debug, Clone, Serialize)]
pub struct AuditView {
    /// From when on was asked for.
    pub from: At,
    /// Until when: the time of the shards.
    pub to: At,
    /// From here on every fire time of all entries is told, but for those of `entries` that are not covered.
    pub covered_from: At,
    /// How many entries were looked at; removed ones are among them.
    pub audited: u64,
    /// The numbers of all together.
    #[serde(flatten)]
    pub numbers: Numbers,
    /// Skipped ones by their reason.
    pub skipped_by: BTreeMap<&'static str, u64>,
    /// Missed ones by their reason.
    pub missed_by: BTreeMap<&'static str, u64>,
    /// When no node had claimed in the window, the newest first: what was due then was found late.
    pub outages: Vec<Outage>,
    /// Those that are not clean, or not covered, by id.
    pub entries: Vec<AuditedEntry>,
}

/// Numbers of fire times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Numbers {
    /// That should have been settled: fired, skipped, missed and missing together.
    pub expected: u64,
    /// That fired, however their runs ended.
    pub fired: u64,
    /// On record as skipped.
    pub skipped: u64,
    /// On record as missed.
    pub missed: u64,
    /// On nobody's record.
    pub missing: u64,
    /// On record, and should not have been.
    pub extra: u64,
    /// They have come and have no outcome yet; not among the expected.
    pub open: u64,
}

/// An entry that is not clean, or not covered.
#[derive(Debug, Clone, Serialize)]
pub struct AuditedEntry {
    /// Its id.
    pub id: String,
    /// `missing`, `extra`, `missing_and_extra` or `not_covered`.
    pub reason: &'static str,
    /// For people.
    pub message: Option<String>,
    /// From here on it is covered; null where nothing of it is.
    pub covered_from: Option<At>,
    /// Its numbers.
    #[serde(flatten)]
    pub numbers: Numbers,
    /// The first of those that are missing.
    pub missing_times: Vec<At>,
    /// The first of those that are too many.
    pub extra_times: Vec<At>,
    /// Where count and sum differ and do not say which.
    pub unclear: Vec<UnclearView>,
}

/// Fire times that can't be told one by one.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct UnclearView {
    /// Not before it.
    pub from: At,
    /// Not after it.
    pub to: At,
    /// How many are missing, at least.
    pub missing: u64,
    /// How many are too many, at least.
    pub extra: u64,
}

/// What one entry came to.
enum Outcome {
    /// Its fire times were compared; with what is wrong with the records themselves.
    Compared(Box<Found>, Option<&'static str>),
    /// Nothing of it can be told.
    NotCovered(String),
    /// It was removed before any of it was asked for.
    Outside,
}

impl Service {
    /// Audits the fire times since `since`, 35 days back at most, of the selected entries; without a selection of all, those
    /// that were removed meanwhile included.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] about an id that never was; [`Error::Invalid`] about `since` where it is in the future.
    pub async fn audit(&self, select: Option<&Select>, since: Option<Timestamp>) -> Result<AuditView> {
        let now = self.store.now(0).await?;
        let reach = Timestamp(now.0 - RETENTION_MS);
        let from = since.unwrap_or(reach);
        if from > now {
            let why = format!("{} is in the future, it is {}", from.to_rfc3339(), now.to_rfc3339());
            return Err(Error::invalid("since", why)
                .value(from.to_rfc3339())
                .hint("write it like -7d or 2026-11-20T02:00"));
        }
        let mut summary = Summary::new(from.max(reach));
        let mut calendars = Calendars::default();
        let selected = match select {
            None => None,
            Some(Select::Ids(ids)) => Some(ids.clone()),
            Some(select) => Some(self.select(select).await?),
        };
        let mut of_shards: Vec<(u16, Vec<EntryId>)> = Vec::new();
        for shard in self.store.shards() {
            let ids = match &selected {
                None => self.store.known_ids(shard).await?.into_iter().collect(),
                Some(ids) => ids.iter().filter(|id| self.store.shard_of(id) == shard).cloned().collect(),
            };
            of_shards.push((shard, ids));
        }
        self.progress.begin(of_shards.iter().map(|(_, ids)| ids.len()).sum(), "entries");
        for (shard, ids) in of_shards {
            for page in ids.chunks(SNAPSHOT_ENTRIES) {
                let snapshots = self.store.snapshot(shard, page).await?;
                let histories = self.histories(shard, page, &snapshots, from.max(reach), &mut calendars).await?;
                for ((id, snapshot), history) in page.iter().zip(&snapshots).zip(&histories) {
                    let is_known =
                        !(snapshot.definition.is_empty() && snapshot.removed.is_empty() && snapshot.ledger.is_empty());
                    match is_known {
                        true => summary.add(id, look(snapshot, history, from.max(reach))),
                        false if matches!(select, Some(Select::Ids(_))) => return Err(self.no_entry(id).await?),
                        // It went meanwhile.
                        false => {}
                    }
                }
                self.progress.advance(page.len());
            }
        }
        let outages = self.outages(from.max(reach)).await?;
        Ok(AuditView { outages, ..summary.view(from, now) })
    }
}

fn look(snapshot: &Snapshot, history: &History, since: Timestamp) -> Outcome {
    let chain = match history {
        History::Unreadable(why) => return Outcome::NotCovered(why.clone()),
        History::Kept { chain, .. } => chain,
    };
    if let Some((_, Was::Removed(at))) = chain.last()
        && *at < since
    {
        return Outcome::Outside;
    }
    // What can't be read is on nobody's record.
    let read = ledger::read(&snapshot.ledger);
    let damage = read.is_none().then_some("its ledger is damaged: nothing of it can be read");
    let stretches = read.unwrap_or_default();
    let last = chain.last().map(|(number, _)| *number);
    let has_begun = stretches.iter().any(|stretch| Some(stretch.revision) == last);
    let settled = settled(snapshot, history, ledger::end(&stretches), has_begun);
    let (back_log, fires, now) = (&snapshot.back_log, snapshot.fires, snapshot.now);
    let dropped_until = ledger::dropped(&snapshot.ledger).map(|dropped| dropped.until);
    let found = audit(&Case { chain, settled, stretches: &stretches, dropped_until, back_log, fires, since, now });
    Outcome::Compared(Box::new(found), damage)
}

/// How far the entry is settled, as whoever goes on with it would see it.
fn settled(snapshot: &Snapshot, history: &History, end: Option<Timestamp>, has_begun: bool) -> Settled {
    let History::Kept { chain, current: Some(current) } = history else { return Settled::All };
    let delay_ms = chain.last().map_or(0, |(_, was)| if let Was::Standing(one) = was { one.delay_ms } else { 0 });
    let cursor = match snapshot.place {
        Some(Place::Due) => Some(snapshot.cursor.unwrap_or(Timestamp(snapshot.score.0 - delay_ms))),
        Some(Place::Parked) => snapshot.cursor,
        Some(Place::Finished) => return Settled::All,
        Some(Place::Paused) => return Settled::Nothing,
        Some(Place::Broken) | None => None,
    };
    match cursor {
        Some(cursor) if cursor.0 >= NEVER_MS => Settled::All,
        Some(cursor) => Settled::Before(cursor),
        None if current.paused.is_some() && !has_begun => Settled::Nothing,
        None => Settled::Before(goes_on(snapshot, current, end)),
    }
}

/// Where an entry goes on that has lost its place.
fn goes_on(snapshot: &Snapshot, current: &Definition, end: Option<Timestamp>) -> Timestamp {
    let known = snapshot.cursor.filter(|cursor| cursor.0 < NEVER_MS).unwrap_or(current.at);
    end.map_or(known, |end| Timestamp(end.0 + 1).max(known))
}

/// What is gathered.
struct Summary {
    asked: Timestamp,
    begun: Option<Timestamp>,
    lost_until: Option<Timestamp>,
    audited: u64,
    numbers: Numbers,
    by: BTreeMap<(State, Option<Reason>), u64>,
    entries: Vec<AuditedEntry>,
}

impl Summary {
    fn new(asked: Timestamp) -> Self {
        let (by, entries) = (BTreeMap::new(), Vec::new());
        Self { asked, begun: None, lost_until: None, audited: 0, numbers: Numbers::default(), by, entries }
    }

    fn add(&mut self, id: &EntryId, outcome: Outcome) {
        let (found, damage) = match outcome {
            Outcome::Outside => return,
            Outcome::Compared(found, damage) => (found, damage),
            Outcome::NotCovered(why) => {
                self.audited += 1;
                self.entries.push(AuditedEntry {
                    id: id.to_string(),
                    reason: "not_covered",
                    message: Some(why),
                    covered_from: None,
                    numbers: Numbers::default(),
                    missing_times: Vec::new(),
                    extra_times: Vec::new(),
                    unclear: Vec::new(),
                });
                return;
            }
        };
        self.audited += 1;
        self.begun = Some(self.begun.map_or(found.covered_from, |begun| begun.min(found.covered_from)));
        if found.is_cut {
            self.lost_until = self.lost_until.max(Some(found.covered_from));
        }
        let numbers = Numbers::of(&found);
        self.numbers.add(&numbers);
        for (outcome, count) in &found.outcomes {
            *self.by.entry(*outcome).or_default() += count;
        }
        if !found.is_clean() || found.is_cut || damage.is_some() {
            let entry = listed(id, &found, numbers);
            let message = damage.map(str::to_owned).or(entry.message);
            self.entries.push(AuditedEntry { message, ..entry });
        }
    }

    fn view(mut self, from: Timestamp, to: Timestamp) -> AuditView {
        self.entries.sort_by(|a, b| a.id.cmp(&b.id));
        let by = |wanted: State| {
            let mine = self.by.iter().filter(|((state, _), _)| *state == wanted);
            mine.filter_map(|((_, reason), count)| Some((reason.as_ref()?.word(), *count))).collect()
        };
        let covered_from = self.asked.max(self.begun.unwrap_or(self.asked)).max(self.lost_until.unwrap_or(self.asked));
        AuditView {
            from: At(from),
            to: At(to),
            covered_from: At(covered_from),
            audited: self.audited,
            numbers: self.numbers,
            skipped_by: by(State::Skipped),
            missed_by: by(State::Missed),
            outages: Vec::new(),
            entries: self.entries,
        }
    }
}

impl Numbers {
    fn of(found: &Found) -> Self {
        Self {
            expected: found.expected,
            fired: found.ended(State::Succeeded),
            skipped: found.ended(State::Skipped),
            missed: found.ended(State::Missed),
            missing: found.missing,
            extra: found.extra,
            open: found.open,
        }
    }

    fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.fired += other.fired;
        self.skipped += other.skipped;
        self.missed += other.missed;
        self.missing += other.missing;
        self.extra += other.extra;
        self.open += other.open;
    }
}

fn listed(id: &EntryId, found: &Found, numbers: Numbers) -> AuditedEntry {
    let times = |times: &[Timestamp]| times.iter().copied().map(At).collect();
    let unclear = |one: &crate::domain::audit::Unclear| UnclearView {
        from: At(one.from),
        to: At(one.to),
        missing: one.missing,
        extra: one.extra,
    };
    let before = || format!("what held before {} is not kept", found.covered_from.to_rfc3339());
    AuditedEntry {
        id: id.to_string(),
        reason: match (found.missing > 0, found.extra > 0) {
            (true, true) => "missing_and_extra",
            (true, false) => "missing",
            (false, true) => "extra",
            (false, false) => "not_covered",
        },
        message: found.is_cut.then(before),
        covered_from: Some(At(found.covered_from)),
        numbers,
        missing_times: times(&found.missing_times),
        extra_times: times(&found.extra_times),
        unclear: found.unclear.iter().map(unclear).collect(),
    }
}
