//! Every check of `doctor` made wrong on a real Redis, and well again by what its line says.

use serde_json::json;
use upbeat::domain::id::QueueName;
use upbeat::domain::node::{NodeInfo, Serves};
use upbeat::domain::zone::Zone;
use upbeat::service::{Check, CheckState, LetterVerb, Letters, RunRef, TriggerOptions};
use upbeat::store::{Claim, ClaimCall, ClaimReply, EndedAs, QueueVerb};

use crate::bed::{Bed, id, request};
use crate::story::Story;
use crate::support::hand::ended;
use crate::support::redis::{Options, RedisServer};
use crate::support::wait::{DEADLINE, wait_for};

const ALL: &[&str] = &["http", "exec", "shell"];

fn node(name: &str, queues: Option<&[&str]>, kinds: &[&str]) -> NodeInfo {
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    NodeInfo {
        node: name.to_owned(),
        incarnation: format!("{name:0>16}"),
        host: "h".to_owned(),
        pid: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: upbeat::domain::timestamp::Timestamp(0),
        state: "live".to_owned(),
        running: 0,
        concurrency: 16,
        serves: Serves { queues: queues.map(owned), kinds: owned(kinds) },
        tzdata: Zone::data_version().to_owned(),
        clock_skew_ms: 0,
        lease_ms: 15_000,
        asked_name: name.to_owned(),
    }
}

impl Bed {
    /// One look of a node that says this of itself and has no free slot.
    async fn beat(&self, info: &NodeInfo) -> Claim {
        let beat = serde_json::to_string(info).unwrap();
        self.store().refresh_lists(0).await.unwrap();
        let call = ClaimCall {
            incarnation: &info.incarnation,
            node: &info.node,
            number: 0,
            lease_ms: 15_000,
            slots: 0,
            batch: 250,
            beat,
            serves: &info.serves,
        };
        match self.store().claim(0, &call).await.unwrap() {
            ClaimReply::Claimed(claim) => *claim,
            other => panic!("{other:?}"),
        }
    }

    async fn check(&self, name: &str) -> Check {
        let page = self.service.doctor().await.unwrap();
        let found = page.checks.iter().find(|check| check.check == name);
        let found = found.unwrap_or_else(|| panic!("no {name}: {page:#?}")).clone();
        assert_eq!(page.ok, page.checks.iter().all(|check| check.state != CheckState::Wrong));
        assert_eq!(found.todo.is_empty(), found.state == CheckState::Ok, "its fix stands there: {found:?}");
        found
    }

    #[track_caller]
    fn type_in(&self, command: &str) {
        type_in(&self.redis, command);
    }
}

/// What a person pastes into redis-cli.
#[track_caller]
fn type_in(redis: &RedisServer, command: &str) {
    let reply = redis.cli(&command.split_whitespace().collect::<Vec<_>>());
    assert!(!reply.to_lowercase().contains("err"), "{command}: {reply}");
}

macro_rules! is {
    ($check:expr, $state:ident, $value:expr) => {{
        let check = $check;
        assert_eq!(check.state, CheckState::$state, "{check:?}");
        assert!(check.value.contains($value), "{check:?}");
        check
    }};
}

#[tokio::test]
async fn a_healthy_namespace_is_all_ok() {
    let bed = Bed::new().await;
    bed.type_in("CONFIG SET appendonly yes");
    bed.type_in("CONFIG SET slowlog-log-slower-than -1");
    bed.add("a", json!({"every": "1h", "exec": ["true"]})).await;
    bed.add("b", json!({"cron": "0 2 * * *", "tz": "Europe/Berlin", "http": "https://example.org"})).await;
    bed.beat(&node("n", None, ALL)).await;
    let page = bed.service.doctor().await.unwrap();
    let not_ok: Vec<&Check> = page.checks.iter().filter(|check| check.state != CheckState::Ok).collect();
    assert!(page.ok && not_ok.is_empty(), "{not_ok:#?}");
    assert!(page.checks.len() >= 20, "{page:#?}");
}

