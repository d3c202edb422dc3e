//! export: entries as a file that `apply` reads back, a page at a time.
//!
//! What stands at its top is found by a first look at all entries, which also refuses what can't be read: nothing is given out before.

use std::collections::BTreeSet;

use crate::domain::calendar::StoredCalendar;
use crate::domain::definition::Definition;
use crate::domain::entry::Entry;
use crate::domain::file::{CalendarSource, FileCalendar, FileEntry, ScheduleFile};
use crate::domain::id::{CalendarName, EntryId, IdList, Owner};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::service::ahead::{Ahead, again};
use crate::service::{Select, Service};
use crate::store::StoredEntry;

/// Entries of a page.
const PAGE: usize = 200;
/// Entries that a warning names, at most.
const NAMED: usize = 10;

/// Entries as a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exported {
    /// The file: applied to an empty namespace it gives the same fire times.
    pub file: ScheduleFile,
    /// What it can't say.
    pub warnings: Vec<String>,
}

/// A file that is read as it is written.
pub struct Export {
    service: Service,
    head: ScheduleFile,
    seen: Seen,
    is_all: bool,
    now: Timestamp,
    begun: usize,
    ahead: Ahead<Page>,
    unsaid: Unsaid,
}

/// What the first look at the entries told.
#[derive(Default)]
struct Seen {
    ids: IdList,
    named: Named,
}

/// What entries name that stands at the top of their file.
#[derive(Default)]
struct Named {
    owners: BTreeSet<String>,
    calendars: BTreeSet<CalendarName>,
    queues: BTreeSet<String>,
}

#[derive(Default)]
struct Page {
    entries: Vec<FileEntry>,
    named: Named,
    unsaid: Unsaid,
}

/// What no file can say, with the entries that it is about.
#[derive(Default)]
struct Unsaid {
    pauses: Several,
    skips: Several,
    limits: Several,
}

/// The first of many, and how many they are.
#[derive(Default)]
struct Several {
    first: Vec<String>,
    count: usize,
}

impl Service {
    /// Entries as a file, all at once; [`Service::export_pages`] gives them a page at a time.
    ///
    /// # Errors
    ///
    /// As [`Service::export_pages`].
    pub async fn export(&self, select: &Select) -> Result<Exported> {
        let mut export = self.export_pages(select).await?;
        let mut file = export.head().clone();
        while let Some(page) = export.next().await? {
            file.entries.extend(page);
        }
        Ok(Exported { file, warnings: export.warnings().await? })
    }

    /// Entries as a file, by id: their fields, the anchor included, and the calendars that they name, all of them with all
    /// entries; the owner where they have the same.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] about `entry`; [`Error::Corrupt`] where one can't be read.
    pub async fn export_pages(&self, select: &Select) -> Result<Export> {
        let is_all = *select == Select::All;
        let now = self.store.now(0).await?;
        let seen = self.look_over(select).await?;
        let mut head = ScheduleFile::default();
        let calendars = match is_all {
            true => self.store.all_calendars().await?,
            false => self.store.calendars(&seen.named.calendars.iter().cloned().collect::<Vec<_>>()).await?,
        };
        let dates = |stored: StoredCalendar| CalendarSource::Dates(stored.dates);
        let calendars = calendars.0.into_iter().map(|(name, stored)| FileCalendar { name, source: dates(stored) });
        head.calendars = calendars.collect();
        head.queues = self.limited_queues().await?;
        head.queues.retain(|one| is_all || seen.named.queues.contains(one.name.as_str()));
        if let (1, Some(owner)) = (seen.named.owners.len(), seen.named.owners.first()) {
            head.owner = Some(Owner::parse("owner", owner)?);
        }
        self.progress.begin(seen.ids.len(), "entries");
        let (service, ahead, unsaid) = (self.clone(), Ahead::new(), Unsaid::default());
        Ok(Export { service, head, seen, is_all, now, begun: 0, ahead, unsaid })
    }

