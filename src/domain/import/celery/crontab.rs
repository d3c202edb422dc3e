//! Celery's crontab: five words by its own rules, which are not those of crontab(5), as a cron expression or a rule here.
//!
//! Both day words must match, ranges may wrap, names count in every word, and words are matched from their beginning only.

use serde_json::{Map, Value};

use super::entry::given;
use super::shortened;
use crate::domain::reading::{inside, shown};
use crate::error::{Error, Result};

/// A crontab, as the field of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Times {
    /// For `cron`.
    Cron(String),
    /// For `rrule`, which knows how to ask for both day words.
    Rule(String),
}

struct Field {
    key: &'static str,
    min: u32,
    max: u32,
    /// Names that both Celery and upbeat know in this word.
    names: &'static [&'static str],
}

const MINUTE: Field = Field { key: "minute", min: 0, max: 59, names: &[] };
const HOUR: Field = Field { key: "hour", min: 0, max: 23, names: &[] };
const MONTH_DAY: Field = Field { key: "day_of_month", min: 1, max: 31, names: &[] };
const MONTH: Field = Field { key: "month_of_year", min: 1, max: 12, names: &MONTHS };
const WEEK_DAY: Field = Field { key: "day_of_week", min: 0, max: 6, names: &WEEK_DAYS };

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEK_DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// The same days in a rule.
const RULE_DAYS: [&str; 7] = ["SU", "MO", "TU", "WE", "TH", "FR", "SA"];
/// Days of the months, of the longest February.
const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/// Longest word, bytes; each number of a list and commas take less.
const WORD_MAX_BYTES: usize = 1024;

/// One word: the numbers that it stands for, bit n for the number n, and how it is written.
struct Word {
    numbers: u64,
    /// Where a cron expression may hold it as it is.
    written: Option<String>,
}

impl Word {
    fn is_all(&self, field: &Field) -> bool {
        self.numbers == all(field)
    }

    /// For a cron expression.
    fn cron(&self, field: &Field) -> String {
        match &self.written {
            Some(word) => word.clone(),
            None if self.is_all(field) => "*".to_owned(),
            None => ranges(self.numbers),
        }
    }

    fn begins_with_star(&self) -> bool {
        self.written.as_ref().is_some_and(|word| word.starts_with('*'))
    }
}

/// The times of a crontab, with the five keys as RedBeat stores them; what is missing or null is `*`.
///
/// # Errors
///
/// Invalid about the key, also for what Celery itself refuses.
pub(super) fn times(schedule: &Map<String, Value>) -> Result<Times> {
    let word = |field: &Field| {
        given(schedule, field.key).map_or(Ok(Word { numbers: all(field), written: Some("*".to_owned()) }), |value| {
            read(field, value)
                .map_err(|why| Error::invalid(inside("schedule", field.key), why).value(shortened(&shown(value))))
        })
    };
    let (minute, hour, mut month_day) = (word(&MINUTE)?, word(&HOUR)?, word(&MONTH_DAY)?);
    let (month, mut week_day) = (word(&MONTH)?, word(&WEEK_DAY)?);
    let lengths = numbers(month.numbers).map(|month| LENGTHS[(month - 1) as usize]);
    if lengths.max().is_none_or(|longest| numbers(month_day.numbers).all(|day| day > longest)) {
        let why = "no month of month_of_year has such a day, it never fires";
        return Err(Error::invalid("schedule.day_of_month", why));
    }
    // A day word that is all days counts as * in Celery; in a cron expression 1-31 beside mon would be every day.
    for (word, field) in [(&mut month_day, &MONTH_DAY), (&mut week_day, &WEEK_DAY)] {
        if word.is_all(field) {
            word.written = Some("*".to_owned());
        }
    }
    // Where a day word begins with * a cron expression wants both of them, too.
    if month_day.begins_with_star() || week_day.begins_with_star() {
        let words = [
            minute.cron(&MINUTE),
            hour.cron(&HOUR),
            month_day.cron(&MONTH_DAY),
            month.cron(&MONTH),
            week_day.cron(&WEEK_DAY),
        ];
        return Ok(Times::Cron(words.join(" ")));
    }
    // By the clock as it runs like a cron expression whose minute or hour is *, else once for each time on the clock.
    let frequency = if minute.begins_with_star() || hour.begins_with_star() { "MINUTELY" } else { "DAILY" };
    let mut rule = format!("FREQ={frequency}");
    let mut part = |name: &str, values: Vec<String>| rule.push_str(&format!(";{name}={}", values.join(",")));
    let texts = |set: u64| numbers(set).map(|number| number.to_string()).collect::<Vec<_>>();
    if !month.is_all(&MONTH) {
        part("BYMONTH", texts(month.numbers));
    }
    part("BYMONTHDAY", texts(month_day.numbers));
    part("BYDAY", numbers(week_day.numbers).map(|day| RULE_DAYS[day as usize].to_owned()).collect());
    if !(frequency == "MINUTELY" && hour.is_all(&HOUR)) {
        part("BYHOUR", texts(hour.numbers));
    }
    if !(frequency == "MINUTELY" && minute.is_all(&MINUTE)) {
        part("BYMINUTE", texts(minute.numbers));
    }
    part("BYSECOND", vec!["0".to_owned()]);
    Ok(Times::Rule(rule))
}

