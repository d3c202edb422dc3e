//! What a node executes: attempts in slots, and the slots promised to calls in flight.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::domain::span::Span;
use crate::node::action::{Output, Stop};

/// Names one attempt: run id and fence, since a run may come back to a node that still executes a lost attempt of it.
pub type AttemptId = (String, u64);

/// The slots of a node.
#[derive(Debug)]
pub struct Slots {
    concurrency: usize,
    inner: Mutex<Inner>,
    /// Notified when somebody watches.
    pub watchers: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    running: HashMap<AttemptId, Running>,
    /// Promised to calls in flight.
    reserved: usize,
    /// Attempts that have ended and whose end Redis does not know yet.
    ending: usize,
}

#[derive(Debug)]
struct Running {
    shard: u16,
    attempt: u32,
    stop: watch::Sender<Option<Stop>>,
    output: Output,
    /// Bytes of its output that are shown.
    shown: u64,
    /// Until then somebody watches.
    watched_until: Option<Instant>,
}

/// The output of an attempt that somebody watches.
#[derive(Debug)]
pub struct Watched {
    pub id: AttemptId,
    pub shard: u16,
    pub attempt: u32,
    pub output: Output,
}

impl Slots {
    /// So many, all free.
    pub fn new(concurrency: usize) -> Self {
        Self { concurrency, inner: Mutex::default(), watchers: Notify::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Slots that are neither used nor promised.
    pub fn free(&self) -> usize {
        let inner = self.inner();
        self.concurrency.saturating_sub(inner.running.len() + inner.reserved)
    }

    /// Attempts that run, or whose end is not yet recorded.
    pub fn used(&self) -> usize {
        let inner = self.inner();
        inner.running.len() + inner.ending
    }

    /// Whether nothing runs, every end is recorded and no call is in flight that may start something.
    pub fn is_idle(&self) -> bool {
        let inner = self.inner();
        inner.running.is_empty() && inner.ending == 0 && inner.reserved == 0
    }

    /// Promises up to `most` free slots to a call; give the same number back with [`Slots::release`].
    pub fn reserve(&self, most: usize) -> usize {
        let mut inner = self.inner();
        let free = self.concurrency.saturating_sub(inner.running.len() + inner.reserved);
        let promised = free.min(most);
        inner.reserved += promised;
        promised
    }

    /// Takes a promise back.
    pub fn release(&self, promised: usize) {
        self.inner().reserved -= promised;
    }

    /// An attempt begins, which writes to `output`; the older attempts of its run are told that they lost it.
    pub fn begin(&self, id: AttemptId, shard: u16, attempt: u32, output: Output) -> watch::Receiver<Option<Stop>> {
        let (stop, stopped) = watch::channel(None);
        let mut inner = self.inner();
        for ((run_id, _), older) in &inner.running {
            if *run_id == id.0 {
                older.stop.send_replace(Some(Stop::Lost));
            }
        }
        inner.running.insert(id, Running { shard, attempt, stop, output, shown: 0, watched_until: None });
        stopped
    }

    /// An attempt has ended; its slot is free, its end is not yet recorded.
    pub fn end(&self, id: &AttemptId) {
        let mut inner = self.inner();
        if inner.running.remove(id).is_some() {
            inner.ending += 1;
        }
    }

    /// The ends of so many attempts are recorded.
    pub fn recorded(&self, count: usize) {
        let mut inner = self.inner();
        inner.ending = inner.ending.saturating_sub(count);
    }

    /// Asks attempts of one run to stop.
    pub fn stop_run(&self, run_id: &str, stop: Stop) {
        for ((id, _), running) in &self.inner().running {
            if id == run_id {
                running.stop.send_replace(Some(stop));
            }
        }
    }

    /// Asks every attempt to stop.
    pub fn stop_all(&self, stop: Stop) {
        for running in self.inner().running.values() {
            running.stop.send_replace(Some(stop));
        }
    }

    /// Attempts that run in a shard.
    pub fn running_in(&self, shard: u16) -> Vec<AttemptId> {
        let inner = self.inner();
        inner.running.iter().filter(|(_, running)| running.shard == shard).map(|(id, _)| id.clone()).collect()
    }

    /// These runs are watched, each for so long from now on.
    pub fn watch(&self, watched: &[(String, Span)]) {
        if watched.is_empty() {
            return;
        }
        let now = Instant::now();
        for ((id, _), running) in &mut self.inner().running {
            if let Some((_, length)) = watched.iter().find(|(run_id, _)| run_id == id) {
                running.watched_until = now.checked_add(Duration::from_millis(length.0));
            }
        }
        self.watchers.notify_one();
    }

    /// Attempts that are watched and have written more than is shown.
    pub fn unshown(&self) -> Vec<Watched> {
        let inner = self.inner();
        let news =
            inner.running.iter().filter(|(_, one)| one.watched_until.is_some() && one.output.written() > one.shown);
        news.map(|(id, one)| Watched {
            id: id.clone(),
            shard: one.shard,
            attempt: one.attempt,
            output: one.output.clone(),
        })
        .collect()
    }

    /// So many bytes of what an attempt has written are shown.
    pub fn shown(&self, id: &AttemptId, written: u64) {
        if let Some(running) = self.inner().running.get_mut(id) {
            running.shown = written;
        }
    }

    /// Whether anything is watched.
    pub fn is_watched(&self) -> bool {
        self.inner().running.values().any(|running| running.watched_until.is_some())
    }

    /// The shards of attempts whose watch has ended, as far as this node knows; they count as unwatched from here on.
    pub fn unwatched(&self) -> BTreeSet<u16> {
        let now = Instant::now();
        let mut shards = BTreeSet::new();
        for running in self.inner().running.values_mut() {
            if running.watched_until.is_some_and(|until| until <= now) {
                running.watched_until = None;
                shards.insert(running.shard);
            }
        }
        shards
    }
}
