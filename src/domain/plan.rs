//! Plans: what the claim script needs of an entry, compiled and packed here, read by `lua/parts/plan.lua`.
//!
//! A plan knows the next fire times, either by arithmetic (phase and period) or as a list. It says nothing about now: scripts
//! choose the next fire time from it.

pub mod packed;

use sha2::{Digest, Sha256};

use crate::domain::action::{Action, Direct, DirectForm};
use crate::domain::celery::Celery;
use crate::domain::entry::Entry;
use crate::domain::id::{EntryId, Namespace};
use crate::domain::policy::{CatchUp, Delivery, Overlap};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

pub use packed::PLAN_VERSION;
use packed::{Extras, Packed, Times, push_ms};

/// Fire times in the plan of an entry that fires rarely.
pub const LIST_TIMES: usize = 8;
/// Fire times in a list, at most; a script reads no more in one call.
pub const LIST_TIMES_MAX: usize = 500;
/// A list reaches at least this far, unless it is full.
const LIST_REACH_MS: i64 = 120_000;

const FLAG_DIRECT: u8 = 1;
const FLAG_MARKS: u8 = 2;
/// The claim must not take the short way.
const FLAG_SPECIAL: u8 = 4;
/// No attempt is repeated.
const FLAG_ONCE: u8 = 8;

/// An entry as it is registered: what its plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Registered<'a> {
    /// Its namespace.
    pub namespace: &'a Namespace,
    /// Its id.
    pub id: &'a EntryId,
    /// Counter of the shard that tells `rm` and `add` of one id apart.
    pub birth: u64,
    /// Revision of the definition.
    pub revision: u64,
    /// The definition.
    pub entry: &'a Entry,
}

/// What is written beside the definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The packed plan.
    pub plan: Vec<u8>,
    /// The packed message of a direct action, else empty.
    pub message: Vec<u8>,
    /// The list that its runs wait in, `QUEUE:KIND`; empty for direct actions.
    pub list: String,
}

