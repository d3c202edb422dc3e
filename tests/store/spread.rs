//! `spread`: a fire time keeps its name and is due later, always by the same length; lateness counts from when it is due.

use serde_json::{Value, json};
use upbeat::domain::ledger;
use upbeat::domain::plan::Registered;
use upbeat::domain::run::{Reason, State, Trigger};
use upbeat::domain::timestamp::Timestamp;
use upbeat::service::{Request, Service};
use upbeat::store::{Place, Verb};

use crate::support::changes::change;
use crate::support::entries::{id, open};
use crate::support::hand::{Hand, World, distinct};

const MINUTE: i64 = 60_000;

/// Every 10 minutes; `cron` says it so that no period can be seen in it.
fn schedules() -> [Value; 2] {
    [json!({"every": "10m"}), json!({"cron": ["*/10 * * * 1-4", "*/10 * * * 5-7"]})]
}

fn entry(schedule: &Value, more: &Value) -> Value {
    let mut entry = schedule.clone();
    let rest = json!({"shell": "true", "overlap": "allow", "spread": "9m", "keep_runs": 1000});
    for (field, value) in rest.as_object().unwrap().iter().chain(more.as_object().unwrap()) {
        entry[field] = value.clone();
    }
    entry.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    entry
}

/// An entry that stands between its first fire time and the moment when that is due: 2 to 7 minutes.
struct Between {
    world: World,
    hand: Hand,
    name: String,
    fire_at: Timestamp,
    delay: i64,
}

impl Between {
    async fn of(schedule: &Value, more: &Value) -> Self {
        let world = World::new().await;
        let fields = entry(schedule, more);
        let parsed = upbeat::domain::entry::Entry::parse(fields.as_object().unwrap().clone()).unwrap();
        let delay_of = |name: &str| {
            let (id, namespace) = (id(name), world.store.namespace());
            Registered { namespace, id: &id, birth: 1, revision: 1, entry: &parsed }.delay_ms()
        };
        let mut names = (0..).map(|number| format!("e{number}"));
        let name = names.find(|name| (2 * MINUTE..7 * MINUTE).contains(&delay_of(name))).unwrap();
        world.add(&[(&name, fields)]).await;
        let mut hand = Hand::new(&world.store, 'a');
        hand.settle(0).await;
        let fire_at = world.store.entry(&id(&name)).await.unwrap().unwrap().cursor();
        let between = Self { delay: delay_of(&name), world, hand, name, fire_at };
        between.world.pass(between.fire_at.0 - between.now().await + MINUTE);
        let mut between = between;
        between.hand.settle(0).await;
        between
    }

    async fn now(&self) -> i64 {
        self.world.store.now(0).await.unwrap().0
    }

    async fn go_to(&mut self, at: i64) {
        self.world.pass(at - self.now().await);
        self.hand.settle(0).await;
        self.world.assert_conserved();
    }

    /// Fire times that are active, and those that are not, with what became of them.
    async fn came(&self) -> Vec<(i64, State, Option<Reason>)> {
        let (live, _) = self.world.store.live_runs(0, None).await.unwrap();
        let live = live.iter().map(|run| (run.fire_at.0 - self.fire_at.0, run.state, None));
        let ended = self.world.ended(&self.name).await;
        let ended = ended.iter().map(|run| (run.fire_at.0 - self.fire_at.0, run.state, run.reason));
        let mut all: Vec<_> = live.chain(ended).collect();
        all.sort_by_key(|one| one.0);
        all
    }

    /// The ledger names each fire time once, up to the cursor.
    async fn assert_on_record(&self) {
        let stretches = ledger::read(&self.world.store.ledger(0, &id(&self.name)).await.unwrap()).unwrap();
        let count: u64 = stretches.iter().map(|one| one.count).sum();
        let sum: u64 = stretches.iter().map(|one| one.sum).sum::<u64>() % (1 << 52);
        let wanted: Vec<u64> = (0..count).map(|k| (self.fire_at.0 + k as i64 * 10 * MINUTE).cast_unsigned()).collect();
        assert_eq!(sum, wanted.iter().sum::<u64>() % (1 << 52), "{stretches:#?}");
    }
}

