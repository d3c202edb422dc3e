//! The harness itself: what the other tests rely on must hold before they mean anything.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::proxy::{Fate, Proxy};
use support::redis::{Options, RedisServer};
use support::resp::{Client, Reply};

const BUMP: &str = "-- bump: count one call\n-- KEYS[1] count string calls so far\nreturn redis.call('INCR', KEYS[1])";

#[test]
fn a_durable_server_keeps_what_it_acknowledged_through_a_kill() {
    let mut server = RedisServer::durable();
    assert_eq!(server.cli(&["SET", "kept", "yes"]), "OK");
    server.kill();
    assert!(server.client().is_err(), "a killed server answers nobody");
    server.restart();
    assert_eq!(server.cli(&["GET", "kept"]), "yes");
}

#[test]
fn a_frozen_server_answers_when_it_is_thawed() {
    let server = RedisServer::fresh();
    let mut client = server.client().unwrap();
    server.freeze();
    client.send(&["PING"]).unwrap();
    server.thaw();
    assert_eq!(client.receive().unwrap().text(), "PONG");
}

#[test]
fn a_server_can_listen_by_tcp_and_tls_and_ask_for_a_login() {
    let server = RedisServer::start(Options {
        tcp: true,
        tls: true,
        requirepass: Some("secret".to_owned()),
        acl: vec!["guest on >guest ~guest:* +get".to_owned()],
        ..Options::default()
    });
    assert_eq!(server.cli(&["PING"]), "PONG");
    assert!(server.ca_file().exists());
    let mut stranger = Client::tcp(server.tcp_port()).unwrap();
    assert!(matches!(stranger.ask(&["PING"]).unwrap(), Reply::Error(error) if error.starts_with("NOAUTH")));
    assert_eq!(stranger.ask(&["AUTH", "guest", "guest"]).unwrap().text(), "OK");
    assert!(matches!(stranger.ask(&["GET", "other"]).unwrap(), Reply::Error(error) if error.starts_with("NOPERM")));
}

#[test]
fn a_script_whose_reply_is_cut_has_run_once() {
    let server = RedisServer::fresh();
    let proxy = Proxy::before(&server);
    let mut client = Client::unix(&proxy.socket()).unwrap();
    let sha = client.ask(&["SCRIPT", "LOAD", BUMP]).unwrap().text();

    proxy.meet("bump", 2, Fate::CutReply);
    assert_eq!(client.ask(&["EVALSHA", &sha, "1", "count"]).unwrap().int(), 1);
    assert!(client.ask(&["EVALSHA", &sha, "1", "count"]).is_err(), "the reply must not arrive");

    proxy.wait_hits("bump", 1, Duration::from_secs(5));
    assert_eq!(server.cli(&["GET", "count"]), "2");
    assert_eq!((proxy.seen("bump"), proxy.seen("EVALSHA"), proxy.seen("*")), (2, 2, 3));

    let mut client = Client::unix(&proxy.socket()).unwrap();
    assert_eq!(client.ask(&["EVALSHA", &sha, "1", "count"]).unwrap().int(), 3, "one cut, then all is well again");
}

#[test]
fn a_request_that_is_cut_has_not_run_and_those_before_it_have() {
    let server = RedisServer::fresh();
    let proxy = Proxy::before(&server);
    let mut client = Client::unix(&proxy.socket()).unwrap();
    proxy.meet("INCR", 2, Fate::CutRequest);
    client.send(&["INCR", "count"]).unwrap();
    client.send(&["INCR", "count"]).unwrap();
    proxy.wait_hits("INCR", 1, Duration::from_secs(5));
    support::wait::wait_for("the first has run", Duration::from_secs(5), || server.cli(&["GET", "count"]) == "1");
    while client.receive().is_ok() {}
    assert_eq!(server.cli(&["GET", "count"]), "1");
}

#[test]
fn a_pipeline_gets_the_replies_before_the_one_that_is_cut() {
    let server = RedisServer::fresh();
    let proxy = Proxy::before(&server);
    let mut client = Client::unix(&proxy.socket()).unwrap();
    proxy.meet("INCR", 3, Fate::CutReply);
    for _ in 0..4 {
        client.send(&["INCR", "count"]).unwrap();
    }
    assert_eq!(client.receive().unwrap().int(), 1);
    assert_eq!(client.receive().unwrap().int(), 2);
    assert!(client.receive().is_err());
    support::wait::wait_for("all four have run", Duration::from_secs(5), || server.cli(&["GET", "count"]) == "4");
}

#[test]
fn a_blackhole_holds_everything_back_and_a_refusal_cuts() {
    let server = RedisServer::fresh();
    let proxy = Proxy::before(&server);
    let mut client = Client::unix(&proxy.socket()).unwrap();
    assert_eq!(client.ask(&["PING"]).unwrap().text(), "PONG");
    proxy.blackhole();
    client.send(&["SET", "held", "yes"]).unwrap();
    assert!(server.ask(&["GET", "held"]).is_nil());
    proxy.heal();
    assert_eq!(client.receive().unwrap().text(), "OK");
    proxy.refuse();
    assert!(client.ask(&["PING"]).is_err());
    assert!(Client::unix(&proxy.socket()).unwrap().ask(&["PING"]).is_err());
    proxy.heal();
    assert_eq!(Client::unix(&proxy.socket()).unwrap().ask(&["GET", "held"]).unwrap().text(), "yes");
}

#[test]
fn messages_pass_through_the_proxy() {
    let server = RedisServer::fresh();
    let proxy = Proxy::before(&server);
    let mut client = Client::unix(&proxy.socket()).unwrap();
    client.ask(&["SUBSCRIBE", "news"]).unwrap();
    assert_eq!(server.cli(&["PUBLISH", "news", "hello"]), "1");
    assert_eq!(client.receive().unwrap().list()[2].text(), "hello");
}

#[test]
fn nested_replies_are_read_as_redis_sent_them() {
    let server = RedisServer::fresh();
    let reply = server.ask(&["EVAL", "return {1, {'two', false}, {err = 'MINE own'}}", "0"]);
    let inner = Reply::List(vec![Reply::Text("two".to_owned()), Reply::Nil]);
    assert_eq!(reply, Reply::List(vec![Reply::Int(1), inner, Reply::Error("MINE own".to_owned())]));
    assert_eq!(server.info("loading"), "0");
    assert!(server.keys().is_empty());
}

#[test]
fn nothing_is_left_of_a_test_process_that_is_killed() {
    const VICTIM: &str = "UPBEAT_TEST_VICTIM";
    if std::env::var_os(VICTIM).is_some() {
        let server = RedisServer::fresh();
        println!("socket {}", server.socket().display());
        loop {
            std::thread::park();
        }
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_is_left_of_a_test_process_that_is_killed", "--nocapture"])
        .env(VICTIM, "yes")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    support::guard::watch(&victim);
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let socket = lines.filter_map(|line| Some(line.split_once("socket ")?.1.to_owned())).next().unwrap();
    let socket = std::path::Path::new(&socket);
    assert_eq!(Client::unix(socket).unwrap().ask(&["PING"]).unwrap().text(), "PONG");

    victim.kill().unwrap();
    support::guard::reap(&mut victim);
    support::wait::wait_for("its server is gone", Duration::from_secs(10), || Client::unix(socket).is_err());
    std::fs::remove_dir_all(socket.parent().unwrap()).unwrap();
}
