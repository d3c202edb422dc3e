//! Which namespaces a Redis holds: found by looking through its keys, so never on the way of anything else.

use std::collections::BTreeSet;

use crate::domain::id::Namespace;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::store::keys::{self, Key, ShardKeys};
use crate::store::reply::{Reply, maybe_bytes, number, texts};
use crate::store::{Store, is_refused};

/// Keys looked at in one call.
const PAGE: i64 = 1_000;
/// Namespaces found, at most.
const NAMESPACES_MAX: usize = 1_000;
/// A node that has not been heard of for this long is lost, ms.
const LOST_MS: i64 = 10_000;

/// The namespaces found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Namespaces {
    /// By name.
    pub names: BTreeSet<Namespace>,
    /// About how many keys were looked at.
    pub looked_at: u64,
    /// Whether all keys were.
    pub is_all: bool,
}

/// What a namespace is used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceUse {
    /// Shards.
    pub shards: u16,
    /// Entries.
    pub entries: u64,
    /// Nodes that are live.
    pub live_nodes: u64,
    /// When a script last changed something or looked for what is due.
    pub last_active_at: Option<Timestamp>,
}

impl Store {
    /// The namespaces of this Redis; looks at no more than `most` keys, a page at a time.
    ///
    /// # Errors
    ///
    /// Where this user may not look through the keys, among others.
    pub async fn namespaces(&self, most: u64) -> Result<Namespaces> {
        let mut found = Namespaces::default();
        let mut cursor = "0".to_owned();
        loop {
            let args = vec![cursor.into(), "MATCH".into(), keys::ALL_SETTINGS.into(), "COUNT".into(), PAGE.into()];
            let mut reply = Reply::list(self.inner.client.command("SCAN", args).await?)?;
            cursor = reply.text()?;
            found.names.extend(texts(reply.next()?)?.iter().filter_map(|key| keys::namespace_of(key)));
            found.looked_at += PAGE.unsigned_abs();
            found.is_all = cursor == "0";
            if found.is_all || found.looked_at >= most || found.names.len() >= NAMESPACES_MAX {
                return Ok(found);
            }
        }
    }

    /// What another namespace of this Redis is used for; `None` where this user may not know.
    pub async fn use_of(&self, namespace: &Namespace) -> Result<Option<NamespaceUse>> {
        match self.look_into(namespace).await {
            Ok(found) => Ok(Some(found)),
            Err(why) if is_refused(&why) => Ok(None),
            Err(why) => Err(why),
        }
    }

    async fn look_into(&self, namespace: &Namespace) -> Result<NamespaceUse> {
        let client = &self.inner.client;
        let args = vec![keys::settings(namespace).into(), "shards".into()];
        let shards = maybe_bytes(client.command("HGET", args).await?)?.unwrap_or_default();
        let shards = String::from_utf8_lossy(&shards).parse::<u16>().unwrap_or(1).max(1);
        let mut found = NamespaceUse { shards, entries: 0, live_nodes: 0, last_active_at: None };
        let mut live: BTreeSet<String> = BTreeSet::new();
        for shard in 0..shards {
            let keys = ShardKeys::new(namespace, shard);
            let entries = client.command("HLEN", vec![keys.key(Key::Entries).into()]).await?;
            found.entries += number(entries)?.max(0).unsigned_abs();
            let now = client.look(&self.scripts().now, &[keys.key(Key::Clock)], Vec::new()).await?;
            let now = Reply::list(now)?.number()?;
            let since = vec![keys.key(Key::Seen).into(), (now - LOST_MS).into(), "+inf".into(), "BYSCORE".into()];
            live.extend(texts(client.command("ZRANGE", since).await?)?);
            let last = client.command("HGET", vec![keys.key(Key::Clock).into(), "last".into()]).await?;
            let last = maybe_bytes(last)?.and_then(|text| String::from_utf8_lossy(&text).parse().ok());
            found.last_active_at = found.last_active_at.max(last.map(Timestamp));
        }
        found.live_nodes = live.len() as u64;
        Ok(found)
    }
}
