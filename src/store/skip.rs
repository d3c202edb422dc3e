//! skip: fire times to come that shall end `skipped`, `skip_asked`.

use fred::types::Value;

use crate::domain::id::EntryId;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::ask::Asked;
use crate::store::kept::Kept;
use crate::store::keys::Key;
use crate::store::reply::Reply;
use crate::store::scripts::digest;

/// Fire times that an entry may have to skip, at most.
pub const SKIPS_MAX: usize = 100;
/// Longest words about one of them, bytes.
const WORDS_MAX_BYTES: usize = 256;

/// A fire time that somebody asked to skip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// The fire time.
    pub fire_at: Timestamp,
    /// Who and why, for people.
    pub words: String,
}

/// Fire times to skip, or not to skip after all.
#[derive(Debug, Clone)]
pub struct SkipCall<'a> {
    /// Who asks for what.
    pub asked: Asked<'a>,
    /// The entry.
    pub id: &'a EntryId,
    /// Birth that it was decided on.
    pub birth: u64,
    /// Revision that it was decided on.
    pub revision: u64,
    /// Takes it back.
    pub is_undo: bool,
    /// Who and why, for people.
    pub words: &'a str,
    /// The next fire time before, for the answer.
    pub next_before: Option<Timestamp>,
    /// The next fire time afterwards, for the answer.
    pub next_after: Option<Timestamp>,
    /// The fire times, at least one.
    pub times: &'a [Timestamp],
}

/// What a skip answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipAnswer {
    /// The request id came before with other content.
    OtherRequest,
    /// The entry does not exist any more.
    Gone,
    /// The entry was changed since.
    Changed,
    /// That fire time has come meanwhile.
    Passed(Timestamp),
    /// [`SKIPS_MAX`] are asked for already.
    Full,
    /// Carried out.
    Done {
        /// Whether anything differs from before.
        is_changed: bool,
        /// The first of the fire times.
        fire_at: Timestamp,
        /// As the call said.
        next_before: Option<Timestamp>,
        /// As the call said.
        next_after: Option<Timestamp>,
        /// The entry's revision.
        revision: u64,
    },
}

const KEYS: &[Key] = &[Key::Clock, Key::Entries, Key::Skips, Key::Requests, Key::Requested, Key::Events];

/// Reads what `lua/parts/skips.lua` packs; what is damaged ends the list.
pub(super) fn read(packed: &[u8]) -> Vec<Skip> {
    let mut skips = Vec::new();
    let mut rest = packed;
    while let Some((head, tail)) = rest.split_at_checked(8) {
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let length = usize::try_from(number(&head[6..])).unwrap_or(usize::MAX);
        let Some((words, tail)) = tail.split_at_checked(length) else { break };
        let fire_at = Timestamp(number(&head[..6]).cast_signed());
        skips.push(Skip { fire_at, words: String::from_utf8_lossy(words).into_owned() });
        rest = tail;
    }
    skips
}

impl Store {
    /// Notes fire times to skip, or takes that back.
    pub async fn skip(&self, shard: u16, call: &SkipCall<'_>) -> Result<SkipAnswer> {
        let keys = self.keys(shard).all(KEYS);
        let ends = call.words.char_indices().map(|(at, c)| at + c.len_utf8());
        let words = &call.words[..ends.take_while(|end| *end <= WORDS_MAX_BYTES).last().unwrap_or(0)];
        let mut args: Vec<Value> = vec![
            call.asked.request.into(),
            digest(&[call.asked.content.as_bytes()]).into(),
            call.id.as_str().into(),
            call.birth.to_string().into(),
            call.revision.to_string().into(),
            if call.is_undo { "undo" } else { "skip" }.into(),
            words.into(),
            call.next_before.map_or(-1, Timestamp::ms).into(),
            call.next_after.map_or(-1, Timestamp::ms).into(),
            (SKIPS_MAX as i64).into(),
            (call.times.len() as i64).into(),
        ];
        args.extend(call.times.iter().map(|time| Value::from(time.ms())));
        let mut reply = Reply::list(self.eval(&self.scripts().skip, &keys, args).await?)?;
        match reply.text()?.as_str() {
            "other" => Ok(SkipAnswer::OtherRequest),
            "gone" => Ok(SkipAnswer::Gone),
            "changed" => Ok(SkipAnswer::Changed),
            "passed" => Ok(SkipAnswer::Passed(Timestamp(reply.number()?))),
            "full" => Ok(SkipAnswer::Full),
            word => read_done(word, reply),
        }
    }

    /// What a skip was answered, if it came before.
    pub async fn skipped(&self, shard: u16, asked: Asked<'_>) -> Result<Option<SkipAnswer>> {
        match self.kept(shard, asked.request, asked.content).await? {
            Kept::Nothing => Ok(None),
            Kept::Other => Ok(Some(SkipAnswer::OtherRequest)),
            Kept::Answer(answer) => {
                let values = answer.as_array().map(Vec::as_slice).unwrap_or_default();
                let word = values.first().and_then(serde_json::Value::as_str).unwrap_or_default();
                read_done(word, Reply::of_json(values.get(1..).unwrap_or_default())).map(Some)
            }
        }
    }
}

fn read_done(word: &str, mut reply: Reply) -> Result<SkipAnswer> {
    let is_changed = match word {
        "done" => true,
        "unchanged" => false,
        other => return Err(Error::internal(format!("skip answered {other}"))),
    };
    Ok(SkipAnswer::Done {
        is_changed,
        fire_at: Timestamp(reply.number()?),
        next_before: reply.instant()?,
        next_after: reply.instant()?,
        revision: reply.number()?.max(0).cast_unsigned(),
    })
}
