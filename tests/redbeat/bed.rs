//! One Redis for everything, a worker that writes down what it executes, beats, and a node.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::celery::{Worker, executed, python, worker};
use crate::support::cli::Upbeat;
use crate::support::node::{NodeProcess, node};
use crate::support::patience::too_slow;
use crate::support::redbeat::{runs, save};
use crate::support::redis::RedisServer;
use crate::support::wait::{DEADLINE, wait_for};

/// How much earlier than its time a message may seem to be sent, ms: it is stamped by another clock than Redis'.
const EARLY_MS: i64 = 150;
/// How late a beat may be that looks once a second, ms.
pub const LATE_MS: i64 = 1_400;
/// A beat stamps a message at most so long after the instant from which it counts on, ms.
const STAMPED_MS: i64 = 1_000;

pub struct Bed {
    pub redis: RedisServer,
    pub user: Upbeat,
    pub python: PathBuf,
    _worker: Worker,
    /// Upbeat's, where it is not the broker's.
    own: Option<RedisServer>,
    node: Option<NodeProcess>,
}

/// One message that the worker executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// When it was sent; of upbeat's its fire time.
    pub at_ms: i64,
    /// Whether a beat sent it.
    pub by_beat: bool,
}

impl Bed {
    /// `None` where there is no Celery.
    pub fn new() -> Option<Self> {
        let python = python()?;
        let redis = RedisServer::fresh();
        let worker = worker().env("UPBEAT_TEST_BACKEND", "none").start(&python, &redis);
        let user = Upbeat::at(redis.url());
        Some(Self { redis, user, python, _worker: worker, own: None, node: None })
    }

    /// The same with a Redis for upbeat alone: a node relays what is sent.
    pub fn apart() -> Option<Self> {
        let bed = Self::new()?;
        let own = RedisServer::fresh();
        Some(Self { user: Upbeat::at(own.url()), own: Some(own), ..bed })
    }

    pub fn save(&self, lines: &str) {
        save(&self.python, &self.redis, lines);
    }

    pub fn start_node(&mut self) {
        let redis = self.own.as_ref().unwrap_or(&self.redis);
        self.node = Some(node("a", redis.url()).allow("celery").start_live(&self.user));
    }

    pub fn url(&self) -> String {
        self.redis.url()
    }

    /// What was executed of each entry, in the order in which it was sent.
    pub fn sent(&self) -> BTreeMap<String, Vec<Sent>> {
        let mut sent: BTreeMap<String, Vec<Sent>> = BTreeMap::new();
        for line in executed(&self.redis) {
            let name = line["args"][0].as_str().expect("each sends its name").to_owned();
            let by_beat = line["fire_at"].is_null();
            let at_ms = match line["fire_at"].as_str() {
                Some(at) => chrono::DateTime::parse_from_rfc3339(at).expect("a fire time").timestamp_millis(),
                None => sent_ms(&line),
            };
            sent.entry(name).or_default().push(Sent { at_ms, by_beat });
        }
        sent.values_mut().for_each(|sent| sent.sort_by_key(|one| one.at_ms));
        sent
    }

    /// Waits until each of these has been sent once more by a beat (or by upbeat) than it was.
    #[track_caller]
    pub fn wait_each(&self, names: &[String], by_beat: bool, times: usize) {
        let count = |sent: &BTreeMap<String, Vec<Sent>>, name: &String| {
            sent.get(name).map_or(0, |sent| sent.iter().filter(|one| one.by_beat == by_beat).count())
        };
        let before = self.sent();
        let before: Vec<usize> = names.iter().map(|name| count(&before, name)).collect();
        wait_for("each entry fires", DEADLINE, || {
            let now = self.sent();
            names.iter().zip(&before).all(|(name, before)| count(&now, name) >= before + times)
        });
    }

    /// Ends a beat between two of its ticks, and waits until the worker has executed all that was sent.
    #[track_caller]
    pub fn rest(&self, beat: &mut crate::support::redbeat::Beat) {
        // Whoever has lost the lock ends as its next tick begins, before it sends anything.
        self.redis.ask(&["SET", "redbeat::lock", "nobody"]);
        wait_for("the beat has ended", DEADLINE, || beat.has_ended());
        self.drain();
    }

    /// Waits until the worker has executed all that was sent.
    #[track_caller]
    pub fn drain(&self) {
        wait_for("the queue is empty", DEADLINE, || {
            self.redis.cli(&["LLEN", "celery"]) == "0" && self.redis.cli(&["HLEN", "unacked"]) == "0"
        });
    }

    /// Nothing doubled, nothing lost: what the worker executed of each is what RedBeat counts, upbeat's own included.
    #[track_caller]
    pub fn counts_agree(&self, names: &[String]) {
        let sent = self.sent();
        for name in names {
            let (executed, counted) = (sent.get(name).map_or(0, Vec::len) as u64, runs(&self.redis, name));
            assert_eq!(executed, counted, "{name}: executed and counted\n{:#?}", sent.get(name));
        }
    }

    /// Each fire comes one period after the one before, also where the other sends it. A beat that is
    /// later than `late_ms`, or stamps late, is no verdict on upbeat.
    #[track_caller]
    pub fn is_in_phase(&self, name: &str, every_ms: i64, late_ms: i64) {
        let sent = self.sent().remove(name).unwrap_or_default();
        for two in sent.windows(2) {
            let distance_ms = two[1].at_ms - two[0].at_ms;
            let most_ms = if two[1].by_beat { every_ms + late_ms } else { every_ms };
            let least_ms = every_ms - if two[0].by_beat { STAMPED_MS } else { 0 } - EARLY_MS;
            if (two[1].by_beat && distance_ms > most_ms) || (two[0].by_beat && distance_ms < least_ms) {
                too_slow(&format!("{name}: a beat was late by itself: {two:?}"));
            }
            assert!(
                (least_ms..=most_ms).contains(&distance_ms),
                "{name}: {distance_ms} ms lie between two fires that are {every_ms} ms apart: {two:?}\n{sent:#?}"
            );
        }
    }
}

/// When the app says that a beat sent it.
fn sent_ms(line: &Value) -> i64 {
    let headers = &line["headers"];
    headers["sent_ms"].as_i64().unwrap_or_else(|| panic!("a message of a beat that is not stamped: {line}"))
}
