//! upbeat: the cron of a fleet.

pub mod cli;
pub mod config;
pub mod domain;
pub mod error;
pub mod node;
pub mod service;
pub mod shutdown;
pub mod store;
