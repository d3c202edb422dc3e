//! Commands about single fire times: skip, backfill.

use crate::cli::App;
use crate::cli::asked_args::{BackfillArgs, SkipArgs};
use crate::cli::output::{Ended, facts};
use crate::cli::request::{request, until_answered};
use crate::cli::times::Wall;
use crate::cli::{entry_words, moments};
use crate::domain::id::EntryId;
use crate::domain::moment::Direction;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::service::{BackfillRange, BackfillView};

/// `upbeat skip ID [--at T] [--undo]`.
pub async fn skip(app: &App, args: SkipArgs) -> Ended {
    let id = EntryId::parse("id", &args.id)?;
    let request = request(&args.changing);
    let service = app.service().await?;
    let ids = std::slice::from_ref(&id);
    let at = match &args.at {
        Some(text) => Some(moments::about(app, &service, "at", text, &ids.into(), Direction::Next).await?),
        None => None,
    };
    let ask = async || service.skip(&request, &id, at.as_ref(), args.undo).await;
    let changes = until_answered(app.printer, &request, ask).await?;
    Ok(entry_words::changes(app, &service, &changes, None, request.is_dry_run).await?)
}

/// `upbeat backfill ID --from T --to T [--again]`.
pub async fn backfill(app: &App, args: BackfillArgs) -> Ended {
    let id = EntryId::parse("id", &args.id)?;
    let request = request(&args.changing);
    let service = app.service().await?;
    let ids = std::slice::from_ref(&id);
    let range = BackfillRange {
        from: moments::about(app, &service, "from", &args.from, &ids.into(), Direction::Past).await?,
        to: moments::about(app, &service, "to", &args.to, &ids.into(), Direction::Past).await?,
        is_again: args.again,
    };
    let done = until_answered(app.printer, &request, async || service.backfill(&request, &id, &range).await).await?;
    let zone = service.zones(&[id.to_string()].into()).await?.remove(id.as_str()).unwrap_or_else(Zone::utc);
    let wall = Wall { zone, now: service.store().now(service.store().shard_of(&id)).await? };
    app.printer.one(&done, |done| done.entry_id.clone(), || words(&done, &wall, request.is_dry_run));
    if done.runs == 0 {
        app.printer.note("no fire time of the range was missed or skipped; --again runs those that have fired");
    }
    Ok(0)
}

fn words(done: &BackfillView, wall: &Wall, is_dry_run: bool) -> String {
    let at = |text: &str| Timestamp::parse("", text, None).map_or_else(|_| text.to_owned(), |at| wall.at(at));
    let would = if is_dry_run { "would run" } else { "to run" };
    let count = if done.runs == 1 { "1 fire time".to_owned() } else { format!("{} fire times", done.runs) };
    let mut lines = Vec::new();
    match &done.fire_times {
        Some(times) => lines.extend(times.iter().map(|time| ("at", at(time)))),
        None => {
            if let (Some(first), Some(last)) = (&done.first_fire_at, &done.last_fire_at) {
                lines.push(("from", at(first)));
                lines.push(("to", at(last)));
                lines.push(("watch", format!("upbeat runs {} --trigger backfill", done.entry_id)));
            }
        }
    }
    if done.left_out > 0 {
        lines.push(("left out", format!("{} that had fired", done.left_out)));
    }
    if let Some(next) = &done.next_from {
        let more = format!("upbeat backfill {} --from {next} --to {}", done.entry_id, done.to);
        lines.push(("go on", more));
    }
    format!("{would} after all: {count} of {}\n{}", done.entry_id, facts(&lines))
}
