//! What other schedulers have, as a schedule file. Every source ends as one [`Import`]: the entries that behave as they
//! did there, what could not be carried over, each with its place and reason, and what behaves differently.

pub mod celery;
pub mod crontab;
mod ids;
pub mod k8s;
mod names;
pub mod redbeat;

use crate::domain::file::ScheduleFile;
use crate::error::Error;

pub(crate) use ids::Ids;

/// What became of a source.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Import {
    /// The entries, with the overlap and catch-up rules of the source written into each.
    pub file: ScheduleFile,
    /// What could not be carried over.
    pub refused: Vec<Refused>,
    /// What behaves differently, or needs a look.
    pub notes: Vec<String>,
    /// Lines for the end of the file, as comments.
    pub comments: Vec<String>,
}

/// A line, key or document that could not be carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Where it stands, in words of the source: `line 3`, `redbeat:tick`.
    pub place: String,
    /// What stands there, as far as it is worth showing.
    pub text: String,
    /// Why.
    pub reason: String,
    /// The way out.
    pub hint: Option<String>,
}

impl Import {
    /// Says it once.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// What stands at `place` is not carried over, because of `why`.
    pub fn refuse(&mut self, place: impl Into<String>, text: impl Into<String>, why: &Error) {
        let hint = why.problem().hint.clone();
        self.refused.push(Refused { place: place.into(), text: text.into(), reason: why.to_string(), hint });
    }
}
