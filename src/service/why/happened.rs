//! What the events say: when no node claimed, which nodes left, why a plan broke.

use crate::domain::id::EntryId;
use crate::domain::node::{NodeInfo, Serves};
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::service::{Outage, Service};
use crate::store::LogLine;

/// A node that went.
#[derive(Debug, Clone)]
pub(super) struct Left {
    /// When.
    pub at: Timestamp,
    /// Its name.
    pub node: String,
    /// What it might run.
    pub serves: Serves,
}

/// What the events of a shard say about an entry and about all.
#[derive(Debug, Clone, Default)]
pub(super) struct Happened {
    /// From when until when no node claimed, newest first.
    pub outages: Vec<(Timestamp, Timestamp)>,
    /// Nodes that went, newest first.
    pub left: Vec<Left>,
    /// When and why the plan broke last.
    pub broken: Option<(Timestamp, String)>,
}

impl Service {
    pub(super) async fn happened(&self, shard: u16, id: &EntryId) -> Result<Happened> {
        let mut happened = Happened::default();
        self.lately(shard, None).await?.iter().for_each(|line| happened.note(id, line));
        Ok(happened)
    }
}

impl Happened {
    fn note(&mut self, id: &EntryId, line: &LogLine) {
        self.outages.extend(Outage::read(line).map(|outage| (outage.from.0, outage.until.0)));
        let at = line.field("at").parse().map_or_else(|_| line.position.at(), Timestamp);
        match line.field("type") {
            "node_left" => {
                let said = serde_json::from_str(line.field("said")).ok();
                self.left.extend(said.map(|node: NodeInfo| Left { at, node: node.node, serves: node.serves }));
            }
            "broken" if line.field("entry") == id.as_str() && self.broken.is_none() => {
                self.broken = Some((at, line.field("message").to_owned()));
            }
            _ => {}
        }
    }

    /// The time without a claim that overlaps these instants, as one.
    pub fn outage(&self, from: Timestamp, until: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let touches = |(begin, end): &&(Timestamp, Timestamp)| *begin <= until && *end >= from;
        let touching: Vec<_> = self.outages.iter().filter(touches).collect();
        let begin = touching.iter().map(|(begin, _)| *begin).min()?;
        Some((begin, touching.iter().map(|(_, end)| *end).max()?))
    }
}
