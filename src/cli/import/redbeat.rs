//! `upbeat import redbeat URL`: prints what a RedBeat becomes, watches it, takes it over, hands it back.

use std::time::Duration;

use clap::Args;

use crate::cli::App;
use crate::cli::connect::{in_plain_words, target};
use crate::cli::import::redbeat_words::{given, shadow, taken};
use crate::cli::import::{Applying, finish, report};
use crate::cli::output::Ended;
use crate::cli::progress;
use crate::cli::request::request;
use crate::config::Connection;
use crate::domain::file::ScheduleFile;
use crate::domain::id::Owner;
use crate::domain::import::celery::BeatDefaults;
use crate::domain::import::redbeat::Place;
use crate::domain::secret::secret_name;
use crate::domain::span::Span;
use crate::domain::zone::Zone;
use crate::error::{Error, Problem, Result};
use crate::service::{HandBackOptions, RedBeatSource, TakeOverOptions};
use crate::store::RedBeat;

pub const REDBEAT_EXAMPLES: &str = "\
Examples:
  upbeat import redbeat redis://broker:6379/0 --tz Europe/Berlin > redbeat.toml
  upbeat import redbeat redis://broker:6379/0 --tz Europe/Berlin --shadow 10m
  upbeat import redbeat redis://broker:6379/0 --tz Europe/Berlin --take-over
  upbeat import redbeat redis://broker:6379/0 --hand-back

--take-over stops RedBeat and goes on here; asked again it goes on where it was cut off.
1. In one step on RedBeat's server: PREFIX:lock gets upbeat's token, without an end;
PREFIX:schedule is kept as PREFIX:upbeat:schedule, and a text stands in its place, so that
a beat in the middle of a tick can't send any more; metas are kept in PREFIX:upbeat:metas,
ids in PREFIX:upbeat:ids, who and when in PREFIX:upbeat.
2. Every entry is added here, and owes what came due since its last run.
Between 1 and 2 nobody fires; what is late then follows catch_up = latest. A beat that runs ends
at its next tick (LockNotOwnedError); one that is started waits for the lock, or fails (WRONGTYPE)
where it has entries to write. So stop it. RedBeat notes a fire before it sends it: a beat that
dies in between loses that one, as ever.

--hand-back is the way back; upbeat fires until a beat is ready.
1. PREFIX:schedule gets its entries again with meta far in the future, so that nothing is due,
and upbeat-hand-back, a disabled one, at which a beat looks every 5 s. The lock is free.
2. When a beat holds the lock and ticks, upbeat pauses its entries shortly before the next tick.
3. In one step each entry gets its meta (last_run_at, total_run_count) and score; all that
upbeat kept is gone.
Exit 1 when --shadow saw differences, 6 when no beat came.";

#[derive(Debug, Args)]
pub struct RedbeatArgs {
    /// RedBeat's Redis: redbeat_redis_url of the app, else its broker
    #[arg(value_name = "URL")]
    url: String,
    /// redbeat_key_prefix of the app
    #[arg(long, value_name = "PREFIX", default_value = "redbeat:")]
    prefix: String,
    /// redbeat_lock_key of the app [default: PREFIX:lock]
    #[arg(long, value_name = "KEY")]
    lock_key: Option<String>,
    /// The app has redbeat_lock_key = None
    #[arg(long, conflicts_with = "lock_key")]
    no_lock: bool,
    /// timezone of the app: crontabs are stored without one
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// Where messages go, redis://... or secret:NAME [default: URL; none where that is upbeat's own database]
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// task_default_queue of the app
    #[arg(long, value_name = "QUEUE", default_value = "celery")]
    default_queue: String,
    /// global_keyprefix of the app's broker_transport_options
    #[arg(long, value_name = "PREFIX")]
    global_keyprefix: Option<String>,
    /// Watch it for that long: what upbeat would have fired beside what RedBeat fires
    #[arg(long, value_name = "D", conflicts_with_all = ["take_over", "hand_back", "apply"])]
    shadow: Option<String>,
    /// Stop RedBeat and fire here from now on: no fire twice, none lost
    #[arg(long, conflicts_with_all = ["hand_back", "apply"])]
    take_over: bool,
    /// Take over although some of what RedBeat fires can't be carried over: nobody fires that then
    #[arg(long, requires = "take_over")]
    without_refused: bool,
    /// Take over although no node is live
    #[arg(long, requires = "take_over")]
    without_nodes: bool,
    /// Give it back to RedBeat
    #[arg(long, conflicts_with = "apply")]
    hand_back: bool,
    /// How long to wait for a beat
    #[arg(long, value_name = "D", default_value = "10m", requires = "hand_back")]
    wait: String,
    /// Give it back to a beat that comes later: nobody fires until then
    #[arg(long, requires = "hand_back", conflicts_with = "wait")]
    no_wait: bool,
    #[command(flatten)]
    applying: Applying,
}

