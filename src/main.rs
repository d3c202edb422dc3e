//! The upbeat program.

use std::process::ExitCode;

/// A file of 100,000 entries is millions of small values.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything makes a thread: the supervisor must stay single-threaded.
    #[cfg(target_os = "linux")]
    if std::env::args_os().nth(1).is_some_and(|first| first == upbeat::node::action::supervisor::ARGUMENT) {
        return upbeat::node::action::supervisor::main();
    }
    // Whatever else has that word among its own can do without them, too.
    if std::env::args_os().any(|word| word == "node") {
        upbeat::node::huge_pages::switch_off();
    }
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    upbeat::cli::main(words)
}
