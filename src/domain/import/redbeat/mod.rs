//! What a RedBeat namespace holds, as it was read: texts and bytes of whoever wrote them, judged here line by line.

mod carry;
mod hand_over;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeSet;

pub use carry::{Carried, Carry, GoesOn, bindings, carried, exchanges, goes_on};
pub use hand_over::{Kept, Resumes, parked, resumes, waker};
pub use text::{json, printable};

/// Longest definition that is read, bytes: what upbeat itself takes is a quarter of it.
pub const DEFINITION_MAX_BYTES: u64 = 256 * 1024;
/// Longest meta that is read, bytes.
pub const META_MAX_BYTES: u64 = 16 * 1024;
/// Entries of one namespace, at most.
pub const ENTRIES_MAX: usize = 100_000;

/// What RedBeat is told in its app's configuration, and stands nowhere in Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `redbeat_key_prefix`.
    pub prefix: String,
    /// The key of the lock, with the prefix; `None` where `redbeat_lock_key` is `None`.
    pub lock: Option<String>,
}

/// A field of an entry's hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// It is not there.
    Missing,
    /// Its bytes.
    Text(Vec<u8>),
    /// So many bytes, too many to be read.
    TooLong(u64),
}

/// What a key holds that should hold an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Nothing: the schedule names a key that is not there.
    Nothing,
    /// A value of this type.
    Other(String),
    /// A hash with these fields.
    Entry {
        /// What fires, and when.
        definition: Field,
        /// When it last did.
        meta: Field,
    },
}

/// A key that the schedule names, or that looks like an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The whole key, as Redis has it.
    pub key: Vec<u8>,
    /// When it is due, s since 1970; `None` where the schedule does not name it.
    pub score: Option<f64>,
    /// What stands there.
    pub held: Held,
}

/// Who may run the schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its token.
    pub token: String,
    /// How long the lock stands without it, ms; `None` without an end.
    pub ttl_ms: Option<i64>,
}

/// A whole namespace at about one instant.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Picture {
    /// What looks like entries, by key.
    pub stored: Vec<Stored>,
    /// Keys of RedBeat that hold something else than RedBeat writes: the key and the type.
    pub odd: Vec<(String, String)>,
    /// Names of those entries that stand in the app's own `beat_schedule`.
    pub statics: BTreeSet<Vec<u8>>,
    /// The beat that runs.
    pub lock: Option<Holder>,
    /// Keys of the server that were looked through for entries that the schedule does not name.
    pub looked_at: u64,
    /// Whether all keys were.
    pub is_all: bool,
}

impl Default for Place {
    fn default() -> Self {
        Self::new("redbeat:", None, true)
    }
}

impl Place {
    /// As RedBeat reads its configuration: a lock key of one's own gets the prefix, too.
    pub fn new(prefix: &str, lock: Option<&str>, has_lock: bool) -> Self {
        let lock = match lock {
            Some(key) if key.starts_with(prefix) => key.to_owned(),
            Some(key) => format!("{prefix}{key}"),
            None => format!("{prefix}:lock"),
        };
        Self { prefix: prefix.to_owned(), lock: has_lock.then_some(lock) }
    }

    /// The zset of all entries by when they are due.
    pub fn schedule(&self) -> String {
        format!("{}:schedule", self.prefix)
    }

    /// The set of names that stand in the app's `beat_schedule`.
    pub fn statics(&self) -> String {
        format!("{}:statics", self.prefix)
    }

    /// The hash that says who took the schedule over; what was kept stands beside it.
    pub fn taken(&self) -> String {
        format!("{}:upbeat", self.prefix)
    }

    /// A key that a take-over keeps: `schedule`, `metas`, `ids`.
    pub fn kept(&self, what: &str) -> String {
        format!("{}:upbeat:{what}", self.prefix)
    }

    /// The entry that makes a beat look every 5 s while the schedule is given back; it is disabled and never fires.
    pub fn waker(&self) -> String {
        format!("{}{WAKER}", self.prefix)
    }

    /// Whether RedBeat or upbeat keep something else than an entry there.
    pub fn is_own(&self, key: &[u8]) -> bool {
        let own = [self.schedule(), self.statics(), self.taken(), self.waker()];
        own.iter().chain(&self.lock).any(|own| own.as_bytes() == key) || key.starts_with(self.kept("").as_bytes())
    }

    /// The name that the key of an entry stands for.
    pub fn name<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        key.strip_prefix(self.prefix.as_bytes()).unwrap_or(key)
    }
}

/// Name of [`Place::waker`].
pub const WAKER: &str = "upbeat-hand-back";
