//! Pages of help that belong to no command: `upbeat help migrate`.

/// How to move in from other schedulers, and back.
const MIGRATE: &str = include_str!("migrate.txt");

/// The page that these words ask for: `upbeat help TOPIC`, with or without flags before it.
pub fn asked(words: &[String]) -> Option<&'static str> {
    let [_, before @ .., help, topic] = words else { return None };
    let is_flag = |at: usize| before[at].starts_with('-');
    let is_all_flags = (0..before.len()).all(|at| is_flag(at) || at > 0 && is_flag(at - 1));
    match (help.as_str(), topic.as_str()) {
        ("help", "migrate" | "migration" | "moving") if is_all_flags => Some(MIGRATE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_help_asks_for_a_page() {
        let asks = |line: &str| asked(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).is_some();
        assert!(asks("upbeat help migrate") && asks("upbeat -q -o json help migrate"));
        assert!(
            !asks("upbeat help")
                && !asks("upbeat migrate")
                && !asks("upbeat add help migrate")
                && !asks("upbeat help add")
        );
    }
}
