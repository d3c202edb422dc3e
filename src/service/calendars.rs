//! Named calendars: listed, written, removed. Every entry that names one follows its change at once.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::domain::calendar::{Calendar, Calendars, StoredCalendar};
use crate::domain::definition::Definition;
use crate::domain::id::{CalendarName, EntryId};
use crate::error::{Error, Problem, Result};
use crate::service::decide::{self, Decided};
use crate::service::request::content;
use crate::service::view::{At, ChangeView};
use crate::service::write::{self, STEP_ENTRIES, Step};
use crate::service::{Request, Service};
use crate::store::{CALENDAR_VERSION, CalendarAnswer, CalendarCall, StoredEntry};

/// How often entries that somebody else changes meanwhile are looked for again.
const ROUNDS: usize = 10;
/// Names of entries in a refusal, at most.
const NAMED: usize = 5;

/// A calendar in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalendarView {
    /// Its name.
    pub calendar: String,
    /// How many dates it has.
    pub dates: usize,
    /// The first of them.
    pub first: Option<String>,
    /// The last of them.
    pub last: Option<String>,
    /// Its revision.
    pub revision: u64,
    /// When it was written.
    pub changed_at: At,
    /// By whom.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// The entries that name it.
    pub entries: Vec<String>,
}

/// One calendar whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalendarDetail {
    /// As in a list.
    #[serde(flatten)]
    pub view: CalendarView,
    /// All its dates.
    pub all_dates: Value,
}

/// What became of a calendar, and of the entries that name it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalendarChange {
    /// Its name.
    pub calendar: String,
    /// `added`, `changed`, `unchanged` or `removed`.
    pub change: &'static str,
    /// How many dates it has.
    pub dates: usize,
    /// Its revision; of a removed one, the last.
    pub revision: u64,
    /// Entries that follow it.
    pub entries: Vec<ChangeView>,
}

impl Service {
    /// All calendars, by name, each with the entries that name it.
    pub async fn calendars(&self) -> Result<Vec<CalendarView>> {
        let calendars = self.store.all_calendars().await?;
        let mut users: BTreeMap<CalendarName, Vec<String>> = BTreeMap::new();
        if !calendars.0.is_empty() {
            self.each_page(async |page| {
                for stored in page {
                    for name in stored.definition.iter().flat_map(named) {
                        users.entry(name).or_default().push(stored.id.to_string());
                    }
                }
                Ok(())
            })
            .await?;
        }
        let view = |(name, stored): (CalendarName, StoredCalendar)| {
            let mut entries = users.remove(&name).unwrap_or_default();
            entries.sort();
            view(&name, &stored, entries)
        };
        Ok(calendars.0.into_iter().map(view).collect())
    }

    /// One calendar whole.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], with the nearest name.
    pub async fn calendar(&self, name: &CalendarName) -> Result<CalendarDetail> {
        let Some(stored) = self.store.calendars(std::slice::from_ref(name)).await?.0.remove(name) else {
            return Err(self.no_calendar(name).await?);
        };
        let entries = self.users(name).await?;
        Ok(CalendarDetail { all_dates: stored.dates.to_json(), view: view(name, &stored, entries) })
    }

    /// Writes a calendar. Every entry that names it is planned anew: what is overdue ends by its old dates, what comes after
    /// now goes by the new ones. One that stands as it is asked for stays; entries that do not follow it yet are planned anew.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where somebody else changes it meanwhile, or where there are 100 already.
    pub async fn put_calendar(
        &self,
        request: &Request,
        name: &CalendarName,
        calendar: &Calendar,
    ) -> Result<CalendarChange> {
        request.check()?;
        let content = content("calendar put", [name.as_str(), &calendar.to_json().to_string()]);
        let id = step_id(request, name);
        let stands = self.store.calendars(std::slice::from_ref(name)).await?.0.remove(name);
        let seen = stands.as_ref().map_or(0, |stored| stored.revision);
        let new = StoredCalendar {
            v: CALENDAR_VERSION,
            revision: seen + 1,
            at: self.store.now(0).await?,
            actor: request.actor.clone(),
            reason: request.reason.clone(),
            dates: calendar.clone(),
        };
        let before = self.store.put_calendar_before(&id, &content).await?;
        let (change, stored) = match (before, stands) {
            (Some(CalendarAnswer::Done { is_new: true, .. }), Some(stored)) => ("added", stored),
            (Some(CalendarAnswer::Done { .. }), Some(stored)) => ("changed", stored),
            (Some(CalendarAnswer::Done { .. }), None) => return Err(self.no_calendar(name).await?),
            (Some(_), _) => return Err(request.used_before()),
            (None, Some(stored)) if stored.dates == *calendar => ("unchanged", stored),
            (None, stands) => {
                let call = call(request, &id, &content, name, seen, Some(&new));
                let revision = self.write_calendar(request, &call).await?.unwrap_or(new.revision);
                (if stands.is_some() { "changed" } else { "added" }, StoredCalendar { revision, ..new })
            }
        };
        let entries = self.follow(request, name, &stored).await?;
        Ok(CalendarChange {
            calendar: name.to_string(),
            change,
            dates: stored.dates.dates().len(),
            revision: stored.revision,
            entries,
        })
    }

