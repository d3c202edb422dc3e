//! Dead letters: read, retried, purged.

use fred::types::Value;

use crate::domain::letter::Letter;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::ask::Asked;
use crate::store::kept::Kept;
use crate::store::keys::{self, Key};
use crate::store::reply::{Reply, maybe_bytes, texts};
use crate::store::scripts::digest;

/// Dead letters that one retry takes, at most.
pub const RETRY_MAX: usize = 100;
/// Dead letters that one purge takes, at most.
pub const PURGE_MAX: usize = 1_000;
/// Dead letters read at a time.
const PAGE: usize = 500;

/// What became of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterWord {
    /// Its run is in its list again.
    Queued,
    /// Its run waits for others of its entry.
    Waiting,
    /// Its message is written.
    Delivered,
    /// Its target refused it again; it is a dead letter again.
    Failed,
    /// So many runs wait for its entry that no more may: it stays.
    Full,
    /// It is forgotten.
    Purged,
    /// There was none.
    Gone,
}

impl LetterWord {
    /// The word in answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Full => "full",
            Self::Purged => "purged",
            Self::Gone => "gone",
        }
    }

    fn read(word: &str) -> Result<Self> {
        let all = [Self::Queued, Self::Waiting, Self::Delivered, Self::Failed, Self::Full, Self::Purged, Self::Gone];
        let known = all.into_iter().find(|one| one.word() == word);
        known.ok_or_else(|| Error::internal(format!("a dead letter became {word}")))
    }
}

/// What a retry or a purge answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LettersAnswer {
    /// The request id came before with other content.
    OtherRequest,
    /// A list that the caller did not name: ask again with the registry read afresh.
    UnknownList,
    /// What became of each, by run id.
    Done(Vec<(String, LetterWord)>),
}

const RETRY_KEYS: &[Key] = &[
    Key::Clock,
    Key::Plans,
    Key::Live,
    Key::Active,
    Key::History,
    Key::Ended,
    Key::StartBy,
    Key::Requests,
    Key::Requested,
    Key::Leases,
    Key::Messages,
    Key::Waits,
    Key::Cancels,
    Key::Queues,
    Key::Delayed,
    Key::Dead,
    Key::Letters,
    Key::Events,
];
const PURGE_KEYS: &[Key] = &[Key::Clock, Key::Dead, Key::Letters, Key::Requests, Key::Requested, Key::Events];

impl Store {
    /// Run ids of dead letters of a shard, the newest first, with the instant at which each failed for good.
    pub async fn dead(&self, shard: u16) -> Result<Vec<(String, Timestamp)>> {
        let key = self.key(shard, Key::Dead);
        let mut dead: Vec<(String, Timestamp)> = Vec::new();
        let (mut newest, mut skip) = ("+inf".to_owned(), 0);
        loop {
            // By when they failed and not by place: places move when others are retried meanwhile.
            let mut args: Vec<Value> = vec![key.as_str().into(), newest.as_str().into(), "-inf".into()];
            args.extend(["BYSCORE", "REV", "LIMIT"].map(Value::from));
            args.extend([Value::from(skip as i64), Value::from(PAGE as i64), "WITHSCORES".into()]);
            let found = texts(self.inner.client.command("ZRANGE", args).await?)?;
            let pairs = found.chunks_exact(2);
            let read = |pair: &[String]| Some((pair[0].clone(), Timestamp(pair[1].parse::<f64>().ok()? as i64)));
            dead.extend(pairs.filter_map(read));
            let Some(last) = found.chunks_exact(2).next_back().filter(|_| found.len() == 2 * PAGE) else {
                return Ok(dead);
            };
            newest = last[1].clone();
            let at = dead.last().map(|(_, at)| *at);
            skip = dead.iter().rev().take_while(|(_, other)| Some(*other) == at).count();
        }
    }

