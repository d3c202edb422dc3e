//! Definitions as they stand in Redis: the entry and who wrote it, readable in redis-cli.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::entry::Entry;
use crate::domain::id::EntryId;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};

/// The least version of a program that can read the definitions made here.
pub const DEFINITION_VERSION: u32 = 1;

/// An entry on record. The order of the first five fields is part of the format: scripts read them by pattern, and write the two instants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// The least version that can read it.
    pub v: u32,
    /// Counter of the shard, taken when the id was added.
    pub birth: u64,
    /// 1 for a new id; grows with every change, also over `rm` and `add`.
    pub revision: u64,
    /// When this revision was written, ms, by the clock of the script that wrote it: what came until then is settled.
    pub at: Timestamp,
    /// When the entry was added, ms; the `at` of its first revision.
    pub created: Timestamp,
    /// From when its fire times count, ms, where that is before `created`: it was added with `--from`. Scripts read it by pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Who wrote it.
    pub actor: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who applies it.
    pub owner: String,
    /// Since when, by whom and why it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// From when this revision counts, ms, where that is before `at`: it was added or resumed with `--from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// The revision whose fields it has, where it was rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<u64>,
    /// The calendars that it excludes, with the revisions that its plan was made from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calendars: BTreeMap<String, u64>,
    /// The fields of the entry.
    pub entry: Arc<Map<String, Value>>,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paused {
    /// Until when, ms; from then on it counts as active, whoever notices. The first field: scripts read it by pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Since when, ms.
    pub at: Timestamp,
    /// By whom.
    pub actor: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What is left of an entry that was removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Removed {
    /// The least version that can read it.
    pub v: u32,
    /// Birth of the entry.
    pub birth: u64,
    /// The last revision: the removal itself.
    pub revision: u64,
    /// When, ms, by the clock of the script.
    pub at: Timestamp,
    /// By whom.
    pub actor: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// All that a program has to understand of what a newer one wrote.
#[derive(Deserialize)]
struct Version {
    v: u64,
}

/// The text of a new definition without its instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToBeStamped<'t> {
    /// What stands before them.
    pub head: &'t str,
    /// The revision that it names.
    pub revision: u64,
    /// What stands behind them.
    pub tail: &'t str,
}

impl Definition {
    /// Reads what stands in Redis.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] where it is damaged, [`Error::Conflict`] where only a newer program can read it.
    pub fn read(id: &EntryId, text: &[u8]) -> Result<Self> {
        let version = serde_json::from_slice::<Version>(text).ok().map(|version| version.v);
        if version.is_some_and(|version| version > u64::from(DEFINITION_VERSION)) {
            let message = format!("{id} was written by a newer upbeat and can't be changed by this one");
            return Err(Error::Conflict(Problem::new("entry", message).value(id.as_str()).hint("update upbeat")));
        }
        serde_json::from_slice(text).map_err(|why| {
            Error::Corrupt(
                Problem::new("entry", format!("the definition of {id} is damaged: {why}")).value(id.as_str()),
            )
        })
    }

    /// Only who applies it; `None` where that can't be read.
    pub fn owner_in(text: &[u8]) -> Option<String> {
        #[derive(Deserialize)]
        struct Owned {
            v: u32,
            owner: String,
        }
        let owned: Owned = serde_json::from_slice(text).ok()?;
        (owned.v <= DEFINITION_VERSION).then_some(owned.owner)
    }

    /// From when its fire times count.
    pub fn counts_since(&self) -> Timestamp {
        self.since.unwrap_or(self.created)
    }

    /// The pause that holds at `now`.
    pub fn paused_at(&self, now: Timestamp) -> Option<&Paused> {
        self.paused.as_ref().filter(|paused| paused.until.is_none_or(|until| until > now))
    }

    /// The last instant up to `now` that lies in its pause.
    pub fn paused_till(&self, now: Timestamp) -> Timestamp {
        let until = self.paused.as_ref().and_then(|paused| paused.until);
        until.map_or(now, |until| now.min(Timestamp(until.ms() - 1)))
    }

    /// The entry itself.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] where this program does not accept it.
    pub fn parse(&self, id: &EntryId) -> Result<Entry> {
        Entry::parse_for(id, self.entry.as_ref().clone()).map_err(|why| {
            Error::Corrupt(
                Problem::new("entry", format!("{id} can't be read by this upbeat: {why}")).value(id.as_str()),
            )
        })
    }

    /// The text of a new one, taken apart where its script puts in the instant at which it was written: `at`, which is `created`, too.
    pub fn to_be_stamped(text: &str) -> Option<ToBeStamped<'_>> {
        const REVISION: &str = ",\"revision\":";
        const AT: &str = ",\"at\":";
        const CREATED: &str = ",\"created\":";
        let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let at = text.find(AT)?;
        let revision = text[text[..at].find(REVISION)? + REVISION.len()..at].parse().ok()?;
        let (head, rest) = text.split_at(at + AT.len());
        let rest = rest[digits(rest)..].strip_prefix(CREATED)?;
        Some(ToBeStamped { head, revision, tail: &rest[digits(rest)..] })
    }

    /// As it is written.
    pub fn to_json(&self) -> String {
        // Strings, numbers and maps with text keys: serde_json has nothing to refuse.
        serde_json::to_string(self).unwrap_or_default()
    }
}
