//! The *how* of an entry: overlap, catch-up and their defaults.

use serde_json::Value;

use crate::domain::fields::keys_of;
use crate::domain::nearest::not_one_of;
use crate::domain::reading::{inside, known_keys, shown, text, whole};
use crate::domain::span::Span;
use crate::error::{Error, Result};

/// What to do when a fire time comes while another run of the entry is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// Run beside it.
    Allow,
    /// Record the fire time as `skipped`, `overlap`.
    #[default]
    Skip,
    /// Let one run wait until the active one has ended; skip what comes meanwhile.
    BufferOne,
    /// Let up to 100 runs wait, in their order; skip what comes beyond.
    BufferAll,
    /// Cancel the active run; the new one starts when it has ended.
    CancelOther,
}

/// What to do with fire times that are found late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CatchUp {
    /// Record them all as `missed`, `too_late`.
    None,
    /// Run the newest, record the others as `missed`, `superseded`.
    #[default]
    Latest,
    /// Run the newest `max_runs` of them, oldest first, at most `per_minute`.
    All {
        /// 1 to 100; what is beyond is `missed`, `catch_up_limit`.
        max_runs: u16,
        /// 1 to 60,000; pace of the back-log.
        per_minute: u16,
    },
}

/// What becomes of a run whose attempt was lost with its node, or handed back by one that stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// It is attempted again: an attempt may have begun more than once.
    #[default]
    AtLeastOnce,
    /// It is not: the run is `failed`.
    AtMostOnce,
}

impl CatchUp {
    /// The words of `mode`.
    pub const WORDS: [&str; 3] = ["none", "latest", "all"];
    /// `max_runs` of `all` where it is not named, and its greatest value.
    pub const MAX_RUNS: u16 = 100;
    /// `per_minute` of `all` where it is not named.
    pub const PER_MINUTE: u16 = 60;
    /// Greatest `per_minute`.
    pub const PER_MINUTE_MAX: u16 = 60_000;
}

/// Runs of each entry that stay on record, and as many that did not succeed, apart.
pub const KEEP_RUNS: u16 = 100;
/// Greatest `keep_runs`.
pub const KEEP_RUNS_MAX: u16 = 10_000;
/// Greatest `max_fires`.
pub const MAX_FIRES_MAX: u32 = 1_000_000_000;
/// How long a node may take to send a message to another Redis.
pub const RELAY_TIMEOUT: Span = Span(30_000);
/// Timeout of an `http` attempt where the entry names none.
pub const HTTP_TIMEOUT: Span = Span(30_000);
/// From SIGTERM to SIGKILL.
pub const KILL_AFTER: Span = Span(10_000);
/// Greatest definition, bytes of JSON.
pub const DEFINITION_MAX_BYTES: usize = 64 * 1024;
/// Greatest payload, bytes as sent.
pub const PAYLOAD_MAX_BYTES: usize = 64 * 1024;
/// Output kept of an attempt, bytes from its end.
pub const OUTPUT_MAX_BYTES: usize = 64 * 1024;
/// Result that an attempt may leave, bytes.
pub const RESULT_MAX_BYTES: usize = 16 * 1024;
/// Take-overs of one run after which it is `failed`, `lost`.
pub const TAKE_OVERS: u8 = 3;
/// Runs of one entry that wait for those before them, at most; `lua/parts/waits.lua` has the same number.
pub const WAITING_MAX: usize = 100;
/// Greatest `max_running`.
pub const MAX_RUNNING_MAX: u16 = 1_000;
/// Greatest number of labels.
pub const LABELS_MAX: usize = 32;
/// Longest key of a label, bytes.
pub const LABEL_KEY_MAX_BYTES: usize = 64;
/// Longest value of a label, bytes.
pub const LABEL_VALUE_MAX_BYTES: usize = 256;
/// Longest note, bytes.
pub const NOTE_MAX_BYTES: usize = 1024;
/// Greatest number of expressions in one `cron` list.
pub const CRONS_MAX: usize = 32;
/// `max_len` of a list or stream where the entry names none.
pub const TARGET_MAX_LEN: u64 = 100_000;

impl Overlap {
    /// All words.
    pub const WORDS: [&str; 5] = ["allow", "skip", "buffer_one", "buffer_all", "cancel_other"];

