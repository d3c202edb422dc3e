//! Steps in an order nobody chose, by nodes that are frozen, lost and come back, against a model of the state machine: which
//! script may move a run from where to where, and what becomes of its attempts.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use upbeat::domain::record::requested_run_id;
use upbeat::domain::retry::{Backoff, Failure, Retry};
use upbeat::domain::run::{Reason, State};
use upbeat::domain::span::Span;
use upbeat::domain::timestamp::Timestamp;
use upbeat::store::{Asked, Ended, EndedAs, FinishWord, LettersAnswer, NextAttempt, Place, Started, TriggerCall, Verb};

use crate::life_model::{Move, Run, Script, Seen, assert_moves};
use crate::life_steps::{Step, steps};
use crate::support::changes::change;
use crate::support::entries::id;
use crate::support::hand::{Hand, World, ended};

/// `UPBEAT_LIFE_CASES=500 cargo test --test store life` searches longer.
const CASES: u32 = 12;
const SEED: [u8; 32] = *b"every run ends once per opening.";
const ATTEMPTS_MAX: u32 = 3;

fn entries() -> Vec<(&'static str, Value)> {
    let shell = |more: Value| {
        let mut entry = json!({"every": "10s", "shell": "true", "keep_runs": 1000, "catch_up": "latest"});
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        entry
    };
    vec![
        ("allow", shell(json!({"overlap": "allow"}))),
        ("buffer", shell(json!({"overlap": "buffer_one"}))),
        ("cancel", shell(json!({"overlap": "cancel_other"}))),
        ("limited", shell(json!({"overlap": "allow", "max_running": 2, "every": "7s"}))),
        ("once", shell(json!({"delivery": "at_most_once", "overlap": "allow"}))),
        ("in-time", shell(json!({"start_within": "20s", "overlap": "allow"}))),
        ("sent", json!({"every": "10s", "list": "out", "keep_runs": 1000, "catch_up": "latest"})),
    ]
}

/// The rule of every entry but `once`; `limited` has a limit for the whole run, too.
fn rule(entry: &str) -> Option<Retry> {
    let within = (entry == "limited").then_some(Span(30_000));
    let (max_attempts, delay) = (ATTEMPTS_MAX as u16, Span(8_000));
    let rule = Retry { max_attempts, backoff: Backoff::Linear, delay, jitter: 0.0, within, ..Retry::default() };
    (entry != "once").then_some(rule)
}

/// A world that is played in, and what is known of it.
struct Play {
    world: World,
    nodes: Vec<Hand>,
    watch: Hand,
    /// Attempts that each node believes to hold.
    held: Vec<Vec<Started>>,
    runs: BTreeMap<String, Run>,
    requests: u32,
    is_blocked: bool,
    moves: BTreeMap<Move, usize>,
}

impl Play {
    async fn begin() -> Self {
        let world = World::with(&entries()).await;
        let nodes = ['a', 'b', 'c'].map(|letter| Hand::new(&world.store, letter)).into();
        let watch = Hand::new(&world.store, 'w');
        let held = vec![Vec::new(); 3];
        Self {
            world,
            nodes,
            watch,
            held,
            runs: BTreeMap::new(),
            requests: 0,
            is_blocked: false,
            moves: BTreeMap::new(),
        }
    }

    fn request(&mut self) -> String {
        self.requests += 1;
        format!("r{}", self.requests)
    }

    async fn now(&self) -> Timestamp {
        self.world.store.now(0).await.unwrap()
    }

