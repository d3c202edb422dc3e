//! The command line as a whole: its commands in groups, an example of each, in the colours of the palette.

use clap::builder::StyledStr;
use clap::{Command, CommandFactory};

use crate::cli::args::Cli;
use crate::cli::completions;
use crate::cli::examples;
use crate::cli::palette::{BUSY, HEAD, paint};

/// All commands, as the contract groups them.
pub const GROUPS: &[(&str, &[&str])] = &[
    ("Start", &["dev", "node"]),
    ("Entries", &["add", "set", "show", "ls", "rm", "skip", "pause", "resume", "trigger", "once", "backfill", "next"]),
    ("Files", &["lint", "plan", "apply", "export", "schema", "import", "revisions", "rollback"]),
    ("Runs", &["runs", "logs", "cancel", "retry", "dead", "events"]),
    ("Know", &["why", "audit", "forecast", "doctor", "top"]),
    ("Fleet", &["nodes", "queues", "calendars", "alerts", "tokens", "namespaces"]),
    ("Tools", &["bench", "simulate", "acl", "healthcheck", "completions", "man", "help"]),
];

/// What stands at the end of the first page.
const FIRST_STEPS: &str = "\
Examples:
  upbeat dev                               a playground: a private Redis and three nodes
  upbeat add disk --every 5s -- df -h .    an entry; its command stands behind --
  upbeat add report --cron '0 9 * * mon-fri' --tz Europe/Berlin -- ./report.sh
  upbeat ls                                what there is, and when it fires next
  upbeat why report                        why it did not run, or how it ran
upbeat COMMAND --help says the rest, with examples. A program reads -o json.";

/// The command line, complete.
pub fn command() -> Command {
    let cli = Cli::command();
    let cli = with_examples(cli, "");
    let groups = groups(&cli);
    let template = format!(
        "{{about}}\n\n{usage} upbeat COMMAND ...\n\n{groups}{common}\n{{options}}{{after-help}}",
        usage = paint(HEAD, "Usage:"),
        common = paint(HEAD, "Common:"),
    );
    completions::with_values(cli.after_help(painted(FIRST_STEPS)).help_template(template))
}

/// The command at the end of a path of names.
pub fn at<'c>(cli: &'c Command, path: &[&str]) -> Option<&'c Command> {
    path.iter().try_fold(cli, |command, name| command.find_subcommand(name))
}

/// The lists of commands, each with what it does.
fn groups(cli: &Command) -> String {
    let width = cli.get_subcommands().map(|one| one.get_name().len()).max().unwrap_or(0);
    let line = |name: &&str| {
        let about = match cli.find_subcommand(name).filter(|one| !one.is_hide_set()) {
            Some(one) => one.get_about().map(ToString::to_string).unwrap_or_default(),
            None if *name == "help" => "This page, or that of a command".to_owned(),
            None => return None,
        };
        Some(format!("  {}{:pad$}  {about}\n", paint(BUSY, name), "", pad = width - name.len()))
    };
    let group = |(head, names): &(&str, &[&str])| {
        let lines: String = names.iter().filter_map(line).collect();
        format!("{}\n{lines}\n", paint(HEAD, format!("{head}:")))
    };
    GROUPS.iter().map(group).collect()
}

/// Gives each command its examples, where its own file does not.
fn with_examples(command: Command, path: &str) -> Command {
    let text = command.get_after_help().map(ToString::to_string);
    let text = text.or_else(|| examples::of(path).map(str::to_owned));
    let command = match text {
        Some(text) => command.after_help(painted(&text)),
        None => command,
    };
    command.mut_subcommands(|one| {
        let path = format!("{path} {}", one.get_name());
        with_examples(one, path.trim_start())
    })
}

fn painted(text: &str) -> StyledStr {
    text.replacen("Examples:", &paint(HEAD, "Examples:"), 1).into()
}

#[cfg(test)]
#[path = "help_tests.rs"]
mod tests;
