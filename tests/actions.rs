//! Attempts as the outside sees them: real commands under the real supervisor, real requests.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

mod actions {
    pub mod commands;
    pub mod deaths;
    pub mod requests;
    pub mod vocabulary;
}
