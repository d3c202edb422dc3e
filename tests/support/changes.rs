//! Changes of entries, written as the service writes them: asked again until what is overdue is settled.

use std::sync::Arc;

use serde_json::Value;
use upbeat::domain::definition::{Paused, Removed};
use upbeat::domain::entry::Entry;
use upbeat::domain::plan::{Compiled, LIST_TIMES, Registered};
use upbeat::domain::timestamp::Timestamp;
use upbeat::store::{Change, ChangeCall, Changed, PutAnswer, Store, Verb};

use super::entries::id;

/// A change of an entry as it stands; `fields` replace some of its own, null takes one off.
pub async fn change_of(store: &Store, name: &str, verb: Verb, fields: &Value) -> Change {
    let target = id(name);
    let now = store.now(store.shard_of(&target)).await.unwrap();
    let stored = store.entry(&target).await.unwrap().unwrap();
    let mut definition = stored.definition.unwrap();
    let (birth, revision) = (definition.birth, definition.revision);
    definition.revision += 1;
    definition.at = now.max(Timestamp(definition.created.0 + 1));
    definition.paused = match verb {
        Verb::Pause => Some(Paused { until: None, at: now, actor: "test".to_owned(), reason: None }),
        Verb::Resume => None,
        _ => definition.paused,
    };
    for (field, value) in fields.as_object().into_iter().flatten() {
        Arc::make_mut(&mut definition.entry).insert(field.clone(), value.clone());
    }
    Arc::make_mut(&mut definition.entry).retain(|_, value| !value.is_null());
    let mut change = Change {
        id: target.clone(),
        verb,
        birth,
        revision,
        definition: definition.to_json(),
        compiled: Compiled { plan: Vec::new(), message: Vec::new(), list: String::new() },
        is_paused: definition.paused.is_some(),
        until: definition.paused.as_ref().and_then(|paused| paused.until),
        from: None,
        fields: Vec::new(),
    };
    if verb == Verb::Remove {
        let (v, actor) = (1, "test".to_owned());
        let removed = Removed { v, birth, revision: definition.revision, at: now, actor, reason: None };
        change.definition = serde_json::to_string(&removed).unwrap();
        return change;
    }
    let entry = Entry::parse(definition.entry.as_ref().clone()).unwrap();
    let (namespace, revision) = (store.namespace(), definition.revision);
    let registered = Registered { namespace, id: &target, birth, revision, entry: &entry };
    change.compiled = registered.compile(Timestamp(now.0 - 1_000 - registered.delay_ms()), LIST_TIMES);
    change
}

/// Carries a change out. Returns what became of it.
pub async fn change(store: &Store, name: &str, verb: Verb, fields: Value) -> Changed {
    let shard = store.shard_of(&id(name));
    for _ in 0..100 {
        let changes = [change_of(store, name, verb, &fields).await];
        let request = uuid::Uuid::new_v4().to_string();
        let call = ChangeCall { request: &request, content: "", changes: &changes, is_dry_run: false };
        match store.put(shard, &call).await.unwrap() {
            PutAnswer::Done(mut done) => return done.remove(0),
            PutAnswer::Again(_) => {
                store.refresh_lists(shard).await.unwrap();
                store.plan(&id(name), store.now(shard).await.unwrap()).await.unwrap();
            }
            PutAnswer::OtherRequest => panic!("a fresh request is no other"),
        }
    }
    panic!("asked a hundred times, and still something is overdue");
}
