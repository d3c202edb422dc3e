//! Pages of help that belong to no command: `upbeat help migrate`.

/// How to move in from other schedulers, and back.
const MIGRATE: &str = include_str!("migrate.txt");

/// The page that these words ask for: `upbeat help TOPIC`, with or without flags before it.
pub fn asked(words: &[String]) -> Option<&'static str> {
    let mut topic = words.iter().skip(1).map(String::as_str).filter(|word| !word.starts_with('-'));
    match (topic.next(), topic.next(), topic.next()) {
        (Some("help"), Some("migrate" | "migration" | "moving"), None) => Some(MIGRATE),
        _ => None,
    }
}
