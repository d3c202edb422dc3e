//! The only place that knows Redis: one function per verb, each one atomic step there.
//!
//! What is written is written by scripts (`src/lua/`), what is read here is a picture that may be old the moment it arrives;
//! every change names what it was decided on and is refused where that no longer holds.

mod add;
mod added;
mod age_runs;
mod ageing;
mod ask;
mod audit;
mod backfill;
mod beginning;
mod brief;
mod calendars;
mod celery;
mod change;
mod claim;
mod client;
mod dead;
mod forecast;
mod health;
mod kept;
mod keys;
mod lease;
mod log;
mod measure;
mod names;
mod namespaces;
mod once;
mod outputs;
mod planning;
mod queues;
mod read;
mod read_runs;
mod ready;
mod rebuild;
mod redbeat;
mod reply;
mod rights;
mod sabotage;
mod scripts;
mod server;
mod skip;
mod wake;
mod work;
mod zones;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use fred::types::Value;
use tokio::sync::watch;

pub use add::AddAnswer;
pub use age_runs::{AgedRuns, RUNS_KEPT};
pub use ageing::Aged;
pub use ask::{Asked, CancelAnswer, CancelledBefore, Made, TriggerAnswer, TriggerCall, Unique};
pub use audit::{KeptCalendar, SNAPSHOT_ENTRIES, Snapshot};
pub use backfill::{BACKFILL_MAX, Backfill, BackfillAnswer, BackfillCall};
pub use beginning::{Beginning, BeginningCall, FileNote};
pub use brief::Brief;
pub use calendars::{CALENDAR_VERSION, CalendarAnswer, CalendarCall};
pub use celery::{CeleryServer, ResultWatch, Sending, Sent, result_digest};
pub use change::{Change, ChangeCall, ChangeWord, Changed, PutAnswer, Replan, ReplanAnswer, Verb};
pub use claim::{Claim, ClaimCall, ClaimReply, Started};
pub use client::is_refused;
pub use dead::{LetterWord, LettersAnswer, PURGE_MAX, RETRY_MAX};
pub use health::{Counts, Seen, ServerInfo};
pub use lease::{Renewed, Rescued};
pub use log::{EndedLine, Log, LogLine, Position};
pub use measure::{Delivered, RedisClock, Spent};
pub use namespaces::{NamespaceUse, Namespaces};
pub use once::OnceCall;
pub use outputs::{OUTPUTS_MAX_BYTES, Output, Watch, Watched};
pub use planning::Planned;
pub use queues::{QueueAnswer, QueueCall, QueueState, QueueVerb};
pub use read::{Place, REVISIONS_KEPT, StoredEntry};
pub use rebuild::Rebuilt;
pub use redbeat::{Fired, Lock, RedBeat, Restored, TakeAnswer, TakeCall, Taken, Watched as RedBeatWatched};
pub use rights::{AclOf, Role};
pub use server::ServerReport;
pub use skip::{SKIPS_MAX, Skip, SkipAnswer, SkipCall};
pub use wake::{HintReader, Nudge, Nudges};
pub use work::{Ended, EndedAs, FinishWord, NextAttempt, WorkCall, WorkReply};
pub use zones::Walked;

use crate::config::Connection;
use crate::domain::id::{EntryId, Namespace};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::error::{Error, Problem, Result};
use client::{Client, Use, Word};
use keys::{Key, ShardKeys};
use names::Names;
use reply::{Reply, maybe_bytes};
pub use scripts::Script;
use scripts::Scripts;

/// Shards of a namespace that is used for the first time.
pub const DEFAULT_SHARDS: u16 = 1;
/// How the keys of a namespace are laid out.
const LAYOUT: i64 = 1;

/// The texts are the same for each store of a process.
static SCRIPTS: Scripts = Scripts::new(sabotage::apply);

/// Every script by its name, as Redis is sent it.
pub fn scripts() -> impl Iterator<Item = &'static Script> {
    SCRIPTS.all().into_iter()
}

