//! Promises of cron expressions, and the oracle that walks every minute.

use chrono::Timelike;

use super::*;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::{Dst, Fold, Gap, Zone};

fn cron(text: &str) -> Cron {
    Cron::parse("cron", text).unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse("at", text, None).unwrap()
}

/// The next fire times, `MM-DD HH:MM` in the zone, with `:SS` where it is not 0.
fn next(text: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let zone = Zone::parse("tz", zone).unwrap();
    let cron = cron(text);
    let first = cron.next_after(&zone, Dst::default(), at(from));
    let times = std::iter::successors(first, |last| cron.next_after(&zone, Dst::default(), *last)).take(count);
    times
        .map(|at| {
            let local = zone.to_local(at);
            let format = if local.second() == 0 { "%m-%d %H:%M" } else { "%m-%d %H:%M:%S" };
            local.format(format).to_string()
        })
        .collect()
}

/// The whole message and hint.
fn refusal(text: &str) -> String {
    let error = Cron::parse("cron", text).unwrap_err();
    assert_eq!(error.problem().field.as_deref(), Some("cron"));
    format!("{error}; {}", error.problem().hint.clone().unwrap_or_default())
}

mod properties;
pub(super) mod work;

mod refusals {
    use super::*;

    #[test]
    fn name_the_cron_field_the_value_and_the_range() {
        for (text, message) in [
            ("61 * * * *", "cron: minute: 61 is out of range 0-59; "),
            ("0 24 * * *", "cron: hour: 24 is out of range 0-23; "),
            ("0 0 0 * *", "cron: day-of-month: 0 is out of range 1-31; "),
            ("0 0 * 13 *", "cron: month: 13 is out of range 1-12; "),
            ("0 0 * * 8", "cron: day-of-week: 8 is out of range 0-7; "),
            (
                "60 0 0 * * *",
                "cron: second: 60 is out of range 0-59; six fields begin with seconds; leave them out for the usual five",
            ),
            ("0 0 30 2 *", "cron: day-of-month: 30 in month 2: no such calendar date, it would never fire; "),
        ] {
            assert_eq!(refusal(text), message);
        }
    }

    #[test]
    fn of_slips_show_the_way_out() {
        for (text, part) in [
            ("30 2 * * 1 root", "day-of-week: \"root\" is not a day of the week; this looks like a crontab line"),
            ("0 0 * * * /usr/bin/backup --all", "this looks like a whole crontab line"),
            ("30 2 * * 1 backup", "this looks like a crontab line"),
            ("Cargo.toml", "the shell split the expression and turned * into file names; quote it"),
            ("*/5****", "put blanks between the fields"),
            ("0 0 12 ? * MON", "day-of-month: ? is not supported; write * instead of ?"),
            ("0 0 12 * * * 2027", "limit the entry with start and end"),
            ("0 9 * * 1-5 2027", "a year is not part of it"),
            ("0 0 12 * * ?", "day-of-week: ? is not supported; write * instead of ?"),
            ("0 0 * * #2", "day-of-week: #2 lacks its day; write MON#2"),
            ("0 0 * * MON#", "day-of-week: \"\" in MON# is out of range 1-5"),
            ("0 0 12 ? * 2", "write * instead of ?, and days of the week from 0, Sunday; Quartz counts from 1"),
            ("0 0 12 ? * MON-FRI 2027", "limit the entry with start and end"),
            ("@reboot", "a fleet has no boot"),
            ("@every 90s", "use every = \"90s\" instead"),
            ("@dayly", "did you mean @daily"),
            ("@daily *", "@daily stands alone"),
            ("TZ=UTC 0 0 * * *", "name the zone with tz"),
            ("0 22-2 * * *", "hour: range 22-2 runs backwards; write 22-23,0-2"),
            ("0 0 * NOV-FEB *", "write NOV-DEC,JAN-FEB"),
            ("0 0 * * MONDAY", "did you mean MON"),
            ("H 3 * * *", "minute: H needs an entry id to spread by; an entry takes it"),
            ("0 0 L-3 * *", "not in this version yet"),
            ("0 0 * * L", "write 5L for the last Friday"),
            ("0 0 WL * *", "L, LW and 15W are for day-of-month"),
            ("0 0 1-5W * *", "write 15W"),
            ("0 0 32W * *", "day-of-month: 32 is out of range 1-31"),
            ("0 0 * * 1#6", "is out of range 1-5"),
            ("0 0 * * 1#+1", "is out of range 1-5"),
            ("0 0 31W 2 *", "would never fire"),
            ("0 0 1W * */7", "would never fire"),
            ("0 0 * * *\n", "character '\\n' is not allowed"),
        ] {
            assert!(refusal(text).contains(part), "{text:?}: {}", refusal(text));
        }
        assert!(refusal(&" ".repeat(257)).contains("longer than 256 bytes"));
    }
}

