//! The steps of the race, one by one, against a real Redis: what a claim makes of due times, whatever state it finds.

#![allow(clippy::unwrap_used)]

mod support;

#[path = "store/additions.rs"]
mod additions;
#[path = "store/beginning.rs"]
mod beginning;
#[path = "store/calm.rs"]
mod calm;
#[path = "store/celery.rs"]
mod celery;
#[path = "store/changes.rs"]
mod changes;
#[path = "store/damage.rs"]
mod damage;
#[path = "store/direct.rs"]
mod direct;
#[path = "store/drain.rs"]
mod drain;
#[path = "store/halves.rs"]
mod halves;
#[path = "store/halves_of_attempts.rs"]
mod halves_of_attempts;
#[path = "store/index.rs"]
mod index;
#[path = "store/late.rs"]
mod late;
#[path = "store/life.rs"]
mod life;
#[path = "store/life_model.rs"]
mod life_model;
#[path = "store/life_steps.rs"]
mod life_steps;
#[path = "store/limits.rs"]
mod limits;
#[path = "store/lists.rs"]
mod lists;
#[path = "store/look_ins.rs"]
mod look_ins;
#[path = "store/memory.rs"]
mod memory;
#[path = "store/model.rs"]
mod model;
#[path = "store/one_run.rs"]
mod one_run;
#[path = "store/others.rs"]
mod others;
#[path = "store/outputs.rs"]
mod outputs;
#[path = "store/overlap.rs"]
mod overlap;
#[path = "store/plans.rs"]
mod plans;
#[path = "store/queue_limits.rs"]
mod queue_limits;
#[path = "store/reopened.rs"]
mod reopened;
#[path = "store/spread.rs"]
mod spread;
#[path = "store/states.rs"]
mod states;
#[path = "store/waits.rs"]
mod waits;
