//! Named calendars: sets of dates that entries exclude, kept in Redis, read from iCalendar or lists.

mod ical;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::id::CalendarName;
use crate::domain::nearest::nearest;
use crate::domain::reading::{shown, text};
use crate::domain::timestamp::Timestamp;
use crate::domain::{json_text, toml_text};
use crate::error::{Error, Problem, Result};

/// Most dates of a calendar.
pub const CALENDAR_DATES_MAX: usize = 10_000;
/// Greatest file that a calendar is read from, bytes.
pub const CALENDAR_FILE_MAX_BYTES: usize = 1024 * 1024;
/// Most calendars of a namespace.
pub const CALENDARS_MAX: usize = 100;

/// A set of dates; each entry reads them in its own zone. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    dates: Arc<[NaiveDate]>,
}

impl Calendar {
    /// Reads a file: iCalendar, a JSON or TOML list (`dates = [...]`), or a date a line with `#` before comments.
    ///
    /// Of iCalendar each event counts with all dates that it touches, as they are written there: an all-day event up to the
    /// day before its end, one with times from the date of its start to that of its last moment. Cancelled ones do not count;
    /// `RRULE`, `EXDATE` and `RDATE` do, up to 2100.
    ///
    /// # Errors
    ///
    /// Invalid, about the line of `name`; also where there are no dates or more than 10,000.
    pub fn read(name: &str, file: &str) -> Result<Self> {
        let about = |why: String| Error::Invalid(Problem::bare(why).at(name, None));
        if file.len() > CALENDAR_FILE_MAX_BYTES {
            let why = format!("{} bytes are too many, {CALENDAR_FILE_MAX_BYTES} are the most", file.len());
            return Err(about(why));
        }
        let file = file.strip_prefix('\u{feff}').unwrap_or(file);
        let begin = file.trim_start();
        if begin.get(..15).is_some_and(|begin| begin.eq_ignore_ascii_case("BEGIN:VCALENDAR")) {
            return Self::of(ical::dates(name, file)?, about);
        }
        if begin.starts_with(['[', '{']) && !begin.starts_with("[calendar") {
            let value = json_text::parse(name, file)?;
            return Self::of_list("dates", value.get("dates").unwrap_or(&value)).map_err(|why| why.at(name, None));
        }
        if name.to_ascii_lowercase().ends_with(".toml") || begin.starts_with("dates") {
            let table = toml_text::parse(name, file).map_err(|mut errors| errors.swap_remove(0))?;
            let Some(dates) = table.get("dates") else {
                return Err(about("dates is missing".to_owned()).hint("as in dates = [\"2026-12-25\"]"));
            };
            return Self::of_list("dates", dates).map_err(|why| why.at(name, None));
        }
        let mut dates = BTreeSet::new();
        for (number, line) in file.lines().enumerate() {
            let word = line.split('#').next().unwrap_or_default().trim();
            if word.is_empty() {
                continue;
            }
            let Some(date) = read_date(word) else {
                let shown: String = word.chars().take(60).collect();
                let why = format!("{shown:?} is no date of the years 1970 to 2100");
                return Err(Error::Invalid(Problem::bare(why).at(name, Some(number + 1)))
                    .hint("a date a line, as 2026-12-25, # before a comment; or an iCalendar file"));
            };
            dates.insert(date);
        }
        Self::of(dates, about)
    }

    /// Reads a list of dates, as `dates = [...]` of a schedule file holds it.
    pub fn of_list(field: &str, value: &Value) -> Result<Self> {
        let Value::Array(items) = value else {
            let why = format!("{} is no list of dates", shown(value));
            return Err(Error::invalid(field, why).hint("as in [\"2026-12-25\"]"));
        };
        let mut dates = BTreeSet::new();
        for item in items {
            let item = text(field, item)?;
            let refuse = || Error::invalid(field, format!("{item:?} is no date of the years 1970 to 2100")).value(item);
            dates.insert(read_date(item).ok_or_else(|| refuse().hint("as in 2026-12-25"))?);
        }
        Self::of(dates, |why| Error::invalid(field, why))
    }

    fn of(dates: BTreeSet<NaiveDate>, refuse: impl Fn(String) -> Error) -> Result<Self> {
        match dates.len() {
            0 => Err(refuse("holds no dates".to_owned())),
            count if count > CALENDAR_DATES_MAX => {
                Err(refuse(format!("more than {CALENDAR_DATES_MAX} dates")).hint("end rules without end with UNTIL"))
            }
            _ => Ok(Self { dates: dates.into_iter().collect() }),
        }
    }

    /// Its dates, sorted.
    pub fn dates(&self) -> &[NaiveDate] {
        &self.dates
    }

    /// Its dates as they are written.
    pub fn to_json(&self) -> Value {
        self.dates.iter().map(NaiveDate::to_string).collect()
    }
}

/// Calendars by name, as they stand at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calendars(pub BTreeMap<CalendarName, StoredCalendar>);

impl Calendars {
    /// The dates of one.
    pub fn get(&self, name: &CalendarName) -> Option<&Calendar> {
        self.0.get(name).map(|stored| &stored.dates)
    }

    /// The complaint about a name that is none of them, with the nearest or all that are.
    pub fn unknown(&self, field: &str, name: &CalendarName) -> Error {
        let error = Error::invalid(field, format!("no calendar is called {name}")).value(name.as_str());
        let known: Vec<&str> = self.0.keys().map(CalendarName::as_str).collect();
        match nearest(name.as_str(), known.iter().copied()) {
            Some(meant) => error.hint(format!("did you mean {meant}?")),
            None if known.is_empty() => error.hint(format!("there are none yet: upbeat calendars put {name} -f FILE")),
            None => error.hint(format!("there are {}; upbeat calendars put {name} -f FILE makes it", known.join(", "))),
        }
    }
}

/// A calendar as it stands in Redis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredCalendar {
    /// The least version that can read it.
    pub v: u32,
    /// 1 for a new one; grows with each change.
    pub revision: u64,
    /// When this revision was written, ms.
    pub at: Timestamp,
    /// Who wrote it.
    pub actor: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its dates.
    pub dates: Calendar,
}

impl Serialize for Calendar {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Calendar {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::of_list("dates", &value).map_err(serde::de::Error::custom)
    }
}

/// `2026-12-25` of the years 1970 to 2100.
pub(crate) fn read_date(text: &str) -> Option<NaiveDate> {
    let bytes = text.as_bytes();
    let has_form = bytes.len() == 10
        && bytes
            .iter()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() });
    let date = has_form.then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten()?;
    (1970..=2100).contains(&date.year()).then_some(date)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
