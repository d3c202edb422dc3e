//! apply: many entries at once, as a file says; what stands as the file says it stays as it is.

use std::collections::{HashMap, HashSet};

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::domain::calendar::{Calendar, Calendars, StoredCalendar};
use crate::domain::definition::Definition;
use crate::domain::entry::Entry;
use crate::domain::file::{CalendarSource, FileCalendar, FileEntry, ScheduleFile};
use crate::domain::id::{CalendarName, Owner};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::service::change::{is_written, why_not_yours};
use crate::service::decide::{self, Decided};
use crate::service::request::{Said, content, said};
use crate::service::view::{ChangeView, Changes};
use crate::service::write::{self, STEP_BYTES, STEP_ENTRIES, Step};
use crate::service::{Request, Service};
use crate::store::{CALENDAR_VERSION, Changed, StoredEntry, Verb};

/// Steps on their way at a time.
const STEPS_AT_ONCE: usize = 3;
/// What an entry costs beside its text, bytes.
const OVERHEAD_BYTES: usize = 512;

/// How a file is applied.
#[derive(Debug, Clone)]
pub struct ApplyOptions {
    /// Who applies it, where the file does not say.
    pub owner: Owner,
    /// Also changes entries of another owner.
    pub is_take: bool,
    /// New entries owe their fire times from then on.
    pub from: Option<Said>,
}

/// What holds for the whole file.
struct File<'a> {
    request: &'a Request,
    owner: Owner,
    is_take: bool,
    /// Where `every` and `rrule` begin, for all entries of the file.
    anchor: Timestamp,
    /// What its entries exclude.
    calendars: Calendars,
    /// From when new entries count.
    from: Option<Said>,
}

/// Entries of one shard that are written in one step; the same file gives the same ones.
struct Batch<'a> {
    shard: u16,
    number: usize,
    now: Timestamp,
    entries: Vec<&'a FileEntry>,
}

impl Service {
    /// Writes the calendars of a file, then adds and changes entries as it says. Entries of another owner are `refused`, as are those that somebody else changes
    /// meanwhile; the rest is written. Nothing is paused or resumed that exists.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where the file is for another namespace, or an entry names a calendar that is neither in the file nor
    /// in Redis; then nothing is written.
    pub async fn apply(&self, request: &Request, mut file: ScheduleFile, options: ApplyOptions) -> Result<Changes> {
        request.check()?;
        let namespace = self.store.namespace();
        if let Some(other) = file.namespace.as_ref().filter(|other| *other != namespace) {
            let why = format!("the file is for namespace {other}, this is {namespace}");
            return Err(Error::invalid("namespace", why)
                .value(other.as_str())
                .hint(format!("upbeat -n {other} apply")));
        }
        let mut ids = HashSet::new();
        if let Some(twice) = file.entries.iter().find(|one| !ids.insert(&one.id)) {
            return Err(Error::invalid(format!("entries.{}", twice.id), "is given twice"));
        }
        self.check_queues(&file.queues)?;
        let mut clocks = Vec::new();
        for shard in self.store.shards() {
            clocks.push(self.store.now(shard).await?);
        }
        let now = clocks.iter().copied().min().unwrap_or_default();
        let anchor = options.from.as_ref().map_or(now, |from| from.at);
        for FileEntry { id, entry, .. } in &file.entries {
            // What can't be anchored or owed is refused before anything is written.
            let check = || {
                let anchored = decide::anchored(entry.clone(), None, anchor)?;
                options.from.as_ref().map_or(Ok(()), |from| decide::check_owed(&anchored, from.at, now))
            };
            check().map_err(|why| why.under(&format!("entries.{id}")))?;
        }
        let mut calendars = self.calendars_of_file(&file, anchor).await?;
        for one in &mut file.entries {
            let entry = one.entry.clone().with_calendars(&calendars);
            one.entry = entry.map_err(|why| why.under(&format!("entries.{}", one.id)))?;
        }
        let mut changed = Vec::new();
        for (name, calendar) in with_dates(&file) {
            changed.push(self.put_calendar(request, name, calendar).await?);
        }
        if !changed.is_empty() && !request.is_dry_run {
            calendars = self.calendars_of_file(&file, anchor).await?;
        }
        let queues = self.apply_queues(request, &file.queues).await?;
        let ApplyOptions { owner, is_take, from } = options;
        let owner = file.owner.clone().unwrap_or(owner);
        let whole = File { request, owner, is_take, anchor, calendars, from };
        let batches = self.batches(&file.entries, &clocks);
        self.progress.begin(file.entries.len(), "entries");
        let written: Vec<(Vec<ChangeView>, Vec<String>)> = stream::iter(&batches)
            .map(|batch| async {
                let written = self.apply_batch(&whole, batch).await;
                self.progress.advance(batch.entries.len());
                written
            })
            .buffered(STEPS_AT_ONCE)
            .try_collect()
            .await?;
        let mut views: HashMap<String, ChangeView> = HashMap::with_capacity(file.entries.len());
        let mut warnings = Vec::new();
        for (batch, over) in written {
            views.extend(batch.into_iter().map(|view| (view.id.clone(), view)));
            warnings.extend(over);
        }
        self.follow_since(request, &whole.calendars).await?;
        let is_written = |one: &&FileEntry| {
            views.get(one.id.as_str()).is_some_and(|view| matches!(view.change, "added" | "changed"))
        };
        warnings.extend(self.unserved(file.entries.iter().filter(is_written).map(|one| &one.entry)).await?);
        warnings.extend(self.older_zone_data(file.entries.iter().map(|one| &one.entry)).await?);
        let changes = file.entries.iter().filter_map(|one| views.remove(one.id.as_str())).collect();
        Ok(Changes { changes, calendars: changed, queues, warnings })
    }

