//! Handing a schedule back: a beat is ready first, then upbeat pauses and RedBeat goes on from what each entry did last.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::domain::id::EntryId;
use crate::domain::import::celery::BeatEntry;
use crate::domain::import::redbeat::{Field, Held, Kept, WAKER, json, parked, resumes, waker};
use crate::domain::ledger;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::service::redbeat::Odd;
use crate::service::view::At;
use crate::service::wanted::STEP_ENTRIES_LEAST;
use crate::service::{RedBeatSource, Request, Service};
use crate::store::{ChangeCall, RedBeat, Restored, StoredEntry, Taken};

/// Begins the reason of the pause of what was handed back.
pub(super) const WHY: &str = "handed back to RedBeat";
/// Begins the reason of what was taken over, and so the pause of what was disabled.
pub(super) const TAKEN: &str = "taken over from RedBeat";
/// Between two looks at the lock.
const LOOK: Duration = Duration::from_millis(40);
/// A lock that ends so much later than before was extended, ms.
const EXTENDED_MS: i64 = 100;
/// So long before a tick the switch begins, and so much more for each entry, ms.
const AHEAD_MS: i64 = 250;
const AHEAD_EACH_MS: i64 = 2;
/// How often entries are paused that somebody else changes meanwhile.
const ROUNDS: usize = 5;

/// How a schedule is handed back.
#[derive(Debug, Clone, Copy)]
pub struct HandBackOptions {
    /// How long to wait for a beat that holds the lock and ticks; at once where it is none.
    pub wait: Option<Duration>,
}

/// What a hand-back did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HandBackView {
    /// `given`, `would_give` in a dry run.
    pub state: &'static str,
    /// When it was taken over.
    pub taken_at: At,
    /// When upbeat paused.
    pub at: Option<At>,
    /// Entries that RedBeat goes on with.
    pub entries: usize,
    /// What upbeat fired of them.
    pub fired: u64,
    /// Whether a beat was seen that ticks.
    pub has_beat: bool,
    /// What is not as it was.
    pub odd: Vec<Odd>,
}

/// An entry on its way back.
struct Back {
    kept: Restored,
    id: Option<EntryId>,
    beat: Option<BeatEntry>,
}

impl Back {
    fn kept(&self) -> Kept<'_> {
        Kept { beat: self.beat.as_ref(), meta: &self.kept.meta, score: self.kept.score }
    }
}

impl Service {
    /// Gives the schedule back, or goes on where an earlier call was cut off.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where nothing was taken over, or by another namespace; [`Error::TimedOut`] where no beat came: upbeat
    /// fires on.
    pub async fn hand_back(
        &self,
        source: &RedBeatSource,
        request: &Request,
        options: HandBackOptions,
    ) -> Result<HandBackView> {
        request.check()?;
        let redbeat = &source.redbeat;
        let Some(taken) = redbeat.taken().await? else {
            let why = "nothing was taken over here, or it was given back already";
            return Err(Error::Conflict(Problem::new("redbeat", why)));
        };
        self.is_ours(&taken)?;
        let backs = backs(redbeat).await?;
        let mut view = HandBackView {
            state: "would_give",
            taken_at: At(taken.at),
            at: None,
            entries: backs.len(),
            fired: 0,
            has_beat: false,
            odd: Vec::new(),
        };
        if request.is_dry_run {
            let stored = self.entries_of(&backs).await?;
            let now = redbeat.now().await?;
            view.fired = self.restored(&backs, &taken, now).await?.1;
            view.odd = odd(&backs, &stored);
            return Ok(view);
        }
        let now = redbeat.now().await?;
        let (definition, meta) = waker(WAKER, now);
        let still: Vec<Restored> = backs
            .iter()
            .map(|back| {
                let (meta, score) = parked(&back.kept(), now);
                Restored { key: back.kept.key.clone(), meta, score }
            })
            .collect();
        redbeat.open(&taken.token, (&definition, &meta), &still).await?;
        if taken.phase != "taken" {
            self.end_take_over(&taken, &backs).await?;
        }
        // Paused by a call that was cut off: nobody fires until it is given back.
        let is_begun = self.entries_of(&backs).await?.iter().any(is_handed_back);
        if let Some(wait) = options.wait.filter(|_| !is_begun)
            && redbeat.place().lock.is_some()
        {
            let ahead_ms = AHEAD_MS + AHEAD_EACH_MS * backs.len() as i64;
            self.before_a_tick(redbeat, &taken, wait, ahead_ms).await?;
            view.has_beat = true;
        }
        view.odd = odd(&backs, &self.entries_of(&backs).await?);
        self.pause_all(request, &backs).await?;
        view.at = Some(At(self.store.now(0).await?));
        let (entries, fired) = self.restored(&backs, &taken, redbeat.now().await?).await?;
        redbeat.give(&taken.token, &entries).await?;
        Ok(HandBackView { state: "given", fired, ..view })
    }

