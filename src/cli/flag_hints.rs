//! The way out for a flag that a command does not have: its name here, the command that has it, the nearest one.

use clap::Command;

use crate::cli::help::{self, at};
use crate::cli::hints;
use crate::cli::synonyms::{self, is_among};
use crate::domain::nearest::nearest;
use crate::error::{Error, Problem};

/// Of `-cron` clap sees `-c`: the word as it was written.
pub fn whole_word(flag: &str, words: &[String]) -> String {
    let is_it = |word: &&String| flag.len() == 2 && word.len() > 2 && !word.starts_with("--") && word.starts_with(flag);
    words.iter().find(is_it).map_or_else(|| flag.to_owned(), |word| word.split('=').next().unwrap_or(word).to_owned())
}

/// The complaint about a flag that the command at `path` does not have.
pub fn flag(word: &str, path: &[&str]) -> Error {
    if hints::LATER_FLAGS.contains(&word) {
        return hints::not_yet(word);
    }
    let refuse = |hint: String| Error::Invalid(Problem::new(word, "unknown flag").value(word).hint(hint));
    let cli = help::command();
    let mut own = at(&cli, path).map(flags).unwrap_or_default();
    own.extend(flags(&cli));
    // `-cron`, `—cron` from a text that was set well.
    let bare = word.trim_start_matches(['-', '\u{2013}', '\u{2014}']).to_lowercase().replace('_', "-");
    let long = format!("--{bare}");
    if long != word && bare.len() > 1 && own.contains(&long) {
        return refuse(format!("write {long}"));
    }
    let name = path.first().copied().unwrap_or_default();
    let has_fields = own.iter().any(|flag| flag == "--every");
    let spelt = |written: &str| is_among(written, &long) || is_among(written, word);
    let fits = |(written, commands, _): &&(&str, &str, &str)| {
        spelt(written)
            && match *commands {
                "" => has_fields,
                "*" => true,
                named => is_among(named, name),
            }
    };
    // What is meant for this command comes before what is meant for all.
    let narrow = synonyms::FLAGS.iter().find(|one| one.1 != "*" && fits(one));
    if let Some((_, _, hint)) = narrow.or_else(|| synonyms::FLAGS.iter().find(|one| one.1 == "*" && fits(one))) {
        return refuse(format!("write {hint}"));
    }
    let others: Vec<String> = cli.get_subcommands().filter(|one| flags(one).contains(&long)).map(named).collect();
    if !others.is_empty() && bare.len() > 1 {
        return refuse(format!("{} {}: upbeat {} {long}", some(&others), has(&others), others[0]));
    }
    if let Some((_, _, hint)) = synonyms::FLAGS.iter().find(|(written, ..)| spelt(written)) {
        return refuse(format!("elsewhere it is {hint}; {}", own_flags(&cli, path)));
    }
    match nearest(&long, own.iter().map(String::as_str)) {
        Some(meant) => refuse(format!("did you mean {meant}?")),
        None => refuse(format!("{}; what begins with - and is no flag stands behind --", own_flags(&cli, path))),
    }
}

fn named(command: &Command) -> String {
    command.get_name().to_owned()
}

fn has(commands: &[String]) -> &'static str {
    if commands.len() == 1 { "has it" } else { "have it" }
}

fn some(commands: &[String]) -> String {
    match commands {
        [first, second, third, _, ..] => format!("{first}, {second}, {third} and others"),
        few => few.join(", "),
    }
}

/// The visible flags of a command, `--tz`, `-l`.
pub fn flags(command: &Command) -> Vec<String> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown
        .flat_map(|arg| {
            arg.get_long().map(|long| format!("--{long}")).into_iter().chain(arg.get_short().map(|c| format!("-{c}")))
        })
        .collect()
}

/// `upbeat rm has -l, --queue, --owner, --all`.
fn own_flags(cli: &Command, path: &[&str]) -> String {
    let shown = ["upbeat"].iter().chain(path).copied().collect::<Vec<_>>().join(" ");
    let own: Vec<String> = at(cli, path).map(flags).unwrap_or_default();
    match own.len() {
        0 => format!("{shown} --help shows the flags"),
        1..=8 => format!("{shown} has {}", own.join(", ")),
        _ => format!("{shown} --help shows the flags"),
    }
}
