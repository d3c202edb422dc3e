//! RedBeat's rrule: the arguments of dateutil, and two instants with fixed offsets where there were zones.

use chrono::DateTime;
use serde_json::{Map, Value};

use super::entry::given;
use super::{shortened, type_of};
use crate::domain::reading::{inside, shown};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::error::{Error, Result};

const FREQUENCIES: [&str; 7] = ["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"];
const WEEK_DAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
/// Lists of numbers, and the parts that they are of a rule.
const LISTS: [(&str, &str); 8] = [
    ("bymonth", "BYMONTH"),
    ("bymonthday", "BYMONTHDAY"),
    ("byyearday", "BYYEARDAY"),
    ("byweekno", "BYWEEKNO"),
    ("byhour", "BYHOUR"),
    ("byminute", "BYMINUTE"),
    ("bysecond", "BYSECOND"),
    ("bysetpos", "BYSETPOS"),
];
/// The others.
const KEYS: [&str; 11] = [
    "__type__",
    "freq",
    "interval",
    "count",
    "wkst",
    "until",
    "until_tz",
    "dtstart",
    "dtstart_tz",
    "byweekday",
    "byeaster",
];
/// Offsets that are no whole hours, minutes, and zones that have had them since the nineties.
const ODD_OFFSETS: [(i64, &str); 7] = [
    (330, "Asia/Kolkata"),
    (345, "Asia/Kathmandu"),
    (270, "Asia/Kabul"),
    (390, "Asia/Yangon"),
    (570, "Australia/Darwin"),
    (525, "Australia/Eucla"),
    (-570, "Pacific/Marquesas"),
];

/// A rule, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recurrence {
    /// For `rrule`.
    pub rule: String,
    /// For `start`.
    pub begin: Timestamp,
    /// For `end`, where the rule has a COUNT and can't say UNTIL, too.
    pub end: Option<Timestamp>,
    /// For `tz`, with a fixed offset.
    pub tz: &'static str,
    /// Whether a day of the week may have lost its number.
    pub names_week_days: bool,
}

/// Reads the arguments as RedBeat stores them.
///
/// # Errors
///
/// Invalid about the key; whether the parts go together is for the reader of rules to say.
pub(super) fn read(schedule: &Map<String, Value>) -> Result<Recurrence> {
    let is_known = |key: &str| KEYS.contains(&key) || LISTS.iter().any(|(list, _)| *list == key);
    if let Some(odd) = schedule.keys().find(|key| !is_known(key)) {
        return Err(Error::invalid(place(&shortened(odd)), "is no argument of a rule, and RedBeat can't read it"));
    }
    if given(schedule, "byeaster").is_some() {
        return Err(Error::invalid(place("byeaster"), "Easter is not among the parts of a rule")
            .hint("the dates as at, an entry each, or cron with exclude and a calendar"));
    }
    let Some(begin_s) = given(schedule, "dtstart") else {
        return Err(Error::invalid(place("dtstart"), "is missing: RedBeat begins the rule anew whenever it reads it")
            .hint("give the rule a dtstart"));
    };
    let begin = instant("dtstart", begin_s)?;
    let tz = zone_of(schedule.get("dtstart_tz"))?;
    let mut rule = format!("FREQ={}", frequency(given(schedule, "freq"))?);
    let mut part = |name: &str, value: String| rule.push_str(&format!(";{name}={value}"));
    if let Some(interval) = given(schedule, "interval") {
        match whole("interval", interval)? {
            1 => {}
            interval => part("INTERVAL", interval.to_string()),
        }
    }
    if let Some(first) = given(schedule, "wkst") {
        part("WKST", week_day("wkst", first)?);
    }
    for (key, name) in LISTS {
        let numbers = list(given(schedule, key)).map(|number| whole(key, number).map(|number| number.to_string()));
        let numbers = numbers.collect::<Result<Vec<_>>>()?;
        if !numbers.is_empty() {
            part(name, numbers.join(","));
        }
    }
    let days = list(given(schedule, "byweekday")).map(|day| week_day("byweekday", day)).collect::<Result<Vec<_>>>()?;
    if !days.is_empty() {
        part("BYDAY", days.join(","));
    }
    let count = given(schedule, "count").map(|count| whole("count", count)).transpose()?;
    let until = given(schedule, "until").map(|until| instant("until", until)).transpose()?;
    let mut end = None;
    match (count, until) {
        // The last second counts; nothing fires at `end` itself.
        (Some(_), Some(until)) => end = Some(Timestamp(until.ms() + 1000)),
        (None, Some(until)) => part("UNTIL", until.to_utc().format("%Y%m%dT%H%M%SZ").to_string()),
        (_, None) => {}
    }
    if let Some(count) = count {
        part("COUNT", count.to_string());
    }
    // Only rules by the month and the year have days with numbers.
    let is_long = rule.starts_with("FREQ=YEARLY") || rule.starts_with("FREQ=MONTHLY");
    Ok(Recurrence { rule, begin, end, tz, names_week_days: is_long && !days.is_empty() })
}

