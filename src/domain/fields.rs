//! The fields of an entry by name: their order, those that come later, and the words that people write instead.

use serde_json::{Map, Value};

use crate::domain::nearest::nearest;
use crate::domain::retry::Retry;
use crate::error::{Error, Problem, Result};

/// Every field of the contract in its order, whether this version delivers it or not.
pub const FIELDS: &[&str] = &[
    "cron",
    "every",
    "at",
    "rrule",
    "after",
    "tz",
    "start",
    "end",
    "anchor",
    "max_fires",
    "exclude",
    "spread",
    "dst",
    "exec",
    "shell",
    "http",
    "handler",
    "celery",
    "stream",
    "list",
    "publish",
    "env",
    "cwd",
    "payload",
    "queue",
    "timeout",
    "retry",
    "overlap",
    "catch_up",
    "start_within",
    "delivery",
    "max_running",
    "concurrency_key",
    "priority",
    "keep_runs",
    "labels",
    "note",
    "paused",
];

/// Every section of a schedule file, whether this version delivers it or not.
pub const SECTIONS: &[&str] = &["owner", "namespace", "defaults", "entries", "queues", "calendars", "alerts"];

/// Those that come later.
const LATER_SECTIONS: &[&str] = &["alerts"];

/// The fields that say *when*; an entry has exactly one.
pub const SCHEDULE_KINDS: &[&str] = &["cron", "every", "at", "rrule", "after"];
/// The fields that say *what*; an entry has exactly one.
pub const ACTION_KINDS: &[&str] = &["exec", "shell", "http", "handler", "celery", "stream", "list", "publish"];
/// All fields that say *when*, without those that come later.
pub const SCHEDULE_FIELDS: &[&str] =
    &["cron", "every", "at", "rrule", "tz", "start", "end", "anchor", "max_fires", "exclude", "spread", "dst"];
/// What `[defaults]` of a file may hold.
pub const DEFAULT_FIELDS: &[&str] = &[
    "tz",
    "queue",
    "timeout",
    "retry",
    "overlap",
    "catch_up",
    "start_within",
    "delivery",
    "max_running",
    "concurrency_key",
    "priority",
    "keep_runs",
    "labels",
    "note",
    "paused",
];

/// Whether a table has what only an entry has.
pub(crate) fn looks_like_entry(value: &Value) -> bool {
    let kinds = SCHEDULE_KINDS.iter().chain(ACTION_KINDS);
    value.as_object().is_some_and(|table| kinds.into_iter().any(|kind| table.contains_key(*kind)))
}

/// The keys of a table: a field's, or a section's.
pub(crate) fn keys_of(table: &str) -> &'static [&'static str] {
    match table {
        "dst" => &["gap", "fold"],
        "http" => &["method", "url", "headers", "ok"],
        "celery" => &[
            "task",
            "args",
            "kwargs",
            "queue",
            "priority",
            "expires",
            "countdown",
            "headers",
            "track",
            "time_limit",
            "soft_time_limit",
            "max_len",
            "key_prefix",
            "broker",
            "result_backend",
        ],
        "stream" => &["key", "max_len", "trim", "raw"],
        "list" => &["key", "max_len", "raw"],
        "publish" => &["channel", "raw"],
        "retry" => Retry::KEYS,
        "catch_up" => &["mode", "max_runs", "per_minute"],
        "calendars" => &["file", "dates"],
        "queues" => &["max_running", "rate"],
        _ => &[],
    }
}

/// Refused whatever their value is: accepting a policy that is not kept would be a lie.
const LATER: &[&str] = &["after", "handler", "concurrency_key"];

