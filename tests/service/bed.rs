//! A service on a Redis of its own, and the vocabulary of these tests.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use upbeat::config::Connection;
use upbeat::domain::definition::Definition;
use upbeat::domain::entry::Entry;
use upbeat::domain::file::ScheduleFile;
use upbeat::domain::id::{EntryId, Namespace, Owner};
use upbeat::domain::ledger::{self, Stretch};
use upbeat::domain::node::Serves;
use upbeat::domain::record::EndedRun;
use upbeat::domain::run::{Reason, State};
use upbeat::domain::timestamp::Timestamp;
use upbeat::error::Result;
use upbeat::service::{AddOptions, ApplyOptions, Changes, Request, Service};
use upbeat::store::{Claim, ClaimCall, ClaimReply, Store};

use crate::support::clock;
use crate::support::proxy::Proxy;
use crate::support::redis::RedisServer;

/// The clock of its shards stands but where the test lets time pass.
pub struct Bed {
    pub redis: RedisServer,
    pub service: Service,
    begun: Timestamp,
}

pub fn id(text: &str) -> EntryId {
    EntryId::parse("entry", text).unwrap()
}

pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

pub fn entry(fields: Value) -> Entry {
    Entry::parse(object(fields)).unwrap()
}

/// A request with an id of its own.
pub fn request() -> Request {
    named(&uuid::Uuid::new_v4().to_string())
}

pub fn named(id: &str) -> Request {
    Request { id: id.to_owned(), actor: "ana".to_owned(), reason: None, is_dry_run: false }
}

pub fn dry() -> Request {
    Request { is_dry_run: true, ..request() }
}

pub fn new() -> AddOptions {
    AddOptions {
        owner: Owner::parse("owner", "cli").unwrap(),
        is_replace: false,
        is_if_absent: false,
        is_paused: false,
        is_take: false,
        from: None,
    }
}

pub fn owned_by(owner: &str) -> ApplyOptions {
    ApplyOptions { owner: Owner::parse("owner", owner).unwrap(), is_take: false, from: None }
}

pub fn file(toml: &str) -> ScheduleFile {
    ScheduleFile::parse("test.toml", toml).unwrap()
}

/// The words of a result, in order.
pub fn words(changes: &Changes) -> Vec<&'static str> {
    changes.changes.iter().map(|change| change.change).collect()
}

/// Fire times by what became of them.
pub type Outcomes = BTreeMap<(State, Option<Reason>), u64>;

impl Bed {
    pub async fn new() -> Self {
        Self::with_shards(1).await
    }

    pub async fn with_shards(shards: u16) -> Self {
        let redis = RedisServer::fresh();
        let service = connect(&redis, shards).await;
        Self::at(redis, service)
    }

    fn at(redis: RedisServer, service: Service) -> Self {
        let begun = clock::whole_second(&redis);
        clock::stand(&redis, service.store().shards().end, begun);
        Self { redis, service, begun }
    }

    /// On a server that the test has started.
    pub async fn on(redis: RedisServer) -> Self {
        let service = connect(&redis, 1).await;
        Self::at(redis, service)
    }

    /// As this user, `NAME:PASSWORD`, of a namespace that is used already.
    pub async fn as_user(redis: RedisServer, user: &str) -> Self {
        drop(connect(&redis, 1).await);
        let connection = Connection::parse(&redis.url().replace("unix://", &format!("unix://{user}@")), None).unwrap();
        let namespace = Namespace::parse("namespace", "test").unwrap();
        let service = Service::new(Store::open(connection, namespace).await.unwrap());
        Self::at(redis, service)
    }

    /// Another client, who reaches Redis through this proxy.
    pub async fn through(&self, proxy: &Proxy) -> Service {
        let connection = Connection::parse(&proxy.url(), None).unwrap();
        Service::new(Store::open(connection, Namespace::parse("namespace", "test").unwrap()).await.unwrap())
    }

    /// Another process on the same Redis.
    pub async fn another(&self) -> Service {
        connect(&self.redis, 1).await
    }

    pub fn store(&self) -> &Store {
        self.service.store()
    }

    pub fn key(&self, shard: u16, word: &str) -> String {
        format!("upbeat:{{test:{shard}}}:{word}")
    }

    pub async fn add(&self, name: &str, fields: Value) -> Changes {
        self.try_add(name, fields).await.unwrap()
    }

    pub async fn try_add(&self, name: &str, fields: Value) -> Result<Changes> {
        self.service.add(&request(), id(name), entry(fields), new()).await
    }

    pub async fn set(&self, name: &str, fields: Value) -> Changes {
        self.service.set(&request(), &id(name), object(fields), &[]).await.unwrap()
    }

    pub async fn pause(&self, name: &str) -> Changes {
        self.service.pause(&request(), &[id(name)]).await.unwrap()
    }

    pub async fn resume(&self, name: &str) -> Changes {
        self.service.resume(&request(), &[id(name)]).await.unwrap()
    }

