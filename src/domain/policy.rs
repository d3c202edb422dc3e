//! The *how* of an entry: overlap, catch-up and their defaults.

use crate::domain::span::Span;

/// What to do when a fire time comes while another run of the entry is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// Run beside it.
    Allow,
    /// Record the fire time as `skipped`, `overlap`.
    #[default]
    Skip,
}

/// What to do with fire times that are found late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// Record them all as `missed`, `too_late`.
    None,
    /// Run the newest, record the others as `missed`, `superseded`.
    Latest,
    /// Run the newest `max_runs` of them, oldest first, at most `per_minute`.
    All {
        /// 1 to 100; what is beyond is `missed`, `catch_up_limit`.
        max_runs: u16,
        /// 1 to 60,000; pace of the back-log.
        per_minute: u16,
    },
}

impl Default for CatchUp {
    fn default() -> Self {
        Self::Latest
    }
}

impl CatchUp {
    /// `max_runs` of `all` where it is not named, and its greatest value.
    pub const MAX_RUNS: u16 = 100;
    /// `per_minute` of `all` where it is not named.
    pub const PER_MINUTE: u16 = 60;
}

/// Runs of each entry that stay on record, and as many that did not succeed, apart.
pub const KEEP_RUNS: u16 = 100;
/// Greatest `keep_runs`.
pub const KEEP_RUNS_MAX: u16 = 10_000;
/// Timeout of an `http` attempt where the entry names none.
pub const HTTP_TIMEOUT: Span = Span(30_000);
/// From SIGTERM to SIGKILL.
pub const KILL_AFTER: Span = Span(10_000);
/// Greatest definition, bytes of JSON.
pub const DEFINITION_MAX_BYTES: usize = 64 * 1024;
/// Greatest payload, bytes as sent.
pub const PAYLOAD_MAX_BYTES: usize = 64 * 1024;
/// Output kept of an attempt, bytes from its end.
pub const OUTPUT_MAX_BYTES: usize = 64 * 1024;
/// Result that an attempt may leave, bytes.
pub const RESULT_MAX_BYTES: usize = 16 * 1024;
/// Take-overs of one run after which it is `failed`, `lost`.
pub const TAKE_OVERS: u8 = 3;
/// `max_len` of a list or stream where the entry names none.
pub const TARGET_MAX_LEN: u64 = 100_000;
