//! The words of what people ask for: pause, resume, trigger.

use clap::Args;

use crate::cli::args::{Changing, SelectedChange};

#[derive(Debug, Args)]
pub struct PauseArgs {
    #[command(flatten)]
    pub selected: SelectedChange,
    /// Only until then: 18:00, 2026-12-01T09:00, +2h; changes the end of a pause that holds
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub until: Option<String>,
}

pub const PAUSE_EXAMPLES: &str = "\
Examples:
  upbeat pause report --reason 'INC-1234'
  upbeat pause -l tier=backup --until +2h -y   fire times from then on are regular again, whoever notices
A time of day is the next one, in the entry's zone. What is overdue ends missed, what passes skipped.";

#[derive(Debug, Args)]
pub struct ResumeArgs {
    #[command(flatten)]
    pub selected: SelectedChange,
    /// What passed since then follows catch_up instead of being skipped: 02:00, -8h, an instant
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub from: Option<String>,
}

pub const RESUME_EXAMPLES: &str = "\
Examples:
  upbeat resume report               goes on with its next fire time
  upbeat resume report --from -2h    what passed in the last two hours follows its catch_up
At most back to where the pause began; upbeat backfill runs what is on record.";

#[derive(Debug, Args)]
pub struct TriggerArgs {
    pub id: String,
    /// Instead of the entry's payload: JSON, or a text
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub payload: Option<String>,
    /// Instead of the entry's rule: allow or skip
    #[arg(long, value_name = "RULE")]
    pub overlap: Option<String>,
    /// Wait until it has ended, at most this long; exit 0, 1 or 6
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub wait: Option<String>,
    #[command(flatten)]
    pub changing: Changing,
    /// Put behind the entry's own arguments
    #[arg(last = true, value_name = "ARG")]
    pub args: Vec<String>,
}
