//! A RedBeat that is moved here: read, watched beside what upbeat would do, taken over, given back.
//!
//! The switch itself is one script on RedBeat's server (`store/redbeat/switch.rs`). Whatever is interrupted goes on when it is
//! asked for again, and in between nobody fires an entry twice: RedBeat is stopped before upbeat begins, and upbeat is paused
//! before RedBeat may go on.

mod back;
mod shadow;
mod shadow_view;
mod take;

use serde::Serialize;

pub use back::{HandBackOptions, HandBackView};
pub use shadow_view::{Difference, ShadowEntry, ShadowView};
pub use take::{TakeOverOptions, TakeOverView};

use crate::domain::import::celery::BeatDefaults;
use crate::domain::import::redbeat::{Carried, Picture, bindings, carried, exchanges};
use crate::error::Result;
use crate::store::RedBeat;

/// A RedBeat, and what its app's configuration says beside it.
#[derive(Clone)]
pub struct RedBeatSource {
    /// Its keys.
    pub redbeat: RedBeat,
    /// The broker's server, which says where exchanges lead to.
    pub broker: RedBeat,
    /// What stands in the configuration only.
    pub defaults: BeatDefaults,
}

impl RedBeatSource {
    /// All that stands there, and what it becomes. Writes nothing.
    pub async fn read(&self) -> Result<(Picture, Carried)> {
        let picture = self.redbeat.picture().await?;
        let defaults = self.defaults_for(&picture).await?;
        let carried = carried(&picture, self.redbeat.place(), &defaults);
        Ok((picture, carried))
    }

    /// The same defaults, with the bindings of all exchanges that are named.
    async fn defaults_for(&self, picture: &Picture) -> Result<BeatDefaults> {
        let mut defaults = self.defaults.clone();
        let prefix = defaults.key_prefix.clone().unwrap_or_default();
        for exchange in exchanges(picture) {
            let members = self.broker.bindings(&exchange, &prefix).await?;
            defaults.bindings.extend(bindings(&exchange, &members));
        }
        Ok(defaults)
    }
}

/// An entry that is in the way, or stays behind, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Odd {
    /// As RedBeat calls it.
    pub name: String,
    /// Why.
    pub reason: String,
}
