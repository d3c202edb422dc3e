//! Reads the schedule out of an entry's fields: cron, every, at or rrule, with zone, start, end, anchor, exclude and rules for
//! clock changes.

use serde_json::{Map, Value};

use crate::domain::cron::Cron;
use crate::domain::exclude::Exclude;
use crate::domain::fields::{SCHEDULE_KINDS, field_of, keys_of, only_kind};
use crate::domain::id::EntryId;
use crate::domain::nearest::not_one_of;
use crate::domain::policy::CRONS_MAX;
use crate::domain::reading::{Complaints, inside, instant_text, known_keys, shown, span, table, text};
use crate::domain::rrule::Rrule;
use crate::domain::schedule::{Schedule, When};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::{Dst, Fold, Gap, Zone};
use crate::error::{Error, Result};

/// The one schedule among the fields of the entry `id`; `None` after noting what is wrong with it.
pub(crate) fn parse(
    id: Option<&EntryId>,
    fields: &Map<String, Value>,
    complaints: &mut Complaints,
) -> Option<Schedule> {
    let before = complaints.0.len();
    let named_zone = match field_of(fields, "tz") {
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
    let exclude = match field_of(fields, "exclude") {
        Some(value) => complaints.note(Exclude::parse("exclude", value)),
        None => Some(Exclude::default()),
    };
    let dst = field_of(fields, "dst").map(|value| complaints.note(dst(value)));
    let when = complaints.note(when(id, fields, named_zone.as_ref(), &zone, start.or(anchor)))?;
    if dst.is_some() {
        complaints.note(obeys_dst(&when));
    }
    match when {
        // A start says more than the anchor that was stored when the entry was made.
        When::Every(_) | When::Rrule(_) => anchor = start.or(anchor),
        When::Cron(_) | When::At(_) if anchor.is_some() => {
            complaints.0.push(Error::invalid("anchor", "goes with every and rrule only").hint("leave it out"));
        }
        _ => {}
    }
    let dst = dst.flatten().unwrap_or_default();
    let schedule = Schedule { when, zone, start, end, anchor, dst, exclude: exclude? };
    if complaints.0.len() == before {
        complaints.note(can_fire(&schedule, fields));
    }
    (complaints.0.len() == before).then_some(schedule)
}

/// `{ gap = "run_after", fold = "first" }`; what is left out is the default.
fn dst(value: &Value) -> Result<Dst> {
    fn word<T: Copy>(key: &str, value: &Value, words: [(&'static str, T); 3]) -> Result<T> {
        let field = inside("dst", key);
        let given = text(&field, value)?;
        let found = words.iter().find(|(word, _)| *word == given).map(|(_, meant)| *meant);
        found.ok_or_else(|| not_one_of(&field, given, &words.map(|(word, _)| word)))
    }
    let rules = table("dst", value)?;
    known_keys("dst", rules, keys_of("dst"))?;
    Ok(Dst {
        gap: rules.get("gap").map_or(Ok(Gap::default()), |value| word("gap", value, Gap::WORDS))?,
        fold: rules.get("fold").map_or(Ok(Fold::default()), |value| word("fold", value, Fold::WORDS))?,
    })
}

/// Refuses a rule for clock changes where nothing would keep it.
fn obeys_dst(when: &When) -> Result<()> {
    match when {
        When::Cron(crons) if crons.iter().all(Cron::is_wildcard) => {
            let why = "goes with fixed times; what begins with * as minute or hour follows real elapsed time";
            Err(Error::invalid("dst", why).hint("leave dst out, or write 0-59 or 0-23 instead of *"))
        }
        When::Rrule(rule) if rule.follows_the_clock() => {
            let why = "goes with rules by the day or longer; one by the hour or shorter follows real elapsed time";
            Err(Error::invalid("dst", why).hint("leave dst out"))
        }
        When::Every(_) | When::At(_) => {
            Err(Error::invalid("dst", "goes with fixed times of cron; every and at follow real elapsed time")
                .hint("leave dst out"))
        }
        When::Cron(_) | When::Rrule(_) => Ok(()),
    }
}

fn when(
    id: Option<&EntryId>,
    fields: &Map<String, Value>,
    named_zone: Option<&Zone>,
    zone: &Zone,
    begin: Option<Timestamp>,
) -> Result<When> {
    let kind = only_kind(fields, "schedule", SCHEDULE_KINDS)?;
    let value = &fields[kind];
    match kind {
        "cron" => crons(id, value).map(When::Cron),
        "every" => span(kind, value).map(When::Every),
        "rrule" => Rrule::parse(kind, text(kind, value)?, begin, zone).map(When::Rrule),
        _ => at(value, named_zone).map(When::At),
    }
}

fn crons(id: Option<&EntryId>, value: &Value) -> Result<Vec<Cron>> {
    let field = "cron";
    match value {
        Value::Array(list) if list.is_empty() => Err(Error::invalid(field, "the list is empty")),
        Value::Array(list) if list.len() > CRONS_MAX => {
            Err(Error::invalid(field, format!("{} expressions are too many, {CRONS_MAX} are the most", list.len())))
        }
        Value::Array(list) => list.iter().map(|value| Cron::parse_for(field, text(field, value)?, id)).collect(),
        Value::String(expression) => Ok(vec![Cron::parse_for(field, expression, id)?]),
        _ => Err(Error::invalid(field, format!("{} is neither a text nor a list of texts", shown(value)))
            .value(shown(value))
            .hint("as in \"0 9 * * mon-fri\"")),
    }
}

fn at(value: &Value, named_zone: Option<&Zone>) -> Result<Timestamp> {
    Timestamp::parse("at", instant_text("at", value)?, named_zone)
}

fn instant(fields: &Map<String, Value>, field: &str, zone: &Zone, complaints: &mut Complaints) -> Option<Timestamp> {
    let value = field_of(fields, field)?;
    complaints.note(instant_text(field, value).and_then(|text| Timestamp::parse(field, text, Some(zone))))
}

/// Refuses what provably never fires; whether `at` has passed needs a clock and is asked elsewhere.
fn can_fire(schedule: &Schedule, fields: &Map<String, Value>) -> Result<()> {
    let written = |field: &str| fields.get(field).map(shown).unwrap_or_default();
    let refuse = |field: &str, why: String| {
        let text = fields.get(field).and_then(|value| value.as_str().map(str::to_owned));
        Err(Error::invalid(field, why).value(text.unwrap_or_else(|| written(field))))
    };
    if let (Some(start), Some(end)) = (schedule.start, schedule.end)
        && end <= start
    {
        return refuse("end", format!("{} is not after start, {}", written("end"), written("start")));
    }
    if let When::At(at) = schedule.when {
        if schedule.start.is_some_and(|start| at < start) {
            return refuse("at", format!("{} is before start: it would never fire", written("at")));
        }
        if schedule.end.is_some_and(|end| at >= end) {
            return refuse("at", format!("{} is not before end: it would never fire", written("at")));
        }
        if schedule.exclude.has(schedule.zone.to_local(at).date()) {
            return refuse("at", format!("{} is excluded by exclude: it would never fire", written("at")));
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
        return refuse("end", format!("no fire time lies between {first}, {start}, and end, {}", written("end")));
    }
    Ok(())
}
