//! The same request gets the same answer, as a user repeats it.

use crate::support::redis::RedisServer;
use crate::user_of;

#[test]
fn a_repeated_removal_is_answered_as_the_first_time() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    for id in ["a", "b"] {
        user.ok(&["add", id, "--every", "1h", "--", "true"]);
    }
    let rm = ["rm", "b", "a", "--request-id", "r"];
    let removed = user.json(&rm);
    assert_eq!(removed["changes"][1]["change"], "removed");
    assert_eq!(user.json(&rm), removed);
    assert_eq!(user.error(3, &["rm", "a"])["code"], "not_found");
    assert_eq!(user.error(4, &["rm", "a", "--request-id", "r"])["field"], "request-id");
}

#[test]
fn a_repeated_cancel_is_answered_as_the_first_time() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1h", "--overlap", "allow", "--", "true"]);
    user.ok(&["trigger", "a"]);
    let cancel = ["cancel", "a", "--request-id", "r"];
    let first = user.json(&cancel);
    assert_eq!(first["state"], "cancelled");
    user.ok(&["trigger", "a"]);
    assert_eq!(user.json(&cancel), first);
    let by_id = ["cancel", first["run_id"].as_str().unwrap()];
    assert_eq!(user.error(4, &by_id)["code"], "conflict");
}
