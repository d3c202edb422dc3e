//! The audit against a real Redis: clean after whatever people and clocks do, and it notices each record that is touched.

use serde_json::{Value, json};
use upbeat::domain::ledger::STRETCH_LEN;
use upbeat::domain::timestamp::Timestamp;
use upbeat::error::Error;
use upbeat::service::{AuditView, Select};

use crate::bed::{Bed, id, object};
use crate::pauses::settle;

const DAY_MS: i64 = 86_400_000;

pub async fn audit(bed: &Bed) -> AuditView {
    bed.service.audit(None, None).await.unwrap()
}

/// Nothing is missing, nothing too many, nothing uncovered; returns what was expected.
#[track_caller]
pub fn clean(view: &AuditView) -> u64 {
    let sum = view.numbers.fired + view.numbers.skipped + view.numbers.missed + view.numbers.missing;
    assert_eq!(view.numbers.expected, sum, "{view:?}");
    assert_eq!((view.numbers.missing, view.numbers.extra), (0, 0), "{:#?}", view.entries);
    assert!(view.entries.is_empty(), "{:#?}", view.entries);
    view.numbers.expected
}

pub fn fields(when: Value) -> Value {
    let mut fields = object(when);
    fields.insert("exec".to_owned(), json!(["true"]));
    fields.insert("overlap".to_owned(), json!("allow"));
    fields.insert("keep_runs".to_owned(), json!(1));
    Value::Object(fields)
}

/// A minute's entry over a day, claimed every ten minutes or late.
async fn day_of_minutes() -> (Bed, u64) {
    let bed = Bed::new().await;
    bed.add("a", fields(json!({"cron": "* * * * *"}))).await;
    for step in 1..=144 {
        bed.shift(step * 600_000);
        settle(&bed).await;
    }
    let expected = clean(&audit(&bed).await);
    assert!((1_438..=1_441).contains(&expected), "{expected}");
    (bed, expected)
}

/// The packed ledger of an entry.
async fn ledger(bed: &Bed, name: &str) -> Vec<u8> {
    bed.store().ledger(0, &id(name)).await.unwrap()
}

pub fn write_ledger(bed: &Bed, name: &str, bytes: &[u8]) {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let unhex = "string.gsub(ARGV[2], '..', function(hex) return string.char(tonumber(hex, 16)) end)";
    let script = format!("return redis.call('HSET', KEYS[1], ARGV[1], ({unhex}))");
    bed.redis.cli(&["EVAL", &script, "1", &bed.key(0, "ledger"), name, &hex]);
}

/// A stretch of one fire time, as it is packed.
fn record(at: Timestamp, revision: u32) -> Vec<u8> {
    let six = &at.0.to_be_bytes()[2..];
    let seven = &at.0.to_be_bytes()[1..];
    [six, six, &1_u32.to_be_bytes(), seven, &revision.to_be_bytes(), &[5, 0]].concat()
}

#[tokio::test]
async fn a_day_of_minutes_with_one_record_kept_is_proven_whole() {
    let (bed, expected) = day_of_minutes().await;
    assert_eq!(expected, bed.outcomes("a").await.values().sum::<u64>());
    assert!(bed.records("a").await.len() <= 32, "keep_runs = 1");
}

