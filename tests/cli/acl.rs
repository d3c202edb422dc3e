//! The users that `acl` prints, each at work under its own rights: enough for all that its role does, and for nothing else.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::cli::Upbeat;
use crate::support::node::{NodeOptions, node};
use crate::support::redis::RedisServer;
use crate::support::wait::{DEADLINE, wait_for};
use crate::user_of;

/// A server with the three users of namespace `test`, their password in no line.
struct Bed {
    server: RedisServer,
    /// The default user, who may do everything.
    root: Upbeat,
}

impl Bed {
    fn new() -> Self {
        // Who keeps nothing on disk is asked about its settings, which no role may see.
        let server = RedisServer::durable();
        let root = user_of(&server);
        root.file("password", "geheim\n");
        let lines =
            root.ok(&["acl", "--targets", "app:*", "--targets", "celery-task-meta-*", "--password-file", "password"]);
        assert_eq!(lines.lines().count(), 3);
        assert!(!lines.contains("geheim"), "{lines}");
        for line in lines.lines() {
            assert_eq!(server.cli(&line.split_whitespace().collect::<Vec<_>>()), "OK", "{line}");
        }
        Self { server, root }
    }

    fn url(&self, role: &str) -> String {
        self.server.url().replace("unix://", &format!("unix://upbeat-test-{role}:geheim@"))
    }

    fn role(&self, role: &str) -> Upbeat {
        Upbeat::at(self.url(role))
    }

    fn node(&self, name: &str) -> NodeOptions {
        node(name, self.url("node"))
    }

    /// Nobody was refused anything since the last time.
    #[track_caller]
    fn nothing_was_refused(&self) {
        let log = self.server.cli(&["ACL", "LOG"]);
        assert_eq!(log.trim(), "", "refused");
    }

    /// Everything under upbeat's keys, as it stands.
    fn everything(&self) -> BTreeMap<String, String> {
        let dump = |key: String| {
            let text = self.server.cli(&["DUMP", &key]);
            (key, text)
        };
        self.server.keys().into_iter().map(dump).collect()
    }

    /// How often each command ran since `CONFIG RESETSTAT`.
    fn calls(&self) -> BTreeMap<String, u64> {
        self.server.calls()
    }

    /// Rights of the role that nothing of what just ran has used.
    fn unused(&self, role: &str, calls: &BTreeMap<String, u64>) -> Vec<String> {
        self.rights(role).into_iter().filter(|command| calls.get(command).is_none_or(|calls| *calls == 0)).collect()
    }

    fn rights(&self, role: &str) -> Vec<String> {
        let users = self.root.json(&["acl", "--user", role]);
        let rules = users["users"][0]["rules"].as_array().unwrap().clone();
        rules.iter().filter_map(|rule| rule.as_str().unwrap().strip_prefix('+').map(str::to_owned)).collect()
    }
}

/// Rights that these walks don't use: a script has them for what happens rarely, as its text shows.
const RARE_OF_OPERATORS: [&str; 5] = ["pexpire", "sadd", "smembers", "xrange", "xtrim"];
const RARE_OF_NODES: [&str; 5] = ["hexists", "lpos", "lrem", "unlink", "zrangebylex"];

/// Each of these ends well.
#[track_caller]
fn walk(bed: &Bed, user: &Upbeat, commands: &[&[&str]]) {
    for args in commands {
        let outcome = user.run(args);
        assert_eq!(outcome.code, Some(0), "{args:?}: {}\n{}", outcome.stderr, bed.server.cli(&["ACL", "LOG", "1"]));
    }
}

