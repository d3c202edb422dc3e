//! What the records say about one fire time.

use std::ops::Range;

use chrono::NaiveDate;

use crate::domain::definition::Paused;
use crate::domain::entry::Entry;
use crate::domain::id::CalendarName;
use crate::domain::ledger::Stretch;
use crate::domain::plan::Registered;
use crate::domain::record::{EndedRun, LiveRun};
use crate::domain::run::Trigger;
use crate::domain::schedule::{Schedule, When};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::{Gap, Local};
use crate::service::why::question::Subject;
use crate::service::why::records::{Records, Revision, is_fire_time};
use crate::store::{Place, Skip};

/// What the records say about a fire time.
pub(super) enum Finding<'r> {
    /// Its run is active.
    Live(&'r LiveRun),
    /// It ended, alone or with others in one record.
    Ended(&'r EndedRun),
    /// It waits for the pace of its back-log or backfill.
    Pace(Trigger),
    /// Only the ledger tells what became of it.
    Settled(&'r Stretch),
    /// It passed, or will pass, in a pause that goes on; so many have passed.
    Paused(&'r Paused, usize),
    /// Its time has come and no node has claimed it.
    Due,
    /// Its time has come, and it is due later, at this instant.
    Spread(Timestamp),
    /// Its time comes.
    ToCome,
    /// Its time comes, and it is to be skipped.
    ToSkip(&'r Skip),
    /// It is no fire time.
    NotDue(NotDue),
    /// The plan is missing or damaged, or the entry can't be read.
    Broken,
    /// The entry had been removed.
    Removed,
    /// The entry was added later, at this instant.
    NotAdded(Timestamp),
    /// Nothing on record tells.
    NoRecords,
}

/// Why an instant is no fire time.
pub(super) enum NotDue {
    /// The entry starts then.
    BeforeStart(Timestamp),
    /// The entry ended then.
    AfterEnd(Timestamp),
    /// It was to fire once, then.
    Once(Timestamp),
    /// It has fired as often as it may.
    MaxFires(u32),
    /// Its date is excluded, by these calendars, or by the entry itself where there are none.
    Excluded(NaiveDate, Vec<CalendarName>),
    /// The clocks went forward over it, and its rule is to skip that.
    LeftOut,
    /// The expression does not name it.
    Plain,
    /// The expression names no time of the day that is asked about.
    Day,
}

impl<'r> Finding<'r> {
    /// What the records say about this instant.
    pub fn at(records: &'r Records, at: Timestamp) -> Self {
        if let Some(run) = records.live.iter().find(|run| run.fire_at == at) {
            return Self::Live(run);
        }
        if let Some(trigger) = records.waits_for_pace(at) {
            return Self::Pace(trigger);
        }
        let exact = records.ended.iter().filter(|run| run.fires == 1 && run.fire_at == at);
        if let Some(run) = exact.max_by_key(|run| run.finished_at) {
            return Self::Ended(run);
        }
        let covers = |run: &&EndedRun| {
            let is_named = || records.entry_of(run.revision).is_some_and(|entry| is_fire_time(entry, at));
            run.fires > 1 && run.fire_at <= at && run.last_fire_at >= at && (run.last_fire_at == at || is_named())
        };
        if let Some(run) = records.ended.iter().find(covers) {
            return Self::Ended(run);
        }
        if let Some(stretch) = records.settled(at) {
            return Self::Settled(stretch);
        }
        Self::near(records, at).unwrap_or_else(|| Self::by_definition(records, at))
    }

    /// A run whose fire time nobody can type: one within the minute, or the second, that was written.
    fn near(records: &'r Records, at: Timestamp) -> Option<Self> {
        let is_named =
            records.holding(at).and_then(|held| held.entry.as_ref()).is_some_and(|entry| is_fire_time(entry, at));
        let length = match at.0.rem_euclid(60_000) {
            _ if is_named => 0,
            0 => 60_000,
            ms if ms % 1000 == 0 => 1_000,
            _ => 0,
        };
        let meant = at..Timestamp(at.0 + length);
        let live = records.live.iter().find(|run| meant.contains(&run.fire_at)).map(Self::Live);
        live.or_else(|| records.ended.iter().find(|run| meant.contains(&run.fire_at)).map(Self::Ended))
    }

    /// What the definition says that held then: no record is about this instant.
    fn by_definition(records: &'r Records, at: Timestamp) -> Self {
        let Some(held) = records.holding(at) else { return Self::before_life(records, at) };
        let Some(entry) = &held.entry else { return Self::Broken };
        if !is_fire_time(entry, at) {
            return Self::NotDue(NotDue::of(records, entry, at));
        }
        if let Some(paused) = held.definition.paused_at(at).filter(|paused| paused.at <= at) {
            let until = held.definition.paused_till(records.now);
            return Self::Paused(paused, passed_in(records, entry, paused, until));
        }
        if at > records.now {
            return Self::to_come(records, entry, at);
        }
        Self::unsettled(records, held, entry, at)
    }

    /// Before there was an entry, or after it was removed.
    fn before_life(records: &Records, at: Timestamp) -> Self {
        let created = records.current().map(|current| current.definition.created);
        if records.removed.as_ref().is_some_and(|removed| removed.at <= at) {
            return Self::Removed;
        }
        match created {
            Some(created) if created > at && records.removed.is_none() => Self::NotAdded(created),
            _ => Self::NoRecords,
        }
    }

    /// A fire time that has come and is not settled.
    fn unsettled(records: &Records, held: &Revision, entry: &Entry, at: Timestamp) -> Self {
        let Some(stored) = &records.stored else { return Self::NoRecords };
        if records.is_broken() {
            return Self::Broken;
        }
        let is_open = matches!(stored.place, Some(Place::Due | Place::Parked)) && stored.cursor() <= at;
        let delay_ms = delay_ms(records, held, entry);
        match is_open {
            true if at.0 + delay_ms > records.now.0 => Self::Spread(Timestamp(at.0 + delay_ms)),
            true => Self::Due,
            false => Self::NoRecords,
        }
    }

    fn to_come(records: &'r Records, entry: &Entry, at: Timestamp) -> Self {
        if records.is_broken() {
            return Self::Broken;
        }
        let stored = records.stored.as_ref();
        if let Some(skip) = stored.and_then(|stored| stored.skips.iter().find(|skip| skip.fire_at == at)) {
            return Self::ToSkip(skip);
        }
        if let Some(most) = entry.max_fires {
            let left = u64::from(most).saturating_sub(records.fires);
            let until = entry.schedule.times_after(records.now).take(usize::try_from(left).unwrap_or(usize::MAX));
            if !until.take_while(|time| *time <= at).any(|time| time == at) {
                return Self::NotDue(NotDue::MaxFires(most));
            }
        }
        Self::ToCome
    }

    /// The pause that holds now, and the last fire time that passed in it, else the next that would.
    pub fn pause_now(records: &'r Records) -> Option<Subject<'r>> {
        let current = records.current()?;
        let paused = current.definition.paused_at(records.now)?;
        let entry = current.entry.as_ref()?;
        let passed = passed_in(records, entry, paused, records.now);
        let at = match passed {
            0 => entry.schedule.next_after(records.now),
            _ => entry.schedule.times_after(paused.at).take(passed).last(),
        };
        Some(Subject { at, finding: Self::Paused(paused, passed) })
    }

    /// An entry that has left no record yet.
    pub fn first_to_come(records: &'r Records) -> Subject<'r> {
        let Some(entry) = records.entry() else { return Subject { at: None, finding: Self::Broken } };
        if records.place() == Some(Place::Finished) {
            return Subject { at: None, finding: Self::NotDue(NotDue::of(records, entry, records.now)) };
        }
        let cursor = records.stored.as_ref().map_or(records.now, |stored| stored.cursor());
        match entry.schedule.next_after(Timestamp(cursor.0 - 1)) {
            Some(at) => Subject { at: Some(at), finding: Self::to_come(records, entry, at) },
            None => Subject { at: None, finding: Self::NotDue(NotDue::of(records, entry, records.now)) },
        }
    }

    /// Why nothing fires on a day that has no fire time.
    pub fn not_on(records: &'r Records, day: &Range<Timestamp>) -> Subject<'r> {
        let of = |at: Timestamp, finding: Self| Subject { at: Some(at), finding };
        let Some(held) = records.holding(Timestamp(day.end.0 - 1)) else {
            return of(day.start, Self::before_life(records, day.start));
        };
        let Some(entry) = &held.entry else { return of(day.start, Self::Broken) };
        let plain = without_exclude(&entry.schedule);
        let named = plain.next_after(Timestamp(day.start.0 - 1)).filter(|time| *time < day.end);
        let at = named.unwrap_or(day.start);
        match NotDue::of(records, entry, at) {
            NotDue::Plain => of(at, Self::NotDue(NotDue::Day)),
            other => of(at, Self::NotDue(other)),
        }
    }
}

/// Fire times that are counted in a pause, at most.
const COUNTED: usize = 1_000_000;

fn passed_in(records: &Records, entry: &Entry, paused: &Paused, until: Timestamp) -> usize {
    let left = entry.max_fires.map_or(u64::MAX, |most| u64::from(most).saturating_sub(records.fires));
    let most = usize::try_from(left).unwrap_or(usize::MAX).min(COUNTED);
    entry.schedule.times_after(paused.at).take(most).take_while(|time| *time <= until).count()
}

fn delay_ms(records: &Records, held: &Revision, entry: &Entry) -> i64 {
    let (birth, revision) = (held.definition.birth, held.definition.revision);
    Registered { namespace: &records.namespace, id: &records.id, birth, revision, entry }.delay_ms()
}

fn without_exclude(schedule: &Schedule) -> Schedule {
    Schedule { exclude: Default::default(), ..schedule.clone() }
}

impl NotDue {
    fn of(records: &Records, entry: &Entry, at: Timestamp) -> Self {
        let schedule = &entry.schedule;
        if let Some(start) = schedule.start.filter(|start| at < *start) {
            return Self::BeforeStart(start);
        }
        if let Some(end) = schedule.end.filter(|end| at >= *end) {
            return Self::AfterEnd(end);
        }
        if let When::At(once) = schedule.when {
            return Self::Once(once);
        }
        if let Some(most) = entry.max_fires.filter(|most| u64::from(*most) <= records.fires && at >= records.now) {
            return Self::MaxFires(most);
        }
        let plain = without_exclude(schedule);
        let date = schedule.zone.to_local(at).date();
        if plain.next_after(Timestamp(at.0 - 1)) == Some(at) && schedule.exclude.has(date) {
            let has = |name: &&CalendarName| {
                records.calendars.get(name).is_some_and(|calendar| calendar.dates().binary_search(&date).is_ok())
            };
            return Self::Excluded(date, schedule.exclude.calendars().iter().filter(has).cloned().collect());
        }
        // The first instant after a gap stands for the times in it.
        let before = schedule.zone.to_local(Timestamp(at.0 - 1)) + chrono::TimeDelta::milliseconds(1);
        let is_gap = matches!(schedule.zone.from_local(before), Local::Gap { .. });
        match is_gap && schedule.dst.gap == Gap::Skip {
            true => Self::LeftOut,
            false => Self::Plain,
        }
    }
}
