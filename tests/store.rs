//! The steps of the race, one by one, against a real Redis.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::json;
use support::entries::{add_all, open};
use support::redis::RedisServer;
use upbeat::domain::node::Serves;
use upbeat::store::{Claim, ClaimCall, ClaimReply, Store};

fn serves() -> Serves {
    Serves { queues: None, kinds: vec!["exec".to_owned(), "shell".to_owned(), "http".to_owned()] }
}

async fn claim(store: &Store, shard: u16, slots: usize, number: u64) -> ClaimReply {
    let serves = serves();
    store.refresh_lists(shard).await.unwrap();
    let call = ClaimCall {
        incarnation: "0123456789abcdef",
        node: "n",
        number,
        lease_ms: 15_000,
        slots,
        batch: 250,
        beat: "{}".to_owned(),
        serves: &serves,
    };
    store.claim(shard, &call).await.unwrap()
}

fn claimed(reply: ClaimReply) -> Claim {
    match reply {
        ClaimReply::Claimed(claim) => *claim,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_due_entry_is_claimed_once() {
    let redis = RedisServer::fresh();
    let store = open(&redis.url(), 1).await;
    add_all(
        &store,
        &[
            ("a", json!({"every": "1s", "exec": ["true"]})),
            ("b", json!({"cron": "*/2 * * * * *", "tz": "Europe/Berlin", "list": "out"})),
            ("c", json!({"at": "2030-01-01T00:00:00Z", "shell": "true"})),
        ],
    )
    .await;
    let first = claimed(claim(&store, 0, 0, 0).await);
    assert_eq!(first.claimed, 0);
    println!("{first:?}");
    redis.cli(&["HSET", "upbeat:{test:0}:clock", "test_shift", "3000"]);
    let second = claimed(claim(&store, 0, 0, 0).await);
    println!("{second:?}");
    let third = claimed(claim(&store, 0, 4, 1).await);
    println!("{third:?}");
    redis.cli(&["HSET", "upbeat:{test:0}:clock", "test_shift", "4000"]);
    let third = claimed(claim(&store, 0, 4, 2).await);
    println!("{third:?}");
    redis.cli(&["HSET", "upbeat:{test:0}:clock", "test_shift", "94000"]);
    let third = claimed(claim(&store, 0, 4, 3).await);
    println!("{third:?}");
    for key in redis.keys() {
        println!("{key}");
    }
    println!("{}", redis.cli(&["LRANGE", "out", "0", "-1"]));
}