#[tokio::test]
async fn settings_that_lose_schedules_are_named_and_the_line_below_mends_them() {
    let bed = Bed::new().await;
    bed.type_in("CONFIG SET maxmemory-policy allkeys-lru");
    let check = is!(bed.check("eviction").await, Wrong, "allkeys-lru");
    assert_eq!(check.todo, ["CONFIG SET maxmemory-policy noeviction"]);
    bed.type_in(&check.todo[0]);
    is!(bed.check("eviction").await, Ok, "noeviction");

    let check = is!(bed.check("persistence").await, Note, "nothing on disk");
    bed.type_in(&check.todo[0]);
    is!(bed.check("persistence").await, Ok, "AOF, fsync everysec");
    bed.type_in("CONFIG SET appendfsync no");
    let check = is!(bed.check("persistence").await, Note, "fsync when the system likes");
    bed.type_in(&check.todo[0]);
    is!(bed.check("persistence").await, Ok, "AOF, fsync everysec");

    let used: u64 = bed.redis.info("used_memory").parse().unwrap();
    bed.type_in(&format!("CONFIG SET maxmemory {}", used + used / 50));
    let check = is!(bed.check("memory").await, Wrong, "in use");
    bed.type_in(&check.todo[0]);
    is!(bed.check("memory").await, Ok, "in use");
}

#[tokio::test]
async fn keys_that_were_evicted_are_told_of_until_somebody_has_looked() {
    let bed = Bed::new().await;
    bed.type_in("CONFIG SET maxmemory-policy allkeys-random");
    let used: u64 = bed.redis.info("used_memory").parse().unwrap();
    for number in 0..64 {
        bed.redis.cli(&["SET", &format!("other:{number}"), &"x".repeat(20_000)]);
    }
    bed.type_in(&format!("CONFIG SET maxmemory {used}"));
    wait_for("something is evicted", DEADLINE, || bed.redis.info("evicted_keys") != "0");
    bed.type_in("CONFIG SET maxmemory 0");
    bed.type_in("CONFIG SET maxmemory-policy noeviction");
    let check = is!(bed.check("eviction").await, Note, "were evicted before");
    bed.type_in(check.todo.last().unwrap());
    is!(bed.check("eviction").await, Ok, "noeviction");
}

#[tokio::test]
async fn a_snapshot_that_failed_is_wrong_until_one_succeeds() {
    let bed = Bed::new().await;
    let in_the_way = bed.redis.dir().join("dump.rdb");
    std::fs::create_dir(&in_the_way).unwrap();
    std::fs::write(in_the_way.join("x"), "x").unwrap();
    bed.redis.cli(&["BGSAVE"]);
    wait_for("the snapshot fails", DEADLINE, || bed.redis.info("rdb_last_bgsave_status") == "err");
    let check = is!(bed.check("persistence").await, Wrong, "the last snapshot failed");
    std::fs::remove_dir_all(&in_the_way).unwrap();
    type_in(&bed.redis, &check.todo[0]);
    wait_for("a snapshot succeeds", DEADLINE, || bed.redis.info("rdb_last_bgsave_status") == "ok");
    is!(bed.check("persistence").await, Note, "nothing on disk");
}

#[tokio::test]
async fn replicas_and_how_many_writes_wait_for_are_told() {
    let master = RedisServer::start(Options { tcp: true, ..Options::default() });
    let bed = Bed::on(master).await;
    is!(bed.check("replicas").await, Ok, "none");
    let port = bed.redis.tcp_port().to_string();
    let args = ["--replicaof", "127.0.0.1", &port, "--repl-ping-replica-period", "1"].map(str::to_owned).to_vec();
    let mut replica = RedisServer::start(Options { tcp: true, args, ..Options::default() });
    wait_for("the replica is online", DEADLINE, || bed.redis.cli(&["INFO", "replication"]).contains("state=online"));
    let check = is!(bed.check("replicas").await, Note, "writes wait for none");
    bed.type_in(&check.todo[0]);
    is!(bed.check("replicas").await, Ok, "1 must be there");
    replica.kill();
    wait_for("the replica is missed", DEADLINE, || {
        bed.redis.cli(&["INFO", "replication"]).contains("min_slaves_good_slaves:0")
    });
    let check = is!(bed.check("replicas").await, Wrong, "0 of 1");
    bed.type_in(&check.todo[0]);
    is!(bed.check("replicas").await, Ok, "none");
}

