//! Ids of imported entries: names of other systems, made valid and told apart.

use std::collections::BTreeSet;

use crate::domain::id::EntryId;
use crate::error::{Error, Result};

/// The ids that an import has given away.
#[derive(Debug, Default)]
pub(crate) struct Ids(BTreeSet<String>);

impl Ids {
    /// `stem` as an id, with `job-` before it where it can't be one, and `-2`, `-3` behind it where it is taken. It
    /// counts as taken once [`Ids::take`] is told.
    ///
    /// # Errors
    ///
    /// Invalid, where no such text can be an id.
    pub fn free(&self, stem: &str) -> Result<EntryId> {
        let stem = if EntryId::parse("id", stem).is_ok() { stem.to_owned() } else { format!("job-{stem}") };
        let id = (1..)
            .map(|count: usize| if count == 1 { stem.clone() } else { format!("{stem}-{count}") })
            .find(|id| !self.0.contains(id))
            .ok_or_else(|| Error::internal("no id is free"))?;
        EntryId::parse("id", &id)
    }

    /// Nobody else gets it.
    pub fn take(&mut self, id: &EntryId) {
        self.0.insert(id.to_string());
    }
}