#[test]
fn spellings_of_the_same_times_are_the_same() {
    for (one, other) in [
        ("@daily", "0 0 * * *"),
        ("@MIDNIGHT", "0 0 * * *"),
        ("@weekly", "0 0 * * 7"),
        ("@yearly", "0 0 1 jan *"),
        ("0 9 * * mon-fri", "0 9 * * 1-5"),
        ("0 9 * * 5-7", "0 9 * * FRI,SAT,SUN"),
        ("0 9 * * 1/2", "0 9 * * 1,3,5,0"),
        ("5/15 * * * *", "5,20,35,50 * * * *"),
        ("*/60 * * * *", "*/99999999999 * * * *"),
        ("00 09\t * * *", "0 0 9 * * *"),
        ("0 0 * APR-JUL *", "0 0 * 4-7 *"),
        ("0 0 * * MON#2", "0 0 * * 1#2"),
        ("0 0 l * *", "0 0 L * *"),
        ("0 0 * * 7L", "0 0 * * sunl"),
    ] {
        assert!(cron(one).fires_like(&cron(other)), "{one} and {other}");
    }
    assert!(!cron("0 0-23 * * *").fires_like(&cron("0 * * * *")));
    assert_ne!(cron("@daily"), cron("0 0 * * *"));
    assert_eq!(cron(" 0 0 * * * "), cron("0 0 * * *"));
}

#[test]
fn days_are_a_union_unless_one_begins_with_a_star() {
    let from = "2027-08-01T00:00Z"; // a Sunday
    assert_eq!(next("0 0 13 * FRI", "UTC", from, 3), ["08-06 00:00", "08-13 00:00", "08-20 00:00"]);
    assert_eq!(next("0 0 */2 * MON", "UTC", from, 3), ["08-09 00:00", "08-23 00:00", "09-13 00:00"]);
}

#[test]
fn last_days_weekdays_and_counted_days_fire_where_the_calendar_has_them() {
    let from = "2028-01-01T12:00Z"; // a Saturday in a leap year
    assert_eq!(next("0 0 L * *", "UTC", from, 4), ["01-31 00:00", "02-29 00:00", "03-31 00:00", "04-30 00:00"]);
    assert_eq!(next("0 0 LW * *", "UTC", from, 4), ["01-31 00:00", "02-29 00:00", "03-31 00:00", "04-28 00:00"]);
    // 15 January is a Saturday, 15 April too, 15 October is a Sunday
    assert_eq!(
        next("0 0 15W 1,2,4,10 *", "UTC", from, 4),
        ["01-14 00:00", "02-15 00:00", "04-14 00:00", "10-16 00:00"]
    );
    // a Saturday the 1st moves forward, a Sunday the 30th or 31st back
    assert_eq!(next("0 0 1W 4,7 *", "UTC", from, 2), ["04-03 00:00", "07-03 00:00"]);
    assert_eq!(next("0 0 30W 4,7 *", "UTC", from, 2), ["04-28 00:00", "07-31 00:00"]);
    assert_eq!(next("0 0 31W * *", "UTC", from, 3), ["01-31 00:00", "03-31 00:00", "05-31 00:00"]);
    assert_eq!(next("0 0 * * MON#2", "UTC", from, 3), ["01-10 00:00", "02-14 00:00", "03-13 00:00"]);
    assert_eq!(next("0 0 * * 1#5", "UTC", from, 3), ["01-31 00:00", "05-29 00:00", "07-31 00:00"]);
    assert_eq!(next("0 0 * * 5L", "UTC", from, 3), ["01-28 00:00", "02-25 00:00", "03-31 00:00"]);
    assert_eq!(next("0 0 1,L * *", "UTC", from, 3), ["01-31 00:00", "02-01 00:00", "02-29 00:00"]);
    assert_eq!(next("0 0 L * 5L", "UTC", from, 4), ["01-28 00:00", "01-31 00:00", "02-25 00:00", "02-29 00:00"]);
}

