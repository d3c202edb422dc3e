//! Limits and pauses of queues, call by call: never more than they allow, and nothing stays behind for good.

use std::collections::BTreeMap;

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};
use upbeat::domain::queue::Rate;
use upbeat::domain::run::State;
use upbeat::domain::timestamp::Timestamp;
use upbeat::store::{
    Claim, ClaimReply, Ended, EndedAs, QueueAnswer, QueueCall, QueueVerb, Rescued, Started, Store, Verb, WorkReply,
};

use crate::support::changes::change;
use crate::support::hand::{Hand, World, ended, failed};

fn every_second(queue: &str) -> Value {
    json!({"every": "1s", "shell": "true", "overlap": "allow", "queue": queue, "keep_runs": 1000, "catch_up": "none"})
}

fn of_kind(queue: &str, kind: &str, value: &str) -> Value {
    json!({"every": "1s", kind: value, "overlap": "allow", "queue": queue, "keep_runs": 1000, "catch_up": "none"})
}

const MINUTE_MS: i64 = 60_000;

async fn put(store: &Store, queue: &str, verb: QueueVerb) {
    let request = uuid::Uuid::new_v4().to_string();
    for shard in store.shards() {
        let call =
            QueueCall { request: &request, content: "", queue, verb, actor: "ana", reason: None, is_dry_run: false };
        let answer = store.put_queue(shard, &call).await.unwrap();
        assert!(matches!(answer, QueueAnswer::Done { .. }), "{answer:?}");
    }
}

fn running(most: u32) -> QueueVerb {
    QueueVerb::Set { max_running: Some(Some(most)), rate: None }
}

fn rate(text: &str) -> QueueVerb {
    QueueVerb::Set { max_running: None, rate: Some(Some(Rate::parse("rate", text).unwrap())) }
}

const UNSET: QueueVerb = QueueVerb::Set { max_running: Some(None), rate: Some(None) };

/// A queue with a limit that is counted.
async fn limit(store: &Store, queue: &str, most: u32) {
    put(store, queue, running(most)).await;
    for shard in store.shards() {
        store.count_queue(shard, queue).await.unwrap();
    }
}