fn place(key: &str) -> String {
    inside("schedule", key)
}

/// One value or several.
fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let values: &[Value] = match value {
        Some(Value::Array(values)) => values,
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    values.iter()
}

fn whole(key: &str, value: &Value) -> Result<i64> {
    value.as_i64().ok_or_else(|| Error::invalid(place(key), format!("{} is not a whole number", shown(value))))
}

fn frequency(value: Option<&Value>) -> Result<&'static str> {
    let refuse = |why: String| Error::invalid(place("freq"), why);
    let value = value.ok_or_else(|| refuse("is missing".to_owned()))?;
    let found = match value {
        Value::String(word) => FREQUENCIES.into_iter().find(|name| word.eq_ignore_ascii_case(name)),
        _ => value.as_u64().and_then(|at| FREQUENCIES.get(usize::try_from(at).ok()?).copied()),
    };
    found.ok_or_else(|| refuse(format!("{} is not one of 0 (YEARLY) to 6 (SECONDLY)", shown(value))))
}

/// Monday is 0; with the number that a newer RedBeat may have kept.
fn week_day(key: &str, value: &Value) -> Result<String> {
    let refuse = || Error::invalid(place(key), format!("{} is not a day of the week, 0 (Monday) to 6", shown(value)));
    let (day, number) = match value {
        Value::Object(parts) if type_of(parts) == Some("weekday") => (parts.get("wkday"), given(parts, "n")),
        value => (Some(value), None),
    };
    let at = day.and_then(Value::as_u64).and_then(|at| usize::try_from(at).ok());
    let day = at.and_then(|at| WEEK_DAYS.get(at)).ok_or_else(refuse)?;
    match number {
        Some(number) => Ok(format!("{}{day}", number.as_i64().ok_or_else(refuse)?)),
        None => Ok((*day).to_owned()),
    }
}

/// Seconds since 1970.
fn instant(key: &str, value: &Value) -> Result<Timestamp> {
    let seconds = value.as_f64().filter(|seconds| (0.0..4_133_980_800.0).contains(seconds));
    let seconds = seconds.and_then(|seconds| DateTime::from_timestamp(seconds as i64, 0));
    let at = seconds.ok_or_else(|| {
        let why = format!("{} is not a number of seconds within the years 1970 to 2100", shown(value));
        Error::invalid(place(key), why)
    })?;
    Ok(Timestamp(at.timestamp_millis()))
}

/// A zone that always has this offset, minutes.
fn zone_of(offset: Option<&Value>) -> Result<&'static str> {
    let offset = match offset.filter(|offset| !offset.is_null()) {
        None => return Ok("UTC"),
        Some(offset) => offset,
    };
    let minutes = offset.as_f64().filter(|minutes| minutes.fract() == 0.0 && minutes.abs() < 1440.0);
    let name = minutes.and_then(|minutes| fixed_zone(minutes as i64));
    name.ok_or_else(|| {
        Error::invalid(place("dtstart_tz"), format!("no zone has always been {} minutes from UTC", shown(offset)))
            .hint("write the rule by hand, with the tz that is meant")
    })
}

