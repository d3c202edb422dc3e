//! How long a target asks to be left alone.

use chrono::{DateTime, NaiveDateTime};

use crate::domain::retry::DELAY_MAX;
use crate::domain::span::Span;

/// Reads `Retry-After` as RFC 9110 section 10.2.3 has it: seconds, or a date, which counts from the answer's own `Date`
/// and is ignored where there is none: the clock of this node has no say. At most [`DELAY_MAX`]; a date that has passed
/// is no wait.
pub(super) fn retry_after(asked: &str, date: Option<&str>) -> Option<Span> {
    let asked = asked.trim();
    let ms = if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
        asked.parse::<u64>().map_or(u64::MAX, |seconds| seconds.saturating_mul(1000))
    } else {
        let seconds = unix_seconds(asked)?.saturating_sub(unix_seconds(date?.trim())?);
        u64::try_from(seconds).unwrap_or(0).saturating_mul(1000)
    };
    Some(Span(ms).min(DELAY_MAX))
}

/// Reads the date of today's HTTP, and the two older forms that a recipient must accept.
fn unix_seconds(text: &str) -> Option<i64> {
    let today = DateTime::parse_from_rfc2822(text).ok().map(|at| at.timestamp());
    let older = || {
        let forms = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
        forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()).map(|at| at.and_utc().timestamp())
    };
    today.or_else(older)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(asked: &str, date: Option<&str>) -> Option<u64> {
        retry_after(asked, date).map(|span| span.0)
    }

    #[test]
    fn seconds_count_and_are_bounded() {
        assert_eq!(read("120", None), Some(120_000));
        assert_eq!(read(" 0 ", None), Some(0));
        assert_eq!(read("99999999999999999999", None), Some(DELAY_MAX.0));
        for odd in ["", "-5", "1.5", "5s", "soon"] {
            assert_eq!(read(odd, Some("Sun, 06 Nov 1994 08:49:37 GMT")), None, "{odd}");
        }
    }

    #[test]
    fn a_date_counts_from_the_answers_own_date() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for asked in ["Sun, 06 Nov 1994 08:50:07 GMT", "Sunday, 06-Nov-94 08:50:07 GMT", "Sun Nov  6 08:50:07 1994"] {
            assert_eq!(read(asked, date), Some(30_000), "{asked}");
        }
        assert_eq!(read("Sun, 06 Nov 1994 08:49:00 GMT", date), Some(0), "it has passed");
        assert_eq!(read("Sun, 06 Nov 2094 08:49:37 GMT", date), None, "that day is a Saturday");
        assert_eq!(read("Sat, 06 Nov 2094 08:49:37 GMT", date), Some(DELAY_MAX.0));
        assert_eq!(read("Sun, 06 Nov 1994 08:50:07 GMT", None), None);
        assert_eq!(read("Sun, 06 Nov 1994 08:50:07 GMT", Some("now")), None);
    }
}
