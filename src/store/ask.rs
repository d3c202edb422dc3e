//! trigger and cancel: what people ask of single runs.

use fred::types::Value;
use serde::Deserialize;

use crate::domain::id::EntryId;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::kept::Kept;
use crate::store::keys::{self, Key};
use crate::store::reply::Reply;
use crate::store::scripts::digest;

/// A request of a person: its id and what it asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The same request gets the same answer for 24 h.
    pub request: &'a str,
    /// The same request id with other content is a conflict.
    pub content: &'a str,
}

/// Who asks and why, as definitions and the extras of runs say it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct By {
    #[serde(default)]
    pub actor: String,
    #[serde(default)]
    owner: String,
    /// Empty without one.
    #[serde(default)]
    pub reason: String,
}

impl By {
    /// Of a JSON object with these fields among others; nobody where it has none. A definition without `actor` is its owner's.
    pub fn of_json(text: &str) -> Self {
        let by: Self = serde_json::from_str(text).unwrap_or_default();
        Self { actor: if by.actor.is_empty() { by.owner.clone() } else { by.actor }, ..by }
    }
}

/// A key that makes a run the only one for a while.
#[derive(Debug, Clone, Copy)]
pub struct Unique<'a> {
    /// The key, with what it is for.
    pub field: &'a str,
    /// For how long it is taken, ms.
    pub ms: i64,
}

/// A run that somebody asks for.
#[derive(Debug, Clone)]
pub struct TriggerCall<'a> {
    /// Who asks for what.
    pub asked: Asked<'a>,
    /// Its entry.
    pub id: &'a EntryId,
    /// Birth of the entry seen.
    pub birth: u64,
    /// Its id.
    pub run_id: &'a str,
    /// The instant asked for.
    pub fire_at: Timestamp,
    /// Another overlap rule, by its number in plans.
    pub overlap: Option<u8>,
    /// What differs from the entry, JSON; empty for nothing.
    pub extras: &'a str,
    /// The packed message of a direct action with another payload; empty for the entry's own.
    pub message: &'a [u8],
    /// The key that makes it the only one.
    pub unique: Option<Unique<'a>>,
}

/// What a trigger answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TriggerAnswer {
    /// The request id came before with other content.
    OtherRequest,
    /// The entry does not exist any more.
    Gone,
    /// The entry's plan or message is damaged: nodes plan it afresh.
    Broken,
    /// Its waiting list is not among those known: read the registry and ask again.
    UnknownList,
    /// Too many runs are active to see whether one is of this entry, whose runs are not marked.
    Busy,
    /// So many keys are taken that there is no room for another.
    Crowded,
    /// There is the run. A request that came before names the run that it made then.
    Made {
        /// Its id.
        run_id: String,
        /// The instant asked for.
        fire_at: Timestamp,
        /// What became of it at once.
        made: Made,
    },
}

/// What becomes of a requested run at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// It waits in its list.
    Queued,
    /// It waits for its time.
    Waiting,
    /// No run was made: this one has taken the key.
    Taken,
    /// It is skipped: this run is active.
    Skipped(String),
    /// A direct action was delivered.
    Delivered,
    /// Its target refused it, in these words.
    Refused(String),
}

/// What a cancel answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelAnswer {
    /// The request id came before with other content.
    OtherRequest,
    /// The run waited and is cancelled.
    Cancelled,
    /// It is being executed: its node has been asked to end it.
    Asked,
    /// It is not active.
    Ended,
}

/// What a cancel was answered before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelledBefore {
    /// It never came, or its answer is not kept any more.
    Never,
    /// The request id came with other content.
    OtherRequest,
    /// It was about this run.
    Run(String),
}

const TRIGGER_KEYS: &[Key] = &[
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
    Key::Uniques,
    Key::UniqueUntil,
    Key::Events,
];
const CANCEL_KEYS: &[Key] = &[
    Key::Clock,
    Key::Live,
    Key::History,
    Key::Ended,
    Key::Events,
    Key::Queues,
    Key::StartBy,
    Key::Due,
    Key::Cursors,
    Key::Cancels,
    Key::Requests,
    Key::Requested,
    Key::Active,
    Key::Waits,
    Key::Delayed,
    Key::Dead,
    Key::Letters,
];

