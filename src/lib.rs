//! upbeat: the cron of a fleet.

pub mod config;
pub mod domain;
pub mod error;
pub mod shutdown;
pub mod store;
