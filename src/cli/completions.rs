//! Completions of the command line for shells.

use clap::CommandFactory;

use crate::cli::args::Cli;
use crate::cli::output::{Ended, print_bytes};

/// Prints the completions for one shell.
pub fn print(shell: clap_complete::Shell) -> Ended {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "upbeat", &mut text);
    print_bytes(&text);
    Ok(0)
}
