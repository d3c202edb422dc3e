//! An answer as it grows, and the words that several answers share.

use crate::domain::definition::Definition;
use crate::domain::durations::Usual;
use crate::domain::id::EntryId;
use crate::domain::record::{EndedRun, LiveRun};
use crate::domain::run::{Reason, State};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::domain::wall::{Wall, rough, took};
use crate::domain::zone::Local;
use crate::service::why::answer::{Answer, Fact};
use crate::service::why::records::Records;

/// Fire times that are named one by one, at most.
const NAMED: usize = 4;
/// Characters of the last words of a run, at most.
const LAST_WORDS: usize = 200;

/// An answer without its entry.
pub(super) struct Tale {
    pub answer: Answer,
    pub reason: Option<Reason>,
    pub run_id: Option<String>,
    /// Goes on after the id of the entry.
    pub sentence: String,
    pub facts: Vec<Fact>,
    pub todo: Vec<String>,
}

impl Tale {
    pub fn new(answer: Answer, sentence: impl Into<String>) -> Self {
        Self { answer, reason: None, run_id: None, sentence: sentence.into(), facts: Vec::new(), todo: Vec::new() }
    }

    pub fn because(mut self, reason: Option<Reason>) -> Self {
        self.reason = reason;
        self
    }

    pub fn of(mut self, run_id: &str) -> Self {
        self.run_id = Some(run_id.to_owned());
        self
    }

    /// Adds a fact, unless there is nothing to say.
    pub fn fact(mut self, label: &str, text: impl Into<Option<String>>) -> Self {
        let text = text.into().filter(|text| !text.is_empty());
        self.facts.extend(text.map(|text| Fact { label: label.to_owned(), text }));
        self
    }

    pub fn todo(mut self, command: impl Into<Option<String>>) -> Self {
        self.todo.extend(command.into());
        self
    }
}

/// What an answer is told from.
pub(super) struct Teller<'r> {
    pub records: &'r Records,
    pub wall: Wall,
    /// The end of the output of the run that matters.
    pub output: Option<String>,
}

/// Parts of a line, those that say something.
pub(super) fn parts(parts: impl IntoIterator<Item = Option<String>>) -> Option<String> {
    let said: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    (!said.is_empty()).then(|| said.join(" · "))
}

/// ` ("INC-1234")`, or nothing.
pub(super) fn quoted(reason: Option<&String>) -> String {
    reason.map(|reason| format!(" ({reason:?})")).unwrap_or_default()
}

/// `1 fire time`, `2 fire times`.
pub(super) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// `disk@2026-11-20T12:07:50.000Z`, which names the run on the command line.
pub(super) fn name(id: &EntryId, fire_at: Timestamp) -> String {
    format!("{id}@{}", fire_at.to_rfc3339())
}

/// `3 d 7 h` since then.
pub(super) fn since(from: Timestamp, until: Timestamp) -> String {
    rough(Span((until.0 - from.0).max(0).unsigned_abs()))
}

/// How long an ended run took.
pub(super) fn duration(run: &EndedRun) -> Option<i64> {
    run.started_at.map(|started| run.finished_at.0 - started.0)
}

/// How a run failed: `exit 12`, else its message, else its reason.
pub(super) fn how(run: &EndedRun) -> String {
    let message = || run.message.clone();
    let word = || run.reason.map_or_else(|| run.state.to_string(), |reason| reason.to_string());
    match (run.reason, run.exit_code) {
        (Some(Reason::Exit), Some(code)) => format!("exit {code}"),
        (Some(Reason::Timeout), _) => "timeout".to_owned(),
        (Some(Reason::Refused), _) => message().unwrap_or_else(word),
        (Some(reason), _) => message().map_or_else(word, |message| format!("{reason}, {message}")),
        (None, _) => message().unwrap_or_else(word),
    }
}

