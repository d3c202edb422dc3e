//! plan: what `apply` would do with files, by reading alone; decided by the same code.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::calendar::Calendars;
use crate::domain::definition::Removed;
use crate::domain::entry::Entry;
use crate::domain::file::PackedEntry;
use crate::domain::id::EntryId;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::service::apply::{gone, stored_finished};
use crate::service::calendars::{CalendarChange, is_behind};
use crate::service::decide::{self, Decided};
use crate::service::foresight::Foresight;
use crate::service::prune::Pruned;
use crate::service::queues::QueueChange;
use crate::service::skip::{lost_skips, skip_is_lost};
use crate::service::view::{At, ChangeView};
use crate::service::wanted::{Against, Batch, FilesOptions, OwnedFile, Wanted, WantedEntry};
use crate::service::where_to_run::list_of;
use crate::service::write::{self, STEP_ENTRIES};
use crate::service::{Request, Service};
use crate::store::StoredEntry;

/// Pages that are read at a time.
const PAGES_AT_ONCE: usize = 3;
/// Fire times that are told before and after a change.
const FIRE_TIMES: usize = 5;

/// What files would do.
#[derive(Debug, Clone, Serialize, Default)]
pub struct PlanView {
    /// One per entry of the files, in their order, then those that would be removed.
    pub changes: Vec<PlannedChange>,
    /// Calendars of the files, and the entries that would follow them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calendars: Vec<CalendarChange>,
    /// Queues of the files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<QueueChange>,
    /// What deserves a look, with the way out.
    pub warnings: Vec<String>,
    /// Those who would apply the files.
    #[serde(skip)]
    pub owners: Vec<String>,
}

/// What would become of one entry.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedChange {
    /// As `apply` would answer.
    #[serde(flatten)]
    pub change: ChangeView,
    /// The fields that differ, as they stand; of an entry that would be removed, all.
    pub before: Map<String, Value>,
    /// The fields that differ, as they would be; of one that would be added, all.
    pub after: Map<String, Value>,
    /// The next fire times of what would change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_five: Option<NextFive>,
    /// The entry as it stands, where it would change.
    #[serde(skip)]
    pub was: Option<Entry>,
    /// The entry as it would be.
    #[serde(skip)]
    pub will_be: Option<Entry>,
}

/// At most five fire times each; none while an entry is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct NextFive {
    /// As it stands.
    pub before: Vec<At>,
    /// As it would be.
    pub after: Vec<At>,
}

impl PlanView {
    /// Whether Redis stands otherwise than the files say: something would change, or be refused.
    pub fn has_changes(&self) -> bool {
        self.changes.iter().any(|one| one.change.change != "unchanged")
            || self.calendars.iter().any(|one| one.change != "unchanged" || !one.entries.is_empty())
            || self.queues.iter().any(|one| one.change != "unchanged")
    }
}

impl Service {
    /// What [`Service::apply_files`] would do with the same files; only reads. `request` says who would ask.
    ///
    /// # Errors
    ///
    /// As [`Service::apply_files`]; to remove a lot is a warning here.
    pub async fn plan_files(
        &self,
        request: &Request,
        files: Vec<impl Into<OwnedFile<PackedEntry>>>,
        options: &FilesOptions,
    ) -> Result<PlanView> {
        let mut changes = Vec::new();
        let plan = self.plan_each(request, files, options, |change| changes.push(change)).await?;
        Ok(PlanView { changes, ..plan })
    }

    /// The same; what would become of the entries is told one by one, in its order, and stands not in the answer: of a million
    /// it is 4 GB.
    ///
    /// # Errors
    ///
    /// As [`Service::plan_files`]; some may have been told then.
    pub async fn plan_each(
        &self,
        request: &Request,
        files: Vec<impl Into<OwnedFile<PackedEntry>>>,
        options: &FilesOptions,
        mut tell: impl FnMut(PlannedChange),
    ) -> Result<PlanView> {
        request.check()?;
        let wanted = Wanted::new(self.store.namespace(), files)?;
        let against = self.against(request, options, &wanted).await?;
        let pruned = if options.is_prune { self.pruned(&wanted).await? } else { Vec::new() };
        let calendars = self.planned_calendars(&wanted, &against).await?;
        let queues = self.planned_queues(&wanted.queues).await?;
        let batches = self.batches(&wanted.entries, &against.clocks);
        self.progress.begin(wanted.entries.len(), "entries compared");
        let work = |batch: Batch| {
            let (against, wanted) = (&against, &wanted);
            async move {
                let planned = self.plan_batch(against, wanted, &batch).await;
                self.progress.advance(batch.places.len());
                planned
            }
        };
        let mut warnings = Vec::new();
        let mut lists = BTreeSet::new();
        let mut early: BTreeMap<usize, PlannedChange> = BTreeMap::new();
        let mut next = 0;
        let mut planned = stream::iter(batches).map(work).buffered(PAGES_AT_ONCE);
        while let Some((batch, over)) = planned.try_next().await? {
            early.extend(batch);
            while let Some(change) = early.remove(&next) {
                lists.extend(change.will_be.as_ref().and_then(list_of));
                tell(change);
                next += 1;
            }
            warnings.extend(over);
        }
        drop(planned);
        warnings.extend(self.unserved_lists(lists).await?);
        let has_offset_changes = wanted.entries.iter().any(|one| one.packed.has_offset_changes());
        warnings.extend(self.older_zone_data(has_offset_changes).await?);
        warnings.extend(self.left_behind(&wanted, &pruned).await?);
        for pruned in &pruned {
            self.planned_removals(pruned, &against).await?.into_iter().for_each(&mut tell);
        }
        let much = pruned.iter().filter(|one| one.is_much() && !options.is_agreed);
        warnings.extend(much.map(|one| format!("this would {}: apply --prune asks, or needs -y", one.words())));
        let owners = wanted.owners.iter().map(ToString::to_string).collect();
        Ok(PlanView { changes: Vec::new(), calendars, queues, warnings, owners })
    }

