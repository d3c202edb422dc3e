//! An attempt that is a task for Celery: sends it, once over all attempts that were lost, and waits for its result where it is
//! tracked.
//!
//! What happens to the task itself is Celery's matter: an attempt that ends before it, by its timeout or by somebody's wish, revokes
//! nothing.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cause::{Cause, Interruption};
use super::output::Tail;
use super::secret::{Mask, Vault};
use super::{Attempt, Ending, Outcome, Refused, Stop, address};
use crate::config::{Address, Connection};
use crate::domain::celery::Celery;
use crate::domain::celery::outcome::{self, TaskOutcome};
use crate::domain::id::EntryId;
use crate::domain::policy::RESULT_MAX_BYTES;
use crate::domain::run::Reason;
use crate::error::{Error, Result};
use crate::node::is_passing;
use crate::store::{CeleryServer, ResultWatch, Sending, Sent, Store, result_digest};

/// How long a Redis that can't be reached is asked again.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two asks, at first and at last.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// A server that nobody used for so long is let go.
const UNUSED: Duration = Duration::from_secs(300);

/// The servers of Celery apps, each with one connection for all attempts of this node.
#[derive(Default)]
pub(super) struct Tasks {
    store: Option<Store>,
    /// By url; the node's own Redis has none.
    servers: Mutex<HashMap<String, (Arc<CeleryServer>, Instant)>>,
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").finish_non_exhaustive()
    }
}

/// Why there is no end that the task itself brought about.
struct Failure(Reason, String);

impl Failure {
    /// A Redis that refuses or does not answer.
    fn of(what: &str, error: &Error) -> Self {
        let reason = if matches!(error, Error::Unavailable(_)) { Reason::Connect } else { Reason::Target };
        Self(reason, format!("{what}: {}", error.problem().message))
    }
}

impl Tasks {
    pub(super) fn of(store: Store) -> Self {
        Self { store: Some(store), servers: Mutex::default() }
    }

    /// Sends the task of `attempt`; reads secrets from `vault` and puts them under `mask`.
    pub(super) async fn run(
        &self,
        celery: &Celery,
        attempt: &Attempt,
        vault: &Vault,
        mask: &mut Mask,
        interruption: &mut Interruption,
    ) -> Result<Outcome, Refused> {
        let Some(store) = &self.store else { return Err(Refused("this program sends no tasks to Celery".into())) };
        let entry_id = EntryId::parse("entry", &attempt.context.entry_id).map_err(|why| Refused(why.to_string()))?;
        let broker = target("broker", celery.broker.as_deref(), vault, mask)?;
        let backend = match &celery.result_backend {
            Some(url) => target("result_backend", Some(url), vault, mask)?,
            None => broker.clone(),
        };
        let mut is_sent = false;
        let mut tail = Tail::new(mask, &attempt.output);
        let work = async {
            let broker = self.server(store, broker).await.map_err(|why| Failure::of("the broker", &why))?;
            if !celery.is_tracked {
                return send(&broker, celery, &entry_id, attempt, "").await.map(|_| Outcome::new(Ending::Delivered));
            }
            let backend = self.server(store, backend).await.map_err(|why| Failure::of("the result backend", &why))?;
            let (mut watch, before) = begin_to_watch(&backend, attempt).await?;
            let before = send(&broker, celery, &entry_id, attempt, &before).await?;
            is_sent = true;
            let outcome = wait(&backend, &mut watch, attempt, &before).await;
            // It goes by itself in a month; an hour is enough for whoever follows this node.
            let _ = broker.forget(&attempt.context.run_id).await;
            Ok(told(outcome, &mut tail))
        };
        let ended = tokio::select! {
            ended = work => Ok(ended),
            cause = interruption.next() => Err(cause),
        };
        tail.finish();
        Ok(match ended {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(Failure(reason, message))) => Outcome::failed(reason, message),
            Err(cause) => interrupted(cause, attempt, is_sent),
        })
    }

    /// The server at this place, asked for until it answers or the patience is at its end.
    async fn server(&self, store: &Store, place: Option<Connection>) -> Result<Arc<CeleryServer>> {
        let url = place.as_ref().map_or_else(String::new, |place| format!("{place:?}"));
        let now = Instant::now();
        {
            let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
            servers.retain(|_, (server, used)| Arc::strong_count(server) > 1 || now.duration_since(*used) < UNUSED);
            if let Some((server, used)) = servers.get_mut(&url) {
                *used = now;
                return Ok(server.clone());
            }
        }
        let made = until_answered(|| connect(store, place.as_ref())).await?;
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        // Another attempt may have been faster.
        Ok(servers.entry(url).or_insert((made, now)).0.clone())
    }
}

/// The Redis that is meant; `None` for the node's own.
fn target(field: &str, url: Option<&str>, vault: &Vault, mask: &mut Mask) -> Result<Option<Connection>, Refused> {
    let Some(url) = url else { return Ok(None) };
    let text = vault.open(url, mask)?.into_string().unwrap_or_default();
    let connection = Connection::parse(text.trim(), None)
        .map_err(|why| Refused(format!("celery.{field}: {}", why.problem().message)))?;
    if let Some(password) = &connection.password {
        mask.add(password.as_bytes());
    }
    Ok(Some(connection))
}

/// A server of its own, or the node's.
async fn connect(store: &Store, place: Option<&Connection>) -> Result<Arc<CeleryServer>> {
    match place {
        Some(place) => store.celery_server(Some(permitted(place).await?)).await,
        None => store.celery_server(None).await,
    }
}

