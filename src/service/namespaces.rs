//! The namespaces of a Redis, and what to say to somebody who stands in one that was never used.

use serde::Serialize;

use crate::domain::nearest::nearest;
use crate::error::Result;
use crate::service::Service;
use crate::service::view::At;
use crate::store::{Namespaces, Seen};

/// Keys that a list of namespaces looks at, at most.
const LISTED_KEYS: u64 = 1_000_000;
/// Keys that are looked at for the namespace that was meant, at most.
const COMPARED_KEYS: u64 = 100_000;

/// A namespace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamespaceView {
    /// Its name.
    pub namespace: String,
    /// Shards; null where this user may not look into it, as all that follows.
    pub shards: Option<u16>,
    /// Entries.
    pub entries: Option<u64>,
    /// Nodes that are live.
    pub live_nodes: Option<u64>,
    /// When a node last looked in, or somebody last changed something.
    pub last_active_at: Option<At>,
}

/// The namespaces of a Redis.
#[derive(Debug, Clone, PartialEq)]
pub struct NamespaceList {
    /// By name.
    pub namespaces: Vec<NamespaceView>,
    /// About how many keys were looked at.
    pub looked_at: u64,
    /// Whether all keys were.
    pub is_all: bool,
}

impl Service {
    /// The namespaces of this Redis, by name; a bounded walk over its keys.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::Unavailable`] where this user may not look through the keys.
    pub async fn namespaces(&self) -> Result<NamespaceList> {
        let Namespaces { names, looked_at, is_all } = self.store.namespaces(LISTED_KEYS).await?;
        let mut namespaces = Vec::with_capacity(names.len());
        for name in names {
            let used = self.store.use_of(&name).await?;
            namespaces.push(NamespaceView {
                namespace: name.to_string(),
                shards: used.as_ref().map(|used| used.shards),
                entries: used.as_ref().map(|used| used.entries),
                live_nodes: used.as_ref().map(|used| used.live_nodes),
                last_active_at: used.and_then(|used| used.last_active_at).map(At),
            });
        }
        Ok(NamespaceList { namespaces, looked_at, is_all })
    }

    /// `namespace prd is unused; did you mean prod?`, where nothing was ever written in this namespace. Looks for others only then.
    ///
    /// # Errors
    ///
    /// Those of Redis, but for a user who may not look for others.
    pub async fn unused(&self) -> Result<Option<String>> {
        if self.store.is_used() {
            return Ok(None);
        }
        let name = self.store.namespace();
        Ok(Some(match self.meant().await? {
            Some(meant) => format!("namespace {name} is unused; did you mean {meant}?"),
            None => format!("namespace {name} is unused"),
        }))
    }

    /// The namespace of this Redis that somebody may have meant; the only one there is, where none is near.
    pub(super) async fn meant(&self) -> Result<Option<String>> {
        let Seen::Yes(found) = Seen::of(self.store.namespaces(COMPARED_KEYS).await)? else { return Ok(None) };
        let name = self.store.namespace();
        let others: Vec<&str> = found.names.iter().filter(|other| *other != name).map(|other| other.as_str()).collect();
        let only = || others.first().copied().filter(|_| others.len() == 1 && found.is_all);
        Ok(nearest(name.as_str(), others.iter().copied()).or_else(only).map(str::to_owned))
    }
}
