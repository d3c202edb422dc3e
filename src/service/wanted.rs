//! What schedule files ask for, held against what stands: `plan` shows what is decided here, `apply` writes it.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::domain::calendar::{Calendar, Calendars, StoredCalendar};
use crate::domain::definition::Definition;
use crate::domain::entry::Entry;
use crate::domain::file::{CalendarSource, FileCalendar, FileEntry, PackedEntry, ScheduleFile};
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
pub struct OwnedFile<E = FileEntry> {
    /// The file.
    pub file: ScheduleFile<E>,
    /// Its owner, where the file does not name one.
    pub owner: Owner,
}

impl From<OwnedFile> for OwnedFile<PackedEntry> {
    fn from(one: OwnedFile) -> Self {
        Self { file: one.file.packed(), owner: one.owner }
    }
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
    /// What is added is told without the names of its fields.
    pub is_brief: bool,
    /// Somebody agreed to remove more than a fifth of what an owner has.
    pub is_agreed: bool,
}

impl FilesOptions {
    /// From when a new entry owes its fire times.
    fn owed_from(&self, id: &EntryId) -> Option<Timestamp> {
        self.from_each.get(id).copied().or(self.from.as_ref().map(|from| from.at))
    }
}

/// One entry of the files; there may be millions of them, so it is taken apart only while it is decided about.
#[derive(Debug, Clone)]
pub(super) struct WantedEntry {
    /// As its file says.
    pub packed: PackedEntry,
    /// Who applies it.
    pub owner: Arc<Owner>,
}

/// All that the files of one request ask for.
#[derive(Default)]
pub(super) struct Wanted {
    /// The entries in the order of the files.
    pub entries: Vec<WantedEntry>,
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
    /// Where its entries stand among all.
    pub places: Vec<usize>,
}

impl Batch {
    /// Its entries.
    pub fn of<'w>(&self, wanted: &'w Wanted) -> Vec<&'w WantedEntry> {
        self.places.iter().filter_map(|place| wanted.entries.get(*place)).collect()
    }
}

/// What is to be done with the entries of a batch.
#[derive(Default)]
pub(super) struct Decisions {
    /// What is written.
    pub decided: Vec<Decided>,
    /// What is there afterwards, as far as it was decided; one for each entry of the batch.
    pub entries: Vec<Option<Entry>>,
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
    pub fn new(namespace: &Namespace, files: Vec<impl Into<OwnedFile<PackedEntry>>>) -> Result<Self> {
        let mut wanted = Self::default();
        for OwnedFile { file, owner } in files.into_iter().map(Into::into) {
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
            let shared = Arc::new(owner.clone());
            let entries = file.entries.into_iter().map(|packed| WantedEntry { packed, owner: shared.clone() });
            wanted.entries.extend(entries);
            wanted.owners.insert(owner);
        }
        let mut ids = HashSet::with_capacity(wanted.entries.len());
        if let Some(twice) = wanted.entries.iter().find(|one| !ids.insert(one.packed.id())) {
            return Err(Error::invalid(format!("entries.{}", twice.packed.id()), "is given twice"));
        }
        drop(ids);
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
    pub fn named_calendars(&self) -> Result<BTreeSet<CalendarName>> {
        let mut names = BTreeSet::new();
        for one in self.entries.iter().filter(|one| one.packed.names_calendars()) {
            names.extend(one.packed.entry()?.schedule.exclude.calendars().iter().cloned());
        }
        Ok(names)
    }
}

impl Service {
    /// What the files are held against; what can't be written once every entry has its anchor and the dates of its calendars is
    /// refused.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where an entry can't be anchored or owed, or names a calendar that nobody has, or a queue can't be limited.
    pub(super) async fn against(&self, request: &Request, options: &FilesOptions, wanted: &Wanted) -> Result<Against> {
        self.check_limits(&wanted.queues)?;
        let mut clocks = Vec::new();
        for shard in self.store.shards() {
            clocks.push(self.store.now(shard).await?);
        }
        let now = clocks.iter().copied().min().unwrap_or_default();
        let anchor = options.from.as_ref().map_or(now, |from| from.at);
        let (standing, calendars) = self.calendars_of_files(wanted, anchor).await?;
        let of_files = wanted.calendars.iter().map(|(name, _)| name.clone()).collect();
        let (request, options) = (request.clone(), options.clone());
        let against = Against { request, options, clocks, standing, calendars, of_files, anchor };
        let is_owed = against.options.from.is_some() || !against.options.from_each.is_empty();
        let may_be_refused = |one: &&WantedEntry| is_owed || one.packed.is_doubtful() || one.packed.names_calendars();
        let check = |one: &WantedEntry| {
            let (entry, _) = against.new_entry(one)?;
            against.options.owed_from(one.packed.id()).map_or(Ok(()), |from| decide::check_owed(&entry, from, now))
        };
        let work =
            |one: &WantedEntry| check(one).map_err(|why: Error| why.under(&format!("entries.{}", one.packed.id())));
        let doubtful: Vec<&WantedEntry> = wanted.entries.iter().filter(may_be_refused).collect();
        in_threads(doubtful, work).into_iter().collect::<Result<()>>()?;
        Ok(against)
    }

