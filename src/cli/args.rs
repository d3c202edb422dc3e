//! What may stand on the command line; turned into typed options at once, checked by the commands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::cli::asked_args::{
    BACKFILL_EXAMPLES, BackfillArgs, ONCE_EXAMPLES, OnceArgs, PAUSE_EXAMPLES, PauseArgs, RESUME_EXAMPLES, ResumeArgs,
    SKIP_EXAMPLES, SkipArgs, TRIGGER_EXAMPLES, TriggerArgs,
};
use crate::cli::events::{EVENTS_EXAMPLES, EventsArgs};
use crate::cli::fields::{Fields, expression, whole};
use crate::cli::node_command::NodeArgs;
use crate::cli::output::Format;
use crate::cli::palette::{Colors, help_styles};
use crate::cli::run_args::{CancelArgs, LogsArgs, RetryArgs, RunsArgs};

/// The cron of a fleet: identical nodes race on one Redis, every due time fires exactly once.
#[derive(Debug, Parser)]
#[command(name = "upbeat", version, subcommand_required = true, arg_required_else_help = true, max_term_width = 120, styles = help_styles())]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command, before or after it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common")]
pub struct Common {
    /// Where Redis is: redis://, rediss:// or unix:///path?db=N [env: UPBEAT_REDIS]
    #[arg(long, global = true, value_name = "URL")]
    pub redis: Option<String>,
    /// Authorities to believe for rediss://, a PEM file [env: UPBEAT_REDIS_CA]
    #[arg(long, global = true, value_name = "FILE")]
    pub redis_ca: Option<PathBuf>,
    /// Tenant [env: UPBEAT_NAMESPACE] [default: default]
    #[arg(short, long, global = true, value_name = "NS")]
    pub namespace: Option<String>,
    /// table, or for programs json, jsonl or id [env: UPBEAT_OUTPUT]
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<Format>,
    /// Colours: auto, on a terminal; always or never [env: UPBEAT_COLOR]
    #[arg(long, global = true, value_enum, value_name = "WHEN", hide_possible_values = true)]
    pub color: Option<Colors>,
    /// Say nothing beside answers, warnings and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// Flags of every command that changes something.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Changes")]
pub struct Changing {
    /// Why; stands on the revision
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Say what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The same request gets the same answer for 24 h [default: a new one]
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Who [env: UPBEAT_ACTOR] [default: user@host]
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    /// Do not ask
    #[arg(short = 'y', long)]
    pub yes: bool,
}

/// Which entries.
#[derive(Debug, Clone, Default, Args)]
pub struct Selecting {
    /// With this label; may be repeated, all must match
    #[arg(short = 'l', long = "label", value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Whose runs wait in this queue
    #[arg(long, value_name = "Q")]
    pub queue: Option<String>,
    /// That this owner applies
    #[arg(long, value_name = "O")]
    pub owner: Option<String>,
    /// All
    #[arg(long)]
    pub all: bool,
}

/// Entries to change: named one by one, or selected.
#[derive(Debug, Clone, Args)]
pub struct SelectedChange {
    /// Entries, one by one
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    #[command(flatten)]
    pub select: Selecting,
    /// Only if the one entry is at this revision
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1, u64::MAX), allow_negative_numbers = true)]
    pub if_revision: Option<u64>,
    #[command(flatten)]
    pub changing: Changing,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// A playground on this machine: a private Redis and nodes
    Dev(DevArgs),
    /// Run a node until it is stopped
    Node(NodeArgs),

    /// Add an entry: add ID SCHEDULE ACTION [POLICIES]
    Add(AddArgs),
    /// Change fields of an entry
    #[command(alias = "update")]
    Set(SetArgs),
    /// Show one entry
    #[command(visible_aliases = ["get", "describe"])]
    Show { id: String },
    /// List entries
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Remove entries
    #[command(visible_aliases = ["remove", "delete"])]
    Rm(SelectedChange),
    /// Pause entries: their fire times are skipped
    #[command(visible_aliases = ["suspend", "disable"], after_help = PAUSE_EXAMPLES)]
    Pause(PauseArgs),
    /// Resume entries
    #[command(visible_aliases = ["unpause", "enable"], after_help = RESUME_EXAMPLES)]
    Resume(ResumeArgs),
    /// The next fire times of an entry, or of a cron expression
    Next(NextArgs),
    /// Run an entry now
    #[command(after_help = TRIGGER_EXAMPLES)]
    Trigger(TriggerArgs),
    /// Run something once, now or later, without an entry
    #[command(after_help = ONCE_EXAMPLES)]
    Once(OnceArgs),
    /// Skip one fire time to come
    #[command(after_help = SKIP_EXAMPLES)]
    Skip(SkipArgs),
    /// Run past fire times that were missed or skipped
    #[command(after_help = BACKFILL_EXAMPLES)]
    Backfill(BackfillArgs),

    /// Say what is wrong with schedule files, without Redis
    #[command(after_help = super::lint::LINT_EXAMPLES)]
    Lint(super::lint::LintArgs),
    /// Print the JSON Schema of schedule files
    #[command(after_help = super::schema::SCHEMA_EXAMPLES)]
    Schema,
    /// Show what `apply` would do, by reading alone
    #[command(after_help = super::plan::PLAN_EXAMPLES)]
    Plan(super::plan::PlanArgs),
    /// Make the entries of files so: apply -f FILE|DIR|-
    #[command(after_help = super::apply::APPLY_EXAMPLES)]
    Apply(super::apply::ApplyArgs),
    /// Print entries as a file for `apply`
    #[command(after_help = super::export::EXPORT_EXAMPLES)]
    Export {
        /// Entries, one by one
        #[arg(value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        select: Selecting,
    },
    /// Print a file for `apply` from another scheduler's
    Import {
        #[command(subcommand)]
        from: super::import::ImportFrom,
    },

    /// What an entry was, who made it so and why, the newest first
    #[command(after_help = super::revisions::REVISIONS_EXAMPLES)]
    Revisions(super::revisions::RevisionsArgs),
    /// Give an entry the fields of an older revision
    #[command(after_help = super::revisions::ROLLBACK_EXAMPLES)]
    Rollback(super::revisions::RollbackArgs),

    /// List runs, the newest first
    #[command(visible_alias = "run")]
    Runs(RunsArgs),
    /// Print the output of a run: a run id, ID@FIRE_AT, or ID for its latest
    Logs(LogsArgs),
    /// Say why an entry did not run, or how it ran, from its records
    #[command(after_help = super::why::WHY_EXAMPLES)]
    Why(super::why::WhyArgs),
    /// Cancel a run that is active
    Cancel(CancelArgs),
    /// Reopen a run that failed: its next attempt
    Retry(RetryArgs),
    /// List runs that failed for good, retry or forget them
    Dead {
        #[command(subcommand)]
        command: Option<super::dead::DeadCommand>,
    },
    /// What happened: who changed what, what fired, ended, was missed; the newest first
    #[command(after_help = EVENTS_EXAMPLES)]
    Events(EventsArgs),

    /// Prove that no fire time is missing and none too many
    #[command(after_help = super::audit::AUDIT_EXAMPLES)]
    Audit(super::audit::AuditArgs),
    /// What comes: runs by minute, the worst one, the slots it needs, and what spreading would change
    #[command(after_help = super::forecast::FORECAST_EXAMPLES)]
    Forecast(super::forecast::ForecastArgs),

    /// List nodes
    Nodes {
        #[command(subcommand)]
        other: Option<Other>,
    },
    /// List queues, limit or pause one
    Queues {
        #[command(subcommand)]
        command: Option<super::queues::QueuesCommand>,
    },
    /// List calendars: dates that entries exclude
    Calendars {
        #[command(subcommand)]
        command: Option<super::calendars::CalendarsCommand>,
    },
    /// Say on one page whether all is well, and what to type where it is not
    #[command(after_help = super::doctor::DOCTOR_EXAMPLES)]
    Doctor(super::doctor::DoctorArgs),
    /// List the namespaces of this Redis
    #[command(after_help = super::namespaces::NAMESPACES_EXAMPLES)]
    Namespaces,
    /// Print users of Redis with least rights for nodes, operators and viewers
    #[command(after_help = super::acl::ACL_EXAMPLES)]
    Acl(super::acl::AclArgs),
    /// Measure what the race costs on a Redis that nothing else uses
    Bench(super::bench::BenchArgs),
    /// Print what a shell needs to complete commands, entries, runs, queues
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Print a man page, or write all of them
    Man(super::man::ManArgs),

    /// Words that are no command; told apart by `hints`.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// A word that stands where a subcommand might.
