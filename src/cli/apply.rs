//! `upbeat apply`: makes the entries of files so, and says in a line what that did.

use std::collections::BTreeMap;

use clap::Args;

use crate::cli::args::Changing;
use crate::cli::output::{Ended, Format, complain, print, printable};
use crate::cli::request::{request, until_answered};
use crate::cli::schedule_files::placed_files;
use crate::cli::selection::agree;
use crate::cli::summed::Summed;
use crate::cli::times::Wall;
use crate::cli::{App, calendars, entry_words, moments, progress, queues};
use crate::domain::file::PackedEntry;
use crate::domain::moment::Direction;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::error::{Error, Result};
use crate::service::{At, ChangeView, Changes, FilesOptions, OwnedFile, Pruned, Request, Said, Service};

pub const APPLY_EXAMPLES: &str = "Examples:
  upbeat plan -f jobs.toml                     see what it would do
  upbeat apply -f jobs.toml --reason 'new report'
  upbeat apply -f schedules/ --prune           a folder is one file; what its owner has beside it is removed
  upbeat apply -f celery.toml --from 2026-11-21T03:00:30+08:00

Entries of other owners are refused (exit 4), the rest is written. --prune removes entries of the same owner that stand in none
of the files; more than a fifth of them only with -y. It leaves calendars alone.";

/// Changes that are told one by one, at most.
const TOLD: usize = 20;

#[derive(Debug, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    pub of: FilesArgs,
    #[command(flatten)]
    pub changing: Changing,
}

/// Which files, and how.
#[derive(Debug, Args)]
pub struct FilesArgs {
    /// A file, a folder of files, or - for standard input
    #[arg(short = 'f', long = "file", value_name = "FILE", required = true)]
    pub files: Vec<String>,
    /// Remove entries of the same owner that are not in the files
    #[arg(long)]
    pub prune: bool,
    /// Take entries over from other owners
    #[arg(long)]
    pub take: bool,
    /// New entries owe their fire times from then on: an instant, 02:00, -8h
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub from: Option<String>,
}

impl FilesArgs {
    /// How they are applied, with instants read in the zone of their entries.
    pub async fn options(
        &self,
        app: &App,
        service: &Service,
        files: &[OwnedFile<PackedEntry>],
    ) -> Result<FilesOptions> {
        let from: Option<Said> = match &self.from {
            Some(text) => {
                let zones = zones_of(files)?;
                let now = service.store().now(0).await?;
                Some(moments::read(app, "from", text, &zones, now, Direction::Past)?)
            }
            None => None,
        };
        Ok(FilesOptions { is_take: self.take, from, is_prune: self.prune, ..FilesOptions::default() })
    }
}

/// `upbeat apply -f FILE|DIR|-`.
pub async fn apply(app: &App, args: ApplyArgs) -> Ended {
    let (files, ids) = placed_files(&args.of.files, &progress::watched(app.printer))?;
    let service = app.service().await?;
    let request = request(&args.changing);
    let mut options = args.of.options(app, &service, &files).await?;
    options.is_agreed = args.changing.yes;
    if options.is_prune && !options.is_agreed && !request.is_dry_run {
        let much: Vec<Pruned> = service.would_prune(files.clone()).await?.into_iter().filter(Pruned::is_much).collect();
        if !much.is_empty() {
            agree(&much.iter().map(Pruned::words).collect::<Vec<_>>().join(", and "))?;
            options.is_agreed = true;
        }
    }
    write_placed(app, &service, files, &options, &request, |why| ids.placed(why)).await
}

/// Makes the entries of these files so, and says what that did.
pub async fn write(
    app: &App,
    service: &Service,
    files: Vec<OwnedFile>,
    options: &FilesOptions,
    changing: &Changing,
) -> Ended {
    let files = files.into_iter().map(Into::into).collect();
    write_placed(app, service, files, options, &request(changing), |why| why).await
}

