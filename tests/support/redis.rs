//! A private Redis server per test, on a Unix socket in a directory of its own, so that no two tests race for a port.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::resp::{Client, Reply};
use super::wait::{DEADLINE, wait_for, within};
use super::{guard, setting, short_dir, tls};

/// What a test needs of its server beside the defaults.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Keep every acknowledged write through a kill: `appendonly yes`, `appendfsync always`.
    pub aof: bool,
    /// Listen on 127.0.0.1 too, on a free port: for replicas and TCP clients.
    pub tcp: bool,
    /// Listen with TLS on 127.0.0.1, on a free port, with a certificate of [`tls::Authority`].
    pub tls: bool,
    pub requirepass: Option<String>,
    /// Users as in `ACL SETUSER`: `alice on >secret ~* &* +@all`.
    pub acl: Vec<String>,
    /// A program other than the one that `scripts/setup` found.
    pub program: Option<PathBuf>,
    /// Any other words for the command line, as `--enable-debug-command yes`.
    pub args: Vec<String>,
}

/// A running server; it is killed when dropped, and when the test process dies.
pub struct RedisServer {
    options: Options,
    dir: TempDir,
    child: Option<Child>,
    tcp_port: Option<u16>,
    tls_port: Option<u16>,
    authority: Option<tls::Authority>,
}

impl RedisServer {
    /// Starts a server that keeps nothing.
    #[track_caller]
    pub fn fresh() -> Self {
        Self::start(Options::default())
    }

    /// Starts a server that survives [`kill`](Self::kill) and [`restart`](Self::restart) with all it acknowledged.
    #[track_caller]
    pub fn durable() -> Self {
        Self::start(Options { aof: true, ..Options::default() })
    }

    #[track_caller]
    pub fn start(options: Options) -> Self {
        let dir = short_dir();
        let authority = options.tls.then(|| tls::Authority::new(dir.path()));
        let mut server = Self { options, dir, child: None, tcp_port: None, tls_port: None, authority };
        server.launch();
        server
    }

