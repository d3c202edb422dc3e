//! Runs that failed for good and are reopened: the same run, its next attempt, another ending; and letters that are purged.

use serde_json::{Value, json};
use upbeat::domain::run::{Reason, State};
use upbeat::store::{Asked, EndedAs, FinishWord, LetterWord, LettersAnswer, Rescued, Verb};

use crate::one_run::{HOUR_MS, OneRun};
use crate::support::changes::change;
use crate::support::hand::{Hand, ended, failed};

#[tokio::test]
async fn a_reopened_run_goes_on_as_the_same_run_and_both_endings_stay_on_record() {
    let (mut one, first) = OneRun::dead(json!({})).await;
    let end = one.assert_ended(State::Failed, Some(Reason::Exit)).await;
    one.world.pass(60_000);
    assert_eq!(one.retry(&first.run.run_id).await, LetterWord::Queued);
    let live = one.live().await.unwrap();
    assert_eq!((live.run_id.as_str(), live.state), (first.run.run_id.as_str(), State::Queued));
    assert_eq!((live.attempt, live.lost, live.counted(), live.started_at), (1, 0, 0, None));
    assert_eq!((live.fire_at, live.trigger, live.birth), (first.run.fire_at, first.run.trigger, first.run.birth));
    assert!(one.letters().await.is_empty());
    assert_eq!(one.retry(&first.run.run_id).await, LetterWord::Gone, "it is active");
    let second = one.fetch().await;
    assert_eq!((second.run.attempt, second.run.counted()), (2, 1), "attempts of before count for nothing");
    assert!(second.run.fence > first.run.fence);
    assert_eq!(one.end(ended(&second, EndedAs::Succeeded)).await, FinishWord::Finished);
    one.assert_nothing_left();
    assert!(one.letters().await.is_empty());

    let mut endings = one.world.ended("a").await;
    endings.sort_by_key(|run| run.finished_at);
    assert_eq!(endings.len(), 2);
    assert_eq!(endings[0], end, "the first ending is as it was");
    let last = &endings[1];
    assert_eq!((last.run_id.as_str(), last.state, last.attempt), (first.run.run_id.as_str(), State::Succeeded, 2));
    assert_eq!((last.past.len(), last.past[0].reason), (1, Some(Reason::Exit)));
    assert_eq!((last.past[0].started_at, last.past[0].finished_at), (first.run.started_at.unwrap(), end.finished_at));
    assert_eq!(last.last_attempt_at, second.run.attempt_at());
}

#[tokio::test]
async fn a_reopened_run_fails_again_and_is_a_dead_letter_again() {
    let (mut one, run) = OneRun::dead(json!({})).await;
    for turn in 2..=4 {
        assert_eq!(one.retry(&run.run.run_id).await, LetterWord::Queued);
        let again = one.fetch().await;
        assert_eq!((again.run.attempt, again.run.counted()), (turn, 1));
        one.end(ended(&again, EndedAs::Failed)).await;
        assert_eq!(one.letters().await, [run.run.run_id.as_str()]);
        one.assert_nothing_left();
    }
    let letter = one.world.store.letters(0, &one.letters().await).await.unwrap().remove(0).unwrap();
    assert_eq!((letter.ended.attempt, letter.ended.past.len(), letter.live.past.len()), (4, 3, 4));
    assert_eq!(one.world.ended("a").await.len(), 4);
}

#[tokio::test]
async fn a_reopened_run_has_its_retries_and_take_overs_anew() {
    let (mut one, run) = OneRun::running(json!({})).await;
    one.end(failed(&run, 0, None)).await;
    one.look_after(1).await;
    one.fetch().await;
    let mut holder = Hand::new(&one.world.store, 'a');
    for turn in 0..4 {
        one.lose(&holder).await;
        holder = Hand::new(&one.world.store, char::from(b'k' + turn));
        holder.fetch(9).await;
    }
    let end = one.assert_ended(State::Failed, Some(Reason::Lost)).await;
    assert_eq!((end.attempt, end.lost), (5, 4));
    one.retry(&run.run.run_id).await;
    let again = holder.fetch(9).await.remove(0);
    assert_eq!((again.run.attempt, again.run.lost, again.run.counted()), (6, 0, 1));
    assert_eq!(one.lose(&holder).await, Rescued::Done { back: 1, ended: 0, left: 0 });
    let again = one.fetch().await;
    assert_eq!((again.run.attempt, again.run.lost, again.run.counted()), (7, 1, 1));
    one.end(failed(&again, 0, None)).await;
    one.look_after(1).await;
    let last = one.fetch().await;
    assert_eq!((last.run.attempt, last.run.counted(), last.run.past.len()), (8, 2, 7));
    one.end(ended(&last, EndedAs::Succeeded)).await;
    one.assert_nothing_left();
}

