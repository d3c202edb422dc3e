//! Runs that come due, by queue and minute. What is evenly spaced alike is counted once for all.

use std::collections::HashMap;

use crate::domain::forecast::{COUNTED_MAX, MINUTE_MS, Stream, Times, Window};
use crate::domain::timestamp::Timestamp;

/// Counts by queue and minute, and the window that they are complete for: shorter where the steps would be too many.
pub(super) fn by_minute(
    streams: &[Stream],
    queues: usize,
    mut window: Window,
    shift: impl Fn(usize) -> i64,
) -> (Vec<Vec<u32>>, Window) {
    let mut alike: HashMap<(usize, i64, i64, u64), u32> = HashMap::new();
    let mut listed: Vec<(usize, &[i64], i64)> = Vec::new();
    let mut holes: Vec<(usize, i64)> = Vec::new();
    for (at, stream) in streams.iter().enumerate() {
        match &stream.times {
            Times::Every { first, period, count, holes: left_out } => {
                *alike.entry((stream.queue, first + shift(at), *period, *count)).or_default() += 1;
                holes.extend(left_out.iter().map(|hole| (stream.queue, hole + shift(at))));
            }
            Times::Listed(times) => listed.push((stream.queue, times, shift(at))),
        }
    }
    let minutes = window.minutes().unsigned_abs();
    let steps = |(_, _, _, count): &(usize, i64, i64, u64)| (*count).min(minutes);
    let all: u64 = alike.keys().map(steps).sum();
    if all > COUNTED_MAX {
        let part = i128::from(window.minutes()) * i128::from(COUNTED_MAX) / i128::from(all);
        let minutes = i64::try_from(part).unwrap_or(i64::MAX).max(1);
        window.to = window.to.min(Timestamp(window.first_minute().0 + minutes * MINUTE_MS));
    }
    let first_minute = window.first_minute().0;
    let mut runs = vec![vec![0_u32; usize::try_from(window.minutes()).unwrap_or(0)]; queues];
    let mut add = |queue: usize, due: i64, count: u32| {
        if due < window.from.0 || due >= window.to.0 {
            return;
        }
        let minute = usize::try_from((due - first_minute) / MINUTE_MS).unwrap_or(0);
        let cell = &mut runs[queue][minute];
        *cell = cell.saturating_add(count);
    };
    for ((queue, first, period, count), streams) in &alike {
        let times = Times::Every { first: *first, period: *period, count: *count, holes: Vec::new() };
        let mut number = times.number_from(window.from.0);
        while let Some(due) = times.nth(number).filter(|due| *due < window.to.0) {
            // All that come in the same minute at once.
            let next = times.number_from(((due.div_euclid(MINUTE_MS) + 1) * MINUTE_MS).min(window.to.0));
            let fires = u32::try_from(next - number).unwrap_or(u32::MAX);
            add(*queue, due, fires.saturating_mul(*streams));
            number = next;
        }
    }
    for (queue, times, shift) in listed {
        times.iter().for_each(|due| add(queue, due + shift, 1));
    }
    for (queue, due) in holes {
        if due >= window.from.0 && due < window.to.0 {
            let minute = usize::try_from((due - first_minute) / MINUTE_MS).unwrap_or(0);
            runs[queue][minute] = runs[queue][minute].saturating_sub(1);
        }
    }
    (runs, window)
}