    /// The calendars that entries of the file name, as they stand once those of the file are written.
    async fn calendars_of_file(&self, file: &ScheduleFile, at: Timestamp) -> Result<Calendars> {
        let names = |one: &FileEntry| one.entry.schedule.exclude.calendars().to_vec();
        let is_any = !file.calendars.is_empty() || file.entries.iter().any(|one| !names(one).is_empty());
        let mut calendars = if is_any { self.store.all_calendars().await? } else { Calendars::default() };
        for (name, dates) in with_dates(file) {
            let revision = calendars.0.get(name).map_or(0, |stored| stored.revision);
            if calendars.get(name) != Some(dates) {
                let (actor, dates) = (String::new(), dates.clone());
                let stored =
                    StoredCalendar { v: CALENDAR_VERSION, revision: revision + 1, at, actor, reason: None, dates };
                calendars.0.insert(name.clone(), stored);
            }
        }
        Ok(calendars)
    }

    fn batches<'a>(&self, entries: &'a [FileEntry], clocks: &[Timestamp]) -> Vec<Batch<'a>> {
        let mut batches: Vec<Batch<'a>> = Vec::new();
        for (shard, now) in self.store.shards().zip(clocks) {
            let mut number = 0;
            let mut bytes = 0;
            for one in entries.iter().filter(|one| self.store.shard_of(&one.id) == shard) {
                // A direct action's payload stands in its message, too.
                let size = one.entry.to_json().len() * 2 + OVERHEAD_BYTES;
                bytes += size;
                match batches.last_mut().filter(|last| last.shard == shard) {
                    Some(last) if last.entries.len() < STEP_ENTRIES && bytes <= STEP_BYTES => last.entries.push(one),
                    _ => {
                        batches.push(Batch { shard, number, now: *now, entries: vec![one] });
                        number += 1;
                        bytes = size;
                    }
                }
            }
        }
        batches
    }

    /// Writes one batch. Returns what became of its entries, and warnings.
    async fn apply_batch(&self, file: &File<'_>, batch: &Batch<'_>) -> Result<(Vec<ChangeView>, Vec<String>)> {
        let content = batch_content(file, batch);
        let step = Step { request: file.request, shard: batch.shard, number: batch.number, content: &content };
        let ids: Vec<_> = batch.entries.iter().map(|one| one.id.clone()).collect();
        let (before, stored) = tokio::try_join!(self.before(&step), self.store.entries(&ids))?;
        let mut refused = HashMap::new();
        let mut decided: Vec<Decided> = Vec::new();
        let mut warnings = Vec::new();
        for (one, stored) in batch.entries.iter().zip(&stored) {
            match file.decide(one, stored.as_ref(), batch.now) {
                Ok(change) => decided.extend(change),
                Err(why) => {
                    let way_out = why.problem().hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
                    refused.insert(one.id.as_str(), format!("{why}{way_out}"));
                }
            }
        }
        if let (Some(from), None) = (&file.from, &before) {
            let paused = decided.iter().filter(|one| one.revision == 0 && one.pause().is_some());
            warnings.extend(paused.map(|one| format!("{}: it begins paused, so it owes nothing from then on", one.id)));
            for one in
                decided.iter_mut().filter(|one| one.verb == Verb::Put && one.revision == 0 && one.pause().is_none())
            {
                let (from, limit) = self.after_ledger(&one.id, from.at).await?;
                one.from = Some(from);
                warnings.extend(limit);
            }
        }
        let done = match before {
            Some(done) => done,
            None => self.write_with(&step, decided, &file.calendars).await?,
        };
        let mut done: HashMap<String, Changed> =
            done.into_iter().map(|changed| (changed.id.clone(), changed)).collect();
        let mut views = Vec::with_capacity(batch.entries.len());
        let since = file.from.as_ref().map_or(batch.now, |from| Timestamp(from.at.0 - 1));
        for (one, stored) in batch.entries.iter().zip(&stored) {
            match (done.remove(one.id.as_str()), refused.remove(one.id.as_str()), stored) {
                (Some(changed), _, _) => {
                    let entry = file.anchored(one, stored.as_ref())?;
                    if let Some(why) = decide::over(&entry, since).filter(|_| is_written(&changed)) {
                        warnings.push(format!("{}: {why}: it is stored finished", one.id));
                    }
                    if let Some(stored) = stored.as_ref().filter(|_| is_written(&changed)) {
                        let dropped = self.drop_skips(file.request, stored, &entry, changed.revision, batch.now);
                        warnings.extend(dropped.await?);
                    }
                    views.push(write::view(changed, || decide::fields_when_added(&one.entry)));
                }
                (None, Some(why), Some(stored)) => views.push(write::refused(stored, why)),
                (None, _, Some(stored)) => views.push(write::unchanged(stored)),
                (None, why, None) => views.push(gone(one, why)),
            }
        }
        Ok((views, warnings))
    }
}

