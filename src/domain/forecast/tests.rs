//! Windows, rules and spreading by example; counts and what runs at once against brute force.

use chrono::NaiveDate;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::entry::Entry;
use crate::domain::id::Namespace;
use crate::domain::schedule::Schedule;

/// 2026-11-22T00:00:00Z, a Sunday.
const SUNDAY: i64 = 1_795_305_600_000;
const DAY: i64 = 86_400_000;
const FREE: Limit = Limit { active: u64::MAX, waiting: 0, cancels: false };
const SKIP: Limit = Limit { active: 1, waiting: 0, cancels: false };

fn id(text: &str) -> EntryId {
    EntryId::parse("id", text).unwrap()
}

fn entry(name: &str, fields: Value) -> Entry {
    let Value::Object(mut fields) = fields else { panic!("no object") };
    fields.insert("shell".to_owned(), "true".into());
    Entry::parse_for(&id(name), fields).unwrap()
}

fn window(from: i64, to: i64) -> Window {
    Window { from: Timestamp(from), to: Timestamp(to) }
}

fn due(schedule: &Schedule, window: Window, left: Option<u64>, skips: &[Timestamp]) -> Times {
    let coming = Coming { schedule, settled_to: window.from, delay_ms: 0, left, skips };
    coming.times(window, 10_000).unwrap()
}

fn stream(name: &str, times: Times, limit: Limit, lasts_ms: i64) -> Stream {
    let lasts = Lasts { p50_ms: lasts_ms, p95_ms: lasts_ms, is_assumed: false };
    Stream { id: id(name), queue: 0, list: Some(0), times, lasts, limit, spread_by: None }
}

fn every(first: i64, period: i64, count: u64) -> Times {
    Times::Every { first, period, count, holes: Vec::new() }
}

fn of(streams: &[Stream], window: Window) -> Forecast {
    forecast(streams, 1, 1, window, &[])
}

#[test]
fn an_instant_is_a_sunday() {
    let sunday = Timestamp(SUNDAY).to_utc().date_naive();
    assert_eq!(sunday, NaiveDate::from_ymd_opt(2026, 11, 22).unwrap());
}

#[test]
fn a_day_of_minutes_is_arithmetic_and_a_night_job_too() {
    let day = window(SUNDAY, SUNDAY + DAY);
    let minutely = entry("a", json!({"cron": "* * * * *"}));
    assert_eq!(due(&minutely.schedule, day, None, &[]), every(SUNDAY, 60_000, 1_440));
    let nightly = entry("a", json!({"cron": "0 2 * * *", "tz": "UTC"}));
    assert_eq!(due(&nightly.schedule, day, None, &[]).count(), 1);
}

#[test]
fn start_end_max_fires_skips_and_excluded_dates_are_no_fire_times() {
    let day = window(SUNDAY, SUNDAY + DAY);
    let at = |hour: i64, minute: i64| Timestamp(SUNDAY + hour * 3_600_000 + minute * 60_000);
    let (start, end) = (at(3, 0).to_rfc3339(), at(6, 0).to_rfc3339());
    let bounded = entry("a", json!({"every": "10m", "start": start, "end": end}));
    assert_eq!(due(&bounded.schedule, day, None, &[]).count(), 18);
    assert_eq!(due(&bounded.schedule, day, Some(5), &[]), every(at(3, 0).0, 600_000, 5));
    let skips = [at(3, 10), at(3, 15), at(7, 0)];
    assert_eq!(due(&bounded.schedule, day, Some(5), &skips).count(), 4, "a skipped one counts among the five");
    let excluded = entry("a", json!({"cron": "0 * * * *", "exclude": ["2026-11-22"]}));
    assert_eq!(due(&excluded.schedule, window(SUNDAY - DAY, SUNDAY + DAY), None, &[]).count(), 24);
}

