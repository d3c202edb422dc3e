//! Colours: one meaning, one style; decided once for standard output and once for standard error.
//!
//! Whoever paints does so always; [`for_stdout`] and [`for_stderr`] take the colours out again where nobody would see them.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use clap::builder::Styles;

/// It went as it should; what is added.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// It did not; what is removed.
pub const BAD: Style = AnsiColor::Red.on_default();
/// It goes on.
pub const BUSY: Style = AnsiColor::Cyan.on_default();
/// It deserves a look; what is changed.
pub const DOUBT: Style = AnsiColor::Yellow.on_default();
/// It is beside the point.
pub const FAINT: Style = Style::new().dimmed();
/// What stands above or before the rest.
pub const HEAD: Style = Style::new().bold();
/// The word `error:`.
const ERROR: Style = BAD.bold();
/// The word `warning:`.
const WARNING: Style = DOUBT.bold();

/// When colours are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Colors {
    /// On a terminal
    #[default]
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

static ON_STDOUT: AtomicBool = AtomicBool::new(false);
static ON_STDERR: AtomicBool = AtomicBool::new(false);

/// Decides for this process. `asked` is what a flag, a variable or the file says; programs never get colours.
pub fn choose(asked: Colors, is_for_people: bool) {
    let variable = |name: &str| std::env::var(name).ok();
    let on = |is_terminal: bool| is_for_people && is_colored(asked, variable, is_terminal);
    ON_STDOUT.store(on(std::io::stdout().is_terminal()), Ordering::Relaxed);
    ON_STDERR.store(on(std::io::stderr().is_terminal()), Ordering::Relaxed);
}

/// A flag wins over `NO_COLOR`, that over `CLICOLOR_FORCE`, that over what the terminal is.
fn is_colored(asked: Colors, variable: impl Fn(&str) -> Option<String>, is_terminal: bool) -> bool {
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let is_on = |name: &str| variable(name).is_some_and(|value| !value.is_empty() && value != "0");
    match asked {
        Colors::Always => true,
        Colors::Never => false,
        Colors::Auto if is_set("NO_COLOR") => false,
        Colors::Auto if is_on("CLICOLOR_FORCE") => true,
        Colors::Auto => {
            is_terminal && variable("TERM").as_deref() != Some("dumb") && variable("CLICOLOR").as_deref() != Some("0")
        }
    }
}

/// The text in this style.
pub fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// The text with its first word in the style of the state that the word names: `succeeded in 2 s`, `paused until 18:00`.
pub fn state(text: &str) -> String {
    let (word, rest) = first_word(text);
    match of_word(word) {
        Some(style) => format!("{}{rest}", paint(style, word)),
        None => text.to_owned(),
    }
}

/// `error:` as it stands before a complaint.
pub fn error() -> String {
    paint(ERROR, "error:")
}

/// `warning:` as it stands before what deserves a look.
pub fn warning() -> String {
    paint(WARNING, "warning:")
}

/// The style of a state of a run, an entry, a node, or of what became of an entry.
pub fn of_word(word: &str) -> Option<Style> {
    Some(match word {
        "succeeded" | "active" | "live" | "added" | "ran" | "fired" => GOOD,
        "failed" | "missed" | "lost" | "broken" | "removed" | "refused" | "stuck" | "missing" | "extra" => BAD,
        "running" | "queued" | "retrying" | "started" => BUSY,
        "skipped" | "waiting" | "cancelled" | "paused" | "draining" | "unready" | "changed" => DOUBT,
        "finished" | "unchanged" | "never" => FAINT,
        _ => return None,
    })
}

/// The first word of a text, and what follows.
pub fn first_word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at(end)
}

/// The text as standard output shows it.
pub fn for_stdout(text: &str) -> Cow<'_, str> {
    shown(text, ON_STDOUT.load(Ordering::Relaxed))
}

/// The text as standard error shows it.
pub fn for_stderr(text: &str) -> Cow<'_, str> {
    shown(text, ON_STDERR.load(Ordering::Relaxed))
}

fn shown(text: &str, is_colored: bool) -> Cow<'_, str> {
    if is_colored || !text.contains('\u{1b}') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(anstream::adapter::strip_str(text).to_string())
}

/// The same palette for help.
pub fn help_styles() -> Styles {
    Styles::styled()
        .header(HEAD)
        .usage(HEAD)
        .literal(BUSY)
        .placeholder(Style::new())
        .error(ERROR)
        .valid(GOOD)
        .invalid(DOUBT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colored(asked: Colors, set: &[(&str, &str)], is_terminal: bool) -> bool {
        let value = |name: &str| set.iter().find(|(its, _)| *its == name).map(|(_, value)| (*value).to_owned());
        is_colored(asked, value, is_terminal)
    }

    #[test]
    fn colours_are_for_terminals_unless_somebody_says_otherwise() {
        assert!(colored(Colors::Auto, &[("TERM", "xterm")], true));
        assert!(!colored(Colors::Auto, &[("TERM", "xterm")], false));
        assert!(!colored(Colors::Auto, &[("TERM", "dumb")], true));
        assert!(!colored(Colors::Auto, &[("NO_COLOR", "1")], true));
        assert!(colored(Colors::Auto, &[("NO_COLOR", "")], true), "an empty one says nothing");
        assert!(colored(Colors::Auto, &[("CLICOLOR_FORCE", "1")], false));
        assert!(!colored(Colors::Auto, &[("CLICOLOR_FORCE", "0")], false));
        assert!(!colored(Colors::Auto, &[("CLICOLOR", "0")], true));
        assert!(!colored(Colors::Auto, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], true));
        assert!(colored(Colors::Always, &[("NO_COLOR", "1")], false));
        assert!(!colored(Colors::Never, &[("CLICOLOR_FORCE", "1")], true));
    }

    #[test]
    fn only_the_word_of_a_state_is_painted_and_taken_off_again() {
        let text = state("succeeded in 2.0 s");
        assert_eq!(text, "\u{1b}[32msucceeded\u{1b}[0m in 2.0 s");
        assert_eq!(shown(&text, false), "succeeded in 2.0 s");
        assert_eq!(shown(&text, true), text);
        assert_eq!(state("something else"), "something else");
    }
}
