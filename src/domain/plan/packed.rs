//! Packed plans, as `lua/parts/plan.lua` reads them, byte by byte.
//!
//! Version 4 holds what is an entry's own, and what most entries have alike only where it is not: 43 bytes for an arithmetic plan
//! and 55 for eight listed times in whole minutes, where version 3 had 95 and 143: 64 and 96 B less of Redis' memory each. Plans of
//! version 3 are read, too.

use crate::domain::policy::{CatchUp, KEEP_RUNS};

/// The least version of a program that can read the plans made here.
pub const PLAN_VERSION: u8 = 4;
const VERSION_3: u8 = 3;

// In the byte of the form, beside the number of the catch-up rule.
const ARITHMETIC: u8 = 1;
const LIST: u8 = 2;
/// A list without times.
const EMPTY: u8 = 3;
/// The period, or distances from the first of the listed times, in this unit; else a list holds the times themselves.
const UNIT: u8 = 4;
const CATCH_UP: u8 = 16;
const FINAL: u8 = 128;
// In the byte of the rules, beside the flags.
const OVERLAP: u8 = 16;
const WIDE: u8 = 128;

/// Lists that most entries use, by the byte that stands for them; 0 says that the name follows. `lua/parts/plan.lua` has the same.
const LISTS: [&str; 4] = ["", "default:exec", "default:shell", "default:http"];

const REST_AT: usize = 35;

/// Bytes of a number and ms that it counts, by the number in the form: minutes up to 45 days, seconds up to 194 days, or ms.
const UNITS: [(usize, i64); 3] = [(2, 60_000), (3, 1_000), (6, 1)];

