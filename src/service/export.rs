//! export: entries as a file that `apply` reads back; and where runs of an entry could be executed.

use std::collections::BTreeSet;

use crate::domain::action::Kind;
use crate::domain::calendar::StoredCalendar;
use crate::domain::entry::Entry;
use crate::domain::file::{CalendarSource, FileCalendar, FileEntry, ScheduleFile};
use crate::domain::id::{CalendarName, Owner};
use crate::domain::node::NodeInfo;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::service::{Select, Service};

/// Entries that a warning names, at most.
const NAMED: usize = 10;
/// A node that has not been heard of for this long is lost.
const LOST_AFTER_MS: i64 = 10_000;

/// Who can run an entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WhereToRun {
    /// Names of live nodes.
    pub nodes: Vec<String>,
    /// That there are none, with the way out.
    pub warnings: Vec<String>,
}

/// Entries as a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exported {
    /// The file: applied to an empty namespace it gives the same fire times.
    pub file: ScheduleFile,
    /// What it can't say.
    pub warnings: Vec<String>,
}

/// What no file can say, with the entries that it is about.
#[derive(Default)]
struct Unsaid {
    pauses: Vec<String>,
    skips: Vec<String>,
    limits: Vec<String>,
}

impl Service {
    /// Entries as a file, by id: their fields, the anchor included, and the calendars that they name, all of them with all
    /// entries; the owner where they have the same.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::NotFound`] about `entry`; [`crate::error::Error::Corrupt`] where one can't be read.
    pub async fn export(&self, select: &Select) -> Result<Exported> {
        let mut file = ScheduleFile::default();
        let ids = self.select(select).await?;
        let now = self.store.now(0).await?;
        let mut owners = BTreeSet::new();
        let mut unsaid = Unsaid::default();
        for (id, stored) in ids.iter().zip(self.store.entries(&ids).await?) {
            // One of those that are not named by id may be removed meanwhile.
            let Some(stored) = stored else { continue };
            let definition = stored.definition?;
            let entry = definition.parse(id)?;
            let paused = definition.paused_at(now);
            if paused.is_some_and(|paused| paused.until.is_some()) {
                unsaid.pauses.push(id.to_string());
            }
            if stored.skips.iter().any(|skip| skip.fire_at > now) {
                unsaid.skips.push(id.to_string());
            }
            if entry.max_fires.is_some() && self.store.fires_of(id).await? > 0 {
                unsaid.limits.push(id.to_string());
            }
            file.entries.push(FileEntry { id: id.clone(), entry, is_paused: paused.is_some() });
            owners.insert(definition.owner);
        }
        let calendars = match select {
            Select::All => self.store.all_calendars().await?,
            _ => {
                let named = file.entries.iter().flat_map(|one| one.entry.schedule.exclude.calendars());
                let named: BTreeSet<CalendarName> = named.cloned().collect();
                self.store.calendars(&named.into_iter().collect::<Vec<_>>()).await?
            }
        };
        let dates = |stored: StoredCalendar| CalendarSource::Dates(stored.dates);
        let calendars = calendars.0.into_iter().map(|(name, stored)| FileCalendar { name, source: dates(stored) });
        file.calendars = calendars.collect();
        let used: BTreeSet<&str> = file.entries.iter().map(|one| one.entry.queue.as_str()).collect();
        file.queues = self.limited_queues().await?;
        file.queues.retain(|one| *select == Select::All || used.contains(one.name.as_str()));
        let mut warnings = unsaid.warnings();
        let paused = self.paused_queues().await?.into_iter();
        let paused: Vec<String> = paused.filter(|one| *select == Select::All || used.contains(one.as_str())).collect();
        warnings.extend(about(&paused, "a paused queue: a file can't say so, upbeat queues pause Q"));
        match owners.first() {
            Some(owner) if owners.len() == 1 => file.owner = Some(Owner::parse("owner", owner)?),
            Some(_) => {
                let owners = owners.into_iter().collect::<Vec<_>>().join(", ");
                warnings.push(format!("entries of owners {owners}: owner is left out; --owner O exports one"));
            }
            None => {}
        }
        Ok(Exported { file, warnings })
    }

