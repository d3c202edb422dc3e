//! Nodes as people see them: who is alive, and whether anybody serves what waits.

use crate::domain::action::Kind;
use crate::domain::node::NodeInfo;
use crate::domain::run::State;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::service::Service;
use crate::service::queues::{Gates, Held};
use crate::service::view::{At, NodeView};

/// A node that has not been heard of for this long is lost.
const LOST_AFTER: Span = Span(10_000);
/// A lost node stays listed for this long.
const LISTED_FOR: Span = Span(3_600_000);

/// The nodes of a namespace at one moment.
pub(super) struct Fleet {
    nodes: Vec<(NodeInfo, Timestamp)>,
    now: Timestamp,
    /// Limits and pauses of queues.
    pub(super) gates: Gates,
}

impl Fleet {
    /// Those that are alive.
    fn live(&self) -> impl Iterator<Item = &NodeInfo> {
        self.nodes.iter().filter(|(node, seen)| node.state == "live" && !self.is_lost(*seen)).map(|(node, _)| node)
    }

    fn is_lost(&self, seen: Timestamp) -> bool {
        self.now.0 - seen.0 > LOST_AFTER.ms()
    }

    /// Why runs of `list`, `QUEUE:KIND`, will wait; `None` where a live node serves it.
    pub(super) fn nobody_serves(&self, list: &str) -> Option<Unserved> {
        if list.is_empty() || self.live().any(|node| node.serves.has(list)) {
            return None;
        }
        let (queue, kind) = list.rsplit_once(':')?;
        let serving = self.live().find(|node| serves_queue(node, queue));
        let serving = serving.map(|node| node.node.clone());
        Some(Unserved { queue: queue.to_owned(), kind: kind.to_owned(), serving })
    }

    /// Attempts that those can run at once that are alive and serve one of these lists.
    pub(super) fn slots(&self, lists: &[&str]) -> u64 {
        let serving = self.live().filter(|node| lists.iter().any(|list| node.serves.has(list)));
        serving.map(|node| node.concurrency as u64).sum()
    }

    /// Starts a node that runs so many attempts of `list` at once.
    pub(super) fn start_command(&self, list: &str, concurrency: u64) -> String {
        let (queue, kind) = list.rsplit_once(':').unwrap_or((list, ""));
        let unserved = Unserved { queue: queue.to_owned(), kind: kind.to_owned(), serving: None };
        format!("{} --concurrency {concurrency}", unserved.command())
    }

    /// Why nothing more of `list`, `QUEUE:KIND`, starts now: its queue is paused, or at a limit.
    pub(super) fn held(&self, list: &str) -> Option<Held> {
        self.gates.held(list)
    }

    /// Names of those that are alive and serve a queue.
    pub(super) fn serving(&self, queue: &str) -> Vec<String> {
        self.live().filter(|node| serves_queue(node, queue)).map(|node| node.node.clone()).collect()
    }

    /// Names of those that are alive.
    pub(super) fn live_names(&self) -> Vec<String> {
        self.live().map(|node| node.node.clone()).collect()
    }

    /// The node that was lost last of those that served `list`, and when it was last heard of.
    pub(super) fn lost(&self, list: &str) -> Option<(String, Timestamp)> {
        let lost = self.nodes.iter().filter(|(node, seen)| self.is_lost(*seen) && node.serves.has(list));
        lost.max_by_key(|(_, seen)| *seen).map(|(node, seen)| (node.node.clone(), *seen))
    }

    /// `2 nodes serve queue batch and run 32 of 32`: why what waits in a list that is served waits.
    pub(super) fn how_busy(&self, list: &str) -> String {
        let queue = list.rsplit_once(':').map_or(list, |(queue, _)| queue);
        let serving: Vec<&NodeInfo> = self.live().filter(|node| node.serves.has(list)).collect();
        let running: usize = serving.iter().map(|node| node.running).sum();
        let slots: usize = serving.iter().map(|node| node.concurrency).sum();
        let nodes =
            if serving.len() == 1 { "1 node serves".to_owned() } else { format!("{} nodes serve", serving.len()) };
        format!("{nodes} queue {queue}, running {running} of {slots} attempts")
    }

