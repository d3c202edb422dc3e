//! Checks of the entries: do they fire, can their plans go on, how did their last runs end. Bounded: the first 10,000 of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::audit::RETENTION_MS;
use crate::domain::entry::Entry;
use crate::domain::id::EntryId;
use crate::domain::ledger;
use crate::domain::run::State;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::service::Service;
use crate::service::doctor::{Check, NAMED, Picture, about, counted, named, since};
use crate::service::nodes::Fleet;
use crate::service::queues::Held;
use crate::service::view::RunView;
use crate::store::{Place, StoredEntry};

/// Entries looked at one by one, at most.
const LOOKED_AT: usize = 10_000;
/// Entries whose last runs are read, at most.
const FAILING_READ: usize = 50;
/// So many failures in a row are wrong; fewer are worth a look.
const FAILURES: usize = 3;
/// A fire time that is older is no more on its way, ms.
const OVERDUE_MS: i64 = 60_000;
/// Parked entries are handed out again that often; later nobody plans them, ms.
const UNPLANNED_MS: i64 = 20_000;

/// What the walk over the entries found.
#[derive(Default)]
struct Walk {
    looked_at: usize,
    is_all: bool,
    unreadable: Vec<EntryId>,
    never_fired: Vec<EntryId>,
    no_ledger: Vec<EntryId>,
    failed: Vec<EntryId>,
    /// Entries by the list that their runs go to.
    lists: BTreeMap<String, usize>,
}

impl Service {
    pub(super) async fn check_entries(&self, picture: &Picture) -> Result<Vec<Check>> {
        let fleet = self.fleet().await?;
        let walk = self.walk().await?;
        let mut checks = vec![self.check_late(picture)];
        checks.push(self.check_broken(picture, &walk).await?);
        checks.push(self.check_plans(picture).await?);
        checks.push(never_fired(&walk));
        checks.push(self.check_failing(&walk).await?);
        checks.push(ledgers(&walk));
        checks.push(self.check_unserved(&walk, &fleet).await?);
        let total = picture.sum(|counts| counts.entries);
        if !walk.is_all {
            let value = format!("the first {} of {total} looked at", walk.looked_at);
            let message = "never_fired, failing, ledgers and queues tell of those";
            checks.push(Check::note("entries", value).message(message).todo("upbeat ls --warnings"));
        }
        Ok(checks)
    }