/// Longest watch.
const SHADOW_MAX: Span = Span(7 * 86_400_000);

/// Reads it, watches it, or moves it.
pub async fn run(app: &App, args: RedbeatArgs) -> Ended {
    let source = source(app, &args).await?;
    if let Some(text) = &args.shadow {
        let length = Span::parse("shadow", text)?;
        if length.0 == 0 || length > SHADOW_MAX {
            return Err(Error::invalid("shadow", format!("{length} is not between 1s and {SHADOW_MAX}")).into());
        }
        let seen = source.shadow(Duration::from_millis(length.0), &progress::watched(app.printer)).await?;
        app.printer.one(&seen, |_| String::new(), || shadow(&seen));
        return Ok(u8::from(seen.differ > 0));
    }
    if args.hand_back {
        return hand_back(app, &args, &source).await;
    }
    if args.take_over {
        return take_over(app, &args, &source).await;
    }
    if let Some(taken) = source.redbeat.taken().await? {
        let namespace = taken.about.get("namespace").cloned().unwrap_or_default();
        let why = format!("it was taken over at {}, namespace {namespace}", taken.at.to_rfc3339());
        let hint = format!("upbeat -n {namespace} ls --owner redbeat lists it, --hand-back gives it back");
        return Err(Error::Conflict(Problem::new("redbeat", why).hint(hint)).into());
    }
    let (picture, mut carried) = source.read().await?;
    if args.applying.apply && !args.applying.changing.dry_run && picture.lock.is_some() {
        let problem = Problem::new("apply", "a beat holds RedBeat's lock: both would fire");
        return Err(Error::Conflict(problem.hint("--take-over switches without a gap; or stop the beat first")).into());
    }
    if picture.lock.is_some() {
        carried.import.note("a beat runs: do not apply this beside it, --take-over switches without a gap");
    }
    finish(app, carried.import, &args.applying, "redbeat").await
}

async fn take_over(app: &App, args: &RedbeatArgs, source: &RedBeatSource) -> Ended {
    let service = app.service().await?;
    let owner = match &args.applying.owner {
        Some(owner) => Owner::parse("owner", owner)?,
        None => ScheduleFile::owner_from_name("redbeat"),
    };
    let options =
        TakeOverOptions { owner, is_without_refused: args.without_refused, is_without_nodes: args.without_nodes };
    let (view, carried) = service.take_over(source, &request(&args.applying.changing), &options).await?;
    let id = |one: &crate::service::TakeOverView| {
        one.changes.changes.iter().map(|change| change.id.as_str()).collect::<Vec<_>>().join("\n")
    };
    app.printer.one(&view, id, || taken(&view, &source.redbeat, &args.url_shown(source)));
    if !carried.entries.is_empty() {
        report(app, &carried.import);
    }
    view.changes.warnings.iter().for_each(|warning| app.printer.warning(warning));
    Ok(0)
}

async fn hand_back(app: &App, args: &RedbeatArgs, source: &RedBeatSource) -> Ended {
    let service = app.service().await?;
    let wait = Span::parse("wait", &args.wait)?;
    let wait = (!args.no_wait).then(|| Duration::from_millis(wait.0));
    let request = request(&args.applying.changing);
    if wait.is_some() && source.redbeat.place().lock.is_some() && !request.is_dry_run {
        app.printer.note("waiting for a beat; start one if none runs. upbeat fires meanwhile");
    }
    let view = service.hand_back(source, &request, HandBackOptions { wait }).await?;
    app.printer.one(&view, |_| String::new(), || given(&view));
    for odd in &view.odd {
        app.printer.warning(&format!("{} {}", odd.name, odd.reason));
    }
    Ok(0)
}