    /// Removes a calendar that no entry names.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Conflict`] where entries name it, with their ids, or somebody else changes it meanwhile.
    pub async fn remove_calendar(&self, request: &Request, name: &CalendarName) -> Result<CalendarChange> {
        request.check()?;
        let content = content("calendar rm", [name.as_str()]);
        let id = step_id(request, name);
        let removed = |revision: u64, dates: usize| CalendarChange {
            calendar: name.to_string(),
            change: "removed",
            dates,
            revision,
            entries: Vec::new(),
        };
        match self.store.put_calendar_before(&id, &content).await? {
            Some(CalendarAnswer::Done { revision, .. }) => return Ok(removed(revision, 0)),
            Some(_) => return Err(request.used_before()),
            None => {}
        }
        let Some(stored) = self.store.calendars(std::slice::from_ref(name)).await?.0.remove(name) else {
            return Err(self.no_calendar(name).await?);
        };
        let users = self.users(name).await?;
        if !users.is_empty() {
            let more = users.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let why = format!("{name} is excluded by {}{more}", users[..users.len().min(NAMED)].join(", "));
            let hint = format!("take it out of their exclude first: upbeat set {} --unset exclude", users[0]);
            return Err(Error::Conflict(Problem::new("calendar", why).value(name.as_str()).hint(hint)));
        }
        self.write_calendar(request, &call(request, &id, &content, name, stored.revision, None)).await?;
        Ok(removed(stored.revision, stored.dates.dates().len()))
    }

    /// Returns its revision; none of a dry run.
    async fn write_calendar(&self, request: &Request, call: &CalendarCall<'_>) -> Result<Option<u64>> {
        if request.is_dry_run {
            return Ok(None);
        }
        let refuse = |why: String| Problem::new("calendar", why).value(call.name.as_str());
        match self.store.put_calendar(call).await? {
            CalendarAnswer::Done { revision, .. } => Ok(Some(revision)),
            CalendarAnswer::OtherRequest => Err(request.used_before()),
            CalendarAnswer::Conflict(revision) => {
                let why = format!("{} was changed meanwhile to revision {revision}", call.name);
                Err(Error::Conflict(refuse(why).hint("look at it, and ask again")))
            }
            CalendarAnswer::Full => {
                let why = format!("a namespace has at most {} calendars", crate::domain::calendar::CALENDARS_MAX);
                Err(Error::Conflict(refuse(why).hint("upbeat calendars rm NAME")))
            }
        }
    }

    /// Follows calendars that were changed since `used` was read: entries that were written meanwhile may not be seen by whoever
    /// changed them.
    pub(super) async fn follow_since(&self, request: &Request, used: &Calendars) -> Result<()> {
        if used.0.is_empty() || request.is_dry_run {
            return Ok(());
        }
        let names: Vec<CalendarName> = used.0.keys().cloned().collect();
        for (name, stored) in self.store.calendars(&names).await?.0 {
            if used.0.get(&name).is_some_and(|known| known.revision != stored.revision) {
                self.follow(request, &name, &stored).await?;
            }
        }
        Ok(())
    }

    /// Plans anew every entry that names the calendar and does not follow this revision of it yet.
    async fn follow(&self, request: &Request, name: &CalendarName, stored: &StoredCalendar) -> Result<Vec<ChangeView>> {
        let mut views = BTreeMap::new();
        for _ in 0..ROUNDS {
            let mut is_any = false;
            self.each_page(async |page| {
                let behind = page.iter().filter(|one| is_behind(one, name, stored.revision));
                let behind: Vec<&StoredEntry> = behind.collect();
                for chunk in behind.chunks(STEP_ENTRIES) {
                    is_any = true;
                    for view in self.follow_step(request, name, stored, chunk).await? {
                        views.insert(view.id.clone(), view);
                    }
                }
                Ok(())
            })
            .await?;
            if !is_any || request.is_dry_run {
                break;
            }
        }
        Ok(views.into_values().collect())
    }

