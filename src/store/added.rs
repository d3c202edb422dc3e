//! The answer of an add, as it is kept for a day: of many entries, so it is short.
//!
//! `put` keeps `[ID,"added",-1,NEXT,REVISION,""]` of each, 50 bytes. Here those that follow each other with the same next fire time
//! and revision are one, and of each id only what the id before it does not begin with: about 4 bytes an entry.

use serde_json::{Value, json};

use crate::error::Result;
use crate::store::reply::Reply;
use crate::store::{ChangeWord, Changed};

/// The word that stands in front of some of them; no id looks like this.
pub(super) const MANY: &str = "+";
/// Digits for how many characters an id shares with the one before it.
const RADIX: u32 = 36;

/// Entries that were added, as they are kept.
pub(super) fn kept(added: &[Changed]) -> Value {
    let is_same = |one: &Changed, other: &Changed| (one.next_after, one.revision) == (other.next_after, other.revision);
    let parts = added.chunk_by(is_same).map(|part| {
        let next = part[0].next_after.map_or(-1, |next| next.0);
        let mut before = "";
        let mut ids = Vec::with_capacity(part.len());
        for one in part {
            let shared = before.bytes().zip(one.id.bytes()).take_while(|(one, other)| one == other).count();
            let shared = shared.min(RADIX as usize - 1);
            let digit = u32::try_from(shared).ok().and_then(|shared| char::from_digit(shared, RADIX)).unwrap_or('0');
            ids.push(format!("{digit}{}", &one.id[shared..]));
            before = &one.id;
        }
        json!([MANY, next, part[0].revision, ids.join(" ")])
    });
    Value::Array(parts.collect())
}

/// Those of one such part; `rest` is what stands behind [`MANY`].
pub(super) fn read(mut rest: Reply) -> Result<Vec<Changed>> {
    let (next_after, revision) = (rest.instant()?, rest.number()?.max(0).cast_unsigned());
    let ids = rest.text()?;
    let mut before = String::new();
    let mut added = Vec::new();
    for word in ids.split(' ').filter(|word| !word.is_empty()) {
        let shared = word.chars().next().and_then(|digit| digit.to_digit(RADIX)).unwrap_or(0) as usize;
        let id = format!("{}{}", before.get(..shared).unwrap_or_default(), word.get(1..).unwrap_or_default());
        before.clone_from(&id);
        let word = ChangeWord::Added;
        added.push(Changed { id, word, next_before: None, next_after, revision, fields: Vec::new() });
    }
    Ok(added)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::timestamp::Timestamp;

    #[test]
    fn what_is_kept_of_an_add_is_read_again_and_short() {
        let one = |id: &str, next: Option<i64>, revision: u64| Changed {
            id: id.to_owned(),
            word: ChangeWord::Added,
            next_before: None,
            next_after: next.map(Timestamp),
            revision,
            fields: Vec::new(),
        };
        let long = "l".repeat(90);
        let mut added = vec![one(&long, Some(5), 1), one(&format!("{long}x"), Some(5), 1), one("a", None, 1)];
        added.push(one("ab", Some(5), 7));
        added.extend((0..250).map(|at| one(&format!("report-{at:06}"), Some(1_795_300_000_000), 1)));
        let text = kept(&added).to_string();
        assert!(text.len() < 400 + 250 * 5, "{}", text.len());
        let parts: Vec<Value> = serde_json::from_str(&text).unwrap();
        let read = parts.iter().flat_map(|part| {
            let mut part = Reply::of_json(&part.as_array().unwrap()[..]);
            assert_eq!(part.text().unwrap(), MANY);
            read(part).unwrap()
        });
        assert_eq!(read.collect::<Vec<_>>(), added);
    }
}
