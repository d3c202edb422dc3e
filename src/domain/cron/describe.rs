//! A plain reading of an expression; nothing where none is short and right.

use super::days::{MonthDays, WeekDays};
use super::field::{HOUR, MONTH};
use super::period::values;
use super::{Cron, Fields};
use crate::domain::span::Span;

/// More times than these are no list that people read.
const MAX_TIMES: usize = 4;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEK_DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const NUMBERS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

impl Cron {
    /// `at 02:30 every day`, `every 5 min`, `at 09:00, Monday to Friday`; where no good reading exists, the expression.
    pub fn describe(&self) -> String {
        self.compiled.fields.read_aloud().unwrap_or_else(|| format!("cron {}", self.compiled.resolved))
    }

    /// Whether the zone makes no difference to what [`Cron::describe`] says.
    pub(in crate::domain) fn reads_without_zone(&self) -> bool {
        let fields = &self.compiled.fields;
        fields.is_wildcard && fields.within_hour().is_some_and(|(_, period_s)| period_s <= 15 * 60)
    }
}

impl Fields {
    fn read_aloud(&self) -> Option<String> {
        let (times, is_list) = self.times()?;
        let days = self.days()?;
        Some(match (days.as_str(), is_list) {
            ("", true) => format!("{times} every day"),
            ("", false) => times,
            _ => format!("{times}, {days}"),
        })
    }

    /// The times of a day, and whether they are a list of times.
    fn times(&self) -> Option<(String, bool)> {
        let any_day =
            Self { months: MONTH.all(), month_days: MonthDays::any(), week_days: WeekDays::any(), ..self.clone() };
        if let Some((phase_s, period_s)) = any_day.within_hour() {
            return Some((within_hour(phase_s, period_s)?, false));
        }
        let [second] = values(self.seconds).collect::<Vec<_>>()[..] else {
            return None;
        };
        let hours: Vec<i64> = values(self.hours).collect();
        let minutes: Vec<i64> = values(self.minutes).collect();
        let clock = |hour: i64, minute: i64| match second {
            0 => format!("{hour:02}:{minute:02}"),
            _ => format!("{hour:02}:{minute:02}:{second:02}"),
        };
        if self.hours == HOUR.all() {
            let minutes: Vec<String> = minutes.iter().map(i64::to_string).collect();
            return (second == 0 && minutes.len() <= MAX_TIMES)
                .then(|| (format!("at minutes {} of every hour", and(&minutes)), false));
        }
        let count = hours.len() * minutes.len();
        let is_stretch = distance(&hours) == Some(1) && count > 2;
        if count <= MAX_TIMES && !is_stretch {
            let times: Vec<String> =
                hours.iter().flat_map(|hour| minutes.iter().map(|minute| clock(*hour, *minute))).collect();
            return Some((format!("at {}", and(&times)), true));
        }
        let (first, last) = (clock(*hours.first()?, *minutes.first()?), clock(*hours.last()?, *minutes.last()?));
        if let Some((phase_s, period_s)) = any_day.within_day().filter(|(_, period_s)| period_s % 3600 == 0) {
            let from = if phase_s == 0 { String::new() } else { format!(" from {first}") };
            return Some((format!("every {}{from}", human(period_s)), false));
        }
        let step = match (distance(&hours), distance(&minutes), minutes.len()) {
            (Some(1), None, 1) => "hour".to_owned(),
            (Some(step), None, 1) => human(step * 3600),
            // no break between the hours
            (Some(1), Some(step), count) if 60 % step == 0 && i64::try_from(count) == Ok(60 / step) => human(step * 60),
            (None, Some(step), _) if hours.len() == 1 => human(step * 60),
            _ => return None,
        };
        Some((format!("every {} from {first} to {last}", step.strip_prefix("1 ").unwrap_or(&step)), false))
    }

