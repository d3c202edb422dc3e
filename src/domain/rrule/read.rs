//! Reads the text of a rule into its parts and refuses what RFC 5545 does not allow.

use std::ops::RangeInclusive;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Weekday};
use rrule::Frequency;

use super::COUNT_MAX;
use crate::domain::nearest::nearest;
use crate::domain::timestamp::Timestamp;
use crate::error::Error;

/// Longest rule, bytes.
const MAX_BYTES: usize = 512;
/// Greatest INTERVAL of a rule by the day or longer.
const INTERVAL_MAX: u32 = 1000;
/// Longest INTERVAL of a rule by the hour or shorter, seconds: 366 days.
const INTERVAL_MAX_S: u32 = 366 * 86_400;

const NAMES: [&str; 14] = [
    "FREQ",
    "INTERVAL",
    "COUNT",
    "UNTIL",
    "BYSECOND",
    "BYMINUTE",
    "BYHOUR",
    "BYDAY",
    "BYMONTHDAY",
    "BYYEARDAY",
    "BYWEEKNO",
    "BYMONTH",
    "BYSETPOS",
    "WKST",
];
const FREQUENCIES: [(&str, Frequency); 7] = [
    ("YEARLY", Frequency::Yearly),
    ("MONTHLY", Frequency::Monthly),
    ("WEEKLY", Frequency::Weekly),
    ("DAILY", Frequency::Daily),
    ("HOURLY", Frequency::Hourly),
    ("MINUTELY", Frequency::Minutely),
    ("SECONDLY", Frequency::Secondly),
];
const WEEK_DAYS: [(&str, Weekday); 7] = [
    ("MO", Weekday::Mon),
    ("TU", Weekday::Tue),
    ("WE", Weekday::Wed),
    ("TH", Weekday::Thu),
    ("FR", Weekday::Fri),
    ("SA", Weekday::Sat),
    ("SU", Weekday::Sun),
];

/// A rule, part by part; lists are sorted and without repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    pub frequency: Frequency,
    pub interval: u32,
    pub ending: Ending,
    pub seconds: Vec<u32>,
    pub minutes: Vec<u32>,
    pub hours: Vec<u32>,
    /// With its number in the month or year, 0 for each of them.
    pub week_days: Vec<(i16, Weekday)>,
    pub month_days: Vec<i8>,
    pub year_days: Vec<i16>,
    pub weeks: Vec<i8>,
    pub months: Vec<u8>,
    pub positions: Vec<i32>,
    pub week_start: Weekday,
}

/// What ends a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Never,
    Count(u32),
    /// Up to this instant, included.
    Until(Timestamp),
    /// Up to this local time, included.
    UntilLocal(NaiveDateTime),
}

/// Why a rule is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    reason: String,
    hint: Option<String>,
}

