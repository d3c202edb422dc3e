//! revisions and rollback: what an entry was, who made it so, and making it so again.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::definition::{Definition, Removed};
use crate::domain::id::EntryId;
use crate::domain::revision::{self, FieldChange};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::service::change::{one, readable};
use crate::service::conflict::Yours;
use crate::service::decide::{self, Outcome};
use crate::service::request::content;
use crate::service::view::{At, Changes};
use crate::service::write::{self, Step, only_one};
use crate::service::{Request, Service};
use crate::store::REVISIONS_KEPT;

/// A revision of an entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RevisionView {
    /// Its number.
    pub revision: u64,
    /// When it was written.
    pub at: At,
    /// By whom.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// `added`, `changed`, `paused`, `resumed`, `removed`, `rolled_back` or, where it can't be read, `unreadable`.
    pub change: &'static str,
    /// The revision whose fields it has, where it was rolled back to it.
    pub restored: Option<u64>,
    /// The fields that it changed; null where the revision before it is not kept.
    pub fields: Option<Vec<FieldChange>>,
    /// The fields of the entry; null for a removal.
    pub entry: Option<Map<String, Value>>,
    /// Why it can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What is kept of a revision.
enum Kept {
    Definition(Box<Definition>),
    Removed(Removed),
    /// Its number, and why it can't be read.
    Unreadable(u64, Error),
}

impl Kept {
    fn read(id: &EntryId, number: u64, text: &[u8]) -> Self {
        let value = serde_json::from_slice::<Value>(text).unwrap_or_default();
        if value.is_object() && value.get("entry").is_none() && value.get("owner").is_none() {
            return match serde_json::from_value(value) {
                Ok(removed) => Self::Removed(removed),
                Err(why) => Self::Unreadable(number, damaged(id, number, &why.to_string())),
            };
        }
        match Definition::read(id, text) {
            Ok(definition) => Self::Definition(Box::new(definition)),
            Err(why) => Self::Unreadable(number, why),
        }
    }

    fn number(&self) -> u64 {
        match self {
            Self::Definition(definition) => definition.revision,
            Self::Removed(removed) => removed.revision,
            Self::Unreadable(number, _) => *number,
        }
    }

    fn definition(&self) -> Option<&Definition> {
        match self {
            Self::Definition(definition) => Some(definition),
            Self::Removed(_) | Self::Unreadable(..) => None,
        }
    }

    /// `before` is the one before it, where that is kept.
    fn view(&self, before: Option<&Kept>) -> RevisionView {
        let nothing = || RevisionView {
            revision: self.number(),
            at: At(Timestamp(0)),
            actor: String::new(),
            reason: None,
            change: "unreadable",
            restored: None,
            fields: None,
            entry: None,
            message: None,
        };
        match self {
            Self::Unreadable(_, why) => RevisionView { message: Some(why.to_string()), ..nothing() },
            Self::Removed(removed) => RevisionView {
                at: At(removed.at),
                actor: removed.actor.clone(),
                reason: removed.reason.clone(),
                change: "removed",
                fields: Some(Vec::new()),
                ..nothing()
            },
            Self::Definition(new) => {
                let old = before.and_then(Kept::definition);
                let change = revision::kind(old, new);
                let fields = match (change, old) {
                    ("added", _) => Some(revision::differences(None, new)),
                    (_, None) => None,
                    (_, old) => Some(revision::differences(old, new)),
                };
                RevisionView {
                    at: At(new.at),
                    actor: new.actor.clone(),
                    reason: new.reason.clone(),
                    change,
                    restored: new.restored,
                    fields,
                    entry: Some(new.entry.as_ref().clone()),
                    ..nothing()
                }
            }
        }
    }
}

impl Service {
    /// The revisions of an entry that are kept, the newest first; also of one that was removed.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where none is on record.
    pub async fn revisions(&self, id: &EntryId) -> Result<Vec<RevisionView>> {
        let kept = self.kept_revisions(id).await?;
        if kept.is_empty() {
            return Err(self.no_entry(id).await?);
        }
        let before = |at: usize| at.checked_sub(1).map(|at| &kept[at]);
        let views = kept
            .iter()
            .enumerate()
            .map(|(at, one)| one.view(before(at).filter(|before| before.number() + 1 == one.number())));
        let mut views: Vec<RevisionView> = views.collect();
        views.reverse();
        Ok(views)
    }

