//! Which namespaces there are, and that a mistyped one is named as unused instead of answered with silence.

use serde_json::json;

use crate::support::cli::Upbeat;
use crate::support::redis::{Options, RedisServer};
use crate::user_of;

#[test]
fn namespaces_are_listed_with_what_they_hold() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    assert_eq!(user.json(&["namespaces"]), json!([]));
    for namespace in ["prod", "staging"] {
        user.ok(&["-n", namespace, "add", "a", "--every", "1h", "--", "true"]);
    }
    user.ok(&["-n", "prod", "add", "b", "--every", "1h", "--", "true"]);
    let found = user.json(&["namespaces"]);
    let found = found.as_array().unwrap();
    let told: Vec<_> =
        found.iter().map(|one| (&one["namespace"], &one["shards"], &one["entries"], &one["live_nodes"])).collect();
    assert_eq!(
        told,
        [(&json!("prod"), &json!(1), &json!(2), &json!(0)), (&json!("staging"), &json!(1), &json!(1), &json!(0))]
    );
    assert!(found.iter().all(|one| one["last_active_at"].as_str().is_some_and(|at| at.ends_with('Z'))), "{found:?}");
    assert_eq!(user.ok(&["-o", "id", "namespaces"]), "prod\nstaging\n");
    assert!(user.ok(&["namespaces"]).starts_with("NAMESPACE"));
}

#[test]
fn an_unused_namespace_is_named_with_the_one_that_is_meant_and_stays_unused() {
    let server = RedisServer::fresh();
    let prod = Upbeat::at(server.url()).namespace("prod");
    prod.ok(&["add", "a", "--every", "1h", "--", "true"]);
    let prd = Upbeat::at(server.url()).namespace("prd");
    let words = "namespace prd is unused; did you mean prod?";
    for args in [&["ls"][..], &["runs"], &["nodes"], &["queues"], &["events"], &["dead"], &["calendars"], &["audit"]] {
        let outcome = prd.run(args).expect_code(0);
        assert!(outcome.stderr.lines().any(|line| line == words), "{args:?}: {}", outcome.stderr);
    }
    for args in [&["show", "a"][..], &["why", "a"], &["next", "a"], &["trigger", "a"], &["rm", "a"], &["runs", "a"]] {
        let outcome = prd.run(args).expect_code(3);
        assert!(outcome.stderr.ends_with(&format!("  {words}\n")), "{args:?}: {}", outcome.stderr);
        assert_eq!(prd.error(3, args)["hint"], json!(words));
    }
    assert_eq!(prd.json(&["ls"]), json!([]));
    assert_eq!(server.keys().iter().filter(|key| key.contains("prd")).count(), 0, "asking opens no namespace");
    let quiet = prd.run(&["-q", "ls"]).expect_code(0);
    assert_eq!(quiet.stderr, "");
    // The first write opens it; from then on an empty answer is one.
    prd.ok(&["add", "b", "--every", "1h", "--", "true"]);
    assert!(!prd.run(&["runs"]).expect_code(0).stderr.contains("unused"));
    assert!(!prd.run(&["show", "a"]).expect_code(3).stderr.contains("unused"));
}

#[test]
fn nobody_looks_through_the_keys_of_redis_on_the_usual_way() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1h", "--", "true"]);
    server.cli(&["CONFIG", "RESETSTAT"]);
    user.ok(&["ls"]);
    user.ok(&["runs"]);
    user.run(&["show", "b"]).expect_code(3);
    assert!(!server.cli(&["INFO", "commandstats"]).contains("cmdstat_scan:"));
    user.ok(&["-n", "tset", "ls"]);
    assert!(server.cli(&["INFO", "commandstats"]).contains("cmdstat_scan:"));
}

#[test]
fn who_may_not_look_through_the_keys_is_told_and_an_unused_namespace_still_is() {
    let acl = vec!["ana on >x ~upbeat:* &* +@all -scan".to_owned()];
    let server = RedisServer::start(Options { acl, ..Options::default() });
    let user = Upbeat::at(server.url().replace("unix://", "unix://ana:x@"));
    let error = user.error(5, &["namespaces"]);
    assert!(error["message"].as_str().unwrap().contains("user ana may not run scan"), "{error}");
    let outcome = user.run(&["ls"]).expect_code(0);
    assert!(outcome.stderr.contains("namespace test is unused\n"), "{}", outcome.stderr);
}
