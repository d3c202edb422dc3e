//! Definitions as text: `{"v":[2,BIRTH,REVISION,AT],"owner":"...","entry":{...}}`, and what else differs from what most have.
//!
//! Four numbers in one list, and neither `created` where it is `at` nor `actor` where it is the owner: 58 bytes around the
//! fields of an entry instead of 120. At 1,000,000 entries that is 64 B of Redis' memory each. What version 1 wrote, with a name
//! for each, is read, too. Scripts read both by pattern (`lua/parts/definition.lua`, `paused.lua`) and write the instant.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{DEFINITION_VERSION, Definition, Paused, ToBeStamped};
use crate::domain::timestamp::Timestamp;

/// What stands before the fields.
const ENTRY: &str = r#","entry":"#;

/// Version, birth, revision, at.
type Stamp = (u32, u64, u64, Timestamp);

/// The order of the fields up to `paused` is part of the format.
#[derive(Serialize)]
struct Written<'d> {
    v: Stamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<Timestamp>,
    owner: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'d str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'d str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<&'d Paused>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restored: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    calendars: &'d BTreeMap<String, u64>,
    /// The last one, so that it may be put behind the others as the text that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<&'d Map<String, Value>>,
}

/// Version 2, and what version 1 named.
#[derive(Deserialize)]
struct Read {
    v: Version,
    birth: Option<u64>,
    revision: Option<u64>,
    at: Option<Timestamp>,
    since: Option<Timestamp>,
    created: Option<Timestamp>,
    owner: String,
    actor: Option<String>,
    reason: Option<String>,
    paused: Option<Paused>,
    from: Option<Timestamp>,
    restored: Option<u64>,
    #[serde(default)]
    calendars: BTreeMap<String, u64>,
    entry: Arc<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Version {
    Stamp(Stamp),
    Named(serde::de::IgnoredAny),
}

pub(super) fn to_json(definition: &Definition) -> serde_json::Result<String> {
    serde_json::to_string(&written(definition, Some(&definition.entry)))
}

pub(super) fn to_json_around(definition: &Definition, fields: &str) -> serde_json::Result<String> {
    let mut text = serde_json::to_string(&written(definition, None))?;
    // Its brace closes behind the fields.
    text.pop();
    text.reserve_exact(ENTRY.len() + fields.len() + 1);
    text.extend([ENTRY, fields, "}"]);
    Ok(text)
}

fn written<'d>(definition: &'d Definition, entry: Option<&'d Map<String, Value>>) -> Written<'d> {
    Written {
        v: (DEFINITION_VERSION, definition.birth, definition.revision, definition.at),
        since: definition.since,
        created: Some(definition.created).filter(|created| *created != definition.at),
        owner: &definition.owner,
        actor: Some(definition.actor.as_str()).filter(|actor| *actor != definition.owner),
        reason: definition.reason.as_deref(),
        paused: definition.paused.as_ref(),
        from: definition.from,
        restored: definition.restored,
        calendars: &definition.calendars,
        entry,
    }
}

pub(super) fn read(text: &[u8]) -> serde_json::Result<Definition> {
    use serde::de::Error;
    let read: Read = serde_json::from_slice(text)?;
    let (birth, revision, at) = match read.v {
        Version::Stamp((_, birth, revision, at)) => (birth, revision, at),
        Version::Named(_) => {
            let lacks = |field| serde_json::Error::missing_field(field);
            (
                read.birth.ok_or_else(|| lacks("birth"))?,
                read.revision.ok_or_else(|| lacks("revision"))?,
                read.at.ok_or_else(|| lacks("at"))?,
            )
        }
    };
    Ok(Definition {
        birth,
        revision,
        at,
        created: read.created.unwrap_or(at),
        since: read.since,
        actor: read.actor.unwrap_or_else(|| read.owner.clone()),
        reason: read.reason,
        owner: read.owner,
        paused: read.paused,
        from: read.from,
        restored: read.restored,
        calendars: read.calendars,
        entry: read.entry,
    })
}

/// The least version that can read a text; `None` where it does not say.
pub(super) fn version_of(text: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Versioned {
        v: Value,
    }
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if let Some(rest) = text.strip_prefix(br#"{"v":"#) {
        let rest = rest.strip_prefix(b"[").unwrap_or(rest);
        return std::str::from_utf8(&rest[..digits(rest)]).ok()?.parse().ok();
    }
    let found: Versioned = serde_json::from_slice(text).ok()?;
    found.v.as_u64().or_else(|| found.v.get(0)?.as_u64())
}

pub(super) fn birth_and_revision(text: &[u8]) -> Option<(u64, u64)> {
    let text = String::from_utf8_lossy(text);
    let rest = number(text.strip_prefix(r#"{"v":["#).or_else(|| text.strip_prefix(r#"{"v":"#))?)?.1;
    let (birth, rest) = number(rest.strip_prefix(',').map(|rest| rest.strip_prefix(r#""birth":"#).unwrap_or(rest))?)?;
    let (revision, _) =
        number(rest.strip_prefix(',').map(|rest| rest.strip_prefix(r#""revision":"#).unwrap_or(rest))?)?;
    Some((birth, revision))
}

pub(super) fn to_be_stamped(text: &str) -> Option<ToBeStamped<'_>> {
    let (_, behind_version) = number(text.strip_prefix(r#"{"v":["#)?)?;
    let (_, behind_birth) = number(behind_version.strip_prefix(',')?)?;
    let (revision, behind_revision) = number(behind_birth.strip_prefix(',')?)?;
    let (head, rest) = text.split_at(text.len() - behind_revision.strip_prefix(',')?.len());
    Some(ToBeStamped { head, revision, tail: number(rest)?.1 })
}

/// The number at the front of a text, and what stands behind it.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::id::EntryId;

    fn definition() -> Definition {
        let entry = serde_json::json!({"every": "5m", "shell": "x"});
        Definition {
            birth: 17,
            revision: 3,
            at: Timestamp(1_795_300_000_000),
            created: Timestamp(1_795_300_000_000),
            since: None,
            actor: "ops".to_owned(),
            reason: None,
            owner: "ops".to_owned(),
            paused: None,
            from: None,
            restored: None,
            calendars: BTreeMap::new(),
            entry: Arc::new(entry.as_object().unwrap().clone()),
        }
    }

    fn full() -> Definition {
        let paused = Paused { until: Some(Timestamp(9)), at: Timestamp(8), actor: "a".to_owned(), reason: None };
        Definition {
            created: Timestamp(5),
            since: Some(Timestamp(4)),
            actor: "ana".to_owned(),
            reason: Some("because".to_owned()),
            paused: Some(paused),
            from: Some(Timestamp(6)),
            restored: Some(2),
            calendars: BTreeMap::from([("cn".to_owned(), 7)]),
            ..definition()
        }
    }

    #[test]
    fn only_what_differs_is_written_and_all_is_read_again() {
        let text = r#"{"v":[2,17,3,1795300000000],"owner":"ops","entry":{"every":"5m","shell":"x"}}"#;
        assert_eq!(definition().to_json(), text);
        let id = EntryId::parse("entry", "a").unwrap();
        for one in [definition(), full()] {
            assert_eq!(Definition::read(&id, one.to_json().as_bytes()).unwrap(), one);
            let fields = serde_json::to_string(one.entry.as_ref()).unwrap();
            assert_eq!(one.to_json_around(&fields), one.to_json());
            assert_eq!(Definition::birth_and_revision_in(&one.to_json().as_bytes()[..24]), Some((17, 3)));
        }
        let stamped = Definition::to_be_stamped(text).unwrap();
        assert_eq!((stamped.head, stamped.revision), (r#"{"v":[2,17,3,"#, 3));
        assert!(stamped.tail.starts_with(r#"],"owner""#));
    }

    #[test]
    fn what_version_1_wrote_is_read_and_what_a_newer_one_wrote_is_refused() {
        let id = EntryId::parse("entry", "a").unwrap();
        let old = r#"{"v":1,"birth":17,"revision":3,"at":1795300000000,"created":5,"since":4,"actor":"ana","reason":"because","owner":"ops","paused":{"until":9,"at":8,"actor":"a"},"from":6,"restored":2,"calendars":{"cn":7},"entry":{"every":"5m","shell":"x"}}"#;
        assert_eq!(Definition::read(&id, old.as_bytes()).unwrap(), full());
        assert_eq!(Definition::birth_and_revision_in(old.as_bytes()), Some((17, 3)));
        let torn = Definition::read(&id, old.replace(r#""birth":17,"#, "").as_bytes()).unwrap_err();
        assert!(torn.to_string().contains("birth"), "{torn}");
        for newer in [r#"{"v":[3,1,1,5,9],"kind":"x"}"#, r#"{"v":3}"#] {
            let refused = Definition::read(&id, newer.as_bytes()).unwrap_err();
            assert!(refused.to_string().contains("newer upbeat"), "{refused}");
        }
    }
}
