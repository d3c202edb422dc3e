//! Waiting for runs, and Ctrl-C meanwhile.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::domain::span::Span;
use crate::error::{Error, Problem, Result};
use crate::service::{RunRef, RunView, Service};

/// The exit code after Ctrl-C.
pub const INTERRUPTED: u8 = 130;
/// Between two looks.
const POLL: Duration = Duration::from_millis(100);

/// What was waited for, or `None` after Ctrl-C.
pub async fn unless_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        _ = tokio::signal::ctrl_c() => None,
    }
}

/// Waits until a run has ended.
///
/// # Errors
///
/// [`Error::TimedOut`] once `limit` is over; what reading the run answers.
pub async fn until_ended(service: &Service, run: &RunView, limit: Option<Span>) -> Result<RunView> {
    let start = Instant::now();
    let wanted = RunRef::Id(run.run_id.clone());
    let mut seen = run.clone();
    loop {
        if seen.finished_at.is_some() {
            return Ok(seen);
        }
        if limit.is_some_and(|limit| start.elapsed().as_millis() >= u128::from(limit.0)) {
            let limit = limit.unwrap_or_default().human();
            let message = format!("{limit} are over and the run is {}", seen.state);
            let hint = format!("it goes on; upbeat cancel {} ends it", seen.run_id);
            return Err(Error::TimedOut(Problem::new("wait", message).hint(hint)));
        }
        tokio::time::sleep(POLL).await;
        seen = service.run(&wanted).await?;
    }
}
