//! Moving 40 Celery beat entries, as it is promised, with the two mistakes; a stock worker executes what comes of it.

use serde_json::Value;

use crate::django::SETTINGS;
use crate::exporter::App;
use crate::support::celery;
use crate::support::cli::Upbeat;
use crate::support::node::node;
use crate::support::redis::RedisServer;
use upbeat::domain::timestamp::Timestamp;

const APP: &str = r#"
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
from celery import Celery
from celery.schedules import crontab, solar
app = Celery("proj")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

def report():
    pass

for number in range(6):
    app.task(name="reports.r%d" % number, priority=3 + number % 2)(report)

schedule = app.conf.beat_schedule = {
    "heartbeat": {"task": "app.record", "schedule": crontab(), "args": ["heartbeat", "ä"], "kwargs": {"of": None}},
    "sync-crm": {"task": "app.record", "schedule": crontab(minute="*/5"), "options": {"expires": 300}},
    "billing.close-month": {"task": "billing.tasks.close", "schedule": crontab(0, 2, day_of_month=1)},
    "warm-cache": {"task": "cache.warm", "schedule": solar("sunset", 31.2, 121.5)},
    "legacy-sync": {"task": "legacy.sync", "schedule": crontab(0, 3), "options": {"exchange": "ex1", "routing_key": "rk1"}},
    "poll-feed": {"task": "feeds.poll", "schedule": 0.05},
}
for number in range(11):
    schedule["night-%d" % number] = {"task": "reports.r%d" % (number % 6), "schedule": crontab(0, 0)}
for number in range(14):
    schedule["hourly-%d" % number] = {"task": "app.record", "schedule": crontab(number * 4 + 1, "*/2")}
"#;

const ROWS: &str = r#"
import os, sys
sys.path.insert(0, os.getcwd())
import proj.celery
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django_celery_beat.models import CrontabSchedule, PeriodicTask
names = ["Clean up sessions (daily)", "Send digest!", "sync / users", "rotate keys (weekly)", "Prüfen & melden", "vacuum", "backup",
         "metrics", "trim"]
for hour, name in enumerate(names):
    at, _ = CrontabSchedule.objects.get_or_create(minute="30", hour=str(hour + 1), timezone="Asia/Shanghai")
    PeriodicTask.objects.create(name=name, task="t.row", crontab=at, enabled=hour < 7)
"#;

