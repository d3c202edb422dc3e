//! What entries become, and that whatever stands in one is refused by name, never with a panic.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::reading::shown;

fn defaults() -> BeatDefaults {
    let binding = |exchange: &str, routing_key: &str, queue: &str| Binding {
        exchange: exchange.to_owned(),
        kind: ExchangeKind::Direct,
        routing_key: routing_key.to_owned(),
        queue: queue.to_owned(),
    };
    BeatDefaults {
        tz: Some(Zone::parse("tz", "Asia/Shanghai").unwrap()),
        bindings: vec![binding("ex2", "rk2", "named")],
        ..BeatDefaults::default()
    }
}

/// What becomes of a definition: the entry as JSON, or the place and the reason.
fn carried(definition: &Value, meta: Option<&Value>, defaults: &BeatDefaults) -> Result<Value, String> {
    let beat = BeatEntry::read(definition, meta).map_err(|why| why.to_string())?;
    let mut import = Import::default();
    match carry_over(&beat, defaults, &mut Ids::default(), &mut import) {
        Some(_) => Ok(Value::Object(import.file.entries[0].entry.fields().clone())),
        None => Err(import.refused[0].reason.clone()),
    }
}

fn with(key: &str, value: Value) -> Value {
    let mut definition = json!({"name": "a", "task": "t", "args": [1], "kwargs": {"k": null}, "options": {},
        "schedule": {"__type__": "interval", "every": 60.0, "relative": false}, "enabled": true});
    definition[key] = value;
    definition
}

#[test]
fn the_captured_entry_is_carried_over_with_the_rules_of_a_beat() {
    let captured = json!({"name": "cron", "task": "tasks.noop", "args": ["\u{e4}rg", 1], "kwargs": {"k": null},
        "options": {"queue": "other", "priority": 5, "expires": 60}, "schedule": {"__type__": "crontab", "minute": "*/15",
        "hour": "0-6,22", "day_of_week": "mon-fri", "day_of_month": "1,15", "month_of_year": "*/3"}, "enabled": true});
    let entry = carried(&captured, None, &defaults()).unwrap();
    let rule = "FREQ=MINUTELY;BYMONTH=1,4,7,10;BYMONTHDAY=1,15;BYDAY=MO,TU,WE,TH,FR;BYHOUR=0,1,2,3,4,5,6,22;BYMINUTE=0,15,30,45;BYSECOND=0";
    assert_eq!(
        entry,
        json!({"rrule": rule, "tz": "Asia/Shanghai", "celery": {"task": "tasks.noop", "args": ["ärg", 1], "kwargs": {"k": null},
               "queue": "other", "priority": 5, "expires": "1m"}, "overlap": "allow", "catch_up": "latest"})
    );
    let without = BeatDefaults { tz: None, tz_hint: Some("--tz".to_owned()), ..defaults() };
    assert_eq!(
        carried(&captured, None, &without),
        Err("schedule: a crontab is stored without its zone, the app's timezone".to_owned())
    );
}

#[test]
fn the_last_run_keeps_the_phase() {
    let meta = json!({"last_run_at": {"__type__": "datetime", "year": 2026, "month": 11, "day": 20, "hour": 11, "minute": 17,
        "second": 20, "microsecond": 378_915, "timezone": "UTC"}, "total_run_count": 5});
    let entry = carried(&with("args", json!(null)), Some(&meta), &defaults()).unwrap();
    assert_eq!(entry["anchor"], json!("2026-11-20T11:17:20.378Z"));
    for (timezone, anchor) in [
        (json!("Europe/Vienna"), "2026-11-20T10:17:20.378Z"),
        (json!(-18_000.0), "2026-11-20T16:17:20.378Z"),
        (json!(null), "2026-11-20T11:17:20.378Z"),
    ] {
        let mut meta = meta.clone();
        meta["last_run_at"]["timezone"] = timezone;
        assert_eq!(carried(&with("args", json!([])), Some(&meta), &defaults()).unwrap()["anchor"], json!(anchor));
    }
}

