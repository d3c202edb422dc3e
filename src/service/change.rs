//! Changing entries by name: add, set, remove, pause, resume.

use serde_json::{Map, Value};

use crate::domain::entry::Entry;
use crate::domain::id::{EntryId, Owner};
use crate::domain::ledger;
use crate::domain::revision;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::service::conflict::Yours;
use crate::service::decide;
use crate::service::each::Each;
use crate::service::request::{Said, content, said};
use crate::service::view::{ChangeView, Changes};
use crate::service::write::{self, Step, only_one};
use crate::service::{Request, Service};
use crate::store::{ChangeWord, Changed, StoredEntry};

/// How an entry is added.
#[derive(Debug, Clone)]
pub struct AddOptions {
    /// Who applies it.
    pub owner: Owner,
    /// Takes the place of one that exists.
    pub is_replace: bool,
    /// Leaves one that exists as it is.
    pub is_if_absent: bool,
    /// A new entry begins paused.
    pub is_paused: bool,
    /// Also takes the place of another owner's entry.
    pub is_take: bool,
    /// A new entry owes its fire times from then on.
    pub from: Option<Said>,
}

impl Service {
    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where the id exists, unless it is to be replaced or left; [`Error::Invalid`] about `at` where it has
    /// passed, and about `from` where it is too far.
    pub async fn add(&self, request: &Request, id: EntryId, entry: Entry, options: AddOptions) -> Result<Changes> {
        request.check()?;
        let flags = format!("{:?}", (options.is_replace, options.is_if_absent, options.is_paused, options.is_take));
        let said_from = said(options.from.as_ref());
        let content = content("add", [id.as_str(), &entry.to_json(), options.owner.as_str(), &flags, said_from]);
        let step = Step { request, shard: self.store.shard_of(&id), number: 0, content: &content };
        let entry = self.store.resolve(entry).await?;
        let fields = || decide::fields_when_added(&entry);
        let (stored, now) = tokio::try_join!(self.store.entry(&id), self.store.now(step.shard))?;
        if let Some(done) = self.before(&step).await? {
            return Ok(one(write::view(only_one(done, None)?, fields)));
        }
        let owner = options.owner.as_str();
        let mut warnings = Vec::new();
        // With its anchor, without which nobody knows when a rule ends.
        let on_record = stored.as_ref().and_then(|stored| stored.definition.as_ref().ok());
        let from = options.from.as_ref().map(|from| from.at).filter(|_| stored.is_none());
        let anchored =
            decide::anchored(entry.clone(), on_record.map(|known| known.entry.as_ref()), from.unwrap_or(now))?;
        let written = self.store.resolve(anchored.clone()).await?;
        let mut yours = None;
        let (decided, seen) = match &stored {
            None => {
                if from.is_some() && options.is_paused {
                    return Err(Error::invalid("from", "does not go with paused").hint("upbeat resume ID --from T"));
                }
                let since = from.map_or(now, |from| Timestamp(from.0 - 1));
                decide::refuse_past(&id, &entry, None, since)?;
                let mut added = decide::added(request, &id, anchored, owner, options.is_paused, now);
                if let Some(from) = from {
                    decide::check_owed(&written, from, now)?;
                    let (from, limit) = self.after_ledger(&id, from).await?;
                    (added.from, warnings) = (Some(from), Vec::from_iter(limit));
                }
                (added, None)
            }
            Some(stored) if options.is_if_absent => return Ok(one(write::unchanged(stored))),
            Some(_) if !options.is_replace => return Err(exists(&id)),
            Some(stored) => {
                let definition = readable(stored)?;
                if definition.owner != owner && !options.is_take {
                    return Err(other_owner(&id, &definition.owner));
                }
                yours = Some(Yours::changed(revision::differing(&definition.entry, anchored.fields())));
                decide::refuse_past(&id, &entry, definition.parse(&id).ok().as_ref(), now)?;
                match decide::changed(request, &id, definition, anchored, owner, now) {
                    Some(decided) => (decided, Some(definition.revision)),
                    None => return Ok(one(write::unchanged(stored))),
                }
            }
        };
        if options.from.is_some() && seen.is_some() {
            warnings.push(from_is_for_new(&id));
        }
        let since = decided.from.map_or(now, |from| Timestamp(from.0 - 1));
        let changed = self.write(&step, vec![decided]).await?;
        let changed = match (seen, yours) {
            (Some(seen), Some(yours)) => self.one_changed(&id, changed, seen, yours).await,
            _ => only_one(changed, seen),
        };
        let changed = match changed {
            Err(_) if options.is_if_absent => match self.store.entry(&id).await? {
                Some(stored) => return Ok(one(write::unchanged(&stored))),
                None => return Err(self.no_entry(&id).await?),
            },
            changed => changed?,
        };
        if let Some(stored) = &stored {
            warnings.extend(self.drop_skips(request, stored, &written, changed.revision, now).await?);
        }
        let changes = Changes { warnings, ..one(write::view(changed, fields)) };
        self.with_warnings(changes, &[&written], since).await
    }

