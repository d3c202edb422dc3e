//! Recurrence rules of RFC 5545: a strict reader of our own, crate `rrule` for the dates, the zone mapped outside of it.
//!
//! Crate `rrule` only ever sees whole periods of local dates dressed as UTC, begun near the time that is asked for: its zone
//! data is old, and it would count from the first occurrence each time.

mod dates;
mod describe;
mod next;
mod read;

use std::fmt;
use std::sync::Arc;

use chrono::{NaiveDateTime, NaiveTime, TimeDelta, Timelike};

use self::dates::Dates;
use self::next::Form;
use self::read::{Ending, Parts};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::{Dst, Zone};
use crate::error::{Error, Result};

/// A valid rule with its first possible time, which fires at least once; cheap to clone.
#[derive(Clone)]
pub struct Rrule {
    text: Arc<str>,
    compiled: Arc<Compiled>,
}

struct Compiled {
    parts: Parts,
    /// DTSTART, local: what the rule leaves open is as in it, intervals count from it, nothing is before it.
    begin: NaiveDateTime,
    form: Form,
    /// The last local time of a rule with COUNT or a local UNTIL.
    last: Option<NaiveDateTime>,
    /// UNTIL in UTC.
    until: Option<Timestamp>,
    dates: Dates,
}

/// Greatest COUNT; it is counted out when the rule is read.
const COUNT_MAX: u32 = 1000;
/// 1972-01-01, a leap year: a rule that fires whenever it begins fires from here.
const BEGIN_OF_NONE: Timestamp = Timestamp(63_072_000_000);
/// Nothing fires after this year.
const YEAR_MAX: i32 = 2100;

impl Rrule {
    /// Reads a rule, `FREQ=WEEKLY;BYDAY=MO` with or without `RRULE:` before it, that begins at `begin`, seen in `zone`.
    ///
    /// `begin` is the rule's DTSTART, cut to a whole second. It fires itself only if it matches, and only then COUNT counts it.
    /// Without it the rule can be checked and described, no more: it stands for itself with INTERVAL=1 from 1972.
    ///
    /// # Errors
    /// Invalid, about `field`; the message begins with the part that is wrong. Also a rule that would never fire up to 2100.
    pub fn parse(field: &str, text: &str, begin: Option<Timestamp>, zone: &Zone) -> Result<Self> {
        let about = |refusal: read::Refusal| refusal.about(field, text);
        let parts = Parts::read(text).map_err(about)?;
        let stands_in = Parts { interval: if begin.is_some() { parts.interval } else { 1 }, ..parts.clone() };
        let begin = zone.to_local(begin.unwrap_or(BEGIN_OF_NONE));
        let begin = begin.with_nanosecond(0).unwrap_or(begin);
        let form = Form::of(&stands_in, begin).map_err(about)?;
        let dates = Dates::of(&stands_in, begin, form.has_times()).map_err(|why| {
            Error::internal(format!("recurrence rule {text:?} was read but crate rrule refuses it: {why}"))
        })?;
        let mut compiled = Compiled { parts, begin, form, last: None, until: None, dates };
        let Some(first) = compiled.next_local(begin - TimeDelta::seconds(1)) else {
            return Err(Error::invalid(field, "no date fits all of its parts, it would never fire").value(text));
        };
        match compiled.parts.ending {
            Ending::Never => {}
            Ending::Count(count) => {
                let times = std::iter::successors(Some(first), |time| compiled.next_local(*time));
                compiled.last = times.take(count as usize).last();
            }
            Ending::UntilLocal(last) => compiled.last = Some(last),
            Ending::Until(last) => compiled.until = Some(last),
        }
        let rule = Self { text: text.trim().into(), compiled: Arc::new(compiled) };
        if rule.next_after(zone, Dst::default(), Timestamp(i64::MIN)).is_none() {
            let why = format!("UNTIL: it ends before its first time, {}", first.format("%Y-%m-%dT%H:%M:%S"));
            return Err(Error::invalid(field, why).value(text));
        }
        Ok(rule)
    }

    /// As it was written, without blanks around it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its first possible time, DTSTART, as a clock on the wall shows it.
    pub fn begin(&self) -> NaiveDateTime {
        self.compiled.begin
    }
}

/// Two are equal if they are written alike and begin alike.
impl PartialEq for Rrule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.compiled.begin == other.compiled.begin
    }
}

impl Eq for Rrule {}

impl fmt::Debug for Rrule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rrule({} from {})", self.text, self.compiled.begin)
    }
}

/// Seconds since midnight.
fn second_of_day(time: NaiveTime) -> u32 {
    time.num_seconds_from_midnight()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
