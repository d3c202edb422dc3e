//! Fire times that come one after the other: a stretch of them, what it cost Redis, how late each was, and whether all came once.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::bench::bed::Ground;
use crate::bench::figure::Sample;
use crate::domain::timestamp::Timestamp;
use crate::error::Result;

/// What is due by the end of a measurement may come so much later: what is late is not lost.
const LATE: Duration = Duration::from_millis(300);
/// Until the nodes have found their pace.
const SETTLING_MS: i64 = 2_000;
/// The two `INFO` of a reading are the bench's own.
const OWN: u64 = 2;

/// Whole seconds of fire times: in each every entry has one.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// The first fire time that counts, ms.
    pub from: i64,
    /// The first that counts no more, ms.
    pub to: i64,
    /// Commands a second that a fleet sent.
    pub commands: f64,
    /// Calls of scripts a second.
    pub script_calls: f64,
    /// Redis CPU, s a second.
    pub cpu: f64,
}

impl Stretch {
    /// Fires of so many entries.
    pub fn fires(&self, entries: usize) -> usize {
        entries * usize::try_from((self.to - self.from) / 1_000).unwrap_or(0)
    }

    /// Whether a fire time lies in it.
    pub fn has(&self, fire_at: i64) -> bool {
        (self.from..self.to).contains(&fire_at)
    }
}

impl Ground {
    /// Waits until the nodes have found their pace after the first fire time, and then for so long; returns when what was due
    /// has been fired, though late.
    pub async fn stretch(&self, first: Timestamp, seconds: u64) -> Result<Stretch> {
        let store = &self.store;
        let from = Timestamp(whole_second(store.now(0).await?.0.max(first.0) + SETTLING_MS));
        self.wait_for(from).await?;
        let before = store.spent().await?;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let after = store.spent().await?;
        // The answer of `INFO` has its place among the claims; the time beside it has not.
        let to = store.now(0).await?;
        tokio::time::sleep(LATE).await;
        let seconds = (to.0 - from.0) as f64 / 1_000.0;
        Ok(Stretch {
            from: from.0,
            to: to.0 / 1_000 * 1_000,
            commands: (after.commands - before.commands).saturating_sub(OWN) as f64 / seconds,
            script_calls: (after.script_calls - before.script_calls) as f64 / seconds,
            cpu: (after.cpu_s - before.cpu_s) / seconds,
        })
    }
}

/// The next whole second, or this instant where it is one.
fn whole_second(ms: i64) -> i64 {
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
