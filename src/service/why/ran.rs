//! Runs that ended: succeeded, failed, cancelled, or gone from the records.

use crate::domain::action::Action;
use crate::domain::durations::timeout_for;
use crate::domain::ledger::Stretch;
use crate::domain::record::EndedRun;
use crate::domain::run::{Reason, State, Trigger};
use crate::domain::timestamp::Timestamp;
use crate::domain::wall::took;
use crate::service::why::answer::Answer;
use crate::service::why::passed::Passed;
use crate::service::why::records::Records;
use crate::service::why::tale::{Tale, Teller, duration, how, name, parts, quoted};

/// What is said where a start was later than this, ms.
const LATE_MS: i64 = 1_000;

impl Teller<'_> {
    pub fn ended(&self, run: &EndedRun, at: Timestamp) -> Tale {
        let tale = match run.state {
            State::Skipped | State::Missed => self.passed(&Passed {
                at,
                state: run.state,
                reason: run.reason,
                revision: run.revision,
                fires: run.fires,
                run: Some(run),
            }),
            State::Failed => self.failed(run),
            State::Cancelled => self.cancelled(run, at),
            _ => self.succeeded(run),
        };
        tale.because(run.reason)
            .of(&run.run_id)
            .fact("why it ran", self.trigger(run))
            .fact("since", self.since_then(run))
    }

    /// The ledger alone tells: the record is older than those that are kept.
    pub fn settled(&self, stretch: &Stretch, at: Timestamp) -> Tale {
        if matches!(stretch.outcome, State::Skipped | State::Missed) {
            return self.passed(&Passed {
                at,
                state: stretch.outcome,
                reason: stretch.reason,
                revision: stretch.revision,
                fires: stretch.count,
                run: None,
            });
        }
        let keep = self.records.entry().map_or(0, |entry| entry.keep_runs);
        let sentence = format!("fired on {}; how it ended is kept no longer", self.dated(at));
        Tale::new(Answer::Fired, sentence)
            .fact(
                "record",
                match keep {
                    0 => "keep_runs = 0: of no run a record is kept".to_owned(),
                    _ => format!("keep_runs = {keep}: the last {keep} that succeeded, and as many that did not"),
                },
            )
            .fact("by", format!("revision {}", stretch.revision))
            .todo(format!("upbeat events {} --type finished --since {}", self.id(), self.typed(at)))
    }

    fn succeeded(&self, run: &EndedRun) -> Tale {
        let node = run.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
        if run.reason == Some(Reason::Delivered) {
            let what = self.records.entry_of(run.revision).map(|entry| format!(" to {}", entry.reads()));
            let sentence = format!("did run: delivered on {}{node}", self.dated(run.fire_at));
            let further = "the message was written; upbeat cannot see what its reader did".to_owned();
            return Tale::new(Answer::Succeeded, sentence)
                .fact("message", what.map(|what| what.trim_start_matches(" to ").to_owned()))
                .fact("further", further);
        }
        let lasted = duration(run).map(|ms| format!(" in {}", took(ms))).unwrap_or_default();
        let exit = run.exit_code.map(|code| format!(", exit {code}")).unwrap_or_default();
        let sentence = format!("did run: succeeded on {}{node}{lasted}{exit}", self.dated(run.fire_at));
        let late = run.started_at.map(|started| started.0 - run.due_at.0).filter(|late| *late > LATE_MS);
        let late = late.map(|late| format!("it started {} after it was due", took(late)));
        let has_others = self.records.usual().is_some_and(|usual| usual.runs > 1);
        Tale::new(Answer::Succeeded, sentence)
            .fact("late", late)
            .fact("others", Some(self.usually().trim_matches([' ', '(', ')']).to_owned()).filter(|_| has_others))
            .fact("further", "upbeat cannot see further than this; its output may tell".to_owned())
            .fact("last words", self.last_words(Some(run.finished_at)))
            .todo(self.logs(&run.run_id, run.fire_at))
    }

    fn failed(&self, run: &EndedRun) -> Tale {
        let records = self.records;
        let node = run.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
        let lasted = duration(run).map(|ms| format!(" after {}", took(ms))).unwrap_or_default();
        let attempt = match run.attempt {
            0 => String::new(),
            attempt => format!(", {}", self.attempt(attempt, run.counted(), run.revision)),
        };
        let ran = match (run.reason, run.attempt) {
            (Some(Reason::Refused), _) => "could not be started",
            (_, 0) => "failed",
            _ => "ran and failed",
        };
        let mut sentence = format!("{ran} on {}: {}{lasted}{node}{attempt}", self.dated(run.fire_at), how(run));
        let alike: Vec<&EndedRun> = records.before(run).take_while(|other| Records::is_same(run, other)).collect();
        let first = alike.last().copied().unwrap_or(run);
        let changed = records.before(first).next().and_then(|before| self.changed(before.revision, first.revision));
        if !alike.is_empty() {
            let count = alike.len() + 1;
            sentence.push_str(&format!("; the same {count} times since {}", self.dated(first.fire_at)));
        }
        let has_changed = changed.is_some();
        if let Some(changed) = changed {
            let glue = if alike.is_empty() { "; the first since" } else { ", when" };
            sentence.push_str(&format!("{glue} {changed}"));
        }
        let is_timeout = run.reason == Some(Reason::Timeout);
        let longer = timeout_for(records.usual());
        let longer = format!("upbeat set {} --timeout {longer}", self.id());
        let timeout = records.entry().and_then(|entry| entry.effective_timeout());
        let is_longer = timeout.is_none_or(|timeout| timeout < timeout_for(records.usual()));
        let lost = Some(format!("{} attempts were lost with their node", run.lost)).filter(|_| run.lost > 0);
        let can_retry = records.stored.is_some() || run.trigger == Trigger::OneOff;
        Tale::new(Answer::Failed, sentence)
            .fact("rule", self.timeout(run.revision).filter(|_| is_timeout))
            .fact("lost", lost)
            .fact("also", self.last_success(run.fire_at))
            .fact("last words", self.last_words(Some(run.finished_at)))
            .todo(Some(self.logs(&run.run_id, run.fire_at)).filter(|_| run.attempt > 0 && self.has_output(run)))
            .todo(Some(format!("upbeat revisions {}", self.id())).filter(|_| has_changed))
            .todo(Some(format!("upbeat retry {}", name(self.id(), run.fire_at))).filter(|_| can_retry))
            .todo(Some(longer).filter(|_| is_timeout && is_longer && records.stored.is_some()))
    }

    fn cancelled(&self, run: &EndedRun, at: Timestamp) -> Tale {
        let records = self.records;
        let ended = self.wall.short(run.finished_at);
        let why = match run.reason {
            Some(Reason::CancelOther) => {
                let next = records.next_fired(run.fire_at);
                let next = next.map(|next| format!(" of {}", self.wall.beside(next, run.fire_at)));
                format!("at {ended}, because the next one{} came and overlap = cancel_other", next.unwrap_or_default())
            }
            Some(Reason::EntryRemoved) => {
                let removed = records.removed.as_ref().filter(|removed| removed.at >= run.fire_at);
                let by = removed.map(|removed| format!(" by {}{}", removed.actor, quoted(removed.reason.as_ref())));
                format!("at {ended}, because its entry was removed{}", by.unwrap_or_default())
            }
            _ => format!("at {ended} {}", run.message.as_deref().unwrap_or("by somebody")),
        };
        let ran = match run.started_at {
            Some(started) => {
                let node = run.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
                format!("after it had run for {}{node}", took(run.finished_at.0 - started.0))
            }
            None => "before it started".to_owned(),
        };
        let did = if run.started_at.is_some() { "was ended" } else { "did not run" };
        let sentence = format!("{did} on {}: cancelled {why}, {ran}", self.dated(at));
        Tale::new(Answer::Cancelled, sentence)
            .fact("also", self.last_success(run.fire_at))
            .fact("last words", self.last_words(Some(run.finished_at)))
            .todo(Some(self.logs(&run.run_id, run.fire_at)).filter(|_| run.attempt > 0 && self.has_output(run)))
            .todo(records.stored.as_ref().map(|_| format!("upbeat trigger {}", self.id())))
    }

    /// Attempts that may fail by themselves, where the definition is known.
    pub fn max_attempts(&self, revision: u64) -> Option<u32> {
        let entry = self.records.entry_of(revision)?;
        Some(entry.retry.as_ref().map_or(1, |retry| u32::from(retry.max_attempts)))
    }

    /// `attempt 2 of 3`; those that count for nothing are told apart.
    pub fn attempt(&self, attempt: u32, counted: u32, revision: u64) -> String {
        let Some(most) = self.max_attempts(revision) else { return format!("attempt {attempt}") };
        match counted == attempt && attempt <= most {
            true => format!("attempt {attempt} of {most}"),
            false => format!("attempt {attempt} ({counted} of {most} counted)"),
        }
    }

    /// Whether its kind of action leaves an output.
    pub fn has_output(&self, run: &EndedRun) -> bool {
        let action = self.records.entry_of(run.revision).map(|entry| &entry.action);
        !action.is_some_and(Action::is_message)
    }

    /// `revision 3 (ci@runner) changed exec`: the last change on the way from one revision to another.
    fn changed(&self, before: u64, after: u64) -> Option<String> {
        let records = self.records;
        let on_the_way = records.revisions.windows(2).rev().filter(|pair| {
            let number = pair[1].definition.revision;
            number > before && number <= after
        });
        on_the_way
            .filter_map(|pair| {
                let (old, new) = (&pair[0].definition.entry, &pair[1].definition.entry);
                let mut fields: Vec<&str> = new
                    .iter()
                    .filter(|(field, value)| old.get(*field) != Some(*value))
                    .map(|(field, _)| field.as_str())
                    .collect();
                fields.extend(old.keys().filter(|field| !new.contains_key(*field)).map(String::as_str));
                let definition = &pair[1].definition;
                (!fields.is_empty()).then(|| {
                    let (number, actor) = (definition.revision, &definition.actor);
                    format!("revision {number} ({actor}) changed {}", fields.join(", "))
                })
            })
            .next()
    }

    /// Why it ran, where its time alone does not tell.
    fn trigger(&self, run: &EndedRun) -> Option<String> {
        let said = match run.trigger {
            Trigger::Scheduled | Trigger::FollowUp => return None,
            Trigger::OneOff => "somebody asked for it (once)".to_owned(),
            Trigger::CatchUp => "catch_up: it was found late".to_owned(),
            Trigger::Manual => "somebody asked for it (trigger)".to_owned(),
            Trigger::Backfill => {
                let before = self.records.ended.iter().find(|other| {
                    other.trigger != Trigger::Backfill
                        && other.fire_at <= run.fire_at
                        && other.last_fire_at >= run.fire_at
                });
                let reason = before.and_then(|other| other.reason).map(|reason| format!(" ({reason})"));
                let before =
                    before.map(|other| format!(": before, it was {}{}", other.state, reason.unwrap_or_default()));
                format!("somebody asked for it (backfill){}", before.unwrap_or_default())
            }
        };
        Some(said)
    }

    /// How it went on, so that nobody takes an old trouble for a new one.
    fn since_then(&self, run: &EndedRun) -> Option<String> {
        if run.state == State::Succeeded {
            return None;
        }
        let later = |other: &&EndedRun| other.state == State::Succeeded && other.fire_at > run.last_fire_at;
        let newest = self.records.ended.iter().find(later)?;
        let count = self.records.ended.iter().filter(later).count();
        let running = self.records.live.last().filter(|live| live.fire_at > newest.fire_at);
        let running = running.map(|live| format!("{} is {}", name(self.id(), live.fire_at), live.state));
        let times = if count == 1 { "1 run has".to_owned() } else { format!("{count} runs have") };
        parts([Some(format!("{times} succeeded, the last on {}", self.dated(newest.fire_at))), running])
    }
}
