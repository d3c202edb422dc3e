//! Who asks: stands on revisions, and on runs that somebody asked for or cancelled.

use nix::unistd::{User, getuid};

use crate::cli::config_file;

/// Longest name, characters.
const ACTOR_MAX_CHARS: usize = 128;

/// The name that was given, else `UPBEAT_ACTOR`, else what `config.toml` says, else user@host.
pub fn name(given: Option<&str>) -> String {
    let given = given.map(str::to_owned).or_else(|| variable("UPBEAT_ACTOR"));
    let given = given.or_else(|| config_file::read().ok()?.actor.clone());
    let name = given.unwrap_or_else(|| format!("{}@{}", user(), host()));
    name.chars().filter(|c| !c.is_control()).take(ACTOR_MAX_CHARS).collect()
}

/// This machine's name.
pub fn host() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// A variable that is set to something.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn user() -> String {
    let named = User::from_uid(getuid()).ok().flatten().map(|user| user.name);
    named.or_else(|| variable("USER")).unwrap_or_else(|| getuid().to_string())
}
