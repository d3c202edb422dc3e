//! Which Redis and which namespace: flag, variable, `config.toml`, a running playground, the default.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::cli::actor::variable;
use crate::cli::args::Common;
use crate::cli::output::Printer;
use crate::config::{Address, Connection};
use crate::domain::id::Namespace;
use crate::domain::nearest::nearest;
use crate::error::{Error, Result};
use crate::service::Service;
use crate::store::Store;

/// Where Redis is when nobody says.
const DEFAULT_URL: &str = "redis://127.0.0.1:6379";
/// The folder of a playground, and the file in it that holds its URL.
pub const PLAYGROUND: &str = ".upbeat";
/// Below [`PLAYGROUND`].
pub const CONNECTION_FILE: &str = "connection";

/// What `config.toml` says.
#[derive(Debug, Default)]
struct ConfigFile {
    redis: Option<String>,
    redis_ca: Option<PathBuf>,
    redis_password_file: Option<String>,
    namespace: Option<String>,
}

const CONFIG_KEYS: &[&str] = &["redis", "redis_ca", "redis_password_file", "namespace"];

/// The server and the namespace that are meant.
///
/// # Errors
///
/// [`Error::Invalid`] where a flag, a variable or the file is wrong.
pub fn target(common: &Common, printer: Printer) -> Result<(Connection, Namespace)> {
    let config = ConfigFile::read()?;
    let namespace = common.namespace.clone().or_else(|| variable("UPBEAT_NAMESPACE")).or(config.namespace);
    let namespace = namespace.map_or_else(|| Ok(Namespace::default()), |name| Namespace::parse("namespace", &name))?;
    let ca = common.redis_ca.clone().or_else(|| variable("UPBEAT_REDIS_CA").map(PathBuf::from)).or(config.redis_ca);
    let named = common.redis.clone().or_else(|| variable("UPBEAT_REDIS")).or(config.redis);
    if named.is_none()
        && let Some((folder, url)) = playground()
    {
        printer.note(format!("using the playground in {}", folder.display()));
        return Ok((Connection::parse(&url, None)?, namespace));
    }
    let connection = Connection::parse(named.as_deref().unwrap_or(DEFAULT_URL), ca)?;
    let file = variable("UPBEAT_REDIS_PASSWORD_FILE").or(config.redis_password_file);
    match file.filter(|_| connection.password.is_none()) {
        Some(file) => Ok((connection.with_password(password(&file)?), namespace)),
        None => Ok((connection, namespace)),
    }
}

/// The service over that namespace.
///
/// # Errors
///
/// [`Error::Unavailable`], at once, where Redis can't be used.
pub async fn service(common: &Common, printer: Printer) -> Result<Service> {
    let (connection, namespace) = target(common, printer)?;
    let address = connection.address.clone();
    match Store::open(connection, namespace).await {
        Ok(store) => Ok(Service::new(store)),
        Err(Error::Unavailable(mut problem)) if problem.hint.is_none() => {
            problem.message = plain(&problem.message);
            Err(Error::Unavailable(problem.hint(match address {
                Address::Tcp { .. } => "is it running? another one: --redis URL, or UPBEAT_REDIS",
                Address::Unix(_) => "is it running, and may you open the socket?",
            })))
        }
        Err(error) => Err(error),
    }
}

/// The words of the operating system out of `Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }`
/// and `Custom { kind: Uncategorized, error: "failed to lookup address information: ..." }`.
fn plain(message: &str) -> String {
    let quoted = |opening: &str, key: &str| {
        let (front, rest) = message.split_once(opening)?;
        let (_, words) = rest.split_once(key)?;
        Some((front, words.split('"').next()?))
    };
    if let Some((front, words)) = quoted("Os {", "message: \"") {
        return format!("{front}{}", words.to_lowercase());
    }
    quoted("Custom {", "error: \"").map_or_else(|| message.to_owned(), |(front, words)| format!("{front}{words}"))
}

