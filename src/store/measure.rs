//! What Redis itself can do, and what it spent: for the bench.

use fred::types::Value;

use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::reply::text;

/// What a server has spent since it started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    /// Processor time of its main thread or of all, s.
    pub cpu_s: f64,
    /// Commands processed.
    pub commands: u64,
}

/// Pairs in one pipeline of the native limit.
const PIPELINE: usize = 100;

impl Store {
    /// Asks what the server has spent.
    pub async fn spent(&self) -> Result<Spent> {
        let cpu = text(self.inner.client.command("INFO", vec!["cpu".into()]).await?)?;
        let stats = text(self.inner.client.command("INFO", vec!["stats".into()]).await?)?;
        let field = |info: &str, name: &str| {
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse::<f64>().ok())
        };
        let main = field(&cpu, "used_cpu_user_main_thread").zip(field(&cpu, "used_cpu_sys_main_thread"));
        let all = field(&cpu, "used_cpu_user").zip(field(&cpu, "used_cpu_sys"));
        let (user, system) = main.or(all).unwrap_or_default();
        Ok(Spent { cpu_s: user + system, commands: field(&stats, "total_commands_processed").unwrap_or(0.0) as u64 })
    }

    /// Memory that the server holds for data and for itself, B: `used_memory`.
    ///
    /// # Errors
    ///
    /// Internal where the server does not say.
    pub async fn memory(&self) -> Result<u64> {
        let info = text(self.inner.client.command("INFO", vec!["memory".into()]).await?)?;
        info.lines()
            .find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok())
            .ok_or_else(|| Error::internal("INFO memory names no used_memory"))
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