/// The text behind the first 15 characters of the ids of an entry's scheduled runs, which say the fire time and the version.
///
/// 74 bits from the front of SHA-256 over namespace, entry id and birth, each followed by a 0 byte, in the places of a UUIDv8.
pub fn run_id_suffix(namespace: &Namespace, id: &EntryId, birth: u64) -> String {
    let mut hash = Sha256::new();
    for part in [namespace.as_str(), id.as_str(), &birth.to_string()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    let mut front = [0_u8; 16];
    front[..10].copy_from_slice(&digest[..10]);
    let bits = u128::from_be_bytes(front);
    let first = (bits >> 116) as u16;
    let rest = (bits >> 54) as u64 & ((1 << 62) - 1);
    let tail = (1_u64 << 63) | rest;
    format!("{first:03x}-{:04x}-{:012x}", tail >> 48, tail & 0xffff_ffff_ffff)
}

/// How long after its fire times the runs of an entry with this `spread` are due, ms.
///
/// The first 8 bytes of SHA-256 over namespace and id, each followed by a 0 byte, modulo `spread`.
pub fn spread_delay_ms(namespace: &Namespace, id: &EntryId, spread: Span) -> i64 {
    if spread.0 == 0 {
        return 0;
    }
    let mut hash = Sha256::new();
    for part in [namespace.as_str(), id.as_str()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let front = hash.finalize().iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    i64::try_from(front % spread.0).unwrap_or(0)
}

impl Registered<'_> {
    /// How long after each fire time it is due, ms: constant per entry, the same on every node, less than its `spread`.
    pub fn delay_ms(&self) -> i64 {
        self.entry.spread.map_or(0, |spread| spread_delay_ms(self.namespace, self.id, spread))
    }

    /// Compiles the entry with its fire times from `from` on, `from` included; at most `times` where they are listed.
    pub fn compile(&self, from: Timestamp, times: usize) -> Compiled {
        let entry = self.entry;
        let schedule = &entry.schedule;
        let message = match &entry.action {
            Action::Direct(direct) => pack_message(self.namespace, direct, entry.payload.as_ref()),
            Action::Celery(celery) if entry.action.is_direct() => pack_celery(self.namespace, self.id, celery),
            _ => Vec::new(),
        };
        let list = match entry.action.kind() {
            Some(kind) => format!("{}:{}", entry.queue, kind.word()),
            None => String::new(),
        };
        let first = schedule.start.map_or(from, |start| start.max(from));
        let fixed = schedule.fixed_period(first).and_then(|fixed| {
            let phase = match schedule.start {
                Some(start) => schedule.next_after(Timestamp(start.0 - 1))?,
                None => fixed.phase,
            };
            Some((phase.0.max(0), fixed.period.ms()))
        });
        let (times, is_final) = match fixed {
            Some((phase, period)) => (Times::Arithmetic { phase, period }, false),
            None => {
                let (listed, is_final) = list_times(schedule.times_after(Timestamp(from.0 - 1)), times);
                (Times::Listed(listed.iter().map(|time| time.0).collect()), is_final)
            }
        };
        let (catch_up, max_runs, per_minute) = match entry.catch_up {
            CatchUp::None => (0, CatchUp::MAX_RUNS, CatchUp::PER_MINUTE),
            CatchUp::Latest => (1, CatchUp::MAX_RUNS, CatchUp::PER_MINUTE),
            CatchUp::All { max_runs, per_minute } => (2, max_runs, per_minute),
        };
        let mut flags = 0;
        if message.is_empty() {
            flags |= if entry.overlap == Overlap::Allow && entry.max_running.is_none() { 0 } else { FLAG_MARKS };
        } else {
            flags |= FLAG_DIRECT;
        }
        let is_special = !matches!(entry.overlap, Overlap::Allow | Overlap::Skip)
            || entry.max_running.is_some()
            || entry.max_fires.is_some()
            || entry.spread.is_some();
        flags |= if is_special { FLAG_SPECIAL } else { 0 };
        flags |= if entry.delivery == Delivery::AtMostOnce { FLAG_ONCE } else { 0 };
        let plan = Packed {
            catch_up,
            overlap: overlap_number(entry.overlap),
            flags,
            list: &list,
            suffix: &run_id_suffix(self.namespace, self.id, self.birth),
            birth: u32::try_from(self.birth).unwrap_or(u32::MAX),
            revision: u32::try_from(self.revision).unwrap_or(u32::MAX),
            extras: Extras {
                max_runs,
                per_minute,
                stop: schedule.end.map_or(0, |end| end.0.max(1)),
                delay: self.delay_ms(),
                max_fires: entry.max_fires.unwrap_or(0),
                max_running: entry.max_running.unwrap_or(0),
                start_within: entry.start_within.map_or(0, |span| span.ms()),
                keep: entry.keep_runs,
            },
            times,
            is_final,
        }
        .pack();
        Compiled { plan, message, list }
    }
}

/// The number that stands for an overlap rule in plans.
pub fn overlap_number(overlap: Overlap) -> u8 {
    match overlap {
        Overlap::Allow => 0,
        Overlap::Skip => 1,
        Overlap::BufferOne => 2,
        Overlap::BufferAll => 3,
        Overlap::CancelOther => 4,
    }
}

/// The last fire time that a packed plan lists, and whether there is none behind it; `None` for arithmetic or damaged plans.
pub fn end_of_list(plan: &[u8]) -> Option<(Timestamp, bool)> {
    let plan = Packed::read(plan)?;
    match plan.times {
        Times::Listed(listed) => Some((Timestamp(*listed.last()?), plan.is_final)),
        Times::Arithmetic { .. } => None,
    }
}

/// What a packed plan says of a new entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// The first fire time after now; `None` where there is none.
    pub first: Option<Timestamp>,
    /// How long after it the entry is due, ms.
    pub delay_ms: i64,
    /// Whether its fire times are counted.
    pub is_counted: bool,
}

/// How an entry with this plan begins after `now`; `None` where the plan does not know.
pub fn beginning(plan: &[u8], now: Timestamp) -> Option<Beginning> {
    let plan = Packed::read(plan)?;
    let stop = plan.extras.stop;
    let first = match plan.times {
        Times::Arithmetic { phase, period } if now.0 >= phase => {
            Some(phase + ((now.0 - phase) / period.max(1) + 1) * period).filter(|first| stop == 0 || *first < stop)
        }
        Times::Arithmetic { phase, .. } => Some(phase).filter(|first| stop == 0 || *first < stop),
        Times::Listed(listed) => {
            let first = listed.into_iter().find(|time| *time > now.0);
            if first.is_none() && !plan.is_final {
                return None;
            }
            first
        }
    };
    Some(Beginning { first: first.map(Timestamp), delay_ms: plan.extras.delay, is_counted: plan.extras.max_fires > 0 })
}

/// A cursor as `lua/parts/cursor.lua` reads it: all before `cursor` is settled, nothing is owed.
pub fn pack_cursor(cursor: Timestamp) -> Vec<u8> {
    let mut packed = Vec::with_capacity(12);
    push_ms(&mut packed, cursor.0);
    push_ms(&mut packed, 0);
    packed
}

