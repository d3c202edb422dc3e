//! Outages: from when until when no node had claimed in a shard, as the events say.

use serde::Serialize;

use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::service::Service;
use crate::service::view::At;
use crate::store::Log;

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

impl Service {
    /// The outages of all shards that ended at or after `since`, the newest first.
    pub(super) async fn outages(&self, since: Timestamp) -> Result<Vec<Outage>> {
        let mut outages = Vec::new();
        for shard in self.store.shards() {
            let (mut before, mut read) = (None, 0);
            while read < LINES_MOST {
                let page = self.store.log_before(shard, Log::Events, before, Some(since), PAGE).await?;
                for line in &page {
                    let field =
                        |name: &str| line.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value);
                    let instant = |name: &str| field(name)?.parse().ok().map(|ms| At(Timestamp(ms)));
                    if field("type").is_some_and(|kind| kind == "outage") {
                        outages
                            .extend(instant("from").zip(instant("until")).map(|(from, until)| Outage { from, until }));
                    }
                }
                read += page.len();
                before = page.last().map(|line| line.position);
                if page.len() < PAGE {
                    break;
                }
            }
        }
        outages.sort_by_key(|outage| std::cmp::Reverse(outage.until));
        Ok(outages)
    }
}
