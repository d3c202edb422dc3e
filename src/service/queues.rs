//! Queues: what waits and executes in each, their limits and pauses, and why a run is held by them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::domain::id::QueueName;
use crate::domain::nearest::nearest;
use crate::domain::queue::{QueueLimits, QueuePause, QueueRule, Rate};
use crate::domain::run::State;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::service::nodes::Fleet;
use crate::service::request::content;
use crate::service::view::{At, QueueView};
use crate::service::{Request, Service};
use crate::store::{QueueAnswer, QueueCall, QueueState, QueueVerb};

/// What became of a queue in a change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueueChange {
    /// Its name.
    pub id: String,
    /// `changed` or `unchanged`.
    pub change: &'static str,
    /// What differs: `max_running`, `rate`, `paused`.
    pub fields: Vec<&'static str>,
    /// Runs that may execute at a time, from now on.
    pub max_running: Option<u32>,
    /// How fast they may start.
    pub rate: Option<String>,
    /// Who paused it, when and why.
    pub paused_by: Value,
}

/// What became of a request that changes queues.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueueChanges {
    /// One per queue named.
    pub changes: Vec<QueueChange>,
    /// What deserves a look, with the way out.
    pub warnings: Vec<String>,
}

/// Why nothing more of a queue starts now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    Paused(String, QueuePause),
    /// So many execute, and no more may.
    Full(String, u64, u32),
    /// The next may start then.
    Rate(String, Rate, Option<Timestamp>),
    /// What executes is being counted.
    Counting(String),
    Unreadable(Error),
}

impl Held {
    fn of(queue: &str, state: &QueueState) -> Option<Self> {
        let queue = queue.to_owned();
        let rule = match &state.rule {
            Ok(rule) => rule,
            Err(why) => return Some(Self::Unreadable(why.clone())),
        };
        if let Some(pause) = &rule.pause {
            return Some(Self::Paused(queue, pause.clone()));
        }
        match (rule.limits.max_running, state.running) {
            (Some(_), None) => return Some(Self::Counting(queue)),
            (Some(most), Some(running)) if running >= u64::from(rule.running_share.unwrap_or(most)) => {
                return Some(Self::Full(queue, running, most));
            }
            _ => {}
        }
        let rate = rule.limits.rate?;
        let is_used_up = state.started >= u64::from(rule.rate_share.unwrap_or(rate.starts));
        is_used_up.then_some(Self::Rate(queue, rate, state.next_at))
    }

    /// In words; `at` writes instants.
    pub fn why(&self, at: impl Fn(Timestamp) -> String) -> String {
        match self {
            Self::Paused(queue, pause) => {
                let reason = pause.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
                format!("queue {queue} is paused by {} since {}{reason}", pause.actor, at(pause.at))
            }
            Self::Full(queue, running, most) => {
                let execute = if *running == 1 { "run executes" } else { "runs execute" };
                format!("{running} {execute} in queue {queue} and its max_running = {most}")
            }
            Self::Rate(queue, rate, next) => {
                let next = next.map(|next| format!(": the next may start at {}", at(next))).unwrap_or_default();
                format!("the rate = {rate} of queue {queue} is used up{next}")
            }
            Self::Counting(queue) => format!("what queue {queue} executes is being counted, its limit is new"),
            Self::Unreadable(why) => why.to_string(),
        }
    }

    /// What somebody may do about it.
    pub fn command(&self) -> String {
        match self {
            Self::Paused(queue, _) => format!("upbeat queues resume {queue}"),
            Self::Full(queue, ..) => format!("upbeat queues set {queue} --max-running N"),
            Self::Rate(queue, ..) => format!("upbeat queues set {queue} --rate N/D"),
            Self::Counting(_) => "upbeat nodes".to_owned(),
            Self::Unreadable(why) => {
                let hint = why.problem().hint.as_deref().unwrap_or("upbeat queues");
                hint.rsplit(": ").next().unwrap_or(hint).to_owned()
            }
        }
    }

    /// Whether nothing starts because nobody can tell what the limits are.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable(_))
    }

    /// For a list of warnings: what goes on as its limits say is none.
    pub fn warning(&self) -> Option<String> {
        matches!(self, Self::Paused(..) | Self::Unreadable(_))
            .then(|| format!("{}: runs will wait; {}", self.why(Timestamp::to_rfc3339), self.command()))
    }
}

/// Limits and pauses of all queues, a map a shard.
#[derive(Debug, Default)]
pub(super) struct Gates(Vec<BTreeMap<String, QueueState>>);

impl Gates {
    /// Why nothing more of `list`, `QUEUE:KIND`, starts; of several shards, in one of them.
    pub fn held(&self, list: &str) -> Option<Held> {
        let queue = list.split(':').next().unwrap_or(list);
        self.0.iter().find_map(|shard| Held::of(queue, shard.get(queue)?))
    }

