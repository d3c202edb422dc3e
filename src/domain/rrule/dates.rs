//! The dates of a rule by crate `rrule`: a few at a time, from the period in which they are asked for.

use std::sync::Mutex;

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Weekday};
use rrule::{Frequency, NWeekday, RRule, RRuleError, RRuleSet, Tz, Unvalidated};

use super::read::Parts;
use super::{YEAR_MAX, second_of_day};

/// Found at once, so that what a period costs is paid once.
const CHUNK: usize = 32;

/// What crate `rrule` iterates: midnights of matching dates or, where BYSETPOS chooses among times, the times.
pub(super) struct Dates {
    rule: RRule<Unvalidated>,
    frequency: Frequency,
    interval: u32,
    week_start: Weekday,
    begin: NaiveDate,
    found: Mutex<Found>,
}

/// All dates from `from` to the last of `times`, or to the end where there is none behind them.
#[derive(Default)]
struct Found {
    from: NaiveDateTime,
    times: Vec<NaiveDateTime>,
    is_all: bool,
}

impl Dates {
    /// Of a rule that begins at `begin`; `has_times` says that it yields dates and the times are put to them elsewhere.
    pub fn of(parts: &Parts, begin: NaiveDateTime, has_times: bool) -> Result<Self, RRuleError> {
        let frequency = match parts.frequency {
            Frequency::Hourly | Frequency::Minutely | Frequency::Secondly if parts.year_days.is_empty() => {
                Frequency::Daily
            }
            Frequency::Hourly | Frequency::Minutely | Frequency::Secondly => Frequency::Yearly,
            frequency => frequency,
        };
        let interval = if parts.is_within_day() { 1 } else { parts.interval };
        let dates = Self {
            rule: rule(parts, frequency, interval, begin, has_times),
            frequency,
            interval,
            week_start: parts.week_start,
            begin: begin.date(),
            found: Mutex::default(),
        };
        dates.rule.clone().validate(as_utc(begin.date().and_time(NaiveTime::MIN)))?;
        Ok(dates)
    }

    /// The least of them at or after `from`, up to the end of 2100.
    pub fn first_from(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        if from.year() > YEAR_MAX {
            return None;
        }
        // What is kept is only what was computed before: a panic elsewhere can't have harmed it.
        let mut found = self.found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_covered = found.from <= from && (found.is_all || found.times.last().is_some_and(|last| from <= *last));
        if !is_covered || (found.times.is_empty() && !found.is_all) {
            *found = self.find(from);
        }
        let at = found.times.partition_point(|time| *time < from);
        found.times.get(at).copied()
    }

    fn find(&self, from: NaiveDateTime) -> Found {
        let period = self.period_of(from.date()).and_time(NaiveTime::MIN);
        let mut found = Found { from, times: Vec::with_capacity(CHUNK), is_all: true };
        let Ok(rule) = self.rule.clone().validate(as_utc(period)) else { return found };
        // Its limit ends a search of 100,000 empty periods: rules that need more were refused when they were read.
        for time in &RRuleSet::new(as_utc(period)).rrule(rule).limit() {
            let time = time.naive_utc();
            if time.year() > YEAR_MAX {
                break;
            }
            if found.times.len() == CHUNK {
                found.is_all = false;
                break;
            }
            if time >= from {
                found.times.push(time);
            }
        }
        found
    }

    /// The first day of the period that `date` lies in or, where that one is left out, of the last one before it that is not.
    fn period_of(&self, date: NaiveDate) -> NaiveDate {
        let date = date.max(self.begin);
        let interval = i64::from(self.interval);
        let down = |distance: i64| distance.div_euclid(interval) * interval;
        let day = |date: NaiveDate, days: i64| date.checked_add_days(Days::new(days.unsigned_abs())).unwrap_or(date);
        match self.frequency {
            Frequency::Yearly => {
                let years = down(i64::from(date.year() - self.begin.year()));
                first_of(i64::from(self.begin.year()) * 12 + years * 12)
            }
            Frequency::Monthly => {
                first_of(month_number(self.begin) + down(month_number(date) - month_number(self.begin)))
            }
            Frequency::Weekly => {
                let first = self.begin.week(self.week_start).first_day();
                day(first, down((date - first).num_days() / 7) * 7)
            }
            _ => day(self.begin, down((date - self.begin).num_days())),
        }
    }
}

fn month_number(date: NaiveDate) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month0())
}

fn first_of(month: i64) -> NaiveDate {
    let year = i32::try_from(month.div_euclid(12)).unwrap_or(YEAR_MAX);
    NaiveDate::from_ymd_opt(year, u32::try_from(month.rem_euclid(12)).unwrap_or(0) + 1, 1).unwrap_or_default()
}

fn as_utc(local: NaiveDateTime) -> chrono::DateTime<Tz> {
    Tz::UTC.from_utc_datetime(&local)
}

/// The rule as crate `rrule` takes it, with all that it leaves open filled in from `begin`.
fn rule(
    parts: &Parts,
    frequency: Frequency,
    interval: u32,
    begin: NaiveDateTime,
    has_times: bool,
) -> RRule<Unvalidated> {
    let is_open = !parts.names_days();
    let mut months = parts.months.clone();
    let mut month_days = parts.month_days.clone();
    let mut week_days = parts.week_days.clone();
    let day = i8::try_from(begin.day()).unwrap_or(1);
    match parts.frequency {
        Frequency::Yearly if is_open => {
            if months.is_empty() {
                months.push(u8::try_from(begin.month()).unwrap_or(1));
            }
            month_days.push(day);
        }
        Frequency::Monthly if is_open => month_days.push(day),
        Frequency::Weekly if is_open => week_days.push((0, begin.weekday())),
        _ => {}
    }
    let months: Vec<chrono::Month> = months.iter().filter_map(|month| chrono::Month::try_from(*month).ok()).collect();
    let week_days = week_days.iter().map(|(number, day)| match number {
        0 => NWeekday::Every(*day),
        number => NWeekday::Nth(*number, *day),
    });
    let (hours, minutes, seconds) = match has_times {
        true => (vec![0], vec![0], vec![0]),
        false => times_of(parts, begin),
    };
    let small = |numbers: &[u32]| numbers.iter().filter_map(|number| u8::try_from(*number).ok()).collect::<Vec<_>>();
    RRule::new(frequency)
        .interval(u16::try_from(interval).unwrap_or(u16::MAX))
        .week_start(parts.week_start)
        .by_month(&months)
        .by_month_day(month_days)
        .by_year_day(parts.year_days.clone())
        .by_week_no(parts.weeks.clone())
        .by_weekday(week_days.collect())
        .by_set_pos(parts.positions.clone())
        .by_hour(small(&hours))
        .by_minute(small(&minutes))
        .by_second(small(&seconds))
}

/// Hours, minutes and seconds of a rule by the day or longer.
pub(super) fn times_of(parts: &Parts, begin: NaiveDateTime) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let second = second_of_day(begin.time());
    let or = |numbers: &Vec<u32>, own: u32| if numbers.is_empty() { vec![own] } else { numbers.clone() };
    (or(&parts.hours, second / 3600), or(&parts.minutes, second / 60 % 60), or(&parts.seconds, second % 60))
}