    /// Those that are kept, oldest first, the current one included.
    async fn kept_revisions(&self, id: &EntryId) -> Result<Vec<Kept>> {
        let shard = self.store.shard_of(id);
        let (stored, removed) =
            tokio::try_join!(self.store.entry(id), self.store.removed(shard, std::slice::from_ref(id)))?;
        let removed = removed.into_iter().next().flatten();
        let newest = stored.as_ref().map(|stored| stored.birth_and_revision().1);
        let newest = newest.or(removed.map(|removed| removed.revision)).unwrap_or(0);
        let wanted: Vec<(EntryId, u64)> =
            (newest.saturating_sub(REVISIONS_KEPT).max(1)..=newest).map(|number| (id.clone(), number)).collect();
        let texts = self.store.revisions(shard, &wanted).await?;
        let old = wanted.iter().zip(texts).filter_map(|((_, number), text)| Some(Kept::read(id, *number, &text?)));
        let mut kept: Vec<Kept> = old.filter(|one| stored.is_none() || one.number() < newest).collect();
        kept.extend(stored.map(|stored| Kept::read(id, newest, &stored.text)));
        Ok(kept)
    }

    /// Gives an entry the fields that it had at revision `to`, as a new revision. Owner and pause stay as they are; the next fire
    /// time is settled as by [`Service::set`].
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where the entry does not exist, or the revision is not kept or was a removal; [`Error::Conflict`] where
    /// a newer program wrote it or somebody else changed the entry meanwhile; [`Error::Invalid`] where its `at` has passed or a
    /// calendar that it names is gone.
    pub async fn rollback(&self, request: &Request, id: &EntryId, to: u64) -> Result<Changes> {
        request.check()?;
        let reason = request.reason.clone().unwrap_or_else(|| format!("rollback to revision {to}"));
        let request = &Request { reason: Some(reason), ..request.clone() };
        let content = content("rollback", [id.as_str(), &to.to_string()]);
        let step = Step { request, shard: self.store.shard_of(id), number: 0, content: &content };
        let (stored, now) = tokio::try_join!(self.store.entry(id), self.store.now(step.shard))?;
        let kept = self.kept_revisions(id).await?;
        if let Some(done) = self.before(&step).await? {
            return Ok(one(write::view(only_one(done, None)?, Vec::new)));
        }
        let Some(stored) = stored else { return Err(self.gone(id, &kept).await?) };
        let definition = readable(&stored)?;
        let old = definition.parse(id)?;
        let target = target(id, &kept, to)?;
        let wanted = revision::differing(&definition.entry, &target.entry);
        self.as_expected(id, definition, Yours::changed(wanted.clone())).await?;
        let entry = self.store.resolve(target.parse(id)?).await?;
        decide::refuse_past(id, &entry, Some(&old), now)?;
        let Some(mut decided) = decide::changed(request, id, definition, entry.clone(), &definition.owner, now) else {
            return Ok(one(write::unchanged(&stored)));
        };
        if let Outcome::Stands(definition, _) = &mut decided.outcome {
            definition.restored = Some(to);
        }
        let done = self.write(&step, vec![decided]).await?;
        let changed = self.one_changed(id, done, definition.revision, Yours::changed(wanted)).await?;
        let warnings = self.drop_skips(request, &stored, &entry, changed.revision, now).await?;
        let changes = Changes { warnings, ..one(write::view(changed, Vec::new)) };
        self.with_warnings(changes, &[&entry], now).await
    }

    /// The complaint about an entry that can't be rolled back, since there is none.
    async fn gone(&self, id: &EntryId, kept: &[Kept]) -> Result<Error> {
        let Some(Kept::Removed(removed)) = kept.last() else { return self.no_entry(id).await };
        let why = format!("{id} was removed by {} on {}", removed.actor, removed.at.to_rfc3339());
        let problem = Problem::new("entry", why).value(id.as_str());
        let hint = format!("upbeat revisions {id} -o json has its fields; upbeat add or apply makes it anew");
        Ok(Error::NotFound(problem.hint(hint)))
    }
}

/// The definition at that revision.
fn target<'k>(id: &EntryId, kept: &'k [Kept], to: u64) -> Result<&'k Definition> {
    let refuse = |why: String| Error::NotFound(Problem::new("to", why).value(to.to_string()));
    match kept.iter().find(|one| one.number() == to) {
        Some(Kept::Definition(definition)) => Ok(definition),
        Some(Kept::Removed(_)) => {
            Err(refuse(format!("revision {to} of {id} is its removal: it has no fields")).hint(shown(id, kept)))
        }
        Some(Kept::Unreadable(_, why)) => Err(why.clone()),
        None => Err(refuse(format!("revision {to} of {id} is not kept")).hint(shown(id, kept))),
    }
}

/// Those that can be rolled back to: `1 to 3, 5`.
fn shown(id: &EntryId, kept: &[Kept]) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in kept.iter().filter_map(|one| Some(one.definition()?.revision)) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let words: Vec<String> = ranges
        .into_iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first} to {last}") })
        .collect();
    format!("kept are {}; upbeat revisions {id} shows them", words.join(", "))
}

fn damaged(id: &EntryId, number: u64, why: &str) -> Error {
    Error::Corrupt(Problem::new("entry", format!("revision {number} of {id} is damaged: {why}")).value(id.as_str()))
}
