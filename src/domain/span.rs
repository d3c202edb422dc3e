//! Durations as users write them: whole numbers with `ms s m h d w`, combined as in `1h30m`; a day is 24 h.

use std::fmt;

use crate::error::{Error, Result};

/// A length of time in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub u64);

/// Units from the greatest to the least: what is typed, what people read, milliseconds.
const UNITS: [(&str, &str, u64); 6] = [
    ("w", "w", 604_800_000),
    ("d", "d", DAY_MS),
    ("h", "h", 3_600_000),
    ("m", "min", 60_000),
    ("s", "s", 1_000),
    ("ms", "ms", 1),
];
const DAY_MS: u64 = 86_400_000;
/// Greatest span that is read: a century; a sum with an instant then stays far from the ends of 64 bits.
const MAX: Span = Span(36_525 * DAY_MS);

impl Span {
    /// Reads `1h30m`: units from the greatest to the least, each at most once.
    ///
    /// # Errors
    /// Invalid, about `field`: a number without a unit, an unknown unit, fractions, more than `36525d`.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        let refuse = |message: String| Error::invalid(field, message).value(text);
        if text.is_empty() {
            return Err(refuse("is empty".into()).hint("write a duration like 90s, 5m or 1h30m"));
        }
        if text.contains(char::is_whitespace) {
            return Err(refuse(format!("{text:?} contains a blank")).hint("write it in one piece, like 1h30m"));
        }
        if text.starts_with('-') {
            return Err(refuse(format!("{text} is negative")).hint("write a duration like 90s, 5m or 1h30m"));
        }
        let mut rest = text;
        let mut total_ms: u64 = 0;
        let mut least_unit = usize::MAX;
        while !rest.is_empty() {
            let (digits, after) = split_while(rest, |c| c.is_ascii_digit());
            let (unit, after) = split_while(after, |c| c.is_alphabetic());
            if digits.is_empty() || (unit.is_empty() && !after.is_empty()) {
                let hint = if text.contains(['.', ',']) {
                    "only whole numbers: write 1h30m instead of 1.5h"
                } else {
                    "write a duration like 90s, 5m or 1h30m"
                };
                return Err(refuse(format!("{text:?} is not a duration")).hint(hint));
            }
            if unit.is_empty() {
                return Err(refuse(format!("{digits} has no unit")).hint(hint_for_unit(digits)));
            }
            let Some(index) = UNITS.iter().position(|(name, ..)| *name == unit) else {
                return Err(refuse(format!("{unit:?} is no unit")).hint("units are ms, s, m (minutes), h, d, w"));
            };
            if least_unit != usize::MAX && index <= least_unit {
                let why = if index == least_unit { "occurs twice" } else { "stands after a smaller unit" };
                return Err(refuse(format!("{unit} {why} in {text}"))
                    .hint("write units from the greatest to the least, each once, like 1h30m"));
            }
            least_unit = index;
            let part_ms = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(UNITS[index].2));
            total_ms = part_ms
                .and_then(|part_ms| total_ms.checked_add(part_ms))
                .filter(|total_ms| *total_ms <= MAX.0)
                .ok_or_else(|| refuse(format!("{text} is longer than {MAX}")))?;
            rest = after;
        }
        Ok(Self(total_ms))
    }

    /// Milliseconds; beyond `i64` the greatest there is.
    pub fn ms(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// For people: `5 s`, `2 min`, `1 h 30 min`.
    pub fn human(self) -> String {
        let parts: Vec<String> = self.parts().map(|(number, _, human)| format!("{number} {human}")).collect();
        if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
    }

    /// Numbers and units from the greatest to the least, without zeros and without weeks.
    fn parts(self) -> impl Iterator<Item = (u64, &'static str, &'static str)> {
        let mut rest = self.0;
        UNITS.iter().skip(1).filter_map(move |(unit, human, unit_ms)| {
            let number = rest / unit_ms;
            rest %= unit_ms;
            (number > 0).then_some((number, *unit, *human))
        })
    }
}

/// Canonical, and read back by [`Span::parse`]: `1h30m`, `500ms`, `7d`, `0s`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.pad("0s");
        }
        let text: String = self.parts().map(|(number, unit, _)| format!("{number}{unit}")).collect();
        f.pad(&text)
    }
}

fn split_while(text: &str, is_part: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()))
}

/// `300` may be `300s` or, the same, `5m`.
fn hint_for_unit(digits: &str) -> String {
    match digits.parse::<u64>() {
        Ok(number) if number > 0 && number % 60 == 0 => {
            format!("write {number}s or {}m", number / 60)
        }
        _ => format!("write {digits}s, {digits}m or {digits}h"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(text: &str) -> String {
        let error = Span::parse("every", text).unwrap_err();
        format!("{error}; {}", error.problem().hint.clone().unwrap_or_default())
    }

    #[test]
    fn units_add_up() {
        for (text, ms) in [
            ("500ms", 500),
            ("5s", 5_000),
            ("1h30m", 5_400_000),
            ("1w2d3h4m5s6ms", 788_645_006),
            ("0s", 0),
            ("366d", 366 * 86_400_000),
        ] {
            assert_eq!(Span::parse("every", text), Ok(Span(ms)), "{text}");
        }
    }

    #[test]
    fn a_number_without_unit_is_refused_with_the_two_likely_readings() {
        assert_eq!(refusal("300"), "every: 300 has no unit; write 300s or 5m");
        assert_eq!(refusal("1h30"), "every: 30 has no unit; write 30s, 30m or 30h");
    }

    #[test]
    fn slips_are_refused_by_name() {
        assert!(refusal("").contains("is empty"));
        assert!(refusal("5min").contains("\"min\" is no unit"));
        assert!(refusal("5M").contains("\"M\" is no unit"));
        assert!(refusal("1.5h").contains("write 1h30m instead"));
        assert!(refusal("1h 30m").contains("contains a blank"));
        assert!(refusal("-5m").contains("is negative"));
        assert!(refusal("30m1h").contains("stands after a smaller unit"));
        assert!(refusal("1h2h").contains("occurs twice"));
        assert!(refusal("h").contains("is not a duration"));
        assert!(refusal("99999999999999999999d").contains("is longer than 36525d"));
        assert!(refusal("٣s").contains("is not a duration"));
    }

    #[test]
    fn people_read_blanks_and_programs_do_not() {
        for (ms, canonical, human) in [
            (0, "0s", "0 s"),
            (5_000, "5s", "5 s"),
            (120_000, "2m", "2 min"),
            (5_400_000, "1h30m", "1 h 30 min"),
            (604_800_000, "7d", "7 d"),
        ] {
            assert_eq!((Span(ms).to_string().as_str(), Span(ms).human().as_str()), (canonical, human));
        }
    }

    #[test]
    fn the_greatest_span_does_not_overflow() {
        assert_eq!(Span(u64::MAX).ms(), i64::MAX);
        assert!(!Span(u64::MAX).to_string().is_empty());
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(ms in 0..=MAX.0) {
            prop_assert_eq!(Span::parse("every", &Span(ms).to_string()), Ok(Span(ms)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}|[0-9wdhms.]{0,30}") {
            let _ = Span::parse("every", &text);
        }
    }
}
