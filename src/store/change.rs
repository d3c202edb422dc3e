//! put and replan: write entries, and the plans that fire them.

use fred::types::Value;

use crate::domain::id::EntryId;
use crate::domain::plan::Compiled;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::store::ask::By;
use crate::store::kept::Kept;
use crate::store::keys::{self, Key};
use crate::store::read::Place;
use crate::store::reply::{Reply, text};
use crate::store::scripts::digest;
use crate::store::{Store, added};

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Adds or changes; what is overdue is settled as a claim would.
    Put,
    /// Pauses; what is overdue is `missed`, `paused`.
    Pause,
    /// Resumes; what passed meanwhile is `skipped`, `paused`.
    Resume,
    /// Removes; what is overdue is `missed`, `removed`.
    Remove,
    /// Removes an entry that nobody can plan; of what is overdue only that is recorded which its plan knows.
    Discard,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Remove => "remove",
            Self::Discard => "discard",
        }
    }
}

/// One change of one entry.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its id.
    pub id: EntryId,
    /// What is done.
    pub verb: Verb,
    /// Birth that the change was decided on; 0 where the id must not exist.
    pub birth: u64,
    /// Revision that the change was decided on; 0 where the id must not exist.
    pub revision: u64,
    /// The new definition, or what is left of a removed entry; JSON.
    pub definition: String,
    /// Plan, message and list; empty for a removal.
    pub compiled: Compiled,
    /// Whether the entry is paused afterwards.
    pub is_paused: bool,
    /// Until when it is paused, where the pause has an end.
    pub until: Option<Timestamp>,
    /// From when it counts, for a new entry or one that is resumed; else its first fire time is after now.
    pub from: Option<Timestamp>,
    /// Names of the fields that differ, for the answer; none where the request itself says so.
    pub fields: Vec<String>,
}

/// Changes of one shard, one atomic step.
#[derive(Debug, Clone)]
pub struct ChangeCall<'a> {
    /// The same request gets the same answer for 24 h.
    pub request: &'a str,
    /// What was asked for: the same request id with other content is a conflict.
    pub content: &'a str,
    /// At most 500; without any the request id is used up, and nothing else is written.
    pub changes: &'a [Change],
    /// Says what would happen and writes nothing.
    pub is_dry_run: bool,
}

/// What became of one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its entry.
    pub id: String,
    /// What.
    pub word: ChangeWord,
    /// The next fire time before.
    pub next_before: Option<Timestamp>,
    /// The next fire time now.
    pub next_after: Option<Timestamp>,
    /// Its revision now; of what was not changed, the one that stands.
    pub revision: u64,
    /// Names of the fields that differ, as the change said.
    pub fields: Vec<String>,
}

/// What became of one change, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeWord {
    /// The entry is new.
    Added,
    /// The entry was changed.
    Changed,
    /// The entry is gone.
    Removed,
    /// It had another birth or revision than the change was decided on.
    Conflict,
    /// It exists, and should not.
    Exists,
    /// It does not exist, and should.
    Gone,
}

/// What a put answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutAnswer {
    /// The request id came before with other content.
    OtherRequest,
    /// No entry was written: these need a plan that reaches further first, or another look (`busy`: too many runs are
    /// active to look through; `woken`: its pause had ended; `from`: settled as far already; else a waiting list that the
    /// registry did not name).
    Again(Vec<(String, String)>),
    /// Carried out.
    Done(Vec<Changed>),
}

/// A plan that reaches further, for an entry as it was seen.
#[derive(Debug, Clone)]
pub struct Replan<'a> {
    /// The entry.
    pub id: &'a EntryId,
    /// Birth seen.
    pub birth: u64,
    /// Revision seen.
    pub revision: u64,
    /// Place seen.
    pub place: Place,
    /// Cursor seen; of a broken entry, the one to start at.
    pub cursor: Timestamp,
    /// Plan seen.
    pub seen_plan: &'a [u8],
    /// The new one.
    pub compiled: &'a Compiled,
    /// For a paused entry: where it goes on, and what has passed since the pause.
    pub passed: Option<Passed>,
    /// Planned anew with newer zone data: from there on nothing is settled, and the next fire time is the first of the new plan.
    pub anew: Option<Timestamp>,
}

/// Fire times that passed while an entry was paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// From here on nothing is counted yet.
    pub cursor: Timestamp,
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
    /// How many.
    pub count: u64,
    /// Their sum, ms, mod 2^52.
    pub sum: u64,
}

