//! Where Redis is and how to log in: what flags, variables and files say, already checked.

use std::path::PathBuf;

use url::Url;

use crate::error::{Error, Problem, Result};

/// A server and the right to use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// How to reach it.
    pub address: Address,
    /// ACL user; the default user where none is named.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// Database number, 0 where none is named.
    pub database: u8,
    /// The URL as it may be shown: without the password.
    pub shown: String,
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// By TCP, with TLS or without.
    Tcp {
        /// Name or address.
        host: String,
        /// 6379 where none is named.
        port: u16,
        /// How the server proves who it is; `None` without TLS.
        tls: Option<Tls>,
    },
    /// By a Unix socket.
    Unix(PathBuf),
}

/// Whom to believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// The system's own authorities.
    System,
    /// The authorities in this PEM file alone.
    Authorities(PathBuf),
}

const FORMS: &str = "write redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///path/to/socket?db=N";

impl Connection {
    /// Reads `redis://`, `rediss://`, `unix://` and `redis+unix://` URLs. `ca` replaces the system's authorities.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] about `redis`, never with the password in it.
    pub fn parse(text: &str, ca: Option<PathBuf>) -> Result<Self> {
        let url = Url::parse(&with_host(text)).map_err(|why| {
            Error::invalid("redis", format!("{} is not a URL: {why}", without_password(text))).hint(FORMS)
        })?;
        let username = Some(decoded(url.username())).filter(|name| !name.is_empty());
        let password = url.password().map(decoded);
        let shown = without_password(text);
        match url.scheme() {
            "redis" | "rediss" => {
                check_query(&url, &[], "redis://:PASSWORD@HOST:PORT/DB")?;
                let host = url.host_str().filter(|host| !host.is_empty());
                let host = host.ok_or_else(|| Error::invalid("redis", format!("{shown} names no host")).hint(FORMS))?;
                let tls = (url.scheme() == "rediss").then(|| ca.map_or(Tls::System, Tls::Authorities));
                let address = Address::Tcp {
                    host: host.trim_matches(['[', ']']).to_owned(),
                    port: url.port().unwrap_or(6379),
                    tls,
                };
                let database = database(url.path().trim_matches('/'), &shown)?;
                Ok(Self { address, username, password, database, shown })
            }
            "unix" | "redis+unix" => {
                check_query(&url, &["db"], "unix://:PASSWORD@/path?db=N")?;
                let number = url.query_pairs().find(|(key, _)| key == "db").map(|(_, value)| value.into_owned());
                let database = database(&number.unwrap_or_default(), &shown)?;
                if let Some(host) = url.host_str().filter(|host| !host.is_empty() && *host != ANY_HOST) {
                    let why = format!("{shown} names the host {host}, and a socket has none");
                    return Err(Error::invalid("redis", why).hint(FORMS));
                }
                if url.path().len() < 2 {
                    return Err(Error::invalid("redis", format!("{shown} names no socket")).hint(FORMS));
                }
                Ok(Self { address: Address::Unix(decoded(url.path()).into()), username, password, database, shown })
            }
            other => Err(Error::invalid("redis", format!("{other}:// is not a way to reach Redis")).hint(FORMS)),
        }
    }

    /// The same server with this password.
    #[must_use]
    pub fn with_password(mut self, password: String) -> Self {
        self.password = Some(password);
        self
    }

    /// [`Error::Unavailable`] about this server.
    pub fn unavailable(&self, why: impl std::fmt::Display) -> Error {
        Error::Unavailable(Problem::new("redis", format!("{}: {why}", self.shown)))
    }
}

const ANY_HOST: &str = "unix";

/// A login needs a host in a URL; a socket has none, so any word stands there: `unix://ana:secret@/run/redis.sock`.
fn with_host(text: &str) -> String {
    let login = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "unix" | "redis+unix"));
    let login = login.and_then(|(_, rest)| rest.split_once("@/")).filter(|(login, _)| !login.contains('/'));
    if login.is_some() { text.replacen("@/", &format!("@{ANY_HOST}/"), 1) } else { text.to_owned() }
}

