//! Examples of RFC 5545 section 3.8.5.3, answers of python-dateutil, clock changes, and what is refused.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::domain::zone::Dst;

const NEW_YORK: &str = "America/New_York";

fn zone(name: &str) -> Zone {
    Zone::parse("tz", name).unwrap()
}

/// Of a rule that begins at a local time of the zone.
fn rule_in(name: &str, begin: &str, text: &str) -> Rrule {
    let zone = zone(name);
    Rrule::parse("rrule", text, Timestamp::parse("start", begin, Some(&zone)).ok(), &zone).unwrap()
}

/// Local times of the zone, as written there.
fn first(count: usize, name: &str, begin: &str, text: &str) -> Vec<String> {
    let rule = rule_in(name, begin, text);
    let zone = zone(name);
    let next = |at: &Timestamp| rule.next_after(&zone, Dst::default(), *at);
    let times = std::iter::successors(rule.next_after(&zone, Dst::default(), Timestamp(0)), next);
    times.take(count).map(|at| zone.to_local(at).format("%Y-%m-%dT%H:%M").to_string()).collect()
}

fn refusal(text: &str) -> String {
    refusal_from("2026-11-21T10:38:48Z", text)
}

fn refusal_from(begin: &str, text: &str) -> String {
    let begin = Timestamp::parse("start", begin, None).unwrap();
    let error = Rrule::parse("rrule", text, Some(begin), &Zone::utc()).unwrap_err();
    format!("{error}; {}", error.problem().hint.clone().unwrap_or_default())
}

#[test]
fn the_examples_of_rfc_5545_fire_as_it_says() {
    for (text, begin, times) in [
        ("FREQ=DAILY;COUNT=3", "1997-09-02T09:00", "1997-09-02T09:00 1997-09-03T09:00 1997-09-04T09:00"),
        ("FREQ=DAILY;UNTIL=19970904T000000Z", "1997-09-02T09:00", "1997-09-02T09:00 1997-09-03T09:00"),
        ("FREQ=DAILY;INTERVAL=2", "1997-09-02T09:00", "1997-09-02T09:00 1997-09-04T09:00 1997-09-06T09:00"),
        (
            "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=TU,TH;COUNT=8",
            "1997-09-02T09:00",
            "1997-09-02T09:00 1997-09-04T09:00 1997-09-16T09:00 1997-09-18T09:00 1997-09-30T09:00 1997-10-02T09:00 \
             1997-10-14T09:00 1997-10-16T09:00",
        ),
        ("FREQ=MONTHLY;COUNT=3;BYDAY=1FR", "1997-09-05T09:00", "1997-09-05T09:00 1997-10-03T09:00 1997-11-07T09:00"),
        (
            "FREQ=MONTHLY;INTERVAL=2;COUNT=5;BYDAY=1SU,-1SU",
            "1997-09-07T09:00",
            "1997-09-07T09:00 1997-09-28T09:00 1997-11-02T09:00 1997-11-30T09:00 1998-01-04T09:00",
        ),
        ("FREQ=MONTHLY;BYMONTHDAY=-3", "1997-09-28T09:00", "1997-09-28T09:00 1997-10-29T09:00 1997-11-28T09:00"),
        (
            "FREQ=YEARLY;INTERVAL=3;BYYEARDAY=1,100,200",
            "1997-01-01T09:00",
            "1997-01-01T09:00 1997-04-10T09:00 1997-07-19T09:00 2000-01-01T09:00",
        ),
        ("FREQ=YEARLY;BYDAY=20MO", "1997-05-19T09:00", "1997-05-19T09:00 1998-05-18T09:00 1999-05-17T09:00"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "1997-05-12T09:00", "1997-05-12T09:00 1998-05-11T09:00 1999-05-17T09:00"),
        (
            "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",
            "1997-09-02T09:00",
            "1998-02-13T09:00 1998-03-13T09:00 1998-11-13T09:00",
        ),
        (
            "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
            "1996-11-05T09:00",
            "1996-11-05T09:00 2000-11-07T09:00 2004-11-02T09:00",
        ),
        (
            "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3",
            "1997-09-04T09:00",
            "1997-09-04T09:00 1997-10-07T09:00 1997-11-06T09:00",
        ),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
            "1997-09-29T09:00",
            "1997-09-29T09:00 1997-10-30T09:00 1997-11-27T09:00",
        ),
        (
            "FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T210000Z",
            "1997-09-02T09:00",
            "1997-09-02T09:00 1997-09-02T12:00 1997-09-02T15:00",
        ),
        (
            "FREQ=MINUTELY;INTERVAL=90;COUNT=4",
            "1997-09-02T09:00",
            "1997-09-02T09:00 1997-09-02T10:30 1997-09-02T12:00 1997-09-02T13:30",
        ),
        (
            "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11,12,13,14,15,16",
            "1997-09-02T16:20",
            "1997-09-02T16:20 1997-09-02T16:40 1997-09-03T09:00",
        ),
        (
            "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
            "1997-08-05T09:00",
            "1997-08-05T09:00 1997-08-10T09:00 1997-08-19T09:00 1997-08-24T09:00",
        ),
        (
            "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
            "1997-08-05T09:00",
            "1997-08-05T09:00 1997-08-17T09:00 1997-08-19T09:00 1997-08-31T09:00",
        ),
        (
            "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5",
            "2007-01-15T09:00",
            "2007-01-15T09:00 2007-01-30T09:00 2007-02-15T09:00 2007-03-15T09:00 2007-03-30T09:00",
        ),
    ] {
        let times: Vec<String> = times.split_whitespace().map(str::to_owned).collect();
        assert_eq!(first(times.len(), NEW_YORK, begin, text), times, "{text}");
        if text.contains("COUNT") || text.contains("UNTIL") {
            // HOURLY up to 21:00 UTC is 17:00 there.
            assert_eq!(first(times.len() + 1, NEW_YORK, begin, text).len(), times.len(), "{text} ends");
        }
    }
}

