//! What a node does by itself: claim, fetch, execute, show what is written, finish, renew, take over, plan,
//! rebuild; and stop in order.
//!
//! Every node is the same and may do anything at any time. [`run`] wires the loops; each is a pass that moves what is toward
//! what should be, and a ticker. Hints and nudges shorten latency, the period guarantees progress.

pub mod action;
mod aim;
mod briefing;
mod caring;
mod claiming;
mod clock;
mod config;
mod execution;
mod healing;
mod hints;
pub mod huge_pages;
mod outcome;
mod portion;
mod renewing;
mod showing;
mod slots;
mod standby;
mod state;
mod timer;
mod working;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

pub use config::NodeConfig;
pub use healing::{Recreate, RecreateCall, Recreated, ScheduleSource};
pub use standby::{LOOK_IN, POLL};

use crate::config::Connection;
use crate::domain::id::Namespace;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
pub use crate::node::action::Instead;
use crate::node::action::{Executor, ExecutorConfig, Stop};
use crate::node::healing::Healing;
use crate::node::state::{Lane, Parts, Shared};
use crate::node::timer::Timer;
use crate::shutdown::Shutdown;
use crate::store::{Nudges, Store};

/// Between attempts to reach Redis at start.
const CONNECT_RETRY: Duration = Duration::from_millis(500);
/// SIGTERM goes to what still runs this long before the end of a drain.
const KILL_BEFORE_END: Duration = Duration::from_secs(10);
/// Kept from a drain's time for telling Redis.
const TELL: Duration = Duration::from_millis(700);

/// Runs a node until it is asked to stop and has drained.
///
/// # Errors
///
/// [`Error::Unavailable`] where Redis refuses the login, is too old or read-only; a Redis that can't be reached is waited for.
pub async fn run(config: NodeConfig, connection: Connection, namespace: Namespace, shutdown: Shutdown) -> Result<()> {
    run_healing(config, connection, namespace, shutdown, None).await
}

/// As [`run`]; in the place of the work of every attempt `instead` is called.
///
/// # Errors
///
/// As [`run`].
pub async fn run_instead(
    config: NodeConfig,
    connection: Connection,
    namespace: Namespace,
    shutdown: Shutdown,
    instead: Instead,
) -> Result<()> {
    run_with(config, connection, namespace, shutdown, Extras { source: None, instead: Some(instead) }).await
}

/// As [`run`]; the entries of `source` are put back when the namespace was flushed.
///
/// # Errors
///
/// As [`run`].
pub async fn run_healing(
    config: NodeConfig,
    connection: Connection,
    namespace: Namespace,
    shutdown: Shutdown,
    source: Option<ScheduleSource>,
) -> Result<()> {
    run_with(config, connection, namespace, shutdown, Extras { source, instead: None }).await
}

/// What a node may have beside its settings.
struct Extras {
    source: Option<ScheduleSource>,
    instead: Option<Instead>,
}

async fn run_with(
    config: NodeConfig,
    connection: Connection,
    namespace: Namespace,
    mut shutdown: Shutdown,
    Extras { source, instead }: Extras,
) -> Result<()> {
    let store = tokio::select! {
        store = connect(&connection, &namespace) => store?,
        () = shutdown.draining() => return Ok(()),
    };
    // Both are several round trips, and the first claim waits for both.
    let (nudges, joined) = tokio::try_join!(store.nudges(), join(&store, &config.name))?;
    let mut loops = JoinSet::new();
    let shared = begin(config, store, joined, instead, shutdown.clone(), &nudges, &mut loops)?;
    say_hello(&shared).await;
    if let Some(source) = source {
        shared.heals.store(true, Ordering::Relaxed);
        loops.spawn(Healing::new(shared.clone(), source).run());
    }
    tokio::select! {
        () = shutdown.draining() => {}
        Some(ended) = loops.join_next() => {
            let why = ended.err().map_or_else(|| "it returned".to_owned(), |why| why.to_string());
            return Err(Error::internal(format!("a loop of the node ended: {why}")));
        }
    }
    drain(&shared).await;
    loops.shutdown().await;
    // Its wait for hints may have been called at the very end, and heard nothing of it.
    if let Err(why) = shared.store.forget_call(&shared.incarnation).await {
        tracing::debug!(why = %why, "a call to this node may stay behind");
    }
    for shard in shared.store.shards() {
        if let Err(why) = shared.store.leave(shard, &shared.incarnation).await {
            tracing::warn!(why = %why, "could not leave in order: the node will be listed as lost");
        }
    }
    shared.store.quit().await;
    tracing::info!(node.name = %shared.name, "stopped");
    Ok(())
}

/// Waits for a Redis that can't be reached; anything else it says is final.
async fn connect(connection: &Connection, namespace: &Namespace) -> Result<Store> {
    let mut is_told = false;
    loop {
        match Store::open(connection.clone(), namespace.clone()).await {
            Err(Error::Unavailable(why)) if is_passing(&why.message) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(why = %why, "not ready: waiting for Redis");
                }
                tokio::time::sleep(CONNECT_RETRY).await;
            }
            other => return other,
        }
    }
}

