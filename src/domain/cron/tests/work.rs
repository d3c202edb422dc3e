//! How much is done for one fire time, counted and not timed.

use std::cell::Cell;

use proptest::prelude::*;

use super::super::Cron;
use crate::domain::zone::Zone;

thread_local!(static STEPS: Cell<usize> = const { Cell::new(0) });

/// One call of crate `cron`.
pub fn count() {
    STEPS.set(STEPS.get() + 1);
}

/// Calls of crate `cron` while `work` was done.
pub fn steps(work: impl FnOnce()) -> usize {
    let before = STEPS.get();
    work();
    STEPS.get() - before
}

/// Of the shapes that cost most: rare dates, filters, unions, and each second of a repeated hour.
const COSTLIEST: [&str; 14] = [
    "15 0-59 */1 L 3 2#3",
    "*/10 * 11 23 2 6#5",
    "* 0-59 0-23 31 * 5L",
    "* 0-59 0-23 * * *",
    "* * * * * *",
    "* * * 13 * FRI",
    "0 0 29 2 *",
    "0 */24 29 2 */7",
    "0 */24 */28 2 1#5",
    "0 0 1W,3W,5W,7W,9W,11W,13W,15W,17W,19W,21W,23W,25W,27W,29W,31W * *",
    "0 0 L,LW,15W * 1#1,2#2,3#3,4#4,5#5,6L",
    "59 59 23 31 12 *",
    "0 0 */31 12 */7",
    "0 2-3 29W 2 *",
];

/// Fire times asked for at a time.
const TIMES: usize = 1000;

#[test]
fn a_thousand_fire_times_cost_a_bounded_number_of_steps() {
    let mut worst = (0, String::new());
    for text in COSTLIEST {
        for (zone_name, from) in [
            ("UTC", "2027-01-01T00:00Z"),
            ("America/New_York", "2027-11-07T06:00Z"),
            ("Antarctica/Troll", "2027-10-31T01:00:00Z"),
            ("Pacific/Apia", "2011-12-30T09:59Z"),
        ] {
            for dst in super::properties::every_rule() {
                let (zone, cron) = (Zone::parse("tz", zone_name).unwrap(), super::cron(text));
                let steps = steps(|| {
                    let first = cron.next_after(&zone, dst, super::at(from));
                    let times = std::iter::successors(first, |last| cron.next_after(&zone, dst, *last));
                    times.take(TIMES).for_each(drop);
                });
                worst = worst.max((steps, format!("{text} {zone_name} {dst:?}")));
            }
        }
    }
    assert!(worst.0 <= 12 * TIMES, "{worst:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn one_fire_time_of_any_expression_costs_a_bounded_number_of_steps(
        text in super::properties::any_words(),
        (zone, from) in super::properties::near_change(),
        dst in super::properties::rule(),
    ) {
        let Ok(cron) = Cron::parse("cron", &text) else { return Ok(()) };
        // the rarest date that the parser accepts comes every 28 years or, around 2100, every 40, of at most ten candidates a year
        let steps = steps(|| {
            cron.next_after(&zone, dst, from);
        });
        prop_assert!(steps <= 1000, "{text} {zone}: {steps}");
    }

    #[test]
    fn no_text_costs_the_parser_more_than_a_search_through_the_calendar(
        text in "\\PC{0,40}|([-*/,0-9LWHJANMO#?@]{1,6} ){4,6}|([0-9*]{1,2} ){4}[0-9*]",
    ) {
        let steps = steps(|| drop(Cron::parse("cron", &text)));
        prop_assert!(steps <= 4000, "{text}: {steps}");
    }
}
