//! What schedule files ask for, held against what stands: `plan` shows what is decided here, `apply` writes it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::domain::calendar::{Calendar, Calendars, StoredCalendar};
use crate::domain::definition::Definition;
use crate::domain::entry::Entry;
use crate::domain::file::{CalendarSource, FileCalendar, FileEntry, ScheduleFile};
use crate::domain::id::{CalendarName, EntryId, Namespace, Owner};
use crate::domain::ledger;
use crate::domain::policy::DEFINITION_MAX_BYTES;
use crate::domain::queue::FileQueue;
use crate::domain::threads::in_threads;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::service::change::{beyond_ledger, why_not_yours};
use crate::service::decide::{self, Decided};
use crate::service::request::Said;
use crate::service::write::{STEP_BYTES, STEP_ENTRIES};
use crate::service::{Request, Service};
use crate::store::{CALENDAR_VERSION, StoredEntry, Verb};

/// What an entry costs beside its text, bytes.
const OVERHEAD_BYTES: usize = 512;
/// Entries of a step that another one follows, at least: so many of the longest fit.
pub(super) const STEP_ENTRIES_LEAST: usize = STEP_BYTES / (2 * DEFINITION_MAX_BYTES + OVERHEAD_BYTES);

/// A schedule file, and who applies it.
#[derive(Debug, Clone)]
pub struct OwnedFile {
    /// The file.
    pub file: ScheduleFile,
    /// Its owner, where the file does not name one.
    pub owner: Owner,
}

/// How files are applied.
#[derive(Debug, Clone, Default)]
pub struct FilesOptions {
    /// Also changes entries of another owner.
    pub is_take: bool,
    /// New entries owe their fire times from then on.
    pub from: Option<Said>,
    /// The same of single ones, whatever `from` says: an import knows where each left off.
    pub from_each: HashMap<EntryId, Timestamp>,
    /// Removes entries of the same owners that are in none of the files.
    pub is_prune: bool,
    /// Somebody agreed to remove more than a fifth of what an owner has.
    pub is_agreed: bool,
}

impl FilesOptions {
    /// From when a new entry owes its fire times.
    fn owed_from(&self, id: &EntryId) -> Option<Timestamp> {
        self.from_each.get(id).copied().or(self.from.as_ref().map(|from| from.at))
    }
}

/// One entry of the files.
#[derive(Debug, Clone)]
pub(super) struct WantedEntry {
    /// Its place among all of the request.
    pub place: usize,
    /// Its id.
    pub id: EntryId,
    /// Who applies it.
    pub owner: Owner,
    /// A new one begins paused.
    pub is_paused: bool,
    /// As its file says.
    pub entry: Entry,
    /// As it is added, where its anchor makes a difference.
    as_new: Option<Entry>,
    /// As its file says, JSON.
    pub text: String,
}

/// All that the files of one request ask for.
#[derive(Default)]
pub(super) struct Wanted {
    /// The entries in the order of the files.
    pub entries: Vec<Arc<WantedEntry>>,
    /// Those who apply them, sorted, also where a file has no entries.
    pub owners: BTreeSet<Owner>,
    /// The calendars in the order of the files, with their dates.
    pub calendars: Vec<(CalendarName, Calendar)>,
    /// The queues in the order of the files, with their limits.
    pub queues: Vec<FileQueue>,
}

/// What it is held against.
pub(super) struct Against {
    /// Who asks.
    pub request: Request,
    /// How.
    pub options: FilesOptions,
    /// The time of each shard.
    pub clocks: Vec<Timestamp>,
    /// The calendars that stand, as far as anybody names one.
    pub standing: Calendars,
    /// The same once those of the files are written.
    pub calendars: Calendars,
    /// The calendars of the files.
    pub of_files: BTreeSet<CalendarName>,
    /// Where `every` and `rrule` begin, for all new entries.
    anchor: Timestamp,
}

/// Entries of one shard that are decided, and written, in one step; the same files give the same ones.
pub(super) struct Batch {
    pub shard: u16,
    pub number: usize,
    pub now: Timestamp,
    pub entries: Vec<Arc<WantedEntry>>,
}

/// What is to be done with the entries of a batch.
#[derive(Default)]
pub(super) struct Decisions {
    /// What is written.
    pub decided: Vec<Decided>,
    /// Why entries are refused, by id.
    pub refused: HashMap<String, String>,
    /// What deserves a look.
    pub warnings: Vec<String>,
}

