//! why: what became of a fire time, told from records and never from guesses, with what can be done about it.
//!
//! A question names a fire time; what the records say about it is a finding; a finding becomes words. A new answer is a finding
//! and its words.

mod active;
mod answer;
mod finding;
mod happened;
mod never;
mod passed;
mod question;
mod ran;
mod records;
mod tale;

pub use answer::{Answer, Fact, WhyView};

use crate::domain::id::EntryId;
use crate::domain::run::{Reason, State};
use crate::domain::schedule::When;
use crate::domain::timestamp::Timestamp;
use crate::domain::wall::Wall;
use crate::domain::zone::Zone;
use crate::error::Result;
use crate::service::Service;
use crate::service::view::At;
use finding::{Finding, NotDue};
use question::{Question, Subject};
use records::{Records, is_fire_time};
use tale::{Tale, Teller};

impl Service {
    /// Why an entry did not run, or how it ran: at the instant or on the day that `at` names, else at the latest fire time that
    /// is in question. `here` is the zone of whoever asks.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::NotFound`] about `entry` where it left no trace; [`crate::error::Error::Invalid`] about `at`.
    pub async fn why(&self, id: &EntryId, at: Option<&str>, here: Option<&Zone>) -> Result<WhyView> {
        let records = self.records(id).await?;
        let wall = Wall { zone: records.zone(), now: records.now };
        let question = Question::parse(at, &wall.zone, records.now)?;
        let mut subject = question.subject(&records);
        let meant = meant_elsewhere(&records, &question, &subject, here);
        if let Some(at) = meant {
            subject = Subject { at: Some(at), finding: Finding::at(&records, at) };
        }
        let output = match run_that_matters(&records, &subject.finding) {
            Some((run_id, attempts)) => self.last_words(id, run_id, attempts).await?,
            None => None,
        };
        let teller = Teller { records: &records, wall, output };
        let mut tale = teller.tell(&subject);
        if let Question::At { left_out: Some(local), at, .. } = question {
            tale = tale.fact("clocks", teller.left_out(local, at));
        }
        tale = elsewhere(&teller, tale, &question, &subject, here);
        Ok(WhyView {
            entry_id: id.to_string(),
            fire_at: subject.at.map(At),
            run_id: tale.run_id,
            answer: tale.answer,
            reason: tale.reason.map(Reason::word),
            sentence: format!("{id} {}", tale.sentence),
            facts: tale.facts,
            todo: tale.todo,
        })
    }
}

/// The run whose last words help, and the attempts that it has made: the one in question, or the one that was in its way.
fn run_that_matters<'r>(records: &'r Records, finding: &Finding<'r>) -> Option<(&'r str, u32)> {
    match finding {
        Finding::Live(run) => Some((&run.run_id, run.attempt)),
        Finding::Ended(run) if matches!(run.state, State::Skipped | State::Missed) => {
            let other = run.message.as_ref().filter(|_| run.reason == Some(Reason::Overlap))?;
            let live = records.live.iter().find(|one| one.run_id == *other).map(|one| (&*one.run_id, one.attempt));
            let ended = || records.ended.iter().find(|one| one.run_id == *other);
            live.or_else(|| ended().map(|one| (&*one.run_id, one.attempt)))
        }
        Finding::Ended(run) => Some((&run.run_id, run.attempt)),
        _ => None,
    }
}

/// Whether an entry has no zone of its own, so that its local times are those of UTC.
fn has_no_zone(records: &Records) -> bool {
    let is_local = records.entry().is_some_and(|entry| matches!(entry.schedule.when, When::Cron(_) | When::Rrule(_)));
    is_local && records.newest().is_some_and(|newest| !newest.definition.entry.contains_key("tz"))
}

/// Of an entry without a zone: the fire time whose UTC clock shows what the asker's clock showed at the instant in question.
fn meant_elsewhere(
    records: &Records,
    question: &Question,
    subject: &Subject<'_>,
    here: Option<&Zone>,
) -> Option<Timestamp> {
    let (Question::At { at, offset_ms, .. }, Finding::NotDue(NotDue::Plain)) = (question, &subject.finding) else {
        return None;
    };
    let of_zone = || here.map(|here| i64::from(here.offset_seconds(*at)) * 1000);
    let offset_ms = offset_ms.or_else(of_zone).filter(|offset| *offset != 0 && has_no_zone(records))?;
    let meant = Timestamp(at.0 + offset_ms);
    records.entry().filter(|entry| is_fire_time(entry, meant)).map(|_| meant)
}

/// Says what the time is where the asker is, where the entry has no zone and that differs.
fn elsewhere(
    teller: &Teller<'_>,
    mut tale: Tale,
    question: &Question,
    subject: &Subject<'_>,
    here: Option<&Zone>,
) -> Tale {
    let Some((here, at)) = here.zip(subject.at).filter(|_| has_no_zone(teller.records)) else { return tale };
    if here.offset_seconds(at) == 0 {
        return tale;
    }
    let there = Wall { zone: here.clone(), now: teller.wall.now };
    let (utc, local) = (teller.dated(at), there.beside(at, at));
    if tale.answer == Answer::Succeeded && matches!(question, Question::At { .. }) {
        let ended = tale.sentence.replacen("did run: ", "", 1);
        tale.sentence = format!("ran on {utc}, that is {local} here: the entry has no tz");
        tale = tale.fact("ended", ended);
    }
    let command = teller.set(&format!("--tz {here}"));
    tale.fact("zone", format!("{utc} is {} ({here}): the entry has no tz", there.dated(at))).todo(command)
}

impl Service {
    /// What is kept of the output of a run that has made so many attempts.
    async fn last_words(&self, id: &EntryId, run_id: &str, attempts: u32) -> Result<Option<String>> {
        let shard = self.store.shard_of(id);
        for attempt in (1..=attempts).rev() {
            if let Some(output) = self.store.output(shard, run_id, attempt).await? {
                return Ok(Some(String::from_utf8_lossy(&output.tail).into_owned()));
            }
        }
        Ok(None)
    }
}

impl Teller<'_> {
    fn tell(&self, subject: &Subject<'_>) -> Tale {
        let at = subject.at;
        // Those without a fire time never have a finding that needs one.
        let fire_at = at.unwrap_or(self.records.now);
        match &subject.finding {
            Finding::Live(run) => self.live(run),
            Finding::Ended(run) => self.ended(run, fire_at),
            Finding::Pace(trigger) => self.paced(*trigger, fire_at),
            Finding::Settled(stretch) => self.settled(stretch, fire_at),
            Finding::Paused(paused, passed) => self.paused(at, paused, *passed),
            Finding::Due => self.due(fire_at),
            Finding::Spread(due_at) => self.spread(fire_at, *due_at),
            Finding::ToCome => self.to_come(fire_at),
            Finding::ToSkip(skip) => self.to_skip(fire_at, skip),
            Finding::NotDue(why) => self.not_due(at, why),
            Finding::Broken => self.broken(at),
            Finding::Removed => self.removed(at),
            Finding::NotAdded(created) => self.not_added(fire_at, *created),
            Finding::NoRecords => self.no_records(fire_at),
        }
    }
}
