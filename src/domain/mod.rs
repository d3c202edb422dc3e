//! The pure part: schedules, entries, runs, policies, plans.
//!
//! Nothing here knows a clock, tokio or Redis: time comes in as an argument.

pub mod action;
pub mod address;
pub mod attempt;
pub mod audit;
mod bytes;
pub mod calendar;
pub mod cron;
pub mod definition;
pub mod durations;
pub mod entry;
pub mod event;
pub mod exclude;
pub mod fields;
pub mod file;
pub mod forecast;
pub mod id;
pub mod import;
mod json_text;
pub mod ledger;
pub mod letter;
pub mod lint;
pub mod moment;
pub mod nearest;
pub mod node;
pub mod one_off;
pub mod plan;
pub mod policy;
pub mod queue;
pub mod reading;
pub mod record;
pub mod retry;
pub mod revision;
pub mod rrule;
pub mod run;
pub mod schedule;
pub mod schema;
pub mod secret;
mod shell_words;
pub mod span;
pub(crate) mod threads;
pub mod timestamp;
mod toml_text;
pub mod wall;
pub mod zone;
pub mod zone_words;
