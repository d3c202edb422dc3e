//! What happened, as one list: its order, who asked, what follows it sees, and that every type is documented.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use upbeat::domain::event::EventType;
use upbeat::domain::node::{NodeInfo, Serves};
use upbeat::domain::timestamp::Timestamp;
use upbeat::service::{
    BackfillRange, EventFilter, EventView, FollowEvents, LetterVerb, Letters, Request, RunFilter, RunRef, Said,
    Service, TriggerOptions,
};
use upbeat::store::{ClaimCall, ClaimReply, EndedAs, FinishWord, NextAttempt, Store};

use crate::bed::{Bed, id, request};
use crate::support::hand::{Hand, ended};
use crate::support::wait::DEADLINE;

/// Events about an entry, the oldest first.
async fn life(service: &Service, name: &str) -> Vec<EventView> {
    all(service, EventFilter { entry: Some(id(name)), ..EventFilter::default() }).await
}

/// Events that match, the oldest first.
async fn all(service: &Service, filter: EventFilter) -> Vec<EventView> {
    let mut events = service.events(&filter).await.unwrap().events;
    events.reverse();
    events
}

fn of(types: &[EventType]) -> EventFilter {
    EventFilter { types: types.to_vec(), ..EventFilter::default() }
}

fn words(events: &[EventView]) -> Vec<&'static str> {
    events.iter().map(|event| event.kind).collect()
}

fn every(span: &str) -> Value {
    json!({"every": span, "shell": "true", "overlap": "allow"})
}

#[tokio::test]
async fn a_whole_life_stands_in_one_order_with_runs_that_can_be_found() {
    let bed = Bed::new().await;
    bed.add("a", every("10s")).await;
    let mut hand = Hand::new(bed.store(), 'a');
    bed.shift(10_000);
    hand.settle(0).await;
    let run = hand.fetch(1).await.remove(0);
    hand.finish(&run, EndedAs::Failed).await;
    bed.set("a", json!({"note": "x", "overlap": "skip"})).await;
    bed.pause("a").await;
    bed.shift(30_000);
    hand.settle(0).await;
    bed.resume("a").await;
    bed.shift(40_000);
    hand.settle(0).await;
    bed.shift(50_000);
    hand.settle(0).await;
    bed.remove("a").await;
    let life = life(&bed.service, "a").await;
    let expected = [
        "added", "fired", "started", "finished", "changed", "paused", "resumed", "skipped", "fired", "skipped",
        "removed", "finished",
    ];
    assert_eq!(words(&life), expected, "{life:#?}");
    assert!(life.windows(2).all(|pair| pair[0].at <= pair[1].at), "{life:#?}");
    let run_id = Some(run.run.run_id.clone());
    assert!(life[1..4].iter().all(|event| event.run_id == run_id));
    assert_eq!((life[2].attempt, life[2].node.as_deref()), (Some(1), Some("hand")));
    assert_eq!((life[3].state, life[3].reason.as_deref()), (Some("failed"), Some("exit")));
    assert_eq!((life[4].fields.join(","), life[4].revision), ("overlap,note".to_owned(), Some(2)));
    assert_eq!((life[7].reason.as_deref(), life[7].fires), (Some("paused"), Some(2)));
    assert_eq!(life[9].reason.as_deref(), Some("overlap"));
    assert_eq!((life[11].state, life[11].reason.as_deref()), (Some("cancelled"), Some("entry_removed")));
    for event in life.iter().filter(|event| event.run_id.is_some()) {
        let found = bed.service.run(&RunRef::Id(event.run_id.clone().unwrap())).await.unwrap();
        assert_eq!(Some(found.entry_id), event.entry_id);
    }
    let outage = all(&bed.service, of(&[EventType::Outage])).await;
    assert!(!outage.is_empty() && outage.iter().all(|event| event.from < event.until), "{outage:?}");
}

#[tokio::test]
async fn what_people_ask_says_who_and_why() {
    let bed = Bed::new().await;
    let asked = || Request { reason: Some("INC-1: see there".to_owned()), ..request() };
    let service = &bed.service;
    bed.add("a", json!({"cron": "* * * * *", "shell": "true", "catch_up": "none"})).await;
    service.skip(&asked(), &id("a"), None, false).await.unwrap();
    service.skip(&request(), &id("a"), None, true).await.unwrap();
    let run = service.trigger(&asked(), &id("a"), TriggerOptions::default()).await.unwrap();
    service.cancel(&asked(), &RunRef::Id(run.run.run_id.clone())).await.unwrap();
    service.pause(&asked(), &[id("a")]).await.unwrap();
    let people = life(service, "a").await;
    let expected = ["added", "skip_asked", "skip_undone", "triggered", "cancel_asked", "finished", "paused"];
    assert_eq!(words(&people), expected, "{people:#?}");
    let by_people = people.iter().filter(|event| event.kind != "finished");
    assert!(by_people.clone().all(|event| event.actor.as_deref() == Some("ana")), "{people:#?}");
    let reasons: Vec<Option<&str>> = by_people.map(|event| event.reason.as_deref()).collect();
    let why = Some("INC-1: see there");
    assert_eq!(reasons, [None, why, None, why, why, why]);
    assert!(people[1].from.is_some() && people[1].from == people[2].from);
    assert_eq!(people[3].run_id.as_ref(), Some(&run.run.run_id));
    bed.remove("a").await;
    assert_eq!(life(service, "a").await.last().map(|event| event.kind), Some("removed"));
}

