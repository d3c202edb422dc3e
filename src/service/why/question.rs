//! What is asked about: an instant, a whole local day, or whatever is in question.

use std::ops::Range;

use chrono::{Days, NaiveDateTime, NaiveTime};

use crate::domain::calendar::read_date;
use crate::domain::moment::{Direction, parse_moment};
use crate::domain::record::{EndedRun, LiveRun};
use crate::domain::run::State;
use crate::domain::timestamp::{Timestamp, read_time};
use crate::domain::zone::{Local, Zone};
use crate::error::Result;
use crate::service::why::finding::Finding;
use crate::service::why::records::Records;

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// Whatever is in question.
    Latest,
    /// One instant.
    At {
        /// The instant.
        at: Timestamp,
        /// The local time that it was written as, where the clocks went forward over it.
        left_out: Option<NaiveDateTime>,
        /// How far the wall clock that it was written by is ahead of UTC, ms; `None` for the zone of the entry.
        offset_ms: Option<i64>,
    },
    /// The fire times of one local day.
    Day(Range<Timestamp>),
}

impl Question {
    /// Reads `--at T`: as everywhere, and a date alone is the whole day.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::Invalid`] about `at`.
    pub fn parse(text: Option<&str>, zone: &Zone, now: Timestamp) -> Result<Self> {
        let Some(text) = text else { return Ok(Self::Latest) };
        if let Some(date) = read_date(text) {
            let midnight = |days: u64| {
                let day = date.checked_add_days(Days::new(days)).unwrap_or(date);
                zone.from_local(day.and_time(NaiveTime::MIN)).first()
            };
            return Ok(Self::Day(midnight(0)..midnight(1)));
        }
        let at = parse_moment("at", text, zone, now, Direction::Past)?;
        let local = local_of(text, zone, at);
        let left_out = local.filter(|local| matches!(zone.from_local(*local), Local::Gap { .. }));
        Ok(Self::At { at, left_out, offset_ms: offset_of(text, at) })
    }
}

/// The local time that the text is written as; `None` where it has an offset or counts from now.
fn local_of(text: &str, zone: &Zone, at: Timestamp) -> Option<NaiveDateTime> {
    if let Ok((time, "")) = read_time(text) {
        return Some(zone.to_local(at).date().and_time(time));
    }
    let is_local = Timestamp::parse("at", text, None).is_err();
    Timestamp::parse("at", text, Some(&Zone::utc())).ok().filter(|_| is_local).map(|at| at.to_utc().naive_utc())
}

/// The offset that the text is written with, where it has one.
fn offset_of(text: &str, at: Timestamp) -> Option<i64> {
    Timestamp::parse("at", text, None).ok()?;
    let local = text.get(..16).and_then(|front| Timestamp::parse("at", front, Some(&Zone::utc())).ok())?;
    let minute_ms = 60_000;
    Some(local.0 - at.0.div_euclid(minute_ms) * minute_ms)
}

/// The fire time that is meant, and what the records say about it.
pub(super) struct Subject<'r> {
    /// The fire time, else the instant that was asked about.
    pub at: Option<Timestamp>,
    /// What became of it.
    pub finding: Finding<'r>,
}

impl Question {
    /// What is meant.
    pub fn subject<'r>(&self, records: &'r Records) -> Subject<'r> {
        match self {
            Self::Latest => latest(records),
            Self::At { at, .. } => Subject { at: Some(*at), finding: Finding::at(records, *at) },
            Self::Day(day) => of_day(records, day),
        }
    }
}

/// Of all that there is: what can't go on by itself, then the latest that did not succeed, else the latest.
fn latest(records: &Records) -> Subject<'_> {
    if records.stored.is_none() && records.removed.is_some() {
        return Subject { at: None, finding: Finding::Removed };
    }
    if let Some(fire_at) = records.overdue() {
        return Subject { at: Some(fire_at), finding: Finding::Due };
    }
    if records.is_broken() {
        return Subject { at: None, finding: Finding::Broken };
    }
    let doubted = records.live.iter().rev().find(|run| is_doubted(records, run));
    let unwanted = records.ended.iter().find(|run| run.state != State::Succeeded);
    // What was passed over because of a stuck run is what people miss.
    let is_blamed =
        |run: &&LiveRun| run.state == State::Running && unwanted.is_some_and(|other| other.last_fire_at > run.fire_at);
    if let Some(run) = doubted.filter(|run| !is_blamed(run)) {
        return Subject { at: Some(run.fire_at), finding: Finding::Live(run) };
    }
    if let Some(paused) = Finding::pause_now(records) {
        return paused;
    }
    if let Some(run) = unwanted {
        return Subject { at: Some(run.last_fire_at), finding: Finding::Ended(run) };
    }
    let live = records.live.last();
    let ended = records.ended.first().filter(|run| live.is_none_or(|live| live.fire_at < run.fire_at));
    match (live, ended, records.ledger.last()) {
        (_, Some(run), _) => Subject { at: Some(run.last_fire_at), finding: Finding::Ended(run) },
        (Some(run), _, _) => Subject { at: Some(run.fire_at), finding: Finding::Live(run) },
        (_, _, Some(stretch)) => Subject { at: Some(stretch.last), finding: Finding::at(records, stretch.last) },
        _ => Finding::first_to_come(records),
    }
}

