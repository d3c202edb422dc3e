//! A plain reading of a rule.

use chrono::Weekday;
use rrule::Frequency;

use super::next::Form;
use super::read::{Ending, Parts};
use super::{Compiled, Rrule};
use crate::domain::cron::MONTHS;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;

/// More times than these are no list that people read.
const MAX_TIMES: usize = 4;

impl Rrule {
    /// `every 2 weeks on Tuesday and Sunday at 09:00, Europe/Berlin`; the first possible time stands with `start`.
    pub fn describe(&self, zone: &Zone) -> String {
        let Compiled { parts, form, .. } = &*self.compiled;
        let mut text = parts.days();
        if !parts.positions.is_empty() {
            let which: Vec<String> = parts.positions.iter().map(|at| nth(i64::from(*at))).collect();
            text.push_str(&format!(", of these the {}", and(&which)));
        }
        text.push_str(&times(form, parts, self));
        text.push_str(&format!(", {zone}"));
        match parts.ending {
            Ending::Never => {}
            Ending::Count(1) => text.push_str(", once"),
            Ending::Count(count) => text.push_str(&format!(", {count} times")),
            Ending::Until(at) => text.push_str(&format!(", up to {}", wall_time(at, zone))),
            Ending::UntilLocal(at) => text.push_str(&format!(", up to {}", at.format("%Y-%m-%d %H:%M"))),
        }
        text
    }
}

impl Parts {
    fn days(&self) -> String {
        let unit = match self.frequency {
            Frequency::Yearly => "year",
            Frequency::Monthly => "month",
            Frequency::Weekly => "week",
            Frequency::Daily => "day",
            Frequency::Hourly => "hour",
            Frequency::Minutely => "minute",
            Frequency::Secondly => "second",
        };
        let mut text = match self.interval {
            1 => format!("every {unit}"),
            many => format!("every {many} {unit}s"),
        };
        let each = |numbers: &[i64]| and(&numbers.iter().map(|number| nth(*number)).collect::<Vec<_>>());
        if !self.months.is_empty() {
            let names: Vec<String> =
                self.months.iter().map(|month| MONTHS[usize::from(*month - 1) % 12].to_owned()).collect();
            text.push_str(&format!(" in {}", and(&names)));
        }
        if !self.weeks.is_empty() {
            let weeks: Vec<i64> = self.weeks.iter().map(|week| i64::from(*week)).collect();
            text.push_str(&format!(" in the {} week of the year", each(&weeks)));
        }
        if !self.year_days.is_empty() {
            let days: Vec<i64> = self.year_days.iter().map(|day| i64::from(*day)).collect();
            text.push_str(&format!(" on the {} day of the year", each(&days)));
        }
        if !self.month_days.is_empty() {
            let days: Vec<i64> = self.month_days.iter().map(|day| i64::from(*day)).collect();
            text.push_str(&format!(" on the {} day of the month", each(&days)));
        }
        if !self.week_days.is_empty() {
            let names = self.week_days.iter().map(|(number, day)| match number {
                0 => name(*day).to_owned(),
                number => format!("the {} {}", nth(i64::from(*number)), name(*day)),
            });
            let names: Vec<String> = names.collect();
            let only = if self.month_days.is_empty() && self.year_days.is_empty() { " on" } else { ", only if it is" };
            text.push_str(&format!("{only} {}", if only == " on" { and(&names) } else { or(&names) }));
        }
        text
    }
}

fn times(form: &Form, parts: &Parts, rule: &Rrule) -> String {
    let shown = |second: u32| match second % 60 {
        0 => format!("{:02}:{:02}", second / 3600, second / 60 % 60),
        rest => format!("{:02}:{:02}:{rest:02}", second / 3600, second / 60 % 60),
    };
    match form {
        Form::Times(times) if times.len() <= MAX_TIMES => {
            format!(" at {}", and(&times.iter().map(|second| shown(*second)).collect::<Vec<_>>()))
        }
        Form::Times(times) => {
            let (first, last) = (times.first().copied().unwrap_or(0), times.last().copied().unwrap_or(0));
            format!(", {} times a day from {} to {}", times.len(), shown(first), shown(last))
        }
        Form::Chosen => {
            let (hours, minutes, seconds) = super::dates::times_of(parts, rule.begin());
            match (&hours[..], &minutes[..], &seconds[..]) {
                ([hour], [minute], [second]) => format!(" at {}", shown(hour * 3600 + minute * 60 + second)),
                _ => format!(" among {} times a day", hours.len() * minutes.len() * seconds.len()),
            }
        }
        Form::Even { first, offsets_s, .. } => {
            let from = first.format("%H:%M");
            match &offsets_s[..] {
                [0] => format!(", counted from {from}"),
                offsets if offsets.len() <= MAX_TIMES => {
                    let past: Vec<String> = offsets.iter().map(|offset| past(*offset)).collect();
                    format!(", {} past, counted from {from}", and(&past))
                }
                offsets => format!(", {} times each, counted from {from}", offsets.len()),
            }
        }
    }
}

/// `30 min` after the beginning of a period.
fn past(offset_s: impl Into<i64>) -> String {
    Span(offset_s.into().unsigned_abs() * 1000).human()
}

fn wall_time(at: Timestamp, zone: &Zone) -> String {
    zone.to_local(at).format("%Y-%m-%d %H:%M").to_string()
}

fn name(day: Weekday) -> &'static str {
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"][day.num_days_from_monday() as usize]
}

/// `1st`, `last`, `3rd last`.
fn nth(number: i64) -> String {
    let count = number.unsigned_abs();
    let ending = match (count % 10, count % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    match (number < 0, count) {
        (false, count) => format!("{count}{ending}"),
        (true, 1) => "last".to_owned(),
        (true, count) => format!("{count}{ending} last"),
    }
}

fn and(words: &[String]) -> String {
    joined(words, "and")
}

fn or(words: &[String]) -> String {
    joined(words, "or")
}

fn joined(words: &[String], with: &str) -> String {
    match words {
        [] => String::new(),
        [word] => word.clone(),
        [words @ .., last] => format!("{} {with} {last}", words.join(", ")),
    }
}