/// Whether two packed plans say the same fire times from `from` on, as far as both reach; damaged ones say nothing alike.
pub fn fires_alike(one: &[u8], other: &[u8], from: Timestamp) -> bool {
    let (Some(one), Some(other)) = (Packed::read(one), Packed::read(other)) else { return false };
    if one.extras.stop != other.extras.stop {
        return false;
    }
    match (&one.times, &other.times) {
        (Times::Listed(here), Times::Listed(there)) => {
            let left = |listed: &[i64]| listed.iter().copied().filter(|time| *time >= from.0).collect::<Vec<i64>>();
            let (here, there) = (left(here), left(there));
            let reaches_both = here.len().min(there.len());
            here[..reaches_both] == there[..reaches_both]
                && (!one.is_final || there.len() <= here.len())
                && (!other.is_final || here.len() <= there.len())
        }
        (one, other) => one == other,
    }
}

fn list_times(times: impl Iterator<Item = Timestamp>, wanted: usize) -> (Vec<Timestamp>, bool) {
    let mut listed: Vec<Timestamp> = Vec::new();
    for time in times {
        let reaches = listed.first().is_some_and(|first| time.0 - first.0 > LIST_REACH_MS);
        let is_full = listed.len() >= LIST_TIMES_MAX || (listed.len() >= wanted && reaches);
        if is_full {
            return (listed, false);
        }
        listed.push(time);
    }
    (listed, true)
}

/// Packs the message of a direct action for `lua/parts/deliver.lua`: all but run id, fire time and trigger is rendered, and for
/// lists and channels entry id and namespace, which stand in the message once less (64 B an entry).
pub fn pack_message(namespace: &Namespace, direct: &Direct, payload: Option<&serde_json::Value>) -> Vec<u8> {
    let text = match payload {
        None => None,
        Some(serde_json::Value::String(text)) => Some(text.clone()),
        Some(value) => Some(value.to_string()),
    };
    // The version, the namespace that a script writes beside the entry's id, and what is the entry's own.
    let (version, names, tail) = match (direct.raw, direct.form) {
        (true, _) => (1, "", text.unwrap_or_default()),
        (false, DirectForm::Stream) => (1, namespace.as_str(), text.unwrap_or_else(|| "null".to_owned())),
        (false, _) => (2, namespace.as_str(), payload.map_or_else(|| "null".to_owned(), ToString::to_string)),
    };
    let form = match direct.form {
        DirectForm::Stream => 1,
        DirectForm::List => 2,
        DirectForm::Publish => 3,
    };
    let flags = u8::from(direct.raw) | if direct.trim { 2 } else { 0 };
    pack(version, form, flags, direct.max_len, &direct.target, names, tail.as_bytes())
}

/// The same of a task for Celery workers, for `lua/parts/celery.lua`: all but ids, instants and trigger is rendered.
pub fn pack_celery(namespace: &Namespace, id: &EntryId, celery: &Celery) -> Vec<u8> {
    pack(1, 4, 0, celery.max_len, &celery.list(), "", &celery.template(namespace, id))
}

fn pack(version: u8, form: u8, flags: u8, max_len: u64, target: &str, names: &str, tail: &[u8]) -> Vec<u8> {
    let mut message = vec![version, form, flags];
    message.extend(u32::try_from(max_len).unwrap_or(u32::MAX).to_be_bytes());
    message.extend(u16::try_from(target.len()).unwrap_or(u16::MAX).to_be_bytes());
    message.push(u8::try_from(names.len()).unwrap_or(u8::MAX));
    message.extend(target.as_bytes());
    message.extend(names.as_bytes());
    message.extend(tail);
    message
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::span::Span;

    fn entry() -> Entry {
        let fields = serde_json::json!({ "every": "10s", "list": "out" });
        Entry::parse(fields.as_object().unwrap().clone()).unwrap()
    }

    fn with<T>(entry: &Entry, id: &str, ask: fn(&Registered<'_>) -> T) -> T {
        let namespace = Namespace::parse("n", "prod").unwrap();
        let id = EntryId::parse("id", id).unwrap();
        ask(&Registered { namespace: &namespace, id: &id, birth: 1, revision: 1, entry })
    }

    #[test]
    fn the_delay_is_the_front_of_sha_256_of_namespace_and_id_modulo_spread() {
        let mut entry = entry();
        assert_eq!(with(&entry, "a", |registered| registered.delay_ms()), 0);
        entry.spread = Some(Span(30_000));
        // printf 'prod\0a\0' | sha256sum | head -c 16
        let front = 0x2dcb34bcd12ef7e7_u64;
        assert_eq!(with(&entry, "a", |registered| registered.delay_ms()), (front % 30_000) as i64);
        let delays: std::collections::HashSet<i64> =
            (0..1_000).map(|number| with(&entry, &format!("e-{number}"), |registered| registered.delay_ms())).collect();
        assert!(delays.iter().all(|delay| (0..30_000).contains(delay)) && delays.len() > 900);
    }
}
