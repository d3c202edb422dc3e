//! Deciding a change: pure, from what stands in Redis and what is asked for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::domain::calendar::Calendars;
use crate::domain::definition::{Definition, Paused, REMOVED_VERSION, Removed};
use crate::domain::entry::{Entry, FIELDS};
use crate::domain::id::{CalendarName, EntryId};
use crate::domain::revision;
use crate::domain::schedule::{Counting, When};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::service::Request;
use crate::store::Verb;

/// A change as it was decided: all but the plan, which needs the time at which it is written.
#[derive(Debug, Clone)]
pub(super) struct Decided {
    /// The entry.
    pub id: EntryId,
    /// What is done.
    pub verb: Verb,
    /// Birth that it was decided on; 0 where the id must not exist.
    pub birth: u64,
    /// Revision that it was decided on; 0 where the id must not exist.
    pub revision: u64,
    /// What is there afterwards.
    pub outcome: Outcome,
    /// Names of the fields that differ.
    pub fields: Vec<String>,
    /// From when it counts, where that is not now.
    pub from: Option<Timestamp>,
    /// The fields that are there afterwards as compact JSON, where they are known as that.
    pub fields_json: Option<String>,
}

/// What a change leaves behind.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// An entry.
    Stands(Box<Definition>, Entry),
    /// What is left of a removed one.
    Gone(Removed),
}

impl Decided {
    /// The calendars that it names.
    pub fn calendars(&self) -> &[CalendarName] {
        match &self.outcome {
            Outcome::Stands(_, entry) => entry.schedule.exclude.calendars(),
            Outcome::Gone(_) => &[],
        }
    }

    /// Takes the dates of the calendars that it names, and notes their revisions.
    pub fn follow(&mut self, calendars: &Calendars) -> Result<()> {
        let Outcome::Stands(definition, entry) = &mut self.outcome else { return Ok(()) };
        if entry.schedule.exclude.calendars().is_empty() {
            definition.calendars.clear();
            return Ok(());
        }
        *entry = entry.clone().with_calendars(calendars)?;
        let names = entry.schedule.exclude.calendars().iter();
        let revisions = names.filter_map(|name| Some((name.to_string(), calendars.0.get(name)?.revision)));
        definition.calendars = revisions.collect();
        Ok(())
    }

    /// Notes in the definition from when it counts.
    pub fn note_from(&mut self) {
        if let Outcome::Stands(definition, _) = &mut self.outcome {
            definition.from = self.from;
            definition.since = if self.revision == 0 { self.from } else { definition.since };
        }
    }

    /// The entry that is there afterwards.
    pub fn entry(&self) -> Option<&Entry> {
        match &self.outcome {
            Outcome::Stands(_, entry) => Some(entry),
            Outcome::Gone(_) => None,
        }
    }

    /// Who applies it afterwards.
    pub fn owner(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Stands(definition, _) => Some(&definition.owner),
            Outcome::Gone(_) => None,
        }
    }

    /// The pause that the entry is in afterwards.
    pub fn pause(&self) -> Option<&Paused> {
        match &self.outcome {
            Outcome::Stands(definition, _) => definition.paused.as_ref(),
            Outcome::Gone(_) => None,
        }
    }

    /// The definition, or what is left of it, as it is written.
    pub fn text(&self) -> String {
        match &self.outcome {
            Outcome::Stands(definition, _) => match &self.fields_json {
                Some(fields) => definition.to_json_around(fields),
                None => definition.to_json(),
            },
            // Strings and numbers: serde_json has nothing to refuse.
            Outcome::Gone(removed) => serde_json::to_string(removed).unwrap_or_default(),
        }
    }
}

/// A new entry.
pub(super) fn added(
    request: &Request,
    id: &EntryId,
    entry: Entry,
    owner: &str,
    is_paused: bool,
    now: Timestamp,
) -> Decided {
    let definition = Definition {
        birth: 0,
        revision: 1,
        at: now,
        created: now,
        since: None,
        actor: request.actor.clone(),
        reason: request.reason.clone(),
        owner: owner.to_owned(),
        paused: is_paused.then(|| paused(request, now, None)),
        from: None,
        restored: None,
        calendars: BTreeMap::new(),
        entry: entry.shared_fields(),
    };
    let outcome = Outcome::Stands(Box::new(definition), entry);
    // The fields of a new entry are those that the request names.
    let (id, fields) = (id.clone(), Vec::new());
    Decided { id, verb: Verb::Put, birth: 0, revision: 0, outcome, fields, from: None, fields_json: None }
}

