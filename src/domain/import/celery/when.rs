//! The schedule of a beat's entry as fields: crontab, interval, rrule and clocked; others are refused by their names.

use serde_json::{Map, Value};

use super::crontab::{self, Times};
use super::entry::{BeatEntry, Instant, given};
use super::interval::{self, Interval};
use super::{BeatDefaults, recurrence, shortened, type_of};
use crate::domain::reading::{SPAN_MAX, SPAN_MIN, inside, shown, text};
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::error::{Error, Problem, Result};

const CRONTAB_KEYS: &[&str] =
    &["__type__", "minute", "hour", "day_of_week", "day_of_month", "month_of_year", "timezone"];
const INTERVAL_KEYS: &[&str] = &["__type__", "every", "relative"];
const CLOCKED_KEYS: &[&str] = &["__type__", "clocked_time"];

/// What Celery does in the night in which clocks change, and upbeat does not.
const CLOCK_CHANGES: &str = "where clocks change Celery is odd: a time of day that is left out it fires late by the length of the \
                             gap (upbeat: at the end of the gap, or not at all where minute or hour begins with *), and in an hour \
                             that comes twice it is silent the second time (upbeat too, but * goes on); all other times are the same";

/// 2026-01-01: zones that have not changed their clocks since will hardly do so again.
const THESE_DAYS: Timestamp = Timestamp(1_767_225_600_000);

/// The fields that say *when*, and those rules of the source that depend on it.
pub(super) fn fields(
    beat: &BeatEntry,
    defaults: &BeatDefaults,
    ends_at: Option<Instant>,
    notes: &mut Vec<String>,
) -> Result<Map<String, Value>> {
    if beat.is_one_off && beat.total_run_count > 0 {
        return Err(Error::invalid("one_off", "it has fired, and fires no more"));
    }
    let mut when = When { fields: Map::new(), tz: defaults.tz.clone(), anchor: None, end: None };
    match type_of(&beat.schedule) {
        Some("crontab") => when.crontab(beat, defaults, notes)?,
        Some("interval") => when.interval(beat, defaults)?,
        Some("rrule") => when.rrule(beat, notes)?,
        Some("clocked") => when.clocked(beat)?,
        Some("solar") => return Err(solar(&beat.schedule)),
        Some(other) => {
            let why = format!("{} is a class of the app, whose times only its code knows", shortened(other));
            return Err(Error::invalid("schedule", why).hint("cron, every, at or rrule with the times that it has"));
        }
        None => {
            return Err(
                Error::invalid("schedule.__type__", "is missing").value(shown(&Value::Object(beat.schedule.clone())))
            );
        }
    }
    let mut fields = when.fields;
    let put = |fields: &mut Map<String, Value>, field: &str, value: String| {
        fields.insert(field.to_owned(), Value::from(value));
    };
    if let Some(tz) = when.tz.filter(|tz| tz.name() != "UTC") {
        put(&mut fields, "tz", tz.name().to_owned());
    }
    // One that is over counts for nothing once it has fired.
    let start_at = beat.start_at.filter(|start| beat.last_run_at.is_none_or(|last| last < *start));
    if let Some(start) = start_at.filter(|_| !fields.contains_key("at") && !fields.contains_key("start")) {
        put(&mut fields, "start", start.timestamp().to_rfc3339());
    } else if let Some(anchor) = when.anchor {
        put(&mut fields, "anchor", anchor.to_rfc3339());
    }
    if let Some(end) = [ends_at.map(Instant::timestamp), when.end].into_iter().flatten().min() {
        put(&mut fields, "end", end.to_rfc3339());
    }
    if beat.is_one_off && !fields.contains_key("at") {
        fields.insert("max_fires".to_owned(), Value::from(1));
    }
    Ok(fields)
}

struct When {
    fields: Map<String, Value>,
    /// The zone of the entry.
    tz: Option<Zone>,
    anchor: Option<Timestamp>,
    /// Of the schedule itself.
    end: Option<Timestamp>,
}

impl When {
    fn put(&mut self, field: &str, value: impl Into<Value>) {
        self.fields.insert(field.to_owned(), value.into());
    }

