//! The private Redis of a playground: found, started, asked and stopped.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cli::actor::variable;
use crate::error::{Error, Problem, Result};

/// How long a server may take to start and to stop; it reads and writes its file meanwhile.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; it is stopped when dropped, and when this process dies.
pub struct PrivateRedis {
    child: Child,
    /// Held open as long as the server is wanted.
    guard: Option<(Child, ChildStdin)>,
    socket: PathBuf,
    /// As it says itself.
    pub version: String,
}

/// Waits for the end of its input, then stops the server: also when this process is killed.
const GUARD: &str = "trap '' HUP INT TERM; read -r _ || { sleep 2; kill -TERM \"$1\"; }";

impl PrivateRedis {
    /// Starts a server that keeps what it is given in `folder`, on a socket with a short path.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where there is no server program, or it does not start.
    pub fn start(folder: &Path) -> Result<Self> {
        let program = program()?;
        let refuse = |why: String| Error::Unavailable(Problem::new("dev", format!("{}: {why}", program.display())));
        let folder = folder.canonicalize().map_err(|why| refuse(why.to_string()))?;
        let socket = socket_folder().map_err(|why| refuse(why.to_string()))?.join("redis.sock");
        let log = std::fs::File::create(folder.join("redis.log")).map_err(|why| refuse(why.to_string()))?;
        let mut command = Command::new(&program);
        command.current_dir(&folder).stdin(Stdio::null()).stderr(Stdio::null()).stdout(log);
        command.args([
            "--port",
            "0",
            "--unixsocketperm",
            "700",
            "--save",
            "",
            "--daemonize",
            "no",
            "--appendonly",
            "yes",
        ]);
        command.arg("--unixsocket").arg(&socket).arg("--dir").arg(&folder);
        // Ctrl-C goes to the whole group of a terminal: the server must not be gone before the nodes.
        command.process_group(0);
        let child = command.spawn().map_err(|why| refuse(why.to_string()))?;
        let mut server = Self { child, guard: None, socket, version: String::new() };
        server.guard = server.watch();
        server.wait_ready().map_err(|why| {
            let log = folder.join("redis.log");
            refuse(why).hint(format!("its own words are in {}", log.display()))
        })?;
        Ok(server)
    }

    /// For `--redis`.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(&mut self) {
        let _ = ask(&self.socket, "SHUTDOWN NOSAVE");
        let start = Instant::now();
        while self.is_running() && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some((mut guard, mut input)) = self.guard.take() {
            // A line tells the guard that all is done.
            let _ = input.write_all(b"done\n");
            drop(input);
            let _ = guard.wait();
        }
        if let Some(folder) = self.socket.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }

    fn watch(&self) -> Option<(Child, ChildStdin)> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", GUARD, "sh", &self.child.id().to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut guard = command.spawn().ok()?;
        let input = guard.stdin.take()?;
        Some((guard, input))
    }

    fn wait_ready(&mut self) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Ok(info) = ask(&self.socket, "INFO server")
                && info.starts_with('$')
            {
                let version = |name: &str| info.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
                let version = version("valkey_version:").or_else(|| version("redis_version:"));
                self.version = version.unwrap_or_default().trim().to_owned();
                return Ok(());
            }
            if !self.is_running() {
                return Err("it ended at once".to_owned());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("not ready after {} s", PATIENCE.as_secs()))
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        if self.guard.is_some() {
            self.stop();
        }
    }
}

/// Stops a server that an earlier playground left behind.
pub fn stop_left_over(url: &str) {
    let Some(socket) = url.strip_prefix("unix://").map(PathBuf::from) else { return };
    let _ = ask(&socket, "SHUTDOWN NOSAVE");
    let start = Instant::now();
    while UnixStream::connect(&socket).is_ok() && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    if let Some(folder) = socket
        .parent()
        .filter(|folder| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("upbeat-")))
    {
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// One command in Redis' inline form; what came first of its reply.
fn ask(socket: &Path, command: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut reply = vec![0; 8192];
    let length = stream.read(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply[..length]).into_owned())
}

/// `$UPBEAT_REDIS_SERVER`, else the first of redis-server and valkey-server on the path.
fn program() -> Result<PathBuf> {
    if let Some(named) = variable("UPBEAT_REDIS_SERVER") {
        return Ok(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = ["redis-server", "valkey-server"].iter().find_map(|name| {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| {
            program.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
        })
    });
    found.ok_or_else(|| {
        let problem = Problem::new("dev", "no redis-server on the path");
        Error::Unavailable(
            problem.hint(
                "install one (apt install redis-server, brew install redis), or name it with UPBEAT_REDIS_SERVER",
            ),
        )
    })
}

/// A new folder, for this user alone, whose path leaves room for a socket's name: the limit is about 100 bytes.
fn socket_folder() -> std::io::Result<PathBuf> {
    let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_dir());
    let base = runtime.filter(|folder| folder.as_os_str().len() < 60).unwrap_or_else(|| PathBuf::from("/tmp"));
    for _ in 0..16 {
        let folder = base.join(format!("upbeat-{:08x}", fastrand::u32(..)));
        match std::fs::create_dir(&folder) {
            Ok(()) => {
                std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
                return Ok(folder);
            }
            Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(why) => return Err(why),
        }
    }
    Err(std::io::Error::other("no name for a socket is free"))
}
