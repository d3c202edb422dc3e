//! revisions, rollback and conflicts as a user types and reads them.

use serde_json::{Value, json};

use crate::support::redis::RedisServer;
use crate::user_of;

#[test]
fn revisions_are_listed_newest_first_with_who_why_and_what() {
    let server = RedisServer::fresh();
    let user = user_of(&server).env("UPBEAT_ACTOR", "ana@laptop");
    user.ok(&["add", "report", "--cron", "0 9 * * *", "--tz", "Asia/Shanghai", "--shell", "x"]);
    user.ok(&["set", "report", "--timeout", "1h", "--reason", "it hung", "--actor", "ci"]);
    user.ok(&["pause", "report", "--reason", "INC-1"]);
    user.ok(&["resume", "report"]);
    user.ok(&["set", "report", "--unset", "timeout", "--note", "a note"]);
    let found = user.json(&["revisions", "report"]);
    let said: Vec<(u64, &str)> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["revision"].as_u64().unwrap(), one["change"].as_str().unwrap()))
        .collect();
    assert_eq!(said, [(5, "changed"), (4, "resumed"), (3, "paused"), (2, "changed"), (1, "added")]);
    assert_eq!(
        found[0]["fields"],
        json!([{"field": "timeout", "old": "1h", "new": null}, {"field": "note", "old": null, "new": "a note"}])
    );
    assert_eq!((&found[3]["actor"], &found[3]["reason"]), (&json!("ci"), &json!("it hung")));
    assert_eq!((&found[2]["reason"], &found[0]["reason"]), (&json!("INC-1"), &Value::Null));
    assert_eq!(found[4]["entry"]["cron"], "0 9 * * *");
    let table = user.ok(&["revisions", "report"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("REVISION  WHEN") && lines[0].ends_with("REASON"), "{table}");
    assert!(lines[1].contains("changed: timeout 1h -> none, note none -> \"a note\""), "{table}");
    assert!(
        lines[2].ends_with("  resumed") && lines[3].contains("  paused  ") && lines[3].ends_with("  INC-1"),
        "{table}"
    );
    assert!(lines[4].contains(" ci ") && lines[4].contains(" changed: timeout none -> 1h "), "{table}");
    assert!(lines[4].ends_with("  it hung"), "{table}");
    assert!(
        lines[5].starts_with("1 ") && lines[5].contains(" CST ") && lines[5].ends_with("  ana@laptop  added"),
        "{table}"
    );
    assert_eq!(user.ok(&["revisions", "report", "-o", "id"]), "5\n4\n3\n2\n1\n");
    assert_eq!(user.ok(&["revisions", "report", "-o", "jsonl"]).lines().count(), 5);
}

#[test]
fn revisions_of_a_removed_entry_stay_and_a_rollback_of_it_says_the_way_out() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--every", "1h", "--shell", "x"]);
    user.ok(&["rm", "a", "--reason", "gone", "--actor", "ops"]);
    let found = user.json(&["revisions", "a"]);
    assert_eq!(
        (&found[0]["change"], &found[0]["reason"], &found[0]["entry"]),
        (&json!("removed"), &json!("gone"), &Value::Null)
    );
    let error = user.error(3, &["rollback", "a", "--to", "1"]);
    assert!(error["message"].as_str().unwrap().starts_with("a was removed by ops on 20"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("upbeat add"), "{error}");
    user.ok(&["add", "a", "--every", "2h", "--shell", "y"]);
    let found = user.json(&["revisions", "a"]);
    assert_eq!((&found[0]["change"], &found[0]["revision"]), (&json!("added"), &json!(3)));
    assert_eq!(
        user.error(3, &["rollback", "a", "--to", "2"])["message"],
        "revision 2 of a is its removal: it has no fields"
    );
    user.ok(&["rollback", "a", "--to", "1"]);
    assert_eq!(user.json(&["show", "a"])["entry"]["every"], "1h");
    assert_eq!(user.error(3, &["revisions", "nobody"])["code"], "not_found");
}

