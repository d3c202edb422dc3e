//! From the outcome of an attempt to what Redis is told: how it ended, and whether the run has another attempt.

use std::time::Instant;

use crate::domain::record::LiveRun;
use crate::domain::retry::{Failure, Retry};
use crate::domain::run::Reason;
use crate::domain::span::Span;
use crate::node::action::{Ending, Outcome};
use crate::node::state::Shared;
use crate::store::{Ended, EndedAs, NextAttempt, Started};

/// The time of a whole run, all its attempts and the waits between them.
#[derive(Debug)]
pub struct WholeRun {
    /// From its first start to that of this attempt, by the shard's clock; ms.
    before_ms: i64,
    began: Instant,
    /// The rule of its entry.
    pub retry: Option<Retry>,
}

impl WholeRun {
    /// As of now, when the attempt begins.
    pub fn at_start(started: &Started) -> Self {
        let before_ms = started.run.started_at.map_or(0, |first| (started.at.0 - first.0).max(0));
        Self { before_ms, began: Instant::now(), retry: None }
    }

    fn elapsed_ms(&self) -> i64 {
        self.before_ms.saturating_add(i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// What is left of `within`, ms; `None` without such a limit.
    fn left_ms(&self) -> Option<i64> {
        let within = self.retry.as_ref()?.within?;
        Some(within.ms().saturating_sub(self.elapsed_ms()))
    }

    /// The length of this attempt where `own` is that of each: no longer than what the whole run has left. `None` where that
    /// is nothing.
    pub fn timeout(&self, own: Option<Span>) -> Option<Option<Span>> {
        let Some(left) = self.left_ms() else { return Some(own) };
        let left = Span(u64::try_from(left).ok().filter(|left| *left > 0)?);
        Some(Some(own.map_or(left, |own| own.min(left))))
    }

    /// The end of a run whose time was up before this attempt could begin.
    pub fn too_late(&self, run: &LiveRun) -> Ended {
        let message = "the time of the whole run was up before this attempt (retry.within)";
        Ended { reason: Some(Reason::Timeout), ..refused(run, message) }
    }

    /// When the run is tried again after this failure.
    fn next(&self, run: &LiveRun, failure: &Failure) -> Option<NextAttempt> {
        let retry = self.retry.as_ref()?;
        let wait = retry.wait(run.counted(), failure, self.elapsed_ms(), fastrand::f64())?;
        Some(NextAttempt { wait_ms: wait.ms(), left_ms: self.left_ms() })
    }
}

/// An attempt that this node could not begin.
pub fn refused(run: &LiveRun, why: &str) -> Ended {
    Ended {
        run_id: run.run_id.clone(),
        fence: run.fence,
        how: EndedAs::Failed,
        reason: Some(Reason::Refused),
        exit_code: None,
        message: why.to_owned(),
        next: None,
    }
}

/// An attempt that was stopped before it began: nothing has happened, so another node may do it whatever its delivery is.
pub fn stopped(shared: &Shared, run: &LiveRun, ending: Ending) -> Ended {
    let (how, reason) = how_ended(shared, ending);
    let how = if how == EndedAs::HandedBack { EndedAs::Returned } else { how };
    Ended { how, reason, ..refused(run, "stopped before it began") }
}

/// An attempt that ended.
pub fn ended(shared: &Shared, run: &LiveRun, outcome: &Outcome, whole: &WholeRun) -> Ended {
    let (how, reason) = how_ended(shared, outcome.ending);
    let next = match outcome.ending {
        Ending::Failed(reason) => {
            let Outcome { exit_code, http_status, retry_after, .. } = *outcome;
            whole.next(run, &Failure { reason, exit_code, http_status, retry_after })
        }
        _ => None,
    };
    Ended {
        run_id: run.run_id.clone(),
        fence: run.fence,
        how,
        reason,
        exit_code: outcome.exit_code,
        message: outcome.message.clone().unwrap_or_default(),
        next,
    }
}

fn how_ended(shared: &Shared, ending: Ending) -> (EndedAs, Option<Reason>) {
    match ending {
        Ending::Succeeded => (EndedAs::Succeeded, None),
        Ending::Delivered => (EndedAs::Succeeded, Some(Reason::Delivered)),
        Ending::Failed(reason) => (EndedAs::Failed, Some(reason)),
        Ending::Cancelled => (EndedAs::Cancelled, Some(Reason::ByUser)),
        Ending::HandBack => (EndedAs::HandedBack, Some(Reason::Drained)),
        // Killed at the end of a drain: handed back. Else the lease is lost, and Redis refuses and records the result.
        Ending::Lost if shared.shutdown.is_draining() => (EndedAs::HandedBack, Some(Reason::Drained)),
        Ending::Lost => (EndedAs::Failed, Some(Reason::Lost)),
    }
}
