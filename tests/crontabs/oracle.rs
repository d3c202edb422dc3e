//! The rules of cron(8) and crontab(5) of Debian, as they are written there, minute by minute.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A time that cron can read.
#[derive(Debug, Clone)]
pub struct Job {
    /// Minute, hour, day of the month, month, day of the week: whether each value is named.
    fields: [Vec<bool>; 5],
    /// Which of the five words begin with an asterisk.
    stars: [bool; 5],
}

const BOUNDS: [(usize, usize); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
const NAMES: [&str; 5] = ["", "", "", "jan feb mar apr may jun jul aug sep oct nov dec", "sun mon tue wed thu fri sat"];

impl Job {
    /// Reads the words that a line begins with; `None` for what is no time, and for `@reboot`.
    pub fn read(line: &str) -> Option<Self> {
        let line = line.trim_start();
        let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        let words = match *words.first()? {
            "@yearly" | "@annually" => vec!["0", "0", "1", "1", "*"],
            "@monthly" => vec!["0", "0", "1", "*", "*"],
            "@weekly" => vec!["0", "0", "*", "*", "0"],
            "@daily" | "@midnight" => vec!["0", "0", "*", "*", "*"],
            "@hourly" => vec!["0", "*", "*", "*", "*"],
            _ => words.get(..5)?.to_vec(),
        };
        let mut fields: [Vec<bool>; 5] = Default::default();
        for at in 0..5 {
            fields[at] = read_word(words[at], BOUNDS[at], NAMES[at])?;
        }
        // 0 and 7 are Sunday.
        let sunday = fields[4][0] || fields[4][7];
        (fields[4][0], fields[4][7]) = (sunday, sunday);
        Some(Self { fields, stars: std::array::from_fn(|at| words[at].starts_with('*')) })
    }

    /// Jobs that are run whenever the clock shows their time, however it is set.
    fn is_wildcard(&self) -> bool {
        self.stars[0] || self.stars[1]
    }

    fn is_day(&self, day: usize, month: usize, weekday: usize) -> bool {
        let (date, week) = (self.fields[2][day], self.fields[4][weekday]);
        self.fields[3][month] && if self.stars[2] || self.stars[4] { date && week } else { date || week }
    }

    /// Whether a minute of local time since 1970 is named.
    fn matches(&self, local: i64) -> bool {
        let of_day = usize::try_from(local.rem_euclid(1440)).unwrap();
        if !self.fields[0][of_day % 60] || !self.fields[1][of_day / 60] {
            return false;
        }
        let date = civil(local.div_euclid(1440));
        self.is_day(date.0, date.1, date.2)
    }

    /// The minutes in which it is run, of those whose local time is given; the first one only says where cron was.
    pub fn between(&self, clock: &Clock) -> Vec<i64> {
        let mut done = clock.local[0];
        let mut run = Vec::new();
        for (minute, &now) in (clock.from..).zip(&clock.local[1..]) {
            let is_small = (now - done).abs() <= 180;
            let is_run = match self.is_wildcard() {
                true => self.matches(now),
                // What a change of less than three hours passed over is run at once, what it repeats is not run again.
                false if is_small => (done + 1..=now).any(|local| self.matches(local)),
                false => self.matches(now),
            };
            done = if is_small { done.max(now) } else { now };
            if is_run {
                run.push(minute);
            }
        }
        run
    }

    /// Its first runs from a day on in UTC, where no clock is ever changed; none after the year 2099.
    pub fn first(&self, from_day: i64, count: usize) -> Vec<i64> {
        let mut run = Vec::new();
        for day in from_day..47_481 {
            let date = civil(day);
            if !self.is_day(date.0, date.1, date.2) {
                continue;
            }
            for of_day in 0..1440 {
                if self.fields[0][of_day % 60] && self.fields[1][of_day / 60] {
                    run.push(day * 1440 + i64::try_from(of_day).unwrap());
                }
            }
            if run.len() >= count {
                run.truncate(count);
                break;
            }
        }
        run
    }
}

/// A list of ranges; what follows a value up to the next blank is not looked at.
fn read_word(word: &str, (low, high): (usize, usize), names: &str) -> Option<Vec<bool>> {
    let mut set = vec![false; high + 1];
    let mut rest: &[u8] = word.as_bytes();
    let take = |rest: &mut &[u8], names: &str| -> Option<usize> {
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let token = std::str::from_utf8(&rest[..length]).ok()?.to_ascii_lowercase();
        *rest = &rest[length..];
        match names.split(' ').position(|name| name == token) {
            Some(at) if !token.is_empty() => Some(at + low),
            _ => token.parse().ok(),
        }
    };
    loop {
        let (from, to, may_step) = if rest.first() == Some(&b'*') {
            rest = &rest[1..];
            (low, high, true)
        } else {
            let from = take(&mut rest, names)?;
            if rest.first() == Some(&b'-') {
                rest = &rest[1..];
                (from, take(&mut rest, names)?, true)
            } else {
                (from, from, false)
            }
        };
        let mut step = 1;
        if rest.first() == Some(&b'/') {
            rest = &rest[1..];
            step = take(&mut rest, "").filter(|step| may_step && *step > 0)?;
        }
        if [from, to].iter().any(|value| !(low..=high).contains(value)) {
            return None;
        }
        (from..=to).step_by(step).for_each(|value| set[value] = true);
        if rest.first() != Some(&b',') {
            return Some(set);
        }
        rest = &rest[1..];
    }
}

/// Minutes since 1970 as the clock on the wall of a zone counts them.
pub struct Clock {
    from: i64,
    local: Vec<i64>,
}

impl Clock {
    /// From one minute up to another, and the one before.
    pub fn of(zone: &str, from: i64, until: i64) -> Self {
        let zone = TimeZone::get(zone).unwrap();
        let local = |minute: i64| {
            let at = Timestamp::from_second(minute * 60).unwrap();
            minute + i64::from(zone.to_offset(at).seconds()).div_euclid(60)
        };
        Self { from, local: (from - 1..until).map(local).collect() }
    }
}

/// Day of the month, month and weekday of a day since 1970.
fn civil(day: i64) -> (usize, usize, usize) {
    let weekday = usize::try_from((day + 4).rem_euclid(7)).unwrap();
    // Years that begin in March, 400 at a time.
    let shifted = day + 719_468;
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (usize::try_from(date).unwrap(), usize::try_from(month).unwrap(), weekday)
}
