//! Two who change one entry: the refusal shows what either wanted.

use serde_json::{Value, json};

use crate::domain::definition::Definition;
use crate::domain::id::EntryId;
use crate::domain::revision::{FieldChange, in_words};
use crate::error::{Error, Problem, Result, Sides};
use crate::service::Service;
use crate::service::revisions::RevisionView;
use crate::service::view::ChangeView;
use crate::service::write::{self, only_one, why_changed};
use crate::store::Changed;

/// What was asked for and refused.
#[derive(Debug, Clone)]
pub(super) struct Yours {
    /// As revisions call it.
    change: &'static str,
    fields: Vec<FieldChange>,
}

impl Yours {
    /// Other fields.
    pub fn changed(fields: Vec<FieldChange>) -> Self {
        Self { change: "changed", fields }
    }

    /// What is said in a word.
    pub fn word(change: &'static str) -> Self {
        Self { change, fields: Vec::new() }
    }
}

impl Service {
    /// The same, for changes of entries that stand at this revision only; others are refused with both sides.
    #[must_use]
    pub fn if_revision(&self, revision: Option<u64>) -> Self {
        Self { if_revision: revision, ..self.clone() }
    }

    /// Refuses an entry that stands at another revision than was asked for.
    pub(super) async fn as_expected(&self, id: &EntryId, definition: &Definition, yours: Yours) -> Result<()> {
        match self.if_revision {
            Some(seen) if seen != definition.revision => Err(self.conflict(id, seen, definition.revision, yours).await),
            _ => Ok(()),
        }
    }

    /// The one change of a command about one entry; where somebody else was faster, with both sides. `seen` is the revision that
    /// it was decided on.
    pub(super) async fn one_changed(
        &self,
        id: &EntryId,
        done: Vec<Changed>,
        seen: u64,
        yours: Yours,
    ) -> Result<Changed> {
        let now = done.first().map_or(seen, |changed| changed.revision);
        match only_one(done, Some(seen)) {
            Err(Error::Conflict(_)) if now != seen => Err(self.conflict(id, seen, now, yours).await),
            answered => answered,
        }
    }

    /// What became of one change among several, where somebody else was faster: both sides in its message.
    pub(super) async fn refused_change(&self, id: &EntryId, changed: Changed, seen: u64, yours: Yours) -> ChangeView {
        let why = self.conflict(id, seen, changed.revision, yours).await;
        let lines = why.problem().sides.iter().flat_map(|sides| &sides.lines);
        let words = lines.filter_map(|line| line.split_once(' '));
        let lines: String = words.map(|(side, what)| format!("; {side} {}", what.trim_start())).collect();
        ChangeView { message: Some(format!("{}{lines}", why.problem().message)), ..write::view(changed, Vec::new) }
    }

    /// The complaint about an entry that was read at revision `seen` and stands at `now`.
    pub(super) async fn conflict(&self, id: &EntryId, seen: u64, now: u64, yours: Yours) -> Error {
        let why = match seen < now {
            true => why_changed(id.as_str(), Some(seen), now),
            false => format!("{id} is at revision {now}, and never was at {seen}"),
        };
        let mut problem = Problem::new("entry", why).value(id.as_str());
        // What can't be read is not told; the refusal stands.
        let all = self.revisions(id).await.unwrap_or_default();
        let theirs: Vec<&RevisionView> = all.iter().filter(|one| one.revision > seen).collect();
        let mut lines = vec![format!("yours   {}", yours.words())];
        lines.extend(theirs.iter().rev().map(|one| format!("theirs  {}", one.words())));
        problem.sides = Some(Box::new(Sides {
            lines,
            yours: json!({"change": yours.change, "fields": yours.fields}),
            theirs: theirs.iter().map(|one| one.to_json()).collect(),
        }));
        Error::Conflict(problem.hint(format!("look at it, upbeat show {id}, and ask again: it is at revision {now}")))
    }
}

impl Yours {
    fn words(&self) -> String {
        match self.fields.is_empty() {
            true => self.change.to_owned(),
            false => format!("{}: {}", self.change, in_words(&self.fields)),
        }
    }
}

impl RevisionView {
    /// On one line: who, when, why and what.
    pub fn words(&self) -> String {
        let reason = self.reason.as_ref().map(|reason| format!(" ({reason:?})")).unwrap_or_default();
        let fields = self.fields.as_deref().filter(|fields| !fields.is_empty());
        let fields = fields.map(|fields| format!(": {}", in_words(fields))).unwrap_or_default();
        let at = self.at.0.to_rfc3339();
        format!(
            "revision {}, {} by {} on {at}{reason}{fields}",
            self.revision,
            self.change.replace('_', " "),
            self.actor
        )
    }

    fn to_json(&self) -> Value {
        let mut view = serde_json::to_value(self).unwrap_or_default();
        if let Some(view) = view.as_object_mut() {
            view.shift_remove("entry");
        }
        view
    }
}
