//! trigger and cancel: a run that somebody asks for, or wants to end.

use serde_json::{Map, Value};

use crate::domain::action::Action;
use crate::domain::entry::{Entry, payload_bytes};
use crate::domain::id::EntryId;
use crate::domain::plan::{overlap_number, pack_celery, pack_message};
use crate::domain::policy::{Overlap, PAYLOAD_MAX_BYTES, WAITING_MAX};
use crate::domain::record::{Extras, requested_run_id};
use crate::domain::run::{Reason, State, Trigger};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::service::once::{AskedRun, OnlyOne, crowded};
use crate::service::request::content;
use crate::service::view::{At, RunView};
use crate::service::{Request, RunRef, Service};
use crate::store::{Asked, CancelAnswer, CancelledBefore, Made, TriggerAnswer, TriggerCall, Unique};

/// Longest arguments put behind an entry's own, bytes in all.
const ARGS_MAX_BYTES: usize = 64 * 1024;
/// How often a trigger is asked again while lists or plans are read afresh.
pub(super) const ROUNDS: usize = 10;

/// What a requested run does differently from its entry.
#[derive(Debug, Clone, Default)]
pub struct TriggerOptions {
    /// Replaces the entry's payload.
    pub payload: Option<Value>,
    /// Replaces the entry's overlap rule.
    pub overlap: Option<Overlap>,
    /// Put behind the entry's arguments; for `exec` and `shell`.
    pub args: Vec<String>,
    /// Makes it the only run of the entry with this key for a while.
    pub unique: Option<OnlyOne>,
}

impl Service {
    /// Makes one run now. A repeated request answers with the run that it made. A dry run says what would become of it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] about `entry`; [`Error::Invalid`] about an option that does not go with its action.
    pub async fn trigger(&self, request: &Request, id: &EntryId, options: TriggerOptions) -> Result<AskedRun> {
        request.check()?;
        let shard = self.store.shard_of(id);
        let step = request.step(shard, 0);
        let payload = options.payload.as_ref().map(Value::to_string).unwrap_or_default();
        let overlap = options.overlap.map_or("", Overlap::word);
        let args = Value::from(options.args.clone()).to_string();
        let unique = options.unique.as_ref().map(OnlyOne::words);
        let parts = [id.as_str(), &payload, overlap, &args];
        let content = content("trigger", parts.into_iter().chain(unique.as_deref()));
        let asked = Asked { request: &step, content: &content };
        let answer = match self.store.triggered(shard, asked).await? {
            Some(answer) => answer,
            None => self.ask(request, id, shard, asked, &options).await?,
        };
        match answer {
            TriggerAnswer::Made { run_id, fire_at, made } => {
                let is_taken = made == Made::Taken;
                Ok(AskedRun { run: self.made(id, Trigger::Manual, run_id, fire_at, made).await?, is_taken })
            }
            TriggerAnswer::Crowded => Err(crowded()),
            TriggerAnswer::OtherRequest => Err(request.used_before()),
            TriggerAnswer::Gone => Err(self.no_entry(id).await?),
            TriggerAnswer::Busy => Err(Error::Conflict(
                Problem::new("overlap", format!("too many runs are active to see whether one is of {id}"))
                    .hint("ask again when fewer are active, or allow overlap"),
            )),
            TriggerAnswer::Broken | TriggerAnswer::UnknownList => Err(Error::Conflict(
                Problem::new("entry", format!("{id} has no plan that can be read"))
                    .value(id.as_str())
                    .hint("ask again"),
            )),
        }
    }

