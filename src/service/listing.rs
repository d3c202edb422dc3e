//! Lists of entries, a page at a time: whatever their number, memory holds their ids and the few pages that are on their way.
//!
//! Ids are collected first, then sorted, then read by pages: one that is removed in between is left out, one that is added is not
//! in the list. Nothing is listed twice.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::domain::id::{EntryId, IdList};
use crate::domain::record::LiveRun;
use crate::domain::run::State;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;
use crate::service::ahead::{Ahead, again};
use crate::service::list::{newest, trouble, view};
use crate::service::nodes::Fleet;
use crate::service::view::{At, EntryView, LastRun, RunView};
use crate::service::{Select, Service, run_views};
use crate::store::StoredEntry;

/// Entries of a page.
const PAGE: usize = 200;

/// Which entries are wanted; what is `None` restricts nothing.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Whose id begins so.
    pub prefix: Option<String>,
    /// That are selected.
    pub select: Option<Select>,
    /// That have warnings.
    pub only_warnings: bool,
    /// Whose id comes after this one, whether it exists or not.
    pub after: Option<EntryId>,
    /// The first of them.
    pub limit: Option<usize>,
}

impl ListFilter {
    fn has_id(&self, id: &EntryId) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| id.as_str().starts_with(prefix.as_str()))
            && self.after.as_ref().is_none_or(|after| id > after)
    }
}

/// A list that is read as it is used.
pub struct Listing {
    service: Service,
    filter: ListFilter,
    ids: IdList,
    /// How many ids matched, whatever the limit.
    matched: usize,
    picture: Arc<Picture>,
    /// Ids whose pages have begun.
    begun: usize,
    ahead: Ahead<Vec<EntryView>>,
    given: usize,
    /// Whether there are entries with warnings beyond the limit.
    has_more: bool,
}

/// What was seen at the beginning, and holds for all pages.
struct Picture {
    fleet: Fleet,
    stuck: HashMap<String, LiveRun>,
    /// The newest live run of each entry that has one.
    live: HashMap<Box<str>, LastRun>,
    /// The time of each shard.
    now: Vec<Timestamp>,
    select: Option<Select>,
}

impl Service {
    /// Entries that match, by id, all at once; [`Service::listing`] gives them a page at a time.
    pub async fn list(&self, filter: &ListFilter) -> Result<Vec<EntryView>> {
        let mut listing = self.listing(filter).await?;
        let mut views = Vec::new();
        while let Some(page) = listing.next().await? {
            views.extend(page);
        }
        Ok(views)
    }

    /// Entries that match, by id, to be read a page at a time.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::NotFound`] about an entry that is selected by its id and does not exist.
    pub async fn listing(&self, filter: &ListFilter) -> Result<Listing> {
        let mut ids = match &filter.select {
            Some(select @ Select::Ids(_)) => {
                let ids = self.selected(select).await?;
                ids.page(0, ids.len()).into_iter().filter(|id| filter.has_id(id)).collect()
            }
            Some(select) => self.ids_where(|id, text| filter.has_id(id) && select.has_written(id, text)).await?,
            None => self.ids_where(|id, _| filter.has_id(id)).await?,
        };
        let matched = ids.len();
        if let Some(limit) = filter.limit.filter(|_| !filter.only_warnings) {
            ids.truncate(limit);
        }
        self.progress.begin(ids.len(), "entries");
        let picture = Arc::new(self.picture(filter.select.clone(), &ids).await?);
        let (service, filter) = (self.clone(), filter.clone());
        Ok(Listing { service, filter, ids, matched, picture, begun: 0, ahead: Ahead::new(), given: 0, has_more: false })
    }

