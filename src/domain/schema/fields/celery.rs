//! The schema of the `celery` action's table.

use serde_json::{Value, json};

use super::{table, text, whole};
use crate::domain::celery::{OWN_HEADERS, PRIORITY_MAX};
use crate::domain::fields::keys_of;

/// The table, with `task` as its only needed key.
pub(super) fn table_form() -> Value {
    let mut form = table(keys_of("celery"), |key| {
        let (description, schema) = match key {
            "task" => ("The name under which workers know it, as app.tasks.report.", text()),
            "args" => ("Positional arguments.", json!({ "type": "array" })),
            "kwargs" => ("Keyword arguments.", json!({ "type": "object" })),
            "queue" => ("Celery's queue; celery where it is missing.", text()),
            "priority" => ("0 comes first, 9 last.", whole(0, PRIORITY_MAX.into())),
            "expires" => ("Workers drop it so long after it was sent; a number is seconds.", seconds()),
            "countdown" => ("Workers begin it no sooner after it was sent; a number is seconds.", seconds()),
            "headers" => (
                "What the message has beside Celery's own.",
                json!({ "type": "object", "propertyNames": { "minLength": 1, "not": { "enum": OWN_HEADERS } } }),
            ),
            "track" => ("The run lasts until the task's result is there.", json!({ "type": "boolean" })),
            "time_limit" => ("Workers kill the task after it; a number is seconds.", seconds()),
            "soft_time_limit" => ("Workers interrupt the task after it; a number is seconds.", seconds()),
            "max_len" => ("A list that holds as much fails the run, target_full.", whole(1, 10_000_000)),
            "key_prefix" => ("The app's global_keyprefix.", text()),
            "broker" => ("The app's Redis where that is another one, or secret:NAME; a node sends then.", text()),
            "result_backend" => ("The Redis with its results, or secret:NAME; the broker where it is missing.", text()),
            _ => return None,
        };
        let mut schema = schema;
        schema["description"] = description.into();
        Some(schema)
    });
    form["required"] = json!(["task"]);
    form
}

fn seconds() -> Value {
    json!({ "oneOf": [{ "$ref": "#/$defs/span" }, { "type": "number", "exclusiveMinimum": 0 }] })
}
