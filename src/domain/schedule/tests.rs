//! Promises of schedules.

use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> Zone {
    Zone::parse("tz", name).unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse("at", text, None).unwrap()
}

fn plain(when: When, zone_name: &str) -> Schedule {
    Schedule {
        when,
        zone: zone(zone_name),
        start: None,
        end: None,
        anchor: None,
        dst: Dst::default(),
        exclude: Exclude::default(),
    }
}

fn cron(texts: &[&str], zone_name: &str) -> Schedule {
    plain(When::Cron(texts.iter().map(|text| Cron::parse("cron", text).unwrap()).collect()), zone_name)
}

fn every(text: &str, anchor: &str) -> Schedule {
    Schedule { anchor: Some(at(anchor)), ..plain(When::Every(Span::parse("every", text).unwrap()), "UTC") }
}

fn times(schedule: &Schedule, from: &str, count: usize) -> Vec<Timestamp> {
    schedule.times_after(at(from)).take(count).collect()
}

#[test]
fn a_list_of_expressions_is_their_union_without_doubles() {
    let schedule = cron(&["0 9 * * *", "0 9,18 * * *"], "UTC");
    assert_eq!(
        times(&schedule, "2027-01-01T00:00Z", 3),
        ["2027-01-01T09:00Z", "2027-01-01T18:00Z", "2027-01-02T09:00Z"].map(at)
    );
}

#[test]
fn start_is_inclusive_and_end_exclusive() {
    let limits = |schedule: Schedule| Schedule {
        start: Some(at("2027-01-02T00:00Z")),
        end: Some(at("2027-01-04T00:00Z")),
        ..schedule
    };
    let wanted = ["2027-01-02T00:00Z", "2027-01-03T00:00Z"].map(at);
    assert_eq!(times(&limits(cron(&["0 0 * * *"], "UTC")), "2020-01-01T00:00Z", 9), wanted);
    assert_eq!(times(&limits(every("1d", "2027-01-01T00:00Z")), "2020-01-01T00:00Z", 9), wanted);
    assert_eq!(limits(plain(When::At(at("2027-01-04T00:00Z")), "UTC")).next_after(Timestamp(0)), None);
    assert_eq!(times(&limits(plain(When::At(wanted[0]), "UTC")), "2020-01-01T00:00Z", 9), [wanted[0]]);
}

#[test]
fn every_counts_from_its_anchor_and_never_drifts() {
    let schedule = every("90s", "2027-01-01T00:00:10Z");
    assert_eq!(schedule.next_after(at("2026-01-01T00:00Z")), Some(at("2027-01-01T00:00:10Z")));
    assert_eq!(schedule.next_after(at("2027-01-01T00:00:10Z")), Some(at("2027-01-01T00:01:40Z")));
    assert_eq!(schedule.next_after(at("2027-01-01T00:01:39.999Z")), Some(at("2027-01-01T00:01:40Z")));
}

#[test]
fn every_without_anchor_counts_from_start_else_from_1970() {
    let schedule = plain(When::Every(Span(60_000)), "UTC");
    assert_eq!(schedule.next_after(at("2027-01-01T00:00:10Z")), Some(at("2027-01-01T00:01Z")));
    let schedule = Schedule { start: Some(at("2027-01-01T00:00:10Z")), ..schedule };
    assert_eq!(schedule.next_after(Timestamp(0)), Some(at("2027-01-01T00:00:10Z")));
}

#[test]
fn at_fires_once() {
    let schedule = plain(When::At(at("2027-01-01T00:00Z")), "UTC");
    assert_eq!(times(&schedule, "2020-01-01T00:00Z", 9), [at("2027-01-01T00:00Z")]);
}

#[test]
fn schedules_are_told_to_people() {
    for (schedule, reading) in [
        (every("5s", "2027-01-01T00:00Z"), "every 5 s"),
        (every("1h", "2027-01-01T00:00Z"), "every hour"),
        (every("1h30m", "2027-01-01T00:00Z"), "every 1 h 30 min"),
        (cron(&["30 2 * * *"], "Europe/Berlin"), "at 02:30 every day, Europe/Berlin"),
        (cron(&["0 9 * * mon-fri"], "Asia/Shanghai"), "at 09:00, Monday to Friday, Asia/Shanghai"),
        (cron(&["*/5 * * * *"], "Asia/Shanghai"), "every 5 min"),
        (cron(&["0 9 * * *", "0 18 * * 1"], "UTC"), "at 09:00 every day; at 18:00, Monday, UTC"),
        (
            cron(&["0 0 */2 * MON"], "UTC"),
            "at 00:00, Monday, only on every 2nd day from the 1st to the 31st of the month, UTC",
        ),
        (plain(When::At(at("2027-01-01T00:00Z")), "Europe/Berlin"), "once at 2027-01-01 01:00, Europe/Berlin"),
        (
            Schedule {
                start: Some(at("2027-01-01T00:00Z")),
                end: Some(at("2027-01-01T00:00:01.5Z")),
                ..cron(&["@daily"], "UTC")
            },
            "at 00:00 every day, UTC, from 2027-01-01 00:00, until 2027-01-01 00:00:01.500",
        ),
    ] {
        assert_eq!(schedule.describe(), reading);
    }
}

