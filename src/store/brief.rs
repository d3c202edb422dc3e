//! What a node reads before it executes a run: definition, what the last run left; one round trip for any number of runs.

use fred::types::Value;

use crate::domain::id::EntryId;
use crate::domain::record::EndedRun;
use crate::domain::run::State;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::keys::Key;
use crate::store::reply::{Reply, maybe_bytes};

/// What is known of an entry when a run of it begins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Brief {
    /// The current definition, JSON; `None` where the entry was removed.
    pub definition: Option<Vec<u8>>,
    /// The newest record that ended.
    pub last: Option<EndedRun>,
    /// When the newest that succeeded had ended.
    pub last_success_at: Option<Timestamp>,
    /// What the last run left for the next.
    pub result: Option<String>,
}

/// Entries in one round trip.
const PAGE: usize = 250;

impl Store {
    /// Briefs of entries of one shard, in their order; an entry may be named twice.
    ///
    /// # Errors
    ///
    /// Unavailable.
    pub async fn briefs(&self, shard: u16, ids: &[EntryId]) -> Result<Vec<Brief>> {
        let mut briefs = Vec::with_capacity(ids.len());
        for page in ids.chunks(PAGE) {
            let ask = |key: Key, fields: Vec<Value>| {
                ("HMGET", std::iter::once(Value::from(self.key(shard, key))).chain(fields).collect::<Vec<_>>())
            };
            let names = || page.iter().map(|id| Value::from(id.as_str())).collect();
            let rings = page.iter().flat_map(|id| [Value::from(id.as_str()), Value::from(format!("{id}!"))]).collect();
            let asked = [ask(Key::Entries, names()), ask(Key::History, rings), ask(Key::Results, names())];
            let [definitions, rings, results] = self.inner.client.beside(asked).await;
            let list = |answer: Result<Value>| Ok::<_, Error>(Reply::list(answer?)?.rest());
            let (definitions, rings, results) = (list(definitions)?, list(rings)?, list(results)?);
            let mut rings = rings.into_iter();
            for ((id, definition), result) in page.iter().zip(definitions).zip(results) {
                let ring = [rings.next().unwrap_or(Value::Null), rings.next().unwrap_or(Value::Null)];
                briefs.push(self.read_brief(id, definition, ring, result)?);
            }
        }
        Ok(briefs)
    }

    /// Briefs as a claim gives them with what it starts: four values an entry. Nothing where one can't be read or is missing: then
    /// whoever needs them asks.
    pub(super) fn briefs_of_claim(&self, ids: &[&str], values: Vec<Value>) -> Vec<Brief> {
        let mut values = values.into_iter();
        let mut one = |id: &&str| {
            let id = EntryId::parse("entry", id).ok()?;
            let (definition, first, second, result) = (values.next()?, values.next()?, values.next()?, values.next()?);
            self.read_brief(&id, definition, [first, second], result).ok()
        };
        ids.iter().map(&mut one).collect::<Option<_>>().unwrap_or_default()
    }

    fn read_brief(&self, id: &EntryId, definition: Value, rings: [Value; 2], result: Value) -> Result<Brief> {
        let mut brief = Brief {
            definition: maybe_bytes(definition)?,
            result: maybe_bytes(result)?.map(|text| String::from_utf8_lossy(&text).into_owned()),
            ..Brief::default()
        };
        for chunk in rings {
            let Some(chunk) = maybe_bytes(chunk)? else { continue };
            EndedRun::read_chunk(self.namespace(), id, &chunk).into_iter().for_each(|run| brief.note(run));
        }
        Ok(brief)
    }
}

impl Brief {
    fn note(&mut self, run: EndedRun) {
        if run.state == State::Succeeded {
            self.last_success_at = self.last_success_at.max(Some(run.finished_at));
        }
        let order = |run: &EndedRun| (run.last_fire_at, run.finished_at);
        if self.last.as_ref().is_none_or(|known| order(known) < order(&run)) {
            self.last = Some(run);
        }
    }
}