#[derive(Debug, Subcommand)]
pub enum Other {
    #[command(external_subcommand)]
    Word(Vec<String>),
}

#[derive(Debug, Args)]
pub struct DevArgs {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = whole::<u16>(0, 64), allow_negative_numbers = true)]
    pub nodes: u16,
    /// Forget what the last playground left
    #[arg(long)]
    pub reset: bool,
}

#[derive(Debug, Args)]
pub struct AddArgs {
    /// 1 to 200 letters and digits of any script and . _ - : +
    pub id: String,
    /// What a shell makes of an expression without quotes.
    #[arg(hide = true)]
    pub stray: Vec<String>,
    #[command(flatten)]
    pub fields: Fields,
    /// Replace the entry if it exists
    #[arg(long, conflicts_with = "if_absent")]
    pub replace: bool,
    /// Leave the entry alone if it exists
    #[arg(long)]
    pub if_absent: bool,
    /// Take the entry over from another owner
    #[arg(long)]
    pub take: bool,
    /// A new entry owes its fire times from then on: an instant, 02:00, -8h
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub from: Option<String>,
    #[command(flatten)]
    pub changing: Changing,
    /// A program and its arguments: exec
    #[arg(last = true, value_name = "CMD")]
    pub argv: Vec<String>,
}