#[tokio::test]
async fn a_record_deleted_by_hand_is_missing_with_its_times() {
    let bed = Bed::new().await;
    bed.add("a", fields(json!({"cron": "* * * * *"}))).await;
    bed.shift(600_000);
    settle(&bed).await;
    bed.pause("a").await;
    bed.shift(1_200_000);
    bed.resume("a").await;
    bed.shift(1_800_000);
    settle(&bed).await;
    clean(&audit(&bed).await);
    let stretches = bed.stretches("a").await;
    let paused = stretches.iter().position(|one| one.outcome == upbeat::domain::run::State::Skipped).unwrap();
    let whole = ledger(&bed, "a").await;
    let mut cut = whole.clone();
    cut.drain(1 + paused * STRETCH_LEN..1 + (paused + 1) * STRETCH_LEN);
    write_ledger(&bed, "a", &cut);
    let view = audit(&bed).await;
    let entry = &view.entries[0];
    assert_eq!((view.numbers.missing, view.numbers.extra, entry.reason), (stretches[paused].count, 0, "missing"));
    assert_eq!(entry.missing_times[0].0, stretches[paused].first);
    assert_eq!(entry.missing_times.last().unwrap().0, stretches[paused].last);
    // The last one, and the ledger grows over the gap.
    let mut cut = whole.clone();
    cut.truncate(whole.len() - STRETCH_LEN);
    let last = *stretches.last().unwrap();
    write_ledger(&bed, "a", &cut);
    bed.shift(1_920_000);
    settle(&bed).await;
    let view = audit(&bed).await;
    assert_eq!((view.numbers.missing, view.numbers.extra), (last.count, 0), "{view:?}");
    assert_eq!(view.entries[0].missing_times[0].0, last.first);
}

#[tokio::test]
async fn a_record_added_by_hand_is_extra_with_its_time() {
    let (bed, expected) = day_of_minutes().await;
    let whole = ledger(&bed, "a").await;
    let first = bed.stretches("a").await[0].first;
    for (at, is_expected) in [(Timestamp(first.0 + 60_000), true), (Timestamp(first.0 + 61_000), false)] {
        let mut more = vec![1];
        more.extend(record(at, 1));
        more.extend(&whole[1..]);
        write_ledger(&bed, "a", &more);
        let view = audit(&bed).await;
        assert_eq!((view.numbers.missing, view.numbers.extra), (0, 1), "{is_expected} {view:?}");
        assert_eq!(view.entries[0].extra_times, [upbeat::service::At(at)]);
        assert_eq!(view.numbers.expected, expected);
        let sum = view.numbers.fired + view.numbers.skipped + view.numbers.missed;
        assert_eq!(sum, expected, "what is too many has no outcome");
    }
    // Of a revision that never held.
    let mut more = whole.clone();
    more.extend(record(Timestamp(first.0 + 60_000), 9));
    write_ledger(&bed, "a", &more);
    assert_eq!(audit(&bed).await.numbers.extra, 1);
}

#[tokio::test]
async fn without_its_ledger_every_fire_time_since_creation_is_missing() {
    let (bed, expected) = day_of_minutes().await;
    bed.redis.cli(&["HDEL", &bed.key(0, "ledger"), "a"]);
    let view = audit(&bed).await;
    assert_eq!((view.numbers.expected, view.numbers.missing, view.numbers.extra), (expected, expected, 0));
    assert_eq!(view.entries[0].missing_times.len(), 100, "the first of them are named");
    write_ledger(&bed, "a", b"\x01damaged");
    let view = audit(&bed).await;
    assert_eq!(
        (view.entries[0].reason, view.numbers.missing),
        ("missing", expected),
        "what can't be read is no record"
    );
    assert!(view.entries[0].message.as_ref().unwrap().contains("its ledger is damaged"), "{view:?}");
}

#[tokio::test]
async fn a_cursor_moved_by_hand_leaves_fire_times_missing() {
    let (bed, _) = day_of_minutes().await;
    let next = bed.service.show(&id("a")).await.unwrap().view.next_fire_at.unwrap().0;
    bed.redis.cli(&["ZADD", &bed.key(0, "due"), &(next.0 + 180_000).to_string(), "a"]);
    let view = audit(&bed).await;
    assert_eq!((view.numbers.missing, view.entries[0].missing_times.first().map(|at| at.0)), (3, Some(next)));
}

#[tokio::test]
async fn what_has_come_and_has_no_outcome_yet_is_open_and_not_missing() {
    let bed = Bed::new().await;
    bed.add("due", fields(json!({"every": "1m"}))).await;
    bed.add("paused", fields(json!({"every": "1m"}))).await;
    bed.pause("paused").await;
    bed.shift(10 * 60_000);
    let view = audit(&bed).await;
    assert_eq!((clean(&view), view.numbers.open), (0, 20));
    bed.set("due", json!({"catch_up": "all"})).await;
    settle(&bed).await;
    bed.shift(20 * 60_000);
    settle(&bed).await;
    let view = audit(&bed).await;
    clean(&view);
    // The pause goes on, and a back-log of one a second waits.
    assert!(view.numbers.open >= 20 + 5, "{view:?}");
}

