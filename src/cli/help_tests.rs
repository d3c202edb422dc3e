//! Every command is listed once and shows examples that are understood.

use super::*;

/// Every command that a person may type, with its path.
fn all(command: &Command, path: &str) -> Vec<(String, Command)> {
    let mut found = Vec::new();
    for one in command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help") {
        let path = format!("{path} {}", one.get_name()).trim().to_owned();
        found.extend(all(one, &path));
        found.push((path, one.clone()));
    }
    found
}

/// The lines of examples: what is typed, without what is said about it.
fn examples(command: &Command) -> Vec<String> {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let lines = text.lines().skip_while(|line| *line != "Examples:").skip(1);
    lines.filter_map(|line| line.strip_prefix("  ")).map(|line| typed(line).to_owned()).collect()
}

/// Up to two blanks outside of quotes.
fn typed(line: &str) -> &str {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if line[at..].starts_with("  ") => return &line[..at],
            _ => {}
        }
    }
    line
}

/// As a shell takes a line apart; each command of ours in it by itself.
fn commands(line: &str) -> Vec<Vec<String>> {
    let (mut all, mut words, mut word, mut quote) = (Vec::new(), Vec::new(), None::<String>, None);
    for c in line.chars() {
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c == ' ' => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    for part in words.split(|word| matches!(word.as_str(), "|" | "&&" | ">" | ">>" | ";" | "||")) {
        if part.first().is_some_and(|first| first == "upbeat") {
            all.push(part.to_vec());
        }
    }
    all
}

#[test]
fn every_command_stands_in_one_group() {
    let cli = command();
    for one in cli.get_subcommands().filter(|one| !one.is_hide_set()) {
        let count = GROUPS.iter().filter(|(_, names)| names.contains(&one.get_name())).count();
        assert_eq!(count, 1, "{} stands in {count} groups", one.get_name());
        assert!(one.get_about().is_some(), "{} says nothing about itself", one.get_name());
    }
}

#[test]
fn every_command_has_examples_that_are_understood() {
    let cli = command();
    assert!(all(&cli, "").len() > 25);
    let mut offences = Vec::new();
    for (path, one) in all(&cli, "") {
        let mut shows_itself = false;
        for line in examples(&one) {
            if line.chars().count() > 96 {
                offences.push(format!("{path}: {line} is too long for a terminal of 100 columns"));
            }
            let commands = commands(&line);
            if commands.is_empty() {
                offences.push(format!("{path}: {line} is no command of ours"));
            }
            for words in commands {
                shows_itself |= words.join(" ").contains(&format!("upbeat {path}"));
                if let Err(why) = command().try_get_matches_from(&words) {
                    offences.push(format!("{path}: {line}: {why}"));
                }
            }
        }
        if !shows_itself {
            offences.push(format!("upbeat {path} --help shows no example of it"));
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
    for line in FIRST_STEPS.lines().filter_map(|line| line.strip_prefix("  ")) {
        assert!(command().try_get_matches_from(&commands(typed(line))[0]).is_ok(), "{line}");
    }
}

#[test]
fn every_flag_and_word_says_what_it_is() {
    let mut offences = Vec::new();
    for (path, one) in all(&command(), "") {
        let silent = one.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_help().is_none());
        offences.extend(silent.map(|arg| format!("upbeat {path}: {}", arg.get_id())));
    }
    assert!(offences.is_empty(), "without help: {}", offences.join(", "));
}
