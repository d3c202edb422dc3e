//! Leases: renew one's own, take over from a node whose lease has ended, leave in order.

use fred::types::Value;

use crate::domain::policy::TAKE_OVERS;
use crate::domain::span::Span;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::keys::Key;
use crate::store::reply::{Reply, text};

/// What a renewal told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Renewed {
    /// Runs that the node holds, by Redis.
    pub held: Vec<String>,
    /// Those that somebody asked to cancel.
    pub to_cancel: Vec<String>,
    /// Those whose output somebody watches, and for how long still.
    pub watched: Vec<(String, Span)>,
}

/// What a take-over did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rescued {
    /// The lease has not ended after all.
    Alive,
    /// It was carried out.
    Done {
        /// Runs put back into their lists.
        back: usize,
        /// Runs that ended: lost too often, or asked to be cancelled.
        ended: usize,
        /// Runs left for the next call.
        left: usize,
    },
}

const RESCUE_KEYS: &[Key] = &[Key::Clock, Key::Live, Key::Leases];
const RESCUE_MORE_KEYS: &[Key] = &[
    Key::History,
    Key::Ended,
    Key::Events,
    Key::StartBy,
    Key::Due,
    Key::Cursors,
    Key::Cancels,
    Key::Queues,
    Key::Active,
    Key::Waits,
    Key::Dead,
    Key::Letters,
    Key::QueueRules,
    Key::Occupied,
    Key::Starts,
];

impl Store {
    /// Extends the lease of an incarnation in a shard.
    pub async fn renew(&self, shard: u16, incarnation: &str, lease_ms: i64) -> Result<Renewed> {
        let keys = self.keys(shard);
        let keys = [
            keys.key(Key::Clock),
            keys.key(Key::Leases),
            keys.holds(incarnation),
            keys.key(Key::Cancels),
            keys.key(Key::Watched),
        ];
        let args = vec![incarnation.into(), lease_ms.into()];
        let mut reply = Reply::list(self.eval(&self.scripts().renew, &keys, args).await?)?;
        reply.next()?;
        let (held, to_cancel) = (reply.texts()?, reply.texts()?);
        let mut watched = Vec::new();
        let mut pairs = Reply::list(reply.next()?)?;
        while let Ok(run_id) = pairs.text() {
            watched.push((run_id, Span(u64::try_from(pairs.number()?).unwrap_or(0))));
        }
        Ok(Renewed { held, to_cancel, watched })
    }

    /// Takes over what an incarnation held whose lease has ended; at most 500 runs.
    pub async fn rescue(&self, shard: u16, incarnation: &str, node: &str) -> Result<Rescued> {
        let lists = self.lists(shard);
        let mut keys = self.keys(shard).all(RESCUE_KEYS);
        keys.push(self.keys(shard).holds(incarnation));
        keys.extend(self.keys(shard).all(RESCUE_MORE_KEYS));
        keys.extend(self.list_keys(shard, &lists));
        let mut args: Vec<Value> =
            vec![incarnation.into(), node.into(), i64::from(TAKE_OVERS).into(), (lists.len() as i64).into()];
        args.extend(lists.iter().map(|list| Value::from(list.as_str())));
        let mut reply = Reply::list(self.eval(&self.scripts().rescue, &keys, args).await?)?;
        match reply.text()?.as_str() {
            "alive" => Ok(Rescued::Alive),
            "rescued" => Ok(Rescued::Done {
                back: reply.number()?.max(0) as usize,
                ended: reply.number()?.max(0) as usize,
                left: reply.number()?.max(0) as usize,
            }),
            other => Err(Error::internal(format!("rescue answered {other}"))),
        }
    }

    /// Takes an incarnation off the lists of a shard; `false` while it still holds something there.
    pub async fn leave(&self, shard: u16, incarnation: &str) -> Result<bool> {
        let keys = self.keys(shard);
        let mut keys = keys.all(&[Key::Nodes, Key::Seen, Key::Lanes]);
        keys.push(self.keys(shard).holds(incarnation));
        keys.extend(self.keys(shard).all(&[Key::Clock, Key::Events]));
        let reply = self.eval(&self.scripts().leave, &keys, vec![incarnation.into()]).await?;
        Ok(text(reply)? == "left")
    }
}
