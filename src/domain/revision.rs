//! What a revision changed: its kind, and field by field.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::definition::Definition;
use crate::domain::fields::FIELDS;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldChange {
    /// Its name; also `owner` and `paused`.
    pub field: String,
    /// The value before; null where there was none.
    pub old: Value,
    /// The value afterwards; null where there is none.
    pub new: Value,
}

/// Longest value in words, characters.
const SHOWN: usize = 60;

impl FieldChange {
    fn new(field: &str, old: Option<&Value>, new: Option<&Value>) -> Option<Self> {
        let value = |value: Option<&Value>| value.cloned().unwrap_or_default();
        (old != new).then(|| Self { field: field.to_owned(), old: value(old), new: value(new) })
    }

    /// For people: `timeout 30m -> 1h`.
    pub fn words(&self) -> String {
        format!("{} {} -> {}", self.field, shown(&self.old), shown(&self.new))
    }
}

/// For people, on one line.
pub fn in_words(changes: &[FieldChange]) -> String {
    changes.iter().map(FieldChange::words).collect::<Vec<_>>().join(", ")
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => return "none".to_owned(),
        Value::String(text) if text.contains(' ') || text.is_empty() => format!("{text:?}"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

/// The fields of an entry that differ, in the order of the contract.
pub fn differing(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<FieldChange> {
    FIELDS.iter().filter_map(|field| FieldChange::new(field, old.get(*field), new.get(*field))).collect()
}

/// All that differs between two revisions of one entry; from nothing where it was added.
pub fn differences(old: Option<&Definition>, new: &Definition) -> Vec<FieldChange> {
    let none = Map::new();
    let mut changes = differing(old.map_or(&none, |old| &old.entry), &new.entry);
    let owner = |one: &Definition| Value::from(one.owner.as_str());
    let old_owner = old.map(owner);
    changes.extend(FieldChange::new("owner", old_owner.as_ref(), Some(&owner(new))));
    let calendars = |one: &Definition| serde_json::to_value(&one.calendars).unwrap_or_default();
    if let Some(old) = old
        && old.entry.get("exclude") == new.entry.get("exclude")
    {
        // The same names with other dates.
        changes.extend(FieldChange::new("calendars", Some(&calendars(old)), Some(&calendars(new))));
    }
    let pause = |one: &Definition| {
        one.paused.as_ref().map(|paused| paused.until.map_or(Value::Bool(true), |until| until.to_rfc3339().into()))
    };
    let old_pause = old.and_then(pause);
    changes.extend(FieldChange::new("paused", old_pause.as_ref(), pause(new).as_ref()));
    changes
}

/// What a revision did, in a word: `added`, `changed`, `paused`, `resumed`, `rolled_back`. `old` is the revision before it, where
/// that is kept.
pub fn kind(old: Option<&Definition>, new: &Definition) -> &'static str {
    if new.created == new.at {
        return "added";
    }
    if new.restored.is_some() {
        return "rolled_back";
    }
    match old {
        Some(old) if old.entry != new.entry || old.owner != new.owner || old.calendars != new.calendars => "changed",
        Some(old) if old.paused != new.paused => {
            if new.paused.is_some() {
                "paused"
            } else {
                "resumed"
            }
        }
        _ => "changed",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::id::EntryId;

    fn definition(revision: u64, at: i64, more: Value, entry: Value) -> Definition {
        let mut fields =
            json!({"v": 1, "birth": 1, "revision": revision, "at": at, "created": 1, "actor": "ana", "owner": "cli"});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fields["entry"] = entry;
        Definition::read(&EntryId::parse("entry", "a").unwrap(), fields.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn each_kind_of_revision_has_its_word_and_the_fields_that_it_changed() {
        let first = definition(1, 1, json!({}), json!({"every": "5m", "shell": "x"}));
        let slower = definition(2, 2, json!({}), json!({"every": "5m", "shell": "x y", "timeout": "1m"}));
        let pause = json!({"paused": {"until": 60_000, "at": 3, "actor": "ana"}});
        let paused = definition(3, 3, pause, json!(slower.entry));
        let resumed = definition(4, 4, json!({"owner": "ops"}), json!(slower.entry));
        let back = definition(5, 5, json!({"restored": 1}), json!(first.entry));
        let said = |old: Option<&Definition>, new: &Definition| {
            format!("{}: {}", kind(old, new), in_words(&differences(old, new)))
        };
        assert_eq!(said(None, &first), "added: every none -> 5m, shell none -> x, owner none -> cli");
        assert_eq!(said(Some(&first), &slower), "changed: shell x -> \"x y\", timeout none -> 1m");
        assert_eq!(said(Some(&slower), &paused), "paused: paused none -> 1970-01-01T00:01:00.000Z");
        assert_eq!(
            said(Some(&paused), &Definition { owner: "cli".into(), ..resumed.clone() }),
            "resumed: paused 1970-01-01T00:01:00.000Z -> none"
        );
        assert_eq!(said(Some(&slower), &resumed), "changed: owner cli -> ops");
        assert!(said(Some(&slower), &back).starts_with("rolled_back: shell \"x y\" -> x, timeout 1m -> none"));
        assert_eq!(kind(None, &resumed), "changed", "without the one before nobody knows more");
        let dates = definition(3, 3, json!({"calendars": {"cn": 2}}), json!(slower.entry));
        assert_eq!(said(Some(&slower), &dates), "changed: calendars {} -> {\"cn\":2}");
    }

    #[test]
    fn a_long_value_is_cut_with_dots() {
        let change = FieldChange { field: "shell".into(), old: Value::Null, new: "x".repeat(100).into() };
        assert_eq!(change.words(), format!("shell none -> {}...", "x".repeat(60)));
    }
}