    /// What Redis holds now must follow from what it held, by this script; then it is what is known.
    async fn look(&mut self, script: &Script) {
        let seen = Seen::read(&self.world, &entries()).await;
        for one in assert_moves(&mut self.runs, &seen, script) {
            *self.moves.entry(one).or_default() += 1;
        }
        seen.assert_places(&self.world);
        self.world.assert_conserved();
        for run in self.runs.values() {
            assert!(run.counted() <= ATTEMPTS_MAX, "{run:?}");
        }
        for (entry, most) in [("buffer", 1), ("cancel", 1), ("limited", 2)] {
            let is_busy = |run: &&Run| run.entry == entry && run.state.is_active() && run.state != State::Waiting;
            let mut busy: BTreeMap<u64, usize> = BTreeMap::new();
            self.runs.values().filter(is_busy).for_each(|run| *busy.entry(run.birth).or_default() += 1);
            assert!(busy.values().all(|count| *count <= most), "{entry}: {busy:?}");
        }
    }

    fn ids(&self, is_wanted: impl Fn(&Run) -> bool) -> Vec<String> {
        self.runs.iter().filter(|(_, run)| is_wanted(run)).map(|(run_id, _)| run_id.clone()).collect()
    }

    async fn end(&mut self, who: usize, which: usize, how: EndedAs) {
        if self.held[who].is_empty() {
            return;
        }
        let at = which % self.held[who].len();
        let started = self.held[who].remove(at);
        let end = self.outcome(&started, how).await;
        let known = &self.runs[&started.run.run_id];
        let is_mine = known.state == State::Running && known.fence == started.run.fence;
        let is_cancelled = known.is_cancel_asked && (end.next.is_some() || how == EndedAs::HandedBack);
        let expected = match how {
            _ if !is_mine => FinishWord::Lost,
            EndedAs::Returned if known.is_cancel_asked => FinishWord::Finished,
            _ if is_cancelled => FinishWord::Finished,
            EndedAs::HandedBack if known.entry == "once" => FinishWord::Finished,
            EndedAs::HandedBack | EndedAs::Returned => FinishWord::Requeued,
            EndedAs::Failed if end.next.is_some() => FinishWord::Retrying,
            _ => FinishWord::Finished,
        };
        let word = self.nodes[who].work(0, 0, std::slice::from_ref(&end)).await.words[0];
        assert_eq!(word, expected, "{end:?} of {known:?}");
        self.look(&Script::Work { holder: self.nodes[who].incarnation.clone() }).await;
    }

    /// As a node decides it.
    async fn outcome(&self, started: &Started, how: EndedAs) -> Ended {
        let run = &started.run;
        let mut end = ended(started, how);
        let Some(rule) = rule(&run.entry_id).filter(|_| how == EndedAs::Failed) else { return end };
        let elapsed_ms = self.now().await.0 - run.started_at.map_or(started.at, |at| at).0;
        let failure = Failure { reason: Reason::Exit, exit_code: Some(1), http_status: None, retry_after: None };
        let left_ms = rule.within.map(|within| within.ms() - elapsed_ms);
        end.next =
            rule.wait(run.counted(), &failure, elapsed_ms, 0.5).map(|wait| NextAttempt { wait_ms: wait.ms(), left_ms });
        end
    }

    async fn ask_for_letters(&mut self, which: usize, is_purge: bool) {
        let dead = self.ids(|run| run.is_letter);
        if dead.is_empty() {
            return;
        }
        let ids: Vec<String> = (0..1 + which % 3).map(|n| dead[(which + n) % dead.len()].clone()).collect();
        let mut ids: Vec<String> = ids.into_iter().collect();
        ids.sort();
        ids.dedup();
        let request = self.request();
        let asked = Asked { request: &request, content: "" };
        let answer = match is_purge {
            true => self.world.store.purge(0, asked, &ids, "by ana").await.unwrap(),
            false => self.world.store.retry(0, asked, &ids, "by ana").await.unwrap(),
        };
        let LettersAnswer::Done(words) = answer else { panic!("{answer:?}") };
        for (run_id, word) in &words {
            let run = self.runs.get_mut(run_id).unwrap();
            run.note_asked(*word);
        }
        self.look(&Script::Retry { words }).await;
    }

