//! The schema of each field of an entry, with its limits.

mod celery;

use serde_json::{Value, json};

use super::table;
use crate::domain::fields::keys_of;
use crate::domain::policy::{
    CRONS_MAX, CatchUp, Delivery, KEEP_RUNS_MAX, LABEL_KEY_MAX_BYTES, LABEL_VALUE_MAX_BYTES, LABELS_MAX, MAX_FIRES_MAX,
    MAX_RUNNING_MAX, NOTE_MAX_BYTES, Overlap,
};
use crate::domain::retry::{Backoff, MAX_ATTEMPTS_MAX, NOT_ON_MAX};
use crate::domain::zone::{Fold, Gap};

/// The schema of a field; `None` where a later version delivers it.
pub(super) fn of_field(field: &str) -> Option<Value> {
    let (description, schema) = match field {
        "cron" => (
            "Five fields as in crontab, six with seconds first, or @daily and its kin; a list is a union. H is made of the id.",
            json!({ "oneOf": [
                { "type": "string", "minLength": 1 },
                { "type": "array", "minItems": 1, "maxItems": CRONS_MAX, "items": { "type": "string", "minLength": 1 } },
            ] }),
        ),
        "every" => ("A period of 100ms to 366d, counted from start, else from when the entry is created.", span()),
        "at" => ("Once, at this instant.", instant()),
        "rrule" => ("A recurrence rule of RFC 5545 that begins at start.", text()),
        "tz" => ("The zone by its IANA name, as in Europe/Berlin; UTC where it is missing.", text()),
        "start" => ("No fire time before it.", instant()),
        "end" => ("None at or after it.", instant()),
        "anchor" => ("Where every and rrule begin without start; kept by upbeat, written by export.", instant()),
        "max_fires" => ("Scheduled fires; then the entry is finished.", whole(1, u64::from(MAX_FIRES_MAX))),
        "exclude" => (
            "Dates in tz, as 2026-12-25, and names of calendars: nothing fires on them.",
            json!({ "oneOf": [text(), { "type": "array", "items": { "type": "string" } }] }),
        ),
        "spread" => ("Each run is due up to this long after its fire time, always by the same length.", span()),
        "dst" => {
            ("What becomes of fixed times that a change of the clocks leaves out (gap) or shows twice (fold).", dst())
        }
        "exec" => (
            "A program and its arguments, without a shell.",
            json!({ "type": "array", "minItems": 1, "items": { "type": "string" } }),
        ),
        "shell" => ("A text for /bin/sh -c.", text()),
        "http" => ("A request: \"POST https://...\", a url for GET, or a table.", http()),
        "celery" => (
            "A task for Celery workers: its name, or a table; written by the claim itself, as kombu does.",
            json!({ "oneOf": [text(), celery::table_form()] }),
        ),
        "stream" => ("A message into this Redis stream, written by the claim itself.", message("stream")),
        "list" => ("A message into this Redis list (RPUSH), written by the claim itself.", message("list")),
        "publish" => ("A message to this Redis channel.", message("publish")),
        "env" => (
            "Variables of a command; secret:NAME is read by the node that runs it.",
            json!({
                "type": "object",
                "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
                "additionalProperties": { "type": "string" },
            }),
        ),
        "cwd" => ("The folder of a command, on the node.", text()),
        "payload" => ("What the action is given, any JSON: standard input, body, or part of the message.", json!({})),
        "queue" => ("Where runs wait: a name.", json!({ "$ref": "#/$defs/name" })),
        "timeout" => ("The longest that one attempt may take.", span()),
        "retry" => ("Whether attempts that failed are repeated; without it one attempt is made.", retry()),
        "overlap" => ("When the previous run is still active.", json!({ "enum": Overlap::WORDS })),
        "catch_up" => ("What becomes of fire times that are found late.", catch_up()),
        "start_within" => ("A run that has not started by then is missed.", span()),
        "delivery" => {
            ("Whether attempts that were lost with their node are repeated.", json!({ "enum": Delivery::WORDS }))
        }
        "max_running" => ("Active runs beyond it wait; with overlap = \"allow\".", whole(1, MAX_RUNNING_MAX.into())),
        "priority" => ("Only normal in this version.", json!({ "enum": ["normal"] })),
        "keep_runs" => ("Runs that stay on record, and as many that did not succeed.", whole(0, KEEP_RUNS_MAX.into())),
        "labels" => (
            "For people and selections.",
            json!({
                "type": "object",
                "maxProperties": LABELS_MAX,
                "propertyNames": { "minLength": 1, "maxLength": LABEL_KEY_MAX_BYTES, "pattern": "^[^\\s=,]+$" },
                "additionalProperties": { "type": "string", "maxLength": LABEL_VALUE_MAX_BYTES },
            }),
        ),
        "note" => ("For people.", json!({ "type": "string", "minLength": 1, "maxLength": NOTE_MAX_BYTES })),
        "paused" => ("Whether it is created paused; of no effect on one that exists.", json!({ "type": "boolean" })),
        _ => return None,
    };
    let mut schema = schema;
    schema["description"] = description.into();
    Some(schema)
}