#[tokio::test]
async fn attempts_that_failed_and_what_became_of_dead_letters_are_told() {
    let bed = Bed::new().await;
    let retry = json!({"max_attempts": 2, "delay": "10s", "jitter": 0});
    bed.add("a", json!({"every": "1h", "shell": "true", "retry": retry})).await;
    let mut hand = Hand::new(bed.store(), 'a');
    bed.service.trigger(&request(), &id("a"), TriggerOptions::default()).await.unwrap();
    let run = hand.fetch(1).await.remove(0);
    let mut first = ended(&run, EndedAs::Failed);
    first.next = Some(NextAttempt { wait_ms: 10_000, left_ms: None });
    hand.work(0, 0, &[first]).await;
    bed.shift(10_001);
    hand.settle(0).await;
    let again = hand.fetch(1).await.remove(0);
    assert_eq!(hand.finish(&again, EndedAs::Failed).await, FinishWord::Finished);
    bed.service.retry(&request(), &RunRef::Latest(id("a"))).await.unwrap();
    let reopened = hand.fetch(1).await.remove(0);
    hand.finish(&reopened, EndedAs::Failed).await;
    let verb = LetterVerb::Purge;
    bed.service.change_dead(&request(), verb, &Letters::All).await.unwrap();
    let life = life(&bed.service, "a").await;
    let expected =
        ["added", "triggered", "started", "retried", "started", "finished", "retry_asked", "started", "finished"];
    assert_eq!(words(&life), expected, "{life:#?}");
    assert_eq!((life[3].attempt, life[3].reason.as_deref()), (Some(1), Some("exit")));
    assert_eq!(life[3].until.map(|at| at.0.0 - life[3].at.0.0), Some(10_000));
    assert_eq!(life.iter().filter_map(|event| event.attempt).collect::<Vec<_>>(), [1, 1, 2, 3]);
    let purged = all(&bed.service, of(&[EventType::Purged])).await;
    assert_eq!((purged[0].count, purged[0].actor.as_deref()), (Some(1), Some("ana")));
}

#[tokio::test]
async fn past_fire_times_messages_and_calendars_are_told() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "10s", "shell": "true", "catch_up": "none", "overlap": "allow"})).await;
    bed.add("m", json!({"every": "10s", "list": "out"})).await;
    let begun = Timestamp(bed.now().await.0 + 1);
    bed.shift(120_000);
    bed.claim(0).await;
    let (from, to) = (Said::from(begun), Said::from(Timestamp(begun.0 + 30_000)));
    let range = BackfillRange { from, to, is_again: false };
    bed.service.backfill(&request(), &id("a"), &range).await.unwrap();
    let asked = life(&bed.service, "a").await.into_iter().find(|event| event.kind == "backfilled").unwrap();
    assert_eq!((asked.count, asked.actor.as_deref()), (Some(3), Some("ana")));
    assert!(asked.from.unwrap().0 > begun && asked.until.unwrap().0.0 <= begun.0 + 30_000);
    bed.shift(121_000);
    bed.claim(0).await;
    let backfill = EventFilter { entry: Some(id("a")), ..of(&[EventType::Fired]) };
    let fired = all(&bed.service, backfill).await;
    assert_eq!(fired.last().and_then(|event| event.trigger), Some("backfill"), "{fired:?}");
    let delivered = life(&bed.service, "m").await;
    assert_eq!(words(&delivered), ["added", "missed", "finished"], "nothing is in between: {delivered:#?}");
    assert!(delivered[1].fires > Some(1) && delivered[1].reason.as_deref() == Some("superseded"));
    assert_eq!((delivered[2].state, delivered[2].reason.as_deref()), (Some("succeeded"), Some("delivered")));

    let dates = upbeat::domain::calendar::Calendar::of_list("dates", &json!(["2026-12-25"])).unwrap();
    let name = upbeat::domain::id::CalendarName::parse("calendar", "xmas").unwrap();
    bed.service.put_calendar(&request(), &name, &dates).await.unwrap();
    bed.service.remove_calendar(&request(), &name).await.unwrap();
    let calendars = all(&bed.service, of(&[EventType::CalendarChanged, EventType::CalendarRemoved])).await;
    assert_eq!(words(&calendars), ["calendar_changed", "calendar_removed"]);
    assert!(calendars.iter().all(|event| event.message.as_deref() == Some("xmas") && event.actor.is_some()));
}

