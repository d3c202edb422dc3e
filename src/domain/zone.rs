//! Time zones by IANA name, over one release of the zone database.
//!
//! The only file that knows how rules are read. Which release it is, is chosen once per process: see [`ZoneData`].

use std::fmt;
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, NaiveDateTime};
use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::domain::timestamp::Timestamp;
use crate::error::Result;

mod data;
mod dst;
mod suggest;

pub use data::{Bundled, ZoneData, choose};
pub use dst::{Dst, Fold, Gap};

/// A time zone; cheap to clone.
#[derive(Clone)]
pub struct Zone {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    rules: TimeZone,
    /// Offsets in seconds, and since when, ms; from 1970 to 2100.
    offsets: OnceLock<Vec<(i64, i64)>>,
}

/// The instants that a local date and time stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    /// The usual case.
    One(Timestamp),
    /// The clock was put back: first and second pass.
    Two(Timestamp, Timestamp),
    /// The clock was put forward over it.
    Gap {
        /// The first instant after the gap.
        end: Timestamp,
    },
}

impl Local {
    /// The one instant that upbeat takes: the first pass, or the first instant after the gap.
    pub fn first(self) -> Timestamp {
        match self {
            Self::One(at) | Self::Two(at, _) | Self::Gap { end: at } => at,
        }
    }
}

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        static UTC: OnceLock<Zone> = OnceLock::new();
        UTC.get_or_init(|| Self::new("UTC", TimeZone::UTC)).clone()
    }

    fn new(name: &str, rules: TimeZone) -> Self {
        Self { shared: Arc::new(Shared { name: name.to_owned(), rules, offsets: OnceLock::new() }) }
    }

    fn read(name: &str, tzif: &[u8]) -> std::result::Result<Self, jiff::Error> {
        Ok(Self::new(name, TimeZone::tzif(name, tzif)?))
    }

    /// The zone of that exact IANA name; links like `US/Pacific` are names too.
    ///
    /// # Errors
    /// Invalid, about `field`, with the nearest zones; also for abbreviations like `CST` and for `local`.
    pub fn parse(field: &str, name: &str) -> Result<Self> {
        if suggest::is_refused(name) {
            return Err(suggest::refusal(field, name));
        }
        data::chosen().zone(name)?.ok_or_else(|| suggest::refusal(field, name))
    }

    /// The IANA name, as it was asked for.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Whether it is the same one in memory, so that its rules are the same, too.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Release of the zone database that this process uses, like `2026e`.
    pub fn data_version() -> &'static str {
        data::chosen().data.version()
    }

    /// Seconds east of Greenwich at that instant.
    pub fn offset_seconds(&self, at: Timestamp) -> i32 {
        self.shared.rules.to_offset(instant(at)).seconds()
    }

    /// `CET`, `UTC` or, where the zone has no letters, `+08`.
    pub fn abbreviation(&self, at: Timestamp) -> String {
        self.shared.rules.to_offset_info(instant(at)).abbreviation().to_owned()
    }

    /// What a clock on the wall shows; instants beyond the years -9999 to 9999 are cut to them.
    pub fn to_local(&self, at: Timestamp) -> NaiveDateTime {
        let ms = instant(at).as_millisecond().saturating_add(i64::from(self.offset_seconds(at)) * 1000);
        DateTime::from_timestamp_millis(ms).unwrap_or_default().naive_utc()
    }

    /// The instants at which a clock on the wall shows `local`.
    pub fn from_local(&self, local: NaiveDateTime) -> Local {
        let utc_ms = local.and_utc().timestamp_millis();
        let at = |offset: jiff::tz::Offset| Timestamp(utc_ms.saturating_sub(i64::from(offset.seconds()) * 1000));
        match self.shared.rules.to_ambiguous_timestamp(civil_of(utc_ms)).offset() {
            AmbiguousOffset::Unambiguous { offset } => Local::One(at(offset)),
            AmbiguousOffset::Fold { before, after } => Local::Two(at(before), at(after)),
            AmbiguousOffset::Gap { before, after } => {
                // the jump lies between the two readings of `local`
                let jump = self.shared.rules.following(instant(at(after))).find(|jump| jump.offset() == after);
                Local::Gap { end: jump.map_or(at(before), |jump| Timestamp(jump.timestamp().as_millisecond())) }
            }
        }
    }

    /// The first instant after `at` with new rules, often another offset.
    pub(crate) fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        let change = self.shared.rules.following(instant(at)).next();
        change.map(|change| Timestamp(change.timestamp().as_millisecond()))
    }

    /// The first instant after `at` with another offset.
    pub(crate) fn next_offset_change(&self, at: Timestamp) -> Option<Timestamp> {
        let offset = self.offset_seconds(at);
        let change = self.shared.rules.following(instant(at)).find(|change| change.offset().seconds() != offset);
        change.map(|change| Timestamp(change.timestamp().as_millisecond()))
    }

    /// Whether it is UTC or one of `Etc/`, which no law can change.
    pub fn has_constant_offset(&self) -> bool {
        self.name().starts_with("Etc/") || suggest::NAMES_OF_UTC.contains(&self.name())
    }

    /// Whether all offsets from `from` to 2100 leave the same remainder when divided by `step_s` seconds: what repeats in that
    /// step by a clock on the wall repeats so in real time.
    pub(crate) fn keeps_step(&self, from: Timestamp, step_s: i64) -> bool {
        let offsets = self.shared.offsets.get_or_init(|| self.all_offsets());
        let first = i64::from(self.offset_seconds(from)).rem_euclid(step_s);
        let later = offsets.iter().rev().take_while(|(since, _)| *since > from.ms());
        later.into_iter().all(|(_, offset)| offset.rem_euclid(step_s) == first)
    }

    fn all_offsets(&self) -> Vec<(i64, i64)> {
        let changes = self.shared.rules.following(jiff::Timestamp::UNIX_EPOCH);
        let changes = changes.map(|change| (change.timestamp().as_millisecond(), i64::from(change.offset().seconds())));
        changes.take_while(|(since, _)| *since <= Timestamp::LAST.ms()).collect()
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name())
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// All names that are read.
pub fn names() -> impl Iterator<Item = String> {
    data::chosen().data.names().into_iter().filter(|name| !suggest::is_refused(name))
}

/// As jiff's type; instants beyond its range are cut to it.
fn instant(at: Timestamp) -> jiff::Timestamp {
    let limit = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(at.0).unwrap_or(limit)
}

/// Local time, given as if it were UTC, as jiff's type; beyond its range cut to it.
fn civil_of(utc_ms: i64) -> civil::DateTime {
    TimeZone::UTC.to_datetime(instant(Timestamp(utc_ms)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
