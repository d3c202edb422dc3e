//! The clock that scripts read, in debug builds: moved by the test, or standing until the test lets time pass.

use upbeat::domain::timestamp::Timestamp;

use super::redis::RedisServer;

/// Time goes on, so much ahead of Redis' own clock or behind it, in every shard of the namespace `test`.
pub fn shift(redis: &RedisServer, shards: u16, ms: i64) {
    set(redis, shards, "test_shift", ms);
}

/// Time stands at this instant in every shard of the namespace `test`, however long the machine takes.
pub fn stand(redis: &RedisServer, shards: u16, at: Timestamp) {
    set(redis, shards, "test_now", at.0);
}

/// Nodes look at once: what the test has made due is no news to them otherwise.
pub fn nudge(redis: &RedisServer) {
    redis.cli(&["PUBLISH", "upbeat:{test}:nudge", "due"]);
}

/// The last whole second of Redis' own clock.
pub fn whole_second(redis: &RedisServer) -> Timestamp {
    let time = redis.ask(&["TIME"]).list()[0].text();
    Timestamp(time.parse::<i64>().expect("Redis tells seconds") * 1_000)
}

fn set(redis: &RedisServer, shards: u16, field: &str, ms: i64) {
    for shard in 0..shards {
        redis.cli(&["HSET", &format!("upbeat:{{test:{shard}}}:clock"), field, &ms.to_string()]);
    }
}
