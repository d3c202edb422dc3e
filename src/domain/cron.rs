//! Cron expressions: a strict parser and the Unix and DST rules over crate `cron`.
//!
//! Crate `cron` only ever sees canonical six-field lists and local time dressed as UTC: its own reading of weekdays, of
//! two day fields and of clock changes is not that of crontab.

mod days;
mod describe;
mod field;
mod next;
mod period;

use std::fmt;
use std::sync::Arc;

use self::days::{MonthDays, WeekDays};
use self::field::{Field, Refusal};
use self::next::Part;
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
    fields: Fields,
    parts: Vec<Part>,
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
    /// The minute or the hour word begins with `*`: fires whenever the wall clock matches. Otherwise each matching wall
    /// time fires once.
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
    /// Reads five fields as in crontab, six with leading seconds, or `@daily` and its kin.
    ///
    /// # Errors
    /// Invalid, about `field`; the message begins with the cron field that is wrong.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        let fields = read(text).map_err(|refusal| {
            let error = Error::invalid(field, refusal.reason).value(text.chars().take(MAX_BYTES).collect::<String>());
            match refusal.hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })?;
        let parts = Part::compile(&fields)
            .map_err(|error| Error::internal(format!("can't compile cron expression {text:?}: {error}")))?;
        if parts.is_empty() {
            let message = "day-of-month: no such calendar date, it would never fire";
            return Err(Error::invalid(field, message).value(text));
        }
        Ok(Self { text: text.trim_matches(BLANKS).into(), compiled: Arc::new(Compiled { fields, parts }) })
    }

    /// As it was written, without blanks around it.
    pub fn text(&self) -> &str {
        &self.text
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

fn read(text: &str) -> Result<Fields, Refusal> {
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
        return read(nickname(&words)?);
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
    match words.len() {
        5 => read_words("0", &words),
        6 => read_words(words[0], &words[1..]).map_err(|refusal| hint_for_six(refusal, &words)),
        count => Err(wrong_count(count, &words)),
    }
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

fn wrong_count(count: usize, words: &[&str]) -> Refusal {
    let refusal = Refusal::new(format!(
        "has {count} {}, expected 5, or 6 with seconds first",
        if count == 1 { "field" } else { "fields" }
    ));
    let is_expression = read_words("0", words.get(..5).unwrap_or(&[])).is_ok();
    match count {
        1 if words[0].contains('*') && words[0].len() > 1 => {
            refusal.hint("put blanks between the fields, like */5 * * * *")
        }
        1 => refusal.hint("the shell split the expression and turned * into file names; quote it"),
        7 if read_words(words[0], &words[1..6]).is_ok() => {
            refusal.hint("a year is not part of it; limit the entry with start and end")
        }
        _ if is_expression => {
            refusal.hint("this looks like a whole crontab line; give the command as the action of the entry")
        }
        _ if count > 6 => refusal.hint("quote the expression, or the shell turns * into file names"),
        _ => refusal.hint("write minute hour day-of-month month day-of-week, like 30 2 * * *"),
    }
}

/// What people who wrote six words may have had in mind.
fn hint_for_six(refusal: Refusal, words: &[&str]) -> Refusal {
    let last = words[5];
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number && read_words("0", &words[..5]).is_ok() && !field::WEEK_DAY.is_near(last) {
        return Refusal::new(format!("{last:?} is not a day of the week")).about(field::WEEK_DAY.name).hint(
            "this looks like a crontab line with its user or command; give the command as the action of the entry",
        );
    }
    match refusal.hint {
        Some(_) => refusal,
        None if is_number && last.len() == 4 => refusal.hint("six fields begin with seconds; a year is not part of it"),
        None => refusal.hint("six fields begin with seconds; leave them out for the usual five"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
