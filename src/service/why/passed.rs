//! Fire times that passed without a run: skipped, or missed.

use crate::domain::durations::timeout_for;
use crate::domain::policy::{CatchUp, Overlap};
use crate::domain::record::EndedRun;
use crate::domain::run::{Reason, State};
use crate::domain::timestamp::Timestamp;
use crate::service::run_views::fire_time_of;
use crate::service::why::answer::Answer;
use crate::service::why::records::Revision;
use crate::service::why::tale::{Tale, Teller, counted, name, parts, quoted};

/// What passed, however it is on record.
pub(super) struct Passed<'r> {
    /// The fire time that is asked about.
    pub at: Timestamp,
    /// `Skipped` or `Missed`.
    pub state: State,
    pub reason: Option<Reason>,
    /// The revision that held.
    pub revision: u64,
    /// How many fire times passed with it.
    pub fires: u64,
    /// Its record, where that is kept.
    pub run: Option<&'r EndedRun>,
}

impl Teller<'_> {
    pub fn passed(&self, passed: &Passed<'_>) -> Tale {
        let tale = match (passed.state, passed.reason) {
            (State::Skipped, Some(Reason::Overlap)) => self.overlapped(passed),
            (State::Skipped, Some(Reason::Paused)) => self.was_paused(passed),
            (State::Skipped, Some(Reason::SkipAsked)) => {
                let words = passed.run.and_then(|run| run.message.clone()).unwrap_or_default();
                let sentence = format!("did not run on {}: skipped, as asked {words}", self.dated(passed.at));
                Tale::new(Answer::Skipped, sentence.trim_end()).todo(self.backfill(passed.at))
            }
            (_, Some(Reason::TooLate)) => self.too_late(passed),
            (_, Some(Reason::Superseded)) => self.superseded(passed),
            (_, Some(Reason::CatchUpLimit)) => self.over_limit(passed),
            (_, Some(Reason::Paused | Reason::Changed | Reason::Removed)) => self.overtaken(passed),
            (state, reason) => {
                let reason = reason.map(|reason| format!(", {reason}")).unwrap_or_default();
                Tale::new(answer(state), format!("did not run on {}: {state}{reason}", self.dated(passed.at)))
            }
        };
        let tale = tale.because(passed.reason);
        let also = parts([passed.run.and_then(|run| self.others_alike(run)), Some(self.last_success(passed.at))]);
        let is_told = tale.facts.iter().any(|fact| fact.label == "also");
        let tale = if is_told { tale } else { tale.fact("also", also) };
        match passed.run {
            Some(run) => tale.of(&run.run_id),
            None => tale.fact("record", "its own record is kept no longer; the ledger tells".to_owned()),
        }
    }

    fn overlapped(&self, passed: &Passed<'_>) -> Tale {
        let (records, id) = (self.records, self.id());
        let blocker = passed.run.and_then(|run| run.message.as_deref());
        let live = records.live.iter().find(|run| Some(run.run_id.as_str()) == blocker);
        let ended = records.ended.iter().find(|run| Some(run.run_id.as_str()) == blocker);
        let fire_at = live.map(|run| run.fire_at).or(ended.map(|run| run.fire_at)).or(blocker.and_then(fire_time_of));
        let which = fire_at.map_or_else(
            || "another run".to_owned(),
            |fire_at| format!("the run of {}", self.wall.beside(fire_at, passed.at)),
        );
        let went = match live {
            Some(run) => format!("is still {}", run.state),
            None => "was still active".to_owned(),
        };
        let sentence = format!("did not run on {}: skipped, {which} {went}", self.dated(passed.at));
        let way = match (live, ended) {
            (Some(run), _) => parts([Some(name(id, run.fire_at)), self.goes_on(run)]),
            (None, Some(run)) => parts([Some(name(id, run.fire_at)), self.went_on(run)]),
            (None, None) => fire_at.map(|fire_at| name(id, fire_at)),
        };
        let rule = records.field(passed.revision, "overlap").unwrap_or_else(|| Overlap::default().word().to_owned());
        let timeout = self.timeout(passed.revision);
        let has_timeout = records.entry().is_some_and(|entry| entry.effective_timeout().is_some());
        let also = parts([passed.run.and_then(|run| self.others_alike(run)), Some(self.last_success(passed.at))]);
        let mut tale = Tale::new(Answer::Skipped, sentence)
            .fact("in the way", way)
            .fact("rule", parts([Some(format!("overlap = {rule}")), timeout]))
            .fact("also", also)
            .fact("last words", self.last_words(ended.map(|run| run.finished_at)));
        let unserved = live.filter(|run| run.state == State::Queued).and_then(|run| self.unserved(&run.list));
        tale = match (live, ended) {
            (Some(run), _) if run.attempt > 0 => tale.todo(self.logs(&run.run_id, run.fire_at)),
            (None, Some(run)) => tale.todo(self.logs(&run.run_id, run.fire_at)).todo(self.backfill(passed.at)),
            _ => tale,
        };
        tale = tale.todo(unserved.map(|unserved| unserved.command)).todo(live.map(|run| self.cancel(run)));
        let is_running = live.is_none_or(|run| run.state == State::Running);
        let timeout = format!("upbeat set {id} --timeout {}", timeout_for(records.usual()));
        tale.todo(Some(timeout).filter(|_| is_running && !has_timeout && records.stored.is_some()))
    }

    fn was_paused(&self, passed: &Passed<'_>) -> Tale {
        let records = self.records;
        let pause = |revision: &&Revision| {
            let paused = revision.definition.paused.as_ref();
            paused.is_some_and(|paused| paused.at <= passed.at && paused.until.is_none_or(|until| until > passed.at))
        };
        let found = records.revisions.iter().rev().find(pause);
        let paused = found.and_then(|revision| revision.definition.paused.as_ref());
        let by = paused.map_or_else(String::new, |paused| {
            let since = self.wall.short(paused.at);
            format!(" by {} since {since}{}", paused.actor, quoted(paused.reason.as_ref()))
        });
        let count = counted(passed.fires, "fire time");
        let sentence = format!("did not run on {}: paused{by}, {count} skipped", self.dated(passed.at));
        let is_on = records.current().is_some_and(|current| current.definition.paused_at(records.now).is_some());
        let since = found.map_or(0, |revision| revision.definition.revision);
        let resumed = records
            .revisions
            .iter()
            .find(|one| one.definition.revision > since && one.definition.paused.is_none())
            .filter(|_| found.is_some());
        let until = paused.and_then(|paused| paused.until).filter(|until| *until <= records.now);
        let ended = match (is_on, until, resumed) {
            (true, ..) => None,
            (_, Some(until), _) => Some(format!("by itself on {}", self.dated(until))),
            (_, None, Some(revision)) => Some(self.by_whom(&revision.definition)),
            _ => None,
        };
        let tale = Tale::new(Answer::Skipped, sentence).fact("resumed", ended);
        match is_on {
            true => tale.todo(format!("upbeat resume {}", self.id())).todo(self.resume_from(passed.at)),
            false => tale.todo(self.backfill(passed.at)),
        }
    }

    /// Resumes so that what passed since then follows `catch_up`.
    pub fn resume_from(&self, at: Timestamp) -> Option<String> {
        (at <= self.records.now).then(|| format!("upbeat resume {} --from {}", self.id(), self.typed(at)))
    }

    fn too_late(&self, passed: &Passed<'_>) -> Tale {
        let entry = self.records.entry_of(passed.revision);
        let within = entry.and_then(|entry| entry.start_within);
        let waited = passed.run.and_then(|run| run.enqueued_at);
        let noticed = passed.run.map(|run| run.finished_at);
        let outage = self.outage(passed);
        let rule = match within {
            Some(within) => format!("start_within is {within}"),
            None => "catch_up = none runs nothing that is found late".to_owned(),
        };
        let why = match (waited, outage, noticed) {
            (Some(since), ..) => {
                format!("it was queued since {} and no node took it, {rule}", self.wall.short(since))
            }
            (None, Some((from, until)), _) => {
                let (from, until) = (self.wall.short(from), self.wall.short(until));
                format!("no node was alive from {from} to {until}, {rule}")
            }
            (None, None, Some(at)) => format!("it was found at {}, {rule}", self.wall.short(at)),
            (None, None, None) => rule,
        };
        let sentence = format!("was missed on {}, too_late: {why}", self.dated(passed.at));
        let list = entry.and_then(|entry| Some(format!("{}:{}", entry.queue, entry.action.kind()?.word())));
        let unserved = list.filter(|_| waited.is_some()).and_then(|list| self.unserved(&list));
        Tale::new(Answer::Missed, sentence)
            .fact("with it", self.others_missed(passed))
            .fact("nodes", unserved.as_ref().map(|unserved| unserved.why.clone()))
            .todo(self.backfill(passed.at))
            .todo(unserved.map(|unserved| unserved.command))
    }

    fn superseded(&self, passed: &Passed<'_>) -> Tale {
        // The ledger names it also where its run is kept no longer, and those of later days are.
        let fired = self.records.ledger.iter().filter(|one| one.outcome == State::Succeeded && one.reason.is_none());
        let next = fired.map(|one| one.first).filter(|first| *first > passed.at).min();
        let newer = next.map(|next| format!(", and that of {} ran", self.wall.beside(next, passed.at)));
        let found = match (self.outage(passed), passed.run) {
            (Some((from, until)), _) => {
                format!("no node was alive from {} to {}", self.wall.short(from), self.wall.short(until))
            }
            (None, Some(run)) => format!("it was found late, at {}", self.wall.short(run.finished_at)),
            (None, None) => "it was found late".to_owned(),
        };
        let sentence = format!(
            "was missed on {}, superseded: {found}; catch_up = latest runs only the newest of what is late{}",
            self.dated(passed.at),
            newer.unwrap_or_default()
        );
        Tale::new(Answer::Missed, sentence)
            .fact("with it", self.others_missed(passed))
            .todo(self.backfill(passed.at))
            .todo(self.set("--catch-up all"))
    }

    fn over_limit(&self, passed: &Passed<'_>) -> Tale {
        let most = match self.records.entry_of(passed.revision).map(|entry| entry.catch_up) {
            Some(CatchUp::All { max_runs, .. }) => max_runs,
            _ => CatchUp::MAX_RUNS,
        };
        let outage = self.outage(passed).map(|(from, until)| {
            format!("no node was alive from {} to {}; ", self.wall.short(from), self.wall.short(until))
        });
        let sentence = format!(
            "was missed on {}, catch_up_limit: {}catch_up runs the newest {most} of what is late (max_runs)",
            self.dated(passed.at),
            outage.unwrap_or_default()
        );
        Tale::new(Answer::Missed, sentence).fact("with it", self.others_missed(passed)).todo(self.backfill(passed.at))
    }

    /// It was overdue when somebody paused, changed or removed the entry.
    fn overtaken(&self, passed: &Passed<'_>) -> Tale {
        let records = self.records;
        let (verb, reason) = match passed.reason {
            Some(Reason::Paused) => ("paused", "paused"),
            Some(Reason::Removed) => ("removed", "removed"),
            _ => ("changed", "changed"),
        };
        let after = |revision: &&Revision| revision.definition.revision > passed.revision;
        let change = records.revisions.iter().find(after).map(|revision| {
            let paused = revision.definition.paused.as_ref().filter(|_| verb == "paused");
            let (actor, said) = paused.map_or((&revision.definition.actor, &revision.definition.reason), |paused| {
                (&paused.actor, &paused.reason)
            });
            (actor.clone(), revision.definition.at, said.clone())
        });
        let removal =
            records.removed.as_ref().filter(|removed| removed.revision > passed.revision && verb == "removed");
        let removal = removal.map(|removed| (removed.actor.clone(), removed.at, removed.reason.clone()));
        let by = removal.or(change).map_or_else(String::new, |(actor, at, said)| {
            format!(" by {actor} at {}{}", self.wall.short(at), quoted(said.as_ref()))
        });
        let outage = self.outage(passed).map(|(from, until)| {
            format!("no node was alive from {} to {}", self.wall.short(from), self.wall.short(until))
        });
        let spread = self.records.entry_of(passed.revision).and_then(|entry| entry.spread);
        let state = match spread.filter(|_| verb == "changed") {
            Some(_) => "it was not due yet (spread)",
            None => "nobody had claimed it",
        };
        let sentence =
            format!("was missed on {}, {reason}: {state} when the entry was {verb}{by}", self.dated(passed.at));
        Tale::new(Answer::Missed, sentence)
            .fact("nodes", outage)
            .fact("with it", self.others_missed(passed))
            .todo(self.backfill(passed.at))
    }

    fn others_missed(&self, passed: &Passed<'_>) -> Option<String> {
        let run = passed.run.filter(|run| run.fires > 1)?;
        let (from, to) = (self.dated(run.fire_at), self.dated(run.last_fire_at));
        Some(format!("{} from {from} to {to}", counted(run.fires, "fire time")))
    }

    /// When nobody claimed, around the time at which it was due and found.
    fn outage(&self, passed: &Passed<'_>) -> Option<(Timestamp, Timestamp)> {
        let until = passed.run.map_or(passed.at, |run| run.finished_at);
        self.records.happened.outage(passed.at, until)
    }

    pub fn set(&self, field: &str) -> Option<String> {
        self.records.stored.as_ref().map(|_| format!("upbeat set {} {field}", self.id()))
    }
}

fn answer(state: State) -> Answer {
    if state == State::Skipped { Answer::Skipped } else { Answer::Missed }
}