/// Phase and period in seconds, from 2027 on.
fn period(text: &str, zone: &str) -> Option<(i64, u64)> {
    let period = cron(&[text], zone).fixed_period(at("2027-01-01T00:00Z"))?;
    Some((period.phase.ms() / 1000, period.period.0 / 1000))
}

#[test]
fn what_is_evenly_spaced_in_any_zone_is_arithmetic() {
    for (text, wanted) in [
        ("* * * * *", (0, 60)),
        ("*/5 * * * *", (0, 300)),
        ("2-59/5 * * * *", (120, 300)),
        ("0,15,30,45 * * * *", (0, 900)),
        ("0-59 * * * *", (0, 60)),
        ("*/15 0-23 1-31 * *", (0, 900)),
        ("30 */5 * * * *", (30, 300)),
        ("*/10 * * * * *", (0, 10)),
        ("* * * * * *", (0, 1)),
    ] {
        assert_eq!(period(text, "America/New_York"), Some(wanted), "{text}");
        // also where offsets have odd minutes and seconds: nothing is asked of the zone
        assert!(cron(&[text], "Africa/Monrovia").fixed_period(at("1970-01-01T00:00Z")).is_some(), "{text}");
    }
}

#[test]
fn what_repeats_each_hour_is_arithmetic_where_all_changes_are_multiples_of_it() {
    for (text, zone, wanted) in [
        ("*/10 * * * *", "Australia/Lord_Howe", Some((0, 600))),
        ("0,30 * * * *", "Australia/Lord_Howe", Some((0, 1800))),
        ("0,30 * * * *", "Asia/Kathmandu", Some((900, 1800))),
        ("0 * * * *", "America/New_York", Some((0, 3600))),
        ("17 * * * *", "Europe/Berlin", Some((17 * 60, 3600))),
        ("17 * * * *", "Asia/Kolkata", Some((47 * 60, 3600))),
        ("0 * * * *", "Pacific/Chatham", Some((900, 3600))),
        ("*/20 * * * *", "Antarctica/Troll", Some((0, 1200))),
        ("0 * * * *", "Australia/Lord_Howe", None),
        ("*/20 * * * *", "Australia/Lord_Howe", None),
        ("*/12 * * * *", "Australia/Lord_Howe", None),
    ] {
        assert_eq!(period(text, zone), wanted, "{text} {zone}");
    }
}

#[test]
fn where_a_zone_has_one_offset_hours_days_and_weeks_are_arithmetic_too() {
    for (text, zone, wanted) in [
        ("17 * * * *", "UTC", (17 * 60, 3600)),
        ("0 */6 * * *", "UTC", (0, 6 * 3600)),
        ("30 2 * * *", "UTC", (9000, 86_400)),
        ("30 2 * * *", "Etc/GMT-8", (66_600, 86_400)),
        ("0 3 * * 4", "UTC", (3 * 3600, 7 * 86_400)),
        ("0 3 * * 0", "GMT", (3 * 86_400 + 3 * 3600, 7 * 86_400)),
        ("30 2 * * *", "Asia/Shanghai", (66_600, 86_400)),
        ("0 0-23 * * *", "Asia/Tokyo", (0, 3600)),
    ] {
        assert_eq!(period(text, zone), Some(wanted), "{text} {zone}");
    }
    let shanghai = cron(&["30 2 * * *"], "Asia/Shanghai");
    assert_eq!(shanghai.fixed_period(at("1986-01-01T00:00Z")), None, "it had summer time then");
}

