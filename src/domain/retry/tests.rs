//! What a retry reads, how long it waits, and what it refuses.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn retry(value: Value) -> Retry {
    Retry::parse("retry", &value).unwrap()
}

fn refused(value: Value) -> String {
    let error = Retry::parse("retry", &value).unwrap_err();
    format!("{error} | {}", error.problem().hint.clone().unwrap_or_default())
}

fn exit(code: i32) -> Failure {
    Failure { reason: Reason::Exit, exit_code: Some(code), http_status: None, retry_after: None }
}

fn http(status: u16, retry_after: Option<Span>) -> Failure {
    Failure { reason: Reason::HttpStatus, exit_code: None, http_status: Some(status), retry_after }
}

/// The waits in ms after one, two and more failures, without chance.
fn waits(value: Value) -> Vec<u64> {
    let retry = retry(value);
    (1..).map_while(|failed| retry.wait(failed, &exit(1), 0, 0.5)).map(|wait| wait.0).take(100).collect()
}

#[test]
fn a_table_says_what_it_does_not_say() {
    assert_eq!(retry(json!({})), Retry::default());
    let all = json!({"max_attempts": 5, "backoff": "linear", "delay": "1s", "max_delay": "1m", "jitter": 0, "within": "2h",
        "not_on": ["exit:2", "exit:64-78", "http:404", "http:400-499", "timeout"]});
    let retry = retry(all);
    assert_eq!((retry.max_attempts, retry.backoff, retry.jitter), (5, Backoff::Linear, 0.0));
    assert_eq!((retry.delay, retry.max_delay, retry.within), (Span(1000), Span(60_000), Some(Span(7_200_000))));
    assert_eq!(
        retry.not_on,
        [
            NotOn::Exit(2, 2),
            NotOn::Exit(64, 78),
            NotOn::Http(404, 404),
            NotOn::Http(400, 499),
            NotOn::Reason(Reason::Timeout)
        ]
    );
    let one_text = Retry::parse("retry", &json!({"not_on": "exit:2, timeout"})).unwrap();
    assert_eq!(one_text.not_on, [NotOn::Exit(2, 2), NotOn::Reason(Reason::Timeout)]);
}

#[test]
fn a_long_delay_moves_the_default_of_max_delay_and_a_short_max_delay_is_refused() {
    assert_eq!(retry(json!({"delay": "1h"})).max_delay, Span(3_600_000));
    assert_eq!(
        refused(json!({"delay": "1h", "max_delay": "10m"})),
        "retry.max_delay: 10m is shorter than delay, 1h | write a shorter delay too"
    );
    assert!(refused(json!({"max_delay": "5s"})).contains("delay, 10s, which is its default"));
}

#[test]
fn waits_grow_as_the_backoff_says_and_end_with_the_attempts() {
    assert_eq!(waits(json!({})), [10_000, 20_000]);
    assert_eq!(waits(json!({"max_attempts": 7, "delay": "1m"})), [60_000, 120_000, 240_000, 480_000, 600_000, 600_000]);
    assert_eq!(waits(json!({"max_attempts": 4, "backoff": "linear"})), [10_000, 20_000, 30_000]);
    assert_eq!(waits(json!({"max_attempts": 4, "backoff": "constant"})), [10_000; 3]);
    assert_eq!(waits(json!({"max_attempts": 3, "delay": "0s"})), [0, 0]);
    assert_eq!(waits(json!({"max_attempts": 1})), [0_u64; 0]);
    assert_eq!(waits(json!({"max_attempts": 100, "delay": "7d"})), [DELAY_MAX.0; 99]);
}

#[test]
fn jitter_moves_a_wait_by_its_part_to_both_sides() {
    let retry = retry(json!({"jitter": 0.2}));
    let wait = |random| retry.wait(1, &exit(1), 0, random).unwrap().0;
    assert_eq!((wait(0.0), wait(0.5), wait(1.0)), (8_000, 10_000, 12_000));
}