/// Words of other schedulers and the field that is meant.
const SYNONYMS: &[(&str, &str)] = &[
    ("timezone", "tz"),
    ("time_zone", "tz"),
    ("zone", "tz"),
    ("cron_tz", "tz"),
    ("schedule", "cron"),
    ("crontab", "cron"),
    ("expression", "cron"),
    ("cron_expression", "cron"),
    ("spec", "cron"),
    ("interval", "every"),
    ("period", "every"),
    ("frequency", "every"),
    ("seconds", "every"),
    ("minutes", "every"),
    ("run_at", "at"),
    ("date", "at"),
    ("datetime", "at"),
    ("run_date", "at"),
    ("start_date", "start"),
    ("start_time", "start"),
    ("start_at", "start"),
    ("not_before", "start"),
    ("from", "start"),
    ("end_date", "end"),
    ("end_time", "end"),
    ("end_at", "end"),
    ("until", "end"),
    ("not_after", "end"),
    ("recurrence", "rrule"),
    ("recurrence_rule", "rrule"),
    ("repeat", "rrule"),
    ("ical", "rrule"),
    ("rule", "rrule"),
    ("count", "max_fires"),
    ("limit", "max_fires"),
    ("max_runs", "max_fires"),
    ("repetitions", "max_fires"),
    ("times", "max_fires"),
    ("exdate", "exclude"),
    ("exdates", "exclude"),
    ("except", "exclude"),
    ("skip_dates", "exclude"),
    ("holidays", "exclude"),
    ("calendar", "exclude"),
    ("calendars", "exclude"),
    ("jitter", "spread"),
    ("splay", "spread"),
    ("random_delay", "spread"),
    ("command", "exec"),
    ("cmd", "exec"),
    ("run", "exec"),
    ("argv", "exec"),
    ("program", "exec"),
    ("args", "exec"),
    ("script", "shell"),
    ("bash", "shell"),
    ("url", "http"),
    ("uri", "http"),
    ("webhook", "http"),
    ("request", "http"),
    ("method", "http"),
    ("headers", "http"),
    ("task", "celery"),
    ("channel", "publish"),
    ("pubsub", "publish"),
    ("xadd", "stream"),
    ("rpush", "list"),
    ("environment", "env"),
    ("envs", "env"),
    ("variables", "env"),
    ("dir", "cwd"),
    ("directory", "cwd"),
    ("workdir", "cwd"),
    ("working_dir", "cwd"),
    ("working_directory", "cwd"),
    ("body", "payload"),
    ("data", "payload"),
    ("input", "payload"),
    ("stdin", "payload"),
    ("kwargs", "celery"),
    ("time_limit", "timeout"),
    ("max_time", "timeout"),
    ("deadline", "timeout"),
    ("retries", "retry"),
    ("max_retries", "retry"),
    ("attempts", "retry"),
    ("max_attempts", "retry"),
    ("backoff", "retry"),
    ("retry_policy", "retry"),
    ("acks_late", "delivery"),
    ("guarantee", "delivery"),
    ("concurrency_policy", "overlap"),
    ("allow_overlap", "overlap"),
    ("max_instances", "max_running"),
    ("misfire", "catch_up"),
    ("misfire_policy", "catch_up"),
    ("catchup", "catch_up"),
    ("coalesce", "catch_up"),
    ("catchup_window", "start_within"),
    ("misfire_grace_time", "start_within"),
    ("starting_deadline_seconds", "start_within"),
    ("expires", "start_within"),
    ("lock", "concurrency_key"),
    ("history", "keep_runs"),
    ("history_limit", "keep_runs"),
    ("keep", "keep_runs"),
    ("tags", "labels"),
    ("annotations", "labels"),
    ("metadata", "labels"),
    ("description", "note"),
    ("comment", "note"),
    ("enabled", "paused"),
    ("disabled", "paused"),
    ("active", "paused"),
    ("suspend", "paused"),
    ("suspended", "paused"),
    ("is_paused", "paused"),
];

/// Whether `field` is of the contract but refused by this version, whatever it says.
pub(crate) fn is_later(field: &str) -> bool {
    LATER.contains(&field)
}

/// Whether this section of a file is of the contract but refused by this version.
pub(crate) fn is_later_section(section: &str) -> bool {
    LATER_SECTIONS.contains(&section)
}

/// The complaint about what comes with a later version.
pub(crate) fn not_yet(field: impl Into<String>) -> Error {
    Error::invalid(field, "not in this version yet")
}