    async fn ask(
        &self,
        request: &Request,
        id: &EntryId,
        shard: u16,
        asked: Asked<'_>,
        options: &TriggerOptions,
    ) -> Result<TriggerAnswer> {
        let (stored, fire_at) = tokio::try_join!(self.store.entry(id), self.store.now(shard))?;
        let Some(stored) = stored else { return Err(self.no_entry(id).await?) };
        let definition = stored.definition?;
        let entry = definition.parse(id)?;
        check(&entry, options)?;
        if request.is_dry_run {
            if let Some(taken) = self.taken_by(shard, options.unique.as_ref(), Some(id)).await? {
                return Ok(taken);
            }
            let made = self.would_be(id, definition.birth, &entry, options).await?;
            let run_id = requested_run_id(self.store.namespace(), id, &request.id, fire_at);
            return Ok(TriggerAnswer::Made { run_id, fire_at, made });
        }
        let payload = options.payload.as_ref().or(entry.payload.as_ref());
        let namespace = self.store.namespace();
        let (message, own) = match &entry.action {
            Action::Direct(direct) => (pack_message(namespace, direct, payload), None),
            Action::Celery(celery) if entry.action.is_direct() => {
                let given = payload.and_then(|payload| celery.given(payload));
                (pack_celery(namespace, id, given.as_ref().unwrap_or(celery)), None)
            }
            _ => (Vec::new(), options.payload.clone()),
        };
        let extras = Extras {
            payload: own,
            args: options.args.clone(),
            actor: Some(request.actor.clone()),
            reason: request.reason.clone(),
            once: None,
        };
        let field = options.unique.as_ref().map(|unique| unique.field(Some(id)));
        let call = TriggerCall {
            asked,
            id,
            birth: definition.birth,
            run_id: &requested_run_id(self.store.namespace(), id, &request.id, fire_at),
            fire_at,
            overlap: options.overlap.map(overlap_number),
            // Texts and numbers: serde_json has nothing to refuse.
            extras: &serde_json::to_string(&extras).unwrap_or_default(),
            message: &message,
            unique: field
                .as_deref()
                .zip(options.unique.as_ref())
                .map(|(field, unique)| Unique { field, ms: unique.taken_ms() }),
        };
        let mut answer = self.store.trigger(shard, &call).await?;
        for _ in 0..ROUNDS {
            match answer {
                TriggerAnswer::UnknownList => self.store.refresh_lists(shard).await?,
                TriggerAnswer::Broken => drop(self.store.plan(id, fire_at).await?),
                _ => break,
            }
            answer = self.store.trigger(shard, &call).await?;
        }
        Ok(answer)
    }

    /// What would become of a run that is asked for now.
    async fn would_be(&self, id: &EntryId, birth: u64, entry: &Entry, options: &TriggerOptions) -> Result<Made> {
        if entry.action.is_direct() {
            return Ok(Made::Delivered);
        }
        let most_waiting = match options.overlap.unwrap_or(entry.overlap) {
            Overlap::Skip => 0,
            Overlap::BufferOne => 1,
            Overlap::BufferAll => WAITING_MAX,
            Overlap::Allow | Overlap::CancelOther => return Ok(Made::Queued),
        };
        let active = self.live_runs(|run| run.entry_id == id.as_str() && run.birth == birth).await?;
        let waiting = active.iter().filter(|run| run.state == State::Waiting).count();
        match active.first() {
            Some(other) if waiting >= most_waiting => Ok(Made::Skipped(other.run_id.clone())),
            _ => Ok(Made::Queued),
        }
    }

    /// The run as it stands, or as it was made where it left no record.
    pub(super) async fn made(
        &self,
        id: &EntryId,
        trigger: Trigger,
        run_id: String,
        fire_at: Timestamp,
        made: Made,
    ) -> Result<RunView> {
        match self.run(&RunRef::Id(run_id.clone())).await {
            Err(Error::NotFound(_)) => {}
            run => return run,
        }
        let (state, reason, message) = match made {
            Made::Queued | Made::Taken => (State::Queued, None, None),
            Made::Waiting => (State::Waiting, Some(Reason::Until), None),
            Made::Skipped(other) => (State::Skipped, Some(Reason::Overlap), Some(format!("run {other} is active"))),
            Made::Delivered => (State::Succeeded, Some(Reason::Delivered), None),
            Made::Refused(words) => (State::Failed, Some(Reason::Target), Some(words)),
        };
        let ended = (!state.is_active()).then_some(At(fire_at));
        Ok(RunView {
            run_id,
            entry_id: id.to_string(),
            trigger: trigger.word(),
            fire_at: At(fire_at),
            due_at: At(fire_at),
            enqueued_at: (state != State::Skipped && state != State::Waiting).then_some(At(fire_at)),
            started_at: ended.filter(|_| state != State::Skipped),
            finished_at: ended,
            duration_ms: ended.filter(|_| state != State::Skipped).map(|_| 0),
            state: state.word(),
            reason: reason.map(Reason::word),
            message,
            attempt: 0,
            attempts: 0,
            lost: 0,
            node: None,
            exit_code: None,
            last_fire_at: At(fire_at),
            fires: 1,
            queue: None,
            next_attempt_at: None,
            revision: 0,
            stuck: false,
            made: crate::service::attempts::Made::default(),
        })
    }

