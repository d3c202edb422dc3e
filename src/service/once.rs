//! once: ad-hoc work, run now or at an instant, without an entry.

use serde_json::{Map, Value};

use crate::domain::id::{EntryId, QueueName};
use crate::domain::one_off;
use crate::domain::plan::Registered;
use crate::domain::record::{Extras, requested_run_id};
use crate::domain::run::Trigger;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::service::request::content;
use crate::service::trigger::ROUNDS;
use crate::service::view::RunView;
use crate::service::{Request, Service};
use crate::store::{Asked, Made, OnceCall, TriggerAnswer, Unique};

/// Longest key, bytes.
const KEY_MAX_BYTES: usize = 200;
/// For how long a key is taken where nobody says it: 24 h.
const TAKEN_FOR: Span = Span(86_400_000);
/// For how long a key may be taken: 366 d.
const TAKEN_MAX: Span = Span(366 * 86_400_000);
/// How far ahead a run may be asked for: 366 d.
const AHEAD_MAX_MS: i64 = 366 * 86_400_000;

/// A key that makes a run the only one for a while: a second request with it makes no run and names the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlyOne {
    key: String,
    taken_for: Span,
}

impl OnlyOne {
    /// Reads the key and for how long it is taken, 24 h where that is not said.
    ///
    /// # Errors
    ///
    /// Invalid about `unique` or `unique_for`.
    pub fn parse(key: Option<&str>, taken_for: Option<&str>) -> Result<Option<Self>> {
        let Some(key) = key else {
            return match taken_for {
                Some(_) => Err(Error::invalid("unique_for", "goes with --unique KEY")),
                None => Ok(None),
            };
        };
        if key.is_empty() || key.len() > KEY_MAX_BYTES || key.chars().any(char::is_control) {
            let why = format!("a key of 1 to {KEY_MAX_BYTES} bytes without control characters is needed");
            return Err(Error::invalid("unique", why).value(key));
        }
        let taken_for = taken_for.map_or(Ok(TAKEN_FOR), |text| Span::parse("unique_for", text))?;
        if taken_for.0 == 0 || taken_for > TAKEN_MAX {
            let why = format!("{} is not from 1ms to 366d", taken_for.human());
            return Err(Error::invalid("unique_for", why).value(taken_for.human()));
        }
        Ok(Some(Self { key: key.to_owned(), taken_for }))
    }

    /// The key among those of an entry, or of work without one.
    pub(super) fn field(&self, id: Option<&EntryId>) -> String {
        format!("{}\0{}", id.map_or("", EntryId::as_str), self.key)
    }

    pub(super) fn taken_ms(&self) -> i64 {
        self.taken_for.ms()
    }

    /// Key and length as one text.
    pub(super) fn words(&self) -> String {
        format!("{} {}", self.taken_for.0, self.key)
    }
}

/// When a run without an entry shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnceWhen {
    /// At once.
    Now,
    /// So long from now.
    In(Span),
    /// At this instant.
    At(Timestamp),
}

/// A run that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct AskedRun {
    /// The run; the first one where the key was taken.
    pub run: RunView,
    /// No run was made: the key was taken by this one.
    pub is_taken: bool,
}

impl Service {
    /// Makes one run of work that no entry describes. A repeated request answers with the run that it made.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] about a field, or an instant that has passed or is more than 366 d ahead.
    pub async fn once(
        &self,
        request: &Request,
        fields: &Map<String, Value>,
        when: &OnceWhen,
        unique: Option<&OnlyOne>,
    ) -> Result<AskedRun> {
        request.check()?;
        one_off::check(fields)?;
        let id = one_off::name(&unique.map_or_else(|| request.id.clone(), |unique| unique.field(None)));
        let shard = self.store.shard_of(&id);
        let step = request.step(shard, 0);
        let words = unique.map(OnlyOne::words).unwrap_or_default();
        let content = content("once", [&*Value::from(fields.clone()).to_string(), &format!("{when:?}"), &words]);
        let asked = Asked { request: &step, content: &content };
        let answer = match self.store.triggered(shard, asked).await? {
            Some(answer) => answer,
            None => self.ask_once(request, &id, shard, asked, fields, when, unique).await?,
        };
        match answer {
            TriggerAnswer::Made { run_id, fire_at, made } => {
                let is_taken = made == Made::Taken;
                Ok(AskedRun { run: self.made(&id, Trigger::OneOff, run_id, fire_at, made).await?, is_taken })
            }
            TriggerAnswer::OtherRequest => Err(request.used_before()),
            TriggerAnswer::Crowded => Err(crowded()),
            _ => Err(Error::Conflict(Problem::new("queue", "its waiting list can't be found").hint("ask again"))),
        }
    }

