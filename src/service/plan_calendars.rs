//! What files would do to calendars, and calendars to the entries that follow them; only reads.

use std::collections::BTreeMap;

use crate::domain::entry::Entry;
use crate::domain::id::CalendarName;
use crate::error::Result;
use crate::service::Service;
use crate::service::calendars::{CalendarChange, is_behind};
use crate::service::foresight::Foresight;
use crate::service::plan::as_it_stands;
use crate::service::view::ChangeView;
use crate::service::wanted::{Against, Wanted};
use crate::service::write;

impl Service {
    /// The calendars of the files against those that stand, with the entries that would follow.
    pub(super) async fn planned_calendars(&self, wanted: &Wanted, against: &Against) -> Result<Vec<CalendarChange>> {
        let mut planned = Vec::with_capacity(wanted.calendars.len());
        for (name, dates) in &wanted.calendars {
            let (old, new) = (against.standing.0.get(name), against.calendars.0.get(name));
            let change = match old {
                None => "added",
                Some(old) if old.dates == *dates => "unchanged",
                Some(_) => "changed",
            };
            planned.push(CalendarChange {
                calendar: name.to_string(),
                change,
                dates: dates.dates().len(),
                revision: new.map_or(1, |new| new.revision),
                entries: match new {
                    Some(new) => self.planned_followers(name, new.revision, against).await?,
                    None => Vec::new(),
                },
            });
        }
        Ok(planned)
    }

    async fn planned_followers(
        &self,
        name: &CalendarName,
        revision: u64,
        against: &Against,
    ) -> Result<Vec<ChangeView>> {
        let mut followers = BTreeMap::new();
        self.each_page(async |page| {
            for stored in page.iter().filter(|one| is_behind(one, name, revision)) {
                let was = as_it_stands(stored, &against.standing);
                let will_be = as_it_stands(stored, &against.calendars);
                let next =
                    |entry: &Option<Entry>| entry.as_ref().and_then(|one| Foresight::of_old(one, stored, 0).next());
                let unchanged = write::unchanged(stored);
                let view = ChangeView {
                    change: "changed",
                    fields: vec!["exclude".into()],
                    next_before: next(&was),
                    next_after: next(&will_be),
                    revision: unchanged.revision.map(|revision| revision + 1),
                    ..unchanged
                };
                followers.insert(view.id.clone(), view);
            }
            Ok(())
        })
        .await?;
        Ok(followers.into_values().collect())
    }
}
