//! The `upbeat` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    // `__supervise` is dispatched here, before anything else is started: the same binary is the supervisor of commands.
    upbeat::cli::main(words)
}
