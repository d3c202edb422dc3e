//! A proxy between a client and Redis that loses what a network loses, at the instant that a test names.
//!
//! It understands just enough RESP to know which command is which: a script is called by the name in its first line
//! (`-- claim: ...`), any other command by its verb in capitals (`BLPOP`). The product's scripts it knows from the start, and its
//! server has them: which call is the second of its script depends on nobody's loading. It runs on a thread of its own, so a test
//! may block.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::{oneshot, watch};

use super::redis::RedisServer;
use super::{short_dir, wait};

mod connection;
mod frame;

/// What happens to a command that a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Redis executes it; the connection is cut instead of the reply.
    CutReply,
    /// The connection is cut before Redis sees it.
    CutRequest,
    /// Redis executes it; its reply and all that follows are swallowed, the connection stays open.
    SwallowReply,
}

struct Rule {
    label: String,
    /// How many calls pass before the one that is met.
    passes: usize,
    fate: Fate,
}

/// What all connections do, beside the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    /// Nothing moves in either direction; new connections are accepted and hang.
    Blackhole,
    /// Connections are closed, new ones at once.
    Refuse,
}

#[derive(Default)]
struct Book {
    rules: Vec<Rule>,
    /// Names of a script by its SHA-1: the product's, and those learned from `SCRIPT LOAD` and its reply.
    scripts: HashMap<String, Vec<String>>,
    seen: HashMap<String, usize>,
    hits: HashMap<String, usize>,
    delay: Duration,
}

struct Shared {
    book: Mutex<Book>,
    mode: watch::Sender<Mode>,
}

#[derive(Clone)]
enum Target {
    Unix(PathBuf),
    Tcp(u16),
}

/// A running proxy; it ends, with all its connections, when dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    dir: tempfile::TempDir,
    _stop: oneshot::Sender<()>,
}

impl Proxy {
    /// A proxy before this server, which is given all scripts.
    pub fn before(server: &RedisServer) -> Self {
        let mut client = server.client().expect("a server that answers");
        for script in upbeat::store::scripts() {
            let digest = client.ask(&["SCRIPT", "LOAD", script.text()]).expect("a script is loaded").text();
            assert_eq!(digest, script.sha());
        }
        Self::start(Target::Unix(server.socket()))
    }

    /// A proxy before a Redis on a port of 127.0.0.1, without TLS.
    pub fn before_port(port: u16) -> Self {
        Self::start(Target::Tcp(port))
    }

    /// For `--redis`.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("p.sock")
    }

    /// Cuts the connection instead of the next reply to `label`; Redis has executed it then.
    pub fn cut_reply_of(&self, label: &str) {
        self.meet(label, 1, Fate::CutReply);
    }

    /// The `nth` call of `label` from now on, 1 is the next, meets this fate. Rules for one label count each for itself.
    pub fn meet(&self, label: &str, nth: usize, fate: Fate) {
        assert!(nth > 0, "calls are counted from 1");
        self.book().rules.push(Rule { label: label.to_owned(), passes: nth - 1, fate });
    }

    /// Forgets the rules that have met nothing yet.
    pub fn pardon(&self) {
        self.book().rules.clear();
    }

    /// Every reply waits this long.
    pub fn delay(&self, delay: Duration) {
        self.book().delay = delay;
    }

    /// From now on nothing moves, while connections look alive. [`heal`](Self::heal) ends it.
    pub fn blackhole(&self) {
        self.shared.mode.send_replace(Mode::Blackhole);
    }

    /// Cuts all connections and refuses new ones. [`heal`](Self::heal) ends it.
    pub fn refuse(&self) {
        self.shared.mode.send_replace(Mode::Refuse);
    }

    /// Everything passes again; what a blackhole held back is delivered.
    pub fn heal(&self) {
        self.shared.mode.send_replace(Mode::Pass);
    }

    /// How often `label` was sent, `*` for all commands, cut ones included.
    pub fn seen(&self, label: &str) -> usize {
        self.book().seen.get(label).copied().unwrap_or(0)
    }

    /// How often a call of `label` has met its fate.
    pub fn hits(&self, label: &str) -> usize {
        self.book().hits.get(label).copied().unwrap_or(0)
    }

    /// Waits until `count` calls of `label` have met their fate.
    #[track_caller]
    pub fn wait_hits(&self, label: &str, count: usize, deadline: Duration) {
        wait::wait_for(&format!("{count} hits of {label}"), deadline, || self.hits(label) >= count);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.shared.book()
    }

    fn start(target: Target) -> Self {
        let dir = short_dir();
        let book = Book { scripts: known(), ..Book::default() };
        let shared = Arc::new(Shared { book: Mutex::new(book), mode: watch::Sender::new(Mode::Pass) });
        let (stop, stopped) = oneshot::channel();
        let proxy = Self { shared: shared.clone(), dir, _stop: stop };
        let socket = std::os::unix::net::UnixListener::bind(proxy.socket()).expect("a socket in a fresh directory");
        socket.set_nonblocking(true).expect("a socket can be non-blocking");
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = UnixListener::from_std(socket).expect("a listening socket");
                tokio::select! {
                    () = serve(&listener, &shared, &target) => {}
                    _ = stopped => {}
                }
            });
        });
        proxy
    }
}

