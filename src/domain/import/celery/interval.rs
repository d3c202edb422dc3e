//! Celery's interval: so and so long after the last time, or, `relative`, at whole minutes, hours or days of the clock.

use chrono::{NaiveDateTime, NaiveTime, TimeDelta, Timelike};
use serde_json::{Map, Value};

use super::entry::{Instant, given};
use crate::domain::reading::{SPAN_MAX, SPAN_MIN, flag, shown};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::error::{Error, Result};

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;

/// An interval, as fields of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Times {
    /// `every`, counted from the anchor; without one from when the entry is created, as a beat counts from its start.
    Every(Span, Option<Timestamp>),
    /// At each midnight.
    Midnight,
    /// At every so and so many midnights, counted from the anchor.
    Midnights(i64, Option<Timestamp>),
}

/// The interval as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    every_us: i64,
    pub(super) is_relative: bool,
}

impl Interval {
    /// Reads `every`, seconds, and `relative`.
    ///
    /// # Errors
    ///
    /// Invalid about the key: not a number, below 100 ms, over 366 d, not in whole milliseconds.
    pub(super) fn read(schedule: &Map<String, Value>) -> Result<Self> {
        let field = "schedule.every";
        let is_relative = given(schedule, "relative").map_or(Ok(false), |value| flag("schedule.relative", value))?;
        let Some(every) = given(schedule, "every") else {
            return Err(Error::invalid(field, "is missing"));
        };
        let Some(seconds) = every.as_f64() else {
            return Err(Error::invalid(field, format!("{} is not a number of seconds", shown(every))));
        };
        if seconds < SPAN_MIN.0 as f64 / 1000.0 {
            let hint = "a task may do several rounds itself";
            return Err(Error::invalid(field, format!("{every} s is below the shortest, {SPAN_MIN}")).hint(hint));
        }
        if seconds > SPAN_MAX.0 as f64 / 1000.0 {
            return Err(Error::invalid(field, format!("{every} s is above the longest, {SPAN_MAX}")));
        }
        // timedelta rounds to microseconds, too.
        let every_us = (seconds * SECOND_US as f64).round() as i64;
        if !is_relative && every_us % 1000 != 0 {
            let near = Span((every_us / 1000).unsigned_abs());
            let why = format!("{every} s is not a whole number of milliseconds");
            return Err(Error::invalid(field, why).hint(format!("write every = \"{near}\" or make it so in the app")));
        }
        Ok(Self { every_us, is_relative })
    }

    /// Its times, where it fired last at `last`; the zone is that of the app.
    ///
    /// # Errors
    ///
    /// Invalid, where a relative one is shorter than a second, which Celery fires without pause.
    pub(super) fn times(self, last: Option<Instant>, zone: &Zone) -> Result<Times> {
        let span = |us: i64| Span((us / 1000).unsigned_abs());
        if !self.is_relative {
            return Ok(Times::Every(span(self.every_us), last.map(Instant::timestamp)));
        }
        // Celery cuts each next time to the resolution of the interval: what is over is lost each time.
        let unit_us = [DAY_US, HOUR_US, MINUTE_US, SECOND_US].into_iter().find(|unit_us| self.every_us >= *unit_us);
        let Some(unit_us) = unit_us else {
            let why = "a relative interval below a second is cut to none: Celery fires it without pause";
            return Err(Error::invalid("schedule.every", why).hint("every without relative"));
        };
        let units = self.every_us / unit_us;
        let next = last.map(|last| self.cut_next(last, unit_us, zone));
        if unit_us == DAY_US {
            return Ok(if units == 1 { Times::Midnight } else { Times::Midnights(units, next) });
        }
        Ok(Times::Every(span(units * unit_us), Some(next.unwrap_or_else(|| some_midnight(zone)))))
    }

    /// The next time after `last`, cut to whole units of the clock on the wall.
    fn cut_next(self, last: Instant, unit_us: i64, zone: &Zone) -> Timestamp {
        if unit_us == DAY_US {
            let local = zone.to_local(last.timestamp()) + TimeDelta::microseconds(self.every_us);
            return zone.from_local(local.date().and_time(NaiveTime::MIN)).first();
        }
        let next = Instant { us: last.us + self.every_us }.timestamp();
        let local = zone.to_local(next);
        let over = match unit_us {
            SECOND_US => 0,
            MINUTE_US => i64::from(local.second()),
            _ => i64::from(local.minute()) * 60 + i64::from(local.second()),
        };
        let ms = i64::from(local.nanosecond() / 1_000_000);
        Timestamp(next.ms() - over * 1000 - ms)
    }
}

/// A midnight in the zone, for what may count from any.
fn some_midnight(zone: &Zone) -> Timestamp {
    // 2026-01-01
    let date: NaiveDateTime = Timestamp(1_767_225_600_000).to_utc().naive_utc();
    zone.from_local(date).first()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(schedule: Value) -> Result<Interval> {
        Interval::read(schedule.as_object().unwrap())
    }

    fn times(every: f64, is_relative: bool, last: Option<&str>) -> Times {
        let last = last.map(|last| Instant { us: Timestamp::parse("last", last, None).unwrap().ms() * 1000 + 999 });
        let zone = Zone::parse("tz", "Asia/Kolkata").unwrap();
        read(json!({"every": every, "relative": is_relative})).unwrap().times(last, &zone).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse("at", text, None).unwrap()
    }

    #[test]
    fn the_phase_is_kept_to_the_millisecond() {
        let last = "2026-11-20T11:17:12.636Z";
        assert_eq!(times(2.5, false, Some(last)), Times::Every(Span(2500), Some(at(last))));
        assert_eq!(times(86_400.0, false, None), Times::Every(Span(86_400_000), None));
    }

    #[test]
    fn relative_ones_are_cut_to_the_clock() {
        let last = Some("2026-11-20T11:17:12.636Z");
        // 17:17 local, so the hour is full at :30
        assert_eq!(times(7200.0, true, last), Times::Every(Span(7_200_000), Some(at("2026-11-20T12:30:00Z"))));
        assert_eq!(times(5400.0, true, last), Times::Every(Span(3_600_000), Some(at("2026-11-20T12:30:00Z"))));
        assert_eq!(times(90.0, true, last), Times::Every(Span(60_000), Some(at("2026-11-20T11:18:00Z"))));
        assert_eq!(times(2.5, true, last), Times::Every(Span(2_000), Some(at("2026-11-20T11:17:15Z"))));
        assert_eq!(times(86_400.0, true, last), Times::Midnight);
        assert_eq!(times(200_000.0, true, last), Times::Midnights(2, Some(at("2026-11-22T18:30:00Z"))));
        assert_eq!(times(3600.0, true, None), Times::Every(Span(3_600_000), Some(at("2025-12-31T18:30:00Z"))));
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let why = |schedule| read(schedule).unwrap_err().to_string();
        assert_eq!(why(json!({"every": 0.05})), "schedule.every: 0.05 s is below the shortest, 100ms");
        assert_eq!(why(json!({"every": -5})), "schedule.every: -5 s is below the shortest, 100ms");
        assert_eq!(why(json!({"every": 1e12})), "schedule.every: 1000000000000.0 s is above the longest, 366d");
        assert_eq!(why(json!({"every": 0.3333})), "schedule.every: 0.3333 s is not a whole number of milliseconds");
        assert_eq!(why(json!({"every": "5"})), "schedule.every: \"5\" is not a number of seconds");
        assert_eq!(why(json!({})), "schedule.every: is missing");
        assert!(read(json!({"every": 0.5, "relative": true})).unwrap().times(None, &Zone::utc()).is_err());
    }
}
