//! Imports what the exporter prints of a Celery app: its settings, and one document for each entry of its beat.

use serde_json::{Map, Value};

use super::entry::{BeatEntry, given};
use super::route::{Binding, ExchangeKind};
use super::{BeatDefaults, carry_over, shortened};
use crate::domain::entry::Entry;
use crate::domain::import::{Ids, Import, Refused};
use crate::domain::json_text;
use crate::domain::reading::{inside, shown, table, text};
use crate::domain::zone::Zone;
use crate::error::{Error, Problem, Result};

/// Longest export, bytes.
const EXPORT_MAX_BYTES: usize = 64 * 1024 * 1024;
/// What says that a document is an export, and of which form.
const MARK: &str = "upbeat_export";
const HINT: &str = "upbeat import celery --exporter > export_beat.py, and in the app's environment: python export_beat.py proj.celery:app > beat.json";

/// Reads an export, named `name` in complaints. `tz` is the zone of crontabs where the app's has no name; `broker` is
/// where messages go, where that is not the Redis that upbeat uses: a url, or a secret that holds it.
///
/// # Errors
///
/// Invalid: not an export, or of an app whose broker is no Redis.
pub fn import_export(name: &str, text: &str, tz: Option<&Zone>, broker: Option<&str>) -> Result<Import> {
    if text.len() > EXPORT_MAX_BYTES {
        let why = format!("{} bytes are too many, {EXPORT_MAX_BYTES} are the most", text.len());
        return Err(Error::Invalid(Problem::bare(why).at(name, None)));
    }
    let document = json_text::parse(name, text)?;
    let document = match document.as_object() {
        Some(document) if document.get(MARK) == Some(&Value::from(1)) => document,
        _ => return Err(Error::Invalid(Problem::bare("is not what the exporter prints").at(name, None).hint(HINT))),
    };
    let mut import = Import::default();
    let mut defaults = settings(document, tz)?;
    defaults.broker = broker.map(str::to_owned);
    check_broker(document, broker, &mut import)?;
    let mut ids = Ids::default();
    for (at, exported) in list(document, "entries")?.iter().enumerate() {
        match read_entry(exported) {
            Ok(beat) => {
                carry_over(&beat, &defaults, &mut ids, &mut import);
            }
            Err(why) => {
                let place = exported.pointer("/definition/name").and_then(Value::as_str).map(shortened);
                import.refuse(place.unwrap_or_else(|| format!("entry {}", at + 1)), shown(exported), &why);
            }
        }
    }
    for lost in list(document, "not_exported")? {
        let word = |key: &str| lost.get(key).and_then(Value::as_str).map(shortened);
        import.refused.push(Refused {
            place: word("name").unwrap_or_default(),
            text: word("source").unwrap_or_default(),
            reason: word("reason").unwrap_or_default(),
            hint: word("hint"),
        });
    }
    for note in list(document, "notes")?.iter().filter_map(Value::as_str) {
        import.note(shortened(note));
    }
    comments(document, &mut import)?;
    Ok(import)
}

fn read_entry(exported: &Value) -> Result<BeatEntry> {
    let exported = table("entry", exported)?;
    let definition = exported.get("definition").ok_or_else(|| Error::invalid("definition", "is missing"))?;
    BeatEntry::read(definition, exported.get("meta"))
}

fn settings(document: &Map<String, Value>, tz: Option<&Zone>) -> Result<BeatDefaults> {
    let word = |key: &str| given(document, key).map(|value| text(key, value).map(str::to_owned)).transpose();
    let zone_of =
        |name: String| Zone::parse("timezone", &name).map_err(|error| error.also_hint("--tz ZONE names another"));
    // What the user says counts.
    let zone = match tz {
        Some(tz) => Some(tz.clone()),
        None => word("timezone")?.map(zone_of).transpose()?,
    };
    let transport = given(document, "broker_transport_options").map(|value| table("broker_transport_options", value));
    let transport = transport.transpose()?;
    let own = |key: &str| transport.and_then(|transport| given(transport, key));
    let steps = own("priority_steps").and_then(Value::as_array);
    let steps = steps.map(|steps| steps.iter().filter_map(Value::as_i64).collect());
    Ok(BeatDefaults {
        tz: zone,
        tz_hint: Some("--tz ZONE, the timezone of the app".to_owned()),
        default_queue: word("task_default_queue")?,
        bindings: list(document, "queues")?.iter().map(binding).collect::<Result<_>>()?,
        key_prefix: own("global_keyprefix")
            .and_then(Value::as_str)
            .filter(|prefix| !prefix.is_empty())
            .map(str::to_owned),
        // With another separator no list of a priority is read but that of step 0.
        priority_steps: if own("sep").is_some() { Some(Vec::new()) } else { steps },
        broker: None,
        serializer: word("task_serializer")?,
        starting_deadline_s: given(document, "beat_cron_starting_deadline").and_then(Value::as_f64),
    })
}