#[tokio::test]
async fn a_fire_time_is_due_after_its_delay_never_earlier_and_keeps_its_name() {
    for schedule in schedules() {
        let mut at = Between::of(&schedule, &json!({})).await;
        assert!(at.came().await.is_empty(), "its fire time has come, and it is not due");
        let (fire_at, due) = (at.fire_at.0, at.fire_at.0 + at.delay);
        at.go_to(due - 1_500).await;
        assert!(at.came().await.is_empty());
        let claim = at.hand.claim(0, 0).await;
        assert_eq!(claim.next_due, Some(Timestamp(due)), "the fleet sleeps until it is due");
        at.go_to(due).await;
        let (runs, _) = at.world.store.live_runs(0, None).await.unwrap();
        assert_eq!((runs.len(), runs[0].fire_at.0, runs[0].due_at.0), (1, fire_at, due));
        assert_eq!(runs[0].trigger, Trigger::Scheduled);
        at.hand.work_off(0).await;
        let run = at.world.ended(&at.name).await.remove(0);
        assert_eq!((run.fire_at.0, run.due_at.0), (fire_at, due));
        assert!(run.started_at.unwrap().0 >= due);
        for _ in 0..20 {
            at.go_to(at.now().await + 5 * MINUTE).await;
            at.hand.work_off(0).await;
        }
        let ended = at.world.ended(&at.name).await;
        assert!(ended.iter().all(|run| run.due_at.0 - run.fire_at.0 == at.delay && run.state == State::Succeeded));
        assert!(distinct(&ended).windows(2).all(|pair| pair[1].0 - pair[0].0 == 10 * MINUTE));
        at.assert_on_record().await;
    }
}

#[tokio::test]
async fn whoever_plans_an_entry_spreads_it_alike() {
    let at = Between::of(&schedules()[1], &json!({})).await;
    let other = open(&at.world.redis.url(), 1).await;
    other.plan(&id(&at.name), Timestamp(at.now().await)).await.unwrap();
    let mut hand = Hand::new(&other, 'b');
    hand.store.refresh_lists(0).await.unwrap();
    assert_eq!(hand.claim(0, 0).await.next_due, Some(Timestamp(at.fire_at.0 + at.delay)));
}

#[tokio::test]
async fn a_message_is_delivered_when_it_is_due() {
    let mut at = Between::of(&schedules()[0], &json!({"shell": null, "list": "out", "overlap": null})).await;
    assert_eq!(at.world.redis.cli(&["LLEN", "out"]), "0");
    at.go_to(at.fire_at.0 + at.delay).await;
    let message: Value = serde_json::from_str(&at.world.redis.cli(&["LPOP", "out"])).unwrap();
    assert_eq!(message["fire_at"], at.fire_at.to_rfc3339());
    let run = at.world.ended(&at.name).await.remove(0);
    assert_eq!((run.fire_at, run.due_at.0), (at.fire_at, at.fire_at.0 + at.delay));
    at.go_to(at.now().await + 10 * MINUTE).await;
    assert_eq!(at.world.redis.cli(&["LLEN", "out"]), "1");
}

#[tokio::test]
async fn late_and_start_within_count_from_when_it_is_due() {
    for schedule in schedules() {
        let more = json!({"start_within": "30s", "catch_up": "none"});
        let mut at = Between::of(&schedule, &more).await;
        at.go_to(at.fire_at.0 + at.delay + 25_000).await;
        assert_eq!(at.came().await, [(0, State::Queued, None)], "25 s late, minutes after its fire time");
        at.go_to(at.fire_at.0 + at.delay + 31_000).await;
        assert_eq!(at.came().await, [(0, State::Missed, Some(Reason::TooLate))]);
        at.go_to(at.fire_at.0 + 10 * MINUTE + at.delay + 61_000).await;
        assert_eq!(at.came().await[1], (10 * MINUTE, State::Missed, Some(Reason::TooLate)));
        at.assert_on_record().await;
        // Without a limit, what is a minute late follows catch_up, and not what is younger.
        let mut at = Between::of(&schedule, &json!({"catch_up": "none"})).await;
        at.go_to(at.fire_at.0 + at.delay + 55_000).await;
        assert_eq!(at.came().await, [(0, State::Queued, None)]);
        at.go_to(at.fire_at.0 + 10 * MINUTE + at.delay + 65_000).await;
        assert_eq!(at.came().await[1], (10 * MINUTE, State::Missed, Some(Reason::TooLate)));
        // A back-log runs what was due, not what is to come.
        let mut at = Between::of(&schedule, &json!({"catch_up": "all"})).await;
        at.go_to(at.fire_at.0 + 40 * MINUTE + at.delay - 5_000).await;
        let stored = at.world.store.entry(&id(&at.name)).await.unwrap().unwrap();
        assert_eq!(at.came().await.len() + stored.back_log.len(), 4);
        at.assert_on_record().await;
    }
}