fn span() -> Value {
    json!({ "$ref": "#/$defs/span" })
}

fn instant() -> Value {
    json!({ "$ref": "#/$defs/instant" })
}

fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

fn whole(least: u64, most: u64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

fn dst() -> Value {
    table(keys_of("dst"), |key| match key {
        "gap" => Some(json!({ "enum": Gap::WORDS.map(|(word, _)| word) })),
        "fold" => Some(json!({ "enum": Fold::WORDS.map(|(word, _)| word) })),
        _ => None,
    })
}

fn http() -> Value {
    let mut form = table(keys_of("http"), |key| match key {
        "method" => Some(json!({ "type": "string", "pattern": "^[^a-z\\s]+$" })),
        "url" => Some(json!({ "description": "http or https, or secret:NAME.", "type": "string", "minLength": 1 })),
        "headers" => Some(json!({ "$ref": "#/$defs/texts" })),
        "ok" => Some(json!({
            "description": "Statuses that are a success: numbers, or ranges as 200-299.",
            "type": "array", "minItems": 1, "maxItems": 100,
            "items": { "oneOf": [whole(100, 599), { "type": "string", "pattern": "^[0-9+ -]+$" }] },
        })),
        _ => None,
    });
    form["required"] = json!(["url"]);
    json!({ "oneOf": [text(), form] })
}

/// A message: its target as a text, or a table.
fn message(field: &str) -> Value {
    let mut form = table(keys_of(field), |key| match key {
        "key" | "channel" => Some(text()),
        "max_len" => Some(json!({
            "description": "One that holds as much fails the run, target_full.", "type": "integer", "minimum": 1, "maximum": 10_000_000,
        })),
        "trim" => Some(json!({ "description": "Drop its oldest instead.", "type": "boolean" })),
        "raw" => Some(json!({ "description": "Send the payload alone.", "type": "boolean" })),
        _ => None,
    });
    form["required"] = json!([if field == "publish" { "channel" } else { "key" }]);
    json!({ "oneOf": [text(), form] })
}

fn retry() -> Value {
    table(keys_of("retry"), |key| match key {
        "max_attempts" => Some(whole(1, MAX_ATTEMPTS_MAX.into())),
        "backoff" => Some(json!({ "enum": Backoff::ALL.map(Backoff::word) })),
        "delay" | "max_delay" | "within" => Some(span()),
        "jitter" => Some(json!({ "type": "number", "minimum": 0, "maximum": 1 })),
        "not_on" => Some(json!({
            "description": "exit:2, exit:2-5, http:404, http:400-499, or a reason such as timeout.",
            "oneOf": [{ "type": "string" }, { "type": "array", "maxItems": NOT_ON_MAX, "items": { "type": "string" } }],
        })),
        _ => None,
    })
}

fn catch_up() -> Value {
    let mut form = table(keys_of("catch_up"), |key| match key {
        "mode" => Some(json!({ "enum": CatchUp::WORDS })),
        "max_runs" => Some(whole(1, CatchUp::MAX_RUNS.into())),
        "per_minute" => Some(whole(1, CatchUp::PER_MINUTE_MAX.into())),
        _ => None,
    });
    form["required"] = json!(["mode"]);
    json!({ "oneOf": [{ "enum": CatchUp::WORDS }, form] })
}
