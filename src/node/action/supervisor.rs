//! The supervisor: a small process of its own around one command, so that nothing of the command outlives its node or
//! its end.
//!
//! It is the same binary, started with [`ARGUMENT`] first, by the node, with three descriptors:
//!
//! | descriptor | is |
//! |---|---|
//! | 0 | the command's standard input |
//! | 1 | the command's standard output and standard error |
//! | 2 | the control socket to the node, see `wire` |
//!
//! It is a child subreaper: what the command leaves behind becomes its child. The command gets a session, and so a
//! group, of its own; the supervisor stands outside of it, for it must survive the killing. Once the command's leader
//! has ended, or the node has, it kills the group, then kills and reaps orphans until none is left, and only then
//! reports.
//!
//! Limits: a process of another user (by a set-uid program) can't be killed and is waited for. If the supervisor itself
//! is killed, the command's leader dies with it and the node kills the group; what has left the group lives on.
//!
//! It has one thread and must never start another: the signal that kills the command when its supervisor dies belongs
//! to the thread that forked it. It has no async runtime, for it is started for every run.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::wire::{self, Job, Report};
use super::{birth, orphans};

/// The hidden first argument that makes the binary a supervisor.
pub const ARGUMENT: &str = "__supervise";

/// How long a look for orphans may be stale: one can become ours without a signal to us.
const ORPHAN_LOOK: Duration = Duration::from_millis(10);

