//! What the fleet did lately, and the outages among it: from when until when no node had claimed in a shard.

use serde::Serialize;

use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::service::Service;
use crate::service::view::At;
use crate::store::{Log, LogLine};

/// Lines of a page, and lines that are looked through in a shard, at most.
const PAGE: usize = 500;
const LINES_MOST: usize = 20_000;

/// A time without a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Outage {
    /// The last claim before it.
    pub from: At,
    /// The first one after it.
    pub until: At,
}

impl Outage {
    /// The outage that a line tells.
    pub(super) fn read(line: &LogLine) -> Option<Self> {
        let instant = |name: &str| line.field(name).parse().ok().map(|ms| At(Timestamp(ms)));
        let is_outage = line.field("type") == "outage";
        is_outage.then(|| Some(Self { from: instant("from")?, until: instant("until")? }))?
    }
}

impl Service {
    /// What people and the fleet did in a shard since an instant, the newest first; a page at a time, 20,000 lines at most.
    pub(super) async fn lately(&self, shard: u16, since: Option<Timestamp>) -> Result<Vec<LogLine>> {
        let mut lines: Vec<LogLine> = Vec::new();
        while lines.len() < LINES_MOST {
            let before = lines.last().map(|line| line.position);
            let page = self.store.log_before(shard, Log::Events, before, since, PAGE).await?;
            let is_last = page.len() < PAGE;
            lines.extend(page);
            if is_last {
                break;
            }
        }
        Ok(lines)
    }

    /// The outages of all shards that ended at or after `since`, the newest first.
    pub(super) async fn outages(&self, since: Timestamp) -> Result<Vec<Outage>> {
        let mut outages = Vec::new();
        for shard in self.store.shards() {
            outages.extend(self.lately(shard, Some(since)).await?.iter().filter_map(Outage::read));
        }
        outages.sort_by_key(|outage| std::cmp::Reverse(outage.until));
        Ok(outages)
    }
}
