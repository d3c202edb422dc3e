//! bench apply: how long `upbeat apply` takes for a file of very many new entries.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::bench::bed::{Bed, Ground};
use crate::bench::figure::{Case, Figure};
use crate::bench::us_per;
use crate::error::{Error, Result};

/// 100,000 entries take at most so long, s.
const BUDGET_S: f64 = 2.0;

/// A file of new entries.
#[derive(Debug, Clone, Copy)]
pub struct ApplyBench {
    /// Entries in it.
    pub entries: usize,
}

impl ApplyBench {
    /// The size of a whole run, and of a quick one.
    pub fn sized(_quick: bool) -> Self {
        Self { entries: 100_000 }
    }

    /// Whether the budget holds for this size.
    pub fn is_judged(self) -> bool {
        self.entries == Self::sized(false).entries
    }

    /// Measures.
    ///
    /// # Errors
    ///
    /// Unavailable; internal where the program can't be started or the file can't be written.
    pub async fn run(self, bed: &Bed) -> Result<Vec<Figure>> {
        let file = std::env::temp_dir().join(format!("upbeat-bench-{}.toml", uuid::Uuid::new_v4().simple()));
        std::fs::write(&file, self.text())
            .map_err(|why| Error::internal(format!("{} can't be written: {why}", file.display())))?;
        let measured = self.measure(bed, &file).await;
        // A file that stays is in the way of nothing.
        let _ = std::fs::remove_file(&file);
        measured
    }

    async fn measure(self, bed: &Bed, file: &std::path::Path) -> Result<Vec<Figure>> {
        let ground = bed.ground("apply").await?;
        let applied = self.apply(bed, &ground, file).await;
        ground.clear().await?;
        applied
    }

    async fn apply(self, bed: &Bed, ground: &Ground, file: &std::path::Path) -> Result<Vec<Figure>> {
        let refuse = |why: &dyn std::fmt::Display| Error::internal(format!("upbeat apply could not be run: {why}"));
        let path = file.to_str().ok_or_else(|| refuse(&"the temporary directory has no readable name"))?;
        let mut command = bed.program(ground.store.namespace(), &["apply", "-f", path, "-q"])?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let (spent, used) = (ground.store.spent().await?, user_s());
        let began = Instant::now();
        let status = command.status().await.map_err(|why| refuse(&why))?;
        let wall = began.elapsed().as_secs_f64();
        let (spent_after, used_after) = (ground.store.spent().await?, user_s());
        if !status.success() {
            return Err(refuse(&format!("it ended with {status}")));
        }
        Ok(Case::new("apply", format!("a file of {} new entries", self.entries))
            .judged_if(self.is_judged())
            .at_most(BUDGET_S, "until all are written", wall, "s")
            .told("Redis CPU per entry", us_per(spent_after.cpu_s - spent.cpu_s, self.entries), "us")
            .told("CPU of the client per entry", us_per(used_after - used, self.entries), "us")
            .figures())
    }

    /// Schedules of several kinds, as people write them.
    fn text(self) -> String {
        let mut text = String::from("owner = \"bench\"\n");
        for number in 0..self.entries {
            let (minute, hour) = (number % 60, number % 24);
            let schedule = match number % 5 {
                0 => "every = \"1m\"".to_owned(),
                1 => format!("cron = \"{minute} {hour} * * *\""),
                2 => format!("cron = \"*/{} * * * *\"", number % 29 + 2),
                3 => format!("cron = \"{minute} {hour} * * mon-fri\"\ntz = \"Europe/Berlin\""),
                _ => "every = \"5m\"".to_owned(),
            };
            // Writing into a string does not fail.
            let _ = writeln!(
                text,
                "\n[entries.job-{number}]\n{schedule}\nexec = [\"run-job\", \"--number\", \"{number}\"]\ntimeout = \"10m\""
            );
        }
        text
    }
}

/// CPU of all programs that this one has started and that have ended, s.
fn user_s() -> f64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0.0, |usage| {
        (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
    })
}
