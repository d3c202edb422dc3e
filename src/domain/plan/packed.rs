//! Packed plans, as `lua/parts/plan.lua` reads them, byte by byte.
//!
//! They hold what is an entry's own, and what most entries have alike only where it is not: 41 bytes for an arithmetic plan and 44
//! for eight listed times that lie whole hours apart. With 4 bytes of Redis' own both fit the 48 that its allocator gives; the next
//! sizes are 64 and 80. Plans of versions 3 (95 and 143 bytes) and 4 (43 and 55) are read, too.

mod times;

use crate::domain::policy::{CatchUp, KEEP_RUNS};

pub use times::Times;

/// The least version of a program that can read the plans made here.
pub const PLAN_VERSION: u8 = 5;
const VERSION_3: u8 = 3;
/// As version 5, but for two characters more in front of the suffix, alike in all, and lists that are never in hours.
const VERSION_4: u8 = 4;
/// How many they are.
const ALIKE: usize = 2;

// In the byte of the form, beside the number of the catch-up rule.
const ARITHMETIC: u8 = 1;
const LIST: u8 = 2;
/// A list without times.
const EMPTY: u8 = 3;
/// In which unit the times are.
const UNIT: u8 = 4;
const CATCH_UP: u8 = 16;
const FINAL: u8 = 128;
// In the byte of the rules, beside the flags.
const OVERLAP: u8 = 16;
const WIDE: u8 = 128;

/// Lists that most entries use, by the byte that stands for them; 0 says that the name follows. `lua/parts/plan.lua` has the same.
const LISTS: [&str; 4] = ["", "default:exec", "default:shell", "default:http"];

const REST_AT: usize = 33;
/// No plan is shorter: programs of version 4 take such a one for damaged, not for newer.
const PLAN_MIN: usize = 41;

/// What most entries have alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extras {
    /// Late fire times that run, at most.
    pub max_runs: u16,
    /// Of them a minute.
    pub per_minute: u16,
    /// No fire time from then on, ms; 0 for no end.
    pub stop: i64,
    /// How long after its fire time it is due, ms.
    pub delay: i64,
    /// Fire times in all; 0 for no limit.
    pub max_fires: u32,
    /// Active runs; 0 for no limit.
    pub max_running: u16,
    /// How late a run may start, ms; 0 for no limit.
    pub start_within: i64,
    /// Records that are kept.
    pub keep: u16,
}

impl Default for Extras {
    fn default() -> Self {
        Self {
            max_runs: CatchUp::MAX_RUNS,
            per_minute: CatchUp::PER_MINUTE,
            stop: 0,
            delay: 0,
            max_fires: 0,
            max_running: 0,
            start_within: 0,
            keep: KEEP_RUNS,
        }
    }
}

/// All that a plan says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed<'a> {
    /// The number of the catch-up rule.
    pub catch_up: u8,
    /// The number of the overlap rule.
    pub overlap: u8,
    /// Bits below 16.
    pub flags: u8,
    /// Empty for direct actions.
    pub list: &'a str,
    /// 21 characters.
    pub suffix: &'a str,
    /// Of the entry.
    pub birth: u32,
    /// Of the entry.
    pub revision: u32,
    /// What most entries have alike.
    pub extras: Extras,
    /// When it fires.
    pub times: Times,
    /// Nothing comes behind the listed ones.
    pub is_final: bool,
}

impl<'a> Packed<'a> {
    /// The bytes of it.
    pub fn pack(&self) -> Vec<u8> {
        let is_wide = self.extras != Extras::default();
        let code = LISTS.iter().position(|name| *name == self.list);
        let unit = self.times.unit();
        let form = match &self.times {
            Times::Arithmetic { .. } => ARITHMETIC,
            Times::Listed(listed) if listed.is_empty() => EMPTY,
            Times::Listed(_) => LIST,
        };
        let mut plan = Vec::with_capacity(REST_AT + 64);
        plan.push(PLAN_VERSION);
        plan.push(form | (unit * UNIT) | (self.catch_up * CATCH_UP) | bit(self.is_final, FINAL));
        plan.push(self.flags | (self.overlap * OVERLAP) | bit(is_wide, WIDE));
        plan.push(code.map_or(0, |code| u8::try_from(code + 1).unwrap_or(0)));
        plan.extend(self.suffix.as_bytes());
        plan.extend(self.birth.to_be_bytes());
        plan.extend(self.revision.to_be_bytes());
        if is_wide {
            self.extras.pack(&mut plan);
        }
        if code.is_none() {
            plan.push(u8::try_from(self.list.len()).unwrap_or(u8::MAX));
            plan.extend(self.list.as_bytes());
        }
        self.times.pack(unit, &mut plan);
        // Distances of 0, which say nothing.
        plan.resize(plan.len().max(PLAN_MIN), 0);
        plan
    }

