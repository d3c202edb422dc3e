//! Executes one attempt of a run: a command under its supervisor, or an HTTP request.
//!
//! [`Executor::execute`] takes an [`Attempt`], everything that it needs, and returns an [`Outcome`], everything that remains. It never
//! fails: what this node can't start is an outcome, too ([`Reason::Refused`]). When it returns, nothing of the attempt runs any more; a
//! process that a command left behind in the background is killed when the command ends.
//!
//! [`process`] is the node's side of a command and [`supervisor`] the other; they share no memory, only what [`wire`] says.

mod address;
#[cfg(target_os = "linux")]
mod birth;
mod cause;
mod command;
mod context;
mod http;
#[cfg(target_os = "linux")]
mod orphans;
mod output;
#[cfg(target_os = "linux")]
mod process;
mod result;
mod secret;
#[cfg(target_os = "linux")]
pub mod supervisor;
mod wire;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use tokio::sync::watch;

use self::cause::{Cause, Interruption};
pub use self::context::Context;
use self::secret::{Mask, Vault};
use crate::domain::action::Action;
use crate::domain::run::Reason;
use crate::domain::span::Span;
use crate::error::{Error, Result};

/// Everything an attempt needs; made by the node from records.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// What to do; a direct action is refused.
    pub action: Action,
    /// The entry's variables; a value may be `secret:NAME`.
    pub env: BTreeMap<String, String>,
    /// The folder to start in, relative to the node's; `None`: the node's.
    pub cwd: Option<String>,
    /// Appended to the argv of `exec`; for `shell` they become `$1` and so on.
    pub extra_args: Vec<String>,
    /// Standard input of a command, body of a request, as it is sent; `None`: `/dev/null`, no body.
    pub payload: Option<Vec<u8>>,
    /// Ends the attempt, [`Reason::Timeout`]; `None`: it may take for ever.
    pub timeout: Option<Span>,
    /// What the attempt is told about itself.
    pub context: Context,
}

/// What this node's owner set.
#[derive(Debug, Clone, Default)]
pub struct ExecutorConfig {
    /// The upbeat binary, for programs that use the library; `None`: the program that runs now, which then must be the upbeat binary.
    pub program: Option<PathBuf>,
    /// Variables of the node that commands see beside `PATH`, `HOME` and `LANG`.
    pub pass_env: Vec<String>,
    /// The only secrets that entries may name; `None`: all.
    pub secrets: Option<Vec<String>>,
    /// Where secrets that are no variables stand, a file each.
    pub secrets_dir: Option<PathBuf>,
    /// From SIGTERM to SIGKILL.
    pub kill_after: Span,
}

/// Why the node ends an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Somebody cancelled the run: SIGTERM, SIGKILL after [`ExecutorConfig::kill_after`].
    Cancel,
    /// Another attempt holds the run: SIGKILL at once.
    Lost,
    /// The node stops: as [`Stop::Cancel`], and the run is handed back.
    Drain,
}

/// What remains of an attempt; no secret that it was given is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// The code with which the command exited, if it did.
    pub exit_code: Option<i32>,
    /// For people.
    pub message: Option<String>,
    /// The last 64 KiB of output, standard output and error as they came, or of the answer's body.
    pub output: Vec<u8>,
    /// What the command left in `$UPBEAT_RESULT`, the first 16 KiB without the last newline.
    pub result: Option<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Well.
    Succeeded,
    /// Badly.
    Failed(Reason),
    /// [`Stop::Cancel`] ended it.
    Cancelled,
    /// [`Stop::Lost`] ended it.
    Lost,
    /// [`Stop::Drain`] ended it, and it did not exit with 0.
    HandBack,
}

/// Why this node can't start an attempt; names what is missing.
#[derive(Debug, PartialEq, Eq)]
struct Refused(String);

impl Outcome {
    fn new(ending: Ending) -> Self {
        Self { ending, exit_code: None, message: None, output: Vec::new(), result: None }
    }

    fn refused(why: impl Into<String>) -> Self {
        Self { message: Some(why.into()), ..Self::new(Ending::Failed(Reason::Refused)) }
    }

    fn interrupted(cause: Cause, timeout: Option<Span>) -> Self {
        let ending = match cause {
            Cause::Timeout => {
                let message = timeout.map(|span| format!("took longer than {}", words(span)));
                return Self { message, ..Self::new(Ending::Failed(Reason::Timeout)) };
            }
            Cause::Stop(Stop::Cancel) => Ending::Cancelled,
            Cause::Stop(Stop::Lost) => Ending::Lost,
            Cause::Stop(Stop::Drain) => Ending::HandBack,
        };
        Self::new(ending)
    }
}

/// Executes attempts, any number at a time.
#[derive(Debug)]
pub struct Executor {
    #[cfg(target_os = "linux")]
    program: process::Program,
    passed_on: BTreeMap<OsString, OsString>,
    vault: Vault,
    kill_after: Span,
    web: http::Web,
}