/// A namespace in Redis; cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// Release of the zone data that plans are made with here.
    zone_data: Arc<str>,
}

struct Inner {
    client: Client,
    connection: Arc<Connection>,
    namespace: Namespace,
    shards: Vec<Shard>,
    /// Whether anything was ever written in the namespace.
    is_used: AtomicBool,
    /// Changes when a registry was read that names other waiting lists than before.
    lists_changed: watch::Sender<()>,
}

/// One shard: its names, and the waiting lists that its registry named last.
struct Shard {
    keys: ShardKeys,
    lists: RwLock<Arc<Vec<String>>>,
    /// Names for the node that uses this store.
    names: Mutex<Option<Arc<Names>>>,
}

impl Store {
    /// Connects, and checks that the server can be used. A namespace that is new stays unused until something is written.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where the server can't be reached, refuses the login, is too old or read-only.
    pub async fn open(connection: Connection, namespace: Namespace) -> Result<Self> {
        let connection = Arc::new(connection);
        let client = Client::connect(connection.clone(), Use::Commands).await?;
        server::check(&client, &connection).await?;
        let args = vec![keys::settings(&namespace).into(), "shards".into(), "layout".into()];
        let mut fixed = Reply::list(client.command("HMGET", args).await?)?;
        let (shards, layout) = (maybe_bytes(fixed.next()?)?, maybe_bytes(fixed.next()?)?);
        let number = |bytes: &[u8]| String::from_utf8_lossy(bytes).parse::<i64>().ok();
        let shards = shards.as_deref().and_then(number).filter(|_| layout.is_some());
        if let Some(layout) = layout.as_deref().and_then(number).filter(|layout| *layout != LAYOUT) {
            return Err(Error::Conflict(Problem::bare(format!(
                "namespace {namespace} has layout {layout}: a newer upbeat wrote it"
            ))));
        }
        let store = Self::with(client, connection, namespace, shards.unwrap_or(i64::from(DEFAULT_SHARDS)));
        store.inner.is_used.store(shards.is_some(), Ordering::Relaxed);
        if shards.is_some() {
            for shard in store.shards() {
                store.refresh_lists(shard).await?;
            }
        }
        Ok(store)
    }

    /// As [`Store::open`]; a namespace that is new gets this many shards at once, 1 to 1,024.
    pub async fn open_with_shards(connection: Connection, namespace: Namespace, shards: u16) -> Result<Self> {
        let store = Self::open(connection, namespace).await?;
        if store.is_used() {
            return Ok(store);
        }
        let Inner { client, connection, namespace, .. } = &*store.inner;
        let store = Self::with(client.clone(), connection.clone(), namespace.clone(), i64::from(shards));
        store.begin_to_use().await?;
        Ok(store)
    }

    fn with(client: Client, connection: Arc<Connection>, namespace: Namespace, shards: i64) -> Self {
        let shards = (0..u16::try_from(shards).unwrap_or(1).max(1))
            .map(|number| Shard {
                keys: ShardKeys::new(&namespace, number),
                lists: RwLock::default(),
                names: Mutex::default(),
            })
            .collect();
        let inner = Inner {
            client,
            connection,
            namespace,
            shards,
            is_used: AtomicBool::new(false),
            lists_changed: watch::Sender::new(()),
        };
        Self { inner: Arc::new(inner), zone_data: Zone::data_version().into() }
    }

    /// Whether anything was ever written in this namespace, by whomever, as far as this store knows.
    pub fn is_used(&self) -> bool {
        self.inner.is_used.load(Ordering::Relaxed)
    }

    /// Fixes the number of shards of a namespace that is new.
    async fn begin_to_use(&self) -> Result<()> {
        let settings = keys::settings(self.namespace());
        let args = vec![i64::from(self.shards().end).into()];
        let fixed = self.inner.client.eval(&self.scripts().open_namespace, &[settings], args).await?;
        if Reply::list(fixed)?.number()? != i64::from(self.shards().end) {
            let why =
                format!("namespace {} was first used a moment ago, with another number of shards", self.namespace());
            return Err(Error::Conflict(Problem::bare(why).hint("repeat the command")));
        }
        self.inner.is_used.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.inner.namespace
    }

