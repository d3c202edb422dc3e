//! `upbeat why` as people read it and as programs do.

use serde_json::{Value, json};

use crate::support::cli::Upbeat;
use crate::support::clock;
use crate::support::node::node;
use crate::support::redis::RedisServer;
use crate::support::wait::{DEADLINE, wait_for};
use crate::{refused, user_of};

/// A fleet whose shard's clock stands where the test puts it.
pub struct Night {
    pub server: RedisServer,
    pub user: Upbeat,
    namespace: String,
}

impl Night {
    pub fn at(text: &str) -> Self {
        Self::of("test", text)
    }

    /// The clock that is moved is this namespace's; the user says `-n` where it is not his own.
    pub fn of(namespace: &str, text: &str) -> Self {
        let server = RedisServer::fresh();
        let user = user_of(&server).env("UPBEAT_ACTOR", "ana@laptop").env("TZ", "UTC");
        let night = Self { server, user, namespace: namespace.to_owned() };
        night.go(text);
        night
    }

    /// The clock shows this instant, and every node looks at it.
    pub fn go(&self, text: &str) {
        let at = upbeat::domain::timestamp::Timestamp::parse("test", text, None).unwrap();
        clock::jump(&self.server, &self.namespace, self.shards(), at.0 - self.server.now_ms());
    }

    fn shards(&self) -> u16 {
        let set = self.server.ask(&["HGET", &format!("upbeat:{{{}}}:settings", self.namespace), "shards"]);
        if set.is_nil() { 1 } else { set.text().parse().unwrap() }
    }

    fn runs(&self, state: &str) -> usize {
        self.user.json(&["runs", "nightly-backup", "--state", state, "--limit", "0"]).as_array().unwrap().len()
    }

    #[track_caller]
    pub fn until(&self, state: &str, count: usize) {
        wait_for(&format!("{count} {state}"), DEADLINE, || self.runs(state) == count);
    }
}

#[test]
fn a_night_behind_a_hanging_command_is_explained_whole() {
    let night = Night::at("2026-11-14T12:00:00Z");
    let user = &night.user;
    let stop = user.dir().join("stop");
    let script =
        format!("echo waiting for lock on /backup/repo; while ! test -e {}; do sleep 0.05; done", stop.display());
    let cron = ["--cron", "0 2 * * *", "--tz", "Europe/Berlin"];
    user.ok(&[&["add", "nightly-backup"][..], &cron, &["--shell", &script]].concat());
    let web = node("web-3", night.server.url()).start_live(user);
    for (day, minutes) in [(15, 14), (16, 21)] {
        night.go(&format!("2026-11-{day}T01:00:00.100Z"));
        night.until("running", 1);
        night.go(&format!("2026-11-{day}T01:{minutes}:20Z"));
        user.file("stop", "");
        night.until("succeeded", day - 14);
        std::fs::remove_file(&stop).unwrap();
    }
    night.go("2026-11-17T01:00:00.100Z");
    night.until("running", 1);
    for (day, skipped) in [(18, 1), (19, 2), (20, 3)] {
        night.go(&format!("2026-11-{day}T01:00:00.100Z"));
        night.until("skipped", skipped);
    }
    night.go("2026-11-20T08:10:00Z");
    let text = user.ok(&["why", "nightly-backup"]);
    let whole = "\
nightly-backup did not run on Fri 20 Nov 02:00 CET: skipped, the run of 17 Nov is still running
  in the way   nightly-backup@2026-11-17T01:00:00.000Z · attempt 1 on web-3 · running for 3 d 7 h (usually 14 min, p95 21 min)
  rule         overlap = skip · no timeout is set
  also         18 and 19 Nov were skipped for the same reason · last success Mon 16 Nov 02:00 CET
  last words   \"waiting for lock on /backup/repo\"
  do           upbeat logs nightly-backup
               upbeat cancel nightly-backup --reason '...'
               upbeat set nightly-backup --timeout 1h
";
    assert_eq!(without_seconds(&text), whole);
    // What it proposes works as it stands.
    let why = user.json(&["why", "nightly-backup"]);
    for command in why["do"].as_array().unwrap() {
        let words: Vec<&str> =
            command.as_str().unwrap().split(' ').skip(1).map(|word| word.trim_matches('\'')).collect();
        user.ok(&words);
    }
    night.until("cancelled", 1);
    let after = user.json(&["why", "nightly-backup", "--at", "2026-11-17"]);
    assert_eq!((&after["answer"], &after["reason"]), (&json!("cancelled"), &json!("by_user")));
    drop(web);
}

