//! The fire times of a packed plan: a first one, and a period or distances, in the greatest unit that fits.

use std::ops::RangeInclusive;

use crate::domain::plan::packed::{Rest, push_ms};

const HOUR_MS: i64 = 3_600_000;

/// Bytes of a number and ms that it counts, by the number of the unit: minutes up to 45 days, seconds up to 194 days, or ms. The
/// first time has 6 bytes of ms, the others are distances from it; in ms they are the times themselves.
const UNITS: [(usize, i64); 3] = [(2, 60_000), (3, 1_000), (6, 1)];
/// A unit of lists: the first time has 4 bytes of seconds, the others are distances in hours, each from the time before it, so that
/// days and weeks fit, also where clocks change.
pub const HOURS: u8 = 3;
/// Times in such a list. It is walked, where others are searched: with 8 of them a claim finds the next one in 0.75 us instead of
/// 1.1, with 16 in 1.0 instead of 1.3. And there are so many that scripts may read 6 bytes of a first time before they know its unit.
const HOURS_TIMES: RangeInclusive<usize> = 3..=16;

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

impl Times {
    /// The number of the unit that takes the least room.
    pub(super) fn unit(&self) -> u8 {
        let is_near =
            |ms: i64, (bytes, unit): (usize, i64)| ms % unit == 0 && (1..1 << (8 * bytes)).contains(&(ms / unit));
        let fits = |number: &(usize, i64)| match self {
            Self::Arithmetic { period, .. } => is_near(*period, *number),
            Self::Listed(listed) => listed.iter().skip(1).all(|time| is_near(time - listed[0], *number)),
        };
        if let Self::Listed(listed) = self {
            let is_short = HOURS_TIMES.contains(&listed.len()) && is_near(listed[0], (4, 1_000));
            if is_short && listed.windows(2).all(|two| is_near(two[1] - two[0], (1, HOUR_MS))) {
                return HOURS;
            }
        }
        UNITS.iter().position(fits).and_then(|place| u8::try_from(place).ok()).unwrap_or(2)
    }

    /// Adds them to a plan.
    pub(super) fn pack(&self, unit: u8, plan: &mut Vec<u8>) {
        let (bytes, unit) = match (self, UNITS.get(usize::from(unit))) {
            (_, Some(unit)) => *unit,
            (Self::Listed(listed), None) => return pack_hours(listed, plan),
            (Self::Arithmetic { .. }, None) => UNITS[2],
        };
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

    /// The times of an arithmetic plan.
    pub(super) fn read_period(unit: u8, rest: &mut Rest<'_>) -> Option<Self> {
        let (bytes, unit) = *UNITS.get(usize::from(unit))?;
        Some(Self::Arithmetic { phase: rest.number(6)?, period: rest.number(bytes)? * unit })
    }

    /// The times of a list, all that is left of the plan; a distance of 0 is none.
    pub(super) fn read_list(unit: u8, rest: &mut Rest<'_>) -> Option<Self> {
        let is_hours = unit == HOURS;
        let (bytes, unit) = if is_hours { (1, HOUR_MS) } else { *UNITS.get(usize::from(unit))? };
        let mut listed = vec![if is_hours { rest.number(4)? * 1_000 } else { rest.number(6)? }];
        while !rest.is_empty() {
            let number = rest.number(bytes)?;
            let since = match (is_hours, unit) {
                (true, _) => listed[listed.len() - 1],
                (false, 1) => 0,
                (false, _) => listed[0],
            };
            if number > 0 {
                listed.push(since + number * unit);
            }
        }
        Some(Self::Listed(listed))
    }

    /// The times of a list without any.
    pub(super) fn read_nothing(unit: u8, rest: &mut Rest<'_>) -> Option<Self> {
        match Self::read_list(unit, rest)? {
            Self::Listed(listed) if listed.len() == 1 => Some(Self::Listed(Vec::new())),
            _ => None,
        }
    }
}

fn pack_hours(listed: &[i64], plan: &mut Vec<u8>) {
    plan.extend(&(listed[0] / 1_000).to_be_bytes()[4..]);
    plan.extend(listed.windows(2).map(|two| ((two[1] - two[0]) / HOUR_MS) as u8));
}