impl RedbeatArgs {
    /// The words that mean the same RedBeat.
    fn url_shown(&self, source: &RedBeatSource) -> String {
        let mut words = source.redbeat.shown().to_owned();
        if self.prefix != "redbeat:" {
            words.push_str(&format!(" --prefix {}", self.prefix));
        }
        match (&self.lock_key, self.no_lock) {
            (Some(key), _) => words.push_str(&format!(" --lock-key {key}")),
            (None, true) => words.push_str(" --no-lock"),
            (None, false) => {}
        }
        words
    }
}

/// The RedBeat that is meant, and what its app says.
async fn source(app: &App, args: &RedbeatArgs) -> Result<RedBeatSource> {
    let place = Place::new(&args.prefix, args.lock_key.as_deref(), !args.no_lock);
    let tz = args.tz.as_deref().map(|tz| Zone::parse("tz", tz)).transpose()?;
    let redbeat = connected(connection(app, "redbeat", &args.url)?, &place, "upbeat import redbeat URL").await?;
    let named = args.broker.as_deref().filter(|url| secret_name(url).is_none());
    let broker = match named {
        Some(url) => connected(connection(app, "broker", url)?, &place, "--broker URL").await?,
        None => redbeat.clone(),
    };
    let broker_url = match &args.broker {
        Some(secret) if named.is_none() => Some(secret.clone()),
        _ => broker_url(app, &broker, named.unwrap_or(&args.url)).await?,
    };
    let defaults = BeatDefaults {
        tz,
        tz_hint: Some("--tz ZONE, the timezone of the app".to_owned()),
        default_queue: Some(args.default_queue.clone()),
        key_prefix: args.global_keyprefix.clone(),
        broker: broker_url,
        ..BeatDefaults::default()
    };
    Ok(RedBeatSource { redbeat, broker, defaults })
}

async fn connected(connection: Connection, place: &Place, another: &str) -> Result<RedBeat> {
    let address = connection.address.clone();
    RedBeat::connect(connection, place.clone()).await.map_err(|why| in_plain_words(why, &address, another))
}

/// The broker as entries name it; none where it is upbeat's own database.
async fn broker_url(app: &App, broker: &RedBeat, url: &str) -> Result<Option<String>> {
    let own = target(&app.common, app.printer)?.0;
    let there = connection(app, "broker", url)?;
    if (&own.address, own.database) == (&there.address, there.database) {
        return Ok(None);
    }
    match app.service().await {
        Ok(service) if broker.is_in(service.store()).await? => return Ok(None),
        Ok(_) => {}
        // A file can be made without it.
        Err(why) => app.printer.note(format!("note: {why}: taken for another Redis than the broker's")),
    }
    if there.password.is_none() {
        return Ok(Some(url.to_owned()));
    }
    app.printer.note(
        "note: the broker needs a password: put its whole url into the secret CELERY_BROKER of all nodes (--broker secret:NAME for another)",
    );
    Ok(Some("secret:CELERY_BROKER".to_owned()))
}

fn connection(app: &App, field: &str, url: &str) -> Result<Connection> {
    if let Some((scheme, path)) = url.split_once("://")
        && matches!(scheme, "redis+socket" | "socket")
    {
        let path = path.replace("virtual_host=", "db=");
        return Err(Error::invalid(field, "is a socket in kombu's words").hint(format!("write unix://{path}")));
    }
    if url.starts_with("sentinel://") || url.starts_with("redis-sentinel") {
        let hint = "name the master: redis-cli -p 26379 SENTINEL GET-MASTER-ADDR-BY-NAME NAME";
        return Err(Error::invalid(field, "a sentinel is not asked here").hint(hint));
    }
    Connection::parse(url, app.common.redis_ca.clone()).map_err(|why| {
        let hint = why.problem().hint.clone();
        let error = Error::invalid(field, why.problem().message.clone());
        hint.map_or_else(|| error.clone(), |hint| error.clone().hint(hint))
    })
}
