//! Which entries are meant: by id, label, queue, owner, or all.

use std::collections::BTreeSet;

use crate::domain::definition::Definition;
use crate::domain::entry::Entry;
use crate::domain::id::{EntryId, Owner, QueueName};
use crate::domain::nearest::nearest;
use crate::error::{Error, Problem, Result};
use crate::service::Service;
use crate::store::StoredEntry;

/// Ids that are compared with a mistyped one, at most.
const COMPARED: usize = 20_000;

/// A selection of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Select {
    /// These; each must exist.
    Ids(Vec<EntryId>),
    /// Those that have all of these labels.
    Labels(Vec<(String, String)>),
    /// Those whose runs wait in this queue.
    Queue(QueueName),
    /// Those that this owner applies.
    Owner(Owner),
    /// All.
    All,
}

impl Select {
    /// Whether an entry is meant.
    pub fn matches(&self, id: &EntryId, definition: &Definition, entry: &Entry) -> bool {
        match self {
            Self::Ids(ids) => ids.contains(id),
            Self::Labels(labels) => labels.iter().all(|(key, value)| entry.labels.get(key) == Some(value)),
            Self::Queue(queue) => entry.queue == *queue,
            Self::Owner(owner) => definition.owner == owner.as_str(),
            Self::All => true,
        }
    }

    /// Whether an entry as it is stored is meant; one that can't be read is meant by its id and by `All`.
    pub fn has(&self, stored: &StoredEntry) -> bool {
        match (self, &stored.definition) {
            (Self::All, _) => true,
            (Self::Ids(ids), _) => ids.contains(&stored.id),
            (_, Ok(definition)) => {
                definition.parse(&stored.id).is_ok_and(|entry| self.matches(&stored.id, definition, &entry))
            }
            (_, Err(_)) => false,
        }
    }
}

impl Service {
    /// The ids that are meant, sorted. Filters may mean none; an entry that can't be read is meant by its id and by `All`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] about `entry` where one that is named by its id does not exist.
    pub async fn select(&self, select: &Select) -> Result<Vec<EntryId>> {
        let mut meant = BTreeSet::new();
        if let Select::Ids(ids) = select {
            for (id, found) in ids.iter().zip(self.store.entries(ids).await?) {
                if found.is_none() {
                    return Err(self.no_entry(id).await?);
                }
                meant.insert(id.clone());
            }
            return Ok(meant.into_iter().collect());
        }
        for shard in self.store.shards() {
            let mut cursor = None;
            loop {
                let (mut ids, next) = self.store.entry_ids(shard, cursor).await?;
                if *select != Select::All {
                    ids = self.only(select, ids).await?;
                }
                meant.extend(ids);
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(meant.into_iter().collect())
    }

    async fn only(&self, select: &Select, ids: Vec<EntryId>) -> Result<Vec<EntryId>> {
        let stored = self.store.entries(&ids).await?;
        Ok(stored.into_iter().flatten().filter(|stored| select.has(stored)).map(|one| one.id).collect())
    }

    /// The complaint about an id that does not exist, with the one that is meant.
    pub(super) async fn no_entry(&self, id: &EntryId) -> Result<Error> {
        let mut known: Vec<EntryId> = Vec::new();
        for shard in self.store.shards() {
            let mut cursor = None;
            while known.len() < COMPARED {
                let (ids, next) = self.store.entry_ids(shard, cursor).await?;
                known.extend(ids);
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        let why = format!("{id} does not exist in namespace {}", self.store.namespace());
        let problem = Problem::new("entry", why).value(id.as_str());
        Ok(Error::NotFound(match nearest(id.as_str(), known.iter().map(EntryId::as_str)) {
            Some(near) => problem.hint(format!("did you mean {near}?")),
            None => problem.hint("upbeat ls shows those that exist"),
        }))
    }
}
