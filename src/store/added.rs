//! The answer of an add, as it is kept for a day: of many entries, so it is short.
//!
//! `put` keeps `[ID,"added",-1,NEXT,REVISION,""]` of each, 50 bytes. Here those that follow each other with the same revision are
//! one, and of each id only what the id before it does not begin with: about 4 bytes an entry. Where their next fire times differ,
//! each is told by how far it lies behind the soonest of them, in the greatest unit that allows it: 4 bytes more.

use serde_json::{Value, json};

use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::store::reply::Reply;
use crate::store::{ChangeWord, Changed};

/// The word in front of some of them that have one next fire time; no id looks like this.
pub(super) const MANY: &str = "+";
/// The same where next fire times differ. A program that does not know the word refuses the answer; it writes nothing again.
pub(super) const APART: &str = "*";
/// Of the numbers: how many characters an id shares with the one before it, and how far a next fire time lies behind the soonest.
const RADIX: u32 = 36;
/// Stands for no next fire time.
const NONE: &str = "-";

/// Entries that were added, as they are kept.
pub(super) fn kept(added: &[Changed]) -> Value {
    let parts = added.chunk_by(|one, other| one.revision == other.revision).map(|part| {
        let (next, revision, ids) = (part[0].next_after, part[0].revision, ids(part));
        if part.iter().all(|one| one.next_after == next) {
            return json!([MANY, next.map_or(-1, |next| next.0), revision, ids]);
        }
        let soonest = part.iter().filter_map(|one| one.next_after).min().unwrap_or_default();
        let behind = |next: Timestamp| next.0.abs_diff(soonest.0);
        let unit = part.iter().filter_map(|one| one.next_after).fold(0, |unit, next| common(unit, behind(next))).max(1);
        let nexts = part.iter().map(|one| one.next_after.map_or(NONE.to_owned(), |next| digits(behind(next) / unit)));
        json!([APART, soonest.0, unit, revision, ids, nexts.collect::<Vec<_>>().join(" ")])
    });
    Value::Array(parts.collect())
}

/// Their ids, each as a digit and what stands behind as many bytes of the one before it.
fn ids(part: &[Changed]) -> String {
    let mut before = "";
    let mut words = Vec::with_capacity(part.len());
    for Changed { id, .. } in part {
        let shared = before.bytes().zip(id.bytes()).take_while(|(one, other)| one == other).count();
        let mut shared = shared.min(RADIX as usize - 1);
        while !id.is_char_boundary(shared) {
            shared -= 1;
        }
        words.push(digits(shared as u64) + &id[shared..]);
        before = id;
    }
    words.join(" ")
}

/// The greatest number that both are multiples of.
fn common(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { common(other, one % other) }
}

fn digits(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit((number % u64::from(RADIX)) as u32, RADIX));
        number /= u64::from(RADIX);
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

/// Those of one part with one next fire time; `rest` is what stands behind [`MANY`].
pub(super) fn read_many(mut rest: Reply) -> Result<Vec<Changed>> {
    let (next, revision) = (rest.instant()?, revision(&mut rest)?);
    Ok(read_ids(&rest.text()?).into_iter().map(|id| added(id, next, revision)).collect())
}

/// Those of one part whose next fire times differ; `rest` is what stands behind [`APART`].
pub(super) fn read_apart(mut rest: Reply) -> Result<Vec<Changed>> {
    let (soonest, unit, revision) = (rest.number()?, rest.number()?, revision(&mut rest)?);
    let (ids, nexts) = (read_ids(&rest.text()?), rest.text()?);
    let next = |word: &str| match word {
        NONE => Some(None),
        word => {
            let behind = i64::from_str_radix(word, RADIX).ok()?.checked_mul(unit)?;
            Some(Some(Timestamp(soonest.checked_add(behind)?)))
        }
    };
    let nexts: Option<Vec<_>> = nexts.split(' ').map(next).collect();
    let nexts = nexts.filter(|nexts| nexts.len() == ids.len());
    let nexts = nexts.ok_or_else(|| Error::internal("the kept answer of an add is damaged"))?;
    Ok(ids.into_iter().zip(nexts).map(|(id, next)| added(id, next, revision)).collect())
}

fn revision(rest: &mut Reply) -> Result<u64> {
    Ok(rest.number()?.max(0).cast_unsigned())
}

fn read_ids(words: &str) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let shared = word.chars().next().and_then(|digit| digit.to_digit(RADIX)).unwrap_or(0) as usize;
        let before = ids.last().and_then(|id| id.get(..shared)).unwrap_or_default();
        ids.push(format!("{before}{}", word.get(1..).unwrap_or_default()));
    }
    ids
}

