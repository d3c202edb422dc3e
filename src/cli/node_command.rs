//! `upbeat node`: flags and variables become a node's settings, signals its wish to stop.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::cli::fields::whole;
use crate::cli::output::{Ended, Printer};
use crate::cli::{App, actor, connect, schedule_source};
use crate::domain::action::Kind;
use crate::domain::id::{Namespace, QueueName};
use crate::domain::nearest::not_one_of;
use crate::domain::node::Serves;
use crate::domain::span::Span;
use crate::error::{Error, Result};
use crate::node::{self, NodeConfig};
use crate::shutdown::{self, Trigger};

/// Kinds of action in the order of the contract.
const KINDS: &[Kind] = &[Kind::Http, Kind::Exec, Kind::Shell, Kind::Celery];
/// The shortest and the longest lease.
const LEASES: (Span, Span) = (Span(1_000), Span(600_000));
/// The longest wait for what runs.
const DRAIN_MAX: Span = Span(86_400_000);
/// Longest name of a node, bytes; records keep it in one byte of length.
const NAME_MAX_BYTES: usize = 128;

/// Flags of `upbeat node`; each has a variable.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// Its name [default: the host's]
    #[arg(long, env = "UPBEAT_NAME", hide_env_values = true, value_name = "NAME")]
    name: Option<String>,
    /// Runs at a time
    #[arg(long, env = "UPBEAT_CONCURRENCY", hide_env_values = true, value_name = "N", default_value_t = 16)]
    #[arg(value_parser = whole::<u16>(1, 10_000), allow_negative_numbers = true)]
    concurrency: u16,
    /// Queues to serve [default: all]
    #[arg(long, env = "UPBEAT_QUEUES", hide_env_values = true, value_name = "Q,..", value_delimiter = ',')]
    queues: Vec<String>,
    /// Kinds of action beside http: exec, shell, celery; none takes all away
    #[arg(long, env = "UPBEAT_ALLOW", hide_env_values = true, value_name = "KIND,..", value_delimiter = ',')]
    allow: Vec<String>,
    /// When its runs go to others after it fell silent, 1s to 10m
    #[arg(long, env = "UPBEAT_LEASE", hide_env_values = true, value_name = "DURATION", default_value = "15s")]
    #[arg(allow_hyphen_values = true)]
    lease: String,
    /// How long runs may go on after SIGTERM
    #[arg(long, env = "UPBEAT_DRAIN_TIMEOUT", hide_env_values = true, value_name = "DURATION", default_value = "25s")]
    #[arg(allow_hyphen_values = true)]
    drain_timeout: String,
    /// Variables of the node that commands see
    #[arg(long, env = "UPBEAT_PASS_ENV", hide_env_values = true, value_name = "NAME,..", value_delimiter = ',')]
    pass_env: Vec<String>,
    /// The only secrets that entries may name [default: all]
    #[arg(long, env = "UPBEAT_SECRETS", hide_env_values = true, value_name = "NAME,..", value_delimiter = ',')]
    secrets: Option<Vec<String>>,
    /// Folder of secrets that are no variables
    #[arg(long, env = "UPBEAT_SECRETS_DIR", hide_env_values = true, value_name = "DIR")]
    secrets_dir: Option<PathBuf>,
    /// Put the entries of this file or folder back when the namespace was flushed; may be repeated
    #[arg(long, env = "UPBEAT_SCHEDULE_FILE", hide_env_values = true, value_name = "FILE")]
    schedule_file: Vec<String>,
    /// Log lines for people or for programs
    #[arg(long, env = "UPBEAT_LOG", hide_env_values = true, value_enum, default_value_t = LogForm::Text)]
    log: LogForm,
    /// Least level that is logged
    #[arg(long, env = "UPBEAT_LOG_LEVEL", hide_env_values = true, value_enum, default_value_t = LogLevel::Info)]
    log_level: LogLevel,
    /// Stop when the process that started this one, of that number, is gone.
    #[arg(long, hide = true, value_name = "PID")]
    stop_with_parent: Option<i32>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogForm {
    Text,
    Json,
}

/// The least level that is logged.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Runs a node until it is told to stop.
pub async fn run(app: &App, args: NodeArgs) -> Ended {
    let config = config(&args)?;
    let (connection, namespace) = connect::target(&app.common, app.printer)?;
    let files: Vec<String> = filled(&args.schedule_file).map(str::to_owned).collect();
    let source = schedule_source::source(&files, &namespace)?;
    log(args.log, args.log_level);
    if args.log == LogForm::Text {
        greet(app.printer, &config, &namespace);
        if let Some(source) = &source {
            app.printer.note(format!("  {}  put back when the namespace was flushed", source.shown));
        }
    }
    let (trigger, shutdown) = shutdown::channel();
    tokio::spawn(stop_on_signal(trigger, args.stop_with_parent));
    node::run_healing(config, connection, namespace, shutdown, source).await?;
    Ok(0)
}

