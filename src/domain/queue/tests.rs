//! Limits as people write them, and what is refused.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn refusal(text: &str) -> String {
    let error = Rate::parse("rate", text).unwrap_err();
    format!("{error}; {}", error.problem().hint.clone().unwrap_or_default())
}

#[test]
fn a_rate_is_a_number_of_starts_and_a_span() {
    for (text, starts, ms) in
        [("100/1m", 100, 60_000), ("1/1s", 1, 1_000), (" 5 / 1h30m ", 5, 5_400_000), ("10/min", 10, 60_000)]
    {
        assert_eq!(Rate::parse("rate", text).unwrap(), Rate { starts, span: Span(ms) }, "{text}");
    }
    assert_eq!(Rate::parse("rate", "100/60s").unwrap().to_string(), "100/1m");
}

#[test]
fn a_rate_that_can_not_be_meant_is_refused_with_a_way_out() {
    assert!(refusal("100").contains("100 has no span; 100/1m starts 100 runs a minute"), "{}", refusal("100"));
    assert!(refusal("100/").contains("has no span behind the /"), "{}", refusal("100/"));
    assert!(refusal("0/1m").contains("0 lets nothing start"), "{}", refusal("0/1m"));
    assert!(refusal("5/0s").contains("0s is not between 1s and 366d"), "{}", refusal("5/0s"));
    assert!(refusal("5/100ms").contains("10/100ms is the same as 100/1s"), "{}", refusal("5/100ms"));
    assert!(refusal("5/60").contains("60 has no unit"), "{}", refusal("5/60"));
    for bad in ["", "/", "/1m", "a/1m", "-5/1m", "+5/1m", "1.5/1m", "1000001/1m", "5/400d", "5/1m/2"] {
        Rate::parse("rate", bad).unwrap_err();
    }
}

#[test]
fn limits_in_a_file_are_read_and_written_alike_and_odd_fields_are_named() {
    let value = json!({"max_running": 5, "rate": "100/1m"});
    let limits = QueueLimits::read("queues.reports", &value).unwrap();
    assert_eq!(Value::Object(limits.to_fields()), value);
    let complaint = |value: Value| {
        let error = QueueLimits::read("queues.q", &value).unwrap_err();
        format!("{error}; {}", error.problem().hint.clone().unwrap_or_default())
    };
    for (value, words) in [
        (json!({"max_runing": 5}), "queues.q.max_runing: unknown field; did you mean max_running?"),
        (json!({"concurrency": 5}), "queues.q.concurrency: unknown field; did you mean max_running?"),
        (json!({"max_running": "5"}), "without quotes: 5"),
        (json!({"max_running": 0}), "queues pause"),
        (json!({"max_running": 10_001}), "10001 is not between 1 and 10000"),
        (json!({"rate": 100}), "queues.q.rate: 100 is not a rate"),
        (json!({"rate": "5/0s"}), "queues.q.rate: "),
        (json!({"rate": "5/1m", "paused": true}), "neither pauses nor resumes"),
        (json!({}), "max_running, rate or both are needed"),
        (json!(5), "queues.q: "),
    ] {
        let complaint = complaint(value.clone());
        assert!(complaint.contains(words), "{value}: {complaint}");
    }
}

#[test]
fn a_limit_to_unset_is_known_by_its_name() {
    assert_eq!(limit_name("max-running").unwrap(), "max_running");
    assert_eq!(limit_name("--rate").unwrap(), "rate");
    assert!(limit_name("rates").unwrap_err().problem().hint.clone().unwrap().contains("did you mean rate?"));
}

#[test]
fn a_rule_of_a_newer_program_and_a_damaged_one_are_told_apart() {
    let text = br#"{"v":1,"max_running":5,"running_share":5,"birth":"7","at":1000,"actor":"ana"}"#;
    let rule = QueueRule::read("q", text).unwrap();
    assert_eq!((rule.limits.max_running, rule.pause, rule.at), (Some(5), None, Timestamp(1000)));
    assert!(matches!(QueueRule::read("q", br#"{"v":2}"#), Err(Error::Conflict(_))));
    assert!(matches!(QueueRule::read("q", b"{}"), Err(Error::Corrupt(_))));
    assert!(matches!(QueueRule::read("q", b"\0"), Err(Error::Corrupt(_))));
}

proptest! {
    #[test]
    fn shares_sum_up_to_the_limit_and_grow_with_it(limit in 1_u32..20_000, shards in 1_u16..300) {
        let sum = |limit| (0..shards).map(|shard| share(limit, shard, shards)).sum::<u32>();
        prop_assert_eq!(sum(limit), limit);
        for shard in 0..shards {
            prop_assert!(share(limit, shard, shards) >= share(limit - 1, shard, shards));
        }
    }
}
