//! The pure part: schedules, entries, runs, policies, plans.
//!
//! Nothing here knows a clock, tokio or Redis: time comes in as an argument.

pub mod action;
pub mod cron;
pub mod crontab;
pub mod entry;
pub mod file;
pub mod id;
pub mod ledger;
pub mod moment;
pub mod plan;
pub mod policy;
pub mod record;
pub mod run;
pub mod schedule;
pub mod span;
pub mod timestamp;
pub mod zone;
