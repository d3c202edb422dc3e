//! Entries and changes in the words that people read.

use serde_json::{Map, Value};

use crate::cli::output::{Cell, Format, complain, facts, print, printable};
use crate::cli::summed::Summed;
use crate::cli::times::{Wall, took};
use crate::cli::{App, output, palette};
use crate::domain::entry::Entry;
use crate::domain::id::EntryId;
use crate::domain::schedule::When;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::domain::zone_words;
use crate::error::{Error, Result};
use crate::service::{ChangeView, Changes, EntryDetail, EntryView, ManyChanges, Service};

/// Changes that are drawn as those of entries named one by one.
const FEW: usize = 1_000;
/// Fire times that are shown after a change.
pub const NEXT_SHOWN: usize = 3;

/// Prints what became of a request; the exit code is 4 where an entry was refused. `verb` is what people asked for, where it
/// says more than `changed`.
pub async fn changes(
    app: &App,
    service: &Service,
    changes: &Changes,
    verb: Option<&str>,
    is_dry_run: bool,
) -> Result<u8> {
    let is_refused = |change: &&ChangeView| change.change == "refused";
    let code = if changes.changes.iter().any(|change| is_refused(&change)) { 4 } else { 0 };
    match app.printer.format {
        Format::Json | Format::Jsonl => app.printer.long(changes),
        Format::Id => {
            for change in changes.changes.iter().filter(|change| !is_refused(change)) {
                print(&format!("{}\n", change.id));
            }
        }
        Format::Table => {
            if !app.printer.is_quiet {
                print(&lines(changes, verb.unwrap_or("changed"), is_dry_run));
            }
            for change in changes.changes.iter().filter(is_refused) {
                let why = change.message.as_deref().unwrap_or("it changed meanwhile");
                complain(&format!("{} {}: {}", palette::state("refused"), change.id, printable(why)));
            }
            if let [change] = &changes.changes[..]
                && matches!(change.change, "added" | "changed")
                && verb != Some("paused")
                && !is_dry_run
                && !app.printer.is_quiet
            {
                match describe(service, change).await {
                    // A repeated request is answered as the first time, although the entry was removed since.
                    Err(Error::NotFound(_)) => {}
                    told => told?,
                }
            }
            Summed::worded(&changes.warnings).tell(app.printer);
        }
    }
    Ok(code)
}

/// The same of as many as a filter selects.
pub async fn many_changes(
    app: &App,
    service: &Service,
    many: &ManyChanges,
    verb: &str,
    is_dry_run: bool,
) -> Result<u8> {
    if many.len() <= FEW {
        return changes(app, service, &many.to_changes(), Some(verb), is_dry_run).await;
    }
    let code = if many.count("refused") > 0 { 4 } else { 0 };
    match app.printer.format {
        Format::Json | Format::Jsonl => app.printer.long(many),
        Format::Id => print_lines(many.iter().filter(|one| one.change != "refused").map(|one| one.id)),
        Format::Table => {
            if !app.printer.is_quiet {
                print_lines(many.iter().filter(is_told).map(|one| line(&one, verb, is_dry_run)));
                print(&format!("{}\n", counts(|word| many.count(word), verb, is_dry_run)));
            }
            let mut refused = Summed::default();
            for one in many.iter().filter(|one| one.change == "refused") {
                refused.add(&one.id, one.message.as_deref().unwrap_or("it changed meanwhile"));
            }
            for why in refused.lines() {
                complain(&format!("{} {}", palette::state("refused"), printable(&why)));
            }
            Summed::worded(many.warnings()).tell(app.printer);
        }
    }
    Ok(code)
}

/// Writes lines, many at a time.
fn print_lines(lines: impl Iterator<Item = String>) {
    let mut text = String::new();
    for line in lines {
        text.push_str(&line);
        text.push('\n');
        if text.len() > 1 << 16 {
            print(&text);
            text.clear();
        }
    }
    print(&text);
}

fn lines(changes: &Changes, verb: &str, is_dry_run: bool) -> String {
    let shown =
        changes.changes.iter().filter(|one| one.change != "refused" && changes.changes.len() == 1 || is_told(one));
    let mut text: String = shown.map(|change| line(change, verb, is_dry_run) + "\n").collect();
    if changes.changes.len() > 1 {
        let count = |word: &str| changes.changes.iter().filter(|change| change.change == word).count();
        text.push_str(&format!("{}\n", counts(count, verb, is_dry_run)));
    }
    if changes.changes.is_empty() {
        text.push_str("no entry matches, nothing was changed\n");
    }
    text
}

