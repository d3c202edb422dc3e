//! What a Celery worker leaves in a Redis result backend: JSON under `celery-task-meta-ID`.

use serde::Deserialize;
use serde_json::Value;

/// Where the result of a task stands, and the channel on which it is published.
pub const RESULT_PREFIX: &str = "celery-task-meta-";
/// Longest message about a failure, bytes.
const MESSAGE_MAX_BYTES: usize = 2000;

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskOutcome {
    /// With what it returned, as compact JSON; `None` where that is null.
    Succeeded(Option<String>),
    /// With these words about it: Python's exception, or why there is none.
    Failed {
        /// For people.
        message: String,
        /// What Python says of it, where it does.
        traceback: Option<String>,
    },
}

#[derive(Deserialize)]
struct Meta {
    status: String,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    traceback: Option<String>,
}

/// Reads what stands in the backend; `None` where the task has not ended yet.
///
/// `PENDING`, `RECEIVED`, `STARTED`, `RETRY` and states that an app made up itself are on the way. What is no JSON is a failure:
/// it will not become any.
pub fn read(text: &[u8]) -> Option<TaskOutcome> {
    let failed = |message: String, traceback| Some(TaskOutcome::Failed { message: short(message), traceback });
    let Ok(meta) = serde_json::from_slice::<Meta>(text) else {
        return failed("its result is no JSON that can be read: result_serializer must be json".to_owned(), None);
    };
    match meta.status.as_str() {
        "SUCCESS" => Some(TaskOutcome::Succeeded((!meta.result.is_null()).then(|| meta.result.to_string()))),
        "FAILURE" | "REVOKED" | "REJECTED" => {
            let words = exception(&meta.result).unwrap_or_else(|| format!("the task ended as {}", meta.status));
            failed(words, meta.traceback)
        }
        _ => None,
    }
}

/// `ValueError: no such region`, from `{exc_type, exc_message, exc_module}`.
fn exception(result: &Value) -> Option<String> {
    let kind = result.get("exc_type")?.as_str()?;
    let kind = match result.get("exc_module").and_then(Value::as_str) {
        None | Some("builtins") => kind.to_owned(),
        Some(module) => format!("{module}.{kind}"),
    };
    let words = match result.get("exc_message") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned));
            texts.collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
    };
    Some(if words.is_empty() { kind } else { format!("{kind}: {words}") })
}

fn short(mut text: String) -> String {
    if text.len() > MESSAGE_MAX_BYTES {
        let at = (0..=MESSAGE_MAX_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(at);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn failure(text: &str) -> String {
        match read(text.as_bytes()).unwrap() {
            TaskOutcome::Failed { message, .. } => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_success_keeps_its_result_and_a_failure_pythons_exception() {
        let done = r#"{"status": "SUCCESS", "result": {"n": 12345678901234567890123}, "traceback": null}"#;
        assert_eq!(
            read(done.as_bytes()),
            Some(TaskOutcome::Succeeded(Some(r#"{"n":12345678901234567890123}"#.to_owned())))
        );
        assert_eq!(read(br#"{"status": "SUCCESS", "result": null}"#), Some(TaskOutcome::Succeeded(None)));
        let failed = r#"{"status": "FAILURE", "result": {"exc_type": "ValueError", "exc_message": ["no such region", 7], "exc_module": "builtins"}, "traceback": "Traceback"}"#;
        assert_eq!(failure(failed), "ValueError: no such region, 7");
        let revoked = r#"{"status": "REVOKED", "result": {"exc_type": "TaskRevokedError", "exc_message": ["expired"], "exc_module": "celery.exceptions"}}"#;
        assert_eq!(failure(revoked), "celery.exceptions.TaskRevokedError: expired");
        assert_eq!(failure(r#"{"status": "REJECTED"}"#), "the task ended as REJECTED");
    }

    #[test]
    fn what_is_on_the_way_is_no_outcome_and_what_is_no_json_is_a_failure() {
        for status in ["PENDING", "RECEIVED", "STARTED", "RETRY", "PROGRESS"] {
            assert_eq!(read(format!(r#"{{"status": "{status}", "result": {{"a": 1}}}}"#).as_bytes()), None, "{status}");
        }
        assert!(failure("\u{80}\u{4}pickled").contains("result_serializer"));
        assert!(
            failure(&format!(
                r#"{{"status": "FAILURE", "result": {{"exc_type": "E", "exc_message": "{}"}}}}"#,
                "é".repeat(3000)
            ))
            .len()
                < 2010
        );
    }
}
