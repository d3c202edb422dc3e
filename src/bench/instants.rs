//! What a fleet made of fire times that came one after the other: how late each was, and whether all came once.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::bench::bed::Ground;
use crate::bench::figure::Sample;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;

/// What is due by the end of a measurement may come so much later: what is late is not lost.
pub const LATE: Duration = Duration::from_millis(300);

/// The next whole second, or this instant where it is one: in whole seconds every entry has its fire times.
pub fn whole_second(ms: i64) -> i64 {
    (ms + 999) / 1_000 * 1_000
}

/// Fires that a claim delivered, by Redis' own clock.
pub struct Fires(Vec<Fire>);

/// One of them, ms.
struct Fire {
    entry_id: String,
    fire_at: i64,
    written: i64,
}

impl Fires {
    /// What stands in the stream of a bench.
    pub async fn of(ground: &Ground) -> Result<Self> {
        let delivered = ground.store.delivered(&ground.target()).await?;
        let fires = delivered.into_iter().map(|one| {
            let fire_at = Timestamp::parse("fire_at", &one.fire_at, None)?.0;
            Ok(Fire { entry_id: one.entry_id, fire_at, written: one.written_ms })
        });
        Ok(Self(fires.collect::<Result<_>>()?))
    }

    /// How late those were whose fire time lies between two instants, ms; the clock has whole ms.
    pub fn lags(&self, from: i64, to: i64) -> Sample {
        let within = self.0.iter().filter(|fire| (from..to).contains(&fire.fire_at));
        Sample::of(within.map(|fire| (fire.written - fire.fire_at) as f64).collect())
    }

    /// How many fires between two instants are missing, and how many are there more than once. Every entry fires once a second.
    pub fn lost_and_doubled(&self, entries: usize, from: i64, to: i64) -> (usize, usize) {
        let mut seen: BTreeMap<(&str, i64), usize> = BTreeMap::new();
        for fire in self.0.iter().filter(|fire| (from..to).contains(&fire.fire_at)) {
            *seen.entry((&fire.entry_id, fire.fire_at)).or_default() += 1;
        }
        let expected = entries * usize::try_from((to - from) / 1_000).unwrap_or(0);
        let doubled = seen.values().filter(|count| **count > 1).count();
        (expected.saturating_sub(seen.len()), doubled)
    }
}
