//! What Redis itself can do, what it spent and what it holds: for the bench.

use std::time::{Duration, Instant};

use fred::types::Value;

use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::keys::{self, Key};
use crate::store::reply::{Reply, number, text};

/// What a server has spent since it started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    /// Processor time of its main thread or of all, s.
    pub cpu_s: f64,
    /// Commands that clients sent, by `INFO commandstats`. Those inside scripts are counted there under the same names, so
    /// these are the ones that no script of upbeat uses; nodes send nothing else while nothing is executed.
    pub commands: u64,
    /// Those of them that call a script.
    pub script_calls: u64,
}

/// Commands that scripts never send, as `INFO commandstats` names them; a subcommand stands behind `|`.
const FROM_CLIENTS: &[&str] = &[
    "blpop",
    "brpop",
    "ping",
    "info",
    "hello",
    "auth",
    "select",
    "script",
    "client",
    "config",
    "subscribe",
    "unsubscribe",
    "psubscribe",
    "quit",
    "acl",
    "memory",
];

/// Commands that call a script; scripts don't call each other.
const CALL_SCRIPTS: &[&str] = &["evalsha", "evalsha_ro", "eval", "eval_ro"];

/// Pairs in one pipeline of the native limit.
const PIPELINE: usize = 100;

/// Messages read in one call.
const PAGE: usize = 5_000;

/// Readings of Redis' clock; the quickest counts.
const CLOCK_READINGS: u32 = 50;

/// What Redis' clock says, without asking it.
#[derive(Debug, Clone, Copy)]
pub struct RedisClock {
    at: Instant,
    us: i64,
}

impl RedisClock {
    /// Microseconds since 1970.
    pub fn now_us(&self) -> i64 {
        self.us + i64::try_from(self.at.elapsed().as_micros()).unwrap_or(i64::MAX / 2)
    }
}

/// A message that a claim wrote into a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// When Redis wrote it, ms.
    pub written_ms: i64,
    /// Its entry.
    pub entry_id: String,
    /// Its fire time, RFC 3339.
    pub fire_at: String,
}