/// Whether it has a line among many.
fn is_told(change: &ChangeView) -> bool {
    !matches!(change.change, "refused" | "unchanged")
}

/// `changed`, or the word of what people asked for.
fn worded<'w>(change: &'w str, verb: &'w str) -> &'w str {
    if change == "changed" { verb } else { change }
}

/// `would be changed nightly · revision 3 · timeout`.
fn line(change: &ChangeView, verb: &str, is_dry_run: bool) -> String {
    let would = if is_dry_run && change.change != "unchanged" { "would be " } else { "" };
    let sign = palette::of_word(change.change).unwrap_or_default();
    let mut text = format!("{would}{} {}", palette::paint(sign, worded(change.change, verb)), change.id);
    if let Some(revision) = change.revision.filter(|_| change.change != "unchanged") {
        text.push_str(&format!(" · revision {revision}"));
    }
    if change.change == "changed" && verb == "changed" && !change.fields.is_empty() {
        text.push_str(&format!(" · {}", change.fields.join(", ")));
    }
    text
}

/// `2 added, 3 unchanged`.
fn counts(count: impl Fn(&str) -> usize, verb: &str, is_dry_run: bool) -> String {
    let words = ["added", "changed", "removed", "unchanged", "refused"];
    let counts = words.iter().map(|word| (count(word), word)).filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, word)| format!("{count} {}", worded(word, verb))).collect();
    format!("{}{}", if is_dry_run { "would be " } else { "" }, counts.join(", "))
}

/// When, next, what and where, as after `add`.
async fn describe(service: &Service, change: &ChangeView) -> Result<()> {
    let id = EntryId::parse("entry", &change.id)?;
    let (definition, entry) = service.entry(&id).await?;
    let now = service.store().now(service.store().shard_of(&id)).await?;
    let wall = Wall { zone: entry.schedule.zone.clone(), now };
    let mut lines = vec![("when", when(&entry, &wall))];
    let skips = service.skips(&id).await?;
    let next = match change.next_after {
        Some(next) => Some(service.upcoming(&id, &entry, Timestamp(next.0.0 - 1), NEXT_SHOWN).await?),
        None => None,
    };
    lines.push((
        "next",
        match (definition.paused_at(now), next) {
            (Some(crate::domain::definition::Paused { until: Some(until), .. }), _) => {
                format!("paused until {}", wall.full(*until))
            }
            (Some(_), _) => format!("paused; upbeat resume {id}"),
            (None, Some(next)) if change.next_before == change.next_after => format!("unchanged: {}", wall.list(&next)),
            (None, next) => wall.list(&next.unwrap_or_default()),
        },
    ));
    if !skips.is_empty() {
        let times: Vec<Timestamp> = skips.iter().map(|skip| skip.fire_at).collect();
        lines.push(("skips", wall.list(&times)));
    }
    lines.extend(zone_words::next_change(&entry.schedule, now).map(|words| ("zone", words)));
    lines.extend(zone_words::doubt(&entry.schedule).map(|words| ("note", words.to_owned())));
    lines.push(("what", entry.reads()));
    let served = service.where_to_run(&entry).await?;
    if entry.action.kind().is_some() {
        lines.push(("where", if served.nodes.is_empty() { "nobody yet".to_owned() } else { served.nodes.join(", ") }));
    }
    print(&facts(&lines));
    Ok(())
}

fn when(entry: &Entry, wall: &Wall) -> String {
    let words = entry.reads_when();
    match (&entry.schedule.when, entry.schedule.anchor) {
        (When::Every(_), Some(anchor)) => format!("{words}, counted from {}", wall.at(anchor)),
        (When::Rrule(_), Some(anchor)) => format!("{words}, begun {}", wall.at(anchor)),
        _ => words,
    }
}

/// The head of the table of `ls`.
pub const LIST_HEAD: &[&str] = &["ENTRY", "STATUS", "WHEN", "NEXT", "LAST RUN", "WHAT"];

/// A row of that table.
pub fn list_row(view: &EntryView, now: Timestamp) -> Vec<Cell> {
    let entry = entry_of(view);
    let wall = Wall { zone: entry.as_ref().map_or_else(Zone::utc, |entry| entry.schedule.zone.clone()), now };
    let last = view
        .last_run
        .as_ref()
        .map(|last| format!("{}, {}", last.state, wall.relative(last.finished_at.unwrap_or(last.fire_at).0)));
    vec![
        Cell::from(view.id.clone()),
        Cell::state(match view.paused_until {
            Some(until) => format!("{} until {}", view.status, wall.at(until.0)),
            None => view.status.to_owned(),
        }),
        entry.as_ref().map(Entry::reads_when).unwrap_or_default().into(),
        view.next_fire_at.map(|at| wall.full(at.0)).unwrap_or_default().into(),
        Cell::state(last.unwrap_or_else(|| "never".to_owned())),
        entry.as_ref().map(Entry::reads).unwrap_or_default().into(),
    ]
}

