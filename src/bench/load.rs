//! Entries for a bench: many that are due at one instant, or instants that come one after the other.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::bench::bed::Ground;
use crate::domain::definition::Definition;
use crate::domain::entry::Entry;
use crate::domain::id::EntryId;
use crate::domain::plan::{LIST_TIMES, Registered};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::store::{AddAnswer, Change, ChangeCall, PutAnswer, Store, Verb};

/// Entries in a call.
pub const BATCH: usize = 250;
/// Entries that show how long writing takes here.
const PROBE: usize = 500;

/// What fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// A message into one list per run, delivered by the claim itself.
    List,
    /// A message into one stream per run, delivered by the claim itself; Redis stamps it with its own time.
    Stream,
    /// Runs into a waiting list, mixed schedules and policies, overlap marks on.
    Queue,
    /// Runs into a waiting list, one schedule and no overlap marks.
    Plain,
    /// Commands at a fixed distance: an arithmetic plan.
    Interval,
    /// Commands by a calendar: a plan of listed times.
    Listed,
}

/// How entries come due.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// All at this instant, then by their schedules, half an hour later at the earliest.
    At(Timestamp),
    /// Each once a second, one after the other, so many a second in all; the first at this instant.
    InTurn(Timestamp, usize),
}

impl Ground {
    /// Writes entries that are due at one instant and lets it come. Returns what writing cost: Redis CPU in s.
    ///
    /// # Errors
    ///
    /// Conflict where writing took longer than it was given.
    pub async fn write_due(&self, load: Load, entries: usize) -> Result<f64> {
        let before = self.store.spent().await?;
        let instant = self.write_for_soon(load, entries).await?;
        let written = self.store.spent().await?;
        self.wait_for(instant).await?;
        Ok(written.cpu_s - before.cpu_s)
    }

    /// Writes entries that are due at one instant that is to come, and says when.
    ///
    /// # Errors
    ///
    /// Conflict where writing took longer than it was given.
    pub async fn write_for_soon(&self, load: Load, entries: usize) -> Result<Timestamp> {
        let instant = self.instant_after(entries, load).await?;
        self.write(load, entries, When::At(instant)).await?;
        if self.store.now(0).await? < instant {
            return Ok(instant);
        }
        let said = format!("writing {entries} entries took longer than the bench waits");
        let problem = Problem::new("entries", said).hint("try with fewer, or when the machine has less to do");
        Err(Error::Conflict(problem))
    }

    /// Waits until the shard's time has come there.
    pub async fn wait_for(&self, instant: Timestamp) -> Result<()> {
        loop {
            let left = instant.0 - self.store.now(0).await?.0;
            if left <= 0 {
                return Ok(());
            }
            // In one go where it is far: what is asked here counts as somebody's command.
            let nap = if left > 100 { left - 50 } else { left.min(10) };
            tokio::time::sleep(Duration::from_millis(nap.unsigned_abs())).await;
        }
    }

    /// A whole second by which so many entries are surely written, as a few in advance show.
    async fn instant_after(&self, entries: usize, load: Load) -> Result<Timestamp> {
        let began = Instant::now();
        let far = Timestamp(self.store.now(0).await?.0 + 86_400_000);
        self.write_named("probe", load, PROBE.min(entries), When::At(far)).await?;
        let each_us = began.elapsed().as_micros() as u64 / PROBE.min(entries) as u64;
        // Twice and a half as long as the probe says, for others use the machine too.
        let ahead_ms = 1_500 + entries as u64 * each_us * 5 / 2 / 1_000;
        let now = self.store.now(0).await?;
        Ok(Timestamp((now.0 + ahead_ms as i64) / 1_000 * 1_000))
    }

    /// Writes entries.
    pub async fn write(&self, load: Load, entries: usize, when: When) -> Result<()> {
        self.write_named("bench", load, entries, when).await
    }

