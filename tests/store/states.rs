//! Each transition of the state machine in the crate docs, by the script that makes it; reopening stands in `reopened.rs`.

use serde_json::json;
use upbeat::domain::attempt::PastAttempt;
use upbeat::domain::record::requested_run_id;
use upbeat::domain::run::{Reason, State};
use upbeat::store::{Asked, CancelAnswer, EndedAs, FinishWord, Made, Rescued, TriggerAnswer, TriggerCall, Verb};

use crate::one_run::{HOUR_MS, OneRun};
use crate::support::changes::change;
use crate::support::entries::id;
use crate::support::hand::{Hand, ended, failed};

/// What an attempt came to and on which node.
fn came_to(past: &[PastAttempt]) -> Vec<(Option<Reason>, &str)> {
    assert!(past.iter().all(|attempt| attempt.started_at <= attempt.finished_at), "{past:?}");
    assert!(past.windows(2).all(|pair| pair[0].finished_at <= pair[1].started_at), "{past:?}");
    past.iter().map(|attempt| (attempt.reason, attempt.node.as_deref().unwrap())).collect()
}

async fn trigger(one: &OneRun) -> TriggerAnswer {
    let target = id("a");
    let fire_at = one.world.store.now(0).await.unwrap();
    let run_id = requested_run_id(one.world.store.namespace(), &target, "t", fire_at);
    let asked = Asked { request: "t", content: "" };
    let call = TriggerCall {
        asked,
        id: &target,
        birth: 1,
        run_id: &run_id,
        fire_at,
        overlap: None,
        extras: "{}",
        message: &[],
        unique: None,
    };
    let answer = one.world.store.trigger(0, &call).await.unwrap();
    one.world.assert_conserved();
    answer
}

#[tokio::test]
async fn claim_puts_a_run_into_its_list_or_starts_it() {
    let one = OneRun::queued(json!({})).await;
    let run = one.live().await.unwrap();
    assert_eq!((run.state, run.attempt, run.holder), (State::Queued, 0, None));

    let mut one = OneRun::before(json!({})).await;
    one.world.pass(HOUR_MS);
    let started = one.hand.claim(0, 1).await.started;
    one.world.assert_conserved();
    assert_eq!((started[0].run.state, started[0].run.attempt), (State::Running, 1));
    assert_eq!(started[0].run.holder.as_deref(), Some(one.hand.incarnation.as_str()));
    one.end(ended(&started[0], EndedAs::Succeeded)).await;
    one.assert_ended(State::Succeeded, None).await;
}

#[tokio::test]
async fn claim_skips_misses_or_lets_wait_what_its_entry_says() {
    for (rule, state) in [("skip", State::Skipped), ("buffer_one", State::Waiting)] {
        let (mut one, run) = OneRun::running(json!({"overlap": rule})).await;
        one.fire().await;
        let (live, _) = one.world.store.live_runs(0, None).await.unwrap();
        let waiting = live.iter().filter(|run| run.state == State::Waiting).count();
        assert_eq!(waiting, usize::from(state == State::Waiting));
        let skipped = one.world.tally("a").await.contains_key(&(State::Skipped, Some(Reason::Overlap)));
        assert_eq!(skipped, state == State::Skipped);
        one.hand.finish(&run, EndedAs::Succeeded).await;
        assert_eq!(one.state().await, (state == State::Waiting).then_some(State::Queued), "its end moves it in");
    }
    let mut one = OneRun::before(json!({"start_within": "10m"})).await;
    one.look_after(HOUR_MS + 660_000).await;
    one.assert_ended(State::Missed, Some(Reason::TooLate)).await;
}

#[tokio::test]
async fn claim_delivers_a_message_or_records_that_its_target_refused_it() {
    let one = OneRun::queued(json!({"list": "out"})).await;
    one.assert_ended(State::Succeeded, Some(Reason::Delivered)).await;
    let mut one = OneRun::before(json!({"list": "out"})).await;
    one.world.redis.cli(&["SET", "out", "of another type"]);
    one.fire().await;
    let run = one.assert_ended(State::Failed, Some(Reason::Target)).await;
    assert_eq!((run.attempt, run.past.len()), (1, 0));
}