    async fn trigger(&mut self, which: usize) {
        let (name, _) = entries()[which % 6].clone();
        let target = id(name);
        let Some(stored) = self.world.store.entry(&target).await.unwrap() else { return };
        let Ok(definition) = stored.definition else { return };
        let (request, fire_at) = (self.request(), self.now().await);
        let run_id = requested_run_id(self.world.store.namespace(), &target, &request, fire_at);
        let asked = Asked { request: &request, content: "" };
        let (birth, id, run_id) = (definition.birth, &target, run_id.as_str());
        let call =
            TriggerCall { asked, id, birth, run_id, fire_at, overlap: None, extras: "{}", message: &[], unique: None };
        self.world.store.trigger(0, &call).await.unwrap();
        self.look(&Script::Trigger).await;
    }

    async fn remove(&mut self, which: usize) {
        let (name, entry) = entries()[which % entries().len()].clone();
        match self.world.store.entry(&id(name)).await.unwrap() {
            Some(_) => drop(change(&self.world.store, name, Verb::Remove, json!({})).await),
            None => self.world.add(&[(name, entry)]).await,
        }
        self.look(&Script::Put).await;
    }

    async fn claim(&mut self, who: Option<usize>, slots: usize) -> Vec<String> {
        let node = who.map_or(&mut self.watch, |who| &mut self.nodes[who]);
        let claim = node.claim(0, slots).await;
        assert!(!claim.is_unbalanced, "the sums hold");
        if let Some(who) = who {
            self.held[who].extend(claim.started);
        }
        for name in &claim.to_plan {
            self.world.store.plan(&id(name), claim.now).await.unwrap();
        }
        if !claim.unknown_lists.is_empty() {
            self.world.store.refresh_lists(0).await.unwrap();
        }
        self.look(&Script::Claim { now: claim.now }).await;
        claim.ended_nodes
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Pass { ms } => self.world.pass(ms),
            Step::Outlast => {
                for _ in 0..4 {
                    self.world.pass(5_000);
                    Box::pin(self.claim(None, 0)).await;
                }
            }
            Step::Claim { who, slots } => drop(Box::pin(self.claim(Some(who), slots)).await),
            Step::Fetch { who, wanted } => {
                let fetched = self.nodes[who].work(0, wanted, &[]).await.fetched;
                self.held[who].extend(fetched);
                let holder = self.nodes[who].incarnation.clone();
                Box::pin(self.look(&Script::Work { holder })).await;
            }
            Step::Renew { who } => {
                let holder = self.nodes[who].incarnation.clone();
                let mut told = self.world.store.renew(0, &holder, 15_000).await.unwrap();
                told.held.sort();
                let mine = self.ids(|run| run.holder.as_ref() == Some(&holder));
                assert_eq!(told.held, mine);
                let asked = self.ids(|run| run.holder.as_ref() == Some(&holder) && run.is_cancel_asked);
                told.to_cancel.sort();
                assert_eq!(told.to_cancel, asked);
            }
            Step::End { who, which, how } => Box::pin(self.end(who, which, how)).await,
            Step::Rescue { who } => {
                for lost in Box::pin(self.claim(Some(who), 0)).await {
                    self.world.store.rescue(0, &lost, "lost").await.unwrap();
                    Box::pin(self.look(&Script::Rescue { lost })).await;
                }
            }
            Step::Cancel { which } => {
                let active = self.ids(|run| run.state.is_active());
                let Some(run_id) = active.get(which % active.len().max(1)).cloned() else { return };
                let request = self.request();
                let asked = Asked { request: &request, content: &run_id };
                self.world.store.cancel(0, asked, &run_id, "by ana").await.unwrap();
                Box::pin(self.look(&Script::Cancel { run_id })).await;
            }
            Step::Retry { which } => Box::pin(self.ask_for_letters(which, false)).await,
            Step::Purge { which } => Box::pin(self.ask_for_letters(which, true)).await,
            Step::Trigger { which } => Box::pin(self.trigger(which)).await,
            Step::Remove { which } => Box::pin(self.remove(which)).await,
            Step::Block => {
                self.is_blocked = !self.is_blocked;
                self.world.redis.cli(&["DEL", "out"]);
                if self.is_blocked {
                    self.world.redis.cli(&["SET", "out", "of another type"]);
                }
            }
        }
    }

    /// No entry fires any more; what is active comes to its end.
    async fn finish(&mut self) {
        for (name, _) in entries() {
            let stored = self.world.store.entry(&id(name)).await.unwrap();
            if stored.is_some_and(|stored| stored.place != Some(Place::Paused)) {
                change(&self.world.store, name, Verb::Pause, json!({})).await;
            }
        }
        self.look(&Script::Put).await;
        for round in 0..60 {
            if round < 4 {
                Box::pin(self.step(&Step::Retry { which: round })).await;
            } else if !self.runs.values().any(|run| run.state.is_active()) {
                break;
            }
            Box::pin(self.step(&Step::Outlast)).await;
            Box::pin(self.step(&Step::Rescue { who: 0 })).await;
            Box::pin(self.step(&Step::Fetch { who: 0, wanted: 50 })).await;
            while let Some(which) = self.held[0].len().checked_sub(1) {
                let how = if which % 3 == 0 { EndedAs::Succeeded } else { EndedAs::Failed };
                Box::pin(self.step(&Step::End { who: 0, which, how })).await;
            }
        }
        let active = self.ids(|run| run.state.is_active());
        assert!(active.is_empty(), "{active:?} never end");
        for (command, name) in [
            ("HLEN", "live"),
            ("ZCARD", "leases"),
            ("ZCARD", "delayed"),
            ("ZCARD", "start_by"),
            ("HLEN", "waits"),
            ("HLEN", "cancels"),
        ] {
            assert_eq!(self.world.on(command, name, &[]), "0", "{name} when all is done");
        }
        let kept: Vec<String> = self.world.redis.keys().into_iter().filter(|key| key.contains(":holds:")).collect();
        assert_eq!(kept, Vec::<String>::new());
        assert_eq!(self.world.on("HGET", "clock", &["held"]), "0");
    }
}

