//! What the next change of the clocks does to a schedule, in words; nothing where it does nothing.

use chrono::{NaiveDateTime, TimeDelta};

use crate::domain::cron::Cron;
use crate::domain::rrule::Rrule;
use crate::domain::schedule::{Schedule, When};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::{Fold, Gap, Zone};

/// How far ahead a change is told: 366 d.
const REACH_MS: i64 = 366 * 86_400_000;
/// Local times in one gap or fold that are counted, at most.
const COUNTED: usize = 1000;

/// The next change of the zone's clocks within a year after `now` that leaves out, moves or doubles a fire time, and what
/// happens then.
pub fn next_change(schedule: &Schedule, now: Timestamp) -> Option<String> {
    let all: Vec<Times> = match &schedule.when {
        When::Cron(crons) => crons.iter().map(Times::Cron).collect(),
        When::Rrule(rule) => vec![Times::Rule(rule)],
        When::Every(_) | When::At(_) => return None,
    };
    let mut change = schedule.zone.next_offset_change(now)?;
    while change.0 - now.0 <= REACH_MS {
        let is_within =
            schedule.start.is_none_or(|start| start <= change) && schedule.end.is_none_or(|end| change < end);
        if is_within && let Some(words) = all.iter().find_map(|times| at_change(schedule, times, change)) {
            return Some(words);
        }
        change = schedule.zone.next_offset_change(change)?;
    }
    None
}

/// A cron expression or a rule, as far as a change of the clocks concerns it.
enum Times<'s> {
    Cron(&'s Cron),
    Rule(&'s Rrule),
}

impl Times<'_> {
    fn follows_the_clock(&self) -> bool {
        match self {
            Self::Cron(cron) => cron.is_wildcard(),
            Self::Rule(rule) => rule.follows_the_clock(),
        }
    }

    fn is_hourly(&self) -> bool {
        match self {
            Self::Cron(cron) => cron.is_hourly(),
            Self::Rule(rule) => rule.is_hourly(),
        }
    }

    fn next_local(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        match self {
            Self::Cron(cron) => cron.next_local(local),
            Self::Rule(rule) => rule.next_local(local),
        }
    }

    fn last_before(&self, zone: &Zone, change: Timestamp) -> Timestamp {
        match self {
            Self::Cron(cron) => cron.last_before(zone, change),
            Self::Rule(rule) => rule.last_before(zone, change),
        }
    }
}

/// What may be meant otherwise by who wrote an expression.
pub fn doubt(schedule: &Schedule) -> Option<&'static str> {
    match &schedule.when {
        When::Cron(crons) => crons.iter().find_map(Cron::doubt),
        _ => None,
    }
}

fn at_change(schedule: &Schedule, times: &Times, change: Timestamp) -> Option<String> {
    let zone = &schedule.zone;
    let after = zone.to_local(change);
    // What the clock would have shown at that instant.
    let before = zone.to_local(Timestamp(change.0 - 1000)) + TimeDelta::seconds(1);
    let is_forward = before < after;
    // By real time nothing happens to what is the same in every hour, where the clock jumps by hours.
    if times.follows_the_clock() && times.is_hourly() && (after - before).num_seconds() % 3600 == 0 {
        return None;
    }
    let locals = locals(times, before.min(after), before.max(after));
    let when = match (locals.as_slice(), locals.len()) {
        ([], _) => return None,
        ([one], _) => shown(*one, before),
        ([one, other], _) => format!("{} and {}", shown(*one, before), shown(*other, before)),
        ([first, .., last], COUNTED) => format!("{} to {}", shown(*first, before), shown(*last, before)),
        ([first, .., last], count) => format!("{} to {} ({count} times)", shown(*first, before), shown(*last, before)),
    };
    let is_one = locals.len() == 1;
    let moved_to = |at: Timestamp| {
        let at = shown(zone.to_local(at), before);
        if is_one {
            format!("the run of {when} comes at {at}")
        } else {
            format!("the runs of {when} come at {at}, as one")
        }
    };
    let (comes, runs) = if is_one { ("comes", "runs") } else { ("come", "run") };
    let what = match (is_forward, times.follows_the_clock(), schedule.dst.gap, schedule.dst.fold) {
        (true, true, ..) | (true, _, Gap::Skip, _) => format!("no run at {when}, which the clock leaves out"),
        (true, _, Gap::RunAfter, _) => moved_to(change),
        (true, _, Gap::RunBefore, _) => moved_to(times.last_before(zone, change)),
        (false, true, ..) | (false, _, _, Fold::Both) => format!("{when} {comes} twice and {runs} each time"),
        (false, _, _, Fold::First) => format!("{when} {comes} twice and {runs} the first time only"),
        (false, _, _, Fold::Last) => format!("{when} {comes} twice and {runs} the second time only"),
    };
    let way = if is_forward { "forward" } else { "back" };
    let from = before.format("%Y-%m-%d %H:%M");
    Some(format!("clocks in {zone} go {way} on {from} -> {}: {what}", shown(after, before)))
}

/// The local times from `first` on, before `end`.
fn locals(times: &Times, first: NaiveDateTime, end: NaiveDateTime) -> Vec<NaiveDateTime> {
    let next = |local: &NaiveDateTime| times.next_local(*local).filter(|next| *next < end);
    std::iter::successors(next(&(first - TimeDelta::seconds(1))), next).take(COUNTED).collect()
}