#[test]
fn forty_entries_of_a_celery_beat_move_in_as_promised() {
    let Some(python) = celery::python() else { return };
    let redis = RedisServer::fresh();
    let app = App::new(&python, APP).env("BROKER", &celery::broker_url(&redis));
    app.user.file("proj/settings.py", SETTINGS);
    app.user.file("rows.py", ROWS);
    app.python(&["rows.py"]).expect_code(0);

    let said = app.export(&[]);
    let summary = "40 entries: 31 from beat_schedule, 9 from django_celery_beat · timezone Asia/Shanghai · broker redis+socket://";
    assert!(said.lines().any(|line| line.starts_with(summary)), "{said}");
    let user = Upbeat::at(redis.url()).namespace("prod");
    let export = std::fs::read_to_string(app.user.dir().join("beat.json")).unwrap();
    user.file("beat.json", &export);
    let imported = user.run(&["import", "celery", "beat.json"]).expect_code(0);
    let told = "\
40 read, 37 written, 3 not carried over
  warm-cache   solar schedules do not exist here; nearest: cron = \"0 18 * * *\"
  legacy-sync  options.exchange: \"ex1\" has no binding for \"rk1\": Celery drops this message today, silently
               name a queue: options = {\"queue\": \"...\"}
  poll-feed    schedule.every: 0.05 s is below the shortest, 100ms
               a task may do several rounds itself
5 ids changed, the old name is in label celery_name
  \"Clean up sessions (daily)\" -> Clean-up-sessions-daily
  \"Prüfen & melden\" -> Prüfen-melden
  \"Send digest!\" -> Send-digest
  \"rotate keys (weekly)\" -> rotate-keys-weekly
  \"sync / users\" -> sync-users
2 disabled entries are written with paused = true
";
    assert!(imported.stderr.starts_with(told), "{}", imported.stderr);
    assert!(
        imported.stderr.contains("note: 6 tasks have options in the app's code or in task_routes"),
        "{}",
        imported.stderr
    );

    // Two mistakes, both from habit.
    let bad = imported.stdout.replace("[entries.\"billing.close-month\"]", "[entries.billing.close-month]");
    let sync = bad.find("[entries.sync-crm]").unwrap();
    let (before, after) = bad.split_at(sync + "[entries.sync-crm]\n".len());
    user.file("celery.toml", &format!("{before}start_within = 300\n{after}"));
    let lint = user.run(&["lint", "-f", "celery.toml"]).expect_code(1);
    let said = lint.stdout + &lint.stderr;
    for line in [
        ": entries.sync-crm.start_within: 300 has no unit; write \"5m\"",
        ": entries.billing: unknown field \"close-month\"\n  an id with a dot is quoted: [entries.\"billing.close-month\"]\n",
        "2 errors; nothing was sent to Redis",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    user.file("celery.toml", &imported.stdout);
    let lint = user.run(&["lint", "-f", "celery.toml"]).expect_code(0);
    assert!(lint.stdout.starts_with("37 entries, no errors\n"), "{}", lint.stdout);
    let lint = lint.stdout + &lint.stderr;
    assert!(lint.contains("fire at the same minute (00:00 Asia/Shanghai); spread = \"5m\" or H would help"), "{lint}");
    assert!(
        lint.contains("overlap is `allow` for Celery messages: a slow task can overlap itself as it does today"),
        "{lint}"
    );
    assert!(!redis.keys().iter().any(|key| key.starts_with("upbeat:")), "nothing was sent to Redis");

    let plan = user.ok(&["plan", "-f", "celery.toml"]);
    let line = |start: &str| {
        plan.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}\n{plan}")).to_owned()
    };
    assert!(line("+ billing.close-month ").contains(" cron 0 2 1 * * Asia/Shanghai  "), "{plan}");
    assert!(line("+ billing.close-month ").contains(" celery billing.tasks.close  next "), "{plan}");
    let footer = line("37 to add, 0 to change, 0 to remove · owner celery · namespace prod on ");
    assert!(footer.ends_with(" (the broker itself: messages are delivered by the claim)"), "{footer}");

    // Beat was stopped two and a half minutes ago.
    let worker = celery::worker().start(&python, &redis);
    let _node = node("a", redis.url()).namespace("prod").start_live(&user);
    let from = Timestamp(redis.now_ms() - 150_000).to_rfc3339();
    let applied = user.ok(&["apply", "-f", "celery.toml", "--from", &from, "--reason", "leave celery beat"]);
    assert!(applied.starts_with("37 added · revision 1 each · first fire "), "{applied}");
    let executed = celery::wait_executed(&redis, 1);
    let beat = executed.iter().find(|task| task["args"][0] == "heartbeat");
    let beat = beat.unwrap_or_else(|| panic!("{executed:?}\n{}", worker.log()));
    assert_eq!((&beat["args"][1], &beat["kwargs"]), (&Value::from("ä"), &serde_json::json!({"of": null})));
    let runs = user.json(&["runs", "heartbeat", "--state", "succeeded", "--limit", "0"]);
    let first = runs.as_array().unwrap().last().unwrap().clone();
    assert_eq!((first["reason"].as_str(), first["run_id"] == beat["id"]), (Some("delivered"), true), "{runs}\n{beat}");
    let audit = user.run(&["audit", "--since", "-1h"]).expect_code(0);
    assert!(audit.stdout.contains("0 missing, 0 extra"), "{}", audit.stdout);

    // The way back.
    user.ok(&["pause", "--owner", "celery", "-y", "--reason", "back to celery beat"]);
    let entries = user.json(&["ls"]);
    assert!(entries.as_array().unwrap().iter().all(|entry| entry["status"] == "paused"), "{entries}");
}
