//! What an expression does that many who write one do not expect.

use super::Cron;
use super::field::{Field, HOUR, MINUTE, MONTH, MONTH_DAY, SECOND, WEEK_DAY};
use crate::domain::span::Span;

/// A trap, with its words as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trap {
    /// A day of the month and a day of the week: one of the two is enough.
    EitherDay {
        /// The day-of-month word.
        month_day: String,
        /// The day-of-week word.
        week_day: String,
    },
    /// A step that starts over before it comes round.
    Uneven {
        /// `minute`, `hour`, ...
        field: &'static str,
        /// `*/7`.
        word: String,
        /// The last value before it starts over, and the first.
        last_and_first: (u32, u32),
        /// The length that it is taken for, where the expression is nothing but this step.
        meant: Option<Span>,
    },
    /// A step that is as long as the field: it stands for one value.
    One {
        /// `minute`, `hour`, ...
        field: &'static str,
        /// `*/90`.
        word: String,
        /// That value.
        value: u32,
        /// The length that it is taken for, where the expression is nothing but this step.
        meant: Option<Span>,
    },
}

impl Cron {
    /// The traps in it.
    pub fn traps(&self) -> Vec<Trap> {
        const FIELDS: [&Field; 6] = [&SECOND, &MINUTE, &HOUR, &MONTH_DAY, &MONTH, &WEEK_DAY];
        let words: Vec<&str> = self.compiled.resolved.split(' ').collect();
        let fields = &FIELDS[FIELDS.len() - words.len()..];
        let mut traps: Vec<Trap> = fields
            .iter()
            .zip(&words)
            .enumerate()
            .filter_map(|(at, (field, word))| step(field, word, at, &words))
            .collect();
        let days = &self.compiled.fields;
        if let [.., month_day, _, week_day] = words[..]
            && !days.needs_both_days
            && !days.month_days.is_all()
            && !days.week_days.is_all()
        {
            traps.push(Trap::EitherDay { month_day: month_day.to_owned(), week_day: week_day.to_owned() });
        }
        traps
    }
}

fn step(field: &'static Field, word: &str, at: usize, words: &[&str]) -> Option<Trap> {
    let step: u32 = word.strip_prefix("*/")?.parse().ok()?;
    // 7 is Sunday again.
    let last = if field.name == WEEK_DAY.name { 6 } else { field.max };
    let count = last - field.min + 1;
    let unit_ms = match field.name {
        name if name == SECOND.name => 1_000,
        name if name == MINUTE.name => 60_000,
        name if name == HOUR.name => 3_600_000,
        name if name == MONTH_DAY.name => 86_400_000,
        _ => 0,
    };
    // Before it fixed values, behind it anything: then it is the step alone that people read.
    let is_alone = words[..at].iter().all(|word| word.bytes().all(|byte| byte.is_ascii_digit()))
        && words[at + 1..].iter().all(|word| *word == "*");
    let meant = (is_alone && unit_ms > 0).then(|| Span(u64::from(step) * unit_ms));
    let word = word.to_owned();
    if step >= count {
        return Some(Trap::One { field: field.name, word, value: field.min, meant });
    }
    // Months are not equally long: no step comes round at their end.
    let is_even = count.is_multiple_of(step) && (field.name != MONTH_DAY.name || step == 1);
    let last = field.min + (count - 1) / step * step;
    (!is_even).then_some(Trap::Uneven { field: field.name, word, last_and_first: (last, field.min), meant })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traps(text: &str) -> Vec<Trap> {
        Cron::parse("cron", text).unwrap().traps()
    }

    fn uneven(field: &'static str, word: &str, last_and_first: (u32, u32), meant: Option<u64>) -> Vec<Trap> {
        vec![Trap::Uneven { field, word: word.to_owned(), last_and_first, meant: meant.map(|s| Span(s * 1000)) }]
    }

    #[test]
    fn steps_that_do_not_come_round_are_traps() {
        assert_eq!(traps("*/7 * * * *"), uneven("minute", "*/7", (56, 0), Some(420)));
        assert_eq!(traps("*/45 * * * *"), uneven("minute", "*/45", (45, 0), Some(2700)));
        assert_eq!(traps("0 */5 * * *"), uneven("hour", "*/5", (20, 0), Some(18_000)));
        assert_eq!(traps("*/7 9-17 * * *"), uneven("minute", "*/7", (56, 0), None));
        assert_eq!(traps("0 0 */2 * *"), uneven("day-of-month", "*/2", (31, 1), Some(172_800)));
        assert_eq!(traps("*/40 * * * * *"), uneven("second", "*/40", (40, 0), Some(40)));
        let one = |value: u64| Some(Span(value * 60_000));
        assert_eq!(
            traps("*/90 * * * *"),
            [Trap::One { field: "minute", word: "*/90".into(), value: 0, meant: one(90) }]
        );
    }

    #[test]
    fn two_day_words_are_a_trap_unless_both_must_match() {
        let either = Trap::EitherDay { month_day: "13".into(), week_day: "fri".into() };
        assert_eq!(traps("0 0 13 * fri"), [either]);
    }

    #[test]
    fn ordinary_expressions_are_none() {
        for text in [
            "*/5 * * * *",
            "*/1 * * * *",
            "0 */6 * * *",
            "0 9 * * mon-fri",
            "0 0 1,15 * *",
            "@daily",
            "*/30 * * * * *",
            "0 0 * */3 *",
            "0 0 13 * *",
            "0 0 */1 * fri",
            "0 0 L * *",
        ] {
            assert_eq!(traps(text), [], "{text}");
        }
    }
}