    async fn picture(&self, select: Option<Select>, ids: &IdList) -> Result<Picture> {
        let fleet = self.fleet().await?;
        let mut live: HashMap<Box<str>, LastRun> = HashMap::new();
        let mut running = Vec::new();
        for shard in self.store.shards().filter(|_| !ids.is_empty()) {
            let mut cursor = None;
            loop {
                let (page, next) = again(|| self.store.live_runs(shard, cursor.clone())).await?;
                for run in page.into_iter().filter(|run| ids.has(&run.entry_id)) {
                    let known = live.get(run.entry_id.as_str());
                    if known.is_none_or(|known| known.fire_at < At(run.fire_at)) {
                        let last = LastRun::from(run_views::live(&run, &fleet));
                        live.insert(run.entry_id.as_str().into(), last);
                    }
                    if run.state == State::Running {
                        running.push(run);
                    }
                }
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        let stuck = self.oldest_stuck(&running).await?;
        let mut now = Vec::new();
        for shard in self.store.shards() {
            now.push(self.store.now(shard).await?);
        }
        Ok(Picture { fleet, stuck, live, now, select })
    }

    async fn list_page(self, ids: Vec<EntryId>, picture: Arc<Picture>) -> Result<Vec<EntryView>> {
        let is_meant = |stored: &StoredEntry| picture.select.as_ref().is_none_or(|select| select.has(stored));
        let stored = self.store.entries(&ids).await?.into_iter().flatten();
        let stored: Vec<StoredEntry> = stored.filter(is_meant).collect();
        let calendars = self.calendars_of(&stored).await?;
        let mut of_shards: BTreeMap<u16, Vec<EntryId>> = BTreeMap::new();
        for one in &stored {
            of_shards.entry(self.store.shard_of(&one.id)).or_default().push(one.id.clone());
        }
        let mut ended: HashMap<EntryId, RunView> = HashMap::new();
        for (shard, ids) in of_shards {
            let last = self.store.last_ended(shard, &ids).await?;
            ended.extend(ids.into_iter().zip(last).filter_map(|(id, run)| Some((id, RunView::from(run?)))));
        }
        let views = stored.iter().map(|stored| {
            let id = &stored.id;
            let now = picture.now.get(usize::from(self.store.shard_of(id))).copied().unwrap_or_default();
            let ended = ended.remove(id);
            let trouble = trouble(id, picture.stuck.get(id.as_str()), ended.as_ref(), &picture.fleet, now);
            let last = newest(picture.live.get(id.as_str()).cloned(), ended.map(LastRun::from));
            view(stored, &picture.fleet, &calendars, last, trouble, now)
        });
        Ok(views.collect())
    }
}

impl Listing {
    /// The next entries, at least one; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<EntryView>>> {
        loop {
            while self.ahead.has_room() && self.begun < self.ids.len() {
                let ids = self.ids.page(self.begun, PAGE);
                self.begun += ids.len();
                let (service, picture) = (self.service.clone(), self.picture.clone());
                self.ahead.begin(again(move || service.clone().list_page(ids.clone(), picture.clone())));
            }
            let Some(mut page) = self.ahead.next().await? else { return Ok(None) };
            self.service.progress.advance(PAGE);
            page.retain(|view| !self.filter.only_warnings || !view.warnings.is_empty());
            let room = self.filter.limit.map_or(usize::MAX, |limit| limit - self.given);
            if page.len() > room {
                page.truncate(room);
                self.has_more = true;
                (self.begun, self.ahead) = (self.ids.len(), Ahead::new());
            }
            self.given += page.len();
            if !page.is_empty() {
                return Ok(Some(page));
            }
        }
    }

    /// Ids that match, as far as the limit, warnings or not.
    pub fn ids(&self) -> &IdList {
        &self.ids
    }

    /// Whether a limit was asked for.
    pub fn is_limited(&self) -> bool {
        self.filter.limit.is_some()
    }

    /// How many match, whatever the limit, as far as is known; `false` where there are more.
    pub fn found(&self) -> (usize, bool) {
        match self.filter.only_warnings {
            true => (self.given, !self.has_more),
            false => (self.matched, true),
        }
    }
}
