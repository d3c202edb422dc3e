//! recreate: the entries of a schedule file that are not there, added as `apply` would add them; nothing that exists is touched.

use std::collections::BTreeMap;

use crate::domain::calendar::Calendars;
use crate::domain::file::{CalendarSource, PackedEntry, ScheduleFile};
use crate::domain::id::{EntryId, Owner};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::service::decide::{self, Decided};
use crate::service::request::content;
use crate::service::write::{STEP_BYTES, STEP_ENTRIES, Step};
use crate::service::{Request, Service};
use crate::store::ChangeWord;

/// The shard that keeps the calendars of a namespace.
const CALENDAR_SHARD: u16 = 0;

/// What was put back of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recreation {
    /// Entries that were added, by shard.
    pub added: BTreeMap<u16, u64>,
    /// Entries that exist, or were removed by somebody.
    pub left: u64,
    /// `ID: why` of those that can't be added.
    pub refused: Vec<String>,
}

impl Service {
    /// Adds the entries of a file in these shards that neither exist nor were removed, and the calendars that do not exist.
    /// Their fire times count from now.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where the file is for another namespace; then nothing is written.
    pub async fn recreate(
        &self,
        request: &Request,
        file: &ScheduleFile<PackedEntry>,
        owner: &Owner,
        shards: &[u16],
    ) -> Result<Recreation> {
        let namespace = self.store.namespace();
        if let Some(other) = file.namespace.as_ref().filter(|other| *other != namespace) {
            let why = format!("the file is for namespace {other}, this is {namespace}");
            return Err(Error::invalid("namespace", why).value(other.as_str()));
        }
        let mut recreation = Recreation::default();
        let mut calendars = self.store.all_calendars().await?;
        if shards.contains(&CALENDAR_SHARD) {
            for calendar in file.calendars.iter().filter(|one| calendars.get(&one.name).is_none()) {
                let CalendarSource::Dates(dates) = &calendar.source else { continue };
                let one = Request { id: format!("{}#{}", request.id, calendar.name), ..request.clone() };
                if let Err(why) = self.put_calendar(&one, &calendar.name, dates).await {
                    recreation.refused.push(format!("calendars.{}: {why}", calendar.name));
                }
            }
            calendars = self.store.all_calendars().await?;
            let standing = self.store.queue_states(CALENDAR_SHARD).await?;
            let lost = file.queues.iter().filter(|one| !standing.contains_key(one.name.as_str()));
            self.apply_queues(request, &lost.cloned().collect::<Vec<_>>()).await?;
        }
        for shard in shards {
            let mine: Vec<&PackedEntry> =
                file.entries.iter().filter(|one| self.store.shard_of(one.id()) == *shard).collect();
            for (number, batch) in batches(&mine).into_iter().enumerate() {
                let added = self.recreate_batch(request, *shard, number, batch, owner, &calendars, &mut recreation);
                let added = added.await?;
                *recreation.added.entry(*shard).or_default() += added;
            }
        }
        Ok(recreation)
    }

    /// Returns how many were added.
    #[allow(clippy::too_many_arguments)]
    async fn recreate_batch(
        &self,
        request: &Request,
        shard: u16,
        number: usize,
        batch: &[&PackedEntry],
        owner: &Owner,
        calendars: &Calendars,
        recreation: &mut Recreation,
    ) -> Result<u64> {
        let ids: Vec<EntryId> = batch.iter().map(|one| one.id().clone()).collect();
        let (now, stored, removed) =
            tokio::try_join!(self.store.now(shard), self.store.entries(&ids), self.store.removed(shard, &ids))?;
        let mut decided: Vec<Decided> = Vec::new();
        for (one, (stored, removed)) in batch.iter().zip(stored.iter().zip(&removed)) {
            if stored.is_some() || removed.is_some() {
                recreation.left += 1;
                continue;
            }
            match new(request, one, owner, calendars, now) {
                Ok(added) => decided.push(added),
                Err(why) => recreation.refused.push(format!("{}: {why}", one.id())),
            }
        }
        let content = content("recreate", decided.iter().map(|one| one.id.as_str()));
        let step = Step { request, shard, number, content: &content };
        let done = self.write_with(&step, decided, calendars).await?;
        let added = done.iter().filter(|changed| changed.word == ChangeWord::Added).count() as u64;
        // Another node, or somebody, was faster.
        recreation.left += done.len() as u64 - added;
        Ok(added)
    }
}

fn new(request: &Request, one: &PackedEntry, owner: &Owner, calendars: &Calendars, now: Timestamp) -> Result<Decided> {
    let entry = decide::anchored(one.entry()?, None, now)?.with_calendars(calendars)?;
    Ok(decide::added(request, one.id(), entry, owner.as_str(), one.is_paused(), now))
}

/// As many at a time as one step may write.
fn batches<'a, 'b>(mut entries: &'b [&'a PackedEntry]) -> Vec<&'b [&'a PackedEntry]> {
    let mut batches = Vec::new();
    while !entries.is_empty() {
        let mut bytes = 0;
        let fits = |one: &&&PackedEntry| {
            // A direct action's payload stands in its message, too.
            bytes += one.text().len() * 2;
            bytes <= STEP_BYTES
        };
        let many = entries.iter().take(STEP_ENTRIES).take_while(fits).count().max(1);
        let (batch, rest) = entries.split_at(many);
        batches.push(batch);
        entries = rest;
    }
    batches
}
