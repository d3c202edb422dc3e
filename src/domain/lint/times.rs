//! Traps of when: what never fires, changes of the clocks, steps, days, zones that are missing.

use super::{Listed, Note, kind};
use crate::domain::cron::{Cron, Trap};
use crate::domain::file::FileEntry;
use crate::domain::id::EntryId;
use crate::domain::schedule::{Schedule, When};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::domain::zone_words;

/// The code of entries that have nothing left to fire.
pub(super) const NEVER: &str = "never_fires";

/// A year, ms: how far ahead changes of the clocks are looked at.
const YEAR_MS: i64 = 366 * 86_400_000;
/// A day of `every`, ms.
const DAY_MS: u64 = 86_400_000;

/// Notes about one entry of a file.
pub(super) fn note(one: &FileEntry, zones: &Zones, now: Timestamp, notes: &mut Vec<Note>) {
    let (id, schedule) = (&one.id, &one.entry.schedule);
    if let Some(why) = schedule.over(now) {
        let again = if schedule.next_after(Timestamp(0)).is_some() { " again" } else { "" };
        let note = Note::new(NEVER, id, kind(schedule), format!("{why}: it never fires{again}"));
        notes.push(note.hint("take the entry out, or change its times"));
        return;
    }
    let has_dst = one.entry.fields().contains_key("dst");
    for change in zone_words::touching_changes(schedule, now).into_iter().filter(|_| !has_dst) {
        let note = Note::new("clock_change", id, kind(schedule), change);
        let is_fixed = match &schedule.when {
            When::Cron(crons) => crons.iter().any(|cron| !cron.is_wildcard()),
            When::Rrule(rule) => !rule.follows_the_clock(),
            _ => false,
        };
        notes.push(match is_fixed {
            true => note.hint("dst = { gap = ..., fold = ... } says it otherwise; another hour is not touched"),
            false => note.hint("it follows the clock; numbers instead of * are fixed times, each fires once"),
        });
    }
    notes.extend(elapsed(id, schedule, one.entry.fields().contains_key("tz"), now));
    notes.extend(zones.missing(one));
    if let When::Cron(crons) = &schedule.when {
        for cron in crons {
            notes.extend(cron.traps().into_iter().map(|trap| of_trap(id, cron, trap)));
            let doubt = cron.doubt().map(|doubt| Note::new("week_day_number", id, "cron", doubt).value(cron.text()));
            notes.extend(doubt);
        }
    }
}

/// `every = "24h"` beside a zone whose clocks change.
fn elapsed(id: &EntryId, schedule: &Schedule, has_zone: bool, now: Timestamp) -> Option<Note> {
    let When::Every(every) = schedule.when else { return None };
    let change = schedule.zone.next_offset_change(now).filter(|at| at.0 - now.0 <= YEAR_MS)?;
    if !has_zone || every.0 % DAY_MS != 0 || schedule.next_after(change).is_none() {
        return None;
    }
    let on = schedule.zone.to_local(change).format("%Y-%m-%d");
    let later = schedule.zone.offset_seconds(change) > schedule.zone.offset_seconds(Timestamp(change.0 - 1000));
    let way = if later { "later" } else { "earlier" };
    let zone = schedule.zone.name();
    let why = format!("counts elapsed time: from {on} on it fires {way} by the clocks of {zone}, which change then");
    let hint = "cron = \"0 9 * * *\" keeps the local time, rrule too where it is not each day";
    Some(Note::new("elapsed_time", id, "every", why).value(every.to_string()).hint(hint))
}

fn of_trap(id: &EntryId, cron: &Cron, trap: Trap) -> Note {
    let (code, message, hint) = match trap {
        Trap::EitherDay { month_day, week_day } => (
            "either_day",
            format!("fires on day {month_day} of the month and on each {week_day} too: one of the two is enough"),
            "where both shall match: rrule = \"FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR;...\"".to_owned(),
        ),
        Trap::Uneven { field, word, last_and_first: (last, first), meant } => (
            "uneven_step",
            format!("{word} starts over {}: {field} {last} is followed by {first}", starts_over(field)),
            meant.map_or_else(
                || format!("a step that comes round, or the {field}s by name"),
                |meant| format!("every = \"{meant}\" is even"),
            ),
        ),
        Trap::One { field, word, value, meant } => (
            "uneven_step",
            format!("{word} is {field} {value} and no other"),
            meant.map_or_else(|| format!("write {value}"), |meant| format!("every = \"{meant}\", if that is meant")),
        ),
    };
    Note::new(code, id, "cron", message).value(cron.text()).hint(hint)
}

fn starts_over(field: &str) -> &'static str {
    match field {
        "second" => "with each minute",
        "minute" => "with each hour",
        "hour" => "at midnight",
        "day-of-month" => "with each month",
        "month" => "with each year",
        _ => "with each week",
    }
}

/// The zones that entries of a file name.
pub(super) struct Zones {
    /// The one that most of them have, and how many.
    usual: Option<(Zone, usize)>,
}

impl Zones {
    /// Those of these entries.
    pub fn of(entries: &[impl Listed]) -> Self {
        let mut counts: Vec<(Zone, usize)> = Vec::new();
        let all = entries.iter().filter(|one| one.may_name_zone()).map(Listed::listed);
        for one in all.filter(|one| one.entry.fields().contains_key("tz")) {
            let zone = &one.entry.schedule.zone;
            match counts.iter_mut().find(|(known, _)| known.name() == zone.name()) {
                Some((_, count)) => *count += 1,
                None => counts.push((zone.clone(), 1)),
            }
        }
        let usual = counts.into_iter().rev().max_by_key(|(_, count)| *count);
        Self { usual: usual.filter(|(zone, _)| !zone.has_constant_offset()) }
    }

    /// The note about an entry that names none where others do, if a clock on the wall decides when it fires.
    fn missing(&self, one: &FileEntry) -> Option<Note> {
        let (zone, count) = self.usual.as_ref()?;
        let schedule = &one.entry.schedule;
        let is_local = match &schedule.when {
            When::Cron(crons) => crons.iter().any(|cron| !cron.is_hourly()),
            When::Rrule(rule) => !rule.is_hourly(),
            When::Every(_) | When::At(_) => false,
        };
        if !is_local || one.entry.fields().contains_key("tz") {
            return None;
        }
        let have = if *count == 1 { "another entry has".to_owned() } else { format!("{count} other entries have") };
        let why = format!("has no tz, so its times are UTC; {have} {zone}");
        let hint = format!("tz = \"{zone}\", or tz = \"UTC\" to say so");
        Some(Note::new("no_zone", &one.id, kind(schedule), why).hint(hint))
    }
}
