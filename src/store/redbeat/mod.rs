//! The keys of a RedBeat, in any Redis: read in pages, watched, taken over and given back, each of the last in one step.
//!
//! Reading writes nothing, not even a script.

mod read;
mod switch;
mod watch;

use std::sync::Arc;

use fred::types::Value;

pub use switch::{Restored, TakeAnswer, TakeCall, Taken};
pub use watch::{Fired, Lock, Watched};

use crate::config::Connection;
use crate::domain::import::redbeat::Place;
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Problem, Result};
use crate::store::Store;
use crate::store::client::{Client, Use};
use crate::store::reply::{Reply, text};
use crate::store::sabotage;
use crate::store::scripts::Scripts;

/// A RedBeat in its Redis.
#[derive(Clone)]
pub struct RedBeat {
    client: Client,
    connection: Arc<Connection>,
    scripts: Arc<Scripts>,
    place: Place,
}

impl RedBeat {
    /// Connects; looks at nothing yet.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where the server can't be reached, or is a node of a Redis Cluster.
    pub async fn connect(connection: Connection, place: Place) -> Result<Self> {
        let connection = Arc::new(connection);
        let client = Client::connect(connection.clone(), Use::Commands).await?;
        let this = Self { client, connection, scripts: Arc::new(Scripts::new(sabotage::apply)), place };
        if this.info("cluster", "cluster_enabled").await?.as_deref() == Some("1") {
            let why = format!("{}: a RedBeat in a Redis Cluster is not in this version yet", this.shown());
            return Err(Error::Unavailable(Problem::new("redbeat", why)));
        }
        Ok(this)
    }

    /// What it is called there.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The server, as it may be shown.
    pub fn shown(&self) -> &str {
        &self.connection.shown
    }

    /// The time of its server.
    pub async fn now(&self) -> Result<Timestamp> {
        let mut time = Reply::list(self.client.command("TIME", Vec::new()).await?)?;
        let (seconds, micros) = (time.number()?, time.number()?);
        Ok(Timestamp(seconds * 1000 + micros / 1000))
    }

    /// Whether its keys stand in the very database that upbeat uses: then a script there reaches both.
    pub async fn is_in(&self, store: &Store) -> Result<bool> {
        if self.connection.database != store.inner.connection.database {
            return Ok(false);
        }
        if self.connection.address == store.inner.connection.address {
            return Ok(true);
        }
        let own = self.info("server", "run_id").await?;
        Ok(own.is_some() && own == info(&store.inner.client, "server", "run_id").await?)
    }

    async fn info(&self, section: &str, name: &str) -> Result<Option<String>> {
        info(&self.client, section, name).await
    }

    async fn type_of(&self, key: &str) -> Result<String> {
        text(self.client.command("TYPE", vec![key.into()]).await?)
    }
}

/// A field of `INFO`; nothing where this user may not ask.
async fn info(client: &Client, section: &str, name: &str) -> Result<Option<String>> {
    let info = match client.command("INFO", vec![section.into()]).await {
        Ok(reply) => text(reply)?,
        Err(Error::Unavailable(why)) if why.message.contains("not permitted") => return Ok(None),
        Err(why) => return Err(why),
    };
    let found = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(found.map(|found| found.trim().to_owned()))
}

/// A key that may hold any bytes.
fn key_of(key: &[u8]) -> Value {
    Value::Bytes(key.to_vec().into())
}