    /// The days; nothing for every day.
    fn days(&self) -> Option<String> {
        let months: Vec<&str> = values(self.months)
            .filter_map(|month| MONTHS.get(usize::try_from(month).ok()?.checked_sub(1)?).copied())
            .collect();
        let is_each_month = self.months == MONTH.all();
        let in_months = match is_each_month {
            true => String::new(),
            false => format!(" in {}", range_or_list(self.months, &months)),
        };
        match (self.month_days.is_all(), self.week_days.is_all()) {
            (true, true) => Some(if is_each_month { String::new() } else { format!("every day{in_months}") }),
            (true, false) if self.needs_both_days => {
                Some(format!("{}{in_months}", week_days(&self.week_days, is_each_month)?))
            }
            (false, true) if self.needs_both_days => {
                let days = month_days(&self.month_days)?;
                Some(match (is_each_month, &months[..]) {
                    (true, _) => format!("on the {days} of the month"),
                    (false, _) => format!("on the {days}{}", in_months.replacen(" in ", " of ", 1)),
                })
            }
            (false, false) if !self.needs_both_days && is_each_month => Some(format!(
                "on the {} of the month or {}",
                month_days(&self.month_days)?,
                week_days(&self.week_days, true)?
            )),
            _ => None,
        }
    }
}

/// `every 5 min`, `every hour at minute 17`.
fn within_hour(phase_s: i64, period_s: i64) -> Option<String> {
    let (minute, second) = (phase_s / 60, phase_s % 60);
    Some(match period_s {
        1 => "every second".to_owned(),
        60 if second == 0 => "every minute".to_owned(),
        60 => format!("every minute at second {second}"),
        3600 if phase_s == 0 => "every hour".to_owned(),
        3600 if second == 0 => format!("every hour at minute {minute}"),
        _ if phase_s == 0 => format!("every {}", human(period_s)),
        2..60 => format!("every {} from second {second}", human(period_s)),
        _ if second == 0 => format!("every {} from minute {minute}", human(period_s)),
        _ => return None,
    })
}

fn human(seconds: i64) -> String {
    Span(u64::try_from(seconds * 1000).unwrap_or_default()).human()
}

/// `1st`, `1st and 15th`, `last day`, `weekday nearest the 15th`.
fn month_days(days: &MonthDays) -> Option<String> {
    let mut names: Vec<String> = values(days.plain).map(ordinal).collect();
    names.extend(values(days.nearest).map(|day| format!("weekday nearest the {}", ordinal(day))));
    names.extend(days.last.then(|| "last day".to_owned()));
    names.extend(days.last_weekday.then(|| "last weekday".to_owned()));
    let plain: Vec<i64> = values(days.plain).collect();
    if days.is_plain() && plain.len() > 2 && distance(&plain) == Some(1) {
        return Some(format!("{} to {}", names.first()?, names.last()?));
    }
    (names.len() <= MAX_TIMES).then(|| and(&names))
}

/// `Monday to Friday`, `Saturday and Sunday`, `on the second Monday of the month`.
fn week_days(days: &WeekDays, is_each_month: bool) -> Option<String> {
    let name = |day: i64| usize::try_from(day).ok().and_then(|day| WEEK_DAYS.get(day % 7)).copied().unwrap_or_default();
    if days.is_plain() {
        // weeks begin on Monday for most who read this, and Saturday and Sunday belong together
        let from_monday = (days.plain & !1) | (days.plain & 1) << 7;
        let list: Vec<i64> = values(from_monday).collect();
        let names: Vec<&str> = list.iter().map(|day| name(*day)).collect();
        return Some(match list.len() > 2 && distance(&list) == Some(1) {
            true => format!("{} to {}", names.first()?, names.last()?),
            false => and(&names),
        });
    }
    let mut names: Vec<String> = Vec::new();
    for (number, set) in NUMBERS.iter().zip(days.nth) {
        names.extend(values(set).map(|day| format!("{number} {}", name(day))));
    }
    names.extend(values(days.last).map(|day| format!("last {}", name(day))));
    let of_the_month = if is_each_month { " of the month" } else { "" };
    (days.plain == 0 && names.len() <= MAX_TIMES).then(|| format!("on the {}{of_the_month}", and(&names)))
}

fn range_or_list(set: u64, names: &[&str]) -> String {
    let members: Vec<i64> = values(set).collect();
    match (names, names.len() > 2 && distance(&members) == Some(1)) {
        ([first, .., last], true) => format!("{first} to {last}"),
        _ => and(names),
    }
}

/// The distance of the neighbours where it is the same for all; nothing for fewer than two.
fn distance(members: &[i64]) -> Option<i64> {
    let first = members.get(1)? - members.first()?;
    members.windows(2).all(|pair| matches!(pair, [a, b] if b - a == first)).then_some(first)
}

fn ordinal(number: i64) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// `a, b and c`.
fn and<S: AsRef<str>>(names: &[S]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.split_last() {
        Some((last, front)) if !front.is_empty() => format!("{} and {last}", front.join(", ")),
        _ => names.concat(),
    }
}
