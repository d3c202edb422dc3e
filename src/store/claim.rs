//! claim: take what is due, advance it and enqueue its runs, in one step.

use fred::types::Value;

use crate::domain::node::Serves;
use crate::domain::record::LiveRun;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::brief::Brief;
use crate::store::keys::{self, Key};
use crate::store::reply::Reply;

/// One call of a node's lane `claim`.
#[derive(Debug, Clone)]
pub struct ClaimCall<'a> {
    /// Holder of what is started.
    pub incarnation: &'a str,
    /// Its name, for records.
    pub node: &'a str,
    /// Grows with every call; the same number again gets the same answer. 0 where nothing may be started directly.
    pub number: u64,
    /// Length of the node's lease, ms.
    pub lease_ms: i64,
    /// Runs that may be started directly.
    pub slots: usize,
    /// Entries looked at, at most.
    pub batch: usize,
    /// What the node says of itself; empty where the beat is not yet due.
    pub beat: String,
    /// What the node may run.
    pub serves: &'a Serves,
}

/// A run that the caller holds now.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// Its record.
    pub run: LiveRun,
    /// The shard's time when it was given out.
    pub at: Timestamp,
}

/// What a claim answered.
#[derive(Debug, Clone, PartialEq)]
pub enum ClaimReply {
    /// Redis' clock stands this many ms behind the shard's: nothing fires.
    Behind {
        /// How far, ms.
        behind_ms: i64,
    },
    /// Another node drains a full batch: look again then.
    Later {
        /// The shard's time.
        now: Timestamp,
        /// When.
        until: Timestamp,
    },
    /// The answer to this number is not kept any more: a newer call has been answered.
    Stale,
    /// The number had been answered: what it had started and the caller still holds.
    Repeated {
        /// The shard's time.
        now: Timestamp,
        /// Those runs.
        started: Vec<Started>,
    },
    /// It was carried out.
    Claimed(Box<Claim>),
}

/// A claim that was carried out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Claim {
    /// The shard's time.
    pub now: Timestamp,
    /// Microseconds beyond it.
    pub now_micros: u64,
    /// The next fire time of the shard; not after `now` where more is due already.
    pub next_due: Option<Timestamp>,
    /// When anything else wants to be looked at.
    pub look: Option<Timestamp>,
    /// Live nodes.
    pub live_nodes: usize,
    /// Fire times that became runs.
    pub claimed: usize,
    /// Fire times settled.
    pub settled: usize,
    /// More is due: claim again at once.
    pub is_full: bool,
    /// The conservation check failed.
    pub is_unbalanced: bool,
    /// For how long no node had claimed, if that is an outage; ms.
    pub outage_ms: i64,
    /// For how long the oldest of what was due had been so, ms; 0 where nothing was.
    pub late_ms: i64,
    /// Runs that the caller executes from now on.
    pub started: Vec<Started>,
    /// What is known of the entry of each of them; empty where the caller has to ask.
    pub briefs: Vec<Brief>,
    /// Entries that need a plan.
    pub to_plan: Vec<String>,
    /// Waiting lists that the caller did not name: read the registry and claim again.
    pub unknown_lists: Vec<String>,
    /// Waiting lists with work.
    pub waiting: Vec<String>,
    /// Incarnations whose lease has ended.
    pub ended_nodes: Vec<String>,
    /// Entries whose ledger should be compacted.
    pub long_ledgers: Vec<String>,
    /// Entries that were planned with older zone data than the caller's.
    pub to_plan_anew: Vec<String>,
    /// Queues whose limit is new: nothing of them starts until what executes is counted.
    pub to_count: Vec<String>,
    /// The caller is asked to look at the zones of all entries.
    pub walks_zones: bool,
    /// The caller is asked to drop records of the shard that are too old.
    pub ages: bool,
}

pub(super) const KEYS: &[Key] = &[
    Key::Clock,
    Key::Due,
    Key::Plans,
    Key::Live,
    Key::Active,
    Key::Ledger,
    Key::History,
    Key::Ended,
    Key::Events,
    Key::Cursors,
    Key::Parked,
    Key::Broken,
    Key::Finished,
    Key::Paused,
    Key::Entries,
    Key::Messages,
    Key::StartBy,
    Key::Leases,
];