#[tokio::test]
async fn a_run_whose_whole_time_was_up_has_it_anew() {
    let (mut one, run) = OneRun::running(json!({"start_within": "10s"})).await;
    one.end(failed(&run, 40_000, Some(35_000))).await;
    one.look_after(36_000).await;
    one.assert_ended(State::Failed, Some(Reason::Timeout)).await;
    assert_eq!(one.retry(&run.run.run_id).await, LetterWord::Queued);
    one.look_after(120_000).await;
    let again = one.fetch().await;
    assert_eq!((again.run.attempt, again.run.started_at), (2, Some(again.at)), "somebody wants it, however late");
}

#[tokio::test]
async fn a_reopened_run_waits_while_another_run_of_its_entry_is_active() {
    for rule in ["skip", "buffer_one", "buffer_all", "cancel_other"] {
        let (mut one, run) = OneRun::dead(json!({"overlap": rule})).await;
        one.fire().await;
        let other = one.fetch().await;
        assert_eq!(one.retry(&run.run.run_id).await, LetterWord::Waiting, "{rule}");
        let live = one.world.store.live_run(0, &run.run.run_id).await.unwrap().unwrap();
        assert_eq!(live.state, State::Waiting);
        assert!(one.hand.fetch(9).await.is_empty());
        one.end(ended(&other, EndedAs::Succeeded)).await;
        assert_eq!(one.state().await, Some(State::Queued), "{rule}: the end of the other moves it in");
        let again = one.fetch().await;
        assert_eq!((again.run.run_id.as_str(), again.run.attempt), (run.run.run_id.as_str(), 2));
        one.end(ended(&again, EndedAs::Succeeded)).await;
        one.assert_nothing_left();
    }
}

#[tokio::test]
async fn max_running_holds_for_reopened_runs_and_two_of_one_call_keep_to_it_too() {
    let (mut one, first) = OneRun::dead(json!({"overlap": "allow", "max_running": 1})).await;
    one.fire().await;
    let second = one.fetch().await;
    one.end(ended(&second, EndedAs::Failed)).await;
    let ids = [first.run.run_id.clone(), second.run.run_id.clone()];
    let asked = Asked { request: "both", content: "" };
    let answer = one.world.store.retry(0, asked, &ids, "by ana").await.unwrap();
    let words = ids.iter().cloned().zip([LetterWord::Queued, LetterWord::Waiting]).collect();
    assert_eq!(answer, LettersAnswer::Done(words));
    one.world.assert_conserved();
    let run = one.fetch().await;
    one.end(ended(&run, EndedAs::Succeeded)).await;
    let run = one.fetch().await;
    assert_eq!(run.run.run_id, second.run.run_id);
    one.end(ended(&run, EndedAs::Succeeded)).await;
    one.assert_nothing_left();
}

#[tokio::test]
async fn more_than_may_wait_for_an_entry_stay_dead_letters() {
    let (mut one, run) = OneRun::dead(json!({"overlap": "buffer_all", "every": "1h"})).await;
    for _ in 0..101 {
        one.world.pass(HOUR_MS);
        one.hand.claim(0, 0).await;
    }
    one.world.assert_conserved();
    assert_eq!(one.retry(&run.run.run_id).await, LetterWord::Full);
    assert_eq!(one.letters().await, [run.run.run_id.as_str()]);
    one.fetch().await;
}

