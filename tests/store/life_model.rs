//! The state machine of the crate docs as a model: where a run may go by which script, and what becomes of its attempts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use upbeat::domain::run::{Reason, State};
use upbeat::domain::timestamp::Timestamp;
use upbeat::store::LetterWord;

use crate::support::entries::id;
use crate::support::hand::World;

/// The call after which Redis is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    Claim { now: Timestamp },
    Work { holder: String },
    Rescue { lost: String },
    Cancel { run_id: String },
    Put,
    Retry { words: Vec<(String, LetterWord)> },
    Trigger,
}

/// A run as it is known.
#[derive(Debug, Clone)]
pub struct Run {
    pub entry: String,
    pub birth: u64,
    pub state: State,
    pub reason: Option<Reason>,
    pub attempt: u32,
    pub lost: u32,
    pub uncounted: u32,
    /// Attempts on record before the current or last one.
    pub past: usize,
    pub fence: u64,
    pub holder: Option<String>,
    pub is_cancel_asked: bool,
    /// Of one that waits for its next attempt.
    pub next_at: Timestamp,
    pub is_letter: bool,
    /// Endings on record.
    pub endings: usize,
    /// How often it was opened: once, and by each retry.
    pub openings: usize,
}

impl Run {
    pub fn counted(&self) -> u32 {
        self.attempt.saturating_sub(self.lost + self.uncounted)
    }

    /// What was answered to a retry or purge of it.
    pub fn note_asked(&mut self, word: LetterWord) {
        assert!(self.is_letter || word == LetterWord::Gone, "{word:?} {self:?}");
        let is_reopened = [LetterWord::Queued, LetterWord::Waiting, LetterWord::Delivered, LetterWord::Failed];
        self.openings += usize::from(is_reopened.contains(&word));
        self.is_letter &= matches!(word, LetterWord::Full | LetterWord::Failed);
    }
}

/// What Redis holds of runs.
pub struct Seen {
    pub runs: BTreeMap<String, Run>,
    letters: BTreeSet<String>,
}

impl Seen {
    pub async fn read(world: &World, entries: &[(&str, Value)]) -> Self {
        let mut runs: BTreeMap<String, Run> = BTreeMap::new();
        for (name, _) in entries {
            let mut ended = world.store.ended_runs(0, &id(name), 1000).await.unwrap();
            ended.sort_by_key(|run| (run.finished_at, run.attempt));
            for run in ended {
                // Fire times that never became a run.
                let is_none = matches!(run.state, State::Skipped | State::Missed) && run.enqueued_at.is_none();
                if is_none {
                    continue;
                }
                let endings = runs.get(&run.run_id).map_or(0, |known| known.endings) + 1;
                let seen = Run {
                    entry: run.entry_id,
                    birth: 0,
                    state: run.state,
                    reason: run.reason,
                    attempt: run.attempt,
                    lost: run.lost,
                    uncounted: run.uncounted,
                    past: run.past.len(),
                    fence: 0,
                    holder: None,
                    is_cancel_asked: false,
                    next_at: Timestamp(0),
                    is_letter: false,
                    endings,
                    openings: 0,
                };
                runs.insert(run.run_id, seen);
            }
        }
        let (live, next) = world.store.live_runs(0, None).await.unwrap();
        assert!(next.is_none(), "one page");
        for run in live {
            let endings = runs.get(&run.run_id).map_or(0, |known| known.endings);
            let seen = Run {
                entry: run.entry_id,
                birth: run.birth,
                state: run.state,
                reason: None,
                attempt: run.attempt,
                lost: run.lost,
                uncounted: run.uncounted,
                past: run.past.len(),
                fence: run.fence,
                holder: run.holder,
                is_cancel_asked: run.is_cancel_asked,
                next_at: run.enqueued_at,
                is_letter: false,
                endings,
                openings: 0,
            };
            runs.insert(run.run_id, seen);
        }
        let dead: Vec<String> = world.store.dead(0).await.unwrap().into_iter().map(|(run_id, _)| run_id).collect();
        assert!(world.store.letters(0, &dead).await.unwrap().iter().all(Option::is_some), "a letter without content");
        assert_eq!(world.on("HLEN", "letters", &[]), dead.len().to_string());
        Self { runs, letters: dead.into_iter().collect() }
    }

