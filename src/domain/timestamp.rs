//! Instants: milliseconds since 1970 in UTC, and the texts that stand for them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeZone, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::zone::Zone;
use crate::error::{Error, Result};

/// An instant, in whole milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Milliseconds since 1970 in UTC.
    pub fn ms(self) -> i64 {
        self.0
    }

    /// The last whole multiple of so many ms up to it.
    pub(crate) fn cut_to(self, ms: u16) -> Self {
        Self(self.0.div_euclid(i64::from(ms)) * i64::from(ms))
    }

    /// As chrono's type; instants beyond its range are cut to it.
    pub fn to_utc(self) -> DateTime<Utc> {
        match Utc.timestamp_millis_opt(self.0) {
            chrono::LocalResult::Single(at) => at,
            _ if self.0 < 0 => DateTime::<Utc>::MIN_UTC,
            _ => DateTime::<Utc>::MAX_UTC,
        }
    }

    /// RFC 3339 in UTC, always with milliseconds: `2026-11-20T02:00:00.000Z`.
    pub fn to_rfc3339(self) -> String {
        self.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// Reads RFC 3339 with offset, or a local date, or date and time, in `zone`.
    ///
    /// `T` or a blank between date and time; seconds and fractions may be left out, fractions are cut to milliseconds.
    /// A local time that does not exist is the first instant after the gap, one that exists twice is the first.
    ///
    /// # Errors
    /// Invalid, about `field`: not an instant, outside of 1970 to 2100 in UTC, or local without a `zone`.
    pub fn parse(field: &str, text: &str, zone: Option<&Zone>) -> Result<Self> {
        let refuse = |message: String| Error::invalid(field, message).value(text);
        let shown: String = text.chars().take(64).collect();
        let written = Written::read(text).map_err(|why| {
            let reason = if why.is_empty() { String::new() } else { format!(": {why}") };
            refuse(format!("{shown:?} is not an instant{reason}"))
                .hint("write it like 2026-11-20T02:00:00Z, 2026-11-20T02:00:00+01:00 or, in the zone, 2026-11-20T02:00")
        })?;
        let at = match (written.offset_s, zone) {
            (Some(offset_s), _) => Self(written.local.and_utc().timestamp_millis() - offset_s * 1000),
            (None, Some(zone)) => zone.from_local(written.local).first(),
            (None, None) => {
                let time = if text.contains(':') { "" } else { "T00:00:00" };
                return Err(refuse(format!("{shown} has neither an offset nor a zone"))
                    .hint(format!("write {shown}{time}Z for UTC, {shown}{time}+01:00, or name a zone with tz")));
            }
        };
        if !(Self::FIRST..=Self::LAST).contains(&at) {
            return Err(refuse(format!("{shown} is outside of the years 1970 to 2100 in UTC")));
        }
        Ok(at)
    }

    /// 1970-01-01T00:00:00Z: nothing fires before.
    pub(crate) const FIRST: Self = Self(0);
    /// 2100-12-31T23:59:59.999Z: nothing later is read.
    pub(crate) const LAST: Self = Self(4_133_980_799_999);
}

/// Date, time and offset as they were written.
struct Written {
    local: NaiveDateTime,
    offset_s: Option<i64>,
}

impl Written {
    /// Says why not, or nothing where the shape is wrong altogether.
    fn read(text: &str) -> Result<Self, String> {
        let (year, rest) = number(text, 4)?;
        let (month, rest) = number(after(rest, "-")?, 2)?;
        let (day, rest) = number(after(rest, "-")?, 2)?;
        let date = i32::try_from(year).ok().and_then(|year| NaiveDate::from_ymd_opt(year, month, day));
        let date = date.ok_or_else(|| format!("there is no day {year:04}-{month:02}-{day:02}"))?;
        if rest.is_empty() {
            return Ok(Self { local: date.and_time(NaiveTime::MIN), offset_s: None });
        }
        let rest = rest.strip_prefix(['T', 't', ' ']).ok_or_else(String::new)?;
        let (time, rest) = read_time(rest)?;
        Ok(Self { local: date.and_time(time), offset_s: read_offset(rest)? })
    }
}

/// `02:00`, `02:00:00` or `02:00:00.123`, and what follows; fractions are cut to milliseconds.
pub(crate) fn read_time(text: &str) -> Result<(NaiveTime, &str), String> {
    let (hour, rest) = number(text, 2)?;
    let (minute, mut rest) = number(after(rest, ":")?, 2)?;
    let (mut second, mut ms) = (0, 0);
    if let Some(seconds) = rest.strip_prefix(':') {
        (second, rest) = number(seconds, 2)?;
        if let Some(fraction) = rest.strip_prefix('.') {
            let digits = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            if digits == 0 {
                return Err(String::new());
            }
            ms = (0..3)
                .map(|place| fraction.as_bytes()[..digits].get(place).map_or(0, |digit| u32::from(digit - b'0')))
                .fold(0, |ms, digit| ms * 10 + digit);
            rest = &fraction[digits..];
        }
    }
    let time = NaiveTime::from_hms_milli_opt(hour, minute, second, ms);
    Ok((time.ok_or_else(|| format!("there is no time {hour:02}:{minute:02}:{second:02}"))?, rest))
}