#[test]
fn what_not_on_names_is_not_repeated() {
    let retry = retry(json!({"not_on": ["exit:2", "http:400-499", "timeout"]}));
    let waits = |failure: Failure| retry.wait(1, &failure, 0, 0.5).is_some();
    assert!(!waits(exit(2)) && waits(exit(1)) && waits(exit(3)));
    assert!(!waits(http(404, None)) && waits(http(500, None)) && waits(http(399, None)));
    assert!(!waits(http(429, Some(Span(1000)))), "also where the target asks for later");
    assert!(!waits(Failure { reason: Reason::Timeout, exit_code: None, http_status: None, retry_after: None }));
}

#[test]
fn a_target_that_asks_for_more_gets_it_up_to_an_hour_or_max_delay() {
    let short = retry(json!({}));
    let wait = |retry: &Retry, asked| retry.wait(1, &http(503, Some(Span(asked))), 0, 0.5).unwrap().0;
    assert_eq!(wait(&short, 5_000), 10_000, "the own wait is longer");
    assert_eq!(wait(&short, 120_000), 120_000);
    assert_eq!(wait(&short, 1_800_000), 1_800_000, "longer than max_delay");
    assert_eq!(wait(&short, 86_400_000), 3_600_000);
    assert_eq!(wait(&retry(json!({"max_delay": "3h"})), 86_400_000), 10_800_000);
}

#[test]
fn no_attempt_begins_later_than_within() {
    let retry = retry(json!({"within": "1m", "jitter": 0}));
    assert_eq!(retry.wait(1, &exit(1), 50_000, 0.5), Some(Span(10_000)));
    assert_eq!(retry.wait(1, &exit(1), 50_001, 0.5), None);
    assert_eq!(retry.wait(1, &http(503, Some(Span(60_001))), 0, 0.5), None);
}

#[test]
fn what_is_no_retry_is_refused_with_a_way_out() {
    for (value, complaint) in [
        (
            json!(3),
            "retry: 3 is not a table; max_attempts counts the first attempt too | \
             write retry = { max_attempts = 3 }, or --retry max_attempts=3",
        ),
        (json!("3"), "retry: \"3\" is not a table; max_attempts counts the first attempt too | as in retry = { max_"),
        (json!("linear"), "retry: \"linear\" is not a table | write retry = { backoff = \"linear\" }"),
        (json!(false), "retry: false is not a table | leave retry out"),
        (json!([]), "retry: [] is not a table | as in retry = { max_attempts = 3 }"),
        (json!({"max_attempts": 0}), "retry.max_attempts: 0 is not between 1 and 100 | 1 is one attempt"),
        (json!({"max_attempts": 101}), "retry.max_attempts: 101 is not between 1 and 100"),
        (json!({"max_attempts": -1}), "retry.max_attempts: -1 is not a whole number from 1 to 100"),
        (
            json!({"max_attempts": "3"}),
            "retry.max_attempts: \"3\" is not a whole number from 1 to 100 | without quotes: 3",
        ),
        (json!({"backoff": "fixed"}), "retry.backoff: \"fixed\" is called constant here"),
        (json!({"backoff": "expnential"}), "retry.backoff: \"expnential\" is not one of exponential, linear, constant"),
        (json!({"delay": 10}), "retry.delay: 10 has no unit; write \"10s\""),
        (json!({"delay": "8d"}), "retry.delay: 8d is longer than the longest, 7d"),
        (json!({"delay": "-1s"}), "retry.delay: -1s is negative"),
        (json!({"within": "50ms"}), "retry.within: 50ms is shorter than the shortest, 100ms"),
        (json!({"within": "367d"}), "retry.within: 367d is longer than the longest, 366d"),
        (json!({"jitter": 1.5}), "retry.jitter: 1.5 is not a number from 0 to 1"),
        (json!({"jitter": "20%"}), "retry.jitter: \"20%\" is not a number from 0 to 1"),
        (json!({"retries": 3}), "retry.retries: unknown field | did you mean max_attempts? it counts the first"),
        (json!({"count": 3}), "retry.count: unknown field | did you mean max_attempts?"),
        (json!({"interval": "5s"}), "retry.interval: unknown field | did you mean delay?"),
        (json!({"max-delay": "5s"}), "retry.max-delay: unknown field | did you mean max_delay?"),
        (json!({"multiplier": 2}), "retry.multiplier: unknown field | backoff = \"exponential\" doubles each wait"),
        (json!({"zzzzzz": 2}), "retry.zzzzzz: unknown field; known are max_attempts, backoff"),
        (json!({"not_on": 404}), "retry.not_on: 404 is not a list of texts"),
        (json!({"not_on": ["404"]}), "retry.not_on: \"404\" says not of what | did you mean http:404?"),
        (json!({"not_on": ["2-5"]}), "retry.not_on: \"2-5\" says not of what | did you mean exit:2-5?"),
        (json!({"not_on": ["exit:0"]}), "retry.not_on: exit:0: a command that exits with 0 has not failed"),
        (json!({"not_on": ["exit:256"]}), "retry.not_on: \"exit:256\" names no exit codes"),
        (json!({"not_on": ["exit:5-2"]}), "retry.not_on: \"exit:5-2\" names no exit codes"),
        (json!({"not_on": ["http:4xx"]}), "retry.not_on: \"http:4xx\" names no statuses"),
        (json!({"not_on": ["timout"]}), "retry.not_on: \"timout\" is not a kind of failure | did you mean timeout?"),
        (json!({"not_on": ["lost"]}), "retry.not_on: lost: what happens to a node is no failure"),
        (json!({"not_on": ["overlap"]}), "retry.not_on: no attempt fails for the reason overlap"),
        (json!({"not_on": [""]}), "retry.not_on: \"\" is not a kind of failure"),
        (json!({"not_on": vec!["exit:2"; 33]}), "retry.not_on: 33 items are too many, 32 are the most"),
    ] {
        let refusal = refused(value);
        assert!(refusal.starts_with(complaint), "{refusal}\n{complaint}");
    }
}