fn fixed_zone(minutes: i64) -> Option<&'static str> {
    /// From -12 to +14 hours; the signs of these names are the other way round.
    const WHOLE: [&str; 27] = [
        "Etc/GMT+12",
        "Etc/GMT+11",
        "Etc/GMT+10",
        "Etc/GMT+9",
        "Etc/GMT+8",
        "Etc/GMT+7",
        "Etc/GMT+6",
        "Etc/GMT+5",
        "Etc/GMT+4",
        "Etc/GMT+3",
        "Etc/GMT+2",
        "Etc/GMT+1",
        "UTC",
        "Etc/GMT-1",
        "Etc/GMT-2",
        "Etc/GMT-3",
        "Etc/GMT-4",
        "Etc/GMT-5",
        "Etc/GMT-6",
        "Etc/GMT-7",
        "Etc/GMT-8",
        "Etc/GMT-9",
        "Etc/GMT-10",
        "Etc/GMT-11",
        "Etc/GMT-12",
        "Etc/GMT-13",
        "Etc/GMT-14",
    ];
    if minutes % 60 == 0 {
        return WHOLE.get(usize::try_from(minutes / 60 + 12).ok()?).copied();
    }
    ODD_OFFSETS.iter().find(|(odd, _)| *odd == minutes).map(|(_, name)| *name)
}

/// The zone of a fixed offset.
///
/// # Errors
///
/// Internal, where the zone data lacks it.
pub(super) fn zone(recurrence: &Recurrence) -> Result<Zone> {
    Zone::parse("tz", recurrence.tz)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(schedule: Value) -> Result<Recurrence> {
        read(schedule.as_object().unwrap())
    }

    #[test]
    fn the_captured_rule_is_read() {
        let captured = json!({"__type__": "rrule", "freq": 2, "interval": 2, "wkst": null, "count": 10, "bysetpos": null,
            "bymonth": null, "bymonthday": null, "byyearday": null, "byeaster": null, "byweekno": null,
            "byweekday": [0, {"__type__": "weekday", "wkday": 4}], "byhour": 9, "byminute": null, "bysecond": null,
            "dtstart": 1767225600, "dtstart_tz": 0, "until": null, "until_tz": 120.0});
        let rule = of(captured).unwrap();
        assert_eq!(rule.rule, "FREQ=WEEKLY;INTERVAL=2;BYHOUR=9;BYDAY=MO,FR;COUNT=10");
        assert_eq!((rule.begin, rule.tz, rule.names_week_days), (Timestamp(1_767_225_600_000), "UTC", false));
        let until = of(
            json!({"freq": "monthly", "dtstart": 1767225600, "dtstart_tz": 120.0, "until": 1798754400, "byweekday": 4}),
        );
        let until = until.unwrap();
        assert_eq!((until.rule.as_str(), until.tz), ("FREQ=MONTHLY;BYDAY=FR;UNTIL=20261231T220000Z", "Etc/GMT-2"));
        assert!(until.names_week_days);
        let both = of(json!({"freq": 3, "dtstart": 1767225600, "count": 10, "until": 1798754400})).unwrap();
        assert_eq!((both.rule.as_str(), both.end), ("FREQ=DAILY;COUNT=10", Some(Timestamp(1_798_754_401_000))));
    }

    #[test]
    fn every_fixed_zone_has_its_offset() {
        for minutes in (-720..=840).step_by(60).chain(ODD_OFFSETS.map(|(minutes, _)| minutes)) {
            let zone = Zone::parse("tz", fixed_zone(minutes).unwrap()).unwrap();
            assert_eq!(i64::from(zone.offset_seconds(Timestamp(1_767_225_600_000))), minutes * 60, "{minutes}");
        }
        assert_eq!((fixed_zone(-780), fixed_zone(900), fixed_zone(17)), (None, None, None));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for (key, value) in [
            ("freq", json!(7)),
            ("freq", json!(null)),
            ("interval", json!("2")),
            ("byeaster", json!(0)),
            ("byweekday", json!([7])),
            ("byweekday", json!({"__type__": "weekday"})),
            ("wkst", json!("MO")),
            ("bymonth", json!([1, [2]])),
            ("dtstart", json!(null)),
            ("dtstart", json!(1e300)),
            ("dtstart_tz", json!(17)),
            ("until", json!(-5)),
            ("zone", json!("x")),
        ] {
            let mut schedule = json!({"__type__": "rrule", "freq": 3, "dtstart": 1767225600});
            schedule[key] = value.clone();
            let error = of(schedule).unwrap_err().to_string();
            assert!(error.starts_with(&format!("schedule.{key}: ")), "{key} {value}: {error}");
        }
    }
}