    /// The first look at the entries that are meant.
    async fn look_over(&self, select: &Select) -> Result<Seen> {
        let mut seen = Seen::default();
        let mut ahead: Ahead<(Vec<EntryId>, Named)> = Ahead::new();
        let mut add = |(ids, named): (Vec<EntryId>, Named)| {
            ids.iter().for_each(|id| seen.ids.push(id));
            seen.named.add(named);
        };
        if let Select::Ids(_) = select {
            let ids = self.selected(select).await?;
            for from in (0..ids.len()).step_by(PAGE) {
                let stored = self.store.entries(&ids.page(from, PAGE)).await?.into_iter().flatten();
                add(looked_at(Select::All, stored.map(|one| (one.id, one.text)).collect())?);
            }
        }
        self.begin_to_walk().await?;
        for shard in self.store.shards().filter(|_| !matches!(select, Select::Ids(_))) {
            let mut cursor = None;
            loop {
                let (page, next) = again(|| self.store.definitions(shard, cursor.clone())).await?;
                self.progress.advance(page.len());
                if !ahead.has_room() {
                    ahead.next().await?.into_iter().for_each(&mut add);
                }
                let select = select.clone();
                ahead.begin(async move { looked_at(select, page) });
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        while let Some(page) = ahead.next().await? {
            add(page);
        }
        seen.ids.sort();
        Ok(seen)
    }

    async fn export_page(self, ids: Vec<EntryId>, now: Timestamp) -> Result<Page> {
        let mut page = Page::default();
        let mut limited = Vec::new();
        for stored in self.store.entries(&ids).await?.into_iter().flatten() {
            let StoredEntry { id, definition, skips, .. } = stored;
            let definition = definition?;
            let entry = definition.parse(&id)?;
            let paused = definition.paused_at(now);
            if paused.is_some_and(|paused| paused.until.is_some()) {
                page.unsaid.pauses.add(&id);
            }
            if skips.iter().any(|skip| skip.fire_at > now) {
                page.unsaid.skips.add(&id);
            }
            if entry.max_fires.is_some() {
                limited.push(id.clone());
            }
            let is_paused = paused.is_some();
            page.named.note(&definition, &entry);
            page.entries.push(FileEntry { id, entry, is_paused });
        }
        for shard in self.store.shards().filter(|_| !limited.is_empty()) {
            let mine: Vec<EntryId> = limited.iter().filter(|id| self.store.shard_of(id) == shard).cloned().collect();
            for (id, count) in mine.iter().zip(self.store.counted_fires(shard, &mine).await?) {
                let count = match count {
                    Some(count) => count,
                    None => self.store.fires_of(id).await?,
                };
                if count > 0 {
                    page.unsaid.limits.add(id);
                }
            }
        }
        Ok(page)
    }
}

impl Export {
    /// The file without its entries.
    pub fn head(&self) -> &ScheduleFile {
        &self.head
    }

    /// Ids of its entries.
    pub fn ids(&self) -> &IdList {
        &self.seen.ids
    }

    /// The next entries; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where an entry was changed since the beginning so that it does not fit what stands at the top of the file.
    pub async fn next(&mut self) -> Result<Option<Vec<FileEntry>>> {
        while self.ahead.has_room() && self.begun < self.seen.ids.len() {
            let ids = self.seen.ids.page(self.begun, PAGE);
            self.begun += ids.len();
            let (service, now) = (self.service.clone(), self.now);
            self.ahead.begin(again(move || service.clone().export_page(ids.clone(), now)));
        }
        let Some(page) = self.ahead.next().await? else { return Ok(None) };
        self.service.progress.advance(PAGE);
        let is_new_owner = self.head.owner.is_some() && !page.named.owners.is_subset(&self.seen.named.owners);
        let is_new_calendar = !page.named.calendars.is_subset(&self.seen.named.calendars);
        if is_new_owner || is_new_calendar {
            let what = if is_new_owner { "owner" } else { "calendar" };
            let why = format!("one was given another {what} while they were exported");
            return Err(Error::Conflict(Problem::new("entries", why).hint("ask again")));
        }
        self.unsaid.add(page.unsaid);
        Ok(Some(page.entries))
    }

    /// What the file can't say, once all entries were read.
    pub async fn warnings(self) -> Result<Vec<String>> {
        let mut warnings = self.unsaid.warnings();
        let mut paused = Several::default();
        for queue in self.service.paused_queues().await? {
            if self.is_all || self.seen.named.queues.contains(queue.as_str()) {
                paused.add(queue);
            }
        }
        warnings.extend(paused.about("a paused queue: a file can't say so, upbeat queues pause Q"));
        let owners = self.seen.named.owners;
        if owners.len() > 1 {
            let owners = owners.into_iter().collect::<Vec<_>>().join(", ");
            warnings.push(format!("entries of owners {owners}: owner is left out; --owner O exports one"));
        }
        Ok(warnings)
    }
}

/// What the entries of a page that are meant name, and their ids.
fn looked_at(select: Select, page: Vec<(EntryId, Vec<u8>)>) -> Result<(Vec<EntryId>, Named)> {
    let (mut ids, mut named) = (Vec::new(), Named::default());
    for (id, text) in page {
        if select.has_written(&id, &text) {
            let definition = Definition::read(&id, &text)?;
            let entry = definition.parse(&id)?;
            named.note(&definition, &entry);
            ids.push(id);
        }
    }
    Ok((ids, named))
}

impl Named {
    fn note(&mut self, definition: &Definition, entry: &Entry) {
        if !self.owners.contains(&definition.owner) {
            self.owners.insert(definition.owner.clone());
        }
        if !self.queues.contains(entry.queue.as_str()) {
            self.queues.insert(entry.queue.to_string());
        }
        self.calendars.extend(entry.schedule.exclude.calendars().iter().cloned());
    }

    fn add(&mut self, more: Self) {
        self.owners.extend(more.owners);
        self.calendars.extend(more.calendars);
        self.queues.extend(more.queues);
    }
}

impl Unsaid {
    fn add(&mut self, more: Self) {
        self.pauses.add_all(more.pauses);
        self.skips.add_all(more.skips);
        self.limits.add_all(more.limits);
    }

    fn warnings(&self) -> Vec<String> {
        let what = [
            (&self.pauses, "paused until an instant: the file says paused, without an end"),
            (&self.skips, "fire times to come are to be skipped: a file can't say so"),
            (&self.limits, "max_fires: where it is added anew it counts from 0 again"),
        ];
        what.iter().filter_map(|(some, why)| some.about(why)).collect()
    }
}

impl Several {
    fn add(&mut self, name: impl ToString) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(name.to_string());
        }
    }

    fn add_all(&mut self, more: Self) {
        self.count += more.count;
        let room = NAMED.saturating_sub(self.first.len());
        self.first.extend(more.first.into_iter().take(room));
    }

    /// What is said about some of them, where there are any.
    fn about(&self, why: &str) -> Option<String> {
        let names = self.first.join(", ");
        let names = match self.count - self.first.len() {
            0 => names,
            more => format!("{names} and {more} more"),
        };
        (self.count > 0).then(|| format!("{names}: {why}"))
    }
}
