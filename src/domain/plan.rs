//! Plans: what the claim script needs of an entry, compiled and packed here, read by `lua/parts/plan.lua`.
//!
//! A plan knows the next fire times, either by arithmetic (phase and period) or as a list. It says nothing about now: scripts
//! choose the next fire time from it.

use sha2::{Digest, Sha256};

use crate::domain::action::{Action, Direct, DirectForm};
use crate::domain::celery::Celery;
use crate::domain::entry::Entry;
use crate::domain::id::{EntryId, Namespace};
use crate::domain::policy::{CatchUp, Delivery, Overlap};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

/// The least version of a program that can read the plans made here.
pub const PLAN_VERSION: u8 = 3;
/// Fire times in the plan of an entry that fires rarely.
pub const LIST_TIMES: usize = 8;
/// Fire times in a list, at most; a script reads no more in one call.
pub const LIST_TIMES_MAX: usize = 500;
/// A list reaches at least this far, unless it is full.
const LIST_REACH_MS: i64 = 120_000;

const ARITHMETIC: u8 = 1;
const LIST: u8 = 2;
const FINAL: u8 = 128;
const FLAG_DIRECT: u8 = 1;
const FLAG_MARKS: u8 = 2;
/// The claim must not take the short way.
const FLAG_SPECIAL: u8 = 4;
/// No attempt is repeated.
const FLAG_ONCE: u8 = 8;
const HEAD_LEN: usize = 83;
const LIST_LEN_AT: usize = 82;
/// Phase, behind the stop and before the period, 6 bytes each.
const PHASE_AT: usize = 18;
const DELAY_AT: usize = 30;
const MAX_FIRES_AT: usize = 36;

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

/// The text behind the first 13 characters of the ids of an entry's scheduled runs.
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
    format!("-8{first:03x}-{:04x}-{:012x}", tail >> 48, tail & 0xffff_ffff_ffff)
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
            Action::Direct(direct) => pack_message(self.namespace, self.id, direct, entry.payload.as_ref()),
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
        let mut listed = Vec::new();
        let mut is_final = false;
        let (form, phase, period) = match fixed {
            Some((phase, period)) => (ARITHMETIC, phase, period),
            None => {
                (listed, is_final) = list_times(schedule.times_after(Timestamp(from.0 - 1)), times);
                (LIST, i64::try_from(listed.len()).unwrap_or(0), 0)
            }
        };
        let (catch_up, max_runs, per_minute) = match entry.catch_up {
            CatchUp::None => (0, CatchUp::MAX_RUNS, CatchUp::PER_MINUTE),
            CatchUp::Latest => (1, CatchUp::MAX_RUNS, CatchUp::PER_MINUTE),
            CatchUp::All { max_runs, per_minute } => (2, max_runs, per_minute),
        };
        let overlap = overlap_number(entry.overlap);
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
        let mut plan = Vec::with_capacity(HEAD_LEN + list.len() + listed.len() * 6);
        plan.extend([PLAN_VERSION, form | if is_final { FINAL } else { 0 }, overlap, catch_up]);
        plan.extend(max_runs.to_be_bytes());
        plan.extend(per_minute.to_be_bytes());
        plan.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
        push_ms(&mut plan, schedule.end.map_or(0, |end| end.0.max(1)));
        push_ms(&mut plan, phase);
        push_ms(&mut plan, period);
        push_ms(&mut plan, self.delay_ms());
        plan.extend(entry.max_fires.unwrap_or(0).to_be_bytes());
        plan.extend(entry.max_running.unwrap_or(0).to_be_bytes());
        plan.extend(run_id_suffix(self.namespace, self.id, self.birth).as_bytes());
        plan.extend(u32::try_from(self.birth).unwrap_or(u32::MAX).to_be_bytes());
        plan.extend(u32::try_from(self.revision).unwrap_or(u32::MAX).to_be_bytes());
        push_ms(&mut plan, entry.start_within.map_or(0, |span| span.ms()));
        plan.extend(entry.keep_runs.to_be_bytes());
        plan.push(flags);
        plan.push(u8::try_from(list.len()).unwrap_or(u8::MAX));
        plan.extend(list.as_bytes());
        for time in listed {
            push_ms(&mut plan, time.0);
        }
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
    let form = *plan.get(1)?;
    let list_len = usize::from(*plan.get(LIST_LEN_AT)?);
    if form & !FINAL != LIST || plan.len() < HEAD_LEN + list_len + 6 {
        return None;
    }
    Some((Timestamp(big_endian(&plan[plan.len() - 6..])), form & FINAL != 0))
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
    let times = Times::read(plan, Timestamp(now.0 + 1))?;
    let first = match times.by_arithmetic {
        Some((phase, period)) if now.0 >= phase => Some(phase + ((now.0 - phase) / period.max(1) + 1) * period),
        Some((phase, _)) => Some(phase),
        None => times.listed.first().copied(),
    };
    let is_over = |first: &i64| times.by_arithmetic.is_some() && times.stop > 0 && *first >= times.stop;
    let first = first.filter(|first| !is_over(first)).map(Timestamp);
    let is_known = first.is_some() || times.is_final || times.by_arithmetic.is_some();
    let number = |at: std::ops::Range<usize>| Some(big_endian(plan.get(at)?));
    let (delay_ms, is_counted) = (number(DELAY_AT..MAX_FIRES_AT)?, number(MAX_FIRES_AT..MAX_FIRES_AT + 4)? > 0);
    is_known.then_some(Beginning { first, delay_ms, is_counted })
}