#[tokio::test]
async fn trigger_queues_lets_wait_or_skips() {
    for (rule, state) in [("allow", State::Queued), ("buffer_one", State::Waiting), ("skip", State::Skipped)] {
        let (one, run) = OneRun::running(json!({"overlap": rule})).await;
        let TriggerAnswer::Made { run_id, made, .. } = trigger(&one).await else { panic!("{rule}") };
        assert_eq!(matches!(made, Made::Skipped(_)), state == State::Skipped, "{made:?}");
        let live = one.world.store.live_run(0, &run_id).await.unwrap();
        assert_eq!(live.map(|live| live.state), (state != State::Skipped).then_some(state));
        assert_ne!(run.run.run_id, run_id);
    }
}

#[tokio::test]
async fn work_fetches_and_ends_runs() {
    for (how, state, reason) in
        [(EndedAs::Succeeded, State::Succeeded, None), (EndedAs::Failed, State::Failed, Some(Reason::Exit))]
    {
        let (mut one, run) = OneRun::running(json!({})).await;
        assert_eq!((run.run.state, run.run.attempt, run.run.counted()), (State::Running, 1, 1));
        one.world.pass(1_000);
        assert_eq!(one.end(ended(&run, how)).await, FinishWord::Finished);
        let end = one.assert_ended(state, reason).await;
        assert_eq!((end.attempt, end.lost, end.uncounted, end.node.as_deref()), (1, 0, 0, Some("hand")));
        assert_eq!(end.started_at, run.run.started_at);
        assert_eq!(one.end(ended(&run, how)).await, FinishWord::Lost, "it has ended");
        assert_eq!(one.world.ended("a").await.len(), 1);
    }
}

#[tokio::test]
async fn a_run_that_is_cancelled_while_it_runs_ends_as_its_node_says() {
    for (how, state) in [
        (EndedAs::Cancelled, State::Cancelled),
        (EndedAs::HandedBack, State::Cancelled),
        (EndedAs::Succeeded, State::Succeeded),
        (EndedAs::Failed, State::Failed),
    ] {
        let (mut one, run) = OneRun::running(json!({})).await;
        assert_eq!(one.cancel(&run.run.run_id).await, CancelAnswer::Asked);
        assert_eq!(one.state().await, Some(State::Running));
        one.end(ended(&run, how)).await;
        let reason = match state {
            State::Cancelled => Some(Reason::ByUser),
            State::Failed => Some(Reason::Exit),
            _ => None,
        };
        let end = one.assert_ended(state, reason).await;
        assert_eq!(end.message.as_deref() == Some("by ana"), state == State::Cancelled);
    }
    // One that would have had another attempt has none any more.
    let (mut one, run) = OneRun::running(json!({})).await;
    one.cancel(&run.run.run_id).await;
    assert_eq!(one.end(failed(&run, 30_000, None)).await, FinishWord::Finished);
    one.assert_ended(State::Cancelled, Some(Reason::ByUser)).await;
    // Nor does one whose node is lost.
    let (mut one, run) = OneRun::running(json!({})).await;
    one.cancel(&run.run.run_id).await;
    let holder = Hand::new(&one.world.store, 'a');
    assert_eq!(one.lose(&holder).await, Rescued::Done { back: 0, ended: 1, left: 0 });
    one.assert_ended(State::Cancelled, Some(Reason::ByUser)).await;
}

