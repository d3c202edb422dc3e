//! The dates of an iCalendar file (RFC 5545): what its events touch.
//!
//! A reader of our own, since a complaint has to name the line.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

use super::CALENDAR_DATES_MAX;
use crate::domain::rrule::Rrule;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::{Dst, Zone};
use crate::error::{Error, Problem, Result};

/// An event, property by property, each with its line.
#[derive(Default)]
struct Event {
    begin: usize,
    properties: Vec<Property>,
}

struct Property {
    line: usize,
    name: String,
    parameters: String,
    value: String,
}

/// All dates that the events of `file` touch.
pub(super) fn dates(name: &str, file: &str) -> Result<BTreeSet<NaiveDate>> {
    let refuse = |line: usize, why: String| Error::Invalid(Problem::bare(why).at(name, Some(line)));
    let mut dates = BTreeSet::new();
    let mut open: Vec<String> = Vec::new();
    let mut event: Option<Event> = None;
    for (line, text) in unfolded(file) {
        let Some(property) = property(line, &text) else {
            let shown: String = text.chars().take(60).collect();
            return Err(refuse(line, format!("{shown:?} is not NAME:VALUE")));
        };
        match (property.name.as_str(), property.value.to_ascii_uppercase().as_str()) {
            ("BEGIN", component) => {
                if component == "VEVENT" {
                    event = Some(Event { begin: line, properties: Vec::new() });
                }
                open.push(component.to_owned());
            }
            ("END", component) => {
                if open.pop().as_deref() != Some(component) {
                    return Err(refuse(line, format!("END:{component} has no BEGIN")));
                }
                if component == "VEVENT" {
                    event.take().unwrap_or_default().add_to(&mut dates).map_err(|(line, why)| refuse(line, why))?;
                }
                if dates.len() > CALENDAR_DATES_MAX {
                    return Err(refuse(line, format!("with this event they are more than {CALENDAR_DATES_MAX} dates"))
                        .hint("end rules without end with UNTIL"));
                }
            }
            _ => {
                if let Some(event) = event.as_mut().filter(|_| open.last().is_some_and(|last| last == "VEVENT")) {
                    event.properties.push(property);
                }
            }
        }
    }
    match open.last() {
        Some(component) => Err(refuse(file.lines().count().max(1), format!("END:{component} is missing"))),
        None => Ok(dates),
    }
}

/// Lines with those that go on put together, each with the number of its first.
fn unfolded(file: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (at, line) in file.lines().enumerate() {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some((_, last))) => last.push_str(rest),
            _ if line.trim().is_empty() => {}
            _ => lines.push((at + 1, line.to_owned())),
        }
    }
    lines
}

/// `NAME;PARAMETERS:VALUE`; a colon in quotes belongs to a parameter.
fn property(line: usize, text: &str) -> Option<Property> {
    let mut is_quoted = false;
    let colon = text.char_indices().find(|(_, c)| {
        is_quoted ^= *c == '"';
        *c == ':' && !is_quoted
    });
    let (head, value) = text.split_at(colon?.0);
    let (name, parameters) = head.split_once(';').unwrap_or((head, ""));
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_name.then(|| Property {
        line,
        name: name.to_ascii_uppercase(),
        parameters: parameters.to_owned(),
        value: value[1..].trim().to_owned(),
    })
}

/// A refusal with its line.
type Read<T> = std::result::Result<T, (usize, String)>;

impl Property {
    fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.parameters.split(';').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim_matches('"')).next()
    }

    /// Its dates or times; whether they are dates stands with each.
    fn moments(&self) -> Read<Vec<(NaiveDateTime, bool)>> {
        self.value.split(',').map(|text| self.moment(text)).collect()
    }

    fn moment(&self, text: &str) -> Read<(NaiveDateTime, bool)> {
        // Of a period only its start counts.
        let text = text.split('/').next().unwrap_or_default();
        let (date, time) = text.split_once(['T', 't']).map_or((text, None), |(date, time)| (date, Some(time)));
        let read = || {
            let is_date = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
            let date = is_date.then(|| NaiveDate::parse_from_str(date, "%Y%m%d").ok()).flatten()?;
            let date = (1970..=2100).contains(&date.year()).then_some(date)?;
            match time {
                None => Some((date.and_time(NaiveTime::MIN), true)),
                Some(time) => {
                    let time = time.trim_end_matches(['Z', 'z']);
                    Some((date.and_time(NaiveTime::parse_from_str(time, "%H%M%S").ok()?), false))
                }
            }
        };
        let shown: String = text.chars().take(40).collect();
        read().ok_or_else(|| (self.line, format!("{}: {shown:?} is no date of the years 1970 to 2100", self.name)))
    }
}

