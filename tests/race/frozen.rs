//! A node that is frozen past its lease while it executes, and thawed after another has taken over.

use serde_json::Value;

use crate::bed::{Bed, DEADLINE, is_gone};
use crate::support::node::{NodeOptions, NodeProcess};
use crate::support::wait::wait_for;

/// What became of a run whose first node was frozen.
pub struct Frozen {
    pub bed: Bed,
    /// The process group of the first attempt.
    pub group: i32,
    pub first: NodeProcess,
    pub second: NodeProcess,
}

/// Freezes a node while it executes, lets another take the run over as attempt 2, and thaws it. The command of the first attempt
/// ends with `exit` while its node is frozen, or never; the second goes on until the file `go` is there.
pub fn take_over(exit: Option<i32>, with: impl Fn(NodeOptions) -> NodeOptions) -> Frozen {
    let bed = Bed::new();
    let first_node = with(bed.node("first")).start_live(&bed.user);
    let dir = bed.user.dir().display().to_string();
    let until = |file: &str| format!("until [ -e {dir}/{file} ]; do sleep 0.05; done");
    let first = exit.map_or("exec sleep 1000".to_owned(), |code| format!("{}; exit {code}", until("frozen")));
    let second = until("go");
    let script = format!("if [ $UPBEAT_ATTEMPT = 1 ]; then echo $$ > {dir}/pid; {first}; else {second}; fi");
    bed.user.ok(&["add", "job", "--every", "1h", "--exec", &bed.command(&script)]);
    bed.user.ok(&["trigger", "job"]);
    let group = bed.pid_in("pid");
    first_node.sigstop();
    bed.user.file("frozen", "");
    let second_node = with(bed.node("second")).start_live(&bed.user);
    wait_for("the run is taken over", DEADLINE, || bed.lines().len() == 2);
    if exit.is_some() {
        wait_for("the first command has ended", DEADLINE, || is_gone(group));
    }
    let frozen = Frozen { bed, group, first: first_node, second: second_node };
    let run = frozen.run();
    assert_eq!((&run["state"], &run["attempt"], &run["lost"]), (&"running".into(), &2.into(), &1.into()), "{run:#}");
    frozen.first.sigcont();
    frozen
}

impl Frozen {
    pub fn run(&self) -> Value {
        self.bed.latest("job")
    }

    /// Ends the second attempt and waits for the run's end.
    pub fn end(&self) -> Value {
        self.bed.user.file("go", "");
        self.bed.wait_ended("job")
    }

    /// The node to which the outcome is due, and its attempt.
    pub fn is_outcome_of_second(&self) -> bool {
        let run = self.run();
        run["state"] == "succeeded" && run["node"] == "second" && run["attempt"] == 2
    }

    pub fn refusals(&self) -> usize {
        self.first.log().matches("result refused").count()
    }
}

#[test]
fn a_frozen_node_cannot_finish_after_a_take_over() {
    // The command ends well while its node is frozen: the node wakes up with a result in hand.
    let frozen = take_over(Some(0), |node| node);
    wait_for("its result is refused", DEADLINE, || frozen.refusals() > 0);
    assert_eq!(frozen.run()["state"], "running", "the refused result is not the outcome");
    frozen.end();
    assert!(frozen.is_outcome_of_second(), "{:#}", frozen.run());
    let attempts: Vec<u64> = frozen.bed.lines().iter().map(|line| line.attempt).collect();
    assert_eq!(attempts, [1, 2]);
}

#[test]
fn a_frozen_node_kills_the_command_that_it_lost() {
    let mut frozen = take_over(None, |node| node);
    wait_for("the lost command is gone", DEADLINE, || is_gone(frozen.group));
    wait_for("its end is refused", DEADLINE, || frozen.refusals() > 0);
    assert!(frozen.first.log().contains("the lease is lost"), "{}", frozen.first.log());
    frozen.end();
    assert!(frozen.is_outcome_of_second(), "{:#}", frozen.run());
    assert_eq!(frozen.first.status(), None, "it goes on as a node like any other");
    assert_eq!(frozen.second.status(), None);
}