#[tokio::test]
async fn a_failed_attempt_waits_for_the_next_one_until_its_time_and_not_before() {
    let (mut one, first) = OneRun::running(json!({})).await;
    one.world.pass(2_000);
    assert_eq!(one.end(failed(&first, 30_000, None)).await, FinishWord::Retrying);
    let now = one.world.store.now(0).await.unwrap();
    let run = one.live().await.unwrap();
    assert_eq!((run.state, run.holder.clone(), run.attempt), (State::Retrying, None, 1));
    assert_eq!(came_to(&run.past), [(Some(Reason::Exit), "hand")]);
    let past = &run.past[0];
    assert_eq!((past.exit_code, past.message.as_deref()), (Some(3), Some("no luck")));
    assert_eq!(Some(past.started_at), first.run.attempt_at());
    assert!((0..1_000).contains(&(now.0 - past.finished_at.0)), "{past:?} {now:?}");
    assert_eq!(one.world.on("ZCARD", "leases", &[]), "0", "nobody holds it");

    let at = run.enqueued_at;
    one.look_after(at.0 - 500 - one.world.store.now(0).await.unwrap().0).await;
    assert_eq!(one.state().await, Some(State::Retrying));
    assert!(one.hand.fetch(9).await.is_empty());
    one.look_after(500).await;
    assert_eq!(one.state().await, Some(State::Queued));
    let second = one.fetch().await;
    assert_eq!((second.run.attempt, second.run.counted(), second.run.lost), (2, 2, 0));
    assert!(second.run.fence > first.run.fence);
    assert_eq!(second.run.started_at, first.run.started_at, "that of the run");
    assert_eq!(one.end(ended(&first, EndedAs::Succeeded)).await, FinishWord::Lost, "an attempt of the past");
    assert_eq!(one.end(ended(&second, EndedAs::Failed)).await, FinishWord::Finished);
    let end = one.assert_ended(State::Failed, Some(Reason::Exit)).await;
    assert_eq!((end.attempt, end.lost, end.uncounted, end.past.len()), (2, 0, 0, 1));
    assert_eq!(end.last_attempt_at, second.run.attempt_at());
}

#[tokio::test]
async fn a_claim_says_when_the_next_attempt_is_due() {
    let mut one = OneRun::retrying(json!({})).await;
    let at = one.live().await.unwrap().enqueued_at;
    assert_eq!(one.hand.claim(0, 0).await.look, Some(at));
}

#[tokio::test]
async fn start_within_ends_a_run_that_waits_in_its_list_missed() {
    let mut one = OneRun::queued(json!({"start_within": "10s"})).await;
    one.look_after(11_000).await;
    one.assert_ended(State::Missed, Some(Reason::TooLate)).await;
    // A fetch that comes first sees it as well.
    let mut one = OneRun::queued(json!({"start_within": "10s"})).await;
    one.world.pass(11_000);
    assert!(one.hand.fetch(9).await.is_empty());
    one.assert_ended(State::Missed, Some(Reason::TooLate)).await;
    // Of a run that began in time it says nothing more.
    let mut one = OneRun::retrying(json!({"start_within": "10s"})).await;
    one.look_after(30_000).await;
    one.look_after(60_000).await;
    assert_eq!(one.fetch().await.run.attempt, 2);
}

#[tokio::test]
async fn a_run_whose_time_is_up_while_it_waits_for_its_next_attempt_fails() {
    // Beside its list, and in it.
    for is_moved in [false, true] {
        let (mut one, run) = OneRun::running(json!({})).await;
        one.end(failed(&run, if is_moved { 30_000 } else { 40_000 }, Some(35_000))).await;
        one.look_after(30_000).await;
        assert_eq!(one.state().await, Some(if is_moved { State::Queued } else { State::Retrying }));
        one.look_after(6_000).await;
        let end = one.assert_ended(State::Failed, Some(Reason::Timeout)).await;
        assert_eq!((end.attempt, came_to(&end.past)), (1, vec![(Some(Reason::Exit), "hand")]));
        assert!(end.message.unwrap().contains("retry.within"));
        assert_eq!(end.enqueued_at.is_some(), is_moved, "the attempt that was to come is no past");
        assert!(end.enqueued_at <= Some(end.finished_at));
    }
    // An attempt that has begun is the node's to end.
    let (mut one, run) = OneRun::running(json!({})).await;
    one.end(failed(&run, 30_000, Some(35_000))).await;
    one.look_after(30_000).await;
    let second = one.fetch().await;
    assert_eq!(one.world.on("ZCARD", "start_by", &[]), "0");
    one.look_after(6_000).await;
    assert_eq!(one.end(ended(&second, EndedAs::Succeeded)).await, FinishWord::Finished);
    one.assert_ended(State::Succeeded, None).await;
}

