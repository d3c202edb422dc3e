//! Which entries are meant: by id, label, queue, owner, or all.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::domain::definition::Definition;
use crate::domain::entry::Entry;
use crate::domain::id::{EntryId, IdList, Owner, QueueName};
use crate::domain::nearest::nearest;
use crate::error::{Error, Problem, Result};
use crate::service::Service;
use crate::service::ahead::again;
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

    /// As part of what is asked for.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Ids(ids) => ids.iter().map(EntryId::as_str).collect::<Vec<_>>().join(" "),
            Self::Labels(labels) => {
                let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!("labels {}", labels.join(","))
            }
            Self::Queue(queue) => format!("queue {queue}"),
            Self::Owner(owner) => format!("owner {owner}"),
            Self::All => "all".to_owned(),
        }
    }

    /// As [`Select::has`], of a definition as it is written: most of those that are not meant are told without reading all of it.
    pub(super) fn has_written(&self, id: &EntryId, text: &[u8]) -> bool {
        let may_match = |written: Written<'_>| match self {
            Self::Labels(labels) => labels.iter().all(|(key, value)| {
                let labelled = written.entry.labels.get(key.as_str());
                labelled.is_some_and(|one| one.as_str().is_none_or(|one| one == value))
            }),
            Self::Queue(queue) => {
                written.entry.queue.as_deref().unwrap_or(QueueName::default().as_str()) == queue.as_str()
            }
            Self::Owner(owner) => written.owner == owner.as_str(),
            Self::Ids(_) | Self::All => true,
        };
        match self {
            Self::All => true,
            Self::Ids(ids) => ids.contains(id),
            _ => {
                serde_json::from_slice(text).is_ok_and(may_match)
                    && Definition::read(id, text).is_ok_and(|definition| {
                        definition.parse(id).is_ok_and(|entry| self.matches(id, &definition, &entry))
                    })
            }
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

/// What selects an entry, of its definition as it is written.
#[derive(Deserialize)]
struct Written<'t> {
    #[serde(borrow)]
    owner: Cow<'t, str>,
    #[serde(borrow)]
    entry: WrittenEntry<'t>,
}

#[derive(Deserialize)]
struct WrittenEntry<'t> {
    #[serde(borrow, default)]
    queue: Option<Cow<'t, str>>,
    #[serde(default)]
    labels: BTreeMap<String, Value>,
}

impl Service {
    /// The ids that are meant, sorted. Filters may mean none; an entry that can't be read is meant by its id and by `All`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] about `entry` where one that is named by its id does not exist.
    pub async fn select(&self, select: &Select) -> Result<Vec<EntryId>> {
        let ids = self.selected(select).await?;
        Ok(ids.page(0, ids.len()))
    }

    /// The same in little memory.
    ///
    /// # Errors
    ///
    /// As [`Service::select`].
    pub async fn selected(&self, select: &Select) -> Result<IdList> {
        let Select::Ids(ids) = select else {
            return self.ids_where(|id, text| select.has_written(id, text)).await;
        };
        let mut meant = BTreeSet::new();
        for (id, found) in ids.iter().zip(self.store.entries(ids).await?) {
            if found.is_none() {
                return Err(self.no_entry(id).await?);
            }
            meant.insert(id.clone());
        }
        Ok(meant.into_iter().collect())
    }

    /// Ids of entries that are wanted by their id and their definition as it is written, sorted. There is no index: every shard
    /// is walked, in steps that keep nobody waiting.
    pub(super) async fn ids_where(&self, mut is_wanted: impl FnMut(&EntryId, &[u8]) -> bool) -> Result<IdList> {
        let mut ids = IdList::default();
        self.begin_to_walk().await?;
        for shard in self.store.shards() {
            let mut cursor = None;
            loop {
                let (page, next) = again(|| self.store.definitions(shard, cursor.clone())).await?;
                self.progress.advance(page.len());
                page.iter().filter(|(id, text)| is_wanted(id, text)).for_each(|(id, _)| ids.push(id));
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        // What was moved within its hash meanwhile came twice.
        ids.sort();
        Ok(ids)
    }

    /// Announces that all entries are looked at.
    pub(super) async fn begin_to_walk(&self) -> Result<()> {
        let mut count = 0;
        for shard in self.store.shards() {
            count += self.store.entry_count(shard).await?;
        }
        self.progress.begin(count, "entries looked at");
        Ok(())
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
