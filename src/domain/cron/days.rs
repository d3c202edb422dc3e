//! The two day words as sets of dates, with `L`, `LW`, `15W`, `5L` and `MON#2`.

use chrono::{Datelike, NaiveDate};

use super::field::{self, Field, MONTH_DAY, Refusal, WEEK_DAY};

/// Days of the month; bit n stands for the day n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct MonthDays {
    pub(super) plain: u64,
    /// `L`: the last day.
    pub(super) last: bool,
    /// `LW`: the last day that is Monday to Friday.
    pub(super) last_weekday: bool,
    /// `15W`: the day Monday to Friday nearest to that day, in the same month; none where the month lacks the day.
    pub(super) nearest: u64,
}

/// Days of the week; bit 0 stands for Sunday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct WeekDays {
    pub(super) plain: u64,
    /// `5L`: the last Friday of the month.
    pub(super) last: u64,
    /// `MON#2`: the second Monday of the month, bit 1 of the second set.
    pub(super) nth: [u64; 5],
}

impl MonthDays {
    pub(super) fn read(word: &str) -> Result<Self, Refusal> {
        let mut days = Self::default();
        for item in field::items(word)? {
            let upper = item.to_ascii_uppercase();
            match upper.strip_suffix('W') {
                _ if upper == "L" => days.last = true,
                Some("L") => days.last_weekday = true,
                Some(day) if !day.is_empty() && !day.contains(['-', '/', 'L', '*']) => {
                    days.nearest |= 1 << MONTH_DAY.value(day)?
                }
                Some(_) => {
                    return Err(Refusal::new(format!("{item} is not a weekday near a date"))
                        .hint("write 15W, or LW for the last weekday of the month"));
                }
                None if upper.starts_with("L-") => {
                    return Err(Refusal::new(format!("{item}: days before the last are not in this version yet")));
                }
                None => days.plain |= field::read_item(&MONTH_DAY, item)?,
            }
        }
        Ok(days)
    }

    pub(super) fn any() -> Self {
        Self { plain: MONTH_DAY.all(), ..Self::default() }
    }

    pub(super) fn is_all(&self) -> bool {
        self.plain == MONTH_DAY.all()
    }

    /// Whether `plain` is all there is.
    pub(super) fn is_plain(&self) -> bool {
        !self.last && !self.last_weekday && self.nearest == 0
    }

    /// The numbers that a matching day can have.
    pub(super) fn candidates(&self) -> u64 {
        let last = if self.last { set(28, 31) } else { 0 };
        let last_weekday = if self.last_weekday { set(26, 31) } else { 0 };
        let nearest = self.nearest << 2 | self.nearest << 1 | self.nearest | self.nearest >> 1 | self.nearest >> 2;
        (self.plain | last | last_weekday | nearest) & MONTH_DAY.all()
    }

    pub(super) fn matches(&self, date: NaiveDate) -> bool {
        let length = length_of_month(date);
        self.plain >> date.day() & 1 == 1
            || self.last && date.day() == length
            || self.last_weekday && nearest_weekday(date, length) == Some(date.day())
            || (1..=length).any(|day| self.nearest >> day & 1 == 1 && nearest_weekday(date, day) == Some(date.day()))
    }
}

impl WeekDays {
    pub(super) fn read(word: &str) -> Result<Self, Refusal> {
        let mut days = Self::default();
        for item in field::items(word)? {
            let upper = item.to_ascii_uppercase();
            if let Some((day, number)) = item.split_once('#') {
                let Some(index) = ["1", "2", "3", "4", "5"].iter().position(|known| *known == number) else {
                    return Err(Refusal::new(format!("{number:?} in {item} is out of range 1-5")));
                };
                if day.is_empty() {
                    return Err(Refusal::new(format!("{item} lacks its day")).hint(format!("write MON{item}")));
                }
                days.nth[index] |= one_day(day)?;
            } else if upper == "L" {
                return Err(Refusal::new("L alone means nothing here")
                    .hint("write 5L for the last Friday of the month, 6 for Saturday"));
            } else if let Some(day) = upper.strip_suffix('L') {
                days.last |= one_day(day)?;
            } else {
                days.plain |= fold_sunday(field::read_item(&WEEK_DAY, item)?);
            }
        }
        Ok(days)
    }

    pub(super) fn any() -> Self {
        Self { plain: set(0, 6), ..Self::default() }
    }

    pub(super) fn is_all(&self) -> bool {
        self.plain == set(0, 6)
    }

    /// Whether `plain` is all there is.
    pub(super) fn is_plain(&self) -> bool {
        self.last == 0 && self.nth == [0; 5]
    }

    /// The weekdays that a matching day can have.
    pub(super) fn candidates(&self) -> u64 {
        self.nth.iter().fold(self.plain | self.last, |days, nth| days | nth)
    }

    /// The numbers of the days of the month that a matching day can have.
    pub(super) fn month_days(&self) -> u64 {
        let plain = if self.plain == 0 { 0 } else { MONTH_DAY.all() };
        let last = if self.last == 0 { 0 } else { set(22, 31) };
        let weeks = (1..).step_by(7).zip(self.nth);
        let nth =
            weeks.filter(|(_, days)| *days != 0).fold(0, |set_of_nth, (first, _)| set_of_nth | set(first, first + 6));
        (plain | last | nth) & MONTH_DAY.all()
    }

    pub(super) fn matches(&self, date: NaiveDate) -> bool {
        let weekday = date.weekday().num_days_from_sunday();
        let has = |days: u64| days >> weekday & 1 == 1;
        let nth = usize::try_from((date.day() - 1) / 7).unwrap_or_default();
        has(self.plain)
            || has(self.last) && date.day() + 7 > length_of_month(date)
            || self.nth.get(nth).is_some_and(|days| has(*days))
    }
}

fn one_day(token: &str) -> Result<u64, Refusal> {
    const FIELD: &Field = &WEEK_DAY;
    FIELD.value(token).map(|day| fold_sunday(1 << day))
}

/// 7 is 0.
fn fold_sunday(days: u64) -> u64 {
    (days | days >> 7) & set(0, 6)
}

fn set(from: u32, to: u32) -> u64 {
    (from..=to).fold(0, |set, value| set | 1 << value)
}

fn length_of_month(date: NaiveDate) -> u32 {
    u32::from(date.num_days_in_month())
}

/// The day Monday to Friday nearest to `day` in the month of `date`, never in another month.
fn nearest_weekday(date: NaiveDate, day: u32) -> Option<u32> {
    let length = length_of_month(date);
    Some(match date.with_day(day)?.weekday() {
        chrono::Weekday::Sat if day == 1 => 3,
        chrono::Weekday::Sat => day - 1,
        chrono::Weekday::Sun if day == length => day - 2,
        chrono::Weekday::Sun => day + 1,
        _ => day,
    })
}
