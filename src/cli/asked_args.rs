//! The words of what people ask for: pause, resume, trigger, skip, backfill.

use clap::Args;

use crate::cli::args::{Changing, SelectedChange};
use crate::cli::fields::Fields;

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

/// Flags of commands that make a run.
#[derive(Debug, Args)]
pub struct Waiting {
    /// Wait until it has ended, at most this long; exit 0, 1 or 6
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub wait: Option<String>,
    /// Make no run where another request with this key made one a short time ago
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub unique: Option<String>,
    /// How long the key is taken [default: 24h]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub unique_for: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    mut_arg("cron", |arg| arg.hide(true)),
    mut_arg("every", |arg| arg.hide(true)),
    mut_arg("rrule", |arg| arg.hide(true)),
    mut_arg("start", |arg| arg.hide(true)),
    mut_arg("end", |arg| arg.hide(true)),
    mut_arg("anchor", |arg| arg.hide(true)),
    mut_arg("max_fires", |arg| arg.hide(true)),
    mut_arg("exclude", |arg| arg.hide(true)),
    mut_arg("spread", |arg| arg.hide(true)),
    mut_arg("dst", |arg| arg.hide(true)),
    mut_arg("overlap", |arg| arg.hide(true)),
    mut_arg("catch_up", |arg| arg.hide(true)),
    mut_arg("max_running", |arg| arg.hide(true)),
    mut_arg("keep_runs", |arg| arg.hide(true)),
    mut_arg("labels", |arg| arg.hide(true)),
    mut_arg("note", |arg| arg.hide(true)),
    mut_arg("paused", |arg| arg.hide(true)),
    mut_arg("tz", |arg| arg.help("Zone of --at [default: UTC]")),
    mut_arg("at", |arg| arg.help("Not at once, but at an instant: 18:00, 2026-12-01T09:00, +2h")),
)]
pub struct OnceArgs {
    #[arg(hide = true)]
    pub stray: Vec<String>,
    /// Not at once, but so long from now: 5m, 1h30m
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub r#in: Option<String>,
    #[command(flatten)]
    pub fields: Fields,
    #[command(flatten)]
    pub waiting: Waiting,
    #[command(flatten)]
    pub changing: Changing,
    /// A program and its arguments: exec
    #[arg(last = true, value_name = "CMD")]
    pub argv: Vec<String>,
}

pub const ONCE_EXAMPLES: &str = "\
Examples:
  upbeat once -- ./migrate --all
  upbeat once --in 10m --http 'POST https://hooks.example.org/warm-up'
  upbeat once --at 02:00 --tz Europe/Berlin --retry max_attempts=3 -- ./import
  upbeat once --unique import-2026-11-20 --unique-for 1h --wait -- ./import
With --unique a second request makes no run and names the first.";

#[derive(Debug, Args)]
pub struct TriggerArgs {
    pub id: String,
    /// Instead of the entry's payload: JSON, or a text
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub payload: Option<String>,
    /// Instead of the entry's rule: allow or skip
    #[arg(long, value_name = "RULE")]
    pub overlap: Option<String>,
    #[command(flatten)]
    pub waiting: Waiting,
    #[command(flatten)]
    pub changing: Changing,
    /// Put behind the entry's own arguments
    #[arg(last = true, value_name = "ARG")]
    pub args: Vec<String>,
}

pub const TRIGGER_EXAMPLES: &str = "\
Examples:
  upbeat trigger report --wait=10m
  upbeat trigger report --payload '{\"day\": \"2026-11-20\"}'
  upbeat trigger report -- --verbose --day 2026-11-20    behind the entry's own arguments (exec, shell)
  upbeat trigger report --overlap allow                  also while another run is active
  upbeat trigger report --unique day-20 --unique-for 1h  a second one within the hour makes no run
Its schedule stays as it is; it also works while the entry is paused.";

#[derive(Debug, Args)]
pub struct SkipArgs {
    pub id: String,
    /// This fire time instead of the next: an instant, 02:00, +2h
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub at: Option<String>,
    /// Take it back, as long as it has not come
    #[arg(long)]
    pub undo: bool,
    #[command(flatten)]
    pub changing: Changing,
}

pub const SKIP_EXAMPLES: &str = "\
Examples:
  upbeat skip report --reason 'data centre move'    its next fire time ends skipped, the others stay
  upbeat skip report --at 2026-11-27T09:00
  upbeat skip report --at 2026-11-27T09:00 --undo
At most 100 an entry; upbeat pause --until skips a range.";

#[derive(Debug, Args)]
pub struct BackfillArgs {
    pub id: String,
    /// From this instant on, in the entry's zone
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub from: String,
    /// Up to this instant
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub to: String,
    /// Also run again what has fired
    #[arg(long)]
    pub again: bool,
    #[command(flatten)]
    pub changing: Changing,
}

pub const BACKFILL_EXAMPLES: &str = "\
Examples:
  upbeat backfill report --from 2026-11-20T02:00 --to 2026-11-20T04:00 --dry-run    lists the fire times
  upbeat backfill report --from -8h --to now
  upbeat backfill report --from -8h --to now --again    also those that ran
Oldest first, one per 60 s / per_minute of catch_up, 500 a request; each waits for the run before it where overlap says so.";
