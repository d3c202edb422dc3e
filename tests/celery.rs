//! Tasks for Celery: stock workers from PyPI execute what upbeat's nodes fire, relay and wait for.

#![allow(clippy::unwrap_used)]

mod support;

#[path = "celery/relayed.rs"]
mod relayed;
#[path = "celery/taken_over.rs"]
mod taken_over;
#[path = "celery/tracked.rs"]
mod tracked;
#[path = "celery/workers.rs"]
mod workers;

use serde_json::Value;
use support::cli::Upbeat;
use support::wait::{DEADLINE, wait_some};

/// The run that a trigger of this entry makes.
fn triggered(user: &Upbeat, args: &[&str]) -> Value {
    user.json(&[&["trigger"], args].concat())
}

/// The run once it has ended.
#[track_caller]
fn ended(user: &Upbeat, run: &Value) -> Value {
    let run_id = run["run_id"].as_str().unwrap();
    wait_some("the run has ended", DEADLINE, || {
        Some(user.json(&["runs", "show", run_id])).filter(|run| !run["finished_at"].is_null())
    })
}

/// State, reason and message of a run.
fn end_of(run: &Value) -> (&str, &str, &str) {
    let text = |field: &str| run[field].as_str().unwrap_or_default();
    (text("state"), text("reason"), text("message"))
}
