//! The way out for words that are no command or flag: synonyms of other programs, what comes later, the nearest word.

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::flag_hints::{flag, whole_word};
use crate::cli::help::{self, at};
use crate::cli::stray::{looks_like_cron, quoted};
use crate::cli::synonyms::{self, is_among};
use crate::domain::nearest::nearest;
use crate::error::{Error, Problem};

/// Commands of the contract that are not built yet.
const LATER_COMMANDS: &[&str] = &["alerts", "tokens", "top", "simulate", "healthcheck"];

/// Flags of the contract that are not built yet.
pub const LATER_FLAGS: &[&str] = &["--listen", "--apply", "--take-over"];

/// The refusal of what is in the contract and not built.
pub fn not_yet(what: impl Into<String>) -> Error {
    Error::invalid(what, "not in this version yet")
}

/// The complaint about a word that is no command.
pub fn command(words: &[String]) -> Error {
    let word = words.first().map_or("", String::as_str);
    if LATER_COMMANDS.contains(&word) {
        return not_yet(word);
    }
    let refuse = |hint: String| {
        Error::Invalid(Problem::new("command", format!("{word:?} is no command")).value(word).hint(hint))
    };
    if word.starts_with('-') {
        return flag(word, &[]);
    }
    if looks_like_cron(word) {
        return refuse(format!(
            "upbeat add ID --cron {} -- CMD ARGS, upbeat next --cron {}",
            quoted(word),
            quoted(word)
        ));
    }
    if let Some((_, hint)) = synonyms::COMMANDS.iter().find(|(synonyms, _)| is_among(synonyms, word)) {
        return refuse((*hint).to_owned());
    }
    let cli = help::command();
    let known = names(&cli);
    let later = LATER_COMMANDS.iter().copied();
    if let Some(meant) = nearest(word, known.iter().map(String::as_str).chain(later)) {
        return refuse(format!("did you mean {meant}? upbeat help lists all"));
    }
    let of_others =
        synonyms::COMMANDS.iter().flat_map(|(synonyms, hint)| synonyms.split(' ').map(move |one| (one, hint)));
    let meant = nearest(word, of_others.clone().map(|(one, _)| one));
    match of_others.into_iter().find(|(one, _)| Some(*one) == meant) {
        Some((meant, hint)) => refuse(format!("{meant} is here {hint}")),
        None => refuse("upbeat help lists all".to_owned()),
    }
}

fn names(command: &Command) -> Vec<String> {
    command.get_subcommands().flat_map(|one| one.get_name_and_visible_aliases()).map(str::to_owned).collect()
}

/// The complaint about a word behind `group` that is none of its commands.
pub fn subcommand(group: &str, words: &[String]) -> Error {
    let word = words.first().map_or("", String::as_str);
    let later: &[&str] = match group {
        "nodes" => &["drain"],
        _ => &[],
    };
    if later.contains(&word) {
        return not_yet(format!("{group} {word}"));
    }
    if word.starts_with('-') {
        return flag(word, &[group]);
    }
    let refuse = |hint: String| {
        Error::Invalid(Problem::new("command", format!("{group} has no command {word:?}")).value(word).hint(hint))
    };
    let is_meant = |(of, synonyms, _): &&(&str, &str, &str)| *of == group && is_among(synonyms, word);
    if let Some((_, _, hint)) = synonyms::SUBCOMMANDS.iter().find(is_meant) {
        return refuse((*hint).to_owned());
    }
    let cli = help::command();
    let known = cli.find_subcommand(group).map(names).unwrap_or_default();
    let all = match known.is_empty() {
        true => format!("upbeat {group}"),
        false => format!("it has {}", known.join(", ")),
    };
    match nearest(word, known.iter().map(String::as_str).chain(later.iter().copied())) {
        Some(meant) => refuse(format!("did you mean upbeat {group} {meant}? {all}")),
        None => refuse(all),
    }
}

