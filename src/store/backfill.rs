//! backfill: past fire times run after all, at their pace, beside the regular ones.

use fred::types::Value;

use crate::domain::id::EntryId;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::ask::{Asked, By};
use crate::store::kept::Kept;
use crate::store::keys::{self, Key};
use crate::store::reply::Reply;
use crate::store::scripts::digest;

/// Fire times in one request, at most.
pub const BACKFILL_MAX: usize = 500;
/// What may wait for one entry, bytes: about three requests.
const WAITING_MAX_BYTES: i64 = 64 * 1024;
const RUN_ID_BYTES: usize = 36;

/// A past fire time that waits to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backfill {
    /// The fire time.
    pub fire_at: Timestamp,
    /// The id of its run.
    pub run_id: String,
}

/// Past fire times to run.
#[derive(Debug, Clone)]
pub struct BackfillCall<'a> {
    /// Who asks for what.
    pub asked: Asked<'a>,
    /// The entry.
    pub id: &'a EntryId,
    /// Birth that it was decided on.
    pub birth: u64,
    /// Text that the ledger begins with.
    pub old: &'a [u8],
    /// What stands there instead.
    pub new: &'a [u8],
    /// The fire times, oldest first; at most [`BACKFILL_MAX`], none to keep the answer alone.
    pub times: &'a [Backfill],
    /// Who and why, JSON; stands behind each live record.
    pub extras: &'a str,
    /// The answer to keep, JSON.
    pub answer: &'a str,
}

/// What a backfill answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackfillAnswer {
    /// The request id came before with other content.
    OtherRequest,
    /// The entry does not exist any more.
    Gone,
    /// The entry was added anew, or its ledger changed: decide anew.
    Changed,
    /// Too many wait already.
    Full,
    /// Carried out; the answer as the call gave it.
    Done(String),
}

const KEYS: &[Key] = &[
    Key::Clock,
    Key::Entries,
    Key::Ledger,
    Key::Backfills,
    Key::Backfilling,
    Key::Requests,
    Key::Requested,
    Key::Events,
];

/// Reads what waits, as `lua/parts/backfills.lua` keeps it; what is damaged ends the list.
pub(super) fn read(packed: &[u8]) -> Vec<Backfill> {
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let mut all = Vec::new();
    let mut rest = packed;
    while let Some((head, tail)) = rest.split_at_checked(4) {
        let (extras, count) = (number(&head[..2]) as usize, number(&head[2..]) as usize);
        let Some((_, tail)) = tail.split_at_checked(extras) else { break };
        let Some((items, tail)) = tail.split_at_checked(count * (6 + RUN_ID_BYTES)) else { break };
        all.extend(items.chunks_exact(6 + RUN_ID_BYTES).map(|item| Backfill {
            fire_at: Timestamp(number(&item[..6]).cast_signed()),
            run_id: String::from_utf8_lossy(&item[6..]).into_owned(),
        }));
        rest = tail;
    }
    all
}

fn pack(call: &BackfillCall<'_>) -> Vec<u8> {
    if call.times.is_empty() {
        return Vec::new();
    }
    let mut packed = Vec::new();
    packed.extend(u16::try_from(call.extras.len()).unwrap_or(u16::MAX).to_be_bytes());
    packed.extend(u16::try_from(call.times.len()).unwrap_or(u16::MAX).to_be_bytes());
    packed.extend(call.extras.as_bytes());
    for one in call.times {
        packed.extend(&one.fire_at.0.to_be_bytes()[2..]);
        packed.extend(one.run_id.as_bytes());
    }
    packed
}

impl Store {
    /// Lets past fire times run after all.
    pub async fn backfill(&self, shard: u16, call: &BackfillCall<'_>) -> Result<BackfillAnswer> {
        let keys = self.keys(shard).all(KEYS);
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec().into());
        let by = By::of_json(call.extras);
        let args: Vec<Value> = vec![
            call.asked.request.into(),
            digest(&[call.asked.content.as_bytes()]).into(),
            keys::nudges(self.namespace()).into(),
            call.id.as_str().into(),
            call.birth.to_string().into(),
            bytes(call.old),
            bytes(call.new),
            bytes(&pack(call)),
            WAITING_MAX_BYTES.into(),
            call.answer.into(),
            (call.times.len() as i64).into(),
            call.times.first().map_or(0, |one| one.fire_at.ms()).into(),
            call.times.last().map_or(0, |one| one.fire_at.ms()).into(),
            by.actor.into(),
            by.reason.into(),
        ];
        let mut reply = Reply::list(self.eval(&self.scripts().backfill, &keys, args).await?)?;
        match reply.text()?.as_str() {
            "other" => Ok(BackfillAnswer::OtherRequest),
            "gone" => Ok(BackfillAnswer::Gone),
            "changed" => Ok(BackfillAnswer::Changed),
            "full" => Ok(BackfillAnswer::Full),
            "done" => Ok(BackfillAnswer::Done(reply.text()?)),
            other => Err(Error::internal(format!("backfill answered {other}"))),
        }
    }

    /// What a backfill was answered, if it came before.
    pub async fn backfilled(&self, shard: u16, asked: Asked<'_>) -> Result<Option<BackfillAnswer>> {
        Ok(match self.kept(shard, asked.request, asked.content).await? {
            Kept::Nothing => None,
            Kept::Other => Some(BackfillAnswer::OtherRequest),
            Kept::Answer(answer) => Some(BackfillAnswer::Done(answer[1].as_str().unwrap_or_default().to_owned())),
        })
    }
}
