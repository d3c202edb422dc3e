//! apply: many entries at once, as files say; what stands as they say it stays as it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::domain::definition::Definition;
use crate::domain::file::{PackedEntry, ScheduleFile};
use crate::domain::id::{EntryId, Owner};
use crate::domain::revision;
use crate::error::{Error, Result};
use crate::service::change::is_written;
use crate::service::conflict::Yours;
use crate::service::decide;
use crate::service::prune::{Pruned, Removal};
use crate::service::request::{Said, content, said};
use crate::service::view::{ChangeView, Changes};
use crate::service::wanted::{Against, Batch, Decisions, FilesOptions, OwnedFile, Wanted, WantedEntry};
use crate::service::where_to_run::list_of;
use crate::service::write::{self, Step};
use crate::service::{Request, Service};
use crate::store::{ChangeWord, Changed, StoredEntry};

/// Steps that are looked up together: as many as one command reads. Each of 64 entries alone asked Redis for six things, of three they
/// are eight in all.
const STEPS_A_LOOK: usize = 3;
/// But for entries so long that they count, bytes: what is looked up together is in memory together.
const LOOK_BYTES: usize = 128 * 1024;
/// So many of those on their way at a time: each asks three times and then once a step, and while it waits others are made ready.
const LOOKS_AT_ONCE: usize = 6;

/// How one file is applied.
#[derive(Debug, Clone)]
pub struct ApplyOptions {
    /// Who applies it, where the file does not say.
    pub owner: Owner,
    /// Also changes entries of another owner.
    pub is_take: bool,
    /// New entries owe their fire times from then on.
    pub from: Option<Said>,
}

impl Service {
    /// As [`Service::apply_files`], of one file; nothing is removed.
    ///
    /// # Errors
    ///
    /// As [`Service::apply_files`].
    pub async fn apply(&self, request: &Request, file: ScheduleFile, options: ApplyOptions) -> Result<Changes> {
        let ApplyOptions { owner, is_take, from } = options;
        let options = FilesOptions { is_take, from, ..FilesOptions::default() };
        self.apply_files(request, vec![OwnedFile { file, owner }], &options).await
    }

    /// Writes the calendars of the files and limits their queues, then adds and changes entries as they say, then, where that is asked for, removes what
    /// their owners have beside them. Entries of another owner are `refused`, as are those that somebody else changes
    /// meanwhile; the rest is written. Nothing is paused or resumed that exists, no calendar is removed.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::Invalid`] where a file is for another namespace, an entry names a calendar that is neither in the
    /// files nor in Redis, or more than a fifth of what an owner has would be removed and nobody agreed; then nothing is written.
    pub async fn apply_files(
        &self,
        request: &Request,
        files: Vec<impl Into<OwnedFile<PackedEntry>>>,
        options: &FilesOptions,
    ) -> Result<Changes> {
        let mut views = Vec::new();
        let changes = self.apply_each(request, files, options, |view| views.push(view)).await?;
        Ok(Changes { changes: views, ..changes })
    }

    /// The same; what became of the entries is told one by one, in the order of the files, then what was removed, and stands not in
    /// the answer.
    ///
    /// # Errors
    ///
    /// As [`Service::apply_files`]; some may have been told then.
    pub async fn apply_each(
        &self,
        request: &Request,
        files: Vec<impl Into<OwnedFile<PackedEntry>>>,
        options: &FilesOptions,
        mut tell: impl FnMut(ChangeView),
    ) -> Result<Changes> {
        request.check()?;
        let wanted = Arc::new(Wanted::new(self.store.namespace(), files)?);
        let mut against = self.against(request, options, &wanted).await?;
        let pruned = if options.is_prune { self.pruned(&wanted).await? } else { Vec::new() };
        if !options.is_agreed && !request.is_dry_run {
            pruned.iter().try_for_each(Pruned::check_share)?;
        }
        let mut calendars = Vec::new();
        for (name, calendar) in &wanted.calendars {
            calendars.push(self.put_calendar(request, name, calendar).await?);
        }
        if !calendars.is_empty() && !request.is_dry_run {
            against.calendars = self.calendars_of_files(&wanted, against.clocks[0]).await?.1;
        }
        let queues = self.apply_queues(request, &wanted.queues).await?;
        let against = Arc::new(against);
        let batches = looked_up_together(&wanted, self.batches(&wanted.entries, &against.clocks));
        self.progress.begin(wanted.entries.len(), "entries written");
        let (mut next, mut early) = (0, BTreeMap::new());
        let mut warnings = Vec::new();
        let mut lists = BTreeSet::new();
        let work = |batches| self.begin_batches(&against, &wanted, batches);
        let mut written = stream::iter(batches).map(work).buffered(LOOKS_AT_ONCE);
        while let Some(done) = written.try_next().await? {
            early.extend(done.views);
            while let Some(view) = early.remove(&next) {
                tell(view);
                next += 1;
            }
            warnings.extend(done.warnings);
            lists.extend(done.lists);
        }
        drop(written);
        self.follow_since(request, &against.calendars).await?;
        warnings.extend(self.unserved_lists(lists).await?);
        let has_offset_changes = wanted.entries.iter().any(|one| one.packed.has_offset_changes());
        warnings.extend(self.older_zone_data(has_offset_changes).await?);
        // Before they are gone: what they name is read from them.
        warnings.extend(self.left_behind(&wanted, &pruned).await?);
        let removal = Removal { request, wanted: &wanted };
        for pruned in &pruned {
            self.prune(&removal, pruned).await?.into_iter().for_each(&mut tell);
        }
        Ok(Changes { changes: Vec::new(), calendars, queues, warnings })
    }

