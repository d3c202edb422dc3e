//! What people may have had in mind who wrote something else than five or six fields.

use super::field::{self, Refusal};
use super::read_words;

/// The refusal of a wrong number of words.
pub(super) fn for_count(count: usize, words: &[&str]) -> Refusal {
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
        // seconds first and a year last, as in Quartz
        7 if read_words(words[0], &plain(&words[1..6])).is_ok() => {
            refusal.hint("a year is not part of it; limit the entry with start and end")
        }
        _ if is_expression => {
            refusal.hint("this looks like a whole crontab line; give the command as the action of the entry")
        }
        _ if count > 6 => refusal.hint("quote the expression, or the shell turns * into file names"),
        _ => refusal.hint("write minute hour day-of-month month day-of-week, like 30 2 * * *"),
    }
}

/// Who writes `?` comes from Quartz, where days of the week count from another day.
pub(super) fn for_quartz(refusal: Refusal, words: &[&str]) -> Refusal {
    let has_number = words.last().is_some_and(|day| day.bytes().any(|byte| byte.is_ascii_digit()));
    match words.contains(&"?") && has_number {
        true => refusal.hint("write * instead of ?, and days of the week from 0, Sunday; Quartz counts from 1"),
        false => refusal,
    }
}

/// What people who wrote six words may have had in mind.
pub(super) fn for_six(refusal: Refusal, words: &[&str]) -> Refusal {
    let last = words[5];
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number && last != "?" && read_words("0", &words[..5]).is_ok() && !field::WEEK_DAY.is_near(last) {
        return Refusal::new(format!("{last:?} is not a day of the week")).about(field::WEEK_DAY.name).hint(
            "this looks like a crontab line with its user or command; give the command as the action of the entry",
        );
    }
    let refusal = for_quartz(refusal, words);
    match refusal.hint {
        Some(_) => refusal,
        None if is_number && last.len() == 4 => refusal.hint("six fields begin with seconds; a year is not part of it"),
        None => refusal.hint("six fields begin with seconds; leave them out for the usual five"),
    }
}

/// The words with `*` for `?`.
fn plain<'w>(words: &[&'w str]) -> Vec<&'w str> {
    words.iter().map(|word| if *word == "?" { "*" } else { word }).collect()
}
