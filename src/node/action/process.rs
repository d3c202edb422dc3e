//! The node's side of a command: starts its supervisor, collects what it writes, asks it to end.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::fcntl::OFlag;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use super::cause::{Cause, Interruption};
use super::output::Tail;
use super::wire::{self, Job, Report};
use super::{Refused, supervisor};

/// What is read after the end at most; everything that could write is dead, a pipe holds 64 KiB, but its end may be in
/// strange hands.
const LEFT_OVER_MAX_BYTES: usize = 1024 * 1024;

/// The program of the supervisor, held open: an upgrade that replaces or removes the file does not touch this node.
#[derive(Debug)]
pub(super) struct Program {
    file: File,
}

impl Program {
    /// Opens `path`; `None`: the program that runs now.
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let path = path.unwrap_or(Path::new("/proc/self/exe"));
        Ok(Self { file: OpenOptions::new().read(true).custom_flags(OFlag::O_PATH.bits()).open(path)? })
    }

    fn path(&self) -> PathBuf {
        // Read by the child, whose descriptors are a copy of ours up to its exec.
        format!("/proc/self/fd/{}", self.file.as_raw_fd()).into()
    }
}

/// How a command ended.
#[derive(Debug)]
pub(super) struct End {
    /// What the supervisor said last; `None`: it was killed.
    pub(super) report: Option<Report>,
    /// Why it was asked to end, if it was.
    pub(super) cause: Option<Cause>,
}

/// Runs `job` to its end; when this returns, no process of it is left.
///
/// If the future is dropped, the supervisor finds its socket closed and kills the command.
pub(super) async fn run(
    program: &Program,
    job: &Job,
    name: &str,
    payload: Option<&[u8]>,
    interruption: &mut Interruption,
    tail: &mut Tail<'_>,
) -> Result<End, Refused> {
    let message = job.encode()?;
    let cannot = |error: io::Error| Refused(format!("no process for it: {error}"));
    let (mut supervisor, control, mut output) = start(program, name, payload).map_err(cannot)?;
    let (answers, mut control) = control.into_split();
    let mut answers = BufReader::new(answers).lines();
    // If it fails the supervisor is gone, which the loop finds out.
    let _ = control.write_all(&message).await;

    let mut group = None;
    let mut last = None;
    let mut cause = None;
    let mut is_open = true;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            read = output.read(&mut buffer), if is_open => match read {
                Ok(length @ 1..) => tail.push(&buffer[..length]),
                _ => is_open = false,
            },
            line = answers.next_line() => match line {
                Ok(Some(line)) => match Report::parse(&line) {
                    Some(Report::Started(leader)) => group = Some(Pid::from_raw(leader)),
                    Some(report) => {
                        last = Some(report);
                        break;
                    }
                    None => tracing::error!(line, "a supervisor said what it never says"),
                },
                _ => break,
            },
            asked = interruption.next() => {
                cause = Some(asked);
                let _ = control.write_all(&[if asked.is_mild() { wire::TERMINATE } else { wire::KILL }]).await;
            }
        }
    }
    let is_ended = matches!(last, Some(Report::Exited(_) | Report::Signalled(_)));
    if !is_ended && let Some(group) = group {
        // The leader died with its supervisor; whoever else is in its group lives. Its number is not given to another
        // so soon.
        let _ = killpg(group, Signal::SIGKILL);
    }
    drop((control, answers));
    let mut left_over = 0;
    while is_open && left_over < LEFT_OVER_MAX_BYTES {
        // By the descriptor itself: `try_read` reads only what the runtime has been told of, and what a quick command wrote
        // just before its end would be lost. It does not block, `from_owned_fd` has seen to that.
        match nix::unistd::read(&output, &mut buffer) {
            Err(nix::errno::Errno::EINTR) => {}
            Ok(length @ 1..) => {
                tail.push(&buffer[..length]);
                left_over += length;
            }
            _ => is_open = false,
        }
    }
    supervisor.wait().await.map_err(cannot)?;
    Ok(End { report: last, cause })
}

fn start(
    program: &Program,
    name: &str,
    payload: Option<&[u8]>,
) -> io::Result<(tokio::process::Child, UnixStream, pipe::Receiver)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let (output, their_output) = io::pipe()?;
    ours.set_nonblocking(true)?;
    let mut command = tokio::process::Command::new(program.path());
    // The name is for people who look at the list of processes.
    command.arg0("upbeat").arg(supervisor::ARGUMENT).arg(name).env_clear();
    // A group of its own: Ctrl-C on the node's terminal is for the node to handle.
    command.process_group(0);
    command.stdin(payload.map_or(Ok(Stdio::null()), standard_input)?);
    command.stdout(their_output).stderr(Stdio::from(OwnedFd::from(theirs)));
    let child = command.spawn()?;
    Ok((child, UnixStream::from_std(ours)?, pipe::Receiver::from_owned_fd(output.into())?))
}

/// A file in memory: unlike a pipe it needs nobody who writes, so a command that reads little, late or never blocks
/// nothing.
fn standard_input(payload: &[u8]) -> io::Result<Stdio> {
    // Machines may insist that such a file can't be executed, which kernels before 6.3 do not know.
    let not_executable = MFdFlags::MFD_CLOEXEC | MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);
    let memory = memfd_create(c"upbeat-payload", not_executable)
        .or_else(|_| memfd_create(c"upbeat-payload", MFdFlags::MFD_CLOEXEC))?;
    let mut file = File::from(memory);
    file.write_all(payload)?;
    file.rewind()?;
    Ok(file.into())
}