/// A claim with a beat, as a node sends it.
async fn beat(store: &Store, shard: u16, letter: char, state: &str) {
    let serves = Serves { queues: None, kinds: vec!["shell".to_owned()] };
    let incarnation = letter.to_string().repeat(16);
    let info = NodeInfo {
        node: format!("node-{letter}"),
        incarnation: incarnation.clone(),
        host: "h".to_owned(),
        pid: 1,
        version: "1".to_owned(),
        started_at: Timestamp(1),
        state: state.to_owned(),
        running: 0,
        concurrency: 1,
        serves: serves.clone(),
        tzdata: "2026b".to_owned(),
        clock_skew_ms: 0,
        lease_ms: 15_000,
        asked_name: "n".to_owned(),
    };
    let call = ClaimCall {
        incarnation: &incarnation,
        node: &info.node,
        number: 0,
        lease_ms: 15_000,
        slots: 0,
        batch: 250,
        beat: serde_json::to_string(&info).unwrap(),
        serves: &serves,
    };
    assert!(matches!(store.claim(shard, &call).await.unwrap(), ClaimReply::Claimed(_)));
}

#[tokio::test]
async fn nodes_come_and_go_once_however_many_shards_there_are() {
    let bed = Bed::with_shards(2).await;
    let beats = async |letter: char, state: &str| {
        beat(bed.store(), 0, letter, state).await;
        beat(bed.store(), 1, letter, state).await;
    };
    beats('a', "live").await;
    beats('b', "live").await;
    beats('a', "live").await;
    beats('a', "draining").await;
    beats('a', "draining").await;
    for shard in 0..2 {
        assert!(bed.store().leave(shard, &"a".repeat(16)).await.unwrap());
    }
    beats('c', "live").await;
    // `c` goes on claiming, `b` is silent.
    for step in 1..=5 {
        bed.shift(step * 4_000);
        beats('c', "live").await;
    }
    let nodes = all(&bed.service, EventFilter::default()).await;
    let said: Vec<(&str, &str)> = nodes.iter().map(|event| (event.kind, event.node.as_deref().unwrap_or(""))).collect();
    let expected = [
        ("node_joined", "node-a"),
        ("node_joined", "node-b"),
        ("node_draining", "node-a"),
        ("node_left", "node-a"),
        ("node_joined", "node-c"),
        ("node_lost", "node-b"),
    ];
    assert_eq!(said, expected, "{nodes:#?}");
}

#[tokio::test]
async fn who_follows_sees_in_order_what_others_do_from_then_on() {
    let bed = Bed::with_shards(2).await;
    bed.add("before", every("10s")).await;
    let mut follow = FollowEvents::start(bed.another().await, EventFilter::default()).await.unwrap();
    for name in ["a", "b", "c", "d"] {
        bed.add(name, every("10s")).await;
    }
    let mut hands = [Hand::new(bed.store(), 'a'), Hand::new(bed.store(), 'b')];
    bed.shift(10_000);
    for (shard, hand) in hands.iter_mut().enumerate() {
        hand.settle(shard as u16).await;
        hand.work_off(shard as u16).await;
    }
    bed.remove("a").await;
    // What happens at this very instant is told when it has passed.
    bed.pass(1_000).await;
    let seen = async {
        let mut seen: Vec<EventView> = Vec::new();
        while seen.last().is_none_or(|event| event.kind != "removed") {
            seen.extend(follow.next().await.unwrap());
        }
        seen
    };
    let seen = tokio::time::timeout(DEADLINE, seen).await.expect("it is told");
    let listed = all(&bed.service, EventFilter::default()).await;
    assert_eq!(seen, listed[1..], "the same, but for what was before");
    assert_eq!(seen.iter().filter(|event| event.kind == "finished").count(), 5);
    let missing = EventFilter { entry: Some(id("nobody")), ..EventFilter::default() };
    let refused = FollowEvents::start(bed.another().await, missing.clone()).await.err().unwrap();
    assert_eq!(refused.exit_code(), 3);
    assert_eq!(bed.service.events(&missing).await.unwrap_err().exit_code(), 3);
}

