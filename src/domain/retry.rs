//! Whether an attempt that failed by itself is repeated, and after how long.
//!
//! Attempts that were lost with their node or handed back by one that stops are none of this: they are repeated at once
//! and counted apart.

mod read;
#[cfg(test)]
mod tests;

use crate::domain::run::Reason;
use crate::domain::span::Span;

/// Greatest `max_attempts`.
pub const MAX_ATTEMPTS_MAX: u16 = 100;
/// Greatest `delay` and `max_delay`, and the longest wait that a target can ask for: 7 d.
pub const DELAY_MAX: Span = Span(7 * 86_400_000);
/// Items of `not_on`, at most.
pub const NOT_ON_MAX: usize = 32;
/// What a target may ask for with `Retry-After`, at least; more where `max_delay` is greater.
const ASKED_MAX: Span = Span(3_600_000);

/// How often and when attempts that failed by themselves are repeated. An entry without one makes one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Attempts that may fail by themselves, the first one counted; 1 to 100.
    pub max_attempts: u16,
    /// How the wait grows.
    pub backoff: Backoff,
    /// The wait after the first failure; 0 to 7 d.
    pub delay: Span,
    /// The longest wait, before its jitter; `delay` to 7 d.
    pub max_delay: Span,
    /// The part of a wait by which it is made longer or shorter at random; 0 to 1.
    pub jitter: f64,
    /// No attempt begins later than this after the run's first one began.
    pub within: Option<Span>,
    /// Failures after which no further attempt would help.
    pub not_on: Vec<NotOn>,
}

/// How waits grow with the number of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backoff {
    /// Each is twice the one before.
    #[default]
    Exponential,
    /// Each is longer by `delay`.
    Linear,
    /// All are `delay`.
    Constant,
}

/// A failure that is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOn {
    /// A command that exits with one of these codes, both ends included: `exit:2`, `exit:2-5`.
    Exit(u8, u8),
    /// An answer with one of these statuses, both ends included: `http:404`, `http:400-499`.
    Http(u16, u16),
    /// Whatever ends for this reason: `timeout`.
    Reason(Reason),
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// What the command returned.
    pub exit_code: Option<i32>,
    /// The status of the answer.
    pub http_status: Option<u16>,
    /// How long the target asks to be left alone.
    pub retry_after: Option<Span>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            backoff: Backoff::default(),
            delay: Span(10_000),
            max_delay: Span(600_000),
            jitter: 0.2,
            within: None,
            not_on: Vec::new(),
        }
    }
}

impl Retry {
    /// How long the run waits for its next attempt; `None` where it has failed for good.
    ///
    /// `failed` counts the attempts that failed by themselves, this one included; `elapsed_ms` is the time since the first
    /// attempt of the run began; `random` lies from 0 to 1.
    ///
    /// There is no further attempt where `failed` has reached `max_attempts`, where `not_on` names the failure, or where the
    /// attempt would begin later than `within`. The wait is that of the backoff, `max_delay` at most, made longer or
    /// shorter by up to `jitter` of it. A target that asks for more (`Retry-After`) gets that, up to 1 h or `max_delay`,
    /// whichever is longer.
    pub fn wait(&self, failed: u32, failure: &Failure, elapsed_ms: i64, random: f64) -> Option<Span> {
        if failed >= u32::from(self.max_attempts) || self.not_on.iter().any(|item| item.names(failure)) {
            return None;
        }
        let own = self.backoff.wait(self.delay, failed).min(self.max_delay);
        let part = 1.0 + self.jitter * (2.0 * random.clamp(0.0, 1.0) - 1.0);
        // No wait is longer than twice 7 d: far inside what a float tells apart.
        let own = Span((own.0 as f64 * part).round() as u64);
        let asked = failure.retry_after.unwrap_or_default().min(self.max_delay.max(ASKED_MAX));
        let wait = own.max(asked);
        let is_in_time = self.within.is_none_or(|within| elapsed_ms.saturating_add(wait.ms()) <= within.ms());
        is_in_time.then_some(wait)
    }
}

impl Retry {
    /// The attempts that can begin within `within` when each fails at once, without jitter.
    pub fn attempts_within(&self) -> u16 {
        let Some(within) = self.within else { return self.max_attempts };
        let mut elapsed_ms: u64 = 0;
        for failed in 1..self.max_attempts {
            elapsed_ms = elapsed_ms.saturating_add(self.backoff.wait(self.delay, failed.into()).min(self.max_delay).0);
            if elapsed_ms > within.0 {
                return failed;
            }
        }
        self.max_attempts
    }
}

impl Backoff {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Exponential, Self::Linear, Self::Constant];

    /// The word in definitions.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exponential => "exponential",
            Self::Linear => "linear",
            Self::Constant => "constant",
        }
    }

    fn wait(self, delay: Span, failed: u32) -> Span {
        let times = match self {
            Self::Exponential => 1_u64.checked_shl(failed.saturating_sub(1)).unwrap_or(u64::MAX),
            Self::Linear => u64::from(failed.max(1)),
            Self::Constant => 1,
        };
        Span(delay.0.saturating_mul(times))
    }
}

impl NotOn {
    fn names(self, failure: &Failure) -> bool {
        match self {
            Self::Exit(low, high) => {
                failure.exit_code.is_some_and(|code| (i32::from(low)..=i32::from(high)).contains(&code))
            }
            Self::Http(low, high) => failure.http_status.is_some_and(|status| (low..=high).contains(&status)),
            Self::Reason(reason) => failure.reason == reason,
        }
    }
}
