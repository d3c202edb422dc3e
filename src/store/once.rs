//! once: a run without an entry.

use fred::types::Value;

use crate::domain::id::EntryId;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::store::Store;
use crate::store::ask::{Asked, By, TriggerAnswer, Unique, read_made};
use crate::store::keys::{self, Key};
use crate::store::reply::Reply;
use crate::store::scripts::digest;

/// A run without an entry that somebody asks for.
#[derive(Debug, Clone)]
pub struct OnceCall<'a> {
    /// Who asks for what.
    pub asked: Asked<'a>,
    /// Its name, in the place of an entry id.
    pub id: &'a EntryId,
    /// Its id.
    pub run_id: &'a str,
    /// When it is to run; now, or later.
    pub fire_at: Timestamp,
    /// Its policies, packed as a plan.
    pub plan: &'a [u8],
    /// Its definition, who and why, JSON.
    pub extras: &'a str,
    /// The packed message of a direct action; empty for another.
    pub message: &'a [u8],
    /// The key that makes it the only one.
    pub unique: Option<Unique<'a>>,
}

const KEYS: &[Key] = &[
    Key::Clock,
    Key::Live,
    Key::History,
    Key::Ended,
    Key::StartBy,
    Key::Requests,
    Key::Requested,
    Key::Queues,
    Key::Delayed,
    Key::Dead,
    Key::Letters,
    Key::Uniques,
    Key::UniqueUntil,
    Key::Events,
];

impl Store {
    /// The run that holds a key of requests, and its fire time; `None` where the key is free.
    pub async fn unique_holder(&self, shard: u16, field: &str) -> Result<Option<(String, Timestamp)>> {
        let ask = |name, key| {
            let args = vec![self.key(shard, key).into(), field.into()];
            self.inner.client.command(name, args)
        };
        let now = self.now(shard).await?;
        let (till, held) = tokio::try_join!(ask("ZSCORE", Key::UniqueUntil), ask("HGET", Key::Uniques))?;
        let is_taken = till.as_f64().is_some_and(|till| till > now.0 as f64);
        let held = held.as_string().filter(|_| is_taken);
        let parts = held.as_deref().and_then(|held| held.split_once(' '));
        Ok(parts.and_then(|(run_id, at)| Some((run_id.to_owned(), Timestamp(at.parse().ok()?)))))
    }

    /// Makes the run; answers as a trigger does.
    pub async fn once(&self, shard: u16, call: &OnceCall<'_>) -> Result<TriggerAnswer> {
        let lists = self.lists(shard);
        let mut keys = self.keys(shard).all(KEYS);
        keys.extend(self.list_keys(shard, &lists));
        let by = By::of_json(call.extras);
        let mut args: Vec<Value> = vec![
            call.asked.request.into(),
            digest(&[call.asked.content.as_bytes()]).into(),
            keys::nudges(self.namespace()).into(),
            call.id.as_str().into(),
            call.run_id.into(),
            call.fire_at.ms().into(),
            Value::Bytes(call.plan.to_vec().into()),
            call.extras.into(),
            Value::Bytes(call.message.to_vec().into()),
            call.unique.map_or("", |unique| unique.field).into(),
            call.unique.map_or(0, |unique| unique.ms).into(),
            by.actor.into(),
            by.reason.into(),
            (lists.len() as i64).into(),
        ];
        args.extend(lists.iter().map(|list| Value::from(list.as_str())));
        let mut reply = Reply::list(self.eval(&self.scripts().once, &keys, args).await?)?;
        match reply.text()?.as_str() {
            "other" => Ok(TriggerAnswer::OtherRequest),
            "unknown" => Ok(TriggerAnswer::UnknownList),
            "crowded" => Ok(TriggerAnswer::Crowded),
            word => read_made(word, reply),
        }
    }
}
