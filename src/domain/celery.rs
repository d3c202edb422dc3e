//! The celery action: a task for Celery workers, as kombu writes it into Redis (message protocol 2).
//!
//! [`message`] renders what is the same for all messages of an entry; `lua/parts/celery.lua` puts in what each run has of its own.
//! [`outcome`] reads what a worker leaves in the result backend.

pub mod message;
pub mod outcome;
mod python;

use serde_json::{Map, Value};

use crate::domain::span::Span;

/// Keys of the priorities above 0 end with this and the step.
const PRIORITY_SEPARATOR: &str = "\u{6}\u{16}";
/// The queue of an app that names none.
pub const DEFAULT_QUEUE: &str = "celery";
/// Greatest `priority`; 0 comes first.
pub const PRIORITY_MAX: u8 = 9;
/// Headers that the protocol or upbeat sets.
pub const OWN_HEADERS: &[&str] = &[
    "lang",
    "task",
    "id",
    "shadow",
    "eta",
    "expires",
    "group",
    "group_index",
    "retries",
    "timelimit",
    "root_id",
    "parent_id",
    "argsrepr",
    "kwargsrepr",
    "origin",
    "ignore_result",
    "replaced_task_nesting",
    "stamped_headers",
    "stamps",
    "compression",
    "upbeat_entry_id",
    "upbeat_namespace",
    "upbeat_fire_at",
    "upbeat_trigger",
];

/// A task for Celery workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Celery {
    /// Its name, `app.tasks.report`.
    pub task: String,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Keyword arguments.
    pub kwargs: Map<String, Value>,
    /// Celery's queue, not the one in which runs of upbeat wait.
    pub queue: String,
    /// 0 to 9, the least comes first.
    pub priority: u8,
    /// Workers drop it so long after it was sent.
    pub expires: Option<Span>,
    /// Workers begin it no sooner than so long after it was sent.
    pub countdown: Option<Span>,
    /// What the message has beside the protocol's own; `self.request` of the task has them as attributes.
    pub headers: Map<String, Value>,
    /// Whether the run lasts until the task's result is there.
    pub is_tracked: bool,
    /// Workers kill the task after it.
    pub time_limit: Option<Span>,
    /// Workers interrupt the task after it.
    pub soft_time_limit: Option<Span>,
    /// A list that holds as many fails the run, `target_full`.
    pub max_len: u64,
    /// `global_keyprefix` of the app's broker; empty where there is none.
    pub key_prefix: String,
    /// The app's Redis where that is another one, or `secret:NAME`.
    pub broker: Option<String>,
    /// Where its results are, or `secret:NAME`; with the broker where none is named.
    pub result_backend: Option<String>,
}

impl Celery {
    /// Whether a node sends it as a run, and not the claim itself.
    pub fn is_relayed(&self) -> bool {
        self.is_tracked || self.broker.is_some()
    }

    /// The list that its messages go to: kombu keeps one for the priorities 0 to 2, 3 to 5, 6 to 8, and 9.
    pub fn list(&self) -> String {
        let queue = format!("{}{}", self.key_prefix, self.queue);
        match self.priority / 3 * 3 {
            0 => queue,
            step => format!("{queue}{PRIORITY_SEPARATOR}{step}"),
        }
    }

    /// The same task, given this instead: a list takes the place of `args`, a table that of `kwargs`; `None` for anything else.
    pub fn given(&self, payload: &Value) -> Option<Self> {
        let mut given = self.clone();
        match payload {
            Value::Array(args) => given.args.clone_from(args),
            Value::Object(kwargs) => given.kwargs.clone_from(kwargs),
            _ => return None,
        }
        Some(given)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use crate::domain::action::Action;
    use crate::domain::entry::Entry;

    pub(super) fn celery(settings: Value) -> Celery {
        let fields = serde_json::json!({ "every": "1h", "celery": settings });
        match &Entry::parse(fields.as_object().unwrap().clone()).unwrap().action {
            Action::Celery(celery) => (**celery).clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn priorities_are_rounded_down_to_the_steps_of_kombu() {
        let list = |priority: u8| {
            celery(serde_json::json!({"task": "t", "queue": "other", "key_prefix": "app:", "priority": priority}))
                .list()
        };
        let lists: Vec<String> = (0..=9).map(list).collect();
        let third = |step: u8| format!("app:other\u{6}\u{16}{step}");
        assert_eq!(lists[..3], ["app:other", "app:other", "app:other"]);
        assert_eq!((&lists[3], &lists[5], &lists[6], &lists[8]), (&third(3), &third(3), &third(6), &third(6)));
        assert_eq!(lists[9], third(9));
    }

    #[test]
    fn a_list_takes_the_place_of_args_and_a_table_that_of_kwargs() {
        let one = celery(serde_json::json!({"task": "t", "args": [1], "kwargs": {"a": 1}}));
        let with_args = one.given(&serde_json::json!([2, 3])).unwrap();
        assert_eq!((with_args.args.len(), &with_args.kwargs), (2, &one.kwargs));
        let with_kwargs = one.given(&serde_json::json!({"b": null})).unwrap();
        assert_eq!((&with_kwargs.args, with_kwargs.kwargs.keys().next().unwrap().as_str()), (&one.args, "b"));
        assert_eq!(one.given(&serde_json::json!("text")), None);
    }
}
