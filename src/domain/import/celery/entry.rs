//! One entry as beats store it: the JSON of RedBeat's `definition` and `meta`, checked part by part.

use std::ops::RangeInclusive;

use chrono::NaiveDate;
use serde_json::{Map, Value};

use super::{shortened, type_of};
use crate::domain::reading::{flag, inside, shown, table, text, whole};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::error::{Error, Result};

/// Longest name of an entry or a task, bytes.
const NAME_MAX_BYTES: usize = 4096;
/// What a definition may hold; RedBeat itself can't read others.
const DEFINITION_KEYS: &[&str] = &[
    "name",
    "task",
    "args",
    "kwargs",
    "options",
    "schedule",
    "enabled",
    // of the exporter
    "start_time",
    "one_off",
];

/// An instant as Python has it: microseconds since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub us: i64,
}

/// One entry of a beat, whatever it is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct BeatEntry {
    /// As the app calls it.
    pub name: String,
    /// The name of the task.
    pub task: String,
    /// Positional arguments, as they stand in the message.
    pub args: Vec<Value>,
    /// Named arguments, as they stand in the message.
    pub kwargs: Map<String, Value>,
    /// What `apply_async` is given.
    pub options: Map<String, Value>,
    /// The schedule with its `__type__`.
    pub schedule: Map<String, Value>,
    /// Whether it fires at all.
    pub is_enabled: bool,
    /// When it fired last.
    pub last_run_at: Option<Instant>,
    /// How often it has fired.
    pub total_run_count: u64,
    /// Nothing fires before: `start_time` of django-celery-beat.
    pub start_at: Option<Instant>,
    /// It fires once and is disabled then: `one_off` of django-celery-beat.
    pub is_one_off: bool,
}

impl BeatEntry {
    /// Reads what RedBeat stores as `definition` and `meta`, and the exporter prints.
    ///
    /// # Errors
    ///
    /// Invalid, about the first part that is not what it should be.
    pub fn read(definition: &Value, meta: Option<&Value>) -> Result<Self> {
        let definition = table("definition", definition)?;
        if let Some(odd) = definition.keys().find(|key| !DEFINITION_KEYS.contains(&key.as_str())) {
            let odd = shortened(odd);
            return Err(Error::invalid(inside("definition", &odd), "is nothing that a beat knows of an entry"));
        }
        let name = name("name", definition.get("name"))?;
        let task = self::name("task", definition.get("task"))?;
        let (last_run_at, total_run_count) = match meta.filter(|meta| !meta.is_null()) {
            Some(meta) => read_meta(table("meta", meta)?)?,
            None => (None, 0),
        };
        Ok(Self {
            name,
            task,
            args: match given(definition, "args") {
                Some(Value::Array(args)) => args.clone(),
                Some(other) => return Err(Error::invalid("args", format!("{} is not a list", shown(other)))),
                None => Vec::new(),
            },
            kwargs: given_table(definition, "kwargs")?,
            options: given_table(definition, "options")?,
            schedule: match given(definition, "schedule") {
                Some(schedule) => table("schedule", schedule)?.clone(),
                None => return Err(Error::invalid("schedule", "is missing")),
            },
            is_enabled: given(definition, "enabled").map_or(Ok(true), |value| flag("enabled", value))?,
            last_run_at,
            total_run_count,
            start_at: given(definition, "start_time").map(|value| Instant::read("start_time", value)).transpose()?,
            is_one_off: given(definition, "one_off").map_or(Ok(false), |value| flag("one_off", value))?,
        })
    }

    /// On one line for people: what it sends and by which kind of schedule.
    pub fn reads(&self) -> String {
        let kind = type_of(&self.schedule).unwrap_or("no schedule");
        format!("{}, {}", shortened(&self.task), shortened(kind))
    }
}