    async fn follow_step(
        &self,
        request: &Request,
        name: &CalendarName,
        stored: &StoredCalendar,
        entries: &[&StoredEntry],
    ) -> Result<Vec<ChangeView>> {
        let Some(first) = entries.first() else { return Ok(Vec::new()) };
        let shard = self.store.shard_of(&first.id);
        let now = self.store.now(shard).await?;
        let mut decided: Vec<Decided> = Vec::new();
        let mut names = Vec::new();
        for one in entries {
            let Ok(definition) = &one.definition else { continue };
            let Ok(entry) = definition.parse(&one.id) else { continue };
            names.extend(entry.schedule.exclude.calendars().iter().cloned());
            decided.push(decide::follows_calendar(request, &one.id, definition, entry, (name, stored.revision), now));
        }
        let mut calendars: Calendars = self.store.calendars(&names).await?;
        calendars.0.insert(name.clone(), stored.clone());
        // One that misses another calendar waits for that one.
        decided.retain(|one| one.calendars().iter().all(|name| calendars.get(name).is_some()));
        // What was found decides what is asked: a repetition finds other entries, and must not get their answer.
        let found: Vec<String> = decided.iter().map(|one| format!("{}@{}", one.id, one.revision)).collect();
        let content = content("calendar follow", found.iter().map(String::as_str));
        let digest = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, content.as_bytes());
        let request = Request { id: format!("{}#{name}@{}#{digest}", request.id, stored.revision), ..request.clone() };
        let step = Step { request: &request, shard, number: 0, content: &content };
        let done = self.write_with(&step, decided, &calendars).await?;
        Ok(done.into_iter().map(|changed| write::view(changed, Vec::new)).collect())
    }

    /// Shows every entry to `look`, in pages of one shard.
    pub(super) async fn each_page(&self, mut look: impl AsyncFnMut(Vec<StoredEntry>) -> Result<()>) -> Result<()> {
        for shard in self.store.shards() {
            let mut cursor = None;
            loop {
                let (ids, next): (Vec<EntryId>, _) = self.store.entry_ids(shard, cursor).await?;
                look(self.store.entries(&ids).await?.into_iter().flatten().collect()).await?;
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The entries that name a calendar.
    async fn users(&self, name: &CalendarName) -> Result<Vec<String>> {
        let mut users = Vec::new();
        self.each_page(async |page| {
            let names = |one: &&StoredEntry| one.definition.iter().flat_map(named).any(|known| known == *name);
            users.extend(page.iter().filter(names).map(|one| one.id.to_string()));
            Ok(())
        })
        .await?;
        users.sort();
        Ok(users)
    }

    async fn no_calendar(&self, name: &CalendarName) -> Result<Error> {
        let unknown = self.store.all_calendars().await?.unknown("calendar", name);
        Ok(Error::NotFound(unknown.problem().clone()))
    }
}

/// The change of a calendar that `request` asks for; `revision` is the one that it was decided on.
fn call<'a>(
    request: &'a Request,
    id: &'a str,
    content: &'a str,
    name: &'a CalendarName,
    revision: u64,
    calendar: Option<&'a StoredCalendar>,
) -> CalendarCall<'a> {
    let (actor, reason) = (request.actor.as_str(), request.reason.as_deref());
    CalendarCall { request: id, content, name, revision, calendar, actor, reason }
}

fn step_id(request: &Request, name: &CalendarName) -> String {
    format!("{}/calendar/{name}", request.id)
}

fn view(name: &CalendarName, stored: &StoredCalendar, entries: Vec<String>) -> CalendarView {
    let dates = stored.dates.dates();
    CalendarView {
        calendar: name.to_string(),
        dates: dates.len(),
        first: dates.first().map(ToString::to_string),
        last: dates.last().map(ToString::to_string),
        revision: stored.revision,
        changed_at: At(stored.at),
        actor: stored.actor.clone(),
        reason: stored.reason.clone(),
        entries,
    }
}

/// The calendars that a definition names, also where the rest of it can't be read.
pub(super) fn named(definition: &Definition) -> Vec<CalendarName> {
    let items = match definition.entry.get("exclude") {
        Some(Value::Array(items)) => items.as_slice(),
        Some(item) => std::slice::from_ref(item),
        None => &[],
    };
    let is_name = |text: &&str| crate::domain::calendar::read_date(text).is_none();
    let names = items.iter().filter_map(Value::as_str).filter(is_name);
    names.filter_map(|name| CalendarName::parse("exclude", name).ok()).collect()
}

/// Whether an entry names a calendar and does not follow this revision of it yet.
pub(super) fn is_behind(stored: &StoredEntry, name: &CalendarName, revision: u64) -> bool {
    let Ok(definition) = &stored.definition else { return false };
    let follows = definition.calendars.get(name.as_str()) == Some(&revision);
    !follows && named(definition).contains(name) && definition.parse(&stored.id).is_ok()
}
