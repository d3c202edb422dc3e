//! The harness itself: what the other tests rely on must hold before they mean anything.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use support::patience::{patiently, too_slow};
use support::proxy::{Fate, Proxy};
use support::redis::{Options, RedisServer};
use support::resp::{Client, Reply};
use support::wait::DEADLINE;

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

    proxy.wait_hits("bump", 1, DEADLINE);
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
    proxy.wait_hits("INCR", 1, DEADLINE);
    support::wait::wait_for("the first has run", DEADLINE, || server.cli(&["GET", "count"]) == "1");
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
    support::wait::wait_for("all four have run", DEADLINE, || server.cli(&["GET", "count"]) == "4");
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
    support::wait::wait_for("its server is gone", DEADLINE, || Client::unix(socket).is_err());
    std::fs::remove_dir_all(socket.parent().unwrap()).unwrap();
}

#[test]
fn a_tls_server_shows_a_certificate_that_its_authority_vouches_for() {
    let server = RedisServer::start(Options { tls: true, ..Options::default() });
    let port: u16 = server.tls_url().rsplit_once(':').unwrap().1.parse().unwrap();
    let ping = |roots: RootCertStore| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let client = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(client, TcpStream::connect(("127.0.0.1", port)).unwrap());
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).map(|()| answer)
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(server.ca_file()).unwrap()).unwrap();
    assert_eq!(&ping(roots).unwrap(), b"+PONG\r\n");
    assert!(ping(RootCertStore::empty()).is_err(), "a stranger's certificate is refused");
}

#[test]
fn the_clock_of_a_program_can_be_wrong() {
    let Some(library) = support::setting("UPBEAT_FAKETIME_LIB") else {
        assert_ne!(std::env::consts::OS, "linux", "no libfaketime: run scripts/setup --test");
        return;
    };
    let seconds = |command: &mut Command| -> i64 {
        let output = command.arg("+%s").output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    };
    let ahead = seconds(Command::new("date").env("LD_PRELOAD", library).env("FAKETIME", "+3600s"));
    let ahead = ahead - seconds(&mut Command::new("date"));
    assert!((3590..=3600).contains(&ahead), "{ahead} s");
}

#[test]
fn a_redis_that_is_too_old_is_at_hand() {
    // Where the package index can't be reached, scripts/setup says that this is left out.
    let Some(program) = support::redis::old_server_program() else { return };
    let server = RedisServer::start(Options { program: Some(program), ..Options::default() });
    assert_eq!(server.info("redis_version"), "6.2.5");
}

#[test]
fn a_scenario_that_was_too_slow_is_played_again() {
    let mut rounds = 0;
    let seen = patiently(|| {
        rounds += 1;
        if rounds < 3 { too_slow("an instant was missed") } else { rounds }
    });
    assert_eq!(seen, 3);
    let always = std::panic::catch_unwind(|| patiently(|| too_slow("an instant was missed")));
    let why = always.unwrap_err().downcast::<String>().unwrap();
    assert!(why.contains("too slow, 3 times") && why.contains("an instant was missed"), "{why}");
}

#[test]
fn a_verdict_on_a_scenario_is_final() {
    let mut rounds = 0;
    let scenario = std::panic::AssertUnwindSafe(|| {
        patiently(|| {
            rounds += 1;
            panic!("a fire time is missing")
        })
    });
    let verdict: Result<(), _> = std::panic::catch_unwind(scenario);
    assert_eq!(*verdict.unwrap_err().downcast::<&str>().unwrap(), "a fire time is missing");
    assert_eq!(rounds, 1, "it is not asked for twice");
}
