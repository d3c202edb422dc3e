//! `upbeat ls`: entries, written as they are read.

use std::io::IsTerminal;

use crate::cli::App;
use crate::cli::args::LsArgs;
use crate::cli::entry_words;
use crate::cli::output::{Ended, Format, print};
use crate::cli::run_words::shown;
use crate::cli::streamed::Streamed;
use crate::cli::summed::Summed;
use crate::cli::{progress, selection};
use crate::domain::id::EntryId;
use crate::service::{ListFilter, Listing};

/// `upbeat ls [PREFIX] [SELECT] [--warnings] [--limit N] [--after ID]`.
pub async fn ls(app: &App, args: LsArgs) -> Ended {
    let select = selection::read(&[], &args.select)?;
    let after = args.after.map(|id| EntryId::parse("after", &id)).transpose()?;
    let limit = Some(args.limit).filter(|limit| *limit > 0);
    let filter = ListFilter { prefix: args.prefix, select, only_warnings: args.warnings, after, limit };
    let service = app.service().await?;
    let mut listing = service.listing(&filter).await?;
    if app.printer.format == Format::Id && !filter.only_warnings {
        let ids = listing.ids();
        print(&ids.iter().flat_map(|id| [id, "\n"]).collect::<String>());
        say_how_to_go_on(app, &listing, ids.len(), ids.len().checked_sub(1).and_then(|last| ids.get(last)));
        return Ok(0);
    }
    if std::io::stdout().is_terminal() {
        // What is written shows how far it is.
        progress::end();
    }
    let now = service.store().now(0).await?;
    let mut streamed = Streamed::new(app.printer, entry_words::LIST_HEAD);
    let mut warnings = Summed::default();
    let mut last = None;
    while let Some(page) = listing.next().await? {
        streamed.write(&page, |view| view.id.clone(), |view| entry_words::list_row(view, now));
        for view in &page {
            view.warnings.iter().for_each(|warning| warnings.add(&view.id, warning));
        }
        last = page.last().map(|view| view.id.clone()).or(last);
    }
    let count = streamed.end();
    if count == 0 {
        app.printer.note("no entries");
    }
    if !app.printer.is_json() {
        warnings.tell(app.printer);
    }
    say_how_to_go_on(app, &listing, count, last.as_deref());
    Ok(0)
}

/// `50 of 1,204 shown, --limit 0 for all; --after job-50 for the next`.
fn say_how_to_go_on(app: &App, listing: &Listing, count: usize, last: Option<&str>) {
    let (found, is_all) = listing.found();
    if let Some(text) = shown(count, found, is_all).filter(|_| listing.is_limited()) {
        let next = last.map(|last| format!("; --after {last} for the next")).unwrap_or_default();
        app.printer.note(text + &next);
    }
}
