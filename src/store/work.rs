//! work: record how attempts ended and fetch new ones, in one step.

use std::time::Duration;

use fred::types::Value;

use crate::domain::node::Serves;
use crate::domain::run::Reason;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::claim::{Started, read_started};
use crate::store::keys::Key;
use crate::store::names::ListNames;
use crate::store::reply::Reply;

/// One call of a node's lane `work`.
#[derive(Debug, Clone)]
pub struct WorkCall<'a> {
    /// Holder of the attempts.
    pub incarnation: &'a str,
    /// Its name, for records.
    pub node: &'a str,
    /// Grows with every call; the same number again gets the same answer.
    pub number: u64,
    /// Length of the node's lease, ms.
    pub lease_ms: i64,
    /// Attempts to fetch, at most.
    pub wanted: usize,
    /// Attempts that ended.
    pub ended: &'a [Ended],
    /// What the node may run.
    pub serves: &'a Serves,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its run.
    pub run_id: String,
    /// Its fencing token.
    pub fence: u64,
    /// How.
    pub how: EndedAs,
    /// Why.
    pub reason: Option<Reason>,
    /// What the command returned.
    pub exit_code: Option<i32>,
    /// For people; cut to 1,024 bytes.
    pub message: String,
    /// The attempt failed, and the run has another one.
    pub next: Option<NextAttempt>,
}

/// When a run that failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextAttempt {
    /// Ms from now.
    pub wait_ms: i64,
    /// Ms from now that the whole run has, where it has a limit.
    pub left_ms: Option<i64>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedAs {
    /// Well.
    Succeeded,
    /// Badly.
    Failed,
    /// By somebody's wish.
    Cancelled,
    /// The node stops: another one shall repeat it.
    HandedBack,
    /// The node stops and had not begun it: another one shall do it.
    Returned,
}

impl EndedAs {
    /// As `parts/finish.lua` counts them.
    fn number(self) -> u8 {
        match self {
            Self::Succeeded => 1,
            Self::Failed => 2,
            Self::Cancelled => 3,
            Self::HandedBack => 4,
            Self::Returned => 5,
        }
    }
}

/// What became of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishWord {
    /// It is the run's outcome.
    Finished,
    /// The run is back in its list.
    Requeued,
    /// The run waits for its next attempt.
    Retrying,
    /// Refused: another attempt holds the run, or nobody does.
    Lost,
}

/// What a work call answered.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkReply {
    /// A word per attempt that ended, in order.
    pub words: Vec<FinishWord>,
    /// Runs that the caller executes from now on.
    pub fetched: Vec<Started>,
    /// Waiting lists of the caller that still have work that may start.
    pub left: Vec<String>,
    /// Work of the caller waits behind the limit of its queue.
    pub is_held: bool,
    /// When somebody should look at that again.
    pub look: Option<Duration>,
}

pub(super) const KEYS: &[Key] = &[Key::Clock, Key::Live, Key::Lanes, Key::Leases];
pub(super) const MORE_KEYS: &[Key] = &[
    Key::History,
    Key::Ended,
    Key::Events,
    Key::Queues,
    Key::StartBy,
    Key::Due,
    Key::Cursors,
    Key::Cancels,
    Key::Active,
    Key::Waits,
    Key::Delayed,
    Key::Dead,
    Key::Letters,
    Key::Moves,
    Key::QueueRules,
    Key::Occupied,
    Key::Starts,
];
/// Bytes of a message that are kept.
const MESSAGE_MAX_BYTES: usize = 1024;
/// No run id is longer: its length is told in a byte.
const RUN_ID_MAX_BYTES: usize = 255;
/// What most attempts take as they are told.
const TOLD_BYTES: usize = 64;
/// The greatest time that is told, ms: it has six bytes.
const TOLD_MAX_MS: i64 = (1 << 48) - 1;