#[test]
fn random_rules_fire_as_python_dateutil_says_from_near_and_from_far() {
    let mut refused = 0;
    for line in include_str!("../../../tests/data/rrule.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| case[name].as_str().unwrap().to_owned();
        let times: Vec<&str> = case["next"].as_array().unwrap().iter().map(|time| time.as_str().unwrap()).collect();
        let utc = Zone::utc();
        let begin = Timestamp::parse("begin", &text("begin"), Some(&utc)).unwrap();
        let mut at = Timestamp::parse("from", &text("from"), Some(&utc)).unwrap();
        let rule = match Rrule::parse("rrule", &text("rule"), Some(begin), &utc) {
            Ok(rule) => rule,
            Err(why) => {
                let is_known = why.to_string().contains("never fire") || why.to_string().contains("ends before");
                assert!(times.is_empty() && is_known, "{line}: {why}");
                refused += 1;
                continue;
            }
        };
        for time in &times {
            let next = rule
                .next_after(&utc, Dst::default(), at)
                .map(|at| utc.to_local(at).format("%Y-%m-%dT%H:%M:%S").to_string());
            assert_eq!(next.as_deref(), Some(*time), "{line}");
            at = rule.next_after(&utc, Dst::default(), at).unwrap();
        }
        if times.len() < 10 {
            assert_eq!(rule.next_after(&utc, Dst::default(), at), None, "{line}");
        }
    }
    assert!(refused < 50, "{refused} refused");
}

#[test]
fn a_local_time_in_a_gap_fires_at_its_end_and_one_in_a_fold_at_the_first_pass() {
    let times = |text: &str, begin: &str, after: &str| {
        let rule = rule_in(NEW_YORK, begin, text);
        let zone = zone(NEW_YORK);
        let from = Timestamp::parse("from", after, None).unwrap();
        let times = std::iter::successors(rule.next_after(&zone, Dst::default(), from), |at| {
            rule.next_after(&zone, Dst::default(), *at)
        });
        times.take(3).map(|at| at.to_rfc3339()[..16].to_owned()).collect::<Vec<_>>()
    };
    let daily = "FREQ=DAILY;BYHOUR=2;BYMINUTE=0,30";
    assert_eq!(
        times(daily, "2027-03-01T00:00", "2027-03-14T00:00:00Z"),
        ["2027-03-14T07:00", "2027-03-15T06:00", "2027-03-15T06:30"],
        "both at the first instant after the gap, once"
    );
    assert_eq!(
        times("FREQ=DAILY;BYHOUR=1;BYMINUTE=30", "2027-03-01T00:00", "2027-11-07T05:00:00Z"),
        ["2027-11-07T05:30", "2027-11-08T06:30", "2027-11-09T06:30"]
    );
    assert_eq!(
        times("FREQ=MINUTELY;INTERVAL=30", "2027-03-01T00:00", "2027-11-07T05:30:00Z"),
        ["2027-11-07T06:00", "2027-11-07T06:30", "2027-11-07T07:00"],
        "within the day the clock is followed: both passes"
    );
}

