//! Watching a RedBeat: what its beat fires and whether one ticks, seen from outside and without touching anything.

use std::collections::BTreeMap;

use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::store::redbeat::{RedBeat, key_of};
use crate::store::reply::{maybe_bytes, number};

/// The lock at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The instant, by its server's clock.
    pub now: Timestamp,
    /// The token in it; `None` where nobody holds it.
    pub token: Option<String>,
    /// When it ends, by that clock; `None` without an end.
    pub until: Option<Timestamp>,
}

/// What an entry did last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// Its key.
    pub key: Vec<u8>,
    /// Its meta, where it has one.
    pub meta: Option<Vec<u8>>,
}

/// One look.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// When, by its server's clock.
    pub now: Timestamp,
    /// The schedule.
    pub scores: BTreeMap<Vec<u8>, Option<f64>>,
}

impl RedBeat {
    /// Who holds the lock, and until when: each tick of a beat extends it.
    pub async fn lock(&self) -> Result<Option<Lock>> {
        let Some(key) = &self.place.lock else { return Ok(None) };
        let commands = vec![("GET", vec![key.as_str().into()]), ("PTTL", vec![key.as_str().into()])];
        let mut answers = self.client.each(commands).await?.into_iter();
        let mut answer = || answers.next().unwrap_or_else(|| Ok(fred::types::Value::Null));
        let (token, ttl) = (maybe_bytes(answer()?)?, number(answer()?)?);
        let now = self.now().await?;
        let token = token.map(|token| String::from_utf8_lossy(&token).into_owned());
        Ok(Some(Lock { now, token, until: (ttl >= 0).then(|| Timestamp(now.0 + ttl)) }))
    }

    /// The schedule now; one command for every 500 entries.
    pub async fn look(&self) -> Result<Watched> {
        let scores = self.scores_of(&self.place.schedule()).await?;
        Ok(Watched { now: self.now().await?, scores })
    }

    /// What these entries did last; one round trip for every 500.
    pub async fn fired(&self, keys: &[Vec<u8>]) -> Result<Vec<Fired>> {
        let mut fired = Vec::with_capacity(keys.len());
        for page in keys.chunks(500) {
            let commands = page.iter().map(|key| ("HGET", vec![key_of(key), "meta".into()])).collect();
            let answers = self.client.each(commands).await?;
            for (key, meta) in page.iter().zip(answers) {
                fired.push(Fired { key: key.clone(), meta: maybe_bytes(meta?)? });
            }
        }
        Ok(fired)
    }
}