fn any_retry() -> impl Strategy<Value = Retry> {
    let backoff = prop::sample::select(Backoff::ALL.as_slice());
    let within = prop::option::of((100..=366 * 86_400_000_u64).prop_map(Span));
    let spans = (0..=DELAY_MAX.0, 0..=DELAY_MAX.0);
    (1..=MAX_ATTEMPTS_MAX, backoff, spans, 0.0..=1.0, within).prop_map(
        |(max_attempts, backoff, (a, b), jitter, within)| {
            let (delay, max_delay) = (Span(a.min(b)), Span(a.max(b)));
            Retry { max_attempts, backoff, delay, max_delay, jitter, within, not_on: Vec::new() }
        },
    )
}

proptest! {
    #[test]
    fn a_wait_stays_inside_its_bounds_and_attempts_end(
        retry in any_retry(),
        failed in 0..=u32::MAX,
        asked in prop::option::of(0..=u64::MAX),
        elapsed_ms in 0..=i64::MAX,
        random in 0.0..=1.0,
    ) {
        let failure = http(503, asked.map(Span));
        let wait = retry.wait(failed, &failure, elapsed_ms, random);
        prop_assert!(wait.is_none() || failed < u32::from(retry.max_attempts));
        if let Some(wait) = wait {
            let most = (retry.max_delay.0 as f64 * (1.0 + retry.jitter)).round() as u64;
            prop_assert!(wait.0 <= most.max(ASKED_MAX.0));
            let least = (retry.delay.0 as f64 * (1.0 - retry.jitter)).round() as u64;
            prop_assert!(wait.0 >= least);
            prop_assert!(retry.within.is_none_or(|within| elapsed_ms + wait.ms() <= within.ms()));
        } else if failed < u32::from(retry.max_attempts) {
            prop_assert!(retry.within.is_some(), "nothing else ends it");
        }
    }

    #[test]
    fn without_jitter_no_wait_is_shorter_than_the_one_before(mut retry in any_retry(), failed in 1_u32..100) {
        (retry.jitter, retry.within, retry.max_attempts) = (0.0, None, 100);
        let wait = |failed| retry.wait(failed, &exit(1), 0, 0.5);
        if let (Some(first), Some(second)) = (wait(failed), wait(failed + 1)) {
            prop_assert!(first <= second && second <= retry.max_delay);
        }
    }

    #[test]
    fn no_text_of_not_on_panics(text in "\\PC{0,20}|(exit|http|status)?[:_=]?[0-9-]{0,8}") {
        let _ = NotOn::parse("retry.not_on", &text);
    }
}
