//! What an entry costs in Redis before its first fire.

use serde_json::{Value, json};
use upbeat::domain::entry::Entry;
use upbeat::domain::timestamp::Timestamp;
use upbeat::store::{AddAnswer, ChangeCall};

use crate::support::entries::addition;
use crate::support::hand::World;

/// Redis' tables of hashes are as full with them as with 1,000,000.
const ENTRIES: usize = 7_750;
/// Entries of a step. The first one is not counted: it brings the script, the connection's buffers and the keys themselves.
const PAGE: usize = 250;
/// What a user wrote of each, JSON, bytes.
const FIELDS_LEN: usize = 95;

/// The fields, made as long as that by a longer command.
fn fields(mut fields: Value) -> Value {
    let length = |fields: &Value| Entry::parse(fields.as_object().unwrap().clone()).unwrap().to_json().len();
    let missing = FIELDS_LEN.checked_sub(length(&fields)).expect("the fields are shorter than that");
    fields["exec"][0] = json!(format!("true{}", "x".repeat(missing)));
    assert_eq!(length(&fields), FIELDS_LEN, "{fields}");
    fields
}

/// What Redis holds for its data, B: not what it holds for its clients, which comes and goes.
fn held(world: &World) -> f64 {
    world.redis.info("used_memory_dataset").parse().unwrap()
}

/// Memory per entry, B. Of the events, which hold 100,000 changes at most, as much counts as at 1,000,000 entries.
async fn bytes_per_entry(wanted: impl Fn(usize) -> Value) -> f64 {
    let world = World::new().await;
    let mut before = 0.0;
    let birth = world.store.reserve_births(0, ENTRIES).await.unwrap();
    for first in (0..ENTRIES).step_by(PAGE) {
        let now = world.store.now(0).await.unwrap();
        let change = |at: usize| {
            let (name, birth) = (format!("bench-{at:06}"), birth + at as u64);
            addition(&world.store, &name, fields(wanted(at)), birth, Timestamp(now.0 / 1_000 * 1_000))
        };
        let changes: Vec<_> = (first..first + PAGE).map(change).collect();
        let request = format!("page-{first}");
        let call = ChangeCall { request: &request, content: "page", changes: &changes, is_dry_run: false };
        assert!(matches!(world.store.add(0, &call, now).await.unwrap(), AddAnswer::Done(_)));
        if first == 0 {
            world.on("DEL", "events", &[]);
            before = held(&world);
        }
    }
    let all = held(&world);
    world.on("DEL", "events", &[]);
    let without_events = held(&world);
    (without_events - before + 0.1 * (all - without_events)) / (ENTRIES - PAGE) as f64
}

#[tokio::test]
async fn an_entry_of_95_bytes_with_an_arithmetic_plan_costs_at_most_450_bytes() {
    let start = "2026-01-01T00:00:00.000Z";
    let bytes = bytes_per_entry(|_| json!({"every": "1h", "start": start, "exec": ["true"]})).await;
    assert!(bytes <= 450.0, "{bytes:.0} B");
}

#[tokio::test]
async fn an_entry_of_95_bytes_with_eight_listed_times_costs_at_most_450_bytes() {
    let bytes = bytes_per_entry(|_| json!({"cron": "0 9 * * *", "tz": "America/New_York", "exec": ["true"]})).await;
    assert!(bytes <= 450.0, "{bytes:.0} B");
}

#[tokio::test]
async fn an_entry_of_95_bytes_whose_next_fire_time_is_its_own_costs_at_most_450_bytes() {
    let by_number = |number: usize| {
        let cron = format!("{} {} * * mon-fri", number % 60, number % 24);
        json!({"cron": cron, "tz": "Europe/Berlin", "exec": ["true"]})
    };
    let bytes = bytes_per_entry(by_number).await;
    assert!(bytes <= 450.0, "{bytes:.0} B");
}