#[test]
fn the_missing_hour_runs_fixed_times_once_after_it() {
    let from = "2027-03-13T12:00Z";
    assert_eq!(next("30 2 * * *", "America/New_York", from, 2), ["03-14 03:00", "03-15 02:30"]);
    assert_eq!(next("0,30 2 * * *", "America/New_York", from, 3), ["03-14 03:00", "03-15 02:00", "03-15 02:30"]);
    assert_eq!(next("*/30 2 * * *", "America/New_York", from, 2), ["03-15 02:00", "03-15 02:30"]);
    assert_eq!(next("0 12 * * *", "Pacific/Apia", "2011-12-29T23:00Z", 2), ["12-31 00:00", "12-31 12:00"]);
}

#[test]
fn the_repeated_hour_runs_fixed_times_once_and_wildcards_twice() {
    let from = "2027-11-07T04:45Z";
    assert_eq!(next("30 1 * * *", "America/New_York", from, 2), ["11-07 01:30", "11-08 01:30"]);
    assert_eq!(next("30 * * * *", "America/New_York", from, 3), ["11-07 01:30", "11-07 01:30", "11-07 02:30"]);
    assert_eq!(next("30 1 * * *", "America/New_York", "2027-11-07T06:10Z", 1), ["11-08 01:30"]);
    // half an hour in Lord Howe, where cronsim loses a run
    assert_eq!(next("0 */2 * * *", "Australia/Lord_Howe", "2027-04-03T14:00Z", 2), ["04-04 02:00", "04-04 04:00"]);
}

/// The first fire times by a rule for clock changes.
fn next_by(gap: Gap, fold: Fold, text: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let zone = Zone::parse("tz", zone).unwrap();
    let next = |after: &Timestamp| cron(text).next_after(&zone, Dst { gap, fold }, *after);
    let times = std::iter::successors(next(&at(from)), next).take(count);
    times.map(|at| zone.to_local(at).format("%m-%d %H:%M:%S ").to_string() + &zone.abbreviation(at)).collect()
}

