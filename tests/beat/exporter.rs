//! The exporter, run in apps of its own with real Celery and real Django, and what its JSON becomes.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::celery;
use crate::support::cli::{Outcome, Upbeat};
use crate::support::redis::RedisServer;

/// A Celery app in a folder of its own.
pub struct App {
    pub user: Upbeat,
    python: std::path::PathBuf,
    env: Vec<(String, String)>,
}

impl App {
    /// An app whose module `proj` is this text, with the exporter beside it.
    pub fn new(python: &Path, module: &str) -> Self {
        let user = Upbeat::at("redis://127.0.0.1:1");
        std::fs::create_dir(user.dir().join("proj")).unwrap();
        user.file("proj/__init__.py", "");
        user.file("proj/celery.py", module);
        user.file("export_beat.py", &user.ok(&["import", "celery", "--exporter"]));
        Self { user, python: python.to_owned(), env: Vec::new() }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn python(&self, args: &[&str]) -> Outcome {
        let mut command = Command::new(&self.python);
        command.current_dir(self.user.dir()).env("PYTHONDONTWRITEBYTECODE", "1").args(args);
        command.envs(self.env.iter().cloned());
        let output = command.output().unwrap();
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs the exporter; what it said. Its document is `beat.json`.
    #[track_caller]
    pub fn export(&self, args: &[&str]) -> String {
        let args = [&["export_beat.py", "proj.celery:app"], args].concat();
        let outcome = self.python(&args).expect_code(0);
        self.user.file("beat.json", &outcome.stdout);
        outcome.stderr
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

const KINDS: &str = r#"
import datetime, decimal, os, uuid
from celery import Celery, schedules
from celery.beat import BeatLazyFunc
from celery.schedules import crontab, solar
from kombu import Exchange, Queue
from zoneinfo import ZoneInfo

app = Celery("proj", broker=os.environ.get("BROKER", "redis://:s3cret@redis:6379/0"))
app.conf.timezone = "Asia/Shanghai"
app.conf.task_routes = {"feeds.*": {"queue": "feeds"}}
app.conf.task_queues = [Queue("celery"), Queue("feeds"), Queue("other"),
                        Queue("bulk", Exchange("work", type="topic"), routing_key="bulk.#"),
                        Queue("named", Exchange("ex2"), routing_key="rk2")]
print("what an app prints is not part of the document")

class Fancy(schedules.schedule):
    pass

class NotJson:
    pass

@app.task(name="billing.close", priority=5, expires=3600, ignore_result=True)
def close():
    pass

@app.task(name="slow.one", time_limit=60, soft_time_limit=50)
def slow():
    pass

app.conf.beat_schedule = {
    "heartbeat": {"task": "ops.heartbeat", "schedule": crontab()},
    "billing.close-month": {"task": "billing.close", "schedule": crontab(0, 2, day_of_month=1)},
    "sync crm!": {"task": "crm.sync", "schedule": datetime.timedelta(minutes=5), "options": {"expires": 300, "priority": 9}},
    "feeds": {"task": "feeds.poll", "schedule": 30.0, "args": (1, uuid.UUID(int=5), decimal.Decimal("1.5"), None), "kwargs": {"a": None}},
    "direct": {"task": "a.b", "schedule": 60, "options": {"queue": "other", "headers": {"tenant": "x"}, "countdown": 2.5}},
    "bulk": {"task": "a.b", "schedule": 60, "options": {"queue": "bulk"}},
    "by-key": {"task": "a.b", "schedule": 60, "options": {"exchange": "ex2", "routing_key": "rk2"}},
    "by-key-only": {"task": "a.b", "schedule": 60, "options": {"routing_key": "rk2"}},
    "limits": {"task": "slow.one", "schedule": 60},
    "first-monday": {"task": "a.b", "schedule": crontab(0, 9, day_of_month="1-7", day_of_week="mon")},
    "sets": {"task": "a.b", "schedule": crontab(minute={1, 2}, hour=range(3, 5))},
    "until": {"task": "a.b", "schedule": 5, "options": {"expires": datetime.datetime(2030, 1, 1, tzinfo=ZoneInfo("Asia/Shanghai"))}},
    "relative": {"task": "a.b", "schedule": 3600, "relative": True},
    "poll-feed": {"task": "feeds.poll", "schedule": 0.05},
    "warm-cache": {"task": "cache.warm", "schedule": solar("sunset", 31.2, 121.5)},
    "legacy-sync": {"task": "legacy.sync", "schedule": crontab(minute=0), "options": {"exchange": "ex1", "routing_key": "rk1"}},
    "pickled": {"task": "a.b", "schedule": 60, "args": (NotJson(),)},
    "lazy": {"task": "a.b", "schedule": 60, "args": (BeatLazyFunc(datetime.datetime.now),)},
    "fancy": {"task": "a.b", "schedule": Fancy(5)},
    "nowfun": {"task": "a.b", "schedule": crontab(minute=0, nowfun=lambda: datetime.datetime.now(ZoneInfo("Europe/Berlin")))},
    "broken": {"task": "a.b", "schedule": 5, "nonsense": 1},
    "nan": {"task": "a.b", "schedule": 5, "args": [float("nan")]},
    "linked": {"task": "a.b", "schedule": 5, "options": {"link": [app.signature("c.d")]}},
    "eta": {"task": "a.b", "schedule": 5, "options": {"eta": datetime.datetime(2030, 1, 1, tzinfo=ZoneInfo("UTC"))}},
    "pickle": {"task": "a.b", "schedule": 5, "options": {"serializer": "pickle"}},
    "gone": {"task": "a.b", "schedule": 5, "options": {"expires": -1}},
}
"#;

/// What stands in each refused line, by name.
const REFUSED: &[(&str, &str)] = &[
    ("poll-feed", "0.05 s is below the shortest, 100ms"),
    ("warm-cache", "solar schedules do not exist here; nearest: cron = \"0 18 * * *\""),
    ("legacy-sync", "\"ex1\" has no binding for \"rk1\": Celery drops this message today, silently"),
    ("pickled", "args are not JSON: Object of type NotJson is not JSON serializable"),
    ("lazy", "args hold celery.beat.BeatLazyFunc, which beat calls anew for each message"),
    ("fancy", "proj.celery.Fancy is a class of the app, whose times only its code knows"),
    ("nowfun", "a function says what time it is"),
    ("broken", "unexpected keyword argument 'nonsense'"),
    ("nan", "NaN is no number of JSON"),
    ("linked", "options.link: callbacks are Python's"),
    ("eta", "options.eta: the same instant for each fire"),
    ("pickle", "options.serializer: \"pickle\" is not json"),
    ("gone", "every worker drops these messages today"),
];

#[test]
fn each_entry_of_beat_schedule_is_written_or_listed_with_the_reason() {
    let Some(python) = celery::python() else { return };
    let app = App::new(&python, KINDS);
    let said = app.export(&[]);
    let summary = "26 entries: 26 from beat_schedule · timezone Asia/Shanghai · broker redis://redis:6379/0";
    assert!(said.lines().any(|line| line == summary), "{said}");
    let document = std::fs::read_to_string(app.user.dir().join("beat.json")).unwrap();
    assert!(!document.contains("s3cret") && !said.contains("s3cret"), "no password leaves the app");

    let outcome = app.user.run(&["import", "celery", "beat.json"]).expect_code(0);
    for (name, why) in REFUSED {
        let line = outcome.stderr.lines().find(|line| line.trim_start().starts_with(&format!("{name} ")));
        assert!(line.is_some_and(|line| line.contains(why)), "{name}: {why}\n{}", outcome.stderr);
    }
    let counts = format!("26 read, {} written, {} not carried over", 26 - REFUSED.len(), REFUSED.len());
    assert!(outcome.stderr.contains(&counts), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("1 id changed, the old name is in label celery_name\n  \"sync crm!\" -> sync-crm\n"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stdout.contains("\n# What comes from the app's code and its task_routes"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("#   billing.close: expires = 3600, priority = 5\n"), "{}", outcome.stdout);

    // The file is one that upbeat itself has nothing to say against.
    app.user.file("celery.toml", &outcome.stdout);
    app.user.run(&["lint", "-f", "celery.toml"]).expect_code(0);
    let file = app.user.json(&["import", "celery", "beat.json"]);
    let entry = |id: &str| file["entries"][id].clone();
    assert_eq!(
        entry("billing.close-month"),
        json!({"cron": "0 2 1 * *", "tz": "Asia/Shanghai", "celery": {"task": "billing.close", "priority": 5, "expires": "1h"},
               "overlap": "allow", "catch_up": "latest"})
    );
    assert_eq!(entry("heartbeat")["celery"], json!("ops.heartbeat"));
    assert_eq!(
        (entry("sync-crm")["every"].clone(), entry("sync-crm")["labels"].clone()),
        (json!("5m"), json!({"celery_name": "sync crm!"}))
    );
    assert_eq!(
        entry("first-monday")["rrule"],
        json!("FREQ=DAILY;BYMONTHDAY=1,2,3,4,5,6,7;BYDAY=MO;BYHOUR=9;BYMINUTE=0;BYSECOND=0")
    );
    assert_eq!(entry("sets")["cron"], json!("1,2 3,4 * * *"));
    assert_eq!(entry("until")["end"], json!("2029-12-31T16:00:00.000Z"));
}

#[test]
fn messages_are_those_that_celerys_own_beat_sends() {
    let Some(python) = celery::python() else { return };
    let redis = RedisServer::fresh();
    let app = App::new(&python, KINDS).env("BROKER", &celery::broker_url(&redis));
    app.export(&[]);
    let judge = celery::data_dir().join("sent_by_beat.py");
    let sent = app.python(&[judge.to_str().unwrap(), "proj.celery:app"]).expect_code(0).stdout;
    let sent: Value = serde_json::from_str(sent.lines().last().unwrap()).unwrap();
    let file = app.user.json(&["import", "celery", "beat.json"]);
    let entries = file["entries"].as_object().unwrap();
    assert_eq!(entries.len(), 26 - REFUSED.len());
    for (id, entry) in entries {
        let name = entry.pointer("/labels/celery_name").and_then(Value::as_str).unwrap_or(id);
        let (theirs, message) = (&sent[name], &sent[name]["message"]);
        let entry_here = upbeat::domain::entry::Entry::parse(entry.as_object().unwrap().clone()).unwrap();
        let upbeat::domain::action::Action::Celery(ours) = &entry_here.action else { panic!("{id}: {entry}") };
        assert_eq!(theirs["list"], json!(ours.list()), "{name}");
        assert_eq!(message["headers"]["task"], json!(&ours.task), "{name}");
        assert_eq!((&message["body"][0], &message["body"][1]), (&json!(ours.args), &json!(ours.kwargs)), "{name}");
        assert_eq!(message["properties"]["priority"], json!(ours.priority), "{name}");
        let ms = |span: Option<upbeat::domain::span::Span>| span.map(|span| span.0 as f64 / 1000.0);
        let limits = json!([ms(ours.time_limit), ms(ours.soft_time_limit)]);
        let theirs = message["headers"]["timelimit"].as_array().unwrap().iter().map(Value::as_f64).collect::<Vec<_>>();
        assert_eq!(json!(theirs), limits, "{name}");
        assert_eq!(message["headers"]["eta"].is_string(), ours.countdown.is_some(), "{name}");
        assert_eq!(
            message["headers"]["expires"].is_string(),
            ours.expires.is_some() || entry.get("end").is_some(),
            "{name}"
        );
        for (header, value) in &ours.headers {
            assert_eq!(message["headers"][header], *value, "{name}");
        }
    }
    // What Celery drops without a word is refused with one.
    assert_eq!(sent["legacy-sync"], json!({"list": null}));
}

#[test]
fn an_app_that_can_not_be_imported_is_reported_and_nothing_is_printed() {
    let Some(python) = celery::python() else { return };
    let app = App::new(&python, "from celery import Celery\nimport no_such_module\napp = Celery()\n");
    let outcome = app.python(&["export_beat.py", "proj.celery:app"]).expect_code(1);
    assert_eq!(outcome.stdout, "");
    let line = first_line(&outcome.stderr);
    assert!(
        line.starts_with(
            "error: proj.celery:app can't be imported: ModuleNotFoundError: No module named 'no_such_module'"
        ),
        "{line}"
    );
    assert!(line.contains("proj/celery.py:2"), "{line}");
    let nothing = app.python(&["export_beat.py", "nosuch"]).expect_code(1);
    assert_eq!(nothing.stdout, "");
    assert!(nothing.stderr.starts_with("error: nosuch can't be imported: "), "{}", nothing.stderr);
    let refused = app.user.run_with_input(&["import", "celery", "-"], &outcome.stdout).expect_code(2);
    assert!(refused.stderr.starts_with("error: "), "{}", refused.stderr);
}

#[test]
fn a_broker_that_is_no_redis_is_refused_with_the_ways_out() {
    let Some(python) = celery::python() else { return };
    let app = App::new(
        &python,
        "from celery import Celery\napp = Celery(broker='amqp://guest:pw@rabbit//')\napp.conf.beat_schedule = {'a': {'task': 't', 'schedule': 5}}\n",
    );
    let said = app.export(&[]);
    assert!(said.contains("1 entries: 1 from beat_schedule · timezone UTC · broker amqp://guest@rabbit//"), "{said}");
    let outcome = app.user.run(&["import", "celery", "beat.json"]).expect_code(2);
    assert_eq!(outcome.stdout, "");
    assert!(
        outcome.stderr.starts_with(
            "error: broker: amqp:// is RabbitMQ, and messages are written into Redis only\n  call the app instead: exec"
        ),
        "{}",
        outcome.stderr
    );
}

#[test]
fn an_interval_keeps_its_phase_by_the_file_of_a_beat_without_a_database() {
    let Some(python) = celery::python() else { return };
    let module = "
import datetime, os, sys
from celery import Celery
app = Celery('proj', broker='redis://redis:6379/0')
app.conf.beat_schedule = {'a': {'task': 't', 'schedule': 7}, 'b': {'task': 't', 'schedule': 8}}
if len(sys.argv) > 1 and sys.argv[1] == 'ran':
    from celery.beat import PersistentScheduler
    scheduler = PersistentScheduler(app, schedule_filename='celerybeat-schedule')
    scheduler.schedule['a'].last_run_at = datetime.datetime(2026, 11, 21, 10, 0, 3, 123456, tzinfo=datetime.timezone.utc)
    scheduler.close()
";
    let app = App::new(&python, module);
    app.python(&["-m", "proj.celery", "ran"]).expect_code(0);
    app.export(&["-s", "celerybeat-schedule"]);
    let file = app.user.json(&["import", "celery", "beat.json"]);
    assert_eq!(file["entries"]["a"]["anchor"], json!("2026-11-21T10:00:03.123Z"));
    let missing = app.python(&["export_beat.py", "proj.celery:app", "-s", "nosuch"]).expect_code(1);
    assert_eq!(
        (missing.stdout.as_str(), missing.stderr.starts_with("error: the app's beat_schedule can't be read: ")),
        ("", true),
        "{}",
        missing.stderr
    );
}

#[test]
fn half_a_character_is_refused_with_its_entry_and_the_others_are_printed() {
    let Some(python) = celery::python() else { return };
    let app = App::new(
        &python,
        "from celery import Celery\napp = Celery(broker='redis://redis:6379/0')\napp.conf.beat_schedule = {\n 'half': {'task': 't', 'schedule': 5, 'args': ['\\ud83d']},\n 'whole': {'task': 't', 'schedule': 5, 'args': ['\\U0001f600']}}\n",
    );
    let said = app.export(&[]);
    assert!(said.contains("half  args are not JSON: "), "{said}");
    let file = app.user.json(&["import", "celery", "beat.json"]);
    assert_eq!(file["entries"]["whole"]["celery"]["args"], json!(["\u{1F600}"]), "{file}");
    assert_eq!(file["entries"]["half"], Value::Null);
}