    async fn write_named(&self, prefix: &str, load: Load, entries: usize, when: When) -> Result<()> {
        for shard in self.store.shards() {
            let ids: Vec<(usize, EntryId)> = (0..entries)
                .map(|number| Ok((number, EntryId::parse("entry", &format!("{prefix}-{number:06}"))?)))
                .collect::<Result<Vec<_>>>()?
                .into_iter()
                .filter(|(_, id)| self.store.shard_of(id) == shard)
                .collect();
            let mut birth = self.store.reserve_births(shard, ids.len()).await?;
            for (page, ids) in ids.chunks(BATCH).enumerate() {
                let first = when.first();
                let changes = ids
                    .iter()
                    .map(|(number, id)| {
                        birth += 1;
                        change(&self.store, id, birth - 1, first, fields(load, *number, when, &self.target()))
                    })
                    .collect::<Result<Vec<_>>>()?;
                let request = format!("{prefix}/{shard}/{page}");
                let call = ChangeCall { request: &request, content: "bench", changes: &changes, is_dry_run: false };
                // As `apply` writes what is new.
                let now = self.store.now(shard).await?;
                let is_added = matches!(self.store.add(shard, &call, now).await?, AddAnswer::Done(_));
                if !is_added && !matches!(self.store.put(shard, &call).await?, PutAnswer::Done(_)) {
                    return Err(Error::internal("the bench could not write its entries"));
                }
            }
            self.store.refresh_lists(shard).await?;
        }
        Ok(())
    }
}

impl When {
    /// Nothing is due before it.
    fn first(self) -> Timestamp {
        match self {
            Self::At(instant) | Self::InTurn(instant, _) => instant,
        }
    }
}

/// A new entry, planned from `first` on.
fn change(store: &Store, id: &EntryId, birth: u64, first: Timestamp, fields: Map<String, Value>) -> Result<Change> {
    let entry = Entry::parse(fields)?;
    let definition = Definition {
        birth,
        revision: 1,
        at: first,
        created: first,
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
    Ok(Change {
        id: id.clone(),
        verb: Verb::Put,
        birth: 0,
        revision: 0,
        definition: definition.to_json(),
        compiled: registered.compile(Timestamp(first.0 - 1), LIST_TIMES),
        is_paused: false,
        until: None,
        from: None,
        fields: Vec::new(),
    })
}

/// With a second word of the command that makes the definition 95 bytes long.
fn long_enough(mut fields: Value) -> Value {
    const BYTES: usize = 95;
    // A comma and two quotes come with the word.
    let missing = BYTES.saturating_sub(fields.to_string().len() + 3);
    if let Some(argv) = fields["exec"].as_array_mut() {
        argv.push("x".repeat(missing).into());
    }
    fields
}

/// Definitions of about 95 bytes. The mixed queue's have arithmetic and listed plans, overlap and catch-up of every kind.
fn fields(load: Load, number: usize, when: When, target: &str) -> Map<String, Value> {
    let (start, every) = match when {
        When::At(instant) => (instant, "1h"),
        When::InTurn(first, a_second) => {
            (Timestamp(first.0 + (number % a_second * 1_000 / a_second.max(1)) as i64), "1s")
        }
    };
    let text = start.to_rfc3339();
    let fields = match (load, number % 4) {
        (Load::List, _) => json!({"every": every, "start": text, "list": {"key": target, "max_len": 10_000_000}}),
        (Load::Stream, _) => json!({"every": every, "start": text, "stream": {"key": target, "max_len": 10_000_000}}),
        (Load::Plain, _) => {
            json!({"every": every, "start": text, "exec": ["true"], "overlap": "allow", "keep_runs": 500})
        }
        (Load::Interval, _) => long_enough(json!({"every": every, "start": text, "exec": ["run"]})),
        (Load::Listed, _) => {
            let cron = format!("{} {} * * mon-fri", number % 60, number % 24);
            long_enough(json!({"cron": cron, "tz": "Europe/Berlin", "exec": ["run"]}))
        }
        (Load::Queue, 0) => json!({"every": every, "start": text, "exec": ["true"]}),
        (Load::Queue, 1) => {
            json!({"every": "30m", "start": text, "exec": ["true"], "overlap": "allow", "catch_up": "all"})
        }
        (Load::Queue, 2) => json!({"at": text, "exec": ["true"], "catch_up": "none"}),
        (Load::Queue, _) => {
            // Two seconds of the minute: no fixed period, so its plan is a list.
            let second = start.0 / 1_000 % 60;
            json!({"cron": format!("{second},{} * * * * *", (second + 7) % 60), "start": text, "exec": ["true"]})
        }
    };
    match fields {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