    /// From when a new entry of this id counts: its ledger may have settled some of it before it was removed. With the warning
    /// about that.
    async fn after_ledger(&self, id: &EntryId, from: Timestamp) -> Result<(Timestamp, Option<String>)> {
        let text = self.store.ledger(self.store.shard_of(id), id).await?;
        Ok(beyond_ledger(id, from, ledger::read(&text).and_then(|stretches| ledger::end(&stretches))))
    }

    /// Changes fields of an entry, or takes them away.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Conflict`] where somebody else changed it meanwhile; [`Error::Invalid`] about a field.
    pub async fn set(
        &self,
        request: &Request,
        id: &EntryId,
        fields: Map<String, Value>,
        unset: &[String],
    ) -> Result<Changes> {
        request.check()?;
        if fields.contains_key("anchor") {
            return Err(Error::invalid("anchor", "is kept by upbeat").hint("start says where every begins"));
        }
        let asked = Value::Object(fields.clone()).to_string();
        let content = content("set", [id.as_str(), &asked, &unset.join(",")]);
        let step = Step { request, shard: self.store.shard_of(id), number: 0, content: &content };
        let (stored, now) = tokio::try_join!(self.store.entry(id), self.store.now(step.shard))?;
        if let Some(done) = self.before(&step).await? {
            return Ok(one(write::view(only_one(done, None)?, Vec::new)));
        }
        let Some(stored) = stored else { return Err(self.no_entry(id).await?) };
        let definition = readable(&stored)?;
        let old = definition.parse(id)?;
        let wanted = old.with(fields, unset)?;
        let yours = Yours::changed(revision::differing(&definition.entry, wanted.fields()));
        self.as_expected(id, definition, yours.clone()).await?;
        let entry = self.store.resolve(decide::anchored(wanted, None, now)?).await?;
        decide::refuse_past(id, &entry, Some(&old), now)?;
        let Some(decided) = decide::changed(request, id, definition, entry.clone(), &definition.owner, now) else {
            return Ok(one(write::unchanged(&stored)));
        };
        let done = self.write(&step, vec![decided]).await?;
        let changed = self.one_changed(id, done, definition.revision, yours).await?;
        let warnings = self.drop_skips(request, &stored, &entry, changed.revision, now).await?;
        let changes = Changes { warnings, ..one(write::view(changed, Vec::new)) };
        self.with_warnings(changes, &[&entry], now).await
    }

    /// Removes entries; each must exist. What is queued of them is cancelled, what is overdue is missed.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Conflict`] where it is one entry and somebody else changed it meanwhile.
    pub async fn remove(&self, request: &Request, ids: &[EntryId]) -> Result<Changes> {
        self.each(request, Each::Remove, ids).await
    }

    /// Pauses entries; each must exist. What is overdue is missed.
    ///
    /// # Errors
    ///
    /// As [`Service::remove`].
    pub async fn pause(&self, request: &Request, ids: &[EntryId]) -> Result<Changes> {
        self.each(request, Each::Pause(None), ids).await
    }

    /// As [`Service::pause`]; from `until` on they count as active, whoever notices, however late. An entry that is paused gets
    /// this end instead of its own.
    ///
    /// # Errors
    ///
    /// As [`Service::remove`]; [`Error::Invalid`] about `until` where it has passed.
    pub async fn pause_until(&self, request: &Request, ids: &[EntryId], until: &Said) -> Result<Changes> {
        self.each(request, Each::Pause(Some(until)), ids).await
    }

