//! Entries as people see them: a line of a list, and one entry whole.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use crate::domain::calendar::Calendars;
use crate::domain::definition::Definition;
use crate::domain::entry::Entry;
use crate::domain::id::{CalendarName, EntryId, IdList};
use crate::domain::record::LiveRun;
use crate::domain::run::State;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::domain::wall::rough;
use crate::domain::zone::Zone;
use crate::error::{Error, Problem, Result};
use crate::service::calendars::named;
use crate::service::nodes::Fleet;
use crate::service::stuck::usual;
use crate::service::view::{At, EntryDetail, EntryView, LastRun, RunView, SkipView};
use crate::service::{Select, Service};
use crate::store::{Place, StoredEntry};

/// Entries whose zones are read at a time.
const ZONES_PAGE: usize = 200;

impl Service {
    /// One entry whole.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], with the nearest id.
    pub async fn show(&self, id: &EntryId) -> Result<EntryDetail> {
        self.select(&Select::Ids(vec![id.clone()])).await?;
        let stored = self.stored(id).await?;
        let now = self.store.now(self.store.shard_of(id));
        let (fleet, runs, now) = tokio::try_join!(self.fleet(), self.runs_of(id), now)?;
        let live = self.live_runs(|run| run.entry_id == id.as_str()).await?;
        let stuck = self.oldest_stuck(&live).await?;
        let ended =
            runs.iter().filter(|run| run.finished_at.is_some()).max_by_key(|run| (run.last_fire_at, run.finished_at));
        let trouble = trouble(id, stuck.get(id.as_str()), ended, &fleet, now);
        let last = runs.iter().find(|run| run.state != State::Waiting.word()).cloned().map(LastRun::from);
        let calendars = self.calendars_of(std::slice::from_ref(&stored)).await?;
        let definition = stored.definition.as_ref().ok();
        let paused = definition.and_then(|definition| definition.paused_at(now));
        Ok(EntryDetail {
            view: view(&stored, &fleet, &calendars, last, trouble, now),
            entry: definition.map_or(Value::Null, |definition| Value::Object(definition.entry.as_ref().clone())),
            paused_by: paused.map_or(Value::Null, |paused| {
                let until = paused.until.map(At);
                json!({"at": At(paused.at), "actor": paused.actor, "reason": paused.reason, "until": until})
            }),
            stats: stats(definition, &runs),
            skips: stored.skips.iter().filter(|skip| skip.fire_at > now).map(SkipView::from).collect(),
        })
    }

    /// The definition of one entry, and the entry with the dates of its calendars.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is none, [`Error::Corrupt`] where it can't be read; about `exclude` where a calendar is missing.
    pub async fn entry(&self, id: &EntryId) -> Result<(Definition, Entry)> {
        self.select(&Select::Ids(vec![id.clone()])).await?;
        let definition = self.stored(id).await?.definition?;
        let entry = self.store.resolve(definition.parse(id)?).await?;
        Ok((definition, entry))
    }

    /// The calendars that these entries name, as far as they exist.
    pub(super) async fn calendars_of(&self, stored: &[StoredEntry]) -> Result<Calendars> {
        let mut names: Vec<CalendarName> =
            stored.iter().flat_map(|one| one.definition.iter().flat_map(named)).collect();
        names.sort();
        names.dedup();
        self.store.calendars(&names).await
    }

    /// At most `count` fire times of an entry after `after`, as many as its `max_fires` leaves, without those to skip.
    pub async fn upcoming(
        &self,
        id: &EntryId,
        entry: &Entry,
        after: Timestamp,
        count: usize,
    ) -> Result<Vec<Timestamp>> {
        let left = match entry.max_fires {
            Some(most) => u64::from(most).saturating_sub(self.store.fires_of(id).await?),
            None => u64::MAX,
        };
        let skips = self.skips(id).await?;
        let times = entry.schedule.times_after(after).take(usize::try_from(left).unwrap_or(usize::MAX));
        Ok(times.filter(|time| !skips.iter().any(|skip| skip.fire_at == *time)).take(count).collect())
    }

