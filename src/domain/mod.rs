//! The pure part: schedules, entries, runs, policies, plans.
//!
//! Nothing here knows a clock, tokio or Redis: time comes in as an argument.

pub mod action;
pub mod address;
pub mod cron;
pub mod crontab;
pub mod entry;
pub mod fields;
pub mod file;
pub mod id;
pub mod json_text;
pub mod ledger;
pub mod nearest;
pub mod plan;
pub mod policy;
mod reading;
pub mod run;
pub mod schedule;
pub mod secret;
mod shell_words;
pub mod span;
pub mod timestamp;
pub mod toml_text;
pub mod zone;
