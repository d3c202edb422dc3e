//! Who asks, and under which id: what every change by people carries.

use std::fmt::Write as _;

use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};

/// Longest request id, bytes.
const ID_MAX_BYTES: usize = 200;
/// Longest actor, bytes.
const ACTOR_MAX_BYTES: usize = 256;
/// Longest reason, bytes.
const REASON_MAX_BYTES: usize = 1024;

/// An instant that somebody named: what it was read as, and how it was written; the same words ask for the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The instant.
    pub at: Timestamp,
    /// Its words.
    pub text: String,
}

impl From<Timestamp> for Said {
    fn from(at: Timestamp) -> Self {
        Self { at, text: at.to_rfc3339() }
    }
}

/// The words of an instant that need not be named, as part of what is asked for.
pub(super) fn said(said: Option<&Said>) -> &str {
    said.map_or("", |said| said.text.as_str())
}

/// A request that changes something.
#[derive(Debug, Clone)]
pub struct Request {
    /// The same id gets the same answer for 24 h; with other content it is refused.
    pub id: String,
    /// Who asks.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// Says what would happen and writes nothing.
    pub is_dry_run: bool,
}

impl Request {
    /// Refuses what could not be kept.
    pub(super) fn check(&self) -> Result<()> {
        let is_odd = |c: char| c.is_whitespace() || c.is_control();
        if self.id.is_empty() || self.id.len() > ID_MAX_BYTES || self.id.contains(is_odd) {
            let why = format!("an id of 1 to {ID_MAX_BYTES} bytes without blanks is needed");
            return Err(Error::invalid("request-id", why).value(&self.id));
        }
        for (field, text, most) in [
            ("actor", self.actor.as_str(), ACTOR_MAX_BYTES),
            ("reason", self.reason.as_deref().unwrap_or_default(), REASON_MAX_BYTES),
        ] {
            if text.len() > most {
                return Err(Error::invalid(field, format!("{} bytes are too many, {most} are the most", text.len())));
            }
        }
        Ok(())
    }

    /// The id of one atomic step of it.
    pub(super) fn step(&self, shard: u16, number: usize) -> String {
        format!("{}/{shard}/{number}", self.id)
    }

    /// Who and why, for people.
    pub(super) fn words(&self) -> String {
        match &self.reason {
            Some(reason) => format!("by {}: {reason}", self.actor),
            None => format!("by {}", self.actor),
        }
    }

    /// The complaint about an id that came before with other content.
    pub(super) fn used_before(&self) -> Error {
        Error::Conflict(
            Problem::new("request-id", format!("{} was used for another request", self.id))
                .value(&self.id)
                .hint("use a new id for each request; only a repetition has the same"),
        )
    }
}

/// What is asked for as one text: the same parts give the same text, others another.
pub(super) fn content<'p>(verb: &str, parts: impl IntoIterator<Item = &'p str>) -> String {
    let mut text = verb.to_owned();
    for part in parts {
        // Writing into a string does not fail.
        let _ = write!(text, "\n{} ", part.len());
        text.push_str(part);
    }
    text
}