    /// Keeps a take-over from writing entries that is still on its way, however slow: each of its steps counts as another request.
    async fn end_take_over(&self, taken: &Taken, backs: &[Back]) -> Result<()> {
        let request = taking(taken);
        for shard in self.store.shards() {
            let ids = backs.iter().filter_map(|back| back.id.as_ref());
            let entries = ids.filter(|id| self.store.shard_of(id) == shard).count();
            for number in 0..entries.div_ceil(STEP_ENTRIES_LEAST) {
                let id = request.step(shard, number);
                let call = ChangeCall { request: &id, content: WHY, changes: &[], is_dry_run: false };
                self.store.put(shard, &call).await?;
            }
        }
        Ok(())
    }

    /// Waits until a beat ticks, and then until shortly before it does so again: what falls due in between is late by that.
    async fn before_a_tick(&self, redbeat: &RedBeat, taken: &Taken, wait: Duration, ahead_ms: i64) -> Result<()> {
        let begun = Instant::now();
        // The token of the beat, and when its lock ended at its last tick.
        let mut last: Option<(String, Timestamp)> = None;
        while begun.elapsed() < wait {
            let lock = redbeat.lock().await?;
            let held = lock.and_then(|lock| Some((lock.token?, lock.until?)));
            match (held, &last) {
                (Some((token, until)), Some((known, before))) if token == *known => {
                    let period_ms = until.0 - before.0;
                    if period_ms > EXTENDED_MS {
                        // It has just ticked, and does so again after as long.
                        let rest_ms = period_ms - ahead_ms.min(period_ms / 2) - LOOK.as_millis() as i64;
                        tokio::time::sleep(Duration::from_millis(rest_ms.max(0).unsigned_abs())).await;
                        return Ok(());
                    }
                    // The first tick comes right after the lock was taken.
                    last = Some((token, until));
                }
                (Some((token, until)), _) if token != taken.token => last = Some((token, until)),
                _ => last = None,
            }
            tokio::time::sleep(LOOK).await;
        }
        let why = format!("no beat took the lock within {} s; upbeat fires on", wait.as_secs());
        let hint =
            "start a beat, and ask again; --wait D waits longer, --no-wait gives it back to a beat that comes later";
        Err(Error::TimedOut(Problem::new("hand-back", why).hint(hint)))
    }

    /// The entries here, where they are.
    async fn entries_of(&self, backs: &[Back]) -> Result<Vec<StoredEntry>> {
        let ids: Vec<EntryId> = backs.iter().filter_map(|back| back.id.clone()).collect();
        Ok(self.store.entries(&ids).await?.into_iter().flatten().collect())
    }

    /// Pauses all of them; none fires here when it returns.
    async fn pause_all(&self, request: &Request, backs: &[Back]) -> Result<()> {
        let reason = request.reason.as_ref().map_or_else(|| WHY.to_owned(), |reason| format!("{WHY}: {reason}"));
        for round in 0..ROUNDS {
            let stored = self.entries_of(backs).await?;
            let now = self.store.now(0).await?;
            // One that is paused until an instant fires from then on.
            let is_active = |stored: &&StoredEntry| {
                let pause = stored.definition.as_ref().ok().and_then(|definition| definition.paused_at(now));
                pause.is_none_or(|pause| pause.until.is_some())
            };
            let ids: Vec<EntryId> = stored.iter().filter(is_active).map(|stored| stored.id.clone()).collect();
            if ids.is_empty() {
                return Ok(());
            }
            let id = format!("{}-pause-{round}", request.id);
            let request = Request { id, reason: Some(reason.clone()), ..request.clone() };
            self.pause(&request, &ids).await?;
        }
        let why = "somebody changes the entries here all the time: not all of them could be paused";
        Err(Error::Conflict(Problem::new("hand-back", why).hint("ask again; RedBeat does not fire yet")))
    }

