//! Where a bench lies: a server, namespaces of its own on it, and how a program of ours is started beside it.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::config::Connection;
use crate::domain::id::Namespace;
use crate::error::{Error, Problem, Result};
use crate::store::Store;

/// A server to measure on.
#[derive(Debug)]
pub struct Bed {
    /// How to reach it.
    pub connection: Connection,
    /// Namespaces of benches are named after it: `NAMESPACE-bench-lag-1`.
    pub namespace: Namespace,
    /// Variables for programs that are started beside it: where Redis is, and the password.
    pub variables: Vec<(&'static str, String)>,
    /// The namespace that was opened last.
    last: Mutex<Option<Namespace>>,
}

/// A namespace of a bench; [`Ground::clear`] removes it.
pub struct Ground {
    /// What stands in it.
    pub store: Store,
    /// How to reach it.
    pub connection: Connection,
}

impl Bed {
    /// A server on which nothing is measured yet.
    pub fn new(connection: Connection, namespace: Namespace, variables: Vec<(&'static str, String)>) -> Self {
        Self { connection, namespace, variables, last: Mutex::default() }
    }

    /// A new namespace, which must be unused.
    ///
    /// # Errors
    ///
    /// Conflict where something stands in it; what [`Store::open`] says.
    pub async fn ground(&self, name: &str) -> Result<Ground> {
        let namespace = Namespace::parse("namespace", &format!("{}-bench-{name}", self.namespace))?;
        let store = Store::open(self.connection.clone(), namespace.clone()).await?;
        let ground = Ground { store, connection: self.connection.clone() };
        let store = &ground.store;
        if store.is_used() || store.exists(&ground.target()).await? {
            let why = format!("namespace {namespace} is in use: a bench that was cut off, or another that runs now");
            let target = ground.target();
            let hint = format!(
                "name another with -n, or remove its keys: redis-cli --scan --pattern 'upbeat:{{{namespace}[:}}]*' | xargs redis-cli unlink {target}"
            );
            store.quit().await;
            return Err(Error::Conflict(Problem::new("namespace", why).value(namespace.to_string()).hint(hint)));
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(namespace);
        Ok(ground)
    }

    /// Removes what a bench has written that was given up half way.
    ///
    /// # Errors
    ///
    /// What [`Store::open`] says.
    pub async fn clear(&self) -> Result<()> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(namespace) = last else { return Ok(()) };
        let store = Store::open(self.connection.clone(), namespace).await?;
        Ground { store, connection: self.connection.clone() }.clear().await
    }

    /// The program that runs now, with the words `args`, over a namespace of this server.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] where the program can't name itself.
    pub fn program(&self, namespace: &Namespace, args: &[&str]) -> Result<tokio::process::Command> {
        let program: PathBuf =
            std::env::current_exe().map_err(|why| Error::internal(format!("the program can't find itself: {why}")))?;
        let mut command = tokio::process::Command::new(program);
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("UPBEAT_") {
                command.env_remove(variable);
            }
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env("UPBEAT_NAMESPACE", namespace.to_string());
        command.args(args).stdin(std::process::Stdio::null()).kill_on_drop(true);
        Ok(command)
    }
}

impl Ground {
    /// The key into which direct actions of this bench write.
    pub fn target(&self) -> String {
        format!("{}:out", self.store.namespace())
    }

    /// Removes everything that the bench has written.
    ///
    /// # Errors
    ///
    /// Unavailable.
    pub async fn clear(self) -> Result<()> {
        self.store.remove_namespace(&[self.target()]).await?;
        self.store.quit().await;
        Ok(())
    }
}
