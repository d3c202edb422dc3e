//! The Redis of a Celery app, ours or another one: sends to its lists, and waits for results of its tasks.
//!
//! One connection for commands and, once anybody waits, one for subscriptions serve any number of runs. A worker publishes each
//! result as it stores it; what was missed is looked for every [`POLL`], all of it in one command.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fred::clients::SubscriberClient;
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::Value;
use tokio::sync::{OnceCell, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::config::Connection;
use crate::domain::celery::Celery;
use crate::domain::celery::outcome::RESULT_PREFIX;
use crate::domain::id::EntryId;
use crate::domain::run::Trigger;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::store::client::{self, Client, Use};
use crate::store::reply::{Reply, maybe_bytes};
use crate::store::scripts::digest;
use crate::store::{Store, keys};

/// A result whose message was lost is found this late.
const POLL: Duration = Duration::from_secs(15);
/// Results that are asked for in one command.
const ASKED_MAX: usize = 200;
/// How long the mark of a message stays whose result is awaited: longer than any run is kept.
const MARK_MS: i64 = 31 * 86_400_000;
/// The same once nothing is awaited any more: a node that dies now is followed by another one within its lease, 10 min at most.
const DONE_MARK_MS: i64 = 3_600_000;

/// Who waits for the result of which task; each may get several, and the same again.
type Waiting = Arc<Mutex<HashMap<String, mpsc::UnboundedSender<Vec<u8>>>>>;

/// A Redis of a Celery app.
pub struct CeleryServer {
    client: Client,
    connection: Arc<Connection>,
    /// Of the namespace whose runs are sent: its name and its scripts.
    store: Store,
    waiting: Waiting,
    listener: OnceCell<Listener>,
}

/// The subscription of a server and who reads it.
struct Listener {
    client: SubscriberClient,
    reader: JoinHandle<()>,
}

/// A message to send.
#[derive(Debug, Clone, Copy)]
pub struct Sending<'a> {
    /// The task.
    pub celery: &'a Celery,
    /// Its entry.
    pub entry_id: &'a EntryId,
    /// Its run, whose id is the task's.
    pub run_id: &'a str,
    /// The attempt that sends.
    pub attempt: u32,
    /// The first of the attempts that were lost or handed back right before this one, or this one: what they sent counts.
    pub first_attempt: u32,
    /// The nominal instant.
    pub fire_at: Timestamp,
    /// Why the run exists.
    pub trigger: Trigger,
    /// [`result_digest`] of what stood in the place of the result before; empty where nothing did.
    pub before: &'a str,
}

/// What became of a sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The message was written, now or by an earlier call. With what stood in the place of the result before.
    Done(String),
    /// The list holds as many as it may.
    Full,
    /// The broker refuses it, with these words; nothing was written.
    Refused(String),
}

/// Waits for the results of one task; forgotten when dropped.
pub struct ResultWatch {
    server: Arc<CeleryServer>,
    run_id: String,
    results: mpsc::UnboundedReceiver<Vec<u8>>,
}

/// Tells results of one task apart.
pub fn result_digest(text: &[u8]) -> String {
    digest(&[text])
}

impl Store {
    /// The Redis of a Celery app: this one, or another.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where it can't be reached or refuses the login.
    pub async fn celery_server(&self, other: Option<Connection>) -> Result<Arc<CeleryServer>> {
        let connection = other.map_or_else(|| self.inner.connection.clone(), Arc::new);
        Ok(Arc::new(CeleryServer {
            client: Client::connect(connection.clone(), Use::Commands).await?,
            connection,
            store: self.clone(),
            waiting: Waiting::default(),
            listener: OnceCell::new(),
        }))
    }
}

impl CeleryServer {
    /// Writes a message, once however often it is asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where no answer came: whether it was written is unknown, and asking again tells.
    pub async fn send(&self, sending: &Sending<'_>) -> Result<Sent> {
        let Sending { celery, entry_id, run_id, attempt, first_attempt, fire_at, trigger, before } = *sending;
        let args: Vec<Value> = vec![
            celery.list().into(),
            run_id.into(),
            i64::from(attempt).into(),
            i64::from(first_attempt).into(),
            before.into(),
            if celery.is_tracked { MARK_MS } else { DONE_MARK_MS }.into(),
            celery.max_len.cast_signed().into(),
            fire_at.ms().into(),
            i64::from(trigger.number()).into(),
            Value::Bytes(celery.template(self.store.namespace(), entry_id).into()),
        ];
        let mark = keys::celery_mark(self.store.namespace(), run_id);
        let mut reply = Reply::list(self.client.eval(&self.store.scripts().send_celery, &[mark], args).await?)?;
        match reply.text()?.as_str() {
            "sent" => Ok(Sent::Done(reply.text()?)),
            "full" => Ok(Sent::Full),
            "refused" => Ok(Sent::Refused(reply.text()?)),
            other => Err(Error::internal(format!("send_celery answered {other}"))),
        }
    }

