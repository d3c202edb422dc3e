//! One attempt from its record to its end: the definition that held, the facts of the run, the executor, the outcome.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use futures_util::FutureExt;

use crate::domain::action::Action;
use crate::domain::attempt::PastAttempt;
use crate::domain::entry::{Entry, payload_bytes};
use crate::domain::id::EntryId;
use crate::domain::one_off;
use crate::domain::record::LiveRun;
use crate::domain::retry::Retry;
use crate::domain::run::Reason;
use crate::error::{Error, Result};
use crate::node::action::{Attempt, Context, Ending, Outcome, Output, Stop};
use crate::node::briefing;
use crate::node::outcome::{WholeRun, ended, refused, stopped};
use crate::node::slots::AttemptId;
use crate::node::state::Shared;
use crate::store::{Brief, Ended, EndedAs, Started};

/// After a call that Redis did not answer.
const RETRY: Duration = Duration::from_millis(100);

/// Calls to store an output; each may take the time limit of a command, so that an outage of half a minute loses nothing.
const KEEP_TRIES: u32 = 10;

/// Starts attempts that this node holds; their ends go into the lane of the shard. What is not known of their entries is asked for.
pub fn start_all(shared: &Arc<Shared>, shard: u16, started: Vec<Started>, briefs: Vec<Brief>) {
    if started.is_empty() {
        return;
    }
    let held: Vec<Held> = started
        .iter()
        .map(|Started { run, .. }| {
            let id = (run.run_id.clone(), run.fence);
            let output = Output::default();
            let stop = shared.slots.begin(id.clone(), shard, run.attempt, output.clone());
            tracing::debug!(run.id = %run.run_id, entry.id = %run.entry_id, attempt = run.attempt, "started");
            Held { id, stop, output }
        })
        .collect();
    let shared = shared.clone();
    tokio::spawn(async move {
        let briefs = match briefs.len() == started.len() {
            true => briefs.into_iter().map(Some).collect(),
            false => {
                let asked =
                    std::panic::AssertUnwindSafe(briefing::of_all(&shared, shard, &started)).catch_unwind().await;
                // A panic must not keep their slots: each asks again, alone.
                asked.unwrap_or_else(|_| vec![None; started.len()])
            }
        };
        let mut all = started.into_iter().zip(held).zip(briefs);
        // The last of them needs no task of its own, and most replies bring one run.
        let last = all.next_back();
        for ((started, held), brief) in all {
            tokio::spawn(attempt(shared.clone(), shard, started, held, brief));
        }
        if let Some(((started, held), brief)) = last {
            attempt(shared, shard, started, held, brief).await;
        }
    });
}

/// The slot of an attempt.
struct Held {
    id: AttemptId,
    stop: watch::Receiver<Option<Stop>>,
    output: Output,
}

async fn attempt(shared: Arc<Shared>, shard: u16, started: Started, held: Held, brief: Option<Brief>) {
    let Held { id, mut stop, output } = held;
    let whole = WholeRun::at_start(&started);
    let run = started.run;
    let execution = execute(&shared, shard, &run, whole, &mut stop, output, brief);
    let attempt = std::panic::AssertUnwindSafe(execution).catch_unwind().await;
    // A panic must not keep the slot and the lease for ever.
    let ended = attempt.unwrap_or_else(|_| Ended { reason: Some(Reason::Panic), ..refused(&run, "the node panicked") });
    shared.slots.end(&id);
    // The lane lives as long as the node.
    let _ = shared.lanes[usize::from(shard)].ended.send(ended);
}

async fn execute(
    shared: &Arc<Shared>,
    shard: u16,
    run: &LiveRun,
    mut whole: WholeRun,
    stop: &mut watch::Receiver<Option<Stop>>,
    output: Output,
    brief: Option<Brief>,
) -> Ended {
    match prepare_until_answered(shared, shard, run, stop, brief).await {
        Ok(Prepared::Attempt(mut attempt, retry)) => {
            whole.retry = retry;
            let Some(timeout) = whole.timeout(attempt.timeout) else { return whole.too_late(run) };
            attempt.timeout = timeout;
            attempt.output = output;
            let outcome = shared.executor.execute(*attempt, stop.clone()).await;
            keep(shared, shard, run, &outcome).await;
            ended(shared, run, &outcome, &whole)
        }
        Ok(Prepared::Stopped(ending)) => stopped(shared, run, ending),
        Ok(Prepared::Removed) => Ended {
            how: EndedAs::Cancelled,
            reason: Some(Reason::EntryRemoved),
            ..refused(run, "its entry was removed")
        },
        Err(why) => refused(run, &why.to_string()),
    }
}

enum Prepared {
    Attempt(Box<Attempt>, Option<Retry>),
    Removed,
    Stopped(Ending),
}