/// SIGTERM, SIGINT and, where asked for, the end of the parent process.
async fn stop_on_signal(trigger: Trigger, stop_with_parent: Option<i32>) {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("signals can't be waited for; only SIGKILL stops this node");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = parent_is_gone(stop_with_parent) => {}
    }
    trigger.drain();
    // The trigger lives on: a dropped one would mean the same, but says less.
    std::future::pending::<()>().await;
}

/// Its number is told: it may have gone before this process could ask who it is.
async fn parent_is_gone(parent: Option<i32>) {
    let Some(parent) = parent else { return std::future::pending().await };
    while nix::unistd::getppid().as_raw() == parent {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn config(args: &NodeArgs) -> Result<NodeConfig> {
    let name = args.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(actor::host);
    if name.len() > NAME_MAX_BYTES || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        let why = format!("{name:?} is not 1 to {NAME_MAX_BYTES} bytes without blanks");
        return Err(Error::invalid("name", why).value(name));
    }
    let lease = Span::parse("lease", &args.lease)?;
    if lease < LEASES.0 || lease > LEASES.1 {
        return Err(
            Error::invalid("lease", format!("{lease} is not between {} and {}", LEASES.0, LEASES.1)).value(&args.lease)
        );
    }
    let drain_timeout = Span::parse("drain-timeout", &args.drain_timeout)?;
    if drain_timeout > DRAIN_MAX {
        let why = format!("{drain_timeout} is longer than the longest, {DRAIN_MAX}");
        return Err(Error::invalid("drain-timeout", why).value(&args.drain_timeout));
    }
    let queues: BTreeSet<&str> = filled(&args.queues).collect();
    for queue in &queues {
        QueueName::parse("queues", queue)?;
    }
    let queues: Vec<String> = queues.into_iter().map(str::to_owned).collect();
    Ok(NodeConfig {
        name,
        concurrency: usize::from(args.concurrency),
        serves: Serves { queues: Some(queues).filter(|queues| !queues.is_empty()), kinds: kinds(&args.allow)? },
        lease,
        drain_timeout,
        pass_env: filled(&args.pass_env).map(str::to_owned).collect(),
        secrets: args.secrets.as_ref().map(|names| filled(names).map(str::to_owned).collect()),
        secrets_dir: args.secrets_dir.clone(),
    })
}

/// `a,,b` and an empty variable name nothing between the commas.
fn filled(words: &[String]) -> impl Iterator<Item = &str> {
    words.iter().map(|word| word.trim()).filter(|word| !word.is_empty())
}

/// What `--allow` comes to: http and what is named, or nothing.
fn kinds(allow: &[String]) -> Result<Vec<String>> {
    let mut allowed = vec![Kind::Http];
    let mut is_none = false;
    for word in filled(allow) {
        match KINDS.iter().find(|kind| kind.word() == word) {
            Some(kind) if !allowed.contains(kind) => allowed.push(*kind),
            Some(_) => {}
            None if word == "none" => is_none = true,
            None => return Err(not_one_of("allow", word, &["exec", "shell", "http", "celery", "none"])),
        }
    }
    match (is_none, filled(allow).count()) {
        (true, 1) => Ok(Vec::new()),
        (true, _) => Err(Error::invalid("allow", "none goes alone")),
        (false, _) => {
            let in_order = KINDS.iter().filter(|kind| allowed.contains(kind));
            Ok(in_order.map(|kind| kind.word().to_owned()).collect())
        }
    }
}

/// What this node is, in two lines; its name is told by the log, once it is known whether it is free.
fn greet(printer: Printer, config: &NodeConfig, namespace: &Namespace) {
    let Serves { queues, kinds } = &config.serves;
    let serves = match queues.as_deref() {
        None => "all queues".to_owned(),
        Some([queue]) => format!("queue {queue}"),
        Some(queues) => format!("queues {}", queues.join(", ")),
    };
    let runs = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
    printer.note(format!("namespace {namespace} · serves {serves} · runs {runs}"));
    // What most entries need. Who has none of Celery need not hear of it; an entry without a node is told everywhere.
    let refused: Vec<&str> = [Kind::Exec, Kind::Shell, Kind::Http]
        .map(Kind::word)
        .into_iter()
        .filter(|kind| !kinds.iter().any(|one| one == kind))
        .collect();
    if !refused.is_empty() {
        printer.note(format!("  {}  not allowed here (--allow {})", refused.join(", "), refused.join(",")));
    }
}

fn log(form: LogForm, level: LogLevel) {
    let level = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let filter = EnvFilter::new(format!("warn,fred=off,upbeat={level}"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber in one process is refused; the first goes on.
    let _ = match form {
        LogForm::Text => lines.with_target(false).with_ansi(false).try_init(),
        LogForm::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(words: &[&str]) -> Result<Vec<String>> {
        kinds(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn http_is_allowed_unless_nothing_is() {
        assert_eq!(allowed(&[]).unwrap(), ["http"]);
        assert_eq!(allowed(&["shell", "exec", ""]).unwrap(), ["http", "exec", "shell"]);
        assert_eq!(allowed(&["none"]).unwrap(), Vec::<String>::new());
        assert!(allowed(&["none", "exec"]).is_err());
        assert!(allowed(&["exce"]).unwrap_err().problem().hint.as_deref() == Some("did you mean exec?"));
    }
}