/// The product's scripts by their digests.
fn known() -> HashMap<String, Vec<String>> {
    upbeat::store::scripts().map(|script| (script.sha().to_owned(), vec![script.name.to_owned()])).collect()
}

async fn serve(listener: &UnixListener, shared: &Arc<Shared>, target: &Target) {
    while let Ok((client, _)) = listener.accept().await {
        let (shared, target) = (shared.clone(), target.clone());
        tokio::spawn(async move {
            // A Redis that is down looks like one behind this proxy: the client is hung up on.
            match target {
                Target::Unix(path) => {
                    if let Ok(server) = UnixStream::connect(path).await {
                        connection::run(client, server, shared).await;
                    }
                }
                Target::Tcp(port) => {
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await {
                        connection::run(client, server, shared).await;
                    }
                }
            }
        });
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, sha: &str, names: Vec<String>) {
        self.book().scripts.insert(sha.to_lowercase(), names);
    }

    /// Counts a command and says what happens to it.
    fn judge(&self, command: &[Vec<u8>]) -> Option<(String, Fate)> {
        let book = &mut *self.book();
        let labels = frame::labels(command, &book.scripts);
        *book.seen.entry("*".to_owned()).or_default() += 1;
        for label in &labels {
            *book.seen.entry(label.clone()).or_default() += 1;
        }
        let mut met = None;
        book.rules.retain_mut(|rule| {
            if met.is_some() || !labels.contains(&rule.label) {
                return true;
            }
            if rule.passes > 0 {
                rule.passes -= 1;
                return true;
            }
            met = Some((rule.label.clone(), rule.fate));
            false
        });
        met
    }

    /// A rule that had chosen a call and could not meet it.
    fn take_back(&self, label: String, fate: Fate) {
        self.book().rules.push(Rule { label, passes: 0, fate });
    }

    fn hit(&self, label: &str) {
        *self.book().hits.entry(label.to_owned()).or_default() += 1;
    }

    fn delay(&self) -> Duration {
        self.book().delay
    }

    /// Returns when data may move, `false` when the connection is to be closed.
    async fn may_move(&self) -> bool {
        let mut mode = self.mode.subscribe();
        mode.wait_for(|mode| *mode != Mode::Blackhole).await.is_ok_and(|mode| *mode == Mode::Pass)
    }

    /// Returns when connections are refused.
    async fn refused(&self) {
        // The sender lives as long as `self`.
        let _ = self.mode.subscribe().wait_for(|mode| *mode == Mode::Refuse).await;
    }
}
