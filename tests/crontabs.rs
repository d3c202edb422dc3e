//! Crontabs against Debian's own cron: each of the lines in `tests/data/crontabs` fires when cron fires it, or is listed
//! with the reason.
//!
//! There are two judges. The one is cron itself, on a clock that moves as fast as it likes (`crontabs/clockwork.c`); it
//! runs over days and months here, over years in `scripts/crontabs`. The other is a reading of its manual page
//! (`crontabs/oracle.rs`), which cron confirms, and which then judges decades. Neither knows a line of `src/`.

#![allow(clippy::unwrap_used)]

mod support;

#[path = "crontabs/commands.rs"]
mod commands;
#[path = "crontabs/corpus.rs"]
mod corpus;
#[path = "crontabs/debian.rs"]
mod debian;
#[path = "crontabs/oracle.rs"]
mod oracle;
#[path = "crontabs/times.rs"]
mod times;
