//! The laws broken on purpose: the same verdict that is clean elsewhere must notice. What can't fail proves nothing.

use crate::bed::{Bed, DEADLINE, Race, in_parallel, patiently, too_slow, wait_until};
use crate::frozen::take_over;
use crate::support::node::{NodeOptions, node};
use crate::support::proxy::{Fate, Proxy};
use crate::support::wait::wait_for;
use crate::verdict::{Deaths, Verdict};

const SEED: u64 = 4_711;

fn broken(law: &str) -> impl Fn(NodeOptions) -> NodeOptions {
    move |node| node.env("UPBEAT_SABOTAGE", law)
}

fn maybe_broken(law: Option<&str>, node: NodeOptions) -> NodeOptions {
    match law {
        Some(law) => broken(law)(node),
        None => node,
    }
}

fn intact(node: NodeOptions) -> NodeOptions {
    node
}

/// A fleet that keeps all laws ends all runs; what another has lost is waited for no longer than something changes.
fn wait_end(bed: &Bed, race: &Race, law: Option<&str>) {
    match law {
        Some(_) => bed.ended_or_stuck(race),
        None => assert!(bed.ended(race, DEADLINE), "{:#?}", bed.verdict(race, Deaths::None)),
    }
}

/// More is due at once than the claimers can start themselves: the queue must hold the rest.
fn verdict_of_narrow_nodes(law: Option<&str>) -> Verdict {
    let bed = Bed::new();
    let narrow = |name| maybe_broken(law, bed.steady(name).args(&["--concurrency", "1"])).start_live(&bed.user);
    let _nodes = ["a", "b"].map(narrow);
    let race = bed.race(6, 3, &bed.command("true"), "overlap = \"allow\"\ncatch_up = \"all\"");
    wait_end(&bed, &race, law);
    bed.verdict(&race, Deaths::None)
}

#[test]
fn a_claim_that_advances_without_enqueueing_is_noticed() {
    let (clean, verdict) = in_parallel(
        || patiently(|| verdict_of_narrow_nodes(None)),
        || patiently(|| verdict_of_narrow_nodes(Some("advance-without-enqueue"))),
    );
    clean.assert_clean();
    assert!(!verdict.missing.is_empty(), "{verdict:#?}");
}

#[test]
fn a_finish_without_fencing_is_noticed() {
    // The frozen node's command has failed meanwhile: without fencing that is the outcome, beside a run that goes on.
    let frozen = take_over(Some(1), broken("no-fencing"));
    frozen.bed.wait_ended("job");
    assert!(!frozen.is_outcome_of_second(), "{:#}", frozen.run());
    assert_eq!(frozen.refusals(), 0);

    let frozen = take_over(Some(1), intact);
    frozen.end();
    assert!(frozen.is_outcome_of_second(), "{:#}", frozen.run());
}

#[test]
fn a_node_that_believes_its_own_clock_is_noticed() {
    // Without sabotage the same fleet is judged in `clocks`.
    let bed = Bed::new();
    let race = bed.race_in(60_000, 3, 3, &bed.command("true"), "overlap = \"allow\"\ncatch_up = \"all\"");
    let _hasty = broken("node-clock")(bed.steady("hasty").with_clock("+3600s")).start();
    wait_for("a run before its fire time", DEADLINE, || !bed.verdict(&race, Deaths::None).early.is_empty());
}

/// A network that loses replies of claims, fetches and finishes all the while.
fn verdict_behind_cuts(law: Option<&str>) -> Verdict {
    let bed = Bed::new();
    let proxies = [Proxy::before(&bed.server), Proxy::before(&bed.server)];
    let start = |(at, proxy): (usize, &Proxy)| {
        maybe_broken(law, node(["a", "b"][at], proxy.url()).args(&["--concurrency", "4"])).start_live(&bed.user)
    };
    let _nodes: Vec<_> = proxies.iter().enumerate().map(start).collect();
    let race = bed.race(12, 5, &bed.command("sleep 0.1"), "overlap = \"allow\"\ncatch_up = \"all\"");
    let mut chance = fastrand::Rng::with_seed(SEED);
    let mut at = race.window.start_ms - 200;
    while at < race.window.end_ms() {
        wait_until(at);
        let script = ["claim", "work", "work"][chance.usize(0..3)];
        proxies[chance.usize(0..2)].meet(script, chance.usize(1..4), Fate::CutReply);
        at += chance.i64(100..400);
    }
    proxies.iter().for_each(Proxy::pardon);
    let cuts: usize = proxies.iter().map(|proxy| proxy.hits("claim") + proxy.hits("work")).sum();
    if cuts < 6 {
        too_slow(&format!("only {cuts} replies were lost"));
    }
    wait_end(&bed, &race, law);
    bed.verdict(&race, Deaths::None)
}

#[test]
fn calls_that_are_replayed_without_their_number_are_noticed() {
    let (clean, verdict) =
        in_parallel(|| patiently(|| verdict_behind_cuts(None)), || patiently(|| verdict_behind_cuts(Some("replays"))));
    clean.assert_clean();
    assert!(!verdict.missing.is_empty() || !verdict.repeated.is_empty(), "{verdict:#?}");
}

#[test]
fn an_entry_that_no_claim_can_settle_is_named_and_stops_no_other() {
    patiently(|| {
        let bed = Bed::new();
        let _nodes = ["a", "b"].map(|name| broken("poison")(bed.steady(name)).start_live(&bed.user));
        // Not the usual case, which is settled where the switch does not reach.
        let race = bed.race(4, 4, &bed.command("true"), "overlap = \"buffer_all\"\ncatch_up = \"all\"");
        bed.user.ok(&["add", "poison", "--every", "1s", "--max-fires", "100", "--", "true"]);
        assert!(bed.ended_beside(&race, "poison", DEADLINE), "{:#?}", bed.verdict(&race, Deaths::None));
        bed.verdict(&race, Deaths::None).assert_clean();
        wait_for("it is set aside", DEADLINE, || bed.user.json(&["ls", "poison"])[0]["status"] == "broken");
    });
}
