//! prune: what an owner has beside its files is removed; a large part of it only once somebody agreed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::domain::definition::Definition;
use crate::domain::file::PackedEntry;
use crate::domain::id::{CalendarName, EntryId, Owner};
use crate::error::{Error, Result};
use crate::service::calendars::named;
use crate::service::change::readable;
use crate::service::decide::{self, Decided};
use crate::service::request::content;
use crate::service::view::ChangeView;
use crate::service::wanted::{OwnedFile, Wanted};
use crate::service::write::{self, STEP_ENTRIES, Step};
use crate::service::{Request, Service};
use crate::store::StoredEntry;

/// More than one of so many is only removed once somebody agreed.
const SHARE: usize = 5;
/// What a removal gives as its reason, before the owner.
pub(super) const PRUNE_REASON: &str = "apply --prune of owner ";

/// What an owner has beside its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// Whose.
    pub owner: Owner,
    /// How many entries it has in Redis.
    pub has: usize,
    /// Those that stand in no file, sorted.
    pub ids: Vec<EntryId>,
}

impl Pruned {
    /// Whether it is so much that somebody has to agree.
    pub fn is_much(&self) -> bool {
        self.ids.len() * SHARE > self.has
    }

    /// `remove 30 of the 37 entries of owner ops`.
    pub fn words(&self) -> String {
        let entries = if self.has == 1 { "1 entry" } else { &format!("{} entries", self.has) };
        format!("remove {} of the {entries} of owner {}", self.ids.len(), self.owner)
    }

    /// Refuses to remove more than a fifth.
    pub(super) fn check_share(&self) -> Result<()> {
        if !self.is_much() {
            return Ok(());
        }
        let why = format!("--prune would {}, that is more than a fifth", self.words());
        Err(Error::invalid("-y", why).hint("upbeat plan --prune shows them; add -y to remove them"))
    }
}

/// The removal that a request asks for.
pub(super) struct Removal<'a> {
    pub request: &'a Request,
    pub wanted: &'a Wanted,
}

impl Service {
    /// What `apply --prune` of these files would remove, an owner each.
    ///
    /// # Errors
    ///
    /// As [`Service::apply_files`].
    pub async fn would_prune(&self, files: Vec<impl Into<OwnedFile<PackedEntry>>>) -> Result<Vec<Pruned>> {
        self.pruned(&Wanted::new(self.store.namespace(), files)?).await
    }

    /// What the owners of the files have beside them. An entry that stands in any of the files is not among it, whoever has it;
    /// nor is one that can't be read.
    pub(super) async fn pruned(&self, wanted: &Wanted) -> Result<Vec<Pruned>> {
        let keep: HashSet<&EntryId> = wanted.entries.iter().map(|one| one.packed.id()).collect();
        let mut has: BTreeMap<&str, BTreeSet<EntryId>> =
            wanted.owners.iter().map(|owner| (owner.as_str(), BTreeSet::new())).collect();
        for shard in self.store.shards() {
            let mut cursor = None;
            loop {
                let (page, next) = self.store.definitions(shard, cursor).await?;
                for (id, text) in page {
                    if let Some(ids) = Definition::owner_in(&text).and_then(|owner| has.get_mut(owner.as_str())) {
                        ids.insert(id);
                    }
                }
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        let mut pruned = Vec::new();
        for (owner, ids) in wanted.owners.iter().zip(has.into_values()) {
            let count = ids.len();
            let ids = ids.into_iter().filter(|id| !keep.contains(id)).collect();
            pruned.push(Pruned { owner: owner.clone(), has: count, ids });
        }
        Ok(pruned)
    }

    /// Removes it. A request that comes again first tells what it removed before: what it asks for is named by the files, not by
    /// what they leave over.
    pub(super) async fn prune(&self, removal: &Removal<'_>, pruned: &Pruned) -> Result<Vec<ChangeView>> {
        let owner = &pruned.owner;
        let kept = removal.wanted.entries.iter().map(|one| one.packed.id().as_str());
        let content = content("prune", [owner.as_str()].into_iter().chain(kept));
        let request = prune_request(removal.request, owner);
        let mut views = Vec::new();
        for shard in self.store.shards() {
            let mine: Vec<EntryId> = pruned.ids.iter().filter(|id| self.store.shard_of(id) == shard).cloned().collect();
            let mut number = 0;
            while let Some(done) = self.before(&Step { request: &request, shard, number, content: &content }).await? {
                views.extend(done.into_iter().map(|changed| write::view(changed, Vec::new)));
                number += 1;
            }
            for page in mine.chunks(STEP_ENTRIES) {
                let step = Step { request: &request, shard, number, content: &content };
                let now = self.store.now(shard).await?;
                // One that was removed meanwhile is what is wanted.
                let stored: Vec<StoredEntry> = self.store.entries(page).await?.into_iter().flatten().collect();
                let of_owner = stored.iter().filter(|one| is_of(one, owner));
                let decided: Vec<Decided> = of_owner
                    .filter_map(|one| {
                        let definition = readable(one).ok()?;
                        let known = (definition.birth, definition.revision);
                        Some(decide::removed(&request, &one.id, known, true, now))
                    })
                    .collect();
                if decided.is_empty() {
                    continue;
                }
                let done = self.write(&step, decided).await?;
                views.extend(done.into_iter().map(|changed| write::view(changed, Vec::new)));
                number += 1;
            }
        }
        views.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(views)
    }

    /// That calendars stay which only removed entries may have named.
    pub(super) async fn left_behind(&self, wanted: &Wanted, pruned: &[Pruned]) -> Result<Vec<String>> {
        let mut kept: BTreeSet<CalendarName> = wanted.named_calendars()?;
        kept.extend(wanted.calendars.iter().map(|(name, _)| name.clone()));
        let mut left = BTreeSet::new();
        for ids in pruned.iter().flat_map(|one| one.ids.chunks(STEP_ENTRIES)) {
            for stored in self.store.entries(ids).await?.into_iter().flatten() {
                left.extend(stored.definition.iter().flat_map(named).filter(|name| !kept.contains(name)));
            }
        }
        let warning = |name: CalendarName| {
            format!(
                "calendar {name} stays: --prune removes entries only\nupbeat calendars rm {name}, if no other entry names it"
            )
        };
        Ok(left.into_iter().map(warning).collect())
    }
}

/// The request that removes: its reason says what it was.
pub(super) fn prune_request(request: &Request, owner: &Owner) -> Request {
    let why = request.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let id = format!("{}#prune@{owner}", request.id);
    Request { id, reason: Some(format!("{PRUNE_REASON}{owner}{why}")), ..request.clone() }
}

fn is_of(stored: &StoredEntry, owner: &Owner) -> bool {
    stored.definition.as_ref().is_ok_and(|definition| definition.owner == owner.as_str())
}