/// The same; `placed` says where in the files a complaint belongs.
async fn write_placed(
    app: &App,
    service: &Service,
    files: Vec<OwnedFile<PackedEntry>>,
    options: &FilesOptions,
    request: &Request,
    placed: impl Fn(Error) -> Error,
) -> Ended {
    // The program ends with this command: to free 100,000 entries one by one first takes it 60 ms.
    let files = std::mem::ManuallyDrop::new(files);
    // Many that were added are one line, which names none of their fields.
    let count: usize = files.iter().map(|one| one.file.entries.len()).sum();
    let is_brief = app.printer.format == Format::Table && count > 1;
    let options = &FilesOptions { is_brief, ..options.clone() };
    let ask = async || {
        let mut told = Told::new(app.printer.format);
        let changes = service.apply_each(request, Vec::clone(&files), options, |view| told.add(view)).await?;
        Ok((changes, told))
    };
    let (changes, told) = until_answered(app.printer, request, ask).await.map_err(placed)?;
    let has_told_calendars = calendars::of_file(app.printer, &changes.calendars, request.is_dry_run);
    queues::of_file(app.printer, &changes.queues, request.is_dry_run);
    if app.printer.format == Format::Table && told.count == 0 {
        if changes.calendars.is_empty() && changes.queues.is_empty() {
            app.printer.note("the file has no entries: nothing to do");
        }
        Summed::worded(&changes.warnings).tell(app.printer);
        return Ok(has_told_calendars);
    }
    if app.printer.format != Format::Table || told.count == 1 {
        let changes = Changes { changes: told.kept, ..changes };
        let told = entry_words::changes(app, service, &changes, None, request.is_dry_run).await?;
        return Ok(has_told_calendars.max(told));
    }
    if !app.printer.is_quiet {
        let now = service.store().now(0).await?;
        print(&printable(&told.summary(|id| zone_of(&files, id), now, request.is_dry_run)));
    }
    let refused = told.count_of("refused");
    for one in &told.refused {
        let why = one.message.as_deref().unwrap_or("it changed meanwhile");
        complain(&format!("refused {}: {}", one.id, printable(why)));
    }
    if refused > TOLD {
        complain(&format!("and {} more are refused; -o json names all", counted(refused - TOLD)));
    }
    Summed::worded(&changes.warnings).tell(app.printer);
    Ok(if refused == 0 { has_told_calendars } else { 4 })
}

/// The zones of the entries, each once.
fn zones_of(files: &[OwnedFile<PackedEntry>]) -> Result<Vec<Zone>> {
    let mut zones: Vec<Zone> = Vec::new();
    for one in files.iter().flat_map(|one| &one.file.entries) {
        let zone = if one.has_offset_changes() { one.entry()?.schedule.zone.clone() } else { Zone::utc() };
        if !zones.iter().any(|known| known.name() == zone.name()) {
            zones.push(zone);
        }
    }
    Ok(zones)
}

/// The zone of one of the entries.
pub fn zone_of(files: &[OwnedFile<PackedEntry>], id: &str) -> Zone {
    let mut entries = files.iter().flat_map(|one| &one.file.entries);
    let entry = entries.find(|one| one.id().as_str() == id).and_then(|one| one.entry().ok());
    entry.map_or_else(Zone::utc, |entry| entry.schedule.zone.clone())
}

/// What is said of the changes, noted as they are told: of a million entries no more is held.
struct Told {
    /// All of them for programs, else the first.
    kept: Vec<ChangeView>,
    keeps_all: bool,
    count: usize,
    counts: BTreeMap<&'static str, usize>,
    /// The first that were added, changed or removed, up to [`TOLD`]; the same without those that were added.
    few: Vec<ChangeView>,
    named: Vec<ChangeView>,
    refused: Vec<ChangeView>,
    /// Nothing but first revisions were written.
    is_new: bool,
    first: Option<(Timestamp, String)>,
}

impl Told {
    fn new(format: Format) -> Self {
        let (kept, few, named, refused) = Default::default();
        let (count, counts, first) = Default::default();
        Self { kept, keeps_all: format != Format::Table, count, counts, few, named, refused, is_new: true, first }
    }