    /// What would become of the entries of a batch, each with its place, and warnings.
    async fn plan_batch(
        &self,
        against: &Against,
        wanted: &Wanted,
        batch: &Batch,
    ) -> Result<(Vec<(usize, PlannedChange)>, Vec<String>)> {
        let entries = batch.of(wanted);
        let ids: Vec<EntryId> = entries.iter().map(|one| one.packed.id().clone()).collect();
        let stored = self.store.entries(&ids).await?;
        let mut decisions = against.decide(&entries, batch.now, &stored);
        self.owe(against, batch.shard, &mut decisions).await?;
        let mut removed = self.removed_before(batch.shard, &decisions.decided).await?;
        let mut warnings = std::mem::take(&mut decisions.warnings);
        let mut refused = decisions.refused;
        let mut decided: HashMap<EntryId, Decided> =
            decisions.decided.into_iter().map(|one| (one.id.clone(), one)).collect();
        let mut views = Vec::with_capacity(batch.places.len());
        for ((place, one), stored) in batch.places.iter().zip(entries).zip(&stored) {
            let id = one.packed.id();
            let planned = match (decided.remove(id), refused.remove(id.as_str()), stored) {
                (Some(decided), _, None) => planned_addition(one, &decided, removed.remove(id), batch.now),
                (Some(decided), _, Some(stored)) => self.planned_change(against, &decided, stored, batch.now).await?,
                (None, why, Some(stored)) => {
                    let mut view = write::unchanged(stored);
                    view.revision = view.revision.map(|revision| revision + follows(stored, against));
                    PlannedChange::of(match why {
                        Some(why) => ChangeView { change: "refused", message: Some(why), ..view },
                        None => view,
                    })
                }
                // Nothing would be done, and nothing stands there: that does not happen.
                (None, why, None) => PlannedChange::of(gone(id, why)),
            };
            if let Some(entry) = &planned.will_be {
                let over = entry.schedule.over(against.since(batch.now));
                warnings.extend(over.map(|why| stored_finished(id, &why)));
                let lost = stored.iter().flat_map(|stored| lost_skips(stored, entry, batch.now));
                warnings.extend(lost.map(|at| skip_is_lost(id, at)));
            }
            views.push((*place, planned));
        }
        Ok((views, warnings))
    }

    /// What is left of entries that would be added once more.
    async fn removed_before(&self, shard: u16, decided: &[Decided]) -> Result<HashMap<EntryId, Removed>> {
        let new: Vec<EntryId> = decided.iter().filter(|one| one.revision == 0).map(|one| one.id.clone()).collect();
        if new.is_empty() {
            return Ok(HashMap::new());
        }
        let removed = self.store.removed(shard, &new).await?;
        Ok(new.into_iter().zip(removed).filter_map(|(id, removed)| Some((id, removed?))).collect())
    }