/// A text, a number or a list of numbers, as Celery takes it.
fn read(field: &Field, value: &Value) -> Result<Word, String> {
    let one = |value: &Value| match value.as_i64() {
        Some(number) => in_range(field, number),
        None => Err(format!("{} is not a whole number, and Celery can't fire by it", shown(value))),
    };
    let numbers = match value {
        Value::String(word) => return read_word(field, word),
        Value::Number(_) => 1 << one(value)?,
        // Python counts True as 1.
        Value::Bool(is_one) => 1 << in_range(field, i64::from(*is_one))?,
        Value::Array(list) if list.is_empty() => return Err("is empty, and Celery can't fire by it".to_owned()),
        Value::Array(list) => list.iter().try_fold(0, |set: u64, value| Ok::<_, String>(set | 1 << one(value)?))?,
        _ => return Err(format!("{} is neither a text nor a number nor a list of numbers", shown(value))),
    };
    Ok(Word { numbers, written: None })
}

fn read_word(field: &Field, word: &str) -> Result<Word, String> {
    if word.len() > WORD_MAX_BYTES {
        return Err(format!("{} bytes are too many, {WORD_MAX_BYTES} are the most", word.len()));
    }
    let mut numbers = 0;
    for part in word.split(',') {
        if part.is_empty() {
            return Err(format!("{:?} has an empty part, which Celery refuses", shortened(word)));
        }
        for number in read_part(field, part)? {
            numbers |= 1 << number;
        }
    }
    let written = word.split(',').all(|part| is_cron(field, part)).then(|| word.to_owned());
    Ok(Word { numbers, written })
}

/// One part of a list, by Celery's patterns, which look at its beginning and ignore what follows a match.
fn read_part(field: &Field, part: &str) -> Result<Vec<u32>, String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let end_of_word = |text: &str| text.find(|c| !is_word(c)).unwrap_or(text.len());
    // a-b, a-b/n
    let first = end_of_word(part);
    if first > 0
        && let Some(rest) = part[first..].strip_prefix('-')
        && end_of_word(rest) > 0
    {
        let (last, rest) = rest.split_at(end_of_word(rest));
        let numbers = range(field, number(field, &part[..first])?, number(field, last)?);
        return match rest.strip_prefix('/') {
            Some(rest) => stepped(numbers, &rest[..end_of_word(rest)], part),
            None => Ok(numbers),
        };
    }
    // *, */n
    if let Some(rest) = part.strip_prefix('*') {
        let numbers = (field.min..=field.max).collect();
        if let Some(rest) = rest.strip_prefix('/') {
            return stepped(numbers, &rest[..end_of_word(rest)], part);
        }
        if rest.is_empty() || rest == "\n" {
            return Ok(numbers);
        }
    }
    Ok(vec![number(field, part)?])
}

