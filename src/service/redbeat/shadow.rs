//! Watching a live RedBeat: each fire of its beat is held against what upbeat would have fired. Nothing is written anywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::entry::Entry;
use crate::domain::import::celery::{BeatEntry, Instant};
use crate::domain::import::redbeat::{Carried, json};
use crate::domain::timestamp::Timestamp;
use crate::error::{Error, Result};
use crate::service::redbeat::Odd;
use crate::service::redbeat::shadow_view::{ShadowEntry, ShadowView};
use crate::service::view::At;
use crate::service::{Progress, RedBeatSource};
use crate::store::Fired;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Clocks of a beat and of Redis may differ by so much before a fire counts as early, ms.
const EARLY_MS: i64 = 1_000;
/// What RedBeat has not fired so long after its time is missing, ms.
const PATIENCE_MS: i64 = 5_000;
/// Fire times that are looked at in one step of an entry, at most.
const STEP_MAX: usize = 10_000;

/// One entry that is watched.
struct Shadow {
    entry: Entry,
    definition: String,
    /// When RedBeat fired it last.
    last: Timestamp,
    runs: u64,
    /// When it had last fired as the watch began.
    began: Timestamp,
    seen: ShadowEntry,
}

impl RedBeatSource {
    /// Watches for that long. `progress` counts the seconds.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where there is nothing to watch; as a lost connection.
    pub async fn shadow(&self, length: Duration, progress: &Progress) -> Result<ShadowView> {
        let (picture, carried) = self.read().await?;
        let from = self.redbeat.now().await?;
        let mut shadows = shadows(&carried, from);
        if shadows.is_empty() {
            let why = format!("{} has nothing that fires and can be carried over", self.redbeat.place().schedule());
            return Err(Error::invalid("redbeat", why).hint("upbeat import redbeat URL says why not"));
        }
        let mut had_beat = self.redbeat.place().lock.as_ref().map(|_| picture.lock.is_some());
        progress.begin(usize::try_from(length.as_secs()).unwrap_or(usize::MAX), "seconds");
        let until = Timestamp(from.0 + i64::try_from(length.as_millis()).unwrap_or(i64::MAX / 2));
        let mut seen = self.redbeat.look().await?;
        let mut now = from;
        while now < until {
            tokio::time::sleep(LOOK.min(Duration::from_millis((until.0 - now.0).unsigned_abs()))).await;
            let looked = self.redbeat.look().await?;
            // Where the score did not change, a due entry may have fired all the same: scores are whole seconds.
            let fired = shadows.keys().filter(|key| {
                let (before, after) = (seen.scores.get(*key).copied(), looked.scores.get(*key).copied());
                before != after || after.flatten().is_some_and(|score| score * 1000.0 <= looked.now.0 as f64)
            });
            let fired: Vec<Vec<u8>> = fired.cloned().collect();
            for Fired { key, meta } in self.redbeat.fired(&fired).await? {
                if let (Some(shadow), Some((last, runs))) = (shadows.get_mut(&key), meta.as_deref().and_then(last_of)) {
                    shadow.fired(last, runs);
                }
            }
            if let Some(lock) = self.redbeat.lock().await? {
                had_beat = had_beat.map(|had| had && lock.token.is_some());
            }
            let seconds = |at: Timestamp| usize::try_from((at.0 - from.0) / 1000).unwrap_or_default();
            progress.advance(seconds(looked.now.min(until)).saturating_sub(seconds(now)));
            now = looked.now;
            seen = looked;
        }
        let left_out = self.changed(&mut shadows).await?;
        for shadow in shadows.values_mut() {
            shadow.end(now, had_beat);
        }
        Ok(view(shadows, (from, now), had_beat, left_out))
    }

    /// Takes out what was changed while it was watched.
    async fn changed(&self, shadows: &mut BTreeMap<Vec<u8>, Shadow>) -> Result<Vec<Odd>> {
        let (_, after) = self.read().await?;
        let mut left_out = Vec::new();
        let stands = |key: &[u8]| after.entries.iter().find(|one| one.key.as_bytes() == key && one.is_live);
        shadows.retain(|key, shadow| {
            let reason = match stands(key) {
                Some(one) if one.definition == shadow.definition => return true,
                Some(_) => "was changed meanwhile",
                None => "was removed, disabled or over meanwhile",
            };
            left_out.push(Odd { name: shadow.seen.name.clone(), reason: reason.to_owned() });
            false
        });
        for refused in &after.import.refused {
            left_out.push(Odd { name: refused.place.clone(), reason: refused.reason.clone() });
        }
        Ok(left_out)
    }
}

fn shadows(carried: &Carried, from: Timestamp) -> BTreeMap<Vec<u8>, Shadow> {
    let shadow = |one: &crate::domain::import::redbeat::Carry| {
        let id = one.id.as_ref().filter(|_| one.is_live)?;
        let entry = carried.file_entry(id)?.entry.clone();
        let last = one.beat.last_run_at.map_or(from, Instant::timestamp);
        let seen = ShadowEntry::new(&one.beat.name, id.as_str());
        let (definition, runs) = (one.definition.clone(), one.beat.total_run_count);
        Some((one.key.clone().into_bytes(), Shadow { entry, definition, last, runs, began: last, seen }))
    };
    carried.entries.iter().filter_map(shadow).collect()
}