/// Nothing, `Z`, or `+01:00`.
fn read_offset(text: &str) -> Result<Option<i64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if text == "Z" || text == "z" {
        return Ok(Some(0));
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits = text.strip_prefix(['+', '-']).ok_or_else(|| format!("{text:?} is not an offset"))?;
    let (hours, rest) = number(digits, 2)?;
    let (minutes, rest) = number(after(rest, ":")?, 2)?;
    if !rest.is_empty() || hours > 23 || minutes > 59 {
        return Err(format!("{text:?} is not an offset"));
    }
    Ok(Some(sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60)))
}

/// Exactly `digits` digits, and what follows.
fn number(text: &str, digits: usize) -> Result<(u32, &str), String> {
    let front = text.get(..digits).filter(|front| front.bytes().all(|byte| byte.is_ascii_digit()));
    let value = front.and_then(|front| front.parse().ok()).ok_or_else(String::new)?;
    Ok((value, &text[digits..]))
}

fn after<'a>(text: &'a str, mark: &str) -> Result<&'a str, String> {
    text.strip_prefix(mark).ok_or_else(String::new)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, zone: Option<&str>) -> String {
        let zone = zone.map(|name| Zone::parse("tz", name).unwrap());
        match Timestamp::parse("start", text, zone.as_ref()) {
            Ok(at) => at.to_rfc3339(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_offset_needs_no_zone() {
        for text in [
            "2026-11-20T02:00:00Z",
            "2026-11-20T02:00Z",
            "2026-11-20 02:00:00.0009z",
            "2026-11-20T03:00+01:00",
            "2026-11-19t20:30:00.000-05:30",
        ] {
            assert_eq!(read(text, None), "2026-11-20T02:00:00.000Z", "{text}");
        }
        assert_eq!(read("2026-11-20T02:00:00.12Z", Some("Asia/Tokyo")), "2026-11-20T02:00:00.120Z");
    }

    #[test]
    fn a_local_time_is_read_in_the_zone() {
        assert_eq!(read("2026-12-01", Some("Asia/Shanghai")), "2026-11-30T16:00:00.000Z");
        assert_eq!(read("2026-07-01 02:00", Some("Europe/Berlin")), "2026-07-01T00:00:00.000Z");
    }

    #[test]
    fn a_local_time_in_a_gap_is_the_first_instant_after_and_in_a_fold_the_first() {
        assert_eq!(read("2027-03-14T02:30", Some("America/New_York")), "2027-03-14T07:00:00.000Z");
        assert_eq!(read("2027-11-07T01:30", Some("America/New_York")), "2027-11-07T05:30:00.000Z");
        assert_eq!(read("2018-11-04", Some("America/Sao_Paulo")), "2018-11-04T03:00:00.000Z");
        assert_eq!(read("2011-12-30T12:00", Some("Pacific/Apia")), "2011-12-30T10:00:00.000Z");
    }

    #[test]
    fn a_local_time_without_zone_is_refused_with_the_way_out() {
        let error = Timestamp::parse("at", "2026-12-01", None).unwrap_err();
        assert_eq!(error.to_string(), "at: 2026-12-01 has neither an offset nor a zone");
        assert_eq!(
            error.problem().hint.as_deref(),
            Some("write 2026-12-01T00:00:00Z for UTC, 2026-12-01T00:00:00+01:00, or name a zone with tz")
        );
    }

    #[test]
    fn only_the_years_1970_to_2100_are_read() {
        assert_eq!(read("1970-01-01T00:00:00Z", None), "1970-01-01T00:00:00.000Z");
        assert_eq!(read("2100-12-31T23:59:59.999Z", None), "2100-12-31T23:59:59.999Z");
        for text in ["1969-12-31T23:59:59Z", "2101-01-01T00:00:00Z", "0000-01-01T00:00Z", "1970-01-01T00:00+01:00"] {
            assert!(read(text, None).contains("outside of the years 1970 to 2100"), "{text}");
        }
    }

    #[test]
    fn what_does_not_exist_is_named() {
        assert!(read("2026-02-29", Some("UTC")).contains("there is no day 2026-02-29"));
        assert!(read("2026-02-28T24:00Z", None).contains("there is no time 24:00:00"));
        assert!(read("2026-02-28T10:00 CET", None).contains("\" CET\" is not an offset"));
        for text in [
            "",
            "tomorrow",
            "2026-2-1",
            "20261120",
            "2026-11-20T",
            "2026-11-20T02Z",
            "2026-11-20T02:00:00.Z",
            "2026-11-20T02:00+25:00",
            "2026-11-20T02:00+0100",
            "ü026-11-20",
        ] {
            assert!(read(text, Some("UTC")).contains("is not an instant"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(ms in Timestamp::FIRST.0..=Timestamp::LAST.0) {
            prop_assert_eq!(Timestamp::parse("at", &Timestamp(ms).to_rfc3339(), None), Ok(Timestamp(ms)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,30}|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]?[0-9:.Z+-]{0,20}") {
            let _ = Timestamp::parse("at", &text, Some(&Zone::utc()));
        }
    }
}
