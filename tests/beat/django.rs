//! The exporter in a Django project with the tables of django-celery-beat.

use std::path::Path;

use serde_json::{Value, json};

use crate::exporter::App;
use crate::support::celery;

const DJANGO: &str = r#"
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
from celery import Celery
from celery.schedules import crontab
app = Celery("proj")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {"from-code": {"task": "t.code", "schedule": 60}, "in-both": {"task": "t.both", "schedule": 120}}
"#;

pub const SETTINGS: &str = r#"
import os
SECRET_KEY = "x"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
INSTALLED_APPS = ["django.contrib.contenttypes", "django_celery_beat"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
CELERY_BROKER_URL = os.environ.get("BROKER", "redis://redis:6379/2")
CELERY_TIMEZONE = "Asia/Shanghai"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_TASK_CREATE_MISSING_QUEUES = True
"#;

const ROWS: &str = r#"
import datetime, json, os, sys
sys.path.insert(0, os.getcwd())
import proj.celery
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django_celery_beat.models import *
utc = datetime.timezone.utc
tokyo, _ = CrontabSchedule.objects.get_or_create(minute="30", hour="9", timezone="Asia/Tokyo")
berlin, _ = CrontabSchedule.objects.get_or_create(minute="0", hour="*/2", day_of_week="mon-fri", timezone="Europe/Berlin")
five, _ = IntervalSchedule.objects.get_or_create(every=5, period="minutes")
hours, _ = IntervalSchedule.objects.get_or_create(every=6, period="hours")
at = ClockedSchedule.objects.create(clocked_time=datetime.datetime(2030, 5, 1, 12, 0, tzinfo=utc))
PeriodicTask.objects.create(name="Clean up sessions (daily)", task="t.clean", crontab=tokyo, args=json.dumps([1, "ä", None]))
PeriodicTask.objects.create(name="berlin", task="t.berlin", crontab=berlin, queue="eu", priority=3, headers=json.dumps({"tenant": 7}))
PeriodicTask.objects.create(name="off", task="t.off", interval=five, enabled=False)
PeriodicTask.objects.create(name="ran", task="t.ran", interval=hours, expire_seconds=90, kwargs=json.dumps({"k": None}),
                            last_run_at=datetime.datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=utc), total_run_count=7)
PeriodicTask.objects.create(name="once", task="t.once", clocked=at, one_off=True)
PeriodicTask.objects.create(name="once-daily", task="t.once", crontab=tokyo, one_off=True)
PeriodicTask.objects.create(name="season", task="t.season", interval=five,
                            start_time=datetime.datetime(2030, 1, 1, tzinfo=utc), expires=datetime.datetime(2030, 2, 1, tzinfo=utc))
PeriodicTask.objects.create(name="in-both", task="t.old", interval=five, enabled=False)
PeriodicTask.objects.create(name="broken", task="t.broken", interval=five)
PeriodicTask.objects.filter(name="broken").update(args="not json")
solar = SolarSchedule.objects.create(event="sunrise", latitude=52, longitude=13)
PeriodicTask.objects.create(name="sun", task="t.sun", solar=solar)
"#;

fn django(python: &Path) -> App {
    let app = App::new(python, DJANGO);
    app.user.file("proj/settings.py", SETTINGS);
    app.user.file("rows.py", ROWS);
    app.python(&["rows.py"]).expect_code(0);
    app
}

#[test]
fn a_django_project_is_read_with_its_tables_and_the_zones_in_them() {
    let Some(python) = celery::python() else { return };
    let app = django(&python);
    let said = app.export(&[]);
    let summary = "11 entries: 2 from beat_schedule, 9 from django_celery_beat · timezone Asia/Shanghai · broker redis://redis:6379/2";
    assert!(said.lines().any(|line| line == summary), "{said}");
    let outcome = app.user.run(&["import", "celery", "beat.json"]).expect_code(0);
    assert!(outcome.stderr.contains("11 read, 9 written, 2 not carried over"), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("  \"Clean up sessions (daily)\" -> Clean-up-sessions-daily\n"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("2 disabled entries are written with paused = true"), "{}", outcome.stderr);
    app.user.file("celery.toml", &outcome.stdout);
    app.user.run(&["lint", "-f", "celery.toml"]).expect_code(0);
    let file = app.user.json(&["import", "celery", "beat.json"]);
    let entry = |id: &str| file["entries"][id].clone();
    assert_eq!(
        (entry("Clean-up-sessions-daily")["cron"].clone(), entry("Clean-up-sessions-daily")["tz"].clone()),
        (json!("30 9 * * *"), json!("Asia/Tokyo"))
    );
    assert_eq!(entry("Clean-up-sessions-daily")["celery"]["args"], json!([1, "ä", null]));
    assert_eq!(
        entry("berlin"),
        json!({"cron": "0 */2 * * mon-fri", "tz": "Europe/Berlin", "celery": {"task": "t.berlin", "queue": "eu", "priority": 3,
               "headers": {"tenant": 7, "periodic_task_name": "berlin"}}, "overlap": "allow", "catch_up": "latest"})
    );
    assert_eq!((entry("off")["paused"].clone(), entry("in-both")["paused"].clone()), (json!(true), json!(true)));
    // Beat writes beat_schedule over the table whenever it starts.
    assert_eq!((entry("in-both")["every"].clone(), entry("in-both")["celery"].clone()), (json!("2m"), json!("t.both")));
    assert_eq!(
        (entry("ran")["anchor"].clone(), entry("ran")["celery"]["expires"].clone()),
        (json!("2026-11-21T01:02:03.456Z"), json!("1m30s"))
    );
    assert_eq!(entry("once")["at"], json!("2030-05-01T12:00:00.000Z"));
    assert_eq!((entry("once-daily")["max_fires"].clone(), entry("once")["max_fires"].clone()), (json!(1), Value::Null));
    assert_eq!(
        (entry("season")["start"].clone(), entry("season")["end"].clone()),
        (json!("2030-01-01T00:00:00.000Z"), json!("2030-02-01T00:00:00.000Z"))
    );
}
