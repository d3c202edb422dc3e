//! Tasks of Celery that may overlap themselves: nobody here knows when one has ended.

use super::{Listed, Note, distance, kind};
use crate::domain::action::Action;
use crate::domain::file::FileEntry;
use crate::domain::id::EntryId;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

/// What comes at least so often may well find itself running.
const OFTEN: Span = Span(10 * 60_000);

/// The note about tasks that come often and are not waited for, one for all of them.
pub fn note(entries: &[impl Listed], now: Timestamp) -> Option<Note> {
    let is_sent = |one: &FileEntry| matches!(&one.entry.action, Action::Celery(celery) if !celery.is_tracked);
    let is_often = |one: &FileEntry| distance(&one.entry.schedule, now).is_some_and(|distance| distance <= OFTEN);
    let mut first: Option<FileEntry> = None;
    let mut ids: Vec<EntryId> = Vec::new();
    for one in entries.iter().map(Listed::listed).filter(|one| is_sent(one) && is_often(one)) {
        ids.push(one.id.clone());
        first.get_or_insert_with(|| one.into_owned());
    }
    let first = first?;
    let message = "overlap is `allow` for Celery messages: a slow task can overlap itself as it does today \
                   (celery.track = true changes that)";
    let named: Vec<&str> = ids.iter().take(3).map(EntryId::as_str).collect();
    let more = if ids.len() > 3 { format!(" and {} more", ids.len() - 3) } else { String::new() };
    let hint = format!("{}{more}", named.join(", "));
    Some(Note { ids, ..Note::new("celery_overlap", &first.id, kind(&first.entry.schedule), message).hint(hint) })
}
