//! The audit without Redis: chains of revisions, ledgers made for them, and ledgers that are touched.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::entry::Entry;
use crate::domain::ledger::Span;
use crate::domain::schedule::Schedule;

const MINUTE: i64 = 60_000;
const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn schedule(fields: serde_json::Value) -> Schedule {
    let mut fields = fields.as_object().unwrap().clone();
    fields.insert("exec".to_owned(), json!(["true"]));
    Entry::parse(fields).unwrap().into_data().schedule
}

fn ago(minutes: i64) -> Timestamp {
    Timestamp(NOW.0 - minutes * MINUTE)
}

fn standing(at: Timestamp, schedule: Schedule) -> Standing {
    Standing { at, from: None, paused: None, delay_ms: 0, max_fires: None, schedule, later: None }
}

fn was(one: Standing) -> Was {
    Was::Standing(Box::new(one))
}

/// The fire times after `from` up to `to`, as one stretch.
fn record(schedule: &Schedule, from: Timestamp, to: Timestamp, revision: u64, outcome: State) -> Vec<Stretch> {
    let span = Span::of(schedule, Timestamp(from.0 + 1), to);
    let stretch =
        |(first, last)| Stretch { first, last, count: span.count, sum: span.sum, revision, outcome, reason: None };
    span.ends.map(stretch).into_iter().collect()
}

fn look(chain: &[(u64, Was)], stretches: &[Stretch], since: Timestamp) -> Found {
    let settled = Settled::Before(Timestamp(NOW.0 + 1));
    audit(&Case { chain, settled, stretches, dropped_until: None, back_log: &[], fires: None, since, now: NOW })
}

#[test]
fn a_fire_time_at_the_instant_of_a_change_is_of_the_revision_before() {
    let (old, new) = (
        schedule(json!({"every": "1m", "anchor": ago(120).to_rfc3339()})),
        schedule(json!({"every": "7m", "anchor": ago(120).to_rfc3339()})),
    );
    let chain = [(1, was(standing(ago(100), old.clone()))), (2, was(standing(ago(50), new.clone())))];
    let right: Vec<Stretch> =
        [record(&old, ago(100), ago(50), 1, State::Succeeded), record(&new, ago(50), NOW, 2, State::Succeeded)]
            .concat();
    let found = look(&chain, &right, ago(1_000));
    assert_eq!((found.missing, found.extra, found.expected), (0, 0, 50 + 7));
    assert_eq!((found.covered_from, found.is_cut), (Timestamp(ago(100).0 + 1), false));
    let late: Vec<Stretch> =
        [record(&old, ago(100), ago(51), 1, State::Succeeded), record(&new, ago(51), NOW, 2, State::Succeeded)]
            .concat();
    let found = look(&chain, &late, ago(1_000));
    assert_eq!((found.missing, found.missing_times), (1, vec![ago(50)]), "the step that changed it had to settle it");
}

#[test]
fn what_was_left_to_the_next_revision_is_accepted_of_either() {
    let minutes = schedule(json!({"every": "10m", "anchor": ago(120).to_rfc3339()}));
    let spread = |at| Standing { delay_ms: 5 * MINUTE, ..standing(at, minutes.clone()) };
    // At the change the fire time of 60 minutes ago had come and was not due.
    let chain = [(1, was(spread(ago(100)))), (2, was(spread(ago(58))))];
    for border in [ago(60), ago(61)] {
        let records: Vec<Stretch> = [
            record(&minutes, ago(100), border, 1, State::Succeeded),
            record(&minutes, border, NOW, 2, State::Succeeded),
        ]
        .concat();
        let found = look(&chain, &records, ago(1_000));
        assert_eq!((found.missing, found.extra), (0, 0), "{found:?}");
    }
    let neither: Vec<Stretch> =
        [record(&minutes, ago(100), ago(61), 1, State::Succeeded), record(&minutes, ago(60), NOW, 2, State::Succeeded)]
            .concat();
    assert_eq!(look(&chain, &neither, ago(1_000)).missing_times, [ago(60)]);
}

#[test]
fn a_limit_counts_over_revisions_and_ends_what_is_expected() {
    let minutes = schedule(json!({"every": "1m", "anchor": ago(120).to_rfc3339()}));
    let limited = Standing { max_fires: Some(60), ..standing(ago(70), minutes.clone()) };
    let chain = [(1, was(standing(ago(100), minutes.clone()))), (2, was(limited))];
    let settled = Settled::All;
    let case = |stretches: &[Stretch]| {
        let (dropped_until, back_log, fires, since) = (None, &[][..], None, ago(1_000));
        audit(&Case { chain: &chain, settled, stretches, dropped_until, back_log, fires, since, now: NOW })
    };
    let upto = |till: Timestamp| {
        [record(&minutes, ago(100), ago(70), 1, State::Missed), record(&minutes, ago(70), till, 2, State::Succeeded)]
            .concat()
    };
    assert!(case(&upto(ago(40))).is_clean());
    assert_eq!(case(&upto(ago(41))).missing_times, [ago(40)]);
    assert_eq!(case(&upto(ago(39))).extra_times, [ago(39)]);
}

