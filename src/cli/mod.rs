//! The command line: translates words into one call of the service each, and prints the answer.

mod acl;
mod actor;
mod apply;
mod args;
mod asked;
mod asked_args;
mod audit;
mod bash;
mod bench;
mod calendars;
mod candidates;
mod chart;
mod clock;
mod completions;
mod config_file;
mod connect;
mod dead;
mod dev;
mod doctor;
mod each;
mod entries;
mod entry_words;
mod events;
mod examples;
mod export;
mod fields;
mod flag_hints;
mod fleet;
mod forecast;
mod guide;
mod help;
mod hints;
mod import;
mod lint;
mod logs;
mod ls;
mod man;
mod moments;
mod namespaces;
mod node_command;
mod output;
mod palette;
mod plan;
mod playground;
mod progress;
mod queues;
mod request;
mod requested;
mod revisions;
mod run_args;
mod run_words;
mod runs;
mod schedule_files;
mod schedule_source;
mod schema;
mod selection;
mod show_run;
mod stray;
mod streamed;
mod summed;
mod synonyms;
mod times;
mod waiting;
mod why;
mod zoneinfo;

use std::process::ExitCode;
use std::sync::OnceLock;

use clap::FromArgMatches;
use clap::error::ErrorKind;

use args::{Cli, Command, Other};
use output::{Ended, Failure, Format, Printer};
use run_args::RunsCommand;

use crate::error::{Error, Result};
use crate::service::Service;

/// Threads that drive what waits for Redis, for commands and for HTTP: one keeps a Redis busy, and each costs a node memory. What
/// computes on all processors brings threads of its own.
const WORKERS_MAX: usize = 4;

/// Runs the program with these words, the first of them its own name; returns its exit code.
pub fn main(words: Vec<String>) -> ExitCode {
    completions::answer();
    let (looks, is_known) = config_file::looks(&words);
    let format = looks.format;
    let printer = Printer { format, is_quiet: false };
    palette::choose(looks.colors, format == Format::Table);
    if let Some(page) = guide::asked(&words) {
        output::print(page);
        return ExitCode::SUCCESS;
    }
    let cli = match parse(&words) {
        Ok(cli) => cli,
        Err(asked) if matches!(asked.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            output::print(&asked.render().ansi().to_string());
            return ExitCode::SUCCESS;
        }
        Err(asked) if asked.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && !printer.is_json() => {
            output::complain(&asked.render().ansi().to_string());
            return ExitCode::from(2);
        }
        Err(refused) => return ExitCode::from(refuse(printer, hints::usage(&refused, &words).into(), &words)),
    };
    let printer = Printer { format, is_quiet: cli.common.quiet };
    if let Err(refused) = is_known {
        return ExitCode::from(refuse(printer, refused.into(), &words));
    }
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(cli, printer)));
    progress::end();
    ExitCode::from(match ended {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => refuse(printer, failure, &words),
        Err(_) => printer.failure(&Error::internal("upbeat panicked; please report it with the lines above").into()),
    })
}

/// Says what is wrong, with a way out that knows the habits of other programs.
fn refuse(printer: Printer, Failure(errors): Failure, words: &[String]) -> u8 {
    printer.failure(&Failure(errors.into_iter().map(|error| hints::improved(error, words)).collect()))
}

/// The words as typed options.
fn parse(words: &[String]) -> Result<Cli, clap::Error> {
    let mut command = help::command();
    let matches = command.try_get_matches_from_mut(words)?;
    Cli::from_arg_matches(&matches).map_err(|refused| refused.format(&mut command))
}

fn run(cli: Cli, printer: Printer) -> Ended {
    if let Some(remark) = zoneinfo::choose_zones()?.filter(|_| !printer.is_json()) {
        printer.warning(&remark);
    }
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let runtime = runtime.map_err(|why| Error::internal(format!("can't start threads: {why}")))?;
    let code = runtime.block_on(dispatch(cli, printer));
    // What still waits for a reply must not hold the program back.
    runtime.shutdown_background();
    code
}