/// Whether a run goes on although its entry was removed: its last attempt was lost or handed back, or somebody had it retried. One
/// that failed by itself is not tried again.
fn goes_on(run: &LiveRun) -> bool {
    let last = run.past.last().and_then(|past| past.reason);
    run.attempt > 1 && (run.counted() <= 1 || matches!(last, Some(Reason::Lost | Reason::Drained)))
}

/// The definition of the revision that fired; `None` where the entry was removed and the run ends with it.
async fn definition(
    shared: &Shared,
    shard: u16,
    id: &EntryId,
    run: &LiveRun,
    current: Option<&[u8]>,
) -> Result<Option<Entry>> {
    let read = current.map(|text| shared.definitions.read(id, text));
    let current = read.as_ref().and_then(|read| read.as_ref().ok());
    if let Some(known) = current.filter(|known| known.birth == run.birth && known.revision == run.revision) {
        return Ok(Some(known.entry.clone()));
    }
    let is_removed = read.is_none() || current.is_some_and(|known| known.birth != run.birth);
    if is_removed && !goes_on(run) {
        return Ok(None);
    }
    // An entry that was removed and added again is another one, whatever its revisions say.
    let kept = shared.store.revision(shard, id, run.revision).await?.filter(|one| one.birth == run.birth);
    match (kept, read) {
        (Some(definition), _) => definition.parse(id).map(Some),
        // Older than the revisions that are kept: the one that holds now is the best there is.
        (None, Some(Ok(known))) => Ok((known.birth == run.birth).then_some(known.entry)),
        (None, Some(Err(why))) => Err(why),
        (None, None) => Ok(None),
    }
}

/// [`prepare`], again and again while Redis does not answer: the run is this node's, and nothing is wrong with it.
async fn prepare_until_answered(
    shared: &Shared,
    shard: u16,
    run: &LiveRun,
    stopped: &mut watch::Receiver<Option<Stop>>,
    mut brief: Option<Brief>,
) -> Result<Prepared> {
    loop {
        match prepare(shared, shard, run, brief.take()).await {
            Err(why @ Error::Unavailable(_)) => shared.set_ready(false, &why),
            other => return other,
        }
        let stop = tokio::time::timeout(RETRY, stopped.wait_for(Option::is_some)).await;
        if let Ok(Ok(stop)) = stop {
            return Ok(Prepared::Stopped(match *stop {
                Some(Stop::Cancel) => Ending::Cancelled,
                Some(Stop::Drain) => Ending::HandBack,
                Some(Stop::Lost) | None => Ending::Lost,
            }));
        }
    }
}

async fn prepare(shared: &Shared, shard: u16, run: &LiveRun, brief: Option<Brief>) -> Result<Prepared> {
    let id = EntryId::parse("entry", &run.entry_id)?;
    let brief = match brief {
        Some(brief) => brief,
        None => briefing::of(shared, shard, run).await?,
    };
    let entry = match &run.extras.once {
        Some(fields) => one_off::entry(&id, fields, run.fire_at)?,
        None => match definition(shared, shard, &id, run, brief.definition.as_deref()).await? {
            Some(entry) => entry,
            None => return Ok(Prepared::Removed),
        },
    };
    // What no run left is nobody's result.
    let last_result = brief.result.filter(|_| brief.last.is_some());
    let context = Context {
        run_id: run.run_id.clone(),
        entry_id: run.entry_id.clone(),
        namespace: shared.store.namespace().to_string(),
        fire_at: run.fire_at,
        due_at: run.due_at,
        attempt: run.attempt,
        fence: run.fence,
        trigger: run.trigger,
        node: shared.name.clone(),
        last_success_at: brief.last_success_at.filter(|_| brief.last.is_some()),
        last_state: brief.last.map(|last| last.state),
        last_result,
    };
    let payload = match &run.extras.payload {
        Some(payload) => Some(payload_bytes(payload)),
        None => entry.payload_bytes(),
    };
    let timeout = entry.effective_timeout();
    let attempt = Box::new(Attempt {
        action: given(entry.action.clone(), run),
        env: entry.env.clone(),
        cwd: entry.cwd.clone(),
        extra_args: run.extras.args.clone(),
        payload,
        timeout,
        context,
        output: Output::default(),
        first_attempt: first_attempt(run),
    });
    Ok(Prepared::Attempt(attempt, entry.retry.clone()))
}

/// The action with what was asked for in the place of the entry's own: a task of Celery takes no payload, but arguments.
fn given(action: Action, run: &LiveRun) -> Action {
    match (&action, &run.extras.payload) {
        (Action::Celery(celery), Some(payload)) => {
            celery.given(payload).map_or(action, |celery| Action::Celery(Box::new(celery)))
        }
        _ => action,
    }
}

