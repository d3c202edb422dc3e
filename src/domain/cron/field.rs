//! One word of an expression as a set of numbers: lists of `*`, `n` and `n-m`, each with a step.

/// Why a word is refused; the caller adds the name of the field.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) hint: Option<String>,
}

impl Refusal {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn about(mut self, name: &str) -> Self {
        self.reason = format!("{name}: {}", self.reason);
        self
    }
}

/// What a field may hold.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) min: u32,
    pub(super) max: u32,
    /// Names of the values from `min` on.
    names: &'static [&'static str],
}

pub(super) const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
pub(super) const WEEK_DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

pub(super) static SECOND: Field = Field { name: "second", min: 0, max: 59, names: &[] };
pub(super) static MINUTE: Field = Field { name: "minute", min: 0, max: 59, names: &[] };
pub(super) static HOUR: Field = Field { name: "hour", min: 0, max: 23, names: &[] };
pub(super) static MONTH_DAY: Field = Field { name: "day-of-month", min: 1, max: 31, names: &[] };
pub(super) static MONTH: Field = Field { name: "month", min: 1, max: 12, names: &MONTHS };
/// 7 is Sunday too; it is folded to 0 after the steps are taken.
pub(super) static WEEK_DAY: Field = Field { name: "day-of-week", min: 0, max: 7, names: &WEEK_DAYS };

impl Field {
    /// The set of all values.
    pub(super) fn all(&self) -> u64 {
        (self.min..=self.max).fold(0, |set, value| set | 1 << value)
    }

    /// The number or name `token`.
    pub(super) fn value(&self, token: &str) -> Result<u32, Refusal> {
        if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) {
            return match token.parse::<u32>() {
                Ok(value) if (self.min..=self.max).contains(&value) => Ok(value),
                _ => Err(Refusal::new(format!("{token} is out of range {}-{}", self.min, self.max))),
            };
        }
        let upper = token.to_ascii_uppercase();
        if let Some(index) = self.names.iter().position(|name| *name == upper) {
            return Ok(self.min + u32::try_from(index).unwrap_or_default());
        }
        Err(self.no_value(token))
    }

    /// Whether any part of `word` is a value, so that the word is meant for this field.
    pub(super) fn is_near(&self, word: &str) -> bool {
        word.split([',', '-', '/', '#']).any(|token| token == "*" || self.value(token).is_ok())
    }

    fn no_value(&self, token: &str) -> Refusal {
        if token.is_empty() {
            return Refusal::new("a number is missing");
        }
        if token == "?" {
            return Refusal::new("? is not supported").hint("write * instead of ?");
        }
        if let Some(bad) = token.chars().find(|c| !c.is_ascii_alphanumeric() && !"*,-/#.+".contains(*c)) {
            return Refusal::new(format!("character {bad:?} is not allowed in a cron expression"));
        }
        if token.contains('*') {
            return Refusal::new(format!("{token} is glued together"))
                .hint("write * alone, */5 for steps, and blanks between the fields");
        }
        let is_name = token.bytes().all(|byte| byte.is_ascii_alphabetic());
        match (is_name, self.names) {
            (true, [first, .., last]) => {
                let refusal = Refusal::new(format!("{token} is not a name, they are {first} to {last}"));
                match self
                    .names
                    .iter()
                    .find(|name| token.get(..2).is_some_and(|front| name[..2].eq_ignore_ascii_case(front)))
                {
                    Some(near) => refusal.hint(format!("did you mean {near}")),
                    None => refusal,
                }
            }
            (true, _) => Refusal::new(format!("{token} is not a number {}-{}", self.min, self.max)),
            _ => Refusal::new(format!("{token} is not a whole number")),
        }
    }
}

/// The set that `word` stands for, a list of items.
pub(super) fn read(field: &Field, word: &str) -> Result<u64, Refusal> {
    items(word)?.into_iter().try_fold(0, |set, item| Ok(set | read_item(field, item)?))
}

/// The items of a list, none of them empty.
pub(super) fn items(word: &str) -> Result<Vec<&str>, Refusal> {
    let items: Vec<&str> = word.split(',').collect();
    if items.iter().any(|item| item.is_empty()) {
        return Err(Refusal::new(format!("empty item in the list {word}")));
    }
    Ok(items)
}

/// The set that one item of a list stands for.
pub(super) fn read_item(field: &Field, item: &str) -> Result<u64, Refusal> {
    let upper = item.to_ascii_uppercase();
    let is_hashed = |part: &str| part == "H" || part.starts_with("H/") || part.starts_with("H(");
    if is_hashed(&upper) || upper.split('-').any(is_hashed) {
        return Err(super::hashed::refusal(item));
    }
    if upper.contains('#') || (upper.ends_with(['L', 'W']) && !upper.ends_with("JUL")) {
        return Err(Refusal::new(format!("{item} means nothing here"))
            .hint("L, LW and 15W are for day-of-month, 5L and MON#2 for day-of-week"));
    }
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(read_step(item, step)?)),
        None => (item, None),
    };
    let (from, to) = match range {
        "" => {
            return Err(
                Refusal::new(format!("nothing stands before the step in {item}")).hint(format!("write *{item}"))
            );
        }
        "*" => (field.min, field.max),
        _ => match range.split_once('-') {
            Some((from, to)) => read_range(field, range, from, to)?,
            None => {
                let value = field.value(range)?;
                (value, if step.is_some() { field.max } else { value })
            }
        },
    };
    let step = step.unwrap_or(1);
    Ok((from..=to).step_by(step).fold(0, |set, value| set | 1 << value))
}

fn read_step(item: &str, step: &str) -> Result<usize, Refusal> {
    if step.is_empty() || !step.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::new(format!("the step of {item} is not a whole number")));
    }
    match step.parse().unwrap_or(usize::MAX) {
        0 => Err(Refusal::new(format!("the step of {item} is 0"))),
        step => Ok(step),
    }
}

fn read_range(field: &Field, range: &str, from: &str, to: &str) -> Result<(u32, u32), Refusal> {
    if from.is_empty() {
        return Err(Refusal::new(format!("{range} is negative or lacks its beginning")));
    }
    if to.is_empty() || to.contains('-') || from == "*" || to == "*" {
        return Err(Refusal::new(format!("{range} is not a range")).hint("write two values, like 1-5"));
    }
    let (first, last) = (field.value(from)?, field.value(to)?);
    if first > last {
        let (min, max) = match field.names {
            [min, .., max] if from.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                ((*min).to_owned(), (*max).to_owned())
            }
            _ => (field.min.to_string(), field.max.to_string()),
        };
        let span = |a: &str, b: &str| {
            if a.eq_ignore_ascii_case(b) { a.to_owned() } else { format!("{a}-{b}") }
        };
        return Err(Refusal::new(format!("range {range} runs backwards")).hint(format!(
            "write {},{}",
            span(from, &max),
            span(&min, to)
        )));
    }
    Ok((first, last))
}