#[test]
fn what_comes_before_the_window_is_taken_off_max_fires() {
    let hourly = entry("a", json!({"cron": "0 * * * *"}));
    let coming = Coming {
        schedule: &hourly.schedule,
        settled_to: Timestamp(SUNDAY - DAY),
        delay_ms: 0,
        left: Some(30),
        skips: &[],
    };
    assert_eq!(coming.times(window(SUNDAY, SUNDAY + DAY), 100).unwrap().count(), 6);
    let listed = entry("a", json!({"cron": "0 0-23 * * sun,sat"}));
    let coming = Coming { schedule: &listed.schedule, ..coming };
    let times = coming.times(window(SUNDAY, SUNDAY + DAY), 100).unwrap();
    assert_eq!((times.count(), matches!(times, Times::Listed(_))), (6, true));
}

#[test]
fn a_delay_moves_due_times_in_and_out_of_the_window() {
    let hourly = entry("a", json!({"cron": "0 * * * *"}));
    let coming = |settled_to: i64| Coming {
        schedule: &hourly.schedule,
        settled_to: Timestamp(settled_to),
        delay_ms: 90_000,
        left: None,
        skips: &[],
    };
    let hour = window(SUNDAY + 60_000, SUNDAY + 3_600_000);
    let times = coming(SUNDAY).times(hour, 10).unwrap();
    assert_eq!(times.iter().collect::<Vec<_>>(), [SUNDAY + 90_000], "fired before it begins, due in it");
    assert_eq!(coming(SUNDAY + 1).times(hour, 10).unwrap().count(), 0, "settled already");
}

#[test]
fn more_times_than_may_be_listed_are_refused_not_cut() {
    let listed = entry("a", json!({"cron": "0-58 * * * *"}));
    let coming =
        Coming { schedule: &listed.schedule, settled_to: Timestamp(SUNDAY), delay_ms: 0, left: None, skips: &[] };
    assert_eq!(coming.times(window(SUNDAY, SUNDAY + DAY), 1_000), Err(TooMany));
}

#[test]
fn ten_times_a_second_for_a_year_costs_a_step_a_minute() {
    let year = window(SUNDAY, SUNDAY + 366 * DAY);
    let dense = stream("a", every(SUNDAY + 50, 100, 366 * 864_000), SKIP, 250);
    let found = of(&[dense], year);
    assert_eq!(found.counted_to, year.to);
    assert!(found.runs[0].iter().all(|runs| *runs == 600));
    assert_eq!(found.p95.all.runs, 1);
    assert_eq!(found.p95.skipped[0], 366 * 864_000 / 3 * 2, "of three fire times one finds a place");
}

#[test]
fn at_one_instant_all_run_at_once_and_an_end_makes_room_first() {
    let hour = window(SUNDAY, SUNDAY + 3_600_000);
    let streams: Vec<Stream> =
        (0..7).map(|n| stream(&format!("e{n}"), every(SUNDAY + 60_000, 60_000, 3), SKIP, 60_000)).collect();
    let found = of(&streams, hour);
    assert_eq!(found.p95.all, Peak { runs: 7, at: SUNDAY + 60_000 }, "each ends as its next one begins");
    assert_eq!(found.p95.skipped, vec![0; 7]);
    assert_eq!(worst(&found.runs[0]), Some((1, 7)));
    assert_eq!(&found.p95.busy[0][..6], [0, 7, 7, 7, 0, 0], "what ends as a minute begins is not in it");
}

#[test]
fn an_overlap_rule_decides_what_a_run_that_is_too_long_does() {
    let hour = window(SUNDAY, SUNDAY + 3_600_000);
    let at = |limit| {
        let found = of(&[stream("a", every(SUNDAY, 60_000, 10), limit, 150_000)], hour);
        (found.p95.all.runs, found.p95.skipped[0])
    };
    assert_eq!(at(Limit::of(Overlap::Skip, None)), (1, 6), "0, 3, 6, 9 run");
    assert_eq!(at(Limit::of(Overlap::Allow, None)), (3, 0));
    assert_eq!(at(Limit::of(Overlap::Allow, Some(2))), (2, 0));
    assert_eq!(at(Limit::of(Overlap::BufferAll, None)), (1, 0));
    assert_eq!(at(Limit::of(Overlap::CancelOther, None)), (1, 0));
    assert_eq!(at(Limit::of(Overlap::BufferOne, None)).0, 1);
    assert!((1..=6).contains(&at(Limit::of(Overlap::BufferOne, None)).1));
}