impl File<'_> {
    /// The entry with its anchor and the dates of its calendars.
    fn anchored(&self, one: &FileEntry, stored: Option<&StoredEntry>) -> Result<Entry> {
        let on_record = stored.and_then(|stored| stored.definition.as_ref().ok()).map(|definition| &definition.entry);
        decide::anchored(one.entry.clone(), on_record, self.anchor)?.with_calendars(&self.calendars)
    }

    /// What is to be done with one entry; nothing where it stands as the file says.
    fn decide(&self, one: &FileEntry, stored: Option<&StoredEntry>, now: Timestamp) -> Result<Option<Decided>> {
        let FileEntry { id, is_paused, .. } = one;
        let owner = self.owner.as_str();
        let Some(stored) = stored else {
            let entry = self.anchored(one, None)?;
            return Ok(Some(decide::added(self.request, id, entry, owner, *is_paused, now)));
        };
        let definition: &Definition = stored.definition.as_ref().map_err(|why| match why {
            Error::Corrupt(_) => why.clone().hint(format!("upbeat rm {id}, then apply again")),
            _ => why.clone(),
        })?;
        if definition.owner != owner && !self.is_take {
            let problem = crate::error::Problem::bare(why_not_yours(id, &definition.owner));
            return Err(Error::Conflict(problem.hint("--take takes it over")));
        }
        let entry = self.anchored(one, Some(stored))?;
        Ok(decide::changed(self.request, id, definition, entry, owner, now))
    }
}

/// The calendars of a file whose dates are known: those in files of their own were read before.
fn with_dates(file: &ScheduleFile) -> impl Iterator<Item = (&CalendarName, &Calendar)> {
    file.calendars.iter().filter_map(|FileCalendar { name, source }| match source {
        CalendarSource::Dates(calendar) => Some((name, calendar)),
        CalendarSource::File(_) => None,
    })
}

fn batch_content(file: &File<'_>, batch: &Batch<'_>) -> String {
    let flags = format!("{}{}", file.is_take, said(file.from.as_ref()));
    let texts: Vec<(String, String)> =
        batch.entries.iter().map(|one| (one.entry.to_json(), one.is_paused.to_string())).collect();
    let entries = batch.entries.iter().zip(&texts);
    let parts = entries.flat_map(|(one, (text, paused))| [one.id.as_str(), text.as_str(), paused.as_str()]);
    content("apply", [file.owner.as_str(), flags.as_str()].into_iter().chain(parts))
}

/// An entry that a repeated request finds removed since.
fn gone(one: &FileEntry, why: Option<String>) -> ChangeView {
    ChangeView {
        id: one.id.to_string(),
        change: "refused",
        fields: Vec::new(),
        next_before: None,
        next_after: None,
        revision: None,
        message: Some(why.unwrap_or_else(|| format!("{} was removed meanwhile", one.id))),
    }
}
