//! Checks of the runs: those that last too long, and those that failed for good.

use crate::domain::id::EntryId;
use crate::domain::record::LiveRun;
use crate::error::Result;
use crate::service::Service;
use crate::service::doctor::{Check, Picture, about, counted, named, since};

/// Active runs looked at, at most.
const LOOKED_AT: usize = 10_000;

impl Service {
    pub(super) async fn check_runs(&self, picture: &Picture) -> Result<Vec<Check>> {
        Ok(vec![self.check_stuck().await?, dead_letters(picture)])
    }

    async fn check_stuck(&self) -> Result<Check> {
        let mut runs: Vec<LiveRun> = Vec::new();
        let mut is_all = true;
        for shard in self.store.shards() {
            let mut cursor = None;
            loop {
                let (page, next) = self.store.live_runs(shard, cursor).await?;
                runs.extend(page);
                cursor = next;
                is_all &= cursor.is_none() || runs.len() < LOOKED_AT;
                if cursor.is_none() || !is_all {
                    break;
                }
            }
        }
        let stuck = self.oldest_stuck(&runs).await?;
        let mut ids: Vec<EntryId> = stuck.keys().filter_map(|id| EntryId::parse("entry", id).ok()).collect();
        ids.sort();
        let bound = if is_all { String::new() } else { format!(" among the first {} active runs", runs.len()) };
        Ok(match ids.is_empty() {
            true => Check::ok("stuck", format!("none{bound}")),
            false => {
                Check::wrong("stuck", format!("{}: {}{bound}", counted(ids.len(), "entry", "entries"), named(&ids)))
                    .message("a run lasts 3 times as long as usual, or through 3 fire times")
                    .todos(about("why", &ids))
                    .todos(about("cancel", &ids))
            }
        })
    }
}

fn dead_letters(picture: &Picture) -> Check {
    let dead = picture.sum(|counts| counts.dead);
    let newest = picture.counts.iter().filter_map(|counts| Some((counts.newest_dead?, counts.now))).max();
    match newest.filter(|_| dead > 0) {
        None => Check::ok("dead_letters", "none"),
        Some((newest, now)) => Check::note("dead_letters", format!("{dead}, the newest {} ago", since(newest, now)))
            .message("runs that failed for good: look, then retry or forget them")
            .todo("upbeat dead ls")
            .todo("upbeat dead retry --all")
            .todo("upbeat dead purge --all"),
    }
}