#[tokio::test]
async fn a_message_that_was_refused_is_sent_again() {
    let payload = json!({"list": "out", "payload": {"n": 1}});
    let mut one = OneRun::before(payload).await;
    one.world.redis.cli(&["SET", "out", "of another type"]);
    one.fire().await;
    let end = one.assert_ended(State::Failed, Some(Reason::Target)).await;
    assert_eq!(one.retry(&end.run_id).await, LetterWord::Failed, "it is refused again");
    assert_eq!(one.letters().await, [end.run_id.as_str()]);
    one.world.redis.cli(&["DEL", "out"]);
    assert_eq!(one.retry(&end.run_id).await, LetterWord::Delivered);
    assert!(one.letters().await.is_empty());
    let message: Value = serde_json::from_str(&one.world.redis.cli(&["LRANGE", "out", "0", "-1"])).unwrap();
    let expected = json!({"run_id": end.run_id, "entry_id": "a", "namespace": "test", "fire_at": end.fire_at.to_rfc3339(),
        "trigger": "scheduled", "payload": {"n": 1}});
    assert_eq!(message, expected, "the same message, the same run");
    let mut endings = one.world.ended("a").await;
    endings.sort_by_key(|run| run.attempt);
    let told: Vec<_> = endings.iter().map(|run| (run.attempt, run.state, run.reason, run.past.len())).collect();
    let (failed, target) = (State::Failed, Some(Reason::Target));
    let delivered = (3, State::Succeeded, Some(Reason::Delivered), 2);
    assert_eq!(told, [(1, failed, target, 0), (2, failed, target, 1), delivered]);
    assert_eq!(one.retry(&end.run_id).await, LetterWord::Gone);
    assert_eq!(one.world.redis.cli(&["LLEN", "out"]), "1");
    one.assert_nothing_left();
}

#[tokio::test]
async fn a_purge_forgets_the_letter_and_leaves_the_record() {
    let (one, run) = OneRun::dead(json!({})).await;
    let ids = [run.run.run_id.clone(), "nobody".to_owned()];
    let asked = Asked { request: "purge", content: "" };
    let answer = one.world.store.purge(0, asked, &ids, "by ana").await.unwrap();
    let words = ids.iter().cloned().zip([LetterWord::Purged, LetterWord::Gone]).collect();
    assert_eq!(answer, LettersAnswer::Done(words));
    assert!(one.letters().await.is_empty());
    assert_eq!(one.retry(&run.run.run_id).await, LetterWord::Gone);
    assert_eq!(one.world.tally("a").await, [((State::Failed, Some(Reason::Exit)), 1)].into());
    one.assert_nothing_left();
}

#[tokio::test]
async fn a_letter_outlives_its_entry() {
    let (mut one, run) = OneRun::dead(json!({})).await;
    change(&one.world.store, "a", Verb::Remove, json!({})).await;
    assert_eq!(one.retry(&run.run.run_id).await, LetterWord::Queued);
    let again = one.fetch().await;
    assert_eq!(again.run.attempt, 2);
    one.end(ended(&again, EndedAs::Succeeded)).await;
    one.assert_nothing_left();
}

#[tokio::test]
async fn a_reopened_run_can_be_cancelled_and_is_no_dead_letter_then() {
    let (one, run) = OneRun::dead(json!({})).await;
    one.retry(&run.run.run_id).await;
    one.cancel(&run.run.run_id).await;
    let tally = one.world.tally("a").await;
    assert_eq!(tally[&(State::Cancelled, Some(Reason::ByUser))], 1);
    assert!(one.letters().await.is_empty());
    one.assert_nothing_left();
}

/// Deep in a list whatever ends leaves its id there; reopened, it stands there twice.
#[tokio::test]
async fn a_run_that_failed_deep_in_its_list_and_is_reopened_is_given_out_once() {
    let (mut one, run) = OneRun::running(json!({})).await;
    one.end(failed(&run, 10_000, Some(20_000))).await;
    // Runs that were cancelled while they stood there.
    let gone: Vec<String> = (0..600).map(|number| format!("cancelled-{number}")).collect();
    one.world.on("RPUSH", "queue:default:shell", &gone.iter().map(String::as_str).collect::<Vec<_>>());
    one.world.on("HINCRBY", "queues", &["default:shell", "600"]);
    one.look_after(10_000).await;
    assert_eq!(one.state().await, Some(State::Queued));
    one.look_after(11_000).await;
    one.assert_ended(State::Failed, Some(Reason::Timeout)).await;
    assert_eq!(one.retry(&run.run.run_id).await, LetterWord::Queued);
    assert_eq!(one.world.on("LLEN", "queue:default:shell", &[]), "602", "its old id, and its new one");
    let again = one.fetch().await;
    assert_eq!((again.run.attempt, one.world.on("HGET", "clock", &["held"])), (2, "1".to_owned()));
    assert_eq!(one.world.on("LLEN", "queue:default:shell", &[]), "0");
    one.end(ended(&again, EndedAs::Succeeded)).await;
    one.assert_nothing_left();
}
