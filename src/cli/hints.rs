//! The way out for words that are no command or flag: synonyms of other programs, what comes later, the nearest word.

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::args::Cli;
use crate::domain::nearest::nearest;
use crate::error::{Error, Problem};

/// Commands of the contract that are not built yet.
const LATER_COMMANDS: &[&str] =
    &["schema", "revisions", "rollback", "alerts", "tokens", "top", "simulate", "healthcheck", "man"];

/// Flags of the contract that are not built yet.
const LATER_FLAGS: &[&str] = &["--listen", "--apply", "--take-over", "--exporter"];

/// Words of other programs and what to type instead.
const COMMANDS: &[(&str, &str)] = &[
    ("status", "upbeat ls for entries, upbeat nodes for nodes, upbeat runs for what ran"),
    ("start", "upbeat node starts a node, upbeat trigger ID runs an entry now, upbeat resume ID ends a pause"),
    ("stop", "upbeat pause ID stops an entry from firing, upbeat cancel RUN ends a run; a node stops with SIGTERM"),
    ("run-now", "upbeat trigger ID"),
    ("fire", "upbeat trigger ID"),
    ("exec", "upbeat trigger ID runs an entry now"),
    ("enqueue", "upbeat trigger ID"),
    ("kill", "upbeat cancel RUN"),
    ("abort", "upbeat cancel RUN"),
    ("edit", "upbeat set ID FIELDS, or change the file and upbeat apply -f FILE"),
    ("modify", "upbeat set ID FIELDS"),
    ("create", "upbeat add ID SCHEDULE ACTION"),
    ("new", "upbeat add ID SCHEDULE ACTION"),
    ("schedule", "upbeat add ID SCHEDULE ACTION adds an entry, upbeat next ID shows its fire times"),
    ("jobs", "upbeat ls"),
    ("entries", "upbeat ls"),
    ("crontab", "upbeat import crontab FILE"),
    ("history", "upbeat runs ID, upbeat events ID"),
    ("event", "upbeat events"),
    ("ps", "upbeat runs --state running"),
    ("log", "upbeat logs RUN"),
    ("tail", "upbeat runs -f, upbeat logs -f RUN"),
    ("worker", "upbeat node"),
    ("server", "upbeat node"),
    ("beat", "upbeat node; every node fires, none is the beat"),
    ("info", "upbeat show ID"),
    ("purge", "upbeat rm SELECT"),
    ("validate", "upbeat lint -f FILE"),
    ("check", "upbeat lint -f FILE, upbeat plan -f FILE"),
    ("diff", "upbeat plan -f FILE"),
    ("load", "upbeat apply -f FILE"),
    ("dump", "upbeat export"),
    ("calendar", "upbeat calendars, upbeat calendars put NAME -f FILE"),
    ("holidays", "upbeat calendars put NAME -f FILE, then --exclude NAME"),
    ("demo", "upbeat dev"),
];