    /// Each live run stands in the one place that its state says, and nothing else stands there.
    pub fn assert_places(&self, world: &World) {
        let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut note = |run_id: String, place: &str| {
            places.entry(run_id).or_default().insert(place.to_owned());
        };
        for key in world.redis.keys() {
            let name = key.strip_prefix("upbeat:{test:0}:").unwrap_or_default();
            let members = |command: &[&str]| {
                let found = world.redis.ask(command);
                found.list().iter().map(|member| member.text()).collect::<Vec<_>>()
            };
            if name.starts_with("queue:") {
                // Whatever ended in its list has left its id there.
                let queued = members(&["LRANGE", &key, "0", "-1"]).into_iter();
                let is_queued = |run_id: &String| self.runs.get(run_id).is_some_and(|run| run.state == State::Queued);
                queued.filter(is_queued).for_each(|run_id| note(run_id, "list"));
            } else if let Some(holder) = name.strip_prefix("holds:") {
                members(&["SMEMBERS", &key]).into_iter().for_each(|run_id| note(run_id, holder));
            } else if name == "delayed" {
                let delayed = members(&["ZRANGE", &key, "0", "-1"]).into_iter();
                delayed.for_each(|run_id| note(run_id, "delayed"));
            } else if name == "waits" {
                for text in world.redis.ask(&["HVALS", &key]).list() {
                    // Behind a number of two bytes, small here.
                    for run_id in text.text().as_bytes()[2..].chunks(36) {
                        note(String::from_utf8_lossy(run_id).into_owned(), "waits");
                    }
                }
            }
        }
        let wanted = self.runs.iter().filter(|(_, run)| run.state.is_active()).map(|(run_id, run)| {
            let place = match run.state {
                State::Queued => "list".to_owned(),
                State::Retrying => "delayed".to_owned(),
                State::Waiting => "waits".to_owned(),
                _ => run.holder.clone().unwrap(),
            };
            (run_id.clone(), BTreeSet::from([place]))
        });
        assert_eq!(places, wanted.collect::<BTreeMap<_, _>>(), "each run in one place");
    }
}

/// Whether this script may move a run so.
fn may_move(script: &Script, from: Option<&Run>, to: &Run) -> bool {
    use State::{Cancelled, Failed, Missed, Queued, Retrying, Running, Succeeded, Waiting};
    let Some(from) = from else {
        return match script {
            Script::Claim { .. } | Script::Put => to.state != Retrying,
            Script::Trigger => matches!(to.state, Waiting | Queued),
            _ => false,
        };
    };
    let (is_unbegun, reason) = (from.attempt == 0, to.reason);
    match (script, from.state, to.state) {
        (Script::Claim { .. }, Waiting | Queued, Missed) => is_unbegun && reason == Some(Reason::TooLate),
        (Script::Claim { .. }, Queued | Retrying, Failed) => !is_unbegun && reason == Some(Reason::Timeout),
        (Script::Claim { .. } | Script::Trigger, Waiting | Queued | Retrying, Cancelled) => {
            reason == Some(Reason::CancelOther) && to.entry == "cancel"
        }
        (Script::Put, Waiting | Queued | Retrying, Cancelled) => {
            matches!(reason, Some(Reason::EntryRemoved | Reason::CancelOther))
        }
        (
            Script::Claim { .. } | Script::Work { .. } | Script::Rescue { .. } | Script::Cancel { .. },
            Waiting,
            Queued,
        ) => true,
        (Script::Claim { .. }, Retrying, Queued) => true,
        (Script::Work { .. }, Queued, Missed) => is_unbegun && reason == Some(Reason::TooLate),
        (Script::Work { holder }, Queued, Running) => to.holder.as_ref() == Some(holder),
        (Script::Work { holder }, Running, Succeeded | Failed | Cancelled | Retrying | Queued) => {
            from.holder.as_ref() == Some(holder)
        }
        (Script::Rescue { lost }, Running, Queued | Failed | Cancelled) => from.holder.as_ref() == Some(lost),
        (Script::Cancel { .. }, Waiting | Queued | Retrying, Cancelled) => reason == Some(Reason::ByUser),
        (Script::Retry { .. }, Failed, Queued | Waiting) => to.entry != "sent",
        (Script::Retry { .. }, Failed, Succeeded) => to.entry == "sent",
        _ => false,
    }
}