#[test]
fn the_lines_are_for_pasting_and_tell_no_secret() {
    let user = Upbeat::at("redis://127.0.0.1:1").namespace("prod");
    let lines = user.ok(&["acl"]);
    let names: Vec<&str> = lines.lines().map(|line| line.split_whitespace().nth(2).unwrap()).collect();
    assert_eq!(names, ["upbeat-prod-node", "upbeat-prod-operator", "upbeat-prod-viewer"]);
    assert!(lines.lines().all(|line| line.starts_with("ACL SETUSER ") && line.contains(" reset on >PASSWORD ")));
    assert!(lines.lines().all(|line| line.contains("~upbeat:{prod:*}:* ") && !line.contains("app:")), "{lines}");
    let file = user.ok(&["acl", "--acl-file", "--user", "viewer=eve", "--targets", "app:*"]);
    assert!(file.starts_with("user eve reset on >PASSWORD %R~upbeat:{prod:*}:* "), "{file}");
    assert!(!file.contains("app:"), "who only reads writes to no target: {file}");
    let users = user.json(&["acl", "--user", "node", "--targets", "app:*"]);
    let node = &users["users"][0];
    assert_eq!((&node["role"], &node["name"]), (&"node".into(), &"upbeat-prod-node".into()));
    assert!(node["rules"].as_array().unwrap().last().unwrap().as_str().unwrap().starts_with("(~app:* &app:* +llen"));
    assert_eq!(user.ok(&["-o", "id", "acl", "--user", "node=w"]), "w\n");
    assert_eq!(user.ok(&["-o", "jsonl", "acl"]).lines().count(), 3);
    for bad in [&["acl", "--user", "admin"][..], &["acl", "--targets", "up*"], &["acl", "--password-file", "none"]] {
        assert_eq!(user.error(2, bad)["code"], "invalid", "{bad:?}");
    }
}

#[test]
fn a_file_of_users_is_one_that_redis_reads() {
    let bed = Bed::new();
    let lines = bed.root.ok(&["acl", "--acl-file", "--targets", "app:*", "--targets", "jobs"]);
    let file = bed.server.dir().join("users.acl");
    std::fs::write(&file, format!("user default on nopass ~* &* +@all\n{lines}")).unwrap();
    let args = ["--aclfile".to_owned(), file.display().to_string()].to_vec();
    let other = RedisServer::start(crate::support::redis::Options { args, ..Default::default() });
    assert!(other.cli(&["ACL", "USERS"]).contains("upbeat-test-node"));
}