/// Flags of other programs and what to write instead.
const FLAGS: &[(&str, &str)] = &[
    ("--timezone", "--tz ZONE"),
    ("--zone", "--tz ZONE"),
    ("--command", "the command behind --: upbeat add ID --every 5m -- CMD ARGS; or --shell TEXT"),
    ("--cmd", "the command behind --: upbeat add ID --every 5m -- CMD ARGS; or --shell TEXT"),
    ("--args", "the arguments behind --: upbeat add ID --every 5m -- CMD ARGS"),
    ("--retries", "--retry max_attempts=N, which counts the first attempt too"),
    ("--max-retries", "--retry max_attempts=N, which counts the first attempt too"),
    ("--max-attempts", "--retry max_attempts=N, which counts the first attempt too"),
    ("--interval", "--every DURATION"),
    ("--period", "--every DURATION"),
    ("--schedule", "--cron EXPRESSION, --every DURATION or --at T"),
    ("--expression", "--cron EXPRESSION"),
    ("--crontab", "--cron EXPRESSION, or upbeat import crontab FILE"),
    ("--url", "--http \"GET https://...\" for the action, --redis URL for the server"),
    ("--body", "--payload JSON"),
    ("--data", "--payload JSON"),
    ("--tag", "--labels KEY=VALUE"),
    ("--tags", "--labels KEY=VALUE"),
    ("--label", "--labels KEY=VALUE"),
    ("-l", "--labels KEY=VALUE; -l selects entries that have one"),
    ("--description", "--note TEXT"),
    ("--name", "the id as the first word: upbeat add ID ..."),
    ("--id", "the id as the first word: upbeat add ID ..."),
    ("--concurrency", "--overlap skip or --overlap allow; --concurrency is a flag of upbeat node"),
    ("--concurrency-policy", "--overlap skip or --overlap allow"),
    ("--jitter", "--spread DURATION"),
    ("--count", "--max-fires N for a limit"),
    ("--times", "--max-fires N"),
    ("--repeat", "--max-fires N, or --rrule RULE"),
    ("--recurrence", "--rrule RULE"),
    ("--exdate", "--exclude DATE"),
    ("--holidays", "--exclude NAME of a calendar: upbeat calendars put NAME -f FILE"),
    ("--calendar", "--exclude NAME: the dates of a calendar are left out"),
    ("--enabled", "upbeat pause ID, upbeat resume ID"),
    ("--disabled", "--paused"),
    ("--force", "-y, or --replace of upbeat add"),
    ("--host", "--redis redis://HOST:PORT/DB"),
    ("--port", "--redis redis://HOST:PORT/DB"),
    ("--json", "-o json"),
    ("--format", "-o table, json, jsonl or id"),
    ("--user", "--actor NAME"),
    ("--message", "--reason TEXT"),
    ("--tail", "--limit N"),
    ("--last", "--limit N"),
    ("--status", "--state S,.."),
    ("--kinds", "--allow KINDS"),
    ("--timeout-seconds", "--timeout DURATION"),
    ("--watch", "-f"),
];

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
    if let Some((_, hint)) = COMMANDS.iter().find(|(synonym, _)| *synonym == word) {
        return refuse((*hint).to_owned());
    }
    let cli = Cli::command();
    let known: Vec<String> =
        cli.get_subcommands().flat_map(|one| one.get_name_and_visible_aliases()).map(str::to_owned).collect();
    let later = LATER_COMMANDS.iter().copied();
    match nearest(word, known.iter().map(String::as_str).chain(later)) {
        Some(meant) => refuse(format!("did you mean {meant}? upbeat help lists all")),
        None => refuse("upbeat help lists all".to_owned()),
    }
}

/// The complaint about a word behind `group` that is none of its commands.
pub fn subcommand(group: &str, words: &[String]) -> Error {
    let word = words.first().map_or("", String::as_str);
    let later: &[&str] = match group {
        "nodes" => &["drain"],
        "queues" => &["set", "pause", "resume"],
        "import" => &["celery", "redbeat", "k8s"],
        _ => &[],
    };
    if later.contains(&word) {
        return not_yet(format!("{group} {word}"));
    }
    Error::Invalid(
        Problem::new("command", format!("{group} has no command {word:?}"))
            .value(word)
            .hint(format!("upbeat {group} --help")),
    )
}

/// What clap complains about, in our words.
pub fn usage(error: &clap::Error) -> Error {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    let named = context(ContextKind::InvalidArg).unwrap_or_default();
    // `--tz <ZONE>` is the flag `--tz`.
    let word = named.split([' ', '=']).next().unwrap_or_default().to_owned();
    let field = word.trim_start_matches('-').trim_matches(['<', '>', '[', ']', '.']).to_owned();
    let value = context(ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::UnknownArgument if word.starts_with('-') => flag(&word, context(ContextKind::SuggestedArg)),
        ErrorKind::UnknownArgument => {
            let why = format!("{named:?} is one word too many");
            Error::Invalid(Problem::bare(why).value(named).hint("quote what belongs together; --help shows the words"))
        }
        ErrorKind::MissingRequiredArgument => {
            Error::Invalid(Problem::bare(format!("{named} is missing")).hint("--help shows the words"))
        }
        ErrorKind::InvalidValue if value.as_ref().is_none_or(String::is_empty) => {
            Error::invalid(field, "a value is needed")
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = value.unwrap_or_default();
            let known = context(ContextKind::ValidValue);
            let why = match (known, std::error::Error::source(error)) {
                (Some(known), _) => format!("{value:?} is not one of {known}"),
                (None, Some(why)) => why.to_string(),
                (None, None) => format!("{value:?} is not possible"),
            };
            Error::Invalid(Problem::new(field, why).value(value))
        }
        ErrorKind::ArgumentConflict => {
            let other = context(ContextKind::PriorArg).unwrap_or_default();
            if other == named {
                return Error::Invalid(Problem::new(field, "is given twice").hint("give it once"));
            }
            Error::Invalid(Problem::new(field, format!("does not go with {other}")))
        }
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            Error::Invalid(Problem::bare(line.trim_start_matches("error: ")).hint("--help shows the words"))
        }
    }
}

