//! The laws with real nodes and a real Redis: what became of every fire time, seen from outside, while things die.

#![allow(clippy::unwrap_used)]

mod support;

#[path = "race/able.rs"]
mod able;
#[path = "race/asked.rs"]
mod asked;
#[path = "race/bed.rs"]
mod bed;
#[path = "race/changes.rs"]
mod changes;
#[path = "race/clocks.rs"]
mod clocks;
#[path = "race/ends.rs"]
mod ends;
#[path = "race/failing.rs"]
mod failing;
#[path = "race/footprint.rs"]
mod footprint;
#[path = "race/frozen.rs"]
mod frozen;
#[path = "race/healing.rs"]
mod healing;
#[path = "race/kills.rs"]
mod kills;
#[path = "race/late.rs"]
mod late;
#[path = "race/logs.rs"]
mod logs;
#[path = "race/outages.rs"]
mod outages;
#[path = "race/overlaps.rs"]
mod overlaps;
#[path = "race/queue_limits.rs"]
mod queue_limits;
#[path = "race/sabotage.rs"]
mod sabotage;
#[path = "race/verdict.rs"]
mod verdict;
