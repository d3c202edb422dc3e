//! The *when* of an entry: cron, every, at, rrule, with zone, start, end and dates that are excluded.

use std::iter;

use chrono::NaiveTime;

use crate::domain::cron::Cron;
use crate::domain::exclude::Exclude;
use crate::domain::rrule::Rrule;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::{Dst, Zone};

/// What gives the fire times; exactly one per entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// The union of the expressions.
    Cron(Vec<Cron>),
    /// At the anchor and each multiple of the span after it.
    Every(Span),
    /// Once.
    At(Timestamp),
    /// By a recurrence rule, which begins at `start`, else at the anchor.
    Rrule(Rrule),
}

/// From where a schedule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// By the clock.
    ByClock,
    /// From the start that it names.
    FromStart,
    /// From an anchor, which a new entry is given, cut to so many ms.
    FromAnchor(u16),
}

/// All that decides the fire times of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// What gives the fire times.
    pub when: When,
    /// The zone of `cron`, `rrule` and `exclude`; else only of what people read.
    pub zone: Zone,
    /// No fire time before it.
    pub start: Option<Timestamp>,
    /// None at or after it.
    pub end: Option<Timestamp>,
    /// The first fire time of `every` and where `rrule` begins; where it is missing `start`, else 1970.
    pub anchor: Option<Timestamp>,
    /// What becomes of local times that a change of the clocks leaves out or shows twice; of fixed-time cron entries.
    pub dst: Dst,
    /// Dates in the zone without fire times.
    pub exclude: Exclude,
}

/// 2028-01-01T00:00:00Z.
const LEAP_YEAR_MS: i64 = 1_830_297_600_000;
/// Distances that are looked at to find the shortest.
const DISTANCES: usize = 2_000;

/// Fire times `phase + k * period`, k >= 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first of them; less than `period` for cron, the anchor for `every`.
    pub phase: Timestamp,
    /// Their distance; never 0.
    pub period: Span,
}

impl Period {
    /// The least of them after `after`.
    pub fn next_after(self, after: Timestamp) -> Option<Timestamp> {
        if after < self.phase {
            return Some(self.phase);
        }
        let (phase, period) = (i128::from(self.phase.ms()), i128::from(self.period.0));
        let passed = (i128::from(after.ms()) - phase).checked_div(period)?;
        i64::try_from(phase + (passed + 1) * period).ok().map(Timestamp)
    }
}

impl Schedule {
    /// From where it counts: an anchor is a whole second unless `every` is shorter.
    pub fn counting(&self) -> Counting {
        match (&self.when, self.start) {
            (When::Cron(_) | When::At(_), _) => Counting::ByClock,
            (When::Every(_) | When::Rrule(_), Some(_)) => Counting::FromStart,
            (When::Every(every), None) if every.0 < 1000 => Counting::FromAnchor(1),
            (When::Every(_) | When::Rrule(_), None) => Counting::FromAnchor(1000),
        }
    }

