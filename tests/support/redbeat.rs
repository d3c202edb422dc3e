//! Real RedBeat from PyPI: beats, and entries as an app saves them.

use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use super::redis::RedisServer;
use super::wait::{DEADLINE, wait_for};
use super::{celery, guard, short_dir};

/// A beat process; it is killed when dropped, and when the test process dies.
pub struct Beat {
    child: Child,
    log_file: std::path::PathBuf,
    _dir: tempfile::TempDir,
}

/// Settings of the app beside the usual ones, JSON: a beat looks at least once a second.
pub fn settings(redis: &RedisServer, more: &Value) -> String {
    let mut settings = json!({
        "redbeat_redis_url": format!("{}?db=0", redis.url()),
        "beat_max_loop_interval": 1,
        "broker_connection_retry_on_startup": true,
        "timezone": "UTC",
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    // The app sets this one itself.
    settings.as_object_mut().unwrap().remove("broker_connection_retry_on_startup");
    settings.to_string()
}

impl Beat {
    /// Starts a beat with these settings; it need not hold the lock yet.
    #[track_caller]
    pub fn start(python: &Path, redis: &RedisServer, more: &Value) -> Self {
        let dir = short_dir();
        let log_file = dir.path().join("beat.log");
        let log = std::fs::File::create(&log_file).expect("a log file");
        let mut command = celery::command(python, redis);
        command.current_dir(dir.path()).env("UPBEAT_TEST_CONF", settings(redis, more));
        command.args(["-m", "celery", "-A", "redbeat_app", "beat", "-S", "redbeat.RedBeatScheduler"]);
        command.args(["--loglevel", "INFO", "--pidfile", ""]);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log file")).stderr(log);
        let child = command.spawn().expect("Celery was installed");
        guard::watch(&child);
        Self { child, log_file, _dir: dir }
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log_file).unwrap_or_default()
    }

    /// Waits until it has written that.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        wait_for(&format!("the beat says {text:?}:\n{}", self.log()), DEADLINE, || self.log().contains(text));
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_some()
    }

    /// Kills it without a word.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        guard::reap(&mut self.child);
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("--- log of the beat\n{}", self.log());
        }
    }
}

/// Saves entries as an app does: lines of Python that call `save(name, schedule, **more)`; each sends its own name.
#[track_caller]
pub fn save(python: &Path, redis: &RedisServer, lines: &str) {
    let script = format!(
        "from celery_app import app\nfrom celery.schedules import crontab, schedule\nfrom redbeat import RedBeatSchedulerEntry\n\
         from redbeat.schedules import rrule\nfrom datetime import datetime, timedelta, timezone\n\
         def save(name, when, **more):\n\
         \x20   enabled = more.pop('enabled', True)\n\
         \x20   return RedBeatSchedulerEntry(name, more.pop('task', 'app.record'), when, args=more.pop('args', [name]), enabled=enabled, app=app, **more).save()\n{lines}"
    );
    let mut command = celery::command(python, redis);
    command.env("UPBEAT_TEST_CONF", settings(redis, &Value::Null)).args(["-c", &script]);
    let output = command.output().expect("Python can be started");
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The JSON of a field of an entry.
#[track_caller]
pub fn field(redis: &RedisServer, name: &str, field: &str) -> Value {
    let text = redis.cli(&["HGET", &format!("redbeat:{name}"), field]);
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{name}, {field}: {why}: {text}"))
}

/// How often RedBeat says that an entry fired.
#[track_caller]
pub fn runs(redis: &RedisServer, name: &str) -> u64 {
    field(redis, name, "meta")["total_run_count"].as_u64().unwrap_or(0)
}