#[tokio::test]
async fn since_cuts_what_is_asked_for_and_the_future_is_refused() {
    let (bed, expected) = day_of_minutes().await;
    let now = bed.now().await;
    let view = bed.service.audit(None, Some(Timestamp(now.0 - 3_600_000))).await.unwrap();
    assert!((59..=61).contains(&clean(&view)), "{view:?}");
    assert_eq!(view.covered_from, view.from);
    let older = bed.service.audit(None, Some(Timestamp(now.0 - 60 * DAY_MS))).await.unwrap();
    assert_eq!(clean(&older), expected);
    assert!(older.covered_from > older.from, "it was created later");
    let future = bed.service.audit(None, Some(Timestamp(now.0 + 60_000))).await;
    assert!(matches!(future, Err(Error::Invalid(_))), "{future:?}");
    let unknown = bed.service.audit(Some(&Select::Ids(vec![id("b")])), None).await;
    assert!(matches!(unknown, Err(Error::NotFound(_))), "{unknown:?}");
}

#[tokio::test]
async fn removed_entries_are_audited_and_so_are_those_added_again() {
    let bed = Bed::new().await;
    for round in 1..=3 {
        bed.add("a", fields(json!({"every": "1m"}))).await;
        bed.shift((round * 2 - 1) * 600_000);
        if round != 2 {
            settle(&bed).await;
        }
        bed.remove("a").await;
        bed.shift(round * 2 * 600_000);
    }
    let view = audit(&bed).await;
    assert!((27..=30).contains(&clean(&view)), "{view:?}");
    let named = bed.service.audit(Some(&Select::Ids(vec![id("a")])), None).await.unwrap();
    assert_eq!(clean(&named), view.numbers.expected);
    bed.redis.cli(&["HDEL", &bed.key(0, "removed"), "a"]);
    let view = audit(&bed).await;
    assert_eq!((view.entries[0].reason, view.numbers.expected), ("not_covered", 0), "nobody knows what was expected");
}

#[tokio::test]
async fn a_revision_that_is_gone_is_said_and_never_counted_as_clean() {
    let bed = Bed::new().await;
    bed.add("a", fields(json!({"every": "1m"}))).await;
    bed.shift(600_000);
    bed.set("a", json!({"every": "2m"})).await;
    bed.shift(1_200_000);
    settle(&bed).await;
    let whole = clean(&audit(&bed).await);
    let changed = bed.definition("a").await.at;
    bed.redis.cli(&["HDEL", &bed.key(0, "revisions"), "a\0\x31"]);
    let view = audit(&bed).await;
    assert_eq!((view.numbers.missing, view.numbers.extra), (0, 0));
    assert!(view.numbers.expected < whole);
    assert_eq!(
        (view.entries[0].reason, view.entries[0].covered_from.unwrap().0),
        ("not_covered", Timestamp(changed.0 + 1))
    );
    assert_eq!(view.covered_from.0, Timestamp(changed.0 + 1));
}

#[tokio::test]
async fn the_time_in_which_no_node_claimed_is_told() {
    let bed = Bed::new().await;
    bed.add("a", json!({"every": "1m", "exec": ["true"], "overlap": "allow"})).await;
    bed.claim(0).await;
    bed.shift(3_600_000);
    bed.claim(0).await;
    let view = bed.service.audit(None, None).await.unwrap();
    assert_eq!((view.numbers.missing, view.numbers.extra, view.outages.len()), (0, 0, 1), "{view:?}");
    let outage = view.outages[0];
    assert!((3_590_000..3_700_000).contains(&(outage.until.0.0 - outage.from.0.0)), "{outage:?}");
}