#[tokio::test]
async fn what_this_user_may_not_see_is_said_and_the_rest_is_checked() {
    let acl = vec!["ana on >x ~* &* +@all -info -config -slowlog -scan".to_owned()];
    let redis = RedisServer::start(Options { acl, ..Options::default() });
    let bed = Bed::as_user(redis, "ana:x").await;
    bed.beat(&node("n", None, ALL)).await;
    let page = bed.service.doctor().await.unwrap();
    let unseen: Vec<&str> =
        page.checks.iter().filter(|check| check.state == CheckState::Unseen).map(|check| check.check).collect();
    assert_eq!(
        unseen,
        ["redis", "persistence", "eviction", "memory", "replicas", "slow_scripts", "namespaces"],
        "{page:#?}"
    );
    is!(bed.check("rights").await, Wrong, "user ana lacks 1 right");
    for name in unseen {
        let check = bed.check(name).await;
        if check.state == CheckState::Unseen {
            assert!(check.value.starts_with("user ana may not run "), "{check:?}");
            bed.type_in(&check.todo[0]);
        }
        assert_ne!(bed.check(name).await.state, CheckState::Unseen, "{name}");
    }
    is!(bed.check("rights").await, Ok, "user ana may be node, operator, viewer");
}

#[tokio::test]
async fn a_user_who_lacks_rights_is_told_which_and_the_line_below_gives_them() {
    let rights =
        "ana on >x ~upbeat:{test:*}:* ~upbeat:{test}:* +@read +@connection +evalsha_ro +eval_ro +time -hget -zcard";
    let redis = RedisServer::start(Options { acl: vec![rights.to_owned()], ..Options::default() });
    let bed = Bed::as_user(redis, "ana:x").await;
    let page = bed.service.doctor().await.unwrap();
    let check = page.checks.iter().find(|check| check.check == "rights").unwrap();
    is!(check, Wrong, "of a viewer");
    assert!(check.message.contains("hget") && check.message.contains("zcard"), "{check:?}");
    bed.type_in(&check.todo[1]);
    is!(bed.check("rights").await, Ok, "user ana may be viewer");
}

#[tokio::test]
async fn nodes_that_are_missing_unready_lost_or_unlike_are_told() {
    let bed = Bed::new().await;
    is!(bed.check("nodes").await, Note, "no live node");
    bed.add("a", json!({"every": "1h", "exec": ["true"]})).await;
    let check = is!(bed.check("nodes").await, Wrong, "no live node");
    assert_eq!(check.todo, ["upbeat node"]);
    let mut odd = node("n1", None, ALL);
    bed.beat(&odd).await;
    is!(bed.check("nodes").await, Ok, "1 live node");

    odd.state = "unready".to_owned();
    bed.beat(&odd).await;
    is!(bed.check("nodes").await, Wrong, "n1 un-ready");
    odd.state = "live".to_owned();

    odd.clock_skew_ms = -3_600_000;
    odd.version = "0.0.9".to_owned();
    odd.tzdata = "2020a".to_owned();
    bed.beat(&odd).await;
    is!(bed.check("node_clocks").await, Note, "n1 is 1 h behind Redis");
    bed.beat(&odd).await;
    is!(bed.check("versions").await, Ok, "0.0.9");
    bed.beat(&odd).await;
    is!(bed.check("zone_data").await, Note, "nodes have 2020a");
    for (name, value) in [("versions", "0.0.9, 0.1.0"), ("zone_data", "n1 older")] {
        bed.beat(&odd).await;
        bed.beat(&node("n2", None, ALL)).await;
        is!(bed.check(name).await, Note, value);
    }

    bed.shift(60_000);
    bed.beat(&node("n2", None, ALL)).await;
    is!(bed.check("nodes").await, Note, "1 live node; lost within the hour: n1");
    bed.beat(&node("n2", None, ALL)).await;
    is!(bed.check("node_clocks").await, Ok, "within 0 ms");
    bed.shift(3_700_000);
    bed.beat(&node("n2", None, ALL)).await;
    is!(bed.check("nodes").await, Ok, "1 live node");
}

