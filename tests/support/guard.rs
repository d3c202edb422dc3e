//! Kills what the tests started when the test process itself dies, however it dies.
//!
//! A shell waits at the other end of a pipe that only this process holds open. `Drop` does not run on SIGKILL; the end of a pipe does.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};

const SCRIPT: &str = r#"
trap '' HUP INT TERM
pids=
while read -r sign pid; do
  if [ "$sign" = + ]; then pids="$pids $pid"; continue; fi
  left=
  for one in $pids; do [ "$one" = "$pid" ] || left="$left $one"; done
  pids=$left
done
for one in $pids; do kill -9 "$one"; done 2>/dev/null
"#;

fn say(line: &str) {
    static PIPE: OnceLock<Mutex<ChildStdin>> = OnceLock::new();
    let pipe = PIPE.get_or_init(|| {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("/bin/sh");
        Mutex::new(shell.stdin.take().expect("a pipe was asked for"))
    });
    let mut pipe = pipe.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    pipe.write_all(line.as_bytes()).expect("the guard lives as long as the tests");
}

/// Puts a child under guard.
pub fn watch(child: &Child) {
    say(&format!("+ {}\n", child.id()));
}

/// Waits for a child that is ending. It leaves the guard first: once reaped, its number may belong to somebody else.
pub fn reap(child: &mut Child) -> std::process::ExitStatus {
    say(&format!("- {}\n", child.id()));
    child.wait().expect("a child can be waited for")
}