/// A world in which `runs` runs wait in a queue `q`; a slow machine adds none.
async fn queued(runs: i64) -> (World, Hand) {
    let mut hourly = every_second("q");
    hourly["every"] = json!("1h");
    let world = World::with(&[("a", hourly)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    for _ in 0..runs {
        world.pass(60 * MINUTE_MS);
        hand.settle(0).await;
    }
    (world, hand)
}

async fn come(world: &World, hand: &mut Hand, runs: i64) {
    for _ in 0..runs {
        world.pass(1_000);
        hand.settle(0).await;
    }
}

async fn in_state(world: &World, state: State) -> usize {
    let mut count = 0;
    for shard in world.store.shards() {
        let (live, _) = world.store.live_runs(shard, None).await.unwrap();
        count += live.iter().filter(|run| run.state == state).count();
    }
    count
}

fn ends(runs: &[Started]) -> Vec<Ended> {
    runs.iter().map(|run| ended(run, EndedAs::Succeeded)).collect()
}

fn marks(world: &World) -> i64 {
    world.redis.ask(&["ZCARD", &world.key("occupied")]).int()
}

#[tokio::test]
async fn never_more_than_max_running_execute_and_the_end_of_one_starts_the_next_in_the_same_call() {
    let (world, mut hand) = queued(6).await;
    let mut other = Hand::new(&world.store, 'b');
    limit(&world.store, "q", 3).await;
    let first = hand.work(0, 2, &[]).await;
    assert_eq!((first.fetched.len(), first.left, first.is_held), (2, vec!["q:shell".to_owned()], false));
    let second = other.work(0, 5, &[]).await;
    assert_eq!((second.fetched.len(), second.left.len(), second.is_held), (1, 0, true));
    assert_eq!(hand.work(0, 5, &[]).await.fetched, []);
    for how in [EndedAs::Succeeded, EndedAs::Failed, EndedAs::HandedBack, EndedAs::Returned] {
        let reply = other.work(0, 5, &[ended(&second.fetched[0], how)]).await;
        assert_eq!(reply.fetched.len(), usize::from(how == EndedAs::Succeeded), "of another attempt: {how:?}");
    }
    let next = world.store.live_runs(0, None).await.unwrap().0;
    assert_eq!(next.iter().filter(|run| run.state == State::Running).count(), 3);
    world.assert_conserved();
}

#[tokio::test]
async fn whatever_ends_an_attempt_frees_its_place() {
    let (world, mut hand) = queued(8).await;
    limit(&world.store, "q", 1).await;
    for round in 0..5 {
        let run = hand.fetch(5).await;
        assert_eq!(run.len(), 1, "{round}");
        let end = match round {
            0 => ended(&run[0], EndedAs::Succeeded),
            1 => ended(&run[0], EndedAs::Failed),
            2 => ended(&run[0], EndedAs::HandedBack),
            3 => failed(&run[0], 60_000, None),
            _ => ended(&run[0], EndedAs::Cancelled),
        };
        assert_eq!(marks(&world), 2);
        hand.work(0, 0, &[end]).await;
        assert_eq!(marks(&world), 1);
    }
    world.assert_conserved();
}

#[tokio::test]
async fn a_claim_starts_nothing_of_a_limited_queue_by_itself_and_goes_on_with_others() {
    let world = World::with(&[("a", every_second("q")), ("b", every_second("free"))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    limit(&world.store, "q", 5).await;
    world.pass(1_000);
    let claim = hand.claim(0, 10).await;
    let started: Vec<&str> = claim.started.iter().map(|started| started.run.entry_id.as_str()).collect();
    assert_eq!((started, claim.waiting), (vec!["b"], vec!["q:shell".to_owned()]));
}

#[tokio::test]
async fn runs_that_execute_when_a_limit_comes_are_counted_first() {
    let (world, mut hand) = queued(7).await;
    let mut other = Hand::new(&world.store, 'b');
    let (mine, theirs) = (hand.fetch(2).await, other.fetch(1).await);
    put(&world.store, "q", running(4)).await;
    assert_eq!(hand.fetch(5).await, [], "nothing starts before they are");
    world.pass(1_000);
    let claim = hand.claim(0, 0).await;
    assert_eq!((&claim.to_count[..], claim.waiting.len()), (&["q".to_owned()][..], 0));
    assert_eq!(hand.claim(0, 0).await.to_count.len(), 0, "asked for once a second");
    world.store.count_queue(0, "q").await.unwrap();
    assert_eq!(hand.fetch(5).await.len(), 1, "three were running");
    hand.work(0, 0, &ends(&mine)).await;
    other.work(0, 0, &ends(&theirs)).await;
    assert_eq!(hand.fetch(5).await.len(), 3);
    world.assert_conserved();
}

#[tokio::test]
async fn a_counter_that_comes_too_late_does_not_count_for_the_next_limit() {
    let (world, mut hand) = queued(4).await;
    put(&world.store, "q", running(1)).await;
    let stale = world.on("HGET", "queue_rules", &["q"]);
    let birth = serde_json::from_str::<Value>(&stale).unwrap()["birth"].as_str().unwrap().to_owned();
    put(&world.store, "q", UNSET).await;
    assert_eq!(hand.fetch(2).await.len(), 2, "without a limit");
    put(&world.store, "q", running(1)).await;
    let now = serde_json::from_str::<Value>(&world.on("HGET", "queue_rules", &["q"])).unwrap();
    assert_ne!(now["birth"].as_str().unwrap(), birth);
    assert_eq!(hand.fetch(5).await, []);
    world.store.count_queue(0, "q").await.unwrap();
    assert_eq!((hand.fetch(5).await, marks(&world)), (Vec::new(), 3), "two execute, one may");
}

#[tokio::test]
async fn a_lower_limit_ends_nothing_and_a_higher_one_lets_more_start() {
    let (world, mut hand) = queued(6).await;
    limit(&world.store, "q", 3).await;
    let runs = hand.fetch(9).await;
    limit(&world.store, "q", 1).await;
    assert_eq!((runs.len(), in_state(&world, State::Running).await), (3, 3));
    assert_eq!(hand.work(0, 9, &ends(&runs[..2])).await.fetched, []);
    assert_eq!(hand.work(0, 9, &ends(&runs[2..])).await.fetched.len(), 1);
    limit(&world.store, "q", 3).await;
    assert_eq!(hand.fetch(9).await.len(), 2);
    put(&world.store, "q", UNSET).await;
    assert_eq!(world.on("EXISTS", "queue_rules", &[]), "0");
    assert_eq!((hand.fetch(9).await.len(), marks(&world)), (0, 0));
    world.assert_conserved();
}

#[tokio::test]
async fn nothing_of_a_paused_queue_starts_its_fire_times_go_on_and_start_within_holds() {
    let mut soon = every_second("q");
    soon["start_within"] = json!("3s");
    let world = World::with(&[("a", every_second("q")), ("b", soon)]).await;
    let mut hand = Hand::new(&world.store, 'a');
    put(&world.store, "q", QueueVerb::Pause).await;
    for _ in 0..6 {
        world.pass(1_000);
        let claim = hand.settle(0).await;
        assert_eq!((claim.waiting.len(), claim.to_count.len()), (0, 0));
        let reply = hand.work(0, 9, &[]).await;
        assert_eq!((reply.fetched.len(), reply.left.len(), reply.is_held, reply.look), (0, 0, true, None));
    }
    let (live, _) = world.store.live_runs(0, None).await.unwrap();
    assert_eq!(live.iter().filter(|run| run.entry_id == "a").count(), 6);
    assert!(live.iter().filter(|run| run.entry_id == "b").count() <= 4, "those before are missed");
    assert!(!world.ended("b").await.is_empty());
    put(&world.store, "q", QueueVerb::Resume).await;
    assert_eq!(hand.claim(0, 0).await.waiting, ["q:shell"]);
    assert_eq!(hand.fetch(99).await.len(), live.len());
    assert_eq!(world.events("queue_paused").await.len(), 1);
    assert_eq!(world.events("queue_resumed").await.len(), 1);
    world.assert_conserved();
}

#[tokio::test]
async fn a_rate_lets_so_many_start_within_any_span_and_says_when_the_next_may() {
    let (world, mut hand) = queued(8).await;
    put(&world.store, "q", rate("3/1h")).await;
    assert_eq!(hand.fetch(2).await.len(), 2);
    world.pass(24 * MINUTE_MS);
    let reply = hand.work(0, 9, &[]).await;
    assert_eq!((reply.fetched.len(), reply.left.len(), reply.is_held), (1, 0, true));
    let look = reply.look.unwrap().as_millis();
    let (least, most) = (35 * MINUTE_MS as u128, 36 * MINUTE_MS as u128);
    assert!((least..=most).contains(&look), "{look} ms until the first is an hour old");
    assert_eq!(hand.claim(0, 0).await.waiting.len(), 0);
    world.pass(35 * MINUTE_MS);
    assert_eq!(hand.fetch(9).await, []);
    world.pass(MINUTE_MS);
    assert_eq!(hand.fetch(9).await.len(), 2);
    world.pass(24 * MINUTE_MS);
    assert_eq!(hand.fetch(9).await.len(), 1);
}

#[tokio::test]
async fn a_rate_of_many_is_never_exceeded_and_nearly_reached() {
    let names: Vec<String> = (0..40).map(|number| format!("e{number:02}")).collect();
    let entries: Vec<(&str, Value)> = names.iter().map(|name| (name.as_str(), every_second("q"))).collect();
    let world = World::with(&entries).await;
    let mut hand = Hand::new(&world.store, 'a');
    come(&world, &mut hand, 8).await;
    put(&world.store, "q", rate("100/10s")).await;
    let mut starts: Vec<Timestamp> = Vec::new();
    for _ in 0..150 {
        world.pass(150);
        let fetched = hand.fetch(3).await;
        starts.extend(fetched.iter().map(|started| started.at));
        hand.work(0, 0, &ends(&fetched)).await;
    }
    for at in &starts {
        let within = starts.iter().filter(|other| **other > Timestamp(at.0 - 10_000) && *other <= at).count();
        assert!(within <= 100, "{within} within 10 s");
    }
    assert!(starts.len() >= 200, "{} in 22 s", starts.len());
}

#[tokio::test]
async fn a_call_that_is_repeated_starts_nothing_twice_and_counts_once() {
    let (world, hand) = queued(6).await;
    put(
        &world.store,
        "q",
        QueueVerb::Set { max_running: Some(Some(4)), rate: Some(Some(Rate::parse("r", "3/1m").unwrap())) },
    )
    .await;
    world.store.count_queue(0, "q").await.unwrap();
    let first = hand.work_number(0, 2, &[], 7).await.unwrap().unwrap();
    let again = hand.work_number(0, 2, &[], 7).await.unwrap().unwrap();
    assert_eq!((first.fetched.len(), marks(&world)), (2, 3));
    let runs = |reply: &WorkReply| reply.fetched.iter().map(|started| started.run.clone()).collect::<Vec<_>>();
    assert_eq!(runs(&first), runs(&again));
    assert_eq!(hand.work_number(0, 6, &[], 8).await.unwrap().unwrap().fetched.len(), 1, "three may start");
    world.redis.cli(&["SCRIPT", "FLUSH"]);
    assert_eq!(hand.work_number(0, 6, &[], 9).await.unwrap().unwrap().fetched.len(), 0);
}

#[tokio::test]
async fn runs_of_a_lost_node_count_until_they_are_taken_over() {
    let (world, mut hand) = queued(4).await;
    let mut dead = Hand::new(&world.store, 'd');
    limit(&world.store, "q", 2).await;
    assert_eq!(dead.fetch(5).await.len(), 2);
    let rescued = loop {
        world.pass(4_000);
        hand.settle(0).await;
        assert_eq!(hand.fetch(5).await, [], "nobody has taken over");
        match world.store.rescue(0, &dead.incarnation, "d").await.unwrap() {
            Rescued::Alive => {}
            done => break done,
        }
    };
    assert!(matches!(rescued, Rescued::Done { back: 2, .. }), "{rescued:?}");
    assert_eq!(marks(&world), 1);
    let fetched = hand.fetch(5).await;
    assert_eq!((fetched.len(), fetched[0].run.attempt), (2, 2));
    world.assert_conserved();
}

#[tokio::test]
async fn a_mark_that_was_left_behind_goes_by_itself_and_a_lost_key_is_counted_anew() {
    let (world, mut hand) = queued(4).await;
    limit(&world.store, "q", 2).await;
    let gone = "00000000-0000-8000-8000-000000000000";
    let other = gone.replace('8', "9");
    let mark =
        format!("local q = 'q' .. string.char(0) redis.call('ZADD', KEYS[1], 0, q .. '{gone}', 0, q .. '{other}')");
    world.redis.cli(&["EVAL", &mark, "1", &world.key("occupied")]);
    assert_eq!(hand.fetch(5).await, [], "both count until somebody looks");
    world.pass(2_000);
    hand.settle(0).await;
    let runs = hand.fetch(5).await;
    assert_eq!((runs.len(), marks(&world)), (2, 3));
    world.on("DEL", "occupied", &[]);
    assert_eq!(hand.fetch(5).await, [], "nobody knows what executes");
    world.pass(2_000);
    assert_eq!(hand.settle(0).await.to_count, ["q"]);
    world.store.count_queue(0, "q").await.unwrap();
    assert_eq!((hand.fetch(5).await, marks(&world)), (Vec::new(), 3));
    assert_eq!(hand.work(0, 5, &ends(&runs)).await.fetched.len(), 2);
}

#[tokio::test]
async fn a_rule_that_can_not_be_read_holds_its_queue_until_it_is_written_again() {
    let (world, mut hand) = queued(2).await;
    for text in ["{", "7", r#"{"v":2}"#, r#"{"v":1,"max_running":5}"#] {
        world.on("HSET", "queue_rules", &["q", text]);
        assert_eq!(hand.fetch(5).await, [], "{text}");
    }
    world.on("HSET", "queue_rules", &["q", "{"]);
    limit(&world.store, "q", 1).await;
    assert_eq!(hand.fetch(5).await.len(), 1);
}

#[tokio::test]
async fn what_ends_in_a_queue_wakes_those_who_serve_its_other_lists() {
    let world = World::with(&[("a", of_kind("q", "shell", "true")), ("b", of_kind("q", "http", "GET http://x"))]).await;
    let mut hand = Hand::new(&world.store, 'a').serving(&["shell"]);
    limit(&world.store, "q", 1).await;
    come(&world, &mut hand, 1).await;
    let run = hand.fetch(1).await;
    assert_eq!(run.len(), 1);
    world.on("DEL", "hint:q:http", &[]);
    hand.work(0, 0, &ends(&run)).await;
    assert_eq!(world.on("LLEN", "hint:q:http", &[]), "1");
}

#[tokio::test]
async fn shares_of_several_shards_sum_up_to_the_limit() {
    let world = World::with_shards(3).await;
    let names: Vec<String> = (0..12).map(|number| format!("e{number:02}")).collect();
    let entries: Vec<(&str, Value)> = names.iter().map(|name| (name.as_str(), every_second("q"))).collect();
    world.add(&entries).await;
    let mut hand = Hand::new(&world.store, 'a');
    limit(&world.store, "q", 5).await;
    for _ in 0..3 {
        world.pass(1_000);
        for shard in world.store.shards() {
            hand.settle(shard).await;
        }
    }
    for shard in world.store.shards() {
        world.store.refresh_lists(shard).await.unwrap();
        hand.work(shard, 50, &[]).await;
    }
    assert_eq!(in_state(&world, State::Running).await, 5);
}

#[tokio::test]
async fn a_key_of_another_type_stops_a_call_before_it_has_done_anything() {
    let (world, mut hand) = queued(4).await;
    put(&world.store, "q", rate("2/1h")).await;
    limit(&world.store, "q", 3).await;
    let run = hand.fetch(1).await;
    let held = || {
        let live = world.redis.ask(&["HGETALL", &world.key("live")]);
        let mut live: Vec<String> = live.list().iter().map(|text| format!("{text:?}")).collect();
        live.sort();
        (live, world.on("LRANGE", "queue:q:shell", &["0", "-1"]), world.on("SCARD", "holds:aaaaaaaaaaaaaaaa", &[]))
    };
    let before = held();
    for key in ["queue_rules", "occupied", "starts"] {
        world.redis.cli(&["RENAME", &world.key(key), "aside"]);
        world.redis.cli(&["SET", &world.key(key), "of another type"]);
        hand.works += 1;
        hand.work_number(0, 5, &ends(&run), hand.works).await.unwrap_err();
        assert_eq!(held(), before, "{key}");
        world.pass(1_000);
        assert!(hand.claim_number(0, 0, 0).await.is_err(), "{key}");
        world.redis.cli(&["RENAME", "aside", &world.key(key)]);
    }
    assert_eq!(hand.work(0, 5, &ends(&run)).await.fetched.len(), 1, "two may start in an hour");
    world.assert_conserved();
}

/// Commands that Redis was told inside one work call of 20 runs.
async fn commands_of_a_life(world: &World, hand: &mut Hand) -> BTreeMap<String, u64> {
    come(world, hand, 20).await;
    world.redis.cli(&["CONFIG", "RESETSTAT"]);
    let fetched = hand.work(0, 50, &[]).await.fetched;
    hand.work(0, 0, &ends(&fetched)).await;
    // Something is due: a look-in that finds nothing ends early where nothing is limited.
    world.pass(1_000);
    assert_eq!(hand.claim(0, 0).await.claimed, 1);
    world.redis.calls()
}

#[tokio::test]
async fn queues_without_limits_pay_a_constant_number_of_commands_a_call() {
    let world = World::with(&[("a", every_second("free"))]).await;
    let mut hand = Hand::new(&world.store, 'a');
    commands_of_a_life(&world, &mut hand).await;
    let without = commands_of_a_life(&world, &mut hand).await;
    limit(&world.store, "other", 5).await;
    let beside = commands_of_a_life(&world, &mut hand).await;
    let more = |name: &str| beside.get(name).unwrap_or(&0).saturating_sub(*without.get(name).unwrap_or(&0));
    let names: Vec<&String> = beside.keys().collect();
    for name in names {
        // Three calls: each reads the rules; two may write the walk over marks.
        assert!(more(name) <= 6, "{name}: {without:?} {beside:?}");
    }
    assert_eq!(without.get("zlexcount"), None);
}

/// What may happen to a fleet with a limited queue.
#[derive(Debug, Clone, Copy)]
enum Step {
    Fetch { node: usize, wanted: usize },
    End { node: usize, how: usize, wanted: usize },
    Repeat { node: usize },
    Lose { node: usize },
    Limit { most: u32 },
    Rate { starts: u32 },
    Free,
    Pause,
    Resume,
    Count,
    Flush,
}

struct Model {
    world: World,
    hands: Vec<Hand>,
    held: Vec<Vec<Started>>,
    last: Vec<Option<(u64, Vec<Ended>)>>,
    most: Option<u32>,
    rate: Option<(u32, Timestamp)>,
    is_paused: bool,
    starts: Vec<Timestamp>,
    incarnations: u32,
}

const SPAN_MS: i64 = 5_000;

impl Model {
    async fn new() -> Self {
        let world = World::with(&[
            ("a", every_second("q")),
            ("b", of_kind("q", "http", "GET http://x")),
            ("c", every_second("free")),
        ])
        .await;
        let hands: Vec<Hand> = ['a', 'b', 'c'].map(|letter| Hand::new(&world.store, letter)).into();
        let (held, last) = (vec![Vec::new(); 3], vec![None, None, None]);
        Self { world, hands, held, last, most: None, rate: None, is_paused: false, starts: Vec::new(), incarnations: 0 }
    }

    async fn running(&self) -> u32 {
        let (live, _) = self.world.store.live_runs(0, None).await.unwrap();
        live.iter().filter(|run| run.state == State::Running && run.queue() == "q").count() as u32
    }

    async fn work(&mut self, node: usize, wanted: usize, ends: Vec<Ended>) {
        self.world.store.refresh_lists(0).await.unwrap();
        let reply = self.hands[node].work(0, wanted, &ends).await;
        self.last[node] = Some((self.hands[node].works, ends));
        let mine: Vec<Started> = reply.fetched.iter().filter(|run| run.run.queue() == "q").cloned().collect();
        let count = mine.len() as u32;
        self.starts.extend(mine.iter().map(|run| run.at));
        self.held[node].extend(reply.fetched);
        if count == 0 {
            return;
        }
        assert!(!self.is_paused, "paused, and {count} started");
        let running = self.running().await;
        assert!(self.most.is_none_or(|most| running <= most), "{running} of {:?}", self.most);
        if let Some((most, since)) = self.rate {
            let now = mine[0].at;
            let within = self.starts.iter().filter(|at| at.0 > now.0 - SPAN_MS && **at >= since).count() as u32;
            assert!(within <= most, "{within} of {most} within the span");
        }
    }

    async fn step(&mut self, step: Step) {
        let store = self.world.store.clone();
        self.world.pass(700);
        for node in 0..self.hands.len() {
            store.renew(0, &self.hands[node].incarnation, 15_000).await.unwrap();
        }
        self.claim(0).await;
        match step {
            Step::Fetch { node, wanted } => self.work(node, wanted, Vec::new()).await,
            Step::End { node, how, wanted } => {
                let Some(run) = self.held[node].pop() else { return };
                let ways = [EndedAs::Succeeded, EndedAs::Failed, EndedAs::HandedBack, EndedAs::Returned];
                let end = match ways.get(how) {
                    Some(how) => ended(&run, *how),
                    None => failed(&run, 1_000, None),
                };
                self.work(node, wanted, vec![end]).await;
            }
            Step::Repeat { node } => {
                let Some((number, ends)) = self.last[node].clone() else { return };
                let before = self.running().await;
                self.hands[node].work_number(0, 9, &ends, number).await.unwrap();
                assert_eq!(self.running().await, before);
            }
            Step::Lose { node } => {
                let lost = self.hands[node].incarnation.clone();
                self.held[node].clear();
                self.last[node] = None;
                self.incarnations += 1;
                let letter = char::from_u32('d' as u32 + self.incarnations % 20).unwrap();
                self.hands[node] = Hand::new(&store, letter);
                self.hands[node].works = u64::from(self.incarnations) * 1_000;
                for _ in 0..6 {
                    self.world.pass(3_000);
                    for hand in &self.hands {
                        store.renew(0, &hand.incarnation, 15_000).await.unwrap();
                    }
                    self.claim(0).await;
                }
                store.rescue(0, &lost, "lost").await.unwrap();
            }
            Step::Limit { most } => {
                put(&store, "q", running(most)).await;
                self.most = Some(most);
            }
            Step::Rate { starts } => {
                put(&store, "q", rate(&format!("{starts}/{SPAN_MS}ms"))).await;
                // What started at this instant is not counted.
                self.world.pass(1);
                let since = self.rate.map(|(_, since)| since);
                self.rate = Some((starts, since.unwrap_or(store.now(0).await.unwrap())));
            }
            Step::Free => {
                put(&store, "q", UNSET).await;
                (self.most, self.rate) = (None, None);
            }
            Step::Pause => {
                put(&store, "q", QueueVerb::Pause).await;
                self.is_paused = true;
            }
            Step::Resume => {
                put(&store, "q", QueueVerb::Resume).await;
                self.is_paused = false;
            }
            Step::Count => store.count_queue(0, "q").await.unwrap(),
            Step::Flush => {
                self.world.redis.cli(&["SCRIPT", "FLUSH"]);
            }
        }
        self.world.assert_conserved();
    }

    /// A claim with free slots: what it starts is never of the limited queue.
    async fn claim(&mut self, node: usize) -> Option<Claim> {
        let ClaimReply::Claimed(mut claim) = self.hands[node].try_claim(0, 2).await else { return None };
        for started in std::mem::take(&mut claim.started) {
            let has_rule = self.most.is_some() || self.rate.is_some() || self.is_paused;
            assert!(started.run.queue() == "free" || !has_rule, "started without a fetch");
            if started.run.queue() == "q" {
                self.starts.push(started.at);
            }
            self.held[node].push(started);
        }
        for queue in &claim.to_count {
            self.world.store.count_queue(0, queue).await.unwrap();
        }
        Some(*claim)
    }

    /// Whatever the limits are, everything ends at last.
    async fn drain(&mut self) {
        put(&self.world.store, "q", QueueVerb::Resume).await;
        self.is_paused = false;
        for name in ["a", "b", "c"] {
            change(&self.world.store, name, Verb::Pause, Value::Null).await;
        }
        for round in 0..400 {
            self.world.pass(SPAN_MS + 1);
            self.claim(0).await;
            let (live, _) = self.world.store.live_runs(0, None).await.unwrap();
            if live.is_empty() {
                assert!(marks(&self.world) <= 1, "only the sign that all are marked stays");
                return;
            }
            for node in 0..3 {
                let ends: Vec<Ended> = ends(&std::mem::take(&mut self.held[node]));
                self.work(node, 3, ends).await;
            }
            assert!(round < 399, "{live:?}");
        }
    }
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    use proptest::prelude::*;
    let node = 0..3_usize;
    let step = prop_oneof![
        6 => (node.clone(), 1..5_usize).prop_map(|(node, wanted)| Step::Fetch { node, wanted }),
        8 => (node.clone(), 0..5_usize, 0..3_usize).prop_map(|(node, how, wanted)| Step::End { node, how, wanted }),
        2 => node.clone().prop_map(|node| Step::Repeat { node }),
        1 => node.prop_map(|node| Step::Lose { node }),
        3 => (1..4_u32).prop_map(|most| Step::Limit { most }),
        2 => (1..5_u32).prop_map(|starts| Step::Rate { starts }),
        1 => Just(Step::Free),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        2 => Just(Step::Count),
        1 => Just(Step::Flush),
    ];
    proptest::collection::vec(step, 10..60)
}

#[test]
fn whatever_happens_in_whatever_order_no_limit_is_exceeded_and_everything_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases: 12, max_shrink_iters: 40, failure_persistence: None, ..Config::default() };
    let played = TestRunner::new(config).run(&steps(), |steps| {
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                let mut model = Model::new().await;
                for step in steps {
                    model.step(step).await;
                }
                model.drain().await;
            });
        }));
        played.map_err(|why| {
            let why = why.downcast_ref::<String>().cloned().unwrap_or_else(|| "it panicked".to_owned());
            TestCaseError::fail(why)
        })
    });
    played.unwrap();
}
