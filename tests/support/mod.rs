//! What the tests stand on: a private Redis, a proxy that cuts replies, node processes, the command line.
//!
//! A test file says `mod support;` and uses the parts by name. Nothing here talks to a Redis that the tests did not start.
#![allow(dead_code, clippy::unwrap_used)]

pub mod celery;
pub mod changes;
pub mod cli;
pub mod clock;
pub mod entries;
pub mod guard;
pub mod hand;
pub mod holds;
pub mod node;
pub mod patience;
pub mod playground;
pub mod proxy;
pub mod redbeat;
pub mod redis;
pub mod resp;
pub mod terminal;
pub mod tls;
pub mod wait;

use std::path::PathBuf;

/// What `scripts/setup` found: from the environment, else from `target/setup.env`.
pub fn setting(name: &str) -> Option<String> {
    let from_file = || {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/setup.env");
        let text = std::fs::read_to_string(file).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.trim_matches('\'').to_owned())
    };
    std::env::var(name).ok().or_else(from_file).filter(|value| !value.is_empty())
}

/// A fresh directory with a short path, because that of a Unix socket must stay below about 100 bytes.
pub fn short_dir() -> tempfile::TempDir {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    let base = runtime.unwrap_or_else(|| PathBuf::from("/tmp"));
    tempfile::Builder::new().prefix("upb-").tempdir_in(base).expect("a temporary directory")
}
