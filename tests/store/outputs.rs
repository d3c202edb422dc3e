//! What attempts have written: kept apart, bounded in all, and shown to who watches.

use serde_json::json;
use upbeat::domain::span::Span;
use upbeat::store::{EndedAs, OUTPUTS_MAX_BYTES, Output, Started, Watch};

use crate::support::hand::{Hand, World};

/// What each output counts beside its text.
const EACH_BYTES: usize = 160;

fn output(text: &str) -> Output {
    Output { written: text.len() as u64, tail: text.as_bytes().to_vec() }
}

/// What the shard's counter must say.
fn counted(world: &World) -> usize {
    let texts = world.redis.ask(&["HVALS", &world.key("outputs")]);
    texts.list().iter().map(|text| text.text().len() + EACH_BYTES).sum()
}

#[track_caller]
fn assert_counted(world: &World) {
    assert_eq!(world.on("HGET", "clock", &["output_bytes"]), counted(world).to_string());
    assert_eq!(world.on("LLEN", "output_order", &[]), world.on("HLEN", "outputs", &[]));
}

#[tokio::test]
async fn each_attempts_output_is_kept_apart_and_counted_once() {
    let world = World::new().await;
    let (one, other) = (output("first"), Output { written: 100_000, tail: vec![b'x'; 65_536] });
    for _ in 0..2 {
        world.store.keep_output(0, "run", 1, &one).await.unwrap();
        world.store.keep_output(0, "run", 2, &other).await.unwrap();
        world.store.keep_output(0, "other", 1, &output("else")).await.unwrap();
        assert_counted(&world);
    }
    assert_eq!(world.store.output(0, "run", 1).await.unwrap(), Some(one));
    let kept = world.store.output(0, "run", 2).await.unwrap().unwrap();
    assert!(kept == other && kept.is_cut());
    assert_eq!(world.store.output(0, "run", 3).await.unwrap(), None);
}

#[tokio::test]
async fn what_was_sent_earlier_and_comes_later_changes_nothing() {
    let world = World::new().await;
    for text in ["so far", "so far and so on", "so far", "so far and so"] {
        world.store.keep_output(0, "run", 1, &output(text)).await.unwrap();
        assert_counted(&world);
    }
    assert_eq!(world.store.output(0, "run", 1).await.unwrap(), Some(output("so far and so on")));
}

#[tokio::test]
async fn the_oldest_outputs_make_room_when_the_shard_is_full() {
    let world = World::new().await;
    for number in 0..6 {
        world.store.keep_output(0, &format!("run{number}"), 1, &output(&"x".repeat(1000))).await.unwrap();
    }
    // It grows in its place: the oldest stays the oldest.
    world.store.keep_output(0, "run0", 1, &output(&"x".repeat(5000))).await.unwrap();
    let room = OUTPUTS_MAX_BYTES - i64::try_from(counted(&world)).unwrap();
    world.on("HINCRBY", "clock", &["output_bytes", &room.to_string()]);
    world.store.keep_output(0, "run5", 1, &output(&"y".repeat(1000))).await.unwrap();
    assert_eq!(world.on("HLEN", "outputs", &[]), "6", "just full");
    world.store.keep_output(0, "run6", 1, &output("one more")).await.unwrap();
    let kept = world.on("HKEYS", "outputs", &[]);
    assert_eq!(kept.lines().count(), 6);
    assert!(!kept.contains("run0:1") && kept.contains("run1:1") && kept.contains("run6:1"), "{kept}");
    let bytes: i64 = world.on("HGET", "clock", &["output_bytes"]).parse().unwrap();
    assert_eq!(bytes - room, i64::try_from(counted(&world)).unwrap());
}

#[tokio::test]
async fn outputs_whose_order_is_lost_go_and_the_count_begins_anew() {
    for lost in ["output_order", "outputs"] {
        let world = World::new().await;
        world.store.keep_output(0, "a", 1, &output("first")).await.unwrap();
        world.store.keep_output(0, "b", 1, &output("second")).await.unwrap();
        world.on("DEL", lost, &[]);
        world.store.keep_output(0, "b", 1, &output("second and more")).await.unwrap();
        assert_counted(&world);
        assert_eq!(world.on("HLEN", "outputs", &[]), "1", "without {lost}");
    }
}

