//! Instants at which nothing fired, and what is still to come.

use crate::domain::definition::Paused;
use crate::domain::fields::SCHEDULE_KINDS;
use crate::domain::run::Reason;
use crate::domain::timestamp::Timestamp;
use crate::service::prune::PRUNE_REASON;
use crate::service::why::answer::Answer;
use crate::service::why::finding::NotDue;
use crate::service::why::tale::{Tale, Teller, counted, quoted};
use crate::store::Skip;

/// How far before an instant the fire time before it is looked for, ms.
const WINDOWS_MS: [i64; 5] = [60_000, 3_600_000, 86_400_000, 32 * 86_400_000, 366 * 86_400_000];

impl Teller<'_> {
    pub fn not_due(&self, at: Option<Timestamp>, why: &NotDue) -> Tale {
        let asked = at.unwrap_or(self.records.now);
        let on = self.dated(asked);
        let (answer, sentence) = match why {
            NotDue::BeforeStart(start) => {
                (Answer::NotYet, format!("does not fire on {on}: it starts on {}", self.dated(*start)))
            }
            NotDue::AfterEnd(end) => {
                (Answer::Finished, format!("did not fire on {on}: it ended on {}", self.dated(*end)))
            }
            NotDue::Once(once) => {
                let answer = if *once < asked { Answer::Finished } else { Answer::NotYet };
                (answer, format!("is not due on {on}: it fires once, on {}", self.dated(*once)))
            }
            NotDue::MaxFires(most) => {
                (Answer::Finished, format!("does not fire on {on}: it has fired {most} times, and max_fires = {most}"))
            }
            NotDue::Excluded(date, calendars) => {
                let names: Vec<&str> = calendars.iter().map(|name| name.as_str()).collect();
                let by = match names.is_empty() {
                    true => "by the entry itself".to_owned(),
                    false => format!("by calendar {}", names.join(", ")),
                };
                (Answer::Excluded, format!("was not due on {on}: {date} is excluded {by}"))
            }
            NotDue::LeftOut => {
                (Answer::NotDue, format!("was not due on {on}: the clocks went forward over it, and dst.gap = skip"))
            }
            NotDue::Plain | NotDue::Day => (Answer::NotDue, self.plainly_not_due(asked, matches!(why, NotDue::Day))),
        };
        let calendar = match why {
            NotDue::Excluded(_, calendars) => calendars.first().map(|name| format!("upbeat calendars show {name}")),
            _ => None,
        };
        let is_finished = answer == Answer::Finished;
        let add = match why {
            NotDue::AfterEnd(_) => self.set("--unset end"),
            NotDue::MaxFires(_) => self.set("--unset max_fires"),
            _ => None,
        };
        Tale::new(answer, sentence)
            .fact("before", self.fire_time_before(asked))
            .fact("next", self.fire_time_after(asked))
            .fact("also", Some(self.last_success(asked)).filter(|_| is_finished))
            .todo(calendar)
            .todo(add)
            .todo(self.records.stored.as_ref().filter(|_| !is_finished).map(|_| format!("upbeat next {}", self.id())))
    }

    /// "was not due: `0 2 * * mon-fri`, and 21 Nov is a Saturday".
    fn plainly_not_due(&self, at: Timestamp, is_day: bool) -> String {
        let records = self.records;
        let was = if at > records.now { "will not be due" } else { "was not due" };
        let revision = records.holding(at).or(records.newest());
        let (number, entry) =
            revision.map(|revision| (revision.definition.revision, revision.entry.as_ref())).unwrap_or_default();
        let written = SCHEDULE_KINDS.iter().find_map(|kind| {
            let text = records.field(number, kind)?;
            Some(if *kind == "cron" { format!("`{}`", list(&text)) } else { format!("`{kind} {text}`") })
        });
        let written = written.unwrap_or_default();
        let local = self.wall.zone.to_local(at);
        let day = self.wall.day(at);
        let describes = entry.map(|entry| format!(" ({})", entry.schedule.describe())).unwrap_or_default();
        // To a period all days are alike.
        let is_period = records.field(number, "every").is_some();
        let weekday = if is_period { String::new() } else { format!(", and {day} is a {}", local.format("%A")) };
        let on = if is_day { day } else { self.dated(at) };
        format!("{was} on {on}: {written}{describes}{weekday}")
    }

    fn fire_time_after(&self, at: Timestamp) -> Option<String> {
        let held = self.records.current()?;
        let next = held.entry.as_ref()?.schedule.next_after(at)?;
        let relative = if next > self.records.now { format!(" ({})", self.wall.relative(next)) } else { String::new() };
        Some(format!("{}{relative}", self.dated(next)))
    }

    fn fire_time_before(&self, at: Timestamp) -> Option<String> {
        let schedule = &self.records.holding(at).or(self.records.newest())?.entry.as_ref()?.schedule;
        let before = WINDOWS_MS
            .iter()
            .find_map(|window| schedule.times_after(Timestamp(at.0 - window)).take_while(|time| *time < at).last())?;
        let first = self.records.revisions.first()?.definition.created;
        (before >= first).then(|| self.dated(before))
    }

    pub fn paused(&self, at: Option<Timestamp>, paused: &Paused, passed: usize) -> Tale {
        let records = self.records;
        let until = paused.until.map(|until| format!(" until {}", self.wall.short(until))).unwrap_or_default();
        let by = format!(
            "paused by {} since {}{until}{}",
            paused.actor,
            self.wall.short(paused.at),
            quoted(paused.reason.as_ref())
        );
        let has_passed = at.is_some_and(|at| at <= records.now);
        let so_far = if passed == 0 {
            String::new()
        } else {
            format!(", {} skipped so far", counted(passed as u64, "fire time"))
        };
        let count = counted(passed as u64, "fire time");
        let tale = match (at, has_passed) {
            (Some(at), true) => {
                Tale::new(Answer::Skipped, format!("did not run on {}: {by}, {count} skipped", self.dated(at)))
            }
            (Some(at), false) => Tale::new(Answer::Paused, format!("will not run on {}: {by}{so_far}", self.dated(at))),
            (None, _) => Tale::new(Answer::Paused, format!("does not fire: {by}")),
        };
        let is_on = records.current().is_some_and(|current| current.definition.paused_at(records.now).is_some());
        tale.because(Some(Reason::Paused))
            .fact("also", self.last_success(at.unwrap_or(records.now)))
            .todo(Some(format!("upbeat resume {}", self.id())).filter(|_| is_on))
            .todo(at.filter(|_| is_on && has_passed).and_then(|at| self.resume_from(at)))
    }

    pub fn to_come(&self, at: Timestamp) -> Tale {
        let records = self.records;
        let is_new = records.ended.is_empty() && records.live.is_empty() && records.ledger.is_empty();
        let schedule = records.current().and_then(|current| Some(&current.entry.as_ref()?.schedule));
        let first = schedule.and_then(|schedule| schedule.next_after(records.now));
        let is_new = is_new && first.is_none_or(|first| at <= first);
        let sentence = match is_new {
            true => format!("has not fired yet: its first fire time is {}", self.in_time(at)),
            false => format!("will fire on {}", self.in_time(at)),
        };
        let list = records.entry().and_then(|entry| Some(format!("{}:{}", entry.queue, entry.action.kind()?.word())));
        let paused =
            list.as_ref().and_then(|list| self.records.fleet.held(list)).filter(|held| held.warning().is_some());
        let unserved = list.and_then(|list| self.unserved(&list));
        let added = records.current().map(|current| {
            let definition = &current.definition;
            let (created, actor) = (self.wall.moment(definition.created), &definition.actor);
            match definition.revision {
                1 => format!("{created} by {actor}"),
                number => format!("{created}; revision {number} by {actor} on {}", self.wall.moment(definition.at)),
            }
        });
        Tale::new(if is_new { Answer::NotYet } else { Answer::ToCome }, sentence)
            .because(unserved.as_ref().map(|_| Reason::NoNode))
            .fact("added", added.filter(|_| is_new))
            .fact("nodes", unserved.as_ref().map(|unserved| unserved.why.clone()))
            .fact("queue", paused.as_ref().map(|held| held.why(|at| self.wall.short(at))))
            .todo(unserved.map(|unserved| unserved.command))
            .todo(paused.map(|held| held.command()))
            .todo(format!("upbeat next {}", self.id()))
    }

    pub fn to_skip(&self, at: Timestamp, skip: &Skip) -> Tale {
        Tale::new(Answer::Skipped, format!("will be skipped on {}, as asked {}", self.in_time(at), skip.words))
            .because(Some(Reason::SkipAsked))
            .todo(format!("upbeat skip {} --at {} --undo", self.id(), self.typed(at)))
    }

    pub fn spread(&self, at: Timestamp, due_at: Timestamp) -> Tale {
        let spread = self.records.entry().and_then(|entry| entry.spread);
        let spread = spread
            .map(|spread| format!("spread = {spread} moves each fire time by the same length"))
            .unwrap_or_default();
        Tale::new(Answer::ToCome, format!("is due on {} for the fire time of {}", self.in_time(due_at), self.dated(at)))
            .because(Some(Reason::Until))
            .fact("rule", spread)
    }

    pub fn broken(&self, at: Option<Timestamp>) -> Tale {
        let records = self.records;
        let unreadable = records.stored.as_ref().and_then(|stored| stored.definition.as_ref().err());
        let why = match unreadable {
            Some(why) => why.to_string(),
            None if records.entry().is_none() => "its definition can't be read by this upbeat".to_owned(),
            None => "its plan is missing or damaged; a live node plans it afresh".to_owned(),
        };
        let on = at.map(|at| format!(" on {}", self.dated(at))).unwrap_or_default();
        let event =
            records.happened.broken.as_ref().map(|(at, message)| format!("{}: {message}", self.wall.moment(*at)));
        let live = records.fleet.live_names();
        let nodes = Some("no live node".to_owned()).filter(|_| live.is_empty());
        Tale::new(Answer::Broken, format!("does not fire{on}: {why}"))
            .fact("event", event)
            .fact("nodes", nodes)
            .todo(format!("upbeat show {}", self.id()))
            .todo(Some("upbeat nodes".to_owned()).filter(|_| live.is_empty()))
    }

    pub fn removed(&self, at: Option<Timestamp>) -> Tale {
        let records = self.records;
        let on = at.map(|at| format!("did not exist on {}: it ", self.dated(at))).unwrap_or_default();
        let sentence = records.removed.as_ref().map_or_else(String::new, |removed| {
            let (actor, at, revision) = (&removed.actor, self.wall.moment(removed.at), removed.revision);
            match removed.reason.as_deref().filter(|reason| reason.starts_with(PRUNE_REASON)) {
                Some(pruned) => format!("{on}was removed by {actor} on {at} ({pruned}, revision {revision})"),
                None => {
                    let reason = quoted(removed.reason.as_ref());
                    format!("{on}was removed by {actor} on {at}{reason}, revision {revision}")
                }
            }
        });
        let again = records.current().map(|current| {
            let definition = &current.definition;
            let adder = records.revisions.iter().find(|one| one.definition.birth == definition.birth);
            let actor = adder.map_or(&definition.actor, |one| &one.definition.actor);
            format!("{} by {actor}", self.wall.moment(definition.created))
        });
        let last = records.ended.first().filter(|_| records.stored.is_none());
        let last = last.map(|run| format!("{} on {}", run.state, self.dated(run.last_fire_at)));
        let live = records.live.last().map(|run| format!("the run of {} is {}", self.dated(run.fire_at), run.state));
        Tale::new(Answer::Removed, sentence)
            .fact("added again", again)
            .fact("last run", last)
            .fact("active", live)
            .todo(format!("upbeat runs {}", self.id()))
    }

    pub fn not_added(&self, at: Timestamp, created: Timestamp) -> Tale {
        let first = self.records.revisions.first().map(|one| &one.definition.actor);
        let by = first.map(|actor| format!(" by {actor}")).unwrap_or_default();
        let sentence =
            format!("did not exist on {}: it was added{by} on {}", self.dated(at), self.wall.moment(created));
        Tale::new(Answer::NotYet, sentence).fact("next", self.fire_time_after(created))
    }

    pub fn no_records(&self, at: Timestamp) -> Tale {
        let records = self.records;
        let first = records.ledger.iter().map(|stretch| stretch.first).min();
        let is_old = records.now.0 - at.0 > LEDGER_MS;
        let why = match (is_old, first) {
            (true, _) => "older than the ledger (35 d)".to_owned(),
            (false, Some(first)) if at < first => format!("its ledger begins on {}", self.dated(first)),
            (false, None) => "its ledger is empty".to_owned(),
            (false, Some(_)) => "its ledger does not name this fire time".to_owned(),
        };
        let oldest = first.map(|first| format!("from {} on", self.dated(first)));
        Tale::new(Answer::NoRecords, format!("has no records for {}: {why}", self.dated(at)))
            .fact("on record", oldest)
            .todo(Some(format!("upbeat audit {} --since {}", self.id(), self.typed(at))).filter(|_| !is_old))
    }

    /// `Sat 21 Nov 02:00 CET (in 14 h)`.
    fn in_time(&self, at: Timestamp) -> String {
        format!("{} ({})", self.dated(at), self.wall.relative(at))
    }

    /// How long ago the local time was left out, for those who asked about it.
    pub fn left_out(&self, local: chrono::NaiveDateTime, at: Timestamp) -> String {
        let (local, instead) = (local.format("%H:%M on %-d %b %Y"), self.dated(at));
        format!("{local} did not exist: the clocks went forward; the first instant after it is {instead}")
    }
}

/// What the ledger keeps, ms.
const LEDGER_MS: i64 = 35 * 86_400_000;

/// A list of expressions without its brackets.
fn list(text: &str) -> String {
    text.trim_matches(['[', ']', '"']).replace("\",\"", "; ")
}
