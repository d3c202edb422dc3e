//! `upbeat bench`: what upbeat costs on this Redis and how quickly it answers, as a table or JSON.

use clap::{Args, Subcommand};

use super::App;
use super::fields::whole;
use super::hints;
use super::output::{self, Cell, Ended};
use super::waiting::{INTERRUPTED, unless_interrupted};
use crate::bench::{
    ApplyBench, Bed, Budget, BurstBench, ClaimBench, ContentionBench, FailoverBench, Figure, IdleBench, LagBench,
    LifeBench, MemoryBench,
};
use crate::error::Result;

/// Entries in a bench, at most: its load is bounded.
const ENTRIES_MAX: u64 = 1_000_000;
/// Nodes, at most.
const NODES_MAX: u64 = 256;
/// Instants a second, at most.
const RATE_MAX: u64 = 10_000;
/// An hour, s: nothing is measured for longer.
const SECONDS_MAX: u64 = 3_600;

/// What is measured.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Everything in less than two minutes: fewer entries, nodes, rounds and kills
    #[arg(long, global = true)]
    pub quick: bool,
    /// What is measured; all of it where nothing is named
    #[command(subcommand)]
    pub what: Option<BenchWhat>,
}

/// What is measured; what is not said is as large as README's figures, or small with `--quick`.
#[derive(Debug, Subcommand)]
pub enum BenchWhat {
    /// All of them, one after the other
    All,
    /// Redis CPU to claim what is due at one instant, beside Redis' own speed in the same run
    Claim {
        /// Entries, at most 1,000,000
        #[arg(long, value_parser = whole::<usize>(1, ENTRIES_MAX), allow_negative_numbers = true)]
        entries: Option<usize>,
        /// Rounds, 1 to 9; medians are told
        #[arg(long, value_parser = whole::<usize>(1, 9), allow_negative_numbers = true)]
        rounds: Option<usize>,
    },
    /// Redis CPU of whole lives of runs, and how many a second one node gets through
    Life {
        /// Runs, at most 1,000,000
        #[arg(long, value_parser = whole::<usize>(1, ENTRIES_MAX), allow_negative_numbers = true)]
        runs: Option<usize>,
        /// Rounds, 1 to 9; medians are told
        #[arg(long, value_parser = whole::<usize>(1, 9), allow_negative_numbers = true)]
        rounds: Option<usize>,
    },
    /// From the fire time to the moment at which the work begins
    Lag {
        /// Fires a second, at most 10,000
        #[arg(long, value_parser = whole::<usize>(1, RATE_MAX), allow_negative_numbers = true)]
        rate: Option<usize>,
        /// Nodes, at most 256
        #[arg(long, value_parser = whole::<usize>(1, NODES_MAX), allow_negative_numbers = true)]
        nodes: Option<usize>,
        /// For so long
        #[arg(long, value_parser = whole::<u64>(1, SECONDS_MAX), allow_negative_numbers = true)]
        seconds: Option<u64>,
    },
    /// What nodes cost that wait, and one instant after a long sleep
    Idle {
        /// Nodes that sleep together, at most 256
        #[arg(long, value_parser = whole::<usize>(1, NODES_MAX), allow_negative_numbers = true)]
        nodes: Option<usize>,
        /// They sleep for so long, up to an hour
        #[arg(long, value_parser = whole::<u64>(2, SECONDS_MAX), allow_negative_numbers = true)]
        seconds: Option<u64>,
    },
    /// Commands a second and lag of few and of many nodes that race for the same instants
    Contention {
        /// Numbers of nodes, at most 256 each
        #[arg(long, value_parser = whole::<usize>(1, NODES_MAX), allow_negative_numbers = true, value_delimiter = ',')]
        nodes: Vec<usize>,
        /// Instants a second, at most 10,000 each
        #[arg(long, value_parser = whole::<usize>(1, RATE_MAX), allow_negative_numbers = true, value_delimiter = ',')]
        rate: Vec<usize>,
        /// For so long each
        #[arg(long, value_parser = whole::<u64>(1, SECONDS_MAX), allow_negative_numbers = true)]
        seconds: Option<u64>,
    },
    /// Very many due at once, many nodes, and the PING of another client of this Redis
    Burst {
        /// Entries, at most 1,000,000
        #[arg(long, value_parser = whole::<usize>(1, ENTRIES_MAX), allow_negative_numbers = true)]
        entries: Option<usize>,
        /// Node processes, at most 64
        #[arg(long, value_parser = whole::<usize>(1, 64), allow_negative_numbers = true)]
        nodes: Option<usize>,
    },
    /// Bytes of an entry in Redis, of a node beside many, and how quickly a node starts
    Memory {
        /// Entries, at most 1,000,000
        #[arg(long, value_parser = whole::<usize>(1, ENTRIES_MAX), allow_negative_numbers = true)]
        entries: Option<usize>,
    },
    /// The node that won last is killed with SIGKILL, again and again
    Failover {
        /// Kills, at most 1,000
        #[arg(long, value_parser = whole::<usize>(1, 1_000), allow_negative_numbers = true)]
        kills: Option<usize>,
        /// Node processes, 2 to 64
        #[arg(long, value_parser = whole::<usize>(2, 64), allow_negative_numbers = true)]
        nodes: Option<usize>,
        /// Instants a second, at most 1,000
        #[arg(long, value_parser = whole::<usize>(1, 1_000), allow_negative_numbers = true)]
        rate: Option<usize>,
    },
    /// How long `upbeat apply` takes for a file of new entries
    Apply {
        /// Entries, at most 1,000,000
        #[arg(long, value_parser = whole::<usize>(1, ENTRIES_MAX), allow_negative_numbers = true)]
        entries: Option<usize>,
    },
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// One bench with its sizes.
#[derive(Debug)]
enum Bench {
    Claim(ClaimBench),
    Life(LifeBench),
    Lag(LagBench),
    Idle(IdleBench),
    Contention(ContentionBench),
    Burst(BurstBench),
    Memory(MemoryBench),
    Failover(FailoverBench),
    Apply(ApplyBench),
}

/// Measures in namespaces of its own, `NAMESPACE-bench-claim-list-1` and so on, which must be unused, and removes them.
pub async fn run(app: &App, args: BenchArgs) -> Ended {
    let quick = args.quick;
    let benches = match args.what {
        None | Some(BenchWhat::All) => all(quick),
        Some(BenchWhat::Other(words)) => return Err(hints::subcommand("bench", &words).into()),
        Some(what) => one(what, quick).into_iter().collect(),
    };
    let bed = bed(app)?;
    let count = benches.len();
    let mut figures = Vec::new();
    for (number, bench) in benches.into_iter().enumerate() {
        app.printer.note(format!("{} of {count}: {}", number + 1, bench.name()));
        let Some(measured) = unless_interrupted(bench.run(&bed)).await else {
            app.printer.note("interrupted: what was measured so far is not told, what it had written is removed");
            bed.clear().await.map_err(|why| in_plain_words(why, &bed))?;
            return Ok(INTERRUPTED);
        };
        figures.extend(measured.map_err(|why| in_plain_words(why, &bed))?);
    }
    app.printer.list(&figures, |figure| figure.bench.to_owned(), || table(&figures));
    Ok(0)
}

fn in_plain_words(why: crate::error::Error, bed: &Bed) -> crate::error::Error {
    super::connect::in_plain_words(why, &bed.connection.address, "--redis URL, or UPBEAT_REDIS")
}

fn all(quick: bool) -> Vec<Bench> {
    let whats = [
        BenchWhat::Claim { entries: None, rounds: None },
        BenchWhat::Life { runs: None, rounds: None },
        BenchWhat::Lag { rate: None, nodes: None, seconds: None },
        BenchWhat::Idle { nodes: None, seconds: None },
        BenchWhat::Contention { nodes: Vec::new(), rate: Vec::new(), seconds: None },
        BenchWhat::Burst { entries: None, nodes: None },
        BenchWhat::Memory { entries: None },
        BenchWhat::Failover { kills: None, nodes: None, rate: None },
        BenchWhat::Apply { entries: None },
    ];
    whats.into_iter().filter_map(|what| one(what, quick)).collect()
}

/// With the sizes that were said; the others are those of a whole run, or of a quick one.
fn one(what: BenchWhat, quick: bool) -> Option<Bench> {
    let list = |said: Vec<usize>, usual: Vec<usize>| if said.is_empty() { usual } else { said };
    Some(match what {
        BenchWhat::All | BenchWhat::Other(_) => return None,
        BenchWhat::Claim { entries, rounds } => {
            let usual = ClaimBench::sized(quick);
            Bench::Claim(ClaimBench {
                entries: entries.unwrap_or(usual.entries),
                rounds: rounds.unwrap_or(usual.rounds),
            })
        }
        BenchWhat::Life { runs, rounds } => {
            let usual = LifeBench::sized(quick);
            Bench::Life(LifeBench { runs: runs.unwrap_or(usual.runs), rounds: rounds.unwrap_or(usual.rounds) })
        }
        BenchWhat::Lag { rate, nodes, seconds } => {
            let usual = LagBench::sized(quick);
            Bench::Lag(LagBench {
                rate: rate.unwrap_or(usual.rate),
                nodes: nodes.unwrap_or(usual.nodes),
                seconds: seconds.unwrap_or(usual.seconds),
            })
        }
        BenchWhat::Idle { nodes, seconds } => {
            let usual = IdleBench::sized(quick);
            Bench::Idle(IdleBench { nodes: nodes.unwrap_or(usual.nodes), seconds: seconds.unwrap_or(usual.seconds) })
        }
        BenchWhat::Contention { nodes, rate, seconds } => {
            let usual = ContentionBench::sized(quick);
            Bench::Contention(ContentionBench {
                nodes: list(nodes, usual.nodes),
                rates: list(rate, usual.rates),
                seconds: seconds.unwrap_or(usual.seconds),
            })
        }
        BenchWhat::Burst { entries, nodes } => {
            let usual = BurstBench::sized(quick);
            Bench::Burst(BurstBench { entries: entries.unwrap_or(usual.entries), nodes: nodes.unwrap_or(usual.nodes) })
        }
        BenchWhat::Memory { entries } => {
            Bench::Memory(MemoryBench { entries: entries.unwrap_or(MemoryBench::sized(quick).entries) })
        }
        BenchWhat::Failover { kills, nodes, rate } => {
            let usual = FailoverBench::sized(quick);
            Bench::Failover(FailoverBench {
                kills: kills.unwrap_or(usual.kills),
                nodes: nodes.unwrap_or(usual.nodes),
                rate: rate.unwrap_or(usual.rate),
            })
        }
        BenchWhat::Apply { entries } => {
            Bench::Apply(ApplyBench { entries: entries.unwrap_or(ApplyBench::sized(quick).entries) })
        }
    })
}

impl Bench {
    fn name(&self) -> &'static str {
        match self {
            Self::Claim(_) => "claim",
            Self::Life(_) => "life",
            Self::Lag(_) => "lag",
            Self::Idle(_) => "idle",
            Self::Contention(_) => "contention",
            Self::Burst(_) => "burst",
            Self::Memory(_) => "memory",
            Self::Failover(_) => "failover",
            Self::Apply(_) => "apply",
        }
    }

