//! Promises of zones.

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
        assert_eq!(zone(&name).name(), name);
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
    let constant: Vec<_> = names().map(|name| zone(&name)).filter(Zone::has_constant_offset).collect();
    assert!(constant.len() > 30);
    for zone in constant {
        assert_eq!(zone.next_change(Timestamp(i64::MIN)), None, "{zone}");
    }
    assert!(!zone("Asia/Tokyo").has_constant_offset());
}

#[test]
fn offsets_are_quarters_of_an_hour_from_2000_on() {
    for name in names() {
        let zone = zone(&name);
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