impl Instant {
    /// Reads a datetime as RedBeat writes it: its parts, and the zone as an IANA name or as seconds east of UTC; no zone is UTC.
    ///
    /// # Errors
    ///
    /// Invalid, about `field`: parts that make no date, an unknown zone, outside of 1970 to 2100.
    pub fn read(field: &str, value: &Value) -> Result<Self> {
        let parts = table(field, value)?;
        if type_of(parts) != Some("datetime") {
            return Err(Error::invalid(field, format!("{} is not a datetime", shown(value))));
        }
        let part = |name: &str, range: RangeInclusive<u64>| {
            let place = inside(field, name);
            let value = match parts.get(name) {
                Some(value) => whole(&place, value, range)?,
                // Python has no default for the date itself.
                None if ["year", "month", "day"].contains(&name) => return Err(Error::invalid(place, "is missing")),
                None => 0,
            };
            u32::try_from(value).map_err(|_| Error::invalid(place, "is too great"))
        };
        let year = part("year", 1..=9999)?;
        let (month, day) = (part("month", 1..=12)?, part("day", 1..=31)?);
        let (hour, minute, second) = (part("hour", 0..=23)?, part("minute", 0..=59)?, part("second", 0..=59)?);
        let micro = part("microsecond", 0..=999_999)?;
        let year = i32::try_from(year).unwrap_or_default();
        let local = NaiveDate::from_ymd_opt(year, month, day)
            .and_then(|date| date.and_hms_micro_opt(hour, minute, second, micro));
        let Some(local) = local else {
            return Err(Error::invalid(field, format!("there is no {year:04}-{month:02}-{day:02}")));
        };
        let place = inside(field, "timezone");
        let us = match parts.get("timezone") {
            None | Some(Value::Null) => local.and_utc().timestamp_micros(),
            Some(Value::Number(offset_s)) => {
                // Python refuses offsets of a day and more.
                let offset_s = offset_s.as_f64().filter(|offset_s| offset_s.abs() < 86_400.0);
                let offset_s = offset_s.ok_or_else(|| Error::invalid(&place, "is not less than a day"))?;
                local.and_utc().timestamp_micros() - (offset_s * 1e6) as i64
            }
            Some(zone) => {
                let zone = Zone::parse(&place, text(&place, zone)?)?;
                zone.from_local(local).first().ms() * 1000 + i64::from(micro % 1000)
            }
        };
        let at = Self { us };
        if !(Timestamp::FIRST..=Timestamp::LAST).contains(&at.timestamp()) {
            return Err(Error::invalid(field, format!("{year} is outside of the years 1970 to 2100")));
        }
        Ok(at)
    }

    /// Cut to a whole millisecond.
    pub fn timestamp(self) -> Timestamp {
        Timestamp(self.us.div_euclid(1000))
    }
}

fn read_meta(meta: &Map<String, Value>) -> Result<(Option<Instant>, u64)> {
    let last_run_at = given(meta, "last_run_at").map(|value| Instant::read("last_run_at", value)).transpose()?;
    let runs = given(meta, "total_run_count").map(|value| whole("total_run_count", value, 0..=u64::MAX)).transpose()?;
    Ok((last_run_at, runs.unwrap_or(0)))
}

/// What is there and not null.
pub(super) fn given<'m>(map: &'m Map<String, Value>, key: &str) -> Option<&'m Value> {
    map.get(key).filter(|value| !value.is_null())
}

fn given_table(map: &Map<String, Value>, key: &str) -> Result<Map<String, Value>> {
    given(map, key).map_or(Ok(Map::new()), |value| table(key, value).cloned())
}

fn name(field: &str, value: Option<&Value>) -> Result<String> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Err(Error::invalid(field, "is missing"));
    };
    let name = text(field, value)?;
    if name.is_empty() {
        return Err(Error::invalid(field, "is empty"));
    }
    if name.len() > NAME_MAX_BYTES {
        return Err(Error::invalid(field, format!("{} bytes are too many, {NAME_MAX_BYTES} are the most", name.len())));
    }
    Ok(name.to_owned())
}
