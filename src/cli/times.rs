//! Instants and durations as people read them; see [`crate::domain::wall`].

pub use crate::domain::wall::{Wall, rough, took};
