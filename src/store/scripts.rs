//! The scripts: one Lua file per atomic step, shared parts joined in.
//!
//! A script is a field, so a forgotten one fails to compile. Its text is made when it is first asked for: a command needs few of
//! them.

use std::collections::HashMap;
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

/// What sees the joined text of a script, names and all, before it is made ready: the identity outside tests of sabotage.
pub type Change = fn(&'static str, String) -> String;

/// One script.
#[derive(Debug)]
pub struct Script {
    /// Its name, as in the first line of its file.
    pub name: &'static str,
    file: &'static str,
    change: Change,
    sent: OnceLock<Sent>,
}

/// A script as it is sent.
#[derive(Debug)]
struct Sent {
    text: String,
    sha: String,
}

impl Script {
    /// The script of this file.
    pub const fn new(name: &'static str, file: &'static str, change: Change) -> Self {
        Self { name, file, change, sent: OnceLock::new() }
    }

    /// Its whole text.
    pub fn text(&self) -> &str {
        &self.sent().text
    }

    /// SHA-1 of the text, in hex: how Redis names it.
    pub fn sha(&self) -> &str {
        &self.sent().sha
    }

    fn sent(&self) -> &Sent {
        self.sent.get_or_init(|| {
            let text = ready(&(self.change)(self.name, joined(self.file)));
            let sha = sha1_hex(&text);
            Sent { text, sha }
        })
    }
}

macro_rules! parts {
    ($($part:literal),+ $(,)?) => {
        const PARTS: &[(&str, &str)] = &[$(($part, include_str!(concat!("../lua/parts/", $part, ".lua")))),+];
    };
}

parts![
    "words",
    "clock",
    "asleep",
    "log",
    "lease",
    "plan",
    "definition",
    "live",
    "history",
    "ledger",
    "limits",
    "waits",
    "overlap",
    "fire",
    "cursor",
    "skips",
    "settle",
    "instant",
    "celery",
    "deliver",
    "flush",
    "lanes",
    "delayed",
    "expire",
    "zones",
    "paused",
    "pauses",
    "usual",
    "gates",
    "take",
    "backfills",
    "claimed",
    "finish",
    "fetch",
    "requests",
    "uniques",
    "letters",
    "nudge",
    "change",
];

macro_rules! scripts {
    ($($field:ident),+ $(,)?) => {
        /// All scripts.
        #[derive(Debug)]
        pub struct Scripts {
            $(
                #[doc = concat!("`src/lua/", stringify!($field), ".lua`")]
                pub $field: Script,
            )+
        }

        impl Scripts {
            /// All files, none of them read yet.
            pub const fn new(change: Change) -> Self {
                Self { $($field: Script::new(stringify!($field), include_str!(concat!("../lua/", stringify!($field), ".lua")), change)),+ }
            }

            /// All of them.
            #[cfg(test)]
            pub fn all(&self) -> Vec<&Script> {
                vec![$(&self.$field),+]
            }
        }
    };
}

scripts![
    accept_clock,
    add,
    aged,
    age_runs,
    backfill,
    beginning,
    cancel,
    claim,
    compact_ledger,
    counts,
    count_queue,
    forget_removed,
    forget_revisions,
    hint,
    keep_output,
    leave,
    may,
    now,
    once,
    open_namespace,
    put,
    put_calendar,
    put_queue,
    rebuild_entries,
    rebuild_runs,
    recount,
    redbeat_give,
    redbeat_mark,
    redbeat_open,
    redbeat_take,
    purge,
    renew,
    replan,
    rescue,
    retry,
    send_celery,
    skip,
    snapshot,
    trigger,
    watch,
    work,
    zones_done,
];

/// The line that names the parts, in the order in which they are joined.
const USE: &str = "-- use ";

/// The file with the parts that it uses.
fn joined(file: &str) -> String {
    let mut joined = String::with_capacity(file.len() * 4);
    for line in file.lines() {
        match line.strip_prefix(USE) {
            Some(names) => names.split_whitespace().for_each(|name| joined.push_str(part(name))),
            None => {
                joined.push_str(line);
                joined.push('\n');
            }
        }
    }
    joined
}

/// The joined text as Redis gets it: names that stand for numbers and keys replaced, functions in one table.
fn ready(joined: &str) -> String {
    let mut meanings = Meanings::new();
    for (name, number) in joined.lines().flat_map(numbers) {
        meanings.entry(name).or_insert(number);
    }
    let mut text = String::with_capacity(joined.len());
    for line in joined.lines().filter(|line| numbers_of(line).is_none()) {
        text.push_str(&in_numbers(line, &meanings));
        text.push('\n');
    }
    in_one_table(&text)
}

/// The names and numbers of a line that gives numbers to names in capitals, `local A, B = 1, 2`, or names to keys,
/// `local due_key, live_key = KEYS[1], KEYS[2]`.
fn numbers_of(line: &str) -> Option<(&str, &str)> {
    let (names, numbers) = line.strip_prefix("local ")?.split_once(" = ")?;
    let numbers = numbers.split("--").next()?.trim();
    let is_name = |c: char| c.is_ascii_uppercase() || matches!(c, '_' | ',' | ' ');
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, ',' | ' ');
    let are_numbers = names.chars().all(is_name) && !numbers.is_empty() && numbers.chars().all(is_number);
    let is_key = |(name, value): (&str, &str)| {
        let number = value.strip_prefix("KEYS[").and_then(|rest| rest.strip_suffix(']'));
        name.ends_with("_key") && number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let same_count = names.split(", ").count() == numbers.split(", ").count();
    let are_keys = same_count && names.split(", ").zip(numbers.split(", ")).all(is_key);
    (are_numbers || are_keys).then_some((names, numbers))
}

/// Each name of such a line with its number. They are put in place of the names: a Lua function has room for 200 locals.
fn numbers(line: &str) -> Vec<(&str, &str)> {
    let Some((names, numbers)) = numbers_of(line) else { return Vec::new() };
    names.split(", ").zip(numbers.split(", ")).collect()
}

/// What stands for a name.
type Meanings<'a> = HashMap<&'a str, &'a str>;

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The words of a text: what stands before each, the word, what stands behind it.
pub fn words(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while !is_word(*bytes.get(at)?) {
            at += 1;
        }
        let start = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        Some((&text[..start], &text[start..at], &text[at..]))
    })
}