fn flag(word: &str, suggested: Option<String>) -> Error {
    if LATER_FLAGS.contains(&word) {
        return not_yet(word);
    }
    let refuse = |hint: String| Error::Invalid(Problem::new(word, "unknown flag").value(word).hint(hint));
    let plain = word.to_lowercase().replace('_', "-");
    if let Some((_, hint)) = FLAGS.iter().find(|(synonym, _)| *synonym == plain) {
        return refuse(format!("write {hint}"));
    }
    match suggested {
        Some(meant) => refuse(format!("did you mean {meant}?")),
        None => refuse("--help shows the flags; what begins with - and is no flag stands behind --".to_owned()),
    }
}

/// What a shell makes of `--cron */2 * * * *`: the first word is the expression, the others look like the id's neighbours.
/// `files` are the names in the folder, which `*` became.
pub fn unquoted(command: &str, id: &str, cron: &str, stray: &[String], files: &[String], exec: &[String]) -> Error {
    let mut words: Vec<&str> = cron.split_whitespace().collect();
    let mut rest = stray;
    while let [first, tail @ ..] = rest {
        let starred = rest.get(..files.len()).filter(|_| !files.is_empty());
        let is_star = starred.is_some_and(|front| {
            let mut front = front.to_vec();
            front.sort();
            front == files
        });
        words.push(if is_star { "*" } else { first });
        rest = if is_star { &rest[files.len()..] } else { tail };
    }
    let count = cron.split_whitespace().count();
    let fields = if count == 1 { "field" } else { "fields" };
    let expression = if matches!(words.len(), 5 | 6) { words.join(" ") } else { "*/2 * * * *".to_owned() };
    let what = match exec {
        [] => String::new(),
        exec => format!(" -- {}", exec.join(" ")),
    };
    Error::invalid("cron", format!("{cron:?} has {count} {fields}, 5 or 6 are needed")).value(cron).hint(format!(
        "the shell split the expression and turned * into file names; quote it:\nupbeat {command} {id} --cron '{expression}'{what}"
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn refused(line: &[&str]) -> Problem {
        usage(&Cli::try_parse_from(line).unwrap_err()).problem().clone()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_other_programs_names_ours() {
        for (word, hint) in FLAGS {
            let Ok(_) = Cli::try_parse_from(["upbeat", "add", "a", *word, "x"]) else {
                let problem = refused(&["upbeat", "add", "a", word, "x"]);
                assert_eq!(problem.hint.as_deref(), Some(format!("write {hint}").as_str()), "{word}");
                continue;
            };
            panic!("{word} is a flag of add");
        }
        assert_eq!(refused(&["upbeat", "ls", "--timzone"]).field.as_deref(), Some("--timzone"));
        assert_eq!(refused(&["upbeat", "node", "--listen", "a"]).message, "not in this version yet");
    }

    #[test]
    fn no_synonym_is_a_command() {
        for (word, _) in COMMANDS {
            assert!(command(&[(*word).to_owned()]).problem().hint.is_some());
            assert!(Cli::command().find_subcommand(word).is_none(), "{word}");
        }
        for word in LATER_COMMANDS {
            assert_eq!(command(&[(*word).to_owned()]).problem().message, "not in this version yet");
        }
    }

    #[test]
    fn an_unquoted_expression_is_put_together_again() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (files, exec) = (words("Cargo.toml src"), words("df -h ."));
        let stray = words("Cargo.toml src Cargo.toml src Cargo.toml src Cargo.toml src");
        let error = unquoted("add", "disk", "*/2", &stray, &files, &exec);
        assert_eq!(error.to_string(), "cron: \"*/2\" has 1 field, 5 or 6 are needed");
        let hint = error.problem().hint.clone().unwrap();
        assert_eq!(hint.lines().last(), Some("upbeat add disk --cron '*/2 * * * *' -- df -h ."));
    }
}
