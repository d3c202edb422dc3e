//! What is done alike with all entries that a filter selects: in steps, each read, decided and written by itself.
//!
//! However far it came when it was cut off, the same command again goes on with what is left. Under the same request id it first
//! tells what its steps did before; once it has come to its end it does nothing more under that id.

use std::collections::HashSet;

use crate::domain::id::{EntryId, IdList};
use crate::error::Result;
use crate::service::ahead::{Ahead, again};
use crate::service::each::{EACH_STEP, Each, decide_one};
use crate::service::many::ManyChanges;
use crate::service::request::content;
use crate::service::write::{self, Step};
use crate::service::{Request, Select, Service};
use crate::store::{ChangeCall, ChangeWord, StoredEntry};

/// A request about all entries that a filter selects.
struct Asked<'a> {
    request: &'a Request,
    each: Each<'a>,
    select: &'a Select,
    content: String,
    /// Whether it is about one entry: then what is wrong with it is an error.
    is_one: bool,
}

impl Service {
    /// Does it with each of `ids`, which `select` meant a moment ago; those that it does not mean any more are left alone.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::Conflict`] where the request id came before with something else; about one entry as [`Service::pause_until`]
    /// and [`Service::resume_from`].
    pub async fn each_selected(
        &self,
        request: &Request,
        each: Each<'_>,
        select: &Select,
        ids: &IdList,
    ) -> Result<ManyChanges> {
        request.check()?;
        let content = content(&each.words(), [select.words().as_str()]);
        let asked = Asked { request, each, select, content, is_one: ids.len() == 1 };
        let mut of_shards = vec![IdList::default(); self.store.shards().count()];
        for id in (0..ids.len()).flat_map(|at| ids.page(at, 1)) {
            of_shards[usize::from(self.store.shard_of(&id))].push(&id);
        }
        self.progress.begin(ids.len(), "entries");
        let mut many = ManyChanges::default();
        for (shard, ids) in self.store.shards().zip(of_shards) {
            self.each_of_shard(&asked, shard, &ids, &mut many).await?;
        }
        many.sort();
        Ok(many)
    }

    async fn each_of_shard(&self, asked: &Asked<'_>, shard: u16, ids: &IdList, many: &mut ManyChanges) -> Result<()> {
        let end = Request { id: format!("{}#end", asked.request.id), ..asked.request.clone() };
        let end = Step { request: &end, shard, number: 0, content: &asked.content };
        let mut step = Step { request: asked.request, shard, number: 0, content: &asked.content };
        let mut done: HashSet<EntryId> = HashSet::new();
        while let Some(before) = self.before(&step).await? {
            for changed in before {
                let id = EntryId::parse("entry", &changed.id)?;
                many.push(&id, write::view(changed, Vec::new));
                done.insert(id);
            }
            step.number += 1;
        }
        if self.before(&end).await?.is_some() {
            self.progress.advance(ids.len());
            return Ok(());
        }
        let mut ahead: Ahead<(Vec<StoredEntry>, usize)> = Ahead::new();
        let mut begun = 0;
        loop {
            while ahead.has_room() && begun < ids.len() {
                let page = ids.page(begun, EACH_STEP);
                begun += page.len();
                let store = self.store.clone();
                ahead.begin(async move {
                    let found = again(|| store.entries(&page)).await?;
                    Ok((found.into_iter().flatten().collect(), page.len()))
                });
            }
            let Some((mut stored, looked_at)) = ahead.next().await? else { break };
            stored.retain(|one| !done.contains(&one.id) && asked.select.has(one));
            if self.each_of_step(asked, &step, &stored, many).await? {
                step.number += 1;
            }
            self.progress.advance(looked_at);
        }
        if step.number > 0 && !asked.request.is_dry_run {
            let id = end.request.step(shard, end.number);
            let nothing = ChangeCall { request: &id, content: end.content, changes: &[], is_dry_run: false };
            self.store.put(shard, &nothing).await?;
        }
        Ok(())
    }

    /// Returns whether anything was written under the number of the step.
    async fn each_of_step(
        &self,
        asked: &Asked<'_>,
        step: &Step<'_>,
        stored: &[StoredEntry],
        many: &mut ManyChanges,
    ) -> Result<bool> {
        let now = self.store.now(step.shard).await?;
        let mut decided = Vec::new();
        for one in stored {
            match decide_one(asked.request, asked.each, one, now) {
                Ok(Some(change)) => decided.push(change),
                Ok(None) => {
                    if matches!(asked.each, Each::Resume(Some(_))) {
                        many.warn(format!("{} is not paused: it owes nothing", one.id));
                    }
                    many.push(&one.id, write::unchanged(one));
                }
                Err(why) if asked.is_one => return Err(why),
                Err(why) => many.push(&one.id, write::refused(one, why.to_string())),
            }
        }
        if decided.is_empty() {
            return Ok(false);
        }
        let seen = decided.first().map(|one| (one.id.clone(), one.revision));
        let mut done = self.write(step, decided).await?;
        if let Some((id, revision)) = seen.filter(|_| asked.is_one) {
            done = vec![self.one_changed(&id, done, revision, asked.each.yours()).await?];
        }
        for changed in done {
            let Some(one) = stored.iter().find(|one| one.id.as_str() == changed.id) else { continue };
            let view = match changed.word {
                ChangeWord::Conflict => {
                    self.refused_change(&one.id, changed, one.birth_and_revision().1, asked.each.yours()).await
                }
                _ => write::view(changed, Vec::new),
            };
            many.push(&one.id, view);
        }
        Ok(true)
    }
}
