//! A node by hand: every call to the store is made when the test says so, on a shard whose clock the test moves.

use std::cell::Cell;
use std::collections::BTreeMap;

use upbeat::domain::node::Serves;
use upbeat::domain::record::EndedRun;
use upbeat::domain::run::{Reason, State};
use upbeat::domain::timestamp::Timestamp;
use upbeat::store::{
    Change, ChangeCall, Claim, ClaimCall, ClaimReply, Ended, EndedAs, FinishWord, NextAttempt, Planned, PutAnswer,
    Started, Store, WorkCall, WorkReply,
};

use super::clock;
use super::entries::{add_all, id, open};
use super::redis::RedisServer;

/// A namespace of its own on a server of its own, and its clock: it stands but where the test lets time pass.
pub struct World {
    pub redis: RedisServer,
    pub store: Store,
    time: Time,
}

enum Time {
    Stands { at: Cell<Timestamp> },
    GoesOn { ahead_ms: Cell<i64> },
}

impl World {
    pub async fn new() -> Self {
        Self::with_shards(1).await
    }

    pub async fn with_shards(shards: u16) -> Self {
        let redis = RedisServer::fresh();
        let store = open(&redis.url(), shards).await;
        let at = clock::whole_second(&redis);
        clock::stand(&redis, shards, at);
        Self { redis, store, time: Time::Stands { at: Cell::new(at) } }
    }

    /// Where time goes on by itself: for whole nodes, which wait for it.
    pub async fn that_goes_on(shards: u16) -> Self {
        let redis = RedisServer::fresh();
        let store = open(&redis.url(), shards).await;
        Self { redis, store, time: Time::GoesOn { ahead_ms: Cell::new(0) } }
    }

    /// With entries already added.
    pub async fn with(entries: &[(&str, serde_json::Value)]) -> Self {
        let world = Self::new().await;
        world.add(entries).await;
        world
    }

    /// Adds entries, and reads which lists they wait in.
    pub async fn add(&self, entries: &[(&str, serde_json::Value)]) {
        add_all(&self.store, entries).await;
        for shard in self.store.shards() {
            self.store.refresh_lists(shard).await.unwrap();
        }
    }

    /// The clock that scripts read goes on by this much, or back.
    pub fn pass(&self, ms: i64) {
        let shards = self.store.shards().end;
        match &self.time {
            Time::Stands { at } => {
                at.set(Timestamp(at.get().0 + ms));
                clock::stand(&self.redis, shards, at.get());
            }
            Time::GoesOn { ahead_ms } => {
                ahead_ms.set(ahead_ms.get() + ms);
                clock::shift(&self.redis, "test", shards, ahead_ms.get());
            }
        }
    }

    /// Name of a key of shard 0.
    pub fn key(&self, name: &str) -> String {
        format!("upbeat:{{test:0}}:{name}")
    }

    /// A command on a key of shard 0.
    pub fn on(&self, command: &str, name: &str, args: &[&str]) -> String {
        let key = self.key(name);
        let mut words = vec![command, &key];
        words.extend(args);
        self.redis.cli(&words)
    }

    fn count(&self, shard: u16, command: &str, name: &str) -> i64 {
        self.redis.ask(&[command, &format!("upbeat:{{test:{shard}}}:{name}")]).int()
    }

