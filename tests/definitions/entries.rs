//! Schedule and policies of an entry.

use serde_json::json;
use upbeat::domain::entry::FIELDS;
use upbeat::domain::policy::{CatchUp, Delivery, Overlap};
use upbeat::domain::retry::{Backoff, NotOn, Retry};
use upbeat::domain::schedule::When;
use upbeat::domain::span::Span;

use crate::{entry, fields, refusal, refused};

const DO: &str = "exec = ['true']\n";

fn with(line: &str) -> String {
    format!("{DO}every = '5m'\n{line}")
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let entry = entry(&with(""));
    assert_eq!(entry.overlap, Overlap::Skip);
    assert_eq!(entry.catch_up, CatchUp::Latest);
    assert_eq!(entry.queue.as_str(), "default");
    assert_eq!(entry.keep_runs, 100);
    assert_eq!((&entry.retry, entry.delivery), (&None, Delivery::AtLeastOnce));
    assert_eq!(entry.schedule.zone.name(), "UTC");
    assert_eq!((entry.timeout, entry.effective_timeout(), entry.start_within), (None, None, None));
    assert_eq!(entry.to_json(), r#"{"every":"5m","exec":["true"]}"#);
}

#[test]
fn an_entry_has_exactly_one_schedule_and_one_action() {
    assert_eq!(refused(DO), "no schedule: exactly one of cron, every, at, rrule is needed");
    assert_eq!(
        refused(&with("cron = '@daily'")),
        "every: cron is given too; an entry has exactly one of cron, every, at, rrule"
    );
    assert_eq!(
        refused("every = '5m'"),
        "no action: exactly one of exec, shell, http, celery, stream, list, publish is needed"
    );
    assert!(refused("every = '5m'\nshell = 'a'\nexec = ['a']\nlist = 'b'").contains("exec, shell, list are given"));
}

#[test]
fn a_word_of_another_scheduler_names_the_right_one() {
    for (written, meant) in [
        ("timezone = 'UTC'", "tz"),
        ("command = 'x'", "exec"),
        ("retries = 3", "retry"),
        ("interval = 5", "every"),
        ("schedule = '* * * * *'", "cron"),
        ("args = []", "exec"),
        ("enabled = true", "paused"),
        ("url = 'https://a'", "http"),
        ("concurrency = 1", "overlap or max_running"),
        ("timout = '5m'", "timeout"),
        ("start-within = '5m'", "start_within"),
        ("Labels = {}", "labels"),
        ("maxInstances = 3", "max_running"),
    ] {
        let problem = refusal(&with(written));
        assert_eq!(problem.message, "unknown field", "{written}");
        let hint = problem.hint.as_deref().unwrap_or_default();
        assert!(hint.starts_with(&format!("did you mean {meant}?")), "{written}: {hint}");
        assert_eq!(problem.field.as_deref(), written.split(" =").next());
    }
    assert_eq!(refusal(&with("zzzzzz = 1")).message, "unknown field");
    assert!(refused(&with("max_len = 5")).contains("stream = { ... }"));
}

#[test]
fn what_comes_later_is_refused_by_name_whatever_it_says() {
    for (field, value) in [
        ("after", "{ entry = 'a', on = 'success' }"),
        ("handler", "'send-report'"),
        ("concurrency_key", "'db'"),
        ("priority", "'high'"),
    ] {
        let problem = refusal(&with(&format!("{field} = {value}")));
        assert_eq!((problem.field.as_deref(), problem.message.as_str()), (Some(field), "not in this version yet"));
        assert!(FIELDS.contains(&field));
    }
    // One complaint is enough where the kind itself comes later.
    for only in ["shell = 'x'\nafter = 'a'", "every = '5m'\nhandler = 'x'"] {
        let errors = upbeat::domain::entry::Entry::parse_all(fields(only)).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
    }
    entry(&with("delivery = 'at_least_once'\npriority = 'normal'"));
    assert!(refused(&with("priority = 'hi'")).contains("not one of normal, high, low"));
}

#[test]
fn paused_is_no_part_of_a_definition() {
    assert!(refused(&with("paused = true")).contains("upbeat pause"));
}

#[test]
fn every_lies_between_100ms_and_366d() {
    let every = |text: &str| format!("{DO}every = {text}");
    assert_eq!(entry(&every("'100ms'")).schedule.when, When::Every(Span(100)));
    entry(&every("'366d'"));
    assert_eq!(refused(&every("'0s'")), "every: 0s is shorter than the shortest, 100ms");
    assert_eq!(refused(&every("'99ms'")), "every: 99ms is shorter than the shortest, 100ms");
    assert_eq!(refused(&every("'367d'")), "every: 367d is longer than the longest, 366d");
    assert_eq!(refused(&every("300")), "every: 300 has no unit; write \"5m\"");
    assert_eq!(refused(&with("start_within = 300")), "start_within: 300 has no unit; write \"5m\"");
    assert_eq!(refused(&with("timeout = 1.5")), "timeout: 1.5 has no unit; write \"1s500ms\"");
    assert_eq!(refused(&with("timeout = -1")), "timeout: -1 has no unit; write \"5m\"");
    for wrong in ["'5'", "''", "'5x'", "'-5m'", "true", "[]", "'99999999999999999999d'"] {
        assert_eq!(refusal(&every(wrong)).field.as_deref(), Some("every"), "{wrong}");
    }
}

#[test]
fn cron_is_a_text_or_a_list_of_them() {
    let cron = |text: &str| format!("{DO}cron = {text}");
    let When::Cron(list) = entry(&cron("['0 9 * * *', '@weekly']")).into_data().schedule.when else { panic!() };
    assert_eq!(list.iter().map(|cron| cron.text()).collect::<Vec<_>>(), ["0 9 * * *", "@weekly"]);
    for wrong in ["[]", "5", "'* *'", "['* * * * *', 5]", "['* * * * *', 'x']", "{ hour = 5 }"] {
        assert_eq!(refusal(&cron(wrong)).field.as_deref(), Some("cron"), "{wrong}");
    }
    let many = vec!["'* * * * *'"; 33].join(", ");
    assert!(refused(&cron(&format!("[{many}]"))).contains("32 are the most"));
}

#[test]
fn at_needs_an_offset_or_a_zone_that_the_entry_names() {
    let at = |rest: &str| format!("{DO}at = {rest}");
    let utc = entry(&at("'2026-11-20T02:00:00Z'")).into_data().schedule.when;
    assert_eq!(entry(&at("2026-11-20T03:00:00+01:00")).schedule.when, utc);
    assert_eq!(entry(&at("'2026-11-20T03:00'\ntz = 'Europe/Berlin'")).schedule.when, utc);
    assert_eq!(entry(&at("2026-11-20 03:00:00\ntz = 'Europe/Berlin'")).schedule.when, utc);
    let problem = refusal(&at("2026-11-20T02:00:00"));
    assert_eq!(problem.field.as_deref(), Some("at"));
    assert!(problem.hint.is_some());
    assert!(refused(&at("1795140000")).contains("2026-11-20T02:00:00.000Z"));
    for wrong in ["'soon'", "''", "07:32:00", "true"] {
        assert_eq!(refusal(&at(wrong)).field.as_deref(), Some("at"), "{wrong}");
    }
}

#[test]
fn start_and_end_are_read_in_the_zone_of_the_entry() {
    let berlin = entry(&with("tz = 'Europe/Berlin'\nstart = 2026-12-01\nend = '2026-12-02T00:00'"));
    assert_eq!(berlin.schedule.start.unwrap().to_rfc3339(), "2026-11-30T23:00:00.000Z");
    assert_eq!(berlin.schedule.end.unwrap().to_rfc3339(), "2026-12-01T23:00:00.000Z");
    assert_eq!(berlin.fields()["start"], "2026-12-01");
    assert_eq!(entry(&with("start = 2026-12-01")).schedule.start.unwrap().to_rfc3339(), "2026-12-01T00:00:00.000Z");
    assert_eq!(refusal(&with("tz = 'Berlin'\nstart = 2026-12-01")).field.as_deref(), Some("tz"));
}

#[test]
fn an_entry_that_could_never_fire_is_refused() {
    let problem = refusal(&with("start = 2026-12-02\nend = 2026-12-01"));
    assert_eq!(problem.field.as_deref(), Some("end"));
    assert_eq!(problem.message, "\"2026-12-01\" is not after start, \"2026-12-02\"");
    refusal(&with("start = 2026-12-01\nend = 2026-12-01"));
    let window = |cron: &str| format!("{DO}cron = '{cron}'\nstart = 2026-12-01\nend = 2026-12-02");
    assert!(refused(&window("0 0 24 12 *")).starts_with("end: no fire time lies between start"));
    entry(&window("0 0 1 12 *"));
    assert_eq!(refusal(&with("anchor = '2027-01-01T00:00:00Z'\nend = 2026-12-01")).field.as_deref(), Some("end"));
    let at = |rest: &str| format!("{DO}at = '2026-12-01T00:00:00Z'\n{rest}");
    assert!(refused(&at("end = 2026-12-01")).starts_with("at: "));
    assert!(refused(&at("start = 2026-12-02")).starts_with("at: "));
    entry(&at("start = 2026-12-01\nend = 2026-12-02"));
}

#[test]
fn the_anchor_is_start_else_the_one_that_is_stored() {
    let anchored = entry(&with("anchor = '2026-01-01T00:00:00Z'"));
    assert_eq!(anchored.schedule.anchor.unwrap().to_rfc3339(), "2026-01-01T00:00:00.000Z");
    let started = entry(&with("anchor = '2026-01-01T00:00:00Z'\nstart = 2026-02-01"));
    assert_eq!(started.schedule.anchor, started.schedule.start);
    assert_eq!(entry(&with("")).schedule.anchor, None);
    assert_eq!(
        refusal(&format!("{DO}cron = '@daily'\nanchor = '2026-01-01T00:00:00Z'")).field.as_deref(),
        Some("anchor")
    );
}

#[test]
fn overlap_lists_what_it_accepts() {
    assert_eq!(entry(&with("overlap = 'allow'")).overlap, Overlap::Allow);
    assert_eq!(
        refusal(&with("overlap = 'skp'")).message,
        "\"skp\" is not one of allow, skip, buffer_one, buffer_all, cancel_other"
    );
    assert_eq!(refusal(&with("overlap = 'Forbid'")).message, "\"Forbid\" is called skip here");
    assert!(refused(&with("overlap = true")).starts_with("overlap: true is not a text"));
}

#[test]
fn catch_up_is_a_word_or_a_table() {
    assert_eq!(entry(&with("catch_up = 'none'")).catch_up, CatchUp::None);
    assert_eq!(entry(&with("catch_up = 'all'")).catch_up, CatchUp::All { max_runs: 100, per_minute: 60 });
    assert_eq!(
        entry(&with("catch_up = { mode = 'all', max_runs = 5 }")).catch_up,
        CatchUp::All { max_runs: 5, per_minute: 60 }
    );
    assert_eq!(entry(&with("catch_up = { mode = 'latest' }")).catch_up, CatchUp::Latest);
    for (wrong, field) in [
        ("'lates'", "catch_up"),
        ("true", "catch_up"),
        ("{ max_runs = 5 }", "catch_up.mode"),
        ("{ mode = 'all', max_runs = 0 }", "catch_up.max_runs"),
        ("{ mode = 'all', max_runs = 101 }", "catch_up.max_runs"),
        ("{ mode = 'all', per_minute = 60001 }", "catch_up.per_minute"),
        ("{ mode = 'all', max_run = 5 }", "catch_up.max_run"),
        ("{ mode = 'none', max_runs = 5 }", "catch_up.max_runs"),
        ("{ mode = 'x' }", "catch_up.mode"),
    ] {
        assert_eq!(refusal(&with(&format!("catch_up = {wrong}"))).field.as_deref(), Some(field), "{wrong}");
    }
}

#[test]
fn numbers_are_whole_and_in_range() {
    assert_eq!(entry(&with("keep_runs = 0")).keep_runs, 0);
    assert_eq!(entry(&with("keep_runs = 10000")).keep_runs, 10_000);
    assert_eq!(refused(&with("keep_runs = 10001")), "keep_runs: 10001 is not between 0 and 10000");
    assert!(refused(&with("keep_runs = '5'")).ends_with("without quotes: 5"));
    for wrong in ["-1", "1.5", "1.0", "true"] {
        assert_eq!(refusal(&with(&format!("keep_runs = {wrong}"))).field.as_deref(), Some("keep_runs"));
    }
}

#[test]
fn labels_note_and_payload_have_limits() {
    let labelled = entry(&with("labels = { team = 'growth', '日' = 'x' }\nnote = 'call Ana'"));
    assert_eq!(labelled.labels["team"], "growth");
    assert_eq!(labelled.note.as_deref(), Some("call Ana"));
    let long = "x".repeat(1025);
    for (line, field) in [
        ("labels = { 'a b' = 'x' }".to_owned(), "labels.a b"),
        ("labels = { 'a=b' = 'x' }".to_owned(), "labels.a=b"),
        ("labels = { '' = 'x' }".to_owned(), "labels."),
        ("labels = { tier = 1 }".to_owned(), "labels.tier"),
        ("labels = [\"a\"]".to_owned(), "labels"),
        (format!("labels = {{ a = '{}' }}", &long[..257]), "labels.a"),
        (format!("labels = {{ {} = 'x' }}", &long[..65]), &format!("labels.{}", &long[..65])),
        (format!("note = '{long}'"), "note"),
        ("note = ''".to_owned(), "note"),
        ("queue = 'Reports'".to_owned(), "queue"),
        (format!("payload = '{}'", "x".repeat(64 * 1024 + 1)), "payload"),
    ] {
        assert_eq!(refusal(&with(&line)).field.as_deref(), Some(field));
    }
    let many: String = (0..33).map(|n| format!("l{n} = 'x', ")).collect();
    assert!(refused(&with(&format!("labels = {{ {many} }}"))).contains("32 are the most"));
    let big = format!("payload = '{}'\nnote = '{}'", "x".repeat(64 * 1024 - 100), &long[..1000]);
    assert!(refused(&with(&big)).contains("65536 are the most"));
}

#[test]
fn a_payload_goes_out_as_its_text_or_as_compact_json() {
    let bytes = |payload: serde_json::Value| {
        let mut all = fields(&with(""));
        all.insert("payload".to_owned(), payload);
        upbeat::domain::entry::Entry::parse(all).unwrap().payload_bytes()
    };
    assert_eq!(bytes(json!("a\nb")).unwrap(), b"a\nb");
    assert_eq!(bytes(json!({"b": [1, null], "a": "x"})).unwrap(), br#"{"b":[1,null],"a":"x"}"#);
    assert_eq!(bytes(json!(0)).unwrap(), b"0");
    assert_eq!(bytes(json!(null)), None);
    assert_eq!(entry(&with("payload_json = '{\"a\": null}'")).payload, Some(json!({"a": null})));
    let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
    let mut all = fields(&with(""));
    all.insert("payload".to_owned(), deep);
    upbeat::domain::entry::Entry::parse(all).unwrap_err();
}

#[test]
fn null_is_no_value() {
    let mut all = fields(&with(""));
    all.insert("timeout".to_owned(), json!(null));
    let error = upbeat::domain::entry::Entry::parse(all).unwrap_err();
    assert_eq!(error.to_string(), "timeout: null is no value");
}

#[test]
fn set_replaces_the_kind_and_merges_labels() {
    let old = entry(&with("labels = { a = '1', b = '2' }\ntimeout = '5m'\nanchor = '2026-01-01T00:00:00Z'"));
    let new = old.with(fields("every = '10m'\nlabels = { b = '3' }"), &[]).unwrap();
    assert_eq!(new.schedule.anchor, old.schedule.anchor);
    assert_eq!(
        new.into_data().labels.into_iter().collect::<Vec<_>>(),
        [("a".into(), "1".into()), ("b".into(), "3".into())]
    );
    let cron = old.with(fields("cron = '@daily'\nshell = 'a | b'"), &["timeout".into(), "labels.a".into()]).unwrap();
    assert_eq!(
        cron.to_json(),
        r#"{"cron":"@daily","shell":"a | b","labels":{"b":"2"}}"#,
        "in the order of the contract, without anchor"
    );
    assert_eq!(cron.schedule_json(), json!({"cron": "@daily"}));
    assert_eq!(cron.action_json(), json!({"shell": "a | b"}));
    let moved = old.with(fields("start = 2026-02-01"), &[]).unwrap();
    assert_eq!(moved.schedule.anchor, moved.schedule.start);
    let error = old.with(Default::default(), &["tmeout".to_owned()]).unwrap_err();
    assert_eq!(error.to_string(), "tmeout: unknown field");
    assert!(old.with(fields("paused = true"), &[]).is_err());
    assert!(old.with(Default::default(), &["exec".to_owned()]).is_err());
}

#[test]
fn retry_is_the_table_of_the_contract() {
    let line = "retry = { max_attempts = 5, backoff = 'linear', delay = '10s', max_delay = '10m', jitter = 0.2, \
                within = '2h', not_on = ['exit:2', 'http:400-499'] }";
    let retry = entry(&with(line)).into_data().retry.unwrap();
    let (backoff, not_on) = (Backoff::Linear, vec![NotOn::Exit(2, 2), NotOn::Http(400, 499)]);
    assert_eq!(retry, Retry { max_attempts: 5, backoff, within: Some(Span(7_200_000)), not_on, ..Retry::default() });
    assert_eq!(entry(&with("retry = {}")).retry, Some(Retry::default()));
    assert!(refused(&with("retry = 3")).contains("| write retry = { max_attempts = 3 }"));
    assert_eq!(refusal(&with("retry = { max_attempts = 101 }")).field.as_deref(), Some("retry.max_attempts"));
}

#[test]
fn what_is_executed_at_most_once_is_not_repeated() {
    assert_eq!(entry(&with("delivery = 'at_most_once'")).delivery, Delivery::AtMostOnce);
    entry(&with("delivery = 'at_most_once'\nretry = { max_attempts = 1 }"));
    assert_eq!(
        refused(&with("delivery = 'at_most_once'\nretry = { max_attempts = 3 }")),
        "delivery: at_most_once makes one attempt, and retry says 3; one of the two goes | \
         leave retry out, or delivery = \"at_least_once\""
    );
    assert!(refused(&with("delivery = 'exactly_once'")).contains("a run fires exactly once"));
    assert!(refused(&with("delivery = 'at_most'")).contains("not one of at_least_once, at_most_once"));
}

#[test]
fn a_message_has_no_attempts_to_repeat() {
    for action in ["stream", "list", "publish"] {
        let direct = |line: &str| format!("every = '5m'\n{action} = 'k'\n{line}");
        assert!(refused(&direct("retry = {}")).contains("upbeat dead retry"), "{action}");
        assert_eq!(refusal(&direct("delivery = 'at_most_once'")).field.as_deref(), Some("delivery"));
        entry(&direct("delivery = 'at_least_once'"));
    }
}

#[test]
fn a_change_of_retry_is_merged_key_by_key_and_taken_away_the_same_way() {
    let before = entry(&with("retry = { max_attempts = 5, within = '2h' }"));
    let after = before.with(fields("retry = { delay = '1m', max_attempts = 7 }"), &[]).unwrap();
    let written = serde_json::json!({"max_attempts": 7, "within": "2h", "delay": "1m"});
    assert_eq!(after.fields()["retry"], written);
    let after = after.with(fields(""), &["retry.within".to_owned()]).unwrap();
    assert_eq!(after.fields()["retry"], serde_json::json!({"max_attempts": 7, "delay": "1m"}));
    let slip = after.with(fields(""), &["retry.retries".to_owned()]).unwrap_err();
    assert_eq!(slip.problem().field.as_deref(), Some("retry.retries"));
    assert_eq!(after.with(fields(""), &["retry".to_owned()]).unwrap().retry, None);
}
