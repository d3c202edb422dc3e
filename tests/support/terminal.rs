//! A terminal for a program under test: what it writes there is read as a person would see it, escapes and all.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
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

/// A program in front of a terminal.
pub struct Running {
    child: Child,
    terminal: Reader,
    pipes: Vec<Reader>,
}

/// What was read so far, and who reads.
struct Reader(Arc<Mutex<Vec<u8>>>, JoinHandle<()>);

/// Runs a program in front of a terminal of 200 columns until it ends.
#[track_caller]
pub fn run(command: Command, on: On) -> Seen {
    start(command, on).wait()
}

/// Starts a program in front of a terminal of 200 columns.
#[track_caller]
pub fn start(mut command: Command, on: On) -> Running {
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
    let out = child.stdout.take().map(Reader::of);
    let err = child.stderr.take().map(Reader::of);
    // A terminal ends when nobody holds its other side: `command` and `pair.slave` go here.
    Running { child, terminal: Reader::of(File::from(pair.master)), pipes: out.into_iter().chain(err).collect() }
}

impl Running {
    /// What it wrote to the terminal so far.
    pub fn terminal(&self) -> String {
        self.terminal.text()
    }

    /// Waits until it ends.
    #[track_caller]
    pub fn wait(mut self) -> Seen {
        let code = guard::reap(&mut self.child).code();
        let pipe = self.pipes.into_iter().map(Reader::end).collect();
        Seen { code, terminal: self.terminal.end(), pipe }
    }
}

impl Reader {
    fn of(mut from: impl Read + Send + 'static) -> Self {
        let read: Arc<Mutex<Vec<u8>>> = Arc::default();
        let shared = read.clone();
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // A terminal whose other side is gone answers EIO.
            while let Ok(count @ 1..) = from.read(&mut chunk) {
                shared.lock().expect("nobody panics with it").extend_from_slice(&chunk[..count]);
            }
        });
        Self(read, reader)
    }

    fn text(&self) -> String {
        let read = self.0.lock().expect("nobody panics with it");
        String::from_utf8_lossy(&read).replace("\r\n", "\n")
    }

    fn end(self) -> String {
        let Self(read, reader) = self;
        reader.join().expect("a reader");
        let read = read.lock().expect("nobody panics with it");
        String::from_utf8_lossy(&read).replace("\r\n", "\n")
    }
}

/// The terminal that the test names, else a usual one.
fn command_term(command: &Command) -> std::ffi::OsString {
    let named = command.get_envs().find(|(name, _)| *name == "TERM").and_then(|(_, value)| value);
    named.map_or_else(|| "xterm-256color".into(), ToOwned::to_owned)
}