impl Event {
    fn get(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Property> {
        self.properties.iter().filter(move |property| property.name == name)
    }

    fn add_to(&self, dates: &mut BTreeSet<NaiveDate>) -> Read<()> {
        if self.get("STATUS").is_some_and(|status| status.value.eq_ignore_ascii_case("CANCELLED")) {
            return Ok(());
        }
        if let Some(property) = self.get("RECURRENCE-ID") {
            return Err((property.line, "RECURRENCE-ID: single changes of a repeated event are not read".to_owned()));
        }
        let Some(start) = self.get("DTSTART") else {
            return Err((self.begin, "the event has no DTSTART".to_owned()));
        };
        let (from, is_all_day) = start.moment(&start.value)?;
        let length = self.length(from, is_all_day)?;
        let mut begins = BTreeSet::from([from]);
        for rdate in self.all("RDATE") {
            begins.extend(rdate.moments()?.into_iter().map(|(at, _)| at));
        }
        if let Some(rule) = self.get("RRULE") {
            repeat(rule, start, from, &mut begins)?;
        }
        for exdate in self.all("EXDATE") {
            for (at, is_date) in exdate.moments()? {
                begins.retain(|begin| *begin != at && !(is_date && begin.date() == at.date()));
            }
        }
        for begin in begins {
            let last = (begin + length).date();
            for date in begin.date().iter_days().take_while(|date| *date <= last) {
                dates.insert(date);
                if dates.len() > CALENDAR_DATES_MAX {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// From the first moment to the last one that belongs to it.
    fn length(&self, from: NaiveDateTime, is_all_day: bool) -> Read<TimeDelta> {
        let length = match (self.get("DTEND"), self.get("DURATION")) {
            (Some(end), _) => {
                let (to, _) = end.moment(&end.value)?;
                if to < from {
                    return Err((end.line, "DTEND is before DTSTART".to_owned()));
                }
                to - from
            }
            (None, Some(duration)) => read_duration(&duration.value)
                .ok_or_else(|| (duration.line, format!("DURATION: {:?} is none, as in P1D or PT2H", duration.value)))?,
            (None, None) if is_all_day => TimeDelta::days(1),
            (None, None) => TimeDelta::zero(),
        };
        Ok((length - TimeDelta::seconds(1)).max(TimeDelta::zero()))
    }
}

/// The begins of a repeated event.
fn repeat(rule: &Property, start: &Property, from: NaiveDateTime, begins: &mut BTreeSet<NaiveDateTime>) -> Read<()> {
    let zone = start.parameter("TZID").and_then(|name| Zone::parse("tz", name).ok()).unwrap_or_else(Zone::utc);
    let begin = zone.from_local(from).first();
    let read = Rrule::parse("RRULE", &rule.value, Some(begin), &zone).map_err(|why| (rule.line, why.to_string()))?;
    let next = |at: &Timestamp| read.next_after(&zone, Dst::default(), *at);
    let times = std::iter::successors(read.next_after(&zone, Dst::default(), Timestamp(begin.0 - 1)), next);
    begins.extend(times.take(CALENDAR_DATES_MAX + 1).map(|at| zone.to_local(at)));
    Ok(())
}

/// `P1W`, `P1DT2H30M`.
fn read_duration(text: &str) -> Option<TimeDelta> {
    let mut seconds: i64 = 0;
    let mut is_time = false;
    let mut digits = String::new();
    let mut is_any = false;
    for c in text.trim_start_matches('+').strip_prefix('P')?.chars() {
        let unit_s = match (c, is_time) {
            ('0'..='9', _) if digits.len() < 6 => {
                digits.push(c);
                continue;
            }
            ('T', false) if digits.is_empty() => {
                is_time = true;
                continue;
            }
            ('W', false) => 604_800,
            ('D', false) => 86_400,
            ('H', true) => 3_600,
            ('M', true) => 60,
            ('S', true) => 1,
            _ => return None,
        };
        seconds += digits.parse::<i64>().ok()? * unit_s;
        digits.clear();
        is_any = true;
    }
    (is_any && digits.is_empty()).then(|| TimeDelta::seconds(seconds))
}
