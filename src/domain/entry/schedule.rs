//! Reads the schedule out of an entry's fields: cron, every, at or rrule, with zone, start, end, anchor and exclude.

use serde_json::{Map, Value};

use crate::domain::cron::Cron;
use crate::domain::exclude::Exclude;
use crate::domain::fields::{SCHEDULE_KINDS, only_kind};
use crate::domain::policy::CRONS_MAX;
use crate::domain::reading::{Complaints, instant_text, shown, span, text};
use crate::domain::rrule::Rrule;
use crate::domain::schedule::{Schedule, When};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::error::{Error, Result};

/// The one schedule among the fields; `None` after noting what is wrong with it.
pub(crate) fn parse(fields: &Map<String, Value>, complaints: &mut Complaints) -> Option<Schedule> {
    let before = complaints.0.len();
    let named_zone = match fields.get("tz") {
        Some(value) => {
            // Without its zone no local time of the entry can be read.
            Some(complaints.note(text("tz", value).and_then(|name| Zone::parse("tz", name)))?)
        }
        None => None,
    };
    let zone = named_zone.clone().unwrap_or_else(Zone::utc);
    let start = instant(fields, "start", &zone, complaints);
    let end = instant(fields, "end", &zone, complaints);
    let mut anchor = instant(fields, "anchor", &zone, complaints);
    let exclude = match fields.get("exclude") {
        Some(value) => complaints.note(Exclude::parse("exclude", value)),
        None => Some(Exclude::default()),
    };
    let when = complaints.note(when(fields, named_zone.as_ref(), &zone, start.or(anchor)))?;
    match when {
        // A start says more than the anchor that was stored when the entry was made.
        When::Every(_) | When::Rrule(_) => anchor = start.or(anchor),
        When::Cron(_) | When::At(_) if anchor.is_some() => {
            complaints.0.push(Error::invalid("anchor", "goes with every and rrule only").hint("leave it out"));
        }
        _ => {}
    }
    let schedule = Schedule { when, zone, start, end, anchor, exclude: exclude? };
    if complaints.0.len() == before {
        complaints.note(can_fire(&schedule, fields));
    }
    (complaints.0.len() == before).then_some(schedule)
}

fn when(fields: &Map<String, Value>, named_zone: Option<&Zone>, zone: &Zone, begin: Option<Timestamp>) -> Result<When> {
    let kind = only_kind(fields, "schedule", SCHEDULE_KINDS)?;
    let value = &fields[kind];
    match kind {
        "cron" => crons(value).map(When::Cron),
        "every" => span(kind, value).map(When::Every),
        "rrule" => Rrule::parse(kind, text(kind, value)?, begin, zone).map(When::Rrule),
        _ => at(value, named_zone).map(When::At),
    }
}

fn crons(value: &Value) -> Result<Vec<Cron>> {
    let field = "cron";
    match value {
        Value::Array(list) if list.is_empty() => Err(Error::invalid(field, "the list is empty")),
        Value::Array(list) if list.len() > CRONS_MAX => {
            Err(Error::invalid(field, format!("{} expressions are too many, {CRONS_MAX} are the most", list.len())))
        }
        Value::Array(list) => list.iter().map(|value| Cron::parse(field, text(field, value)?)).collect(),
        Value::String(expression) => Ok(vec![Cron::parse(field, expression)?]),
        _ => Err(Error::invalid(field, format!("{} is neither a text nor a list of texts", shown(value)))
            .value(shown(value))
            .hint("as in \"0 9 * * mon-fri\"")),
    }
}

fn at(value: &Value, named_zone: Option<&Zone>) -> Result<Timestamp> {
    Timestamp::parse("at", instant_text("at", value)?, named_zone)
}

fn instant(fields: &Map<String, Value>, field: &str, zone: &Zone, complaints: &mut Complaints) -> Option<Timestamp> {
    let value = fields.get(field)?;
    complaints.note(instant_text(field, value).and_then(|text| Timestamp::parse(field, text, Some(zone))))
}

/// Refuses what provably never fires; whether `at` has passed needs a clock and is asked elsewhere.
fn can_fire(schedule: &Schedule, fields: &Map<String, Value>) -> Result<()> {
    let written = |field: &str| fields.get(field).map(shown).unwrap_or_default();
    if let (Some(start), Some(end)) = (schedule.start, schedule.end)
        && end <= start
    {
        return Err(Error::invalid("end", format!("{} is not after start, {}", written("end"), written("start"))));
    }
    if let When::At(at) = schedule.when {
        if schedule.start.is_some_and(|start| at < start) {
            return Err(Error::invalid("at", format!("{} is before start: it would never fire", written("at"))));
        }
        if schedule.end.is_some_and(|end| at >= end) {
            return Err(Error::invalid("at", format!("{} is not before end: it would never fire", written("at"))));
        }
        if schedule.exclude.has(schedule.zone.to_local(at).date()) {
            let why = format!("{} is excluded by exclude: it would never fire", written("at"));
            return Err(Error::invalid("at", why));
        }
        return Ok(());
    }
    let before_all = match (schedule.start, &schedule.when) {
        (Some(start), _) => Timestamp(start.ms().saturating_sub(1)),
        (None, When::Every(_) | When::Rrule(_)) => Timestamp(i64::MIN),
        // Cron fired before every end that people write.
        (None, _) => return Ok(()),
    };
    if schedule.end.is_some() && schedule.next_after(before_all).is_none() {
        let (first, start) = match schedule.start {
            Some(_) => ("start", written("start")),
            None => ("anchor", written("anchor")),
        };
        let why = format!("no fire time lies between {first}, {start}, and end, {}", written("end"));
        return Err(Error::invalid("end", why).value(written("end")));
    }
    Ok(())
}
