//! The claim loop of a shard: a pass that takes what is due, and the ticker that says when to look again.
//!
//! The pass may run at any time, on any node, twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::domain::id::EntryId;
use crate::error::{Error, Result};
use crate::node::aim::Aim;
use crate::node::caring;
use crate::node::execution;
use crate::node::portion::Portion;
use crate::node::standby::Standby;
use crate::node::state::Shared;
use crate::store::{Claim, ClaimCall, ClaimReply, Nudge};

/// A beat is sent when the last is this old.
const BEAT_EVERY: Duration = Duration::from_millis(2_400);
/// After a call that Redis did not answer.
const RETRY: Duration = Duration::from_millis(100);

/// The lane `claim` of one shard.
pub struct Claiming {
    shared: Arc<Shared>,
    shard: u16,
    number: u64,
    standby: Standby,
    aim: Aim,
    portion: Portion,
    last_beat: Option<Instant>,
}

impl Claiming {
    /// The lane of a shard, before its first call.
    pub fn new(shared: Arc<Shared>, shard: u16) -> Self {
        Self {
            shared,
            shard,
            number: 0,
            standby: Standby::default(),
            aim: Aim::default(),
            portion: Portion::default(),
            last_beat: None,
        }
    }

    /// Passes until the node has stopped.
    pub async fn run(mut self, mut nudge: Nudge) {
        let mut shutdown = self.shared.shutdown.clone();
        let shared = self.shared.clone();
        let asked = &shared.lanes[usize::from(self.shard)].look;
        let mut look = asked.subscribe();
        loop {
            let called = Instant::now();
            // What comes due by then is in this claim, or in what its reply says.
            asked.send_if_modified(|look| {
                *look = look.filter(|at| *at > called);
                false
            });
            let at = match self.pass().await {
                Ok(wait) if !shutdown.is_draining() => self.aim.at(wait, Instant::now()),
                Ok(_) => called + Duration::from_secs(1),
                Err(why) => {
                    self.shared.set_ready(false, &why);
                    Instant::now() + RETRY
                }
            };
            let is_draining = shutdown.is_draining();
            loop {
                let until = look.borrow_and_update().map_or(at, |sooner| sooner.min(at));
                tokio::select! {
                    () = self.shared.timer.sleep_until(until) => {}
                    Ok(()) = look.changed(), if !is_draining => continue,
                    Ok(()) = nudge.due.changed(), if !is_draining => {}
                    () = shutdown.draining(), if !is_draining => {}
                }
                break;
            }
        }
    }

    /// One look: claims, starts what the claim gave, hands on what it asked for. Returns how long to wait, from the moment at
    /// which the script ran.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]: whether the claim was carried out is unknown; the next pass repeats it by its number.
    pub async fn pass(&mut self) -> Result<Duration> {
        let shared = self.shared.clone();
        let is_draining = shared.shutdown.is_draining();
        let nodes = if is_draining { 0 } else { shared.slots.free() };
        // A capped share, so that a burst spreads over the fleet.
        let promised = shared.slots.reserve(nodes.div_ceil(2));
        let reply = self.call(promised, is_draining).await;
        let reply = match reply {
            Ok(reply) => reply,
            Err(why) => {
                shared.slots.release(promised);
                return Err(why);
            }
        };
        let wait = self.take(reply);
        shared.slots.release(promised);
        // The lane may have been woken while the slots were promised here, and found none free.
        let lane = &shared.lanes[usize::from(self.shard)];
        if promised > 0 && lane.has_work.load(Ordering::Acquire) {
            lane.wake.notify_one();
        }
        wait
    }

    /// Sends the claim; the same number until it is answered, for a reply may be lost and a run may not.
    async fn call(&mut self, slots: usize, is_draining: bool) -> Result<ClaimReply> {
        let shared = self.shared.clone();
        if slots > 0 {
            self.number += 1;
        }
        let is_beat_due = is_draining || self.last_beat.is_none_or(|at| at.elapsed() >= BEAT_EVERY);
        loop {
            let beat =
                if is_beat_due { serde_json::to_string(&shared.info()).unwrap_or_default() } else { String::new() };
            let call = ClaimCall {
                incarnation: &shared.incarnation,
                node: &shared.name,
                number: if slots > 0 { self.number } else { 0 },
                lease_ms: shared.lease_ms(),
                slots,
                batch: if is_draining { 0 } else { self.portion.entries() },
                beat,
                serves: &shared.config.serves,
            };
            let called = Instant::now();
            match shared.store.claim(self.shard, &call).await {
                Ok(reply) => {
                    if let ClaimReply::Claimed(claim) = &reply {
                        self.portion.note(claim.settled, called.elapsed());
                        self.aim.note(called, claim.now.0 * 1_000 + claim.now_micros.cast_signed());
                    }
                    if is_beat_due && matches!(reply, ClaimReply::Claimed(_)) {
                        self.last_beat = Some(Instant::now());
                    }
                    return Ok(reply);
                }
                Err(why @ Error::Unavailable(_)) if slots > 0 => {
                    shared.set_ready(false, &why);
                    tokio::time::sleep(RETRY).await;
                }
                Err(why) => return Err(why),
            }
        }
    }

    fn take(&mut self, reply: ClaimReply) -> Result<Duration> {
        let shared = &self.shared;
        match reply {
            ClaimReply::Behind { behind_ms } => {
                let why = format!("Redis' clock stands {behind_ms} ms behind what shard {} has seen", self.shard);
                shared.set_ready(false, &format!("{why}; upbeat doctor --accept-clock takes it as it is"));
                Ok(Duration::from_secs(1))
            }
            ClaimReply::Later { now, until } => {
                let ms = u64::try_from(until.0 - now.0).unwrap_or(0);
                Ok(Duration::from_millis(ms) + Duration::from_millis(fastrand::u64(0..5)))
            }
            ClaimReply::Stale => Err(Error::internal("two processes use one incarnation in the lane claim")),
            ClaimReply::Repeated { now, started } => {
                shared.heard(now);
                shared.set_ready(true, &"");
                execution::start_all(shared, self.shard, started, Vec::new());
                Ok(Duration::ZERO)
            }
            ClaimReply::Claimed(mut claim) => {
                shared.heard(claim.now);
                shared.set_ready(true, &"");
                let (started, briefs) = (std::mem::take(&mut claim.started), std::mem::take(&mut claim.briefs));
                execution::start_all(shared, self.shard, started, briefs);
                Ok(self.hand_on(&claim))
            }
        }
    }

    /// What a claim asks for beside its runs. Returns how long to wait.
    fn hand_on(&mut self, claim: &Claim) -> Duration {
        let shared = &self.shared;
        if claim.outage_ms > 0 {
            tracing::warn!(
                shard.id = self.shard,
                outage_ms = claim.outage_ms,
                "no node had claimed: an outage is over"
            );
        }
        if claim.claimed > 0 {
            tracing::debug!(shard.id = self.shard, runs = claim.claimed, "claimed");
        }
        for id in &claim.to_plan {
            if let Ok(id) = EntryId::parse("entry", id) {
                // Full: the entry is handed out again, or named by its next claim.
                let _ = shared.to_plan.try_send(id);
            }
        }
        caring::care(shared, self.shard, claim);
        let serves_waiting = claim.waiting.iter().any(|list| shared.config.serves.has(list));
        if serves_waiting && !shared.shutdown.is_draining() {
            shared.lanes[usize::from(self.shard)].expect_work();
        }
        self.standby.after(claim)
    }
}