/// From `first` to `last`, past the end and on from the beginning where that is less.
fn range(field: &Field, first: u32, last: u32) -> Vec<u32> {
    match first <= last {
        true => (first..=last).collect(),
        false => (first..=field.max).chain(field.min..=last).collect(),
    }
}

fn stepped(numbers: Vec<u32>, step: &str, part: &str) -> Result<Vec<u32>, String> {
    let shown = shortened(part);
    match integer(step) {
        Some(step) if step > 0 => {
            Ok(numbers.into_iter().step_by(usize::try_from(step).unwrap_or(usize::MAX)).collect())
        }
        Some(_) => Err(format!("the step of {shown:?} is 0, which Celery refuses")),
        None => Err(format!("the step of {shown:?} is not a number, which Celery refuses")),
    }
}

/// A number, or the first three letters of a month or a day, in whatever word they stand.
fn number(field: &Field, text: &str) -> Result<u32, String> {
    if let Some(number) = integer(text) {
        return in_range(field, number);
    }
    let front: String = text.chars().take(3).collect::<String>().to_lowercase();
    let month = MONTHS.iter().position(|name| *name == front).map(|at| at + 1);
    let named = month.or_else(|| WEEK_DAYS.iter().position(|name| *name == front));
    match named {
        Some(number) => in_range(field, i64::try_from(number).unwrap_or_default()),
        None => Err(format!("{:?} is neither a number nor a name, which Celery refuses", shortened(text))),
    }
}

/// As Python reads it: blanks around it, a sign, and single `_` between digits.
fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix('+').unwrap_or(text);
    let is_grouped =
        digits.split('_').all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    if !is_grouped {
        return None;
    }
    digits.replace('_', "").parse().ok()
}

fn in_range(field: &Field, number: i64) -> Result<u32, String> {
    let found = u32::try_from(number).ok().filter(|number| (field.min..=field.max).contains(number));
    found.ok_or_else(|| {
        let sunday = if field.key == WEEK_DAY.key && number == 7 { "; Sunday is 0" } else { "" };
        format!("{number} is not between {} and {}, which Celery refuses{sunday}", field.min, field.max)
    })
}

/// Whether a part means in a cron expression what it means to Celery.
fn is_cron(field: &Field, part: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (what, step) = part.split_once('/').map_or((part, None), |(what, step)| (what, Some(step)));
    if step.is_some_and(|step| !is_number(step)) {
        return false;
    }
    if what == "*" {
        return true;
    }
    let value = |text: &str| {
        let named = || field.names.iter().position(|name| text.eq_ignore_ascii_case(name));
        match is_number(text) {
            true => text.parse::<usize>().ok(),
            false => named().map(|at| at + field.min as usize),
        }
    };
    match what.split_once('-') {
        Some((first, last)) => match (value(first), value(last)) {
            (Some(first), Some(last)) => first <= last,
            _ => false,
        },
        // 5/2 is nothing to Celery.
        None => step.is_none() && value(what).is_some(),
    }
}

fn all(field: &Field) -> u64 {
    (field.min..=field.max).fold(0, |set, number| set | 1 << number)
}

fn numbers(set: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |number| set >> number & 1 == 1)
}