#[tokio::test]
async fn a_pause_or_removal_in_between_records_the_fire_time_that_has_come() {
    for schedule in schedules() {
        let mut at = Between::of(&schedule, &json!({})).await;
        change(&at.world.store, &at.name, Verb::Pause, json!({})).await;
        assert_eq!(at.came().await, [(0, State::Missed, Some(Reason::Paused))]);
        at.go_to(at.fire_at.0 + 11 * MINUTE).await;
        change(&at.world.store, &at.name, Verb::Resume, json!({})).await;
        at.go_to(at.fire_at.0 + 10 * MINUTE + at.delay).await;
        at.go_to(at.fire_at.0 + 20 * MINUTE + at.delay).await;
        let paused = (10 * MINUTE, State::Skipped, Some(Reason::Paused));
        assert_eq!(at.came().await[1..], [paused, (20 * MINUTE, State::Queued, None)], "it passed in the pause");
        at.assert_on_record().await;

        let mut at = Between::of(&schedule, &json!({})).await;
        change(&at.world.store, &at.name, Verb::Remove, Value::Null).await;
        at.go_to(at.fire_at.0 + at.delay + 1_000).await;
        assert_eq!(at.came().await, [(0, State::Missed, Some(Reason::Removed))]);
        at.assert_on_record().await;
    }
}

#[tokio::test]
async fn a_change_in_between_leaves_the_fire_time_that_has_come_where_the_new_schedule_has_it() {
    for schedule in schedules() {
        let mut at = Between::of(&schedule, &json!({})).await;
        let changed = change(&at.world.store, &at.name, Verb::Put, json!({"note": "x"})).await;
        assert_eq!((changed.next_before, changed.next_after), (Some(at.fire_at), Some(at.fire_at)));
        assert!(at.came().await.is_empty());
        at.go_to(at.fire_at.0 + at.delay).await;
        assert_eq!(at.came().await, [(0, State::Queued, None)]);

        let mut at = Between::of(&schedule, &json!({})).await;
        change(&at.world.store, &at.name, Verb::Put, json!({"spread": null})).await;
        at.go_to(at.now().await + 1_000).await;
        let (state, reason) = (at.came().await[0].1, at.came().await[0].2);
        assert!(state == State::Queued || reason == Some(Reason::Changed), "{state:?} {reason:?}");
        at.assert_on_record().await;

        let mut at = Between::of(&schedule, &json!({})).await;
        change(
            &at.world.store,
            &at.name,
            Verb::Put,
            json!({"every": "1h", "cron": null, "anchor": "2026-01-01T00:00:30Z"}),
        )
        .await;
        assert_eq!(at.came().await, [(0, State::Missed, Some(Reason::Changed))]);
        at.go_to(at.fire_at.0 + at.delay).await;
        assert_eq!(at.came().await.len(), 1, "and it does not fire as well");
    }
}

#[tokio::test]
async fn the_service_leaves_a_fire_time_that_has_come_and_is_not_due_where_it_is() {
    for schedule in schedules() {
        let mut at = Between::of(&schedule, &json!({})).await;
        let service = Service::new(at.world.store.clone());
        let request = Request { id: "r".to_owned(), actor: "ana".to_owned(), reason: None, is_dry_run: false };
        let fields = json!({"note": "x"}).as_object().unwrap().clone();
        let changes = service.set(&request, &id(&at.name), fields, &[]).await.unwrap();
        assert_eq!(changes.changes.len(), 1);
        at.go_to(at.fire_at.0 + at.delay).await;
        assert_eq!(at.came().await, [(0, State::Queued, None)]);
        at.assert_on_record().await;
    }
}

#[tokio::test]
async fn spread_and_a_limit_of_fire_times_hold_together() {
    for schedule in schedules() {
        let mut at = Between::of(&schedule, &json!({"max_fires": 2, "catch_up": "all"})).await;
        at.go_to(at.fire_at.0 + at.delay).await;
        at.go_to(at.fire_at.0 + 50 * MINUTE).await;
        at.go_to(at.now().await + MINUTE).await;
        assert_eq!(at.came().await.len(), 2);
        assert_eq!(at.world.store.entry(&id(&at.name)).await.unwrap().unwrap().place, Some(Place::Finished));
        at.assert_on_record().await;
    }
}