#[tokio::test]
async fn a_queue_that_nobody_serves_is_wrong_until_the_node_of_its_line_is_there() {
    let bed = Bed::new().await;
    bed.beat(&node("n", Some(&["other"]), ALL)).await;
    is!(bed.check("queues").await, Ok, "none yet");
    bed.add("a", json!({"every": "1h", "queue": "batch", "exec": ["true"]})).await;
    let check = is!(bed.check("queues").await, Wrong, "batch:exec: 1 entries, 0 runs wait");
    assert_eq!(check.todo, ["upbeat node --queues batch --allow exec"]);
    bed.beat(&node("m", Some(&["batch"]), &["http"])).await;
    is!(bed.check("queues").await, Wrong, "batch:exec");
    bed.beat(&node("o", Some(&["batch"]), &["http", "exec"])).await;
    is!(bed.check("queues").await, Ok, "all served");
}

#[tokio::test]
async fn a_queue_that_lets_nothing_start_is_told_with_what_waits_until_the_line_below_is_typed() {
    let bed = Bed::new().await;
    let queue = QueueName::parse("queue", "batch").unwrap();
    let limit = QueueVerb::Set { max_running: Some(Some(2)), rate: None };
    let rules = bed.key(0, "queue_rules");
    // A node that was heard of just now, however slow the machine is.
    let queues = async || {
        bed.beat(&node("n", None, ALL)).await;
        bed.check("queues").await
    };
    bed.add("a", json!({"every": "1h", "queue": "batch", "exec": ["true"]})).await;
    bed.service.change_queue(&request(), &queue, limit).await.unwrap();
    is!(queues().await, Ok, "all served");
    bed.service.change_queue(&request(), &queue, QueueVerb::Pause).await.unwrap();
    bed.service.trigger(&request(), &id("a"), TriggerOptions::default()).await.unwrap();
    let check = is!(queues().await, Note, "1 queue lets nothing start, 1 run waits: batch");
    assert!(check.message.starts_with("queue batch is paused by "), "{check:?}");
    assert_eq!(check.todo, ["upbeat queues resume batch"]);
    bed.service.change_queue(&request(), &queue, QueueVerb::Resume).await.unwrap();
    is!(queues().await, Ok, "all served");
    bed.type_in(&format!("HSET {rules} batch {{"));
    let check = is!(queues().await, Wrong, "1 queue lets nothing start, 1 run waits: batch");
    assert_eq!(check.todo, ["upbeat queues set batch --max-running N"]);
    bed.service.change_queue(&request(), &queue, limit).await.unwrap();
    is!(queues().await, Ok, "all served");
}

#[tokio::test]
async fn an_entry_that_is_due_and_not_claimed_is_late_and_then_not() {
    let bed = Bed::new().await;
    bed.beat(&node("n", None, ALL)).await;
    bed.add("a", json!({"every": "10s", "exec": ["true"], "overlap": "allow"})).await;
    is!(bed.check("late").await, Ok, "nothing due waits");
    bed.shift(25_000);
    is!(bed.check("late").await, Note, "a for");
    bed.shift(200_000);
    let check = is!(bed.check("late").await, Wrong, "a for");
    assert_eq!(check.todo, ["upbeat node"], "the node is lost by now: {check:?}");
    is!(bed.check("never_fired").await, Wrong, "1 entry: a");
    crate::pauses::settle(&bed).await;
    is!(bed.check("late").await, Ok, "nothing due waits");
    is!(bed.check("never_fired").await, Ok, "every entry");
}

#[tokio::test]
async fn a_key_that_somebody_else_wrote_is_wrong_stops_no_other_check_and_goes_by_the_line_below() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1h", "exec": ["true"]})).await;
    for (word, name) in [("queue_rules", "nodes"), ("dead", "counts"), ("entries", "counts"), ("live", "runs")] {
        let key = bed.key(0, word);
        bed.redis.cli(&["RENAME", &key, "kept"]);
        bed.type_in(&format!("SET {key} other"));
        let check = is!(bed.check(name).await, Wrong, "can't be read");
        assert_eq!(check.message, format!("{key} holds another type of value than upbeat keeps there"));
        assert!(bed.service.doctor().await.unwrap().checks.iter().any(|check| check.check == "eviction"));
        bed.type_in(&check.todo[0]);
        bed.redis.cli(&["RENAME", "kept", &key]);
        let page = bed.service.doctor().await.unwrap();
        assert!(page.checks.iter().all(|check| check.value != "can't be read"), "{word}: {page:?}");
    }
}