fn password(file: &str) -> Result<String> {
    let text = std::fs::read_to_string(file)
        .map_err(|why| Error::invalid("UPBEAT_REDIS_PASSWORD_FILE", format!("{file} can't be read: {why}")))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// The playground that runs here or in a parent folder: its folder and its URL.
pub fn playground() -> Option<(PathBuf, String)> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().find_map(|folder| Some((shown(&here, folder), running(&folder.join(PLAYGROUND))?)))
}

/// The folder as it is said: `.upbeat` here, else its path.
fn shown(here: &Path, folder: &Path) -> PathBuf {
    if here == folder { PathBuf::from(PLAYGROUND) } else { folder.join(PLAYGROUND) }
}

/// The URL of a playground, if somebody listens there.
pub fn running(playground: &Path) -> Option<String> {
    let url = std::fs::read_to_string(playground.join(CONNECTION_FILE)).ok()?.trim().to_owned();
    let socket = url.strip_prefix("unix://")?;
    UnixStream::connect(socket).ok().map(|_| url)
}

impl ConfigFile {
    /// `upbeat/config.toml` under `XDG_CONFIG_HOME`, else `~/.config`; an absent file says nothing.
    fn read() -> Result<Self> {
        let folder = variable("XDG_CONFIG_HOME").map(PathBuf::from);
        let Some(folder) = folder.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config"))) else {
            return Ok(Self::default());
        };
        let path = folder.join("upbeat/config.toml");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(_) if !path.exists() => return Ok(Self::default()),
            Err(why) => return Err(Error::invalid(path.display().to_string(), format!("can't be read: {why}"))),
        };
        Self::parse(&path.display().to_string(), &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self> {
        let table: toml::Table = text
            .parse()
            .map_err(|why: toml::de::Error| Error::invalid(name, format!("not TOML: {}", why.message())))?;
        let mut config = Self::default();
        for (key, value) in table {
            let text = value.as_str().map(str::to_owned);
            let text = text.ok_or_else(|| Error::invalid(format!("{name}: {key}"), format!("{value} is not a text")));
            match key.as_str() {
                "redis" => config.redis = Some(text?),
                "redis_ca" => config.redis_ca = Some(text?.into()),
                "redis_password_file" => config.redis_password_file = Some(text?),
                "namespace" => config.namespace = Some(text?),
                other => {
                    let error =
                        Error::invalid(name, format!("unknown key {other:?}; known are {}", CONFIG_KEYS.join(", ")));
                    return Err(match nearest(other, CONFIG_KEYS.iter().copied()) {
                        Some(meant) => error.hint(format!("did you mean {meant}?")),
                        None => error,
                    });
                }
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_is_said_in_its_words() {
        let raw =
            "redis://h: can't be reached: Os { code: 111, kind: ConnectionRefused, message: \"Connection refused\" }";
        assert_eq!(plain(raw), "redis://h: can't be reached: connection refused");
        let raw = "redis://h: can't be reached: Custom { kind: Uncategorized, error: \"failed to lookup address \
                   information: Name or service not known\" }";
        let words = "redis://h: can't be reached: failed to lookup address information: Name or service not known";
        assert_eq!(plain(raw), words);
        assert_eq!(plain("no answer in time"), "no answer in time");
    }

    #[test]
    fn a_key_that_nobody_knows_is_refused_with_the_one_that_is_meant() {
        let config = ConfigFile::parse("config.toml", "redis = 'redis://h'\nnamespace = 'prod'").unwrap();
        assert_eq!((config.redis.as_deref(), config.namespace.as_deref()), (Some("redis://h"), Some("prod")));
        let error = ConfigFile::parse("config.toml", "namspace = 'prod'").unwrap_err();
        assert_eq!(error.problem().hint.as_deref(), Some("did you mean namespace?"));
        assert!(ConfigFile::parse("config.toml", "redis = 5").is_err());
    }
}