impl Executor {
    /// Opens the supervisor's program and reads the variables that are passed on.
    pub fn new(config: ExecutorConfig) -> Result<Self> {
        #[cfg(target_os = "linux")]
        let program = process::Program::open(config.program.as_deref()).map_err(|error| {
            let path = config.program.as_deref().map_or("/proc/self/exe".into(), |path| path.to_string_lossy());
            Error::invalid("program", format!("can't be opened: {error}")).value(path)
        })?;
        Ok(Self {
            #[cfg(target_os = "linux")]
            program,
            passed_on: command::passed_on(&config.pass_env),
            vault: Vault { allowed: config.secrets, dir: config.secrets_dir },
            kill_after: config.kill_after,
            web: http::Web::default(),
        })
    }

    /// Executes `attempt` to its end, or until `stop` says otherwise; the greatest wish counts, `Drain < Cancel < Lost`.
    ///
    /// If the future is dropped, a command is killed as if the node had died, and a request is dropped.
    pub async fn execute(&self, attempt: Attempt, stop: watch::Receiver<Option<Stop>>) -> Outcome {
        let mut mask = Mask::default();
        let mut interruption = Interruption::new(stop, attempt.timeout);
        if let Some(stop) = interruption.already() {
            return Outcome::interrupted(Cause::Stop(stop), None);
        }
        let outcome = match &attempt.action {
            Action::Exec(argv) => {
                let argv = argv.iter().chain(&attempt.extra_args).map(OsString::from).collect();
                self.command(&attempt, argv, &mut mask, &mut interruption).await
            }
            Action::Shell(text) => {
                let argv =
                    ["/bin/sh", "-c", text, "sh"].into_iter().chain(attempt.extra_args.iter().map(String::as_str));
                self.command(&attempt, argv.map(OsString::from).collect(), &mut mask, &mut interruption).await
            }
            Action::Http(http) => self.web.run(http, &attempt, &self.vault, &mut mask, &mut interruption).await,
            Action::Direct(_) => Err(Refused("a direct action is delivered by the claim, not by a node".into())),
        };
        let mut outcome = outcome.unwrap_or_else(|Refused(why)| Outcome::refused(why));
        outcome.message = outcome.message.map(|message| mask.hide_text(&message));
        outcome
    }

    #[cfg(not(target_os = "linux"))]
    async fn command(
        &self,
        _: &Attempt,
        _: Vec<OsString>,
        _: &mut Mask,
        _: &mut Interruption,
    ) -> Result<Outcome, Refused> {
        Err(Refused("exec and shell need Linux in this version".into()))
    }

    #[cfg(target_os = "linux")]
    async fn command(
        &self,
        attempt: &Attempt,
        argv: Vec<OsString>,
        mask: &mut Mask,
        interruption: &mut Interruption,
    ) -> Result<Outcome, Refused> {
        // A node without any folder to write to runs commands all the same; they see no UPBEAT_RESULT.
        let result =
            result::ResultFile::create().inspect_err(|error| tracing::debug!(%error, "no file for a result")).ok();
        let path = result.as_ref().map(result::ResultFile::path);
        let job = command::prepare(attempt, argv, &self.passed_on, &self.vault, mask, path, self.kill_after)?;
        let mut tail = output::Tail::new(mask);
        let run_id = &attempt.context.run_id;
        let end =
            process::run(&self.program, &job, run_id, attempt.payload.as_deref(), interruption, &mut tail).await?;
        let mut outcome = judge(&end, attempt, &job);
        outcome.output = tail.finish(mask);
        outcome.result = result.and_then(|file| file.read(mask));
        Ok(outcome)
    }
}

/// What the end of a command means.
#[cfg(target_os = "linux")]
fn judge(end: &process::End, attempt: &Attempt, job: &wire::Job) -> Outcome {
    use wire::Report;
    let exit_code = match end.report {
        Some(Report::Exited(code)) => Some(code),
        _ => None,
    };
    let is_kept = matches!(end.cause, Some(Cause::Stop(Stop::Drain))) && exit_code == Some(0);
    let outcome = match (end.cause, &end.report) {
        (Some(cause), _) if !is_kept => Outcome::interrupted(cause, attempt.timeout),
        (_, Some(Report::Exited(0))) => Outcome::new(Ending::Succeeded),
        (_, Some(Report::Exited(code))) => failed(Reason::Exit, format!("exited with code {code}")),
        (_, Some(Report::Signalled(number))) => failed(Reason::Signal, format!("killed by {}", signal_name(*number))),
        (_, Some(Report::Refused(why))) => {
            let program = job.argv.first().map(|name| name.to_string_lossy()).unwrap_or_default();
            Outcome::refused(format!("program {program:?} can't be started: {why}"))
        }
        (_, Some(Report::Started(_)) | None) => failed(Reason::Signal, "killed with its supervisor".into()),
    };
    Outcome { exit_code, ..outcome }
}

#[cfg(target_os = "linux")]
fn failed(reason: Reason, message: String) -> Outcome {
    Outcome { message: Some(message), ..Outcome::new(Ending::Failed(reason)) }
}

#[cfg(target_os = "linux")]
fn signal_name(number: i32) -> String {
    match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) if number == 0 => "a real-time signal".to_owned(),
        Err(_) => format!("signal {number}"),
    }
}

/// A span as users write it.
fn words(span: Span) -> String {
    let mut text = String::new();
    let mut rest_ms = span.0;
    for (unit, length_ms) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if rest_ms >= length_ms {
            text += &format!("{}{unit}", rest_ms / length_ms);
            rest_ms %= length_ms;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}
