//! Many entries at the same minute.

use std::collections::HashMap;

use chrono::{NaiveDateTime, NaiveTime};

use super::{Listed, Note, key, kind, tasks};
use crate::domain::file::FileEntry;
use crate::domain::id::EntryId;
use crate::domain::schedule::When;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;

/// Entries at one minute from which on it deserves a look: with fewer a node with its 16 slots has room for all.
pub const TOGETHER_MIN: usize = 10;

/// How far ahead is looked: each day of the week once.
const DAYS: i64 = 7;
const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;
/// Fire times that are looked at in all.
const TIMES_MAX: usize = 1_000_000;
/// Entries and minutes that are named.
const NAMED: usize = 3;

/// Entries that fire alike.
struct Group {
    first: FileEntry,
    ids: Vec<EntryId>,
}

/// The notes about entries that fire at the same minute within a week: the worst minute, and others like it. What has a `spread`
/// is spread; what fires each minute is left out, no minute is worse than the others for it.
pub fn together(entries: &[impl Listed], now: Timestamp) -> Vec<Note> {
    let mut groups: HashMap<String, Group> = HashMap::new();
    let mut tasks = tasks::Often::default();
    for one in entries.iter().map(Listed::listed) {
        tasks.look(&one, now);
        if one.entry.spread.is_some() {
            continue;
        }
        let first = || Group { first: one.clone().into_owned(), ids: Vec::new() };
        groups.entry(key(&one)).or_insert_with(first).ids.push(one.id.clone());
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by(|a, b| a.first.id.cmp(&b.first.id));
    let (counted, fixed): (Vec<Group>, Vec<Group>) = groups.into_iter().partition(counts_from_apply);
    let mut notes: Vec<Note> = at_a_minute(&fixed, now).into_iter().collect();
    notes.extend(counted.iter().filter_map(from_one_instant));
    notes.extend(tasks.note());
    notes
}

/// Whether it counts from the instant at which the file is applied, which nobody knows yet.
fn counts_from_apply(group: &Group) -> bool {
    let schedule = &group.first.entry.schedule;
    matches!(schedule.when, When::Every(_)) && schedule.anchor.is_none() && schedule.start.is_none()
}

fn from_one_instant(group: &Group) -> Option<Note> {
    let When::Every(every) = group.first.entry.schedule.when else { return None };
    if group.ids.len() < TOGETHER_MIN || every.ms() <= MINUTE_MS {
        return None;
    }
    let (count, every) = (group.ids.len(), every.to_string());
    let why = format!(
        "{count} entries with every = \"{every}\" count from one instant, that of the apply; spread would help"
    );
    let note = Note::new("same_minute", &group.first.id, "every", why).value(every).hint(named(group.ids.iter()));
    Some(Note { ids: group.ids.clone(), ..note })
}

fn at_a_minute(groups: &[Group], now: Timestamp) -> Option<Note> {
    let end = Timestamp(now.0 + DAYS * DAY_MS);
    let mut counts: HashMap<i64, usize> = HashMap::new();
    let mut budget = TIMES_MAX;
    let mut looked: Vec<&Group> = Vec::new();
    for group in groups {
        let minutes = minutes(group, now, end, &mut budget);
        if minutes.len() as i64 >= DAYS * DAY_MS / MINUTE_MS - 1 {
            continue;
        }
        minutes.into_iter().for_each(|minute| *counts.entry(minute).or_default() += group.ids.len());
        looked.push(group);
    }
    let (worst, count) =
        counts.iter().map(|(minute, count)| (*minute, *count)).max_by_key(|(minute, count)| (*count, -minute))?;
    if count < TOGETHER_MIN {
        return None;
    }
    let fires = |group: &&&Group| {
        let next = group.first.entry.schedule.next_after(Timestamp(worst * MINUTE_MS - 1));
        next.is_some_and(|next| next.0.div_euclid(MINUTE_MS) == worst)
    };
    let at_worst: Vec<&&Group> = looked.iter().filter(fires).collect();
    let zone = usual_zone(&at_worst);
    let mut ids: Vec<&EntryId> = at_worst.iter().flat_map(|group| &group.ids).collect();
    ids.sort();
    let (when, others) = in_words(&counts, (worst, count), &zone);
    let why = format!("{count} entries fire at the same minute ({when} {zone}); spread = \"5m\" or H would help");
    let first = &at_worst.first()?.first;
    let hint = format!("{}{others}", named(ids.iter().copied()));
    let note = Note::new("same_minute", &first.id, kind(&first.entry.schedule), why).hint(hint);
    Some(Note { ids: ids.into_iter().cloned().collect(), ..note })
}

/// The minutes since 1970 in which a group fires, each once.
fn minutes(group: &Group, now: Timestamp, end: Timestamp, budget: &mut usize) -> Vec<i64> {
    let schedule = &group.first.entry.schedule;
    let plain = schedule.start.is_none() && schedule.end.is_none();
    let period = schedule.fixed_period(now).filter(|_| plain);
    let mut minutes = Vec::new();
    let mut after = now;
    while *budget > 0 {
        let next = match period {
            Some(period) => period.next_after(after),
            None => schedule.next_after(after),
        };
        let Some(next) = next.filter(|next| *next < end) else { break };
        let minute = next.0.div_euclid(MINUTE_MS);
        minutes.push(minute);
        after = Timestamp((minute + 1) * MINUTE_MS - 1);
        *budget -= 1;
    }
    minutes
}

fn usual_zone(groups: &[&&Group]) -> Zone {
    let mut counts: Vec<(&Zone, usize)> = Vec::new();
    for group in groups {
        let zone = &group.first.entry.schedule.zone;
        match counts.iter_mut().find(|(known, _)| known.name() == zone.name()) {
            Some((_, count)) => *count += group.ids.len(),
            None => counts.push((zone, group.ids.len())),
        }
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map_or_else(Zone::utc, |(zone, _)| zone.clone())
}

/// When the worst minute is: a time of day where it comes each day, else with its date; and other times of day like it.
fn in_words(counts: &HashMap<i64, usize>, (worst, count): (i64, usize), zone: &Zone) -> (String, String) {
    let local = |minute: i64| zone.to_local(Timestamp(minute * MINUTE_MS));
    let of_day = |minute: i64| -> NaiveTime { local(minute).time() };
    let mut by_time: HashMap<NaiveTime, (usize, Vec<i64>)> = HashMap::new();
    for (minute, count) in counts.iter().filter(|(_, count)| **count >= TOGETHER_MIN) {
        let (most, minutes) = by_time.entry(of_day(*minute)).or_default();
        *most = (*most).max(*count);
        minutes.push(*minute);
    }
    let shown =
        |at: NaiveDateTime, is_daily: bool| at.format(if is_daily { "%H:%M" } else { "%a %-d %b %H:%M" }).to_string();
    let is_daily = by_time
        .get(&of_day(worst))
        .is_some_and(|(_, minutes)| minutes.iter().filter(|minute| counts[minute] == count).count() as i64 >= DAYS);
    let mut others: Vec<(usize, NaiveTime)> =
        by_time.iter().filter(|(time, _)| **time != of_day(worst)).map(|(time, (most, _))| (*most, *time)).collect();
    others.sort_by_key(|(most, time)| (std::cmp::Reverse(*most), *time));
    let words: Vec<String> =
        others.iter().take(NAMED).map(|(most, time)| format!("{most} at {}", time.format("%H:%M"))).collect();
    let more = match others.len() {
        0 => String::new(),
        1..=NAMED => format!("; also {}", words.join(", ")),
        all => format!("; also {} and {} times of day more", words.join(", "), all - NAMED),
    };
    (shown(local(worst), is_daily), more)
}

fn named<'i>(ids: impl ExactSizeIterator<Item = &'i EntryId>) -> String {
    let count = ids.len();
    let shown: Vec<&str> = ids.take(NAMED).map(EntryId::as_str).collect();
    match count - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
