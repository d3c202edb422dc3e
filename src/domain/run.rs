//! Runs: their ids, states and reasons.

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// For its time, the run before it, its pace or a limit.
    Waiting,
    /// In the list of its queue and kind.
    Queued,
    /// A node executes it.
    Running,
    /// Waits for its next attempt.
    Retrying,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Ended by somebody's wish.
    Cancelled,
    /// A rule said that it does not run.
    Skipped,
    /// Its time passed without it.
    Missed,
}

/// Why a run is in its state; the closed list of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The message of a direct action is written.
    Delivered,
    /// The command ended with a code other than zero.
    Exit,
    /// A signal ended the command.
    Signal,
    /// The attempt took longer than `timeout`.
    Timeout,
    /// The answer's status is not among those accepted.
    HttpStatus,
    /// The target could not be reached.
    Connect,
    /// The target refused the message, or the task that it was has failed.
    Target,
    /// The target holds `max_len` already.
    TargetFull,
    /// A handler panicked.
    Panic,
    /// The node could not start it: a missing program, secret or folder, or a rule of the node.
    Refused,
    /// Lost with its node too often.
    Lost,
    /// Handed back by a node that stops.
    Drained,
    /// The previous run of the entry was still active.
    Overlap,
    /// The entry was paused.
    Paused,
    /// Somebody asked to skip it.
    SkipAsked,
    /// A newer fire time took its place.
    Superseded,
    /// Too old to start.
    TooLate,
    /// Beyond `max_runs` of the catch-up.
    CatchUpLimit,
    /// The entry was changed.
    Changed,
    /// The entry was removed.
    Removed,
    /// Somebody cancelled it.
    ByUser,
    /// A newer run of the entry took its place.
    CancelOther,
    /// Its entry was removed.
    EntryRemoved,
    /// Waits for its time.
    Until,
    /// Waits for the pace of its back-log.
    Pace,
    /// Waits for a limit.
    Limit,
    /// No live node can serve it.
    NoNode,
}

/// Why a run exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trigger {
    /// Its fire time came.
    Scheduled,
    /// Its fire time was found late.
    CatchUp,
    /// Somebody asked.
    Manual,
    /// Somebody asked for past fire times.
    Backfill,
    /// Another run ended.
    FollowUp,
    /// Somebody asked for work without an entry.
    OneOff,
}

macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            /// All of them, in the order of the contract.
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

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words!(State {
    Waiting = "waiting",
    Queued = "queued",
    Running = "running",
    Retrying = "retrying",
    Succeeded = "succeeded",
    Failed = "failed",
    Cancelled = "cancelled",
    Skipped = "skipped",
    Missed = "missed",
});

words!(Reason {
    Delivered = "delivered",
    Exit = "exit",
    Signal = "signal",
    Timeout = "timeout",
    HttpStatus = "http_status",
    Connect = "connect",
    Target = "target",
    TargetFull = "target_full",
    Panic = "panic",
    Refused = "refused",
    Lost = "lost",
    Drained = "drained",
    Overlap = "overlap",
    Paused = "paused",
    SkipAsked = "skip_asked",
    Superseded = "superseded",
    TooLate = "too_late",
    CatchUpLimit = "catch_up_limit",
    Changed = "changed",
    Removed = "removed",
    ByUser = "by_user",
    CancelOther = "cancel_other",
    EntryRemoved = "entry_removed",
    Until = "until",
    Pace = "pace",
    Limit = "limit",
    NoNode = "no_node",
});

words!(Trigger {
    Scheduled = "scheduled",
    CatchUp = "catch_up",
    Manual = "manual",
    Backfill = "backfill",
    FollowUp = "follow_up",
    OneOff = "one_off",
});

impl State {
    /// Whether the run may still do something.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Waiting | Self::Queued | Self::Running | Self::Retrying)
    }
}

/// Numbers in packed records: the place in `ALL`, counted from 1.
macro_rules! numbers {
    ($($type:ident),+) => { $(
        impl $type {
            /// The number in packed records.
            pub fn number(self) -> u8 {
                Self::ALL.iter().position(|one| *one == self).map_or(0, |at| at as u8 + 1)
            }

            /// Reads [`Self::number`]; `None` for 0 and for numbers of a newer program.
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
            }
        }
    )+ };
}

numbers!(State, Reason, Trigger);
