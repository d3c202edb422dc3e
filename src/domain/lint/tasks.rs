//! Tasks of Celery that may overlap themselves: nobody here knows when one has ended.

use super::{Note, distance, kind};
use crate::domain::action::Action;
use crate::domain::file::FileEntry;
use crate::domain::id::EntryId;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

/// What comes at least so often may well find itself running.
const OFTEN: Span = Span(10 * 60_000);

/// Tasks that come often and are not waited for.
#[derive(Default)]
pub(super) struct Often {
    first: Option<FileEntry>,
    ids: Vec<EntryId>,
}

impl Often {
    /// Looks at one more entry.
    pub fn look(&mut self, one: &FileEntry, now: Timestamp) {
        let is_sent = matches!(&one.entry.action, Action::Celery(celery) if !celery.is_tracked);
        if is_sent && distance(&one.entry.schedule, now).is_some_and(|distance| distance <= OFTEN) {
            self.first.get_or_insert_with(|| one.clone());
            self.ids.push(one.id.clone());
        }
    }

    /// The note about them, one for all.
    pub fn note(self) -> Option<Note> {
        let Self { first, ids } = self;
        let first = first?;
        let message = "overlap is `allow` for Celery messages: a slow task can overlap itself as it does today \
                       (celery.track = true changes that)";
        let named: Vec<&str> = ids.iter().take(3).map(EntryId::as_str).collect();
        let more = if ids.len() > 3 { format!(" and {} more", ids.len() - 3) } else { String::new() };
        let hint = format!("{}{more}", named.join(", "));
        Some(Note { ids, ..Note::new("celery_overlap", &first.id, kind(&first.entry.schedule), message).hint(hint) })
    }
}