impl Refusal {
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: None }
    }

    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub fn about(self, field: &str, text: &str) -> Error {
        let error = Error::invalid(field, self.reason).value(text.chars().take(MAX_BYTES).collect::<String>());
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

type Read<T> = Result<T, Refusal>;

impl Parts {
    pub fn read(text: &str) -> Read<Self> {
        if text.len() > MAX_BYTES {
            return Err(Refusal::new(format!("is longer than {MAX_BYTES} bytes")));
        }
        let rule = text.trim().to_ascii_uppercase();
        refuse_other_properties(&rule)?;
        let rule = rule.strip_prefix("RRULE:").unwrap_or(&rule);
        if rule.is_empty() {
            return Err(Refusal::new("is empty").hint("as in FREQ=WEEKLY;BYDAY=MO,WE;BYHOUR=9;BYMINUTE=0"));
        }
        let mut given: Vec<(&str, &str)> = Vec::new();
        for part in rule.trim_end_matches(';').split(';') {
            let (name, value) = part.split_once('=').ok_or_else(|| {
                Refusal::new(format!("{part:?} is not NAME=VALUE"))
                    .hint("parts are separated by ;, as in FREQ=DAILY;INTERVAL=2")
            })?;
            if !NAMES.contains(&name) {
                return Err(unknown(name));
            }
            if given.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::new(format!("{name} is given twice")));
            }
            if value.is_empty() {
                return Err(Refusal::new(format!("{name} is empty")));
            }
            given.push((name, value));
        }
        let value = |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let frequency = frequency(value("FREQ"))?;
        let parts = Self {
            frequency,
            interval: interval(frequency, value("INTERVAL"))?,
            ending: ending(value("COUNT"), value("UNTIL"))?,
            seconds: numbers("BYSECOND", value("BYSECOND"), 0..=59, false)?,
            minutes: numbers("BYMINUTE", value("BYMINUTE"), 0..=59, false)?,
            hours: numbers("BYHOUR", value("BYHOUR"), 0..=23, false)?,
            week_days: week_days(frequency, value("BYDAY"))?,
            month_days: numbers("BYMONTHDAY", value("BYMONTHDAY"), 1..=31, true)?,
            year_days: numbers("BYYEARDAY", value("BYYEARDAY"), 1..=366, true)?,
            weeks: numbers("BYWEEKNO", value("BYWEEKNO"), 1..=53, true)?,
            months: numbers("BYMONTH", value("BYMONTH"), 1..=12, false)?,
            positions: numbers("BYSETPOS", value("BYSETPOS"), 1..=366, true)?,
            week_start: match value("WKST") {
                Some(day) => week_day("WKST", day)?,
                None => Weekday::Mon,
            },
        };
        parts.refuse_what_does_not_go_together()?;
        Ok(parts)
    }

    /// Whether it repeats within a day.
    pub fn is_within_day(&self) -> bool {
        self.frequency >= Frequency::Hourly
    }

    /// Whether any part names days.
    pub fn names_days(&self) -> bool {
        !(self.week_days.is_empty() && self.month_days.is_empty() && self.year_days.is_empty() && self.weeks.is_empty())
    }

    fn refuse_what_does_not_go_together(&self) -> Read<()> {
        use Frequency::{Daily, Monthly, Weekly, Yearly};
        let frequency = self.frequency;
        let with = |part: &str, allowed: &str| {
            Err(Refusal::new(format!("{part} does not go with FREQ={frequency}; it goes with {allowed}")))
        };
        if !self.month_days.is_empty() && frequency == Weekly {
            return with("BYMONTHDAY", "any other FREQ");
        }
        if !self.year_days.is_empty() && matches!(frequency, Monthly | Weekly | Daily) {
            return with("BYYEARDAY", "YEARLY, HOURLY, MINUTELY and SECONDLY");
        }
        if !self.weeks.is_empty() && frequency != Yearly {
            return with("BYWEEKNO", "YEARLY");
        }
        let has_number = self.week_days.iter().any(|(number, _)| *number != 0);
        if has_number && !matches!(frequency, Monthly | Yearly) {
            return with("BYDAY with a number", "MONTHLY and YEARLY");
        }
        if has_number && !self.weeks.is_empty() {
            return Err(Refusal::new("BYDAY with a number does not go with BYWEEKNO"));
        }
        if self.positions.is_empty() {
            return Ok(());
        }
        if self.is_within_day() {
            return with("BYSETPOS", "DAILY and longer here");
        }
        let has_other = self.names_days()
            || !(self.months.is_empty() && self.hours.is_empty() && self.minutes.is_empty() && self.seconds.is_empty());
        if !has_other {
            return Err(Refusal::new("BYSETPOS chooses among what another BY part names, and there is none"));
        }
        Ok(())
    }
}

/// Other properties of iCalendar that may have come along.
fn refuse_other_properties(rule: &str) -> Read<()> {
    for (property, way_out) in [
        ("DTSTART", "start says when the rule begins, tz in which zone"),
        ("EXDATE", "exclude takes dates: exclude = [\"2026-12-25\"]"),
        ("EXRULE", "exclude takes dates and names of calendars"),
        ("RDATE", "for single further times make an entry with at"),
        ("DTEND", "an entry has no length, end says when it stops"),
    ] {
        let is_begin = |part: &str| part.starts_with(property);
        if rule.split(['\n', '\r', ';', ' ']).any(is_begin) || rule.split("\\N").any(is_begin) {
            return Err(Refusal::new(format!("{property} is not part of a rule")).hint(way_out));
        }
    }
    if let Some(odd) = rule.chars().find(|c| !('!'..='~').contains(c)) {
        return Err(Refusal::new(format!("character {odd:?} is not allowed in a rule"))
            .hint("one rule an entry, without blanks and line ends"));
    }
    Ok(())
}

fn unknown(name: &str) -> Refusal {
    let refusal = Refusal::new(format!("{name} is no part of a rule"));
    match (name, nearest(name, NAMES)) {
        ("BYEASTER" | "RSCALE" | "SKIP", _) => refusal.hint("that extension is not supported"),
        (_, Some(meant)) => refusal.hint(format!("did you mean {meant}?")),
        (_, None) => refusal.hint(format!("parts are {}", NAMES.join(", "))),
    }
}

fn frequency(value: Option<&str>) -> Read<Frequency> {
    let words = FREQUENCIES.map(|(word, _)| word);
    let Some(value) = value else {
        return Err(Refusal::new("FREQ is missing").hint(format!("FREQ is one of {}", words.join(", "))));
    };
    let found = FREQUENCIES.iter().find(|(word, _)| *word == value).map(|(_, frequency)| *frequency);
    found.ok_or_else(|| {
        let refusal = Refusal::new(format!("FREQ: {value} is not one of {}", words.join(", ")));
        match nearest(value, words) {
            Some(word) => refusal.hint(format!("did you mean {word}?")),
            None => refusal,
        }
    })
}