/// The complaint about a field that no entry has, with the one that is meant.
pub(crate) fn unknown_field(field: &str) -> Error {
    let plain = plain(field);
    let hint = match plain.as_str() {
        "args" | "argv" => {
            Some("the arguments stand in the list, exec = [\"cmd\", \"arg\"]; those of a task in celery = { ... }")
        }
        "kwargs" | "task" | "countdown" | "track" => Some("a field of celery = { ... }"),
        "method" | "headers" | "ok" => Some("a field of http = { ... }"),
        "key" | "max_len" | "trim" | "raw" => Some("a field of stream = { ... } or list = { ... }"),
        "enabled" | "active" => Some("paused = true is the opposite, and counts only when the entry is created"),
        "concurrency" => Some("overlap says whether runs of one entry may overlap, max_running how many"),
        "id" | "name" => Some("the id is the key of the entry: [entries.ID]"),
        "owner" | "namespace" => Some("it stands at the top of the file, not in an entry"),
        _ => None,
    };
    let meant = meant_by(&plain);
    let mut error = Error::Invalid(Problem::new(field.escape_debug().to_string(), "unknown field"));
    if let Some(meant) = meant {
        error = error.hint(format!("did you mean {meant}?"));
    }
    match hint {
        Some(hint) => error.also_hint(hint),
        None => error,
    }
}

/// Whether complaints that were made already leave nothing to say about the one of `kinds` that is needed: it comes
/// later, or it is written as a word that nobody knows.
pub(crate) fn is_refused_already(fields: &Map<String, Value>, kinds: &[&str]) -> bool {
    if kinds.iter().any(|kind| is_later(kind) && field_of(fields, kind).is_some()) {
        return true;
    }
    let is_unknown = |field: &str| !FIELDS.contains(&field);
    let means_one = |field: &str| meant_by(&plain(field)).is_some_and(|meant| kinds.contains(&meant));
    !kinds.iter().any(|kind| field_of(fields, kind).is_some())
        && fields.keys().any(|field| is_unknown(field) && means_one(field))
}

fn plain(field: &str) -> String {
    field.to_lowercase().replace('-', "_")
}

fn meant_by(plain: &str) -> Option<&'static str> {
    match plain {
        "concurrency" => Some("overlap or max_running"),
        "key" | "max_len" | "trim" | "raw" | "ok" | "id" | "name" | "owner" | "namespace" => None,
        plain => SYNONYMS
            .iter()
            .find_map(|&(word, meant)| (word.replace('_', "") == plain.replace('_', "")).then_some(meant))
            .or_else(|| nearest(plain, FIELDS.iter().copied())),
    }
}

/// The field of this name. An entry has few fields: to look at each is quicker than to hash a name.
pub(crate) fn field_of<'f>(fields: &'f Map<String, Value>, name: &str) -> Option<&'f Value> {
    const FEW: usize = 16;
    match fields.len() {
        0..=FEW => fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value),
        _ => fields.get(name),
    }
}

/// The one of `kinds` that `fields` holds; `what` names the group in the complaint.
pub(crate) fn only_kind(fields: &Map<String, Value>, what: &str, kinds: &[&'static str]) -> Result<&'static str> {
    let found: Vec<&'static str> = kinds.iter().copied().filter(|kind| field_of(fields, kind).is_some()).collect();
    let known = || kinds.iter().copied().filter(|kind| !is_later(kind)).collect::<Vec<_>>().join(", ");
    match found[..] {
        [kind] => Ok(kind),
        [] => Err(Error::Invalid(Problem::bare(format!("no {what}: exactly one of {} is needed", known())))),
        [first, .., last] => {
            let why = if found.len() == 2 {
                format!("{first} is given too; an entry has exactly one of {}", known())
            } else {
                format!("{} are given; an entry has exactly one of {}", found.join(", "), known())
            };
            Err(Error::invalid(last, why))
        }
    }
}

/// The same fields in the order of the contract.
pub(crate) fn in_order(mut fields: Map<String, Value>) -> Map<String, Value> {
    let place = |name: &String| FIELDS.iter().position(|field| field == name).unwrap_or(FIELDS.len());
    if fields.keys().is_sorted_by_key(place) {
        return fields;
    }
    let mut ordered = Map::with_capacity(fields.len());
    for field in FIELDS {
        if let Some((name, value)) = fields.shift_remove_entry(*field) {
            ordered.insert(name, value);
        }
    }
    ordered.extend(fields);
    ordered
}
