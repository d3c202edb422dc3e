//! Completions: the script that a shell reads once, and the answers to what it asks while a line is typed.
//!
//! A shell that asks gets candidates or nothing, never a complaint.

use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, Command, ValueHint};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{Elvish, Fish, Powershell, Shells, Zsh};
use clap_complete::{CompleteEnv, Shell};

use crate::cli::bash::Bash;
use crate::cli::candidates::{self, Kind};
use crate::cli::help;
use crate::cli::output::{Ended, print_bytes};
use crate::error::Error;

/// The variable in which a shell says that it asks.
const VARIABLE: &str = "COMPLETE";
const SHELLS: Shells<'static> = Shells(&[&Bash, &Elvish, &Fish, &Powershell, &Zsh]);

/// Answers a shell that asks, and ends the program then.
pub fn answer() {
    if std::env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(help::command)
            .var(VARIABLE)
            .bin("upbeat")
            .completer("upbeat")
            .shells(SHELLS)
            .complete();
    }
}

/// `upbeat completions SHELL`: the script.
pub fn print(shell: Shell) -> Ended {
    let name = shell.to_string();
    let known = SHELLS.completer(&name).ok_or_else(|| Error::internal(format!("no completions for {name}")))?;
    let mut text = Vec::new();
    let written = known.write_registration(VARIABLE, "upbeat", "upbeat", "upbeat", &mut text);
    written.map_err(|why| Error::internal(format!("completions for {name}: {why}")))?;
    print_bytes(&text);
    Ok(0)
}

/// Gives each word and each value of a flag what it may be.
pub fn with_values(command: Command) -> Command {
    let name = command.get_name().to_owned();
    let command = command.mut_args(|arg| with_value(&name, arg));
    command.mut_subcommands(with_values)
}

fn with_value(command: &str, arg: Arg) -> Arg {
    let arg = match (arg.get_help(), arg.get_id().as_str()) {
        (None, "id") => arg.help("An entry"),
        (None, "run") => arg.help("A run id, ID@FIRE_AT, or ID for its latest"),
        (None, "name") => arg.help("Its name"),
        (None, "file") => arg.help("A file, or - for standard input"),
        _ => arg,
    };
    // Flags that were flattened in before it would give it their head.
    let is_command = arg.is_positional() && matches!(arg.get_id().as_str(), "argv" | "args");
    let arg = if is_command { arg.help_heading(None::<&str>) } else { arg };
    match (Kind::of(command, &arg), arg.get_id().as_str()) {
        (Some(kind), _) => arg
            .add(ArgValueCompleter::new(move |typed: &std::ffi::OsStr| candidates::of(kind, &typed.to_string_lossy()))),
        (None, "file" | "files" | "redis_ca") => arg.value_hint(ValueHint::AnyPath),
        (None, "dir" | "secrets_dir" | "cwd") => arg.value_hint(ValueHint::DirPath),
        _ => arg,
    }
}

/// The candidates of the engine for these words, of which the last is being typed.
pub fn complete(
    command: &mut Command,
    words: Vec<OsString>,
    folder: Option<&Path>,
) -> Result<Vec<CompletionCandidate>, std::io::Error> {
    let last = words.len().saturating_sub(1);
    clap_complete::engine::complete(command, words, last, folder)
}
