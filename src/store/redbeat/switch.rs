//! Taking a RedBeat schedule over and giving it back: the steps that write, each one script on its server.

use std::collections::BTreeMap;

use fred::types::Value;

use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::store::redbeat::RedBeat;
use crate::store::reply::{Reply, bytes, pairs, text};
use crate::store::scripts::Script;

/// One who takes a schedule over.
#[derive(Debug, Clone)]
pub struct TakeCall<'a> {
    /// Names this take-over.
    pub token: &'a str,
    /// What stands in place of the schedule, for people.
    pub notice: &'a str,
    /// Members of the schedule as they were read.
    pub members: usize,
    /// The entries as they were read: key, definition, id here.
    pub entries: &'a [(String, String, Option<String>)],
    /// More about who took it, names and values.
    pub about: &'a [(&'a str, String)],
}

/// What became of a take-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakeAnswer {
    /// It is done. No beat sends what was not on record at that instant.
    Taken {
        /// The instant, by the server's clock.
        at: Timestamp,
        /// The token of the beat that ran; empty where none did.
        holder: String,
        /// What each entry did last, in the order of the call.
        metas: Vec<Vec<u8>>,
    },
    /// Somebody took it before.
    Held,
    /// It is not as it was read: read it again.
    Changed,
}

/// A schedule that was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Names the take-over.
    pub token: String,
    /// `taking`: it is not known whether all entries are written here; `taken`; `open`: it is being given back.
    pub phase: String,
    /// When it was taken, by the clock of RedBeat's server.
    pub at: Timestamp,
    /// What else was noted: namespace, actor, and so on.
    pub about: BTreeMap<String, String>,
}

/// What an entry goes on with.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    /// Its key.
    pub key: String,
    /// Its meta; empty where it has none.
    pub meta: Vec<u8>,
    /// When it is due, s.
    pub score: f64,
}

