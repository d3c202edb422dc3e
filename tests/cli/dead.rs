//! Dead letters as a user meets them, and what is said about runs that can't be retried or cancelled.

use serde_json::{Value, json};
use upbeat::store::{EndedAs, Started};

use crate::refused;
use crate::support::cli::Upbeat;
use crate::support::hand::{Hand, World};
use crate::support::proxy::{Fate, Proxy};

/// A user, and a node whose attempts end as the test says.
struct Bed {
    world: World,
    hand: Hand,
    user: Upbeat,
}

impl Bed {
    async fn with_shards(shards: u16) -> Self {
        let world = World::with_shards(shards).await;
        let user = Upbeat::at(world.redis.url());
        let hand = Hand::new(&world.store, 'a');
        Self { world, hand, user }
    }

    /// Entries that let any number of runs be active.
    async fn new(entries: &[&str]) -> Self {
        let bed = Self::with_shards(1).await;
        for id in entries {
            bed.user.ok(&["add", id, "--every", "1h", "--overlap", "allow", "--", "false"]);
        }
        bed
    }

    /// Triggers an entry and fetches its run.
    async fn begin(&mut self, entry: &str) -> Started {
        self.user.ok(&["trigger", entry]);
        let mut fetched = self.hand.fetch(9).await;
        assert_eq!(fetched.len(), 1, "{fetched:?}");
        fetched.remove(0)
    }

    /// A run of an entry that failed for good. Returns its id.
    async fn fail(&mut self, entry: &str) -> String {
        let run = self.begin(entry).await;
        self.hand.finish(&run, EndedAs::Failed).await;
        self.world.pass(1_000);
        run.run.run_id
    }

    /// What is in lists fails.
    async fn fail_all(&mut self) -> usize {
        let runs = self.hand.fetch(99).await;
        for run in &runs {
            self.hand.finish(run, EndedAs::Failed).await;
        }
        self.world.pass(1_000);
        runs.len()
    }

    fn dead(&self) -> Vec<String> {
        self.user.ok(&["-o", "id", "dead", "ls"]).lines().map(str::to_owned).collect()
    }
}

