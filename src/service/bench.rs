//! bench: what the race costs, beside what Redis itself can do, measured in one run.
//!
//! It wants a namespace of its own on a Redis that nothing else uses, and leaves its keys there.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::domain::definition::Definition;
use crate::domain::entry::Entry;
use crate::domain::id::EntryId;
use crate::domain::node::Serves;
use crate::domain::plan::{LIST_TIMES, Registered};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::service::Service;
use crate::store::{Change, ChangeCall, ClaimCall, ClaimReply, PutAnswer, Verb};

/// What a claim bench fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// A message into one list per run, delivered by the claim itself.
    List,
    /// Runs into a waiting list, mixed schedules and policies, overlap marks on.
    Queue,
}

/// One row of the result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClaimRow {
    /// What was fired.
    pub load: &'static str,
    /// Entries that were due at one instant.
    pub entries: usize,
    /// Fires.
    pub fires: usize,
    /// Fires a second, wall time.
    pub fires_per_s: f64,
    /// Redis CPU per fire, us.
    pub redis_us_per_fire: f64,
    /// Redis CPU per native `ZADD` + `XADD` in the same run, us.
    pub native_us_per_pair: f64,
    /// Native over ours: 1 is as fast as Redis itself.
    pub ratio: f64,
    /// The ratio of each round, in their order.
    pub ratios: Vec<f64>,
    /// Redis CPU to write one entry, us.
    pub redis_us_per_entry_written: f64,
    /// Whether the ratio is at least a half.
    pub verdict: &'static str,
    /// How long it took to write the entries, ms.
    pub writing_ms: u64,
}

impl ClaimRow {
    /// The round with the median ratio; it names the ratios of all. Other programs on the machine disturb single rounds.
    ///
    /// # Panics
    /// Without a round.
    pub fn median(mut rounds: Vec<ClaimRow>) -> ClaimRow {
        let ratios = rounds.iter().map(|row| row.ratio).collect();
        rounds.sort_by(|a, b| a.ratio.total_cmp(&b.ratio));
        let middle = (rounds.len() - 1) / 2;
        ClaimRow { ratios, ..rounds.swap_remove(middle) }
    }
}

/// Runs in a call.
pub(super) const BATCH: usize = 250;

