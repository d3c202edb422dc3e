//! How a shard began: a flush is told from a namespace that people emptied, and all callers are told the same.

use serde_json::{Value, json};
use upbeat::store::{Beginning, BeginningCall, FileNote, Store, Verb};

use crate::support::changes::change;
use crate::support::hand::World;

async fn look(store: &Store, has_seen: bool, note: FileNote<'_>) -> Beginning {
    let name = uuid::Uuid::new_v4().to_string();
    store.beginning(0, &BeginningCall { name: &name, has_seen, file: "jobs", note }).await.unwrap()
}

async fn began_blank(world: &World, has_seen: bool) -> bool {
    look(&world.store, has_seen, FileNote::Nothing).await.is_blank
}

async fn remove(world: &World, name: &str) {
    change(&world.store, name, Verb::Remove, Value::Null).await;
}

#[tokio::test]
async fn a_new_shard_began_blank_and_stays_so_for_everybody() {
    let world = World::new().await;
    let first = look(&world.store, false, FileNote::Nothing).await;
    assert!(first.is_blank && !first.is_open && !first.is_done);
    world.add(&[("a", json!({"every": "1h", "shell": "true"}))]).await;
    let second = look(&world.store, false, FileNote::Nothing).await;
    assert_eq!((second.is_blank, second.name, second.at), (true, first.name, first.at), "it is noted once");
}

#[tokio::test]
async fn a_shard_that_was_used_or_emptied_began_used() {
    let world = World::with(&[("a", json!({"every": "1h", "shell": "true"}))]).await;
    assert!(!began_blank(&world, false).await);
    let world = World::with(&[("a", json!({"every": "1h", "shell": "true"}))]).await;
    remove(&world, "a").await;
    assert!(!began_blank(&world, false).await);
    let world = World::with(&[("a", json!({"every": "1h", "shell": "true"}))]).await;
    world.redis.cli(&[
        "DEL",
        &world.key("entries"),
        &world.key("removed"),
        &world.key("revisions"),
        &world.key("ledger"),
    ]);
    assert!(!began_blank(&world, false).await, "the count of births is a trace, too");
}

#[tokio::test]
async fn a_flush_is_seen_also_where_somebody_was_faster() {
    let world = World::new().await;
    let before = look(&world.store, false, FileNote::Nothing).await;
    world.redis.cli(&["FLUSHALL"]);
    world.add(&[("a", json!({"every": "1h", "shell": "true"}))]).await;
    let after = look(&world.store, true, FileNote::Nothing).await;
    assert!(after.is_blank && after.name != before.name, "who has seen a beginning knows that it is gone");
    world.redis.cli(&["FLUSHALL"]);
    world.add(&[("a", json!({"every": "1h", "shell": "true"}))]).await;
    remove(&world, "a").await;
    assert!(!began_blank(&world, true).await, "somebody removed something already: that is people's doing");
}

#[tokio::test]
async fn what_is_noted_of_a_file_goes_one_way_and_is_an_event_once() {
    let world = World::new().await;
    let of = look(&world.store, false, FileNote::Nothing).await.name;
    let open = look(&world.store, false, FileNote::Open { of: &of }).await;
    assert!(open.is_open && !open.is_done);
    let done = FileNote::Done { of: &of, count: 3, node: "n", shown: "jobs.toml" };
    for note in [done, done, FileNote::Open { of: &of }, FileNote::Nothing] {
        let noted = look(&world.store, false, note).await;
        assert!(noted.is_done && !noted.is_open, "{note:?}");
    }
    let events = world.events("recreated").await;
    assert_eq!(events.len(), 1, "{events:?}");
    let has = |name: &str, value: &str| events[0].contains(&(name.to_owned(), value.to_owned()));
    assert!(has("count", "3") && has("node", "n") && has("message", "jobs.toml"), "{events:?}");
}

#[tokio::test]
async fn what_a_flush_took_while_it_was_put_back_is_not_noted_as_done() {
    let world = World::new().await;
    let of = look(&world.store, false, FileNote::Nothing).await.name;
    look(&world.store, true, FileNote::Open { of: &of }).await;
    world.redis.cli(&["FLUSHALL"]);
    let after = look(&world.store, true, FileNote::Done { of: &of, count: 3, node: "n", shown: "jobs.toml" }).await;
    assert!(after.is_blank && after.name != of && !after.is_done && !after.is_open, "{after:?}");
    assert!(world.events("recreated").await.is_empty());
}

#[tokio::test]
async fn a_key_of_another_type_raises_before_anything_is_noted() {
    let world = World::new().await;
    world.redis.cli(&["SET", &world.key("events"), "text"]);
    let call = BeginningCall { name: "x", has_seen: false, file: "jobs", note: FileNote::Nothing };
    assert!(world.store.beginning(0, &call).await.is_err());
    assert_eq!(world.redis.cli(&["HEXISTS", &world.key("clock"), "begun"]).trim(), "0");
}