    /// Reads one; `None` where it is damaged or newer.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() < PLAN_MIN {
            return None;
        }
        let mut rest = Rest(bytes);
        match rest.number(1)? as u8 {
            version @ (PLAN_VERSION | VERSION_4) => Self::read_4(rest, version),
            VERSION_3 => Self::read_3(rest),
            _ => None,
        }
    }

    fn read_4(mut rest: Rest<'a>, version: u8) -> Option<Self> {
        let (form, rules, code) = (rest.number(1)? as u8, rest.number(1)? as u8, rest.number(1)? as usize);
        if version == VERSION_4 {
            rest.take(ALIKE)?;
        }
        let suffix = rest.text(21)?;
        let (birth, revision) = (rest.number(4)? as u32, rest.number(4)? as u32);
        let extras = if rules & WIDE == 0 { Extras::default() } else { Extras::read(&mut rest)? };
        let list = match code {
            0 => {
                let length = rest.number(1)?;
                rest.text(length as usize)?
            }
            code => LISTS.get(code - 1)?,
        };
        let unit = form / UNIT % 4;
        let times = match form % UNIT {
            _ if version == VERSION_4 && unit == times::HOURS => return None,
            ARITHMETIC => Times::read_period(unit, &mut rest)?,
            LIST => Times::read_list(unit, &mut rest)?,
            EMPTY => Times::read_nothing(unit, &mut rest)?,
            _ => return None,
        };
        Some(Self {
            catch_up: form / CATCH_UP % 4,
            overlap: rules / OVERLAP % 8,
            flags: rules % OVERLAP,
            list,
            suffix,
            birth,
            revision,
            extras,
            times: rest.is_empty().then_some(times)?,
            is_final: form & FINAL != 0,
        })
    }

    fn read_3(mut rest: Rest<'a>) -> Option<Self> {
        let (form, overlap, catch_up) = (rest.number(1)? as u8, rest.number(1)? as u8, rest.number(1)? as u8);
        let (max_runs, per_minute, _) = (rest.number(2)? as u16, rest.number(2)? as u16, rest.number(4)?);
        let (stop, phase, period, delay) = (rest.number(6)?, rest.number(6)?, rest.number(6)?, rest.number(6)?);
        let (max_fires, max_running) = (rest.number(4)? as u32, rest.number(2)? as u16);
        rest.take(ALIKE)?;
        let suffix = rest.text(21)?;
        let (birth, revision) = (rest.number(4)? as u32, rest.number(4)? as u32);
        let (start_within, keep, flags) = (rest.number(6)?, rest.number(2)? as u16, rest.number(1)? as u8);
        let length = rest.number(1)?;
        let list = rest.text(length as usize)?;
        let times = match form & !FINAL {
            ARITHMETIC => Times::Arithmetic { phase, period },
            _ => Times::Listed(rest.0.chunks_exact(6).map(big_endian).collect()),
        };
        let extras = Extras { max_runs, per_minute, stop, delay, max_fires, max_running, start_within, keep };
        let is_final = form & FINAL != 0;
        Some(Self { catch_up, overlap, flags, list, suffix, birth, revision, extras, times, is_final })
    }
}

impl Extras {
    fn pack(&self, plan: &mut Vec<u8>) {
        plan.extend(self.max_runs.to_be_bytes());
        plan.extend(self.per_minute.to_be_bytes());
        push_ms(plan, self.stop);
        push_ms(plan, self.delay);
        plan.extend(self.max_fires.to_be_bytes());
        plan.extend(self.max_running.to_be_bytes());
        push_ms(plan, self.start_within);
        plan.extend(self.keep.to_be_bytes());
    }

    fn read(rest: &mut Rest<'_>) -> Option<Self> {
        Some(Self {
            max_runs: rest.number(2)? as u16,
            per_minute: rest.number(2)? as u16,
            stop: rest.number(6)?,
            delay: rest.number(6)?,
            max_fires: rest.number(4)? as u32,
            max_running: rest.number(2)? as u16,
            start_within: rest.number(6)?,
            keep: rest.number(2)? as u16,
        })
    }
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(count)?;
        self.0 = left;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<i64> {
        self.take(bytes).map(big_endian)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn text(&mut self, bytes: usize) -> Option<&'a str> {
        std::str::from_utf8(self.take(bytes)?).ok()
    }
}

fn bit(is_set: bool, bit: u8) -> u8 {
    if is_set { bit } else { 0 }
}

fn big_endian(bytes: &[u8]) -> i64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte))
}

/// An instant in 6 bytes.
pub fn push_ms(packed: &mut Vec<u8>, ms: i64) {
    packed.extend(&ms.to_be_bytes()[2..]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
