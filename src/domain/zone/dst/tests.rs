//! Promises of the walk over changes of the clocks, for any ascending local times.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

/// Zones and local dates near an unusual change.
const CHANGES: [(&str, &str); 10] = [
    ("America/New_York", "2027-03-14T00:00:00"),
    ("America/New_York", "2027-11-07T00:00:00"),
    ("Australia/Lord_Howe", "2027-04-04T00:00:00"),
    ("Australia/Lord_Howe", "2027-10-03T00:00:00"),
    ("Antarctica/Troll", "2027-03-28T00:00:00"),
    ("Antarctica/Troll", "2027-10-31T00:00:00"),
    ("America/St_Johns", "2007-11-03T23:00:00"),
    ("America/St_Johns", "2007-03-10T23:00:00"),
    ("Pacific/Apia", "2011-12-29T12:00:00"),
    ("Pacific/Chatham", "2027-04-04T00:00:00"),
];

fn rules() -> impl Strategy<Value = Dst> {
    (prop::sample::select(Gap::WORDS.to_vec()), prop::sample::select(Fold::WORDS.to_vec()))
        .prop_map(|((_, gap), (_, fold))| Dst { gap, fold })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn local_times_become_the_same_instants_one_by_one_and_by_the_walk(
        dst in rules(),
        place in 0..CHANGES.len(),
        grain_s in prop::sample::select(vec![1_i64, 60]),
        distances in prop::collection::vec(1_i64..90, 1..80),
        unit in prop::sample::select(vec![1_i64, 3, 20]),
        from in -7200_i64..90_000,
    ) {
        let (name, first) = CHANGES[place];
        let zone = Zone::parse("tz", name).unwrap();
        let mut local: NaiveDateTime = first.parse().unwrap();
        let mut locals = Vec::new();
        for distance in distances {
            local += TimeDelta::seconds(distance * unit * 60 + if grain_s == 1 { distance } else { 0 });
            locals.push(local);
        }
        let after = Timestamp(zone.from_local(locals[0]).first().ms() + from * 1000);
        let next_local = |local: NaiveDateTime| locals.iter().copied().find(|next| *next > local);
        let mut walked = Vec::new();
        let mut last = after;
        while let Some(next) = zone.next_instant(dst, grain_s, last, next_local) {
            prop_assert!(next > last, "{name} {next:?}");
            walked.push(next);
            last = next;
        }
        let all = zone.instants(dst, grain_s, locals.iter().copied()).filter(|at| *at > after);
        prop_assert_eq!(walked, all.collect::<Vec<_>>(), "{} {:?}", name, dst);
    }
}
