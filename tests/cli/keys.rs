//! Keys that somebody else wrote, and keys of requests that are taken.

use crate::support::redis::RedisServer;
use crate::{refused, user_of};

#[test]
fn a_key_that_somebody_else_wrote_is_named_with_a_way_out() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1h", "--publish", "c"]);
    for key in ["upbeat:{test:0}:plans", "upbeat:{test:0}:requests", "upbeat:{test:0}:entries"] {
        server.cli(&["RENAME", key, "elsewhere"]);
        server.cli(&["SET", key, "mine"]);
        let (line, hint) = refused(&user, 5, &["set", "a", "--every", "2h"]);
        assert_eq!(line, format!("error: redis: {key} holds another type of value than upbeat keeps there"));
        assert!(hint.contains("TYPE"), "{hint}");
        assert_eq!(user.error(5, &["set", "a", "--every", "2h"])["code"], "corrupt");
        server.cli(&["RENAME", "elsewhere", key]);
    }
    user.ok(&["set", "a", "--every", "2h"]);
}

#[test]
fn a_dry_run_knows_that_a_key_is_taken() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    let once = ["once", "--unique", "k", "--publish", "c"];
    let dry = [&once[..], &["--dry-run"]].concat();
    assert_eq!(user.json(&dry)["is_taken"], false);
    let first = user.json(&once);
    let told = user.json(&dry);
    assert_eq!((&told["is_taken"], &told["run_id"]), (&true.into(), &first["run_id"]));
    let said = user.run(&dry).expect_code(0);
    assert_eq!(said.stdout, "");
    let run = first["run_id"].as_str().unwrap();
    assert_eq!(said.stderr, format!("the key is taken by run {run}: no other one would be made\n"));
    user.ok(&["add", "a", "--every", "1h", "--publish", "c"]);
    let trigger = ["trigger", "a", "--unique", "k"];
    assert_eq!(user.json(&[&trigger[..], &["--dry-run"]].concat())["is_taken"], false, "a key of an entry is its own");
    let run = user.json(&trigger);
    let told = user.json(&[&trigger[..], &["--dry-run"]].concat());
    assert_eq!((&told["is_taken"], &told["run_id"]), (&true.into(), &run["run_id"]));
}