#[test]
fn equal_counts_with_another_sum_are_one_missing_and_one_extra() {
    let minutes = schedule(json!({"every": "1m", "anchor": ago(120).to_rfc3339()}));
    let chain = [(1, was(standing(ago(100), minutes.clone())))];
    let mut records = record(&minutes, ago(100), NOW, 1, State::Succeeded);
    records[0].sum += 5;
    let found = look(&chain, &records, ago(1_000));
    assert_eq!((found.missing, found.extra, found.expected), (1, 1, 100));
    assert_eq!(found.ended(State::Succeeded), 99);
    assert_eq!(found.unclear.len(), 1);
}

proptest! {
    /// Whatever the stretches are merged to, whole they are clean, and each fire time that is taken out is found missing.
    #[test]
    fn what_is_taken_out_is_missing_and_what_is_put_in_is_extra(
        is_listed in any::<bool>(),
        cuts in prop::collection::btree_set(1_usize..300, 1..8),
        merge in any::<bool>(),
        taken in 0_usize..300,
        since in 0_i64..600,
    ) {
        let when = if is_listed { json!({"cron": ["*/2 * * * 1-4", "*/2 * * * 0,5,6"]}) } else { json!({"cron": "*/2 * * * *"}) };
        let schedule = schedule(when);
        let chain = [(1, was(standing(ago(600), schedule.clone())))];
        let times: Vec<Timestamp> = schedule.times_after(ago(600)).take_while(|time| *time <= NOW).collect();
        prop_assert_eq!(times.len(), 300);
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut from = 0;
        for (at, to) in cuts.iter().copied().chain([times.len()]).enumerate() {
            let outcome = [State::Succeeded, State::Skipped, State::Missed][at % 3];
            let (first, last) = (times[from], times[to - 1]);
            stretches.extend(record(&schedule, Timestamp(first.0 - 1), last, 1, outcome));
            from = to;
        }
        if merge {
            let mut merged: Vec<Stretch> = Vec::new();
            for one in stretches {
                match merged.iter_mut().find(|known| known.outcome == one.outcome) {
                    Some(known) => {
                        known.last = one.last;
                        known.count += one.count;
                        known.sum = (known.sum + one.sum) % (1 << 52);
                    }
                    None => merged.push(one),
                }
            }
            stretches = merged;
        }
        let since = ago(since);
        let found = look(&chain, &stretches, since);
        prop_assert!(found.is_clean(), "{:?}", found);
        let told = times.iter().filter(|time| **time >= found.covered_from).count() as u64;
        prop_assert_eq!(found.expected, told);
        prop_assert_eq!(found.outcomes.values().sum::<u64>(), told);
        // Of the stretch that counts it.
        let time = times[taken];
        let of = stretches.iter().position(|one| one.first <= time && time <= one.last && one.count > 1);
        if let Some(of) = of {
            let mut less = stretches.clone();
            less[of].count -= 1;
            less[of].sum = ((1 << 52) + less[of].sum - time.0.cast_unsigned()) % (1 << 52);
            let found = look(&chain, &less, ago(1_000));
            prop_assert_eq!((found.missing, found.extra), (1, 0));
            prop_assert_eq!(&found.missing_times, &vec![time]);
            less[of].count += 2;
            less[of].sum = (less[of].sum + 2 * time.0.cast_unsigned()) % (1 << 52);
            let found = look(&chain, &less, ago(1_000));
            prop_assert_eq!((found.missing, found.extra), (0, 1));
            prop_assert_eq!(&found.extra_times, &vec![time]);
        }
    }

    #[test]
    fn by_formula_and_one_by_one_the_same_fire_times_are_counted(
        period in 1_u64..5_000, from in 0_i64..100_000, length in 0_i64..100_000, start in 0_i64..50_000,
    ) {
        let period = period * 100;
        let fields = json!({"every": format!("{period}ms"), "start": Timestamp(start * 1_000).to_rfc3339()});
        let one = schedule(fields);
        let (from, to) = (Timestamp(from * 1_000), Timestamp((from + length) * 1_000));
        let mut listed = Span::default();
        one.times_after(Timestamp(from.0 - 1)).take_while(|time| *time <= to).for_each(|time| listed.push(time));
        prop_assert_eq!(Span::of(&one, from, to), listed);
    }
}