impl Store {
    /// Makes one run that somebody asks for.
    pub async fn trigger(&self, shard: u16, call: &TriggerCall<'_>) -> Result<TriggerAnswer> {
        let lists = self.lists(shard);
        let mut keys = self.keys(shard).all(TRIGGER_KEYS);
        keys.extend(self.list_keys(shard, &lists));
        let by = By::of_json(call.extras);
        let mut args: Vec<Value> = vec![
            call.asked.request.into(),
            digest(&[call.asked.content.as_bytes()]).into(),
            keys::nudges(self.namespace()).into(),
            call.id.as_str().into(),
            call.run_id.into(),
            call.fire_at.ms().into(),
            call.overlap.map_or_else(String::new, |number| number.to_string()).into(),
            call.extras.into(),
            Value::Bytes(call.message.to_vec().into()),
            call.birth.to_string().into(),
            call.unique.map_or("", |unique| unique.field).into(),
            call.unique.map_or(0, |unique| unique.ms).into(),
            by.actor.into(),
            by.reason.into(),
            (lists.len() as i64).into(),
        ];
        args.extend(lists.iter().map(|list| Value::from(list.as_str())));
        let mut reply = Reply::list(self.eval(&self.scripts().trigger, &keys, args).await?)?;
        match reply.text()?.as_str() {
            "other" => Ok(TriggerAnswer::OtherRequest),
            "gone" => Ok(TriggerAnswer::Gone),
            "broken" => Ok(TriggerAnswer::Broken),
            "unknown" => Ok(TriggerAnswer::UnknownList),
            "busy" => Ok(TriggerAnswer::Busy),
            "crowded" => Ok(TriggerAnswer::Crowded),
            word => read_made(word, reply),
        }
    }

    /// What a trigger was answered, if it came before.
    pub async fn triggered(&self, shard: u16, asked: Asked<'_>) -> Result<Option<TriggerAnswer>> {
        match self.kept(shard, asked.request, asked.content).await? {
            Kept::Nothing => Ok(None),
            Kept::Other => Ok(Some(TriggerAnswer::OtherRequest)),
            Kept::Answer(answer) => {
                let word = answer[0].as_str().unwrap_or_default().to_owned();
                let values = answer.as_array().map(Vec::as_slice).unwrap_or_default();
                read_made(&word, Reply::of_json(values.get(1..).unwrap_or_default())).map(Some)
            }
        }
    }

    /// Which run a cancel was about, if it came before.
    pub async fn cancelled(&self, shard: u16, asked: Asked<'_>) -> Result<CancelledBefore> {
        Ok(match self.kept(shard, asked.request, asked.content).await? {
            Kept::Nothing => CancelledBefore::Never,
            Kept::Other => CancelledBefore::OtherRequest,
            Kept::Answer(answer) => {
                answer[1].as_str().map_or(CancelledBefore::Never, |run_id| CancelledBefore::Run(run_id.to_owned()))
            }
        })
    }

    /// Ends a run that waits, or asks its node to end it. `words` say who and why.
    pub async fn cancel(&self, shard: u16, asked: Asked<'_>, run_id: &str, words: &str) -> Result<CancelAnswer> {
        let lists = self.lists(shard);
        let mut keys = self.keys(shard).all(CANCEL_KEYS);
        keys.extend(self.list_keys(shard, &lists));
        let mut args: Vec<Value> = vec![
            asked.request.into(),
            digest(&[asked.content.as_bytes()]).into(),
            keys::nudges(self.namespace()).into(),
            run_id.into(),
            words.into(),
            (lists.len() as i64).into(),
        ];
        args.extend(lists.iter().map(|list| Value::from(list.as_str())));
        let mut reply = Reply::list(self.eval(&self.scripts().cancel, &keys, args).await?)?;
        match reply.text()?.as_str() {
            "other" => Ok(CancelAnswer::OtherRequest),
            "cancelled" => Ok(CancelAnswer::Cancelled),
            "asked" => Ok(CancelAnswer::Asked),
            "ended" => Ok(CancelAnswer::Ended),
            other => Err(Error::internal(format!("cancel answered {other}"))),
        }
    }
}

pub(super) fn read_made(word: &str, mut reply: Reply) -> Result<TriggerAnswer> {
    let (run_id, fire_at, words) = (reply.text()?, Timestamp(reply.number()?), reply.text()?);
    let made = match word {
        "queued" => Made::Queued,
        "waiting" => Made::Waiting,
        "taken" => Made::Taken,
        "skipped" => Made::Skipped(words),
        "delivered" => Made::Delivered,
        "failed" => Made::Refused(words),
        other => return Err(Error::internal(format!("trigger answered {other}"))),
    };
    Ok(TriggerAnswer::Made { run_id, fire_at, made })
}
