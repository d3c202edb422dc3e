//! Cron expressions: a strict parser and the Unix and DST rules over crate `cron`.
//!
//! Crate `cron` only ever sees canonical six-field lists and local time dressed as UTC: its own reading of weekdays, of
//! two day fields and of clock changes is not that of crontab.

mod days;
mod describe;
mod field;
mod hashed;
mod hints;
mod met;
mod next;
mod period;
mod shared;
mod traps;

use std::fmt;
use std::sync::Arc;

use self::days::{MonthDays, WeekDays};
pub(in crate::domain) use self::describe::MONTHS;
use self::field::{Field, Refusal};
use self::met::Met;
use self::next::Part;
pub use self::traps::Trap;
use crate::domain::id::EntryId;
use crate::error::{Error, Result};

/// A valid expression that fires at least once; cheap to clone.
///
/// Two are equal if they are written alike; see [`Cron::fires_like`] for their meaning.
#[derive(Clone)]
pub struct Cron {
    text: Arc<str>,
    compiled: Arc<Compiled>,
}

struct Compiled {
    /// With numbers where `H` stands in the text.
    resolved: String,
    fields: Fields,
    parts: Vec<Part>,
    met: Met,
}

/// The fields as sets: bit n stands for the value n.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fields {
    seconds: u64,
    minutes: u64,
    hours: u64,
    months: u64,
    month_days: MonthDays,
    week_days: WeekDays,
    /// Either day word begins with `*`: both must match. Otherwise one is enough.
    needs_both_days: bool,
    /// The minute or the hour word begins with `*`, and no word is `H`: fires whenever the wall clock matches. Otherwise
    /// each matching wall time fires once.
    is_wildcard: bool,
}

const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Longest expression, bytes.
const MAX_BYTES: usize = 256;

impl Cron {
    /// Reads five fields as in crontab, six with leading seconds, or `@daily` and its kin; no `H`, which needs an entry id.
    ///
    /// # Errors
    /// Invalid, about `field`; the message begins with the cron field that is wrong.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        Self::parse_for(field, text, None)
    }

    /// As [`Cron::parse`], of an expression of this entry: `H` as minute, hour or day word is a number made of the entry id.
    ///
    /// # Errors
    /// Invalid, about `field`; the message begins with the cron field that is wrong.
    pub fn parse_for(field: &str, text: &str, id: Option<&EntryId>) -> Result<Self> {
        if let Some(compiled) = shared::find(text) {
            return Ok(Self { text: text.trim_matches(BLANKS).into(), compiled });
        }
        let (resolved, fields) = read(text, id).map_err(|refusal| {
            let error = Error::invalid(field, refusal.reason).value(text.chars().take(MAX_BYTES).collect::<String>());
            match refusal.hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })?;
        let parts = Part::compile(&fields)
            .map_err(|error| Error::internal(format!("can't compile cron expression {text:?}: {error}")))?;
        if parts.is_empty() {
            let words: Vec<&str> = resolved.split(' ').collect();
            let days = match words[words.len() - 3..] {
                [month_day, month, "*"] => format!("{month_day} in month {month}"),
                [month_day, month, week_day] => format!("{month_day} in month {month} on day-of-week {week_day}"),
                _ => String::new(),
            };
            let message = format!("day-of-month: {days}: no such calendar date, it would never fire");
            return Err(Error::invalid(field, message).value(text));
        }
        let is_hashed = text.split(BLANKS).any(hashed::is_hashed);
        let compiled = Arc::new(Compiled { resolved, fields, parts, met: Met::default() });
        if !is_hashed {
            shared::keep(text, &compiled);
        }
        Ok(Self { text: text.trim_matches(BLANKS).into(), compiled })
    }

    /// As it was written, without blanks around it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What may be meant otherwise by who wrote it, for people: six fields with a day of the week as a number.
    pub fn doubt(&self) -> Option<&'static str> {
        let words: Vec<&str> = self.compiled.resolved.split(' ').collect();
        let is_doubtful = matches!(words[..], [_, _, _, _, _, day] if day.bytes().any(|byte| byte.is_ascii_digit()));
        is_doubtful
            .then_some("six fields begin with seconds; days of the week count from 0, Sunday, not from 1 as in Quartz")
    }

    /// The minute of the hour, where there is only one; that of `H` is the entry's.
    pub(in crate::domain) fn only_minute(&self) -> Option<u32> {
        let minutes = self.compiled.fields.minutes;
        (minutes.count_ones() == 1).then(|| minutes.trailing_zeros())
    }

    /// Whether it stands for the same fire times, however it is written.
    pub fn fires_like(&self, other: &Self) -> bool {
        self.compiled.fields == other.compiled.fields
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Cron {}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({})", self.text)
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

/// The expression with numbers for `H`, and its fields.
fn read(text: &str, id: Option<&EntryId>) -> Result<(String, Fields), Refusal> {
    if text.len() > MAX_BYTES {
        return Err(Refusal::new(format!("is longer than {MAX_BYTES} bytes")));
    }
    if let Some(bad) = text.chars().find(|c| *c != '\t' && !(' '..='~').contains(c)) {
        return Err(Refusal::new(format!("character {bad:?} is not allowed in a cron expression")));
    }
    let words: Vec<&str> = text.split(BLANKS).filter(|word| !word.is_empty()).collect();
    let Some(first) = words.first() else {
        return Err(Refusal::new("is empty").hint("write five fields: minute hour day-of-month month day-of-week"));
    };
    if first.starts_with('@') {
        return read(nickname(&words)?, id);
    }
    if let Some((name, _)) =
        first.split_once('=').filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_alphabetic()))
    {
        let refusal = Refusal::new(format!("{name}= is not part of a cron expression"));
        return Err(if name.to_ascii_uppercase().ends_with("TZ") {
            refusal.hint("name the zone with tz")
        } else {
            refusal
        });
    }
    let resolved = resolve(&words, id)?;
    let has_hashed = words.iter().any(|word| hashed::is_hashed(word));
    let words: Vec<&str> = resolved.iter().map(String::as_str).collect();
    let mut fields = match words.len() {
        5 => read_words("0", &words).map_err(|refusal| hints::for_quartz(refusal, &words)),
        6 => read_words(words[0], &words[1..]).map_err(|refusal| hints::for_six(refusal, &words)),
        count => Err(hints::for_count(count, &words)),
    }?;
    fields.is_wildcard &= !has_hashed;
    Ok((resolved.join(" "), fields))
}

