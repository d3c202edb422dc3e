//! Commands that make a run: trigger and once.

use serde::Serialize;

use crate::cli::App;
use crate::cli::asked_args::{OnceArgs, TriggerArgs, Waiting};
use crate::cli::clock;
use crate::cli::fields::json_or_text;
use crate::cli::moments;
use crate::cli::output::{Ended, Format, complain};
use crate::cli::request::{request, until_answered};
use crate::cli::run_words::{Words, outcome};
use crate::cli::waiting::{INTERRUPTED, unless_interrupted, until_ended};
use crate::domain::id::EntryId;
use crate::domain::moment::{Direction, parse_moment};
use crate::domain::one_off;
use crate::domain::policy::Overlap;
use crate::domain::run::State;
use crate::domain::span::Span;
use crate::domain::zone::Zone;
use crate::error::{Error, Result};
use crate::service::{AskedRun, OnceWhen, OnlyOne, Request, RunView, Service, TriggerOptions};

/// A run that was asked for, for programs.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    run: &'a RunView,
    /// Whether `--unique` was taken by this run, so that no other one was made.
    is_taken: bool,
}

/// `upbeat trigger ID [--wait]`.
pub async fn trigger(app: &App, args: TriggerArgs) -> Ended {
    let id = EntryId::parse("id", &args.id)?;
    let payload = args.payload.as_deref().map(|text| json_or_text("payload", text)).transpose()?;
    let overlap = args.overlap.as_deref().map(|word| Overlap::parse("overlap", word)).transpose()?;
    let wait = wait(&args.waiting)?;
    let unique = OnlyOne::parse(args.waiting.unique.as_deref(), args.waiting.unique_for.as_deref())?;
    let request = request(&args.changing);
    let service = app.service().await?;
    let ask = async || {
        let (payload, unique, args) = (payload.clone(), unique.clone(), args.args.clone());
        service.trigger(&request, &id, TriggerOptions { payload, overlap, args, unique }).await
    };
    let asked = until_answered(app.printer, &request, ask).await?;
    report(app, &service, &request, asked, wait, id.as_str()).await
}

/// `upbeat once [--in D | --at T] ACTION`.
pub async fn once(app: &App, args: OnceArgs) -> Ended {
    if let Some(first) = args.stray.first() {
        let why = format!("{first:?} is one word too many");
        let problem = crate::error::Problem::bare(why).value(first.as_str());
        return Err(Error::Invalid(problem.hint("a command stands behind --: upbeat once -- CMD ARGS")).into());
    }
    let mut fields = args.fields.values(&args.argv)?;
    fields.shift_remove("at");
    let zone = match fields.shift_remove("tz") {
        Some(_) => Zone::parse("tz", args.fields.text("tz").unwrap_or_default())?,
        None => Zone::utc(),
    };
    one_off::check(&fields)?;
    // What is wrong with the words is said before Redis is asked.
    one_off::entry(&one_off::name(""), &fields, clock::now())?;
    let wait = wait(&args.waiting)?;
    let unique = OnlyOne::parse(args.waiting.unique.as_deref(), args.waiting.unique_for.as_deref())?;
    let span = args.r#in.as_deref().map(|text| Span::parse("in", text)).transpose()?;
    let at = args.fields.text("at");
    if let (Some(_), Some(_)) = (span, at) {
        return Err(Error::invalid("in", "--at is given too; say when in one way").into());
    }
    at.map(|text| parse_moment("at", text, &zone, clock::now(), Direction::Next)).transpose()?;
    let request = request(&args.changing);
    let service = app.service().await?;
    let when = match (span, at) {
        (Some(span), _) => OnceWhen::In(span),
        (None, Some(text)) => {
            let now = service.store().now(0).await?;
            OnceWhen::At(moments::read(app, "at", text, &[zone], now, Direction::Next)?.at)
        }
        (None, None) => OnceWhen::Now,
    };
    let ask = async || service.once(&request, &fields, &when, unique.as_ref()).await;
    let asked = until_answered(app.printer, &request, ask).await?;
    if asked.run.state == State::Waiting.word()
        && let Some(why) = service.once_unserved(&fields).await?
    {
        app.printer.warning(&why);
    }
    let name = asked.run.entry_id.clone();
    report(app, &service, &request, asked, wait, &name).await
}

fn wait(waiting: &Waiting) -> Result<Option<Option<Span>>> {
    let read = |text: &str| match text {
        "" => Ok(None),
        text => Span::parse("wait", text).map(Some),
    };
    waiting.wait.as_deref().map(read).transpose()
}

/// Tells what became of it, once it has ended where that is waited for.
async fn report(
    app: &App,
    service: &Service,
    request: &Request,
    asked: AskedRun,
    wait: Option<Option<Span>>,
    name: &str,
) -> Ended {
    let AskedRun { run, is_taken } = asked;
    let words = Words::of(service, std::slice::from_ref(&run), false).await?;
    let wall = words.wall(&run);
    let is_told = app.printer.is_json() || app.printer.format == Format::Id;
    if is_taken {
        let made = if request.is_dry_run { "would be" } else { "was" };
        app.printer.note(format!("the key is taken by run {}: no other one {made} made", run.run_id));
    }
    let Some(limit) = wait.filter(|_| !request.is_dry_run) else {
        let line = || match request.is_dry_run {
            true if is_taken => String::new(),
            true if run.reason == Some("delivered") => format!("a message of {name} would be delivered\n"),
            true => format!("a run of {name} would be {}\n", outcome(&run, &wall)),
            false => format!("run {} is {}\n", run.run_id, outcome(&run, &wall)),
        };
        app.printer.one(&Told { run: &run, is_taken }, |told| told.run.run_id.clone(), line);
        return Ok(0);
    };
    if run.finished_at.is_none() && !is_told {
        app.printer.note(format!("run {} is {}", run.run_id, outcome(&run, &wall)));
    }
    match unless_interrupted(until_ended(service, &run, limit)).await {
        None => {
            complain(&format!("stopped waiting; the run stays {} (upbeat cancel {name})", run.state));
            Ok(INTERRUPTED)
        }
        Some(ended) => {
            let ended = ended?;
            let told = Told { run: &ended, is_taken };
            app.printer.one(&told, |told| told.run.run_id.clone(), || format!("{}\n", outcome(&ended, &wall)));
            Ok(if ended.state == State::Succeeded.word() { 0 } else { 1 })
        }
    }
}
