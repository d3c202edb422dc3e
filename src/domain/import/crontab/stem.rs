//! Ids from commands.

use crate::domain::entry::is_env_name;
use crate::domain::id::plain_id;

/// Longest id made from a command, characters.
const ID_MAX_CHARS: usize = 60;

/// The words that say what a command does: without folders, variables and everything behind the first operator.
pub(super) fn id_stem(command: &str) -> Option<String> {
    let mut command = command.trim();
    while let Some((_, rest)) = command.strip_prefix("cd ").and_then(|c| c.split_once("&&").or(c.split_once(';'))) {
        command = rest.trim_start();
    }
    let mut stem = String::new();
    for word in command.split_whitespace() {
        if word.contains(['|', '>', '<', '&', ';', '(', ')', '{', '}', '`']) && !stem.is_empty() {
            break;
        }
        if stem.is_empty() && word.split_once('=').is_some_and(|(name, _)| is_env_name(name)) {
            continue;
        }
        let name = word.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_lowercase();
        let Some(name) = plain_id(name.trim_start_matches(|c: char| !c.is_alphanumeric())) else { continue };
        if stem.chars().count() + name.chars().count() >= ID_MAX_CHARS {
            if stem.is_empty() {
                stem = name.chars().take(ID_MAX_CHARS).collect();
            }
            break;
        }
        if !stem.is_empty() {
            stem.push('-');
        }
        stem.push_str(&name);
    }
    plain_id(&stem)
}