/// What every command is given.
struct App {
    common: args::Common,
    printer: Printer,
    /// The service, once a command has asked for it.
    opened: OnceLock<Service>,
}

impl App {
    /// The service over the namespace that is meant.
    async fn service(&self) -> Result<Service> {
        let service = connect::service(&self.common, self.printer).await?;
        Ok(self.opened.get_or_init(|| service).clone())
    }
}

async fn dispatch(cli: Cli, printer: Printer) -> Ended {
    let app = App { common: cli.common, printer, opened: OnceLock::new() };
    let says_it_itself = matches!(cli.command, Command::Doctor(_) | Command::Namespaces);
    let ended = command(&app, cli.command).await;
    match app.opened.get() {
        Some(service) if !says_it_itself => namespaces::say_unused(&app, service, ended).await,
        _ => ended,
    }
}

async fn command(app: &App, command: Command) -> Ended {
    match command {
        Command::Dev(args) => dev::run(app, args).await,
        Command::Node(args) => node_command::run(app, args).await,
        Command::Add(args) => entries::add(app, args).await,
        Command::Set(args) => entries::set(app, args).await,
        Command::Show { id } => entries::show(app, &id).await,
        Command::Ls(args) => ls::ls(app, args).await,
        Command::Rm(args) => each::change(app, each::Verb::Remove, args).await,
        Command::Pause(args) => each::change(app, each::Verb::Pause(args.until), args.selected).await,
        Command::Resume(args) => each::change(app, each::Verb::Resume(args.from), args.selected).await,
        Command::Next(args) => entries::next(app, args).await,
        Command::Trigger(args) => requested::trigger(app, args).await,
        Command::Once(args) => requested::once(app, args).await,
        Command::Skip(args) => asked::skip(app, args).await,
        Command::Backfill(args) => asked::backfill(app, args).await,
        Command::Why(args) => why::why(app, args).await,
        Command::Lint(args) => lint::run(app, &args),
        Command::Schema => schema::run(app),
        Command::Plan(args) => plan::plan(app, args).await,
        Command::Apply(args) => apply::apply(app, args).await,
        Command::Export { ids, select } => export::export(app, &ids, &select).await,
        Command::Import { from } => import::run(app, from).await,
        Command::Revisions(args) => revisions::list(app, &args).await,
        Command::Rollback(args) => revisions::rollback(app, &args).await,
        Command::Runs(args) => match args.command {
            None => runs::list(app, args).await,
            Some(RunsCommand::Show { run }) => show_run::show(app, &run).await,
            Some(RunsCommand::Logs(args)) => logs::print(app, args).await,
            Some(RunsCommand::Cancel(args)) => runs::cancel(app, args).await,
            Some(RunsCommand::Retry(args)) => dead::retry(app, &args.run, &args.changing).await,
        },
        Command::Logs(args) => logs::print(app, args).await,
        Command::Cancel(args) => runs::cancel(app, args).await,
        Command::Retry(args) => dead::retry(app, &args.run, &args.changing).await,
        Command::Dead { command } => dead::run(app, command).await,
        Command::Events(args) => events::run(app, args).await,
        Command::Calendars { command } => calendars::run(app, command).await,
        Command::Audit(args) => audit::run(app, args).await,
        Command::Forecast(args) => forecast::run(app, args).await,
        Command::Nodes { other: None } => fleet::nodes(app).await,
        Command::Queues { command } => queues::run(app, command).await,
        Command::Nodes { other: Some(Other::Word(words)) } => Err(hints::subcommand("nodes", &words).into()),
        Command::Doctor(args) => doctor::doctor(app, args).await,
        Command::Acl(args) => acl::acl(app, args).await,
        Command::Namespaces => namespaces::namespaces(app).await,
        Command::Bench(args) => bench::run(app, args).await,
        Command::Completions { shell } => completions::print(shell),
        Command::Man(args) => man::run(&args),
        Command::Other(words) => Err(hints::command(&words).into()),
    }
}
