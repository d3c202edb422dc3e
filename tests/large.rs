//! Sets of entries that are large for their test: what a command takes does not grow with them.
//!
//! By default a few thousand, which shows what grows; `UPBEAT_LARGE=1000000 cargo test --release --test large` has the whole.

#![allow(clippy::unwrap_used)]

mod support;

#[path = "large/apply.rs"]
mod apply;
#[path = "large/lists.rs"]
mod lists;