/// The words with numbers for `H`. What is wrong with their count is said elsewhere.
fn resolve(words: &[&str], id: Option<&EntryId>) -> Result<Vec<String>, Refusal> {
    const FIELDS: [&Field; 6] =
        [&field::SECOND, &field::MINUTE, &field::HOUR, &field::MONTH_DAY, &field::MONTH, &field::WEEK_DAY];
    let fields = match words.len() {
        5 => &FIELDS[1..],
        6 => &FIELDS[..],
        _ => &[],
    };
    let resolve = |(at, word): (usize, &&str)| match fields.get(at) {
        Some(field) if hashed::is_hashed(word) => {
            if [field::SECOND.name, field::MONTH.name].contains(&field.name) {
                let refusal = Refusal::new("H is for minute, hour and the two day words").hint("write a number");
                return Err(refusal.about(field.name));
            }
            let Some(id) = id else {
                let refusal = Refusal::new("H needs an entry id to spread by");
                let hint = "an entry takes it: upbeat add ID --cron ..., then upbeat next ID; here write a number";
                return Err(refusal.about(field.name).hint(hint));
            };
            Ok(hashed::value(field, id).to_string())
        }
        _ => Ok((*word).to_owned()),
    };
    words.iter().enumerate().map(resolve).collect()
}

fn read_words(second: &str, words: &[&str]) -> Result<Fields, Refusal> {
    let set = |field: &'static Field, word: &str| field::read(field, word).map_err(|refusal| refusal.about(field.name));
    let [minute, hour, month_day, month, week_day] = words else {
        return Err(Refusal::new("needs five fields"));
    };
    Ok(Fields {
        seconds: set(&field::SECOND, second)?,
        minutes: set(&field::MINUTE, minute)?,
        hours: set(&field::HOUR, hour)?,
        month_days: MonthDays::read(month_day).map_err(|refusal| refusal.about(field::MONTH_DAY.name))?,
        months: set(&field::MONTH, month)?,
        week_days: WeekDays::read(week_day).map_err(|refusal| refusal.about(field::WEEK_DAY.name))?,
        needs_both_days: month_day.starts_with('*') || week_day.starts_with('*'),
        is_wildcard: minute.starts_with('*') || hour.starts_with('*'),
    })
}

/// What a nickname stands for.
fn nickname(words: &[&str]) -> Result<&'static str, Refusal> {
    let name = words[0].to_ascii_lowercase();
    if name == "@every" {
        let span = words.get(1).unwrap_or(&"5m");
        return Err(
            Refusal::new("@every is not a cron expression").hint(format!("use every = \"{span}\" instead of cron"))
        );
    }
    if name == "@reboot" {
        return Err(Refusal::new("@reboot is not supported: a fleet has no boot")
            .hint("fire once with at, or run it where the machine starts"));
    }
    let Some((known, expression)) = NICKNAMES.iter().find(|(known, _)| *known == name) else {
        let (near, _) = NICKNAMES
            .map(|(known, _)| (known, strsim::jaro_winkler(known, &name)))
            .into_iter()
            .fold(("", 0.85), |best, next| if next.1 > best.1 { next } else { best });
        let refusal = Refusal::new(format!("{} is no nickname", words[0]));
        return Err(refusal.hint(match near {
            "" => "nicknames are @yearly, @monthly, @weekly, @daily, @midnight, @hourly".to_owned(),
            near => format!("did you mean {near}"),
        }));
    };
    match words.len() {
        1 => Ok(expression),
        _ => Err(Refusal::new(format!("{known} stands alone, but {:?} follows", words[1]))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
