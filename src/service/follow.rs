//! Runs as they end, for those who watch.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crate::domain::id::EntryId;
use crate::error::Result;
use crate::service::view::RunView;
use crate::service::{RunFilter, Service};
use crate::store::{Log, Position};

/// How often the logs are read.
const POLL: Duration = Duration::from_millis(200);

/// Follows the log of each shard from where it stood at the start.
pub struct Follow {
    service: Service,
    filter: RunFilter,
    positions: Vec<Position>,
}

impl Follow {
    /// Begins behind all that has ended so far.
    pub async fn start(service: Service, filter: RunFilter) -> Result<Self> {
        let mut positions = Vec::new();
        for shard in service.store.shards() {
            positions.push(service.store.log_end(shard, Log::Ended).await?);
        }
        Ok(Self { service, filter, positions })
    }

    /// Waits until runs that match have ended; the oldest first.
    pub async fn next(&mut self) -> Result<Vec<RunView>> {
        loop {
            let mut ended = Vec::new();
            for shard in self.service.store.shards() {
                ended.extend(self.read(shard).await?);
            }
            if !ended.is_empty() {
                ended.sort_by(|a, b| (a.finished_at, a.fire_at, &a.run_id).cmp(&(b.finished_at, b.fire_at, &b.run_id)));
                return Ok(ended);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn read(&mut self, shard: u16) -> Result<Vec<RunView>> {
        let position = &mut self.positions[usize::from(shard)];
        let page = self.service.store.ended_after(shard, *position).await?;
        let Some(last) = page.last else { return Ok(Vec::new()) };
        *position = last;
        let mut wanted: BTreeMap<EntryId, HashSet<String>> = BTreeMap::new();
        for ended in page.runs.iter().filter(|ended| self.filter.may_match(ended)) {
            if let Ok(id) = EntryId::parse("entry", &ended.entry_id) {
                wanted.entry(id).or_default().insert(ended.run_id.clone());
            }
        }
        let mut ended = Vec::new();
        for (id, run_ids) in wanted {
            let stored = self.service.store.entry(&id).await?;
            let runs = self.service.ended(&id, stored.as_ref()).await?;
            ended.extend(runs.into_iter().filter(|run| run_ids.contains(&run.run_id) && self.filter.matches(run)));
        }
        Ok(ended)
    }
}