    async fn walk(&self) -> Result<Walk> {
        let mut walk = Walk { is_all: true, ..Walk::default() };
        for shard in self.store.shards() {
            let now = self.store.now(shard).await?;
            let mut cursor = None;
            loop {
                let (ids, next) = self.store.entry_ids(shard, cursor).await?;
                for page in ids.chunks(250) {
                    if walk.looked_at >= LOOKED_AT {
                        walk.is_all = false;
                        return Ok(walk);
                    }
                    let page = &page[..page.len().min(LOOKED_AT - walk.looked_at)];
                    self.look_at(shard, page, now, &mut walk).await?;
                }
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(walk)
    }

    async fn look_at(&self, shard: u16, ids: &[EntryId], now: Timestamp, walk: &mut Walk) -> Result<()> {
        let (stored, ledgers) = tokio::try_join!(self.store.entries(ids), self.store.ledgers(shard, ids))?;
        let ended = self.store.last_ended(shard, ids).await?;
        for (((id, stored), packed), ended) in ids.iter().zip(stored).zip(ledgers).zip(ended) {
            let Some(stored) = stored else { continue };
            walk.looked_at += 1;
            let has_failed = ended.is_some_and(|run| run.state == State::Failed);
            if has_failed {
                walk.failed.push(id.clone());
            }
            let is_read = ledger::read(&packed).is_some();
            if !is_read {
                walk.no_ledger.push(id.clone());
            }
            let entry = stored.definition.clone().and_then(|definition| definition.parse(id));
            let Ok(entry) = entry else {
                walk.unreadable.push(id.clone());
                continue;
            };
            if stored.place != Some(Place::Finished)
                && let Some(kind) = entry.action.kind()
            {
                *walk.lists.entry(format!("{}:{}", entry.queue, kind.word())).or_default() += 1;
            }
            if packed.is_empty() && stored.place != Some(Place::Paused) && self.owes(&stored, entry, now).await? {
                walk.never_fired.push(id.clone());
            }
        }
        Ok(())
    }

    /// Whether an entry without any record should have one.
    async fn owes(&self, stored: &StoredEntry, entry: Entry, now: Timestamp) -> Result<bool> {
        let Ok(definition) = &stored.definition else { return Ok(false) };
        let since = definition.counts_since();
        // Older records may have gone with age; a pause before may have been settled otherwise.
        if now.0 - definition.created.0 > RETENTION_MS || definition.paused.is_some() {
            return Ok(false);
        }
        let changed = definition.from.unwrap_or(definition.at).max(since);
        let delay = entry.spread.map_or(0, |spread| spread.ms());
        let Ok(entry) = self.store.resolve(entry).await else { return Ok(false) };
        Ok(entry.schedule.next_after(changed).is_some_and(|first| first.0 + delay + OVERDUE_MS < now.0))
    }

    fn check_late(&self, picture: &Picture) -> Check {
        let late = picture.sum(|counts| counts.late);
        let oldest = picture.counts.iter().filter_map(|counts| {
            let (id, at) = counts.oldest.as_ref()?;
            (counts.now.0 > at.0).then(|| (counts.now.0 - at.0, id, since(*at, counts.now)))
        });
        let Some((length, id, ago)) = oldest.max().filter(|(length, _, _)| *length > 5_000) else {
            return Check::ok("late", "nothing due waits to be claimed");
        };
        let value = format!("{late} due and not claimed, {id} for {ago}");
        let check = if length > OVERDUE_MS { Check::wrong("late", value) } else { Check::note("late", value) };
        match picture.live_nodes() {
            0 => check.message("there is no live node").todo("upbeat node"),
            _ => check
                .message("nodes are too few or can't read it; it follows catch_up when it is claimed")
                .todo(format!("upbeat why {id}"))
                .todo("upbeat nodes"),
        }
    }

    async fn check_broken(&self, picture: &Picture, walk: &Walk) -> Result<Check> {
        let mut broken = walk.unreadable.clone();
        for shard in self.store.shards() {
            let found = self.store.first_of(shard, Place::Broken, LOOKED_AT).await?;
            broken.extend(found.into_iter().map(|(id, _)| id));
        }
        let broken: Vec<EntryId> = broken.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        if broken.is_empty() {
            return Ok(Check::ok("broken", "no entry"));
        }
        let value = format!("{}: {}", counted(broken.len(), "entry", "entries"), named(&broken));
        let check =
            Check::wrong("broken", value).message("they do not fire until their plan or definition can be read");
        let check = if picture.live_nodes() == 0 { check.todo("upbeat node") } else { check };
        Ok(check.todos(about("why", &broken)))
    }

    async fn check_plans(&self, picture: &Picture) -> Result<Check> {
        let parked = picture.sum(|counts| counts.parked);
        let mut waiting = Vec::new();
        for (shard, counts) in self.store.shards().zip(&picture.counts) {
            if counts.parked == 0 {
                continue;
            }
            let first = self.store.first_of(shard, Place::Parked, LOOKED_AT).await?;
            let ids: Vec<EntryId> = first.iter().map(|(id, _)| id.clone()).collect();
            for (stored, (_, hand_out)) in self.store.entries(&ids).await?.into_iter().flatten().zip(&first) {
                let is_overdue = stored.cursor().0 + OVERDUE_MS < counts.now.0;
                if hand_out.0 + UNPLANNED_MS < counts.now.0 || is_overdue {
                    waiting.push(stored.id);
                }
            }
        }
        if waiting.is_empty() {
            return Ok(Check::ok(
                "plans",
                match parked {
                    0 => "none runs dry".to_owned(),
                    _ => format!("{parked} being written"),
                },
            ));
        }
        let value = format!("{} ran dry: {}", counted(waiting.len(), "plan", "plans"), named(&waiting));
        let check = Check::wrong("plans", value);
        Ok(match picture.live_nodes() {
            0 => check.message("a live node writes the next ones").todo("upbeat node"),
            _ => check
                .message("live nodes should have written the next ones; those with older zone data may not")
                .todo("upbeat nodes")
                .todos(about("why", &waiting)),
        })
    }

    async fn check_failing(&self, walk: &Walk) -> Result<Check> {
        if walk.failed.is_empty() {
            return Ok(Check::ok("failing", "no entry's last run failed"));
        }
        let mut longest: Option<(usize, EntryId)> = None;
        let mut often = Vec::new();
        for id in walk.failed.iter().take(FAILING_READ) {
            let stored = self.store.entry(id).await?;
            let mut runs: Vec<RunView> = self.ended(id, stored.as_ref()).await?;
            runs.sort_by_key(|run| std::cmp::Reverse((run.last_fire_at, run.finished_at)));
            let failed = State::Failed.word();
            let row = runs.iter().take_while(|run| run.state == failed).count();
            if row >= FAILURES {
                often.push(id.clone());
            }
            if longest.as_ref().is_none_or(|(most, _)| *most < row) {
                longest = Some((row, id.clone()));
            }
        }
        let Some((most, worst)) = longest else { return Ok(Check::ok("failing", "no entry's last run failed")) };
        if often.is_empty() {
            let value =
                format!("the last run of {}: {}", counted(walk.failed.len(), "entry", "entries"), named(&walk.failed));
            return Ok(Check::note("failing", value)
                .message("the next one may succeed")
                .todos(about("why", &walk.failed)));
        }
        let value =
            format!("{}: {}; {worst} {most} times in a row", counted(often.len(), "entry", "entries"), named(&often));
        Ok(Check::wrong("failing", value).todos(about("why", &often)).todo(format!("upbeat logs {worst}")))
    }

    async fn check_unserved(&self, walk: &Walk, fleet: &Fleet) -> Result<Check> {
        let mut waiting: BTreeMap<String, u64> = BTreeMap::new();
        for shard in self.store.shards() {
            for (list, runs) in self.store.waiting(shard).await? {
                *waiting.entry(list).or_default() += runs;
            }
        }
        let lists: BTreeSet<&String> = walk.lists.keys().chain(waiting.keys()).collect();
        let mut unserved = Vec::new();
        for list in &lists {
            let runs = waiting.get(*list).copied().unwrap_or(0);
            let entries = walk.lists.get(*list).copied().unwrap_or(0);
            // A list that nobody uses any more needs nobody.
            if let Some(why) = fleet.nobody_serves(list).filter(|_| runs > 0 || entries > 0) {
                unserved.push((format!("{list}: {entries} entries, {runs} runs wait"), why));
            }
        }
        if unserved.is_empty() {
            if let Some(check) = held(&waiting, fleet) {
                return Ok(check);
            }
            let value = if lists.is_empty() { "none yet".to_owned() } else { format!("{}, all served", lists.len()) };
            return Ok(Check::ok("queues", value));
        }
        let value: Vec<&str> = unserved.iter().take(3).map(|(value, _)| value.as_str()).collect();
        let message: Vec<String> = unserved.iter().take(3).map(|(_, why)| why.why()).collect();
        Ok(Check::wrong("queues", value.join("; "))
            .message(message.join("; "))
            .todos(unserved.iter().take(3).map(|(_, why)| why.command())))
    }
}

/// Queues of which nothing starts: that somebody paused one is worth a look, that its limits can't be read is wrong.
fn held(waiting: &BTreeMap<String, u64>, fleet: &Fleet) -> Option<Check> {
    let shut = fleet.gates.shut();
    let is_shut = |list: &str| shut.contains_key(list.rsplit_once(':').map_or(list, |(queue, _)| queue));
    let runs: u64 = waiting.iter().filter(|(list, _)| is_shut(list)).map(|(_, runs)| runs).sum();
    let names: Vec<&str> = shut.keys().take(NAMED).map(String::as_str).collect();
    let value = format!(
        "{} nothing start, {}: {}",
        counted(shut.len(), "queue lets", "queues let"),
        counted(usize::try_from(runs).unwrap_or(usize::MAX), "run waits", "runs wait"),
        names.join(", ")
    );
    let is_wrong = shut.values().any(Held::is_unreadable);
    let check = if is_wrong { Check::wrong("queues", value) } else { Check::note("queues", value) };
    let mut first: Vec<&Held> = shut.values().collect();
    first.sort_by_key(|held| !held.is_unreadable());
    first.truncate(NAMED);
    let why: Vec<String> = first.iter().map(|held| held.why(Timestamp::to_rfc3339)).collect();
    let check = check.message(why.join("; ")).todos(first.iter().map(|held| held.command()));
    (!shut.is_empty()).then_some(check)
}

fn never_fired(walk: &Walk) -> Check {
    if walk.never_fired.is_empty() {
        return Check::ok("never_fired", "every entry that was due has fired");
    }
    let ids = &walk.never_fired;
    Check::wrong("never_fired", format!("{}: {}", counted(ids.len(), "entry", "entries"), named(ids)))
        .message("a fire time has passed, and nothing is on record")
        .todos(about("why", ids))
}

fn ledgers(walk: &Walk) -> Check {
    if walk.no_ledger.is_empty() {
        return Check::ok("ledgers", "all can be read");
    }
    let ids = &walk.no_ledger;
    Check::wrong("ledgers", format!("{} can't be read: {}", counted(ids.len(), "ledger", "ledgers"), named(ids)))
        .message("what fired before can't be proved; the entry fires all the same")
        .todos(ids.iter().take(3).map(|id| format!("upbeat audit {id}")))
}
