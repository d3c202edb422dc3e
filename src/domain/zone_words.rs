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

/// The next change of the zone's clocks within a year after `now` and what happens then: the first that leaves out, moves or
/// doubles a fire time, else the first of all. Nothing for `every` and `at`, which no change concerns.
pub fn next_change(schedule: &Schedule, now: Timestamp) -> Option<String> {
    touching_changes(schedule, now).into_iter().next().or_else(|| {
        let is_concerned = matches!(schedule.when, When::Cron(_) | When::Rrule(_));
        let at = schedule.zone.next_offset_change(now).filter(|at| is_concerned && at.0 - now.0 <= REACH_MS)?;
        schedule.next_after(at)?;
        let change = Change::at(&schedule.zone, at);
        Some(format!("{}: no fire time is touched", change.words(&schedule.zone)))
    })
}

/// The changes of the zone's clocks within a year after `now` that leave out, move or double fire times, in their order.
pub fn touching_changes(schedule: &Schedule, now: Timestamp) -> Vec<String> {
    let all: Vec<Times> = match &schedule.when {
        When::Cron(crons) => crons.iter().map(Times::Cron).collect(),
        When::Rrule(rule) => vec![Times::Rule(rule)],
        When::Every(_) | When::At(_) => return Vec::new(),
    };
    let changes =
        std::iter::successors(schedule.zone.next_offset_change(now), |at| schedule.zone.next_offset_change(*at));
    let changes = changes.take_while(|at| at.0 - now.0 <= REACH_MS);
    changes.filter_map(|at| at_change(schedule, &all, &Change::at(&schedule.zone, at))).collect()
}

/// One change of the clocks.
struct Change {
    at: Timestamp,
    /// What the clock would have shown at that instant.
    before: NaiveDateTime,
    /// What it shows.
    after: NaiveDateTime,
}

impl Change {
    fn at(zone: &Zone, at: Timestamp) -> Self {
        let before = zone.to_local(Timestamp(at.0 - 1000)) + TimeDelta::seconds(1);
        Self { at, before, after: zone.to_local(at) }
    }

    fn is_forward(&self) -> bool {
        self.before < self.after
    }

