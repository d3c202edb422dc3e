//! What holds of every expression, zone and instant.

use chrono::{Datelike, NaiveDate, Timelike};
use proptest::prelude::*;

use super::*;
use crate::domain::zone::{Fold, Gap, Local};

/// Zones whose clocks change in unusual ways, with dates near a change.
const CHANGES: [(&str, &str); 12] = [
    ("America/New_York", "2027-03-14T05:00Z"),
    ("America/New_York", "2027-11-07T03:00Z"),
    ("Europe/Berlin", "2027-10-31T00:00Z"),
    ("Australia/Lord_Howe", "2027-04-03T12:00Z"),
    ("Australia/Lord_Howe", "2027-10-02T12:00Z"),
    ("Antarctica/Troll", "2027-03-28T00:00Z"),
    ("Antarctica/Troll", "2027-10-31T00:00Z"),
    ("America/Sao_Paulo", "2018-11-04T01:00Z"),
    ("America/St_Johns", "2007-11-04T00:00Z"),
    ("Pacific/Apia", "2011-12-30T06:00Z"),
    ("Pacific/Chatham", "2027-04-03T12:00Z"),
    ("UTC", "2027-12-31T20:00Z"),
];

fn word(min: u32, max: u32, names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let number = move || min..=max;
    let item = prop_oneof![
        4 => Just("*".to_owned()),
        2 => (1..max + 5).prop_map(|step| format!("*/{step}")),
        4 => number().prop_map(|value| value.to_string()),
        2 => (number(), number()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (number(), number(), 1..9u32).prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
        1 => (number(), 1..9u32).prop_map(|(a, step)| format!("{a}/{step}")),
        1 => (0..names.len().max(1)).prop_map(move |index| names.get(index).map_or_else(|| max.to_string(), |name| name.to_ascii_lowercase())),
    ];
    prop::collection::vec(item, 1..3).prop_map(|items| items.join(","))
}

prop_compose! {
    fn five_words()(
        minute in word(0, 59, &[]),
        hour in word(0, 23, &[]),
        month_day in prop_oneof![3 => Just("*".to_owned()), 2 => word(1, 31, &[]), 1 => prop::sample::select(vec!["L", "LW", "15W", "1W,31W", "L,3"]).prop_map(str::to_owned)],
        month in prop_oneof![3 => Just("*".to_owned()), 1 => word(1, 12, &field::MONTHS)],
        week_day in prop_oneof![3 => Just("*".to_owned()), 2 => word(0, 7, &field::WEEK_DAYS), 1 => prop::sample::select(vec!["5L", "MON#2", "1#5,TUE", "0L,3#1"]).prop_map(str::to_owned)],
    ) -> String {
        format!("{minute} {hour} {month_day} {month} {week_day}")
    }
}

prop_compose! {
    /// Six words with all that the parser knows.
    pub fn any_words()(second in word(0, 59, &[]), five in five_words(), has_seconds: bool) -> String {
        if has_seconds { format!("{second} {five}") } else { five }
    }
}

pub fn every_rule() -> Vec<Dst> {
    let gaps = Gap::WORDS.into_iter();
    gaps.flat_map(|(_, gap)| Fold::WORDS.into_iter().map(move |(_, fold)| Dst { gap, fold })).collect()
}

/// The default as often as all others.
pub fn rule() -> impl Strategy<Value = Dst> {
    prop_oneof![Just(Dst::default()), prop::sample::select(every_rule())]
}

prop_compose! {
    pub fn near_change()(index in 0..CHANGES.len(), minutes in -2000i64..2000, ms in 0i64..60_000) -> (Zone, Timestamp) {
        let (zone, date) = CHANGES[index];
        (Zone::parse("tz", zone).unwrap(), Timestamp(at(date).ms() + minutes * 60_000 + ms))
    }
}

/// Whether the wall time matches; says nothing about clock changes.
fn matches(cron: &Cron, local: chrono::NaiveDateTime) -> bool {
    let fields = &cron.compiled.fields;
    let has = |set: u64, value: u32| set >> value & 1 == 1;
    let (month_day, week_day) = (fields.month_days.matches(local.date()), fields.week_days.matches(local.date()));
    let day = if fields.needs_both_days { month_day && week_day } else { month_day || week_day };
    has(fields.seconds, local.second())
        && has(fields.minutes, local.minute())
        && has(fields.hours, local.hour())
        && has(fields.months, local.month())
        && day
}

/// Fire times of the next three days by walking all minutes: the rule, told another way.
fn walk(cron: &Cron, zone: &Zone, dst: Dst, from: Timestamp) -> Vec<Timestamp> {
    const DAYS: i64 = 3;
    let until = Timestamp(from.ms() + DAYS * 86_400_000);
    let minute = from.ms().div_euclid(60_000);
    let mut times: Vec<Timestamp> = if cron.compiled.fields.is_wildcard {
        (minute..minute + DAYS * 1440 + 1)
            .map(|minute| Timestamp(minute * 60_000))
            .filter(|at| matches(cron, zone.to_local(*at)))
            .collect()
    } else {
        let first = zone.to_local(Timestamp((minute - 1440) * 60_000));
        let locals = (0..(DAYS + 4) * 1440).map(|minutes| first + chrono::TimeDelta::minutes(minutes));
        let mut times = Vec::new();
        for local in locals.filter(|local| matches(cron, *local)) {
            match (zone.from_local(local), dst.gap, dst.fold) {
                (Local::One(at), ..) | (Local::Gap { end: at }, Gap::RunAfter, _) => times.push(at),
                (Local::Two(first, _), _, Fold::First) => times.push(first),
                (Local::Two(_, last), _, Fold::Last) => times.push(last),
                (Local::Two(first, last), _, Fold::Both) => times.extend([first, last]),
                (Local::Gap { .. }, Gap::Skip, _) => {}
                // the minute that the clock shows last before it jumps
                (Local::Gap { end }, Gap::RunBefore, _) => {
                    let last = (1..120).map(|seconds| Timestamp(end.ms() - seconds * 1000));
                    times.extend(last.filter(|at| zone.to_local(*at).second() == 0).take(1));
                }
            }
        }
        times
    };
    times.retain(|at| *at > from && *at <= until);
    times.sort();
    times.dedup();
    times
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn clock_changes_follow_the_rule(text in five_words(), (zone, from) in near_change(), dst in rule()) {
        let Ok(cron) = Cron::parse("cron", &text) else { return Ok(()) };
        let walked = walk(&cron, &zone, dst, from);
        let times: Vec<Timestamp> = std::iter::successors(cron.next_after(&zone, dst, from), |last| cron.next_after(&zone, dst, *last)).take(walked.len() + 1).collect();
        prop_assert_eq!(&times[..walked.len().min(times.len())], &walked[..], "{} {}", text, zone);
        prop_assert!(times.get(walked.len()).is_none_or(|beyond| beyond.ms() > from.ms() + 3 * 86_400_000), "{} {}", text, zone);
    }

    #[test]
    fn fire_times_grow_and_do_not_depend_on_where_one_asks_from(text in any_words(), (zone, from) in near_change(), dst in rule(), share in 0.0..1.0f64) {
        let Ok(cron) = Cron::parse("cron", &text) else { return Ok(()) };
        let dst = if cron.is_wildcard() { Dst::BY_CLOCK } else { dst };
        let Some(first) = cron.found_after(&zone, dst, from) else { return Ok(()) };
        prop_assert!(first > from);
        let between = Timestamp(from.ms() + ((first.ms() - 1 - from.ms()) as f64 * share) as i64);
        prop_assert_eq!(cron.found_after(&zone, dst, between), Some(first));
        prop_assert!(cron.found_after(&zone, dst, first).is_none_or(|second| second > first));
    }

    #[test]
    fn what_was_asked_before_changes_no_fire_time(
        text in any_words(), (zone, from) in near_change(), rules in (rule(), rule()),
        asked in prop::collection::vec((0..8usize, -90_000i64..90_000, any::<[bool; 3]>()), 1..40),
    ) {
        let Ok(cron) = Cron::parse("cron", &text) else { return Ok(()) };
        let first = cron.next_after(&zone, rules.0, from);
        let mut near: Vec<Timestamp> = std::iter::successors(first, |last| cron.next_after(&zone, rules.0, *last)).take(40).collect();
        near.push(from);
        for (place, distance, [is_next, is_utc, is_other]) in asked {
            // Right at one of them, or somewhere near.
            let at = near[(near.len() - 1) * place / 7];
            let after = if is_next { at } else { Timestamp(at.ms() + distance) };
            let zone = if is_utc { Zone::utc() } else { zone.clone() };
            let dst = if is_other { rules.1 } else { rules.0 };
            let held = if cron.is_wildcard() { Dst::BY_CLOCK } else { dst };
            prop_assert_eq!(cron.next_after(&zone, dst, after), cron.found_after(&zone, held, after), "{} {} {:?}", text, zone, after);
        }
    }

    #[test]
    fn every_fire_time_matches_or_lies_beside_a_gap(text in any_words(), (zone, from) in near_change(), dst in rule()) {
        let Ok(cron) = Cron::parse("cron", &text) else { return Ok(()) };
        let Some(first) = cron.next_after(&zone, dst, from) else { return Ok(()) };
        let local = zone.to_local(first);
        let change = match dst.gap {
            Gap::RunAfter => Some(first),
            Gap::RunBefore => zone.next_change(first).filter(|change| change.ms() - first.ms() <= 60_000),
            Gap::Skip => None,
        };
        let before = |change: Timestamp| zone.to_local(Timestamp(change.ms() - 1000)) + chrono::TimeDelta::seconds(1);
        let has_gap = change.is_some_and(|change| matches!(zone.from_local(before(change)), Local::Gap { end } if end == change));
        prop_assert!(matches(&cron, local) || (!cron.is_wildcard() && has_gap), "{text} {zone} {local} {dst:?}");
    }

    #[test]
    fn dates_far_ahead_are_those_of_the_calendar(text in five_words(), from in 0i64..3_000_000_000) {
        let days: Vec<&str> = text.split(' ').skip(2).collect();
        let Ok(cron) = Cron::parse("cron", &format!("0 0 {}", days.join(" "))) else { return Ok(()) };
        let from = Timestamp(from * 1000);
        let first = from.to_utc().date_naive();
        let dates = first.iter_days().take(3 * 366).map(|day| day.and_time(chrono::NaiveTime::MIN));
        let walked: Vec<i64> = dates.filter(|local| matches(&cron, *local)).map(|local| local.and_utc().timestamp_millis()).filter(|at| *at > from.ms()).collect();
        let times = std::iter::successors(cron.next_after(&Zone::utc(), Dst::default(), from), |last| cron.next_after(&Zone::utc(), Dst::default(), *last));
        prop_assert_eq!(times.map(Timestamp::ms).take(walked.len()).collect::<Vec<_>>(), walked, "{}", text);
    }

    #[test]
    fn leading_zero_seconds_change_nothing(text in five_words(), (zone, from) in near_change(), dst in rule()) {
        let (five, six) = (Cron::parse("cron", &text), Cron::parse("cron", &format!("0 {text}")));
        prop_assert_eq!(five.is_ok(), six.is_ok());
        if let (Ok(five), Ok(six)) = (five, six) {
            prop_assert!(five.fires_like(&six));
            prop_assert_eq!(five.next_after(&zone, dst, from), six.next_after(&zone, dst, from));
        }
    }

    #[test]
    fn names_and_numbers_in_any_case_are_the_same(
        month in 0usize..12, day in 0usize..7, later in 0usize..7, upper: bool, is_sunday_seven: bool,
        nickname in prop::sample::select(NICKNAMES.to_vec()),
    ) {
        let cased = |name: &str| if upper { name.to_owned() } else { name.to_ascii_lowercase() };
        let (first, last) = (day.min(later), day.max(later));
        let names = format!("0 9 * {} {}-{}", cased(field::MONTHS[month]), cased(field::WEEK_DAYS[first]), cased(field::WEEK_DAYS[last]));
        prop_assert!(cron(&names).fires_like(&cron(&format!("0 9 * {} {first}-{last}", month + 1))), "{names}");
        let sunday = if is_sunday_seven { "7" } else { "SUN" };
        let (one, other) = (format!("0 9 * * {sunday},{day}"), format!("0 9 * * 0,{day}"));
        prop_assert!(cron(&one).fires_like(&cron(&other)), "{one}");
        prop_assert!(cron(&cased(nickname.0)).fires_like(&cron(nickname.1)), "{}", nickname.0);
    }

    #[test]
    fn no_text_panics_and_no_instant_does(text in "\\PC{0,40}|([-*/,0-9LWHJANMO#?@]{1,6} ){4,6}|([0-9*]{1,2} ){4}[0-9*]", from: i64) {
        if let Ok(cron) = Cron::parse("cron", &text) {
            cron.next_after(&Zone::utc(), Dst::default(), Timestamp(from));
            prop_assert!(!cron.describe().is_empty());
        }
    }

    #[test]
    fn the_year_is_the_only_limit_of_dates(year in 1970i32..2100, month in 1u32..=12, day in 1u32..=28) {
        let cron = cron(&format!("0 0 {day} {month} *"));
        let date = NaiveDate::from_ymd_opt(year, month, day).unwrap().and_hms_opt(0, 0, 0).unwrap();
        let before = Timestamp(date.and_utc().timestamp_millis() - 1);
        prop_assert_eq!(cron.next_after(&Zone::utc(), Dst::default(), before), Some(Timestamp(date.and_utc().timestamp_millis())));
    }
}
