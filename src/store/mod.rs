//! The only place that knows Redis: one function per verb, each one atomic step there.
//!
//! What is written is written by scripts (`src/lua/`), what is read here is a picture that may be old the moment it arrives;
//! every change names what it was decided on and is refused where that no longer holds.

mod age_runs;
mod ageing;
mod ask;
mod audit;
mod backfill;
mod calendars;
mod change;
mod claim;
mod client;
mod dead;
mod kept;
mod keys;
mod lease;
mod log;
mod measure;
mod once;
mod outputs;
mod planning;
mod queues;
mod read;
mod read_runs;
mod rebuild;
mod reply;
mod sabotage;
mod scripts;
mod server;
mod skip;
mod wake;
mod work;
mod zones;

use std::sync::{Arc, RwLock};

use fred::types::Value;

pub use age_runs::{AgedRuns, RUNS_KEPT};
pub use ageing::Aged;
pub use ask::{Asked, CancelAnswer, CancelledBefore, Made, TriggerAnswer, TriggerCall, Unique};
pub use audit::{KeptCalendar, SNAPSHOT_ENTRIES, Snapshot};
pub use backfill::{BACKFILL_MAX, Backfill, BackfillAnswer, BackfillCall};
pub use calendars::{CALENDAR_VERSION, CalendarAnswer, CalendarCall};
pub use change::{Change, ChangeCall, ChangeWord, Changed, PutAnswer, Replan, ReplanAnswer, Verb};
pub use claim::{Claim, ClaimCall, ClaimReply, Started};
pub use dead::{LetterWord, LettersAnswer, PURGE_MAX, RETRY_MAX};
pub use lease::{Renewed, Rescued};
pub use log::{EndedLine, Log, LogLine, Position};
pub use measure::Spent;
pub use once::OnceCall;
pub use outputs::{OUTPUTS_MAX_BYTES, Output, Watch, Watched};
pub use planning::Planned;
pub use queues::{QueueAnswer, QueueCall, QueueState, QueueVerb};
pub use read::{Place, StoredEntry};
pub use rebuild::Rebuilt;
pub use server::ServerReport;
pub use skip::{SKIPS_MAX, Skip, SkipAnswer, SkipCall};
pub use wake::{HintReader, Nudge, Nudges};
pub use work::{Ended, EndedAs, FinishWord, NextAttempt, WorkCall, WorkReply};
pub use zones::Walked;

use crate::config::Connection;
use crate::domain::id::{EntryId, Namespace};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::error::{Error, Result};
use client::{Client, Use};
use keys::{Key, ShardKeys};
use reply::Reply;
use scripts::{Script, Scripts};

/// Shards of a namespace that is used for the first time.
pub const DEFAULT_SHARDS: u16 = 1;

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
    scripts: Scripts,
    namespace: Namespace,
    shards: Vec<Shard>,
}

/// One shard: its names, and the waiting lists that its registry named last.
struct Shard {
    keys: ShardKeys,
    lists: RwLock<Arc<Vec<String>>>,
}

impl Store {
    /// Connects, checks that the server can be used, and fixes the number of shards where the namespace is new.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where the server can't be reached, refuses the login, is too old or read-only.
    pub async fn open(connection: Connection, namespace: Namespace) -> Result<Self> {
        Self::open_with_shards(connection, namespace, DEFAULT_SHARDS).await
    }

    /// As [`Store::open`]; a namespace that is new gets this many shards, 1 to 1,024.
    pub async fn open_with_shards(connection: Connection, namespace: Namespace, shards: u16) -> Result<Self> {
        let connection = Arc::new(connection);
        let client = Client::connect(connection.clone(), Use::Commands).await?;
        server::check(&client, &connection).await?;
        let scripts = Scripts::new(sabotage::apply);
        let settings = keys::settings(&namespace);
        let fixed = client.eval(&scripts.open_namespace, &[settings], vec![i64::from(shards).into()]).await?;
        let mut fixed = Reply::list(fixed)?;
        let count = fixed.number()?;
        let layout = fixed.number()?;
        if layout != 1 {
            return Err(Error::Conflict(crate::error::Problem::bare(format!(
                "namespace {namespace} has layout {layout}: a newer upbeat wrote it"
            ))));
        }
        let shards = (0..u16::try_from(count).unwrap_or(1).max(1))
            .map(|number| Shard { keys: ShardKeys::new(&namespace, number), lists: RwLock::default() })
            .collect();
        let inner = Inner { client, connection, scripts, namespace, shards };
        let store = Self { inner: Arc::new(inner), zone_data: Zone::data_version().into() };
        for shard in store.shards() {
            store.refresh_lists(shard).await?;
        }
        Ok(store)
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
        *known = Arc::new(lists);
        Ok(())
    }

    /// The waiting lists of a shard, `QUEUE:KIND`, as last read.
    pub fn lists(&self, shard: u16) -> Arc<Vec<String>> {
        self.shard(shard).lists.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The shard's time: the greater of Redis' clock and what the shard has seen.
    pub async fn now(&self, shard: u16) -> Result<Timestamp> {
        let reply = self.accept_clock_call(shard, false).await?;
        Ok(reply.0)
    }

    /// The shard's time and Redis' own; `is_real` makes the shard take Redis' clock as it is.
    pub async fn accept_clock(&self, shard: u16, is_real: bool) -> Result<(Timestamp, Timestamp)> {
        self.accept_clock_call(shard, is_real).await
    }

    async fn accept_clock_call(&self, shard: u16, is_real: bool) -> Result<(Timestamp, Timestamp)> {
        let keys = self.keys(shard).all(&[Key::Clock, Key::Leases, Key::Events]);
        let args = vec![i64::from(is_real).into()];
        let mut reply = Reply::list(self.eval(&self.scripts().accept_clock, &keys, args).await?)?;
        Ok((Timestamp(reply.number()?), Timestamp(reply.number()?)))
    }

    /// Closes the connection in order.
    pub async fn quit(&self) {
        self.inner.client.quit().await;
    }

    fn scripts(&self) -> &Scripts {
        &self.inner.scripts
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

    async fn eval(&self, script: &Script, keys: &[String], args: Vec<Value>) -> Result<Value> {
        self.inner.client.eval(script, keys, sabotage::with_clock(args)).await
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
