//! Entries written straight into the store, for tests of what lies below the service.

use serde_json::{Map, Value, json};
use upbeat::config::Connection;
use upbeat::domain::definition::Definition;
use upbeat::domain::entry::Entry;
use upbeat::domain::id::{EntryId, Namespace};
use upbeat::domain::plan::{LIST_TIMES, Registered};
use upbeat::domain::timestamp::Timestamp;
use upbeat::store::{Change, ChangeCall, ChangeWord, PutAnswer, Store, Verb};

pub fn id(text: &str) -> EntryId {
    EntryId::parse("entry", text).unwrap()
}

pub async fn open(url: &str, shards: u16) -> Store {
    let connection = Connection::parse(url, None).unwrap();
    Store::open_with_shards(connection, Namespace::parse("namespace", "test").unwrap(), shards).await.unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// A change that adds an entry as it stood at `now`.
pub fn addition(store: &Store, name: &str, fields: Value, birth: u64, now: Timestamp) -> Change {
    let mut fields = object(fields);
    if fields.contains_key("every") && !fields.contains_key("start") {
        fields.insert("anchor".to_owned(), json!(Timestamp(now.0 / 1000 * 1000).to_rfc3339()));
    }
    let entry = Entry::parse(fields).unwrap();
    let definition = Definition {
        birth,
        revision: 1,
        at: now,
        created: now,
        since: None,
        actor: "test".to_owned(),
        reason: None,
        owner: "test".to_owned(),
        paused: None,
        from: None,
        restored: None,
        calendars: Default::default(),
        entry: entry.shared_fields(),
    };
    let id = id(name);
    let registered = Registered { namespace: store.namespace(), id: &id, birth, revision: 1, entry: &entry };
    let compiled = registered.compile(Timestamp(now.0 - 1000), LIST_TIMES);
    Change {
        id: id.clone(),
        verb: Verb::Put,
        birth: 0,
        revision: 0,
        definition: definition.to_json(),
        compiled,
        is_paused: false,
        until: None,
        from: None,
        fields: Vec::new(),
    }
}

/// Adds entries; every one must be new.
pub async fn add_all(store: &Store, entries: &[(&str, Value)]) {
    for shard in store.shards() {
        let mine: Vec<_> = entries.iter().filter(|(name, _)| store.shard_of(&id(name)) == shard).collect();
        let now = store.now(shard).await.unwrap();
        let birth = store.reserve_births(shard, mine.len()).await.unwrap();
        let changes: Vec<Change> = mine
            .iter()
            .zip(birth..)
            .map(|((name, fields), birth)| addition(store, name, fields.clone(), birth, now))
            .collect();
        for page in changes.chunks(250) {
            let request = uuid::Uuid::new_v4().to_string();
            let call = ChangeCall { request: &request, content: "", changes: page, is_dry_run: false };
            match store.put(shard, &call).await.unwrap() {
                PutAnswer::Done(changed) => {
                    assert!(changed.iter().all(|one| one.word == ChangeWord::Added), "{changed:?}")
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
