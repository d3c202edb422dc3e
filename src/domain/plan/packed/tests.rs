//! Plans of every version, packed and read.

use super::*;

const SUFFIX: &str = "abc-8def-0123456789ab";
const HOUR: i64 = 3_600_000;

fn plan(times: Times, extras: Extras, list: &'static str) -> Packed<'static> {
    let is_final = matches!(&times, Times::Listed(listed) if listed.len() < 2);
    Packed { catch_up: 2, overlap: 4, flags: 6, list, suffix: SUFFIX, birth: 7, revision: 9, extras, times, is_final }
}

#[test]
fn what_is_packed_is_read_again() {
    let odd = Extras {
        max_runs: 1,
        per_minute: 2,
        stop: 3,
        delay: 4,
        max_fires: 5,
        max_running: 6,
        start_within: 7,
        keep: 8,
    };
    let second = 1_795_300_001_000;
    let listed = |hours: &[i64]| {
        let mut time = second;
        let others = hours.iter().map(|hours| {
            time += hours * HOUR;
            time
        });
        Times::Listed([second].into_iter().chain(others).collect())
    };
    let times = [
        Times::Arithmetic { phase: second, period: 60_000 },
        Times::Arithmetic { phase: second + 1, period: 1_500 },
        Times::Arithmetic { phase: second, period: 200 * 86_400_000 },
        Times::Listed(Vec::new()),
        Times::Listed(vec![second + 5]),
        Times::Listed(vec![second, second + 60_000, second + 0xffff * 60_000]),
        Times::Listed(vec![second, second + 60_000, second + 0x1_0000 * 60_000]),
        Times::Listed(vec![second, second + 1_000, second + 0xff_ffff * 1_000]),
        Times::Listed(vec![second, second + 1_000, second + 0x100_0000 * 1_000]),
        Times::Listed(vec![second, second + 1]),
        // Days on which clocks change, the greatest distance and one beyond, too few of them and too many.
        listed(&[24, 23, 24, 25, 24]),
        listed(&[255, 1, 255]),
        listed(&[255, 256, 255]),
        listed(&[1, 1]),
        listed(&[1]),
        listed(&[24; 15]),
        listed(&[24; 16]),
        Times::Listed(vec![second + 1, second + 1 + HOUR, second + 1 + 2 * HOUR]),
        Times::Listed(vec![second, second + HOUR, second + 2 * HOUR + 1_000]),
        Times::Listed([0, 1, 2].map(|hours| 0xffff_ffff * 1_000 + hours * HOUR).to_vec()),
        Times::Listed([0, 1, 2].map(|hours| 0x1_0000_0000 * 1_000 + hours * HOUR).to_vec()),
    ];
    for times in times {
        for (extras, list) in [Extras::default(), odd].into_iter().flat_map(|it| LISTS.map(|list| (it, list))) {
            for list in [list, "reports:exec"] {
                let plan = plan(times.clone(), extras, list);
                let packed = plan.pack();
                assert_eq!(Packed::read(&packed), Some(plan));
                assert_eq!(Packed::read(&packed[..packed.len() - 1]).filter(|read| read.times == times), None);
            }
        }
    }
}

#[test]
fn most_plans_are_short() {
    let second = 1_795_300_001_000;
    let length = |times: Times| plan(times, Extras::default(), "default:exec").pack().len();
    assert_eq!(length(Times::Arithmetic { phase: second, period: HOUR }), 41);
    let days = |days: &[i64]| Times::Listed(days.iter().map(|day| second + day * 24 * HOUR).collect());
    // Each day, on weekdays, each week: of all the fourth lies beside a change of clocks.
    for listed in
        [days(&[0, 1, 2, 3, 4, 5, 6, 7]), days(&[0, 3, 4, 5, 6, 7, 10, 11]), days(&[0, 7, 14, 21, 28, 35, 42, 49])]
    {
        let Times::Listed(mut listed) = listed else { continue };
        listed[3..].iter_mut().for_each(|time| *time += HOUR);
        assert_eq!(length(Times::Listed(listed)), 44);
    }
    assert_eq!(length(days(&(0..16).collect::<Vec<_>>())), 52);
}

#[test]
fn no_plan_is_so_short_that_programs_before_take_it_for_damaged() {
    let second = 1_795_300_001_000;
    for count in 0..6 {
        for step in [1, 1_000, 60_000, HOUR] {
            let times = Times::Listed((0..count).map(|number| second + number * step).collect());
            let plan = plan(times, Extras::default(), "");
            let packed = plan.pack();
            assert!(packed.len() >= 41 && packed[0] == PLAN_VERSION, "{plan:?}");
            assert_eq!(Packed::read(&packed), Some(plan));
        }
    }
}

#[test]
fn a_plan_of_version_4_is_read() {
    let mut old = vec![4, LIST | UNIT | FINAL | CATCH_UP, 2 | OVERLAP, 2];
    old.extend(b"-8");
    old.extend(SUFFIX.as_bytes());
    old.extend([0, 0, 0, 7, 0, 0, 0, 9]);
    push_ms(&mut old, 1_795_300_001_000);
    old.extend([0, 0, 5, 1, 0, 0]);
    let times = Times::Listed([0, 5, 0x1_0000].map(|seconds| 1_795_300_001_000 + seconds * 1_000).to_vec());
    let (list, suffix, extras, is_final) = ("default:exec", SUFFIX, Extras::default(), true);
    let same =
        Packed { catch_up: 1, overlap: 1, flags: 2, list, suffix, birth: 7, revision: 9, extras, times, is_final };
    assert_eq!(Packed::read(&old), Some(same));
    old[1] = LIST | (times::HOURS * UNIT);
    assert_eq!(Packed::read(&old), None, "it has no lists in hours");
}

#[test]
fn a_plan_of_version_3_is_read() {
    let mut old = vec![3, LIST | FINAL, 1, 2, 0, 100, 0, 60, 0, 0, 0, 0];
    for number in [11, 2, 0, 13] {
        push_ms(&mut old, number);
    }
    old.extend([0, 0, 0, 14, 0, 15]);
    old.extend(b"-8");
    old.extend(SUFFIX.as_bytes());
    old.extend([0, 0, 0, 7, 0, 0, 0, 9]);
    push_ms(&mut old, 16);
    old.extend([0, 17, 2, 5]);
    old.extend(b"q:sql");
    push_ms(&mut old, 1_795_300_000_000);
    push_ms(&mut old, 1_795_300_000_001);
    let read = Packed::read(&old).unwrap();
    let extras = Extras {
        max_runs: 100,
        per_minute: 60,
        stop: 11,
        delay: 13,
        max_fires: 14,
        max_running: 15,
        start_within: 16,
        keep: 17,
    };
    let times = Times::Listed(vec![1_795_300_000_000, 1_795_300_000_001]);
    let (list, suffix, is_final) = ("q:sql", SUFFIX, true);
    let same =
        Packed { catch_up: 2, overlap: 1, flags: 2, list, suffix, birth: 7, revision: 9, extras, times, is_final };
    assert_eq!(read, same);
}
