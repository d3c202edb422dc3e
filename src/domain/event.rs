//! Events: what happened, as one ordered stream of a shard, and which types there are.
//!
//! | type | what happened | fields beside `at` and `type` |
//! |---|---|---|
//! | `added` | an entry was added | entry_id, revision, actor, reason |
//! | `changed` | an entry was changed | entry_id, revision, fields, actor, reason |
//! | `paused` | an entry was paused | entry_id, revision, actor, reason |
//! | `resumed` | a pause was ended, or ended by itself (message) | entry_id, revision, actor, reason, message |
//! | `removed` | an entry was removed | entry_id, revision, actor, reason |
//! | `skip_asked` | somebody asked to skip a fire time to come | entry_id, from, actor, reason |
//! | `skip_undone` | and took it back | entry_id, from, actor, reason |
//! | `triggered` | somebody asked for a run | entry_id, run_id, actor, reason |
//! | `backfilled` | somebody asked for past fire times, `from` to `until` | entry_id, count, from, until, actor, reason |
//! | `cancel_asked` | somebody asked to cancel a run | entry_id, run_id, actor, reason |
//! | `retry_asked` | somebody reopened a run that had failed | entry_id, run_id, actor, reason |
//! | `purged` | somebody purged dead letters | run_id of a single one, count, actor, reason |
//! | `letters_dropped` | the oldest dead letters went: there were more than 10,000, or they were older than 90 days | count |
//! | `fired` | a fire time became a run; one that is delivered at once has its `finished` only | entry_id, run_id, trigger |
//! | `started` | an attempt began; one that is delivered at once has its `finished` only | entry_id, run_id, node, attempt |
//! | `retried` | an attempt failed, the next one is due at `until` | entry_id, run_id, node, attempt, reason, until |
//! | `finished` | a run ended `succeeded`, `failed` or `cancelled` | entry_id, run_id, state, reason, trigger, node |
//! | `missed` | fire times passed without a run | entry_id, run_id, reason, trigger, fires |
//! | `skipped` | a rule said that fire times do not run | entry_id, run_id, reason, trigger, fires |
//! | `refused` | the result of an attempt that had lost its lease was refused | run_id, node, message |
//! | `rescued` | what a lost node executed was taken over | node, incarnation, count |
//! | `node_joined` | a node began | node, incarnation |
//! | `node_draining` | a node takes nothing more, and stops when its runs have ended | node, incarnation |
//! | `node_left` | a node stopped in order | node, incarnation |
//! | `node_lost` | a node has not been heard of for 10 s | node, incarnation |
//! | `outage` | no node had claimed, `from` to `until` | from, until |
//! | `broken` | an entry can't be claimed: its plan is missing or damaged | entry_id, message |
//! | `mended` | such an entry was planned afresh | entry_id |
//! | `rebuilt` | what an eviction or a `DEL` took was put back | count, message |
//! | `recreated` | a node put back the entries of its schedule file: the namespace had been flushed, or was new | node, count, message (the file) |
//! | `calendar_changed` | a calendar was written | message (its name), actor, reason |
//! | `calendar_removed` | a calendar was removed | message (its name), actor, reason |
//! | `queue_set` | a queue was limited, or a limit of it taken away | message (its name and limits), actor, reason |
//! | `queue_paused` | a queue was paused | message (its name), actor, reason |
//! | `queue_resumed` | the pause of a queue was ended | message (its name), actor, reason |
//! | `zone_data` | a node brought newer zone data: plans are made with it | node, message (its release) |
//! | `clock_accepted` | a shard's clock was put back, `from` to `until` | from, until |
//!
//! `reason` is the word of the closed list where a run or fire time ended, else what the person who asked said. A line of Redis
//! may stand for many events (`lua/parts/log.lua`); those of one line happened in one step.

use crate::domain::run::{Reason, State, Trigger};
use crate::domain::timestamp::Timestamp;