/// What became of each run, by id.
#[track_caller]
fn changes(answer: &Value) -> Vec<(&str, &str)> {
    let changes = answer["changes"].as_array().unwrap();
    changes.iter().map(|one| (one["run_id"].as_str().unwrap(), one["change"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn dead_letters_are_listed_the_newest_first_and_shown_with_every_attempt() {
    let mut bed = Bed::new(&["a", "b"]).await;
    assert_eq!(bed.user.json(&["dead", "ls"]), json!([]));
    assert_eq!(bed.user.run(&["dead"]).expect_code(0).stderr, "no dead letters\n");
    let (first, second, other) = (bed.fail("a").await, bed.fail("a").await, bed.fail("b").await);
    assert_eq!(bed.dead(), [other.as_str(), &second, &first]);
    let listed = bed.user.json(&["dead", "ls", "a"]);
    assert_eq!((&listed[0]["run_id"], &listed[1]["run_id"]), (&json!(second), &json!(first)));
    assert_eq!((&listed[0]["state"], &listed[0]["reason"]), (&json!("failed"), &json!("exit")));
    let newest = bed.user.run(&["dead", "list", "--limit", "1"]).expect_code(0);
    assert!(newest.stdout.contains("  b  ") && !newest.stdout.contains("  a  "), "{}", newest.stdout);
    assert!(newest.stderr.contains('3'), "how many there are: {}", newest.stderr);
    assert_eq!(bed.user.ok(&["-o", "jsonl", "dead", "ls", "--limit", "0"]).lines().count(), 3);

    let shown = bed.user.json(&["dead", "show", &first]);
    assert_eq!((&shown["run_id"], &shown["attempt"]), (&json!(first), &json!(1)));
    let at = format!("a@{}", listed[1]["fire_at"].as_str().unwrap());
    assert_eq!(bed.user.json(&["dead", "show", &at])["run_id"], json!(first));
    let table = bed.user.run(&["dead", "show", &first]).expect_code(0);
    assert!(table.stderr.contains(&format!("upbeat dead retry {first}")), "{}", table.stderr);
    let (line, hint) = refused(&bed.user, 3, &["dead", "show", "a@2026-01-01T00:00:00Z"]);
    assert!(line.contains("no dead letter") && hint.contains("upbeat dead ls"), "{line} {hint}");
}

#[tokio::test]
async fn they_are_retried_by_id_by_entry_and_all_and_a_dry_run_does_nothing() {
    let mut bed = Bed::new(&["a", "b", "c"]).await;
    let first = bed.fail("a").await;
    let (second, other, last) = (bed.fail("a").await, bed.fail("b").await, bed.fail("c").await);
    let dry = bed.user.json(&["dead", "retry", "--all", "--dry-run"]);
    assert_eq!(changes(&dry).len(), 4);
    assert!(changes(&dry).iter().all(|(_, change)| *change == "queued"), "{dry}");
    assert_eq!(bed.dead().len(), 4, "nothing was done");

    assert_eq!(changes(&bed.user.json(&["dead", "retry", &first])), [(first.as_str(), "queued")]);
    assert_eq!(bed.dead(), [last.as_str(), &other, &second]);
    assert_eq!(bed.user.json(&["runs", "show", &first])["state"], "queued");
    assert_eq!(changes(&bed.user.json(&["dead", "retry", "a"])), [(second.as_str(), "queued")]);
    assert_eq!(bed.user.ok(&["-o", "id", "dead", "retry", "--entry", "b"]), format!("{other}\n"));
    let table = bed.user.ok(&["dead", "retry", "--all"]);
    assert!(table.contains("c@") && table.contains("queued"), "one needs no yes: {table}");
    assert_eq!((bed.dead(), bed.fail_all().await), (Vec::new(), 4));
    assert_eq!(bed.dead().len(), 4, "all failed anew");

    let (line, hint) = refused(&bed.user, 2, &["dead", "retry", "--all"]);
    assert!(line.contains("retry 4 dead letters") && hint.contains("add -y"), "{line} {hint}");
    assert_eq!(bed.dead().len(), 4);
    assert_eq!(changes(&bed.user.json(&["dead", "retry", "--all", "-y"])).len(), 4);
    assert_eq!(bed.user.run(&["dead", "retry", "--all"]).expect_code(0).stderr, "no dead letters\n");
}

#[tokio::test]
async fn they_are_purged_and_the_records_stay() {
    let mut bed = Bed::new(&["a", "b"]).await;
    let first = bed.fail("a").await;
    let (second, other) = (bed.fail("a").await, bed.fail("b").await);
    assert_eq!(changes(&bed.user.json(&["dead", "purge", &first, "--dry-run"])), [(first.as_str(), "purged")]);
    assert_eq!(bed.dead().len(), 3);
    assert_eq!(changes(&bed.user.json(&["dead", "purge", &first])), [(first.as_str(), "purged")]);
    assert_eq!(bed.dead(), [other.as_str(), &second]);
    assert_eq!(bed.user.json(&["runs", "show", &first])["state"], "failed", "its record stays");
    let (line, hint) = refused(&bed.user, 4, &["retry", &first]);
    assert!(line.contains("its dead letter is gone") && hint.contains("upbeat trigger a"), "{line} {hint}");
    refused(&bed.user, 2, &["dead", "purge", "--all"]);
    let mut purged: Vec<String> =
        bed.user.ok(&["-o", "id", "dead", "purge", "--all", "-y"]).lines().map(str::to_owned).collect();
    let mut expected = vec![second, other];
    purged.sort();
    expected.sort();
    assert_eq!((purged, bed.dead()), (expected, Vec::new()));
    assert_eq!(bed.user.json(&["runs", "--state", "failed"]).as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn what_is_not_named_or_has_no_letter_is_said_and_nothing_is_done() {
    let mut bed = Bed::new(&["a", "b"]).await;
    let run = bed.fail("a").await;
    for verb in ["retry", "purge"] {
        let (line, hint) = refused(&bed.user, 2, &["dead", verb]);
        assert!(line.contains(&format!("nothing is named to {verb}")) && hint.contains("--all"), "{line} {hint}");
        assert_eq!(bed.user.error(2, &["dead", verb, "a", "--all"])["field"], "--all");
        for wrong in ["b", "nobody", "a@2026-01-01T00:00:00Z", "0195f2b5-4010-8b8b-bdf5-cd3b89a798e6"] {
            assert_eq!(bed.user.error(3, &["dead", verb, &run, wrong])["code"], "not_found", "{wrong}");
        }
        bed.user.error(2, &["dead", verb, "a b"]);
    }
    assert_eq!(bed.dead(), [run], "not even what could be done");
    bed.user.error(3, &["dead", "ls", "nobody"]);
    assert_eq!(bed.user.json(&["dead", "ls", "b"]), json!([]));
    assert_eq!(bed.user.error(2, &["dead", "ls", "--limit", "-1"])["field"], "limit");
    bed.user.error(2, &["dead", "bury"]);
}

#[tokio::test]
async fn only_a_failed_run_is_retried_and_only_an_active_one_is_cancelled() {
    let mut bed = Bed::new(&["a"]).await;
    bed.user.ok(&["add", "s", "--every", "1h", "--overlap", "skip", "--", "true"]);
    let unknown = "0195f2b5-4010-8b8b-bdf5-cd3b89a798e6";
    for command in ["retry", "cancel"] {
        assert_eq!(bed.user.error(3, &[command, unknown])["code"], "not_found");
        assert_eq!(bed.user.error(3, &[command, "nobody"])["code"], "not_found");
    }
    let run = bed.begin("s").await;
    let (line, hint) = refused(&bed.user, 4, &["retry", "s"]);
    assert!(line.contains("is running, not failed") && hint.contains("upbeat runs show"), "{line} {hint}");
    let skipped = bed.user.json(&["trigger", "s"]);
    assert_eq!(skipped["state"], "skipped");
    let skipped = skipped["run_id"].as_str().unwrap();
    let (line, hint) = refused(&bed.user, 4, &["retry", skipped]);
    assert!(line.contains("did not run") && hint.contains("upbeat "), "{line} {hint}");
    refused(&bed.user, 4, &["cancel", skipped]);
    bed.hand.finish(&run, EndedAs::Succeeded).await;
    for command in ["retry", "cancel"] {
        let (line, hint) = refused(&bed.user, 4, &[command, &run.run.run_id]);
        assert!(line.contains("succeeded"), "{line}");
        assert!(command == "cancel" || hint.contains("upbeat trigger s"), "{hint}");
    }
    let failed = bed.fail("a").await;
    let (line, _) = refused(&bed.user, 4, &["cancel", &failed]);
    assert!(line.contains("failed"), "{line}");
    let dry = bed.user.ok(&["retry", &failed, "--dry-run"]);
    assert!(dry.starts_with("would retry a@") && bed.dead() == [failed.as_str()], "{dry}");
    assert_eq!(bed.user.json(&["runs", "retry", &failed])["state"], "queued");
    assert_eq!(bed.user.ok(&["-o", "id", "cancel", &failed]).trim(), failed);
}

#[tokio::test]
async fn words_and_numbers_that_are_none_are_refused_with_the_ones_that_are() {
    let bed = Bed::new(&[]).await;
    let (line, hint) = refused(&bed.user, 2, &["runs", "--state", "crashed"]);
    let text = format!("{line} {hint}");
    for state in ["waiting", "queued", "running", "retrying", "succeeded", "failed", "cancelled", "skipped", "missed"] {
        assert!(text.contains(state), "{text}");
    }
    let add = ["add", "x", "--every", "1h"];
    let error = |more: &[&str]| bed.user.error(2, &[&add, more, &["--", "true"][..]].concat());
    assert_eq!(error(&["--keep-runs", "-1"])["field"], "keep_runs");
    assert_eq!(error(&["--max-running", "-1"])["field"], "max_running");
    for retry in ["max_attempts=-1", "max_attempts=0", "delay=-1s", "within=-2h", "not_on=exit:-1"] {
        let told = error(&["--retry", retry]);
        assert!(told["field"].as_str().unwrap().starts_with("retry"), "{retry}: {told}");
        assert!(!told["message"].as_str().unwrap().is_empty());
    }
    let once = error(&["--delivery", "at_most_once", "--retry", "max_attempts=3"]);
    let told = once.to_string();
    assert!(told.contains("at_most_once") && told.contains("retry"), "{told}");
    let payload = "p".repeat(65 * 1024);
    assert_eq!(error(&["--payload", &payload])["field"], "payload");
    assert_eq!(bed.user.json(&["ls"]), json!([]), "nothing was written");

    bed.user.ok(&["add", "x", "--every", "1h", "--delivery", "at_most_once", "--", "true"]);
    let told = bed.user.error(2, &["set", "x", "--retry", "max_attempts=3"]).to_string();
    assert!(told.contains("at_most_once"), "{told}");
    assert_eq!(bed.user.error(2, &["trigger", "x", "--payload", &payload])["field"], "payload");
    assert_eq!(bed.user.json(&["runs"]), json!([]));
}

#[tokio::test]
async fn a_repeated_retry_is_answered_as_the_first_time_and_leaves_what_failed_anew() {
    let mut bed = Bed::new(&["a"]).await;
    let run = bed.fail("a").await;
    let retry = ["retry", &run, "--request-id", "r"];
    assert_eq!(bed.user.json(&retry)["state"], "queued");
    bed.fail_all().await;
    assert_eq!(bed.user.json(&retry)["run_id"], json!(run));
    assert_eq!((bed.dead(), bed.fail_all().await), (vec![run.clone()], 0));
    assert_eq!(bed.user.error(4, &["retry", "a", "--request-id", "r"])["field"], "request-id");

    for verb in ["retry", "purge"] {
        let all = ["dead", verb, "--all", "-y", "--request-id", verb];
        let first = bed.user.json(&all);
        assert_eq!(changes(&first).len(), 1);
        bed.world.pass(1);
        bed.user.ok(&["trigger", "a"]);
        bed.fail_all().await;
        let left = bed.dead();
        assert!(!left.is_empty());
        assert_eq!(changes(&bed.user.json(&all)), changes(&first), "{verb}");
        assert_eq!((bed.dead(), bed.fail_all().await), (left, 0), "{verb}: what failed anew stays");
        let other = bed.user.error(4, &["dead", verb, "a", "--request-id", verb]);
        assert_eq!(other["field"], "request-id");
        bed.user.ok(&["dead", "purge", "--all", "-y"]);
        bed.fail("a").await;
    }
}

#[tokio::test]
async fn a_repeated_retry_of_a_message_that_is_refused_again_sends_it_once() {
    let bed = Bed::new(&[]).await;
    bed.world.redis.cli(&["SET", "out", "of another type"]);
    bed.user.ok(&["add", "m", "--every", "1h", "--list", "out"]);
    assert_eq!(bed.user.json(&["trigger", "m"])["state"], "failed");
    let retry = ["dead", "retry", "m", "--request-id", "r"];
    let first = bed.user.json(&retry);
    assert_eq!(changes(&first)[0].1, "failed");
    for _ in 0..2 {
        assert_eq!(changes(&bed.user.json(&retry)), changes(&first));
    }
    assert_eq!(bed.user.json(&["dead", "ls"])[0]["attempt"], 2, "sent again once");
}

#[tokio::test]
async fn a_repeated_request_leaves_what_failed_since_in_other_shards_too() {
    let bed = Bed::with_shards(3).await;
    let names: Vec<String> = (0..9).map(|number| format!("e{number}")).collect();
    for id in &names {
        bed.user.ok(&["add", id, "--every", "1h", "--list", "out"]);
    }
    bed.world.redis.cli(&["SET", "out", "of another type"]);
    let shard_of = |name: &str| bed.world.store.shard_of(&crate::support::entries::id(name));
    let other = names.iter().find(|name| shard_of(name) != shard_of("e0")).unwrap().clone();
    bed.user.ok(&["trigger", "e0"]);
    let purge = ["dead", "purge", "--all", "-y", "--request-id", "r"];
    let first = bed.user.json(&purge);
    assert_eq!(changes(&first).len(), 1);
    bed.world.pass(1_000);
    bed.user.ok(&["trigger", &other]);
    assert_eq!(bed.user.json(&purge)["changes"].as_array().unwrap().len(), 1);
    assert_eq!(bed.dead().len(), 1, "it failed after the request had come");
}

#[tokio::test]
async fn letters_are_bounded_by_number_and_by_age() {
    let mut bed = Bed::new(&["a"]).await;
    let real = bed.fail("a").await;
    let at = bed.world.store.now(0).await.unwrap().0;
    let (dead, letters) = (bed.world.key("dead"), bed.world.key("letters"));
    let fill = "local text = redis.call('HGET', KEYS[2], ARGV[1])
        for i = 1, 9999 do
          redis.call('ZADD', KEYS[1], ARGV[2] - i, 'old-' .. i)
          redis.call('HSET', KEYS[2], 'old-' .. i, text)
        end";
    bed.world.redis.cli(&["EVAL", fill, "2", &dead, &letters, &real, &at.to_string()]);
    let count = |bed: &Bed| (bed.world.on("ZCARD", "dead", &[]), bed.world.on("HLEN", "letters", &[]));
    assert_eq!(count(&bed), ("10000".to_owned(), "10000".to_owned()));
    let newest = bed.fail("a").await;
    assert_eq!(count(&bed), ("10000".to_owned(), "10000".to_owned()));
    assert!(bed.world.redis.ask(&["ZSCORE", &dead, "old-9999"]).is_nil(), "the oldest one went");
    assert!(!bed.world.redis.ask(&["ZSCORE", &dead, "old-9998"]).is_nil());
    let listed = bed.user.run(&["dead", "ls", "--limit", "1"]).expect_code(0);
    assert!(listed.stderr.contains("10"), "{}", listed.stderr);

    bed.world.pass(91 * 86_400_000);
    let mut left = 10_000;
    // A page of those that are too old goes with each that comes.
    for turn in 0..3 {
        bed.fail("a").await;
        let now = bed.world.on("ZCARD", "dead", &[]).parse::<i64>().unwrap();
        assert!(now < left, "{turn}: {now} of {left}");
        left = now;
    }
    assert_eq!(bed.world.on("HLEN", "letters", &[]), left.to_string());
    assert!(!bed.world.redis.ask(&["HEXISTS", &letters, &newest]).is_nil());
}

#[tokio::test]
async fn more_letters_than_one_call_takes_are_done_once_although_an_answer_was_lost() {
    let mut bed = Bed::new(&["a"]).await;
    let real = bed.fail("a").await;
    let at = bed.world.store.now(0).await.unwrap().0;
    let fill = "local text = redis.call('HGET', KEYS[2], ARGV[1])
        for i = 1, 249 do
          redis.call('ZADD', KEYS[1], ARGV[2] - i, 'copy-' .. i)
          redis.call('HSET', KEYS[2], 'copy-' .. i, text)
        end";
    let (dead, letters) = (bed.world.key("dead"), bed.world.key("letters"));
    bed.world.redis.cli(&["EVAL", fill, "2", &dead, &letters, &real, &at.to_string()]);
    let proxy = Proxy::before(&bed.world.redis);
    proxy.meet("retry", 2, Fate::CutReply);
    let far = Upbeat::at(proxy.url());
    let retry = ["-o", "json", "dead", "retry", "--all", "-y", "--request-id", "r"];
    let outcome = far.run(&retry).expect_code(0);
    assert_eq!(proxy.hits("retry"), 1);
    let answer: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let mut told = changes(&answer);
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), 250, "each once");
    assert_eq!(answer["changes"].as_array().unwrap().len(), 250);
    assert_eq!((bed.dead(), bed.world.on("HLEN", "live", &[])), (Vec::new(), "250".to_owned()));
    assert_eq!(bed.world.on("LLEN", "queue:default:exec", &[]), "250");
    bed.world.assert_conserved();
}
