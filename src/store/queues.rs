//! Limits and pauses of queues: written in every shard, read with what they leave room for.

use std::collections::BTreeMap;

use fred::types::Value;

use crate::domain::queue::{QUEUES_MAX, QueueLimits, QueueRule, Rate, share, started};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::keys::{self, Key};
use crate::store::reply::{self, Reply, maybe_bytes, number, pairs, texts};
use crate::store::scripts::digest;

/// What is done with a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueVerb {
    /// Limits it: what is `None` stays as it is, what is `Some(None)` goes.
    Set {
        /// Runs that execute at a time.
        max_running: Option<Option<u32>>,
        /// How fast they may start.
        rate: Option<Option<Rate>>,
    },
    /// Nothing of it starts.
    Pause,
    /// Ends that.
    Resume,
}

impl QueueVerb {
    fn word(self) -> &'static str {
        match self {
            Self::Set { .. } => "set",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}

/// A change of a queue.
#[derive(Debug, Clone)]
pub struct QueueCall<'a> {
    /// The same request gets the same answer for 24 h.
    pub request: &'a str,
    /// What was asked for: the same request id with other content is a conflict.
    pub content: &'a str,
    /// Its name.
    pub queue: &'a str,
    /// What.
    pub verb: QueueVerb,
    /// Who asks.
    pub actor: &'a str,
    /// Why.
    pub reason: Option<&'a str>,
    /// Says what would be and writes nothing.
    pub is_dry_run: bool,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum QueueAnswer {
    /// The request id came before with other content.
    OtherRequest,
    /// As many queues have rules as may.
    Full,
    /// What stands can be read by a newer program only.
    Newer,
    /// What stands is damaged; setting limits mends it.
    Damaged,
    /// It stands as asked for.
    Done {
        /// Whether it did not before.
        is_changed: bool,
        /// What stood; `None` where nothing did, or nothing that can be read.
        before: Option<Box<QueueRule>>,
        /// What stands.
        after: Option<Box<QueueRule>>,
    },
}

/// A queue with limits or a pause in one shard, and what they leave room for; a picture of a moment.
#[derive(Debug, Clone)]
pub struct QueueState {
    /// Its rule, where it can be read; else nothing of it starts.
    pub rule: Result<QueueRule>,
    /// Runs that execute, as they are marked; `None` until they are counted.
    pub running: Option<u64>,
    /// Runs that started within the span of its rate.
    pub started: u64,
    /// When the oldest of those counts no longer.
    pub next_at: Option<Timestamp>,
}

const PUT_KEYS: &[Key] =
    &[Key::Clock, Key::QueueRules, Key::Occupied, Key::Starts, Key::Requests, Key::Requested, Key::Events];
/// Run ids in one call.
const PAGE: usize = 500;

impl Store {
    /// Limits, pauses or resumes a queue in a shard.
    pub async fn put_queue(&self, shard: u16, call: &QueueCall<'_>) -> Result<QueueAnswer> {
        let shards = self.shards().end;
        let (mut most, mut running_share, mut rate, mut rate_share, mut rate_ms) =
            (String::new(), 0, String::new(), 0, 0);
        if let QueueVerb::Set { max_running: set_running, rate: set_rate } = call.verb {
            if let Some(limit) = set_running {
                most = limit.unwrap_or(0).to_string();
                running_share = limit.map_or(0, |limit| share(limit, shard, shards));
            }
            if let Some(new) = set_rate {
                rate = new.map_or_else(|| "-".to_owned(), |new| new.to_string());
                rate_share = new.map_or(0, |new| share(new.starts, shard, shards));
                rate_ms = new.map_or(0, |new| new.span.ms());
            }
        }
        let args: Vec<Value> = vec![
            call.request.into(),
            digest(&[call.content.as_bytes()]).into(),
            keys::nudges(self.namespace()).into(),
            call.queue.into(),
            call.verb.word().into(),
            most.into(),
            i64::from(running_share).into(),
            rate.into(),
            i64::from(rate_share).into(),
            rate_ms.into(),
            call.actor.into(),
            call.reason.unwrap_or_default().into(),
            i64::from(call.is_dry_run).into(),
            (QUEUES_MAX as i64).into(),
        ];
        let (script, keys) = (&self.scripts().put_queue, self.keys(shard).all(PUT_KEYS));
        let reply = if call.is_dry_run {
            // Whoever may only read may ask.
            self.look(script, &keys, args).await?
        } else {
            self.eval(script, &keys, args).await?
        };
        let mut reply = Reply::list(reply)?;
        match reply.text()?.as_str() {
            "other" => Ok(QueueAnswer::OtherRequest),
            "full" => Ok(QueueAnswer::Full),
            "newer" => Ok(QueueAnswer::Newer),
            "damaged" => Ok(QueueAnswer::Damaged),
            "done" => {
                let is_changed = reply.text()? == "changed";
                let mut rule = || -> Result<_> {
                    let text = reply.text()?;
                    Ok(QueueRule::read(call.queue, text.as_bytes()).ok().map(Box::new))
                };
                Ok(QueueAnswer::Done { is_changed, before: rule()?, after: rule()? })
            }
            other => Err(Error::internal(format!("put_queue answered {other}"))),
        }
    }