    async fn run(self, bed: &Bed) -> Result<Vec<Figure>> {
        match self {
            Self::Claim(bench) => bench.run(bed).await,
            Self::Life(bench) => bench.run(bed).await,
            Self::Lag(bench) => bench.run(bed).await,
            Self::Idle(bench) => bench.run(bed).await,
            Self::Contention(bench) => bench.run(bed).await,
            Self::Burst(bench) => bench.run(bed).await,
            Self::Memory(bench) => bench.run(bed).await,
            Self::Failover(bench) => bench.run(bed).await,
            Self::Apply(bench) => bench.run(bed).await,
        }
    }
}

/// The server that is meant, and what a program started beside this one has to be told of it.
fn bed(app: &App) -> Result<Bed> {
    let (connection, namespace) = super::connect::target(&app.common, app.printer)?;
    let variables = super::connect::variables(&app.common)?;
    Ok(Bed::new(connection, namespace, variables))
}

fn table(figures: &[Figure]) -> String {
    let head = ["BENCH", "CASE", "WHAT", "MEASURED", "BUDGET", "VERDICT"];
    let mut last = ("", "");
    let rows = figures.iter().map(|figure| {
        let is_same = last == (figure.bench, figure.case.as_str());
        last = (figure.bench, figure.case.as_str());
        let said = |text: &str| if is_same { String::new() } else { text.to_owned() };
        vec![
            Cell::from(said(figure.bench)),
            said(&figure.case).into(),
            figure.what.into(),
            with_unit(figure.value, figure.unit).into(),
            figure.budget.map_or_else(|| "-".to_owned(), |budget| in_words(budget, figure.unit)).into(),
            Cell::state(figure.verdict.unwrap_or_default()),
        ]
    });
    output::table(&head, rows)
}