    /// The name of an incarnation, or the incarnation itself where the node is forgotten.
    pub(super) fn name_of(&self, incarnation: &str) -> String {
        let found = self.nodes.iter().find(|(node, _)| node.incarnation == incarnation);
        found.map_or_else(|| incarnation.to_owned(), |(node, _)| node.node.clone())
    }
}

fn serves_queue(node: &NodeInfo, queue: &str) -> bool {
    node.serves.queues.as_ref().is_none_or(|queues| queues.iter().any(|one| one == queue))
}

/// A queue and kind of action that no live node serves.
pub(super) struct Unserved {
    queue: String,
    kind: String,
    /// A live node that serves the queue, but not the kind.
    serving: Option<String>,
}

impl Unserved {
    /// What is wrong.
    pub(super) fn why(&self) -> String {
        format!("no live node may run {} in queue {}", self.kind, self.queue)
    }

    /// What mends it.
    pub(super) fn remedy(&self) -> String {
        match &self.serving {
            Some(node) if self.is_http() => format!("node `{node}` serves the queue: start it without --allow none"),
            Some(node) => format!("node `{node}` serves the queue: start it with{}", self.allow()),
            None => format!("start one: {}", self.command()),
        }
    }

    /// Starts a node that serves it.
    pub(super) fn command(&self) -> String {
        let queues = if self.queue == "default" { String::new() } else { format!(" --queues {}", self.queue) };
        format!("upbeat node{queues}{}", self.allow())
    }

    /// What a node runs unasked needs no word.
    fn allow(&self) -> String {
        if self.is_http() { String::new() } else { format!(" --allow {}", self.kind) }
    }

    fn is_http(&self) -> bool {
        self.kind == Kind::Http.word()
    }

    /// Both, for a list of warnings.
    pub(super) fn warning(&self) -> String {
        format!("{}: runs will wait; {}", self.why(), self.remedy())
    }
}

impl Service {
    pub(super) async fn fleet(&self) -> Result<Fleet> {
        let (nodes, now, gates) = tokio::try_join!(self.store.nodes(), self.store.now(0), self.gates())?;
        Ok(Fleet { nodes, now, gates })
    }

    /// All nodes by name; lost ones stay for an hour, those that stopped in order are not there.
    pub async fn nodes(&self) -> Result<Vec<NodeView>> {
        let (fleet, runs) = tokio::try_join!(self.fleet(), self.live_runs(|run| run.state == State::Running))?;
        let is_listed = |seen: Timestamp| fleet.now.0 - seen.0 <= LISTED_FOR.ms();
        let nodes = fleet.nodes.iter().filter(|(_, seen)| is_listed(*seen));
        let held = |node: &NodeInfo| {
            runs.iter().filter(|run| run.holder.as_deref() == Some(node.incarnation.as_str())).count()
        };
        Ok(nodes.map(|(node, seen)| view(node, *seen, fleet.is_lost(*seen), held(node))).collect())
    }
}

fn view(node: &NodeInfo, seen: Timestamp, is_lost: bool, running: usize) -> NodeView {
    NodeView {
        node: node.node.clone(),
        incarnation: node.incarnation.clone(),
        host: node.host.clone(),
        pid: node.pid,
        version: node.version.clone(),
        started_at: At(node.started_at),
        seen_at: At(seen),
        state: if is_lost { "lost".to_owned() } else { node.state.clone() },
        running,
        concurrency: node.concurrency,
        queues: node.serves.queues.clone(),
        kinds: node.serves.kinds.clone(),
        tzdata: node.tzdata.clone(),
        clock_skew_ms: node.clock_skew_ms,
    }
}
