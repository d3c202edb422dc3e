//! Every way to reach Redis, and every way in which it refuses: one line that says why, and what endangers schedules.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;

use serde_json::json;
use support::entries::{add_all, id};
use support::redis::{Options, RedisServer, free_port, old_server_program};
use support::wait::{DEADLINE, until};
use upbeat::config::Connection;
use upbeat::domain::id::Namespace;
use upbeat::error::{Error, Result};
use upbeat::store::{Output, Store};

async fn open(url: &str, ca: Option<PathBuf>) -> Result<Store> {
    Store::open(Connection::parse(url, ca).unwrap(), Namespace::parse("namespace", "test").unwrap()).await
}

/// The whole way: an entry is written and read.
async fn works(url: &str, ca: Option<PathBuf>) -> Store {
    let store = open(url, ca).await.unwrap();
    add_all(&store, &[("a", json!({"every": "1h", "shell": "true"}))]).await;
    assert!(store.entry(&id("a")).await.unwrap().is_some());
    assert!(!store.shown().contains("secret"), "{}", store.shown());
    store
}

/// Why it is refused; one line, without the password.
async fn refusal(url: &str, ca: Option<PathBuf>) -> String {
    let refused = open(url, ca).await.err().expect("it must be refused");
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
    assert_eq!(refused.exit_code(), 5);
    let line = refused.to_string();
    assert!(!line.contains('\n') && !line.contains("secret"), "{line}");
    line
}

#[track_caller]
fn says(line: &str, words: &str) {
    assert!(line.contains(words), "{line:?} does not say {words:?}");
}

#[tokio::test]
async fn a_unix_socket_and_a_port_reach_the_same_server() {
    let redis = RedisServer::start(Options { tcp: true, ..Options::default() });
    works(&redis.url(), None).await;
    let store = open(&redis.tcp_url(), None).await.unwrap();
    assert!(store.entry(&id("a")).await.unwrap().is_some());
    let store = open(&redis.url().replace("unix:", "redis+unix:"), None).await.unwrap();
    assert!(store.entry(&id("a")).await.unwrap().is_some());
}

#[tokio::test]
async fn the_password_of_the_default_user_logs_in() {
    let redis = RedisServer::start(Options { tcp: true, requirepass: Some("secret".to_owned()), ..Options::default() });
    let place = redis.tcp_url().replace("redis://", "");
    works(&format!("redis://:secret@{place}"), None).await;
    says(&refusal(&redis.tcp_url(), None).await, "login refused");
    says(&refusal(&format!("redis://:secret2@{place}"), None).await, "login refused");
    let socket = redis.url().replace("unix://", "");
    assert!(open(&format!("unix://:secret@{socket}"), None).await.is_ok());
}

#[tokio::test]
async fn a_user_of_the_acl_logs_in_with_name_and_password() {
    let acl = vec!["ana on >secret ~upbeat:* &upbeat:* +@all".to_owned()];
    let redis = RedisServer::start(Options { tcp: true, acl, ..Options::default() });
    let place = redis.tcp_url().replace("redis://", "");
    works(&format!("redis://ana:secret@{place}"), None).await;
    says(&refusal(&format!("redis://ana:wrong@{place}"), None).await, "login refused");
    says(&refusal(&format!("redis://bob:secret@{place}"), None).await, "login refused");
}

#[tokio::test]
async fn the_number_of_a_database_is_obeyed_by_port_and_by_socket() {
    let redis = RedisServer::start(Options { tcp: true, ..Options::default() });
    works(&format!("{}/3", redis.tcp_url()), None).await;
    let mut client = redis.client().unwrap();
    assert_eq!(client.ask(&["DBSIZE"]).unwrap().int(), 0, "nothing in database 0");
    client.ask(&["SELECT", "3"]).unwrap();
    assert!(client.ask(&["DBSIZE"]).unwrap().int() > 0);
    let store = open(&format!("{}?db=3", redis.url()), None).await.unwrap();
    assert!(store.entry(&id("a")).await.unwrap().is_some());
    refusal(&format!("{}/99", redis.tcp_url()), None).await;
}

#[tokio::test]
async fn the_database_is_kept_over_a_reconnect() {
    let redis = RedisServer::start(Options { tcp: true, ..Options::default() });
    let store = works(&format!("{}/3", redis.tcp_url()), None).await;
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let target = id("a");
    until("connected again", DEADLINE, async || store.entry(&target).await.is_ok()).await;
    assert!(store.entry(&target).await.unwrap().is_some());
}

#[tokio::test]
async fn tls_believes_the_authority_that_is_named() {
    let redis = RedisServer::start(Options { tls: true, ..Options::default() });
    works(&redis.tls_url(), Some(redis.ca_file())).await;
}

#[tokio::test]
async fn tls_believes_no_other_authority() {
    let redis = RedisServer::start(Options { tls: true, ..Options::default() });
    let foreign = RedisServer::start(Options { tls: true, ..Options::default() });
    for ca in [Some(foreign.ca_file()), None] {
        let line = refusal(&redis.tls_url(), ca).await;
        assert!(line.to_lowercase().contains("certificate"), "{line}");
    }
}

#[tokio::test]
async fn a_file_of_authorities_that_is_not_there_or_holds_none_is_named() {
    let redis = RedisServer::start(Options { tls: true, ..Options::default() });
    for file in [redis.dir().join("nowhere.pem"), redis.dir().join("redis.log")] {
        let refused = open(&redis.tls_url(), Some(file.clone())).await.err().unwrap();
        assert!(matches!(refused, Error::Invalid(_)), "{refused:?}");
        says(&refused.to_string(), &file.display().to_string());
    }
}