    /// Marks what executes of a queue whose limit is new; until that is done nothing of it starts. May be called at any time, by
    /// anybody, twice.
    pub async fn count_queue(&self, shard: u16, queue: &str) -> Result<()> {
        let args = vec![self.key(shard, Key::QueueRules).into(), queue.into()];
        let Some(text) = maybe_bytes(self.inner.client.command("HGET", args).await?)? else { return Ok(()) };
        // One that can't be read holds its queue until it is written again.
        let Ok(rule) = QueueRule::read(queue, &text) else { return Ok(()) };
        if rule.limits.max_running.is_none() {
            return Ok(());
        }
        // Whoever holds a run has a lease, and nothing of the queue starts from here on.
        let range = vec![self.key(shard, Key::Leases).into(), 0.into(), (-1_i64).into()];
        let mut held = Vec::new();
        for incarnation in texts(self.inner.client.command("ZRANGE", range).await?)? {
            let args = vec![self.keys(shard).holds(&incarnation).into()];
            held.extend(texts(self.inner.client.command("SMEMBERS", args).await?)?);
        }
        let keys = self.keys(shard).all(&[Key::Clock, Key::QueueRules, Key::Occupied, Key::Live]);
        let pages = held.len().div_ceil(PAGE).max(1);
        for at in 0..pages {
            let page = held.iter().skip(at * PAGE).take(PAGE);
            let mut args: Vec<Value> =
                vec![queue.into(), rule.birth.as_str().into(), i64::from(at + 1 == pages).into()];
            args.extend(page.map(|run| Value::from(run.as_str())));
            if reply::text(self.eval(&self.scripts().count_queue, &keys, args).await?)? == "gone" {
                break;
            }
        }
        Ok(())
    }

    /// Queues of a shard with limits or a pause, by name.
    pub async fn queue_states(&self, shard: u16) -> Result<BTreeMap<String, QueueState>> {
        let rules = pairs(self.inner.client.command("HGETALL", vec![self.key(shard, Key::QueueRules).into()]).await?)?;
        let mut states = BTreeMap::new();
        if rules.is_empty() {
            return Ok(states);
        }
        let now = self.now(shard).await?;
        for (queue, text) in rules {
            let rule = QueueRule::read(&queue, &text);
            let limits = rule.as_ref().map_or_else(|_| QueueLimits::default(), |rule| rule.limits);
            let mut state = QueueState { rule, running: None, started: 0, next_at: None };
            if limits.max_running.is_some() {
                state.running = self.marked(shard, &queue).await?;
            }
            if let Some(rate) = limits.rate {
                let args = vec![self.key(shard, Key::Starts).into(), queue.as_str().into()];
                let packed = maybe_bytes(self.inner.client.command("HGET", args).await?)?.unwrap_or_default();
                (state.started, state.next_at) = started(&packed, now, rate.span);
            }
            states.insert(queue, state);
        }
        Ok(states)
    }

    /// Marks of a queue; `None` until they are counted.
    async fn marked(&self, shard: u16, queue: &str) -> Result<Option<u64>> {
        let occupied = self.key(shard, Key::Occupied);
        let is_counted = vec![occupied.as_str().into(), format!("{queue}\0").into()];
        if self.inner.client.command("ZSCORE", is_counted).await?.is_null() {
            return Ok(None);
        }
        let args = vec![occupied.into(), format!("[{queue}\0").into(), format!("({queue}\u{1}").into()];
        let members = number(self.inner.client.command("ZLEXCOUNT", args).await?)?;
        Ok(Some((members - 1).max(0).unsigned_abs()))
    }
}