    /// The least fire time after `after`; `start` is inclusive, `end` exclusive.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let before_start = self.start.map_or(Timestamp(i64::MIN), |start| Timestamp(start.ms().saturating_sub(1)));
        let mut after = after.max(before_start);
        loop {
            let next = self.next_of_when(after).filter(|next| self.end.is_none_or(|end| *next < end))?;
            if self.exclude.is_empty() {
                return Some(next);
            }
            let date = self.zone.to_local(next).date();
            if !self.exclude.has(date) {
                return Some(next);
            }
            // All of the excluded days at once: a short period has many times on them.
            let free = self.exclude.first_free_after(date)?.and_time(NaiveTime::MIN);
            after = next.max(Timestamp(self.zone.from_local(free).first().ms() - 1));
        }
    }

    fn next_of_when(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::Cron(expressions) => {
                expressions.iter().filter_map(|cron| cron.next_after(&self.zone, self.dst, after)).min()
            }
            When::Every(every) => self.period_of(*every)?.next_after(after),
            When::At(at) => (*at > after).then_some(*at),
            When::Rrule(rule) => rule.next_after(&self.zone, self.dst, after),
        }
    }

    /// Why nothing is left to fire after `now`; `None` where something is.
    pub fn over(&self, now: Timestamp) -> Option<String> {
        match self.when {
            _ if self.next_after(now).is_some() => None,
            When::At(at) if at > now => Some(format!("at {} lies on a date that is excluded", at.to_rfc3339())),
            When::At(at) => Some(format!("at {} has passed", at.to_rfc3339())),
            _ if self.end.is_none() => Some("no fire time is left".to_owned()),
            _ => Some("no fire time is left before its end".to_owned()),
        }
    }

    /// All fire times after `after`, ascending; may be endless.
    pub fn times_after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        iter::successors(self.next_after(after), |last| self.next_after(*last))
    }

    /// The fire times from `from` on as arithmetic, where they are evenly spaced by the zone data of this process.
    ///
    /// `start` and `end` are not in it.
    pub fn fixed_period(&self, from: Timestamp) -> Option<Period> {
        if !self.exclude.is_empty() {
            return None;
        }
        match &self.when {
            When::Every(every) => self.period_of(*every),
            When::At(_) | When::Rrule(_) => None,
            When::Cron(expressions) => {
                let [cron] = &expressions[..] else {
                    return None;
                };
                let (phase_s, period_s) = cron.fixed_period(&self.zone, from)?;
                Some(Period { phase: Timestamp(phase_s * 1000), period: Span(u64::try_from(period_s * 1000).ok()?) })
            }
        }
    }

    /// The shortest distance of two fire times; `None` where there are not two.
    ///
    /// Of `every` and cron expressions that are evenly spaced their period. Else the shortest among the first 2,000 fire times
    /// from 2028 on, a leap year, or from `start` where that is later, without regard to `end` and `exclude`.
    pub fn shortest_distance(&self) -> Option<Span> {
        match &self.when {
            When::Every(every) => return Some(*every),
            When::At(_) => return None,
            When::Cron(_) | When::Rrule(_) => {}
        }
        let plain = Self { end: None, exclude: Exclude::default(), ..self.clone() };
        if let Some(fixed) = plain.fixed_period(Timestamp(LEAP_YEAR_MS)) {
            return Some(fixed.period);
        }
        let mut times = plain.times_after(Timestamp(LEAP_YEAR_MS - 1)).take(DISTANCES + 1);
        let mut last = times.next()?;
        let mut shortest: Option<i64> = None;
        for time in times {
            shortest = Some(shortest.map_or(time.ms() - last.ms(), |known| known.min(time.ms() - last.ms())));
            last = time;
        }
        shortest.map(|ms| Span(ms.unsigned_abs()))
    }

    /// For people: `every 5 s`, `at 09:00, Monday to Friday, Asia/Shanghai`.
    pub fn describe(&self) -> String {
        let when = match &self.when {
            When::Every(every) => {
                let every = every.human();
                let unit = every.strip_prefix("1 ").filter(|unit| !unit.contains(' '));
                format!("every {}", unit.map_or(every.as_str(), long_unit))
            }
            When::At(at) => format!("once at {}, {}", self.wall_time(*at), self.zone),
            When::Rrule(rule) => rule.describe(&self.zone),
            When::Cron(expressions) => {
                let readings: Vec<String> = expressions.iter().map(Cron::describe).collect();
                match expressions.iter().all(Cron::reads_without_zone) {
                    true => readings.join("; "),
                    false => format!("{}, {}", readings.join("; "), self.zone),
                }
            }
        };
        let start = self.start.map(|start| format!(", from {}", self.wall_time(start))).unwrap_or_default();
        let end = self.end.map(|end| format!(", until {}", self.wall_time(end))).unwrap_or_default();
        format!("{when}{start}{end}{}", self.exclude.describe())
    }

    fn period_of(&self, every: Span) -> Option<Period> {
        let phase = self.anchor.or(self.start).unwrap_or_default();
        (every.0 > 0).then_some(Period { phase, period: every })
    }

    /// Local date and time, as short as it can be said.
    fn wall_time(&self, at: Timestamp) -> String {
        let local = self.zone.to_local(at);
        let format = match at.ms().rem_euclid(60_000) {
            0 => "%Y-%m-%d %H:%M",
            ms if ms % 1000 == 0 => "%Y-%m-%d %H:%M:%S",
            _ => "%Y-%m-%d %H:%M:%S%.3f",
        };
        local.format(format).to_string()
    }
}

/// `every hour` reads better than `every 1 h`.
fn long_unit(unit: &str) -> &str {
    match unit {
        "d" => "day",
        "h" => "hour",
        "min" => "minute",
        "s" => "second",
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