    /// Which live nodes can run an entry. A direct action needs none.
    pub async fn where_to_run(&self, entry: &Entry) -> Result<WhereToRun> {
        let Some(list) = list_of(entry) else { return Ok(WhereToRun::default()) };
        let live = self.live_nodes().await?;
        let able = live.iter().filter(|node| node.serves.has(&list));
        let nodes: Vec<String> = able.map(|node| node.node.clone()).collect();
        let warnings = if nodes.is_empty() { vec![nobody(&list, &live)] } else { Vec::new() };
        Ok(WhereToRun { nodes, warnings })
    }

    /// What no live node may run of these entries, once for each queue and kind of action.
    pub(super) async fn unserved<'e>(&self, entries: impl Iterator<Item = &'e Entry>) -> Result<Vec<String>> {
        self.unserved_lists(entries.filter_map(list_of).collect()).await
    }

    /// Which of these lists no live node serves.
    pub(super) async fn unserved_lists(&self, lists: BTreeSet<String>) -> Result<Vec<String>> {
        if lists.is_empty() {
            return Ok(Vec::new());
        }
        let live = self.live_nodes().await?;
        let is_unserved = |list: &&String| !live.iter().any(|node| node.serves.has(list));
        Ok(lists.iter().filter(is_unserved).map(|list| nobody(list, &live)).collect())
    }

    async fn live_nodes(&self) -> Result<Vec<NodeInfo>> {
        let (nodes, now) = tokio::try_join!(self.store.nodes(), self.store.now(0))?;
        let is_live = |node: &NodeInfo, seen: Timestamp| node.state == "live" && now.0 - seen.0 <= LOST_AFTER_MS;
        Ok(nodes.into_iter().filter(|(node, seen)| is_live(node, *seen)).map(|(node, _)| node).collect())
    }
}

impl Unsaid {
    fn warnings(self) -> Vec<String> {
        let what = [
            (self.pauses, "paused until an instant: the file says paused, without an end"),
            (self.skips, "fire times to come are to be skipped: a file can't say so"),
            (self.limits, "max_fires: where it is added anew it counts from 0 again"),
        ];
        what.iter().filter_map(|(ids, why)| about(ids, why)).collect()
    }
}

/// What is said about some of them, where there are any.
fn about(ids: &[String], why: &str) -> Option<String> {
    let names = match ids.len().saturating_sub(NAMED) {
        0 => ids.join(", "),
        more => format!("{} and {more} more", ids[..NAMED].join(", ")),
    };
    (!ids.is_empty()).then(|| format!("{names}: {why}"))
}

/// The list that runs of an entry wait in.
pub(super) fn list_of(entry: &Entry) -> Option<String> {
    entry.action.kind().map(|kind| format!("{}:{}", entry.queue, kind.word()))
}

/// That nobody serves a list, and what helps.
fn nobody(list: &str, live: &[NodeInfo]) -> String {
    let (queue, kind) = list.rsplit_once(':').unwrap_or((list, ""));
    let why = format!("no live node may run {kind} in queue {queue}: runs will wait");
    let serving =
        |node: &&NodeInfo| node.serves.queues.as_ref().is_none_or(|queues| queues.iter().any(|one| one == queue));
    // What a node runs unasked.
    let allow = if kind == Kind::Http.word() { String::new() } else { format!(" --allow {kind}") };
    let queues = if queue == "default" { String::new() } else { format!(" --queues {queue}") };
    match live.iter().find(serving) {
        Some(node) if allow.is_empty() => {
            format!("{why}; node `{}` serves the queue: start it without --allow none", node.node)
        }
        Some(node) => format!("{why}; node `{}` serves the queue: start it with{allow}", node.node),
        None => format!("{why}; start one: upbeat node{queues}{allow}"),
    }
}