/// Live runs that somebody may wonder about: all but those that go on as they should.
fn is_doubted(records: &Records, run: &LiveRun) -> bool {
    match run.state {
        State::Running => records.is_stuck(run),
        State::Queued => {
            records.fleet.nobody_serves(&run.list).is_some()
                || records.fleet.held(&run.list).is_some()
                || records.now.0 - run.enqueued_at.0 > QUEUED_MS
        }
        _ => true,
    }
}

/// What has been in its queue for longer is wondered about.
const QUEUED_MS: i64 = 5_000;
/// Fire times of a day that are looked at, at most.
const TIMES_OF_A_DAY: usize = 100_000;

/// Of the fire times of a day the latest that did not succeed, else the latest, else the first to come.
fn of_day<'r>(records: &'r Records, day: &Range<Timestamp>) -> Subject<'r> {
    let ended = || records.ended.iter().filter(|run| run.last_fire_at >= day.start && run.fire_at < day.end);
    let live = || records.live.iter().rev().filter(|run| day.contains(&run.fire_at));
    let of_ended = |run: &'r EndedRun| {
        let at = run.last_fire_at.min(Timestamp(day.end.0 - 1));
        // A range that goes on after the day: the last of its fire times that the day has.
        let at = if run.fires > 1 { last_of(records, run.revision, day, at).unwrap_or(at) } else { at };
        Subject { at: Some(at), finding: Finding::Ended(run) }
    };
    if let Some(run) = live().find(|run| is_doubted(records, run)) {
        return Subject { at: Some(run.fire_at), finding: Finding::Live(run) };
    }
    if let Some(run) = ended().find(|run| run.state != State::Succeeded).or_else(|| ended().next()) {
        return of_ended(run);
    }
    if let Some(run) = live().next() {
        return Subject { at: Some(run.fire_at), finding: Finding::Live(run) };
    }
    let revision = records.holding(Timestamp(day.end.0 - 1)).or(records.newest());
    let number = revision.map_or(0, |revision| revision.definition.revision);
    let has_passed = Timestamp((day.end.0 - 1).min(records.now.0));
    let at = last_of(records, number, day, has_passed).or_else(|| first_of(records, number, day));
    match at {
        Some(at) => Subject { at: Some(at), finding: Finding::at(records, at) },
        None => Finding::not_on(records, day),
    }
}

fn last_of(records: &Records, revision: u64, day: &Range<Timestamp>, until: Timestamp) -> Option<Timestamp> {
    let schedule = &records.entry_of(revision)?.schedule;
    let times = schedule.times_after(Timestamp(day.start.0 - 1)).take(TIMES_OF_A_DAY);
    times.take_while(|time| *time <= until).last()
}

fn first_of(records: &Records, revision: u64, day: &Range<Timestamp>) -> Option<Timestamp> {
    let schedule = &records.entry_of(revision)?.schedule;
    schedule.next_after(Timestamp(day.start.0 - 1)).filter(|time| *time < day.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Question {
        let now = Timestamp::parse("now", "2027-03-28T12:00:00Z", None).unwrap();
        Question::parse(Some(text), &Zone::parse("tz", "Europe/Berlin").unwrap(), now).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse("at", text, None).unwrap()
    }

    #[test]
    fn a_date_alone_is_the_local_day_however_long_it_is() {
        assert_eq!(read("2027-03-28"), Question::Day(at("2027-03-27T23:00:00Z")..at("2027-03-28T22:00:00Z")));
    }

    #[test]
    fn a_local_time_that_the_clocks_left_out_is_remembered() {
        for text in ["02:30", "2027-03-28T02:30", "2027-03-28 02:30:00"] {
            let Question::At { at: found, left_out, offset_ms } = read(text) else { panic!("{text}") };
            assert_eq!((found, offset_ms), (at("2027-03-28T01:00:00Z"), None), "{text}");
            assert_eq!(left_out.unwrap().to_string(), "2027-03-28 02:30:00", "{text}");
        }
        for text in ["03:30", "2027-03-28T02:30Z", "-8h", "now"] {
            assert!(matches!(read(text), Question::At { left_out: None, .. }), "{text}");
        }
    }

    #[test]
    fn the_offset_that_an_instant_is_written_with_is_the_askers_wall_clock() {
        let offset = |text| match read(text) {
            Question::At { offset_ms, .. } => offset_ms,
            other => panic!("{other:?}"),
        };
        assert_eq!(offset("2027-03-27T02:00:00+05:30"), Some(19_800_000));
        assert_eq!(offset("2027-03-27T02:00:30.5-08:00"), Some(-28_800_000));
        assert_eq!((offset("2027-03-27T02:00Z"), offset("2027-03-27T02:00"), offset("-8h")), (Some(0), None, None));
    }
}