#[test]
fn times_in_a_gap_can_be_left_out_or_run_before_it() {
    let new_york = |gap, text| next_by(gap, Fold::First, text, "America/New_York", "2027-03-13T12:00Z", 2);
    assert_eq!(new_york(Gap::Skip, "30 2 * * *"), ["03-15 02:30:00 EDT", "03-16 02:30:00 EDT"]);
    // the last minute before the jump, or the last second where the expression speaks of seconds
    assert_eq!(new_york(Gap::RunBefore, "0,30 2 * * *"), ["03-14 01:59:00 EST", "03-15 02:00:00 EDT"]);
    assert_eq!(new_york(Gap::RunBefore, "0 30 2 * * *"), ["03-14 01:59:00 EST", "03-15 02:30:00 EDT"]);
    assert_eq!(new_york(Gap::RunBefore, "15 30 2 * * *"), ["03-14 01:59:59 EST", "03-15 02:30:15 EDT"]);
    // one that is due then anyway fires once
    assert_eq!(new_york(Gap::RunBefore, "59 1-2 * * *"), ["03-14 01:59:00 EST", "03-15 01:59:00 EDT"]);
    let apia = |gap| next_by(gap, Fold::First, "0 12 * * *", "Pacific/Apia", "2011-12-29T23:00Z", 2);
    assert_eq!(apia(Gap::RunBefore), ["12-29 23:59:00 -10", "12-31 12:00:00 +14"]);
    assert_eq!(apia(Gap::Skip), ["12-31 12:00:00 +14", "01-01 12:00:00 +14"]);
    // clocks that were changed at one minute past midnight
    let st_johns = next_by(Gap::RunBefore, Fold::First, "30 0 * * *", "America/St_Johns", "2007-03-10T12:00Z", 2);
    assert_eq!(st_johns, ["03-11 00:00:00 NST", "03-12 00:30:00 NDT"]);
    assert_eq!(
        next_by(Gap::RunBefore, Fold::First, "15 2 * * *", "Australia/Lord_Howe", "2027-10-01T16:00Z", 2),
        ["10-03 01:59:00 +1030", "10-04 02:15:00 +11"]
    );
}

#[test]
fn times_in_a_fold_can_run_at_the_second_pass_or_at_both() {
    let new_york = |fold, text, from, count| next_by(Gap::RunAfter, fold, text, "America/New_York", from, count);
    let before = "2027-11-07T04:30Z"; // 00:30 EDT
    assert_eq!(new_york(Fold::Last, "30 1 * * *", before, 2), ["11-07 01:30:00 EST", "11-08 01:30:00 EST"]);
    assert_eq!(
        new_york(Fold::Both, "15,45 1 * * *", before, 5),
        ["11-07 01:15:00 EDT", "11-07 01:45:00 EDT", "11-07 01:15:00 EST", "11-07 01:45:00 EST", "11-08 01:15:00 EST"]
    );
    // asked from within the first pass and from within the second
    assert_eq!(new_york(Fold::Last, "15 1 * * *", "2027-11-07T05:40Z", 1), ["11-07 01:15:00 EST"]);
    assert_eq!(new_york(Fold::First, "45 1 * * *", "2027-11-07T06:10Z", 1), ["11-08 01:45:00 EST"]);
    assert_eq!(new_york(Fold::Both, "45 1 * * *", "2027-11-07T06:10Z", 1), ["11-07 01:45:00 EST"]);
    assert_eq!(
        next_by(Gap::RunAfter, Fold::Both, "45 1 * * *", "Australia/Lord_Howe", "2027-04-03T12:00Z", 2),
        ["04-04 01:45:00 +11", "04-04 01:45:00 +1030"]
    );
}

#[test]
fn jobs_that_follow_the_clock_ask_no_rule() {
    for (_, gap) in Gap::WORDS {
        for (_, fold) in Fold::WORDS {
            assert_eq!(
                next_by(gap, fold, "30 * * * *", "America/New_York", "2027-11-07T04:45Z", 3),
                ["11-07 01:30:00 EDT", "11-07 01:30:00 EST", "11-07 02:30:00 EST"]
            );
            assert_eq!(
                next_by(gap, fold, "*/30 2 * * *", "America/New_York", "2027-03-13T12:00Z", 1),
                ["03-15 02:00:00 EDT"]
            );
        }
    }
}

mod hashed {
    use super::*;

    fn of(text: &str, id: &str) -> Cron {
        Cron::parse_for("cron", text, Some(&EntryId::parse("id", id).unwrap())).unwrap()
    }

    #[test]
    fn the_same_id_has_the_same_value_everywhere() {
        // fixed for ever: another hash would move the entries of every user
        for (id, same) in [("report", "8 5 17 * 6"), ("billing.daily", "51 15 17 * 0"), ("日報", "19 3 19 * 6")] {
            assert_eq!(of("H H H * H", id).compiled.resolved, same, "{id}");
        }
        assert_eq!(
            of("H 3 * * *", "report").compiled.fields.minutes,
            of("0 H H * * *", "report").compiled.fields.minutes
        );
        assert!(of("h H * * *", "report").fires_like(&of("H H * * *", "report")));
        assert!(!of("H H * * *", "report").fires_like(&of("H H * * *", "other")));
        assert_eq!(of(" H H * * *", "report").text(), "H H * * *");
    }

