//! `upbeat namespaces`, and the word to somebody in a namespace that nobody uses.

use crate::cli::App;
use crate::cli::output::{Ended, Failure, table};
use crate::cli::times::Wall;
use crate::domain::zone::Zone;
use crate::error::Error;
use crate::service::{NamespaceView, Service};

pub const NAMESPACES_EXAMPLES: &str = "\
Examples:
  upbeat namespaces                              those in this Redis: entries, live nodes, last activity
  upbeat namespaces -o id | xargs -I{} upbeat doctor -n {}
At most 1,000,000 keys of Redis are looked at. The user must be one that may SCAN; those of `upbeat acl` may not.";

/// `upbeat namespaces`.
pub async fn namespaces(app: &App) -> Ended {
    let service = app.service().await?;
    let found = match service.namespaces().await {
        Err(Error::Unavailable(why)) if why.message.contains("may not run scan") => {
            let hint = "namespaces looks through all keys: use another user, one with +scan";
            return Err(Error::Unavailable(why.hint(hint)).into());
        }
        found => found?,
    };
    let now = service.store().now(0).await?;
    let wall = Wall { zone: Zone::utc(), now };
    app.printer.list(
        &found.namespaces,
        |one| one.namespace.clone(),
        || {
            if found.namespaces.is_empty() {
                app.printer.note("no namespaces: one is there once a node or an entry uses it");
                return String::new();
            }
            let head = ["NAMESPACE", "SHARDS", "ENTRIES", "LIVE NODES", "LAST ACTIVE"];
            table(&head, found.namespaces.iter().map(|one| row(one, &wall)))
        },
    );
    if !found.is_all {
        app.printer.note(format!("the first {} keys of Redis were looked at, there are more", found.looked_at));
    }
    Ok(0)
}

fn row(one: &NamespaceView, wall: &Wall) -> Vec<String> {
    let unseen = || "could not see".to_owned();
    let last = one.last_active_at.map(|at| wall.moment(at.0));
    vec![
        one.namespace.clone(),
        one.shards.map_or_else(unseen, |shards| shards.to_string()),
        one.entries.map_or_else(String::new, |entries| entries.to_string()),
        one.live_nodes.map_or_else(String::new, |nodes| nodes.to_string()),
        last.unwrap_or_default(),
    ]
}

/// Says at the end of a command that its namespace is unused, where it still is: with an error as its hint, else as a note.
pub async fn say_unused(app: &App, service: &Service, ended: Ended) -> Ended {
    if service.store().is_used() {
        return ended;
    }
    // What failed before keeps its own words.
    let Ok(Some(words)) = service.unused().await else { return ended };
    match ended {
        Ok(code) => {
            app.printer.note(words);
            Ok(code)
        }
        Err(Failure(errors)) => {
            let named = |error: Error| match error {
                Error::NotFound(problem) => Error::NotFound(problem.hint(words.clone())),
                other => other,
            };
            Err(Failure(errors.into_iter().map(named).collect()))
        }
    }
}
