//! Fire times to come, as they are known without asking a script.

use crate::domain::entry::Entry;
use crate::domain::plan::Registered;
use crate::domain::timestamp::Timestamp;
use crate::service::Service;
use crate::service::decide::Decided;
use crate::service::view::At;
use crate::store::{Place, Skip, StoredEntry};

/// An entry, and from when its fire times are still to come.
pub(super) struct Foresight<'a> {
    entry: &'a Entry,
    /// The first may be then; none where it does not fire.
    from: Option<Timestamp>,
    skips: &'a [Skip],
    /// As many as `max_fires` leaves.
    left: u64,
}

impl<'a> Foresight<'a> {
    /// Of an entry as it stands; `fires` are those that it had.
    pub fn of_old(entry: &'a Entry, stored: &'a StoredEntry, fires: u64) -> Self {
        let is_firing = matches!(stored.place, Some(Place::Due | Place::Parked | Place::Broken));
        Self { entry, from: is_firing.then(|| stored.cursor()), skips: &stored.skips, left: left(entry, fires) }
    }

    /// Of an entry as it would be added.
    pub fn of_new(entry: &'a Entry, decided: &Decided, now: Timestamp) -> Self {
        let from = decided.from.unwrap_or(Timestamp(now.0 + 1));
        let from = Some(from).filter(|_| decided.pause().is_none());
        Self { entry, from, skips: &[], left: left(entry, 0) }
    }

    /// Of an entry as it would be changed; one that has come and is not due yet, because of `spread`, stays if both have it.
    pub fn of_changed(
        service: &Service,
        (old, entry): (Option<&Entry>, &'a Entry),
        stored: &'a StoredEntry,
        decided: &Decided,
        fires: u64,
        now: Timestamp,
    ) -> Self {
        let namespace = service.store().namespace();
        let old = old.filter(|_| stored.place == Some(Place::Due)).map(|old| {
            let registered = Registered { namespace, id: &stored.id, birth: 0, revision: 0, entry: old };
            (old, Timestamp(now.0 - registered.delay_ms()))
        });
        let pending = old.and_then(|(old, due)| {
            let first = stored.cursor().max(Timestamp(due.0 + 1));
            let pending = old.schedule.next_after(Timestamp(first.0 - 1)).filter(|at| *at <= now)?;
            (entry.schedule.next_after(Timestamp(pending.0 - 1)) == Some(pending)).then_some(pending)
        });
        // What is overdue ends first, and counts.
        let overdue = old.filter(|_| entry.max_fires.is_some()).map_or(0, |(old, due)| {
            let times = old.schedule.times_after(Timestamp(stored.cursor().0 - 1)).take_while(|at| *at <= due);
            let most = usize::try_from(left(old, fires)).unwrap_or(usize::MAX);
            times.take(most).count() as u64
        });
        let fires = fires + overdue;
        let from = Some(pending.unwrap_or(Timestamp(now.0 + 1))).filter(|_| decided.pause().is_none());
        Self { entry, from, skips: &stored.skips, left: left(entry, fires) }
    }

    /// The next fire time.
    pub fn next(&self) -> Option<At> {
        self.list(1).pop()
    }

    /// At most so many.
    pub fn list(&self, count: usize) -> Vec<At> {
        let Some(from) = self.from else { return Vec::new() };
        let is_skipped = |at: &Timestamp| self.skips.iter().any(|skip| skip.fire_at == *at);
        let times = self.entry.schedule.times_after(Timestamp(from.0 - 1));
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        times.take(left).filter(|at| !is_skipped(at)).take(count).map(At).collect()
    }
}

fn left(entry: &Entry, fires: u64) -> u64 {
    entry.max_fires.map_or(u64::MAX, |most| u64::from(most).saturating_sub(fires))
}