    #[test]
    fn it_spreads_over_all_values_and_no_day_is_missing_in_a_month() {
        let ids: Vec<String> = (0..6000).map(|number| format!("job-{number}")).collect();
        let values = |text: &str, set: fn(&Fields) -> u64| {
            ids.iter().fold(0, |all, id| all | set(&of(text, id).compiled.fields))
        };
        assert_eq!(values("H 0 * * *", |fields| fields.minutes), field::MINUTE.all());
        assert_eq!(values("0 H * * *", |fields| fields.hours), field::HOUR.all());
        assert_eq!(values("0 0 H * *", |fields| fields.month_days.plain), (1 << 29) - 2);
        assert_eq!(values("0 0 * * H", |fields| fields.week_days.plain), (1 << 7) - 1);
        let mut counts = [0_u32; 60];
        ids.iter().for_each(|id| counts[of("H 0 * * *", id).compiled.fields.minutes.trailing_zeros() as usize] += 1);
        assert!(counts.iter().all(|count| (60..=140).contains(count)), "{counts:?}");
    }

    #[test]
    fn its_job_is_one_of_fixed_times_and_reads_as_resolved() {
        assert!(!of("H * * * *", "report").is_wildcard() && !of("* H * * *", "report").is_wildcard());
        assert_eq!(of("H H * * *", "report").describe(), "at 05:08 every day");
        assert_eq!(
            of("H 0 */2 * MON", "report").describe(),
            "at 00:08, Monday, only on every 2nd day from the 1st to the 31st of the month"
        );
    }

    #[test]
    fn it_is_refused_where_it_means_nothing_with_the_way_out() {
        let id = EntryId::parse("id", "report").unwrap();
        for (text, wanted) in [
            ("H/15 * * * *", "minute: H/15: H stands alone; write H, or */15 without spreading"),
            ("H(0-7) * * * *", "minute: H(0-7): H stands alone; write H for any value, or numbers"),
            ("0 H,12 * * *", "hour: H: H stands alone"),
            ("0 1-H * * *", "hour: 1-H: H stands alone"),
            ("0 0 * H *", "month: H is for minute, hour and the two day words; write a number"),
            ("H 0 0 * * *", "second: H is for minute, hour and the two day words"),
        ] {
            for id in [None, Some(&id)] {
                let error = Cron::parse_for("cron", text, id).unwrap_err();
                let shown = format!("{error}; {}", error.problem().hint.clone().unwrap_or_default());
                assert!(shown.contains(wanted), "{text}: {shown}");
            }
        }
        for text in ["H H * * *", "0 0 H * *", "0 0 * * h", "0 H 1 * * *"] {
            assert!(refusal(text).contains("H needs an entry id to spread by"), "{}", refusal(text));
        }
    }
}

#[test]
fn nothing_fires_before_1970_or_after_2100() {
    let utc = Zone::utc();
    assert_eq!(cron("* * * * *").next_after(&utc, Dst::default(), Timestamp(i64::MIN)), Some(Timestamp(0)));
    assert_eq!(cron("0 0 * * *").next_after(&utc, Dst::default(), at("2100-12-31T00:00Z")), None);
    assert_eq!(cron("0 0 29 2 *").next_after(&utc, Dst::default(), at("2096-02-29T00:00Z")), None);
    assert_eq!(cron("* * * * *").next_after(&utc, Dst::default(), Timestamp(i64::MAX)), None);
}

