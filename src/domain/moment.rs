//! Instants as people type them on the command line: `2026-11-20T02:00`, `02:00`, `-8h`, `now`.

use chrono::{Days, NaiveDate};

use crate::domain::span::Span;
use crate::domain::timestamp::{self, Timestamp};
use crate::domain::zone::Zone;
use crate::error::{Error, Result};

/// Which day a time without a date belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The nearest that is not after now.
    Past,
    /// The nearest after now.
    Next,
}

/// Reads what stands for an instant: all that [`Timestamp::parse`] takes, a time of day in `zone`, `-8h`, `+2h` or `now`.
///
/// # Errors
/// Invalid, about `field`: none of these, or outside of 1970 to 2100 in UTC.
pub fn parse_moment(field: &str, text: &str, zone: &Zone, now: Timestamp, direction: Direction) -> Result<Timestamp> {
    if text == "now" {
        return Ok(now);
    }
    if let Some((sign, span)) =
        text.strip_prefix('-').map(|span| (-1, span)).or_else(|| text.strip_prefix('+').map(|span| (1, span)))
    {
        return relative(field, text, now, sign, Span::parse(field, span).map_err(|error| error.value(text))?);
    }
    if Span::parse(field, text).is_ok() {
        return Err(Error::invalid(field, format!("{text} has no sign"))
            .value(text)
            .hint(format!("write -{text} for the past or +{text} for what comes")));
    }
    if let Ok((time, "")) = timestamp::read_time(text) {
        let today = zone.to_local(now).date();
        let on = |day: NaiveDate| zone.from_local(day.and_time(time)).first();
        // a day more on either side: a zone may leave out a whole one
        let days = (0..=4).filter_map(|shift| today.checked_sub_days(Days::new(2))?.checked_add_days(Days::new(shift)));
        let found = match direction {
            Direction::Past => days.map(on).filter(|at| *at <= now).max(),
            Direction::Next => days.map(on).filter(|at| *at > now).min(),
        };
        return found.and_then(readable).ok_or_else(|| outside(field, text));
    }
    Timestamp::parse(field, text, Some(zone)).map_err(|error| match error.problem().hint {
        Some(_) => error.hint("write it like 2026-11-20T02:00, 2026-11-20T02:00:00Z, 02:00, -8h, +2h or now"),
        None => error,
    })
}

fn relative(field: &str, text: &str, now: Timestamp, sign: i64, span: Span) -> Result<Timestamp> {
    now.ms().checked_add(sign * span.ms()).map(Timestamp).and_then(readable).ok_or_else(|| outside(field, text))
}

fn readable(at: Timestamp) -> Option<Timestamp> {
    (Timestamp::FIRST..=Timestamp::LAST).contains(&at).then_some(at)
}

fn outside(field: &str, text: &str) -> Error {
    Error::invalid(field, format!("{text} is outside of the years 1970 to 2100 in UTC")).value(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, zone: &str, now: &str, direction: Direction) -> String {
        let now = Timestamp::parse("now", now, None).unwrap();
        match parse_moment("since", text, &Zone::parse("tz", zone).unwrap(), now, direction) {
            Ok(at) => at.to_rfc3339(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_time_of_day_is_the_nearest_in_its_direction() {
        let now = "2026-11-20T01:30:00Z"; // 02:30 in Berlin
        assert_eq!(read("02:00", "Europe/Berlin", now, Direction::Past), "2026-11-20T01:00:00.000Z");
        assert_eq!(read("02:00", "Europe/Berlin", now, Direction::Next), "2026-11-21T01:00:00.000Z");
        assert_eq!(read("03:00:30", "Europe/Berlin", now, Direction::Past), "2026-11-19T02:00:30.000Z");
        assert_eq!(read("02:30", "Europe/Berlin", now, Direction::Past), "2026-11-20T01:30:00.000Z");
        assert_eq!(read("02:30", "Europe/Berlin", now, Direction::Next), "2026-11-21T01:30:00.000Z");
    }

    #[test]
    fn a_time_of_day_in_a_gap_is_its_end() {
        assert_eq!(
            read("02:30", "America/New_York", "2027-03-14T12:00:00Z", Direction::Past),
            "2027-03-14T07:00:00.000Z"
        );
        assert_eq!(read("12:00", "Pacific/Apia", "2011-12-30T09:00:00Z", Direction::Next), "2011-12-30T10:00:00.000Z");
    }

    #[test]
    fn relative_moments_count_from_now() {
        let now = "2026-11-20T12:00:00Z";
        assert_eq!(read("-8h", "UTC", now, Direction::Next), "2026-11-20T04:00:00.000Z");
        assert_eq!(read("+1h30m", "UTC", now, Direction::Past), "2026-11-20T13:30:00.000Z");
        assert_eq!(read("now", "UTC", now, Direction::Past), "2026-11-20T12:00:00.000Z");
        assert_eq!(read("2026-11-20", "Asia/Tokyo", now, Direction::Past), "2026-11-19T15:00:00.000Z");
    }

    #[test]
    fn what_is_no_moment_is_refused_with_the_forms() {
        let now = "2026-11-20T12:00:00Z";
        assert_eq!(read("8h", "UTC", now, Direction::Past), "since: 8h has no sign");
        assert_eq!(read("-8", "UTC", now, Direction::Past), "since: 8 has no unit");
        assert_eq!(read("-80000w", "UTC", now, Direction::Past), "since: 80000w is longer than 36525d");
        assert_eq!(
            read("-3000w", "UTC", now, Direction::Past),
            "since: -3000w is outside of the years 1970 to 2100 in UTC"
        );
        assert_eq!(read("yesterday", "UTC", now, Direction::Past), "since: \"yesterday\" is not an instant");
        assert!(read("25:00", "UTC", now, Direction::Past).contains("is not an instant"));
    }

    proptest! {
        #[test]
        fn no_text_and_no_clock_panics(text in "\\PC{0,20}|[+-]?[0-9:hmsdw]{0,12}", now: i64) {
            let _ = parse_moment("at", &text, &Zone::utc(), Timestamp(now), Direction::Next);
            let _ = parse_moment("at", &text, &Zone::utc(), Timestamp(now), Direction::Past);
        }
    }
}