/// A run that `hand` executes.
async fn running(world: &World) -> (Hand, Started, String) {
    let mut hand = Hand::new(&world.store, 'a');
    world.pass(10_000);
    hand.settle(0).await;
    let run = hand.fetch(1).await.remove(0);
    let run_id = run.run.run_id.clone();
    (hand, run, run_id)
}

#[tokio::test]
async fn who_holds_a_run_is_told_that_it_is_watched_as_long_as_somebody_follows() {
    let world = World::with(&[("a", json!({"every": "10s", "shell": "true", "overlap": "allow"}))]).await;
    let (mut hand, run, run_id) = running(&world).await;
    let incarnation = hand.incarnation.clone();
    let renewed = async || world.store.renew(0, &incarnation, 15_000).await.unwrap().watched;
    let ends = || world.on("HGET", "watched", &[&run_id]);
    assert_eq!(renewed().await, []);
    assert_eq!(world.on("EXISTS", "watched", &[]), "0", "nothing is kept of runs that nobody watches");
    let watch = Watch { run_id: &run_id, attempt: 1, known: 0, is_news: false };
    world.store.watch(0, &watch).await.unwrap();
    let told = renewed().await;
    assert!(told.len() == 1 && told[0].0 == run_id && told[0].1 <= Span(10_000) && told[0].1 > Span(0), "{told:?}");
    let first = ends();
    world.store.watch(0, &watch).await.unwrap();
    assert_eq!(ends(), first, "most of its time is left: nothing is written");
    world.pass(6_000);
    world.store.watch(0, &watch).await.unwrap();
    assert!(ends() > first);
    assert!(world.on("PTTL", "watched", &[]).parse::<i64>().unwrap() > 10_000, "it goes by itself");
    world.pass(10_000);
    assert_eq!(renewed().await, [], "nobody follows any more");
    hand.finish(&run, EndedAs::Succeeded).await;
    world.on("DEL", "watched", &[]);
    let told = world.store.watch(0, &watch).await.unwrap();
    assert!(told.live.is_none());
    assert_eq!(world.on("EXISTS", "watched", &[]), "0", "a run that has ended is not watched");
}

#[tokio::test]
async fn who_follows_gets_only_what_is_new_and_learns_what_was_lost_in_between() {
    let world = World::with(&[("a", json!({"every": "10s", "shell": "true"}))]).await;
    let (_, _, run_id) = running(&world).await;
    let look = async |attempt, known| {
        let watch = Watch { run_id: &run_id, attempt, known, is_news: false };
        let told = world.store.watch(0, &watch).await.unwrap();
        assert_eq!(told.live.unwrap().run_id, run_id);
        (told.written, String::from_utf8(told.new).unwrap())
    };
    assert_eq!(look(1, 0).await, (0, String::new()));
    world.store.keep_output(0, &run_id, 1, &output("one\ntwo\n")).await.unwrap();
    assert_eq!(look(1, 0).await, (8, "one\ntwo\n".to_owned()));
    assert_eq!(look(1, 4).await, (8, "two\n".to_owned()));
    assert_eq!(look(1, 8).await, (8, String::new()));
    assert_eq!(look(2, 0).await, (0, String::new()), "another attempt");
    let tail = Output { written: 1_000, tail: b"the end\n".to_vec() };
    world.store.keep_output(0, &run_id, 1, &tail).await.unwrap();
    assert_eq!(look(1, 8).await, (1_000, "the end\n".to_owned()));
    assert_eq!(look(1, 996).await, (1_000, "end\n".to_owned()));
}

#[tokio::test]
async fn so_many_runs_can_be_watched_and_those_that_nobody_follows_any_more_make_room() {
    let world = World::with(&[("a", json!({"every": "10s", "shell": "true"}))]).await;
    let (_, _, run_id) = running(&world).await;
    let now = world.store.now(0).await.unwrap().0;
    let fill = |until: i64| {
        let pairs: Vec<String> = (0..1000).flat_map(|number| [format!("run{number}"), until.to_string()]).collect();
        let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
        world.on("HSET", "watched", &pairs);
    };
    let watch = Watch { run_id: &run_id, attempt: 1, known: 0, is_news: false };
    fill(now + 60_000);
    let refused = world.store.watch(0, &watch).await.unwrap_err();
    assert_eq!((refused.exit_code(), refused.problem().field.as_deref()), (4, Some("follow")));
    fill(now - 1);
    world.store.watch(0, &watch).await.unwrap();
    assert_eq!(world.on("HLEN", "watched", &[]), "1");
}