    /// Ends a run that waits, or asks the node that executes it to end it. A repeated request answers with the run that it was
    /// about, also where `wanted` means another one by now.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Conflict`] where it has ended.
    pub async fn cancel(&self, request: &Request, wanted: &RunRef) -> Result<RunView> {
        request.check()?;
        let word = wanted.to_string();
        let content = content("cancel", [word.as_str()]);
        // A run id does not say its shard.
        let shards: Vec<u16> = match wanted.entry() {
            Some(id) => vec![self.store.shard_of(id)],
            None => self.store.shards().collect(),
        };
        for shard in shards {
            let step = request.step(shard, 0);
            match self.store.cancelled(shard, Asked { request: &step, content: &content }).await? {
                CancelledBefore::Never => {}
                CancelledBefore::OtherRequest => return Err(request.used_before()),
                CancelledBefore::Run(run_id) => return self.run(&RunRef::Id(run_id)).await,
            }
        }
        let run = self.to_cancel(wanted).await?;
        if request.is_dry_run {
            return Ok(run);
        }
        let shard = self.store.shard_of(&EntryId::parse("entry", &run.entry_id)?);
        let step = request.step(shard, 0);
        let asked = Asked { request: &step, content: &content };
        match self.store.cancel(shard, asked, &run.run_id, &request.words()).await? {
            CancelAnswer::Cancelled | CancelAnswer::Asked => self.run(&RunRef::Id(run.run_id)).await,
            CancelAnswer::OtherRequest => Err(request.used_before()),
            CancelAnswer::Ended => {
                let why = match State::from_word(run.state) {
                    Some(State::Waiting) => "waits for the pace of its back-log and has not begun",
                    _ => "has ended meanwhile",
                };
                Err(Error::Conflict(Problem::new("run", format!("{} {why}", run.run_id)).value(&run.run_id)))
            }
        }
    }

    /// The run that is meant: of an entry, the newest that is still active.
    async fn to_cancel(&self, wanted: &RunRef) -> Result<RunView> {
        let run = match wanted {
            RunRef::Latest(id) => {
                let runs = self.runs_of(id).await?;
                let newest = runs.iter().find(|run| run.finished_at.is_none()).or(runs.first());
                newest.cloned().ok_or_else(|| {
                    Error::NotFound(Problem::new("run", format!("{id} has not run yet")).value(id.as_str()))
                })?
            }
            wanted => self.run(wanted).await?,
        };
        let Some(at) = run.finished_at else { return Ok(run) };
        let name = format!("{}@{}", run.entry_id, run.fire_at.0.to_rfc3339());
        let message = format!("{name} is not active: {} since {}", run.state, at.0.to_rfc3339());
        Err(Error::Conflict(Problem::new("run", message).value(run.run_id)))
    }
}

/// Refuses what does not go with the action.
fn check(entry: &Entry, options: &TriggerOptions) -> Result<()> {
    if let Some(payload) = &options.payload {
        if payload.is_null() {
            return Err(Error::invalid("payload", "null replaces nothing").hint("leave it out, or say \"\" or {}"));
        }
        let size = payload_bytes(payload).len();
        if size > PAYLOAD_MAX_BYTES {
            let why = format!("{size} bytes are too many, {PAYLOAD_MAX_BYTES} are the most");
            return Err(Error::invalid("payload", why));
        }
        // Limits of depth and the like are those of entries; one that holds nothing else is asked.
        let fields = [("every", "1h".into()), ("shell", "true".into()), ("payload", payload.clone())];
        let probe: Map<String, Value> = fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
        match Entry::parse(probe) {
            Err(why) if why.problem().field.as_deref().is_some_and(|field| field.starts_with("payload")) => {
                return Err(why);
            }
            _ => {}
        }
        if let Action::Celery(celery) = &entry.action
            && celery.given(payload).is_none()
        {
            let shown = payload.to_string();
            return Err(Error::invalid("payload", format!("{shown} is neither a list nor a table"))
                .value(shown)
                .hint("a list replaces args, a table kwargs: --payload '[1]' or --payload '{\"n\": 1}'"));
        }
    }
    let takes_args = matches!(entry.action, Action::Exec(_) | Action::Shell(_));
    if !options.args.is_empty() && !takes_args {
        return Err(Error::invalid("args", "go with exec and shell only").hint("--payload says what it is given"));
    }
    if options.args.iter().any(|arg| arg.contains('\0')) {
        return Err(Error::invalid("args", "may not contain a NUL character"));
    }
    let size: usize = options.args.iter().map(String::len).sum();
    if size > ARGS_MAX_BYTES {
        return Err(Error::invalid("args", format!("{size} bytes are too many, {ARGS_MAX_BYTES} are the most")));
    }
    if entry.action.is_message() && options.overlap.is_some_and(|overlap| overlap != Overlap::Allow) {
        return Err(Error::invalid("overlap", "a message is delivered at once: overlap is allow"));
    }
    Ok(())
}
