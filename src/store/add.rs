//! add: entries that are new and begin now, written as they were made ready: the short way of [`Store::put`].
//!
//! What `put` finds out about each entry in Lua (its first fire time, its answer, its line in the events) is known here, so the
//! script only looks whether it still holds: all of `apply` of 100,000 entries costs Redis 0.8 s CPU, where `put` alone made it 2.1 s.

use std::fmt::Write as _;

use fred::types::Value;

use crate::domain::definition::{Definition, ToBeStamped};
use crate::domain::plan::{Beginning, beginning, pack_cursor};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::store::ask::By;
use crate::store::change::packed;
use crate::store::keys::{self, Key};
use crate::store::reply::text;
use crate::store::scripts::digest;
use crate::store::{Change, ChangeCall, ChangeWord, Changed, PutAnswer, Store, Verb, added};

const KEYS: &[Key] = &[
    Key::Clock,
    Key::Due,
    Key::Plans,
    Key::Entries,
    Key::Messages,
    Key::Cursors,
    Key::Finished,
    Key::Fires,
    Key::Queues,
    Key::Requests,
    Key::Requested,
    Key::Stale,
    Key::Events,
];
/// Later than any fire time.
const NEVER: Timestamp = Timestamp(281_474_976_710_655);

/// Bytes of most lines of an event.
const LINES_BYTES: usize = 32;

/// What an add answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddAnswer {
    /// All are written; or they were, by the same request.
    Done(Vec<Changed>),
    /// The request id came before with other content.
    OtherRequest,
    /// Nothing is written: [`Store::put`] decides about each.
    Put,
}

/// A new entry, and how it begins.
struct Addition<'a> {
    change: &'a Change,
    text: ToBeStamped<'a>,
    beginning: Beginning,
}

impl<'a> Addition<'a> {
    /// `None` where there is more to it than to write it down.
    fn of(change: &'a Change, now: Timestamp) -> Option<Self> {
        let is_plain = change.verb == Verb::Put && change.revision == 0 && !change.is_paused && change.from.is_none();
        let text = Definition::to_be_stamped(&change.definition).filter(|_| is_plain)?;
        Some(Self { change, text, beginning: beginning(&change.compiled.plan, now)? })
    }

    fn changed(&self) -> Changed {
        Changed {
            id: self.change.id.to_string(),
            word: ChangeWord::Added,
            next_before: None,
            next_after: self.beginning.first,
            revision: self.text.revision,
            fields: Vec::new(),
        }
    }
}

impl Store {
    /// Writes entries of one shard that are new, made ready at `now` by the shard's clock.
    pub async fn add(&self, shard: u16, call: &ChangeCall<'_>, now: Timestamp) -> Result<AddAnswer> {
        let new: Option<Vec<Addition>> = call.changes.iter().map(|change| Addition::of(change, now)).collect();
        let Some(new) = new.filter(|new| !new.is_empty()) else { return Ok(AddAnswer::Put) };
        let added: Vec<Changed> = new.iter().map(Addition::changed).collect();
        let args = self.args(call, &new, &added, now);
        match text(self.eval(&self.scripts().add, &self.keys(shard).all(KEYS), args).await?)?.as_str() {
            "added" => Ok(AddAnswer::Done(added)),
            "other" => Ok(AddAnswer::OtherRequest),
            "put" => Ok(AddAnswer::Put),
            "known" => match self.put_before(shard, call.request, call.content).await? {
                Some(PutAnswer::Done(done)) => Ok(AddAnswer::Done(done)),
                _ => Ok(AddAnswer::Put),
            },
            other => Err(Error::internal(format!("add answered {other}"))),
        }
    }

    fn args(&self, call: &ChangeCall<'_>, new: &[Addition<'_>], added: &[Changed], now: Timestamp) -> Vec<Value> {
        let by = By::of_json(&new[0].change.definition);
        let answer = added::kept(added);
        let mut lines = String::with_capacity(LINES_BYTES * new.len());
        for one in new {
            let end = if lines.is_empty() { "" } else { "\n" };
            // Writing into a string does not fail.
            let _ = write!(lines, "{end}added\n{}\n{}\n", one.change.id.as_str(), one.text.revision);
        }
        let soonest = new.iter().filter_map(|one| one.beginning.first).min().unwrap_or(NEVER);
        let id = |one: &Addition| Value::from(one.change.id.as_str());
        let (mut messages, mut cursors, mut fires, mut lists) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for one in new {
            let (compiled, begins) = (&one.change.compiled, one.beginning);
            if !compiled.message.is_empty() {
                messages.extend([id(one), packed(&compiled.message)]);
            }
            if let Some(first) = begins.first.filter(|_| begins.delay_ms > 0) {
                cursors.extend([id(one), packed(&pack_cursor(first))]);
            }
            if begins.is_counted {
                fires.extend([id(one), "0".into()]);
            }
            if !compiled.list.is_empty() && !lists.contains(&compiled.list.as_str()) {
                lists.push(compiled.list.as_str());
            }
        }
        let count = |values: usize| Value::from(i64::try_from(values).unwrap_or(i64::MAX));
        let mut args: Vec<Value> = vec![
            call.request.into(),
            digest(&[call.content.as_bytes()]).into(),
            keys::nudges(self.namespace()).into(),
            self.zone_data().into(),
            by.actor.into(),
            by.reason.into(),
            answer.to_string().into(),
            lines.into(),
            soonest.0.into(),
            now.0.into(),
            count(new.len()),
            count(messages.len() / 2),
            count(cursors.len() / 2),
            count(fires.len() / 2),
            count(lists.len()),
        ];
        args.reserve(5 * new.len() + messages.len() + cursors.len() + fires.len() + lists.len());
        for one in new {
            let due = one.beginning.first.map(|first| first.0 + one.beginning.delay_ms);
            args.extend([
                id(one),
                one.text.head.into(),
                one.text.tail.into(),
                packed(&one.change.compiled.plan),
                due.map(|due| due.to_string()).unwrap_or_default().into(),
            ]);
        }
        args.extend(messages.into_iter().chain(cursors).chain(fires));
        args.extend(lists.into_iter().map(Value::from));
        args
    }
}