#[test]
fn options_are_part_of_the_message_or_refused_by_name() {
    let defaults = defaults();
    for (options, celery) in [
        (json!({"queue": "celery", "priority": 0, "retry": true, "retry_policy": {"max_retries": 3}}), json!({})),
        (json!({"exchange": "ex2", "routing_key": "rk2"}), json!({"queue": "named"})),
        // Celery asks the exchange only with a key.
        (json!({"exchange": "ex1"}), json!({})),
        (json!({"queue": "q", "routing_key": "rk2"}), json!({"queue": "q"})),
        (json!({"priority": 20}), json!({"priority": 9})),
        (json!({"priority": -3}), json!({})),
        (json!({"countdown": 2.5, "expires": null}), json!({"countdown": "2s500ms"})),
        (json!({"expire_seconds": 90}), json!({"expires": "1m30s"})),
        (json!({"time_limit": 60, "soft_time_limit": 50}), json!({"time_limit": "1m", "soft_time_limit": "50s"})),
        (json!({"headers": {"tenant": 7, "celery_beat_task": true}}), json!({"headers": {"tenant": 7}})),
        (json!({"serializer": "json", "link": [], "ignore_result": true, "shadow": "x"}), json!({})),
    ] {
        let mut expected = json!({"task": "t", "args": [1], "kwargs": {"k": null}});
        expected.as_object_mut().unwrap().extend(celery.as_object().unwrap().clone());
        let entry = carried(&with("options", options.clone()), None, &defaults);
        assert_eq!(entry.map(|entry| entry["celery"].clone()), Ok(expected), "{options}");
    }
    for (options, why) in [
        (json!({"exchange": "ex1", "routing_key": "rk1"}), "options.exchange: \"ex1\" has no binding for \"rk1\""),
        (json!({"eta": "2030-01-01"}), "options.eta: the same instant for each fire"),
        (json!({"expires": 0}), "options.expires: 0 s: every worker drops these messages today"),
        (json!({"expires": 0.0001}), "options.expires: 0.0001 s is not a whole number of milliseconds"),
        (json!({"expires": "soon"}), "options.expires: \"soon\" is not a number of seconds"),
        (json!({"link": {"task": "c"}}), "options.link: callbacks are Python's"),
        (json!({"task_id": "x"}), "options.task_id: each message has the same id"),
        (json!({"serializer": "pickle"}), "options.serializer: \"pickle\" is not json"),
        (json!({"compression": "gzip"}), "options.compression: messages are not compressed here"),
        (json!({"queue": 5}), "options.queue: 5 is not a text"),
        (json!({"priority": "high"}), "options.priority: \"high\" is not a whole number"),
        (json!({"headers": {"id": "x"}}), "celery.headers.id: "),
        (json!({"frobnicate": 1}), "options.frobnicate: can't be carried over"),
    ] {
        let refused = carried(&with("options", options.clone()), None, &defaults);
        assert!(refused.as_ref().is_err_and(|reason| reason.starts_with(why)), "{options}: {refused:?}");
    }
    let pickled = BeatDefaults { serializer: Some("pickle".to_owned()), ..defaults.clone() };
    let refused = carried(&with("options", json!({})), None, &pickled);
    assert_eq!(refused, Err("task_serializer: \"pickle\" is not json".to_owned()));
    let steps = BeatDefaults { priority_steps: Some(vec![0, 9]), ..defaults };
    let refused = carried(&with("options", json!({"priority": 5})), None, &steps);
    assert!(refused.unwrap_err().starts_with("options.priority: the list of priority 5, that of step 3, is none"));
}

#[test]
fn what_a_beat_would_make_of_its_arguments_is_no_json() {
    let python = json!([{"__type__": "datetime", "year": 2026, "month": 1, "day": 1}]);
    let refused = carried(&with("args", python), None, &defaults()).unwrap_err();
    assert_eq!(refused, "args.0: is a datetime of Python, not JSON");
    let kombu = json!([{"__type__": "datetime", "__value__": "2026-01-01T00:00:00"}, {"__type__": "other"}]);
    assert!(carried(&with("args", kombu), None, &defaults()).is_ok());
}