    /// Every entry stands in exactly one place, every active run in one list, in one node's hands, or beside
    /// them in one of the places where runs wait.
    #[track_caller]
    pub fn assert_conserved(&self) {
        for shard in self.store.shards() {
            let places = ["due", "parked", "paused", "broken", "finished"];
            let placed: Vec<i64> = places.iter().map(|name| self.count(shard, "ZCARD", name)).collect();
            assert_eq!(self.count(shard, "HLEN", "entries"), placed.iter().sum::<i64>(), "{places:?} {placed:?}");
            let prefix = format!("upbeat:{{test:{shard}}}:");
            let (mut queued, mut held) = (0, 0);
            for key in self.redis.keys() {
                let Some(name) = key.strip_prefix(&prefix) else { continue };
                if let Some(list) = name.strip_prefix("queue:") {
                    let dead = self.redis.ask(&["HGET", &format!("{prefix}queues"), list]);
                    queued += self.count(shard, "LLEN", name) - if dead.is_nil() { 0 } else { dead.int() };
                } else if name.starts_with("holds:") {
                    held += self.count(shard, "SCARD", name);
                }
            }
            let waiting = self.waiting(shard);
            let delayed = self.count(shard, "ZCARD", "delayed");
            let live = self.count(shard, "HLEN", "live");
            let places = format!("{queued} queued, {held} held, {waiting} waiting, {delayed} delayed");
            assert_eq!(live, queued + held + waiting + delayed, "{places}");
            let counted = self.redis.ask(&["HGET", &format!("{prefix}clock"), "waiting"]);
            assert_eq!(if counted.is_nil() { 0 } else { counted.text().parse().unwrap() }, waiting, "as counted");
        }
    }

    /// Runs of a shard that wait for those before them.
    fn waiting(&self, shard: u16) -> i64 {
        let key = format!("upbeat:{{test:{shard}}}:waits");
        let lines = self.redis.cli(&["HKEYS", &key]);
        lines.lines().map(|id| (self.redis.ask(&["HSTRLEN", &key, id]).int() - 2) / 36).sum()
    }

    /// What is kept of the runs of an entry that ended, by fire time.
    pub async fn ended(&self, name: &str) -> Vec<EndedRun> {
        let mut runs = self.store.ended_runs(self.store.shard_of(&id(name)), &id(name), 2000).await.unwrap();
        runs.sort_by_key(|run| (run.fire_at, run.run_id.clone()));
        runs
    }

    /// Fire times of an entry that ended, by state and reason.
    pub async fn tally(&self, name: &str) -> BTreeMap<(State, Option<Reason>), u64> {
        let mut tally = BTreeMap::new();
        for run in self.ended(name).await {
            *tally.entry((run.state, run.reason)).or_default() += run.fires;
        }
        tally
    }

    /// Newest events of shard 0 of this type, as `field=value` texts.
    pub async fn events(&self, kind: &str) -> Vec<Vec<(String, String)>> {
        let lines = self.store.log_before(0, upbeat::store::Log::Events, None, None, 1000).await.unwrap();
        let is_kind = |fields: &Vec<(String, String)>| fields.contains(&("type".to_owned(), kind.to_owned()));
        lines.into_iter().map(|line| line.fields).filter(is_kind).collect()
    }

    /// A change of one entry.
    pub async fn change(&self, request: &str, change: Change) -> PutAnswer {
        let changes = [change];
        let call = ChangeCall { request, content: "", changes: &changes, is_dry_run: false };
        self.store.put(self.store.shard_of(&changes[0].id), &call).await.unwrap()
    }
}

/// A node whose calls are made one by one.
pub struct Hand {
    pub store: Store,
    pub incarnation: String,
    pub lease_ms: i64,
    pub claims: u64,
    pub works: u64,
    serves: Serves,
}

impl Hand {
    /// `letter` makes the incarnation.
    pub fn new(store: &Store, letter: char) -> Self {
        let kinds = ["exec", "shell", "http"].map(str::to_owned).to_vec();
        Self {
            store: store.clone(),
            incarnation: letter.to_string().repeat(16),
            lease_ms: 15_000,
            claims: 0,
            works: 0,
            serves: Serves { queues: None, kinds },
        }
    }

    /// That may run these kinds only.
    pub fn serving(mut self, kinds: &[&str]) -> Self {
        self.serves.kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        self
    }

    /// A claim with this number, whatever came before.
    pub async fn claim_number(&self, shard: u16, slots: usize, number: u64) -> upbeat::error::Result<ClaimReply> {
        let call = ClaimCall {
            incarnation: &self.incarnation,
            node: "hand",
            number,
            lease_ms: self.lease_ms,
            slots,
            batch: 250,
            beat: String::new(),
            serves: &self.serves,
        };
        self.store.claim(shard, &call).await
    }