/// A queue as the app declares it.
fn binding(queue: &Value) -> Result<Binding> {
    let queue = table("queues", queue)?;
    let word = |key: &str| match given(queue, key) {
        Some(value) => text(&inside("queues", key), value).map(str::to_owned),
        None => Ok(String::new()),
    };
    let kind = match word("exchange_type")?.as_str() {
        "topic" => ExchangeKind::Topic,
        "fanout" => ExchangeKind::Fanout,
        _ => ExchangeKind::Direct,
    };
    Ok(Binding { exchange: word("exchange")?, kind, routing_key: word("routing_key")?, queue: word("name")? })
}

fn list<'d>(document: &'d Map<String, Value>, key: &str) -> Result<&'d [Value]> {
    match given(document, key) {
        Some(Value::Array(list)) => Ok(list),
        Some(other) => Err(Error::invalid(key, format!("{} is not a list", shown(other)))),
        None => Ok(&[]),
    }
}

/// Refuses an app whose messages do not go through a Redis, as a celery action would.
fn check_broker(document: &Map<String, Value>, broker: Option<&str>, import: &mut Import) -> Result<()> {
    let accepts = |url: &str| {
        let action = serde_json::json!({"every": "1h", "celery": {"task": "t", "broker": url}});
        let fields = action.as_object().cloned().unwrap_or_default();
        Entry::parse(fields).map(|_| ())
    };
    if let Some(broker) = broker {
        return accepts(broker).map_err(|why| about("--broker", &why));
    }
    let Some(url) = given(document, "broker").map(|value| text("broker", value)).transpose()? else { return Ok(()) };
    let scheme = url.split("://").next().unwrap_or_default();
    // Redis in words of kombu: where it is, is upbeat's own setting.
    if !["redis", "rediss", "redis+socket", "socket", "sentinel"].contains(&scheme) {
        return Err(accepts(url).err().map_or_else(|| Error::invalid("broker", url), |why| about("broker", &why)));
    }
    import.note(format!(
        "messages go into the Redis that upbeat uses: that must be the app's broker, {}, with the same database; another \
         one is named by --broker URL, or --broker secret:NAME where it has a password",
        shortened(url)
    ));
    Ok(())
}

/// The same complaint about another field.
fn about(field: &str, why: &Error) -> Error {
    let problem = why.problem();
    let error = Error::invalid(field, problem.message.clone());
    match &problem.hint {
        Some(hint) => error.hint(hint.clone()),
        None => error,
    }
}

/// What came from the app's code into entries that do not say it themselves.
fn comments(document: &Map<String, Value>, import: &mut Import) -> Result<()> {
    let Some(tasks) = given(document, "tasks").map(|value| table("tasks", value)).transpose()? else { return Ok(()) };
    if tasks.is_empty() {
        return Ok(());
    }
    let count = tasks.len();
    let (have, tasks_of) = if count == 1 { ("1 task has", "its") } else { ("tasks have", "their") };
    let have = if count == 1 { have.to_owned() } else { format!("{count} {have}") };
    import.note(format!(
        "{have} options in the app's code or in task_routes: they are written into {tasks_of} entries, and listed at the end of the file"
    ));
    import.comments.push(
        "What comes from the app's code and its task_routes; it is written into the entries of these tasks:".to_owned(),
    );
    for (task, options) in tasks {
        let options =
            table("tasks", options)?.iter().map(|(name, value)| format!("{} = {}", shortened(name), shown(value)));
        import.comments.push(format!("  {}: {}", shortened(task), options.collect::<Vec<_>>().join(", ")));
    }
    Ok(())
}