/// `show` for people.
pub fn detail(detail: &EntryDetail, entry: Option<&Entry>, upcoming: &[Timestamp], now: Timestamp) -> String {
    let view = &detail.view;
    let wall = Wall { zone: entry.map_or_else(Zone::utc, |entry| entry.schedule.zone.clone()), now };
    let mut lines = vec![("status", view.status.to_owned())];
    if let Some(entry) = &entry {
        lines.push(("when", when(entry, &wall)));
    }
    if let Some(next) = view.next_fire_at {
        lines.push(("next", wall.list(if upcoming.is_empty() { std::slice::from_ref(&next.0) } else { upcoming })));
    }
    for skip in &detail.skips {
        lines.push(("skips", format!("{}, {}", wall.full(skip.fire_at.0), skip.message)));
    }
    if let Some(by) = detail.paused_by.as_object() {
        let text = |name: &str| by.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let reason = Some(text("reason")).filter(|reason| !reason.is_empty());
        let reason = reason.map(|reason| format!(" ({reason:?})")).unwrap_or_default();
        let until = by.get("until").and_then(Value::as_str);
        let until = until.map(|until| format!(", until {}", wall.localised(until))).unwrap_or_default();
        lines.push(("paused", format!("by {} since {}{until}{reason}", text("actor"), wall.localised(&text("at")))));
    }
    if let Some(entry) = &entry {
        lines.push(("what", entry.reads()));
    }
    let shown = ["cron", "every", "at", "rrule", "tz", "exec", "shell", "http", "celery", "stream", "list", "publish"];
    let policies: Vec<String> = detail
        .entry
        .as_object()
        .unwrap_or(&Map::new())
        .iter()
        .filter(|(field, _)| !shown.contains(&field.as_str()))
        .map(|(field, value)| format!("{field} = {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    if !policies.is_empty() {
        lines.push(("fields", policies.join(" · ")));
    }
    lines.push(("queue", view.queue.clone()));
    if let Some(last) = &view.last_run {
        let reason = last.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        lines.push(("last", format!("{}{reason}, fire time {}", last.state, wall.full(last.fire_at.0))));
    }
    let count =
        |name: &str| detail.stats[name].as_u64().filter(|count| *count > 0).map(|count| format!("{count} {name}"));
    let counts: Vec<String> = ["succeeded", "failed", "skipped", "missed", "cancelled", "active"]
        .iter()
        .filter_map(|name| count(name))
        .collect();
    let took = |name: &str| detail.stats[name].as_i64().map(took);
    let usual = took("median_ms").zip(took("p95_ms"));
    let usual = usual.map(|(median, p95)| format!("usually {median}, p95 {p95}"));
    let runs: Vec<String> = Some(counts.join(", ")).filter(|text| !text.is_empty()).into_iter().chain(usual).collect();
    if !runs.is_empty() {
        lines.push(("runs", runs.join(" · ")));
    }
    let changed = detail.stats["changed_at"].as_str().map(|at| wall.localised(at)).unwrap_or_default();
    let actor = detail.stats["actor"].as_str().unwrap_or_default();
    let reason = detail.stats["reason"].as_str().map(|reason| format!(" ({reason:?})")).unwrap_or_default();
    lines.push(("changed", format!("revision {} by {actor}, {changed}{reason} · owner {}", view.revision, view.owner)));
    let painted = |(name, text): (&'static str, String)| match name {
        "status" | "last" => (name, Cell::state(text)),
        _ => (name, Cell::from(text)),
    };
    format!("{}\n{}", view.id, output::facts(&lines.into_iter().map(painted).collect::<Vec<_>>()))
}

/// The entry as far as a list shows it.
/// The entry as far as a list shows it, without the dates of its calendars.
pub fn entry_of(view: &EntryView) -> Option<Entry> {
    let mut fields = view.schedule.as_object()?.clone();
    fields.extend(view.action.as_object()?.clone());
    Entry::parse_for(&EntryId::parse("entry", &view.id).ok()?, fields).ok()
}
