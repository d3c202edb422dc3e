//! `upbeat revisions` and `upbeat rollback`: what an entry was, and making it so again.

use clap::Args;

use crate::cli::App;
use crate::cli::args::Changing;
use crate::cli::entry_words;
use crate::cli::fields::whole;
use crate::cli::output::{Ended, table};
use crate::cli::request::{request, until_answered};
use crate::cli::times::Wall;
use crate::domain::id::EntryId;
use crate::domain::revision::in_words;
use crate::domain::zone::Zone;
use crate::service::RevisionView;

#[derive(Debug, Args)]
pub struct RevisionsArgs {
    pub id: String,
}

pub const REVISIONS_EXAMPLES: &str = "\
Examples:
  upbeat revisions report
  upbeat revisions report -o json     with the old and the new value of each field, and the whole entry
Also of an entry that was removed. Kept as long as the ledger names them, 35 days, at most 200 an entry.";

#[derive(Debug, Args)]
pub struct RollbackArgs {
    pub id: String,
    /// The revision whose fields it gets
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1, u64::MAX), allow_negative_numbers = true)]
    pub to: u64,
    /// Only if it is at this revision now
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1, u64::MAX), allow_negative_numbers = true)]
    pub if_revision: Option<u64>,
    #[command(flatten)]
    pub changing: Changing,
}

pub const ROLLBACK_EXAMPLES: &str = "\
Examples:
  upbeat rollback report --to 3
  upbeat rollback report --to 3 --dry-run
The fields of revision 3 become a new revision. It pauses and resumes nothing, the owner stays, and no fire time is lost: what
is overdue is settled as by set. An entry that was removed is made anew by add or apply.";

/// `upbeat revisions ID`.
pub async fn list(app: &App, args: &RevisionsArgs) -> Ended {
    let id = EntryId::parse("id", &args.id)?;
    let service = app.service().await?;
    let revisions = service.revisions(&id).await?;
    let now = service.store().now(service.store().shard_of(&id)).await?;
    let zone = service.zones(&[id.to_string()].into()).await?.remove(id.as_str()).unwrap_or_else(Zone::utc);
    let wall = Wall { zone, now };
    app.printer.list(&revisions, |one| one.revision.to_string(), || words(&revisions, &wall));
    if revisions.last().is_some_and(|oldest| oldest.revision > 1) {
        app.printer.note("older revisions are not kept");
    }
    Ok(0)
}

fn words(revisions: &[RevisionView], wall: &Wall) -> String {
    let row = |one: &RevisionView| {
        let reason = one.reason.clone().unwrap_or_default();
        vec![one.revision.to_string(), wall.at(one.at.0), one.actor.clone(), what(one), reason]
    };
    table(&["REVISION", "WHEN", "ACTOR", "WHAT", "REASON"], revisions.iter().map(row))
}

fn what(one: &RevisionView) -> String {
    if let Some(why) = &one.message {
        return why.clone();
    }
    let word = match one.restored {
        Some(to) => format!("rolled back to {to}"),
        None => one.change.to_owned(),
    };
    let until =
        one.fields.iter().flatten().find(|change| change.field == "paused").and_then(|change| change.new.as_str());
    match one.fields.as_deref() {
        // The word says it all.
        Some([pause]) if pause.field == "paused" => until.map_or(word.clone(), |until| format!("{word} until {until}")),
        // All of its fields are new: which they are is for show.
        Some(fields) if one.change != "added" && !fields.is_empty() => format!("{word}: {}", in_words(fields)),
        _ => word,
    }
}

/// `upbeat rollback ID --to N`.
pub async fn rollback(app: &App, args: &RollbackArgs) -> Ended {
    let id = EntryId::parse("id", &args.id)?;
    let request = request(&args.changing);
    let service = app.service().await?.if_revision(args.if_revision);
    let changes =
        until_answered(app.printer, &request, async || service.rollback(&request, &id, args.to).await).await?;
    Ok(entry_words::changes(app, &service, &changes, Some("rolled back"), request.is_dry_run).await?)
}