macro_rules! types {
    ($($variant:ident = $word:literal),+ $(,)?) => {
        /// What happened; the module's table says what each means.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum EventType { $($variant),+ }

        impl EventType {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in Redis, JSON and tables.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Reads [`Self::word`].
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

types!(
    Added = "added",
    Changed = "changed",
    Paused = "paused",
    Resumed = "resumed",
    Removed = "removed",
    SkipAsked = "skip_asked",
    SkipUndone = "skip_undone",
    Triggered = "triggered",
    Backfilled = "backfilled",
    CancelAsked = "cancel_asked",
    RetryAsked = "retry_asked",
    Purged = "purged",
    LettersDropped = "letters_dropped",
    Fired = "fired",
    Started = "started",
    Retried = "retried",
    Finished = "finished",
    Missed = "missed",
    Skipped = "skipped",
    Refused = "refused",
    Rescued = "rescued",
    NodeJoined = "node_joined",
    NodeDraining = "node_draining",
    NodeLeft = "node_left",
    NodeLost = "node_lost",
    Outage = "outage",
    Broken = "broken",
    Mended = "mended",
    Rebuilt = "rebuilt",
    Recreated = "recreated",
    CalendarChanged = "calendar_changed",
    CalendarRemoved = "calendar_removed",
    QueueSet = "queue_set",
    QueuePaused = "queue_paused",
    QueueResumed = "queue_resumed",
    ZoneData = "zone_data",
    ClockAccepted = "clock_accepted",
);

impl EventType {
    /// Whether every shard notes it: that of shard 0 speaks for all.
    pub fn is_of_all_shards(self) -> bool {
        use EventType::{NodeDraining, NodeJoined, NodeLeft, NodeLost, QueuePaused, QueueResumed, QueueSet, ZoneData};
        matches!(
            self,
            NodeJoined | NodeDraining | NodeLeft | NodeLost | QueuePaused | QueueResumed | QueueSet | ZoneData
        )
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When, by the shard's clock.
    pub at: Timestamp,
    /// What.
    pub kind: EventType,
    /// The entry that it is about.
    pub entry_id: Option<String>,
    /// The run that it is about; of several fire times, the first one's.
    pub run_id: Option<String>,
    /// Name of the node that did it, or that it is about.
    pub node: Option<String>,
    /// That node's incarnation.
    pub incarnation: Option<String>,
    /// Who asked.
    pub actor: Option<String>,
    /// A word of the closed list, or what the person who asked said.
    pub reason: Option<String>,
    /// For people.
    pub message: Option<String>,
    /// How a run ended.
    pub state: Option<State>,
    /// Why a run existed.
    pub trigger: Option<Trigger>,
    /// Which attempt began.
    pub attempt: Option<u32>,
    /// How many fire times the record stands for.
    pub fires: Option<u64>,
    /// How many things it is about.
    pub count: Option<u64>,
    /// The entry's revision since.
    pub revision: Option<u64>,
    /// The entry's fields that differ.
    pub fields: Vec<String>,
    /// Begin of what it is about; of a fire time to skip, that time.
    pub from: Option<Timestamp>,
    /// End of it.
    pub until: Option<Timestamp>,
}

/// How a run ended, as the stream `ended` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndCode {
    /// One of the states that are not active.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
    /// Why it existed.
    pub trigger: Trigger,
    /// How many fire times the record stands for.
    pub fires: u64,
}

impl EndCode {
    /// Reads the numbers of state, reason, trigger and, where it is not 1, of fire times; `None` where they are damaged or of a
    /// newer program.
    pub fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ');
        let mut number = || numbers.next().and_then(|word| word.parse::<u8>().ok());
        let state = State::from_number(number()?)?;
        let reason = Reason::from_number(number()?);
        let trigger = Trigger::from_number(number()?)?;
        let fires = numbers.next().map_or(Some(1), |word| word.parse().ok())?;
        Some(Self { state, reason, trigger, fires })
    }
}

/// The events of one line of a stream, in their order; what is damaged or of a newer program is left out. `fields` are those of
/// the line.
pub fn read_line(at: Timestamp, fields: &[(String, String)]) -> Vec<Event> {
    let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let text = |name: &str| field(name).filter(|value| !value.is_empty()).map(str::to_owned);
    let number = |name: &str| field(name).and_then(|value| value.parse::<u64>().ok());
    let instant = |name: &str| field(name).and_then(|value| value.parse().ok()).map(Timestamp);
    let words = field("words").map(of_words);
    let base = |kind: EventType| Event {
        at: instant("at").unwrap_or(at),
        kind,
        entry_id: text("entry"),
        run_id: text("run"),
        node: text("node"),
        incarnation: text("incarnation"),
        actor: text("actor").or_else(|| words.clone()?.0),
        reason: text("reason").or_else(|| words.clone()?.1),
        message: text("message"),
        state: None,
        trigger: None,
        attempt: None,
        fires: None,
        count: number("count"),
        revision: None,
        fields: Vec::new(),
        from: instant("from"),
        until: instant("until"),
    };
    let rows = |name: &str, width: usize| -> Vec<Vec<String>> {
        let lines: Vec<&str> = field(name).unwrap_or_default().split('\n').collect();
        lines.chunks_exact(width).map(|row| row.iter().map(|word| (*word).to_owned()).collect()).collect()
    };
    let of_run = |kind: EventType, row: &[String]| Event {
        entry_id: Some(row[0].clone()),
        run_id: Some(row[1].clone()),
        ..base(kind)
    };
    match field("type").unwrap_or_default() {
        "changes" => {
            let read = |row: &Vec<String>| {
                let fields = row[3].split(',').filter(|field| !field.is_empty()).map(str::to_owned).collect();
                let kind = EventType::from_word(&row[0])?;
                Some(Event { entry_id: Some(row[1].clone()), revision: row[2].parse().ok(), fields, ..base(kind) })
            };
            rows("changes", 4).iter().filter_map(read).collect()
        }
        "fired" => {
            let read = |row: &Vec<String>| Event {
                trigger: number("trigger").and_then(|number| Trigger::from_number(u8::try_from(number).ok()?)),
                ..of_run(EventType::Fired, row)
            };
            rows("runs", 2).iter().map(read).collect()
        }
        "started" => {
            let attempt = number("attempt").and_then(|number| u32::try_from(number).ok());
            let read = |row: &Vec<String>| Event { attempt, ..of_run(EventType::Started, row) };
            rows("runs", 2).iter().map(read).collect()
        }
        "retry_asked" => rows("runs", 3).iter().map(|row| of_run(EventType::RetryAsked, row)).collect(),
        "retried" => {
            let read = |row: &Vec<String>| {
                let mut numbers = row[2].split(' ');
                let attempt = numbers.next().and_then(|word| word.parse().ok());
                let reason = numbers.next().and_then(|word| word.parse().ok()).and_then(Reason::from_number);
                let until = numbers.next().and_then(|word| word.parse().ok()).map(Timestamp);
                let reason = reason.map(|reason| reason.word().to_owned());
                Event { attempt, reason, until, ..of_run(EventType::Retried, row) }
            };
            rows("runs", 3).iter().map(read).collect()
        }
        "ended" => {
            let read = |row: &Vec<String>| {
                let code = EndCode::read(&row[2])?;
                let kind = match code.state {
                    State::Missed => EventType::Missed,
                    State::Skipped => EventType::Skipped,
                    _ => EventType::Finished,
                };
                let node = text("node").filter(|_| matches!(code.state, State::Succeeded | State::Failed));
                Some(Event {
                    state: Some(code.state),
                    reason: code.reason.map(|reason| reason.word().to_owned()),
                    trigger: Some(code.trigger),
                    fires: Some(code.fires),
                    node,
                    ..of_run(kind, row)
                })
            };
            rows("runs", 3).iter().filter_map(read).collect()
        }
        word => EventType::from_word(word).map(base).into_iter().collect(),
    }
}

/// `by ana: wrong day`: who and why.
fn of_words(words: &str) -> (Option<String>, Option<String>) {
    let words = words.strip_prefix("by ").unwrap_or(words);
    let (actor, reason) = words.split_once(": ").map_or((words, None), |(actor, reason)| (actor, Some(reason)));
    (Some(actor.to_owned()).filter(|actor| !actor.is_empty()), reason.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(fields: &[(&str, &str)]) -> Vec<Event> {
        let fields: Vec<(String, String)> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        read_line(Timestamp(7), &fields)
    }

    #[test]
    fn the_table_names_every_type_in_its_order() {
        let table = include_str!("event.rs").lines().filter_map(|line| line.strip_prefix("//! | `")?.split('`').next());
        let words: Vec<&str> = EventType::ALL.iter().map(|kind| kind.word()).collect();
        assert_eq!(table.collect::<Vec<_>>(), words);
        assert!(words.iter().all(|word| EventType::from_word(word).map(EventType::word) == Some(word)));
    }

    #[test]
    fn a_line_of_runs_that_ended_is_an_event_each() {
        let runs = "a\nr1\n6 2 1\nb\nr2\n9 16 2 24\nc\nr3\nof a newer program";
        let events = line(&[("type", "ended"), ("node", "n"), ("runs", runs)]);
        assert_eq!(events.len(), 2);
        assert_eq!((events[0].kind, events[0].state), (EventType::Finished, Some(State::Failed)));
        assert_eq!((events[0].reason.as_deref(), events[0].node.as_deref()), (Some("exit"), Some("n")));
        assert_eq!((events[1].kind, events[1].fires), (EventType::Missed, Some(24)));
        assert_eq!((events[1].trigger, events[1].node.as_deref()), (Some(Trigger::CatchUp), None));
        assert_eq!(events[1].at, Timestamp(7));
    }

    #[test]
    fn who_and_why_are_read_from_words_for_people() {
        let event = &line(&[("type", "cancel_asked"), ("run", "r"), ("words", "by ana: wrong: day"), ("at", "9")])[0];
        assert_eq!((event.actor.as_deref(), event.reason.as_deref()), (Some("ana"), Some("wrong: day")));
        assert_eq!(event.at, Timestamp(9));
        assert_eq!(line(&[("type", "cancel_asked"), ("words", "by ana")])[0].reason, None);
        assert!(line(&[("type", "of a newer program")]).is_empty());
    }

    #[test]
    fn changes_carry_revision_and_fields() {
        let changes = "added\na\n1\n\nchanged\nb\n7\ncron,tz";
        let events = line(&[("type", "changes"), ("actor", "ana"), ("reason", ""), ("changes", changes)]);
        assert_eq!((events[0].kind, events[0].revision, events[0].reason.as_ref()), (EventType::Added, Some(1), None));
        assert_eq!((events[1].fields.len(), events[1].actor.as_deref()), (2, Some("ana")));
    }
}
