//! The house layer over fred: nothing is ever replayed, every call has a time limit, errors are ours.
//!
//! fred re-sends commands whose reply was lost, by default: a script would run twice. Here a cut is an error, and the caller
//! decides whether the same call may be sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fred::clients::{Client as FredClient, SubscriberClient};
use fred::error::{Error as FredError, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::config::{
    Blocking, Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, Server, ServerConfig, TlsConfig,
    UnresponsiveConfig,
};
use fred::types::{Builder, ClusterHash, CustomCommand, Value};
use futures_util::future::join_all;

use crate::config::{Address, Connection, Tls};
use crate::error::{Error, Problem, Result};
use crate::store::sabotage;
use crate::store::scripts::Script;

/// How long a command may take before its outcome counts as unknown.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(3);
/// Timeouts in a row after which the connection is given up: fred alone does not notice a server that hangs.
const TIMEOUTS_UNTIL_RECONNECT: u32 = 2;

/// Messages that may wait for their reader; a reader that lags is told so and looks for itself. fred makes eight such channels for
/// each connection, heard or not, and fills them with empty places at once: 4,096 places were 10 MB of an idle node.
const MESSAGES_MAX: usize = 128;

/// One connection for commands.
#[derive(Clone)]
pub struct Client {
    inner: FredClient,
    connection: Arc<Connection>,
    timeouts: Arc<AtomicU32>,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Commands that answer at once.
    Commands,
    /// One reader that blocks for up to this long.
    Blocking(Duration),
}

impl Client {
    /// Connects and logs in; afterwards it reconnects by itself.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where the server can't be reached or refuses the login.
    pub async fn connect(connection: Arc<Connection>, purpose: Use) -> Result<Self> {
        let builder = builder(&connection, purpose)?;
        let inner = builder.build().map_err(|why| connection.unavailable(why.details()))?;
        inner.init().await.map_err(|why| refused(&connection, &why))?;
        Ok(Self { inner, connection, timeouts: Arc::default() })
    }

    /// Sends one command, once.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where no answer came: whether it was executed is unknown.
    pub async fn command(&self, name: &'static str, args: Vec<Value>) -> Result<Value> {
        let key = args.first().and_then(Value::as_string);
        self.send(name, args).await.map_err(|why| match key {
            Some(key) if is_mistyped(&why) => wrong_type(&key),
            _ => self.explain(&why),
        })
    }

    /// Runs a script, once; loads it first where Redis does not know it.
    ///
    /// # Errors
    ///
    /// As [`Client::command`]; [`Error::Corrupt`] where the script met keys of another type.
    pub async fn eval<K: Word>(&self, script: &Script, keys: &[K], args: Vec<Value>) -> Result<Value> {
        let all = words(script.sha(), keys, args);
        let reply = match self.send("EVALSHA", all.clone()).await {
            // Proof that this call did not run: it can be sent again.
            Err(why) if why.details().starts_with("NOSCRIPT") => {
                self.command("SCRIPT", vec!["LOAD".into(), script.text().into()]).await?;
                self.send("EVALSHA", all).await
            }
            reply => reply,
        };
        self.answer(script, keys, reply).await
    }

    /// Runs a script that changes nothing; Redis sees to it. It takes no right to write, and none to load scripts.
    ///
    /// # Errors
    ///
    /// As [`Client::eval`].
    pub async fn look(&self, script: &Script, keys: &[String], args: Vec<Value>) -> Result<Value> {
        let reply = match self.send("EVALSHA_RO", words(script.sha(), keys, args.clone())).await {
            Err(why) if why.details().starts_with("NOSCRIPT") => {
                self.send("EVAL_RO", words(script.text(), keys, args)).await
            }
            reply => reply,
        };
        self.answer(script, keys, reply).await
    }

    async fn answer<K: Word>(&self, script: &Script, keys: &[K], reply: Result<Value, FredError>) -> Result<Value> {
        match reply {
            Err(why) if is_acl(why.details()) => {
                let what = format!("run all that the script {} consists of", script.name);
                Err(not_permitted(&self.connection, why.details(), &what))
            }
            Err(why) if is_mistyped(&why) => Err(wrong_type(&self.mistyped(script, keys).await)),
            Err(why) if why.details().starts_with("ERR") && why.details().contains("script") => {
                Err(Error::Internal(Problem::bare(format!("script {} failed: {}", script.name, why.details()))))
            }
            other => other.map_err(|why| self.explain(&why)),
        }
    }

    /// The key that holds something else than the head of the script says; as far as this user may ask.
    async fn mistyped<K: Word>(&self, script: &Script, keys: &[K]) -> String {
        for line in script.text().lines() {
            let Some((number, about)) = line.strip_prefix("-- KEYS[").and_then(|rest| rest.split_once(']')) else {
                continue;
            };
            let key = number.parse::<usize>().ok().and_then(|number| keys.get(number.checked_sub(1)?));
            let key = key.and_then(|key| key.clone().into().as_string());
            let (Some(key), Some(kind)) = (key, about.split_whitespace().nth(1)) else { continue };
            let held = self.command("TYPE", vec![key.as_str().into()]).await.ok().and_then(|held| held.as_string());
            if held.is_some_and(|held| held != "none" && held != kind) {
                return key;
            }
        }
        "a key of this namespace".to_owned()
    }

    /// Sends commands in one pipeline and waits for all replies.
    pub async fn pipeline(&self, commands: Vec<(&'static str, Vec<Value>)>) -> Result<()> {
        let pipeline = self.inner.pipeline();
        for (name, args) in commands {
            let command = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
            pipeline.custom::<Value, Value>(command, args).await.map_err(|why| self.explain(&why))?;
        }
        pipeline.all::<Value>().await.map(drop).map_err(|why| self.explain(&why))
    }

    /// Sends commands in one pipeline; each has its own answer.
    ///
    /// # Errors
    ///
    /// As [`Client::command`], of each by itself.
    pub async fn each(&self, commands: Vec<(&'static str, Vec<Value>)>) -> Result<Vec<Result<Value>>> {
        let pipeline = self.inner.pipeline();
        for (name, args) in commands {
            let command = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
            pipeline.custom::<Value, Value>(command, args).await.map_err(|why| self.explain(&why))?;
        }
        let answers = Box::pin(pipeline.try_all::<Value>()).await;
        Ok(answers.into_iter().map(|answer| answer.map_err(|why| self.explain(&why))).collect())
    }

    /// Sends a few commands at once and waits for all answers; each has its own. In fred's pipelines every command is a write of its
    /// own, and Redis answers each by itself; what is sent side by side leaves in one.
    pub async fn beside<const N: usize>(&self, commands: [(&'static str, Vec<Value>); N]) -> [Result<Value>; N] {
        let answers = join_all(commands.map(|(name, args)| self.send(name, args))).await;
        let mut answers = answers.into_iter();
        std::array::from_fn(|_| {
            let missing = || Err(Error::internal("a command has no answer"));
            answers.next().map_or_else(missing, |answer| answer.map_err(|why| self.explain(&why)))
        })
    }

    /// Closes the connection in order.
    pub async fn quit(&self) {
        let _ = self.inner.quit().await;
    }

    async fn send(&self, name: &'static str, args: Vec<Value>) -> Result<Value, FredError> {
        let command = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
        // fred's future is large, and it would stand in the future of everybody who waits for an answer.
        let reply = Box::pin(self.inner.custom::<Value, Value>(command, args)).await;
        match &reply {
            Err(why) if *why.kind() == ErrorKind::Timeout => {
                if self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= TIMEOUTS_UNTIL_RECONNECT {
                    self.timeouts.store(0, Ordering::Relaxed);
                    // It returns once the server is back, which may be never.
                    let client = self.inner.clone();
                    tokio::spawn(async move { client.force_reconnection().await });
                }
            }
            _ => self.timeouts.store(0, Ordering::Relaxed),
        }
        reply
    }

    fn explain(&self, why: &FredError) -> Error {
        refused(&self.connection, why)
    }
}

/// A key as text, or as it is sent.
pub trait Word: Clone + Into<Value> + Send + Sync {}
impl<K: Clone + Into<Value> + Send + Sync> Word for K {}

/// A script, its keys and its arguments, as Redis takes them.
fn words<K: Word>(script: &str, keys: &[K], args: Vec<Value>) -> Vec<Value> {
    let mut all = Vec::with_capacity(2 + keys.len() + args.len());
    all.push(Value::from(script));
    all.push(Value::from(keys.len() as i64));
    all.extend(keys.iter().cloned().map(Into::into));
    all.extend(args);
    all
}

/// Whether Redis refused the call because this user may not do it, or because it does not do it for anybody.
pub fn is_refused(error: &Error) -> bool {
    let message = &error.problem().message;
    matches!(error, Error::Unavailable(_)) && (message.contains(REFUSED) || message.contains("unknown command"))
}

/// What [`is_refused`] looks for.
const REFUSED: &str = "not permitted: ";

/// Connects the one subscriber of a process.
pub async fn subscriber(connection: &Connection) -> Result<SubscriberClient> {
    let builder = builder(connection, Use::Commands)?;
    let client = builder.build_subscriber_client().map_err(|why| connection.unavailable(why.details()))?;
    client.init().await.map_err(|why| refused(connection, &why))?;
    Ok(client)
}

fn builder(connection: &Connection, purpose: Use) -> Result<Builder> {
    let server = match &connection.address {
        Address::Tcp { host, port, .. } => ServerConfig::Centralized { server: Server::new(host.clone(), *port) },
        Address::Unix(path) => ServerConfig::Unix { path: path.clone() },
    };
    let config = Config {
        fail_fast: true,
        blocking: Blocking::Block,
        username: connection.username.clone(),
        password: connection.password.clone(),
        server,
        database: (connection.database > 0).then_some(connection.database),
        tls: tls(connection)?,
        ..Config::default()
    };
    let mut builder = Builder::from_config(config);
    builder
        .with_connection_config(|with: &mut ConnectionConfig| {
            // Never send a command twice: a cut does not tell whether the script ran.
            with.max_command_attempts = sabotage::command_attempts();
            with.connection_timeout = Duration::from_secs(2);
            with.internal_command_timeout = Duration::from_secs(2);
            with.max_command_buffer_len = 10_000;
            with.auto_client_setname = false;
            with.unresponsive = UnresponsiveConfig { max_timeout: None, ..UnresponsiveConfig::default() };
            with.tcp.nodelay = Some(true);
        })
        .with_performance_config(|with: &mut PerformanceConfig| {
            with.broadcast_channel_capacity = MESSAGES_MAX;
            with.default_command_timeout = match purpose {
                Use::Commands => COMMAND_TIMEOUT,
                Use::Blocking(block) => block + COMMAND_TIMEOUT,
            };
        })
        .set_policy(ReconnectPolicy::new_exponential(0, 20, 500, 2));
    Ok(builder)
}

fn tls(connection: &Connection) -> Result<Option<TlsConfig>> {
    let Address::Tcp { tls: Some(tls), .. } = &connection.address else { return Ok(None) };
    let mut roots = rustls::RootCertStore::empty();
    match tls {
        Tls::System => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Tls::Authorities(path) => {
            use rustls::pki_types::{CertificateDer, pem::PemObject};
            let refuse = |why: String| Error::invalid("redis-ca", format!("{}: {why}", path.display()));
            let certificates = CertificateDer::pem_file_iter(path).map_err(|why| refuse(why.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|why| refuse(why.to_string()))?;
                roots.add(certificate).map_err(|why| refuse(why.to_string()))?;
            }
            if roots.is_empty() {
                return Err(
                    refuse("no certificate in it".to_owned()).hint("a PEM file with the authority's certificate")
                );
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| Error::internal(why.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Some(TlsConfig::from(config)))
}

/// Whether Redis refuses a right: `NOPERM`, and in scripts of 7.0 `ERR The user executing the script can't ...`.
fn is_acl(details: &str) -> bool {
    details.starts_with("NOPERM")
        || details.contains("The user executing the script can't")
        || details.contains("ACL failure in script")
}

/// Which right is missing, and to whom; `what` where Redis does not say.
fn not_permitted(connection: &Connection, details: &str, what: &str) -> Error {
    let user = connection.username.as_deref().unwrap_or("default");
    let command = details.split_once("run the '").and_then(|(_, rest)| rest.split('\'').next());
    let what = match command {
        Some(command) => format!("run {command}"),
        None if details.contains("channel") => "use the channel of this namespace".to_owned(),
        None if details.contains("keys") => "use the keys of this namespace".to_owned(),
        None => what.to_owned(),
    };
    let message = format!("{REFUSED}user {user} may not {what}");
    connection.unavailable(message).hint("upbeat acl prints the rights that nodes, operators and viewers need")
}

fn is_mistyped(why: &FredError) -> bool {
    why.details().contains("WRONGTYPE")
}

/// Somebody else wrote where upbeat keeps its own.
fn wrong_type(key: &str) -> Error {
    let problem =
        Problem::new("redis", format!("{key} holds another type of value than upbeat keeps there")).value(key);
    Error::Corrupt(
        problem.hint(
            "somebody else wrote it: redis-cli TYPE KEY, then RENAME or DEL it; upbeat audit tells what is missing",
        ),
    )
}

/// fred's error as ours, by its first word: Redis' own codes are prefixes of the text.
fn refused(connection: &Connection, why: &FredError) -> Error {
    let details = why.details();
    let word = details.split_whitespace().next().unwrap_or_default();
    let unavailable = |text: String, hint: &str| match connection.unavailable(text) {
        error if hint.is_empty() => error,
        error => error.hint(hint),
    };
    match word {
        "WRONGPASS" | "NOAUTH" => unavailable(
            "login refused: wrong user or password".to_owned(),
            "put them into the URL, or the password into a file and UPBEAT_REDIS_PASSWORD_FILE",
        ),
        _ if is_acl(details) => not_permitted(connection, details, "do this"),
        "READONLY" => unavailable("it is a read-only replica".to_owned(), "name the master"),
        "LOADING" => unavailable("it is loading its data".to_owned(), "try again in a moment"),
        "OOM" => unavailable("its memory is full (maxmemory)".to_owned(), ""),
        "MISCONF" | "NOREPLICAS" | "MASTERDOWN" => unavailable(format!("it refuses writes: {details}"), ""),
        "BUSY" => unavailable("a script of somebody blocks it".to_owned(), ""),
        "WRONGTYPE" => wrong_type("a key of this namespace"),
        _ if details.contains("DB index is out of range") => unavailable(
            format!("database {} is out of range", connection.database),
            "the server's setting `databases` says how many there are",
        ),
        _ => match why.kind() {
            ErrorKind::Auth => unavailable(
                "login refused: wrong user or password".to_owned(),
                "put them into the URL, or the password into a file and UPBEAT_REDIS_PASSWORD_FILE",
            ),
            ErrorKind::Timeout => unavailable("no answer in time".to_owned(), ""),
            ErrorKind::IO | ErrorKind::Canceled | ErrorKind::Backpressure | ErrorKind::Tls => {
                unavailable(format!("can't be reached: {details}"), "")
            }
            _ if details.contains("user_script") || details.contains("script:") => {
                Error::Internal(Problem::bare(format!("a script failed: {details}")))
            }
            _ => unavailable(details.to_owned(), ""),
        },
    }
}