    #[allow(clippy::too_many_arguments)]
    async fn ask_once(
        &self,
        request: &Request,
        id: &EntryId,
        shard: u16,
        asked: Asked<'_>,
        fields: &Map<String, Value>,
        when: &OnceWhen,
        unique: Option<&OnlyOne>,
    ) -> Result<TriggerAnswer> {
        let now = self.store.now(shard).await?;
        let fire_at = match when {
            OnceWhen::Now => now,
            OnceWhen::In(span) => Timestamp(now.0.saturating_add(span.ms())),
            OnceWhen::At(at) if *at <= now => {
                let why = format!("{} has passed", at.to_rfc3339());
                return Err(Error::invalid("at", why).value(at.to_rfc3339()).hint("leave it out to run it now"));
            }
            OnceWhen::At(at) => *at,
        };
        if fire_at.0 - now.0 > AHEAD_MAX_MS {
            let field = if matches!(when, OnceWhen::In(_)) { "in" } else { "at" };
            let why = format!("{} is more than 366 d ahead", fire_at.to_rfc3339());
            return Err(Error::invalid(field, why).hint("upbeat add --at registers an entry for it"));
        }
        let entry = one_off::entry(id, fields, fire_at)?;
        let namespace = self.store.namespace();
        let compiled = Registered { namespace, id, birth: 0, revision: 0, entry: &entry }.compile(fire_at, 0);
        let run_id = requested_run_id(namespace, id, &request.id, fire_at);
        if request.is_dry_run {
            if let Some(taken) = self.taken_by(shard, unique, None).await? {
                return Ok(taken);
            }
            let made = match (fire_at > now, compiled.message.is_empty()) {
                (true, _) => Made::Waiting,
                (false, true) => Made::Queued,
                (false, false) => Made::Delivered,
            };
            return Ok(TriggerAnswer::Made { run_id, fire_at, made });
        }
        let extras = Extras {
            actor: Some(request.actor.clone()),
            reason: request.reason.clone(),
            once: Some(fields.clone()),
            ..Extras::default()
        };
        let field = unique.map(|unique| unique.field(None));
        let call = OnceCall {
            asked,
            id,
            run_id: &run_id,
            fire_at,
            plan: &compiled.plan,
            // Texts, numbers and JSON: serde_json has nothing to refuse.
            extras: &serde_json::to_string(&extras).unwrap_or_default(),
            message: &compiled.message,
            unique: field.as_deref().zip(unique).map(|(field, unique)| Unique { field, ms: unique.taken_ms() }),
        };
        let mut answer = self.store.once(shard, &call).await?;
        for _ in 0..ROUNDS {
            if answer != TriggerAnswer::UnknownList {
                break;
            }
            self.store.refresh_lists(shard).await?;
            answer = self.store.once(shard, &call).await?;
        }
        Ok(answer)
    }

    /// What a request would be told whose key is taken already.
    pub(super) async fn taken_by(
        &self,
        shard: u16,
        unique: Option<&OnlyOne>,
        id: Option<&EntryId>,
    ) -> Result<Option<TriggerAnswer>> {
        let Some(unique) = unique else { return Ok(None) };
        let holder = self.store.unique_holder(shard, &unique.field(id)).await?;
        Ok(holder.map(|(run_id, fire_at)| TriggerAnswer::Made { run_id, fire_at, made: Made::Taken }))
    }

    /// Why a run like this would wait for a node, where no live one can serve it.
    ///
    /// # Errors
    ///
    /// Those of Redis, and of a definition that is not valid.
    pub async fn once_unserved(&self, fields: &Map<String, Value>) -> Result<Option<String>> {
        let entry = one_off::entry(&one_off::name(""), fields, Timestamp(0))?;
        let Some(kind) = entry.action.kind() else { return Ok(None) };
        let queue: &QueueName = &entry.queue;
        let fleet = self.fleet().await?;
        Ok(fleet.nobody_serves(&format!("{queue}:{}", kind.word())).map(|why| why.why()))
    }
}

/// Too many keys are taken.
pub(super) fn crowded() -> Error {
    let problem = Problem::new("unique", "100,000 keys are taken, and no more can be");
    Error::Conflict(problem.hint("a shorter --unique-for lets them go earlier"))
}
