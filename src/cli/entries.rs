//! Commands about one entry: add, set, show, next.

use serde_json::{Map, Value};

use crate::cli::App;
use crate::cli::args::{AddArgs, NextArgs, SetArgs};
use crate::cli::fields::Fields;
use crate::cli::output::Ended;
use crate::cli::request::{request, until_answered};
use crate::cli::times::Wall;
use crate::cli::{clock, entry_words, moments, stray};
use crate::domain::cron::Cron;
use crate::domain::entry::{Entry, take_paused};
use crate::domain::id::{EntryId, Owner};
use crate::domain::moment::{Direction, parse_moment};
use crate::domain::rrule::Rrule;
use crate::domain::schedule::{Schedule, When};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::{Dst, Zone};
use crate::domain::zone_words;
use crate::error::{Error, Problem, Result};
use crate::service::{AddOptions, Service};

/// `upbeat add ID SCHEDULE ACTION [POLICIES]`.
pub async fn add(app: &App, args: AddArgs) -> Ended {
    refuse_stray("add", &args.id, &args.fields, &args.stray, &args.argv)?;
    let id = EntryId::parse("id", &args.id)?;
    let read = |now: Timestamp| {
        let mut fields = values(&args.fields, &args.argv, now)?;
        let is_paused = take_paused(&mut fields)?.unwrap_or(false);
        Ok::<_, Error>((Entry::parse_for(&id, fields)?, is_paused))
    };
    // What is wrong with the words is said before Redis is asked; what counts from now counts from its now.
    let (mut entry, is_paused) = read(clock::now())?;
    let owner = Owner::parse("owner", "cli")?;
    let request = request(&args.changing);
    let service = app.service().await?;
    if has_moments(&args.fields) {
        (entry, _) = read(service.store().now(service.store().shard_of(&id)).await?)?;
    }
    let from = match &args.from {
        Some(text) => {
            let now = service.store().now(service.store().shard_of(&id)).await?;
            let zones = [entry.schedule.zone.clone()];
            Some(moments::read(app, "from", text, &zones, now, Direction::Past)?)
        }
        None => None,
    };
    let ask = async || {
        let options = AddOptions {
            owner: owner.clone(),
            is_replace: args.replace,
            is_if_absent: args.if_absent,
            is_paused,
            is_take: args.take,
            from: from.clone(),
        };
        service.add(&request, id.clone(), entry.clone(), options).await
    };
    let changes = until_answered(app.printer, &request, ask).await?;
    let code = entry_words::changes(app, &service, &changes, None, request.is_dry_run).await?;
    if !app.printer.is_json() {
        warn_of_server(app, &service).await?;
    }
    Ok(code)
}

/// Eviction and persistence, in one line.
async fn warn_of_server(app: &App, service: &Service) -> Result<()> {
    let report = service.store().report().await?;
    if !report.warnings.is_empty() && !app.printer.is_quiet {
        app.printer.warning(&report.warnings.join("; "));
    }
    Ok(())
}

/// `upbeat set ID FIELDS [--unset FIELD,...]`.
pub async fn set(app: &App, args: SetArgs) -> Ended {
    refuse_stray("set", &args.id, &args.fields, &args.stray, &args.argv)?;
    let id = EntryId::parse("id", &args.id)?;
    let mut fields = values(&args.fields, &args.argv, clock::now())?;
    let unset: Vec<String> = args.unset.iter().map(|field| field_name(field)).collect();
    if fields.is_empty() && unset.is_empty() {
        let error = Error::Invalid(Problem::bare("no field is named to set"));
        return Err(error.hint(format!("upbeat set {id} --timeout 5m, or --unset FIELD")).into());
    }
    let request = request(&args.changing);
    let service = app.service().await?.if_revision(args.if_revision);
    if has_moments(&args.fields) {
        fields = values(&args.fields, &args.argv, service.store().now(service.store().shard_of(&id)).await?)?;
    }
    let changes =
        until_answered(app.printer, &request, async || service.set(&request, &id, fields.clone(), &unset).await)
            .await?;
    Ok(entry_words::changes(app, &service, &changes, None, request.is_dry_run).await?)
}

/// `start-within` is the field `start_within`; keys of tables stay as they are.
fn field_name(written: &str) -> String {
    if written.contains('.') { written.to_owned() } else { written.replace('-', "_") }
}

