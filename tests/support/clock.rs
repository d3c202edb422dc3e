//! The clock that scripts read, in debug builds: moved by the test, or standing until the test lets time pass.

use upbeat::domain::timestamp::Timestamp;

use super::redis::RedisServer;

/// Time goes on, so much ahead of Redis' own clock or behind it, in every shard of a namespace.
pub fn shift(redis: &RedisServer, namespace: &str, shards: u16, ms: i64) {
    set(redis, namespace, shards, "test_shift", ms);
}

/// Time stands at this instant in every shard of the namespace `test`, however long the machine takes:
/// each script takes 1 us.
pub fn stand(redis: &RedisServer, shards: u16, at: Timestamp) {
    set(redis, "test", shards, "test_now", at.0);
    set(redis, "test", shards, "test_passed", 0);
}

/// As [`shift`], and every node looks at once: what the test has made due is no news to it otherwise.
pub fn jump(redis: &RedisServer, namespace: &str, shards: u16, ms: i64) {
    shift(redis, namespace, shards, ms);
    redis.cli(&["PUBLISH", &format!("upbeat:{{{namespace}}}:nudge"), "due"]);
}

/// The last whole second of Redis' own clock.
pub fn whole_second(redis: &RedisServer) -> Timestamp {
    Timestamp(redis.now_ms() / 1_000 * 1_000)
}

fn set(redis: &RedisServer, namespace: &str, shards: u16, field: &str, value: i64) {
    for shard in 0..shards {
        redis.cli(&["HSET", &format!("upbeat:{{{namespace}:{shard}}}:clock"), field, &value.to_string()]);
    }
}