#[test]
fn messages_are_counted_and_take_no_slot() {
    let mut message = stream("a", every(SUNDAY, 60_000, 10), FREE, 1_000);
    message.list = None;
    let found = of(&[message], window(SUNDAY, SUNDAY + 3_600_000));
    assert_eq!((found.totals().iter().sum::<u64>(), found.p95.all.runs), (10, 0));
}

#[test]
fn too_much_is_cut_in_time_and_complete_up_to_there() {
    let day = window(SUNDAY, SUNDAY + DAY);
    // 20,000 phases, so that nothing is alike: 28,800,000 due times.
    let streams: Vec<Stream> =
        (0..20_000_i64).map(|n| stream("a", every(SUNDAY + n, 60_000, 1_440), FREE, 10)).collect();
    let found = of(&streams, day);
    assert!(found.counted_to < day.to);
    let minutes = (found.counted_to.0 - SUNDAY) / MINUTE_MS;
    assert_eq!(minutes, 1_000);
    assert!(found.runs[0].iter().all(|runs| *runs == 20_000));
    assert_eq!(found.p95.known_to.0, SUNDAY + 250 * MINUTE_MS, "5,000,000 starts");
}

#[test]
fn a_fixed_minute_is_spread_by_h_and_a_period_by_spread() {
    let namespace = Namespace::parse("namespace", "test").unwrap();
    let by = |fields: Value| spread_by(&namespace, &id("report"), &entry("report", fields), Timestamp(SUNDAY));
    let hashed = by(json!({"cron": "5 0 * * *"})).unwrap();
    assert_eq!(hashed.change, SpreadWord::Cron("H 0 * * *".into()));
    let moved = entry("report", json!({"cron": "H 0 * * *"})).schedule.next_after(Timestamp(SUNDAY)).unwrap();
    let fixed = entry("report", json!({"cron": "5 0 * * *"})).schedule.next_after(Timestamp(SUNDAY)).unwrap();
    assert_eq!(moved.0 - fixed.0, hashed.shift_ms);
    assert_eq!(by(json!({"cron": "0 5 0 * * *"})).unwrap().change, SpreadWord::Cron("0 H 0 * * *".into()));
    let five = |by: Option<SpreadBy>| by.map(|by| by.change);
    assert_eq!(five(by(json!({"every": "1h"}))), Some(SpreadWord::Spread(Span(300_000))));
    assert_eq!(five(by(json!({"every": "5m"}))), Some(SpreadWord::Spread(Span(120_000))), "shorter than the period");
    assert_eq!(five(by(json!({"cron": "*/2 * * * *"}))), Some(SpreadWord::Spread(Span(60_000))));
    assert_eq!(by(json!({"every": "1m"})), None);
    assert_eq!(by(json!({"cron": "0 0 * * *", "spread": "10m"})), None, "it is spread already");
    assert_eq!(by(json!({"cron": "H 0 * * *"})).map(|by| by.change), Some(SpreadWord::Spread(Span(300_000))));
    assert_eq!(by(json!({"at": "2026-11-22T00:00:00Z"})), None);
}

#[test]
fn spreading_moves_only_who_comes_in_the_fullest_minutes() {
    let hour = window(SUNDAY, SUNDAY + 3_600_000);
    let by =
        |minutes: i64| Some(SpreadBy { change: SpreadWord::Cron("H * * * *".into()), shift_ms: minutes * MINUTE_MS });
    let mut streams: Vec<Stream> =
        (0..10).map(|n| stream(&format!("e{n}"), every(SUNDAY + 600_000, 3_600_000, 1), SKIP, 90_000)).collect();
    streams.iter_mut().enumerate().for_each(|(n, stream)| stream.spread_by = by(i64::try_from(n).unwrap() * 3));
    streams.push(Stream { spread_by: by(1), ..stream("alone", every(SUNDAY, 3_600_000, 1), SKIP, 1_000) });
    let before = of(&streams, hour);
    assert_eq!((worst(&before.totals()), before.p95.all.runs), (Some((10, 10)), 10));
    let spread = crowded(&streams, &before).unwrap();
    assert_eq!(spread.streams, (1..10).collect::<Vec<_>>(), "e0 would stay, alone is alone");
    let after = forecast(&streams, 1, 1, hour, &spread.shifts_ms);
    assert_eq!((worst(&after.totals()).unwrap().1, after.p95.all.runs), (1, 1));
    assert!(crowded(&streams, &after).is_none());
}