#[test]
fn a_viewer_reads_everything_and_can_change_nothing() {
    let bed = Bed::new();
    let root = &bed.root;
    root.file("holidays.txt", "2026-12-25\n");
    root.ok(&["calendars", "put", "holidays", "-f", "holidays.txt"]);
    root.ok(&["add", "tick", "--every", "1s", "--overlap", "allow", "--", "echo", "hello"]);
    root.ok(&["add", "broken", "--every", "1s", "--list", "app:text"]);
    root.ok(&["add", "later", "--cron", "0 2 * * *", "--exclude", "holidays", "--", "true"]);
    root.ok(&["set", "later", "--timeout", "1m"]);
    root.ok(&["queues", "set", "default", "--max-running", "9", "--rate", "1000/1s"]);
    bed.server.cli(&["SET", "app:text", "no list"]);
    let mut node = node("n", bed.server.url()).start();
    wait_for("it ran and failed", DEADLINE, || {
        let has = |args: &[&str]| !root.json(args).as_array().unwrap().is_empty();
        has(&["runs", "tick", "--state", "succeeded"]) && has(&["dead", "ls"])
    });
    root.ok(&["pause", "tick", "broken"]);
    node.sigterm();
    node.wait_end(DEADLINE);
    let waiting = root.json(&["trigger", "later"])["run_id"].as_str().unwrap().to_owned();
    let done = root.json(&["runs", "tick", "--state", "succeeded"])[0]["run_id"].as_str().unwrap().to_owned();
    let dead = root.json(&["dead", "ls"])[0]["run_id"].as_str().unwrap().to_owned();
    let before = bed.everything();
    bed.server.cli(&["ACL", "LOG", "RESET"]);
    bed.server.cli(&["CONFIG", "RESETSTAT"]);
    // Scripts that nobody has loaded yet are sent whole.
    bed.server.cli(&["SCRIPT", "FLUSH"]);

    let viewer = bed.role("viewer");
    viewer.file(
        "file.toml",
        "[entries.new]\nevery = \"1h\"\nexec = [\"true\"]\n\n[queues]\nmail = { rate = \"9/1s\" }\n",
    );
    walk(
        &bed,
        &viewer,
        &[
            &["ls"],
            &["ls", "--warnings"],
            &["show", "later"],
            &["next", "later"],
            &["runs"],
            &["runs", "tick"],
            &["runs", "--state", "queued", "--limit", "0"],
            &["runs", "show", &done],
            &["logs", &done],
            &["logs", "-f", &done],
            &["why", "tick"],
            &["why", "later", "--at", "02:00"],
            &["audit"],
            &["events"],
            &["events", "tick"],
            &["nodes"],
            &["queues"],
            &["calendars"],
            &["calendars", "show", "holidays"],
            &["dead", "ls"],
            &["dead", "show", &dead],
            &["export"],
            &["lint", "-f", "file.toml"],
            &["plan", "-f", "file.toml"],
            &["forecast", "--next", "1h"],
            &["revisions", "later"],
            &["queues", "set", "mail", "--max-running", "2", "--dry-run"],
            &["queues", "pause", "default", "--dry-run"],
            &["apply", "-f", "file.toml", "--dry-run"],
            &["add", "more", "--every", "1h", "--dry-run", "--", "true"],
        ],
    );
    // Who follows reads on until he is stopped.
    let mut follow = viewer.command().args(["runs", "-f"]).spawn().unwrap();
    wait_for("it follows", DEADLINE, || bed.calls().get("xrange").is_some_and(|calls| *calls > 0));
    follow.kill().unwrap();
    follow.wait().unwrap();
    assert_eq!(viewer.ok(&["logs", &done]), root.ok(&["logs", &done]));
    assert_eq!(viewer.json(&["show", "later"]), root.json(&["show", "later"]));
    bed.nothing_was_refused();
    let page: Value = serde_json::from_str(&viewer.run(&["-o", "json", "doctor"]).expect_code(1).stdout).unwrap();
    let rights = page["checks"].as_array().unwrap().iter().find(|check| check["check"] == "rights").unwrap();
    assert_eq!(rights["value"], "user upbeat-test-viewer may be viewer");
    assert_eq!(bed.unused("viewer", &bed.calls()), Vec::<String>::new(), "rights that no command needs");

    viewer.file("holidays.txt", "2026-12-26\n");
    let changing: &[&[&str]] = &[
        &["add", "new", "--every", "1h", "--", "true"],
        &["set", "later", "--timeout", "2m"],
        &["rm", "later"],
        &["pause", "later"],
        &["resume", "tick"],
        &["skip", "later"],
        &["trigger", "later"],
        &["once", "--", "true"],
        &["apply", "-f", "file.toml"],
        &["cancel", &waiting],
        &["retry", &dead],
        &["dead", "retry", "--all", "-y"],
        &["dead", "purge", "--all", "-y"],
        &["calendars", "put", "holidays", "-f", "holidays.txt"],
        &["queues", "set", "default", "--max-running", "1"],
        &["queues", "pause", "default"],
        &["queues", "resume", "default"],
        &["rollback", "later", "--to", "1"],
        &["doctor", "--accept-clock"],
    ];
    for args in changing {
        let error = viewer.error(5, args);
        let message = error["message"].as_str().unwrap();
        let (_, right) =
            message.split_once("not permitted: user upbeat-test-viewer may not run ").unwrap_or(("", message));
        assert!(["evalsha", "hincrby"].contains(&right), "{args:?}: {message}");
        assert!(error["hint"].as_str().unwrap().starts_with("upbeat acl prints the rights"), "{args:?}: {error}");
    }
    assert_eq!(bed.everything(), before, "not a byte is different");
}