#[tokio::test]
async fn a_plan_that_is_damaged_or_ran_dry_is_wrong_until_a_node_has_planned_it() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "10s", "exec": ["true"]})).await;
    bed.add("b", json!({"cron": "0 2 * * *", "tz": "Europe/Berlin", "exec": ["true"]})).await;
    bed.redis.cli(&["HDEL", &bed.key(0, "plans"), "a"]);
    bed.shift(11_000);
    bed.claim(0).await;
    let check = is!(bed.check("broken").await, Wrong, "1 entry: a");
    assert_eq!(check.todo, ["upbeat node", "upbeat why a"]);
    bed.store().plan(&id("a"), bed.now().await).await.unwrap();
    is!(bed.check("broken").await, Ok, "no entry");

    let due = bed.redis.cli(&["ZSCORE", &bed.key(0, "due"), "b"]);
    bed.redis.cli(&["ZREM", &bed.key(0, "due"), "b"]);
    let at = bed.now().await.0;
    bed.redis.cli(&["ZADD", &bed.key(0, "parked"), &at.to_string(), "b"]);
    is!(bed.check("plans").await, Ok, "1 being written");
    bed.shift(60_000);
    is!(bed.check("plans").await, Wrong, "1 plan ran dry: b");
    bed.store().plan(&id("b"), bed.now().await).await.unwrap();
    is!(bed.check("plans").await, Ok, "none runs dry");
    assert_eq!(bed.redis.cli(&["ZSCORE", &bed.key(0, "due"), "b"]), due);

    bed.redis.cli(&["HSET", &bed.key(0, "entries"), "b", "{}"]);
    is!(bed.check("broken").await, Wrong, "1 entry: b");
}

#[tokio::test]
async fn what_stands_in_two_places_or_none_is_wrong_until_it_is_rebuilt() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1h", "exec": ["true"]})).await;
    is!(bed.check("counts").await, Ok, "1 entries and 0 active runs");
    bed.redis.cli(&["DEL", &bed.key(0, "due")]);
    is!(bed.check("counts").await, Wrong, "1 entries in 0 places");
    bed.store().rebuild(0).await.unwrap();
    is!(bed.check("counts").await, Ok, "1 entries");
    bed.service.trigger(&request(), &id("a"), upbeat::service::TriggerOptions::default()).await.unwrap();
    is!(bed.check("counts").await, Ok, "1 active runs");
    bed.redis.cli(&["DEL", &bed.key(0, "queue:default:exec")]);
    is!(bed.check("counts").await, Wrong, "1 active runs in 0");
    bed.store().rebuild(0).await.unwrap();
    is!(bed.check("counts").await, Ok, "1 active runs");
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_is_wrong() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1h", "exec": ["true"]})).await;
    is!(bed.check("ledgers").await, Ok, "all can be read");
    bed.redis.cli(&["HSET", &bed.key(0, "ledger"), "a", "garbage"]);
    let check = is!(bed.check("ledgers").await, Wrong, "1 ledger can't be read: a");
    assert_eq!(check.todo, ["upbeat audit a"]);
    bed.redis.cli(&["HDEL", &bed.key(0, "ledger"), "a"]);
    is!(bed.check("ledgers").await, Ok, "all can be read");
}

#[tokio::test]
async fn a_clock_that_had_run_ahead_is_wrong_until_it_is_accepted() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1h", "exec": ["true"]})).await;
    bed.shift(3_600_000);
    bed.claim(0).await;
    bed.shift(0);
    let check = is!(bed.check("clock").await, Wrong, "behind what the shard has seen");
    assert_eq!(check.todo.last().unwrap(), "upbeat doctor --accept-clock");
    bed.store().accept_clock(0, true).await.unwrap();
    is!(bed.check("clock").await, Ok, "by Redis");
}

