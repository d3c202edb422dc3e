//! upbeat: the cron of a fleet.

pub mod domain;
pub mod error;
pub mod node;