    async fn stored(&self, id: &EntryId) -> Result<StoredEntry> {
        let gone = || Error::NotFound(Problem::new("entry", format!("{id} does not exist")).value(id.as_str()));
        self.store.entry(id).await?.ok_or_else(gone)
    }

    /// The zones of entries, by id; those without one, or gone, are left out.
    pub async fn zones(&self, ids: &BTreeSet<String>) -> Result<HashMap<String, Zone>> {
        let ids: Vec<EntryId> = ids.iter().filter_map(|id| EntryId::parse("entry", id).ok()).collect();
        let stored = self.store.entries(&ids).await?;
        Ok(stored.into_iter().flatten().filter_map(|one| Some((one.id.to_string(), zone_of(&one)?))).collect())
    }

    /// The zones that these entries have, each once, in the order of the ids; UTC for those without one, or gone.
    pub async fn zones_among(&self, ids: &IdList) -> Result<Vec<Zone>> {
        let mut zones: Vec<Zone> = Vec::new();
        for from in (0..ids.len()).step_by(ZONES_PAGE) {
            for stored in self.store.entries(&ids.page(from, ZONES_PAGE)).await? {
                let zone = stored.as_ref().and_then(zone_of).unwrap_or_else(Zone::utc);
                if !zones.iter().any(|known| known.to_string() == zone.to_string()) {
                    zones.push(zone);
                }
            }
        }
        Ok(zones)
    }
}

fn zone_of(stored: &StoredEntry) -> Option<Zone> {
    let definition = stored.definition.as_ref().ok()?;
    Zone::parse("tz", definition.entry.get("tz")?.as_str()?).ok()
}

/// What is wrong with its runs: one that is stuck, and a last one that failed.
pub(super) fn trouble(
    id: &EntryId,
    stuck: Option<&LiveRun>,
    ended: Option<&RunView>,
    fleet: &Fleet,
    now: Timestamp,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(run) = stuck {
        let node = run.holder.as_deref().map(|holder| format!(" on {}", fleet.name_of(holder))).unwrap_or_default();
        let lasted = rough(Span((now.0 - run.started_at.unwrap_or(now).0).max(0).unsigned_abs()));
        warnings.push(format!("stuck: a run has been running for {lasted}{node}; upbeat why {id}"));
    }
    if let Some(run) = ended.filter(|run| run.state == State::Failed.word()) {
        let code = run.exit_code.filter(|code| *code != 0).map(|code| format!("exit {code}"));
        let why = code.or_else(|| run.message.clone()).or_else(|| run.reason.map(str::to_owned)).unwrap_or_default();
        warnings.push(format!("failing: its last run failed, {why}; upbeat why {id}"));
    }
    warnings
}

/// The newer of the two.
pub(super) fn newest(live: Option<LastRun>, ended: Option<LastRun>) -> Option<LastRun> {
    match (live, ended) {
        (Some(live), Some(ended)) if ended.fire_at > live.fire_at => Some(ended),
        (live, ended) => live.or(ended),
    }
}

