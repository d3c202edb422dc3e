//! Checks of the shards' clock, and of the sums that must agree.

use crate::domain::span::Span;
use crate::domain::wall::rough;
use crate::service::Service;
use crate::service::doctor::{Check, Picture};

/// Further behind its clock a shard fires nothing, ms.
const BEHIND_MS: i64 = 5_000;

impl Service {
    pub(super) fn check_clock(&self, picture: &Picture) -> Vec<Check> {
        let Some(worst) = picture.counts.iter().max_by_key(|counts| counts.behind_ms) else { return Vec::new() };
        let behind = rough(Span(worst.behind_ms.max(0).unsigned_abs()));
        let held = picture.counts.iter().find(|counts| counts.hold > counts.now);
        let clock = if worst.behind_ms > BEHIND_MS {
            Check::wrong("clock", format!("Redis' clock is {behind} behind what the shard has seen"))
                .message("nothing fires until it has caught up; was it ahead before?")
                .todo("upbeat doctor --accept-clock --dry-run")
                .todo("upbeat doctor --accept-clock")
        } else if worst.behind_ms > 0 {
            Check::note("clock", format!("Redis' clock stepped back by {behind}"))
                .message("the shard waits for it; nothing fires twice")
                .todo("upbeat doctor --accept-clock")
        } else if let Some(held) = held {
            let left = rough(Span((held.hold.0 - held.now.0).unsigned_abs()));
            Check::note("clock", format!("no lease ends for {left} more"))
                .message("no script had run for a while, so nobody could renew; it ends by itself")
                .todo("upbeat nodes")
        } else {
            Check::ok("clock", format!("{} by Redis", worst.now.to_rfc3339()))
        };
        vec![clock, balance(picture)]
    }
}

fn balance(picture: &Picture) -> Check {
    let off = picture.counts.iter().position(|counts| !counts.is_balanced());
    let (entries, live) = (picture.sum(|counts| counts.entries), picture.sum(|counts| counts.live));
    let Some(shard) = off else {
        return Check::ok("counts", format!("{entries} entries and {live} active runs, each in one place"));
    };
    let counts = &picture.counts[shard];
    let places = counts.due + counts.parked + counts.paused + counts.broken + counts.finished;
    let value = format!(
        "shard {shard}: {} entries in {places} places, {} active runs in {}",
        counts.entries, counts.live, counts.placed
    );
    let check = Check::wrong("counts", value);
    match picture.live_nodes() {
        0 => check.message("a key was evicted or deleted; a node rebuilds it from what is left").todo("upbeat node"),
        _ => check
            .message("a key was evicted or deleted; nodes rebuild it within a minute")
            .todo("upbeat events --type rebuilt"),
    }
}