    /// Lets the mark of a message go, an hour from now: its result is known.
    pub async fn forget(&self, run_id: &str) -> Result<()> {
        let mark = keys::celery_mark(self.store.namespace(), run_id);
        self.client.command("PEXPIRE", vec![mark.into(), DONE_MARK_MS.into()]).await.map(drop)
    }

    /// What stands in the place of a task's result.
    pub async fn result(&self, run_id: &str) -> Result<Option<Vec<u8>>> {
        maybe_bytes(self.client.command("GET", vec![result_key(run_id).into()]).await?)
    }

    /// Waits for results of a task from now on.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where it can't be subscribed to.
    pub async fn watch(self: &Arc<Self>, run_id: &str) -> Result<ResultWatch> {
        let listener = self.listener.get_or_try_init(|| self.listen()).await?;
        let (sender, results) = mpsc::unbounded_channel();
        locked(&self.waiting).insert(run_id.to_owned(), sender);
        // Dropped, it takes the place back.
        let watch = ResultWatch { server: self.clone(), run_id: run_id.to_owned(), results };
        listener
            .client
            .subscribe(result_key(run_id))
            .await
            .map_err(|why| self.connection.unavailable(format!("can't subscribe to results: {}", why.details())))?;
        Ok(watch)
    }

    /// Whether nobody waits for a result.
    pub fn is_idle(&self) -> bool {
        locked(&self.waiting).is_empty()
    }

    async fn listen(&self) -> Result<Listener> {
        let client = client::subscriber(&self.connection).await?;
        client.manage_subscriptions();
        let reader = tokio::spawn(listen(client.clone(), self.client.clone(), self.waiting.clone()));
        Ok(Listener { client, reader })
    }
}

impl Drop for CeleryServer {
    fn drop(&mut self) {
        let listener = self.listener.take();
        let client = self.client.clone();
        if let Some(listener) = &listener {
            listener.reader.abort();
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Some(listener) = listener {
                    let _ = listener.client.quit().await;
                }
                client.quit().await;
            });
        }
    }
}

impl ResultWatch {
    /// The next text that a worker left, by its message or found by a look; may come again.
    pub async fn next(&mut self) -> Vec<u8> {
        match self.results.recv().await {
            Some(text) => text,
            // Another watch of the same task has taken the place: this one is told nothing any more.
            None => std::future::pending().await,
        }
    }
}

impl Drop for ResultWatch {
    fn drop(&mut self) {
        // One attempt at a time waits for a task, and a run has one attempt at a time on a node.
        locked(&self.server.waiting).remove(&self.run_id);
        let (client, channel) = (self.server.listener.get().map(|one| one.client.clone()), result_key(&self.run_id));
        if let (Some(client), Ok(runtime)) = (client, tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { client.unsubscribe(channel).await });
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn result_key(run_id: &str) -> String {
    format!("{RESULT_PREFIX}{run_id}")
}

/// Hands out what is published, and now and then looks for what was not heard.
async fn listen(subscriber: SubscriberClient, client: Client, waiting: Waiting) {
    let mut messages = subscriber.message_rx();
    let mut reconnects = subscriber.reconnect_rx();
    let mut period = tokio::time::interval_at(Instant::now() + POLL, POLL);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Ok(message) => {
                    let run_id = message.channel.strip_prefix(RESULT_PREFIX).unwrap_or_default();
                    if let (Some(one), Some(text)) = (locked(&waiting).get(run_id), message.value.as_bytes()) {
                        let _ = one.send(text.to_vec());
                    }
                    continue;
                }
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            },
            _ = reconnects.recv() => {}
            _ = period.tick() => {}
        }
        look(&client, &waiting).await;
    }
}

/// Asks for the results of all tasks that are waited for. A server that does not answer is asked again later.
async fn look(client: &Client, waiting: &Waiting) {
    let run_ids: Vec<String> = locked(waiting).keys().cloned().collect();
    for some in run_ids.chunks(ASKED_MAX) {
        let keys = some.iter().map(|run_id| Value::from(result_key(run_id))).collect();
        let Ok(reply) = client.command("MGET", keys).await.and_then(Reply::list) else { return };
        for (run_id, text) in some.iter().zip(reply.rest()) {
            if let (Ok(Some(text)), Some(one)) = (maybe_bytes(text), locked(waiting).get(run_id)) {
                let _ = one.send(text);
            }
        }
    }
}