#[test]
fn readings_are_plain() {
    for (text, reading) in [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 min"),
        ("2-59/15 * * * *", "every 15 min from minute 2"),
        ("*/10 * * * * *", "every 10 s"),
        ("* * * * * *", "every second"),
        ("0 * * * *", "every hour"),
        ("17 * * * *", "every hour at minute 17"),
        ("5,10,20 * * * *", "at minutes 5, 10 and 20 of every hour"),
        ("30 2 * * *", "at 02:30 every day"),
        ("15 30 2 * * *", "at 02:30:15 every day"),
        ("0 9 * * mon-fri", "at 09:00, Monday to Friday"),
        ("0 9,17 * * 6,0", "at 09:00 and 17:00, Saturday and Sunday"),
        ("0 0,12 1 * *", "at 00:00 and 12:00, on the 1st of the month"),
        ("0 0 1,15,22 * *", "at 00:00, on the 1st, 15th and 22nd of the month"),
        ("0 0 1-7 * *", "at 00:00, on the 1st to 7th of the month"),
        ("0 3 * 6-8 *", "at 03:00, every day in June to August"),
        ("0 3 1 1 *", "at 03:00, on the 1st of January"),
        ("0 0 L * *", "at 00:00, on the last day of the month"),
        ("0 0 LW * *", "at 00:00, on the last weekday of the month"),
        ("0 0 15W * *", "at 00:00, on the weekday nearest the 15th of the month"),
        ("0 0 * * MON#2", "at 00:00, on the second Monday of the month"),
        ("0 0 * * 5L", "at 00:00, on the last Friday of the month"),
        ("0 0 13 * FRI", "at 00:00, on the 13th of the month or Friday"),
        ("0 */2 * * *", "every 2 h"),
        ("30 1/2 * * *", "every 2 h from 01:30"),
        ("0 */6 * * *", "at 00:00, 06:00, 12:00 and 18:00 every day"),
        ("*/15 9-17 * * 1-5", "every 15 min from 09:00 to 17:45, Monday to Friday"),
        ("0 9-17 * * *", "every hour from 09:00 to 17:00"),
        ("*/5 3 * * *", "every 5 min from 03:00 to 03:55"),
        ("0 0 */2 * MON", "at 00:00, Monday, only on every 2nd day from the 1st to the 31st of the month"),
        ("0 0 */2 * *", "at 00:00, on every 2nd day from the 1st to the 31st of the month"),
        ("7,11,13,17,19 * * * *", "at minutes 7, 11, 13, 17 and 19 of every hour"),
        ("*/7 * * * *", "every 7 min from minute 0 to 56 of every hour"),
        ("0-10 * * * *", "at minutes 0 to 10 of every hour"),
        ("*/10 8-10,14-16 * * *", "every 10 min of hours 8 to 10 and 14 to 16"),
        ("10 1,5,7,9,13 * * *", "at minute 10 of hours 1, 5, 7, 9 and 13"),
        ("*/15 */2 * * *", "at minutes 0, 15, 30 and 45 of every 2nd hour from 0 to 22"),
        ("*/10 * 9 * * *", "every 10 s of every minute of hour 9"),
        ("* 9 * * *", "every minute from 09:00 to 09:59"),
        ("* * 1 * *", "every minute, on the 1st of the month"),
        ("0 3 * * 1-3,5-7", "at 03:00, Monday to Wednesday and Friday to Sunday"),
        ("0 0 1,15,20,25,28 * *", "at 00:00, on the 1st, 15th, 20th, 25th and 28th of the month"),
        ("0 0 L,15 6 *", "at 00:00, on the 15th and last day of June"),
        ("0 0 * 6 MON#1", "at 00:00, on the first Monday of June"),
        ("0 0 * * 1#1,5", "at 00:00, Friday, and on the first Monday of the month"),
        ("0 0 13 6 5", "at 00:00, on the 13th of June or Friday in June"),
        ("0 0 1-31 * 5", "at 00:00 every day"),
        ("0 12 * 1-3,10-12 *", "at 12:00, every day in January to March and October to December"),
    ] {
        assert_eq!(cron(text).describe(), reading, "{text}");
    }
}
