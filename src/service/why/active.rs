//! Runs that are active, and fire times that nobody has claimed.

use crate::domain::attempt::PastAttempt;
use crate::domain::durations::timeout_for;
use crate::domain::policy::CatchUp;
use crate::domain::record::LiveRun;
use crate::domain::run::{Reason, State, Trigger};
use crate::domain::timestamp::Timestamp;
use crate::domain::wall::took;
use crate::service::why::answer::Answer;
use crate::service::why::tale::{Tale, Teller, counted, name, parts, since};

/// Nobody may run what waits in a list.
pub(super) struct NobodyServes {
    /// Since when, and which node went.
    pub why: String,
    /// Starts one that may.
    pub command: String,
}

impl Teller<'_> {
    pub fn live(&self, run: &LiveRun) -> Tale {
        let tale = match run.state {
            State::Queued => self.queued(run),
            State::Retrying => self.retrying(run),
            State::Waiting => self.waiting(run),
            _ => self.running(run),
        };
        let asked = run.extras.actor.as_ref().map(|actor| {
            let reason = run.extras.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("asked by {actor}{reason}")
        });
        let cancel = run.is_cancel_asked.then(|| "somebody asked to cancel it; its node ends it".to_owned());
        tale.of(&run.run_id).fact("why it runs", asked).fact("cancel", cancel)
    }

    fn running(&self, run: &LiveRun) -> Tale {
        let records = self.records;
        let is_stuck = records.is_stuck(run);
        let started = run.started_at.unwrap_or(run.enqueued_at);
        let node = run.holder.as_deref().map(|holder| format!(" on {}", records.fleet.name_of(holder)));
        let which = self.dated(run.fire_at);
        let lasts = format!("running for {}{}", since(started, records.now), node.unwrap_or_default());
        let has_timeout = records.entry().is_some_and(|entry| entry.effective_timeout().is_some());
        let attempt = self.attempt(run.attempt, run.counted(), run.revision);
        let before = run.past.last().map(|past| self.past_attempt(past, run.attempt - 1));
        let usual = Some(self.usually().trim_matches([' ', '(', ')']).to_owned());
        let (answer, is) = if is_stuck { (Answer::Stuck, "is stuck") } else { (Answer::Running, "is running") };
        let tale = Tale::new(answer, format!("{is}: the run of {which} has been {lasts}"))
            .fact("attempt", parts([Some(attempt), usual]))
            .fact("before", before)
            .fact("rule", self.timeout(run.revision))
            .fact("passed", self.since_skipped(run))
            .fact("also", self.last_success(run.fire_at))
            .fact("last words", self.last_words(None))
            .todo(self.logs(&run.run_id, run.fire_at));
        if !is_stuck {
            return tale;
        }
        let timeout = format!("upbeat set {} --timeout {}", self.id(), timeout_for(records.usual()));
        tale.todo(self.cancel(run)).todo(Some(timeout).filter(|_| !has_timeout && records.stored.is_some()))
    }

    fn queued(&self, run: &LiveRun) -> Tale {
        let unserved = self.unserved(&run.list);
        let since = self.wall.short(run.enqueued_at);
        let held = self.records.fleet.held(&run.list).filter(|_| unserved.is_none());
        let why = match (&unserved, &held) {
            (Some(unserved), _) => unserved.why.clone(),
            (None, Some(held)) => held.why(|at| self.wall.short(at)),
            (None, None) => self.records.fleet.how_busy(&run.list),
        };
        let which = Some(format!("the run of {}", self.dated(run.fire_at))).filter(|_| run.fire_at != run.enqueued_at);
        let before = run.past.last().map(|past| self.past_attempt(past, run.attempt));
        let until = Timestamp(run.due_at.0 + run.start_within_ms);
        let within = (run.start_within_ms > 0)
            .then(|| format!("if it has not started by {} it is missed (start_within)", self.dated(until)));
        let reason = unserved.as_ref().map(|_| Reason::NoNode).or(held.as_ref().map(|_| Reason::Limit));
        let way_out = unserved.map(|unserved| unserved.command).or(held.map(|held| held.command()));
        Tale::new(Answer::Queued, format!("is queued since {since}: {why}"))
            .because(reason)
            .fact("which", which)
            .fact("before", before)
            .fact("rule", within)
            .fact("passed", self.since_skipped(run))
            .fact("also", self.last_success(run.fire_at))
            .todo(way_out.unwrap_or_else(|| "upbeat nodes".to_owned()))
            .todo(self.cancel(run))
    }

    fn waiting(&self, run: &LiveRun) -> Tale {
        let records = self.records;
        let before = || records.live.iter().filter(|other| other.run_id != run.run_id && other.state != State::Waiting);
        if run.is_until {
            let sentence = format!(
                "waits until its run is due, on {} ({})",
                self.dated(run.due_at),
                self.wall.relative(run.due_at)
            );
            return Tale::new(Answer::Waiting, sentence).because(Some(Reason::Until)).todo(self.cancel(run));
        }
        let (reason, why) = match run.is_over_limit {
            true => {
                let most = records.entry_of(run.revision).and_then(|entry| entry.max_running).unwrap_or(1);
                let active = before().count();
                let are = if active == 1 { "is" } else { "are" };
                (Reason::Limit, format!("{active} {are} active and max_running = {most}"))
            }
            false if before().next().is_none() => (Reason::Overlap, "the run before it has just ended".to_owned()),
            false => (Reason::Overlap, "the run before it has not ended".to_owned()),
        };
        let ways: Vec<&LiveRun> = before().collect();
        let mut tale = Tale::new(Answer::Waiting, format!("waits with its run of {}: {why}", self.dated(run.fire_at)))
            .because(Some(reason));
        for other in ways.iter().take(4) {
            tale = tale.fact("in the way", parts([Some(name(self.id(), other.fire_at)), self.goes_on(other)]));
        }
        let rule = records.field(run.revision, "overlap").map(|overlap| format!("overlap = {overlap}"));
        let stuck = ways.iter().find(|other| records.is_stuck(other));
        let unserved =
            ways.iter().find(|other| other.state == State::Queued).and_then(|other| self.unserved(&other.list));
        tale.fact("rule", parts([rule, self.timeout(run.revision)]))
            .fact("also", self.last_success(run.fire_at))
            .todo(ways.first().map(|other| self.logs(&other.run_id, other.fire_at)))
            .todo(stuck.map(|other| format!("upbeat cancel {} --reason '...'", name(self.id(), other.fire_at))))
            .todo(unserved.map(|unserved| unserved.command))
    }

    fn retrying(&self, run: &LiveRun) -> Tale {
        let next_at = run.enqueued_at;
        let past = run.past.last();
        let failed = past.map(|past| format!(": {}", self.past_attempt(past, run.attempt))).unwrap_or_default();
        let sentence = format!(
            "failed and is tried again on {} ({}): the run of {}{failed}",
            self.wall.moment(next_at),
            self.wall.relative(next_at),
            self.dated(run.fire_at),
        );
        let most = self.max_attempts(run.revision).map(|most| format!(" of {most}")).unwrap_or_default();
        let made = format!("{}{most} attempts made", run.counted());
        let within = self.records.entry_of(run.revision).and_then(|entry| entry.retry.as_ref()?.within);
        let within = within.zip(run.started_at).map(|(within, started)| {
            format!(
                "none begins after {} (retry.within = {within})",
                self.wall.moment(Timestamp(started.0 + within.ms()))
            )
        });
        Tale::new(Answer::Retrying, sentence)
            .because(past.and_then(|past| past.reason))
            .fact("attempts", made)
            .fact("rule", within)
            .fact("also", self.last_success(run.fire_at))
            .fact("last words", self.last_words(past.map(|past| past.finished_at)))
            .todo(self.logs(&run.run_id, run.fire_at))
            .todo(self.cancel(run))
    }

    /// `attempt 1 failed after 3.0 s on web-2, exit 12`.
    fn past_attempt(&self, past: &PastAttempt, number: u32) -> String {
        let node = past.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
        let lasted = took((past.finished_at.0 - past.started_at.0).max(0));
        match past.reason {
            Some(Reason::Lost) => format!("attempt {number} was lost{node} after {lasted}"),
            Some(Reason::Drained) => format!("attempt {number} was handed back{node} after {lasted}"),
            reason => {
                let code = past.exit_code.map(|code| format!("exit {code}")).or_else(|| past.message.clone());
                let how = code.or_else(|| reason.map(|reason| reason.to_string())).unwrap_or_default();
                format!("attempt {number} failed{node} after {lasted}, {how}")
            }
        }
    }

    /// It stands in a back-log or a backfill.
    pub fn paced(&self, trigger: Trigger, at: Timestamp) -> Tale {
        let records = self.records;
        let per_minute = match records.entry().map(|entry| entry.catch_up) {
            Some(CatchUp::All { per_minute, .. }) => per_minute,
            _ => CatchUp::PER_MINUTE,
        };
        let stored = records.stored.as_ref();
        let earlier = stored.map_or(0, |stored| match trigger {
            Trigger::Backfill => stored.backfill.iter().filter(|one| one.fire_at < at).count(),
            _ => stored.back_log.iter().filter(|one| **one < at).count(),
        });
        let why = match trigger {
            Trigger::Backfill => "somebody asked to run it after all (backfill)",
            _ => "it was found late and catch_up = all runs it",
        };
        let active = records.live.first().map(|run| format!("{} is {}", name(self.id(), run.fire_at), run.state));
        Tale::new(Answer::Waiting, format!("waits with its fire time of {}: {why}, at its pace", self.dated(at)))
            .because(Some(Reason::Pace))
            .fact("before it", Some(counted(earlier as u64, "fire time")).filter(|_| earlier > 0))
            .fact(
                "rule",
                format!("per_minute = {per_minute}, and each waits for the run before it unless overlap = allow"),
            )
            .fact("active", active)
            .todo(format!("upbeat runs {} --state waiting,queued,running", self.id()))
    }

    /// Nobody has claimed it.
    pub fn due(&self, at: Timestamp) -> Tale {
        let records = self.records;
        let claimed = match records.claimed {
            Some(claimed) if records.now.0 - claimed.0 > 5_000 => {
                format!("no node has claimed anything since {}", self.wall.short(claimed))
            }
            Some(_) => "it has not been claimed yet".to_owned(),
            None => "no node has ever claimed anything".to_owned(),
        };
        let live = records.fleet.live_names();
        let nodes = match live.is_empty() {
            true => "no live node".to_owned(),
            false => format!("live: {}", live.join(", ")),
        };
        let list = records.entry().and_then(|entry| Some(format!("{}:{}", entry.queue, entry.action.kind()?.word())));
        let unserved = list.and_then(|list| self.unserved(&list));
        let late = since(at, records.now);
        let found = records.entry().map(|entry| match entry.start_within {
            Some(within) => format!("what is found later than {within} is missed (start_within)"),
            None => format!("what is found late follows catch_up = {}", catch_up(entry.catch_up)),
        });
        Tale::new(Answer::Due, format!("is due since {}, for {late}: {claimed}", self.dated(at)))
            .because(unserved.as_ref().map(|_| Reason::NoNode))
            .fact("nodes", nodes)
            .fact("rule", found)
            .fact("also", self.last_success(at))
            .todo(unserved.map_or_else(|| "upbeat nodes".to_owned(), |unserved| unserved.command))
    }

    /// Whether no live node may run what waits in a list, since when, and what mends it.
    pub fn unserved(&self, list: &str) -> Option<NobodyServes> {
        let unserved = self.records.fleet.nobody_serves(list)?;
        let left = self.records.happened.left.iter().find(|left| left.serves.has(list));
        let left = left.map(|left| (left.at, format!("{} left (drained)", left.node)));
        let lost = self.records.fleet.lost(list).map(|(node, at)| (at, format!("{node} was last heard of")));
        // The later of both is since when nobody may.
        let last = left.into_iter().chain(lost).max();
        let last = last.map(|(at, words)| format!(" since {}, when {words}", self.wall.short(at)));
        let why = format!("{}{}", unserved.why(), last.unwrap_or_else(|| "; no node that may is on record".to_owned()));
        Some(NobodyServes { why, command: unserved.command() })
    }

    /// Fire times that were passed over because of a run that goes on.
    fn since_skipped(&self, run: &LiveRun) -> Option<String> {
        let because = |other: &&crate::domain::record::EndedRun| {
            other.reason == Some(Reason::Overlap) && other.message.as_deref() == Some(run.run_id.as_str())
        };
        let skipped: Vec<_> = self.records.ended.iter().filter(because).collect();
        let newest = skipped.first()?;
        let count = counted(skipped.len() as u64, "fire time");
        Some(format!("{count} skipped because of it, the last {}", self.dated(newest.fire_at)))
    }
}

fn catch_up(rule: CatchUp) -> &'static str {
    match rule {
        CatchUp::None => "none",
        CatchUp::Latest => "latest",
        CatchUp::All { .. } => "all",
    }
}