impl Store {
    /// Asks what the server has spent.
    pub async fn spent(&self) -> Result<Spent> {
        let cpu = text(self.inner.client.command("INFO", vec!["cpu".into()]).await?)?;
        let stats = text(self.inner.client.command("INFO", vec!["commandstats".into()]).await?)?;
        let field = |info: &str, name: &str| {
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse::<f64>().ok())
        };
        let main = field(&cpu, "used_cpu_user_main_thread").zip(field(&cpu, "used_cpu_sys_main_thread"));
        let all = field(&cpu, "used_cpu_user").zip(field(&cpu, "used_cpu_sys"));
        let (user, system) = main.or(all).unwrap_or_default();
        let count = |names| stats.lines().filter_map(|line| calls(line, names)).sum::<u64>();
        let script_calls = count(CALL_SCRIPTS);
        Ok(Spent { cpu_s: user + system, commands: script_calls + count(FROM_CLIENTS), script_calls })
    }

    /// Bytes that the server holds for its data and itself (`used_memory`).
    pub async fn memory(&self) -> Result<u64> {
        let info = text(self.inner.client.command("INFO", vec!["memory".into()]).await?)?;
        let bytes = info.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok());
        bytes.ok_or_else(|| Error::internal("INFO memory names no used_memory"))
    }

    /// Bytes of the namespace's events, of all shards (`MEMORY USAGE`).
    pub async fn memory_of_events(&self) -> Result<u64> {
        let mut sum = 0;
        for shard in self.shards() {
            let key = self.key(shard, Key::Events);
            let args: Vec<Value> = vec!["USAGE".into(), key.into(), "SAMPLES".into(), 0.into()];
            let bytes = self.inner.client.command("MEMORY", args).await?;
            sum += if bytes.is_null() { 0 } else { number(bytes)?.max(0).cast_unsigned() };
        }
        Ok(sum)
    }

    /// The messages of a stream whose fields name an entry and a fire time, oldest first.
    pub async fn delivered(&self, stream: &str) -> Result<Vec<Delivered>> {
        let (mut all, mut from) = (Vec::new(), "-".to_owned());
        loop {
            let args: Vec<Value> =
                vec![stream.into(), from.as_str().into(), "+".into(), "COUNT".into(), (PAGE as i64).into()];
            let page = self.inner.client.command("XRANGE", args).await?.into_array();
            let count = page.len();
            for message in page {
                let mut message = Reply::list(message)?;
                let id = message.text()?;
                let fields = message.texts()?;
                let written_ms = id.split('-').next().and_then(|ms| ms.parse().ok()).unwrap_or(0);
                let [entry_id, fire_at] = ["entry_id", "fire_at"].map(|name| field(&fields, name).unwrap_or_default());
                all.push(Delivered { written_ms, entry_id, fire_at });
                from = format!("({id}");
            }
            if count < PAGE {
                return Ok(all);
            }
        }
    }

    /// Whether there is such a key.
    pub async fn exists(&self, key: &str) -> Result<bool> {
        Ok(number(self.inner.client.command("EXISTS", vec![key.into()]).await?)? > 0)
    }

    /// How long a list is.
    pub async fn length(&self, list: &str) -> Result<usize> {
        let length = number(self.inner.client.command("LLEN", vec![list.into()]).await?)?;
        Ok(usize::try_from(length).unwrap_or(0))
    }

    /// The entry that a claim wrote into a stream last.
    pub async fn last_delivered(&self, stream: &str) -> Result<Option<String>> {
        let args: Vec<Value> = vec![stream.into(), "+".into(), "-".into(), "COUNT".into(), 1.into()];
        let Some(message) = self.inner.client.command("XREVRANGE", args).await?.into_array().pop() else {
            return Ok(None);
        };
        let mut message = Reply::list(message)?;
        message.text()?;
        Ok(field(&message.texts()?, "entry_id"))
    }

    /// Redis' clock, for as long as the machine's own clock runs evenly.
    pub async fn clock(&self) -> Result<RedisClock> {
        let mut best: Option<(Duration, RedisClock)> = None;
        for _ in 0..CLOCK_READINGS {
            let asked = Instant::now();
            let mut time = Reply::list(self.inner.client.command("TIME", Vec::new()).await?)?;
            let took = asked.elapsed();
            let part = |text: String| text.parse::<i64>().map_err(|why| Error::internal(format!("TIME: {why}")));
            let us = part(time.text()?)? * 1_000_000 + part(time.text()?)?;
            if best.is_none_or(|(least, _)| took < least) {
                // It was read about half way.
                best = Some((took, RedisClock { at: asked + took / 2, us }));
            }
        }
        best.map(|(_, clock)| clock).ok_or_else(|| Error::internal("Redis' clock was not read"))
    }

    /// How long a PING takes.
    pub async fn ping(&self) -> Result<Duration> {
        let sent = Instant::now();
        self.inner.client.command("PING", Vec::new()).await?;
        Ok(sent.elapsed())
    }

    /// Removes every key of this namespace and `others`, in pages.
    pub async fn remove_namespace(&self, others: &[String]) -> Result<()> {
        for pattern in keys::patterns(self.namespace()) {
            let mut cursor = "0".to_owned();
            loop {
                let args = vec![cursor.into(), "MATCH".into(), pattern.as_str().into(), "COUNT".into(), 1_000.into()];
                let mut reply = Reply::list(self.inner.client.command("SCAN", args).await?)?;
                cursor = reply.text()?;
                self.unlink(reply.texts()?).await?;
                if cursor == "0" {
                    break;
                }
            }
        }
        self.unlink(others.to_vec()).await
    }

    async fn unlink(&self, keys: Vec<String>) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        self.inner.client.command("UNLINK", keys.into_iter().map(Value::from).collect()).await.map(drop)
    }

    /// The native limit: pipelined `ZADD` + `XADD` without any script, under keys of their own that are removed.
    pub async fn native_pairs(&self, pairs: usize) -> Result<()> {
        let zset = format!("upbeat:{{{}}}:bench:zset", self.namespace());
        let stream = format!("upbeat:{{{}}}:bench:stream", self.namespace());
        for first in (0..pairs).step_by(PIPELINE) {
            let pipeline: Vec<(&'static str, Vec<Value>)> = (first..(first + PIPELINE).min(pairs))
                .flat_map(|number| {
                    let id = format!("entry-{number}");
                    let add =
                        vec![zset.as_str().into(), (1_000_000_000_000 + number as i64).into(), id.as_str().into()];
                    let append = vec![
                        stream.as_str().into(),
                        "*".into(),
                        "id".into(),
                        id.as_str().into(),
                        "run".into(),
                        RUN.into(),
                    ];
                    [("ZADD", add), ("XADD", append)]
                })
                .collect();
            self.inner.client.pipeline(pipeline).await?;
        }
        self.inner.client.command("UNLINK", vec![zset.into(), stream.into()]).await.map(drop)
    }
}

/// As long as a run id.
const RUN: &str = "01a1f95e-4010-8b8b-bdf5-cd3b89a798e6";

/// A field of a stream's message.
fn field(fields: &[String], name: &str) -> Option<String> {
    fields.chunks(2).find(|pair| pair[0] == name).and_then(|pair| pair.get(1)).cloned()
}

/// Calls in a line of `INFO commandstats`, where its command is one of these.
fn calls(line: &str, names: &[&str]) -> Option<u64> {
    let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
    let name = name.split('|').next().unwrap_or(name);
    names.contains(&name).then(|| rest.split(',').next()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_send_is_counted_and_what_scripts_send_is_not() {
        assert_eq!(calls("cmdstat_evalsha:calls=7,usec=1,usec_per_call=0.14", CALL_SCRIPTS), Some(7));
        assert_eq!(calls("cmdstat_evalsha:calls=7,usec=1,usec_per_call=0.14", FROM_CLIENTS), None, "counted once");
        assert_eq!(calls("cmdstat_script|load:calls=3,usec=1", FROM_CLIENTS), Some(3));
        assert_eq!(calls("cmdstat_hset:calls=3,usec=1", FROM_CLIENTS), None);
        assert_eq!(calls("# Commandstats", FROM_CLIENTS), None);
    }
}