    /// The server, as it may be shown.
    pub fn shown(&self) -> &str {
        &self.inner.connection.shown
    }

    /// The numbers of its shards.
    pub fn shards(&self) -> std::ops::Range<u16> {
        0..u16::try_from(self.inner.shards.len()).unwrap_or(u16::MAX)
    }

    /// The shard that an entry lives in.
    pub fn shard_of(&self, id: &EntryId) -> u16 {
        keys::shard_of(id, self.shards().end)
    }

    /// Reads again which waiting lists a shard has.
    pub async fn refresh_lists(&self, shard: u16) -> Result<()> {
        let reply = self.inner.client.command("HKEYS", vec![self.key(shard, Key::Queues).into()]).await?;
        let mut lists = reply::texts(reply)?;
        lists.sort();
        let mut known = self.shard(shard).lists.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if **known != lists {
            *known = Arc::new(lists);
            self.inner.lists_changed.send_replace(());
        }
        Ok(())
    }

    /// The waiting lists of a shard, `QUEUE:KIND`, as last read.
    pub fn lists(&self, shard: u16) -> Arc<Vec<String>> {
        self.shard(shard).lists.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The shard's time: the greater of Redis' clock and what the shard has seen.
    pub async fn now(&self, shard: u16) -> Result<Timestamp> {
        Ok(self.clocks(shard).await?.0)
    }

    /// The shard's time and Redis' own.
    pub async fn clocks(&self, shard: u16) -> Result<(Timestamp, Timestamp)> {
        let reply = self.look(&self.scripts().now, &[self.key(shard, Key::Clock)], Vec::new()).await?;
        let mut reply = Reply::list(reply)?;
        Ok((Timestamp(reply.number()?), Timestamp(reply.number()?)))
    }

    /// The shard's time and Redis' own; `is_real` makes the shard take Redis' clock as it is.
    pub async fn accept_clock(&self, shard: u16, is_real: bool) -> Result<(Timestamp, Timestamp)> {
        if !is_real {
            return self.clocks(shard).await;
        }
        let keys = self.keys(shard).all(&[Key::Clock, Key::Leases, Key::Events]);
        let mut reply = Reply::list(self.eval(&self.scripts().accept_clock, &keys, Vec::new()).await?)?;
        Ok((Timestamp(reply.number()?), Timestamp(reply.number()?)))
    }

    /// Closes the connection in order.
    pub async fn quit(&self) {
        self.inner.client.quit().await;
    }

    fn scripts(&self) -> &'static Scripts {
        &SCRIPTS
    }

    fn shard(&self, shard: u16) -> &Shard {
        &self.inner.shards[usize::from(shard)]
    }

    fn keys(&self, shard: u16) -> &ShardKeys {
        &self.shard(shard).keys
    }

    fn key(&self, shard: u16, key: Key) -> String {
        self.keys(shard).key(key)
    }

    async fn eval<K: Word>(&self, script: &Script, keys: &[K], args: Vec<Value>) -> Result<Value> {
        if !self.is_used() {
            self.begin_to_use().await?;
        }
        self.inner.client.eval(script, keys, sabotage::with_clock(args)).await
    }

    /// Runs a script that changes nothing.
    async fn look(&self, script: &Script, keys: &[String], args: Vec<Value>) -> Result<Value> {
        self.inner.client.look(script, keys, sabotage::with_clock(args)).await
    }

    /// Keys of lists and, in shard 0, of their hints, as scripts take them.
    fn list_keys(&self, shard: u16, lists: &[String]) -> Vec<String> {
        let keys = self.keys(shard);
        let mut all: Vec<String> = lists.iter().map(|list| keys.list(list)).collect();
        if shard == 0 {
            all.extend(lists.iter().map(|list| keys.hint(list)));
        }
        all
    }
}