fn is_passing(message: &str) -> bool {
    ["can't be reached", "no answer", "loading"].iter().any(|words| message.contains(words))
}

/// What a node asks before it begins.
struct Joined {
    name: String,
    started_at: Timestamp,
}

/// A name that no live node has, and the time.
async fn join(store: &Store, wanted: &str) -> Result<Joined> {
    let now = store.now(0).await?;
    let nodes = store.nodes().await?;
    let is_taken = |name: &str| nodes.iter().any(|(node, seen)| node.node == name && now.0 - seen.0 < 10_000);
    let mut others = (2..).map(|number| format!("{wanted}-{number}"));
    let free = Some(wanted.to_owned()).filter(|name| !is_taken(name)).or_else(|| others.find(|name| !is_taken(name)));
    Ok(Joined { name: free.unwrap_or_else(|| wanted.to_owned()), started_at: now })
}

fn begin(
    config: NodeConfig,
    store: Store,
    Joined { name, started_at }: Joined,
    instead: Option<Instead>,
    shutdown: Shutdown,
    nudges: &Nudges,
    loops: &mut JoinSet<()>,
) -> Result<Arc<Shared>> {
    let kill_after = crate::domain::span::Span(config.drain_timeout.0.saturating_sub(1_000).clamp(200, 10_000));
    let executor = Executor::new(ExecutorConfig {
        program: None,
        pass_env: config.pass_env.clone(),
        secrets: config.secrets.clone(),
        secrets_dir: config.secrets_dir.clone(),
        kill_after,
    })?
    .with_store(store.clone())
    .with_instead(instead);
    let timer = Timer::start().map_err(|why| Error::internal(format!("the system gives no timer: {why}")))?;
    let (to_plan, planning) = mpsc::channel(caring::TO_PLAN_MAX);
    let (lanes, ends): (Vec<Lane>, Vec<_>) = store
        .shards()
        .map(|_| {
            let (ended, ends) = mpsc::unbounded_channel();
            (
                Lane {
                    wake: Notify::new(),
                    has_work: true.into(),
                    is_walking: false.into(),
                    is_ageing: false.into(),
                    ended,
                    look: watch::Sender::new(None),
                },
                ends,
            )
        })
        .unzip();
    let shared = Arc::new(Shared::new(Parts {
        started_at,
        name,
        incarnation: uuid::Uuid::new_v4().simple().to_string()[..16].to_owned(),
        store,
        config,
        executor,
        timer,
        shutdown,
        lanes,
        to_plan,
    }));
    for (shard, ends) in shared.store.shards().zip(ends) {
        loops.spawn(working::run(shared.clone(), shard, ends));
        loops.spawn(claiming::Claiming::new(shared.clone(), shard).run(nudges.nudge.clone()));
    }
    loops.spawn(renewing::run(shared.clone(), nudges.nudge.clone()));
    loops.spawn(showing::run(shared.clone()));
    loops.spawn(hints::run(shared.clone()));
    loops.spawn(caring::plan_all(shared.clone(), planning));
    Ok(shared)
}

async fn say_hello(shared: &Shared) {
    let serves = &shared.config.serves;
    tracing::info!(
        node.name = %shared.name,
        node.id = %shared.incarnation,
        namespace = %shared.store.namespace(),
        redis = shared.store.shown(),
        queues = serves.queues.as_ref().map_or_else(|| "all".to_owned(), |queues| queues.join(",")),
        allow = if serves.kinds.is_empty() { "none".to_owned() } else { serves.kinds.join(",") },
        concurrency = shared.config.concurrency,
        tzdata = shared.store.zone_data(),
        "started"
    );
    match shared.store.report().await {
        Ok(report) => report.warnings.iter().for_each(|warning| tracing::warn!("{warning}")),
        Err(why) => tracing::warn!(why = %why, "Redis could not be asked whether it keeps its keys"),
    }
}

/// No new work; what runs may end until the time is up, then it is ended and handed back. Killing included.
async fn drain(shared: &Shared) {
    let timeout = Duration::from_millis(shared.config.drain_timeout.0);
    let end = Instant::now() + timeout;
    tracing::info!(running = shared.slots.used(), drain_timeout_ms = shared.config.drain_timeout.0, "draining");
    let ask_at = if timeout <= KILL_BEFORE_END { Instant::now() } else { end - KILL_BEFORE_END };
    if !idle_until(shared, ask_at).await {
        tracing::info!(running = shared.slots.used(), "ending what still runs");
        shared.slots.stop_all(Stop::Drain);
        if !idle_until(shared, end.checked_sub(TELL).unwrap_or(end)).await {
            shared.slots.stop_all(Stop::Lost);
            if !idle_until(shared, end + TELL).await {
                tracing::warn!(
                    running = shared.slots.used(),
                    "stopped with work unfinished: it is taken over when the lease ends"
                );
            }
        }
    }
}

/// Whether everything ended, and Redis knows, before `until`.
async fn idle_until(shared: &Shared, until: Instant) -> bool {
    while !shared.slots.is_idle() {
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
}