    pub async fn remove(&self, name: &str) -> Changes {
        self.service.remove(&request(), &[id(name)]).await.unwrap()
    }

    pub async fn definition(&self, name: &str) -> Definition {
        self.store().entry(&id(name)).await.unwrap().expect("it exists").definition.unwrap()
    }

    /// Moves the clock of every shard to `ms` behind the beginning.
    pub fn shift(&self, ms: i64) {
        self.turn_to(Timestamp(self.begun.0 + ms));
    }

    /// Moves the clock of every shard to this instant.
    pub fn turn_to(&self, at: Timestamp) {
        clock::stand(&self.redis, self.store().shards().end, at);
    }

    /// Lets this much time pass.
    pub async fn pass(&self, ms: i64) {
        self.turn_to(Timestamp(self.now().await.0 + ms));
    }

    pub async fn now(&self) -> Timestamp {
        self.store().now(0).await.unwrap()
    }

    /// What a node without free slots would do once.
    pub async fn claim(&self, shard: u16) -> Claim {
        let serves = Serves { queues: None, kinds: vec!["exec".to_owned(), "shell".to_owned(), "http".to_owned()] };
        self.store().refresh_lists(shard).await.unwrap();
        let call = ClaimCall {
            incarnation: "0123456789abcdef",
            node: "n",
            number: 0,
            lease_ms: 15_000,
            slots: 0,
            batch: 250,
            beat: String::new(),
            serves: &serves,
        };
        match self.store().claim(shard, &call).await.unwrap() {
            ClaimReply::Claimed(claim) => *claim,
            other => panic!("{other:?}"),
        }
    }

    pub async fn stretches(&self, name: &str) -> Vec<Stretch> {
        let id = id(name);
        ledger::read(&self.store().ledger(self.store().shard_of(&id), &id).await.unwrap()).unwrap()
    }

    pub async fn outcomes(&self, name: &str) -> Outcomes {
        let mut outcomes = Outcomes::new();
        for stretch in self.stretches(name).await {
            *outcomes.entry((stretch.outcome, stretch.reason)).or_default() += stretch.count;
        }
        outcomes
    }

    pub async fn records(&self, name: &str) -> Vec<EndedRun> {
        let id = id(name);
        let mut records = self.store().ended_runs(self.store().shard_of(&id), &id, 100).await.unwrap();
        records.sort_by_key(|run| run.fire_at);
        records
    }

    /// Run ids that wait in a list.
    pub fn waiting(&self, list: &str) -> Vec<String> {
        let found = self.redis.ask(&["LRANGE", &self.key(0, &format!("queue:{list}")), "0", "-1"]);
        found.list().iter().map(crate::support::resp::Reply::text).collect()
    }

    pub fn count(&self, command: &str, shard: u16, word: &str) -> i64 {
        self.redis.ask(&[command, &self.key(shard, word)]).int()
    }

    /// The ledger names exactly the fire times of `schedule` after `since`, without a gap up to its end; returns how many.
    #[track_caller]
    pub fn all_settled(&self, stretches: &[Stretch], schedule: &Entry, since: Timestamp) -> u64 {
        let end = ledger::end(stretches).expect("something is settled");
        let expected: Vec<Timestamp> = schedule.schedule.times_after(since).take_while(|time| *time <= end).collect();
        let sum = expected.iter().fold(0, |sum, time| (sum + time.0.cast_unsigned()) % (1 << 52));
        let settled: u64 = stretches.iter().map(|stretch| stretch.count).sum();
        assert_eq!(settled, expected.len() as u64, "{stretches:?}");
        assert_eq!(stretches.iter().fold(0, |total, stretch| (total + stretch.sum) % (1 << 52)), sum);
        settled
    }

    /// Every entry stands in exactly one place, and every live run waits in a list or for its time.
    #[track_caller]
    pub fn is_conserved(&self) {
        for shard in self.store().shards() {
            let placed: i64 = ["due", "parked", "paused", "broken", "finished"]
                .map(|word| self.count("ZCARD", shard, word))
                .iter()
                .sum();
            assert_eq!(placed, self.count("HLEN", shard, "entries"), "places of shard {shard}");
            assert_eq!(
                self.count("HLEN", shard, "plans"),
                self.count("HLEN", shard, "entries"),
                "plans of shard {shard}"
            );
            let lists = self.redis.ask(&["HGETALL", &self.key(shard, "queues")]);
            let mut waiting = 0;
            for pair in lists.list().chunks(2) {
                waiting += self.count("LLEN", shard, &format!("queue:{}", pair[0].text())) - pair[1].int();
            }
            let delayed = self.count("ZCARD", shard, "delayed");
            assert_eq!(waiting + delayed, self.count("HLEN", shard, "live"), "runs of shard {shard}");
        }
    }
}

async fn connect(redis: &RedisServer, shards: u16) -> Service {
    let connection = Connection::parse(&redis.url(), None).unwrap();
    let namespace = Namespace::parse("namespace", "test").unwrap();
    Service::new(Store::open_with_shards(connection, namespace, shards).await.unwrap())
}