/// The time of day, with its date where it is not the day of the change.
fn shown(local: NaiveDateTime, day: NaiveDateTime) -> String {
    let time = if local.format("%S").to_string() == "00" { "%H:%M" } else { "%H:%M:%S" };
    let format = if local.date() == day.date() { time.to_owned() } else { format!("%Y-%m-%d {time}") };
    local.format(&format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::zone::Dst;

    fn words(text: &str, zone: &str, now: &str, dst: Dst) -> Option<String> {
        let zone = Zone::parse("tz", zone).unwrap();
        let schedule = Schedule {
            when: match text.starts_with("FREQ") {
                true => When::Rrule(Rrule::parse("rrule", text, Some(Timestamp(0)), &zone).unwrap()),
                false => When::Cron(vec![Cron::parse("cron", text).unwrap()]),
            },
            zone,
            start: None,
            end: None,
            anchor: None,
            dst,
            exclude: Default::default(),
        };
        next_change(&schedule, Timestamp::parse("now", now, None).unwrap())
    }

    #[test]
    fn a_change_of_the_clocks_is_told_where_it_touches_a_fire_time() {
        let by = |gap, fold| Dst { gap, fold };
        let usual = Dst::default();
        let skip = by(Gap::Skip, Fold::Both);
        let before = by(Gap::RunBefore, Fold::Last);
        let forward = "clocks in America/New_York go forward on 2027-03-14 02:00 -> 03:00: ";
        let back = "clocks in America/New_York go back on 2027-11-07 02:00 -> 01:00: ";
        let (winter, summer) = ("2026-11-20T12:00:00Z", "2027-07-01T12:00:00Z");
        for (cron, now, dst, head, tail) in [
            ("30 2 * * *", winter, usual, forward, "the run of 02:30 comes at 03:00"),
            ("0,30 2 * * *", winter, usual, forward, "the runs of 02:00 and 02:30 come at 03:00, as one"),
            ("30 2 * * *", winter, skip, forward, "no run at 02:30, which the clock leaves out"),
            ("30 2 * * *", winter, before, forward, "the run of 02:30 comes at 01:59"),
            ("20 30 2 * * *", winter, before, forward, "the run of 02:30:20 comes at 01:59:59"),
            ("*/15 2 * * *", winter, usual, forward, "no run at 02:00 to 02:45 (4 times), which the clock leaves out"),
            ("0 */2 * * *", winter, usual, forward, "no run at 02:00, which the clock leaves out"),
            ("30 1 * * *", summer, usual, back, "01:30 comes twice and runs the first time only"),
            ("FREQ=DAILY;BYHOUR=2;BYMINUTE=30;BYSECOND=0", winter, usual, forward, "the run of 02:30 comes at 03:00"),
            ("FREQ=DAILY;BYHOUR=2;BYMINUTE=30;BYSECOND=0", winter, before, forward, "the run of 02:30 comes at 01:59"),
            (
                "FREQ=DAILY;BYHOUR=1;BYMINUTE=0;BYSECOND=0",
                summer,
                usual,
                back,
                "01:00 comes twice and runs the first time only",
            ),
            ("30 1 * * *", winter, usual, back, "01:30 comes twice and runs the first time only"),
            ("15,45 1 * * *", summer, before, back, "01:15 and 01:45 come twice and run the second time only"),
            ("30 1 * * *", summer, skip, back, "01:30 comes twice and runs each time"),
            ("*/30 1 * * *", summer, usual, back, "01:00 and 01:30 come twice and run each time"),
        ] {
            assert_eq!(words(cron, "America/New_York", now, dst), Some(format!("{head}{tail}")), "{cron}");
        }
    }

    #[test]
    fn nothing_is_told_where_nothing_happens() {
        let now = "2026-11-20T12:00:00Z";
        for (cron, zone) in [
            ("30 4 * * *", "America/New_York"),
            ("0 9 * * mon-fri", "Europe/Berlin"),
            ("*/10 * * * *", "America/New_York"),
            ("*/7 * * * *", "America/New_York"),
            ("0 * * * *", "America/New_York"),
            ("30 2 * * *", "Asia/Shanghai"),
            ("FREQ=MINUTELY;INTERVAL=10", "America/New_York"),
            ("FREQ=WEEKLY;BYDAY=MO;BYHOUR=2;BYMINUTE=30", "America/New_York"),
            ("30 2 * * *", "UTC"),
            ("30 2 1 1 *", "America/New_York"),
        ] {
            assert_eq!(words(cron, zone, now, Dst::default()), None, "{cron} {zone}");
        }
    }

    #[test]
    fn half_hours_and_lost_days_are_told_too() {
        let usual = Dst::default();
        assert_eq!(
            words("15 2 * * *", "Australia/Lord_Howe", "2027-05-01T00:00:00Z", usual).unwrap(),
            "clocks in Australia/Lord_Howe go forward on 2027-10-03 02:00 -> 02:30: the run of 02:15 comes at 02:30"
        );
        assert_eq!(
            words("0 * * * *", "Australia/Lord_Howe", "2027-05-01T00:00:00Z", usual).unwrap(),
            "clocks in Australia/Lord_Howe go forward on 2027-10-03 02:00 -> 02:30: no run at 02:00, which the clock leaves out"
        );
        assert_eq!(
            words("0 12 * * *", "Pacific/Apia", "2011-12-01T00:00:00Z", usual).unwrap(),
            "clocks in Pacific/Apia go forward on 2011-12-30 00:00 -> 2011-12-31 00:00: the run of 12:00 comes at 2011-12-31 00:00"
        );
    }
}