/// The commands of the test take their time: what they took is told without its seconds.
fn without_seconds(text: &str) -> String {
    (1..60).fold(text.to_owned(), |text, seconds| text.replace(&format!(" min {seconds} s"), " min"))
}

#[test]
fn an_id_that_does_not_exist_is_not_found_with_the_one_that_is_meant() {
    let night = Night::at("2026-11-20T12:00:00Z");
    night.user.ok(&["add", "nightly-backup", "--every", "1h", "--", "true"]);
    let (line, hint) = refused(&night.user, 3, &["why", "nightly_backup"]);
    assert_eq!(line, "error: entry: nightly_backup does not exist in namespace test");
    assert_eq!(hint, "  did you mean nightly-backup?");
}

#[test]
fn a_bad_instant_is_refused_by_name() {
    let night = Night::at("2026-11-20T12:00:00Z");
    night.user.ok(&["add", "nightly-backup", "--every", "1h", "--", "true"]);
    for text in ["yesterday", "2026-02-30", "8h", "25:00"] {
        let (line, hint) = refused(&night.user, 2, &["why", "nightly-backup", "--at", text]);
        assert!(line.starts_with("error: at: ") && !hint.is_empty(), "{text}: {line} {hint}");
    }
    refused(&night.user, 2, &["why", "a b"]);
    night.user.run(&["why"]).expect_code(2);
}

#[test]
fn programs_read_a_document_of_the_contract() {
    let night = Night::at("2026-11-20T12:00:00Z");
    night.user.ok(&["add", "nightly-backup", "--cron", "0 2 * * *", "--tz", "Europe/Berlin", "--", "true"]);
    night.user.ok(&["pause", "nightly-backup", "--reason", "INC-1234"]);
    night.go("2026-11-21T12:00:00Z");
    let why = night.user.json(&["why", "nightly-backup"]);
    let mut keys: Vec<&String> = why.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["answer", "do", "entry_id", "facts", "fire_at", "reason", "run_id", "sentence"]);
    assert_eq!(why["entry_id"], "nightly-backup");
    assert_eq!(why["fire_at"], "2026-11-21T01:00:00.000Z");
    assert_eq!((&why["answer"], &why["reason"], &why["run_id"]), (&json!("skipped"), &json!("paused"), &Value::Null));
    assert!(why["facts"].as_array().unwrap().iter().all(|fact| fact["label"].is_string() && fact["text"].is_string()));
    assert_eq!(why["do"][0], "upbeat resume nightly-backup");
    assert_eq!(night.user.ok(&["-o", "id", "why", "nightly-backup"]), "nightly-backup\n");
    assert_eq!(night.user.ok(&["-o", "jsonl", "why", "nightly-backup"]).lines().count(), 1);
    let flagged = night.user.ok(&["-n", "test", "why", "nightly-backup"]);
    assert!(
        flagged.contains("upbeat -n test resume nightly-backup"),
        "what is pasted means the same namespace: {flagged}"
    );
}

#[test]
fn who_asks_from_another_zone_is_told_when_the_entry_has_none() {
    let night = Night::at("2026-11-20T01:59:00Z");
    night.user.ok(&["add", "nightly-backup", "--cron", "0 2 * * *", "--", "true"]);
    let _web = node("web-1", night.server.url()).start_live(&night.user);
    night.go("2026-11-20T02:00:00.100Z");
    night.until("succeeded", 1);
    night.go("2026-11-20T09:00:00Z");
    let here = |zone: &str| user_of(&night.server).env("TZ", zone).ok(&["why", "nightly-backup", "--at", "02:00"]);
    let text = here("Europe/Berlin");
    let said = "nightly-backup ran on Fri 20 Nov 02:00 UTC, that is 03:00 here: the entry has no tz\n";
    assert!(text.starts_with(said), "{text}");
    assert!(text.contains("upbeat set nightly-backup --tz Europe/Berlin"), "{text}");
    assert!(here("UTC").starts_with("nightly-backup did run: succeeded on Fri 20 Nov 02:00 UTC on web-1 in "));
}
