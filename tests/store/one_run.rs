//! One entry, `a`, whose one run goes from state to state by scripts that a test calls one by one.

use serde_json::{Value, json};
use upbeat::domain::record::{EndedRun, LiveRun};
use upbeat::domain::run::{Reason, State};
use upbeat::store::{Asked, CancelAnswer, EndedAs, LetterWord, LettersAnswer, Rescued, Started};

use crate::support::hand::{Hand, World, failed};

pub const HOUR_MS: i64 = 3_600_000;

/// A world with a run of `a`; the entry fires every hour.
pub struct OneRun {
    pub world: World,
    pub hand: Hand,
}

impl OneRun {
    /// Before its first fire time; `more` are fields of the entry.
    pub async fn before(more: Value) -> Self {
        let mut entry = json!({"every": "1h", "shell": "true", "keep_runs": 1000});
        if more.get("list").is_some() {
            entry.as_object_mut().unwrap().remove("shell");
        }
        for (field, value) in more.as_object().unwrap() {
            entry[field] = value.clone();
        }
        let world = World::with(&[("a", entry)]).await;
        let hand = Hand::new(&world.store, 'a');
        Self { world, hand }
    }

    /// Its run is in its list.
    pub async fn queued(more: Value) -> Self {
        let mut one = Self::before(more).await;
        one.fire().await;
        one
    }

    /// Its run is executed.
    pub async fn running(more: Value) -> (Self, Started) {
        let mut one = Self::queued(more).await;
        let run = one.fetch().await;
        (one, run)
    }

    /// Its run waits for its second attempt, for 30 s.
    pub async fn retrying(more: Value) -> Self {
        let (mut one, run) = Self::running(more).await;
        one.end(failed(&run, 30_000, None)).await;
        one
    }

    /// Its run has failed for good.
    pub async fn dead(more: Value) -> (Self, Started) {
        let (mut one, run) = Self::running(more).await;
        one.hand.finish(&run, EndedAs::Failed).await;
        (one, run)
    }

    /// The next fire time comes and is claimed.
    pub async fn fire(&mut self) {
        self.world.pass(HOUR_MS);
        self.hand.settle(0).await;
        self.world.assert_conserved();
    }

    /// Time goes on by this much and a node looks in; no lease ends by it.
    pub async fn look_after(&mut self, ms: i64) {
        self.world.pass(ms);
        self.hand.settle(0).await;
        self.world.assert_conserved();
    }

    /// The one run that can be fetched.
    pub async fn fetch(&mut self) -> Started {
        let mut fetched = self.hand.fetch(9).await;
        assert_eq!(fetched.len(), 1, "{fetched:?}");
        self.world.assert_conserved();
        fetched.remove(0)
    }

    /// Tells how an attempt ended. Returns what became of that.
    pub async fn end(&mut self, end: upbeat::store::Ended) -> upbeat::store::FinishWord {
        let word = self.hand.work(0, 0, &[end]).await.words[0];
        self.world.assert_conserved();
        word
    }

    /// The one active run, or none.
    pub async fn live(&self) -> Option<LiveRun> {
        let (mut runs, _) = self.world.store.live_runs(0, None).await.unwrap();
        assert!(runs.len() <= 1, "{runs:?}");
        runs.pop()
    }

    pub async fn state(&self) -> Option<State> {
        self.live().await.map(|run| run.state)
    }

    /// The node that holds the run is lost: its lease ends and another node takes over.
    pub async fn lose(&mut self, holder: &Hand) -> Rescued {
        let mut watch = Hand::new(&self.world.store, 'w');
        let mut gone = Vec::new();
        while gone.is_empty() {
            self.world.pass(5_000);
            self.world.store.renew(0, &watch.incarnation, watch.lease_ms).await.unwrap();
            gone = watch.settle(0).await.ended_nodes;
        }
        assert_eq!(gone, std::slice::from_ref(&holder.incarnation));
        let rescued = self.world.store.rescue(0, &holder.incarnation, "lost one").await.unwrap();
        self.world.assert_conserved();
        rescued
    }

    pub async fn cancel(&self, run_id: &str) -> CancelAnswer {
        let asked = Asked { request: "cancel", content: run_id };
        let answer = self.world.store.cancel(0, asked, run_id, "by ana").await.unwrap();
        self.world.assert_conserved();
        answer
    }

    /// Reopens a run that failed. Returns the word for it.
    pub async fn retry(&self, run_id: &str) -> LetterWord {
        let request = uuid::Uuid::new_v4().to_string();
        let asked = Asked { request: &request, content: "" };
        let answer = self.world.store.retry(0, asked, &[run_id.to_owned()]).await.unwrap();
        self.world.assert_conserved();
        let LettersAnswer::Done(words) = answer else { panic!("{answer:?}") };
        assert_eq!(words.len(), 1);
        words[0].1
    }

    /// Run ids of dead letters; each of them can be read.
    pub async fn letters(&self) -> Vec<String> {
        let ids: Vec<String> = self.world.store.dead(0).await.unwrap().into_iter().map(|(run_id, _)| run_id).collect();
        assert!(self.world.store.letters(0, &ids).await.unwrap().iter().all(Option::is_some));
        assert_eq!(self.world.on("HLEN", "letters", &[]), ids.len().to_string());
        ids
    }

    /// The run has ended this way, once, and left nothing behind but its record; a dead letter if it failed, none otherwise.
    pub async fn assert_ended(&self, state: State, reason: Option<Reason>) -> EndedRun {
        let mut ended = self.world.ended("a").await;
        assert_eq!(ended.len(), 1, "{ended:#?}");
        let run = ended.remove(0);
        assert_eq!((run.state, run.reason), (state, reason), "{run:#?}");
        let dead: Vec<String> = (state == State::Failed).then(|| run.run_id.clone()).into_iter().collect();
        assert_eq!(self.letters().await, dead);
        self.assert_nothing_left();
        run
    }

    /// No run is active, and no trace of one is left where active runs stand.
    pub fn assert_nothing_left(&self) {
        for (command, name) in [
            ("HLEN", "live"),
            ("ZCARD", "leases"),
            ("ZCARD", "delayed"),
            ("ZCARD", "start_by"),
            ("HLEN", "waits"),
            ("HLEN", "cancels"),
        ] {
            assert_eq!(self.world.on(command, name, &[]), "0", "{name}");
        }
        self.world.assert_conserved();
    }
}