    pub async fn try_claim(&mut self, shard: u16, slots: usize) -> ClaimReply {
        self.claims += u64::from(slots > 0);
        let number = if slots > 0 { self.claims } else { 0 };
        self.claim_number(shard, slots, number).await.unwrap()
    }

    /// One claim that must be carried out.
    pub async fn claim(&mut self, shard: u16, slots: usize) -> Claim {
        match self.try_claim(shard, slots).await {
            ClaimReply::Claimed(claim) => *claim,
            other => panic!("{other:?}"),
        }
    }

    /// Claims and plans until nothing is left to do now, as a node does. Returns the last claim.
    pub async fn settle(&mut self, shard: u16) -> Claim {
        for _ in 0..100 {
            let claim = self.claim(shard, 0).await;
            if !claim.unknown_lists.is_empty() {
                self.store.refresh_lists(shard).await.unwrap();
            }
            let mut is_planned = false;
            for name in &claim.to_plan {
                is_planned |= self.store.plan(&id(name), claim.now).await.unwrap() == Planned::Written;
            }
            if !is_planned && !claim.is_full && claim.unknown_lists.is_empty() {
                return claim;
            }
        }
        panic!("a hundred claims, and still something is due");
    }

    pub async fn work_number(
        &self,
        shard: u16,
        wanted: usize,
        ended: &[Ended],
        number: u64,
    ) -> upbeat::error::Result<Option<WorkReply>> {
        let call = WorkCall {
            incarnation: &self.incarnation,
            node: "hand",
            number,
            lease_ms: self.lease_ms,
            wanted,
            ended,
            serves: &self.serves,
        };
        self.store.work(shard, &call).await
    }

    pub async fn work(&mut self, shard: u16, wanted: usize, ended: &[Ended]) -> WorkReply {
        self.works += 1;
        self.work_number(shard, wanted, ended, self.works).await.unwrap().expect("the number is the newest")
    }

    pub async fn fetch(&mut self, wanted: usize) -> Vec<Started> {
        self.store.refresh_lists(0).await.unwrap();
        self.work(0, wanted, &[]).await.fetched
    }

    pub async fn finish(&mut self, run: &Started, how: EndedAs) -> FinishWord {
        self.work(0, 0, &[ended(run, how)]).await.words[0]
    }

    /// Fetches and finishes until the lists of a shard are empty. Returns what ran.
    pub async fn work_off(&mut self, shard: u16) -> Vec<Started> {
        let mut all = Vec::new();
        self.store.refresh_lists(shard).await.unwrap();
        loop {
            let fetched = self.work(shard, 200, &[]).await.fetched;
            if fetched.is_empty() {
                return all;
            }
            let ends: Vec<Ended> = fetched.iter().map(|run| ended(run, EndedAs::Succeeded)).collect();
            let words = self.work(shard, 0, &ends).await.words;
            assert!(words.iter().all(|word| *word == FinishWord::Finished), "{words:?}");
            all.extend(fetched);
        }
    }
}

/// The end of an attempt.
pub fn ended(run: &Started, how: EndedAs) -> Ended {
    let reason = (how == EndedAs::Failed).then_some(Reason::Exit);
    Ended {
        run_id: run.run.run_id.clone(),
        fence: run.run.fence,
        how,
        reason,
        exit_code: None,
        message: String::new(),
        next: None,
    }
}

/// A failure after which the run is tried again in `wait_ms`; the whole run has `left_ms`, if it has a limit.
pub fn failed(run: &Started, wait_ms: i64, left_ms: Option<i64>) -> Ended {
    let next = Some(NextAttempt { wait_ms, left_ms });
    Ended { exit_code: Some(3), message: "no luck".to_owned(), next, ..ended(run, EndedAs::Failed) }
}

/// Distinct fire times, none twice.
#[track_caller]
pub fn distinct<'a>(runs: impl IntoIterator<Item = &'a EndedRun>) -> Vec<Timestamp> {
    let mut times: Vec<Timestamp> = runs.into_iter().map(|run| run.fire_at).collect();
    let all = times.len();
    times.sort();
    times.dedup();
    assert_eq!(times.len(), all, "a fire time stands twice on record");
    times
}