    fn rule(&self, queue: &str) -> Option<&QueueRule> {
        self.0.iter().find_map(|shard| shard.get(queue)?.rule.as_ref().ok())
    }

    /// Queues of which nothing starts until somebody acts, by name, and why.
    pub fn shut(&self) -> BTreeMap<String, Held> {
        let names: BTreeSet<&String> = self.names().collect();
        let shut = names.into_iter().filter_map(|queue| Some((queue.clone(), self.held(queue)?)));
        shut.filter(|(_, held)| held.warning().is_some()).collect()
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.0.iter().flat_map(BTreeMap::keys)
    }

    /// Where a change was cut off between two shards.
    fn disagreement(&self, queue: &str) -> Option<String> {
        let of = |shard: &BTreeMap<String, QueueState>| {
            let rule = shard.get(queue).and_then(|state| state.rule.as_ref().ok());
            rule.map(|rule| (rule.limits, rule.pause.is_some()))
        };
        let differs = self.0.windows(2).any(|pair| of(&pair[0]) != of(&pair[1]));
        differs.then(|| format!("the shards differ about queue {queue}, a change was cut off: make it again"))
    }
}

impl Service {
    pub(super) async fn gates(&self) -> Result<Gates> {
        let mut gates = Gates::default();
        for shard in self.store.shards() {
            gates.0.push(self.store.queue_states(shard).await?);
        }
        Ok(gates)
    }

    /// All queues in which runs ever waited, and those with limits or a pause, by name.
    pub async fn queues(&self) -> Result<Vec<QueueView>> {
        let fleet = self.fleet().await?;
        let mut queues: BTreeMap<String, Counts> =
            fleet.gates.names().map(|queue| (queue.clone(), Counts::default())).collect();
        for shard in self.store.shards() {
            for (list, waiting) in self.store.waiting(shard).await? {
                let Some((queue, kind)) = list.rsplit_once(':') else { continue };
                *queues.entry(queue.to_owned()).or_default().kinds.entry(kind.to_owned()).or_default() += waiting;
            }
        }
        for run in self.live_runs(|_| true).await? {
            if run.state == State::Running {
                queues.entry(run.queue().to_owned()).or_default().running += 1;
            }
        }
        Ok(queues.into_iter().map(|(queue, counts)| counts.view(queue, &fleet)).collect())
    }

    /// Limits, pauses or resumes a queue. A limit holds for the fleet: each shard of the namespace has a share of it.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where a share would be 0; [`Error::Conflict`] where the request id came with other content, a newer
    /// program wrote what stands, or too many queues have limits; [`Error::Corrupt`] where what stands is damaged and is not
    /// written anew.
    pub async fn change_queue(&self, request: &Request, queue: &QueueName, verb: QueueVerb) -> Result<QueueChanges> {
        request.check()?;
        let change = self.put_queue(request, "", queue, verb).await?;
        Ok(QueueChanges { changes: vec![change], warnings: self.unknown_queue(queue).await?.into_iter().collect() })
    }

    /// Refuses a limit of which a shard would have no share.
    pub(super) fn check_shares(&self, place: &str, limits: QueueLimits) -> Result<()> {
        let shards = u32::from(self.store.shards().end);
        let starts = limits.rate.map(|rate| rate.starts);
        for (field, limit) in [("max_running", limits.max_running), ("rate", starts)] {
            if let Some(limit) = limit.filter(|limit| *limit < shards) {
                let why = format!("{limit} is less than the {shards} shards of the namespace, and each needs a share");
                let field = if place.is_empty() { field.to_owned() } else { format!("{place}.{field}") };
                return Err(Error::invalid(field, why).value(limit.to_string()).hint(format!("{shards} or more")));
            }
        }
        Ok(())
    }

    /// `part` tells one change of a request from another.
    pub(super) async fn put_queue(
        &self,
        request: &Request,
        part: &str,
        queue: &QueueName,
        verb: QueueVerb,
    ) -> Result<QueueChange> {
        if let QueueVerb::Set { max_running, rate } = verb {
            self.check_shares("", QueueLimits { max_running: max_running.flatten(), rate: rate.flatten() })?;
        }
        let content = content("queue", [queue.as_str(), &format!("{verb:?}")]);
        let mut change: Option<QueueChange> = None;
        for shard in self.store.shards() {
            let id = format!("{}{part}", request.step(shard, 0));
            let call = QueueCall {
                request: &id,
                content: &content,
                queue: queue.as_str(),
                verb,
                actor: &request.actor,
                reason: request.reason.as_deref(),
                is_dry_run: request.is_dry_run,
            };
            let answer = self.store.put_queue(shard, &call).await?;
            let view = self.queue_change(request, queue, answer).await?;
            if !request.is_dry_run {
                self.store.count_queue(shard, queue.as_str()).await?;
            }
            // What differs in one shard differs.
            change = Some(change.filter(|change| change.change == "changed").unwrap_or(view));
        }
        change.ok_or_else(|| Error::internal("a namespace has a shard"))
    }

