//! The *what* of an entry: exec, shell, http, celery, stream, list, publish.

use std::collections::BTreeMap;

use crate::domain::celery::Celery;
use crate::domain::policy;
use crate::domain::span::Span;

/// What a run does; exactly one per entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A program with its arguments, no shell between; never empty.
    Exec(Vec<String>),
    /// A text for `/bin/sh -c`.
    Shell(String),
    /// An HTTP request.
    Http(Http),
    /// A task for Celery workers: delivered by the claim itself, or sent by a node ([`Celery::is_relayed`]).
    Celery(Box<Celery>),
    /// A message into a Redis stream, a list or a channel, delivered by the claim itself.
    Direct(Direct),
}

/// An HTTP request; `url` and the values of `headers` may be `secret:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Upper case; `GET` where none is named.
    pub method: String,
    /// `http` or `https`, or `secret:NAME`.
    pub url: String,
    /// Sent as they are.
    pub headers: BTreeMap<String, String>,
    /// Accepted statuses, inclusive ranges; `200-299` where none is named.
    pub ok: Vec<(u16, u16)>,
}

/// A message to a target on the same Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Direct {
    /// Which command writes it.
    pub form: DirectForm,
    /// Key or channel; never under upbeat's own prefix.
    pub target: String,
    /// A list or stream that holds as many fails the run, `target_full`; 0 for `publish`.
    pub max_len: u64,
    /// A full stream drops its oldest instead.
    pub trim: bool,
    /// Sends the payload alone.
    pub raw: bool,
}

/// How a direct message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectForm {
    /// `XADD`.
    Stream,
    /// `RPUSH`.
    List,
    /// `PUBLISH`.
    Publish,
}

/// The kinds of action that nodes serve; each has a waiting list of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`Action::Exec`].
    Exec,
    /// [`Action::Shell`].
    Shell,
    /// [`Action::Http`].
    Http,
    /// [`Action::Celery`] that a node sends.
    Celery,
}

impl Kind {
    /// The word of `--allow` and of the waiting list's name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Shell => "shell",
            Self::Http => "http",
            Self::Celery => "celery",
        }
    }
}

impl Action {
    /// What a node must be able to do; `None` for direct actions, which need no node.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Exec(_) => Some(Kind::Exec),
            Self::Shell(_) => Some(Kind::Shell),
            Self::Http(_) => Some(Kind::Http),
            Self::Celery(celery) => celery.is_relayed().then_some(Kind::Celery),
            Self::Direct(_) => None,
        }
    }

    /// Whether the claim itself delivers it: no node executes anything.
    pub fn is_direct(&self) -> bool {
        self.kind().is_none()
    }

    /// Whether it is a message, and done as soon as that is written.
    pub fn is_message(&self) -> bool {
        match self {
            Self::Celery(celery) => !celery.is_tracked,
            Self::Direct(_) => true,
            Self::Exec(_) | Self::Shell(_) | Self::Http(_) => false,
        }
    }

    /// The span after which an attempt ends where the entry names none.
    pub fn default_timeout(&self) -> Option<Span> {
        match self {
            Self::Http(_) => Some(policy::HTTP_TIMEOUT),
            Self::Celery(celery) if !celery.is_tracked => Some(policy::RELAY_TIMEOUT),
            _ => None,
        }
    }
}