fn database(text: &str, shown: &str) -> Result<u8> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        Error::invalid("redis", format!("{shown}: {text:?} is not a database number")).hint("numbers are 0 to 255")
    })
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let byte = (*first == b'%').then(|| tail.get(..2)).flatten();
        let byte = byte.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Nothing but the database number may stand in a query, and only where the path is a socket.
fn check_query(url: &Url, allowed: &[&str], hint: &str) -> Result<()> {
    match url.query_pairs().find(|(key, _)| !allowed.contains(&key.as_ref())) {
        // `:7000?word@host` is a password whose `?` was not escaped: what has no value may be one itself.
        Some((key, value)) if value.is_empty() || key.contains('@') => {
            Err(Error::invalid("redis", "a query without a key; a ? in a password is %3F").hint(hint))
        }
        Some((key, _)) => Err(Error::invalid("redis", format!("unknown key {key:?} in the query")).hint(hint)),
        None => Ok(()),
    }
}

/// The URL as it may be shown: of the login the name, of the query the database number.
fn without_password(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let separator = if text.contains("://") { "://" } else { "" };
    let (place, tail) = rest.find(['?', '#']).map_or((rest, ""), |at| rest.split_at(at));
    // An `@` behind a `?` may end a password that holds the `?`.
    if tail.contains('@') {
        let user = place.split(':').next().unwrap_or_default();
        return format!("{scheme}{separator}{user}{}", if user == place { "" } else { ":***" });
    }
    let place = match place.rsplit_once('@') {
        Some((login, place)) => format!("{}:***@{place}", login.split(':').next().unwrap_or_default()),
        None => place.to_owned(),
    };
    let number = tail.split(['?', '#', '&']).find(|pair| pair.starts_with("db="));
    let number = number.map(|pair| format!("?{pair}")).unwrap_or_default();
    format!("{scheme}{separator}{place}{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_url_is_read() {
        let tcp = Connection::parse("rediss://ana:p%40ss@[::1]:7000/3", None).unwrap();
        assert_eq!(tcp.address, Address::Tcp { host: "::1".into(), port: 7000, tls: Some(Tls::System) });
        assert_eq!((tcp.username.as_deref(), tcp.password.as_deref(), tcp.database), (Some("ana"), Some("p@ss"), 3));
        assert_eq!(tcp.shown, "rediss://ana:***@[::1]:7000/3");
        let unix = Connection::parse("unix:///run/r.sock?db=2", None).unwrap();
        assert_eq!((unix.address, unix.database), (Address::Unix("/run/r.sock".into()), 2));
        let login = Connection::parse("unix://ana:p%40ss@/run/r.sock?db=2", None).unwrap();
        assert_eq!((login.address, login.database), (Address::Unix("/run/r.sock".into()), 2));
        assert_eq!((login.username.as_deref(), login.password.as_deref()), (Some("ana"), Some("p@ss")));
        assert_eq!(login.shown, "unix://ana:***@/run/r.sock?db=2");
    }

    #[test]
    fn a_refused_url_never_shows_its_password() {
        for text in
            ["http://u:secret@h", "unix://run/r.sock", "redis://u:secret@h/x", "redis://u:secret@", "u:secret@h"]
        {
            let error = Connection::parse(text, None).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_query_names_the_database_and_nothing_else() {
        for text in ["unix:///s.sock?pass=secret", "unix:///s.sock?db=2&pass=a@secret", "redis://h:7000?pass=secret"] {
            let error = Connection::parse(text, None).unwrap_err();
            let problem = format!("{:?}", error.problem());
            assert!(problem.contains("pass") && problem.contains("PASSWORD@"), "{problem}");
            assert!(!problem.contains("secret"), "{problem}");
            assert!(!without_password(text).contains("secret"), "{text}");
        }
        let error = Connection::parse("redis://ana:7000?secret@h", None).unwrap_err();
        assert!(!format!("{:?}", error.problem()).contains("secret"), "{error}");
        assert_eq!(without_password("unix:///s.sock?pass=secret&db=2"), "unix:///s.sock?db=2");
        assert_eq!(without_password("redis://ana:p?secret@h"), "redis://ana:***");
    }
}