impl Wanted {
    /// What these files ask for in this namespace.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where one is for another namespace, or two say the same entry or calendar.
    pub fn new(namespace: &Namespace, files: Vec<OwnedFile>) -> Result<Self> {
        let mut wanted = Self::default();
        for OwnedFile { file, owner } in files {
            if let Some(other) = file.namespace.as_ref().filter(|other| *other != namespace) {
                let why = format!("the file is for namespace {other}, this is {namespace}");
                return Err(Error::invalid("namespace", why)
                    .value(other.as_str())
                    .hint(format!("upbeat -n {other} apply")));
            }
            let owner = file.owner.unwrap_or(owner);
            for FileCalendar { name, source } in file.calendars {
                if let CalendarSource::Dates(dates) = source {
                    wanted.calendars.push((name, dates));
                }
            }
            wanted.queues.extend(file.queues);
            let entries = file.entries.into_iter().zip(wanted.entries.len()..).collect();
            wanted.entries.extend(in_threads(entries, |(FileEntry { id, entry, is_paused }, place)| {
                let (text, owner) = (entry.to_json(), owner.clone());
                Arc::new(WantedEntry { place, id, owner, is_paused, entry, as_new: None, text })
            }));
            wanted.owners.insert(owner);
        }
        let mut ids = HashSet::with_capacity(wanted.entries.len());
        if let Some(twice) = wanted.entries.iter().find(|one| !ids.insert(&one.id)) {
            return Err(Error::invalid(format!("entries.{}", twice.id), "is given twice"));
        }
        let mut names = HashSet::new();
        if let Some((twice, _)) = wanted.calendars.iter().find(|(name, _)| !names.insert(name)) {
            return Err(Error::invalid(format!("calendars.{twice}"), "is given twice"));
        }
        let mut names = HashSet::new();
        if let Some(twice) = wanted.queues.iter().find(|one| !names.insert(&one.name)) {
            return Err(Error::invalid(format!("queues.{}", twice.name), "is given twice"));
        }
        Ok(wanted)
    }

    /// The calendars that its entries name.
    pub fn named_calendars(&self) -> BTreeSet<&CalendarName> {
        self.entries.iter().flat_map(|one| one.entry.schedule.exclude.calendars()).collect()
    }
}

impl Service {
    /// What the files are held against. With it every entry has its anchor and the dates of its calendars, and what can't be
    /// written is refused.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where an entry can't be anchored or owed, or names a calendar that nobody has, or a queue can't be limited.
    pub(super) async fn against(
        &self,
        request: &Request,
        options: &FilesOptions,
        wanted: &mut Wanted,
    ) -> Result<Against> {
        self.check_limits(&wanted.queues)?;
        let mut clocks = Vec::new();
        for shard in self.store.shards() {
            clocks.push(self.store.now(shard).await?);
        }
        let now = clocks.iter().copied().min().unwrap_or_default();
        let anchor = options.from.as_ref().map_or(now, |from| from.at);
        let (standing, calendars) = self.calendars_of_files(wanted, anchor).await?;
        let prepare = |one: &mut WantedEntry| {
            let anchored = match decide::anchored_fields(&one.entry, None, anchor) {
                Some(fields) => Some(one.entry.with_fields(fields)?),
                None => None,
            };
            let as_new = anchored.as_ref().unwrap_or(&one.entry);
            options.owed_from(&one.id).map_or(Ok(()), |from| decide::check_owed(as_new, from, now))?;
            one.as_new = anchored.map(|anchored| anchored.with_calendars(&calendars)).transpose()?;
            if !one.entry.schedule.exclude.calendars().is_empty() {
                one.entry = one.entry.clone().with_calendars(&calendars)?;
            }
            Ok(())
        };
        // Nobody else holds them yet.
        let all: Vec<&mut WantedEntry> = wanted.entries.iter_mut().filter_map(Arc::get_mut).collect();
        let work = |one: &mut WantedEntry| prepare(one).map_err(|why: Error| why.under(&format!("entries.{}", one.id)));
        in_threads(all, work).into_iter().collect::<Result<()>>()?;
        let of_files = wanted.calendars.iter().map(|(name, _)| name.clone()).collect();
        let (request, options) = (request.clone(), options.clone());
        Ok(Against { request, options, clocks, standing, calendars, of_files, anchor })
    }

    /// The calendars that stand, and as they will once those of the files are written; none where nobody names one.
    pub(super) async fn calendars_of_files(&self, wanted: &Wanted, at: Timestamp) -> Result<(Calendars, Calendars)> {
        let is_any = !wanted.calendars.is_empty() || !wanted.named_calendars().is_empty();
        let standing = if is_any { self.store.all_calendars().await? } else { Calendars::default() };
        let mut calendars = standing.clone();
        for (name, dates) in &wanted.calendars {
            let revision = calendars.0.get(name).map_or(0, |stored| stored.revision);
            if calendars.get(name) != Some(dates) {
                let (actor, dates) = (String::new(), dates.clone());
                let stored =
                    StoredCalendar { v: CALENDAR_VERSION, revision: revision + 1, at, actor, reason: None, dates };
                calendars.0.insert(name.clone(), stored);
            }
        }
        Ok((standing, calendars))
    }

