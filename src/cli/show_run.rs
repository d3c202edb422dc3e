//! `upbeat runs show RUN`: one run with each of its attempts.

use serde::Serialize;

use crate::cli::App;
use crate::cli::output::{Ended, facts, printable, table};
use crate::cli::run_words::{Words, name, outcome};
use crate::cli::times::took;
use crate::error::Result;
use crate::service::{AttemptView, RunRef, RunView, Service};

/// A run, and what became of each attempt.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    run: &'a RunView,
    attempt_log: Vec<AttemptView>,
    /// How it ended before it was retried, the oldest first.
    earlier_endings: Vec<RunView>,
}

/// `upbeat runs show RUN`.
pub async fn show(app: &App, run: &str) -> Ended {
    let wanted = RunRef::parse(run)?;
    let service = app.service().await?;
    let run = service.run(&wanted).await?;
    print(app, &service, &run).await?;
    Ok(0)
}

/// Prints a run with its attempts.
pub async fn print(app: &App, service: &Service, run: &RunView) -> Result<()> {
    let words = Words::of(service, std::slice::from_ref(run), false).await?;
    let wall = words.wall(run);
    let at = |at: Option<crate::service::At>| at.map(|at| wall.at(at.0)).unwrap_or_default();
    let shown = Shown { run, attempt_log: run.attempt_log(), earlier_endings: service.earlier_endings(run).await? };
    app.printer.one(
        &shown,
        |shown| shown.run.run_id.clone(),
        || {
            let mut lines = vec![
                ("state", outcome(run, &wall)),
                ("run", run.run_id.clone()),
                ("why", run.trigger.to_owned()),
                ("fire time", wall.full(run.fire_at.0)),
                ("enqueued", at(run.enqueued_at)),
                ("started", at(run.started_at)),
                ("next attempt", at(run.next_attempt_at)),
                ("ended", at(run.finished_at)),
                ("revision", run.revision.to_string()),
            ];
            if run.fires > 1 {
                let last = wall.at(run.last_fire_at.0);
                lines.push(("stands for", format!("{} fire times, the last {last}", run.fires)));
            }
            for ending in &shown.earlier_endings {
                lines.push((
                    "before",
                    format!("{}, {}, and was retried", outcome(ending, &wall), at(ending.finished_at)),
                ));
            }
            lines.retain(|(_, value)| !value.is_empty());
            let attempts = match shown.attempt_log.is_empty() {
                true => String::new(),
                false => table(
                    &["ATTEMPT", "NODE", "STARTED", "TOOK", "OUTCOME", ""],
                    shown.attempt_log.iter().map(|attempt| {
                        vec![
                            attempt.attempt.to_string(),
                            attempt.node.clone().unwrap_or_default(),
                            wall.at(attempt.started_at.0),
                            attempt.duration_ms.map(took).unwrap_or_default(),
                            attempt.outcome.to_owned(),
                            remark(attempt),
                        ]
                    }),
                ),
            };
            format!("{}\n{}{attempts}", name(run), facts(&lines))
        },
    );
    Ok(())
}

/// `failed after 17 ms on web-2: exit: exited with code 12`: what one attempt came to.
pub fn attempt_outcome(attempt: &AttemptView) -> String {
    let took = attempt.duration_ms.map(|ms| format!(" after {}", took(ms))).unwrap_or_default();
    let node = attempt.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
    let remark = Some(remark(attempt)).filter(|remark| !remark.is_empty());
    format!("{}{took}{node}{}", attempt.outcome, remark.map(|remark| format!(": {remark}")).unwrap_or_default())
}

/// `exit: exited with code 12`, `timeout: took longer than 10m`.
fn remark(attempt: &AttemptView) -> String {
    let reason = attempt.reason.filter(|reason| *reason != "lost" && *reason != "drained").unwrap_or_default();
    match &attempt.message {
        Some(message) if reason.is_empty() => printable(message),
        Some(message) => format!("{reason}: {}", printable(message)),
        None => reason.to_owned(),
    }
}
