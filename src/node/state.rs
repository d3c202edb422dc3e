//! What the loops of a node share.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};

use crate::domain::id::EntryId;
use crate::domain::node::NodeInfo;
use crate::domain::timestamp::Timestamp;
use crate::node::action::Executor;
use crate::node::briefing::Definitions;
use crate::node::clock::skew_ms;
use crate::node::config::NodeConfig;
use crate::node::slots::Slots;
use crate::node::timer::Timer;
use crate::shutdown::Shutdown;
use crate::store::{Ended, Store};

/// What the loops of a node share.
pub struct Shared {
    pub store: Store,
    pub config: NodeConfig,
    pub name: String,
    /// 16 hex digits made at start: holder of leases, never the name.
    pub incarnation: String,
    pub started_at: Timestamp,
    pub executor: Executor,
    pub slots: Slots,
    pub definitions: Definitions,
    pub timer: Timer,
    pub shutdown: Shutdown,
    /// One per shard.
    pub lanes: Vec<Lane>,
    /// Entries that need a plan.
    pub to_plan: mpsc::Sender<EntryId>,
    /// Notified whenever a slot becomes free.
    pub slot_freed: Notify,
    /// A schedule file is put back after a flush.
    pub heals: AtomicBool,
    /// Notified when the namespace may have been flushed.
    pub look_at_beginning: Notify,
    is_ready: AtomicBool,
    skew_ms: AtomicI64,
    shard_ms: AtomicI64,
}

/// The lane `work` of a shard: what is to be told to Redis.
#[derive(Debug)]
pub struct Lane {
    /// Wakes the lane.
    pub wake: Notify,
    /// Work is believed to wait in the shard.
    pub has_work: AtomicBool,
    /// The zones of all entries of the shard are being looked at.
    pub is_walking: AtomicBool,
    /// Old records of the shard are being dropped.
    pub is_ageing: AtomicBool,
    /// Attempts that ended.
    pub ended: mpsc::UnboundedSender<Ended>,
    /// When the claim should look in at the latest, because of what this node told Redis.
    pub look: watch::Sender<Option<Instant>>,
}

impl Lane {
    /// Says that something of this shard comes due so soon: the claim sleeps by what it read before.
    pub fn look_within(&self, wait: Duration) {
        let at = Instant::now() + wait;
        self.look.send_if_modified(|look| {
            let is_sooner = look.is_none_or(|before| at < before);
            if is_sooner {
                *look = Some(at);
            }
            is_sooner
        });
    }

    /// Says that work waits.
    pub fn expect_work(&self) {
        self.has_work.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

/// The parts that are made once.
pub struct Parts {
    pub store: Store,
    pub config: NodeConfig,
    pub name: String,
    pub incarnation: String,
    pub started_at: Timestamp,
    pub executor: Executor,
    pub timer: Timer,
    pub shutdown: Shutdown,
    pub lanes: Vec<Lane>,
    pub to_plan: mpsc::Sender<EntryId>,
}

impl Shared {
    pub fn new(parts: Parts) -> Self {
        let concurrency = parts.config.concurrency;
        Self {
            slots: Slots::new(concurrency),
            definitions: Definitions::default(),
            skew_ms: AtomicI64::new(skew_ms(parts.started_at)),
            shard_ms: AtomicI64::new(parts.started_at.0),
            is_ready: AtomicBool::new(true),
            slot_freed: Notify::new(),
            heals: AtomicBool::new(false),
            look_at_beginning: Notify::new(),
            store: parts.store,
            config: parts.config,
            name: parts.name,
            incarnation: parts.incarnation,
            started_at: parts.started_at,
            executor: parts.executor,
            timer: parts.timer,
            shutdown: parts.shutdown,
            lanes: parts.lanes,
            to_plan: parts.to_plan,
        }
    }

    pub fn lease_ms(&self) -> i64 {
        self.config.lease.ms()
    }

    /// A third of the lease.
    pub fn renew_every(&self) -> Duration {
        Duration::from_millis(self.config.lease.0 / 3)
    }

    /// The shard's time as last heard.
    pub fn last_now(&self) -> Timestamp {
        Timestamp(self.shard_ms.load(Ordering::Relaxed))
    }

    pub fn heard(&self, now: Timestamp) {
        self.shard_ms.store(now.0, Ordering::Relaxed);
        self.skew_ms.store(skew_ms(now), Ordering::Relaxed);
    }

    /// Notes that Redis answers, or does not; says so in the log when it changes.
    pub fn set_ready(&self, is_ready: bool, why: &dyn std::fmt::Display) {
        if self.is_ready.swap(is_ready, Ordering::Relaxed) == is_ready {
            return;
        }
        if is_ready {
            tracing::info!(node.id = %self.incarnation, "ready again");
            self.may_be_flushed();
        } else {
            tracing::warn!(node.id = %self.incarnation, why = %why, "not ready: what runs goes on, nothing new is taken");
        }
    }

    /// What the node says of itself.
    pub fn info(&self) -> NodeInfo {
        let state = if self.shutdown.is_draining() {
            "draining"
        } else if self.is_ready.load(Ordering::Relaxed) {
            "live"
        } else {
            "unready"
        };
        NodeInfo {
            node: self.name.clone(),
            incarnation: self.incarnation.clone(),
            host: nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            state: state.to_owned(),
            running: self.slots.used(),
            concurrency: self.config.concurrency,
            serves: self.config.serves.clone(),
            tzdata: self.store.zone_data().to_owned(),
            clock_skew_ms: self.skew_ms.load(Ordering::Relaxed),
            lease_ms: self.lease_ms(),
            asked_name: self.config.name.clone(),
        }
    }
}
