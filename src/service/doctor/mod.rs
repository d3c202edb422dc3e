//! Whether all is well: one check per thing that goes wrong in a fleet, each with what to type where it is not ok.
//!
//! Doctor changes nothing. A check that this user may not make is `unseen` and stops none of the others; how much is looked at
//! is bounded, and said.

mod clock;
mod entries;
mod fleet;
mod rights;
mod runs;
mod server;

use serde::Serialize;

use crate::domain::id::EntryId;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::domain::wall::rough;
use crate::error::{Error, Result};
use crate::service::Service;
use crate::store::{Counts, Seen};

/// Entries that are named in a check, at most.
const NAMED: usize = 3;

/// How all keys begin.
const KEY_FRONT: &str = "upbeat:";

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// Worth a look; nothing is lost by it now.
    Note,
    /// Something does not work, or is about to be lost: somebody must act.
    Wrong,
    /// This user, or this server, does not say.
    Unseen,
}

/// One line of the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub check: &'static str,
    /// How it came out.
    pub state: CheckState,
    /// What was found, in a few words.
    pub value: String,
    /// What it means, where it is not ok.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What can be typed, the best first: commands of upbeat, and of Redis (in capitals).
    #[serde(rename = "do")]
    pub todo: Vec<String>,
}

/// The whole page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoctorView {
    /// Whether nothing is wrong; notes and what could not be seen do not count.
    pub ok: bool,
    /// The namespace.
    pub namespace: String,
    /// Its Redis.
    pub redis: String,
    /// The checks, from the server to the runs.
    pub checks: Vec<Check>,
}

impl Check {
    fn new(check: &'static str, state: CheckState, value: impl Into<String>) -> Self {
        Self { check, state, value: value.into(), message: String::new(), todo: Vec::new() }
    }

    fn ok(check: &'static str, value: impl Into<String>) -> Self {
        Self::new(check, CheckState::Ok, value)
    }

    fn note(check: &'static str, value: impl Into<String>) -> Self {
        Self::new(check, CheckState::Note, value)
    }

    fn wrong(check: &'static str, value: impl Into<String>) -> Self {
        Self::new(check, CheckState::Wrong, value)
    }

    fn unseen(check: &'static str, why: impl Into<String>) -> Self {
        Self::new(check, CheckState::Unseen, why)
    }

    fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    fn todo(mut self, command: impl Into<String>) -> Self {
        let command = command.into();
        if !self.todo.contains(&command) {
            self.todo.push(command);
        }
        self
    }

    fn todos(self, commands: impl IntoIterator<Item = String>) -> Self {
        commands.into_iter().fold(self, Self::todo)
    }
}

/// What several checks are told from.
struct Picture {
    /// Counts of each shard; empty where they could not be seen.
    counts: Vec<Counts>,
}

impl Picture {
    fn sum(&self, of: impl Fn(&Counts) -> i64) -> i64 {
        self.counts.iter().map(of).sum()
    }

    /// Nodes that are live in any shard; each of them looks in everywhere.
    fn live_nodes(&self) -> i64 {
        self.counts.iter().map(|counts| counts.live_nodes).max().unwrap_or(0)
    }

    /// Entries that fire, or shall.
    fn firing(&self) -> i64 {
        self.sum(|counts| counts.due + counts.parked + counts.broken)
    }
}

impl Service {
    /// Looks at everything.
    ///
    /// # Errors
    ///
    /// Where Redis can't be reached; what it refuses to say is a check that could not be seen.
    pub async fn doctor(&self) -> Result<DoctorView> {
        let mut checks = self.check_server().await?;
        checks.push(seen("rights", self.check_rights().await)?);
        checks.push(seen("namespaces", self.check_namespaces().await)?);
        let mut counts = Vec::new();
        for shard in self.store.shards() {
            match self.steady_counts(shard).await {
                Ok(found) => counts.push(found),
                Err(why) => {
                    checks.push(unable("counts", why)?);
                    counts.clear();
                    break;
                }
            }
        }
        let picture = Picture { counts };
        checks.extend(self.check_clock(&picture));
        checks.extend(all("nodes", self.check_fleet(&picture).await)?);
        checks.extend(all("entries", self.check_entries(&picture).await)?);
        checks.extend(all("runs", self.check_runs(&picture).await)?);
        Ok(DoctorView {
            ok: checks.iter().all(|check| check.state != CheckState::Wrong),
            namespace: self.store.namespace().to_string(),
            redis: self.store.shown().to_owned(),
            checks,
        })
    }

    /// Sums that do not agree are read once more: a rebuild may be under way.
    async fn steady_counts(&self, shard: u16) -> Result<Counts> {
        let counts = self.store.counts(shard).await?;
        if counts.is_balanced() { Ok(counts) } else { self.store.counts(shard).await }
    }
}

/// A check, also where its question had no answer.
fn seen(name: &'static str, check: Result<Check>) -> Result<Check> {
    check.or_else(|why| unable(name, why))
}

/// Several, likewise.
fn all(name: &'static str, checks: Result<Vec<Check>>) -> Result<Vec<Check>> {
    checks.or_else(|why| Ok(vec![unable(name, why)?]))
}

/// What was refused is unseen; where somebody else wrote what upbeat keeps, that is wrong. Any other error stays one.
fn unable(name: &'static str, why: Error) -> Result<Check> {
    let Error::Corrupt(problem) = why else {
        return match Seen::<Check>::of(Err(why))? {
            Seen::Yes(check) => Ok(check),
            Seen::No(why) => Ok(Check::unseen(name, why).todo("upbeat acl")),
        };
    };
    let check = Check::wrong(name, "can't be read").message(problem.message);
    let key = problem.value.filter(|value| value.starts_with(KEY_FRONT));
    Ok(match key {
        Some(key) => check.todo(format!("RENAME {key} {key}.other")).todo("upbeat audit"),
        None => check.todo("upbeat audit"),
    })
}

/// `3 entries`, `1 entry`.
fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

/// `a, b, c and 4 more`.
fn named(ids: &[EntryId]) -> String {
    let first: Vec<&str> = ids.iter().take(NAMED).map(EntryId::as_str).collect();
    match ids.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// A command about each of the first of them.
fn about<'a>(words: &'a str, ids: &'a [EntryId]) -> impl Iterator<Item = String> + 'a {
    ids.iter().take(NAMED).map(move |id| format!("upbeat {words} {id}"))
}

/// How long ago, roughly.
fn since(at: Timestamp, now: Timestamp) -> String {
    rough(Span((now.0 - at.0).max(0).unsigned_abs()))
}