pub(super) fn view(
    stored: &StoredEntry,
    fleet: &Fleet,
    calendars: &Calendars,
    last_run: Option<LastRun>,
    trouble: Vec<String>,
    now: Timestamp,
) -> EntryView {
    let entry =
        stored.definition.clone().and_then(|definition| definition.parse(&stored.id)?.with_calendars(calendars));
    let definition = stored.definition.as_ref().ok();
    let mut warnings = Vec::new();
    let until = definition.and_then(|definition| definition.paused_at(now)?.until);
    let until = until.filter(|_| stored.place == Some(Place::Paused));
    let has_woken =
        definition.is_some_and(|definition| definition.paused.is_some() && definition.paused_at(now).is_none());
    let mut status = match stored.place {
        Some(Place::Due | Place::Parked) => "active",
        // Its pause has ended, and no claim has noticed yet.
        Some(Place::Paused) if has_woken => "active",
        Some(Place::Paused) => "paused",
        Some(Place::Finished) => "finished",
        Some(Place::Broken) | None => "broken",
    };
    match &entry {
        Err(why) => {
            status = "broken";
            warnings.push(why.to_string());
        }
        Ok(_) if status == "broken" => {
            warnings
                .push("its plan is missing or damaged: it fires again once a live node has planned it afresh".into());
        }
        Ok(entry) if status != "finished" => {
            let kind = entry.action.kind();
            let unserved = kind.and_then(|kind| fleet.nobody_serves(&format!("{}:{}", entry.queue, kind.word())));
            warnings.extend(unserved.map(|unserved| unserved.warning()));
            let held = kind.and_then(|_| fleet.held(entry.queue.as_str()));
            warnings.extend(held.and_then(|held| held.warning()));
        }
        Ok(_) => {}
    }
    warnings.extend(trouble);
    let fields = definition.map(|definition| definition.entry.as_ref().clone()).unwrap_or_default();
    let or_null = |value: Option<Value>| value.unwrap_or(Value::Null);
    EntryView {
        id: stored.id.to_string(),
        status,
        schedule: or_null(entry.as_ref().ok().map(Entry::schedule_json)),
        action: or_null(entry.as_ref().ok().map(Entry::action_json)),
        queue: entry.as_ref().map_or_else(|_| "default".to_owned(), |entry| entry.queue.to_string()),
        labels: fields.get("labels").cloned().unwrap_or_else(|| Value::Object(Map::new())),
        owner: definition.map(|definition| definition.owner.clone()).unwrap_or_default(),
        next_fire_at: next_fire_at(stored, entry.as_ref().ok()).map(At),
        paused_until: until.map(At),
        last_run,
        revision: definition.map_or(0, |definition| definition.revision),
        warnings,
    }
}

/// As far as the plan knows it, else computed; without what is to be skipped.
fn next_fire_at(stored: &StoredEntry, entry: Option<&Entry>) -> Option<Timestamp> {
    let next = match stored.place? {
        Place::Due => stored.next_fire_at(),
        Place::Parked => entry?.schedule.next_after(Timestamp(stored.cursor().0 - 1)),
        Place::Paused => {
            let until = stored.definition.as_ref().ok()?.paused.as_ref()?.until?;
            entry?.schedule.next_after(Timestamp(until.max(stored.cursor()).0 - 1))
        }
        Place::Broken | Place::Finished => None,
    }?;
    match stored.skips.iter().any(|skip| skip.fire_at == next) {
        true => entry?.schedule.times_after(next).find(|time| !stored.skips.iter().any(|skip| skip.fire_at == *time)),
        false => Some(next),
    }
}

fn stats(definition: Option<&Definition>, runs: &[RunView]) -> Value {
    let count = |state: &str| runs.iter().filter(|run| run.state == state).map(|run| run.fires).sum::<u64>();
    let active = runs.iter().filter(|run| run.finished_at.is_none()).count();
    let usual = usual(runs);
    let last_success =
        runs.iter().filter(|run| run.state == State::Succeeded.word()).max_by_key(|run| run.last_fire_at);
    json!({
        "changed_at": definition.map(|definition| At(definition.at)),
        "created_at": definition.map(|definition| At(definition.created)),
        "actor": definition.map(|definition| definition.actor.clone()),
        "reason": definition.and_then(|definition| definition.reason.clone()),
        "succeeded": count("succeeded"),
        "failed": count("failed"),
        "skipped": count("skipped"),
        "missed": count("missed"),
        "cancelled": count("cancelled"),
        "active": active,
        "median_ms": usual.map(|usual| usual.median.0),
        "p95_ms": usual.map(|usual| usual.p95.0),
        "last_success_at": last_success.map(|run| run.last_fire_at),
    })
}
