//! The one error type of the library, by what the caller can do about it.
//!
//! A lost race is a value and never an error.

use std::fmt;

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by what the caller can do about it.
///
/// Mapped once to an exit code ([`Error::exit_code`]) and once to a word ([`Error::code`]).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input is wrong; nothing was changed. Exit code 2.
    #[error("{0}")]
    Invalid(Problem),
    /// What was named does not exist. Exit code 3.
    #[error("{0}")]
    NotFound(Problem),
    /// It exists already, changed meanwhile, or is in the wrong state. Exit code 4.
    #[error("{0}")]
    Conflict(Problem),
    /// Redis can't be used, or the outcome of a change is unknown. Exit code 5.
    #[error("{0}")]
    Unavailable(Problem),
    /// A record in Redis can't be read. Exit code 5.
    #[error("{0}")]
    Corrupt(Problem),
    /// Time is up while waiting. Exit code 6.
    #[error("{0}")]
    TimedOut(Problem),
    /// A bug of upbeat. Exit code 70.
    #[error("{0}")]
    Internal(Problem),
}

/// One complaint: field, value, reason and the way out. Lower case, no full stop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problem {
    /// The field, flag or thing that the complaint is about, as the user spells it.
    pub field: Option<String>,
    /// The value that was refused.
    pub value: Option<String>,
    /// Why; complete without the other parts except `field`.
    pub message: String,
    /// What to do instead.
    pub hint: Option<String>,
    /// Where it stands, in a file.
    pub place: Option<Box<Place>>,
    /// Of two who changed the same, what either wanted.
    pub sides: Option<Box<Sides>>,
}

/// What two wanted of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    /// Both, for people.
    pub lines: Vec<String>,
    /// The change that was refused, for programs: `{change, fields: [{field, old, new}]}`.
    pub yours: serde_json::Value,
    /// The revisions that came before it, the newest first.
    pub theirs: serde_json::Value,
}

/// Where in a file something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

impl Problem {
    /// A complaint about `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: Some(field.into()), message: message.into(), ..Self::default() }
    }

    /// A complaint that belongs to no field.
    pub fn bare(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// Adds the refused value.
    #[must_use]
    pub fn value(mut self, value: impl Into<String>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says where it stands.
    #[must_use]
    pub fn at(mut self, file: impl Into<String>, line: Option<usize>) -> Self {
        self.place = Some(Box::new(Place { file: file.into(), line }));
        self
    }

    /// Puts `prefix` in front of the field: `tz` becomes `entries.nightly.tz`.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.field = Some(match self.field {
            Some(field) => format!("{prefix}.{field}"),
            None => prefix.to_owned(),
        });
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl Error {
    /// [`Error::Invalid`] about `field`.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(Problem::new(field, message))
    }

    /// [`Error::Internal`]: something that can't happen did.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::Internal(Problem::bare(message))
    }

    /// The same error with a way out.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        self.map(|problem| problem.hint(hint))
    }

    /// The same error with another way out behind the one that it has.
    #[must_use]
    pub fn also_hint(self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        self.map(|problem| match &problem.hint {
            Some(first) => {
                let both = format!("{first} {hint}");
                problem.hint(both)
            }
            None => problem.hint(hint),
        })
    }

    /// The same error with the refused value.
    #[must_use]
    pub fn value(self, value: impl Into<String>) -> Self {
        self.map(|problem| problem.value(value))
    }

    /// The same error with where it stands.
    #[must_use]
    pub fn at(self, file: impl Into<String>, line: Option<usize>) -> Self {
        self.map(|problem| problem.at(file, line))
    }

    /// The same error with `prefix` before its field.
    #[must_use]
    pub fn under(self, prefix: &str) -> Self {
        self.map(|problem| problem.under(prefix))
    }

    /// The complaint inside.
    pub fn problem(&self) -> &Problem {
        match self {
            Self::Invalid(p) | Self::NotFound(p) | Self::Conflict(p) | Self::Unavailable(p) => p,
            Self::Corrupt(p) | Self::TimedOut(p) | Self::Internal(p) => p,
        }
    }

    /// The word for programs, as in the error object of the command line.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::NotFound(_) => "not_found",
            Self::Conflict(_) => "conflict",
            Self::Unavailable(_) => "unavailable",
            Self::Corrupt(_) => "corrupt",
            Self::TimedOut(_) => "timed_out",
            Self::Internal(_) => "internal",
        }
    }

    /// The exit code of the command line.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Invalid(_) => 2,
            Self::NotFound(_) => 3,
            Self::Conflict(_) => 4,
            Self::Unavailable(_) | Self::Corrupt(_) => 5,
            Self::TimedOut(_) => 6,
            Self::Internal(_) => 70,
        }
    }

    fn map(self, change: impl FnOnce(Problem) -> Problem) -> Self {
        match self {
            Self::Invalid(p) => Self::Invalid(change(p)),
            Self::NotFound(p) => Self::NotFound(change(p)),
            Self::Conflict(p) => Self::Conflict(change(p)),
            Self::Unavailable(p) => Self::Unavailable(change(p)),
            Self::Corrupt(p) => Self::Corrupt(change(p)),
            Self::TimedOut(p) => Self::TimedOut(change(p)),
            Self::Internal(p) => Self::Internal(change(p)),
        }
    }
}
