//! The laws with real nodes and a real Redis: what became of every fire time, seen from outside, while things die.

#![allow(clippy::unwrap_used)]

mod support;

#[path = "race/bed.rs"]
mod bed;
#[path = "race/kills.rs"]
mod kills;
#[path = "race/verdict.rs"]
mod verdict;