/// An entry with another definition; `None` where nothing differs.
pub(super) fn changed(
    request: &Request,
    id: &EntryId,
    old: &Definition,
    entry: Entry,
    owner: &str,
    now: Timestamp,
) -> Option<Decided> {
    let mut fields = differing(&old.entry, entry.fields());
    if old.owner != owner {
        fields.push("owner".to_owned());
    }
    if fields.is_empty() {
        return None;
    }
    let mut definition = next_revision(request, old, now);
    definition.owner = owner.to_owned();
    definition.entry = entry.shared_fields();
    Some(stands(id, Verb::Put, old, definition, entry, fields))
}

/// The same entry with the new dates of a calendar, named with its revision.
pub(super) fn follows_calendar(
    request: &Request,
    id: &EntryId,
    old: &Definition,
    entry: Entry,
    (name, revision): (&CalendarName, u64),
    now: Timestamp,
) -> Decided {
    let mut definition = next_revision(request, old, now);
    let why = format!("calendar {name} is at revision {revision}");
    definition.reason = definition.reason.or(Some(why));
    stands(id, Verb::Put, old, definition, entry, vec!["exclude".to_owned()])
}

/// A paused entry, until then or without an end; `None` where it is paused so already.
pub(super) fn pause(
    request: &Request,
    id: &EntryId,
    old: &Definition,
    entry: Entry,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Option<Decided> {
    let before = old.paused_at(now);
    if before.is_some_and(|before| before.until == until) {
        return None;
    }
    let mut definition = next_revision(request, old, now);
    let since = before.map_or(now, |before| before.at);
    definition.paused = Some(paused(request, since, until));
    Some(stands(id, Verb::Pause, old, definition, entry, vec!["paused".to_owned()]))
}

/// Until when a pause may last.
pub(super) fn check_until(until: Timestamp, now: Timestamp) -> Result<()> {
    if until > now {
        return Ok(());
    }
    let why = format!("{} has passed, it is {}", until.to_rfc3339(), now.to_rfc3339());
    Err(Error::invalid("until", why).value(until.to_rfc3339()).hint("write it like +2h, 18:00 or 2026-12-01T09:00"))
}

/// How far back an entry may count.
const OWED_DAYS: i64 = 366;
/// Fire times that are not evenly spaced and may be owed at once.
const OWED_LISTED: usize = 100_000;

/// Refuses to owe what is in the future, too old, or too much.
pub(super) fn check_owed(entry: &Entry, from: Timestamp, now: Timestamp) -> Result<()> {
    let at = from.to_rfc3339();
    let refuse = |why: String| Err(Error::invalid("from", why).value(&at));
    if from > now {
        return refuse(format!("{at} is in the future, it is {}", now.to_rfc3339()))
            .map_err(|why: Error| why.hint("start says when an entry begins"));
    }
    if now.0 - from.0 > OWED_DAYS * 86_400_000 {
        return refuse(format!("{at} is more than {OWED_DAYS} days back"));
    }
    let is_listed = entry.schedule.fixed_period(from).is_none();
    let owed = entry.schedule.times_after(Timestamp(from.0 - 1)).take_while(|time| *time <= now);
    if is_listed && owed.take(OWED_LISTED + 1).count() > OWED_LISTED {
        return refuse(format!("more than {OWED_LISTED} fire times came since {at}"));
    }
    Ok(())
}

/// From when a paused entry may count: what passed before its last change is on record already.
pub(super) fn check_resume_from(id: &EntryId, old: &Definition, from: Timestamp, now: Timestamp) -> Result<()> {
    let (since, at) = (old.at.to_rfc3339(), from.to_rfc3339());
    if from > now {
        let why = format!("{at} is in the future, it is {}", now.to_rfc3339());
        return Err(Error::invalid("from", why).value(&at).hint(format!("upbeat pause {id} --until {at}")));
    }
    if from < old.at {
        let why = format!("{at} is before {since}, what came until then is on record: {since} to now is possible");
        let hint = format!("upbeat backfill {id} --from {at} --to {since} runs what is on record as missed or skipped");
        return Err(Error::invalid("from", why).value(&at).hint(hint));
    }
    Ok(())
}

/// An entry that is active again; `None` where it is already.
pub(super) fn resume(
    request: &Request,
    id: &EntryId,
    old: &Definition,
    entry: Entry,
    from: Option<Timestamp>,
    now: Timestamp,
) -> Option<Decided> {
    let mut definition = next_revision(request, old, now);
    definition.paused = None;
    let fields = vec!["paused".to_owned()];
    let resumed = || Decided { from, ..stands(id, Verb::Resume, old, definition, entry, fields) };
    old.paused_at(now).is_some().then(resumed)
}

/// A removal. `is_readable` is false where the definition is damaged, so that nobody can plan the entry.
pub(super) fn removed(
    request: &Request,
    id: &EntryId,
    (birth, revision): (u64, u64),
    is_readable: bool,
    now: Timestamp,
) -> Decided {
    let left = Removed {
        v: REMOVED_VERSION,
        birth,
        revision: revision + 1,
        at: now,
        actor: request.actor.clone(),
        reason: request.reason.clone(),
    };
    let verb = if is_readable { Verb::Remove } else { Verb::Discard };
    let (id, outcome, fields) = (id.clone(), Outcome::Gone(left), Vec::new());
    Decided { id, verb, birth, revision, outcome, fields, from: None, fields_json: None }
}

fn stands(
    id: &EntryId,
    verb: Verb,
    old: &Definition,
    definition: Definition,
    entry: Entry,
    fields: Vec<String>,
) -> Decided {
    Decided {
        id: id.clone(),
        verb,
        birth: old.birth,
        revision: old.revision,
        outcome: Outcome::Stands(Box::new(definition), entry),
        fields,
        from: None,
        fields_json: None,
    }
}

fn next_revision(request: &Request, old: &Definition, now: Timestamp) -> Definition {
    Definition {
        revision: old.revision + 1,
        // The script writes its own instant; `created` must stand beside it in the text.
        at: now.max(Timestamp(old.created.0 + 1)),
        actor: request.actor.clone(),
        reason: request.reason.clone(),
        paused: old.paused_at(now).cloned(),
        from: None,
        restored: None,
        ..old.clone()
    }
}

fn paused(request: &Request, at: Timestamp, until: Option<Timestamp>) -> Paused {
    Paused { until, at, actor: request.actor.clone(), reason: request.reason.clone() }
}

/// Names of the fields that differ, in the order of the contract.
fn differing(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<String> {
    revision::differing(old, new).into_iter().map(|change| change.field).collect()
}

/// Names of the fields that a new entry has, its anchor included.
pub(super) fn fields_when_added(entry: &Entry) -> Vec<Cow<'static, str>> {
    let has_anchor = matches!(entry.schedule.when, When::Every(_) | When::Rrule(_)) && entry.schedule.start.is_none();
    // They stand in the same order.
    let mut given = entry.fields().keys().filter(|field| *field != "anchor").peekable();
    let mut has = |field: &str| match field {
        "anchor" => has_anchor,
        field => given.next_if(|given| *given == field).is_some(),
    };
    FIELDS.iter().filter(|field| has(field)).map(|field| Cow::Borrowed(*field)).collect()
}

/// The entry with the anchor that it keeps: where `every` or `rrule` has no `start`, the one on record, else, for a new entry, its own,
/// else `now`, cut to a whole second unless `every` is shorter.
pub(super) fn anchored(entry: Entry, on_record: Option<&Map<String, Value>>, now: Timestamp) -> Result<Entry> {
    let Some(anchor) = new_anchor(entry.fields(), entry.schedule.counting(), on_record, now) else { return Ok(entry) };
    let mut fields = entry.fields().clone();
    set_anchor(&mut fields, anchor);
    entry.with_fields(fields)
}

/// The anchor that an entry with these fields gets, `None` for none; nothing where it keeps what it has.
pub(super) fn new_anchor(
    fields: &Map<String, Value>,
    counting: Counting,
    on_record: Option<&Map<String, Value>>,
    now: Timestamp,
) -> Option<Option<Value>> {
    let kind = if fields.contains_key("every") { "every" } else { "rrule" };
    let own = fields.get("anchor");
    let kept = on_record.filter(|fields| fields.contains_key(kind)).and_then(|fields| fields.get("anchor"));
    let anchor = match (counting, on_record) {
        (Counting::ByClock, _) => return None,
        (Counting::FromStart, _) => None,
        (_, Some(_)) if kept.is_some() => kept.cloned(),
        (_, None) if own.is_some() => own.cloned(),
        (Counting::FromAnchor(cut_ms), _) => Some(Value::from(now.cut_to(cut_ms).to_rfc3339())),
    };
    (own != anchor.as_ref()).then_some(anchor)
}

/// Gives the fields that anchor, or takes theirs.
pub(super) fn set_anchor(fields: &mut Map<String, Value>, anchor: Option<Value>) {
    match anchor {
        Some(anchor) => fields.insert("anchor".to_owned(), anchor),
        None => fields.shift_remove("anchor"),
    };
}

/// Refuses a single instant that has passed, unless it stands there already.
pub(super) fn refuse_past(id: &EntryId, entry: &Entry, old: Option<&Entry>, now: Timestamp) -> Result<()> {
    let When::At(at) = entry.schedule.when else { return Ok(()) };
    if at > now || old.is_some_and(|old| old.schedule.when == entry.schedule.when) {
        return Ok(());
    }
    let why = format!("{} has passed, it is {}", at.to_rfc3339(), now.to_rfc3339());
    let hint = format!("upbeat trigger {id} runs an entry now, upbeat add ID --at +5m adds one that fires once");
    Err(Error::invalid("at", why).value(at.to_rfc3339()).hint(hint))
}
