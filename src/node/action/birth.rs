//! What a command does between fork and exec: the only unsafe code of the crate.

#![allow(unsafe_code)]

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{getpid, getppid, setsid};

/// Makes `command` tell `control` its number, [`Report::Started`](super::wire::Report), before it runs anything:
/// whenever the supervisor is killed, the node knows whom to kill. Makes it lead a session of its own, die with this
/// thread, and start without blocked signals or foreign descriptors, and with huge pages where only its node had switched them off.
pub(super) fn prepare(command: &mut Command, control: OwnedFd, has_huge_pages: bool) {
    let supervisor = getpid();
    let prepare = move || -> io::Result<()> {
        setsid()?;
        let mut line = [0; 32];
        let mut rest = &mut line[..];
        writeln!(rest, "started {}", getpid())?;
        let length = 32 - rest.len();
        // Without a node there is nobody to tell.
        let _ = nix::unistd::write(&control, &line[..length]);
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The supervisor may have died before the line above: then no signal comes any more.
        if getppid() != supervisor {
            return Err(Errno::ESRCH.into());
        }
        if has_huge_pages {
            prctl::set_thp_disable(false)?;
        }
        SigSet::empty().thread_set_mask()?;
        // Whoever started the node may have left descriptors open in it. A kernel older than 5.11 refuses, and they
        // stay open. SAFETY: marks descriptors to be closed by exec; closes none, so nothing that is in use here goes
        // away.
        unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        Ok(())
    };
    // SAFETY: after fork only what is safe in a signal handler may be called, because another thread could hold a lock.
    // Here are only plain system calls, without allocation or lock (an error is made of its number), and the supervisor
    // has a single thread anyway.
    unsafe { command.pre_exec(prepare) };
}