    /// The entries in steps; of several shards those with the first entries come first.
    pub(super) fn batches(&self, entries: &[Arc<WantedEntry>], clocks: &[Timestamp]) -> Vec<Batch> {
        let mut of_shards: Vec<Vec<Batch>> = clocks.iter().map(|_| Vec::new()).collect();
        let mut bytes = vec![0; clocks.len()];
        for one in entries {
            let shard = self.store.shard_of(&one.id);
            let at = usize::from(shard);
            // A direct action's payload stands in its message, too.
            let size = one.text.len() * 2 + OVERHEAD_BYTES;
            bytes[at] += size;
            let batches = &mut of_shards[at];
            match batches.last_mut() {
                Some(last) if last.entries.len() < STEP_ENTRIES && bytes[at] <= STEP_BYTES => {
                    last.entries.push(one.clone())
                }
                _ => {
                    batches.push(Batch { shard, number: batches.len(), now: clocks[at], entries: vec![one.clone()] });
                    bytes[at] = size;
                }
            }
        }
        let mut batches: Vec<Batch> = of_shards.into_iter().flatten().collect();
        batches.sort_by_key(|batch| batch.entries.first().map(|one| one.place));
        batches
    }

    /// From when new entries count where they owe something: their ledgers may have settled some of it before they were removed.
    pub(super) async fn owe(&self, against: &Against, shard: u16, decisions: &mut Decisions) -> Result<()> {
        let options = &against.options;
        let (mut new, mut ids, mut froms) = (Vec::new(), Vec::new(), Vec::new());
        for one in decisions.decided.iter_mut().filter(|one| one.verb == Verb::Put && one.revision == 0) {
            let Some(from) = options.owed_from(&one.id) else { continue };
            if one.pause().is_some() {
                let why = format!("{}: it begins paused, so it owes nothing from then on", one.id);
                decisions.warnings.push(why);
            } else {
                ids.push(one.id.clone());
                froms.push(from);
                new.push(one);
            }
        }
        if ids.is_empty() {
            return Ok(());
        }
        for ((one, from), text) in new.into_iter().zip(froms).zip(self.store.ledgers(shard, &ids).await?) {
            let end = ledger::read(&text).and_then(|stretches| ledger::end(&stretches));
            let (from, limit) = beyond_ledger(&one.id, from, end);
            one.from = Some(from);
            decisions.warnings.extend(limit);
        }
        Ok(())
    }
}

impl Against {
    /// What becomes of the entries of a batch, in their order: what is written, what is refused; the others stand as their file
    /// says.
    pub fn decide(&self, batch: &Batch, stored: &[Option<StoredEntry>]) -> Decisions {
        let mut decisions = Decisions::default();
        for (one, stored) in batch.entries.iter().zip(stored) {
            match self.decide_one(one, stored.as_ref(), batch.now) {
                Ok(change) => decisions.decided.extend(change),
                Err(why) => {
                    let way_out = why.problem().hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
                    decisions.refused.insert(one.id.to_string(), format!("{why}{way_out}"));
                }
            }
        }
        decisions
    }

    fn decide_one(&self, one: &WantedEntry, stored: Option<&StoredEntry>, now: Timestamp) -> Result<Option<Decided>> {
        let (id, owner) = (&one.id, one.owner.as_str());
        let Some(stored) = stored else {
            let entry = self.anchored(one, None)?;
            return Ok(Some(decide::added(&self.request, id, entry, owner, one.is_paused, now)));
        };
        let definition: &Definition = stored.definition.as_ref().map_err(|why| match why {
            Error::Corrupt(_) => why.clone().hint(format!("upbeat rm {id}, then apply again")),
            _ => why.clone(),
        })?;
        let fields = decide::anchored_fields(&one.entry, Some(&definition.entry), self.anchor);
        let is_alike = fields.as_ref().unwrap_or(one.entry.fields()) == definition.entry.as_ref();
        match definition.owner == owner {
            true if is_alike => Ok(None),
            false if !self.options.is_take => {
                let problem = Problem::bare(why_not_yours(id, &definition.owner));
                Err(Error::Conflict(problem.hint("--take takes it over")))
            }
            _ => {
                let entry = self.anchored(one, Some(stored))?;
                Ok(decide::changed(&self.request, id, definition, entry, owner, now))
            }
        }
    }

    /// The entry with its anchor and the dates of its calendars.
    pub fn anchored(&self, one: &WantedEntry, stored: Option<&StoredEntry>) -> Result<Entry> {
        let on_record =
            stored.and_then(|stored| stored.definition.as_ref().ok()).map(|definition| definition.entry.as_ref());
        match on_record {
            None => Ok(one.as_new.as_ref().unwrap_or(&one.entry).clone()),
            Some(_) => decide::anchored(one.entry.clone(), on_record, self.anchor)?.with_calendars(&self.calendars),
        }
    }

    /// What counts as now for an entry that owes something.
    pub fn since(&self, now: Timestamp) -> Timestamp {
        self.options.from.as_ref().map_or(now, |from| Timestamp(from.at.0 - 1))
    }
}
