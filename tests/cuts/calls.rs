//! Each kind of script once: the reply is cut, the caller asks again.

use serde_json::{Value, json};
use upbeat::domain::record::requested_run_id;
use upbeat::domain::run::{Reason, State};
use upbeat::domain::timestamp::Timestamp;
use upbeat::error::{Error, Result};
use upbeat::store::{
    Asked, Backfill, BackfillAnswer, BackfillCall, CancelAnswer, ChangeCall, ChangeWord, ClaimReply, EndedAs,
    FinishWord, Made, Output, Planned, PutAnswer, Rescued, SkipAnswer, SkipCall, Started, Store, TriggerAnswer,
    TriggerCall,
};

use crate::support::entries::{addition, id, open};
use crate::support::hand::{Hand, World, ended};
use crate::support::proxy::{Fate, Proxy};
use crate::support::wait::{DEADLINE, until};

pub struct Cut {
    pub world: World,
    proxy: Proxy,
    /// Reaches Redis through the proxy.
    pub store: Store,
}

fn entry() -> Value {
    json!({"every": "10s", "shell": "true", "overlap": "allow"})
}

impl Cut {
    pub async fn with(entries: &[(&str, Value)]) -> Self {
        let world = World::with(entries).await;
        let proxy = Proxy::before(&world.redis);
        let store = open(&proxy.url(), 1).await;
        Self { world, proxy, store }
    }

    pub fn hand(&self) -> Hand {
        Hand::new(&self.store, 'a')
    }

    /// Calls, loses the reply, and calls again. The script must have been sent once for each of the two.
    pub async fn lose<T: std::fmt::Debug>(&self, script: &str, mut call: impl AsyncFnMut() -> Result<T>) -> T {
        self.meet(script, Fate::CutReply, &mut call).await
    }

    async fn meet<T: std::fmt::Debug>(&self, script: &str, fate: Fate, call: &mut impl AsyncFnMut() -> Result<T>) -> T {
        self.proxy.meet(script, 1, fate);
        let before = self.proxy.seen(script);
        let lost = call().await;
        assert!(matches!(lost, Err(Error::Unavailable(_))), "{lost:?}");
        until("connected again", DEADLINE, async || self.store.entry(&id("any")).await.is_ok()).await;
        assert_eq!(self.proxy.hits(script), 1);
        assert_eq!(self.proxy.seen(script), before + 1, "nothing is sent again unasked");
        let answer = call().await.unwrap();
        assert_eq!(self.proxy.seen(script), before + 2);
        self.world.assert_conserved();
        answer
    }
}