/// Words that stand where none belongs: an expression without quotes, or a mistake.
fn refuse_stray(command: &str, id: &str, fields: &Fields, words: &[String], exec: &[String]) -> Result<()> {
    let Some(first) = words.first() else { return Ok(()) };
    match fields.crons() {
        [cron] if cron.split_whitespace().count() < 5 && !cron.starts_with('@') => {
            Err(stray::unquoted(command, id, cron, words, &files_here(), exec))
        }
        _ => {
            let has_schedule = ["cron", "every", "at", "rrule"].iter().any(|field| fields.text(field).is_some());
            let sorted = stray::sorted_out(command, id, has_schedule, words, exec);
            Err(Error::Invalid(
                Problem::bare(format!("{first:?} is one word too many"))
                    .value(first.as_str())
                    .hint(sorted.unwrap_or_else(|| "a command stands behind --, an expression in quotes".to_owned())),
            ))
        }
    }
}

/// What `*` becomes in this folder.
fn files_here() -> Vec<String> {
    let names = std::fs::read_dir(".").into_iter().flatten().flatten();
    let mut names: Vec<String> = names.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

/// Fields of instants.
const INSTANTS: &[&str] = &["at", "start", "end", "anchor"];

/// The fields as values. `--at +2h` and `--start 02:00` become instants; what has a date is left to the entry.
fn values(fields: &Fields, exec: &[String], now: Timestamp) -> Result<Map<String, Value>> {
    let mut values = fields.values(exec)?;
    for field in INSTANTS {
        let Some(text) = fields.text(field).filter(|text| is_moment(text)) else { continue };
        // An entry's own zone is not known here; a time of day says it with --tz.
        let zone = fields.text("tz").map_or_else(|| Ok(Zone::utc()), |name| Zone::parse("tz", name))?;
        let at = parse_moment(field, text, &zone, now, Direction::Next)?;
        values.insert((*field).to_owned(), Value::from(at.to_rfc3339()));
    }
    Ok(values)
}

fn has_moments(fields: &Fields) -> bool {
    INSTANTS.iter().any(|field| fields.text(field).is_some_and(is_moment))
}

/// Whether the text counts from now; an instant begins with a year.
fn is_moment(text: &str) -> bool {
    text.starts_with(['+', '-']) || text == "now" || text.get(2..3) == Some(":")
}

/// `upbeat show ID`.
pub async fn show(app: &App, id: &str) -> Ended {
    let id = EntryId::parse("id", id)?;
    let service = app.service().await?;
    let detail = service.show(&id).await?;
    let now = service.store().now(service.store().shard_of(&id)).await?;
    let entry = match entry_words::entry_of(&detail.view) {
        Some(entry) => service.store().resolve(entry).await.ok(),
        None => None,
    };
    let next = match (&entry, detail.view.next_fire_at) {
        (Some(entry), Some(next)) => {
            service.upcoming(&id, entry, Timestamp(next.0.0 - 1), entry_words::NEXT_SHOWN).await?
        }
        _ => Vec::new(),
    };
    let table = || entry_words::detail(&detail, entry.as_ref(), &next, now);
    app.printer.one(&detail, |detail| detail.view.id.clone(), table);
    if !app.printer.is_json() {
        detail.view.warnings.iter().for_each(|warning| app.printer.warning(warning));
    }
    Ok(0)
}

/// `upbeat next ID`, or `upbeat next --cron E [--tz Z]` without a Redis.
pub async fn next(app: &App, args: NextArgs) -> Ended {
    let count = usize::try_from(args.count).unwrap_or(usize::MAX);
    if let Some(id) = args.id.as_deref().filter(|_| !args.stray.is_empty()) {
        refuse_next_stray(&args, id)?;
    }
    if let Some(rule) = &args.rrule {
        return next_of_rule(app, &args, rule, count);
    }
    let mut of_entry = None;
    let mut until = None;
    let (schedule, now) = match (&args.id, &args.cron[..]) {
        (None, []) => {
            let error = Error::invalid("id", "an entry, or --cron EXPRESSION, is needed");
            return Err(error.hint("upbeat next ID, upbeat next --cron '0 9 * * mon-fri' --tz Europe/Berlin").into());
        }
        (Some(id), [cron, ..]) if cron.split_whitespace().count() < 5 && !cron.starts_with('@') => {
            return Err(stray::unquoted("next", "", cron, std::slice::from_ref(id), &files_here(), &[]).into());
        }
        (Some(_), [_, ..]) => return Err(Error::invalid("cron", "goes without an entry").into()),
        (Some(_), []) if args.tz.is_some() => {
            return Err(Error::invalid("tz", "goes with --cron; an entry has its own").into());
        }
        (Some(id), []) => {
            let id = EntryId::parse("id", id)?;
            let service = app.service().await?;
            let (definition, entry) = service.entry(&id).await?;
            let now = service.store().now(service.store().shard_of(&id)).await?;
            until = definition.paused_at(now).and_then(|paused| paused.until);
            if definition.paused_at(now).is_some_and(|paused| paused.until.is_none()) {
                app.printer.note("it is paused: these are when it would fire");
            }
            let (_, entry, _) = of_entry.insert((service, entry, id));
            (entry.schedule.clone(), now)
        }
        (None, crons) => (cron_schedule(crons, args.tz.as_deref())?, clock::now()),
    };
    let from = match &args.from {
        Some(text) => parse_moment("from", text, &schedule.zone, now, Direction::Past)?,
        None => now,
    };
    // What is to be skipped, and what a pause skips, does not fire.
    let from = until.map_or(from, |until| from.max(Timestamp(until.0 - 1)));
    let (times, skips) = match &of_entry {
        Some((service, entry, id)) => tokio::try_join!(service.upcoming(id, entry, from, count), service.skips(id))?,
        None => (schedule.times_after(from).take(count).collect(), Vec::new()),
    };
    say_times(app, &schedule, (from, now), &times, count);
    let wall = Wall { zone: schedule.zone.clone(), now };
    for skip in
        skips.iter().filter(|skip| skip.fire_at > from && times.last().is_some_and(|last| skip.fire_at <= *last))
    {
        app.printer.note(format!("{} is skipped, {}", wall.at(skip.fire_at), skip.words));
    }
    if let Some(until) = until {
        app.printer.note(format!("it is paused until {}", wall.at(until)));
    }
    Ok(0)
}

/// `upbeat next --rrule R [--tz Z] [--from T]`: of a rule that begins at T, else now.
fn next_of_rule(app: &App, args: &NextArgs, rule: &str, count: usize) -> Ended {
    let zone = args.tz.as_deref().map_or_else(|| Ok(Zone::utc()), |name| Zone::parse("tz", name))?;
    let now = clock::now();
    let from = match &args.from {
        Some(text) => parse_moment("from", text, &zone, now, Direction::Past)?,
        None => now,
    };
    let when = When::Rrule(Rrule::parse("rrule", rule, Some(from), &zone)?);
    let schedule = Schedule { anchor: Some(from), ..plain(when, zone) };
    let times: Vec<Timestamp> = schedule.times_after(from).take(count).collect();
    say_times(app, &schedule, (from, now), &times, count);
    Ok(0)
}

fn say_times(app: &App, schedule: &Schedule, (from, now): (Timestamp, Timestamp), times: &[Timestamp], count: usize) {
    let instants: Vec<String> = times.iter().map(|at| at.to_rfc3339()).collect();
    app.printer.list(&instants, String::clone, || {
        let wall = Wall { zone: schedule.zone.clone(), now };
        let lines: String = times.iter().map(|at| format!("{}\n", wall.full(*at))).collect();
        if app.printer.is_quiet {
            return lines;
        }
        let change = zone_words::next_change(schedule, from);
        let doubt = zone_words::doubt(schedule).map(|words| format!("note: {words}"));
        let remarks: String = change.into_iter().chain(doubt).map(|words| format!("{words}\n")).collect();
        format!("{}\n{lines}{remarks}", schedule.describe())
    });
    if times.is_empty() && !app.printer.is_json() && count > 0 {
        app.printer.note("it does not fire any more");
    }
}

fn refuse_next_stray(args: &NextArgs, id: &str) -> Result<()> {
    let mut stray = vec![id.to_owned()];
    stray.extend(args.stray.iter().cloned());
    match &args.cron[..] {
        [cron] if cron.split_whitespace().count() < 5 => {
            Err(stray::unquoted("next", "", cron, &stray, &files_here(), &[]))
        }
        _ => Err(Error::Invalid(
            Problem::bare(format!("{:?} is one word too many", args.stray[0])).hint("one entry at a time"),
        )),
    }
}

fn cron_schedule(crons: &[String], tz: Option<&str>) -> Result<Schedule> {
    let zone = tz.map_or_else(|| Ok(Zone::utc()), |name| Zone::parse("tz", name))?;
    let crons = crons.iter().map(|text| Cron::parse("cron", text)).collect::<Result<_>>()?;
    Ok(plain(When::Cron(crons), zone))
}

fn plain(when: When, zone: Zone) -> Schedule {
    Schedule { when, zone, start: None, end: None, anchor: None, dst: Dst::default(), exclude: Default::default() }
}