    fn crontab(&mut self, beat: &BeatEntry, defaults: &BeatDefaults, notes: &mut Vec<String>) -> Result<()> {
        known(&beat.schedule, CRONTAB_KEYS)?;
        if let Some(name) = given(&beat.schedule, "timezone") {
            self.tz = Some(Zone::parse("schedule.timezone", text("schedule.timezone", name)?)?);
        }
        let Some(tz) = &self.tz else {
            let error = Error::invalid("schedule", "a crontab is stored without its zone, the app's timezone");
            return Err(match &defaults.tz_hint {
                Some(hint) => error.hint(hint.clone()),
                None => error,
            });
        };
        if tz.next_offset_change(THESE_DAYS).is_some() {
            notes.push(CLOCK_CHANGES.to_owned());
        }
        match crontab::times(&beat.schedule)? {
            Times::Cron(cron) => self.put("cron", cron),
            Times::Rule(rule) => self.put("rrule", rule),
        }
        if let Some(deadline_s) = defaults.starting_deadline_s {
            let deadline = span_of("beat_cron_starting_deadline", deadline_s)?;
            self.put("start_within", deadline.clamp(SPAN_MIN, SPAN_MAX).to_string());
        }
        Ok(())
    }

    fn interval(&mut self, beat: &BeatEntry, defaults: &BeatDefaults) -> Result<()> {
        known(&beat.schedule, INTERVAL_KEYS)?;
        let interval = Interval::read(&beat.schedule)?;
        if interval.is_relative && self.tz.is_none() {
            let error =
                Error::invalid("schedule.relative", "its times are those of the app's timezone, which is not stored");
            return Err(match &defaults.tz_hint {
                Some(hint) => error.hint(hint.clone()),
                None => error,
            });
        }
        let zone = self.tz.clone().unwrap_or_else(Zone::utc);
        match interval.times(beat.last_run_at, &zone)? {
            interval::Times::Every(every, anchor) => {
                self.put("every", every.to_string());
                self.anchor = anchor;
            }
            interval::Times::Midnight => self.put("cron", "0 0 * * *"),
            interval::Times::Midnights(days, anchor) => {
                self.put("rrule", format!("FREQ=DAILY;INTERVAL={days};BYHOUR=0;BYMINUTE=0;BYSECOND=0"));
                self.anchor = anchor;
            }
        }
        Ok(())
    }

    fn rrule(&mut self, beat: &BeatEntry, notes: &mut Vec<String>) -> Result<()> {
        let recurrence = recurrence::read(&beat.schedule)?;
        if recurrence.names_week_days {
            notes.push(
                "RedBeat does not store the number of a week day in a rule, as in FR(1), the first Friday: where one was \
                 meant, write BYDAY=1FR; the rules here fire as RedBeat fires them now"
                    .to_owned(),
            );
        }
        if recurrence.tz != "UTC" {
            notes.push(
                "RedBeat stores the offset of a rule and not its zone: its rules do not follow clock changes any more, nor do \
                 they here; give them the tz that is meant"
                    .to_owned(),
            );
        }
        self.tz = Some(recurrence::zone(&recurrence)?);
        self.put("start", recurrence.begin.to_rfc3339());
        self.end = recurrence.end;
        self.put("rrule", recurrence.rule);
        Ok(())
    }

    fn clocked(&mut self, beat: &BeatEntry) -> Result<()> {
        known(&beat.schedule, CLOCKED_KEYS)?;
        if beat.total_run_count > 0 {
            return Err(Error::invalid("schedule", "a clocked entry fires once, and it has fired"));
        }
        let Some(at) = given(&beat.schedule, "clocked_time") else {
            return Err(Error::invalid("schedule.clocked_time", "is missing"));
        };
        self.put("at", Instant::read("schedule.clocked_time", at)?.timestamp().to_rfc3339());
        Ok(())
    }
}

fn known(schedule: &Map<String, Value>, known: &[&str]) -> Result<()> {
    match schedule.keys().find(|key| !known.contains(&key.as_str())) {
        Some(odd) => Err(Error::invalid(inside("schedule", &shortened(odd)), "is nothing that Celery knows of it")),
        None => Ok(()),
    }
}

/// Seconds as a span of whole milliseconds.
pub(super) fn span_of(field: &str, seconds: f64) -> Result<Span> {
    let ms = seconds * 1000.0;
    if !(0.0..=SPAN_MAX.0 as f64).contains(&ms) {
        return Err(Error::invalid(field, format!("{seconds} s is not between 0 and {SPAN_MAX}")));
    }
    if (ms - ms.round()).abs() > 1e-6 {
        return Err(Error::invalid(field, format!("{seconds} s is not a whole number of milliseconds")));
    }
    Ok(Span(ms.round() as u64))
}

fn solar(schedule: &Map<String, Value>) -> Error {
    let event = schedule.get("event").and_then(Value::as_str).unwrap_or_default();
    let nearest = match event {
        "solar_noon" => "0 12 * * *",
        _ if event.starts_with("dawn") || event == "sunrise" => "0 6 * * *",
        _ => "0 18 * * *",
    };
    Error::Invalid(Problem::bare(format!("solar schedules do not exist here; nearest: cron = \"{nearest}\"")))
}
