//! RedBeat: what a namespace becomes, whatever stands in it; taken over from real beats and handed back, measured at a real worker.

#![allow(clippy::unwrap_used)]

mod support;

#[path = "redbeat/bed.rs"]
mod bed;
#[path = "redbeat/hostile.rs"]
mod hostile;
#[path = "redbeat/interrupted.rs"]
mod interrupted;
#[path = "redbeat/read.rs"]
mod read;
#[path = "redbeat/shadow.rs"]
mod shadow;
#[path = "redbeat/switch.rs"]
mod switch;
