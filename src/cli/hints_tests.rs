//! Every word of another program leads to one of ours that exists.

use super::*;
use crate::cli::synonyms::{COMMANDS, FLAGS, SUBCOMMANDS, VALUES};

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn refused(line: &str) -> Problem {
    let words = words(line);
    let error = help::command().try_get_matches_from(&words).err();
    usage(&error.unwrap_or_else(|| panic!("{line} is accepted")), &words).problem().clone()
}

#[test]
fn the_command_line_is_consistent() {
    help::command().debug_assert();
}

/// What stands behind each `upbeat ` of a hint is a command of ours, or one of the contract.
fn assert_leads_somewhere(hint: &str) {
    let cli = help::command();
    for part in hint.split("upbeat ").skip(1) {
        let word = part.split([' ', ',', ';', ':']).next().unwrap_or_default();
        let is_known = cli.find_subcommand(word).is_some() || LATER_COMMANDS.contains(&word);
        assert!(is_known || word.starts_with('-') || word == "..." || word == "help", "{word:?} in {hint:?}");
    }
}

#[test]
fn every_word_of_another_program_leads_to_a_command_of_ours() {
    let mut seen = std::collections::BTreeSet::new();
    for (synonyms, hint) in COMMANDS {
        assert_leads_somewhere(hint);
        for word in synonyms.split(' ') {
            assert!(seen.insert(word), "{word} stands twice");
            assert!(help::command().find_subcommand(word).is_none(), "{word} is a command");
            assert!(!LATER_COMMANDS.contains(&word), "{word} is a command of the contract");
            assert_eq!(command(&[word.to_owned()]).problem().hint.as_deref(), Some(*hint), "{word}");
        }
    }
    for word in LATER_COMMANDS {
        assert_eq!(command(&[(*word).to_owned()]).problem().message, "not in this version yet");
    }
}

#[test]
fn every_word_behind_a_group_leads_to_a_command_of_ours() {
    for (group, synonyms, hint) in SUBCOMMANDS {
        assert_leads_somewhere(hint);
        for word in synonyms.split(' ') {
            let known = help::command();
            if known.find_subcommand(group).is_some_and(|group| group.find_subcommand(word).is_some()) {
                // It is an alias there.
                continue;
            }
            assert_eq!(subcommand(group, &[word.to_owned()]).problem().hint.as_deref(), Some(*hint), "{group} {word}");
        }
    }
    let hint =
        |group: &str, word: &str| subcommand(group, &[word.to_owned()]).problem().hint.clone().unwrap_or_default();
    assert!(hint("dead", "lst").starts_with("did you mean upbeat dead ls?"), "{}", hint("dead", "lst"));
    assert!(hint("calendars", "shwo").starts_with("did you mean upbeat calendars show?"));
}

#[test]
fn every_flag_of_another_program_is_none_of_ours_and_leads_to_one() {
    let cli = help::command();
    let all: Vec<String> = cli
        .get_subcommands()
        .flat_map(|one| std::iter::once(one).chain(one.get_subcommands()))
        .flat_map(crate::cli::flag_hints::flags)
        .chain(crate::cli::flag_hints::flags(&cli))
        .collect();
    let mut offences = Vec::new();
    for (written, commands, hint) in FLAGS {
        assert_leads_somewhere(hint);
        let named = hint.split([' ', ',', ';', '=', ':']).filter(|word| word.starts_with("--") && word.len() > 2);
        let unknown = named.filter(|flag| !all.iter().any(|its| its == flag) && !LATER_FLAGS.contains(flag));
        offences.extend(unknown.map(|flag| format!("{flag} in {hint:?} is no flag")));
        let named = commands.split(' ').filter(|name| !matches!(*name, "" | "*"));
        let unknown = named.filter(|name| cli.find_subcommand(name).is_none() && !LATER_COMMANDS.contains(name));
        offences.extend(unknown.map(|name| format!("{name} of {written:?} is no command")));
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
    let mut offences = Vec::new();
    for (command, flag, hint) in [
        ("add", "--timezone", "write --tz ZONE"),
        ("add", "--interval", "write --every DURATION"),
        ("add", "-l", "write --labels KEY=VALUE; -l selects entries that have one"),
        ("set", "--suspended", "write upbeat pause ID instead"),
        ("runs", "--status", "write --state STATE,.."),
        ("runs", "--tail", "write --limit N"),
        ("next", "--limit", "write --count N"),
        ("ls", "--json", "write -o table, json, jsonl or id"),
        ("ls", "--state", "write --warnings for entries with trouble, upbeat runs --state failed for runs"),
        ("show", "--state", "runs has it: upbeat runs --state"),
        ("pause", "--timezone", "elsewhere it is --tz ZONE; upbeat pause --help shows the flags"),
        ("ls", "--warnigs", "did you mean --warnings?"),
        ("node", "--workers", "write --concurrency N"),
    ] {
        let problem = refused(&format!("upbeat {command} {flag} x"));
        if (problem.field.as_deref(), problem.hint.as_deref()) != (Some(flag), Some(hint)) {
            offences.push(format!("{command} {flag}: {:?} {:?}", problem.field, problem.hint));
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
    assert_eq!(
        refused("upbeat apply jobs.toml").hint.as_deref(),
        Some("a file or folder stands behind a -f of its own: upbeat apply -f jobs.toml")
    );
    assert_eq!(refused("upbeat export -f all.toml").hint.as_deref(), Some("write upbeat export > FILE"));
    assert_eq!(refused("upbeat forecast --for 24h").hint.as_deref(), Some("write --next 24h"));
    assert_eq!(refused("upbeat add a -cron x").hint.as_deref(), Some("write --cron"));
    assert_eq!(refused("upbeat add a -every=5m").hint.as_deref(), Some("write --every"));
    assert_eq!(refused("upbeat ls -warnings").hint.as_deref(), Some("write --warnings"));
}

#[test]
fn a_value_of_another_program_leads_to_one_of_ours() {
    for (field, written, hint) in VALUES {
        for value in written.split(' ') {
            let error = Error::invalid(*field, "no").value(value);
            assert_eq!(
                improved(error, &[]).problem().hint.as_deref(),
                Some(format!("write {hint}").as_str()),
                "{value}"
            );
        }
    }
    let error = Error::invalid("entries.a.catch_up", "no").value("true");
    assert!(improved(error, &[]).problem().hint.as_deref().is_some_and(|hint| hint.starts_with("write latest")));
}

#[test]
fn what_is_missing_is_named_with_what_is_needed() {
    assert_eq!(
        refused("upbeat backfill a").hint.as_deref(),
        Some("upbeat backfill ID --from T --to T; upbeat backfill --help")
    );
    assert_eq!(refused("upbeat show").hint.as_deref(), Some("upbeat show ID; upbeat show --help"));
    assert!(refused("upbeat ls -l").hint.is_some_and(|hint| hint.contains("upbeat ls --help")));
    assert!(refused("upbeat help nonsense").hint.is_some());
}