#[tokio::test]
async fn filters_of_events_hold_and_nothing_is_left_out_unsaid() {
    let bed = Bed::new().await;
    bed.add("a", every("10s")).await;
    bed.add("b", every("10s")).await;
    let mut hand = Hand::new(bed.store(), 'a');
    let mut middle = Timestamp(0);
    for step in 1..=30 {
        bed.shift(step * 10_000);
        hand.settle(0).await;
        hand.work_off(0).await;
        if step == 15 {
            middle = bed.now().await;
            bed.shift(step * 10_000 + 1);
        }
    }
    let count = async |filter: EventFilter| bed.service.events(&filter).await.unwrap().events.len();
    assert_eq!(count(of(&[EventType::Fired])).await, 60);
    let of_a = EventFilter { entry: Some(id("a")), ..of(&[EventType::Fired, EventType::Finished]) };
    assert_eq!(count(of_a.clone()).await, 60);
    let since = EventFilter { since: Some(Timestamp(middle.0 + 1)), ..of_a.clone() };
    assert_eq!(count(since).await, 30);
    assert_eq!(count(EventFilter { until: Some(middle), ..of_a.clone() }).await, 30);
    let newest = bed.service.events(&EventFilter { limit: Some(3), ..of_a.clone() }).await.unwrap();
    assert_eq!(newest.events, bed.service.events(&of_a).await.unwrap().events[..3]);
    assert!(newest.found > 3 || !newest.is_all);
    let exact = bed.service.events(&EventFilter { limit: Some(60), ..of_a }).await.unwrap();
    assert_eq!((exact.events.len(), exact.found, exact.is_all), (60, 60, true));
    let ended = of(&[EventType::Finished, EventType::Missed, EventType::Skipped]);
    let runs = bed.service.runs(&RunFilter::default()).await.unwrap().runs;
    let told: BTreeSet<Option<String>> = all(&bed.service, ended).await.into_iter().map(|event| event.run_id).collect();
    assert_eq!(told, runs.into_iter().map(|run| Some(run.run_id)).collect());
}

#[tokio::test]
async fn an_entry_that_breaks_and_is_mended_says_so() {
    let bed = Bed::new().await;
    bed.add("a", every("10s")).await;
    bed.redis.cli(&["HSET", &bed.key(0, "plans"), "a", "x"]);
    let mut hand = Hand::new(bed.store(), 'a');
    bed.shift(10_000);
    hand.settle(0).await;
    bed.redis.cli(&["DEL", &bed.key(0, "due")]);
    bed.store().rebuild(0).await.unwrap();
    let said = words(&all(&bed.service, EventFilter::default()).await);
    let told: BTreeSet<&str> = said.into_iter().collect();
    assert!(["broken", "mended", "rebuilt"].iter().all(|word| told.contains(word)), "{told:?}");
}

#[test]
fn every_type_that_a_script_writes_is_in_the_table_and_every_one_there_is_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lua");
    let files = [root.clone(), root.join("parts")].into_iter().flat_map(|dir| std::fs::read_dir(dir).unwrap());
    let files = files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "lua"));
    let text: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let known: BTreeSet<&str> = EventType::ALL.iter().map(|kind| kind.word()).collect();
    // Lines that stand for events of several types.
    let batches = BTreeSet::from(["changes", "ended"]);
    // The texts behind `'type',`, but for those that something is compared with: `verb == 'undo' and 'x' or 'y'`.
    let mut written = BTreeSet::new();
    for (at, field) in text.match_indices("'type', ") {
        let value = text[at + field.len()..].split([',', ')', '}']).next().unwrap();
        let words = value.split(' ').collect::<Vec<_>>();
        let is_meant = |at: usize| at == 0 || words[at - 1] != "==";
        let meant = (0..words.len()).filter(|at| is_meant(*at)).map(|at| words[at]);
        written.extend(meant.filter_map(|word| word.strip_prefix('\'')?.strip_suffix('\'')));
    }
    let unknown: Vec<&&str> = written.difference(&known).filter(|word| !batches.contains(*word)).collect();
    assert!(unknown.is_empty(), "{unknown:?} are written and not in the table");
    let of_batches = ["added", "changed", "paused", "resumed", "removed", "fired", "retried", "started"];
    assert!(of_batches.iter().all(|word| text.contains(&format!("'{word}'"))));
    let of_states = ["finished", "missed", "skipped"];
    let unwritten = known.iter().filter(|word| !written.contains(*word));
    let unwritten: Vec<&&str> =
        unwritten.filter(|word| !of_batches.contains(word) && !of_states.contains(word)).collect();
    assert!(unwritten.is_empty(), "{unwritten:?} are in the table and nobody writes them");
}