    /// The calendars that stand, and as they will once those of the files are written; none where nobody names one.
    pub(super) async fn calendars_of_files(&self, wanted: &Wanted, at: Timestamp) -> Result<(Calendars, Calendars)> {
        let is_any = !wanted.calendars.is_empty() || wanted.entries.iter().any(|one| one.packed.names_calendars());
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
    pub(super) fn batches(&self, entries: &[WantedEntry], clocks: &[Timestamp]) -> Vec<Batch> {
        let mut of_shards: Vec<Vec<Batch>> = clocks.iter().map(|_| Vec::new()).collect();
        let mut bytes = vec![0; clocks.len()];
        for (place, one) in entries.iter().enumerate() {
            let shard = self.store.shard_of(one.packed.id());
            let at = usize::from(shard);
            // A direct action's payload stands in its message, too.
            let size = one.packed.text().len() * 2 + OVERHEAD_BYTES;
            bytes[at] += size;
            let batches = &mut of_shards[at];
            match batches.last_mut() {
                Some(last) if last.places.len() < STEP_ENTRIES && bytes[at] <= STEP_BYTES => last.places.push(place),
                _ => {
                    batches.push(Batch { shard, number: batches.len(), now: clocks[at], places: vec![place] });
                    bytes[at] = size;
                }
            }
        }
        let mut batches: Vec<Batch> = of_shards.into_iter().flatten().collect();
        batches.sort_by_key(|batch| batch.places.first().copied());
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
    pub fn decide(&self, batch: &[&WantedEntry], now: Timestamp, stored: &[Option<StoredEntry>]) -> Decisions {
        let mut decisions = Decisions::default();
        for (one, stored) in batch.iter().zip(stored) {
            let id = one.packed.id();
            match self.decide_one(one, stored.as_ref(), now) {
                Ok(change) => {
                    decisions.entries.push(change.as_ref().and_then(Decided::entry).cloned());
                    decisions.decided.extend(change);
                }
                Err(why) => {
                    decisions.entries.push(None);
                    let way_out = why.problem().hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
                    decisions.refused.insert(id.to_string(), format!("{why}{way_out}"));
                }
            }
        }
        decisions
    }

    fn decide_one(&self, one: &WantedEntry, stored: Option<&StoredEntry>, now: Timestamp) -> Result<Option<Decided>> {
        let (id, owner) = (one.packed.id(), one.owner.as_str());
        let Some(stored) = stored else {
            let (entry, fields_json) = self.new_entry(one)?;
            let added = decide::added(&self.request, id, entry, owner, one.packed.is_paused(), now);
            return Ok(Some(Decided { fields_json, ..added }));
        };
        let definition: &Definition = stored.definition.as_ref().map_err(|why| match why {
            Error::Corrupt(_) => why.clone().hint(format!("upbeat rm {id}, then apply again")),
            _ => why.clone(),
        })?;
        let fields = self.fields(one, Some(&definition.entry))?;
        match definition.owner == owner {
            true if *fields == *definition.entry => Ok(None),
            false if !self.options.is_take => {
                let problem = Problem::bare(why_not_yours(id, &definition.owner));
                Err(Error::Conflict(problem.hint("--take takes it over")))
            }
            _ => {
                let entry = self.entry(one, fields)?;
                Ok(decide::changed(&self.request, id, definition, entry, owner, now))
            }
        }
    }

    /// The fields with the anchor that they keep, or get; borrowed where they are those of the file.
    fn fields<'w>(
        &self,
        one: &'w WantedEntry,
        on_record: Option<&Map<String, Value>>,
    ) -> Result<Cow<'w, Map<String, Value>>> {
        let mut fields = one.packed.fields()?;
        if let Some(anchor) = decide::new_anchor(&fields, one.packed.counting(), on_record, self.anchor) {
            decide::set_anchor(fields.to_mut(), anchor);
        }
        Ok(fields)
    }

    /// The entry with these fields and the dates of its calendars.
    fn entry(&self, one: &WantedEntry, fields: Cow<'_, Map<String, Value>>) -> Result<Entry> {
        let entry = match fields {
            Cow::Borrowed(_) => one.packed.entry()?,
            Cow::Owned(fields) => Entry::parse_for(one.packed.id(), fields)?,
        };
        entry.with_calendars(&self.calendars)
    }

    /// The entry as it is added, and its fields as JSON, where they are known as that.
    fn new_entry(&self, one: &WantedEntry) -> Result<(Entry, Option<String>)> {
        if let Some((entry, json)) = one.packed.begun(self.anchor) {
            // It names no calendars.
            return Ok((entry, Some(json)));
        }
        let mut fields = one.packed.fields()?;
        let json = match decide::new_anchor(&fields, one.packed.counting(), None, self.anchor) {
            Some(anchor) => {
                decide::set_anchor(fields.to_mut(), anchor);
                None
            }
            None => Some(one.packed.text().to_owned()),
        };
        Ok((self.entry(one, fields)?, json))
    }

    /// The entry with its anchor and the dates of its calendars.
    pub fn anchored(&self, one: &WantedEntry, stored: Option<&StoredEntry>) -> Result<Entry> {
        let on_record =
            stored.and_then(|stored| stored.definition.as_ref().ok()).map(|definition| definition.entry.as_ref());
        self.entry(one, self.fields(one, on_record)?)
    }

    /// What counts as now for an entry that owes something.
    pub fn since(&self, now: Timestamp) -> Timestamp {
        self.options.from.as_ref().map_or(now, |from| Timestamp(from.at.0 - 1))
    }
}