#[derive(Debug, Args)]
#[command(mut_arg("anchor", |arg| arg.hide(true)), mut_arg("paused", |arg| arg.hide(true)))]
pub struct SetArgs {
    pub id: String,
    #[arg(hide = true)]
    pub stray: Vec<String>,
    #[command(flatten)]
    pub fields: Fields,
    /// Take fields away: FIELD, labels.KEY, env.KEY
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    pub unset: Vec<String>,
    /// Only if it is at this revision
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1, u64::MAX), allow_negative_numbers = true)]
    pub if_revision: Option<u64>,
    #[command(flatten)]
    pub changing: Changing,
    /// A program and its arguments: exec
    #[arg(last = true, value_name = "CMD")]
    pub argv: Vec<String>,
}

#[derive(Debug, Args)]
pub struct LsArgs {
    /// Only ids that begin so
    pub prefix: Option<String>,
    #[command(flatten)]
    pub select: Selecting,
    /// Only entries that something is wrong with
    #[arg(long)]
    pub warnings: bool,
    /// The first; 0 for all
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole::<usize>(0, u64::MAX), allow_negative_numbers = true)]
    pub limit: usize,
    /// Only ids behind this one: the last of the page before
    #[arg(long, value_name = "ID")]
    pub after: Option<String>,
}

#[derive(Debug, Args)]
pub struct NextArgs {
    /// An entry
    pub id: Option<String>,
    #[arg(hide = true)]
    pub stray: Vec<String>,
    /// An expression instead; may be repeated
    #[arg(long, value_name = "EXPRESSION", value_parser = expression, allow_hyphen_values = true)]
    pub cron: Vec<String>,
    /// A rule instead; it begins at --from
    #[arg(long, value_name = "RULE", conflicts_with_all = ["id", "cron"])]
    pub rrule: Option<String>,
    /// Zone of the expression or rule [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    /// Strictly after this instant [default: now]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// How many
    #[arg(long, default_value_t = 5, value_parser = whole::<u32>(0, 10_000), allow_negative_numbers = true)]
    pub count: u32,
}