fn in_words(budget: Budget, unit: &str) -> String {
    match budget {
        Budget::AtMost(most) => format!("<= {}", with_unit(most, unit)),
        Budget::AtLeast(least) => format!(">= {}", with_unit(least, unit)),
    }
}

fn with_unit(value: f64, unit: &str) -> String {
    let number = if value >= 10_000.0 { super::run_words::grouped(value as usize) } else { value.to_string() };
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether all budgets are held against what it measures.
    fn is_judged(bench: &Bench) -> bool {
        match bench {
            Bench::Claim(bench) => bench.is_judged(),
            Bench::Life(bench) => bench.is_judged(),
            Bench::Lag(bench) => bench.is_judged(),
            Bench::Idle(bench) => bench.is_judged(),
            Bench::Contention(bench) => {
                bench.rates.iter().all(|rate| bench.nodes.iter().all(|nodes| bench.is_judged(*nodes, *rate)))
            }
            Bench::Burst(bench) => bench.is_judged(),
            Bench::Memory(bench) => bench.is_judged(),
            Bench::Failover(bench) => bench.is_judged(),
            Bench::Apply(bench) => bench.is_judged(),
        }
    }

    #[test]
    fn every_budget_is_held_against_the_sizes_of_a_quick_run_and_of_a_whole_one() {
        for quick in [true, false] {
            let benches = all(quick);
            assert_eq!(benches.len(), 9);
            assert!(benches.iter().all(is_judged), "{benches:?}");
        }
    }

    #[test]
    fn no_budget_is_held_against_sizes_that_it_was_not_made_for() {
        for what in [
            BenchWhat::Claim { entries: Some(10), rounds: None },
            BenchWhat::Life { runs: Some(10), rounds: None },
            BenchWhat::Lag { rate: Some(10_000), nodes: None, seconds: None },
            BenchWhat::Lag { rate: None, nodes: Some(1), seconds: None },
            BenchWhat::Idle { nodes: Some(200), seconds: None },
            BenchWhat::Idle { nodes: None, seconds: Some(2) },
            BenchWhat::Contention { nodes: vec![256], rate: Vec::new(), seconds: None },
            BenchWhat::Contention { nodes: Vec::new(), rate: Vec::new(), seconds: Some(1) },
            BenchWhat::Burst { entries: Some(2_000), nodes: None },
            BenchWhat::Memory { entries: Some(2_000) },
            BenchWhat::Failover { kills: Some(1), nodes: None, rate: None },
            BenchWhat::Apply { entries: Some(300) },
        ] {
            let bench = one(what, false).expect("a bench is named");
            assert!(!is_judged(&bench), "{bench:?}");
        }
    }
}