#[tokio::test]
async fn cancel_ends_what_does_not_run() {
    for state in [State::Queued, State::Retrying] {
        let one = match state {
            State::Queued => OneRun::queued(json!({})).await,
            _ => OneRun::retrying(json!({})).await,
        };
        let run = one.live().await.unwrap();
        assert_eq!(run.state, state);
        assert_eq!(one.cancel(&run.run_id).await, CancelAnswer::Cancelled);
        let end = one.assert_ended(State::Cancelled, Some(Reason::ByUser)).await;
        assert_eq!(end.attempt, u32::from(state == State::Retrying));
        assert_eq!(one.world.store.live_run(0, &run.run_id).await.unwrap(), None);
        let asked = Asked { request: "again", content: "" };
        assert_eq!(one.world.store.cancel(0, asked, &run.run_id, "by ana").await.unwrap(), CancelAnswer::Ended);
    }
    let (mut one, _) = OneRun::running(json!({"overlap": "buffer_one"})).await;
    one.fire().await;
    let (live, _) = one.world.store.live_runs(0, None).await.unwrap();
    let waiting = live.into_iter().find(|run| run.state == State::Waiting).unwrap();
    assert_eq!(one.cancel(&waiting.run_id).await, CancelAnswer::Cancelled);
    assert_eq!(one.world.tally("a").await, [((State::Cancelled, Some(Reason::ByUser)), 1)].into());
}

#[tokio::test]
async fn removing_an_entry_cancels_what_does_not_run() {
    for state in [State::Queued, State::Retrying, State::Waiting] {
        let mut one = match state {
            State::Queued => OneRun::queued(json!({})).await,
            State::Retrying => OneRun::retrying(json!({})).await,
            _ => OneRun::running(json!({"overlap": "buffer_one"})).await.0,
        };
        if state == State::Waiting {
            one.fire().await;
        }
        change(&one.world.store, "a", Verb::Remove, json!({})).await;
        one.world.assert_conserved();
        let tally = one.world.tally("a").await;
        assert_eq!(tally, [((State::Cancelled, Some(Reason::EntryRemoved)), 1)].into(), "{state}");
        assert_eq!(one.state().await, (state == State::Waiting).then_some(State::Running), "{state}");
    }
}

#[tokio::test]
async fn the_next_run_of_a_cancel_other_entry_takes_the_place_of_one_that_waits_for_its_next_attempt() {
    let (mut one, run) = OneRun::running(json!({"overlap": "cancel_other"})).await;
    one.end(failed(&run, 2 * HOUR_MS, Some(3 * HOUR_MS))).await;
    one.fire().await;
    let end = one.world.ended("a").await.remove(0);
    assert_eq!((end.state, end.reason, end.attempt), (State::Cancelled, Some(Reason::CancelOther), 1));
    let next = one.live().await.unwrap();
    assert_eq!((next.state, next.fire_at.0 - run.run.fire_at.0), (State::Queued, HOUR_MS));
    let next = one.fetch().await;
    one.end(ended(&next, EndedAs::Succeeded)).await;
    one.assert_nothing_left();
}

#[tokio::test]
async fn a_run_that_waits_for_its_next_attempt_is_active() {
    let (mut one, run) = OneRun::running(json!({"overlap": "skip"})).await;
    one.end(failed(&run, 2 * HOUR_MS, None)).await;
    one.fire().await;
    assert_eq!(one.state().await, Some(State::Retrying));
    assert_eq!(one.world.tally("a").await, [((State::Skipped, Some(Reason::Overlap)), 1)].into());
}

#[tokio::test]
async fn a_run_is_taken_over_three_times_and_then_it_fails() {
    let (mut one, first) = OneRun::running(json!({})).await;
    let mut holder = Hand::new(&one.world.store, 'a');
    for turn in 1..=3 {
        assert_eq!(one.lose(&holder).await, Rescued::Done { back: 1, ended: 0, left: 0 });
        let run = one.live().await.unwrap();
        assert_eq!((run.state, run.attempt, run.lost, run.counted()), (State::Queued, turn, turn, 0));
        assert_eq!(came_to(&run.past), vec![(Some(Reason::Lost), "lost one"); turn as usize]);
        assert_eq!(run.run_id, first.run.run_id);
        holder = Hand::new(&one.world.store, char::from(b'k' + turn as u8));
        assert_eq!(holder.fetch(9).await.len(), 1);
    }
    assert_eq!(one.lose(&holder).await, Rescued::Done { back: 0, ended: 1, left: 0 });
    let end = one.assert_ended(State::Failed, Some(Reason::Lost)).await;
    assert_eq!((end.attempt, end.lost, end.past.len(), end.node.as_deref()), (4, 4, 3, Some("lost one")));
    assert!(end.message.unwrap().contains("4 times"));
}

