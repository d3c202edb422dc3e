//! Expressions whose fire times are evenly spaced, so that they can be advanced by arithmetic.

use super::field::{HOUR, MONTH};
use super::{Cron, Fields};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;

const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 86_400;
const WEEK_S: i64 = 7 * DAY_S;

/// Every offset from 2027 on, of any zone, is a multiple of it.
const OFFSET_STEP_S: i64 = 15 * MINUTE_S;

/// No two offsets of a zone are this far apart: they agree in this step only if they are the same.
const ANY_STEP_S: i64 = WEEK_S;

impl Cron {
    /// Phase, less than the period, and period of the fire times from `from` on, in seconds since 1970, where they are evenly
    /// spaced.
    ///
    /// In any zone for wildcard jobs whose period divides a quarter of an hour, which no law about clocks shifts. For other
    /// wildcard jobs that are the same each hour as long as all offsets of the zone leave the same remainder by the period,
    /// and for what is evenly spaced in a day or a week as long as the zone has one offset: by the zone data of this process,
    /// so that plans made of it must be made again when newer data says otherwise.
    pub(in crate::domain) fn fixed_period(&self, zone: &Zone, from: Timestamp) -> Option<(i64, i64)> {
        let fields = &self.compiled.fields;
        let (phase_s, period_s) =
            fields.within_hour().or_else(|| fields.within_day()).or_else(|| fields.within_week())?;
        if fields.is_wildcard && OFFSET_STEP_S % period_s == 0 {
            return Some((phase_s, period_s));
        }
        let step_s = if fields.is_wildcard { period_s } else { ANY_STEP_S };
        let offset_s = i64::from(zone.offset_seconds(from));
        zone.keeps_step(from, step_s).then(|| ((phase_s - offset_s).rem_euclid(period_s), period_s))
    }
}

impl Fields {
    /// Phase and period if it is the same each hour.
    pub(super) fn within_hour(&self) -> Option<(i64, i64)> {
        let is_each_hour = self.hours == HOUR.all() && self.is_each_day();
        is_each_hour.then(|| evenly_spaced(self.seconds_of_hours(1), HOUR_S))?
    }

    /// Phase and period if it is the same each day.
    pub(super) fn within_day(&self) -> Option<(i64, i64)> {
        self.is_each_day().then(|| evenly_spaced(self.seconds_of_hours(self.hours), DAY_S))?
    }

    /// Phase and period if it is once a week.
    fn within_week(&self) -> Option<(i64, i64)> {
        let is_by_week_day =
            self.needs_both_days && self.month_days.is_all() && self.week_days.is_plain() && self.months == MONTH.all();
        let is_once = self.seconds.count_ones() * self.minutes.count_ones() * self.hours.count_ones() == 1;
        if !is_by_week_day || !is_once || self.week_days.plain.count_ones() != 1 {
            return None;
        }
        // the first day of 1970 is a Thursday
        let day = (i64::from(self.week_days.plain.trailing_zeros()) - 4).rem_euclid(7);
        self.seconds_of_hours(self.hours).next().map(|second| (day * DAY_S + second, WEEK_S))
    }

    fn is_each_day(&self) -> bool {
        self.months == MONTH.all() && self.month_days.is_all() && self.week_days.is_all()
    }

    /// All matching seconds of these hours, ascending.
    fn seconds_of_hours(&self, hours: u64) -> impl Iterator<Item = i64> {
        let (minutes, seconds) = (self.minutes, self.seconds);
        values(hours).flat_map(move |hour| {
            values(minutes)
                .flat_map(move |minute| values(seconds).map(move |second| hour * HOUR_S + minute * MINUTE_S + second))
        })
    }
}

/// The members of a set, ascending.
pub(super) fn values(set: u64) -> impl Iterator<Item = i64> + Clone {
    (0..64).filter(move |value| set >> value & 1 == 1)
}

/// First member and distance, if the members lie at the same distance from each other, also over the end of the cycle.
fn evenly_spaced(members: impl Iterator<Item = i64>, cycle: i64) -> Option<(i64, i64)> {
    let mut members = members.peekable();
    let first = members.next()?;
    let distance = members.peek().map_or(cycle, |second| second - first);
    let mut last = first;
    for member in members {
        if member - last != distance {
            return None;
        }
        last = member;
    }
    (first + cycle - last == distance).then_some((first, distance))
}
