//! "Did you mean": the known word that is nearest to a written one.

use crate::error::Error;

/// The nearest of `known`, if it is near enough to have been meant.
pub fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // A limit before a quadratic comparison; no known word is nearly as long.
    if written.len() > 64 {
        return None;
    }
    let written = plain(written);
    known
        .into_iter()
        .map(|word| (strsim::osa_distance(&written, &plain(word)), word))
        .filter(|&(distance, word)| distance <= (word.len().max(3) / 3))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, word)| word)
}

/// The complaint about a word that is not one of `known`, with the nearest of them where one is near.
pub fn not_one_of(field: &str, written: &str, known: &[&str]) -> Error {
    let error = Error::invalid(field, format!("{written:?} is not one of {}", known.join(", "))).value(written);
    match nearest(written, known.iter().copied()) {
        Some(word) => error.hint(format!("did you mean {word}?")),
        None => error,
    }
}

/// Case and the two kinds of dash make no word another one.
fn plain(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_word_and_nonsense_finds_none() {
        let known = ["timeout", "labels", "catch_up", "at"];
        assert_eq!(nearest("timout", known), Some("timeout"));
        assert_eq!(nearest("Catch-Up", known), Some("catch_up"));
        assert_eq!(nearest("label", known), Some("labels"));
        assert_eq!(nearest("zzzzzz", known), None);
        let error = not_one_of("overlap", "skp", &["allow", "skip"]);
        assert_eq!(error.to_string(), "overlap: \"skp\" is not one of allow, skip");
        assert_eq!(error.problem().hint.as_deref(), Some("did you mean skip?"));
    }
}
