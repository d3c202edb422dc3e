//! From a rule to instants: local times, and the rule for clock changes over them.

use chrono::{Datelike, NaiveDateTime, NaiveTime, TimeDelta};
use rrule::Frequency;

use super::dates::times_of;
use super::read::{Parts, Refusal, unit_s};
use super::{Compiled, Rrule, YEAR_MAX, second_of_day};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::{Dst, Zone};

const DAY_S: u32 = 86_400;

/// How local times come about.
pub(super) enum Form {
    /// On each date at these seconds of the day, ascending.
    Times(Vec<u32>),
    /// BYSETPOS chose among the times: they come with the dates.
    Chosen,
    /// Evenly, whatever the date: every `step_s` from `first` on, at these seconds behind it, ascending.
    Even { first: NaiveDateTime, step_s: i64, offsets_s: Vec<u32> },
}

impl Form {
    pub fn of(parts: &Parts, begin: NaiveDateTime) -> Result<Self, Refusal> {
        let Some(unit_s) = unit_s(parts.frequency) else {
            if !parts.positions.is_empty() {
                return Ok(Self::Chosen);
            }
            let (hours, minutes, seconds) = times_of(parts, begin);
            return Ok(Self::Times(all_times(&hours, &minutes, &seconds)));
        };
        let begin_s = second_of_day(begin.time());
        let (_, minutes, seconds) = times_of(parts, begin);
        let within = match parts.frequency {
            Frequency::Hourly => all_times(&[0], &minutes, &seconds),
            Frequency::Minutely => all_times(&[0], &[0], &seconds),
            _ => vec![0],
        };
        let is_limited = parts.names_days()
            || !parts.months.is_empty()
            || !parts.hours.is_empty()
            || (unit_s < 3600 && !parts.minutes.is_empty())
            || (unit_s < 60 && !parts.seconds.is_empty());
        let step_s = unit_s * parts.interval;
        if !is_limited {
            let first = begin - TimeDelta::seconds(i64::from(begin_s % unit_s));
            return Ok(Self::Even { first, step_s: i64::from(step_s), offsets_s: within });
        }
        if !DAY_S.is_multiple_of(step_s) {
            let why = format!("INTERVAL={}: the times move from day to day, and BY parts limit them", parts.interval);
            return Err(Refusal::new(why).hint("an interval that divides a day, or no BY part, or every = \"90m\""));
        }
        let allows = |numbers: &[u32], number: u32| numbers.is_empty() || numbers.contains(&number);
        let units = (begin_s / unit_s * unit_s % step_s..DAY_S).step_by(step_s as usize);
        let units = units.filter(|at| {
            allows(&parts.hours, at / 3600)
                && (unit_s >= 3600 || allows(&parts.minutes, at / 60 % 60))
                && (unit_s >= 60 || allows(&parts.seconds, at % 60))
        });
        let times: Vec<u32> = units.flat_map(|unit| within.iter().map(move |second| unit + second)).collect();
        match times.is_empty() {
            true => Err(Refusal::new("no time of day fits all of its parts, it would never fire")),
            false => Ok(Self::Times(times)),
        }
    }

    /// Whether the times are put to dates here.
    pub fn has_times(&self) -> bool {
        !matches!(self, Self::Chosen)
    }
}

/// All combinations, ascending, as seconds of the day.
fn all_times(hours: &[u32], minutes: &[u32], seconds: &[u32]) -> Vec<u32> {
    let of_hour = |hour: &u32| {
        let hour = *hour;
        minutes.iter().flat_map(move |minute| seconds.iter().map(move |second| hour * 3600 + minute * 60 + second))
    };
    hours.iter().flat_map(of_hour).collect()
}

impl Compiled {
    /// The least local time of the rule after `local`.
    pub fn next_local(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        let local = local.max(self.begin - TimeDelta::seconds(1));
        let next = match &self.form {
            Form::Chosen => self.dates.first_from(local + TimeDelta::seconds(1)),
            Form::Times(times) => self.next_time(times, local),
            Form::Even { first, step_s, offsets_s } => {
                let steps = (local - *first).num_seconds().div_euclid(*step_s).max(0);
                let at = |step: i64, offset_s: u32| *first + TimeDelta::seconds(step * step_s + i64::from(offset_s));
                let near =
                    (steps..=steps + 1).flat_map(|step| offsets_s.iter().map(move |offset_s| at(step, *offset_s)));
                near.into_iter().find(|time| *time > local)
            }
        };
        next.filter(|next| next.year() <= YEAR_MAX && self.last.is_none_or(|last| *next <= last))
    }

    fn next_time(&self, times: &[u32], local: NaiveDateTime) -> Option<NaiveDateTime> {
        let midnight = local.date().and_time(NaiveTime::MIN);
        let mut date = self.dates.first_from(midnight)?;
        let mut at = 0;
        if date == midnight {
            let second = second_of_day(local.time());
            at = times.partition_point(|time| *time <= second);
            if at == times.len() {
                date = self.dates.first_from(midnight + TimeDelta::days(1))?;
                at = 0;
            }
        }
        Some(date + TimeDelta::seconds(i64::from(*times.get(at)?)))
    }
}

impl Rrule {
    /// The least fire time after `after`, up to 2100 in the zone.
    ///
    /// A rule by the day or longer is like a fixed-time job of cron: `dst` says what becomes of its local times if the clock is
    /// put back or forward over them. A rule by the hour or shorter fires whenever the wall clock matches.
    pub fn next_after(&self, zone: &Zone, dst: Dst, after: Timestamp) -> Option<Timestamp> {
        if after >= Timestamp(Timestamp::LAST.ms() + 2 * 86_400_000) {
            return None;
        }
        let dst = if self.follows_the_clock() { Dst::BY_CLOCK } else { dst };
        let next =
            zone.next_instant(dst, self.grain_s(), after.max(Timestamp(-1)), |local| self.compiled.next_local(local));
        next.filter(|next| self.compiled.until.is_none_or(|until| *next <= until))
    }

    /// The least matching local time after `local`, up to the end of 2100, without regard to an UNTIL in UTC.
    pub fn next_local(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        self.compiled.next_local(local)
    }

    /// Whether it is the same in every hour of a matching day.
    pub fn is_hourly(&self) -> bool {
        let parts = &self.compiled.parts;
        let step_s = unit_s(parts.frequency).map(|unit_s| unit_s * parts.interval);
        parts.hours.is_empty() && step_s.is_some_and(|step_s| 3600_u32.is_multiple_of(step_s))
    }

    /// The last instant before a gap that stands for its local times, by [`Gap::RunBefore`](crate::domain::zone::Gap).
    pub fn last_before(&self, zone: &Zone, change: Timestamp) -> Timestamp {
        zone.last_before(change, self.grain_s())
    }

    /// All its local times are multiples of it: a minute, or a second where it names other seconds than 0.
    fn grain_s(&self) -> i64 {
        let (_, _, seconds) = times_of(&self.compiled.parts, self.compiled.begin);
        if seconds == [0] && !self.follows_the_clock() { 60 } else { 1 }
    }

    /// Whether it fires whenever the wall clock matches: by the hour or shorter.
    pub fn follows_the_clock(&self) -> bool {
        self.compiled.parts.is_within_day()
    }
}