/// What a replan answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplanAnswer {
    /// The plan is in force.
    Written,
    /// Something had changed: somebody else was there.
    Changed,
    /// The entry had no definition and was taken off.
    Forgotten,
}

const PUT_KEYS: &[Key] = &[
    Key::Clock,
    Key::Due,
    Key::Plans,
    Key::Live,
    Key::Active,
    Key::Ledger,
    Key::History,
    Key::Ended,
    Key::Queues,
    Key::Cursors,
    Key::Parked,
    Key::Broken,
    Key::Finished,
    Key::Paused,
    Key::Entries,
    Key::Messages,
    Key::StartBy,
    Key::Revisions,
    Key::Removed,
    Key::Requests,
    Key::Requested,
    Key::Leases,
    Key::Stale,
    Key::Skips,
    Key::Backfills,
    Key::Backfilling,
    Key::Waits,
    Key::Cancels,
    Key::Fires,
    Key::Delayed,
    Key::Dead,
    Key::Letters,
    Key::Events,
    Key::Moves,
];
const REPLAN_KEYS: &[Key] = &[
    Key::Clock,
    Key::Due,
    Key::Plans,
    Key::Entries,
    Key::Cursors,
    Key::Parked,
    Key::Broken,
    Key::Finished,
    Key::Paused,
    Key::Messages,
    Key::Queues,
    Key::Stale,
    Key::Events,
];

pub(super) fn packed(bytes: &[u8]) -> Value {
    Value::Bytes(bytes.to_vec().into())
}

impl Store {
    /// Takes `count` births of a shard; they are the last of which the first is returned.
    pub async fn reserve_births(&self, shard: u16, count: usize) -> Result<u64> {
        let args = vec![self.key(shard, Key::Clock).into(), "birth".into(), (count as i64).into()];
        let last = super::reply::number(self.inner.client.command("HINCRBY", args).await?)?;
        Ok((last - count as i64 + 1).max(1).cast_unsigned())
    }

    /// Writes changes of one shard.
    pub async fn put(&self, shard: u16, call: &ChangeCall<'_>) -> Result<PutAnswer> {
        let lists = self.lists(shard);
        let mut keys = self.keys(shard).all(PUT_KEYS);
        keys.extend(self.list_keys(shard, &lists));
        // One request, so one who asks.
        let by = By::of_json(call.changes.first().map_or("", |change| &change.definition));
        let mut args: Vec<Value> = vec![
            call.request.into(),
            digest(&[call.content.as_bytes()]).into(),
            keys::nudges(self.namespace()).into(),
            i64::from(call.is_dry_run).into(),
            self.zone_data().into(),
            by.actor.into(),
            by.reason.into(),
            (lists.len() as i64).into(),
        ];
        args.extend(lists.iter().map(|list| Value::from(list.as_str())));
        for change in call.changes {
            args.push(change.id.as_str().into());
            args.push(change.verb.word().into());
            args.push(change.birth.to_string().into());
            args.push(change.revision.to_string().into());
            args.push(change.definition.as_str().into());
            args.push(packed(&change.compiled.plan));
            args.push(packed(&change.compiled.message));
            args.push(change.compiled.list.as_str().into());
            args.push(if change.is_paused { "paused" } else { "active" }.into());
            args.push(change.fields.join(",").into());
            args.push(change.until.map_or(0, Timestamp::ms).into());
            args.push(change.from.map_or(0, Timestamp::ms).into());
        }
        let put = &self.scripts().put;
        let answer = match call.is_dry_run {
            // Where a pause has ended that nobody noticed, a dry run notices it.
            true => match self.look(put, &keys, args.clone()).await {
                Err(Error::Internal(why)) if why.message.contains("not allowed from read-only") => {
                    self.eval(put, &keys, args).await?
                }
                answer => answer?,
            },
            false => self.eval(put, &keys, args).await?,
        };
        let mut reply = Reply::list(answer)?;
        match reply.text()?.as_str() {
            "other" => Ok(PutAnswer::OtherRequest),
            "again" => {
                let pairs = reply.pairs()?.into_iter();
                Ok(PutAnswer::Again(pairs.map(|(id, why)| (id, String::from_utf8_lossy(&why).into_owned())).collect()))
            }
            "done" => {
                reply.next()?;
                read_done(Reply::list(reply.next()?)?)
            }
            other => Err(Error::internal(format!("put answered {other}"))),
        }
    }

