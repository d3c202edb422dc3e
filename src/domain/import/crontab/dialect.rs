//! What the cron programs take as a time, where they differ from each other and from here.

use sha2::{Digest, Sha256};

use super::line::Odd;
use crate::domain::cron::Cron;
use crate::domain::import::names::{DAYS, MONTHS, NICKNAMES};
use crate::domain::nearest::not_one_of;
use crate::error::Result;

/// The program that a crontab was written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Vixie cron as in Debian and Ubuntu.
    #[default]
    Debian,
    /// That of Fedora, RHEL, Arch and SUSE: `CRON_TZ`, `6~15`, `fri-sun`, `-` before the time.
    Cronie,
    /// `@every_minute`, `@30`, options before the command.
    FreeBsd,
    /// `~`, options before the command.
    OpenBsd,
}

impl Dialect {
    /// As they are written.
    pub const WORDS: [&str; 4] = ["debian", "cronie", "freebsd", "openbsd"];

    /// Reads one of [`Self::WORDS`].
    ///
    /// # Errors
    ///
    /// Invalid about `field`.
    pub fn parse(field: &str, word: &str) -> Result<Self> {
        match word {
            "debian" => Ok(Self::Debian),
            "cronie" => Ok(Self::Cronie),
            "freebsd" => Ok(Self::FreeBsd),
            "openbsd" => Ok(Self::OpenBsd),
            _ => Err(not_one_of(field, word, &Self::WORDS)),
        }
    }

    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian => "Debian's cron",
            Self::Cronie => "cronie",
            Self::FreeBsd => "FreeBSD's cron",
            Self::OpenBsd => "OpenBSD's cron",
        }
    }

    /// Whether it reads a file of this name in /etc/cron.d; the others have no such folder and are taken as Debian.
    pub fn reads_file(self, name: &str) -> bool {
        match self {
            Self::Cronie => {
                let is_left = [".rpmsave", ".rpmorig", ".rpmnew"].iter().any(|end| name.ends_with(end));
                !name.starts_with(['.', '#']) && !name.ends_with('~') && !is_left
            }
            _ => !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)),
        }
    }

    /// Whether one line that it can't read makes it ignore the whole file.
    pub(super) fn is_strict(self) -> bool {
        self == Self::Debian
    }
}

/// What stands before a command, as fields of an entry.
#[derive(Debug, PartialEq)]
pub(super) enum When {
    /// Five words, or a nickname, that mean here what they mean there.
    Cron(String),
    /// So many seconds after the run before.
    After(u64),
}

/// Why a time is not carried over.
#[derive(Debug, PartialEq)]
pub(super) struct Refused {
    pub odd: Odd,
    /// Whether the cron that it was written for can't read it either.
    pub is_unread: bool,
}

impl Refused {
    fn here(reason: impl Into<String>, hint: Option<String>) -> Self {
        Self { odd: Odd { reason: reason.into(), hint }, is_unread: false }
    }

    fn there(dialect: Dialect, why: impl std::fmt::Display, hint: Option<String>) -> Self {
        let reason = format!("{why}; {} can't read it either", dialect.name());
        Self { odd: Odd { reason, hint }, is_unread: true }
    }
}

impl Refused {
    /// What belongs to another cron. Debian's may pass over it without a word.
    fn of_others(dialect: Dialect, field: &Field, word: &str, reason: String, hint: &str) -> Self {
        let hint = Some(hint.to_owned());
        if dialect == Dialect::Debian && debian_takes(field, word) {
            return Self::here(format!("{reason}; {} reads only what stands before it", dialect.name()), hint);
        }
        Self::there(dialect, reason, hint)
    }
}

