//! A terminal for a program under test: what it writes there is read as a person would see it, escapes and all.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use nix::pty::{Winsize, openpty};

use super::guard;

/// Which streams of the program are the terminal; the others are pipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Stdout,
    Stderr,
    Both,
}

/// What a program wrote.
#[derive(Debug)]
pub struct Seen {
    pub code: Option<i32>,
    /// To the terminal.
    pub terminal: String,
    /// To the stream that is none.
    pub pipe: String,
}

/// Runs a program in front of a terminal of 200 columns until it ends.
#[track_caller]
pub fn run(mut command: Command, on: On) -> Seen {
    let size = Winsize { ws_row: 50, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
    let pair = openpty(&size, None).expect("a terminal");
    let slave = |is_terminal: bool| match is_terminal {
        true => Stdio::from(pair.slave.try_clone().expect("a terminal")),
        false => Stdio::piped(),
    };
    command.env("TERM", command_term(&command)).stdin(Stdio::null());
    command.stdout(slave(on != On::Stderr)).stderr(slave(on != On::Stdout));
    let mut child = command.spawn().expect("the binary was built");
    guard::watch(&child);
    let out = child.stdout.take().map(read_all);
    let err = child.stderr.take().map(read_all);
    let terminal = read_all(File::from(pair.master));
    // A terminal ends when nobody holds its other side.
    drop(command);
    drop(pair.slave);
    let code = guard::reap(&mut child).code();
    let text = |reader: JoinHandle<String>| reader.join().expect("a reader");
    let pipe = out.into_iter().chain(err).map(text).collect();
    Seen { code, terminal: text(terminal).replace("\r\n", "\n"), pipe }
}

/// The terminal that the test names, else a usual one.
fn command_term(command: &Command) -> std::ffi::OsString {
    let named = command.get_envs().find(|(name, _)| *name == "TERM").and_then(|(_, value)| value);
    named.map_or_else(|| "xterm-256color".into(), ToOwned::to_owned)
}

fn read_all(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
        // A terminal whose other side is gone answers EIO.
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            let _ = bytes.write_all(&chunk[..count]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