#[tokio::test]
async fn a_name_that_the_certificate_does_not_hold_is_refused() {
    let redis = RedisServer::start(Options { tls: true, ..Options::default() });
    let other = redis.tls_url().replace("localhost", "127.0.0.2");
    let line = refusal(&other, Some(redis.ca_file())).await;
    assert!(line.contains("127.0.0.2"), "{line}");
}

#[tokio::test]
async fn a_replica_is_refused_because_it_is_read_only() {
    let redis = RedisServer::start(Options { tcp: true, ..Options::default() });
    let port = redis.tcp_port().to_string();
    let args = ["--replicaof", "127.0.0.1", &port].map(str::to_owned).to_vec();
    let replica = RedisServer::start(Options { args, ..Options::default() });
    until("the link is up", DEADLINE, async || replica.info("master_link_status") == "up").await;
    says(&refusal(&replica.url(), None).await, "read-only replica");
}

#[tokio::test]
async fn a_master_that_becomes_a_replica_is_an_error_that_says_so() {
    let redis = RedisServer::start(Options { tcp: true, ..Options::default() });
    let store = works(&redis.url(), None).await;
    redis.cli(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
    let refused = store.renew(0, "0123456789abcdef", 15_000).await.err().unwrap();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
    says(&refused.to_string(), "read-only replica");
}

#[tokio::test]
async fn a_full_memory_is_an_error_that_says_so() {
    let redis = RedisServer::fresh();
    let store = works(&redis.url(), None).await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "1000"]);
    let refused = store.reserve_births(0, 1).await.err().unwrap();
    says(&refused.to_string(), "memory is full");
    let refused = store.keep_output(0, "x", 1, &Output { written: 1, tail: b"y".to_vec() }).await.err().unwrap();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
    says(&refused.to_string(), "memory is full");
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused_with_its_version() {
    // Where the package index can't be reached, scripts/setup says that this is left out.
    let Some(program) = old_server_program() else { return };
    let redis = RedisServer::start(Options { program: Some(program), ..Options::default() });
    let line = refusal(&redis.url(), None).await;
    says(&line, "6.2.5 is too old");
    says(&line, "7.0");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let line = refusal(&url, None).await;
    says(&line, "can't be reached");
    says(&line, &url);
    says(&refusal("unix:///nowhere/redis.sock", None).await, "can't be reached");
    says(&refusal("redis://no-such-host.invalid:6379", None).await, "no-such-host.invalid");
}

#[tokio::test]
async fn something_that_is_no_redis_is_refused() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
        }
    });
    let line = refusal(&format!("redis://127.0.0.1:{port}"), None).await;
    assert!(line.contains("no answer") || line.contains("can't be reached"), "{line}");
    silent.abort();
}

async fn warnings(options: Options, login: &str) -> Vec<String> {
    let redis = RedisServer::start(options);
    let url = redis.url().replace("unix://", &format!("unix://{login}"));
    let report = open(&url, None).await.unwrap().report().await.unwrap();
    assert!(report.warnings.iter().all(|line| !line.contains('\n')));
    report.warnings
}

#[tokio::test]
async fn a_server_that_keeps_everything_gives_no_warning() {
    assert_eq!(warnings(Options { aof: true, ..Options::default() }, "").await, Vec::<String>::new());
}

#[tokio::test]
async fn eviction_is_warned_of_with_the_way_out() {
    let args = ["--maxmemory-policy", "allkeys-lru"].map(str::to_owned).to_vec();
    let warnings = warnings(Options { aof: true, args, ..Options::default() }, "").await;
    assert_eq!(warnings.len(), 1);
    says(&warnings[0], "allkeys-lru");
    says(&warnings[0], "set maxmemory-policy noeviction");
}

#[tokio::test]
async fn a_server_that_keeps_nothing_on_disk_is_warned_of() {
    let nothing = warnings(Options::default(), "").await;
    assert_eq!(nothing.len(), 1);
    says(&nothing[0], "a restart loses all schedules; set appendonly yes");
    let args = ["--save", "3600", "1"].map(str::to_owned).to_vec();
    says(&warnings(Options { args, ..Options::default() }, "").await[0], "snapshots only");
}

#[tokio::test]
async fn a_user_who_may_not_ask_for_settings_gets_a_warning_and_works() {
    let acl = vec!["ana on >secret ~upbeat:* &upbeat:* +@all -config -info".to_owned()];
    let warnings = warnings(Options { aof: true, acl, ..Options::default() }, "ana:secret@").await;
    assert!(warnings.iter().any(|line| line.contains("CONFIG GET is not permitted")), "{warnings:?}");
    assert!(warnings.iter().any(|line| line.contains("INFO is not permitted")), "{warnings:?}");
}

#[tokio::test]
async fn a_user_without_rights_to_the_keys_is_told_that_the_acl_is_too_narrow() {
    let acl = vec!["ana on >secret ~other:* &* +@all".to_owned()];
    let redis = RedisServer::start(Options { acl, ..Options::default() });
    let url = redis.url().replace("unix://", "unix://ana:secret@");
    let refused = open(&url, None).await.err().unwrap();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
    let line = refused.to_string();
    assert!(line.contains("not permitted") || line.contains("ACL"), "{line}");
}