    /// Writes a few batches of one shard as a task of its own: to plan thousands of entries takes as many processors as there are.
    async fn begin_batches(&self, against: &Arc<Against>, wanted: &Arc<Wanted>, batches: Vec<Batch>) -> Result<Done> {
        let (service, against, wanted) = (self.clone(), against.clone(), wanted.clone());
        let task = tokio::spawn(async move { service.apply_batches(&against, &wanted, &batches).await });
        task.await.map_err(|why| Error::internal(format!("a step of apply ended early: {why}")))?
    }

    /// Looks at what a few batches of one shard are about, then writes one after the other.
    async fn apply_batches(&self, against: &Against, wanted: &Wanted, batches: &[Batch]) -> Result<Done> {
        let (request, shard) = (&against.request, batches.first().map_or(0, |batch| batch.shard));
        let entries: Vec<Vec<&WantedEntry>> = batches.iter().map(|batch| batch.of(wanted)).collect();
        let contents: Vec<String> = entries.iter().map(|entries| batch_content(against, entries)).collect();
        let asked = batches.iter().zip(&contents);
        let steps: Vec<Step> =
            asked.map(|(batch, content)| Step { request, shard, number: batch.number, content }).collect();
        let ids: Vec<_> = entries.iter().flatten().map(|one| one.packed.id().clone()).collect();
        let stored = self.store.entries(&ids).await?;
        let before = self.before_each(shard, &steps).await?;
        let mut stored = stored.into_iter();
        let mut all = Vec::with_capacity(batches.len());
        for ((batch, entries), before) in batches.iter().zip(entries).zip(before) {
            let stored: Vec<_> = stored.by_ref().take(entries.len()).collect();
            let mut decisions = against.decide(&entries, batch.now, &stored);
            match before {
                Some(_) => decisions.decided.clear(),
                None => self.owe(against, shard, &mut decisions).await?,
            }
            all.push((Looked { batch, entries, stored, before }, decisions));
        }
        let decided = all.iter_mut().flat_map(|(_, decisions)| &mut decisions.decided).collect();
        let now = self.make_ready(request, shard, decided, &against.calendars).await?;
        let mut done = Done::default();
        for ((mut looked, mut decisions), step) in all.into_iter().zip(&steps) {
            let changed = match looked.before.take() {
                Some(changed) => changed,
                None => self.write_ready(step, std::mem::take(&mut decisions.decided), now).await?,
            };
            self.progress.advance(looked.entries.len());
            self.note(against, looked, decisions, changed, &mut done).await?;
        }
        Ok(done)
    }

