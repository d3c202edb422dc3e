//! What kind of server this is, and whether schedules are safe on it.

use crate::config::Connection;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::client::Client;
use crate::store::reply::{pairs, text};

/// What a server says of itself, as far as it may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerReport {
    /// `redis` or `valkey`.
    pub kind: String,
    /// Its version.
    pub version: String,
    /// One line each on what endangers schedules.
    pub warnings: Vec<String>,
}

/// Refuses servers that are too old or read-only.
pub async fn check(client: &Client, connection: &Connection) -> Result<()> {
    let Some(info) = info(client, "server").await? else { return Ok(()) };
    let (kind, version) = version_of(&info);
    let least = if kind == "valkey" { (7, 2) } else { (7, 0) };
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < least {
        let (major, minor) = least;
        return Err(connection
            .unavailable(format!("{kind} {version} is too old, {major}.{minor} or newer is needed"))
            .hint("upbeat needs Redis 7.0 or Valkey 7.2"));
    }
    let replication = self::info(client, "replication").await?.unwrap_or_default();
    if field(&replication, "role") == Some("slave") {
        return Err(connection.unavailable("it is a read-only replica").hint("name the master"));
    }
    Ok(())
}

/// `INFO section`, or nothing where the user may not ask.
async fn info(client: &Client, section: &str) -> Result<Option<String>> {
    match client.command("INFO", vec![section.into()]).await {
        Ok(reply) => text(reply).map(Some),
        Err(Error::Unavailable(why)) if why.message.contains("not permitted") => Ok(None),
        Err(why) => Err(why),
    }
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn version_of(info: &str) -> (String, String) {
    match field(info, "valkey_version") {
        Some(version) => ("valkey".to_owned(), version.to_owned()),
        None => ("redis".to_owned(), field(info, "redis_version").unwrap_or("0").to_owned()),
    }
}

impl Store {
    /// Whether this server keeps what it is given: eviction and persistence, in one line each.
    pub async fn report(&self) -> Result<ServerReport> {
        let client = &self.inner.client;
        let mut report = ServerReport::default();
        match info(client, "server").await? {
            Some(server) => (report.kind, report.version) = version_of(&server),
            None => {
                report.warnings.push("INFO is not permitted: version and persistence of Redis are unknown".to_owned())
            }
        }
        let said = |section: Option<String>, name: &str| section.and_then(|info| field(&info, name).map(str::to_owned));
        let policy = match said(info(client, "memory").await?, "maxmemory_policy") {
            Some(policy) => Some(policy),
            None => self.setting("maxmemory-policy").await?,
        };
        match policy {
            Some(policy) if policy != "noeviction" => report.warnings.push(format!(
                "Redis evicts keys when its memory is full (maxmemory-policy {policy}): schedules can vanish; \
                 set maxmemory-policy noeviction"
            )),
            Some(_) => {}
            None => report.warnings.push(
                "CONFIG GET is not permitted: whether Redis evicts or keeps its keys is unknown; \
                 it should have maxmemory-policy noeviction and appendonly yes"
                    .to_owned(),
            ),
        }
        let is_appending = match said(info(client, "persistence").await?, "aof_enabled") {
            Some(enabled) => Some(enabled == "1"),
            None => self.setting("appendonly").await?.map(|word| word == "yes"),
        };
        if is_appending == Some(false) {
            report.warnings.push(match self.setting("save").await?.as_deref() {
                Some("") => "Redis keeps nothing on disk: a restart loses all schedules; set appendonly yes".to_owned(),
                _ => "Redis keeps snapshots only: a crash loses what was written since the last; set appendonly yes"
                    .to_owned(),
            });
        }
        Ok(report)
    }

    async fn setting(&self, name: &str) -> Result<Option<String>> {
        match self.inner.client.command("CONFIG", vec!["GET".into(), name.into()]).await {
            Ok(reply) => {
                let found = pairs(reply)?.into_iter().next();
                Ok(found.map(|(_, value)| String::from_utf8_lossy(&value).into_owned()))
            }
            Err(Error::Unavailable(_)) => Ok(None),
            Err(why) => Err(why),
        }
    }
}