    /// What a put was answered, if it came before.
    pub async fn put_before(&self, shard: u16, request: &str, content: &str) -> Result<Option<PutAnswer>> {
        read_kept(self.kept(shard, request, content).await?)
    }

    /// The same of several requests, each with its content.
    pub async fn puts_before(&self, shard: u16, asked: &[(String, &str)]) -> Result<Vec<Option<PutAnswer>>> {
        self.kept_each(shard, asked).await?.into_iter().map(read_kept).collect()
    }

    /// Gives an entry a plan that reaches further.
    pub async fn replan(&self, shard: u16, replan: &Replan<'_>) -> Result<ReplanAnswer> {
        let keys = self.keys(shard).all(REPLAN_KEYS);
        let passed = replan.passed.map(pack_passed).unwrap_or_default();
        let args: Vec<Value> = vec![
            replan.id.as_str().into(),
            replan.birth.to_string().into(),
            replan.revision.to_string().into(),
            replan.place.word().into(),
            replan.cursor.ms().into(),
            packed(replan.seen_plan),
            packed(&replan.compiled.plan),
            packed(&replan.compiled.message),
            replan.compiled.list.as_str().into(),
            replan.passed.map_or(0, |passed| passed.cursor.ms()).into(),
            packed(&passed),
            keys::nudges(self.namespace()).into(),
            self.zone_data().into(),
            replan.anew.map_or(0, Timestamp::ms).into(),
        ];
        match text(self.eval(&self.scripts().replan, &keys, args).await?)?.as_str() {
            "written" => Ok(ReplanAnswer::Written),
            "changed" => Ok(ReplanAnswer::Changed),
            "forgotten" => Ok(ReplanAnswer::Forgotten),
            other => Err(Error::internal(format!("replan answered {other}"))),
        }
    }

    /// Replaces the oldest stretches of a ledger; `false` where they had changed.
    pub async fn compact_ledger(&self, shard: u16, id: &str, old: &[u8], new: &[u8]) -> Result<bool> {
        let keys = [self.key(shard, Key::Ledger)];
        let reply = self.eval(&self.scripts().compact_ledger, &keys, vec![id.into(), packed(old), packed(new)]).await?;
        Ok(text(reply)? == "written")
    }
}

/// As `lua/parts/change.lua` reads it: first, last, count, sum in halves of 26 bits.
fn pack_passed(passed: Passed) -> Vec<u8> {
    let numbers = [
        passed.first.ms().cast_unsigned(),
        passed.last.ms().cast_unsigned(),
        passed.count,
        passed.sum >> 26,
        passed.sum & ((1 << 26) - 1),
    ];
    numbers.iter().flat_map(|number| number.to_be_bytes()[2..].to_vec()).collect()
}

fn read_kept(kept: Kept) -> Result<Option<PutAnswer>> {
    match kept {
        Kept::Nothing => Ok(None),
        Kept::Other => Ok(Some(PutAnswer::OtherRequest)),
        Kept::Answer(results) => {
            read_done(Reply::of_json(results.as_array().map(Vec::as_slice).unwrap_or_default())).map(Some)
        }
    }
}

fn read_done(results: Reply) -> Result<PutAnswer> {
    let mut done = Vec::new();
    for value in results.rest() {
        let mut reply = Reply::list(value)?;
        let id = reply.text()?;
        match id.as_str() {
            added::MANY => done.extend(added::read_many(reply)?),
            added::APART => done.extend(added::read_apart(reply)?),
            _ => done.push(read_changed(id, reply)?),
        }
    }
    Ok(PutAnswer::Done(done))
}

fn read_changed(id: String, mut reply: Reply) -> Result<Changed> {
    let word = match reply.text()?.as_str() {
        "added" => ChangeWord::Added,
        "changed" => ChangeWord::Changed,
        "removed" => ChangeWord::Removed,
        "conflict" => ChangeWord::Conflict,
        "exists" => ChangeWord::Exists,
        "gone" => ChangeWord::Gone,
        other => return Err(Error::internal(format!("put answered {other} to a change"))),
    };
    let (next_before, next_after) = (reply.instant()?, reply.instant()?);
    let revision = reply.number()?.max(0).cast_unsigned();
    let fields = reply.text()?.split(',').filter(|field| !field.is_empty()).map(str::to_owned).collect();
    Ok(Changed { id, word, next_before, next_after, revision, fields })
}