    /// What became of the entries of a batch.
    async fn note(
        &self,
        against: &Against,
        looked: Looked<'_>,
        mut decisions: Decisions,
        changed: Vec<Changed>,
        done: &mut Done,
    ) -> Result<()> {
        let Looked { batch, entries, stored, .. } = looked;
        let mut refused = decisions.refused;
        done.warnings.append(&mut decisions.warnings);
        // They come in the order of the batch.
        let mut changed = changed.into_iter().peekable();
        let all = batch.places.iter().zip(entries).zip(&stored).zip(decisions.entries);
        for (((place, one), stored), entry) in all {
            let id = one.packed.id();
            let written = changed.next_if(|changed| changed.id == id.as_str());
            let view = match (written, refused.remove(id.as_str()), stored) {
                (Some(changed), _, _) => {
                    let entry = match entry {
                        Some(entry) => entry,
                        // It was written before, by the same request.
                        None => against.anchored(one, stored.as_ref())?,
                    };
                    if is_written(&changed) {
                        done.lists.extend(list_of(&entry));
                        if changed.next_after.is_none() {
                            let over = entry.schedule.over(against.since(batch.now));
                            done.warnings.extend(over.map(|why| stored_finished(id, &why)));
                        }
                        if let Some(stored) = stored {
                            let dropped =
                                self.drop_skips(&against.request, stored, &entry, changed.revision, batch.now);
                            done.warnings.extend(dropped.await?);
                        }
                    }
                    let seen = stored.as_ref().and_then(|stored| stored.definition.as_ref().ok());
                    let is_behind =
                        |seen: &&Definition| changed.word == ChangeWord::Conflict && seen.revision < changed.revision;
                    match seen.filter(is_behind) {
                        Some(seen) => {
                            let yours = Yours::changed(revision::differing(&seen.entry, entry.fields()));
                            self.refused_change(id, changed, seen.revision, yours).await
                        }
                        None if against.options.is_brief => write::view(changed, Vec::new),
                        None => write::view(changed, || decide::fields_when_added(&entry)),
                    }
                }
                (None, Some(why), Some(stored)) => write::refused(stored, why),
                (None, _, Some(stored)) => write::unchanged(stored),
                (None, why, None) => gone(id, why),
            };
            done.views.push((*place, view));
        }
        match changed.next() {
            Some(changed) => Err(Error::internal(format!("{} was written out of its place", changed.id))),
            None => Ok(()),
        }
    }
}

/// A batch with what stands of its entries, and what it was answered before.
struct Looked<'w> {
    batch: &'w Batch,
    entries: Vec<&'w WantedEntry>,
    stored: Vec<Option<StoredEntry>>,
    before: Option<Vec<Changed>>,
}

/// The batches in groups of one shard, in the order of their first entries.
fn looked_up_together(wanted: &Wanted, batches: Vec<Batch>) -> Vec<Vec<Batch>> {
    let mut groups: Vec<Vec<Batch>> = Vec::with_capacity(batches.len().div_ceil(STEPS_A_LOOK));
    // By shard, the group that has room, and how much it has taken.
    let mut open: HashMap<u16, (usize, usize)> = HashMap::new();
    for batch in batches {
        let bytes: usize = batch.of(wanted).iter().map(|one| one.packed.text().len()).sum();
        let (at, taken) = open.entry(batch.shard).or_insert((groups.len(), 0));
        *taken += bytes;
        match groups.get_mut(*at) {
            Some(group) if group.len() < STEPS_A_LOOK && *taken <= LOOK_BYTES => group.push(batch),
            _ => {
                (*at, *taken) = (groups.len(), bytes);
                groups.push(vec![batch]);
            }
        }
    }
    groups
}

/// What became of a few batches.
#[derive(Default)]
struct Done {
    /// What became of its entries, each with its place.
    views: Vec<(usize, ChangeView)>,
    /// What deserves a look.
    warnings: Vec<String>,
    /// The lists in which runs of what was written will wait.
    lists: BTreeSet<String>,
}

/// The warning about an entry that will not fire.
pub(super) fn stored_finished(id: &EntryId, why: &str) -> String {
    format!("{id}: {why}: it is stored finished")
}

fn batch_content(against: &Against, batch: &[&WantedEntry]) -> String {
    let options = &against.options;
    let flags = format!("{}{}", options.is_take, said(options.from.as_ref()));
    let entries = batch.iter().flat_map(|one| {
        let paused = if one.packed.is_paused() { "true" } else { "false" };
        [one.owner.as_str(), one.packed.id().as_str(), one.packed.text(), paused]
    });
    content("apply", [flags.as_str()].into_iter().chain(entries))
}

/// An entry that a repeated request finds removed since.
pub(super) fn gone(id: &EntryId, why: Option<String>) -> ChangeView {
    ChangeView {
        id: id.to_string(),
        change: "refused",
        fields: Vec::new(),
        next_before: None,
        next_after: None,
        revision: None,
        message: Some(why.unwrap_or_else(|| format!("{id} was removed meanwhile"))),
    }
}
