//! bench: what the race costs, beside what Redis itself can do, measured in one run.
//!
//! It wants a namespace of its own on a Redis that nothing else uses, and leaves its keys there.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::domain::definition::{DEFINITION_VERSION, Definition};
use crate::domain::entry::Entry;
use crate::domain::id::EntryId;
use crate::domain::node::Serves;
use crate::domain::plan::{LIST_TIMES, Registered};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::service::Service;
use crate::store::{Change, ChangeCall, ClaimCall, ClaimReply, PutAnswer, Spent, Verb};

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
    /// Redis CPU to write one entry, us.
    pub redis_us_per_entry_written: f64,
    /// Whether the ratio is at least a half.
    pub verdict: &'static str,
}

const BATCH: usize = 250;

impl Service {
    /// Writes `entries` entries that are due at one instant, lets it come, and claims them all.
    pub async fn bench_claim(&self, load: Load, entries: usize) -> Result<ClaimRow> {
        let store = self.store();
        let native_from = store.spent().await?;
        store.native_pairs(entries).await?;
        let native = store.spent().await?.cpu_s - native_from.cpu_s;
        let ahead_ms = 5_000 + i64::try_from(entries / 10).unwrap_or(0);
        let instant = Timestamp((store.now(0).await?.0 + ahead_ms) / 1_000 * 1_000);
        let writing = store.spent().await?;
        for shard in store.shards() {
            self.write_all(shard, load, entries, instant).await?;
            store.refresh_lists(shard).await?;
        }
        let written = store.spent().await?;
        while store.now(0).await?.0 < instant.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let from = store.spent().await?;
        let started = Instant::now();
        let mut fires = 0;
        for shard in store.shards() {
            fires += self.claim_all(shard).await?;
        }
        let wall = started.elapsed().as_secs_f64();
        let spent = store.spent().await?;
        Ok(row(load, entries, fires, wall, &[from, spent], native, written.cpu_s - writing.cpu_s))
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
                    v: DEFINITION_VERSION,
                    birth,
                    revision: 1,
                    at: instant,
                    created: instant,
                    actor: "bench".to_owned(),
                    reason: None,
                    owner: "bench".to_owned(),
                    paused: None,
                    entry: entry.fields().clone(),
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

    async fn claim_all(&self, shard: u16) -> Result<usize> {
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

fn row(load: Load, entries: usize, fires: usize, wall: f64, spent: &[Spent; 2], native: f64, writing: f64) -> ClaimRow {
    let us_per = |cpu: f64, count: usize| (cpu * 1e8 / count.max(1) as f64).round() / 100.0;
    let ours = us_per(spent[1].cpu_s - spent[0].cpu_s, fires);
    let native = us_per(native, entries);
    let ratio = (native / ours * 100.0).round() / 100.0;
    ClaimRow {
        load: if load == Load::List { "list action" } else { "queue, mixed" },
        entries,
        fires,
        fires_per_s: (fires as f64 / wall).round(),
        redis_us_per_fire: ours,
        native_us_per_pair: native,
        ratio,
        redis_us_per_entry_written: us_per(writing, entries),
        verdict: if ratio >= 0.5 { "ok" } else { "short" },
    }
}