async fn play(steps: &[Step]) -> BTreeMap<Move, usize> {
    let mut play = Box::pin(Play::begin()).await;
    for step in steps {
        Box::pin(play.step(step)).await;
    }
    Box::pin(play.finish()).await;
    play.moves
}

/// Moves without which a search has shown nothing.
fn all_moves() -> Vec<Move> {
    use State::{Cancelled, Failed, Missed, Queued, Retrying, Running, Succeeded, Waiting};
    let mut all =
        vec![(Some(Waiting), Queued), (Some(Queued), Missed), (Some(Queued), Running), (Some(Retrying), Queued)];
    all.extend([Queued, Waiting, Running, Succeeded, Failed].map(|to| (None, to)));
    all.extend([Succeeded, Failed, Cancelled, Retrying, Queued].map(|to| (Some(Running), to)));
    all.extend([Queued, Retrying, Waiting].map(|from| (Some(from), Cancelled)));
    all.extend([Queued, Waiting, Succeeded].map(|to| (Some(Failed), to)));
    all.push((Some(Retrying), Failed));
    all
}

#[test]
fn whatever_nodes_and_people_do_every_run_is_in_one_place_and_ends_once_per_opening() {
    let cases = crate::support::setting("UPBEAT_LIFE_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &SEED));
    let moves = RefCell::new(BTreeMap::<Move, usize>::new());
    let found = runner.run(&steps(), |steps| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for (one, count) in runtime.block_on(async { Box::pin(play(&steps)).await }) {
            *moves.borrow_mut().entry(one).or_default() += count;
        }
        Ok(())
    });
    found.unwrap_or_else(|why| panic!("{why}"));
    let moves = moves.into_inner();
    let missing: Vec<Move> = all_moves().into_iter().filter(|one| !moves.contains_key(one)).collect();
    assert!(missing.is_empty(), "nobody moved so: {missing:?}; {moves:?}");
}