    /// Kills the server without a word, like a crash, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error means that it has ended by itself.
            let _ = child.kill();
            guard::reap(&mut child);
        }
    }

    /// Starts it again with the same directory, socket and ports; kills it first if it still runs.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill();
        self.launch();
    }

    /// Freezes the server: connections stay open, nothing answers.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("r.sock")
    }

    /// For `--redis`, over the Unix socket.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// For `--redis`, over TCP.
    #[track_caller]
    pub fn tcp_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.tcp_port())
    }

    /// For `--redis`, over TLS; the certificate is for `localhost`.
    #[track_caller]
    pub fn tls_url(&self) -> String {
        format!("rediss://localhost:{}", self.tls_port.expect("started without tls"))
    }

    /// The file for `--redis-ca`.
    #[track_caller]
    pub fn ca_file(&self) -> PathBuf {
        self.authority.as_ref().expect("started without tls").ca_file()
    }

    #[track_caller]
    pub fn tcp_port(&self) -> u16 {
        self.tcp_port.expect("started without tcp")
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The server's log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("redis.log")).unwrap_or_default()
    }

    /// A connection of our own client, logged in where a password is set.
    pub fn client(&self) -> std::io::Result<Client> {
        let mut client = Client::unix(&self.socket())?;
        if let Some(password) = &self.options.requirepass {
            client.ask(&["AUTH", password])?;
        }
        Ok(client)
    }

    /// One command over a connection of its own; an error reply is a value.
    #[track_caller]
    pub fn ask(&self, command: &[&str]) -> Reply {
        let reply = self.client().and_then(|mut client| client.ask(command));
        reply.unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// One command, its reply as `redis-cli` would print it.
    #[track_caller]
    pub fn cli(&self, command: &[&str]) -> String {
        self.ask(command).to_string()
    }

    /// A field of `INFO`, as `used_memory` or `redis_version`.
    #[track_caller]
    pub fn info(&self, field: &str) -> String {
        let info = self.cli(&["INFO", "everything"]);
        let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("INFO has no {field}")).trim().to_owned()
    }

    /// Its own clock, ms.
    #[track_caller]
    pub fn now_ms(&self) -> i64 {
        let time = self.ask(&["TIME"]);
        let part = |at: usize| time.list()[at].text().parse::<i64>().expect("a number");
        part(0) * 1_000 + part(1) / 1_000
    }

    /// Waits until its own clock is past this instant.
    #[track_caller]
    pub fn wait_past(&self, at_ms: i64) {
        let what = format!("{at_ms} has passed");
        wait_for(&what, DEADLINE, || self.now_ms() > at_ms);
    }

    /// How often each command was called, as it counts them itself.
    #[track_caller]
    pub fn calls(&self) -> BTreeMap<String, u64> {
        let stats = self.cli(&["INFO", "commandstats"]);
        let calls = stats.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().expect("a number")))
        });
        calls.collect()
    }

    /// How often one was called: `evalsha`, `mget`.
    #[track_caller]
    pub fn calls_of(&self, command: &str) -> u64 {
        self.calls().get(command).copied().unwrap_or(0)
    }

    /// What stands in a list, each text JSON: messages, the first one first.
    #[track_caller]
    pub fn messages(&self, list: &str) -> Vec<Value> {
        let texts = self.ask(&["LRANGE", list, "0", "-1"]);
        let read = |text: &Reply| serde_json::from_str(&text.text()).unwrap_or_else(|why| panic!("{list}: {why}"));
        texts.list().iter().map(read).collect()
    }

    /// All keys, sorted.
    #[track_caller]
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.ask(&["KEYS", "*"]).list().iter().map(Reply::text).collect();
        keys.sort();
        keys
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("the server runs");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
        kill(pid, signal).expect("a child can be signalled");
    }

    #[track_caller]
    fn launch(&mut self) {
        // A free port may be taken by somebody else before the server has it: then once more, with another.
        for _ in 0..5 {
            self.choose_ports();
            match self.try_launch() {
                Ok(child) => {
                    self.child = Some(child);
                    return;
                }
                Err(()) if self.log().contains("Address already in use") => {
                    (self.tcp_port, self.tls_port) = (None, None);
                }
                Err(()) => break,
            }
        }
        panic!("the Redis server of the test did not start:\n{}", self.log());
    }

    fn choose_ports(&mut self) {
        if self.options.tcp && self.tcp_port.is_none() {
            self.tcp_port = Some(free_port());
        }
        if self.options.tls && self.tls_port.is_none() {
            self.tls_port = Some(free_port());
        }
    }

    fn try_launch(&self) -> Result<Child, ()> {
        let dir = self.dir.path();
        let log = std::fs::File::create(dir.join("redis.log")).expect("a log file");
        // Left by a killed server, it would look ready before the new one is.
        let _ = std::fs::remove_file(self.socket());
        let mut command = Command::new(self.options.program.clone().unwrap_or_else(server_program));
        command.current_dir(dir).stdin(Stdio::null()).stderr(log.try_clone().expect("a log file")).stdout(log);
        command.args(["--port", &self.tcp_port.unwrap_or(0).to_string(), "--bind", "127.0.0.1"]);
        command.arg("--unixsocket").arg(self.socket());
        command.args(["--save", "", "--daemonize", "no"]);
        command.arg("--dir").arg(dir);
        if self.options.aof {
            command.args(["--appendonly", "yes", "--appendfsync", "always"]);
        }
        if let Some(password) = &self.options.requirepass {
            command.args(["--requirepass", password]);
        }
        if let (Some(port), Some(authority)) = (self.tls_port, &self.authority) {
            command.args(["--tls-port", &port.to_string(), "--tls-auth-clients", "no"]);
            command.arg("--tls-ca-cert-file").arg(authority.ca_file());
            command.arg("--tls-cert-file").arg(authority.cert_file());
            command.arg("--tls-key-file").arg(authority.key_file());
        }
        for user in &self.options.acl {
            command.arg("--user").args(user.split_whitespace());
        }
        command.args(&self.options.args);

        let mut child = command.spawn().expect("the Redis server can be started");
        guard::watch(&child);
        let answers = within(DEADLINE, || {
            if self.client().and_then(|mut client| client.ask(&["PING"])).is_ok_and(|reply| !is_loading(&reply)) {
                return Some(true);
            }
            child.try_wait().expect("a child can be asked").map(|_| false)
        });
        if answers == Some(true) {
            return Ok(child);
        }
        let _ = child.kill();
        guard::reap(&mut child);
        Err(())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_loading(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(error) if error.starts_with("LOADING"))
}

/// The Redis server that `scripts/setup` found, else the first on PATH.
#[track_caller]
pub fn server_program() -> PathBuf {
    if let Some(program) = setting("UPBEAT_REDIS_SERVER") {
        return program.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["redis-server", "valkey-server"];
    let found = names.iter().flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(name)));
    let mut found = found.filter(|file| file.is_file());
    found.next().expect("no redis-server or valkey-server on PATH: run scripts/setup --test")
}

/// A server that upbeat must refuse, Redis 6.2; `None` where `scripts/setup` could not get one.
pub fn old_server_program() -> Option<PathBuf> {
    setting("UPBEAT_OLD_REDIS_SERVER").map(PathBuf::from)
}

/// A TCP port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}
