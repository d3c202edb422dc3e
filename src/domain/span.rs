//! Durations as users write them: whole numbers with `ms s m h d w`, combined as in `1h30m`; a day is 24 h.

/// A length of time in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub u64);
