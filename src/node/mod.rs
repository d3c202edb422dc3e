//! What a node does by itself.

pub mod action;
