//! The scripts: one Lua file per atomic step, shared parts joined in.
//!
//! A script is a field, so a forgotten one fails to compile. Its text is made when it is first asked for: a command needs few of
//! them.

use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use crate::store::ready::{ALWAYS, ready};

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
    "calm",
    "rare",
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
        let Some(names) = line.strip_prefix(USE) else {
            joined.extend([line, "\n"]);
            continue;
        };
        names.split_whitespace().for_each(|name| joined.extend([part(name), ALWAYS, "\n"]));
    }
    joined
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