#[test]
fn what_a_clock_change_would_shift_or_the_calendar_breaks_is_not_arithmetic() {
    for (text, zone) in [
        ("0 */6 * * *", "America/New_York"),
        ("0 3 * * *", "America/New_York"),
        ("0 0-23 * * *", "America/New_York"),
        ("0-59 0-23 * * *", "America/New_York"),
    ] {
        assert_eq!(period(text, zone), None, "{text} {zone}");
    }
    for text in [
        "*/7 * * * *",
        "*/25 * * * *",
        "*/45 * * * *",
        "*/5 9-17 * * *",
        "0 */5 * * *",
        "0 9-17 * * *",
        "*/5 * 1 * *",
        "*/5 * * 1 *",
        "*/5 * * * 1",
        "*/7 * * * * *",
        "0 3 1 * *",
        "0 3 * 2 *",
        "0 3 * * 1,3",
        "0 3 L * *",
        "0 3 * * 1#2",
        "0 3,9 * * 1",
    ] {
        assert_eq!(period(text, "UTC"), None, "{text}");
    }
    assert_eq!(cron(&["* * * * *", "0 0 * * *"], "UTC").fixed_period(Timestamp(0)), None);
    assert_eq!(plain(When::At(Timestamp(0)), "UTC").fixed_period(Timestamp(0)), None);
}

