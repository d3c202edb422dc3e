//! `upbeat bench`: what the race costs on this Redis, as a table or JSON.

use clap::{Args, Subcommand};

use super::App;
use super::fields::whole;
use super::hints;
use super::output::{self, Ended};
use crate::domain::id::Namespace;
use crate::error::Result;
use crate::service::{ClaimRow, LifeRow, Load, Service};

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
        /// Rounds, 1 to 9; the one with the median ratio is shown
        #[arg(long, default_value_t = 3, value_parser = whole::<usize>(1, 9), allow_negative_numbers = true)]
        rounds: usize,
    },
    /// Whole lives of runs, claim, fetch and finish, with history and ledger on and an action that takes no time
    Life {
        /// Runs, at most 1,000,000
        #[arg(long, default_value_t = 100_000, value_parser = whole::<usize>(1, ENTRIES_MAX), allow_negative_numbers = true)]
        runs: usize,
        /// Rounds, 1 to 9; the one with the median cost is shown
        #[arg(long, default_value_t = 3, value_parser = whole::<usize>(1, 9), allow_negative_numbers = true)]
        rounds: usize,
    },
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Measures in namespaces of its own, `NAMESPACE-bench-list-1`, `NAMESPACE-bench-life-1` and so on, which must be unused.
pub async fn run(app: &App, args: BenchArgs) -> Ended {
    let (entries, rounds) = match args.what {
        BenchWhat::Claim { entries, rounds } => (entries, rounds),
        BenchWhat::Life { runs, rounds } => return life(app, runs, rounds).await,
        BenchWhat::Other(words) => return Err(hints::subcommand("bench", &words).into()),
    };
    let mut rows = Vec::new();
    for (load, name) in [(Load::List, "list"), (Load::Queue, "queue")] {
        let mut measured: Vec<ClaimRow> = Vec::new();
        for round in 1..=rounds {
            // The first round has shown how long the writing takes here.
            let ahead_ms = measured.last().map_or(5_000 + entries as u64 / 10, |row| 2_000 + row.writing_ms * 3 / 2);
            measured.push(measure(app, load, &format!("{name}-{round}"), entries, ahead_ms).await?);
        }
        rows.push(ClaimRow::median(measured));
    }
    app.printer.list(&rows, |row| row.load.to_owned(), || table(&rows));
    Ok(0)
}

async fn measure(app: &App, load: Load, name: &str, entries: usize, ahead_ms: u64) -> Result<ClaimRow> {
    let service = service(app, name).await?;
    let row = service.bench_claim(load, entries, ahead_ms).await;
    service.store().quit().await;
    row
}

/// The service over a namespace of the bench's own.
async fn service(app: &App, name: &str) -> Result<Service> {
    let (connection, namespace) = super::connect::target(&app.common, app.printer)?;
    let namespace = Namespace::parse("namespace", &format!("{namespace}-bench-{name}"))?;
    let address = connection.address.clone();
    let plain = |why| super::connect::in_plain_words(why, &address, "--redis URL, or UPBEAT_REDIS");
    Ok(Service::new(crate::store::Store::open(connection, namespace).await.map_err(plain)?))
}

async fn life(app: &App, runs: usize, rounds: usize) -> Ended {
    let mut measured: Vec<LifeRow> = Vec::new();
    let mut ahead_ms = 5_000 + runs as u64 / 10;
    for round in 1..=rounds {
        let service = service(app, &format!("life-{round}")).await?;
        let row = service.bench_life(runs, ahead_ms).await;
        service.store().quit().await;
        let (row, writing_ms) = row?;
        ahead_ms = 2_000 + writing_ms * 3 / 2;
        measured.push(row);
    }
    let rows = [LifeRow::median(measured)];
    app.printer.list(&rows, |_| "life".to_owned(), || life_table(&rows));
    Ok(0)
}

fn life_table(rows: &[LifeRow]) -> String {
    let head = [
        "LIFE",
        "RUNS",
        "RUNS/S",
        "CLAIM US",
        "WORK US",
        "REDIS US",
        "NATIVE US",
        "NATIVES",
        "ROUNDS",
        "BUDGET",
        "VERDICT",
    ];
    let rows = rows.iter().map(|row| {
        vec![
            "queue, mixed".to_owned(),
            row.runs.to_string(),
            row.runs_per_s.to_string(),
            format!("{:.2}", row.claim_us),
            format!("{:.2}", row.work_us),
            format!("{:.2}", row.redis_us_per_run),
            format!("{:.2}", row.native_us_per_pair),
            format!("{:.2}", row.natives),
            row.rounds.iter().map(|us| format!("{us:.2}")).collect::<Vec<_>>().join(" "),
            format!("<= {:.1}", row.budget_us),
            row.verdict.to_owned(),
        ]
    });
    let what = "redis us: Redis CPU per run, claim into the waiting list, then fetch and finish in batches of 250 with history, \
                ledger, overlap marks and a lease; natives: the same in pipelined ZADD + XADD of the same run; the budget is 10 us where \
                such a pair takes 2.1 us, and grows with it; the round with the median cost of all rounds";
    format!("{}\n{what}", output::table(&head, rows))
}

fn table(rows: &[ClaimRow]) -> String {
    let head =
        ["CLAIM", "ENTRIES", "FIRES", "FIRES/S", "REDIS US", "NATIVE US", "RATIO", "ROUNDS", "BUDGET", "VERDICT"];
    let rows = rows.iter().map(|row| {
        vec![
            row.load.to_owned(),
            row.entries.to_string(),
            row.fires.to_string(),
            row.fires_per_s.to_string(),
            format!("{:.2}", row.redis_us_per_fire),
            format!("{:.2}", row.native_us_per_pair),
            format!("{:.2}", row.ratio),
            row.ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(" "),
            ">= 0.50".to_owned(),
            row.verdict.to_owned(),
        ]
    });
    let what = "redis us: Redis CPU per fire; native us: pipelined ZADD + XADD, 100 pairs a pipeline, half of them before \
                and half after the claims of the same round; the round with the median ratio of all rounds";
    format!("{}\n{what}", output::table(&head, rows))
}