/// Where to connect to, after a look at where that is: as for requests, link-local addresses and metadata services are refused.
async fn permitted(connection: &Connection) -> Result<Connection> {
    let mut permitted = connection.clone();
    let Address::Tcp { host, port, tls } = &mut permitted.address else { return Ok(permitted) };
    let refuse = |forbidden: address::Forbidden| Error::invalid("celery.broker", forbidden.to_string());
    if let Ok(address) = host.parse::<IpAddr>() {
        return address::check(address).map(|()| permitted).map_err(refuse);
    }
    let found = tokio::net::lookup_host((host.as_str(), *port)).await;
    let found = found.map_err(|why| connection.unavailable(format!("can't be reached: {why}")))?;
    let usable = address::permitted(found).map_err(refuse)?;
    // With TLS the name is needed, and the certificate shows who answers.
    if let (None, Some(first)) = (tls, usable.first()) {
        *host = first.ip().to_string();
    }
    Ok(permitted)
}

/// Asks again while there is no answer, up to [`PATIENCE`].
async fn until_answered<T, F: Future<Output = Result<T>>>(ask: impl Fn() -> F) -> Result<T> {
    let begun = Instant::now();
    let mut wait = AGAIN.0;
    loop {
        match ask().await {
            Err(Error::Unavailable(why)) if is_passing(&why.message) && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(AGAIN.1);
            }
            other => return other,
        }
    }
}

/// Subscribes to the result first, so that it can't be missed. With the digest of what stands in its place already, where an earlier
/// attempt failed with it.
async fn begin_to_watch(backend: &Arc<CeleryServer>, attempt: &Attempt) -> Result<(ResultWatch, String), Failure> {
    let run_id = attempt.context.run_id.as_str();
    let failed = |why: Error| Failure::of("the result backend", &why);
    let watch = until_answered(|| backend.watch(run_id)).await.map_err(failed)?;
    if attempt.first_attempt <= 1 {
        return Ok((watch, String::new()));
    }
    let before = until_answered(|| backend.result(run_id)).await.map_err(failed)?;
    Ok((watch, before.map_or_else(String::new, |text| result_digest(&text))))
}

/// Sends it, or finds that it was sent. With the digest of what stood in the place of the result before that.
async fn send(
    broker: &CeleryServer,
    celery: &Celery,
    entry_id: &EntryId,
    attempt: &Attempt,
    before: &str,
) -> Result<String, Failure> {
    let context = &attempt.context;
    let sending = Sending {
        celery,
        entry_id,
        run_id: &context.run_id,
        attempt: context.attempt,
        first_attempt: attempt.first_attempt,
        fire_at: context.fire_at,
        trigger: context.trigger,
        before,
    };
    match until_answered(|| broker.send(&sending)).await {
        Ok(Sent::Done(before)) => Ok(before),
        Ok(Sent::Full) => Err(Failure(Reason::TargetFull, format!("{} holds {}", celery.list(), celery.max_len))),
        Ok(Sent::Refused(words)) => Err(Failure(Reason::Target, format!("{}: {words}", celery.list()))),
        Err(why @ Error::Unavailable(_)) => {
            let Failure(reason, message) = Failure::of("the broker", &why);
            Err(Failure(reason, format!("{message}; whether the task was sent is not known")))
        }
        Err(why) => Err(Failure::of("the broker", &why)),
    }
}

/// Waits until the task has ended. What stood in the place of its result before it was sent is not about it.
async fn wait(backend: &CeleryServer, watch: &mut ResultWatch, attempt: &Attempt, before: &str) -> TaskOutcome {
    let mut found = match attempt.context.attempt {
        1 => None,
        // Its message may have come while nobody listened. Where there is no answer, the next look has one.
        _ => backend.result(&attempt.context.run_id).await.ok().flatten(),
    };
    loop {
        let text = match found.take() {
            Some(text) => text,
            None => watch.next().await,
        };
        let is_news = before.is_empty() || result_digest(&text) != before;
        if let Some(outcome) = is_news.then(|| outcome::read(&text)).flatten() {
            return outcome;
        }
    }
}

/// The task's end as that of the run; its result and what Python says of a failure can be read as its output.
fn told(outcome: TaskOutcome, tail: &mut Tail<'_>) -> Outcome {
    match outcome {
        TaskOutcome::Succeeded(result) => {
            let result = result.unwrap_or_default();
            if !result.is_empty() {
                tail.push(result.as_bytes());
                tail.push(b"\n");
            }
            let end = (0..=RESULT_MAX_BYTES.min(result.len())).rev().find(|at| result.is_char_boundary(*at));
            let kept = &result[..end.unwrap_or(0)];
            Outcome { result: (!kept.is_empty()).then(|| kept.to_owned()), ..Outcome::new(Ending::Succeeded) }
        }
        TaskOutcome::Failed { message, traceback } => {
            if let Some(traceback) = traceback {
                tail.push(traceback.as_bytes());
            }
            Outcome::failed(Reason::Target, message)
        }
    }
}

fn interrupted(cause: Cause, attempt: &Attempt, is_sent: bool) -> Outcome {
    let mut outcome = Outcome::interrupted(cause, attempt.timeout);
    if is_sent && matches!(cause, Cause::Timeout | Cause::Stop(Stop::Cancel)) {
        let id = &attempt.context.run_id;
        let why = outcome.message.map_or_else(String::new, |why| format!("{why}; "));
        outcome.message = Some(format!("{why}the task itself goes on: celery -A APP control revoke {id}"));
    }
    outcome
}