#[tokio::test]
async fn runs_that_fail_and_dead_letters_are_told_until_they_are_retried() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1h", "list": "app:x"})).await;
    bed.redis.cli(&["SET", "app:x", "no list"]);
    let run = async || {
        bed.service.trigger(&request(), &id("a"), upbeat::service::TriggerOptions::default()).await.unwrap();
    };
    is!(bed.check("failing").await, Ok, "no entry");
    is!(bed.check("dead_letters").await, Ok, "none");
    run().await;
    is!(bed.check("failing").await, Note, "the last run of 1 entry: a");
    run().await;
    run().await;
    let check = is!(bed.check("failing").await, Wrong, "a 3 times in a row");
    assert_eq!(check.todo, ["upbeat why a", "upbeat logs a"]);
    let check = is!(bed.check("dead_letters").await, Note, "3, the newest");
    assert_eq!(check.todo[..2], ["upbeat dead ls", "upbeat dead retry --all"]);
    bed.redis.cli(&["DEL", "app:x"]);
    bed.service.change_dead(&request(), LetterVerb::Retry, &Letters::All).await.unwrap();
    is!(bed.check("dead_letters").await, Ok, "none");
    is!(bed.check("failing").await, Ok, "no entry");
}

#[tokio::test]
async fn a_stuck_run_is_wrong_until_it_is_cancelled() {
    let story = Story::at("2026-11-18T12:00").await;
    story.nightly(json!({})).await;
    story.succeed("2026-11-19T02:00", 10).await;
    let run = story.start("2026-11-20T02:00").await;
    story.go("2026-11-20T02:29");
    is!(story.bed.check("stuck").await, Ok, "none");
    story.go("2026-11-20T02:31");
    let check = is!(story.bed.check("stuck").await, Wrong, "1 entry: nightly");
    assert_eq!(check.todo, ["upbeat why nightly", "upbeat cancel nightly"]);
    story.bed.service.cancel(&request(), &RunRef::Latest(id("nightly"))).await.unwrap();
    story.end(ended(&run, EndedAs::Cancelled)).await;
    is!(story.bed.check("stuck").await, Ok, "none");
}

#[tokio::test]
async fn slow_scripts_of_this_namespace_are_told() {
    let bed = Bed::new().await;
    bed.type_in("CONFIG SET slowlog-log-slower-than 0");
    let slow = "local t = redis.call('TIME') local now = t repeat now = redis.call('TIME') until \
                (now[1] - t[1]) * 1000000 + now[2] - t[2] > 8000 return 1";
    // Another namespace's, and one that takes no time, are none of ours.
    bed.redis.cli(&["EVAL", slow, "1", "upbeat:{other:0}:clock"]);
    bed.redis.cli(&["EVAL", "return 1", "1", &bed.key(0, "clock")]);
    bed.type_in("CONFIG SET slowlog-log-slower-than -1");
    is!(bed.check("slow_scripts").await, Ok, "none over 5 ms");
    bed.type_in("CONFIG SET slowlog-log-slower-than 5000");
    bed.redis.cli(&["EVAL", slow, "1", &bed.key(0, "clock")]);
    bed.type_in("CONFIG SET slowlog-log-slower-than -1");
    let check = is!(bed.check("slow_scripts").await, Note, "1 over 5 ms");
    bed.type_in(check.todo.last().unwrap());
    is!(bed.check("slow_scripts").await, Ok, "none over 5 ms");
}

#[tokio::test]
async fn ten_thousand_entries_are_looked_at_and_the_page_says_so() {
    let bed = Bed::new().await;
    let many = "for i = 1, 12000 do redis.call('HSET', KEYS[1], 'e' .. i, '{}') end";
    bed.redis.cli(&["EVAL", many, "1", &bed.key(0, "entries")]);
    bed.redis.cli(&["CONFIG", "RESETSTAT"]);
    let check = is!(bed.check("entries").await, Note, "the first 10000 of 12000 looked at");
    assert_eq!(check.todo, ["upbeat ls --warnings"]);
    let commands: u64 = bed.redis.info("total_commands_processed").parse().unwrap();
    // Pages of 200 entries, a dozen commands each, some with what they call inside.
    assert!(commands < 4_000, "{commands} commands for 10,000 entries");
}