    fn add(&mut self, view: ChangeView) {
        self.count += 1;
        *self.counts.entry(view.change).or_default() += 1;
        let note = |list: &mut Vec<ChangeView>| {
            if list.len() < TOLD {
                list.push(view.clone());
            }
        };
        match view.change {
            "added" | "changed" | "removed" => {
                note(&mut self.few);
                if view.change != "added" {
                    note(&mut self.named);
                }
                self.is_new &= view.change == "added" && view.revision == Some(1);
                if let Some(At(at)) = view.next_after
                    && self.first.as_ref().is_none_or(|(first, id)| (at, &view.id) < (*first, id))
                {
                    self.first = Some((at, view.id.clone()));
                }
            }
            "refused" => note(&mut self.refused),
            _ => {}
        }
        if self.keeps_all || self.kept.is_empty() {
            self.kept.push(view);
        }
    }

    fn count_of(&self, word: &str) -> usize {
        self.counts.get(word).copied().unwrap_or_default()
    }

    /// What became of many entries: each, where they are few, then all in one line.
    ///
    /// `37 added · revision 1 each · first fire 03:01:00 CST (heartbeat), in 12 s`
    fn summary(&self, zone_of: impl Fn(&str) -> Zone, now: Timestamp, is_dry_run: bool) -> String {
        let would = if is_dry_run { "would be " } else { "" };
        let changed: usize = ["added", "changed", "removed"].iter().map(|word| self.count_of(word)).sum();
        let mut text = String::new();
        // A line says all of what was only added; what was changed or removed is worth its name.
        let is_few = changed <= TOLD;
        let named = if is_few { &self.few } else { &self.named };
        for one in named {
            let revision = one.revision.map(|revision| format!(" · revision {revision}")).unwrap_or_default();
            let fields = if one.change == "changed" { format!(" · {}", one.fields.join(", ")) } else { String::new() };
            text.push_str(&format!("{would}{} {}{revision}{fields}\n", one.change, one.id));
        }
        if !is_few && !named.is_empty() {
            text.push_str(&format!("and {} more; -o json names all\n", counted(changed - named.len())));
        }
        let mut parts = Vec::new();
        let words = ["added", "changed", "removed", "unchanged", "refused"];
        let counts = words.iter().map(|word| (self.count_of(word), word)).filter(|(count, _)| *count > 0);
        parts.push(counts.map(|(count, word)| format!("{} {word}", counted(count))).collect::<Vec<_>>().join(", "));
        if changed > 0 && self.is_new {
            parts.push("revision 1 each".to_owned());
        }
        if let Some((at, id)) = &self.first {
            let wall = Wall { zone: zone_of(id), now };
            parts.push(format!("first fire {} ({id}), {}", wall.at(*at), wall.relative(*at)));
        }
        text + &format!("{would}{}\n", parts.join(" · "))
    }
}

/// `99,980`.
pub fn counted(count: usize) -> String {
    let digits = count.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(id: &str, change: &'static str) -> ChangeView {
        ChangeView {
            id: id.to_owned(),
            change,
            fields: vec!["every".into()],
            next_before: None,
            next_after: Some(At(Timestamp(1_000_000))),
            revision: Some(1),
            message: None,
        }
    }

    #[test]
    fn many_additions_are_one_line_and_what_is_changed_is_named() {
        let all = |changes: Vec<ChangeView>| {
            let mut told = Told::new(Format::Table);
            changes.into_iter().for_each(|one| told.add(one));
            told.summary(|_| Zone::utc(), Timestamp(988_000), false)
        };
        let ids: Vec<String> = (0..1_500).map(|number| format!("e{number:04}")).collect();
        let added: Vec<ChangeView> = ids.iter().map(|id| change(id, "added")).collect();
        let line = "1,500 added · revision 1 each · first fire 1 Jan 1970 00:16:40 UTC (e0000), in 12 s\n";
        assert_eq!(all(added.clone()).replace("1 Jan 1970 ", ""), line.replace("1 Jan 1970 ", ""));
        let mut mixed = added;
        (0..30).for_each(|at| mixed[at].change = "changed");
        let text = all(mixed);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (22, "changed e0000 · revision 1 · every"));
        assert_eq!(lines[20], "and 1,480 more; -o json names all");
        assert!(lines[21].starts_with("1,470 added, 30 changed · first fire "), "{text}");
    }
}