#[test]
fn rules_are_refused_by_their_part_with_a_way_out() {
    for (text, words) in [
        ("", "is empty"),
        ("BYDAY=MO", "FREQ is missing"),
        ("FREQ=DALY", "did you mean DAILY?"),
        ("FREQ=FORTNIGHTLY", "FORTNIGHTLY is not one of"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ is given twice"),
        ("FREQ=DAILY;INTERVALL=2", "did you mean INTERVAL?"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL: 0 is not a whole number from 1 to 1000"),
        ("FREQ=DAILY;BYMONTH=13", "BYMONTH: 13 is not a whole number from 1 to 12"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY: 0 is not a whole number from 1 to 31, or from -31 to -1"),
        ("FREQ=WEEKLY;BYDAY=MON", "did you mean MO?"),
        ("FREQ=WEEKLY;BYDAY=2MO", "BYDAY with a number does not go with FREQ=WEEKLY"),
        ("FREQ=WEEKLY;BYMONTHDAY=2", "BYMONTHDAY does not go with FREQ=WEEKLY"),
        ("FREQ=DAILY;BYYEARDAY=2", "BYYEARDAY does not go with FREQ=DAILY"),
        ("FREQ=DAILY;BYSETPOS=1", "there is none"),
        ("FREQ=HOURLY;BYMINUTE=0,5;BYSETPOS=1", "BYSETPOS does not go with FREQ=HOURLY"),
        ("FREQ=DAILY;COUNT=5;UNTIL=20270101", "at most one of them"),
        ("FREQ=DAILY;COUNT=1001", "max_fires counts further"),
        ("FREQ=DAILY;UNTIL=2027-01-01", "UNTIL=20271231"),
        ("FREQ=DAILY;UNTIL=20250101", "UNTIL: it ends before its first time, 2026-11-21T10:38:48"),
        ("DTSTART:20270101T090000\nRRULE:FREQ=DAILY", "start says when"),
        ("FREQ=DAILY\nEXDATE:20270101T090000", "exclude takes dates"),
        ("RRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY", "one rule an entry"),
        ("FREQ=DAILY;RDATE=20270101", "an entry with at"),
        ("FREQ=YEARLY;BYEASTER=0", "is not supported"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "would never fire"),
        ("FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31", "would never fire"),
        ("FREQ=MINUTELY;INTERVAL=2;BYMINUTE=1", "would never fire"),
        ("FREQ=HOURLY;INTERVAL=7;BYHOUR=9", "or every = \"90m\""),
        ("every 5 minutes", "is not allowed in a rule"),
    ] {
        assert!(refusal(text).contains(words), "{text}: {}", refusal(text));
    }
    assert!(refusal_from("2027-01-30T00:00:00Z", "FREQ=YEARLY;BYMONTH=2").contains("would never fire"));
}

#[test]
fn what_fires_once_in_decades_is_accepted_and_found_to_its_end() {
    for text in [
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
        "FREQ=YEARLY;INTERVAL=7;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=29;BYHOUR=23;BYMINUTE=59;BYSECOND=59",
        "FREQ=YEARLY;BYWEEKNO=53;BYDAY=SU",
        "FREQ=MONTHLY;BYDAY=5MO;BYMONTH=2",
    ] {
        let rule = rule_in("UTC", "2026-01-01T00:00", text);
        let zone = Zone::utc();
        let mut at = Timestamp(0);
        let mut count = 0;
        while let Some(next) = rule.next_after(&zone, Dst::default(), at).filter(|_| count < 1000) {
            assert!(next > at);
            (at, count) = (next, count + 1);
        }
        assert!(count > 0, "{text}");
    }
}

#[test]
fn a_time_far_off_is_found_without_walking_there() {
    let rule = rule_in("UTC", "1970-01-01T00:00", "FREQ=SECONDLY;BYSECOND=0,30");
    let far = Timestamp::parse("from", "2099-12-31T23:59:00Z", None).unwrap();
    // Step by step this would take minutes.
    assert_eq!(rule.next_after(&Zone::utc(), Dst::default(), far), Some(Timestamp(far.0 + 30_000)));
}

#[test]
fn rules_read_as_plain_words() {
    for (text, words) in [
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;BYHOUR=9;BYMINUTE=0",
            "every 2 weeks on Tuesday and Sunday at 09:00, Europe/Berlin",
        ),
        (
            "RRULE:FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=17,18;BYMINUTE=30",
            "every month on the last Friday at 17:30 and 18:30, Europe/Berlin",
        ),
        (
            "FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR;COUNT=3",
            "every month on the 13th day of the month, only if it is Friday at 08:00, Europe/Berlin, 3 times",
        ),
        (
            "FREQ=YEARLY;BYMONTH=1,7;BYMONTHDAY=-2;UNTIL=20300101T000000Z",
            "every year in January and July on the 2nd last day of the month at 08:00, Europe/Berlin, up to 2030-01-01 01:00",
        ),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            "every month on Monday, Tuesday, Wednesday, Thursday and Friday, of these the last at 08:00, Europe/Berlin",
        ),
        ("FREQ=HOURLY;BYMINUTE=30;BYSECOND=0", "every hour, 30 min past, counted from 08:00, Europe/Berlin"),
        ("FREQ=HOURLY;INTERVAL=5", "every 5 hours, counted from 08:00, Europe/Berlin"),
        ("freq=hourly;byday=mo", "every hour on Monday, 24 times a day from 00:00 to 23:00, Europe/Berlin"),
    ] {
        let rule = rule_in("Europe/Berlin", "2027-01-01T08:00", text);
        assert_eq!(rule.describe(&zone("Europe/Berlin")), words);
    }
}

#[test]
fn without_a_beginning_a_rule_is_only_checked() {
    let read = |text: &str| Rrule::parse("rrule", text, None, &Zone::utc());
    assert!(read("FREQ=YEARLY;INTERVAL=3;BYMONTH=2;BYMONTHDAY=29").is_ok(), "it depends on where it begins");
    assert!(read("FREQ=MONTHLY;INTERVAL=12;BYMONTH=2").is_ok());
    assert!(read("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30").is_err());
    assert_eq!(read("FREQ=DAILY;INTERVAL=3").unwrap().describe(&Zone::utc()), "every 3 days at 00:00, UTC");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_the_reader_panic(text in "(RRULE:)?(FREQ=(YEARLY|DAILY|HOURLY|X);)?[A-Z0-9=;,+-]{0,40}") {
        let _ = Rrule::parse("rrule", &text, Some(Timestamp(1_800_000_000_000)), &Zone::utc());
    }

    #[test]
    fn the_next_time_is_the_same_from_anywhere_before_it(
        seconds in 0_i64..200_000_000,
        text in prop::sample::select(vec![
            "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,SU;BYHOUR=2;BYMINUTE=30",
            "FREQ=MONTHLY;BYDAY=MO,TU,FR;BYSETPOS=1,-1;BYHOUR=1,2",
            "FREQ=HOURLY;BYMINUTE=0,45;BYDAY=SU",
            "FREQ=MINUTELY;INTERVAL=50",
        ]),
    ) {
        let zone = zone(NEW_YORK);
        let rule = rule_in(NEW_YORK, "2026-11-01T00:10", text);
        let from = Timestamp(1_793_000_000_000 + seconds * 1000);
        let next = rule.next_after(&zone, Dst::default(), from).unwrap();
        prop_assert!(next > from);
        prop_assert_eq!(rule.next_after(&zone, Dst::default(), Timestamp(next.0 - 1)), Some(next));
        let middle = Timestamp(from.0 + (next.0 - from.0) / 2);
        prop_assert_eq!(rule.next_after(&zone, Dst::default(), Timestamp(middle.0.min(next.0 - 1))), Some(next));
        // One that has looked nowhere else yet says the same.
        prop_assert_eq!(rule_in(NEW_YORK, "2026-11-01T00:10", text).next_after(&zone, Dst::default(), from), Some(next));
    }
}
