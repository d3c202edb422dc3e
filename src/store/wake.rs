//! Waking up: nudges by pub/sub for times, hints in lists for work. Both may be lost; nothing depends on them but latency.

use std::time::Duration;

use fred::clients::SubscriberClient;
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::Result;
use crate::store::client::{self, Client, Use};
use crate::store::keys::{self, ShardKeys};
use crate::store::{Store, reply};

/// Counts of nudges: a receiver that sees a count change was nudged, however many receivers there are.
#[derive(Debug, Clone)]
pub struct Nudge {
    /// An earlier fire time was written, or work that waits.
    pub due: watch::Receiver<u64>,
    /// Somebody asked to cancel a run, or watches one.
    pub cancel: watch::Receiver<u64>,
}

/// The subscription of a process; ends when dropped.
pub struct Nudges {
    /// Changes as messages come; clone it.
    pub nudge: Nudge,
    client: SubscriberClient,
    reader: JoinHandle<()>,
}

impl Drop for Nudges {
    fn drop(&mut self) {
        self.reader.abort();
        let client = self.client.clone();
        tokio::spawn(async move { client.quit().await });
    }
}

/// A connection that blocks for hints.
pub struct HintReader {
    client: Client,
    keys: ShardKeys,
    name: String,
    block: Duration,
}

impl Store {
    /// Subscribes to the nudges of the namespace. A message that was lost (while reconnecting, or too many at once) wakes
    /// everything once it is noticed.
    pub async fn nudges(&self) -> Result<Nudges> {
        let client = client::subscriber(&self.inner.connection).await?;
        let (due, due_seen) = watch::channel(0);
        let (cancel, cancel_seen) = watch::channel(0);
        let nudge = Nudge { due: due_seen, cancel: cancel_seen };
        let mut messages = client.message_rx();
        let mut reconnects = client.reconnect_rx();
        client.manage_subscriptions();
        let subscribed = client.subscribe(keys::nudges(self.namespace())).await;
        subscribed.map_err(|why| self.inner.connection.unavailable(format!("can't subscribe: {}", why.details())))?;
        let reader = tokio::spawn(async move {
            loop {
                let text = tokio::select! {
                    message = messages.recv() => match message {
                        Ok(message) => message.value.into_string().unwrap_or_default(),
                        Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => String::new(),
                        Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
                    },
                    _ = reconnects.recv() => String::new(),
                };
                if text != "cancel" {
                    due.send_modify(|count| *count += 1);
                }
                if text != "due" {
                    cancel.send_modify(|count| *count += 1);
                }
            }
        });
        Ok(Nudges { nudge, client, reader })
    }

    /// A connection of its own to wait for hints on; each wait ends after `block` at the latest, and when the reader is called by
    /// its name: no waiting list has one without a colon.
    pub async fn hint_reader(&self, name: &str, block: Duration) -> Result<HintReader> {
        let client = Client::connect(self.inner.connection.clone(), Use::Blocking(block)).await?;
        Ok(HintReader { client, keys: ShardKeys::new(self.namespace(), 0), name: name.to_owned(), block })
    }

    /// Changes whenever a shard turns out to have other waiting lists than were known.
    pub fn list_changes(&self) -> watch::Receiver<()> {
        self.inner.lists_changed.subscribe()
    }

    /// Leaves a hint in the lists named, for shards whose scripts can't reach them.
    pub async fn hint(&self, lists: &[String]) -> Result<()> {
        let keys = ShardKeys::new(self.namespace(), 0);
        let hints: Vec<String> = lists.iter().map(|list| keys.hint(list)).collect();
        self.eval(&self.scripts().hint, &hints, Vec::new()).await.map(drop)
    }

    /// Removes a call to the reader of this name that nobody will hear.
    pub async fn forget_call(&self, name: &str) -> Result<()> {
        let keys = ShardKeys::new(self.namespace(), 0);
        self.inner.client.command("DEL", vec![keys.hint(name).into()]).await.map(drop)
    }
}

impl HintReader {
    /// Waits for a hint in one of the lists; `None` when the time was up, or the reader was called. A hint carries no run: losing
    /// one loses nothing.
    pub async fn wait(&self, lists: &[String]) -> Result<Option<String>> {
        let mut args: Vec<Value> = lists.iter().map(|list| Value::from(self.keys.hint(list))).collect();
        args.push(self.keys.hint(&self.name).into());
        args.push(self.block.as_secs_f64().into());
        let found = self.client.command("BLPOP", args).await?;
        if found.is_null() {
            return Ok(None);
        }
        let key = reply::texts(found)?.into_iter().next().unwrap_or_default();
        let prefix = self.keys.hint("");
        Ok(key.strip_prefix(&prefix).filter(|list| *list != self.name).map(str::to_owned))
    }

    /// Takes the call that was left for this reader, if it is there; a call that was answered is, unless somebody removed it.
    pub async fn forget_call(&self) -> Result<()> {
        // The least that blocks: 0 is for ever.
        self.client.command("BLPOP", vec![self.keys.hint(&self.name).into(), 0.001.into()]).await.map(drop)
    }
}
