//! "Did you mean": the known word that is nearest to a written one.

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

/// `one of a, b, c`, and the nearest of them where one is near.
pub fn one_of(written: &str, known: &[&str]) -> String {
    let list = known.join(", ");
    match nearest(written, known.iter().copied()) {
        Some(word) => format!("{written:?} is not one of {list}; did you mean {word}?"),
        None => format!("{written:?} is not one of {list}"),
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
        assert_eq!(one_of("skp", &["allow", "skip"]), "\"skp\" is not one of allow, skip; did you mean skip?");
    }
}