fn added(id: String, next_after: Option<Timestamp>, revision: u64) -> Changed {
    Changed { id, word: ChangeWord::Added, next_before: None, next_after, revision, fields: Vec::new() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::id::EntryId;

    /// As the scripts and the store give it back.
    fn read(text: &str) -> Vec<Changed> {
        let parts: Vec<Value> = serde_json::from_str(text).unwrap();
        let read = parts.iter().flat_map(|part| {
            let mut part = Reply::of_json(part.as_array().unwrap());
            match part.text().unwrap().as_str() {
                MANY => read_many(part).unwrap(),
                APART => read_apart(part).unwrap(),
                other => panic!("{other}"),
            }
        });
        read.collect()
    }

    fn one(id: &str, next: Option<i64>, revision: u64) -> Changed {
        added(id.to_owned(), next.map(Timestamp), revision)
    }

    #[test]
    fn what_is_kept_of_an_add_is_read_again_and_short() {
        let long = "l".repeat(90);
        let mut added = vec![one(&long, Some(5), 1), one(&format!("{long}x"), Some(5), 1), one("a", None, 1)];
        added.push(one("ab", Some(5), 7));
        added.extend((0..250).map(|at| one(&format!("report-{at:06}"), Some(1_795_300_000_000), 1)));
        let text = kept(&added).to_string();
        assert!(text.len() < 400 + 250 * 5, "{}", text.len());
        assert_eq!(read(&text), added);
    }

    #[test]
    fn next_fire_times_that_differ_cost_four_bytes_more() {
        let minute_of_the_day = |at: i64| at * 7_919 % 1_440;
        let next = |at: i64| Some(1_795_300_000_000 + minute_of_the_day(at) * 60_000);
        let added: Vec<Changed> = (0..250).map(|at| one(&format!("report-{at:06}"), next(at), 1)).collect();
        let text = kept(&added).to_string();
        assert!(text.len() < 100 + 250 * 8, "{}", text.len());
        assert_eq!(read(&text), added);
    }

    #[test]
    fn ids_may_share_a_part_of_a_letter() {
        let added = [one("é1", Some(5), 1), one("è1", Some(5), 1), one("è2", Some(6), 1), one("报", None, 1)];
        assert_eq!(read(&kept(&added).to_string()), added);
    }

    #[test]
    fn what_the_version_before_kept_is_read() {
        let before = r#"[["+",1795300000000,1,"0report-1 72 73"],["+",-1,3,"0x"]]"#;
        let next = Some(1_795_300_000_000);
        let added = [one("report-1", next, 1), one("report-2", next, 1), one("report-3", next, 1), one("x", None, 3)];
        assert_eq!(read(before), added);
    }

    #[test]
    fn a_kept_answer_that_is_damaged_is_an_error() {
        for (unit, nexts) in [("1", "1"), ("1", "1 2 3"), ("1", "1 é"), ("9e18", "0 zzzzz"), ("1", "1 ")] {
            let text = format!("[1795300000000,{unit},1,\"0a 0b\",\"{nexts}\"]");
            let values: Vec<Value> = serde_json::from_str(&text).unwrap();
            assert!(read_apart(Reply::of_json(&values)).is_err(), "{text}");
        }
    }

    fn ids() -> impl Strategy<Value = String> {
        prop_oneof![
            (0..1_000_000).prop_map(|number| format!("report-{number:06}")),
            "[a-z0-9é报ßЖ][a-zA-Z0-9._:+é报抓ßЖ-]{0,60}",
            "[ab]{150,200}",
        ]
    }

    fn nexts() -> impl Strategy<Value = Option<i64>> {
        // To the last instant that a plan can hold.
        let odd = (0..1_i64 << 48).prop_map(Some);
        let minutes = (29_921_666..29_950_000_i64).prop_map(|minute| Some(minute * 60_000));
        prop_oneof![4 => minutes, 2 => odd, 1 => Just(None), 2 => Just(Some(1_795_300_000_000))]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_answer_of_an_add_is_read_again(
            added in prop::collection::vec((ids(), nexts(), prop_oneof![9 => Just(1), 1 => 0..1_u64 << 32]), 0..40)
        ) {
            for (id, ..) in &added {
                prop_assume!(EntryId::parse("id", id).is_ok());
            }
            let added: Vec<Changed> = added.iter().map(|(id, next, revision)| one(id, *next, *revision)).collect();
            let text = kept(&added).to_string();
            prop_assert_eq!(&read(&text), &added);
            // Of each its id, a digit, ten for its next fire time, what stands between them; of each part three numbers.
            let each: usize = added.iter().map(|one| one.id.len() + 1 + 10 + 2).sum();
            let parts = added.chunk_by(|one, other| one.revision == other.revision).count();
            prop_assert!(text.len() <= 2 + each + 60 * parts, "{}", text);
        }
    }
}
