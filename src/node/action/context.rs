//! What an attempt is told about itself, as variables of a command and as headers of a request.

use crate::domain::run::{State, Trigger};
use crate::domain::timestamp::Timestamp;

/// What an attempt is told about itself and about the run before it.
#[derive(Debug, Clone)]
pub struct Context {
    /// The run; also the idempotency key.
    pub run_id: String,
    /// The entry, or the name of the work without one.
    pub entry_id: String,
    /// The namespace.
    pub namespace: String,
    /// The nominal instant.
    pub fire_at: Timestamp,
    /// `fire_at` with its spread.
    pub due_at: Timestamp,
    /// Counts from 1.
    pub attempt: u32,
    /// The fencing token, grows with every attempt of the shard.
    pub fence: u64,
    /// Why the run exists.
    pub trigger: Trigger,
    /// The name of this node.
    pub node: String,
    /// When a run of the entry last succeeded.
    pub last_success_at: Option<Timestamp>,
    /// How the entry's previous run ended.
    pub last_state: Option<State>,
    /// What the entry's previous run left in `$UPBEAT_RESULT`.
    pub last_result: Option<String>,
}

impl Context {
    /// The facts by name, `RUN_ID` and so on; those that are absent are left out.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("RUN_ID", self.run_id.clone()),
            ("ENTRY_ID", self.entry_id.clone()),
            ("NAMESPACE", self.namespace.clone()),
            ("FIRE_AT", self.fire_at.to_rfc3339()),
            ("DUE_AT", self.due_at.to_rfc3339()),
            ("ATTEMPT", self.attempt.to_string()),
            ("FENCE", self.fence.to_string()),
            ("TRIGGER", self.trigger.word().to_owned()),
            ("NODE", self.node.clone()),
        ];
        facts.extend(self.last_success_at.map(|at| ("LAST_SUCCESS_AT", at.to_rfc3339())));
        facts.extend(self.last_state.map(|state| ("LAST_STATE", state.word().to_owned())));
        facts.extend(self.last_result.as_ref().map(|result| ("LAST_RESULT", result.replace('\0', "\u{fffd}"))));
        facts
    }
}