    /// What each entry goes on with there, and how many fires of all were upbeat's.
    async fn restored(&self, backs: &[Back], taken: &Taken, now: Timestamp) -> Result<(Vec<Restored>, u64)> {
        let mut ledgers: HashMap<EntryId, Vec<u8>> = HashMap::new();
        for shard in self.store.shards() {
            let ids = backs.iter().filter_map(|back| back.id.clone());
            let ids: Vec<EntryId> = ids.filter(|id| self.store.shard_of(id) == shard).collect();
            for page in ids.chunks(500) {
                ledgers.extend(page.iter().cloned().zip(self.store.ledgers(shard, page).await?));
            }
        }
        let mut all = 0;
        let restored = backs.iter().map(|back| {
            let ledger = back.id.as_ref().and_then(|id| ledger::read(ledgers.get(id)?));
            let resumes = resumes(&back.kept(), &ledger.unwrap_or_default(), taken.at, now);
            all += resumes.fired;
            Restored { key: back.kept.key.clone(), meta: resumes.meta, score: resumes.score }
        });
        Ok((restored.collect(), all))
    }
}

/// What a take-over writes is this request, whoever asked for it: its steps are known by that.
pub(super) fn taking(taken: &Taken) -> Request {
    Request { id: taken.token.clone(), actor: String::new(), reason: None, is_dry_run: false }
}

/// All that was taken over, with the definitions that stand there now.
async fn backs(redbeat: &RedBeat) -> Result<Vec<Back>> {
    let kept = redbeat.kept().await?;
    let keys: Vec<(Vec<u8>, Option<f64>)> =
        kept.iter().map(|(one, _)| (one.key.clone().into_bytes(), Some(one.score))).collect();
    let stored = redbeat.stored_at(&keys).await?;
    let backs = kept.into_iter().zip(stored).map(|((kept, id), stored)| {
        let beat = match &stored.held {
            Held::Entry { definition: Field::Text(text), .. } => {
                json("definition", text).and_then(|definition| BeatEntry::read(&definition, None)).ok()
            }
            _ => None,
        };
        let id = id.and_then(|id| EntryId::parse("id", &id).ok());
        Back { kept, id, beat }
    });
    Ok(backs.collect())
}

fn is_handed_back(stored: &StoredEntry) -> bool {
    let paused = stored.definition.as_ref().ok().and_then(|definition| definition.paused.as_ref());
    paused.and_then(|paused| paused.reason.as_deref()).is_some_and(|reason| reason.starts_with(WHY))
}

/// What people should know of single entries.
fn odd(backs: &[Back], stored: &[StoredEntry]) -> Vec<Odd> {
    let mut odd = Vec::new();
    for back in backs {
        let mut say = |reason: &str| odd.push(Odd { name: back.kept.key.clone(), reason: reason.to_owned() });
        let Some(beat) = &back.beat else {
            say("its definition is gone or damaged there");
            continue;
        };
        let Some(id) = &back.id else { continue };
        let Some(here) = stored.iter().find(|stored| stored.id == *id) else {
            say("was removed here, and fires in RedBeat again");
            continue;
        };
        let Ok(definition) = &here.definition else { continue };
        let is_ours = |reason: Option<&str>| reason.is_some_and(|why| why.starts_with(WHY) || why.starts_with(TAKEN));
        if let Some(paused) = &definition.paused {
            if beat.is_enabled && !is_ours(paused.reason.as_deref()) {
                say("was paused here, and fires in RedBeat again");
            }
        } else if !beat.is_enabled {
            say("was resumed here, and is disabled in RedBeat");
        }
    }
    odd
}