fn interval(frequency: Frequency, value: Option<&str>) -> Read<u32> {
    let max = match unit_s(frequency) {
        Some(unit_s) => INTERVAL_MAX_S / unit_s,
        None => INTERVAL_MAX,
    };
    value.map_or(Ok(1), |value| number("INTERVAL", value, 1..=max))
}

/// Seconds of the unit of a rule by the hour or shorter.
pub(super) fn unit_s(frequency: Frequency) -> Option<u32> {
    match frequency {
        Frequency::Hourly => Some(3600),
        Frequency::Minutely => Some(60),
        Frequency::Secondly => Some(1),
        _ => None,
    }
}

fn ending(count: Option<&str>, until: Option<&str>) -> Read<Ending> {
    match (count, until) {
        (None, None) => Ok(Ending::Never),
        (Some(_), Some(_)) => Err(Refusal::new("COUNT and UNTIL are both given; a rule has at most one of them")),
        (Some(count), None) => number("COUNT", count, 1..=COUNT_MAX)
            .map(Ending::Count)
            .map_err(|refusal| refusal.hint("max_fires counts further, and excluded times do not count there")),
        (None, Some(until)) => read_until(until).ok_or_else(|| {
            Refusal::new(format!("UNTIL: {until} is no date and time of the years 1970 to 2100")).hint(
                "as in UNTIL=20271231T235959Z, in the entry's zone without the Z, or a whole day as UNTIL=20271231",
            )
        }),
    }
}

fn read_until(text: &str) -> Option<Ending> {
    let digits =
        |part: &str, len: usize| (part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit())).then_some(());
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    digits(date, 8)?;
    let date = NaiveDate::parse_from_str(date, "%Y%m%d").ok()?;
    let ending = match time {
        // Of the last day each time counts.
        None => Ending::UntilLocal(date.and_hms_opt(23, 59, 59)?),
        Some(time) => {
            let clock = time.strip_suffix('Z').unwrap_or(time);
            digits(clock, 6)?;
            let local = date.and_time(NaiveTime::parse_from_str(clock, "%H%M%S").ok()?);
            match time.ends_with('Z') {
                true => Ending::Until(Timestamp(local.and_utc().timestamp_millis())),
                false => Ending::UntilLocal(local),
            }
        }
    };
    (1970..=2100).contains(&chrono::Datelike::year(&date)).then_some(ending)
}

fn number(name: &str, text: &str, range: RangeInclusive<u32>) -> Read<u32> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse::<u32>().ok().filter(|number| is_number && range.contains(number));
    number.ok_or_else(|| {
        Refusal::new(format!("{name}: {text} is not a whole number from {} to {}", range.start(), range.end()))
    })
}

/// A list of numbers, counted from the end where `is_signed` and they are negative.
fn numbers<N: TryFrom<i64> + Ord>(
    name: &str,
    value: Option<&str>,
    range: RangeInclusive<u32>,
    is_signed: bool,
) -> Read<Vec<N>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for text in value.split(',') {
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) if is_signed => (true, digits),
            _ => (false, if is_signed { text.strip_prefix('+').unwrap_or(text) } else { text }),
        };
        let magnitude = number(name, digits, range.clone()).map_err(|refusal| match is_signed {
            true => Refusal::new(format!(
                "{name}: {text} is not a whole number from {} to {}, or from -{} to -{}",
                range.start(),
                range.end(),
                range.end(),
                range.start()
            )),
            false => refusal,
        })?;
        let number = i64::from(magnitude) * if is_negative { -1 } else { 1 };
        found.push(N::try_from(number).map_err(|_| Refusal::new(format!("{name}: {text} is too great")))?);
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn week_day(name: &str, text: &str) -> Read<Weekday> {
    let found = WEEK_DAYS.iter().find(|(word, _)| *word == text).map(|(_, day)| *day);
    found.ok_or_else(|| {
        let near = WEEK_DAYS.iter().find(|(word, _)| text.starts_with(word));
        let refusal = Refusal::new(format!("{name}: {text:?} is not one of MO, TU, WE, TH, FR, SA, SU"));
        match near {
            Some((word, _)) => refusal.hint(format!("did you mean {word}?")),
            None => refusal,
        }
    })
}

fn week_days(frequency: Frequency, value: Option<&str>) -> Read<Vec<(i16, Weekday)>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let greatest = if frequency == Frequency::Monthly { 5 } else { 53 };
    let mut found = Vec::new();
    for text in value.split(',') {
        let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, day) = text.split_at(at);
        let number = match number {
            "" => 0,
            number => numbers::<i16>("BYDAY", Some(number), 1..=greatest, true)?.first().copied().unwrap_or(0),
        };
        found.push((number, week_day("BYDAY", day)?));
    }
    found.sort_by_key(|(number, day)| (*number, day.num_days_from_monday()));
    found.dedup();
    Ok(found)
}
