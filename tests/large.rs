//! Many entries at once: what is streamed, what Redis is held for, what memory it takes. `UPBEAT_LARGE=1000000` asks for that many.

#![allow(clippy::unwrap_used)]

mod support;

#[path = "large/apply.rs"]
mod apply;
