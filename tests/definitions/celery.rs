//! The celery action: what a user of Celery writes, and what he is told where that can't be meant.

use serde_json::json;
use upbeat::domain::action::{Action, Kind};
use upbeat::domain::celery::Celery;
use upbeat::domain::policy::Overlap;
use upbeat::domain::span::Span;

use crate::{entry, refusal, refused};

fn does(celery: &str) -> String {
    format!("every = '5m'\ncelery = {celery}")
}

fn celery(text: &str) -> Celery {
    match &entry(&does(text)).action {
        Action::Celery(celery) => (**celery).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_task_is_a_name_or_a_table_with_what_celery_would_take() {
    let short = celery("'app.tasks.report'");
    assert_eq!(
        (short.task.as_str(), short.queue.as_str(), short.priority, short.max_len),
        ("app.tasks.report", "celery", 0, 100_000)
    );
    let long = celery(
        "{ task = 't', args = [1, 'ä'], kwargs = { region = 'cn' }, queue = 'other', priority = 9, expires = '60s', countdown = 1.5, \
         headers = { tenant = 7 }, time_limit = 90, soft_time_limit = '1m', max_len = 5, key_prefix = 'app:' }",
    );
    assert_eq!((json!(long.args), json!(long.kwargs)), (json!([1, "ä"]), json!({"region": "cn"})));
    assert_eq!((long.expires, long.countdown), (Some(Span(60_000)), Some(Span(1_500))));
    assert_eq!((long.time_limit, long.soft_time_limit), (Some(Span(90_000)), Some(Span(60_000))));
    assert_eq!(long.list(), "app:other\u{6}\u{16}9");
    assert_eq!(entry(&does("'app.tasks.report'")).reads(), "celery app.tasks.report");
}

#[test]
fn the_claim_delivers_it_unless_it_is_tracked_or_goes_elsewhere() {
    let kind = |text: &str| entry(&does(text)).action.kind();
    assert_eq!(kind("'t'"), None);
    assert_eq!(kind("{ task = 't', track = true }"), Some(Kind::Celery));
    assert_eq!(kind("{ task = 't', broker = 'redis://other:6380/2' }"), Some(Kind::Celery));
    assert_eq!(entry(&does("'t'")).overlap, Overlap::Allow);
    assert_eq!(entry(&does("{ task = 't', broker = 'secret:CELERY' }")).overlap, Overlap::Allow);
    assert_eq!(entry(&does("{ task = 't', track = true }")).overlap, Overlap::Skip);
    assert_eq!(entry(&does("{ task = 't', broker = 'secret:CELERY' }")).effective_timeout(), Some(Span(30_000)));
    assert_eq!(entry(&does("{ task = 't', track = true }")).effective_timeout(), None);
}

#[test]
fn what_needs_an_end_goes_with_a_tracked_task_only() {
    for line in [
        "timeout = '5m'",
        "retry = { max_attempts = 3 }",
        "overlap = 'skip'",
        "max_running = 2",
        "delivery = 'at_most_once'",
    ] {
        for task in ["'t'", "{ task = 't', broker = 'redis://other' }"] {
            let problem = refusal(&format!("{}\n{line}", does(task)));
            assert_eq!(problem.field.as_deref(), line.split(' ').next(), "{line}");
            assert!(problem.hint.unwrap().contains("track = true"), "{line}");
        }
        let overlap = if line.starts_with("max_running") { "\noverlap = 'allow'" } else { "" };
        entry(&format!("{}\n{line}{overlap}", does("{ task = 't', track = true }")));
    }
    assert!(refused(&format!("{}\npayload = 1", does("'t'"))).contains("args and kwargs"));
}

#[test]
fn what_can_not_be_meant_is_refused_with_the_way_out() {
    for (wrong, field, words) in [
        ("5", "celery", "app.tasks.report"),
        ("''", "celery", "is empty"),
        ("'my task'", "celery", "[tasks]"),
        ("{ args = [1] }", "celery.task", "is missing"),
        ("{ task = 't', args = { a = 1 } }", "celery.args", "a table is kwargs"),
        ("{ task = 't', args = 'x' }", "celery.args", "args = [\"x\"]"),
        ("{ task = 't', kwargs = [1] }", "celery.kwargs", "a list is args"),
        ("{ task = 't', priority = 10 }", "celery.priority", "between 0 and 9"),
        ("{ task = 't', priority = 'high' }", "celery.priority", "0, the first, to 9"),
        ("{ task = 't', expires = '60' }", "celery.expires", "60s or 1m"),
        ("{ task = 't', expires = 0 }", "celery.expires", "leave it out"),
        ("{ task = 't', countdown = -1 }", "celery.countdown", "leave it out"),
        ("{ task = 't', expires = '2026-12-01T00:00:00Z' }", "celery.expires", "end ="),
        ("{ task = 't', expires = 2026-12-01T00:00:00Z }", "celery.expires", "end ="),
        ("{ task = 't', expires = '1m', countdown = '1m' }", "celery.expires", "before it may begin"),
        ("{ task = 't', time_limit = 5, soft_time_limit = 5 }", "celery.soft_time_limit", "not shorter"),
        ("{ task = 't', eta = '60s' }", "celery.eta", "countdown"),
        ("{ task = 't', exchange = 'x' }", "celery.exchange", "name the queue"),
        ("{ task = 't', global_keyprefix = 'x' }", "celery.global_keyprefix", "key_prefix"),
        ("{ task = 't', priority_steps = [0, 5] }", "celery.priority_steps", "0, 3, 6 and 9"),
        ("{ task = 't', kwarg = {} }", "celery.kwarg", "did you mean kwargs?"),
        ("{ task = 't', headers = { id = 'x' } }", "celery.headers.id", "set by Celery"),
        ("{ task = 't', headers = { eta = 'x' } }", "celery.headers.eta", "celery.countdown"),
        ("{ task = 't', headers = { key = 'secret:X' } }", "celery.headers.key", "no secret"),
        ("{ task = 't', headers = { compression = 'gzip' } }", "celery.headers.compression", "not compressed"),
        ("{ task = 't', queue = '' }", "celery.queue", "empty"),
        ("{ task = 't', queue = \"a\\u0006\\u00163\" }", "celery.queue", "priority"),
        ("{ task = 't', queue = 'upbeat:{default:0}:due' }", "celery.queue", "own prefix"),
        ("{ task = 't', queue = '{default:0}:due', key_prefix = 'upbeat:' }", "celery.queue", "own prefix"),
        ("{ task = 't', result_backend = 'redis://a' }", "celery.result_backend", "track = true"),
    ] {
        let problem = refusal(&does(wrong));
        assert_eq!(problem.field.as_deref(), Some(field), "{wrong}: {problem:?}");
        let said = format!("{} | {}", problem.message, problem.hint.unwrap_or_default());
        assert!(said.contains(words), "{wrong}: {said}");
    }
    let deep = format!("{{ task = 't', args = {}1{} }}", "[".repeat(40), "]".repeat(40));
    assert!(refused(&does(&deep)).contains("32 deep"));
    let long = format!("{{ task = 't', kwargs = {{ a = '{}' }} }}", "x".repeat(65_600));
    assert!(refused(&does(&long)).contains("65536 are the most") || refused(&does(&long)).contains("bytes"));
}

#[test]
fn brokers_that_are_no_redis_are_refused_by_name_with_the_ways_out() {
    for (url, name) in [
        ("amqp://guest@rabbit//", "RabbitMQ"),
        ("pyamqp://rabbit", "RabbitMQ"),
        ("sqs://", "Amazon SQS"),
        ("confluentkafka://k:9092", "Kafka"),
        ("sqla+sqlite:///x", "no Redis"),
        ("memory://", "no server"),
    ] {
        let problem = refusal(&does(&format!("{{ task = 't', broker = '{url}' }}")));
        assert_eq!(problem.field.as_deref(), Some("celery.broker"), "{url}");
        assert!(problem.message.contains(name), "{url}: {}", problem.message);
        let hint = problem.hint.unwrap();
        assert!(hint.contains("\"call\"") && hint.contains("http"), "{hint}");
    }
    for (url, words) in [
        ("redis", "redis://HOST:PORT/DB"),
        ("sentinel://a:26379", "name the master"),
        ("redis://:pw@host/0", "secret:CELERY_BROKER"),
        ("redis://169.254.169.254/0", "metadata"),
        ("redis://host/x", "database number"),
        ("redis+socket:///run/r.sock", "unix:///"),
        ("x secret:BROKER", "whole value"),
    ] {
        let problem = refusal(&does(&format!("{{ task = 't', broker = '{url}' }}")));
        let said = format!("{} | {}", problem.message, problem.hint.unwrap_or_default());
        assert!(said.contains(words) && !said.contains("pw"), "{url}: {said}");
    }
    let backend = refusal(&does("{ task = 't', track = true, result_backend = 'db+postgresql://x' }"));
    assert!(backend.message.contains("a database") && backend.hint.unwrap().contains("result_backend"));
}

#[test]
fn numbers_of_any_size_survive_the_definition() {
    let text = r#"{"every": "5m", "celery": {"task": "t", "args": [123456789012345678901234567890, 0.1, 1e22], "kwargs": {"n": -9007199254740993}}}"#;
    let fields: serde_json::Map<_, _> = serde_json::from_str(text).unwrap();
    let entry = upbeat::domain::entry::Entry::parse(fields).unwrap();
    let again = entry.to_json();
    assert!(
        again.contains("[123456789012345678901234567890,0.1,1e+22]") && again.contains("-9007199254740993"),
        "{again}"
    );
}

#[test]
fn a_task_with_null_goes_into_a_toml_file_and_back() {
    let text = r#"{"entries": {"a": {"every": "5m", "celery": {"task": "t", "args": [null, 18446744073709551616], "track": true}},
        "b": {"every": "5m", "celery": {"task": "t", "args": [1e22, 0.5, -1]}}}}"#;
    let file = upbeat::domain::file::ScheduleFile::parse("a.json", text).unwrap();
    let toml = file.to_toml();
    assert!(
        toml.contains("celery_json = '{\"task\":\"t\",\"args\":[null,18446744073709551616],\"track\":true}'"),
        "{toml}"
    );
    assert!(toml.contains("celery = { task = \"t\", args = [1e+22, 0.5, -1] }"), "{toml}");
    let again = crate::file(&toml);
    assert_eq!(again.to_json(), file.to_json());
    let with_defaults = crate::file(&format!("[defaults]\ntimeout = '5m'\nqueue = 'q'\n{toml}")).entries;
    let of = |at: usize| (with_defaults[at].entry.timeout, with_defaults[at].entry.queue.as_str());
    assert_eq!(of(0), (Some(Span(300_000)), "q"), "defaults hold for the task that is waited for");
    assert_eq!(of(1), (None, "default"));
    let old = entry("every = '5m'\nshell = 'x'");
    let new = old.with(crate::fields("celery_json = '{\"task\": \"t\", \"args\": [null]}'"), &[]).unwrap();
    assert_eq!(new.to_json(), r#"{"every":"5m","celery":{"task":"t","args":[null]}}"#);
}
