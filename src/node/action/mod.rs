//! Executes one attempt of a run: a command under its supervisor, an HTTP request, or a task for Celery.
//!
//! [`Executor::execute`] takes an [`Attempt`], everything that it needs, and returns an [`Outcome`], everything that
//! remains. It never fails: what this node can't start is an outcome, too ([`Reason::Refused`]). When it returns,
//! nothing of the attempt runs any more; a process that a command left behind in the background is killed when the
//! command ends.
//!
//! A command is prepared in `job`, started and collected in `process`, which is the node's side, and watched by
//! [`supervisor`], the other side; the two share nothing but what `wire` says. A request is prepared, sent and judged
//! in `http`, a task is sent and waited for in `celery`; `address` says where neither may go. All are ended by `cause`, write into `output`, and take their secrets
//! from `secret`, which cuts them out of what remains.

mod address;
mod cause;
mod celery;
#[cfg_attr(not(target_os = "linux"), path = "command_elsewhere.rs")]
mod command;
mod context;
mod http;
mod output;
mod retry_after;
mod secret;

#[cfg(target_os = "linux")]
mod birth;
#[cfg(target_os = "linux")]
mod job;
#[cfg(target_os = "linux")]
mod orphans;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod result;
#[cfg(target_os = "linux")]
pub mod supervisor;
#[cfg(target_os = "linux")]
mod wire;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use self::cause::{Cause, Interruption};
use self::celery::Tasks;
use self::command::Commands;
pub use self::context::Context;
use self::http::Web;
pub use self::output::Output;
use self::secret::{Mask, Vault};
use crate::domain::action::Action;
use crate::domain::policy;
use crate::domain::run::Reason;
use crate::domain::span::Span;
use crate::error::Result;
use crate::store::Store;

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
    /// Where what it writes can be read while it runs; empty at first.
    pub output: Output,
    /// The first of the attempts that were lost or handed back right before this one, or this one: what they sent counts.
    pub first_attempt: u32,
}

/// What this node's owner set.
#[derive(Debug, Clone)]
pub struct ExecutorConfig {
    /// The upbeat binary, for programs that use the library; `None`: the program that runs now, which then must be the
    /// upbeat binary.
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

impl Default for ExecutorConfig {
    fn default() -> Self {
        let kill_after = policy::KILL_AFTER;
        Self { program: None, pass_env: Vec::new(), secrets: None, secrets_dir: None, kill_after }
    }
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
    /// The status of the last answer, if there was one.
    pub http_status: Option<u16>,
    /// How long a target whose answer is not accepted asks to be left alone (`Retry-After`), at most
    /// [`DELAY_MAX`](crate::domain::retry::DELAY_MAX).
    pub retry_after: Option<Span>,
    /// For people.
    pub message: Option<String>,
    /// The last 64 KiB of output, standard output and error as they came, or of the answer's body.
    pub output: Vec<u8>,
    /// Bytes of output in all.
    pub written: u64,
    /// What the command left in `$UPBEAT_RESULT`, the first 16 KiB without the last newline.
    pub result: Option<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Well.
    Succeeded,
    /// A message was written.
    Delivered,
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
        Self {
            ending,
            exit_code: None,
            http_status: None,
            retry_after: None,
            message: None,
            output: Vec::new(),
            written: 0,
            result: None,
        }
    }

    fn failed(reason: Reason, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..Self::new(Ending::Failed(reason)) }
    }

    fn refused(why: impl Into<String>) -> Self {
        Self::failed(Reason::Refused, why)
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

/// What happens in the place of the work of an attempt: for benches, whose work takes no time.
pub type Instead = Arc<dyn Fn(&Context) + Send + Sync>;

/// Executes attempts, any number at a time.
pub struct Executor {
    commands: Commands,
    web: Web,
    tasks: Tasks,
    vault: Vault,
    instead: Option<Instead>,
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { commands, web, tasks, vault, instead } = self;
        let instead = instead.as_ref().map(|_| "a function");
        f.debug_struct("Executor")
            .field("commands", commands)
            .field("web", web)
            .field("tasks", tasks)
            .field("vault", vault)
            .field("instead", &instead)
            .finish()
    }
}

impl Executor {
    /// Opens the supervisor's program and reads the variables that are passed on.
    pub fn new(config: ExecutorConfig) -> Result<Self> {
        let commands = Commands::new(&config)?;
        let vault = Vault { allowed: config.secrets, dir: config.secrets_dir };
        Ok(Self { commands, web: Web::default(), tasks: Tasks::default(), vault, instead: None })
    }

    /// With the store of the node, whose Redis is the broker of Celery's tasks that name none.
    #[must_use]
    pub fn with_store(mut self, store: Store) -> Self {
        self.tasks = Tasks::of(store);
        self
    }

    /// Every attempt succeeds at once, and this is called for it; nothing else happens.
    #[must_use]
    pub fn with_instead(mut self, instead: Option<Instead>) -> Self {
        self.instead = instead;
        self
    }

    /// Executes `attempt` to its end, or until `stop` says otherwise; the greatest wish counts, `Drain < Cancel <
    /// Lost`.
    ///
    /// If the future is dropped, a command is killed as if the node had died, and a request is dropped.
    pub async fn execute(&self, attempt: Attempt, stop: watch::Receiver<Option<Stop>>) -> Outcome {
        let mut mask = Mask::default();
        let mut interruption = Interruption::new(stop, attempt.timeout);
        if let Some(stop) = interruption.already() {
            return Outcome::interrupted(Cause::Stop(stop), None);
        }
        if let Some(instead) = &self.instead {
            instead(&attempt.context);
            return Outcome::new(Ending::Succeeded);
        }
        let (vault, mask, interruption) = (&self.vault, &mut mask, &mut interruption);
        // Each is a large future; every attempt that waits for its turn would have room for all of them.
        let outcome = match &attempt.action {
            Action::Exec(argv) => {
                let argv = argv.iter().chain(&attempt.extra_args).map(OsString::from).collect();
                Box::pin(self.commands.run(argv, &attempt, vault, mask, interruption)).await
            }
            Action::Shell(text) => {
                let start = ["/bin/sh", "-c", text, "sh"].into_iter();
                let argv = start.chain(attempt.extra_args.iter().map(String::as_str)).map(OsString::from).collect();
                Box::pin(self.commands.run(argv, &attempt, vault, mask, interruption)).await
            }
            Action::Http(http) => Box::pin(self.web.run(http, &attempt, vault, mask, interruption)).await,
            Action::Celery(celery) => Box::pin(self.tasks.run(celery, &attempt, vault, mask, interruption)).await,
            Action::Direct(_) => Err(Refused("a direct action is delivered by the claim, not by a node".into())),
        };
        let mut outcome = outcome.unwrap_or_else(|Refused(why)| Outcome::refused(why));
        (outcome.written, outcome.output) = attempt.output.tail();
        outcome.message = outcome.message.map(|message| mask.hide_text(&message));
        outcome
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