impl RedBeat {
    /// Who took the schedule over, if anybody did.
    pub async fn taken(&self) -> Result<Option<Taken>> {
        let key = self.place.taken();
        match self.type_of(&key).await?.as_str() {
            "none" => return Ok(None),
            "hash" => {}
            other => {
                let why = format!("{key} is a {other}: upbeat keeps a hash there");
                return Err(Error::Corrupt(
                    Problem::new("redbeat", why).hint("somebody else wrote it: rename or delete it"),
                ));
            }
        }
        let fields = pairs(self.client.command("HGETALL", vec![key.into()]).await?)?;
        let mut about: BTreeMap<String, String> =
            fields.into_iter().map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned())).collect();
        let mut take = |name: &str| about.remove(name).unwrap_or_default();
        let (token, phase, at) = (take("token"), take("phase"), take("at"));
        Ok(Some(Taken { token, phase, at: Timestamp(at.parse().unwrap_or_default()), about }))
    }

    /// Takes the schedule from its beats.
    pub async fn take(&self, call: &TakeCall<'_>) -> Result<TakeAnswer> {
        let mut keys = vec![self.lock_key(), self.place.schedule()];
        keys.extend(["schedule", "metas", "ids"].map(|what| self.place.kept(what)));
        keys.push(self.place.taken());
        keys.extend(call.entries.iter().map(|(key, ..)| key.clone()));
        let mut args: Vec<Value> = vec![
            call.token.into(),
            self.has_lock(),
            call.notice.into(),
            (call.members as i64).into(),
            (call.entries.len() as i64).into(),
            (call.about.len() as i64 * 2).into(),
        ];
        args.extend(call.about.iter().flat_map(|(name, value)| [Value::from(*name), value.as_str().into()]));
        for (_, definition, id) in call.entries {
            args.push(fred::util::sha1_hash(definition).into());
            args.push(id.as_deref().unwrap_or_default().into());
        }
        let mut reply = Reply::list(self.switch(&self.scripts.redbeat_take, &keys, args).await?)?;
        match reply.text()?.as_str() {
            "taken" => Ok(TakeAnswer::Taken {
                at: Timestamp(reply.number()?),
                holder: reply.text()?,
                metas: reply.rest().into_iter().map(bytes).collect::<Result<_>>()?,
            }),
            "held" => Ok(TakeAnswer::Held),
            "changed" => Ok(TakeAnswer::Changed),
            other => Err(Error::internal(format!("redbeat_take answered {other}"))),
        }
    }

    /// What was kept of each entry: its key, score, meta as it was, id here.
    pub async fn kept(&self) -> Result<Vec<(Restored, Option<String>)>> {
        let scores = self.scores_of(&self.place.kept("schedule")).await?;
        let metas = self.hash(&self.place.kept("metas")).await?;
        let ids = self.hash(&self.place.kept("ids")).await?;
        let mut kept = Vec::with_capacity(metas.len());
        for (key, meta) in metas {
            let score = scores.get(key.as_bytes()).copied().flatten().unwrap_or_default();
            let id = ids.get(&key).map(|id| String::from_utf8_lossy(id).into_owned());
            kept.push((Restored { key, meta, score }, id));
        }
        Ok(kept)
    }

    /// The members of the schedule as it was taken over, with their scores.
    pub async fn kept_members(&self) -> Result<Vec<(Vec<u8>, Option<f64>)>> {
        Ok(self.scores_of(&self.place.kept("schedule")).await?.into_iter().collect())
    }

    /// Notes how far a take-over is; `false` where it is somebody else's by now, or being given back.
    pub async fn mark(&self, token: &str, phase: &str) -> Result<bool> {
        let keys = [self.place.taken()];
        let reply = self.switch(&self.scripts.redbeat_mark, &keys, vec![token.into(), phase.into()]).await?;
        Ok(text(reply)? == "done")
    }

    /// Lets beats run with a schedule in which nothing is due; `parked` is what each entry has until then.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where somebody gave it back, or wrote the schedule anew.
    pub async fn open(&self, token: &str, waker: (&str, &str), parked: &[Restored]) -> Result<()> {
        let mut keys = vec![self.lock_key(), self.place.schedule(), self.place.taken(), self.place.waker()];
        keys.extend(parked.iter().map(|entry| entry.key.clone()));
        let mut args: Vec<Value> =
            vec![token.into(), self.has_lock(), waker.0.into(), waker.1.into(), (parked.len() as i64).into()];
        args.extend(restored(parked));
        match text(self.switch(&self.scripts.redbeat_open, &keys, args).await?)?.as_str() {
            "open" => Ok(()),
            "gone" => Err(gone()),
            "changed" => {
                let why = format!("{} was written anew since the take-over", self.place.schedule());
                let hint = format!(
                    "look at it with redis-cli; without it the hand-back goes on: DEL {}",
                    self.place.schedule()
                );
                Err(Error::Conflict(Problem::new("redbeat", why).hint(hint)))
            }
            other => Err(Error::internal(format!("redbeat_open answered {other}"))),
        }
    }

    /// Gives the schedule back.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where somebody else did, or it is not open.
    pub async fn give(&self, token: &str, entries: &[Restored]) -> Result<()> {
        let mut keys = vec![self.place.schedule(), self.place.taken(), self.place.waker()];
        keys.extend(["schedule", "metas", "ids"].map(|what| self.place.kept(what)));
        keys.extend(entries.iter().map(|entry| entry.key.clone()));
        let mut args: Vec<Value> = vec![token.into(), (entries.len() as i64).into()];
        args.extend(restored(entries));
        match text(self.switch(&self.scripts.redbeat_give, &keys, args).await?)?.as_str() {
            "given" => Ok(()),
            "gone" => Err(gone()),
            "shut" => Err(Error::Conflict(Problem::new("redbeat", "the schedule was taken back meanwhile"))),
            other => Err(Error::internal(format!("redbeat_give answered {other}"))),
        }
    }

    async fn hash(&self, key: &str) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut cursor = "0".to_owned();
        loop {
            let args = vec![key.into(), cursor.into(), "COUNT".into(), 500.into()];
            let mut reply = Reply::list(self.client.command("HSCAN", args).await?)?;
            cursor = reply.text()?;
            found.extend(reply.pairs()?);
            if cursor == "0" {
                return Ok(found);
            }
        }
    }

    /// Runs a script; who may not read what a Redis Cluster says of it is told so.
    async fn switch(&self, script: &Script, keys: &[String], args: Vec<Value>) -> Result<Value> {
        self.client.eval(script, keys, args).await
    }

    /// The lock; any key stands for it where there is none.
    fn lock_key(&self) -> String {
        self.place.lock.clone().unwrap_or_else(|| self.place.taken())
    }

    fn has_lock(&self) -> Value {
        if self.place.lock.is_some() { "lock" } else { "none" }.into()
    }
}

fn restored(entries: &[Restored]) -> impl Iterator<Item = Value> {
    entries.iter().flat_map(|entry| [Value::Bytes(entry.meta.clone().into()), entry.score.to_string().into()])
}

fn gone() -> Error {
    Error::Conflict(Problem::new("redbeat", "somebody else gave the schedule back, or took it over anew, meanwhile"))
}