/// Behind that of what the caller holds.
pub(super) const LATER_KEYS: &[Key] = &[
    Key::Lanes,
    Key::Nodes,
    Key::Seen,
    Key::Queues,
    Key::Stale,
    Key::Skips,
    Key::Backfills,
    Key::Backfilling,
    Key::Waits,
    Key::Cancels,
    Key::Fires,
    Key::Delayed,
    Key::Dead,
    Key::Letters,
    Key::Moves,
    Key::QueueRules,
    Key::Occupied,
    Key::Starts,
    Key::Results,
];

pub(super) fn read_started(at: Timestamp, pairs: Vec<(String, Vec<u8>)>) -> Vec<Started> {
    pairs.into_iter().filter_map(|(id, packed)| Some(Started { run: LiveRun::read(&id, &packed)?, at })).collect()
}

impl Store {
    /// Claims what is due in a shard.
    pub async fn claim(&self, shard: u16, call: &ClaimCall<'_>) -> Result<ClaimReply> {
        let names = self.names(shard, call.incarnation);
        let lists = &names.lists;
        let serves: String = lists.iter().map(|list| if call.serves.has(list) { '1' } else { '0' }).collect();
        let mut args: Vec<Value> = vec![
            call.incarnation.into(),
            call.node.into(),
            (call.number as i64).into(),
            call.lease_ms.into(),
            (call.slots as i64).into(),
            (call.batch as i64).into(),
            call.beat.as_str().into(),
            (lists.len() as i64).into(),
            serves.into(),
            self.zone_data().into(),
            keys::nudges(self.namespace()).into(),
        ];
        args.extend(names.each.iter().map(|list| list.name.clone()));
        let mut reply = Reply::list(self.eval(&self.scripts().claim, &names.claim, args).await?)?;
        match reply.text()?.as_str() {
            "behind" => {
                reply.next()?;
                Ok(ClaimReply::Behind { behind_ms: reply.number()? })
            }
            "later" => Ok(ClaimReply::Later { now: Timestamp(reply.number()?), until: Timestamp(reply.number()?) }),
            "stale" => Ok(ClaimReply::Stale),
            "repeated" => {
                let now = Timestamp(reply.number()?);
                Ok(ClaimReply::Repeated { now, started: read_started(now, reply.pairs()?) })
            }
            "claimed" => {
                let (mut claim, briefs) = read_claim(reply)?;
                let ids: Vec<&str> = claim.started.iter().map(|one| one.run.entry_id.as_str()).collect();
                claim.briefs = self.briefs_of_claim(&ids, briefs);
                Ok(ClaimReply::Claimed(Box::new(claim)))
            }
            other => Err(Error::internal(format!("claim answered {other}"))),
        }
    }
}

/// The claim without its briefs, and the values that they are made of.
fn read_claim(mut reply: Reply) -> Result<(Claim, Vec<Value>)> {
    let now = Timestamp(reply.number()?);
    let next_due = reply.instant()?;
    let look = reply.instant()?;
    let live_nodes = reply.number()?.max(0) as usize;
    let mut counts = Reply::list(reply.next()?)?;
    let claim = Claim {
        now,
        next_due,
        look,
        live_nodes,
        claimed: counts.number()?.max(0) as usize,
        settled: counts.number()?.max(0) as usize,
        is_full: counts.number()? == 1,
        is_unbalanced: counts.number()? == 1,
        outage_ms: counts.number()?,
        now_micros: counts.number()?.max(0).cast_unsigned(),
        walks_zones: counts.number()? == 1,
        ages: counts.number()? == 1,
        late_ms: counts.number()?,
        started: read_started(now, reply.pairs()?),
        briefs: Vec::new(),
        to_plan: reply.texts()?,
        unknown_lists: reply.texts()?,
        waiting: reply.texts()?,
        ended_nodes: reply.texts()?,
        long_ledgers: reply.texts()?,
        to_plan_anew: reply.texts()?,
        to_count: reply.texts()?,
    };
    Ok((claim, Reply::list(reply.next()?)?.rest()))
}
