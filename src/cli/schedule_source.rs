//! `upbeat node --schedule-file F`: read before the node runs, and again when its entries are put back.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::cli::output::{Ended, Failure};
use crate::cli::schedule_files::owned_files;
use crate::domain::file::{PackedEntry, ScheduleFile};
use crate::domain::id::{Namespace, Owner};
use crate::error::{Error, Result};
use crate::node::{RecreateCall, Recreated, ScheduleSource};
use crate::service::{Request, Service};

/// What the files hold; `None` without any.
///
/// # Errors
///
/// What is wrong with one of them: they can't be read or parsed, name an entry twice, or are for another namespace.
pub fn source(paths: &[String], namespace: &Namespace) -> Ended<Option<ScheduleSource>> {
    if paths.is_empty() {
        return Ok(None);
    }
    let files = read(paths, namespace)?;
    let owners: BTreeSet<&str> = files.iter().map(|(_, owner)| owner.as_str()).collect();
    let owner = owners.into_iter().collect::<Vec<_>>().join(",");
    let (paths, namespace): (Arc<[String]>, _) = (paths.into(), namespace.clone());
    let shown = paths.join(", ");
    let recreate = Arc::new(move |call: RecreateCall| -> futures_util::future::BoxFuture<'static, Result<Recreated>> {
        let (paths, namespace) = (paths.clone(), namespace.clone());
        Box::pin(async move {
            // Reading and compiling a large file is work for a thread of its own.
            let runtime = tokio::runtime::Handle::current();
            let work = move || {
                let files = read(&paths, &namespace).map_err(first)?;
                runtime.block_on(recreate(call, &files))
            };
            let done = tokio::task::spawn_blocking(work).await;
            done.map_err(|why| Error::internal(format!("putting the schedule file back: {why}")))?
        })
    });
    Ok(Some(ScheduleSource { owner, shown, recreate }))
}

fn first(Failure(errors): Failure) -> Error {
    errors.into_iter().next().unwrap_or_else(|| Error::internal("a schedule file was refused without a reason"))
}

/// Each file with its owner.
fn read(paths: &[String], namespace: &Namespace) -> Ended<Vec<(ScheduleFile<PackedEntry>, Owner)>> {
    if let Some(path) = paths.iter().find(|path| *path == "-") {
        let why = "standard input can't be read again when the namespace was flushed";
        return Err(Error::invalid("schedule-file", why).value(path).hint("name a file or a folder").into());
    }
    let files = owned_files(paths)?;
    if let Some(other) = files.iter().find_map(|one| one.file.namespace.as_ref().filter(|other| *other != namespace)) {
        let why = format!("the schedule file is for namespace {other}, this is {namespace}");
        let error = Error::invalid("namespace", why).value(other.as_str());
        return Err(error.hint(format!("upbeat -n {other} node")).into());
    }
    let owned = files.into_iter().map(|one| {
        let owner = one.file.owner.clone().unwrap_or(one.owner);
        (one.file, owner)
    });
    Ok(owned.collect())
}

async fn recreate(call: RecreateCall, files: &[(ScheduleFile<PackedEntry>, Owner)]) -> Result<Recreated> {
    let service = Service::new(call.store);
    let mut recreated = Recreated::default();
    for (file, owner) in files {
        let request = Request {
            id: uuid::Uuid::new_v4().to_string(),
            actor: call.actor.clone(),
            reason: Some(call.reason.clone()),
            is_dry_run: false,
        };
        let one = service.recreate(&request, file, owner, &call.shards).await?;
        for (shard, count) in one.added {
            match recreated.added.iter_mut().find(|(known, _)| *known == shard) {
                Some((_, added)) => *added += count,
                None => recreated.added.push((shard, count)),
            }
        }
        recreated.left += one.left;
        recreated.refused.extend(one.refused);
    }
    Ok(recreated)
}
