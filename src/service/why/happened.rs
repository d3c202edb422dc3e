//! What the events say: when no node claimed, which nodes left, why a plan broke.

use crate::domain::id::EntryId;
use crate::domain::node::{NodeInfo, Serves};
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::service::Service;
use crate::store::{Log, LogLine};

/// Events that are looked through, at most.
const EVENTS_READ: usize = 20_000;
/// Lines of a page.
const PAGE: usize = 500;

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
        let (mut before, mut read) = (None, 0);
        while read < EVENTS_READ {
            let page = self.store.log_before(shard, Log::Events, before, None, PAGE).await?;
            page.iter().for_each(|line| happened.note(id, line));
            read += page.len();
            before = page.last().map(|line| line.position);
            if page.len() < PAGE {
                break;
            }
        }
        Ok(happened)
    }
}

impl Happened {
    fn note(&mut self, id: &EntryId, line: &LogLine) {
        let field = |name: &str| line.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
        let instant = |name: &str| field(name)?.parse().ok().map(Timestamp);
        let at = instant("at").unwrap_or_else(|| line.position.at());
        match field("type") {
            Some("outage") => self.outages.extend(instant("from").zip(instant("until"))),
            Some("node_left") => self.left.extend(field("said").and_then(|said| {
                let node: NodeInfo = serde_json::from_str(said).ok()?;
                Some(Left { at, node: node.node, serves: node.serves })
            })),
            Some("broken") if field("entry") == Some(id.as_str()) && self.broken.is_none() => {
                self.broken = Some((at, field("message").unwrap_or_default().to_owned()));
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