impl Service {
    /// Writes `entries` entries that are due at one instant `ahead_ms` from now, lets it come, and claims them all. Half of the
    /// native limit is measured before, half after.
    ///
    /// # Errors
    /// Conflict where writing took longer than that.
    pub async fn bench_claim(&self, load: Load, entries: usize, ahead_ms: u64) -> Result<ClaimRow> {
        let store = self.store();
        let mut native = self.native(entries.div_ceil(2)).await?;
        let (spent_writing, writing) = self.write_due(load, entries, ahead_ms).await?;
        let from = store.spent().await?;
        let started = Instant::now();
        let mut fires = 0;
        for shard in store.shards() {
            fires += self.claim_all(shard).await?;
        }
        let wall = started.elapsed();
        let spent = store.spent().await?;
        native += self.native(entries / 2).await?;
        let us_per = |cpu_s: f64, count: usize| (cpu_s * 1e8 / count.max(1) as f64).round() / 100.0;
        let (ours, native) = (us_per(spent.cpu_s - from.cpu_s, fires), us_per(native, entries));
        let ratio = (native / ours * 100.0).round() / 100.0;
        Ok(ClaimRow {
            load: if load == Load::List { "list action" } else { "queue, mixed" },
            entries,
            fires,
            fires_per_s: (fires as f64 / wall.as_secs_f64()).round(),
            redis_us_per_fire: ours,
            native_us_per_pair: native,
            ratio,
            ratios: vec![ratio],
            redis_us_per_entry_written: us_per(spent_writing, entries),
            verdict: if ratio >= 0.5 { "ok" } else { "short" },
            writing_ms: u64::try_from(writing.as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// Writes entries that are due at one instant and lets it come. Returns what writing cost: Redis CPU in s, and the time.
    pub(super) async fn write_due(&self, load: Load, entries: usize, ahead_ms: u64) -> Result<(f64, Duration)> {
        let store = self.store();
        let ahead_ms = i64::try_from(ahead_ms).unwrap_or(i64::MAX / 2);
        let instant = Timestamp((store.now(0).await?.0 + ahead_ms) / 1_000 * 1_000);
        let (before, writing) = (store.spent().await?, Instant::now());
        for shard in store.shards() {
            self.write_all(shard, load, entries, instant).await?;
            store.refresh_lists(shard).await?;
        }
        let (written, writing) = (store.spent().await?, writing.elapsed());
        if store.now(0).await? >= instant {
            let said = format!("writing {entries} entries took {} s, longer than the bench waits", writing.as_secs());
            return Err(Error::Conflict(
                Problem::new("entries", said).hint("try with fewer, or when the machine has less to do"),
            ));
        }
        while store.now(0).await? < instant {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok((written.cpu_s - before.cpu_s, writing))
    }

    /// Redis CPU of that many native pairs, s.
    pub(super) async fn native(&self, pairs: usize) -> Result<f64> {
        let from = self.store().spent().await?;
        self.store().native_pairs(pairs).await?;
        Ok(self.store().spent().await?.cpu_s - from.cpu_s)
    }

    async fn write_all(&self, shard: u16, load: Load, entries: usize, instant: Timestamp) -> Result<()> {
        let store = self.store();
        let ids: Vec<EntryId> = (0..entries)
            .map(|number| EntryId::parse("entry", &format!("bench-{number:06}")))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .filter(|id| store.shard_of(id) == shard)
            .collect();
        let mut birth = store.reserve_births(shard, ids.len()).await?;
        for (page, ids) in ids.chunks(BATCH).enumerate() {
            let mut changes = Vec::with_capacity(ids.len());
            for (number, id) in ids.iter().enumerate() {
                let entry = Entry::parse(fields(load, number, instant))?;
                let definition = Definition {
                    birth,
                    revision: 1,
                    at: instant,
                    created: instant,
                    since: None,
                    actor: "bench".to_owned(),
                    reason: None,
                    owner: "bench".to_owned(),
                    paused: None,
                    from: None,
                    restored: None,
                    calendars: Default::default(),
                    entry: entry.shared_fields(),
                };
                let registered = Registered { namespace: store.namespace(), id, birth, revision: 1, entry: &entry };
                let compiled = registered.compile(Timestamp(instant.0 - 1), LIST_TIMES);
                birth += 1;
                let definition = definition.to_json();
                changes.push(Change {
                    id: id.clone(),
                    verb: Verb::Put,
                    birth: 0,
                    revision: 0,
                    definition,
                    compiled,
                    is_paused: false,
                    until: None,
                    from: None,
                    fields: Vec::new(),
                });
            }
            let request = format!("bench/{shard}/{page}");
            let call = ChangeCall { request: &request, content: "bench", changes: &changes, is_dry_run: false };
            if !matches!(store.put(shard, &call).await?, PutAnswer::Done(_)) {
                return Err(Error::internal("the bench could not write its entries; is the namespace empty?"));
            }
        }
        Ok(())
    }

    pub(super) async fn claim_all(&self, shard: u16) -> Result<usize> {
        let serves = Serves::default();
        let mut fires = 0;
        loop {
            let call = ClaimCall {
                incarnation: "0000000000000001",
                node: "bench",
                number: 0,
                lease_ms: 15_000,
                slots: 0,
                batch: BATCH,
                beat: String::new(),
                serves: &serves,
            };
            match self.store().claim(shard, &call).await? {
                ClaimReply::Claimed(claim) => {
                    fires += claim.claimed;
                    if !claim.is_full {
                        return Ok(fires);
                    }
                }
                other => return Err(Error::internal(format!("a claim of the bench was answered {other:?}"))),
            }
        }
    }
}

/// Definitions of about 95 bytes. The queue's are mixed: arithmetic and listed plans, overlap and catch-up of every kind.
fn fields(load: Load, number: usize, instant: Timestamp) -> Map<String, Value> {
    let start = instant.to_rfc3339();
    let fields = match (load, number % 4) {
        (Load::List, _) => json!({"every": "1h", "start": start, "list": {"key": "bench:out", "max_len": 10_000_000}}),
        (Load::Queue, 0) => json!({"every": "1h", "start": start, "exec": ["true"]}),
        (Load::Queue, 1) => {
            json!({"every": "30m", "start": start, "exec": ["true"], "overlap": "allow", "catch_up": "all"})
        }
        (Load::Queue, 2) => json!({"at": start, "exec": ["true"], "catch_up": "none"}),
        (Load::Queue, _) => {
            // Two seconds of the minute: no fixed period, so its plan is a list.
            let second = instant.0 / 1_000 % 60;
            json!({"cron": format!("{second},{} * * * * *", (second + 7) % 60), "start": start, "exec": ["true"]})
        }
    };
    match fields {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