#[test]
fn what_nobody_measured_lasts_a_minute_or_its_timeout() {
    assert_eq!(Lasts::assumed(None).p95_ms, 60_000);
    assert_eq!(Lasts::assumed(Some(Span(30_000))).p50_ms, 30_000);
    assert_eq!(Lasts::assumed(Some(Span(3_600_000))).p95_ms, 60_000);
    assert_eq!(Lasts::measured(Span(0), Span(0)).p95_ms, 1);
}

/// Intervals in which the runs of one stream go on, told by walking from fire time to fire time; and how many were skipped.
fn intervals(stream: &Stream, due: &[i64], lasts: i64) -> (Vec<(i64, i64)>, u64) {
    let Limit { active, waiting, cancels } = stream.limit;
    let (mut runs, mut skipped): (Vec<(i64, i64)>, u64) = (Vec::new(), 0);
    for at in due {
        let going = runs.iter().filter(|(from, to)| from <= at && at < to).count() as u64;
        let queue = runs.iter().filter(|(from, _)| from > at).count() as u64;
        if cancels && going > 0 {
            // One run in another's place: its slot goes on.
            runs.iter_mut().filter(|(_, to)| at < to).for_each(|(_, to)| *to = at + lasts);
        } else if going < active && queue == 0 {
            runs.push((*at, at + lasts));
        } else if queue < waiting {
            // It begins when the first of those that go on or wait has ended and left its place.
            let mut ends: Vec<i64> = runs.iter().map(|(_, to)| *to).filter(|to| to > at).collect();
            ends.sort_unstable();
            let from = ends[usize::try_from(queue).unwrap()];
            runs.push((from, from + lasts));
        } else {
            skipped += 1;
        }
    }
    (runs, skipped)
}

fn any_times() -> impl Strategy<Value = Times> {
    let evenly = (0_i64..300_000, 1_000_i64..200_000, 0_u64..40, prop::collection::vec(0_u64..40, 0..3));
    let listed = prop::collection::btree_set(0_i64..900_000, 0..40);
    prop_oneof![
        evenly.prop_map(|(first, period, count, holes)| {
            let mut holes: Vec<i64> =
                holes.into_iter().filter(|n| *n < count).map(|n| first + n as i64 * period).collect();
            holes.sort_unstable();
            holes.dedup();
            Times::Every { first: SUNDAY + first, period, count, holes: holes.iter().map(|at| SUNDAY + at).collect() }
        }),
        listed.prop_map(|times| Times::Listed(times.into_iter().map(|at| SUNDAY + at).collect())),
    ]
}

fn any_stream() -> impl Strategy<Value = (Stream, i64)> {
    let limits = prop_oneof![
        Just(FREE),
        Just(SKIP),
        Just(Limit::of(Overlap::BufferOne, None)),
        Just(Limit::of(Overlap::BufferAll, None)),
        Just(Limit::of(Overlap::CancelOther, None)),
        (1_u16..4).prop_map(|most| Limit::of(Overlap::Allow, Some(most))),
    ];
    (any_times(), limits, 1_i64..400_000, 0_usize..2, -200_000_i64..200_000).prop_map(
        |(times, limit, lasts, queue, shift)| {
            let stream = Stream { queue, list: Some(queue), ..stream("a", times, limit, lasts) };
            (stream, shift)
        },
    )
}