#[test]
fn a_rollback_is_a_new_revision_and_says_so() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--cron", "0 9 * * *", "--shell", "x"]);
    user.ok(&["set", "a", "--timeout", "1h"]);
    let dry = user.json(&["rollback", "a", "--to", "1", "--dry-run"]);
    assert_eq!((&dry["changes"][0]["change"], &dry["changes"][0]["fields"]), (&json!("changed"), &json!(["timeout"])));
    assert_eq!(user.json(&["show", "a"])["revision"], 2);
    assert!(user.ok(&["rollback", "a", "--to", "1"]).starts_with("rolled back a · revision 3"));
    let newest = &user.json(&["revisions", "a"])[0];
    assert_eq!(
        (&newest["change"], &newest["restored"], &newest["reason"]),
        (&json!("rolled_back"), &json!(1), &json!("rollback to revision 1"))
    );
    assert!(user.ok(&["revisions", "a"]).contains("rolled back to 1: timeout 1h -> none"));
    assert_eq!(user.json(&["rollback", "a", "--to", "3"])["changes"][0]["change"], "unchanged");
    let error = user.error(3, &["rollback", "a", "--to", "9"]);
    assert_eq!((&error["field"], &error["message"]), (&json!("to"), &json!("revision 9 of a is not kept")));
    assert_eq!(error["hint"], "kept are 1 to 3; upbeat revisions a shows them");
    assert_eq!(user.error(2, &["rollback", "a"])["code"], "invalid");
    assert_eq!(user.error(2, &["rollback", "a", "--to", "0"])["field"], "to");
}

#[test]
fn who_comes_second_sees_both_sides_and_the_way_out() {
    let server = RedisServer::fresh();
    let user = user_of(&server);
    user.ok(&["add", "a", "--cron", "0 9 * * *", "--timeout", "30m", "--shell", "x"]);
    user.ok(&["set", "a", "--timeout", "10m", "--actor", "ci@runner", "--reason", "INC-7"]);
    user.ok(&["pause", "a", "--actor", "bob"]);
    let args = ["set", "a", "--timeout", "1h", "--if-revision", "1"];
    let error = user.error(4, &args);
    assert_eq!((&error["code"], &error["value"]), (&json!("conflict"), &json!("a")));
    assert_eq!(error["message"], "a was changed meanwhile from revision 1 to revision 3");
    assert_eq!(
        error["yours"],
        json!({"change": "changed", "fields": [{"field": "timeout", "old": "10m", "new": "1h"}]})
    );
    let theirs = &error["theirs"];
    assert_eq!(
        (&theirs[0]["revision"], &theirs[0]["change"], &theirs[0]["actor"]),
        (&json!(3), &json!("paused"), &json!("bob"))
    );
    assert_eq!(
        (&theirs[1]["reason"], &theirs[1]["fields"]),
        (&json!("INC-7"), &json!([{"field": "timeout", "old": "30m", "new": "10m"}]))
    );
    let outcome = user.run(&args).expect_code(4);
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    assert_eq!(lines[0], "error: entry: a was changed meanwhile from revision 1 to revision 3");
    assert_eq!(lines[1], "  yours   changed: timeout 10m -> 1h");
    assert!(lines[2].starts_with("  theirs  revision 2, changed by ci@runner on 20"), "{lines:?}");
    assert!(lines[2].ends_with(" (\"INC-7\"): timeout 30m -> 10m"), "{lines:?}");
    assert!(lines[3].starts_with("  theirs  revision 3, paused by bob on 20"), "{lines:?}");
    assert_eq!(lines[4], "  look at it, upbeat show a, and ask again: it is at revision 3");
    assert_eq!(user.json(&["show", "a"])["revision"], 3, "nothing was changed");
    for verb in [&["rm", "a"][..], &["pause", "a"], &["resume", "a"], &["rollback", "a", "--to", "1"]] {
        let error = user.error(4, &[verb, &["--if-revision", "2"]].concat());
        assert_eq!(error["theirs"][0]["change"], "paused", "{verb:?}");
    }
    let ahead = user.error(4, &["set", "a", "--timeout", "1h", "--if-revision", "9"]);
    assert_eq!(ahead["message"], "a is at revision 3, and never was at 9");
    user.ok(&["resume", "a", "--if-revision", "3"]);
    user.ok(&["set", "a", "--timeout", "1h", "--if-revision", "4"]);
    assert_eq!(user.error(2, &["pause", "--all", "-y", "--if-revision", "4"])["field"], "if-revision");
}
