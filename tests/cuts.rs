//! Cut connections: a script ran, its reply never came. Nothing runs twice, nothing is lost, nothing is sent again unasked.

#![allow(clippy::unwrap_used)]

mod support;

#[path = "cuts/attempts.rs"]
mod attempts;
#[path = "cuts/calls.rs"]
mod calls;
#[path = "cuts/fleet.rs"]
mod fleet;
#[path = "cuts/node.rs"]
mod node;
#[path = "cuts/web.rs"]
mod web;
