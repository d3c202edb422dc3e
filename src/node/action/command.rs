//! An attempt that is a command: prepares it, has it run, judges its end.

use std::ffi::OsString;

use super::cause::{Cause, Interruption};
use super::job::Jobs;
use super::output::Tail;
use super::process::{self, End, Program};
use super::result::ResultFile;
use super::secret::{Mask, Vault};
use super::wire::{Job, Report};
use super::{Attempt, Ending, ExecutorConfig, Outcome, Refused, Stop};
use crate::domain::run::Reason;
use crate::error::{Error, Result};

/// What this node needs to run commands.
#[derive(Debug)]
pub(super) struct Commands {
    program: Program,
    jobs: Jobs,
}

impl Commands {
    pub(super) fn new(config: &ExecutorConfig) -> Result<Self> {
        let program = Program::open(config.program.as_deref()).map_err(|error| {
            let refused = Error::invalid("program", format!("can't be opened: {error}"));
            match config.program.as_deref() {
                Some(path) => refused.value(path.to_string_lossy()),
                None => {
                    refused.value("/proc/self/exe").hint("mount /proc: a node starts commands by what it finds there")
                }
            }
        })?;
        Ok(Self { program, jobs: Jobs::new(&config.pass_env, config.kill_after) })
    }

    /// Runs `argv`; reads secrets from `vault` and puts them under `mask`.
    pub(super) async fn run(
        &self,
        argv: Vec<OsString>,
        attempt: &Attempt,
        vault: &Vault,
        mask: &mut Mask,
        interruption: &mut Interruption,
    ) -> Result<Outcome, Refused> {
        // A node without any folder to write to runs commands all the same; they see no UPBEAT_RESULT.
        let result = ResultFile::create().inspect_err(|error| tracing::debug!(%error, "no file for a result")).ok();
        let job = self.jobs.prepare(attempt, argv, vault, mask, result.as_ref().map(ResultFile::path))?;
        let mut tail = Tail::new(mask, &attempt.output);
        let (run_id, payload) = (&attempt.context.run_id, attempt.payload.as_deref());
        let end = process::run(&self.program, &job, run_id, payload, interruption, &mut tail).await?;
        tail.finish();
        let mut outcome = judge(&end, attempt, &job);
        outcome.result = result.and_then(|file| file.read(mask));
        Ok(outcome)
    }
}

/// What the end of a command means: whoever asked for it decides, but for a command that exits with 0 while its node
/// drains.
fn judge(end: &End, attempt: &Attempt, job: &Job) -> Outcome {
    let exit_code = match end.report {
        Some(Report::Exited(code)) => Some(code),
        _ => None,
    };
    let is_done_in_time = end.cause == Some(Cause::Stop(Stop::Drain)) && exit_code == Some(0);
    let outcome = match (end.cause, &end.report) {
        (Some(cause), _) if !is_done_in_time => Outcome::interrupted(cause, attempt.timeout),
        (_, Some(Report::Exited(0))) => Outcome::new(Ending::Succeeded),
        (_, Some(Report::Exited(code))) => Outcome::failed(Reason::Exit, format!("exited with code {code}")),
        (_, Some(Report::Signalled(number))) => {
            Outcome::failed(Reason::Signal, format!("killed by {}", signal_name(*number)))
        }
        (_, Some(Report::Refused(why))) => {
            let program = job.argv.first().map(|name| name.to_string_lossy()).unwrap_or_default();
            Outcome::refused(format!("program {program:?} can't be started: {why}"))
        }
        (_, Some(Report::Started(_)) | None) => Outcome::failed(Reason::Signal, "killed with its supervisor"),
    };
    Outcome { exit_code, ..outcome }
}

fn signal_name(number: i32) -> String {
    match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) if number == 0 => "a real-time signal".to_owned(),
        Err(_) => format!("signal {number}"),
    }
}
