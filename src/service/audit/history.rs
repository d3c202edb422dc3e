//! Which revisions an entry had, read back from the newest as far as the audit needs them.

use std::collections::BTreeMap;

use crate::domain::audit::{Standing, Was};
use crate::domain::calendar::{self, StoredCalendar};
use crate::domain::definition::{Definition, Removed};
use crate::domain::entry::Entry;
use crate::domain::id::{CalendarName, EntryId};
use crate::domain::plan::Registered;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::service::Service;
use crate::store::Snapshot;

/// Revisions of one entry that are asked for at a time.
const STEP: u64 = 20;

/// The revisions of calendars that were looked for; `None` for what is not kept.
pub(super) type Calendars = BTreeMap<(CalendarName, u64), Option<StoredCalendar>>;

/// The revisions of an entry.
pub(super) enum History {
    /// Without a gap, oldest first, and the definition that stands.
    Kept { chain: Vec<(u64, Was)>, current: Option<Box<Definition>> },
    /// Not even the newest can be used, for this reason.
    Unreadable(String),
}

/// A revision as it is written.
enum Written {
    Standing(Box<Definition>, Box<Entry>),
    Removed(Timestamp),
}

/// Revisions of one entry, newest first, while they are gathered.
struct Gathered {
    written: Vec<(u64, Written)>,
    why: Option<String>,
    /// The next older one to look for; 0 where nothing more is needed.
    wanted: u64,
}

impl Gathered {
    fn begin(id: &EntryId, snapshot: &Snapshot) -> Self {
        let newest = match (snapshot.definition.is_empty(), snapshot.removed.is_empty()) {
            (false, _) => written(id, &snapshot.definition),
            (true, false) => written(id, &snapshot.removed),
            (true, true) => Err("its definition is gone".to_owned()),
        };
        match newest {
            Ok((number, newest)) => Self { written: vec![(number, newest)], why: None, wanted: number - 1 },
            Err(why) => Self { written: Vec::new(), why: Some(why), wanted: 0 },
        }
    }

    /// Whether what is there reaches back far enough.
    fn reaches(&self, since: Timestamp) -> bool {
        let Some((_, oldest)) = self.written.last() else { return true };
        let has_limit = |written: &Written| matches!(written, Written::Standing(_, entry) if entry.max_fires.is_some());
        match oldest {
            Written::Removed(at) => *at < since,
            // How many came before decides where a limit ends.
            Written::Standing(definition, _) => {
                definition.at < since && !self.written.iter().any(|(_, written)| has_limit(written))
            }
        }
    }

    fn add(&mut self, id: &EntryId, number: u64, text: Option<&[u8]>, since: Timestamp) {
        if self.wanted != number || self.reaches(since) {
            self.wanted = 0;
            return;
        }
        match text.map(|text| written(id, text)) {
            Some(Ok((found, one))) if found == number => {
                self.written.push((number, one));
                self.wanted = number - 1;
            }
            _ => self.wanted = 0,
        }
    }
}

fn written(id: &EntryId, text: &[u8]) -> std::result::Result<(u64, Written), String> {
    if let Ok(removed) = serde_json::from_slice::<Removed>(text)
        && serde_json::from_slice::<serde_json::Value>(text).is_ok_and(|value| value.get("entry").is_none())
    {
        return Ok((removed.revision.max(1), Written::Removed(removed.at)));
    }
    let read = || {
        let definition = Definition::read(id, text)?;
        let entry = definition.parse(id)?;
        Ok((definition.revision.max(1), Written::Standing(Box::new(definition), Box::new(entry))))
    };
    read().map_err(|why: crate::error::Error| why.to_string())
}