    async fn queue_change(&self, request: &Request, queue: &QueueName, answer: QueueAnswer) -> Result<QueueChange> {
        match answer {
            QueueAnswer::OtherRequest => Err(request.used_before()),
            QueueAnswer::Full => {
                let problem = Problem::new("queue", "1,000 queues have limits or a pause, and no more may");
                Err(Error::Conflict(problem.hint("upbeat queues set Q --unset max_running,rate takes one's away")))
            }
            QueueAnswer::Newer | QueueAnswer::Damaged => {
                let states = self.store.queue_states(0).await?;
                let why = states.get(queue.as_str()).and_then(|state| state.rule.clone().err());
                Err(why.unwrap_or_else(|| Error::internal(format!("queue {queue} changed meanwhile"))))
            }
            QueueAnswer::Done { is_changed, before, after } => Ok(view_of(queue, is_changed, before, after)),
        }
    }

    /// Whether the name may be a slip: nothing ever waited in a queue called so.
    async fn unknown_queue(&self, queue: &QueueName) -> Result<Option<String>> {
        let mut known = BTreeSet::new();
        for shard in self.store.shards() {
            self.store.refresh_lists(shard).await?;
            let lists = self.store.lists(shard);
            known.extend(lists.iter().filter_map(|list| Some(list.split(':').next()?.to_owned())));
        }
        if known.contains(queue.as_str()) {
            return Ok(None);
        }
        let meant = nearest(queue.as_str(), known.iter().map(String::as_str));
        let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        Ok(Some(format!("no entry has used queue {queue} yet{meant}")))
    }
}

fn view_of(
    queue: &QueueName,
    is_changed: bool,
    before: Option<Box<QueueRule>>,
    after: Option<Box<QueueRule>>,
) -> QueueChange {
    let stood = |rule: &Option<Box<QueueRule>>| rule.as_ref().map(|rule| rule.limits).unwrap_or_default();
    let old = (stood(&before), before.as_ref().and_then(|rule| rule.pause.as_ref()));
    let new = (stood(&after), after.as_ref().and_then(|rule| rule.pause.as_ref()));
    change_of(queue, is_changed, old, new)
}

/// Limits and pause before and after a change.
type Stands<'a> = (QueueLimits, Option<&'a QueuePause>);

fn change_of(queue: &QueueName, is_changed: bool, (old, was): Stands, (new, pause): Stands) -> QueueChange {
    let fields =
        [("max_running", old.max_running != new.max_running), ("rate", old.rate != new.rate), ("paused", was != pause)];
    QueueChange {
        id: queue.to_string(),
        change: if is_changed { "changed" } else { "unchanged" },
        fields: fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect(),
        max_running: new.max_running,
        rate: new.rate.map(|rate| rate.to_string()),
        paused_by: paused_by(pause),
    }
}

pub(super) fn paused_by(pause: Option<&QueuePause>) -> Value {
    pause.map_or(Value::Null, |pause| json!({"at": At(pause.at), "actor": pause.actor, "reason": pause.reason}))
}

#[derive(Default)]
struct Counts {
    kinds: BTreeMap<String, u64>,
    running: u64,
}

impl Counts {
    fn view(self, queue: String, fleet: &Fleet) -> QueueView {
        let unserved = self.kinds.iter().filter_map(|(kind, waiting)| {
            let unserved = fleet.nobody_serves(&format!("{queue}:{kind}"))?;
            Some(match waiting {
                0 => unserved.warning(),
                _ => format!("{}: {waiting} waiting; {}", unserved.why(), unserved.remedy()),
            })
        });
        let mut warnings: Vec<String> = unserved.collect();
        warnings.extend(fleet.gates.disagreement(&queue));
        warnings.extend(fleet.held(&queue).and_then(|held| held.warning()));
        let kinds: Map<String, Value> =
            self.kinds.iter().map(|(kind, count)| (kind.clone(), (*count).into())).collect();
        let rule = fleet.gates.rule(&queue);
        QueueView {
            waiting: self.kinds.values().sum(),
            running: self.running,
            max_running: rule.and_then(|rule| rule.limits.max_running),
            rate: rule.and_then(|rule| rule.limits.rate).map(|rate| rate.to_string()),
            paused_by: paused_by(rule.and_then(|rule| rule.pause.as_ref())),
            changed_by: rule
                .map_or(Value::Null, |rule| json!({"at": At(rule.at), "actor": rule.actor, "reason": rule.reason})),
            nodes: fleet.serving(&queue),
            warnings,
            kinds: Value::Object(kinds),
            queue,
        }
    }
}