    async fn planned_change(
        &self,
        against: &Against,
        decided: &Decided,
        stored: &StoredEntry,
        now: Timestamp,
    ) -> Result<PlannedChange> {
        let (id, definition) = (&stored.id, stored.definition.as_ref().ok());
        let was = as_it_stands(stored, &against.standing);
        let will_be = decided.entry();
        let has_limit = |entry: &&Entry| entry.max_fires.is_some();
        let fires = match was.iter().chain(will_be).any(|entry| has_limit(&entry)) {
            true => self.store.fires_of(id).await?,
            false => 0,
        };
        let before = was.as_ref().map(|was| Foresight::of_old(was, stored, fires));
        let after =
            will_be.map(|entry| Foresight::of_changed(self, (was.as_ref(), entry), stored, decided, fires, now));
        let change = ChangeView {
            id: id.to_string(),
            change: "changed",
            fields: decided.fields.iter().cloned().map(Cow::Owned).collect(),
            next_before: before.as_ref().and_then(Foresight::next),
            next_after: after.as_ref().and_then(Foresight::next),
            revision: Some(decided.revision + 1 + follows(stored, against)),
            message: None,
        };
        let next_five = NextFive {
            before: before.map(|before| before.list(FIRE_TIMES)).unwrap_or_default(),
            after: after.map(|after| after.list(FIRE_TIMES)).unwrap_or_default(),
        };
        let only = |fields: Option<&Map<String, Value>>, owner: Option<&str>| {
            let value = |field: &String| match field.as_str() {
                "owner" => owner.map(Value::from),
                field => fields.and_then(|fields| fields.get(field)).cloned(),
            };
            decided.fields.iter().filter_map(|field| Some((field.clone(), value(field)?))).collect()
        };
        let stands = definition.map(|definition| (definition.entry.as_ref(), definition.owner.as_str()));
        Ok(PlannedChange {
            before: only(stands.map(|(fields, _)| fields), stands.map(|(_, owner)| owner)),
            after: only(will_be.map(Entry::fields), decided.owner()),
            change,
            next_five: Some(next_five),
            will_be: will_be.cloned(),
            was,
        })
    }

    async fn planned_removals(&self, pruned: &Pruned, against: &Against) -> Result<Vec<PlannedChange>> {
        let mut planned = Vec::with_capacity(pruned.ids.len());
        for ids in pruned.ids.chunks(STEP_ENTRIES) {
            for stored in self.store.entries(ids).await?.into_iter().flatten() {
                let was = as_it_stands(&stored, &against.standing);
                let fires = match was.iter().any(|entry| entry.max_fires.is_some()) {
                    true => self.store.fires_of(&stored.id).await?,
                    false => 0,
                };
                let foresight = was.as_ref().map(|was| Foresight::of_old(was, &stored, fires));
                let before = foresight.as_ref().map(|one| one.list(FIRE_TIMES)).unwrap_or_default();
                let unchanged = write::unchanged(&stored);
                let change = ChangeView {
                    change: "removed",
                    next_before: foresight.and_then(|one| one.next()),
                    next_after: None,
                    revision: unchanged.revision.map(|revision| revision + 1 + follows(&stored, against)),
                    ..unchanged
                };
                let fields =
                    stored.definition.map(|definition| Arc::unwrap_or_clone(definition.entry)).unwrap_or_default();
                planned.push(PlannedChange {
                    before: fields,
                    next_five: Some(NextFive { before, after: Vec::new() }),
                    was,
                    ..PlannedChange::of(change)
                });
            }
        }
        Ok(planned)
    }
}

impl PlannedChange {
    /// What nothing more is told about.
    fn of(change: ChangeView) -> Self {
        Self { change, before: Map::new(), after: Map::new(), next_five: None, was: None, will_be: None }
    }
}

fn planned_addition(one: &WantedEntry, decided: &Decided, removed: Option<Removed>, now: Timestamp) -> PlannedChange {
    let foresight = decided.entry().map(|entry| Foresight::of_new(entry, decided, now));
    let mut after = decided.entry().map(|entry| entry.fields().clone()).unwrap_or_default();
    if one.packed.is_paused() {
        after.insert("paused".to_owned(), Value::Bool(true));
    }
    let change = ChangeView {
        id: one.packed.id().to_string(),
        change: "added",
        fields: decided.entry().map(decide::fields_when_added).unwrap_or_default(),
        next_before: None,
        next_after: foresight.as_ref().and_then(Foresight::next),
        revision: Some(removed.map_or(1, |removed| removed.revision + 1)),
        message: None,
    };
    let times = foresight.map(|foresight| foresight.list(FIRE_TIMES)).unwrap_or_default();
    PlannedChange {
        after,
        next_five: Some(NextFive { before: Vec::new(), after: times }),
        will_be: decided.entry().cloned(),
        ..PlannedChange::of(change)
    }
}

/// How many revisions more an entry would have because a calendar of the files, that it follows, changes before it does.
fn follows(stored: &StoredEntry, against: &Against) -> u64 {
    let of_files = against.calendars.0.iter().filter(|(name, _)| against.of_files.contains(*name));
    of_files.filter(|(name, new)| is_behind(stored, name, new.revision)).count() as u64
}

/// The entry as it is on record, with these dates; nothing where it can't be read.
pub(super) fn as_it_stands(stored: &StoredEntry, calendars: &Calendars) -> Option<Entry> {
    let entry = stored.definition.as_ref().ok()?.parse(&stored.id).ok()?;
    entry.with_calendars(calendars).ok()
}
