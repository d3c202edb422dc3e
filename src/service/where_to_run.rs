//! Where runs of an entry could be executed: which live nodes serve its queue and its kind of action.

use std::collections::BTreeSet;

use crate::domain::action::Kind;
use crate::domain::entry::Entry;
use crate::domain::node::NodeInfo;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::service::Service;

/// A node that has not been heard of for this long is lost.
const LOST_AFTER_MS: i64 = 10_000;

/// Who can run an entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WhereToRun {
    /// Names of live nodes.
    pub nodes: Vec<String>,
    /// That there are none, with the way out.
    pub warnings: Vec<String>,
}

impl Service {
    /// Which live nodes can run an entry. A direct action needs none.
    pub async fn where_to_run(&self, entry: &Entry) -> Result<WhereToRun> {
        let Some(list) = list_of(entry) else { return Ok(WhereToRun::default()) };
        let live = self.live_nodes().await?;
        let able = live.iter().filter(|node| node.serves.has(&list));
        let nodes: Vec<String> = able.map(|node| node.node.clone()).collect();
        let warnings = if nodes.is_empty() { vec![nobody(&list, &live)] } else { Vec::new() };
        Ok(WhereToRun { nodes, warnings })
    }

    /// What no live node may run of these entries, once for each queue and kind of action.
    pub(super) async fn unserved<'e>(&self, entries: impl Iterator<Item = &'e Entry>) -> Result<Vec<String>> {
        self.unserved_lists(entries.filter_map(list_of).collect()).await
    }

    /// Which of these lists no live node serves.
    pub(super) async fn unserved_lists(&self, lists: BTreeSet<String>) -> Result<Vec<String>> {
        if lists.is_empty() {
            return Ok(Vec::new());
        }
        let live = self.live_nodes().await?;
        let is_unserved = |list: &&String| !live.iter().any(|node| node.serves.has(list));
        Ok(lists.iter().filter(is_unserved).map(|list| nobody(list, &live)).collect())
    }

    async fn live_nodes(&self) -> Result<Vec<NodeInfo>> {
        let (nodes, now) = tokio::try_join!(self.store.nodes(), self.store.now(0))?;
        let is_live = |node: &NodeInfo, seen: Timestamp| node.state == "live" && now.0 - seen.0 <= LOST_AFTER_MS;
        Ok(nodes.into_iter().filter(|(node, seen)| is_live(node, *seen)).map(|(node, _)| node).collect())
    }
}

/// The list that runs of an entry wait in.
pub(super) fn list_of(entry: &Entry) -> Option<String> {
    entry.action.kind().map(|kind| format!("{}:{}", entry.queue, kind.word()))
}

/// That nobody serves a list, and what helps.
fn nobody(list: &str, live: &[NodeInfo]) -> String {
    let (queue, kind) = list.rsplit_once(':').unwrap_or((list, ""));
    let why = format!("no live node may run {kind} in queue {queue}: runs will wait");
    let serving =
        |node: &&NodeInfo| node.serves.queues.as_ref().is_none_or(|queues| queues.iter().any(|one| one == queue));
    // What a node runs unasked.
    let allow = if kind == Kind::Http.word() { String::new() } else { format!(" --allow {kind}") };
    let queues = if queue == "default" { String::new() } else { format!(" --queues {queue}") };
    match live.iter().find(serving) {
        Some(node) if allow.is_empty() => {
            format!("{why}; node `{}` serves the queue: start it without --allow none", node.node)
        }
        Some(node) => format!("{why}; node `{}` serves the queue: start it with{allow}", node.node),
        None => format!("{why}; start one: upbeat node{queues}{allow}"),
    }
}
