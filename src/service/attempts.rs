//! Attempts of a run as answers: the ones on record, and the one that runs or ended it.

use serde::Serialize;

use crate::domain::attempt::PastAttempt;
use crate::domain::record::{EndedRun, LiveRun};
use crate::domain::run::{Reason, State};
use crate::domain::timestamp::Timestamp;
use crate::service::view::{At, RunView};

/// What a record tells of the attempts that were made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Made {
    past: Vec<PastAttempt>,
    /// When the attempt began that runs, or that ended the run.
    last_at: Option<Timestamp>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptView {
    /// Counts from 1.
    pub attempt: u32,
    /// Its node.
    pub node: Option<String>,
    /// When it began.
    pub started_at: At,
    /// When it ended, or was found lost.
    pub finished_at: Option<At>,
    /// From start to end, ms.
    pub duration_ms: Option<i64>,
    /// `running`, `succeeded`, `failed`, `cancelled`, `lost` (with its node) or `handed_back` (by a node that stopped).
    pub outcome: &'static str,
    /// A word of `Reason`.
    pub reason: Option<&'static str>,
    /// What the command returned.
    pub exit_code: Option<i32>,
    /// For people.
    pub message: Option<String>,
}

impl Made {
    pub(super) fn of_live(run: &LiveRun) -> Self {
        let is_running = run.state == State::Running;
        Self { past: run.past.clone(), last_at: run.attempt_at().filter(|_| is_running) }
    }

    pub(super) fn of_ended(run: &EndedRun) -> Self {
        let last_at = if run.past.is_empty() { run.started_at } else { run.last_attempt_at };
        Self { past: run.past.clone(), last_at: last_at.filter(|_| run.attempt > 0) }
    }

    /// The nodes with which attempts were lost.
    pub(super) fn lost_with(&self) -> Vec<(usize, &str)> {
        let lost = self.past.iter().enumerate().filter(|(_, past)| past.reason == Some(Reason::Lost));
        lost.filter_map(|(at, past)| Some((at, past.node.as_deref()?))).collect()
    }

    /// What the attempt before came to.
    pub(super) fn last_past(&self) -> Option<&PastAttempt> {
        self.past.last()
    }
}

impl RunView {
    /// Every attempt on record, the oldest first. Of very many (some hundred) the first ones are not kept.
    #[must_use]
    pub fn attempt_log(&self) -> Vec<AttemptView> {
        let past = &self.made.past;
        let behind = u32::from(self.made.last_at.is_some());
        let first = self.attempt.saturating_sub(behind + u32::try_from(past.len()).unwrap_or(0));
        let past = past.iter().zip(first + 1..).map(|(past, attempt)| AttemptView {
            attempt,
            node: past.node.clone(),
            started_at: At(past.started_at),
            finished_at: Some(At(past.finished_at)),
            duration_ms: Some((past.finished_at.0 - past.started_at.0).max(0)),
            outcome: match past.reason {
                Some(Reason::Lost) => "lost",
                Some(Reason::Drained) => "handed_back",
                _ => State::Failed.word(),
            },
            reason: past.reason.map(Reason::word),
            exit_code: past.exit_code,
            message: past.message.clone(),
        });
        let last = self.made.last_at.map(|started_at| AttemptView {
            attempt: self.attempt,
            node: self.node.clone(),
            started_at: At(started_at),
            finished_at: self.finished_at,
            duration_ms: self.finished_at.map(|at| (at.0.0 - started_at.0).max(0)),
            outcome: match self.reason {
                Some("lost") => "lost",
                _ => self.state,
            },
            reason: self.reason,
            exit_code: self.exit_code,
            message: self.message.clone(),
        });
        past.chain(last).collect()
    }
}
