//! `H`: a value that is spread over entries by their ids, the same for one id everywhere.

use sha2::{Digest, Sha256};

use super::field::{Field, MONTH_DAY, Refusal, WEEK_DAY};
use crate::domain::id::EntryId;

/// Later days of the month are missing in some months.
const MONTH_DAY_MAX: u32 = 28;

/// Whether the word is `H`.
pub(super) fn is_hashed(word: &str) -> bool {
    word.eq_ignore_ascii_case("H")
}

/// The value of `H` in a field of an entry: 64 bits from the front of SHA-256 over the name of the field and the entry id,
/// each followed by a 0 byte, by the number of values. Neither namespace, zone nor other fields change it.
pub(super) fn value(field: &Field, id: &EntryId) -> u32 {
    let max = match field.name {
        name if name == MONTH_DAY.name => MONTH_DAY_MAX,
        // 7 is 0 once more
        name if name == WEEK_DAY.name => 6,
        _ => field.max,
    };
    let mut hash = Sha256::new();
    for part in [field.name, id.as_str()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    let mut front = [0_u8; 8];
    front.copy_from_slice(&digest[..8]);
    let values = u64::from(max - field.min + 1);
    field.min + u32::try_from(u64::from_be_bytes(front) % values).unwrap_or_default()
}

/// Why `H` is more than alone in `item`.
pub(super) fn refusal(item: &str) -> Refusal {
    let refusal = Refusal::new(format!("{item}: H stands alone"));
    match item.split_once('/') {
        Some((_, step)) if !step.is_empty() => refusal.hint(format!("write H, or */{step} without spreading")),
        _ => refusal.hint("write H for any value, or numbers"),
    }
}