    /// `clocks in Europe/Berlin go forward on 2027-03-28 02:00 -> 03:00`.
    fn words(&self, zone: &Zone) -> String {
        let way = if self.is_forward() { "forward" } else { "back" };
        let (from, to) = (self.before.format("%Y-%m-%d %H:%M"), shown(self.after, self.before));
        format!("clocks in {zone} go {way} on {from} -> {to}")
    }
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

/// Local times that a change treats alike.
struct Touched {
    locals: Vec<NaiveDateTime>,
    follows_the_clock: bool,
    /// Where times that the clock leaves out go.
    moved_to: Timestamp,
}

fn at_change(schedule: &Schedule, all: &[Times], change: &Change) -> Option<String> {
    let mut touched: Vec<Touched> = Vec::new();
    for times in all {
        let Touched { locals, follows_the_clock, moved_to } = touched_by(schedule, times, change);
        match touched.iter_mut().find(|one| (one.follows_the_clock, one.moved_to) == (follows_the_clock, moved_to)) {
            Some(known) => known.locals.extend(locals),
            None => touched.push(Touched { locals, follows_the_clock, moved_to }),
        }
    }
    touched.retain(|one| !one.locals.is_empty());
    let what: Vec<String> = touched
        .iter_mut()
        .map(|one| {
            one.locals.sort_unstable();
            one.locals.dedup();
            in_words(schedule, one, change)
        })
        .collect();
    (!what.is_empty()).then(|| format!("{}: {}", change.words(&schedule.zone), what.join("; ")))
}

/// The local times in the gap or fold that would be fire times of the entry.
fn touched_by(schedule: &Schedule, times: &Times, change: &Change) -> Touched {
    let zone = &schedule.zone;
    let follows_the_clock = times.follows_the_clock();
    let moved_to = match schedule.dst.gap {
        Gap::RunBefore if change.is_forward() && !follows_the_clock => times.last_before(zone, change.at),
        _ => change.at,
    };
    // By real time nothing happens to what is the same in every hour, where the clock jumps by hours.
    let jump_s = (change.after - change.before).num_seconds();
    if follows_the_clock && times.is_hourly() && jump_s % 3600 == 0 {
        return Touched { locals: Vec::new(), follows_the_clock, moved_to };
    }
    let is_fire_time = |at: Timestamp| {
        schedule.start.is_none_or(|start| start <= at)
            && schedule.end.is_none_or(|end| at < end)
            && !schedule.exclude.has(zone.to_local(at).date())
    };
    let mut locals = locals(times, change.before.min(change.after), change.before.max(change.after));
    locals.retain(|local| match change.is_forward() {
        true => is_fire_time(moved_to),
        false => {
            let second = Timestamp(change.at.0 + (*local - change.after).num_milliseconds());
            is_fire_time(second) || is_fire_time(Timestamp(second.0 + jump_s * 1000))
        }
    });
    Touched { locals, follows_the_clock, moved_to }
}

fn in_words(schedule: &Schedule, touched: &Touched, change: &Change) -> String {
    let at = |local: &NaiveDateTime| shown(*local, change.before);
    let (locals, is_one) = (&touched.locals, touched.locals.len() == 1);
    let when = match (locals.as_slice(), locals.len()) {
        ([], _) => String::new(),
        ([one], _) => at(one),
        ([one, other], _) => format!("{} and {}", at(one), at(other)),
        ([first, .., last], COUNTED..) => format!("{} to {}", at(first), at(last)),
        ([first, .., last], count) => format!("{} to {} ({count} times)", at(first), at(last)),
    };
    let (comes, runs) = if is_one { ("comes", "runs") } else { ("come", "run") };
    let follows = touched.follows_the_clock;
    match (change.is_forward(), follows, schedule.dst.gap, schedule.dst.fold) {
        (true, true, ..) | (true, _, Gap::Skip, _) => format!("no run at {when}, which the clock leaves out"),
        (true, ..) => {
            let moved_to = at(&schedule.zone.to_local(touched.moved_to));
            match is_one {
                true => format!("the run of {when} comes at {moved_to}"),
                false => format!("the runs of {when} come at {moved_to}, as one"),
            }
        }
        (false, true, ..) | (false, _, _, Fold::Both) => format!("{when} {comes} twice and {runs} each time"),
        (false, _, _, Fold::First) => format!("{when} {comes} twice and {runs} the first time only"),
        (false, _, _, Fold::Last) => format!("{when} {comes} twice and {runs} the second time only"),
    }
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
    use crate::domain::exclude::Exclude;
    use crate::domain::zone::Dst;

    fn touching_change(schedule: &Schedule, now: Timestamp) -> Option<String> {
        touching_changes(schedule, now).into_iter().next()
    }

    fn words(text: &str, zone: &str, now: &str, dst: Dst) -> Option<String> {
        let now = Timestamp::parse("now", now, None).unwrap();
        if !text.starts_with("FREQ") {
            return touching_change(&Schedule { dst, ..cron_in(zone, &[text]) }, now);
        }
        let schedule = cron_in(zone, &[]);
        let when = When::Rrule(Rrule::parse("rrule", text, Some(Timestamp(0)), &schedule.zone).unwrap());
        touching_change(&Schedule { when, dst, ..schedule }, now)
    }

    fn cron_in(zone: &str, crons: &[&str]) -> Schedule {
        Schedule {
            when: When::Cron(crons.iter().map(|text| Cron::parse("cron", text).unwrap()).collect()),
            zone: Zone::parse("tz", zone).unwrap(),
            start: None,
            end: None,
            anchor: None,
            dst: Dst::default(),
            exclude: Exclude::default(),
        }
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
    fn only_what_would_fire_is_told_of_a_change() {
        let at = |text: &str| Some(Timestamp::parse("at", text, None).unwrap());
        let night = || cron_in("America/New_York", &["30 2 * * *"]);
        let now = at("2026-11-20T12:00:00Z").unwrap();
        let told = |schedule: &Schedule| touching_change(schedule, now);
        let forward = "clocks in America/New_York go forward on 2027-03-14 02:00 -> 03:00: ";
        let excluded = ["2026-12-25", "2027-03-14"].map(serde_json::Value::from).to_vec();
        let excluded = Exclude::parse("exclude", &serde_json::Value::from(excluded)).unwrap();
        assert_eq!(told(&Schedule { exclude: excluded, ..night() }), None);
        let before = Dst { gap: Gap::RunBefore, ..Dst::default() };
        let comes_before = Some(format!("{forward}the run of 02:30 comes at 01:59"));
        let ends = at("2027-03-14T07:00:00Z");
        assert_eq!(told(&Schedule { end: ends, ..night() }), None);
        assert_eq!(told(&Schedule { end: ends, dst: before, ..night() }), comes_before);
        assert_eq!(told(&Schedule { start: ends, end: at("2027-06-01T00:00Z"), dst: before, ..night() }), None);
    }

    #[test]
    fn a_change_is_told_of_all_expressions() {
        let now = Timestamp::parse("now", "2026-11-20T12:00:00Z", None).unwrap();
        let told = |crons: &[&str]| touching_change(&cron_in("America/New_York", crons), now).unwrap();
        let forward = "clocks in America/New_York go forward on 2027-03-14 02:00 -> 03:00: ";
        let as_one = format!("{forward}the runs of 02:30 and 02:45 come at 03:00, as one");
        assert_eq!(told(&["45 2 * * *", "30 2 * * *", "0 9 * * *"]), as_one);
        let apart = "the run of 02:45 comes at 03:00; no run at 02:00 and 02:30, which the clock leaves out";
        assert_eq!(told(&["45 2 * * *", "*/30 2 * * *"]), format!("{forward}{apart}"));
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

    #[test]
    fn a_change_that_touches_nothing_is_told_where_there_is_one() {
        let now = Timestamp::parse("now", "2026-11-20T12:00:00Z", None).unwrap();
        let told = |when: When, zone: &str| {
            let zone = Zone::parse("tz", zone).unwrap();
            let (dst, exclude) = Default::default();
            super::next_change(&Schedule { when, zone, start: None, end: None, anchor: None, dst, exclude }, now)
        };
        let cron = |text: &str| When::Cron(vec![Cron::parse("cron", text).unwrap()]);
        assert_eq!(
            told(cron("0 9 * * *"), "America/New_York").unwrap(),
            "clocks in America/New_York go forward on 2027-03-14 02:00 -> 03:00: no fire time is touched"
        );
        assert_eq!(told(cron("0 9 * * *"), "Asia/Shanghai"), None);
        assert_eq!(told(When::Every(crate::domain::span::Span(1000)), "America/New_York"), None);
    }
}