/// When it fires, ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Times {
    /// Every `period` from `phase` on.
    Arithmetic {
        /// The first of them.
        phase: i64,
        /// From one to the next.
        period: i64,
    },
    /// The next ones, ascending.
    Listed(Vec<i64>),
}

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
    pub catch_up: u8,
    pub overlap: u8,
    /// Bits below 16.
    pub flags: u8,
    /// Empty for direct actions.
    pub list: &'a str,
    /// 23 characters.
    pub suffix: &'a str,
    pub birth: u32,
    pub revision: u32,
    pub extras: Extras,
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
        self.times.pack(UNITS[usize::from(unit)], &mut plan);
        plan
    }

    /// Reads one; `None` where it is damaged or newer.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        match rest.number(1)? as u8 {
            PLAN_VERSION => Self::read_4(rest),
            VERSION_3 => Self::read_3(rest),
            _ => None,
        }
    }

    fn read_4(mut rest: Rest<'a>) -> Option<Self> {
        let (form, rules, code) = (rest.number(1)? as u8, rest.number(1)? as u8, rest.number(1)? as usize);
        let suffix = rest.text(23)?;
        let (birth, revision) = (rest.number(4)? as u32, rest.number(4)? as u32);
        let extras = if rules & WIDE == 0 { Extras::default() } else { Extras::read(&mut rest)? };
        let list = match code {
            0 => {
                let length = rest.number(1)?;
                rest.text(length as usize)?
            }
            code => LISTS.get(code - 1)?,
        };
        let first = rest.number(6)?;
        let (step, unit) = *UNITS.get(usize::from(form / UNIT % 4))?;
        let times = match form % UNIT {
            ARITHMETIC => Times::Arithmetic { phase: first, period: rest.number(step)? * unit },
            EMPTY => Times::Listed(Vec::new()),
            LIST => {
                let mut listed = vec![first];
                while !rest.0.is_empty() {
                    let number = rest.number(step)?;
                    listed.push(if unit == 1 { number } else { first + number * unit });
                }
                Times::Listed(listed)
            }
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
            times: rest.0.is_empty().then_some(times)?,
            is_final: form & FINAL != 0,
        })
    }

    fn read_3(mut rest: Rest<'a>) -> Option<Self> {
        let (form, overlap, catch_up) = (rest.number(1)? as u8, rest.number(1)? as u8, rest.number(1)? as u8);
        let (max_runs, per_minute, _) = (rest.number(2)? as u16, rest.number(2)? as u16, rest.number(4)?);
        let (stop, phase, period, delay) = (rest.number(6)?, rest.number(6)?, rest.number(6)?, rest.number(6)?);
        let (max_fires, max_running) = (rest.number(4)? as u32, rest.number(2)? as u16);
        let suffix = rest.text(23)?;
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

impl Times {
    /// The place of the first unit that all its numbers fit.
    fn unit(&self) -> u8 {
        let fits = |(bytes, unit): &(usize, i64)| {
            let is_near = |ms: i64| ms % unit == 0 && (1..1 << (8 * bytes)).contains(&(ms / unit));
            match self {
                Self::Arithmetic { period, .. } => is_near(*period),
                Self::Listed(listed) => listed.iter().skip(1).all(|time| is_near(time - listed[0])),
            }
        };
        UNITS.iter().position(fits).and_then(|place| u8::try_from(place).ok()).unwrap_or(2)
    }

    fn pack(&self, (bytes, unit): (usize, i64), plan: &mut Vec<u8>) {
        let push = |plan: &mut Vec<u8>, ms: i64, since: i64| match unit {
            1 => push_ms(plan, ms),
            _ => plan.extend(&((ms - since) / unit).to_be_bytes()[8 - bytes..]),
        };
        match self {
            Self::Arithmetic { phase, period } => {
                push_ms(plan, *phase);
                push(plan, *period, 0);
            }
            Self::Listed(listed) => {
                let first = listed.first().copied().unwrap_or(0);
                push_ms(plan, first);
                listed.iter().skip(1).for_each(|time| push(plan, *time, first));
            }
        }
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
mod tests {
    use super::*;

    const SUFFIX: &str = "-8abc-8def-0123456789ab";

    fn plan(times: Times, extras: Extras, list: &'static str) -> Packed<'static> {
        let is_final = matches!(&times, Times::Listed(listed) if listed.len() < 2);
        Packed {
            catch_up: 2,
            overlap: 4,
            flags: 6,
            list,
            suffix: SUFFIX,
            birth: 7,
            revision: 9,
            extras,
            times,
            is_final,
        }
    }

    #[test]
    fn what_is_packed_is_read_again() {
        let odd = Extras {
            max_runs: 1,
            per_minute: 2,
            stop: 3,
            delay: 4,
            max_fires: 5,
            max_running: 6,
            start_within: 7,
            keep: 8,
        };
        let second = 1_795_300_001_000;
        let times = [
            Times::Arithmetic { phase: second, period: 60_000 },
            Times::Arithmetic { phase: second + 1, period: 1_500 },
            Times::Arithmetic { phase: second, period: 200 * 86_400_000 },
            Times::Listed(Vec::new()),
            Times::Listed(vec![second + 5]),
            Times::Listed(vec![second, second + 60_000, second + 0xffff * 60_000]),
            Times::Listed(vec![second, second + 60_000, second + 0x1_0000 * 60_000]),
            Times::Listed(vec![second, second + 1_000, second + 0xff_ffff * 1_000]),
            Times::Listed(vec![second, second + 1_000, second + 0x100_0000 * 1_000]),
            Times::Listed(vec![second, second + 1]),
        ];
        for times in times {
            for (extras, list) in [Extras::default(), odd].into_iter().flat_map(|it| LISTS.map(|list| (it, list))) {
                for list in [list, "reports:exec"] {
                    let plan = plan(times.clone(), extras, list);
                    let packed = plan.pack();
                    assert_eq!(Packed::read(&packed), Some(plan));
                    assert_eq!(Packed::read(&packed[..packed.len() - 1]).filter(|read| read.times == times), None);
                }
            }
        }
    }

    #[test]
    fn most_plans_are_short() {
        let second = 1_795_300_001_000;
        let arithmetic =
            plan(Times::Arithmetic { phase: second, period: 3_600_000 }, Extras::default(), "default:exec");
        assert_eq!(arithmetic.pack().len(), 43);
        let daily = (0..8).map(|day| second + day * 86_400_000).collect();
        assert_eq!(plan(Times::Listed(daily), Extras::default(), "default:exec").pack().len(), 55);
    }

    #[test]
    fn a_plan_of_version_3_is_read() {
        let mut old = vec![3, LIST | FINAL, 1, 2, 0, 100, 0, 60, 0, 0, 0, 0];
        for number in [11, 2, 0, 13] {
            push_ms(&mut old, number);
        }
        old.extend([0, 0, 0, 14, 0, 15]);
        old.extend(SUFFIX.as_bytes());
        old.extend([0, 0, 0, 7, 0, 0, 0, 9]);
        push_ms(&mut old, 16);
        old.extend([0, 17, 2, 5]);
        old.extend(b"q:sql");
        push_ms(&mut old, 1_795_300_000_000);
        push_ms(&mut old, 1_795_300_000_001);
        let read = Packed::read(&old).unwrap();
        let extras = Extras {
            max_runs: 100,
            per_minute: 60,
            stop: 11,
            delay: 13,
            max_fires: 14,
            max_running: 15,
            start_within: 16,
            keep: 17,
        };
        let times = Times::Listed(vec![1_795_300_000_000, 1_795_300_000_001]);
        let (list, suffix, is_final) = ("q:sql", SUFFIX, true);
        let same =
            Packed { catch_up: 2, overlap: 1, flags: 2, list, suffix, birth: 7, revision: 9, extras, times, is_final };
        assert_eq!(read, same);
    }
}
