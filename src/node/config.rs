//! What a node's owner decides.

use std::path::PathBuf;

use crate::domain::node::Serves;
use crate::domain::span::Span;

/// What a node's owner decides, already checked.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeConfig {
    /// Its name; where a live node has it, a number is put behind it.
    pub name: String,
    /// Attempts that run at a time.
    pub concurrency: usize,
    /// What it may run.
    pub serves: Serves,
    /// Length of its lease, 1 s to 10 min; renewed three times in it.
    pub lease: Span,
    /// From the wish to stop until everything is ended or handed back, killing included.
    pub drain_timeout: Span,
    /// Variables of the node that commands see.
    pub pass_env: Vec<String>,
    /// The only secrets that entries may name; all where `None`.
    pub secrets: Option<Vec<String>>,
    /// Where secrets that are no variables stand.
    pub secrets_dir: Option<PathBuf>,
}