impl Service {
    /// The histories of a page of entries, as far back as `since` or as they are kept.
    pub(super) async fn histories(
        &self,
        shard: u16,
        ids: &[EntryId],
        snapshots: &[Snapshot],
        since: Timestamp,
        calendars: &mut Calendars,
    ) -> Result<Vec<History>> {
        let mut all: Vec<Gathered> = ids.iter().zip(snapshots).map(|(id, one)| Gathered::begin(id, one)).collect();
        loop {
            let mut wanted = Vec::new();
            let mut whose = Vec::new();
            for (at, one) in all.iter_mut().enumerate() {
                if one.reaches(since) {
                    one.wanted = 0;
                }
                for number in (one.wanted.saturating_sub(STEP - 1).max(1)..=one.wanted).rev() {
                    wanted.push((ids[at].clone(), number));
                    whose.push(at);
                }
            }
            if wanted.is_empty() {
                break;
            }
            let texts = self.store.revisions(shard, &wanted).await?;
            for ((at, (id, number)), text) in whose.iter().zip(&wanted).zip(texts) {
                all[*at].add(id, *number, text.as_deref(), since);
            }
        }
        self.read_calendars(&all, calendars).await?;
        let history =
            |(one, (id, snapshot)): (Gathered, (&EntryId, &Snapshot))| self.history(id, one, snapshot.now, calendars);
        Ok(all.into_iter().zip(ids.iter().zip(snapshots)).map(history).collect())
    }

    /// The calendars that the revisions name, and those that came next.
    async fn read_calendars(&self, all: &[Gathered], calendars: &mut Calendars) -> Result<()> {
        let mut wanted: Vec<(CalendarName, u64)> = Vec::new();
        for (_, written) in all.iter().flat_map(|one| &one.written) {
            let Written::Standing(definition, entry) = written else { continue };
            for name in entry.schedule.exclude.calendars() {
                let Some(revision) = definition.calendars.get(name.as_str()) else { continue };
                wanted.extend([(name.clone(), *revision), (name.clone(), revision + 1)]);
            }
        }
        wanted.sort();
        wanted.dedup();
        wanted.retain(|one| !calendars.contains_key(one));
        if !wanted.is_empty() {
            let kept = self.store.calendar_revisions(&wanted).await?;
            calendars.extend(wanted.into_iter().zip(kept.into_iter().map(|one| one.calendar)));
        }
        Ok(())
    }

    fn history(&self, id: &EntryId, gathered: Gathered, now: Timestamp, calendars: &Calendars) -> History {
        if let Some(why) = gathered.why {
            return History::Unreadable(why);
        }
        let mut chain = Vec::new();
        let mut current = None;
        let mut until = now;
        for (at, (number, written)) in gathered.written.into_iter().enumerate() {
            let (definition, entry) = match written {
                Written::Removed(at) => {
                    chain.push((number, Was::Removed(at)));
                    until = at;
                    continue;
                }
                Written::Standing(definition, entry) => (definition, entry),
            };
            let Some(one) = self.standing(id, &definition, &entry, until, calendars) else {
                if chain.is_empty() {
                    return History::Unreadable("a calendar as it was then is not kept".to_owned());
                }
                break;
            };
            until = definition.at;
            chain.push((number, Was::Standing(Box::new(one))));
            if at == 0 {
                current = Some(definition);
            }
        }
        chain.reverse();
        History::Kept { chain, current }
    }

    /// A revision that held up to `until`; `None` where a calendar is not kept as it was.
    fn standing(
        &self,
        id: &EntryId,
        definition: &Definition,
        entry: &Entry,
        until: Timestamp,
        calendars: &Calendars,
    ) -> Option<Standing> {
        let (birth, revision) = (definition.birth, definition.revision);
        let delay_ms = Registered { namespace: self.store.namespace(), id, birth, revision, entry }.delay_ms();
        let mut then = calendar::Calendars::default();
        let mut newer = calendar::Calendars::default();
        let mut changed: Option<Timestamp> = None;
        for name in entry.schedule.exclude.calendars() {
            let revision = *definition.calendars.get(name.as_str())?;
            let stood = calendars.get(&(name.clone(), revision))?.as_ref()?;
            let next = calendars.get(&(name.clone(), revision + 1)).and_then(Option::as_ref);
            let next = next.filter(|next| next.at < until);
            changed = next.map(|next| next.at).into_iter().chain(changed).min();
            then.0.insert(name.clone(), stood.clone());
            newer.0.insert(name.clone(), next.unwrap_or(stood).clone());
        }
        let by =
            |calendars: &calendar::Calendars| Some(entry.clone().with_calendars(calendars).ok()?.into_data().schedule);
        let later = match changed {
            Some(at) => Some((at, by(&newer)?)),
            None => None,
        };
        Some(Standing {
            at: definition.at,
            from: definition.from,
            paused: definition.paused.as_ref().map(|paused| paused.until),
            delay_ms,
            max_fires: entry.max_fires,
            schedule: if then.0.is_empty() { entry.schedule.clone() } else { by(&then)? },
            later,
        })
    }
}