/// What clap complains about, in our words. `words` are those of the command line.
pub fn usage(error: &clap::Error, words: &[String]) -> Error {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    let cli = help::command();
    let path = path_of(&cli, words);
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let shown = ["upbeat"].iter().chain(&path).copied().collect::<Vec<_>>().join(" ");
    let named = context(ContextKind::InvalidArg).unwrap_or_default();
    // `--tz <ZONE>` is the flag `--tz`.
    let word = named.split([' ', '=']).next().unwrap_or_default().to_owned();
    let field = word.trim_start_matches('-').trim_matches(['<', '>', '[', ']', '.']).to_owned();
    let value = context(ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::UnknownArgument if word.starts_with('-') => flag(&whole_word(&word, words), &path),
        ErrorKind::UnknownArgument => too_many(&named, &path),
        ErrorKind::MissingRequiredArgument => {
            let message = format!("{named} is missing");
            Error::Invalid(Problem::bare(message).hint(format!("{}; {shown} --help", synopsis(&cli, &path))))
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let known = at(&cli, &path).map(names).unwrap_or_default();
            let what = if path.is_empty() { "a command is missing" } else { "what to do is missing" };
            let hint = match known.is_empty() || path.is_empty() {
                true => format!("{shown} --help"),
                false => format!("{shown} {}", known.join(", ")),
            };
            Error::Invalid(Problem::new("command", what).hint(hint))
        }
        ErrorKind::InvalidSubcommand => command(&[context(ContextKind::InvalidSubcommand).unwrap_or_default()]),
        ErrorKind::InvalidValue if value.as_ref().is_none_or(String::is_empty) => {
            Error::invalid(field, "a value is needed").hint(format!("write {named}; {shown} --help"))
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = value.unwrap_or_default();
            let known = context(ContextKind::ValidValue);
            let why = match (known, std::error::Error::source(error)) {
                (Some(known), _) => format!("{value:?} is not one of {known}"),
                (None, Some(why)) => why.to_string(),
                (None, None) => format!("{value:?} is not possible"),
            };
            let error = Error::invalid(field, why).value(value);
            match meant_value(&error) {
                Some(_) => error,
                None => error.hint(format!("{shown} --help")),
            }
        }
        ErrorKind::ArgumentConflict => {
            let other = context(ContextKind::PriorArg).unwrap_or_default();
            if other == named {
                return Error::Invalid(Problem::new(field, "is given twice").hint("give it once"));
            }
            Error::Invalid(Problem::new(field, format!("does not go with {other}")).hint("give one of the two"))
        }
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            let problem = Problem::bare(line.trim_start_matches("error: "));
            Error::Invalid(problem.hint(format!("{shown} --help")))
        }
    }
}

/// The commands that the words name, as far as they can be told.
fn path_of(cli: &Command, words: &[String]) -> Vec<String> {
    let (mut here, mut path) = (cli, Vec::new());
    let mut words = words.iter().skip(1).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if matches!(word.as_str(), "-n" | "-o" | "--redis" | "--redis-ca" | "--namespace" | "--output" | "--color") {
            words.next();
        } else if let Some(next) = here.find_subcommand(word) {
            path.push(next.get_name().to_owned());
            here = next;
        } else if !word.starts_with('-') {
            break;
        }
    }
    path
}

/// `upbeat add ID [FLAGS] [-- CMD]`: what the command needs.
fn synopsis(cli: &Command, path: &[&str]) -> String {
    let mut text = format!("upbeat {}", path.join(" "));
    let Some(command) = at(cli, path) else { return text };
    for arg in command.get_arguments().filter(|arg| arg.is_required_set()) {
        let flag = arg.get_long().map(|long| format!("--{long} ")).unwrap_or_default();
        let value = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
        text.push_str(&format!(" {flag}{value}"));
    }
    text
}

fn too_many(word: &str, path: &[&str]) -> Error {
    let hint = match (word.split_once('='), path) {
        (Some((key, _)), _) if !key.contains(' ') => format!("is it a flag? --{word}"),
        (_, [command @ ("apply" | "plan" | "lint")]) => {
            format!("a file or folder stands behind a -f of its own: upbeat {command} -f {}", quoted(word))
        }
        (_, []) => "quote what belongs together; upbeat help lists the commands".to_owned(),
        (_, path) => format!("quote what belongs together; upbeat {} --help shows the words", path.join(" ")),
    };
    Error::Invalid(Problem::bare(format!("{word:?} is one word too many")).value(word).hint(hint))
}

/// What to write instead of a value that is none, where people are known to write it.
fn meant_value(error: &Error) -> Option<&'static str> {
    let problem = error.problem();
    let field = problem.field.as_deref()?.rsplit('.').next()?.to_lowercase().replace('-', "_");
    let value = problem.value.as_deref()?.trim_matches('"');
    let is_meant = |(of, written, _): &&(&str, &str, &str)| *of == field && is_among(written, value);
    synonyms::VALUES.iter().find(is_meant).map(|(_, _, hint)| *hint)
}

/// Words of lists and groups that kubectl and others put where here an id stands.
const NOUNS: &str =
    "entries entry jobs job cronjobs cronjob timers tasks dags schedules list ls all nodes queues runs pods";

/// The same complaint with a way out that knows the habits of other programs.
pub fn improved(error: Error, words: &[String]) -> Error {
    if matches!(error, Error::Invalid(_))
        && let Some(hint) = meant_value(&error)
    {
        return error.hint(format!("write {hint}"));
    }
    let path = path_of(&help::command(), words);
    let noun = error.problem().value.clone().filter(|value| is_among(NOUNS, value));
    match (&error, noun.as_deref(), path.first().map(String::as_str)) {
        (Error::NotFound(_), Some("nodes" | "queues"), _) => error.hint(format!("upbeat {}", noun.unwrap_or_default())),
        (Error::NotFound(_), Some("list" | "ls" | "all" | "runs"), Some("runs")) => {
            error.hint("upbeat runs lists them")
        }
        (Error::NotFound(_), Some(_), Some("show" | "rm" | "pause" | "resume" | "trigger")) => {
            error.hint("an id stands here without a kind before it; upbeat ls lists entries")
        }
        _ => error,
    }
}

#[cfg(test)]
#[path = "hints_tests.rs"]
mod tests;