    /// Resumes entries; each must exist. What passed meanwhile is skipped.
    ///
    /// # Errors
    ///
    /// As [`Service::remove`].
    pub async fn resume(&self, request: &Request, ids: &[EntryId]) -> Result<Changes> {
        self.each(request, Each::Resume(None), ids).await
    }

    /// As [`Service::resume`]; what passed since `from` is not skipped but follows the rule of `catch_up`.
    ///
    /// # Errors
    ///
    /// As [`Service::remove`]; [`Error::Invalid`] about `from` where it is in the future or before what is on record.
    pub async fn resume_from(&self, request: &Request, ids: &[EntryId], from: &Said) -> Result<Changes> {
        self.each(request, Each::Resume(Some(from)), ids).await
    }

    /// Adds what deserves a look in entries that were written.
    pub(super) async fn with_warnings(
        &self,
        mut changes: Changes,
        written: &[&Entry],
        now: Timestamp,
    ) -> Result<Changes> {
        for (entry, change) in written.iter().zip(&changes.changes) {
            if let Some(why) = entry.schedule.over(now) {
                changes.warnings.push(format!("{}: {why}: it is stored finished", change.id));
            }
        }
        changes.warnings.extend(self.unserved(written.iter().copied()).await?);
        let has_offset_changes = written.iter().any(|entry| !entry.schedule.zone.has_constant_offset());
        changes.warnings.extend(self.older_zone_data(has_offset_changes).await?);
        Ok(changes)
    }

    /// Whether nodes plan with newer zone data than this process has, where the clocks of an entry's zone change.
    pub(super) async fn older_zone_data(&self, has_offset_changes: bool) -> Result<Option<String>> {
        if !has_offset_changes {
            return Ok(None);
        }
        let own = self.store.zone_data();
        let newest = self.store.newest_zone_data(0).await?.filter(|newest| newest.as_str() > own);
        Ok(newest.map(|newest| {
            format!("zone data here is {own}, nodes have {newest} and fire by it: times shown here may be others; update tzdata or upbeat")
        }))
    }
}

/// From when an entry counts whose ledger ends there; with the warning about what it settled.
pub(super) fn beyond_ledger(id: &EntryId, from: Timestamp, end: Option<Timestamp>) -> (Timestamp, Option<String>) {
    let Some(end) = end.filter(|end| *end >= from) else { return (from, None) };
    let at = end.to_rfc3339();
    let hint = format!("upbeat backfill {id} --from T --to {at} runs what is on record as missed or skipped");
    let why = format!("{id}: fire times up to {at} are on record from before it was removed, it counts after them");
    (Timestamp(end.0 + 1), Some(format!("{why}\n{hint}")))
}

pub(super) fn readable(stored: &StoredEntry) -> Result<&crate::domain::definition::Definition> {
    stored.definition.as_ref().map_err(Clone::clone)
}

pub(super) fn one(view: ChangeView) -> Changes {
    Changes { changes: vec![view], ..Changes::default() }
}

fn exists(id: &EntryId) -> Error {
    Error::Conflict(
        Problem::new("entry", format!("{id} exists already"))
            .value(id.as_str())
            .hint("--replace changes it, --if-absent leaves it; upbeat set changes single fields"),
    )
}

fn other_owner(id: &EntryId, owner: &str) -> Error {
    Error::Conflict(Problem::new("owner", why_not_yours(id, owner)).value(owner).hint("--take takes it over"))
}

/// What is said where an entry that exists was meant to count from an earlier instant.
pub(super) fn from_is_for_new(id: &EntryId) -> String {
    format!("{id} exists: --from counts for new entries only\nupbeat backfill {id} --from T --to T runs what it missed")
}

/// Why an entry of another owner stays as it is.
pub(super) fn why_not_yours(id: &EntryId, owner: &str) -> String {
    format!("{id} belongs to owner {owner}")
}

/// Whether a change was written.
pub(super) fn is_written(changed: &Changed) -> bool {
    matches!(changed.word, ChangeWord::Added | ChangeWord::Changed)
}