#[test]
fn an_operator_changes_entries_runs_and_calendars() {
    let bed = Bed::new();
    bed.server.cli(&["CONFIG", "RESETSTAT"]);
    let ops = bed.role("operator");
    ops.file("holidays.txt", "2026-12-25\n");
    ops.file("more.txt", "2026-12-26\n");
    ops.file("file.toml", "[entries.filed]\nevery = \"1h\"\nexec = [\"true\"]\n");
    walk(
        &bed,
        &ops,
        &[
            &["calendars", "put", "holidays", "-f", "holidays.txt"],
            &["add", "a", "--every", "1h", "--overlap", "allow", "--max-fires", "9", "--spread", "1m", "--", "true"],
            &["add", "b", "--cron", "0 2 * * *", "--exclude", "holidays", "--overlap", "buffer_all", "--", "true"],
            &["add", "list", "--every", "1h", "--list", "app:list"],
            &["add", "stream", "--every", "1h", "--stream", "app:stream"],
            &["add", "publish", "--every", "1h", "--publish", "app:channel"],
            &["add", "task", "--every", "1h", "--celery", "task=t,key_prefix=app:"],
            &["add", "old", "--every", "1m", "--from", "-1h", "--start-within", "5m", "--", "true"],
            &["set", "old", "--timeout", "1m"],
            &["add", "limited", "--every", "1h", "--overlap", "allow", "--max-running", "1", "--", "true"],
            &["calendars", "put", "holidays", "-f", "more.txt"],
            &["apply", "-f", "file.toml"],
            &["set", "a", "--timeout", "1m"],
            &["pause", "a", "--until", "+1h"],
            &["resume", "a"],
            &["pause", "b"],
            &["resume", "b"],
            &["skip", "b"],
            &["skip", "b", "--undo"],
            &["trigger", "list"],
            &["trigger", "stream"],
            &["trigger", "publish"],
            &["trigger", "task"],
            &["trigger", "b"],
            &["trigger", "b"],
            &["cancel", "b"],
            &["trigger", "limited"],
            &["trigger", "limited"],
            &["trigger", "b", "--overlap", "cancel_other"],
            &["set", "b", "--overlap", "skip"],
            &["once", "--in", "1h", "--", "true"],
            &["once", "--unique", "k", "--", "true"],
            &["once", "--unique", "k", "--", "true"],
            &["backfill", "old", "--from", "-50m", "--to", "-40m"],
            &["queues", "set", "mail", "--max-running", "1"],
            &["queues"],
            &["queues", "set", "mail", "--unset", "max_running"],
            &["rm", "old"],
            &["rm", "limited"],
            &["rm", "filed"],
            &["doctor", "--accept-clock"],
        ],
    );
    ops.ok(&["pause", "a"]);
    // It is resumed from a second ago, which must not lie before the pause.
    bed.server.wait_past(bed.server.now_ms() + 1_000);
    ops.ok(&["resume", "a", "--from", "-1s"]);
    // What a target refuses is a dead letter, and can be sent again.
    ops.ok(&["add", "refused", "--every", "1h", "--list", "app:text"]);
    let set = bed.server.cli(&["SET", "app:text", "no list"]);
    assert_eq!(set, "OK");
    ops.ok(&["trigger", "refused"]);
    let dead = ops.json(&["dead", "ls"])[0]["run_id"].as_str().unwrap().to_owned();
    bed.server.cli(&["DEL", "app:text"]);
    ops.ok(&["retry", &dead]);
    bed.server.cli(&["DEL", "app:text"]);
    bed.server.cli(&["SET", "app:text", "no list"]);
    ops.ok(&["trigger", "refused"]);
    ops.ok(&["dead", "purge", "--all", "-y"]);
    assert_eq!(bed.server.cli(&["LLEN", "app:list"]), "1");
    assert_eq!(bed.server.cli(&["XLEN", "app:stream"]), "1");

    assert_eq!(bed.unused("operator", &bed.calls()), RARE_OF_OPERATORS, "rights that no command needs");

    // A run that is executed: followed, and cancelled.
    let run = ops.json(&["once", "--", "sleep", "600"])["run_id"].as_str().unwrap().to_owned();
    let mut node = bed.node("n").start();
    wait_for("it runs", DEADLINE, || ops.json(&["runs", "show", &run])["state"] == "running");
    let mut follow = ops.command().args(["logs", "-f", &run]).spawn().unwrap();
    wait_for("it is watched", DEADLINE, || bed.server.cli(&["EXISTS", "upbeat:{test:0}:watched"]) == "1");
    // A limit that comes while it runs counts it.
    bed.server.cli(&["ACL", "LOG", "RESET"]);
    walk(
        &bed,
        &ops,
        &[
            &["queues", "set", "default", "--max-running", "1", "--rate", "9/1s"],
            &["queues", "pause", "default"],
            &["queues", "resume", "default"],
            &["plan", "-f", "file.toml"],
            &["forecast", "--next", "1h"],
            &["queues"],
        ],
    );
    bed.nothing_was_refused();
    assert_eq!(ops.json(&["queues"])[0]["running"], 1);
    ops.ok(&["cancel", &run]);
    follow.wait().unwrap();
    node.kill9();

    walk(
        &bed,
        &ops,
        &[&["ls"], &["runs"], &["why", "a"], &["audit"], &["events"], &["nodes"], &["queues"], &["dead"], &["export"]],
    );
    ops.run(&["doctor"]);
    let log = bed.server.cli(&["ACL", "LOG"]);
    assert!(!log.contains("evalsha") && !log.contains("toplevel\nkey") && !log.contains("\nlua\n"), "{log}");
}