    /// These dead letters; `None` where there is none, or none that this program can read.
    pub async fn letters(&self, shard: u16, run_ids: &[String]) -> Result<Vec<Option<Letter>>> {
        let mut letters = Vec::with_capacity(run_ids.len());
        for page in run_ids.chunks(PAGE) {
            let mut args: Vec<Value> = vec![self.key(shard, Key::Letters).into()];
            args.extend(page.iter().map(|run_id| Value::from(run_id.as_str())));
            let packed = Reply::list(self.inner.client.command("HMGET", args).await?)?.rest();
            for (run_id, packed) in page.iter().zip(packed) {
                let packed = maybe_bytes(packed)?;
                letters.push(packed.and_then(|packed| Letter::read(self.namespace(), run_id, &packed)));
            }
        }
        Ok(letters)
    }

    /// Reopens the runs of up to [`RETRY_MAX`] dead letters. `words` say who and why.
    pub async fn retry(&self, shard: u16, asked: Asked<'_>, run_ids: &[String], words: &str) -> Result<LettersAnswer> {
        let lists = self.lists(shard);
        let mut keys = self.keys(shard).all(RETRY_KEYS);
        keys.extend(self.list_keys(shard, &lists));
        let mut args: Vec<Value> = vec![
            asked.request.into(),
            digest(&[asked.content.as_bytes()]).into(),
            keys::nudges(self.namespace()).into(),
            words.into(),
            (lists.len() as i64).into(),
        ];
        args.extend(lists.iter().map(|list| Value::from(list.as_str())));
        args.extend(run_ids.iter().map(|run_id| Value::from(run_id.as_str())));
        read_answer(Reply::list(self.eval(&self.scripts().retry, &keys, args).await?)?)
    }

    /// Forgets up to [`PURGE_MAX`] dead letters; the records of their runs stay. `words` say who and why.
    pub async fn purge(&self, shard: u16, asked: Asked<'_>, run_ids: &[String], words: &str) -> Result<LettersAnswer> {
        let keys = self.keys(shard).all(PURGE_KEYS);
        let mut args: Vec<Value> = vec![asked.request.into(), digest(&[asked.content.as_bytes()]).into(), words.into()];
        args.extend(run_ids.iter().map(|run_id| Value::from(run_id.as_str())));
        read_answer(Reply::list(self.eval(&self.scripts().purge, &keys, args).await?)?)
    }

    /// What a retry or a purge was answered, if it came before, and when.
    pub async fn letters_before(&self, shard: u16, asked: Asked<'_>) -> Result<Option<(LettersAnswer, Timestamp)>> {
        let answer = match self.kept(shard, asked.request, asked.content).await? {
            Kept::Nothing => return Ok(None),
            Kept::Other => return Ok(Some((LettersAnswer::OtherRequest, Timestamp(0)))),
            Kept::Answer(answer) => answer,
        };
        let args = vec![self.key(shard, Key::Requested).into(), asked.request.into()];
        let at = maybe_bytes(self.inner.client.command("ZSCORE", args).await?)?;
        let at = at.and_then(|at| String::from_utf8_lossy(&at).parse::<f64>().ok()).map_or(0, |at| at as i64);
        let values = answer.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Some((LettersAnswer::Done(read_words(Reply::of_json(values))?), Timestamp(at))))
    }
}

fn read_answer(mut reply: Reply) -> Result<LettersAnswer> {
    match reply.text()?.as_str() {
        "other" => Ok(LettersAnswer::OtherRequest),
        "unknown" => Ok(LettersAnswer::UnknownList),
        "done" => read_words(Reply::list(reply.next()?)?).map(LettersAnswer::Done),
        other => Err(Error::internal(format!("a retry or purge answered {other}"))),
    }
}

fn read_words(reply: Reply) -> Result<Vec<(String, LetterWord)>> {
    let words: Vec<String> = reply.rest().into_iter().map(super::reply::text).collect::<Result<_>>()?;
    words.chunks_exact(2).map(|pair| Ok((pair[0].clone(), LetterWord::read(&pair[1])?))).collect()
}