/// What becomes of its attempts where a run moves.
fn assert_attempts(script: &Script, from: &Run, to: &Run) {
    use State::{Failed, Queued, Retrying, Running};
    let told = |attempt, lost, uncounted| {
        assert_eq!((to.attempt, to.lost, to.uncounted), (attempt, lost, uncounted), "{script:?}: {from:?} -> {to:?}");
    };
    let Run { attempt, lost, uncounted, .. } = *from;
    match (script, from.state, to.state) {
        (_, Queued, Running) => told(attempt + 1, lost, uncounted),
        (Script::Rescue { .. }, Running, Queued | Failed) => told(attempt, lost + 1, uncounted),
        (Script::Work { .. }, Running, Queued) => told(attempt, lost, uncounted + 1),
        (Script::Retry { .. }, Failed, _) if to.entry == "sent" => told(attempt + 1, 0, attempt),
        (Script::Retry { .. }, Failed, _) => told(attempt, 0, attempt),
        // Of a record without past attempts nothing was left out.
        (_, _, state) if !state.is_active() && to.past == 0 => told(attempt, lost, 0),
        _ => told(attempt, lost, uncounted),
    }
    let expected_past = match (to.state, from.state) {
        (Running, _) => to.attempt - 1,
        (state, _) if state.is_active() => to.attempt,
        // The record itself tells the last attempt, if one was running.
        (_, Running | Failed) => to.attempt.saturating_sub(1),
        _ => to.attempt,
    };
    assert_eq!(to.past, expected_past as usize, "{script:?}: attempts on record: {from:?} -> {to:?}");
    assert!(from.state != Queued || to.state != Running || to.fence > from.fence);
    assert!(from.state != Running || to.state != Retrying || to.next_at > Timestamp(0));
}

/// From which state to which a run went; from none where it is new.
pub type Move = (Option<State>, State);

/// What is seen follows from what is known, by this script; then it is what is known. Returns the moves.
pub fn assert_moves(known: &mut BTreeMap<String, Run>, seen: &Seen, script: &Script) -> Vec<Move> {
    let mut moves = Vec::new();
    for (run_id, run) in known.iter() {
        let to = seen.runs.get(run_id);
        assert!(to.is_some(), "{script:?}: {run_id} is gone: {run:?}");
    }
    let greatest = known.values().map(|run| run.fence).max().unwrap_or(0);
    for (run_id, to) in &seen.runs {
        let from = known.get(run_id);
        let is_sent_again =
            matches!(script, Script::Retry { words } if words.contains(&(run_id.clone(), LetterWord::Failed)));
        if from.is_some_and(|from| from.state == to.state) && !is_sent_again {
            let from = from.unwrap();
            assert_eq!((from.attempt, from.fence * u64::from(to.state.is_active())), (to.attempt, to.fence), "{to:?}");
            assert_eq!((&from.holder, from.endings), (&to.holder, to.endings), "{script:?}: {run_id}");
            let is_left = matches!(script, Script::Claim { now } if to.next_at <= *now);
            assert!(to.state != State::Retrying || !is_left, "its time has come: {to:?}");
        } else {
            moves.push((from.map(|from| from.state), to.state));
            assert!(is_sent_again || may_move(script, from, to), "{script:?}: {run_id}: {from:?} -> {to:?}");
            if let Some(from) = from {
                assert_attempts(script, from, to);
                let is_early = matches!(script, Script::Claim { now } if from.next_at > *now);
                let is_moved = from.state == State::Retrying && to.state == State::Queued;
                assert!(!is_moved || !is_early, "{script:?}: before its time: {from:?}");
            }
            assert!(to.state != State::Running || to.fence > greatest, "a fence that was given out before: {to:?}");
        }
    }
    for (run_id, to) in &seen.runs {
        let before = known.get(run_id);
        let openings = before.map_or(1, |run| run.openings);
        let is_ended = !to.state.is_active();
        assert_eq!(to.endings + usize::from(!is_ended), openings, "{script:?}: {run_id}: one end per opening: {to:?}");
        let was_ended = before.is_some_and(|run| run.endings == to.endings);
        let is_letter = match before {
            Some(run) if was_ended => run.is_letter,
            _ => to.state == State::Failed,
        };
        let mut run = to.clone();
        (run.openings, run.is_letter) = (openings, is_letter);
        if !to.state.is_active() {
            run.birth = before.map_or(0, |run| run.birth);
            run.fence = before.map_or(0, |run| run.fence);
        }
        known.insert(run_id.clone(), run);
    }
    let letters: BTreeSet<String> =
        known.iter().filter(|(_, run)| run.is_letter).map(|(run_id, _)| run_id.clone()).collect();
    assert_eq!(
        seen.letters, letters,
        "{script:?}: dead letters are the runs that failed, less those retried or purged"
    );
    moves
}
