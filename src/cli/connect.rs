//! Which Redis and which namespace: flag, variable, `config.toml`, a running playground, the default.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::cli::actor::variable;
use crate::cli::args::Common;
use crate::cli::config_file;
use crate::cli::output::Printer;
use crate::cli::progress;
use crate::config::{Address, Connection};
use crate::domain::id::Namespace;
use crate::error::{Error, Result};
use crate::service::Service;
use crate::store::Store;

/// Where Redis is when nobody says.
const DEFAULT_URL: &str = "redis://127.0.0.1:6379";
/// The folder of a playground, and the file in it that holds its URL.
pub const PLAYGROUND: &str = ".upbeat";
/// Below [`PLAYGROUND`].
pub const CONNECTION_FILE: &str = "connection";

/// The server and the namespace that are meant.
///
/// # Errors
///
/// [`Error::Invalid`] where a flag, a variable or the file is wrong.
pub fn target(common: &Common, printer: Printer) -> Result<(Connection, Namespace)> {
    let namespace = common.namespace.clone().or_else(|| variable("UPBEAT_NAMESPACE"));
    let namespace = namespace.map_or_else(|| Ok(config_file::read()?.namespace.clone()), |name| Ok(Some(name)))?;
    let namespace = namespace.map_or_else(|| Ok(Namespace::default()), |name| Namespace::parse("namespace", &name))?;
    let Named { url, ca, password: file, playground } = named(common)?;
    if let Some(folder) = playground {
        printer.note(format!("using the playground in {}", folder.display()));
    }
    let connection = Connection::parse(&url, ca)?;
    match file {
        Some((field, file)) if connection.password.is_none() => {
            Ok((connection.with_password(password(field, &file)?), namespace))
        }
        _ => Ok((connection, namespace)),
    }
}

/// The server as flags, variables and files name it.
struct Named {
    url: String,
    ca: Option<PathBuf>,
    /// The file of the password, and who names it.
    password: Option<(&'static str, String)>,
    /// The folder of the playground that it belongs to.
    playground: Option<PathBuf>,
}

fn named(common: &Common) -> Result<Named> {
    let config = config_file::read()?.clone();
    let ca = common.redis_ca.clone().or_else(|| variable("UPBEAT_REDIS_CA").map(PathBuf::from)).or(config.redis_ca);
    let url = common.redis.clone().or_else(|| variable("UPBEAT_REDIS")).or(config.redis);
    if url.is_none()
        && let Some((folder, url)) = playground()
    {
        return Ok(Named { url, ca: None, password: None, playground: Some(folder) });
    }
    let password = match variable("UPBEAT_REDIS_PASSWORD_FILE") {
        Some(file) => Some(("UPBEAT_REDIS_PASSWORD_FILE", file)),
        None => config.redis_password_file.map(|file| ("redis_password_file", file)),
    };
    Ok(Named { url: url.unwrap_or_else(|| DEFAULT_URL.to_owned()), ca, password, playground: None })
}

/// The same server as variables for another program of ours.
///
/// # Errors
///
/// As [`target`].
pub fn variables(common: &Common) -> Result<Vec<(&'static str, String)>> {
    let Named { url, ca, password, .. } = named(common)?;
    let mut variables = vec![("UPBEAT_REDIS", url)];
    variables.extend(ca.map(|ca| ("UPBEAT_REDIS_CA", ca.to_string_lossy().into_owned())));
    variables.extend(password.map(|(_, file)| ("UPBEAT_REDIS_PASSWORD_FILE", file)));
    Ok(variables)
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
        Ok(store) => Ok(Service::new(store).with_progress(progress::watched(printer))),
        Err(error) => Err(in_plain_words(error, &address, "--redis URL, or UPBEAT_REDIS")),
    }
}

/// That Redis can't be used as people understand it; `another` says how another one is named.
pub fn in_plain_words(error: Error, address: &Address, another: &str) -> Error {
    match error {
        Error::Unavailable(mut problem) if problem.hint.is_none() => {
            problem.message = plain(&problem.message);
            Error::Unavailable(problem.hint(match address {
                Address::Tcp { .. } => format!("is it running? another one: {another}"),
                Address::Unix(_) => "is it running, and may you open the socket?".to_owned(),
            }))
        }
        other => other,
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

fn password(field: &str, file: &str) -> Result<String> {
    let refuse = |why| Error::invalid(field, format!("{file} can't be read: {why}")).value(file);
    let text = std::fs::read_to_string(file)
        .map_err(|why| refuse(why).hint("it holds the password alone, in its first line"))?;
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
}
