//! `upbeat bench`: what the race costs on this Redis, as a table or JSON.

use clap::{Args, Subcommand};

use super::App;
use super::fields::whole;
use super::hints;
use super::output::{self, Ended};
use crate::domain::id::Namespace;
use crate::error::Result;
use crate::service::{ClaimRow, Load, Service};

/// Entries in a bench, at most: its load is bounded.
const ENTRIES_MAX: u64 = 1_000_000;

/// What is measured.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    pub what: BenchWhat,
}

/// What is measured.
#[derive(Debug, Subcommand)]
pub enum BenchWhat {
    /// Claims of entries that are all due at one instant, beside the native limit of the same run
    Claim {
        /// Entries, at most 1,000,000
        #[arg(long, default_value_t = 100_000, value_parser = whole::<usize>(1, ENTRIES_MAX), allow_negative_numbers = true)]
        entries: usize,
    },
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Measures in namespaces of its own, `NAMESPACE-bench-list` and `NAMESPACE-bench-queue`, which must be unused.
pub async fn run(app: &App, args: BenchArgs) -> Ended {
    let entries = match args.what {
        BenchWhat::Claim { entries } => entries,
        BenchWhat::Other(words) => return Err(hints::not_yet(format!("bench {}", words.join(" "))).into()),
    };
    let mut rows = Vec::new();
    for (load, name) in [(Load::List, "list"), (Load::Queue, "queue")] {
        rows.push(measure(app, load, name, entries).await?);
    }
    app.printer.list(&rows, |row| row.load.to_owned(), || table(&rows));
    Ok(0)
}

async fn measure(app: &App, load: Load, name: &str, entries: usize) -> Result<ClaimRow> {
    let (connection, namespace) = super::connect::target(&app.common, app.printer)?;
    let namespace = Namespace::parse("namespace", &format!("{namespace}-bench-{name}"))?;
    let store = crate::store::Store::open(connection, namespace).await?;
    let row = Service::new(store.clone()).bench_claim(load, entries).await;
    store.quit().await;
    row
}

fn table(rows: &[ClaimRow]) -> String {
    let head = ["CLAIM", "ENTRIES", "FIRES", "FIRES/S", "REDIS US", "NATIVE US", "RATIO", "BUDGET", "VERDICT"];
    let rows = rows.iter().map(|row| {
        vec![
            row.load.to_owned(),
            row.entries.to_string(),
            row.fires.to_string(),
            row.fires_per_s.to_string(),
            format!("{:.2}", row.redis_us_per_fire),
            format!("{:.2}", row.native_us_per_pair),
            format!("{:.2}", row.ratio),
            ">= 0.50".to_owned(),
            row.verdict.to_owned(),
        ]
    });
    let what = "redis us: Redis CPU per fire; native us: pipelined ZADD + XADD, 100 pairs a pipeline, in the same run";
    format!("{}\n{what}", output::table(&head, rows))
}