/// When an entry fired last and how often, from its meta.
fn last_of(meta: &[u8]) -> Option<(Timestamp, u64)> {
    // Only the meta counts: any definition goes with it.
    let definition = serde_json::json!({ "name": "a", "task": "a", "schedule": {} });
    let beat = BeatEntry::read(&definition, Some(&json("meta", meta).ok()?)).ok()?;
    Some((beat.last_run_at?.timestamp(), beat.total_run_count))
}

impl Shadow {
    /// RedBeat has fired at `at`, for the `runs`th time.
    fn fired(&mut self, at: Timestamp, runs: u64) {
        if at == self.last {
            return;
        }
        let fires = runs.checked_sub(self.runs).filter(|fires| *fires > 0).unwrap_or(1);
        let due: Vec<Timestamp> = self.due(Timestamp(at.0 + EARLY_MS.min(self.half_period_ms()))).collect();
        let wanted = due.len() as u64;
        let newest = due.last().copied().unwrap_or(at);
        self.seen.both(fires.min(wanted), (at.0 - newest.0).max(0));
        if fires > wanted {
            let why = match due.first() {
                None => "it fires where upbeat does not: another zone (--tz)? another beat? somebody sent it by hand?",
                Some(_) => "it fired more often than its schedule says: do two beats run?",
            };
            self.seen.only("redbeat", at, fires - wanted, why);
        }
        // Between two looks an interval may drift beyond one of its times.
        let is_drift = fires > 1 && wanted == fires + 1;
        if wanted > fires && !is_drift {
            let why = "its beat was late, and fires an entry once that is overdue, however often it was due";
            self.seen.only("upbeat", due[0], wanted - fires, why);
        }
        (self.last, self.runs) = (at, runs);
        self.seen.drift_ms = self.drift_ms();
    }

    /// Fire times of upbeat after the last fire of RedBeat.
    fn due(&self, until: Timestamp) -> impl Iterator<Item = Timestamp> {
        let every = self.every_ms();
        let last = self.last;
        // An interval counts from RedBeat's last fire, as it would after a take-over at this instant.
        let counted = every.into_iter().flat_map(move |every_ms| {
            (1..).map(move |times: i64| Timestamp(last.0 + times * every_ms)).take_while(move |at| *at <= until)
        });
        let looked_up =
            every.is_none().then(|| self.entry.schedule.times_after(last).take_while(move |at| *at <= until));
        counted.chain(looked_up.into_iter().flatten()).take(STEP_MAX)
    }

    fn every_ms(&self) -> Option<i64> {
        let is_interval = self.entry.fields().contains_key("every");
        self.entry.schedule.fixed_period(self.last).filter(|_| is_interval).map(|fixed| fixed.period.ms())
    }

    fn half_period_ms(&self) -> i64 {
        self.every_ms().map_or(EARLY_MS, |every_ms| every_ms / 2)
    }

    /// How far an interval is from where it would be without any delay.
    fn drift_ms(&self) -> i64 {
        let Some(every_ms) = self.every_ms().filter(|every_ms| *every_ms > 0) else { return 0 };
        let fires = i64::try_from(self.seen.redbeat).unwrap_or_default();
        (self.last.0 - self.began.0 - fires * every_ms).max(0)
    }

    /// The watch is over: what is due for long was not fired.
    fn end(&mut self, now: Timestamp, had_beat: Option<bool>) {
        let due: Vec<Timestamp> = self.due(Timestamp(now.0 - PATIENCE_MS)).collect();
        if let Some(first) = due.first() {
            let why = match had_beat {
                Some(false) => "no beat held the lock",
                _ => "its beat did not fire it: another zone (--tz)? does the beat run?",
            };
            self.seen.only("upbeat", *first, due.len() as u64, why);
        }
    }
}

fn view(
    shadows: BTreeMap<Vec<u8>, Shadow>,
    (from, to): (Timestamp, Timestamp),
    had_beat: Option<bool>,
    left_out: Vec<Odd>,
) -> ShadowView {
    let watched = shadows.len();
    let sum = |of: fn(&ShadowEntry) -> u64| shadows.values().map(|shadow| of(&shadow.seen)).sum();
    let (redbeat, upbeat, differ) = (sum(|one| one.redbeat), sum(|one| one.upbeat), sum(|one| one.differ));
    let mut entries: Vec<ShadowEntry> = shadows.into_values().map(|shadow| shadow.seen).collect();
    entries.retain(|one| one.differ > 0 || one.drift_ms > 0);
    entries.sort_by(|one, other| other.differ.cmp(&one.differ).then_with(|| one.name.cmp(&other.name)));
    let (from, to) = (At(from), At(to));
    ShadowView { from, to, redbeat, upbeat, differ, had_beat, entries, watched, left_out }
}