/// The first of the attempts that were lost or handed back right before the current one; itself where there are none.
fn first_attempt(run: &LiveRun) -> u32 {
    let goes_on = |past: &&PastAttempt| matches!(past.reason, Some(Reason::Lost | Reason::Drained));
    let before = run.past.iter().rev().take_while(goes_on).count();
    run.attempt.saturating_sub(u32::try_from(before).unwrap_or(u32::MAX)).max(1)
}

/// Output and result go by calls of their own, before the finish, and may be sent twice; losing them does not lose the outcome.
async fn keep(shared: &Shared, shard: u16, run: &LiveRun, outcome: &Outcome) {
    if outcome.written > 0 {
        let output = crate::store::Output { written: outcome.written, tail: outcome.output.clone() };
        let kept = while_unanswered(|| shared.store.keep_output(shard, &run.run_id, run.attempt, &output)).await;
        kept.unwrap_or_else(|why| tracing::warn!(run.id = %run.run_id, why = %why, "its output could not be stored"));
    }
    if let Some(result) = outcome.result.as_ref().filter(|_| outcome.ending == Ending::Succeeded) {
        let kept = while_unanswered(|| shared.store.keep_result(shard, &run.entry_id, result)).await;
        kept.unwrap_or_else(|why| tracing::warn!(run.id = %run.run_id, why = %why, "its result could not be stored"));
    }
}

/// Sends a call again while Redis does not answer, up to [`KEEP_TRIES`] times.
async fn while_unanswered<F: Future<Output = Result<()>>>(call: impl Fn() -> F) -> Result<()> {
    for _ in 1..KEEP_TRIES {
        match call().await {
            Err(Error::Unavailable(_)) => tokio::time::sleep(RETRY).await,
            other => return other,
        }
    }
    call().await
}

/// What a renewal says of the attempts that ran before it was sent.
pub fn compare(shared: &Shared, before: &[(String, u64)], held: &[String], to_cancel: &[String]) {
    for (run_id, fence) in before {
        if !held.contains(run_id) {
            tracing::warn!(run.id = %run_id, fence, "the lease is lost: another node has the run, it is stopped here");
            shared.slots.stop_run(run_id, Stop::Lost);
        }
    }
    for run_id in to_cancel {
        shared.slots.stop_run(run_id, Stop::Cancel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::Extras;
    use crate::domain::run::{State, Trigger};
    use crate::domain::timestamp::Timestamp;

    /// A run at its next attempt after these ended so.
    fn after(past: &[Reason], uncounted: u32) -> LiveRun {
        let at = Timestamp(1);
        let past: Vec<PastAttempt> = past
            .iter()
            .map(|reason| PastAttempt {
                started_at: at,
                finished_at: at,
                reason: Some(*reason),
                exit_code: None,
                node: None,
                message: None,
            })
            .collect();
        LiveRun {
            run_id: String::new(),
            entry_id: "a".to_owned(),
            state: State::Running,
            trigger: Trigger::Scheduled,
            is_cancel_asked: false,
            is_over_limit: false,
            is_until: false,
            attempt: past.len() as u32 + 1,
            lost: past.iter().filter(|past| past.reason == Some(Reason::Lost)).count() as u32,
            uncounted,
            fire_at: at,
            due_at: at,
            enqueued_at: at,
            started_at: None,
            fence: 1,
            holder: None,
            birth: 1,
            revision: 1,
            start_within_ms: 0,
            list: "default:exec".to_owned(),
            past,
            extras: Extras::default(),
        }
    }

    #[test]
    fn what_a_lost_attempt_sent_counts_and_what_a_failed_one_sent_does_not() {
        assert_eq!(first_attempt(&after(&[], 0)), 1);
        assert_eq!(first_attempt(&after(&[Reason::Lost, Reason::Drained], 0)), 1);
        assert_eq!(first_attempt(&after(&[Reason::Target], 0)), 2);
        assert_eq!(first_attempt(&after(&[Reason::Lost, Reason::Target, Reason::Lost], 0)), 3);
    }

    #[test]
    fn of_a_removed_entry_goes_on_what_was_lost_or_retried_by_somebody_and_nothing_else() {
        assert!(!goes_on(&after(&[], 0)), "it had not begun");
        assert!(!goes_on(&after(&[Reason::Exit], 0)), "it failed by itself");
        assert!(goes_on(&after(&[Reason::Lost], 0)));
        assert!(goes_on(&after(&[Reason::Drained], 1)));
        assert!(goes_on(&after(&[Reason::Exit, Reason::Lost], 0)));
        assert!(goes_on(&after(&[Reason::Exit, Reason::Exit], 2)), "somebody had it retried");
        assert!(!goes_on(&after(&[Reason::Exit, Reason::Exit, Reason::Exit], 2)), "and then it failed by itself again");
    }
}
