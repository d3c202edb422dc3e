//! Self-healing: the entries of a schedule file are put back when the namespace was flushed, or was never used; never otherwise.
//!
//! A pass looks how each shard began ([`Store::beginning`]). Entries are put back where the beginning is another one than this node
//! has seen, or where the whole namespace began blank just now. What people removed has left its traces and stays away; what
//! exists stays as it is. Several nodes may do it at once: each entry is added once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::domain::span::Span;
use crate::error::{Error, Result};
use crate::node::state::Shared;
use crate::store::{Beginning, BeginningCall, FileNote, Store};

/// Between two passes; a first claim after a flush and a Redis that answers again hurry it.
const EVERY: Duration = Duration::from_secs(10);
/// After a pass that Redis did not answer.
const RETRY: Duration = Duration::from_secs(1);
/// Nodes that start so soon after a namespace began blank put back their files, too.
const NEW_FOR: Span = Span(60_000);

/// Entries that a node puts back after a flush.
#[derive(Clone)]
pub struct ScheduleSource {
    /// Who applies them: names what was put back, the same on every node.
    pub owner: String,
    /// Where they are written, for people.
    pub shown: String,
    /// Reads them again and adds those that are missing.
    pub recreate: Recreate,
}

/// Adds the entries that are missing. An invalid source is an error and adds nothing.
pub type Recreate = Arc<dyn Fn(RecreateCall) -> BoxFuture<'static, Result<Recreated>> + Send + Sync>;

/// What is to be put back.
#[derive(Clone)]
pub struct RecreateCall {
    /// Where.
    pub store: Store,
    /// Only entries of these shards.
    pub shards: Vec<u16>,
    /// Who does it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// What was put back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recreated {
    /// Entries that were added, by shard.
    pub added: Vec<(u16, u64)>,
    /// Entries that exist already, or that somebody removed meanwhile.
    pub left: u64,
    /// Entries that can't be added, and why.
    pub refused: Vec<String>,
}

impl fmt::Debug for ScheduleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduleSource").field("owner", &self.owner).field("shown", &self.shown).finish_non_exhaustive()
    }
}

/// Looks after one source.
pub struct Healing {
    shared: Arc<Shared>,
    source: ScheduleSource,
    /// The beginning of each shard as this node has seen it.
    seen: Vec<Option<String>>,
    /// What was complained about last: once is enough.
    complaint: Option<String>,
}

impl Healing {
    /// Before the first pass.
    pub fn new(shared: Arc<Shared>, source: ScheduleSource) -> Self {
        let seen = shared.store.shards().map(|_| None).collect();
        Self { shared, source, seen, complaint: None }
    }

    /// Passes until the node has stopped.
    pub async fn run(mut self) {
        let shared = self.shared.clone();
        loop {
            let wait = match self.pass().await {
                Ok(()) => EVERY.mul_f64(0.8 + fastrand::f64() * 0.4),
                Err(why) => {
                    self.complain(&why);
                    RETRY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shared.look_at_beginning.notified() => {}
            }
        }
    }

    /// Looks at every shard, and puts back what a flush took.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], or what is wrong with the source; the next pass tries again.
    pub async fn pass(&mut self) -> Result<()> {
        if self.shared.shutdown.is_draining() {
            return Ok(());
        }
        let mut beginnings = Vec::new();
        for shard in self.shared.store.shards() {
            beginnings.push(self.look(shard, FileNote::Nothing).await?);
        }
        let is_new = beginnings.iter().all(|one| one.is_blank && one.now.0 - one.at.0 <= NEW_FOR.ms());
        let shards: Vec<u16> = self
            .shared
            .store
            .shards()
            .filter(|shard| {
                let beginning = &beginnings[usize::from(*shard)];
                beginning.is_open || !beginning.is_done && (is_new || self.was_flushed(*shard, beginning))
            })
            .collect();
        if !shards.is_empty() {
            self.put_back(shards, &beginnings).await?;
        }
        for (seen, beginning) in self.seen.iter_mut().zip(beginnings) {
            *seen = Some(beginning.name);
        }
        tracing::debug!(schedule.file = %self.source.shown, "looked how the namespace began");
        Ok(())
    }

    /// Whether the shard began blank since this node has seen it.
    fn was_flushed(&self, shard: u16, beginning: &Beginning) -> bool {
        beginning.is_blank && self.seen[usize::from(shard)].as_ref().is_some_and(|seen| *seen != beginning.name)
    }

    async fn put_back(&mut self, shards: Vec<u16>, beginnings: &[Beginning]) -> Result<()> {
        let was_flushed = shards.iter().any(|shard| self.was_flushed(*shard, &beginnings[usize::from(*shard)]));
        let why = if was_flushed {
            "the namespace was flushed"
        } else {
            "nothing is on record in the namespace: it is new, or was flushed"
        };
        for shard in &shards {
            self.look(*shard, FileNote::Open { of: &beginnings[usize::from(*shard)].name }).await?;
        }
        let Shared { store, name, incarnation, .. } = &*self.shared;
        if !store.fix_shards().await? {
            tracing::error!(namespace = %store.namespace(), "the namespace has another number of shards now: restart this node");
        }
        let call = RecreateCall {
            store: store.clone(),
            shards: shards.clone(),
            actor: format!("node:{name}"),
            reason: format!("{why}; from {}", self.source.shown),
        };
        let recreated = (self.source.recreate)(call).await?;
        for shard in &shards {
            let count = recreated.added.iter().find(|(of, _)| of == shard).map_or(0, |(_, count)| *count);
            let of = beginnings[usize::from(*shard)].name.as_str();
            let note = FileNote::Done { of, count, node: &self.shared.name, shown: &self.source.shown };
            self.look(*shard, note).await?;
        }
        for refused in &recreated.refused {
            tracing::error!(schedule.file = %self.source.shown, why = %refused, "an entry of the schedule file can't be put back");
        }
        let added: u64 = recreated.added.iter().map(|(_, count)| count).sum();
        if added > 0 {
            tracing::warn!(
                node.id = %incarnation,
                namespace = %store.namespace(),
                schedule.file = %self.source.shown,
                entries.added = added,
                entries.left = recreated.left,
                "put back the entries of the schedule file: {why}. Fire times count from now, what was due before is not on record"
            );
        }
        self.complaint = None;
        Ok(())
    }

    async fn look(&self, shard: u16, note: FileNote<'_>) -> Result<Beginning> {
        let name = uuid::Uuid::new_v4().simple().to_string();
        let call = BeginningCall {
            name: &name,
            has_seen: self.seen[usize::from(shard)].is_some(),
            file: &self.source.owner,
            note,
        };
        self.shared.store.beginning(shard, &call).await
    }

    /// Says once what is wrong; that Redis is away is said elsewhere.
    fn complain(&mut self, why: &Error) {
        let text = why.to_string();
        if matches!(why, Error::Unavailable(_)) || self.complaint.as_ref() == Some(&text) {
            return;
        }
        tracing::error!(
            schedule.file = %self.source.shown,
            why = %text,
            "the namespace was flushed, and the schedule file can't be put back: it is tried again"
        );
        self.complaint = Some(text);
    }
}

impl Shared {
    /// Says that a namespace may have been flushed.
    pub fn may_be_flushed(&self) {
        if self.heals.load(Ordering::Relaxed) {
            self.look_at_beginning.notify_one();
        }
    }
}
