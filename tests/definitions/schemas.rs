//! The JSON Schema of schedule files: it accepts what the reader accepts, and refuses with it.

use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::{Value, json};
use upbeat::domain::file::ScheduleFile;
use upbeat::domain::schema::schema;

/// Fails where the schema refuses a document that the reader accepts.
#[track_caller]
pub fn assert_fits(document: &Value) {
    let errors: Vec<String> =
        validator().iter_errors(document).map(|error| format!("{}: {error}", error.instance_path)).collect();
    assert!(errors.is_empty(), "{document}: {errors:#?}");
}

fn validator() -> &'static Validator {
    static VALIDATOR: OnceLock<Validator> = OnceLock::new();
    VALIDATOR.get_or_init(|| jsonschema::draft202012::new(&schema()).unwrap())
}

#[test]
fn it_is_a_schema_of_draft_2020_12() {
    assert!(jsonschema::draft202012::meta::is_valid(&schema()));
}

#[test]
fn what_is_wrong_in_a_field_is_refused_by_schema_and_reader() {
    let good = json!({"every": "5m", "shell": "x"});
    let with = |field: &str, value: Value| {
        let mut entry = good.clone();
        entry[field] = value;
        json!({"entries": {"a": entry}})
    };
    assert_fits(&json!({"entries": {"a": good}}));
    let wrong_fields = [
        ("evry", json!("5m")),
        ("every", json!("5")),
        ("every", json!(5)),
        ("every", json!("1.5h")),
        ("every", json!("30m1h")),
        ("cron", json!("0 9 * * *")),
        ("http", json!("https://a.example")),
        ("after", json!({"entry": "b"})),
        ("celery", json!("x")),
        ("celery", json!({"args": [1]})),
        ("celery", json!({"task": "t", "priority": 10})),
        ("celery", json!({"task": "t", "args": {"a": 1}})),
        ("celery", json!({"task": "t", "expires": "60"})),
        ("celery", json!({"task": "t", "countdown": 0})),
        ("celery", json!({"task": "t", "headers": {"id": "x"}})),
        ("celery", json!({"task": "t", "eta": "60s"})),
        ("tz", json!(1)),
        ("start", json!(1)),
        ("max_fires", json!(0)),
        ("max_fires", json!("3")),
        ("exclude", json!(1)),
        ("spread", json!(true)),
        ("dst", json!({"gap": "later"})),
        ("dst", json!({"gab": "skip"})),
        ("env", json!({"A-B": "x"})),
        ("env", json!({"A": 1})),
        ("cwd", json!("")),
        ("queue", json!("My Queue")),
        ("timeout", json!(5)),
        ("retry", json!(3)),
        ("retry", json!({"max_attempts": 0})),
        ("retry", json!({"delay": 5})),
        ("retry", json!({"jitter": 2})),
        ("retry", json!({"backoff": "fast"})),
        ("retry", json!({"not_on": 2})),
        ("retry", json!({"retries": 2})),
        ("overlap", json!("maybe")),
        ("catch_up", json!("some")),
        ("catch_up", json!({"max_runs": 5})),
        ("catch_up", json!({"mode": "all", "max_runs": 101})),
        ("start_within", json!(300)),
        ("delivery", json!("exactly_once")),
        ("max_running", json!(0)),
        ("priority", json!("high")),
        ("concurrency_key", json!("db")),
        ("keep_runs", json!(10_001)),
        ("labels", json!({"a b": "x"})),
        ("labels", json!({"a": 1})),
        ("note", json!("")),
        ("paused", json!("yes")),
        ("payload_json", json!({})),
        ("shell", json!("")),
        ("shell", Value::Null),
        ("exec", json!(["x"])),
    ];
    for (field, value) in wrong_fields {
        assert_both_refuse(&with(field, value));
    }
    for entry in [
        json!({"shell": "x"}),
        json!({"every": "5m"}),
        json!({"every": "5m", "exec": "x y"}),
        json!({"every": "5m", "exec": []}),
        json!({"every": "5m", "http": {"method": "GET"}}),
        json!({"every": "5m", "http": {"url": "https://a.example", "ok": [700]}}),
        json!({"every": "5m", "http": {"url": "https://a.example", "body": "x"}}),
        json!({"every": "5m", "list": {"key": "k", "trim": true}}),
        json!({"every": "5m", "stream": {"max_len": 1}}),
        json!({"every": "5m", "publish": {"key": "k"}}),
        json!({"every": "5m", "stream": {"key": "k", "max_len": 0}}),
        json!({"cron": [], "shell": "x"}),
        json!({"cron": 5, "shell": "x"}),
        json!({"at": 5, "shell": "x"}),
        json!({"rrule": [], "shell": "x"}),
        json!("x"),
    ] {
        assert_both_refuse(&json!({"entries": {"a": entry}}));
    }
    for document in [
        json!({"entry": {}}),
        json!({"entries": []}),
        json!({"entries": {"a b": good}}),
        json!({"entries": {"-a": good}}),
        json!({"owner": "My Team"}),
        json!({"namespace": 1}),
        json!({"alerts": {}}),
        json!({"defaults": {"cron": "0 9 * * *"}}),
        json!({"defaults": {"timeout": 5}}),
        json!({"calendars": {"cn": {}}}),
        json!({"calendars": {"cn": {"file": "a.ics", "dates": ["2026-12-25"]}}}),
        json!({"calendars": {"cn": {"dates": []}}}),
        json!({"calendars": {"CN": {"dates": ["2026-12-25"]}}}),
    ] {
        assert_both_refuse(&document);
    }
}

#[track_caller]
fn assert_both_refuse(document: &Value) {
    assert!(!validator().is_valid(document), "the schema accepts {document}");
    assert!(ScheduleFile::parse("x.json", &document.to_string()).is_err(), "the reader accepts {document}");
}
