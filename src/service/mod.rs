//! What users ask for: each function is one request of a person, checked, carried out in the store, answered as plain data.
//!
//! Doors (the command line, later HTTP) translate a request into one call here and print the answer. Nothing here prints.

mod ahead;
mod apply;
mod attempts;
mod audit;
mod backfill;
mod calendars;
mod change;
mod conflict;
mod dead;
mod decide;
mod doctor;
mod each;
mod each_selected;
mod events;
mod export;
mod file_queues;
mod follow;
mod forecast;
mod foresight;
mod list;
mod listing;
mod many;
mod namespaces;
mod nodes;
mod once;
mod outages;
mod outputs;
mod plan;
mod plan_calendars;
mod progress;
mod prune;
mod queues;
mod recreate;
mod redbeat;
mod request;
mod revisions;
mod run_ref;
mod run_views;
mod runs;
mod select;
mod skip;
mod stuck;
mod trigger;
mod view;
mod wanted;
mod where_to_run;
mod why;
mod write;

pub use apply::ApplyOptions;
pub use attempts::AttemptView;
pub use audit::{AuditView, AuditedEntry};
pub use backfill::{BackfillRange, BackfillView};
pub use calendars::{CalendarChange, CalendarDetail, CalendarView};
pub use change::AddOptions;
pub use dead::{LetterChange, LetterVerb, Letters};
pub use doctor::{Check, CheckState, DoctorView};
pub use each::Each;
pub use events::{EventFilter, EventList, EventView, FollowEvents};
pub use export::{Export, Exported};
pub use follow::Follow;
pub use forecast::{
    EntryRuns, ForecastOptions, ForecastView, KindForecast, LeftOut, MinuteForecast, MinuteRuns, QueueForecast,
    SkipForecast, SpreadChange, SpreadView, WorstMinute,
};
pub use listing::{ListFilter, Listing};
pub use many::ManyChanges;
pub use namespaces::{NamespaceList, NamespaceView};
pub use once::{AskedRun, OnceWhen, OnlyOne};
pub use outages::Outage;
pub use outputs::{FollowOutput, Piece};
pub use plan::{NextFive, PlanView, PlannedChange};
pub use progress::{Progress, Reached};
pub use prune::Pruned;
pub use queues::{QueueChange, QueueChanges};
pub use recreate::Recreation;
pub use redbeat::{
    Difference, HandBackOptions, HandBackView, RedBeatSource, ShadowEntry, ShadowView, TakeOverOptions, TakeOverView,
};
pub use request::{Request, Said};
pub use revisions::RevisionView;
pub use run_ref::RunRef;
pub use runs::{RunFilter, RunList};
pub use select::Select;
pub use trigger::TriggerOptions;
pub use view::{At, ChangeView, Changes, EntryDetail, EntryView, LastRun, NodeView, QueueView, RunView};
pub use wanted::{FilesOptions, OwnedFile};
pub use where_to_run::WhereToRun;
pub use why::{Answer, Fact, WhyView};

use crate::store::Store;

/// What people can ask of a namespace.
#[derive(Clone)]
pub struct Service {
    store: Store,
    /// The revision at which entries have to stand that it changes, where one was named.
    if_revision: Option<u64>,
    progress: Progress,
}

impl Service {
    /// The service over a namespace.
    pub fn new(store: Store) -> Self {
        Self { store, if_revision: None, progress: Progress::default() }
    }

    /// The same service; whoever holds `progress` sees how far its requests are.
    #[must_use]
    pub fn with_progress(self, progress: Progress) -> Self {
        Self { progress, ..self }
    }

    /// The namespace in Redis.
    pub fn store(&self) -> &Store {
        &self.store
    }
}