#[test]
fn one_offs_and_ends_of_django_are_kept() {
    let at =
        |year: u64| json!({"__type__": "datetime", "year": year, "month": 5, "day": 1, "hour": 12, "timezone": 0.0});
    let once = carried(&with("schedule", json!({"__type__": "clocked", "clocked_time": at(2030)})), None, &defaults());
    assert_eq!(once.unwrap()["at"], json!("2030-05-01T12:00:00.000Z"));
    let ran = json!({"last_run_at": at(2029), "total_run_count": 1});
    let clocked = with("schedule", json!({"__type__": "clocked", "clocked_time": at(2029)}));
    assert_eq!(
        carried(&clocked, Some(&ran), &defaults()),
        Err("schedule: a clocked entry fires once, and it has fired".to_owned())
    );
    assert_eq!(
        carried(&with("one_off", json!(true)), Some(&ran), &defaults()),
        Err("one_off: it has fired, and fires no more".to_owned())
    );
    assert_eq!(carried(&with("one_off", json!(true)), None, &defaults()).unwrap()["max_fires"], json!(1));
    let started = carried(&with("start_time", at(2030)), None, &defaults()).unwrap();
    assert_eq!((started["start"].clone(), started.get("anchor")), (json!("2030-05-01T12:00:00.000Z"), None));
    let under_way = carried(&with("start_time", at(2028)), Some(&ran), &defaults()).unwrap();
    assert_eq!((under_way.get("start"), under_way["anchor"].clone()), (None, json!("2029-05-01T12:00:00.000Z")));
    let ends = carried(&with("options", json!({"expires": at(2031)})), None, &defaults()).unwrap();
    assert_eq!(ends["end"], json!("2031-05-01T12:00:00.000Z"));
}

#[test]
fn names_become_ids_and_stay_readable() {
    let mut import = Import::default();
    let mut ids = Ids::default();
    for name in ["a b", "a-b", "0b9f2d0c-51ab-4f0a-9a64-6a1a3dd0a111", "\u{7}", "x\ny", &"n".repeat(300)] {
        let beat = BeatEntry::read(&with("name", json!(name)), None).unwrap();
        carry_over(&beat, &defaults(), &mut ids, &mut import).unwrap();
    }
    let ids: Vec<&str> = import.file.entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids[..5], ["a-b", "a-b-2", "job-0b9f2d0c-51ab-4f0a-9a64-6a1a3dd0a111", "entry", "x-y"]);
    let label = |at: usize| import.file.entries[at].entry.labels.get(NAME_LABEL).cloned();
    assert_eq!((label(0), label(4), label(5)), (Some("a b".to_owned()), Some("x y".to_owned()), Some("n".repeat(256))));
}

/// Any JSON, not too deep.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "*/5", "mon-fri", "crontab", "rrule", "interval", "clocked", "datetime", "UTC", "1-0/3", "__type__"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let known = [
        "__type__",
        "name",
        "task",
        "args",
        "kwargs",
        "options",
        "schedule",
        "enabled",
        "minute",
        "hour",
        "day_of_week",
        "every",
        "relative",
        "freq",
        "dtstart",
        "dtstart_tz",
        "until",
        "count",
        "byweekday",
        "wkday",
        "year",
        "month",
        "day",
        "timezone",
        "queue",
        "exchange",
        "routing_key",
        "expires",
        "headers",
        "priority",
        "clocked_time",
        "one_off",
        "start_time",
    ];
    prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), "\\PC{0,6}"]
}

const TYPES: [&str; 5] = ["crontab", "interval", "rrule", "clocked", "solar"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_stands_in_an_entry_is_carried_over_or_refused(value in anything(), place in key(), kind in 0..TYPES.len(), inner in key()) {
        let mut definition = with(&place, value.clone());
        let _ = carried(&definition, Some(&value), &defaults());
        definition = with("schedule", json!({"__type__": TYPES[kind], "every": 5, "freq": 3, "dtstart": 1_767_225_600}));
        definition["schedule"][&inner] = value.clone();
        let _ = carried(&definition, None, &defaults());
        definition = with("options", json!({}));
        definition["options"][&inner] = value.clone();
        if let Err(reason) = carried(&definition, None, &defaults()) {
            prop_assert!(!reason.is_empty() && reason.len() < 2_000, "{}", shown(&Value::from(reason)));
        }
        let document = json!({"upbeat_export": 1, "entries": [value.clone(), {"definition": definition}], (inner): value});
        let _ = import_export("x", &document.to_string(), None, None);
    }
}