/// A cursor as `lua/parts/cursor.lua` reads it: all before `cursor` is settled, nothing is owed.
pub fn pack_cursor(cursor: Timestamp) -> Vec<u8> {
    let mut packed = Vec::with_capacity(12);
    push_ms(&mut packed, cursor.0);
    push_ms(&mut packed, 0);
    packed
}

fn big_endian(bytes: &[u8]) -> i64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte))
}

/// Whether two packed plans say the same fire times from `from` on, as far as both reach; damaged ones say nothing alike.
pub fn fires_alike(one: &[u8], other: &[u8], from: Timestamp) -> bool {
    let (Some(one), Some(other)) = (Times::read(one, from), Times::read(other, from)) else { return false };
    let reaches_both = one.listed.len().min(other.listed.len());
    let ends_alike = |one: &Times, other: &Times| !one.is_final || other.listed.len() <= one.listed.len();
    one.by_arithmetic == other.by_arithmetic
        && one.stop == other.stop
        && one.listed[..reaches_both] == other.listed[..reaches_both]
        && ends_alike(&one, &other)
        && ends_alike(&other, &one)
}

/// What a packed plan says of its fire times.
struct Times {
    stop: i64,
    /// Phase and period.
    by_arithmetic: Option<(i64, i64)>,
    listed: Vec<i64>,
    is_final: bool,
}

impl Times {
    fn read(plan: &[u8], from: Timestamp) -> Option<Self> {
        let form = *plan.get(1)?;
        let listed = plan.get(HEAD_LEN + usize::from(*plan.get(LIST_LEN_AT)?)..)?;
        let at = |place: usize| Some(big_endian(plan.get(place..place + 6)?));
        let is_arithmetic = form & !FINAL == ARITHMETIC;
        let (phase, period) = (at(PHASE_AT)?, at(PHASE_AT + 6)?);
        Some(Self {
            stop: at(PHASE_AT - 6)?,
            by_arithmetic: is_arithmetic.then_some((phase, period)),
            listed: listed.chunks_exact(6).map(big_endian).filter(|time| *time >= from.0).collect(),
            is_final: form & FINAL != 0,
        })
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

fn push_ms(plan: &mut Vec<u8>, ms: i64) {
    plan.extend(&ms.to_be_bytes()[2..]);
}

/// Packs the message of a direct action for `lua/parts/deliver.lua`: all but run id, fire time and trigger is rendered.
pub fn pack_message(
    namespace: &Namespace,
    id: &EntryId,
    direct: &Direct,
    payload: Option<&serde_json::Value>,
) -> Vec<u8> {
    let text = match payload {
        None => None,
        Some(serde_json::Value::String(text)) => Some(text.clone()),
        Some(value) => Some(value.to_string()),
    };
    // What a stream names apart, and what stands behind run id, fire time and trigger.
    let (names, tail) = match (direct.raw, direct.form) {
        (true, _) => ("", text.unwrap_or_default()),
        (false, DirectForm::Stream) => (namespace.as_str(), text.unwrap_or_else(|| "null".to_owned())),
        (false, _) => {
            let quoted = |text: &str| serde_json::Value::from(text).to_string();
            let value = payload.unwrap_or(&serde_json::Value::Null);
            let (id, namespace) = (quoted(id.as_str()), quoted(namespace.as_str()));
            ("", format!(r#","entry_id":{id},"namespace":{namespace},"payload":{value}}}"#))
        }
    };
    let form = match direct.form {
        DirectForm::Stream => 1,
        DirectForm::List => 2,
        DirectForm::Publish => 3,
    };
    let flags = u8::from(direct.raw) | if direct.trim { 2 } else { 0 };
    pack(form, flags, direct.max_len, &direct.target, names, tail.as_bytes())
}

/// The same of a task for Celery workers, for `lua/parts/celery.lua`: all but ids, instants and trigger is rendered.
pub fn pack_celery(namespace: &Namespace, id: &EntryId, celery: &Celery) -> Vec<u8> {
    pack(4, 0, celery.max_len, &celery.list(), "", &celery.template(namespace, id))
}

fn pack(form: u8, flags: u8, max_len: u64, target: &str, names: &str, tail: &[u8]) -> Vec<u8> {
    let mut message = vec![1, form, flags];
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

    #[test]
    fn the_delay_and_the_limit_of_fires_stand_behind_the_period() {
        let mut entry = entry();
        entry.spread = Some(Span(30_000));
        entry.max_fires = Some(7);
        let plan = with(&entry, "a", |registered| registered.compile(Timestamp(0), 8)).plan;
        let number = |at: std::ops::Range<usize>| plan[at].iter().fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
        assert_eq!(number(24..30), 10_000);
        assert_eq!(number(30..36), with(&entry, "a", |registered| registered.delay_ms()));
        assert_eq!(number(36..40), 7);
    }
}
