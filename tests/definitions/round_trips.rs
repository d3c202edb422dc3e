//! What is written is read back the same, and nothing that people write makes it panic.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use upbeat::domain::calendar::Calendar;
use upbeat::domain::entry::{Entry, FIELDS};
use upbeat::domain::file::{CalendarSource, FileCalendar, FileEntry, Places, ScheduleFile};
use upbeat::domain::id::{CalendarName, EntryId, Owner, QueueName};
use upbeat::domain::import::crontab::import_user_crontab;
use upbeat::domain::queue::{FileQueue, QueueLimits, Rate};
use upbeat::domain::span::Span;

/// Texts that are hard to quote.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![".*", "[ '\"\\\\\n\t\r%#=]*", "[a-z]{1,8}", Just("'''".to_owned()), "secret:[A-Z]{0,3}"]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1000..1000i32).prop_map(|number| json!(f64::from(number) / 8.0)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..5).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn valid_fields() -> impl Strategy<Value = Map<String, Value>> {
    let schedule = prop_oneof![
        Just(json!({"cron": ["0 9 * * mon-fri", "@daily"], "tz": "Europe/Berlin"})),
        Just(json!({"every": "90s", "start": "2026-12-01"})),
        Just(json!({"at": "2026-12-01T00:00:00Z"})),
        Just(json!({"rrule": "FREQ=WEEKLY;BYDAY=MO", "exclude": ["2026-12-25", "cn.holidays"], "tz": "Asia/Shanghai"})),
        Just(json!({"rrule": "RRULE:FREQ=DAILY;COUNT=3", "anchor": "2026-12-01T00:00:00Z", "exclude": "cn"})),
    ];
    let line = "[^\0]*[a-z][^\0]*";
    let action = prop_oneof![
        prop::collection::vec(line, 1..4).prop_map(|words| json!({"exec": words})),
        line.prop_map(|line| json!({"shell": line})),
        Just(json!({"http": {"url": "https://a.example", "ok": ["200-299", 404]}})),
        Just(json!({"stream": {"key": "k", "trim": true}})),
    ];
    let label = prop::option::of("[^\\pC\"]{0,20}").prop_map(|label| match label {
        Some(label) => json!({"labels": {"a": label}, "note": "a 'note'"}),
        None => json!({}),
    });
    let retry = (1..=100_u16, 0.0..=1.0).prop_map(|(attempts, jitter)| {
        json!({"retry": {"max_attempts": attempts, "jitter": jitter, "delay": "1m30s", "not_on": ["exit:2", "timeout"]}})
    });
    let again = prop_oneof![Just(json!({})), Just(json!({"delivery": "at_most_once"})), retry];
    (schedule, action, any_json(), label, again).prop_map(|(schedule, action, payload, label, again)| {
        let mut fields = Map::new();
        for part in [label, json!({"payload": payload}), action, schedule, again] {
            fields.extend(part.as_object().unwrap().clone());
        }
        if fields.contains_key("stream") {
            fields.retain(|field, _| field != "retry" && field != "delivery");
        }
        fields
    })
}

fn calendar(name: &str, source: CalendarSource) -> FileCalendar {
    FileCalendar { name: CalendarName::parse("name", name).unwrap(), source }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_definition_is_read_back_from_its_json(fields in valid_fields()) {
        crate::schemas::assert_fits(&json!({"entries": {"a": fields}}));
        let entry = Entry::parse(fields).unwrap();
        let back: Value = serde_json::from_str(&entry.to_json()).unwrap();
        let back = Entry::parse(back.as_object().unwrap().clone()).unwrap();
        prop_assert_eq!(back.to_json(), entry.to_json());
        prop_assert_eq!(back, entry);
    }

    #[test]
    fn a_file_is_read_back_from_its_toml_and_json(
        all in prop::collection::btree_map("[a-zA-Z0-9日ü][a-z.:+_-]{0,12}", (valid_fields(), any::<bool>()), 0..4),
        most in prop::option::of(1_u32..10_000),
        span_ms in 1_000_u64..90_000_000,
    ) {
        let entries = all.into_iter().map(|(id, (fields, is_paused))| FileEntry {
            id: EntryId::parse("id", &id).unwrap(),
            entry: Entry::parse(fields).unwrap(),
            is_paused,
        });
        let limits = QueueLimits { max_running: most, rate: Some(Rate { starts: 7, span: Span(span_ms) }) };
        let file = ScheduleFile {
            calendars: vec![
                calendar("cn.holidays", CalendarSource::File("cn \"quoted\".ics".to_owned())),
                calendar("eu", CalendarSource::Dates(Calendar::of_list("dates", &json!(["2026-12-25"])).unwrap())),
            ],
            owner: Some(Owner::parse("owner", "ops").unwrap()),
            namespace: None,
            queues: vec![FileQueue { name: QueueName::parse("queue", "a.b").unwrap(), limits }],
            entries: entries.collect(),
        };
        let toml = file.to_toml();
        let back = ScheduleFile::parse("x.toml", &toml).unwrap_or_else(|errors| panic!("{toml}\n{errors:?}"));
        prop_assert_eq!(&back, &file, "{}", toml);
        prop_assert_eq!(back.to_toml(), toml);
        let back = ScheduleFile::parse("x.json", &file.to_json().to_string()).unwrap();
        prop_assert_eq!(back, file);
    }

    #[test]
    fn no_fields_make_it_panic(
        fields in prop::collection::vec((prop::sample::select(FIELDS), any_json()), 0..6),
        unset in prop::collection::vec(text(), 0..3),
    ) {
        let fields: Map<String, Value> = fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
        if let Err(errors) = Entry::parse_all(fields.clone()) {
            prop_assert!(!errors.is_empty());
            prop_assert!(errors.iter().all(|error| error.exit_code() == 2), "{errors:?}");
        }
        let entry = Entry::parse(json!({"every": "5m", "shell": "x"}).as_object().unwrap().clone()).unwrap();
        let _ = entry.with(fields, &unset);
    }

    #[test]
    fn no_text_of_a_field_makes_it_panic(field in prop::sample::select(FIELDS), value in text()) {
        for form in [json!(value), json!([value]), json!({value.clone(): value})] {
            let _ = Entry::parse(json!({field: form, "shell": "x"}).as_object().unwrap().clone());
            let _ = Entry::parse(json!({field: form, "every": "1h"}).as_object().unwrap().clone());
        }
    }

    #[test]
    fn no_file_makes_it_panic(text in "(\\[(entries|defaults|calendars)[.a-z\"]*\\]\n|[a-z_]+ = |['\"{}\\[\\],0-9a-z:\n]){0,40}") {
        for name in ["x.toml", "x.json", "-"] {
            let _ = ScheduleFile::parse(name, &text);
            let _ = Places::of(name, &text).line("entries.a.b", None);
        }
    }

    #[test]
    fn no_crontab_makes_it_panic(
        lines in prop::collection::vec(
            prop_oneof![
                ".*",
                "[@*/0-9a-z %=\\\\'\"\t-]*",
                "[A-Z_]{1,8} ?= ?.*",
                "(\\*|[0-9]{1,2}) (\\*|[0-9]{1,2}) \\* \\* [0-7] .*",
                "@(daily|reboot|hourly|x) .*",
            ],
            0..8,
        ),
    ) {
        let text = lines.join("\n");
        let import = import_user_crontab(&text, None);
        let mut ids: Vec<_> = import.file.entries.iter().map(|entry| entry.id.clone()).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), import.file.entries.len());
        let toml = import.file.to_toml();
        prop_assert_eq!(ScheduleFile::parse("x.toml", &toml).unwrap(), import.file);
    }
}
