//! A plain reading of any expression: short where a short one is right, else field by field.

use super::days::{MonthDays, WeekDays};
use super::field::{HOUR, MINUTE, MONTH};
use super::period::values;
use super::{Cron, Fields};
use crate::domain::span::Span;

/// More times than these are no list that people read.
const MAX_TIMES: usize = 4;

pub(in crate::domain) const MONTHS: [&str; 12] = [
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
    /// `at 02:30 every day`, `every 5 min`, `at 09:00, Monday to Friday`; `H` as what it stands for.
    pub fn describe(&self) -> String {
        self.compiled.fields.read_aloud()
    }

    /// Whether the zone makes no difference to what [`Cron::describe`] says.
    pub(in crate::domain) fn reads_without_zone(&self) -> bool {
        let fields = &self.compiled.fields;
        fields.is_wildcard && fields.within_hour().is_some_and(|(_, period_s)| period_s <= 15 * 60)
    }
}

impl Fields {
    fn read_aloud(&self) -> String {
        let (times, is_list) = self.times().unwrap_or_else(|| (self.times_by_field(), false));
        match (self.days().as_str(), is_list) {
            ("", true) => format!("{times} every day"),
            ("", false) => times,
            (days, _) => format!("{times}, {days}"),
        }
    }

    /// `at minutes 7, 11 and 13 of every hour`, `every 5 min of hours 0 to 6 and 20 to 23`.
    fn times_by_field(&self) -> String {
        let minutes = within(self.minutes, "minute", "min");
        let minutes = match (self.seconds, self.minutes == MINUTE.all()) {
            (1, _) => minutes,
            (_, true) => format!("{} of every minute", within(self.seconds, "second", "s")),
            _ => format!("{} of {minutes}", within(self.seconds, "second", "s")),
        };
        let at = if minutes.starts_with("every") { "" } else { "at " };
        let hours: Vec<i64> = values(self.hours).collect();
        let hours = match (hours.as_slice(), distance(&hours)) {
            _ if self.hours == HOUR.all() => "every hour".to_owned(),
            ([hour], _) => format!("hour {hour}"),
            ([first, .., last], Some(step @ 2..)) if hours.len() > MAX_TIMES => {
                format!("every {} hour from {first} to {last}", ordinal(step))
            }
            _ => format!("hours {}", stretches(self.hours, |hour| hour.to_string())),
        };
        format!("{at}{minutes} of {hours}")
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
            return None;
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
        let step = if step == "1 min" { "minute" } else { &step };
        Some((format!("every {step} from {first} to {last}"), false))
    }

    /// The days; nothing for every day.
    fn days(&self) -> String {
        let name =
            |month: i64| usize::try_from(month - 1).ok().and_then(|at| MONTHS.get(at)).copied().unwrap_or_default();
        let months = stretches(self.months, |month| name(month).to_owned());
        let is_each_month = self.months == MONTH.all();
        let of = if is_each_month { "the month" } else { &months };
        let (month_days, week_days) = (month_days(&self.month_days, of), week_days(&self.week_days, of));
        match (self.month_days.is_all(), self.week_days.is_all()) {
            (false, false) if self.needs_both_days => format!("{week_days}, only {month_days}"),
            (false, false) => match is_each_month || self.week_days.plain == 0 {
                true => format!("{month_days} or {week_days}"),
                false => format!("{month_days} or {week_days} in {months}"),
            },
            (false, true) if self.needs_both_days => month_days,
            (true, false) if self.needs_both_days => match is_each_month || self.week_days.plain == 0 {
                true => week_days,
                false => format!("{week_days} in {months}"),
            },
            // every day, also where the other day word is no star: one of the two is enough
            _ if is_each_month => String::new(),
            _ => format!("every day in {months}"),
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

/// `on the 1st and 15th of the month`, `on every 2nd day from the 1st to the 31st of January`.
fn month_days(days: &MonthDays, of: &str) -> String {
    let plain: Vec<i64> = values(days.plain).collect();
    if let ([first, .., last], Some(step @ 2..), true) =
        (plain.as_slice(), distance(&plain), days.is_plain() && plain.len() > MAX_TIMES)
    {
        return format!(
            "on every {} day from the {} to the {} of {of}",
            ordinal(step),
            ordinal(*first),
            ordinal(*last)
        );
    }
    let mut names = stretch_names(days.plain, ordinal);
    names.extend(values(days.nearest).map(|day| format!("weekday nearest the {}", ordinal(day))));
    names.extend(days.last.then(|| "last day".to_owned()));
    names.extend(days.last_weekday.then(|| "last weekday".to_owned()));
    format!("on the {} of {of}", and(&names))
}

/// `Monday to Friday`, `Saturday and Sunday`, `on the second Monday of the month`.
fn week_days(days: &WeekDays, of: &str) -> String {
    let name = |day: i64| usize::try_from(day).ok().and_then(|day| WEEK_DAYS.get(day % 7)).copied().unwrap_or_default();
    // weeks begin on Monday for most who read this, and Saturday and Sunday belong together
    let from_monday = (days.plain & !1) | (days.plain & 1) << 7;
    let plain = stretches(from_monday, |day| name(day).to_owned());
    let mut names: Vec<String> = Vec::new();
    for (number, set) in NUMBERS.iter().zip(days.nth) {
        names.extend(values(set).map(|day| format!("{number} {}", name(day))));
    }
    names.extend(values(days.last).map(|day| format!("last {}", name(day))));
    match (plain.as_str(), names.is_empty()) {
        (_, true) => plain,
        ("", false) => format!("on the {} of {of}", and(&names)),
        (_, false) => format!("{plain}, and on the {} of {of}", and(&names)),
    }
}

/// Minutes of an hour or seconds of a minute: `minutes 7 and 9`, `every 5 min`, `every 7 min from minute 0 to 56`.
fn within(set: u64, name: &str, unit: &str) -> String {
    const CYCLE: i64 = 60;
    let members: Vec<i64> = values(set).collect();
    match (members.as_slice(), distance(&members)) {
        ([one], _) => format!("{name} {one}"),
        _ if set == MINUTE.all() => format!("every {name}"),
        ([first, .., last], Some(step @ 2..)) if members.len() > MAX_TIMES => match (*first, CYCLE % step) {
            (0, 0) if last + step == CYCLE => format!("every {step} {unit}"),
            _ => format!("every {step} {unit} from {name} {first} to {last}"),
        },
        _ => format!("{name}s {}", stretches(set, |member| member.to_string())),
    }
}

/// `1 to 5, 7 and 9`.
fn stretches(set: u64, name: impl Fn(i64) -> String) -> String {
    and(&stretch_names(set, name))
}

/// Three and more in a row as `1 to 5`, others one by one.
fn stretch_names(set: u64, name: impl Fn(i64) -> String) -> Vec<String> {
    let mut names = Vec::new();
    let mut members = values(set).peekable();
    while let Some(first) = members.next() {
        let mut last = first;
        while members.next_if(|next| *next == last + 1).is_some() {
            last += 1;
        }
        match last - first {
            0 => names.push(name(first)),
            1 => names.extend([name(first), name(last)]),
            _ => names.push(format!("{} to {}", name(first), name(last))),
        }
    }
    names
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
