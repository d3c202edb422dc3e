//! The answer to "why", as programs read it: the closed list of its words stands here.

use serde::{Serialize, Serializer};

use crate::service::view::At;

macro_rules! answers {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal),+ $(,)?) => {
        /// What became of the fire time that was asked about, in one word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Answer {
            $($(#[doc = $doc])+ $variant),+
        }

        impl Answer {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in JSON.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

answers! {
    /// It ran and ended well.
    Succeeded = "succeeded",
    /// It ran and ended badly; `reason` says how.
    Failed = "failed",
    /// A rule or a person said that it does not run: `overlap`, `paused`, `skip_asked`.
    Skipped = "skipped",
    /// Its time passed without it: `too_late`, `superseded`, `catch_up_limit`, `changed`, `removed`, `paused`.
    Missed = "missed",
    /// Somebody or something ended it: `by_user`, `cancel_other`, `entry_removed`.
    Cancelled = "cancelled",
    /// It fired; how it ended is on record no longer.
    Fired = "fired",
    /// A node executes it.
    Running = "running",
    /// A node executes it for far too long.
    Stuck = "stuck",
    /// It waits in its queue; `no_node` where no live node may run it.
    Queued = "queued",
    /// It waits for something else: `until`, `overlap`, `pace`, `limit`.
    Waiting = "waiting",
    /// Its last attempt failed; it waits for the next.
    Retrying = "retrying",
    /// Its time has come and no node has claimed it yet.
    Due = "due",
    /// Its time comes.
    ToCome = "to_come",
    /// The entry is paused.
    Paused = "paused",
    /// The schedule does not name that time.
    NotDue = "not_due",
    /// The schedule names it, and its date is excluded.
    Excluded = "excluded",
    /// It is before the entry was added, before its `start`, or before its first fire time.
    NotYet = "not_yet",
    /// Nothing is left to fire: `end`, `max_fires` or `at` lies before it.
    Finished = "finished",
    /// The plan of the entry is missing or damaged, or the entry can't be read.
    Broken = "broken",
    /// The entry had been removed.
    Removed = "removed",
    /// What became of it is on record no longer, or never was.
    NoRecords = "no_records",
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// One thing that the records say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What it is about, in one or two words.
    pub label: String,
    /// For people, times in the zone of the entry.
    pub text: String,
}

/// Why a fire time ended as it did, or did not come.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WhyView {
    /// The entry.
    pub entry_id: String,
    /// The fire time that the answer is about, else the instant that was asked about; null where it is about none.
    pub fire_at: Option<At>,
    /// The run, where there is one.
    pub run_id: Option<String>,
    /// In one word.
    pub answer: Answer,
    /// A word of `Reason`.
    pub reason: Option<&'static str>,
    /// In one sentence, for people.
    pub sentence: String,
    /// What it is told from, in the order in which it is printed.
    pub facts: Vec<Fact>,
    /// Commands that look further or mend it.
    #[serde(rename = "do")]
    pub todo: Vec<String>,
}
