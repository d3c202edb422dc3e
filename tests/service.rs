//! What people ask for, against a real Redis: what it holds afterwards, and that no fire time is lost on the way.

#![allow(clippy::unwrap_used)]

mod support;

#[path = "service/ageing.rs"]
mod ageing;
#[path = "service/apply.rs"]
mod apply;
#[path = "service/audit_walk.rs"]
mod audit_walk;
#[path = "service/audits.rs"]
mod audits;
#[path = "service/backfills.rs"]
mod backfills;
#[path = "service/bed.rs"]
mod bed;
#[path = "service/calendars.rs"]
mod calendars;
#[path = "service/changes.rs"]
mod changes;
#[path = "service/doctor.rs"]
mod doctor;
#[path = "service/drawn.rs"]
mod drawn;
#[path = "service/events.rs"]
mod events;
#[path = "service/exports.rs"]
mod exports;
#[path = "service/forecast.rs"]
mod forecast;
#[path = "service/once.rs"]
mod once;
#[path = "service/overdue.rs"]
mod overdue;
#[path = "service/owed.rs"]
mod owed;
#[path = "service/pauses.rs"]
mod pauses;
#[path = "service/plans.rs"]
mod plans;
#[path = "service/prunes.rs"]
mod prunes;
#[path = "service/requests.rs"]
mod requests;
#[path = "service/rollback.rs"]
mod rollback;
#[path = "service/runs.rs"]
mod runs;
#[path = "service/skips.rs"]
mod skips;
#[path = "service/story.rs"]
mod story;
#[path = "service/stuck.rs"]
mod stuck;
#[path = "service/why.rs"]
mod why;
#[path = "service/why_not.rs"]
mod why_not;
