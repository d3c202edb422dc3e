//! Records of runs as answers.

use crate::domain::id::EntryId;
use crate::domain::record::{EndedRun, LiveRun, scheduled_run_id};
use crate::domain::run::{Reason, State, Trigger};
use crate::domain::timestamp::Timestamp;
use crate::service::attempts::Made;
use crate::service::nodes::Fleet;
use crate::service::view::{At, RunView};
use crate::store::{Store, StoredEntry};

/// How a live run looks to people. `fleet` knows the names of nodes and who serves what.
pub(super) fn live(run: &LiveRun, fleet: &Fleet) -> RunView {
    let unserved = match run.state {
        State::Queued => fleet.nobody_serves(&run.list),
        _ => None,
    };
    let held = match run.state {
        State::Queued if unserved.is_none() => fleet.held(&run.list),
        _ => None,
    };
    let made = Made::of_live(run);
    let is_retrying = run.state == State::Retrying;
    let message = match &unserved {
        None if is_retrying => retry_words(run, &made),
        Some(unserved) => Some(format!("{}; {}", unserved.why(), unserved.remedy())),
        None if held.is_some() => held.as_ref().map(|held| held.why(Timestamp::to_rfc3339)),
        None if run.state == State::Waiting && run.is_over_limit => {
            Some("waits until fewer than max_running are active".to_owned())
        }
        None if run.state == State::Waiting && run.is_until => Some(format!("waits until {}", run.due_at.to_rfc3339())),
        None if run.state == State::Waiting => Some("waits until the run before it has ended".to_owned()),
        None if run.is_cancel_asked => Some("its node has been asked to end it".to_owned()),
        None => lost_words(&made, run.lost),
    };
    RunView {
        run_id: run.run_id.clone(),
        entry_id: run.entry_id.clone(),
        trigger: run.trigger.word(),
        fire_at: At(run.fire_at),
        due_at: At(run.due_at),
        enqueued_at: (run.state != State::Waiting && !is_retrying).then_some(At(run.enqueued_at)),
        started_at: run.started_at.map(At),
        finished_at: None,
        duration_ms: None,
        state: run.state.word(),
        reason: match run.state {
            State::Waiting if run.is_until => Some(Reason::Until.word()),
            State::Waiting if run.is_over_limit => Some(Reason::Limit.word()),
            State::Waiting => Some(Reason::Overlap.word()),
            State::Retrying => made.last_past().and_then(|past| past.reason).map(Reason::word),
            _ if held.is_some() => Some(Reason::Limit.word()),
            _ => unserved.map(|_| Reason::NoNode.word()),
        },
        message,
        attempt: run.attempt,
        attempts: run.counted(),
        lost: run.lost,
        node: run.holder.as_deref().map(|holder| fleet.name_of(holder)),
        exit_code: None,
        last_fire_at: At(run.fire_at),
        fires: 1,
        queue: Some(run.queue().to_owned()),
        next_attempt_at: is_retrying.then_some(At(run.enqueued_at)),
        revision: run.revision,
        stuck: false,
        made,
    }
}

impl From<EndedRun> for RunView {
    fn from(run: EndedRun) -> Self {
        let (made, attempts) = (Made::of_ended(&run), run.counted());
        let message = match (&run.message, run.reason) {
            (Some(other), Some(Reason::Overlap)) => Some(format!("the run of {} was still active", other_run(other))),
            (None, _) => lost_words(&made, run.lost),
            (message, _) => message.clone(),
        };
        Self {
            run_id: run.run_id,
            entry_id: run.entry_id,
            trigger: run.trigger.word(),
            fire_at: At(run.fire_at),
            due_at: At(run.due_at),
            enqueued_at: run.enqueued_at.map(At),
            started_at: run.started_at.map(At),
            finished_at: Some(At(run.finished_at)),
            duration_ms: run.started_at.map(|started| run.finished_at.0 - started.0),
            state: run.state.word(),
            reason: run.reason.map(Reason::word),
            message,
            attempt: run.attempt,
            attempts,
            lost: run.lost,
            node: run.node,
            exit_code: run.exit_code,
            last_fire_at: At(run.last_fire_at),
            fires: run.fires,
            queue: None,
            next_attempt_at: None,
            revision: run.revision,
            stuck: false,
            made,
        }
    }
}

/// The fire times of an entry's back-log, and those asked for after all: runs that wait for their pace and stand nowhere else yet.
pub(super) fn back_log(store: &Store, id: &EntryId, stored: &StoredEntry) -> Vec<RunView> {
    let Ok(definition) = &stored.definition else { return Vec::new() };
    let view = |fire_at: &Timestamp, run_id: String, trigger: Trigger| RunView {
        run_id,
        entry_id: id.to_string(),
        trigger: trigger.word(),
        fire_at: At(*fire_at),
        due_at: At(*fire_at),
        enqueued_at: None,
        started_at: None,
        finished_at: None,
        duration_ms: None,
        state: State::Waiting.word(),
        reason: Some(Reason::Pace.word()),
        message: None,
        attempt: 0,
        attempts: 0,
        lost: 0,
        node: None,
        exit_code: None,
        last_fire_at: At(*fire_at),
        fires: 1,
        queue: None,
        next_attempt_at: None,
        revision: definition.revision,
        stuck: false,
        made: Made::default(),
    };
    let own = |fire_at: &Timestamp| scheduled_run_id(store.namespace(), id, definition.birth, *fire_at);
    let caught_up = stored.back_log.iter().map(|fire_at| view(fire_at, own(fire_at), Trigger::CatchUp));
    let asked = stored.backfill.iter().map(|one| view(&one.fire_at, one.run_id.clone(), Trigger::Backfill));
    caught_up.chain(asked).collect()
}

/// The fire time that a run id tells, else the id.
fn other_run(id: &str) -> String {
    fire_time_of(id).map_or_else(|| id.to_owned(), Timestamp::to_rfc3339)
}

/// Ids of scheduled runs begin with their fire time, UUIDv8.
pub(super) fn fire_time_of(run_id: &str) -> Option<Timestamp> {
    let id = uuid::Uuid::try_parse(run_id).ok()?;
    let ms = i64::try_from(id.as_u128() >> 80).ok()?;
    (id.get_version_num() == 8).then_some(Timestamp(ms))
}

/// With which nodes attempts were lost.
fn lost_words(made: &Made, lost: u32) -> Option<String> {
    let with = made.lost_with();
    match (lost, &with[..]) {
        (0, _) => None,
        (1, [(at, node)]) => Some(format!("attempt {} was lost with {node}", at + 1)),
        (1, _) => Some("an attempt was lost with its node".to_owned()),
        (lost, _) => Some(format!("{lost} attempts were lost with their nodes")),
    }
}

/// What the last attempt came to and when the next one comes.
fn retry_words(run: &LiveRun, made: &Made) -> Option<String> {
    let past = made.last_past()?;
    let words = past.message.as_ref().map(|message| format!(", {message}")).unwrap_or_default();
    Some(format!("attempt {} failed{words}; the next one comes {}", run.attempt, run.enqueued_at.to_rfc3339()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_scheduled_run_tells_its_fire_time_and_others_do_not() {
        assert_eq!(fire_time_of("019aa0d0-9c40-8123-8456-0123456789ab"), Some(Timestamp(0x019a_a0d0_9c40)));
        assert_eq!(fire_time_of("7c1e0a52-9d0f-5c1e-8a44-0b6a6f2f9c11"), None);
        assert_eq!(fire_time_of("nightly"), None);
    }
}