/// Runs the supervisor; to be called before any thread is made.
pub fn main() -> ExitCode {
    match supervise() {
        Ok(()) => ExitCode::SUCCESS,
        // The node reads it as the last words on the control socket, which is standard error.
        Err(error) => {
            let _ = io::stderr().write_all(Report::Refused(format!("supervisor: {error}")).line().as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn supervise() -> io::Result<()> {
    // Signals that are meant for the node, or for all of a cgroup, must not end the supervisor: the command would be
    // killed without its grace.
    SigSet::all().thread_block()?;
    let child_signals =
        SignalFd::with_flags(&SigSet::from(Signal::SIGCHLD), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    prctl::set_child_subreaper(true)?;
    // Started through a descriptor it would be listed under its number.
    prctl::set_name(c"upbeat-command")?;

    let mut control = UnixStream::from(io::stderr().as_fd().try_clone_to_owned()?);
    let job = Job::read(&mut control)?;
    let leader = match start(&job, &control) {
        Ok(leader) => leader,
        Err(error) => return control.write_all(Report::Refused(error.to_string()).line().as_bytes()),
    };

    let mut watch =
        Watch { leader, ending: None, grace: Duration::from_millis(job.kill_after_ms), kill_at: None, child_signals };
    if watch.until_over(&mut control)? == Over::NodeGone
        && let Some(result) = &job.result
    {
        let _ = std::fs::remove_file(result);
    }
    watch.kill_all()?;
    if let Some(ending) = watch.ending {
        let _ = control.write_all(ending.line().as_bytes());
    }
    Ok(())
}

/// Starts the command; returns once it runs the program, or has failed to.
fn start(job: &Job, control: &UnixStream) -> io::Result<Pid> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(&job.program);
    let (name, arguments) = job.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    command.arg0(name).args(arguments);
    command.env_clear().envs(job.env.iter().map(|(name, value)| (name, value)));
    if let Some(cwd) = &job.cwd {
        command.current_dir(cwd);
    }
    command.stdin(Stdio::inherit()).stdout(Stdio::inherit());
    command.stderr(io::stdout().as_fd().try_clone_to_owned()?);
    birth::prepare(&mut command, control.as_fd().try_clone_to_owned()?, job.has_huge_pages);
    let child = command.spawn()?;
    Ok(Pid::from_raw(i32::try_from(child.id()).map_err(|_| io::ErrorKind::InvalidData)?))
}

/// Why the waiting ended.
#[derive(PartialEq, Eq)]
enum Over {
    /// The command's leader ended and its group had its grace, or the time to kill came.
    Command,
    /// The node is gone.
    NodeGone,
}

struct Watch {
    leader: Pid,
    /// How the leader ended, once it has been reaped.
    ending: Option<Report>,
    /// From SIGTERM to SIGKILL.
    grace: Duration,
    /// Set when the command has been asked to end.
    kill_at: Option<Instant>,
    child_signals: SignalFd,
}

impl Watch {
    fn until_over(&mut self, control: &mut UnixStream) -> io::Result<Over> {
        loop {
            self.reap()?;
            let now = Instant::now();
            if self.kill_at.is_some_and(|at| at <= now) {
                return Ok(Over::Command);
            }
            // Asked to end, the whole group has its grace: a shell dies at once, while what it started still tidies up.
            if self.ending.is_some() && (self.kill_at.is_none() || !self.group_exists()) {
                return Ok(Over::Command);
            }
            let is_asked = self.wait(Some(control), self.kill_at.map(|at| at - now))?;
            if is_asked && !self.obey(control)? {
                return Ok(Over::NodeGone);
            }
        }
    }

    /// Does what the node asks; false if there is no node any more.
    fn obey(&mut self, control: &mut UnixStream) -> io::Result<bool> {
        let mut request = [0; 1];
        match control.read(&mut request) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(_) => return Ok(false),
        }
        match request[0] {
            wire::TERMINATE if self.kill_at.is_none() => {
                self.kill_at = Some(Instant::now() + self.grace);
                self.signal_group(Signal::SIGTERM);
                // A stopped process would not see the signal before it is killed.
                self.signal_group(Signal::SIGCONT);
            }
            wire::KILL => self.kill_at = Some(Instant::now()),
            _ => {}
        }
        Ok(true)
    }

    /// Kills the group, and orphans until none is left.
    fn kill_all(&mut self) -> io::Result<()> {
        if self.ending.is_none() || self.group_exists() {
            self.signal_group(Signal::SIGKILL);
        }
        while self.reap()? {
            for child in orphans::children()? {
                let _ = kill(child, Signal::SIGKILL);
            }
            self.wait(None, Some(ORPHAN_LOOK))?;
        }
        Ok(())
    }

    /// Collects what has ended; false when there is no child left.
    fn reap(&mut self) -> io::Result<bool> {
        while self.child_signals.read_signal()?.is_some() {}
        if self.ending.is_none() && self.kill_at.is_none() {
            // Still a zombie, the leader keeps its number: what shares the group can be killed without hitting a
            // stranger.
            let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            if waitid(Id::Pid(self.leader), peek) != Ok(WaitStatus::StillAlive) {
                self.signal_group(Signal::SIGKILL);
            }
        }
        loop {
            let (pid, ending) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, Report::Exited(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Report::Signalled(signal as i32)),
                Ok(WaitStatus::StillAlive) => return Ok(true),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(Errno::ECHILD) => return Ok(false),
                // Reaped, but by a real-time signal, which nix can't name; whose end it was shows in who is left.
                Err(Errno::EINVAL) if self.ending.is_none() && self.leader_is_gone() => {
                    (self.leader, Report::Signalled(0))
                }
                Err(Errno::EINVAL) => continue,
                Err(errno) => return Err(errno.into()),
            };
            if pid == self.leader {
                self.ending = Some(ending);
            }
        }
    }

    /// Waits for a child to end, for the time to be up, or for word from the node: true.
    fn wait(&self, control: Option<&UnixStream>, at_most: Option<Duration>) -> io::Result<bool> {
        let timeout = at_most.map_or(PollTimeout::NONE, |span| {
            // Rounded up, else the last millisecond would be spent spinning.
            PollTimeout::try_from(span.as_millis() + 1).unwrap_or(PollTimeout::MAX)
        });
        let mut sources = vec![PollFd::new(self.child_signals.as_fd(), PollFlags::POLLIN)];
        sources.extend(control.map(|control| PollFd::new(control.as_fd(), PollFlags::POLLIN)));
        match poll(&mut sources, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(sources.get(1).is_some_and(|source| source.any().unwrap_or(true)))
    }

    fn leader_is_gone(&self) -> bool {
        let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        waitid(Id::Pid(self.leader), peek) == Err(Errno::ECHILD)
    }

    fn signal_group(&self, signal: Signal) {
        // It may be gone.
        let _ = killpg(self.leader, signal);
    }

    fn group_exists(&self) -> bool {
        killpg(self.leader, None) != Err(Errno::ESRCH)
    }
}