proptest! {
    #[test]
    fn counts_and_what_runs_at_once_are_those_of_brute_force(
        given in prop::collection::vec(any_stream(), 1..8),
        from in 0_i64..200_000,
        length in 60_000_i64..800_000,
    ) {
        let window = window(SUNDAY + from, SUNDAY + from + length);
        let (streams, shifts): (Vec<Stream>, Vec<i64>) = given.into_iter().unzip();
        let found = forecast(&streams, 2, 2, window, &shifts);
        prop_assert_eq!(found.counted_to, window.to);
        let mut runs = vec![vec![0_u32; found.runs[0].len()]; 2];
        let mut going: Vec<(usize, i64, i64)> = Vec::new();
        for (at, stream) in streams.iter().enumerate() {
            let due: Vec<i64> = stream.times.iter().map(|due| due + shifts[at]).collect();
            let due: Vec<i64> = due.into_iter().filter(|due| (window.from.0..window.to.0).contains(due)).collect();
            for due in &due {
                runs[stream.queue][usize::try_from((due - found.first_minute.0) / MINUTE_MS).unwrap()] += 1;
            }
            let (mine, skipped) = intervals(stream, &due, stream.lasts.p95_ms);
            prop_assert_eq!(found.p95.skipped[at], skipped, "{:?}", stream);
            going.extend(mine.into_iter().map(|(from, to)| (stream.queue, from, to)));
        }
        prop_assert_eq!(&found.runs, &runs);
        let level = |queue: Option<usize>, at: i64| going.iter()
            .filter(|(of, from, to)| queue.is_none_or(|queue| queue == *of) && *from <= at && at < *to).count() as u64;
        let starts: Vec<i64> = going.iter().map(|(_, from, _)| *from).filter(|from| *from < window.to.0).collect();
        let most = |queue| starts.iter().map(|at| level(queue, *at)).max().unwrap_or(0);
        prop_assert_eq!(found.p95.all.runs, most(None));
        prop_assert_eq!(found.p95.queues[0].runs, most(Some(0)));
        prop_assert_eq!(found.p95.lists[1].runs, most(Some(1)));
        for minute in 0..found.runs[0].len() {
            let begin = found.minute_at(minute).0;
            let inside = starts.iter().copied().filter(|at| (begin..begin + MINUTE_MS).contains(at));
            let most = inside.chain([begin]).map(|at| level(Some(0), at)).max().unwrap_or(0);
            prop_assert_eq!(u64::from(found.p95.busy[0][minute]), most, "minute {}", minute);
        }
    }

    #[test]
    fn the_times_of_a_window_are_those_of_the_schedule(
        every_ms in 100_u64..100_000,
        anchor in 0_i64..100_000,
        from in 0_i64..500_000,
        length in 1_i64..500_000,
        delay_ms in 0_i64..50_000,
        left in prop::option::of(0_u64..50),
        settled in -300_000_i64..300_000,
        skipped in prop::collection::vec(0_u64..30, 0..4),
        is_listed in any::<bool>(),
    ) {
        let mut fields = json!({"every": format!("{every_ms}ms"), "anchor": Timestamp(SUNDAY + anchor).to_rfc3339()});
        if is_listed {
            fields = json!({"cron": ["0-49 * * * * *", "30 */2 * * * *"]});
        }
        let entry = entry("a", fields);
        let window = window(SUNDAY + from, SUNDAY + from + length);
        let settled_to = Timestamp(window.from.0 + settled);
        let all = || entry.schedule.times_after(Timestamp(settled_to.0 - 1));
        let skips: Vec<Timestamp> = skipped.iter().filter_map(|n| all().nth(usize::try_from(*n).unwrap())).collect();
        let coming = Coming { schedule: &entry.schedule, settled_to, delay_ms, left, skips: &skips };
        let expected: Vec<i64> = all()
            .take(usize::try_from(left.unwrap_or(u64::MAX)).unwrap_or(usize::MAX))
            .take_while(|at| at.0 + delay_ms < window.to.0)
            .filter(|at| at.0 + delay_ms >= window.from.0 && !skips.contains(at))
            .map(|at| at.0 + delay_ms)
            .collect();
        let found = coming.times(window, 100_000).unwrap();
        prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected.clone());
        prop_assert_eq!(found.count(), expected.len() as u64);
    }
}