/// The line with every name replaced by its number, but for what stands in quotes: `'PUBLISH'` is a command.
fn in_numbers(line: &str, meanings: &Meanings) -> String {
    let parts = line.split('\'').enumerate();
    let parts = parts.map(|(at, part)| if at % 2 == 0 { code_in_numbers(part, meanings) } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("'")
}

fn code_in_numbers(text: &str, meanings: &Meanings) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut copied = 0;
    for (before, word, _) in words(text) {
        let is_field = before.ends_with([':', '.']) && !before.ends_with("..");
        if let Some(meaning) = meanings.get(word).filter(|_| !is_field) {
            out.push_str(&text[copied..before.len()]);
            out.push_str(meaning);
            copied = before.len() + word.len();
        }
    }
    out.push_str(&text[copied..]);
    out
}

/// The script with its functions as fields of one table.
///
/// Each call of a script makes all of its closures anew, and Lua looks for each variable that a closure shares by walking along
/// all that are shared: a function that is a local itself is one more step for all others. A function that is also the name of
/// something else, or is handed on, stays a local.
fn in_one_table(text: &str) -> String {
    let function = |line: &'_ str| -> Option<String> {
        line.strip_prefix("local function ").and_then(|rest| rest.split('(').next()).map(str::to_owned)
    };
    let mut moved: HashMap<String, String> =
        text.lines().filter_map(function).map(|name| (name.clone(), format!("F.{name}"))).collect();
    for line in text.lines() {
        let code = line.find("--").map_or(line, |at| &line[..at]);
        for (before, word, behind) in code.split('\'').step_by(2).flat_map(words) {
            // A place where a name stands for anything but its function.
            if !before.ends_with(['.', ':']) && !behind.starts_with('(') {
                moved.remove(word);
            }
        }
    }
    let meanings: Meanings = moved.iter().map(|(name, field)| (name.as_str(), field.as_str())).collect();
    let mut out = String::with_capacity(text.len() + 16 * meanings.len());
    let mut has_table = false;
    for line in text.lines() {
        if !has_table && !line.starts_with("--") {
            out.push_str("local F = {}\n");
            has_table = true;
        }
        let is_moved = function(line).is_some_and(|name| moved.contains_key(&name));
        let line = line.strip_prefix("local ").filter(|_| is_moved).unwrap_or(line);
        match line.starts_with("--") {
            true => out.push_str(line),
            false => out.push_str(&in_numbers(line, &meanings)),
        }
        out.push('\n');
    }
    out
}

fn part(name: &str) -> &'static str {
    // A name that is not there leaves a script that no Redis accepts; the test below finds it first.
    PARTS.iter().find(|(part, _)| *part == name).map_or("error('no such part')\n", |(_, text)| text)
}

fn sha1_hex(text: &str) -> String {
    fred::util::sha1_hash(text)
}

/// A short digest of a request's content: the same request has the same.
pub fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize()[..12].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::{Reason, State, Trigger};

    #[test]
    fn every_part_that_a_script_uses_exists_and_is_used() {
        let scripts = Scripts::new(|_, text| text);
        for script in scripts.all() {
            assert!(!script.text().contains("no such part"), "{}", script.name);
            assert!(script.text().starts_with(&format!("-- {}: ", script.name)), "{}", script.name);
        }
        for (name, text) in PARTS {
            // Comments stand in the script, but for the names of keys.
            let first: String = text.chars().take_while(|c| *c != '\n').take(20).collect();
            assert!(first.starts_with("-- "), "{name} does not say what it is");
            assert!(scripts.all().iter().any(|script| script.text().contains(&first)), "{name} is used nowhere");
        }
    }

    #[test]
    fn a_command_that_is_called_like_a_number_stays_a_command() {
        let line = in_numbers("x = form == PUBLISH and call('PUBLISH', PUBLISH)", &Meanings::from([("PUBLISH", "3")]));
        assert_eq!(line, "x = form == 3 and call('PUBLISH', 3)");
    }

    #[test]
    fn the_numbers_in_lua_are_those_of_the_words_in_rust() {
        let words = part("words");
        let line =
            |name: &str| words.lines().find(|line| line.starts_with(&format!("local {name}"))).unwrap().to_owned();
        let check = |line: String, number_of: &dyn Fn(&str) -> u8| {
            let (names, numbers) = line.trim_start_matches("local ").split_once(" = ").unwrap();
            for (name, number) in names.split(", ").zip(numbers.split(", ")) {
                assert_eq!(number_of(&name.to_lowercase()).to_string(), number, "{name}");
            }
        };
        let reason = |word: &str| Reason::from_word(word).unwrap().number();
        check(line("WAITING"), &|word| State::from_word(word).unwrap().number());
        check(line("SCHEDULED"), &|word| Trigger::from_word(word).unwrap().number());
        for first in ["DELIVERED", "OVERLAP", "BY_USER"] {
            check(line(first), &reason);
        }
    }
}
