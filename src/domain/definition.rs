//! Definitions as they stand in Redis: the entry and who wrote it, readable in redis-cli.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::entry::Entry;
use crate::domain::id::EntryId;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};

mod written;

/// The least version of a program that can read the definitions made here.
pub const DEFINITION_VERSION: u32 = 2;
/// The same for what is left of removed ones.
pub const REMOVED_VERSION: u32 = 1;

/// An entry on record.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Counter of the shard, taken when the id was added.
    pub birth: u64,
    /// 1 for a new id; grows with every change, also over `rm` and `add`.
    pub revision: u64,
    /// When this revision was written, ms, by the clock of the script that wrote it: what came until then is settled.
    pub at: Timestamp,
    /// When the entry was added, ms; the `at` of its first revision.
    pub created: Timestamp,
    /// From when its fire times count, ms, where that is before `created`: it was added with `--from`.
    pub since: Option<Timestamp>,
    /// Who wrote it.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// Who applies it.
    pub owner: String,
    /// Since when, by whom and why it is paused.
    pub paused: Option<Paused>,
    /// From when this revision counts, ms, where that is before `at`: it was added or resumed with `--from`.
    pub from: Option<Timestamp>,
    /// The revision whose fields it has, where it was rolled back.
    pub restored: Option<u64>,
    /// The calendars that it excludes, with the revisions that its plan was made from.
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

/// The text of a new definition without its instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToBeStamped<'t> {
    /// What stands before it.
    pub head: &'t str,
    /// The revision that it names.
    pub revision: u64,
    /// What stands behind it.
    pub tail: &'t str,
}

impl Definition {
    /// Reads what stands in Redis.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] where it is damaged, [`Error::Conflict`] where only a newer program can read it.
    pub fn read(id: &EntryId, text: &[u8]) -> Result<Self> {
        if written::version_of(text).is_some_and(|version| version > u64::from(DEFINITION_VERSION)) {
            let message = format!("{id} was written by a newer upbeat and can't be changed by this one");
            return Err(Error::Conflict(Problem::new("entry", message).value(id.as_str()).hint("update upbeat")));
        }
        written::read(text).map_err(|why| {
            Error::Corrupt(
                Problem::new("entry", format!("the definition of {id} is damaged: {why}")).value(id.as_str()),
            )
        })
    }

    /// Only who applies it; `None` where that can't be read.
    pub fn owner_in(text: &[u8]) -> Option<String> {
        #[derive(Deserialize)]
        struct Owned {
            owner: String,
        }
        let owned: Owned = serde_json::from_slice(text).ok()?;
        (written::version_of(text)? <= u64::from(DEFINITION_VERSION)).then_some(owned.owner)
    }

    /// Birth and revision as scripts read them, also where the rest of the text is damaged.
    pub fn birth_and_revision_in(text: &[u8]) -> Option<(u64, u64)> {
        written::birth_and_revision(text)
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

    /// The text of a new one, taken apart where its script puts in the instant at which it was written.
    pub fn to_be_stamped(text: &str) -> Option<ToBeStamped<'_>> {
        written::to_be_stamped(text)
    }

    /// The same as [`Definition::to_json`], of a definition whose fields are this JSON object.
    pub fn to_json_around(&self, fields: &str) -> String {
        written::to_json_around(self, fields).unwrap_or_default()
    }

    /// As it is written, by the present version.
    pub fn to_json(&self) -> String {
        // Strings, numbers and maps with text keys: serde_json has nothing to refuse.
        written::to_json(self).unwrap_or_default()
    }
}
