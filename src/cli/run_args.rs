//! The words of commands about runs: runs, logs, cancel, retry.

use clap::{Args, Subcommand};

use crate::cli::args::Changing;
use crate::cli::fields::whole;

#[derive(Debug, Args)]
pub struct RunsArgs {
    #[command(subcommand)]
    pub command: Option<RunsCommand>,
    /// Only of this entry
    pub id: Option<String>,
    /// Only in these states
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    pub state: Vec<String>,
    /// Only on this node
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// Only with this trigger: scheduled, catch_up, manual ...
    #[arg(long, value_name = "WHY")]
    pub trigger: Option<String>,
    /// Fire time at or after: an instant, 02:00, -8h
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Fire time at or before
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// The newest; 0 for all
    #[arg(long, default_value_t = 50, value_parser = whole::<usize>(0, u64::MAX), allow_negative_numbers = true)]
    pub limit: usize,
    /// Print runs as they end, until Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
}

#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Show one run
    Show { run: String },
    /// Print its output
    Logs(LogsArgs),
    /// Cancel it
    Cancel(CancelArgs),
    /// Reopen it after it failed: its next attempt
    Retry(RetryArgs),
}

#[derive(Debug, Args)]
pub struct LogsArgs {
    /// A run id, ID@FIRE_AT, or ID for its latest
    pub run: String,
    /// The output of this attempt, counted from 1 [default: the last that has some]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1, u64::from(u32::MAX)), allow_negative_numbers = true)]
    pub attempt: Option<u32>,
    /// Print what it writes while it runs, on whichever node, until it has ended
    #[arg(short, long)]
    pub follow: bool,
}

#[derive(Debug, Args)]
pub struct CancelArgs {
    /// A run id, ID@FIRE_AT, or ID for its latest
    pub run: String,
    #[command(flatten)]
    pub changing: Changing,
}

#[derive(Debug, Args)]
pub struct RetryArgs {
    /// A run id, ID@FIRE_AT, or ID for its latest
    pub run: String,
    #[command(flatten)]
    pub changing: Changing,
}
