//! The schedule of a CronJob, as the parser that Kubernetes uses (robfig/cron) reads it.

use crate::domain::cron::Cron;
use crate::domain::import::names::{DAYS, MONTHS, NICKNAMES};
use crate::error::{Error, Result};

/// A schedule, in fields of an entry.
#[derive(Debug, PartialEq)]
pub(super) enum When {
    /// Five words that mean here what they mean there.
    Cron {
        /// The words.
        words: String,
        /// The zone of a `TZ=` before them.
        tz: Option<String>,
    },
    /// `@every`, seconds.
    Every(u64),
}

struct Field(&'static str, u32, u32, &'static [&'static str]);

const FIELDS: [Field; 5] = [
    Field("minute", 0, 59, &[]),
    Field("hour", 0, 23, &[]),
    Field("day-of-month", 1, 31, &[]),
    Field("month", 1, 12, &MONTHS),
    // 7 is no Sunday there.
    Field("day-of-week", 0, 6, &DAYS),
];

fn refuse(schedule: &str, why: impl Into<String>) -> Error {
    Error::invalid("schedule", why).value(schedule.chars().take(256).collect::<String>())
}

/// Reads `spec.schedule`.
pub(super) fn read(schedule: &str) -> Result<When> {
    let (tz, rest) = match schedule.strip_prefix("CRON_TZ=").or_else(|| schedule.strip_prefix("TZ=")) {
        None => (None, schedule),
        Some(rest) => match rest.split_once(char::is_whitespace) {
            Some((tz, rest)) => (Some(tz.to_owned()), rest),
            None => return Err(refuse(schedule, "a zone without a time")),
        },
    };
    let rest = rest.trim();
    if let Some(span) = rest.strip_prefix("@every ") {
        return every(span.trim())
            .map(When::Every)
            .ok_or_else(|| refuse(schedule, format!("{span:?} is not a duration as Go has them")).hint("like 1h30m"));
    }
    if rest.starts_with('@') {
        if NICKNAMES.contains(&rest) {
            return Ok(When::Cron { words: rest.to_owned(), tz });
        }
        let hint = format!("they are {}, @every 5m", NICKNAMES.join(", "));
        return Err(refuse(schedule, format!("{rest:?} is no nickname in Kubernetes")).hint(hint));
    }
    let words: Vec<&str> = rest.split_whitespace().collect();
    if words.len() != FIELDS.len() {
        let why = format!("Kubernetes takes five words or a nickname, these are {}", words.len());
        return Err(refuse(schedule, why));
    }
    let written: Vec<String> =
        FIELDS.iter().zip(&words).map(|(field, word)| read_word(schedule, field, word)).collect::<Result<_>>()?;
    let words = written.join(" ");
    Cron::parse("schedule", &words)?;
    Ok(When::Cron { words, tz })
}

/// A word with the same values. Whether both day words must match is decided there by a word that has `*` or `?` among its
/// items, with a step of 1 at most; here by a word that begins with `*`.
fn read_word(schedule: &str, field: &Field, word: &str) -> Result<String> {
    let &Field(name, min, max, _) = field;
    let is_day = name.starts_with("day-");
    let mut items = Vec::new();
    for item in word.split(',').filter(|item| !item.is_empty()) {
        let (range, step) = match item.split_once('/') {
            None => (item, None),
            Some((range, step)) => match step.parse::<u32>() {
                Ok(step) if step > 0 => (range, Some(step)),
                _ => return Err(refuse(schedule, format!("{name}: the step of {item} is not a number above 0"))),
            },
        };
        if matches!(range, "*" | "?") {
            match step {
                None | Some(1) => return Ok("*".to_owned()),
                Some(step) if is_day => items.push(format!("{min}-{max}/{step}")),
                Some(step) => items.push(format!("*/{step}")),
            }
            continue;
        }
        let (from, to) = range.split_once('-').map_or((range, None), |(from, to)| (from, Some(to)));
        let from = value(schedule, field, item, from)?;
        let to = to.map(|to| value(schedule, field, item, to)).transpose()?;
        if to.is_some_and(|to| to < from) {
            return Err(refuse(schedule, format!("{name}: {item} runs backwards")));
        }
        items.push(match (to, step) {
            (None, None) => from.to_string(),
            (None, Some(step)) => format!("{from}-{max}/{step}"),
            (Some(to), None) => format!("{from}-{to}"),
            (Some(to), Some(step)) => format!("{from}-{to}/{step}"),
        });
    }
    if items.is_empty() {
        return Err(refuse(schedule, format!("{name}: {word:?} names no value")));
    }
    Ok(items.join(","))
}

fn value(schedule: &str, field: &Field, item: &str, text: &str) -> Result<u32> {
    let &Field(name, min, max, names) = field;
    let small = text.to_ascii_lowercase();
    if let Some(at) = names.iter().position(|known| *known == small) {
        return Ok(min + u32::try_from(at).unwrap_or_default());
    }
    let number = text.parse::<u32>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    match number {
        Some(number) if (min..=max).contains(&number) => Ok(number),
        Some(7) if name == "day-of-week" => {
            Err(refuse(schedule, format!("{name}: {item}: Kubernetes counts days from 0 to 6")).hint("Sunday is 0"))
        }
        Some(number) => Err(refuse(schedule, format!("{name}: {number} is out of range {min}-{max}"))),
        None => Err(refuse(schedule, format!("{name}: {item} means nothing in Kubernetes"))),
    }
}

/// A duration of Go in whole seconds, 1 at least.
fn every(text: &str) -> Option<u64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut ns: f64 = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        ns += number
            * match &rest[..unit] {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3_600e9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    // Below the greatest span of Go, 292 years: exact enough for whole seconds.
    (ns < 9.2e18).then_some((ns / 1e9).max(1.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(schedule: &str) -> String {
        match read(schedule).unwrap() {
            When::Cron { words, .. } => words,
            other => panic!("{schedule}: {other:?}"),
        }
    }

    #[test]
    fn words_mean_what_they_mean_in_kubernetes() {
        for (there, here) in [
            ("*/5 * * * *", "*/5 * * * *"),
            ("5/10 * * * *", "5-59/10 * * * *"),
            ("0 0 ? * MON-FRI", "0 0 * * 1-5"),
            ("0 0 1 JAN ?", "0 0 1 1 *"),
            ("0 0 */2 * 1", "0 0 1-31/2 * 1"),
            ("0 0 */1 * 1", "0 0 * * 1"),
            ("0 0 1,* * 1", "0 0 * * 1"),
            ("0 0 1 * */2", "0 0 1 * 0-6/2"),
            ("0  8/2 * * *", "0 8-23/2 * * *"),
            ("@daily", "@daily"),
        ] {
            assert_eq!(words(there), here, "{there}");
        }
        let tz = When::Cron { words: "0 5 * * *".to_owned(), tz: Some("Asia/Tokyo".to_owned()) };
        assert_eq!(read("CRON_TZ=Asia/Tokyo 0 5 * * *").unwrap(), tz);
    }

    #[test]
    fn spans_are_those_of_go() {
        for (text, seconds) in [("90s", 90), ("1h30m", 5_400), ("1.5h", 5_400), ("10ms", 1), ("1m1.9s", 61)] {
            assert_eq!(read(&format!("@every {text}")).unwrap(), When::Every(seconds), "{text}");
        }
        for text in ["", "5", "5x", "s", "1..2s", "1d", "-5s", "99999999999999h"] {
            assert!(read(&format!("@every {text}")).is_err(), "{text}");
        }
    }

    #[test]
    fn what_kubernetes_refuses_is_refused() {
        for schedule in [
            "",
            "* * * *",
            "* * * * * *",
            "0 0 * * 7",
            "60 * * * *",
            "5-1 * * * *",
            "*/0 * * * *",
            "0 0 L * *",
            "0 0 * * 1#2",
            "H * * * *",
            "@Daily",
            "@reboot",
            "TZ=UTC",
            ", * * * *",
            "0 0 31 2 *",
            "a b c d e",
        ] {
            let error = read(schedule).unwrap_err();
            assert_eq!(error.problem().field.as_deref(), Some("schedule"), "{schedule}");
        }
    }
}
