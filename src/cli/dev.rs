//! `upbeat dev`: a playground on this machine, a private Redis and nodes as processes of their own.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::App;
use crate::cli::actor::variable;
use crate::cli::args::DevArgs;
use crate::cli::connect::{CONNECTION_FILE, PLAYGROUND, running};
use crate::cli::output::{Ended, facts, print};
use crate::cli::playground::{PrivateRedis, stop_left_over};
use crate::error::{Error, Problem, Result};

/// Holds the process id of the `dev` that runs.
const PID_FILE: &str = "dev.pid";
/// How often the children are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long nodes may take to stop: their drain timeout, and a little more.
const DRAIN: Duration = Duration::from_secs(30);

/// Runs the playground until Ctrl-C or SIGTERM.
pub async fn run(app: &App, args: DevArgs) -> Ended {
    let folder = PathBuf::from(PLAYGROUND);
    let refuse = |why: std::io::Error| Error::invalid("dev", format!("{PLAYGROUND} can't be used: {why}"));
    make_room(&folder)?;
    if args.reset && folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(refuse)?;
    }
    let data = folder.join("redis");
    let is_new = !data.exists();
    std::fs::create_dir_all(&data).map_err(refuse)?;
    let (mut term, mut int) = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(term), Ok(int)) => (term, int),
        (Err(why), _) | (_, Err(why)) => return Err(Error::internal(format!("signals: {why}")).into()),
    };
    let mut redis = PrivateRedis::start(&data)?;
    std::fs::write(folder.join(CONNECTION_FILE), format!("{}\n", redis.url())).map_err(refuse)?;
    std::fs::write(folder.join(PID_FILE), format!("{}\n", std::process::id())).map_err(refuse)?;
    let mut nodes = Vec::new();
    for number in 1..=args.nodes {
        nodes.push(NodeChild::start(format!("dev-{number}"), &redis.url(), &folder)?);
    }
    print(&greeting(&redis.version, &nodes, is_new));
    let code = loop {
        tokio::select! {
            _ = term.recv() => break 0,
            _ = int.recv() => break 0,
            () = tokio::time::sleep(LOOK) => {}
        }
        nodes.retain_mut(|node| match node.ended() {
            Some(how) => {
                print(&format!("{} {how}\n", node.name));
                false
            }
            None => true,
        });
        if !redis.is_running() {
            app.printer.warning(&format!("Redis ended; its own words are in {}", data.join("redis.log").display()));
            break 5;
        }
    };
    app.printer.note("stopping");
    stop(nodes).await;
    // Blocks until its file is written; nothing else is left to do.
    redis.stop();
    let _ = std::fs::remove_file(folder.join(CONNECTION_FILE));
    let _ = std::fs::remove_file(folder.join(PID_FILE));
    Ok(code)
}

/// Refuses a second playground in one folder, and stops what a killed one left behind.
fn make_room(folder: &Path) -> Result<()> {
    let Some(url) = running(folder) else { return Ok(()) };
    let pid = std::fs::read_to_string(folder.join(PID_FILE)).ok().and_then(|text| text.trim().parse::<i32>().ok());
    match pid.filter(|pid| *pid > 1 && kill(Pid::from_raw(*pid), None).is_ok()) {
        Some(pid) => {
            let problem = Problem::new("dev", format!("a playground runs here already, process {pid}"));
            Err(Error::Conflict(problem.hint("stop it with Ctrl-C in its terminal")))
        }
        None => {
            stop_left_over(&url);
            Ok(())
        }
    }
}

fn greeting(version: &str, nodes: &[NodeChild], is_new: bool) -> String {
    let kept = if is_new { "kept for next time" } else { "as it was left" };
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let nodes = match names.is_empty() {
        true => "none; upbeat node starts one".to_owned(),
        false => {
            format!("{} · 16 runs each at a time · may run http, exec, shell, celery · all queues", names.join(" "))
        }
    };
    let usage = match variable("UPBEAT_REDIS") {
        Some(_) => "UPBEAT_REDIS is set: unset it, it wins over the playground",
        None => "`upbeat ...` in this folder finds it by itself",
    };
    let lines = facts(&[
        ("nodes", nodes),
        ("logs", format!("{PLAYGROUND}/dev-*.log")),
        ("use", usage.to_owned()),
        ("stop", "Ctrl-C".to_owned()),
    ]);
    format!("playground in {PLAYGROUND} · private Redis {version}, {kept} (--reset starts over)\n{lines}")
}

/// Asks all nodes to drain, and waits for them.
async fn stop(mut nodes: Vec<NodeChild>) {
    for node in &nodes {
        node.signal(Signal::SIGTERM);
    }
    for node in &mut nodes {
        if tokio::time::timeout(DRAIN, node.child.wait()).await.is_err() {
            let _ = node.child.kill().await;
        }
    }
}

/// A node process of the playground.
struct NodeChild {
    name: String,
    child: Child,
}

impl NodeChild {
    fn start(name: String, redis: &str, folder: &Path) -> Result<Self> {
        let refuse = |why: std::io::Error| Error::internal(format!("node {name} can't be started: {why}"));
        let program = std::env::current_exe().map_err(refuse)?;
        let log = std::fs::File::create(folder.join(format!("{name}.log"))).map_err(refuse)?;
        let mut command = Command::new(program);
        for (variable, _) in std::env::vars_os() {
            // The playground's own settings count, not those of whoever starts it.
            if variable.to_string_lossy().starts_with("UPBEAT_") {
                command.env_remove(variable);
            }
        }
        command.args([
            "node",
            "--name",
            &name,
            "--allow",
            "http,exec,shell,celery",
            "--redis",
            redis,
            "--stop-with-parent",
            &std::process::id().to_string(),
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // Ctrl-C goes to the whole group of a terminal: nodes are stopped in order.
        command.process_group(0);
        let child = command.spawn().map_err(refuse)?;
        Ok(Self { name, child })
    }

    /// How it ended, if it has.
    fn ended(&mut self) -> Option<String> {
        let status: ExitStatus = self.child.try_wait().ok()??;
        Some(match (status.signal(), status.code()) {
            (Some(9), _) => "was killed".to_owned(),
            (Some(signal), _) => format!("was killed by signal {signal}"),
            (None, Some(0)) => "has stopped".to_owned(),
            (None, code) => format!("ended with {}; see {PLAYGROUND}/{}.log", code.unwrap_or(-1), self.name),
        })
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid {
            // An error means that it has ended by itself.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}
