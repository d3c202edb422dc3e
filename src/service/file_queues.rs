//! Limits of queues as schedule files have them: checked, planned, applied, exported.

use std::collections::BTreeMap;

use crate::domain::id::QueueName;
use crate::domain::queue::{FileQueue, QUEUES_MAX, QueueLimits, QueueRule};
use crate::error::{Error, Result};
use crate::service::queues::{QueueChange, paused_by};
use crate::service::{Request, Service};
use crate::store::{QueueState, QueueVerb};

impl Service {
    /// Queues with limits, as a file has them. Pauses stand in no file.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] where one's limits are damaged.
    pub async fn limited_queues(&self) -> Result<Vec<FileQueue>> {
        let mut queues = Vec::new();
        for (name, state) in self.store.queue_states(0).await? {
            let limits = state.rule?.limits;
            if limits != QueueLimits::default() {
                queues.push(FileQueue { name: QueueName::parse("queue", &name)?, limits });
            }
        }
        Ok(queues)
    }

    /// Names of the queues that are held, which no file says.
    pub(super) async fn paused_queues(&self) -> Result<Vec<String>> {
        let states = self.store.queue_states(0).await?.into_iter();
        Ok(states
            .filter(|(_, state)| state.rule.as_ref().is_ok_and(|rule| rule.pause.is_some()))
            .map(|(name, _)| name)
            .collect())
    }

    /// Refuses what [`Service::apply_queues`] could not write.
    pub(super) fn check_limits(&self, queues: &[FileQueue]) -> Result<()> {
        if queues.len() > QUEUES_MAX {
            return Err(Error::invalid("queues", format!("{} are too many, {QUEUES_MAX} are the most", queues.len())));
        }
        queues.iter().try_for_each(|one| self.check_shares(&format!("queues.{}", one.name), one.limits))
    }

    /// Limits queues as a file says; nothing is paused or resumed, and those that it does not name are left alone.
    pub(super) async fn apply_queues(&self, request: &Request, queues: &[FileQueue]) -> Result<Vec<QueueChange>> {
        let mut changes = Vec::with_capacity(queues.len());
        for FileQueue { name, limits } in queues {
            let verb = QueueVerb::Set { max_running: Some(limits.max_running), rate: Some(limits.rate) };
            changes.push(self.put_queue(request, &format!("/queue/{name}"), name, verb).await?);
        }
        Ok(changes)
    }

    /// What [`Service::apply_queues`] would do, by reading alone.
    pub(super) async fn planned_queues(&self, queues: &[FileQueue]) -> Result<Vec<QueueChange>> {
        let mut planned = Vec::with_capacity(queues.len());
        let mut states = Vec::new();
        if !queues.is_empty() {
            for shard in self.store.shards() {
                states.push(self.store.queue_states(shard).await?);
            }
        }
        for FileQueue { name, limits } in queues {
            let rule = |shard: &BTreeMap<String, QueueState>| {
                shard.get(name.as_str()).and_then(|state| state.rule.as_ref().ok()).cloned()
            };
            // What differs in one shard differs.
            let stands = |rule: &Option<QueueRule>| rule.as_ref().map(|rule| rule.limits).unwrap_or_default();
            let rules: Vec<Option<QueueRule>> = states.iter().map(rule).collect();
            let other = rules.iter().map(stands).find(|old| old != limits);
            let old = other.unwrap_or(*limits);
            let fields = [("max_running", old.max_running != limits.max_running), ("rate", old.rate != limits.rate)];
            planned.push(QueueChange {
                id: name.to_string(),
                change: if other.is_some() { "changed" } else { "unchanged" },
                fields: fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect(),
                max_running: limits.max_running,
                rate: limits.rate.map(|rate| rate.to_string()),
                paused_by: paused_by(rules.iter().flatten().find_map(|rule| rule.pause.as_ref())),
            });
        }
        Ok(planned)
    }
}