    /// The word in definitions.
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Skip => "skip",
            Self::BufferOne => "buffer_one",
            Self::BufferAll => "buffer_all",
            Self::CancelOther => "cancel_other",
        }
    }

    /// Reads [`Self::word`].
    pub fn parse(field: &str, word: &str) -> Result<Self> {
        let refuse = |why: String| Error::invalid(field, why).value(word);
        match word {
            "allow" => Ok(Self::Allow),
            "skip" => Ok(Self::Skip),
            "buffer_one" => Ok(Self::BufferOne),
            "buffer_all" => Ok(Self::BufferAll),
            "cancel_other" => Ok(Self::CancelOther),
            _ => {
                // Words of Kubernetes and Temporal.
                Err(match word.to_lowercase().as_str() {
                    "forbid" | "no" | "false" => refuse(format!("{word:?} is called skip here")),
                    "parallel" | "yes" | "true" => refuse(format!("{word:?} is called allow here")),
                    "replace" => refuse(format!("{word:?} is called cancel_other here")),
                    "queue" | "buffer" => refuse(format!("{word:?} is called buffer_all here")),
                    _ => not_one_of(field, word, &Self::WORDS),
                })
            }
        }
    }
}

impl Delivery {
    /// All words.
    pub const WORDS: [&str; 2] = ["at_least_once", "at_most_once"];

    /// The word in definitions.
    pub fn word(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at_least_once",
            Self::AtMostOnce => "at_most_once",
        }
    }

    /// Reads [`Self::word`].
    pub fn parse(field: &str, word: &str) -> Result<Self> {
        match word {
            "at_least_once" => Ok(Self::AtLeastOnce),
            "at_most_once" => Ok(Self::AtMostOnce),
            _ => {
                let known = Self::WORDS.join(", ");
                let error = Error::invalid(field, format!("{word:?} is not one of {known}")).value(word);
                // Words of message brokers.
                Err(match word.to_lowercase().replace('-', "_").as_str() {
                    "exactly_once" => {
                        error.hint("a run fires exactly once; executing it is at_least_once or at_most_once")
                    }
                    "acks_late" => error.hint("did you mean at_least_once?"),
                    "acks_early" => error.hint("did you mean at_most_once?"),
                    _ => not_one_of(field, word, &Self::WORDS),
                })
            }
        }
    }
}

impl CatchUp {
    /// The word in definitions.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Latest => "latest",
            Self::All { .. } => "all",
        }
    }

    /// Reads `none`, `latest`, `all`, or a table of `mode`, `max_runs` and `per_minute`.
    pub fn parse(field: &str, value: &Value) -> Result<Self> {
        match value {
            Value::Object(settings) => {
                known_keys(field, settings, keys_of("catch_up"))?;
                let mode_field = inside(field, "mode");
                let mode = match settings.get("mode") {
                    Some(value) => Self::mode(&mode_field, text(&mode_field, value)?)?,
                    None => return Err(Error::invalid(mode_field, "is missing").hint("none, latest or all")),
                };
                let Self::All { mut max_runs, mut per_minute } = mode else {
                    return match settings.keys().find(|key| *key != "mode") {
                        Some(key) => Err(Error::invalid(inside(field, key), "goes with mode = \"all\" only")),
                        None => Ok(mode),
                    };
                };
                if let Some(value) = settings.get("max_runs") {
                    max_runs = small(&inside(field, "max_runs"), value, Self::MAX_RUNS)?;
                }
                if let Some(value) = settings.get("per_minute") {
                    per_minute = small(&inside(field, "per_minute"), value, Self::PER_MINUTE_MAX)?;
                }
                Ok(Self::All { max_runs, per_minute })
            }
            Value::String(word) => Self::mode(field, word),
            _ => Err(Error::invalid(field, format!("{} is not one of none, latest, all", shown(value)))
                .value(shown(value))
                .hint("or { mode = \"all\", max_runs = 100, per_minute = 60 }")),
        }
    }

    fn mode(field: &str, word: &str) -> Result<Self> {
        match word {
            "none" => Ok(Self::None),
            "latest" => Ok(Self::Latest),
            "all" => Ok(Self::All { max_runs: Self::MAX_RUNS, per_minute: Self::PER_MINUTE }),
            _ => Err(not_one_of(field, word, &Self::WORDS)),
        }
    }
}

fn small(field: &str, value: &Value, max: u16) -> Result<u16> {
    whole(field, value, 1..=u64::from(max)).map(|number| number as u16)
}
