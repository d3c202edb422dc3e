//! Dates on which an entry does not fire: its own, and those of named calendars.

use std::sync::Arc;

use chrono::NaiveDate;
use serde_json::Value;

use crate::domain::calendar::{Calendars, read_date};
use crate::domain::id::CalendarName;
use crate::domain::reading::{shown, text};
use crate::error::{Error, Result};

/// Most dates that an entry names itself.
pub const DATES_MAX: usize = 366;
/// Most calendars that an entry names.
pub const CALENDARS_MAX: usize = 16;

/// What `exclude` says; cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exclude {
    own: Vec<NaiveDate>,
    calendars: Vec<CalendarName>,
    /// All of them, sorted; without those of the calendars until [`Exclude::with`].
    dates: Arc<[NaiveDate]>,
}

impl Exclude {
    /// Reads a list of dates, `2026-12-25`, and names of calendars; one alone may stand without a list.
    pub(crate) fn parse(field: &str, value: &Value) -> Result<Self> {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            Value::String(_) => std::slice::from_ref(value),
            _ => {
                let why = format!("{} is no list of dates and calendars", shown(value));
                return Err(Error::invalid(field, why)
                    .value(shown(value))
                    .hint("as in [\"2026-12-25\", \"cn-holidays\"]"));
            }
        };
        let mut exclude = Self::default();
        for item in items {
            let item = text(field, item)?;
            let is_date = !item.is_empty()
                && item
                    .chars()
                    .all(|c| c.is_ascii_digit() || matches!(c, '-' | '/' | '.' | ':' | 'T' | 'Z' | ',' | ' '));
            match read_date(item) {
                Some(date) => exclude.own.push(date),
                None if is_date => {
                    let hint = "a whole day in the entry's zone, as 2026-12-25, or the name of a calendar";
                    let dates: Vec<&str> = item.split([',', ' ']).filter(|date| read_date(date).is_some()).collect();
                    let hint = match dates.as_slice() {
                        [_, _, ..] => format!("give each date by itself: --exclude {}", dates.join(" --exclude ")),
                        _ => hint.to_owned(),
                    };
                    let why = format!("{item} is no date of the years 1970 to 2100");
                    return Err(Error::invalid(field, why).value(item).hint(hint));
                }
                None => {
                    let name = CalendarName::parse(field, item)?;
                    if !exclude.calendars.contains(&name) {
                        exclude.calendars.push(name);
                    }
                }
            }
        }
        exclude.own.sort_unstable();
        exclude.own.dedup();
        if exclude.own.len() > DATES_MAX {
            let why = format!("{} dates are too many, {DATES_MAX} are the most", exclude.own.len());
            return Err(Error::invalid(field, why).hint("put them into a calendar: upbeat calendars put NAME -f FILE"));
        }
        if exclude.calendars.len() > CALENDARS_MAX {
            let why = format!("{} calendars are too many, {CALENDARS_MAX} are the most", exclude.calendars.len());
            return Err(Error::invalid(field, why));
        }
        exclude.dates = exclude.own.clone().into();
        Ok(exclude)
    }

    /// The calendars that it names.
    pub fn calendars(&self) -> &[CalendarName] {
        &self.calendars
    }

    /// With the dates of the calendars that it names.
    ///
    /// # Errors
    ///
    /// Invalid about `exclude`, with the names that exist, where one of them is not in `calendars`.
    pub fn with(&self, calendars: &Calendars) -> Result<Self> {
        let mut dates = self.own.clone();
        for name in &self.calendars {
            dates.extend(calendars.get(name).ok_or_else(|| calendars.unknown("exclude", name))?.dates());
        }
        dates.sort_unstable();
        dates.dedup();
        Ok(Self { dates: dates.into(), ..self.clone() })
    }

    /// Whether nothing is excluded.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.calendars.is_empty()
    }

    /// Whether nothing fires on that local date.
    pub fn has(&self, date: NaiveDate) -> bool {
        self.dates.binary_search(&date).is_ok()
    }

    /// The first date after `date` that is not excluded.
    pub(crate) fn first_free_after(&self, date: NaiveDate) -> Option<NaiveDate> {
        let mut free = date.succ_opt()?;
        let after = self.dates.partition_point(|excluded| *excluded < free);
        for excluded in &self.dates[after..] {
            if *excluded != free {
                break;
            }
            free = free.succ_opt()?;
        }
        Some(free)
    }

    /// `, not on 2026-12-25 and the dates of cn-holidays`; nothing where nothing is excluded.
    pub(crate) fn describe(&self) -> String {
        let mut words: Vec<String> = match self.own.len() {
            0..=3 => self.own.iter().map(NaiveDate::to_string).collect(),
            many => vec![format!("{many} dates")],
        };
        words.extend(self.calendars.iter().map(|name| format!("the dates of {name}")));
        match &words[..] {
            [] => String::new(),
            [word] => format!(", not on {word}"),
            [words @ .., last] => format!(", not on {} and {last}", words.join(", ")),
        }
    }
}