impl Teller<'_> {
    pub fn id(&self) -> &EntryId {
        &self.records.id
    }

    pub fn dated(&self, at: Timestamp) -> String {
        self.wall.dated(at)
    }

    /// `by ana@laptop since 18 Nov 16:12 ("INC-1234")`.
    pub fn by_whom(&self, definition: &Definition) -> String {
        format!("by {} on {}{}", definition.actor, self.wall.moment(definition.at), quoted(definition.reason.as_ref()))
    }

    /// `(usually 14 min, p95 21 min)`.
    pub fn usually(&self) -> String {
        match self.records.usual() {
            Some(Usual { median, p95, .. }) => format!(" (usually {}, p95 {})", took(median.ms()), took(p95.ms())),
            None => String::new(),
        }
    }

    /// The run on the command line: its entry alone where that means the same.
    pub fn run(&self, fire_at: Timestamp, is_latest: bool) -> String {
        if is_latest { self.id().to_string() } else { name(self.id(), fire_at) }
    }

    /// `upbeat logs RUN`; the entry alone stands for the latest that did something.
    pub fn logs(&self, run_id: &str, fire_at: Timestamp) -> String {
        let live = self.records.live.iter().filter(|run| run.attempt > 0).map(|run| (run.fire_at, &run.run_id));
        let ended = self.records.ended.iter().filter(|run| run.attempt > 0).map(|run| (run.fire_at, &run.run_id));
        let latest = live.chain(ended).max();
        format!("upbeat logs {}", self.run(fire_at, latest.is_some_and(|(_, latest)| latest == run_id)))
    }

    /// `upbeat cancel RUN`; the entry alone stands for its active run.
    pub fn cancel(&self, run: &LiveRun) -> String {
        format!("upbeat cancel {} --reason '...'", self.run(run.fire_at, self.records.live.len() == 1))
    }

    /// Runs this fire time after all, where the entry still exists.
    pub fn backfill(&self, at: Timestamp) -> Option<String> {
        self.records.stored.as_ref()?;
        let at = self.typed(at);
        Some(format!("upbeat backfill {} --from {at} --to {at}", self.id()))
    }

    /// An instant as it can be typed: in the zone of the entry where that is clear.
    pub fn typed(&self, at: Timestamp) -> String {
        let local = self.wall.zone.to_local(at);
        let format = if at.0 % 60_000 == 0 { "%Y-%m-%dT%H:%M" } else { "%Y-%m-%dT%H:%M:%S" };
        match self.wall.zone.from_local(local) {
            Local::One(_) if at.0 % 1000 == 0 => local.format(format).to_string(),
            _ => at.to_rfc3339(),
        }
    }

    /// `attempt 1 on web-3 · running for 3 d 7 h (usually 14 min, p95 21 min)`.
    pub fn goes_on(&self, run: &LiveRun) -> Option<String> {
        let records = self.records;
        let node = run.holder.as_deref().map(|holder| format!(" on {}", records.fleet.name_of(holder)));
        let attempt = format!("attempt {}{}", run.attempt, node.unwrap_or_default());
        let lasts = match (run.state, run.started_at) {
            (State::Running, Some(started)) => {
                format!("running for {}{}", since(started, records.now), self.usually())
            }
            (State::Queued, _) => format!("queued for {}", since(run.enqueued_at, records.now)),
            (state, _) => format!("{state} for {}", since(run.due_at, records.now)),
        };
        let unserved = Some(run).filter(|run| run.state == State::Queued);
        let unserved = unserved.and_then(|run| records.fleet.nobody_serves(&run.list)).map(|unserved| unserved.why());
        parts([Some(attempt).filter(|_| run.attempt > 0), Some(lasts), unserved])
    }

    /// `attempt 1 on web-3 · 02:00 to 04:10 (usually 14 min, p95 21 min) · succeeded`.
    pub fn went_on(&self, run: &EndedRun) -> Option<String> {
        let node = run.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
        let ran = run.started_at.map(|started| {
            let took = since(started, run.finished_at);
            let (from, to) = (self.wall.short(started), self.wall.short(run.finished_at));
            format!("ran {took}, {from} to {to}{}", self.usually())
        });
        let attempt = Some(format!("attempt {}{node}", run.attempt)).filter(|_| run.attempt > 0);
        parts([attempt, ran, Some(run.state.to_string())])
    }

    /// `last success 16 Nov 02:00 CET`.
    pub fn last_success(&self, at: Timestamp) -> String {
        match self.records.last_success(at) {
            Some(run) => format!("last success {}", self.dated(run.last_fire_at)),
            None => "no success before it is on record".to_owned(),
        }
    }

    /// Fire times that ended alike, before and after; `18 and 19 Nov were skipped for the same reason`.
    pub fn others_alike(&self, run: &EndedRun) -> Option<String> {
        let alike: Vec<&EndedRun> = self.records.before(run).take_while(|other| Records::is_same(run, other)).collect();
        let fires: u64 = alike.iter().map(|other| other.fires).sum();
        let first = alike.last().map(|other| other.fire_at)?;
        let mut times: Vec<Timestamp> = alike.iter().map(|other| other.fire_at).collect();
        times.reverse();
        let were = if fires == 1 { "was" } else { "were" };
        let which = match alike.len() <= NAMED && alike.iter().all(|other| other.fires == 1) {
            true => self.wall.several(&times, run.fire_at),
            false => format!("{} since {}", counted(fires, "fire time"), self.dated(first)),
        };
        Some(format!("{which} {were} {} for the same reason", run.state))
    }

    /// `3 d 7 h ago: "waiting for lock"`; the time only where it is known.
    pub fn last_words(&self, ended: Option<Timestamp>) -> Option<String> {
        let text = self.output.as_deref()?;
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
        let cut: String = line.chars().take(LAST_WORDS).collect();
        let ago = ended.map(|at| format!("{}: ", self.wall.relative(at))).unwrap_or_default();
        Some(format!("{ago}{cut:?}{}", if cut.len() < line.len() { " ..." } else { "" }))
    }

    /// `timeout = 1h`, or that none is set; nothing where the definition is not known.
    pub fn timeout(&self, revision: u64) -> Option<String> {
        let entry = self.records.entry_of(revision)?;
        Some(match entry.effective_timeout() {
            Some(timeout) => format!("timeout = {timeout}"),
            None => "no timeout is set".to_owned(),
        })
    }
}
