//! Attempts that are repeated, runs that are reopened, letters that are purged: the reply is cut, the caller asks again.

use serde_json::{Value, json};
use upbeat::domain::run::{Reason, State};
use upbeat::store::{Asked, ClaimReply, EndedAs, FinishWord, LetterWord, LettersAnswer, Started};

use crate::calls::Cut;
use crate::support::hand::{Hand, ended, failed};

/// A run of `a` that is executed; the entry fires every hour.
async fn running(more: Value) -> (Cut, Hand, Started) {
    let mut entry = json!({"every": "1h", "shell": "true"});
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let cut = Cut::with(&[("a", entry)]).await;
    cut.world.pass(3_600_000);
    let mut hand = cut.hand();
    hand.settle(0).await;
    let run = hand.fetch(1).await.remove(0);
    (cut, hand, run)
}

async fn dead(more: Value) -> (Cut, Hand, Started) {
    let (cut, mut hand, run) = running(more).await;
    hand.finish(&run, EndedAs::Failed).await;
    (cut, hand, run)
}

fn done(run: &Started, word: LetterWord) -> LettersAnswer {
    LettersAnswer::Done(vec![(run.run.run_id.clone(), word)])
}

#[tokio::test]
async fn a_failure_that_is_told_again_lets_the_run_wait_once() {
    let (cut, hand, run) = running(json!({})).await;
    let ends = [failed(&run, 30_000, Some(60_000))];
    let reply = cut.lose("work", async || hand.work_number(0, 0, &ends, 2).await).await.unwrap();
    assert_eq!(reply.words, [FinishWord::Retrying]);
    assert_eq!(
        (cut.world.on("ZCARD", "delayed", &[]), cut.world.on("ZCARD", "start_by", &[])),
        ("1".into(), "1".into())
    );
    let live = cut.world.store.live_run(0, &run.run.run_id).await.unwrap().unwrap();
    assert_eq!((live.state, live.attempt, live.past.len()), (State::Retrying, 1, 1));
    assert!(cut.world.events("refused").await.is_empty());
}

#[tokio::test]
async fn a_failure_for_good_that_is_told_again_is_one_dead_letter() {
    let (cut, hand, run) = running(json!({})).await;
    let ends = [ended(&run, EndedAs::Failed)];
    let reply = cut.lose("work", async || hand.work_number(0, 0, &ends, 2).await).await.unwrap();
    assert_eq!(reply.words, [FinishWord::Finished]);
    assert_eq!(cut.world.store.dead(0).await.unwrap().len(), 1);
    assert_eq!(cut.world.tally("a").await, [((State::Failed, Some(Reason::Exit)), 1)].into());
}

#[tokio::test]
async fn a_claim_that_moves_a_run_to_its_next_attempt_moves_it_once() {
    let (cut, mut hand, run) = running(json!({})).await;
    hand.work(0, 0, &[failed(&run, 1_000, None)]).await;
    cut.world.pass(1_000);
    let answer = cut.lose("claim", async || hand.claim_number(0, 0, 0).await).await;
    assert!(matches!(answer, ClaimReply::Claimed(_)), "{answer:?}");
    assert_eq!(cut.world.on("LLEN", "queue:default:shell", &[]), "1");
    let again = hand.fetch(9).await;
    assert_eq!((again.len(), again[0].run.attempt), (1, 2));
}

#[tokio::test]
async fn a_retry_whose_reply_was_lost_reopens_once_and_leaves_what_failed_since() {
    for (overlap, word) in [("allow", LetterWord::Queued), ("buffer_one", LetterWord::Waiting)] {
        let (cut, mut hand, run) = dead(json!({"overlap": overlap})).await;
        cut.world.pass(3_600_000);
        hand.settle(0).await;
        let other = hand.fetch(9).await.remove(0);
        let (asked, ids) = (Asked { request: "r", content: "retry a" }, [run.run.run_id.clone()]);
        let answer = cut.lose("retry", async || cut.store.retry(0, asked, &ids).await).await;
        assert_eq!(answer, done(&run, word), "{overlap}");
        assert_eq!(cut.world.store.dead(0).await.unwrap().len(), 0);
        hand.finish(&other, EndedAs::Succeeded).await;
        let again = hand.fetch(9).await;
        assert_eq!((again.len(), again[0].run.attempt, &again[0].run.run_id), (1, 2, &ids[0]));
        hand.finish(&again[0], EndedAs::Failed).await;
        assert_eq!(cut.store.retry(0, asked, &ids).await.unwrap(), answer);
        assert_eq!(cut.world.store.dead(0).await.unwrap().len(), 1, "it failed after the request had come");
        let (before, _) = cut.store.letters_before(0, asked).await.unwrap().unwrap();
        assert_eq!(before, answer);
        let other = Asked { request: "r", content: "retry b" };
        assert_eq!(cut.store.retry(0, other, &ids).await.unwrap(), LettersAnswer::OtherRequest);
    }
}

#[tokio::test]
async fn a_message_that_is_sent_again_is_sent_once() {
    let cut = Cut::with(&[("a", json!({"every": "1h", "list": "out"}))]).await;
    cut.world.redis.cli(&["SET", "out", "of another type"]);
    cut.world.pass(3_600_000);
    cut.hand().settle(0).await;
    cut.world.redis.cli(&["DEL", "out"]);
    let ids = [cut.world.store.dead(0).await.unwrap().remove(0).0];
    let asked = Asked { request: "r", content: "retry a" };
    let answer = cut.lose("retry", async || cut.store.retry(0, asked, &ids).await).await;
    assert_eq!(answer, LettersAnswer::Done(vec![(ids[0].clone(), LetterWord::Delivered)]));
    assert_eq!(cut.world.redis.cli(&["LLEN", "out"]), "1");
    assert_eq!(cut.world.tally("a").await[&(State::Succeeded, Some(Reason::Delivered))], 1);
}

#[tokio::test]
async fn a_purge_of_the_same_request_is_answered_the_same_and_leaves_what_failed_since() {
    let (cut, mut hand, run) = dead(json!({})).await;
    let (asked, ids) = (Asked { request: "r", content: "purge a" }, [run.run.run_id.clone()]);
    let answer = cut.lose("purge", async || cut.store.purge(0, asked, &ids).await).await;
    assert_eq!(answer, done(&run, LetterWord::Purged));
    cut.world.pass(3_600_000);
    hand.settle(0).await;
    let next = hand.fetch(9).await.remove(0);
    hand.finish(&next, EndedAs::Failed).await;
    assert_eq!(cut.store.purge(0, asked, &ids).await.unwrap(), answer);
    assert_eq!(cut.world.store.dead(0).await.unwrap().len(), 1);
    let other = Asked { request: "r", content: "purge b" };
    assert_eq!(cut.store.purge(0, other, &ids).await.unwrap(), LettersAnswer::OtherRequest);
}