#[tokio::test]
async fn runs_that_a_claim_started_are_named_when_its_number_is_repeated() {
    let cut = Cut::with(&[("a", entry()), ("b", entry()), ("c", entry())]).await;
    cut.world.pass(10_000);
    let hand = cut.hand();
    let answer = cut.lose("claim", async || hand.claim_number(0, 2, 1).await).await;
    let ClaimReply::Repeated { started, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(started.len(), 2);
    assert_eq!(cut.world.on("HLEN", "live", &[]), "3", "two of three are started, one waits");
    assert_eq!(cut.world.on("LLEN", "queue:default:shell", &[]), "1");
}

#[tokio::test]
async fn a_claim_that_never_arrived_is_carried_out_when_repeated() {
    let cut = Cut::with(&[("a", entry())]).await;
    cut.world.pass(10_000);
    let hand = cut.hand();
    let answer = cut.meet("claim", Fate::CutRequest, &mut async || hand.claim_number(0, 2, 1).await).await;
    let ClaimReply::Claimed(claim) = answer else { panic!("{answer:?}") };
    assert_eq!((claim.claimed, claim.started.len()), (1, 1));
}

#[tokio::test]
async fn a_claim_that_only_queued_finds_nothing_more_when_repeated() {
    let cut = Cut::with(&[("a", entry()), ("b", json!({"every": "10s", "list": "out"}))]).await;
    cut.world.pass(10_000);
    let hand = cut.hand();
    let answer = cut.lose("claim", async || hand.claim_number(0, 0, 0).await).await;
    let ClaimReply::Claimed(claim) = answer else { panic!("{answer:?}") };
    assert_eq!((claim.claimed, claim.waiting), (0, vec!["default:shell".to_owned()]));
    assert_eq!(cut.world.redis.cli(&["LLEN", "out"]), "1", "delivered once");
    assert_eq!(cut.world.on("LLEN", "queue:default:shell", &[]), "1");
}

#[tokio::test]
async fn a_fetch_whose_reply_was_lost_gives_the_same_runs_again() {
    let cut = Cut::with(&[("a", entry()), ("b", entry())]).await;
    cut.world.pass(10_000);
    let mut hand = cut.hand();
    hand.settle(0).await;
    let reply = cut.lose("work", async || hand.work_number(0, 1, &[], 1).await).await.unwrap();
    assert_eq!((reply.fetched.len(), reply.fetched[0].run.attempt), (1, 1));
    assert_eq!(cut.world.on("LLEN", "queue:default:shell", &[]), "1", "one, not two, was taken");
}

#[tokio::test]
async fn a_finish_whose_reply_was_lost_counts_once_and_is_answered_finished() {
    let cut = Cut::with(&[("a", entry())]).await;
    cut.world.pass(10_000);
    let mut hand = cut.hand();
    hand.settle(0).await;
    let run = hand.fetch(1).await.remove(0);
    let ends = [ended(&run, EndedAs::Succeeded)];
    let reply = cut.lose("work", async || hand.work_number(0, 0, &ends, 2).await).await.unwrap();
    assert_eq!(reply.words, [FinishWord::Finished]);
    assert_eq!(cut.world.tally("a").await.into_iter().collect::<Vec<_>>(), [((State::Succeeded, None), 1)]);
    assert!(cut.world.events("refused").await.is_empty());
}

#[tokio::test]
async fn a_hand_back_whose_reply_was_lost_puts_the_run_into_its_list_once() {
    let cut = Cut::with(&[("a", entry())]).await;
    cut.world.pass(10_000);
    let mut hand = cut.hand();
    hand.settle(0).await;
    let run = hand.fetch(1).await.remove(0);
    let ends = [ended(&run, EndedAs::HandedBack)];
    let reply = cut.lose("work", async || hand.work_number(0, 0, &ends, 2).await).await.unwrap();
    assert_eq!(reply.words, [FinishWord::Requeued]);
    assert_eq!(cut.world.on("LLEN", "queue:default:shell", &[]), "1");
}

#[tokio::test]
async fn a_put_of_the_same_request_is_answered_the_same() {
    let cut = Cut::with(&[]).await;
    let now = cut.store.now(0).await.unwrap();
    let birth = cut.store.reserve_births(0, 1).await.unwrap();
    let changes = [addition(&cut.store, "a", entry(), birth, now)];
    let call = ChangeCall { request: "r", content: "add a", changes: &changes, is_dry_run: false };
    let answer = cut.lose("put", async || cut.store.put(0, &call).await).await;
    let PutAnswer::Done(changed) = &answer else { panic!("{answer:?}") };
    assert_eq!((changed[0].word, changed[0].revision), (ChangeWord::Added, 1));
    assert!(changed[0].next_after.is_some());
    assert_eq!(cut.store.put_before(0, "r", "add a").await.unwrap(), Some(answer));
    assert_eq!(cut.store.put_before(0, "r", "add b").await.unwrap(), Some(PutAnswer::OtherRequest));
}

#[tokio::test]
async fn a_trigger_of_the_same_request_makes_one_run() {
    let cut = Cut::with(&[("a", entry())]).await;
    let target = id("a");
    let fire_at = cut.store.now(0).await.unwrap();
    let run_id = requested_run_id(cut.store.namespace(), &target, "r", fire_at);
    let asked = Asked { request: "r", content: "trigger a" };
    let call = TriggerCall {
        asked,
        id: &target,
        birth: 1,
        run_id: &run_id,
        fire_at,
        overlap: None,
        extras: "",
        message: &[],
        unique: None,
    };
    let answer = cut.lose("trigger", async || cut.store.trigger(0, &call).await).await;
    assert_eq!(answer, TriggerAnswer::Made { run_id: run_id.clone(), fire_at, made: Made::Queued });
    assert_eq!(cut.world.on("HKEYS", "live", &[]), run_id);
    assert_eq!(cut.store.triggered(0, asked).await.unwrap(), Some(answer));
}

#[tokio::test]
async fn a_skip_of_the_same_request_is_answered_the_same() {
    let cut = Cut::with(&[("a", entry())]).await;
    let target = id("a");
    let next = cut.store.entry(&target).await.unwrap().unwrap().next_fire_at();
    let asked = Asked { request: "r", content: "skip a" };
    let (is_undo, words) = (false, "ana");
    let times = [next.unwrap()];
    let call = SkipCall {
        asked,
        id: &target,
        birth: 1,
        revision: 1,
        is_undo,
        words,
        next_before: next,
        next_after: None,
        times: &times,
    };
    let answer = cut.lose("skip", async || cut.store.skip(0, &call).await).await;
    assert!(matches!(answer, SkipAnswer::Done { is_changed: true, .. }), "{answer:?}");
    assert_eq!(cut.store.skipped(0, asked).await.unwrap(), Some(answer));
    assert_eq!(cut.store.entry(&target).await.unwrap().unwrap().skips.len(), 1);
}

#[tokio::test]
async fn a_backfill_of_the_same_request_waits_once() {
    let cut = Cut::with(&[("a", entry())]).await;
    let target = id("a");
    cut.world.pass(400_000);
    cut.hand().settle(0).await;
    let ledger = cut.store.ledger(0, &target).await.unwrap();
    let asked = Asked { request: "r", content: "backfill a" };
    let run_id = requested_run_id(cut.store.namespace(), &target, "r", Timestamp(1_000));
    let times = [Backfill { fire_at: Timestamp(1_000), run_id }];
    let (old, new, answer) = (&ledger[..30], &ledger[..30], "{}");
    let call = BackfillCall { asked, id: &target, birth: 1, old, new, times: &times, extras: "{}", answer };
    let answer = cut.lose("backfill", async || cut.store.backfill(0, &call).await).await;
    assert_eq!(answer, BackfillAnswer::Done("{}".to_owned()));
    assert_eq!(cut.store.backfilled(0, asked).await.unwrap(), Some(answer));
    assert_eq!(cut.store.entry(&target).await.unwrap().unwrap().backfill, times);
    let changed = [&ledger[..29], &[ledger[29] ^ 1]].concat();
    let asked = Asked { request: "s", content: "backfill a" };
    let other = BackfillCall { asked, old: &changed, ..call.clone() };
    assert_eq!(cut.store.backfill(0, &other).await.unwrap(), BackfillAnswer::Changed);
}

#[tokio::test]
async fn a_cancel_of_the_same_request_is_answered_the_same() {
    let cut = Cut::with(&[("a", entry())]).await;
    cut.world.pass(10_000);
    cut.hand().settle(0).await;
    let run_id = cut.world.on("HKEYS", "live", &[]);
    let asked = Asked { request: "r", content: "cancel" };
    let answer = cut.lose("cancel", async || cut.store.cancel(0, asked, &run_id, "ana").await).await;
    assert_eq!(answer, CancelAnswer::Cancelled);
    assert_eq!(cut.world.tally("a").await[&(State::Cancelled, Some(Reason::ByUser))], 1);
}

#[tokio::test]
async fn a_renewal_may_be_repeated() {
    let cut = Cut::with(&[("a", entry())]).await;
    cut.world.pass(10_000);
    let mut hand = cut.hand();
    hand.settle(0).await;
    let run = hand.fetch(1).await.remove(0);
    let renewed = cut.lose("renew", async || cut.store.renew(0, &hand.incarnation, 15_000).await).await;
    assert_eq!(renewed.held, [run.run.run_id]);
}

#[tokio::test]
async fn a_take_over_that_is_repeated_counts_one_loss() {
    let cut = Cut::with(&[("a", entry())]).await;
    cut.world.pass(10_000);
    let mut hand = cut.hand();
    hand.settle(0).await;
    hand.fetch(1).await;
    let mut watch = Hand::new(&cut.world.store, 'w');
    for _ in 0..16 {
        cut.world.pass(1_000);
        watch.claim(0, 0).await;
    }
    let again = cut.lose("rescue", async || cut.store.rescue(0, &hand.incarnation, "lost").await).await;
    assert_eq!(again, Rescued::Alive, "nothing is left to take over");
    let runs = watch.fetch(9).await;
    let taken: Vec<_> = runs.iter().filter(|run| run.run.attempt > 1).collect();
    assert_eq!((taken.len(), taken[0].run.attempt, taken[0].run.lost), (1, 2, 1));
}

#[tokio::test]
async fn a_plan_that_is_written_again_changes_nothing() {
    let cut = Cut::with(&[("m", json!({"cron": ["* * * * 1-4", "* * * * 5-7"], "shell": "true"}))]).await;
    cut.world.pass(3_600_000);
    let mut hand = cut.hand();
    let claim = hand.claim(0, 0).await;
    assert_eq!(claim.to_plan, ["m"]);
    let target = id("m");
    cut.proxy.cut_reply_of("replan");
    assert!(cut.store.plan(&target, claim.now).await.is_err());
    until("connected again", DEADLINE, async || cut.store.entry(&target).await.is_ok()).await;
    assert_eq!(cut.store.plan(&target, claim.now).await.unwrap(), Planned::Unchanged);
    hand.settle(0).await;
    hand.work_off(0).await;
    let tally = cut.world.tally("m").await;
    assert!((59..=61).contains(&tally.values().sum::<u64>()), "{tally:?}");
    cut.world.assert_conserved();
}

#[tokio::test]
async fn a_node_may_leave_twice() {
    let cut = Cut::with(&[("a", entry())]).await;
    let mut hand = cut.hand();
    hand.claim(0, 1).await;
    assert!(cut.lose("leave", async || cut.store.leave(0, &hand.incarnation).await).await);
    assert_eq!(cut.world.on("EXISTS", "lanes", &[]), "0");
}

#[tokio::test]
async fn output_that_is_kept_twice_counts_once() {
    let cut = Cut::with(&[("a", entry())]).await;
    let run_id = "01a1f95e-4010-8b8b-bdf5-cd3b89a798e6";
    let output = Output { written: 12, tail: b"twelve bytes".to_vec() };
    cut.lose("keep_output", async || cut.store.keep_output(0, run_id, 1, &output).await).await;
    assert_eq!(cut.store.output(0, run_id, 1).await.unwrap(), Some(output));
    assert_eq!(cut.world.on("HGET", "clock", &["output_bytes"]), "175", "12, their number, and 160");
    assert_eq!(cut.world.on("LLEN", "output_order", &[]), "1");
}

#[tokio::test]
async fn a_reply_that_never_comes_ends_in_an_error_and_the_connection_is_given_up() {
    let cut = Cut::with(&[("a", entry())]).await;
    cut.world.pass(10_000);
    let hand = cut.hand();
    cut.proxy.meet("claim", 1, Fate::SwallowReply);
    let lost = hand.claim_number(0, 1, 1).await.unwrap_err();
    assert!(matches!(lost, Error::Unavailable(_)) && lost.to_string().contains("no answer"), "{lost}");
    assert_eq!(cut.proxy.seen("claim"), 1);
    let mut answer = None;
    until("answered at last", DEADLINE, async || {
        answer = hand.claim_number(0, 1, 1).await.ok();
        answer.is_some()
    })
    .await;
    let Some(ClaimReply::Repeated { started, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(started.len(), 1);
    cut.world.assert_conserved();
}

/// A run of `a` that is executed, and one that waits for it.
async fn one_waits(overlap: &str) -> (Cut, Hand, Started) {
    let cut = Cut::with(&[("a", json!({"every": "10s", "shell": "true", "overlap": overlap}))]).await;
    let mut hand = cut.hand();
    cut.world.pass(10_000);
    hand.settle(0).await;
    let run = hand.fetch(1).await.remove(0);
    cut.world.pass(10_000);
    let mut other = Hand::new(&cut.store, 'b');
    let before = cut.store.entry(&id("a")).await.unwrap().unwrap().cursor();
    // The claim that lets it wait, and cancels the other, loses its reply as well.
    cut.lose("claim", async || other.claim_number(0, 1, 1).await).await;
    other.claims = 1;
    assert!(cut.store.entry(&id("a")).await.unwrap().unwrap().cursor() > before);
    assert_eq!(in_state(&cut, State::Waiting).await, 1);
    (cut, hand, run)
}

async fn in_state(cut: &Cut, state: State) -> usize {
    let (live, _) = cut.world.store.live_runs(0, None).await.unwrap();
    live.iter().filter(|run| run.state == state).count()
}

#[tokio::test]
async fn an_end_that_is_told_again_moves_the_next_run_in_once() {
    for (overlap, how) in [("buffer_one", EndedAs::Succeeded), ("cancel_other", EndedAs::Cancelled)] {
        let (cut, hand, run) = one_waits(overlap).await;
        let ends = [ended(&run, how)];
        let number = hand.works + 1;
        let reply = cut.lose("work", async || hand.work_number(0, 0, &ends, number).await).await;
        assert_eq!(reply.unwrap().words, [FinishWord::Finished]);
        assert_eq!((in_state(&cut, State::Waiting).await, in_state(&cut, State::Queued).await), (0, 1), "{overlap}");
        assert_eq!(cut.world.on("LLEN", "queue:default:shell", &[]), "1");
    }
}

#[tokio::test]
async fn a_fetch_that_is_repeated_gives_out_the_run_that_the_end_moved_in() {
    let (cut, hand, run) = one_waits("buffer_one").await;
    let ends = [ended(&run, EndedAs::Succeeded)];
    let number = hand.works + 1;
    let reply = cut.lose("work", async || hand.work_number(0, 3, &ends, number).await).await.unwrap();
    assert_eq!(reply.fetched.len(), 1);
    assert_eq!(in_state(&cut, State::Running).await, 1);
}

#[tokio::test]
async fn requests_that_move_or_cancel_runs_do_it_once() {
    let (cut, _, run) = one_waits("cancel_other").await;
    let (target, fire_at) = (id("a"), run.run.fire_at);
    let run_id = &requested_run_id(cut.store.namespace(), &target, "t", fire_at);
    let asked = Asked { request: "t", content: "" };
    let call = TriggerCall {
        asked,
        id: &target,
        birth: 1,
        run_id,
        fire_at,
        overlap: None,
        extras: "",
        message: &[],
        unique: None,
    };
    let answer = cut.lose("trigger", async || cut.store.trigger(0, &call).await).await;
    assert!(matches!(answer, TriggerAnswer::Made { made: Made::Queued, .. }), "{answer:?}");
    assert_eq!(in_state(&cut, State::Waiting).await, 1, "it took the place of the one that waited");
    assert_eq!(cut.world.tally("a").await, [((State::Cancelled, Some(Reason::CancelOther)), 1)].into());
    let asked = Asked { request: "c", content: "" };
    let answer = cut.lose("cancel", async || cut.store.cancel(0, asked, run_id, "ana").await).await;
    assert_eq!(answer, CancelAnswer::Cancelled);
    assert_eq!((in_state(&cut, State::Waiting).await, in_state(&cut, State::Running).await), (0, 1));
}