fn expression() -> impl Strategy<Value = String> {
    let minute = prop_oneof![
        (1u32..61).prop_map(|step| format!("*/{step}")),
        (0u32..60).prop_map(|minute| minute.to_string()),
        (0u32..30, 1u32..31).prop_map(|(from, step)| format!("{from}-59/{step}")),
        prop::sample::select(vec!["*", "0,15,30,45", "0,30", "10,40", "0-59"]).prop_map(str::to_owned),
    ];
    let hour = prop_oneof![
        4 => Just("*".to_owned()),
        1 => (1u32..25).prop_map(|step| format!("*/{step}")),
        1 => (0u32..24).prop_map(|hour| hour.to_string()),
        1 => prop::sample::select(vec!["0-23", "1/2", "0-23/3"]).prop_map(str::to_owned),
    ];
    let second = prop_oneof![4 => Just("0".to_owned()), 1 => Just("*".to_owned()), 1 => (1u32..61).prop_map(|step| format!("*/{step}")), 1 => Just("30".to_owned())];
    let day = prop_oneof![6 => Just("*".to_owned()), 1 => (0u32..8).prop_map(|day| day.to_string()), 1 => Just("0-6".to_owned())];
    (second, minute, hour, day).prop_map(|(second, minute, hour, day)| format!("{second} {minute} {hour} * * {day}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn arithmetic_gives_the_same_times_as_the_calendar(
        text in expression(),
        zone_name in prop::sample::select(vec![
            "UTC", "Etc/GMT-8", "Etc/GMT+5", "GMT", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Antarctica/Troll",
            "Asia/Shanghai", "Asia/Kolkata", "Pacific/Chatham", "Pacific/Apia", "Africa/Casablanca", "America/St_Johns", "Europe/Dublin",
        ]),
        from in 0i64..4_000_000_000_000,
        near in prop::option::of(-7_200_000i64..7_200_000),
    ) {
        let schedule = cron(&[&text], zone_name);
        // every other start lies near a change of the clocks
        let change = near.and_then(|near| Some(schedule.zone.next_change(Timestamp(from))?.0 + near));
        let from = Timestamp(change.unwrap_or(from));
        if let Some(period) = schedule.fixed_period(from) {
            let mut from = from;
            for _ in 0..20 {
                let next = schedule.next_after(from).unwrap();
                prop_assert_eq!(period.next_after(from), Some(next), "{} {}", text, zone_name);
                from = next;
            }
            prop_assert!((0..period.period.ms()).contains(&period.phase.ms()));
        }
    }

    #[test]
    fn every_is_its_own_arithmetic(every_ms in 1u64..40_000_000_000, anchor in 0i64..4_000_000_000_000, from: i64) {
        let schedule = Schedule { anchor: Some(Timestamp(anchor)), ..plain(When::Every(Span(every_ms)), "UTC") };
        let next = schedule.next_after(Timestamp(from));
        prop_assert_eq!(schedule.fixed_period(Timestamp(from)).and_then(|period| period.next_after(Timestamp(from))), next);
        if let Some(next) = next {
            prop_assert!(next > Timestamp(from) && (next.ms() - anchor) % every_ms as i64 == 0);
        }
    }

    #[test]
    fn no_schedule_panics(every: u64, anchor: i64, start: Option<i64>, end: Option<i64>, from: i64) {
        let when = [When::Every(Span(every)), When::At(Timestamp(anchor)), When::Cron(vec![]), When::Cron(vec![Cron::parse("cron", "*/5 * * * *").unwrap()])];
        for when in when {
            let schedule = Schedule { start: start.map(Timestamp), end: end.map(Timestamp), anchor: Some(Timestamp(anchor)), ..plain(when, "Europe/Berlin") };
            schedule.times_after(Timestamp(from)).take(3).for_each(drop);
            schedule.describe();
            schedule.fixed_period(Timestamp(from));
        }
    }
}

fn excluding(schedule: Schedule, items: &[&str]) -> Schedule {
    Schedule { exclude: Exclude::parse("exclude", &serde_json::json!(items)).unwrap(), ..schedule }
}

#[test]
fn a_time_on_an_excluded_date_of_the_zone_is_no_fire_time() {
    let shanghai = excluding(cron(&["0 9 * * *"], "Asia/Shanghai"), &["2026-12-25", "2026-12-26"]);
    assert_eq!(times(&shanghai, "2026-12-24T00:00Z", 2), ["2026-12-24T01:00Z", "2026-12-27T01:00Z"].map(at));
    // 2026-12-25 begins there at 16:00 UTC of the day before.
    let every =
        excluding(Schedule { zone: zone("Asia/Shanghai"), ..every("100ms", "2026-01-01T00:00Z") }, &["2026-12-25"]);
    assert_eq!(every.next_after(at("2026-12-24T15:59:59.800Z")), Some(at("2026-12-24T15:59:59.900Z")));
    assert_eq!(every.next_after(at("2026-12-24T15:59:59.900Z")), Some(at("2026-12-25T16:00Z")));
    assert_eq!(every.fixed_period(Timestamp(0)), None, "no arithmetic knows the date");
    let once = excluding(plain(When::At(at("2026-12-25T12:00Z")), "UTC"), &["2026-12-25"]);
    assert_eq!(once.next_after(Timestamp(0)), None);
    assert_eq!(shanghai.describe(), "at 09:00 every day, Asia/Shanghai, not on 2026-12-25 and 2026-12-26");
}

#[test]
fn a_day_whose_end_comes_twice_is_excluded_whole() {
    // The clock went back from 2018-02-18 00:00 to 23:00 of the day before.
    let hourly = excluding(cron(&["*/30 * * * *"], "America/Sao_Paulo"), &["2018-02-17"]);
    let first = times(&hourly, "2018-02-17T01:45Z", 2);
    assert_eq!(first, ["2018-02-18T03:00Z", "2018-02-18T03:30Z"].map(at));
}

#[test]
fn dates_and_names_that_can_be_neither_are_refused() {
    let refusal = |value: serde_json::Value| Exclude::parse("exclude", &value).unwrap_err().to_string();
    assert_eq!(refusal(serde_json::json!(["2026-02-30"])), "exclude: 2026-02-30 is no date of the years 1970 to 2100");
    assert_eq!(refusal(serde_json::json!("25.12.2026")), "exclude: 25.12.2026 is no date of the years 1970 to 2100");
    assert!(refusal(serde_json::json!(["CN Holidays"])).contains("CN Holidays"));
    assert!(refusal(serde_json::json!({"a": 1})).contains("is no list of dates and calendars"));
    let day = |day: i64| chrono::DateTime::from_timestamp(1_800_000_000 + day * 86_400, 0).unwrap().date_naive();
    let many: Vec<String> = (0..367).map(|number| day(number).to_string()).collect();
    assert!(refusal(serde_json::json!(many)).contains("367 dates are too many, 366 are the most"));
    let calendars: Vec<String> = (0..17).map(|number| format!("c{number}")).collect();
    assert!(refusal(serde_json::json!(calendars)).contains("17 calendars are too many, 16 are the most"));
    let exclude = Exclude::parse("exclude", &serde_json::json!(["b", "2026-12-25", "a", "b"])).unwrap();
    assert_eq!(exclude.describe(), ", not on 2026-12-25, the dates of b and the dates of a");
}

#[test]
fn the_shortest_distance_of_two_fire_times_is_found() {
    for (schedule, distance) in [
        (every("90s", "2027-01-01T00:00Z"), Some(90_000)),
        (plain(When::At(at("2027-01-01T00:00Z")), "UTC"), None),
        (cron(&["*/5 * * * *"], "Europe/Berlin"), Some(300_000)),
        (cron(&["0 9 * * *", "20 9 29 2 *"], "UTC"), Some(20 * 60_000)),
        (cron(&["0 9 * * *"], "Europe/Berlin"), Some(23 * 3_600_000)),
        (excluding(every("1d", "2027-01-01T00:00Z"), &["2027-01-02"]), Some(86_400_000)),
    ] {
        assert_eq!(schedule.shortest_distance(), distance.map(Span), "{}", schedule.describe());
    }
}