/// Cuts a text for people to `max` bytes at a character's border.
fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl Store {
    /// Finishes and fetches. `Ok(None)` where a newer call of the lane has been answered.
    pub async fn work(&self, shard: u16, call: &WorkCall<'_>) -> Result<Option<WorkReply>> {
        let names = self.names(shard, call.incarnation);
        // Those that are served first, in an order that changes, so that no list starves behind another.
        let serves = |list: &ListNames| list.name.as_str().is_some_and(|name| call.serves.has(&name));
        let (mut lists, others): (Vec<&ListNames>, Vec<_>) = names.each.iter().partition(|list| serves(list));
        let served = lists.len();
        if served > 1 {
            let by = usize::try_from(call.number).unwrap_or(0) % served;
            lists.rotate_left(by);
        }
        lists.extend(others);
        let mut keys = Vec::with_capacity(names.work.len() + 2 * lists.len());
        keys.extend(names.work.iter().cloned());
        keys.extend(lists.iter().map(|list| list.key.clone()));
        keys.extend(lists.iter().filter_map(|list| list.hint.clone()));
        let mut args: Vec<Value> = vec![
            call.incarnation.into(),
            call.node.into(),
            (call.number as i64).into(),
            call.lease_ms.into(),
            (call.wanted as i64).into(),
            (call.ended.len() as i64).into(),
            (lists.len() as i64).into(),
        ];
        let mut told = Vec::with_capacity(call.ended.len() * TOLD_BYTES);
        call.ended.iter().for_each(|ended| tell(ended, &mut told));
        args.push(told.as_slice().into());
        for (at, list) in lists.iter().enumerate() {
            args.push(list.marked[usize::from(at < served)].clone());
        }
        let mut reply = Reply::list(self.eval(&self.scripts().work, &keys, args).await?)?;
        match reply.text()?.as_str() {
            "stale" => Ok(None),
            "done" => {
                let now = Timestamp(reply.number()?);
                let words = reply.text()?.split_whitespace().map(finish_word).collect::<Result<_>>()?;
                let (fetched, left) = (read_started(now, reply.pairs()?), reply.texts()?);
                let (is_held, look_ms) = (reply.number()? == 1, reply.number()?.max(0).unsigned_abs());
                let look = (look_ms > 0).then(|| Duration::from_millis(look_ms));
                Ok(Some(WorkReply { words, fetched, left, is_held, look }))
            }
            other => Err(Error::internal(format!("work answered {other}"))),
        }
    }

    /// Stores what an attempt left for the entry's next run, before its finish.
    pub async fn keep_result(&self, shard: u16, entry_id: &str, result: &str) -> Result<()> {
        let args = vec![self.key(shard, Key::Results).into(), entry_id.into(), result.into()];
        self.inner.client.command("HSET", args).await.map(drop)
    }
}

/// Packs one as `parts/finish.lua` reads it.
fn tell(ended: &Ended, told: &mut Vec<u8>) {
    let times = [
        ended.next.map_or(0, |next| next.wait_ms.max(0).saturating_add(1)),
        ended.next.and_then(|next| next.left_ms).map_or(0, |left| left.max(1)),
    ];
    let (run_id, message) = (cut(&ended.run_id, RUN_ID_MAX_BYTES), cut(&ended.message, MESSAGE_MAX_BYTES));
    let exit = ended.exit_code.map_or(0, |code| u16::try_from(code.clamp(0, 65_000)).unwrap_or(0) + 1);
    told.push(u8::try_from(run_id.len()).unwrap_or(0));
    told.extend(run_id.as_bytes());
    told.extend(&ended.fence.to_be_bytes()[1..]);
    told.extend([ended.how.number(), ended.reason.map_or(0, Reason::number)]);
    told.extend(exit.to_be_bytes());
    for ms in times {
        told.extend(&ms.min(TOLD_MAX_MS).to_be_bytes()[2..]);
    }
    told.extend(u16::try_from(message.len()).unwrap_or(0).to_be_bytes());
    told.extend(message.as_bytes());
}

fn finish_word(word: &str) -> Result<FinishWord> {
    match word {
        "finished" => Ok(FinishWord::Finished),
        "requeued" => Ok(FinishWord::Requeued),
        "retrying" => Ok(FinishWord::Retrying),
        "lost" => Ok(FinishWord::Lost),
        other => Err(Error::internal(format!("work answered {other} to a finish"))),
    }
}
