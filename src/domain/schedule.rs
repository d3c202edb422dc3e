//! The *when* of an entry: cron, every, at, with zone, start and end.
