//! An entry and its nights, told at named instants: the clock of the shard stands where the test puts it.

use std::cell::{Cell, RefCell};

use serde_json::Value;
use upbeat::domain::run::Reason;
use upbeat::domain::timestamp::Timestamp;
use upbeat::domain::zone::Zone;
use upbeat::service::{Answer, Request, WhyView};
use upbeat::store::{Ended, EndedAs, Started};

use crate::bed::{Bed, id, object, request};
use crate::pauses::settle;
use crate::support::hand::{Hand, ended};

pub struct Story {
    pub bed: Bed,
    pub hand: RefCell<Hand>,
    zone: Cell<&'static str>,
}

/// A request of this person.
pub fn by(actor: &str, reason: Option<&str>) -> Request {
    Request { actor: actor.to_owned(), reason: reason.map(str::to_owned), ..request() }
}

impl Story {
    /// Begins then, a local time in Berlin or an instant with offset.
    pub async fn at(text: &str) -> Self {
        let bed = Bed::new().await;
        let hand = RefCell::new(Hand::new(bed.store(), 'a'));
        let story = Self { bed, hand, zone: Cell::new("Europe/Berlin") };
        story.go(text);
        story
    }

    pub fn instant(&self, text: &str) -> Timestamp {
        let zone = Zone::parse("tz", self.zone.get()).unwrap();
        Timestamp::parse("test", text, Some(&zone)).unwrap()
    }

    /// The clock shows this.
    pub fn go(&self, text: &str) {
        self.bed.turn_to(self.instant(text));
    }

    /// An hour of every day in Berlin, with overlap `skip`, as an entry of `ops`.
    pub async fn nightly(&self, fields: Value) {
        let mut all = object(serde_json::json!({"cron": "0 2 * * *", "tz": "Europe/Berlin", "exec": ["true"]}));
        all.extend(object(fields));
        all.retain(|_, value| !value.is_null());
        self.bed.add("nightly", Value::Object(all)).await;
    }

    /// Half a second after that instant, a node claims all that is due; nothing is started.
    pub async fn claim(&self, text: &str) {
        self.bed.turn_to(Timestamp(self.instant(text).0 + 500));
        settle(&self.bed).await;
    }

    /// What was claimed then is started.
    pub async fn start(&self, text: &str) -> Started {
        self.claim(text).await;
        self.fetch().await
    }

    #[allow(clippy::await_holding_refcell_ref)]
    pub async fn fetch(&self) -> Started {
        self.hand.borrow_mut().fetch(1).await.pop().expect("a run waits")
    }

    #[allow(clippy::await_holding_refcell_ref)]
    pub async fn end(&self, end: Ended) {
        self.hand.borrow_mut().work(0, 0, &[end]).await;
    }

    /// So long after the run began.
    pub fn go_on(&self, run: &Started, ms: i64) {
        self.bed.turn_to(Timestamp(run.run.started_at.expect("it has begun").0 + ms));
    }

    /// Runs what is due then, for so many minutes.
    pub async fn succeed(&self, text: &str, minutes: i64) {
        let run = self.start(text).await;
        self.go_on(&run, minutes * 60_000 + 10);
        self.end(ended(&run, EndedAs::Succeeded)).await;
    }

    /// It fails 3 s later with this code.
    pub async fn fail(&self, text: &str, code: i32) {
        let run = self.start(text).await;
        self.go_on(&run, 3_000);
        self.end(Ended { exit_code: Some(code), reason: Some(Reason::Exit), ..ended(&run, EndedAs::Failed) }).await;
    }

    pub async fn why(&self, at: Option<&str>) -> WhyView {
        self.bed.service.why(&id("nightly"), at, None).await.unwrap()
    }

    /// The answer in one word, its reason, its fire time, and its sentence.
    #[track_caller]
    pub fn is(&self, why: &WhyView, answer: Answer, reason: Option<&str>, fire_at: &str, sentence: &str) {
        let got = (why.answer, why.reason, why.fire_at.map(|at| at.0.to_rfc3339()), why.sentence.as_str());
        assert_eq!(got, (answer, reason, Some(self.instant(fire_at).to_rfc3339()), sentence), "{why:#?}");
    }
}

/// The texts of a label.
pub fn facts<'w>(why: &'w WhyView, label: &str) -> Vec<&'w str> {
    why.facts.iter().filter(|fact| fact.label == label).map(|fact| fact.text.as_str()).collect()
}

/// The test takes its time: what took 3 s may have taken some tenths more.
pub fn timeless(sentence: &str) -> String {
    (1..10).fold(sentence.to_owned(), |text, tenths| text.replace(&format!("after 3.{tenths} s"), "after 3.0 s"))
}
