//! From an expression to instants: local times by crate `cron`, and the rule for clock changes over them.

use std::str::FromStr;

use chrono::{NaiveDateTime, NaiveTime};

use super::days::{MonthDays, WeekDays};
use super::field::{Field, HOUR, MINUTE, MONTH, MONTH_DAY, SECOND};
use super::{Cron, Fields};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::{Dst, Zone};

/// A conjunction that crate `cron` can iterate; an expression is the union of one or two.
pub(super) struct Part {
    schedule: ::cron::Schedule,
    /// Some day that it names is in every month: it fires.
    is_monthly: bool,
    /// Sorts out dates that `schedule` takes in because it does not know `L`, `W` and `#`.
    filter: Option<(MonthDays, WeekDays)>,
}

impl Part {
    /// The parts of an expression that ever fire.
    ///
    /// # Errors
    /// Those of crate `cron`, which has no reason for any.
    pub(super) fn compile(fields: &Fields) -> Result<Vec<Self>, ::cron::error::Error> {
        let (month_days, week_days) = (fields.month_days, fields.week_days);
        let conjunctions = if fields.needs_both_days {
            vec![(month_days, week_days)]
        } else if month_days.is_all() || week_days.is_all() {
            vec![(MonthDays::any(), WeekDays::any())]
        } else {
            vec![(month_days, WeekDays::any()), (MonthDays::any(), week_days)]
        };
        let mut parts = Vec::new();
        for (month_days, week_days) in conjunctions {
            let candidates = month_days.candidates() & week_days.month_days();
            if candidates != 0 {
                parts.push(Self::new(fields, candidates, month_days, week_days)?);
            }
        }
        // one that never fires would be searched to the year 2100 each time
        parts.retain(Self::fires);
        Ok(parts)
    }

    fn new(
        fields: &Fields,
        candidates: u64,
        month_days: MonthDays,
        week_days: WeekDays,
    ) -> Result<Self, ::cron::error::Error> {
        // crate `cron` counts from 1, Sunday
        let week_day_word = match week_days.candidates() {
            days if days == WeekDays::any().plain => "*".to_owned(),
            days => list(days << 1),
        };
        let expression = [
            list_or_star(&SECOND, fields.seconds),
            list_or_star(&MINUTE, fields.minutes),
            list_or_star(&HOUR, fields.hours),
            list_or_star(&MONTH_DAY, candidates),
            list_or_star(&MONTH, fields.months),
            week_day_word,
        ];
        let schedule = ::cron::Schedule::from_str(&expression.join(" "))?;
        let is_exact = month_days.is_plain() && week_days.is_plain();
        const IN_EVERY_MONTH: u64 = (1 << 29) - 2;
        let is_monthly =
            is_exact && week_days.candidates() == WeekDays::any().plain && candidates & IN_EVERY_MONTH != 0;
        Ok(Self { schedule, is_monthly, filter: (!is_exact).then_some((month_days, week_days)) })
    }

    /// Whether there is any local time from 2000 to 2100.
    fn fires(&self) -> bool {
        if self.is_monthly {
            return true;
        }
        let start = chrono::NaiveDate::from_ymd_opt(1999, 12, 31).map(|day| day.and_time(END_OF_DAY));
        start.is_some_and(|start| self.next(start).is_some())
    }

    /// The least matching local time after `local`, up to the end of 2100.
    fn next(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        let mut local = local;
        loop {
            #[cfg(test)]
            super::tests::work::count();
            let next = self.schedule.after(&local.and_utc()).next()?.naive_utc();
            match &self.filter {
                Some((month_days, week_days))
                    if !(month_days.matches(next.date()) && week_days.matches(next.date())) =>
                {
                    local = next.date().and_time(END_OF_DAY);
                }
                _ => return Some(next),
            }
        }
    }
}

const END_OF_DAY: NaiveTime = match NaiveTime::from_hms_opt(23, 59, 59) {
    Some(time) => time,
    None => NaiveTime::MIN,
};

fn list_or_star(field: &Field, values: u64) -> String {
    if values == field.all() { "*".to_owned() } else { list(values) }
}

fn list(values: u64) -> String {
    let values: Vec<String> =
        (0..64).filter(|value| values >> value & 1 == 1).map(|value: u32| value.to_string()).collect();
    values.join(",")
}

impl Cron {
    /// The least fire time after `after`, from 1970 to 2100 in the zone.
    ///
    /// A wildcard job (its minute or hour word begins with `*`) fires whenever the wall clock matches, whatever `dst` says.
    /// Of any other job each matching local time fires once, and `dst` says when if the clock is put back or forward over it.
    pub fn next_after(&self, zone: &Zone, dst: Dst, after: Timestamp) -> Option<Timestamp> {
        if after >= Timestamp(Timestamp::LAST.ms() + 2 * 86_400_000) {
            return None;
        }
        let dst = if self.is_wildcard() { Dst::BY_CLOCK } else { dst };
        self.compiled.met.next_after(zone, dst, after, || self.found_after(zone, dst, after))
    }

    /// The same, whatever was met before; `dst` as it holds for this expression.
    pub(super) fn found_after(&self, zone: &Zone, dst: Dst, after: Timestamp) -> Option<Timestamp> {
        zone.next_instant(dst, self.grain_s(), after.max(Timestamp(-1)), |local| self.next_local(local))
    }

    /// Whether it fires by the clock on the wall as it runs: `dst` says nothing about it.
    pub fn is_wildcard(&self) -> bool {
        self.compiled.fields.is_wildcard
    }

    /// Whether it is the same in every hour of a matching day.
    pub fn is_hourly(&self) -> bool {
        self.compiled.fields.hours == HOUR.all()
    }

    /// The last instant before a gap that stands for its local times, by [`Gap::RunBefore`](crate::domain::zone::Gap).
    pub fn last_before(&self, zone: &Zone, change: Timestamp) -> Timestamp {
        zone.last_before(change, self.grain_s())
    }

    /// The least matching local time after `local`, up to the end of 2100.
    pub fn next_local(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        self.compiled.parts.iter().filter_map(|part| part.next(local)).min()
    }

    /// All its local times are multiples of it: a minute, or a second where it names other seconds than 0.
    fn grain_s(&self) -> i64 {
        if self.compiled.fields.seconds == 1 { 60 } else { 1 }
    }
}
