//! What is known before an attempt begins, for all runs that came with one reply at once; and definitions that were read before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::definition::Definition;
use crate::domain::entry::Entry;
use crate::domain::id::EntryId;
use crate::domain::record::LiveRun;
use crate::error::Result;
use crate::node::state::Shared;
use crate::store::{Brief, Started};

/// Definitions that are kept read; each takes some kilobytes.
const KEPT: usize = 256;

/// A definition as it was read.
#[derive(Debug, Clone)]
pub struct Known {
    text: Vec<u8>,
    pub birth: u64,
    pub revision: u64,
    pub entry: Entry,
}

/// Definitions by entry; whoever asks brings the text as it stands in Redis, so none is ever stale.
#[derive(Debug, Default)]
pub struct Definitions(Mutex<HashMap<EntryId, Known>>);

impl Definitions {
    /// The definition that this text is.
    ///
    /// # Errors
    ///
    /// What [`Definition::read`] and [`Definition::parse`] say.
    pub fn read(&self, id: &EntryId, text: &[u8]) -> Result<Known> {
        let kept = |known: &&Known| known.text == text;
        if let Some(known) = self.kept().get(id).filter(kept) {
            return Ok(known.clone());
        }
        let definition = Definition::read(id, text)?;
        let entry = definition.parse(id)?;
        let known = Known { text: text.to_vec(), birth: definition.birth, revision: definition.revision, entry };
        let mut all = self.kept();
        if all.len() >= KEPT {
            // Who has more entries than that in use reads them again.
            all.clear();
        }
        all.insert(id.clone(), known.clone());
        Ok(known)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<EntryId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The brief of one run.
///
/// # Errors
///
/// Unavailable.
pub async fn of(shared: &Shared, shard: u16, run: &LiveRun) -> Result<Brief> {
    let id = EntryId::parse("entry", &run.entry_id)?;
    Ok(shared.store.briefs(shard, &[id]).await?.pop().unwrap_or_default())
}

/// Briefs of runs, one for each, in their order; `None` for each where Redis did not answer: it is asked for them one by one.
pub async fn of_all(shared: &Shared, shard: u16, started: &[Started]) -> Vec<Option<Brief>> {
    let ids: Result<Vec<EntryId>> = started.iter().map(|one| EntryId::parse("entry", &one.run.entry_id)).collect();
    let briefs = match ids {
        Ok(ids) => shared.store.briefs(shard, &ids).await,
        Err(why) => Err(why),
    };
    briefs.map_or_else(|_| vec![None; started.len()], |briefs| briefs.into_iter().map(Some).collect())
}