/// A field of a crontab: its name, its least and greatest value, and the names of values.
struct Field(&'static str, u32, u32, &'static [&'static str]);

const FIELDS: [Field; 5] = [
    Field("minute", 0, 59, &[]),
    Field("hour", 0, 23, &[]),
    Field("day-of-month", 1, 31, &[]),
    Field("month", 1, 12, &MONTHS),
    Field("day-of-week", 0, 7, &DAYS),
];

/// Reads the time of a line. `seed` is what random ranges are drawn from: the same text gives the same number.
pub(super) fn read(dialect: Dialect, when: &str, seed: &str) -> std::result::Result<When, Refused> {
    let words: Vec<&str> = when.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    if let [nickname] = words[..] {
        return read_nickname(dialect, nickname);
    }
    let mut written = Vec::new();
    for (field, word) in FIELDS.iter().zip(&words) {
        written.push(read_word(dialect, field, word, seed)?);
    }
    let written = written.join(" ");
    match Cron::parse("cron", &written) {
        Ok(_) => Ok(When::Cron(written)),
        Err(error) => {
            let takes = FIELDS.iter().zip(&words).all(|(field, word)| debian_takes(field, word));
            let hint = error.problem().hint.clone();
            let why = error.to_string();
            let runs_backwards = why.contains("runs backwards");
            Err(match dialect {
                Dialect::Debian if !takes => Refused::there(dialect, why, hint),
                Dialect::Debian if runs_backwards => {
                    Refused::here(format!("{why}: {} takes it and never runs it", dialect.name()), hint)
                }
                _ => Refused::here(why, hint),
            })
        }
    }
}

fn read_nickname(dialect: Dialect, nickname: &str) -> std::result::Result<When, Refused> {
    if NICKNAMES.contains(&nickname) {
        return Ok(When::Cron(nickname.to_owned()));
    }
    if dialect == Dialect::FreeBsd {
        if nickname == "@every_minute" {
            return Ok(When::Cron("* * * * *".to_owned()));
        }
        if let Ok(seconds) = nickname[1..].parse::<u64>()
            && seconds > 0
        {
            return Ok(When::After(seconds));
        }
    }
    let hint = match nickname.to_ascii_lowercase() {
        small if NICKNAMES.contains(&small.as_str()) => Some(format!("write {small}")),
        small if small == "@every_minute" || small[1..].parse::<u64>().is_ok() => {
            Some("FreeBSD's cron has it: --dialect freebsd".to_owned())
        }
        small if small.starts_with("@every") => Some("upbeat add ID --every 5m -- CMD".to_owned()),
        _ => Some(format!("nicknames are {}", NICKNAMES.join(", "))),
    };
    Err(Refused::there(dialect, format!("{nickname} is no nickname of crontabs"), hint))
}

/// One word, with what only this dialect has written in other words.
fn read_word(dialect: Dialect, field: &Field, word: &str, seed: &str) -> std::result::Result<String, Refused> {
    let Field(name, ..) = *field;
    let mut items = Vec::new();
    for item in word.split(',') {
        let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
        if let Some(step) = step
            && value(field, range).is_some()
        {
            let reason = format!("{name}: {item} has a step, but no range before it");
            return Err(Refused::there(dialect, reason, Some(format!("write {range}-{}/{step}", field.2))));
        }
        if let Some((from, to)) = range.split_once('~') {
            if !matches!(dialect, Dialect::Cronie | Dialect::OpenBsd) {
                let hint = "cronie and OpenBSD have it: --dialect cronie; an entry has H for one value of all";
                let reason = format!("{name}: {item} is a random range");
                return Err(Refused::of_others(dialect, field, word, reason, hint));
            }
            items.push(random(dialect, field, item, (from, to), step, seed)?);
            continue;
        }
        if is_foreign(field, item) {
            let hint = "other schedulers have L, W, # and H; an entry takes them: upbeat add ID --cron '...' -- CMD";
            let reason = format!("{name}: {item} means nothing in a crontab");
            return Err(Refused::of_others(dialect, field, word, reason, hint));
        }
        match range.split_once('-') {
            // cronie: a range that ends with Sunday as 0 ends with 7.
            Some((from, to))
                if dialect == Dialect::Cronie
                    && step.is_none()
                    && name == "day-of-week"
                    && value(field, to) == Some(0)
                    && value(field, from).is_some_and(|from| from > 0) =>
            {
                items.push(format!("{}-7", value(field, from).unwrap_or_default()));
            }
            _ => items.push(item.to_owned()),
        }
    }
    Ok(items.join(","))
}

/// A value between two, which cron draws each time that it reads the crontab.
fn random(
    dialect: Dialect,
    field: &Field,
    item: &str,
    (from, to): (&str, &str),
    step: Option<&str>,
    seed: &str,
) -> std::result::Result<String, Refused> {
    let Field(name, min, max, _) = *field;
    let end = |text: &str, open: u32| if text.is_empty() { Some(open) } else { value(field, text) };
    // 7 is Sunday once more.
    let last = if name == "day-of-week" { 6 } else { max };
    match (end(from, min), end(to, last), step) {
        (_, _, Some(_)) => Err(Refused::here(
            format!("{name}: {item}: a random range with a step"),
            Some("write the values that you want".to_owned()),
        )),
        (Some(from), Some(to), None) if from <= to => {
            let mut hash = Sha256::new();
            for part in [name, seed] {
                hash.update(part.as_bytes());
                hash.update([0]);
            }
            let digest = hash.finalize();
            let drawn = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
            Ok((from + drawn % (to - from + 1)).to_string())
        }
        _ => Err(Refused::there(dialect, format!("{name}: {item} is not a range"), None)),
    }
}

/// A number or a name of the field, within its bounds.
fn value(field: &Field, text: &str) -> Option<u32> {
    let Field(_, min, max, names) = *field;
    let small = text.to_ascii_lowercase();
    let named = names.iter().position(|name| *name == small).and_then(|at| u32::try_from(at).ok());
    match named {
        Some(at) => Some(min + at),
        None if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().ok().filter(|value| (min..=max).contains(value))
        }
        None => None,
    }
}

/// Whether an item is one of those that entries take and crontabs do not.
fn is_foreign(field: &Field, item: &str) -> bool {
    let upper = item.to_ascii_uppercase();
    let is_hashed = upper == "H" || upper.starts_with("H/") || upper.starts_with("H(");
    let is_day = field.0.starts_with("day-");
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_end = upper == "L" || upper == "LW" || upper.strip_suffix(['L', 'W']).is_some_and(digits);
    is_hashed || item.contains('#') || is_day && (is_end || upper.starts_with("L-"))
}

/// Whether Debian's cron takes a word, though it may make another thing of it: what follows a value that it knows is
/// passed over up to the next blank.
fn debian_takes(field: &Field, word: &str) -> bool {
    let Field(_, min, max, names) = *field;
    let mut rest = word;
    loop {
        let is_star = rest.starts_with('*');
        let mut bounds = Vec::new();
        if is_star {
            rest = &rest[1..];
        } else {
            match number(&mut rest, names, min) {
                Some(value) => bounds.push(value),
                None => return false,
            }
            if let Some(after) = rest.strip_prefix('-') {
                rest = after;
                match number(&mut rest, names, min) {
                    Some(value) => bounds.push(value),
                    None => return false,
                }
            } else if rest.starts_with('/') {
                return false;
            }
        }
        if (is_star || bounds.len() == 2)
            && let Some(after) = rest.strip_prefix('/')
        {
            rest = after;
            if number(&mut rest, &[], 0).is_none_or(|step| step == 0) {
                return false;
            }
        }
        if bounds.iter().any(|value| !(u64::from(min)..=u64::from(max)).contains(value)) {
            return false;
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => return true,
        }
    }
}

/// Takes letters and digits off the front, a name or a number.
fn number(rest: &mut &str, names: &[&str], min: u32) -> Option<u64> {
    let length = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let (token, after) = rest.split_at(length);
    *rest = after;
    let small = token.to_ascii_lowercase();
    match names.iter().position(|name| *name == small) {
        Some(at) => Some(u64::from(min) + u64::try_from(at).ok()?),
        None if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_digit()) => None,
        None => token.parse().ok(),
    }
}