/// `1-5,8`: as short as it can be written.
fn ranges(set: u64) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for number in numbers(set) {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => parts.push((number, number)),
        }
    }
    let text = |(first, last): &(u32, u32)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    };
    parts.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(schedule: Value) -> Result<Times> {
        times(schedule.as_object().unwrap())
    }

    fn cron(schedule: Value) -> String {
        match of(schedule).unwrap() {
            Times::Cron(text) => text,
            Times::Rule(rule) => panic!("{rule}"),
        }
    }

    #[test]
    fn what_both_read_alike_stays_as_it_is_written() {
        let captured = json!({"minute": "*/15", "hour": "0-6,22", "day_of_week": "mon-fri", "day_of_month": "*", "month_of_year": "*/3"});
        assert_eq!(cron(captured), "*/15 0-6,22 * */3 mon-fri");
        assert_eq!(cron(json!({})), "* * * * *");
        assert_eq!(cron(json!({"minute": 5, "hour": [4, 6], "day_of_week": "MON"})), "5 4,6 * * MON");
    }

    #[test]
    fn what_only_celery_reads_is_written_out() {
        assert_eq!(cron(json!({"minute": "0", "hour": "22-2/2"})), "0 0,2,22 * * *");
        assert_eq!(cron(json!({"minute": "0", "hour": "0", "day_of_week": "fri-mon"})), "0 0 * * 0,1,5,6");
        assert_eq!(cron(json!({"minute": " 5, 10 ", "hour": "jan", "day_of_week": "monday"})), "5,10 1 * * 1");
        assert_eq!(
            cron(json!({"minute": "*/20-3", "hour": "1-5 /2", "month_of_year": "December"})),
            "0,20,40 1-5 * 12 *"
        );
    }

    #[test]
    fn all_days_are_a_star() {
        assert_eq!(cron(json!({"minute": 0, "hour": 0, "day_of_month": "1-31", "day_of_week": "mon"})), "0 0 * * mon");
        assert_eq!(cron(json!({"minute": 0, "hour": 0, "day_of_month": 1, "day_of_week": "0-6"})), "0 0 1 * *");
        assert_eq!(cron(json!({"minute": 0, "hour": 0, "day_of_month": "*/2", "day_of_week": "1"})), "0 0 */2 * 1");
    }

    #[test]
    fn both_day_words_make_a_rule() {
        let first_monday = json!({"minute": 30, "hour": 9, "day_of_month": "1-7", "day_of_week": "mon"});
        let rule = "FREQ=DAILY;BYMONTHDAY=1,2,3,4,5,6,7;BYDAY=MO;BYHOUR=9;BYMINUTE=30;BYSECOND=0";
        assert_eq!(of(first_monday), Ok(Times::Rule(rule.to_owned())));
        let often = json!({"minute": "*/30", "day_of_month": "13", "day_of_week": "fri", "month_of_year": "1,2"});
        let rule = "FREQ=MINUTELY;BYMONTH=1,2;BYMONTHDAY=13;BYDAY=FR;BYMINUTE=0,30;BYSECOND=0";
        assert_eq!(of(often), Ok(Times::Rule(rule.to_owned())));
    }

    #[test]
    fn what_celery_refuses_is_refused_by_name() {
        for (key, value, why) in [
            ("minute", json!("5/2"), "\"5/2\" is neither a number nor a name"),
            ("minute", json!("60"), "60 is not between 0 and 59"),
            ("minute", json!("*/"), "the step of \"*/\" is not a number"),
            ("minute", json!("0-30/0"), "is 0, which Celery refuses"),
            ("minute", json!("1,,2"), "has an empty part"),
            ("minute", json!(""), "has an empty part"),
            ("minute", json!([]), "is empty, and Celery can't fire by it"),
            ("minute", json!(1.5), "1.5 is not a whole number"),
            ("minute", json!(-1), "-1 is not between 0 and 59"),
            ("minute", json!(["a"]), "\"a\" is not a whole number"),
            ("minute", json!({"__type__": "set"}), "is neither a text nor a number nor a list"),
            ("minute", json!("*".repeat(5000)), "5000 bytes are too many"),
            ("hour", json!("24"), "24 is not between 0 and 23"),
            ("day_of_week", json!("7"), "7 is not between 0 and 6, which Celery refuses; Sunday is 0"),
            ("day_of_month", json!("0"), "0 is not between 1 and 31"),
            ("month_of_year", json!("-3"), "\"-3\" is neither a number nor a name"),
        ] {
            let schedule = Value::Object(Map::from_iter([(key.to_owned(), value.clone())]));
            let error = of(schedule).unwrap_err().to_string();
            assert!(error.starts_with(&format!("schedule.{key}: ")) && error.contains(why), "{value}: {error}");
        }
        let never = of(json!({"day_of_month": "30,31", "month_of_year": "feb"})).unwrap_err().to_string();
        assert_eq!(never, "schedule.day_of_month: no month of month_of_year has such a day, it never fires");
    }
}
