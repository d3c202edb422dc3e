//! Runs as they end, for those who watch.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crate::domain::id::EntryId;
use crate::error::Result;
use crate::service::view::RunView;
use crate::service::{RunFilter, Service};

/// How often the logs are read.
const POLL: Duration = Duration::from_millis(200);

/// Follows the log of each shard from where it stood at the start.
pub struct Follow {
    service: Service,
    filter: RunFilter,
    positions: Vec<String>,
}

impl Follow {
    /// Begins behind all that has ended so far.
    pub async fn start(service: Service, filter: RunFilter) -> Result<Self> {
        let mut positions = Vec::new();
        for shard in service.store.shards() {
            let (position, _) = service.store.ended_before(shard, None).await?;
            let mut position = position.unwrap_or_else(|| "0-0".to_owned());
            while let (Some(next), _) = service.store.ended_after(shard, &position).await? {
                position = next;
            }
            positions.push(position);
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
        let (next, lines) = self.service.store.ended_after(shard, position).await?;
        let Some(next) = next else { return Ok(Vec::new()) };
        *position = next;
        let mut wanted: BTreeMap<EntryId, HashSet<String>> = BTreeMap::new();
        for (id, run_id) in lines {
            let is_wanted = self.filter.entry.as_ref().is_none_or(|entry| entry.as_str() == id);
            if let Some(id) = EntryId::parse("entry", &id).ok().filter(|_| is_wanted) {
                wanted.entry(id).or_default().insert(run_id);
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
