//! A bar for what takes longer than a second, on a terminal's standard error; it goes before anything else is written.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::output::Printer;
use crate::service::{Progress, Reached};

/// What is over by then needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

const TEMPLATE: &str = "{wide_bar} {human_pos} of {human_len} {msg}, {per_sec}, {eta} to go";

/// The bar that is drawn now.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Counts the steps of a command, and draws them where somebody sits in front of it; whoever asks gets the same one.
pub fn watched(printer: Printer) -> Progress {
    static WATCHED: OnceLock<Progress> = OnceLock::new();
    let begin = || {
        let progress = Progress::default();
        let is_dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        if !printer.is_quiet && !printer.is_json() && !is_dumb && std::io::stderr().is_terminal() {
            let seen = progress.clone();
            std::thread::spawn(move || draw(&seen));
        }
        progress
    };
    WATCHED.get_or_init(begin).clone()
}

fn draw(progress: &Progress) {
    let mut since: Option<(&'static str, u64, Instant)> = None;
    while !IS_OVER.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
        let reached = progress.reached();
        if reached.done >= reached.total {
            since = None;
            clear();
            continue;
        }
        let begun = since.filter(|(what, total, _)| (*what, *total) == (reached.what, reached.total));
        let (_, _, begun) = *since.insert(begun.unwrap_or((reached.what, reached.total, Instant::now())));
        if begun.elapsed() >= PATIENCE {
            show(reached, begun);
        }
    }
    clear();
}

fn show(reached: Reached, begun: Instant) {
    let mut bar = BAR.lock().unwrap_or_else(PoisonError::into_inner);
    if IS_OVER.load(Ordering::Relaxed) {
        return;
    }
    let bar = bar.get_or_insert_with(|| {
        let bar = ProgressBar::with_draw_target(Some(reached.total), ProgressDrawTarget::stderr());
        // The template is constant; a wrong one leaves the usual bar.
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.with_elapsed(begun.elapsed())
    });
    bar.set_message(reached.what);
    bar.set_length(reached.total);
    bar.set_position(reached.done);
    bar.tick();
}

/// Takes the bar away before something is written; it comes back while there is something to count.
pub fn clear() {
    if let Some(bar) = BAR.lock().unwrap_or_else(PoisonError::into_inner).take() {
        bar.finish_and_clear();
    }
}

/// The command has ended: no bar comes back.
pub fn end() {
    IS_OVER.store(true, Ordering::Relaxed);
    clear();
}