#[tokio::test]
async fn an_attempt_that_may_be_made_once_is_not_repeated_unless_it_never_began() {
    let once = json!({"delivery": "at_most_once"});
    let (mut one, _) = OneRun::running(once.clone()).await;
    let holder = Hand::new(&one.world.store, 'a');
    assert_eq!(one.lose(&holder).await, Rescued::Done { back: 0, ended: 1, left: 0 });
    let end = one.assert_ended(State::Failed, Some(Reason::Lost)).await;
    assert_eq!((end.attempt, end.lost), (1, 1));
    assert!(end.message.unwrap().contains("at_most_once"));

    let (mut one, run) = OneRun::running(once.clone()).await;
    assert_eq!(one.end(ended(&run, EndedAs::HandedBack)).await, FinishWord::Finished);
    let end = one.assert_ended(State::Failed, Some(Reason::Drained)).await;
    assert_eq!((end.attempt, end.lost), (1, 0));

    let (mut one, run) = OneRun::running(once).await;
    assert_eq!(one.end(ended(&run, EndedAs::Returned)).await, FinishWord::Requeued);
    let again = one.fetch().await;
    assert_eq!((again.run.attempt, again.run.counted()), (2, 1));
    one.end(ended(&again, EndedAs::Succeeded)).await;
    one.assert_ended(State::Succeeded, None).await;
}

#[tokio::test]
async fn what_a_node_hands_back_goes_to_the_front_of_its_list_and_counts_for_nothing() {
    for how in [EndedAs::HandedBack, EndedAs::Returned] {
        let (mut one, run) = OneRun::running(json!({})).await;
        assert_eq!(one.end(ended(&run, how)).await, FinishWord::Requeued);
        let live = one.live().await.unwrap();
        assert_eq!((live.state, live.holder.clone(), live.uncounted), (State::Queued, None, 1));
        let again = one.fetch().await;
        assert_eq!((again.run.attempt, again.run.counted(), again.run.lost), (2, 1, 0));
        assert_eq!(came_to(&again.run.past), [(Some(Reason::Drained), "hand")]);
        one.end(ended(&again, EndedAs::Succeeded)).await;
        let end = one.assert_ended(State::Succeeded, None).await;
        assert_eq!((end.attempt, end.counted(), end.past.len()), (2, 1, 1));
    }
}

#[tokio::test]
async fn attempts_of_every_kind_stand_in_order_and_are_counted_apart() {
    let (mut one, first) = OneRun::running(json!({})).await;
    one.end(failed(&first, 0, None)).await;
    one.look_after(1).await;
    let second = one.fetch().await;
    one.end(ended(&second, EndedAs::HandedBack)).await;
    one.fetch().await;
    let holder = Hand::new(&one.world.store, 'a');
    one.lose(&holder).await;
    let last = one.fetch().await;
    assert_eq!((last.run.attempt, last.run.lost, last.run.uncounted, last.run.counted()), (4, 1, 1, 2));
    one.end(ended(&last, EndedAs::Failed)).await;
    let end = one.assert_ended(State::Failed, Some(Reason::Exit)).await;
    let reasons = [(Some(Reason::Exit), "hand"), (Some(Reason::Drained), "hand"), (Some(Reason::Lost), "lost one")];
    assert_eq!(came_to(&end.past), reasons);
    assert_eq!((end.attempt, end.lost, end.uncounted, end.counted()), (4, 1, 1, 2));
    assert!(end.past[2].finished_at <= end.last_attempt_at.unwrap() && end.last_attempt_at.unwrap() <= end.finished_at);
}

#[tokio::test]
async fn a_result_of_an_attempt_that_was_taken_over_is_refused_and_recorded() {
    let (mut one, run) = OneRun::running(json!({})).await;
    let holder = Hand::new(&one.world.store, 'a');
    one.lose(&holder).await;
    for end in [ended(&run, EndedAs::Succeeded), failed(&run, 1_000, None), ended(&run, EndedAs::HandedBack)] {
        assert_eq!(one.end(end).await, FinishWord::Lost);
    }
    assert_eq!(one.world.events("refused").await.len(), 3);
    let live = one.live().await.unwrap();
    assert_eq!((live.state, live.attempt, live.past.len()), (State::Queued, 1, 1));
    assert_eq!(one.world.on("ZCARD", "delayed", &[]), "0");
    assert!(one.letters().await.is_empty());
}