#[test]
fn a_node_executes_delivers_plans_takes_over_and_leaves() {
    let bed = Bed::new();
    let root = &bed.root;
    let mut first = bed.node("n1").allow("exec,shell,celery").args(&["--lease", "2s"]).start();
    let mut second = bed.node("n2").allow("exec,shell,celery").args(&["--lease", "2s"]).start();
    first.wait_live(root);
    second.wait_live(root);
    root.ok(&["add", "exec", "--every", "1s", "--overlap", "allow", "--", "echo", "hello"]);
    root.ok(&["add", "shell", "--every", "1s", "--shell", "echo $UPBEAT_RUN_ID > $UPBEAT_RESULT"]);
    root.ok(&["add", "http", "--every", "1s", "--http", "http://127.0.0.1:1/", "--retry", "max_attempts=2,delay=1s"]);
    root.ok(&["add", "list", "--every", "1s", "--list", "app:list"]);
    root.ok(&["add", "stream", "--every", "1s", "--stream", "app:stream"]);
    root.ok(&["add", "publish", "--every", "1s", "--publish", "app:channel"]);
    root.ok(&["add", "task", "--every", "1s", "--celery", "task=t,key_prefix=app:"]);
    root.ok(&["add", "tracked", "--every", "1h", "--celery", "task=t,key_prefix=app:,queue=tracked,track=true"]);
    root.ok(&["add", "elsewhere", "--every", "1s", "--list", "others"]);
    root.ok(&["add", "planned", "--cron", "* * * * * *", "--tz", "Europe/Berlin", "--", "true"]);
    root.ok(&["add", "buffered", "--every", "1s", "--overlap", "buffer_one", "--", "sleep", "1.5"]);
    root.ok(&["add", "limited", "--every", "1s", "--overlap", "allow", "--max-running", "1", "--", "sleep", "2"]);
    let ran = |entry: &str, state: &str| {
        !root.json(&["runs", entry, "--state", state, "--limit", "1"]).as_array().unwrap().is_empty()
    };
    for entry in ["exec", "shell", "list", "stream", "publish", "task", "planned", "buffered", "limited"] {
        wait_for(&format!("{entry} succeeds"), DEADLINE, || ran(entry, "succeeded"));
    }
    let tracked = root.json(&["trigger", "tracked"])["run_id"].as_str().unwrap().to_owned();
    wait_for("it was sent", DEADLINE, || bed.server.cli(&["LLEN", "app:tracked"]) == "1");
    let (key, result) = (format!("celery-task-meta-{tracked}"), r#"{"status": "SUCCESS", "result": 7}"#);
    bed.server.cli(&["PUBLISH", &key, result]);
    wait_for("the task has ended", DEADLINE, || ran("tracked", "succeeded"));
    wait_for("http fails", DEADLINE, || ran("http", "failed"));
    wait_for("a target that is nobody's is refused", DEADLINE, || ran("elsewhere", "failed"));
    let done = root.json(&["runs", "exec", "--state", "succeeded", "--limit", "1"])[0]["run_id"].clone();
    assert_eq!(root.ok(&["logs", done.as_str().unwrap()]), "hello\n");
    let refused = root.json(&["runs", "elsewhere", "--state", "failed", "--limit", "1"]);
    assert_eq!(refused[0]["reason"], "target", "{refused}");

    // Its lease ends, the other takes its runs over.
    root.ok(&["pause", "limited", "buffered", "exec", "shell", "http"]);
    let flag = root.dir().join("go");
    let until = format!("while [ ! -e {} ]; do sleep 0.1; done", flag.display());
    let run = root.json(&["once", "--", "sh", "-c", &until])["run_id"].as_str().unwrap().to_owned();
    let holder = || root.json(&["runs", "show", &run])["node"].as_str().map(str::to_owned);
    wait_for("it runs", DEADLINE, || holder().is_some());
    let is_first = holder().as_deref() == Some("n1");
    let (mut gone, mut stays, name) = if is_first { (first, second, "n2") } else { (second, first, "n1") };
    gone.kill9();
    wait_for("it is taken over", DEADLINE, || root.json(&["runs", "show", &run])["attempt"] == 2);
    root.file("go", "");
    wait_for("it is taken over and succeeds", DEADLINE, || root.json(&["runs", "show", &run])["state"] == "succeeded");
    assert_eq!(root.json(&["runs", "show", &run])["lost"], 1);

    // What vanishes is rebuilt, and planned afresh.
    bed.server.cli(&["DEL", "upbeat:{test:0}:due", "upbeat:{test:0}:plans"]);
    bed.server.cli(&["HSET", "upbeat:{test:0}:clock", "checked", "0", "aged", "0"]);
    wait_for("it is rebuilt", DEADLINE, || !root.json(&["events", "--type", "rebuilt"]).as_array().unwrap().is_empty());
    wait_for("everything is planned again", DEADLINE, || {
        let entries = root.json(&["ls"]);
        entries.as_array().unwrap().iter().all(|entry| entry["status"] != "broken")
    });
    stays.sigterm();
    assert!(stays.wait_end(DEADLINE).success(), "{}", stays.log());
    let listed = root.json(&["nodes"]);
    assert!(listed.as_array().unwrap().iter().all(|node| node["node"] != name), "it has left: {listed}");

    // Of what nodes alone may do everything was done.
    let shared = bed.rights("operator");
    let mut unused = bed.unused("node", &bed.calls());
    unused.retain(|command| !shared.contains(command));
    assert_eq!(unused, RARE_OF_NODES, "rights that no node needs");

    // Nothing was refused but the target that belongs to others, and settings that a node only likes to know.
    let log = bed.server.ask(&["ACL", "LOG", "128"]);
    for line in log.list() {
        let words: Vec<String> = line.list().iter().map(ToString::to_string).collect();
        let object = words.iter().position(|word| word == "object").map(|at| words[at + 1].clone()).unwrap();
        assert!(["others", "config|get"].contains(&object.as_str()), "{words:?}");
    }
}

#[test]
fn doctor_finds_no_right_missing_whoever_of_the_roles_asks() {
    let bed = Bed::new();
    bed.root.ok(&["add", "a", "--every", "1h", "--", "true"]);
    for (role, roles) in [("node", "node"), ("operator", "operator, viewer"), ("viewer", "viewer")] {
        let page = bed.role(role).run(&["-o", "json", "doctor"]);
        let page: Value = serde_json::from_str(&page.stdout).unwrap();
        let rights = page["checks"].as_array().unwrap().iter().find(|check| check["check"] == "rights").unwrap();
        assert_eq!(rights["value"], format!("user upbeat-test-{role} may be {roles}"));
    }
}

#[test]
fn a_node_puts_back_a_schedule_file_with_its_calendars_and_queues() {
    let bed = Bed::new();
    let root = &bed.root;
    let file = "[queues]\nmail = { max_running = 2, rate = \"9/1s\" }\n\n[calendars.off]\ndates = [\"2026-12-25\"]\n\n\
                [entries.night]\ncron = \"0 2 * * *\"\nexclude = [\"off\"]\nqueue = \"mail\"\nexec = [\"true\"]\n";
    root.file("jobs.toml", file);
    let path = root.dir().join("jobs.toml").display().to_string();
    let mut node = bed.node("n").args(&["--schedule-file", &path]).start();
    let is_there = || {
        let queues = root.json(&["queues"]);
        let limited =
            queues.as_array().unwrap().iter().any(|queue| queue["max_running"] == 2 && queue["rate"] == "9/1s");
        limited && root.json(&["ls"])[0]["id"] == "night" && root.json(&["calendars"])[0]["calendar"] == "off"
    };
    wait_for("a new namespace has the file's content", DEADLINE, is_there);
    assert_eq!(bed.server.cli(&["FLUSHALL"]), "OK");
    wait_for("so has one that was flushed", DEADLINE, is_there);
    node.sigterm();
    assert!(node.wait_end(DEADLINE).success(), "{}", node.log());
    let log = bed.server.cli(&["ACL", "LOG"]);
    assert!(!log.contains("evalsha") && !log.contains("\nlua\n") && !log.contains("toplevel\nkey"), "{log}");
}

#[test]
fn no_user_reaches_beyond_its_namespace() {
    let bed = Bed::new();
    bed.root.ok(&["add", "a", "--every", "1h", "--", "true"]);
    bed.root.ok(&["-n", "prod", "add", "a", "--every", "1h", "--", "true"]);
    for role in ["node", "operator", "viewer"] {
        let mut client = bed.server.client().unwrap();
        let name = format!("upbeat-test-{role}");
        assert_eq!(client.ask(&["AUTH", &name, "geheim"]).unwrap().to_string(), "OK");
        let beyond: &[&[&str]] = &[
            &["SET", "other", "1"],
            &["GET", "other"],
            &["HGET", "other", "x"],
            &["HGET", "upbeat:{prod:0}:entries", "a"],
            &["HGET", "upbeat:{tester:0}:entries", "a"],
            &["ZRANGE", "app:x", "0", "-1"],
            &["EVALSHA_RO", "0000000000000000000000000000000000000000", "1", "upbeat:{prod:0}:clock"],
            &["EVAL_RO", "return redis.call('HGET', 'upbeat:{prod:0}:entries', 'a')", "0"],
            &["EVAL_RO", "return redis.call('HSET', KEYS[1], 'a', 'b')", "1", "upbeat:{test:0}:entries"],
            &["PUBLISH", "upbeat:{prod}:nudge", "due"],
            &["CONFIG", "GET", "requirepass"],
            &["KEYS", "*"],
            &["SCAN", "0"],
            &["FLUSHALL"],
            &["SCRIPT", "FLUSH"],
            &["ACL", "LIST"],
        ];
        for command in beyond {
            let reply = client.ask(command).unwrap().to_string();
            let is_refused = ["NOPERM", "can't", "not allowed from read-only"].iter().any(|word| reply.contains(word));
            assert!(is_refused, "{role}: {command:?}: {reply}");
        }
        assert_eq!(client.ask(&["HGET", "upbeat:{test:0}:clock", "x"]).unwrap().to_string(), "", "{role}");
    }
    let stranger = bed.role("operator").namespace("prod");
    let error = stranger.error(5, &["ls"]);
    let message = error["message"].as_str().unwrap();
    assert!(message.ends_with("user upbeat-test-operator may not use the keys of this namespace"), "{message}");
}
