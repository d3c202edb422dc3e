//! What attempts write: their tails, and who watches them while they run.

use fred::types::Value;

use crate::domain::record::LiveRun;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::store::Store;
use crate::store::client::is_refused;
use crate::store::keys::{self, Key};
use crate::store::reply::{Reply, bytes, maybe_bytes};

/// Bytes of output kept in a shard, with what each takes beside its text.
pub const OUTPUTS_MAX_BYTES: i64 = 256 * 1024 * 1024;
/// How long a run is watched after the last call of [`Store::watch`].
const WATCH_MS: i64 = 10_000;
/// Runs of a shard that are watched at a time.
const WATCHED_MAX: i64 = 1_000;

/// One attempt of a run, and what is known of its output.
#[derive(Debug, Clone, Copy)]
pub struct Watch<'a> {
    /// The run.
    pub run_id: &'a str,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Bytes of its output that are known.
    pub known: u64,
    /// Whether the node that holds the run may not know yet that it is watched.
    pub is_news: bool,
}

/// What a call of [`Store::watch`] answered.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The shard's time.
    pub now: Timestamp,
    /// The run, while it is active.
    pub live: Option<LiveRun>,
    /// Bytes that the attempt has written in all, as far as its node has told.
    pub written: u64,
    /// Those behind the ones that were known; where they are fewer than that, what lies between is not kept any more.
    pub new: Vec<u8>,
}

/// What is kept of the output of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Bytes that were written in all.
    pub written: u64,
    /// The last of them.
    pub tail: Vec<u8>,
}

impl Output {
    /// Whether the attempt wrote more than is kept.
    pub fn is_cut(&self) -> bool {
        self.written > self.tail.len() as u64
    }
}

fn field(run_id: &str, attempt: u32) -> String {
    format!("{run_id}:{attempt}")
}

impl Store {
    /// Stores the tail of what an attempt has written so far. What was sent before and comes later changes nothing. Bytes kept
    /// in a shard are bounded; the oldest go first.
    pub async fn keep_output(&self, shard: u16, run_id: &str, attempt: u32, output: &Output) -> Result<()> {
        let keys = self.keys(shard).all(&[Key::Outputs, Key::OutputOrder, Key::Clock]);
        let args = vec![
            field(run_id, attempt).into(),
            output.written.to_string().into(),
            Value::Bytes(output.tail.clone().into()),
            OUTPUTS_MAX_BYTES.into(),
        ];
        self.eval(&self.scripts().keep_output, &keys, args).await.map(drop)
    }

    /// The output that is kept of an attempt.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] where it can't be read.
    pub async fn output(&self, shard: u16, run_id: &str, attempt: u32) -> Result<Option<Output>> {
        let args = vec![self.key(shard, Key::Outputs).into(), field(run_id, attempt).into()];
        let Some(mut text) = maybe_bytes(self.inner.client.command("HGET", args).await?)? else { return Ok(None) };
        let end = text.iter().position(|byte| *byte == b'\n');
        let head = end.and_then(|end| std::str::from_utf8(&text[..end]).ok());
        match (head.and_then(|head| head.parse().ok()), end) {
            (Some(written), Some(end)) => {
                text.drain(..=end);
                Ok(Some(Output { written, tail: text }))
            }
            _ => Err(Error::Corrupt(Problem::new("output", format!("what is kept of run {run_id} can't be read")))),
        }
    }

    /// Says that somebody follows the output of a run, for 10 s from now, and reads what is new of one attempt. A user who may
    /// only read says nothing: then the output is there once the attempt has ended, or while others follow it.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where 1,000 other runs of the shard are watched.
    pub async fn watch(&self, shard: u16, watch: &Watch<'_>) -> Result<Watched> {
        let keys = self.keys(shard).all(&[Key::Clock, Key::Live, Key::Watched, Key::Outputs]);
        let args: Vec<Value> = vec![
            watch.run_id.into(),
            field(watch.run_id, watch.attempt).into(),
            watch.known.to_string().into(),
            WATCH_MS.into(),
            keys::nudges(self.namespace()).into(),
            i64::from(watch.is_news).into(),
            WATCHED_MAX.into(),
        ];
        let saying = |is_said: bool| [args.as_slice(), &[i64::from(is_said).into()]].concat();
        let answer = match self.eval(&self.scripts().watch, &keys, saying(true)).await {
            Err(why) if is_refused(&why) => self.look(&self.scripts().watch, &keys, saying(false)).await?,
            answer => answer?,
        };
        let mut reply = Reply::list(answer)?;
        match reply.text()?.as_str() {
            "new" => {
                let now = Timestamp(reply.number()?);
                let live = LiveRun::read(watch.run_id, &bytes(reply.next()?)?);
                let written = u64::try_from(reply.number()?).unwrap_or(0);
                Ok(Watched { now, live, written, new: bytes(reply.next()?)? })
            }
            "full" => Err(Error::Conflict(
                Problem::new("follow", format!("{WATCHED_MAX} runs are followed already"))
                    .hint("upbeat logs RUN without -f prints what it has written"),
            )),
            other => Err(Error::internal(format!("watch answered {other}"))),
        }
    }
}
