//! What a node says of itself with every beat.

use serde::{Deserialize, Serialize};

use crate::domain::timestamp::Timestamp;

/// A node's own words, JSON in Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name, unique among live ones.
    pub node: String,
    /// 16 hex digits made at start: holder of leases.
    pub incarnation: String,
    /// Name of its machine.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// Version of the program.
    pub version: String,
    /// By the shard's clock.
    pub started_at: Timestamp,
    /// `live`, `unready` or `draining`, as it says itself.
    pub state: String,
    /// Attempts that run.
    pub running: usize,
    /// Attempts that may run at a time.
    pub concurrency: usize,
    /// Queues that it serves; all where none is named.
    pub queues: Option<Vec<String>>,
    /// What it may run, as in `--allow`.
    pub kinds: Vec<String>,
    /// Version of its zone data.
    pub tzdata: String,
    /// Its clock less the shard's, ms.
    pub clock_skew_ms: i64,
    /// Length of its lease, ms.
    pub lease_ms: i64,
    /// Name that was asked for; its own may differ by a number.
    #[serde(default)]
    pub asked_name: String,
}

impl NodeInfo {
    /// Whether it takes runs from `list`, `QUEUE:KIND`.
    pub fn serves(&self, list: &str) -> bool {
        let Some((queue, kind)) = list.rsplit_once(':') else { return false };
        let has_queue = self.queues.as_ref().is_none_or(|queues| queues.iter().any(|one| one == queue));
        has_queue && self.kinds.iter().any(|one| one == kind)
    }
}
