//! A fleet that may not run what an entry asks for: each command says so, and what mends it.

use crate::bed::{Bed, DEADLINE};
use crate::support::cli::Outcome;

/// The words that name the cause and the command that mends it.
#[track_caller]
fn names_the_way_out(outcome: &Outcome) {
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.code, Some(0), "{said}");
    assert!(said.contains("no live node may run exec"), "the cause: {said}");
    assert!(said.contains("--allow exec"), "the way out: {said}");
}

#[test]
fn a_run_that_nobody_may_execute_waits_and_is_named_with_the_way_out() {
    let bed = Bed::new();
    let _narrow = bed.steady("narrow").allow("http").start_live(&bed.user);
    names_the_way_out(&bed.user.run(&["add", "job", "--every", "1h", "--", "echo", "hello"]));
    names_the_way_out(&bed.user.run(&["trigger", "job"]));
    names_the_way_out(&bed.user.run(&["ls"]));
    names_the_way_out(&bed.user.run(&["runs"]));
    let run = bed.latest("job");
    assert_eq!((&run["state"], &run["reason"]), (&"queued".into(), &"no_node".into()), "{run:#}");

    let _able = bed.steady("able").allow("exec").start_live(&bed.user);
    let run = bed.wait_state("job", "succeeded", DEADLINE);
    assert_eq!((&run["node"], &run["attempt"]), (&"able".into(), &1.into()), "{run:#}");
    assert!(bed.user.ok(&["logs", "job"]).contains("hello"));
    let listed = bed.user.run(&["ls"]);
    assert!(!listed.stderr.contains("no live node"), "{}", listed.stderr);
}
